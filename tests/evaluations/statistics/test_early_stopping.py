"""Stopping early: the bets against a plain computation, error rates by simulation, replays of recorded benchmarks."""

from collections.abc import Sequence
from math import log, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from evaluations.statistics.early_stopping import Stopping, mean_at_every_look, stopping
from tests.evaluations.statistics.references import recorded_passes

Floats = NDArray[np.float64]
PLANNED = 400


def passes(rng: np.random.Generator, rates: Sequence[float], n: int = PLANNED) -> dict[str, Floats]:
    """Of models that find the same cases hard."""
    hard = rng.normal(size=n)
    return {
        f"m{at}": (rng.random(n) < ndtr(ndtri(rate) * sqrt(2) + hard)).astype(float) for at, rate in enumerate(rates)
    }


def thirds(rng: np.random.Generator, rates: Sequence[float], n: int = PLANNED) -> dict[str, Floats]:
    """Means of three repeats of every case."""
    hard = rng.normal(size=n)
    return {f"m{at}": rng.binomial(3, ndtr(ndtri(rate) * sqrt(2) + hard)) / 3 for at, rate in enumerate(rates)}


def by_hand(one: Sequence[float], two: Sequence[float], mean: float, level: float, planned: int) -> list[float]:
    """What betting that first minus second is above `mean` has won after each case, a case at a time."""
    shares = [planned / part for part in (1, 4, 16)]
    m, held = (mean + 1) / 2, [1.0, 1.0, 1.0]
    total, squares, spread, won = 0.5, 0.25, 0.25, []
    for at, (a, b) in enumerate(zip(one, two, strict=True), 1):
        value = (a - b + 1) / 2
        for strategy, share in enumerate(shares):
            stake = min(sqrt(2 * log(2 / level) / (share * spread)), 0.5 / m)
            held[strategy] *= 1 + stake * (value - m)
        won.append(log(sum(held) / 3))
        total += value
        squares += (value - total / (at + 1)) ** 2
        spread = squares / (at + 1)
    return won


def test_a_pair_is_decided_when_a_plain_computation_of_the_bets_says_so() -> None:
    for rates in ((0.9, 0.7), (0.7, 0.9), (0.8, 0.8), (0.85, 0.7)):
        table = passes(np.random.default_rng(int(100 * rates[0] + 10 * rates[1])), rates)
        found = stopping(table, planned=600).decisions[0]
        up = by_hand(list(table["m0"]), list(table["m1"]), 0.0, 0.05, 600)
        down = by_hand(list(table["m1"]), list(table["m0"]), 0.0, 0.05, 600)
        most = [max(pair) for pair in zip(up, down, strict=True)]
        crossed = next((at for at, each in enumerate(most, 1) if each >= log(2 / 0.05)), None)
        assert found.decided_after == crossed
        assert log(found.p) == pytest.approx(min(0.0, log(2) - max(most)), abs=1e-9)
        if crossed is not None:
            assert found.ahead == ("m0" if up[crossed - 1] > down[crossed - 1] else "m1")


def wrong(found: Stopping, truth: dict[str, float]) -> bool:
    """Is any pair decided wrongly?"""
    for each in found.decisions:
        gap = truth[each.first] - truth[each.second]
        if each.state == "different" and (gap == 0 or (each.ahead == each.first) != (gap > 0)):
            return True
        if each.state == "equivalent" and found.margin is not None and abs(gap) >= found.margin - 1e-12:
            return True
    return False


WORLDS = [
    ("three equal models", passes, (0.7, 0.7, 0.7), None),
    ("three equal models, margin 5 points", passes, (0.7, 0.7, 0.7), 0.05),
    ("differences of just the margin", passes, (0.7, 0.8, 0.9), 0.1),
    ("three repeats, differences of just the margin", thirds, (0.7, 0.8, 0.9), 0.1),
    ("nearly all pass, differences of just the margin", passes, (0.97, 0.99), 0.02),
]


