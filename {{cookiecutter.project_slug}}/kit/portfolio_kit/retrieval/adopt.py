"""Looks at documents in the BEIR layout, for `adopt`."""

import os
from itertools import islice
from pathlib import Path
from typing import Any

from .. import artifacts, markdown
from ..adopting import Asked, Seen
from ..errors import UserError
from . import archives, beir, qrels
from .documents import Document
from .faults import Faults
from .lines import FIELD
from .words import STOP_WORDS, WORD

SHOWN = 3  # documents and queries
WIDTH = 70  # characters of each
SAMPLE = 500  # documents that tell the language
MIN_SHARE = 0.2  # of words that are a language's stop words; of English texts, about 0.4 are
LEAD = 1.3  # over the next language: neighbours share many
SETS = {name: frozenset(words) for name, words in STOP_WORDS.items()}


def look(asked: Asked) -> Seen:
    """Return what a folder or an archive holds; raises `UserError` if it is not in the layout."""
    source = asked.source
    if "://" not in source and not os.path.exists(os.path.expanduser(source)):
        raise UserError(f"{FIELD}: there is no file or folder {source}")
    folder, sha256 = archives.fetch(source, None, artifacts.RAW)
    faults = Faults(f"{FIELD}: {beir.CORPUS}")
    documents = (document for _, document in beir.documents(folder, faults))
    first = list(islice(documents, SAMPLE))
    count = len(first) + sum(1 for _ in documents)
    faults.raise_any()
    if not count:
        raise UserError(f"{FIELD}: {beir.CORPUS} holds no documents")
    queries, files = beir.queries(folder), qrels.find(folder)
    judged = {split: qrels.read(folder, name) for split, name in files.items()}

    lines = [f"{beir.CORPUS}: {count:,} documents; the first:"]
    lines += [f"  {_cut(one.id)}: {_cut(f'{one.title} {one.text}')}" for one in first[:SHOWN]]
    lines.append(f"{beir.QUERIES}: {len(queries):,} queries{'; the first:' * bool(len(queries))}")
    lines += [
        f"  {_cut(one.query_id)}: {_cut(one.query)}" for one in queries.head(SHOWN).itertuples()
    ]
    for split, table in judged.items():
        asked_for = table["query_id"].nunique()
        lines.append(
            f"{files[split]}: {len(table):,} judgements of {asked_for:,} queries, to {_use(split)}"
        )
    undecided = []
    if not judged:
        lines.append("no judgements: the encoder stays untrained, and quality cannot be measured")
        undecided.append(f"{beir.QUERIES} and qrels/test.tsv: fifty questions with their documents")
    values: dict[str, Any] = {}
    if "data.language" not in asked.known:
        values["data.language"] = language_of(first)
        undecided.append(
            f"data.language: {values['data.language'] or 'null'}, told by the words; --language "
            "sets another"
        )
    changes = asked.now.get("serve.changes")
    if isinstance(changes, str) and Path(changes).exists():
        undecided.append(
            f"{changes}: changes of other documents, if those were adopted before; stop the "
            "service and remove it"
        )
    return Seen(sha256, values, lines, undecided)


def language_of(documents: list[Document]) -> str | None:
    """Return the language whose stop words make up most of the texts; None if none stands out."""
    words = [
        word for one in documents for word in WORD.findall(f"{one.title} {one.text}".casefold())
    ]
    counts = {name: sum(word in stop for word in words) for name, stop in SETS.items()}
    best, next_best = sorted(counts, key=lambda name: counts[name], reverse=True)[:2]
    is_clear = counts[best] >= max(MIN_SHARE * len(words), LEAD * counts[next_best], 1)
    return best if is_clear else None


def _use(split: str) -> str:
    return {"train": "train", "valid": "choose a model", "test": "test"}[split]


def _cut(text: str) -> str:
    return markdown.plain(text, WIDTH)
