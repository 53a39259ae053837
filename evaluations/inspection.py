"""One production request as it is looked into: what it was, where its time went, what it cost and by which prices."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from evaluations.pricing import FEES, PRICED_AS, PriceRow, Prices, TokenClass, costs
from evaluations.rollups import Restatement
from evaluations.traces import Step, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a request said of itself; None is what it did not say."""

    id: int
    source: str
    external_id: str
    at: datetime
    feature: str
    category: str | None = None
    provider: str | None = None
    model: str | None = None
    """As the feature asked for it, without its provider; None where no model took part."""
    model_returned: str | None = None
    prompt_version: str | None = None
    project: str | None = None
    environment: str | None = None
    region: str | None = None
    service_tier: str | None = None
    language: str | None = None
    experiment: str | None = None
    variant: str | None = None
    ticket: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    status: str | None = None
    """success or error."""
    error_type: str | None = None
    error_message: str | None = None
    latency_ms: float | None = None
    """From the request to its end, as the user had to wait."""
    processing_ms: float | None = None
    """The model alone, without queue, retries and own work."""
    first_token_ms: float | None = None
    tokens: Mapping[TokenClass, int] = field(default_factory=dict)
    """Disjoint classes; those without tokens are left out."""
    usage_known: bool = False
    cache_hit: bool | None = None
    cost: Decimal | None = None
    """US dollars."""
    cost_source: str | None = None
    """priced: by a set of prices; stated: the log said what was paid."""
    reported_cost: Decimal | None = None
    """What the tool that wrote the log reckoned."""
    rating: int | None = None
    comment: str | None = None
    quality: float | None = None
    confidence: float | None = None
    sentiment: float | None = None
    resolution: str | None = None
    handled_by: str | None = None
    escalation_reason: str | None = None
    turns: int | None = None
    file: str
    """The file it came from; its batch's number and when that was read stand below."""
    batch_id: int
    recorded_at: datetime
    sample_data: bool = False
    """Made up for demonstration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceUsed:
    """The set of prices that a request was priced by, and the dated rows that they were taken from."""

    model: str
    """The name under which the prices stand, provider included."""
    by_class: Mapping[TokenClass, tuple[tuple[int, Decimal], ...]]
    """Class -> (tokens beyond which it holds, US dollars a token), ascending."""
    since: datetime
    """When the set was used for the first time."""
    rows: tuple[PriceRow, ...] = ()
    """Every row that there is for the model, in the order in which they were added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """What the tokens of one class cost."""

    token_class: TokenClass
    tokens: int
    """Calls, for a fee by the piece."""
    priced_as: TokenClass
    """Whose price was taken: a class without one of its own costs what another does."""
    per_token: Decimal | None
    """US dollars; None when it was not priced by token."""
    cost: Decimal | None
    row: PriceRow | None
    """The dated row that has this price on the day of the request; None when no row says it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Another request of the same trace."""

    id: int
    at: datetime
    model: str | None
    status: str | None
    latency_ms: float | None
    cost: Decimal | None
    span_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """All that is known of one request."""

    request: Request
    trace: Trace
    """Without steps where none were recorded."""
    spans_left_out: int
    """Steps of the trace beyond those that are looked at."""
    price: PriceUsed | None
    neighbours: tuple[Neighbour, ...]
    restatements: tuple[Restatement, ...]
    """Of the day it lies in, the latest first."""
    as_of: datetime

    @property
    def own_step(self) -> Step | None:
        """The step of the trace that is the request itself."""
        span_id = self.request.span_id
        return next((step for step in self.trace.steps if span_id is not None and step.span.id == span_id), None)

    def cost_lines(self) -> tuple[CostLine, ...]:
        """The cost by class of tokens; the costs that are known add up to the request's.

        A request whose cost was stated, or is unknown, has its tokens and no prices.
        """
        priced = self.price if self.request.cost_source == "priced" else None
        if priced is None:
            return tuple(
                CostLine(token_class=each, tokens=count, priced_as=each, per_token=None, cost=None, row=None)
                for each, count in self.request.tokens.items()
            )
        prices = Prices(model=priced.model, on=self.request.at.date(), by_class=priced.by_class)
        parts = costs(self.request.tokens, prices) or {}
        return tuple(_line(each, cost, self.request, priced) for each, cost in parts.items())


def _line(token_class: TokenClass, cost: Decimal, request: Request, priced: PriceUsed) -> CostLine:
    tokens = request.tokens.get(token_class, 1 if token_class in FEES else 0)
    priced_as = _priced_as(token_class, priced.by_class)
    per_token = cost / tokens
    return CostLine(
        token_class=token_class,
        tokens=tokens,
        priced_as=priced_as,
        per_token=per_token,
        cost=cost,
        row=_row_of(priced_as, per_token, request.at.date(), priced.rows),
    )


def _priced_as(token_class: TokenClass, by_class: Mapping[TokenClass, object]) -> TokenClass:
    found: TokenClass | None = token_class
    while found is not None and found not in by_class:
        found = PRICED_AS.get(found)
    return found or token_class


def _row_of(token_class: TokenClass, per_token: Decimal, day: date, rows: Iterable[PriceRow]) -> PriceRow | None:
    """The latest row that says this price of the class on that day."""
    said = [row for row in rows if row.token_class == token_class and row.per_token == per_token and row.holds_on(day)]
    return max(said, key=lambda row: row.effective_from, default=None)
