"""What the projects of each type install is locked: every package, by version and hash."""

import json
import re
import tomllib

import pytest
from conftest import CHOICES, DEMOS, SKELETON, TEMPLATE, python
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAMES = ["serve", "train", "dev"]
FILES = {
    (kind, name): SKELETON / "overlays" / "project_type" / kind / "requirements" / f"{name}.lock"
    for kind in CHOICES["project_type"]
    for name in NAMES
}
# torch comes from an index for this machine's device, and what its builds for GPUs need with it.
OF_TORCH = {"torch", "triton"}
ENTRY = r"([\w.-]+==[^\s\\]+)( ; [^\\]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
LIMIT = 1_000_000


@pytest.fixture(scope="module", params=CHOICES["project_type"])
def project(request, bake_in, tmp_path_factory):
    """A project of each type, with its `pyproject.toml` as rendered."""
    folder = tmp_path_factory.mktemp("locked")
    return request.param, bake_in(folder, project_type=request.param)


def pins(text):
    """Return the pins of a lock, each a requirement with its marker."""
    return [Requirement(pin + (marker or "")) for pin, marker, _ in re.findall(ENTRY, text)]


def asked(project):
    """Return what each lock of a project has to hold."""
    pyproject = tomllib.loads(project.read("pyproject.toml"))
    extras = pyproject["project"]["optional-dependencies"]
    first = [*pyproject["build-system"]["requires"], *pyproject["project"]["dependencies"]]
    return {"serve": [*first, *extras["serve"]], "train": extras["train"], "dev": extras["dev"]}


@pytest.mark.parametrize("file", FILES.values(), ids=map("-".join, FILES))
def test_a_lock_is_nothing_but_pins_with_hashes(file):
    text = file.read_text("utf-8")
    header, *lines = text.splitlines(keepends=True)
    assert header == "# Made by `make lock`, of what pyproject.toml asks for:\n"
    while lines[0].startswith("#   "):
        lines.pop(0)
    body = "".join(lines)
    assert re.fullmatch(f"(?:{ENTRY})+", body)
    assert not re.search(r"://|\bwww\.|@|/", body), "a host or a path"
    assert not re.search(r"/|\.(com|org|io|net)\b", text), "a host or a path"
    assert len(text) < LIMIT
    assert "\r" not in text


def test_locks_hold_the_pins_of_the_rendered_project(project):
    """Those of `templates/requirements.txt`, each in the lock that it belongs to."""
    kind, made = project
    known = (TEMPLATE / "templates" / "requirements.txt").read_text("utf-8").splitlines()
    held = set()
    for name, wanted in asked(made).items():
        text = made.read(f"requirements/{name}.lock")
        assert text == FILES[kind, name].read_text("utf-8"), "copied, not rendered"
        assert re.findall(r"^#   (.+)$", text, re.MULTILINE) == sorted(wanted)
        held |= {f"{pin.name}{pin.specifier}" for pin in pins(text)}
        assert {one for one in wanted if not one.startswith("torch==")} <= held
        assert {*wanted} <= {*known}


def test_each_package_is_in_one_lock_and_has_one_version_per_python(project):
    _, made = project
    found = {}
    for name in NAMES:
        for pin in pins(made.read(f"requirements/{name}.lock")):
            assert pin.name == canonicalize_name(pin.name)
            assert pin.name not in OF_TORCH
            assert not pin.name.startswith(("nvidia-", "cuda-"))
            found.setdefault(pin.name, []).append((name, pin))
    for places in found.values():
        assert len({name for name, _ in places}) == 1
        for version in ("3.11.0", "3.12.0", "3.13.0"):
            for system in ("linux", "darwin", "win32"):
                there = {"python_full_version": version, "sys_platform": system}
                fits = [p for _, p in places if p.marker is None or p.marker.evaluate(there)]
                assert len(fits) <= 1
    assert len(found) > 150
    assert Marker("sys_platform == 'win32'") in {
        pin.marker for places in found.values() for _, pin in places
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", DEMOS)
def test_an_environment_has_all_of_it_and_nothing_else(kind, request):
    """What a project's `make setup` installed: nothing that a package needs is missing."""
    demo = request.getfixturevalue(DEMOS[kind])[1]
    pip = (python(demo), "-m", "pip", "--disable-pip-version-check")
    demo.run(*pip, "check")
    locked = "".join(demo.read(f"requirements/{name}.lock") for name in NAMES)
    held = {f"{pin.name}{pin.specifier}" for pin in pins(locked)}
    listed = json.loads(demo.run(*pip, "list", "--format=json").stdout)
    found = {f"{canonicalize_name(one['name'])}=={one['version']}" for one in listed}
    others = {pin.partition("==")[0] for pin in found - held}
    assert others == {"torch", demo.path.name}
