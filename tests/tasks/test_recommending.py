"""Recommending from a real store: what is written down once, decided by people, and measured again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.exc
from sqlalchemy import text

from evaluations.deployments import Bundle
from evaluations.errors import AssayError, NothingYet
from evaluations.model_changes import model_changes
from evaluations.models import Model
from evaluations.pricing import PriceRow
from evaluations.recommending.evidence import NoIncumbentData, NothingFeasible, RetiredModel
from evaluations.roi import DAYS_A_MONTH
from tasks.recommendation_lists import decide, ledger, listed, shown
from tasks.recommendation_pages import publish_recommendations
from tasks.recommending import Ask, advise, advise_wastes, recommend_all
from tasks.remeasuring import remeasure_due
from tasks.rollups import roll_up_days
from tasks.selecting import SelectionRequest, select_for
from tasks.settings import settings
from tasks.store.audit import entries
from tasks.store.database import transaction
from tasks.store.models import apply_changes
from tasks.store.prices import add_prices
from tests.cli.commands import assay_here, rows
from tests.deployments import deployed
from tests.landed import a_request, land
from tests.recorded_models import finished, write_models

SAME = {"large": 0.97, "middle": 0.97, "small": 0.70}
ASK = Ask(margin=0.05)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    settings.cache_clear()
    return tmp_path


def traffic(
    *, model: str = "large.jsonl", days: Sequence[int] = range(14), a_day: int = 100, cost: str = "0.02", **given: Any
) -> None:
    """So many requests on each day from the first of May's second week on, rolled up."""
    with transaction() as connection:
        land(
            connection,
            [
                a_request(
                    at=datetime(2026, 5, 4, 8, tzinfo=UTC) + timedelta(days=day, minutes=n),
                    feature="colouring",
                    provider="replay",
                    model=model,
                    cost=Decimal(cost),
                    **given,
                )
                for day in days
                for n in range(a_day)
            ],
        )
    roll_up_days(None)


async def test_the_cheaper_model_is_recommended_at_the_volume_and_the_cost_of_production(
    folders: Path, store: str
) -> None:
    await finished(write_models(folders / "colours", SAME, cases=120))
    traffic()
    answer = advise("colouring", ASK)
    assert (answer.incumbent, answer.source) == ("replay/large.jsonl", "most of the traffic")
    assert answer.advice is not None
    best = answer.advice.best
    assert best is not None
    assert (best.kind, best.recommended, best.n) == ("model_substitution", "replay/middle.jsonl", 120)
    # By an independent query: six tenths of what production pays, at its requests a month.
    [(requests, cost)] = rows(store, "SELECT count(*), avg(cost) FROM requests")
    month = Decimal(requests) / 14 * DAYS_A_MONTH * cost
    assert best.savings.now == pytest.approx(month)
    assert best.savings.point == pytest.approx(month * Decimal("0.6"))
    assert best.savings.low <= best.savings.point <= best.savings.high
    reasons = {each.model: each.reason for each in answer.advice.excluded}
    assert reasons == {"replay/small.jsonl": "inferior"}
    assert answer.sentence.startswith("Use replay/middle.jsonl instead of replay/large.jsonl for colouring: saves 60")


async def test_the_model_in_use_is_that_of_the_live_bundle_else_of_the_selection_else_of_the_traffic(
    folders: Path,
) -> None:
    await finished(write_models(folders / "colours", SAME, cases=120))
    traffic()
    ask = Ask(environment="development", margin=0.05)
    assert advise("colouring", ask).source == "most of the traffic"
    select_for(
        SelectionRequest(
            feature="colouring", environment="development", given={"cost_sensitivity": "high", "accuracy": "standard"}
        )
    )
    selected = advise("colouring", ask)
    assert (selected.incumbent, selected.source) == ("replay/middle.jsonl", "selection")
    with transaction() as connection:
        bundle = Bundle(prompt="colour@1.0.0", model="replay/small.jsonl")
        deployed(connection, bundle, feature="colouring", environment="development")
    live = advise("colouring", ask)
    assert (live.incumbent, live.source) == ("replay/small.jsonl", "live bundle")
    assert live.advice is not None
    assert live.advice.best is not None, "the small one is worse: better ones cost more, and are shown to be better"


