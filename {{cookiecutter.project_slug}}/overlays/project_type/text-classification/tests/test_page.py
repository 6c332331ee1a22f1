"""The page in a real browser: what it shows and rejects, with mouse, keyboard and phone."""

import re
from functools import partial

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from portfolio_kit import artifacts

TEXT = "The tap in the bathroom leaks."
MARKUP = "<img src=x onerror=alert(1)><b>bold</b>"
WCAG = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}


def ask(page, text=TEXT):
    page.get_by_label("Text to classify").fill(text)
    page.get_by_role("button", name="Classify").click()


def answered(page):
    """Wait for an answer and return its element."""
    expect(page.locator("#chart li").first).to_be_visible()
    return page.get_by_role("status")


def prediction(**changes):
    """Return an answer of the API, made up."""
    answer = {"label": "left", "confidence": 0.9, "probabilities": {"left": 0.9, "right": 0.1}}
    return {"predictions": [{**answer, "needs_review": False, **changes}]}


def test_it_shows_its_purpose_and_the_scores_of_its_model(open_page, predictor):
    about = {"model_version": predictor.version, "model": {"macro_f1": 0.87654}}
    artifacts.write_json(artifacts.METRICS, about)
    page = open_page()
    model = page.request.get("/about").json()
    expect(page.get_by_role("heading", level=1)).to_have_text(model["name"])
    expect(page).to_have_title(model["name"])
    expect(page.get_by_text(model["problem"])).to_be_visible()
    expect(page.locator("#model")).to_have_text(f"model{predictor.version}macro f10.877")
    expect(page.get_by_text("Scores on held-out data")).to_be_visible()


def test_a_model_that_was_not_evaluated_is_described_as_such(open_page):
    expect(open_page().get_by_text("has not been evaluated")).to_be_visible()


