"""`make audit`: what a service knows of the locked packages, from a service of the test's."""

import http.server
import json
import threading
from pathlib import Path

import pytest
from cyclonedx.model.component import Component

from portfolio_kit.deploy import audit, sbom
from portfolio_kit.deploy.setup_environment import HEADER

HASH = f"    --hash=sha256:{'0' * 64}"
PYPROJECT = """
[build-system]
requires = ["setuptools==84.2.1"]
[project]
name = "notes"
version = "0.1.0"
dependencies = []
[project.optional-dependencies]
serve = ["fast==1.0"]
train = ["torch==2.13.0"]
dev = []
"""
PINS = {
    "serve": ["fast==1.0", "jinja2==3.1.2", "only-here==5 ; sys_platform == 'another'"],
    "train": ["two==1.0 ; python_full_version < '3'", "two==2.0 ; python_full_version >= '3'"],
    "dev": [],
}
FLAW = {
    "id": "GHSA-h5c8-rqwp-cp95",
    "aliases": ["CVE-2024-22195"],
    "summary": "Markup can be injected",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.3"}]}],
        }
    ],
}


@pytest.fixture(autouse=True)
def locked(workspace):
    """A project with locks."""
    Path("pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    Path("requirements").mkdir()
    for name, pins in PINS.items():
        lines = [HEADER, *(f"{pin} \\\n{HASH}" for pin in pins), ""]
        Path(f"requirements/{name}.lock").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def service(monkeypatch):
    """A service that speaks OSV's API: what it knows by pin, and what it is asked."""
    known, asked = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pin = (query["package"]["name"], query["version"])
            asked.append(pin)
            answer = json.dumps({"vulns": known[pin]} if pin in known else {}).encode()
            self.send_response(known.get("status", 200))
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments):
            """Keep requests out of the tests' output."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{server.server_port}/v1/query")
    yield known, asked
    server.shutdown()
    server.server_close()


def test_every_locked_package_and_torch_are_looked_up(service, capsys):
    audit.main([])
    assert sorted(service[1]) == [
        ("fast", "1.0"),
        ("jinja2", "3.1.2"),
        ("torch", "2.13.0"),
        ("two", "2.0"),
    ]
    [line] = capsys.readouterr().out.splitlines()
    assert (
        line == "no known vulnerability in 4 packages; build/sbom-locks.json lists all locked ones"
    )
    bom = json.loads(audit.BOM.read_text(encoding="utf-8"))
    listed = {(one["name"], one["version"]) for one in bom["components"]}
    assert listed == {*service[1], ("only-here", "5"), ("two", "1.0")}
    assert bom["metadata"]["component"]["name"] == "notes"


def test_a_vulnerability_is_named_with_the_version_that_fixes_it(service, capsys):
    service[0]["jinja2", "3.1.2"] = [FLAW]
    with pytest.raises(SystemExit, match=r"^error: 1 of 4 packages .*; run `make lock ARGS="):
        audit.main([])
    [line] = capsys.readouterr().out.splitlines()
    assert line == "jinja2 3.1.2: CVE-2024-22195 GHSA-h5c8-rqwp-cp95, fixed in 3.1.3"


def test_one_can_be_accepted(service, capsys):
    service[0]["jinja2", "3.1.2"] = [FLAW]
    audit.main(["--ignore-vuln", "CVE-2024-22195"])
    assert capsys.readouterr().out.startswith("no known vulnerability")


@pytest.mark.parametrize("failure", ["no server", "a failing one"])
def test_a_service_that_cannot_be_asked_is_one_plain_line(failure, service, monkeypatch, capfd):
    service[0]["status"] = 503
    if failure == "no server":
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:9/v1/query")
    with pytest.raises(SystemExit) as caught:
        audit.main([])
    assert str(caught.value.code).startswith("error: nothing was looked up; api.osv.dev, ")
    assert "\n" not in str(caught.value.code)
    assert capfd.readouterr() == ("", "")


def test_without_locks_nothing_is_looked_up():
    Path("requirements/dev.lock").unlink()
    with pytest.raises(
        SystemExit, match=r"^error: requirements/dev\.lock: missing; run `make lock`"
    ):
        audit.main([])


def test_a_bill_of_materials_says_where_each_package_comes_from():
    contents = [sbom.Package("pypi", "Jinja2", "3.1.2"), sbom.Package("deb", "libc6", "2.36-9+x")]
    sbom.write(Path("build/one.json"), Component(name="image", version="0123"), contents)
    bom = json.loads(Path("build/one.json").read_text(encoding="utf-8"))
    purls = {one["name"]: one["purl"] for one in bom["components"]}
    assert purls == {"Jinja2": "pkg:pypi/jinja2@3.1.2", "libc6": "pkg:deb/debian/libc6@2.36-9%2Bx"}
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