async def test_the_same_night_writes_the_same_rows_once_and_new_evidence_takes_the_place_of_old(
    folders: Path, store: str
) -> None:
    await finished(write_models(folders / "colours", SAME, cases=120))
    traffic()
    first = recommend_all(ASK)
    assert (first.new, first.unchanged) == (1, 0)
    again = recommend_all(ASK)
    assert (again.new, again.unchanged, again.superseded, again.expired) == (0, 1, 0, 0)
    counts = "SELECT (SELECT count(*) FROM recommendations), (SELECT count(*) FROM recommendation_answers)"
    assert rows(store, counts) == [(1, 1)]

    traffic(days=range(14, 16), a_day=1500)
    later = recommend_all(ASK)
    assert (later.new, later.superseded) == (1, 1), "four times the volume is other evidence"
    assert rows(store, "SELECT status FROM recommendations ORDER BY id") == [("superseded",), ("open",)]

    # The model in use is now the recommended one.
    traffic(model="middle.jsonl", days=range(16, 18), a_day=8_000, cost="0.008")
    gone = recommend_all(ASK)
    assert (gone.new, gone.expired) == (0, 1)
    [event] = rows(store, "SELECT from_status, to_status, why FROM recommendation_events ORDER BY id DESC LIMIT 1")
    assert event == ("open", "expired", "nothing speaks for it any more")


async def test_what_was_dismissed_is_told_again_on_other_evidence_alone(folders: Path, store: str) -> None:
    await finished(write_models(folders / "colours", SAME, cases=120))
    traffic()
    recommend_all(ASK)
    [found], decided = listed("colouring", "model-switch", "open")
    assert str(decided) == "0 accepted, 0 dismissed, 1 open."
    with pytest.raises(AssayError, match="a decision has a reason"):
        decide(found.id, "dismissed", "  ")
    decide(found.id, "dismissed", "the contract runs until June")
    assert recommend_all(ASK).new == 0
    traffic(days=range(14, 16), a_day=1500)
    assert recommend_all(ASK).new == 1
    with transaction() as connection:
        [last] = entries(connection, feature="colouring")
    assert (last.action, last.why) == ("recommendation dismissed", "the contract runs until June")
    told = [(step.before, step.to) for step in shown(found.id).steps]
    assert told == [(None, "open"), ("open", "dismissed")]


async def test_the_database_knows_the_legal_steps_and_keeps_what_was_said(folders: Path) -> None:
    await finished(write_models(folders / "colours", SAME, cases=120))
    traffic()
    recommend_all(ASK)
    [found], _ = listed(None, None, None)
    decide(found.id, "accepted", "agreed")
    with pytest.raises(AssayError, match=f"recommendation {found.id} is accepted, it cannot become accepted"):
        decide(found.id, "accepted", "again")
    for statement, said in (
        ("UPDATE recommendations SET status = 'open', moved_why = 'x'", "it cannot become open"),
        ("UPDATE recommendations SET status = 'expired', moved_why = 'x'", "it cannot become expired"),
        ("UPDATE recommendations SET score = 100", "stays as it was"),
        ("UPDATE recommendations SET status = 'dismissed', moved_why = ' '", "say why"),
        ("DELETE FROM recommendations", "stay on record"),
        ("TRUNCATE recommendations CASCADE", "stay on record|is a history"),
        ("UPDATE recommendation_events SET why = ''", "rows are added"),
        ("DELETE FROM recommendation_answers", "rows are added"),
        (
            "INSERT INTO recommendations (kind, feature, current_setup, recommended_setup, incumbent_from, score, "
            "saving_low, saving, saving_high, evidence, sample_data, as_of, status, moved_why, moved_by, moved_at, "
            "actor) VALUES ('provider_switch', 'f', 'a', 'b', 'none', 1, 0, 0, 0, '{}', false, now(), 'accepted', "
            "'', 'x', now(), 'x')",
            "begins open",
        ),
    ):
        with transaction() as connection, pytest.raises(sqlalchemy.exc.DBAPIError, match=said):
            connection.execute(text(statement))
    assert shown(found.id).stored.status == "accepted"


