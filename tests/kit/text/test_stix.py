"""The reader of ATT&CK: who did what, without the name that would reveal the answer."""

import json
from pathlib import Path

import pytest

from portfolio_kit.text.stix import clean, names, procedures, read_bundle

BEAR = {
    "type": "intrusion-set",
    "id": "intrusion-set--1",
    "name": "Grey Bear",
    "aliases": ["Grey Bear", "GB", "C++ Crew"],
}
TOOL = {
    "type": "malware",
    "id": "malware--1",
    "name": "Sniff",
    "x_mitre_aliases": ["Sniff", "Sniff Pro"],
}
TECHNIQUE = {"type": "attack-pattern", "id": "attack-pattern--1"}


def uses(source, target, description=None):
    link = {"type": "relationship", "relationship_type": "uses"}
    link |= {"source_ref": source["id"], "target_ref": target["id"], "id": "relationship--1"}
    return link if description is None else {**link, "description": description}


def test_only_described_uses_of_techniques_are_read():
    described = uses(BEAR, TECHNIQUE, "It lists files.")
    links = [
        {**uses(BEAR, TECHNIQUE, "No."), "relationship_type": "mitigates"},
        uses(BEAR, TECHNIQUE),
        uses(BEAR, TECHNIQUE, ""),
        uses(BEAR, TOOL, "It uses Sniff."),
        described,
    ]
    assert [*procedures([*links, BEAR, TOOL, TECHNIQUE])] == [(described, BEAR, TECHNIQUE)]


def test_a_use_by_an_unknown_actor_is_an_error():
    with pytest.raises(KeyError, match="intrusion-set--1"):
        list(procedures([uses(BEAR, TECHNIQUE, "It lists files."), TECHNIQUE]))


def test_only_a_bundle_is_read():
    file = Path("bundle.json")
    file.write_text(json.dumps({"type": "bundle", "objects": [BEAR]}), encoding="utf-8")
    assert read_bundle(file) == [BEAR]
    for other in ([BEAR], BEAR):
        file.write_text(json.dumps(other), encoding="utf-8")
        with pytest.raises(ValueError, match="read as an ATT&CK bundle"):
            read_bundle(file)


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("Grey Bear lists files.", "the actor lists files."),
        ("GB, also C++ Crew, lists files.", "the actor, also the actor, lists files."),
        ("Grey Bear's tools list files.", "the actor's tools list files."),
        ("Grey Bears are no GBX.", "Grey Bears are no GBX."),
    ],
)
def test_every_name_of_the_actor_is_masked_but_no_part_of_a_word(written, read_as):
    assert clean(written, names(BEAR)) == read_as


def test_the_longest_name_is_masked_first():
    assert clean("Sniff Pro and Sniff list files.", names(TOOL)) == (
        "the actor and the actor list files."
    )


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("It lists files.(Citation: Some Report 2020)", "It lists files."),
        ("It lists (Citation: A)(Citation: B, C) files.", "It lists files."),
        ("[It](https://attack.mitre.org/software/S0001) lists files.", "the actor lists files."),
        ("[Bear](https://attack.mitre.org/groups/G01) lists files.", "the actor lists files."),
        ("It runs [cmd](https://attack.mitre.org/techniques/T1) often.", "It runs cmd often."),
        ("It runs <code>ls -l</code> often.", "It runs ls -l often."),
        ("It  lists\n files. ", "It lists files."),
    ],
)
def test_citations_links_and_markup_are_stripped(written, read_as):
    assert clean(written, names(BEAR)) == read_as


def test_without_names_nothing_is_masked():
    assert clean("Grey Bear lists  files.(Citation: A)", []) == "Grey Bear lists files."
