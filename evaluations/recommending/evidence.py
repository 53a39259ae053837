"""What a recommendation stands on: what models offer, what was measured of them on the same cases, and the workload."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import sqrt
from typing import TYPE_CHECKING, Self

from evaluations.errors import AssayError, unknown_name
from evaluations.pricing import Prices, TokenClass, costs
from evaluations.roi import DAYS_A_MONTH
from evaluations.wording import count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class UnknownModel(AssayError):
    """A model was named that nothing is known of."""


class RetiredModel(AssayError):
    """A model was named that its provider no longer serves."""


class PriceMissing(AssayError):
    """A cost has to be known, and a price is not."""


class NoIncumbentData(AssayError):
    """Nothing was measured of the model in use, so that nothing can be held against it."""


class NothingFeasible(AssayError):
    """No choice meets all requirements; the message says which requirement would have to give, and by how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a model offers, as its provider or a probe says. None: nobody said, and it is not taken for enough."""

    model: str
    """Provider and name: "openai/gpt-4o-mini"."""
    capabilities: frozenset[str] = frozenset()
    context_tokens: int | None = None
    output_tokens: int | None = None
    regions: frozenset[str] | None = None
    retired: bool = False
    deprecated_on: str | None = None
    """ISO date of the announced end."""

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Hard limits: a model beyond one of them is not considered, however good it is. None or empty: no limit."""

    capabilities: frozenset[str] = frozenset()
    context_tokens: int | None = None
    output_tokens: int | None = None
    region: str | None = None
    providers: frozenset[str] | None = None
    """Allowed ones."""
    p95_latency_ms: float | None = None
    """Within it must lie the whole interval of the 95th percentile."""
    error_rate: float | None = None
    """Within it must lie the whole interval of the share of failed calls, as a fraction."""
    cost_per_request: Decimal | None = None
    """US dollars, on average over the cases; as long as requests of production, where they are brought to it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What was measured of one model. All models of a question have the same cases in the same order."""

    model: str
    values: "Mapping[str, Floats]"
    """By metric, the mean over a case's repeats, shape (cases,), NaN where there is none."""
    costs: Sequence[Decimal | None]
    """US dollars of a call of each case, the mean over its repeats; None where it is unknown."""
    latencies_ms: "Floats | None" = None
    """Of the calls that answered, any order, shape (calls,)."""
    calls: int = 0
    errors: int = 0
    """Of the calls, those that failed."""

    @property
    def priced(self) -> int:
        return sum(cost is not None for cost in self.costs)

    @property
    def cost_per_request(self) -> Decimal | None:
        """Mean over the priced cases; None without one."""
        known = [cost for cost in self.costs if cost is not None]
        return sum(known, Decimal(0)) / len(known) if known else None

    def level(self, metric: str) -> float | None:
        """The mean of a metric over the cases that have a value; None where none has."""
        import numpy as np

        values = self.values.get(metric)
        return None if values is None or np.isnan(values).all() else float(np.nanmean(values))

    @property
    def p95_latency_ms(self) -> float | None:
        import numpy as np

        return None if self.latencies_ms is None or not self.latencies_ms.size else float(
            np.quantile(self.latencies_ms, 0.95)
        )  # fmt: skip

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.calls if self.calls else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """How much a feature asks in a month, or what one model serves of it, as it was measured."""

    feature: str
    requests: float
    """In a month, a twelfth of a year. Measured of one model: those whose cost is known."""
    requests_low: float
    requests_high: float
    """The 95% interval of the mean over days; as it was, not as it will be."""
    cost_per_request: Decimal | None = None
    """US dollars of the model in use, measured in production; None: that of the cases stands for it."""
    days: int = 0
    """Measured ones."""
    simulated: bool = False
    of_feature: float | None = None
    """Requests a month of the whole feature, where this is what one model serves of it; None: it is all of it."""
    unpriced: float = 0.0
    """Requests a month beside these whose cost nobody knows: in no amount; a budget takes them for like the rest."""
    others: Decimal = Decimal(0)
    """US dollars a month that other models cost the feature: no change of this one touches them."""
    others_high: Decimal = Decimal(0)
    """At the upper end of the volume."""

    @classmethod
    def of_days(
        cls,
        feature: str,
        requests_by_day: Sequence[int],
        *,
        cost_per_request: Decimal | None = None,
        simulated: bool = False,
    ) -> Self:
        """A month at the mean of the days given, days without a request included as 0.

        Student's interval over days, not below 0; one day alone has no interval and counts from 0 to twice as many.
        Raises ValueError without a day.

        >>> month = Workload.of_days("chat", [100, 120, 80, 110, 90, 100, 100])
        >>> round(month.requests), round(month.requests_low), round(month.requests_high)
        (3044, 2680, 3407)
        """
        from scipy.special import stdtrit

        n = len(requests_by_day)
        if not n:
            raise ValueError("a workload is measured on one day or more")
        mean = sum(requests_by_day) / n
        if n == 1:
            half = mean
        else:
            variance = sum((day - mean) ** 2 for day in requests_by_day) / (n - 1)
            half = float(stdtrit(n - 1, 0.975)) * sqrt(variance / n)
        month = float(DAYS_A_MONTH)
        return cls(
            feature=feature,
            requests=mean * month,
            requests_low=max(0.0, mean - half) * month,
            requests_high=(mean + half) * month,
            cost_per_request=cost_per_request,
            days=n,
            simulated=simulated,
        )

    def monthly(self, per_request: Decimal) -> Decimal:
        """US dollars a month at this cost per request."""
        return per_request * Decimal(repr(self.requests))

    @property
    def counted(self) -> tuple[str, ...]:
        """What of the feature its amounts are about, in sentences; none where they are about all of it."""
        said = []
        if self.of_feature is not None and not self.requests:
            said.append(
                "none of its requests of these days has a known cost, so no saving is told; `assay reprice` finds costs"
                if round(self.unpriced)
                else "it served no request of these days, so nothing is saved yet: --requests says how many it will "
                f"serve ({count(round(self.of_feature))} a month go to others)"
            )
        elif self.of_feature is not None and round(self.requests + self.unpriced) < round(self.of_feature):
            said.append(
                f"only what it serves is counted: {count(round(self.requests))} of "
                f"{count(round(self.of_feature))} requests a month; the others stay as they are"
            )
        if round(self.unpriced):
            said.append(f"{count(round(self.unpriced))} requests a month without a known cost are in no amount")
        return tuple(said)


