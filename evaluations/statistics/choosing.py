"""Which test compares a variant with the control: all tests by their names, and the printed rule that takes one.

The first line of the rule that fits the design, the kind of metric and the data is taken, and of its tests the first
whose domain the data are in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Final, TypeAlias

from evaluations.errors import AssayError
from evaluations.experiments import Design, MetricKind
from evaluations.statistics.differences import FINE, Differences
from evaluations.statistics.outcomes import Outcome, Undetermined
from evaluations.statistics.ratios import PairMoments, doubts_of_ratio, ratio_differences
from evaluations.statistics.two_samples import (
    ASSUMED_SKEW,
    LEAST_PER_ARM,
    MODEST_SKEW,
    Moments,
    doubts_of_means,
    means_against_zero,
    welch_many,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Measured: TypeAlias = "Floats | PairMoments | Covaried"


class UnknownTest(AssayError):
    """A test was asked for by a name that no test has, or that does not fit the data."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Covaried:
    """Values per unit beside a covariate from before the start, for CUPED."""

    moments: PairMoments
    """`other` is the covariate."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """One variant and the control on one metric, with what a test may ask of them."""

    treatment: "Measured"
    control: "Measured"
    clusters: "Sequence[object] | None"
    """Offline: what case belongs to what conversation or document; one for each case that is left."""
    seed: int
    assumed_skew: float = ASSUMED_SKEW
    """How skewed the values of units may be where only their sums are known."""
    left_out: int = 0

    @property
    def arrays(self) -> "tuple[Floats, Floats] | None":
        """Treatment and control as values, where they are."""
        import numpy as np

        if isinstance(self.treatment, np.ndarray) and isinstance(self.control, np.ndarray):
            return self.treatment, self.control
        return None

    @property
    def sums(self) -> tuple[PairMoments, PairMoments] | None:
        """Treatment and control as sums over units, where they are."""
        if isinstance(self.treatment, PairMoments) and isinstance(self.control, PairMoments):
            return self.treatment, self.control
        return None

    @property
    def covaried(self) -> tuple[PairMoments, PairMoments] | None:
        if isinstance(self.treatment, Covaried) and isinstance(self.control, Covaried):
            return self.treatment.moments, self.control.moments
        return None

    @property
    def moments(self) -> tuple[Moments, Moments]:
        """Of values, or of sums whose units have one value each."""
        if (arrays := self.arrays) is not None:
            return Moments.of(arrays[0]), Moments.of(arrays[1])
        sums = self.sums or self.covaried
        assert sums is not None
        treatment, control = (
            Moments(n=each.n, mean=each.mean, variance=each.variance, assumed_skew=self.assumed_skew) for each in sums
        )
        return treatment, control

    @property
    def one_each(self) -> bool:
        """Does every unit have one value? Then a ratio of sums is a plain mean."""
        sums = self.sums
        return sums is None or all(
            float(each.other_variance) == 0 and float(each.other_mean) == 1 for each in sums if float(each.n) > 1
        )

    @property
    def sizes(self) -> tuple[int, int]:
        """Units of treatment and control."""
        if (arrays := self.arrays) is not None:
            return int(arrays[0].size), int(arrays[1].size)
        sums = self.sums or self.covaried
        assert sums is not None
        return int(sums[0].n), int(sums[1].n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A test that can be chosen, or forced by its name."""

    __test__ = False  # pytest shall not take it for one of its own

    run: Callable[[Pair, float], Outcome]
    """At a confidence."""
    differences: Callable[[Pair, float], Differences] | None = None
    """The same as an estimate with a standard error, which can be looked at more than once; None when it has none."""
    plain: bool = False
    """Are its intervals those of the differences at every level? Then they need not be tested again for another one."""
    same_unit: bool = True
    """Does it estimate the difference in the metric's unit? Otherwise no margin applies to it."""


# The tests


def _delta(pair: Pair, confidence: float) -> Outcome:
    sums = _sums(pair)
    return ratio_differences(*sums, confidence=confidence).one(
        (), doubts=doubts_of_ratio(*sums, assumed_skew=pair.assumed_skew)
    )


