"""The API keeps to its own OpenAPI document, whatever is asked: schemathesis makes up requests."""

import subprocess
import sys

from type_fixtures import EXCLUDED_CHECKS


def test_every_answer_is_as_documented(live_server):
    command = ["run", f"{live_server}/openapi.json", "--checks=all", "--mode=all", "--no-color"]
    options = ["--max-examples=50", "--seed=13", "--suppress-health-check=all"]
    if EXCLUDED_CHECKS:
        options.append(f"--exclude-checks={','.join(EXCLUDED_CHECKS)}")
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *command, *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
