"""What differs between the registry and the catalogues: models that came, went, changed, or near their end."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from evaluations.models import Capability, Model

Activity = tuple[str, Mapping[str, Any] | None, Mapping[str, Any] | None, str]
"""Kind, before, after, and why in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChange:
    """What a sync would write about one model."""

    name: str
    before: Model | None
    """None: the registry did not have it."""
    after: Model | None
    """None: no catalogue lists it any more; it stays in the registry, withdrawn."""
    activities: tuple[Activity, ...]
    documented: tuple[Capability, ...] = ()
    """Capabilities of which the documentation is new or changed; with `documented` None where it fell silent."""


def told(model: Model) -> dict[str, Any]:
    """All that catalogues say of a model, as plain JSON values; tests and listings are no part of it."""
    limits = model.limits
    return {
        "provider": model.provider,
        "mode": model.mode,
        "inputs": list(model.inputs),
        "outputs": list(model.outputs),
        "context_tokens": limits.context_tokens,
        "max_output_tokens": limits.max_output_tokens,
        "max_images": limits.max_images,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "stage": model.stage,
        "retires_on": None if model.retires_on is None else model.retires_on.isoformat(),
        "successor": model.successor,
        "alias": model.alias,
        "alias_of": model.alias_of,
        "description": model.description,
        "limitations": list(model.limitations),
        "regions": None if model.regions is None else list(model.regions),
        "capabilities": {
            name: each.documented for name, each in sorted(model.capabilities.items()) if each.documented is not None
        },
        "claims": {each.about: each.said for each in model.claims},
        "use_cases": {score.use_case: score.score for score in model.use_cases if score.origin == "declared"},
    }


def fingerprint(model: Model) -> str:
    """SHA-256 of what the catalogues say of a model."""
    return hashlib.sha256(json.dumps(told(model), sort_keys=True).encode()).hexdigest()


def model_changes(known: Mapping[str, Model], listed: Mapping[str, Model], today: date) -> list[ModelChange]:
    """What a sync would write: every model of the catalogues that is new or other, every one that is gone.

    Sorted by name. A model that is withdrawn already and still not listed is no change.
    """
    changes = []
    for name in sorted({*known, *listed}):
        before, after = known.get(name), listed.get(name)
        if after is None and before is not None and before.withdrawn_at is not None:
            continue
        activities = tuple(_activities(before, after, today))
        if activities:
            changes.append(
                ModelChange(
                    name=name,
                    before=before,
                    after=after,
                    activities=activities,
                    documented=() if after is None else tuple(_documented(before, after)),
                )
            )
    return changes


def _activities(before: Model | None, after: Model | None, today: date) -> Iterator[Activity]:
    if after is None:
        yield "removed", None, None, "no catalogue lists it any more"
        return
    if before is None:
        yield "added", None, {"mode": after.mode, "life_cycle": after.life_cycle(today)}, f"listed by {after.source}"
        return
    if before.withdrawn_at is not None:
        yield "returned", None, {"life_cycle": after.life_cycle(today)}, f"listed again by {after.source}"
    old, new = told(before), told(after)
    differing = sorted(name for name in new if old[name] != new[name])
    if differing:
        was, now = ({name: each[name] for name in differing} for each in (old, new))
        yield "changed", was, now, ", ".join(name.replace("_", " ") for name in differing)
    was_at, is_at = before.life_cycle(today), after.life_cycle(today)
    if is_at != was_at and is_at in ("deprecated", "retired") and before.withdrawn_at is None:
        ends = "" if after.retires_on is None else f" on {after.retires_on}"
        yield is_at, {"life_cycle": was_at}, {"life_cycle": is_at}, f"its last day is set{ends}"


def _documented(before: Model | None, after: Model) -> Iterator[Capability]:
    was = {} if before is None else before.capabilities
    for name in sorted({*was, *after.capabilities}):
        old = was.get(name, Capability(name=name))
        new = after.capabilities.get(name, Capability(name=name, source="no longer listed"))
        if old.documented != new.documented:
            yield new
