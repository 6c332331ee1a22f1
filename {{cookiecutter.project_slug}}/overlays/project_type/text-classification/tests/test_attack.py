"""The reader of ATT&CK: sentences with their tactic, and without the name that gives it away."""

import json
from pathlib import Path

import pytest

from {{cookiecutter.package_name}}.data import attack, readers
from {{cookiecutter.package_name}}.errors import UserError


def technique(number, *tactics):
    phases = [{"kill_chain_name": "mitre-attack", "phase_name": tactic} for tactic in tactics]
    return {
        "type": "attack-pattern",
        "id": f"attack-pattern--{number}",
        "kill_chain_phases": phases,
    }


def uses(source, target, description=None):
    link = {"type": "relationship", "id": "relationship--1", "relationship_type": "uses"}
    link |= {"source_ref": source, "target_ref": target}
    return link if description is None else {**link, "description": description}


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
THINGS = [BEAR, TOOL, technique(1, "discovery"), technique(2, "execution", "persistence")]


@pytest.fixture
def read():
    """Read a bundle of these links."""

    def read(*links):
        bundle = {"type": "bundle", "objects": [*links, *THINGS]}
        Path("bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
        return attack.read(Path("bundle.json"))

    return read


def sentence(read, description, actor=BEAR):
    return read(uses(actor["id"], "attack-pattern--1", description))["text"].item()


def test_a_sentence_has_the_tactic_of_its_technique_and_the_actor_as_group(read):
    rows = read(uses("intrusion-set--1", "attack-pattern--1", "It lists files."))
    assert rows.to_dict("records") == [
        {"text": "It lists files.", "tactic": "discovery", "actor": "Grey Bear"}
    ]


def test_a_technique_with_several_tactics_is_left_out(read):
    rows = read(
        uses("malware--1", "attack-pattern--2", "It starts with the system."),
        uses("malware--1", "attack-pattern--1", "It lists files."),
    )
    assert rows["text"].tolist() == ["It lists files."]


def test_only_described_uses_of_techniques_count(read):
    mitigates = {**uses("intrusion-set--1", "attack-pattern--1", "No."), "relationship_type": "is"}
    rows = read(
        mitigates,
        uses("intrusion-set--1", "attack-pattern--1"),
        uses("intrusion-set--1", "attack-pattern--1", ""),
        uses("intrusion-set--1", "malware--1", "It uses Sniff."),
    )
    assert rows.empty
    assert list(rows.columns) == ["text", "tactic", "actor"]


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("Grey Bear lists files.", "the actor lists files."),
        ("GB, also C++ Crew, lists files.", "the actor, also the actor, lists files."),
        ("Grey Bear's tools list files.", "the actor's tools list files."),
        ("Grey Bears are no GBX.", "Grey Bears are no GBX."),
    ],
)
def test_every_name_of_the_actor_is_masked_and_no_part_of_a_word(written, read_as, read):
    assert sentence(read, written) == read_as


def test_the_longest_name_is_masked_first(read):
    assert sentence(read, "Sniff Pro and Sniff list files.", TOOL) == (
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
def test_citations_links_and_markup_are_stripped(written, read_as, read):
    assert sentence(read, written) == read_as


def test_a_bundle_with_loose_ends_is_a_malformed_file(configure):
    loose = uses("intrusion-set--404", "attack-pattern--1", "It lists files.")
    bundle = {"type": "bundle", "objects": [loose, *THINGS]}
    Path("bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
    with pytest.raises(UserError, match=r"bundle.json cannot be parsed: .*intrusion-set--404"):
        readers.read(Path("bundle.json"), configure().data, "data.source")
