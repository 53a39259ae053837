"""Made-up requests of four AI features over some weeks, with known troubles in them and the truth about each.

Traffic has a daily and a weekly rhythm. In it are a cost spike, a latency drift, a quality drop, a bad deploy that was
rolled back, and a live experiment whose lift is known: what a report or an alert finds can be held against the truth.
Nothing of it is about real people or real bills, and every request says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_LABEL = "sample-traffic"
"""Begins the id of every request that was made up here."""
HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 8, 14, 18, 20, 19, 16, 18, 20, 19, 17, 14, 11, 9, 8, 7, 5, 3], dtype=np.float64)
"""How the requests of a day fall on its hours (UTC), in proportion."""
WEEKDAYS = (1.1, 1.15, 1.1, 1.05, 1.0, 0.45, 0.4)
"""Monday to Sunday, against an average working day."""
REGIONS = ("eu-west", "us-east")
ERRORS = ("timeout", "rate_limit", "server")

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one feature is used, and how well it does where nothing is wrong with it."""

    feature: str
    project: str
    provider: str
    model: str
    version: str
    categories: tuple[str, ...]
    per_day: float
    """Requests of an average working day."""
    input_tokens: float
    """Median of a request; so are the next two."""
    output_tokens: float
    latency_ms: float
    cached_share: float = 0.0
    """Of the median prompt: its beginning is the same in every request, so that the provider's cache could have it."""
    read_rate: float = 0.4
    """Of the requests, those that do read it from there."""
    error_rate: float = 0.01
    quality: float = 0.9
    """Mean judged quality in [0, 1], of the third of the requests that is judged."""
    resolved: float | None = None
    """Share of the conversations that end resolved, for features that have conversations."""

    @property
    def beginning(self) -> int:
        """Tokens at the beginning of every prompt that are the same: instructions, examples, tools."""
        return round(self.input_tokens * self.cached_share)


