"""Agreement of raters, human or automatic: how far above chance their labels coincide, with intervals.

Which one, for what: two raters, labels in classes: `cohen_kappa` (weighted when the classes have an order). Three or
more raters, everyone rates everything: `fleiss_kappa`. Missing ratings, raters that change from unit to unit, or a
scale: `krippendorff_alpha`. One class that nearly everything falls into, where kappa is low although the raters
agree: `gwet_ac`. Scores as numbers, and the question how much of their variance is the units': `icc`.

Ratings stand in a table of shape (units, raters): a unit is what is rated (a case, an answer), and units are what was
sampled, so the intervals speak about other units rated by the same raters. None and NaN mean that a rater did not rate
a unit.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from evaluations.estimates import Estimate
from evaluations.statistics.outcomes import Hedged, Undetermined, checked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ratings = Sequence[Sequence[Hashable]] | NDArray[Any]
    Labels = Sequence[Hashable] | NDArray[Any]
    Numbers = NDArray[np.float64]

Weighting = Literal["nominal", "linear", "quadratic"]
"""How wrong two different classes are: all alike, or by their distance, or by its square, on the scale of the classes
(numbers by their values, other labels by their places in `categories`)."""
Level = Literal["nominal", "ordinal", "interval", "ratio"]
"""What the differences between values mean."""
IccForm = Literal["1,1", "2,1", "3,1", "1,k", "2,k", "3,k"]
"""Shrout and Fleiss' names. 1: each unit has raters of its own; 2: the raters are a sample, and their levels count as
disagreement; 3: these raters only, and their levels are forgiven. 1 after the comma: one rater's score; k: the mean of
all raters' scores."""

