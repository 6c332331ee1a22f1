"""The service behind a proxy, and called by pages of other origins."""

import asyncio
import http.server
import re
import threading
from contextlib import contextmanager

import httpx
import pytest
from fastapi.testclient import TestClient
from live import PATH, QUESTION, ready_client, serving
from tiny.project import PROJECT

from portfolio_kit.config import Serve
from portfolio_kit.serving.app import create_app

PREFIX = "/ml"


@contextmanager
def prefix_proxy(target, removes_prefix):
    """Serve `target` under the prefix, as another host and over HTTPS; yield the proxy's URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if not f"{self.path}/".startswith(f"{PREFIX}/"):
                self.send_error(404, "not below the prefix")
                return
            path = self.path.removeprefix(PREFIX) if removes_prefix else self.path
            length = int(self.headers.get("Content-Length", 0))
            answer = httpx.request(
                self.command,
                target + path,
                content=self.rfile.read(length),
                headers={
                    "Host": "internal:1234",
                    "Content-Type": self.headers.get("Content-Type", ""),
                    "X-Forwarded-Proto": "https",
                    "X-Forwarded-For": "203.0.113.7",
                },
            )
            self.send_response(answer.status_code)
            for name in ("Content-Type", "Location"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments):
            """Keep requests out of the tests' output."""

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()


@pytest.fixture(scope="module")
def service(trained, tmp_path_factory):
    """The real server, told its prefix and whom to trust."""
    settings = {"TINY_SERVE__ROOT_PATH": PREFIX, "TINY_SERVE__TRUSTED_PROXIES": "[127.0.0.0/8]"}
    log = tmp_path_factory.mktemp("served") / "log"
    with serving(trained.folder, log, **settings) as process:
        yield process


@pytest.mark.parametrize("removes_prefix", [True, False], ids=["prefix removed", "prefix kept"])
def test_pages_links_and_routes_work_under_a_prefix(removes_prefix, service):
    with (
        prefix_proxy(service.url, removes_prefix) as url,
        httpx.Client(base_url=url, follow_redirects=True) as client,
    ):
        for page in (f"{PREFIX}/", f"{PREFIX}/docs"):
            answer = client.get(page)
            assert answer.status_code == 200
            links = re.findall(r"""(?:src=|href=|url: |fetch\()["']([^"']+)""", answer.text)
            assert links
            for link in links:
                if not link.startswith("data:"):
                    assert client.get(answer.url.join(link)).status_code == 200, link
        assert client.get(f"{PREFIX}/openapi.json").json()["servers"] == [{"url": PREFIX}]
        assert client.post(f"{PREFIX}{PATH}", json=QUESTION).status_code == 200


def test_the_address_without_a_final_slash_leads_to_the_page(service):
    with prefix_proxy(service.url, removes_prefix=False) as url:
        answer = httpx.get(f"{url}{PREFIX}", follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, f"{PREFIX}/")


def test_requests_without_the_prefix_are_answered_too(service):
    """Those of health checks, and of a proxy that removes it."""
    assert httpx.get(f"{service.url}/health").status_code == 200
    assert httpx.get(f"{service.url}{PREFIX}/health").status_code == 200
    assert httpx.get(f"{service.url}{PREFIX}health").status_code == 404


def test_requests_are_counted_by_route_with_or_without_the_prefix(service):
    text = httpx.get(f"{service.url}{PREFIX}/metrics").text
    assert 'route="/health"' in text
    assert f'route="{PREFIX}' not in text


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [
        ("[127.0.0.1]", "https 203.0.113.7"),
        ("[127.0.0.7/8]", "https 203.0.113.7"),
        ("[10.0.0.0/8]", "http 127.0.0.1"),
        ("[]", "http 127.0.0.1"),
    ],
)
def test_only_trusted_proxies_say_who_asks(trusted, seen, trained, tmp_path):
    variables = {"TINY_SERVE__TRUSTED_PROXIES": trusted, "FORWARDED_ALLOW_IPS": "*"}
    with serving(trained.folder, tmp_path / "log", **variables) as process:
        forged = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1, 203.0.113.7"}
        assert httpx.get(f"{process.url}/caller", headers=forged).json() == seen


def test_an_idle_connection_outlives_those_of_a_proxy(service):
    async def scenario():
        fresh = await asyncio.open_connection("127.0.0.1", service.port)
        used = await asyncio.open_connection("127.0.0.1", service.port)
        request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        used[1].write(request)
        await used[0].readuntil(b"}")
        await asyncio.sleep(11)  # uvicorn's own limit is 5, that of a request's head 10
        for reader, writer in (fresh, used):
            writer.write(request)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()

    asyncio.run(scenario())


def preflight(client, origin):
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    return client.options(PATH, headers={"Origin": origin, **asked})


def test_pages_of_other_origins_may_not_call_the_api(trained):
    with TestClient(create_app(PROJECT, trained.params, trained.models)) as client:
        assert preflight(client, "https://example.org").status_code == 405
        answer = client.get("/health", headers={"Origin": "https://example.org"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_pages_of_named_origins_may_call_the_api_and_read_why_it_rejects(trained, write_params):
    params = write_params({"serve.cors": ["https://example.org"], "serve.log.folder": None})
    with ready_client(params, trained.models) as client:
        assert preflight(client, "https://example.org").status_code == 200
        assert preflight(client, "https://example.com").status_code == 400
        headers = {"Origin": "https://example.org"}
        for body, status in ((QUESTION, 200), ({}, 422)):
            answer = client.post(PATH, json=body, headers=headers)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "https://example.org"
        other = client.post(PATH, json=QUESTION, headers={"Origin": "https://example.com"})
        assert "access-control-allow-origin" not in other.headers


def test_any_spelling_of_a_prefix_or_network_means_the_same(write_params):
    def read(**settings):
        return write_params({f"serve.{name}": value for name, value in settings.items()}).serve

    assert Serve.model_fields["root_path"].default is None
    assert {read(root_path=path).root_path for path in ("ml/v1", "/ml/v1/")} == {"/ml/v1"}
    assert read(trusted_proxies=["10.1.2.3/8", "::1"]).trusted_proxies == ["10.0.0.0/8", "::1/128"]


WRONG = {
    "root_path": ("write a path such as /ml", ["/", "/a b", "/é", "/?"]),
    "trusted_proxies": (
        "write an IP address, or a network",
        ["[localhost]", "['*']", "[10.0.0]", "[10.0.0.0/33]"],
    ),
    "cors": (
        "write an origin such as https://example.org",
        ["[example.org]", "['https://example.org/']", "['https://example.org/page']", "['null']"],
    ),
}


@pytest.mark.parametrize(
    ("key", "reason", "value"),
    [(key, reason, value) for key, (reason, values) in WRONG.items() for value in values],
)
def test_what_no_proxy_or_page_can_be_is_rejected(key, reason, value, rejection):
    [line] = rejection("params", "--set", f"serve.{key}={value}")
    assert line.startswith(f"error: --set serve.{key}")
    assert reason in line
