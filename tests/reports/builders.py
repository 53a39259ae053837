"""Builders of run results: a test spells out only what it is about."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import sqrt
from typing import Any

from evaluations.answers import ErrorKind, Usage
from evaluations.estimates import Estimate
from evaluations.results import (
    AnswerResult,
    CaseResult,
    GateResult,
    InFlightCall,
    Latency,
    Provenance,
    QuarantinedRow,
    RunResult,
    ScoreResult,
    ScorerResult,
    VariantResult,
)
from evaluations.verdicts import (
    VERDICTS,
    Gates,
    Severity,
    Verdict,
    evaluate_gates,
    verdict_of_run,
)

NOW = datetime(2026, 6, 28, 6, 0, tzinfo=UTC)


def a_rate(passed: int, n: int) -> Estimate | None:
    """The Wilson score interval, written out here so that pages are not checked against themselves."""
    if not n:
        return None
    z, p = 1.959964, passed / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Estimate(
        value=p,
        low=max(0.0, middle - half),
        high=min(1.0, middle + half),
        n=n,
        method="Wilson score interval",
    )


def a_score(
    scorer: str = "label", value: float | None = 1.0, why: str = "", severity: Severity = "major"
) -> ScoreResult:
    passed = None if value is None else value >= 1.0
    return ScoreResult(scorer=scorer, value=value, passed=passed, why=why, severity=severity, weight=1.0)


def an_answer(
    text: str | None = "billing", *, repeat: int = 0, passed: bool | None = True, **given: Any
) -> AnswerResult:
    if given.get("error") is not None:
        text, passed = None, None
    score = None if passed is None else float(passed)
    why = "" if passed else "said 'billing', expected 'refund'"
    values: dict[str, Any] = {
        "score": score,
        "scores": () if text is None else (a_score(value=score, why=why),),
        "latency_ms": None if text is None else 845.0,
        "cost_usd": None if text is None else Decimal("0.0042"),
        "usage": Usage(input_tokens=310, output_tokens=24),
        "model_returned": "m-1",
    }
    return AnswerResult(text=text, repeat=repeat, passed=passed, **{**values, **given})


def a_case(case_id: str = "t-001", verdict: Verdict = "fail", *, variant: str = "small", **given: Any) -> CaseResult:
    if "answers" in given:
        answers = given.pop("answers")
    else:
        outcomes: dict[Verdict, tuple[AnswerResult, ...]] = {
            "pass": (an_answer("refund"),),
            "fail": (an_answer(passed=False),),
            "flaky": (an_answer("refund"), an_answer(passed=False, repeat=1), an_answer("refund", repeat=2)),
            "error": (an_answer(error="timeout", error_message="no reply within 30 s"),),
            "skipped": (an_answer(passed=None),),
        }
        answers = outcomes[verdict]
    judged = [answer for answer in answers if answer.passed is not None]
    values: dict[str, Any] = {
        "description": "",
        "reason": {"fail": "label: said 'billing', expected 'refund'", "flaky": "2 of 3 repeats passed",
                   "error": "timeout: no reply within 30 s"}.get(verdict, ""),
        "inputs": {"ticket": "I was charged twice and want my money back."},
        "expected": "refund",
        "tags": ("refunds",),
        "priority": "medium",
        "pass_rate": a_rate(sum(bool(answer.passed) for answer in judged), len(judged)),
        "failed_severity": "major" if verdict in ("fail", "flaky") else None,
    }  # fmt: skip
    return CaseResult(case_id=case_id, variant=variant, verdict=verdict, answers=answers, **{**values, **given})


def a_latency(samples: list[float]) -> Latency:
    ordered = sorted(samples)
    edges = tuple(float(edge) for edge in range(0, 4001, 100))
    counts = [0] * (len(edges) - 1)
    for value in ordered:
        counts[min(int(value // 100), len(counts) - 1)] += 1

    def at(share: float) -> float:
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    mean = sum(ordered) / len(ordered)
    return Latency(
        n=len(ordered), mean=mean, p50=at(0.5), p95=at(0.95), p99=at(0.99), edges=edges, counts=tuple(counts)
    )


def a_variant(label: str = "small", cases: tuple[CaseResult, ...] = (), **given: Any) -> VariantResult:
    """A variant whose totals are those of its cases."""
    mine = [case for case in cases if case.variant == label]
    answers = [answer for case in mine for answer in case.answers]
    verdicts = Counter(case.verdict for case in mine)
    judged = verdicts["pass"] + verdicts["fail"] + verdicts["flaky"]
    times = [a.latency_ms for a in answers if a.latency_ms is not None and not a.from_cache]
    scores = [answer.score for answer in answers if answer.score is not None]
    errors: Counter[ErrorKind] = Counter(answer.error for answer in answers if answer.error is not None)
    named: dict[str, list[ScoreResult]] = {}
    for answer in answers:
        for score in answer.scores:
            named.setdefault(score.scorer, []).append(score)
    values: dict[str, Any] = {
        "model": f"acme/{label}",
        "prompt": "triage 1.2.0",
        "parameters": {"temperature": 0.2},
        "gating": True,
        "simulated": False,
        "verdicts": {verdict: verdicts[verdict] for verdict in VERDICTS},
        "blockers_failed": sum(case.failed_severity == "blocker" for case in mine),
        "pass_rate": a_rate(verdicts["pass"], judged),
        "score": sum(scores) / len(scores) if scores else None,
        "pass_at": {1: 0.8, 3: 0.93} if any(len(case.answers) > 1 for case in mine) else {},
        "pass_hat": {1: 0.8, 3: 0.71} if any(len(case.answers) > 1 for case in mine) else {},
        "answers": len(answers),
        "errors": dict(errors),
        "scorers": tuple(
            ScorerResult(
                scorer=name, severity=found[0].severity, weight=1.0, threshold=1.0,
                passed=sum(score.passed is True for score in found),
                failed=sum(score.passed is False for score in found),
                unscored=sum(score.value is None for score in found),
                mean=(lambda told: sum(told) / len(told) if told else None)(
                    [score.value for score in found if score.value is not None]),
            )
            for name, found in named.items()
        ),
        "cost_usd": sum((a.cost_usd for a in answers if a.cost_usd is not None), Decimal(0)),
        "unpriced": sum(answer.cost_usd is None and answer.error is None for answer in answers),
        "cached": sum(answer.from_cache for answer in answers),
        "saved_usd": Decimal(0),
        "usage": Usage(input_tokens=310 * len(answers), output_tokens=24 * len(answers)),
        "latency": a_latency(times) if times else None,
        "models_returned": {f"{label}-2026-05-01": len(answers)} if answers else {},
        "contaminated": sum(answer.contaminated for answer in answers),
        "fallbacks": 0,
        "retried": 0,
        "retried_score": None,
    }  # fmt: skip
    return VariantResult(label=label, **{**values, **given})


def a_gate(gate: str = "pass_rate", variant: str = "small", passed: bool | None = True, **given: Any) -> GateResult:
    values = {
        "pass_rate": ("92.0%", "at least 90%", "92.0% reaches 90%", 0.92, 0.9),
        "p95_latency_ms": ("1.69 s", "at most 2 s", "within the limit", 1690.0, 2000.0),
        "cost_usd": ("$0.42", "at most $5", "within the limit", 0.42, 5.0),
        "error_share": ("0%", "at most 2%", "within the limit", 0.0, 0.02),
        "blockers": ("0", "at most 0", "no blocker failed", 0.0, 0.0),
    }[gate]
    names = ("value", "limit", "why", "measured", "limit_value")
    texts: dict[str, Any] = dict(zip(names, values, strict=True))
    return GateResult(gate=gate, variant=variant, passed=passed, **{**texts, **given})


def a_run(cases: tuple[CaseResult, ...] = (), **given: Any) -> RunResult:
    """A finished run over these cases; whatever is not given follows from them."""
    labels = list(dict.fromkeys(case.variant for case in cases)) or ["small"]
    variants = given.pop("variants", None) or tuple(a_variant(label, cases) for label in labels)
    cells = sum(len(case.answers) for case in cases)
    values: dict[str, Any] = {
        "run_id": "run-7f3a91",
        "suite": "ticket-triage",
        "description": "Support ticket triage",
        "dataset": "support-tickets",
        "verdict": "pass",
        "sentence": "Passed: 92.0% of cases pass (95% CI 84.5–96.1%), at or above the gate of 90%.",
        "reasons": (),
        "complete": True,
        "stop_reason": "",
        "cells_done": cells,
        "cells_total": cells,
        "started_at": NOW - timedelta(minutes=2),
        "finished_at": NOW,
        "as_of": NOW,
        "cases_total": len({case.case_id for case in cases}),
        "repeats": max((len(case.answers) for case in cases), default=1),
        "variants": variants,
        "gates": tuple(a_gate(variant=label) for label in labels),
        "cases": cases,
        "cases_left_out": 0,
        "cost_usd": sum((variant.cost_usd for variant in variants), given.get("judge_cost_usd", Decimal(0))),
        "judge_cost_usd": Decimal(0),
        "cap_usd": None,
        "in_flight": (),
        "quarantined": (),
        "simulated": False,
        "sample_data": False,
        "provenance": Provenance(
            code_version="0.1.0+abc1234", suite_hash="5e1f" * 16, dataset="support-tickets", dataset_hash="c0de" * 16,
            prompts={"triage 1.2.0": "beef" * 16}, price_date="2026-06-01", seed=7, platform="Linux, Python 3.11",
        ),
        "actor": "qa@example.org",
    }  # fmt: skip
    return RunResult(**{**values, **given})


TICKETS = (
    ("I was charged twice for May and want the second payment back.", "refund"),
    ("The app crashes when I upload a photo larger than 10 MB.", "bug"),
    ("How do I add a colleague to our workspace?", "how-to"),
    ("Your invoice shows the wrong VAT number. Please correct it before Friday.", "billing"),
    ("Please delete my account and everything you store about me.", "privacy"),
    ("I can't log in since the update; the code by e-mail never arrives.", "access"),
)
LABELS = tuple(label for _, label in TICKETS)


def a_realistic_run(
    n: int = 60, *, seed: int = 7, repeats: int = 3, accuracy: dict[str, float] | None = None
) -> RunResult:
    """Three variants over `n` support tickets: one good and dear, one cheap, one flaky."""
    source = random.Random(seed)
    accuracy = accuracy or {"large": 0.97, "small": 0.9, "mini": 0.82}
    price = {"large": "0.0121", "small": "0.0042", "mini": "0.0006"}
    speed = {"large": 1.4, "small": 0.8, "mini": 0.45}
    cases: list[CaseResult] = []
    for index in range(n):
        ticket, label = TICKETS[index % len(TICKETS)]
        for variant, right in accuracy.items():
            wrong = next(other for other in LABELS[index % 5 :] + LABELS if other != label)
            swings = source.random() < (0.06 if variant == "mini" else 0.02)
            good = source.random() < right
            answers = []
            for repeat in range(repeats):
                passed = good if not swings else repeat % 2 == 0
                if source.random() < 0.008:
                    answers.append(an_answer(repeat=repeat, error="timeout", error_message="no reply within 30 s"))
                    continue
                said = label if passed else wrong
                why = "" if passed else f"said '{said}', expected '{label}'"
                answers.append(
                    an_answer(
                        f"Category: {said}\nReply: Thank you for writing. I have passed this to the {said} team, who "
                        "will answer within one working day.",
                        repeat=repeat, passed=passed,
                        scores=(a_score("label", float(passed), why),
                                a_score("reply_length", 1.0, "", "minor"),
                                a_score("no_promise_of_refund", 1.0 if passed or source.random() > 0.3 else 0.0,
                                        "promises a refund that policy does not allow", "blocker")),
                        latency_ms=round(source.lognormvariate(6.6, 0.45) * speed[variant], 1),
                        cost_usd=Decimal(price[variant]) + Decimal(source.randrange(100)) / 100000,
                        usage=Usage(input_tokens=280 + source.randrange(90), output_tokens=60 + source.randrange(30)),
                        model_returned=f"{variant}-2026-05-01",
                    )
                )  # fmt: skip
            judged = [answer for answer in answers if answer.passed is not None]
            passed_count = sum(bool(answer.passed) for answer in judged)
            verdict: Verdict = (
                "error" if not judged else "pass" if passed_count == len(judged)
                else "fail" if passed_count == 0 else "flaky"
            )  # fmt: skip
            blocked = any(s.passed is False and s.severity == "blocker" for a in answers for s in a.scores)
            reason = {"fail": f"label: said '{wrong}', expected '{label}'",
                      "flaky": f"{passed_count} of {len(judged)} repeats passed"}.get(verdict, "")  # fmt: skip
            cases.append(
                a_case(
                    f"triage-{index + 1:03d}", verdict, variant=variant, answers=tuple(answers), reason=reason,
                    inputs={"ticket": ticket, "customer": "Ms Example, plan Team"}, expected=label,
                    tags=(label, "english"),
                    failed_severity=None if verdict == "pass" else "blocker" if blocked else "major",
                )
            )  # fmt: skip
    order = {verdict: rank for rank, verdict in enumerate(VERDICTS)}
    ordered = tuple(sorted(cases, key=lambda case: order[case.verdict]))
    variants = tuple(
        a_variant(
            label,
            ordered,
            gating=label != "mini",
            prompt="triage 1.3.0" if label == "mini" else "triage 1.2.0",
        )
        for label in accuracy
    )
    limits = Gates(pass_rate=0.9, error_share=0.05, cost_usd=Decimal(5), p95_latency_ms=2000)
    gates = tuple(gate for variant in variants for gate in evaluate_gates(variant, limits))
    judgement = verdict_of_run(variants, gates, complete=True, cells_done=n * repeats, cells_total=n * repeats)
    return a_run(
        ordered,
        variants=variants,
        gates=gates,
        verdict=judgement.verdict,
        sentence=judgement.sentence,
        reasons=judgement.reasons,
        cap_usd=Decimal(20),
        judge_cost_usd=Decimal("0.12"),
        description="Support ticket triage, nightly",
    )


def an_open_call(case_id: str = "t-009", cost: str | None = "0.004") -> InFlightCall:
    return InFlightCall(
        case_id=case_id,
        variant="small",
        repeat=0,
        opened_at=NOW - timedelta(minutes=1),
        possible_cost_usd=None if cost is None else Decimal(cost),
        resolution="called again",
    )


def a_broken_row(line: int = 14, reason: str = "expected: must not be empty") -> QuarantinedRow:
    return QuarantinedRow(line=line, case_id="t-014", reason=reason)


def shown_as(result: RunResult, **changes: Any) -> RunResult:
    """The same result with some of its facts changed."""
    return replace(result, **changes)
