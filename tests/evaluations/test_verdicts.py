"""The published rule: answers, cases, gates, runs; with its error rates by exact enumeration."""

import re
from dataclasses import replace
from decimal import Decimal
from math import comb
from typing import Any

import pytest

import evaluations.verdicts as verdicts
from evaluations.answers import Usage
from evaluations.errors import AssayError
from evaluations.results import Latency, VariantResult
from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.statistics.proportions import wilson
from evaluations.verdicts import (
    EXIT_CODES,
    Gates,
    Judged,
    Outcome,
    RunJudgement,
    Severity,
    evaluate_gates,
    outcome_of,
    parse_require,
    verdict_of_case,
    verdict_of_run,
)


def judged(
    score: Score | float, severity: Severity = "major", *, threshold: float = 1.0, weight: float = 1.0
) -> Judged:
    scored = Scored(score) if isinstance(score, int | float) else score
    return Judged(score=scored, threshold=threshold, severity=severity, weight=weight)


UNSURE = Unscored("no verdict line")


# Answers


@pytest.mark.parametrize(
    ("scores", "passed", "gravest"),
    [
        ([judged(1.0)], True, None),
        ([judged(0.0)], False, "major"),
        ([judged(0.0, "blocker"), judged(0.0, "minor")], False, "blocker"),
        ([judged(0.0, "major"), judged(0.0, "blocker")], False, "blocker"),
        ([judged(1.0), judged(0.0, "minor")], True, "minor"),
        ([judged(1.0), judged(UNSURE)], None, None),
        ([judged(1.0), judged(UNSURE, "blocker")], None, None),
        ([judged(1.0), judged(UNSURE, "minor")], True, None),
        ([judged(0.0), judged(UNSURE, "blocker")], False, "major"),
        ([judged(0.0, "minor"), judged(UNSURE)], None, "minor"),
        ([judged(UNSURE, "minor")], None, None),
        ([], None, None),
    ],
)
def test_only_blockers_and_majors_decide_an_answer(
    scores: list[Judged], passed: bool | None, gravest: str | None
) -> None:
    outcome = outcome_of(scores)
    assert (outcome.passed, outcome.failed_severity) == (passed, gravest)


def test_the_score_is_the_weighted_mean_of_those_that_could_tell() -> None:
    assert outcome_of([judged(1.0, weight=3), judged(0.5, weight=1), judged(UNSURE, weight=9)]).score == 0.875
    assert outcome_of([judged(UNSURE)]).score is None
    assert outcome_of([judged(1.0, weight=0)]) == Outcome(True, None, None)


@pytest.mark.parametrize(
    ("value", "threshold", "passed"),
    [
        (0.8, 0.8, True),
        (0.7999, 0.8, False),
        (0.1 + 0.2, 0.3, True),
        (3 * 0.1 - 1e-16, 0.3, True),
        (float("nan"), 0.1, None),
    ],
)
def test_a_scorer_passes_at_its_threshold_whatever_the_last_bit_says(
    value: float, threshold: float, passed: bool | None
) -> None:
    assert judged(value, threshold=threshold).passed is passed


# Repeats


@pytest.mark.parametrize(
    ("said", "rate"),
    [("all", 1.0), (" ALL ", 1.0), ("3 of 5", 0.6), (0.8, 0.8), (1, 1.0), ("0.8", 0.8), (".5", 0.5),
     ("80%", 0.8), ("rate>=0.8", 0.8), ("rate >= 95 %", 0.95)],
)  # fmt: skip
def test_a_requirement_can_be_said_in_several_ways(said: str | float, rate: float) -> None:
    assert parse_require(said) == rate


@pytest.mark.parametrize(
    "said",
    ["", "most", "6 of 5", "0 of 5", "3 of 0", 0, 0.0, -0.5, 1.5, "80", "rate>0.8", True, "8e-1",
     float("nan"), "1" * 400, "\N{ARABIC-INDIC DIGIT THREE} of 5"],
)  # fmt: skip
def test_a_requirement_that_means_nothing_is_refused_with_what_would_do(said: str | float) -> None:
    with pytest.raises(AssayError, match='write "all", "3 of 5"') as caught:
        parse_require(said)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("passes", "n", "require", "verdict"),
    [
        (5, 5, 1.0, "pass"),
        (0, 5, 0.01, "fail"),
        (4, 5, 0.8, "flaky"),
        (3, 5, 0.8, "flaky"),
        (2, 5, 0.8, "fail"),
        (1, 5, 0.8, "fail"),
        (4, 5, 1.0, "fail"),
        (19, 20, 0.5, "pass"),
        (1, 1, 1.0, "pass"),
        (0, 1, 0.8, "fail"),
    ],
)
def test_repeats_decide_unless_they_disagree_around_the_required_rate(
    passes: int, n: int, require: float, verdict: str
) -> None:
    case = verdict_of_case([True] * passes + [False] * (n - passes), threshold=require)
    assert case.verdict == verdict
    assert case.pass_rate == wilson(passes, n)
    assert (case.reason == "") == (verdict == "pass")


