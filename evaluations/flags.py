"""Flag definitions as flagd reads them: which bundle of a feature each unit gets.

One flag a feature, one document an environment. Splitting is flagd's own `fractional`: it hashes the experiment's name
with the unit's id, so a unit keeps its variant for as long as the experiment runs, and two experiments split
independently of each other. Any OpenFeature SDK evaluates the same document alike. Source: https://flagd.dev/reference/
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCHEMA = "https://flagd.dev/schema/v0/flags.json"
DEFAULT = "default"
"""The flag's variant for whoever takes no part in an experiment."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """What a feature's flag hands out."""

    feature: str
    bundle: Mapping[str, Any]
    """For everyone who takes no part in a split."""
    split: Split | None = None


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
    if flag.split is not None:
        # The application writes both on its requests: that is how they find their way back to their arm.
        for arm in flag.split.arms:
            definition["variants"][arm.name] = {
                **arm.bundle,
                "experiment": flag.split.experiment,
                "variant": arm.name,
            }
        definition["targeting"] = _targeting(flag.split)
        definition["metadata"] = {"experiment": flag.split.experiment}
    return definition


def _targeting(split: Split) -> dict[str, Any]:
    fractional: dict[str, Any] = {
        "fractional": [
            {"cat": [split.experiment, "/", {"var": "targetingKey"}]},
            *([arm.name, arm.percent] for arm in split.arms),
        ]
    }
    # Without a unit id all would land in one bucket: they take no part.
    takes_part: dict[str, Any] = {"!!": [{"var": "targetingKey"}]}
    if split.categories:
        takes_part = {"and": [takes_part, {"in": [{"var": "category"}, list(split.categories)]}]}
    return {"if": [takes_part, fractional, None]}
