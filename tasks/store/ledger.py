"""The ledger: every model call is an intent before it is made and an answer as soon as it arrives.

One connection a worker does all writing, and holds the advisory lock that tells others this worker is alive.
Whatever was handed in while one write was under way goes into the next, in one statement and one transaction:
a lone answer is committed at once, a hundred together cost little more than one.

The statement refuses what comes from a stale owner (the fence of its shard has moved on) and intents that the
run's budget has no room for, so that no number of workers can overspend it.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import tuple_row

from evaluations.answers import Answer
from evaluations.errors import InfrastructureError
from tasks.secrets import HIDDEN, secret_values
from tasks.store.database import ACT_FOR, told_plainly

LOCK_CLASS = 0x4153_5359
"""First half of the advisory lock of a worker; the second is its id."""


class LeaseLost(Exception):
    """Another worker owns the shard now; what this one still wanted to write was refused."""


class BudgetExhausted(Exception):
    """The run's cap has no room for the reservation of another call."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A claimed shard. The fence is what proves the claim to the ledger."""

    shard: int
    first_position: int
    last_position: int
    fence: int


@dataclass(frozen=True, slots=True)
class CellKey:
    """One cell of a run: a case (by position), a variant (by position) and a repeat."""

    position: int
    variant: int
    repeat: int


@dataclass(frozen=True, slots=True)
class Intent:
    """The intent to make one call. `role` 0 is the answer itself, others are judgements of it."""

    key: CellKey
    lease: Lease
    attempt: int
    role: int = 0
    reserve: Decimal | None = None
    """The most this call may cost in USD; None when no price is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An answer with what the ledger wants to know beside it."""

    key: CellKey
    lease: Lease
    attempt: int
    answer: Answer
    contaminated: bool
    cached_cost: Decimal | None
    prompt_hash: bytes | None
    cache_key: bytes | None
    release: Decimal | None
    """The reservation that this answer settles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One reply of a judge about one answer."""

    intent: Intent
    """The call that this reply settles."""
    answer_id: int
    scorer: str
    order: int
    request_hash: bytes
    reply: Answer


_Pending = tuple[asyncio.Future[int], dict[str, Any]]

_ANSWER_COLUMNS = """status text, error_type text, error_message text, text text, input_tokens int, cached_tokens int,
    cache_write_tokens int, output_tokens int, reasoning_tokens int, cost numeric, latency_ms float8,
    model_returned text"""