def repriced(tokens: Sequence[Mapping[TokenClass, int]], prices: Prices | None) -> tuple[Decimal | None, ...]:
    """What calls of these tokens would cost under other prices: where a candidate's own replies were not measured.

    It is an assumption that the candidate would write as much; say so beside the number.
    """
    found: list[Decimal | None] = []
    for call in tokens:
        parts = costs(call, prices)
        found.append(None if parts is None else sum(parts.values(), Decimal(0)))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bench:
    """Everything that a question about one feature is answered from."""

    evidence: tuple[Evidence, ...]
    """One for each measured model, the one in use among them."""
    offers: Mapping[str, Offer] = field(default_factory=dict)
    """By model. A model without one offers what nobody knows: it fails every requirement about offers."""
    clusters: Sequence[object] | None = None
    """What case belongs with what, one for each case; None: all are independent."""
    shaped_by: int = 0
    """Requests of production whose lengths of prompts and replies the costs of cases were brought to; 0: a case costs
    what it does."""

    def __post_init__(self) -> None:
        names = [each.model for each in self.evidence]
        if len(set(names)) != len(names):
            raise ValueError(f"each model is measured once; got {names}")
        sizes = {len(each.costs) for each in self.evidence} | {
            int(values.size) for each in self.evidence for values in each.values.values()
        }
        if len(sizes) > 1:
            raise ValueError(f"all models have the same cases; got {sorted(sizes)}")

    def of(self, model: str) -> Evidence:
        """Raises UnknownModel for one that was not measured."""
        for each in self.evidence:
            if each.model == model:
                return each
        raise UnknownModel(unknown_name("measured model", model, [each.model for each in self.evidence]))

    def offer(self, model: str) -> Offer:
        return self.offers.get(model, Offer(model=model))
