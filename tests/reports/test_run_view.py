import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from markupsafe import Markup

from evaluations.results import CaseResult, ProviderResult, RunResult
from evaluations.verdicts import RunVerdict
from reports.twins import as_html
from reports.views import parts
from reports.views.run import RunView, run_view
from reports.views.run_cases import DETAIL_CHARS, KEPT_CHARS, SHOWN_CHARS
from reports.views.run_words import latency_limit, pass_rate_limit
from tests.reports.builders import (
    a_broken_row,
    a_case,
    a_gate,
    a_rate,
    a_realistic_run,
    a_run,
    a_score,
    a_variant,
    an_answer,
    an_open_call,
)


def words_of(view: RunView) -> list[str]:
    """Every word of the first screen, above the key figures."""
    told = [view.page.headline]
    for fact in view.page.facts:
        told += [fact.label, fact.status.word if fact.status else "", *fact.sentences, fact.command]
        told += [fact.link[0]] if fact.link else []
    return " ".join(told).split()


def fact(view: RunView, label: str) -> str:
    found = next(fact for fact in view.page.facts if fact.label == label)
    return " ".join((*found.sentences, found.command)).strip()


def kpi(view: RunView, label: str) -> parts.Kpi:
    return next(kpi for kpi in view.page.kpis if kpi.label == label)


def cells(table: parts.Table, key: str) -> list[str]:
    at = [column.key for column in table.columns].index(key)
    return [row[at].status.word if row[at].status else row[at].text for row in table.rows]  # type: ignore[union-attr]


def test_the_first_screen_says_it_in_at_most_120_words() -> None:
    run = replace(a_realistic_run(), in_flight=(an_open_call(),), quarantined=(a_broken_row(),), simulated=True)
    assert len(words_of(run_view(run))) <= 120


def test_the_headline_is_the_runs_own_sentence_in_the_tone_of_its_verdict() -> None:
    verdict = run_view(a_run((a_case(),), verdict="fail", sentence="Failed: 0% of cases pass")).page.verdict
    assert (verdict.tone, verdict.head, verdict.rest) == ("bad", "Failed:", " 0% of cases pass")


@pytest.mark.parametrize(
    ("verdict", "word"),
    [("pass", "Passed"), ("fail", "Failed"), ("inconclusive", "Cannot tell"), ("provider_error", "No verdict"),
     ("budget", "Stopped by a limit"), ("interrupted", "Interrupted")],
)  # fmt: skip
def test_only_a_pass_is_green(verdict: RunVerdict, word: str) -> None:
    status = run_view(a_run((a_case(),), verdict=verdict, sentence="")).page.facts[0].status
    assert status is not None
    assert status.word == word
    assert (status.tone == "good") is (verdict == "pass")


def test_key_figures_are_those_of_the_variant_that_fails_its_gate() -> None:
    run = a_realistic_run()
    small = next(variant for variant in run.variants if variant.label == "small")
    view = run_view(run)
    rate = small.pass_rate
    assert rate is not None
    assert kpi(view, "Pass rate").value == f"{rate.value * 100:.1f}%"
    assert f"{rate.low * 100:.1f}–{rate.high * 100:.1f}%" in kpi(view, "Pass rate").note
    assert f"n = {rate.n}" in kpi(view, "Pass rate").note
    bad = sum(small.verdicts[verdict] for verdict in ("fail", "flaky", "error"))
    assert kpi(view, "Cases that did not pass").value == str(bad)
    assert all("mini" not in figure.note for figure in view.page.kpis), "a candidate does not decide"


