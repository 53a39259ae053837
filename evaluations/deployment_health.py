"""The health of what is live: what its requests say since it has all of the traffic, held against limits and before.

The fair comparison of a bundle is its canary's, with the control of the same minutes. What went before is another day
with other traffic: it may warn, and never takes anything back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from evaluations.arms import UnitSums
from evaluations.estimates import Estimate
from evaluations.experiment_words import interval, level, noun, signed, size
from evaluations.experiments import Metric
from evaluations.watching import Guard
from evaluations.wording import count, percent

if TYPE_CHECKING:
    from evaluations.statistics.ratios import PairMoments

Health = Literal["healthy", "warning", "critical", "not enough data"]
"""maintenance, the fourth word of the sources, is nothing that can be measured."""
SPAN = timedelta(hours=24)
"""How far back is looked, at most: since then, and for as long before it had any traffic."""
SLOT = timedelta(minutes=5)
LEAST = 100
"""Units with a value without which nothing is said of a metric."""
_WORST: Mapping[Health, int] = {"critical": 0, "warning": 1, "not enough data": 2, "healthy": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """One thing that was looked at."""

    name: str
    health: Health
    says: str
    metric: Metric | None = None
    now: Estimate | None = None
    before: Estimate | None = None
    change: Estimate | None = None
    """Now minus before, in the metric's unit."""


