"""Cuts documents into passages that the encoder can take whole."""

from collections.abc import Sequence

from tokenizers import Tokenizer

Ids = list[int]  # of the tokens of a passage, special tokens included
TITLE_SHARE = 4  # at most one token in so many of a passage repeats the document's title


class Splitter:
    """Windows of at most `size` tokens that overlap, each under the document's title."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._size, self._overlap = size, overlap
        self._first, self._last = self._tokenizer.encode("").ids  # [CLS] and [SEP], in BERT's words

    def split(self, documents: Sequence[tuple[str, str]]) -> list[list[Ids]]:
        """Return the passages of each document, a title and a text; at least one each."""
        titles = self._encode([f"{title}." if title else "" for title, _ in documents])
        texts = self._encode([text for _, text in documents])
        return [self._cut(*document) for document in zip(titles, texts, strict=True)]

    def _cut(self, title: Ids, text: Ids) -> list[Ids]:
        head = [self._first, *title[: self._size // TITLE_SHARE]]
        room = self._size - len(head) - 1
        starts = range(0, max(1, len(text) - self._overlap), room - self._overlap)
        return [[*head, *text[start : start + room], self._last] for start in starts]

    def _encode(self, texts: list[str]) -> list[Ids]:
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]
