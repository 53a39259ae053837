"""Recorded outputs of real models run as suites, from file to verdict, and give the published figures exactly."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import pytest
from sqlalchemy import text

from evaluations.benchmarks.ifeval import ASSERTIONS as IFEVAL
from evaluations.estimates import Estimate
from evaluations.results import RunResult, ScorerResult, VariantResult
from tasks.concluding import case_results, conclude
from tasks.planning import RunRequest, open_rescore, open_run, plan_run
from tasks.providers.gateway import Gateway
from tasks.store.database import transaction
from tasks.working import work_on
from tests.evaluations.scoring.test_real_data import DATA, expected_of, rows
from tests.flows import real_data


def run(suite: Path, *where: str) -> RunResult:
    """Run a suite as `suite_run` does, without Prefect around it."""
    run_id = open_run(plan_run(RunRequest(suite=str(suite), where=where)))
    asyncio.run(work_on(run_id))
    result = conclude(run_id)
    assert result.complete
    assert [variant.errors for variant in result.variants] == [{} for _ in result.variants]
    return result


def by_label(result: RunResult) -> dict[str, VariantResult]:
    return {variant.label: variant for variant in result.variants}


def scorers_of(variant: VariantResult) -> dict[str, ScorerResult]:
    return {scorer.scorer: scorer for scorer in variant.scorers}


def figures(rate: Estimate | None, passed: int) -> dict[str, Any]:
    """A pass rate as `expected.json` writes it, to six decimals."""
    assert rate is not None
    return {
        "k": passed,
        "n": rate.n,
        "rate": round(rate.value, 6),
        "wilson95": [round(rate.low, 6), round(rate.high, 6)],
    }


def published(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("k", "n", "rate", "wilson95")}


def test_gsm8k_gives_the_published_rates_intervals_and_missing_answers(store: str, tmp_path: Path) -> None:
    result = run(real_data.gsm8k(tmp_path / "gsm8k"))
    models = expected_of("gsm8k")["models"]
    assert sorted(by_label(result)) == sorted(models)
    for model, variant in by_label(result).items():
        assert figures(variant.pass_rate, variant.verdicts["pass"]) == published(models[model])
        assert scorers_of(variant)["final answer"].unscored == models[model]["no_final_answer"]
    assert result.verdict == "fail"
    assert "6b_finetuning" in result.sentence
    assert "175b_verification" not in result.sentence


def test_zeroeval_gives_the_published_accuracies_also_when_it_is_scored_again_without_a_call(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "zeroeval"
    result = run(real_data.zeroeval(folder))
    assert_zeroeval_is_reproduced(result)

    # Nobody can be called any more: the recordings are gone, and so is the way to any provider.
    for recording in folder.glob("outputs_*"):
        recording.unlink()
    monkeypatch.setattr(Gateway, "__init__", _refuse)
    monkeypatch.setattr(Gateway, "answer", _refuse)
    facts = count_facts()
    kept = rescored(UUID(result.run_id), None)
    assert_zeroeval_is_reproduced(kept)
    assert count_facts() == facts
    assert verdicts_of(kept) == verdicts_of(result)

    # Under another label no score is there yet, so that every answer is judged anew.
    edited = real_data.write_zeroeval_suite(folder, scorer="judged-again")
    anew = rescored(UUID(result.run_id), str(edited))
    assert_zeroeval_is_reproduced(anew)
    assert count_facts() == facts | {"scores": facts["scores"] + facts["answers"]}
    assert verdicts_of(anew) == verdicts_of(result)
    assert {variant.cost_usd for variant in anew.variants} == {variant.cost_usd for variant in result.variants}


def assert_zeroeval_is_reproduced(result: RunResult) -> None:
    models = expected_of("zeroeval_gsm8k")["models"]
    assert sorted(by_label(result)) == sorted(models)
    for model, variant in by_label(result).items():
        wanted = models[model]
        assert figures(variant.pass_rate, variant.verdicts["pass"]) == published(wanted)
        assert variant.pass_rate is not None
        assert round(100 * variant.pass_rate.value, 2) == wanted["published_accuracy_pct"]
        assert scorers_of(variant)["final answer"].unscored == wanted["no_answer"]


def rescored(run_id: UUID, suite: str | None) -> RunResult:
    """A rescore as its flow does it, without Prefect around it."""
    from tasks.running import rescore_run

    rescore = open_rescore(run_id, suite)
    asyncio.run(rescore_run.fn(rescore))
    return conclude(rescore)


def _refuse(*_: object, **__: object) -> NoReturn:
    raise AssertionError("a provider was called")


def count_facts() -> dict[str, int]:
    with transaction() as connection:
        return {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in ("calls", "answers", "judgements", "scores")
        }


def verdicts_of(result: RunResult) -> dict[tuple[int, int], tuple[Any, ...]]:
    """Every verdict of a run by case and variant, but for the labels in its reason."""
    with transaction() as connection:
        found = connection.execute(
            text("SELECT position, variant, verdict, judged, passed, score FROM verdicts WHERE run_id = :run"),
            {"run": result.run_id},
        )
        return {(position, variant): tuple(rest) for position, variant, *rest in found}


def test_bbh_gives_the_published_rate_of_every_task_and_both_styles(store: str, tmp_path: Path) -> None:
    wanted = expected_of("bbh")
    suite = real_data.bbh(tmp_path / "bbh", wanted["tasks"])
    styles = by_label(run(suite))
    assert sorted(styles) == ["cot", "direct"]
    for style, variant in styles.items():
        assert figures(variant.pass_rate, variant.verdicts["pass"]) == published(wanted["all_items"][style])
        tasks = scorers_of(variant)
        assert {task: _tally(scorer) for task, scorer in tasks.items()} == {
            task: {name: given[style][name] for name in ("k", "n", "rate")} for task, given in wanted["tasks"].items()
        }
        for task, given in wanted["tasks"].items():
            assert 100 * (tasks[task].mean or 0) == pytest.approx(given["publisher_accuracy"][style], abs=1e-9)
        mean = sum(scorer.mean or 0 for scorer in tasks.values()) / len(tasks)
        assert round(mean, 6) == wanted["mean_of_tasks"][style]


def test_tasks_of_bbh_chosen_by_their_tag_have_the_published_interval(store: str, tmp_path: Path) -> None:
    wanted = expected_of("bbh")["tasks"]
    suite = real_data.bbh(tmp_path / "bbh", wanted)
    for task in ("causal_judgement", "penguins_in_a_table", "word_sorting"):
        for style, variant in by_label(run(suite, f"tag={task}")).items():
            assert figures(variant.pass_rate, variant.verdicts["pass"]) == published(wanted[task][style])


def _tally(scorer: ScorerResult) -> dict[str, Any]:
    assert scorer.mean is not None
    return {"k": scorer.passed, "n": scorer.passed + scorer.failed, "rate": round(scorer.mean, 6)}


def test_ifeval_gives_the_published_rate_of_every_kind_of_instruction(store: str, tmp_path: Path) -> None:
    wanted = expected_of("ifeval")
    result = run(real_data.ifeval(tmp_path / "ifeval"))
    assert result.cases_total == wanted["prompts"]
    followed, given = Counter[str](), Counter[str]()
    for scorer in result.variants[0].scorers:
        kind = scorer.scorer.split(" #")[0]  # a prompt with two instructions of a kind has them numbered
        followed[kind] += scorer.passed
        given[kind] += scorer.passed + scorer.failed
        assert scorer.unscored == 0
    assert {kind: (followed[kind], given[kind]) for kind in given} == {
        kind: (rate["k"], rate["n"]) for kind, rate in wanted["by_kind"].items()
    }
    checked = wanted["instructions_checked"]
    assert (followed.total(), given.total()) == (checked["k"], checked["n"])
    # A prompt of which nothing is checked is left out of the rate and says why; it is no failure.
    [variant] = result.variants
    instructed = [row["instruction_id_list"] for row in rows("ifeval/prompts_and_responses.jsonl.gz")]
    unchecked = sum(all(kind not in IFEVAL for kind in kinds) for kinds in instructed)
    assert variant.verdicts["skipped"] == unchecked > 0
    assert variant.pass_rate is not None
    assert variant.pass_rate.n == wanted["prompts"] - unchecked
    reasons = {case.reason for case in result.cases if case.verdict == "skipped"}
    assert reasons == {"no scorer of the suite or of its own judges this case"}


def test_ifeval_prompts_of_which_all_is_checked_pass_as_often_as_published(store: str, tmp_path: Path) -> None:
    result = run(real_data.ifeval(tmp_path / "ifeval"), f"tag={real_data.WHOLLY_CHECKED}")
    [variant] = result.variants
    wanted = expected_of("ifeval")["prompts_with_all_instructions_checked"]
    assert figures(variant.pass_rate, variant.verdicts["pass"]) == published(wanted)


def test_humaneval_programs_that_run_give_pass_at_k_of_eighteen_problems(store: str, tmp_path: Path) -> None:
    executed = expected_marks()
    chosen = list(executed)[3:21]
    result = run(real_data.humaneval(tmp_path / "humaneval"), *(f"id={task}" for task in chosen))
    marks = {task: executed[task] for task in chosen}
    assert marks_of(result) == marks
    [variant] = result.variants
    assert variant.pass_at == pytest.approx({k: float(pass_at(marks.values(), k)) for k in range(1, 21)}, abs=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_humaneval_gives_the_published_pass_at_k(store: str, tmp_path: Path) -> None:
    wanted = expected_of("humaneval")
    result = run(real_data.humaneval(tmp_path / "humaneval"))
    marks = marks_of(result)
    assert marks == expected_marks()
    assert {task: passed.count("1") for task, passed in marks.items()} == wanted["passed_per_problem"]
    [variant] = result.variants
    assert scorers_of(variant)["code_passes"].passed == wanted["samples_passed"]
    assert variant.answers == wanted["samples"]
    assert {k: round(variant.pass_at[int(k)], 6) for k in wanted["pass_at_k"]} == wanted["pass_at_k"]


def expected_marks() -> dict[str, str]:
    """By problem, one character a program: 1 when it passed."""
    expected_of("humaneval")  # skips where the data is absent
    marks: dict[str, str] = json.loads((DATA / "humaneval" / "executed.json").read_text(encoding="utf-8"))
    return marks


def marks_of(result: RunResult) -> dict[str, str]:
    return {
        case.case_id: "".join(_mark(answer.passed) for answer in sorted(case.answers, key=lambda each: each.repeat))
        for case in case_results(UUID(result.run_id))
    }


def _mark(passed: bool | None) -> str:
    return {True: "1", False: "0", None: "?"}[passed]


def pass_at(marks: Iterable[str], k: int) -> Fraction:
    """1 - C(n-c, k) / C(n, k), averaged over problems, in exact arithmetic."""
    chances: Sequence[Fraction] = [1 - Fraction(comb(passed.count("0"), k), comb(len(passed), k)) for passed in marks]
    return sum(chances, Fraction()) / len(chances)
