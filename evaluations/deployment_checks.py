"""What a bundle has to pass before it gets any traffic: the gate of its experiment, and the checks of what it needs.

A finding refuses, warns or says that all is well. Some refusals a person may waive, with a name and a reason that stay
on record; those about the experiment's own soundness, about providers and about retired models are not waived.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from evaluations.demand import Demand
from evaluations.deployments import Bundle
from evaluations.models import Environment, Model
from evaluations.prompts import ReviewState, said_state
from evaluations.wording import count, money

Level = Literal["refuse", "warn", "fine"]

MUST: Mapping[str, str] = {
    "response_format": "json_mode",
    "tools": "tools",
    "reasoning_effort": "reasoning",
}
"""Parameters of a bundle that ask for a capability of the model."""
ALL_BUT_FEW = 0.999
"""Of the prompts: the context has to take all but one of a thousand."""
KEYLESS = frozenset({"simulated", "replay"})
"""Providers that need no key: made-up and recorded answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at, and what was found."""

    name: str
    level: Level
    says: str
    waivable: bool = False

    @property
    def document(self) -> dict[str, Any]:
        return {"check": self.name, "level": self.level, "says": self.says, "waivable": self.waivable}


# The gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Concluded:
    """What an experiment found and what was decided, as the gate asks for it."""

    experiment: str
    status: str
    environment: str | None
    """Whose traffic was split; None for one on the cases of a suite."""
    outcome: str | None
    variant: str | None
    control: str
    automatic: bool
    decided_by: str
    why: str
    """A person's reason; empty for a decision by rule."""
    sentence: str
    broken_split: str
    """Why its sample ratio proves nothing; empty when it is sound."""
    primary: str | None
    """The verdict on the winner's primary metric at the last look."""
    violated: Sequence[str] = ()
    """Guardrails that the winner violates."""
    other_verdict: str = ""
    """What the rule decided where a person decided otherwise."""
    later: Sequence[str] = ()
    """Later experiments of the feature whose evidence contradicts, each in a sentence."""


def gate(found: Concluded | None, environment: str) -> tuple[Check, ...]:
    """May what an experiment found be deployed? Without one, only outside production, unless a person says why."""
    if found is None:
        level: Level = "refuse" if environment == "production" else "warn"
        says = "no concluded experiment stands behind this bundle"
        return (Check(name="experiment", level=level, says=says, waivable=True),)
    unfit = _unfit(found)
    if unfit:
        return (Check(name="experiment", level="refuse", says=unfit),)
    contradictions = tuple(
        Check(name="evidence", level="refuse", says=says, waivable=True) for says in _contradictions(found)
    )
    other_place = found.environment not in (None, environment)
    where = (
        (
            Check(
                name="evidence",
                level="warn",
                says=f"{found.experiment} ran on the traffic of {found.environment}, not of {environment}",
            ),
        )
        if other_place
        else ()
    )
    return (Check(name="experiment", level="fine", says=found.sentence.rstrip(".")), *contradictions, *where)


def _unfit(found: Concluded) -> str:
    """Why nothing can be deployed from it, whoever asks; empty when it can."""
    name = found.experiment
    if found.broken_split:
        return f"{name} proves nothing: {found.broken_split}"
    if found.status != "completed" or found.outcome is None:
        return f"{name} is {found.status} and has not concluded; what looks good half-way is often nothing"
    if found.outcome != "variant" or found.variant is None:
        word = "no difference" if found.outcome == "no_difference" else "nothing"
        return f"{name} found {word}: there is no winner to deploy. {found.sentence}".rstrip(".")
    if found.variant == found.control:
        return f"{name} keeps its control {found.control}, which its feature has already"
    return ""


def _contradictions(found: Concluded) -> Iterator[str]:
    if not found.automatic:
        rule = f"; the rule found: {found.other_verdict}" if found.other_verdict else ""
        yield f"{found.decided_by} chose {found.variant} against the rule ({found.why}){rule}".rstrip(".")
    if found.primary is not None and found.primary != "better":
        word = found.primary.replace("_", " ")
        yield f"on its primary metric {found.variant} is not better but: {word}"
    for metric in found.violated:
        yield f"{found.variant} violates the guardrail {metric}"
    yield from found.later


