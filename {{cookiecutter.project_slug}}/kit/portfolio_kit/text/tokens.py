"""Texts to token ids, in one place, so training, evaluation and serving agree."""

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ..errors import UserError

PAD_ID = 0  # "[PAD]" of BERT vocabularies; masked, so it changes no result
BUCKET_BATCHES = 50  # sort by length inside windows of this many batches: random, yet tight


def load_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    """Read a `tokenizer.json` that cuts texts to `max_tokens` and does not pad."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more precise
        raise UserError(f"model.backbone: {path} is not a usable tokenizer: {error}") from None
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return tokenizer


def encode(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Return the token ids of each text, including special tokens."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]


def pad(ids: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return input_ids and attention_mask, each int64 (batch, tokens of the longest)."""
    longest = max(len(row) for row in ids)
    input_ids = np.full((len(ids), longest), PAD_ID, dtype=np.int64)
    attention_mask = np.zeros((len(ids), longest), dtype=np.int64)
    for row, tokens in enumerate(ids):
        input_ids[row, : len(tokens)] = tokens
        attention_mask[row, : len(tokens)] = 1
    return input_ids, attention_mask


def bucket(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Return batches of indices, each of similar lengths, which keeps padding short."""
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def shuffled_batches(
    lengths: np.ndarray, batch_size: int, random: np.random.Generator
) -> list[np.ndarray]:
    """Return an epoch's batches of row indices in random order, each of texts of similar length."""
    order = random.permutation(len(lengths))
    window = batch_size * BUCKET_BATCHES
    windows = [order[start : start + window] for start in range(0, len(order), window)]
    batches = [rows[batch] for rows in windows for batch in bucket(lengths[rows], batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]
