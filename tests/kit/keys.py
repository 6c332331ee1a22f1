"""API keys of the tests, as clients send them and as they are deployed."""

import hashlib

from portfolio_kit.config import API_KEYS

VARIABLE = f"TINY_{API_KEYS}"
READER, WRITER = "a-key-that-may-read", "a-key-that-may-write"


def entry(name, role, key):
    return f"{name}:{role}:{hashlib.sha256(key.encode()).hexdigest()}"


def bearer(key):
    return {"Authorization": f"Bearer {key}"}
