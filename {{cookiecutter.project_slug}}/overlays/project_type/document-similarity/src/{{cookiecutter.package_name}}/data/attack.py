"""Reads MITRE ATT&CK for search: techniques as documents, analysts' sentences as queries."""

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from portfolio_kit.errors import UserError
from portfolio_kit.retrieval.documents import Document
from portfolio_kit.text.stix import Thing, clean, names, procedures, read_bundle

IDENTIFIER = re.compile(r"\bT\d{4}(\.\d{3})?\b")
MIN_WORDS = 3  # left of a query without the technique's name


class Bundle(NamedTuple):
    """The usable contents of a bundle."""

    documents: list[Document]
    judged: pd.DataFrame  # query_id, query, group (the actor or tool), document_id, relevance
    dropped: dict[str, int]  # sentences, by reason


def read(path: Path) -> Bundle:
    """Return techniques, and sentences on how somebody used one, each judged relevant to it.

    Citations, links, and the names of actor and technique are removed from a query, since they
    would reveal the answer. Sentences that are then equal become one query with all their
    techniques. Raises `UserError` for any other file.
    """
    try:
        return _read(path)
    # A malformed bundle raises ValueError, KeyError, TypeError or StopIteration.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"data.source: {path.name} cannot be parsed: {reason:.300}") from error


def _read(path: Path) -> Bundle:
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
    # A query belongs to the actor of its first sentence.
    table["group"] = table.groupby("query_id")["group"].transform("first")
    judged = table.drop_duplicates(["query_id", "document_id"]).assign(relevance=1)
    dropped = {"too_short": too_short, "repeated": len(table) - len(judged)}
    return Bundle(documents, judged, dropped)


def identifier(technique: Thing) -> str:
    """Return the identifier that people know a technique by, such as T1059.001."""
    references = technique["external_references"]
    return next(one["external_id"] for one in references if one["source_name"] == "mitre-attack")


def without_answer(sentence: str, technique: Thing) -> str:
    """Remove the technique's own name, and every identifier, from a sentence."""
    name = rf"(?<!\w){re.escape(technique['name'])}(?!\w)"
    sentence = re.sub(name, "", sentence, flags=re.IGNORECASE)
    return " ".join(IDENTIFIER.sub("", sentence).split())


def _is_current_technique(item: Thing) -> bool:
    is_gone = item.get("revoked") or item.get("x_mitre_deprecated")
    return item["type"] == "attack-pattern" and not is_gone
