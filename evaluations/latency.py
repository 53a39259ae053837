"""Latency of measured requests: queue, first token, between tokens and total apart; throughput; open-loop arrivals.

A failed request has no latency: it is counted beside the numbers, for a provider that refuses nine of ten requests is
fast on the tenth.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from evaluations.estimates import Estimate
from evaluations.statistics.means import mean_interval
from evaluations.statistics.proportions import wilson
from evaluations.statistics.quantiles import quantile_ranks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

QUANTILES: Final = (0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
BOUNDS: Final = "order statistics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long one request took. What was not measured is None; a request that failed says its `error`."""

    total_ms: float | None = None
    """From sending to the last token, without our own queue."""
    queue_ms: float | None = None
    """In our own queue, before it was sent."""
    first_token_ms: float | None = None
    """From sending to the first token."""
    between_tokens_ms: float | None = None
    """Mean gap between tokens; None takes it from total, first token and `output_tokens`."""
    output_tokens: int | None = None
    tokens_per_second: float | None = None
    """Of this request; None takes it from `output_tokens` and total."""
    error: str | None = None
    """A code or a word to count by, e.g. "429"; None when the request succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """One quantile with its bounds, in the unit of the values."""

    q: float
    value: float
    """Between two values it lies on the line that joins them."""
    low: float | None
    high: float | None
    """Two of the values that hold the quantile with the stated confidence; None where n is too small for both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How the values of some requests are spread."""

    n: int
    missing: int
    """Requests that succeeded and did not tell this."""
    mean: Estimate | None
    """With Student's interval; None below two values."""
    sd: float | None
    """The sample's standard deviation; None below two values."""
    least: float | None
    most: float | None
    quantiles: tuple[Quantile, ...]
    """Of QUANTILES; none without values."""

    def at(self, q: float) -> Quantile | None:
        """The quantile q of QUANTILES; None without values. Raises ValueError for another q."""
        if q not in QUANTILES:
            raise ValueError(f"quantiles are kept at {', '.join(map(str, QUANTILES))}; got {q}")
        return next((each for each in self.quantiles if each.q == q), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What some requests took; every spread is over those that succeeded, in milliseconds unless it says otherwise."""

    requests: int
    failed: Estimate | None
    """The share of requests that failed; None without requests."""
    errors: Mapping[str, int]
    """How often each error came, the commonest first."""
    queue: Spread
    first_token: Spread
    between_tokens: Spread
    total: Spread
    tokens_per_second: Spread
    """Of single requests: what one reader sees."""
    output_tokens: int
    """Of the requests that succeeded and told it."""
    seconds: float | None
    """How long the whole measurement took, where it was told."""

    @property
    def requests_per_second(self) -> float | None:
        """Requests that succeeded in each second of the measurement."""
        done = self.requests - sum(self.errors.values())
        return done / self.seconds if self.seconds else None

    @property
    def throughput(self) -> float | None:
        """Tokens that all requests together brought in each second of the measurement."""
        return self.output_tokens / self.seconds if self.seconds else None


def latency(timings: Sequence[Timing], *, seconds: float | None = None, confidence: float = 0.95) -> Latency:
    """The spreads of some requests, with the share that failed. `seconds` is how long the measurement took.

    Raises ValueError for a time that is negative or not finite.
    Source: quantiles: Hyndman & Fan (1996), "Sample Quantiles in Statistical Packages", The American Statistician
    50(4), definition 7; their bounds: Hahn & Meeker (1991), "Statistical Intervals", section 5.2.

    >>> timings = [Timing(total_ms=1000.0 + n, first_token_ms=200.0, output_tokens=101) for n in range(100)]
    >>> found = latency([*timings, Timing(error="429")], seconds=50)
    >>> print(f"p50 {found.total.at(0.5).value:.1f} ms, {found.between_tokens.mean.value:.2f} ms a token")
    p50 1049.5 ms, 8.49 ms a token
    >>> found.failed.n, found.errors, found.requests_per_second
    (101, {'429': 1}, 2.0)
    """
    if seconds is not None and not seconds > 0:
        raise ValueError(f"a measurement takes some time; got {seconds} seconds")
    good = [each for each in timings if each.error is None]
    codes = Counter(each.error for each in timings if each.error is not None)

    def over(values: Sequence[float | None]) -> Spread:
        return spread(values, confidence=confidence)

    return Latency(
        requests=len(timings),
        failed=wilson(codes.total(), len(timings), confidence) if timings else None,
        errors=dict(sorted(codes.items(), key=lambda item: (-item[1], item[0]))),
        queue=over([each.queue_ms for each in good]),
        first_token=over([each.first_token_ms for each in good]),
        between_tokens=over([_between(each) for each in good]),
        total=over([each.total_ms for each in good]),
        tokens_per_second=over([_speed(each) for each in good]),
        output_tokens=sum(each.output_tokens or 0 for each in good),
        seconds=seconds,
    )


def spread(values: "Sequence[float | None] | Floats", *, confidence: float = 0.95) -> Spread:
    """How values are spread; None and NaN are counted as missing. Raises ValueError for negative or infinite ones."""
    import numpy as np

    given = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    known = np.sort(given[~np.isnan(given)])
    if known.size and (known[0] < 0 or not np.isfinite(known[-1])):
        raise ValueError("times and rates are finite and not negative; what was not measured is None")
    two = known.size > 1
    return Spread(
        n=int(known.size),
        missing=int(given.size - known.size),
        mean=mean_interval(known, confidence) if two else None,
        sd=float(known.std(ddof=1)) if two else None,
        least=float(known[0]) if known.size else None,
        most=float(known[-1]) if known.size else None,
        quantiles=tuple(_quantile(known, q, confidence) for q in QUANTILES) if known.size else (),
    )


def _quantile(rising: "Floats", q: float, confidence: float) -> Quantile:
    import numpy as np

    ranks = quantile_ranks(rising.size, q, confidence)
    low, high = (float(rising[rank - 1]) for rank in ranks) if ranks else (None, None)
    return Quantile(q=q, value=float(np.quantile(rising, q)), low=low, high=high)


def _between(timing: Timing) -> float | None:
    if timing.between_tokens_ms is not None:
        return timing.between_tokens_ms
    if timing.total_ms is None or timing.first_token_ms is None or (timing.output_tokens or 0) < 2:
        return None
    assert timing.output_tokens is not None
    return (timing.total_ms - timing.first_token_ms) / (timing.output_tokens - 1)


def _speed(timing: Timing) -> float | None:
    if timing.tokens_per_second is not None:
        return timing.tokens_per_second
    if not timing.total_ms or timing.output_tokens is None:
        return None
    return timing.output_tokens / timing.total_ms * 1000


# Open-loop arrivals


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """Requests that were due by a schedule of their own, whether those before were answered or not."""

    requests: int
    offered_per_second: float | None
    """By the schedule; None below two requests."""
    completed_per_second: float | None
    """Between the first due moment and the last answer."""
    gap_variation: float | None
    """Standard deviation of the gaps over their mean: about 1 for Poisson arrivals, 0 for a metronome."""
    late: Spread
    """From when a request was due until it was sent, ms: the client's own fault, or its limit on requests at once."""
    waited: Spread
    """From when it was due until its answer, ms: what somebody waited who came at that moment."""
    at_once: float | None
    """Requests under way on average (Little's law)."""
    most_at_once: int


def open_loop(
    due_ms: "Sequence[float] | Floats",
    sent_ms: "Sequence[float] | Floats",
    total_ms: "Sequence[float] | Floats",
    *,
    confidence: float = 0.95,
) -> OpenLoop:
    """What a schedule of arrivals met; all of shape (requests,), in ms, `total_ms` from sending to the answer.

    Measured from when requests were sent, a client that waits for slow answers leaves out those that would have waited
    most ("coordinated omission"); `waited` begins when they were due.
    Raises ValueError if shapes differ, a time is not finite, or a request was sent before it was due.
    Source: Schroeder, Wierman & Harchol-Balter (2006), "Open Versus Closed: A Cautionary Tale", NSDI; Little (1961),
    "A Proof for the Queuing Formula L = λW", Operations Research 9(3).

    >>> found = open_loop([0, 100, 200, 300], [0, 100, 250, 350], [150, 150, 100, 50])
    >>> found.offered_per_second, found.completed_per_second, found.waited.most, found.most_at_once
    (10.0, 10.0, 150.0, 2)
    """
    import numpy as np

    due, sent, took = (np.asarray(each, dtype=np.float64) for each in (due_ms, sent_ms, total_ms))
    if not due.shape == sent.shape == took.shape or due.ndim != 1:
        raise ValueError(f"each request was due, sent and answered once; got {due.shape}, {sent.shape}, {took.shape}")
    if not all(np.isfinite(each).all() for each in (due, sent, took)):
        raise ValueError("moments are finite; leave out requests that were not answered and count them")
    if (sent < due).any():
        raise ValueError("a request is not sent before it is due")
    order = np.argsort(due, kind="stable")
    due, sent, took = due[order], sent[order], took[order]
    gaps, ends = np.diff(due), sent + took
    many = due.size > 1 and due[-1] > due[0]
    span = float(ends.max() - due[0]) if due.size else 0.0
    return OpenLoop(
        requests=int(due.size),
        offered_per_second=float(1000 / gaps.mean()) if many else None,
        completed_per_second=float(1000 * due.size / span) if span > 0 else None,
        gap_variation=float(gaps.std(ddof=1) / gaps.mean()) if many and gaps.size > 1 else None,
        late=spread(sent - due, confidence=confidence),
        waited=spread(ends - due, confidence=confidence),
        at_once=float(took.sum() / span) if span > 0 else None,
        most_at_once=_most_at_once(sent, ends),
    )


def _most_at_once(sent: "Floats", ends: "Floats") -> int:
    import numpy as np

    moments = np.concatenate([sent, ends])
    steps = np.concatenate([np.ones(sent.size), -np.ones(ends.size)])
    # An answer that comes as another request is sent makes room for it.
    order = np.lexsort((steps, moments))
    return int(np.cumsum(steps[order]).max(initial=0))


def poisson_schedule(per_second: float, requests: int, generator: "np.random.Generator") -> "Floats":
    """When requests are due that come independently of each other, in ms from the start, shape (requests,).

    Raises ValueError unless the rate is positive and the number not negative.
    """
    if not per_second > 0 or requests < 0:
        raise ValueError(f"a schedule needs a positive rate and a number of requests; got {per_second}, {requests}")
    due: Floats = generator.exponential(1000 / per_second, requests).cumsum()
    return due
