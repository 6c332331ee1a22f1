"""The container image of each project type, built and run with a real engine."""

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import docker
import pytest
from conftest import DEMOS, ask, free_port, is_ready, python
from packaging.utils import canonicalize_name

# Size above the base image, in megabytes.
SIZES = {"text-classification": 350, "forecasting": 250, "document-similarity": 350}
RESTRICTED = {
    "read_only": True,
    "tmpfs": {"/tmp": ""},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "mem_limit": "512m",
}
# The benchmark's clients, which count lost requests, while the container stops.
STOP_UNDER_LOAD = """
import asyncio, json, subprocess, sys
from collections import Counter
from types import SimpleNamespace
from portfolio_kit.bench import shutdown
name, port, path, body = sys.argv[1:]
stop = lambda: subprocess.run(["docker", "stop", "--time=30", name], check=True)
server, counts = SimpleNamespace(port=int(port), path=path, stop=stop), Counter()
asyncio.run(shutdown.stop_under_load(server, [body], b"", counts))
print(json.dumps(counts))
"""

# Where Python keeps what is installed, and what a package says of itself; Debian's own list.
INSTALLED = """
from email import message_from_bytes
from pathlib import Path
for folder in ("venv/lib", "usr/lib", "usr/local/lib"):
    files = Path("/", folder).glob("python3*/**/*-info/*")
    for file in (file for file in files if file.name in ("METADATA", "PKG-INFO")):
        about = message_from_bytes(file.read_bytes())
        print("pypi", about["Name"], about["Version"], str(file).split("/")[1])
"""
FIND = """
import importlib.util, json, shutil
modules = "torch transformers pandas scipy sklearn matplotlib dvc mlflow pytest".split()
programs = "gcc cc make git curl".split()
found = [name for name in modules if importlib.util.find_spec(name)]
print(json.dumps([*found, *filter(shutil.which, programs)]))
"""


