"""The figures and tables of a run: variants, gates, scorers, cost, latency, open calls, broken rows, provenance."""

import re
from decimal import Decimal

from evaluations.frontier import Point, placed
from evaluations.results import AnswerResult, CaseResult, GateResult, RunResult, VariantResult
from evaluations.verdicts import Verdict
from reports import charts
from reports.charts import FULL, HALF, Bar, Dot, Kind, Reading, Spot, Stack
from reports.format import count, decimal, duration, iso, moment, money, money_column, one_line, share, share_interval
from reports.views.parts import Cell, Column, Figure, Table, figure
from reports.views.run_words import (
    deciding,
    gate_name,
    latency_limit,
    lead_variant,
    named,
    pass_rate_limit,
    per_thousand,
    status_of_gate,
)

DRAWN_VARIANTS = 12
"""Rows of a figure; the table beneath has them all."""
HISTOGRAMS = 4
EXTREMES = 5
LISTED_ROWS = 100
"""Of the lists that are open-ended: broken rows, open calls, scorers."""

_KINDS: tuple[tuple[str, str, Verdict], ...] = (
    ("Failed", "bad", "fail"),
    ("Flaky", "c3", "flaky"),
    ("Error", "c6", "error"),
    ("Passed", "n2", "pass"),
    ("Skipped", "n4", "skipped"),
)


_LOOKED_AT: tuple[Verdict, ...] = ("fail", "flaky", "error")


def main_figure(result: RunResult) -> Figure | None:
    """Pass rates with their intervals against the gate: the figure that carries the verdict."""
    judged = [variant for variant in result.variants if variant.pass_rate is not None]
    if not judged:
        return None
    limit = pass_rate_limit(result)
    variants = _by_rate(result)[:DRAWN_VARIANTS]
    rows = [_dot(result, variant, limit) for variant in variants]
    limit_text = f"gate {share(limit, trim=True)}" if limit is not None else ""
    told = "; ".join(
        f"{row.label} {row.value_text}" + (f" ({row.interval_text})" if row.interval_text else "") for row in rows
    )
    label = f"Pass rate per variant{', against the ' + limit_text if limit_text else ''}: {told}."
    table = Table(
        caption="Pass rate per variant",
        columns=(
            Column("variant", "Variant"),
            Column("pass_rate", "Pass rate", right=True),
            Column("low", "Low", right=True),
            Column("high", "High", right=True),
            Column("n", "Cases judged", right=True),
        ),
        rows=tuple(
            (
                Cell(one_line(variant.label, 80)),
                Cell(share(variant.pass_rate.value)),
                Cell(share(variant.pass_rate.low)),
                Cell(share(variant.pass_rate.high)),
                Cell(count(variant.pass_rate.n)),
            )
            for variant in _by_rate(result)
            if variant.pass_rate is not None
        ),
    )
    hollow = " A hollow dot: the interval reaches across the gate." if any(r.reading == "open" for r in rows) else ""
    confidence = judged[0].pass_rate.confidence if judged[0].pass_rate else 0.95
    return figure(
        "fig-pass-rate",
        _rate_finding(result, limit),
        f"Share of judged cases that passed, with its {confidence * 100:g}% Wilson interval.{hollow}",
        FULL,
        lambda width: charts.dot_plot(
            rows,
            width,
            label=label,
            heads=("Variant", "Cases", "Pass rate", f"{confidence * 100:g}% CI"),
            tick=lambda value: share(round(value, 6), trim=True),
            limit=limit,
            limit_text=limit_text,
        ),
        table=table,
        note=_beyond(len(result.variants), "variants"),
    )


def _by_rate(result: RunResult) -> list[VariantResult]:
    return sorted(result.variants, key=lambda variant: -(variant.pass_rate.value if variant.pass_rate else -1.0))


def _beyond(total: int, what: str) -> str:
    return f"{DRAWN_VARIANTS} of {count(total)} {what} are drawn; the data has all." if total > DRAWN_VARIANTS else ""


def _gate(result: RunResult, variant: str, name: str) -> GateResult | None:
    return next((gate for gate in result.gates if gate.variant == variant and gate.gate == name), None)


