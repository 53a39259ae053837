"""Reviewers: who accepts what the AI drafts, who agrees with whom, whose edits customers like, who to train on what.

Small numbers are drawn towards the group's, and nobody is named for training on what could be chance.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Literal

from evaluations.customer import SENTIMENTS, sentiment_label
from evaluations.estimates import Estimate
from evaluations.reviews import SENTIMENT, Review
from evaluations.statistics.agreement import Agreement, cohen_kappa, krippendorff_alpha
from evaluations.statistics.outcomes import Undetermined
from evaluations.statistics.proportions import wilson
from evaluations.statistics.shrinkage import shrink_shares

Scale = Literal["nominal", "ordinal"]
LIKED_FROM = 4
"""A rating from which a customer was satisfied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewer:
    """One person; shares are drawn towards the group's, the more so the fewer reviews there are."""

    name: str
    reviews: int
    accepted: Estimate | None
    """Share of the AI's drafts that went out as they were."""
    changed: Estimate | None
    """Mean share of a draft that was changed, over all drafts with both texts; not shrunken."""
    agrees: Estimate | None
    """Share of labels that are what most of the others said of the same thing; ties are left out."""
    liked: Estimate | None
    """Share of the answers this person edited that customers rated 4 or 5."""
    seconds: float | None
    """Median length of a review."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """How far reviewers agree on one aspect."""

    name: str
    scale: Scale
    """ordinal where every label is a number."""
    alpha: Agreement | Undetermined
    """Krippendorff's, over everything that two or more people judged."""
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """How far two people agree on one aspect."""

    aspect: str
    first: str
    second: str
    kappa: Agreement | Undetermined
    both: int
    """Things that both judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Somebody agrees less with the others on a category than everybody else does, the two intervals apart."""

    reviewer: str
    category: str
    agrees: Estimate
    group: Estimate
    """The share of agreement of everybody else on that category."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewFacts:
    """What a window of reviews says."""

    reviews: int
    items: int
    reviewers: tuple[Reviewer, ...]
    """Who agrees most with the others first; who cannot be told last."""
    aspects: tuple[Aspect, ...]
    pairs: tuple[Pair, ...]
    training: tuple[Training, ...]
    """The widest gap first."""
    judged_twice: int
    """Things that two or more people judged: without them nothing is known of agreement."""
    sentiment: Agreement | Undetermined
    """How far the labels of the sentiment scores agree with what people said (kappa, weighted by order)."""


def review_facts(reviews: Sequence[Review]) -> ReviewFacts:
    """Everything that can be said of these reviews. Pure: their order does not matter."""
    reviews = sorted(reviews, key=lambda each: (each.unit, each.aspect, each.reviewer))
    names = sorted({each.reviewer for each in reviews})
    labelled = _by_aspect(reviews)
    right = _agreeing(labelled)
    units = Counter(unit for judged in labelled.values() for unit, labels in judged.items() if len(labels) > 1)
    return ReviewFacts(
        reviews=len(reviews),
        items=len({each.unit for each in reviews}),
        reviewers=_reviewers(names, reviews, right),
        aspects=tuple(_aspect(name, judged) for name, judged in labelled.items()),
        pairs=tuple(_pairs(labelled)),
        training=tuple(_training(reviews, right)),
        judged_twice=len(units),
        sentiment=_sentiment(reviews),
    )


Unit = tuple[str, str]
Judged = Mapping[Unit, Mapping[str, str]]
"""Thing -> reviewer -> label."""
Right = Mapping[tuple[Unit, str, str], bool]
"""(thing, aspect, reviewer) -> whether the label is the one that most of the others gave."""


def _by_aspect(reviews: Sequence[Review]) -> dict[str, dict[Unit, dict[str, str]]]:
    found: dict[str, dict[Unit, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for each in reviews:
        if each.label is not None:
            found[each.aspect][each.unit][each.reviewer] = each.label
    return {aspect: dict(found[aspect]) for aspect in sorted(found)}


def _agreeing(labelled: Mapping[str, Judged]) -> dict[tuple[Unit, str, str], bool]:
    """Against the others' most frequent label; where they are of two minds nobody is right or wrong."""
    right = {}
    for aspect, judged in labelled.items():
        for unit, labels in judged.items():
            for reviewer, label in labels.items():
                others = Counter(said for other, said in labels.items() if other != reviewer).most_common(2)
                if others and (len(others) == 1 or others[0][1] > others[1][1]):
                    right[unit, aspect, reviewer] = label == others[0][0]
    return right


