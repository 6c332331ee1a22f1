"""Any params.yaml, `--set` or environment gives parameters, or a reason in plain words."""

import math
import re
import subprocess
import sys
import time
import types
import typing
from pathlib import Path

import pytest
import yaml
from hostile import CRUMBS, altered, examples
from hypothesis import given
from hypothesis import strategies as st
from tiny.params import Params
from tiny.project import FOLDER, PROJECT

from portfolio_kit import config
from portfolio_kit.errors import UserError

KNOWN = tuple(config.keys(Params))
PREFIX = f"{PROJECT.package}_".upper()
REASON = re.compile(rf"(params\.yaml|--set .*|{PREFIX}.*?): \S.*")
SECONDS = 5  # of computing, more than a file of this size may take
TEXT = (FOLDER / "params.yaml").read_bytes()
ODD_NUMBERS = [
    -1, 0, -0.0, 2**31, 2**63, -(2**63), 10**30, 10**400, math.nan, math.inf, -math.inf, 5e-324
]  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from([*CRUMBS, *ODD_NUMBERS]),
    st.dates(),
    st.binary(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.text(max_size=9), st.integers(), st.none()), inner, max_size=4
        ),
    ),
    max_leaves=8,
)
KEYS = st.one_of(
    st.sampled_from(KNOWN),
    st.sampled_from(KNOWN).map(lambda key: key.rpartition(".")[0] or "data"),
    st.lists(st.sampled_from([*"abé._ ", "data", "seed", "serve", "\n", "\x1b"]), max_size=5).map(
        "".join
    ),
    st.text(max_size=12),
)


def loaded(overrides=(), environment=None):
    """Load parameters; return them, or None for what is properly rejected."""
    start = time.process_time()
    try:
        params = config.load(Params, PROJECT.package, overrides, environment or {})
    except UserError as error:
        check_reasons(str(error).splitlines(), str(error))
        params = None
    else:
        check_values(params)
    assert time.process_time() - start < SECONDS
    return params


def check_reasons(lines, whole):
    assert lines, whole
    for line in lines:
        assert REASON.fullmatch(line), whole
        assert len(line) < 1_000, whole
        assert not {"\x1b", "\x00"} & set(line), whole


def check_values(params):
    """Accepted values have the types in the schema, and can be recorded and read again."""
    record = params.model_dump(mode="json")
    again = yaml.safe_load(yaml.safe_dump(record))
    assert Params.model_validate(again) == params
    for key in KNOWN:
        value = params
        for part in key.split("."):
            value = getattr(value, part)
        assert kind_of(value) <= kinds_of(key), key


def kind_of(value):
    if isinstance(value, list):
        return {list}.union(*map(kind_of, value))
    assert not isinstance(value, float) or math.isfinite(value)
    assert not isinstance(value, int) or abs(value) < 2**63
    return {type(value)}


def kinds_of(key):
    """Return the plain types that the schema allows, read from its annotations."""
    section, *rest = Params, *key.split(".")
    for part in rest[:-1]:
        section = typing.get_type_hints(section)[part]
    return set(plain_types(typing.get_type_hints(section)[rest[-1]]))


def plain_types(annotation):
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        for each in typing.get_args(annotation):
            yield from plain_types(each)
    elif typing.get_origin(annotation) is list:
        yield list
        yield from plain_types(typing.get_args(annotation)[0])
    elif typing.get_origin(annotation) is typing.Literal:
        yield from map(type, typing.get_args(annotation))
    else:
        yield annotation


def write(content):
    Path("params.yaml").write_bytes(content)


@examples(300)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3))
def test_any_value_of_any_key_is_accepted_or_rejected_by_name(changes):
    values = yaml.safe_load(TEXT)
    for key, value in changes.items():
        *sections, name = key.split(".")
        section = values
        for part in sections:
            inner = section.get(part)
            section[part] = inner if isinstance(inner, dict) else {}
            section = section[part]
        section[name] = value
    write(yaml.safe_dump(values).encode())
    loaded()


@examples(300)
@given(altered(TEXT))
def test_any_altered_file_is_accepted_or_rejected(content):
    write(content)
    loaded()


@examples(200)
@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_random_bytes_are_rejected(content):
    write(content)
    assert loaded() is None


