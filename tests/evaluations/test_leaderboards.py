from collections.abc import Callable, Mapping, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from evaluations.estimates import Estimate
from evaluations.leaderboards import Leaderboard, at_equal_length, leaderboard, percentile
from evaluations.statistics.early_stopping import stopping
from evaluations.statistics.length_bias import LengthControlled
from evaluations.statistics.shrinkage import shrink_means
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


def equal_passes(rng: np.random.Generator) -> Leaderboard:
    return leaderboard(simulated(rng, [0.6] * 4, int(rng.integers(60, 300))))


def equal_repeats(rng: np.random.Generator) -> Leaderboard:
    """Means of three repeats of every case."""
    hard = rng.beta(1.5, 1, int(rng.integers(60, 300)))
    return leaderboard({f"m{at}": rng.binomial(3, hard) / 3 for at in range(4)})


def equal_clusters(rng: np.random.Generator) -> Leaderboard:
    """Passes in documents of one to eight questions, each of which suits every model differently."""
    documents = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    suited = rng.normal(0.3, 0.8, (4, 60))[:, documents]
    passes = {f"m{at}": (rng.normal(size=documents.size) < each).astype(float) for at, each in enumerate(suited)}
    return leaderboard(passes, clusters=documents.tolist())


EQUAL = {"one pass or fail": equal_passes, "means of three repeats": equal_repeats, "60 sources": equal_clusters}


def tie_rate(world: str, runs: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    return sum(len(EQUAL[world](rng).leaders) == 4 for _ in range(runs)) / runs


@pytest.mark.parametrize("world", EQUAL)
def test_equal_models_are_tied_in_at_least_95_percent_of_runs(world: str) -> None:
    # What 95 % give in 99 of 100 tries of so few runs; the long form holds the 95 % themselves.
    assert tie_rate(world, 60, seed=1) >= 0.95 - 2.33 * (0.05 * 0.95 / 60) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("world", EQUAL)
def test_equal_models_are_tied_in_at_least_95_percent_of_many_runs(world: str) -> None:
    rate = tie_rate(world, 3_000, seed=2)
    print(f"\n| four equal models, {world} | {rate:.1%} |")
    assert rate >= 0.95


def test_a_board_that_stopped_early_tells_pairs_apart_by_what_held_at_every_look() -> None:
    rng = np.random.default_rng(6)
    passes = {model: each[:300] for model, each in simulated(rng, [0.9, 0.85, 0.5], 1_000).items()}
    board, found = leaderboard(passes, planned=1_000), stopping(passes, planned=1_000)
    for each in found.decisions:
        pairing = board.between(each.first, each.second)
        assert pairing.ahead == each.ahead
        assert pairing.p == each.p
        assert (pairing.adjusted_p is not None and pairing.adjusted_p <= 0.05) == (each.state == "different")
    assert ranges(board)["m2"] == (3, 3)
    fixed = leaderboard(passes)
    for standing in board.standings:
        once = fixed.standing(standing.model).interval
        assert standing.interval is not None
        assert once is not None
        assert standing.interval.low < once.low < once.high < standing.interval.high
    upside_down = leaderboard({m: 1 - x for m, x in passes.items()}, planned=1_000, better="lower")
    assert (ranges(upside_down), upside_down.tied) == (ranges(board), board.tied)


def test_a_board_of_sources_that_stopped_early_counts_sources() -> None:
    rng = np.random.default_rng(12)
    sources = np.repeat(np.arange(300), 4).tolist()
    hard = np.repeat(rng.normal(size=300), 4)
    passes = {f"m{at}": (rng.random(600) < ndtr(2 * hard[:600] + at)).astype(float) for at in range(3)}
    board = leaderboard(passes, planned=1_200, clusters=sources)
    found = stopping(passes, planned=1_200, clusters=sources)
    assert board.clusters == 150
    for each in found.decisions:
        pairing = board.between(each.first, each.second)
        assert (pairing.ahead, pairing.p) == (each.ahead, each.p)
    alone = leaderboard(passes, planned=1_200)
    for standing in board.standings:
        apart = alone.standing(standing.model)
        assert standing.value == apart.value
        assert standing.interval is not None
        assert apart.interval is not None
        assert (standing.units, standing.interval.n) == (150, 150)
        assert standing.interval.low < apart.interval.low < apart.interval.high < standing.interval.high
    with pytest.raises(ValueError, match="in the midst of a cluster"):
        leaderboard({m: x[:-1] for m, x in passes.items()}, planned=1_200, clusters=sources)


def test_a_board_of_costs_is_that_of_scores_turned_around() -> None:
    rng = np.random.default_rng(8)
    costs = {f"m{at}": rng.gamma(4, scale, 400) for at, scale in enumerate((1.0, 1.02, 2.0))}
    board = leaderboard(costs, better="lower")
    assert board.kind == "skewed"
    assert board.standings[0].model in ("m0", "m1")
    assert ranges(board)["m2"] == (3, 3)
    assert ranges(leaderboard({m: -x for m, x in costs.items()})) == ranges(board)


def test_cases_that_share_a_source_widen_the_ranges() -> None:
    """Forty documents of ten questions each, whose models differ by document: 40 units, not 400."""
    rng = np.random.default_rng(3)
    documents = np.repeat(np.arange(40), 10)
    liked = rng.normal(0, 1.2, (2, 40))[:, documents]
    scores = {
        m: (rng.normal(size=400) < each + shift).astype(float)
        for m, each, shift in zip("ab", liked, (0.35, 0.1), strict=True)
    }
    alone, together = leaderboard(scores), leaderboard(scores, clusters=documents.tolist())
    assert ranges(alone) == {"a": (1, 1), "b": (2, 2)}
    assert ranges(together) == {"a": (1, 2), "b": (1, 2)}
    assert together.standings[0].units == 40
    errors = [board.standing("a").standard_error for board in (alone, together)]
    assert errors[0] is not None
    assert errors[1] is not None
    assert errors[1] > 1.5 * errors[0]


def test_the_standard_error_of_clustered_scores_is_that_of_statsmodels() -> None:
    from statsmodels.regression.linear_model import OLS

    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(25), 4)  # clusters of one size, where CR2 is the plain sandwich with G / (G - 1)
    scores = np.clip(rng.normal(0.6, 0.2, 100) + rng.normal(0, 0.1, 25)[groups], 0, 1)
    found = leaderboard({"a": scores}, clusters=groups.tolist()).standing("a").standard_error
    fitted = OLS(scores, np.ones(100)).fit(cov_type="cluster", cov_kwds={"groups": groups, "df_correction": True})
    # statsmodels multiplies by (n - 1) / (n - k) = 1 for a mean.
    assert found == pytest.approx(float(fitted.bse[0]), rel=1e-9)


