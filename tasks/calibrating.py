"""A/A calibration on the store's own requests: shuffled labels, every method, every feature with enough units."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from evaluations.calibration import LEAST_UNITS, FalseAlarms, calibrate
from evaluations.errors import AssayError
from evaluations.wording import count, percent
from tasks.store import experiment_data
from tasks.store.database import transaction

METRICS = ("success_rate", "latency_ms", "cost", "quality")
MOST_UNITS = 20_000
"""Of a feature, the latest: more do not make a rate of false alarms any clearer."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One method on one metric of one feature."""

    feature: str
    metric: str
    found: FalseAlarms


class NotCalibrated(AssayError):
    """A method calls differences where there are none more often than it promises."""


def calibrate_all(
    feature: str | None, days: int, shuffles: int, seed: int, now: datetime | None = None
) -> list[Calibrated]:
    """Calibrate on the requests of the last days. Raises AssayError when no feature has enough units."""
    import numpy as np

    ends = now or datetime.now(UTC)
    with transaction() as connection:
        samples = experiment_data.unit_samples(
            connection, METRICS, ends - timedelta(days=days), ends, feature=feature, most=MOST_UNITS
        )
    generator = np.random.default_rng(seed)
    calibrated = [
        Calibrated(name, metric, each)
        for (name, metric), (x, y) in samples.items()
        if x.size >= LEAST_UNITS and np.ptp(x / y) > 0
        for each in calibrate(x, y, generator, shuffles=shuffles)
    ]
    if not calibrated:
        raise AssayError(
            f"nothing to calibrate on: no feature has {LEAST_UNITS} units with a value in the last {days} days."
        )
    return calibrated


def told(calibrated: list[Calibrated]) -> str:
    """What was found, in a sentence. Raises NotCalibrated, naming every method that called too often."""
    broken = [each for each in calibrated if not each.found.held]
    worst = max(calibrated, key=lambda each: each.found.rate - each.found.limit)
    if not broken:
        metrics = len({(each.feature, each.metric) for each in calibrated})
        return (
            f"every method held on {count(metrics, 'metric')}: at most {percent(worst.found.rate)} false alarms "
            f"({worst.found.method}, {worst.metric} of {worst.feature}), {percent(worst.found.limit)} allowed"
        )
    named = "; ".join(
        f"{each.found.method} on {each.metric} of {each.feature}: {percent(each.found.rate)} false alarms in "
        f"{count(each.found.shuffles, 'shuffle')}, {percent(each.found.limit)} allowed"
        for each in broken
    )
    raise NotCalibrated(f"false alarms beyond chance. {named}. Trust no live verdict on these until it is understood.")
