"""The template's tools: `python -m portfolio_kit review`, `eject MODULE` or `update`.

uv fetches them from the template that this project was generated from.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from .deploy.setup_environment import uv_environment

TOOLS = ("review", "eject", "update")


def main(arguments: list[str]) -> int:
    """Run a tool and return its exit code, or 1 after one plain line if it cannot be fetched."""
    if not arguments or arguments[0] not in TOOLS:
        return fail(f"name a tool: {', '.join(TOOLS)}")
    hint = f"name a copy of the template: make {arguments[0]} TEMPLATE=folder-or-url"
    template = os.environ.get("TEMPLATE") or recorded()
    if not template:
        return fail(f".generated.json has no address of the template; {hint}")
    uv = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--python", sys.executable]
    tool = [*uv, "--from", requirement(template), f"portfolio-{arguments[0]}"]
    try:
        settings = uv_environment()
    except OSError:
        return fail("there is no .venv here; run `make setup` in the project's folder first")
    fetched = subprocess.run([*tool, "--help"], env=settings, capture_output=True, text=True)
    if fetched.returncode:
        reasons = re.findall(r"^\s*(?:fatal|cause|error): (.+)", fetched.stderr, re.MULTILINE)
        reason = (reasons or fetched.stderr.strip().split("\n"))[-1]
        return fail(f"the template at {template} cannot be used ({reason}); {hint}")
    return subprocess.run([*tool, *arguments[1:]], env=settings).returncode


def recorded() -> str | None:
    """Return the address of the template that the project was generated from, if it is known."""
    try:
        return json.loads(Path(".generated.json").read_text(encoding="utf-8"))["template"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def requirement(template: str) -> str:
    """Return a template's address as uv reads it."""
    template = re.sub(r"^([\w.-]+@[\w.-]+):(?!//)", r"ssh://\1/", template)  # git@host:path
    is_archive = template.endswith((".zip", ".whl", ".tar.gz"))
    return f"git+{template}" if "://" in template and not is_archive else template


def fail(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