def error_rate(world: int, runs: int, seed: int) -> tuple[float, float]:
    """How often any pair is decided wrongly, and the mean share of the planned answers that were needed."""
    _, draw, rates, margin = WORLDS[world]
    rng, errors, needed = np.random.default_rng(seed), 0, 0.0
    for _ in range(runs):
        table = draw(rng, rates)
        found = stopping(table, planned=PLANNED, margin=margin)
        errors += wrong(found, {f"m{at}": rate for at, rate in enumerate(rates)})
        needed += sum(found.asked_of(model) for model in table) / (len(table) * PLANNED)
    return errors / runs, needed / runs


def most_errors(runs: int) -> float:
    """The rate that chance alone exceeds in 1 of 100 simulations of so many runs at 5 %."""
    return 0.05 + 2.33 * sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("world", range(len(WORLDS)), ids=[name for name, *_ in WORLDS])
def test_pairs_are_decided_wrongly_at_most_as_often_as_alpha_says(world: int) -> None:
    assert error_rate(world, 40, seed=world)[0] <= most_errors(40)


@pytest.mark.slow
@pytest.mark.parametrize("world", range(len(WORLDS)), ids=[name for name, *_ in WORLDS])
def test_pairs_are_decided_wrongly_at_most_as_often_as_alpha_says_in_many_runs(world: int) -> None:
    rate, needed = error_rate(world, 2_000, seed=100 + world)
    print(f"\n| {WORLDS[world][0]} | {rate:.1%} | {needed:.0%} | 2,000 |")
    assert rate <= most_errors(2_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rates", "margin"),
    [((0.9, 0.6), None), ((0.9, 0.8), None), ((0.9, 0.8, 0.7, 0.6), None), ((0.8, 0.8), 0.1), ((0.9, 0.89, 0.6), 0.1)],
)
def test_cases_are_saved_where_models_differ_or_are_alike(rates: tuple[float, ...], margin: float | None) -> None:
    rng, stopped, answers, decided, runs = np.random.default_rng(9), [], 0.0, 0, 300
    for _ in range(runs):
        table = passes(rng, rates, 1_000)
        found = stopping(table, planned=1_000, margin=margin)
        stopped.append(max(found.asked_of(model) for model in table))
        answers += sum(found.asked_of(model) for model in table) / (len(table) * 1_000)
        decided += found.stop
    print(f"\n| {rates} | {margin} | {np.mean(stopped):.0f} of 1,000 | {answers / runs:.0%} | {decided / runs:.0%} |")
    assert answers / runs < 1


def test_looking_after_every_batch_gives_what_one_look_at_the_end_gives() -> None:
    table = passes(np.random.default_rng(11), (0.9, 0.75, 0.74))
    whole = stopping(table, planned=PLANNED, margin=0.1)
    for each in whole.decisions:
        for asked in range(20, PLANNED + 1, 20):
            early = stopping({m: x[:asked] for m, x in table.items()}, planned=PLANNED, margin=0.1)
            told = next(d for d in early.decisions if (d.first, d.second) == (each.first, each.second))
            decided = each.decided_after is not None and each.decided_after <= asked
            assert (told.state != "open") == decided
            if decided:
                assert (told.state, told.ahead, told.decided_after) == (each.state, each.ahead, each.decided_after)


def replayed(seed: int, margin: float | None) -> tuple[Stopping, dict[str, float]]:
    recorded = recorded_passes("zeroeval_gsm8k")
    every = {model: np.array(each, dtype=float) for both, _ in recorded.values() for model, each in both.items()}
    order = np.random.default_rng(seed).permutation(1319)
    found = stopping({model: each[order] for model, each in every.items()}, planned=1319, margin=margin)
    return found, {model: float(each.mean()) for model, each in every.items()}


