"""The BEIR layout is read alike from a folder, an archive or a URL; others are rejected by name."""

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from portfolio_kit import artifacts
from portfolio_kit.errors import UserError
from portfolio_kit.retrieval import archives

CACHE = Path("cache")
HEAD = "query-id\tcorpus-id\tscore\n"
FILES = {
    "corpus.jsonl": '{"_id": "a", "title": "One", "text": "first"}\n{"_id": "b", "text": "two"}\n',
    "queries.jsonl": '{"_id": "q", "text": "which is first"}\n',
    "qrels/train.tsv": f"{HEAD}q\ta\t1\n",
    "qrels/test.tsv": f"{HEAD}q\tb\t2\n",
}


def write(files, folder="given"):
    for name, content in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Path(folder)


def zipped(files, prefix=""):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(prefix + name, content)
    return target.getvalue()


def tarred(files, prefix="", mode="w:gz"):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return target.getvalue()


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in files}


def fetch(source, pin=None):
    return archives.fetch(str(source), pin, CACHE).folder


def rejected(source, pin=None):
    with pytest.raises(UserError) as caught:
        fetch(source, pin)
    return str(caught.value)


def test_a_folder_is_read_in_place():
    folder = write({**FILES, "notes.txt": "not of the layout"})
    assert fetch(folder) == folder
    assert not CACHE.exists()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("corpus.zip", zipped),
        ("CORPUS.ZIP", zipped),
        ("corpus.tar.gz", tarred),
        ("corpus.tgz", tarred),
        ("corpus.tar", lambda files, prefix: tarred(files, prefix, "w")),
    ],
)
@pytest.mark.parametrize("prefix", ["", "scifact/", "deep/er/", "./"])
def test_an_archive_gives_the_same_files_wherever_they_lie_in_it(prefix, name, pack):
    more = {"README.md": "no", "notes/qrels.tsv": "no", "qrels/._test.tsv": "no"}
    Path(name).write_bytes(pack({**FILES, **more}, prefix))
    assert contents(fetch(name)) == FILES


def test_an_archive_gives_judgements_under_every_usual_name():
    more = {"qrels/valid.tsv": "", "qrels/other.tsv": "", "qrels.jsonl": "", "qrels/a/b.txt": ""}
    Path("corpus.zip").write_bytes(zipped({**FILES, **more}, "scifact/"))
    assert contents(fetch("corpus.zip")) == {**FILES, **more}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz", "URL", "URL of a folder"])
def test_the_hash_that_is_printed_is_the_one_that_is_checked(kind, server):
    """For an archive it is that of the file, which `sha256sum` prints as well."""
    source, expected = "given", None
    if kind == "folder":
        expected = artifacts.sha256(write(FILES))
    elif kind == "URL of a folder":
        source = f"{server.url}/data"
        server.files |= {f"/data/{name}": content.encode() for name, content in FILES.items()}
    else:
        content = tarred(FILES) if kind == "tar.gz" else zipped(FILES)
        source, expected = f"corpus.{kind}", hashlib.sha256(content).hexdigest()
        if kind == "URL":
            source, server.files["/corpus.zip"] = f"{server.url}/corpus.zip", content
        else:
            Path(source).write_bytes(content)
    found = archives.fetch(source, None, CACHE)
    assert expected in (None, found.sha256)
    assert archives.fetch(source, found.sha256, CACHE) == found
    assert found.sha256 in rejected(source, "0" * 64) or kind == "URL"


def test_a_remote_folder_is_listed_where_that_is_possible(workspace):
    more = {"qrels/nq.test.tsv": "", "qrels/other.txt": "", "qrels/valid.tsv": ""}
    write({**FILES, **more, "notes.txt": "no", ".DS_Store": "no"})
    found = fetch(f"file://{workspace}/given")
    assert contents(found) == {**FILES, **more}
    (workspace / "given/qrels/other.txt").unlink()
    assert contents(fetch(f"file://{workspace}/given")).keys() == {*FILES, *more} - {
        "qrels/other.txt"
    }


def test_an_archive_is_unpacked_once(monkeypatch):
    Path("corpus.zip").write_bytes(zipped(FILES))
    folder = fetch("corpus.zip")
    with monkeypatch.context() as patch:
        patch.setattr(archives, "_members", None)
        assert fetch("corpus.zip") == folder
    Path("corpus.zip").write_bytes(zipped({**FILES, "queries.jsonl": "{}"}))
    assert contents(fetch("corpus.zip"))["queries.jsonl"] == "{}"


def test_an_archive_is_fetched_from_its_url_and_pinned(server):
    content = server.files["/open/scifact.zip"] = zipped(FILES, "scifact/")
    pin = hashlib.sha256(content).hexdigest()
    assert contents(fetch(f"{server.url}/open/scifact.zip?download=1", pin)) == FILES
    fetch(f"{server.url}/open/scifact.zip?download=1", pin)
    assert len([one for one in server.requests if one.startswith("GET")]) == 1


def test_a_folder_behind_a_url_gives_the_files_that_it_has(server):
    for name, content in FILES.items():
        server.files[f"/open/scifact/{name}"] = content.encode()
    for source in ("scifact", "scifact/"):
        folder = fetch(f"{server.url}/open/{source}")
        assert contents(folder) == FILES
        assert folder.is_relative_to(CACHE)
    pin = artifacts.sha256(folder)
    assert fetch(f"{server.url}/open/scifact", pin) == folder


