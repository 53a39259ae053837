"""The doctor: looks at everything Assay stands on, changes and starts nothing, and names the command that mends.

A check is a function of what is there (`Sight`) that gives its findings. To add one, write it and list it in CHECKS.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evaluations.errors import AssayError
from evaluations.wording import count
from tasks.settings import Settings

if TYPE_CHECKING:
    from tasks.prefect_api import PrefectApi

DISK_WARNING = 2 * 1024**3
DISK_PROBLEM = 256 * 1024**2
"""Free bytes. Postgres stops for good when it cannot write its log."""
PRICES_DAYS = 30
LATE = timedelta(minutes=5)
"""How long after its time a scheduled run may still wait: a worker looks every few seconds and may be busy."""
QUIET_SECONDS = 120.0
"""How long a run without an owner may be silent: between two shards and before the first one it has none."""
CLOCK_SECONDS = 5.0
SCORED_DAYS = 30
NAMED_AT_MOST = 5
HTTP_SECONDS = 2.0
PAGE = 200
_RESUME = "PREFECT_API_URL={} prefect deployment schedule resume"

Mark = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and the commands that mend it."""

    mark: Mark
    name: str
    found: str
    mend: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What there is to look at."""

    given: Settings
    now: datetime
    store: str | None
    """The URL of the database when it answers and has the schema of this version."""
    server: str | None
    """The API address of the Prefect server when it answers."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at."""

    name: str
    look: Callable[[Sight], Iterable[Finding]]
    needs: Literal["nothing", "store", "server"] = "nothing"


def examine(given: Settings) -> list[Finding]:
    """Every finding of every check. A check that fails is a finding, too."""
    sight = Sight(given, datetime.now(UTC), _store(given), _server(given))
    return [finding for check in CHECKS for finding in _checked(check, sight)]


def _checked(check: Check, sight: Sight) -> list[Finding]:
    from tasks.secrets import without_secrets
    from tasks.store.soundness import TookTooLong

    if check.needs == "store" and sight.store is None:
        return [Finding("skipped", check.name, "not checked: the store cannot be read")]
    if check.needs == "server" and sight.server is None:
        return [Finding("skipped", check.name, "not checked: no Prefect server answers")]
    try:
        return list(check.look(sight))
    except TookTooLong:
        return [Finding("skipped", check.name, "not checked: the store is too large or too busy to tell in a moment")]
    except AssayError as problem:
        return [Finding("problem", check.name, str(problem))]
    except Exception as problem:  # noqa: BLE001 - one broken check must not hide what the others find
        said = without_secrets(f"{type(problem).__name__}: {problem}".splitlines()[0])
        return [Finding("problem", check.name, f"the check itself failed: {said}")]


# What there is


def _url(given: Settings) -> str | None:
    """Where the store is; None when the embedded one is not running."""
    from tasks.store.database import database_url
    from tasks.store.embedded import running_url

    return running_url(given.home) if given.database_url is None else database_url(given)


def _store(given: Settings) -> str | None:
    from tasks.store.database import schema_version
    from tasks.store.migrations import HEAD
    from tasks.store.soundness import reading_engine

    try:
        url = _url(given)
        return url if url is not None and schema_version(reading_engine(url)) == HEAD else None
    except Exception:  # noqa: BLE001 - the checks of database and schema say why
        return None


def _server(given: Settings) -> str | None:
    from tasks.services.state import answering_server

    server = answering_server(given)
    return None if server is None else server.api_url


# This machine


def home(sight: Sight) -> Iterator[Finding]:
    """ASSAY_HOME can be written, and the embedded server can live there."""
    from tasks.store.embedded import UNSAFE_IN_A_SHELL

    folder = sight.given.home
    there = _nearest(folder)
    bad = UNSAFE_IN_A_SHELL.search(str(folder.resolve())) if sight.given.database_url is None else None
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding("problem", "home", f"{folder} cannot be written", ("export ASSAY_HOME=DIR",))
    elif bad is not None:
        yield Finding(
            "problem", "home", f"the embedded PostgreSQL takes no {bad[0]!r} in {folder}", ("export ASSAY_HOME=DIR",)
        )
    else:
        yield Finding("ok", "home", str(folder))


def disks(sight: Sight) -> Iterator[Finding]:
    """The disks of data and reports have room."""
    folders = {_nearest(folder) for folder in (sight.given.home, sight.given.reports_folder)}
    for folder in sorted({each.stat().st_dev: each for each in sorted(folders)}.values()):
        free = shutil.disk_usage(folder).free
        mark: Mark = "problem" if free < DISK_PROBLEM else "warning" if free < DISK_WARNING else "ok"
        mend = () if mark == "ok" else (f"du -xh --max-depth=2 {folder} | sort -h | tail",)
        yield Finding(mark, "disk", f"{free / 1e9:,.1f} GB free under {folder}", mend)


