"""Does README.md explain the project in the author's words, with the run's numbers?"""

import re
from collections.abc import Iterator
from typing import Any

from .criteria import NOT_YET, PARTLY, Finding, criterion, judge
from .origin import COMMENT, RECORD, WRITTEN, triples
from .project import Project
from .reading import number

SECTIONS = ("Results", "Data", "Methodology", "Trade-offs", "Limits", "What to improve")
AUTHORS = ("Why this problem", "Trade-offs", "What to improve")
MEASURED = ("headline", "results")  # blocks with the run's results
ENOUGH_WORDS = 40
COPIED = 0.25  # of the words: what is left after replacing every fourth one
IMAGE = re.compile(r"(?:!\[[^\[\]]*\]\(|<img\s[^<>]*?src=\")([^)\s\"]+)")
NAMES = (
    r"accuracy|(?:macro[- ]?)?f1(?:[- ]score)?|ece|mape|wape|mase|rmse"
    r"|ndcg@10|mrr@10|recall@10|recall@100"
)
CLAIM = re.compile(
    rf"\b({NAMES})\b(?: (?:of|is|was|reaches|at))?[: =|*]+(\d++\.\d++|\d++(?= ?%))", re.IGNORECASE
)
ASIDE = re.compile(r"`[^`]*`|\([^()/]*/[^()]*\)")  # code, and the targets of links


@criterion("readme.sections", "the sections that readers look for")
def sections(project: Project) -> Finding:
    faults = [
        f'README.md: section "{name}" is missing or empty'
        for name in SECTIONS
        if not COMMENT.sub("", project.section(name)).strip()
    ]
    advice = "Write the section, in any language, with a heading that begins with that name."
    return judge(faults, f"README.md: {', '.join(SECTIONS)}", advice, PARTLY)


@criterion("readme.own_words", "why, trade-offs and what to improve in the author's own words")
def own_words(project: Project) -> Finding:
    if project.origin is None:
        found = [f"{RECORD} is missing or unusable, so the author of the words is not known"]
        return Finding(NOT_YET, found, "Restore it from git.")
    faults, evidence = [], []
    known: set[tuple[str, ...]] = set()
    for name in AUTHORS:
        text = WRITTEN.sub("", project.section(name))
        # Words that are repeated, here or from another section, count once.
        said = triples(text)
        words = len(said - known) + 2 if said else len(COMMENT.sub("", text).split())
        known |= said
        share = project.from_template(text)
        where = f"{project.at('README.md', f'^## .*{name}')}, {name}"
        if share > COPIED or words < ENOUGH_WORDS:
            reason = f"{words} words" if words < ENOUGH_WORDS else f"{share:.0%} from the template"
            faults.append(f"{where}: {reason}")
        else:
            evidence.append(f"{where}: {words} words, {share:.0%} from the template")
    verdict = PARTLY if evidence else NOT_YET
    advice = f"Replace the template's text with your own, at least {ENOUGH_WORDS} words."
    return judge(faults, evidence, advice, verdict)


@criterion("readme.numbers", "every number in the results is in reports/metrics.json")
def numbers(project: Project) -> Finding:
    text = project.text("README.md")
    blocks = (match for match in WRITTEN.finditer(text) if match[1] in MEASURED)
    written = "\n".join(match[0] for match in blocks)
    advice = "Run `make report`; it writes the results section."
    if not project.metrics or not re.search(r"\d\.\d", written):
        return Finding(NOT_YET, ["README.md: no results from a run"], advice)
    known = [*_numbers(project.metrics)]
    shown = re.findall(r"(?<![\w.])\d++\.\d++(?![\w.]*\w)", ASIDE.sub("", written))
    claimed = [match[2] for match in CLAIM.finditer(WRITTEN.sub("", text))]
    unknown = [value for value in [*shown, *claimed] if not _is_known(value, known)]
    faults = [
        f"README.md: {value} is not in reports/metrics.json" for value in dict.fromkeys(unknown)
    ]
    return judge(faults, f"README.md: {len(shown)} numbers, all from reports/metrics.json", advice)


def _numbers(content: Any) -> Iterator[float]:
    """Yield every number of nested mappings and lists."""
    if (value := number(content)) is not None:
        yield value
    elif isinstance(content, dict | list):
        for inner in content.values() if isinstance(content, dict) else content:
            yield from _numbers(inner)


def _is_known(shown: str, known: list[float]) -> bool:
    """Tell whether a number is a known one, rounded, as it is or in percent."""
    digits = len(shown.partition(".")[2])
    half = 0.5000001 * 10.0**-digits
    value = float(shown)
    return any(abs(abs(number) * scale - value) <= half for number in known for scale in (1, 100))


@criterion("readme.figures", "figures that exist")
def figures(project: Project) -> Finding:
    images = [name for name in IMAGE.findall(project.text("README.md")) if "://" not in name]
    faults = [f"README.md: {name} is missing" for name in images if not project.has(name)]
    if not images:
        faults = ["README.md: no figure"]
    evidence = f"README.md: {', '.join(images)}"
    return judge(faults, evidence, "Run `make pipeline`, and commit reports/ with its figures.")
