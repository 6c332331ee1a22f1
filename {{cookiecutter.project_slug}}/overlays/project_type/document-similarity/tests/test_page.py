"""The page in a real browser: what it finds, says and rejects, by mouse, keyboard and phone."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

TEXT = "My kitchen tap drips all night."
MARKUP = "<img src=x onerror=alert(1)><b>bold</b>"
WCAG = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
LONG = f"{'before ' * 300}here is Whiskers, the cat of catalogues.\n{'after ' * 300}"


def box(page):
    return page.get_by_label("Describe what to find")


def ask(page, text=TEXT):
    """Ask with the button, which also cancels the search that typing has scheduled."""
    box(page).fill(text)
    page.get_by_role("button", name="Search").click()


def items(page):
    return page.get_by_role("list", name="Documents").get_by_role("listitem")


def answered(page):
    """Wait for results and return them."""
    expect(items(page).first).to_be_visible()
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
    return items(page)


def like(page, place):
    items(page).nth(place).get_by_role("button", name="More like this").click()


def search(page, **body):
    """Return what the service finds."""
    return page.request.post("/search", data=body).json()["results"]


def found(**changes):
    """Return a made-up result."""
    result = {"id": "cat", "score": 0.5, "title": "Cats", "text": "A cat.", "matched": ["cat"]}
    return {**result, **changes}


def answer(page, *results):
    """Make the service find these results."""
    page.unroute_all()
    json = {"model_version": "0123456789ab", "results": results}
    page.route("**/search", lambda route: route.fulfill(json=json))


def questions(page):
    """Return a list that collects what the page asks from now on."""
    asked = []
    page.on("request", lambda one: one.method == "POST" and asked.append(one.post_data_json))
    return asked


def test_it_shows_the_problem_and_which_model_answers(open_page):
    page = open_page()
    model = page.request.get("/about").json()
    expect(page.get_by_role("heading", level=1)).to_have_text(model["name"])
    expect(page).to_have_title(model["name"])
    expect(page.get_by_text(model["problem"])).to_be_visible()
    expect(page.locator("#model")).to_contain_text(model["model_version"])


def test_a_query_finds_the_best_documents_in_their_order(open_page):
    page = open_page()
    ask(page)
    expected = search(page, query=TEXT, k=10)
    assert len(expected) == 10
    rows = answered(page)
    expect(rows.get_by_role("heading")).to_have_text([one["title"] for one in expected])
    expect(rows.locator(".id")).to_have_text([one["id"] for one in expected])
    scores = [f"score {one['score']:.3f}" for one in expected]
    expect(rows.locator(".score")).to_have_text(scores)
    for row, one in zip(rows.all(), expected, strict=True):
        expect(row).to_contain_text(one["text"])
        assert set(row.locator("mark").all_text_contents()) == set(one["matched"])
    # Screen readers hear how many there are.
    expect(page.get_by_role("status")).to_have_text("The 10 best documents")


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([], "No document found.*Other words"),
        ([found()], "^1 document found$"),
        ([found(), found(id="dog")], "^2 documents found$"),
    ],
    ids=["none", "one", "two"],
)
def test_the_number_of_documents_is_shown(results, words, open_page):
    page = open_page()
    answer(page, *results)
    ask(page)
    expect(page.get_by_role("status")).to_have_text(re.compile(words))
    expect(items(page)).to_have_count(len(results))
    expect(page.get_by_text("Compare scores")).to_be_visible(visible=bool(results))


def test_documents_appear_while_a_query_is_typed(open_page):
    page = open_page()
    asked = questions(page)
    box(page).press_sequentially(TEXT, delay=10)
    answered(page)
    expect(page.get_by_role("status")).to_have_text("The 10 best documents")
    expect(box(page)).to_be_focused()
    assert asked[-1] == {"query": TEXT, "k": 10}
    assert len(asked) < 5  # it waits for a pause


def test_typing_on_aborts_the_older_question(open_page):
    page = open_page()
    waiting, aborted = [], []
    page.route("**/search", lambda route: waiting.append(route))
    page.on("requestfailed", lambda request: aborted.append(request.post_data_json["query"]))
    for text in ("first", "first and second"):
        with page.expect_request("**/search"):
            box(page).fill(text)
    expect(page.get_by_label("Results")).to_have_attribute("aria-busy", "true")
    for route, title in zip(reversed(waiting), ["newest", "stale"], strict=True):
        route.fulfill(json={"results": [found(title=title)]})
    expect(answered(page).get_by_role("heading")).to_have_text("newest")
    assert aborted == ["first"]


def test_enter_and_the_button_ask_at_once_and_only_once(open_page):
    page = open_page()
    answer(page, found())
    asked = questions(page)
    page.clock.install()
    page.clock.pause_at("2100-01-01")  # no pause in typing ever ends
    box(page).fill("by key")
    box(page).press("Shift+Enter")
    box(page).press_sequentially("of two lines")
    assert not asked
    box(page).press("Enter")
    answered(page)
    ask(page, "by button")
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
    page.clock.run_for(1000)
    assert [one["query"] for one in asked] == ["by key\nof two lines", "by button"]


def test_an_empty_box_clears_the_results_and_asks_nothing(open_page):
    page = open_page()
    nothing_yet = page.get_by_text("Documents appear here")
    expect(nothing_yet).to_be_visible()
    for empty in ("", "  \n"):
        ask(page)
        answered(page)
        asked = questions(page)
        box(page).fill(empty)
        expect(nothing_yet).to_be_visible()
        box(page).press("Enter")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("#details")).to_be_hidden()
        expect(page.get_by_role("alert")).to_be_empty()
        assert not asked


def test_emptying_the_box_aborts_the_search(open_page):
    page = open_page()
    waiting = []
    page.route("**/search", lambda route: waiting.append(route))
    with page.expect_request("**/search"):
        box(page).fill("x")
    with page.expect_event("requestfailed"):
        box(page).fill("")
    expect(page.get_by_text("Documents appear here")).to_be_visible()
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")


def test_an_example_fills_the_box_and_asks_at_once(open_page, trained):
    page = open_page()
    examples = page.get_by_role("list", name="Or try an example").get_by_role("button")
    expect(examples).to_have_text(trained.params.serve.examples)
    examples.nth(1).click()
    query = trained.params.serve.examples[1]
    best, *_ = search(page, query=query)
    expect(answered(page).get_by_role("heading").first).to_have_text(best["title"])
    expect(box(page)).to_have_value(query)
    expect(examples.nth(1)).to_be_focused()


def test_more_like_this_finds_similar_documents_and_leads_back(open_page):
    page = open_page()
    ask(page)
    answered(page)
    own = search(page, query=TEXT, k=10)
    likes = search(page, document_id=own[1]["id"], k=10)
    titles = items(page).get_by_role("heading")
    asked = questions(page)
    back = page.get_by_role("button", name="Back to your query")
    for leave in (back.click, lambda: box(page).press("Enter")):
        expect(back).to_be_hidden()
        like(page, 1)
        expect(page.get_by_role("status")).to_contain_text(f"Like {own[1]['title']}")
        expect(titles).to_have_text([one["title"] for one in likes])
        expect(page.get_by_role("status")).to_be_in_viewport()
        expect(box(page)).to_have_value(TEXT)
        leave()
        expect(titles).to_have_text([one["title"] for one in own])
        expect(page.get_by_role("status")).not_to_contain_text("Like")
    by_like, by_query = {"document_id": own[1]["id"], "k": 10}, {"query": TEXT, "k": 10}
    assert asked == [by_like, by_query] * 2


def test_more_like_this_works_on_similar_documents_as_well(open_page):
    page = open_page()
    ask(page)
    answered(page)
    for _ in range(2):
        name = items(page).nth(2).get_by_role("heading").text_content()
        like(page, 2)
        expect(page.get_by_role("status")).to_contain_text(f"Like {name}")
        expect(items(page).get_by_role("heading", name=name, exact=True)).to_have_count(0)


def test_the_way_back_leads_out_of_an_error_as_well(open_page):
    page = open_page()
    ask(page)
    answered(page)
    gone = {"detail": "There is no document 'cat'."}
    page.route("**/search", lambda route: route.fulfill(status=404, json=gone), times=1)
    like(page, 0)
    expect(page.get_by_role("alert")).to_contain_text("no document 'cat'")
    back = page.get_by_role("button", name="Back to your query")
    back.click()
    answered(page)
    expect(page.get_by_role("alert")).to_be_empty()
    like(page, 0)
    expect(back).to_be_visible()
    box(page).fill("")
    expect(back).to_be_hidden()


def test_everything_can_be_done_by_keyboard(open_page):
    page = open_page()
    answer(page, found(text=LONG))
    expect(page.locator("#examples button")).to_have_count(2)
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        reached.append(focused.evaluate("element => element.localName"))
    assert reached == ["textarea", "button", "button", "button", "a"]
    box(page).focus()
    page.keyboard.type("cat")
    page.keyboard.press("Enter")
    answered(page)
    expect(box(page)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show all: Cats")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Show less: Cats")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="More like this: Cats")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Like Cats")
    # The pressed button is gone, so the focus is at the start of the results.
    expect(page.get_by_label("Results")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Back to your query")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("1 document found")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show all: Cats")).to_be_focused()


def test_whole_words_are_marked_as_they_are_written(open_page):
    page = open_page()
    text = "Cat, cats and CAT: the cat_flap's cat—über-katze, Katze2; scat concatenates."
    matched = ["Cat", "cat", "über", "Katze2"]
    answer(page, found(title="The cat and its Cats", text=text, matched=matched))
    ask(page)
    item = answered(page)
    expect(item.get_by_role("heading").locator("mark")).to_have_text(["cat"])
    expect(item.locator("p mark")).to_have_text(["Cat", "cat", "über", "Katze2"])
    expect(item.locator("p")).to_have_text(text)


def test_a_long_text_is_folded_around_its_matches(open_page):
    page = open_page()
    answer(page, found(text=LONG, matched=["Whiskers", "cat"]))
    ask(page)
    text = answered(page).locator("p")
    expect(text.locator("mark")).to_have_text(["Whiskers", "cat"])
    part = "^…\\sbefore .* here is Whiskers, the cat .* after\\s…$"
    expect(text).to_have_text(re.compile(part, re.DOTALL))
    assert len(text.text_content()) < 400
    page.get_by_role("button", name="Show all").click()
    assert text.text_content() == LONG
    expect(text.locator("mark")).to_have_text(["Whiskers", "cat"])
    page.get_by_role("button", name="Show less").click()
    assert len(text.text_content()) < 400
    expect(page.get_by_role("button", name="Show all")).to_be_focused()


def test_the_part_with_the_most_words_is_shown(open_page):
    page = open_page()
    text = f"A cat. {'x ' * 500} A cat, a cat, a cat. {'x ' * 500} Whiskers the cat. {'x ' * 500}"
    answer(page, found(text=text, matched=["Whiskers", "cat"]))
    ask(page)
    expect(answered(page).locator("p")).to_contain_text("Whiskers the cat.")


def test_texts_of_all_kinds_are_shown_up_to_a_length(open_page):
    page = open_page()
    shown = {
        "": "^$",
        "A cat sat here.": "^A cat sat here\\.$",
        "no match " * 100: "^no match .* (no|match)\\s…$",
        "w" * 3000: "^w{320}\\s…$",
        "猫" * 3000: "^猫+\\s…$",
        "\N{CAT FACE}" * 3000: "^(\N{CAT FACE})+\\s…$",
        "-" * 3000 + " cat": "cat$",
    }
    answer(page, *[found(id=f"{number}", text=text) for number, text in enumerate(shown)])
    ask(page)
    for item, (text, pattern) in zip(answered(page).all(), shown.items(), strict=True):
        expect(item.locator("p")).to_have_text(re.compile(pattern))
        assert len(item.locator("p").text_content()) < 420
        expect(item.get_by_role("button", name="Show all")).to_have_count(int(len(text) > 420))


def test_a_document_without_a_title_shows_its_id(open_page):
    page = open_page()
    answer(page, found(title=" "))
    ask(page)
    expect(answered(page)).to_contain_text("cat score 0.500 A cat.", use_inner_text=True)
    like(page, 0)
    expect(page.get_by_role("status")).to_contain_text("Like cat")


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ({"status": 503, "headers": {"Retry-After": "7"}, "json": {}}, "busy.* again in 7 s"),
        ({"status": 500, "body": "Internal Server Error"}, "failed.*500"),
        (None, "cannot be reached"),
    ],
    ids=["busy", "failed", "unreachable"],
)
def test_errors_are_explained_in_words(response, words, open_page):
    page = open_page()
    ask(page)
    answered(page)
    fail = (lambda route: route.fulfill(**response)) if response else (lambda route: route.abort())
    page.route("**/search", fail, times=1)
    box(page).press_sequentially("!")
    expect(page.get_by_role("alert")).to_have_text(re.compile(words))
    expect(page.get_by_role("status")).to_be_empty()
    expect(items(page).first).to_be_hidden()
    box(page).press("Enter")
    answered(page)
    expect(page.get_by_role("alert")).to_be_empty()


def test_an_invalid_query_shows_the_reason(open_page):
    page = open_page()
    ask(page, "x" * 10_001)
    expect(page.get_by_role("alert")).to_have_text(re.compile("query: String should have at most"))


def test_markup_is_shown_as_text(open_page):
    page = open_page()
    model = {"name": MARKUP, "problem": MARKUP, "model_version": MARKUP, "examples": [MARKUP]}
    page.route("**/about", lambda route: route.fulfill(json={**model, "metrics": {MARKUP: 1}}))
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(MARKUP)
    long = f"{MARKUP} img alert {'and on ' * 100}"
    answer(page, found(id=MARKUP, title=MARKUP, text=long, matched=["img", "b", MARKUP]))
    page.get_by_role("button", name=MARKUP).click()
    item = answered(page)
    expect(item.get_by_role("heading")).to_have_text(MARKUP)
    expect(item.locator("p")).to_contain_text(MARKUP)
    expect(item.locator("p mark")).to_have_text(["img", "b", "b", "img"])
    page.get_by_role("button", name="Show all").click()
    expect(item.locator("p")).to_have_text(long)
    like(page, 0)
    expect(page.get_by_role("status")).to_contain_text(f"Like {MARKUP}")
    expect(page.locator("img, b")).to_have_count(0)


@pytest.mark.parametrize("state", ["empty", "answered", "like", "none", "failed"])
def test_axe_finds_no_accessibility_fault(state, open_page):
    page = open_page()
    expect(page.locator("#examples button")).to_have_count(2)
    answer(page, *([] if state == "none" else [found(text=LONG), found(id="dog", title="")]))
    if state == "failed":
        page.route("**/search", lambda route: route.fulfill(status=500))
    if state != "empty":
        ask(page, "cat")
        expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
    if state == "like":
        like(page, 0)
        expect(page.get_by_role("status")).to_contain_text("Like")
        expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        result = Axe().run(page, options={"runOnly": WCAG})
        assert result.violations_count == 0, result.generate_report()
        assert not result.response["incomplete"]


def test_it_fits_a_phone(open_page):
    page = open_page(**PHONE)
    unbroken = "unbroken" * 24
    results = [
        found(id=unbroken, title=unbroken, text=unbroken, matched=[unbroken]),
        *[found(title="of many words " * 9, text=LONG) for _ in range(9)],
    ]
    answer(page, *results)
    box(page).fill("w" * 3000)
    expect(answered(page)).to_have_count(10)
    width = PHONE["viewport"]["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#examples button").first.tap()  # below all results
    expect(page.get_by_role("status")).to_be_in_viewport()
    page.get_by_role("button", name="Show all").last.tap()
    like(page, 0)
    expect(page.get_by_role("status")).to_contain_text("Like")
    expect(page.get_by_role("status")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for target in page.locator("button, textarea, a").all():
        assert target.bounding_box()["height"] >= 44


def test_typing_leaves_the_page_where_it_is(open_page):
    page = open_page(viewport={"width": 360, "height": 320})  # above a phone's keyboard
    answer(page, *[found() for _ in range(10)])
    box(page).focus()
    place = page.evaluate("scrollY")
    page.keyboard.type("cat " * 40)
    answered(page)
    expect(page.get_by_role("status")).not_to_be_in_viewport()
    assert page.evaluate("scrollY") == place
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_be_in_viewport()


def test_the_documentation_works_offline(open_page):
    page = open_page()
    page.get_by_role("link", name="API documentation").click()
    expect(page.get_by_text("/search").first).to_be_visible()
