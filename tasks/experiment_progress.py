"""How far an experiment is, without a look at its effects."""

from dataclasses import dataclass
from typing import Any

from evaluations.experiments import Status
from evaluations.wording import count, money, percent
from tasks.store.database import transaction
from tasks.store.experiment_data import live_data
from tasks.store.experiments import find_experiment
from tasks.store.runs import progress_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentProgress:
    """Counts alone: what was answered offline, how many units each arm has live."""

    experiment: str
    status: Status
    done: int
    """Answers offline; live, the units of the smallest arm."""
    total: int | None
    """What is planned, in the same unit; None while that is not known."""
    arms: dict[str, int]
    """Units of each arm; empty offline."""
    spent: str
    """Offline, in US dollars; empty live."""

    @property
    def over(self) -> bool:
        return self.status in ("completed", "cancelled", "failed") or (self.status == "draft")

    def as_json(self) -> dict[str, Any]:
        """The progress event of an experiment."""
        share = None if not self.total else round(self.done / self.total, 4)
        return {
            "event": "experiment.progress",
            "experiment": self.experiment,
            "status": self.status,
            "progress": {"current": self.done, "total": self.total, "share": share},
            "units": self.arms,
            "spent": self.spent or None,
        }

    def __str__(self) -> str:
        parts = [f"{self.experiment} is {self.status}"]
        if self.arms:
            parts.append(", ".join(f"{name} {count(units, 'unit')}" for name, units in self.arms.items()))
        of = f" of {count(self.total)}" if self.total else ""
        what = "answers" if not self.arms else "units in the smallest arm"
        parts.append(f"{count(self.done)}{of} {what}")
        if self.total:
            parts.append(percent(min(1.0, self.done / self.total)))
        return " · ".join([*parts, *([self.spent] if self.spent else [])])


def progress(name: str) -> ExperimentProgress:
    """How far an experiment is now."""
    with transaction() as connection:
        found = find_experiment(connection, name)
        if found.spec.design == "live_split":
            arms = {}
            if found.started_at is not None:
                data = live_data(connection, [found])[found.name]
                arms = {arm.variant: arm.units for arm in data.arms.values()}
            return ExperimentProgress(
                experiment=found.name,
                status=found.status,
                done=min(arms.values(), default=0),
                total=found.planned_n,
                arms=arms,
                spent="",
            )
        run = None if found.run_id is None else progress_of(connection, found.run_id)
    return ExperimentProgress(
        experiment=found.name,
        status=found.status,
        done=0 if run is None else run.done,
        total=None if run is None else run.total,
        arms={},
        spent="" if run is None else money(run.spent),
    )
