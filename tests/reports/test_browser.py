"""The report in a real browser: nothing runs or loads, everybody can read it, at every width and in both themes."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evaluations.results import RunResult
from reports.twins import as_html
from tests.reports.builders import a_broken_row, a_case, a_realistic_run, a_run, an_open_call
from tests.reports.hostile import XSS
from tests.reports.test_page import hostile_run

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")

Open = Callable[..., Any]
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")


@pytest.fixture(scope="module")  # no longer: while it is open, no other test can run an event loop
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--headless=new", "--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a run's report, or any page by its HTML.

    `page.requested` and `page.problems` tell what it tried and what went wrong.
    """
    contexts: list[Any] = []

    def open_page(made: RunResult | str, *, width: int = 1440, theme: str = "light", scripts: bool = True) -> Any:
        file = tmp_path / "report.html"
        file.write_bytes((made if isinstance(made, str) else as_html(made)).encode("utf-8"))
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, java_script_enabled=scripts,
            reduced_motion="reduce",
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.requested = []
        page.problems = []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("dialog", lambda dialog: page.problems.append("a dialog opened"))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def full_run() -> RunResult:
    """A small report with every part there is: axe takes seconds for each thousand elements."""
    run = a_realistic_run(5, accuracy={"large": 0.9, "small": 0.6, "mini": 0.4})
    return replace(
        run, cases=(*run.cases, a_case("t-1", "flaky"), a_case("t-2", "error")), simulated=True, sample_data=True,
        in_flight=(an_open_call(),), quarantined=(a_broken_row(),), complete=False, stop_reason="budget",
        cells_done=412,
        cells_total=1000, reasons=("The blocker no_promise_of_refund failed.",),
    )  # fmt: skip


def outside(page: Any) -> list[str]:
    return [url for url in page.requested if not url.startswith(("file:", "data:"))]