async def test_an_accepted_one_is_measured_again_and_held_against_what_was_projected(folders: Path, store: str) -> None:
    """Twice the requests at four tenths of the cost of each: the volume is no loss and the saving is six tenths."""
    await finished(write_models(folders / "colours", SAME, cases=120))
    traffic(category="reds")
    recommend_all(ASK)
    [found], _ = listed(None, None, None)
    decide(found.id, "accepted", "agreed")
    backdated(datetime(2026, 5, 18, 12, tzinfo=UTC))
    assert str(remeasure_due(7)) == "0 savings measured, 1 not yet due"
    traffic(model="middle.jsonl", days=range(14, 28), a_day=200, cost="0.008", category="reds")
    assert remeasure_due(10).measured == 1
    assert remeasure_due(10).measured == 0, "each window is measured once"
    [line] = ledger()
    measured = line.measurement
    assert (measured.first, measured.last) == (date(2026, 5, 19), date(2026, 5, 28))
    month = DAYS_A_MONTH * 200
    assert measured.realised == pytest.approx(month * (Decimal("0.02") - Decimal("0.008")))
    assert measured.by_volume == pytest.approx(-DAYS_A_MONTH * 100 * Decimal("0.02"))
    assert measured.naive == pytest.approx(
        measured.realised + measured.by_volume + (measured.by_mix or 0) + (measured.by_price or 0)
    )
    # Twice as much was saved as projected, because twice as much was asked.
    assert measured.kept == "more"
    _, decided = listed(None, None, None)
    assert decided.adoption is not None
    [(served, requests)] = rows(
        store,
        "SELECT count(*) FILTER (WHERE model = 'middle.jsonl'), count(*) FROM requests WHERE at >= '2026-05-04'",
    )
    assert (decided.adoption.served, decided.adoption.requests) == (served, requests)
    with transaction() as connection, pytest.raises(sqlalchemy.exc.DBAPIError, match="rows are added"):
        connection.execute(text("UPDATE savings_measurements SET realised = 0"))


async def test_prices_that_rose_meanwhile_are_those_of_the_length_of_single_prompts(folders: Path) -> None:
    """Short prompts became twice as dear; together they are longer than where a tier begins that did not change."""
    await finished(write_models(folders / "colours", SAME, cases=120))
    traffic()
    recommend_all(ASK)
    [found], _ = listed(None, None, None)
    decide(found.id, "accepted", "agreed")
    backdated(datetime(2026, 5, 18, 12, tzinfo=UTC))
    traffic(model="middle.jsonl", days=range(14, 28), cost="0.008")

    def price(usd: str, since: date, tier: int | None = None) -> list[PriceRow]:
        return [
            PriceRow(
                model="replay/large.jsonl",
                token_class=name,
                per_token=Decimal(usd),
                effective_from=since,
                source="doc",
                tier_start=tier,
            )
            for name in ("input", "output")
        ]

    rows_of_prices = [
        *(*price("0.00001", date(2026, 1, 1)), *price("0.0001", date(2026, 1, 1), 200_000)),
        *(*price("0.00002", date(2026, 5, 18)), *price("0.0001", date(2026, 5, 18), 200_000)),
    ]
    with transaction() as connection:
        add_prices(connection, rows_of_prices, "test")
    assert remeasure_due(10).measured == 1
    [line] = ledger()
    month = DAYS_A_MONTH * 100
    assert line.measurement.by_price == pytest.approx(-month * Decimal("0.02"))
    assert line.measurement.realised == pytest.approx(month * (Decimal("0.04") - Decimal("0.008")))