def _delta_differences(pair: Pair, confidence: float) -> Differences:
    return ratio_differences(*_sums(pair), confidence=confidence)


def _sums(pair: Pair) -> tuple[PairMoments, PairMoments]:
    import numpy as np

    if pair.sums is not None:
        return pair.sums
    if pair.arrays is None:
        raise UnknownTest("`delta` needs sums over units, or values; a covariate was given with these.")
    treatment, control = (PairMoments.of(each, np.ones(each.size)) for each in pair.arrays)
    return treatment, control


def _welch(pair: Pair, confidence: float) -> Outcome:
    arms = pair.moments
    found = welch_many(*arms, confidence=confidence)
    return found.one(first_place(found), doubts=doubts_of_means(*arms) if _whole(found) else ())


def _welch_differences(pair: Pair, confidence: float) -> Differences:
    return welch_many(*pair.moments, confidence=confidence)


def _shares(pair: Pair, confidence: float) -> Outcome:
    from evaluations.statistics.two_proportions import two_proportions

    counts = _counts(pair)
    return counts if isinstance(counts, Undetermined) else two_proportions(*counts, confidence=confidence)


def _fisher(pair: Pair, confidence: float) -> Outcome:
    from evaluations.statistics.two_proportions import two_proportions

    counts = _counts(pair)
    return counts if isinstance(counts, Undetermined) else two_proportions(*counts, confidence=confidence, exact=True)


def _counts(pair: Pair) -> tuple[int, int, int, int] | Undetermined:
    """Successes and units of treatment and control."""
    counts: list[int] = []
    for arm in pair.moments:
        n, mean = float(arm.n.reshape(-1)[0]), float(arm.mean.reshape(-1)[0])
        if n == 0:
            return Undetermined(reason="empty", why="one arm has no units", n=sum(pair.sizes))
        hits = n * mean
        if not isfinite(hits):
            return Undetermined(reason="not finite", why="a share is infinite or NaN", n=sum(pair.sizes))
        if abs(hits - round(hits)) > 1e-6 * n or not -1e-9 <= mean <= 1 + 1e-9:
            why = f"{hits:g} of {n:g} units: a yes-or-no metric has one 0 or 1 for each unit"
            return Undetermined(reason="out of range", why=why, n=sum(pair.sizes))
        counts += [round(hits), int(n)]
    return counts[0], counts[1], counts[2], counts[3]


def _share_differences(pair: Pair, confidence: float) -> Differences:
    treatment, control = pair.moments
    shares = [Moments.of_shares(arm.mean * arm.n, arm.n) for arm in (treatment, control)]
    return welch_many(shares[0], shares[1], confidence=confidence)


def _cuped_differences(pair: Pair, confidence: float) -> Differences:
    from evaluations.statistics.cuped import adjust

    if pair.covaried is None:
        raise UnknownTest("`cuped` needs a covariate from before the start for every unit.")
    adjusted = adjust(*pair.covaried)
    return welch_many(adjusted.treatment, adjusted.control, confidence=confidence)


def _cuped(pair: Pair, confidence: float) -> Outcome:
    from evaluations.statistics.cuped import adjust

    found = _cuped_differences(pair, confidence)
    assert pair.covaried is not None
    adjusted = adjust(*pair.covaried)
    cut = float(adjusted.variance_cut)
    arms = [replace(arm, assumed_skew=pair.assumed_skew) for arm in (adjusted.treatment, adjusted.control)]
    doubts = doubts_of_means(*arms) if _whole(found) else ()
    notes = (f"the covariate takes out {cut:.0%} of the variance",) if isfinite(cut) else ()
    return found.one(first_place(found), notes=notes, doubts=doubts)


def _mann_whitney(pair: Pair, confidence: float) -> Outcome:
    from evaluations.statistics.mann_whitney import mann_whitney

    return mann_whitney(*_arrays(pair, "mann-whitney"), confidence=confidence)


