"""Made-up requests of a canary: who got which bundle is real, what came of it is made up by a seeded generator."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from evaluations.sample_traffic import SAMPLE_LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a bundle truly does: what a watch should find."""

    quality: float
    """Mean judged quality in [0, 1]."""
    error_rate: float
    latency_ms: float
    """Median."""


@dataclass(frozen=True, slots=True)
class Served:
    """A unit, and the bundle that the application received for it."""

    unit: str
    bundle: Mapping[str, Any]


def requests_of(
    served: Sequence[Served],
    behaviours: Mapping[str, Behaviour],
    *,
    feature: str,
    begins: datetime,
    ends: datetime,
    name: str,
    seed: int,
) -> Iterator[Mapping[str, Any]]:
    """One request of each unit, evenly spread over the time; the fields are those that `assay ingest` reads.

    `behaviours` are those of the prompts, `name` begins the ids. The same arguments give the same requests.
    """
    random = np.random.default_rng(seed)
    n = len(served)
    failed, noise, slow = random.random(n), random.normal(0, 0.08, n), random.lognormal(0, 0.35, n)
    step = (ends - begins) / max(n, 1)
    for place, each in enumerate(served):
        truth = behaviours[each.bundle["prompt"]]
        provider, _, model = str(each.bundle["model"]).partition("/")
        error = bool(failed[place] < truth.error_rate)
        at = begins + step * place + timedelta(milliseconds=1)
        yield {
            "external_id": f"{SAMPLE_LABEL}-{name}-{place:05d}",
            "at": at.isoformat(timespec="milliseconds"),
            "feature": feature,
            "environment": "production",
            "provider": provider,
            "model": model,
            "prompt_version": str(each.bundle["prompt"]).partition("@")[2],
            "subject": each.unit,
            "status": "error" if error else "success",
            "error_type": "provider_error" if error else None,
            "latency_ms": round(truth.latency_ms * float(slow[place]), 3),
            "input_tokens": 1400,
            "output_tokens": 0 if error else 200,
            "quality": None if error else round(float(np.clip(truth.quality + noise[place], 0, 1)), 3),
            "experiment": each.bundle.get("experiment"),
            "variant": each.bundle.get("variant"),
        }
