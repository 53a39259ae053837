"""Exit codes: 0 pass, 1 quality, 2 usage, 3 provider or infrastructure, 4 limits, 5 inconclusive."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli.commands import a_suite_file, assay, assay_here, result_of, rows, runs_in, simulated

pytestmark = pytest.mark.usefixtures("prefect_server")
SLOW: dict[str, Any] = {"p50_ms": 400, "p95_ms": 401, "time_scale": 1.0}
"""A simulated model that really takes 0.4 s a call."""


def test_a_passing_suite_exits_with_0_when_it_runs_is_resumed_and_is_rescored(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s")
    junit = tmp_path / "out" / "verdicts.xml"
    run = assay("run", suite, "--json", "--junit", junit)
    assert run.code == 0, run.err
    planned, launched, *progress, done = run.events
    assert [planned["event"], launched["event"], done["event"]] == ["planned", "launched", "done"]
    assert {each["event"] for each in progress} == {"progress"}
    assert (planned["cases"], planned["answers"], planned["variants"]) == (4, 4, ["perfect"])
    assert progress[-1]["done"] == progress[-1]["total"] == launched["total"] == 4
    assert (done["verdict"], done["exit_code"]) == ("pass", 0)
    assert done["sentence"].startswith("SIMULATED: Suite passes")
    assert Path(done["report"]).is_file()
    tests = ElementTree.parse(junit).getroot().iter("testcase")
    assert len(list(tests)) == 4

    again = assay("run", "--resume", "last")
    assert (again.code, runs_in(store)) == (0, 1)
    assert "4 of 4 answers are there" in again.err
    assert rows(store, "SELECT count(*), max(attempt) FROM calls") == [(4, 1)]

    rescored = assay("rescore", done["run"][:8], "--json")
    assert rescored.code == rescored.event("done")["exit_code"] == 0
    assert rows(store, "SELECT count(*) FROM answers") == [(4,)]
    assert rows(store, "SELECT count(*) FROM runs WHERE rescored_from IS NOT NULL") == [(1,)]
    refused = assay("run", "--resume", rescored.event("done")["run"])
    assert refused.code == 2
    assert "nothing to resume" in refused.err


def test_a_failing_suite_exits_with_1_until_its_gates_say_otherwise(store: str, tmp_path: Path) -> None:
    wrong = simulated(accuracy=0.0)
    suite = a_suite_file(tmp_path / "s", models=wrong)
    run = assay("run", suite)
    assert run.code == 1, run.err
    assert "Suite fails: 0% of 4 cases pass" in run.out
    assert {case["verdict"] for case in result_of(run)["cases"]} == {"fail"}
    assert assay("run", "--resume", "last").code == 1
    assert assay("rescore", "last").code == 1
    a_suite_file(tmp_path / "s", models=wrong, gates={"pass_rate": 0.0})
    lenient = assay("rescore", "last", "--suite", suite)
    assert lenient.code == 0, lenient.err
    assert rows(store, "SELECT count(*) FROM calls") == [(4,)]
    a_suite_file(tmp_path / "s", models=wrong, repeats=2)
    other = assay_here("rescore", "last", "--suite", suite)
    assert other.code == 2
    assert "other variants or repeats" in other.err


def test_too_many_failed_calls_exit_with_3_and_give_no_verdict_on_quality(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s", models=simulated(error_rate=1.0))
    run = assay("run", suite)
    assert run.code == 3, run.err
    assert "No verdict on quality" in run.out
    assert result_of(run)["verdict"] == "provider_error"
    assert assay("run", "--resume", "last", "--retry-errors").code == 3
    assert rows(store, "SELECT count(*), count(*) FILTER (WHERE superseded) FROM answers") == [(8, 4)]
    assert assay("rescore", "last").code == 3


def test_a_cost_limit_stops_with_4_and_a_higher_one_goes_on(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s", cases=40, models=simulated(usd_per_million_output="1000"), concurrency=2)
    run = assay("run", suite, "--max-cost", "0.01", "--json")
    done = run.event("done")
    assert (run.code, done["exit_code"], done["verdict"]) == (4, 4, "budget"), run.err
    assert "stopped by the $0.01 limit" in done["sentence"]
    [(answers, spent)] = rows(store, "SELECT count(*), (SELECT spent FROM run_budgets) FROM answers")
    assert 0 < answers < 40
    # The price of a simulated answer is not known beforehand: each of the open calls may go beyond the limit.
    assert float(spent) <= 0.01 + 2 * 0.0011
    stuck = assay("run", "--resume", "last")
    assert stuck.code == 4
    assert f"Incomplete: {answers} of 40" in stuck.out
    finished = assay("run", "--resume", "last", "--max-cost", "5")
    assert finished.code == 0, finished.err
    assert rows(store, "SELECT count(*), count(DISTINCT position) FROM answers") == [(40, 40)]


def test_a_time_limit_stops_with_4_and_a_resume_without_one_finishes(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s", cases=30, models=simulated(**SLOW), concurrency=5)
    run = assay("run", suite, "--max-time", "1s")
    assert run.code == 4, run.err
    assert "stopped by the time limit of 1.00 s" in run.out
    assert "Go on:  assay run --resume" in run.out
    [(before,)] = rows(store, "SELECT count(*) FROM answers")
    assert 5 <= before < 30
    partial = assay("rescore", "last")
    assert partial.code in (4, 5), partial.out
    [(first,)] = rows(store, "SELECT id::text FROM runs WHERE rescored_from IS NULL")
    assert assay("run", "--resume", first).code == 0
    assert rows(store, "SELECT count(*), max(attempt) FROM calls") == [(30, 1)]


def test_an_open_verdict_exits_with_5_or_as_the_caller_decides(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s", cases=5, gates={"pass_rate": 0.9, "confident": True})
    run = assay("run", suite)
    assert run.code == 5, run.err
    assert "Not enough to tell" in run.out
    assert assay("run", "--resume", "last", "--inconclusive", "pass").code == 0
    failed = assay("rescore", "last", "--inconclusive", "fail", "--json")
    assert failed.code == failed.event("done")["exit_code"] == 1
    assert failed.event("done")["verdict"] == "inconclusive"


def test_reading_commands_answer_about_runs_and_refuse_what_they_do_not_know(store: str, tmp_path: Path) -> None:
    assert "No runs yet" in assay_here("runs", "list").out
    missing = assay_here("runs", "show", "last")
    assert (missing.code, missing.err) == (
        2,
        "assay: no run is called 'last'. `assay runs list` shows those there are.\n",
    )
    assert assay("run", a_suite_file(tmp_path / "s", models=simulated(accuracy=0.0))).code == 1
    [run] = json.loads(assay_here("runs", "list", "--json").out)
    assert (run["suite"], run["verdict"], run["done"], run["total"]) == ("tested", "fail", 4, 4)
    assert run["run"][:8] in assay_here("runs", "list").out
    assert json.loads(assay_here("runs", "list", "--json", "--suite", "another").out) == []

    shown = assay_here("runs", "show", run["run"][:6], "--cases", "2")
    assert shown.code == 0
    assert shown.out.count(" (made-up): ") == 2
    assert f"Report: {run['report']}" in shown.out
    assert json.loads(assay_here("runs", "show", "last", "--json").out)["run_id"] == run["run"]

    Path(run["report"]).unlink()
    assert assay_here("runs", "report", "last").out.strip() == run["report"]
    assert Path(run["report"]).is_file()
    for command in (("runs", "show"), ("runs", "report"), ("rescore",), ("run", "--resume")):
        for name, said in (("zzzz", "not the id of a run"), ("00000000", "no run is called"), ("a", "four characters")):
            refused = assay_here(*command, name)
            assert refused.code == 2, command
            assert said in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Usage: assay"),
        (("rnu",), "did you mean 'run'?"),
        (("run",), "name a SUITE to run, or a run to go on with"),
        (("run", "a", "--resume", "last"), "name a SUITE to run, or a run to go on with"),
        (("run", "--resume", "last", "--repeat", "2", "-m", "x"), "-m, --repeat cannot be changed on the way"),
        (("run", "support-tickets", "--retry-errors"), "goes with --resume"),
        (("run", "support-tickets", "--repeat", "0"), "0 is not in the range 1<=x<=1000"),
        (("run", "support-tickets", "--concurrency", "-3"), "-3 is not in the range"),
        (("run", "support-tickets", "--max-cost", "-1"), "not an amount of dollars that could be spent"),
        (("run", "support-tickets", "--max-cost", "NaN"), "not an amount of dollars that could be spent"),
        (("run", "support-tickets", "--max-cost", "ten"), "'ten' is not an amount of dollars"),
        (("run", "support-tickets", "--max-cost", "1e300"), "more than the ledger can count"),
        (("run", "support-tickets", "--where", "tag=\udcff"), "is not UTF-8 text"),
        (("runs", "list", "--suite", "\udcff"), "is not UTF-8 text"),
        (("run", "support-tickets", "--max-time", "0"), "more than nothing"),
        (("run", "support-tickets", "--max-time", "soon"), "'soon' is not a time"),
        (("run", "support-tickets", "--max-time", "nan"), "'nan' is not a time"),
        (("run", "support-tickets", "--max-time", "1e400"), "is not a time"),
        (("run", "support-tickets", "--in-flight", "perhaps"), "'perhaps' is not one of 'retry', 'skip'"),
        (("run", "support-tickets", "--junit", "/"), "is a directory"),
        (("run", "support-tickets", "--where", "colour=red"), "takes tag=…, priority=… or id=…"),
        (("run", "support-tickets", "--where", "tag"), "takes tag=…, priority=… or id=…"),
        (("run", "support-tickets", "--where", "tag=nobody"), "no case of support-tickets matches tag=nobody"),
        (("run", "support-tickets", "-m", "lagre"), "did you mean 'large'?"),
        (("run", "support-tickets", "--prompt", "nowhere.yaml"), "no prompt of this suite is named 'nowhere.yaml'"),
        (("rescore",), "Missing argument 'RUN'"),
        (("runs",), "Usage: assay runs"),
        (("runs", "lst"), "Did you mean 'list'?"),
        (("runs", "list", "--limit", "0"), "0 is not in the range"),
        (("runs", "show"), "Missing argument 'RUN'"),
        (("scorers", "exat"), "did you mean 'exact'?"),
        (("db",), "Usage: assay db"),
        (("db", "upgrade", "now"), "unexpected extra argument"),
    ],
    ids=lambda given: ascii(" ".join(given)) if isinstance(given, tuple) else "",
)
def test_what_cannot_be_meant_exits_with_2_and_says_what_would_do(
    store: str, arguments: tuple[str, ...], said: str
) -> None:
    refused = assay_here(*arguments)
    assert refused.code == 2, refused
    assert said in refused.err
    assert runs_in(store) == 0


def test_scorers_and_the_store_tell_about_themselves(store: str) -> None:
    listed = assay_here("scorers")
    assert listed.code == 0
    assert "  exact " in listed.out
    assert "at_most" in assay_here("scorers", "word_count").out
    status = assay_here("db", "status")
    assert status.code == 0
    assert status.out.startswith("server a local socket/test_")
    upgraded = assay_here("db", "upgrade")
    assert (upgraded.code, "(was up to date)" in upgraded.out) == (0, True)
