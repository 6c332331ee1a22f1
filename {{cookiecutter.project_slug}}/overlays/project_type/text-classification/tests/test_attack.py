"""The texts of ATT&CK: sentences with their tactic, and without the name that gives it away."""

import json
from pathlib import Path

import pytest

from {{cookiecutter.package_name}}.data import attack


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
        return attack.read(Path("bundle.json"), ["text", "tactic", "actor"]).table

    return read


def test_a_sentence_gets_the_tactic_of_its_technique_and_the_actor_as_group(read):
    rows = read(uses("intrusion-set--1", "attack-pattern--1", "Grey Bear lists files."))
    assert rows.to_dict("records") == [
        {"text": "the actor lists files.", "tactic": "discovery", "actor": "Grey Bear"}
    ]


def test_sentences_on_a_technique_with_several_tactics_are_dropped_and_counted(read):
    rows = read(
        uses("malware--1", "attack-pattern--2", "It starts with the system."),
        uses("malware--1", "attack-pattern--1", "It lists files."),
    )
    assert rows["text"].tolist() == ["It lists files."]
    assert rows.attrs["dropped"] == {"with_several_tactics": 1}


def test_a_bundle_that_refers_to_a_missing_object_is_rejected(configure, rejection):
    loose = uses("intrusion-set--404", "attack-pattern--1", "It lists files.")
    bundle = {"type": "bundle", "objects": [loose, *THINGS]}
    Path("bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
    configure({"data.source": "bundle.json"})
    [line] = rejection("data")
    assert line.startswith("error: data.source: bundle.json cannot be parsed: ")
    assert "intrusion-set--404" in line