def test_two_folders_of_one_name_are_two(server):
    for place in ("one", "two"):
        server.files[f"/{place}/data/corpus.jsonl"] = place.encode()
    folders = [fetch(f"{server.url}/{place}/data") for place in ("one", "two")]
    assert [contents(folder) for folder in folders] == [
        {"corpus.jsonl": "one"},
        {"corpus.jsonl": "two"},
    ]


def test_content_other_than_the_pinned_is_rejected(server):
    wrong = "0" * 64
    folder = write(FILES)
    found = artifacts.sha256(folder)
    assert rejected("given", wrong) == (
        f"data.source: given: it has sha256 {found}, not the pinned {wrong}"
    )
    Path("corpus.zip").write_bytes(zipped(FILES))
    assert rejected("corpus.zip", wrong).endswith(f"not the pinned {wrong}")
    server.files["/corpus.zip"] = zipped(FILES)
    assert "is truncated or altered" in rejected(f"{server.url}/corpus.zip", wrong)
    server.files["/data/corpus.jsonl"] = b"{}"
    assert rejected(f"{server.url}/data", wrong).endswith(f"not the pinned {wrong}")


@pytest.mark.parametrize("source", ["nowhere", "given", "given/queries.jsonl"])
def test_a_source_without_a_corpus_is_rejected(source):
    write({"queries.jsonl": ""})
    assert rejected(source) == (
        f"data.source: {source} has no corpus.jsonl; name a folder or an archive that has one"
    )


def test_a_url_without_a_corpus_is_rejected(server):
    server.files["/data/queries.jsonl"] = b""
    source = f"{server.url}/data"
    assert rejected(source).startswith(f"data.source: {source}/corpus.jsonl could not be fetched: ")
    assert rejected("no-such-protocol://data").startswith(
        "data.source: no-such-protocol://data could not be reached: "
    )


def test_a_missing_archive_is_rejected():
    assert rejected("corpus.zip") == "data.source: there is no file corpus.zip"


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"queries.jsonl": ""}, 0),
        ({"one/corpus.jsonl": "", "two/corpus.jsonl": ""}, 2),
        ({"my-corpus.jsonl": "", "corpus.jsonl.bak": ""}, 0),
    ],
)
def test_an_archive_needs_exactly_one_corpus(files, count):
    Path("corpus.zip").write_bytes(zipped(files))
    assert rejected("corpus.zip") == (
        f"data.source: corpus.zip has {count} files corpus.jsonl, not one"
    )
    assert not list(CACHE.glob("*"))


def damaged(content):
    """Return an archive with some of its compressed bytes inverted, its directory whole."""
    middle = len(content) // 3
    turned = bytes(byte ^ 255 for byte in content[middle : middle + 60])
    return content[:middle] + turned + content[middle + 60 :]


def encrypted(content):
    """Return a ZIP file whose entries claim to need a password."""
    flagged = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := flagged.find(signature, place + 1)) >= 0:
            flagged[place + offset] |= 1
    return bytes(flagged)


def record(document_id, text):
    return json.dumps({"_id": document_id, "text": text}) + "\n"


LONG = {"corpus.jsonl": "".join(record(n, str(n * n)) for n in range(300))}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("corpus.zip", b"no archive"),
        ("corpus.tar.gz", b"no archive"),
        ("corpus.zip", zipped(LONG)[:1000]),
        ("corpus.tar.gz", tarred(LONG)[:1000]),
        ("corpus.zip", damaged(zipped(LONG))),
        ("corpus.tar.gz", damaged(tarred(LONG))),
        ("corpus.zip", encrypted(zipped(LONG))),
    ],
    ids=["no ZIP", "no tar", "half a ZIP", "half a tar", "bad ZIP", "bad tar", "password"],
)
def test_an_archive_that_cannot_be_unpacked_leaves_nothing(name, content):
    Path(name).write_bytes(content)
    line = rejected(name)
    assert line.startswith(f"data.source: {name} cannot be unpacked: ")
    assert "\n" not in line
    assert not list(CACHE.glob("*"))


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("prefix", ["", "../", "../../evil/", "/tmp/evil-corpus/", "a/../../b/"])
def test_paths_that_lead_out_of_an_archive_write_nothing_outside(prefix, pack, workspace):
    name = "corpus.zip" if pack is zipped else "corpus.tar.gz"
    inner = workspace / "some" / "where"
    inner.mkdir(parents=True)
    evil = ["../../evil.txt", "qrels/../../../evil.tsv", "qrels//evil.tsv", "qrels\\..\\evil.tsv"]
    (inner / name).write_bytes(pack({**FILES, **dict.fromkeys(evil, "!")}, prefix))
    before = set(workspace.rglob("*"))
    assert contents(fetch(inner / name)) == FILES
    new = set(workspace.rglob("*")) - before
    assert new
    assert all(path.is_relative_to(workspace / CACHE) for path in new)
    assert not Path("/tmp/evil-corpus").exists()


def test_a_link_in_an_archive_is_not_followed():
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name in ("corpus.jsonl", "queries.jsonl"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    Path("corpus.tar.gz").write_bytes(target.getvalue())
    assert "has 0 files corpus.jsonl" in rejected("corpus.tar.gz")
