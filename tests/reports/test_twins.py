import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from evaluations.answers import Usage
from evaluations.results import CaseResult
from reports.twins import COMMENT_LINES, CSV_COLUMNS, as_csv, as_html, as_json, as_junit, as_markdown
from tests.reports.builders import a_case, a_gate, a_realistic_run, a_run, a_score, a_variant, an_answer
from tests.reports.hostile import FORMULAS, MARKDOWN, XSS


def test_json_keeps_money_exact_and_unknown_null() -> None:
    cases = (a_case(answers=(an_answer(cost_usd=Decimal("0.000000000012")),)),)
    document = json.loads(as_json(a_run(cases, cost_usd=Decimal("0.10"), cap_usd=None)))
    assert document["schema"] == "assay.run/1"
    assert document["cost_usd"] == "0.10"
    assert document["cap_usd"] is None
    assert document["cases"][0]["answers"][0]["cost_usd"] == "0.000000000012"
    assert document["finished_at"] == "2026-06-28T06:00:00Z"


def test_json_never_holds_nan_or_infinity_nor_breaks_on_odd_values() -> None:
    odd = a_case(inputs={"n": float("nan"), "set": {2, 1}, "bytes": b"x", "lone": "\ud800"}, expected=float("inf"))
    text = as_json(a_run((odd,)))
    inputs = json.loads(text, parse_constant=pytest.fail)["cases"][0]["inputs"]
    assert inputs["n"] is None
    assert inputs["set"] == [1, 2]
    text.encode("utf-8")


def rows_of(cases: tuple[CaseResult, ...]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(as_csv(cases)), newline="")))


def test_csv_has_a_line_for_each_answer_and_reads_back_as_it_was() -> None:
    said = 'two\nlines, "quoted", ümlaut'
    answers = (an_answer(said, passed=False), an_answer(repeat=1, error="timeout", error_message="no reply"))
    first, second = rows_of((a_case("t-1", "flaky", answers=answers),))
    assert tuple(first) == CSV_COLUMNS
    assert first["answer"] == said
    assert first["passed"] == "false"
    assert first["cost_usd"] == "0.0042"
    assert json.loads(first["inputs"]) == {"ticket": "I was charged twice and want my money back."}
    assert (second["error"], second["answer"], second["cost_usd"], second["passed"]) == (
        "timeout",
        "",
        "",
        "",
    )


def test_csv_streams_and_a_case_without_answers_still_has_its_line() -> None:
    taken: list[str] = []

    def source() -> Iterator[CaseResult]:
        for index in range(3):
            taken.append(f"t-{index}")
            yield a_case(f"t-{index}", "skipped", answers=())

    lines = as_csv(source())
    assert next(lines).startswith("case_id,")
    assert next(lines).startswith("t-0,small,skipped")
    assert taken == ["t-0"], "rows are read as they are written"


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_text_in_a_csv_starts_a_formula(formula: str) -> None:
    hostile = a_case(formula, reason=formula, expected=formula, tags=(formula,), variant=formula,
                     answers=(an_answer(formula, model_returned=formula, usage=Usage()),))  # fmt: skip
    (row,) = rows_of((hostile,))
    for name in ("case_id", "variant", "reason", "expected", "answer", "model_returned", "tags"):
        assert row[name].startswith("'"), name