# The bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """The last whole run of a suite with this very prompt, model and parameters."""

    suite: str
    verdict: str
    sentence: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known around a bundle when it is checked."""

    environment: Environment
    today: date
    model: Model | None
    """As the registry knows it; None when it does not."""
    prompt_hash: str | None
    """Of the prompt version's content, where the store has it."""
    prompt_review: ReviewState | None = None
    """Where the review of the registered version stands; None: it is not registered."""
    key_variables: Sequence[str] = ()
    """Environment variables that hold the provider's key, one of which would do."""
    key_there: bool = False
    probe: tuple[bool, str, datetime] | None = None
    """Did the provider answer when it was last asked, what it said, and when that was."""
    demand: Demand = field(default_factory=Demand)
    monthly_cost: Decimal | None = None
    """Projected for the feature on this bundle, US dollars; None: unknown."""
    cost_unknown: str = ""
    """Why it is unknown."""
    others_cost: Decimal = Decimal(0)
    """What the other features of the environment are projected to cost a month, as they are."""
    others_unknown: int = 0
    """Of them, those whose cost is unknown; it is not in the sum."""
    regression: Regression | None = None


def validate(bundle: Bundle, around: Surroundings) -> tuple[Check, ...]:
    """Every check of a bundle for an environment, those that refuse first."""
    found = [
        _provider(bundle, around),
        _key(bundle, around),
        *_model(bundle, around),
        *_limits(bundle, around),
        *_capabilities(bundle, around),
        _cost(around),
        _regression(bundle, around),
        _prompt(bundle, around),
    ]
    order: Mapping[Level, int] = {"refuse": 0, "warn": 1, "fine": 2}
    return tuple(sorted(found, key=lambda check: order[check.level]))


def refusals(checks: Sequence[Check]) -> tuple[Check, ...]:
    """The checks that refuse."""
    return tuple(check for check in checks if check.level == "refuse")


def _provider(bundle: Bundle, around: Surroundings) -> Check:
    allowed, name = around.environment.allowed_providers, around.environment.name
    if not bundle.provider:
        says = f"{bundle.model} does not say its provider; write it provider/model"
        return Check(name="provider", level="refuse", says=says)
    if allowed is not None and bundle.provider not in allowed:
        says = f"provider {bundle.provider} is not allowed in {name}; these are: {', '.join(allowed) or 'none'}"
        return Check(name="provider", level="refuse", says=says)
    return Check(name="provider", level="fine", says=f"{bundle.provider} is allowed in {name}")


def _key(bundle: Bundle, around: Surroundings) -> Check:
    if bundle.provider in KEYLESS:
        return Check(name="key", level="fine", says=f"{bundle.provider} needs no key")
    if around.probe is not None:
        answered, said, at = around.probe
        when = f"when it was asked on {at:%Y-%m-%d %H:%M} UTC"
        if answered:
            return Check(name="key", level="fine", says=f"{bundle.provider} answered {when}")
        says = f"{bundle.provider} refused {when}: {said}"
        return Check(name="key", level="refuse", says=says, waivable=True)
    if around.key_there:
        return Check(name="key", level="fine", says=f"{' or '.join(around.key_variables)} is set; nobody has asked yet")
    # The application calls the model, and may have a key where Assay has none.
    wanted = " or ".join(around.key_variables) or "a key"
    says = f"{wanted} is not set here and {bundle.provider} was not asked yet: the key is not proven"
    return Check(name="key", level="warn", says=says)


def _model(bundle: Bundle, around: Surroundings) -> Iterator[Check]:
    if bundle.provider in KEYLESS:
        yield Check(
            name="model", level="warn", says=f"{bundle.model} is no model of a provider: its answers are made up"
        )
        return
    if around.model is None:
        strict = around.environment.validated_only
        says = f"the registry does not know {bundle.model}"
        if strict:
            says += f", and {around.environment.name} takes validated models only; `assay models sync` brings it in"
        yield Check(name="model", level="refuse" if strict else "warn", says=says, waivable=True)
        return
    stage, day = around.model.life_cycle(around.today), around.model.retires_on
    until = f" on {day}" if day else ""
    successor = f"; its successor is {around.model.successor}" if around.model.successor else ""
    if stage == "retired":
        yield Check(name="model", level="refuse", says=f"{bundle.model} is retired{until}{successor}")
    elif stage == "deprecated":
        yield Check(name="model", level="warn", says=f"{bundle.model} ends{until}{successor}")
    else:
        yield Check(name="model", level="fine", says=f"{bundle.model} is {stage}")
    if around.model.alias:
        says = f"{bundle.model} is an alias: its provider may put another version behind it at any time"
        yield Check(name="model", level="warn", says=says)


