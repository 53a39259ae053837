"""Asking judges: a question about an answer goes through the ledger and the gateway like any other call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluations.scoring.judges import JudgeCall
from tasks.execution import Execution
from tasks.panel import Seat
from tasks.providers.base import Call
from tasks.scoring import request_hash
from tasks.store.answers import StoredAnswer, StoredReply
from tasks.store.ledger import CellKey, Intent, Judgement, Lease

ORDERS_A_SEAT = 64
"""Questions that one scorer may put about one answer; with the seat's number they make the role of a call."""
NOT_ASKED = StoredReply(None, "interrupted", "the run was stopped before the judge was asked", None)


@dataclass(frozen=True, slots=True)
class LedgerAsker:
    """Puts questions for the answers of one shard, within the run's slots, cap and stop."""

    execution: Execution
    lease: Lease
    attempts: Mapping[tuple[CellKey, int], int]
    """The highest attempt of every cell and role that was ever called."""

    async def ask(self, stored: StoredAnswer, seat: Seat, order: int, model: str, call: JudgeCall) -> StoredReply:
        """A judge's reply, committed; the reply of a failed call says how it failed."""
        asked = [call.messages, call.parameters]
        made = Call(
            model=model,
            messages=call.messages,
            parameters=call.parameters,
            case_id=f"{stored.key.position}",
            variant=seat.label,
            repeat=stored.key.repeat,
        )
        return await self._put(stored, seat, order, model, asked, made)

    async def embed(self, stored: StoredAnswer, seat: Seat, model: str, texts: Sequence[str]) -> StoredReply:
        """The vectors of some texts, committed as a JSON list."""
        made = Call(
            model=model,
            messages=[{"role": "user", "content": text} for text in texts],
            case_id=f"{stored.key.position}",
            variant=seat.label,
            repeat=stored.key.repeat,
            embed=True,
        )
        return await self._put(stored, seat, 0, model, list(texts), made)

    async def _put(
        self, stored: StoredAnswer, seat: Seat, order: int, model: str, asked: object, call: Call
    ) -> StoredReply:
        execution = self.execution
        role = 1 + seat.number * ORDERS_A_SEAT + order
        intent = Intent(
            stored.key,
            self.lease,
            self.attempts.get((stored.key, role), 0) + 1,
            role,
            execution.gateway.possible_cost(call),
        )
        async with execution.slots, execution.gateway.slot(model) as queue_ms:
            if execution.stop.requested:
                return NOT_ASKED
            reply = await execution.call(intent, call, queue_ms)
            if reply is None:
                return NOT_ASKED
            await execution.ledger.judged(
                Judgement(
                    intent=intent,
                    answer_id=stored.id,
                    scorer=seat.label,
                    order=order,
                    request_hash=request_hash(model, asked),
                    reply=reply,
                )
            )
        return StoredReply(reply.text, reply.error, reply.error_message, reply.cost_usd)