def _dot(result: RunResult, variant: VariantResult, limit: float | None) -> Dot:
    rate = variant.pass_rate
    name = named(variant)
    if rate is None:
        return Dot(label=name, value=None, value_text="unknown", reading_text="Nothing could be judged")
    reading, words = _against(result, variant, limit)
    return Dot(
        label=name,
        value=rate.value,
        low=rate.low,
        high=rate.high,
        value_text=share(rate.value),
        interval_text=share_interval(rate.low, rate.high),
        n_text=count(rate.n),
        reading=reading,
        reading_text=words,
    )


def _against(result: RunResult, variant: VariantResult, limit: float | None) -> tuple[Reading, str]:
    """How a pass rate reads against the gate: never more sure than its interval."""
    rate = variant.pass_rate
    gate = _gate(result, variant.label, "pass_rate")
    if rate is None or limit is None:
        return "plain", ""
    if gate is not None and gate.passed is None:
        return "open", "Cannot tell"
    if rate.low >= limit:
        return "good", "Above the gate"
    if rate.high < limit:
        return "bad", "Below the gate"
    return "open", "Above, not clearly" if rate.value >= limit else "Below, not clearly"


def _rate_finding(result: RunResult, limit: float | None) -> str:
    if not result.complete:
        # Half a run has no winner.
        return f"Pass rates so far: {count(result.cells_done)} of {count(result.cells_total, 'answer')}"
    best = _by_rate(result)[0]
    rate = best.pass_rate
    if rate is None:
        return "No pass rate could be measured"
    if len(result.variants) == 1:
        end = ""
        if limit is not None:
            end = f", {_against(result, best, limit)[1].lower()}".replace("not clearly", "but not clearly")
            end = end.replace("above,", "above the gate,").replace("below,", "below the gate,")
        return f"{share(rate.value)} of the judged cases pass{end}"
    if limit is not None:
        measured = [variant for variant in result.variants if variant.pass_rate is not None]
        gates = [_gate(result, variant.label, "pass_rate") for variant in measured]
        if open_ := sum(gate is not None and gate.passed is None for gate in gates):
            # A number above the limit is not enough where the whole interval has to clear it.
            held = sum(gate is not None and gate.passed is True for gate in gates)
            head = f"{count(held) if held else 'None'} of {count(len(measured), 'variant')}"
            clears = "clears" if held <= 1 else "clear"
            return f"{head} {clears} the {share(limit, trim=True)} gate; for {count(open_)} the data cannot tell"
        reach = sum(variant.pass_rate.value >= limit for variant in measured if variant.pass_rate)
        clear = sum(variant.pass_rate.low >= limit for variant in measured if variant.pass_rate)
        head = f"{count(reach)} of {count(len(measured), 'variant')} {'reaches' if reach == 1 else 'reach'} the gate"
        if not reach:
            return f"No variant reaches the {share(limit, trim=True)} gate"
        return f"{head}, {'none' if not clear else count(clear)} of them clearly" if clear < reach else head
    surely = "" if _clearly_best(best, result.variants) else ", not clearly more than the next"
    return f"{one_line(best.label, 50)} passes most: {share(rate.value)} of its cases{surely}"


def _clearly_best(best: VariantResult, variants: tuple[VariantResult, ...]) -> bool:
    """Whether its interval lies above those of all others."""
    others = [variant.pass_rate.high for variant in variants if variant is not best and variant.pass_rate is not None]
    return best.pass_rate is not None and all(best.pass_rate.low > high for high in others)


def verdict_figure(result: RunResult) -> Figure:
    """How every case of every variant ended."""
    kinds = [Kind(name=name, colour=colour) for name, colour, _ in _KINDS]
    rows = []
    for variant in result.variants[:DRAWN_VARIANTS]:
        counts = tuple(variant.verdicts.get(verdict, 0) for _, _, verdict in _KINDS)
        told = ", ".join(f"{count(n)} {kind.name.lower()}" for n, kind in zip(counts, kinds, strict=True) if n)
        rows.append(Stack(label=named(variant), counts=counts, text=told or "no case answered"))
    drawn = [kind for index, kind in enumerate(kinds) if any(row.counts[index] for row in rows)] or kinds
    kept = [index for index, kind in enumerate(kinds) if kind in drawn]
    slim = [Stack(label=row.label, counts=tuple(row.counts[i] for i in kept), text=row.text) for row in rows]
    label = "Cases by verdict: " + "; ".join(f"{row.label}: {row.text}" for row in rows) + "."
    failing = max(result.variants, key=lambda variant: variant.verdicts.get("fail", 0))
    failed = failing.verdicts.get("fail", 0)
    if not result.complete:
        title = "How cases ended so far"
    elif len(result.variants) == 1:
        title = f"{count(failed)} of {count(sum(failing.verdicts.values()), 'case')} failed"
    else:
        title = f"{named(failing, 50)} fails most: {count(failed, 'case')}" if failed else "No case failed"
    return figure(
        "fig-verdicts",
        title,
        f"Cases by verdict over {count(result.repeats, 'repeat')}. Flaky: the repeats disagree. Error: no answer came.",
        FULL,
        lambda width: charts.stacked_bars(slim, drawn, width, label=label),
        table=Table(
            caption="Cases by verdict",
            columns=(
                Column("variant", "Variant"),
                *(Column(verdict, name, right=True) for name, _, verdict in _KINDS),
            ),
            rows=tuple(
                (
                    Cell(one_line(variant.label, 80)),
                    *(Cell(count(variant.verdicts.get(verdict, 0))) for _, _, verdict in _KINDS),
                )
                for variant in result.variants
            ),
        ),
        note=_beyond(len(result.variants), "variants"),
    )


