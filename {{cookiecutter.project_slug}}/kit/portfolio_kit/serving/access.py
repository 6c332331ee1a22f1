"""Who may do what, and how often: API keys with roles, rate limits, and the names of this server.

The environment variable PACKAGE_API_KEYS holds entries `name:role:sha256`, separated by commas or
white space. An API without keys may be read by anyone, and changed only from its own machine.
"""

import hashlib
import hmac
import ipaddress
import math
import os
import re
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import FastAPI, HTTPException, Request
from fastapi.routing import iter_route_contexts
from prometheus_client import Counter
from starlette.responses import JSONResponse
from starlette.types import Scope

from ..config import API_KEYS, Serve
from ..errors import UserError
from .middleware import PROBES
from .prometheus import metric

if TYPE_CHECKING:
    from .rate_limit import RateLimit

ROLES = ("read", "write")  # the second includes the first
NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
EMPTY = hashlib.sha256(b"").digest()
OPEN = {"/", "/docs", "/openapi.json", *PROBES}  # for everyone, like the files of the pages:
FILES = ("/static/", "/static-offline-docs/")
LOCAL = re.compile(rb"(([\w-]+\.)*localhost\.?|127(\.\d{1,3}){3}|\[::1\])(:\d*)?", re.IGNORECASE)
FORWARDED = (b"x-forwarded", b"forwarded", b"via", b"x-real-ip")
MISSING = "Send an API key, as `Authorization: Bearer KEY`."
NOT_VALID = "The API key is not valid."
READ_ONLY = "This API key may read, but not change anything."
CLOSED = "Changes need an API key, and this service has none."
BEARER = {"WWW-Authenticate": "Bearer"}
BY_KEY = metric(Counter, "http_requests_by_key", "Requests by the name of their API key", ["key"])


class Key(NamedTuple):
    """A key as it is deployed."""

    name: str
    role: str
    digest: bytes


def new_key(name: str, role: str) -> tuple[str, str]:
    """Return a new key, and its entry for PACKAGE_API_KEYS; raises `UserError` for a bad name."""
    if not NAME.fullmatch(name):
        raise UserError(f"key: {name!r:.80} is not a name of letters, digits, and - . _ (up to 64)")
    key = secrets.token_urlsafe(32)
    return key, f"{name}:{role}:{hashlib.sha256(key.encode()).hexdigest()}"


def read_keys(package: str) -> list[Key]:
    """Return the keys in the environment.

    Raises `UserError` for a malformed entry, by its position: it may be a key itself.
    """
    variable, keys = f"{package}_{API_KEYS}".upper(), list[Key]()
    for place, entry in enumerate(re.findall(r"[^\s,]+", os.environ.get(variable, "")), 1):
        name, _, rest = entry.partition(":")
        role, _, digits = rest.partition(":")
        digest = bytes.fromhex(digits) if HASH.fullmatch(digits) else EMPTY
        faults = {
            "its name must be of letters, digits, and - . _": not NAME.fullmatch(name),
            "its role must be read or write": role not in ROLES,
            "it must end with the SHA-256 hash of a key": digest == EMPTY,
            "its hash is repeated": digest in {one.digest for one in keys},
        }
        for fault in (text for text, is_found in faults.items() if is_found):
            shape = f"`python -m {package} key NAME` prints an entry"
            raise UserError(f"{variable}: entry {place} is not name:role:hash: {fault}; {shape}")
        keys.append(Key(name, role, digest))
    return keys


async def writing(request: Request) -> None:
    """Mark a route that changes something; whatever path led to it, who may not gets a 403."""
    if not getattr(request.state, "may_write", False):
        raise HTTPException(403, "Changes are not allowed.")


