"""Changes of single values: everything else stays as it was, or the file is left alone."""

import random
import tomllib

import pytest
import yaml

from portfolio_kit import edits
from portfolio_kit.errors import UserError

TEXT = """# of the file
data:
  # where it is
  source: wheel://a==1/x  # a path
  sha256: 'abc' # of it
  empty:   # nothing yet
  flow: [a,
    b]   # on two lines
  block: |  # text
    one

    two
  next: "a # b"   # quoted
serve:  # the API
  examples:  # to click
    - one
    # between
    - two  # the last
  rows: {x: 1, y: {z: 2}}  # inline
last: 1
"""
CHANGES = {
    "data.source": "C:\\data\\x.csv",
    "data.sha256": None,
    "data.empty": "a: b",
    "data.flow": ["x", "y, z"],
    "data.block": "no",
    "data.next": {"0": "ham", "yes": "on"},
    "serve.examples": None,
    "serve.rows.y.z": 3,
    "last": 0.25,
}
CHANGED = """# of the file
data:
  # where it is
  source: 'C:\\data\\x.csv'  # a path
  sha256: null # of it
  empty: 'a: b'   # nothing yet
  flow: [x, 'y, z']   # on two lines
  block: 'no'  # text
  next: {'0': ham, 'yes': 'on'}   # quoted
serve:  # the API
  examples: null  # to click
  rows: {x: 1, y: {z: 3}}  # inline
last: 0.25
"""


def test_values_change_and_comments_and_layout_stay():
    assert edits.yaml_values(TEXT, CHANGES) == CHANGED
    assert edits.yaml_values(CHANGED, CHANGES) == CHANGED


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_each_value_can_be_anything(line_end):
    """Independent of what is replaced: PyYAML reads the new value, and all others as before."""
    text = TEXT.replace("\n", line_end)
    values = ["", "null", "yes", "1", "#", "- a", "é 😀", "a\nb", "{", "x" * 300, True, 7, [], {}]
    chance = random.Random(1)
    for key in CHANGES:
        *sections, name = key.split(".")
        for value in chance.sample(values, 8):
            wanted = yaml.safe_load(text)
            section = wanted
            for part in sections:
                section = section[part]
            section[name] = value
            found = edits.yaml_values(text, {key: value})
            assert yaml.safe_load(found) == wanted
            assert found.count("\r\n") == found.count("\n") * (line_end == "\r\n")
            comments = ["# of the file", "# a path", "# nothing yet", "# to click", "# inline"]
            assert [one for one in comments if one not in found] == []


def test_a_missing_key_goes_into_its_section():
    found = edits.yaml_values(TEXT, {"data.new": 1, "serve.rows.new": [2]})
    assert "x  # a path\n  new: 1\n  sha256" in found
    assert "rows: {x: 1, new: [2], y: {z: 2}}  # inline" in found


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a: &x 1\nb: *x\n", "b"),
        ("a: &x 1\nb: *x\n", "a"),
        ("base: &x {k: 1}\nb:\n  <<: *x\n", "b.k"),
        ("a: 1\n", "b.k"),
        ("b:\n", "b.k"),
        ("b: 1\n", "b.k"),
        ("b:\n  - k\n", "b.k"),
    ],
)
def test_a_file_that_does_not_allow_it_is_named_with_the_key(text, key):
    with pytest.raises(UserError, match=rf"^params\.yaml: {key} .* set it to 2 yourself"):
        edits.yaml_values(text, {key: 2})


def test_title_and_statement_change_where_they_are():
    text = (
        "[badge](x)\r\n# Old\r\n\r\n> Says\r\n> this.\r\n\r\nMore > less\r\n\r\n"
        "## Next\r\n\r\n> q\r\n"
    )
    found = edits.readme_lines(text, "A *new* one", "It `works`.")
    assert found == (
        "[badge](x)\r\n# A \\*new\\* one\r\n\r\n> It \\`works\\`.\r\n\r\nMore > less\r\n\r\n"
        "## Next\r\n\r\n> q\r\n"
    )
    assert edits.readme_lines(text, None, None) == text
    for title, says in (("A", None), (None, "B")):
        with pytest.raises(UserError, match=r"^README\.md: begin it with the title"):
            edits.readme_lines("## Only\n\n> a section\n", title, says)


def test_a_description_changes_in_toml():
    text = '[build]\nx = 1\n[project]\ndescription = "old"\nname = "n"\n'
    says = 'A "service" \\ of é 😀.'
    found = edits.toml_description(text, says)
    assert tomllib.loads(found) == {
        "build": {"x": 1},
        "project": {"description": says, "name": "n"},
    }
    for bad in ('[project]\nname = "n"\n', '[tool]\ndescription = "x"\n[project]\n', "[x"):
        with pytest.raises(UserError, match=r"^pyproject\.toml: \[project\] has no description"):
            edits.toml_description(bad, says)