@pytest.mark.parametrize(
    ("width", "theme"),
    [
        (1440, "light"),
        (390, "dark"),
        # Each theme and each layout is in the two above; these are the pairs between.
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((1440, "dark"), (820, "light"), (320, "light"))),
    ],
)
def test_axe_finds_nothing_against_wcag_2_2_aa(opened: Open, width: int, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(full_run(), width=width, theme=theme)
    page.evaluate("document.querySelectorAll('details').forEach(function (d, i) { if (i % 5 == 0) d.open = true; })")
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": list(WCAG)}, "resultTypes": ["violations"]})
    violations = [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found.response["violations"]]
    assert violations == []
    assert len(found.response["passes"]) > 15
    assert page.problems == []


@pytest.mark.parametrize("width", [1440, 820, 390, 320])
@pytest.mark.parametrize("made", [full_run, lambda: hostile_run("W" * 300), lambda: a_run(())])
def test_the_page_never_scrolls_sideways(opened: Open, width: int, made: Callable[[], RunResult]) -> None:
    page = opened(made(), width=width)
    page.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


SVG_CONTRAST = """() => {
  const linear = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); };
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const found = [];
  for (const text of document.querySelectorAll('svg.chart text')) {
    const box = text.getBoundingClientRect();
    if (!box.width) continue;
    // What lies beneath: the fills of earlier shapes that the label's middle is on, else the page.
    let back = parse(getComputedStyle(document.body).backgroundColor);
    const x = box.left + box.width / 2, y = box.top + box.height / 2;
    for (const shape of text.closest('svg').querySelectorAll('rect:not(.hit)')) {
      const r = shape.getBoundingClientRect();
      const after = text.compareDocumentPosition(shape) & Node.DOCUMENT_POSITION_FOLLOWING;
      if (!after && r.left <= x && x <= r.right && r.top <= y && y <= r.bottom)
        back = parse(getComputedStyle(shape).fill);
    }
    const ink = parse(getComputedStyle(text).fill);
    const [a, b] = [light(ink), light(back)].sort((p, q) => q - p);
    found.push({said: text.textContent, ratio: (a + 0.05) / (b + 0.05), 
      size: parseFloat(getComputedStyle(text).fontSize)});
  }
  return found;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_word_in_a_drawing_has_contrast_and_size(opened: Open, theme: str) -> None:
    for width in (1440, 390):
        page = opened(full_run(), theme=theme, width=width)
        labels = page.evaluate(SVG_CONTRAST)
        assert len(labels) > 30
        assert [label for label in labels if label["ratio"] < 4.5] == []
        assert [label for label in labels if label["size"] < 11] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("".join(XSS), id="all"),
        *(pytest.param(text, id=str(index)) for index, text in enumerate(XSS[:3])),
        *(pytest.param(text, id=str(index), marks=pytest.mark.slow) for index, text in enumerate(XSS[3:], 3)),
    ],
)
def test_hostile_texts_neither_run_nor_load_anything(opened: Open, text: str) -> None:
    page = opened(hostile_run(text), width=820)
    page.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    assert page.evaluate("window.__pwned") is None
    assert outside(page) == []
    assert page.problems == []


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """A port on this machine and what was asked of it: a blocked request never gets here."""
    asked: list[str] = []

    class Noting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Noting)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port, asked
    server.shutdown()
    server.server_close()


def test_with_escaping_broken_on_purpose_the_policy_still_holds(opened: Open, listener: tuple[int, list[str]]) -> None:
    port, asked = listener
    # A refresh is the one thing that no policy in a page can stop: there escaping is the only wall.
    unescaped = "".join(text for text in XSS if "refresh" not in text and "\x00" not in text)
    unescaped = unescaped.replace("127.0.0.1:9", f"127.0.0.1:{port}")
    page = as_html(hostile_run("harmless")).replace("</h1>", f"</h1>{unescaped}", 1)
    shown = opened(page)
    shown.wait_for_timeout(300)
    assert shown.evaluate("window.__pwned") is None
    assert asked == []
    assert any("Content Security Policy" in problem for problem in shown.problems), "the wall was really tested"
    # Without the policy the same page runs and asks: the test can fail.
    bare = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", page)
    open_wide = opened(bare)
    open_wide.wait_for_timeout(300)
    assert open_wide.evaluate("window.__pwned") == 1
    assert asked


def test_the_report_asks_the_network_for_nothing(opened: Open) -> None:
    page = opened(full_run())
    page.evaluate("document.fonts.ready")
    assert outside(page) == []
    assert len([url for url in page.requested if url.startswith("file:")]) == 1
    assert page.evaluate("Array.from(document.fonts).filter(f => f.status === 'loaded').length") >= 2


@pytest.mark.parametrize("width", [1440, 390])
def test_without_scripts_every_figure_and_every_case_is_there(opened: Open, width: int) -> None:
    run = full_run()
    page = opened(run, width=width, scripts=False)
    figures = page.locator("figure.fig")
    assert figures.count() >= 5
    for index in range(figures.count()):
        assert figures.nth(index).locator("svg.chart:visible").count() == 1
        assert figures.nth(index).locator("details.data summary").is_visible()
    assert page.locator("table.cases tbody tr").count() == len(run.cases)
    assert page.locator("[data-tools]").is_hidden()
    assert page.locator("[data-filters]").is_hidden()


def test_sorting_is_announced_and_puts_what_is_unknown_last(opened: Open) -> None:
    page = opened(full_run())
    head = page.locator("table.cases thead th[data-k=latency_ms]")
    for wanted in ("ascending", "descending"):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == wanted
        values = page.eval_on_selector_all(
            "table.cases tbody tr", "rows => rows.map(row => row.cells[5].getAttribute('data-s'))"
        )
        known = [float(value) for value in values if value is not None]
        assert known == sorted(known, reverse=wanted == "descending")
        assert all(value is None for value in values[len(known) :])
    assert page.locator("table.cases th[aria-sort]").count() == 1


def test_filters_count_what_they_leave(opened: Open) -> None:
    run = full_run()
    page = opened(run)
    page.select_option("select[data-pick='2']", "Failed")
    failed = sum(case.verdict == "fail" for case in run.cases)
    assert page.locator("[data-count]").inner_text() == f"{failed} of {len(run.cases)} rows"
    page.fill("[data-search]", "no case has this text")
    assert page.locator("[data-count]").inner_text() == f"0 of {len(run.cases)} rows"
    assert page.locator("[data-count]").get_attribute("role") == "status"


def test_a_download_holds_the_rows_shown_and_no_formula(opened: Open, tmp_path: Path) -> None:
    page = opened(hostile_run("=1+1"))
    with page.expect_download() as waiting:
        page.click("[data-act=csv]")
    waiting.value.save_as(tmp_path / "cases.csv")
    text = (tmp_path / "cases.csv").read_text(encoding="utf-8-sig")
    assert text.startswith('"case","variant","result"')
    assert '"\'=1+1"' in text
    assert not re.search(r'(^|,)"?=', text, re.MULTILINE)


def test_the_keyboard_reaches_everything_and_the_focus_is_seen(opened: Open) -> None:
    page = opened(full_run())
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e); return {name: e.className.baseVal "
            "|| e.className || e.tagName, outline: s.outlineStyle, width: parseFloat(s.outlineWidth)}; }"
        )
        if told["name"] == "BODY":
            break
        assert told["outline"] != "none", told
        assert told["width"] >= 2, told
        seen.append(str(told["name"]))
    assert seen[0] == "skip"
    assert any("plot" in name for name in seen)
    assert any("perma" in name for name in seen)


def test_arrow_keys_read_the_values_of_a_chart(opened: Open) -> None:
    page = opened(full_run())
    page.locator("#fig-pass-rate .plot.wide").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#tip").inner_text()
    page.keyboard.press("ArrowRight")
    assert first != page.locator("#tip").inner_text()
    assert "Pass rate" in first
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_the_theme_button_goes_round_and_is_remembered(opened: Open) -> None:
    page = opened(full_run())
    names = []
    for _ in range(3):
        page.click("[data-act=theme]")
        names.append(page.evaluate("document.documentElement.getAttribute('data-theme')"))
    assert names == ["light", "dark", "auto"]


def test_the_first_printed_page_has_the_verdict_in_our_font(opened: Open, tmp_path: Path) -> None:
    page = opened(a_realistic_run(30))
    pdf = page.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    assert b"/Type3" not in pdf, "a variable or missing font would print as pictures of letters"
    assert b"ReportSans" in pdf
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 960})
    # A4 less its margins is 680 by 997 pixels: the figure ends on the first page.
    assert page.evaluate("document.querySelector('.lead').getBoundingClientRect().bottom") <= 997
    assert page.locator(".plot.medium").first.is_visible()
    assert page.locator(".toc").is_hidden()
