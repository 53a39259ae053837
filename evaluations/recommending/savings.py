"""What a change saves in a month at the measured volume, from the share of the cost that it saves."""

from decimal import Decimal

from evaluations.recommending.evidence import Workload
from evaluations.recommending.recommendation import Savings


def savings_of(
    workload: Workload, per_request: Decimal, *, share: Decimal, low: float, high: float, n: int, basis: str
) -> Savings:
    """`share` of the cost is saved, with its interval from `low` to `high`; negative shares cost more.

    The ends take the ends of the share and of the volume together, whichever is worse or better: they are at least as
    far apart as an interval of both would be. `per_request` is what a request costs now, in US dollars.

    >>> month = Workload(feature="chat", requests=1000, requests_low=900, requests_high=1100)
    >>> found = savings_of(month, Decimal("0.01"), share=Decimal("0.5"), low=0.4, high=0.6, n=50, basis="")
    >>> [f"{each:.2f}" for each in (found.low, found.point, found.high)]
    ['3.60', '5.00', '6.60']
    """

    def of(volume: float, saved: float) -> Decimal:
        return Decimal(repr(volume)) * per_request * Decimal(repr(saved))

    now = workload.monthly(per_request)
    point = now * share
    return Savings(
        # The point is exact, its ends are not: where they meet it, they would miss it by a last digit.
        low=min(point, of(workload.requests_low if low >= 0 else workload.requests_high, low)),
        point=point,
        high=max(point, of(workload.requests_high if high >= 0 else workload.requests_low, high)),
        now=now,
        share_low=low,
        share=float(share),
        share_high=high,
        n=n,
        basis=basis,
        bill=now + workload.others,
    )
