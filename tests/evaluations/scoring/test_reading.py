"""Which text counts: of the answer, and of the expectation."""

from typing import Any

import pytest

from evaluations.scoring.base import Scored, Unscored
from evaluations.scoring.regexes import picked
from tests.evaluations.scoring.builders import a_case, an_answer, build, score, value


@pytest.mark.parametrize(
    ("said", "settings", "result"),
    [
        ("So it is.\nA: 18", {"answer_pattern": r"(?m)^A: (.*)$"}, 1.0),
        ("A: 18\nA: 19", {"answer_pattern": r"(?m)^A: (.*)$"}, 0.0),
        ("A: 18\nA: 19", {"answer_pattern": r"(?m)^A: (.*)$", "answer_take": "first"}, 1.0),
        ("it is 18", {"answer_pattern": r"\d+"}, 1.0),
        ("x=18", {"answer_pattern": r"y=(\d+)|x=(\d+)"}, 1.0),
        ("x=18 z=4", {"answer_pattern": [r"y=(\d+)", r"x=(\d+)", r"z=(\d+)"]}, 1.0),
        ("So the answer is 18.", {"answer_after": "answer is "}, 1.0),
        ("the answer is 3. No, the answer is 18.", {"answer_after": "answer is "}, 1.0),
        ("answer is 18. answer is 3.", {"answer_after": "answer is ", "answer_take": "first"}, 0.0),
        ("$1,8", {"drop": ",$"}, 1.0),
        ("  18\n", {}, 1.0),
        ("  18\n", {"strip": False}, 0.0),
        ('{"a": {"b": [17, 18]}}', {"answer_field": "a.b[1]"}, 1.0),
        ('Sure: ```json\n{"a": "18"}\n```', {"answer_field": "a"}, 1.0),
        ('{"r": "cut "off", "a": "18"', {"answer_field": "a", "answer_field_salvage": True}, 1.0),
        ('{"a": "#### 18"}', {"answer_field": "a", "answer_pattern": "#### (.+)"}, 1.0),
    ],
)
def test_the_part_of_the_answer_that_counts(said: str, settings: dict[str, Any], result: float) -> None:
    assert value("exact", said, "18", **settings) == result


@pytest.mark.parametrize(
    ("said", "settings", "says"),
    [
        ("I do not know", {"answer_pattern": "A: (.*)"}, "no final answer found: nothing matches 'A: (.*)' in 'I do"),
        ("I do not know", {"answer_after": "answer is"}, "no final answer found: nothing follows 'answer is' in"),
        ("I do not know", {"answer_field": "a"}, "no final answer found: no JSON field 'a' in 'I do not know'"),
        ('{"a": null}', {"answer_field": "a"}, "no final answer found: no JSON field 'a'"),
        (" ", {"answer_field": "a"}, "no final answer found: no JSON field 'a' in a blank answer"),
    ],
)
def test_a_missing_answer_is_wrong_or_unscored_as_the_suite_chose(
    said: str, settings: dict[str, Any], says: str
) -> None:
    wrong = score("exact", said, "18", **settings)
    assert wrong == Scored(0.0, wrong.why)
    assert wrong.why.startswith(says)
    assert isinstance(score("exact", said, "18", missing="unscored", **settings), Unscored)


@pytest.mark.parametrize(
    ("expected", "settings", "result"),
    [
        ("a #### 18", {"expected_pattern": "#### (.+)$"}, 1.0),
        ({"gold": "18"}, {"expected_field": "gold"}, 1.0),
        ({"gold": {"n": [18]}}, {"expected_field": "gold.n"}, 1.0),
        (["17", "18"], {}, 1.0),
        (["17", None, "18"], {}, 1.0),
        ([], {}, None),
        (18, {}, 1.0),
        (18.0, {}, 1.0),
        (None, {}, None),
        ({"gold": "18"}, {}, None),
        ({"gold": "18"}, {"expected_field": "silver"}, None),
        ({"gold": None}, {"expected_field": "gold"}, None),
        ("17", {"expected_pattern": "#### (.+)$"}, None),
        (["17", "#### 18"], {"expected_pattern": "#### (.+)$"}, 1.0),
        ("17", {"expected": "18"}, 1.0),
        ("17", {"expected": ["16", 18]}, 1.0),
    ],
)
def test_the_part_of_the_expectation_that_counts(expected: Any, settings: dict[str, Any], result: float | None) -> None:
    assert value("exact", "18", expected, **settings) == result


def test_expectations_may_stand_among_the_inputs_or_the_metadata() -> None:
    case = a_case({"inputs": "own key"}, inputs={"gold": "18"}, metadata={"row": {"gold": "19"}})
    answer = an_answer("18")
    assert build("exact", {"expected_field": "inputs.gold"}).score(case, answer) == Scored(1.0)
    assert build("exact", {"expected_field": "metadata.row.gold"}).score(case, an_answer("19")) == Scored(1.0)
    # The expectation's own key comes first.
    assert build("exact", {"expected_field": "inputs"}).score(case, an_answer("own key")) == Scored(1.0)


def test_reasons_show_what_was_wanted_and_said_on_one_short_line() -> None:
    told = score("exact", "long\n\nanswer\0 " * 5000, "Paris")
    assert told.why.startswith("wanted 'Paris', said 'long answer\\x00 ")
    assert len(told.why) < 200
    assert score("exact", "x", ["Paris", "Lyon"]).why == "wanted 'Paris', said 'x' (nearest of 2 alternatives)"


def test_a_pattern_that_backtracks_forever_leaves_the_answer_unscored() -> None:
    told = score("exact", "a" * 60 + "b", "x", answer_pattern=r"(a|a)+(a|a)+$")
    assert told == Unscored("a pattern took too long on this answer (61 characters); simplify the pattern")
    told = score("regex", "a" * 60 + "b", pattern=r"(a|a)+(a|a)+$")
    assert isinstance(told, Unscored)


def test_a_first_match_is_not_looked_beyond() -> None:
    items = iter([1, 2, 3])
    assert picked(items, "first") == 1
    assert next(items) == 2
    assert picked(iter([1, 2, 3]), "last") == 3
    assert picked(iter(()), "last") is None