def test_sentences_about_counts_agree_with_the_result() -> None:
    run = a_realistic_run()
    view = run_view(run)
    told: set[str] = set()
    for group, (verdict, decides, words) in zip(view.cases.groups, (
        ("fail", True, "failed on a variant that decides"), ("flaky", True, "flaky on a variant that decides"),
        ("fail", False, "failed on candidates only"), ("flaky", False, "flaky on candidates only"),
    ), strict=True):  # fmt: skip
        wanted = {c.case_id for c in run.cases if c.verdict == verdict and (c.variant != "mini") is decides} - told
        assert group.title == f"{len(wanted)} cases {words}".replace("1 cases", "1 case")
        assert {card.case for card in group.cards} == wanted
        told |= wanted
    for variant in run.variants:
        name = variant.label + ("" if variant.gating else " (candidate)")
        assert f"{name}: {variant.verdicts['pass']} passed" in view.cases.lede
    errors = sum(answer.error is not None for case in run.cases for answer in case.answers)
    assert view.cases.errors is not None
    assert view.cases.errors.caption == f"{errors} calls brought no answer"
    assert len(view.cases.table.rows) == len(run.cases)


def test_the_money_sentence_recomputes() -> None:
    run = a_realistic_run()
    answers = sum(answer.error is None for case in run.cases for answer in case.answers)
    spent = sum((variant.cost_usd for variant in run.variants), Decimal(0))
    said = fact(run_view(run), "What it cost")
    assert f"${run.cost_usd:.2f} in all: ${spent:.2f} for {answers} answers, $0.12 for judges." in said
    per_thousand = re.search(r"small: \$(\d+\.\d+) per 1,000", said)
    assert per_thousand is not None
    small = [answer for case in run.cases if case.variant == "small" for answer in case.answers if not answer.error]
    cost = float(sum(answer.cost_usd or 0 for answer in small))
    assert float(per_thousand.group(1)) == pytest.approx(cost / len(small) * 1000, rel=0.005)
    assert f"{float(run.cost_usd) / 20 * 100:.1f}% of the $20 limit" in said


def test_cases_of_several_variants_stand_once_with_blockers_first() -> None:
    cases = (
        a_case("minor", failed_severity="minor"),
        a_case("blocked", failed_severity="blocker"),
        a_case("blocked", "pass", variant="large"),
    )
    (group,) = run_view(a_run(cases)).cases.groups
    assert [card.case for card in group.cards] == ["blocked", "minor"]
    assert [outcome.variant for outcome in group.cards[0].outcomes] == ["small", "large"]
    assert [block.variant for block in group.cards[0].blocks] == ["small"], "what passed does not bury what did not"


def test_a_failed_case_shows_input_expectation_answer_and_reasons() -> None:
    answer = an_answer("billing", passed=False, scores=(
        a_score("label", 0.0, "said 'billing', expected 'refund'", "blocker"),
        a_score("tone", None, "judge gave no verdict"),
        a_score("length", 1.0)))  # fmt: skip
    (card,) = run_view(a_run((a_case(answers=(answer,)),))).cases.groups[0].cards
    assert card.inputs[0].text == "I was charged twice and want my money back."
    assert card.expected.text == "refund"
    (shown,) = card.blocks[0].answers
    assert shown.quote.text == "billing"
    assert [(reason.scorer, reason.status.word) for reason in shown.reasons] == [
        ("label", "Failed"),
        ("tone", "Unscored"),
    ]


def test_repeats_that_said_the_same_stand_together() -> None:
    answers = tuple(
        an_answer("billing", passed=False, repeat=repeat, latency_ms=100.0 * (repeat + 1)) for repeat in range(2)
    )
    (card,) = (
        run_view(a_run((a_case(answers=(*answers, an_answer("bug", passed=False, repeat=2))),))).cases.groups[0].cards
    )
    assert [answer.title for answer in card.blocks[0].answers] == ["Repeats 1 and 2", "Repeat 3"]
    assert card.blocks[0].answers[0].facts[0] == "100 ms to 200 ms"


def test_long_texts_are_folded_and_megabytes_are_cut_with_their_size_said() -> None:
    said = "word " * 400_000
    (card,) = run_view(a_run((a_case(answers=(an_answer(said, passed=False),)),))).cases.groups[0].cards
    quote = card.blocks[0].answers[0].quote
    assert len(quote.text) <= SHOWN_CHARS + 2
    assert len(quote.text) + len(quote.rest) <= KEPT_CHARS + 4
    assert quote.left_out == f"{len(said) - KEPT_CHARS:,} characters more, in report.json."