def _nearest(folder: Path) -> Path:
    """The folder, or the first one above it that is there."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def dependencies(sight: Sight) -> Iterator[Finding]:
    """What is installed is what this version of Assay was built for."""
    from importlib.metadata import requires

    wanted = requires("assay") or []
    wrong = misfits(wanted)
    if not wrong:
        yield Finding("ok", "dependencies", f"{count(len(wanted))} as required")
    for requirement, installed in wrong:
        found = f"{requirement} is required, {installed or 'none'} is installed"
        yield Finding("problem", "dependencies", found, (f"pip install '{requirement}'",))


def misfits(requirements: Sequence[str]) -> list[tuple[str, str | None]]:
    """Those that do not hold in this environment, each with the version that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    wrong: list[tuple[str, str | None]] = []
    for wanted in map(Requirement, requirements):
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(wanted.name)
        except PackageNotFoundError:
            wrong.append((f"{wanted.name}{wanted.specifier}", None))
            continue
        if not wanted.specifier.contains(installed, prereleases=True):
            wrong.append((f"{wanted.name}{wanted.specifier}", installed))
    return wrong


def crash_log(sight: Sight) -> Iterator[Finding]:
    """No command ended with an error of Assay's own."""
    log = sight.given.home / "crash.log"
    if not log.is_file():
        yield Finding("ok", "crash log", "no command crashed")
        return
    when = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1][:200] if lines else "it says nothing"
    found = f"a command crashed on {when:%Y-%m-%d %H:%M} UTC: {said}"
    yield Finding("warning", "crash log", found, (f"cat {log}", f"rm {log}"))


# The store


def data_version(sight: Sight) -> Iterator[Finding]:
    """The embedded data are of the PostgreSQL that Assay brings."""
    from tasks.store.embedded import BUNDLED_MAJOR, data_folder, data_major

    written = data_major(sight.given.home)
    if written is None:
        yield Finding("ok", "embedded data", "none yet")
    elif written == BUNDLED_MAJOR:
        yield Finding("ok", "embedded data", f"of PostgreSQL {written}")
    else:
        newer = written > BUNDLED_MAJOR
        found = f"{data_folder(sight.given.home)} is of PostgreSQL {written}, Assay brings {BUNDLED_MAJOR}"
        mend = "pip install --upgrade assay" if newer else "assay db upgrade-embedded"
        yield Finding("problem", "embedded data", found, (mend,))


def migrations(sight: Sight) -> Iterator[Finding]:
    """The schema is the one that this version of Assay was written for."""
    from tasks.store.database import schema_version, told_plainly
    from tasks.store.migrations import HEAD, KNOWN
    from tasks.store.soundness import reading_engine

    try:
        url = _url(sight.given)
        with told_plainly():
            version = None if url is None else schema_version(reading_engine(url))
    except AssayError:
        url = None
    if url is None:
        yield Finding("skipped", "schema", "not checked: no database answers")
    elif version == HEAD:
        yield Finding("ok", "schema", HEAD)
    elif version is not None and version not in KNOWN:
        found = f"{version}, newer than this version of Assay knows ({HEAD})"
        yield Finding("problem", "schema", found, ("pip install --upgrade assay",))
    else:
        yield Finding("problem", "schema", f"{version or 'none yet'}, {HEAD} is needed", ("assay db upgrade",))


def clock(sight: Sight) -> Iterator[Finding]:
    """The clocks of the database and of this machine agree."""
    from tasks.store.soundness import now_there, reading

    assert sight.store is not None
    with reading(sight.store) as connection:
        before = datetime.now(UTC)
        there = now_there(connection)
        here = before + (datetime.now(UTC) - before) / 2
    yield clock_finding(here, there)


def clock_finding(here: datetime, there: datetime) -> Finding:
    """How far two clocks are apart, once the way between them is taken off."""
    apart = (there - here).total_seconds()
    if abs(apart) <= CLOCK_SECONDS:
        return Finding("ok", "clock", "database and this machine agree")
    found = f"the database's clock is {abs(apart):,.0f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
    return Finding("warning", "clock", found, ("sudo timedatectl set-ntp true",))


def prices(sight: Sight) -> Iterator[Finding]:
    """The price table is not older than PRICES_DAYS."""
    from tasks.store.soundness import newest_prices, reading

    assert sight.store is not None
    with reading(sight.store) as connection:
        newest = newest_prices(connection)
    if newest is None:
        yield Finding("ok", "prices", "none yet; the first run writes them")
        return
    source, recorded_at = newest
    days = (sight.now - recorded_at).days
    found = f"of {source}, taken over {recorded_at:%Y-%m-%d}"
    if days <= PRICES_DAYS:
        yield Finding("ok", "prices", found)
    else:
        mend = ("pip install --upgrade litellm genai-prices", "assay prices sync --apply")
        yield Finding("warning", "prices", f"{found}, {days} days ago", mend)


