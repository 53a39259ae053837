"""An execution: an intent is followed by its call, or taken back."""

from decimal import Decimal

import pytest
from sqlalchemy import text

from tasks.execution import executing
from tasks.providers.base import Call
from tasks.store.database import transaction
from tasks.store.leases import claim
from tasks.store.ledger import CellKey, Intent
from tests.builders import a_run, a_suite

CENT = Decimal("0.01")


async def test_an_intent_whose_call_the_stop_forestalled_is_taken_back(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = a_run(suite=a_suite(models=["simulated/perfect"]), cap=Decimal(1))
    async with executing(run_id) as execution:
        with transaction() as connection:
            lease = claim(connection, run_id, execution.ledger.worker_id, 30)
        assert lease is not None
        commit = execution.ledger.open
        reserved_meanwhile = []

        async def commit_then_stop(intent: Intent) -> None:
            await commit(intent)
            reserved_meanwhile.append(reserved())
            execution.stop.event.set()

        def reserved() -> Decimal:
            with transaction() as connection:
                return Decimal(
                    connection.execute(
                        text("SELECT reserved FROM run_budgets WHERE run_id = :r"), {"r": run_id}
                    ).scalar_one()
                )

        monkeypatch.setattr(execution.ledger, "open", commit_then_stop)
        variant = execution.run.variants[0]
        call = Call(
            model=variant.model.name,
            messages=[{"role": "user", "content": "?"}],
            case_id="c",
            variant=variant.label,
            repeat=0,
        )
        intent = Intent(CellKey(0, 0, 0), lease, 1, reserve=CENT)
        assert await execution.call(intent, call, 0.0) is None
        assert reserved_meanwhile == [CENT]
        assert reserved() == 0
        with transaction() as connection:
            assert connection.execute(text("SELECT count(*) FROM calls")).scalar_one() == 0
        monkeypatch.undo()
        execution.stop.event.clear()
        answer = await execution.call(intent, call, 0.0)
        assert answer is not None
        assert answer.error is None