def variants_table(result: RunResult) -> Table:
    """Quality of the variants side by side."""
    k = max((max(variant.pass_at, default=1) for variant in result.variants), default=1)
    several = k > 1
    columns = [
        Column("variant", "Variant"),
        Column("pass_rate", "Pass rate", right=True),
        Column("interval", "95% CI", right=True),
        Column("judged", "Judged", right=True),
        Column("failed", "Failed", right=True),
        Column("flaky", "Flaky", right=True),
        Column("errors", "Errors", right=True),
    ]
    if several:
        columns += [
            Column("pass_at_1", "pass@1", right=True),
            Column("pass_at_k", f"pass@{k}", right=True),
            Column("pass_hat_k", f"pass^{k}", right=True),
        ]
    columns.append(Column("score", "Mean score", right=True))
    rows = []
    for variant in result.variants:
        rate = variant.pass_rate
        cells = [
            Cell(one_line(variant.label, 80), note=_what(variant)),
            Cell(share(rate.value if rate else None, unknown="unknown")),
            Cell(share_interval(rate.low, rate.high) if rate else "–"),
            Cell(count(rate.n) if rate else "0"),
            *(Cell(count(variant.verdicts.get(verdict, 0))) for verdict in _LOOKED_AT),
        ]
        if several:
            cells += [
                Cell(share(variant.pass_at.get(1))),
                Cell(share(variant.pass_at.get(k))),
                Cell(share(variant.pass_hat.get(k))),
            ]
        cells.append(Cell(decimal(variant.score) if variant.score is not None else "unscored"))
        rows.append(tuple(cells))
    note = ""
    if several:
        note = f"pass@{k}: the chance that at least one of {k} answers passes. pass^{k}: that all {k} do."
    return Table(caption="Quality", columns=tuple(columns), rows=tuple(rows), note=note)


def _what(variant: VariantResult) -> str:
    parts = [variant.model, variant.prompt]
    parts += [f"{name} {value}" for name, value in sorted(variant.parameters.items())[:4]]
    if variant.simulated:
        parts.append("SIMULATED")
    if not variant.gating:
        parts.append("candidate: does not decide the run")
    return one_line(" · ".join(part for part in parts if part), 160)


def spending_table(result: RunResult) -> Table:
    """Cost, latency and tokens of the variants side by side."""
    rows = []
    costs = money_column([variant.cost_usd for variant in result.variants])
    thousands = money_column([per_thousand(variant) for variant in result.variants])
    for variant, cost, thousand in zip(result.variants, costs, thousands, strict=True):
        latency = variant.latency
        unpriced = variant.unpriced >= variant.answers > 0
        usage = variant.usage
        told = f"{count(usage.reasoning_tokens)} of it thinking" if usage.reasoning_tokens else ""
        cached_tokens = usage.cached_tokens + usage.cache_write_tokens
        read = usage.input_tokens + cached_tokens
        rows.append(
            (
                Cell(one_line(variant.label, 80)),
                Cell("unpriced" if unpriced else cost,
                     note=f"{count(variant.unpriced)} unpriced" if variant.unpriced and not unpriced else ""),
                Cell("unpriced" if unpriced else thousand),
                Cell(duration(latency.p50 if latency else None)),
                Cell(duration(latency.p95 if latency else None)),
                Cell(duration(latency.p99 if latency else None)),
                Cell(count(read), note=f"{count(cached_tokens)} cached" if cached_tokens else ""),
                Cell(count(usage.output_tokens + usage.reasoning_tokens), note=told),
                Cell(count(variant.cached), note=f"saved {money(variant.saved_usd)}" if variant.cached else ""),
                Cell(count(variant.retried)),
            )
        )  # fmt: skip
    return Table(
        caption="Cost, latency and tokens",
        columns=(
            Column("variant", "Variant"),
            Column("cost_usd", "Cost", right=True),
            Column("per_thousand_usd", "Per 1,000", right=True),
            Column("p50", "p50", right=True),
            Column("p95", "p95", right=True),
            Column("p99", "p99", right=True),
            Column("tokens_in", "Tokens in", right=True),
            Column("tokens_out", "Tokens out", right=True),
            Column("cached", "From cache", right=True),
            Column("retried", "Retried", right=True),
        ),
        rows=tuple(rows),
        note="Per 1,000: cost of a thousand answers, over those that came, were called for and priced.",
    )


