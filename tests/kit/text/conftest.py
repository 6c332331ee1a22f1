"""An untrained encoder that is loaded in milliseconds."""

import pytest

WORDS = "the a tap lamp hedge drips is dark about much longer text often seven . , !"


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory):
    """The folder of an untrained BERT with three layers and a vocabulary of a few words."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-backbone")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
    tokenizer = BertWordPieceTokenizer({word: number for number, word in enumerate(vocabulary)})
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(7)
    size = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(size).save_pretrained(folder)
    return folder
