"""The Prefect server: one for all, started once however many come at the same time."""

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evaluations.errors import InfrastructureError
from tasks import prefect_server
from tasks.prefect_server import Server, prefect_home, recorded_server, stop_server, use_server
from tasks.settings import Settings


class Health(BaseHTTPRequestHandler):
    """What a Prefect server answers when it is asked whether it is well."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def healthy() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """use_server sets variables of this process; here they end with the test."""
    before = dict(os.environ)
    os.environ.pop("PREFECT_HOME", None)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_many_that_come_at_once_start_one_server(tmp_path: Path, healthy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings(home=tmp_path)
    starts: list[Path] = []

    def start(home: Path) -> Server:
        starts.append(home)
        time.sleep(0.2)
        (home / "server.json").write_text(json.dumps({"api_url": healthy, "pid": None}))
        return Server(healthy, None)

    monkeypatch.setattr(prefect_server, "_start", start)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: use_server(given), range(6)))
    assert starts == [tmp_path / "prefect"]
    assert {each.api_url for each in found} == {healthy}
    assert os.environ["PREFECT_API_URL"] == healthy
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "prefect")


def test_a_record_of_a_server_that_is_gone_or_of_nonsense_is_not_believed(tmp_path: Path, healthy: str) -> None:
    home = prefect_home(Settings(home=tmp_path))
    home.mkdir()
    assert recorded_server(home) is None
    for record in ("", "[]", "{}", '{"api_url": 7, "pid": 1}', '{"api_url": "http://127.0.0.1:1/api", "pid": 1}'):
        (home / "server.json").write_text(record)
        assert recorded_server(home) is None, record
    (home / "server.json").write_text(json.dumps({"api_url": healthy, "pid": 1}))
    assert recorded_server(home) == Server(healthy, 1)
    assert recorded_server(home).ui_url == healthy.removesuffix("/api")  # type: ignore[union-attr]


def test_stopping_without_a_server_does_nothing(tmp_path: Path) -> None:
    assert stop_server(tmp_path) is False


def test_a_named_server_is_used_as_it_is_and_has_to_answer(tmp_path: Path, healthy: str) -> None:
    assert use_server(Settings(home=tmp_path, prefect_api_url=healthy)) == Server(healthy, None)
    assert not (tmp_path / "prefect" / "server.json").exists()
    for address in ("http://127.0.0.1:1/api", "nonsense", "http://127.0.0.1:notaport/api", "http://[::1/api"):
        with pytest.raises(InfrastructureError, match="no Prefect server answers at"):
            use_server(Settings(home=tmp_path, prefect_api_url=address))
    with pytest.raises(InfrastructureError, match=r"answers at http://127\.0\.0\.1:1/api") as told:
        use_server(Settings(home=tmp_path, prefect_api_url="http://user:canary@127.0.0.1:1/api"))
    assert "canary" not in str(told.value)
