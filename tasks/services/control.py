"""Bringing the platform up, keeping it up, taking it down. What is well is left as it is."""

import fcntl
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from evaluations.errors import AssayError
from tasks import processes
from tasks.prefect_api import PrefectApi
from tasks.prefect_server import USUAL_PORT, Server, find_server, lock_file, prefect_home, stop_server
from tasks.services import deployments, worker
from tasks.services.overview import LeftRun, left_runs
from tasks.services.recovery import Recovered, recover
from tasks.services.state import answering_server, embedded_answer, postmaster, states
from tasks.settings import Settings
from tasks.store.database import database_url, engine
from tasks.store.embedded import data_folder, stop, stop_postmaster

Told = Callable[[str], None]

WATCH_SECONDS = 3.0
SERVE_SECONDS = 15.0
"""How long a database that is there may take until it serves: it may be recovering from a power failure."""
SETTLE_SECONDS = 20.0
"""How long a flow run may take to notice that a server had gone."""
RECOVER_EVERY = 10
"""Looks of the watcher between two at what was left halfway."""
HEAR_SECONDS = 20.0
"""How long a worker may take to find a server again that was away."""


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform when it is up."""

    ui_url: str
    changed: tuple[str, ...]
    """Services that had to be started or mended."""
    deployed: int
    schedules: int
    recovered: Recovered
    seconds: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was stopped."""

    services: tuple[str, ...]
    flow_runs: int
    """Flow runs that were under way."""
    left: tuple[LeftRun, ...]
    left_alone: tuple[str, ...]
    """Named servers that others look after."""


def bring_up(given: Settings, told: Told = lambda _: None) -> Platform:
    """Start or mend whatever is not up, and go on with what was interrupted. `told` hears one line for each step.

    Raises InfrastructureError or AssayError for the first part that could not be brought up; the others are up then.
    """
    began = time.monotonic()
    _let_interrupts_through()
    with _alone(given, told):
        changed: list[str] = []
        lift = _Lift(given, told, changed)
        with ThreadPoolExecutor(3) as pool:
            database = pool.submit(lift.database)
            server = lift.server()
            deployed = pool.submit(lift.deployments, server, lift.pool(server))
            working = pool.submit(lift.worker, server)
        database.result()
        working.result()
        return Platform(
            ui_url=server.ui_url,
            changed=tuple(changed),
            deployed=len(deployed.result().wanted),
            schedules=deployed.result().schedules,
            recovered=_recovered(given, PrefectApi(server.api_url), changed),
            seconds=time.monotonic() - began,
        )


def take_down(given: Settings, told: Told = lambda _: None) -> Stopped:
    """Stop whatever of the platform runs on this machine. Flow runs get time to write down what they know."""
    home = prefect_home(given)
    with _alone(given, told):
        services = []
        if worker.stop_worker(given):
            services.append("worker")
        if processes.flow_run_processes(home):
            told("Flow runs are under way: letting their open calls finish.")
        runs = worker.stop_flow_runs(given)
        left = tuple(left_runs(given, answering_server(given)))
        if given.prefect_api_url is None and stop_server(home):
            services.append("Prefect server")
        if given.database_url is None and _stop_database(given):
            services.append("PostgreSQL")
    named = (("Prefect server", given.prefect_api_url), ("PostgreSQL", given.database_url))
    return Stopped(tuple(services), runs, left, tuple(name for name, address in named if address is not None))


def keep_up(given: Settings, told: Told, stopped: threading.Event) -> None:
    """Look every few seconds whether all is up, and mend what is not, until `stopped` is set."""
    looks = 0
    while not stopped.wait(WATCH_SECONDS):
        looks += 1
        wrong = [each for each in states(given) if each.state != "up"]
        if not wrong and looks % RECOVER_EVERY:
            continue
        for each in wrong:
            told(f"{each.name} {each.state}: {each.detail}")
        try:
            platform = bring_up(given)
        except AssayError as problem:
            told(f"not mended: {problem}")
            continue
        if wrong:
            told(f"mended in {platform.seconds:.0f} s: {', '.join(platform.changed) or 'it came back by itself'}")
        for run in platform.recovered.resumed:
            told(f"run {str(run.id)[:8]} goes on where it was left")


