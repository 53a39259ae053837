"""Selecting a model for a feature: by a policy, from what is measured, always the same way, and with every reason.

What a workload is like (complexity, volume, urgency, accuracy, sensitivity to cost) becomes numbers by the policy. A
candidate has to meet every one of them, and what is not known does not meet anything. Of those that do, the cheapest is
taken whose quality is as near to the best as the sensitivity to cost asks. What decides is the bound, not the estimate:
few cases show little, and how few they are is said. A policy may take what was measured for what is (`unsure: in`);
then nothing that would do is at once as cheap and better.
"""

import hashlib
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Literal, get_args

from evaluations import comparisons
from evaluations.availability import ProviderHealth
from evaluations.estimates import Estimate
from evaluations.models import CAPABILITIES, Model
from evaluations.statistics.compare import compare
from evaluations.statistics.outcomes import Determined
from evaluations.wording import count, duration, money, percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Complexity = Literal["low", "medium", "high"]
Volume = Literal["light", "moderate", "heavy"]
Urgency = Literal["real_time", "near_real_time", "batch"]
Accuracy = Literal["basic", "standard", "high", "critical"]
Sensitivity = Literal["low", "medium", "high"]
Unsure = Literal["out", "in"]
"""What becomes of a candidate that meets a constraint as measured, while n is too small to show it."""
P95_CONFIDENCE = 0.9
"""Of the two-sided interval of a 95th percentile, whose upper end is a one-sided 95% bound: there from 59 calls on."""
COMPLEXITIES: tuple[Complexity, ...] = get_args(Complexity)
VOLUMES: tuple[Volume, ...] = get_args(Volume)
URGENCIES: tuple[Urgency, ...] = get_args(Urgency)
ACCURACIES: tuple[Accuracy, ...] = get_args(Accuracy)
SENSITIVITIES: tuple[Sensitivity, ...] = get_args(Sensitivity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristics:
    """What a workload is like, in words."""

    complexity: Complexity = "medium"
    volume: Volume = "moderate"
    urgency: Urgency = "real_time"
    accuracy: Accuracy = "standard"
    cost_sensitivity: Sensitivity = "medium"
    needs: tuple[str, ...] = ()
    """Capabilities that it cannot do without."""
    use_case: str | None = None
    region: str | None = None
    """Where it has to be served."""
    """A use case of the registry that a benchmark has to have shown it to suit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What rows say of a workload: requests of a feature, or cases of a dataset. None is not known."""

    rows: int
    prompt_tokens_p95: int | None = None
    a_month: Decimal | None = None
    """Requests; None for cases, which come at no rate."""
    batch_share: float | None = None
    """Of the requests, those that were sent by the batch service."""
    images: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the words mean in numbers, and who may be chosen."""

    name: str = "standard"
    quality_at_least: Mapping[Accuracy, float] = field(
        default_factory=lambda: {"basic": 0.5, "standard": 0.7, "high": 0.85, "critical": 0.95}
    )
    """Share of cases that pass: the lower end of the 95% interval has to reach it."""
    p95_ms: Mapping[Urgency, float | None] = field(
        default_factory=lambda: {"real_time": 3_000.0, "near_real_time": 15_000.0, "batch": None}
    )
    """The slowest answers; None: they may take their time."""
    prompt_tokens: Mapping[Complexity, int] = field(
        default_factory=lambda: {"low": 2_000, "medium": 16_000, "high": 100_000}
    )
    """The longest prompts, which the context window has to hold."""
    requests_a_month: Mapping[Volume, int] = field(
        default_factory=lambda: {"light": 10_000, "moderate": 100_000, "heavy": 1_000_000}
    )
    """What a month is reckoned with where no traffic was measured, and up to where a volume has that name."""
    errors_at_most: float = 0.05
    """A candidate is out once its error rate is shown to be higher."""
    may_give_up: Mapping[Sensitivity, float | None] = field(
        default_factory=lambda: {"low": 0.0, "medium": 0.03, "high": None}
    )
    """How much quality, in the unit of shares, may be given up for a lower cost; None: whatever the floor allows."""
    unsure: Unsure = "out"
    """Whether latency, and what is given up, have to be shown by the bound, or are taken as measured."""
    automatic: bool = False
    """Whether a published selection of development or staging is changed by night when it would now be another."""
    candidates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Feature -> the models that may serve it; for others all that were measured for the feature."""

    @property
    def version(self) -> str:
        """The beginning of the hash of all that it says."""
        said = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()[:12]


def characteristics_of(shape: Shape, policy: Policy, given: Mapping[str, object]) -> tuple[Characteristics, list[str]]:
    """What rows tell of a workload, `given` going before it; and for each characteristic where it comes from.

    How right answers have to be and how much their cost matters no row says: these are given, or as the defaults are.

    >>> shape = Shape(rows=900, prompt_tokens_p95=1800, a_month=Decimal(40_000), batch_share=0.0)
    >>> found, why = characteristics_of(shape, Policy(), {"accuracy": "high"})
    >>> found.complexity, found.volume, found.urgency, found.accuracy
    ('low', 'moderate', 'real_time', 'high')
    """
    default = Characteristics()
    told: dict[str, tuple[object, str]] = {
        "complexity": (default.complexity, "assumed"),
        "volume": (default.volume, "assumed"),
        "urgency": (default.urgency, "assumed"),
        "accuracy": (default.accuracy, "assumed"),
        "cost_sensitivity": (default.cost_sensitivity, "assumed"),
        "use_case": (default.use_case, "assumed"),
        "region": (default.region, "assumed"),
        "needs": (("vision",) if shape.images else (), "prompts with images" if shape.images else "assumed"),
    }
    if (tokens := shape.prompt_tokens_p95) is not None:
        fits: Complexity = next((each for each in COMPLEXITIES if tokens <= policy.prompt_tokens[each]), "high")
        told["complexity"] = (fits, f"95% of prompts have up to {tokens:,} tokens")
    if shape.a_month is not None:
        much: Volume = next((each for each in VOLUMES if shape.a_month <= policy.requests_a_month[each]), "heavy")
        told["volume"] = (much, f"{shape.a_month:,.0f} requests a month")
    if shape.batch_share is not None and shape.batch_share > 0.5:
        told["urgency"] = ("batch", f"{percent(shape.batch_share)} of requests went by the batch service")
    told |= {name: (value, "given") for name, value in given.items() if value is not None}
    found = Characteristics(**{name: value for name, (value, _) in told.items()})  # type: ignore[arg-type]
    return found, [f"{name.replace('_', ' ')} {_said(value)}: {why}" for name, (value, why) in told.items() if value]


def _said(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value).replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What every choice has to meet."""

    quality_at_least: float
    p95_at_most_ms: float | None
    context_at_least: int
    errors_at_most: float
    needs: tuple[str, ...] = ()
    use_case: str | None = None
    month_at_most: Decimal | None = None
    """US dollars; None: no limit."""
    providers: tuple[str, ...] | None = None
    """Those that the environment allows; None: every one."""
    regions: tuple[str, ...] | None = None
    """One of them has to serve it; None: wherever it is served."""
    registered: bool = False
    """Whether only models of the registry may be chosen."""
    may_give_up: float | None = None
    unsure: Unsure = "out"
    on: date


def constraints_of(
    asked: Characteristics,
    policy: Policy,
    on: date,
    *,
    month_at_most: Decimal | None = None,
    providers: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    registered: bool = False,
    longest_prompt: int | None = None,
) -> Constraints:
    """The numbers behind the words. `longest_prompt`, where it was measured, goes before what its word means."""
    return Constraints(
        quality_at_least=policy.quality_at_least[asked.accuracy],
        p95_at_most_ms=policy.p95_ms[asked.urgency],
        context_at_least=policy.prompt_tokens[asked.complexity] if longest_prompt is None else longest_prompt,
        errors_at_most=policy.errors_at_most,
        needs=asked.needs,
        use_case=asked.use_case,
        month_at_most=month_at_most,
        providers=None if providers is None else tuple(providers),
        regions=(asked.region,) if asked.region is not None else None if regions is None else tuple(regions),
        registered=registered,
        may_give_up=policy.may_give_up[asked.cost_sensitivity],
        unsure=policy.unsure,
        on=on,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is known of a model for a feature. None was not measured."""

    model: str
    registry: Model | None = None
    quality: Estimate | None = None
    """On the same cases as that of the other candidates."""
    beside: Mapping[str, Estimate] = field(default_factory=dict)
    """By other model: this one's quality minus that one's on the cases that both have, with the interval that
    non-inferiority is read from (`differences_of`)."""
    p95_ms: Estimate | None = None
    """Of the feature's requests where it serves it, else of the cases; at `P95_CONFIDENCE`, infinite above where so
    few have no bound."""
    errors: Estimate | None = None
    """Likewise."""
    live: bool = False
    """Whether latency and errors are those of production."""
    month: Decimal | None = None
    """US dollars; None when unpriced."""
    longest_prompt: int = 0
    """Tokens of the longest prompt that it is known to have answered."""
    provider: ProviderHealth | None = None
    in_the_way: tuple[str, ...] | None = None
    """What the registry's checks have against it; None where the environment takes more than validated models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One constraint held against one candidate."""

    name: str
    holds: bool
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """One candidate: what was checked, and why it was chosen or not."""

    candidate: Candidate
    checks: tuple[Check, ...]
    chosen: bool
    why: str

    @property
    def qualifies(self) -> bool:
        return all(check.holds for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What the policy chose for a feature, and everything it looked at."""

    feature: str
    asked: Characteristics
    because: tuple[str, ...]
    """Where each characteristic comes from."""
    constraints: Constraints
    considered: tuple[Considered, ...]
    """The chosen one first, then by cost."""
    policy: str
    policy_version: str

    @property
    def chosen(self) -> Candidate | None:
        """None when no candidate meets every constraint."""
        return next((each.candidate for each in self.considered if each.chosen), None)

    @property
    def sentence(self) -> str:
        """The choice in one line."""
        if self.chosen is None:
            return f"No model qualifies for {self.feature}: {'; '.join(_short(each) for each in self.considered[:3])}."
        chosen = next(each for each in self.considered if each.chosen)
        return f"{chosen.candidate.model} for {self.feature}: {chosen.why}."


def select_model(
    feature: str,
    asked: Characteristics,
    candidates: Sequence[Candidate],
    constraints: Constraints,
    policy: Policy,
    because: Sequence[str] = (),
) -> Selected:
    """The policy's choice. The same candidates give the same choice, in whatever order they come."""
    checked = {each.model: (each, checks_of(each, constraints)) for each in candidates}
    fit = [each for each, checks in checked.values() if all(check.holds for check in checks)]
    best = min(fit, key=lambda each: (-_quality(each), _place(each)), default=None)
    near = [each for each in fit if best is not None and _is_near(each, best, constraints)]
    chosen = min(near, key=_place, default=None)
    considered = [
        Considered(
            candidate=each,
            checks=checks,
            chosen=each is chosen,
            why=_why(each, checks, chosen, best, near, constraints),
        )
        for each, checks in checked.values()
    ]
    considered.sort(key=lambda each: (not each.chosen, not each.qualifies, _place(each.candidate)))
    return Selected(
        feature=feature,
        asked=asked,
        because=tuple(because),
        constraints=constraints,
        considered=tuple(considered),
        policy=policy.name,
        policy_version=policy.version,
    )


def differences_of(
    scores: "Mapping[str, NDArray[np.float64]]", clusters: Sequence[Hashable] | None, generator: "np.random.Generator"
) -> dict[str, dict[str, Estimate]]:
    """By model and other model, the first's mean score minus the other's, for `Candidate.beside`.

    `scores` has for each model one score in [0, 1] for each case, in one order, NaN where there is none; `clusters`
    what each case belongs to. The low ends are one-sided 95% bounds that all candidates share (Bonferroni), by the test
    that docs/statistics.md takes; a pair of which the cases carry no verdict is left out.
    """
    import numpy as np

    found: dict[str, dict[str, Estimate]] = {name: {} for name in scores}
    known = np.concatenate([each[~np.isnan(each)] for each in scores.values()]) if scores else np.empty(0)
    passes = np.isin(known, (0.0, 1.0)).all()
    question = comparisons.Question(metric="quality", kind="binary" if passes else "bounded")
    for best in scores:
        others = tuple(name for name in scores if name != best)
        if not others:
            continue
        plan = comparisons.Plan(design="paired_offline", control=best, variants=others, correction="bonferroni")
        compared = compare(plan, [question], {"quality": scores}, generator=generator, clusters=clusters)
        for name in others:
            finding = compared.primary(name)
            if finding.narrow is not None and isinstance(finding.outcome, Determined) and finding.outcome.reliable:
                found[name][best] = finding.narrow
    return found


def _is_near(each: Candidate, best: Candidate, constraints: Constraints) -> bool:
    """Is no more quality given up with it than may be? Shown, unless the policy takes what was measured."""
    gives = constraints.may_give_up
    if gives is None or each is best:
        return True
    if constraints.unsure == "in":
        return _quality(each) >= _quality(best) - gives - 1e-12
    beside = each.beside.get(best.model)
    return beside is not None and beside.low >= -gives - 1e-12


def _place(candidate: Candidate) -> tuple[bool, Decimal, float, str]:
    """The cheapest first, of equally dear ones the better, then by name; the unpriced last."""
    return candidate.month is None, candidate.month or Decimal(0), -_quality(candidate), candidate.model


def _quality(candidate: Candidate) -> float:
    return candidate.quality.value if candidate.quality is not None else -1.0


def checks_of(candidate: Candidate, constraints: Constraints) -> tuple[Check, ...]:
    """Every constraint that was asked for. What is not known does not hold."""
    checks = [
        _quality_check(candidate, constraints),
        _cost_check(candidate, constraints),
        _context_check(candidate, constraints),
        _errors_check(candidate, constraints),
        _life_check(candidate, constraints),
        *_provider_checks(candidate),
        *_validation_checks(candidate),
        *([] if constraints.use_case is None else [_use_case_check(candidate, constraints, constraints.use_case)]),
        *(_need_check(candidate, name) for name in constraints.needs),
    ]
    if constraints.p95_at_most_ms is not None:
        checks.insert(1, _latency_check(candidate, constraints.p95_at_most_ms, constraints.unsure))
    if constraints.providers is not None:
        provider = candidate.model.partition("/")[0]
        allowed = provider in constraints.providers
        said = f"provider {provider} is {'' if allowed else 'not '}allowed there"
        checks.append(Check(name="provider", holds=allowed, said=said))
    if constraints.regions is not None:
        checks.append(_region_check(candidate, constraints.regions))
    return tuple(checks)


def _region_check(candidate: Candidate, wanted: Sequence[str]) -> Check:
    known = None if candidate.registry is None else candidate.registry.regions
    where = "nobody says where it is served" if known is None else f"served in {', '.join(known)}"
    holds = candidate.registry is not None and candidate.registry.served_in(wanted) is True
    return Check(name="region", holds=holds, said=f"{where}; {' or '.join(wanted) or 'no region'} asked")


def _quality_check(candidate: Candidate, constraints: Constraints) -> Check:
    found, least = candidate.quality, constraints.quality_at_least
    if found is None:
        return Check(name="quality", holds=False, said="quality not measured on the cases")
    said = f"shown to pass {percent(found.low)} of cases or more (n = {count(found.n)}); {percent(least)} asked"
    return Check(name="quality", holds=found.low >= least, said=said)


def _latency_check(candidate: Candidate, most: float, unsure: Unsure) -> Check:
    """By the upper end of the interval of the percentile, which comes from order statistics."""
    found = candidate.p95_ms
    if found is None:
        return Check(name="latency", holds=False, said="latency not measured")
    where = "production" if candidate.live else "the cases"
    said = f"p95 {duration(found.value)} in {where}; at most {duration(most)} asked"
    if found.value > most or found.high <= most:
        return Check(name="latency", holds=found.value <= most, said=said)
    between = (
        f"{duration(found.low)} to {duration(found.high)}"
        if isfinite(found.high)
        else "open above; 59 calls would bound it"
    )
    rule = "" if unsure == "out" else ": taken as measured, as the policy says"
    said = f"{said}, and n is too small to be sure (measured {between}, n = {count(found.n)}){rule}"
    return Check(name="latency", holds=unsure == "in", said=said)


def _cost_check(candidate: Candidate, constraints: Constraints) -> Check:
    if candidate.month is None:
        return Check(name="cost", holds=False, said="unpriced")
    most = constraints.month_at_most
    said = f"{money(candidate.month)} a month" + ("" if most is None else f"; at most {money(most)} asked")
    return Check(name="cost", holds=most is None or candidate.month <= most, said=said)


def _context_check(candidate: Candidate, constraints: Constraints) -> Check:
    wanted = constraints.context_at_least
    window = candidate.registry.limits.context_tokens if candidate.registry is not None else None
    if window is not None:
        said = f"context of {window:,} tokens; {wanted:,} asked"
        return Check(name="context", holds=window >= wanted, said=said)
    longest = candidate.longest_prompt
    said = f"context window not stated; it answered prompts of up to {longest:,} tokens; {wanted:,} asked"
    return Check(name="context", holds=longest >= wanted, said=said)


def _errors_check(candidate: Candidate, constraints: Constraints) -> Check:
    """Out only where it is shown to be unhealthy: a few errors of a few requests show nothing."""
    if candidate.errors is None:
        return Check(name="health", holds=False, said="errors not measured")
    most, found = constraints.errors_at_most, candidate.errors
    where = "production" if candidate.live else "the cases"
    said = f"{percent(found.value)} errors in {where} (n = {count(found.n)}); at most {percent(most)} asked"
    return Check(name="health", holds=found.low <= most, said=said)


def _life_check(candidate: Candidate, constraints: Constraints) -> Check:
    if candidate.registry is None:
        said = "not in the registry" + ("" if constraints.registered else ": its life cycle is not stated")
        return Check(name="life cycle", holds=not constraints.registered, said=said)
    life = candidate.registry.life_cycle(constraints.on)
    last = candidate.registry.retires_on
    return Check(name="life cycle", holds=life != "retired", said=life if last is None else f"{life}, until {last}")


def _provider_checks(candidate: Candidate) -> Iterator[Check]:
    """Out only while it is known not to answer: where nobody listened for an hour nothing is known of any provider."""
    health = candidate.provider
    if health is not None and health.circuit.state != "unknown":
        down = health.circuit.state == "open" or health.availability == "unavailable"
        said = f"{health.provider} {health.availability}, circuit {health.circuit.state}: {health.circuit.why}"
        yield Check(name="reachable", holds=not down, said=said)


def _validation_checks(candidate: Candidate) -> Iterator[Check]:
    if candidate.in_the_way is not None:
        said = "; ".join(candidate.in_the_way) or "every check of the registry"
        yield Check(name="validated", holds=not candidate.in_the_way, said=said)


def _use_case_check(candidate: Candidate, constraints: Constraints, use_case: str) -> Check:
    """Measured alone counts: what is declared of a model shows nothing."""
    found = candidate.registry.use_case(use_case) if candidate.registry is not None else None
    if found is None or found.origin == "declared" or found.low is None:
        declared = "" if found is None else f"; declared {found.score:g} of 100"
        return Check(name="use case", holds=False, said=f"not measured for {use_case}{declared}")
    least = constraints.quality_at_least
    said = f"shown to reach {percent(found.low / 100)} on {use_case} (n = {count(found.n or 0)})"
    return Check(name="use case", holds=found.low >= 100 * least, said=f"{said}; {percent(least)} asked")


def _need_check(candidate: Candidate, name: str) -> Check:
    holds = candidate.registry.can(name) if candidate.registry is not None else None
    word = {True: CAPABILITIES[name], False: f"does not: {CAPABILITIES[name]}", None: f"{name} not stated"}[holds]
    return Check(name=name, holds=holds is True, said=word)


def _why(
    each: Candidate,
    checks: Sequence[Check],
    chosen: Candidate | None,
    best: Candidate | None,
    near: Sequence[Candidate],
    constraints: Constraints,
) -> str:
    if refused := [check.said for check in checks if not check.holds]:
        return "; ".join(refused)
    assert chosen is not None
    assert best is not None
    assert each.month is not None
    gives = constraints.may_give_up
    if each is chosen:
        within = "meets every constraint" if gives is None else f"is within {gives * 100:g} points of the best"
        return f"the cheapest that {within}, {money(each.month)} a month, passes {percent(_quality(each))} of cases"
    if each not in near:
        return _given_up(each, best, gives or 0.0)
    if each.month == chosen.month:
        return "as dear as the chosen one, and not better"
    return f"qualifies, and costs {money(each.month - (chosen.month or Decimal(0)))} more a month"


def _given_up(each: Candidate, best: Candidate, gives: float) -> str:
    """What is lost against the best: too much, or not shown to be little enough."""
    lost = _quality(best) - _quality(each)
    said = f"passes {percent(_quality(each))}, {100 * lost:.1f} points below the best"
    if lost > gives + 1e-12:
        return said
    beside = each.beside.get(best.model)
    if beside is None:
        return f"{said}, and the cases do not say how sure that is"
    most = f"up to {-100 * beside.low:.1f} are not ruled out" if beside.low < 0 else "that is not shown"
    return f"{said}, and n is too small to be sure: {most}, {100 * gives:g} may be given up (n = {count(beside.n)})"


def _short(each: Considered) -> str:
    return f"{each.candidate.model}: {each.why}"