PROFILES = (
    Profile(
        feature="chatbot",
        project="support",
        provider="openai",
        model="gpt-4o",
        version="1.1.0",
        categories=("billing", "shipping", "account", "returns"),
        per_day=300,
        input_tokens=1400,
        output_tokens=220,
        latency_ms=1300,
        cached_share=0.75,
        read_rate=0.05,
        quality=0.88,
        resolved=0.62,
    ),
    Profile(
        feature="ai-search",
        project="shop",
        provider="openai",
        model="gpt-4o-mini",
        version="2.0.0",
        categories=("catalogue", "help"),
        per_day=450,
        input_tokens=700,
        output_tokens=60,
        latency_ms=420,
        quality=0.83,
    ),
    Profile(
        feature="summaries",
        project="support",
        provider="anthropic",
        model="claude-haiku-4-5",
        version="3.2.0",
        categories=("tickets", "calls"),
        per_day=120,
        input_tokens=5200,
        output_tokens=380,
        latency_ms=2600,
        cached_share=0.7,
        read_rate=0.05,
        quality=0.91,
    ),
    Profile(
        feature="photo-tagging",
        project="shop",
        provider="in-house",
        model="tagger-2",
        version="0.9.0",
        categories=("products",),
        per_day=200,
        input_tokens=900,
        output_tokens=40,
        latency_ms=310,
        error_rate=0.005,
        quality=0.86,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that was put into the traffic of one feature on purpose."""

    kind: str
    feature: str
    begins: datetime
    ends: datetime
    effect: Mapping[str, float]
    """What changed and by how much; the keys say in which unit."""

    def during(self, at: Floats) -> Flags:
        """Which moments, in seconds since 1970, lie in it."""
        return (at >= self.begins.timestamp()) & (at < self.ends.timestamp())


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveExperiment:
    """A split of one feature's subjects into two arms, with the true difference between them."""

    name: str = "shorter-replies"
    feature: str = "chatbot"
    control: str = "1.1.0"
    treatment: str = "1.2.0-b"
    treated_share: float = 0.5
    lift: float = 0.08
    """What is added to the share that is resolved."""
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTraffic:
    """All that was made up, and the truth about it."""

    first_day: date
    days: int
    seed: int
    troubles: tuple[Trouble, ...]
    experiment: LiveExperiment
    requests: tuple[Mapping[str, Any], ...] = field(repr=False)
    """In order of time; the fields are those that `assay ingest` reads."""

    def truth(self) -> dict[str, Any]:
        """What a reader of the traffic should be able to find, as it can be written to a JSON file."""
        return {
            "label": "sample data: made up by a seeded generator, about no real person and no real bill",
            "seed": self.seed,
            "first_day": self.first_day.isoformat(),
            "days": self.days,
            "time_zone": "UTC",
            "requests": {
                profile.feature: sum(each["feature"] == profile.feature for each in self.requests)
                for profile in PROFILES
            },
            "troubles": [
                {
                    "kind": each.kind,
                    "feature": each.feature,
                    "begins": each.begins.isoformat(),
                    "ends": each.ends.isoformat(),
                    **each.effect,
                }
                for each in self.troubles
            ],
            "caching": [self._caching(profile) for profile in PROFILES if profile.cached_share],
            "experiment": {
                **asdict(self.experiment),
                "begins": self.experiment.begins.isoformat(),
                "ends": self.experiment.ends.isoformat(),
                "metric": "share of the requests without an error that are resolved",
            },
        }

    def _caching(self, profile: Profile) -> dict[str, Any]:
        """What the cache had of a feature's prompts, and what it could have had: if every request had read from it, or
        every one that a cache of an hour's memory would still have known."""
        mine = [each for each in self.requests if each["feature"] == profile.feature]
        prompts = [each["input_tokens"] + each["cached_tokens"] for each in mine]
        return {
            "feature": profile.feature,
            "shared_beginning_tokens": profile.beginning,
            "read_by": profile.read_rate,
            "prompt_tokens": sum(prompts),
            "cached_tokens": sum(each["cached_tokens"] for each in mine),
            "cacheable_tokens": len(mine) * profile.beginning,
            "cacheable_within_an_hour_tokens": sum(_within_an_hour(mine)) * profile.beginning,
            "output_tokens": sum(each["output_tokens"] for each in mine),
        }


def _within_an_hour(requests: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which requests, in order of time, begin as one within the hour before them did, or did read from the cache."""
    last: dict[str, datetime] = {}
    found = []
    for each in requests:
        at = datetime.fromisoformat(each["at"])
        before = last.get(each["prompt_version"])
        found.append(each["cached_tokens"] > 0 or (before is not None and at - before <= timedelta(hours=1)))
        last[each["prompt_version"]] = at
    return found


def sample_traffic(first_day: date, *, days: int = 30, seed: int = 7, scale: float = 1.0) -> SampleTraffic:
    """Traffic from the first day on; the same arguments give the same requests. `scale` multiplies how many there are.

    Raises ValueError for fewer than 14 days: the troubles need room.
    """
    if days < 14:
        raise ValueError(f"sample traffic takes at least 14 days, not {days}")
    random = np.random.default_rng(seed)
    troubles = _troubles(first_day, days)
    experiment = LiveExperiment(begins=_moment(first_day, days // 6), ends=_moment(first_day, days - days // 8))
    requests = [
        request
        for profile in PROFILES
        for request in _requests_of(profile, first_day, days, scale, troubles, experiment, random)
    ]
    requests.sort(key=lambda each: (each["at"], each["external_id"]))
    return SampleTraffic(
        first_day=first_day,
        days=days,
        seed=seed,
        troubles=troubles,
        experiment=experiment,
        requests=tuple(requests),
    )


def _troubles(first_day: date, days: int) -> tuple[Trouble, ...]:
    """In the second and third thirds of the time, so that each has something before it to be compared with."""
    drift, drop = days // 2, days * 2 // 3
    spike, deploy = (_working_day(first_day, day) for day in (days * 2 // 5, days * 11 // 20))
    end = _moment(first_day, days)
    return (
        Trouble(
            kind="cost spike",
            feature="ai-search",
            begins=_moment(first_day, spike, 9),
            ends=_moment(first_day, spike, 17),
            effect={"input_tokens_times": 8.0},
        ),
        Trouble(
            kind="latency drift",
            feature="photo-tagging",
            begins=_moment(first_day, drift),
            ends=end,
            effect={"latency_growth_per_day": 0.04},
        ),
        Trouble(
            kind="quality drop",
            feature="summaries",
            begins=_moment(first_day, drop),
            ends=end,
            effect={"quality_added": -0.15},
        ),
        Trouble(
            kind="bad deploy",
            feature="chatbot",
            begins=_moment(first_day, deploy, 14),
            ends=_moment(first_day, deploy + 1, 9),
            effect={"error_rate": 0.18, "latency_times": 1.6},
        ),
    )


def _working_day(first_day: date, day: int) -> int:
    """The same day or one of the next, so that it and the day after are working days with their full traffic."""
    return next(n for n in range(day, day + 7) if (first_day + timedelta(days=n)).weekday() < 4)


BAD_VERSION = "1.2.0"
"""The version of the bad deploy."""


def _requests_of(
    profile: Profile,
    first_day: date,
    days: int,
    scale: float,
    troubles: tuple[Trouble, ...],
    experiment: LiveExperiment,
    random: np.random.Generator,
) -> Iterator[Mapping[str, Any]]:
    at = _moments(profile, first_day, days, scale, random)
    mine = {each.kind: (each, each.during(at)) for each in troubles if each.feature == profile.feature}
    subjects = random.integers(0, 900, at.size)
    treated = _treated(profile, experiment, at, subjects)
    deployed = _flags(mine, "bad deploy", at.size) & ~treated
    failed = random.random(at.size) < _error_rate(profile, mine, deployed, at.size)
    latency = _latency(profile, mine, deployed, at, random)
    prompt, cached, output = _tokens(profile, mine, at.size, random)
    quality = np.clip(
        random.normal(profile.quality + _effect(mine, "quality drop", "quality_added", at.size), 0.06), 0, 1
    )
    judged = ~failed & (random.random(at.size) < 1 / 3)
    resolved = random.random(at.size) < (profile.resolved or 0.0) + experiment.lift * treated
    chance = random.random((3, at.size))
    for n in range(at.size):
        version = experiment.treatment if treated[n] else BAD_VERSION if deployed[n] else profile.version
        yield {
            "external_id": f"{SAMPLE_LABEL}-{profile.feature}-{n:06d}",
            "at": datetime.fromtimestamp(float(at[n]), UTC).isoformat(timespec="milliseconds"),
            "feature": profile.feature,
            "category": profile.categories[int(chance[0, n] * len(profile.categories))],
            "project": profile.project,
            "environment": "production",
            "region": REGIONS[int(subjects[n]) % len(REGIONS)],
            "provider": profile.provider,
            "model": profile.model,
            "prompt_version": version,
            "subject": f"sample-customer-{subjects[n]:04d}",
            "latency_ms": round(float(latency[n]), 3),
            "status": "error" if failed[n] else "success",
            "error_type": ERRORS[int(chance[1, n] * len(ERRORS))] if failed[n] else None,
            "input_tokens": int(prompt[n] - cached[n]),
            "cached_tokens": int(cached[n]),
            "output_tokens": 0 if failed[n] else int(output[n]),
            "quality": round(float(quality[n]), 3) if judged[n] else None,
            **_experiment_fields(profile, experiment, float(at[n]), bool(treated[n])),
            **_conversation(profile, bool(failed[n]), bool(resolved[n]), float(chance[2, n]), float(latency[n])),
        }


def _moment(first_day: date, days: int, hour: int = 0) -> datetime:
    return datetime.combine(first_day + timedelta(days=days), time(hour), UTC)


def _moments(profile: Profile, first_day: date, days: int, scale: float, random: np.random.Generator) -> Floats:
    """Seconds since 1970 of all requests, ascending; shape (n,)."""
    found = []
    for day in range(days):
        start = _moment(first_day, day)
        expected = profile.per_day * scale * WEEKDAYS[start.weekday()] * HOURS / HOURS.sum()
        hours = np.repeat(np.arange(24), random.poisson(expected))
        # To the millisecond: that is how they are written.
        found.append(start.timestamp() + np.floor((hours + random.random(hours.size)) * 3_600_000) / 1000)
    return np.sort(np.concatenate(found))


def _treated(profile: Profile, experiment: LiveExperiment, at: Floats, subjects: NDArray[np.int64]) -> Flags:
    """A subject stays in its arm: the first of a thousand numbers are treated."""
    if profile.feature != experiment.feature:
        return np.zeros(at.size, dtype=np.bool_)
    running = (at >= experiment.begins.timestamp()) & (at < experiment.ends.timestamp())
    treated: Flags = running & (subjects * 7919 % 1000 < 1000 * experiment.treated_share)
    return treated


Mine = Mapping[str, tuple[Trouble, Flags]]


def _flags(mine: Mine, kind: str, n: int) -> Flags:
    return mine[kind][1] if kind in mine else np.zeros(n, dtype=np.bool_)


def _effect(mine: Mine, kind: str, name: str, n: int) -> Floats:
    """The effect where the trouble is, 0 elsewhere."""
    return np.where(mine[kind][1], mine[kind][0].effect[name], 0.0) if kind in mine else np.zeros(n)


def _error_rate(profile: Profile, mine: Mine, deployed: Flags, n: int) -> Floats:
    return np.where(deployed, _effect(mine, "bad deploy", "error_rate", n), profile.error_rate)


def _latency(profile: Profile, mine: Mine, deployed: Flags, at: Floats, random: np.random.Generator) -> Floats:
    """Milliseconds, log-normal around the median; shape (n,)."""
    drawn = profile.latency_ms * random.lognormal(0, 0.45, at.size)
    slowed = np.where(deployed, _effect(mine, "bad deploy", "latency_times", at.size), 1.0)
    growth = 1 + _effect(mine, "latency drift", "latency_growth_per_day", at.size)
    began = mine["latency drift"][0].begins.timestamp() if "latency drift" in mine else 0.0
    return drawn * slowed * growth ** np.maximum(0, (at - began) / 86_400)


def _tokens(
    profile: Profile, mine: Mine, n: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Tokens of the prompt, those of them that were cached, and of the reply; shape (n,) each."""
    longer = np.maximum(1.0, _effect(mine, "cost spike", "input_tokens_times", n))
    own = (profile.input_tokens - profile.beginning) * random.lognormal(0, 0.35, n)
    prompt = np.ceil(longer * (profile.beginning + own)).astype(np.int64)
    cached = np.where(random.random(n) < profile.read_rate, profile.beginning, 0).astype(np.int64)
    return prompt, cached, np.ceil(profile.output_tokens * random.lognormal(0, 0.5, n)).astype(np.int64)


def _experiment_fields(profile: Profile, experiment: LiveExperiment, at: float, treated: bool) -> Mapping[str, Any]:
    if profile.feature != experiment.feature:
        return {}
    if not experiment.begins.timestamp() <= at < experiment.ends.timestamp():
        return {}
    return {"experiment": experiment.name, "variant": "treatment" if treated else "control"}


def _conversation(profile: Profile, failed: bool, resolved: bool, chance: float, latency: float) -> Mapping[str, Any]:
    """How a conversation ended, for features that have them; `chance` in [0, 1) decides what is left open."""
    if profile.resolved is None:
        return {}
    if failed or not resolved:
        escalated = failed or chance < 0.7
        return {
            "resolution": "escalated_human" if escalated else "unresolved",
            "escalation_reason": None if not escalated else "error" if failed else "not understood",
            "resolution_s": round(600 + 1800 * chance, 1) if escalated else None,
            "rating": 1 + int(chance * 10) if chance < 0.2 else None,
        }
    return {
        "resolution": "resolved",
        "escalation_reason": None,
        "resolution_s": round(latency / 1000 * (2 + 6 * chance), 1),
        "rating": 4 + int(chance * 10 >= 1) if chance < 0.2 else None,
    }
