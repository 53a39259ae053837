"""Prompts as a registry keeps them: versions in their order, what a step between two means, the life of a review.

Whether a text was looked at and approved is its review. Where it is live is its stage, and that is read from
deployments and experiments; the two are never one field.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import total_ordering
from typing import Any, Literal, get_args

from evaluations.changes import CaseChange
from evaluations.errors import AssayError
from evaluations.estimates import Estimate
from evaluations.experiment_results import DiffLine

Bump = Literal["patch", "minor", "major"]
BUMPS: tuple[Bump, ...] = get_args(Bump)
"""From the smallest step to the largest."""
ReviewState = Literal["draft", "in_review", "approved", "rejected", "archived"]
REVIEW_STATES: tuple[ReviewState, ...] = get_args(ReviewState)
ReviewStep = tuple[ReviewState, ReviewState]

TRANSITIONS: Mapping[ReviewState, tuple[ReviewState, ...]] = {
    "draft": ("in_review", "archived"),
    "in_review": ("approved", "rejected", "draft", "archived"),
    "approved": ("rejected", "archived"),
    "rejected": ("in_review", "archived"),
    "archived": ("draft",),
}
"""From each state to those that may follow. An approval can be taken back: approved -> rejected."""
BY_ANOTHER: frozenset[ReviewState] = frozenset(("approved", "rejected"))
"""States into which its author cannot bring a version."""
_DEEDS: Mapping[ReviewState, str] = {
    "draft": "taken back to a draft",
    "in_review": "given to review",
    "approved": "approved",
    "rejected": "rejected",
    "archived": "archived",
}
_COMMANDS: Mapping[ReviewState, str] = {
    "draft": "assay prompts review {label} --withdraw",
    "in_review": "assay prompts review {label}",
    "approved": "assay prompts approve {label}",
    "rejected": "assay prompts reject {label} --why …",
    "archived": "assay prompts archive {label} --why …",
}


class IllegalReview(AssayError):
    """A step that the review of a prompt does not have, or that its author cannot take."""


def check_review(label: str, before: ReviewState, after: ReviewState, *, author: str, actor: str) -> None:
    """Raises IllegalReview unless `after` may follow `before` and `actor` may take that step."""
    if after not in TRANSITIONS[before]:
        following = ", or ".join(_COMMANDS[each].format(label=label) for each in TRANSITIONS[before])
        raise IllegalReview(
            f"{label} is {said_state(before)} and cannot be {_DEEDS[after]}. What can follow: {following}"
        )
    if after in BY_ANOTHER and author == actor:
        raise IllegalReview(
            f"{label} was registered by {author}, and is not {_DEEDS[after]} by its own author. Ask somebody else."
        )


def said_state(state: ReviewState) -> str:
    return state.replace("_", " ")


# Versions


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version, in the order of https://semver.org: by numbers, not by letters.

    >>> Version.read("v1.10.0") > Version.read("1.9.0"), str(Version.read("v1.0.0").bumped("minor"))
    (True, '1.1.0')
    """

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()
    build: str = ""

    @classmethod
    def read(cls, text: str) -> "Version":
        """The version in a text, a leading v aside. Raises AssayError for anything else."""
        found = _SEMVER.match(text)
        if found is None:
            raise AssayError(f"{text!r} is not a version; write three numbers, like 1.2.0.")
        pre = tuple(found["pre"].split(".")) if found["pre"] else ()
        return cls(int(found["major"]), int(found["minor"]), int(found["patch"]), pre, found["build"] or "")

    def __str__(self) -> str:
        pre = f"-{'.'.join(self.pre)}" if self.pre else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{f'+{self.build}' if self.build else ''}"

    def __lt__(self, other: "Version") -> bool:
        return self._precedence < other._precedence

    @property
    def _precedence(self) -> tuple[Any, ...]:
        # A pre-release comes before its release, numbers before words; build metadata only breaks ties.
        pre = tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in self.pre)
        return (self.major, self.minor, self.patch, not self.pre, pre, self.build)

    def bumped(self, bump: Bump) -> "Version":
        """The next version after a change of that size."""
        match bump:
            case "major":
                return Version(self.major + 1, 0, 0)
            case "minor":
                return Version(self.major, self.minor + 1, 0)
            case "patch":
                return Version(self.major, self.minor, self.patch + 1)

    def step_to(self, later: "Version") -> Bump:
        """How large the step to a later version is, by the first number that differs."""
        if later.major != self.major:
            return "major"
        return "minor" if later.minor != self.minor else "patch"


_SEMVER = re.compile(
    r"^[vV]?(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?P<patch>0|[1-9]\d*)"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$"
)


def largest(bumps: Iterable[Bump]) -> Bump | None:
    """The largest of some steps; None of none."""
    return max(bumps, key=BUMPS.index, default=None)


def asked_of(before: Version, demanded: Bump) -> Bump:
    """The step that a change asks for after a version: below 1.0.0 nothing is promised, and what breaks is minor."""
    return "minor" if demanded == "major" and before.major == 0 else demanded


