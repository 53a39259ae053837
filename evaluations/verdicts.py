"""Verdicts: from the scores of one answer to an outcome, from repeats to a verdict, from cases to gates.

The published rule, in the order in which it is applied:

1. *Answer.* A scorer passes when its value reaches its threshold. A failed blocker or major fails the
   answer; a failed minor lowers its score and fails nothing. When none failed but a blocker or a major
   could not tell, nobody can.
2. *Case.* Errors and answers that could not be judged never enter the pass rate. Repeats that agree decide
   the case. Repeats that disagree make it `flaky` while the 95% Wilson interval of their pass rate holds
   the required rate; above it the case passes, below it the case fails. Where all repeats have to pass, one
   that does not has settled it: the case fails.
3. *Suite.* Each gate is passed, failed or open. One failed gate of a deciding variant fails the run; an
   open one leaves it inconclusive. Too many failed calls give no verdict on quality at all.

How often rule 2 says what, for 5 judged repeats and 80% required, by the case's true pass rate:

    true rate    pass     flaky    fail
       20%       0.0%      5.8%   94.2%
       50%       3.1%     46.9%   50.0%
       80%      32.8%     61.4%    5.8%
       95%      77.4%     22.5%    0.1%
       99%      95.1%      4.9%    0.0%

So with 5 repeats a case that is right half the time passes by luck once in 32, and one that is right 95% of
the time is called failed once in 860: `flaky` is where the doubt goes. Fewer repeats doubt less than they
should: with one repeat a case that is right half the time passes half the time.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple

from evaluations.errors import AssayError
from evaluations.estimates import Estimate
from evaluations.scoring.base import Score, Scored
from evaluations.statistics.proportions import wilson
from evaluations.wording import (
    count,
    duration,
    money,
    percent,
    percent_beside,
    percent_interval,
)

if TYPE_CHECKING:  # results.py is made of the verdicts that are named here
    from evaluations.results import GateResult, VariantResult

Severity = Literal["blocker", "major", "minor"]
"""blocker: one failed blocker fails the suite. major: fails its case. minor: lowers the score, fails
nothing."""
SEVERITIES: tuple[Severity, ...] = ("blocker", "major", "minor")
"""The gravest first."""
Verdict = Literal["pass", "fail", "flaky", "error", "skipped"]
VERDICTS: tuple[Verdict, ...] = ("fail", "flaky", "error", "pass", "skipped")
"""In the order of interest: what needs a look comes first."""
RunVerdict = Literal["pass", "fail", "inconclusive", "provider_error", "budget", "interrupted"]
EXIT_CODES: dict[RunVerdict, int] = {
    "pass": 0,
    "fail": 1,
    "provider_error": 3,
    "budget": 4,
    "inconclusive": 5,
    "interrupted": 130,
}
"""What a shell sees; 2 is kept for usage and configuration errors, which never reach a verdict."""

ROUNDING = 1e-9
"""A value this close below a threshold reaches it: 0.1 + 0.2 is not short of 0.3."""
MIN_LATENCIES = 20
"""Below 20 answers the 95th percentile is the slowest one: an anecdote."""


# From scores to an answer's outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One scorer's judgement of one answer, with what the suite makes of it."""

    score: Score
    threshold: float
    severity: Severity = "major"
    weight: float = 1.0
    """Its share in the weighted score; 0 leaves it out there, and changes nothing about passing."""

    @property
    def value(self) -> float | None:
        """None when the scorer could not tell; a value that is not a number tells nothing either."""
        if isinstance(self.score, Scored) and math.isfinite(self.score.value):
            return self.score.value
        return None

    @property
    def passed(self) -> bool | None:
        """None when the scorer could not tell."""
        return None if self.value is None else self.value >= self.threshold - ROUNDING


class Outcome(NamedTuple):
    """What all scorers together make of one answer."""

    passed: bool | None
    """None: could not tell."""
    score: float | None
    """Weighted mean of the scorers that could tell, in [0, 1]; None when none could."""
    failed_severity: Severity | None
    """The gravest severity among failed scorers."""


