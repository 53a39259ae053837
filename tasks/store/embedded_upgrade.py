"""Moving the embedded data to the bundled major version of PostgreSQL: `assay db upgrade-embedded`.

Only the old programs can read the old data. Their server is started for the upgrade alone, read-only; all of it is
copied into a new data folder beside the old one and compared; then the two folders change names. How far an upgrade
came is written in the names: `postgres.upgrading` may be thrown away, `postgres.upgraded` is complete.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg
from psycopg import sql

from evaluations.errors import AssayError, InfrastructureError
from tasks.store import embedded
from tasks.store.database import told_plainly
from tasks.store.embedded import (
    BUNDLED_MAJOR,
    DATABASE,
    STOP_SECONDS,
    bundled_programs,
    data_folder,
    data_major,
    handle_on,
    let_go,
    stop_postmaster,
    upgraded_folder,
    upgrading_folder,
)

START_SECONDS = 120
"""How long the old server may take: after a crash it first goes through its log."""
SPACE_FACTOR = 2
"""The copy takes about the place of the old data, and its log as much again while it is filled."""
SPACE_MARGIN = 128 * 1024**2
REMOVE_TRIES = 50
LONGEST_SOCKET_FOLDER = 90
"""Bytes; the name of a socket has at most 103 on some systems."""
PLACES = (
    "/usr/lib/postgresql/{major}/bin",
    "/usr/pgsql-{major}/bin",
    "/opt/homebrew/opt/postgresql@{major}/bin",
    "/usr/local/opt/postgresql@{major}/bin",
    "/Library/PostgreSQL/{major}/bin",
    "/Applications/Postgres.app/Contents/Versions/{major}/bin",
)
"""Where packages put their programs: Debian, Red Hat, Homebrew, EDB, Postgres.app."""

_OTHERS = """
    SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did."""

    before: int
    after: int
    tables: int
    rows: int
    schema: str | None
    """Revision of Assay's schema, the same before and after."""
    kept: Path
    """The old data, untouched."""


def upgrade_embedded(home: Path, binaries: Path | None = None, told: Told = lambda _: None) -> Upgraded | None:
    """Move the embedded data to the bundled major version; None when they are of it already, or when there are none.

    `binaries` is the folder of the old version's programs, looked for where packages put them when it is not given.
    The old data stay as they are until the new ones are complete, and are kept afterwards. Safe to repeat after any
    interruption. Raises AssayError when the data are in use or something is missing, InfrastructureError when
    Postgres fails.
    """
    # Whoever wants to start the server waits for this lock.
    with embedded.starting(home):
        embedded.finish_upgrade(home)
        before = data_major(home)
        if before is None or before == BUNDLED_MAJOR:
            return None
        if before > BUNDLED_MAJOR:
            raise AssayError(
                f"the data under {data_folder(home)} are of PostgreSQL {before}, newer than the {BUNDLED_MAJOR} of "
                "this version of Assay. Upgrade Assay; nothing was changed."
            )
        programs = old_programs(before, home, binaries)
        _refuse_in_use(home)
        _throw_away_leftovers(home)
        stop_postmaster(data_folder(home))
        _check_space(home)
        try:
            return _copied(home, before, programs, told)
        finally:
            _throw_away_leftovers(home)


def old_programs(major: int, home: Path, named: Path | None = None) -> Path:
    """The folder with the programs of this major version. Raises AssayError that says what to install."""
    places = [named, named / "bin"] if named is not None else _usual_places(major, home)
    found = {place: _version_of(place) for place in places}
    for place, version in found.items():
        if version == major:
            return place
    other = next((version for version in found.values() if version is not None), None)
    if named is not None and other is not None:
        raise AssayError(f"{named} has the programs of PostgreSQL {other}; the data were written by {major}.")
    where = f"in {named}" if named is not None else "on this machine"
    raise AssayError(
        f"the server programs of PostgreSQL {major}, which wrote the data, are not {where}. Install them (Debian and "
        f"Ubuntu: apt-get install postgresql-{major}; macOS: brew install postgresql@{major}), or name their folder: "
        "assay db upgrade-embedded --binaries DIR"
    )


def _usual_places(major: int, home: Path) -> list[Path]:
    brought = bundled_programs(home).get(major)  # the library brings an older version along, too
    places = [*([brought] if brought else []), *(Path(place.format(major=major)) for place in PLACES)]
    config = shutil.which("pg_config")
    if config is not None:
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        places += [Path(said.stdout.strip())] if said.returncode == 0 else []
    return places


