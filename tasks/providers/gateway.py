"""The gateway: every model call of a run goes through it, and comes back as an Answer.

It keeps to each provider's limits, tries again what is worth it, prices what was used, and turns every
failure into an Answer that says what failed. Providers make single attempts and know nothing of this.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import TracebackType

from evaluations.answers import Answer, ErrorKind, Usage
from evaluations.errors import AssayError, unknown_name
from evaluations.pricing import Bound, PriceBook, Prices, cost, estimate_tokens, token_bound
from tasks.providers.base import Call, CallError, Provider, Reply, Target, Workspace
from tasks.providers.limits import DEFAULT_CONCURRENCY, Breaker, Concurrency, Pace

BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
LONGEST_RETRY_AFTER_S = 120.0
"""A provider that asks for a longer wait gets none: the answer is an error that says how long it asked
for."""
DEFAULT_OUTPUT_BOUND = 4096
"""Output tokens to reserve for where nobody set a limit."""
UNWELL: frozenset[ErrorKind] = frozenset({"server_error", "connection", "timeout"})
"""Failures that speak of a provider's health and count for its circuit breaker."""
STANDARD_TIERS = frozenset({None, "auto", "default", "standard"})
"""Service tiers that are billed by the prices we keep; a call that asks for another has no known cost."""
FREE_TO_CALL = frozenset({"replay", "simulated"})
NOT_BILLED: frozenset[ErrorKind] = frozenset(
    {
        "rate_limited",
        "auth",
        "unknown_model",
        "bad_request",
        "context_length",
        "circuit_open",
        "no_recording",
        "simulated",
    }
)
"""Failures in which the provider did no work. After the others (a timeout, a broken reply) a bill is
possible."""
POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStats:
    """What one target went through in a run, for its report."""

    label: str
    model: str
    attempts: int
    """Calls that went out, retries included."""
    retries: int
    rate_limited: int
    """Attempts that were answered with "too many requests"."""
    slot_wait_ms: float
    """Waiting for concurrency, rates and the breaker, summed over calls."""
    backoff_wait_ms: float
    """Waiting between attempts, summed over calls."""
    breaker_openings: int
    concurrency: int
    """Calls that may be open at once now."""
    max_concurrency: int


class _Lane:
    """One target on its way: its provider, its limits, its counts."""

    __slots__ = (
        "attempts",
        "backoff_wait_s",
        "bound",
        "breaker",
        "concurrency",
        "paces",
        "priced_on",
        "prices",
        "provider",
        "rate_limited",
        "retries",
        "slot_wait_s",
        "target",
    )

    def __init__(self, target: Target, breaker: Breaker) -> None:
        self.target = target
        self.breaker = breaker
        self.concurrency = Concurrency(target.max_concurrency or DEFAULT_CONCURRENCY)
        self.paces: list[tuple[Pace, bool]] = []
        """Each rate, and whether it counts tokens rather than requests."""
        if target.requests_per_minute:
            self.paces.append((Pace(target.requests_per_minute), False))
        if target.tokens_per_minute:
            self.paces.append((Pace(target.tokens_per_minute), True))
        self.provider: Provider | None = None
        self.prices: Prices | None = None
        self.bound: Bound | None = None
        self.priced_on: date | None = None
        self.attempts = self.retries = self.rate_limited = 0
        self.slot_wait_s = self.backoff_wait_s = 0.0


