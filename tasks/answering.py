"""Answering a shard: every cell that has no answer yet gets one, through the ledger and the gateway.

The order of events for a cell, and the reason for it: take a slot, commit the intent, call, commit the answer, give
the slot back. So there are never more open intents than slots, and whatever a killed process may have paid for
stands in the ledger. Giving the slot back before the commit would gain no time and, at a kill, ask again for several
times as many answers that were already there.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

import orjson

from evaluations.answers import NO_VENDOR, Answer, same_model
from evaluations.errors import AssayError
from evaluations.routes import Router
from evaluations.specs import ModelSpec, SideSpec
from tasks.arrivals import waited_ms
from tasks.execution import Execution
from tasks.providers.base import Call
from tasks.store.answers import CachedAnswer, answered_keys, cached_answers, last_attempts, resolve_abandoned
from tasks.store.database import transaction
from tasks.store.datasets import StoredCase, cases_of
from tasks.store.ledger import CellKey, Intent, Lease, Recorded

PORTION = 100
"""Prompts that are made ready together, while earlier calls are under way."""
CHARACTERS_A_TOKEN = 4
"""For the tokens-a-minute limit, which is a matter of manners and not of money."""


@dataclass(frozen=True, slots=True)
class Path:
    """How a routed case goes: who is asked first, and of a cascade whom it goes on to."""

    router: Router
    first: SideSpec
    then: SideSpec | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One question that still has to be put: a case, a variant, a repeat, and the prompt as it will be sent."""

    key: CellKey
    call: Call
    attempt: int
    prompt_hash: bytes
    cache_key: bytes | None
    reserve: Decimal | None
    tokens: int
    path: Path | None
    """Of a routed variant."""


@dataclass(frozen=True, slots=True)
class Unrenderable:
    """A cell whose prompt cannot be made from its case."""

    key: CellKey
    attempt: int
    problem: str


Question: TypeAlias = tuple[StoredCase, CellKey, int]
"""A case, the cell of it that is open, and the number of its next attempt."""


async def answer_shard(
    execution: Execution, lease: Lease, *, skip_in_flight: bool, meanwhile: Callable[[int], Awaitable[bool]]
) -> bool:
    """Answer every cell of a shard that has no answer; True when none is left.

    While the last calls are under way, `meanwhile` may see to the cases before them: it gets the position up to which
    all are answered. It is not called where the calls of a shard are few.

    Raises LeaseLost when another worker took the shard over, InfrastructureError when the ledger fails.
    """
    running: list[asyncio.Future[bool]] = []
    try:
        async with execution.preparing:
            asked = await asyncio.to_thread(_open_questions, execution, lease, skip_in_flight)
            for at in range(0, len(asked), PORTION):
                if execution.stop.requested:
                    break
                cells, cached = await asyncio.to_thread(_ready, execution, asked[at : at + PORTION])
                calls = [_answer(execution, lease, cell, cached) for cell in cells]
                running.append(asyncio.create_task(execution.run_together(calls)))
        whole = len(running) * PORTION >= len(asked)
        before_last = await asyncio.gather(*running[:-1])
        if whole and before_last and all(before_last):
            running.append(asyncio.ensure_future(meanwhile(asked[len(before_last) * PORTION][0].position - 1)))
        return whole and all(await asyncio.gather(*running))
    finally:
        for portion in running:
            portion.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _answer(
    execution: Execution, lease: Lease, cell: Cell | Unrenderable, cached: Mapping[bytes, CachedAnswer]
) -> bool:
    if isinstance(cell, Unrenderable):
        return await _record_unrenderable(execution, lease, cell)
    if cell.cache_key is not None and cell.cache_key in cached:
        return await _record_cached(execution, lease, cell, cached[cell.cache_key])
    return await _answer_cell(execution, lease, cell)