def outcome_of(judged: Sequence[Judged]) -> Outcome:
    """Pass, fail or could not tell for one answer, after rule 1 of the module.

    An answer that no scorer could judge did not pass: its outcome is None, whatever the severities.

    >>> polite = Judged(score=Scored(0.2), threshold=1, severity="minor")
    >>> outcome_of([Judged(score=Scored(1.0), threshold=1), polite])
    Outcome(passed=True, score=0.6, failed_severity='minor')
    """
    failed = {each.severity for each in judged if each.passed is False}
    gravest = next((severity for severity in SEVERITIES if severity in failed), None)
    told = [(each.weight, each.value) for each in judged if each.value is not None]
    weight = math.fsum(w for w, _ in told)
    score = math.fsum(w * value for w, value in told) / weight if weight > 0 else None
    if gravest in ("blocker", "major"):
        return Outcome(False, score, gravest)
    open_question = any(each.passed is None and each.severity != "minor" for each in judged)
    return Outcome(None if open_question or not told else True, score, gravest)


# From repeats to a case's verdict


def parse_require(text: str | float) -> float:
    """The share of repeats that has to pass, in (0, 1].

    Takes "all", "3 of 5", 0.8, "80%" and "rate>=0.8". "3 of 5" is the rate 0.6, whatever the number of
    repeats.
    Raises AssayError for anything else.

    >>> parse_require("all"), parse_require("3 of 5"), parse_require("rate >= 80%")
    (1.0, 0.6, 0.8)
    """
    rate: float | None = None
    if isinstance(text, str):
        said = text.strip().lower()
        if said == "all":
            rate = 1.0
        elif parts := re.fullmatch(r"(\d{1,6})\s+of\s+(\d{1,6})", said, re.ASCII):
            passes, repeats = int(parts[1]), int(parts[2])
            rate = passes / repeats if repeats else None
        elif parts := re.fullmatch(r"(?:rate\s*>=\s*)?(\d{0,9}\.?\d{1,9})\s*(%?)", said, re.ASCII):
            rate = float(parts[1]) / (100 if parts[2] else 1)
    elif not isinstance(text, bool):
        rate = float(text)
    if rate is None or not 0 < rate <= 1:  # a NaN is not in the range either
        raise AssayError(
            f'cannot require {text!r:.80}: write "all", "3 of 5", "rate>=0.8", or a rate above 0 and up to 1.'
        )
    return rate


class CaseVerdict(NamedTuple):
    """The verdict on one case under one variant, over all its repeats."""

    verdict: Verdict
    reason: str
    """One line; empty for a pass."""
    pass_rate: Estimate | None
    """Over the repeats that could be judged (its n); None when none could."""


