"""The score verb, with the tiny project: it labels texts by their length."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from portfolio_kit import artifacts

KILLS = 10


@pytest.fixture
def model(workspace, trained):
    """The trained model, in the test's folder."""
    shutil.copytree(trained.models, workspace / "models")


def texts(count):
    """Return texts of 1 to 40 letters, each other than the one before."""
    return ["x" * (1 + 7 * number % 40) for number in range(count)]


def label_of(text):
    return "long" if len(text) > 20 else "short"  # the tiny model's threshold


def write_csv(path, rows, column="text"):
    pd.DataFrame({"id": [f"00{n}" for n in range(len(rows))], column: rows}).to_csv(
        path, index=False
    )


def scores(folder):
    return pd.read_parquet(Path(folder, "shards"))


def last_line(run, source, *options):
    """Score what must fail; return the error below the progress bar."""
    outcome = run("score", "--source", source, "--out", "out", *options)
    assert outcome.code == 1, outcome
    *progress, line = outcome.err.splitlines()
    assert all("scoring" in other or not other for other in progress), outcome
    return line


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_row_is_answered_in_its_place(model, run, suffix):
    given = pd.DataFrame({"id": [f"0{n}" for n in range(300)], "text": texts(300)})
    write = {
        "csv": lambda: given.to_csv("in.csv", index=False),
        "jsonl": lambda: given.to_json("in.jsonl", orient="records", lines=True),
        "parquet": lambda: given.to_parquet("in.parquet"),
    }
    write[suffix]()
    outcome = run(
        "score", "--source", f"in.{suffix}", "--out", "out", "--set", "score.shard_rows=70"
    )
    assert outcome.code == 0, outcome
    found = scores("out")
    assert len(list(Path("out/shards").iterdir())) == 5
    assert found["id"].tolist() == given["id"].tolist()  # "00" stays text
    assert found["label"].tolist() == [label_of(text) for text in given["text"]]
    first = {"csv": 2, "jsonl": 1, "parquet": 1}[suffix]
    assert found["line"].tolist() == [*range(first, first + 300)]
    manifest = json.loads(Path("out/manifest.json").read_text(encoding="utf-8"))
    assert (manifest["rows"], manifest["answers"], manifest["rejected"]) == (300, 300, 0)
    for name, sha256 in manifest["files"].items():
        assert artifacts.sha256(Path("out", name)) == sha256


def test_rows_that_cannot_be_answered_are_named_and_the_others_answered(model, run):
    lines = ['{"text": "good"}', "{", '{"text": "  "}', "[]", '{"text": 3}', "", '{"other": 1}']
    Path("in.jsonl").write_text("\n".join([*lines, '{"text": "fine"}']), encoding="utf-8")
    outcome = run("score", "--source", "in.jsonl", "--out", "out")
    assert outcome.code == 0
    assert "2 answers to 7 rows, 5 rejected" in outcome.out
    assert scores("out")["line"].tolist() == [1, 8]
    rejected = [json.loads(line) for line in Path("out/rejected.jsonl").read_text().splitlines()]
    assert [(one["line"], one["file"]) for one in rejected] == [
        (line, "in.jsonl") for line in (2, 3, 4, 5, 7)
    ]
    assert [one["reason"] for one in rejected[1:]] == [
        "blank",
        "is not a JSON object",
        "not text",
        "missing",
    ]


