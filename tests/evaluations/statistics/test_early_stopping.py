"""Stopping early: the bets against a plain computation, error rates by simulation, replays of recorded benchmarks."""

from collections.abc import Sequence
from functools import lru_cache
from math import log, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from evaluations.statistics.early_stopping import Stopping, mean_at_every_look, stopping, whole_cases
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
        missed += any(each is None or not each.low <= truth <= each.high for each in looks)
    assert missed / runs <= most_errors(runs)
    assert mean_at_every_look(np.empty(0), planned=10) is None
    assert mean_at_every_look(np.full(3, np.nan), planned=10) is None


# Cases that share a source


def of_sources(
    rng: np.random.Generator, rates: Sequence[float], sizes: Sequence[int], apart: float
) -> tuple[dict[str, Floats], list[int]]:
    """Passes of models that find the same sources hard, and each of them other sources too (`apart`); a large source is
    easier for the first model and harder for the others, so that the mean over sources is not that over cases."""
    sources = np.repeat(np.arange(len(sizes)), sizes)
    found = {}
    shared, large = rng.normal(size=len(sizes)), (np.array(sizes) > np.mean(sizes)) - 0.5
    for at, rate in enumerate(rates):
        taste = rng.normal(size=len(sizes)) * apart + shared + large * (0.8 if at == 0 else -0.8)
        # Scaled so that the mean over cases is the rate: the quantile is found on the sources that there can be.
        found[f"m{at}"] = (rng.random(sources.size) < ndtr(taste + offset(rate, apart, at == 0))[sources]).astype(float)
    return found, sources.tolist()


SIZES = (2, 10)
"""Cases of a source, as likely small as large."""


@lru_cache(maxsize=32)
def offset(rate: float, apart: float, first: bool) -> float:
    """What gives a model this rate over cases."""
    spread = sqrt(1 + 1 + apart**2)
    weights = [size / sum(SIZES) for size in SIZES]
    shifts = [-0.4, 0.4] if first else [0.4, -0.4]

    def off(at: float) -> float:
        over = sum(w * float(ndtr((at + shift) / spread)) for w, shift in zip(weights, shifts, strict=True))
        return over - rate

    return float(brentq(off, -9, 9))


def false_stops(runs: int, seed: int, *, whole: bool) -> float:
    """How often two models with the same rate over cases are told apart at any look."""
    rng, errors = np.random.default_rng(seed), 0
    for _ in range(runs):
        sizes = rng.choice(SIZES, 100).tolist()
        table, sources = of_sources(rng, (0.7, 0.7), sizes, apart=0.8)
        n = len(sources)
        found = stopping(table, planned=n, clusters=sources if whole else None)
        errors += found.decisions[0].state == "different"
    return errors / runs


def test_models_that_are_alike_are_told_apart_at_most_as_often_as_alpha_says_where_cases_share_sources() -> None:
    assert false_stops(100, 1, whole=True) <= most_errors(100)
    assert false_stops(100, 1, whole=False) > 2 * most_errors(100), "as if each case stood alone it errs too often"


@pytest.mark.slow
def test_models_that_are_alike_are_told_apart_at_most_as_often_in_many_runs_where_cases_share_sources() -> None:
    rates = {whole: false_stops(2_000, 3, whole=whole) for whole in (True, False)}
    print(f"\n| two equal models, 100 sources of 2 or 10 cases | {rates[True]:.1%} | as if alone {rates[False]:.1%} |")
    assert rates[True] <= most_errors(2_000)


@pytest.mark.parametrize("runs", [60, pytest.param(1_000, marks=pytest.mark.slow)])
def test_models_that_differ_are_told_apart_where_cases_share_sources(runs: int) -> None:
    rng, told, wrong_way, needed = np.random.default_rng(4), 0, 0, 0.0
    for _ in range(runs):
        table, sources = of_sources(rng, (0.9, 0.6), rng.choice(SIZES, 150).tolist(), apart=0.8)
        found = stopping(table, planned=len(sources), clusters=sources)
        told += found.stop
        wrong_way += found.decisions[0].ahead == "m1"
        needed += found.asked_of("m0") / len(sources)
    print(f"\n| 90, 60%, 150 sources | {needed / runs:.0%} of the answers | {told / runs:.0%} decided |")
    assert told / runs > 0.9
    assert needed / runs < 0.6
    assert wrong_way == 0


def test_sources_of_one_case_each_are_cases_that_stand_alone() -> None:
    table = passes(np.random.default_rng(3), (0.9, 0.8, 0.79))
    alone = stopping(table, planned=PLANNED, margin=0.1)
    apart = stopping(table, planned=PLANNED, margin=0.1, clusters=[f"page {at}" for at in range(PLANNED)])
    assert alone.decisions == apart.decisions


def test_only_whole_sources_are_looked_at() -> None:
    table, sources = of_sources(np.random.default_rng(8), (0.9, 0.4), [5] * 60, apart=0.3)
    whole = stopping(table, planned=300, clusters=sources).decisions[0]
    assert whole.decided_after is not None
    assert whole.decided_after % 5 == 0
    for asked in range(whole.decided_after - 5, whole.decided_after + 6):
        early = stopping({m: x[:asked] for m, x in table.items()}, planned=300, clusters=sources).decisions[0]
        assert early.state == ("open" if asked < whole.decided_after else "different")
        assert early.n == asked // 5 * 5
        assert whole_cases(sources, asked) == asked // 5 * 5


def test_sources_that_are_torn_apart_are_refused() -> None:
    table = {"a": [1.0, 0.0, 1.0], "b": [1.0, 1.0, 1.0]}
    with pytest.raises(ValueError, match="one after the other"):
        stopping(table, planned=3, clusters=["x", "y", "x"])
    with pytest.raises(ValueError, match="each planned case belongs to one cluster; got 3 for 4"):
        stopping(table, planned=4, clusters=["x", "x", "y"])
