"""Reads the procedure sentences of MITRE ATT&CK, a STIX 2 bundle, as labelled texts."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

MASK = "the actor"
CITATION = re.compile(r"\(Citation: [^)]*\)")
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
ACTOR_PAGE = re.compile(r"attack\.mitre\.org/(groups|software|campaigns)/")
MARKUP = re.compile(r"</?code>")


def read(path: Path) -> pd.DataFrame:
    """Return columns text, tactic, actor: one row for each sentence on how an actor did something.

    A sentence inherits the tactic of the technique that it is cited for. A technique that serves
    several tactics would give its sentences several labels; those sentences are left out, and
    counted in `attrs["dropped"]`.
    """
    bundle = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(bundle, dict) or bundle.get("type") != "bundle":
        raise ValueError("a .json file is read as an ATT&CK bundle; save records as .jsonl")
    objects = bundle["objects"]
    by_id = {item["id"]: item for item in objects}
    rows = []
    for link in objects:
        if link["type"] != "relationship" or link["relationship_type"] != "uses":
            continue
        actor, technique = by_id[link["source_ref"]], by_id[link["target_ref"]]
        if technique["type"] != "attack-pattern" or not link.get("description"):
            continue
        tactics = [phase["phase_name"] for phase in technique["kill_chain_phases"]]
        rows.append((clean(link["description"], names(actor)), tactics, actor["name"]))
    table = pd.DataFrame(rows, columns=["text", "tactic", "actor"])
    one = table["tactic"].map(len) == 1
    kept = table[one].reset_index(drop=True)
    kept["tactic"] = kept["tactic"].str[0]
    kept.attrs["dropped"] = {"several_tactics": int((~one).sum())}
    return kept


def names(actor: dict[str, Any]) -> list[str]:
    """Return every name of an actor or tool, the longest first."""
    known = {actor["name"], *actor.get("aliases", []), *actor.get("x_mitre_aliases", [])}
    return sorted(known, key=lambda name: (-len(name), name))


def clean(sentence: str, actor_names: list[str]) -> str:
    """Strip citations, links and markup, and mask who did it: a name would give the answer away."""
    sentence = LINK.sub(
        lambda link: MASK if ACTOR_PAGE.search(link[2]) else link[1], CITATION.sub("", sentence)
    )
    any_name = "|".join(re.escape(name) for name in actor_names)
    sentence = re.sub(rf"(?<!\w)(?:{any_name})(?!\w)", MASK, MARKUP.sub("", sentence))
    return " ".join(sentence.split())
