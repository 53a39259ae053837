"""Routes: which of two models answers a case, and what a case that went through both has cost and taken."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isinf
from typing import Literal

from evaluations.answers import Answer, ErrorKind, Usage
from evaluations.cases import Case
from evaluations.errors import AssayError
from evaluations.recommending.routing import (
    CategoryPolicy,
    Known,
    LogisticPolicy,
    Policy,
    RoutingRule,
    category_of,
    text_of,
)
from evaluations.specs import EscalateWhenSpec, RouteSpec, RoutingPolicySpec, StrongWhenSpec, VariantSpec

Choice = Literal["weak", "strong"]
NO_ANSWER_OF_ITS_OWN: frozenset[ErrorKind] = frozenset({"interrupted", "no_recording", "abandoned"})
"""Errors that are no failure of the cheap model, and so no reason to ask the strong one."""


NOTHING = Decimal(0)


class NothingToRoute(AssayError):
    """A rule that sends every case to the same model."""


@dataclass(frozen=True, slots=True)
class Router:
    """The rule of one route, ready to choose."""

    route: RouteSpec
    policy: Policy | None

    @classmethod
    def of(cls, route: RouteSpec) -> "Router":
        """Raises AssayError for a policy that is still the name of a file."""
        if isinstance(route.policy, str):
            raise AssayError(f"the routing policy {route.policy!r} was not read; a suite file's loader reads it.")
        return cls(route, None if route.policy is None else policy_of(route.policy))

    @property
    def is_cascade(self) -> bool:
        return self.route.escalate_when is not None

    def first(self, case: Case) -> Choice:
        """Who is asked first, from what is known before any call."""
        if isinstance(self.route.policy, RoutingPolicySpec) and self.policy is not None:
            known = Known.of([text_of(case)], [category_of(case)])
            return "strong" if float(self.policy.gains(known)[0]) >= self.route.policy.threshold else "weak"
        return "strong" if self.route.strong_when is not None and _holds(self.route.strong_when, case) else "weak"

    def goes_on(self, answer: Answer) -> bool:
        """Whether the cheap model's answer sends the case on to the strong one."""
        rule = self.route.escalate_when
        if rule is None:
            return False
        if answer.text is None:
            return answer.error not in NO_ANSWER_OF_ITS_OWN
        return _will_not_do(rule, answer.text)

    def told(self, answers: Sequence[Answer], label: str) -> Answer:
        """The answer of a routed case: the last of its calls, with what all of them and the router cost and took.

        What the cheap model said is not shown before it is judged, so the first text comes after its whole time.
        """
        last = answers[-1]
        before = [answer.latency_ms for answer in answers[:-1] if answer.error is None]
        paid = [answer.cost_usd for answer in answers]
        waited = None if None in before else self.route.latency_ms + sum(each or 0.0 for each in before)
        return replace(
            last,
            usage=_added([answer.usage for answer in answers]),
            usage_known=all(answer.usage_known for answer in answers),
            cost_usd=None if None in paid else sum((each or NOTHING for each in paid), self.route.cost_a_case),
            latency_ms=None if last.latency_ms is None or waited is None else last.latency_ms + waited,
            first_token_ms=None if last.first_token_ms is None or waited is None else last.first_token_ms + waited,
            queue_ms=sum(answer.queue_ms for answer in answers),
            tries=sum(answer.tries for answer in answers),
            simulated=any(answer.simulated for answer in answers),
            routed_to=label,
        )


def strong_share(variant: VariantSpec, cases: Sequence[Case]) -> float:
    """The share of some cases that a routed variant sends to its strong model at once; 0 for a cascade."""
    assert variant.model.route is not None
    router = Router.of(variant.model.route)
    return sum(router.first(case) == "strong" for case in cases) / max(1, len(cases))


def policy_of(spec: RoutingPolicySpec) -> Policy:
    """The policy that a file holds."""
    import numpy as np

    if spec.learner == "category":
        return CategoryPolicy(by_category=spec.by_category, elsewhere=spec.elsewhere)
    return LogisticPolicy(
        categories=spec.categories,
        centre=np.array(spec.centre),
        spread=np.array(spec.spread),
        weak_weights=np.array(spec.weak_weights),
        strong_weights=np.array(spec.strong_weights),
    )


def spec_of(rule: RoutingRule) -> RoutingPolicySpec:
    """What a file holds of a learned rule; reading it back chooses alike. Raises NothingToRoute where it sends
    every case to the same model."""
    if isinf(rule.threshold):
        alone, advice = ("strong", "allow a larger --loss") if rule.threshold < 0 else ("cheap", "use it alone")
        raise NothingToRoute(
            f"a rule by {rule.learner} that loses no more than {rule.loss:g} sends every case to the {alone} model; "
            f"{advice}."
        )
    given = {"learner": rule.learner, "threshold": rule.threshold}
    match rule.policy:
        case CategoryPolicy(by_category=by_category, elsewhere=elsewhere):
            own = {"by_category": dict(by_category), "elsewhere": elsewhere}
        case LogisticPolicy() as policy:
            numbers = ("centre", "spread", "weak_weights", "strong_weights")
            own = {"categories": policy.categories, **{name: getattr(policy, name).tolist() for name in numbers}}
        case other:
            raise AssayError(f"a {type(other).__name__} cannot be written to a file.")
    return RoutingPolicySpec.model_validate(given | own)


def _holds(rule: StrongWhenSpec, case: Case) -> bool:
    longer = rule.longer_than is not None and len(text_of(case)) > rule.longer_than
    return longer or not set(rule.tags).isdisjoint(case.tags) or category_of(case) in rule.categories


def _will_not_do(rule: EscalateWhenSpec, said: str) -> bool:
    text = said.strip()
    if rule.shorter_than is not None and len(text) < rule.shorter_than:
        return True
    if any(phrase.casefold() in text.casefold() for phrase in rule.says):
        return True
    return rule.confidence_below is not None and _confidence(text, rule.confidence_field) < rule.confidence_below


def _confidence(text: str, field: str) -> float:
    """What an answer says of its own confidence; below everything where it says nothing that can be read."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return float("-inf")
    said = found.get(field) if isinstance(found, dict) else None
    return float(said) if isinstance(said, int | float) and said == said else float("-inf")


def _added(usages: Sequence[Usage]) -> Usage:
    return Usage(**{name: sum(getattr(usage, name) for usage in usages) for name in Usage.__slots__})
