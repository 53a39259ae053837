from collections.abc import Mapping, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluations.leaderboards import Leaderboard, leaderboard
from tests.evaluations.statistics.references import recorded_passes

Floats = NDArray[np.float64]


def ranges(board: Leaderboard) -> dict[str, tuple[int, int]]:
    return {each.model: (each.best_rank, each.worst_rank) for each in board.standings}


def by_hand(passes: Mapping[str, Sequence[bool]]) -> tuple[dict[str, tuple[int, int]], set[frozenset[str]]]:
    """Rank ranges and tied groups by other libraries and by trying all sets of models."""
    from scipy.stats import binomtest
    from statsmodels.stats.multitest import multipletests

    pairs, p, gains = list(combinations(passes, 2)), [], []
    for a, b in pairs:
        gained = sum(x and not y for x, y in zip(passes[a], passes[b], strict=True))
        lost = sum(y and not x for x, y in zip(passes[a], passes[b], strict=True))
        p.append(binomtest(gained, gained + lost).pvalue if gained + lost else 1.0)
        gains.append(gained - lost)
    apart = multipletests(p, 0.05, method="holm")[0]
    beaten_by: dict[str, set[str]] = {model: set() for model in passes}
    for (a, b), told, gain in zip(pairs, apart, gains, strict=True):
        if told:
            beaten_by[b if gain > 0 else a].add(a if gain > 0 else b)
    found = {
        model: (1 + len(beaten_by[model]), len(passes) - sum(model in others for others in beaten_by.values()))
        for model in passes
    }
    sets = [
        frozenset(group)
        for group in chain.from_iterable(combinations(passes, size) for size in range(2, len(passes) + 1))
        if not any(a in beaten_by[b] or b in beaten_by[a] for a, b in combinations(group, 2))
    ]
    return found, {group for group in sets if not any(group < other for other in sets)}


def simulated(rng: np.random.Generator, rates: Sequence[float], n: int) -> dict[str, Floats]:
    """Passes of models that find the same cases hard."""
    hard = rng.normal(size=n)
    from scipy.special import ndtr, ndtri

    return {
        f"m{at}": (rng.random(n) < ndtr(ndtri(rate) * np.sqrt(2.0) + hard)).astype(float)
        for at, rate in enumerate(rates)
    }


@pytest.mark.parametrize("seed", range(12))
def test_ranges_and_groups_are_those_of_other_libraries_and_of_trying_all_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    passes = simulated(rng, rng.uniform(0.4, 0.7, size=6).tolist(), 150)
    board = leaderboard(passes)
    wanted, groups = by_hand({model: (each == 1).tolist() for model, each in passes.items()})
    assert ranges(board) == wanted
    assert {frozenset(group) for group in board.tied} == groups


@pytest.mark.parametrize("data", ["gsm8k", "zeroeval_gsm8k", "bbh"])
def test_boards_of_recorded_outputs_say_what_their_published_paired_tests_say(data: str) -> None:
    recorded = recorded_passes(data)
    boards: list[tuple[dict[str, list[bool]], dict[frozenset[str], dict[str, Any]]]]
    if data == "bbh":  # every task is a board of its own
        boards = [(passes, {frozenset(passes): wanted}) for passes, wanted in recorded.values()]
    else:
        every = {model: passes for both, _ in recorded.values() for model, passes in both.items()}
        boards = [(every, {frozenset(both): wanted for both, wanted in recorded.values()})]
    tied = []
    for passes, published in boards:
        board = leaderboard(passes)
        assert len(board.pairings) == len(published)
        for pairing in board.pairings:
            wanted = published[frozenset((pairing.first, pairing.second))]
            assert pairing.p == pytest.approx(wanted["exact_p"], rel=1e-6, abs=1e-300)
        assert (ranges(board), {frozenset(group) for group in board.tied}) == by_hand(passes)
        tied.append(board.tied)
    if data == "zeroeval_gsm8k":
        assert tied == [(("gpt-4o-2024-05-13", "gpt-4o-mini-2024-07-18"),)]
        assert list(ranges(board).values()) == [(1, 2), (1, 2), (3, 3), (4, 4), (5, 5), (6, 6)]
        assert board.leaders == ("gpt-4o-2024-05-13", "gpt-4o-mini-2024-07-18")
    elif data == "gsm8k":
        assert (tied, ranges(board)) == ([()], {"175b_verification": (1, 1), "6b_finetuning": (2, 2)})
    else:
        assert sum(bool(group) for group in tied) == 2  # boolean expressions and formal fallacies


def tie_rate(runs: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    boards = [leaderboard(simulated(rng, [0.6] * 4, int(rng.integers(60, 300)))) for _ in range(runs)]
    return sum(len(board.leaders) == 4 for board in boards) / runs


def test_equal_models_are_tied_in_at_least_95_percent_of_runs() -> None:
    assert tie_rate(250, seed=1) >= 0.95


@pytest.mark.slow
def test_equal_models_are_tied_in_at_least_95_percent_of_many_runs() -> None:
    assert tie_rate(4_000, seed=2) >= 0.95