def test_errors_and_open_questions_never_enter_the_rate() -> None:
    case = verdict_of_case([True, None, True, False, None], errors=7, threshold=0.8)
    assert case.pass_rate == wilson(2, 3)
    assert case.reason == (
        "2 of 3 repeats pass (95% CI 20.8\N{EN DASH}93.9%); 80% required; 7 calls failed, 2 answers could not be judged"
    )
    assert verdict_of_case([True, True], errors=3).verdict == "pass"


@pytest.mark.parametrize(
    ("outcomes", "errors", "manual", "verdict", "reason"),
    [
        ([], 0, False, "skipped", "no answer was asked for"),
        ([], 2, False, "error", "2 calls failed; timed out"),
        ([None], 0, False, "error", "1 answer could not be judged; timed out"),
        ([None], 1, True, "skipped", "waits for a person's judgement"),
        ([True], 0, True, "skipped", "waits for a person's judgement"),
    ],
)
def test_a_case_that_nobody_judged_is_an_error_or_skipped_never_a_fail(
    outcomes: list[bool | None], errors: int, manual: bool, verdict: str, reason: str
) -> None:
    case = verdict_of_case(outcomes, errors, manual=manual, why="timed out")
    assert (case.verdict, case.reason) == (verdict, reason)


def test_a_single_repeat_gives_the_scorers_own_reason() -> None:
    assert verdict_of_case([False], why="expected 'refund', got 'billing'").reason == "expected 'refund', got 'billing'"


def test_a_required_rate_out_of_range_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="got 0"):
        verdict_of_case([True], threshold=0)


def chances(p: float, n: int, require: float) -> dict[str, float]:
    """How often each verdict is given to a case with true pass rate p, by enumerating all outcomes."""
    total = {"pass": 0.0, "flaky": 0.0, "fail": 0.0}
    for passes in range(n + 1):
        verdict = verdict_of_case([True] * passes + [False] * (n - passes), threshold=require).verdict
        total[verdict] += comb(n, passes) * p**passes * (1 - p) ** (n - passes)
    return total


def test_the_documented_error_rates_are_the_exact_ones() -> None:
    rows = re.findall(r"^ +(\d+)% +([\d.]+)% +([\d.]+)% +([\d.]+)%$", verdicts.__doc__ or "", re.MULTILINE)
    assert len(rows) == 5
    for rate, *documented in rows:
        exact = chances(int(rate) / 100, 5, 0.8)
        assert [f"{100 * exact[verdict]:.1f}" for verdict in ("pass", "flaky", "fail")] == documented
    assert round(1 / chances(0.5, 5, 0.8)["pass"]) == 32
    assert round(1 / chances(0.95, 5, 0.8)["fail"], -1) == 860


@pytest.mark.parametrize("n", [2, 3, 5, 10, 20, 50])
@pytest.mark.parametrize("require", [0.5, 0.8, 0.9, 1.0])
def test_more_passes_never_make_a_verdict_worse(n: int, require: float) -> None:
    order = {"fail": 0, "flaky": 1, "pass": 2}
    ranks = [order[verdict_of_case([True] * k + [False] * (n - k), threshold=require).verdict] for k in range(n + 1)]
    assert ranks == sorted(ranks)
    assert (ranks[0], ranks[-1]) == (0, 2)


# Gates


def variant(passes: int = 55, cases: int = 60, **changes: Any) -> VariantResult:
    plain = VariantResult(
        label="large",
        model="m",
        prompt="triage 1.0.0",
        parameters={},
        gating=True,
        simulated=False,
        verdicts={"pass": passes, "fail": cases - passes},
        blockers_failed=0,
        pass_rate=wilson(passes, cases) if cases else None,
        score=None,
        pass_at={},
        pass_hat={},
        answers=cases,
        errors={},
        scorers=(),
        cost_usd=Decimal("0.42"),
        unpriced=0,
        cached=0,
        saved_usd=Decimal(0),
        usage=Usage(),
        latency=None,
        models_returned={},
        contaminated=0,
        fallbacks=0,
        retried=0,
        retried_score=None,
    )
    return replace(plain, **changes)


