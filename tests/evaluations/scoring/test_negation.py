"""Every scorer can be turned round, with a reason that says what was found."""

import pytest

from evaluations.scoring.base import Scored, Unscored
from evaluations.scoring.negation import Not
from tests.evaluations.scoring.builders import a_case, an_answer, build


def test_the_opposite_of_wrong_is_right_and_says_nothing() -> None:
    assert build("contains", negate=True).score(a_case("refund"), an_answer("Hello")) == Scored(1.0)


def test_the_opposite_of_right_is_wrong_and_says_what_was_found() -> None:
    told = build("contains", negate=True).score(a_case("refund"), an_answer("I will refund you"))
    assert told == Scored(0.0, "contains holds, which was not wanted: 'I will refund you'")


def test_what_could_not_be_told_stays_untold() -> None:
    assert isinstance(build("contains", negate=True).score(a_case(None), an_answer("x")), Unscored)


def test_graded_scores_are_mirrored() -> None:
    told = build("set_recall", negate=True).score(a_case(["a", "b", "c", "d"]), an_answer("a"))
    assert told == Scored(0.75, "set_recall is 0.25, which was not wanted: 'a'")


@pytest.mark.parametrize(("name", "threshold"), [("exact", 1.0), ("ratio", 0.2), ("bleu", 0.7)])
def test_thresholds_turn_round_with_the_scorer(name: str, threshold: float) -> None:
    assert build(name, negate=True).default_threshold == pytest.approx(threshold)
    assert build(name, negate=True).version == build(name).version


def test_a_negation_is_named_after_its_class_where_no_name_is_given() -> None:
    assert "NotBlank holds" in Not(build("not_blank")).score(a_case(), an_answer("x")).why
