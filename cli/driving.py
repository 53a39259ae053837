"""Driving a flow from a terminal: the flow runs in a thread of its own, signals and the progress bar belong here.

Prefect would mark an async flow Crashed on the first Ctrl-C and leave its threads running; so the main thread keeps
the signals and asks the run to stop, which it does in order.
"""

import asyncio
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, cast
from uuid import UUID

import click

from evaluations.wording import count, duration, money, percent

POLL_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """How far a run is, for the eye. `spent` in USD as text, or "unpriced"."""

    run_id: UUID
    done: int
    total: int
    errors: int
    cached: int
    spent: str
    cap: str | None
    seconds: float
    done_before: int
    """Cells that were there when this execution began: they say nothing of its speed."""

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the pace so far; None before there is a pace."""
        fresh = self.done - self.done_before
        return None if fresh <= 0 else self.seconds / fresh * (self.total - self.done)


Look = Callable[[UUID | None], Glimpse | None]


class Show(Protocol):
    """What shows a run's progress: a bar, lines, or JSON events."""

    def update(self, glimpse: Glimpse) -> None: ...

    def close(self) -> None: ...


def drive(flow: Callable[[], Coroutine[Any, Any, str]], show: Show, look: Look) -> str:
    """Run a flow to its end while showing progress; gives the run's id, raises what the flow raises.

    The first SIGINT or SIGTERM asks for an orderly stop, the second one leaves at once with 130.
    """
    from tasks.stopping import stop_all

    outcome: list[str] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(asyncio.run(flow()))
        except BaseException as problem:  # noqa: BLE001 - handed to the main thread, which raises it again
            failure.append(problem)

    asked = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        from cli.main import leave

        if asked.is_set():
            leave(130)
        asked.set()
        click.echo("\nStopping: no new calls; open ones get a moment. Once more to leave at once.", err=True)
        stop_all("interrupted")

    before = {each: signal.signal(each, on_signal) for each in (signal.SIGINT, signal.SIGTERM)}
    worker = threading.Thread(target=work, name="flow", daemon=True)
    worker.start()
    try:
        while worker.is_alive():
            worker.join(POLL_S)
            glimpse = look(None)
            if glimpse is not None:
                show.update(glimpse)
        if outcome:
            # However short the run was, its end is shown.
            show.update(cast(Glimpse, look(UUID(outcome[0]))))
    finally:
        show.close()
        for each, handler in before.items():
            signal.signal(each, handler)
    if failure:
        raise failure[0]
    return outcome[0]


def looker() -> Look:
    """A function that looks at a run: the one named, or the one that this process executes, if there is one."""
    from tasks.execution import current
    from tasks.store.database import transaction
    from tasks.store.runs import progress_of

    began: dict[UUID, tuple[float, int]] = {}

    def look(run_id: UUID | None) -> Glimpse | None:
        execution = current()
        if run_id is None:
            if execution is None:
                return None
            run_id = execution.run.id
        with transaction() as connection:
            progress = progress_of(connection, run_id)
        started, before = began.setdefault(run_id, (time.monotonic(), progress.done))
        return Glimpse(
            run_id=run_id,
            done=progress.done,
            total=progress.total,
            errors=progress.errors,
            cached=progress.cached,
            spent=money(progress.spent),
            cap=None if progress.cap is None else money(progress.cap),
            seconds=time.monotonic() - started,
            done_before=before,
        )

    return look


def line_of(glimpse: Glimpse) -> str:
    """Progress in one line: done/total, errors, money, time to go."""
    parts = [f"{count(glimpse.done)}/{count(glimpse.total)}"]
    if glimpse.errors:
        parts.append(f"{percent(glimpse.errors / max(1, glimpse.done))} errors")
    if glimpse.cached:
        parts.append(f"{count(glimpse.cached)} from the ledger")
    parts.append(glimpse.spent + (f" of {glimpse.cap}" if glimpse.cap else ""))
    if glimpse.left_s is not None and glimpse.done < glimpse.total:
        parts.append(f"{duration(glimpse.left_s * 1000)} to go")
    return " · ".join(parts)


class Bar:
    """A progress bar for a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[line]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None

    def update(self, glimpse: Glimpse) -> None:
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task(f"run {str(glimpse.run_id)[:8]}", total=glimpse.total, line="")
        self._progress.update(self._task, completed=glimpse.done, line=line_of(glimpse))

    def close(self) -> None:
        self._progress.stop()


class Lines:
    """One line per ten percent, for logs."""

    def __init__(self) -> None:
        self._tenth = -1

    def update(self, glimpse: Glimpse) -> None:
        tenth = 10 * glimpse.done // max(1, glimpse.total)
        if tenth > self._tenth:
            self._tenth = tenth
            click.echo(f"run {str(glimpse.run_id)[:8]} {10 * tenth:>3}% {line_of(glimpse)}", err=True)

    def close(self) -> None:
        """Nothing to tidy up."""


class Events:
    """JSON lines on stdout: launched, progress, done."""

    def __init__(self) -> None:
        self._launched = False
        self._last: tuple[int, str] | None = None

    def update(self, glimpse: Glimpse) -> None:
        if not self._launched:
            self._launched = True
            emit("launched", run=str(glimpse.run_id), total=glimpse.total)
        now = (glimpse.done, glimpse.spent)
        if now != self._last:
            self._last = now
            emit(
                "progress",
                run=str(glimpse.run_id),
                done=glimpse.done,
                total=glimpse.total,
                errors=glimpse.errors,
                cached=glimpse.cached,
                spent=glimpse.spent,
                seconds=round(glimpse.seconds, 1),
                seconds_left=None if glimpse.left_s is None else round(glimpse.left_s, 1),
            )

    def close(self) -> None:
        """Every line was flushed as it was written."""


def emit(event: str, **fields: Any) -> None:
    """One event as a line of JSON."""
    click.echo(json.dumps({"event": event, **fields}))
    sys.stdout.flush()


def show_for(*, as_json: bool) -> Show:
    """JSON events if asked for; a bar on a terminal; lines in a log."""
    if as_json:
        return Events()
    return Bar() if sys.stderr.isatty() else Lines()
