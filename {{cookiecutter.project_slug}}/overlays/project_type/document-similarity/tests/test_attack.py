"""ATT&CK for search: techniques, sentences to find them by, and no name that reveals them."""

import json
import random
from pathlib import Path

import pytest

from portfolio_kit import artifacts
from portfolio_kit.artifacts import PROCESSED

from {{cookiecutter.package_name}}.data import attack
from {{cookiecutter.package_name}}.data.prepare import Dataset, read_split
from {{cookiecutter.package_name}}.data.splits import SPLITS

BEAR = {"type": "intrusion-set", "id": "intrusion-set--1", "name": "Grey Bear", "aliases": ["GB"]}
TOOL = {"type": "malware", "id": "malware--1", "name": "Sniff", "x_mitre_aliases": ["Sniff Pro"]}


def technique(number, name, **more):
    references = [
        {"source_name": "capec", "external_id": "CAPEC-7"},
        {"source_name": "mitre-attack", "external_id": f"T100{number}"},
    ]
    return {
        "type": "attack-pattern",
        "id": f"attack-pattern--{number}",
        "name": name,
        "description": f"Adversaries may do {name.lower()}.",
        "external_references": references,
        **more,
    }


LISTING = technique(1, "File Listing")
SHELL = technique(2, "Unix Shell (sh)")
THINGS = [
    BEAR,
    TOOL,
    LISTING,
    SHELL,
    technique(3, "Old Way", revoked=True),
    technique(4, "Bygone Way", x_mitre_deprecated=True),
]


def uses(source, target, description):
    link = {"type": "relationship", "id": "relationship--1", "relationship_type": "uses"}
    link |= {"source_ref": source["id"], "target_ref": f"attack-pattern--{target}"}
    return {**link, "description": description}


