"""A PostgreSQL server of Debian's beside the embedded one: what a customer's own server stands for in tests."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port


def server_binaries() -> Path:
    """The newest installed server's programs, or a skip that says what is missing."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    return found[-1].parent


@contextmanager
def running_server() -> Iterator[str]:
    """A fresh server on a free loopback port; gives the URL of an empty database, with a password in it."""
    binaries = server_binaries()
    folder = Path(tempfile.mkdtemp(prefix="assay-server-"))
    user = _unprivileged(folder)
    password = folder / "password"
    password.write_text("s3cret-of-the-server\n")
    if user is not None:
        shutil.chown(password, user)

    def run(*arguments: str) -> None:
        subprocess.run(arguments, check=True, capture_output=True, user=user, cwd=folder)

    data, port = str(folder / "data"), free_port()
    try:
        run(str(binaries / "initdb"), "-D", data, "-U", "assay", "-A", "scram-sha-256", "--pwfile", str(password), "-N")
        options = f"-p {port} -h 127.0.0.1 -k {folder}"
        run(str(binaries / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://assay:s3cret-of-the-server@127.0.0.1:{port}/postgres"
        finally:
            run(str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path) -> str | None:
    """Somebody else than root, whom initdb refuses; None when we are nobody special anyway."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    shutil.chown(folder, user)
    return user
