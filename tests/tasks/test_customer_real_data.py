"""Real conversations, ingested as requests and measured: the figures are those that their publishers' data give."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluations.reviewers import review_facts
from evaluations.statistics.agreement import Agreement
from tasks.customer import customer_impact
from tasks.ingest.formats import AS_IT_IS
from tasks.reviewing import import_reviews
from tasks.rollups import roll_up_days
from tasks.store.database import transaction
from tasks.store.reviews import reviews_between
from tests.evaluations.scoring.test_real_data import expected_of, rows
from tests.tasks.ingest.builders import a_file, ingested
from tests.tasks.store.test_customer_metrics import k_of_n
from tests.tasks.store.tickets import MONDAY, at

pytestmark = pytest.mark.usefixtures("store")


def test_ratings_of_real_conversations_give_their_csat_with_its_response_rate(tmp_path: Path) -> None:
    expected = expected_of("dialogue_satisfaction")
    requests = [
        {
            "external_id": f"{dialogue['id']}-{number}", "at": "2026-06-01T10:00:00Z", "feature": "recommender",
            "handled_by": "ai", "turns": len(dialogue["turns"]),
            "rating": None if rating["overall"] is None else int(rating["overall"]),
        }
        for dialogue in rows("dialogue_satisfaction/dialogues.jsonl.gz")
        for number, rating in enumerate(dialogue["ratings"])
    ]  # fmt: skip
    batch = ingested(a_file(tmp_path, [{k: v for k, v in each.items() if v is not None} for each in requests]))
    assert (batch.counts.landed, batch.counts.quarantined) == (expected["ratings"], 0)
    roll_up_days(None)
    facts = customer_impact().facts
    assert {str(stars): count for stars, count in enumerate(facts.csat.counts, 1)} == expected["overall_counts"]
    mean, satisfied = facts.measured("csat"), facts.measured("csat_satisfied")
    assert mean is not None
    assert (mean.n, round(mean.value, 6)) == (expected["overall"]["n"], expected["overall"]["mean"])
    half = 1.967 * expected["overall"]["sd"] / expected["overall"]["n"] ** 0.5  # Student's quantile for 323
    assert (mean.low, mean.high) == pytest.approx((mean.value - half, mean.value + half), abs=1e-4)
    assert satisfied is not None
    wanted = expected["csat_share_of_4_and_5"]
    assert k_of_n(satisfied) == (wanted["k"], wanted["n"])
    assert [round(satisfied.low, 6), round(satisfied.high, 6)] == pytest.approx(wanted["wilson95"], abs=2e-6)
    assert k_of_n(facts.measured("csat_response")) == (expected["overall"]["n"], expected["ratings"])
    assert facts.measured("deflection") is None, "nobody said how these ended"
    assert facts.outcomes == {"unknown": expected["ratings"]}


def test_raters_of_real_conversations_agree_as_little_as_was_published(tmp_path: Path) -> None:
    expected = expected_of("dialogue_satisfaction")
    aspects = tuple(expected["krippendorff_alpha"])
    given = [
        {"item": dialogue["id"], "reviewer": f"rater {number}", "at": "2026-06-01T10:00:00Z", "aspect": aspect,
         "label": str(rating[aspect])}
        for dialogue in rows("dialogue_satisfaction/dialogues.jsonl.gz")
        for number, rating in enumerate(dialogue["ratings"])
        for aspect in aspects
        if rating[aspect] is not None
    ]  # fmt: skip
    done = import_reviews(a_file(tmp_path, given, "ratings.jsonl"), "ab-redial", AS_IT_IS)
    assert (done.landed, done.refused) == (len(given), [])
    with transaction() as connection:
        facts = review_facts(reviews_between(connection, MONDAY, at(60)))
    found = {}
    for aspect in facts.aspects:
        assert isinstance(aspect.alpha, Agreement)
        assert aspect.scale == "ordinal"
        found[aspect.name] = round(aspect.alpha.coefficient.value, 6)
        assert aspect.alpha.coefficient.low < found[aspect.name] < aspect.alpha.coefficient.high
    assert found == {aspect: values["ordinal"] for aspect, values in expected["krippendorff_alpha"].items()}


def outcome_of(conversation: Any) -> dict[str, Any]:
    calls = [call["function"]["name"] for message in conversation["traj"] for call in message.get("tool_calls") or ()]
    passed_on = "transfer_to_human_agents" in calls
    solved = conversation["reward"] == 1
    return {
        "resolution": "resolved" if solved else "escalated_human" if passed_on else "unresolved",
        "escalation_reason": "outside its powers" if passed_on else None,
    }


def test_an_airlines_conversations_are_solved_as_often_as_was_published(tmp_path: Path) -> None:
    expected = expected_of("tau_bench_airline")
    conversations = list(rows("tau_bench_airline/trajectories_gpt-4o.jsonl.gz"))
    requests = []
    for conversation in conversations:
        name = f"{conversation['task_id']}-{conversation['trial']}"
        said = {
            "external_id": name, "ticket": name, "at": "2026-06-01T10:00:00Z", "feature": "airline", "model": "gpt-4o",
            "category": f"trial {conversation['trial']}", "cost": "0.01", "turns": len(conversation["traj"]),
            **outcome_of(conversation),
        }  # fmt: skip
        requests.append({key: value for key, value in said.items() if value is not None})
    assert ingested(a_file(tmp_path, requests)).counts.landed == expected["trajectories"]
    roll_up_days(None)
    facts = customer_impact().facts
    success = facts.measured("resolution")
    assert success is not None
    assert k_of_n(success) == (expected["success"]["k"], expected["success"]["n"])
    assert [success.low, success.high] == pytest.approx(expected["success"]["wilson95"], abs=1e-6)
    for trial, rate in expected["success_by_trial"].items():
        of_trial = customer_impact(category=f"trial {trial}").facts.measured("resolution")
        assert of_trial is not None
        assert of_trial.value == pytest.approx(rate)
    # Counted here once more, from the conversations themselves.
    passed_on = sum("transfer_to_human_agents" in json.dumps(each["traj"]) and any(
        call["function"]["name"] == "transfer_to_human_agents"
        for message in each["traj"] for call in message.get("tool_calls") or ()) for each in conversations)  # fmt: skip
    assert passed_on == expected["tool_calls_by_name"]["transfer_to_human_agents"]
    assert k_of_n(facts.measured("escalation")) == (passed_on, 100)
    alone = sum(outcome_of(each)["escalation_reason"] is None and each["reward"] == 1 for each in conversations)
    assert k_of_n(facts.measured("deflection")) == (alone, 100)
    assert facts.reasons == (("outside its powers", passed_on),)
    per_resolution = facts.measured("cost_per_resolution")
    assert per_resolution is not None
    assert per_resolution.value == pytest.approx(100 * 0.01 / alone)
    assert facts.measures["fcr"].left_out["recontact window not over"] == 100, "all began on the newest day there is"
