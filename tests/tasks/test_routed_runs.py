"""A routing policy as a variant of a run: it calls whom it chooses, and stands beside each single model."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from evaluations.errors import AssayError
from evaluations.recommending.answers import Adoption, StoredRecommendation, next_step
from evaluations.recommending.recommendation import Recommendation, kind_of_change
from tasks.benchmarking import BenchmarkRequest, conclude_benchmark, open_benchmark
from tasks.comparing import Asked, compare_models
from tasks.concluding import conclude
from tasks.planning import RunRequest, plan_run
from tasks.price_sync import seed_prices
from tasks.recommendation_lists import adoption
from tasks.recommending import Ask, advise
from tasks.rollups import roll_up_days
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.working import work_on
from tests.builders import a_case, a_run, a_suite
from tests.cli.commands import a_suite_file, assay_here, rows
from tests.fakes.openai_server import FakeOpenAI
from tests.landed import a_request, land
from tests.recorded_models import finished, write_models
from tests.tasks.providers.builders import a_server

WEAK_MS, STRONG_MS = 20.0, 40.0


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("HOUSE_KEY", "k-0123456789")
    settings.cache_clear()
    with transaction() as connection:
        seed_prices(connection)


@asynccontextmanager
async def two_vendors() -> AsyncIterator[tuple[FakeOpenAI, FakeOpenAI]]:
    """A quick, cheap one that is never sure, and a slow, dear one that is right."""
    unsure, sure = a_server(text="I am not sure", latency_ms=WEAK_MS), a_server(text="yes", latency_ms=STRONG_MS)
    async with unsure as weak, sure as strong:
        yield weak, strong


def served(name: str, model: str, server: FakeOpenAI, **given: Any) -> dict[str, Any]:
    return {
        "name": name, "model": model, "api_base": server.url, "api_key_env": "HOUSE_KEY", "transport": "direct",
        "max_output_tokens": 50, **given,
    }  # fmt: skip


def routed_between(weak: FakeOpenAI, strong: FakeOpenAI, rule: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        served("small", "openai/gpt-4o-mini", weak),
        served("large", "openai/gpt-4o", strong),
        {"name": "both", "route": {"weak": "small", "strong": "large", **rule}},
    ]


def calls_of(server: FakeOpenAI) -> int:
    return sum(server.received.values())


def answers(store: str) -> dict[tuple[int, int], tuple[Any, ...]]:
    """By case and variant: who answered, what, its cost, latency and tries."""
    found = rows(store, "SELECT position, variant, routed_to, text, cost, latency_ms, tries FROM answers")
    return {(position, variant): rest for position, variant, *rest in found}  # type: ignore[misc]


CASES = [a_case(f"c-{n}", tags=("hard",) if n in (1, 4) else ()) for n in range(6)]


async def test_a_route_calls_the_model_that_it_chooses_and_no_other(store: str) -> None:
    async with two_vendors() as (weak, strong):
        models = routed_between(weak, strong, {"strong_when": {"tags": "hard"}})
        suite = a_suite(models=models[2:], other_models=models[:2])
        run_id = a_run(suite=suite, made=CASES)
        await work_on(run_id)
        assert (calls_of(weak), calls_of(strong)) == (4, 2)
    assert {at: found[0] for (at, _), found in answers(store).items()} == {
        n: "large" if n in (1, 4) else "small" for n in range(6)
    }
    [variant] = conclude(run_id).variants
    assert variant.routed_to == {"small": 4, "large": 2}
    assert variant.contaminated == 0


async def test_a_routed_answer_costs_what_the_chosen_model_costs_alone_on_the_same_case(store: str) -> None:
    async with two_vendors() as (weak, strong):
        suite = a_suite(models=routed_between(weak, strong, {"strong_when": {"tags": "hard"}}))
        run_id = a_run(suite=suite, made=CASES)
        await work_on(run_id)
        assert (calls_of(weak), calls_of(strong)) == (6 + 4, 6 + 2)
    found = answers(store)
    for n in range(6):
        alone = found[n, 1 if n in (1, 4) else 0]
        assert found[n, 2][1:3] == alone[1:3]
        assert found[n, 2][3] >= (STRONG_MS if n in (1, 4) else WEAK_MS)
        assert found[n, 0][2] < found[n, 1][2]
    small, large, both = conclude(run_id).variants
    assert both.cost_usd == (4 * small.cost_usd + 2 * large.cost_usd) / 6


async def test_a_cascade_that_goes_on_pays_and_waits_for_both_calls(store: str) -> None:
    rule = {"escalate_when": {"says": "not sure"}, "cost_a_case": "0.0001", "latency_ms": 3}
    async with two_vendors() as (weak, strong):
        run_id = a_run(suite=a_suite(models=routed_between(weak, strong, rule)), made=CASES)
        await work_on(run_id)
        assert (calls_of(weak), calls_of(strong)) == (12, 12)
    found = answers(store)
    for n in range(6):
        to, text, cost, latency, tries = found[n, 2]
        assert (to, text, tries) == ("large", "yes", 2)
        assert cost == found[n, 0][2] + found[n, 1][2] + Decimal("0.0001")
        assert latency >= WEAK_MS + STRONG_MS + 3
    assert rows(store, "SELECT reserved, spent, at_risk FROM run_budgets") == [
        (0, sum(each[2] for each in found.values()), 0)
    ]


async def test_a_cascade_whose_cheap_answer_will_do_asks_nobody_else(store: str) -> None:
    async with two_vendors() as (weak, strong):
        suite = a_suite(models=routed_between(weak, strong, {"escalate_when": {"says": "no idea"}}))
        await work_on(a_run(suite=suite, made=CASES))
        assert (calls_of(weak), calls_of(strong)) == (12, 6)
    assert {found[0] for (_, variant), found in answers(store).items() if variant == 2} == {"small"}


async def test_a_cascade_goes_on_when_the_cheap_model_fails(store: str) -> None:
    async with a_server(text="yes") as strong, a_server(known_models="another") as weak:
        suite = a_suite(models=routed_between(weak, strong, {"escalate_when": {}}))
        await work_on(a_run(suite=suite, made=CASES[:2]))
    found = answers(store)
    assert [found[n, 0][1] for n in range(2)] == [None, None]
    assert [tuple(found[n, 2][:2]) for n in range(2)] == [("large", "yes")] * 2


async def test_cascades_that_go_both_ways_through_one_place_each_do_not_wait_for_each_other_forever() -> None:
    async with two_vendors() as (weak, strong):
        models = [served("small", "openai/gpt-4o-mini", weak), served("large", "openai/gpt-4o", strong)]
        one_way = {"weak": "small", "strong": "large", "escalate_when": {"shorter_than": 99}}
        models = [{**model, "max_concurrency": 1} for model in models]
        models += [
            {"name": "up", "route": one_way},
            {"name": "down", "route": {**one_way, "weak": "large", "strong": "small"}},
        ]
        run_id = a_run(suite=a_suite(models=models[2:], other_models=models[:2]), made=CASES)
        await asyncio.wait_for(work_on(run_id), 60)
        assert (calls_of(weak), calls_of(strong)) == (12, 12)


async def test_a_cap_has_room_for_both_calls_of_a_cascade_or_makes_none(store: str) -> None:
    async with two_vendors() as (weak, strong):
        models = routed_between(weak, strong, {"escalate_when": {"says": "not sure"}})
        alone = a_suite(models=models[2:], other_models=models[:2])
        await work_on(a_run(suite=alone, made=CASES[:1], cap=Decimal("0.0001")))
        assert (calls_of(weak), calls_of(strong)) == (0, 0)
        await work_on(a_run(suite=alone, made=CASES[1:2], cap=Decimal("0.01")))
        assert (calls_of(weak), calls_of(strong)) == (1, 1)
    [(reserved,)] = rows(store, "SELECT reserved FROM calls WHERE role = 0")
    [(cost,)] = rows(store, "SELECT cost FROM answers")
    assert reserved > cost > 0


async def test_a_free_route_takes_answers_that_its_model_gave_before_and_a_cascade_asks_anew(store: str) -> None:
    async with two_vendors() as (weak, strong):
        models = routed_between(weak, strong, {"strong_when": {"tags": "hard"}})
        await work_on(a_run(suite=a_suite(models=models[:2]), made=CASES, use_cache=True))
        await work_on(a_run(suite=a_suite(models=models[2:], other_models=models[:2]), made=CASES, use_cache=True))
        assert (calls_of(weak), calls_of(strong)) == (6, 6)
        cascade = routed_between(weak, strong, {"escalate_when": {}})[2]
        await work_on(a_run(suite=a_suite(models=[cascade], other_models=models[:2]), made=CASES, use_cache=True))
        assert (calls_of(weak), calls_of(strong)) == (12, 6)
    routed = "SELECT routed_to, count(*), sum(cost) FROM answers WHERE from_cache GROUP BY 1 ORDER BY 1"
    assert rows(store, routed) == [("large", 2, 0), ("small", 4, 0)]


# Recorded answers: nothing is called, and the three stand side by side


def a_recorded_suite(folder: Path, rule: dict[str, Any], cases: int = 200, feature: str = "colouring") -> Path:
    """`large` is right on more cases than `small`; cases that only `large` has right are tagged hard."""
    suite = write_models(folder, {"large": 0.9, "small": 0.6}, cases=cases, feature=feature, said="not sure")
    right = {
        name: {row["case_id"] for row in map(json.loads, (folder / f"{name}.jsonl").open()) if row["text"] == "red"}
        for name in ("large", "small")
    }
    made = [json.loads(line) for line in (folder / "cases.jsonl").open()]
    for case in made:
        hard = case["id"] in right["large"] - right["small"]
        case |= {"tags": ["hard"] if hard else ["easy"], "category": "hard" if hard else "easy"}
    (folder / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in made))
    (folder / "contract.yaml").write_text("fields: {inputs: [question]}\n")
    text = suite.read_text().replace(
        "models: [", f"models: [{{name: both, route: {json.dumps({'weak': 'small', 'strong': 'large', **rule})}}}, "
    )
    suite.write_text(text)
    return suite


async def test_recorded_answers_replay_a_cascade_and_the_comparison_says_by_how_much_it_differs(
    tmp_path: Path, store: str
) -> None:
    run_id = await finished(a_recorded_suite(tmp_path / "s", {"escalate_when": {"says": "not sure"}}))
    found = compare_models(Asked(models=("both", "small", "large")))
    board = found.boards["pass_rate"]
    levels = {each.model: each.value for each in board.standings}
    assert levels == {"large": 0.9, "both": 0.9, "small": 0.6}
    by_pair = {frozenset((each.first, each.second)): each for each in board.pairings}
    against_small, against_large = (by_pair[frozenset(("both", name))].difference for name in ("small", "large"))
    assert against_small is not None
    assert abs(against_small.value) == pytest.approx(0.3)
    assert min(abs(against_small.low), abs(against_small.high)) > 0
    assert against_large is None or against_large.low <= 0 <= against_large.high
    cost = {side.name: side.answer_cost.value for side in found.sides if side.answer_cost is not None}
    # Every case costs a small answer, and the 40 % that it was not sure of a large one, too.
    assert cost["both"] == pytest.approx(0.001 + 0.4 * 0.010)
    pairs = rows(store, """
        SELECT count(*), bool_and(b.latency_ms = s.latency_ms + l.latency_ms AND b.cost = s.cost + l.cost)
        FROM answers b JOIN answers l USING (run_id, position) JOIN answers s USING (run_id, position)
        WHERE b.variant = 0 AND l.variant = 1 AND s.variant = 2 AND b.routed_to = 'large'
    """)  # fmt: skip
    assert pairs == [(80, True)]
    assert "who answered: small 120, large 80" in " ".join(
        path.read_text() for path in (tmp_path / "reports").rglob("*.html") if str(run_id)[:8] in str(path)
    )


async def test_a_policy_that_was_learned_from_a_run_is_tried_as_a_variant_of_the_next(tmp_path: Path) -> None:
    suite = a_recorded_suite(tmp_path / "s", {"strong_when": {"tags": "none"}}, cases=400)
    await finished(suite)
    policy = tmp_path / "s" / "policy.json"
    told = assay_here("recommend", "routing", "colouring", "--requests", "1000", "--loss", "0.1", "--save", str(policy))
    assert told.code == 0, told.err
    assert json.loads(policy.read_text())["learner"] == "category"
    suite.write_text(suite.read_text().replace('"strong_when": {"tags": "none"}', '"policy": "policy.json"'))
    run_id = await finished(suite)
    both, large, _small = conclude(run_id).variants
    assert both.routed_to == {"small": 280, "large": 120}
    assert both.pass_rate is not None
    assert large.pass_rate is not None
    assert both.pass_rate.value == large.pass_rate.value == pytest.approx(0.9)
    assert both.cost_usd == 280 * Decimal("0.001") + 120 * Decimal("0.010") < large.cost_usd


async def test_recommending_shows_a_route_beside_the_models_and_says_that_it_has_to_be_built(tmp_path: Path) -> None:
    await finished(a_recorded_suite(tmp_path / "s", {"strong_when": {"tags": "hard"}}, cases=400))
    found = advise("colouring", Ask(incumbent="replay/large.jsonl", requests=1000, margin=0.05))
    assert found.advice is not None
    best = found.advice.best
    assert best is not None
    assert (best.recommended, best.effort) == ("routed/both", "complex")
    assert best.savings.share_low is not None
    assert float(best.savings.share_low) > 0.5
    assert any("learned from some of these cases" in each for each in best.risks)
    accepted = a_stored(best)
    assert "a flag names one model" in next_step(accepted)
    a_day = datetime(2026, 5, 4, 8, tzinfo=UTC)
    with transaction() as connection:
        land(connection, [a_request(at=a_day, feature="colouring", provider="replay", model="large.jsonl")])
    roll_up_days(None)
    with transaction() as connection:
        one_model = a_stored(replace(best, recommended="replay/large.jsonl"))
        assert adoption(connection, [one_model]) == Adoption(requests=1, served=1)
        assert adoption(connection, [accepted]) is None, "requests name the model that a route chose, not the route"


def a_stored(advice: Recommendation) -> StoredRecommendation:
    """As a person accepted it."""
    at = datetime(2026, 5, 4, tzinfo=UTC)
    return StoredRecommendation(
        id=1, status="accepted", recommendation=advice, incumbent_from="named", sample_data=False, as_of=at.date(),
        moved_why="", moved_by="test", moved_at=at, recorded_at=at,
    )  # fmt: skip


def test_a_route_that_is_called_like_the_model_in_use_is_no_other_provider() -> None:
    assert kind_of_change("openai/gpt-4o", "routed/gpt-4o") == "model_substitution"


def test_a_benchmark_ranks_a_route_beside_its_models(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    draw = np.random.default_rng(3)
    with (folder / "questions.jsonl").open("w") as file:
        for n in range(80):
            tags = ["hard" if n % 4 == 0 else "easy"]
            file.write(json.dumps({"id": f"q-{n}", "question": f"{n}?", "expected": "yes", "tags": tags}) + "\n")
    for name, share in (("v-small", 0.5), ("v-large", 0.9)):
        lines = [
            json.dumps({"id": f"q-{n}", "output": "yes" if n % 4 or draw.random() < share else "no"}) for n in range(80)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    models = [{"name": f"v/{name}", "answers": f"v-{name}.jsonl"} for name in ("small", "large")]
    models.append({"name": "both", "route": {"weak": "v/small", "strong": "v/large", "strong_when": {"tags": "hard"}}})  # type: ignore[dict-item]
    spec = {"benchmark": "routed", "format": "own", "questions": "questions.jsonl", "models": models}
    (folder / "benchmark.yaml").write_text(json.dumps(spec))
    run_id = open_benchmark(BenchmarkRequest(benchmark=str(folder / "benchmark.yaml")))
    asyncio.run(work_on(run_id))
    result = conclude_benchmark(UUID(str(run_id)))
    value = {each.model: each.value or 0.0 for each in result.board.standings}
    assert value["routed/both"] == value["v/large"]
    assert value["routed/both"] > value["v/small"]
    assert result.recorded
    assert len(result.board.pairings) == 3


# Before anything is called


def test_a_plan_expects_of_a_route_what_its_rule_sends_where(tmp_path: Path) -> None:
    prices = {"model": "openai/gpt-4o-mini"}, {"model": "openai/gpt-4o"}
    at = {"api_base": "http://127.0.0.1:9", "api_key_env": "HOUSE_KEY", "transport": "direct"}
    pair = [{"name": name, **at, **model} for name, model in zip(("small", "large"), prices, strict=True)]
    cases = [{"id": f"c-{n}", "question": "?", "expected": "yes", "tags": ["a" if n else "b"]} for n in range(4)]
    route = {"weak": "small", "strong": "large"}
    models = [
        *pair,
        {"name": "by tag", "route": {**route, "strong_when": {"tags": "b"}}},
        {"name": "cascade", "route": {**route, "escalate_when": {}}},
    ]
    suite = a_suite_file(tmp_path / "s", cases=cases, models=models)
    small, large, by_tag, cascade = plan_run(RunRequest(suite=str(suite))).estimate.variants
    assert (by_tag.calls, cascade.calls) == (4, 8)
    assert small.cost is not None
    assert large.cost is not None
    assert by_tag.cost is not None
    assert cascade.cost is not None
    assert by_tag.cost.middle == pytest.approx(0.75 * small.cost.middle + 0.25 * large.cost.middle)
    assert cascade.cost.low == pytest.approx(small.cost.low)
    assert cascade.cost.high == pytest.approx(small.cost.high + large.cost.high)
    only = plan_run(RunRequest(suite=str(suite), models=("by tag",)))
    assert [variant.label for variant in only.loaded.variants] == ["by tag"]


def test_a_policy_file_that_cannot_be_used_is_named_with_its_place(tmp_path: Path) -> None:
    route = {"weak": "small", "strong": "large", "policy": "policy.json"}
    models = [
        {"name": "small", "model": "simulated/small"},
        {"name": "large", "model": "simulated/large"},
        {"name": "both", "route": route},
    ]
    suite = a_suite_file(tmp_path / "s", models=models)
    with pytest.raises(AssayError, match=r"suite\.yaml:\d+:\d+: there is no routing policy .*policy\.json"):
        plan_run(RunRequest(suite=str(suite)))
    (tmp_path / "s" / "policy.json").write_text('{"learner": "stars", "threshold": 0}')
    with pytest.raises(AssayError, match=r"policy\.json:1:\d+: .*learner"):
        plan_run(RunRequest(suite=str(suite)))


def test_a_route_is_no_model_that_could_be_put_to_work_and_says_which_two_are(tmp_path: Path) -> None:
    file = tmp_path / "route.yaml"
    file.write_text("name: both\nroute: {weak: small, strong: large, escalate_when: {}}\n")
    told = assay_here("models", "validate", str(file))
    assert (told.code, "both is a route between small and large" in told.err) == (2, True)
