"""The encoders of the tests: the project's own, and a tiny one."""

import re
from pathlib import Path

import pytest

from portfolio_kit import config

from {{cookiecutter.package_name}}.params import Params
from {{cookiecutter.package_name}}.project import PROJECT


@pytest.fixture(scope="session")
def backbone(project):
    """The folder of the project's own encoder, fetched once into its cache."""
    from portfolio_kit.text.encoder import fetch_backbone

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        model = config.load(Params, PROJECT.package).model
        return fetch_backbone(model.backbone, model.sha256).resolve()


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory):
    """An untrained encoder of the same kind that trains in a second.

    It knows the words of the files in tests/data/.
    """
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-backbone")
    files = sorted(file for file in (Path(__file__).parent / "data").rglob("*") if file.is_file())
    written = "".join(file.read_text(encoding="utf-8") for file in files).lower()
    words = sorted(set(re.findall(r"\w+|[^\w\s]", written)))
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    tokenizer = BertWordPieceTokenizer({word: number for number, word in enumerate(vocabulary)})
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(7)
    size = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(size).save_pretrained(folder)
    return folder
