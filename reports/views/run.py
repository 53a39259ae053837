"""The report of one run: every word on the page, decided from the run's result."""

from dataclasses import dataclass

from evaluations.results import RunResult
from reports.format import count, moment, one_line
from reports.page import SCHEMA_VERSION
from reports.views import run_tables, run_words
from reports.views.parts import Figure, Page, Table
from reports.views.run_cases import CasesView, cases_view
from reports.views.run_since import SinceView, since_view

TEMPLATE = "run.html.j2"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """All that `run.html.j2` places. None and empty parts are left out, with their heading."""

    page: Page
    main: Figure | None
    cases: CasesView
    since: SinceView | None
    verdicts: Figure | None
    variants: Table | None
    trade_off: Figure | None
    spending: tuple[Figure, ...]
    spending_table: Table | None
    extremes: tuple[Table, ...]
    gates: tuple[Table, ...]
    scorers: Table
    caveats: tuple[str, ...]
    in_flight: Table | None
    providers: Table | None
    quarantined: Table | None
    provenance: tuple[tuple[str, str], ...]
    method: tuple[str, ...]


def run_view(result: RunResult) -> RunView:
    """Decides every word, number and order of a run's report. Pure: the same result gives the same view."""
    cases = cases_view(result)
    caveats = (*run_words.risks(result), *run_words.of_candidates(result))
    since = since_view(result, cases.anchors)
    answered = any(variant.answers for variant in result.variants)
    needs_look = bool(cases.groups or cases.errors)
    cost = run_tables.cost_figure(result)
    figures = ((cost,) if cost else ()) + run_tables.latency_figures(result)
    in_flight = run_tables.in_flight_table(result)
    providers = run_tables.providers_table(result)
    quarantined = run_tables.quarantined_table(result)
    contents = [
        ("verdict", "Verdict"),
        *((("failed", "What failed"),) if needs_look else ()),
        *((("since", "Since the last run"),) if since else ()),
        *((("variants", "Variants"),) if answered else ()),
        *((("spending", "Cost and latency"),) if answered else ()),
        ("gates", "Gates and scorers"),
        *((("caveats", "Keep in mind"),) if caveats or in_flight or providers or quarantined else ()),
        ("cases", "All cases"),
        ("provenance", "Provenance"),
        ("method", "Method"),
    ]
    page = Page(
        kind="Run report",
        subject=one_line(result.suite, 80),
        title=_title(result),
        about=_about(result),
        marks=run_words.marks(result),
        banners=run_words.banners(result),
        verdict=run_words.headline(result),
        facts=run_words.facts(result, failed_id="failed" if needs_look else None),
        kpis=run_words.kpis(result),
        contents=tuple(contents),
        as_of=moment(result.as_of),
        schema=str(SCHEMA_VERSION),
        files=("report.json", "cases.csv", "junit.xml", "comment.md"),
    )
    return RunView(
        page=page,
        main=run_tables.main_figure(result),
        cases=cases,
        since=since,
        verdicts=run_tables.verdict_figure(result) if answered else None,
        variants=run_tables.variants_table(result) if answered else None,
        trade_off=run_tables.trade_off(result),
        spending=figures,
        spending_table=run_tables.spending_table(result) if answered else None,
        extremes=run_tables.extremes(result, cases.anchors),
        gates=run_tables.gates_tables(result),
        scorers=run_tables.scorers_table(result),
        caveats=caveats,
        in_flight=in_flight,
        providers=providers,
        quarantined=quarantined,
        provenance=run_tables.provenance(result),
        method=_method(result),
    )


def _title(result: RunResult) -> str:
    words = result.description or f"Suite {result.suite}"
    return one_line(words, 140)


def _about(result: RunResult) -> str:
    """When, how much, from where: one line under the title."""
    parts = [
        f"{count(result.cases_total, 'case')}",
        f"{count(len(result.variants), 'variant')}",
        f"{count(result.repeats, 'repeat')}",
    ]
    return (
        f"{' × '.join(parts)}, dataset {one_line(result.dataset, 80)}. Finished {moment(result.finished_at)}. "
        f"Run {one_line(result.run_id, 60)}."
    )


def _method(result: RunResult) -> tuple[str, ...]:
    words = [
        "The pass rate is passed / (passed + failed + flaky) over cases, with its Wilson score interval (Wilson 1927). "
        "Its n is cases, never repeats: answers to one case are not independent.",
        "A case is flaky when the Wilson interval of its repeats reaches across the threshold, so that neither pass "
        "nor fail is sure. A failed blocker or major scorer fails its case, and blockers have a gate of their own; a "
        "minor one lowers the score.",
        "pass@k and pass^k are the unbiased estimators: the chance that at least one, or that all, of k answers drawn "
        "without replacement pass (Chen et al. 2021).",
        "Errors and skipped cases are counted apart and are in no pass rate; cached and failed calls are in no "
        "latency. A scorer that could not tell leaves an answer unscored; it is never a zero.",
        "Cost is all the money of the run, at the dated prices named above: answers, judges, retries and calls that "
        "were made again. A variant's own cost is that of its answers. What has no price is counted as unpriced and "
        "never as free.",
    ]
    if result.cases_left_out:
        words.append("Totals are over all cases; the page lists what failed first and stops at its limit.")
    return tuple(words)