def test_the_cards_together_stay_within_their_budget_and_say_what_is_missing() -> None:
    cases = tuple(a_case(f"t-{i}", answers=(an_answer("x" * 3000, passed=False),)) for i in range(300))
    (group,) = run_view(a_run(cases)).cases.groups
    total = sum(len(a.quote.text + a.quote.rest) for card in group.cards for b in card.blocks for a in b.answers)
    assert 10 < len(group.cards) < 300
    assert total <= DETAIL_CHARS
    assert group.left_out.startswith(f"{len(group.cards)} of 300 in full")


def test_the_money_that_no_answer_here_explains_is_named() -> None:
    run = a_run((a_case("t", "pass"),), cost_usd=Decimal("0.0642"), judge_cost_usd=Decimal("0.04"))
    assert fact(run_view(run), "What it cost").startswith(
        "$0.0642 in all: $0.0042 for 1 answer, $0.04 for judges, $0.02 for calls that were made again."
    )
    assert fact(run_view(a_run((a_case("t", "pass"),))), "What it cost").startswith("$0.0042 for 1 answer. $4.20 per")


def test_recorded_answers_were_not_paid_for_now() -> None:
    cases = (a_case("t", "pass"),)
    recorded = a_run(cases, variants=(a_variant("small", cases, model="replay/answers.jsonl"),))
    assert "nothing was paid for them now" in fact(run_view(recorded), "What it cost")
    assert kpi(run_view(recorded), "Cost of the run").note == "for 1 recorded answer"
    assert "nothing was paid" not in fact(run_view(a_run(cases)), "What it cost")


def with_candidate(*cases: CaseResult, **given: Any) -> RunResult:
    """A run in which "small" decides and "next" is a candidate."""
    variants = (a_variant("small", cases), a_variant("next", cases, gating=False))
    return a_run(cases, variants=variants, **given)


def test_what_decides_comes_before_what_candidates_got_wrong_and_blockers_first_within_each() -> None:
    run = with_candidate(
        a_case("d", variant="next", failed_severity="major"),
        a_case("c", variant="next", failed_severity="blocker"),
        a_case("b", failed_severity="major"),
        a_case("a", failed_severity="blocker"),
        a_case("b", variant="next", failed_severity="blocker", reason="wrong on next"),
        a_case("e", "flaky"),
        a_case("c", "error"),
    )
    groups = run_view(run).cases.groups
    assert [(group.title, [card.case for card in group.cards]) for group in groups] == [
        ("2 cases failed on small", ["a", "b"]),
        ("1 case flaky on small", ["e"]),
        ("2 cases failed on candidates only", ["c", "d"]),
    ]
    card = groups[0].cards[1]
    assert [(outcome.variant, outcome.candidate) for outcome in card.outcomes] == [("small", False), ("next", True)]
    assert [(block.variant, block.candidate) for block in card.blocks] == [("small", False), ("next", True)]
    assert card.summary != "wrong on next", "the reason is that of the variant that decides"
    assert [card.is_open for group in groups for card in group.cards] == [True, True, True, False, False]
    assert as_html(run).count("candidate, not deciding</span>") == 3


def test_a_card_is_titled_by_what_the_case_is_about_and_keeps_the_order_of_its_inputs() -> None:
    inputs = {"subject": "Twice", "body": "word " * 30, "attachment": "", "a": "last"}
    named, bare = a_case("t-1", description="A second charge", inputs=inputs), a_case("t-2", inputs=inputs)
    first, second = run_view(a_run((named, bare))).cases.groups[0].cards
    assert (first.title, first.case, second.title) == ("A second charge", "t-1", "")
    assert [quote.label for quote in first.inputs] == ["subject", "body", "attachment", "a"]
    assert [quote.short for quote in first.inputs] == [True, False, True, True]
    page = as_html(a_run((named, bare)))
    assert '<bdi>A second charge</bdi> <span class="cno"><bdi>t-1</bdi></span>' in page
    assert '<span class="cid"><bdi>t-2</bdi></span>' in page