def test_a_waste_of_the_most_used_model_is_counted_on_its_own_requests(store: str) -> None:
    """A fifth of what the large model is sent fails and is billed; what the middle one is sent is not looked at."""
    traffic(a_day=40)
    traffic(a_day=10, status="error")
    traffic(model="middle.jsonl", a_day=30, cost="0.008")
    with transaction() as connection:
        usd = {"input": "0.00001", "output": "0.0001"}
        add_prices(
            connection,
            [
                PriceRow(
                    model="replay/large.jsonl",
                    token_class=name,
                    per_token=Decimal(usd[name]),
                    effective_from=date(2026, 1, 1),
                    source="doc",
                )
                for name in ("input", "output")
            ],
            "test",
        )
    [answer] = advise_wastes("colouring")
    [found] = answer.wastes
    assert found.details["habit"] == "retries"
    # By an independent query: what the failed requests cost, a day of fourteen.
    [(lost,)] = rows(store, "SELECT sum(cost) FROM requests WHERE status = 'error'")
    assert found.savings.point == pytest.approx(lost / 14 * DAYS_A_MONTH)
    assert found.savings.low < found.savings.point < found.savings.high


async def test_what_cannot_be_measured_says_why(folders: Path) -> None:
    await finished(write_models(folders / "colours", SAME, cases=120))
    traffic(days=range(14))
    recommend_all(ASK)
    [found], _ = listed(None, None, None)
    decide(found.id, "accepted", "agreed")
    backdated(datetime(2026, 5, 3, 12, tzinfo=UTC))
    assert remeasure_due(7).measured == 1
    [line] = ledger()
    assert (line.measurement.kept, line.measurement.realised) == ("not measured", None)
    assert "no stratum had 30 priced requests before the change" in line.measurement.why


def backdated(moment: datetime) -> None:
    """As if it had been accepted then: the trigger that writes the time is asleep for it."""
    with transaction() as connection:
        connection.execute(text("ALTER TABLE recommendations DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE recommendations SET moved_at = :at"), {"at": moment})
        connection.execute(text("ALTER TABLE recommendations ENABLE TRIGGER USER"))


async def test_questions_that_cannot_be_answered_name_what_would_do(folders: Path) -> None:
    with pytest.raises(NothingYet, match="nothing is known of any feature yet"):
        recommend_all(ASK)
    await finished(write_models(folders / "colours", SAME))
    with pytest.raises(NoIncumbentData, match=r"nobody knows which model colouring has in use.*--incumbent MODEL"):
        advise("colouring", ASK)
    named = Ask(margin=0.05, incumbent="replay/large.jsonl")
    with pytest.raises(NothingYet, match="state it by --requests N"):
        advise("colouring", named)
    stated = advise("colouring", Ask(margin=0.05, incumbent="replay/large.jsonl", requests=1000))
    assert stated.advice is not None
    assert stated.advice.keep.startswith("Keep replay/large.jsonl: none of 2 candidates qualifies. Nearest is")
    assert stated.advice.needed_n is not None
    with pytest.raises(NothingFeasible, match=r"the cheapest is .* with up to .*That budget would do"):
        advise(
            "colouring",
            Ask(mode="budget", margin=0.05, incumbent="replay/large.jsonl", requests=1000, budget=Decimal("0.10")),
        )


