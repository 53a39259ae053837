"""What the pages about deployments are made of: one deployment with its life, and all of them side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from evaluations.deployment_checks import Check
from evaluations.deployment_health import DeploymentHealth, FlagsState
from evaluations.deployments import UNDER_WAY, Bundle, Difference, Policy, Status, Trigger
from evaluations.impacts import WindowImpact
from evaluations.watching import Reading, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A deployment as it stands."""

    id: str
    feature: str
    environment: str
    status: Status
    trigger: Trigger
    live: bool
    bundle: Bundle
    content_hash: str
    experiment: str | None
    variant: str | None
    percent: int
    """Of the units that get it now."""
    approvals_required: int
    policy: Policy
    waived: str
    """By whom, why and what; empty when nothing was."""
    why: str
    moved_why: str
    actor: str
    asked_at: datetime
    began_at: datetime | None
    deployed_at: datetime | None
    ended_at: datetime | None
    restores: str | None
    """The beginning of the id whose bundle came back."""
    approved_by: tuple[str, ...]
    sample_data: bool

    @property
    def name(self) -> str:
        """The beginning of its id, as commands show and take it."""
        return self.id[:8]

    @property
    def under_way(self) -> bool:
        return self.status in UNDER_WAY


@dataclass(frozen=True, slots=True)
class LifeStep:
    """A step in the life of a deployment."""

    status: Status
    percent: int
    why: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Word:
    """What a person said on it."""

    decision: str
    actor: str
    why: str
    at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLook:
    """One look at a window."""

    verdict: Verdict
    sentence: str
    readings: tuple[Reading, ...]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchWindow:
    """A share of the traffic that it has or had, with the looks at it, the first one first."""

    step: int
    percent: int
    began_at: datetime
    ended_at: datetime | None
    outcome: str | None
    why: str
    looks: tuple[WatchLook, ...]


@dataclass(frozen=True, slots=True)
class CaseChange:
    """A case whose verdict is another one under the new bundle."""

    case_id: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleChange:
    """What changes when a bundle takes the place of another one."""

    before: Bundle | None
    after: Bundle
    differences: tuple[Difference, ...]
    prompt_diff: tuple[str, ...]
    """Lines that begin with +, - or a space; @@ where some are left out."""
    monthly_cost: Decimal | None
    monthly_cost_before: Decimal | None
    suite: str | None
    """Whose cases both answered in one run; None without such a run."""
    cases: int
    changed: tuple[CaseChange, ...]
    checks: tuple[Check, ...]

    @property
    def refused(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.level == "refuse")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPage:
    """One deployment with all that happened to it."""

    deployment: Deployed
    life: tuple[LifeStep, ...]
    words: tuple[Word, ...]
    windows: tuple[WatchWindow, ...]
    impact: tuple[WindowImpact, ...]
    change: BundleChange
    health: DeploymentHealth | None
    """Of what is live."""
    flags: FlagsState
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployPreview:
    """What would change if a wish were granted; nothing is written yet."""

    feature: str
    environment: str
    experiment: str | None
    variant: str | None
    live: str | None
    """The beginning of the id of what is live."""
    change: BundleChange
    policy: Policy
    approvals_required: int
    command: str
    """What asks for it."""
    sample_data: bool
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentsOverview:
    """Every feature and environment side by side."""

    environments: tuple[str, ...]
    deployments: tuple[Deployed, ...]
    """The latest first."""
    windows: Mapping[str, tuple[WatchWindow, ...]]
    """Of those under way or still watched, by id."""
    healths: Sequence[DeploymentHealth]
    flags: tuple[FlagsState, ...]
    left_out: int
    """Older deployments that are not told."""
    as_of: datetime

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(sorted({each.feature for each in self.deployments}))

    @property
    def sample_data(self) -> bool:
        return any(each.sample_data for each in self.deployments)

    def live(self, feature: str, environment: str) -> Deployed | None:
        """What is live for a feature in an environment."""
        found = (e for e in self.deployments if e.live and (e.feature, e.environment) == (feature, environment))
        return next(found, None)

    @property
    def coming(self) -> tuple[Deployed, ...]:
        """Those under way, and live ones whose watch is not over."""
        return tuple(each for each in self.deployments if each.under_way or self.watched(each) is not None)

    def watched(self, deployment: Deployed) -> WatchWindow | None:
        """The window of a deployment that is open."""
        return next((each for each in self.windows.get(deployment.id, ()) if each.ended_at is None), None)

    def health(self, feature: str, environment: str) -> DeploymentHealth | None:
        found = (e for e in self.healths if (e.feature, e.environment) == (feature, environment))
        return next(found, None)


def json_of(value: Any) -> Any:
    """A bundle's value as people read it: text as it is, anything else as JSON."""
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