class Gateway:
    """Answers calls to a set of targets.

    async with gateway.slot(call.model, tokens) as queue_ms:
        answer = await gateway.answer(call, queue_ms=queue_ms)
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        *,
        prices: PriceBook,
        comparing: bool,
        seed: int,
        max_tries: int = 6,
        folder: Path | None = None,
        allow_outside: bool = False,
        stop: asyncio.Event | None = None,
        backoff_s: float = BACKOFF_S,
        today: Callable[[], date] = date.today,
        providers: Mapping[str, Provider] | None = None,
    ) -> None:
        """`folder` is what `replay/` paths are relative to. `comparing` turns fallbacks off. `stop`, once
        set, ends all waiting. `providers` gives targets, by label, another provider than the registry's.

        Raises AssayError for a fallback that is no target.
        """
        self._lanes: dict[str, _Lane] = {}
        breakers: dict[tuple[str, str | None], Breaker] = {}
        for label, target in targets.items():
            for fallback in target.fallbacks:
                if fallback not in targets:
                    raise AssayError(f"{label}: {unknown_name('fallback model', fallback, list(targets))}")
            served_by = (target.provider, target.api_base)
            self._lanes[label] = _Lane(target, breakers.setdefault(served_by, Breaker()))
            self._lanes[label].provider = (providers or {}).get(label)
        self._prices = prices
        self._comparing = comparing
        self._max_tries = max(1, max_tries)
        self._workspace = Workspace(folder=folder, allow_outside=allow_outside, seed=seed)
        self._random = random.Random(seed)
        self._backoff_s = backoff_s
        self._today = today
        self.stop = stop or asyncio.Event()

    # Slots

    def slot(self, model_label: str, tokens: int = 0) -> "_Slot":
        """A place for one call, held for the length of an `async with`; gives the milliseconds it was waited
        for.

        `tokens` is an estimate of the call's prompt and answer, for the limit of tokens per minute.
        """
        return _Slot(self, self._lane(model_label), tokens)

    async def _enter(self, lane: _Lane, tokens: int) -> float:
        """Take a place; gives the seconds waited. Takes no turn of the loop when nothing is in the way."""
        if lane.breaker.state == "closed" and not lane.paces and lane.concurrency.try_enter():
            return 0.0
        started = time.perf_counter()
        now = asyncio.get_running_loop().time
        while lane.breaker.blocks(now()) and not lane.breaker.given_up:
            if await self._pause(POLL_S):
                break
        if not lane.concurrency.try_enter():
            await lane.concurrency.enter()
        try:
            await self._keep_pace(lane, tokens)
        except BaseException:
            lane.concurrency.leave()
            raise
        waited = time.perf_counter() - started
        lane.slot_wait_s += waited
        return waited

    async def _keep_pace(self, lane: _Lane, tokens: int) -> None:
        now = asyncio.get_running_loop().time()
        wait = max(
            (pace.reserve(now, tokens if counts_tokens else 1.0) for pace, counts_tokens in lane.paces),
            default=0,
        )
        if wait > 0:
            await self._pause(wait)

    async def _pause(self, seconds: float) -> bool:
        """Wait, unless the run is to stop; True when it is."""
        if self.stop.is_set():
            return True
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return False
        return True

    # Answers

    async def answer(self, call: Call, *, queue_ms: float = 0.0) -> Answer:
        """What the model said to a call, or how the call failed. Raises nothing but CancelledError.

        `queue_ms` is what the slot was waited for; waits between attempts are added to it, and neither is
        latency.
        """
        lane = self._lane(call.model)
        answer = await self._answer_from(lane, call, queue_ms)
        if answer.error is None or self._comparing or answer.error == "interrupted":
            return answer
        for label in lane.target.fallbacks:
            other = self._lanes[label]
            started = time.perf_counter()
            # No second place: it holds one already, and two targets that fall back on each other would wait
            # forever.
            await self._keep_pace(other, _tokens_of(call))
            waited_ms = answer.queue_ms + (time.perf_counter() - started) * 1000
            second = await self._answer_from(other, replace(call, model=label), waited_ms)
            if second.error is None:
                spent = second.cost_usd
                return replace(
                    second,
                    fallback_model=label,
                    model_requested=answer.model_requested,
                    tries=answer.tries + second.tries,
                    usage=_total([answer.usage, second.usage]),
                    cost_usd=None if spent is None else spent + (answer.cost_usd or 0),
                )
        return answer

    async def _answer_from(self, lane: _Lane, call: Call, queue_ms: float) -> Answer:
        billed: list[Usage] = []
        waited_s = 0.0
        tries = 0
        if refused := self._too_dear(lane, call):
            return self._failed(lane, call, refused, billed, queue_ms, tries)
        while True:
            made = False
            started = time.perf_counter()
            try:
                await self._gate(lane)
                waited_s += time.perf_counter() - started
                tries, made = tries + 1, True
                reply = await self._attempt(lane, call)
                return self._answered(lane, call, reply, billed, queue_ms + waited_s * 1000, tries)
            except CallError as error:
                if not made:
                    waited_s += time.perf_counter() - started
                if error.usage is not None:
                    billed.append(error.usage)
                wait_s = self._wait_before_retry(lane, error, tries)
                if not made or wait_s is None:
                    return self._failed(lane, call, error, billed, queue_ms + waited_s * 1000, tries)
                lane.retries += 1
                waited_s += await self._back_off(lane, wait_s, call)

    async def _gate(self, lane: _Lane) -> None:
        """Pass the breaker. Raises CallError when the run is to stop, or the provider was given up."""
        breaker = lane.breaker
        now = asyncio.get_running_loop().time
        if self.stop.is_set():
            raise CallError("interrupted", "the run was stopped before this call was made")
        while not breaker.try_pass(now()):
            if breaker.given_up:
                raise CallError(
                    "circuit_open",
                    f"{lane.target.model} is not called for now: it failed {breaker.failures} times in a "
                    f"row, last with: {breaker.last_failure}",
                )
            if await self._pause(POLL_S):
                raise CallError("interrupted", "the run was stopped while this call waited for its provider")

    async def _attempt(self, lane: _Lane, call: Call) -> Reply:
        loop = asyncio.get_running_loop()
        provider = lane.provider or self._open(lane)
        breaker, started = lane.breaker, loop.time()
        is_probe = breaker.state == "half_open"
        lane.attempts += 1
        try:
            try:
                reply = await provider.complete(call)
            except (CallError, asyncio.CancelledError):
                raise
            except Exception as error:
                # A provider's surprise is an error of one answer, not the end of a run that others still pay
                # for.
                raise CallError("bad_reply", f"unexpected {type(error).__name__}: {str(error)[:200]}") from error
        except CallError as error:
            if error.overloaded:
                lane.rate_limited += error.kind == "rate_limited"
                lane.concurrency.refused(started, loop.time())
            if error.kind in UNWELL:
                breaker.failed(loop.time(), error.message)
            else:
                breaker.succeeded()
            raise
        except asyncio.CancelledError:
            if is_probe:
                breaker.probe_ended()
            raise
        breaker.succeeded()
        lane.concurrency.succeeded()
        return reply

    def _wait_before_retry(self, lane: _Lane, error: CallError, tries: int) -> float | None:
        """Seconds to wait before the next attempt; None when there is to be none.

        Full jitter over an exponentially growing span: Brooker (2015), "Exponential Backoff and Jitter".
        """
        retries = lane.target.retries
        if not error.retryable or tries >= (self._max_tries if retries is None else retries + 1):
            return None
        span = min(LONGEST_BACKOFF_S, self._backoff_s * 2.0 ** (tries - 1))
        wait = span * self._random.random()
        if error.retry_after_s is None:
            return wait
        if error.retry_after_s > LONGEST_RETRY_AFTER_S:
            error.message += f"; it asks to wait {error.retry_after_s:.0f} s"
            return None
        # Spread a little, or all that were refused together come back together.
        return error.retry_after_s + min(wait, 0.1 * error.retry_after_s)

    async def _back_off(self, lane: _Lane, wait_s: float, call: Call) -> float:
        started = time.perf_counter()
        if not await self._pause(wait_s) and lane.paces:
            await self._keep_pace(lane, _tokens_of(call))
        waited = time.perf_counter() - started
        lane.backoff_wait_s += waited
        return waited

    def _answered(
        self, lane: _Lane, call: Call, reply: Reply, billed: list[Usage], queue_ms: float, tries: int
    ) -> Answer:
        usage = _total([*billed, reply.usage]) if billed else reply.usage
        cost_usd = reply.cost_usd
        if cost_usd is None and reply.usage_known:
            cost_usd = self._cost(lane, call, usage, reply.model_returned)
        return Answer(
            case_id=call.case_id,
            variant=call.variant,
            repeat=call.repeat,
            text=reply.text,
            usage=usage,
            usage_known=reply.usage_known,
            cost_usd=cost_usd,
            latency_ms=reply.latency_ms,
            first_token_ms=reply.first_token_ms,
            queue_ms=queue_ms,
            model_requested=lane.target.model,
            model_returned=reply.model_returned,
            finish_reason=reply.finish_reason,
            tries=tries,
            simulated=reply.simulated,
            raw=reply.raw,
        )

    def _failed(
        self, lane: _Lane, call: Call, error: CallError, billed: list[Usage], queue_ms: float, tries: int
    ) -> Answer:
        usage = _total(billed)
        nothing_billed = not billed and (error.kind in NOT_BILLED or tries == 0)
        cost_usd = self._cost(lane, call, usage, error.model_returned) if billed else None
        return Answer(
            case_id=call.case_id,
            variant=call.variant,
            repeat=call.repeat,
            text=None,
            error=error.kind,
            error_message=error.message if tries < 2 else f"{error.message} (after {tries} tries)",
            usage=usage,
            usage_known=bool(billed) or nothing_billed,
            cost_usd=Decimal(0) if nothing_billed else cost_usd,
            queue_ms=queue_ms,
            model_requested=lane.target.model,
            model_returned=error.model_returned,
            finish_reason=error.finish_reason,
            tries=tries,
            raw=error.raw,
        )

    # Money

    def _cost(self, lane: _Lane, call: Call, usage: Usage, model_returned: str | None) -> Decimal | None:
        if call.parameters.get("service_tier", lane.target.parameters.get("service_tier")) not in STANDARD_TIERS:
            return None
        prices = self._prices_of(lane)
        if prices is None and model_returned:
            # A router ("openrouter/auto") or a recording: what answered has a price where what was asked has
            # none.
            name = model_returned if "/" in model_returned else f"{lane.target.provider}/{model_returned}"
            if lane.target.provider == "replay":
                name = model_returned
            prices = self._prices.prices_of(name, self._today())
        return cost(usage, prices)

    def _prices_of(self, lane: _Lane) -> Prices | None:
        today = self._today()
        if lane.priced_on != today:
            lane.prices, lane.priced_on = self._prices.prices_of(lane.target.model, today), today
            lane.bound = None if lane.prices is None else Bound.of(lane.prices)
        return lane.prices

    def possible_cost(self, call: Call) -> Decimal | None:
        """The most that one attempt at a call can cost: what to reserve for it. None when its price is
        unknown.

        Recorded answers cost nothing to serve; simulated ones are priced by their profile and spend no money
        either. Nor does a call that is beyond its model's limit: it will not be made.
        """
        lane = self._lane(call.model)
        return Decimal(0) if self._too_dear(lane, call) else self._most(lane, call)

    def _too_dear(self, lane: _Lane, call: Call) -> CallError | None:
        """Why a call is not to be made: it may cost more than its model's calls may."""
        limit = lane.target.max_cost_a_call
        most = None if limit is None else self._most(lane, call)
        if limit is None or most is None or most <= limit:
            return None
        return CallError(
            "budget",
            f"not called: it may cost up to ${most:f}, more than the ${limit:f} of max_cost_a_call; a lower "
            "max_output_tokens or a shorter prompt makes it cheaper",
        )

    def _most(self, lane: _Lane, call: Call) -> Decimal | None:
        """What an attempt at a call costs at most by its lane's price; None when that is unknown."""
        if lane.target.provider in FREE_TO_CALL:
            return Decimal(0)
        parameters = {**lane.target.parameters, **call.parameters}
        limit = parameters.get("max_completion_tokens") or parameters.get("max_tokens")
        output = int(limit or lane.target.max_output_tokens or DEFAULT_OUTPUT_BOUND) * int(parameters.get("n") or 1)
        # A message costs a few tokens beside its text, and a schema is sent along as text.
        prompt = sum(token_bound(str(message.get("content", ""))) + 8 for message in call.messages)
        if call.output_schema is not None:
            prompt += token_bound(str(call.output_schema))
        self._prices_of(lane)
        return None if lane.bound is None else lane.bound.most(prompt, output)

    # What happened

    def stats(self) -> tuple[LaneStats, ...]:
        """What each target went through so far."""
        return tuple(
            LaneStats(
                label=label,
                model=lane.target.model,
                attempts=lane.attempts,
                retries=lane.retries,
                rate_limited=lane.rate_limited,
                slot_wait_ms=lane.slot_wait_s * 1000,
                backoff_wait_ms=lane.backoff_wait_s * 1000,
                breaker_openings=lane.breaker.openings,
                concurrency=int(lane.concurrency.limit),
                max_concurrency=lane.concurrency.most,
            )
            for label, lane in self._lanes.items()
        )

    def alternatives(self, model_label: str) -> str | None:
        """What one might do about a target's limits, as sentences; None when it met none."""
        lane = self._lane(model_label)
        if not lane.rate_limited and not lane.breaker.openings:
            return None
        name = lane.target.model
        met = []
        if lane.rate_limited:
            met.append(f"{name} refused {lane.rate_limited} of {lane.attempts} calls as too many")
        if lane.breaker.openings:
            met.append(f"{name} was down {lane.breaker.openings} times")
        advice = [f"{' and '.join(met)}."]
        if lane.rate_limited:
            fits = int(lane.concurrency.limit)
            advice.append(f"Set max_concurrency to {fits} or declare the account's requests_per_minute.")
        others = [other for other in self._lanes.values() if other is not lane and not other.rate_limited]
        for other in others:
            if not other.breaker.openings and other.attempts:
                advice.append(f"{other.target.model} met no limit in this run{self._price_beside(other, lane)}.")
        return " ".join(advice)

    def _price_beside(self, other: _Lane, lane: _Lane) -> str:
        typical = Usage(input_tokens=1000, output_tokens=250)
        mine, theirs = (cost(typical, self._prices_of(one)) for one in (lane, other))
        return f" and costs {theirs / mine:.2g} times as much" if mine and theirs else ""

    async def close(self) -> None:
        """Close every provider's connections."""
        for lane in self._lanes.values():
            if lane.provider is not None:
                await lane.provider.close()

    async def warm_up(self) -> None:
        """Make all providers and load what they load, so that it is not part of the first calls' latency.

        Raises AssayError for a target that cannot be called.
        """
        for lane in self._lanes.values():
            provider = lane.provider or self._open(lane)
            await getattr(provider, "warm_up", _nothing)()

    def _open(self, lane: _Lane) -> Provider:
        from tasks.providers import provider_of

        lane.provider = provider_of(lane.target, self._workspace)
        return lane.provider

    def _lane(self, label: str) -> _Lane:
        try:
            return self._lanes[label]
        except KeyError:
            raise AssayError(unknown_name("model", label, list(self._lanes))) from None


class _Slot:
    """A place at a target, for the length of an `async with`."""

    __slots__ = ("_gateway", "_lane", "_tokens")

    def __init__(self, gateway: Gateway, lane: _Lane, tokens: int) -> None:
        self._gateway = gateway
        self._lane = lane
        self._tokens = tokens

    async def __aenter__(self) -> float:
        return await self._gateway._enter(self._lane, self._tokens) * 1000

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lane.concurrency.leave()


async def _nothing() -> None:
    return None


def _tokens_of(call: Call) -> int:
    return sum(estimate_tokens(str(message.get("content", ""))) + 4 for message in call.messages)


def _total(usages: list[Usage]) -> Usage:
    return Usage(
        input_tokens=sum(usage.input_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        cache_write_tokens=sum(usage.cache_write_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
    )