def _reviewers(names: Sequence[str], reviews: Sequence[Review], right: Right) -> tuple[Reviewer, ...]:
    own = {name: [each for each in reviews if each.reviewer == name] for name in names}
    accepted = _shrunken([[each.accepted for each in own[name] if each.accepted is not None] for name in names])
    agrees = _shrunken([[hit for (_, _, who), hit in right.items() if who == name] for name in names])
    liked = _shrunken(
        [
            [each.rating >= LIKED_FROM for each in own[name] if each.accepted is False and each.rating is not None]
            for name in names
        ]
    )
    found = [
        Reviewer(
            name=name,
            reviews=len(own[name]),
            accepted=accepted[index],
            changed=_mean([each.distance for each in own[name] if each.distance is not None]),
            agrees=agrees[index],
            liked=liked[index],
            seconds=_median([each.seconds for each in own[name] if each.seconds is not None]),
        )
        for index, name in enumerate(names)
    ]
    return tuple(
        sorted(found, key=lambda each: (each.agrees is None, -(each.agrees.value if each.agrees else 0), each.name))
    )


def _shrunken(flags: Sequence[Sequence[bool]]) -> Sequence[Estimate | None]:
    shares = shrink_shares([sum(each) for each in flags], [len(each) for each in flags])
    return [None] * len(flags) if shares is None else shares.members


def _mean(values: Sequence[float]) -> Estimate | None:
    from evaluations.statistics.means import mean_from_moments

    if not values:
        return None
    mean = fmean(values)
    spread = sum((value - mean) ** 2 for value in values) / (len(values) - 1) if len(values) > 1 else 0.0
    return mean_from_moments(len(values), mean, spread**0.5, low=0.0, high=1.0)


def _median(values: Sequence[float]) -> float | None:
    from statistics import median

    return median(values) if values else None


def _aspect(name: str, judged: Judged) -> Aspect:
    names = sorted({reviewer for labels in judged.values() for reviewer in labels})
    scale = _scale(judged)
    table = [[_value(labels.get(reviewer), scale) for reviewer in names] for labels in judged.values()]
    alpha: Agreement | Undetermined = Undetermined(reason="too few", why="only one person judged it", n=len(judged))
    if len(names) > 1:
        alpha = krippendorff_alpha(table, level=scale)
    return Aspect(name=name, scale=scale, alpha=alpha, items=len(judged))


def _pairs(labelled: Mapping[str, Judged]) -> list[Pair]:
    found = []
    for aspect, judged in labelled.items():
        scale = _scale(judged)
        names = sorted({reviewer for labels in judged.values() for reviewer in labels})
        for first, second in combinations(names, 2):
            both = [labels for labels in judged.values() if first in labels and second in labels]
            if not both:
                continue
            said = [[_value(labels[name], scale) for labels in both] for name in (first, second)]
            kappa = cohen_kappa(said[0], said[1], weighting="quadratic" if scale == "ordinal" else "nominal")
            found.append(Pair(aspect=aspect, first=first, second=second, kappa=kappa, both=len(both)))
    return found


def _scale(judged: Judged) -> Scale:
    said = {label for labels in judged.values() for label in labels.values()}
    return "ordinal" if all(_number(label) is not None for label in said) else "nominal"


def _number(label: str) -> float | None:
    try:
        value = float(label)
    except ValueError:
        return None
    return value if value == value and abs(value) < float("inf") else None


def _value(label: str | None, scale: Scale) -> float | str | None:
    return label if label is None or scale == "nominal" else _number(label)


def _training(reviews: Sequence[Review], right: Right) -> list[Training]:
    """Each category by itself: its members' shares are drawn towards the category's own."""
    categories = {(each.unit, each.aspect, each.reviewer): each.category for each in reviews}
    hits: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for key, hit in right.items():
        if (category := categories[key]) is not None:
            hits[category][key[2]].append(hit)
    found = []
    for category, by_name in hits.items():
        names = sorted(by_name)
        shares = shrink_shares([sum(by_name[name]) for name in names], [len(by_name[name]) for name in names])
        if shares is None or len(names) < 2:
            continue
        for name, member in zip(names, shares.members, strict=True):
            others = [hit for other in names if other != name for hit in by_name[other]]
            group = wilson(sum(others), len(others))
            if member is not None and member.high < group.low:
                found.append(Training(reviewer=name, category=category, agrees=member, group=group))
    return sorted(found, key=lambda each: (each.agrees.value - each.group.value, each.reviewer, each.category))


def _sentiment(reviews: Sequence[Review]) -> Agreement | Undetermined:
    both = [
        (sentiment_label(each.sentiment), each.label)
        for each in reviews
        if each.aspect == SENTIMENT and each.sentiment is not None and each.label in SENTIMENTS
    ]
    scored, said = [score for score, _ in both], [label for _, label in both]
    return cohen_kappa(scored, said, weighting="quadratic", categories=SENTIMENTS)