def trade_off(result: RunResult) -> Figure | None:
    """Cost against quality, when there are at least three variants to choose from."""
    points = [
        Point(name=v.label, cost=None if v.unpriced else per_thousand(v), quality=v.pass_rate) for v in result.variants
    ]
    spots = []
    for each in placed(points):
        thousand, rate = each.point.cost, each.point.quality
        if thousand is None or rate is None:
            continue
        spots.append(
            Spot(
                label=one_line(each.point.name, 80), x=float(thousand), y=rate.value, low=rate.low, high=rate.high,
                x_text=money(thousand), y_text=f"{share(rate.value)} ({share_interval(rate.low, rate.high)})",
                best=each.standing == "frontier",
            )
        )  # fmt: skip
    if len(spots) < 3 or not any(spot.x for spot in spots):
        return None
    best = sorted((spot for spot in spots if spot.best), key=lambda spot: spot.x)
    cheap, dear = best[0], best[-1]
    surely = "" if all(dear.low > spot.high for spot in spots if spot is not dear) else " (not clearly)"
    if not result.complete:
        title = "Cost and quality so far"
    elif cheap is dear:
        title = f"{one_line(cheap.label, 40)} is the cheapest, and none passes more"
    else:
        title = (
            f"{one_line(dear.label, 40)} passes most{surely}, {one_line(cheap.label, 40)} costs least: "
            f"{dear.x_text} against {cheap.x_text}"
        )
    told = "; ".join(f"{spot.label}: {spot.x_text}, {spot.y_text}" for spot in spots)
    left = len(result.variants) - len(spots)
    notes = [f"{count(left, 'variant')} left out: unpriced or not judged."] if left else []
    if len(spots) > charts.NAMED_SPOTS:
        notes.append("Only the variants in colour are named here; the data names all.")
    return figure(
        "fig-trade-off",
        title,
        "Pass rate and cost per 1,000 answers. In colour: no other variant is both cheaper and better. "
        "Upright lines are 95% Wilson intervals.",
        FULL,
        lambda width: charts.scatter(
            spots, width, label=f"Pass rate against cost per 1,000 answers. {told}.", x_name="Cost per 1,000 answers",
            y_name="Pass rate", x_tick=lambda value: money(value, trim=True),
            y_tick=lambda value: share(round(value, 6), trim=True),
        ),
        table=Table(
            caption="Cost and quality",
            columns=(Column("variant", "Variant"), Column("cost", "Cost per 1,000 answers", right=True),
                     Column("pass_rate", "Pass rate", right=True), Column("frontier", "On the frontier", right=True)),
            rows=tuple((Cell(s.label), Cell(s.x_text), Cell(s.y_text), Cell("yes" if s.best else "no")) for s in spots),
        ),
        note=" ".join(notes),
    )  # fmt: skip


