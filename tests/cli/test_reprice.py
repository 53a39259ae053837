"""assay reprice as a person uses it."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.commands import assay, assay_here, rows
from tests.tasks.ingest.builders import a_file, a_record, ingested
from tests.tasks.test_repricing import corrected


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Missing option '--from'"),
        (["--from", "June"], "June"),
        (["--from", "2026-06-02", "--to", "2026-06-01"], "2026-06-02 comes after 2026-06-01"),
    ],
)
def test_days_that_are_none_are_refused(store: str, arguments: list[str], told: str) -> None:
    outcome = assay_here("reprice", *arguments)
    assert outcome.code == 2
    assert told in outcome.err


@pytest.mark.usefixtures("prefect_server")
def test_a_dry_run_says_what_the_command_then_does(store: str, tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1)]))
    corrected(since=date(2026, 6, 1), input="3", output="12")
    env = {"ASSAY_REPORTS": str(tmp_path / "reports")}
    dry = assay("reprice", "--from", "2026-06-01", "--dry-run", env=env)
    assert dry.code == 0
    assert dry.out.splitlines()[0] == "1 request looked at: 1 request would cost $0.0042 instead of $0.0035."
    assert dry.out.splitlines()[-1] == "Nothing was changed."
    done = assay("reprice", "--from", "2026-06-01", env=env)
    assert "1 request looked at: 1 request cost $0.0042 instead of $0.0035. Report: " in done.out
    assert rows(store, "SELECT cost FROM requests") == [(Decimal("0.0042"),)]
    assert len(list((tmp_path / "reports").glob("*/report.html"))) == 2
