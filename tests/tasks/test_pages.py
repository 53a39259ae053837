"""The pages about production, written from a real store: every number is recomputed by a query of its own."""

import csv
import itertools
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from evaluations.errors import AssayError, InfrastructureError, NothingYet
from reports.format import change, count, duration, money, money_column, share, weekday
from tasks.pages import check_only_sample_data, check_page, publish_overview, publish_spend
from tasks.rollups import roll_up_days
from tasks.settings import settings
from tasks.store.database import transaction
from tests.cli.commands import rows
from tests.conftest import _forget
from tests.landed import a_request, land, varied

FIRST, LAST = date(2026, 5, 2), date(2026, 5, 31)
BEGAN = date(2026, 4, 1)
"""Of two months of requests: the month before is whole, and so are four weeks and four before them."""
BERLIN = "Europe/Berlin"
RECENT = "at >= '2026-05-24 22:00+00' AND at < '2026-05-31 22:00+00'"
"""The last seven days of the window, by the clocks of Berlin."""
WINDOW = "at >= '2026-05-01 22:00+00' AND at < '2026-05-31 22:00+00'"
DAY = "CAST(at AT TIME ZONE 'Europe/Berlin' AS date)"
_numbers = itertools.count(1)
PROMPT = "input_tokens + cached_tokens + cache_write_tokens + cache_write_1h_tokens + input_audio_tokens" \
    " + cached_audio_tokens"  # fmt: skip
REPLY = "output_tokens + reasoning_tokens + output_audio_tokens + output_image_tokens"


