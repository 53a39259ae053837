"""Benchmarks over recorded outputs of real models, from published files to a leaderboard: the published figures.

Every set is read and scored here without a store, and by `-m slow` as runs; three go all the way through their flow.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from evaluations.benchmarks.figures import rate
from evaluations.benchmarks.formats import format_named
from evaluations.benchmarks.results import BenchmarkResult, sides_of
from evaluations.benchmarks.rows import Judged, Question
from evaluations.leaderboards import Leaderboard, leaderboard
from evaluations.scoring.base import Scored, Scorer
from tasks.benchmark_files import load_benchmark, read_answers, read_questions, resolved, suite_of
from tasks.benchmarking import BenchmarkRequest, conclude_benchmark, open_benchmark
from tasks.working import work_on
from tests.evaluations.scoring.builders import a_case, an_answer, build
from tests.evaluations.scoring.test_real_data import expected_of
from tests.flows.benchmark_data import define


@dataclass(frozen=True)
class Told:
    """What a benchmark told, by model."""

    right: Mapping[str, Any]
    """With unreadable answers as wrong, where the format has such a rule."""
    unscored: Mapping[str, int]
    figures: Mapping[str, Any]
    board: Leaderboard
    sides: Mapping[frozenset[str], tuple[str, list[int]]]
    """By pair: the first of them, and both right, only the first, only the second, both wrong."""


def told_by_a_run(result: BenchmarkResult) -> Told:
    assert result.complete
    assert [model.errors for model in result.models] == [{} for _ in result.models]
    return Told(
        {model.model: model.unreadable_wrong or model.right for model in result.models},
        {model.model: model.unscored for model in result.models},
        {model.model: model.figures for model in result.models},
        result.board,
        _sides(result.sides),
    )


def _sides(sides: Sequence[Any]) -> Mapping[frozenset[str], tuple[str, list[int]]]:
    return {
        frozenset((each.first, each.second)): (
            each.first,
            [each.both_right, each.only_first_right, each.only_second_right, each.both_wrong],
        )
        for each in sides
    }


def by_a_run(name: str, folder: Path) -> Told:
    """As its flow runs it, without Prefect around it."""
    run_id = open_benchmark(BenchmarkRequest(benchmark=str(define(name, folder / name))))
    asyncio.run(work_on(run_id))
    return told_by_a_run(conclude_benchmark(run_id))


async def by_its_flow(name: str, folder: Path) -> Told:
    from flows.benchmark import benchmark

    return told_by_a_run(conclude_benchmark(UUID(await benchmark(benchmark=str(define(name, folder / name))))))


def by_reading(name: str, folder: Path) -> Told:
    """Reader and scorers alone."""
    loaded = load_benchmark(str(define(name, folder / name)))
    form, spec = format_named(loaded.spec.format), loaded.spec
    questions = read_questions(loaded.folder, form, resolved(loaded.folder, spec.questions))
    suite = suite_of(spec, form)
    judged = {}
    for model in spec.models:
        files = resolved(loaded.folder, model.answers)
        said = {each.id: each.text for each in read_answers(loaded.folder, form, files, model.answers_field)}
        judged[model.name] = [_judge(question, said.get(question.id), suite["scorers"]) for question in questions]
    scores = {
        model: np.array([np.nan if (value := _value(each, form.metric)) is None else value for each in rows])
        for model, rows in judged.items()
    }
    board = leaderboard(scores)
    counted = form.unreadable is not None
    return Told(
        {
            model: rate(int(np.nansum(values)), len(values) if counted else int((~np.isnan(values)).sum()))
            for model, values in scores.items()
        },
        {model: int(np.isnan(values).sum()) for model, values in scores.items()},
        {model: form.figures(rows) for model, rows in judged.items()},
        board,
        _sides(sides_of(scores, board)),
    )


_built: dict[str, Scorer] = {}


def _judge(question: Question, said: str | None, scorers: Sequence[Mapping[str, Any]]) -> Judged:
    case = a_case(question.expected)
    given: dict[str, float | None] = {}
    for number, entry in enumerate([*scorers, *question.assertions]):
        settings = {name: value for name, value in entry.items() if name not in ("name", "scorer", "severity")}
        key = f"{entry['scorer']} {sorted(settings.items())}"
        scorer = _built[key] = _built.get(key) or build(entry["scorer"], settings)
        score = scorer.score(case, an_answer(said or ""))
        label = entry.get("name", entry["scorer"])
        label = f"{label} #{number}" if label in given else label
        given[label] = score.value if isinstance(score, Scored) and said is not None else None
    return Judged(
        question=question.id,
        expected=question.expected,
        tags=question.tags,
        metadata=question.metadata,
        repeat=0,
        text=said,
        scores=given,
    )


def _value(judged: Judged, metric: str) -> float | None:
    """The metric's score; of a verdict, whether all passed."""
    if metric in judged.scores:
        return judged.scores[metric]
    return min((value for value in judged.scores.values() if value is not None), default=None)


