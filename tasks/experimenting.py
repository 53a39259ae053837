"""Experimenting: the steps of experiments as Prefect tasks. Whether something is due is read from Postgres."""

import asyncio
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from evaluations.errors import AssayError
from tasks import calibrating, experiment_analysis, experiments
from tasks.experiment_analysis import LookedAt
from tasks.experiment_pages import publish_experiments
from tasks.store.experiments import StoredExperiment


@task(name="open-experiment", cache_policy=NO_CACHE)
async def open_experiment(name: str, allow_unpriced: bool) -> UUID:
    """Start an offline experiment, or take it up again. Gives the id of its run."""
    return await asyncio.to_thread(lambda: experiments.begin_run(name, allow_unpriced=allow_unpriced))


@task(name="start-due", cache_policy=NO_CACHE)
async def start_due() -> str:
    """Start the scheduled experiments whose time has come. Gives a sentence, or nothing."""
    told = await asyncio.to_thread(experiments.start_due)
    return f"{told} " if told else ""


@task(name="under-way", cache_policy=NO_CACHE)
async def under_way(name: str | None) -> list[StoredExperiment]:
    """The experiment named, or all that run."""
    return await asyncio.to_thread(experiment_analysis.under_way, name)


@task(name="look-at-experiments", cache_policy=NO_CACHE)
async def look_at(found: list[StoredExperiment]) -> LookedAt:
    """Analyse experiments by what they declared, and end those whose rule ends them."""
    return await asyncio.to_thread(experiment_analysis.look_at, found)


@task(name="publish-experiments", cache_policy=NO_CACHE)
async def publish_looked_at(looked: LookedAt) -> None:
    """Write the page of every experiment that was looked at.

    Raises AssayError, after all had their turn, when some could not be looked at.
    """
    await asyncio.to_thread(publish_experiments, looked)
    if looked.failed:
        raise AssayError(str(looked))


@task(name="calibrate", cache_policy=NO_CACHE)
async def calibrate(feature: str | None, days: int, shuffles: int, seed: int) -> str:
    """Shuffle labels on real requests and count false alarms. Raises NotCalibrated when there are too many."""
    return await asyncio.to_thread(lambda: calibrating.told(calibrating.calibrate_all(feature, days, shuffles, seed)))
