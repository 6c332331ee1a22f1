"""What hostile input is made of, and how hard tests that make it up look.

They try the same examples each time. `HARDER=10` has them try ten times as many, and new ones.
"""

import os

import hypothesis
from hypothesis import HealthCheck
from hypothesis import strategies as st

from {{cookiecutter.package_name}} import artifacts, config
from {{cookiecutter.package_name}}.artifacts import PROCESSED
from {{cookiecutter.package_name}}.errors import UserError, lines_of
from {{cookiecutter.package_name}}.params import Params

KNOWN = tuple(config._keys(Params))
TIMES = int(os.environ.get("HARDER", "1"))
DEPTH = 3_000  # of nesting, which no parser goes along with
# Bytes and texts that some parser or other has stumbled over.
CRUMBS = [
    "", "\x00", "\ufeff", '"', "'", "\\", "\n", "\r", "\r\n", "\t", ",", ";", ":", "{", "}", "[",
    "]", "-", "#", "&a ", "*a", "<<: ", "? ", "| ", "> ", "!!", "%", "@", "`", "NaN", "Infinity",
    "-1", "0x", "1e999", "9" * 400, "2024-02-30", "\u2028", "\ud800", "\x85", "\x1b[2J", "é", "🚰",
    "\x7f", "null", "~", "=", "<b>", "../", "://", "[" * DEPTH, '{"a":' * DEPTH,
]  # fmt: skip


def examples(count):
    """Return the settings of a test that tries so many examples."""
    return hypothesis.settings(
        max_examples=count * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )


def altered(content):
    """Return a strategy for a file's content with some of its bytes cut, moved or replaced."""
    crumbs = st.sampled_from([crumb.encode("utf-8", "surrogatepass") for crumb in CRUMBS])
    place = st.integers(0, len(content))
    change = st.tuples(place, st.integers(0, 40), st.one_of(crumbs, st.binary(max_size=4)))
    others = ["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig"]

    def apply(changes, cut, encoding):
        changed = content
        for start, length, piece in changes:
            changed = changed[:start] + piece + changed[start + length :]
        changed = changed[:cut]
        if encoding:
            changed = changed.decode("utf-8", "replace").encode(encoding, "replace")
        return changed

    return st.builds(
        apply,
        st.lists(change, max_size=4),
        st.one_of(*[st.none()] * 3, place),
        st.sampled_from([*[None] * 6, *others]),
    )


def prepared(run, params):
    """Run the data stage; return its manifest, or None for data that is refused as it should be.

    What is refused leaves `data/processed/` as it was, and what is not has all that it lists there.
    """
    before, reasons = processed(), []
    try:
        run(params)
    except UserError as error:
        reasons = lines_of(error)
    if not reasons:
        return artifacts.read_manifest(PROCESSED, made_by="data")
    for line in reasons:
        assert line.startswith(KNOWN), reasons
        assert len(line) < 2_000, reasons
    assert processed() == before
    return None


def processed():
    """Return what is in `data/processed/`."""
    files = sorted(PROCESSED.iterdir()) if PROCESSED.is_dir() else []
    return {file.name: file.read_bytes() for file in files}
