"""assay report and assay demo as a person uses them."""

import json
from pathlib import Path

import pytest

from tasks.rollups import roll_up_days
from tasks.store.database import transaction
from tests.cli.commands import assay, assay_here, rows
from tests.landed import a_request, land
from tests.tasks.test_pages import a_batch


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["report", "overvew"], "no page is named 'overvew'; did you mean 'overview'?"),
        (["report", "request"], "the request page is about one request; give its id: `assay report request ID`."),
        (["report", "spend", "r-1"], "the spend page takes no id"),
        (["report", "spend", "--from", "2026-05-04", "--to", "2026-05-01"], "2026-05-04 comes after 2026-05-01"),
        (["report", "spend", "--from", "soon"], "soon"),
    ],
)
def test_what_cannot_be_written_is_said_in_a_sentence(store: str, arguments: list[str], told: str) -> None:
    outcome = assay_here(*arguments)
    assert outcome.code == 2
    assert told in outcome.err


@pytest.mark.usefixtures("prefect_server")
def test_report_says_where_the_page_is(store: str, tmp_path: Path) -> None:
    with transaction() as connection:
        land(connection, [a_request()])
    roll_up_days(None)
    told = assay("report", "overview", env={"ASSAY_REPORTS": str(tmp_path)})
    assert told.code == 0
    assert f"overview: {tmp_path / 'overview.html'}" in told.out
    assert (tmp_path / "overview.html").read_text().startswith("<!doctype html>")


def test_the_demo_refuses_to_mix_with_requests_of_ones_own(store: str) -> None:
    a_batch(store, sample=False, landed=3)
    told = assay_here("demo")
    assert told.code == 2
    assert "Set ASSAY_HOME to an empty folder for a demonstration." in told.err


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_the_demo_ends_at_pages_about_its_traffic_and_lands_nothing_twice(store: str, tmp_path: Path) -> None:
    env = {"ASSAY_REPORTS": str(tmp_path / "reports"), "ASSAY_FLAGS": str(tmp_path / "flags")}
    first = assay("demo", env=env)
    assert first.code == 0, first.err
    for page in ("overview", "spend", "customer", "recommendations"):
        assert f"{page}: {tmp_path / 'reports' / page}.html" in first.out
        assert "<title>Sample data: " in (tmp_path / "reports" / f"{page}.html").read_text()
    [[requests, canaries]] = rows(
        store, "SELECT count(*), count(*) FILTER (WHERE starts_with(experiment, 'canary:')) FROM requests"
    )
    assert f"{requests - canaries:,} made-up requests" in first.out
    told = json.loads((tmp_path / "reports" / "recommendations.json").read_text())["recommendations"]
    best = told[0]["recommendation"]
    assert best["title"] == "Cache the beginnings of prompts (summaries)"
    assert best["savings"]["share_low"] >= 0.2
    assert best["title"] in first.out
    assert "rolled back by itself" in first.out
    assert f"deployments: {tmp_path / 'reports' / 'deployments.html'}" in first.out
    again = assay("demo", env=env)
    assert again.code == 0, again.err
    assert "is there already" in again.out
    assert rows(store, "SELECT count(*) FROM requests") == [(requests,)]
    # The second one saw the canaries' requests, too; looked at once more, the same facts recommend nothing anew.
    known = rows(store, "SELECT count(*) FROM recommendations")
    assert "0 new recommendations" in assay("recommend", "all", env=env).out
    assert rows(store, "SELECT count(*) FROM recommendations") == known
