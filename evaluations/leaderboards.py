"""Leaderboards: models on the same cases, with the ranks they may have and who is tied with whom.

A list sorted by score names a winner whatever the data say. Here every pair of models is tested on the cases both
have, with Holm's correction over all pairs; a rank is a range, and models that no test tells apart are tied.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Final, Literal

from evaluations.estimates import Estimate
from evaluations.experiments import MetricKind
from evaluations.statistics.bounded import bounded_mean
from evaluations.statistics.choosing import TAILS, TESTS, Pair
from evaluations.statistics.clusters import Clusters, cluster_robust, cr2, per_unit
from evaluations.statistics.early_stopping import BETTING, Stopping, mean_at_every_look, stopping, whole_cases
from evaluations.statistics.length_bias import LengthControlled, length_controlled
from evaluations.statistics.multiplicity import adjusted_p, interval_levels
from evaluations.statistics.outcomes import Determined, Undetermined
from evaluations.statistics.proportions import wilson
from evaluations.statistics.shrinkage import FEWEST, shrink_means

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

Better = Literal["higher", "lower"]

CLUSTERED: Final = ("cluster-robust", "cluster-bootstrap")
PAIR_TESTS: Final[Mapping[MetricKind, tuple[str, ...]]] = {
    # Not mid-p, which experiments take: among hundreds of pairs only a test that never exceeds its level is safe.
    "binary": ("mcnemar-exact",),
    "bounded": ("paired-t", "betting"),
    "skewed": ("paired-t", "cluster-bootstrap"),
    "ratio": ("paired-t", "cluster-bootstrap"),
}
"""The tests of a pair whose cases stand alone: the first whose domain the data are in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one model stands."""

    model: str
    value: float | None
    """Its mean score over the cases it was scored on, in the unit of the scores; None without any."""
    n: int
    """Cases it was scored on."""
    unscored: int
    """Cases without a score: counted and shown, never averaged in as zeros."""
    units: int
    """Independent units among the scored cases: clusters, or the cases themselves where each stands alone."""
    standard_error: float | None
    """Of `value`, with cases of a cluster allowed to hang together (CR2); None below two units."""
    interval: Estimate | None
    """Of `value`; None where nothing is known of the spread."""
    best_rank: int
    """1 + the number of models that are significantly better."""
    worst_rank: int
    """The number of models minus those that are significantly worse."""
    mean_length: float | None = None
    """Of its scored answers, where lengths were given, in their unit."""
    doubts: tuple[str, ...] = ()
    """Why the interval may miss its level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Two models on the cases that both were scored on."""

    first: str
    """The one that stands higher on the board."""
    second: str
    n: int
    """Cases that both have a score for."""
    difference: Estimate | None
    """First minus second, with an interval at the level of its step in the correction; None where the data cannot
    say."""
    p: float | None
    """Two-sided, as the test gives it; None where there is none to believe."""
    adjusted_p: float | None
    """By Holm over all pairs of the board; by Bonferroni where asking may have stopped early."""
    ahead: str | None
    """The model that is significantly better; None when they are tied."""
    test: str
    """The name of the test, for people; empty where none could be made."""
    why: str = ""
    """Why there is no p; empty when there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What may be said of the best score: being the highest of several, it is partly luck."""

    model: str
    observed: float
    shrunken: Estimate
    """What it would score if it were measured anew on other cases, and how sure that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """Models on the same cases, best first."""

    standings: tuple[Standing, ...]
    pairings: tuple[Pairing, ...]
    """Every pair, in the order of the board."""
    tied: tuple[tuple[str, ...], ...]
    """The largest groups in which no two models differ significantly, of two or more, in the order of the board. One
    model may be in several: tied with both neighbours, which differ from each other."""
    cases: int
    """That were put to every model."""
    clusters: int | None
    """Sources that cases share; None where each case stands alone."""
    kind: MetricKind
    better: Better
    alpha: float
    """The chance that any of the pairs is told apart wrongly."""
    planned: int | None
    """Cases there were to ask, where asking may have stopped early; None where all were asked."""
    claim: Claim | None
    """None with fewer than three scored models, which do not tell how much models differ."""

    @property
    def leaders(self) -> tuple[str, ...]:
        """The models that no other is significantly better than: any of them may be the best."""
        return tuple(each.model for each in self.standings if each.best_rank == 1 and each.value is not None)

    def standing(self, model: str) -> Standing:
        """Raises KeyError for a model that is not on the board."""
        for each in self.standings:
            if each.model == model:
                return each
        raise KeyError(model)

    def between(self, one: str, other: str) -> Pairing:
        """The pairing of two models, in either order; raises KeyError if one of them is not on the board."""
        for each in self.pairings:
            if {each.first, each.second} == {one, other}:
                return each
        raise KeyError((one, other))


