"""The encoder: unusable files are rejected by name, and texts become unit vectors."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from portfolio_kit import artifacts
from portfolio_kit.errors import UserError
from portfolio_kit.text.encoder import Encoder, embed_texts, fetch_backbone, in_bf16, load_backbone
from portfolio_kit.text.tokens import load_tokenizer

FOLDER = Path("encoder")
FILES = ["model.safetensors", "config.json", "tokenizer.json"]


def load(source, sha256=None):
    """Fetch an encoder and load it with its tokenizer, as training does."""
    folder = fetch_backbone(str(source), sha256)
    load_tokenizer(folder / "tokenizer.json", max_tokens=32)
    return folder, load_backbone(folder)


@pytest.fixture
def rejected(tiny_backbone):
    """Load the encoder in `FOLDER`, a copy of a good one; return why it is rejected."""
    shutil.copytree(tiny_backbone, FOLDER)

    def rejected():
        with pytest.raises(UserError) as caught:
            load(FOLDER)
        return str(caught.value)

    return rejected


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name, rejected):
    (FOLDER / name).unlink()
    assert rejected() == f"model.backbone: there is no file {FOLDER}/{name}"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00 not a file of this kind"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_rejected(name, content, rejected):
    (FOLDER / name).write_bytes(content)
    assert rejected().startswith("model.backbone: ")


def test_weights_of_another_shape_are_rejected(rejected):
    weights = load_file(FOLDER / "model.safetensors")
    weights = {name: torch.zeros(5, 5) for name in weights}
    save_file(weights, FOLDER / "model.safetensors", metadata={"format": "pt"})
    assert rejected().startswith("model.backbone: ")


def test_a_pickle_is_never_loaded(rejected):
    weights = load_file(FOLDER / "model.safetensors")
    (FOLDER / "model.safetensors").unlink()
    torch.save(weights, FOLDER / "pytorch_model.bin")
    assert "model.safetensors" in rejected()


@pytest.fixture
def pins(tiny_backbone):
    """The hash of each file of the good encoder."""
    return {name: artifacts.sha256(tiny_backbone / name) for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_a_file_other_than_the_pinned_one_is_rejected(name, pins, tiny_backbone):
    shutil.copytree(tiny_backbone, FOLDER)
    load(FOLDER, pins)
    text = (FOLDER / name).read_bytes()
    (FOLDER / name).write_bytes(text.replace(b"a", b"b", 1))
    with pytest.raises(UserError) as caught:
        fetch_backbone(str(FOLDER), pins)
    found = artifacts.sha256(FOLDER / name)
    line = f"it has sha256 {found}, not the pinned {pins[name]}"
    assert str(caught.value) == f"model.backbone: {FOLDER}/{name}: {line}"


@pytest.mark.parametrize("change", [{"vocab.txt": "0" * 64}, {"tokenizer.json": None}], ids=str)
def test_every_file_needs_its_hash(change, pins, tiny_backbone):
    given = {name: pin for name, pin in {**pins, **change}.items() if pin}
    with pytest.raises(UserError, match=r"^model.sha256: give the hash of each file: model\.saf"):
        fetch_backbone(str(tiny_backbone), given)


def test_the_hash_of_the_weights_alone_no_longer_counts(pins, tiny_backbone):
    with pytest.raises(UserError, match=r"^model.sha256: give the hash of each file: model\.saf"):
        fetch_backbone(str(tiny_backbone), pins["model.safetensors"])


def test_an_encoder_of_another_architecture_is_rejected(rejected):
    # Not every encoder names its layers as BERT does.
    from transformers import DistilBertConfig, DistilBertModel

    vocabulary = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    size = DistilBertConfig(vocab_size=vocabulary, dim=32, n_layers=1, n_heads=2, hidden_dim=64)
    DistilBertModel(size).save_pretrained(FOLDER)
    assert rejected().startswith("model.backbone: ")


def test_an_encoder_is_downloaded_once(tiny_backbone, pins, server):
    for path in tiny_backbone.iterdir():
        server.files[f"/encoder/{path.name}"] = path.read_bytes()
    folder, backbone = load(f"{server.url}/encoder", pins)
    assert folder.is_relative_to(".cache")
    assert backbone.config.hidden_size == 32
    asked = len(server.requests)
    assert load(f"{server.url}/encoder", pins)[0] == folder
    assert len(server.requests) == asked
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")  # it is fetched again
    assert load(f"{server.url}/encoder", pins)[0] == folder
    assert len(server.requests) > asked


@pytest.fixture
def encoder(tiny_backbone):
    """The encoder."""
    return Encoder(load_backbone(tiny_backbone))


def test_a_text_s_unit_vector_does_not_depend_on_its_batch(encoder):
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


def test_more_frozen_layers_than_there_are_is_rejected(encoder):
    with pytest.raises(UserError, match=r"train\.freeze_layers: the backbone has 3 layers"):
        encoder.freeze(4)


def test_a_hub_needs_a_pinned_revision():
    with pytest.raises(UserError, match=r"^model\.backbone: pin a revision, hf://a/b@REVISION"):
        fetch_backbone("hf://a/b", None)


@pytest.mark.parametrize("abilities", [{}, {"avx512_bf16": True}, {"amx_bf16": True}], ids=str)
def test_bf16_is_automatic_only_where_the_processor_computes_in_it(abilities, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    device = torch.device("cpu")
    chosen = [in_bf16(precision, device) for precision in ("fp32", "auto", "bf16")]
    assert chosen == [False, bool(abilities), True]
