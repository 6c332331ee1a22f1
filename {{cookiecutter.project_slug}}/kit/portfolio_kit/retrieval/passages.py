"""Cuts documents into passages that fit the encoder."""

from collections.abc import Sequence

from tokenizers import Tokenizer

from .documents import Document

Ids = list[int]  # the tokens of a passage, special tokens included
TITLE_SHARE = 4  # the title repeats in at most a fourth of a passage's tokens


class Splitter:
    """Overlapping windows of at most `size` tokens, each under the document's title."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._size, self._overlap = size, overlap
        self._first, self._last = self._tokenizer.encode("").ids  # [CLS] and [SEP] in BERT

    def split(self, documents: Sequence[Document]) -> list[list[Ids]]:
        """Return the passages of each document, at least one each."""
        titles = self._encode([f"{one.title}." if one.title else "" for one in documents])
        texts = self._encode([one.text for one in documents])
        return [self._cut(*document) for document in zip(titles, texts, strict=True)]

    def _cut(self, title: Ids, text: Ids) -> list[Ids]:
        head = [self._first, *title[: self._size // TITLE_SHARE]]
        room = self._size - len(head) - 1
        starts = range(0, max(1, len(text) - self._overlap), room - self._overlap)
        return [[*head, *text[start : start + room], self._last] for start in starts]

    def _encode(self, texts: list[str]) -> list[Ids]:
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]