_HELD_AND_ANSWERED = f"""
WITH held AS MATERIALIZED (
    SELECT s.shard, s.fence FROM run_shards s,
        json_to_recordset(%(leases)s::json) AS claimed(shard int, fence bigint)
    WHERE s.run_id = %(run)s AND s.worker_id = %(worker)s AND s.shard = claimed.shard AND s.fence = claimed.fence
    FOR SHARE OF s
),
arrived AS MATERIALIZED (
    SELECT a.* FROM json_to_recordset(%(answers)s::json) AS a(
        n int, shard int, fence bigint, position int, variant int, repeat int, attempt int, usage_known bool,
        cached_cost numeric, queue_ms float8, first_token_ms float8, finish_reason text, tries int, from_cache bool,
        fallback_model text, routed_to text, contaminated bool, simulated bool, prompt_hash text, cache_key text,
        raw jsonb, release numeric, {_ANSWER_COLUMNS})
    JOIN held USING (shard, fence)
),
written AS (
    INSERT INTO answers (run_id, position, variant, repeat, attempt, status, error_type, error_message, text,
        input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, usage_known, cost,
        cached_cost, latency_ms, queue_ms, first_token_ms, model_returned, finish_reason, tries, from_cache,
        fallback_model, routed_to, contaminated, simulated, prompt_hash, cache_key, raw)
    SELECT %(run)s, position, variant, repeat, attempt, status, error_type, error_message, text,
        input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, usage_known, cost,
        cached_cost, latency_ms, queue_ms, first_token_ms, model_returned, finish_reason, tries, from_cache,
        fallback_model, routed_to, contaminated, simulated, decode(prompt_hash, 'hex'), decode(cache_key, 'hex'), raw
    FROM arrived
    ON CONFLICT (run_id, position, variant, repeat) WHERE NOT superseded DO NOTHING
    RETURNING id, position, variant, repeat
),
settled AS (
    SELECT a.n, w.id, a.cost, a.release FROM arrived a JOIN written w USING (position, variant, repeat)
),
"""
_JUDGED = f"""
replies AS MATERIALIZED (
    SELECT j.* FROM json_to_recordset(%(judgements)s::json) AS j(
        n int, shard int, fence bigint, position int, variant int, repeat int, role int, attempt int,
        answer_id bigint, scorer text, "order" int, request_hash text, release numeric, {_ANSWER_COLUMNS})
    JOIN held USING (shard, fence)
),
judged AS (
    INSERT INTO judgements (answer_id, scorer, "order", request_hash, text, error_type, error_message,
        input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, latency_ms,
        model_returned)
    SELECT answer_id, scorer, "order", decode(request_hash, 'hex'), text, error_type, error_message,
        input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, latency_ms,
        model_returned
    FROM replies
    ON CONFLICT (answer_id, scorer, "order", request_hash) DO UPDATE
        -- Only a failed reply is replaced; what it had cost stays on the bill.
        SET text = excluded.text, error_type = excluded.error_type, error_message = excluded.error_message,
            cost = judgements.cost + excluded.cost, latency_ms = excluded.latency_ms,
            model_returned = excluded.model_returned
        WHERE judgements.error_type IS NOT NULL
    RETURNING id, answer_id, scorer, "order"
),
settled_judgements AS (
    SELECT r.n, j.id, r.cost, r.release FROM replies r JOIN judged j USING (answer_id, scorer, "order")
),
closed AS (
    UPDATE calls c SET resolution = 'answered', resolved_at = now() FROM replies r
    WHERE c.run_id = %(run)s AND c.position = r.position AND c.variant = r.variant AND c.repeat = r.repeat
      AND c.role = r.role AND c.attempt = r.attempt
),
done AS (
    SELECT coalesce(sum(cost), 0) AS cost, coalesce(sum(release), 0) AS release
    FROM (SELECT cost, release FROM settled UNION ALL SELECT cost, release FROM settled_judgements) AS both_kinds
),
"""
_NOT_JUDGED = """
settled_judgements AS (SELECT n, id FROM settled WHERE false),
done AS (SELECT coalesce(sum(cost), 0) AS cost, coalesce(sum(release), 0) AS release FROM settled),
"""
_OPENED = """
budget AS MATERIALIZED (
    SELECT cap, reserved, spent, at_risk FROM run_budgets WHERE run_id = %(run)s FOR UPDATE
),
wanted AS (
    SELECT i.*, sum(coalesce(i.reserve, 0)) OVER (ORDER BY i.n) AS up_to
    FROM json_to_recordset(%(intents)s::json) AS i(
        n int, shard int, fence bigint, position int, variant int, repeat int, role int, attempt int, reserve numeric)
    JOIN held USING (shard, fence)
),
granted AS (
    SELECT wanted.* FROM wanted, budget, done
    WHERE budget.cap IS NULL
       OR budget.spent + done.cost + budget.at_risk + budget.reserved - done.release + wanted.up_to <= budget.cap
),
opened AS (
    INSERT INTO calls (run_id, position, variant, repeat, role, attempt, worker_id, reserved)
    SELECT %(run)s, position, variant, repeat, role, attempt, %(worker)s, reserve FROM granted
    ON CONFLICT DO NOTHING
    RETURNING position, variant, repeat, role
),
money AS (
    UPDATE run_budgets m
    SET spent = m.spent + done.cost,
        reserved = m.reserved - done.release
            + (SELECT coalesce(sum(g.reserve), 0) FROM granted g JOIN opened USING (position, variant, repeat, role))
    FROM done WHERE m.run_id = %(run)s
)
SELECT (SELECT coalesce(json_agg(shard), '[]') FROM held),
       (SELECT coalesce(json_agg(json_build_array(n, id)), '[]') FROM settled),
       (SELECT coalesce(json_agg(json_build_array(n, id)), '[]') FROM settled_judgements),
       (SELECT coalesce(json_agg(g.n), '[]') FROM granted g JOIN opened USING (position, variant, repeat, role))
"""

_WRITE = _HELD_AND_ANSWERED + _NOT_JUDGED + _OPENED
_WRITE_JUDGED = _HELD_AND_ANSWERED + _JUDGED + _OPENED
"""With judgements, for batches that have some: to look for their calls costs more than all the rest."""

_WITHDRAW = """
WITH gone AS (
    DELETE FROM calls
    WHERE run_id = %(run)s AND position = %(position)s AND variant = %(variant)s AND repeat = %(repeat)s
      AND role = %(role)s AND attempt = %(attempt)s AND worker_id = %(worker)s AND resolution IS NULL
    RETURNING reserved
)
UPDATE run_budgets m SET reserved = m.reserved - gone.reserved
FROM gone WHERE m.run_id = %(run)s AND gone.reserved IS NOT NULL
"""


