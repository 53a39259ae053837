"""assay up, down, status: the platform by one command."""

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.services.control import Platform, Stopped
    from tasks.services.overview import LeftRun, NextRun
    from tasks.services.recovery import Recovered
    from tasks.services.state import ServiceState

SHOWN_RUNS = 5


@click.command()
@click.option("--watch", is_flag=True, help="Stay, and mend what dies; Ctrl-C or SIGTERM stops everything in order.")
def up(watch: bool) -> None:
    """Start the database, the Prefect server and a worker, and deploy every flow.

    What is up stays as it is and what is broken is mended, so it can be repeated at any time. Runs that
    were left halfway go on. Everything stays up when the command ends; `assay down` stops it.

    The worker keeps the environment that it was started with: to give it a new API key, export the key,
    then `assay down` and `assay up`.
    """
    from tasks.services.control import bring_up
    from tasks.settings import settings

    if watch:
        _watch()
        return
    _tell_platform(bring_up(settings(), _said))


@click.command()
def down() -> None:
    """Stop worker, Prefect server and embedded database; what was committed stays.

    Runs under way are ended in order. The next `assay up` goes on with those that were started from
    Prefect, and names the command that goes on with the others.
    """
    from tasks.services.control import take_down
    from tasks.settings import settings

    _tell_stopped(take_down(settings(), _said))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """What runs, what is under way, what comes next. Exit code 3 when something is down or broken."""
    from cli.main import leave
    from tasks.services.overview import left_runs, next_runs
    from tasks.services.state import answering_server, states
    from tasks.settings import settings

    given = settings()
    found = states(given)
    server = answering_server(given)
    runs = left_runs(given, server)
    coming = next_runs(server) if server else []
    if as_json:
        click.echo(_as_json(found, runs, coming, server.ui_url if server else None))
    else:
        _tell_status(found, runs, coming)
    leave(0 if all(each.state == "up" for each in found) else 3)


def _watch() -> None:
    import signal
    import threading

    from tasks.services.control import bring_up, keep_up, take_down
    from tasks.settings import settings

    stopped = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stopped.set())
    given = settings()
    try:
        platform = bring_up(given, _said)
        click.echo(f"Assay is up: {platform.ui_url}. Watching; Ctrl-C stops everything.")
        keep_up(given, click.echo, stopped)
    finally:
        _tell_stopped(take_down(given, _said))


def _tell_platform(platform: "Platform") -> None:
    if platform.changed:
        click.echo(f"Assay is up after {platform.seconds:.0f} s: {platform.ui_url}")
    else:
        click.echo(f"Assay was up already: {platform.ui_url}")
    click.echo(f"{platform.deployed} flows can be started there; {platform.schedules} schedules are on.")
    _tell_recovered(platform.recovered)
    click.echo("Look: assay status   Stop: assay down")


def _tell_recovered(recovered: "Recovered") -> None:
    from tasks.services.overview import by_hand

    if recovered.crashed:
        click.echo(f"Flow runs that had lost their process, shown as crashed now: {recovered.crashed}.")
    if recovered.again:
        click.echo(f"Flow runs that had done nothing yet and begin again: {recovered.again}.")
    for run in recovered.resumed:
        click.echo(f"Run {str(run.id)[:8]} ({run.suite}) goes on where it was left: {run.done:,} of {run.total:,}.")
    for run in recovered.by_hand[:SHOWN_RUNS]:
        click.echo(f"Run {str(run.id)[:8]} ({run.suite}) was left at {run.done:,} of {run.total:,}: {by_hand(run.id)}")
    _tell_more(len(recovered.by_hand))


def _tell_stopped(stopped: "Stopped") -> None:
    from tasks.services.overview import UNDER_WAY

    click.echo(f"Stopped: {', '.join(stopped.services)}." if stopped.services else "Nothing was running.")
    if stopped.flow_runs:
        click.echo(f"Flow runs ended before they were done: {stopped.flow_runs}. What they had committed is safe.")
    for each in stopped.left[:SHOWN_RUNS]:
        how = "loses its database" if each.how == UNDER_WAY else f"goes on with: {each.how}"
        click.echo(f"Run {str(each.run.id)[:8]} ({each.run.suite}, {each.run.done:,} of {each.run.total:,}) {how}")
    _tell_more(len(stopped.left))
    for name in stopped.left_alone:
        click.echo(f"{name}: named by a variable, so left as it is.")


def _tell_status(found: "Sequence[ServiceState]", runs: "Sequence[LeftRun]", coming: "Sequence[NextRun]") -> None:
    for each in found:
        click.echo(f"{each.name:<16}{each.state:<8}{each.detail}")
    for left in runs[:SHOWN_RUNS]:
        run = left.run
        how = f"left halfway; go on: {left.how}" if left.how.startswith("assay") else left.how
        click.echo(f"run {str(run.id)[:8]}    {run.suite}, {run.done:,} of {run.total:,} answers, {how}")
    _tell_more(len(runs))
    for next_run in coming:
        click.echo(f"next            {next_run.at.astimezone():%Y-%m-%d %H:%M %Z}  {next_run.deployment}")
    for mend in dict.fromkeys(each.mend for each in found if each.mend):
        click.echo(f"Mend: {mend}")


def _tell_more(count: int) -> None:
    if count > SHOWN_RUNS:
        click.echo(f"… and {count - SHOWN_RUNS} more runs: assay runs list")


def _as_json(
    found: "Sequence[ServiceState]", runs: "Sequence[LeftRun]", coming: "Sequence[NextRun]", ui_url: str | None
) -> str:
    from dataclasses import asdict

    return json.dumps(
        {
            "ui": ui_url,
            "services": [asdict(each) for each in found],
            "runs": [
                {
                    "run": str(each.run.id),
                    "suite": each.run.suite,
                    "status": each.run.status,
                    "done": each.run.done,
                    "total": each.run.total,
                    "how": each.how,
                }
                for each in runs
            ],
            "next": [{"deployment": each.deployment, "at": each.at.isoformat()} for each in coming],
        }
    )


def _said(sentence: str) -> None:
    click.echo(sentence, err=True)
