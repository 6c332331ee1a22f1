"""Files between stages: whole or not there, and refused once altered."""

import hashlib
from pathlib import Path

import pytest

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.errors import UserError

FOLDER = Path("models")


@pytest.fixture
def manifest():
    """A folder with two files and their manifest."""
    FOLDER.mkdir()
    (FOLDER / "model.bin").write_bytes(b"weights")
    (FOLDER / "words.txt").write_bytes(b"words")
    return artifacts.write_manifest(FOLDER, ["model.bin", "words.txt"], {"version": "1", "n": 2})


def refused():
    with pytest.raises(UserError) as error:
        artifacts.read_manifest(FOLDER, made_by="train")
    assert "train" in str(error.value)  # the command that mends it
    return str(error.value)


def test_the_hash_is_that_of_the_whole_file():
    content = bytes(range(256)) * 20_000
    Path("big.bin").write_bytes(content)
    assert artifacts.sha256(Path("big.bin")) == hashlib.sha256(content).hexdigest()


def test_what_was_written_is_read_back(manifest):
    assert artifacts.read_manifest(FOLDER, made_by="train") == manifest
    assert (manifest["version"], manifest["n"]) == ("1", 2)
    assert manifest["files"]["model.bin"] == hashlib.sha256(b"weights").hexdigest()


def test_the_same_content_gives_the_same_bytes_on_every_system():
    artifacts.write_json(Path("a.json"), {"name": "Zoë", "rows": [1, 2.5, None]})
    assert Path("a.json").read_bytes() == (
        b'{\n  "name": "Zo\xc3\xab",\n  "rows": [\n    1,\n    2.5,\n    null\n  ]\n}\n'
    )


def test_an_altered_file_is_refused_by_name(manifest):
    (FOLDER / "model.bin").write_bytes(b"weightz")
    assert "model.bin" in refused()
    assert "words.txt" not in refused()


def test_a_missing_file_is_refused_by_name(manifest):
    (FOLDER / "words.txt").unlink()
    assert "words.txt" in refused()


def test_a_folder_in_place_of_a_file_is_refused_by_name(manifest):
    (FOLDER / "words.txt").unlink()
    (FOLDER / "words.txt").mkdir()
    assert "words.txt" in refused()


def test_a_folder_without_a_manifest_is_not_complete():
    assert str(FOLDER) in refused()
    FOLDER.mkdir()
    assert str(FOLDER) in refused()


@pytest.mark.parametrize(
    "content",
    [b"", b'{"files": {', b"{}", b"[]", b"null", b'{"files": ["model.bin"]}', b"\xff\xfe{}"],
)
def test_a_damaged_manifest_is_refused(content, manifest):
    (FOLDER / artifacts.MANIFEST).write_bytes(content)
    assert str(FOLDER) in refused()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(manifest):
    def write_half(path):
        path.write_bytes(b"hal")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        artifacts.write_atomic(FOLDER / "model.bin", write_half)
    assert artifacts.read_manifest(FOLDER, made_by="train") == manifest
    assert len(list(FOLDER.iterdir())) == 3


def test_a_file_is_in_place_only_once_it_is_whole(manifest):
    def write(path):
        path.write_bytes(b"new ")
        assert (FOLDER / "model.bin").read_bytes() == b"weights"
        path.write_bytes(b"new weights")

    artifacts.write_atomic(FOLDER / "model.bin", write)
    assert (FOLDER / "model.bin").read_bytes() == b"new weights"


def test_folders_are_made_as_needed():
    artifacts.write_json(Path("a/b/c.json"), {})
    assert Path("a/b/c.json").read_text(encoding="utf-8") == "{}\n"