@dataclass(frozen=True, slots=True)
class _Lift:
    """The parts of the platform, each brought up by one method."""

    given: Settings
    told: Told
    changed: list[str]

    def database(self) -> None:
        began = time.monotonic()
        embedded = self.given.database_url is None
        was_up = not embedded or self._database_serves()
        database_url(self.given)
        engine()
        if not was_up:
            self._say("PostgreSQL", "started", began)

    def server(self) -> Server:
        began = time.monotonic()
        steps: list[str] = []

        def heard(sentence: str) -> None:
            steps.append(sentence)
            self.told(sentence)

        server = find_server(self.given, heard)
        if steps:
            other = f" (port {USUAL_PORT} is taken)" if server.port != USUAL_PORT else ""
            self._say("Prefect server", f"started at {server.ui_url}{other}", began)
        return server

    def pool(self, server: Server) -> deployments.Deployed:
        """The pool, which both a worker and deployments need; gives what is deployed in it."""
        api = PrefectApi(server.api_url)
        seen = deployments.look(self.given, api)
        if not seen.current:
            deployments.prepare_pool(api)
        return seen

    def deployments(self, server: Server, seen: deployments.Deployed) -> deployments.Deployed:
        began = time.monotonic()
        idle = not processes.service_processes("worker", prefect_home(self.given))
        if seen.current and not (idle and deployments.was_moved(self.given)):
            return seen
        deployments.deploy(self.given, server)
        seen = deployments.look(self.given, PrefectApi(server.api_url))
        self._say("deployments", f"{len(seen.wanted)} deployed", began)
        return seen

    def worker(self, server: Server) -> None:
        began = time.monotonic()
        seen = worker.look(self.given, server)
        patience = worker.START_SECONDS if seen.starting else HEAR_SECONDS if seen.away else 0.0
        while seen.trouble and time.monotonic() - began < patience:
            time.sleep(0.5)
            seen = worker.look(self.given, server)
        if seen.pids and not seen.trouble:
            return
        if seen.pids:
            self.told(f"The worker {seen.trouble}; another one takes its place.")
            worker.stop_worker(self.given)
        worker.start_worker(self.given, server)
        self._say("worker", "started", began)

    def _database_serves(self) -> bool:
        """True when the embedded server serves. One that is there and never will is ended."""
        deadline = time.monotonic() + SERVE_SECONDS
        while True:
            process, _ = postmaster(self.given.home)
            if process is None:
                return False
            processes.resume(process)
            problem = embedded_answer(self.given.home)
            if problem is None:
                return True
            if time.monotonic() > deadline:
                self.told(f"The embedded PostgreSQL does not serve ({problem}); it is ended and started anew.")
                processes.kill_alone([process])
                return False
            time.sleep(0.3)

    def _say(self, name: str, what: str, began: float) -> None:
        self.changed.append(name)
        self.told(f"{name}: {what} ({time.monotonic() - began:.1f} s)")


def _recovered(given: Settings, api: PrefectApi, changed: Sequence[str]) -> Recovered:
    """Recover what was interrupted. A flow run that has just lost a server takes a moment to fail: wait for it."""
    began = time.monotonic()
    store_was_down = "PostgreSQL" in changed
    shaken = set(processes.flow_run_processes(prefect_home(given))) if store_was_down else set()
    done = recover(given, api, store_was_down=store_was_down)
    while time.monotonic() - began < SETTLE_SECONDS and changed:
        left = shaken & processes.flow_run_processes(prefect_home(given)).keys()
        if not left and not done.unsettled:
            break
        time.sleep(1)
        done = recover(given, api, store_was_down=store_was_down).after(done)
    return done


def _stop_database(given: Settings) -> bool:
    if stop(given.home):
        return True
    process, recorded = postmaster(given.home)
    if process is not None:
        processes.resume(process)
        stop_postmaster(data_folder(given.home))
        return True
    if recorded:
        # The note of a server that was killed: there is nothing to stop, and nothing to mend either.
        (data_folder(given.home) / "postmaster.pid").unlink(missing_ok=True)
    return False


def _let_interrupts_through() -> None:
    """A shell starts what it puts in the background with SIGINT ignored; a worker that inherited that never ended."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _alone(given: Settings, told: Told) -> Iterator[None]:
    """One `assay up` or `assay down` at a time."""
    with lock_file(prefect_home(given), "platform.lock") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told("Another `assay up` or `assay down` is at work; waiting for it.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