def references(sight: Sight) -> Iterator[Finding]:
    """Nothing in the store points at what is not there."""
    from tasks.store.orphans import orphans, reports_named
    from tasks.store.soundness import reading

    assert sight.store is not None
    with reading(sight.store) as connection:
        lost = orphans(connection)
        named = reports_named(connection)
    if lost:
        found = f"rows point at nothing: {'; '.join(map(str, lost))}"
        yield Finding("problem", "references", found, ("pg_restore --clean --if-exists --dbname=URL BACKUP",))
    gone = [str(run_id) for run_id, report in named if not Path(report).is_file()]
    if gone:
        found = f"{_runs(len(gone))} a report that is not on this machine: {_shown(gone)}"
        mend = tuple(f"assay runs report {run_id[:8]}" for run_id in gone[:NAMED_AT_MOST])
        yield Finding("warning", "reports", found, mend)
    if not lost and not gone:
        yield Finding("ok", "references", f"whole; reports are where they were written ({count(len(named))})")


def halfway_runs(sight: Sight) -> Iterator[Finding]:
    """No run was left by its process."""
    from tasks.store.soundness import halfway, reading

    assert sight.store is not None
    with reading(sight.store) as connection:
        left = halfway(connection, QUIET_SECONDS)
    if not left:
        yield Finding("ok", "unfinished runs", "none was left halfway")
        return
    found = f"{_runs(len(left))} nobody at work: " + ", ".join(
        f"{str(run.run_id)[:8]} ({run.suite}, last sign {run.last_sign:%Y-%m-%d %H:%M} UTC)"
        for run in left[:NAMED_AT_MOST]
    )
    mend = tuple(
        f"assay run --resume {str(run.run_id)[:8]}"
        if run.rescored_from is None
        else f"assay rescore {str(run.rescored_from)[:8]}"
        for run in left[:NAMED_AT_MOST]
    )
    yield Finding("warning", "unfinished runs", found, mend)


def budgets(sight: Sight) -> Iterator[Finding]:
    """The money that is reserved is that of open calls."""
    from tasks.store.soundness import misreserved, reading

    assert sight.store is not None
    with reading(sight.store) as connection:
        wrong = misreserved(connection)
    if not wrong:
        yield Finding("ok", "reserved money", "as the open calls say")
        return
    found = "held otherwise than by open calls: " + ", ".join(
        f"{str(each.run_id)[:8]} ${each.reserved:f} instead of ${each.held:f}" for each in wrong[:NAMED_AT_MOST]
    )
    mend = tuple(f"assay run --resume {str(each.run_id)[:8]} --max-cost USD" for each in wrong[:NAMED_AT_MOST])
    yield Finding("warning", "reserved money", found, mend)


def scores(sight: Sight) -> Iterator[Finding]:
    """Every answer of a completed run was judged."""
    from tasks.store.soundness import reading, unscored

    assert sight.store is not None
    with reading(sight.store) as connection:
        left = unscored(connection, SCORED_DAYS)
    if not left:
        yield Finding("ok", "scores", f"every answer of the last {SCORED_DAYS} days was judged")
        return
    found = f"{_runs(len(left))} answers that nobody judged: {_shown([str(run_id) for run_id, _ in left])}"
    mend = tuple(f"assay run --resume {str(run_id)[:8]}" for run_id, _ in left[:NAMED_AT_MOST])
    yield Finding("problem", "scores", found, mend)


def flags(sight: Sight) -> Iterator[Finding]:
    """What applications read is what the database says, in every environment that has flags."""
    from tasks.flags import FILE_STATES, file_state
    from tasks.store.deployments import environments_in_use
    from tasks.store.soundness import reading

    assert sight.store is not None
    folder = sight.given.flags_folder
    with reading(sight.store) as connection:
        found = {each: file_state(connection, each, folder) for each in environments_in_use(connection)}
    wrong = {environment: state for environment, state in found.items() if state != "current"}
    for environment, state in wrong.items():
        mend = f"assay deploy publish --environment {environment}"
        yield Finding("problem", "flags", f"{folder / environment}.json {FILE_STATES[state]}", (mend,))
    if not wrong:
        yield Finding("ok", "flags", f"of {count(len(found), 'environment')}, as the database says")


