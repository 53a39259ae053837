"""Builders: runs, cases and answers that spell out only what matters to a test."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.specs import SuiteSpec, suite_hash, variants_of
from tasks.store.database import transaction
from tasks.store.datasets import CaseFilter, DatasetVersion, StoredCase, save_dataset, shard_bounds
from tasks.store.runs import NewRun, create_run


def a_case(case_id: str = "c-1", *, expected: Any = "yes", **given: Any) -> Case:
    return Case(
        id=case_id, inputs=given.pop("inputs", {"question": f"question of {case_id}"}), expected=expected, **given
    )


def an_answer(text: str | None = "yes", **given: Any) -> Answer:
    return Answer(case_id="c-1", variant="v", text=text, **given)


def a_suite(**given: Any) -> SuiteSpec:
    return SuiteSpec.model_validate({"suite": "tested", "models": ["simulated/careful"], "scorers": ["exact"], **given})


def a_dataset(cases: Sequence[Case], name: str = "cases") -> DatasetVersion:
    with transaction() as connection:
        return save_dataset(
            connection,
            name=name,
            content_hash=f"{len(cases)} from {cases[0].id}",
            contract_hash=None,
            description="",
            licence="",
            sample_data=False,
            actor="test",
            cases=[StoredCase(position, case) for position, case in enumerate(cases)],
        )


def a_run(
    cases: int = 4,
    *,
    suite: SuiteSpec | None = None,
    shard: int = 2,
    cap: Decimal | None = None,
    made: Sequence[Case] = (),
    folder: str = ".",
    use_cache: bool = False,
) -> UUID:
    """A run in the store, with given or made-up cases, that nobody has begun. `shard` is in cases."""
    suite = suite or a_suite()
    made = made or [a_case(f"c-{n}") for n in range(cases)]
    dataset = a_dataset(made)
    variants = variants_of(suite, [])
    with transaction() as connection:
        return create_run(
            connection,
            NewRun(
                kind="suite",
                suite=suite,
                suite_hash=suite_hash(suite, variants),
                variants=variants,
                chosen=CaseFilter(),
                use_cache=use_cache,
                folder=folder,
                dataset_id=dataset.id,
                cases=len(made),
                shards=shard_bounds(connection, dataset.id, CaseFilter(), shard),
                cap=cap,
                max_time_s=None,
                allow_unpriced=False,
                estimate=None,
                actor="test",
            ),
        )
