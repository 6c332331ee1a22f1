"""Texts to tokens to batches: nothing is lost, doubled or mixed up on the way."""

import itertools

import numpy as np
import pytest

from {{cookiecutter.package_name}} import text


def test_padding_keeps_each_text_and_masks_the_rest():
    input_ids, attention_mask = text.pad([[5, 6, 7], [8], [9, 9]])
    assert input_ids.tolist() == [[5, 6, 7], [8, text.PAD_ID, text.PAD_ID], [9, 9, text.PAD_ID]]
    assert attention_mask.tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert input_ids.dtype == attention_mask.dtype == np.int64


@pytest.mark.parametrize("seed", range(10))
def test_buckets_hold_each_row_once_and_neighbours_in_length(seed):
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 60, size=int(random.integers(1, 100)))
    size = int(random.integers(1, 20))
    batches = text.bucket(lengths, size)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size
    for one, next_one in itertools.pairwise(batches):
        assert lengths[one].max() <= lengths[next_one].min()


def test_a_long_text_is_cut_to_the_limit_with_its_end_token(tiny_backbone):
    tokenizer = text.load_tokenizer(tiny_backbone / "tokenizer.json", max_tokens=12)
    short, long = text.encode(tokenizer, ["The tap drips.", "The tap drips. " * 50])
    assert len(short) < 12 == len(long)
    assert long[0] == short[0]
    assert long[-1] == short[-1]


def test_texts_are_encoded_alone_and_together_alike(tiny_backbone):
    tokenizer = text.load_tokenizer(tiny_backbone / "tokenizer.json", max_tokens=32)
    texts = ["The tap drips.", "", "ÄÖ 水 🚰", "a much longer text about the hedge " * 9]
    assert text.encode(tokenizer, texts) == [text.encode(tokenizer, [one])[0] for one in texts]


def test_the_pad_token_is_what_padding_uses(tiny_backbone, backbone):
    for folder in (tiny_backbone, backbone):
        tokenizer = text.load_tokenizer(folder / "tokenizer.json", max_tokens=8)
        assert tokenizer.token_to_id("[PAD]") in (text.PAD_ID, None)
