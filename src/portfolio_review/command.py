"""The command: portfolio-review [PATH], of a project in a folder (default: this one).

It runs none of the project's code unless RUN=1 is set, and uses the network only with ONLINE=1.
"""

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path

from . import review
from .render import plain

SECONDS, MEMORY = 300, 4 << 30  # ample for any project, and little enough for a trap


def main() -> int:
    """Review; return 0, 3 if a required criterion is not met, or 1 after one line on an error."""
    parser = argparse.ArgumentParser(prog="portfolio-review", description=__doc__)
    parser.add_argument("path", nargs="?", default=".", metavar="PATH", help="the project's folder")
    given = parser.parse_args().path
    if not given:
        return fail("PATH: is empty; give the folder of a generated project")
    root = Path(given).expanduser().resolve()
    if not root.is_dir():
        return fail(f"PATH: {root} is not a folder; give the folder of a generated project")
    if not (root / "pyproject.toml").is_file():
        return fail(f"PATH: {root} has no pyproject.toml; give the folder of a generated project")
    if os.environ.get("RUN") != "1":  # what the project runs may need more
        limit()
    try:
        return review(root)
    except MemoryError:
        return fail(f"PATH: {root} needs more than {MEMORY >> 30} GB of memory to be read")
    except OSError as error:
        return fail(str(error))


def fail(line: str) -> int:
    print(f"error: {plain(line, 1000)}", file=sys.stderr)
    return 1


def limit() -> None:
    """End with one line, instead of hanging, where a project was made to be slow or huge."""

    def stop(*_: object) -> None:
        sys.exit(fail(f"PATH: takes more than {SECONDS} seconds to read; it may be a trap"))

    if hasattr(signal, "SIGALRM"):  # Windows has neither
        import resource

        signal.signal(signal.SIGALRM, stop)
        signal.alarm(SECONDS)
        with contextlib.suppress(ValueError, OSError):  # a lower limit is in force
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
