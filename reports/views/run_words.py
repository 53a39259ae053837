"""The first screen of a run report: verdict, decision, money, risk and what to do next, each in a few words."""

import shlex
from collections import Counter
from decimal import Decimal
from math import ceil

from evaluations.answers import ErrorKind
from evaluations.results import GateResult, RunResult, VariantResult
from evaluations.verdicts import NOT_CALLED, RunVerdict, Verdict
from reports.format import count, duration, money, one_line, share, share_interval
from reports.views.parts import Banner, Fact, Kpi, Status
from reports.views.parts import Verdict as Headline

FEW_CASES = 30
"""Below this an interval of a pass rate is wider than about 30 points: the page says so."""

VERDICT_STATUS: dict[Verdict, Status] = {
    "fail": Status("Failed", "bad", "cross"),
    "flaky": Status("Flaky", "warn", "wave"),
    "error": Status("Error", "warn", "bang"),
    "pass": Status("Passed", "good", "check"),
    "skipped": Status("Skipped", "plain", "dash"),
}
RUN_STATUS: dict[RunVerdict, Status] = {
    "pass": Status("Passed", "good", "check"),
    "fail": Status("Failed", "bad", "cross"),
    "inconclusive": Status("Cannot tell", "warn", "wave"),
    "provider_error": Status("No verdict", "warn", "bang"),
    "budget": Status("Stopped by a limit", "warn", "bang"),
    "interrupted": Status("Interrupted", "warn", "bang"),
}
GATE_NAMES = {
    "pass_rate": "Pass rate",
    "blockers": "Blockers",
    "error_share": "Error share",
    "cost_usd": "Cost",
    "p95_latency_ms": "p95 latency",
}
ERROR_NAMES: dict[ErrorKind, str] = {
    "timeout": "timed out",
    "rate_limited": "rate limited",
    "server_error": "server error",
    "connection": "no connection",
    "bad_reply": "unreadable reply",
    "auth": "key refused",
    "unknown_model": "unknown model",
    "bad_request": "refused as malformed",
    "context_length": "too long for the model",
    "content_filter": "stopped by a content filter",
    "circuit_open": "not called, provider was failing",
    "budget": "not called, beyond a cost limit",
    "abandoned": "in flight at the kill",
    "no_recording": "no recording",
    "prompt": "prompt could not be filled in",
    "interrupted": "interrupted",
    "simulated": "simulated failure",
}
RECORDED = "replay/"
"""How the names of models begin whose answers are read from a recording."""
STOP_WORDS = {
    "budget": "stopped by the budget",
    "time": "stopped by the time limit",
    "interrupted": "interrupted",
    "decided": "stopped because every pair of models was decided",
}


def gate_name(gate: str) -> str:
    return GATE_NAMES.get(gate, gate.replace("_", " "))


def named(variant: VariantResult, limit: int = 80) -> str:
    """The name of a variant, marked when it is a candidate."""
    return one_line(variant.label, limit) + ("" if variant.gating else " (candidate)")


def deciding(result: RunResult) -> tuple[VariantResult, ...]:
    """The variants whose gates make the verdict; all of them where none is named."""
    return tuple(variant for variant in result.variants if variant.gating) or result.variants


def status_of_gate(gate: GateResult) -> Status:
    if gate.passed is None:
        return Status("Cannot tell", "warn", "wave")
    return Status("Holds", "good", "check") if gate.passed else Status("Fails", "bad", "cross")


def lead_variant(result: RunResult) -> VariantResult | None:
    """The variant that decides the run: of the gating ones, the one with a failed gate or the lowest pass rate."""
    gating = deciding(result)
    if not gating:
        return None
    failed = {gate.variant for gate in result.gates if gate.passed is False}

    def interest(variant: VariantResult) -> tuple[bool, float]:
        return variant.label not in failed, variant.pass_rate.value if variant.pass_rate else -1.0

    return min(gating, key=interest)


