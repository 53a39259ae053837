"""The page of a leaderboard: who is best, who is tied with whom and how sure, then all that it rests on."""

from dataclasses import dataclass

from evaluations.board_results import BoardResult
from evaluations.latency import Spread
from evaluations.leaderboards import Pairing, Standing
from evaluations.statistics.length_bias import LengthControlled
from evaluations.statistics.outcomes import Undetermined
from reports import charts
from reports.charts import FULL, Dot
from reports.format import count, decimal, duration, moment, money, one_line, p_value, share, share_interval
from reports.page import SCHEMA_VERSION
from reports.views import leaderboard_words as words
from reports.views.parts import Cell, Column, Figure, Page, Status, Table, figure

TEMPLATE = "leaderboard.html.j2"
DRAWN = 24
"""Rows of a figure; the table has all."""
LISTED = 300
"""Rows of a table of pairs or of groups; the files have all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderboardView:
    """All that `leaderboard.html.j2` places. None is left out, with its heading."""

    page: Page
    scores: Figure
    ranks: Figure | None
    standings: Table
    ties: Table
    pairs: Table
    length: Table | None
    speed: Table | None
    provenance: Table | None
    method: tuple[str, ...]


def leaderboard_view(result: BoardResult) -> LeaderboardView:
    """Decides every word, number and order of the page. Pure: the same board gives the same view."""
    several = len(result.board.standings) > 1
    speed, length = _speed(result), _length(result)
    page = Page(
        kind="Leaderboard",
        subject=one_line(result.benchmark, 80),
        title=one_line(result.description or f"Leaderboard of {result.benchmark}", 140),
        about=words.about(result),
        marks=words.marks(result),
        banners=words.banners(result),
        verdict=words.verdict(result),
        facts=words.facts(result),
        kpis=words.kpis(result),
        contents=(
            ("verdict", "Verdict"),
            ("standings", "Standings"),
            *((("ties", "Ties"), ("pairs", "Every pair")) if several else ()),
            *((("length", "At equal length"),) if length else ()),
            *((("speed", "Speed and cost"),) if speed else ()),
            *((("provenance", "To run it again"),) if result.provenance else ()),
            ("method", "Method"),
        ),
        as_of=moment(result.as_of),
        schema=str(SCHEMA_VERSION),
        files=("report.json", "standings.csv", "pairs.csv"),
    )
    return LeaderboardView(
        page=page,
        scores=_scores(result),
        ranks=_ranks(result) if several else None,
        standings=_standings(result),
        ties=_ties(result),
        pairs=_pairs(result),
        length=length,
        speed=speed,
        provenance=_provenance(result),
        method=words.method(result),
    )


# Figures


def _scores(result: BoardResult) -> Figure:
    board = result.board
    shown = board.standings[:DRAWN]
    rows = [_dot(result, each) for each in shown]
    low, high = _reach(result, rows)
    level = f"{(1 - board.alpha) * 100:g}%"
    metric = one_line(result.metric, 60)
    return figure(
        "fig-scores",
        words.finding(result),
        f"Mean {metric} of each model with its {level} interval, on {words.cases(result)}. Hollow and grey: another "
        "model is significantly better.",
        FULL,
        lambda width: charts.dot_plot(
            rows,
            width,
            label=f"{words.finding(result)}. {metric} of {count(len(rows), 'model')} with intervals.",
            heads=("Model", "Cases", "Score", f"{level} CI"),
            tick=lambda value: words.tick(value, result.unit),
            bounds=(low, high),
        ),
        note=_beyond(result),
    )


def _dot(result: BoardResult, standing: Standing) -> Dot:
    reading, told = words.reading(result, standing)
    name = words.name(standing.model)
    if standing.value is None:
        return Dot(label=name, value=None, value_text="not scored", n_text="0", reading_text=told)
    found = standing.interval
    return Dot(
        label=name,
        value=standing.value,
        low=None if found is None else found.low,
        high=None if found is None else found.high,
        value_text=words.score(standing.value, result.unit),
        interval_text=words.score_interval(found, result.unit),
        n_text=count(standing.n),
        reading=reading,
        reading_text=told,
    )


def _reach(result: BoardResult, rows: list[Dot]) -> tuple[float, float]:
    """Between which values the figure may stretch."""
    if result.unit == "share":
        return 0.0, 1.0
    drawn = [value for row in rows for value in (row.value, row.low, row.high) if value is not None]
    if not drawn:
        return 0.0, 1.0
    air = (max(drawn) - min(drawn)) * 0.08 or abs(max(drawn)) * 0.1 or 1.0
    return min(drawn) - air, max(drawn) + air


def _ranks(result: BoardResult) -> Figure:
    shown = result.board.standings[:DRAWN]
    last = float(len(result.board.standings))
    rows = [
        Dot(
            label=words.name(each.model),
            value=float(min(max(place, each.best_rank), each.worst_rank)),
            low=float(each.best_rank),
            high=float(each.worst_rank),
            value_text=f"rank {words.rank(each)}",
            reading="plain" if each.best_rank == 1 and each.value is not None else "open",
            reading_text="" if each.value is not None else "Not scored",
        )
        for place, each in enumerate(shown, 1)
    ]
    level = f"{(1 - result.board.alpha) * 100:g}%"
    exact = sum(each.best_rank == each.worst_rank for each in result.board.standings)
    title = (
        "No rank is settled"
        if not exact
        else "Every rank is settled"
        if exact == last
        else f"{count(exact)} of {count(int(last), 'rank')} {'is' if exact == 1 else 'are'} settled"
    )
    return figure(
        "fig-ranks",
        title,
        f"Ranks that each model may have; all of them together hold at {level}. The dot is its place by score, n = "
        f"{count(result.board.cases)}.",
        FULL,
        lambda width: charts.dot_plot(
            rows,
            width,
            label=f"{title}. Rank ranges.",
            heads=("Model", "", "Rank", ""),
            tick=lambda value: f"{value:.0f}" if abs(value - round(value)) < 1e-9 else "",
            bounds=(0.6, last + 0.4),
        ),
        note=_beyond(result),
    )


def _beyond(result: BoardResult) -> str:
    total = len(result.board.standings)
    return f"The first {DRAWN} of {count(total)} models are drawn; the table has all." if total > DRAWN else ""


# Tables


def _standings(result: BoardResult) -> Table:
    lengths = any(each.mean_length is not None for each in result.board.standings)
    history = bool(result.percentiles)
    return Table(
        caption="Standings, the highest place first",
        columns=(
            Column("model", "Model"),
            Column("rank", "Rank", right=True),
            Column("score", "Score", right=True),
            Column("interval", f"{(1 - result.board.alpha) * 100:g}% CI", right=True),
            Column("standard_error", "Standard error", right=True),
            Column("n", "Cases", right=True),
            Column("unscored", "Unscored", right=True),
            *((Column("length", "Mean length", right=True),) if lengths else ()),
            *((Column("percentile", "Among earlier runs", right=True),) if history else ()),
        ),
        rows=tuple(
            (
                Cell(words.name(each.model), note="; ".join(each.doubts)),
                Cell(words.rank(each), each.best_rank + each.worst_rank / 10_000),
                Cell(words.score(each.value, result.unit), each.value),
                Cell(words.score_interval(each.interval, result.unit)),
                Cell(_error(result, each)),
                Cell(count(each.n), each.n),
                Cell(count(each.unscored) if each.unscored else "–", each.unscored, note=_failed(result, each)),
                *((Cell(_length_text(each), each.mean_length),) if lengths else ()),
                *((_percentile(result, each),) if history else ()),
            )
            for each in result.board.standings
        ),
        empty="No model is on this board.",
    )


def _error(result: BoardResult, standing: Standing) -> str:
    if standing.standard_error is None:
        return "unknown"
    if result.unit == "share":
        return f"{decimal(100 * standing.standard_error, 2)} pts"
    return words.score(standing.standard_error, result.unit)


def _failed(result: BoardResult, standing: Standing) -> str:
    failed = result.failed.get(standing.model, 0)
    return f"{count(failed)} failed" if failed else ""


def _length_text(standing: Standing) -> str:
    return "unknown" if standing.mean_length is None else decimal(standing.mean_length, 0)


def _percentile(result: BoardResult, standing: Standing) -> Cell:
    found = result.percentiles.get(standing.model)
    if found is None:
        return Cell("no history")
    within = f"{100 * found.low:.0f}–{100 * found.high:.0f}% of {count(found.n, 'run')}"
    return Cell(f"better than {100 * found.value:.0f}%", found.value, note=within)


def _ties(result: BoardResult) -> Table:
    return Table(
        caption="Groups of models that no test tells apart",
        columns=(Column("group", "Group"), Column("models", "Models", wide=True), Column("size", "Size", right=True)),
        rows=tuple(
            (
                Cell(f"Group {number}"),
                Cell(", ".join(words.name(model) for model in group)),
                Cell(count(len(group)), len(group)),
            )
            for number, group in enumerate(result.board.tied[:LISTED], 1)
        ),
        note=f"The first {LISTED} of {count(len(result.board.tied))} groups; report.json has all."
        if len(result.board.tied) > LISTED
        else "",
        empty="No two models are tied: every pair was told apart.",
    )


def _pairs(result: BoardResult) -> Table:
    shown = result.board.pairings[:LISTED]
    more = len(result.board.pairings) - len(shown)
    return Table(
        caption="Every pair on the cases both were scored on; the difference is the first minus the second",
        columns=(
            Column("first", "First"),
            Column("second", "Second"),
            Column("difference", "Difference", right=True),
            Column("interval", "Interval", right=True),
            Column("n", "Cases", right=True),
            Column("p_adjusted", "Adjusted p", right=True),
            Column("reading", "Reading"),
        ),
        rows=tuple(_pair(result, each) for each in shown),
        note=f"{count(more)} more pairs are in pairs.csv." if more else "",
        empty="One model makes no pair.",
    )


def _pair(result: BoardResult, each: Pairing) -> tuple[Cell, ...]:
    found = each.difference
    if each.ahead is not None:
        status = Status(f"{words.name(each.ahead)} is better", "good", "check")
    else:
        status = Status("Tied" if each.p is not None else "Cannot be tested", "plain", "wave")
    return (
        Cell(words.name(each.first)),
        Cell(words.name(each.second)),
        Cell(
            "unknown" if found is None else words.gap(found.value, result.unit), None if found is None else found.value
        ),
        Cell(
            "–" if found is None else words.gap_interval(found, result.unit),
            note="" if found is None else f"at {100 * found.confidence:.4g}%",
        ),
        Cell(count(each.n), each.n),
        Cell(
            "–" if each.adjusted_p is None else p_value(each.adjusted_p), each.adjusted_p, note=one_line(each.why, 120)
        ),
        Cell(status.word, status=status),
    )


def _length(result: BoardResult) -> Table | None:
    if not result.at_equal_length:
        return None
    return Table(
        caption="How often the first is preferred, as judged and at equal length of answers",
        columns=(
            Column("first", "First"),
            Column("second", "Second"),
            Column("raw", "As judged", right=True),
            Column("controlled", "At equal length", right=True),
            Column("longer", "First is longer by", right=True),
            Column("n", "Cases", right=True),
            Column("reading", "Reading", wide=True),
        ),
        rows=tuple(
            (Cell(words.name(first)), Cell(words.name(second)), *_controlled(found))
            for (first, second), found in list(result.at_equal_length.items())[:LISTED]
        ),
    )


def _controlled(found: LengthControlled | Undetermined) -> tuple[Cell, ...]:
    if isinstance(found, Undetermined):
        return (Cell("–"), Cell("–"), Cell("–"), Cell(count(found.n), found.n), Cell(one_line(found.why, 160)))
    likes = "longer" if found.slope.value > 0 else "shorter"
    told = f"{likes.capitalize()} answers are preferred" if found.p < 0.05 else "Length shows no effect"
    if words.turns(found):
        told += "; the lead is not there at equal length"
    return (
        Cell(share(found.raw.value), found.raw.value, note=share_interval(found.raw.low, found.raw.high)),
        Cell(
            share(found.controlled.value),
            found.controlled.value,
            note=share_interval(found.controlled.low, found.controlled.high),
        ),
        Cell(decimal(found.longer, 0, plus=True), found.longer),
        Cell(count(found.raw.n), found.raw.n),
        Cell(f"{told} ({p_value(found.p)}).", note=one_line(found.reason, 160)),
    )


def _speed(result: BoardResult) -> Table | None:
    if not result.latency and not result.spent:
        return None
    return Table(
        caption="What the calls took and cost; times are over calls that succeeded, medians with the 95th percentile",
        columns=(
            Column("model", "Model"),
            Column("calls", "Calls", right=True),
            Column("failed", "Failed", right=True),
            Column("queue", "Our queue", right=True),
            Column("first_token", "First token", right=True),
            Column("total", "Total", right=True),
            Column("speed", "Tokens/s", right=True),
            Column("cost", "Cost", right=True),
        ),
        rows=tuple(_speed_row(result, each.model) for each in result.board.standings),
    )


def _speed_row(result: BoardResult, model: str) -> tuple[Cell, ...]:
    taken, spent = result.latency.get(model), result.spent.get(model)
    calls = taken.requests if taken else spent.calls if spent else None
    unpriced = f"{count(spent.unpriced)} unpriced" if spent and spent.unpriced else ""
    times = (taken.queue, taken.first_token, taken.total) if taken else (None, None, None)
    speed = taken.tokens_per_second.at(0.5) if taken else None
    return (
        Cell(words.name(model)),
        Cell("unknown" if calls is None else count(calls), calls),
        Cell(share(taken.failed.value), taken.failed.value) if taken and taken.failed else Cell("not measured"),
        *(_time(each) for each in times),
        Cell("not measured") if speed is None else Cell(decimal(speed.value, 1), speed.value),
        Cell(
            money(spent.cost) if spent else "unknown",
            float(spent.cost) if spent and spent.cost is not None else None,
            note=unpriced,
        ),
    )


def _time(spread: Spread | None) -> Cell:
    middle, late = (spread.at(0.5), spread.at(0.95)) if spread else (None, None)
    if spread is None or middle is None or late is None:
        return Cell("not measured")
    return Cell(duration(middle.value), middle.value, note=f"p95 {duration(late.value)}, n = {count(spread.n)}")


def _provenance(result: BoardResult) -> Table | None:
    if not result.provenance:
        return None
    return Table(
        caption="What it takes to run this benchmark again",
        columns=(Column("what", "What"), Column("value", "Value", wide=True)),
        rows=tuple((Cell(one_line(what, 60)), Cell(one_line(value, 300))) for what, value in result.provenance),
    )
