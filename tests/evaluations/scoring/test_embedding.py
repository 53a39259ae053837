"""Embedding similarity without a model: what is asked for, and what is made of the vectors."""

import math

import numpy as np
import pytest

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Scored, Unscored
from evaluations.scoring.embedding import EmbeddingSimilarity


def texts(expected: object, said: str | None = "Lyon", field: str = "expected") -> tuple[str, ...]:
    case = Case(id="c", inputs={"gold": "G"}, metadata={"old": ["O1", "O2"]}, expected=expected)
    return EmbeddingSimilarity(expected_field=field).ask(case, Answer(case_id="c", variant="v", text=said))


def value(*vectors: list[float]) -> float:
    score = EmbeddingSimilarity().read(vectors)
    assert isinstance(score, Scored)
    return score.value


def test_the_answer_comes_first_then_its_references() -> None:
    assert texts("Paris") == ("Lyon", "Paris")
    assert texts(["Paris", "Lutetia", "", None]) == ("Lyon", "Paris", "Lutetia")
    assert texts(None, field="gold") == ("Lyon", "G")
    assert texts(None, field="old") == ("Lyon", "O1", "O2")


@pytest.mark.parametrize(
    ("expected", "said"), [(None, "Lyon"), ("", "Lyon"), ([], "Lyon"), ("Paris", "  "), ("Paris", None)]
)
def test_nothing_is_embedded_where_a_side_is_empty(expected: object, said: str | None) -> None:
    assert texts(expected, said) == ()
    assert isinstance(EmbeddingSimilarity().read(()), Unscored)


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        ([1.0, 0.0], [2.0, 0.0], 1.0),
        ([1.0, 0.0], [0.0, 3.0], 0.5),
        ([1.0, 1.0], [-2.0, -2.0], 0.0),
        ([3.0, 4.0], [4.0, 3.0], 0.98),
    ],
)
def test_the_angle_is_mapped_to_zero_to_one(one: list[float], other: list[float], score: float) -> None:
    assert value(one, other) == pytest.approx(score)


def test_it_agrees_with_numpy_and_stays_in_range() -> None:
    generator = np.random.default_rng(3)
    for _ in range(50):
        one, other = generator.normal(size=(2, 64))
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert value(one.tolist(), other.tolist()) == pytest.approx((1 + cosine) / 2, abs=1e-12)
        assert 0 <= value(one.tolist(), (one * 1e-3).tolist()) <= 1


def test_the_closest_of_several_references_counts() -> None:
    assert value([1.0, 0.0], [0.0, 1.0], [1.0, 0.1]) == pytest.approx((1 + 1 / math.hypot(1, 0.1)) / 2)


def test_huge_and_tiny_vectors_neither_overflow_nor_vanish() -> None:
    assert value([1e200, 0.0], [1e200, 0.0]) == 1.0
    assert value([1e-200, 0.0], [1e-200, 1e-200]) == pytest.approx((1 + math.sqrt(0.5)) / 2)


@pytest.mark.parametrize(
    "vectors",
    [
        ([1.0],),
        ([1.0], [1.0, 2.0]),
        ([0.0, 0.0], [1.0, 0.0]),
        ([math.nan, 1.0], [1.0, 0.0]),
        ([], []),
        ([1.0], [math.inf]),
    ],
)
def test_vectors_without_an_angle_are_unscored(vectors: tuple[list[float], ...]) -> None:
    assert isinstance(EmbeddingSimilarity().read(vectors), Unscored)