def _version_of(folder: Path) -> int | None:
    """The major version of the server in a folder; None when there is none that runs."""
    if not all((folder / name).is_file() for name in ("postgres", "pg_ctl")):
        return None
    try:
        # It says something like "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)  # noqa: S603
        return int(said.stdout.partition("(PostgreSQL) ")[2].partition(".")[0])
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def _refuse_in_use(home: Path) -> None:
    if upgrading_folder(home).exists():
        return  # what runs now was started by an upgrade that was killed, and nobody else is let in
    url = embedded.running_url(home)
    if url is None:
        return
    with told_plainly(), psycopg.connect(url, autocommit=True) as connection:
        for _ in range(20):  # a connection that was just closed is seen for a moment
            [count] = connection.execute(_OTHERS).fetchall()[0]
            if not count:
                return
            time.sleep(0.05)
    raise AssayError(
        f"the embedded PostgreSQL has {count} open connection{'s' if count > 1 else ''}: let runs end, or stop "
        "everything with `assay db stop`, then repeat. Nothing was changed."
    )


def _throw_away_leftovers(home: Path) -> None:
    """What an interrupted upgrade left: programs at work, a half-filled folder. New data that are all there stay."""
    complete = not data_folder(home).exists()
    for folder in (upgrading_folder(home), *([] if complete else [upgraded_folder(home)])):
        if folder.exists():
            _end_programs_on(data_folder(home), folder)
            _remove(folder)


def _end_programs_on(*folders: Path) -> None:
    """End servers and what was about to start one: after a kill of ours they go on, and not all have left a note."""
    import psutil

    names = {str(folder.resolve()) for folder in folders} | {str(folder) for folder in folders}
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if names & set(process.cmdline()):
                process.send_signal(signal.SIGINT)
                left.append(process)
    _, still = psutil.wait_procs(left, timeout=STOP_SECONDS)
    if still:
        raise InfrastructureError(f"processes of an interrupted upgrade do not end: {[each.pid for each in still]}.")


def _remove(folder: Path) -> None:
    for attempt in range(REMOVE_TRIES):
        try:
            return shutil.rmtree(folder)
        except OSError:  # a child of what was just ended may still write
            if attempt == REMOVE_TRIES - 1:
                raise
            time.sleep(0.1)


def _check_space(home: Path) -> None:
    size = sum(path.lstat().st_blocks * 512 for path in data_folder(home).rglob("*") if path.is_file())
    needed, free = SPACE_FACTOR * size + SPACE_MARGIN, shutil.disk_usage(home).free
    if free < needed:
        raise InfrastructureError(
            f"the upgrade needs {needed / 1e9:,.1f} GB on the disk of {home}, and {free / 1e9:,.1f} GB are free. "
            "Free some space and repeat; nothing was changed."
        )


def _copied(home: Path, before: int, programs: Path, told: Told) -> Upgraded:
    new = upgrading_folder(home)
    new.mkdir()  # from here on nobody else connects to the old server
    told(f"Copying the data from PostgreSQL {before} to {BUNDLED_MAJOR}; the old ones stay as they are.")
    with told_plainly(), _old_server(data_folder(home), programs) as old_url, _new_server(new, home) as new_url:
        _copy(old_url, new_url, bundled_programs(home)[BUNDLED_MAJOR])
        told("Comparing tables, rows and sequences.")
        counted, schema = _compared(old_url, new_url)
    kept = _free_name(home / f"postgres-{before}-{date.today():%Y-%m-%d}")
    # The order is what makes a kill between two of these harmless: see finish_upgrade.
    new.rename(upgraded_folder(home))
    data_folder(home).rename(kept)
    upgraded_folder(home).rename(data_folder(home))
    return Upgraded(before, BUNDLED_MAJOR, len(counted), sum(counted.values()), schema, kept)


def _free_name(path: Path) -> Path:
    names = (path, *(path.with_name(f"{path.name}-{n}") for n in range(2, 1000)))
    return next(name for name in names if not name.exists())


# The two servers


@contextmanager
def _old_server(data: Path, programs: Path) -> Iterator[str]:
    """The old server on the old data, reached by a socket alone, where nothing can be written; stopped at the end."""
    user = _system_user(data)
    with _socket_folder(data, user) as sockets:
        options = f"-h '' -p 5432 -k {sockets} -c default_transaction_read_only=on -c autovacuum=off"
        start = ["-w", "-t", str(START_SECONDS), "-D", str(data), "-l", str(data / "log"), "-o", options, "start"]
        try:
            _run([str(programs / "pg_ctl"), *start], user=user, what="the old PostgreSQL did not start")
            yield f"postgresql://postgres@/postgres?host={quote(str(sockets))}&port=5432"
        finally:
            stop_postmaster(data)


@contextmanager
def _socket_folder(data: Path, user: str | None) -> Iterator[Path]:
    """A folder that the server's user alone can enter, with a name that is short enough for a socket."""
    if len(os.fsencode(data)) <= LONGEST_SOCKET_FOLDER:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="assay-old-", ignore_cleanup_errors=True) as folder:
        if user is not None:
            shutil.chown(folder, user)
        yield Path(folder)


@contextmanager
def _new_server(data: Path, home: Path) -> Iterator[str]:
    """A new server on new data; stopped at the end, by which all is on the disk."""
    server = handle_on(data, home)
    try:
        yield server.get_uri(database="postgres")
    finally:
        let_go(server)


def _system_user(data: Path) -> str | None:
    """The user whom the data belong to, where that is another one: Postgres does not run as root."""
    return data.owner() if os.geteuid() == 0 else None