def leaderboard(
    scores: "Mapping[str, ArrayLike]",
    *,
    clusters: Sequence[Hashable] | None = None,
    lengths: "Mapping[str, ArrayLike] | None" = None,
    kind: MetricKind | None = None,
    better: Better = "higher",
    planned: int | None = None,
    alpha: float = 0.05,
    seed: int = 0,
) -> Leaderboard:
    """Ranks as ranges, ties as ties, for one or more models.

    `scores` has for each model one score per case, shape (cases,), in one order of cases; NaN where there is none;
    the mean of the repeats where a case was asked more than once. `clusters` says for each case what it belongs to
    (a document, a conversation), `lengths` how long each answer is, shape (cases,) for each model. `kind` is taken
    from the scores where it is None: binary when all are 0 or 1, bounded within [0, 1], skewed otherwise.

    `planned` is how many cases there were to ask when asking may have stopped early (`early_stopping.stopping`); the
    cases are then in the order in which they were put, and pairs are told apart by the bets that held at every look,
    adjusted by Bonferroni. Tests for a fixed number of cases would err more often than they say. `clusters` are then
    those of all planned cases in that order, and the cases asked end with a whole cluster.

    With probability 1 - alpha or more every range holds the true rank of its model, all of them together.
    Raises ValueError for no model, shapes that differ, infinite scores, an alpha outside (0, 0.5), scores that are not
    of their `kind`, or a board stopped early of scores outside [0, 1] or in the midst of a cluster.
    Source: Klein, Wright & Wieczorek (2020), "A Joint Confidence Region for an Overall Ranking of Populations", JRSS C
    69(3), for ranges from simultaneous comparisons; Holm (1979), Scandinavian Journal of Statistics 6; Piepho (2004),
    "An Algorithm for a Letter-Based Representation of All-Pairwise Comparisons", JCGS 13(2), for the groups.

    >>> import numpy as np
    >>> passed = {"a": [1] * 90 + [0] * 10, "b": [1] * 88 + [0] * 12, "c": [1] * 60 + [0] * 40}
    >>> board = leaderboard(passed)
    >>> [(each.model, each.value, each.best_rank, each.worst_rank) for each in board.standings]
    [('a', 0.9, 1, 2), ('b', 0.88, 1, 2), ('c', 0.6, 3, 3)]
    >>> board.tied, board.leaders
    ((('a', 'b'),), ('a', 'b'))
    """
    import numpy as np

    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha lies between 0 and 0.5; got {alpha}")
    asked = clusters
    if planned is not None and clusters is not None:
        size = max((len(np.asarray(each)) for each in scores.values()), default=0)
        if whole_cases(clusters, size) != size:
            raise ValueError(f"the {size} cases that were asked end in the midst of a cluster")
        asked = clusters[:size]
    given = _arrays(scores, asked)
    kind = _kind(given, kind)
    sizes = _arrays(lengths, asked) if lengths else {}
    labels = None if asked is None else np.unique([repr(each) for each in asked], return_inverse=True)[1]
    order = _order(given, better)
    ordered = {model: given[model] for model in order}
    if planned is None:
        pairings = _pairings(ordered, labels, kind, better, alpha, seed)
    else:
        pairings = _at_every_look(stopping(ordered, planned=planned, clusters=clusters, alpha=alpha), better)
    standings = tuple(
        _standing(
            model,
            given[model],
            labels,
            sizes.get(model),
            pairings,
            models=len(order),
            kind=kind,
            planned=planned,
            clusters=clusters,
            confidence=1 - alpha,
            seed=seed,
        )
        for model in order
    )
    return Leaderboard(
        standings=standings,
        pairings=pairings,
        tied=_tied(order, pairings),
        cases=next(iter(given.values())).size,
        clusters=None if labels is None else len(set(labels.tolist())),
        kind=kind,
        better=better,
        alpha=alpha,
        planned=planned,
        claim=_claim(order, given, labels, kind, 1 - alpha),
    )


