"""Sends a running service one real request: python kit/portfolio_kit/deploy/smoke_test.py [URL].

With the API key in the environment variable API_KEY, if there is one.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

EXAMPLE = Path("scripts/example_request.json")
READY_SECONDS = 60


def main() -> None:
    url = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000").rstrip("/")
    wait_until_ready(url)
    print(json.dumps(ask(url), indent=2, ensure_ascii=False))


def ask(url: str) -> Any:
    """Return the answer to the example request; exit with one line if it is rejected."""
    example = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    body = json.dumps(example["body"]).encode()
    request = urllib.request.Request(url + example["path"], body, headers())
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        hint = "; set API_KEY to a key of this service" if error.code == 401 else ""
        sys.exit(f"error: {url}{example['path']} answered {error.code}{hint}")


def headers() -> dict[str, str]:
    """Return the headers of a request with a body."""
    key = os.environ.get("API_KEY")
    known = {"Authorization": f"Bearer {key}"} if key else {}
    return {"Content-Type": "application/json", **known}


def wait_until_ready(url: str) -> None:
    """Poll `/ready`; exit with one line if it does not answer 200 in time."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"error: {url}/ready did not answer 200 in {READY_SECONDS} s ({error})")
            time.sleep(0.02)


if __name__ == "__main__":
    main()