def test_gates_and_caveats_of_candidates_stand_apart_and_change_no_verdict() -> None:
    run = with_candidate(
        a_case("a", "pass"), a_case("a", "flaky", variant="next"), a_case("b", "error", variant="next"),
        gates=(a_gate(), a_gate(variant="next", passed=False)),
    )  # fmt: skip
    view = run_view(run)
    assert [cells(table, "variant") for table in view.gates] == [["small"], ["next"]]
    assert "not deciding" in view.gates[1].caption
    assert "flaky" not in fact(view, "What could change this")
    assert "next (candidate, not deciding): 1 failed call, 1 flaky case." in view.caveats
    assert fact(view, "Decision").startswith("The one gate holds for small")


def test_headline_decision_and_key_figures_speak_of_the_same_variant() -> None:
    run = a_realistic_run()
    view = run_view(run)
    assert view.page.verdict.rest.startswith(" small: 83.3% of 60 cases pass")
    assert kpi(view, "Pass rate").note.startswith("small: ")
    assert fact(view, "Decision") == (
        "4 of 10 gates fail, as set before the run: blockers and p95 latency of large; pass rate and blockers of small."
    )
    assert "6 calls failed (large 2, small 4; 6 timed out) and are in no mean." in view.caveats


def test_the_page_says_a_failed_blocker_once() -> None:
    cases = (a_case("a", failed_severity="blocker"),)
    failing = a_gate("blockers", passed=False, why="a blocker failed in 1 case; 0 allowed")
    assert not any("blocker" in caveat for caveat in run_view(a_run(cases, gates=(failing,))).caveats)
    allowed = run_view(a_run(cases, gates=(a_gate("blockers"),)))
    assert allowed.caveats[0] == "1 case fails a blocker."


def test_a_gate_with_confidence_is_not_reached_by_the_number_alone() -> None:
    cases = tuple(a_case("t", "pass", variant=label) for label in ("a", "b"))
    variants = tuple(a_variant(label, cases, pass_rate=a_rate(55, 60)) for label in ("a", "b"))
    gates = (a_gate(variant="a", passed=None), a_gate(variant="b", passed=None))
    main = run_view(a_run(cases, variants=variants, gates=gates)).main
    assert main is not None
    assert main.title == "None of 2 variants clears the 90% gate; for 2 the data cannot tell"


def test_a_lead_within_the_intervals_is_not_called_clear() -> None:
    cases = tuple(a_case("t", "pass", variant=label) for label in ("a", "b"))

    def title(best: int) -> str:
        rates = {"a": a_rate(best, 60), "b": a_rate(20, 60)}
        variants = tuple(a_variant(label, cases, pass_rate=rate) for label, rate in rates.items())
        main = run_view(a_run(cases, variants=variants, gates=())).main
        assert main is not None
        return main.title

    assert title(58) == "a passes most: 96.7% of its cases"
    assert title(24) == "a passes most: 40.0% of its cases, not clearly more than the next"


def test_limits_are_numbers_and_never_read_from_words() -> None:
    cases = tuple(a_case(f"t-{i}", "pass") for i in range(3))
    gates = (a_gate(limit="at least ninety", limit_value=0.5), a_gate("p95_latency_ms", limit="?", limit_value=1500.0))
    run = a_run(cases, gates=gates)
    assert pass_rate_limit(run) == 0.5
    assert latency_limit(run, "small") == 1500
    assert latency_limit(run, "other") is None


def test_an_error_is_listed_apart_with_its_message_and_never_as_failed() -> None:
    view = run_view(a_run((a_case("t-1", "error"), a_case("t-2", "pass"))))
    assert view.cases.groups == ()
    assert view.cases.errors is not None
    assert cells(view.cases.errors, "message") == ["no reply within 30 s"]
    assert cells(view.cases.errors, "error") == ["timed out"]
    assert kpi(view, "Pass rate").value == "100%"


def test_an_empty_run_says_why_and_names_the_command_that_fills_it() -> None:
    run = a_run((), sentence="No verdict: nothing was answered", verdict="provider_error", gates=(), suite="my suite")
    view = run_view(run)
    assert "assay run 'my suite'" in fact(view, "Next step")
    assert view.main is None
    assert kpi(view, "Pass rate").value == "unknown"
    assert fact(view, "What it cost") == "Nothing: no model was called."
    assert "Nothing stands out" not in fact(view, "What could change this")


