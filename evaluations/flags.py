"""Flag definitions as flagd reads them: which bundle of a feature each unit gets.

One flag a feature, one document an environment. Splitting is flagd's own `fractional`: it hashes the experiment's name
with the unit's id, so a unit keeps its variant for as long as the experiment runs, and two experiments split
independently of each other. Any OpenFeature SDK evaluates the same document alike. Source: https://flagd.dev/reference/
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SCHEMA = "https://flagd.dev/schema/v0/flags.json"
DEFAULT = "default"
"""The flag's variant for whoever takes no part in an experiment or a canary."""
CANARY, CONTROL = "canary", "control"
"""The variants of a canary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A variant of an experiment as the application receives it."""

    name: str
    percent: int
    bundle: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """An experiment that is under way on a feature."""

    experiment: str
    arms: Sequence[Arm]
    categories: Sequence[str] = ()
    """Only units whose context has one of these as `category` take part; empty: all do."""
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A bundle that a share of the units gets before all do."""

    name: str
    """What its requests and those of its control carry as `experiment`; part of how units are split."""
    percent: int
    """Of the units; 100: all of them, still watched. A larger share keeps everyone who was in a smaller one."""
    bundle: Mapping[str, Any]
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A bundle that a policy chose for a feature over the one that was deployed."""

    bundle: Mapping[str, Any]
    policy: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The bundle that was deployed, or restored, for all."""

    deployment: str
    bundle: Mapping[str, Any]
    since: datetime
    rollback: bool = False
    """It was restored: nothing that began before then counts any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that has a say in what a feature's flag hands out."""

    feature: str
    live: Live | None = None
    canary: Canary | None = None
    split: Split | None = None
    selection: Selection | None = None
    control: Mapping[str, Any] | None = None
    """Of the experiment that was started last: what everyone got before anything was deployed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """What a feature's flag hands out."""

    feature: str
    bundle: Mapping[str, Any]
    """For everyone who takes no part in a split or a canary."""
    split: Split | None = None
    canary: Canary | None = None
    origin: str = ""
    """What the bundle comes from, for people: "deployment 6f1c2d3e", "selection cheapest"."""


def flag_of(sources: Sources) -> Flag | None:
    """What holds of all that has a say: rollback > canary > running experiment > selection > live bundle.

    A rollback is over when something is begun after it. None while nothing says anything.
    """
    live, restored = sources.live, sources.live.since if sources.live and sources.live.rollback else None
    selection = sources.selection if _counts(sources.selection, restored) else None
    canary = sources.canary if _counts(sources.canary, restored) else None
    split = sources.split if _counts(sources.split, restored) else None
    if canary is not None and split is not None:
        # Beside a canary none can run; what is live for all and only watched still gives way to one that began since.
        canary, split = (None, split) if canary.percent == 100 else (canary, None)
    if selection is not None:
        bundle, origin = selection.bundle, f"selection {selection.policy}"
    elif live is not None:
        bundle, origin = live.bundle, f"{'rollback' if live.rollback else 'deployment'} {live.deployment[:8]}"
    elif sources.control is not None:
        bundle, origin = sources.control, "control"
    else:
        return None
    if canary is not None and live is not None:
        # A canary is compared with what was deployed: a selection would be a second change at once.
        bundle, origin = live.bundle, f"deployment {live.deployment[:8]}"
    return Flag(feature=sources.feature, bundle=bundle, split=split, canary=canary, origin=origin)


def _counts(begun: Canary | Split | Selection | None, restored: datetime | None) -> bool:
    """Is it there, and not older than the rollback that took it back?"""
    return begun is not None and (restored is None or (begun.since is not None and begun.since > restored))


def flag_document(flags: Sequence[Flag], environment: str) -> str:
    """The JSON document of one environment; the same bytes for the same flags."""
    document = {
        "$schema": SCHEMA,
        "metadata": {"flagSetId": f"assay/{environment}"},
        "flags": {flag.feature: _definition(flag) for flag in sorted(flags, key=lambda flag: flag.feature)},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _definition(flag: Flag) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "state": "ENABLED",
        "variants": {DEFAULT: dict(flag.bundle)},
        "defaultVariant": DEFAULT,
    }
    metadata = {"origin": flag.origin} if flag.origin else {}
    if flag.canary is not None:
        arms, name = _arms_of(flag.canary, flag.bundle), flag.canary.name
        definition["targeting"] = _targeting(name, arms)
    elif flag.split is not None:
        arms, name = tuple(flag.split.arms), flag.split.experiment
        definition["targeting"] = _targeting(name, arms, flag.split.categories)
    else:
        arms, name = (), ""
    for arm in arms:
        # The application writes both on its requests: that is how they find their way back to their arm.
        definition["variants"][arm.name] = {**arm.bundle, "experiment": name, "variant": arm.name}
    if name:
        metadata["experiment"] = name
    if metadata:
        definition["metadata"] = metadata
    return definition


def _arms_of(canary: Canary, bundle: Mapping[str, Any]) -> tuple[Arm, ...]:
    """The canary first: its share grows from the same end of the hash, so that nobody leaves it."""
    new = Arm(name=CANARY, percent=canary.percent, bundle=canary.bundle)
    if canary.percent == 100:
        return (new,)
    return (new, Arm(name=CONTROL, percent=100 - canary.percent, bundle=bundle))


def _targeting(name: str, arms: Sequence[Arm], categories: Sequence[str] = ()) -> dict[str, Any]:
    fractional: Any = {
        "fractional": [
            {"cat": [name, "/", {"var": "targetingKey"}]},
            *([arm.name, arm.percent] for arm in arms),
        ]
    }
    if len(arms) == 1:
        fractional = arms[0].name
    # Without a unit id all would land in one bucket: they take no part.
    takes_part: dict[str, Any] = {"!!": [{"var": "targetingKey"}]}
    if categories:
        takes_part = {"and": [takes_part, {"in": [{"var": "category"}, list(categories)]}]}
    return {"if": [takes_part, fractional, None]}
