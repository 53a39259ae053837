"""Worlds whose truth is known: a model in use, candidates that are better or worse by a set amount, and what follows.

`python -m tests.evaluations.recommending.worlds` prints the operating characteristics of docs/recommendations.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

from evaluations.comparisons import Question
from evaluations.recommending.candidates import Rule, cases_needed, passes_needed
from evaluations.recommending.evidence import Bench, Evidence, Workload
from evaluations.recommending.modes import recommend
from evaluations.recommending.recommendation import Advice
from evaluations.statistics.paired import PassPairs, tango

Floats = NDArray[np.float64]
Kind = Literal["binary", "bounded"]
INCUMBENT = "maker/in-use"
ALPHA = 0.05
MONTH = Workload(feature="chat", requests=30_000, requests_low=27_000, requests_high=33_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worlds:
    """How often something happened in simulated worlds."""

    hits: int
    runs: int

    @property
    def rate(self) -> float:
        return self.hits / self.runs

    @property
    def upper(self) -> float:
        """The exact one-sided 99% bound of the rate (Clopper and Pearson)."""
        return 1.0 if self.hits == self.runs else float(betaincinv(self.hits + 1, self.runs - self.hits, 0.99))

    @property
    def lower(self) -> float:
        return 0.0 if not self.hits else float(betaincinv(self.hits, self.runs - self.hits + 1, 0.01))


def evidence(model: str, values: Floats, cost: float, g: np.random.Generator) -> Evidence:
    """A model with these scores, whose calls cost about so many dollars each."""
    return Evidence(
        model=model,
        values={"accuracy": values},
        costs=[Decimal(round(each * 1e9)).scaleb(-9) for each in cost * g.uniform(0.5, 1.5, values.size)],
        latencies_ms=g.gamma(4.0, 100.0, values.size),
        calls=values.size,
    )


def scores(
    g: np.random.Generator, n: int, differences: Mapping[str, float], *, kind: Kind, disagreement: float
) -> dict[str, Floats]:
    """Scores of the model in use and of candidates whose true differences are these.

    Passes change sides in `disagreement` of the cases; bounded scores are means of four repeats.
    """
    if kind == "bounded":
        hard = g.uniform(0.3, 0.7, n)
        found = {INCUMBENT: g.binomial(4, hard) / 4}
        return found | {name: g.binomial(4, hard + difference) / 4 for name, difference in differences.items()}
    passes = g.random(n) < 0.75
    found = {INCUMBENT: passes.astype(np.float64)}
    for name, difference in differences.items():
        gained, lost = (disagreement + difference) / 2, (disagreement - difference) / 2
        moves = g.random(n) < np.where(passes, lost / 0.75, gained / 0.25)
        found[name] = (passes ^ moves).astype(np.float64)
    return found


def world(
    g: np.random.Generator,
    n: int,
    differences: Mapping[str, float],
    *,
    kind: Kind = "binary",
    disagreement: float = 0.2,
    costs: Mapping[str, float] | None = None,
) -> Bench:
    """A bench in which every candidate is cheaper than the model in use, unless `costs` say otherwise."""
    found = scores(g, n, differences, kind=kind, disagreement=disagreement)
    prices = {INCUMBENT: 0.01} | {name: 0.01 * g.uniform(0.1, 0.6) for name in differences} | dict(costs or {})
    return Bench(evidence=tuple(evidence(name, values, prices[name], g) for name, values in found.items()))


def rule(margin: float, kind: Kind = "binary") -> Rule:
    return Rule(question=Question(metric="accuracy", kind=kind, margin=margin), alpha=ALPHA)


def advised(bench: Bench, margin: float, kind: Kind, seed: int) -> Advice:
    g = np.random.default_rng(seed)
    return recommend(bench, MONTH, rule(margin, kind), generator=g, incumbent=INCUMBENT, resamplings=0)


def wrong_recommendations(runs: int, *, excess: tuple[float, float] = (0.1, 1.0), first_seed: int = 0) -> Worlds:
    """Worlds in which all of one to five candidates are worse than the margin, by these shares of it: in how many is
    any of them recommended?"""
    hits = 0
    for seed in range(first_seed, first_seed + runs):
        g = np.random.default_rng((seed, 1))
        margin, kind = float(g.uniform(0.02, 0.06)), g.choice(["binary", "bounded"])
        differences = {f"maker/{at}": -margin * (1 + float(g.uniform(*excess))) for at in range(g.integers(1, 6))}
        bench = world(g, int(g.integers(100, 1_500)), differences, kind=kind, disagreement=float(g.uniform(0.13, 0.25)))
        hits += bool(advised(bench, margin, kind, seed).recommendations)
    return Worlds(hits=hits, runs=runs)


def planned(*, candidates: int, difference: float, kind: Kind = "binary", margin: float = 0.04) -> int:
    """The number of cases that the plan states."""
    if kind == "binary":
        n = passes_needed(margin=margin, disagreement=0.15, difference=difference, alpha=ALPHA, candidates=candidates)
    else:
        # Variance of the mean of four passes under each model, given how hard the case is.
        hard = np.linspace(0.3, 0.7, 4_001)
        other = hard + difference
        sd = float(((hard * (1 - hard) + other * (1 - other)) / 4).mean()) ** 0.5
        n = cases_needed(margin=margin, sd=sd, difference=difference, alpha=ALPHA, candidates=candidates)
    assert n is not None
    return n


def power(runs: int, *, candidates: int, difference: float, kind: Kind = "binary", margin: float = 0.04) -> Worlds:
    """Worlds of the planned number of cases with one candidate that qualifies, the others being far worse: in how many
    is it recommended?"""
    n = planned(candidates=candidates, difference=difference, kind=kind, margin=margin)
    hits = 0
    for seed in range(runs):
        g = np.random.default_rng((seed, 2))
        differences = {"maker/good": difference} | {f"maker/bad-{at}": -0.1 for at in range(candidates - 1)}
        bench = world(g, n, differences, kind=kind, disagreement=0.15)
        hits += any(each.recommended == "maker/good" for each in advised(bench, margin, kind, seed).recommendations)
    return Worlds(hits=hits, runs=runs)


def power_of_the_test(
    runs: int, *, candidates: int, difference: float, kind: Kind = "binary", margin: float = 0.04, seed: int = 4
) -> Worlds:
    """The same of the test alone, in so many worlds that a point of power is seen: Tango's interval and Student's by
    their formulas, the candidate's share of alpha one-sided."""
    n, g = planned(candidates=candidates, difference=difference, kind=kind, margin=margin), np.random.default_rng(seed)
    share = ALPHA / candidates
    if kind == "binary":
        moves = g.multinomial(n, [(0.15 + difference) / 2, (0.15 - difference) / 2, 0.85], runs)
        each, times = np.unique(moves, axis=0, return_counts=True)
        shown = [
            passes_show(PassPairs(both=still, only_control=lost, only_treatment=gained, neither=0), share, margin)
            for gained, lost, still in each.tolist()
        ]
        return Worlds(hits=int(times[shown].sum()), runs=runs)
    hits = 0
    for begin in range(0, runs, 500):
        hard = g.uniform(0.3, 0.7, (min(500, runs - begin), n))
        gains = (g.binomial(4, hard + difference) - g.binomial(4, hard)) / 4
        hits += int(scores_show(gains, share, margin).sum())
    return Worlds(hits=hits, runs=runs)


