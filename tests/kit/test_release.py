"""The archive of a release: only the model that the last commit describes gets into models/."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from tiny import example

from portfolio_kit.deploy import release

MODEL = b"a model"
VERSION = hashlib.sha256(MODEL).hexdigest()[:12]
MANIFEST = json.dumps({"version": VERSION}).encode()
FILES = {"manifest.json": MANIFEST, "model.onnx": MODEL, "words/b.txt": b"b", "words/a.txt": b"a"}
ARCHIVE = Path("models.tar.gz")


def digest(files):
    """Return what DVC calls a folder with these files, written independently of the code."""
    entries = (
        f'{{"md5": "{hashlib.md5(files[name]).hexdigest()}", "relpath": "{name}"}}'
        for name in sorted(files)
    )
    return hashlib.md5(f"[{', '.join(entries)}]".encode()).hexdigest() + ".dir"


def git(*arguments):
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.invalid")
    subprocess.run(["git", *identity, *arguments], check=True)


def commit(files=FILES, version=VERSION, **changes):
    """Commit the records of a model with these files."""
    found = {"md5": digest(files), "size": sum(map(len, files.values())), "nfiles": len(files)}
    outputs = [{"path": "models", "hash": "md5", **found, **changes}]
    lock = {"schema": "2.0", "stages": {"params": {"cmd": "x"}, "train": {"outs": outputs}}}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    Path("reports").mkdir(exist_ok=True)
    metrics = example.metrics(model_version=version).model_dump(mode="json")
    Path("reports/metrics.json").write_text(json.dumps(metrics))
    git("add", "dvc.lock", "reports")
    git("commit", "--quiet", "--message", "A model")


@pytest.fixture(autouse=True)
def repository(workspace):
    git("init", "--quiet")
    commit()


def member(name, content=b"", **attributes):
    found = tarfile.TarInfo(name)
    found.size = len(content)
    for attribute, value in attributes.items():
        setattr(found, attribute, value)
    return found, io.BytesIO(content)


def pack(*others, files=FILES):
    """Write the archive of a model, after other members."""
    members = [member(f"models/{name}", content) for name, content in files.items()]
    with tarfile.open(ARCHIVE, "w:gz") as archive:
        for one in (*others, member("models/", type=tarfile.DIRTYPE, mode=0o755), *members):
            archive.addfile(*one)


@pytest.fixture
def run(capsys):
    """Run the command; return its exit code and what it said."""

    def run():
        try:
            release.main([str(ARCHIVE)])
        except SystemExit as error:
            return 1, f"{error}"
        return 0, capsys.readouterr().err

    return run


@pytest.fixture
def rejected(run):
    """Run it on something invalid; return its one line, once nothing was left behind."""

    def rejected():
        before = set(Path().iterdir())
        code, said = run()
        assert (code, said.count("\n"), set(Path().iterdir())) == (1, 0, before)
        assert said.startswith("error: ")
        return said

    return rejected


def unpacked():
    folder = Path("models")
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_the_model_of_the_last_commit_is_unpacked(run):
    pack()
    assert run() == (0, "")
    assert unpacked() == FILES
    assert not list(Path().glob(".models*"))


def test_it_runs_as_the_workflow_runs_it():
    pack()
    command = [sys.executable, "-m", "portfolio_kit.deploy.release"]
    for arguments, code in ((["a", "b"], 1), ([str(ARCHIVE)], 0), ([str(ARCHIVE)], 1)):
        done = subprocess.run([*command, *arguments], capture_output=True, encoding="utf-8")
        assert (done.returncode, done.stderr.count("\n")) == (code, code)
    assert unpacked() == FILES


def test_tar_s_and_macos_own_ways_are_accepted(tmp_path, run):
    pack(member("._models", b"attributes"), member("models/._model.onnx", b"attributes"))
    assert run() == (0, "")
    Path("models").rename("packed")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    Path("packed").rename(folder / "models")
    subprocess.run(["tar", "-czf", str(ARCHIVE), "-C", str(folder), "./models"], check=True)
    assert run() == (0, "")
    assert unpacked() == FILES


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc"}
OUTSIDE = {
    "absolute": member("/tmp/evil", b"x"),
    "absolute below models": member("/models/evil", b"x"),
    "above": member("models/../../evil", b"x"),
    "above, within": member("models/a/../b", b"x"),
    "another folder": member("src/evil.py", b"x"),
    "a look-alike": member("models2/evil", b"x"),
    "backslash": member("models/..\\evil", b"x"),
    "a drive": member("models/C:evil", b"x"),
    "a folder above": member("models/../evil", type=tarfile.DIRTYPE),
}
IRREGULAR = {
    "a symbolic link": member("models/link", **LINK),
    "a link for models": member("models", **LINK),
    "a hard link": member("models/link", type=tarfile.LNKTYPE, linkname="models/model.onnx"),
    "a device": member("models/null", type=tarfile.CHRTYPE),
    "a pipe": member("models/pipe", type=tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_outside_models_is_rejected(name, rejected):
    pack(OUTSIDE[name])
    assert "is not below models/" in rejected()


@pytest.mark.parametrize("name", IRREGULAR)
def test_a_link_or_device_is_rejected(name, rejected):
    pack(IRREGULAR[name])
    assert "is not a plain file" in rejected()


def test_no_more_bytes_than_committed_are_written(rejected):
    pack(member("models/zeros", bytes(100_000_000)))
    assert ARCHIVE.stat().st_size < 200_000
    assert "more than the" in rejected()


@pytest.mark.parametrize(
    "files",
    [
        {**FILES, "model.onnx": b"A model"},
        {**FILES, "words/a.txt": b"c"},
        {name: content for name, content in FILES.items() if name != "words/a.txt"},
        {"model.onnx": MODEL, "manifest.json": MANIFEST, "words/a.txt": b"b", "words/b.txt": b"a"},
        {},
    ],
    ids=["model", "word", "missing", "swapped", "empty"],
)
def test_another_model_is_rejected(files, rejected):
    pack(files=files)
    assert "not the model of the last commit's dvc.lock" in rejected()


def test_a_file_twice_is_rejected(rejected):
    pack(member("models/words/a.txt", b""))
    assert "cannot be unpacked" in rejected()


def test_the_working_tree_does_not_count(rejected, run):
    pack(files={**FILES, "model.onnx": b"A model"})
    changed = Path("dvc.lock").read_text().replace(digest(FILES), "0" * 32 + ".dir")
    Path("dvc.lock").write_text(changed)
    assert "not the model of the last commit" in rejected()
    pack()
    assert run() == (0, "")


def test_the_version_is_computed_and_not_believed(rejected):
    lying = {**FILES, "manifest.json": json.dumps({"version": "0" * 12}).encode()}
    commit(lying, version="0" * 12)
    pack(files=lying)
    assert f"states version '{'0' * 12}', but model.onnx is {VERSION}" in rejected()
    commit(FILES, version="0" * 12)
    pack()
    assert f"holds model {VERSION}, but" in rejected()


def test_a_commit_without_a_hash_is_rejected(rejected):
    pack()
    commit(path="data")
    assert "the last commit has no hash of models/" in rejected()
    git("rm", "--quiet", "--cached", "dvc.lock")
    git("commit", "--quiet", "--message", "None")
    assert "the last commit has no hash of models/" in rejected()


def test_an_existing_model_is_kept(rejected):
    pack()
    Path("models").mkdir()
    assert "models: exists already" in rejected()


@pytest.mark.parametrize("content", [b"", b"not gzip", b"\x1f\x8b\x08\x00", None])
def test_a_damaged_archive_is_rejected(content, rejected):
    pack()
    whole = ARCHIVE.read_bytes()
    ARCHIVE.write_bytes(whole[: len(whole) // 2] if content is None else content)
    rejected()
    ARCHIVE.unlink()
    assert "cannot be unpacked" in rejected()


def test_the_hash_is_dvc_s(tmp_path):
    tree = pytest.importorskip("dvc_data.hashfile.tree")
    hash_info = pytest.importorskip("dvc_data.hashfile.hash_info")
    found = tree.Tree()
    for name, content in FILES.items():
        info = hash_info.HashInfo("md5", hashlib.md5(content).hexdigest())
        found.add(tuple(name.split("/")), None, info)
    found.digest()
    assert found.hash_info.value == digest(FILES)
