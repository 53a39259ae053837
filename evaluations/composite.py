"""The composite score: several criteria in one number, by a named and versioned profile of weights. It ranks; it does
not decide.

Criteria on a ratio scale (speed, tokens, cost) are scored against one reference shared by all variants, the control:
as good as the control is 50, twice as good is 100, half as good is 0. The raw value stands beside every score, because
a score is cut at both ends. A criterion that is missing makes the total incomplete: it is never weighted away, for then
two variants would be ranked on different things.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Literal, get_args

from evaluations.errors import AssayError, unknown_name

Criterion = Literal[
    "response_quality",
    "speed",
    "token_efficiency",
    "accuracy",
    "user_preference",
    "cost_efficiency",
    "model_reliability",
]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A named set of weights. Weights are relative; 0 switches a criterion off."""

    name: str
    version: int
    weights: Mapping[Criterion, float]
    says: str

    @property
    def enabled(self) -> tuple[Criterion, ...]:
        return tuple(each for each in CRITERIA if self.weights.get(each, 0) > 0)


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="seed-003",
            version=1,
            weights={
                "response_quality": 40,
                "speed": 25,
                "token_efficiency": 15,
                "accuracy": 15,
                "user_preference": 0,
                "cost_efficiency": 0,
                "model_reliability": 0,
            },
            says="quality 40, speed 25, tokens 15, accuracy 15; preference (5), cost and reliability are off",
        ),
        Profile(
            name="balanced-7",
            version=1,
            weights={
                "response_quality": 25,
                "speed": 15,
                "token_efficiency": 5,
                "accuracy": 25,
                "user_preference": 5,
                "cost_efficiency": 15,
                "model_reliability": 10,
            },
            says="all seven criteria, quality and accuracy first",
        ),
    )
}


def profile_named(name: str) -> Profile:
    """Raises AssayError for a name that no profile has."""
    if name not in PROFILES:
        raise AssayError(unknown_name("scoring profile", name, list(PROFILES)))
    return PROFILES[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of one variant; None is missing, and stays so."""

    variant: str
    quality: float | None = None
    """Mean weighted score or judged quality, in [0, 1]."""
    accuracy: float | None = None
    """Correct of judged cases, in [0, 1]: from expected answers alone, never from availability."""
    latency_ms: float | None = None
    tokens_per_pass: float | None = None
    """Tokens of all answers divided by the cases that pass: padding does not help."""
    cost_per_answer: float | None = None
    """US dollars."""
    error_rate: float | None = None
    """In this experiment, not in the past, in [0, 1]."""
    rating: float | None = None
    """1 to 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeScore:
    """One variant under one profile; scores in [0, 100]."""

    variant: str
    scores: Mapping[Criterion, float | None]
    """Of the enabled criteria."""
    total: float | None
    """None when a criterion is missing."""
    missing: tuple[Criterion, ...]
    rank: int | None
    """1 is best; variants of the same total share a rank. None without a total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """How the ranking looks after one weight was changed."""

    change: str
    ranking: tuple[str, ...]
    """Variants, best first."""
    same_leader: bool


def composite(measured: Sequence[Measured], control: str, profile: Profile) -> tuple[CompositeScore, ...]:
    """Every variant under a profile, against the control as the one reference.

    Raises ValueError when the control is not among them, AssayError when the profile enables nothing.

    >>> fast = Measured(variant="b", quality=0.8, accuracy=0.8, latency_ms=500, tokens_per_pass=100)
    >>> slow = Measured(variant="a", quality=0.8, accuracy=0.8, latency_ms=1000, tokens_per_pass=100)
    >>> [(each.variant, round(each.total, 1), each.rank) for each in composite([slow, fast], "a", PROFILES["seed-003"])]
    [('a', 67.4, 2), ('b', 80.5, 1)]
    """
    if not profile.enabled:
        raise AssayError(f"the scoring profile {profile.name} enables no criterion; give one of them a weight.")
    reference = next((each for each in measured if each.variant == control), None)
    if reference is None:
        raise ValueError(f"the control {control!r} is not among the variants measured")
    scored = [(each.variant, {c: _score(c, each, reference) for c in profile.enabled}) for each in measured]
    totals = {variant: _total(scores, profile) for variant, scores in scored}
    known = sorted((total for total in totals.values() if total is not None), reverse=True)
    return tuple(
        CompositeScore(
            variant=variant,
            scores=scores,
            total=totals[variant],
            missing=tuple(criterion for criterion, score in scores.items() if score is None),
            rank=None if (total := totals[variant]) is None else known.index(total) + 1,
        )
        for variant, scores in scored
    )


def sensitivity(measured: Sequence[Measured], control: str, profile: Profile) -> tuple[Sensitivity, ...]:
    """The ranking with each weight halved, doubled and dropped, one at a time; () while totals are incomplete."""
    base = _ranking(measured, control, profile)
    if base is None:
        return ()
    found = []
    for criterion in profile.enabled:
        for words, factor in (("halved", 0.5), ("doubled", 2.0), ("dropped", 0.0)):
            weights = {**profile.weights, criterion: profile.weights[criterion] * factor}
            if not any(weights.values()):
                continue
            changed = Profile(name=profile.name, version=profile.version, weights=weights, says=profile.says)
            ranking = _ranking(measured, control, changed)
            assert ranking is not None, "fewer criteria cannot be missing more"
            found.append(Sensitivity(change=f"{criterion} {words}", ranking=ranking, same_leader=ranking[0] == base[0]))
    return tuple(found)


def _ranking(measured: Sequence[Measured], control: str, profile: Profile) -> tuple[str, ...] | None:
    scored = composite(measured, control, profile)
    totals = {each.variant: each.total for each in scored}
    if any(total is None for total in totals.values()):
        return None
    return tuple(sorted(totals, key=lambda variant: (-(totals[variant] or 0.0), variant)))


def _total(scores: Mapping[Criterion, float | None], profile: Profile) -> float | None:
    known = {criterion: score for criterion, score in scores.items() if score is not None}
    if len(known) < len(scores):
        return None
    return sum(profile.weights[c] * score for c, score in known.items()) / sum(profile.weights[c] for c in known)


def _score(criterion: Criterion, mine: Measured, reference: Measured) -> float | None:
    match criterion:
        case "response_quality":
            return _share(mine.quality)
        case "accuracy":
            return _share(mine.accuracy)
        case "speed":
            return _against(mine.latency_ms, reference.latency_ms)
        case "token_efficiency":
            return _against(mine.tokens_per_pass, reference.tokens_per_pass)
        case "cost_efficiency":
            return _against(mine.cost_per_answer, reference.cost_per_answer)
        case "model_reliability":
            return None if mine.error_rate is None else 100 * (1 - mine.error_rate)
        case "user_preference":
            return None if mine.rating is None else 25 * (mine.rating - 1)


def _share(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _against(mine: float | None, reference: float | None) -> float | None:
    """50 at the reference, 50 points for every halving, cut at 0 and 100; less is better."""
    if mine is None or reference is None or mine < 0 or reference <= 0:
        return None
    if mine == 0:
        return 100.0
    return min(100.0, max(0.0, 50 + 50 * log2(reference / mine)))
