"""Files between stages: whole or missing, and rejected once altered."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portfolio_kit import artifacts
from portfolio_kit.errors import UserError
from portfolio_kit.records import Listed

FOLDER = Path("models")


class Facts(Listed):
    version: str
    rows: int


@pytest.fixture
def manifest():
    """A folder with two files and their manifest."""
    FOLDER.mkdir()
    (FOLDER / "model.bin").write_bytes(b"weights")
    (FOLDER / "words.txt").write_bytes(b"words")
    names = ["model.bin", "words.txt"]
    return artifacts.write_manifest(FOLDER, names, Facts(version="1", rows=2))


def read():
    return artifacts.read_manifest(FOLDER, Facts, made_by="train")


def rejection():
    with pytest.raises(UserError) as error:
        read()
    assert "make train" in str(error.value)  # the command that fixes it
    return str(error.value)


def test_the_hash_covers_the_whole_file():
    content = bytes(range(256)) * 20_000
    Path("big.bin").write_bytes(content)
    assert artifacts.sha256(Path("big.bin")) == hashlib.sha256(content).hexdigest()


def test_the_hash_of_a_folder_covers_names_and_contents():
    hashes = set()
    for name, content in (("a", "1"), ("a", "2"), ("b", "1"), ("deep/a", "1")):
        folder = Path(f"folder {len(hashes)}")
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(content)
        hashes.add(artifacts.sha256(folder))
    assert len(hashes) == 4
    (folder / "empty").mkdir()
    assert artifacts.sha256(folder) in hashes


def test_hidden_files_do_not_change_the_hash_of_a_folder():
    folder = Path("folder")
    (folder / "qrels").mkdir(parents=True)
    (folder / "qrels/test.tsv").write_text("q\ta\t1\n")
    before = artifacts.sha256(folder)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/._a", "qrels/._test.tsv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
        assert artifacts.sha256(folder) == before, name
    (folder / "thumbs.tsv").write_bytes(b"x")
    assert artifacts.sha256(folder) != before


def test_a_manifest_is_read_as_it_was_written(manifest):
    assert read() == manifest
    assert (manifest.version, manifest.rows) == ("1", 2)
    assert manifest.files["model.bin"] == hashlib.sha256(b"weights").hexdigest()


def test_the_same_content_gives_the_same_bytes_on_every_system():
    artifacts.write_json(Path("a.json"), {"name": "Zoë", "rows": [1, 2.5, None]})
    assert Path("a.json").read_bytes() == (
        b'{\n  "name": "Zo\xc3\xab",\n  "rows": [\n    1,\n    2.5,\n    null\n  ]\n}\n'
    )


def test_an_altered_file_is_named(manifest):
    (FOLDER / "model.bin").write_bytes(b"weightz")
    assert "model.bin" in rejection()
    assert "words.txt" not in rejection()


def test_a_missing_file_is_named(manifest):
    (FOLDER / "words.txt").unlink()
    assert "words.txt" in rejection()


def test_a_folder_in_place_of_a_file_is_named(manifest):
    (FOLDER / "words.txt").unlink()
    (FOLDER / "words.txt").mkdir()
    assert "words.txt" in rejection()


def test_a_folder_without_a_manifest_is_incomplete():
    assert str(FOLDER) in rejection()
    FOLDER.mkdir()
    assert str(FOLDER) in rejection()


@pytest.mark.parametrize(
    "content",
    [b"", b'{"files": {', b"{}", b"[]", b"null", b'{"files": ["model.bin"]}', b"\xff\xfe{}"],
)
def test_a_damaged_manifest_is_rejected(content, manifest):
    (FOLDER / artifacts.MANIFEST).write_bytes(content)
    assert str(FOLDER) in rejection()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(manifest):
    def write_half(path):
        path.write_bytes(b"hal")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        artifacts.write_atomic(FOLDER / "model.bin", write_half)
    assert read() == manifest
    assert len(list(FOLDER.iterdir())) == 3


def test_a_file_is_in_place_only_once_it_is_whole(manifest):
    def write(path):
        path.write_bytes(b"new ")
        assert (FOLDER / "model.bin").read_bytes() == b"weights"
        path.write_bytes(b"new weights")

    artifacts.write_atomic(FOLDER / "model.bin", write)
    assert (FOLDER / "model.bin").read_bytes() == b"new weights"


# Writes one file again and again, slowly, with nothing but its own letter.
WRITER = """
import sys, time
from pathlib import Path
from portfolio_kit import artifacts
letter = sys.argv[1]