def verdict_of_case(
    outcomes: Sequence[bool | None],
    errors: int = 0,
    threshold: float = 1.0,
    *,
    manual: bool = False,
    why: str = "",
) -> CaseVerdict:
    """The verdict over a case's repeats, after rule 2 of the module.

    `outcomes` has one entry for each answer that came (None: could not be judged), `errors` counts the
    calls that brought none, `threshold` is the pass rate from `parse_require`. `manual` says that the case
    waits for a person; once one has judged it, pass their outcomes without it. `why` is what the gravest
    failed scorer said.

    >>> verdict_of_case([True, True, False, True, True], threshold=0.8).verdict
    'flaky'
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"the required rate lies in (0, 1]; got {threshold}")
    passes, judged = (
        sum(1 for passed in outcomes if passed),
        sum(1 for passed in outcomes if passed is not None),
    )
    untold = len(outcomes) - judged
    rate = wilson(passes, judged) if judged else None
    if manual:
        return CaseVerdict("skipped", "waits for a person's judgement", rate)
    if rate is None:
        if errors or untold:
            return CaseVerdict("error", _joined(_left_out(errors, untold), why), None)
        return CaseVerdict("skipped", "no answer was asked for", None)
    verdict = _verdict_of_rate(rate, threshold)
    if verdict == "pass":
        return CaseVerdict("pass", "", rate)
    if judged == 1:
        said = why or "the answer does not pass"
        return CaseVerdict(verdict, _joined(said, _left_out(errors, untold)), rate)
    said = f"{passes} of {judged} repeats pass"
    if 0 < passes < judged:
        interval = percent_interval(rate.low, rate.high)
        said += f" (95% CI {interval}); {percent(threshold, trim=True)} required"
    return CaseVerdict(verdict, _joined(said, _left_out(errors, untold), why), rate)


def _verdict_of_rate(rate: Estimate, threshold: float) -> Verdict:
    if rate.value in (0.0, 1.0):
        return "pass" if rate.value else "fail"
    if rate.low <= threshold <= rate.high:
        return "flaky"
    return "pass" if rate.low > threshold else "fail"


def _left_out(errors: int, untold: int) -> str:
    parts = [count(errors, "call") + " failed"] if errors else []
    if untold:
        parts.append(f"{count(untold, 'answer')} could not be judged")
    return ", ".join(parts)


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


# From cases to gates


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The limits that a variant has to keep; None asks nothing."""

    pass_rate: float | None = None
    """Least share of judged cases that pass, in [0, 1]."""
    confident: bool = False
    """The whole 95% interval of the pass rate has to clear the limit, not the number alone."""
    blockers: int | None = 0
    """Most cases in which a blocker may fail."""
    error_share: float | None = 0.05
    """Most failed calls among all calls, in [0, 1]; above it no verdict on quality is given."""
    cost_usd: Decimal | None = None
    """Most that the variant's answers may cost in this run, in dollars."""
    p95_latency_ms: float | None = None
    """Most that the 95th percentile of the model's latency may be, in milliseconds."""


def evaluate_gates(variant: "VariantResult", gates: Gates) -> "tuple[GateResult, ...]":
    """Every declared gate on one variant, in the order of `Gates`; None where the data cannot tell."""
    checks = {
        "pass_rate": _pass_rate_gate,
        "blockers": _blockers_gate,
        "error_share": _error_share_gate,
        "cost_usd": _cost_gate,
        "p95_latency_ms": _latency_gate,
    }
    return tuple(check(variant, gates) for name, check in checks.items() if getattr(gates, name) is not None)


def _pass_rate_gate(variant: "VariantResult", gates: Gates) -> "GateResult":
    assert gates.pass_rate is not None
    limit, rate = gates.pass_rate, variant.pass_rate
    said = f"at least {percent(limit, trim=True)}" + (" with confidence" if gates.confident else "")
    if rate is None:
        return _gate("pass_rate", variant, None, "nothing judged", said, "no case could be judged", None, limit)
    share = percent_beside(rate.value, limit)
    interval = f"({rate.confidence:.0%} CI {percent_interval(rate.low, rate.high)})"
    passes = f"{share} of {count(rate.n, 'case')} pass {interval}"
    value = f"{share} {interval}, n = {count(rate.n)}"
    if _too_many_errors(variant, gates):
        why = f"no verdict on quality while {percent(_error_share(variant) or 0.0)} of the calls failed"
        return _gate("pass_rate", variant, None, value, said, why, rate.value, limit)
    passed: bool | None
    why = f"{passes}; {percent(limit, trim=True)} required"
    if not gates.confident:
        passed = rate.value >= limit - ROUNDING
    elif rate.low >= limit - ROUNDING:
        passed, why = True, f"{passes}, all of it above {percent(limit, trim=True)}"
    elif rate.high < limit:
        passed = False
    else:
        passed, why = None, f"{passes}; the whole interval has to clear {percent(limit, trim=True)}"
    return _gate("pass_rate", variant, passed, value, said, why, rate.value, limit)


def _blockers_gate(variant: "VariantResult", gates: Gates) -> "GateResult":
    assert gates.blockers is not None
    failed, allowed = variant.blockers_failed, gates.blockers
    limit = f"at most {count(allowed)}"
    why = f"a blocker failed in {count(failed, 'case')}; {count(allowed)} allowed"
    if not failed:
        why = "no blocker failed"
        if not _judged(variant):
            return _gate("blockers", variant, None, "nothing judged", limit, "no case could be judged", None, allowed)
    return _gate("blockers", variant, failed <= allowed, count(failed), limit, why, failed, allowed)