@pytest.mark.parametrize(("margin", "most"), [(None, 0.85), (0.05, 0.65)])
def test_a_recorded_benchmark_in_random_order_is_decided_as_all_of_its_cases_say(
    margin: float | None, most: float
) -> None:
    needed = []
    for seed in range(4):
        found, truth = replayed(seed, margin)
        assert not wrong(found, truth)
        needed.append(sum(found.asked_of(model) for model in truth) / (6 * 1319))
        best = {"gpt-4o-2024-05-13", "gpt-4o-mini-2024-07-18"}
        close = next(each for each in found.decisions if {each.first, each.second} == best)
        # Their published test gives p = 0.058: no early stop may tell them apart.
        assert close.state == ("open" if margin is None else "equivalent")
        assert sum(each.state == "different" for each in found.decisions) >= 12
    assert np.mean(needed) < most


@pytest.mark.slow
@pytest.mark.parametrize("margin", [None, 0.03, 0.05])
def test_replays_of_a_recorded_benchmark_in_many_orders(margin: float | None) -> None:
    needed, undecided, errors, runs = 0.0, 0, 0, 100
    for seed in range(runs):
        found, truth = replayed(seed, margin)
        errors += wrong(found, truth)
        needed += sum(found.asked_of(model) for model in truth) / (6 * 1319)
        undecided += len(found.open)
    print(
        f"\n| {margin} | {needed / runs:.0%} of the answers | {undecided / runs:.1f} of 15 pairs open |"
        f" {errors} of {runs} |"
    )
    assert errors <= 1


def test_a_model_whose_pairs_are_decided_need_not_be_asked_any_more() -> None:
    table = passes(np.random.default_rng(2), (0.9, 0.88, 0.3))
    found = stopping(table, planned=PLANNED)
    assert not found.stop
    assert set(found.wanted) == {"m0", "m1"}
    assert found.asked_of("m2") < found.asked_of("m0") == PLANNED
    # Left alone from then on, it changes nothing for the others.
    table["m2"][found.asked_of("m2") :] = np.nan
    again = stopping(table, planned=PLANNED)
    assert [each.decided_after for each in again.decisions] == [each.decided_after for each in found.decisions]


def test_cases_that_one_model_has_no_score_for_are_no_evidence() -> None:
    nothing = stopping({"a": [np.nan] * 5, "b": [1.0] * 5}, planned=10).decisions[0]
    assert (nothing.state, nothing.n, nothing.p, nothing.difference) == ("open", 0, 1.0, None)


def test_what_cannot_be_stopped_early_is_refused() -> None:
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        stopping({"a": [2.0], "b": [1.0]}, planned=10)
    with pytest.raises(ValueError, match="planned"):
        stopping({"a": [1.0, 0.0], "b": [1.0, 0.0]}, planned=1)
    with pytest.raises(ValueError, match="margin"):
        stopping({"a": [1.0], "b": [1.0]}, planned=1, margin=0.0)
    with pytest.raises(ValueError, match="pairs are of two models"):
        stopping({"a": [1.0], "b": [1.0]}, planned=1, pairs=[("a", "c")])
    with pytest.raises(ValueError, match="one order"):
        stopping({"a": [1.0], "b": [1.0, 0.0]}, planned=5)


@pytest.mark.parametrize("chances", [(0.9, 0.05, 0.05), (0.3, 0.0, 0.7), (0.98, 0.0, 0.02)])
def test_the_interval_of_a_mean_holds_it_at_every_look(chances: tuple[float, float, float]) -> None:
    rng, missed, runs = np.random.default_rng(5), 0, 120
    values = np.array([0.0, 0.5, 1.0])
    truth = float(values @ np.array(chances))
    for _ in range(runs):
        drawn = rng.choice(values, 200, p=chances)
        looks = [mean_at_every_look(drawn[:n], planned=200) for n in (5, 20, 50, 100, 200)]
        missed += any(not each.low <= truth <= each.high for each in looks)
    assert missed / runs <= most_errors(runs)
    with pytest.raises(ValueError, match="one value or more"):
        mean_at_every_look(np.empty(0), planned=10)
