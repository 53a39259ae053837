"""Nothing is paid for twice: later runs take what the ledger has, and call what an edit touched."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cli.commands import a_suite_file, assay, cases_of, from_vendor, result_of, rows
from tests.fakes.vendor import Vendor

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_later_runs_call_only_what_was_edited_and_say_so(
    store: str, tmp_path: Path, vendor: Callable[..., Vendor]
) -> None:
    server = vendor(latency_ms=20)
    folder = tmp_path / "s"

    def suite(cases: int = 5, *, asked: str = "{{ question }}", **given: object) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / "ask.yaml").write_text(yaml.safe_dump({"name": "ask", "version": "1.0.0", "user": asked}))
        return a_suite_file(folder, cases=cases, models=from_vendor(server.url), prompts="ask.yaml", **given)

    first = assay("run", suite())
    assert (first.code, server.received().total()) == (0, 5), first.err
    paid = result_of(first)
    assert paid["variants"][0]["latency"]["n"] == 5
    assert float(paid["cost_usd"]) > 0

    second = assay("run", suite())
    assert (second.code, server.received().total()) == (0, 5), second.err
    served = result_of(second)["variants"][0]
    assert (served["cached"], served["answers"], served["latency"]) == (5, 5, None)
    assert float(served["cost_usd"]) == 0
    assert float(served["saved_usd"]) == float(paid["cost_usd"])
    assert "since the last run" not in second.err
    assert "5 from the ledger" in second.err

    scorers = assay("run", suite(scorers=["exact", {"scorer": "word_count", "at_most": 3}]))
    assert (scorers.code, server.received().total()) == (0, 5), "a new scorer needs no new answers"

    longer = assay("run", suite(cases=6))
    assert (longer.code, server.received().total()) == (0, 6)
    assert "since the last run: 1 of 6 cases are new or changed" in longer.err
    assert result_of(longer)["variants"][0]["latency"]["n"] == 1

    edited = assay("run", suite(cases=6, asked="Answer: {{ question }}"), "--json")
    assert (edited.code, server.received().total()) == (0, 12)
    assert edited.event("planned")["since"] == ["vendor: the prompt changed"]

    fresh = assay("run", suite(cases=6, asked="Answer: {{ question }}"), "--no-cache")
    assert (fresh.code, server.received().total()) == (0, 18)
    assert rows(store, "SELECT count(*) FROM answers WHERE from_cache AND latency_ms IS NOT NULL") == [(0,)]


def test_retrying_errors_calls_errored_cells_and_no_others(
    store: str, tmp_path: Path, vendor: Callable[..., Vendor]
) -> None:
    server = vendor(max_prompt_chars=600)
    cases = cases_of(6)
    for case in cases[:2]:
        case["inputs"]["question"] += " and much more" * 100
    suite = a_suite_file(tmp_path / "s", cases=cases, models=from_vendor(server.url))
    run = assay("run", suite)
    assert run.code == 3, run.err
    assert "33.3% of 6 calls failed (context_length 2)" in run.out
    assert assay("run", "--resume", "last").code == 3
    assert server.received() == {f"c-{n}": 1 for n in range(6)}, "without --retry-errors nothing is called again"
    again = assay("run", "--resume", "last", "--retry-errors", "--json")
    assert again.code == 3
    assert server.received() == {f"c-{n}": 2 if n < 2 else 1 for n in range(6)}
    assert again.event("launched")["total"] == 6
    superseded = rows(store, "SELECT position FROM answers WHERE superseded ORDER BY 1")
    assert superseded == [(0,), (1,)], "the first failures stay as facts"
    report = json.loads((Path(again.event("done")["report"]).parent / "report.json").read_text())
    assert report["variants"][0]["errors"] == {"context_length": 2}


def test_another_machine_resumes_with_what_the_store_has(
    store: str, tmp_path: Path, vendor: Callable[..., Vendor]
) -> None:
    """The suite's files are gone and the working folder is another: the run is in the store."""
    server = vendor(latency_ms=100)
    suite = a_suite_file(tmp_path / "s", cases=20, models=from_vendor(server.url), concurrency=2)
    stopped = assay("run", suite, "--max-time", "0.5s")
    assert stopped.code == 4, stopped.err
    suite.unlink()
    (tmp_path / "s" / "cases.jsonl").unlink()
    resumed = assay("run", "--resume", "last", env={"ASSAY_REPORTS": str(tmp_path / "elsewhere")}, cwd=tmp_path)
    assert resumed.code == 0, resumed.err
    assert str(tmp_path / "elsewhere") in resumed.out
    assert server.received() == {f"c-{n}": 1 for n in range(20)}
