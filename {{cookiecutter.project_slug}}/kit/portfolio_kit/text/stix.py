"""Reads MITRE ATT&CK, a STIX 2 bundle: who used which technique, with a sentence on how."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MASK = "the actor"
CITATION = re.compile(r"\(Citation: [^)]*\)")
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
ACTOR_PAGE = re.compile(r"attack\.mitre\.org/(groups|software|campaigns)/")
MARKUP = re.compile(r"</?code>")

Thing = dict[str, Any]  # an object of a bundle


def read_bundle(path: Path) -> list[Thing]:
    """Return the objects of a bundle; raises `ValueError` for any other file."""
    bundle = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(bundle, dict) or bundle.get("type") != "bundle":
        raise ValueError("a .json file is read as an ATT&CK bundle; save records as .jsonl")
    return bundle["objects"]


def procedures(objects: list[Thing]) -> Iterator[tuple[Thing, Thing, Thing]]:
    """Yield each described use of a technique: the relationship, the actor or tool, the technique.

    Raises `KeyError` for a relationship with an object that is missing.
    """
    by_id = {item["id"]: item for item in objects}
    for link in objects:
        if link["type"] != "relationship" or link["relationship_type"] != "uses":
            continue
        actor, technique = by_id[link["source_ref"]], by_id[link["target_ref"]]
        if technique["type"] == "attack-pattern" and link.get("description"):
            yield link, actor, technique


def names(actor: Thing) -> list[str]:
    """Return every name of an actor or tool, the longest first."""
    known = {actor["name"], *actor.get("aliases", []), *actor.get("x_mitre_aliases", [])}
    return sorted(known, key=lambda name: (-len(name), name))


def clean(sentence: str, actor_names: list[str]) -> str:
    """Strip citations, links and markup, and mask the actor, whose name would reveal the answer."""
    sentence = LINK.sub(
        lambda link: MASK if ACTOR_PAGE.search(link[2]) else link[1], CITATION.sub("", sentence)
    )
    sentence = MARKUP.sub("", sentence)
    if actor_names:
        any_name = "|".join(re.escape(name) for name in actor_names)
        sentence = re.sub(rf"(?<!\w)(?:{any_name})(?!\w)", MASK, sentence)
    return " ".join(sentence.split())