def marks(result: RunResult) -> tuple[str, ...]:
    """What has to stand before any verdict on answers that nobody really gave."""
    return (*(("SIMULATED",) if result.simulated else ()), *(("Sample data",) if result.sample_data else ()))


def headline(result: RunResult) -> Headline:
    """The run's own sentence, its first words in the tone of the verdict."""
    status = RUN_STATUS[result.verdict]
    sentence = one_line(result.sentence or f"{status.word}.", 400)
    for mark in ("SIMULATED", "Sample data"):
        # The page sets its marks apart; a sentence made for terminals carries them in front.
        sentence = sentence.removeprefix(f"{mark}: ").removeprefix(f"{mark}. ")
    head, colon, rest = sentence.partition(":")
    if colon and len(head) <= 32:
        return Headline(status.tone, head + colon, rest)
    return Headline(status.tone, sentence, "")


def banners(result: RunResult) -> tuple[Banner, ...]:
    """What changes how everything below has to be read."""
    shown: list[Banner] = []
    if result.simulated:
        pretended = [variant.label for variant in result.variants if variant.simulated]
        whose = _names(pretended) if 0 < len(pretended) < len(result.variants) else "All variants"
        shown.append(Banner("warn", "SIMULATED.", f"{whose}: no model was asked. Accuracy, latency and errors "
                            "follow a declared profile and say nothing about a real model."))  # fmt: skip
    if result.sample_data:
        shown.append(Banner("plain", "Sample data.", "These cases and answers were made up for demonstration."))
    if not result.complete:
        why = STOP_WORDS.get(result.stop_reason, result.stop_reason)
        if result.stop_reason == "budget" and result.cap_usd is not None:
            why = f"stopped by the {money(result.cap_usd, trim=True)} limit"
        progress = f"{count(result.cells_done)} of {count(result.cells_total, 'answer')}"
        # A run that stopped has not compared anything to its end.
        text = f"{progress}{'; ' + why if why else ''}. What is here stands; what is missing is not in any number."
        shown.append(Banner("warn", "Incomplete:", text))
    if result.rescored_from:
        text = f"The answers are those of run {result.rescored_from}; they were scored again and no model was called."
        shown.append(Banner("plain", "Rescored.", text))
    return tuple(shown)


def facts(result: RunResult, *, failed_id: str | None) -> tuple[Fact, ...]:
    """Decision, money, risk and next step. `failed_id` is where the cases that need a look stand, if any do."""
    return (
        _decision(result),
        _money(result),
        _risk(result),
        _next(result, failed_id),
    )


def kpis(result: RunResult) -> tuple[Kpi, ...]:
    """Pass rate, cost, p95 latency and what needs a look, of the variant that decides."""
    lead = lead_variant(result)
    of = f"{one_line(lead.label, 60)}: " if lead is not None and len(result.variants) > 1 else ""
    rate = lead.pass_rate if lead else None
    if rate is None:
        quality = Kpi(label="Pass rate", value="unknown", note=f"{of}no answer could be judged")
    else:
        confidence = f"{rate.confidence * 100:g}% CI {share_interval(rate.low, rate.high)}, n = {count(rate.n)}"
        quality = Kpi(label="Pass rate", value=share(rate.value), note=of + confidence,
                      status=_gate_status(result, lead, "pass_rate"))  # fmt: skip
    latency = lead.latency if lead else None
    if latency is None:
        speed = Kpi(label="Latency, p95", value="unknown", note=f"{of}not measured")
    else:
        beside = f"{of}p50 {duration(latency.p50)}, n = {count(latency.n)}"
        speed = Kpi(label="Latency, p95", value=duration(latency.p95), note=beside,
                    status=_gate_status(result, lead, "p95_latency_ms"))  # fmt: skip
    if lead is None or not sum(lead.verdicts.values()):
        look = Kpi(label="Cases that did not pass", value="unknown", note=f"{of}no case was answered")
    else:
        failed, flaky, errors = (lead.verdicts.get(verdict, 0) for verdict in ("fail", "flaky", "error"))
        beside = f"{of}{count(failed)} failed, {count(flaky)} flaky, {count(errors, 'error')}, "
        total = sum(lead.verdicts.values())
        look = Kpi(label="Cases that did not pass", value=count(failed + flaky + errors),
                   note=f"{beside}of {count(total, 'case')}")  # fmt: skip
    return quality, _cost_kpi(result), speed, look