def test_it_waits_while_the_model_loads(open_page):
    page = open_page()
    loading = {"status": 503, "headers": {"Retry-After": "1"}, "json": {"detail": "loading"}}
    page.route("**/about", lambda route: route.fulfill(**loading), times=1)
    page.reload()
    expect(page.get_by_text("still loading")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Try it")


def test_a_text_gets_its_label_and_every_probability(open_page, predictor):
    [expected] = predictor.predict([TEXT])
    page = open_page()
    ask(page)
    headline = f"{expected['label']} {percent(expected['confidence'])}"
    expect(answered(page).get_by_role("heading")).to_have_text(headline)
    rows = page.get_by_role("list", name="Probability of each label").get_by_role("listitem")
    by_share = sorted(expected["probabilities"].items(), key=lambda row: -row[1])
    expect(rows).to_have_text([f"{label} {percent(share)}" for label, share in by_share])
    bars = page.eval_on_selector_all(
        ".bar", "bars => bars.map((b) => parseFloat(getComputedStyle(b, '::before').width))"
    )
    full = page.locator(".bar").first.bounding_box()["width"]
    assert bars == pytest.approx([share * full for _, share in by_share], abs=1)


def test_of_many_labels_ten_are_shown_until_all_are_wanted(open_page):
    page = open_page()
    shares = {f"label {n:02}": (n + 1) / 1275 for n in range(50)}
    asked = []

    def answer(route):
        body = route.request.post_data_json
        asked.append(body)
        ranked = sorted(shares.items(), key=lambda row: -row[1])[: body.get("top_k", 50)]
        route.fulfill(json=prediction(label="label 49", probabilities=dict(ranked)))

    model = {**page.request.get("/about").json(), "classes": 50}
    page.route("**/about", lambda route: route.fulfill(json=model))
    page.route("**/predict", answer)
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(model["name"])
    ask(page)
    rows = page.locator("#chart li")
    expect(rows).to_have_count(10)
    expect(rows.last).to_contain_text("label 40")
    page.get_by_role("button", name="Show all 50 labels").click()
    expect(rows).to_have_count(50)
    expect(page.get_by_role("button", name="Show only the first 10")).to_be_focused()
    ask(page, "another")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Show only the first 10").click()
    expect(rows).to_have_count(10)
    assert asked == [
        {"texts": [TEXT], "top_k": 10},
        {"texts": [TEXT]},
        {"texts": ["another"]},
        {"texts": ["another"], "top_k": 10},
    ]


def percent(share):
    return "<0.1%" if share < 0.0005 else f"{share:.1%}"


@pytest.mark.parametrize("needs_review", [True, False])
def test_abstention_is_put_in_words(needs_review, open_page):
    page = open_page()
    answer = prediction(needs_review=needs_review)
    page.route("**/predict", lambda route: route.fulfill(json=answer))
    ask(page)
    expect(answered(page).get_by_text("a person should decide")).to_have_count(int(needs_review))


def test_an_example_fills_the_box_and_is_submitted(open_page, trained, predictor):
    page = open_page()
    examples = page.get_by_role("list", name="Or try an example").get_by_role("button")
    expect(examples).to_have_text(trained.params.serve.examples)
    examples.nth(1).click()
    [expected] = predictor.predict(trained.params.serve.examples[1:])
    expect(answered(page)).to_contain_text(expected["label"])
    expect(page.get_by_label("Text to classify")).to_have_value(trained.params.serve.examples[1])
    expect(examples.nth(1)).to_be_focused()


def test_without_examples_their_row_is_hidden(open_page):
    page = open_page()
    model = {**page.request.get("/about").json(), "examples": []}
    page.route("**/about", lambda route: route.fulfill(json=model))
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(model["name"])
    expect(page.get_by_text("Or try an example")).to_be_hidden()


def test_everything_can_be_done_by_keyboard(open_page):
    page = open_page()
    expect(page.get_by_role("button")).to_have_count(3)
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        reached.append(focused.evaluate("element => element.localName"))
    assert reached == ["textarea", "button", "button", "button", "a"]
    box = page.get_by_label("Text to classify")
    box.focus()
    page.keyboard.type(TEXT)
    page.keyboard.press("Control+Enter")
    answered(page)
    expect(box).to_be_focused()
    page.keyboard.press("Tab")
    with page.expect_response("**/predict"):
        page.keyboard.press("Enter")


def test_an_empty_box_is_not_submitted(open_page):
    page = open_page()
    asked = []
    page.on("request", lambda request: asked.append(request.post_data_json))
    ask(page, "")
    expect(page.get_by_label("Text to classify")).to_be_focused()
    ask(page, "x")
    answered(page)
    assert list(filter(None, asked)) == [{"texts": ["x"]}]


ERRORS = [
    ({"status": 503, "headers": {"Retry-After": "7"}, "json": {}}, "busy.* again in 7 s"),
    ({"status": 429, "body": "Rate exceeded."}, "Too many requests"),
    ({"status": 413, "json": {"detail": "At most 9 bytes."}}, "too much.*At most 9 bytes"),
    ({"status": 500, "body": "Internal Server Error"}, "failed.*500"),
    ({"status": 502, "body": "<h1>Bad gateway</h1>"}, "failed.*502"),
    ({"status": 200, "body": "<h1>Log in</h1>"}, "failed.*200"),
    ({"status": 403, "body": ""}, "rejected.*403"),
    (None, "cannot be reached"),
]


def fail(answer, route):
    route.fulfill(**answer) if answer else route.abort()


def test_errors_are_put_in_words(open_page):
    page = open_page()
    ask(page)
    answered(page)
    for answer, words in ERRORS:
        page.route("**/predict", partial(fail, answer), times=1)
        ask(page)
        expect(page.get_by_role("alert")).to_have_text(re.compile(words))
        expect(page.get_by_role("status")).to_be_empty()
        expect(page.locator("#chart")).to_be_hidden()
        ask(page)
        answered(page)
        expect(page.get_by_role("alert")).to_be_empty()


@pytest.mark.parametrize("text", ["x" * 10_001, "half a pair: \ud800"], ids=["long", "odd"])
def test_an_invalid_text_is_rejected_with_the_reason(text, open_page):
    page = open_page()
    box = page.get_by_label("Text to classify")
    # Set by a script, since half a surrogate pair does not survive the way to the browser.
    box.evaluate("(box, units) => box.value = String.fromCharCode(...units)", [*map(ord, text)])
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_have_text(re.compile("texts.0: (String|Input) should"))


def test_only_the_newest_question_is_answered(open_page):
    page = open_page()
    waiting = []
    page.route("**/predict", lambda route: waiting.append(route))
    for text in ("first", "second"):
        with page.expect_request("**/predict"):
            ask(page, text)
        expect(page.get_by_label("Answer")).to_have_attribute("aria-busy", "true")
    for route, label in zip(reversed(waiting), ["newest", "stale"], strict=True):
        route.fulfill(json=prediction(label=label))
    expect(answered(page)).to_contain_text("newest")
    expect(page.get_by_label("Answer")).to_have_attribute("aria-busy", "false")


def test_markup_is_shown_as_text(open_page):
    page = open_page()
    model = {"name": MARKUP, "problem": MARKUP, "model_version": MARKUP, "examples": [MARKUP]}
    page.route("**/about", lambda route: route.fulfill(json={**model, "metrics": {MARKUP: 1}}))
    answer = prediction(label=MARKUP, probabilities={MARKUP: 1})
    page.route("**/predict", lambda route: route.fulfill(json=answer))
    page.reload()
    page.get_by_role("button", name=MARKUP).click()
    answered(page)
    # Title, problem, version, metric, example, headline, bar.
    expect(page.get_by_text(MARKUP)).to_have_count(7)
    expect(page.locator("img, b")).to_have_count(0)


def test_nothing_but_its_own_code_runs(open_page, faults):
    page = open_page()
    for tag, key in [("script", "textContent"), ("script", "src"), ("img", "src")]:
        directive = page.evaluate(
            """([tag, key]) => new Promise((resolve) => {
                addEventListener("securitypolicyviolation", (e) => resolve(e.effectiveDirective));
                setTimeout(resolve, 2000, "nothing was blocked");
                const element = document.createElement(tag);
                document.body.append(Object.assign(element, { [key]: "http://127.0.0.2/" }));
            })""",
            [tag, key],
        )
        assert directive.startswith(tag)
    faults.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barriers(scheme, open_page):
    page = open_page(color_scheme=scheme)
    statuses = [200, 500]
    answer = prediction(needs_review=True)
    page.route("**/predict", lambda route: route.fulfill(status=statuses.pop(0), json=answer))
    expect(page.get_by_role("button")).to_have_count(3)
    for state in ("empty", "answered", "failed"):
        if state != "empty":
            ask(page)
            expect(page.get_by_role("alert" if state == "failed" else "status")).not_to_be_empty()
            expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
        result = Axe().run(page, options={"runOnly": WCAG})
        assert result.violations_count == 0, (state, result.generate_report())
        assert not result.response["incomplete"], state


def test_it_fits_a_phone(open_page):
    page = open_page(**PHONE)
    labels = {"a label of many words " * 9: 0.5, "unbroken" * 20: 0.3, "short": 0.2}
    answer = prediction(label="unbroken" * 20, probabilities=labels, needs_review=True)
    page.route("**/predict", lambda route: route.fulfill(json=answer))
    ask(page, "w" * 3000)
    expect(answered(page).get_by_role("heading")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["viewport"]["width"]
    for target in page.locator("button, textarea, a").filter(visible=True).all():
        assert target.bounding_box()["height"] >= 44


def test_the_documentation_works_offline_too(open_page):
    page = open_page()
    page.get_by_role("link", name="API documentation").click()
    expect(page.get_by_text("/predict").first).to_be_visible()