@pytest.mark.parametrize("project_type", SIZES)
def test_the_linter_finds_nothing_in_the_dockerfile(project_type, bake):
    project = bake(project_type=project_type)
    command = [Path(sys.executable).with_name("hadolint"), project.path / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def engine():
    """The container engine, which `.ci/docker-engine` installs and starts."""
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        if os.environ.get("REQUIRE_ENGINE"):
            raise
        pytest.skip(f"no container engine: {error}")
    return client


@pytest.fixture(scope="module", params=SIZES)
def project_type(request):
    return request.param


@pytest.fixture(scope="module")
def project(engine, project_type, request):
    """A trained project of each type."""
    return request.getfixturevalue(DEMOS[project_type])[1]


@pytest.fixture(scope="module")
def built(project):
    """The output of `make image`."""
    done = project.run("make", "image", check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def name(built):
    return re.search(r"^(\S+:[0-9a-f]{12}): ", built, re.MULTILINE)[1]


@pytest.fixture
def volume(engine):
    """The name of a volume, removed at the end; request it before `start`."""
    volume = engine.volumes.create()
    yield volume.name
    volume.remove()


@pytest.fixture
def start(engine, name):
    """Start a container as in production and wait until it is ready; it is removed at the end."""
    with contextlib.ExitStack() as stack:

        def start(variables=None, **options):
            port = free_port()
            environment = {"PORT": port, **(variables or {})}
            network = os.environ.get("DOCKER_NETWORK")
            where = {"network": network} if network else {"ports": {port: ("127.0.0.1", port)}}
            container = engine.containers.run(
                name, detach=True, environment=environment, **where, **{**RESTRICTED, **options}
            )
            stack.callback(container.remove, v=True, force=True)
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 60
            while not is_ready(url):
                assert time.monotonic() < deadline, container.logs().decode()[-3000:]
                time.sleep(0.05)
            return container, url

        yield start


@pytest.mark.slow
def test_the_image_is_as_small_as_promised(project_type, built):
    whole, own = re.search(r": (\d+) MB, (\d+) MB of it above its base", built).groups()
    assert int(own) <= SIZES[project_type] < int(whole) + int(own)
    assert re.search(
        r"^ready \d+\.\d\d s after `docker run`, same answer as the local model", built, re.M
    )


@pytest.mark.slow
def test_labels_user_and_entrypoint(engine, name, project):
    config = engine.images.get(name).attrs["Config"]
    manifest = json.loads(project.read("models/manifest.json"))
    labels = config["Labels"]
    assert labels["model.version"] == manifest["version"] == name.rpartition(":")[2]
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    assert labels["org.opencontainers.image.revision"] == head
    assert "org.opencontainers.image.source" in labels
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"][0] == "python"  # no shell in between: signals arrive
    assert "curl" not in " ".join(config["Healthcheck"]["Test"])


@pytest.mark.slow
def test_it_contains_no_training_or_build_tools(engine, name):
    output = engine.containers.run(name, ["-c", FIND], entrypoint=["python"], remove=True)
    assert json.loads(output) == []


@pytest.mark.slow
def test_the_bill_of_materials_is_what_is_installed_and_all_of_it_is_locked(engine, name, project):
    options = {"remove": True, "network_mode": "none"}
    listed = engine.containers.run(name, ["-c", INSTALLED], entrypoint=["python"], **options)
    found = [line.split() for line in listed.decode().splitlines()]
    command = ["-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"]
    debian = engine.containers.run(name, command, entrypoint=["dpkg-query"], **options)
    rows = [line.split() for line in debian.decode().splitlines()]
    wanted = {(*one[:3],) for one in found}
    wanted |= {("deb", *row[1:]) for row in rows if row[0] == "installed"}

    bom = json.loads(project.read("build/sbom-image.json"))
    assert bom["bomFormat"] == "CycloneDX"
    about = bom["metadata"]["component"]
    assert [about["name"], about["version"]] == name.rsplit(":", 1)
    ours = {
        (re.match(r"pkg:(\w+)/", one["purl"])[1], one["name"], one["version"])
        for one in bom["components"]
    }
    assert {one for one in ours if one[0] != "generic"} == wanted
    [interpreter] = [one for one in ours if one[0] == "generic"]
    assert interpreter[1] == "python"

    lock = project.read("requirements/serve.lock")
    held = set(re.findall(r"^([\w.-]+)==([^\s\\]+).*\\\n    --hash=sha256:", lock, re.MULTILINE))
    in_venv = {(canonicalize_name(one[1]), one[2]) for one in found if one[3] == "venv"}
    assert {one[0] for one in in_venv - held} == {project.path.name}
    assert len(in_venv) > 20


@pytest.mark.slow
def test_it_runs_unprivileged_and_is_healthy(start):
    container, _ = start(healthcheck={"interval": 1_000_000_000})  # the image's own, every second
    deadline = time.monotonic() + 60
    while container.health != "healthy":
        assert time.monotonic() < deadline, container.attrs["State"]["Health"]
        time.sleep(0.5)
        container.reload()
    assert container.exec_run("id -u").output.strip() == b"10001"
    assert container.exec_run("touch /app/params.yaml /venv/x").exit_code != 0


@pytest.mark.slow
def test_no_request_is_lost_when_it_stops_under_load(start, project):
    container, url = start()
    example = json.loads(project.read("scripts/example_request.json"))
    port = url.rpartition(":")[2]
    arguments = (container.name, port, example["path"], json.dumps(example["body"]))
    done = project.run(python(project), "-c", STOP_UNDER_LOAD, *arguments)
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts.get("200", 0) > 32, counts
    assert set(counts) <= {"200", "503"}, counts
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0


@pytest.mark.slow
def test_the_prediction_log_outlives_the_container(volume, start, engine, project):
    example = json.loads(project.read("scripts/example_request.json"))
    for _ in range(2):
        container, url = start(volumes={volume: {"bind": "/app/predictions"}})
        ask(url + example["path"], example["body"])
        container.stop(timeout=30)
    command = {"entrypoint": ["cat"], "volumes": {volume: {"bind": "/kept"}}, "remove": True}
    output = engine.containers.run(container.image, ["/kept/predictions.jsonl"], **command)
    assert len(output.splitlines()) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("project_type", ["document-similarity"], scope="module", indirect=True)
def test_documents_outlive_a_killed_container(volume, start, project):
    """Only with a key: the container does not listen on loopback."""
    where = {volume: {"bind": "/app/changes"}}
    document = {"documents": [{"id": "note-1", "title": "", "text": "A badge."}]}
    container, url = start(volumes=where)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(f"{url}/documents", document)
    container.kill()
    digest = hashlib.sha256(b"a key").hexdigest()
    keys = {f"{project.package}_API_KEYS".upper(): f"writer:write:{digest}"}
    container, url = start(keys, volumes=where)
    ask(f"{url}/documents", document, key="a key")
    container.kill()
    _, url = start(volumes=where)
    assert json.loads(ask(f"{url}/documents/note-1"))["text"] == "A badge."