async def _answer_cell(execution: Execution, lease: Lease, cell: Cell) -> bool:
    """One cell from slot to committed answer; False when it was not called because the run is to stop."""
    due = None if execution.schedule is None else await execution.schedule.turn(execution.stop.event)
    async with execution.slots:
        async with execution.gateway.slot(cell.call.model, cell.tokens) as queue_ms:
            if execution.stop.requested:
                return False
            if due is not None:
                queue_ms = waited_ms(due)
            intent = Intent(cell.key, lease, cell.attempt, reserve=cell.reserve)
            answer = await execution.call(intent, cell.call, queue_ms)
            if answer is None:
                return False
            if not _goes_on(cell, answer):
                await execution.ledger.record(_recorded(lease, cell, answer, release=cell.reserve))
                return True
        # The first place is free again: cascades that held one while they waited for another's could wait forever.
        return await _go_on(execution, lease, cell, answer)


def _goes_on(cell: Cell, answer: Answer) -> bool:
    return cell.path is not None and cell.path.then is not None and cell.path.router.goes_on(answer)


async def _go_on(execution: Execution, lease: Lease, cell: Cell, first: Answer) -> bool:
    """The second half of a cascade, committed with the first one as one answer; False when the run is to stop."""
    assert cell.path is not None
    assert cell.path.then is not None
    call = _put_to(cell.call, cell.path.then)
    async with execution.gateway.slot(call.model, cell.tokens) as queue_ms:
        second = await execution.go_on(call, queue_ms)
        if second is None:
            return False
        await execution.ledger.record(_recorded(lease, cell, first, second, release=cell.reserve))
    return True


async def _record_cached(execution: Execution, lease: Lease, cell: Cell, hit: CachedAnswer) -> bool:
    answer = replace(hit.answer, case_id=cell.call.case_id, variant=cell.call.variant, repeat=cell.key.repeat)
    await execution.ledger.record(_recorded(lease, cell, answer, cached_cost=hit.cost))
    return True


async def _record_unrenderable(execution: Execution, lease: Lease, cell: Unrenderable) -> bool:
    answer = Answer(case_id="", variant="", text=None, error="prompt", error_message=cell.problem, cost_usd=Decimal(0))
    await execution.ledger.record(
        Recorded(
            key=cell.key,
            lease=lease,
            attempt=cell.attempt,
            answer=answer,
            contaminated=False,
            cached_cost=None,
            prompt_hash=None,
            cache_key=None,
            release=None,
        )
    )
    return True


def _recorded(
    lease: Lease,
    cell: Cell,
    *answers: Answer,
    cached_cost: Decimal | None = None,
    release: Decimal | None = None,
) -> Recorded:
    """What the calls of a cell come to: one answer, of two calls where a cascade went on."""
    answer = answers[-1]
    if cell.path is not None:
        asked = cell.path.then if len(answers) > 1 else cell.path.first
        assert asked is not None
        name = asked.model.name
        answer = replace(answer, routed_to=name) if answer.from_cache else cell.path.router.told(answers, name)
    return Recorded(
        key=cell.key,
        lease=lease,
        attempt=cell.attempt,
        answer=answer,
        contaminated=any(
            not each.from_cache and not same_model(each.model_requested, each.model_returned) for each in answers
        ),
        cached_cost=cached_cost,
        prompt_hash=cell.prompt_hash,
        cache_key=cell.cache_key,
        release=release,
    )


def _open_questions(execution: Execution, lease: Lease, skip_in_flight: bool) -> list[Question]:
    """What a shard has no answer to, after the calls of a dead owner were settled."""
    run, first, last = execution.run, lease.first_position, lease.last_position
    with transaction() as connection:
        resolve_abandoned(connection, run.id, first, last, skip=skip_in_flight)
        answered = answered_keys(connection, run.id, first, last)
        attempts = last_attempts(connection, run.id, first, last)
        cases = cases_of(connection, run.dataset_id, run.chosen, first, last)
    return [
        (stored, key, attempts.get((key, 0), 0) + 1)
        for stored, key in _interleaved(cases, len(run.variants), run.repeats, run.seed)
        if key not in answered
    ]


