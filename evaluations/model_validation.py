"""Whether a model with its parameters may be put to work somewhere: every check, with its outcome and the reason.

A check that cannot be made is unknown, which is neither passed nor failed. Where an environment takes validated
models alone, unknown checks stand in the way like failed ones (but for the `FORGIVEN`), and a capability has to have
been tested, not only documented.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Literal

from evaluations.availability import ProviderHealth
from evaluations.cost_scenarios import FEWEST_DAYS, DayUse, MonthlyCost, Offer, measured, monthly_cost
from evaluations.models import NOTICE, Environment, Model, capability_named
from evaluations.pricing import Prices, costs
from evaluations.wording import count, money

Outcome = Literal["passed", "failed", "unknown"]
TESTS_HOLD = timedelta(days=30)
"""How long a tested capability counts: vendors change what stands behind a name."""
SHORTEST_LIFE = timedelta(days=30)
"""A version that ends sooner is not put to work any more."""
FORGIVEN = frozenset({"reachable", "requests a minute", "tokens a minute", "monthly cost", "parameters"})
"""Checks that may stay unknown even where validated models alone are taken: they speak of an account, of traffic that
is still to come, or of the last hour."""
OUTPUT_PARAMETERS = ("max_completion_tokens", "max_tokens")
SAMPLING = ("temperature", "top_p", "top_k")
NEEDED_BY_PARAMETER: Mapping[str, str] = {"tools": "tools", "tool_choice": "tools", "reasoning_effort": "reasoning"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question that was asked of a configuration."""

    name: str
    outcome: Outcome
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A model as it is to be called."""

    model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    max_output_tokens: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_cost_a_call: Decimal | None = None
    fallbacks: tuple[str, ...] = ()
    """Names of models, provider/model."""
    needs: tuple[str, ...] = ()
    """Capabilities that the prompt asks for, e.g. json_schema."""
    own_address: bool = False
    """Whether it is called at an address of one's own, where the public lists say little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The measured traffic that a configuration would take over."""

    feature: str
    days: tuple[DayUse, ...]
    """Whole days, the oldest first, days without requests included."""
    peak_requests_per_minute: int | None = None
    peak_tokens_per_minute: int | None = None
    longest_prompt_tokens: int | None = None

    @property
    def requests(self) -> int:
        return sum(each.requests for each in self.days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known about the place where a configuration is to work. None: nobody knows."""

    model: Model | None
    known: Sequence[str] = ()
    """All names of the registry, to find the nearest."""
    key: bool | None = None
    provider_title: str = ""
    provider_parameters: Sequence[str] | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    prices: Prices | None = None
    health: ProviderHealth | None = None
    environment: Environment | None = None
    traffic: Traffic | None = None
    fallbacks: Mapping[str, Model | None] = field(default_factory=dict)
    stands_for: Model | None = None
    """The one version that the model is an alias of."""
    today: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The checks of a configuration and what follows from them."""

    configuration: Configuration
    checks: tuple[Check, ...]
    monthly_cost: MonthlyCost | None = None
    validated_only: bool = False

    def of(self, outcome: Outcome) -> tuple[Check, ...]:
        """The checks that ended so."""
        return tuple(check for check in self.checks if check.outcome == outcome)

    @property
    def allowed(self) -> bool:
        """Nothing failed, and nothing is unknown where validated models alone are taken."""
        return not self.in_the_way

    @property
    def in_the_way(self) -> tuple[Check, ...]:
        """The checks for whose sake it is not allowed."""
        open_ones = [each for each in self.of("unknown") if self.validated_only and each.name not in FORGIVEN]
        return (*self.of("failed"), *open_ones)


def validate(wanted: Configuration, here: Surroundings) -> Validation:
    """Ask every question that can be asked of a configuration before it is called."""
    environment = here.environment
    monthly = _month_of(wanted, here)
    if here.model is None:
        checks: Iterable[Check] = (_unknown_model(wanted, here),)
    else:
        checks = _checks(wanted, here, here.model, monthly)
    return Validation(
        configuration=wanted,
        checks=tuple(checks),
        monthly_cost=monthly,
        validated_only=environment is not None and environment.validated_only,
    )


def _checks(wanted: Configuration, here: Surroundings, model: Model, monthly: MonthlyCost | None) -> Iterator[Check]:
    yield _check("known", True, f"the registry has {model.name}")
    yield _version(model)
    yield _life_cycle(model, here.today)
    if here.stands_for is not None:
        yield _life_cycle(here.stands_for, here.today, "life cycle of its version")
    if here.environment is not None:
        yield _provider_allowed(model, here.environment)
        if here.environment.allowed_regions is not None:
            yield _region_allowed(model, here.environment, here.environment.allowed_regions)
    yield _key(model, here)
    yield _reachable(here)
    yield _price(wanted, here)
    yield from _capabilities(wanted, model, here)
    yield _output(wanted, model)
    yield _context(wanted, model, here.traffic)
    yield _rate(
        "requests a minute",
        model.limits.requests_per_minute,
        wanted.requests_per_minute,
        here.traffic.peak_requests_per_minute if here.traffic else None,
    )
    yield _rate(
        "tokens a minute",
        model.limits.tokens_per_minute,
        wanted.tokens_per_minute,
        here.traffic.peak_tokens_per_minute if here.traffic else None,
    )
    yield from _parameters(wanted, model, here)
    yield from _fallbacks(wanted, here)
    if here.environment is not None:
        yield _budget(here.environment, here.traffic, monthly)


def _check(name: str, good: bool | None, why: str) -> Check:
    return Check(name=name, outcome="unknown" if good is None else "passed" if good else "failed", why=why)


def _unknown_model(wanted: Configuration, here: Surroundings) -> Check:
    near = get_close_matches(wanted.model, here.known, n=3, cutoff=0.6)
    guess = f"; did you mean {' or '.join(near)}?" if near else ""
    if wanted.own_address:
        return _check("known", None, f"the registry has no {wanted.model}; declare it in models.yaml{guess}")
    return _check("known", False, f"the registry has no {wanted.model}{guess}")


def _version(model: Model) -> Check:
    if not model.alias:
        return _check("version", True, "the name is that of one version")
    if model.alias_of is not None:
        return _check("version", True, f"the name stands for {model.alias_of}")
    return _check(
        "version", None, f"{model.name} stands for whatever version its provider chooses; name a version to pin it"
    )


def _life_cycle(model: Model, today: date, name: str = "life cycle") -> Check:
    at = model.life_cycle(today)
    instead = f"; its successor is {model.successor}" if model.successor else ""
    if at == "retired":
        since = f" since {model.retires_on}" if model.retires_on and model.retires_on <= today else ""
        since = since or (" for no catalogue lists it any more" if model.withdrawn_at else "")
        return _check(name, False, f"{model.name} is retired{since}{instead}")
    if at == "deprecated" and model.retires_on is not None:
        left = (model.retires_on - today).days
        why = f"deprecated: {model.name} ends on {model.retires_on}, in {count(left, 'day')}{instead}"
        return _check(name, left >= SHORTEST_LIFE.days, why)
    ends = f"; it ends on {model.retires_on}" if model.retires_on else ""
    return _check(name, True, f"{at}, no end within {NOTICE.days} days{ends}")


def _provider_allowed(model: Model, environment: Environment) -> Check:
    allowed = environment.allowed_providers
    if allowed is None:
        return _check("provider allowed", True, f"{environment.name} takes every provider")
    listed = ", ".join(allowed) or "none"
    return _check("provider allowed", model.provider in allowed, f"{environment.name} takes {listed}")


def _region_allowed(model: Model, environment: Environment, allowed: Sequence[str]) -> Check:
    """Calls of a model that can be had in an allowed region have to go there; where yours go is yours to say."""
    taken = f"{environment.name} takes {', '.join(allowed) or 'none'}"
    if model.regions is None:
        return _check("region", None, f"nobody says where {model.name} is served; declare it in models.yaml; {taken}")
    return _check("region", model.served_in(allowed), f"it can be had in {', '.join(model.regions)}; {taken}")


def _key(model: Model, here: Surroundings) -> Check:
    title = here.provider_title or model.provider
    if here.key is None:
        return _check("key", None, f"nobody says which variable holds the key of {title}; declare it in models.yaml")
    return _check("key", here.key, f"a key of {title} is {'there' if here.key else 'not in the environment'}")


def _reachable(here: Surroundings) -> Check:
    if here.health is None or here.health.availability == "unknown":
        return _check("reachable", None, "it was not probed in the last hour; `assay models probe` does it")
    good = here.health.availability in ("available", "busy")
    return _check("reachable", good, f"{here.health.availability}: {here.health.circuit.why}")


def _price(wanted: Configuration, here: Surroundings) -> Check:
    if here.prices is None:
        return _check("price", False, f"no price of {wanted.model} is known; write it in prices.yaml in ASSAY_HOME")
    missing = [name for name in ("input", "output") if here.prices.per_token(name) is None]
    if missing and not (here.model is not None and here.model.mode == "embedding" and missing == ["output"]):
        return _check("price", False, f"no price for {' and '.join(missing)} tokens is known")
    if wanted.max_cost_a_call is not None and here.traffic is not None and here.traffic.longest_prompt_tokens:
        output = _wanted_output(wanted) or (here.model.limits.max_output_tokens if here.model else None) or 0
        most = costs({"input": here.traffic.longest_prompt_tokens, "output": output}, here.prices)
        dearest = sum(most.values(), Decimal(0)) if most is not None else None
        if dearest is not None and dearest > wanted.max_cost_a_call:
            why = f"its longest call may cost {money(dearest)}, more than {money(wanted.max_cost_a_call)} a call"
            return _check("price", False, why)
    return _check("price", True, f"priced as {here.prices.model} on {here.prices.on}")


def _capabilities(wanted: Configuration, model: Model, here: Surroundings) -> Iterator[Check]:
    has_to_be_tested = here.environment is not None and here.environment.validated_only
    needs = [capability_named(each) for each in wanted.needs]
    needs += [name for parameter, name in NEEDED_BY_PARAMETER.items() if wanted.parameters.get(parameter)]
    needs += _formats(wanted.parameters.get("response_format"))
    for name in dict.fromkeys(needs):
        capability = model.capability(name)
        label = f"capability {name}"
        if capability.tested is not None:
            found, age = capability.tested, here.today - capability.tested.at.date()
            said = f"tested on {found.at:%Y-%m-%d}: {found.why}"
            if age > TESTS_HOLD and found.passed:
                yield _check(label, None, f"{said}; that is {count(age.days, 'day')} ago, probe it again")
            else:
                yield _check(label, found.passed, said)
        elif capability.documented is None:
            yield _check(label, None, "neither documented nor tested; `assay models probe` tests it")
        else:
            denied = "" if capability.documented else " that it lacks it"
            holds = None if capability.documented and has_to_be_tested else capability.documented
            yield _check(label, holds, f"documented by {capability.source}{denied}, not tested")


def _formats(response_format: Any) -> list[str]:
    kind = response_format.get("type") if isinstance(response_format, Mapping) else None
    return {"json_object": ["json_mode"], "json_schema": ["json_schema"]}.get(str(kind), [])


def _wanted_output(wanted: Configuration) -> int | None:
    given = [wanted.parameters.get(name) for name in OUTPUT_PARAMETERS]
    numbers = [each for each in (*given, wanted.max_output_tokens) if isinstance(each, int)]
    return max(numbers, default=None)


def _output(wanted: Configuration, model: Model) -> Check:
    asked, most = _wanted_output(wanted), model.limits.max_output_tokens
    if most is None:
        return _check("output", None, "nobody says how long its answers may be")
    if asked is None:
        return _check("output", True, f"up to {most:,} tokens, none asked for")
    return _check("output", asked <= most, f"{asked:,} tokens asked for, {most:,} are its limit")


def _context(wanted: Configuration, model: Model, traffic: Traffic | None) -> Check:
    most = model.limits.context_tokens
    if most is None:
        return _check("context", None, "nobody says how long its prompts may be")
    asked = _wanted_output(wanted) or 0
    longest = traffic.longest_prompt_tokens if traffic else None
    if longest is None:
        return _check("context", asked <= most, f"{most:,} tokens; no traffic says how long prompts are")
    needed = longest + asked
    return _check("context", needed <= most, f"{needed:,} tokens at the longest, {most:,} are its limit")


def _rate(name: str, limit: int | None, own: int | None, peak: int | None) -> Check:
    if limit is not None and own is not None and own > limit:
        return _check(name, False, f"{own:,} are declared, {limit:,} are allowed")
    most = min((each for each in (limit, own) if each is not None), default=None)
    if most is None:
        return _check(name, None, "no limit is known; state your account's in models.yaml")
    if peak is None:
        return _check(name, None, f"{most:,} are allowed; no traffic says how many there will be")
    return _check(name, peak <= most, f"{peak:,} at the busiest, {most:,} are allowed")


def _parameters(wanted: Configuration, model: Model, here: Surroundings) -> Iterator[Check]:
    given = wanted.parameters
    title = here.provider_title or model.provider
    if here.provider_parameters is None:
        yield _check(
            "parameters",
            None if given else True,
            f"nobody says which parameters {title} knows" if given else "none are given",
        )
    else:
        strange = [name for name in given if name not in here.provider_parameters]
        near = [get_close_matches(name, here.provider_parameters, n=1, cutoff=0.6) for name in strange]
        guess = "".join(f"; did you mean {each[0]}?" for each in near[:1] if each)
        why = f"{title} knows no {', '.join(strange)}{guess}" if strange else f"{title} knows all {len(given)}"
        yield _check("parameters", not strange, why if given else "none are given")
    sampled = [name for name in SAMPLING if name in given]
    if sampled and model.can("sampling") is False:
        yield _check("sampling", False, f"{model.name} takes no {' or '.join(sampled)}")
    for name, (low, high) in here.ranges.items():
        value = given.get(name)
        if value is not None and not (_is_number(value) and low <= value <= high):
            yield _check(f"range of {name}", False, f"{value!r} is not between {low:g} and {high:g}, as {title} wants")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fallbacks(wanted: Configuration, here: Surroundings) -> Iterator[Check]:
    for name in wanted.fallbacks:
        fallback = here.fallbacks.get(name)
        if fallback is None:
            yield _check("fallback", False, f"the registry has no {name}")
            continue
        at = fallback.life_cycle(here.today)
        allowed = here.environment is None or here.environment.allowed_providers is None
        allowed = allowed or fallback.provider in (here.environment.allowed_providers or ())  # type: ignore[union-attr]
        if at == "retired":
            yield _check("fallback", False, f"{name} is retired")
        elif (
            here.environment is not None
            and here.environment.allowed_regions is not None
            and not (fallback.served_in(here.environment.allowed_regions))
        ):
            yield _check("fallback", False, f"{name}: it is not known to be served in a region that is allowed there")
        elif not allowed:
            yield _check("fallback", False, f"{name}: its provider is not allowed there")
        else:
            yield _check("fallback", True, f"{name} is {at}")


# What it would cost


def _month_of(wanted: Configuration, here: Surroundings) -> MonthlyCost | None:
    """What the measured traffic would cost in a month at today's prices; None where nothing is measured."""
    if here.traffic is None or len(here.traffic.days) < FEWEST_DAYS:
        return None
    if not any(day.requests > day.unknown for day in here.traffic.days):
        return None
    return monthly_cost(measured(here.traffic.days), Offer(model=wanted.model, standard=here.prices))


def _budget(environment: Environment, traffic: Traffic | None, monthly: MonthlyCost | None) -> Check:
    limit = environment.monthly_cost_limit
    if limit is None:
        return _check("monthly cost", True, f"{environment.name} has no limit")
    if monthly is None:
        why = "no traffic is measured" if traffic is None else "its traffic is too little to tell a month from"
        return _check("monthly cost", None, f"{why}; the limit is {money(limit)}")
    if monthly.month is None:
        return _check("monthly cost", None, f"{monthly.unpriced}; the limit is {money(limit)}")
    low, high = monthly.low or monthly.month, monthly.high or monthly.month
    said = (
        f"{money(monthly.month)} a month ({money(low)} to {money(high)} in 95 of 100 months like these "
        f"{count(monthly.days, 'day')}), the limit is {money(limit)}"
    )
    if monthly.month > limit:
        return _check("monthly cost", False, said)
    return _check("monthly cost", None if high > limit else True, said)
