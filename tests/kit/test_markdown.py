"""Tables show a text literally, whatever it contains."""

import re

import pytest

from portfolio_kit.markdown import MAX_MARKS, legend, table


def cells(line):
    """Return the cells of a row as a reader sees them."""
    return [re.sub(r"\\(.)", r"\1", cell).strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>bold</b> & | pipes", None),
        ("`code` *stars* [link](x) ~no~ $x$", None),
        ("two\nlines", "two lines"),
        ("x" * 301, "x" * 299 + "…"),
        ("", None),
    ],
    ids=["tags", "marks", "lines", "long", "empty"],
)
def test_a_text_is_shown_literally(text, shown):
    head, rule, row = table("number|text", [("1", text)]).splitlines()
    assert cells(head) == ["number", "text"]
    assert set(rule) == set("|- ")
    assert cells(row) == ["1", text if shown is None else shown]
    assert not re.search(r"(?<!\\)[<*`\[~$]", row)


def test_the_legend_of_marks_says_what_each_replaces():
    assert legend({}) == ""
    assert legend({"[1]": "配送", "[2]": "<b>"}).endswith(r"\[1\] 配送, \[2\] \<b\>.")
    many = {f"[{n}]": f"名{n}" for n in range(150)}
    assert legend(many).endswith(f" and {150 - MAX_MARKS} more.")
