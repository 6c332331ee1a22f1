"""What all pages share, in a real browser: the prompt for a key, rejections in words, /docs."""

import os
import re
import shutil
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from keys import READER, VARIABLE, entry
from live import is_ready
from playwright.sync_api import expect, sync_playwright
from tiny.project import PROJECT

from portfolio_kit.serving.app import create_app

TIMEOUT_MS = 15_000
TITLE = "Long <b>or</b> <script>alert(1)</script>"
WCAG = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NEXT = "the-next-key"


@pytest.fixture(scope="module")
def browser():
    """A headless browser: Playwright's own if it is installed, or the system's."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = own if Path(own).exists() else next(filter(None, map(shutil.which, BROWSERS)), None)
        if path is None:
            (pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip)("no browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, trained, write_params, monkeypatch):
    """Serve with two keys and open a path; no page may do what its policy forbids."""
    faults = []

    @contextmanager
    def open_page(path="/", keys=(READER, NEXT), **settings):
        monkeypatch.setenv(VARIABLE, " ".join(entry("alice", "read", key) for key in keys))
        params = write_params({f"serve.{key}": value for key, value in settings.items()})
        app = create_app(PROJECT, params, trained.models)
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not is_ready(url):
            assert thread.is_alive()
        context = browser.new_context(base_url=url)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda one: one.type == "error" and faults.append(one.text))
        page.on("request", lambda one: one.url.startswith((url, "data:")) or faults.append(one.url))
        page.goto(path)
        yield page
        context.close()
        server.should_exit = True
        thread.join()
        assert not [one for one in faults if "Failed to load resource" not in one]

    return open_page


def enter(page, key):
    page.get_by_label("API key", exact=True).and_(page.locator("input")).fill(key)
    page.get_by_role("button", name="Use").click()


def ask(page, text="Is this a short one?"):
    page.get_by_label("Text").fill(text)
    page.get_by_role("button", name="Ask").click()


def form(page):
    return page.get_by_role("form", name="API key")


def test_without_keys_nobody_is_asked_for_one(open_page):
    with open_page(keys=()) as page:
        ask(page)
        expect(page.get_by_role("status").first).to_have_text("short")
        expect(form(page)).to_have_count(0)
        assert page.evaluate("sessionStorage.length") == 0


def test_after_a_401_the_page_asks_for_a_key_and_then_repeats_what_was_rejected(open_page):
    with open_page() as page:
        expect(form(page)).to_be_visible()
        expect(form(page)).to_contain_text("The service needs one.")
        ask(page)
        expect(page.get_by_role("alert")).to_contain_text("needs an API key")
        assert Axe().run(page, options={"runOnly": WCAG}).violations_count == 0
        enter(page, f" {READER} ")
        expect(page.locator("#answer")).to_have_text("short")
        expect(page.get_by_role("alert")).to_be_empty()
        expect(page.locator("#model")).not_to_be_empty()  # and which model answers
        expect(form(page)).to_be_hidden()
        expect(page.get_by_label("Text")).to_be_focused()  # not on what has disappeared
        page.reload()
        expect(page.locator("#model")).not_to_be_empty()
        expect(form(page)).to_have_count(0)
        # In this tab only.
        assert page.evaluate("Object.values(sessionStorage)") == [READER]
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        other = page.context.new_page()
        other.goto("/")
        expect(form(other)).to_be_visible()
        assert READER not in page.content()


def test_a_wrong_key_is_said_to_be_wrong_and_can_be_replaced(open_page):
    with open_page() as page:
        ask(page)
        for wrong in ("guess", "another-guess"):
            enter(page, wrong)
            expect(form(page)).to_contain_text("does not know this key")
            expect(page.locator("#key")).to_have_attribute("aria-invalid", "true")
        page.locator("#key").press("Enter")  # the same again
        expect(form(page)).to_contain_text("does not know this key")
        enter(page, "ké y")
        assert page.locator("#key").evaluate("input => input.validity.patternMismatch")
        enter(page, NEXT)
        expect(page.locator("#answer")).to_have_text("short")
        expect(form(page)).to_be_hidden()


def test_a_key_that_is_withdrawn_is_asked_for_again(open_page):
    with open_page() as page:
        enter(page, READER)
        ask(page)
        expect(page.locator("#answer")).to_have_text("short")
        gone = {"detail": "The API key is not valid."}
        page.route("**/label", lambda route: route.fulfill(status=401, json=gone), times=1)
        ask(page)
        expect(form(page)).to_be_visible()
        expect(form(page)).to_contain_text("does not know this key")
        enter(page, NEXT)
        expect(page.locator("#answer")).to_have_text("short")


def test_a_prompt_can_be_answered_with_the_keyboard(open_page):
    with open_page() as page:
        expect(form(page)).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.locator("#key")).to_be_focused()
        page.keyboard.type(READER)
        page.keyboard.press("Enter")
        expect(form(page)).to_be_hidden()
        expect(page.locator("#model")).not_to_be_empty()


def test_rejections_are_put_in_words(open_page):
    with open_page(keys=(), rate_limit="40/minute") as page:
        detail = {"detail": "This API key may read, but not change anything."}
        page.route("**/label", lambda route: route.fulfill(status=403, json=detail), times=1)
        ask(page)
        expect(page.get_by_role("alert")).to_contain_text(detail["detail"])
        for _ in range(40):
            page.request.get("/model")
        ask(page)
        words = re.compile(r"^Too many requests\. Try again in [1-6]?\d s\.$")
        expect(page.get_by_role("alert")).to_have_text(words)


def test_the_documentation_draws_within_its_policy_and_takes_a_title_as_text(open_page):
    with open_page("/docs", title=TITLE) as page:
        expect(page.get_by_role("heading", level=1)).to_contain_text(TITLE)
        expect(page).to_have_title(TITLE)
        page.get_by_role("button", name="Authorize").click()
        page.get_by_label("Value").fill(READER)
        page.get_by_role("button", name="Apply credentials").click()
        page.get_by_role("button", name="Close").click()
        page.locator("#operations-model-label_label_post button").first.click()
        expect(page.get_by_text("Tell for each text whether").last).to_be_visible()
        model = page.locator("#operations-operation-model_model_get")
        model.get_by_role("button").first.click()
        model.get_by_role("button", name="Try it out").click()
        model.get_by_role("button", name="Execute").click()
        status = model.locator(".live-responses-table tbody .response-col_status").first
        expect(status).to_contain_text("200")
