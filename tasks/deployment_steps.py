"""The steps of deployments as Prefect tasks. What is due is read from Postgres, so that each is safe to run twice."""

import asyncio
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from evaluations.errors import AssayError
from tasks import advancing, delivering, deploying, drilling
from tasks.deploying import Proposal, Wish
from tasks.scheduling import Ended
from tasks.store.database import transaction
from tasks.store.deployments import environments_in_use


@task(name="load-decision", cache_policy=NO_CACHE)
async def load_decision(experiment: str, environment: str) -> Proposal:
    """What an experiment decided, as a bundle with all that is known about it.

    Raises AssayError for one that has not concluded, has no winner, or whose split proves nothing.
    """
    return await asyncio.to_thread(deploying.propose, Wish(experiment=experiment, environment=environment))


@task(name="check-bundle", cache_policy=NO_CACHE)
async def check_bundle(proposal: Proposal) -> None:
    """Raises AssayError with everything that speaks against it."""
    if proposal.refused:
        raise AssayError(deploying.refusal_sentence(proposal))


@task(name="open-deployment", cache_policy=NO_CACHE)
async def open_deployment(proposal: Proposal, why: str) -> UUID:
    """Ask for it, or find it asked for already. Gives the deployment's id."""
    said = why or "asked for by the flow deploy-winner"
    return (await asyncio.to_thread(lambda: deploying.start(proposal, why=said))).id


@task(name="take-due-steps", cache_policy=NO_CACHE)
async def take_due_steps(deployment_id: UUID) -> str:
    """Every step of one deployment that is due. Gives a sentence about where it stands."""
    return await asyncio.to_thread(advancing.advance, deployment_id)


@task(name="take-all-due-steps", cache_policy=NO_CACHE)
async def take_all_due_steps() -> Ended:
    """Every step of every deployment that is due. One that fails is named, and keeps none of the others."""
    advanced = await asyncio.to_thread(advancing.advance_all)
    return Ended(str(advanced), failed=bool(advanced.failed))


@task(name="mend-flag-files", cache_policy=NO_CACHE)
async def mend_flag_files() -> str:
    """Write every flag file that is not what the database says."""
    return await asyncio.to_thread(advancing.mend_flags)


@task(name="deliver-flags", cache_policy=NO_CACHE)
async def deliver_flags() -> Ended:
    """Hand the flags over to whatever reads over HTTP and does not have them yet."""
    return await asyncio.to_thread(_deliver)


def _deliver() -> Ended:
    with transaction() as connection:
        environments = environments_in_use(connection)
    done = [each for environment in environments for each in delivering.deliver(environment)]
    said = " ".join(f"{each}." for each in done) or "Nothing had to be delivered over HTTP."
    return Ended(said, failed=not all(each.delivered for each in done))


@task(name="drill-rollback", cache_policy=NO_CACHE)
async def drill_rollback() -> str:
    """Deploy and roll back in the drill's own environment. Raises AssayError when the way back does not work."""
    return await asyncio.to_thread(drilling.drill)
