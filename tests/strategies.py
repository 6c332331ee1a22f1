"""What people, files and programs may answer, and what has to become of it."""

import builtins
import json
import keyword
import re
import sys
import unicodedata
from pathlib import Path

from conftest import CHOICES, PROMPTS
from hypothesis import strategies as st
from test_hooks import pre_gen

# What one syntax or another would read as more than text, or as more than a name.
SYNTAX = json.loads((Path(__file__).parent / "corpus" / "syntax.json").read_text(encoding="utf-8"))
FRAGMENTS = [*SYNTAX["texts"], *(raw for raw in PROMPTS.values() if isinstance(raw, str))]
UNWELCOME = (
    "\n\r\t\0\x1b\x7f\x85\x9b\u2028\u2029\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff\ud800\udcff"
)
NOTHING = ["", " ", "\u200b", "\u3164", "\u2800 ", "\u0301", "\ufeff\u00a0"]

UNSEEN = dict.fromkeys(map(ord, "\u115f\u1160\u2800\u3164\uffa0"))  # letters without a shape
WINDOWS = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}

any_character = st.characters(exclude_categories=())
pieces = st.sampled_from(FRAGMENTS) | st.text(max_size=4)
spoken = st.lists(pieces, min_size=1, max_size=8).map("".join)
long = st.builds(lambda part, times: (part or "x") * times, spoken, st.integers(2, 300))
texts = st.one_of(
    spoken,
    spoken,
    st.text(max_size=120),
    st.text(any_character, max_size=20),
    st.builds(lambda a, b, c: a + b + c, spoken, st.sampled_from(UNWELCOME), spoken),
    st.sampled_from(NOTHING),
    long,
)

# Names that mean something to Python, Windows, a shell, a file system or the project.
TAKEN = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *sys.stdlib_module_names}
TAKEN = sorted(TAKEN | {*SYNTAX["taken"]})
well_formed = st.from_regex(r"[a-z][a-z0-9]{0,8}([-_][a-z0-9]{1,8}){0,4}", fullmatch=True)
names = st.one_of(
    well_formed,
    well_formed.map(lambda name: name.replace("_", "-")),
    well_formed.map(lambda name: name.replace("-", "_")),
    st.from_regex(r"[0-9]{1,4}(-[0-9a-f]{1,2}){0,2}", fullmatch=True),
    st.sampled_from(TAKEN),
    st.sampled_from(SYNTAX["names"]),
    st.builds(str.__mul__, st.sampled_from("az9"), st.integers(35, 65)),
    st.builds(lambda a, b, c: a + b + c, well_formed, any_character, well_formed),
    texts,
)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | spoken
of_another_type = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.dictionaries(spoken, scalars, max_size=2),
    st.lists(st.lists(spoken, min_size=1, max_size=2) | st.just({}), min_size=1, max_size=2),
)


def mostly(common, rare):
    """Return a strategy that takes one in ten from the second."""
    return st.integers(0, 9).flatmap(lambda number: rare if number == 7 else common)


def choice(name):
    """Return a strategy for a prompt that is a choice."""
    offered = st.sampled_from(CHOICES[name])
    unlisted = st.one_of(
        st.sampled_from(["", "GPL-3.0", "mit", "MIT ", "None", "text_classification", "default"]),
        texts,
        of_another_type,
        st.lists(offered, max_size=2),
    )
    return mostly(offered, unlisted)


def field(name):
    """Return a strategy for any prompt."""
    if name in CHOICES:
        return choice(name)
    return mostly(names if name in ("project_slug", "package_name") else texts, of_another_type)


FIELDS = {name: field(name) for name in PROMPTS}
any_answers = st.fixed_dictionaries({}, optional=FIELDS)
any_sets = st.fixed_dictionaries(FIELDS)


def is_name(field, value):
    """Tell whether an answer has the form of a slug or of a package's name."""
    if not value.isascii() or value != value.lower():
        return False
    if field == "package_name":
        return value.isidentifier() and value[0] != "_" and len(value) <= 40
    return all(part.isalnum() for part in value.split("-")) and len(value) <= 60


def is_taken(field, value):
    """Tell whether a name belongs to something else; what is installed is the hook's to know."""
    name = value.replace("-", "_")
    if name in WINDOWS or name in pre_gen.INSTALLED.split():
        return True
    if field == "project_slug":
        return name in pre_gen.COMMANDS.split()
    begins = [variable.lower().startswith(f"{name}_") for variable in pre_gen.VARIABLES.split()]
    return (
        keyword.iskeyword(name)
        or keyword.issoftkeyword(name)
        or hasattr(builtins, name)
        or name in (*sys.stdlib_module_names, *pre_gen.OTHER_MODULES.split())
        or name in pre_gen.FOLDERS.split()
        or name.startswith("test_")
        or name.endswith("_fixtures")
        or any(begins)
    )


def is_character(sign):
    """Tell whether a sign may occur in a line of text: not a control, separator or surrogate."""
    code = ord(sign)
    no_character = code % 0x10000 >= 0xFFFE or 0xFDD0 <= code < 0xFDF0
    return not no_character and unicodedata.category(sign) not in ("Cc", "Cs", "Zl", "Zp")


def acceptable(field, value):
    """Tell whether an answer is one to generate from, by other means than the hook's patterns."""
    if not isinstance(value, str):
        return False
    if field in CHOICES:
        return value in CHOICES[field]
    if field in ("project_slug", "package_name"):
        return is_name(field, value) and not is_taken(field, value)
    seen = any(unicodedata.category(sign)[0] in "LNPS" for sign in value.translate(UNSEEN))
    limit = 1000 if field == "problem_statement" else 100
    return seen and len(value) <= limit and all(map(is_character, value))


def good(field):
    """Return a strategy for answers that nobody should reject, however odd they look."""
    if field in CHOICES:
        return st.sampled_from(CHOICES[field])
    if field in ("project_slug", "package_name"):
        known = [name for name in SYNTAX["names"] if acceptable(field, name)]
        mark = "-" if field == "project_slug" else "_"
        formed = well_formed.map(lambda name: re.sub("[-_]", mark, name))
        strategy = formed | st.sampled_from(known) | formed.map(lambda name: (name * 60)[:40])
        return strategy.filter(lambda name: acceptable(field, name))

    def mended(text):
        shown = "".join(filter(is_character, text))[: 1000 if field == "problem_statement" else 100]
        return shown if acceptable(field, shown) else f"A{shown[1:]}"

    return texts.map(mended)


GOOD = {name: good(name) for name in PROMPTS}
good_answers = st.fixed_dictionaries({}, optional=GOOD)
good_sets = st.fixed_dictionaries(GOOD)
