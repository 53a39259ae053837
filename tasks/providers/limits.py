"""What keeps calls within a provider's limits: concurrency that adapts, rates per minute, and a circuit
breaker.

All of it lives in one event loop, holds no locks and reads the loop's clock. The path of a call that need not
wait is a few comparisons, because it is taken for every call.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

DEFAULT_CONCURRENCY = 100
BURST_S = 2.0
"""How much of a minute's allowance may be used at once. Vendors spread a minute's allowance over its
seconds."""


@dataclass(slots=True)
class Pace:
    """A rate per minute: `reserve` books an amount and says how long to wait before using it.

    The booking moves a point in time, the moment up to which the allowance is spent (a generic cell rate
    algorithm, ITU-T I.371). First come, first served; an amount larger than the burst is let through and paid
    off afterwards.
    """

    per_minute: float
    spent_until: float = 0.0

    def reserve(self, now: float, amount: float = 1.0) -> float:
        """Seconds to wait, 0 when there is room."""
        seconds = amount * 60.0 / self.per_minute
        wait = max(0.0, self.spent_until - now - BURST_S)
        self.spent_until = max(self.spent_until, now) + seconds
        return wait


@dataclass(slots=True)
class Concurrency:
    """How many calls may be open at once: additive increase, multiplicative decrease.

    Halved when the provider says that it is too much, and raised by a sixteenth of `most`, at least one, with
    each round of successes, up to `most`: Chiu and Jain (1989), as in TCP. A round of model calls takes
    seconds, so steps of one would take minutes. Answers to calls that were open at the last halving do not
    halve again.
    """

    most: int
    limit: float = 0.0
    open: int = 0
    halved_at: float = -1.0
    halvings: int = 0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    def try_enter(self) -> bool:
        if self.open < self.limit and not self._waiting:
            self.open += 1
            return True
        return False

    async def enter(self) -> None:
        """Wait for a place, first come, first served."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()  # the place was handed over in the very turn in which its taker was cancelled
            raise

    def leave(self) -> None:
        self.open -= 1
        self._hand_over()

    def succeeded(self) -> None:
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + max(1.0, self.most / 16) / self.limit)
            self._hand_over()

    def refused(self, started: float, now: float) -> None:
        """A call that started at `started` came back with "too many"."""
        if started >= self.halved_at:
            self.limit = max(1.0, self.limit / 2)
            self.halved_at = now
            self.halvings += 1

    def _hand_over(self) -> None:
        while self._waiting and self.open < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self.open += 1
                place.set_result(None)


BreakerState = Literal["closed", "open", "half_open"]


@dataclass(slots=True)
class Breaker:
    """Stops calling a provider that is down, and tries it again with one call at a time (Nygard, "Release
    It!").

    closed: calls pass. After `failures_to_open` failures in a row it opens: with ten per cent of random
    faults that takes 10^20 calls, with a dead server one round of calls.
    open: calls wait. After `pause_s`, doubled with each opening in a row up to `longest_pause_s`, it is half
    open.
    half_open: one call passes; its success closes the breaker, its failure opens it again.
    After `openings_to_give_up` openings in a row calls no longer wait but fail at once, except for the one
    probe.
    """

    failures_to_open: int = 20
    pause_s: float = 2.0
    longest_pause_s: float = 60.0
    openings_to_give_up: int = 5
    failures: int = 0
    openings: int = 0
    """Since the run began, for the report."""
    openings_in_row: int = 0
    state: BreakerState = "closed"
    open_until: float = 0.0
    last_failure: str = ""

    @property
    def given_up(self) -> bool:
        return self.openings_in_row >= self.openings_to_give_up

    def blocks(self, now: float) -> bool:
        """Whether a call that came now would have to wait."""
        return self.state == "half_open" or (self.state == "open" and now < self.open_until)

    def try_pass(self, now: float) -> bool:
        """Whether a call may go out now; from an open breaker whose pause is over, the caller is the
        probe."""
        if self.state == "closed":
            return True
        if self.state == "open" and now >= self.open_until:
            self.state = "half_open"
            return True
        return False

    def succeeded(self) -> None:
        self.failures = 0
        if self.state != "closed":
            self.state = "closed"
            self.openings_in_row = 0

    def failed(self, now: float, why: str) -> None:
        self.failures += 1
        self.last_failure = why
        if self.state == "half_open" or (self.state == "closed" and self.failures >= self.failures_to_open):
            pause = min(self.longest_pause_s, self.pause_s * 2**self.openings_in_row)
            self.state = "open"
            self.open_until = now + pause
            self.openings += 1
            self.openings_in_row += 1

    def probe_ended(self) -> None:
        """The probe came back without a word about the provider's health, or was cancelled: let another one
        try."""
        if self.state == "half_open":
            self.state = "open"
