"""Every number on the customer page, recomputed by queries of its own from the requests."""

import html
import json
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from scipy import stats

from reports.format import count, money, share, share_interval
from tasks.customer import publish_customer
from tasks.rollups import roll_up_days
from tasks.settings import settings
from tasks.store.database import transaction
from tests.cli.commands import rows
from tests.tasks.store.test_customer_metrics import random_contacts
from tests.tasks.store.tickets import land_contacts

CLOSED = "resolution IS NOT NULL AND resolution <> 'pending'"
AI = "coalesce(handled_by, CASE WHEN model IS NOT NULL THEN 'ai' END) = 'ai'"


@pytest.fixture
def page(store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> tuple[str, str]:
    """The store's URL and the text of the page. Tickets of one request each: then a query needs no grouping."""
    contacts = [
        {**each, "ticket": None, "subject": None, "reopened": n % 3 == 0, "cost": Decimal(n % 7) / 1000,
         "cost_source": "stated", "escalation_reason": None}
        for n, each in enumerate(random_contacts(np.random.default_rng(8), 600))
    ]  # fmt: skip
    with transaction() as connection:
        land_contacts(connection, contacts)
    roll_up_days(None)
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path))
    monkeypatch.setenv("ASSAY_AI_INFRASTRUCTURE_USD", "1")
    settings.cache_clear()
    written = publish_customer()
    assert [each.name for each in sorted(tmp_path.iterdir())] == ["customer.csv", "customer.html", "customer.json"]
    return store, text_of(written.read_text(encoding="utf-8"))


def text_of(page: str) -> str:
    """What a reader sees, tags as spaces, without the drawings and the style."""
    body = re.sub(r"(?s)<(style|script|svg)\b.*?</\1>", " ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\u2068", "").replace("\u2069", "").split())


def one(store: str, sql: str) -> Any:
    [row] = rows(store, sql)
    return row


def told(k: int, n: int) -> str:
    """A share, its Wilson interval and its n as the table of measures has them; the interval is scipy's."""
    ci = stats.binomtest(k, n).proportion_ci(method="wilson")
    return f"{share(k / n)} {share_interval(ci.low, ci.high)} {count(n)}"


def test_every_number_of_the_page_is_what_a_query_over_the_requests_gives(page: tuple[str, str]) -> None:
    store, said = page
    newest = "(SELECT max(at) FROM requests)"
    # The newest request may be of a ticket that resolved later; that is what `greatest` is for.
    done = "greatest(at, at + make_interval(secs => CASE WHEN resolution <> 'pending' THEN resolution_s END))"
    due = f"CAST({done} AT TIME ZONE 'UTC' AS date) + 7 < CAST({newest} AT TIME ZONE 'UTC' AS date)"
    passed = "resolution LIKE 'escalated%'"
    resolved = "count(*) FILTER (WHERE resolution = 'resolved')"
    shares = {
        "Resolved resolution v1": f"{resolved}, count(*) FILTER (WHERE {CLOSED})",
        "Deflection deflection v1": f"{resolved}, count(*) FILTER (WHERE {CLOSED})",
        "Escalation escalation v1": f"count(*) FILTER (WHERE {passed}), count(*) FILTER (WHERE {CLOSED})",
        "First-contact resolution fcr v2": "count(*) FILTER (WHERE resolution = 'resolved' AND NOT reopened AND "
        f"{due}), count(*) FILTER (WHERE {CLOSED} AND {due})",
        "Came back came_back v2": f"count(*) FILTER (WHERE resolution = 'resolved' AND reopened AND {due}), "
        f"count(*) FILTER (WHERE resolution = 'resolved' AND {due})",
        "Satisfied csat_satisfied v1": "count(*) FILTER (WHERE rating >= 4), count(rating)",
        "Response rate csat_response v1": "count(rating), count(*) FILTER (WHERE resolution IS DISTINCT FROM 'pending' "
        "OR rating IS NOT NULL)",
    }
    for name, columns in shares.items():
        k, n = one(store, f"SELECT {columns} FROM requests WHERE {AI}")
        assert f"{name} {told(k, n)}" in said, (name, told(k, n))
    humans = one(store, "SELECT count(*) FILTER (WHERE resolution = 'resolved'), count(*) FILTER (WHERE "
                        f"{CLOSED}) FROM requests WHERE handled_by = 'human'")  # fmt: skip
    assert f"No target not known {share(humans[0] / humans[1])}" in said, "people alone, in the line of Resolved"
    total, ai, people = one(store, f"SELECT count(*), count(*) FILTER (WHERE {AI}), count(*) FILTER (WHERE "
                                   "handled_by = 'human') FROM requests")  # fmt: skip
    assert f"{count(total)} tickets of chatbot: {count(ai)} taken by the AI, {count(people)} by people alone" in said


def test_ratings_costs_and_worth_are_what_queries_give(page: tuple[str, str]) -> None:
    store, said = page
    for stars, number in rows(
        store, f"SELECT rating, count(*) FROM requests WHERE {AI} AND rating > 0 GROUP BY rating"
    ):
        rated = one(store, f"SELECT count(rating) FROM requests WHERE {AI}")[0]
        assert f"{stars} {count(number)} {share(number / rated)}" in said
    mean, n = one(store, f"SELECT avg(rating), count(rating) FROM requests WHERE {AI}")
    assert re.search(rf"CSAT csat v1 {mean:.2f} [\d.]+–[\d.]+ {n}", said)
    passed = one(store, f"SELECT count(*) FROM requests WHERE {AI} AND resolution LIKE 'escalated%'")[0]
    assert f"not said {count(passed)} 100%" in said
    cost, tickets, resolved, closed_cost = one(
        store,
        f"""SELECT sum(cost), count(*), count(*) FILTER (WHERE resolution = 'resolved'),
                   sum(cost) FILTER (WHERE {CLOSED}) FROM requests WHERE {AI}""",
    )
    assert f"AI cost per resolution cost_per_resolution v1 {money(closed_cost / resolved)}" in said
    document = json.loads((settings().reports_folder / "customer.json").read_text())
    worth = document["roi"]
    days = 30
    month = Decimal(tickets) / days * Decimal("30.4375")
    assert Decimal(worth["ai"]) == (month * cost / tickets).quantize(Decimal("0.01"))
    deflection = Decimal(str(document["measures"]["deflection"]["estimate"]["value"]))
    came_back = Decimal(str(document["measures"]["came_back"]["estimate"]["value"]))
    saved = (month * deflection * Decimal("1.67")).quantize(Decimal("0.01"))
    rework = (month * deflection * came_back * Decimal("1.67")).quantize(Decimal("0.01"))
    assert (Decimal(worth["saved"]), Decimal(worth["rework"])) == (saved, rework)
    net = saved - rework - Decimal(worth["ai"]) - 1
    assert Decimal(worth["net"]) == net
    assert f"A month like this saves {money(net)}." in said
    assert f"Net a month {money(net)} everything counted" in said
    assert f"Net a year {money(net * 12)}" in said