def _gate_status(result: RunResult, variant: VariantResult | None, gate: str) -> Status | None:
    for candidate in result.gates:
        if variant is not None and candidate.variant == variant.label and candidate.gate == gate:
            status = status_of_gate(candidate)
            return Status(f"{status.word}: {candidate.limit}", status.tone, status.sign)
    return None


def _cost_kpi(result: RunResult) -> Kpi:
    answers, unpriced = _answers(result), sum(variant.unpriced for variant in result.variants)
    cached = sum(variant.cached for variant in result.variants)
    if not _calls(result):
        return Kpi(label="Cost of the run", value="$0", note="nothing was called")
    if unpriced >= answers > 0:
        return Kpi(
            label="Cost of the run",
            value="unpriced",
            note=f"no price is known for {count(answers, 'answer')}",
        )
    kind = _unpaid(result)
    note = f"for {count(answers, f'{kind} answer' if kind else 'answer')}"
    if cached:
        saved = sum((variant.saved_usd for variant in result.variants), Decimal(0))
        note += f", {count(cached)} from the cache (saved {money(saved)})"
    if result.judge_cost_usd > 0:
        note += f", judges {money(result.judge_cost_usd)}"
    status = Status(f"and {count(unpriced)} unpriced", "warn", "bang") if unpriced else None
    return Kpi(label="Cost of the run", value=money(result.cost_usd), note=note, status=status)


def _calls(result: RunResult) -> int:
    """Cells that were asked for, whether an answer came or not."""
    return sum(variant.answers for variant in result.variants)


def _answers(result: RunResult) -> int:
    """Answers that came."""
    return _calls(result) - sum(sum(variant.errors.values()) for variant in result.variants)


def _decision(result: RunResult) -> Fact:
    status = RUN_STATUS[result.verdict]
    labels = [variant.label for variant in deciding(result)]
    gates = [gate for gate in result.gates if gate.variant in labels]
    if not gates:
        rule = "The suite declares no gate."
    else:
        failed = [gate for gate in gates if gate.passed is False]
        unknown = [gate for gate in gates if gate.passed is None]
        if failed or unknown:
            told = (f"{count(len(failed))} of {count(len(gates), 'gate')} {'fails' if len(failed) == 1 else 'fail'}"
                    if failed else f"{count(len(unknown))} of {count(len(gates), 'gate')} cannot tell")  # fmt: skip
            told += "" if result.complete else " so far"
            rule = f"{told}, as set before the run: {_gates_named(result, failed or unknown)}."
        else:
            held = (
                "The one gate holds"
                if len(gates) == 1
                else "Both gates hold"
                if len(gates) == 2
                else f"All {count(len(gates))} gates hold"
            )
            if len(labels) == 1 < len(result.variants):
                held += f" for {one_line(labels[0], 40)}"
            held += "" if result.complete else " so far"
            rule = f"{held}, as set before the run."
    return Fact(label="Decision", status=status, sentences=(rule,))


def _gates_named(result: RunResult, gates: list[GateResult]) -> str:
    """The names of some gates, by variant where there are several: "pass rate and cost of small; cost of large"."""
    by_variant: dict[str, list[str]] = {}
    for gate in gates:
        name = gate_name(gate.gate)
        by_variant.setdefault(gate.variant, []).append(name[:1].lower() + name[1:])
    told = []
    for label, names in list(by_variant.items())[:3]:
        listed = " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
        told.append(f"{listed} of {one_line(label, 40)}" if len(result.variants) > 1 else listed)
    left = len(by_variant) - 3
    return "; ".join(told) + (f"; and of {count(left, 'more variant')}" if left > 0 else "")


