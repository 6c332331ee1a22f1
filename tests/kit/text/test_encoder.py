"""The encoder: one that cannot be used is refused by name, and one that can makes unit vectors."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from {{cookiecutter.package_name}} import artifacts, config
from {{cookiecutter.package_name}}.errors import UserError
from {{cookiecutter.package_name}}.params import Params
from {{cookiecutter.package_name}}.text import load_tokenizer
from {{cookiecutter.package_name}}.training.encoder import (
    Encoder,
    embed_texts,
    fetch_backbone,
    load_backbone,
)

FOLDER = Path("encoder")
FILES = ["model.safetensors", "config.json", "tokenizer.json"]


def load(source, sha256=None):
    """Fetch an encoder and load it with its tokenizer, as training does."""
    model = config.load(Params).model
    folder = fetch_backbone(model.model_copy(update={"backbone": str(source), "sha256": sha256}))
    load_tokenizer(folder / "tokenizer.json", max_tokens=32)
    return folder, load_backbone(folder)


@pytest.fixture
def refused(tiny_backbone):
    """Load the encoder in `FOLDER`, here a copy of a good one; return the reason against it."""
    shutil.copytree(tiny_backbone, FOLDER)

    def refused():
        with pytest.raises(UserError) as caught:
            load(FOLDER)
        return str(caught.value)

    return refused


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name, refused):
    (FOLDER / name).unlink()
    assert refused() == f"model.backbone: there is no file {FOLDER}/{name}"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00 not a file of this kind"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused(name, content, refused):
    (FOLDER / name).write_bytes(content)
    assert refused().startswith("model.backbone: ")


def test_weights_of_another_shape_are_refused(refused):
    weights = load_file(FOLDER / "model.safetensors")
    weights = {name: torch.zeros(5, 5) for name in weights}
    save_file(weights, FOLDER / "model.safetensors", metadata={"format": "pt"})
    assert refused().startswith("model.backbone: ")


def test_a_pickle_is_never_loaded(refused):
    weights = load_file(FOLDER / "model.safetensors")
    (FOLDER / "model.safetensors").unlink()
    torch.save(weights, FOLDER / "pytorch_model.bin")
    assert "model.safetensors" in refused()


def test_weights_other_than_the_pinned_ones_are_refused(tiny_backbone):
    with pytest.raises(UserError, match=f"^model.backbone: .*not the pinned {'0' * 64}"):
        load(tiny_backbone, sha256="0" * 64)


def test_an_encoder_of_another_architecture_is_refused(refused):
    # Not every encoder calls its layers as BERT does.
    from transformers import DistilBertConfig, DistilBertModel

    vocabulary = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    size = DistilBertConfig(vocab_size=vocabulary, dim=32, n_layers=1, n_heads=2, hidden_dim=64)
    DistilBertModel(size).save_pretrained(FOLDER)
    assert refused().startswith("model.backbone: ")


def test_an_encoder_comes_over_http_once(tiny_backbone, server):
    for path in tiny_backbone.iterdir():
        server.files[f"/encoder/{path.name}"] = path.read_bytes()
    pin = artifacts.sha256(tiny_backbone / "model.safetensors")
    folder, backbone = load(f"{server.url}/encoder", pin)
    assert folder.is_relative_to(".cache")
    assert backbone.config.hidden_size == 32
    asked = len(server.requests)
    assert load(f"{server.url}/encoder", pin)[0] == folder
    assert len(server.requests) == asked


@pytest.fixture
def encoder(tiny_backbone):
    """The tiny encoder."""
    return Encoder(load_backbone(tiny_backbone))


def test_a_texts_vector_has_length_one_and_does_not_depend_on_its_batch(encoder):
    ids = [[2, *range(5, 8 + row % 9), 3] for row in range(30)]
    together = embed_texts(encoder, ids, batch_size=7)
    alone = torch.cat([embed_texts(encoder, [row]) for row in ids])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(ids)))


def test_frozen_layers_neither_learn_nor_drop_out(encoder):
    encoder.freeze(2)
    encoder.train()
    for module in (encoder.backbone.embeddings, *encoder.backbone.encoder.layer[:2]):
        assert not module.training
        assert not any(weight.requires_grad for weight in module.parameters())
    assert encoder.backbone.encoder.layer[2].training
    assert all(weight.requires_grad for weight in encoder.backbone.encoder.layer[2].parameters())


def test_more_frozen_layers_than_there_are_is_refused(encoder):
    with pytest.raises(UserError, match=r"train\.freeze_layers: the backbone has 3 layers"):
        encoder.freeze(4)