def cost_figure(result: RunResult) -> Figure | None:
    """Cost per thousand answers; nothing to compare for one variant or when nothing is priced."""
    priced = [(variant, per_thousand(variant)) for variant in result.variants]
    known = [cost for _, cost in priced if cost is not None]
    if len(priced) < 2 or not known:
        return None
    priced.sort(key=lambda pair: -(pair[1] if pair[1] is not None else Decimal(-1)))
    rows = [
        Bar(
            label=one_line(variant.label, 80), value=float(cost) if cost is not None else None,
            text=money(cost, unknown="unpriced" if variant.unpriced else "nothing called"), driver=index == 0,
        )
        for index, (variant, cost) in enumerate(priced[:DRAWN_VARIANTS])
    ]  # fmt: skip
    dear, cheap = priced[0], next(pair for pair in reversed(priced) if pair[1] is not None)
    if dear[1] and cheap[1] and dear[0] is not cheap[0]:
        times = f"{dear[1] / cheap[1]:.1f} times"
        title = f"{one_line(dear[0].label, 40)} costs {times} what {one_line(cheap[0].label, 40)} costs"
    else:
        title = "Cost per 1,000 answers"
    unpriced = sum(variant.unpriced for variant in result.variants)
    return figure(
        "fig-cost",
        title,
        "US dollars per 1,000 answers that were called for and priced.",
        HALF,
        lambda width: charts.bars(
            rows, width, value_name="Per 1,000 answers",
            label="Cost per 1,000 answers: " + "; ".join(f"{row.label} {row.text}" for row in rows) + ".",
        ),
        table=Table(
            caption="Cost per variant",
            columns=(Column("variant", "Variant"), Column("cost", "Per 1,000 answers", right=True),
                     Column("total", "In this run", right=True), Column("unpriced", "Unpriced answers", right=True)),
            rows=tuple((Cell(one_line(v.label, 80)), Cell(money(cost, unknown="unknown")), Cell(money(v.cost_usd)),
                        Cell(count(v.unpriced))) for v, cost in priced),
        ),
        note=f"{count(unpriced, 'answer')} without a known price left out." if unpriced else "",
    )  # fmt: skip


def latency_figures(result: RunResult) -> tuple[Figure, ...]:
    """A histogram for the variant that decides and the next ones, four at most."""
    lead = lead_variant(result)
    ordered = sorted(result.variants, key=lambda variant: (variant is not lead, not variant.gating))
    timed = [variant for variant in ordered if variant.latency is not None][:HISTOGRAMS]
    return tuple(_histogram(result, variant, index) for index, variant in enumerate(timed, 1))


def _histogram(result: RunResult, variant: VariantResult, index: int) -> Figure:
    latency = variant.latency
    assert latency is not None
    name = one_line(variant.label, 40)
    lines = (("p50", latency.p50), ("p95", latency.p95), ("p99", latency.p99))
    limit = latency_limit(result, variant.label)
    words = f"p95 limit {_edge(limit)}" if limit is not None else ""
    label = f"Latency of {name}, {count(latency.n, 'answer')}: " + ", ".join(
        f"{mark} {duration(value)}" for mark, value in lines
    )
    few = " Too few for a stable p95." if latency.n < 100 else ""
    return figure(
        f"fig-latency-{index}",
        f"{name}: half of the answers within {duration(latency.p50)}, 95% within {duration(latency.p95)}",
        f"Model latency, {count(latency.n, 'answer')}, mean {duration(latency.mean)}. Waiting in queues, retries and "
        f"cached answers are left out.{few}",
        HALF,
        lambda width: charts.histogram(
            latency.edges, latency.counts, width, label=label + ".", tick=_edge, lines=lines, counted="Answers",
            limit=limit, limit_text=words,
        ),
        table=Table(
            caption=f"Latency of {name}",
            columns=(Column("from", "From"), Column("to", "To", right=True), Column("answers", "Answers", right=True)),
            rows=tuple(
                (
                    Cell(duration(start)),
                    Cell("and more" if place == len(latency.counts) else duration(latency.edges[place])),
                    Cell(count(number)),
                )
                for place, (start, number) in enumerate(zip(latency.edges, latency.counts, strict=False), 1)
                if number
            ),
        ),
    )  # fmt: skip


def _edge(milliseconds: float) -> str:
    """An edge of a bin without the zeros that a measured time keeps: "2 s", "1.5 s"."""
    return re.sub(r"(\.\d*?)0+ s$", r"\1 s", duration(milliseconds)).replace(". s", " s")


