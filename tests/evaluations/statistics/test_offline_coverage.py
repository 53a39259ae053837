"""How often the intervals hold the truth: at least at their level inside the declared domain; outside it they say so.

The short form runs with every test; the long form (`pytest -m slow`) gives the figures of docs/statistics.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluations.estimates import Estimate
from evaluations.statistics.agreement import (
    IccForm,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac,
    icc,
    krippendorff_alpha,
)
from evaluations.statistics.clusters import cluster_robust
from evaluations.statistics.correlation import kendall, pearson, spearman
from evaluations.statistics.outcomes import Determined, Hedged
from evaluations.statistics.paired import PassPairs, mcnemar, mcnemar_p, paired_t, wilcoxon
from evaluations.statistics.resampling import bca, cluster_bootstrap, sign_flip

Generator = np.random.Generator
Numbers = NDArray[np.float64]
Found = object
NOMINAL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One method on one kind of data; `inside` when the method declares that it keeps its level there."""

    method: str
    data: str
    truth: float
    answer: Callable[[Generator], Found]
    inside: bool = True
    dear: bool = False
    """Resamples, and so runs less often."""

    def __str__(self) -> str:
        return f"{self.method} on {self.data}"


def hold(setting: Setting, runs: int, seed: int = 1) -> tuple[float, float]:
    """The share of intervals that hold the truth, and the share of results that call themselves reliable."""
    rng = np.random.default_rng(seed)
    held = reliable = 0
    for _ in range(runs):
        found = setting.answer(rng)
        interval = found.effect if isinstance(found, Determined) else getattr(found, "coefficient", None)
        if isinstance(interval, Estimate):
            held += interval.low <= setting.truth <= interval.high
            reliable += isinstance(found, Hedged) and found.reliable
    return held / runs, reliable / runs


# Kinds of data


def normal(rng: Generator, n: int) -> Numbers:
    return rng.normal(0, 1, n)


def laplace(rng: Generator, n: int) -> Numbers:
    """Heavy tails: excess kurtosis 3."""
    return rng.laplace(0, 1, n)


def gamma_2(rng: Generator, n: int) -> Numbers:
    """Skewness 1.4, mean 2."""
    return rng.gamma(2.0, 1.0, n)


def exponential(rng: Generator, n: int) -> Numbers:
    """Skewness 2, mean 1."""
    return rng.exponential(1.0, n)


def lognormal(rng: Generator, n: int) -> Numbers:
    """Skewness 6.2, mean exp(1/2)."""
    return rng.lognormal(0, 1, n)


def steps(rng: Generator, n: int) -> Numbers:
    """Gains on a scale of five points, symmetric about 0."""
    return rng.choice([-0.5, -0.25, 0.0, 0.25, 0.5], n, p=[0.1, 0.2, 0.4, 0.2, 0.1])


KINDS: dict[Callable[[Generator, int], Numbers], float] = {
    normal: 0.0,
    laplace: 0.0,
    gamma_2: 2.0,
    exponential: 1.0,
    lognormal: float(np.exp(0.5)),
    steps: 0.0,
}
RESAMPLES = 999


def of_differences(method: str, kind: Callable[[Generator, int], Numbers], n: int, inside: bool = True) -> Setting:
    def student(rng: Generator) -> Found:
        return paired_t(np.zeros(n), kind(rng, n))

    def ranks(rng: Generator) -> Found:
        return wilcoxon(np.zeros(n), kind(rng, n))

    def flips(rng: Generator) -> Found:
        return sign_flip(kind(rng, n), rng, flips=RESAMPLES)

    def bootstrap(rng: Generator) -> Found:
        return bca(kind(rng, n), rng, resamples=RESAMPLES)

    answers = {"paired t": student, "Wilcoxon": ranks, "sign flips": flips, "BCa": bootstrap}
    return Setting(
        method=method,
        data=f"n = {n}, {kind.__name__}",
        truth=KINDS[kind],
        answer=answers[method],
        inside=inside,
        dear=method in ("sign flips", "BCa"),
    )


def of_passes(
    interval: Literal["tango", "newcombe"], n: int, gained: float, lost: float, inside: bool = True
) -> Setting:
    def answer(rng: Generator) -> Found:
        better, worse, both, neither = rng.multinomial(
            n, [gained, lost, (1 - gained - lost) * 0.7, (1 - gained - lost) * 0.3]
        )
        pairs = PassPairs(both=both, only_control=worse, only_treatment=better, neither=neither)
        return mcnemar(pairs, interval=interval)

    data = f"n = {n}, {gained:.0%} gained, {lost:.0%} lost"
    return Setting(method=f"McNemar, {interval}", data=data, truth=gained - lost, answer=answer, inside=inside)


SIZES: dict[str, Callable[[int], NDArray[np.int_]]] = {
    "equal": lambda count: np.full(count, 5),
    "1 to 3": lambda count: np.resize(np.arange(1, 4), count),
    "1 to 15": lambda count: np.resize(np.arange(1, 16), count),
    "one of half": lambda count: np.append(np.full(count - 1, 3), 3 * (count - 1)),
}


