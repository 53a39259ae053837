"""Lists, sets and rankings."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from evaluations.scoring.collections import items_in
from tests.evaluations.scoring.builders import score, value


@pytest.mark.parametrize(
    ("text", "split", "items"),
    [
        ('["a", 2, null]', "auto", ["a", "2", "null"]),
        ('```json\n["a"]\n```', "auto", ["a"]),
        ("Here you are:\n- red\n- green\n", "auto", ["red", "green"]),
        ("1. one\n2) two\n10. ten", "auto", ["one", "two", "ten"]),
        ("one\ntwo\n\nthree", "auto", ["one", "two", "three"]),
        ("red, green and blue", "auto", ["red", "green", "blue"]),
        ("red, green, and blue", "auto", ["red", "green", "blue"]),
        ("rock and roll", "auto", ["rock and roll"]),
        ("a b  c", "spaces", ["a", "b", "c"]),
        ("a, b", "lines", ["a, b"]),
        ('So: ["x"]', "json", ["x"]),
        ("none", "json", []),
        ("", "auto", []),
    ],
)
def test_items_are_told_apart(text: str, split: Any, items: list[str]) -> None:
    assert items_in(text, split) == items


@pytest.mark.parametrize(
    ("name", "said", "expected", "settings", "result"),
    [
        ("list_equals", "a, b, c", ["a", "b", "c"], {}, 1.0),
        ("list_equals", "a, c, b", ["a", "b", "c"], {}, 1 / 3),
        ("list_equals", "a", ["a", "b"], {}, 0.5),
        ("list_equals", "A", "a", {}, 1.0),
        ("list_equals", "A", "a", {"ignore_case": False}, 0.0),
        ("list_equals", "x y", {"gold": "x y"}, {"split": "spaces", "expected_field": "gold"}, 1.0),
        ("list_equals", "x", {"gold": "x"}, {}, None),
        ("set_equals", "b, a, a", ["a", "b"], {}, 1.0),
        ("set_equals", "b", ["a", "b"], {}, 0.0),
        ("set_recall", "a, x", ["a", "b"], {}, 0.5),
        ("set_recall", "a", [], {}, None),
        ("set_precision", "a, x, y, z", ["a", "b"], {}, 0.25),
        ("set_precision", "", ["a"], {}, 0.0),
        ("set_precision", "", [], {}, 1.0),
        ("set_f1", "a, x", ["a", "b"], {}, 0.5),
        ("set_f1", "", [], {}, 1.0),
        ("jaccard", "a, x", ["a", "b"], {}, 1 / 3),
        ("labels_f1", "It is red and, well, green.", ["red"], {"labels": ["red", "green", "blue"]}, 2 / 3),
        ("labels_f1", "none", [], {"labels": ["red"]}, 1.0),
        ("labels_f1", "red", ["pink"], {"labels": ["red"]}, None),
        ("ordering", "a, b, c", ["a", "b", "c"], {}, 1.0),
        ("ordering", "c, b, a", ["a", "b", "c"], {}, 0.0),
        ("ordering", "a, c", ["a", "b", "c"], {}, 1 / 3),
        ("ordering", "a", ["a"], {}, None),
        ("hit_at", "a, b", ["b"], {}, 0.0),
        ("hit_at", "a, b", ["b"], {"k": 2}, 1.0),
        ("reciprocal_rank", "a, b, c, d", ["d", "c"], {}, 1 / 3),
        ("reciprocal_rank", "a", ["d"], {}, 0.0),
        ("ndcg", "a, b, c", ["a", "b", "c"], {}, 1.0),
        ("ndcg", "x, a", ["a"], {}, 1 / math.log2(3)),
        ("ndcg", "x", ["a"], {}, 0.0),
        ("item_count", "- a\n- b", None, {"exactly": 2}, 1.0),
        ("no_duplicates", "a, b, A", None, {}, 2 / 3),
        ("no_duplicates", "a, b", None, {}, 1.0),
    ],
)
def test_lists_are_compared(
    name: str, said: str, expected: Any, settings: dict[str, Any], result: float | None
) -> None:
    assert value(name, said, expected, **settings) == (pytest.approx(result) if result is not None else None)


def test_reasons_say_what_is_lacking_and_what_is_too_many() -> None:
    assert score("set_f1", "a, x", ["a", "b"]).why == "lacks 'b'; has 'x' too many"
    assert score("list_equals", "a, x", ["a", "b"]).why == "item 2: wanted 'b', said 'x'"
    assert score("ordering", "b, a", ["a", "b"]).why == "wanted 'a' before 'b'"


@given(st.permutations(["a", "b", "c", "d", "e", "f"]))
def test_ordering_is_kendalls_tau_moved_to_shares(said: list[str]) -> None:
    tau = kendalltau(range(6), [said.index(item) for item in "abcdef"]).statistic
    assert value("ordering", ", ".join(said), list("abcdef")) == pytest.approx((tau + 1) / 2)


LETTERS = st.lists(st.sampled_from("abcdefgh"), max_size=8)


@given(LETTERS, LETTERS.filter(bool))
def test_set_measures_agree_with_their_definitions(said: list[str], wanted: list[str]) -> None:
    text = "\n".join(f"- {item}" for item in said)
    both, one, other = len(set(said) & set(wanted)), len(set(said)), len(set(wanted))
    precision, recall = both / one if one else 0.0, both / other
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    assert value("set_precision", text, wanted) == pytest.approx(precision)
    assert value("set_recall", text, wanted) == pytest.approx(recall)
    assert value("set_f1", text, wanted) == pytest.approx(f1)
    assert value("jaccard", text, wanted) == pytest.approx(both / len(set(said) | set(wanted)))