@dataclass(frozen=True, slots=True)
class Uptime:
    """Five-minute slots with requests, and those of them in which most requests did not fail."""

    up: int
    slots: int

    def __str__(self) -> str:
        if not self.slots:
            return "no five-minute slot had requests"
        return f"up in {count(self.up)} of {count(self.slots, 'five-minute slot')} with requests"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The last try to hand flags over to a channel."""

    channel: str
    delivered: bool
    detail: str
    current: bool
    """It has the document that the database says now."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagsState:
    """The published flags of an environment."""

    environment: str
    file: str
    there: bool
    current: bool
    """The file is what the database says, byte for byte."""
    deliveries: tuple[Delivered, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentHealth:
    """How what is live does."""

    feature: str
    environment: str
    deployment: str
    """The beginning of its id."""
    since: datetime
    """It has all of the traffic since then."""
    looked_from: datetime
    until: datetime
    requests: int
    uptime: Uptime
    checks: tuple[HealthCheck, ...]
    last_request: datetime | None
    """None when there was none in the last day."""
    sample_data: bool

    @property
    def health(self) -> Health:
        """The worst of its checks; one alone that has too few requests does not hide the others."""
        measured = [check for check in self.checks if check.health != "not enough data"]
        if not any(check.metric is not None for check in measured):
            alarms = [check.health for check in measured if check.health in ("critical", "warning")]
            return min(alarms, key=_WORST.__getitem__, default="not enough data")
        return min((check.health for check in measured), key=_WORST.__getitem__)

    @property
    def sentence(self) -> str:
        """Why, in one line."""
        worst = [check.says for check in self.checks if check.health == self.health]
        return "; ".join(worst if self.health != "healthy" else worst[:1])

    def __str__(self) -> str:
        lines = [
            f"{self.feature} in {self.environment}: {self.health}{' [sample data]' if self.sample_data else ''}",
            f"  deployment {self.deployment}, all units since {_when(self.since)}; {count(self.requests, 'request')} "
            f"from {_when(self.looked_from)} to {_when(self.until)}, {self.uptime}",
        ]
        lines += [f"  {check.health:<16}{check.says}" for check in self.checks]
        return "\n".join(lines)


def _when(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def measured_checks(
    guards: Sequence[Guard], now: Mapping[str, UnitSums], before: Mapping[str, UnitSums]
) -> tuple[HealthCheck, ...]:
    """One check for each guard of the deployment's policy, by 95 % intervals over units.

    `now` and `before` are by metric: since the bundle has all of the traffic, and before it had any.
    Beyond its limit with the whole interval is critical. A warning: beyond it by its value alone, or worse than before
    by more than the guard tolerates with the whole interval.
    """
    return tuple(_check(guard, now[guard.metric], before[guard.metric]) for guard in guards)


def flags_check(state: FlagsState) -> HealthCheck:
    """Do applications read what the database says?"""
    if not state.there:
        return HealthCheck(
            name="published flags",
            health="critical",
            says=f"{state.file} is missing: an application that starts gets nothing. Write it: assay deploy publish",
        )
    if not state.current:
        says = f"{state.file} is not what the database says. Write it again: assay deploy publish"
        return HealthCheck(name="published flags", health="warning", says=says)
    late = [each for each in state.deliveries if not each.current]
    if late:
        names = ", ".join(f"{each.channel} ({each.detail})" for each in late)
        says = f"the file is as the database says, but not delivered: {names}"
        return HealthCheck(name="published flags", health="warning", says=says)
    return HealthCheck(name="published flags", health="healthy", says=f"{state.file} is what the database says")


def _check(guard: Guard, now: UnitSums, before: UnitSums) -> HealthCheck:
    metric, name = guard.what, noun(guard.what)
    if now.units < LEAST:
        says = f"{name}: {count(now.units)} of the {LEAST} units that it takes to say something"
        return HealthCheck(name=name, health="not enough data", says=says, metric=metric, now=_level(now, metric))
    known = _level(now, metric)
    assert known is not None
    earlier = _level(before, metric) if before.units >= LEAST else None
    change = None if earlier is None else _change(now, before)
    health, why = _judged(guard, known, earlier, change)
    said = f"{name} {level(known.value, metric)} ({interval(known, metric)}, n = {count(known.n)})"
    return HealthCheck(
        name=name,
        health=health,
        says=f"{said}{why}",
        metric=metric,
        now=known,
        before=earlier,
        change=change,
    )


def _judged(guard: Guard, now: Estimate, before: Estimate | None, change: Estimate | None) -> tuple[Health, str]:
    metric, worse = guard.what, 1.0 if guard.what.direction == "down" else -1.0
    near, far = (now.low, now.value) if worse > 0 else (-now.high, -now.value)
    if guard.limit is not None and near > worse * guard.limit:
        return "critical", f", beyond its limit of {level(guard.limit, metric)}"
    if guard.limit is not None and far > worse * guard.limit:
        return "warning", f", beyond its limit of {level(guard.limit, metric)}, if not provenly"
    if change is None or before is None:
        return "healthy", ", with too few requests before to compare"
    tolerated = guard.tolerated * (abs(before.value) if guard.relative else 1.0)
    beside = f", {signed(change.value, metric)} ({interval(change, metric)}) beside the time before"
    at_least = change.low if worse > 0 else -change.high
    if at_least > tolerated:
        more = percent(guard.tolerated) if guard.relative else size(guard.tolerated, metric)
        return "warning", f"{beside}: worse by more than {more}"
    return "healthy", beside


def _level(sums: UnitSums, metric: Metric) -> Estimate | None:
    """A value with its interval: Wilson where every unit is one yes or no, else of a ratio over units."""
    from evaluations.statistics.proportions import wilson
    from evaluations.statistics.ratios import ratio_of

    if not sums.units:
        return None
    if metric.kind == "binary" and sums.y == sums.units == sums.yy and sums.x == sums.xx:
        return wilson(round(sums.x), sums.units)
    return ratio_of(_moments(sums))


def _change(now: UnitSums, before: UnitSums) -> Estimate | None:
    from evaluations.statistics.outcomes import Determined
    from evaluations.statistics.ratios import ratio_difference

    found = ratio_difference(_moments(now), _moments(before))
    return found.effect if isinstance(found, Determined) else None


def _moments(sums: UnitSums) -> "PairMoments":
    from evaluations.statistics.ratios import PairMoments

    return PairMoments.from_sums(sums.units, sums.x, sums.y, sums.xx, sums.yy, sums.xy)
