"""The page in a real browser: what it draws, says and rejects, by mouse, keyboard and phone."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

MARKUP = "<img src=x onerror=alert(1)><b>bold</b>"
WCAG = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
HORIZONS = 7  # of history, but at least 50 steps


def drawn(page):
    """Wait for a forecast and return its chart."""
    expect(page.locator("#chart path.median")).to_be_visible()
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
    return page.get_by_role("slider")


def ask(page, history="", steps=None):
    """Ask for a forecast, wait for the answer and return what was sent."""
    drawn(page)
    page.get_by_label("Paste a history").fill(history)
    if steps:
        page.get_by_label("Steps ahead").fill(str(steps))
    with page.expect_response("**/forecast") as response:
        page.get_by_role("button", name="Forecast", exact=True).click()
    return response.value.request.post_data_json


def stored(page):
    return {name: found for path in ("history", "series") for name, found in get(page, path)}


def get(page, path):
    return page.request.get(f"/{path}").json().items()


def choose(page, name):
    """Choose a series, as the list does and as somebody who types its name."""
    page.get_by_label("Series").fill(name)
    page.get_by_label("Series").press("Enter")


def forecast(page, **body):
    return page.request.post("/forecast", data=body).json()["forecast"]


def csv(rows, mark=","):
    lines = [rows[0], *(row.values() for row in rows)]
    return "\n".join(mark.join(map(str, line)) for line in lines)


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d[\d.]*", text.replace(",", ""))]


def read(page, name):
    """Return the numbers next to the legend."""
    return numbers(page.locator(f"#readout .{name} dd").text_content())


def like(*values, scale=None):
    """About these values: the page shows three digits of the largest in its chart."""
    return pytest.approx(list(values), abs=(scale or max(map(abs, values))) / 50)


def largest(rows):
    return max(abs(row["y_hat"]) for row in rows)


def points(line):
    return len(re.split("[ML]", line.get_attribute("d"))) - 1


def expect_table(page, expected):
    """The table has these medians."""
    medians = page.locator("#table td:nth-of-type(1)")
    expect(medians).to_have_count(len(expected))
    found = [numbers(text)[0] for text in medians.all_text_contents()]
    assert found == like(*(row["y_hat"] for row in expected))


def test_it_says_what_it_is_for_and_which_model_answers(open_page):
    page = open_page()
    model = page.request.get("/about").json()
    expect(page.get_by_role("heading", level=1)).to_have_text(model["name"])
    expect(page).to_have_title(model["name"])
    expect(page.get_by_text(model["problem"])).to_be_visible()
    expect(page.locator("#model")).to_contain_text(model["model_version"])


def test_it_waits_for_a_model_that_still_loads(open_page):
    page = open_page()
    drawn(page)
    loading = {"status": 503, "headers": {"Retry-After": "1"}, "json": {"detail": "loading"}}
    for path in ("**/about", "**/series", "**/history?*"):
        page.route(path, lambda route: route.fulfill(**loading), times=1)
    page.reload()
    expect(page.get_by_text("still loading")).to_be_visible()
    drawn(page)


def test_it_draws_seven_horizons_and_the_forecast_at_once(open_page):
    page = open_page()
    chart = drawn(page)
    expected, history = forecast(page), stored(page)
    assert len(expected) == history["horizon"]
    assert points(chart.locator("path.actual")) == max(HORIZONS * history["horizon"], 50)
    # The fan opens at the last point of the history.
    assert points(chart.locator("path.median")) == len(expected) + 1
    assert points(chart.locator("path.inner")) == 2 * (len(expected) + 1)
    assert points(chart.locator("path.outer")) == 2 * (len(expected) + 1)
    expect_table(page, expected)
    peak, *_ = numbers(page.locator("#answer").get_by_role("heading").text_content())
    assert [peak] == like(largest(expected))


def test_a_closer_look_leaves_out_most_of_the_history(open_page):
    page = open_page()
    chart = drawn(page)
    page.get_by_role("button", name="Closer look").click()
    assert points(chart.locator("path.actual")) == stored(page)["horizon"]


def test_the_pointer_reads_the_values_of_a_time(open_page):
    page = open_page()
    box = drawn(page).bounding_box()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    expect(page.locator("#chart circle.median")).to_be_visible()
    expected = forecast(page)
    last, scale = expected[-1], largest(expected)
    assert read(page, "actual") == []
    assert read(page, "median") == like(last["y_hat"], scale=scale)
    assert read(page, "inner") == like(last["lo_80"], last["hi_80"], scale=scale)
    assert read(page, "outer") == like(last["lo_95"], last["hi_95"], scale=scale)
    page.mouse.move(0, 0)
    expect(page.locator("#chart circle")).to_have_count(0)
    assert read(page, "median") == []


def test_the_arrow_keys_read_the_values_too(open_page):
    page = open_page()
    chart = drawn(page)
    expected, last = forecast(page), stored(page)["history"][-1]
    scale = largest(expected)
    page.keyboard.press("Tab")  # to "Closer look"
    page.keyboard.press("Tab")
    expect(chart).to_be_focused()
    page.keyboard.press("ArrowRight")
    second = expected[1]
    assert read(page, "median") == like(second["y_hat"], scale=scale)
    said = numbers(chart.get_attribute("aria-valuetext").partition(": median ")[2])
    assert said[0] == read(page, "median")[0]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert read(page, "actual") == like(last["y"], scale=scale)
    page.keyboard.press("Home")
    expect(chart).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("End")
    expect(chart).to_have_attribute("aria-valuenow", chart.get_attribute("aria-valuemax"))


def test_a_finger_reads_the_values_and_they_stay(open_page):
    page = open_page(**PHONE)
    box = drawn(page).bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#chart circle.actual")).to_be_visible()
    assert read(page, "actual")


def test_the_stored_history_pasted_gives_the_same_forecast(open_page):
    page = open_page()
    history = stored(page)["history"]
    for mark in (",", ";", "\t"):
        sent = ask(page, csv(history, mark))
        assert sent["history"] == history
        drawn(page)
        expect_table(page, forecast(page))


def test_the_stored_history_is_filled_in_and_its_text_gives_the_same_forecast(open_page):
    page = open_page()
    drawn(page)
    box = page.get_by_label("Paste a history")
    expect(box).to_have_value(re.compile("^ds,y"))
    history = stored(page)["history"]
    assert "history" not in ask(page, box.input_value())  # the service has it
    expect_table(page, forecast(page))
    sent = ask(page, box.input_value() + " ")
    assert [row["ds"] for row in sent["history"]] == [row["ds"] for row in history]
    assert [row["y"] for row in sent["history"]] == pytest.approx([row["y"] for row in history])
    drawn(page)
    expect_table(page, forecast(page))


def test_another_history_gives_another_forecast(open_page):
    page = open_page()
    higher = [{**row, "y": 3 * row["y"] + 100} for row in stored(page)["history"]]
    ask(page, csv(higher))
    drawn(page)
    expected = forecast(page, history=higher)
    assert expected != forecast(page)
    expect_table(page, expected)


def test_the_stored_history_is_filled_in_again(open_page):
    page = open_page()
    drawn(page)
    box = page.get_by_label("Paste a history")
    filled = box.input_value()
    ask(page, csv([{**row, "y": 7} for row in stored(page)["history"]]))
    with page.expect_response("**/forecast"):
        page.get_by_role("button", name="Fill in").click()
    expect(box).to_have_value(filled)
    expect_table(page, forecast(page))


@pytest.mark.parametrize("total", [True, False])
def test_the_sum_is_shown_only_where_it_means_something(total, open_page):
    page = open_page()
    drawn(page)
    answer = {**page.request.get("/series").json(), "total": total}
    page.route("**/series", lambda route: route.fulfill(json=answer))
    page.reload()
    drawn(page)
    expect(page.locator("#answer")).to_contain_text("on average")
    expect(page.locator("#answer").get_by_text("in total")).to_have_count(int(total))


def test_quotes_and_decimal_commas_are_read(open_page):
    page = open_page()
    lines = ['\ufeff"ds"; "y";"it says ""so""; really"', '"2024-01-01T00:00";1,5;"a;b"', ""]
    sent = ask(page, "\r\n".join(lines))
    row = {"ds": "2024-01-01T00:00", "y": 1.5, 'it says "so"; really': "a;b"}
    assert sent["history"] == [row]


INVALID = {
    "garbage": "Line 1 .*header.* ds is missing",
    "ds,value\n2024-01-01,1": "Line 1 .*header.* y is missing",
    "\nds,y\n": "Nothing follows the header in line 2",
    "ds,y\n2024-01-01,1\n\n2024-01-02,1,2": "Line 4 has 3 values; the header names 2",
    "ds,y\n2024-01-01,1\n2024-01-02,": "Line 3: y is “”, not a number",
    "ds,y\nyesterday,1": "Line 2: ds is “yesterday”, not a time",
    'ds,y\n"2024-01-01,1': "Line 2: a quote is opened",
    f"ds,y\n2024-01-01,{MARKUP * 50}": "Line 2: y is “<img",
}


def test_an_invalid_csv_is_explained_by_line(open_page):
    page = open_page()
    drawn(page)
    alert, box = page.get_by_role("alert"), page.get_by_label("Paste a history")
    for history, words in INVALID.items():
        box.fill(history)
        page.keyboard.press("Control+Enter")
        expect(alert).to_have_text(re.compile(words))
        expect(alert).to_be_in_viewport()
        expect(page.locator("#chart")).to_be_hidden()
        expect(page.locator("img, b")).to_have_count(0)
        box.fill("")
        page.keyboard.press("Control+Enter")
        drawn(page)
        expect(alert).to_be_empty()


def test_a_missing_row_is_explained_in_the_words_of_the_service(open_page):
    page = open_page()
    history = stored(page)["history"]
    ask(page, csv([*history[:5], *history[6:]]))
    expect(page.get_by_role("alert")).to_contain_text("history.5.ds: skips 1 step of h")
    expect(page.locator("#answer")).to_be_empty()


def test_as_many_steps_as_asked_for_and_a_warning_beyond_the_horizon(open_page):
    page = open_page()
    horizon = stored(page)["horizon"]
    beyond = page.locator("#answer .notice", has_text=f"trained for {horizon} steps")
    for steps in (1, horizon, horizon + 7):
        assert ask(page, steps=steps)["h"] == steps
        expect_table(page, forecast(page, h=steps))
        expect(beyond).to_have_count(int(steps > horizon))


def test_one_of_several_series_is_drawn(open_page):
    page = open_page()
    history = stored(page)["history"]
    others = [{**row, "y": row["y"] / 2} for row in history]
    names = ["north", "south"]
    both = [
        {"unique_id": name, **row}
        for name, rows in zip(names, (history, others), strict=True)
        for row in rows
    ]
    ask(page, csv(both))
    expected = forecast(page, history=both)
    for name in names:
        choose(page, name)
        expect(page.locator("#answer")).to_contain_text(f"of {name}")
        expect_table(page, [row for row in expected if row["unique_id"] == name])


@pytest.fixture
def open_many(open_page):
    """Open the page of a service that stores 400 series, the nth of which ends with its number."""

    def open_many(names, **options):
        page = open_page(**options)
        drawn(page)  # the first answers come from the real service
        answer = page.request.post("/forecast", data={}).json()
        known = stored(page)

        def history(route):
            name = parse_qs(urlsplit(route.request.url).query)["unique_id"][0]
            rows = [{"unique_id": name, **row, "y": names.index(name)} for row in known["history"]]
            route.fulfill(json={"history": rows})

        def forecast(route):
            name = route.request.post_data_json["unique_id"]
            rows = [{**row, "unique_id": name} for row in answer["forecast"]]
            route.fulfill(json={**answer, "forecast": rows})

        grid = {**page.request.get("/series").json(), "series": names}
        page.route("**/series", lambda route: route.fulfill(json=grid))
        page.route("**/history?*", history)
        page.route("**/forecast", forecast)
        page.reload()
        drawn(page)
        return page

    return open_many


NAMES = ["north & east", 'the "Quay", 1', *(f"dock {number}" for number in range(398))]


@pytest.mark.parametrize("name", [NAMES[1], NAMES[399]])
def test_the_chosen_one_of_400_series_is_filled_in_and_drawn_after_its_history(name, open_many):
    page = open_many(NAMES)
    expect(page.locator("#answer")).to_contain_text(f"of {NAMES[0]}")
    expect(page.locator("#names option")).to_have_count(400)
    with page.expect_request("**/forecast") as request:
        choose(page, name)
    assert request.value.post_data_json["unique_id"] == name
    expect(page.locator("#answer")).to_contain_text(f"of {name}")
    first = page.get_by_label("Paste a history").input_value().splitlines()[1]
    quoted = '"the ""Quay"", 1"' if '"' in name else name
    assert first.startswith(f"{quoted},")
    drawn(page).focus()
    page.keyboard.press("Home")
    assert read(page, "actual") == [NAMES.index(name)]


def test_a_part_of_a_name_finds_the_series(open_many):
    page = open_many(NAMES)
    choose(page, "QUAY")
    expect(page.locator("#answer")).to_contain_text('of the "Quay", 1')
    page.get_by_label("Series").click()
    expect(page.get_by_label("Series")).to_have_value("")  # the list has all names
    choose(page, "harbour")
    assert page.get_by_label("Series").evaluate("input => input.validationMessage")
    drawn(page).focus()
    expect(page.get_by_label("Series")).to_have_value('the "Quay", 1')


def test_a_single_series_is_not_offered_as_a_choice(open_page):
    page = open_page()
    drawn(page)
    expect(page.get_by_label("Series")).to_be_hidden()


@pytest.mark.parametrize("form", ["2024-05-{:02}", "2024-05-{:02}T00:00:00Z"])
def test_dates_and_times_with_a_zone_are_drawn(form, open_page):
    page = open_page(timezone_id="America/New_York")
    drawn(page)
    answer = page.request.post("/forecast", data={}).json()
    for day, row in enumerate(answer["forecast"], 1):
        row["ds"] = form.format(day)
    page.route("**/forecast", lambda route: route.fulfill(json=answer))
    ask(page)
    drawn(page).focus()
    page.keyboard.press("End")
    last = len(answer["forecast"])
    expect(page.locator("#readout .moment dd")).to_contain_text(f"{last} May 2024")


def test_the_table_can_be_copied(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    drawn(page)
    page.get_by_text("The forecast as a table").click()
    page.get_by_role("button", name="Copy as CSV").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    header, *lines = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert header == "ds,y_hat,lo_80,hi_80,lo_95,hi_95"
    expected = forecast(page)
    assert [line.split(",")[0] for line in lines] == [row["ds"] for row in expected]
    medians = [float(line.split(",")[1]) for line in lines]
    assert medians == pytest.approx([row["y_hat"] for row in expected], rel=1e-5)


def test_markup_is_shown_as_text(open_page):
    page = open_page()
    answer = page.request.post("/forecast", data={}).json()
    page.route("**/forecast", lambda route: route.fulfill(json={**answer, "warning": MARKUP}))
    ask(page)
    expect(page.get_by_text(MARKUP)).to_be_visible()
    problem = {"detail": [{"loc": ["body", MARKUP], "msg": MARKUP * 20}]}
    page.route("**/forecast", lambda route: route.fulfill(status=422, json=problem))
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text(MARKUP * 20)
    expect(page.locator("img, b")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["drawn", "read", "rejected"])
def test_axe_finds_no_barriers(state, scheme, open_page):
    page = open_page(color_scheme=scheme)
    ask(page, "", stored(page)["horizon"] + 1)
    expect(page.locator("#answer .notice")).to_be_visible()
    if state == "read":
        page.get_by_text("The forecast as a table").click()
        page.get_by_role("slider").hover()
    if state == "rejected":
        page.get_by_label("Paste a history").fill("garbage")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("alert")).not_to_be_empty()
    result = Axe().run(page, options={"runOnly": WCAG})
    assert result.violations_count == 0, result.generate_report()
    # axe cannot tell what is behind text in a picture, or behind rows that are scrolled away.
    unclear = [node["html"] for rule in result.response["incomplete"] for node in rule["nodes"]]
    assert not [html for html in unclear if not re.match("<(text|th|td)\\b", html)]


def test_it_fits_a_phone(open_page):
    page = open_page(**PHONE)
    ask(page, steps=480)
    expect(page.locator("#answer").get_by_role("heading")).to_be_in_viewport()
    page.get_by_text("The forecast as a table").click()
    page.get_by_role("button", name="Fill in").click()
    expect(page.get_by_label("Paste a history")).not_to_be_empty()
    chart = page.get_by_role("slider")
    # In one step: the chart is drawn again, as another element, when its frame changes.
    same_width = "frame => frame.querySelector('svg').clientWidth === frame.clientWidth"
    assert chart.evaluate(same_width)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["viewport"]["width"]
    for target in page.locator("button, textarea, #steps, summary, a").all():
        assert target.bounding_box()["height"] >= 44
    page.get_by_label("Paste a history").fill("w" * 3000)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["viewport"]["width"]
