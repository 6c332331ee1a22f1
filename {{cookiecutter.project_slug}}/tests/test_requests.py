"""Whatever a client sends: an answer as documented or a rejection, never a failure.

schemathesis makes up requests that the OpenAPI document allows, and requests that it forbids. The
server runs in its own process, on copies of the model's files.
"""

import json
import re
import shutil
import subprocess
import sys

import pytest
import type_fixtures
from api_fixtures import serving

EXAMPLES = getattr(type_fixtures, "EXAMPLES", 200)  # for each route and kind
# An invalid body may also be too large, and one that is too slow or too much is rejected, too.
STATUSES = [404, 405, 408, 413, 415, 422, 503]
EXCLUDED_CHECKS = getattr(type_fixtures, "EXCLUDED_CHECKS", [])


@pytest.fixture(scope="module")
def service(trained, tmp_path_factory):
    """The running server, and in `folder` its own project."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(trained.folder / "models", folder / "models")
    shutil.copy(trained.folder / "params.yaml", folder)
    with serving(folder, folder / "log") as process:
        process.folder = folder
        yield process


def test_every_answer_is_as_documented(service):
    settings = f"[checks.negative_data_rejection]\nexpected-statuses = {STATUSES}\n"
    (service.folder / "schemathesis.toml").write_text(settings, encoding="utf-8")
    options = ["--checks=all", "--mode=all", "--seed=13", f"--max-examples={EXAMPLES}"]
    options += ["--no-color", "--suppress-health-check=all"]
    if EXCLUDED_CHECKS:
        options.append(f"--exclude-checks={','.join(EXCLUDED_CHECKS)}")
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", *options],
        cwd=service.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) > EXAMPLES

    assert service.poll() is None
    lines = service.log.read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(entries) > EXAMPLES
    assert {entry["status"] for entry in entries if entry["status"] >= 500} <= {503}
    assert not [line for line in lines if "Traceback" in line]
