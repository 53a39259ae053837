"""Everything that is known of an experiment at one moment: what its page and its JSON twin are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from evaluations.comparisons import Comparison
from evaluations.composite import CompositeScore, Sensitivity
from evaluations.experiments import Decision, Declaration, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """One variant as it was measured."""

    name: str
    control: bool
    model: str
    prompt: str
    traffic: int | None
    """Planned percent, live."""
    units: int
    """Cases offline; live, subjects that were in this arm alone."""
    requests: int
    """Answers offline."""
    levels: Mapping[str, float | None]
    """The arm's value of each metric, in the metric's unit; None where nothing was measured."""
    known: Mapping[str, int]
    """Units that have a value, by metric."""
    cost: Decimal | None
    """US dollars of all its calls; None when none was priced."""
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """How one metric is spread over the units of one arm, or how the differences are spread over cases."""

    title: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A case on which a variant and the control came out differently."""

    case_id: str
    variant: str
    control_value: float
    value: float
    control_text: str
    """What the control answered; from a model, hostile."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """One line of a diff."""

    kind: Literal["same", "gone", "new", "gap"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs between a variant and the control."""

    variant: str
    settings: tuple[tuple[str, str, str], ...]
    """Name, the control's value, the variant's value."""
    prompt: tuple[DiffLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLook:
    """An earlier look, as it was written down."""

    look: int
    at: datetime
    sentence: str
    post_hoc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step in the experiment's life."""

    status: Status
    at: datetime
    actor: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResult:
    """An experiment with what a look found."""

    id: str
    declared: Declaration
    status: Status
    config_hash: str | None
    sentence: str
    occasion: str
    """Why effects are shown now, or are not."""
    comparison: Comparison | None
    """None while effects stay unseen."""
    planned_n: int | None
    arms: tuple[ArmResult, ...]
    crossed: int
    strangers: Mapping[str, int]
    outside: int
    distributions: tuple[Distribution, ...]
    disagreements: tuple[Disagreement, ...]
    disagreements_in_all: int
    differences: tuple[Difference, ...]
    profile: str
    composite: tuple[CompositeScore, ...]
    sensitivity: tuple[Sensitivity, ...]
    looks: tuple[PastLook, ...]
    decisions: tuple[Decision, ...]
    life: tuple[Step, ...]
    sample_data: bool
    simulated: bool
    as_of: datetime
