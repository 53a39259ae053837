"""Working on a shard: prompts are made ready portion by portion, and what is answered is scored meanwhile."""

from typing import Any

import pytest
from sqlalchemy import text

from evaluations.cases import Case
from tasks import answering, scoring, working
from tasks.store.database import transaction
from tasks.working import work_on
from tests.builders import a_case, a_run, a_suite


def counted(question: str, **given: Any) -> list[tuple[Any, ...]]:
    with transaction() as connection:
        return [tuple(row) for row in connection.execute(text(question), given)]


def cases(count: int) -> list[Case]:
    return [a_case(f"c-{n}") for n in range(count)]


@pytest.mark.parametrize("portion", [1, 3, 100])
async def test_every_cell_is_answered_once_and_every_case_gets_its_verdict_whatever_the_portion(
    store: str, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    monkeypatch.setattr(answering, "PORTION", portion)
    ranges: list[tuple[int, int]] = []
    score_shard = scoring.score_shard

    async def noted(run: Any, panel: Any, first: int, last: int, asker: Any) -> None:
        ranges.append((first, last))
        await score_shard(run, panel, first, last, asker)

    monkeypatch.setattr(working, "score_shard", noted)
    suite = a_suite(models=["simulated/perfect"], repeats=2)
    run_id = a_run(suite=suite, made=cases(10), shard=10)
    await work_on(run_id)
    assert counted("SELECT count(*), count(DISTINCT (position, repeat)) FROM answers") == [(20, 20)]
    assert counted("SELECT count(*) FROM calls") == [(20,)]
    assert counted("SELECT count(*) FROM verdicts") == [(10,)]
    assert counted("SELECT count(*) FROM (SELECT answer_id FROM scores GROUP BY 1, scorer HAVING count(*) > 1) d") == [
        (0,)
    ]
    assert counted("SELECT state FROM run_shards") == [("done",)]
    # Scored ranges follow each other without a gap, and end with the shard.
    positions = [position for first, last in ranges for position in range(first, last + 1)]
    assert positions == list(range(10))
    assert len(ranges) == (1 if portion == 100 else 2)


async def test_a_run_that_goes_on_asks_only_what_is_open_and_scores_all(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "PORTION", 2)
    run_id = a_run(suite=a_suite(models=["simulated/perfect"]), made=cases(9), shard=9)
    await work_on(run_id)
    with transaction() as connection:
        connection.execute(text("DELETE FROM scores"))
        connection.execute(text("DELETE FROM verdicts"))
        connection.execute(text("DELETE FROM answers WHERE position IN (1, 4, 5, 8)"))
        connection.execute(text("UPDATE run_shards SET state = 'open', worker_id = NULL"))
    await work_on(run_id)
    assert counted("SELECT count(*) FROM answers") == [(9,)]
    assert counted("SELECT count(*) FROM calls WHERE attempt = 2") == [(4,)]
    assert counted("SELECT count(*) FROM verdicts") == [(9,)]