class Guard:
    """Lets a request through, or rejects it before its body is read.

    A local server listens on loopback only, and knows of no proxy in front of it.
    """

    def __init__(self, app: FastAPI, package: str, settings: Serve, is_local: bool) -> None:
        self.keys, self._is_local = read_keys(package), is_local
        self._limit = None
        if settings.rate_limit:
            from .rate_limit import RateLimit  # on use: loading it takes a while

            self._limit = RateLimit(settings.rate_limit)
        self._writes = [
            (route.methods or (), route.path_regex.match)
            for route in iter_route_contexts(app.routes)
            if writing in [one.dependency for one in getattr(route, "dependencies", ())]
        ]
        for key in self.keys:
            BY_KEY.labels(key.name)

    def check(self, scope: Scope, is_operator: bool) -> tuple[str | None, JSONResponse | None]:
        """Return the name of the request's key, if it has one, and the rejection, if it is one.

        The scope is as the routes know it; whether the request may write is added to its state. An
        operator, on a separate port, needs no key.
        """
        headers, path = scope["headers"], scope["path"].removeprefix(scope["root_path"])
        hosts = [value for name, value in headers if name == b"host"]
        if self._is_local and not all(map(LOCAL.fullmatch, hosts)):
            # A page elsewhere could name this machine, and would then be of the same origin.
            return None, _reject(421, "This server only answers requests to localhost.")
        credentials = [value for name, value in headers if name == b"authorization"]
        key = self._key(credentials) if self.keys and credentials else None
        if key:
            BY_KEY.labels(key.name).inc()
            may_write = key.role == "write"
        else:
            may_write = self._is_local and not self.keys and not _is_from_elsewhere(headers)
        scope["state"]["may_write"] = may_write
        if is_operator or path in PROBES:
            return None, None
        rejection = self._limited(self._limit, scope, key) if self._limit else None
        if not rejection and self.keys and not key and not _is_open(scope["method"], path):
            rejection = _reject(401, NOT_VALID if credentials else MISSING, BEARER)
        if not rejection and not may_write and self._is_write(scope["method"], path):
            rejection = _reject(403, READ_ONLY if key else CLOSED)
        return key and key.name, rejection

    def _key(self, credentials: list[bytes]) -> Key | None:
        scheme, _, token = credentials[0].partition(b" ")
        if len(credentials) > 1 or scheme.lower() != b"bearer":
            return None
        digest, found = hashlib.sha256(token.strip()).digest(), None
        for key in self.keys:  # all of them: the time does not tell which one it is
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    @staticmethod
    def _limited(limit: "RateLimit", scope: Scope, key: Key | None) -> JSONResponse | None:
        if not (seconds := limit.hit(f"key {key.name}" if key else network(scope))):
            return None
        wait = str(math.ceil(seconds))
        return _reject(429, f"Too many requests; try again in {wait} s.", {"Retry-After": wait})

    def _is_write(self, method: str, path: str) -> bool:
        return any(method in methods and matches(path) for methods, matches in self._writes)

    def describe(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Add to an OpenAPI document what a key or a limit changes, and return it."""
        if self.keys:
            scheme = {"type": "http", "scheme": "bearer"}
            schema.setdefault("components", {})["securitySchemes"] = {"key": scheme}
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                responses = operation["responses"]
                if self._limit and path not in PROBES:
                    responses["429"] = _documented("Too many requests")
                if self.keys and not _is_open(method.upper(), path):
                    operation["security"] = [{"key": []}]
                    responses["401"] = _documented("The API key is missing or invalid")
        return schema

    def __str__(self) -> str:
        if self.keys:
            return "API keys: " + ", ".join(f"{key.name} ({key.role})" for key in self.keys)
        if self._is_local:
            return "no API keys: anyone on this machine may read and write"
        return "no API keys: anyone may read, and nobody may write"


def network(scope: Scope) -> str:
    """Return whose requests count together: those of an IPv4 address, or of an IPv6 /64."""
    client = scope["client"][0] if scope["client"] else ""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client[:64]  # whatever a proxy says
    if isinstance(address, ipaddress.IPv4Address):
        return client
    return str(address.ipv4_mapped or ipaddress.IPv6Address(int(address) >> 64 << 64))


def _is_open(method: str, path: str) -> bool:
    return method == "GET" and (path in OPEN or path.startswith(FILES))


def _is_from_elsewhere(headers: list[tuple[bytes, bytes]]) -> bool:
    """Tell whether a proxy passed a request on, or a page of another machine sent it."""
    return any(
        name.startswith(FORWARDED)
        or (name == b"origin" and not LOCAL.fullmatch(value.partition(b"://")[2]))
        for name, value in headers
    )


def _reject(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)


def _documented(description: str) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/Rejection"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}