@examples(400)
@given(
    st.lists(
        st.tuples(
            KEYS,
            st.one_of(
                st.text(max_size=20),
                st.lists(st.sampled_from(CRUMBS), max_size=4).map("".join),
                VALUES.map(lambda value: yaml.safe_dump(value, default_flow_style=True)),
            ),
        ),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
def test_any_override_is_accepted_or_rejected_by_name(overrides, is_variable):
    write(TEXT)
    if is_variable:
        loaded(environment={f"{PREFIX}{key.replace('.', '__')}": text for key, text in overrides})
    else:
        loaded([f"{key}={text}" for key, text in overrides])


@examples(100)
@given(st.text())
def test_any_text_for_an_override_is_accepted_or_rejected(text):
    write(TEXT)
    loaded([text])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("seed: 1\nseed: 2\n", "the key 'seed' is repeated; remove one"),
        ("data: {source: a, source: b}\n", "the key 'source' is repeated; remove one"),
        ("[" * 100_000, "cannot be read: "),
        ("{a: " * 100_000, "cannot be read: "),
        ("- " * 100_000, "cannot be read: "),
        ("seed: 2001-99-99\n", "month must be in 1..12"),
        ("seed: 2001-01-01 00:00:00 +99:99\n", "offset"),
        ("seed: !!timestamp soon\n", "cannot be read: "),
        ("seed: !!int ''\n", "cannot be read: "),
        ("seed: !!float soon\n", "cannot be read: "),
        ("seed: 0b_\n", "cannot be read: "),
        (f"seed: {'9' * 5_000}\n", "cannot be read: "),
        (f"seed: 0x{'f' * 5_000}\n", "cannot be read: "),
        ("seed: !!python/object/apply:os.getpid []\n", "could not determine a constructor"),
        ("? [a]\n: 1\n", "unhashable"),
        ("seed: 1\n".encode("utf-16"), "not UTF-8 at byte 0; save it as UTF-8"),
        ("a: é\n".encode("latin-1"), "not UTF-8 at byte 3; save it as UTF-8"),
        (b"seed: 1\x00\n", "special characters are not allowed"),
    ],
    ids=lambda value: ascii(value)[:25],
)
def test_a_misleading_file_is_rejected(content, reason):
    write(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        config.load(Params, PROJECT.package, environment={})
    [line] = str(error.value).splitlines()
    assert line.startswith("params.yaml: ")
    assert reason in line


def test_a_byte_order_mark_is_not_part_of_the_first_key():
    write(b"\xef\xbb\xbf" + TEXT)
    assert loaded() == config.load(Params, PROJECT.package, environment={})
    assert loaded() is not None


def test_a_folder_in_place_of_the_file_is_rejected():
    Path("params.yaml").unlink()
    Path("params.yaml").mkdir()
    assert loaded() is None


@pytest.mark.parametrize("place", ["", " ", "a\nb", "\x1b[2Jx", "a\x00b"])
def test_a_place_that_is_not_one_line_is_rejected(place):
    write(TEXT)
    for key in ("data.source", "serve.log.folder", "monitor.labels"):
        with pytest.raises(UserError) as error:
            config.load(Params, PROJECT.package, [f"{key}={yaml.safe_dump(place)}"], {})
        reason = f"--set {key}: Value error, write a path or a URL on one line"
        assert str(error.value).startswith(reason)


def check_outcome(code, out, err):
    """Check that parameters were recorded, or that plain lines say why not."""
    assert out == ""
    if code == 0:
        assert err == ""
        assert Path(".params.yaml").is_file()
    else:
        assert code == 1
        lines = err.split("\n")
        assert lines.pop() == ""
        check_reasons([line.removeprefix("error: ") for line in lines], err)
        assert all(line.startswith("error: ") for line in lines)
        assert not Path(".params.yaml").exists()


@pytest.mark.parametrize(
    "argument",
    [
        *(f"{key}={text}" for key in ("seed", "data.source", "serve.log.sample") for text in (
            "[" * 5_000, "9" * 5_000, f"0x{'f' * 5_000}", "2001-99-99", "&a [*a]", "!!int ''",
            "\udce9",
        )),
        "data.source=~nosuchuser/x.csv", "data.source=" + "x" * 5_000, "=", "\n\n", "\x1b[2J=1",
        "data.source=/", "data.source=/dev/zero", "data.source=..", "sed\n=1",
    ],
    ids=lambda text: ascii(text)[:30],
)  # fmt: skip
def test_a_verb_accepts_or_rejects_an_argument_in_plain_words(argument, run):
    check_outcome(*run("params", "--set", argument))


@pytest.mark.parametrize("argument", ["data.source=\udce9", "seed=" + "[" * 5_000, "\x1b[2J=1"])
def test_the_program_does_too(argument):
    command = [sys.executable, "-m", PROJECT.package, "params", "--set", argument]
    done = subprocess.run(command, capture_output=True, timeout=60)
    check_outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize(
    "source",
    [
        "wheel://", "wheel://-r==1/x", "://", "http://", "http://[::1/x.csv", "http://127.0.0.1:1/x.csv",
        "nosuch://x.csv", "memory://x.csv", "file://", "file:///nowhere.csv", "zip://x.csv::no.zip",
        "~nosuchuser/x.csv", ".", "..", "/", "/dev/null", "/dev/zero", "../../etc/passwd", "no.csv",
        "folder.csv", "params.yaml", "*.csv", "x" * 300, "x" * 5_000 + ".csv", "\udce9.csv",
        "no.zip",
    ],
    ids=lambda text: ascii(text)[:30],
)  # fmt: skip
def test_missing_data_is_rejected_and_nothing_is_written(source, rejection):
    Path("folder.csv").mkdir()
    settings = [f"data.source={source}", "data.sha256=null"]
    for line in rejection("data", *(part for one in settings for part in ("--set", one))):
        assert line.startswith("error: data.source: ")
        assert line.isprintable()
    written = [path.as_posix() for path in Path().rglob("*") if path.is_file()]
    assert sorted(written) == [".cache/data.lock", "params.yaml"]