class Ledger:
    """The write side of one run in one worker. Use as `async with await Ledger.join(url, run_id, actor):`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], run_id: UUID, worker_id: int) -> None:
        self.run_id = run_id
        self.worker_id = worker_id
        self._connection = connection
        self._intents: list[_Pending] = []
        self._answers: list[_Pending] = []
        self._judgements: list[_Pending] = []
        self._leases: dict[int, int] = {}
        self._wake = asyncio.Event()
        self._secrets = tuple(orjson.dumps(value)[1:-1] for value in secret_values() if value.isprintable())
        self._failure: BaseException | None = None
        self._writer = asyncio.create_task(self._write_forever(), name="ledger")

    @classmethod
    async def join(cls, url: str, run_id: UUID, actor: str) -> Self:
        """Register this process as a worker, take its advisory lock and start writing."""
        with told_plainly():
            connection = await psycopg.AsyncConnection.connect(
                url, autocommit=True, row_factory=tuple_row, connect_timeout=10, application_name="assay ledger"
            )
            await connection.execute(ACT_FOR, (actor,))
            row = await (
                await connection.execute(
                    "INSERT INTO workers (host, pid, actor) VALUES (%s, %s, %s) RETURNING id",
                    (socket.gethostname(), os.getpid(), actor),
                )
            ).fetchone()
            assert row is not None
            await connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, row[0]))
            # One plan for all writes, made before the first call waits for it: they differ in length alone.
            await connection.execute("SET plan_cache_mode = force_generic_plan")
            await connection.execute(_WRITE, _parameters(run_id, row[0]), prepare=True)
        return cls(connection, run_id, row[0])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Write what is pending, then let go of the lock."""
        while self._failure is None and (self._intents or self._answers or self._judgements):
            await asyncio.sleep(0.001)
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
        await self._connection.close()

    async def open(self, intent: Intent) -> None:
        """Commit the intent to make a call; the call may be made once this returns.

        Raises BudgetExhausted when the cap has no room, LeaseLost when the shard has another owner.
        """
        await self._enqueue(self._intents, intent.lease, _call(intent) | {"reserve": _text(intent.reserve)})

    async def withdraw(self, intent: Intent) -> None:
        """Take back an intent whose call was never made; its reservation is free again."""
        key = intent.key
        with told_plainly():
            await self._connection.execute(
                _WITHDRAW,
                {
                    "run": self.run_id,
                    "worker": self.worker_id,
                    "position": key.position,
                    "variant": key.variant,
                    "repeat": key.repeat,
                    "role": intent.role,
                    "attempt": intent.attempt,
                },
            )

    def record(self, recorded: Recorded) -> asyncio.Future[int]:
        """Hand over an answer; awaited, it is committed and its reservation settled, and gives the answer's id.

        What is handed over later is committed later or in the same transaction. Raises LeaseLost.
        """
        key, answer = recorded.key, recorded.answer
        return self._enqueue(
            self._answers,
            recorded.lease,
            _reply(answer)
            | {
                "position": key.position,
                "variant": key.variant,
                "repeat": key.repeat,
                "attempt": recorded.attempt,
                "usage_known": answer.usage_known,
                "cached_cost": _text(recorded.cached_cost),
                "queue_ms": answer.queue_ms,
                "first_token_ms": answer.first_token_ms,
                "finish_reason": answer.finish_reason,
                "tries": answer.tries,
                "from_cache": answer.from_cache,
                "fallback_model": answer.fallback_model,
                "routed_to": answer.routed_to,
                "contaminated": recorded.contaminated,
                "simulated": answer.simulated,
                "prompt_hash": recorded.prompt_hash and recorded.prompt_hash.hex(),
                "cache_key": recorded.cache_key and recorded.cache_key.hex(),
                "raw": answer.raw,
                "release": _text(recorded.release),
            },
        )

    def judged(self, judgement: Judgement) -> asyncio.Future[int]:
        """Hand over a judge's reply; awaited, it is committed and its reservation settled. Raises LeaseLost."""
        intent = judgement.intent
        return self._enqueue(
            self._judgements,
            intent.lease,
            _reply(judgement.reply)
            | _call(intent)
            | {
                "answer_id": judgement.answer_id,
                "scorer": judgement.scorer,
                "order": judgement.order,
                "request_hash": judgement.request_hash.hex(),
                "release": _text(intent.reserve),
            },
        )

    def _enqueue(self, queue: list[_Pending], lease: Lease, row: dict[str, Any]) -> asyncio.Future[int]:
        if self._failure is not None:
            raise self._failure
        row["shard"] = lease.shard
        row["fence"] = lease.fence
        self._leases[lease.shard] = lease.fence
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        queue.append((future, row))
        self._wake.set()
        return future

    async def _write_forever(self) -> None:
        try:
            while True:
                await self._wake.wait()
                # A turn of the loop: whoever takes over the slot of an answer hands in the next intent just now.
                await asyncio.sleep(0)
                self._wake.clear()
                batches = self._intents, self._answers, self._judgements
                self._intents, self._answers, self._judgements = [], [], []
                try:
                    with told_plainly():
                        await self._write(*batches)
                except BaseException:
                    # Hand the batch back, so that the handler below fails everybody who waits for it.
                    self._intents, self._answers, self._judgements = (
                        old + new
                        for old, new in zip(batches, (self._intents, self._answers, self._judgements), strict=True)
                    )
                    raise
        except (InfrastructureError, psycopg.Error) as problem:
            self._fail(problem)
        except asyncio.CancelledError:
            self._fail(InfrastructureError("the ledger was closed while calls were still under way"))
            raise

    def _fail(self, problem: Exception) -> None:
        """Nothing can be written any more: everybody who waits hears why."""
        self._failure = problem
        for future, _ in (*self._intents, *self._answers, *self._judgements):
            if not future.done():
                future.set_exception(problem)

    async def _write(self, intents: list[_Pending], answers: list[_Pending], judgements: list[_Pending]) -> None:
        leases, self._leases = self._leases, {}
        parameters = _parameters(
            self.run_id,
            self.worker_id,
            leases=self._written([{"shard": shard, "fence": fence} for shard, fence in leases.items()]),
            intents=self._written(_numbered(intents)),
            answers=self._written(_numbered(answers)),
        )
        if judgements:
            parameters["judgements"] = self._written(_numbered(judgements))
        row = await self._once_more_on_deadlock(_WRITE_JUDGED if judgements else _WRITE, parameters)
        held = set(row[0])
        _resolve(answers, dict(row[1]), held)
        _resolve(judgements, dict(row[2]), held)
        _resolve(intents, dict.fromkeys(row[3], 0), held, refused=BudgetExhausted)

    def _written(self, rows: list[dict[str, Any]]) -> str:
        """Rows as JSON, without any secret that a provider may have repeated."""
        written = _json(rows)
        for secret in self._secrets:
            written = written.replace(secret, HIDDEN.encode())
        return written.decode()

    async def _once_more_on_deadlock(self, statement: str, parameters: dict[str, Any]) -> Sequence[Any]:
        """A claim takes its locks in another order than a write; Postgres then ends one of the two, unharmed."""
        while True:
            try:
                cursor = await self._connection.execute(statement, parameters, prepare=True)
            except psycopg.errors.DeadlockDetected:
                continue
            row = await cursor.fetchone()
            assert row is not None
            found: Sequence[Any] = row
            return found