def _arrays(columns: "Mapping[str, ArrayLike]", clusters: Sequence[Hashable] | None) -> "dict[str, Floats]":
    import numpy as np

    if not columns:
        raise ValueError("a leaderboard needs one model or more")
    arrays = {name: np.asarray(each, dtype=np.float64) for name, each in columns.items()}
    shapes = {each.shape for each in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"every model has one value for each case, in one order; got shapes {sorted(shapes)}")
    if clusters is not None and len(clusters) != next(iter(shapes))[0]:
        raise ValueError(f"each case belongs to one cluster; got {len(clusters)} for {next(iter(shapes))[0]} cases")
    infinite = [name for name, each in arrays.items() if np.isinf(each).any()]
    if infinite:
        raise ValueError(f"a score is finite, or NaN where there is none; infinite ones of {', '.join(infinite)}")
    return arrays


def _kind(given: "Mapping[str, Floats]", kind: MetricKind | None) -> MetricKind:
    import numpy as np

    every = np.concatenate([each[~np.isnan(each)] for each in given.values()])
    found: MetricKind = (
        "binary" if np.isin(every, (0.0, 1.0)).all() else "bounded" if np.all((every >= 0) & (every <= 1)) else "skewed"
    )
    if (kind == "binary" and found != "binary") or (kind == "bounded" and found == "skewed"):
        raise ValueError(f"scores were said to be {kind} and are not: they lie in [{every.min():g}, {every.max():g}]")
    return kind or found


def _order(given: "Mapping[str, Floats]", better: Better) -> list[str]:
    """Best first; equal ones by name, those without any score last."""
    import numpy as np

    sign = -1.0 if better == "higher" else 1.0

    def place(model: str) -> tuple[float, str]:
        scored = given[model][~np.isnan(given[model])]
        return (sign * float(scored.mean()) if scored.size else float("inf"), model)

    return sorted(given, key=place)


# Pairs


def _pairings(
    given: "Mapping[str, Floats]",
    labels: "NDArray[np.intp] | None",
    kind: MetricKind,
    better: Better,
    alpha: float,
    seed: int,
) -> tuple[Pairing, ...]:
    pairs = {(a, b): _pair(given[a], given[b], labels, kind, seed) for a, b in combinations(given, 2)}
    tests = PAIR_TESTS[kind] if labels is None else CLUSTERED
    chosen = {names: _first_reliable(pair, tests, 1 - alpha) for names, pair in pairs.items()}
    told = {names: each for names, each in chosen.items() if isinstance(each, _Chosen)}
    known = [each.p for each in told.values()]
    # Pairs without a p stay in the family: how many questions were asked does not depend on the answers.
    adjusted = dict(zip(told, adjusted_p(known, "holm", size=len(pairs)).tolist(), strict=True)) if told else {}
    levels = interval_levels(known, "holm", alpha=alpha, size=len(pairs)).tolist() if told else []
    level = dict(zip(told, levels, strict=True))
    found = []
    for names, pair in pairs.items():
        one = chosen[names]
        if not isinstance(one, _Chosen):
            found.append(_untold(*names, pair.sizes[0], one))
            continue
        outcome = TESTS[one.name].run(pair, 1 - level[names])
        effect = outcome.effect if isinstance(outcome, Determined) else None
        ahead = None
        if effect is not None and adjusted[names] <= alpha:
            ahead = names[0] if (effect.value > 0) == (better == "higher") else names[1]
        found.append(
            Pairing(
                first=names[0],
                second=names[1],
                n=pair.sizes[0],
                difference=effect,
                p=one.p,
                adjusted_p=adjusted[names],
                ahead=ahead,
                test=one.method,
            )
        )
    return tuple(found)


def _at_every_look(found: Stopping, better: Better) -> tuple[Pairing, ...]:
    """The pairs of a board whose asking may have stopped at any case."""
    lower = better == "lower"
    return tuple(
        Pairing(
            first=each.first,
            second=each.second,
            n=each.n,
            difference=each.difference,
            p=each.p if each.n else None,
            adjusted_p=min(1.0, each.p * len(found.decisions)) if each.n else None,
            ahead=({each.first, each.second} - {each.ahead}).pop() if each.ahead and lower else each.ahead,
            test=BETTING if each.n else "",
            why="" if each.n else "no case has a score for both",
        )
        for each in found.decisions
    )