def test_a_partial_run_says_how_far_it_came_and_names_no_winner() -> None:
    run = replace(a_realistic_run(), complete=False, stop_reason="budget", cells_done=412, cells_total=1000,
                  verdict="budget",
                  sentence="Incomplete: 412 of 1,000 answers")  # fmt: skip
    view = run_view(run)
    (banner,) = view.page.banners
    assert (banner.title, banner.text[:52]) == (
        "Incomplete:",
        "412 of 1,000 answers; stopped by the $20 limit. What",
    )
    assert "assay run --resume run-7f3a91 --max-cost" in fact(view, "Next step")
    assert "gates fail so far" in fact(view, "Decision")
    figures = [view.main, view.verdicts, view.trade_off]
    for figure in figures:
        assert figure is not None
        assert "so far" in figure.title


def test_unpriced_is_never_zero() -> None:
    cases = tuple(a_case(f"t-{i}", "pass", answers=(an_answer(cost_usd=None),)) for i in range(3))
    view = run_view(a_run(cases))
    assert kpi(view, "Cost of the run").value == "unpriced"
    assert "Unknown" in fact(view, "What it cost")
    assert "3 answers are unpriced: the true cost is higher." in view.caveats
    assert cells(view.cases.table, "cost_usd") == ["unpriced"] * 3
    assert view.spending_table is not None
    assert cells(view.spending_table, "cost_usd") == ["unpriced"]


def test_a_partly_priced_run_costs_at_least_what_is_known() -> None:
    cases = (a_case("a", "pass"), a_case("b", "pass", answers=(an_answer(cost_usd=None),)))
    view = run_view(a_run(cases))
    assert fact(view, "What it cost").startswith("At least $0.0042 for 1 priced answer. $4.20 per 1,000 answers.")
    status = kpi(view, "Cost of the run").status
    assert status is not None
    assert status.word == "and 1 unpriced"


def test_when_every_call_failed_nothing_is_judged_and_nothing_is_green() -> None:
    cases = tuple(a_case(f"t-{i}", "error") for i in range(4))
    run = a_run(
        cases,
        verdict="provider_error",
        sentence="No verdict: all 4 calls failed",
        gates=(a_gate(passed=None),),
    )
    view = run_view(run)
    assert kpi(view, "Pass rate").value == "unknown"
    assert kpi(view, "Latency, p95").value == "unknown"
    assert "--retry-errors" in fact(view, "Next step")
    assert view.main is None
    assert "4 calls failed (4 timed out) and are in no mean." in view.caveats


def test_few_cases_warn_about_the_width_of_the_interval() -> None:
    view = run_view(a_run(tuple(a_case(f"t-{i}", "pass") for i in range(12))))
    assert "Only 12 cases could be judged: the interval is wide." in view.caveats


def test_simulated_and_sample_runs_say_so_in_the_headline_and_above_it() -> None:
    view = run_view(replace(a_realistic_run(12), simulated=True, sample_data=True))
    assert view.page.headline.startswith("SIMULATED: Sample data: ")
    assert [banner.title for banner in view.page.banners] == ["SIMULATED.", "Sample data."]


def test_open_calls_and_broken_rows_are_listed_with_what_they_may_have_cost() -> None:
    run = a_run((a_case(),), in_flight=(an_open_call(), an_open_call("t-010", None)), quarantined=(a_broken_row(),))
    view = run_view(run)
    assert view.in_flight is not None
    assert cells(view.in_flight, "possible_cost") == ["$0.004", "unknown"]
    assert "2 calls in flight at a kill may have been billed (up to $0.004)." in view.caveats
    assert view.quarantined is not None
    assert cells(view.quarantined, "reason") == ["expected: must not be empty"]


def test_a_cut_table_says_how_many_rows_there_are_and_where() -> None:
    view = run_view(a_run(tuple(a_case(f"t-{i}") for i in range(1000)), cases_left_out=11_300))
    assert view.cases.cut == "First 1,000 of 12,300; all in cases.csv."


