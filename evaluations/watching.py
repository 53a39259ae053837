"""Watching a canary beside its concurrent control: is it worse, said in a way that holds at every look.

A canary is compared with the units that keep the old bundle in the same minutes, never with yesterday: traffic and its
mix move by themselves. The bounds hold at all looks together, so that a sweep every five minutes for a day raises no
more false alarms than one look would.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from evaluations.arms import UnitSums
from evaluations.errors import AssayError
from evaluations.experiments import METRICS, Metric
from evaluations.wording import count, percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evaluations.statistics.differences import Differences

    Floats = NDArray[np.float64]

Verdict = Literal["roll_back", "fine", "too_few", "held"]
"""held: nothing is proven against it, but the split is not the published one, so nothing is proven for it either."""
PLANNED_N = 2_000.0
"""Units of both arms at which the sequential bounds are narrowest beside those of a single look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a canary must not do, in a metric of live requests."""

    metric: str
    tolerated: float
    """It may be worse than its control by this much, in the metric's unit; proven beyond it, it goes back."""
    relative: bool = False
    """`tolerated` is a fraction of the control's value."""
    limit: float | None = None
    """Its own value may not be worse than this, whatever the control does; proven beyond it, it goes back."""

    def __post_init__(self) -> None:
        if self.metric not in METRICS or "live_split" not in METRICS[self.metric].designs:
            live = sorted(name for name, metric in METRICS.items() if "live_split" in metric.designs)
            raise AssayError(f"a canary is not watched for {self.metric!r}. These are measured: {', '.join(live)}.")
        if not 0 <= self.tolerated < math.inf:
            raise AssayError(f"what is tolerated of {self.metric} is a number, zero or more; got {self.tolerated:g}.")

    @property
    def what(self) -> Metric:
        return METRICS[self.metric]

    @property
    def document(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "tolerated": self.tolerated,
            "relative": self.relative,
            "limit": self.limit,
        }


GUARDS: tuple[Guard, ...] = (
    Guard(metric="error_rate", tolerated=0.01, limit=0.10),
    Guard(metric="quality", tolerated=0.02),
    Guard(metric="latency_ms", tolerated=0.20, relative=True),
)
"""The defaults. They are stricter than a drop of 15 points and 10 % of errors: both are proven harm long before."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """One metric of one arm in many worlds at once: arrays of one shape, each place as in `UnitSums`."""

    units: "Floats"
    x: "Floats"
    y: "Floats"
    xx: "Floats"
    yy: "Floats"
    xy: "Floats"

    @classmethod
    def of(cls, one: UnitSums) -> "Sums":
        import numpy as np

        return cls(**{name: np.array([getattr(one, name)], dtype=np.float64) for name in cls.__dataclass_fields__})

    @classmethod
    def of_values(cls, units: "Floats", total: "Floats", squares: "Floats") -> "Sums":
        """Units with one request each: how many, the sum of their values and of the squares of these."""
        return cls(units=units, x=total, y=units, xx=squares, yy=units, xy=total)

    @property
    def yes_or_no(self) -> "NDArray[np.bool_]":
        """Where every unit is one request whose value is 0 or 1."""
        found: NDArray[np.bool_] = (self.y == self.units) & (self.yy == self.units) & (self.xx == self.x)
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Harm:
    """How much worse a canary is, in many worlds at once; above zero is worse, NaN is not known."""

    difference: "Floats"
    """Beyond the control, in the metric's unit (a fraction of the control where the guard is relative)."""
    at_least: "Floats"
    """One-sided bound of it that holds at every look together."""
    own_at_least: "Floats"
    """The same bound for the canary's own value, against the guard's limit; NaN without a limit."""

    def proven(self, guard: Guard) -> "NDArray[np.bool_]":
        """Where the canary goes back."""
        found: NDArray[np.bool_] = self.at_least > guard.tolerated
        if guard.limit is not None:
            worse = 1.0 if guard.what.direction == "down" else -1.0
            found = found | (self.own_at_least > worse * guard.limit)
        return found


def harm(guard: Guard, canary: Sums, control: Sums, alpha: float) -> Harm:
    """How much worse the canary is than its control. A true harm of zero is exceeded at any look with chance alpha.

    Shares of units with one request each (errors, mostly) have exact bounds from the first unit on: a beta-binomial
    confidence sequence for each arm, alpha halved between them. Everything else has the asymptotic confidence sequence
    of the difference of ratios over units, from 100 units an arm on; before that nothing is known.
    Source: as `any_time_share_bounds`, `any_time` and `ratio_differences`.
    """
    import numpy as np

    sign = 1.0 if guard.what.direction == "down" else -1.0
    exact = canary.yes_or_no & control.yes_or_no if guard.what.kind == "binary" else np.zeros(canary.x.shape, bool)
    found = _asymptotic(guard, canary, control, alpha, sign)
    if not exact.any():
        return found
    sure = _exact(guard, canary, control, alpha, sign)
    return Harm(
        **{
            name: np.where(exact, getattr(sure, name), getattr(found, name))
            for name in ("difference", "at_least", "own_at_least")
        }
    )


