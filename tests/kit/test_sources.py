"""Fetching: a file arrives whole and with the pinned hash, or not at all."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import fsspec
import pytest

from portfolio_kit import sources
from portfolio_kit.artifacts import RAW
from portfolio_kit.errors import UserError

CONTENT = b"id,text\n1,one\n2,two\n" * 50
PIN = hashlib.sha256(CONTENT).hexdigest()
WHEEL = "tiny_notes==1.0"
REVISION = "5f0c" * 10


def fetch(source, pin=None):
    return sources.fetch(source, pin, RAW, "data.source")


def rejected(source, pin=None):
    with pytest.raises(UserError) as error:
        fetch(source, pin)
    return str(error.value)


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_local_file_is_used_in_place():
    Path("notes.csv").write_bytes(CONTENT)
    assert fetch("notes.csv") == fetch("notes.csv", PIN) == Path("notes.csv")
    assert not RAW.exists()


def test_a_missing_or_altered_local_file_is_rejected_and_left_alone():
    assert rejected("notes.csv") == "data.source: there is no file notes.csv"
    Path("notes.csv").write_bytes(CONTENT + b"3,three\n")
    reason = rejected("notes.csv", PIN)
    assert reason.startswith("data.source: notes.csv: it has sha256 ")
    assert reason.endswith(f"not the pinned {PIN}")
    assert Path("notes.csv").is_file()


@pytest.mark.parametrize("pin", [None, PIN], ids=["any file", "pinned"])
def test_a_file_is_downloaded_once(pin, server):
    server.files["/sets/notes.csv"] = CONTENT
    path = fetch(f"{server.url}/sets/notes.csv", pin)
    assert path.name == "notes.csv"
    assert path.is_relative_to(RAW)
    assert path.read_bytes() == CONTENT

    asked = len(server.requests)
    assert fetch(f"{server.url}/sets/notes.csv", pin) == path
    assert len(server.requests) == asked > 0


def test_files_of_the_same_name_from_two_places_are_kept_apart(server):
    server.files = {"/one/notes.csv": b"one", "/two/notes.csv": b"two"}
    paths = [fetch(f"{server.url}/{place}/notes.csv") for place in ("one", "two")]
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]


def test_an_altered_download_is_rejected_and_removed(server):
    server.files["/notes.csv"] = CONTENT.replace(b"two", b"TWO")
    reason = rejected(f"{server.url}/notes.csv", PIN)
    assert "truncated or altered" in reason
    assert f"not the pinned {PIN}" in reason
    assert files_in(RAW) == []


@pytest.mark.parametrize("pin", [None, PIN], ids=["any file", "pinned"])
def test_a_truncated_download_is_rejected_and_removed(pin, server):
    server.files["/notes.csv"] = CONTENT[:-100]
    server.missing_bytes = 100
    assert rejected(f"{server.url}/notes.csv", pin).startswith("data.source: ")
    assert files_in(RAW) == []


def test_a_missing_download_is_named_by_its_address(server):
    reason = rejected(f"{server.url}/nowhere.csv")
    assert reason.startswith(f"data.source: {server.url}/nowhere.csv could not be fetched: ")
    assert files_in(RAW) == []


def test_a_cached_download_that_was_altered_is_fetched_again(server):
    server.files["/notes.csv"] = CONTENT
    fetch(f"{server.url}/notes.csv", PIN).write_bytes(b"altered")
    assert fetch(f"{server.url}/notes.csv", PIN.upper()).read_bytes() == CONTENT


def test_another_query_is_another_file(server):
    server.files["/notes.csv?id=1"], server.files["/notes.csv?id=2"] = b"one", b"two"
    one, two = (fetch(f"{server.url}/notes.csv?id={number}") for number in (1, 2))
    assert (one.read_bytes(), two.read_bytes()) == (b"one", b"two")


def test_an_unreachable_server_is_reported_in_one_line(server):
    server.close()
    for address in (server.url, "https://nowhere.invalid"):
        reason = rejected(f"{address}/notes.csv")
        assert "could not be fetched: cannot connect (" in reason
        assert "FileNotFoundError" not in reason


FAR = "http://data.invalid/notes.csv"


@pytest.fixture
def proxy(server, monkeypatch):
    """Return a function that sets variables to a proxy's address, and the proxy itself."""

    def use(*names, template="{}", **others):
        for name in ("http_proxy", "https_proxy"):  # the code may set them
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        for name in names:
            monkeypatch.setenv(name, template.format(server.url.removeprefix("http://")))
        for name, value in others.items():
            monkeypatch.setenv(name, value)
        return server

    server.files[FAR] = CONTENT
    return use


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("http_proxy", "http://{}"),
        ("HTTP_PROXY", "http://{}"),
        ("http_proxy", "http://ada:secret@{}"),
        ("http_proxy", "{}"),
        ("ALL_PROXY", "http://{}"),
    ],
)
def test_a_file_is_fetched_through_the_proxy(name, template, proxy):
    used = proxy(name, template=template)
    assert fetch(FAR, PIN).read_bytes() == CONTENT
    assert f"GET {FAR}" in used.requests