def of_clusters(method: str, count: int, sizes: str, inside: bool = True) -> Setting:
    groups = np.repeat(np.arange(count), SIZES[sizes](count))

    def answer(rng: Generator) -> Found:
        values = rng.normal(0, 1, count)[groups] + rng.normal(0, 1, groups.size)
        if method == "cluster bootstrap":
            return cluster_bootstrap(values, groups, rng, resamples=RESAMPLES)
        return cluster_robust(values, groups, kind="CR1" if method == "CR1" else "CR2")

    data = f"{count} clusters, sizes {sizes}"
    return Setting(
        method=method, data=data, truth=0.0, answer=answer, inside=inside, dear=method == "cluster bootstrap"
    )


def labels(rng: Generator, n: int, common: float, right: float, raters: int = 3) -> Numbers:
    """Three classes, the first with the share `common`; a rater sees the true one, or else any, `right` of the time."""
    rest = (1 - common) / 2
    truth = rng.choice(3, n, p=[common, rest, rest])
    return np.where(rng.random((n, raters)) < right, truth[:, None], rng.integers(0, 3, (n, raters))).astype(float)


AGREEMENTS: dict[str, Callable[[Numbers], object]] = {
    "Cohen's kappa": lambda table: cohen_kappa(table[:, 0], table[:, 1]),
    "weighted kappa": lambda table: cohen_kappa(table[:, 0], table[:, 1], weighting="quadratic"),
    "Fleiss' kappa": fleiss_kappa,
    "Gwet's AC1": lambda table: gwet_ac(table, categories=[0.0, 1.0, 2.0]),
    "alpha, nominal": krippendorff_alpha,
    "alpha, ordinal": lambda table: krippendorff_alpha(table, level="ordinal"),
}


def true_agreement(method: str, common: float, right: float) -> float:
    """By the chances of all pairs of labels. The raters are alike, so the kappas and alpha are one number."""
    classes = np.array([common, (1 - common) / 2, (1 - common) / 2])
    seen = right * np.eye(3) + (1 - right) / 3
    pairs, each = seen.T @ np.diag(classes) @ seen, classes @ seen
    if method == "Gwet's AC1":
        chance = float(each @ (1 - each)) / 2
        return float((np.trace(pairs) - chance) / (1 - chance))
    places = np.cumsum(each) - each / 2 if method == "alpha, ordinal" else np.arange(3.0)
    apart = (places[:, None] - places[None, :]) ** 2
    if method not in ("alpha, ordinal", "weighted kappa"):
        apart = 1 - np.eye(3)
    return float(1 - (pairs * apart).sum() / (each @ apart @ each))


def of_agreement(method: str, n: int, common: float, right: float, inside: bool = True) -> Setting:
    return Setting(
        method=method,
        data=f"n = {n}, commonest class {common:.0%}, raters right {right:.0%}",
        truth=true_agreement(method, common, right),
        answer=lambda rng: AGREEMENTS[method](labels(rng, n, common, right)),
        inside=inside,
    )


def of_icc(form: IccForm, n: int, share: float, raters: int = 3, inside: bool = True) -> Setting:
    """Units have the given share of the variance; raters differ by their level in form 2 and 3."""

    def answer(rng: Generator) -> Found:
        noise, level = sqrt(1 - share), 0.0 if form[0] == "1" else sqrt((1 - share) / 2)
        if form[0] == "2":
            noise = sqrt((1 - share) / 2)
        return icc(
            rng.normal(0, sqrt(share), n)[:, None] + rng.normal(0, level, raters) + rng.normal(0, noise, (n, raters)),
            form,
        )

    data = f"n = {n}, {raters} raters, ICC {share}"
    return Setting(method=f"ICC({form})", data=data, truth=share, answer=answer, inside=inside)


def of_correlation(method: str, n: int, rho: float, far: bool = False) -> Setting:
    tests = {"Pearson": pearson, "Spearman": spearman, "Kendall": kendall}

    def draw(rng: Generator, size: int) -> tuple[Numbers, Numbers]:
        one, other = rng.normal(0, 1, size), rng.normal(0, 1, size)
        two = rho * one + sqrt(1 - rho * rho) * other
        return (np.exp(one), np.exp(two)) if far else (one, two)

    truths = {"Pearson": rho, "Spearman": 6 / np.pi * np.arcsin(rho / 2), "Kendall": 2 / np.pi * np.arcsin(rho)}
    truth = float(truths[method])
    if far and method == "Pearson":
        truth = float((np.exp(rho) - 1) / (np.e - 1))
    return Setting(
        method=method,
        data=f"n = {n}, correlation {rho}, {'log-normal' if far else 'normal'}",
        truth=truth,
        answer=lambda rng: tests[method](*draw(rng, n)),
        inside=not (far and method == "Pearson"),
    )


