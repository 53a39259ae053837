"""Recorded outputs of real models, scored with nothing but settings, give the published figures exactly."""

import csv
import gzip
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from evaluations.benchmarks.ifeval import ASSERTIONS as IFEVAL
from evaluations.scoring.base import Scored, Scorer
from tests.evaluations.scoring.builders import a_case, an_answer, build

DATA = Path(os.environ.get("ASSAY_TEST_DATA") or Path(__file__).parents[3] / "../shared/data").resolve()


def rows(name: str) -> Iterator[Any]:
    """The rows of a compressed JSON Lines file of the test data."""
    with gzip.open(_existing(name), "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def expected_of(dataset: str) -> Any:
    return json.loads(_existing(f"{dataset}/expected.json").read_text(encoding="utf-8"))


def _existing(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"no {name} in {DATA}; set ASSAY_TEST_DATA to the folder with the third-party data")
    return DATA / name


def told(scorer: Scorer, said: str, expected: Any = None) -> Scored:
    score = scorer.score(a_case(expected), an_answer(said))
    assert isinstance(score, Scored), score
    return score


@pytest.mark.parametrize("model", ["175b_verification", "6b_finetuning"])
def test_gsm8k_is_reproduced_by_reading_the_last_line_that_begins_with_a(model: str) -> None:
    gold = {row["id"]: row["answer"] for row in rows("gsm8k/questions.jsonl.gz")}
    exact = build(
        "exact",
        {"answer_pattern": "(?m)^A: (.*)$", "answer_take": "last", "expected_pattern": "#### (.+)$", "drop": ",$"},
    )
    scores = []
    for row in rows(f"gsm8k/outputs_{model}.jsonl.gz"):
        score = told(exact, row["output"], gold[row["id"]])
        assert (score.value == 1.0) is row["publisher_is_correct"], row["id"]
        scores.append(score)
    published = expected_of("gsm8k")["models"][model]
    assert (sum(score.value for score in scores), len(scores)) == (published["k"], published["n"])
    assert sum(score.why.startswith("no final answer found") for score in scores) == published["no_final_answer"]


def test_gsm8k_read_by_the_wrong_rule_says_that_it_found_no_final_answers() -> None:
    gold = {row["id"]: row["answer"] for row in rows("gsm8k/questions.jsonl.gz")}
    hashes = build("exact", {"answer_pattern": "#### (.+)$", "expected_pattern": "#### (.+)$", "missing": "unscored"})
    for row in list(rows("gsm8k/outputs_6b_finetuning.jsonl.gz"))[:50]:
        score = hashes.score(a_case(gold[row["id"]]), an_answer(row["output"]))
        assert score.why.startswith("no final answer found")
        assert not isinstance(score, Scored)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o-2024-05-13",
        "gpt-4o-mini-2024-07-18",
        "claude-3-haiku-20240307",
        "Meta-Llama-3.1-8B-Instruct",
        "gpt-3.5-turbo-0125",
        "gemma-2-2b-it",
    ],
)
def test_zeroeval_is_reproduced_by_reading_one_json_field_as_a_number(model: str) -> None:
    number = build("number", {"answer_field": "answer", "answer_field_salvage": True, "drop": "$,", "take": "first"})
    scores = [told(number, row["output"], row["gold"]) for row in rows(f"zeroeval_gsm8k/outputs_{model}.jsonl.gz")]
    published = expected_of("zeroeval_gsm8k")["models"][model]
    assert (sum(score.value for score in scores), len(scores)) == (published["k"], published["n"])
    assert sum(score.why.startswith("no final answer found") for score in scores) == published["no_answer"]


@pytest.mark.parametrize(("style", "settings"), [("cot", {"answer_after": "the answer is "}), ("direct", {})])
def test_bbh_is_reproduced_in_every_task(style: str, settings: Mapping[str, Any]) -> None:
    exact = build("exact", settings)
    for task, published in expected_of("bbh")["tasks"].items():
        values = [told(exact, row[style], row["target"]).value for row in rows(f"bbh/{task}.jsonl.gz")]
        assert (sum(values), len(values)) == (published[style]["k"], published[style]["n"]), task


