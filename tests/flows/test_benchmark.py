"""Benchmarks through their flows: the same answers give the same bytes, stopping early, open loops, workloads."""

import asyncio
import json
import random
from collections import Counter
from decimal import Decimal
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from evaluations.errors import AssayError
from evaluations.specs import Arrivals
from tasks.arrivals import Schedule
from tasks.benchmark_files import load_benchmark, prepare
from tasks.benchmark_pages import published_of
from tasks.benchmark_steps import stop_when_decided
from tasks.benchmarking import BenchmarkRequest, conclude_benchmark, open_benchmark, plan_benchmark
from tasks.settings import settings
from tasks.store import benchmarks
from tasks.store.database import transaction
from tasks.store.runs import run_of
from tasks.working import work_on
from tests.landed import a_request, land
from tests.tasks.providers.builders import a_server

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    settings.cache_clear()


def a_benchmark(folder: Path, cases: int = 20, shares: dict[str, float] | None = None, **more: Any) -> Path:
    """Recorded models that are right on these shares of the cases."""
    draw = random.Random(5)
    folder.mkdir(exist_ok=True)
    with (folder / "questions.jsonl").open("w") as file:
        for n in range(cases):
            row = {"id": f"q-{n}", "question": f"{n}?", "expected": "yes", "tags": ["even" if n % 2 == 0 else "odd"]}
            file.write(json.dumps({**row, "source": n // 2}) + "\n")
    models: list[dict[str, Any]] = []
    for name, share in (shares or {"v/one": 0.9, "v/two": 0.5}).items():
        path = folder / f"{name.replace('/', '-')}.jsonl"
        with path.open("w") as file:
            for n in range(cases):
                file.write(json.dumps({"id": f"q-{n}", "output": "yes" if draw.random() < share else "no"}) + "\n")
        models.append({"name": name, "answers": path.name})
    spec = {"benchmark": "tried", "format": "own", "questions": "questions.jsonl", "models": models, **more}
    (folder / "benchmark.yaml").write_text(json.dumps(spec))
    return folder / "benchmark.yaml"


@pytest.mark.usefixtures("prefect_server")
async def test_two_reruns_of_recorded_answers_give_identical_bytes() -> None:
    from flows.benchmark import benchmark
    from flows.benchmark_rerun import benchmark_rerun

    first = await benchmark(benchmark="sample-benchmark")
    runs = [first, await benchmark_rerun(run=first), await benchmark_rerun(run=first)]
    published = [published_of(conclude_benchmark(UUID(run))) for run in runs]
    assert len({each.folder for each in published}) == 3
    [metrics] = {each.metrics.read_bytes() for each in published}
    told = json.loads(metrics)
    assert [standing["model"] for standing in told["standings"]] == ["sample/large", "sample/medium", "sample/small"]
    assert told["tied"] == [["sample/large", "sample/medium"]]
    assert told["provenance"]["sample_data"] is True
    assert not any(run in metrics.decode() for run in runs)
    assert "Sample data" in published[0].html.read_text()


@pytest.mark.usefixtures("prefect_server")
async def test_a_benchmark_stops_early_when_every_pair_is_decided_and_ranks_what_was_asked_without_gaps(
    tmp_path: Path,
) -> None:
    from flows.benchmark import benchmark

    path = a_benchmark(tmp_path / "early", 900, stop_early=True)
    result = conclude_benchmark(UUID(await benchmark(benchmark=str(path))))
    assert result.stop_reason == "decided"
    assert 20 < result.cases < result.cases_planned == 900
    assert [(each.model, each.best_rank, each.worst_rank) for each in result.board.standings] == [
        ("v/one", 1, 1),
        ("v/two", 2, 2),
    ]
    assert {each.n for each in result.board.standings} == {result.cases}


@pytest.mark.usefixtures("prefect_server")
async def test_a_benchmark_that_is_taken_up_again_ends_with_its_leaderboard(tmp_path: Path) -> None:
    from flows.resume_run import resume_run

    path = a_benchmark(tmp_path / "left", 30)
    run_id = await asyncio.to_thread(open_benchmark, BenchmarkRequest(benchmark=str(path)))
    await resume_run(run_id=run_id)
    result = conclude_benchmark(run_id)
    assert result.complete
    assert published_of(result).html.is_file()


@pytest.mark.usefixtures("prefect_server")
async def test_a_benchmark_that_its_answers_decide_asks_nothing_when_it_is_taken_up_again(tmp_path: Path) -> None:
    from flows.resume_run import resume_run

    path = a_benchmark(tmp_path / "again", 600, stop_early=True, cluster="source")
    run_id = await asyncio.to_thread(open_benchmark, BenchmarkRequest(benchmark=str(path)))
    await work_on(run_id, look=stop_when_decided)
    before = conclude_benchmark(run_id)
    assert (before.stop_reason, before.cases_planned) == ("decided", 600)
    assert before.cases < 600
    assert before.board.clusters == before.cases / 2, "only whole sources were looked at"
    answers = sum(each.answers for each in before.models)
    await resume_run(run_id=run_id)
    after = conclude_benchmark(run_id)
    assert (after.stop_reason, after.cases) == ("decided", before.cases)
    assert sum(each.answers for each in after.models) == answers


def test_cases_that_share_a_source_are_put_one_after_the_other_where_a_run_may_stop_early(tmp_path: Path) -> None:
    path = a_benchmark(tmp_path / "sources", 60, stop_early=True, cluster="source")
    run_id = open_benchmark(BenchmarkRequest(benchmark=str(path)))
    with transaction() as connection:
        columns = benchmarks.case_columns(connection, run_of(connection, run_id).dataset_id, "source")
    order = [columns[at] for at in sorted(columns)]
    sources = [source for source, _ in groupby(order)]
    assert len(sources) == len(set(order)) == 30
    assert sources != sorted(sources, key=int), "in a random order"


def test_models_that_nothing_tells_apart_are_asked_to_the_end(tmp_path: Path) -> None:
    path = a_benchmark(tmp_path / "even", 120, {"v/one": 0.7, "v/two": 0.7}, stop_early=True)
    run_id = open_benchmark(BenchmarkRequest(benchmark=str(path)))
    asyncio.run(work_on(run_id))
    result = conclude_benchmark(run_id)
    assert result.complete
    assert [set(group) for group in result.board.tied] == [{"v/one", "v/two"}]


# Latency


@pytest.mark.parametrize("transport", ["direct", "litellm"])
async def test_a_benchmark_of_latency_streams_and_tells_first_token_and_total_apart_at_the_same_cost(
    tmp_path: Path, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE_KEY", "k-0123456789")
    found = {}
    async with a_server(text="yes", latency_ms=20, piece_ms=20) as server:
        server.keep_requests = True
        model = {
            "name": "openai/gpt-4o-mini", "api_base": server.url, "api_key_env": "HOUSE_KEY", "transport": transport,
        }  # fmt: skip
        for category in ("accuracy", "latency"):
            server.bodies_seen.clear()
            path = a_benchmark(tmp_path / category, 4, models=[model], category=category, benchmark=category)
            request = BenchmarkRequest(benchmark=str(path), use_cache=False)
            run_id = await asyncio.to_thread(open_benchmark, request)
            await work_on(run_id)
            [found[category]] = conclude_benchmark(run_id).models
            asked = [json.loads(body) for body in server.bodies_seen]
            assert [each.get("stream", False) for each in asked] == [category == "latency"] * 4
            assert all(each.get("stream_options", {"include_usage": True}) == {"include_usage": True} for each in asked)
    whole, streamed = found["accuracy"], found["latency"]
    assert whole.latency.first_token.n == 0
    assert streamed.latency.first_token.n == streamed.latency.total.n == 4
    first, total = streamed.latency.first_token, streamed.latency.total
    assert first.least is not None
    assert total.least is not None
    # Role at 20 ms, text from 40 ms on, the counts at 100 ms.
    assert 40 <= first.least < total.least
    assert total.least >= 100
    assert (streamed.cost, streamed.input_tokens, streamed.output_tokens) == (
        whole.cost,
        whole.input_tokens,
        whole.output_tokens,
    )
    assert whole.cost > 0
    assert streamed.contaminated == streamed.usage_unknown == streamed.unpriced == 0


def test_a_model_that_is_not_to_stream_does_not_also_in_a_benchmark_of_latency(tmp_path: Path) -> None:
    models = [
        {"name": "sim/whole", "model": "simulated/small", "stream": False},
        {"name": "sim/pieces", "model": "simulated/small"},
    ]
    path = a_benchmark(tmp_path / "said", 4, models=models, category="latency")
    variants = plan_benchmark(BenchmarkRequest(benchmark=str(path))).plan.loaded.variants
    assert [variant.model.stream for variant in variants] == [False, True]


# Open loops


async def test_arrivals_are_due_by_the_schedule_alone() -> None:
    stopped = asyncio.Event()
    stopped.set()  # nobody waits: the due moments are told at once

    async def gaps(arrivals: Arrivals) -> list[float]:
        schedule = Schedule(arrivals, random.Random(3))
        due = [await schedule.turn(stopped) for _ in range(4001)]
        return [after - before for before, after in pairwise(due)]

    even = await gaps(Arrivals(per_second=8, process="constant"))
    assert even == pytest.approx([0.125] * 4000)
    poisson = await gaps(Arrivals(per_second=8))
    mean = sum(poisson) / len(poisson)
    spread = (sum((gap - mean) ** 2 for gap in poisson) / len(poisson)) ** 0.5
    assert mean == pytest.approx(0.125, rel=0.05)
    assert spread / mean == pytest.approx(1.0, rel=0.05)


def test_calls_that_are_due_while_one_is_slow_wait_in_the_queue_and_not_out_of_sight(tmp_path: Path) -> None:
    slow = {"p50_ms": 20, "p95_ms": 21, "time_scale": 1, "accuracy": 1.0}
    path = a_benchmark(
        tmp_path / "open",
        30,
        category="throughput",
        models=[{"name": "sim/slow", "model": "simulated/small", "parameters": slow}],
        arrivals={"per_second": 400, "process": "constant"},
        concurrency=1,
    )
    run_id = open_benchmark(BenchmarkRequest(benchmark=str(path)))
    asyncio.run(work_on(run_id))
    [model] = conclude_benchmark(run_id).models
    # Thirty calls of 20 ms, one after the other, were all due within 75 ms.
    assert model.latency.queue.most is not None
    assert model.latency.total.most is not None
    assert model.latency.queue.most > 400
    assert model.latency.total.most < 60


# Plans


def test_the_plan_knows_what_the_limit_pays_for_and_warns_of_fewer_cases_than_planned(tmp_path: Path) -> None:
    path = a_benchmark(
        tmp_path / "paid",
        200,
        models=[
            {"model": model, "api_base": "http://127.0.0.1:9/v1", "transport": "direct"}
            for model in ("openai/gpt-4o-mini", "openai/gpt-4o")
        ],
        planned_cases=200,
        smallest_difference=0.01,
    )
    plan = plan_benchmark(BenchmarkRequest(benchmark=str(path), max_cost=Decimal("0.10")))
    assert plan.affordable is not None
    assert plan.plan.estimate.cost is not None
    assert plan.affordable == int(0.10 / (plan.plan.estimate.cost.high / 200)) < 200
    assert plan.detectable is not None
    assert plan.affordable_detectable is not None
    assert plan.affordable_detectable > plan.detectable
    said = " ".join(plan.warnings)
    assert f"pays for {plan.affordable} of 200 cases" in said
    assert "fewer than the 200 that were planned" in said
    assert "a difference of 0.01 matters" in said


def test_a_sample_is_drawn_in_proportion_and_the_same_one_again(tmp_path: Path) -> None:
    path = a_benchmark(tmp_path / "part", 60, sample={"cases": 20, "by": "tags"})
    made = [prepare(load_benchmark(str(path))) for _ in range(2)]
    assert made[0] == made[1]
    drawn = [json.loads(line) for line in (made[0].suite.parent / "cases.jsonl").read_text().splitlines()]
    assert Counter(row["tags"][0] for row in drawn) == {"even": 10, "odd": 10}
    assert made[0].questions == 60


def test_a_workload_is_drawn_from_requests_in_proportion_to_their_kinds(tmp_path: Path) -> None:
    spec: dict[str, Any] = {
        "category": "cost",
        "workload": {"requests": 10},
        "models": ["simulated/small"],
        "questions": [],
    }
    path = a_benchmark(tmp_path / "work", 1, None, **spec)
    with pytest.raises(AssayError, match="no answered request with known tokens"):
        plan_benchmark(BenchmarkRequest(benchmark=str(path)))
    kinds = [("chatbot", "billing")] * 60 + [("chatbot", None)] * 20 + [("search", None)] * 20
    with transaction() as connection:
        land(connection, [a_request(feature=feature, category=category) for feature, category in kinds])
        land(connection, [a_request(feature="failed", status="error")])
    request = BenchmarkRequest(benchmark=str(path))
    plan = plan_benchmark(request)
    assert plan_benchmark(request).prepared == plan.prepared
    drawn = [json.loads(line) for line in (plan.prepared.suite.parent / "cases.jsonl").read_text().splitlines()]
    tags = [("chatbot", "billing"), ("chatbot",), ("search",)]
    assert Counter(tuple(row["tags"]) for row in drawn) == dict(zip(tags, (6, 2, 2), strict=True))
    run_id = open_benchmark(request)
    asyncio.run(work_on(run_id))
    result = conclude_benchmark(run_id)
    assert result.board.standings[0].n == 10
    assert "requests, by their lengths" in result.sources