def test_what_was_not_scored_is_counted_and_never_a_zero() -> None:
    board = leaderboard({"a": [1, 1, 1, np.nan] * 10, "b": [0, 0, 0, 1] * 10, "silent": [np.nan] * 40})
    assert [(each.model, each.value, each.n, each.unscored) for each in board.standings] == [
        ("a", 1.0, 30, 10),
        ("b", 0.25, 40, 0),
        ("silent", None, 0, 40),
    ]
    assert board.between("b", "a").n == 30
    assert (ranges(board)["silent"], board.between("a", "silent").why) == (
        (1, 3),
        "no case has a value under both variants",
    )
    assert board.leaders == ("a",)


def test_one_model_alone_is_first_and_claims_nothing() -> None:
    board = leaderboard({"a": [1.0, 0.0]})
    assert (ranges(board), board.pairings, board.tied, board.claim) == ({"a": (1, 1)}, (), (), None)


def test_what_is_no_board_is_refused() -> None:
    with pytest.raises(ValueError, match="one model or more"):
        leaderboard({})
    with pytest.raises(ValueError, match="in one order"):
        leaderboard({"a": [1.0], "b": [1.0, 0.0]})
    with pytest.raises(ValueError, match="infinite ones of b"):
        leaderboard({"a": [1.0], "b": [np.inf]})
    with pytest.raises(ValueError, match="said to be binary"):
        leaderboard({"a": [0.5]}, kind="binary")
    with pytest.raises(ValueError, match="one cluster"):
        leaderboard({"a": [0.5]}, clusters=[1, 2])
    with pytest.raises(ValueError, match="alpha"):
        leaderboard({"a": [0.5]}, alpha=0.5)


def uncovered(runs: int, seed: int) -> float:
    """How often a range misses the true rank of any model, among models of which some differ and some do not."""
    rng, missed = np.random.default_rng(seed), 0
    for _ in range(runs):
        rates = rng.choice([0.55, 0.62, 0.7, 0.7, 0.8], 5).tolist()
        board = leaderboard(simulated(rng, rates, int(rng.integers(80, 500))))
        truth = {f"m{at}": rate for at, rate in enumerate(rates)}
        missed += any(
            each.best_rank > 1 + sum(rate > truth[each.model] for rate in rates)
            or each.worst_rank < len(rates) - sum(rate < truth[each.model] for rate in rates)
            for each in board.standings
        )
    return missed / runs


def test_ranges_hold_the_true_ranks_of_all_models_together() -> None:
    assert uncovered(50, seed=3) <= 0.05


@pytest.mark.slow
def test_ranges_hold_the_true_ranks_of_all_models_together_in_many_runs() -> None:
    rate = uncovered(3_000, seed=4)
    print(f"\nranges miss a true rank in {rate:.2%} of 3,000 boards of five models")
    assert rate <= 0.05


