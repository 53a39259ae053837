"""Rows of published files become questions and answers; what cannot be read is named by its place."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from evaluations.benchmarks.formats import FORMATS, format_named
from evaluations.benchmarks.rows import BadRow, Place, Question
from evaluations.benchmarks.workload import Sampled, filler, questions_like
from evaluations.errors import AssayError
from evaluations.scoring import build as any_scorer
from evaluations.scoring.base import Scored, Unscored
from tests.evaluations.scoring.builders import a_case, an_answer, build

Row = Mapping[str, Any]


def questions(form: str, *rows: Row, file: str = "task.jsonl") -> list[Question]:
    return list(FORMATS[form].questions((Place(file, line), row) for line, row in enumerate(rows, 1)))


def answers(form: str, *rows: Row, field: str = "", file: str = "task.jsonl") -> dict[tuple[str, int], str | None]:
    placed = ((Place(file, line), row) for line, row in enumerate(rows, 1))
    return {(each.id, each.repeat): each.text for each in FORMATS[form].answers(placed, field)}


def test_mmlu_is_read_from_a_table_a_list_of_choices_and_a_letter_or_a_number() -> None:
    table = {"question": "2 + 2?", "A": "3", "B": "4", "C": "5", "D": "6", "answer": "b"}
    listed = {"question": "2 + 2?", "choices": ["3", "4"], "answer": 1, "subject": "sums"}
    one, other = questions("mmlu", table, listed)
    assert (one.expected, other.expected) == ("B", "B")
    assert one.inputs["options"].splitlines() == ["(A) 3", "(B) 4", "(C) 5", "(D) 6"]
    assert (one.tags, other.tags) == (("task",), ("sums",))


def test_humaneval_reads_a_row_of_samples_and_a_row_for_each_sample() -> None:
    together = answers("humaneval", {"task_id": "t", "samples": ["one", "two"]})
    apart = answers("humaneval", {"task_id": "t", "completion": "one"}, {"task_id": "t", "completion": "two"})
    assert together == apart == {("t", 0): "one", ("t", 1): "two"}


def test_a_recorded_error_stays_an_error_and_is_no_wrong_answer() -> None:
    rows = [{"id": 1, "error": "timeout"}, {"id": 2, "output": "", "usage": {"input_tokens": 3}}]
    assert answers("own", *rows) == {("1", 0): None, ("2", 0): ""}


def test_mt_bench_asks_the_first_turn() -> None:
    asked = {"question_id": 81, "category": "writing", "turns": ["Write.", "Again."]}
    assert questions("mt_bench", asked)[0].inputs == {"question": "Write."}
    assert answers("mt_bench", {"question_id": 81, "choices": [{"turns": ["Once", "Twice"]}]}) == {("81", 0): "Once"}


@pytest.mark.parametrize(
    ("form", "row", "said"),
    [
        ("gsm8k", {"question": "?", "answer": "7"}, "line 1: 'answer' has no gold value after '#### '"),
        ("gsm8k", {"frage": "?"}, "line 1: no 'answer'; the row has frage"),
        ("mmlu_pro", {"question": "?", "options": ["a"], "answer": "C"}, "none of the 1 options: 'C'"),
        ("mmlu", {"question": "?", "options": "a", "answer": "A"}, "'options' is not a list of texts but a text"),
        ("bbq", {"example_id": 1, "answers": ["a"], "label": 3}, "'label' is none of the 1 answers"),
        ("ifeval", {"prompt": "?", "instruction_id_list": ["punctuation:no_comma"], "kwargs": []}, "one object for"),
        (
            "ifeval",
            {"prompt": "?", "instruction_id_list": ["keywords:existence"], "kwargs": [{}]},
            "an instruction lacks its setting 'keywords'",
        ),
        ("truthfulqa_labels", {"question_id": 9, "answer": "a", "true": "yes"}, "no question '9' came before"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_by_file_and_line(form: str, row: Row, said: str) -> None:
    with pytest.raises(BadRow, match=r"task\.jsonl, line 1") as caught:
        questions(form, row)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("form", "row", "said"),
    [
        ("gsm8k", {"id": 1}, "no 'output' or 'solution' or 'text'"),
        ("halueval", {"id": 1, "response": "x", "hallucination": "maybe"}, "it has to be yes or no"),
        ("refchecker", {"id": "1", "response": "x", "claims": [{"human_label": "Perhaps"}]}, "none of the labels"),
        ("own", {"id": 1, "output": "x", "repeat": -1}, "'repeat' has to be 0, 1, 2"),
    ],
)
def test_an_answer_that_cannot_be_read_is_named_by_file_and_line(form: str, row: Row, said: str) -> None:
    with pytest.raises(BadRow, match=r"task\.jsonl, line 1") as caught:
        answers(form, row)
    assert said in str(caught.value)


def test_one_id_for_two_questions_is_refused_and_the_same_question_twice_is_one() -> None:
    asked = {"id": 1, "question": "?", "expected": "a"}
    assert len(questions("own", asked, asked)) == 1
    with pytest.raises(BadRow, match="line 2: another question was called '1' before"):
        questions("own", asked, {**asked, "expected": "b"})


def test_an_unknown_format_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(AssayError, match="did you mean 'mmlu_pro'"):
        format_named("mmlu_por")


def test_the_scorers_of_every_format_can_be_built() -> None:
    for form in FORMATS.values():
        for entry in form.scorers:
            settings = {name: value for name, value in entry.items() if name not in ("name", "scorer", "severity")}
            assert any_scorer(entry["scorer"], settings)


@pytest.mark.parametrize(
    ("said", "letter"),
    [("The answer is (C). Or B?", "C"), ("Answer: B", "B"), ("A or B, I take D", "D"), ("no idea", None)],
)
def test_a_letter_is_read_after_its_phrase_else_the_last_one_and_none_is_unscored(
    said: str, letter: str | None
) -> None:
    [entry] = FORMATS["mmlu_pro"].scorers
    choice = build("choice", {**{k: v for k, v in entry.items() if k not in ("name", "scorer")}, "missing": "unscored"})
    score = choice.score(a_case(letter or "A"), an_answer(said))
    assert score == Scored(1.0) if letter else isinstance(score, Unscored)


def test_the_nearest_reference_decides_and_a_tie_is_not_true() -> None:
    nearest = build("nearest_reference", {})
    case = a_case({"right": ["the sky is blue"], "wrong": ["the sky is green"]})
    assert nearest.score(case, an_answer("It is blue")) == Scored(1.0)
    assert nearest.score(case, an_answer("the sky")) == Scored(
        0.0, "nearest right reference 0.50, nearest wrong one 0.50"
    )
    assert isinstance(nearest.score(a_case("blue"), an_answer("blue")), Unscored)


def test_a_labelled_answer_without_claims_is_neither_supported_nor_not() -> None:
    [text] = answers("refchecker", {"id": "1", "response": "Hm.", "claims": []}, file="zero/m.jsonl").values()
    assert json.loads(text or "")["supported"] is None


def test_a_workload_is_as_long_as_its_requests_and_holds_no_text_of_theirs() -> None:
    [question] = questions_like([Sampled(id=4711, feature="chatbot", category="", input_tokens=400, output_tokens=40)])
    words = question.inputs["question"].split()
    assert len(words) == 300
    assert question.inputs["question"].endswith("Write about 30 words on any of this.")
    assert "4711" not in json.dumps([question.id, question.metadata])
    assert filler(1, 0).startswith("Write about 1 words")
