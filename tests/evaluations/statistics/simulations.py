"""Experiments whose truth is known: how often intervals hold it, tests err and plans keep their power.

`python -m tests.evaluations.statistics.simulations` prints the tables of docs/statistics.md from the long forms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evaluations.statistics import power, quantiles, sequential, two_proportions
from evaluations.statistics.differences import FINE, Differences
from evaluations.statistics.mann_whitney import mann_whitney
from evaluations.statistics.outcomes import Determined
from evaluations.statistics.ratios import LARGEST_NOISE, LEAST_UNITS, PairMoments, ratio_differences
from evaluations.statistics.sample_ratio import SampleRatio, sample_ratio_any_time
from evaluations.statistics.two_samples import LEAST_PER_ARM, SKEW_LIMIT, Moments, skew_of_difference, welch_many

Floats = NDArray[np.float64]
Shape = Literal["normal", "uniform", "share of 10%", "exponential", "log-normal"]
LEVEL = 0.95
ONE_PERCENT = 2.326
"""Standard errors of the one-sided 99% Monte-Carlo margin."""

DRAWS: dict[Shape, tuple[Callable[[np.random.Generator, tuple[int, ...]], Floats], float]] = {
    "normal": (lambda g, size: g.standard_normal(size), 0.0),
    "uniform": (lambda g, size: g.random(size), 0.5),
    "share of 10%": (lambda g, size: (g.random(size) < 0.1).astype(np.float64), 0.1),
    "exponential": (lambda g, size: g.exponential(size=size), 1.0),
    "log-normal": (lambda g, size: g.lognormal(size=size), float(np.exp(0.5))),
}
"""How values are drawn, and their true mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A rate over simulated experiments, with what simulation leaves open of it."""

    value: float
    runs: int

    def margin(self, steps: float = ONE_PERCENT, at: float = LEVEL) -> float:
        """So many standard errors, if the true rate is `at`."""
        return float(steps * (at * (1 - at) / max(1, self.runs)) ** 0.5)

    @property
    def covers(self) -> bool:
        """At least the nominal level, but for the one-sided 99% margin of the simulation."""
        return bool(self.value >= LEVEL - self.margin())


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often an interval holds the truth: in all experiments, and in those that the method calls reliable."""

    all: Rate
    reliable: Rate

    @property
    def share(self) -> float:
        return self.reliable.runs / self.all.runs


def coverage_of(holds: NDArray[np.bool_], reliable: NDArray[np.bool_]) -> Coverage:
    kept = holds[reliable]
    return Coverage(
        all=Rate(value=float(holds.mean()), runs=holds.size),
        reliable=Rate(value=float(kept.mean()) if kept.size else float("nan"), runs=kept.size),
    )