def write(path):
    with path.open("w") as file:
        for _ in range(20):
            file.write(letter * 1_000)
            file.flush()
            time.sleep(0.001)

for _ in range(20):
    artifacts.write_atomic(Path("deep/er/same.txt"), write)
    content = Path("deep/er/same.txt").read_text()
    assert len(content) == 20_000 and len(set(content)) == 1, sorted(set(content))
"""


def test_processes_that_write_one_file_at_the_same_time_do_not_mix_it():
    """Nor does one remove what another is writing."""
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, letter]) for letter in "ab"]
    assert [process.wait(60) for process in processes] == [0, 0]
    [left] = Path("deep/er").iterdir()
    assert set(left.read_text()) in ({"a"}, {"b"})


def test_what_a_killed_process_left_is_removed_a_day_later():
    yesterday = time.time() - 90_000
    old, older, young, other = (
        Path(name)
        for name in (
            ".a[1].json.0123abcd.partial",
            ".a[1].json.partial",  # as version 0.1 named it
            ".a[1].json.4567abcd.partial",
            ".b.json.0123abcd.partial",
        )
    )
    for path in (old, older, young, other):
        path.touch()
    for path in (old, older, other):
        os.utime(path, (yesterday, yesterday))
    artifacts.write_json(Path("a[1].json"), {})
    assert [path.exists() for path in (old, older, young, other)] == [False, False, True, True]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_file_has_the_permissions_of_any_new_file():
    Path("plain").touch()
    artifacts.write_text(Path("written"), "text")
    assert Path("written").stat().st_mode == Path("plain").stat().st_mode


def test_one_process_at_a_time_works_under_a_name():
    program = "from portfolio_kit import artifacts\nwith artifacts.alone({!r}): print('works')"

    def other(name):
        done = subprocess.run(
            [sys.executable, "-c", program.format(name)], capture_output=True, encoding="utf-8"
        )
        return done.stdout or done.stderr.splitlines()[-1]

    with artifacts.alone("train"):
        assert "`train` runs in this folder already" in other("train")
        assert other("data") == "works\n"
    assert other("train") == "works\n"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time; from portfolio_kit import artifacts\n"
            "with artifacts.alone('train'): print('x', flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"x\n"
    assert "`train` runs in this folder already" in other("train")
    holder.kill()
    holder.wait()
    assert other("train") == "works\n"


def test_folders_are_created_as_needed():
    artifacts.write_json(Path("a/b/c.json"), {})
    assert Path("a/b/c.json").read_text(encoding="utf-8") == "{}\n"


def test_a_model_is_published_with_its_manifest_last(manifest, monkeypatch):
    workshop = Path("workshop")
    (workshop / "parts").mkdir(parents=True)
    (workshop / "model.bin").write_bytes(b"new weights")
    (workshop / "parts" / "one").write_bytes(b"1")
    order = []
    replace = artifacts.os.replace

    def noted(source, target):
        order.append(target)
        replace(source, target)

    monkeypatch.setattr(artifacts.os, "replace", noted)
    published = artifacts.publish(workshop, Facts(version="2", rows=1))
    assert order[-1] == FOLDER / artifacts.MANIFEST
    assert set(published.files) == {"model.bin", "parts/one"}
    assert read() == published
    assert not workshop.exists()