def _quantile(q: float, name: str) -> Callable[[Pair, float], Outcome]:
    def run(pair: Pair, confidence: float) -> Outcome:
        from evaluations.statistics.quantiles import quantile_effect

        return quantile_effect(*_arrays(pair, name), q, confidence=confidence)

    return run


def _arrays(pair: Pair, name: str) -> "tuple[Floats, Floats]":
    if pair.arrays is None:
        raise UnknownTest(f"`{name}` needs the value of every unit; sums were given.")
    return pair.arrays


def _paired(name: str) -> Callable[[Pair, float], Outcome]:
    def run(pair: Pair, confidence: float) -> Outcome:
        import numpy as np

        from evaluations.statistics import bounded, clusters, paired, resampling

        treatment, control = _arrays(pair, name)
        generator = np.random.default_rng(pair.seed)
        groups = pair.clusters if pair.clusters is not None else range(treatment.size)
        with np.errstate(invalid="ignore"):
            gain = treatment - control
        match name:
            case "mcnemar" | "mcnemar-exact":
                if not treatment.size:
                    return Undetermined(reason="empty", why="no case has a value under both variants")
                if not np.isin(np.concatenate([treatment, control]), (0.0, 1.0)).all():
                    why = "McNemar's test takes one 0 or 1 for each case"
                    return Undetermined(reason="out of range", why=why, n=int(treatment.size))
                pairs = paired.PassPairs.of(control == 1, treatment == 1)
                return paired.mcnemar(pairs, method="exact" if "exact" in name else "mid-p", confidence=confidence)
            case "paired-t":
                return _short(pair, paired.paired_t(control, treatment, confidence=confidence))
            case "wilcoxon":
                return paired.wilcoxon(control, treatment, confidence=confidence)
            case "sign-flip":
                return _short(pair, resampling.sign_flip(gain, generator, confidence=confidence))
            case "betting":
                return bounded.bounded_mean(gain, generator, low=-1.0, high=1.0, confidence=confidence)
            case "cluster-robust":
                return clusters.cluster_robust(gain, list(groups), confidence=confidence)
            case _:
                drawn = resampling.cluster_bootstrap(gain, list(groups), generator, confidence=confidence)
                return drawn if pair.clusters is not None else _short(pair, drawn)

    return run


def _short(pair: Pair, outcome: Outcome) -> Outcome:
    """With its doubt where a metric that may have a long tail has too few cases to show it."""
    n = pair.sizes[0]
    if isinstance(outcome, Undetermined) or pair.assumed_skew <= MODEST_SKEW or n >= LEAST_PER_ARM:
        return outcome
    doubt = f"only {n} cases of a metric that may have a long tail; {LEAST_PER_ARM} or more would show it"
    return replace(outcome, doubts=(*outcome.doubts, doubt))


def _paired_differences(pair: Pair, confidence: float) -> Differences:
    import numpy as np

    treatment, control = _arrays(pair, "paired-t")
    with np.errstate(invalid="ignore"):
        gain = treatment - control
    return means_against_zero(Moments.of(gain), confidence=confidence)


TESTS: Final[Mapping[str, Test]] = {
    "welch": Test(run=_welch, differences=_welch_differences, plain=True),
    "two-proportion": Test(run=_shares, differences=_share_differences),
    "fisher": Test(run=_fisher),
    "delta": Test(run=_delta, differences=_delta_differences, plain=True),
    "cuped": Test(run=_cuped, differences=_cuped_differences, plain=True),
    "mann-whitney": Test(run=_mann_whitney, same_unit=False),
    "median": Test(run=_quantile(0.5, "median")),
    "p95": Test(run=_quantile(0.95, "p95")),
    "mcnemar": Test(run=_paired("mcnemar"), differences=_paired_differences),
    "mcnemar-exact": Test(run=_paired("mcnemar-exact")),
    "paired-t": Test(run=_paired("paired-t"), differences=_paired_differences),
    "sign-flip": Test(run=_paired("sign-flip")),
    # Its shift is no difference of means: it is zero where most cases score the same, whatever the others lose.
    "wilcoxon": Test(run=_paired("wilcoxon"), same_unit=False),
    "betting": Test(run=_paired("betting")),
    "cluster-robust": Test(run=_paired("cluster-robust")),
    "cluster-bootstrap": Test(run=_paired("cluster-bootstrap")),
}
PAIRED: Final = frozenset(
    ("mcnemar", "mcnemar-exact", "paired-t", "sign-flip", "wilcoxon", "betting", "cluster-robust", "cluster-bootstrap")
)


