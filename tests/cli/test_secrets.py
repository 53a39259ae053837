"""A key or a password reaches the provider or the database it is for, and nothing else that is kept or shown."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest

from tests.cli.commands import Outcome, a_suite_file, assay, assay_here
from tests.conftest import _forget

KEY = "canary/Unusual+shape_of.a-key=="
PASSWORD = "canary-password"


class Echo(BaseHTTPRequestHandler):
    """A provider that refuses every call and repeats the key it was given, in body and headers."""

    keys_seen: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = str(self.headers.get("Authorization")).removeprefix("Bearer ")
        self.keys_seen.add(key)
        error = {"message": f"Incorrect API key provided: {key}. Header was 'Bearer {key}'", "code": key, "type": key}
        body = json.dumps({"error": error}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Your-Key", key)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def assert_nowhere(store: str, folders: list[Path], *outcomes: Outcome) -> None:
    """Neither in the output nor in a file nor in a row of any table is there a trace of the canaries."""
    for outcome in outcomes:
        assert "canary" not in outcome.out + outcome.err
    looked = 0
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        assert b"canary" not in path.read_bytes(), path
        looked += 1
    assert looked > 5
    with psycopg.connect(store) as connection:
        tables = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        assert len(tables) > 15
        for table in tables:
            found = connection.execute(f"SELECT t::text FROM {table} t WHERE t::text LIKE '%canary%'").fetchall()
            assert found == [], table


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("key", ["sk-canary0123456789abcdefghij", "canary/Unusual+shape_of.a-key=="])
def test_a_key_that_the_provider_repeats_is_found_nowhere(
    store: str, home: Path, tmp_path: Path, echo: str, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("A_KEY", key)
    monkeypatch.setenv("ASSAY_DATABASE_URL", store.replace("postgres@", f"postgres:{PASSWORD}@"))
    _forget()
    models = [
        {"name": transport, "model": "openai/gpt-4o-mini", "api_base": echo, "api_key_env": "A_KEY"}
        | {"transport": transport}
        for transport in ("direct", "litellm")
    ]
    run = assay("run", a_suite_file(tmp_path / "s", cases=2, models=models), "--json")
    assert run.code == 3, run
    assert key in Echo.keys_seen, "the key was not sent to the provider"
    with psycopg.connect(store) as connection:
        said = connection.execute("SELECT DISTINCT error_type FROM answers").fetchall()
    assert said == [("auth",)]
    told = [
        assay_here(*command) for command in (("runs", "show", "last"), ("runs", "list", "--json"), ("db", "status"))
    ]
    assert_nowhere(store, [tmp_path / "reports", home / "prefect"], run, *told)


def test_an_error_of_our_own_keeps_secrets_out_of_its_sentence_and_its_log(
    store: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST_KEY", KEY)
    monkeypatch.setenv("ASSAY_DATABASE_URL", store.replace("postgres@", f"postgres:{PASSWORD}@"))
    _forget()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"cannot do it with {KEY} at {store.replace('postgres@', f'postgres:{PASSWORD}@')}")

    monkeypatch.setattr("tasks.store.runs.list_runs", broken)
    failed = assay_here("runs", "list")
    assert failed.code == 3
    assert failed.err.startswith("assay: unexpected RuntimeError: cannot do it with ")
    log = home / "crash.log"
    assert f"The details are in {log}" in failed.err
    assert "RuntimeError" in log.read_text()
    assert "canary" not in failed.err + log.read_text()
