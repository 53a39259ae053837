"""A recommendation: what to change to what, what it saves at the measured volume, on what grounds, at what risk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, get_args

from evaluations.answers import ROUTED
from evaluations.estimates import Estimate

Kind = Literal["model_substitution", "prompt_optimization", "usage_reduction", "provider_switch"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ALIASES: Final[Mapping[str, Kind]] = {"model-switch": "model_substitution", "model_switch": "model_substitution"}
"""Other names under which a kind is asked for."""
Impact = Literal["low", "medium", "high"]
Effort = Literal["easy", "moderate", "complex"]
Mode = Literal["use_case", "budget", "alternatives"]
MODES: tuple[Mode, ...] = get_args(Mode)

WEIGHTS: Final = {"saving": 40, "quality": 30, "stability": 30}
"""Of the score: together 100."""
HIGH_SHARE: Final = 0.20
"""An impact is high from here on: the lower bound of the saving, as a share of what the feature costs now."""
MEDIUM_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """US dollars a month at the measured volume. Negative: it costs more."""

    low: Decimal
    point: Decimal
    high: Decimal
    now: Decimal
    """What is paid now, a month, for what would change: of a model what it serves, not what others do beside it."""
    share_low: float
    """Of what is paid now, at one volume before and after."""
    share: float
    share_high: float
    n: int
    """Cases, requests or days that the share is measured on."""
    basis: str
    """One sentence: from what the saving was worked out."""
    bill: Decimal | None = None
    """What the whole feature costs now, a month; None: nothing but `now`."""

    def of_bill(self, share: float) -> float:
        """A share of what would change as a share of what the whole feature costs.

        >>> month = Savings(low=Decimal(2), point=Decimal(3), high=Decimal(4), now=Decimal(10), bill=Decimal(40),
        ...     share_low=0.2, share=0.3, share_high=0.4, n=50, basis="")
        >>> round(month.of_bill(month.share_low), 3)
        0.05
        """
        return share * float(self.now / self.bill) if self.bill else share


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """What the answer is on resampled cases, with prices and volume moved by up to a fifth."""

    share: float
    """Of the resamplings, those in which the answer stays; for a recommendation that is not the first, those in which
    it still qualifies."""
    resamplings: int
    others: tuple[tuple[str, float], ...] = ()
    """What the answer is in the rest of them, the most frequent first, each with its share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One thing to change. Every sentence in it is made from its numbers."""

    kind: Kind
    feature: str
    title: str
    description: str
    current: str
    """The set-up in use: a model, or a habit."""
    recommended: str
    savings: Savings
    score: int
    """0 to 100; `score_of` says how."""
    impact: Impact
    effort: Effort
    reasons: tuple[str, ...] = ()
    tradeoffs: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    quality: Estimate | None = None
    """Recommended minus current on the primary metric, in its unit, positive is better, at a level that all candidates
    share. None where the answers do not change."""
    confirmed: Estimate | None = None
    """The same on cases that had no part in the choice: what the choice is worth without the luck of having been
    chosen. None with a single candidate, where nothing was chosen."""
    margin: float | None = None
    """Declared: a loss within it does not matter."""
    stability: Stability | None = None
    cost_now: Decimal | None = None
    """US dollars a request, of the cases."""
    cost_then: Decimal | None = None
    p95_now_ms: float | None = None
    p95_then_ms: float | None = None
    n: int = 0
    """Cases or requests behind it."""
    details: Mapping[str, object] = field(default_factory=dict)
    """Further numbers that this kind rests on, by name."""

    @property
    def subject(self) -> tuple[str, str, str, str]:
        """What it is about: equal for the same advice on another day."""
        return self.kind, self.feature, self.current, self.recommended


def score_of(*, share_low: float, quality: float, stability: float) -> int:
    """0 to 100: 40 for the saving, 30 for the quality and 30 for the stability.

    `share_low` is the lower bound of the saving as a share of what the feature costs now; `quality` where the lower
    bound of the difference lies, 0 at a loss of the margin and 1 at a gain of it or where answers do not change;
    `stability` is the share of resamplings in which the answer stays. Each is cut to [0, 1]. Where a loss beyond the
    margin is not ruled out (`quality` of 0 or less; only the last resort of a budget is so) the score is half of that.

    >>> score_of(share_low=0.5, quality=0.5, stability=0.9)
    62
    """
    parts = {"saving": share_low, "quality": quality, "stability": stability}
    whole = sum(WEIGHTS[name] * min(1.0, max(0.0, part)) for name, part in parts.items())
    return round(whole if quality > 0 else whole / 2)


def impact_of(savings: Savings) -> Impact:
    """High when surely a fifth or more of what the feature costs now is saved, medium from a twentieth on."""
    surely = savings.of_bill(savings.share_low)
    if surely >= HIGH_SHARE:
        return "high"
    return "medium" if surely >= MEDIUM_SHARE else "low"


def kind_of_change(current: str, recommended: str) -> Kind:
    """Of one model for another: the same model at another provider is a provider switch; a route is none.

    >>> kind_of_change("openai/gpt-4o", "azure/gpt-4o"), kind_of_change("openai/gpt-4o", "openai/gpt-4o-mini")
    ('provider_switch', 'model_substitution')
    """
    provider, _, name = current.partition("/")
    other, _, other_name = recommended.partition("/")
    same = name.rpartition("/")[2] == other_name.rpartition("/")[2]
    switched = same and provider != other and not recommended.startswith(ROUTED)
    return "provider_switch" if switched else "model_substitution"


Reason = Literal[
    "requirement",  # beyond a hard limit
    "retired",
    "price_missing",
    "over_budget",
    "dominated",  # another one is as good in everything and better in something
    "inferior",  # shown to be worse than the margin allows
    "not_shown",  # neither shown to be within the margin nor beyond it: more cases would say
    "guardrail",  # beyond a guardrail, or not shown to be within it
    "no_gain",  # neither surely cheaper nor surely better
]
"""Why a model is not recommended."""
Role = Literal["in_use", "recommended"] | Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A model that was not recommended, and why."""

    model: str
    reason: Reason
    why: str
    would_do: str = ""
    """What would change it; empty where nothing would."""
    needed_n: int | None = None
    """Cases with which the test would have its planned power, were the model as good as it was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One model as it was measured, and what became of it: a line of the table beside an answer."""

    model: str
    role: Role
    level: float | None
    """Mean of the primary metric."""
    effect: Estimate | None
    """Beside the reference, positive is better."""
    cost_per_request: Decimal | None
    """US dollars, of the cases."""
    monthly_cost: Decimal | None
    """At the measured volume."""
    p95_latency_ms: float | None
    error_rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The answer to one question about one feature."""

    mode: Mode
    feature: str
    incumbent: str | None
    """The model in use; None where there is none."""
    recommendations: tuple[Recommendation, ...]
    """The best first; empty: keep what is in use."""
    excluded: tuple[Exclusion, ...]
    compared: tuple[Compared, ...] = ()
    """Every model that the question was about, the reference first."""
    keep: str = ""
    """Why nothing should change, in one sentence; empty where something should."""
    needed_n: int | None = None
    """The fewest cases that would change the answer, were a candidate as good as it was measured; None where something
    is recommended, or no number of cases would."""
    stability: Stability | None = None
    """Of the first recommendation, or of keeping what is in use."""
    n: int = 0
    """Cases."""

    @property
    def best(self) -> Recommendation | None:
        return self.recommendations[0] if self.recommendations else None