def _pair(first: "Floats", second: "Floats", labels: "NDArray[np.intp] | None", kind: MetricKind, seed: int) -> Pair:
    import numpy as np

    both = ~(np.isnan(first) | np.isnan(second))
    return Pair(
        treatment=first[both],
        control=second[both],
        clusters=None if labels is None else labels[both].tolist(),
        seed=seed,
        assumed_skew=TAILS[kind],
        left_out=int((~both).sum()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """The test that was taken for a pair, and its p."""

    name: str
    method: str
    p: float


def _first_reliable(pair: Pair, tests: tuple[str, ...], confidence: float) -> _Chosen | str:
    """The first test whose domain the data are in; why the first of them cannot be believed, where none is."""
    reasons = []
    for name in tests:
        outcome = TESTS[name].run(pair, confidence)
        if isinstance(outcome, Undetermined):
            reasons.append(outcome.why)
        # An exact p holds at every n; what its test doubts below 20 pairs is the interval beside it.
        elif outcome.p is not None and (outcome.reliable or "exact" in name):
            return _Chosen(name=name, method=outcome.method, p=outcome.p)
        else:
            reasons.append(outcome.reason)
    return reasons[0]


def _untold(first: str, second: str, n: int, why: str) -> Pairing:
    return Pairing(
        first=first, second=second, n=n, difference=None, p=None, adjusted_p=None, ahead=None, test="", why=why
    )


def _tied(order: Sequence[str], pairings: Sequence[Pairing]) -> tuple[tuple[str, ...], ...]:
    """The maximal sets of two or more models without a significant difference among them (Bron and Kerbosch)."""
    alike: dict[str, set[str]] = {model: set() for model in order}
    for each in pairings:
        if each.ahead is None:
            alike[each.first].add(each.second)
            alike[each.second].add(each.first)
    found: list[set[str]] = []

    def grow(group: set[str], able: set[str], done: set[str]) -> None:
        if not able and not done:
            found.append(group)
            return
        pivot = max(able | done, key=lambda model: len(alike[model] & able))
        for model in sorted(able - alike[pivot]):
            grow(group | {model}, able & alike[model], done & alike[model])
            able = able - {model}
            done = done | {model}

    grow(set(), set(order), set())
    place = {model: at for at, model in enumerate(order)}
    groups = [tuple(sorted(group, key=place.__getitem__)) for group in found if len(group) > 1]
    return tuple(sorted(groups, key=lambda group: [place[model] for model in group]))


# Models


def _standing(
    model: str,
    scores: "Floats",
    labels: "NDArray[np.intp] | None",
    lengths: "Floats | None",
    pairings: Sequence[Pairing],
    *,
    models: int,
    kind: MetricKind,
    planned: int | None,
    clusters: Sequence[Hashable] | None,
    confidence: float,
    seed: int,
) -> Standing:
    import numpy as np

    scored = ~np.isnan(scores)
    values = scores[scored]
    owners = None if labels is None else labels[scored]
    groups = per_unit(values, np.arange(values.size) if owners is None else owners)
    units = len(groups.names)
    interval: Estimate | None
    doubts: tuple[str, ...] = ()
    if planned is None:
        interval, doubts = _interval(values, owners, groups, kind, confidence, np.random.default_rng(seed))
    else:
        interval = mean_at_every_look(scores, planned=planned, clusters=clusters, confidence=confidence)
    known = lengths[scored & ~np.isnan(lengths)] if lengths is not None else np.empty(0)
    own = [each for each in pairings if model in (each.first, each.second) and each.ahead is not None]
    return Standing(
        model=model,
        value=float(values.mean()) if values.size else None,
        n=int(values.size),
        unscored=int(scores.size - values.size),
        units=units,
        standard_error=cr2(groups)[0] if units > 1 else None,
        interval=interval,
        best_rank=1 + sum(each.ahead != model for each in own),
        worst_rank=models - sum(each.ahead == model for each in own),
        mean_length=float(known.mean()) if known.size else None,
        doubts=doubts,
    )


def _interval(
    values: "Floats",
    owners: "NDArray[np.intp] | None",
    groups: Clusters,
    kind: MetricKind,
    confidence: float,
    generator: "np.random.Generator",
) -> tuple[Estimate | None, tuple[str, ...]]:
    """Of one model's mean score, and why it may miss its level."""
    if not values.size:
        return None, ()
    if kind == "binary" and owners is None:
        return wilson(int(values.sum()), int(values.size), confidence), ()
    found = cluster_robust(values, range(values.size) if owners is None else owners, confidence=confidence)
    within_one = kind in ("binary", "bounded")
    # Where cases stand alone, or clusters are all alike, the mean of the clusters' means is that of the cases.
    if within_one and (isinstance(found, Undetermined) or (owners is None and not found.reliable)):
        found = bounded_mean(groups.means, generator, confidence=confidence)
    if isinstance(found, Undetermined):
        return None, (found.why,)
    assert found.effect is not None
    return _within(found.effect, kind), found.doubts


def _within(estimate: Estimate, kind: MetricKind) -> Estimate:
    """With an interval that is kept in the range that scores of this kind can have."""
    if kind not in ("binary", "bounded"):
        return estimate
    return replace(estimate, low=max(0.0, estimate.low), high=min(1.0, estimate.high))


def _claim(
    order: Sequence[str],
    given: "Mapping[str, Floats]",
    labels: "NDArray[np.intp] | None",
    kind: MetricKind,
    confidence: float,
) -> Claim | None:
    """The best score, shrunken towards the mean of the models by as much as chance explains their differences."""
    import numpy as np

    scored = [given[model] for model in order if not np.isnan(given[model]).all()]
    if len(scored) < FEWEST:
        return None
    table = np.array(scored)
    shared = ~np.isnan(table).any(axis=0)
    owners = np.arange(table.shape[1]) if labels is None else labels
    table, owners = table[:, shared], owners[shared]
    if len(set(owners.tolist())) < 2:
        return None

    def error(values: "Floats") -> float:
        return cr2(per_unit(values, owners))[0]

    level = table.mean(axis=0)
    # What all models find hard alike does not rank them: the errors are those of each one's distance from the mean,
    # which is (M - 1) / M of that of independent ones.
    wider = (len(table) / (len(table) - 1)) ** 0.5
    apart = [error(row - level) * wider for row in table]
    best = shrink_means((table - level).mean(axis=1), np.array(apart), beside=error(level), confidence=confidence)[0]
    mean = float(level.mean())
    units = len(set(owners.tolist()))
    shrunken = replace(best, value=mean + best.value, low=mean + best.low, high=mean + best.high, n=units)
    return Claim(model=order[0], observed=float(table[0].mean()), shrunken=_within(shrunken, kind))


# Against history and length


def percentile(score: Estimate, earlier: "ArrayLike", *, better: Better = "higher") -> Estimate | None:
    """Which share of earlier scores of the same benchmark, shape (runs,), this one is better than; None without any.

    Equal scores count as half. The interval is that of the score: where its bounds would stand. The earlier scores are
    taken as they are, whatever chance was in them. `n` counts the earlier scores that are known.
    Source: the mid-rank percentile, Hazen (1914), Transactions of the American Society of Civil Engineers 77.

    >>> now = Estimate(value=0.85, low=0.81, high=0.88, n=300)
    >>> found = percentile(now, [0.7, 0.75, 0.8, 0.82, 0.83, 0.85, 0.86, 0.9])
    >>> found.value, found.low, found.high, found.n
    (0.6875, 0.375, 0.875, 8)
    """
    import numpy as np

    given = np.asarray(earlier, dtype=np.float64)
    known = given[~np.isnan(given)]
    if not known.size:
        return None
    sign = 1.0 if better == "higher" else -1.0

    def share(value: float) -> float:
        beaten = (sign * known < sign * value).sum() + 0.5 * (known == value).sum()
        return float(beaten / known.size)

    low, high = sorted((share(score.low), share(score.high)))
    return Estimate(
        value=share(score.value), low=low, high=high, n=int(known.size), confidence=score.confidence, method="mid-rank"
    )


def at_equal_length(
    board: Leaderboard,
    scores: "Mapping[str, ArrayLike]",
    lengths: "Mapping[str, ArrayLike]",
    clusters: Sequence[Hashable] | None = None,
) -> dict[tuple[str, str], LengthControlled | Undetermined]:
    """For every pair of the board, in its order: how often the first scores better, and how often at equal length.

    `scores` and `lengths` as `leaderboard` takes them. For boards that a judge scored: a model that stands higher
    because it writes more falls back here. Raises ValueError for shapes that differ.
    """
    import numpy as np

    given, sizes = _arrays(scores, clusters), _arrays(lengths, clusters)
    sign = 1.0 if board.better == "higher" else -1.0
    return {
        (each.first, each.second): length_controlled(
            (np.sign(sign * (given[each.first] - given[each.second])) + 1) / 2,
            sizes[each.first],
            sizes[each.second],
            clusters=clusters,
            confidence=1 - board.alpha,
        )
        for each in board.pairings
    }