@pytest.fixture
def read():
    """Read a bundle of these links."""

    def read(*links, things=THINGS):
        bundle = {"type": "bundle", "objects": [*links, *things]}
        Path("bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
        return attack.read(Path("bundle.json"))

    return read


@pytest.fixture
def read_one(read):
    """Read one sentence about a technique; return the query that it becomes."""

    def read_one(sentence, target=1):
        [query] = read(uses(BEAR, target, sentence)).judged["query"]
        return query

    return read_one


def test_current_techniques_are_the_documents(read):
    found = {one.id: one for one in read().documents}
    assert list(found) == ["T1001", "T1002"]
    assert found["T1001"].title == "File Listing"
    assert found["T1001"].text == "Adversaries may do file listing."


def test_a_documents_text_has_no_citations_links_or_markup(read):
    text = "They [list](https://attack.mitre.org/techniques/T1) <code>ls</code>.(Citation: A 2020)"
    [document] = read(things=[technique(1, "Listing", description=text)]).documents
    assert document.text == "They list ls."


def test_a_sentence_is_a_query_its_technique_relevant_and_its_actor_the_group(read):
    bundle = read(uses(TOOL, 1, "Sniff Pro walks through all folders.(Citation: B)"))
    assert bundle.judged.to_dict("records") == [
        {
            "query": "the actor walks through all folders.",
            "group": "Sniff",
            "document_id": "T1001",
            "query_id": "0",
            "relevance": 1,
        }
    ]
    assert bundle.dropped == {"too_short": 0, "repeated": 0}


@pytest.mark.parametrize(
    ("sentence", "query"),
    [
        ("Grey Bear did File Listing on the server.", "the actor did on the server."),
        ("It did file listing, FILE LISTING and more.", "It did , and more."),
        ("It did file listings on the server.", "It did file listings on the server."),
        ("It used T1001 and T1059.003 on the server.", "It used and on the server."),
        ("It opened AT1001 and port T10010 there.", "It opened AT1001 and port T10010 there."),
        (
            "It ran [ls](https://attack.mitre.org/techniques/T1001) in <code>/tmp</code> daily.",
            "It ran ls in /tmp daily.",
        ),
    ],
    ids=["name", "any case", "part of a word", "identifiers", "no identifiers", "link"],
)
def test_what_reveals_the_answer_is_removed(sentence, query, read_one):
    assert read_one(sentence) == query


def test_a_name_with_brackets_is_removed_as_well(read_one):
    assert read_one("It ran Unix Shell (sh) on each host.", target=2) == "It ran on each host."


def test_the_same_sentence_about_several_techniques_is_one_query(read):
    bundle = read(
        uses(BEAR, 1, "Grey Bear walks through folders."),
        uses(TOOL, 1, "It copies itself elsewhere."),
        uses(TOOL, 2, "Sniff walks through folders."),
        uses(BEAR, 2, "GB walks through folders."),
    )
    judged = bundle.judged.groupby(["query", "group"])["document_id"].agg(list).to_dict()
    assert judged == {
        ("the actor walks through folders.", "Grey Bear"): ["T1001", "T1002"],
        ("It copies itself elsewhere.", "Sniff"): ["T1001"],
    }
    assert bundle.judged["query_id"].nunique() == 2
    assert bundle.dropped["repeated"] == 1


def test_sentences_about_revoked_techniques_are_left_out(read):
    bundle = read(
        uses(BEAR, 3, "It walks through all folders."),
        uses(BEAR, 4, "It walks through all folders."),
    )
    assert bundle.judged.empty
    assert bundle.dropped == {"too_short": 0, "repeated": 0}


def test_a_sentence_that_only_names_its_technique_is_left_out_and_counted(read):
    bundle = read(uses(BEAR, 1, "GB: T1001"), uses(BEAR, 1, "GB lists all files."))
    assert bundle.judged["query"].tolist() == ["the actor lists all files."]
    assert bundle.dropped == {"too_short": 1, "repeated": 0}


def bundle_of(count):
    """Return a bundle of ten actors with as many sentences each."""
    actors = [{"type": "malware", "id": f"malware--{n}", "name": f"Actor{n}"} for n in range(10)]
    words = ["north", "east", "south", "west", "apple", "pear", "plum", "cherry", "oak", "elm"]
    links = [
        uses(actor, 1 + (n + m) % 2, f"Actor{n} {words[n]} copies {words[m]} {n * m} {word} files.")
        for n, (actor, word) in enumerate(zip(actors, words[::-1], strict=True))
        for m in range(count)
    ]
    return {"type": "bundle", "objects": [*links, *actors, LISTING, SHELL]}


def test_the_data_stage_reads_a_bundle_and_keeps_each_actor_on_one_side(run, configure):
    Path("attack.json").write_text(json.dumps(bundle_of(8)), encoding="utf-8")
    configure({"data.source": "attack.json", "data.near_duplicate_similarity": None})
    outcome = run("data")
    assert outcome.code == 0, outcome.err
    groups = [set(read_split(name)["group"]) for name in SPLITS]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10
    facts = artifacts.read_manifest(PROCESSED, Dataset, made_by="data")
    assert sum(facts.rows.values()) == 80
    assert facts.documents == 2
    assert facts.dropped == {"too_short": 0, "repeated": 0, "empty_documents": 0}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "a .json file is read as an ATT&CK bundle; save records as .jsonl"),
        ("{", "Expecting property name"),
        ('{"type": "bundle", "objects": [{"type": "relationship"}]}', "'id'"),
        ('{"type": "bundle", "objects": []}', None),
        (b"\xff\xfe", "can't decode byte 0xff"),
    ],
    ids=["a list", "not JSON", "not STIX", "empty", "not UTF-8"],
)
def test_a_file_that_is_not_a_bundle_is_rejected(content, reason, rejection, configure):
    content = content if isinstance(content, bytes) else content.encode()
    Path("attack.json").write_bytes(content)
    configure({"data.source": "attack.json"})
    [line] = rejection("data")
    if reason is None:
        assert line == "error: data.source: no document has any text"
    else:
        assert line.startswith("error: data.source: attack.json cannot be parsed: ")
        assert reason in line


@pytest.mark.parametrize("seed", range(100))
def test_any_altered_bundle_is_read_or_rejected(seed, configure, run):
    """Bytes are cut, replaced or doubled at random."""
    content, chance = bytearray(json.dumps(bundle_of(3)).encode()), random.Random(seed)
    for _ in range(chance.randint(1, 4)):
        place, length = chance.randrange(len(content)), chance.choice([0, 1, 5, 40, 5_000])
        piece = chance.choice([b"", b"null", b"\xff", b'"', b"{}", b"[", content[place:][:30]])
        content[place : place + length] = piece
    Path("attack.json").write_bytes(content)
    configure({"data.source": "attack.json"})
    outcome = run("data")
    if outcome.code == 0:
        artifacts.read_manifest(PROCESSED, Dataset, made_by="data")
    else:
        assert outcome.err.startswith("error: data.source: ")
        assert len(outcome.err) < 600
        assert not PROCESSED.exists()
