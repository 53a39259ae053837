"""Tidying up: bookkeeping and files that outlived their use. No fact is removed."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from evaluations.wording import count
from tasks.settings import settings
from tasks.store import housekeeping
from tasks.store.database import transaction

KEEP_CACHE_DAYS = 90
"""An answer stays in the cache's index at least so long, even where `cache_days` is less: whoever raises that later
should not pay again."""
HALF_WRITTEN_HOURS = 24


def forget_expired_answers() -> str:
    """Take what the cache serves no more out of its index; the answers themselves stay."""
    days = max(KEEP_CACHE_DAYS, settings().cache_days)
    forgotten = 0
    while True:
        with transaction() as connection:
            some = housekeeping.forget_cached(connection, days)
        forgotten += some
        if some < housekeeping.BATCH:
            return f"{count(forgotten, 'answer')} older than {days} days left the cache"


def release_dead_leases() -> str:
    """Give back what workers held that are no more."""
    with transaction() as connection:
        released = housekeeping.release_leases(connection)
    return f"{count(released, 'shard')} of dead workers given back"


def remove_half_written() -> str:
    """Remove what a killed process left of a report that it was writing."""
    removed = 0
    for path in _half_written(settings().reports_folder):
        with suppress(OSError):
            path.unlink()
            removed += 1
    return f"{count(removed, 'half-written file')} removed"


def _half_written(folder: Path) -> Iterator[Path]:
    """The temporary files of `whole_files.write_whole` whose writer cannot be at it any more."""
    oldest = time.time() - HALF_WRITTEN_HOURS * 3600
    for path in folder.glob("*/.*.????????"):
        with suppress(OSError):
            if path.is_file() and path.stat().st_mtime < oldest:
                yield path
