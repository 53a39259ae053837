"""One measured job in a process of its own; prints a line of JSON with seconds and megabytes.

    python -m benchmarks.worker {aiohttp|litellm|direct|run-litellm|run-direct|replay} N URL

`aiohttp` and `litellm` are bare loops: no store, no retries, no prices. `run-…` is a whole run of ours, every
answer durable in Postgres and judged. Start-up is everything before the first call; the verdict over all cases
(`conclude_s`) is given apart, its processor time is in `cpu_s`.
"""

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

STARTED = time.perf_counter()
CONCURRENCY = 100
KEY = "BENCHMARK_KEY"
MEASURED: dict[str, float] = {"conclude_s": 0.0}


def question(n: int) -> str:
    return f"[cell:{os.getpid()}-{n}] [answer:right] Which word is right?"


async def pooled(count: int, one: Callable[[int], Awaitable[object]]) -> None:
    """Make `count` calls, CONCURRENCY at once."""
    numbers = iter(range(count))

    async def lane() -> None:
        for n in numbers:
            await one(n)

    await asyncio.gather(*(lane() for _ in range(CONCURRENCY)))


async def bare_aiohttp(count: int, url: str) -> tuple[float, float]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(n: int) -> object:
            body = {"model": "m", "messages": [{"role": "user", "content": question(n)}]}
            async with session.post(url + "/chat/completions", json=body) as reply:
                return await reply.json()

        began = time.perf_counter(), time.process_time()
        await pooled(count, one)
    return began


async def bare_litellm(count: int, url: str) -> tuple[float, float]:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    async def one(n: int) -> object:
        messages = [{"role": "user", "content": question(n)}]
        return await litellm.acompletion(model="openai/gpt-4o-mini", messages=messages, api_base=url, api_key="none")

    await one(-1)  # LiteLLM imports more on its first call; that is start-up
    began = time.perf_counter(), time.process_time()
    await pooled(count, one)
    return began


def suite_folder(count: int, models: list[dict[str, object]], concurrency: int = CONCURRENCY) -> Path:
    """A dataset and suite of `count` cases in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="assay-bench-")) / f"bench-{os.getpid()}"
    folder.mkdir()
    with (folder / "cases.jsonl").open("w") as file:
        for n in range(count):
            file.write(json.dumps({"id": f"c-{n}", "question": question(n), "expected": "right"}) + "\n")
    suite = {
        "suite": f"bench-{os.getpid()}",
        "models": models,
        "prompts": ["ask.yaml"],
        "scorers": ["exact"],
        "concurrency": concurrency,
    }
    (folder / "ask.yaml").write_text(json.dumps({"name": "ask", "user": "{{ question }}"}))
    (folder / "suite.yaml").write_text(json.dumps(suite))
    return folder / "suite.yaml"


def called_model(url: str, transport: str) -> dict[str, object]:
    os.environ[KEY] = "none"
    return {"model": "openai/gpt-4o-mini", "api_base": url, "api_key_env": KEY, "transport": transport}


async def whole_run(suite: Path) -> tuple[float, float]:
    from tasks.concluding import conclude
    from tasks.planning import RunRequest, open_run, plan_run
    from tasks.working import run_shard, work_on

    run_id = open_run(plan_run(RunRequest(suite=str(suite))))
    began: list[tuple[float, float]] = []

    async def shard(*given):  # type: ignore[no-untyped-def]
        if not began:
            began.append((time.perf_counter(), time.process_time()))
        return await run_shard(*given)

    await work_on(run_id, shard=shard)
    MEASURED["conclude_s"] = -time.perf_counter()
    result = conclude(run_id)
    MEASURED["conclude_s"] += time.perf_counter()
    if result.cells_done != result.cells_total or result.variants[0].pass_rate is None:
        raise SystemExit(f"the run is not complete: {result.sentence}")
    return began[0]


def recorded_run(count: int) -> Path:
    """A suite whose answers are recorded."""
    suite = suite_folder(count, [{"name": "recorded", "model": "replay/answers.jsonl"}])
    with (suite.parent / "answers.jsonl").open("w") as file:
        for n in range(count):
            text = "right" if n % 3 else "wrong, and at some length: " + "x" * 200
            file.write(json.dumps({"case_id": f"c-{n}", "text": text, "latency_ms": 50 + n % 100}) + "\n")
    return suite


def main() -> None:
    job, count, url = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    match job:
        case "aiohttp":
            began = asyncio.run(bare_aiohttp(count, url))
        case "litellm":
            began = asyncio.run(bare_litellm(count, url))
        case "run-litellm" | "run-direct":
            began = asyncio.run(whole_run(suite_folder(count, [called_model(url, job.removeprefix("run-"))])))
        case "replay":
            began = asyncio.run(whole_run(recorded_run(count)))
        case _:
            raise SystemExit(__doc__)
    wall, cpu = time.perf_counter() - began[0] - MEASURED["conclude_s"], time.process_time() - began[1]
    sys.stdout.write(
        json.dumps(
            {
                "start_up_s": began[0] - STARTED,
                "wall_s": wall,
                "cpu_s": cpu,
                "conclude_s": MEASURED["conclude_s"],
                "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
