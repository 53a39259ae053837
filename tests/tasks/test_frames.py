"""Frames for notebooks: what the store has, money to the last digit, nothing unknown made a zero."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from evaluations.errors import AssayError
from evaluations.histograms import decoded
from tasks import frames
from tasks.rollups import roll_up_days
from tasks.store.database import transaction
from tests.landed import a_request, land, varied

pytestmark = pytest.mark.usefixtures("store")
DAY = date(2026, 5, 4)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def landed() -> None:
    with transaction() as connection:
        land(
            connection,
            [
                a_request(at=NOON, cost=Decimal("0.000000000001"), subject=b"\x0f" * 16, latency_ms=10.0),
                a_request(at=NOON, cost=None, status="error", latency_ms=None),
                a_request(at=NOON + timedelta(hours=1), feature="search", cost=Decimal("2.5")),
                a_request(at=NOON + timedelta(days=1), feature="search"),
            ],
        )
    roll_up_days(None)


def test_requests_come_as_they_are_stored() -> None:
    landed()
    frame = frames.requests(DAY, DAY)
    assert len(frame) == 3
    assert list(frame["cost"][:1]) == [Decimal("0.000000000001")]
    assert list(frame["cost"].isna()) == [False, True, False]
    assert frame["subject"][0] == "0f" * 16
    assert frame["input_tokens"].sum() == 3000
    assert frame["at"].dt.hour.tolist() == [12, 12, 13]


def test_facts_add_up_to_the_requests_and_their_histograms_can_be_read() -> None:
    with transaction() as connection:
        land(connection, varied(np.random.default_rng(1), 200, DAY))
    roll_up_days(None)
    requests = frames.requests(DAY, DAY)
    for grain in ("day", "hour"):
        facts = frames.rollups(DAY, DAY, grain=grain)
        assert facts["requests"].sum() == 200
        assert facts["cost"].dropna().sum() == requests["cost"].dropna().sum()
        latencies = decoded(b"".join(facts["latency_histogram"].dropna()))
        assert latencies.n == requests["latency_ms"].count()
    assert "hour" in facts


def test_spend_and_performance_are_what_the_commands_show() -> None:
    landed()
    spent = frames.spend(["feature"], DAY, DAY)
    assert spent[["feature", "requests", "unpriced"]].values.tolist() == [["search", 1, 0], ["chatbot", 2, 1]]
    assert list(spent["cost"]) == [Decimal("2.500000000000"), Decimal("0.000000000001")]
    performed = frames.performance("1h", ["feature"]).set_index(["feature", "window"])
    assert performed.loc[("search", "now"), "requests"] == 1
    assert performed.loc[("search", "before"), "requests"] == 0
    day = frames.performance("7d", ["feature"]).set_index("feature")
    assert day.loc["chatbot", "error_share"] == 0.5
    assert day.loc["chatbot", "cost_per_success"] == Decimal("0.000000000001")


def test_a_window_without_rows_is_an_empty_frame_with_its_columns() -> None:
    landed()
    for frame in (
        frames.requests(date(2020, 1, 1), date(2020, 1, 2)),
        frames.rollups(date(2020, 1, 1), DAY.replace(day=1)),
    ):
        assert frame.empty
        assert {"feature", "cost"} <= set(frame.columns)


def test_a_dimension_that_nobody_knows_is_refused() -> None:
    with pytest.raises(AssayError, match="did you mean 'model'"):
        frames.spend(["modle"])
