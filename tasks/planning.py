"""Planning a run: everything that is checked, counted and estimated before the first call is paid for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection

from evaluations.answers import NO_VENDOR
from evaluations.errors import AssayError
from evaluations.results import QuarantinedRow
from evaluations.specs import SuiteSpec, VariantSpec
from tasks.contracts import check_contract_apart, refusal
from tasks.datasets import BadRow, CaseRow, Dataset, iter_cases, open_dataset
from tasks.estimates import Estimated, estimate
from tasks.panel import Panel
from tasks.price_sync import seed_prices
from tasks.providers import check_model
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.datasets import (
    CaseFilter,
    DatasetVersion,
    StoredCase,
    cases_with_assertions,
    changed_cases,
    count_cases,
    find_dataset,
    mark_contract_passed,
    quarantined_of,
    save_dataset,
    shard_bounds,
    tags_of,
)
from tasks.store.prices import price_book
from tasks.store.runs import NewRun, StoredRun, create_run, latest_run_of, run_of
from tasks.suites import LoadedSuite, load_suite
from tasks.targets import targets_of

SHARD_CELLS = 500
"""Cells of a shard: enough to keep the slots busy, few enough to see progress and to lose little to a stale lease."""
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What somebody asked for: ids, names and small scalars, as a command or a flow form gives them."""

    suite: str
    models: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    repeats: int | None = None
    where: tuple[str, ...] = ()
    max_cost: Decimal | None = None
    max_time: float | None = None
    concurrency: int | None = None
    quarantine: bool = False
    use_cache: bool = True
    allow_unpriced: bool = False
    variants: tuple[str, ...] = ()
    """Only these variants of the suite, by their labels; none: all of them."""
    kind: str = "suite"
    cases_a_shard: int | None = None
    """Smaller shards for a run that is looked at between them; None: as many as keep the slots busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run that could begin: checked, counted, estimated."""

    loaded: LoadedSuite
    dataset: DatasetVersion
    quarantined: tuple[QuarantinedRow, ...]
    chosen: CaseFilter
    cases: int
    estimate: Estimated
    since: tuple[str, ...]
    """What differs from the last run of this suite, one sentence each; empty when there was none."""
    request: RunRequest
    kind: str = "suite"
    shards: Sequence[tuple[int, int]] = field(default=())

    @property
    def spec(self) -> SuiteSpec:
        return self.loaded.spec

    @property
    def cells(self) -> int:
        return self.cases * len(self.loaded.variants) * self.spec.repeats


def plan_run(request: RunRequest, told: Told = lambda _: None) -> Plan:
    """Check everything that can be checked for nothing. `told` hears what takes a while.

    Raises AssayError for whatever would make the run fail, before anything is paid for.
    """
    chosen = parse_where(request.where)
    loaded = load_suite(
        request.suite,
        models=request.models,
        prompts=request.prompts,
        repeats=request.repeats,
        max_cost=request.max_cost,
        max_time=request.max_time,
        concurrency=request.concurrency,
        variants=request.variants,
    )
    panel = Panel(loaded.spec, loaded.folder)
    for target in targets_of(loaded.spec).values():
        check_model(target, folder=loaded.folder)
    dataset = open_dataset(loaded.dataset_folder)
    version = _stored(dataset, request.quarantine, told)
    with transaction() as connection:
        cases = count_cases(connection, version.id, chosen)
        if cases == 0:
            raise AssayError(_no_cases(connection, version, request.where))
        _check_assertions(connection, panel, version.id)
        _check_prices(connection, loaded, request)
        previous = latest_run_of(connection, loaded.spec.suite)
        return Plan(
            loaded=loaded,
            dataset=version,
            quarantined=quarantined_of(connection, version.id),
            chosen=chosen,
            cases=cases,
            estimate=estimate(connection, loaded.spec, loaded.variants, version.id, chosen, cases),
            since=() if previous is None else tuple(_since(connection, previous, loaded, version)),
            request=request,
            kind=request.kind,
            shards=shard_bounds(connection, version.id, chosen, request.cases_a_shard or _cases_a_shard(loaded)),
        )


_planned: dict[RunRequest, Plan] = {}


def plan_ahead(request: RunRequest, told: Told = lambda _: None) -> Plan:
    """Plan now what a flow of this process will open next: a command shows the plan before anything begins."""
    _planned[request] = plan_run(request, told)
    return _planned[request]