def _error_share_gate(variant: "VariantResult", gates: Gates) -> "GateResult":
    assert gates.error_share is not None
    limit, share = gates.error_share, _error_share(variant)
    said = f"at most {percent(limit, trim=True)}"
    if share is None:
        return _gate("error_share", variant, None, "not measured", said, "no call was made", None, limit)
    failed, calls = _failed_calls(variant)
    kinds = ", ".join(
        f"{kind} {count(times)}"
        for kind, times in sorted(variant.errors.items(), key=lambda each: (-each[1], each[0]))
        if times and kind not in NOT_CALLED
    )
    why = f"{percent_beside(share, limit)} of {count(calls, 'call')} failed"
    why += f" ({kinds}); at most {percent(limit, trim=True)} may" if failed else ""
    passed = share <= limit + ROUNDING
    return _gate("error_share", variant, passed, percent_beside(share, limit), said, why, share, limit)


def _cost_gate(variant: "VariantResult", gates: Gates) -> "GateResult":
    assert gates.cost_usd is not None
    spent, limit = variant.cost_usd, gates.cost_usd
    said = f"at most {money(limit, trim=True)}"
    numbers = float(spent), float(limit)
    if spent > limit:
        why = f"{money(spent)} spent, {money(limit, trim=True)} allowed"
        if money(spent) == money(limit):
            why = f"${spent.normalize():f} spent, ${limit.normalize():f} allowed"
        return _gate("cost_usd", variant, False, money(spent), said, why, *numbers)
    if variant.unpriced:
        why = f"{money(spent)} and {count(variant.unpriced, 'answer')} whose price is not known"
        return _gate("cost_usd", variant, None, f"{money(spent)} + unpriced", said, why, *numbers)
    return _gate("cost_usd", variant, True, money(spent), said, f"{money(spent)} spent", *numbers)


def _latency_gate(variant: "VariantResult", gates: Gates) -> "GateResult":
    assert gates.p95_latency_ms is not None
    limit, latency = gates.p95_latency_ms, variant.latency
    said = f"at most {duration(limit)}"
    measured = latency.n if latency else 0
    if latency is None or measured < MIN_LATENCIES:
        why = f"{count(measured, 'latency', 'latencies')} measured; a 95th percentile needs {MIN_LATENCIES}"
        return _gate("p95_latency_ms", variant, None, "not measured", said, why, None, limit)
    value, allowed = duration(latency.p95), duration(limit)
    if latency.p95 > limit and value == allowed:
        value, allowed = f"{latency.p95:,} ms", f"{limit:,} ms"
    why = f"95% of {count(measured, 'call')} took at most {value}; {allowed} allowed"
    return _gate("p95_latency_ms", variant, latency.p95 <= limit, value, said, why, latency.p95, limit)


NOT_CALLED = frozenset({"budget", "interrupted"})
"""Errors that say we stopped: they tell nothing of the provider, and are no part of the error share."""


def _failed_calls(variant: "VariantResult") -> tuple[int, int]:
    """Failed calls, and all calls."""
    stopped = sum(times for kind, times in variant.errors.items() if kind in NOT_CALLED)
    return sum(variant.errors.values()) - stopped, variant.answers - stopped


def _error_share(variant: "VariantResult") -> float | None:
    failed, calls = _failed_calls(variant)
    return failed / calls if calls > 0 else None


def _too_many_errors(variant: "VariantResult", gates: Gates) -> bool:
    share = _error_share(variant)
    return share is not None and gates.error_share is not None and share > gates.error_share + ROUNDING


def _judged(variant: "VariantResult") -> int:
    return sum(variant.verdicts.get(verdict, 0) for verdict in ("pass", "fail", "flaky"))


def _gate(
    name: str,
    variant: "VariantResult",
    passed: bool | None,
    value: str,
    limit: str,
    why: str,
    measured: float | None,
    limit_value: float,
) -> "GateResult":
    from evaluations.results import GateResult

    return GateResult(
        gate=name, variant=variant.label, passed=passed, value=value, limit=limit, why=why,
        measured=None if measured is None else float(measured), limit_value=float(limit_value),
    )  # fmt: skip