def test_a_csv_row_with_too_many_fields_is_rejected_and_quotes_keep_their_lines(model, run):
    Path("in.csv").write_text('text,id\n"two\nlines",1\na,2,3\n\nlast,4\n', encoding="utf-8")
    assert run("score", "--source", "in.csv", "--out", "out").code == 0
    assert scores("out")["line"].tolist() == [2, 6]
    [rejected] = Path("out/rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(rejected)["line"] == 4


def test_too_many_rejected_rows_end_the_run_with_one_line(model, run):
    write_csv("in.csv", ["good", " ", " ", " ", "good"])
    line = last_line(run, "in.csv", "--set", "score.max_rejected=2")
    assert line.startswith("error: score.max_rejected: 3 rows are rejected, more than 2; ")
    assert "in.csv, line 3: blank" in line
    assert len(Path("out/rejected.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert not Path("out/manifest.json").exists()


def test_a_run_that_ended_with_too_many_rejected_rows_can_go_on(model, run):
    write_csv("in.csv", ["good", " ", "good"])
    last_line(run, "in.csv", "--set", "score.max_rejected=0")
    assert run("score", "--source", "in.csv", "--out", "out").code == 0
    assert len(scores("out")) == 2


def test_columns_are_carried_and_those_with_a_name_of_the_scores_renamed(model, run):
    table = {"text": ["a", "b"], "label": ["x", None], "line": [7, 8], "extra": [[1], [2]]}
    pq.write_table(pa.table(table), "in.parquet")
    assert run("score", "--source", "in.parquet", "--out", "out").code == 0
    found = pq.read_table("out/shards").to_pydict()
    assert found["input_label"] == ["x", None]
    assert found["input_line"] == [7, 8]
    assert found["extra"] == [[1], [2]]
    assert found["line"] == [1, 2]
    assert "text" not in found


def test_a_folder_and_a_glob_hold_the_same_files_and_notes_are_left_out(model, run):
    for number, name in enumerate(["b/2.csv", "a/1.csv", "a/_SUCCESS", ".hidden.csv"]):
        Path("many", name).parent.mkdir(parents=True, exist_ok=True)
        write_csv(Path("many", name), [f"{number}"])
    for out, source in (("one", "many"), ("two", "many/*/*.csv")):
        assert run("score", "--source", source, "--out", out).code == 0
        assert scores(out)["file"].tolist() == ["a/1.csv", "b/2.csv"]


def test_a_remote_file_is_fetched(model, run, server):
    server.files["/in.csv"] = b"text\nremote\n"
    assert run("score", "--source", f"{server.url}/in.csv", "--out", "out").code == 0
    assert scores("out")["label"].tolist() == ["short"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.csv", "--source: nowhere.csv: there is no such file"),
        ("empty", "--source: empty: there is no such file"),
        ("notes.txt", "--source: notes.txt: use .csv, .jsonl and .parquet files"),
        ("other.csv", "--source: there is no column 'text'; there are 'id', 'body'"),
        ("torn.parquet", "--source: torn.parquet: "),
        ("quote.csv", "--source: quote.csv: line 2: a quote opens a text here and is never"),
        ("latin.csv", "--source: latin.csv is not UTF-8"),
    ],
)
def test_an_input_that_cannot_be_read_is_named(model, run, source, message):
    Path("empty").mkdir()
    Path("notes.txt").write_text("text\na\n", encoding="utf-8")
    write_csv("other.csv", ["a"], column="body")
    Path("torn.parquet").write_bytes(b"PAR1")
    Path("quote.csv").write_text('text\n"never closed\n', encoding="utf-8")
    Path("latin.csv").write_bytes("text\ncafé\n".encode("latin-1"))
    assert last_line(run, source).startswith(f"error: {message}")
    assert not Path("out/manifest.json").exists()


def test_scores_of_another_input_or_model_do_not_mix(model, run, rejection):
    write_csv("in.csv", texts(5))
    write_csv("other.csv", texts(6))
    assert run("score", "--source", "in.csv", "--out", "out").code == 0
    before = artifacts.sha256(Path("out"))
    [line] = rejection("score", "--source", "other.csv", "--out", "out")
    assert line.startswith("error: --out: out holds scores of another input; name a new folder")
    [line] = rejection("score", "--source", "in.csv", "--out", "out", "--set", "score.keep=[]")
    assert "out holds scores of other parameters" in line
    manifest = json.loads(Path("models/manifest.json").read_text(encoding="utf-8"))
    Path("models/manifest.json").write_text(json.dumps({**manifest, "version": "feedfacefeed"}))
    [line] = rejection("score", "--source", "in.csv", "--out", "out")
    assert f"out holds scores of model {manifest['version']}" in line
    assert artifacts.sha256(Path("out")) == before


def test_a_folder_with_anything_else_is_left_alone(model, rejection):
    write_csv("in.csv", texts(5))
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine", encoding="utf-8")
    [line] = rejection("score", "--source", "in.csv", "--out", "out")
    assert line == "error: --out: out is not empty; name a new folder"
    assert [file.name for file in Path("out").iterdir()] == ["mine.txt"]


def test_what_a_process_left_that_was_killed_at_once_is_no_obstacle(model, run):
    write_csv("in.csv", texts(5))
    Path("out").mkdir()
    Path("out/.run.json.0a1b.partial").write_text("{", encoding="utf-8")
    assert run("score", "--source", "in.csv", "--out", "out").code == 0


def test_a_run_that_is_killed_again_and_again_loses_and_doubles_nothing(model):
    """The whole process, at random moments; the answers are those of an undisturbed run."""
    given = texts(1_200)
    write_csv("in.csv", given)
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    command = [sys.executable, "-m", "tiny", "score", "--source", "in.csv", "--out", "out"]
    command += ["--set", "score.shard_rows=20", "--set", "serve.seconds_per_text=0.002"]
    kills, done = 0, []
    while kills < KILLS:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = len(list(Path("out").glob("shards/*.parquet")))
        deadline = time.monotonic() + 60
        while len(list(Path("out").glob("shards/*.parquet"))) == before:
            assert process.poll() is None
            assert time.monotonic() < deadline
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        process.wait()
        kills += 1
        done.append(len(list(Path("out").glob("shards/*.parquet"))))
    assert done == sorted(done)
    assert done[0] < 60  # of 60: it was killed before its end
    assert subprocess.run(command, capture_output=True).returncode == 0
    found = scores("out")
    assert found["id"].tolist() == [f"00{n}" for n in range(1_200)]
    assert found["label"].tolist() == [label_of(text) for text in given]
    assert json.loads(Path("out/manifest.json").read_text(encoding="utf-8"))["rows"] == 1_200
    assert not [name for name in os.listdir("out/shards") if name.startswith(".")]


def test_memory_does_not_grow_with_the_input(model, run, peak_memory):
    def scored(rows):
        write_csv(f"{rows}.csv", texts(rows))
        arguments = ["score", "--source", f"{rows}.csv", "--out", f"out{rows}"]
        return peak_memory(run, *arguments, "--set", "score.shard_rows=500")

    scored(500)  # imports
    assert scored(20_000) < 1.5 * scored(4_000)


def test_texts_unlike_the_training_data_are_told(model, run):
    write_csv("in.csv", ["many words " * 3] * 200)
    assert "drift: words (effect " in run("score", "--source", "in.csv", "--out", "out").out


def test_the_training_texts_have_not_drifted(model, run, trained):
    shutil.copy(trained.folder / "texts.csv", "in.csv")
    assert "drift: none" in run("score", "--source", "in.csv", "--out", "out").out