def waiting(sight: Sight) -> Iterator[Finding]:
    """No deployment stands still until a person says something."""
    from tasks.deployment_status import waiting_for_people
    from tasks.store.soundness import reading

    assert sight.store is not None
    with reading(sight.store) as connection:
        found = waiting_for_people(connection, sight.now)
    for each in found[:NAMED_AT_MOST]:
        yield Finding("warning", "deployments", each.says, each.commands)
    if len(found) > NAMED_AT_MOST:
        yield Finding("warning", "deployments", f"{len(found) - NAMED_AT_MOST} more wait", ("assay deploy list",))
    if not found:
        yield Finding("ok", "deployments", "none waits for a person")


def _runs(number: int) -> str:
    return "1 run has" if number == 1 else f"{count(number)} runs have"


def _shown(run_ids: Sequence[str]) -> str:
    """The first ones, short."""
    more = len(run_ids) - NAMED_AT_MOST
    return ", ".join(each[:8] for each in run_ids[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


# Prefect


def services(sight: Sight) -> Iterator[Finding]:
    """PostgreSQL, Prefect server, worker and deployments are up."""
    from tasks.services.state import states

    for each in states(sight.given):
        mark: Mark = "ok" if each.state == "up" else "problem"
        yield Finding(mark, each.name, each.detail, (each.mend,) if each.mend else ())


def schedules(sight: Sight) -> Iterator[Finding]:
    """No scheduled run waits beyond its time, and no schedule is switched off."""
    from tasks.prefect_api import PrefectApi

    assert sight.server is not None
    api = PrefectApi(sight.server, HTTP_SECONDS)
    ours = _deployments(api)
    late = _late(api, ours, sight.now)
    paused = _paused(api, ours)
    if late:
        longest = max(waiting for _, waiting in late)
        names = ", ".join(sorted({name for name, _ in late}))
        found = f"{len(late)} scheduled run{'s' if len(late) > 1 else ''} late, by up to {_minutes(longest)}: {names}"
        yield Finding("problem", "schedules", found, ("assay up", "assay status"))
    for name, mend in paused:
        yield Finding("warning", "schedules", f"{name} is switched off", (mend,))
    if not late and not paused:
        scheduled = sum(len(each["schedules"]) for each in ours.values())
        yield Finding("ok", "schedules", f"{scheduled} on, no run late")


def _minutes(waiting: timedelta) -> str:
    minutes = int(waiting.total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def _deployments(api: "PrefectApi") -> dict[str, dict[str, Any]]:
    """Assay's own ones by id: a server that others use has more."""
    from tasks.services.pool import POOL

    found = api.post("/deployments/filter", {"work_pools": {"name": {"any_": [POOL]}}, "limit": PAGE})
    return {each["id"]: each for each in found}


def _late(api: "PrefectApi", ours: dict[str, dict[str, Any]], now: datetime) -> list[tuple[str, timedelta]]:
    """The deployments whose runs should have begun, and for how long they wait."""
    asked = {
        "flow_runs": {
            "deployment_id": {"any_": list(ours)},
            # A run that waits for a free place of its deployment is scheduled, too, and not late.
            "state": {"type": {"any_": ["SCHEDULED"]}, "name": {"any_": ["Scheduled", "Late"]}},
            "expected_start_time": {"before_": (now - LATE).isoformat()},
        },
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": PAGE,
    }
    return [
        (ours[run["deployment_id"]]["name"], now - datetime.fromisoformat(run["expected_start_time"]))
        for run in api.post("/flow_runs/filter", asked)
    ]


def _paused(api: "PrefectApi", ours: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Schedules that are switched off, each with the command that switches it on."""
    from tasks.prefect_api import without_login

    flows = {each["id"]: each["name"] for each in api.post("/flows/filter", {"limit": PAGE})}
    address = without_login(api.url)
    off = []
    for deployment in ours.values():
        name = f"{flows.get(deployment['flow_id'], '?')}/{deployment['name']}"
        off += [
            (f"a schedule of {name}", f"{_RESUME.format(address)} {name} {schedule['id']}")
            for schedule in deployment["schedules"]
            if not schedule["active"]
        ]
        if deployment["paused"]:
            off.append((name, f"curl -X POST {address}/deployments/{deployment['id']}/resume_deployment"))
    return off


CHECKS = (
    Check("home", home),
    Check("disk", disks),
    Check("dependencies", dependencies),
    Check("crash log", crash_log),
    Check("embedded data", data_version),
    Check("services", services),
    Check("schema", migrations),
    Check("clock", clock, needs="store"),
    Check("prices", prices, needs="store"),
    Check("references", references, needs="store"),
    Check("unfinished runs", halfway_runs, needs="store"),
    Check("reserved money", budgets, needs="store"),
    Check("scores", scores, needs="store"),
    Check("flags", flags, needs="store"),
    Check("deployments", waiting, needs="store"),
    Check("schedules", schedules, needs="server"),
)
