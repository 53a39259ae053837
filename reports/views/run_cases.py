"""The cases of a run: what needs a look with input, expectation, answers and reasons, and one row for every case."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from evaluations.results import AnswerResult, CaseResult, RunResult
from evaluations.verdicts import VERDICTS, Severity, Verdict
from reports.format import count, decimal, duration, money, money_column, one_line, plain, visible
from reports.views.parts import Cell, Column, Quote, Status, Table
from reports.views.run_words import ERROR_NAMES, VERDICT_STATUS, named

SHORT_CHARS = 60
"""A text of one line that stands beside its label."""
SHOWN_CHARS = 600
"""Of a text at first sight."""
KEPT_CHARS = 4_000
"""Of a text on the page at all; the whole is in the JSON and CSV twins."""
DETAIL_CHARS = 200_000
"""Of all cards together, so that a page stays under a megabyte whatever the models said."""
OPEN_CARDS = 3
SHOWN_ANSWERS = 10
"""Different answers of one variant to one case."""
ERROR_ROWS = 60

_ENDED: tuple[tuple[Verdict, str], ...] = (
    ("pass", "passed"),
    ("fail", "failed"),
    ("flaky", "flaky"),
    ("error", "with errors"),
    ("skipped", "skipped"),
)
# Verdict, and whether a variant that decides ended so. Errors come last: a call that brought no answer leaves little to
# read, and its case may have failed on another variant.
_GROUPS: tuple[tuple[Verdict, bool], ...] = (
    ("fail", True), ("flaky", True), ("fail", False), ("flaky", False), ("error", True), ("error", False)
)  # fmt: skip
_GRAVITY: dict[Severity | None, int] = {"blocker": 0, "major": 1, "minor": 2, None: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonView:
    scorer: str
    why: str
    status: Status
    severity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    title: str
    status: Status
    facts: tuple[str, ...]
    quote: Quote
    reasons: tuple[ReasonView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeView:
    """How one variant did, in the head of a card."""

    variant: str
    status: Status
    candidate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantBlock:
    variant: str
    candidate: bool
    """Shown, and not deciding."""
    status: Status
    reason: str
    answers: tuple[AnswerView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One case that needs a look, over all variants."""

    id: str
    title: str
    """What the case is about; empty when nobody said, and its id has to do."""
    case: str
    outcomes: tuple[OutcomeView, ...]
    summary: str
    about: str
    inputs: tuple[Quote, ...]
    expected: Quote
    blocks: tuple[VariantBlock, ...]
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    title: str
    about: str
    cards: tuple[Card, ...]
    left_out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesView:
    groups: tuple[Group, ...]
    """Failed, then flaky: apart, for they want other remedies. What only candidates got wrong comes after."""
    errors: Table | None
    table: Table
    lede: str
    cut: str
    """What the table leaves out, e.g. "first 1,000 of 12,300; all in cases.csv"."""
    picks: tuple[tuple[str, int, tuple[str, ...]], ...]
    """Filters: label, column, choices."""
    anchors: dict[str, str]
    """Case id -> id of its card."""


