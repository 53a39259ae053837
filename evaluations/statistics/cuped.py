"""CUPED: what a covariate from before the experiment predicts is taken out of the noise, and out of nothing else.

Offline the covariate of a case is its score under the version in use; online, a user's value before the start.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluations.statistics.ratios import PairMoments
from evaluations.statistics.two_samples import Moments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adjusted:
    """Both arms with the covariate taken out: ready for Welch's test."""

    treatment: Moments
    control: Moments
    theta: "Floats"
    """Units of the value for one unit of the covariate, fitted on both arms together."""
    variance_cut: "Floats"
    """Share of the variance of the difference that the covariate took out; near the squared correlation."""


def adjust(treatment: PairMoments, control: PairMoments) -> Adjusted:
    """Means and variances of both arms without what the covariate (`other`) explains; arrays of experiments at once.

    One theta for both arms: fitted within an arm it would take the effect itself out. The covariate has to be from
    before the start, or the estimate is biased. A covariate that does not vary changes nothing.
    Source: Deng, Xu, Kohavi and Walker (2013), "Improving the Sensitivity of Online Controlled Experiments by
    Utilizing Pre-Experiment Data", WSDM.

    >>> control = PairMoments.of([1.0, 2.0, 3.0, 4.2], [1.0, 2.0, 3.0, 4.0])
    >>> treatment = PairMoments.of([2.0, 3.1, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0])
    >>> found = adjust(treatment, control)
    >>> print(f"theta={found.theta:.3f}, variance cut by {found.variance_cut:.1%}")
    theta=1.025, variance cut by 99.7%
    """
    import numpy as np

    with np.errstate(all="ignore"):
        shared = [arm.covariance * (arm.n - 1) for arm in (treatment, control)]
        spread = [arm.other_variance * (arm.n - 1) for arm in (treatment, control)]
        theta = np.where(spread[0] + spread[1] > 0, (shared[0] + shared[1]) / (spread[0] + spread[1]), 0.0)
        total = treatment.n + control.n
        centre = (treatment.other_mean * treatment.n + control.other_mean * control.n) / total
        adjusted = [_without(arm, theta, centre) for arm in (treatment, control)]
        before = treatment.variance / treatment.n + control.variance / control.n
        after = adjusted[0].variance / treatment.n + adjusted[1].variance / control.n
        return Adjusted(
            treatment=adjusted[0],
            control=adjusted[1],
            theta=theta,
            variance_cut=np.where(before > 0, 1 - after / before, 0),
        )


def _without(arm: PairMoments, theta: "Floats", centre: "Floats") -> Moments:
    return Moments(
        n=arm.n,
        mean=arm.mean - theta * (arm.other_mean - centre),
        variance=arm.variance + theta**2 * arm.other_variance - 2 * theta * arm.covariance,
    )