def latency(p95: float, n: int = 20) -> Latency:
    return Latency(n=n, mean=p95, p50=p95, p95=p95, p99=p95, edges=(0.0, p95), counts=(n,))


NONE = Gates(blockers=None, error_share=None)


def gate(given: VariantResult, **limits: Any) -> tuple[bool | None, str, str, str]:
    (result,) = evaluate_gates(given, replace(NONE, **limits))
    assert (result.gate, result.variant) == (
        next(name for name in limits if name != "confident"),
        given.label,
    )
    return result.passed, result.value, result.limit, result.why


@pytest.mark.parametrize(
    ("limit", "confident", "passed"),
    [(0.9, False, True), (0.95, False, False), (0.8, True, True), (0.9, True, None), (0.97, True, False)],
)
def test_the_pass_rate_has_to_reach_its_limit_with_its_whole_interval_if_confident(
    limit: float, confident: bool, passed: bool | None
) -> None:
    assert gate(variant(), pass_rate=limit, confident=confident)[0] is passed


def test_a_pass_rate_says_its_n_interval_and_limit() -> None:
    _, value, limit, why = gate(variant(37), pass_rate=0.8)
    assert value == "61.7% (95% CI 49.0\N{EN DASH}72.9%), n = 60"
    assert (limit, why) == (
        "at least 80%",
        "61.7% of 60 cases pass (95% CI 49.0\N{EN DASH}72.9%); 80% required",
    )


def test_a_pass_rate_just_short_of_its_limit_does_not_read_like_it() -> None:
    passed, _, _, why = gate(variant(79_997, 100_000), pass_rate=0.8)
    assert passed is False
    assert why.startswith("79.997% of 100,000 cases")


def test_nothing_judged_leaves_quality_gates_open() -> None:
    nothing = variant(0, 0, verdicts={"error": 3}, errors={"timeout": 3}, answers=3)
    assert gate(nothing, pass_rate=0.8)[0] is None
    assert gate(nothing, blockers=0)[0] is None


def test_too_many_failed_calls_take_the_verdict_on_quality_away() -> None:
    lossy = variant(57, 60, answers=100, errors={"timeout": 4, "rate_limited": 8})
    rate, errors = evaluate_gates(lossy, Gates(pass_rate=0.9, blockers=None))
    assert rate.passed is None
    assert rate.why == "no verdict on quality while 12.0% of the calls failed"
    assert errors.passed is False
    assert errors.why == "12.0% of 100 calls failed (rate_limited 8, timeout 4); at most 5% may"


def test_calls_that_we_stopped_ourselves_are_no_part_of_the_error_share() -> None:
    stopped = variant(answers=100, errors={"budget": 40, "interrupted": 20, "timeout": 2})
    assert gate(stopped, error_share=0.05)[:2] == (True, "5.0%")
    assert gate(variant(answers=4, errors={"budget": 4}), error_share=0.05)[0] is None


@pytest.mark.parametrize(("failed", "allowed", "passed"), [(0, 0, True), (1, 0, False), (2, 2, True), (3, 2, False)])
def test_failed_blockers_are_counted_against_their_limit(failed: int, allowed: int, passed: bool) -> None:
    assert gate(variant(blockers_failed=failed), blockers=allowed)[0] is passed


@pytest.mark.parametrize(
    ("cost", "unpriced", "passed", "value"),
    [
        ("0.42", 0, True, "$0.42"),
        ("0.50", 0, True, "$0.50"),
        ("0.51", 0, False, "$0.51"),
        ("0.42", 3, None, "$0.42 + unpriced"),
        ("0.51", 3, False, "$0.51"),
    ],
)
def test_an_unknown_price_leaves_the_cost_gate_open_unless_it_is_broken_already(
    cost: str, unpriced: int, passed: bool | None, value: str
) -> None:
    given = variant(cost_usd=Decimal(cost), unpriced=unpriced)
    assert gate(given, cost_usd=Decimal("0.50"))[:2] == (passed, value)


def test_a_cost_just_above_its_limit_is_said_exactly() -> None:
    why = gate(variant(cost_usd=Decimal("20.000001")), cost_usd=Decimal(20))[3]
    assert why == "$20.000001 spent, $20 allowed"


