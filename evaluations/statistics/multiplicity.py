"""Many tests at once: adjusted p-values, the level each interval needs, and the families in which both are counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Correction = Literal["none", "bonferroni", "holm", "hochberg", "bh", "by"]
"""bonferroni, holm and hochberg hold the chance of any false alarm in the family (Hochberg where the tests are not
negatively dependent); bh and by (Benjamini with Hochberg, and with Yekutieli) hold the expected share of false ones
among the alarms."""
CORRECTIONS: tuple[Correction, ...] = get_args(Correction)
Scope = Literal["whole", "metric", "variant"]
"""What makes a family: all tests, those of one metric (over the variants), or those of one variant (over metrics)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """One test in its family."""

    p: float | None
    """Adjusted, in [0, 1]; None where there was no p to adjust."""
    level: float
    """The alpha at which this test's own interval, 1 - level, agrees with the adjusted decision."""
    family: str
    size: int
    """Tests that were declared in the family, those without a p included."""


def adjusted_p(p: "ArrayLike", correction: Correction, *, size: int | None = None) -> "NDArray[np.float64]":
    """Adjusted p-values of one family, shape (m,), in the given order; or of many families of m, shape (..., m).

    `size` is how many tests were declared, where some of them have no p; at least m.
    Raises ValueError for an unknown correction, p outside [0, 1] (NaN too), or a size below m.
    Source: Holm (1979), Scandinavian Journal of Statistics 6; Hochberg (1988), Biometrika 75; Benjamini and Hochberg
    (1995), JRSS B 57; Benjamini and Yekutieli (2001), Annals of Statistics 29.

    >>> [round(float(p), 3) for p in adjusted_p([0.01, 0.04, 0.03], "holm")]
    [0.03, 0.06, 0.06]
    """
    import numpy as np

    given, m = _checked(p, correction, size)
    if given.size == 0 or correction == "none":
        return given.copy()
    if correction == "bonferroni":
        return np.minimum(1.0, given * m)
    order = np.argsort(given, axis=-1, kind="stable")
    ranked, rank = np.take_along_axis(given, order, axis=-1), np.arange(1.0, given.shape[-1] + 1)
    if correction == "holm":
        stepped = np.maximum.accumulate(ranked * (m - rank + 1), axis=-1)
    else:
        factor = m - rank + 1 if correction == "hochberg" else m / rank
        if correction == "by":
            factor = factor * (1 / np.arange(1, m + 1)).sum()
        # A test without a p counts as p = 1: the step-up begins there, and its own product never is below 1.
        stepped = np.minimum.accumulate((ranked * factor)[..., ::-1], axis=-1)[..., ::-1]
    adjusted = np.empty_like(given)
    np.put_along_axis(adjusted, order, np.minimum(1.0, stepped), axis=-1)
    return adjusted


def interval_levels(
    p: "ArrayLike", correction: Correction, *, alpha: float = 0.05, size: int | None = None
) -> "NDArray[np.float64]":
    """The alpha of each test's interval, shape (m,), such that it leaves out zero just when the test is an alarm.

    Bonferroni's are simultaneous. Those of Holm and Hochberg are the levels of their steps, which agree with the
    decisions; the Benjamini methods have intervals with a bounded share of false coverage among the alarms.
    Source: Benjamini and Yekutieli (2005), "False Discovery Rate-Adjusted Multiple Confidence Intervals", JASA 100;
    Ludbrook (2000), Clinical and Experimental Pharmacology and Physiology 27, for the levels of the steps.

    >>> [round(float(level), 4) for level in interval_levels([0.01, 0.04, 0.03], "holm")]
    [0.0167, 0.025, 0.025]
    """
    import numpy as np

    given, m = _checked(p, correction, size)
    if correction == "none":
        return np.full(given.size, alpha)
    if correction == "bonferroni":
        return np.full(given.size, alpha / m)
    alarms = int((adjusted_p(given, correction, size=m) <= alpha).sum())
    levels = np.empty(given.size)
    order = np.argsort(given, kind="stable")
    if correction == "holm":
        steps = np.minimum(np.arange(given.size), alarms)
        levels[order] = alpha / np.maximum(1, m - steps)
    elif correction == "hochberg":
        levels[order] = np.where(
            np.arange(given.size) < alarms, alpha / (m - max(alarms, 1) + 1), alpha / max(1, m - alarms)
        )
    else:
        share = max(alarms, 1) / m
        if correction == "by":
            share /= (1 / np.arange(1, m + 1)).sum()
        levels[:] = alpha * share
    return levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One declared question: does the variant differ from the control on the metric?"""

    metric: str
    variant: str


def adjust_families(
    tests: Mapping[Hypothesis, float | None],
    *,
    correction: Correction = "holm",
    scope: Scope = "whole",
    alpha: float = 0.05,
) -> dict[Hypothesis, Adjusted]:
    """Each declared test with its adjusted p and level, in families of the declared scope.

    A test whose p is None (it could not be made) stays in the count of its family: what was declared decides, not
    what came out. Guardrails are not passed here: they are no part of any family.

    >>> found = adjust_families({Hypothesis(metric="quality", variant=v): p for v, p in [("B", 0.02), ("C", None)]})
    >>> [(each.p, each.level, each.size) for each in found.values()]
    [(0.04, 0.025, 2), (None, 0.025, 2)]
    """
    families: dict[str, list[Hypothesis]] = {}
    for test in tests:
        name = {"whole": "all", "metric": test.metric, "variant": test.variant}[scope]
        families.setdefault(name, []).append(test)
    adjusted: dict[Hypothesis, Adjusted] = {}
    for family, members in families.items():
        told = [test for test in members if tests[test] is not None]
        known = [p for p in (tests[test] for test in told) if p is not None]
        size = len(members)
        by_p = adjusted_p(known, correction, size=size)
        levels = interval_levels(known, correction, alpha=alpha, size=size)
        strictest = alpha if correction == "none" else alpha / size
        for test in members:
            adjusted[test] = Adjusted(p=None, level=strictest, family=family, size=size)
        for test, p, level in zip(told, by_p, levels, strict=True):
            adjusted[test] = Adjusted(p=float(p), level=float(level), family=family, size=size)
    return {test: adjusted[test] for test in tests}


def declared(correction: str) -> Correction:
    """The correction of that name; raises ValueError, naming the known ones, for any other."""
    for known in CORRECTIONS:
        if correction == known:
            return known
    raise ValueError(f"no correction is named {correction!r}; known: {', '.join(CORRECTIONS)}")


def _checked(
    p: "ArrayLike | Sequence[float]", correction: Correction, size: int | None
) -> "tuple[NDArray[np.float64], int]":
    import numpy as np

    declared(correction)
    given = np.atleast_1d(np.asarray(p, dtype=np.float64))
    if not np.all((given >= 0) & (given <= 1)):
        raise ValueError("every p of a family lies in [0, 1]")
    m = given.shape[-1] if size is None else size
    if m < given.shape[-1]:
        raise ValueError(f"a family of {m} cannot hold {given.shape[-1]} tests")
    return given, m