def _money(result: RunResult) -> Fact:
    answers = _answers(result)
    unpriced = sum(variant.unpriced for variant in result.variants)
    if not _calls(result):
        return Fact(label="What it cost", status=None, sentences=("Nothing: no model was called.",))
    if unpriced >= answers > 0:
        words = f"Unknown: no price is known for {count(answers, 'answer')}. Add price rows, then reprice."
        return Fact(label="What it cost", status=None, sentences=(words,))
    at_least = "At least " if unpriced else ""
    sentences = [f"{at_least}{_bill(result, answers - unpriced, 'priced answer' if unpriced else 'answer')}."]
    lead = lead_variant(result)
    if lead is not None and (thousand := per_thousand(lead)):
        whose = f"{one_line(lead.label, 40)}: " if len(result.variants) > 1 else ""
        sentences.append(f"{whose}{money(thousand)} per 1,000 answers.")
    if result.cap_usd is not None and result.cap_usd > 0:
        used = share(float(result.cost_usd / result.cap_usd))
        sentences.append(f"{used} of the {money(result.cap_usd, trim=True)} limit.")
    if kind := _unpaid(result):
        sentences.append(f"Answers are {kind}: nothing was paid for them now.")
    return Fact(label="What it cost", status=None, sentences=(" ".join(sentences),))


def _unpaid(result: RunResult) -> str:
    """What the answers are where none of them was paid for in this run; what they cost is what they would."""
    if all(variant.model.startswith(RECORDED) for variant in result.variants):
        return "recorded"
    return "simulated" if all(variant.simulated for variant in result.variants) else ""


def _bill(result: RunResult, answers: int, noun: str) -> str:
    """All the money and its parts: answers, judges, and what was paid for calls whose answers are not here."""
    spent = sum((variant.cost_usd for variant in result.variants), Decimal(0))
    again = result.cost_usd - spent - result.judge_cost_usd
    for_answers = f"for {count(answers, noun)}"
    parts = [f"{money(spent)} {for_answers}"]
    if result.judge_cost_usd > 0:
        parts.append(f"{money(result.judge_cost_usd)} for judges")
    if again > 0:
        parts.append(f"{money(again)} for calls that were made again")
    if len(parts) == 1 or again < 0:
        return f"{money(result.cost_usd)} {for_answers}"
    return f"{money(result.cost_usd)} in all: {', '.join(parts)}"


def per_thousand(variant: VariantResult) -> Decimal | None:
    """Dollars per 1,000 answers, over those that came, were called for and priced; None when there are none."""
    paid = variant.answers - sum(variant.errors.values()) - variant.unpriced - variant.cached
    return variant.cost_usd / paid * 1000 if paid > 0 else None


