"""The twins of a run report: the same result as JSON, CSV, JUnit XML, Markdown and HTML.

Whatever a model, a prompt or a dataset said is hostile in every one of them: a CSV cell must not become a formula, XML
must stay well-formed, a comment must not mention, link, embed or break out.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal
from xml.etree import ElementTree

from evaluations.changes import sentence_of
from evaluations.results import AnswerResult, CaseResult, GateResult, RunResult, VariantResult
from evaluations.verdicts import Verdict
from reports.files import csv_line, csv_text, jsonable, writable
from reports.format import count, duration, iso, money, money_column, one_line, share, share_interval, visible
from reports.page import SCHEMA_VERSION, render_page
from reports.views.run import TEMPLATE, run_view
from reports.views.run_cases import needing_a_look
from reports.views.run_words import (
    ERROR_NAMES,
    RUN_STATUS,
    deciding,
    gate_name,
    headline,
    marks,
    status_of_gate,
)

COMMENT_LINES = 25
"""A comment longer than this is folded away by those it is for."""
_COMMENT_VARIANTS = 6
_COMMENT_CASES = 5
_COMMENT_GATES = 4
_DID_NOT: dict[Verdict, str] = {"fail": "failed", "flaky": "is flaky", "error": "ended in an error"}

CSV_COLUMNS = (
    "case_id", "variant", "verdict", "reason", "tags", "priority", "repeat", "passed", "score", "error",
    "error_message", "latency_ms", "cost_usd", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "from_cache", "model_returned", "contaminated", "failed_scorers", "inputs", "expected",
    "answer",
)  # fmt: skip


def as_html(result: RunResult) -> str:
    """The report: one self-contained page, the same bytes for the same result."""
    return render_page(TEMPLATE, run_view(result))


def as_json(result: RunResult) -> str:
    """Everything the result knows: money as exact strings, times in UTC, unknown as null; never NaN or Infinity."""
    document = {"schema": f"assay.run/{SCHEMA_VERSION}", **jsonable(result)}
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def as_csv(rows: Iterable[CaseResult]) -> Iterator[str]:
    """One line for each answer, with a head, as they come: `rows` may be a stream of any length.

    Text that a spreadsheet would take for a formula gets a leading `'`. Lines end in CRLF (RFC 4180).
    """
    yield csv_line(CSV_COLUMNS)
    for case in rows:
        # A case without an answer still has its line: it must not vanish from a count.
        for answer in case.answers or (None,):
            yield csv_line(_csv_values(case, answer))


def _csv_values(case: CaseResult, answer: AnswerResult | None) -> list[object]:
    about = [
        csv_text(case.case_id), csv_text(case.variant), case.verdict, csv_text(case.reason),
        csv_text(" ".join(case.tags)), csv_text(case.priority),
    ]  # fmt: skip
    ends = [csv_text(_compact(case.inputs)), csv_text(_compact(case.expected))]
    if answer is None:
        return [*about, *[""] * (len(CSV_COLUMNS) - len(about) - len(ends) - 1), *ends, ""]
    failed = [score.scorer for score in answer.scores if score.passed is False]
    return [
        *about,
        answer.repeat,
        _csv_flag(answer.passed),
        "" if answer.score is None or not math.isfinite(answer.score) else repr(answer.score),
        answer.error or "",
        csv_text(answer.error_message),
        "" if answer.latency_ms is None else repr(answer.latency_ms),
        "" if answer.cost_usd is None else format(answer.cost_usd, "f"),
        answer.usage.input_tokens,
        answer.usage.cached_tokens,
        answer.usage.cache_write_tokens,
        answer.usage.output_tokens,
        answer.usage.reasoning_tokens,
        _csv_flag(answer.from_cache),
        csv_text(answer.model_returned or ""),
        _csv_flag(answer.contaminated),
        csv_text(" ".join(failed)),
        *ends,
        csv_text(answer.text or ""),
    ]


def _compact(value: Any) -> str:
    """Text as it is, anything else as JSON in one line."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(jsonable(value), ensure_ascii=False)