# From gates to the run's verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJudgement:
    """The verdict on a run, with the sentence that says it and what else carries it."""

    verdict: RunVerdict
    sentence: str
    """The verdict in one sentence, uncertainty in the same breath."""
    reasons: tuple[str, ...] = field(default=())
    """Further sentences, most important first."""


def verdict_of_run(
    variants: "Sequence[VariantResult]",
    gates: "Sequence[GateResult]",
    *,
    complete: bool,
    stop_reason: str = "",
    cells_done: int = 0,
    cells_total: int = 0,
    cap_usd: Decimal | None = None,
    max_seconds: float | None = None,
) -> RunJudgement:
    """The verdict on a run, after rule 3 of the module.

    The first that holds decides: interrupted, stopped by a limit of money or time (`budget`), too many failed
    calls of a deciding variant (`provider_error`), a failed gate of one (`fail`), an open one, nothing
    judged or an incomplete run (`inconclusive`), else `pass`. Variants that do not gate appear in the
    reasons alone.
    `gates` are those of all variants; `stop_reason` is "interrupted", "budget" or "time" where a run is not
    complete.
    """
    deciding = {variant.label for variant in variants if variant.gating}
    decisive = _gravest_first([gate for gate in gates if gate.variant in deciding], variants)
    failed = [gate for gate in decisive if gate.passed is False]
    unsettled = [gate for gate in decisive if gate.passed is None]
    unjudged = [variant for variant in variants if variant.gating and not _judged(variant)]
    outages = [gate for gate in failed if gate.gate == "error_share"]
    alone = len(variants) == 1  # then no sentence need name it
    rates = "; ".join(_rate_of(variant, alone=alone) for variant in variants if variant.gating and variant.pass_rate)

    verdict: RunVerdict
    if not complete:
        verdict = _verdict_of_stop(stop_reason)
        sentence = _sentence_of_stop(stop_reason, cells_done, cells_total, cap_usd, max_seconds)
        told: list[GateResult] = []
    elif outages:
        verdict, told = "provider_error", outages
        sentence = f"No verdict on quality: {_said_by(outages, alone=alone)}."
    elif failed:
        verdict, told = "fail", failed[:1] if len(failed) > 3 else failed
        more = f"; {count(len(failed) - 1)} more gates fail" if len(failed) > 3 else ""
        sentence = f"Suite fails: {_said_by(told, alone=alone)}{more}."
    elif unsettled:
        verdict, told = "inconclusive", unsettled[:1] if len(unsettled) > 3 else unsettled
        sentence = f"Not enough to tell: {_said_by(told, alone=alone)}."
    elif unjudged or not deciding:
        verdict, told = "inconclusive", []
        labels = ", ".join(variant.label for variant in unjudged)
        nothing = f"no case of {labels} could be judged" if labels else "no variant decides this run"
        sentence = f"Nothing to tell: {nothing}."
    else:
        verdict, told = "pass", []
        sentence = f"Suite passes: {rates}."

    reasons: list[str] = []
    so_far = "" if complete else ", so far"
    if verdict != "pass":
        # A rate is measured all the same: shown below a verdict that is about something else.
        reasons += [
            _sentence(variant, f"{_rate_of(variant, alone=True)}{so_far}", alone=alone)
            for variant in variants
            if variant.gating and variant.pass_rate and not _says_rate((*failed, *unsettled), variant)
        ]
    by_label = {variant.label: variant for variant in variants}
    reasons += [
        _sentence(by_label[gate.variant], f"{gate.why}{so_far}", alone=alone)
        for gate in (*failed, *unsettled)
        if gate not in told
    ]
    for variant in sorted(variants, key=lambda each: not each.gating):
        said = [] if variant.gating else _gates_of_candidate(variant, gates)
        reasons += [_sentence(variant, each, alone=alone) for each in (*said, *_reasons_of(variant))]
    if any(variant.simulated for variant in variants):
        sentence = f"SIMULATED: {sentence}"
    return RunJudgement(verdict=verdict, sentence=sentence, reasons=tuple(reasons))