@pytest.mark.parametrize(
    ("measured", "passed"),
    [
        (latency(900), True),
        (latency(1000), True),
        (latency(1001), False),
        (latency(5000, n=19), None),
        (None, None),
    ],
)
def test_a_95th_percentile_needs_twenty_answers(measured: Latency | None, passed: bool | None) -> None:
    assert gate(variant(latency=measured), p95_latency_ms=1000)[0] is passed


def test_a_latency_just_above_its_limit_does_not_read_like_it() -> None:
    why = gate(variant(latency=latency(1000.4)), p95_latency_ms=1000)[3]
    assert why == "95% of 20 calls took at most 1,000.4 ms; 1,000 ms allowed"


def test_gates_carry_their_numbers_in_their_own_unit() -> None:
    limits = Gates(pass_rate=0.8, cost_usd=Decimal("0.50"), p95_latency_ms=1000)
    given = variant(48, answers=100, errors={"timeout": 4}, cost_usd=Decimal("0.42"), blockers_failed=2,
                    latency=latency(900))  # fmt: skip
    assert {each.gate: (each.measured, each.limit_value) for each in evaluate_gates(given, limits)} == {
        "pass_rate": (0.8, 0.8), "blockers": (2.0, 0.0), "error_share": (0.04, 0.05), "cost_usd": (0.42, 0.5),
        "p95_latency_ms": (900, 1000),
    }  # fmt: skip
    nothing = evaluate_gates(variant(0, 0, answers=0), limits)
    assert {each.gate: each.measured for each in nothing} == {
        "pass_rate": None, "blockers": None, "error_share": None, "cost_usd": 0.42, "p95_latency_ms": None,
    }  # fmt: skip
    assert [each.limit_value for each in nothing] == [0.8, 0.0, 0.05, 0.5, 1000]


def test_what_is_not_asked_for_is_no_gate() -> None:
    assert evaluate_gates(variant(), NONE) == ()
    assert [each.gate for each in evaluate_gates(variant(), Gates())] == ["blockers", "error_share"]


# Runs


def run(*variants: VariantResult, gates: Gates | None = None, **stop: Any) -> RunJudgement:
    limits = gates or Gates(pass_rate=0.8)
    results = [each for given in variants for each in evaluate_gates(given, limits)]
    return verdict_of_run(variants, results, **{"complete": True, **stop})


def test_a_pass_says_rate_n_and_interval() -> None:
    judgement = run(variant())
    assert judgement.verdict == "pass"
    assert judgement.sentence == ("Suite passes: 91.7% of 60 cases pass (95% CI 81.9\N{EN DASH}96.4%).")
    assert judgement.reasons == ()


def test_a_fail_names_the_gate_and_the_variant() -> None:
    judgement = run(variant(), variant(37, label="small"))
    assert judgement.verdict == "fail"
    assert judgement.sentence == (
        "Suite fails: small: 61.7% of 60 cases pass (95% CI 49.0\N{EN DASH}72.9%); 80% required."
    )


def test_a_failed_blocker_fails_a_suite_that_passes_otherwise_and_the_rate_is_still_said() -> None:
    judgement = run(variant(blockers_failed=2))
    assert judgement.verdict == "fail"
    assert judgement.sentence == "Suite fails: a blocker failed in 2 cases; 0 allowed."
    assert judgement.reasons[0].startswith("91.7% of 60 cases pass")


def test_of_many_failed_gates_the_headline_tells_the_gravest_and_counts_the_rest() -> None:
    gates = Gates(pass_rate=0.95, p95_latency_ms=1000)
    good, bad = (variant(hits, label=label, blockers_failed=1, latency=latency(2000)) for hits, label in
                 ((50, "good"), (37, "bad")))  # fmt: skip
    judgement = run(good, bad, gates=gates)
    assert judgement.sentence == (
        "Suite fails: bad: 61.7% of 60 cases pass (95% CI 49.0\N{EN DASH}72.9%); 95% required; 5 more gates fail."
    )
    assert [reason.partition(":")[0] for reason in judgement.reasons] == ["bad", "bad", "good", "good", "good"]


def test_a_candidate_never_decides_but_is_told() -> None:
    judgement = run(variant(), variant(10, label="tiny", gating=False, blockers_failed=3))
    assert judgement.verdict == "pass"
    interval = "(95% CI 9.3\N{EN DASH}28.0%)"
    assert judgement.reasons == (
        f"tiny (candidate, not deciding): 16.7% of 60 cases pass {interval}; 80% required.",
        "tiny (candidate, not deciding): a blocker failed in 3 cases; 0 allowed.",
    )
    assert "tiny" not in judgement.sentence