def _csv_flag(value: bool | None) -> str:
    return "" if value is None else "true" if value else "false"


def as_junit(result: RunResult) -> str:
    """JUnit XML: a testsuite for each variant, a testcase for each case.

    A failed or flaky case is a `failure` (type `fail` or `flaky`), an unanswered one an `error`, a skipped one
    `skipped`. A candidate decides nothing and turns no build red: whatever it did not pass is `skipped`, its reasons
    in `system-out`. Only cases that came along are listed; the property `cases_left_out` counts the rest.
    """
    root = ElementTree.Element("testsuites", name=_xml_text(result.suite))
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    seconds = 0.0
    for variant in result.variants:
        cases = [case for case in result.cases if case.variant == variant.label]
        suite = ElementTree.SubElement(root, "testsuite", name=_xml_text(f"{result.suite} / {variant.label}"))
        counts = {
            "tests": len(cases),
            "failures": sum(_junit_outcome(case, variant) == "failure" for case in cases),
            "errors": sum(_junit_outcome(case, variant) == "error" for case in cases),
            "skipped": sum(_junit_outcome(case, variant) == "skipped" for case in cases),
        }
        spent = sum(_seconds(case) for case in cases)
        for name, number in counts.items():
            suite.set(name, str(number))
            totals[name] += number
        suite.set("time", f"{spent:.3f}")
        suite.set("timestamp", iso(result.started_at).removesuffix("Z"))
        seconds += spent
        _junit_properties(suite, result, variant)
        for case in cases:
            _junit_case(suite, result, case, variant)
    for name, number in totals.items():
        root.set(name, str(number))
    root.set("time", f"{seconds:.3f}")
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _junit_properties(suite: ElementTree.Element, result: RunResult, variant: VariantResult) -> None:
    values = {
        "run": result.run_id,
        "verdict": result.verdict,
        "sentence": " ".join((*(f"{mark}:" for mark in marks(result)), result.sentence)),
        "gating": "true" if variant.gating else "false",
        "simulated": "true" if variant.simulated else "false",
        "complete": "true" if result.complete else "false",
        "cases_left_out": str(result.cases_left_out),
    }
    for gate in result.gates:
        if gate.variant == variant.label:
            values[f"gate.{gate.gate}"] = f"{status_of_gate(gate).word}: {gate.value}, limit {gate.limit}"
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in values.items():
        ElementTree.SubElement(properties, "property", name=_xml_text(name), value=_xml_text(value))


def _junit_outcome(case: CaseResult, variant: VariantResult) -> Literal["", "failure", "error", "skipped"]:
    """The element that says how a case ended; none for a pass."""
    if case.verdict == "pass":
        return ""
    if case.verdict == "skipped" or not variant.gating:
        return "skipped"
    return "error" if case.verdict == "error" else "failure"


def _junit_case(suite: ElementTree.Element, result: RunResult, case: CaseResult, variant: VariantResult) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", name=_xml_text(case.case_id), classname=_xml_text(f"{result.suite}.{case.variant}"),
        time=f"{_seconds(case):.3f}",
    )  # fmt: skip
    told = _xml_text(_junit_told(case))
    message = _xml_text(one_line(case.reason or case.verdict, 400))
    outcome = _junit_outcome(case, variant)
    if outcome == "failure":
        ElementTree.SubElement(element, outcome, type=case.verdict, message=message).text = told
    elif outcome == "error":
        kind = next((answer.error for answer in case.answers if answer.error), "error")
        ElementTree.SubElement(element, outcome, type=kind, message=message).text = told
    elif outcome == "skipped":
        if case.verdict != "skipped":
            message = f"candidate, not deciding: {case.verdict}: {message}"
        ElementTree.SubElement(element, outcome, message=message)
    if told:
        ElementTree.SubElement(element, "system-out").text = told


