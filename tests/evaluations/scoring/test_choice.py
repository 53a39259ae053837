"""Letters, labels, yes and no."""

from typing import Any

import pytest

from evaluations.scoring.choice import labels_in, letter_in
from tests.evaluations.scoring.builders import score, value


@pytest.mark.parametrize(
    ("said", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(c).", "C"),
        ("**D**", "D"),
        ("The answer is (B).", "B"),
        ("The answer is A. No wait, the answer is C.", "C"),
        ("Answer: B", "B"),
        ("Options (A) and (B) are close, but the answer is B.", "B"),
        ("It has to be (C), as A dog cannot.", "C"),
        ("I think B", "B"),
        ("A dog barks.", None),
        ("I think so", None),
        ("B) the second", "B"),
        ("", None),
        ("ABBA", None),
        ("Of A, B and D only D fits.", "D"),
    ],
)
def test_the_letter_that_an_answer_settles_on(said: str, letter: str | None) -> None:
    assert letter_in(said, "ABCDEFGHI") == letter


@pytest.mark.parametrize(
    ("name", "said", "expected", "settings", "result"),
    [
        ("choice", "The answer is (B).", "(B)", {}, 1.0),
        ("choice", "The answer is (B).", "C", {}, 0.0),
        ("choice", "The answer is (B).", 1, {"index_from": 0}, 1.0),
        ("choice", "The answer is (B).", 2, {"index_from": 1}, 1.0),
        ("choice", "The answer is (B).", 99, {"index_from": 1}, None),
        ("choice", "The answer is (B).", "Paris", {}, None),
        ("choice", "no idea", "B", {}, 0.0),
        ("choice", "(A) or (B)", "A", {"take": "first"}, 1.0),
        ("label", "Billing.", "billing", {}, 1.0),
        ("label", "It is billing", "billing", {}, 0.0),
        ("label", "It is billing", "billing", {"labels": ["billing", "account"]}, 1.0),
        ("label", "feature_request", "Feature request", {}, 1.0),
        ("label", "A feature request!", "feature-request", {"labels": ["feature_request", "request"]}, 1.0),
        ("label", "billing or account", "billing", {"labels": ["billing", "account"]}, 0.0),
        ("label", "billing or account", "billing", {"labels": ["billing", "account"], "several": "first"}, 1.0),
        ("label", "billing or account", "billing", {"labels": ["billing", "account"], "several": "last"}, 0.0),
        ("label", "billing or account", "billing", {"labels": ["billing", "account"], "several": "unscored"}, None),
        ("label", "billing, I say billing", "billing", {"labels": ["billing", "account"]}, 1.0),
        ("label", "accounting", "account", {"labels": ["billing", "account"]}, 0.0),
        ("label", "billing", "shipping", {"labels": ["billing", "account"]}, None),
        ("ordinal_label", "mid", "high", {"labels": ["low", "mid", "high"]}, 0.5),
        ("ordinal_label", "low", "high", {"labels": ["low", "mid", "high"]}, 0.0),
        ("ordinal_label", "high", "high", {"labels": ["low", "mid", "high"]}, 1.0),
        ("one_of", " Yes ", None, {"labels": ["yes", "no"]}, 1.0),
        ("one_of", "Yes!", None, {"labels": ["yes", "no"]}, 0.0),
        ("one_of", "YES", None, {"labels": ["yes"], "ignore_case": False}, 0.0),
        ("yes_no", "Yes, it is.", True, {}, 1.0),
        ("yes_no", "No, not at all.", True, {}, 0.0),
        ("yes_no", "True or false? False.", "no", {"take": "last"}, 1.0),
        ("yes_no", "Perhaps", "no", {}, 0.0),
        ("yes_no", "Yes", "perhaps", {}, None),
    ],
)
def test_choices_are_compared(
    name: str, said: str, expected: Any, settings: dict[str, Any], result: float | None
) -> None:
    assert value(name, said, expected, **settings) == result


def test_a_label_inside_a_longer_one_that_is_named_does_not_count() -> None:
    labels = ("billing", "billing dispute")
    assert labels_in("This is a Billing Dispute.", labels) == ["billing dispute"]


def test_reasons_say_what_was_named() -> None:
    settings: dict[str, Any] = {"labels": ["billing", "account"]}
    assert score("label", "account", "billing", **settings).why == "wanted 'billing', said 'account'"
    assert score("label", "both billing and account", "billing", **settings).why == (
        "several labels are named: 'billing', 'account'"
    )
    assert score("choice", "hm", "B").why == "none of the letters ABCDEFGHIJ in 'hm'"
