"""Models and providers at a glance: those in use with all that is known of them, and what a reader should look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from evaluations.availability import ProviderHealth
from evaluations.histograms import merged
from evaluations.models import LIFE_CYCLES, Accuracy, Bands, LifeCycle, Model, Reliability, Speed, UseCaseScore
from evaluations.performance import Performed
from evaluations.pricing import Prices
from evaluations.production import Freshness

LEAST_REQUESTS = 30
"""Fewer requests, or cases, earn no word for speed, accuracy or reliability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one model did for a feature of an environment in the window of use."""

    provider: str | None
    model: str | None
    feature: str
    environment: str | None
    performed: Performed


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model with what was measured of it, and its price today."""

    model: Model
    prices: Prices | None
    health: ProviderHealth | None
    uses: tuple[Use, ...]
    """What it did for which features, the most requests first."""
    stands_for: Model | None = None
    """The one version that it is an alias of."""

    def life_cycle(self, on: date) -> LifeCycle:
        """Where it is in its life: an alias is no younger than the version it stands for."""
        stages = [each.life_cycle(on) for each in (self.model, self.stands_for) if each is not None]
        return max(stages, key=LIFE_CYCLES.index)

    @property
    def ends_on(self) -> date | None:
        """Its last day, or that of the version it stands for."""
        return self.model.retires_on or (self.stands_for.retires_on if self.stands_for else None)

    @property
    def performed(self) -> Performed | None:
        """All its uses together; None when it has none."""
        return together(tuple(use.performed for use in self.uses))

    @property
    def assigned_to(self) -> tuple[str, ...]:
        """The features that it serves, the most requests first."""
        return tuple(dict.fromkeys(use.feature for use in self.uses))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLine:
    """One provider: how it does, what it was asked, and how many of its models the registry has."""

    title: str
    health: ProviderHealth
    performed: Performed | None
    models: Mapping[LifeCycle, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that changed in the registry."""

    kind: str
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    why: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconsidered:
    """A published selection whose policy would now choose another model."""

    feature: str
    environment: str
    published: str
    now: str | None
    """None: no model qualifies any more."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsOverview:
    """What the page about models and providers is made of."""

    at: datetime
    window: tuple[date, date] | None
    """The days that tell what is in use; None when nothing is rolled up."""
    timezone: str
    freshness: Freshness | None
    in_use: tuple[KnownModel, ...]
    """The most requests first."""
    unregistered: tuple[Use, ...]
    """Uses of what the registry does not know, the most requests first."""
    providers: tuple[ProviderLine, ...]
    """Those in use or with a key first."""
    changes: tuple[Change, ...]
    catalogue: tuple[Model, ...]
    """Everything that the registry has, by name."""
    reconsidered: tuple[Reconsidered, ...] = ()
    bands: Bands = field(default_factory=Bands)

    @property
    def today(self) -> date:
        return self.at.date()

    @property
    def ending(self) -> tuple[KnownModel, ...]:
        """Models in use that are deprecated or retired, the first to end first."""
        found = [each for each in self.in_use if each.life_cycle(self.today) in ("deprecated", "retired")]
        return tuple(sorted(found, key=lambda each: each.ends_on or date.min))

    @property
    def floating(self) -> tuple[KnownModel, ...]:
        """Models in use whose name stands for whatever version the provider chooses."""
        return tuple(each for each in self.in_use if each.model.alias and each.model.alias_of is None)

    @property
    def unpriced(self) -> tuple[KnownModel, ...]:
        return tuple(each for each in self.in_use if each.prices is None)


def together(performed: Sequence[Performed]) -> Performed | None:
    """Sums over several groups of requests; None for none."""
    if not performed:
        return None
    costs = [each.cost for each in performed if each.cost is not None]
    counted = (
        *("requests", "successes", "errors", "usage_unknown", "prompt_tokens", "cached_tokens", "reply_tokens"),
        *("cache_hits", "cache_known", "priced", "unpriced"),
    )
    return Performed(
        **{name: sum(getattr(each, name) for each in performed) for name in counted},
        cost=sum(costs, Decimal(0)) if costs else None,
        latencies=merged([each.latencies for each in performed]),
    )


def speed_of(performed: Performed | None, bands: Bands) -> Speed | None:
    """The word for how fast a model answered, by its median latency; None for fewer than `LEAST_REQUESTS`."""
    middle = performed.latency(0.5) if performed else None
    return None if middle is None or middle.n < LEAST_REQUESTS else bands.speed(middle.value / 1000)


def accuracy_of(score: UseCaseScore, bands: Bands) -> Accuracy | None:
    """The word for how right a model was on a use case, by the lower end of the interval; None unless measured so."""
    if score.origin != "measured" or score.low is None or (score.n or 0) < LEAST_REQUESTS:
        return None
    return bands.accuracy(score.low / 100)


def reliability_of(performed: Performed | None, bands: Bands) -> Reliability | None:
    """The word for how many requests went well; None for fewer than `LEAST_REQUESTS`.

    By the lower end of the interval: of thirty requests without an error nobody knows that 99.9 % will go well.
    """
    errors = performed.error_share if performed else None
    return None if errors is None or errors.n < LEAST_REQUESTS else bands.reliability(1 - errors.high)
