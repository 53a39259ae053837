"""Latency histograms that add up: quantiles over any window come from merged counts, never from averaged quantiles.

There is one table of edges, made of integers, so that Postgres (`width_bucket`) and Python (`searchsorted`) put every
value into the same bucket; logarithms computed in two places would disagree at the boundaries. Edges grow by a
fiftieth, and a bucket is told by the value that is nearest to both of its ends in proportion: an answer is at most
1 % off.

Encoded, a histogram is a string of pairs, bucket (2 bytes) and count (4 bytes), most significant byte first. Two
encoded histograms put one behind the other are their sum, so a database merges thousands of them by joining strings.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluations.estimates import Estimate
from evaluations.statistics.proportions import normal_quantile

LONGEST_US = 30 * 24 * 3600 * 1_000_000
"""What takes longer than thirty days is counted in the last bucket."""
RELATIVE_ERROR = 0.01
"""A quantile is at most this far from the exact one, in proportion, from 50 microseconds up; below, a microsecond."""


def _generated() -> tuple[int, ...]:
    """Edges in microseconds: each the one before plus a fiftieth, rounded down, and at least one more."""
    edges = [0]
    while edges[-1] < LONGEST_US:
        edges.append(max(edges[-1] + 1, edges[-1] * 51 // 50))
    return tuple(edges)


EDGES: tuple[int, ...] = _generated()
"""Where buckets begin, in microseconds, ascending. Bucket n, from 1 as Postgres counts, is [EDGES[n-1], EDGES[n])."""
_EDGES = np.array(EDGES, dtype=np.float64)
_PAIR = np.dtype([("bucket", ">u2"), ("count", ">u4")])
MOST_IN_A_PAIR = 2**32 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How many latencies fell into each bucket."""

    counts: NDArray[np.int64]
    """One count for each edge of the table, in its order, shape (len(EDGES),)."""

    @property
    def n(self) -> int:
        """How many latencies were counted."""
        return int(self.counts.sum())

    def __add__(self, other: "Histogram") -> "Histogram":
        return Histogram(self.counts + other.counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and bool(np.array_equal(self.counts, other.counts))

    def __hash__(self) -> int:
        return hash(self.counts.tobytes())

    def quantile(self, share: float) -> float | None:
        """The latency in milliseconds that a share of all stays within; None when nothing was counted.

        It is the smallest latency with at least that share at or below it, as `percentile_disc` has it, to within
        RELATIVE_ERROR. Raises ValueError if the share is not in [0, 1].

        >>> calls = of_latencies([100.0] * 98 + [2000.0] * 2)
        >>> print(f"{calls.quantile(0.5):.1f} {calls.quantile(0.99):.1f}")
        99.1 2010.8
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a share has to be between 0 and 1, not {share}")
        if not self.n:
            return None
        # Rounded first: 0.07 * 100 is more than 7 in floating point, and would be the eighth.
        rank = max(1, int(np.ceil(round(share * self.n, 9))))
        at = int(np.searchsorted(np.cumsum(self.counts), rank))
        return _MIDDLES[at]

    def estimate(self, share: float, confidence: float = 0.95) -> Estimate | None:
        """A quantile in milliseconds with its interval; None when nothing was counted.

        The interval lies between two of the latencies in their order, whatever their distribution; its ranks are those
        of the normal approximation to the binomial. `high` is infinite where too few latencies lie beyond the quantile
        to bound it: below about 380 for the 99th percentile at 95 %.
        Source: Conover (1999), Practical Nonparametric Statistics, section 3.2.

        >>> calls = of_latencies([float(n) for n in range(1, 1001)])
        >>> median = calls.estimate(0.5)
        >>> print(f"{median.value:.0f} [{median.low:.0f}, {median.high:.0f}] n={median.n}")
        503 [474, 534] n=1000
        """
        value, n = self.quantile(share), self.n
        if value is None:
            return None
        half = normal_quantile(confidence) * math.sqrt(share * (1 - share) / n)
        low = self.quantile(max(0.0, share - half))
        high = self.quantile(share + half) if share + half < 1 else math.inf
        assert low is not None
        assert high is not None
        return Estimate(
            value=value, low=low, high=high, n=n, confidence=confidence, method="interval between order statistics"
        )

    def share_within(self, milliseconds: float) -> float | None:
        """About which share of all took no longer; the bucket that the limit falls into counts as within it."""
        if not self.n:
            return None
        return int(self.counts[: _bucket_of(milliseconds)].sum()) / self.n

    def encoded(self) -> bytes:
        """As pairs, ascending, without empty buckets. Raises OverflowError for a count of more than 4 bytes."""
        filled = np.flatnonzero(self.counts)
        if filled.size and self.counts.max() > MOST_IN_A_PAIR:
            raise OverflowError(f"a bucket holds {self.counts.max():,} latencies; {MOST_IN_A_PAIR:,} can be written")
        pairs = np.empty(filled.size, dtype=_PAIR)
        pairs["bucket"], pairs["count"] = filled + 1, self.counts[filled]
        return pairs.tobytes()


def of_latencies(milliseconds: Sequence[float] | NDArray[np.float64]) -> Histogram:
    """The histogram of latencies, shape (n,). Raises ValueError if one is negative or not finite."""
    given = np.asarray(milliseconds, dtype=np.float64)
    if not np.isfinite(given).all() or (given < 0).any():
        raise ValueError("latencies have to be finite and not negative")
    return Histogram(np.bincount(_buckets_of(given) - 1, minlength=len(EDGES)).astype(np.int64))


def decoded(pairs: bytes) -> Histogram:
    """What `encoded` or the database wrote; also several of them, one behind the other, as their sum.

    Raises ValueError if the bytes are no such pairs.
    """
    if len(pairs) % _PAIR.itemsize:
        raise ValueError(f"{len(pairs)} bytes are no histogram: a pair takes {_PAIR.itemsize}")
    read = np.frombuffer(pairs, dtype=_PAIR)
    buckets = read["bucket"].astype(np.int64)
    if buckets.size and (buckets.min() < 1 or buckets.max() > len(EDGES)):
        raise ValueError(f"a histogram has buckets 1 to {len(EDGES)}, not {buckets.min()} to {buckets.max()}")
    # Summed as floating-point numbers, which are whole up to 2 ** 53.
    counts = np.bincount(buckets - 1, weights=read["count"], minlength=len(EDGES))
    return Histogram(counts.astype(np.int64))


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """The sum of any number of histograms; of none, the empty one."""
    total = np.zeros(len(EDGES), dtype=np.int64)
    for each in histograms:
        total += each.counts
    return Histogram(total)


def _buckets_of(milliseconds: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.searchsorted(_EDGES, milliseconds * 1000.0, side="right").astype(np.int64)


def _bucket_of(milliseconds: float) -> int:
    return int(_buckets_of(np.array([milliseconds]))[0])


def _middles() -> tuple[float, ...]:
    """For each bucket the latency in milliseconds that stands for it: the harmonic mean of its edges.

    No other value is as near, in proportion, to both ends. The last bucket has one end only.
    """
    low, high = _EDGES[:-1], _EDGES[1:]
    return (*(2 * low * high / (low + high) / 1000.0).tolist(), float(_EDGES[-1]) / 1000.0)


_MIDDLES = _middles()
EMPTY = Histogram(np.zeros(len(EDGES), dtype=np.int64))
"""Of nothing."""
EMPTY.counts.flags.writeable = False
