"""Comparing models: finds the cases that all of them answered, and everything else that is known of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from evaluations.cost_scenarios import MonthlyCost, measured, monthly_cost
from evaluations.errors import AssayError, NothingYet, unknown_name
from evaluations.leaderboards import Leaderboard
from evaluations.model_comparison import (
    CASE_METRICS,
    CaseMetric,
    ModelComparison,
    SaidTo,
    Side,
    Sitting,
    boards_of,
    measured_side,
    standings_of,
)
from evaluations.models import Model
from evaluations.performance import Performed, Window
from evaluations.pricing import PriceBook, candidate_names, full_name, names_of
from evaluations.rollups import day_bounds
from reports.files import jsonable
from tasks import costing
from tasks.case_sources import sources_of_table
from tasks.models import registry, seed
from tasks.publishing import write_report
from tasks.settings import settings
from tasks.store import model_runs, model_use, models, performance, prices, rollups
from tasks.store.database import transaction
from tasks.store.datasets import cases_at
from tasks.store.experiment_data import case_values, is_simulated, texts_of
from tasks.store.model_runs import Shared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_MODELS = 12
SHOWN_CASES = 12
DEFAULT_MODELS = 6
"""The page that nobody named models for compares so many at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be compared."""

    models: tuple[str, ...]
    use_case: str | None = None
    feature: str | None = None
    catalogue: bool = False
    """Where they share no cases, compare what is documented, priced and used."""


def compare_models(asked: Asked) -> ModelComparison:
    """Raises AssayError for models, features or use cases that nobody knows, and for models that share no cases."""
    if len(set(asked.models)) < 2:
        raise AssayError("a comparison needs two different models or more: `assay compare MODEL MODEL`.")
    if len(set(asked.models)) > MOST_MODELS:
        raise AssayError(f"{len(set(asked.models))} models are too many to hold side by side; {MOST_MODELS} at most.")
    names = tuple(dict.fromkeys(asked.models))
    with transaction() as connection:
        every = model_runs.seats(connection)
        _check(connection, asked, names, {each for seat in every for each in (seat.model, seat.label)})
        wanted = [seat for seat in every if asked.feature is None or seat.feature == asked.feature]
        tables = model_runs.shared_cases(wanted, names)
        if not tables and not asked.catalogue:
            raise AssayError(_nothing_shared(names, asked.feature))
        if asked.catalogue:
            _take_over(connection)
        return _comparison(connection, asked, names, tables)


def publish_comparison(found: ModelComparison) -> Path:
    """Write the page of a comparison with its JSON and CSV twins."""
    from reports.comparison_files import comparison_files

    folder = settings().reports_folder
    again = "assay compare " + " ".join(each.name for each in found.sides)
    for name, parts in comparison_files(found):
        write_report(folder / name, parts, about="What it is made of", again=again)
    return folder / "comparison.html"


def publish_latest(first: date | None = None, last: date | None = None) -> Path:
    """The page about the models that the newest run with several asked. It has no window of days.

    Raises NothingYet when no run asked two models the same cases.
    """
    with transaction() as connection:
        every = model_runs.seats(connection)
    newest = next(
        (mine for seat in every if len(mine := _models_of(every, seat)) > 1), ()
    )  # fmt: skip
    if not newest:
        raise NothingYet("no run asked two models the same cases yet; `assay run SUITE -m MODEL -m MODEL`.")
    return publish_comparison(compare_models(Asked(models=newest[:DEFAULT_MODELS])))


def _models_of(every: Sequence[model_runs.Seat], one: model_runs.Seat) -> tuple[str, ...]:
    """The models that sat in the same run by the same prompt."""
    there = dict.fromkeys((s.model, s.label) for s in every if (s.run_id, s.prompt) == (one.run_id, one.prompt))
    return candidate_names([*there])


def _take_over(connection: Connection) -> None:
    """Models and prices that nobody has used yet stand in no table before this."""
    from tasks.price_sync import seed_prices

    seed(connection)
    seed_prices(connection)


def _check(connection: Connection, asked: Asked, names: Sequence[str], in_runs: set[str]) -> None:
    """Raises AssayError that names the nearest for what nobody knows."""
    known = {*in_runs, *models.all_models(connection), *prices.priced_models(connection)}
    if asked.use_case is not None or not all(known & set(names_of(name)) for name in names):
        known |= set(registry(connection))  # takes the catalogues over where nobody has read the registry yet
    for name in names:
        if not known & set(names_of(name)):
            raise AssayError(unknown_name("model", name, sorted(known)))
    if asked.feature is not None:
        features = {*model_use.features_used(connection), *model_runs.features_tested(connection)}
        if asked.feature not in features:
            raise AssayError(unknown_name("feature", asked.feature, sorted(features)))
    if asked.use_case is not None:
        models.check_use_case(connection, asked.use_case)


def _nothing_shared(names: Sequence[str], feature: str | None) -> str:
    whose = f" of {feature}" if feature else ""
    asks = " ".join(f"-m {name}" for name in names)
    each = "both" if len(names) == 2 else "all"
    return (
        f"no suite{whose} has cases that {', '.join(names[:-1])} and {names[-1]} {each} answered, by the same prompt "
        f"and scorers. Ask them: `assay run SUITE {asks}`. Or compare what is documented and priced alone: --catalogue."
    )


def _comparison(
    connection: Connection, asked: Asked, names: tuple[str, ...], tables: Sequence[Shared]
) -> ModelComparison:
    table = tables[0] if tables else None
    feature = asked.feature or (next(iter(table.values())).feature if table else None)
    values, positions = values_of(connection, table) if table else ({}, [])
    boards = boards_of(values, sources_of_table(connection, table, positions) if table else None)
    known = _known(connection, asked, names, table, feature)
    sides = tuple(_side(name, known, values.get(name, {}), boards.get("pass_rate"), asked.use_case) for name in names)
    said, differing = _said(connection, table, values, positions) if table else ((), 0)
    return ModelComparison(
        sides=sides,
        use_case=asked.use_case,
        feature=feature,
        sitting=_sitting(connection, table, values) if table else None,
        boards=boards,
        standings=standings_of(sides, boards.get("pass_rate")),
        said=said,
        differing=differing,
        traffic=known.traffic,
        other_sittings=max(len(tables) - 1, 0),
        on=known.on,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of the models besides their answers."""

    called: Mapping[str, str]
    """Name asked for -> model id."""
    registry: Mapping[str, Model]
    book: PriceBook
    on: date
    months: Mapping[str, MonthlyCost]
    traffic: str
    served: Mapping[str, Performed]
    """Model id -> how it did in production."""


