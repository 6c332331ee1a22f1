"""Builds the container image and tests it as it will run: python -m portfolio_kit.deploy.image.

It runs unprivileged: read-only file system, no capabilities, 512 MB of memory. Its answer must
match the local model's. DOCKER_NETWORK=host builds and runs it in the host's network, for an engine
without one; DOCKER_BASE=IMAGE builds it on another base than the pinned one, such as a mirror's.
What it consists of is written to `build/sbom-image.json`.
"""

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cyclonedx.model.component import Component, ComponentType

from ..errors import UserError
from . import sbom
from .release import version
from .smoke_test import ask, wait_until_ready

NETWORK = [f"--network={name}"] if (name := os.environ.get("DOCKER_NETWORK")) else []
BASE = [f"--build-arg=BASE={name}"] if (name := os.environ.get("DOCKER_BASE")) else []
BOM = Path("build/sbom-image.json")
LIMITS = [
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--memory=512m",
]
STOP_SECONDS = 30
TOLERANCE = 1e-4  # of numbers: another number of cores adds them in another order


def main() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        model = version(Path("models"))
        evaluated = json.loads(Path("reports/metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        sys.exit(f"error: {error.filename}: missing; run `make pipeline`")
    except UserError as error:
        sys.exit(f"error: {error}")
    if evaluated["model_version"] != model:
        sys.exit("error: reports/metrics.json belongs to another model; run `make pipeline`")
    image = f"{project['name']}:{model}"
    labels = {
        "VERSION": project["version"],
        "MODEL_VERSION": model,
        "SOURCE": git("config", "--get", "remote.origin.url"),
        "REVISION": git("rev-parse", "HEAD"),
    }
    arguments = [f"--build-arg={name}={value}" for name, value in labels.items()]
    docker("build", *NETWORK, *BASE, *arguments, f"--tag={image}", ".", quiet=False)
    alone = ["--rm", "--network=none", "--entrypoint=python"]
    listed = sbom.packages(docker("run", *alone, image, "-c", sbom.LIST))
    container = Component(name=project["name"], version=model, type=ComponentType.CONTAINER)
    sbom.write(BOM, container, listed)
    seconds, answer = try_out(image)
    print(json.dumps(answer, indent=2, ensure_ascii=False))
    whole = json.loads(docker("image", "inspect", image))[0]["Size"]
    print(f"{image}: {whole / 1e6:.0f} MB, {own_size(image) / 1e6:.0f} MB of it above its base")
    print(f"{BOM}: {len(listed)} packages")
    print(f"ready {seconds:.2f} s after `docker run`, same answer as the local model, clean stop")


def docker(*arguments: str, quiet: bool = True) -> str:
    """Run the docker client and return what it printed; exit if it fails."""
    try:
        output = subprocess.PIPE if quiet else None
        done = subprocess.run(["docker", *arguments], stdout=output, encoding="utf-8")
    except FileNotFoundError:
        sys.exit("error: `docker` is not installed; see https://docs.docker.com/get-docker/")
    if done.returncode:
        sys.exit(f"error: `docker {arguments[0]}` failed; the lines above say why")
    return (done.stdout or "").strip()


def git(*arguments: str) -> str:
    """Return what git prints, or nothing without git."""
    if shutil.which("git") is None:
        return ""
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()


def try_out(image: str) -> tuple[float, Any]:
    """Return the seconds from `docker run` to ready, and the verified answer."""
    port = free_port()
    network = NETWORK or [f"--publish=127.0.0.1:{port}:{port}"]
    package = next(Path("src").glob("*/__main__.py")).parent.name
    keys = f"{package}_API_KEYS".upper()  # if this shell has any; then API_KEY is one of them
    start = time.perf_counter()
    options = [*LIMITS, *network, f"--env=PORT={port}", f"--env={keys}"]
    name = docker("run", "--detach", *options, image)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url)
        seconds = time.perf_counter() - start
        answer = ask(url)
        with local_model() as other:
            if not same(answer, ask(other)):
                sys.exit(f"error: {image} answers differently from the local model")
        docker("stop", f"--time={STOP_SECONDS}", name)
        code = docker("wait", name)
        if code != "0":
            sys.exit(f"error: {image} ended with exit code {code} on SIGTERM")
    except SystemExit:
        print(docker("logs", name), file=sys.stderr)
        raise
    finally:
        docker("rm", "--force", "--volumes", name)
    return seconds, answer


@contextmanager
def local_model() -> Iterator[str]:
    """Serve the same model without a container, from copies of its files; yield the URL."""
    package = next(Path("src").glob("*/__main__.py")).parent.name
    port = free_port()
    variables = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port)}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy("params.yaml", folder)
        shutil.copytree("models", Path(folder, "models"))
        command = [sys.executable, "-m", package, "serve"]
        quiet = subprocess.DEVNULL
        server = subprocess.Popen(command, cwd=folder, env=variables, stdout=quiet)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url)
            yield url
        finally:
            server.terminate()
            server.wait(STOP_SECONDS)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def same(one: Any, other: Any) -> bool:
    """Tell whether two answers agree, numbers within the tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return one == other


def own_size(image: str) -> int:
    """Return the bytes of the layers above the base: all since the last stage began."""
    size = 0
    listed = docker("history", "--human=false", "--no-trunc", "--format=json", image)
    for line in listed.splitlines():
        layer = json.loads(line)
        if "WORKDIR /app" in layer["CreatedBy"]:
            return size
        size += int(layer["Size"])
    raise AssertionError("the Dockerfile's last stage does not begin with WORKDIR /app")


if __name__ == "__main__":
    main()
