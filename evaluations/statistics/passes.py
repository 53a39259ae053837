"""pass@k and pass^k: how often at least one, or every one, of k answers to a case passes.

With n answers of which c pass, drawing k of the n without replacement gives estimates without bias;
plugging the pass rate into 1 - (1 - p)^k or p^k would not. Both are exact ratios of binomial coefficients.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import comb, fsum


@dataclass(frozen=True, slots=True, kw_only=True)
class PassMean:
    """A mean of pass@k or pass^k over cases."""

    k: int
    value: float | None
    """In [0, 1]; None when no case has k judged answers."""
    cases: int
    """Cases in the mean."""
    left_out: int
    """Cases with fewer than k judged answers: counted here, and not in the mean."""


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that at least one of k answers passes: 1 - C(n - c, k) / C(n, k).

    `n` answers were judged and `c` of them pass. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    Source: Chen et al. (2021), "Evaluating Large Language Models Trained on Code", equation 1.

    >>> pass_at_k(5, 2, 1), pass_at_k(5, 2, 3), pass_at_k(5, 2, 4)
    (0.4, 0.9, 1.0)
    """
    _check(n, c, k)
    return (comb(n, k) - comb(n - c, k)) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """The chance that all of k answers pass: C(c, k) / C(n, k).

    `n` answers were judged and `c` of them pass. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    Source: Yao et al. (2024), "tau-bench: A Benchmark for Tool-Agent-User Interaction", section 4.

    >>> pass_hat_k(5, 4, 1), pass_hat_k(5, 4, 2), pass_hat_k(5, 4, 5)
    (0.8, 0.6, 0.0)
    """
    _check(n, c, k)
    return comb(c, k) / comb(n, k)


def mean_pass_at_k(cases: Mapping[tuple[int, int], int], k: int) -> PassMean:
    """pass@k averaged over cases, from how many cases have (n judged, c passed) answers.

    >>> mean_pass_at_k({(5, 2): 3, (2, 1): 1}, k=3)
    PassMean(k=3, value=0.9, cases=3, left_out=1)
    """
    return _mean(cases, k, pass_at_k)


def mean_pass_hat_k(cases: Mapping[tuple[int, int], int], k: int) -> PassMean:
    """pass^k averaged over cases, from how many cases have (n judged, c passed) answers."""
    return _mean(cases, k, pass_hat_k)


def _mean(cases: Mapping[tuple[int, int], int], k: int, estimate: Callable[[int, int, int], float]) -> PassMean:
    counted = {nc: times for nc, times in cases.items() if nc[0] >= k}
    total = sum(counted.values())
    # fsum: the mean may not depend on the order in which the cases were counted.
    value = fsum(times * estimate(n, c, k) for (n, c), times in counted.items()) / total if total else None
    return PassMean(k=k, value=value, cases=total, left_out=sum(cases.values()) - total)


def _check(n: int, c: int, k: int) -> None:
    if not 0 <= c <= n:
        raise ValueError(f"passed answers lie between 0 and n; got {c} of {n}")
    if not 1 <= k <= n:
        raise ValueError(f"k lies between 1 and n = {n} judged answers; got {k}")
