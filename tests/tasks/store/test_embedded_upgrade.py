"""Old embedded data move to the new PostgreSQL whole, or nothing changes."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psutil
import psycopg
import pytest

from evaluations.errors import AssayError, InfrastructureError
from tasks.store import embedded, embedded_upgrade
from tasks.store.database import engine, schema_version, transaction
from tasks.store.embedded import BUNDLED_MAJOR, data_folder, data_major, embedded_url, upgraded_folder, upgrading_folder
from tasks.store.embedded_upgrade import Upgraded, old_programs, upgrade_embedded
from tasks.store.migrations import HEAD
from tasks.store.runs import run_of
from tests.builders import a_run
from tests.cli.commands import PROGRAM, ROOT, assay_here
from tests.conftest import _forget
from tests.tasks.store.old_data import OLD_MAJOR, OLD_PROGRAMS, copied_home, old_home, old_server


@pytest.fixture(scope="module")
def old(home: Path) -> Iterator[tuple[Path, UUID]]:
    """Old data with a run, a role and a second database."""
    with old_home(home) as made, pytest.MonkeyPatch.context() as patch:
        with old_server(made) as url:
            at(made, url, patch)
            run_id = a_run(cases=7)
            _forget()
        yield made, run_id


@pytest.fixture
def run_id(old: tuple[Path, UUID]) -> UUID:
    return old[1]


@pytest.fixture
def old_one(old: tuple[Path, UUID], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An ASSAY_HOME with the old data that is the test's own, and the store of this process."""
    with copied_home(old[0]) as made:
        at(made, None, monkeypatch)
        yield made
        _forget()


def at(home: Path, url: str | None, patch: pytest.MonkeyPatch) -> None:
    """Let the store be the one at this URL, or the embedded one of this home."""
    patch.setenv("ASSAY_HOME", str(home))
    if url is None:
        patch.delenv("ASSAY_DATABASE_URL", raising=False)
    else:
        patch.setenv("ASSAY_DATABASE_URL", url.replace("/postgres?", "/assay?"))
    _forget()


def tree(folder: Path) -> dict[str, int]:
    """Every file of the databases with its size."""
    return {
        str(path.relative_to(folder)): path.stat().st_size for path in (folder / "base").rglob("*") if path.is_file()
    }


def test_the_data_move_with_every_row_role_and_database_and_a_second_time_there_is_nothing_to_do(
    old_one: Path, run_id: UUID
) -> None:
    done = upgrade_embedded(old_one)
    assert isinstance(done, Upgraded)
    assert (done.before, done.after, done.schema) == (OLD_MAJOR, BUNDLED_MAJOR, HEAD)
    assert done.rows > 7
    assert (data_major(old_one), (done.kept / "PG_VERSION").read_text().strip()) == (BUNDLED_MAJOR, str(OLD_MAJOR))
    assert {path.name for path in old_one.iterdir()} == {"postgres", "run", done.kept.name}

    with transaction() as connection:
        assert run_of(connection, run_id).cases == 7
    with psycopg.connect(embedded_url(old_one)) as new:
        assert new.info.server_version // 10_000 == BUNDLED_MAJOR
        assert new.execute("SELECT count(*) FROM cases").fetchone() == (7,)
        owners = "SELECT rolname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE datname = 'an other'"
        assert new.execute(owners).fetchone() == ("analyst",)
        assert new.execute("SELECT datcollate FROM pg_database WHERE datname = 'assay'").fetchone() == ("C",)
    # New rows get numbers after the old ones: the sequences came along.
    assert a_run(cases=3) != run_id
    assert upgrade_embedded(old_one) is None
    again = assay_here("db", "upgrade-embedded")
    assert (again.code, again.out.startswith("nothing to do: ")) == (0, True)


def test_a_start_on_old_data_says_the_command_that_moves_them(old_one: Path) -> None:
    before = tree(data_folder(old_one))
    with pytest.raises(AssayError, match=f"written by PostgreSQL {OLD_MAJOR}.*Run `assay db upgrade-embedded`"):
        embedded_url(old_one)
    assert tree(data_folder(old_one)) == before


def test_data_of_a_newer_postgres_are_left_alone(old_one: Path) -> None:
    (data_folder(old_one) / "PG_VERSION").write_text("99\n")
    for refused in (embedded_url, upgrade_embedded):
        with pytest.raises(AssayError, match=r"newer than the .*Upgrade Assay; nothing was changed"):
            refused(old_one)


def test_without_the_old_programs_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"apt-get install postgresql-11.*brew install postgresql@11.*--binaries DIR"):
        old_programs(11, tmp_path)
    with pytest.raises(AssayError, match=f"PostgreSQL 11, which wrote the data, are not in {tmp_path}"):
        old_programs(11, tmp_path, tmp_path)


