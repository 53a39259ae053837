"""Sample ratio: did the traffic split come out as planned? First of all checks: a mismatch blocks every verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Final

from evaluations.statistics.outcomes import Reason, Undetermined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

ALARM: Final = 0.001
"""Below this p a mismatch blocks the verdict: rare enough for a check that runs on every look."""
EXACT_UP_TO: Final = 1_000
"""Units up to which two arms are tested exactly."""
BINOMIAL, CHI_SQUARE = "exact binomial test", "chi-square test"
SEQUENTIAL = "sequential multinomial test"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRatio:
    """How the units came to be split, beside the plan."""

    counts: tuple[int, ...]
    planned: tuple[float, ...]
    """Shares, which sum to 1."""
    p: float
    method: str
    alarm: float = ALARM

    @property
    def mismatch(self) -> bool:
        return self.p < self.alarm

    @property
    def observed(self) -> tuple[float, ...]:
        total = sum(self.counts)
        return tuple(count / total for count in self.counts)

    @property
    def furthest(self) -> int:
        """The place of the variant whose share is furthest from its plan."""
        observed = self.observed
        return max(range(len(observed)), key=lambda n: abs(observed[n] - self.planned[n]))


def sample_ratio(
    counts: Sequence[int], weights: Sequence[float], *, alarm: float = ALARM
) -> SampleRatio | Undetermined:
    """Units per arm against the planned weights (shares or percents, any positive scale).

    Two arms of up to 1,000 units are tested exactly by the binomial, everything else by chi-square. A single look;
    for looks at any time take `sample_ratio_any_time`. A unit in an arm of weight 0 is a mismatch at once, with p 0.
    Raises ValueError unless there is one weight for each count.
    Source: Fabijan et al. (2019), "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments", KDD.

    >>> sample_ratio([456, 478], [50, 50]).mismatch, f"{sample_ratio([1000, 1200], [0.5, 0.5]).p:.2g}"
    (False, '2e-05')
    """
    checked = _checked(counts, weights)
    if isinstance(checked, Undetermined):
        return checked
    planned, total = checked, sum(counts)
    open_arms = [(count, share) for count, share in zip(counts, planned, strict=True) if share > 0]
    method = CHI_SQUARE
    if sum(count for count, _ in open_arms) < total:
        p = 0.0
    elif len(open_arms) == 2 and total <= EXACT_UP_TO:
        p, method = _binomial(open_arms[0][0], total, open_arms[0][1]), BINOMIAL
    else:
        from scipy.special import chdtrc

        statistic = sum((count - share * total) ** 2 / (share * total) for count, share in open_arms)
        p = float(chdtrc(len(open_arms) - 1, statistic))
    return SampleRatio(counts=tuple(counts), planned=planned, p=p, method=method, alarm=alarm)


def sample_ratio_p(counts: "ArrayLike", weights: "ArrayLike") -> "NDArray[np.float64]":
    """p of many splits at once by chi-square: counts of shape (experiments, arms), weights that broadcast to them.

    NaN where nobody was assigned; 0 where a unit is in an arm of weight 0.
    Source: as `sample_ratio`.

    >>> [round(float(p), 4) for p in sample_ratio_p([[456, 478], [310, 98], [0, 0]], [[50, 50], [60, 20], [1, 1]])]
    [0.4716, 0.6474, nan]
    """
    import numpy as np
    from scipy.special import chdtrc

    seen, planned = np.broadcast_arrays(np.asarray(counts, dtype=np.float64), np.asarray(weights, dtype=np.float64))
    with np.errstate(all="ignore"):
        expected = planned / planned.sum(axis=-1, keepdims=True) * seen.sum(axis=-1, keepdims=True)
        parts = np.where(planned > 0, (seen - expected) ** 2 / expected, np.where(seen > 0, np.inf, 0.0))
        return np.asarray(chdtrc((planned > 0).sum(axis=-1) - 1.0, parts.sum(axis=-1)))


def sample_ratio_any_time(
    counts: Sequence[int], weights: Sequence[float], *, concentration: float = 100.0, alarm: float = ALARM
) -> SampleRatio | Undetermined:
    """The same question with a p that may be looked at after every unit: it errs with chance `alarm` over all looks.

    The plan is weighed against a Dirichlet mixture around it; `concentration` says how closely, in units of its
    prior. To keep an alarm once raised, hold the smallest p so far.
    Raises ValueError unless there is one weight for each count.
    Source: Lindon and Malek (2022), "Anytime-Valid Inference for Multinomial Count Data", NeurIPS.

    >>> f"{sample_ratio_any_time([1000, 1200], [50, 50]).p:.2g}"
    '0.00079'
    """
    from scipy.special import gammaln

    checked = _checked(counts, weights)
    if isinstance(checked, Undetermined):
        return checked
    from math import exp, log

    total, evidence = sum(counts), 0.0
    for count, share in zip(counts, checked, strict=True):
        if share == 0:
            if count:
                return SampleRatio(counts=tuple(counts), planned=checked, p=0.0, method=SEQUENTIAL, alarm=alarm)
            continue
        prior = concentration * share
        evidence += float(gammaln(prior + count) - gammaln(prior)) - count * log(share)
    evidence += float(gammaln(concentration) - gammaln(concentration + total))
    p = min(1.0, exp(min(0.0, -evidence)))
    return SampleRatio(counts=tuple(counts), planned=checked, p=p, method=SEQUENTIAL, alarm=alarm)


def _checked(counts: Sequence[int], weights: Sequence[float]) -> tuple[float, ...] | Undetermined:
    """The planned shares, or why there is nothing to test."""
    if len(counts) != len(weights):
        raise ValueError(f"one weight for each arm; got {len(counts)} counts and {len(weights)} weights")
    reason: Reason | None = None
    why = ""
    if not all(isfinite(each) for each in (*counts, *weights)):
        reason, why = "not finite", "a count or a weight is infinite or NaN"
    elif any(each < 0 for each in (*counts, *weights)):
        reason, why = "out of range", "a count or a weight is negative"
    elif sum(1 for weight in weights if weight > 0) < 2:
        reason, why = "too few", "fewer than two arms have traffic by the plan"
    elif sum(counts) == 0:
        reason, why = "empty", "no unit has been assigned yet"
    if reason is not None:
        return Undetermined(reason=reason, why=why)
    whole = sum(weights)
    return tuple(weight / whole for weight in weights)


def _binomial(hits: int, n: int, share: float) -> float:
    """Two-sided: all splits that are no more likely than this one."""
    import numpy as np
    from scipy.special import gammaln, xlog1py, xlogy

    k = np.arange(n + 1)
    log = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + xlogy(k, share) + xlog1py(n - k, -share)
    chances = np.exp(log)
    return min(1.0, float(chances[chances <= chances[hits] * (1 + 1e-7)].sum()))