def passes_show(pairs: PassPairs, share: float, margin: float) -> bool:
    """Does the one-sided bound at this share of alpha rule out a loss of the margin?"""
    return tango(pairs, 1 - 2 * share).low > -margin


def scores_show(gains: Floats, share: float, margin: float) -> NDArray[np.bool_]:
    """The same of the gains of each case, shape (worlds, cases)."""
    n = gains.shape[1]
    low = gains.mean(axis=1) - float(stdtrit(n - 1, 1 - share)) * gains.std(axis=1, ddof=1) / n**0.5
    shown: NDArray[np.bool_] = low > -margin
    return shown


def luck_of_the_chosen(runs: int, *, candidates: int = 5, n: int = 100) -> tuple[float, float]:
    """Mean gain of the first of equal candidates: as measured, and on cases that had no part in the choice."""
    measured, confirmed = [], []
    for seed in range(runs):
        g = np.random.default_rng((seed, 3))
        names = {f"maker/{at}": 0.0 for at in range(candidates)}
        bench = world(g, n, names, disagreement=0.25, costs=dict.fromkeys(names, 0.001))
        asked = rule(0.2)
        advice = recommend(
            bench, MONTH, asked, generator=g, mode="budget", budget=Decimal(1_000), incumbent=INCUMBENT, resamplings=0
        )
        best = advice.best
        if best is not None and best.quality is not None and best.confirmed is not None:
            measured.append(best.quality.value)
            confirmed.append(best.confirmed.value)
    return float(np.mean(measured)), float(np.mean(confirmed))


def tables(worlds: int = 2_000) -> None:
    """Print what docs/recommendations.md states."""
    rows: Sequence[tuple[str, Worlds]] = [
        ("worse by 1.1 to 2 margins", wrong_recommendations(worlds)),
        ("worse by the margin exactly", wrong_recommendations(worlds, excess=(0.0, 0.0))),
    ]
    for name, found in rows:
        print(f"{name}: {found.hits} of {found.runs}, {found.rate:.4f}, upper 99% bound {found.upper:.4f}")
    for kind in ("binary", "bounded"):
        for candidates, difference in ((1, 0.0), (3, 0.0), (5, 0.0), (3, -0.01), (3, 0.01)):
            found = power(worlds, candidates=candidates, difference=difference, kind=kind)
            test = power_of_the_test(20 * worlds, candidates=candidates, difference=difference, kind=kind)
            print(f"power, {kind}, {candidates} candidates, {difference:+.2f}: {found.rate:.3f}, 99% from "
                  f"{found.lower:.3f}; of the test alone {test.rate:.4f}, 99% from {test.lower:.4f}")  # fmt: skip
    measured, confirmed = luck_of_the_chosen(worlds // 2)
    print(f"best of five equal ones on 100 cases: {measured:+.4f} measured, {confirmed:+.4f} confirmed")


if __name__ == "__main__":
    tables()
