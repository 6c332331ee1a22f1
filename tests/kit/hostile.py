"""Pieces of hostile input, and how many examples the tests make of them.

By default the examples are the same in each run. `HARDER=10` tries ten times as many, all new.
"""

import os

import hypothesis
from hypothesis import HealthCheck
from hypothesis import strategies as st

TIMES = int(os.environ.get("HARDER", "1"))
DEPTH = 1_500  # of nesting, deeper than Python recurses
# Bytes and texts that have tripped up some parser.
CRUMBS = [
    "", "\x00", "\ufeff", '"', "'", "\\", "\n", "\r", "\r\n", "\t", ",", ";", ":", "{", "}", "[",
    "]", "-", "#", "&a ", "*a", "<<: ", "? ", "| ", "> ", "!!", "%", "@", "`", "NaN", "Infinity",
    "-1", "0x", "1e999", "9" * 400, "2024-02-30", "\u2028", "\ud800", "\x85", "\x1b[2J", "é", "🚰",
    "\x7f", "null", "~", "=", "<b>", "../", "://", "[" * DEPTH, '{"a":' * DEPTH,
]  # fmt: skip


def examples(count):
    """Return the settings of a test with this many examples."""
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