def take_plan(request: RunRequest) -> Plan:
    """The plan made ahead for this very request, once; a new one otherwise."""
    return _planned.pop(request, None) or plan_run(request)


def open_run(plan: Plan) -> UUID:
    """Write the planned run; nothing has been called yet."""
    with transaction() as connection:
        return create_run(
            connection,
            NewRun(
                kind=plan.kind,
                suite=plan.spec,
                suite_hash=plan.loaded.content_hash,
                variants=plan.loaded.variants,
                chosen=plan.chosen,
                use_cache=plan.request.use_cache,
                folder=str(plan.loaded.folder),
                dataset_id=plan.dataset.id,
                cases=plan.cases,
                shards=plan.shards,
                cap=plan.spec.max_cost,
                max_time_s=plan.spec.max_time,
                allow_unpriced=plan.request.allow_unpriced,
                estimate=plan.estimate.as_json(),
                actor=settings().actor,
            ),
        )


def open_rescore(run_id: UUID, suite: str | None) -> UUID:
    """A new run that judges the answers of another one, with its own suite file or an edited one.

    Raises AssayError when the edited suite no longer has the variants and repeats that answered.
    """
    with transaction() as connection:
        run = run_of(connection, run_id)
        spec, variants, suite_hash, folder = run.suite, run.variants, run.suite_hash, run.folder
        if suite is not None:
            loaded = load_suite(suite)
            _check_same_answers(run, loaded)
            spec, suite_hash, folder = loaded.spec, loaded.content_hash, str(loaded.folder)
        Panel(spec, Path(folder))
        cells = len(variants) * run.repeats
        return create_run(
            connection,
            NewRun(
                kind=run.kind,
                suite=spec,
                suite_hash=suite_hash,
                variants=variants,
                chosen=run.chosen,
                use_cache=False,
                folder=folder,
                dataset_id=run.dataset_id,
                cases=run.cases,
                shards=shard_bounds(connection, run.dataset_id, run.chosen, max(1, SHARD_CELLS // cells)),
                cap=None,
                max_time_s=None,
                allow_unpriced=True,
                estimate=None,
                actor=settings().actor,
                rescored_from=run.answers_of,
            ),
        )


def parse_where(given: Sequence[str]) -> CaseFilter:
    """`tag=billing`, `priority=high`, `id=t-001`; values of one key are alternatives, keys all have to match.

    >>> parse_where(["tag=a", "tag=b", "priority=high"])
    CaseFilter(tags=('a', 'b'), priorities=('high',), ids=())
    """
    values: dict[str, list[str]] = {"tag": [], "priority": [], "id": []}
    for each in given:
        key, sign, value = each.partition("=")
        if not sign or key not in values or not value:
            raise AssayError(
                f"`where` takes tag=…, priority=… or id=…; got {each!r}. Give it several times to combine them."
            )
        values[key].append(value)
    return CaseFilter(tuple(values["tag"]), tuple(values["priority"]), tuple(values["id"]))


def _cases_a_shard(loaded: LoadedSuite) -> int:
    cells = len(loaded.variants) * loaded.spec.repeats
    return max(1, max(SHARD_CELLS, 2 * loaded.spec.concurrency) // cells)


# Datasets


def _stored(dataset: Dataset, quarantine: bool, told: Told) -> DatasetVersion:
    """The stored version of a dataset: found when these bytes passed this contract before, else checked and stored."""
    with transaction() as connection:
        known = find_dataset(connection, dataset.name, dataset.content_hash)
    if known is not None and known.contract_hash == dataset.contract_hash:
        return known
    bad: Sequence[BadRow] = ()
    if dataset.spec.expectations or known is None:
        if dataset.spec.expectations:
            told(f"Checking {dataset.name} against its contract. This happens once for each version.")
        report = check_contract_apart(dataset)
        bad = report.bad_rows
        if bad and (not quarantine or len(bad) == report.rows):
            raise refusal(dataset, report)
    with transaction() as connection:
        if known is not None and not bad:
            mark_contract_passed(connection, known.id, dataset.contract_hash)
            return known
        left_out = {(row.file, row.line) for row in bad}
        # A version without its bad rows is another version than the whole.
        marks = sorted(f"{file}:{line}" for file, line in left_out)
        version = dataset.content_hash if not bad else _hash_of([dataset.content_hash, *marks])
        return save_dataset(
            connection,
            name=dataset.name,
            content_hash=version,
            contract_hash=dataset.contract_hash,
            description=dataset.description,
            licence=dataset.licence,
            sample_data=dataset.sample_data,
            actor=settings().actor,
            cases=_good_cases(dataset, left_out),
            quarantined=[QuarantinedRow(line=row.line, case_id=row.case_id, reason=row.reason) for row in bad],
        )


def _good_cases(dataset: Dataset, left_out: set[tuple[str, int]]) -> Iterator[StoredCase]:
    position = 0
    for row in iter_cases(dataset):
        if isinstance(row, CaseRow) and (row.file, row.line) not in left_out:
            yield StoredCase(position, row.case)
            position += 1


def _hash_of(parts: Sequence[str]) -> str:
    import hashlib

    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _no_cases(connection: Connection, version: DatasetVersion, where: Sequence[str]) -> str:
    if not where:
        return f"the dataset {version.name} has no cases."
    tags = tags_of(connection, version.id)
    return f"no case of {version.name} matches {' '.join(where)}. Its tags: {', '.join(tags) or 'none'}."


def _check_assertions(connection: Connection, panel: Panel, dataset_id: UUID) -> None:
    """Build every case's own scorers once, so that a wrong one is named before anything is paid for."""
    for case in cases_with_assertions(connection, dataset_id):
        try:
            panel.seats_for(case)
        except AssayError as problem:
            raise type(problem)(f"case {case.id}: {problem}") from None


# Prices


def _check_prices(connection: Connection, loaded: LoadedSuite, request: RunRequest) -> None:
    """Seed the price rows once; refuse a limit that could not be kept because a price is unknown."""
    seed_prices(connection)
    targets = targets_of(loaded.spec).values()
    book = price_book(connection, [target.model for target in targets])
    today = datetime.now(UTC).date()
    limited = loaded.spec.max_cost is not None
    unpriced = [
        target.label
        for target in targets
        if (limited or target.max_cost_a_call is not None)
        and not target.model.startswith(NO_VENDOR)
        and book.prices_of(target.model, today) is None
    ]
    if unpriced and not request.allow_unpriced:
        raise AssayError(
            f"a cost limit cannot be kept for {', '.join(unpriced)}: no price is known. Add one to "
            "prices.yaml in ASSAY_HOME, or say --allow-unpriced to leave these models out of the limit."
        )


# What changed


def _since(connection: Connection, previous: StoredRun, loaded: LoadedSuite, version: DatasetVersion) -> Iterator[str]:
    """What differs from an earlier run of the suite: why some answers can be taken from the ledger and others not."""
    if previous.dataset_id != version.id:
        changed = changed_cases(connection, previous.dataset_id, version.id)
        yield f"{changed} of {version.cases} cases are new or changed"
    before = {variant.label: variant for variant in previous.variants}
    for variant in loaded.variants:
        earlier = before.get(variant.label)
        if earlier is None:
            yield f"{variant.label} is new"
        elif earlier.content_hash != variant.content_hash:
            yield f"{variant.label}: {_difference(earlier, variant)} changed"
    if loaded.spec.repeats > previous.repeats:
        yield f"{loaded.spec.repeats - previous.repeats} more repeats"


def _difference(before: VariantSpec, after: VariantSpec) -> str:
    parts = {
        "the prompt": before.prompt.content_hash != after.prompt.content_hash,
        "the model": before.model.model != after.model.model,
        "the endpoint": before.model.api_base != after.model.api_base,
        "the parameters": before.parameters != after.parameters,
        "the output limit": before.model.max_output_tokens != after.model.max_output_tokens,
    }
    return " and ".join(name for name, changed in parts.items() if changed)


def _check_same_answers(run: StoredRun, loaded: LoadedSuite) -> None:
    before = [(variant.label, variant.content_hash) for variant in run.variants]
    after = [(variant.label, variant.content_hash) for variant in loaded.variants]
    if before != after or loaded.spec.repeats != run.repeats:
        raise AssayError(
            f"a rescore judges the answers that are there, but {loaded.path.name} now asks other variants or repeats "
            f"than run {str(run.id)[:8]} did. Start a new run: answers that are still good are taken from the ledger."
        )
