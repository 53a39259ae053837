"""The first screen of a run report: verdict, decision, money, risk and what to do next, each in a few words."""

import re
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
    "budget": "not called, budget spent",
    "abandoned": "in flight at the kill",
    "no_recording": "no recording",
    "prompt": "prompt could not be filled in",
    "interrupted": "interrupted",
    "simulated": "simulated failure",
}
STOP_WORDS = {
    "budget": "stopped by the budget",
    "time": "stopped by the time limit",
    "interrupted": "interrupted",
}


def gate_name(gate: str) -> str:
    return GATE_NAMES.get(gate, gate.replace("_", " "))


def status_of_gate(gate: GateResult) -> Status:
    if gate.passed is None:
        return Status("Cannot tell", "warn", "wave")
    return Status("Holds", "good", "check") if gate.passed else Status("Fails", "bad", "cross")


def lead_variant(result: RunResult) -> VariantResult | None:
    """The variant that decides the run: of the gating ones, the one with a failed gate or the lowest pass rate."""
    gating = [variant for variant in result.variants if variant.gating] or list(result.variants)
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


def facts(result: RunResult, *, failed_id: str | None, caveats: tuple[str, ...]) -> tuple[Fact, ...]:
    """Decision, money, risk and next step. `failed_id` is where the cases that need a look stand, if any do."""
    return (
        _decision(result),
        _money(result),
        _risk(caveats, answered=_answers(result) > 0),
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
            return Status(f"{status.word}: limit {candidate.limit}", status.tone, status.sign)
    return None


def _cost_kpi(result: RunResult) -> Kpi:
    answers, unpriced = _answers(result), sum(variant.unpriced for variant in result.variants)
    cached = sum(variant.cached for variant in result.variants)
    if not answers:
        return Kpi(label="Cost of the run", value="$0", note="nothing was called")
    if unpriced >= answers:
        return Kpi(
            label="Cost of the run",
            value="unpriced",
            note=f"no price is known for {count(answers, 'answer')}",
        )
    note = f"for {count(answers, 'answer')}"
    if cached:
        saved = sum((variant.saved_usd for variant in result.variants), Decimal(0))
        note += f", {count(cached)} from the cache (saved {money(saved)})"
    status = Status(f"and {count(unpriced)} unpriced", "warn", "bang") if unpriced else None
    return Kpi(label="Cost of the run", value=money(result.cost_usd), note=note, status=status)


def _answers(result: RunResult) -> int:
    return sum(variant.answers for variant in result.variants)


def _decision(result: RunResult) -> Fact:
    status = RUN_STATUS[result.verdict]
    deciding = {variant.label for variant in result.variants if variant.gating}
    gates = [gate for gate in result.gates if gate.variant in deciding or not deciding]
    if not gates:
        rule = "The suite declares no gate."
    else:
        failed = [gate for gate in gates if gate.passed is False]
        unknown = [gate for gate in gates if gate.passed is None]
        if failed or unknown:
            lead = lead_variant(result)
            # The gate that the headline speaks of comes first: one page, one story.
            worst = min(
                failed or unknown,
                key=lambda gate: (lead is None or gate.variant != lead.label, gate.gate != "pass_rate"),
            )
            told = (f"{count(len(failed))} of {count(len(gates), 'gate')} {'fails' if len(failed) == 1 else 'fail'}"
                    if failed else f"{count(len(unknown))} of {count(len(gates), 'gate')} cannot tell")  # fmt: skip
            whose = f" of {one_line(worst.variant, 40)}" if len(result.variants) > 1 else ""
            told += "" if result.complete else " so far"
            measured = f"{one_line(worst.value, 60)}; limit {one_line(worst.limit, 40)}"
            rule = f"{told}, as set in the suite before the run: {gate_name(worst.gate).lower()}{whose} {measured}."
        else:
            held = (
                "The one gate holds"
                if len(gates) == 1
                else "Both gates hold"
                if len(gates) == 2
                else f"All {count(len(gates))} gates hold"
            )
            held += "" if result.complete else " so far"
            rule = f"{held}, as set in the suite before the run."
    return Fact(label="Decision", status=status, sentences=(rule,))


def _money(result: RunResult) -> Fact:
    answers = _answers(result)
    unpriced = sum(variant.unpriced for variant in result.variants)
    if not answers:
        return Fact(label="What it cost", status=None, sentences=("Nothing: no model was called.",))
    if unpriced >= answers:
        words = f"Unknown: no price is known for {count(answers, 'answer')}. Add price rows, then reprice."
        return Fact(label="What it cost", status=None, sentences=(words,))
    sentences = []
    at_least = "At least " if unpriced else ""
    words = (
        f"{at_least}{money(result.cost_usd)} for {count(answers - unpriced, 'priced answer' if unpriced else 'answer')}"
    )
    cached = sum(variant.cached for variant in result.variants)
    paid = answers - unpriced - cached
    spent = sum((variant.cost_usd for variant in result.variants), Decimal(0))
    if paid > 0 and spent > 0:
        words += f", {money(spent / paid * 1000)} per 1,000"
    sentences.append(words + ".")
    if result.judge_cost_usd > 0:
        included = result.cost_usd >= spent + result.judge_cost_usd
        sentences.append(f"Judges: {money(result.judge_cost_usd)} {'of it' if included else 'besides'}.")
    if result.cap_usd is not None and result.cap_usd > 0:
        used = share(float(result.cost_usd / result.cap_usd))
        sentences.append(f"{used} of the {money(result.cap_usd, trim=True)} limit.")
    return Fact(label="What it cost", status=None, sentences=(" ".join(sentences),))


def caveats(result: RunResult) -> tuple[str, ...]:
    """Everything that could change what the page says, gravest first; one sentence each."""
    found: list[str] = []
    blockers = sum(variant.blockers_failed for variant in result.variants if variant.gating)
    if blockers:
        over = sum(variant.blockers_failed > 0 for variant in result.variants if variant.gating)
        across = f", over {count(over, 'variant')}" if over > 1 else ""
        found.append(f"{count(blockers, 'case')} {'fails' if blockers == 1 else 'fail'} a blocker{across}.")
    if result.in_flight:
        cost = [call.possible_cost_usd for call in result.in_flight]
        known = sum((part for part in cost if part is not None), Decimal(0))
        bill = "cost unknown" if all(part is None for part in cost) else f"up to {money(known)}"
        many = count(len(result.in_flight), "call")
        found.append(f"{many} in flight at a kill may have been billed ({bill}).")
    errors: Counter[ErrorKind] = Counter()
    for variant in result.variants:
        errors.update(variant.errors)
    # Calls that were never made are not the provider's failures; the banner says how far the run came.
    failed = Counter({kind: number for kind, number in errors.items() if kind not in NOT_CALLED and number})
    if total := sum(failed.values()):
        kinds = ", ".join(f"{count(number)} {ERROR_NAMES[kind]}" for kind, number in failed.most_common(2))
        found.append(f"{count(total, 'call')} failed ({kinds}) and {'is' if total == 1 else 'are'} in no mean.")
    if other := sum(variant.contaminated for variant in result.variants):
        found.append(f"{count(other, 'answer')} came from another model than the one asked.")
    if fallbacks := sum(variant.fallbacks for variant in result.variants):
        found.append(f"{count(fallbacks, 'answer')} came from a declared fallback and are in no comparison.")
    if flaky := sum(variant.verdicts.get("flaky", 0) for variant in result.variants):
        across = " over all variants" if len(result.variants) > 1 else ""
        found.append(
            f"{count(flaky, 'case')} {'is' if flaky == 1 else 'are'} flaky{across}: neither pass nor fail is sure."
        )
    if unpriced := sum(variant.unpriced for variant in result.variants):
        found.append(
            f"{count(unpriced, 'answer')} {'is' if unpriced == 1 else 'are'} unpriced: the true cost is higher."
        )
    unscored = sum(scorer.unscored for variant in result.variants for scorer in variant.scorers)
    if unscored:
        found.append(f"{count(unscored, 'judgement')} could not be made: unscored, not zero.")
    lead = lead_variant(result)
    if lead is not None and lead.pass_rate is not None and lead.pass_rate.n < FEW_CASES:
        found.append(f"Only {count(lead.pass_rate.n, 'case')} could be judged: the interval is wide.")
    if result.quarantined:
        rows = len(result.quarantined)
        found.append(f"{count(rows, 'row')} of the dataset {'was' if rows == 1 else 'were'} left out as broken.")
    for variant in result.variants:
        if variant.retried >= 10 and variant.retried_score is not None and variant.score is not None:
            gap = variant.retried_score - variant.score
            if abs(gap) >= 0.1:
                found.append(f"Answers of {one_line(variant.label, 40)} that took a retry score "
                             f"{abs(gap) * 100:.0f} pts {'higher' if gap > 0 else 'lower'} than the rest.")  # fmt: skip
    return tuple(found)


def _risk(found: tuple[str, ...], *, answered: bool) -> Fact:
    if not answered and not found:
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
    """The pass-rate gate as a fraction, read from its declared limit."""
    for gate in result.gates:
        if gate.gate == "pass_rate":
            return _percent_in(gate.limit)
    return None


def latency_limit(result: RunResult, variant: str) -> float | None:
    """The p95 gate of a variant in milliseconds, read from its declared limit."""
    for gate in result.gates:
        if gate.gate == "p95_latency_ms" and gate.variant == variant:
            return _milliseconds_in(gate.limit)
    return None


def _percent_in(words: str) -> float | None:
    found = re.search(r"(\d+(?:\.\d+)?)\s*%", words)
    return float(found.group(1)) / 100 if found else None


def _milliseconds_in(words: str) -> float | None:
    found = re.search(r"(\d[\d,]*(?:\.\d+)?)\s*(ms|s|min)\b", words)
    if not found:
        return None
    return float(found.group(1).replace(",", "")) * {"ms": 1.0, "s": 1000.0, "min": 60_000.0}[found.group(2)]


def _names(labels: list[str]) -> str:
    shown = [one_line(label, 40) for label in labels[:3]]
    return ", ".join(shown) + (f" and {count(len(labels) - 3)} more" if len(labels) > 3 else "")
