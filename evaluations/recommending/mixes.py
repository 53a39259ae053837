"""The optimal mix: one model for each feature, under a budget, with latency and quality kept, by an integer programme.

Money is counted in millionths of a dollar and quality in millionths of its range, as whole numbers: what the
solver finds is checked in them, so that no rounding lets a mix pass that breaks the budget.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final, Literal

from evaluations.recommending.evidence import NothingFeasible
from evaluations.wording import duration, money, percent, percent_beside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MICRO: Final = 1_000_000
MOST_POINTS: Final = 50
"""Points of a frontier that are worked out at most."""
Goal = Literal["cost", "quality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One model for one feature."""

    model: str
    quality: float
    """Measured mean of the feature's primary metric, in [0, 1]."""
    quality_low: float
    """Lower bound: the one that a floor is held against."""
    monthly_cost: Decimal
    """US dollars at the measured volume."""
    monthly_cost_high: Decimal
    """At the upper ends of volume and cost: what a budget is held against."""
    p95_latency_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MixFeature:
    """One feature with the models that could serve it."""

    name: str
    options: tuple[Option, ...]
    weight: int = 1
    """How much its quality counts beside that of the others: its requests a month, say."""
    quality_floor: float | None = None
    p95_limit_ms: float | None = None
    current: str | None = None
    """The model in use."""
    current_cost: Decimal | None = None
    """US dollars that the feature is billed a month now, whoever serves it; None: what the model in use would be."""
    alone: bool = True
    """Whether the model in use serves all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """One model for each feature."""

    chosen: Mapping[str, Option]
    """By feature."""
    monthly_cost: Decimal
    monthly_cost_high: Decimal
    quality: float
    """Mean over features, by weight."""
    changes: tuple[str, ...]
    """Features that another model than now would serve, or one model instead of several."""
    current_cost: Decimal | None = None
    """What the features cost a month now, as billed where it is known, else what the models in use would; None where
    one of them is not known or was not measured."""

    @property
    def saving(self) -> Decimal | None:
        """US dollars a month beside the models in use; negative: it costs more."""
        return None if self.current_cost is None else self.current_cost - self.monthly_cost

    @property
    def models(self) -> dict[str, str]:
        return {feature: option.model for feature, option in self.chosen.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """An admissible option in whole numbers."""

    feature: int
    option: Option
    cost: int
    """Millionths of a dollar of the expected cost."""
    cost_high: int
    """Rounded up, so that a mix within the budget is so in dollars too."""
    quality: int
    """Millionths, times the weight of the feature."""


def optimal_mix(
    features: Sequence[MixFeature],
    *,
    budget: Decimal | None = None,
    goal: Goal = "quality",
    quality_floor: float | None = None,
) -> Mix:
    """The best mean quality within the budget, or the lowest cost with every floor kept; ties go to the other of both.

    `budget`: US dollars a month at the upper ends. `quality_floor`: of the weighed mean over features, by the measured
    means; floors and latency limits of features are hard, held against lower bounds and the measured 95th percentile.
    Raises NothingFeasible with what would make it feasible: a floor or limit to give way, or the cheapest mix's budget.
    """
    choices = _admissible(features)
    floor = None if quality_floor is None else _whole_quality(quality_floor, sum(each.weight for each in features))
    cap = None if budget is None else int((budget * MICRO).to_integral_value(rounding="ROUND_FLOOR"))
    best = _solved(features, choices, goal, cap, floor)
    if best is None:
        raise NothingFeasible(_what_would_do(features, choices, cap, floor))
    return _mix(features, best)


def frontier(features: Sequence[MixFeature], *, most: int = MOST_POINTS) -> tuple[Mix, ...]:
    """Every mix that no other one beats in both cost and quality, from the cheapest up; `most` of them.

    Raises NothingFeasible as `optimal_mix` does.
    """
    choices = _admissible(features)
    points: list[Mix] = []
    floor: int | None = None
    while len(points) < most:
        best = _solved(features, choices, "cost", None, floor)
        if best is None:
            break
        points.append(_mix(features, best))
        floor = sum(choice.quality for choice in best) + 1
    return tuple(points)


def _admissible(features: Sequence[MixFeature]) -> list[_Choice]:
    """The options that keep the limits of their feature. Raises NothingFeasible for a feature that has none."""
    choices: list[_Choice] = []
    for at, feature in enumerate(features):
        kept = [option for option in feature.options if _keeps(feature, option)]
        if not kept:
            raise NothingFeasible(_nearest(feature))
        choices += [
            _Choice(
                feature=at,
                option=option,
                cost=int((option.monthly_cost * MICRO).to_integral_value(ROUND_HALF_EVEN)),
                cost_high=int((option.monthly_cost_high * MICRO).to_integral_value(ROUND_CEILING)),
                quality=_whole_quality(option.quality, feature.weight),
            )
            for option in kept
        ]
    return choices


def _whole_quality(quality: float, weight: int) -> int:
    return round(quality * MICRO) * weight


def _keeps(feature: MixFeature, option: Option) -> bool:
    slow = feature.p95_limit_ms is not None and (
        option.p95_latency_ms is None or option.p95_latency_ms > feature.p95_limit_ms
    )
    return not slow and (feature.quality_floor is None or option.quality_low >= feature.quality_floor)


def _nearest(feature: MixFeature) -> str:
    """Which limit of a feature would have to give, and by how much."""
    if not feature.options:
        return f"no model was measured for {feature.name}; measure one, or leave the feature out."
    wanted = []
    if feature.quality_floor is not None:
        wanted.append(f"a quality of {percent(feature.quality_floor)} at the lower bound")
    if feature.p95_limit_ms is not None:
        wanted.append(f"95% of the calls within {duration(feature.p95_limit_ms)}")
    would_do = []
    fast = [each for each in feature.options if _keeps_latency(feature, each)]
    if fast:
        best = max(fast, key=lambda each: (each.quality_low, -each.monthly_cost))
        would_do.append(f"a floor of {percent(best.quality_low)} ({best.model})")
    good = [
        each
        for each in feature.options
        if each.p95_latency_ms is not None
        and (feature.quality_floor is None or each.quality_low >= feature.quality_floor)
    ]
    if good and feature.p95_limit_ms is not None:
        quickest = min(good, key=lambda each: (each.p95_latency_ms or 0.0, each.monthly_cost))
        would_do.append(f"a limit of {duration(quickest.p95_latency_ms or 0.0)} ({quickest.model})")
    said = " or ".join(would_do) or "measuring the latency of its models"
    return f"no model of {feature.name} has {' and '.join(wanted)}. What would do: {said}."


def _keeps_latency(feature: MixFeature, option: Option) -> bool:
    return feature.p95_limit_ms is None or (
        option.p95_latency_ms is not None and option.p95_latency_ms <= feature.p95_limit_ms
    )


def _solved(
    features: Sequence[MixFeature], choices: Sequence[_Choice], goal: Goal, cap: int | None, floor: int | None
) -> list[_Choice] | None:
    """The best choices, one for each feature: first by the goal, among equal ones by the other."""
    first = _programme(features, choices, goal, cap, floor)
    if first is None:
        return None
    if goal == "cost":
        spent = sum(choice.cost for choice in first)
        return _programme(features, choices, "quality", cap, floor, most_cost=spent) or first
    reached = sum(choice.quality for choice in first)
    return _programme(features, choices, "cost", cap, reached if floor is None else max(floor, reached)) or first


def _programme(
    features: Sequence[MixFeature],
    choices: Sequence[_Choice],
    goal: Goal,
    cap: int | None,
    floor: int | None,
    *,
    most_cost: int | None = None,
) -> list[_Choice] | None:
    """One integer programme, solved by HiGHS; None where nothing is feasible.

    The solver works in floating point: a solution that breaks a limit in whole numbers is cut off, and it
    is asked again.
    Source: Huangfu and Hall (2018), "Parallelizing the dual revised simplex method", Math. Prog. Comp. 10 (HiGHS).
    """
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp

    n = len(choices)
    one_each = np.zeros((len(features), n))
    one_each[[choice.feature for choice in choices], np.arange(n)] = 1
    cost, high, quality = (
        np.array([getattr(choice, name) for choice in choices], dtype=np.float64)
        for name in ("cost", "cost_high", "quality")
    )
    limits = [LinearConstraint(one_each, 1, 1)]
    for row, low, most in ((high, -np.inf, cap), (quality, floor, np.inf), (cost, -np.inf, most_cost)):
        if low is not None and most is not None:
            # Scaled to numbers about one: the solver's tolerance is absolute.
            scale = float(np.abs(row).max()) or 1.0
            limits.append(LinearConstraint(row[None, :] / scale, low / scale - 1e-9, most / scale + 1e-9))
    aim = cost if goal == "cost" else -quality
    aim = aim / (float(np.abs(aim).max()) or 1.0)
    while True:
        found = milp(
            aim,
            integrality=np.ones(n, dtype=np.int64),
            bounds=Bounds(0, 1),
            constraints=limits,
            options={"mip_rel_gap": 0.0},
        )
        if found.x is None:
            return None
        taken = np.flatnonzero(found.x > 0.5)
        chosen = [choices[at] for at in taken.tolist()]
        if _within(chosen, cap, floor, most_cost):
            return chosen
        cut = np.zeros((1, n))
        cut[0, taken] = 1
        limits.append(LinearConstraint(cut, -np.inf, len(taken) - 1))


def _within(chosen: Sequence[_Choice], cap: int | None, floor: int | None, most_cost: int | None) -> bool:
    return (
        (cap is None or sum(choice.cost_high for choice in chosen) <= cap)
        and (floor is None or sum(choice.quality for choice in chosen) >= floor)
        and (most_cost is None or sum(choice.cost for choice in chosen) <= most_cost)
    )


def _what_would_do(
    features: Sequence[MixFeature], choices: Sequence[_Choice], cap: int | None, floor: int | None
) -> str:
    """The cheapest mix that keeps every floor and limit, whose budget would do; or the best quality there is."""
    best = [
        max((each for each in choices if each.feature == at), key=lambda each: each.quality)
        for at in range(len(features))
    ]
    weights = sum(feature.weight for feature in features) * MICRO
    if floor is not None and sum(each.quality for each in best) < floor:
        reached = sum(each.quality for each in best) / weights
        return (
            f"no mix has a mean quality of {percent_beside(floor / weights, reached)}: the best of each feature "
            f"together reach {percent_beside(reached, floor / weights)}. A floor of that would do."
        )
    cheapest = _cheapest_at_most(features, choices, floor)
    assert cheapest is not None, "only the budget is in the way here"
    mix = _mix(features, cheapest)
    models = ", ".join(f"{feature}: {model}" for feature, model in mix.models.items())
    return (
        f"no mix keeps every limit within {money(Decimal(cap or 0) / MICRO)} a month. The cheapest that does "
        f"costs up to {money(mix.monthly_cost_high)} ({models}): that budget would do."
    )


def _cheapest_at_most(
    features: Sequence[MixFeature], choices: Sequence[_Choice], floor: int | None
) -> list[_Choice] | None:
    """The mix whose upper end is lowest."""
    at_most = [
        _Choice(
            feature=each.feature,
            option=each.option,
            cost=each.cost_high,
            cost_high=each.cost_high,
            quality=each.quality,
        )
        for each in choices
    ]
    return _programme(features, at_most, "cost", None, floor)


def _mix(features: Sequence[MixFeature], chosen: Sequence[_Choice]) -> Mix:
    by_feature = {features[choice.feature].name: choice.option for choice in chosen}
    ordered = {feature.name: by_feature[feature.name] for feature in features}
    weights = sum(feature.weight for feature in features)
    in_use = [
        feature.current_cost
        if feature.current_cost is not None
        else next((option.monthly_cost for option in feature.options if option.model == feature.current), None)
        for feature in features
    ]
    known = [cost for cost in in_use if cost is not None]
    return Mix(
        chosen=ordered,
        monthly_cost=sum((option.monthly_cost for option in ordered.values()), Decimal(0)),
        monthly_cost_high=sum((option.monthly_cost_high for option in ordered.values()), Decimal(0)),
        quality=sum(ordered[feature.name].quality * feature.weight for feature in features) / weights,
        changes=tuple(
            feature.name
            for feature in features
            if feature.current is not None and (ordered[feature.name].model != feature.current or not feature.alone)
        ),
        current_cost=sum(known, Decimal(0)) if len(known) == len(in_use) else None,
    )
