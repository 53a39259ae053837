"""report on a real Prefect server: pages are written, a page that fails stops no other, nightly writes them all."""

import datetime
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evaluations.errors import AssayError
from tasks import pages
from tasks.settings import settings
from tasks.store.database import transaction
from tests.landed import a_request, land

if TYPE_CHECKING:
    from prefect import State

pytestmark = pytest.mark.usefixtures("store", "prefect_server")


@pytest.fixture(autouse=True)
def folder(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path))
    settings.cache_clear()
    return tmp_path


async def report(**given: Any) -> "State[Any]":
    from flows.report import report as flow

    state: State[Any] = await flow(**{"page": "", "id": "", "first": None, "last": None, **given}, return_state=True)
    return state


def landed() -> None:
    """A request of yesterday, not rolled up."""
    yesterday = datetime.datetime.now(UTC) - timedelta(days=1)
    with transaction() as connection:
        land(connection, [a_request(at=yesterday)])


def failing(told: Exception) -> Callable[..., Path]:
    def publish(*given: object) -> Path:
        raise told

    return publish


async def test_without_requests_there_is_nothing_to_write_and_nothing_fails(folder: Path) -> None:
    state = await report()
    assert state.is_completed()
    assert "overview: no requests are rolled up yet" in str(state.message)
    assert list(folder.iterdir()) == []


async def test_nightly_rolls_up_and_then_writes_every_page(folder: Path) -> None:
    from flows.nightly import nightly

    landed()
    state: State[Any] = await nightly(return_state=True)
    assert state.is_completed(), state.message
    assert {"overview.html", "overview.json", "overview.csv", "spend.html", "spend.json", "spend.csv"} <= {
        path.name for path in folder.iterdir()
    }
    assert "$0.0035 to date" in (folder / "overview.html").read_text()


async def test_a_page_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    from tasks.rollups import roll_up_days

    landed()
    roll_up_days(None)
    monkeypatch.setattr(
        pages,
        "PAGES",
        {
            "overview": failing(ValueError("postgresql://me:secret-word@host/db broke")),
            "customer": failing(AssayError("no outcome")),
            "spend": pages.PAGES["spend"],
        },
    )
    state = await report()
    assert state.is_failed()
    told = str(state.message)
    assert "overview failed: ValueError: " in told
    assert "customer failed: no outcome" in told
    assert f"spend: {folder / 'spend.html'}" in told
    assert "secret-word" not in told
    assert (folder / "spend.html").is_file()


async def test_one_page_about_a_window_is_written_alone(folder: Path) -> None:
    from tasks.rollups import roll_up_days

    landed()
    roll_up_days(None)
    day = (datetime.datetime.now(UTC) - timedelta(days=1)).date()
    state = await report(page="spend", first=day, last=day)
    assert state.is_completed()
    assert sorted(path.name for path in folder.iterdir()) == ["spend.csv", "spend.html", "spend.json"]
    assert "$0.0035 in 1 day" in (folder / "spend.html").read_text()


async def test_a_page_that_nobody_knows_is_refused_with_the_nearest() -> None:
    state = await report(page="spent")
    assert state.is_failed()
    assert "no page is named 'spent'; did you mean 'spend'?" in str(state.message)