def test_junit_tells_failures_errors_and_skips_apart() -> None:
    cases = (a_case("a", "fail"), a_case("b", "flaky"), a_case("c", "error"), a_case("d", "skipped"),
             a_case("e", "pass"),
             a_case("a", "pass", variant="large"))  # fmt: skip
    root = ElementTree.fromstring(as_junit(a_run(cases)))
    small, large = root.findall("testsuite")
    assert [small.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["5", "2", "1", "1"]
    assert [large.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["1", "0", "0", "0"]
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["6", "2", "1", "1"]
    kinds = {case.get("name"): [child.tag for child in case] for case in small.findall("testcase")}
    assert kinds["a"] == ["failure", "system-out"]
    assert kinds["c"] == ["error", "system-out"]
    assert kinds["d"] == ["skipped", "system-out"]
    assert kinds["e"] == []
    assert [failure.get("type") for failure in small.iter("failure")] == ["fail", "flaky"]
    assert "said 'billing', expected 'refund'" in (small.find("testcase/system-out").text or "")  # type: ignore[union-attr]
    assert small.find("testcase[@name='c']/error").get("type") == "timeout"  # type: ignore[union-attr]


def test_junit_of_a_candidate_turns_no_build_red() -> None:
    cases = (a_case("a", "flaky"), *(a_case(v, v, variant="next") for v in ("fail", "flaky", "error", "pass")))
    variants = (a_variant("small", cases), a_variant("next", cases, gating=False))
    root = ElementTree.fromstring(as_junit(a_run(cases, variants=variants)))
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["5", "1", "0", "3"]
    small, following = root.findall("testsuite")
    assert [failure.get("type") for failure in small.iter("failure")] == ["flaky"]
    assert following.find("properties/property[@name='gating']").get("value") == "false"  # type: ignore[union-attr]
    told = {case.get("name"): case for case in following.findall("testcase")}
    assert [child.tag for name in ("fail", "flaky", "error") for child in told[name]] == ["skipped", "system-out"] * 3
    assert [child.tag for child in told["pass"]] == []
    message = told["fail"].find("skipped").get("message")  # type: ignore[union-attr]
    assert message == "candidate, not deciding: fail: label: said 'billing', expected 'refund'"
    assert "said 'billing', expected 'refund'" in (told["fail"].findtext("system-out") or "")


@pytest.mark.parametrize("hostile", XSS)
def test_junit_stays_well_formed_whatever_was_said(hostile: str) -> None:
    case = a_case(hostile, reason=hostile, variant=hostile, answers=(
        an_answer(hostile, passed=False, scores=(a_score("label", 0.0, hostile),)),))  # fmt: skip
    text = as_junit(a_run((case,), suite=hostile, sentence=hostile))
    ElementTree.fromstring(text.encode("utf-8"))
    assert "<script" not in text


def test_a_comment_fits_on_a_screen_even_of_a_large_failed_run() -> None:
    run = a_realistic_run(200, accuracy={"large": 0.5, "small": 0.4, "mini": 0.3})
    text = as_markdown(replace(run, complete=False, stop_reason="budget"))
    assert len(text.splitlines()) <= COMMENT_LINES
    assert text.startswith("### ❌ Suite fails: ")
    assert "Incomplete: " in text
    assert "more in the report" in text


def test_the_comment_counts_what_the_result_counts() -> None:
    run = a_realistic_run()
    text = as_markdown(run)
    for variant in run.variants:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{variant.label}`"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert [int(cell) for cell in cells[2:5]] == [variant.verdicts[v] for v in ("fail", "flaky", "error")]


def test_a_comment_has_a_line_for_each_case_and_sets_candidates_apart() -> None:
    cases = (
        a_case("c", variant="next", failed_severity="blocker", reason="off"),
        a_case("a", variant="next"),
        a_case("a", reason="wrong"),
        a_case("b", "flaky", reason="1 of 3"),
        a_case("b", "error", variant="next"),
    )
    variants = (a_variant("small", cases), a_variant("next", cases, gating=False))
    gates = (a_gate(passed=False, why="92% of 9 cases pass; 95% required"), a_gate(variant="next", passed=False),
             a_gate("cost_usd", variant="next", passed=None))  # fmt: skip
    lines = as_markdown(a_run(cases, variants=variants, gates=gates)).splitlines()
    assert [line for line in lines if line.startswith("- ")] == [
        "- `a` failed on `small`, on candidate `next`: `wrong`",
        "- `b` is flaky on `small`, ended in an error on candidate `next`: `1 of 3`",
        "- `c` failed on candidate `next` (not deciding): `off`",
    ]
    assert "Gates that do not hold: `small`: 92% of 9 cases pass; 95% required." in lines
    assert "Candidates, not deciding: `next` fails on pass rate, cannot tell on cost." in lines


def test_a_full_comment_keeps_its_last_line() -> None:
    labels = [f"v{number}" for number in range(9)]
    cases = tuple(a_case(f"t-{i}", variant=label) for i in range(9) for label in labels)
    variants = tuple(a_variant(label, cases, gating=label < "v5") for label in labels)
    gates = tuple(a_gate(gate, variant=label, passed=False) for label in labels for gate in ("pass_rate", "cost_usd"))
    text = as_markdown(a_run(cases, variants=variants, gates=gates, complete=False, stop_reason="time"))
    assert len(text.splitlines()) == COMMENT_LINES
    assert text.splitlines()[-1].endswith("; 3 more variants in the report.")
    assert "- and 4 more in the report" in text


@pytest.mark.parametrize("hostile", MARKDOWN)
def test_a_comment_neither_mentions_links_embeds_nor_breaks_out(hostile: str) -> None:
    case = a_case(hostile, reason=hostile, variant=hostile)
    text = as_markdown(a_run((case,), sentence=f"Failed: {hostile}", suite=hostile, verdict="fail",
                             gates=(a_gate(variant=hostile, passed=False, why=hostile),)))  # fmt: skip
    assert len(text.splitlines()) <= COMMENT_LINES
    # What is left when code spans are taken out is read by Markdown.
    read = re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", text)
    unescaped = re.sub(r"\\.", "", read)
    assert not re.search(r"@\w", read)
    assert not re.search(r"[<`*\[~]", unescaped)
    assert "://" not in read.replace("://\u200b", "")
    assert not re.search(r"www\.\w", read)
    assert "\u202e" not in text


def test_simulated_runs_say_so_in_every_twin() -> None:
    run = a_run((a_case(),), simulated=True, variants=(a_variant("small", (a_case(),), simulated=True),))
    assert "SIMULATED" in as_markdown(run).splitlines()[0]
    assert json.loads(as_json(run))["simulated"] is True
    assert "SIMULATED" in as_junit(run)
    assert '<span class="mark">SIMULATED</span>' in as_html(run)
    assert "<title>SIMULATED: " in as_html(run)


def test_twins_of_the_same_result_are_the_same_bytes() -> None:
    one, two = a_realistic_run(20), a_realistic_run(20)
    assert as_html(one) == as_html(two)
    assert as_json(one) == as_json(two)
    assert as_junit(one) == as_junit(two)
    assert as_markdown(one) == as_markdown(two)
    assert list(as_csv(one.cases)) == list(as_csv(two.cases))