SETTINGS = [
    of_differences("paired t", normal, 10),
    of_differences("paired t", laplace, 150),
    of_differences("paired t", steps, 40),
    of_differences("paired t", gamma_2, 200),
    of_differences("paired t", exponential, 500),
    of_differences("paired t", exponential, 20, inside=False),
    of_differences("paired t", lognormal, 20, inside=False),
    of_differences("paired t", lognormal, 100, inside=False),
    of_differences("Wilcoxon", normal, 6),
    of_differences("Wilcoxon", normal, 30),
    of_differences("Wilcoxon", laplace, 30),
    of_differences("Wilcoxon", steps, 40),
    of_differences("sign flips", normal, 10),
    of_differences("sign flips", laplace, 150),
    of_differences("sign flips", steps, 40),
    of_differences("sign flips", lognormal, 20, inside=False),
    of_differences("BCa", normal, 50),
    of_differences("BCa", gamma_2, 100),
    of_differences("BCa", exponential, 300),
    of_differences("BCa", lognormal, 20, inside=False),
    of_differences("BCa", lognormal, 100, inside=False),
    of_passes("tango", 20, 0.2, 0.1),
    of_passes("tango", 50, 0.1, 0.05),
    of_passes("tango", 100, 0.02, 0.02),
    of_passes("tango", 400, 0.05, 0.02),
    of_passes("newcombe", 20, 0.2, 0.1),
    of_passes("newcombe", 50, 0.1, 0.05),
    of_passes("newcombe", 100, 0.02, 0.02),
    of_clusters("CR2", 10, "equal"),
    of_clusters("CR2", 20, "1 to 3"),
    of_clusters("CR2", 100, "1 to 15"),
    of_clusters("CR2", 5, "equal", inside=False),
    of_clusters("CR2", 15, "one of half", inside=False),
    of_clusters("CR1", 100, "1 to 15"),
    of_clusters("cluster bootstrap", 60, "equal"),
    of_clusters("cluster bootstrap", 60, "1 to 15"),
    of_clusters("cluster bootstrap", 8, "equal", inside=False),
    *(of_agreement(method, 150, 1 / 3, 0.9) for method in AGREEMENTS),
    *(of_agreement(method, 100, 0.8, 0.6) for method in AGREEMENTS),
    *(of_agreement(method, 400, 0.95, 0.97) for method in AGREEMENTS),
    *(of_agreement(method, 20, 0.8, 0.97, inside=False) for method in AGREEMENTS),
    of_icc("1,1", 10, 0.6),
    of_icc("2,1", 30, 0.6, raters=3, inside=False),
    of_icc("2,1", 30, 0.6, raters=5, inside=False),
    of_icc("2,1", 30, 0.6, raters=10, inside=False),
    of_icc("2,1", 30, 0.6, raters=20),
    of_icc("3,1", 10, 0.6),
    of_icc("1,k", 30, 0.0),
    of_correlation("Pearson", 25, 0.5),
    of_correlation("Spearman", 25, 0.5),
    of_correlation("Kendall", 40, 0.5),
    *(of_correlation(method, 60, 0.9) for method in ("Pearson", "Spearman", "Kendall")),
    *(of_correlation(method, 60, 0.5, far=True) for method in ("Pearson", "Spearman", "Kendall")),
]


SHORT = list({(setting.method, setting.inside): setting for setting in reversed(SETTINGS)}.values())
"""Of each method the first setting inside its domain and the first outside."""


def held_to(setting: Setting, runs: int) -> None:
    held, reliable = hold(setting, runs)
    print(f"| {setting.method} | {setting.data} | {held:.1%} | {reliable:.0%} | {runs:,} |")
    if setting.inside:
        # One-sided: an interval may be wider than its level asks for.
        assert held >= NOMINAL - 2.326 * sqrt(NOMINAL * (1 - NOMINAL) / runs)
        assert reliable >= 0.75
    else:
        assert reliable <= 0.3


@pytest.mark.parametrize("setting", SHORT, ids=str)
def test_intervals_hold_the_truth_or_say_that_they_cannot_be_relied_on(setting: Setting) -> None:
    held_to(setting, 80 if setting.dear else 250)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_intervals_hold_the_truth_over_many_runs(setting: Setting) -> None:
    held_to(setting, 1_500 if setting.dear else 6_000)


@pytest.mark.parametrize("n", [10, 20, 50, 100, 200])
@pytest.mark.parametrize("disagree", [0.05, 0.1, 0.3, 0.8])
def test_mcnemar_keeps_its_level_counted_over_all_outcomes(n: int, disagree: float) -> None:
    """No simulation: every number of disagreeing pairs and every way they fall, by their chances."""
    from scipy.special import gammaln

    def chances(m: int, p: float) -> Numbers:
        k = np.arange(m + 1)
        log = gammaln(m + 1) - gammaln(k + 1) - gammaln(m - k + 1) + k * np.log(p) + (m - k) * np.log1p(-p)
        return np.asarray(np.exp(log), dtype=np.float64)

    size = {"exact": 0.0, "mid-p": 0.0}
    for m, chance in enumerate(chances(n, disagree)):
        gained = np.arange(m + 1)
        fair = chances(m, 0.5)
        for method in ("exact", "mid-p"):
            size[method] += chance * float(fair[mcnemar_p(m - gained, gained, method=method) <= 0.05].sum())
    assert size["exact"] <= 0.05
    assert size["exact"] <= size["mid-p"] <= 0.0525