@pytest.mark.parametrize(
    ("passed", "n", "reading"),
    [
        (60, 60, "Above the gate"),
        (56, 60, "Above, not clearly"),
        (52, 60, "Below, not clearly"),
        (40, 60, "Below the gate"),
    ],
)
def test_a_figure_claims_no_more_than_the_interval_supports(passed: int, n: int, reading: str) -> None:
    cases = (a_case("t", "pass"),)
    rate = a_rate(passed, n)
    assert rate is not None
    run = a_run(
        cases,
        variants=(a_variant("small", cases, pass_rate=rate),),
        gates=(a_gate(passed=rate.value >= 0.9),),
    )
    main = run_view(run).main
    assert main is not None
    assert reading in str(main.drawings[0][1])
    assert ("not clearly" in main.title) is ("not clearly" in reading)


def test_three_priced_variants_get_a_trade_off_whose_frontier_nobody_beats() -> None:
    figure = run_view(a_realistic_run()).trade_off
    assert figure is not None
    assert figure.table is not None
    assert run_view(a_run((a_case(),))).trade_off is None
    thousand = dict(zip(cells(figure.table, "variant"), cells(figure.table, "cost"), strict=True))
    assert f"{thousand['large']} against {thousand['mini']}" in figure.title


def test_an_inconclusive_run_says_how_many_more_cases_would_settle_it() -> None:
    cases = (a_case("t", "pass"),)
    run = a_run(cases, verdict="inconclusive", variants=(a_variant("small", cases, pass_rate=a_rate(85, 100)),))
    # 1.96 ** 2 * 0.85 * 0.15 / 0.05 ** 2 = 195.9, less the hundred there are, in tens.
    assert "About 100 more cases" in fact(run_view(run), "Next step")


def test_a_figure_that_fails_leaves_a_box_with_the_reason() -> None:
    def broken(width: int) -> Markup:
        raise ZeroDivisionError(f"at {width}")

    figure = parts.figure("fig-x", "Title", "Sub", (("wide", 1040),), broken)
    assert figure.problem == "ZeroDivisionError: at 1040"
    assert figure.drawings == ()


def test_provenance_names_what_every_number_came_from() -> None:
    rows = dict(run_view(a_realistic_run(12)).provenance)
    assert rows["Suite"] == "ticket-triage (5e1f5e1f5e1f)"
    assert rows["Prompts"] == "triage 1.2.0 (beefbeefbeef)"
    assert "large asked acme/large, got large-2026-05-01 ×36" in rows["Models"]
    assert rows["Prices of"] == "2026-06-01"
    assert rows["Repeats, seed"] == "3 repeats, seed 7"


def test_what_the_cache_served_is_no_cost_of_this_run() -> None:
    cases = (a_case("t-1", "pass", answers=(an_answer(from_cache=True, cost_usd=Decimal(0)),)),)
    run = a_run(cases, variants=(a_variant("small", cases, saved_usd=Decimal("0.0042")),))
    view = run_view(run)
    assert "1 from the cache (saved $0.0042)" in kpi(view, "Cost of the run").note
    assert kpi(view, "Latency, p95").value == "unknown", "a cached answer was not timed"


def test_limits_that_calls_met_are_shown_with_what_might_help_and_nothing_is_where_there_were_none() -> None:
    calm = ProviderResult(
        label="calm",
        model="openai/a",
        attempts=9,
        retries=0,
        rate_limited=0,
        waited_ms=0.0,
        breaker_openings=0,
        advice="",
    )
    busy = replace(
        calm, label="busy", attempts=120, retries=20, rate_limited=18, waited_ms=61_000.0, advice="Ask less."
    )
    view = run_view(replace(a_run(), providers=(calm, busy)))
    assert view.providers is not None
    assert [[cell.text for cell in row] for row in view.providers.rows] == [
        ["busy", "120", "20", "18", "0", "1 min 01 s", "Ask less."]
    ]
    assert run_view(replace(a_run(), providers=(calm,))).providers is None