def blocks(runs: int, values: int) -> list[int]:
    """Runs in portions of some ten million values."""
    size = max(1, min(runs, 8_000_000 // max(1, values)))
    return [min(size, runs - start) for start in range(0, runs, size)]


def welch_coverage(shape: Shape, n: int, m: int, runs: int, seed: int = 1, scale: float = 1.0) -> Coverage:
    """Of Welch's interval: n units of `shape` against m of `scale` times the same shape."""
    generator = np.random.default_rng((seed, n, m))
    draw, mean = DRAWS[shape]
    holds, reliable = [], []
    for portion in blocks(runs, n + m):
        a, b = Moments.of(draw(generator, (portion, n))), Moments.of(scale * draw(generator, (portion, m)))
        found, truth = welch_many(a, b), mean * (1 - scale)
        fine = found.trouble == FINE
        holds.append(fine & (found.low <= truth) & (truth <= found.high))
        inside = (skew_of_difference(a, b) <= SKEW_LIMIT) & (min(n, m) >= LEAST_PER_ARM)
        inside &= np.minimum(a.variance, b.variance) > 0
        reliable.append(fine & inside)
    return coverage_of(np.concatenate(holds), np.concatenate(reliable))


def ratio_coverage(users: int, runs: int, seed: int = 2) -> Coverage:
    """Of the delta method: users with 1 to 30 requests each, whose levels differ and go with how many they make."""
    generator = np.random.default_rng((seed, users))
    arms = []
    for _ in range(2):
        level = generator.normal(0, 0.5, (runs, users))
        requests = np.minimum(30, generator.geometric(1 / (1 + np.exp(level))))
        spent = requests * (1 + 0.3 * level) + generator.normal(0, 1, (runs, users)) * np.sqrt(requests)
        arms.append(
            PairMoments.from_sums(
                users, spent.sum(1), requests.sum(1), (spent**2).sum(1), (requests**2).sum(1), (spent * requests).sum(1)
            )
        )
    found = ratio_differences(arms[0], arms[1])
    noise = np.maximum(*(np.sqrt(arm.other_variance / users) / arm.other_mean for arm in arms))
    reliable = (noise <= LARGEST_NOISE) & (users >= LEAST_UNITS)
    return coverage_of((found.low <= 0) & (found.high >= 0), reliable)


def quantile_coverage(q: float, n: int, runs: int, seed: int = 3) -> Coverage:
    """Of the joined bounds, for log-normal latencies of which one arm is slower by a fifth."""
    from scipy.special import ndtri

    generator = np.random.default_rng((seed, n))
    truth = 0.2 * float(np.exp(ndtri(q)))
    holds, reliable = [], []
    for _ in range(runs):
        found = quantiles.quantile_effect(1.2 * generator.lognormal(size=n), generator.lognormal(size=n), q)
        if isinstance(found, Determined) and found.effect is not None:
            holds.append(found.effect.low <= truth <= found.effect.high)
            reliable.append(found.reliable)
        else:
            holds.append(False)
            reliable.append(False)
    return coverage_of(np.array(holds), np.array(reliable))


def rank_coverage(n: int, m: int, shift: float, runs: int, seed: int = 4) -> Coverage:
    """Of the interval for P(treatment > control): log-normal values, the treatment's moved on the log scale."""
    from scipy.special import ndtr

    generator = np.random.default_rng((seed, n, m))
    truth = float(ndtr(shift / 2**0.5)) - 0.5
    holds, reliable = [], []
    for _ in range(runs):
        found = mann_whitney(generator.lognormal(shift, 1, n), generator.lognormal(0, 1, m))
        assert isinstance(found, Determined)
        assert found.effect is not None
        holds.append(found.effect.low <= truth <= found.effect.high)
        reliable.append(found.reliable)
    return coverage_of(np.array(holds), np.array(reliable))


def share_coverage(n: int, m: int, p: float, q: float) -> float:
    """Of the interval that `two_proportions` takes, not simulated but summed over all outcomes."""
    from scipy.stats import binom

    low, high = share_bounds(n, m)
    weights = binom.pmf(np.arange(n + 1), n, p)[:, None] * binom.pmf(np.arange(m + 1), m, q)[None, :]
    holds = (low <= p - q + 1e-12) & (high >= p - q - 1e-12)
    return float(np.sum(weights * holds))


@lru_cache(maxsize=4)
def share_bounds(n: int, m: int) -> tuple[Floats, Floats]:
    """The interval of every outcome, shapes (n + 1, m + 1)."""
    x, y = np.meshgrid(np.arange(n + 1), np.arange(m + 1), indexing="ij")
    return two_proportions.difference_bounds(x, n, y, m)


# Looks


def looked_at(shape: Shape, looks: int, per_look: int, runs: int, seed: int) -> Differences:
    """A/A experiments: Welch's differences at every look, shape (runs, looks)."""
    generator = np.random.default_rng((seed, looks, per_look))
    draw, _ = DRAWS[shape]
    arms: list[list[Floats]] = [[], []]
    for portion in blocks(runs, looks * per_look * 2):
        for arm in arms:
            values = draw(generator, (portion, looks, per_look))
            arm.append(np.stack([values.sum(-1).cumsum(-1), (values**2).sum(-1).cumsum(-1)]))
    n = per_look * np.arange(1.0, looks + 1)
    a, b = (Moments.from_sums(n, *np.concatenate(arm, axis=1)) for arm in arms)
    return welch_many(a, b)


def any_time_errors(shape: Shape, runs: int, *, looks: int = 20, per_look: int = 100, planned_n: float = 2_000) -> Rate:
    """How often the confidence sequence leaves out the truth at any of the looks."""
    found = sequential.any_time(looked_at(shape, looks, per_look, runs, 5), planned_n=planned_n)
    return Rate(value=float((found.p <= 0.05).any(axis=1).mean()), runs=runs)


def group_errors(
    shape: Shape, spending: sequential.Spending, runs: int, *, looks: int = 20, per_look: int = 100
) -> Rate:
    """How often the boundary is crossed at any of the looks."""
    found = looked_at(shape, looks, per_look, runs, 6)
    fractions = tuple((look + 1) / looks for look in range(looks))
    limits = np.array([each.z for each in sequential.boundaries(fractions, 0.05, spending)])
    return Rate(value=float((np.abs(found.statistic) >= limits).any(axis=1).mean()), runs=runs)


def naive_errors(runs: int, *, looks: int = 20) -> Rate:
    """How often a test at 5% that is repeated at every look errs."""
    found = looked_at("normal", looks, 100, runs, 7)
    return Rate(value=float((found.p <= 0.05).any(axis=1).mean()), runs=runs)


def share_sequence_errors(share: float, runs: int, *, looks: int = 20, per_look: int = 10) -> Rate:
    """How often the beta-binomial sequence leaves out the true share at any look."""
    generator = np.random.default_rng(8)
    hits = generator.binomial(per_look, share, (runs, looks)).cumsum(axis=1)
    outside = np.zeros((runs, looks), dtype=np.bool_)
    for look in range(looks):
        n = per_look * (look + 1)
        for count in np.unique(hits[:, look]):
            found = sequential.any_time_share(int(count), n)
            outside[hits[:, look] == count, look] = not found.low <= share <= found.high
    return Rate(value=float(outside.any(axis=1).mean()), runs=runs)


def split_alarms(runs: int, *, looks: int = 20, per_look: int = 100) -> Rate:
    """How often a sound 70/30 split raises the sequential alarm (at 5%) at any look."""
    generator = np.random.default_rng(9)
    counts = generator.binomial(per_look, 0.3, (runs, looks)).cumsum(axis=1)
    alarms = 0
    for run in counts:
        for look, count in enumerate(run, 1):
            found = sample_ratio_any_time([look * per_look - int(count), int(count)], [70, 30], alarm=0.05)
            assert isinstance(found, SampleRatio)
            if found.mismatch:
                alarms += 1
                break
    return Rate(value=alarms / runs, runs=runs)


# Power


def power_by_simulation(runs: int) -> dict[str, tuple[float, Rate]]:
    """By design: what the planner says, and the share of simulated experiments that were found."""
    from evaluations.statistics.power import size_for_means, size_for_pairs, size_for_proportions

    generator = np.random.default_rng(10)
    results: dict[str, tuple[float, Rate]] = {}

    def found(name: str, planned: float, p: Floats) -> None:
        results[name] = planned, Rate(value=float((p <= 0.05).mean()), runs=p.size)

    n = size_for_means(0.3, 1.0)
    assert n is not None
    arms = [[Moments.of(generator.normal(mean, 1, (part, n))) for mean in (0.3, 0.0)] for part in blocks(runs, 2 * n)]
    found("two means", power.power_of_means(0.3, 1.0, n), np.concatenate([welch_many(*each).p for each in arms]))

    unequal = Moments.of(generator.normal(0.4, 1, (runs, 60))), Moments.of(generator.normal(0, 2, (runs, 240)))
    planned = power.power_of_means(0.4, 1.0, 60, control_n=240, control_sd=2.0)
    found("two means, unequal", planned, welch_many(*unequal).p)

    pairs = size_for_pairs(0.3, 0.8)
    assert pairs is not None
    gains = Moments.of(generator.normal(0.3, 0.8, (runs, pairs)))
    found("pairs", power.power_of_pairs(0.3, 0.8, pairs), one_sample_p(gains))

    clusters, size, icc = 40, 8, 0.2
    planned = power.power_of_clusters(0.35, 1.0, clusters, size=size, correlation=icc)
    means = [
        Moments.of(mean + generator.normal(0, (icc + (1 - icc) / size) ** 0.5, (runs, clusters))) for mean in (0.35, 0)
    ]
    found("clusters", planned, welch_many(*means).p)

    units = size_for_proportions(0.821, 0.765)
    assert units is not None
    hits = generator.binomial(units, 0.821, runs), generator.binomial(units, 0.765, runs)
    tested = two_proportions.proportion_differences(hits[0], units, hits[1], units)
    found("two shares", power.power_of_proportions(0.821, 0.765, units), tested.p)

    for mid_p in (False, True):
        counts = generator.multinomial(200, [0.15, 0.05, 0.8], runs)
        p = mcnemar_by_hand(counts[:, 0], counts[:, 1], mid_p)
        planned = power.power_of_mcnemar(0.15, 0.05, 200, mid_p=mid_p)
        found(f"McNemar{' mid-p' if mid_p else ''}", planned, p)
    return results


def one_sample_p(of: Moments) -> Floats:
    from scipy.special import stdtr

    p: Floats = 2 * stdtr(of.n - 1, -np.abs(of.mean / np.sqrt(of.variance / of.n)))
    return p


def mcnemar_by_hand(gained: NDArray[Any], lost: NDArray[Any], mid_p: bool) -> Floats:
    """From scipy's binomial, independently of both the planner and the test."""
    from scipy.stats import binom

    total, least = gained + lost, np.minimum(gained, lost)
    p = 2 * binom.cdf(least, total, 0.5)
    if mid_p:
        p = p - binom.pmf(least, total, 0.5)
    bounded: Floats = np.minimum(1.0, p)
    return bounded


# The tables of docs/statistics.md


def tables() -> None:
    """Prints what the long forms find, as Markdown."""
    print("| Welch's test on | n | m | coverage | called reliable |\n| --- | ---: | ---: | ---: | ---: |")
    for shape, n, m, scale in (
        ("normal", 10, 10, 1.0),
        ("normal", 30, 30, 1.0),
        ("normal", 30, 300, 1.0),
        ("uniform", 30, 30, 1.0),
        ("exponential", 30, 300, 1.0),
        ("exponential", 200, 200, 1.0),
        ("exponential", 200, 200, 0.4),
        ("exponential", 500, 5000, 1.0),
        ("log-normal", 20, 20, 0.4),
        ("log-normal", 20, 200, 1.0),
        ("log-normal", 200, 200, 0.4),
        ("log-normal", 200, 2000, 1.0),
        ("log-normal", 2000, 2000, 0.4),
    ):
        name: Shape = shape  # type: ignore[assignment]
        found = welch_coverage(name, n, m, 20_000, scale=scale)
        times = f", the control x {scale:g}" if scale != 1 else ""
        print(f"| {shape}{times} | {n:,} | {m:,} | {found.all.value:.1%} | {found.share:.0%} |", flush=True)

    print("\n| method | data | coverage | called reliable |\n| --- | --- | ---: | ---: |")
    for users in (50, 100, 500):
        found = ratio_coverage(users, 20_000)
        data = f"{users} users an arm, 1 to 30 requests each"
        print(f"| delta method | {data} | {found.all.value:.1%} | {found.share:.0%} |")
    for q, n in ((0.5, 10), (0.5, 20), (0.5, 200), (0.95, 100), (0.95, 200), (0.95, 2000)):
        found = quantile_coverage(q, n, 10_000)
        print(
            f"| {q:.0%} quantile | log-normal, {n:,} an arm | {found.all.value:.1%} | {found.share:.0%} |", flush=True
        )
    for n, m, shift in ((6, 6, 0.0), (15, 15, 0.0), (20, 60, 0.5), (100, 100, 1.0)):
        found = rank_coverage(n, m, shift, 10_000)
        print(
            f"| Mann-Whitney's effect | log-normal, {n} and {m} | {found.all.value:.1%} | {found.share:.0%} |",
            flush=True,
        )

    print("\n| two shares, n and m | least coverage | mean coverage |\n| --- | ---: | ---: |")
    shares = (0.01, 0.03, 0.06, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 0.99)
    for n, m in ((10, 10), (30, 30), (60, 60), (120, 120), (20, 100), (130, 300), (300, 300)):
        covered = [share_coverage(n, m, p, q) for p in shares for q in shares if abs(p - q) < 0.9]
        print(f"| {n} and {m} | {min(covered):.1%} | {np.mean(covered):.1%} |", flush=True)

    print("\n| twenty looks | errors at 5% |\n| --- | ---: |")
    print(f"| a test at every look | {naive_errors(10_000).value:.1%} |")
    shapes: tuple[Shape, ...] = ("normal", "share of 10%", "exponential", "log-normal")
    for kind in shapes:
        print(
            f"| confidence sequence, {kind}, from 100 an arm on | {any_time_errors(kind, 10_000).value:.1%} |",
            flush=True,
        )
    early = any_time_errors("exponential", 10_000, per_look=10)
    print(f"| the same from 10 an arm on, exponential (called not reliable) | {early.value:.1%} |")
    for spending in ("obrien-fleming", "pocock"):
        for kind in shapes[:3]:
            found_rate = group_errors(kind, spending, 10_000)
            print(f"| {spending} boundaries, {kind} | {found_rate.value:.1%} |", flush=True)
    for share in (0.5, 0.05):
        print(
            f"| beta-binomial sequence of a share of {share:.0%} | {share_sequence_errors(share, 10_000).value:.1%} |"
        )
    print(f"| sequential sample ratio | {split_alarms(10_000).value:.1%} |", flush=True)

    print("\n| plan | power planned | power found |\n| --- | ---: | ---: |")
    for design, (planned, power_found) in power_by_simulation(40_000).items():
        print(f"| {design} | {planned:.1%} | {power_found.value:.1%} |")


if __name__ == "__main__":
    tables()