# The rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the rule: the first that fits is taken, and of its tests the first whose domain the data are in."""

    design: Design
    kinds: tuple[MetricKind, ...]
    when: str
    fits: Callable[[Pair], bool]
    tests: tuple[str, ...]

    def __str__(self) -> str:
        kinds = "any metric" if self.kinds == ANY else " or ".join(self.kinds)
        return f"{self.design}, {kinds}, {self.when}: {', else '.join(self.tests)}"


def _always(pair: Pair) -> bool:
    return True


def _yes_or_no(pair: Pair) -> bool:
    import numpy as np

    return pair.arrays is not None and all(np.isin(each, (0.0, 1.0)).all() for each in pair.arrays)


TAILS: Final[Mapping[MetricKind, float]] = {
    "binary": MODEST_SKEW,
    "bounded": MODEST_SKEW,
    "skewed": ASSUMED_SKEW,
    "ratio": ASSUMED_SKEW,
}
"""How skewed the units of a kind of metric may be where only their sums are known."""
ANY: Final[tuple[MetricKind, ...]] = ("binary", "bounded", "skewed", "ratio")
RULE: Final[tuple[Line, ...]] = (
    Line(
        design="paired_offline",
        kinds=ANY,
        when="cases that belong together",
        fits=lambda pair: pair.clusters is not None,
        tests=("cluster-robust", "cluster-bootstrap"),
    ),
    Line(
        design="paired_offline",
        kinds=("binary",),
        when="one yes or no for each case",
        fits=_yes_or_no,
        tests=("mcnemar", "mcnemar-exact"),
    ),
    Line(
        design="paired_offline",
        kinds=("binary", "bounded"),
        when="a value from 0 to 1 for each case, the mean over its repeats",
        fits=_always,
        tests=("paired-t", "betting"),
    ),
    Line(
        design="paired_offline",
        kinds=("skewed", "ratio"),
        when="a value for each case, the mean over its repeats",
        fits=_always,
        tests=("paired-t", "cluster-bootstrap"),
    ),
    Line(
        design="live_split",
        kinds=ANY,
        when="a covariate from before the start",
        fits=lambda pair: pair.covaried is not None,
        tests=("cuped",),
    ),
    Line(
        design="live_split",
        kinds=("binary",),
        when="one yes or no for each unit",
        fits=lambda pair: pair.one_each,
        tests=("two-proportion",),
    ),
    Line(
        design="live_split",
        kinds=("bounded", "skewed"),
        when="one value for each unit",
        fits=lambda pair: pair.one_each and pair.arrays is not None,
        tests=("welch", "mann-whitney"),
    ),
    Line(
        design="live_split",
        kinds=("bounded", "skewed"),
        when="one value for each unit, known by their sums",
        fits=lambda pair: pair.one_each,
        tests=("welch",),
    ),
    Line(
        design="live_split",
        kinds=ANY,
        when="a ratio of sums, or several requests of one unit",
        fits=_always,
        tests=("delta",),
    ),
)


def printed_rule() -> str:
    """The rule as text, one line for each of its lines."""
    return "\n".join(f"{number}. {line}" for number, line in enumerate(RULE, 1))


def first_place(found: Differences) -> int | tuple[()]:
    """Where the only comparison of `found` is."""
    return () if found.value.ndim == 0 else 0


def _whole(found: Differences) -> bool:
    return int(found.trouble[first_place(found)]) == FINE