def rounded(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """A rate as `expected.json` writes it, to six decimals."""
    assert found is not None
    return {
        "k": found["k"],
        "n": found["n"],
        "rate": round(found["rate"], 6),
        "wilson95": [round(found["low"], 6), round(found["high"], 6)],
    }


def published(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("k", "n", "rate", "wilson95")}


# What each set has to tell


def assert_gsm8k(told: Told) -> None:
    wanted = expected_of("gsm8k")
    for name, model in wanted["models"].items():
        assert rounded(told.right[name]) == published(model)
    pair = wanted["paired:175b_verification|6b_finetuning"]
    assert_pair(told, "175b_verification", "6b_finetuning", pair["mcnemar"])
    [paired] = told.board.pairings
    assert paired.difference is not None
    assert round(-paired.difference.value, 6) == pair["difference_second_minus_first"]
    assert told.board.tied == ()


def assert_pair(told: Told, first: str, second: str, wanted: Mapping[str, Any]) -> None:
    leading, counts = told.sides[frozenset((first, second))]
    both, only_first, only_second, neither = counts
    found = counts if leading == first else [both, only_second, only_first, neither]
    assert found == [wanted[name] for name in ("both_right", "only_first_right", "only_second_right", "both_wrong")]
    assert told.board.between(first, second).p == pytest.approx(wanted["exact_p"], rel=1e-6, abs=1e-12)


def assert_zeroeval(told: Told) -> None:
    """Six models in five places: the pair that the exact test does not part is tied."""
    wanted = expected_of("zeroeval_gsm8k")
    for name, model in wanted["models"].items():
        assert rounded(told.right[name]) == published(model)
        assert round(100 * told.right[name]["rate"], 2) == model["published_accuracy_pct"]
    assert len(wanted["paired"]) == len(told.board.pairings) == 15
    for names, pair in wanted["paired"].items():
        first, second = names.split("|")
        assert_pair(told, first, second, pair)
    untold = {frozenset(names.split("|")) for names, pair in wanted["paired"].items() if pair["exact_p"] > 0.05}
    assert {frozenset(group) for group in told.board.tied} == untold
    ranks = [(each.best_rank, each.worst_rank) for each in told.board.standings]
    assert ranks == [(1, 2), (1, 2), (3, 3), (4, 4), (5, 5), (6, 6)]


def assert_refchecker(told: Told) -> None:
    for name, figures in told.figures.items():
        for setting, given in expected_of("refchecker")["settings"].items():
            assert_claims(figures["settings"][setting], given[name])
        # An answer without a claim is neither supported nor not: left unscored, and counted.
        assert told.unscored[name] == figures["all"]["responses_without_claims"]


def assert_claims(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name in ("responses", "responses_without_claims", "claims"):
        assert found[name] == wanted[name]
    assert {label: each["k"] for label, each in found["labels"].items()} == wanted["label_counts"]
    assert {label: round(each["rate"], 6) for label, each in found["labels"].items()} == wanted["label_rates"]
    means = {label: round(mean, 6) for label, mean in found["mean_of_response_rates"].items()}
    assert means == wanted["mean_of_response_rates"]
    unsupported = found["responses_with_any_unsupported_claim"]
    assert rounded(unsupported) == published(wanted["responses_with_any_unsupported_claim"])


def assert_bbh(told: Told) -> None:
    wanted = expected_of("bbh")
    for style, figures in told.figures.items():
        assert rounded(told.right[style]) == published(wanted["all_items"][style])
        tasks = {task: (each["n"], round(each["mean"], 6)) for task, each in figures["tasks"].items()}
        assert tasks == {task: (each[style]["n"], each[style]["rate"]) for task, each in wanted["tasks"].items()}
        assert round(figures["mean_of_tasks"], 6) == wanted["mean_of_tasks"][style]


def assert_mmlu_pro(told: Told) -> None:
    """Unreadable answers are left unscored; with them taken as wrong the accuracy is the published one."""
    [(name, figures)] = told.figures.items()
    wanted = expected_of("mmlu_pro")["models"][name]
    assert told.unscored[name] == wanted["own_extraction_missing"] == 8
    assert rounded(told.right[name]) == published(wanted["accuracy_of_own_extraction"])
    categories = {category: (each["n"], round(each["mean"], 6)) for category, each in figures["tasks"].items()}
    assert categories == {name: (each["n"], each["accuracy_own"]) for name, each in wanted["by_category"].items()}
    assert round(figures["mean_of_tasks"], 6) == wanted["mean_of_categories_publisher_pred"]
    [standing] = told.board.standings
    assert standing.n == wanted["rows"] - 8


def assert_truthfulqa(told: Told) -> None:
    [found] = told.figures.values()
    wanted = expected_of("truthfulqa")
    baseline = wanted["lexical_baseline"]
    assert rounded(found["labelled_true"]) == published(wanted["true"])
    for name in ("tp", "fp", "fn"):
        assert found[name] == baseline[name]
    for name in ("precision", "recall", "f1"):
        assert round(found[name], 6) == baseline[name]
    assert round(found["accuracy"]["rate"], 6) == baseline["accuracy"]
    assert round(found["agreement"]["kappa"], 6) == baseline["cohen_kappa"]


def assert_xstest(told: Told) -> None:
    for name, found in told.figures.items():
        wanted = expected_of("xstest")["models"][name]
        for side in ("safe", "unsafe"):
            rates = found[side]
            assert {label: each["k"] for label, each in rates.items() if each["k"]} == wanted[side]["counts"]
            assert rounded(rates["2_full_refusal"]) == published(wanted[side]["full_refusal"])
            assert rounded(rates["3_partial_refusal"]) == published(wanted[side]["partial_refusal"])
        people = found["annotators"]
        assert round(people["observed"], 6) == wanted["annotators"]["percent_agreement"]
        assert round(people["kappa"], 6) == wanted["annotators"]["cohen_kappa"]
        for judge in ("gpt4_label", "string_match_label"):
            classes, refusal = found[judge]["agreement"], found[judge]["on_refusal"]
            assert round(classes["observed"], 6) == wanted[judge]["agreement_3_classes"]
            assert round(classes["kappa"], 6) == wanted[judge]["cohen_kappa_3_classes"]
            assert round(refusal["observed"], 6) == wanted[judge]["refusal_vs_compliance"]["agreement"]
            assert round(refusal["kappa"], 6) == wanted[judge]["refusal_vs_compliance"]["cohen_kappa"]
            assert found[judge]["invalid"] == wanted[judge]["invalid"]


def assert_ifeval(told: Told) -> None:
    [found] = told.figures.values()
    wanted = expected_of("ifeval")
    assert found["instructions"] == wanted["instructions"]
    assert rounded(found["instructions_checked"]) == published(wanted["instructions_checked"])
    whole = found["prompts_with_all_instructions_checked"]
    assert rounded(whole) == published(wanted["prompts_with_all_instructions_checked"])
    kinds = {kind: (each["k"], each["n"]) for kind, each in found["by_kind"].items()}
    assert kinds == {kind: (each["k"], each["n"]) for kind, each in wanted["by_kind"].items()}


def assert_halueval(told: Told) -> None:
    [found] = told.figures.values()
    wanted = expected_of("halueval")
    assert rounded(found["hallucination"]) == published(wanted["hallucination"])
    assert found["median_response_chars"] == wanted["median_response_chars"]
    halves = wanted["short_then_long"]
    for half in ("short", "long"):
        assert rounded(found[half]) == published(halves[half])
    assert found["long_minus_short"]["p"] == pytest.approx(halves["two_proportion_z"]["p"], rel=1e-6)


def assert_bbq(told: Told) -> None:
    wanted = expected_of("bbq")
    for style, figures in told.figures.items():
        for group in ("Disability_status", "Physical_appearance"):
            for condition in ("ambig", "disambig"):
                found, given = figures[group][condition], wanted[group][style][condition]
                assert rounded(found["accuracy"]) == published(given["accuracy"])
                assert found["answers_other_than_unknown"] == given["answers_other_than_unknown"]
                assert found["in_line_with_stereotype"] == given["in_line_with_stereotype"]
                assert round(found["bias_score"], 6) == given["bias_score"]
            unmatched = sum(
                figures[group][condition]["answer_not_among_options"] for condition in ("ambig", "disambig")
            )
            assert unmatched == wanted[group][style]["answer_not_among_options"]


SETS: Mapping[str, Callable[[Told], None]] = {
    "gsm8k": assert_gsm8k,
    "zeroeval_gsm8k": assert_zeroeval,
    "bbh": assert_bbh,
    "mmlu_pro": assert_mmlu_pro,
    "truthfulqa": assert_truthfulqa,
    "xstest": assert_xstest,
    "ifeval": assert_ifeval,
    "refchecker": assert_refchecker,
    "halueval": assert_halueval,
    "bbq": assert_bbq,
}
THROUGH_THEIR_FLOW = ("gsm8k", "xstest", "refchecker")


@pytest.mark.parametrize("name", [name for name in SETS if name not in THROUGH_THEIR_FLOW])
def test_files_that_are_read_and_scored_give_the_published_figures(name: str, tmp_path: Path) -> None:
    SETS[name](by_reading(name, tmp_path))


@pytest.mark.usefixtures("store", "prefect_server")
@pytest.mark.parametrize("name", THROUGH_THEIR_FLOW)
async def test_a_benchmark_through_its_flow_gives_the_published_figures(name: str, tmp_path: Path) -> None:
    SETS[name](await by_its_flow(name, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SETS if name not in THROUGH_THEIR_FLOW])
def test_a_benchmark_that_is_run_gives_the_published_figures(name: str, store: str, tmp_path: Path) -> None:
    SETS[name](by_a_run(name, tmp_path))


# Programs run in the sandbox


def test_programs_of_some_problems_pass_as_often_as_published(store: str, tmp_path: Path) -> None:
    assert_passed(run_humaneval(tmp_path, sample={"cases": 4}), problems=4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_humaneval_gives_the_published_pass_at_k(store: str, tmp_path: Path) -> None:
    result = run_humaneval(tmp_path)
    assert_passed(result, problems=82)
    wanted, figures = expected_of("humaneval"), result.models[0].figures
    assert figures["samples_passed"] == wanted["samples_passed"]
    found = {k: round(value, 6) for k, value in figures["pass_at_k"].items() if k in wanted["pass_at_k"]}
    assert found == wanted["pass_at_k"]
    assert figures["problems_never_solved"] == sum(not passed for passed in wanted["passed_per_problem"].values())


def run_humaneval(folder: Path, **more: Any) -> BenchmarkResult:
    run_id = open_benchmark(BenchmarkRequest(benchmark=str(define("humaneval", folder / "humaneval", **more))))
    asyncio.run(work_on(run_id))
    return conclude_benchmark(run_id)


def assert_passed(result: BenchmarkResult, problems: int) -> None:
    """Every problem's programs passed as often as published."""
    from tasks.concluding import case_results

    passed: Mapping[str, int] = expected_of("humaneval")["passed_per_problem"]
    found = {
        case.case_id: sum(answer.passed is True for answer in case.answers)
        for case in case_results(UUID(result.run_id))
    }
    assert len(found) == problems
    assert found == {task: passed[task] for task in found}
