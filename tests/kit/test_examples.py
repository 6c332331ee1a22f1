"""Examples are training texts: few, short, of the most common kinds, and shown as they are."""

import json
import shlex
from pathlib import Path

import pytest
from test_report import metrics, reported, write  # noqa: F401
from tiny import example

from portfolio_kit import artifacts, data_section, examples
from portfolio_kit.records import Dataset


def test_they_are_of_the_most_common_kinds_and_neither_short_nor_long():
    rows = [("d", "rare")]
    for kind, count in (("a", 30), ("b", 20), ("c", 10), ("e", 5)):
        rows += [(f"{kind} {'x' * length}", kind) for length in range(1, count + 1)]
        rows += [(f"{kind} {'long ' * 100}", kind)] * 2
    chosen = examples.choose(rows)
    assert chosen == ["a " + "x" * 16, "b " + "x" * 11, "c " + "x" * 6, "e " + "x" * 3]


def test_long_texts_are_cut_between_words_where_there_are_no_others():
    [chosen] = examples.choose([("many\nwords  " * 60, "a"), (" \n", "b"), ("", "b")])
    assert chosen.endswith(" many words") or chosen.endswith(" many")
    assert examples.LONGEST - 10 < len(chosen) <= examples.LONGEST


def test_without_texts_there_are_none():
    assert examples.choose([]) == []


def test_they_come_from_training_and_reach_page_and_request(run, write_params):
    Path("README.md").write_text(example.README, encoding="utf-8")
    Path("texts.csv").write_text(example.texts(200), encoding="utf-8")
    write_params({"serve.examples": None})
    for verb in ("data", "train", "evaluate", "report"):
        assert run(verb).code == 0
    train = json.loads((artifacts.PROCESSED / "train.json").read_text(encoding="utf-8"))
    manifest = json.loads((artifacts.MODELS / "manifest.json").read_text(encoding="utf-8"))
    assert 0 < len(manifest["examples"]) <= examples.MOST
    assert {*manifest["examples"]} <= {text.strip() for text in train}
    request = json.loads(examples.REQUEST.read_text(encoding="utf-8"))
    assert request == {"path": "/label", "body": {"texts": manifest["examples"][:2]}}

    write_params({"serve.examples": ["Mine."]})
    assert run("report").code == 0
    request = json.loads(examples.REQUEST.read_text(encoding="utf-8"))
    assert request["body"] == {"texts": ["Mine."]}
    assert '"Mine."' in Path("README.md").read_text(encoding="utf-8")


def test_a_shell_sends_the_text_that_was_meant():
    text = "it's `odd` <!-- results:end --> \"$HOME\" \\ é ``` 'x'"
    shown = examples.shown({"path": "/label", "body": {"texts": [text]}})
    assert "<!--" not in shown
    _, fence, command = shown.partition("\n```\n")
    assert fence
    body = shlex.split(command.removesuffix("\n```"))[-1]
    assert json.loads(body) == {"texts": [text]}


DATA = Dataset(
    source="own/`notes`.csv",
    sha256="c" * 64,
    seed=13,
    rows={"train": 1400, "valid": 200, "test": 1200},
    dropped={"repeated": 7, "contradictory": 0, "too_odd": 2},
)


def page(text):
    Path(data_section.ABOUT).parent.mkdir(exist_ok=True)
    Path(data_section.ABOUT).write_text(text, encoding="utf-8")


TEMPLATE = "# Data\n\n*Written by the template about {}.*\n\n## What it is\n\nHires of bikes.\n"


@pytest.mark.parametrize(
    "text",
    [TEMPLATE.format("e" * 64), None, "# Data\n\n*Written by the template.*\n"],
    ids=["of the default data", "none", "without a hash"],
)
def test_a_page_about_other_data_is_not_taken_for_one_about_these(text):
    if text:
        page(text)
    section = data_section.section(DATA, "texts")
    assert "bikes" not in section
    assert "nobody has written yet" in section
    assert "- **Terms**: not stated yet; `data/README.md` is not about these data." in section


def test_the_section_begins_with_what_the_page_says_of_these_data():
    for text in (
        TEMPLATE.format("c" * 64),
        "# Letters\n\n## What\n<!-- note -->\n\nHires of bikes.\n\nMore.\n\n## Terms\n\nNone.\n",
    ):
        page(text)
        section = data_section.section(DATA, "texts")
        assert section.startswith("Hires of bikes.\n\n- **Source**: `own/'notes'.csv` (sha256 `c")
        assert "- **Terms**: [`data/README.md`](data/README.md)." in section
        assert "- **Rows**: 1,400 texts for training, 200 texts for validation, " in section
        assert "- **Dropped**: 7 that repeat an earlier one; 2 too odd." in section
        assert "- **Split**: at random, with seed 13." in section


def test_links_of_the_page_lead_from_the_readme():
    page("# D\n\n## What\n\n[a](b.md), [c](../d.md), [e](https://example.org), [f](#g)\n")
    said = data_section.section(DATA, "texts").partition("\n")[0]
    assert said == "[a](data/b.md), [c](data/../d.md), [e](https://example.org), [f](#g)"


def test_a_comment_or_a_file_s_name_cannot_end_the_section(run, metrics):  # noqa: F811
    page("# D\n\n## What\n\nOpen <!-- data:end --> and <!-- never closed\n")
    odd = example.dataset().model_copy(update={"source": "a<!-- data:end -->.csv"})
    artifacts.write_manifest(artifacts.PROCESSED, [], odd)
    readme = Path("README.md")
    readme.write_text(
        readme.read_text("utf-8") + example.README.partition("results:end -->\n")[2], "utf-8"
    )
    reported(run, "data")
    first = readme.read_bytes()
    assert reported(run, "data").startswith("Open")
    assert readme.read_bytes() == first


def test_an_older_readme_is_left_without_the_new_blocks(run, metrics):  # noqa: F811
    done = run("report")
    assert done.code == 0
    for name in ("data", "request"):
        note = f"note: README.md has no <!-- {name}:start --> and <!-- {name}:end -->: put them"
        assert note in done.out
    assert "data:start" not in Path("README.md").read_text(encoding="utf-8")


def test_half_a_pair_of_markers_is_rejected(rejection, metrics):  # noqa: F811
    readme = Path("README.md")
    readme.write_text(readme.read_text("utf-8") + "\n<!-- data:start -->\n", "utf-8")
    [line] = rejection("report")
    assert line.startswith("error: README.md: put <!-- data:start --> and then <!-- data:end -->")
