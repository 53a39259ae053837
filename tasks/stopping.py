"""Stopping: one place where a signal, a limit or a lost lease asks a run to end, and where the reason is kept."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Literal

Reason = Literal["interrupted", "budget", "time", "decided"]


class Stop:
    """A request to make no new calls. Created inside the event loop that waits for it; asked from any thread."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.reason: Reason | None = None
        self._loop = asyncio.get_running_loop()

    def request(self, reason: Reason) -> None:
        """Ask once; the first reason stays."""
        self._loop.call_soon_threadsafe(self._set, reason)

    def _set(self, reason: Reason) -> None:
        if self.reason is None:
            self.reason = reason
        self.event.set()

    @property
    def requested(self) -> bool:
        return self.event.is_set()


_live: set[Stop] = set()
_asked: Reason | None = None
_lock = Lock()


@contextmanager
def stoppable(stop: Stop) -> Iterator[Stop]:
    """For its duration, `stop_all` reaches this stop; a request made before it began reaches it at once."""
    with _lock:
        _live.add(stop)
        if _asked is not None:
            stop.request(_asked)
    try:
        yield stop
    finally:
        with _lock:
            _live.discard(stop)


def stop_all(reason: Reason) -> None:
    """Ask every run of this process to stop, those that have not begun yet included."""
    global _asked
    with _lock:
        _asked = reason
        for stop in _live:
            stop.request(reason)


def forget() -> None:
    """Let later runs of this process begin again."""
    global _asked
    with _lock:
        _asked = None