def extremes(result: RunResult, anchors: dict[str, str]) -> tuple[Table, ...]:
    """The slowest and the dearest answers among the cases that came along."""
    answers = [(case, answer) for case in result.cases for answer in case.answers]
    slow = [pair for pair in answers if pair[1].latency_ms is not None and not pair[1].from_cache]
    dear = [pair for pair in answers if pair[1].cost_usd]
    slow.sort(key=lambda pair: -(pair[1].latency_ms or 0.0))
    dear.sort(key=lambda pair: -(pair[1].cost_usd or Decimal(0)))
    some = f"Among the first {count(len(result.cases), 'row')} below." if result.cases_left_out else ""

    def listed(caption: str, head: str, pairs: list[tuple[CaseResult, AnswerResult]], texts: list[str]) -> Table:
        return Table(
            caption=caption,
            columns=(Column("case", "Case"), Column("variant", "Variant"), Column("value", head, right=True),
                     Column("tokens_out", "Tokens out", right=True)),
            rows=tuple(
                (
                    Cell(one_line(case.case_id, 60), link=anchors.get(case.case_id, ""),
                         note=f"repeat {answer.repeat + 1}" if result.repeats > 1 else ""),
                    Cell(one_line(case.variant, 60)),
                    Cell(text),
                    Cell(count(answer.usage.output_tokens + answer.usage.reasoning_tokens)),
                )
                for (case, answer), text in zip(pairs[:EXTREMES], texts, strict=True)
            ),
            note=some,
        )  # fmt: skip

    tables = []
    if slow:
        tables.append(listed("Slowest answers", "Latency", slow, [duration(a.latency_ms) for _, a in slow[:EXTREMES]]))
    if dear:
        tables.append(listed("Dearest answers", "Cost", dear, money_column([a.cost_usd for _, a in dear[:EXTREMES]])))
    return tuple(tables)


def gates_tables(result: RunResult) -> tuple[Table, ...]:
    """The gates that make the verdict; those of candidates apart."""
    decisive = {variant.label for variant in deciding(result)}
    first = _gates_table("Gates, declared before the run",
                         [gate for gate in result.gates if gate.variant in decisive],
                         "The suite declares no gate: nothing could fail this run but errors.")  # fmt: skip
    others = [gate for gate in result.gates if gate.variant not in decisive]
    return (first, _gates_table("Gates of candidates, not deciding", others)) if others else (first,)


def _gates_table(caption: str, gates: list[GateResult], empty: str = "") -> Table:
    return Table(
        caption=caption,
        columns=(
            Column("gate", "Gate"),
            Column("variant", "Variant"),
            Column("result", "Result"),
            Column("limit", "Limit"),
            Column("why", "Measured", wide=True),
        ),
        rows=tuple(
            (
                Cell(gate_name(gate.gate)),
                Cell(one_line(gate.variant, 80)),
                Cell("", status=status_of_gate(gate)),
                Cell(one_line(gate.limit, 60)),
                Cell(one_line(f"{gate.why[:1].upper()}{gate.why[1:]}", 200)),
            )
            for gate in sorted(gates, key=lambda gate: {False: 0, None: 1, True: 2}[gate.passed])
        ),
        empty=empty,
    )


def scorers_table(result: RunResult) -> Table:
    """Every scorer over every variant, the one that failed most first."""
    rows = [(scorer, variant) for variant in result.variants for scorer in variant.scorers]
    failed_by: dict[str, int] = {}
    for scorer, _ in rows:
        failed_by[scorer.scorer] = failed_by.get(scorer.scorer, 0) + scorer.failed
    rows.sort(key=lambda row: -failed_by[row[0].scorer])
    many = len(rows) > LISTED_ROWS
    return Table(
        caption="Scorers, the one that failed most first",
        columns=(
            Column("scorer", "Scorer"),
            Column("variant", "Variant"),
            Column("severity", "Severity"),
            Column("weight", "Weight", right=True),
            Column("threshold", "Passes from", right=True),
            Column("passed", "Passed", right=True),
            Column("failed", "Failed", right=True),
            Column("unscored", "Unscored", right=True),
            Column("mean", "Mean", right=True),
        ),
        rows=tuple(
            (
                Cell(one_line(scorer.scorer, 60)),
                Cell(one_line(variant.label, 60)),
                Cell(scorer.severity),
                Cell(f"{scorer.weight:g}"),
                Cell(f"{scorer.threshold:g}"),
                Cell(count(scorer.passed)),
                Cell(count(scorer.failed)),
                Cell(count(scorer.unscored)),
                Cell(decimal(scorer.mean) if scorer.mean is not None else "unscored"),
            )
            for scorer, variant in rows[:LISTED_ROWS]
        ),
        note=f"First {LISTED_ROWS} of {count(len(rows))}; all in report.json." if many else "",
        empty="No answer was scored.",
    )