@pytest.mark.parametrize(
    ("stop_reason", "verdict", "sentence"),
    [
        ("budget", "budget", "Incomplete: 412 of 1,000 answers; stopped by the $20 limit."),
        ("time", "budget", "Incomplete: 412 of 1,000 answers; stopped by the time limit of 10 min 00 s."),
        ("interrupted", "interrupted", "Incomplete: 412 of 1,000 answers; interrupted before the end."),
        ("", "inconclusive", "Incomplete: 412 of 1,000 answers; stopped before the end."),
    ],
)
def test_an_incomplete_run_has_no_verdict_on_quality(stop_reason: str, verdict: str, sentence: str) -> None:
    judgement = run(
        variant(0, 60, blockers_failed=9), complete=False, stop_reason=stop_reason,
        cells_done=412, cells_total=1000, cap_usd=Decimal("20.00"), max_seconds=600,
    )  # fmt: skip
    assert (judgement.verdict, judgement.sentence) == (verdict, sentence)
    assert judgement.reasons[0].endswith("so far.")


def test_an_outage_comes_before_a_fail() -> None:
    judgement = run(variant(10, 60, answers=100, errors={"server_error": 40}, blockers_failed=1))
    assert judgement.verdict == "provider_error"
    assert judgement.sentence == ("No verdict on quality: 40.0% of 100 calls failed (server_error 40); at most 5% may.")


def test_an_outage_of_a_candidate_alone_is_no_outage() -> None:
    assert run(variant(), variant(gating=False, label="b", errors={"timeout": 50})).verdict == "pass"


def test_a_fail_comes_before_an_open_gate() -> None:
    gates = Gates(pass_rate=0.8, p95_latency_ms=100)
    assert run(variant(10), gates=gates).verdict == "fail"
    open_ = run(variant(), gates=gates)
    assert open_.verdict == "inconclusive"
    assert open_.sentence == ("Not enough to tell: 0 latencies measured; a 95th percentile needs 20.")


def test_an_interval_across_the_limit_is_inconclusive_where_confidence_is_asked_for() -> None:
    judgement = run(variant(49), gates=Gates(pass_rate=0.8, confident=True))
    assert judgement.verdict == "inconclusive"
    assert "the whole interval has to clear 80%" in judgement.sentence


@pytest.mark.parametrize("gates", [Gates(), NONE])
def test_a_run_that_judged_nothing_is_not_a_pass(gates: Gates) -> None:
    empty = variant(0, 0, verdicts={"skipped": 4}, answers=4)
    assert run(empty, gates=gates).verdict == "inconclusive"
    assert run(variant(gating=False), gates=gates).verdict == "inconclusive"
    assert run(gates=gates).verdict == "inconclusive"


def test_simulated_answers_are_called_so_before_anything_else() -> None:
    assert run(variant(simulated=True)).sentence.startswith("SIMULATED: Suite passes: ")
    stopped = run(variant(simulated=True), complete=False, stop_reason="budget", cells_total=9)
    assert stopped.sentence == "SIMULATED: Incomplete: 0 of 9 answers; stopped by the cost limit."


def test_what_is_not_in_the_rate_is_told_beside_it() -> None:
    given = variant(verdicts={"pass": 55, "fail": 2, "flaky": 3, "error": 1, "skipped": 2}, unpriced=1, contaminated=2)
    assert run(given).reasons == (
        "3 cases are flaky.",
        "Not in the pass rate: 1 case ended in an error and 2 cases were skipped.",
        "2 answers came from another model than the one asked for.",
        "The cost of 1 answer is not known.",
    )
    assert run(given, variant(label="small")).reasons[0] == "large: 3 cases are flaky."


def test_no_pass_rate_is_said_twice() -> None:
    gates = Gates(pass_rate=0.8, confident=True)
    given = (variant(37), variant(37, label="b"), variant(49, label="tiny", gating=False))
    for stop in ({}, {"complete": False, "stop_reason": "budget"}):
        judgement = run(*given, gates=gates, **stop)
        told = " ".join((judgement.sentence, *judgement.reasons))
        assert told.count(" of 60 cases pass") == 3
    assert run(variant(), variant(49, label="b")).sentence.endswith("for large; 81.7% of 60 cases pass "
                                                                    "(95% CI 70.1\N{EN DASH}89.4%) for b.")  # fmt: skip


def test_every_verdict_has_its_own_exit_code_and_two_is_kept() -> None:
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert 2 not in EXIT_CODES.values()