# Copying


def _copy(old: str, new: str, programs: Path) -> None:
    load = [str(programs / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", _database(new, "template1")]
    roles = _run(
        [str(programs / "pg_dumpall"), "--globals-only", "-d", old], what="the roles could not be read"
    ).replace("CREATE ROLE postgres;\n", "")  # the new server has that one
    _run(load, given=roles, what="the roles could not be written")
    for name in _databases(old):
        dump = [str(programs / "pg_dump"), "--create", "--clean", "--if-exists", "-d", _database(old, name)]
        _pipe(dump, load, what=f"the database {name} could not be copied")
    for name in _databases(new):
        with psycopg.connect(_database(new, name), autocommit=True) as connection:
            connection.execute("ANALYZE")


def _databases(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY datname")
        return [name for (name,) in rows.fetchall()]


def _database(url: str, name: str) -> str:
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{quote(name, safe='')}?{query}"


def _pipe(dump: list[str], load: list[str], *, what: str) -> None:
    with tempfile.TemporaryFile("w+") as said:
        source = subprocess.Popen(dump, stdout=subprocess.PIPE, stderr=said, env=_environment())  # noqa: S603
        target = subprocess.Popen(  # noqa: S603
            load, stdin=source.stdout, stdout=subprocess.DEVNULL, stderr=said, env=_environment()
        )
        assert source.stdout is not None
        source.stdout.close()  # so that the one ends when the other does
        try:
            codes = (target.wait(), source.wait())
        finally:
            for each in (source, target):
                each.kill()
                each.wait()
        if any(codes):
            raise InfrastructureError(_failed(what, said))


def _run(command: list[str], *, what: str, user: str | None = None, given: str = "") -> str:
    # Files, not pipes: a server that was started keeps what it inherited open.
    with (
        tempfile.TemporaryFile("w+") as asked,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as said,
    ):
        asked.write(given)
        asked.seek(0)
        done = subprocess.run(  # noqa: S603
            command, stdin=asked, stdout=out, stderr=said, check=False, user=user, cwd="/", env=_environment()
        )
        if done.returncode != 0:
            raise InfrastructureError(_failed(what, said))
        out.seek(0)
        return out.read()


def _failed(what: str, said: IO[str]) -> str:
    said.seek(0)
    lines = [line.strip() for line in said if line.strip()]
    return f"{what}: {' / '.join(lines[:3]) or 'it said nothing'}. The old data are as they were."


def _environment() -> dict[str, str]:
    """Without the variables that would lead the programs to another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
        "LC_MESSAGES": "C",
        # The new server is stopped in order before anything relies on its data, and that writes all of it.
        "PGOPTIONS": "-c synchronous_commit=off",
    }


# Comparing

_OBJECTS = """
    SELECT 'relations of kind ' || c.relkind::text, count(*) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {own} GROUP BY c.relkind
    UNION ALL
    SELECT 'constraints of kind ' || c.contype::text, count(*) FROM pg_constraint c
    JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE {own} AND c.contype <> 'n'  -- from version 18 on NOT NULL is one, too
    GROUP BY c.contype
    UNION ALL
    SELECT 'functions', count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {own}
    UNION ALL
    SELECT 'triggers', count(*) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'sequence ' || schemaname || '.' || sequencename, last_value FROM pg_sequences
""".format(own="n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'")


def _compared(old: str, new: str) -> tuple[dict[str, int], str | None]:
    """The rows of each of Assay's tables and the revision of its schema, once both servers have the same of all.

    Raises InfrastructureError that names what differs.
    """
    databases = _databases(old)
    differing = sorted(set(databases) ^ set(_databases(new)))
    counted: dict[str, int] = {}
    for name in [] if differing else databases:
        rows, written = _rows(_database(old, name)), _rows(_database(new, name))
        things, made = _objects(_database(old, name)), _objects(_database(new, name))
        before, after = {**rows, **things}, {**written, **made}
        differing += sorted(f"{name}: {key}" for key in before | after if before.get(key) != after.get(key))
        counted = rows if name == DATABASE else counted
    schema = _schema(_database(old, DATABASE)) if DATABASE in databases else None
    if not differing and DATABASE in databases and schema != _schema(_database(new, DATABASE)):
        differing = ["the version of the schema"]
    if differing:
        raise InfrastructureError(
            f"the copy differs from the old data in {'; '.join(differing[:5])}. The old data are as they were; repeat "
            "`assay db upgrade-embedded`."
        )
    return counted, schema


def _rows(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        tables = connection.execute("""
            SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
        """).fetchall()
        count = sql.SQL("SELECT count(*) FROM {}")
        return {
            f"{schema}.{table}": connection.execute(count.format(sql.Identifier(schema, table))).fetchall()[0][0]
            for schema, table in tables
        }


def _objects(url: str) -> dict[str, int | None]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute(_OBJECTS).fetchall())


def _schema(url: str) -> str | None:
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchall() == [(None,)]:
            return None
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if found is None else str(found[0])