def _exact(guard: Guard, canary: Sums, control: Sums, alpha: float, sign: float) -> Harm:
    import numpy as np

    from evaluations.statistics.sequential import any_time_share_bounds

    low, high = any_time_share_bounds(canary.x, canary.units, confidence=1 - alpha / 2)
    other_low, other_high = any_time_share_bounds(control.x, control.units, confidence=1 - alpha / 2)
    with np.errstate(all="ignore"):
        shares = canary.x / canary.units, control.x / control.units
        at_least = low - other_high if sign > 0 else other_low - high
        difference = sign * (shares[0] - shares[1])
        if guard.relative:
            at_least = at_least / (other_high if sign > 0 else other_low)
            difference = difference / shares[1]
    nobody = np.minimum(canary.units, control.units) == 0
    return Harm(
        difference=difference,
        at_least=np.where(nobody, np.nan, at_least),
        own_at_least=np.where(canary.units == 0, np.nan, low if sign > 0 else -high),
    )


def _asymptotic(guard: Guard, canary: Sums, control: Sums, alpha: float, sign: float) -> Harm:
    import numpy as np

    from evaluations.statistics.ratios import PairMoments, ratio_differences, ratios_against_zero
    from evaluations.statistics.sequential import FIRST_LOOK, any_time

    # With a limit there are two questions, which share alpha; each looks to one side.
    confidence = 1 - 2 * (alpha if guard.limit is None else alpha / 2)
    treatment, base = (
        PairMoments.from_sums(arm.units, arm.x, arm.y, arm.xx, arm.yy, arm.xy) for arm in (canary, control)
    )

    def at_least(found: "Differences", least: "Floats") -> "Floats":
        bound: Floats = np.where(least >= FIRST_LOOK, found.low if sign > 0 else -found.high, np.nan)
        return bound

    with np.errstate(all="ignore"):
        against = any_time(
            ratio_differences(treatment, base, confidence=confidence, relative=guard.relative), planned_n=PLANNED_N
        )
        alone = any_time(ratios_against_zero(treatment, confidence=confidence), planned_n=PLANNED_N)
    return Harm(
        difference=sign * against.value,
        at_least=at_least(against, np.minimum(canary.units, control.units)),
        own_at_least=at_least(alone, canary.units),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One guard at one look, in the metric's own unit."""

    guard: Guard
    canary: float | None
    control: float | None
    units: int
    """Of the canary, those with a value."""
    control_units: int
    difference: float | None
    """Harm: above zero is worse than the control; a fraction of it where the guard is relative."""
    at_least: float | None
    """The bound of the harm that holds at every look; None before there is one."""
    own_at_least: float | None
    harmful: bool

    def __str__(self) -> str:
        name = self.guard.metric.removesuffix("_ms").replace("_", " ")
        if self.canary is None:
            return f"{name}: not measured"
        said = f"{name} {_said(self.canary, self.guard.what)}, n = {count(self.units)}"
        if self.control is not None:
            said += f"; control {_said(self.control, self.guard.what)}, n = {count(self.control_units)}"
        if not self.harmful:
            return said
        if self.at_least is not None and self.at_least > self.guard.tolerated:
            beyond = percent(self.at_least) if self.guard.relative else _said(self.at_least, self.guard.what)
            return f"{said}: worse by at least {beyond} at any look"
        assert self.guard.limit is not None
        return f"{said}: beyond its limit of {_said(self.guard.limit, self.guard.what)} at any look"


def _said(value: float, metric: Metric) -> str:
    match metric.unit:
        case "share":
            return percent(value)
        case "ms":
            return f"{value:,.0f} ms"
        case "usd":
            return f"${value:,.6f}"
        case _:
            return f"{value:,.2f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What one look at a canary found."""

    verdict: Verdict
    sentence: str
    readings: tuple[Reading, ...]


def watch(
    guards: Sequence[Guard],
    canary: Mapping[str, UnitSums],
    control: Mapping[str, UnitSums],
    *,
    alpha: float,
    windows: int,
    units: tuple[int, int],
    least_units: int,
    split_is_broken: str = "",
    alone: bool = False,
) -> Watched:
    """Judge a canary by its guards. `alpha` is that of the whole deployment: windows and guards share it evenly.

    `units` are those of canary and control with or without a value. `alone`: the canary has all the traffic, there is
    no control any more, and only the limits are left.
    """
    each = alpha / windows / max(1, len(guards))
    readings = tuple(_reading(guard, canary[guard.metric], control[guard.metric], each) for guard in guards)
    harmful = [str(reading) for reading in readings if reading.harmful]
    if harmful:
        return Watched(verdict="roll_back", sentence=f"{'; '.join(harmful)}.", readings=readings)
    if split_is_broken:
        return Watched(verdict="held", sentence=f"{split_is_broken}.", readings=readings)
    told = "; ".join(str(reading) for reading in readings if reading.canary is not None)
    few = units[0] if alone else min(units)
    if few < least_units:
        sentence = (
            f"{count(few)} of {count(least_units, 'unit')}{'' if alone else ' in the smaller arm'}. {told}".strip()
        )
        return Watched(verdict="too_few", sentence=sentence.rstrip(".") + ".", readings=readings)
    return Watched(verdict="fine", sentence=f"No harm is proven: {told}.", readings=readings)


def _reading(guard: Guard, canary: UnitSums, control: UnitSums, alpha: float) -> Reading:
    found = harm(guard, Sums.of(canary), Sums.of(control), alpha)
    return Reading(
        guard=guard,
        canary=canary.value,
        control=control.value,
        units=canary.units,
        control_units=control.units,
        difference=_known(found.difference),
        at_least=_known(found.at_least),
        own_at_least=None if guard.limit is None else _known(found.own_at_least),
        harmful=bool(found.proven(guard)[0]),
    )


def _known(values: "Floats") -> float | None:
    value = float(values[0])
    return value if math.isfinite(value) else None