def in_flight_table(result: RunResult) -> Table | None:
    if not result.in_flight:
        return None
    return Table(
        caption="Calls that were open when their owner died",
        columns=(
            Column("case", "Case"),
            Column("variant", "Variant"),
            Column("repeat", "Repeat", right=True),
            Column("opened", "Opened"),
            Column("possible_cost", "Possible cost", right=True),
            Column("resolution", "What was done"),
        ),
        rows=tuple(
            (
                Cell(one_line(call.case_id, 60)),
                Cell(one_line(call.variant, 60)),
                Cell(str(call.repeat + 1)),
                Cell(iso(call.opened_at)),
                Cell(money(call.possible_cost_usd, unknown="unknown")),
                Cell(one_line(call.resolution, 80)),
            )
            for call in result.in_flight[:LISTED_ROWS]
        ),
        note="The provider may have billed them; whether it did cannot be known from here."
        + _first_of(len(result.in_flight)),
    )


def providers_table(result: RunResult) -> Table | None:
    """The limits that calls met; nothing where there were none."""
    met = [each for each in result.providers if each.rate_limited or each.retries or each.breaker_openings]
    if not met:
        return None
    return Table(
        caption="Limits and failures that calls met at their providers",
        columns=(
            Column("model", "Model"),
            Column("attempts", "Attempts", right=True),
            Column("retries", "Retries", right=True),
            Column("refused", "Refused as too many", right=True),
            Column("openings", "Circuit opened", right=True),
            Column("waited", "Waited, all calls", right=True),
            Column("advice", "What might help"),
        ),
        rows=tuple(
            (
                Cell(one_line(each.label, 60)),
                Cell(count(each.attempts)),
                Cell(count(each.retries)),
                Cell(count(each.rate_limited)),
                Cell(count(each.breaker_openings)),
                Cell(duration(each.waited_ms)),
                Cell(one_line(each.advice, 300)),
            )
            for each in met
        ),
        note="Waiting is in no latency; a call that was tried again and answered counts as answered.",
    )


def quarantined_table(result: RunResult) -> Table | None:
    if not result.quarantined:
        return None
    return Table(
        caption="Rows of the dataset that broke its contract and were not run",
        columns=(Column("line", "Line"), Column("case", "Case"), Column("reason", "Why", wide=True)),
        rows=tuple(
            (
                Cell(count(row.line), row.line),
                Cell(one_line(row.case_id or "no id", 80)),
                Cell(one_line(row.reason, 300)),
            )
            for row in result.quarantined[:LISTED_ROWS]
        ),
        note=_first_of(len(result.quarantined)).strip(),
    )


def _first_of(total: int) -> str:
    return f" First {LISTED_ROWS} of {count(total)}; all in report.json." if total > LISTED_ROWS else ""


def provenance(result: RunResult) -> tuple[tuple[str, str], ...]:
    """Where every number came from, as names and values."""
    source = result.provenance
    prompts = ", ".join(f"{name} ({digest[:12]})" for name, digest in sorted(source.prompts.items()))
    models = []
    for variant in result.variants:
        names = ", ".join(
            f"{one_line(name, 80)} ×{count(number)}" for name, number in sorted(variant.models_returned.items())
        )
        models.append(
            f"{one_line(variant.label, 60)} asked {one_line(variant.model, 80)}, got {names or 'no name back'}"
        )
    rows = [
        ("Run", result.run_id),
        ("Suite", f"{one_line(result.suite, 120)} ({source.suite_hash[:12]})"),
        (
            "Dataset",
            f"{one_line(source.dataset, 120)} ({source.dataset_hash[:12]}), {count(result.cases_total, 'case')}",
        ),
        ("Prompts", prompts or "none"),
        ("Models", "; ".join(models) or "none"),
        (
            "Prices of",
            source.price_date
            or ("no price row was used; costs came with the answers" if result.cost_usd else "nothing was priced"),
        ),
        ("Started, finished", f"{moment(result.started_at)}; {moment(result.finished_at)}"),
        ("Repeats, seed", f"{count(result.repeats, 'repeat')}, seed {source.seed}"),
        ("Code", f"Assay {source.code_version} on {source.platform}"),
        ("Run by", result.actor),
    ]
    if result.rescored_from:
        rows.insert(1, ("Rescored from", result.rescored_from))
    return tuple((name, one_line(value, 900)) for name, value in rows)