def risks(result: RunResult) -> tuple[str, ...]:
    """What could change the verdict, gravest first; one sentence each. Candidates cannot change it."""
    found: list[str] = []
    lead, variants = lead_variant(result), deciding(result)
    told = {gate.gate for gate in result.gates if gate.passed is False and gate.variant in {v.label for v in variants}}
    blockers = {variant.label: variant.blockers_failed for variant in variants}
    if (total := sum(blockers.values())) and "blockers" not in told:  # a gate that fails says it already
        found.append(f"{count(total, 'case')} {'fails' if total == 1 else 'fail'} a blocker{_on(result, blockers)}.")
    if result.in_flight:
        cost = [call.possible_cost_usd for call in result.in_flight]
        known = sum((part for part in cost if part is not None), Decimal(0))
        bill = "cost unknown" if all(part is None for part in cost) else f"up to {money(known)}"
        many = count(len(result.in_flight), "call")
        found.append(f"{many} in flight at a kill may have been billed ({bill}).")
    failed = {variant.label: _failed_calls(variant) for variant in variants}
    kinds = sum(failed.values(), Counter())
    if total := kinds.total():
        said = ", ".join(f"{count(number)} {ERROR_NAMES[kind]}" for kind, number in kinds.most_common(2))
        where = f"{_on(result, {label: each.total() for label, each in failed.items()})} ({said})"
        where = where.replace(") (", "; ")  # one pair of brackets says both
        found.append(f"{count(total, 'call')} failed{where} and {'is' if total == 1 else 'are'} in no mean.")
    for variant in variants:
        if variant.routed_to:
            shares = ", ".join(f"{one_line(name, 40)} {count(number)}" for name, number in variant.routed_to.items())
            found.append(f"{one_line(variant.label, 40)} is a route; who answered: {shares}.")
    for field, words in (
        ("contaminated", "came from another model than the one asked"),
        ("fallbacks", "came from a declared fallback, in no comparison"),
    ):
        counts = {variant.label: int(getattr(variant, field)) for variant in variants}
        if total := sum(counts.values()):
            found.append(f"{count(total, 'answer')}{_on(result, counts)} {words}.")
    counts = {variant.label: variant.verdicts.get("flaky", 0) for variant in variants}
    if total := sum(counts.values()):
        found.append(
            f"{count(total, 'case')} {'is' if total == 1 else 'are'} flaky{_on(result, counts)}: neither pass nor fail "
            "is sure."
        )
    counts = {variant.label: variant.unpriced for variant in variants}
    if total := sum(counts.values()):
        verb = "is" if total == 1 else "are"
        found.append(f"{count(total, 'answer')} {verb} unpriced{_on(result, counts)}: the true cost is higher.")
    counts = {variant.label: variant.verdicts.get("skipped", 0) for variant in variants}
    if total := sum(counts.values()):
        found.append(f"{count(total, 'case was', 'cases were')} skipped{_on(result, counts)}: in no pass rate.")
    if total := sum(scorer.unscored for variant in variants for scorer in variant.scorers):
        found.append(f"{count(total, 'judgement')} could not be made: unscored, not zero.")
    if lead is not None and lead.pass_rate is not None and lead.pass_rate.n < FEW_CASES:
        found.append(f"Only {count(lead.pass_rate.n, 'case')} could be judged: the interval is wide.")
    if result.quarantined:
        rows = len(result.quarantined)
        found.append(f"{count(rows, 'row')} of the dataset {'was' if rows == 1 else 'were'} left out as broken.")
    for variant in variants:
        if variant.retried >= 10 and variant.retried_score is not None and variant.score is not None:
            gap = variant.retried_score - variant.score
            if abs(gap) >= 0.1:
                found.append(f"Answers of {one_line(variant.label, 40)} that took a retry score "
                             f"{abs(gap) * 100:.0f} pts {'higher' if gap > 0 else 'lower'} than the rest.")  # fmt: skip
    return tuple(found)


def of_candidates(result: RunResult) -> tuple[str, ...]:
    """What a reader of a candidate's numbers has to know, in a sentence for each."""
    decisive = {variant.label for variant in deciding(result)}
    found = []
    for variant in result.variants:
        if variant.label in decisive:
            continue
        failed = _failed_calls(variant).total()
        parts = [
            count(number, one, many)
            for number, one, many in (
                (failed, "failed call", "failed calls"),
                (variant.contaminated, "answer of another model", "answers of another model"),
                (variant.fallbacks, "answer of a fallback", "answers of a fallback"),
                (variant.verdicts.get("flaky", 0), "flaky case", "flaky cases"),
                (variant.verdicts.get("skipped", 0), "skipped case", "skipped cases"),
                (variant.unpriced, "unpriced answer", "unpriced answers"),
                (sum(scorer.unscored for scorer in variant.scorers), "unscored judgement", "unscored judgements"),
            )
            if number
        ]
        if parts:
            found.append(f"{one_line(variant.label, 40)} (candidate, not deciding): {', '.join(parts)}.")
    return tuple(found)


def _failed_calls(variant: VariantResult) -> Counter[ErrorKind]:
    """Calls that the provider failed: those that were never made are no failures of its."""
    return Counter({kind: number for kind, number in variant.errors.items() if kind not in NOT_CALLED and number})


