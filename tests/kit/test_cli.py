"""The command line, from data to a verdict on what was served."""

import dataclasses
import json
from pathlib import Path

import pytest
from live import PATH, ready_client
from tiny import example
from tiny.project import PROJECT

from portfolio_kit import artifacts
from portfolio_kit.cli import COMMANDS, main


def test_a_project_goes_from_data_to_a_watched_service(run, write_params, tracking_store):
    params = write_params({})
    Path("texts.csv").write_text(example.texts(400), encoding="utf-8")
    Path("README.md").write_text(example.README, encoding="utf-8")
    for verb in ("params", "data", "train", "evaluate", "report"):
        outcome = run(verb)
        assert outcome.code == 0, outcome
    readme = Path("README.md").read_text(encoding="utf-8")
    assert "held-out texts" in readme
    for figure in ("comparison.png", "errors.png"):
        assert Path("reports/figures", figure).stat().st_size > 1000
    short, long = json.loads(run("predict", "short", "a text that is long enough").out)
    assert (short["label"], long["label"]) == ("short", "long")

    asked = [text for text in example.texts(150).splitlines()[1:] if text.strip()]
    with ready_client(params, Path("models")) as client:
        for text in asked:
            answer = client.post(PATH, json={"texts": [text]})
            assert answer.status_code == 200, answer.text
        assert client.get("/model").json()["metrics"]["accuracy"] > 0.9
    outcome = run("monitor")
    assert outcome.code == 0, outcome
    verdict = json.loads(Path("reports/drift.json").read_text(encoding="utf-8"))
    assert verdict["answers"] == len(asked)


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(PROJECT, ["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: python -m tiny ")
    assert [name for name in (one.name for one in COMMANDS) if f"\n    {name} " not in text] == []


@pytest.mark.parametrize("arguments", [[], ["fly"], ["predict"], ["data", "--fast"]], ids=str)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(PROJECT, arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_project_that_does_not_say_how_adopts_nothing(rejection):
    before = Path("params.yaml").read_bytes()
    [line] = rejection("adopt", "notes.csv")
    assert "params.py: Params.adopting does not say how this project adopts data" in line
    assert Path("params.yaml").read_bytes() == before


@pytest.mark.parametrize("verb", ["data", "train"])
def test_a_stage_that_is_running_is_not_started_again(verb, rejection):
    with artifacts.alone(verb):
        line = f"error: `{verb}` runs in this folder already; wait until it ends"
        assert rejection(verb) == [line]


def fail_with(error):
    def train(params):
        raise error

    return dataclasses.replace(PROJECT, train=train)


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (OSError(28, "No space left"), ["error: [Errno 28] No space left"]),
        (
            ModuleNotFoundError("No module named 'torch'"),
            ["error: No module named 'torch'; run `make setup`"],
        ),
        (OSError("two\nlines"), ["error: two", "error: lines"]),
        (OSError("\x1b[2J"), ["error: \\x1b[2J"]),
    ],
    ids=["disk", "module", "lines", "control characters"],
)
def test_an_error_that_a_user_can_fix_is_plain_lines_and_exit_code_1(error, lines, capsys):
    assert main(fail_with(error), ["train"]) == 1
    assert capsys.readouterr() == ("", "\n".join(lines) + "\n")


def test_a_mistake_in_the_code_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        main(fail_with(ZeroDivisionError()), ["train"])


def test_ctrl_c_exits_with_130(capsys):
    assert main(fail_with(KeyboardInterrupt()), ["train"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_an_argument_that_is_not_utf_8_is_rejected(rejection):
    [line] = rejection("predict", "caf\udce9")
    assert "surrogates not allowed" in line


def test_a_project_is_described_by_its_distribution_whatever_its_name(monkeypatch, tmp_path):
    assert PROJECT.about["Summary"] == "A service that tells long texts from short ones."
    info = tmp_path / "another_name-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: another-name\nVersion: 2.0\n")
    (info / "top_level.txt").write_text("odd_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert dataclasses.replace(PROJECT, package="odd_package").about["Name"] == "another-name"
