"""Deployments: what a bundle is, how one goes live, and what it takes.

A bundle is everything that answers for a feature: a prompt version, a model, its parameters. It goes live as a whole
and comes back as a whole.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from evaluations.errors import AssayError
from evaluations.watching import GUARDS, Guard

Status = Literal["pending_approval", "pending", "deploying", "deployed", "failed", "rolled_back", "superseded"]
Trigger = Literal["experiment", "manual", "baseline", "rollback"]
"""baseline: what applications got already when the first deployment of a feature was asked for."""
Progress = Literal["success", "failed", "in-progress"]
Change = Literal["added", "removed", "changed"]

STATUSES: tuple[Status, ...] = get_args(Status)
TRIGGERS: tuple[Trigger, ...] = get_args(Trigger)
UNDER_WAY: tuple[Status, ...] = ("pending_approval", "pending", "deploying")
"""No other deployment of the feature and environment may begin."""

TRANSITIONS: Mapping[Status, tuple[Status, ...]] = {
    "pending_approval": ("pending", "failed"),
    "pending": ("deploying", "failed"),
    "deploying": ("deployed", "rolled_back", "failed"),
    "deployed": ("superseded", "rolled_back"),
    "failed": (),
    "rolled_back": (),
    "superseded": (),
}
"""From each status to those that may follow. A bundle that comes back is a new deployment, by a rollback."""
PROGRESS: Mapping[Status, Progress] = {
    "pending_approval": "in-progress",
    "pending": "in-progress",
    "deploying": "in-progress",
    "deployed": "success",
    "superseded": "success",
    "failed": "failed",
    "rolled_back": "failed",
}
"""The three words that leadership's pages use."""


class IllegalDeployment(AssayError):
    """A step that the life of a deployment does not have."""


