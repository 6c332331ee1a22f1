"""A real server and a real browser, for the tests of the page."""

import os
import shutil
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
import uvicorn

from portfolio_kit.serving.app import create_app

from {{cookiecutter.package_name}}.project import PROJECT

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
# No updates, experiments or accounts: the browser itself stays offline, too.
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
TIMEOUT_MS = 15_000  # for a busy machine


@pytest.fixture(scope="session")
def live_server(trained):
    """The address of a server that answers with the trained model."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(PROJECT, trained.params, trained.folder / "models")
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while httpx.get(f"{url}/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield url
    server.should_exit = True
    thread.join()


# Closed after each module: Playwright keeps an event loop running, which excludes any other.
@pytest.fixture(scope="module")
def browser():
    """A headless browser: Playwright's own if it is installed, or the system's."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = own if Path(own).exists() else next(filter(None, map(shutil.which, BROWSERS)), None)
        if path is None:
            required = os.environ.get("REQUIRE_BROWSER") == "1"
            (pytest.fail if required else pytest.skip)(
                "no browser: install Chromium, or run `.venv/bin/playwright install chromium`"
            )
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        flags = [*FLAGS, "--no-sandbox"] if is_root else FLAGS
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def faults():
    """What a page must not do, and did: errors, requests to other hosts."""
    return []


@pytest.fixture
def open_page(browser, live_server, faults):
    """Open the page in a fresh profile; at the end, no opened page may have a fault."""
    contexts = []

    def open_page(**options):
        contexts.append(browser.new_context(base_url=live_server, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: _is_fault(message) and faults.append(message.text))
        page.on("request", lambda request: _is_own(request.url) or faults.append(request.url))
        page.goto("/")
        return page

    def _is_own(url):
        return url.startswith((f"{live_server}/", "data:"))

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def _is_fault(message):
    # A test that provokes a status of 4xx or 5xx expects it.
    return message.type in ("error", "warning") and "Failed to load resource" not in message.text