def _on(result: RunResult, counts: dict[str, int]) -> str:
    """Which variants a count is about: " on large", " (large 1, small 2)"; nothing where there is but one."""
    some = [(label, number) for label, number in counts.items() if number]
    if len(result.variants) == 1 or len(some) > 3:
        return ""
    if len(some) == 1:
        return f" on {one_line(some[0][0], 40)}"
    return f" ({', '.join(f'{one_line(label, 40)} {count(number)}' for label, number in some)})"


def _risk(result: RunResult) -> Fact:
    found = risks(result)
    if not _calls(result) and not found:
        return Fact(label="What could change this", status=None, sentences=("Everything: there are no answers yet.",))
    if not found:
        calm = "Nothing stands out: no failed blocker, no error, no flaky case, every answer priced."
        return Fact(label="What could change this", status=None, sentences=(calm,))
    link = (f"{count(len(found) - 2)} more to keep in mind", "caveats") if len(found) > 3 else None
    return Fact(label="What could change this", status=None, sentences=found[: 2 if link else 3], link=link)


def _next(result: RunResult, failed_id: str | None) -> Fact:
    """One step, and the command that takes it."""
    run, suite = shlex.quote(result.run_id), shlex.quote(result.suite)
    resume = f"assay run --resume {run}"
    errors = sum(sum(variant.errors.values()) for variant in result.variants)
    link: tuple[str, str] | None = None
    command = ""
    if not result.cells_done:
        words, command = "Nothing was answered yet. Run the suite.", f"assay run {suite}"
        if result.cells_total and not result.complete:
            command = resume
    elif not result.complete and result.stop_reason == "budget":
        words, command = (
            "Raise the limit and resume: what was answered is not paid for again.",
            f"{resume} --max-cost USD",
        )
    elif not result.complete:
        words, command = "Resume: what was answered is not called again.", resume
    elif result.verdict == "provider_error":
        words, command = f"Call the {count(errors, 'failed answer')} again.", f"{resume} --retry-errors"
    elif result.verdict == "inconclusive":
        words, command = _more_cases(result), f"assay runs show {run}"
    elif result.verdict == "pass" and not failed_id:
        words = "Nothing to fix."
    elif result.verdict == "pass":
        words = "Nothing has to be fixed. Some cases are worth a look."
    else:
        words, command = "Read what failed, gravest first.", f"assay runs show {run}"
    if failed_id:
        link = ("To the cases", failed_id)
    return Fact(label="Next step", status=None, sentences=(words,), command=command, link=link)


def _more_cases(result: RunResult) -> str:
    """How many more cases would settle a rate this far from its gate, when that can be said."""
    lead = lead_variant(result)
    limit = pass_rate_limit(result)
    if lead is None or lead.pass_rate is None or limit is None:
        return "Add cases or repeats until the interval clears the gate."
    rate = lead.pass_rate
    distance = abs(rate.value - limit)
    # The normal approximation's n for a half-width of that distance (Cochran 1977, section 4.4).
    needed = ceil(1.96**2 * max(rate.value * (1 - rate.value), 0.01) / distance**2) if distance >= 0.002 else 0
    if not rate.n < needed < 100_000:
        return "Add cases or repeats until the interval clears the gate."
    more = needed - rate.n
    rounded = -(-more // 10) * 10 if more < 1000 else -(-more // 100) * 100
    return f"About {count(rounded, 'more case', 'more cases')} would settle a rate this far from the gate."


def pass_rate_limit(result: RunResult) -> float | None:
    """The pass-rate gate as a fraction."""
    return next((gate.limit_value for gate in result.gates if gate.gate == "pass_rate"), None)


def latency_limit(result: RunResult, variant: str) -> float | None:
    """The p95 gate of a variant in milliseconds."""
    gates = (gate for gate in result.gates if gate.gate == "p95_latency_ms" and gate.variant == variant)
    return next((gate.limit_value for gate in gates), None)


def _names(labels: list[str]) -> str:
    shown = [one_line(label, 40) for label in labels[:3]]
    return ", ".join(shown) + (f" and {count(len(labels) - 3)} more" if len(labels) > 3 else "")
