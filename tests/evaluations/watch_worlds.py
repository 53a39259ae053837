"""Many made-up canaries at once: requests by the look, one a unit, and what the watch would have done."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluations.watching import GUARDS, Sums, harm

LOOKS = 288
"""Every five minutes for a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What one arm is like."""

    errors: float = 0.01
    quality: float = 0.8
    """Share of the answers that are good; each is good or not, which is the most noise that a score can have."""
    latency: float = 400.0
    """Mean, ms; lognormal with a sigma of 0.8."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of the worlds."""

    rolled_back: NDArray[np.bool_]
    requests: NDArray[np.float64]
    """Of both arms until the canary went back; NaN where it did not."""

    @property
    def rate(self) -> float:
        return float(self.rolled_back.mean())

    def within(self, share: float) -> float:
        """Requests within which this share of all worlds went back; infinite where fewer did."""
        return float(np.quantile(np.where(self.rolled_back, self.requests, np.inf), share, method="higher"))


def watched(
    generator: np.random.Generator,
    worlds: int,
    *,
    canary: Arm,
    control: Arm,
    percent: int,
    a_look: float,
    alpha: float = 0.05,
    windows: int = 3,
    looks: int = LOOKS,
) -> Ended:
    """A window of a day in each world, with `a_look` requests on average between two looks."""
    each = alpha / windows / len(GUARDS)
    arms = {name: np.zeros((6, worlds)) for name in ("canary", "control")}
    back, requests = np.zeros(worlds, bool), np.full(worlds, np.nan)
    shares = {"canary": percent / 100, "control": 1 - percent / 100}
    for _ in range(looks):
        for name, like in (("canary", canary), ("control", control)):
            _add(generator, arms[name], like, a_look * shares[name])
        for place, guard in enumerate(GUARDS):
            found = harm(guard, _sums(arms["canary"], place), _sums(arms["control"], place), each)
            new = found.proven(guard) & ~back
            requests = np.where(new, arms["canary"][0] + arms["control"][0], requests)
            back |= new
        if back.all():
            break
    return Ended(back, requests)


def _add(generator: np.random.Generator, sums: NDArray[np.float64], like: Arm, mean: float) -> None:
    """n, errors, good ones, latency and its square."""
    units = generator.poisson(mean, sums.shape[1])
    sums[0] += units
    sums[1] += generator.binomial(units, like.errors)
    sums[2] += generator.binomial(units, like.quality)
    sigma = 0.8
    most = int(np.max(units))
    times = generator.lognormal(np.log(like.latency) - sigma**2 / 2, sigma, size=(sums.shape[1], most))
    times *= np.arange(most) < np.asarray(units)[:, None]
    sums[3] += times.sum(axis=1)
    sums[4] += (times**2).sum(axis=1)


def _sums(sums: NDArray[np.float64], place: int) -> Sums:
    """Of error rate, quality, latency, in the order of the guards."""
    total = sums[1 + place]
    return Sums.of_values(sums[0], total, sums[4] if place == 2 else total)
