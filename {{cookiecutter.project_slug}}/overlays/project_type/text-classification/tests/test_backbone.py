"""An encoder that cannot be used is refused by name, before anything is trained."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.training.model import fetch_backbone, load_backbone

FOLDER = Path("encoder")


@pytest.fixture
def refused(tiny_backbone, configure, run, refusal, tracking_store):
    """Train on the encoder in `FOLDER`, here a copy of a good one; return the reason against it."""
    shutil.copytree(tiny_backbone, FOLDER)
    configure()
    assert run("data").code == 0

    def refused(**changes):
        settings = {f"train.{key}": value for key, value in changes.items()}
        backbone = {"model.backbone": str(FOLDER), "model.sha256": None}
        configure({**backbone, "train.freeze_layers": 1, **settings})
        [line] = refusal("train")
        assert not artifacts.MODELS.exists()
        return line

    return refused


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_missing_file_is_named(name, refused):
    (FOLDER / name).unlink()
    assert refused() == f"error: model.backbone: there is no file {FOLDER}/{name}"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00 not a file of this kind"])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_file_is_refused(name, content, refused):
    (FOLDER / name).write_bytes(content)
    assert refused().startswith("error: model.backbone: ")


def test_weights_of_another_shape_are_refused(refused):
    weights = load_file(FOLDER / "model.safetensors")
    weights = {name: torch.zeros(5, 5) for name in weights}
    save_file(weights, FOLDER / "model.safetensors", metadata={"format": "pt"})
    assert refused().startswith("error: model.backbone: ")


def test_a_pickle_is_never_loaded(refused):
    weights = load_file(FOLDER / "model.safetensors")
    (FOLDER / "model.safetensors").unlink()
    torch.save(weights, FOLDER / "pytorch_model.bin")
    assert "model.safetensors" in refused()


def test_weights_other_than_the_pinned_ones_are_refused(tiny_backbone, configure, run, refusal):
    configure()
    run("data")
    configure({"model.backbone": str(tiny_backbone), "model.sha256": "0" * 64})
    [line] = refusal("train")
    assert line.startswith("error: model.backbone: ")
    assert f"not the pinned {'0' * 64}" in line


def test_more_frozen_layers_than_there_are_is_refused(refused):
    line = refused(freeze_layers=4)
    assert line.startswith("error: train.freeze_layers: ")
    assert "3 layers" in line


def test_an_encoder_of_another_architecture_is_used_or_refused_in_words(refused):
    # Not every encoder calls its layers as BERT does.
    from transformers import DistilBertConfig, DistilBertModel

    vocabulary = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    size = DistilBertConfig(vocab_size=vocabulary, dim=32, n_layers=1, n_heads=2, hidden_dim=64)
    DistilBertModel(size).save_pretrained(FOLDER)
    assert refused().startswith("error: model.backbone: ")


def test_an_encoder_comes_over_http_once(tiny_backbone, configure, server):
    for path in tiny_backbone.iterdir():
        server.files[f"/encoder/{path.name}"] = path.read_bytes()
    pin = artifacts.sha256(tiny_backbone / "model.safetensors")
    params = configure({"model.backbone": f"{server.url}/encoder", "model.sha256": pin})
    folder = fetch_backbone(params.model)
    assert folder.is_relative_to(".cache")
    assert load_backbone(folder).config.hidden_size == 32
    asked = len(server.requests)
    assert fetch_backbone(params.model) == folder
    assert len(server.requests) == asked


def test_data_that_was_altered_is_not_trained_on(configure, run, refusal):
    configure()
    run("data")
    with (artifacts.PROCESSED / "train.parquet").open("ab") as file:
        file.write(b"x")
    [line] = refusal("train")
    assert "train.parquet" in line
    assert " data" in line


def test_without_data_there_is_no_training(configure, refusal):
    configure()
    [line] = refusal("train")
    assert str(artifacts.PROCESSED) in line
