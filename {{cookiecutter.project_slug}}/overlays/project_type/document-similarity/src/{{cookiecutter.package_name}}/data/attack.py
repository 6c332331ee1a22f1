"""Reads MITRE ATT&CK for search: techniques as documents, analysts' sentences as queries."""

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..retrieval.documents import Document
from .stix import Thing, clean, names, procedures, read_bundle

IDENTIFIER = re.compile(r"\bT\d{4}(\.\d{3})?\b")
MIN_WORDS = 3  # left of a query without the technique's name


class Bundle(NamedTuple):
    """What the bundle holds, less what cannot be used."""

    documents: list[Document]
    queries: pd.DataFrame  # query_id, query, group: the actor or tool that it is about
    judgements: pd.DataFrame  # query_id, document_id, relevance
    dropped: dict[str, int]


def read(path: Path) -> Bundle:
    """Return techniques, and sentences on how somebody used one, each judged relevant to it.

    Citations, links, and the names of actor and technique are taken out of a query: they would give
    the answer away. Sentences that are then the same are one query, with all its techniques.
    """
    objects = read_bundle(path)
    techniques = {item["id"]: item for item in objects if _is_current_technique(item)}
    documents = [
        Document(identifier(item), item["name"], clean(item["description"], []))
        for item in techniques.values()
    ]
    rows, too_short = [], 0
    for link, actor, technique in procedures(objects):
        if technique["id"] not in techniques:
            continue
        query = without_answer(clean(link["description"], names(actor)), technique)
        if len(query.split()) < MIN_WORDS:
            too_short += 1
            continue
        rows.append((query, actor["name"], identifier(technique)))
    table = pd.DataFrame(rows, columns=["query", "group", "document_id"])
    table["query_id"] = [str(number) for number in pd.factorize(table["query"])[0]]
    first = table.drop_duplicates("query_id")
    judgements = table[["query_id", "document_id"]].drop_duplicates().assign(relevance=1)
    repeated = len(table) - len(judgements)
    return Bundle(
        documents,
        first[["query_id", "query", "group"]],
        judgements,
        {"too_short": too_short, "repeated": repeated},
    )


def identifier(technique: Thing) -> str:
    """Return the identifier that people know a technique by, such as T1059.001."""
    references = technique["external_references"]
    return next(one["external_id"] for one in references if one["source_name"] == "mitre-attack")


def without_answer(sentence: str, technique: Thing) -> str:
    """Take the technique's own name, and all identifiers, out of a sentence."""
    name = rf"(?<!\w){re.escape(technique['name'])}(?!\w)"
    sentence = re.sub(name, "", sentence, flags=re.IGNORECASE)
    return " ".join(IDENTIFIER.sub("", sentence).split())


def _is_current_technique(item: Thing) -> bool:
    is_gone = item.get("revoked") or item.get("x_mitre_deprecated")
    return item["type"] == "attack-pattern" and not is_gone