def cases_view(result: RunResult) -> CasesView:
    """Every case that came along, failures first, each case once over its variants, those that decide first."""
    several = len(result.variants) > 1
    deciding = [variant.label for variant in result.variants if variant.gating]
    anchors: dict[str, str] = {}
    budget = [DETAIL_CHARS]
    groups = []
    for outcome in needing_a_look(result):
        if outcome.verdict != "error":
            title, about = _heading(outcome, deciding, several=several, alone=len(deciding) == len(result.variants))
            groups.append(_group(title, about, outcome, anchors, budget, set(deciding), several=several))
    return CasesView(
        groups=tuple(groups),
        errors=_errors(result),
        table=_table(result, anchors),
        lede=_lede(result),
        cut=_cut(result),
        picks=_picks(result),
        anchors=anchors,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Cases that ended alike: each over all its variants, those that decide first; the gravest case first."""

    verdict: Verdict
    decides: bool
    """Some variant that decides ended so; else candidates alone did."""
    cases: tuple[tuple[CaseResult, ...], ...]


def needing_a_look(result: RunResult) -> tuple[Ended, ...]:
    """The cases that did not pass everywhere, each in one group: what failed first, and what only candidates got
    wrong after what decides."""
    order = {variant.label: index for index, variant in enumerate(result.variants)}
    # Where nothing decides, nothing is set apart as not deciding.
    deciding = {variant.label for variant in result.variants if variant.gating} or set(order)
    by_case: dict[str, list[CaseResult]] = {}
    for case in result.cases:
        by_case.setdefault(case.case_id, []).append(case)
    for seen in by_case.values():
        seen.sort(key=lambda case: (case.variant not in deciding, order.get(case.variant, len(order))))
    found: list[Ended] = []
    placed: set[str] = set()
    for verdict, decides in _GROUPS:
        members: list[tuple[int, tuple[CaseResult, ...]]] = []
        for case_id, seen in by_case.items():
            guilty = [case for case in seen if case.verdict == verdict and (case.variant in deciding) == decides]
            if guilty and case_id not in placed:
                placed.add(case_id)
                members.append((min(_GRAVITY[case.failed_severity] for case in guilty), tuple(seen)))
        members.sort(key=lambda member: member[0])
        if members:
            cases = tuple(seen for _, seen in members)
            found.append(Ended(verdict=verdict, decides=decides, cases=cases))
    return tuple(found)


def _heading(outcome: Ended, deciding: list[str], *, several: bool, alone: bool) -> tuple[str, str]:
    """Title and a line under it. `alone`: every variant decides."""
    how = "failed" if outcome.verdict == "fail" else "flaky"
    many = count(len(outcome.cases), "case")
    about = (
        ["They passed some repeats and not others, so that neither pass nor fail is sure."] if how == "flaky" else []
    )
    if not outcome.decides:
        return f"{many} {how} on candidates only", " ".join(
            ["Candidates are shown beside the run and do not decide it.", *about]
        )
    if how == "failed":
        about.append("Blockers first.")
        if several:
            about.append("A case stands here once, with every variant that was given it.")
    where = ""
    if several and not alone and deciding:
        where = f" on {one_line(deciding[0], 40)}" if len(deciding) == 1 else " on a variant that decides"
    elif several:
        where = " on at least one variant"
    return f"{many} {how}{where}", " ".join(about)


def _group(
    title: str,
    about: str,
    outcome: Ended,
    anchors: dict[str, str],
    budget: list[int],
    deciding: set[str],
    *,
    several: bool,
) -> Group:
    cards: list[Card] = []
    for seen in outcome.cases:
        is_open = outcome.decides and len(anchors) < OPEN_CARDS
        card, size = _card(seen, outcome, f"case-{len(anchors) + 1}", deciding, is_open=is_open, several=several)
        if cards and budget[0] < size:
            break
        budget[0] -= size
        cards.append(card)
        anchors[seen[0].case_id] = card.id
    missing = len(outcome.cases) - len(cards)
    left_out = f"{count(len(cards))} of {count(len(outcome.cases))} in full; the rest is in the table below and in "
    return Group(title=title, about=about, cards=tuple(cards), left_out=left_out + "cases.csv." if missing else "")


def _card(
    seen: tuple[CaseResult, ...], outcome: Ended, id: str, deciding: set[str], *, is_open: bool, several: bool
) -> tuple[Card, int]:
    """The card and about how many characters it puts on the page."""
    first = seen[0]
    # Variants that decide come first, so this is one of them wherever one ended so.
    worst = next(case for case in seen if case.verdict == outcome.verdict)
    inputs = tuple(_quote(name, plain(value), may_be_short=True) for name, value in first.inputs.items())
    expected = _quote("Expected", plain(first.expected), empty="Nothing is expected word for word; the scorers decide.")
    # The answers of a variant that passed are in the twins: here they would bury those that did not.
    blocks = tuple(
        VariantBlock(
            variant=one_line(case.variant, 80),
            candidate=case.variant not in deciding,
            status=VERDICT_STATUS[case.verdict],
            reason=one_line(case.reason, 200),
            answers=_answers(case),
        )
        for case in seen
        if case.verdict != "pass"
    )
    about = []
    if first.priority in ("high", "critical"):
        about.append(f"{first.priority.capitalize()} priority")
    if first.tags:
        about.append("Tags: " + ", ".join(one_line(tag, 40) for tag in first.tags[:12]))
    outcomes = tuple(
        OutcomeView(
            variant=one_line(case.variant, 40),
            status=VERDICT_STATUS[case.verdict],
            candidate=case.variant not in deciding,
        )
        for case in seen
    )
    card = Card(
        id=id,
        title=one_line(first.description, 160),
        case=one_line(first.case_id, 80),
        outcomes=outcomes if several else (),
        summary=one_line(worst.reason, 200),
        about=". ".join(about),
        inputs=inputs,
        expected=expected,
        blocks=blocks,
        is_open=is_open,
    )
    quotes = [*inputs, expected, *(answer.quote for block in blocks for answer in block.answers)]
    size = 900 + sum(len(quote.text) + len(quote.rest) + 160 for quote in quotes)
    size += sum(300 + len(reason.why) for block in blocks for answer in block.answers for reason in answer.reasons)
    return card, size


def _quote(label: str, text: str, *, empty: str = "Empty.", may_be_short: bool = False) -> Quote:
    # Cut before anything reads it: an answer may be megabytes long.
    kept = visible(text[:KEPT_CHARS])
    beyond = len(text) - KEPT_CHARS
    head, rest = kept, ""
    if len(kept) > SHOWN_CHARS + 200:
        # At a word where there is one near, so that the reader does not stumble over half of it.
        at = kept.rfind(" ", SHOWN_CHARS - 80, SHOWN_CHARS)
        at = at if at > 0 else SHOWN_CHARS
        head, rest = kept[:at] + " …", "… " + kept[at:].lstrip()
    left_out = f"{count(beyond, 'character')} more, in report.json." if beyond > 0 else ""
    short = may_be_short and len(kept) <= SHORT_CHARS and "\n" not in kept and len(label) <= 24
    return Quote(label=one_line(label, 60), text=head, rest=rest, left_out=left_out, empty=empty, short=short)


def _answers(case: CaseResult) -> tuple[AnswerView, ...]:
    """The answers of one variant; repeats that said the same and were judged the same stand together."""
    alike: list[list[AnswerResult]] = []
    for answer in case.answers:
        for same in alike:
            if _said(same[0]) == _said(answer):
                same.append(answer)
                break
        else:
            alike.append([answer])
    return tuple(_answer(same, several=len(case.answers) > 1) for same in alike[:SHOWN_ANSWERS])


def _said(answer: AnswerResult) -> tuple[object, ...]:
    judged = tuple((score.scorer, score.passed, score.why) for score in answer.scores)
    return answer.text, answer.error, answer.error_message, answer.passed, answer.contaminated, judged


def _answer(same: list[AnswerResult], *, several: bool) -> AnswerView:
    answer = same[0]
    facts = []
    times = sorted(one.latency_ms for one in same if one.latency_ms is not None and not one.from_cache)
    costs = sorted(one.cost_usd for one in same if one.cost_usd is not None)
    if times:
        facts.append(_range([duration(time) for time in times]))
    if any(one.from_cache for one in same):
        facts.append("from the cache")
    if costs:
        facts.append(_range([money(cost) for cost in costs]))
    if answer.error is None and len(costs) < len(same):
        facts.append("unpriced")
    if answer.contaminated:
        facts.append(f"answered by {one_line(answer.model_returned or 'another model', 60)}")
    if answer.error is not None:
        status = Status("Error", "warn", "bang")
        words = f"{ERROR_NAMES[answer.error]}. {answer.error_message}".strip()
        quote = _quote("What happened", words)
    else:
        status = _passed(answer.passed)
        quote = _quote("Answer", answer.text or "", empty="The answer was empty.")
    # What passed needs no reason; it is counted among the scorers below.
    reasons = tuple(
        ReasonView(
            scorer=one_line(score.scorer, 60),
            why=one_line(score.why or "no reason was given", 300),
            status=Status("Unscored", "warn", "wave") if score.value is None else Status("Failed", "bad", "cross"),
            severity=score.severity,
        )
        for score in answer.scores
        if score.value is None or score.passed is False
    )
    numbers = [str(one.repeat + 1) for one in same]
    title = "Answer"
    if several:
        title = f"Repeat {numbers[0]}" if len(same) == 1 else f"Repeats {', '.join(numbers[:-1])} and {numbers[-1]}"
    return AnswerView(title=title, status=status, facts=tuple(facts), quote=quote, reasons=reasons)


def _range(shown: list[str]) -> str:
    return shown[0] if shown[0] == shown[-1] else f"{shown[0]} to {shown[-1]}"


def _passed(passed: bool | None) -> Status:
    if passed is None:
        return Status("Unscored", "warn", "wave")
    return VERDICT_STATUS["pass" if passed else "fail"]


def _failed_calls(result: RunResult) -> Iterator[tuple[CaseResult, AnswerResult]]:
    for case in result.cases:
        for answer in case.answers:
            if answer.error is not None:
                yield case, answer


def _errors(result: RunResult) -> Table | None:
    total = sum(sum(variant.errors.values()) for variant in result.variants)
    calls = list(_failed_calls(result))
    if not total and not calls:
        return None
    rows = tuple(
        (
            Cell(one_line(case.case_id, 80)),
            Cell(one_line(case.variant, 60)),
            Cell(str(answer.repeat + 1), answer.repeat),
            Cell(ERROR_NAMES[answer.error] if answer.error else ""),
            Cell(one_line(answer.error_message, 160)),
        )
        for case, answer in calls[:ERROR_ROWS]
    )
    total = max(total, len(calls))
    note = "An error is not a wrong answer: it is in no pass rate and no mean."
    if len(rows) < total:
        note += f" First {count(len(rows))} of {count(total)}; all in cases.csv."
    return Table(
        caption=f"{count(total, 'call')} brought no answer",
        columns=(
            Column("case", "Case"),
            Column("variant", "Variant"),
            Column("repeat", "Repeat", right=True),
            Column("error", "Error"),
            Column("message", "What the provider said", wide=True),
        ),
        rows=rows,
        note=note,
    )


def _table(result: RunResult, anchors: dict[str, str]) -> Table:
    gating = {variant.label for variant in result.variants if variant.gating}
    cases = sorted(result.cases, key=lambda case: (VERDICTS.index(case.verdict), case.variant not in gating))
    costs = money_column([_cost(case) for case in cases])
    return Table(
        caption="Cases, one row for each variant. Column heads sort.",
        columns=(
            Column("case", "Case"),
            Column("variant", "Variant"),
            Column("result", "Result"),
            Column("repeats_passed", "Passed", right=True),
            Column("score", "Score", right=True),
            Column("latency_ms", "Latency", right=True),
            Column("cost_usd", "Cost", right=True),
            Column("reason", "Why not", wide=True),
        ),
        rows=tuple(_row(case, cost, anchors) for case, cost in zip(cases, costs, strict=True)),
        empty="No case was answered.",
    )


def _row(case: CaseResult, cost_text: str, anchors: dict[str, str]) -> tuple[Cell, ...]:
    judged = [answer for answer in case.answers if answer.passed is not None]
    passed = sum(answer.passed is True for answer in judged)
    scores = [answer.score for answer in case.answers if answer.score is not None]
    times = [answer.latency_ms for answer in case.answers if answer.latency_ms is not None and not answer.from_cache]
    score = sum(scores) / len(scores) if scores else None
    time = sum(times) / len(times) if times else None
    cost = _cost(case)
    unpriced = any(answer.cost_usd is None and answer.error is None for answer in case.answers)
    return (
        Cell(one_line(case.case_id, 60), link=anchors.get(case.case_id, "") if case.verdict != "pass" else ""),
        Cell(one_line(case.variant, 40)),
        Cell("", status=VERDICT_STATUS[case.verdict]),
        Cell(f"{passed} of {len(judged)}" if judged else "unjudged", passed / len(judged) if judged else None),
        Cell(decimal(score) if score is not None else "unscored", score),
        Cell(duration(time, unknown="–"), time),
        Cell("unpriced" if unpriced else cost_text, float(cost) if cost is not None else None),
        Cell(one_line(case.reason, 110)),
    )


def _cost(case: CaseResult) -> Decimal | None:
    """None when no answer was priced, and when one was not: the sum would look cheaper than it is."""
    costs = [answer.cost_usd for answer in case.answers if answer.cost_usd is not None]
    unpriced = any(answer.cost_usd is None and answer.error is None for answer in case.answers)
    return sum(costs, Decimal(0)) if costs and not unpriced else None


def _lede(result: RunResult) -> str:
    """The verdicts of each variant in one sentence, recomputed from the totals and not from the rows shown."""
    told = []
    for variant in result.variants[:4]:
        parts = [
            f"{count(variant.verdicts[verdict])} {word}" for verdict, word in _ENDED if variant.verdicts.get(verdict)
        ]
        name = f"{named(variant, 40)}: " if len(result.variants) > 1 else ""
        told.append(name + (", ".join(parts) if parts else "no case answered"))
    if len(result.variants) > 4:
        told.append(f"{count(len(result.variants) - 4, 'more variant')} in the table above")
    return "; ".join(told) + ". What needs a look comes first." if told else "No case was answered."


def _cut(result: RunResult) -> str:
    if not result.cases_left_out:
        return ""
    total = len(result.cases) + result.cases_left_out
    return f"First {count(len(result.cases))} of {count(total)}; all in cases.csv."


def _picks(result: RunResult) -> tuple[tuple[str, int, tuple[str, ...]], ...]:
    outcomes = tuple(
        status.word
        for verdict, status in VERDICT_STATUS.items()
        if any(case.verdict == verdict for case in result.cases)
    )
    variants = tuple(dict.fromkeys(one_line(case.variant, 40) for case in result.cases))
    picks: list[tuple[str, int, tuple[str, ...]]] = [("Result", 2, outcomes)]
    if len(variants) > 1:
        picks.append(("Variant", 1, variants))
    return tuple(picks)