def _gravest_first(gates: "Sequence[GateResult]", variants: "Sequence[VariantResult]") -> "list[GateResult]":
    """The variant with the lowest pass rate first, and of each its pass rate first; otherwise as they came."""
    rates = {variant.label: variant.pass_rate.value if variant.pass_rate else -1.0 for variant in variants}
    return sorted(gates, key=lambda gate: (rates.get(gate.variant, 1.0), gate.variant, gate.gate != "pass_rate"))


def _verdict_of_stop(stop_reason: str) -> RunVerdict:
    if stop_reason == "interrupted":
        return "interrupted"
    # A time limit is a limit that the user set, as a cap is.
    return "budget" if stop_reason in ("budget", "time") else "inconclusive"


def _sentence_of_stop(
    stop_reason: str, done: int, total: int, cap_usd: Decimal | None, max_seconds: float | None
) -> str:
    match stop_reason:
        case "budget":
            limit = f"the {money(cap_usd, trim=True)} limit" if cap_usd is not None else "the cost limit"
            why = f"stopped by {limit}"
        case "time":
            limit = f" of {duration(max_seconds * 1000)}" if max_seconds is not None else ""
            why = f"stopped by the time limit{limit}"
        case "interrupted":
            why = "interrupted before the end"
        case "decided":
            why = "stopped because every pair of models was decided"
        case _:
            why = stop_reason or "stopped before the end"
    return f"Incomplete: {count(done)} of {count(total, 'answer')}; {why}."


def _rate_of(variant: "VariantResult", *, alone: bool) -> str:
    rate = variant.pass_rate
    assert rate is not None
    interval = f"({rate.confidence:.0%} CI {percent_interval(rate.low, rate.high)})"
    said = f"{percent(rate.value)} of {count(rate.n, 'case')} {'passes' if rate.n == 1 else 'pass'} {interval}"
    return said if alone else f"{said} for {variant.label}"


def _says_rate(gates: "Sequence[GateResult]", variant: "VariantResult") -> bool:
    """Whether the words of one of these gates hold the variant's pass rate."""
    return any(gate.gate == "pass_rate" and gate.variant == variant.label and " CI " in gate.why for gate in gates)


def _said_by(gates: "Sequence[GateResult]", *, alone: bool) -> str:
    return "; ".join(gate.why if alone else f"{gate.variant}: {gate.why}" for gate in gates)


def _sentence(variant: "VariantResult", said: str, *, alone: bool) -> str:
    """What is said of a variant, its name first."""
    if not variant.gating:
        return f"{variant.label} (candidate, not deciding): {said}."
    return f"{said[0].upper()}{said[1:]}." if alone else f"{variant.label}: {said}."


def _gates_of_candidate(variant: "VariantResult", gates: "Sequence[GateResult]") -> list[str]:
    """Its pass rate and its gates that do not hold, each once."""
    unheld = [gate for gate in gates if gate.variant == variant.label and gate.passed is not True]
    rate = [] if variant.pass_rate is None or _says_rate(unheld, variant) else [_rate_of(variant, alone=True)]
    return rate + [gate.why for gate in unheld]


def _reasons_of(variant: "VariantResult") -> list[str]:
    """What a reader of the pass rate has to know besides: what is flaky, and what is not in it."""
    reasons: list[str] = []
    if flaky := variant.verdicts.get("flaky", 0):
        reasons.append(count(flaky, "case is flaky", "cases are flaky"))
    outside = []
    if errors := variant.verdicts.get("error", 0):
        outside.append(count(errors, "case ended in an error", "cases ended in an error"))
    if skipped := variant.verdicts.get("skipped", 0):
        outside.append(count(skipped, "case was skipped", "cases were skipped"))
    if outside:
        reasons.append(f"not in the pass rate: {' and '.join(outside)}")
    if variant.contaminated:
        reasons.append(f"{count(variant.contaminated, 'answer')} came from another model than the one asked for")
    if variant.unpriced:
        reasons.append(f"the cost of {count(variant.unpriced, 'answer')} is not known")
    return reasons
