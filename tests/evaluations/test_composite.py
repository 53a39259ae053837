"""The composite score: it ranks on one set of criteria, against one reference, and says what it stands on."""

import doctest
import math

import pytest

from evaluations import composite as module
from evaluations.composite import CRITERIA, PROFILES, Measured, Profile, composite, profile_named, sensitivity
from evaluations.errors import AssayError

SEED = PROFILES["seed-003"]


def variant(name: str, **given: float | None) -> Measured:
    whole: dict[str, float | None] = {"quality": 0.8, "accuracy": 0.7, "latency_ms": 1000.0, "tokens_per_pass": 500.0}
    return Measured(variant=name, **{**whole, **given})


def test_the_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_the_total_is_the_weighted_mean_of_the_enabled_criteria() -> None:
    a, b = composite([variant("a"), variant("b", latency_ms=2000.0)], "a", SEED)
    assert a.total is not None
    assert math.isclose(a.total, (40 * 80 + 25 * 50 + 15 * 50 + 15 * 70) / 95)
    assert b.total is not None
    assert math.isclose(b.total, (40 * 80 + 25 * 0 + 15 * 50 + 15 * 70) / 95)
    assert (a.rank, b.rank) == (1, 2)


def test_speed_is_against_one_reference_so_a_faster_model_never_scores_lower() -> None:
    """Against each model's own baseline, 3,000 ms at its baseline would beat 600 ms above a baseline of 500."""
    slow, fast = composite([variant("slow", latency_ms=3000.0), variant("fast", latency_ms=600.0)], "slow", SEED)
    assert slow.scores["speed"] == 50
    assert fast.scores["speed"] == 100


def test_padding_does_not_pay() -> None:
    terse, padded = composite(
        [variant("terse", tokens_per_pass=300.0), variant("padded", tokens_per_pass=1100.0)], "terse", SEED
    )
    assert (terse.scores["token_efficiency"] or 0) > (padded.scores["token_efficiency"] or 0)


def test_a_missing_criterion_makes_the_total_incomplete_and_never_moves_weight() -> None:
    whole, partial = composite([variant("a"), variant("b", accuracy=None)], "a", SEED)
    assert (partial.total, partial.rank, partial.missing) == (None, None, ("accuracy",))
    assert whole.rank == 1
    assert sensitivity([variant("a"), variant("b", accuracy=None)], "a", SEED) == ()


def test_equals_share_a_rank() -> None:
    assert [each.rank for each in composite([variant("a"), variant("b"), variant("c", quality=0.5)], "a", SEED)] == [
        1,
        1,
        3,
    ]


def test_sensitivity_tells_which_weight_the_leader_stands_on() -> None:
    good, quick = variant("good", quality=0.95, latency_ms=1000.0), variant("quick", quality=0.7, latency_ms=800.0)
    changes = {each.change: each for each in sensitivity([good, quick], "good", SEED)}
    assert len(changes) == 3 * len(SEED.enabled)
    assert changes["response_quality doubled"].ranking == ("good", "quick")
    assert not changes["response_quality dropped"].same_leader
    assert changes["response_quality dropped"].ranking == ("quick", "good")


def test_a_profile_that_enables_nothing_and_one_that_nobody_knows_are_refused() -> None:
    nothing = Profile(name="none", version=1, weights={}, says="")
    with pytest.raises(AssayError, match="enables no criterion"):
        composite([variant("a")], "a", nothing)
    with pytest.raises(AssayError, match="did you mean 'seed-003'"):
        profile_named("seed-03")
    with pytest.raises(ValueError, match="not among the variants"):
        composite([variant("a")], "b", SEED)


def test_the_first_profile_is_that_of_the_sources() -> None:
    assert [SEED.weights[each] for each in CRITERIA] == [40, 25, 15, 15, 0, 0, 0]
    assert all(PROFILES["balanced-7"].weights[each] > 0 for each in CRITERIA)