def _parameters(
    run_id: UUID, worker_id: int, leases: str = "[]", intents: str = "[]", answers: str = "[]"
) -> dict[str, Any]:
    return {"run": run_id, "worker": worker_id, "leases": leases, "intents": intents, "answers": answers}


def _numbered(pending: list[_Pending]) -> list[dict[str, Any]]:
    rows = []
    for n, (_, row) in enumerate(pending):
        row["n"] = n
        rows.append(row)
    return rows


def _resolve(
    pending: list[_Pending], results: dict[int, int], held: set[int], refused: type[Exception] = LeaseLost
) -> None:
    """Tell everyone who waits what became of their row; a row in neither set met a twin of another owner."""
    for n, (future, row) in enumerate(pending):
        if future.done():  # its caller was cancelled; the row is written all the same
            continue
        if n in results:
            future.set_result(results[n])
        elif row["shard"] not in held:
            future.set_exception(LeaseLost(f"shard {row['shard']} has another owner now"))
        else:
            future.set_exception(refused(f"shard {row['shard']}, case position {row.get('position')}"))


def _call(intent: Intent) -> dict[str, Any]:
    key = intent.key
    return {
        "position": key.position,
        "variant": key.variant,
        "repeat": key.repeat,
        "role": intent.role,
        "attempt": intent.attempt,
    }


def _reply(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    return {
        "status": "answered" if answer.error is None else "error",
        "error_type": answer.error,
        "error_message": storable(answer.error_message),
        "text": None if answer.text is None else storable(answer.text),
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost": _text(answer.cost_usd),
        "latency_ms": answer.latency_ms,
        "model_returned": answer.model_returned,
    }


def storable(text: str) -> str:
    """The text as Postgres can hold it: NUL and lone surrogates become U+FFFD, everything else stays.

    >>> storable("a\\x00b")
    'a\\ufffdb'
    """
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode() if _ugly(text) else text


def _ugly(text: str) -> bool:
    if "\x00" in text:
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _json(value: Any) -> bytes:
    try:
        written = orjson.dumps(value)
    except TypeError:  # a lone surrogate somewhere
        return orjson.dumps(_clean(value))
    return orjson.dumps(_clean(value)) if b"\\u0000" in written else written


def _clean(value: Any) -> Any:
    """Raw replies may hold text that is no UTF-8; the rest of the batch must not suffer for it."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(_clean(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value if isinstance(value, int | float | bool | None) else str(value)


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
