"""What README and model card say of the data: the manifest in words."""

import re
from pathlib import Path

from .records import Dataset, Evaluated

ABOUT = "data/README.md"
MARK = "*Written by the template"  # of pages about the default data, with their hash
COMMENT = re.compile(r"<!--.*?(-->|$)", re.DOTALL)
USES = {"train": "training", "valid": "validation", "test": "test"}  # of splits, in words
# Why rows were dropped; other reasons are shown as the manifest has them.
REASONS = {
    "repeated": "that repeat an earlier one",
    "contradictory": "of texts with several labels",
    "in_test_source": "that are in the official test file or belong to its groups",
    "near_duplicates_in_train": "of training that nearly repeat a held-out one",
    "near_duplicates_in_valid": "of validation that nearly repeat one of the test set",
    "empty_documents": "without any text",
    "judgements_of_empty_documents": "about documents without any text",
    "before_first_or_after_last_value": "before a series' first value or after its last",
}


def section(data: Dataset, rows: str) -> str:
    """Return the README's section: what its author says of these data, and what the run knows.

    `rows` is what the splits hold, such as "texts".
    """
    page = _page()
    if not _is_about(page, data):
        told = f"*What these data are, nobody has written yet; it belongs in [`{ABOUT}`]({ABOUT}).*"
    else:
        told = _introduction(page)
    return "\n\n".join(filter(None, [told, facts(data, rows)]))


def facts(data: Dataset, rows: str, root: str = "") -> str:
    """Return a list of where the data came from, what is in them, and how they were split.

    `root` leads from the text's folder to the project's.
    """
    counts = [
        f"{data.rows[name]:,} {rows} for {use}"
        for name, use in USES.items()
        if name != "test" or not data.test_source
    ]
    dropped = [
        f"{count:,} {REASONS.get(name) or name.replace('_', ' ')}"
        for name, count in data.dropped.items()
        if count
    ]
    said = {
        "Source": f"{code(data.source)} (sha256 `{data.sha256}`)",
        "Test set": f"{test_set(data, rows)}, used as it is" if data.test_source else "",
        "Terms": f"[`{ABOUT}`]({root}{ABOUT})",
        "Rows": ", ".join(counts),
        **data.contents(),
        "Dropped": "; ".join(dropped) or "nothing",
        "Split": data.how_split(),
    }
    if not _is_about(_page(), data):
        said["Terms"] = f"not stated yet; `{ABOUT}` is not about these data"
    return "\n".join(f"- **{name}**: {text}." for name, text in said.items() if text)


def test_set(data: Dataset | Evaluated, rows: str) -> str:
    """Return what the test set is: held-out rows, or an official file with its hash."""
    count = f"{data.rows['test']:,}"
    if data.test_source is None:
        return f"{count} held-out {rows}"
    file = f"{code(data.test_source)} (sha256 `{data.test_sha256}`)"
    return f"the {count} {rows} of the official test file {file}"


def code(text: str) -> str:
    """Return text as code, without what would end it."""
    return f"`{' '.join(text.split()).translate({ord('`'): chr(39), ord('<'): '‹'})}`"


def _page() -> str:
    page = Path(ABOUT)
    return page.read_text(encoding="utf-8", errors="replace") if page.is_file() else MARK


def _is_about(page: str, data: Dataset) -> bool:
    """Tell whether a page is about these data: the author's, or the template's with their hash."""
    return MARK not in page or data.sha256 in page


def _introduction(page: str) -> str:
    """Return the first paragraph below the first heading of the page's sections, if any."""
    _, _, below = COMMENT.sub("", page).partition("\n## ")
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", below.partition("\n")[2])]
    first = next(filter(None, paragraphs), "")
    # Its links are relative to the page's folder.
    return re.sub(r"\]\((?![a-z]+:|#)", "](data/", first)