def test_ifeval_is_reproduced_by_assertions_of_each_case() -> None:
    published = expected_of("ifeval")
    followed: Counter[str] = Counter()
    given: Counter[str] = Counter()
    whole_prompts, whole_followed = 0, 0
    for row in rows("ifeval/prompts_and_responses.jsonl.gz"):
        outcomes = []
        for kind, settings in zip(row["instruction_id_list"], row["kwargs"], strict=True):
            if kind not in IFEVAL:
                continue
            assertion = dict(IFEVAL[kind](settings))
            outcome = told(build(assertion.pop("scorer"), assertion), row["response"]).value == 1.0
            followed[kind] += outcome
            given[kind] += 1
            outcomes.append(outcome)
        if len(outcomes) == len(row["instruction_id_list"]):
            whole_prompts += 1
            whole_followed += all(outcomes)
    assert {kind: (followed[kind], given[kind]) for kind in IFEVAL} == {
        kind: (rate["k"], rate["n"]) for kind, rate in published["by_kind"].items()
    }
    checked, prompts = published["instructions_checked"], published["prompts_with_all_instructions_checked"]
    assert (followed.total(), given.total()) == (checked["k"], checked["n"])
    assert (whole_followed, whole_prompts) == (prompts["k"], prompts["n"])


def test_mmlu_pro_letters_are_read_as_the_publisher_read_them() -> None:
    patterns = [r"answer is \(?([A-J])\)?", r"[aA]nswer:\s*\(?([A-J])\)?", r"\b([A-J])\b"]
    # After a phrase the first letter counts, else the last one: two scorers, the second where the first is silent.
    phrase = build("choice", {"answer_pattern": patterns[:2], "answer_take": "first", "missing": "unscored"})
    lone = build("choice", {"answer_pattern": patterns[2], "answer_take": "last"})
    right = letterless = total = 0
    for row in rows("mmlu_pro/outputs_gemini-1.5-pro-002.jsonl.gz"):
        score = phrase.score(a_case(row["answer"]), an_answer(row["output"]))
        if not isinstance(score, Scored):
            score = told(lone, row["output"], row["answer"])
        letterless += score.why.startswith("no final answer found")
        right += score.value == 1.0
        total += 1
    published = expected_of("mmlu_pro")["models"]["gemini-1.5-pro-002"]
    assert (right, total) == (published["accuracy_of_own_extraction"]["k"], published["rows"])
    assert letterless == published["own_extraction_missing"]


def test_the_choice_scorer_reads_nearly_all_mmlu_pro_answers_without_patterns() -> None:
    # The first letter, because some of these answers go on to answer five questions that nobody asked.
    choice = build("choice", {"take": "first"})
    agree = total = 0
    for row in rows("mmlu_pro/outputs_gemini-1.5-pro-002.jsonl.gz"):
        if row["publisher_pred"]:
            agree += told(choice, row["output"], row["publisher_pred"]).value == 1.0
            total += 1
    assert agree / total > 0.995


@pytest.mark.parametrize(("model", "floor"), [("gpt4", 0.95), ("llama2orig", 0.9)])
def test_refusals_are_mostly_recognised_as_people_recognise_them(model: str, floor: float) -> None:
    refusal = build("refusal", {})
    with gzip.open(_existing(f"xstest/completions_{model}.csv.gz"), "rb") as packed:
        answers = list(csv.DictReader(io.StringIO(packed.read().decode("utf-8"))))
    agree = sum(
        (told(refusal, row["completion"]).value == 1.0) is (row["final_label"] != "1_full_compliance")
        for row in answers
    )
    assert agree / len(answers) >= floor
