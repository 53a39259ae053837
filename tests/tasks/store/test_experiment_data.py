"""What the arms of experiments measured: held against sums made one by one."""

import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from evaluations.arms import UnitSums
from tasks.store.database import transaction
from tasks.store.experiment_data import feature_sums, live_data
from tasks.store.experiments import create_experiment, find_experiment, move
from tests.experiments import live
from tests.landed import a_request, land

BEGAN = datetime(2026, 5, 4, tzinfo=UTC)


def begun(*specs: Any) -> None:
    """Started on the fourth of May, whenever that is for the clock."""
    with transaction() as connection:
        for spec in specs:
            create_experiment(connection, spec, None, "ana")
            move(connection, find_experiment(connection, spec.experiment), "running", actor="ana")
        connection.execute(text("UPDATE experiments SET started_at = :began"), {"began": BEGAN})


def traffic(random: random.Random, experiment: str, feature: str, n: int) -> list[dict[str, Any]]:
    """Most subjects stay where they are; some wander, and some requests have no subject."""
    rows = []
    for _ in range(n):
        number = random.randrange(120)
        home = "v3" if number % 2 else "v4"
        rows.append(
            {
                "at": BEGAN + timedelta(minutes=random.randrange(-600, 6000)),
                "experiment": experiment,
                "feature": feature,
                "variant": home if random.random() < 0.97 else random.choice(["v3", "v4", "v5", None]),
                "subject": bytes([number] * 16) if number < 110 else None,
                "quality": random.choice([None, 0.25, 0.5, 1.0]),
                "latency_ms": random.choice([None, *(float(random.randrange(100, 900)) for _ in range(3))]),
                "cost": random.choice([None, Decimal("0.0125"), Decimal("0.5")]),
                "status": random.choice(["success", "success", "error", None]),
            }
        )
    return rows


def by_hand(rows: list[dict[str, Any]], value: Any) -> dict[str, UnitSums]:
    """Unit by unit, as a person would."""
    arms: dict[Any, set[str]] = defaultdict(set)
    sums: dict[Any, list[float]] = defaultdict(lambda: [0.0, 0.0])
    known = set()
    for n, row in enumerate(rows):
        if row["at"] < BEGAN:
            continue
        unit = row["subject"] or n
        arms[unit].add(row["variant"] or "")
        pair = value(row)
        if pair is not None:
            known.add(unit)
            sums[unit][0] += pair[0]
            sums[unit][1] += pair[1]
    found = {}
    for name in ("v3", "v4"):
        mine = [sums[unit] for unit, seen in arms.items() if seen == {name} and unit in known]
        found[name] = UnitSums(
            units=len(mine),
            x=sum(x for x, _ in mine),
            y=sum(y for _, y in mine),
            xx=sum(x * x for x, _ in mine),
            yy=sum(y * y for _, y in mine),
            xy=sum(x * y for x, y in mine),
        )
    return found


def quality(row: dict[str, Any]) -> tuple[float, float] | None:
    return None if row["quality"] is None else (row["quality"], 1.0)


def cost_per_success(row: dict[str, Any]) -> tuple[float, float] | None:
    if row["cost"] is None or row["status"] is None:
        return None
    return float(row["cost"]), float(row["status"] == "success")


def capped_latency(row: dict[str, Any]) -> tuple[float, float] | None:
    return None if row["latency_ms"] is None else (min(row["latency_ms"], 400.0), 1.0)


def test_sums_of_units_are_those_made_one_by_one(store: str) -> None:
    metrics = {"secondary": ["cost_per_success", "latency_ms"]}
    specs = [live("first", **metrics), live("second", feature="search", **metrics)]
    begun(*specs)
    chance = random.Random(7)
    rows = {
        "first": traffic(chance, "first", "chatbot", 700),
        "second": traffic(chance, "second", "search", 300),
    }
    with transaction() as connection:
        # One of a feature that is not the experiment's: somebody's mistake, and none of its requests.
        stray = {**rows["first"][0], "feature": "elsewhere"}
        land(connection, [a_request(**row) for each in (*rows.values(), [stray]) for row in each])
        experiments = [find_experiment(connection, name) for name in rows]
        found = live_data(connection, experiments, limits={("first", "latency_ms"): 400.0})
        alone = live_data(connection, experiments[:1], limits={("first", "latency_ms"): 400.0})
    for name, value in (("quality", quality), ("cost_per_success", cost_per_success), ("latency_ms", capped_latency)):
        expected = by_hand(rows["first"], value)
        for arm in ("v3", "v4"):
            got = found["first"].arms[arm].metrics[name]
            assert got.units == expected[arm].units > 5
            for part in ("x", "y", "xx", "yy", "xy"):
                for data in (got, alone["first"].arms[arm].metrics[name]):
                    assert math.isclose(getattr(data, part), getattr(expected[arm], part), rel_tol=1e-12), (name, part)
    inside = [row for row in rows["second"] if row["at"] >= BEGAN]
    seen: dict[Any, set[str]] = defaultdict(set)
    for n, row in enumerate(inside):
        seen[row["subject"] or n].add(row["variant"] or "")
    assert found["second"].crossed == sum(len(each) > 1 for each in seen.values()) > 0
    assert found["second"].outside == len(rows["second"]) - len(inside) > 0
    assert {name: arm.units for name, arm in found["second"].arms.items()} == {
        name: sum(each == {name} for each in seen.values()) for name in ("v3", "v4")
    }
    assert set(found["second"].strangers) <= {"v5", ""}
    assert found["second"].strangers


def test_the_sums_of_a_feature_are_those_made_one_by_one_without_other_canaries_and_places(store: str) -> None:
    mine = traffic(random.Random(3), "first", "chatbot", 400)
    others = [
        {**mine[0], "experiment": "canary:other", "variant": "canary", "quality": 1.0},
        {**mine[0], "environment": "staging", "quality": 1.0},
        {**mine[0], "feature": "search", "quality": 1.0},
        {**mine[0], "at": BEGAN + timedelta(days=9), "quality": 1.0},
    ]
    own = [{**mine[1], "experiment": "canary:own", "variant": "canary", "environment": "production"}]
    with transaction() as connection:
        land(connection, [a_request(**row) for row in (*mine, *own, *others)])
        found = feature_sums(
            connection,
            "chatbot",
            "production",
            ["quality", "cost_per_success", "latency_ms", "success_rate"],
            BEGAN,
            BEGAN + timedelta(days=8),
            without_canaries_but="canary:own",
        )
    for name, value in (
        ("quality", quality),
        ("cost_per_success", cost_per_success),
        ("latency_ms", lambda row: None if row["latency_ms"] is None else (row["latency_ms"], 1.0)),
        ("success_rate", lambda row: None if row["status"] is None else (float(row["status"] == "success"), 1.0)),
    ):
        together = [{**row, "variant": "v3"} for row in (*mine, *own)]
        expected = by_hand(together, value)["v3"]
        assert found[name].units == expected.units > 100, name
        for part in ("x", "y", "xx", "yy", "xy"):
            assert math.isclose(getattr(found[name], part), getattr(expected, part), rel_tol=1e-12), (name, part)


def test_an_experiment_without_requests_has_arms_with_nothing_in_them(store: str) -> None:
    begun(live())
    with transaction() as connection:
        data = live_data(connection, [find_experiment(connection, "shipping-v4")])["shipping-v4"]
    assert [(arm.units, arm.requests, arm.metrics["quality"].value) for arm in data.arms.values()] == [(0, 0, None)] * 2
    assert (data.crossed, data.outside, dict(data.strangers)) == (0, 0, {})