def luck(spread: float, runs: int, seed: int) -> tuple[float, float, float]:
    """By how much the best of five models on 100 cases looks better than it is, as observed and as claimed, and how
    often the claim's interval holds its truth."""
    rng, observed, claimed, held = np.random.default_rng(seed), 0.0, 0.0, 0
    for _ in range(runs):
        rates = np.clip(rng.normal(0.75, spread, 5), 0.02, 0.98)
        passes = {f"m{at}": (rng.random(100) < rate).astype(float) for at, rate in enumerate(rates)}
        claim = leaderboard(passes).claim
        assert claim is not None
        truth = float(rates[int(claim.model[1:])])
        observed += claim.observed - truth
        claimed += claim.shrunken.value - truth
        held += claim.shrunken.low <= truth <= claim.shrunken.high
    return observed / runs, claimed / runs, held / runs


def test_the_best_of_five_equal_models_claims_less_than_it_scored() -> None:
    observed, claimed, held = luck(0.0, 60, seed=1)
    assert observed > 0.035  # the winner's curse: about 4.5 points
    assert abs(claimed) < 0.5 * observed
    assert held > 0.88


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.05, 0.1])
def test_what_the_best_of_five_claims_is_nearer_the_truth_than_what_it_scored(spread: float) -> None:
    observed, claimed, held = luck(spread, 1_500, seed=2)
    print(f"\n| {spread:.2f} | {100 * observed:+.1f} | {100 * claimed:+.1f} | {held:.1%} |")
    assert abs(claimed) < observed
    assert held > 0.94


def test_shrunken_means_are_those_of_numerical_integration() -> None:
    from scipy.integrate import dblquad

    values, errors = np.array([0.9, 0.86, 0.84, 0.7]), np.array([0.02, 0.03, 0.01, 0.04])
    scale = float(np.sqrt((errors**2).mean()))

    def weight(mean: float, spread: float) -> float:
        variance = errors**2 + spread**2
        likely = np.exp(-((values - mean) ** 2 / variance).sum() / 2) / np.sqrt(variance).prod()
        return float(likely / (1 + (spread / scale) ** 2))

    def first(mean: float, spread: float) -> float:
        own = spread**2 / (errors[0] ** 2 + spread**2)
        return weight(mean, spread) * float(own * values[0] + (1 - own) * mean)

    def over(what: Callable[[float, float], float]) -> float:
        return float(dblquad(what, 1e-4, 0.9, -1.5, 3.0, epsrel=1e-4)[0])

    wanted = over(first) / over(weight)
    found = shrink_means(values, errors)
    assert found[0].value == pytest.approx(wanted, abs=2e-4)
    assert all(each.low < each.value < each.high for each in found)
    assert found[0].value < values[0]
    assert found[3].value > values[3]
    with pytest.raises(ValueError, match="3 members or more"):
        shrink_means(values[:2], errors[:2])
    with pytest.raises(ValueError, match="not negative"):
        shrink_means(values, -errors)


def test_a_score_stands_among_earlier_ones_with_its_uncertainty() -> None:
    from scipy.stats import percentileofscore

    rng = np.random.default_rng(1)
    earlier = rng.integers(60, 90, 40) / 100
    now = Estimate(value=0.75, low=0.7, high=0.8, n=200)
    found = percentile(now, [*earlier, np.nan])
    assert found is not None
    for told, score in ((found.value, 0.75), (found.low, 0.7), (found.high, 0.8)):
        assert told == pytest.approx(percentileofscore(earlier, score, kind="mean") / 100)
    assert found.n == 40
    cheap = percentile(Estimate(value=1.0, low=0.5, high=2.0, n=9), [3.0, 4.0, 1.5], better="lower")
    assert cheap is not None
    assert (cheap.value, cheap.low, cheap.high) == pytest.approx((1.0, 2 / 3, 1.0))
    assert percentile(now, []) is None


def test_a_board_of_judged_scores_is_seen_again_at_equal_length() -> None:
    rng = np.random.default_rng(2)
    n = 1_500
    lengths = {"long": rng.normal(500, 80, n), "short": rng.normal(380, 80, n)}
    # The judge likes length alone: neither answer is the better one.
    taste = (lengths["long"] - lengths["short"]) / 120 + rng.logistic(size=n)
    scores = {"long": 5 + np.sign(taste), "short": np.full(n, 5.0)}
    board = leaderboard(scores, lengths=lengths)
    assert board.leaders == ("long",)
    assert board.standing("long").mean_length == pytest.approx(500, abs=8)
    found = at_equal_length(board, scores, lengths)["long", "short"]
    assert isinstance(found, LengthControlled)
    assert found.raw.low > 0.5
    assert found.controlled.low < 0.5 < found.controlled.high
    assert found.p < 1e-6
