"""The page in a real browser: nothing that keeps a reader out, drawn, sorted and reloaded as it says."""

import json
import re
import threading

import pytest

from tests.report.browser import chromium, needs_chromium
from tests.report.told_run import fail, hack, make_told_run
from trl_r1.report import serve, watch, write_report


pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """With an alarm, and a stage that has failed."""
    run = make_told_run(tmp_path_factory.mktemp("browser") / "run")
    hack(run)
    fail(run, "dev3")
    return run


@pytest.fixture(scope="module")
def pages(run, tmp_path_factory):
    other = make_told_run(tmp_path_factory.mktemp("browser") / "other", seed=2, rise=0.2)
    return {"alone": write_report(run).as_uri(), "seeds": write_report(run, other).as_uri()}


def opened(browser, address, width=1200, **options):
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda request: page.errors.append(request.url) if request.url.startswith("http:") else None)
    page.goto(address)
    page.evaluate("dispatchEvent(new Event('draw-all'))")
    return page


@pytest.mark.parametrize("name", ["alone", "seeds"])
@pytest.mark.parametrize(("width", "colors"), [(1200, "light"), (360, "light"), (1200, "dark")])
def test_axe_finds_nothing_serious(browser, pages, name, width, colors):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, pages[name], width, color_scheme=colors)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = Axe().run(page).response["violations"]
    told = [
        (each["id"], each["help"], [node["html"][:160] for node in each["nodes"][:3]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert not told, json.dumps(told, indent=1)
    page.close()


@pytest.mark.parametrize("name", ["alone", "seeds"])
def test_a_phone_scrolls_down_and_never_sideways(browser, pages, name):
    page = opened(browser, pages[name], 360)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    wide = page.evaluate(
        "[...document.querySelectorAll('.scroll')].map((e) => [e.scrollWidth > e.clientWidth + 4, e.classList.contains('wide')])"
    )
    assert [True, True] in wide, "a wide table scrolls inside, and says so"
    assert not [each for each in wide if each[0] != each[1]]
    page.close()


def test_every_chart_is_drawn_with_named_axes_and_a_band_where_there_is_one(browser, pages):
    page = opened(browser, pages["alone"])
    figures = page.locator("figure[data-chart]")
    assert figures.count() > 20
    assert page.locator("figure[data-chart] .canvas svg").count() == figures.count()
    for axis in ("step →", "↑ share of its highest value", "↑ tokens", "tokens of thought allowed →"):
        assert page.get_by_text(axis, exact=True).count(), axis
    moment = page.locator(".moment figure").first
    assert moment.locator("[aria-label=area] path").count() == 3
    assert moment.get_by_text("reflection has doubled").count() == 1
    assert page.errors == []
    page.close()


def test_a_stage_and_its_control_are_lines_of_one_chart(browser, pages):
    page = opened(browser, pages["alone"])
    chart = page.locator("figure", has=page.get_by_text("Share of prompt's language", exact=True)).first
    assert chart.locator(".legend li").all_inner_texts()[0].startswith("r1-zero")
    assert chart.locator(".legend li").all_inner_texts()[1].startswith("language-control")
    assert chart.locator("[aria-label=line] path").count() == 4, "as logged and smoothed, of both"
    page.close()


def test_a_pointer_over_a_chart_shows_its_value(browser, pages):
    page = opened(browser, pages["alone"])
    canvas = page.locator(".moment figure .canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = canvas.locator("[aria-label=tip] text")
    tip.first.wait_for()
    assert "step" in tip.first.text_content()
    page.close()


@pytest.mark.parametrize("how", ["mouse", "keyboard"])
def test_a_table_is_sorted_by_its_heading(browser, pages, how):
    page = opened(browser, pages["alone"])
    table = page.locator("table", has=page.get_by_text("Scores of each model, scores", exact=True))
    head = table.locator("thead th").nth(1)
    button = head.get_by_role("button")

    def press():
        if how == "mouse":
            button.click()
        else:
            button.focus()
            page.keyboard.press("Enter")

    def models():
        return table.locator("tbody th").all_inner_texts()

    assert models()[0] == "base"
    press()
    assert head.get_attribute("aria-sort") == "descending"
    assert models()[0] == "r1"
    press()
    assert head.get_attribute("aria-sort") == "ascending"
    assert (models()[0], models()[-1]) == ("base", "r1")
    win_rate = table.locator("thead th", has_text="general win rate").get_by_role("button")
    for _ in range(2):
        win_rate.click()
        assert models()[-1] == "r1-zero", "what was not measured is last, either way"
    assert head.get_attribute("aria-sort") is None
    page.close()


def test_without_scripts_tables_and_texts_are_there(browser, pages):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["alone"])
    text = page.inner_text("main")
    for fact in ("0.968 ± 0.005", "try A9+2=11, wrong.", "rejected most often as wrong 412"):
        assert fact in text, fact
    summaries = page.locator(".summary").all_inner_texts()
    assert any(re.fullmatch(r"\d\.\d+ → \d\.\d+", each) for each in summaries), "of a chart, where it begins and ends"
    context.close()


def test_on_paper_nothing_is_cut_off_and_all_charts_are_drawn(browser, pages):
    page = opened(browser, pages["alone"])
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    cut = page.evaluate(
        "[...document.querySelectorAll('.text')].filter((e) => e.scrollHeight > e.clientHeight + 2).length"
    )
    assert cut == 0
    assert page.locator("details:not([open])").count() == 0
    page.close()


def test_the_page_of_a_run_that_goes_on_reloads_itself_where_it_was(browser, run, monkeypatch):
    monkeypatch.setattr(watch, "PACE", 0)
    monkeypatch.setattr(watch, "LEAST_SECONDS", 0.0)
    server = serve([run], say=lambda line: None, port=0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        assert "CUDA out of memory" in page.inner_text("#failed-dev3")
        page.evaluate("scrollTo({ top: 1500, behavior: 'instant' })")
        with page.expect_response("**/version"):  # it knows now of which version it is
            pass
        (run / "dev3" / "log.txt").write_text("the other last words\n")
        page.locator("#failed-dev3", has_text="the other last words").wait_for(timeout=180_000)
        page.wait_for_function("Math.abs(scrollY - 1500) < 5", timeout=180_000)
        assert page.request.get(f"http://127.0.0.1:{server.server_port}/other").status == 404
        page.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