LEAST_UNITS = 30
"""Below so many units the realised coverage of the large-sample intervals falls short (docs/statistics.md)."""
LEAST_SPLIT = 10
"""The same for the units on which the raters are not of one mind: from 2 of 500 nobody knows how rare they are."""
LEAST_RARE = 8
"""The same for the units in which two raters chose another class than the commonest: all of a kappa hangs on them."""
LEAST_SCORED = 10
"""The same for the F intervals of ICC, which are exact for normal scores in forms 1 and 3."""
LEAST_SAMPLED = 20
"""The same for the raters of form 2, who stand for all raters: from 3 of them little is known of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement(Hedged):
    """A coefficient of agreement: 1 is perfect, 0 what chance alone would give, below 0 less than chance."""

    coefficient: Estimate
    """`n` counts the units in it, `method` names the coefficient and its interval."""
    standard_error: float | None = None
    """On the scale of the coefficient; None for ICC, whose interval has none."""
    observed: float | None = None
    """The (weighted) share of agreeing pairs of ratings, in [0, 1]; None for the coefficients of variance (ICC)."""
    by_chance: float | None = None
    """The share that the coefficient expects of chance; None for ICC."""
    raters: int
    left_out: int = 0
    """Units that had too few ratings to say anything about agreement."""


# Two raters


def cohen_kappa(
    first: "Labels",
    second: "Labels",
    *,
    weighting: Weighting = "nominal",
    categories: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
) -> Agreement | Undetermined:
    """Cohen's kappa of two raters who each labelled the same units, shapes (n,), with its large-sample interval.

    Units that one of the two did not rate are left out and counted. `categories` gives the order of labels that are
    not numbers; it is needed when they are weighted.
    Raises ValueError if the shapes differ or a label is not among the `categories`.
    Source: Cohen (1960), "A Coefficient of Agreement for Nominal Scales"; Cohen (1968), "Weighted Kappa"; the standard
    error from Fleiss, Cohen & Everitt (1969), "Large Sample Standard Errors of Kappa and Weighted Kappa",
    Psychological Bulletin 72(5), equation 13.

    >>> judge, person = ["pass"] * 45 + ["fail"] * 15, ["pass"] * 40 + ["fail"] * 20
    >>> kappa = cohen_kappa(judge, person)
    >>> print(f"{kappa.coefficient.value:.3f} [{kappa.coefficient.low:.3f}, {kappa.coefficient.high:.3f}]")
    0.800 [0.412, 0.932]
    """
    import numpy as np

    if len(first) != len(second):
        raise ValueError(f"two raters rate the same units; got {len(first)} and {len(second)} labels")
    coded = _coded(list(zip(first, second, strict=True)), categories, weighting != "nominal")
    rated = (coded.codes >= 0).all(axis=1)
    n = int(rated.sum())
    if (why := _too_little(coded, n)) is not None:
        return why
    q = coded.levels.size
    cells = np.bincount(coded.codes[rated] @ np.array([q, 1]), minlength=q * q).reshape(q, q) / n
    weights = _weights(coded.levels, weighting)
    rows, columns = cells.sum(axis=1), cells.sum(axis=0)
    observed, chance = float((weights * cells).sum()), float(rows @ weights @ columns)
    if chance >= 1 - 1e-12:
        return _one_category(n)
    kappa = (observed - chance) / (1 - chance)
    # Equation 13: the weight of a cell against the mean weights of its row and its column.
    lean = (weights @ columns)[:, None] + (rows @ weights)[None, :]
    spread = (cells * (weights - lean * (1 - kappa)) ** 2).sum() - (kappa - chance * (1 - kappa)) ** 2
    error = float(np.sqrt(max(0.0, spread) / n)) / (1 - chance)
    name = "Cohen's kappa" if weighting == "nominal" else f"Cohen's kappa, {weighting} weights"
    return _agreement(
        name,
        kappa,
        error,
        n,
        confidence,
        split=n - round(n * float(np.trace(cells))),
        rare=_rare(coded.codes[rated]),
        observed=observed,
        by_chance=chance,
        raters=2,
        left_out=rated.size - n,
    )


# Any number of raters


def fleiss_kappa(
    ratings: "Ratings",
    *,
    categories: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
) -> Agreement | Undetermined:
    """Fleiss' kappa of a table of labels, shape (units, raters), with Gwet's interval.

    With missing labels this is Gwet's extension: a unit with one label says what is common, and with none, nothing.
    Raises ValueError if the table is not one, or a label is not among the `categories`.
    Source: Fleiss (1971), "Measuring Nominal Scale Agreement Among Many Raters", Psychological Bulletin 76(5); the
    variance, which unlike Fleiss' own holds where there is agreement, from Gwet (2008), "Computing Inter-Rater
    Reliability and its Variance in the Presence of High Agreement", equation 27.

    >>> votes = [["a", "a", "a"]] * 20 + [["b", "b", "b"]] * 10 + [["a", "a", "b"]] * 6
    >>> kappa = fleiss_kappa(votes)
    >>> print(f"{kappa.coefficient.value:.3f} [{kappa.coefficient.low:.3f}, {kappa.coefficient.high:.3f}]")
    0.750 [0.345, 0.905]
    """
    return _over_units("Fleiss' kappa", ratings, categories, "nominal", confidence)


def gwet_ac(
    ratings: "Ratings",
    *,
    weighting: Weighting = "nominal",
    categories: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
) -> Agreement | Undetermined:
    """Gwet's AC1 (or with weights AC2) of a table of labels, shape (units, raters), with its interval.

    Chance agreement stays low when nearly all labels are of one class, where kappa falls towards 0. It depends on how
    many classes there are: give `categories` when some never occur.
    Raises ValueError if the table is not one, or a label is not among the `categories`.
    Source: Gwet (2008), "Computing Inter-Rater Reliability and its Variance in the Presence of High Agreement",
    British Journal of Mathematical and Statistical Psychology 61; Gwet (2014), Handbook of Inter-Rater Reliability.

    >>> votes = [["safe", "safe"]] * 118 + [["safe", "unsafe"]] * 5 + [["unsafe", "safe"]] * 2
    >>> print(f"{fleiss_kappa(votes).coefficient.value:.3f} {gwet_ac(votes).coefficient.value:.3f}")
    -0.029 0.941
    """
    name = "Gwet's AC1" if weighting == "nominal" else f"Gwet's AC2, {weighting} weights"
    return _over_units(name, ratings, categories, weighting, confidence)


def _over_units(
    name: str, ratings: "Ratings", categories: Sequence[Hashable] | None, weighting: Weighting, confidence: float
) -> Agreement | Undetermined:
    import numpy as np

    coded = _coded(ratings, categories, weighting != "nominal")
    votes = coded.votes()
    count = votes.sum(axis=1)
    votes, count = votes[count > 0], count[count > 0]
    pairs = count >= 2
    n, paired = int(count.size), int(pairs.sum())
    if (why := _too_little(coded, paired)) is not None:
        return why
    weights = _weights(coded.levels, weighting)
    q = coded.levels.size
    shares = votes / count[:, None]
    common = shares.mean(axis=0)
    agree = np.zeros(n)
    agree[pairs] = (votes * (votes @ weights - 1)).sum(axis=1)[pairs] / (count * (count - 1))[pairs]
    observed = float(agree[pairs].mean())
    if name.startswith("Gwet"):
        scale = weights.sum() / (q * (q - 1))
        chance, chances = float(scale * common @ (1 - common)), scale * (shares @ (1 - common))
    else:
        chance, chances = float(common @ weights @ common), shares @ (weights @ common)
    if chance >= 1 - 1e-12:
        return _one_category(paired)
    value = (observed - chance) / (1 - chance)
    # What each unit adds: its own agreement, and twice its pull on what is common and so on chance.
    own = np.where(pairs, n / paired * (agree - chance) / (1 - chance), 0.0)
    pull = own - 2 * (1 - value) * (chances - chance) / (1 - chance)
    error = float(np.sqrt(((pull - value) ** 2).sum() / (n * (n - 1))))
    return _agreement(
        name,
        value,
        error,
        paired,
        confidence,
        split=int((votes[pairs].max(axis=1) < count[pairs]).sum()),
        rare=None if name.startswith("Gwet") else _rare(coded.codes),
        observed=observed,
        by_chance=chance,
        raters=coded.codes.shape[1],
        left_out=coded.codes.shape[0] - paired,
    )


def krippendorff_alpha(
    ratings: "Ratings",
    *,
    level: Level = "nominal",
    categories: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
) -> Agreement | Undetermined:
    """Krippendorff's alpha of a table of ratings, shape (units, raters); any may be missing.

    Units with fewer than two ratings are left out and counted. `interval` and `ratio` need numbers, `ratio` none below
    0; `ordinal` needs numbers or the order in `categories`. The interval is the infinitesimal jackknife over units, in
    which the ranks of `ordinal` move with the units.
    Time grows with the pairs of raters; memory with the table, for `ratio` with the square of the distinct values.
    Raises ValueError if the table is not one, or a label is not among the `categories`.
    Source: Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability"; variance: Efron (1982), "The Jackknife,
    the Bootstrap and Other Resampling Plans", chapter 6, which for fixed weights is Gwet's (2014) up to the order 1/n.

    >>> scores = [[1, 1, None], [2, 2, 3], [3, 3, 3], [4, 4, 4], [1, 2, 1], [4, None, 4]] * 6
    >>> alpha = krippendorff_alpha(scores, level="ordinal")
    >>> print(f"{alpha.coefficient.value:.3f} [{alpha.coefficient.low:.3f}, {alpha.coefficient.high:.3f}]")
    0.924 [0.803, 0.971]
    """
    import numpy as np

    coded = _coded(ratings, categories, level != "nominal")
    every = (coded.codes >= 0).sum(axis=1)
    codes, count = coded.codes[every >= 2], every[every >= 2].astype(np.float64)
    n, left_out = int(count.size), int((every < 2).sum())
    if (why := _too_little(coded, n)) is not None:
        return why
    if level == "ratio" and (coded.levels < 0).any():
        return Undetermined(reason="out of range", why="a ratio scale has no values below 0", n=n)
    held = codes >= 0

    def over_raters(per_level: "Numbers") -> "Numbers":
        summed: Numbers = np.where(held, per_level[codes], 0.0).sum(axis=1)
        return summed

    times = np.bincount(codes[held], minlength=coded.levels.size).astype(np.float64)
    total = float(times.sum())
    # The ordinal metric is the distance of mid-ranks among all ratings that can be paired.
    places = np.cumsum(times) - times / 2 if level == "ordinal" else coded.levels
    within = _within(places[codes], held, level) / (count - 1)
    from_each = _from_each(places, times, level)
    disagreement, expected = float(within.sum()), float(times @ from_each)
    if expected <= 0:
        return _one_category(n)
    ratio = (total - 1) * disagreement / expected
    # How the two sums move with the weight of each unit. With `ordinal`, the places move with it too.
    moves_within, moves_expected = within, 2 * over_raters(from_each)
    if level == "ordinal":
        off = (count[:, None] * places[codes] - over_raters(places)[:, None]) / (count - 1)[:, None]
        slopes = 4.0 * np.bincount(codes[held], weights=off[held], minlength=times.size)
        moves_within = moves_within + over_raters(_carried_up(slopes))
        moves_expected = moves_expected + over_raters(_carried_up(4 * times * (total * places - times @ places)))
    pull = (count * disagreement + (total - 1) * moves_within - ratio * moves_expected) / expected
    # The pulls add up to 0 only up to the order 1/n, so they are centred.
    error = float(np.sqrt(((pull - pull.mean()) ** 2).sum() * n / (n - 1)))
    shares = level == "nominal"
    return _agreement(
        f"Krippendorff's alpha, {level}",
        1 - ratio,
        error,
        n,
        confidence,
        split=int((within > 0).sum()),
        rare=_rare(codes),
        observed=1 - disagreement / total if shares else None,
        by_chance=1 - expected / (total * (total - 1)) if shares else None,
        raters=codes.shape[1],
        left_out=left_out,
    )


def _within(placed: "Numbers", held: "NDArray[np.bool_]", level: Level) -> "Numbers":
    """The sum of the differences of all ordered pairs of ratings of each unit, shape (units,)."""
    import numpy as np

    difference = np.zeros(placed.shape[0])
    for one in range(1, placed.shape[1]):
        both = held[:, one, None] & held[:, :one]
        difference += np.where(both, _difference(placed[:, one, None], placed[:, :one], level), 0.0).sum(axis=1)
    return 2 * difference


def _from_each(places: "Numbers", times: "Numbers", level: Level) -> "Numbers":
    """For each place the sum of its differences to all ratings, shape (q,)."""
    total = float(times.sum())
    if level == "nominal":
        return total - times
    if level == "ratio":
        summed: Numbers = _difference(places[:, None], places[None, :], level) @ times
        return summed
    centred = places - float(times @ places) / total  # the squares would cancel to nothing far from 0
    return total * centred**2 + float(times @ centred**2)


def _difference(one: "Numbers", other: "Numbers", level: Level) -> "Numbers":
    import numpy as np

    if level == "nominal":
        differ: Numbers = np.not_equal(one, other).astype(np.float64)
        return differ
    if level == "ratio":
        both = one + other
        one, other = one / np.where(both > 0, both, 1.0), other / np.where(both > 0, both, 1.0)
    squared: Numbers = np.square(one - other)
    return squared


def _carried_up(slopes: "NDArray[np.floating[Any]]") -> "Numbers":
    """One rating more at a place raises all places above it by 1, and its own by a half."""
    carried: Numbers = slopes[::-1].cumsum()[::-1] - slopes / 2
    return carried


# Scores as numbers


def icc(scores: "Ratings", form: IccForm, *, confidence: float = 0.95) -> Agreement | Undetermined:
    """An intraclass correlation of a table of numbers, shape (units, raters): the units' share of the variance.

    Units without a score of every rater are left out and counted: the two-way forms are defined for full tables.
    The interval takes units and errors as normal.
    Raises ValueError if the table is not one.
    Source: Shrout & Fleiss (1979), "Intraclass Correlations: Uses in Assessing Rater Reliability", Psychological
    Bulletin 86(2); for the interval of form 2 the degrees of freedom of McGraw & Wong (1996), "Forming Inferences
    about Some Intraclass Correlation Coefficients", table 7.

    >>> judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    >>> [round(icc(judges, form).coefficient.value, 2) for form in ("1,1", "2,1", "3,1", "1,k", "2,k", "3,k")]
    [0.17, 0.29, 0.71, 0.44, 0.62, 0.91]
    """
    import numpy as np
    from scipy.special import fdtri

    table = _numbers(scores)
    full = ~np.isnan(table).any(axis=1)
    kept = table[full]
    n, k = kept.shape
    if n < 2 or k < 2:
        reason: Literal["empty", "too few"] = "too few" if n else "empty"
        return Undetermined(reason=reason, why=f"{n} units scored by all of {k} raters; ICC needs 2 of each", n=n)
    if not np.isfinite(kept).all():
        return Undetermined(reason="not finite", why="a score is infinite", n=n)
    centred = kept - kept.mean()
    between = k * (centred.mean(axis=1) ** 2).sum() / (n - 1)
    levels = n * (centred.mean(axis=0) ** 2).sum() / (k - 1)
    residual = centred - centred.mean(axis=1, keepdims=True) - centred.mean(axis=0, keepdims=True)
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    inside = ((centred - centred.mean(axis=1, keepdims=True)) ** 2).sum() / (n * (k - 1))
    noise = {"1": inside, "2": error, "3": error}[form[0]]
    if max(between, noise) <= 1e-20 * max(1.0, float(np.abs(kept).max()) ** 2):
        return Undetermined(reason="no spread", why=f"all scores of {n} units are equal", n=n)
    tail = (1 + checked(confidence)) / 2
    ratio = between / noise if noise > 0 else np.inf
    if form[0] == "2":
        single = (between - error) / (between + (k - 1) * error + k * (levels - error) / n)
        low, high = _icc2_bounds(between, levels, error, single, n, k, tail)
    else:
        df = (n - 1, n * (k - 1) if form[0] == "1" else (n - 1) * (k - 1))
        low, high = (
            _single(ratio / fdtri(*df, tail), k),
            _single(ratio * fdtri(*df[::-1], tail), k),
        )
        single = _single(ratio, k)
    value, low, high = (_stepped_up(r, k) if form[2] == "k" else r for r in (single, low, high))
    estimate = Estimate(
        value=float(value),
        low=float(low),
        high=float(high),
        n=n,
        confidence=confidence,
        method=f"ICC({form}), F interval",
    )
    doubts = [f"{n} units, and the interval of ICC needs {LEAST_SCORED}"] if n < LEAST_SCORED else []
    if form[0] == "2" and k < LEAST_SAMPLED:
        doubts.append(f"{k} raters as a sample of raters, and the interval of form 2 needs {LEAST_SAMPLED}")
    return Agreement(coefficient=estimate, raters=k, left_out=int((~full).sum()), doubts=tuple(doubts))


def _single(ratio: float, k: int) -> float:
    """The intraclass correlation of one rater from the ratio of the mean squares."""
    return (ratio - 1) / (ratio + k - 1) if ratio != float("inf") else 1.0


def _stepped_up(single: float, k: int) -> float:
    """Spearman and Brown: the reliability of the mean of k raters from that of one."""
    return k * single / (1 + (k - 1) * single)


def _icc2_bounds(
    between: float, levels: float, error: float, single: float, n: int, k: int, tail: float
) -> tuple[float, float]:
    from scipy.special import fdtri

    # Satterthwaite's degrees of freedom of a * levels + b * error, both times n (1 - single).
    a, b = k * single, n * (1 + (k - 1) * single) - k * single
    df = (a * levels + b * error) ** 2 / ((a * levels) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    f_low, f_high = fdtri(n - 1, df, tail), fdtri(df, n - 1, tail)
    spread = k * levels + (k * n - k - n) * error
    low = n * (between - f_low * error) / (f_low * spread + n * between)
    high = n * (f_high * between - error) / (spread + n * f_high * between)
    return float(low), float(high)


# Reading the tables


@dataclass(frozen=True, slots=True)
class _Coded:
    codes: "NDArray[np.intp]"
    """(units, raters): the place of each label in `levels`; -1 where there is none."""
    levels: "Numbers"
    """(q,): the values of the classes, rising; their places where labels are no numbers."""

    def votes(self) -> "Numbers":
        """How many raters chose each class, shape (units, q)."""
        import numpy as np

        units = self.codes.shape[0]
        q = self.levels.size
        flat = (np.arange(units)[:, None] * (q + 1) + self.codes + 1).ravel()
        return np.bincount(flat, minlength=units * (q + 1)).reshape(units, q + 1)[:, 1:].astype(np.float64)


def _coded(ratings: "Ratings", categories: Sequence[Hashable] | None, scaled: bool) -> _Coded:
    """The table by classes; `scaled` when the distances of the classes matter."""
    import numpy as np

    table = _table(ratings)
    numeric = table.dtype.kind in "biuf"
    if categories is None and numeric:
        held = ~np.isnan(table)
        levels, places = np.unique(table[held], return_inverse=True)
        codes = np.full(table.shape, -1, dtype=np.intp)
        codes[held] = places
        return _Coded(codes, levels.astype(np.float64))
    labels = [None if label is None or label != label else label for label in table.ravel().tolist()]
    if categories is None:
        if scaled:
            raise ValueError("labels that are no numbers need their order: give `categories`, the lowest first")
        categories = list(dict.fromkeys(label for label in labels if label is not None))
    known = dict(zip(categories, range(len(categories)), strict=True))
    if (strange := next((label for label in labels if label is not None and label not in known), None)) is not None:
        raise ValueError(f"{strange!r} is not among the categories {list(categories)}")
    codes = np.array([-1 if label is None else known[label] for label in labels], dtype=np.intp)
    levels = np.arange(len(categories), dtype=np.float64)
    if all(isinstance(category, int | float) for category in categories):
        levels = np.array(categories, dtype=np.float64)
        if (np.diff(levels) <= 0).any():
            raise ValueError(f"categories that are numbers rise; got {list(categories)}")
    return _Coded(codes.reshape(table.shape), levels)


def _table(ratings: "Ratings") -> "NDArray[Any]":
    """Shape (units, raters): float64 where all ratings are numbers or missing, else objects."""
    import numpy as np

    # As objects first: otherwise numpy would make the label "nan" of a NaN, and "1" of 1, beside other labels.
    table = ratings if isinstance(ratings, np.ndarray) else np.array([list(row) for row in ratings], dtype=object)
    if table.size == 0:
        return np.empty((0, 2))
    if table.ndim != 2:
        raise ValueError(f"ratings stand in a table of shape (units, raters); got shape {table.shape}")
    if table.shape[1] < 2:
        raise ValueError("agreement needs two raters or more; got one column")
    if table.dtype.kind == "O" and all(label is None or isinstance(label, int | float) for label in table.ravel()):
        return table.astype(np.float64)
    return table.astype(np.float64) if table.dtype.kind in "biuf" else table


def _numbers(scores: "Ratings") -> "Numbers":
    table = _table(scores)
    if table.dtype.kind not in "biuf":
        raise ValueError("ICC needs numbers; for labels there are kappa and alpha")
    return table


def _weights(levels: "Numbers", weighting: Weighting) -> "Numbers":
    """How far a pair of classes agrees, shape (q, q): 1 on the diagonal, 0 at the two ends of the scale."""
    import numpy as np

    if weighting == "nominal":
        return np.eye(levels.size)
    distance = np.abs(levels[:, None] - levels[None, :]) / (levels[-1] - levels[0])
    weights: Numbers = 1.0 - (distance if weighting == "linear" else np.square(distance))
    return weights


def _too_little(coded: _Coded, paired: int) -> Undetermined | None:
    """Why nothing can be said from `paired` units with two ratings or more; None when something can."""
    import numpy as np

    if not paired:
        return Undetermined(reason="empty", why="no unit was rated by two raters")
    if paired == 1:
        return Undetermined(reason="too few", why="1 unit was rated by two raters, and an interval needs 2", n=1)
    if not np.isfinite(coded.levels).all():
        return Undetermined(reason="not finite", why="a rating is infinite", n=paired)
    return _one_category(paired) if coded.levels.size == 1 else None


def _rare(codes: "NDArray[np.intp]") -> int:
    """In how many units, of a table (units, raters), two or more raters chose another class than the commonest."""
    import numpy as np

    commonest = np.bincount(codes[codes >= 0]).argmax()
    return int((((codes >= 0) & (codes != commonest)).sum(axis=1) >= 2).sum())


def _one_category(n: int) -> Undetermined:
    why = f"all ratings of {n} units are the same: that much agreement is certain by chance, and nothing lies above it"
    return Undetermined(reason="no variation", why=why, n=n)


def _agreement(
    name: str,
    value: float,
    error: float,
    n: int,
    confidence: float,
    *,
    split: int,
    rare: int | None = None,
    observed: float | None,
    by_chance: float | None,
    raters: int,
    left_out: int,
) -> Agreement:
    """A coefficient with its interval. On `split` of the n units the raters are not of one mind; in `rare` of them two
    or more chose another class than the commonest (None where that does not matter).

    The interval is Student's on the scale of ln(1 - coefficient), by the delta method: the distance from perfect
    agreement is a small positive number with a long tail, and the plain interval misses it. Its degrees of freedom
    count the units that carry the error, which makes it wider than Gwet's n - 1 (docs/statistics.md).
    """
    from math import exp

    from scipy.special import stdtrit

    distance = 1 - value
    # What the error is made of are the units that differ from the rest; n of them are not what it is known from.
    df = max(1, min(n - 1, split, n if rare is None else rare))
    reach = float(stdtrit(df, (1 + checked(confidence)) / 2)) * error
    factor = exp(min(reach / distance, 50.0)) if error > 1e-12 and distance > 1e-12 else 1.0
    estimate = Estimate(
        value=value,
        low=1 - distance * factor,
        high=1 - distance / factor,
        n=n,
        confidence=checked(confidence),
        method=f"{name}, interval of ln(1 - coefficient)",
    )
    doubts = []
    if n < LEAST_UNITS:
        doubts.append(f"{n} units, and the large-sample interval needs {LEAST_UNITS}")
    if split < LEAST_SPLIT:
        doubts.append(f"the raters differ on {split} of {n} units, and the large-sample interval needs {LEAST_SPLIT}")
    if rare is not None and rare < LEAST_RARE:
        doubts.append(f"in {rare} of {n} units raters chose another class than the commonest; {LEAST_RARE} are needed")
    return Agreement(
        coefficient=estimate,
        standard_error=error,
        observed=observed,
        by_chance=by_chance,
        raters=raters,
        left_out=left_out,
        doubts=tuple(doubts),
    )
