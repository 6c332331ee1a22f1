"""What the template generated, as hashes: `.generated.json`, written once, at generation.

A file is a SHA-256 and a short hash of each of its lines, so that what its owner has added and
removed since can be counted. Prose is a short hash of each three words in a row: words of one's own
are told from the template's, however the lines are broken.
"""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

RECORD = ".generated.json"
PROSE = ("README.md", "data/README.md")
LINE, WORDS = 4, 6  # hexadecimal digits of a short hash
# What the run writes into README.md, and nobody else. Here and elsewhere no pattern reads on past
# the next start: a text of nothing but starts would take it hours.
WRITTEN = re.compile(r"<!-- (\w+):start -->(?:(?!<!-- \w+:start).)*?<!-- \1:end -->", re.DOTALL)
COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL)
CODE = (".py", ".sh")


def short(text: str, digits: int) -> str:
    """Return the first digits of a text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def lines(text: str, name: str) -> Counter[str]:
    """Return the short hashes of a file's lines, blank and comment lines left out, with counts."""
    stripped = (line.strip() for line in WRITTEN.sub("", text).splitlines())
    nothing = ("", "#") if name.endswith(CODE) else ("",)
    return Counter(short(line, LINE) for line in stripped if line[:1] not in nothing)


def triples(text: str) -> set[str]:
    """Return the short hashes of each three words in a row, comments left out."""
    words = re.findall(r"\w+", COMMENT.sub(" ", text).lower())
    return {short(" ".join(words[i : i + 3]), WORDS) for i in range(len(words) - 2)}


def pieces(hashes: str, digits: int) -> list[str]:
    """Return the short hashes that a record holds in one string."""
    return [hashes[i : i + digits] for i in range(0, len(hashes), digits)]


def describe(project: Path, facts: dict[str, object]) -> dict[str, object]:
    """Return the record of a freshly generated project: the facts, and all of its files."""
    files = {}
    for path in sorted(project.rglob("*")):
        name = path.relative_to(project).as_posix()
        if not path.is_file() or name == RECORD or name.startswith(".git/"):
            continue
        content = path.read_bytes()
        hashes = lines(content.decode("utf-8", "replace"), name)
        files[name] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "lines": "".join(sorted(hashes.elements())),
        }
    prose = {
        name: "".join(sorted(triples((project / name).read_text("utf-8"))))
        for name in PROSE
        if name in files
    }
    params = (project / "params.yaml").read_text("utf-8") if "params.yaml" in files else ""
    return {**facts, "params": params, "prose": prose, "files": files}


def write(project: Path, facts: dict[str, object]) -> None:
    """Write the record of a freshly generated project, unless it has one."""
    record = project / RECORD
    if not record.exists():
        text = json.dumps(describe(project, facts), indent=1, ensure_ascii=False)
        record.write_text(text + "\n", encoding="utf-8", newline="\n")