def _ready(
    execution: Execution, questions: Sequence[Question]
) -> tuple[list[Cell | Unrenderable], dict[bytes, CachedAnswer]]:
    """The cells of some questions, and which of them a recorded answer serves."""
    cells = [_cell(execution, *question) for question in questions]
    return cells, _cached(execution, cells)


def _interleaved(
    cases: Iterable[StoredCase], variants: int, repeats: int, seed: int
) -> Iterator[tuple[StoredCase, CellKey]]:
    """All cells, case by case, the variants and repeats of each case in a random order.

    Drift of time and provider then hits every variant alike. The order of a case depends on the seed and its
    position alone, so that a resumed run continues in the same order.
    """
    for stored in cases:
        keys = [CellKey(stored.position, v, r) for v in range(variants) for r in range(repeats)]
        random.Random(f"{seed} {stored.position}").shuffle(keys)
        for key in keys:
            yield stored, key


def _cell(execution: Execution, stored: StoredCase, key: CellKey, attempt: int) -> Cell | Unrenderable:
    variant = execution.run.variants[key.variant]
    try:
        messages = execution.render(key.variant, stored)
    except AssayError as problem:
        return Unrenderable(key, attempt, str(problem))
    path = _path(execution, key.variant, stored)
    asked = path.first if path is not None else SideSpec.of(variant)
    call = Call(
        model=asked.model.name,
        messages=messages,
        parameters=asked.parameters,
        output_schema=variant.prompt.output_schema,
        case_id=stored.case.id,
        variant=asked.label,
        repeat=key.repeat,
        expected=stored.case.expected,
    )
    sent = orjson.dumps(messages)
    return Cell(
        key=key,
        call=call,
        attempt=attempt,
        prompt_hash=hashlib.blake2b(sent, digest_size=16).digest(),
        cache_key=_cache_key(execution, asked.model, call, sent) if path is None or path.router.route.is_free else None,
        reserve=_reserve(execution, call, path),
        tokens=len(sent) // CHARACTERS_A_TOKEN,
        path=path,
    )


def _path(execution: Execution, variant: int, stored: StoredCase) -> Path | None:
    router = execution.routers[variant]
    if router is None:
        return None
    weak, strong = execution.run.variants[variant].sides
    first = strong if router.first(stored.case) == "strong" else weak
    return Path(router, first, strong if router.is_cascade else None)


def _put_to(call: Call, side: SideSpec) -> Call:
    """The same question to another model."""
    return replace(call, model=side.model.name, parameters=side.parameters, variant=side.label)


def _reserve(execution: Execution, call: Call, path: Path | None) -> Decimal | None:
    """The most that a cell can cost: a cascade may make both calls, and its router may cost something itself."""
    if path is None:
        return execution.gateway.possible_cost(call)
    calls = [call] if path.then is None else [call, _put_to(call, path.then)]
    each = [execution.gateway.possible_cost(one) for one in calls]
    return None if None in each else sum((most or Decimal(0) for most in each), path.router.route.cost_a_case)


def _cache_key(execution: Execution, model: ModelSpec, call: Call, sent: bytes) -> bytes | None:
    """What has to be the same for an answer to be served again: model, endpoint, messages, parameters, output
    schema, output limit, and the repeat, because repeats are there to differ."""
    # Where an answer costs nothing, keeping it for later saves nothing.
    if not (execution.run.use_cache and model.reuse_answers) or model.model.startswith(NO_VENDOR):
        return None
    question = [
        model.model,
        model.api_base,
        model.max_output_tokens,
        call.parameters,
        call.output_schema,
        call.repeat,
    ]
    return hashlib.blake2b(orjson.dumps(question, option=orjson.OPT_SORT_KEYS) + b"\n" + sent, digest_size=32).digest()


def _cached(execution: Execution, cells: list[Cell | Unrenderable]) -> dict[bytes, CachedAnswer]:
    keys = [cell.cache_key for cell in cells if isinstance(cell, Cell) and cell.cache_key is not None]
    if not keys:
        return {}
    with transaction() as connection:
        return cached_answers(connection, keys, execution.cache_days)
