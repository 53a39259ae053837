"""Arrivals: when calls are due in an open loop, whether earlier ones were answered or not.

In a closed loop a slow answer delays the next question, so that the wait of whoever would have come meanwhile is never
measured. Here a call is due by the schedule alone; what it waits for a free place counts as its queue.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

from evaluations.specs import Arrivals


@dataclass(slots=True)
class Schedule:
    """Due moments, one after the other, from the first time one is asked for."""

    arrivals: Arrivals
    draw: random.Random
    _last: float | None = field(default=None)

    async def turn(self, stop: asyncio.Event) -> float:
        """Wait until the next call is due, or the run is to stop; gives the moment it was due, by the loop's clock."""
        due = self._next()
        left = due - asyncio.get_running_loop().time()
        if left > 0 and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), left)
        return due

    def _next(self) -> float:
        if self._last is None:
            self._last = asyncio.get_running_loop().time()
        else:
            mean = 1 / self.arrivals.per_second
            poisson = self.arrivals.process == "poisson"
            self._last += self.draw.expovariate(self.arrivals.per_second) if poisson else mean
        return self._last


def waited_ms(due: float) -> float:
    """Milliseconds since a call was due."""
    return max(0.0, 1000 * (asyncio.get_running_loop().time() - due))
