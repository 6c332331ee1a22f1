#!/usr/bin/env bash
# The in-memory storage of `limits` starts a thread on nearly every hit, and each scans every key.
#
# Version: limits 5.8.0; seen with Python 3.11 on Linux.
#
# A fixed-window limiter with `MemoryStorage` counts requests of 50 clients, one every 20 milliseconds,
# as a small service would. The script counts the threads that are started, and how many keys each
# looks at.
#
# Expected: none, or one that cleans up now and then.
# Seen: one thread per hit (a `threading.Timer` of 10 ms that is made again as soon as it has run), and
# each goes through all keys that are stored. So a limiter in front of a busy service starts up to a
# hundred threads per second, whose work grows with the number of clients.
#
# This script exits with 0 as long as that is so, and with 1 when it is not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check limits==5.8.0
"$folder/venv/bin/python" - <<'CODE'
import sys
import threading
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

HITS = 50
started = 0
original = threading.Thread.start


def start(thread: threading.Thread) -> None:
    global started
    started += 1
    original(thread)


class Watched(dict):
    """Counts how often its keys are looked through."""

    looked_at = 0

    def keys(self):
        Watched.looked_at += len(self)
        return super().keys()


threading.Thread.start = start
storage = MemoryStorage()
storage.expirations = Watched(storage.expirations)
limiter, limit = FixedWindowRateLimiter(storage), parse("1000/minute")
for client in range(HITS):
    limiter.hit(limit, f"client {client}")
    time.sleep(0.02)
print(f"{HITS} hits started {started} threads, which looked at {Watched.looked_at} keys")
sys.exit(not (started > 0.8 * HITS and Watched.looked_at > 10 * HITS))
CODE
