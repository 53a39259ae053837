"""What changed since the last run: a sentence of counts, then what each variant measured, then the cases."""

from dataclasses import dataclass

from evaluations.changes import CaseChange, ChangeKind, Measured, RunChanges, VariantChange, causes_of, sentence_of
from evaluations.results import RunResult
from evaluations.verdicts import Verdict
from reports.format import count, duration, moment, money, one_line, share
from reports.views.parts import Cell, Column, Status, Table
from reports.views.run_words import VERDICT_STATUS

SHOWN_CHANGES = 200
CHANGE_STATUS: dict[ChangeKind, Status] = {
    "newly failing": Status("Newly failing", "bad", "cross"),
    "fixed": Status("Fixed", "good", "check"),
    "still failing": Status("Still failing", "bad", "cross"),
    "not comparable": Status("Cannot compare", "warn", "wave"),
    "new case": Status("New case", "plain", "dash"),
    "case gone": Status("Case gone", "plain", "dash"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SinceView:
    sentence: str
    about: str
    """With what was compared, and what is not the same."""
    variants: Table | None
    cases: Table | None


def since_view(result: RunResult, anchors: dict[str, str]) -> SinceView | None:
    """None where there is nothing to compare with. `anchors` are the places of the cases on the page."""
    changes = result.since_last
    if changes is None:
        return None
    cases = [change for change in changes.cases if change.kind != "still failing"]
    several = " A case counts once for each variant." if len(changes.variants) > 1 else ""
    return SinceView(
        sentence=one_line(sentence_of(changes), 300),
        about=f"Compared with run {one_line(changes.baseline_id, 60)} of {moment(changes.baseline_at)}. "
        f"{one_line(causes_of(changes), 600)}{several} A change may be chance: no interval was computed.",
        variants=_variants(changes) if changes.variants else None,
        cases=_cases(changes, cases, anchors) if cases else None,
    )


def _variants(changes: RunChanges) -> Table:
    return Table(
        caption="Measured then and now",
        columns=(
            Column("variant", "Variant"),
            Column("passed_before", "Passed then", right=True),
            Column("passed_now", "Passed now", right=True),
            Column("cost_before_usd", "Cost then", right=True),
            Column("cost_now_usd", "Cost now", right=True),
            Column("latency_before", "p50, p95 then", right=True),
            Column("latency_now", "p50, p95 now", right=True),
            Column("differs", "Not the same", wide=True),
        ),
        rows=tuple(_variant(change) for change in changes.variants),
    )


def _variant(change: VariantChange) -> tuple[Cell, ...]:
    before, now = change.before, change.now
    return (
        Cell(one_line(change.variant, 80)),
        *(_passed(each) for each in (before, now)),
        *(_cost(each) for each in (before, now)),
        *(_latency(each) for each in (before, now)),
        Cell(", ".join(change.differs) or "nothing"),
    )


def _passed(measured: Measured) -> Cell:
    if not measured.judged:
        return Cell("nothing judged")
    rate = measured.passed / measured.judged
    return Cell(f"{count(measured.passed)} of {count(measured.judged)}", rate, note=share(rate))


def _cost(measured: Measured) -> Cell:
    """What was not paid for now is said: a cheap run of cached answers is no saving of the variant."""
    aside = [f"{count(measured.cached)} from the cache"] if measured.cached else []
    if measured.unpriced:
        aside.append(f"{count(measured.unpriced)} unpriced")
    unknown = measured.answers > 0 and measured.unpriced >= measured.answers
    text = "unpriced" if unknown else money(measured.cost_usd)
    return Cell(text, None if unknown else float(measured.cost_usd), note=", ".join(aside))


def _latency(measured: Measured) -> Cell:
    if measured.p50_ms is None or measured.p95_ms is None:
        return Cell("not measured")
    return Cell(f"{duration(measured.p50_ms)}, {duration(measured.p95_ms)}", measured.p95_ms)


def _cases(changes: RunChanges, cases: list[CaseChange], anchors: dict[str, str]) -> Table:
    shown = cases[:SHOWN_CHANGES]
    total = sum(sum(variant.kinds.values()) for variant in changes.variants) - changes.total("still failing")
    note = "What still fails is under What failed." if changes.total("still failing") else ""
    if len(shown) < total:
        note = f"First {count(len(shown))} of {count(total)}; more in report.json. {note}".rstrip()
    return Table(
        caption="Cases that changed",
        columns=(
            Column("case", "Case"),
            Column("variant", "Variant"),
            Column("change", "Change"),
            Column("before", "Then"),
            Column("now", "Now"),
        ),
        rows=tuple(_case(change, anchors) for change in shown),
        note=note,
    )


def _case(change: CaseChange, anchors: dict[str, str]) -> tuple[Cell, ...]:
    place = anchors.get(change.case_id, "") if change.now not in (None, "pass") else ""
    return (
        Cell(one_line(change.case_id, 80), link=place, note="edited since" if change.edited else ""),
        Cell(one_line(change.variant, 60)),
        Cell("", status=CHANGE_STATUS[change.kind]),
        _verdict(change.before),
        _verdict(change.now),
    )


def _verdict(verdict: Verdict | None) -> Cell:
    return Cell("–") if verdict is None else Cell("", status=VERDICT_STATUS[verdict])