def test_programs_of_another_version_are_refused_and_those_that_fit_are_found(tmp_path: Path) -> None:
    if not OLD_PROGRAMS.is_dir():
        pytest.skip(f"no PostgreSQL {OLD_MAJOR} is installed")
    assert old_programs(OLD_MAJOR, tmp_path) == OLD_PROGRAMS
    assert old_programs(OLD_MAJOR, tmp_path, OLD_PROGRAMS.parent) == OLD_PROGRAMS
    with pytest.raises(AssayError, match=f"has the programs of PostgreSQL {OLD_MAJOR}; the data were written by 14"):
        old_programs(14, tmp_path, OLD_PROGRAMS)


@pytest.mark.slow
def test_data_in_use_are_refused_and_a_server_that_nobody_uses_is_stopped_in_order(old_one: Path, run_id: UUID) -> None:
    with old_server(old_one) as url:
        with psycopg.connect(url.replace("/postgres?", "/assay?")) as busy:
            with pytest.raises(AssayError, match="has 1 open connection: let runs end"):
                upgrade_embedded(old_one)
            assert busy.info.server_version // 10_000 == OLD_MAJOR
            assert not upgrading_folder(old_one).exists()
        assert upgrade_embedded(old_one) is not None
    with transaction() as connection:
        assert run_of(connection, run_id).id == run_id


@pytest.mark.slow
def test_an_old_server_can_be_stopped_by_the_new_version(old_one: Path) -> None:
    with old_server(old_one):
        assert embedded.stop(old_one) is True
        assert embedded.stop(old_one) is False


def test_a_disk_without_room_is_told_before_anything_happens(old_one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_upgrade, "SPACE_MARGIN", shutil.disk_usage(old_one).total)
    before = tree(data_folder(old_one))
    with pytest.raises(InfrastructureError, match=r"needs [\d,.]+ GB on the disk of .* nothing was changed"):
        upgrade_embedded(old_one)
    assert tree(data_folder(old_one)) == before
    assert not upgrading_folder(old_one).exists()


@pytest.mark.slow
def test_a_copy_that_differs_is_thrown_away_and_names_what_differs(
    old_one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = embedded_upgrade._copy

    def lossy(old: str, new: str, programs: Path) -> None:
        copy(old, new, programs)
        with psycopg.connect(new.replace("/postgres?", "/assay?")) as connection:
            connection.execute("DELETE FROM cases WHERE position = 3")

    monkeypatch.setattr(embedded_upgrade, "_copy", lossy)
    with pytest.raises(InfrastructureError, match=r"the copy differs from the old data in assay: public\.cases\."):
        upgrade_embedded(old_one)
    assert (data_major(old_one), upgrading_folder(old_one).exists()) == (OLD_MAJOR, False)
    assert servers_of(old_one) == []


@pytest.mark.slow
def test_data_that_the_new_programs_cannot_take_stay_as_they_are(old_one: Path) -> None:
    """Debian's server had an extension that the bundled one has not."""
    with (
        old_server(old_one) as url,
        psycopg.connect(url.replace("/postgres?", "/assay?"), autocommit=True) as connection,
    ):
        connection.execute("CREATE EXTENSION pgcrypto")
    with pytest.raises(InfrastructureError, match=r"database assay could not be copied: .*pgcrypto.* as they were"):
        upgrade_embedded(old_one)
    assert (data_major(old_one), upgrading_folder(old_one).exists()) == (OLD_MAJOR, False)
    assert servers_of(old_one) == []
    with old_server(old_one) as url, psycopg.connect(url.replace("/postgres?", "/assay?")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)


@pytest.mark.slow
def test_new_data_take_their_place_at_the_next_start_when_the_kill_came_between_the_last_two_steps(
    old_one: Path, run_id: UUID
) -> None:
    assert upgrade_embedded(old_one) is not None
    data_folder(old_one).rename(upgraded_folder(old_one))
    with transaction() as connection:
        assert run_of(connection, run_id).cases == 7
    assert not upgraded_folder(old_one).exists()


def servers_of(home: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in " ".join(process.cmdline()) and process.name().startswith("postgres"):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.2, 1.2, *(n / 4 for n in range(13))])
def test_killed_at_any_moment_it_can_be_run_again(old_one: Path, run_id: UUID, pause: float) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "PREFECT_"))}
    process = subprocess.Popen(
        [*PROGRAM, "db", "upgrade-embedded"],
        cwd=ROOT,
        env={**environment, "ASSAY_HOME": str(old_one)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert "Copying the data" in process.stdout.readline()
    time.sleep(pause)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()

    if data_major(old_one) == OLD_MAJOR:
        with pytest.raises(AssayError, match="Run `assay db upgrade-embedded`"):
            embedded_url(old_one)  # although a server of the killed upgrade may still be up
    upgrade_embedded(old_one)
    assert data_major(old_one) == BUNDLED_MAJOR
    assert servers_of(old_one) == []
    with transaction() as connection:
        assert run_of(connection, run_id).cases == 7
    assert schema_version(engine()) == HEAD