def check_transition(name: str, before: Status, after: Status) -> None:
    """Raises IllegalDeployment unless `after` may follow `before`."""
    if after not in TRANSITIONS[before]:
        following = ", ".join(TRANSITIONS[before]) or "nothing"
        raise IllegalDeployment(f"deployment {name} is {before}; after that comes {following}, not {after}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What answers for a feature."""

    prompt: str
    """NAME@VERSION; the version is immutable."""
    model: str
    """provider/model."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the application understands; goes live and comes back with the rest."""

    @classmethod
    def read(cls, document: Mapping[str, Any], *, beneath: "Bundle | None" = None) -> "Bundle":
        """The bundle of a flag's object. What it does not say of prompt, model and parameters stays as in `beneath`.

        Raises AssayError when prompt or model stay open, or a value is no JSON.
        """
        filled = {**({} if beneath is None else beneath.document), **document}
        missing = [name for name in ("prompt", "model") if not isinstance(filled.get(name), str) or not filled[name]]
        if missing:
            raise AssayError(
                f"the bundle names no {' and no '.join(missing)}. A bundle is a prompt version, a model and its "
                'parameters: {"prompt": "shipping@4.0.0", "model": "openai/gpt-4o-mini", "parameters": {}}.'
            )
        parameters = filled.get("parameters", {})
        if not isinstance(parameters, Mapping):
            raise AssayError('`parameters` of a bundle are names with values, e.g. {"temperature": 0.2}.')
        bundle = cls(
            prompt=filled["prompt"],
            model=filled["model"],
            parameters=dict(parameters),
            more={key: value for key, value in filled.items() if key not in ("prompt", "model", "parameters")},
        )
        if not _is_json(bundle.document):
            raise AssayError("a bundle holds JSON alone: no NaN, no infinity.")
        return bundle

    @property
    def document(self) -> dict[str, Any]:
        """What the application receives."""
        return {**self.more, "prompt": self.prompt, "model": self.model, "parameters": dict(self.parameters)}

    @property
    def content_hash(self) -> str:
        """SHA-256 of all of it: what an approval is bound to."""
        return hashlib.sha256(
            json.dumps(_plain(self.document), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        ).hexdigest()

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0] if "/" in self.model else ""

    def __str__(self) -> str:
        said = ", ".join(f"{name} {value}" for name, value in sorted(self.parameters.items()))
        return f"{self.prompt} on {self.model}{f' ({said})' if said else ''}"


def _is_json(value: Any) -> bool:
    match value:
        case None | bool() | int() | str():
            return True
        case float():
            return math.isfinite(value)
        case Mapping():
            return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
        case list() | tuple():
            return all(_is_json(item) for item in value)
        case _:
            return False


def _plain(value: Any) -> Any:
    """One form of each number: 1.0 and 1 are the same parameter."""
    match value:
        case float():
            return int(value) if value.is_integer() else value
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which two bundles differ. `before` or `after` is None where one of them does not have it."""

    what: str
    """prompt, model, parameters.NAME, or a key of the rest."""
    change: Change
    before: Any
    after: Any


def differences(before: Bundle | None, after: Bundle) -> tuple[Difference, ...]:
    """What changes from one bundle to another: prompt and model first, then parameters and the rest by name."""
    old, new = ({} if before is None else _flat(before)), _flat(after)
    names = [*dict.fromkeys([*new, *old])]
    return tuple(
        Difference(
            name,
            "added" if name not in old else "removed" if name not in new else "changed",
            old.get(name),
            new.get(name),
        )
        for name in names
        if name not in old or name not in new or _plain(old[name]) != _plain(new[name])
    )


def replay(before: Bundle, after: Bundle, suite: str | None) -> str:
    """How to ask the same cases with both bundles, so that it can be told whose verdict changes.

    Requests of production are kept without what was said in them: what is asked again are the cases of a suite, the one
    of that name if a run of the feature had one.
    """
    models = " ".join(f"-m {each}" for each in dict.fromkeys((before.model, after.model)))
    prompts = " ".join(f"--prompt {each}" for each in dict.fromkeys((before.prompt, after.prompt)))
    sets = {json.dumps(_plain(each.parameters), sort_keys=True): dict(each.parameters) for each in (before, after)}
    given = json.dumps(list(sets.values()), ensure_ascii=False)
    whose = "a suite of the feature" if suite is None else f"suite {suite}"
    return (
        f"no run asked the same cases with both bundles; with `parameters: {given}` in {whose} it is: "
        f"assay run SUITE.yaml {models} {prompts}"
    )


def _flat(bundle: Bundle) -> dict[str, Any]:
    return {
        "prompt": bundle.prompt,
        "model": bundle.model,
        **{f"parameters.{name}": value for name, value in sorted(bundle.parameters.items())},
        **dict(sorted(bundle.more.items())),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a bundle goes live: by which steps, watched for how long and for what."""

    steps: tuple[int, ...] = (10, 50, 100)
    """Percent of the units that get the canary, rising, the last one 100."""
    window_s: float = 86_400.0
    """How long each step before the last is watched, and the whole afterwards."""
    alpha: float = 0.05
    """Of all rollbacks of bundles that are no worse, over all steps, looks and metrics together."""
    least_units: int = 100
    """Units of each arm without which a window does not end."""
    guards: tuple[Guard, ...] = GUARDS
    auto_rollback: bool = True
    """False: what would be rolled back waits for a person."""
    approval_s: float = 7 * 86_400.0
    """How long an approval holds."""

    def __post_init__(self) -> None:
        rising = all(before < after for before, after in zip((0, *self.steps), self.steps, strict=False))
        if not self.steps or not rising or self.steps[-1] != 100:
            raise AssayError(
                f"canary steps rise to 100 percent, e.g. 10, 50, 100; got {', '.join(map(str, self.steps))}."
            )
        if not self.window_s > 0 or not self.approval_s > 0:
            raise AssayError("a watch window and an approval last longer than no time.")
        if not 0 < self.alpha < 0.5:
            raise AssayError(f"alpha lies between 0 and 0.5; got {self.alpha:g}.")

    @property
    def document(self) -> dict[str, Any]:
        return {
            "steps": list(self.steps),
            "window_s": self.window_s,
            "alpha": self.alpha,
            "least_units": self.least_units,
            "guards": [each.document for each in self.guards],
            "auto_rollback": self.auto_rollback,
            "approval_s": self.approval_s,
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Policy":
        """The policy that was stored with a deployment."""
        return cls(
            steps=tuple(document["steps"]),
            window_s=document["window_s"],
            alpha=document["alpha"],
            least_units=document["least_units"],
            guards=tuple(Guard(**each) for each in document["guards"]),
            auto_rollback=document["auto_rollback"],
            approval_s=document["approval_s"],
        )


def canary_name(deployment_id: str) -> str:
    """What requests of a canary and of its control carry as `experiment`."""
    return f"canary:{deployment_id}"


def next_step(steps: Sequence[int], percent: int) -> int | None:
    """The share that follows; None after the last."""
    return next((each for each in steps if each > percent), None)
