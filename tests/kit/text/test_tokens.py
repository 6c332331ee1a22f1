"""Texts to tokens to batches: nothing is lost, repeated or mixed up."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.text.tokens import PAD_ID, bucket, encode, load_tokenizer, pad, shuffled_batches


def test_padding_keeps_each_text_and_masks_the_rest():
    input_ids, attention_mask = pad([[5, 6, 7], [8], [9, 9]])
    assert input_ids.tolist() == [[5, 6, 7], [8, PAD_ID, PAD_ID], [9, 9, PAD_ID]]
    assert attention_mask.tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert input_ids.dtype == attention_mask.dtype == np.int64


@pytest.mark.parametrize("seed", range(10))
def test_buckets_hold_each_row_once_with_similar_lengths(seed):
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 60, size=int(random.integers(1, 100)))
    size = int(random.integers(1, 20))
    batches = bucket(lengths, size)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size
    for one, next_one in itertools.pairwise(batches):
        assert lengths[one].max() <= lengths[next_one].min()


def test_a_long_text_is_cut_to_the_limit_with_its_end_token(tiny_backbone):
    tokenizer = load_tokenizer(tiny_backbone / "tokenizer.json", max_tokens=12)
    short, long = encode(tokenizer, ["The tap drips.", "The tap drips. " * 50])
    assert len(short) < 12 == len(long)
    assert long[0] == short[0]
    assert long[-1] == short[-1]


def test_texts_are_encoded_alike_alone_and_together(tiny_backbone):
    tokenizer = load_tokenizer(tiny_backbone / "tokenizer.json", max_tokens=32)
    texts = ["The tap drips.", "", "ÄÖ 水 🚰", "a much longer text about the hedge " * 9]
    assert encode(tokenizer, texts) == [encode(tokenizer, [one])[0] for one in texts]


def test_the_pad_token_is_what_padding_uses(tiny_backbone):
    tokenizer = load_tokenizer(tiny_backbone / "tokenizer.json", max_tokens=8)
    assert tokenizer.token_to_id("[PAD]") == PAD_ID


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b'{"model": 1}'])
def test_a_file_that_is_not_a_tokenizer_is_rejected(content):
    Path("tokenizer.json").write_bytes(content)
    with pytest.raises(UserError, match=r"^model\.backbone: tokenizer\.json is not a usable"):
        load_tokenizer(Path("tokenizer.json"), max_tokens=8)


@pytest.mark.parametrize("seed", range(5))
def test_an_epochs_batches_are_random_and_tight_and_hold_each_row_once(seed):
    lengths = np.random.default_rng(seed).geometric(0.1, size=1700)
    one, again, other = (
        shuffled_batches(lengths, 16, np.random.default_rng([seed, epoch])) for epoch in (1, 1, 2)
    )
    assert sorted(np.concatenate(one)) == list(range(1700))
    assert all(len(batch) <= 16 for batch in one)
    assert [batch.tolist() for batch in one] == [batch.tolist() for batch in again]
    assert {frozenset(batch.tolist()) for batch in one} != {frozenset(b.tolist()) for b in other}

    def padding(batches):
        return sum(len(b) * lengths[b].max() - lengths[b].sum() for b in batches)

    at_random = np.array_split(np.random.default_rng(seed).permutation(1700), len(one))
    assert padding(one) < padding(at_random) / 4
    # Lengths say nothing about the order of batches.
    means = [lengths[batch].mean() for batch in one]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.4