def split_label(label: str) -> tuple[str, str]:
    """Name and version of NAME@VERSION; the version is "" where none is given.

    >>> split_label("support@reply@v1.2.0"), split_label("support")
    (('support@reply', 'v1.2.0'), ('support', ''))
    """
    name, at, version = label.rpartition("@")
    return (name, version) if at else (label, "")


# What differs between two versions


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs between two versions, and how large a step it asks for."""

    part: Literal["text", "turns", "variables", "few_shot", "output_schema", "parameters"]
    bump: Bump
    says: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words within a line of a diff."""

    text: str
    changed: bool


@dataclass(frozen=True, slots=True)
class DiffRow:
    """A line of the older version beside the line of the newer one that took its place."""

    kind: Literal["same", "changed", "gone", "new", "gap"]
    before: tuple[Piece, ...] = ()
    after: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptDiff:
    """Everything in which two versions of a prompt differ."""

    before: str
    """Version of the older one."""
    after: str
    changes: tuple[Change, ...]
    """The gravest first; empty when both say the same to a model."""
    lines: tuple[DiffLine, ...]
    """The messages as templates, with who says them: unified, a few lines around each change."""
    rows: tuple[DiffRow, ...]
    """The same, side by side."""
    variables: tuple[tuple[str, str, str], ...]
    """(name, before, after) of those that differ; a dash for what is not there."""
    settings: tuple[tuple[str, str, str], ...]
    """Likewise for parameters and the output schema."""

    @property
    def demanded(self) -> Bump | None:
        """The step that the whole asks for; None when nothing differs."""
        return largest(change.bump for change in self.changes)

    @property
    def asked(self) -> Bump | None:
        """The step that the number has to take from the older version on."""
        return None if self.demanded is None else asked_of(Version.read(self.before), self.demanded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """The cases that two versions answered in stored runs, under the same model and parameters."""

    suite: str
    variant: str
    """Model and parameters, as the later run called them."""
    before_run: str
    after_run: str
    compared: int
    """Cases whose content was the same in both runs, with a verdict in each."""
    before_passed: int
    after_passed: int
    changes: tuple[CaseChange, ...]
    """Cases whose verdict is another: newly failing first."""


# What is wrong with a prompt

FindingSeverity = Literal["error", "warning", "note"]
FINDING_SEVERITIES: tuple[FindingSeverity, ...] = get_args(FindingSeverity)
"""error: it cannot be registered. warning: look at it. note: may be meant."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a look at a prompt found."""

    rule: str
    severity: FindingSeverity
    place: str
    """The part of the prompt, with the line in it where there is one."""
    says: str
    remedy: str


# What a page is made of


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a version is in use, read from deployments and experiments."""

    version: str
    kind: Literal["deployment", "experiment"]
    name: str
    """The feature of a deployment, the name of an experiment."""
    environment: str
    """Empty for an experiment on the cases of a suite."""
    status: str
    traffic: int | None
    """Percent; None where it has no traffic or all."""
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A step in the review of a version."""

    version: str
    before: ReviewState | None
    after: ReviewState
    content_hash: str
    why: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """What somebody wrote about a version."""

    version: str
    text: str
    place: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """What one run measured of a version with one model."""

    version: str
    run_id: str
    at: datetime
    suite: str
    variant: str
    model: str
    passed: int
    judged: int
    rate: Estimate | None
    cost: Decimal | None
    """Of its answers, US dollars; None when none of them is priced."""
    unpriced: int
    latency_ms: float | None
    """Median over answers that were called for."""
    simulated: bool
    sample_data: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Production requests that name a version in `prompt_version`, over all days that are rolled up."""

    version: str
    requests: int
    successes: int
    errors: int
    ratings: int
    rating: float | None
    """Mean, 1 to 5; None when nobody rated."""
    cost: Decimal | None
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """A version with all that is known of it."""

    version: str
    seq: int
    content_hash: str
    registered: bool
    """False: a run brought it, nobody registered it."""
    state: ReviewState | None
    """None where it is not registered."""
    parent: str | None
    changelog: str
    author: str
    at: datetime
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    text: tuple[str, ...]
    """The messages as lines, with who says them."""
    variables: tuple[tuple[str, str, str], ...]
    """(name, type with what holds for it, description)."""
    settings: tuple[tuple[str, str], ...]
    tokens: int
    """About, without what variables bring."""
    findings: tuple[Finding, ...]
    diff: PromptDiff | None
    """Against its parent."""
    behaviour: tuple[Behaviour, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptHistory:
    """A prompt with its versions, the newest first, and everything that is known of them."""

    id: str
    name: str
    description: str
    versions: tuple[VersionFacts, ...]
    places: tuple[Place, ...]
    reviews: tuple[Review, ...]
    comments: tuple[Comment, ...]
    runs: tuple[MeasuredRun, ...]
    traffic: tuple[Traffic, ...]
    as_of: datetime