BAD: Sequence[tuple[list[str], str]] = [
    (["recommend", "alternatives", "colourin"], "no feature is named 'colourin'; did you mean 'colouring'?"),
    (["recommend", "alternatives", "colouring", "-m", "gpt-99"], "no model is named 'gpt-99'"),
    (["recommend", "alternatives", "colouring", "--incumbent", "gpt-99"], "no model is named 'gpt-99'"),
    (["recommend", "alternatives", "colouring", "--need", "telepathy"], "no capability is named 'telepathy'"),
    (["recommend", "alternatives", "colouring", "--margin", "2"], "2.0 is not in the range"),
    (["recommend", "budget", "colouring", "--budget", "x"], "is not an amount of dollars"),
    (
        [
            "recommend",
            "budget",
            "colouring",
            "--incumbent",
            "replay/large.jsonl",
            "--requests",
            "1000",
            "--budget",
            "0.01",
        ],
        "That budget would do",
    ),
    (["recommend", "mix", "colouring", "--requests", "1000", "--budget", "0.01"], "that budget would do"),
    (["recommend", "routing", "colouring", "--requests", "1000"], "a rule is learned on 100 and judged on 100"),
    (["recommend", "all", "colourin"], "did you mean 'colouring'?"),
    (["recommendations", "show", "7"], "no recommendation has the number 7: there is none yet"),
    (["recommendations", "accept", "7", "--why", "x"], "no recommendation has the number 7"),
    (["recommendations", "list", "--kind", "cheaper"], "no kind of recommendation is named 'cheaper'"),
    (["recommendations", "list", "--feature", "colouring"], "nothing was recommended for colouring yet"),
]


async def test_bad_input_is_named_and_ends_with_2(folders: Path) -> None:
    await finished(write_models(folders / "colours", SAME, cases=20))
    for arguments, said in BAD:
        result = assay_here(*arguments)
        assert (result.code, said in result.err) == (2, True), result.err


async def test_a_retired_model_is_refused_as_a_candidate_and_never_recommended(folders: Path) -> None:
    await finished(write_models(folders / "colours", SAME, cases=120))
    gone = Model(
        name="replay/middle.jsonl", provider="replay", mode="chat", retires_on=date(2026, 1, 1), successor="replay/new"
    )
    with transaction() as connection:
        apply_changes(connection, model_changes({}, {gone.name: gone}, date(2026, 1, 2)), "test", quiet=True)
    asked = Ask(margin=0.05, incumbent="replay/large.jsonl", requests=1000)
    answer = advise("colouring", asked)
    assert answer.advice is not None
    assert answer.advice.best is None
    assert {each.model: each.reason for each in answer.advice.excluded}[gone.name] == "retired"
    with pytest.raises(RetiredModel, match="no longer served since 2026-01-01; its successor is replay/new"):
        advise("colouring", replace(asked, wanted=(gone.name,)))


async def test_commands_tell_in_words_and_in_json_the_same(folders: Path) -> None:
    await finished(write_models(folders / "colours", SAME, cases=120))
    traffic()
    told = assay_here("recommend", "alternatives", "colouring", "--margin", "0.05")
    assert told.code == 0
    assert "Use replay/middle.jsonl instead of replay/large.jsonl for colouring" in told.out
    document = json.loads(assay_here("recommend", "alternatives", "colouring", "--margin", "0.05", "--json").out)
    best = document["advice"]["recommendations"][0]
    assert best["recommended"] == "replay/middle.jsonl"
    assert 0.59 < best["savings"]["share"] < 0.61
    mixed = assay_here("recommend", "mix", "--goal", "cost", "--quality-floor", "0.9")
    assert "replay/middle.jsonl" in mixed.out
    assert "(changes)" in mixed.out
    recommend_all(ASK)
    assert "Use replay/middle.jsonl" in assay_here("recommendations", "list").out
    accepted = assay_here("recommendations", "accept", "1", "--why", "agreed")
    assert "Do it: assay select colouring --publish" in accepted.out
    assert "accepted" in assay_here("recommendations", "show", "1").out
    assert "1 accepted (100% of those decided)" in assay_here("recommendations", "list", "--all").out
    assert "Nothing was measured yet" in assay_here("recommendations", "savings").out
    page = publish_recommendations()
    assert page == folders / "reports" / "recommendations.html"
    written = json.loads(page.with_suffix(".json").read_text())
    assert [each["status"] for each in written["recommendations"]] == ["accepted"]
    assert written["answers"][0]["advice"]["recommendations"][0]["recommended"] == "replay/middle.jsonl"
