"""The steps of the ingest flow as Prefect tasks."""

import asyncio
from threading import Event

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.ingest.ingesting import IngestRequest, ingest_file
from tasks.store.batches import Batch


@task(name="ingest-file", cache_policy=NO_CACHE)
async def ingest_one(request: IngestRequest) -> Batch:
    """Read one file. Cancelled, it ends in order after the rows under way."""
    stop = Event()
    work = asyncio.create_task(asyncio.to_thread(ingest_file, request, stop))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(work, return_exceptions=True)
        raise