def _known(
    connection: Connection, asked: Asked, names: Sequence[str], table: Shared | None, feature: str | None
) -> _Known:
    called = {name: table[name].name if table else name for name in names}
    ids = tuple(called.values())
    book = prices.price_book(connection, ids)
    on = datetime.now(UTC).date()
    features = [feature] if feature in model_use.features_used(connection) and feature else []
    months, traffic, served = _traffic(connection, features, ids, book, on, asked.feature)
    return _Known(
        called=called,
        registry=models.models_named(connection, ids),
        book=book,
        on=on,
        months=months,
        traffic=traffic,
        served=served,
    )


def _traffic(
    connection: Connection, features: list[str], ids: Sequence[str], book: PriceBook, on: date, wanted: str | None
) -> tuple[dict[str, MonthlyCost], str, dict[str, Performed]]:
    """Months of the feature's traffic on each model, whose traffic that is, and how those that serve it did."""
    if not features:
        return {}, f"{wanted} has no requests that are rolled up" if wanted else "", {}
    try:
        first, last = costing.window(connection, None, None)
        starts = costing.tier_starts(costing.offer_of(book, model, on) for model in ids)
        work = measured(model_use.daily_use(connection, features, first, last, starts=starts))
    except AssayError as problem:
        return {}, str(problem), {}
    zone = rollups.timezone_of(connection)
    window = Window(day_bounds(first, zone)[0], day_bounds(last, zone)[1])
    done = performance.performed_on_days(connection, ("feature", "model", "provider"), window, zone)
    served = {
        full_name(model, provider): performed
        for (of, model, provider), performed in done.items()
        if of == features[0] and model is not None
    }
    months = {model: monthly_cost(work, costing.offer_of(book, model, on)) for model in ids}
    return months, f"{features[0]}, {first} to {last}, {work.units:,.0f} requests a month", served