def _limits(bundle: Bundle, around: Surroundings) -> Iterator[Check]:
    if around.model is None:
        return
    limits, demand = around.model.limits, around.demand
    wanted = bundle.parameters.get("max_tokens")
    output = wanted if isinstance(wanted, int) and not isinstance(wanted, bool) else None
    if limits.max_output_tokens is not None and output is not None and output > limits.max_output_tokens:
        says = (
            f"max_tokens {count(output)} is more than the {count(limits.max_output_tokens)} that {bundle.model} writes"
        )
        yield Check(name="context", level="refuse", says=says)
    longest = demand.prompt_tokens(ALL_BUT_FEW)
    if limits.context_tokens is not None and longest is not None:
        needs = longest + (output or 0)
        fits = needs <= limits.context_tokens
        says = (
            f"one prompt of a thousand has {count(longest)} tokens or more"
            f"{f' and may get {count(output)} back' if output else ''}; {bundle.model} takes "
            f"{count(limits.context_tokens)}"
        )
        yield Check(name="context", level="fine" if fits else "refuse", says=says, waivable=not fits)
    for limit, peak, what in (
        (limits.requests_per_minute, demand.peak_requests_per_minute, "requests"),
        (limits.tokens_per_minute, demand.peak_tokens_per_minute, "tokens"),
    ):
        if limit is None or peak is None:
            continue
        says = f"the busiest minute had {count(peak)} {what}; {bundle.model} allows {count(limit)} a minute"
        yield Check(name="rate limit", level="fine" if peak <= limit else "refuse", says=says, waivable=peak > limit)


def _capabilities(bundle: Bundle, around: Surroundings) -> Iterator[Check]:
    if around.model is None:
        return
    for parameter, capability in MUST.items():
        if not bundle.parameters.get(parameter):
            continue
        needed = capability
        if parameter == "response_format" and "schema" in str(bundle.parameters[parameter]):
            needed = "json_schema"
        can, name = around.model.can(needed), needed.replace("_", " ")
        if can:
            yield Check(name="capability", level="fine", says=f"{bundle.model} has {name}")
        elif can is None:
            says = f"nobody says whether {bundle.model} has {name}, which `{parameter}` needs"
            strict = around.environment.validated_only
            yield Check(name="capability", level="refuse" if strict else "warn", says=says, waivable=strict)
        else:
            yield Check(
                name="capability", level="refuse", says=f"{bundle.model} lacks {name}, which `{parameter}` needs"
            )


def _cost(around: Surroundings) -> Check:
    limit, cost = around.environment.monthly_cost_limit, around.monthly_cost
    name = around.environment.name
    if cost is None:
        says = f"the cost of a month is unknown: {around.cost_unknown or 'nothing is measured'}"
        if limit is not None:
            says += f"; {name} is limited to {money(limit)}"
        return Check(name="cost", level="warn" if limit is None else "refuse", says=says, waivable=limit is not None)
    total = cost + around.others_cost
    says = f"{money(cost)} a month projected"
    if around.others_cost:
        says += f", {money(total)} with the other features"
    if around.others_unknown:
        says += f" (without {count(around.others_unknown, 'feature')} of unknown cost)"
    if limit is None:
        return Check(name="cost", level="fine", says=f"{says}; {name} has no limit")
    if total > limit:
        return Check(name="cost", level="refuse", says=f"{says}: more than the {money(limit)} of {name}", waivable=True)
    return Check(name="cost", level="fine", says=f"{says}, within the {money(limit)} of {name}")


def _regression(bundle: Bundle, around: Surroundings) -> Check:
    found, strict = around.regression, around.environment.validated_only
    if found is None:
        says = f"no suite was run to its end with {bundle}"
        return Check(name="regression", level="refuse" if strict else "warn", says=says, waivable=strict)
    says = f"suite {found.suite} on {found.at:%Y-%m-%d}: {found.sentence}".rstrip(".")
    passed = found.verdict == "pass"
    return Check(name="regression", level="fine" if passed else "refuse", says=says, waivable=not passed)


def _prompt(bundle: Bundle, around: Surroundings) -> Check:
    if around.prompt_hash is None:
        says = f"the content of {bundle.prompt} is not in the store: nothing tells whether it changes after approval"
        return Check(name="prompt", level="warn", says=says)
    digest, review = around.prompt_hash[:12], around.prompt_review
    if review is None:
        return Check(name="prompt", level="fine", says=f"{bundle.prompt} is {digest}")
    says = f"{bundle.prompt} ({digest}) is {said_state(review)} in the registry"
    if review == "approved":
        return Check(name="prompt", level="fine", says=says)
    # Without a second person for the bundle there need be none for its prompt; a no holds everywhere.
    strict = around.environment.approvals_required > 0 or review in ("rejected", "archived")
    return Check(name="prompt", level="refuse" if strict else "warn", says=says, waivable=strict)