def _junit_told(case: CaseResult) -> str:
    """What every repeat that did not pass said, and why it did not pass."""
    lines: list[str] = []
    for answer in case.answers:
        name = f"repeat {answer.repeat + 1}: "
        if answer.error is not None:
            lines.append(f"{name}{ERROR_NAMES[answer.error]}. {answer.error_message}".rstrip())
            continue
        if answer.passed:
            continue
        reasons = [
            f"{score.scorer} ({score.severity}): {score.why or ('unscored' if score.value is None else 'failed')}"
            for score in answer.scores
            if score.passed is False or score.value is None
        ]
        lines.append(name + ("; ".join(reasons) or "did not pass"))
        lines.append(f"  answer: {one_line(answer.text or '', 1000)}")
    return "\n".join(lines)


def _seconds(case: CaseResult) -> float:
    return sum(answer.latency_ms or 0.0 for answer in case.answers) / 1000


def _xml_text(text: str) -> str:
    """Text that XML 1.0 can hold; what it cannot, and what hides, is named."""
    return writable(visible(text))


def as_markdown(result: RunResult) -> str:
    """A comment for a pull request, at most 25 lines: verdict, variants, gates that do not hold, the first cases."""
    view = headline(result)
    sign = {"good": "✅", "bad": "❌"}.get(view.tone, "⚠️")
    lines = [f"### {sign} {_inert(': '.join((*marks(result), one_line(view.head + view.rest, 300))))}", ""]
    if not result.complete:
        why = f", {result.stop_reason}" if result.stop_reason else ""
        lines += [
            _inert(f"Incomplete: {count(result.cells_done)} of {count(result.cells_total, 'answer')}{why}."),
            "",
        ]
    if result.variants:
        lines += [
            "| Variant | Pass rate (95% CI) | Failed | Flaky | Errors | Cost | p95 |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        shown = result.variants[:_COMMENT_VARIANTS]
        costs = money_column([variant.cost_usd for variant in shown])
        lines += [_comment_row(variant, cost) for variant, cost in zip(shown, costs, strict=True)]
        lines.append("")
    decisive = {variant.label for variant in deciding(result)}
    unheld = [gate for gate in result.gates if gate.passed is not True]
    if own := [gate for gate in unheld if gate.variant in decisive]:
        told = "; ".join(
            f"{_code(gate.variant, 30)}: {_inert(one_line(gate.why, 120))}" for gate in own[:_COMMENT_GATES]
        )
        more = f"; and {len(own) - _COMMENT_GATES} more" if len(own) > _COMMENT_GATES else ""
        lines += [f"Gates that do not hold: {told}{more}.", ""]
    if others := [gate for gate in unheld if gate.variant not in decisive]:
        lines += [f"Candidates, not deciding: {_comment_candidates(others)}.", ""]
    if worst := _comment_cases(result):
        lines += [_comment_case(seen, decisive) for seen in worst[:_COMMENT_CASES]]
        if len(worst) > _COMMENT_CASES or result.cases_left_out:
            number = count(len(worst) - _COMMENT_CASES) + " " if len(worst) > _COMMENT_CASES else ""
            lines.append(f"- and {number}more in the report")
        lines.append("")
    status = RUN_STATUS[result.verdict].word.lower()
    left = len(result.variants) - _COMMENT_VARIANTS
    unshown = f"; {count(left, 'more variant')} in the report" if left > 0 else ""
    unpriced = sum(variant.unpriced for variant in result.variants)
    cost = money(result.cost_usd) + (f" and {count(unpriced)} unpriced" if unpriced else "")
    since = f"{sentence_of(result.since_last)} " if result.since_last else ""
    lines.append(
        f"{since}Run {_code(result.run_id, 60)} of {_code(result.suite, 60)} {status}; "
        f"{count(result.cells_done, 'answer')}, {_inert(cost)}{unshown}."
    )
    return "\n".join(lines[:COMMENT_LINES]) + "\n"


def _comment_candidates(gates: list[GateResult]) -> str:
    """Which gates candidates would not have held, in few words."""
    by_variant: dict[str, list[str]] = {}
    for gate in sorted(gates, key=lambda gate: gate.passed is None):
        name = gate_name(gate.gate)
        verb = "cannot tell on" if gate.passed is None else "fails on"
        by_variant.setdefault(gate.variant, []).append(f"{verb} {name[:1].lower()}{name[1:]}")
    shown = list(by_variant.items())[:_COMMENT_GATES]
    told = "; ".join(f"{_code(label, 30)} {_inert(', '.join(names))}" for label, names in shown)
    left = len(by_variant) - len(shown)
    return told + (f"; and {count(left, 'more candidate')}" if left else "")


def _comment_cases(result: RunResult) -> list[tuple[CaseResult, ...]]:
    """The cases that want a reader, each once: those first that a deciding variant did not pass."""
    decisive = {variant.label for variant in deciding(result)}
    cases = [seen for ended in needing_a_look(result) for seen in ended.cases]
    cases.sort(key=lambda seen: not any(case.variant in decisive and case.verdict in _DID_NOT for case in seen))
    return cases


def _comment_case(seen: tuple[CaseResult, ...], decisive: set[str]) -> str:
    """One case in one line: how it ended on which variants, and why on the first of them."""
    ended: dict[tuple[str, bool], list[str]] = {}
    for case in seen:
        if case.verdict in _DID_NOT:
            ended.setdefault((_DID_NOT[case.verdict], case.variant in decisive), []).append(_code(case.variant, 30))
    told: list[str] = []
    before = ""
    for (how, decides), labels in ended.items():
        more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
        whose = "" if decides else "candidate " if len(labels) == 1 else "candidates "
        told.append(f"{'' if how == before else how + ' '}on {whose}{', '.join(labels[:3])}{more}")
        before = how
    reason = next(case.reason for case in seen if case.verdict in _DID_NOT)
    aside = "" if any(decides for _, decides in ended) else " (not deciding)"
    return f"- {_code(seen[0].case_id, 50)} {', '.join(told)}{aside}: {_code(reason or 'no reason', 90)}"


def _comment_row(variant: VariantResult, cost: str) -> str:
    rate = variant.pass_rate
    quality = f"{share(rate.value)} ({share_interval(rate.low, rate.high)}), n = {count(rate.n)}" if rate else "unknown"
    unpriced = variant.unpriced >= variant.answers > 0
    name = _code(variant.label, 40) + ("" if variant.gating else " (candidate)")
    if variant.simulated:
        name += " SIMULATED"
    cells = [
        name,
        _inert(quality),
        *(count(variant.verdicts.get(verdict, 0)) for verdict in ("fail", "flaky", "error")),
        "unpriced" if unpriced else _inert(cost),
        duration(variant.latency.p95 if variant.latency else None),
    ]
    return f"| {' | '.join(cells)} |"


def _code(text: str, limit: int) -> str:
    """Text from outside as a code span: nothing in it is a link, an image, HTML, a mention or a reference.

    The fence is longer than any run of backticks inside (CommonMark, "Code spans").
    """
    text = one_line(text, limit) or "empty"
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    # A bar would end a table's cell even here.
    text = text.replace("|", "\\|")
    return f"{fence} {text} {fence}" if text.startswith("`") or text.endswith("`") else f"{fence}{text}{fence}"


def _inert(sentence: str) -> str:
    """A sentence with words from outside: every sign that Markdown or GitHub reads is taken out of play."""
    sentence = re.sub(r"([\\`*_{}\[\]<>#|~!&$^])", r"\\\1", visible(sentence).replace("\n", " "))
    # A mention or an address ends at a zero-width space.
    return re.sub(r"(@|://|www\.|#)", "\\1\u200b", sentence)