def _side(
    name: str,
    known: _Known,
    values: "Mapping[CaseMetric, NDArray[np.float64]]",
    quality: Leaderboard | None,
    use_case: str | None,
) -> Side:
    model = known.called[name]
    registry = known.registry.get(model)
    ranked = {each.model: each.interval for each in quality.standings} if quality else {}
    served = known.served.get(model)
    return Side(
        name=name,
        called=model,
        registry=registry,
        prices=known.book.prices_of(model, known.on),
        month=known.months.get(model),
        suits=registry.use_case(use_case) if registry and use_case else None,
        production=served.error_share if served else None,
        production_p95=served.latency(0.95) if served else None,
        **measured_side(values, ranked.get(name)),
    )


def values_of(
    connection: Connection, table: Shared
) -> "tuple[dict[str, dict[CaseMetric, NDArray[np.float64]]], list[int]]":
    """Every metric of every model on one order of cases: those that have a verdict under all of them."""
    import numpy as np

    found = {
        name: {
            metric: case_values(connection, seat.run_id, seat.answers_of, metric, {name: seat.variant})
            for metric in CASE_METRICS
        }
        for name, seat in table.items()
    }
    answered = [set(each["error_rate"].positions.tolist()) for each in found.values()]
    positions = sorted(set.intersection(*answered))
    places = {position: n for n, position in enumerate(positions)}
    aligned: dict[str, dict[CaseMetric, NDArray[np.float64]]] = {}
    for name, each in found.items():
        aligned[name] = {}
        for metric, measured_there in each.items():
            column = np.full(len(positions), np.nan)
            for position, value in zip(
                measured_there.positions.tolist(), measured_there.values[name].tolist(), strict=True
            ):
                if position in places:
                    column[places[position]] = value
            aligned[name][metric] = column
    return aligned, positions


def _sitting(
    connection: Connection, table: Shared, values: "Mapping[str, Mapping[CaseMetric, NDArray[np.float64]]]"
) -> Sitting:
    import numpy as np

    seat = next(iter(table.values()))
    judged = np.logical_and.reduce([~np.isnan(each["pass_rate"]) for each in values.values()])
    return Sitting(
        suite=seat.suite,
        feature=seat.feature,
        prompt=seat.prompt_name,
        cases=judged.size,
        judged=int(judged.sum()),
        runs={name: str(each.run_id) for name, each in table.items()},
        at=max(each.at for each in table.values()),
        sample_data=any(each.sample_data for each in table.values()),
        simulated=any(is_simulated(connection, each.answers_of) for each in table.values()),
    )


def _said(
    connection: Connection,
    table: Shared,
    values: "Mapping[str, Mapping[CaseMetric, NDArray[np.float64]]]",
    positions: Sequence[int],
) -> tuple[tuple[SaidTo, ...], int]:
    """Cases on which the verdicts differ, the widest apart first; where none does, the first cases."""
    import json

    import numpy as np

    passed = np.vstack([values[name]["pass_rate"] for name in table])
    known = ~np.isnan(passed).any(axis=0)
    apart = np.where(known, np.nan_to_num(passed).max(axis=0) - np.nan_to_num(passed).min(axis=0), 0.0)
    chosen = sorted(range(len(positions)), key=lambda n: (-apart[n], positions[n]))[:SHOWN_CASES]
    places = [positions[n] for n in chosen]
    cases = {
        stored.position: stored.case
        for stored in cases_at(connection, next(iter(table.values())).dataset_id, places)
    }  # fmt: skip
    texts = {
        name: texts_of(connection, seat.answers_of, places) for name, seat in table.items()
    }  # fmt: skip
    return tuple(
        SaidTo(
            case_id=cases[positions[n]].id,
            asked="\n".join(
                value if isinstance(value, str) else json.dumps(jsonable(value), ensure_ascii=False)
                for value in cases[positions[n]].inputs.values()
            ),
            answers={name: texts[name].get((positions[n], seat.variant), "") for name, seat in table.items()},
            passed={name: None if np.isnan(value := values[name]["pass_rate"][n]) else float(value) for name in table},
        )
        for n in chosen
    ), int((apart > 0).sum())
