"""Does README.md explain it, in the author's words, with the numbers of the run?"""

import re
from collections.abc import Iterator
from typing import Any

from .criteria import NOT_YET, PARTLY, Finding, criterion, judge
from .origin import COMMENT, RECORD, WRITTEN, triples
from .project import Project, number

SECTIONS = ("Results", "Data", "Methodology", "Trade-offs", "Limits", "What to improve")
AUTHORS = ("Why this problem", "Trade-offs", "What to improve")
ENOUGH_WORDS = 40
TEMPLATES = 0.25  # of the words: what a synonym in every fourth leaves
IMAGE = re.compile(r"(?:!\[[^\[\]]*\]\(|<img\s[^<>]*?src=\")([^)\s\"]+)")
NAMES = (
    r"accuracy|(?:macro[- ]?)?f1(?:[- ]score)?|ece|mape|wape|mase|rmse"
    r"|ndcg@10|mrr@10|recall@10|recall@100"
)
CLAIM = re.compile(
    rf"\b({NAMES})\b(?: (?:of|is|was|reaches|at))?[: =|*]+(\d++\.\d++|\d++(?= ?%))", re.IGNORECASE
)
ASIDE = re.compile(r"`[^`]*`|\([^()/]*/[^()]*\)")  # code, and addresses of links


@criterion("readme.sections", "the sections that a reader looks for")
def sections(project: Project) -> Finding:
    faults = [
        f'README.md: no section "{name}", or nothing in it'
        for name in SECTIONS
        if not COMMENT.sub("", project.section(name)).strip()
    ]
    advice = "Write the section, in any language; its heading begins with the English name."
    return judge(faults, f"README.md: {', '.join(SECTIONS)}", advice, PARTLY)


@criterion("readme.own_words", "why, trade-offs and what to improve in the author's own words")
def own_words(project: Project) -> Finding:
    if not project.record:
        found = [f"{RECORD}: not here, so whose words they are is not known"]
        return Finding(NOT_YET, found, "`cruft update` brings it.")
    faults, evidence = [], []
    known: set[str] = set()
    for name in AUTHORS:
        text = WRITTEN.sub("", project.section(name))
        # What is said again, here or in another section, is not said more.
        said = triples(text)
        words = len(said - known) + 2 if said else len(COMMENT.sub("", text).split())
        known |= said
        share = project.of_the_template(text)
        where = f"{project.at('README.md', f'^## .*{name}')}, {name}"
        if share > TEMPLATES or words < ENOUGH_WORDS:
            reason = f"{words} words" if words < ENOUGH_WORDS else f"{share:.0%} the template's"
            faults.append(f"{where}: {reason}")
        else:
            evidence.append(f"{where}: {words} words, {share:.0%} the template's")
    verdict = PARTLY if evidence else NOT_YET
    advice = f"Write it yourself, {ENOUGH_WORDS} words or more, and delete the template's."
    return judge(faults, evidence, advice, verdict)


@criterion("readme.numbers", "every number of the results is one of reports/metrics.json")
def numbers(project: Project) -> Finding:
    text = project.text("README.md")
    written = "\n".join(match[0] for match in WRITTEN.finditer(text))
    advice = "Run `make report`; it writes the results section."
    if not project.metrics or not re.search(r"\d\.\d", written):
        return Finding(NOT_YET, ["README.md: no results of a run"], advice)
    known = [*_numbers(project.metrics)]
    shown = re.findall(r"(?<![\w.])\d++\.\d++(?![\w.]*\w)", ASIDE.sub("", written))
    claimed = [match[2] for match in CLAIM.finditer(WRITTEN.sub("", text))]
    unknown = [value for value in [*shown, *claimed] if not _is_known(value, known)]
    faults = [
        f"README.md: {value} is not in reports/metrics.json" for value in dict.fromkeys(unknown)
    ]
    return judge(faults, f"README.md: {len(shown)} numbers, all of reports/metrics.json", advice)


def _numbers(content: Any) -> Iterator[float]:
    """Yield every number of nested mappings and lists."""
    if (value := number(content)) is not None:
        yield value
    elif isinstance(content, dict | list):
        for inner in content.values() if isinstance(content, dict) else content:
            yield from _numbers(inner)


def _is_known(shown: str, known: list[float]) -> bool:
    """Tell whether a number is one that is known, rounded, as it is or in percent."""
    digits = len(shown.partition(".")[2])
    half = 0.5000001 * 10.0**-digits
    value = float(shown)
    return any(abs(abs(number) * scale - value) <= half for number in known for scale in (1, 100))


@criterion("readme.figures", "figures that are there")
def figures(project: Project) -> Finding:
    images = [name for name in IMAGE.findall(project.text("README.md")) if "://" not in name]
    faults = [f"README.md: {name} is not here" for name in images if not project.has(name)]
    if not images:
        faults = ["README.md: no figure"]
    evidence = f"README.md: {', '.join(images)}"
    return judge(faults, evidence, "Run `make pipeline`, and commit reports/ with its figures.")