def test_a_proxy_that_rejects_is_reported(proxy):
    used = proxy("https_proxy", template="http://{}")
    assert "502" in rejected("https://data.invalid/notes.csv")
    assert used.requests[0] == "CONNECT data.invalid:443"


def test_a_host_in_no_proxy_is_asked_directly(proxy):
    used = proxy("http_proxy", template="http://{}", no_proxy="data.invalid")
    assert "cannot connect" in rejected(FAR)
    assert used.requests == []


def test_any_url_that_fsspec_opens_works():
    with fsspec.open("memory://sets/notes.csv", "wb") as file:
        file.write(CONTENT)
    assert fetch("memory://sets/notes.csv", PIN).read_bytes() == CONTENT
    assert "no_such_protocol" in rejected("no_such_protocol://sets/notes.csv")


def test_a_file_is_fetched_from_a_hub_at_its_revision(server):
    entry = {"type": "file", "path": "notes.csv", "size": len(CONTENT), "oid": REVISION}
    api = "/api/datasets/me/notes"
    server.files = {
        f"{api}/revision/{REVISION}": json.dumps({"id": "me/notes", "sha": REVISION}).encode(),
        f"{api}/tree/{REVISION}": json.dumps([entry]).encode(),
        f"/datasets/me/notes/resolve/{REVISION}/notes.csv": CONTENT,
    }
    # The hub's library reads the address once, on import, so this takes a new process.
    code = (
        "import sys; from pathlib import Path; "
        f"from {sources.__name__} import fetch; "
        "print(fetch(sys.argv[1], sys.argv[2], Path('raw'), 'data.source'))"
    )
    command = [sys.executable, "-c", code, f"hf://datasets/me/notes@{REVISION}/notes.csv", PIN]
    environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert Path(process.stdout.splitlines()[-1]).read_bytes() == CONTENT


@pytest.fixture
def registry(workspace, monkeypatch):
    """A folder with one package, which pip uses as its registry."""
    folder = workspace / "registry"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_notes-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_notes/data/notes.csv", CONTENT)
        info = {
            "METADATA": "Metadata-Version: 2.1\nName: tiny-notes\nVersion: 1.0\n",
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }
        for name, text in info.items():
            wheel.writestr(f"tiny_notes-1.0.dist-info/{name}", text)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_file_is_read_out_of_a_package_without_installing_it(registry):
    path = fetch(f"wheel://{WHEEL}/tiny_notes/data/notes.csv", PIN)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(RAW)
    with pytest.raises(ModuleNotFoundError):
        __import__("tiny_notes")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("wheel://tiny_notes", "as wheel://NAME==VERSION/path/inside"),
        ("wheel://tiny_notes==1.0", "as wheel://NAME==VERSION/path/inside"),
        ("wheel://tiny_notes/notes.csv", "as wheel://NAME==VERSION/path/inside"),
        ("wheel://==1.0/notes.csv", "as wheel://NAME==VERSION/path/inside"),
        ("wheel://--index-url==1.0/notes.csv", "as wheel://NAME==VERSION/path/inside"),
        (f"wheel://{WHEEL}/tiny_notes/no.csv", f"no tiny_notes/no.csv in {WHEEL}"),
        (f"wheel://{WHEEL}/../notes.csv", f"no ../notes.csv in {WHEEL}"),
        ("wheel://tiny_notes==9.9/notes.csv", "tiny_notes==9.9 could not be fetched: ERROR"),
        ("wheel://no_such_notes==1.0/notes.csv", "no_such_notes==1.0 could not be fetched: ERROR"),
    ],
    ids=[
        "no version or path",
        "no path",
        "no version",
        "no name",
        "an option",
        "no such file",
        "outside the package",
        "no such version",
        "no such package",
    ],
)
def test_a_missing_package_or_path_is_rejected(source, reason, registry):
    assert reason in rejected(source)
    assert files_in(RAW) == []


def test_the_data_verb_reports_why_it_could_not_fetch(rejection, server):
    source = f"{server.url}/notes.csv"
    [line] = rejection("data", "--set", f"data.source={source}")
    assert line.startswith(f"error: data.source: {source} could not be fetched: ")