class Tables(HTMLParser):
    """Captions of a page's tables -> rows of the texts of their cells; and all its words."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.words: list[str] = []
        self._caption, self._in, self._skipped = "", "", ""
        self._rows: list[list[str]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script", "svg"):
            self._skipped = self._skipped or tag
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")
            self._in = "cell"
        elif tag == "caption":
            self._in = "caption"
        elif tag == "span" and dict(attrs).get("class") == "sub" and self._in == "cell":
            self._rows[-1][-1] += "|"

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skipped:
            self._skipped = ""
        if tag in ("th", "td", "caption"):
            self._in = ""
        if tag == "table":
            # The same caption twice on a page: the second table is told apart by a prime.
            name = self._caption + "'" * sum(each.rstrip("'") == self._caption for each in self.tables)
            self.tables[name] = self._rows[1:]

    def handle_data(self, data: str) -> None:
        if self._skipped:
            return
        self.words.append(data)
        if self._in == "cell":
            self._rows[-1][-1] += data
        elif self._in == "caption":
            self._caption += data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def column(table: list[list[str]], number: int) -> list[str]:
    return [row[number] for row in table]


@pytest.fixture(scope="module")
def filled(template_url: str) -> Iterator[str]:
    """The name of a database that tests copy: two months of requests of every kind, some of a person, rolled up."""
    from tasks.store.rollups import set_timezone

    name = f"pages_{os.getpid()}"
    execute(template_url.replace("/assay?", "/postgres?"), f"CREATE DATABASE {name} TEMPLATE assay")
    with pytest.MonkeyPatch.context() as patch:
        url = template_url.replace("/assay?", f"/{name}?")
        patch.setenv("ASSAY_DATABASE_URL", url)
        _forget()
        with transaction() as connection:
            set_timezone(connection, BERLIN, "test")
            land(connection, varied(np.random.default_rng(8), 2500, BEGAN, 61), timezone=BERLIN)
        execute(
            url, "UPDATE requests SET subject = substr(sha256(CAST(id % 23 AS text)::bytea), 1, 16) WHERE id % 5 > 0"
        )
        roll_up_days(None)
        _forget()  # a database that somebody is connected to cannot be copied
        yield name
    execute(template_url.replace("/assay?", "/postgres?"), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def traffic(filled: str, template_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a store with that traffic, of the test's own; its days are those of Berlin."""
    name = f"{filled}_{next(_numbers)}"
    execute(template_url.replace("/assay?", "/postgres?"), f"CREATE DATABASE {name} TEMPLATE {filled}")
    url = template_url.replace("/assay?", f"/{name}?")
    monkeypatch.setenv("ASSAY_DATABASE_URL", url)
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    _forget()
    yield url
    _forget()
    execute(template_url.replace("/assay?", "/postgres?"), f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def document(page: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page.with_suffix(".json").read_text(), parse_float=Decimal)
    return found


def test_every_number_of_the_overview_is_that_of_the_requests(traffic: str) -> None:
    page = publish_overview(FIRST, LAST)
    shown, twin = Tables(page), document(page)
    found = rows(
        traffic,
        f"""
        SELECT feature, count(*), count(*) FILTER (WHERE status = 'error'),
               count(*) FILTER (WHERE status IS NOT NULL), sum(cost),
               percentile_disc(0.95) WITHIN GROUP (ORDER BY latency_ms), avg(CAST(quality AS numeric)), count(quality)
        FROM requests WHERE {RECENT} GROUP BY feature ORDER BY sum(cost) DESC
        """,
    )
    health = shown.tables["Each feature, last 7 days"]
    assert column(health, 0) == [feature for feature, *_ in found]
    for row, feature, (_, requests, errors, ended, cost, p95, quality, judged) in zip(
        health, twin["features"], found, strict=True
    ):
        assert row[2] == count(requests)
        assert row[3].split(",")[0].split("|")[0] == share(errors / ended)
        assert f"n = {count(ended)}" in row[3]
        assert (feature["requests"], feature["errors"], Decimal(feature["cost"])) == (requests, errors, cost)
        assert float(feature["latency_p95_ms"]) == pytest.approx(p95, rel=0.01)
        assert row[4].split("|")[0] == duration(float(feature["latency_p95_ms"]))
        assert float(feature["quality"]) == pytest.approx(float(quality))
        assert row[5].split("|")[0] == share(float(quality))
        assert f"n = {count(judged)}" in row[5]
    assert [cell.split("|")[0] for cell in column(health, 6)] == money_column([row[4] for row in found])


def test_the_money_of_the_first_screen_is_that_of_the_requests(traffic: str) -> None:
    page = publish_overview(FIRST, LAST)
    shown, twin = Tables(page), document(page)

    def spent(first: str, last: str) -> Decimal:
        [[cost]] = rows(traffic, f"SELECT sum(cost) FROM requests WHERE {DAY} BETWEEN '{first}' AND '{last}'")
        return Decimal(cost)

    month, before, weekdays = (
        spent(*days)
        for days in (("2026-05-01", "2026-05-31"), ("2026-04-01", "2026-04-30"), ("2026-04-03", "2026-05-03"))
    )
    told = twin["month_to_date"]
    assert [Decimal(told[name]) for name in ("cost", "before", "by_weekday")] == [month, before, weekdays]
    assert (
        f"May 2026 cost {money(month)} to date, {change(month / before - 1)} on the same days of April." in shown.text
    )
    assert f"{change(month / weekdays - 1)} on the same weekdays four weeks earlier." in shown.text
    assert f"Last 7 days {money(spent('2026-05-25', '2026-05-31'))}: " in shown.text
    assert {name: Decimal(cost) for name, cost in twin["months"].items()} == {
        "2026-04-01": before,
        "2026-05-01": month,
    }
    [[requests, unpriced]] = rows(
        traffic,
        f"""SELECT count(*), count(*) FILTER (WHERE cost IS NULL AND ({PROMPT} + {REPLY} > 0
            OR NOT usage_known AND model IS NOT NULL)) FROM requests WHERE {WINDOW}""",
    )
    assert f"{count(unpriced)} of {count(requests)} requests unpriced: not in any sum." in shown.text
    daily = rows(
        traffic, f"SELECT {DAY}, count(*), sum(cost) FROM requests WHERE {WINDOW} GROUP BY 1 ORDER BY 1"
    )  # fmt: skip
    table = shown.tables["Spend by day"]
    assert column(table, 1) == [count(requests) for _, requests, _ in daily]
    assert column(table, 3) == money_column([cost for *_, cost in daily])


@pytest.mark.parametrize("by", ["feature", "model", "provider"])
def test_every_group_of_the_spend_page_is_that_of_the_requests(traffic: str, by: str) -> None:
    page = publish_spend(FIRST, LAST)
    shown, twin = Tables(page), document(page)
    whole = "bool_and(cost IS NOT NULL OR tokens = 0 AND (usage_known OR model IS NULL)) OVER facts AND " \
        "bool_or(cost IS NOT NULL) OVER facts"  # fmt: skip
    found = rows(
        traffic,
        f"""
        SELECT {by}, count(*), sum(cost), count(cost), count(*) FILTER (WHERE status = 'success'),
               sum(prompt), sum(cached), sum(reply),
               sum(cost) FILTER (WHERE whole), count(*) FILTER (WHERE whole AND status = 'success')
        FROM (SELECT *, {whole} AS whole FROM (
                  SELECT *, {PROMPT} AS prompt, {REPLY} AS reply, cached_tokens + cached_audio_tokens AS cached,
                         {PROMPT} + {REPLY} AS tokens, {DAY} AS day FROM requests WHERE {WINDOW}) AS counted
              WINDOW facts AS (PARTITION BY day, feature, category, prompt_version, model, provider, project,
                                            environment, region)) AS told
        GROUP BY {by} ORDER BY sum(cost) DESC
        """,
    )
    cost = sum(row[2] for row in found)
    table = shown.tables[f"By {by}"]
    assert column(table, 0) == [name or "not said" for name, *_ in found]
    assert column(table, 1) == [count(row[1]) for row in found]
    assert column(table, 2) == money_column([row[2] for row in found])
    assert column(table, 3) == [share(float(row[2] / cost)) for row in found]
    assert column(table, 5) == money_column([row[2] / row[3] for row in found])
    for group, row in zip(twin[f"by_{by}"], found, strict=True):
        told = [group[name] for name in ("requests", "successes", "prompt_tokens", "cached_tokens", "reply_tokens")]
        assert told == [row[1], row[4], *row[5:8]]
        assert Decimal(group["cost"]) == row[2]
        assert Decimal(group["cost_per_success"]) == pytest.approx(row[8] / row[9])
    if by != "provider":
        efficiency = shown.tables[f"By {by}'"]
        assert column(efficiency, 2) == money_column([row[8] / row[9] for row in found])
        assert column(efficiency, 5) == [share(row[6] / row[5]) for row in found]


def test_weeks_hours_and_the_whole_of_the_spend_page_are_those_of_the_requests(traffic: str) -> None:
    page = publish_spend(FIRST, LAST)
    shown, twin = Tables(page), document(page)
    [[cost, tokens]] = rows(traffic, f"SELECT sum(cost), sum({PROMPT} + {REPLY}) FROM requests WHERE {WINDOW}")
    [[before]] = rows(
        traffic, f"SELECT sum(cost) FROM requests WHERE {DAY} BETWEEN '2026-04-02' AND '2026-05-01'"
    )  # fmt: skip
    assert f"{money(cost)} in 30 days" in shown.text
    assert f"{change(cost / before - 1)} on the 30 days before." in shown.text
    assert f"{count(int(tokens))} tokens." in shown.text
    assert Decimal(twin["total"]["cost"]) == cost
    assert Decimal(twin["before"]["cost"]) == before
    weeks = rows(
        traffic,
        f"""SELECT date_trunc('week', {DAY}), count(*), sum(cost) FROM requests WHERE {WINDOW} GROUP BY 1 ORDER BY 1""",
    )
    assert column(shown.tables["Weeks"], 1) == [count(row[1]) for row in weeks]
    assert [Decimal(week["cost"]) for week in twin["weeks"]] == [row[2] for row in weeks]
    assert column(shown.tables["Weeks"], 3)[-1] == change(weeks[-1][2] / weeks[-2][2] - 1)
    hours = rows(
        traffic,
        f"""
        SELECT weekday, hour, n, round(CAST(n AS numeric) / days, 1)
        FROM (SELECT extract(isodow FROM at AT TIME ZONE '{BERLIN}') - 1 AS weekday,
                     extract(hour FROM at AT TIME ZONE '{BERLIN}') AS hour, count(*) AS n
              FROM requests WHERE {WINDOW} GROUP BY 1, 2) AS counted
        JOIN (SELECT extract(isodow FROM day) - 1 AS weekday, count(*) AS days
              FROM generate_series(date '2026-05-02', '2026-05-31', '1 day') AS day GROUP BY 1) AS weekdays
        USING (weekday) ORDER BY weekday, hour
        """,
    )
    table = shown.tables["Requests and cost by hour of the week"]
    assert column(table, 0) == [f"{weekday(int(row[0]))} {int(row[1]):02d}:00" for row in hours]
    assert column(table, 1) == [f"{row[3]}" for row in hours]
    assert [each["requests"] for each in twin["hours_of_week"]] == [row[2] for row in hours]
    best = max(hours, key=lambda row: (row[3], -row[0], -row[1]))
    assert f"Load peaks on {weekday(int(best[0]))}s around {int(best[1]):02d}:00" in shown.text


def test_persons_are_counted_and_named_by_pseudonyms_alone(traffic: str) -> None:
    page = publish_spend(FIRST, LAST)
    shown, twin = Tables(page), document(page)
    heaviest = rows(
        traffic,
        f"""SELECT left(encode(subject, 'hex'), 8), count(*), sum(cost),
                   count(DISTINCT CAST(at AT TIME ZONE '{BERLIN}' AS date)) FROM requests
            WHERE {WINDOW} AND subject IS NOT NULL GROUP BY subject ORDER BY 2 DESC, subject LIMIT 10""",
    )
    table = shown.tables["Heaviest users"]
    assert [row[:2] for row in table] == [[name, count(n)] for name, n, *_ in heaviest]
    assert column(table, 3) == [count(row[3]) for row in heaviest]
    assert [user["cost"] for user in twin["users"]["heaviest"]] == [f"{row[2]:f}" for row in heaviest]
    assert twin["users"]["certain"] is True, "with so few persons a day all of them are kept"
    daily = f"""SELECT CAST(at AT TIME ZONE '{BERLIN}' AS date) AS day, feature, count(DISTINCT subject) AS persons
        FROM requests WHERE {WINDOW}"""
    all_day = daily.replace(" feature,", "")
    [[persons, days]] = rows(traffic, f"SELECT avg(persons), count(*) FROM ({all_day} GROUP BY 1) AS each")
    [[unnamed]] = rows(traffic, f"SELECT count(*) FROM requests WHERE {WINDOW} AND subject IS NULL")
    assert float(twin["users"]["known"]) == pytest.approx(float(persons))
    assert twin["users"]["unnamed"] == unnamed
    adoption = {
        name: float(total / days)
        for name, total in rows(
            traffic, f"SELECT feature, sum(persons) FROM ({daily} GROUP BY 1, 2) AS each GROUP BY feature"
        )
    }
    assert {name: float(n) for name, n in twin["users"]["by_feature"].items()} == pytest.approx(adoption)
    assert {row[0]: float(row[1].replace(",", "")) for row in shown.tables["Persons by feature"]} == pytest.approx(
        adoption, abs=0.5
    )


def test_the_csv_twin_sums_to_the_page_to_the_last_digit(traffic: str) -> None:
    page = publish_spend(FIRST, LAST)
    with page.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert sum((Decimal(line["cost"]) for line in lines if line["cost"]), Decimal(0)) == Decimal(
        document(page)["total"]["cost"]
    )
    assert sum(int(line["requests"]) for line in lines) == document(page)["total"]["requests"]
    assert {line["day"] for line in lines} <= {(FIRST + timedelta(days=n)).isoformat() for n in range(30)}


def test_pages_written_again_have_the_same_bytes(traffic: str) -> None:
    def written() -> dict[str, bytes]:
        folder = publish_overview(FIRST, LAST).parent
        publish_spend(FIRST, LAST)
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    first = written()
    assert set(first) == {f"{page}.{kind}" for page in ("overview", "spend") for kind in ("html", "json", "csv")}
    roll_up_days([FIRST])  # the same facts: only when they were rolled up differs
    assert written()["spend.csv"] == first["spend.csv"]
    assert written() == written()


def test_a_restated_day_is_told_with_what_it_said_before(traffic: str) -> None:
    with transaction() as connection:
        late = a_request(at=datetime(2026, 5, 20, 9, tzinfo=UTC), cost=Decimal("7.5"), id=999_999, external_id="late")
        land(connection, [late], timezone=BERLIN)
    publish = publish_overview(FIRST, LAST)
    assert "1 day changed since and wait for: assay rollup --dirty" in Tables(publish).text
    roll_up_days(None)
    shown = Tables(publish_overview(FIRST, LAST))
    assert "1 day restated after being reported." in shown.text
    [row] = shown.tables["Restated days"]
    [[before, after]] = rows(traffic, "SELECT before ->> 'cost', after ->> 'cost' FROM restatements")
    assert Decimal(after) - Decimal(before) == Decimal("7.5")
    assert row[0] == "20 May 2026"
    assert row[2] == f"{money(Decimal(before))} → {money(Decimal(after))}"
    assert row[3] == "late rows"


def a_batch(url: str, *, sample: bool, landed: int) -> None:
    execute(
        url,
        f"INSERT INTO ingest_batches (file, format, source, status, sample_data, landed, actor) "
        f"VALUES ('f', 'assay', 's', 'done', {sample}, {landed}, 'test')",
    )


def test_sample_data_is_named_in_the_headline_and_does_not_mix_with_real_requests(traffic: str) -> None:
    assert "Sample data" not in Tables(publish_overview()).text
    check_only_sample_data()
    a_batch(traffic, sample=True, landed=10)
    assert "<title>Sample data: " in publish_overview().read_text()
    a_batch(traffic, sample=False, landed=3)
    assert "<title>Partly sample data: " in publish_spend().read_text()
    with pytest.raises(AssayError, match="the store holds 3 requests that are no sample data"):
        check_only_sample_data()


def test_days_without_a_request_are_named_and_no_zero(traffic: str) -> None:
    execute(traffic, f"DELETE FROM requests WHERE {DAY} = '2026-05-13'")
    roll_up_days([date(2026, 5, 13)])
    shown = Tables(publish_overview(FIRST, LAST))
    assert "Days without a request. 13 May 2026. They count as no data, not as zero." in shown.text
    [row] = [row for row in shown.tables["Spend by day"] if row[0] == "Wed 13 May 2026"]
    assert row[3] == "unpriced"
    assert document(publish_spend(FIRST, LAST))["days_without_requests"] == ["2026-05-13"]


@pytest.mark.usefixtures("store")
def test_before_anything_is_rolled_up_there_is_nothing_to_write() -> None:
    with pytest.raises(NothingYet, match="assay ingest FILE"):
        publish_overview()


def test_a_window_without_requests_or_with_its_ends_exchanged_is_refused(traffic: str) -> None:
    with pytest.raises(NothingYet, match="no requests from 2020-01-01 to 2020-01-30"):
        publish_spend(date(2020, 1, 1), date(2020, 1, 30))
    with pytest.raises(AssayError, match="2026-05-31 comes after 2026-05-02"):
        publish_spend(LAST, FIRST)


def test_a_folder_that_cannot_be_written_to_is_said_with_the_command_to_try_again(traffic: str) -> None:
    settings().reports_folder.parent.joinpath("reports").write_text("a file is in the way")
    with pytest.raises(InfrastructureError, match="`assay report overview`"):
        publish_overview()


@pytest.mark.parametrize(
    ("page", "id", "told"),
    [
        ("overvew", "", "no page is named 'overvew'; did you mean 'overview'?"),
        ("request", "", "give its id: `assay report request ID`"),
        ("spend", "r-1", "the spend page takes no id; leave 'r-1' out."),
    ],
)
def test_a_page_that_nobody_knows_and_an_id_too_many_are_refused(page: str, id: str, told: str) -> None:
    with pytest.raises(AssayError, match=re.escape(told)):
        check_page(page, id, None, None)
