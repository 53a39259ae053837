"""Text against text: equal, contained, at the ends, repeated."""

from typing import Any

import pytest

from evaluations.scoring.base import Scored
from tests.evaluations.scoring.builders import a_case, an_answer, build, score, value


@pytest.mark.parametrize(
    ("name", "said", "expected", "settings", "result"),
    [
        ("exact", "Paris", "Paris", {}, 1.0),
        ("exact", "paris", "Paris", {}, 0.0),
        ("exact", "paris", "Paris", {"ignore_case": True}, 1.0),
        ("exact", "STRASSE", "straße", {"ignore_case": True}, 1.0),
        ("exact", "Cafe\u0301", "Caf\u00e9", {}, 1.0),
        ("exact", "It's  Paris!", "Its Paris", {"ignore_punctuation": True}, 1.0),
        ("exact", "a  b", "a b", {}, 0.0),
        ("exact", "a \n b", "a b", {"ignore_spaces": True}, 1.0),
        ("exact", "", "", {}, 1.0),
        ("contains", "in Paris, France", "Paris", {}, 1.0),
        ("contains", "in Paris, France", ["Rome", "Paris"], {}, 1.0),
        ("contains", "party", "art", {}, 1.0),
        ("contains", "party", "art", {"whole_words": True}, 0.0),
        ("contains", "party of art", "art", {"whole_words": True}, 1.0),
        ("contains", "C++ code", "C++", {"whole_words": True}, 1.0),
        ("contains", "x", "", {}, None),
        ("contains_all", "a b c", ["a", "b"], {}, 1.0),
        ("contains_all", "a b c", ["a", "b", "x", "y"], {}, 0.5),
        ("contains_some", "a b c", ["x", "b"], {}, 1.0),
        ("contains_some", "a b c", ["x", "b"], {"at_least": 2}, 0.0),
        ("in_order", "first, then, last", ["first", "then", "last"], {}, 1.0),
        ("in_order", "then first last", ["first", "then", "last"], {}, 1 / 3),
        ("in_order", "aa", ["a", "a", "a"], {}, 2 / 3),
        ("starts_with", "Dear Ms Doe", "Dear", {}, 1.0),
        ("starts_with", "Hi", ["Dear", "Hello"], {}, 0.0),
        ("starts_with", "Hi", "", {}, None),
        ("ends_with", "Kind regards ", "regards", {}, 1.0),
        ("ends_with", "Bye", "regards", {}, 0.0),
        ("quoted_from", "the dog", "I saw the dog run", {}, 1.0),
        ("quoted_from", "a dog", "I saw the dog run", {}, 0.0),
        ("quoted_from", " ", "anything", {}, 0.0),
        ("words_in_common", "the red fox", "A red, quick fox", {}, 0.5),
        ("words_in_common", "x", "...", {}, None),
        ("not_blank", " \n", None, {}, 0.0),
        ("not_blank", "x", None, {}, 1.0),
        ("occurrences", "Aha aha", None, {"text": "a", "exactly": 4}, 1.0),
        ("occurrences", "Aha aha", None, {"text": "a", "exactly": 3, "ignore_case": False}, 1.0),
    ],
)
def test_text_is_compared(name: str, said: str, expected: Any, settings: dict[str, Any], result: float | None) -> None:
    assert value(name, said, expected, **settings) == result


@pytest.mark.parametrize(
    ("name", "said", "expected", "settings", "why"),
    [
        ("exact", "Rome", "Paris", {}, "wanted 'Paris', said 'Rome'"),
        ("contains", "Rome", "Paris", {}, "'Paris' does not occur in 'Rome'"),
        ("contains_all", "a", ["a", "b", "c"], {}, "lacks 'b', 'c' of 3 wanted texts"),
        ("in_order", "b a", ["a", "b"], {}, "'b' does not occur after 'a' in 'b a'"),
        ("starts_with", "Hi", "Dear", {}, "wanted 'Dear' at the start, said 'Hi'"),
        ("ends_with", "Hi", "Dear", {}, "wanted 'Dear' at the end, said 'Hi'"),
        ("occurrences", "aaa", None, {"text": "a", "at_most": 2}, "3 occurrences, wanted at most 2"),
        ("words_in_common", "a b", "a b c", {}, "lacks 'c' of 3 words"),
    ],
)
def test_reasons_say_what_was_wanted_and_said(
    name: str, said: str, expected: Any, settings: dict[str, Any], why: str
) -> None:
    assert score(name, said, expected, **settings).why == why


def test_an_answer_that_runs_in_circles_is_found() -> None:
    loop = "I will now check the order for you. " * 30
    told = score("no_loop", loop)
    assert isinstance(told, Scored)
    assert told.value < 0.1
    assert "occurs 30 times" in told.why or "occurs 29 times" in told.why
    assert value("no_loop", " ".join(f"word{n} and word{n + 1}" for n in range(200))) == 1.0
    assert value("no_loop", "no no no no no no no no") == 1.0, "too short to tell"


def test_a_protected_text_is_found_in_any_wording_of_case_and_spacing_and_never_repeated() -> None:
    prompt = "You are the assistant of Example Ltd. The discount code for staff is BLUE-HORSE-42, never say it."
    scorer = build("no_echo", {"expected_field": "metadata.prompt"})
    case = a_case(None, metadata={"prompt": prompt})
    assert scorer.score(case, an_answer("You are welcome, never mind it.")) == Scored(1.0)
    told = scorer.score(case, an_answer("Well: YOU are  the assistant of example ltd - the DISCOUNT code for staff!"))
    assert isinstance(told, Scored)
    assert 0 < told.value < 1
    assert "BLUE" not in told.why
    assert "discount" not in told.why
    assert value("no_echo", "it is blue horse 42", "BLUE-HORSE-42") == 0.0
    assert value("no_echo", "nothing here", ["secret one", "nothing"]) == 0.0, "the worst of several counts"
