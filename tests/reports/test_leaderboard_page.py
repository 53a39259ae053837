"""The page of a leaderboard: its sentences hold what the board says, and it stands in a real browser."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import get_args

import numpy as np
import pytest

from evaluations.board_results import BoardResult, BoardUnit, Spent
from evaluations.leaderboards import at_equal_length, leaderboard
from reports.leaderboard_twins import as_html, as_json, pairs_csv, standings_csv
from reports.views.leaderboard import LeaderboardView, leaderboard_view
from tests.evaluations.statistics.references import recorded_passes
from tests.reports.hostile import FORMULAS, XSS
from tests.reports.leaderboard_builders import AT, a_board
from tests.reports.test_browser import CHROMIUM, SVG_CONTRAST, WCAG, Open, browser, opened, outside
from tests.reports.test_page import MEGABYTE

__all__ = ["browser", "opened"]


def said(view: LeaderboardView) -> str:
    return " ".join(sentence for fact in view.page.facts for sentence in fact.sentences)


def rows(lines: Iterator[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(lines))))


def test_a_recorded_benchmark_says_who_shares_the_lead_and_how_sure_that_is() -> None:
    recorded = recorded_passes("zeroeval_gsm8k")
    passes = {model: each for both, _ in recorded.values() for model, each in both.items()}
    view = leaderboard_view(replace(a_board(), board=leaderboard(passes), latency={}, spent={}, at_equal_length={}))
    assert view.page.headline == (
        "gpt-4o-2024-05-13 and gpt-4o-mini-2024-07-18 share the lead: 95.4% (95% CI 94.1–96.4%) for the first on "
        "1,319 cases, any may be the best; 4 others are behind"
    )
    assert "14 of 15 pairs told apart. The chance that any of them is wrong is at most 5%." in said(view)
    ranks = [(row[0].text, row[1].text, row[2].text) for row in view.standings.rows]
    assert ranks[:3] == [
        ("gpt-4o-2024-05-13", "1–2", "95.4%"),
        ("gpt-4o-mini-2024-07-18", "1–2", "94.2%"),
        ("claude-3-haiku-20240307", "3", "88.8%"),
    ]
    assert [row[1].text for row in view.ties.rows] == ["gpt-4o-2024-05-13, gpt-4o-mini-2024-07-18"]


@pytest.mark.parametrize(
    ("rates", "head", "tone"),
    [
        ((0.9, 0.7, 0.6), "openai/gpt-large is best", "good"),
        ((0.8, 0.8, 0.8), "No model stands out", "warn"),
        ((0.93, 0.92, 0.7), "openai/gpt-large and anthropic/claude-mid share the lead", "plain"),
        ((0.9,), "openai/gpt-large scored 88.3% (95% CI 85.5–90.7%)", "plain"),
    ],
)
def test_each_verdict_has_its_head_and_tone(rates: tuple[float, ...], head: str, tone: str) -> None:
    view = leaderboard_view(a_board(rates, seed=2 if tone == "warn" else 1))
    names = {part.strip() for part in head.replace(" share the lead", "").split(" and ")}
    assert view.page.verdict.tone == tone
    if tone == "plain" and len(rates) > 1:
        assert all(name in view.page.verdict.head for name in names)
    else:
        assert view.page.verdict.head == head


def test_the_first_screen_is_short_and_every_score_has_its_n() -> None:
    view = leaderboard_view(a_board(judged=True, sample_data=True, complete=False, stop_reason="budget"))
    assert len((view.page.headline + " " + said(view)).split()) <= 120
    assert view.page.headline.startswith("Sample data: ")
    assert [banner.title for banner in view.page.banners] == ["Incomplete."]
    heads = [column.head for column in view.standings.columns]
    assert {"Cases", "Unscored", "Rank", "95% CI"} <= set(heads)
    unscored = [row[heads.index("Unscored")] for row in view.standings.rows]
    assert [cell.text for cell in unscored] == ["–", "–", "–", "–", "7"]
    assert unscored[-1].note == "3 failed"
    assert "7 answers of 1 model without a score: counted, never a zero." in said(view)
    assert all("n = " in kpi.note or kpi.label != "Best score" for kpi in view.page.kpis)


def test_every_number_of_the_tables_is_that_of_the_board() -> None:
    result = a_board()
    view, board = leaderboard_view(result), result.board
    for row, each in zip(view.standings.rows, board.standings, strict=True):
        assert each.value is not None
        assert each.interval is not None
        assert each.standard_error is not None
        assert [cell.text for cell in row[:6]] == [
            each.model,
            str(each.best_rank) if each.best_rank == each.worst_rank else f"{each.best_rank}–{each.worst_rank}",
            f"{100 * each.value:.1f}%",
            f"{100 * each.interval.low:.1f}–{100 * each.interval.high:.1f}%",
            f"{100 * each.standard_error:.2f} pts",
            str(each.n),
        ]
    for row, pair in zip(view.pairs.rows, board.pairings, strict=True):
        assert pair.difference is not None
        assert row[2].text.removesuffix(" pts").replace("−", "-") == f"{100 * pair.difference.value:+.1f}"
        assert row[6].text == ("Tied" if pair.ahead is None else f"{pair.ahead} is better")
    assert view.speed is not None
    assert [row[7].text for row in view.speed.rows][:1] == ["$2.54"] or view.speed.rows[0][7].text == "$1.27"
    assert {row[7].note for row in view.speed.rows} == {"", "1 unpriced"}


def test_a_judges_taste_for_length_is_told_on_the_first_screen() -> None:
    rng = np.random.default_rng(2)
    n = 1_500
    lengths = {"long": rng.normal(500, 80, n), "short": rng.normal(380, 80, n)}
    taste = (lengths["long"] - lengths["short"]) / 120 + rng.logistic(size=n)
    scores = {"long": 5 + np.sign(taste), "short": np.full(n, 5.0)}
    board = leaderboard(scores, lengths=lengths)
    result = replace(
        a_board(), board=board, unit="points", judged=True, at_equal_length=at_equal_length(board, scores, lengths)
    )
    view = leaderboard_view(result)
    assert "1 pair would lose the lead at equal length of answers." in said(view)
    assert view.length is not None
    assert view.length.rows[0][6].text.startswith("Longer answers are preferred; the lead is not there at equal length")
    unchecked = leaderboard_view(replace(result, at_equal_length={}))
    assert "lengths of answers are not known" in said(unchecked)


def test_the_twins_hold_the_board_and_unknown_is_empty() -> None:
    result = a_board(spent={"openai/gpt-large": Spent(cost=Decimal("1.23456789"), calls=600, unpriced=2)})
    document = json.loads(as_json(result))
    board = result.board
    assert document["schema"] == "assay.leaderboard/1"
    assert document["leaders"] == list(board.leaders)
    assert [each["model"] for each in document["board"]["standings"]] == [each.model for each in board.standings]
    assert document["spent"]["openai/gpt-large"]["cost"] == "1.23456789"
    assert len(document["at_equal_length"]) == len(board.pairings)
    standings, pairs = rows(standings_csv(result)), rows(pairs_csv(result))
    for line, each in zip(standings, board.standings, strict=True):
        assert (line["model"], float(line["score"]), int(line["n"])) == (each.model, each.value, each.n)
        assert (int(line["best_rank"]), int(line["worst_rank"])) == (each.best_rank, each.worst_rank)
        assert line["cost_usd"] == ("1.23456789" if each.model == "openai/gpt-large" else "")
    for line, pair in zip(pairs, board.pairings, strict=True):
        assert float(line["p_adjusted"]) == pair.adjusted_p
        assert line["ahead"] == (pair.ahead or "")
    assert as_html(result) == as_html(result)


@pytest.mark.parametrize(
    "scores",
    [
        {"a": [np.nan] * 4, "b": [np.nan] * 4},
        {"a": [np.nan] * 4},
        {"a": [1.0] * 4, "b": [1.0] * 4},
        {"a": [1.0], "b": [np.nan]},
        {"a": [3.0, 4.0, 5.0], "b": [3.0, 4.0, 5.0]},
        {f"m{at}": [float(at > case) for case in range(40)] for at in range(30)},
    ],
)
def test_little_or_strange_data_still_make_a_page(scores: dict[str, list[float]]) -> None:
    board = leaderboard(scores)
    for unit in get_args(BoardUnit):
        result = BoardResult(benchmark="b", metric="m", unit=unit, board=board, as_of=AT)
        html = as_html(result)
        assert "could not be drawn" not in html
        assert len(html) < MEGABYTE
        json.loads(as_json(result))
        assert len(rows(standings_csv(result))) == len(scores)
        if all(np.isnan(each).all() for each in scores.values()):
            assert leaderboard_view(result).page.headline == "No verdict: nothing was scored"


def hostile_board(text: str) -> BoardResult:
    named = (text, f"{text}/2", "W" * 300)
    return a_board((0.9, 0.88, 0.6), names=named, benchmark=text, metric=text, description=text, run_id=text,
                   stop_reason=text, complete=False, provenance=((text, text),), rerun=text, n=80)  # fmt: skip


@pytest.mark.parametrize("text", XSS)
def test_hostile_names_are_text_in_every_twin(text: str) -> None:
    html = as_html(hostile_board(text))
    clean = as_html(hostile_board("plain"))
    assert html.count("<script") == clean.count("<script")
    assert html.count("<img") == html.count("<iframe") == 0
    html.encode("utf-8")
    json.loads(as_json(hostile_board(text)))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_models_name_is_no_formula_in_a_spreadsheet(text: str) -> None:
    names = [line["model"] for line in rows(standings_csv(hostile_board(text)))]
    assert f"'{text}" in [name.replace("\r\n", "\n") for name in names] or all(
        not name.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")) for name in names
    )


# In a browser

in_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")


@in_browser
@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_and_every_label_has_contrast(opened: Open, width: int, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(as_html(a_board(judged=True, sample_data=True, complete=False)), width=width, theme=theme)
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": list(WCAG)}, "resultTypes": ["violations"]})
    assert [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found.response["violations"]] == []
    labels = page.evaluate(SVG_CONTRAST)
    assert len(labels) > 15
    assert [label for label in labels if label["ratio"] < 4.5 or label["size"] < 11] == []
    assert (page.problems, outside(page)) == ([], [])
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@in_browser
@pytest.mark.parametrize("width", [1440, 320])
def test_without_scripts_everything_is_there_and_nothing_scrolls_sideways(opened: Open, width: int) -> None:
    for result in (a_board(), hostile_board(XSS[0])):
        page = opened(as_html(result), width=width, scripts=False)
        assert page.locator("svg.chart").count() >= 2
        assert page.locator("h2").count() >= 5
        assert outside(page) == []
        widest = page.locator("html").evaluate("html => html.scrollWidth")
        assert widest <= width


@in_browser
def test_hostile_names_do_nothing_in_a_browser(opened: Open) -> None:
    page = opened(as_html(hostile_board("".join(XSS[:12]))))
    assert page.evaluate("window.__pwned === undefined")
    assert (page.problems, outside(page)) == ([], [])
