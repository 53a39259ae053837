"""Ctrl-C and SIGTERM: no new calls, open ones finish, what was answered is kept, and the run can go on."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import ROOT, Outcome, a_suite_file, assay, from_vendor, result_of, rows, started
from tests.fakes.vendor import Vendor

pytestmark = pytest.mark.usefixtures("prefect_server")


def has_done(least: int) -> Callable[[Outcome], bool]:
    """Whether the events of a command have reached a number of answers."""

    def look(so_far: Outcome) -> bool:
        whole = so_far.out[: so_far.out.rfind("\n") + 1]
        events = Outcome(0, whole, "").events
        return any(each["event"] == "progress" and each["done"] >= least for each in events)

    return look


def test_each_signal_ends_a_run_in_order_and_resuming_makes_no_call_twice(
    store: str, tmp_path: Path, vendor: Callable[..., Vendor]
) -> None:
    server = vendor(latency_ms=300)
    suite = a_suite_file(tmp_path / "s", cases=60, models=from_vendor(server.url), concurrency=4)
    first = started("run", suite, "--json")
    first.until(has_done(8), "eight answers")
    first.send(signal.SIGINT)
    stopped = first.ended()
    assert stopped.code == stopped.event("done")["exit_code"] == 130, stopped.err
    assert "no new calls; open ones get a moment" in stopped.err
    [(answers, opened)] = rows(store, "SELECT (SELECT count(*) FROM answers), (SELECT count(*) FROM calls)")
    assert 8 <= answers < 60
    assert opened == answers == server.received().total(), "an open call did not finish, or a new one began"
    done = stopped.event("done")
    assert done["verdict"] == "interrupted"
    assert f"Incomplete: {answers} of 60 answers; interrupted" in done["sentence"]
    page = Path(done["report"]).read_text()
    assert "Incomplete" in page
    assert "interrupted" in page
    assert rows(store, "SELECT status, stop_reason FROM runs") == [("partial", "interrupted")]

    second = started("run", "--resume", "last", "--json")
    second.until(has_done(answers + 8), "eight more answers")
    second.send(signal.SIGTERM)
    assert second.ended().code == 130

    last = assay("run", "--resume", "last")
    assert last.code == 0, last.err
    assert result_of(last)["complete"] is True
    assert rows(store, "SELECT count(*), max(attempt) FROM calls") == [(60, 1)]
    assert server.received() == {f"c-{n}": 1 for n in range(60)}
    assert rows(store, "SELECT count(*) FROM runs") == [(1,)]


def test_a_second_signal_leaves_at_once_and_the_open_calls_are_listed(
    store: str, tmp_path: Path, vendor: Callable[..., Vendor]
) -> None:
    server = vendor(latency_ms=4000)
    suite = a_suite_file(tmp_path / "s", cases=6, models=from_vendor(server.url), concurrency=4, gates={})
    run = started("run", suite)
    run.until(lambda _: server.received().total() == 4, "four open calls")
    run.send(signal.SIGTERM)
    run.until(lambda so_far: "Once more to leave at once" in so_far.err, "the first signal to be heard")
    run.send(signal.SIGINT)
    left = run.ended()
    assert (left.code, left.out) == (130, "")
    assert rows(store, "SELECT count(*) FROM answers") == [(0,)]

    skipped = assay("run", "--resume", "last", "--in-flight", "skip", "--inconclusive", "pass")
    assert skipped.code == 3, skipped  # four of six calls have failed: no verdict on quality
    in_flight = result_of(skipped)["in_flight"]
    assert [call["resolution"] for call in in_flight] == ["recorded as an error"] * 4
    assert all(float(call["possible_cost_usd"]) > 0 for call in in_flight)
    assert server.received() == {f"c-{n}": 1 for n in range(6)}


def test_a_signal_before_there_is_a_run_ends_with_130_and_one_sentence(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s")
    script = (
        "import os, sys, tasks.planning, cli.main\n"
        "number = int(sys.argv.pop())\n"
        "tasks.planning.load_suite = lambda *_, **__: os.kill(os.getpid(), number)\n"
        "cli.main.main()\n"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        done = subprocess.run(
            [sys.executable, "-c", script, "run", suite, str(int(number))],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr.strip()) == (130, "assay: interrupted.")
    assert rows(store, "SELECT count(*) FROM runs") == [(0,)]
