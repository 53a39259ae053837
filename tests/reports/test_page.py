import base64
import hashlib
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from jinja2 import UndefinedError

from evaluations.results import RunResult
from reports.page import render_page, unbroken, words
from reports.twins import as_html
from reports.views.parts import Page
from reports.views.run import run_view
from tests.reports.builders import a_case, a_gate, a_realistic_run, a_run, a_score, a_variant, an_answer
from tests.reports.hostile import XSS

MEGABYTE = 1_000_000


class Outline(HTMLParser):
    """Tags, attributes and ids as a parser sees them, which is what a browser acts on."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


def hostile_run(text: str) -> RunResult:
    """Every text of a result that comes from outside, replaced."""
    answers = (
        an_answer(text, passed=False, repeat=0, scores=(a_score(text, 0.0, text), a_score("judge", None, text)),
                  model_returned=text, contaminated=True),
        an_answer(repeat=1, error="bad_reply", error_message=text),
    )  # fmt: skip
    case = a_case(text, variant=text, reason=text, description=text, tags=(text,), priority="critical", answers=answers,
                  inputs={text: text}, expected=text)  # fmt: skip
    other = a_case(text, "flaky", variant="large", reason=text)
    variants = (
        a_variant(text, (case,), model=text, prompt=text, parameters={text: text}, models_returned={text: 2}),
        a_variant("large", (other,)),
        a_variant("mini", (other,), cost_usd=other.answers[0].cost_usd),
    )
    return a_run(
        (case, other), suite=text, description=text, dataset=text, sentence=text, reasons=(text,), variants=variants,
        gates=(a_gate(variant=text, passed=False, value=text, limit=text, why=text),), run_id=text, actor=text,
        complete=False, stop_reason=text, cells_total=9,
    )  # fmt: skip


def test_the_policy_comes_first_and_allows_only_what_the_page_was_built_with() -> None:
    page = as_html(a_realistic_run(6))
    head = page[page.index("<head>") :]
    assert head.split(">", 2)[1].strip().startswith('<meta http-equiv="Content-Security-Policy"')
    policy = Outline(page).all("meta")[0]["content"]
    assert policy is not None
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for directive in ("img-src data:", "font-src data:", "base-uri 'none'", "form-action 'none'"):
        assert directive in policy


def test_the_page_loads_nothing_and_has_no_inline_style_or_handler() -> None:
    outline = Outline(as_html(a_realistic_run(12)))
    assert len(outline.all("script")) == 1
    assert not outline.all("img", "iframe", "object", "embed", "form", "base")
    for tag, attributes in outline.tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), target


@pytest.mark.parametrize("text", XSS)
def test_whatever_was_said_adds_no_tag_and_no_attribute_to_the_page(text: str) -> None:
    def shape(page: str) -> list[tuple[str, list[str]]]:
        # Brackets and intervals in a sentence get a span of ours, which is not a tag of theirs.
        return [
            (tag, sorted(attributes))
            for tag, attributes in Outline(page).tags
            if attributes.get("class") not in ("quiet", "nw")
        ]

    page = as_html(hostile_run(text))
    # The same run with harmless words: the same page, tag by tag.
    assert shape(page) == shape(as_html(hostile_run("harmless words")))
    page.encode("utf-8")
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page)


def test_every_id_is_unique_and_every_link_on_the_page_leads_somewhere() -> None:
    outline = Outline(as_html(a_realistic_run(40)))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in outline.all("a"):
        assert (link["href"] or "").removeprefix("#") in ids


def test_heading_levels_never_skip() -> None:
    levels = [int(tag[1]) for tag, _ in Outline(as_html(a_realistic_run(40))).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_a_page_of_a_thousand_rows_stays_under_a_megabyte() -> None:
    run = a_realistic_run(334, accuracy={"large": 0.6, "small": 0.5, "mini": 0.4})
    assert len(run.cases) >= 1000
    page = as_html(a_run(run.cases[:1000], variants=run.variants, gates=run.gates, cases_left_out=11_300))
    assert len(page.encode()) <= MEGABYTE
    assert page.count("<tr>") > 1000


def test_a_page_of_a_thousand_long_answers_stays_under_a_megabyte() -> None:
    long = tuple(
        a_case(f"t-{i}", reason="r" * 5000, answers=(an_answer("x" * 50_000, passed=False),)) for i in range(1000)
    )
    assert len(as_html(a_run(long)).encode()) <= MEGABYTE


@dataclass(frozen=True)
class Bare:
    """A view with a page and nothing else."""

    page: Page


def test_a_template_that_asks_for_what_the_view_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="main"):
        render_page("run.html.j2", Bare(run_view(a_realistic_run(3)).page))


def test_a_later_report_needs_only_a_view_and_a_template() -> None:
    page = render_page("base.html.j2", Bare(run_view(a_realistic_run(3)).page))
    assert '<p class="verdict' in page
    assert "Report schema 1. Data as of 28 June 2026, 06:00 UTC." in page


def test_commands_within_sentences_are_set_apart_and_stay_text() -> None:
    assert unbroken("Ask: `assay run <b>`, then `wait`.") == "Ask: <code>assay run &lt;b&gt;</code>, then `wait`."
    assert unbroken("(`assay up`)") == '<span class="quiet">(<code>assay up</code>)</span>'
    assert words("assay accept 3 --why '<b>'") == ('assay accept 3 <span class="nw">--why</span> &#39;&lt;b&gt;&#39;')
