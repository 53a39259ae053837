"""Benchmarks that a judge grades: a lead that comes of writing more is told apart from one that does not."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from evaluations.benchmarks.results import BenchmarkResult, metrics
from evaluations.statistics.length_bias import LengthControlled
from tasks.benchmark_pages import board_of, publish_benchmark, published_of
from tasks.benchmarking import BenchmarkRequest, conclude_benchmark, open_benchmark
from tasks.settings import settings
from tasks.working import work_on
from tests.cli.commands import assay_here
from tests.fakes.openai_server import FakeOpenAI

pytestmark = pytest.mark.usefixtures("store")
QUESTIONS = 120
ANSWER = re.compile(r"ANSWER:\n(=== text \w+ ===)\n(.*)\n\1", re.DOTALL)


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("HOUSE_KEY", "k-0123456789")
    settings.cache_clear()


class MadeUpJudge(FakeOpenAI):
    """Grades an answer by a taste of its own."""

    def __init__(self, taste: Callable[[str], int]) -> None:
        super().__init__()
        self._taste = taste

    def _completion(self, model: str, cell: str, body: bytes) -> bytes:
        shown = json.loads(body)["messages"][-1]["content"]
        found = ANSWER.search(shown)
        assert found is not None
        grade = min(10, max(1, self._taste(found[2])))
        message = {"role": "assistant", "content": f"I have read it.\nGRADE: {grade}"}
        return json.dumps({
            "id": "1", "model": model, "choices": [{"message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }).encode()  # fmt: skip


@asynccontextmanager
async def judging(taste: Callable[[str], int]) -> AsyncIterator[FakeOpenAI]:
    judge = MadeUpJudge(taste)
    await judge.start()
    try:
        yield judge
    finally:
        await judge.close()


def likes_length(answer: str) -> int:
    """Every forty characters more are worth a grade; a word that means nothing is worth up to three."""
    return len(answer) // 40 - 4 + sum(map(ord, answer.split()[0])) % 4


def likes_what_is_right(answer: str) -> int:
    return (7 if "right" in answer else 3) + sum(map(ord, answer.split()[0])) % 3


def a_judged_benchmark(folder: Path, judge: FakeOpenAI, *, right: float) -> Path:
    """Recorded first turns: `v/long` writes about 120 characters more, and is right on a share of `right` of them;
    `v/short` is on half."""
    draw = np.random.default_rng(11)
    folder.mkdir()
    rows = [{"question_id": n, "category": "writing", "turns": [f"Write {n}."]} for n in range(QUESTIONS)]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, mean, share in (("long", 420, right), ("short", 300, 0.5)):
        with (folder / f"{name}.jsonl").open("w") as file:
            for n in range(QUESTIONS):
                size = int(np.clip(draw.normal(mean, 90), 60, 700))
                words = f"{draw.integers(1_000_000)} {'right' if draw.random() < share else 'other'} "
                text = (words + "word " * 200)[:size].strip()
                file.write(json.dumps({"question_id": n, "choices": [{"turns": [text, "Later."]}]}) + "\n")
    spec = {
        "benchmark": "judged",
        "format": "mt_bench",
        "questions": "questions.jsonl",
        "models": [{"name": f"v/{name}", "answers": f"{name}.jsonl"} for name in ("long", "short")],
        "other_models": [
            {
                "name": "judge", "model": "openai/gpt-4o", "api_base": judge.url, "api_key_env": "HOUSE_KEY",
                "transport": "direct",
            }
        ],
        "scorers": [{"name": "grade", "scorer": "rubric", "rubric": "Is it good?", "grades": 10}],
    }  # fmt: skip
    (folder / "benchmark.yaml").write_text(json.dumps(spec))
    return folder / "benchmark.yaml"


async def judged_by(folder: Path, taste: Callable[[str], int], *, right: float = 0.5) -> BenchmarkResult:
    async with judging(taste) as judge:
        path = a_judged_benchmark(folder, judge, right=right)
        run_id = await asyncio.to_thread(open_benchmark, BenchmarkRequest(benchmark=str(path)))
        await work_on(run_id)
        assert sum(judge.received.values()) == 2 * QUESTIONS
    publish_benchmark(run_id)
    return conclude_benchmark(run_id)


async def test_a_lead_that_comes_of_writing_more_is_not_there_at_equal_length(tmp_path: Path) -> None:
    result = await judged_by(tmp_path / "b", likes_length)
    assert result.board.leaders == ("v/long",)
    found = result.at_equal_length["v/long", "v/short"]
    assert isinstance(found, LengthControlled)
    assert found.raw.low > 0.6
    assert found.controlled.low < 0.5
    assert found.slope.low > 0
    # Against the answers themselves, counted apart.
    lengths = {
        name: [len(json.loads(line)["choices"][0]["turns"][0]) for line in (tmp_path / "b" / f"{name}.jsonl").open()]
        for name in ("long", "short")
    }
    assert found.longer == pytest.approx(np.mean(lengths["long"]) - np.mean(lengths["short"]))
    assert result.board.standing("v/long").mean_length == pytest.approx(np.mean(lengths["long"]))
    board = board_of(result)
    assert board.judged
    page = published_of(result).html.read_text()
    assert "1 pair would lose the lead at equal length of answers." in page
    told = json.loads(json.dumps(metrics(result)))["at_equal_length"]
    assert [each["at_equal_length"]["value"] for each in told] == [found.controlled.value]
    said = assay_here("benchmark", "leaderboard", "judged").out
    assert "length: v/long is preferred to v/short" in said
    assert "its lead is not there" in said


async def test_a_lead_that_is_due_to_what_is_said_stays_at_equal_length(tmp_path: Path) -> None:
    result = await judged_by(tmp_path / "b", likes_what_is_right, right=0.95)
    assert result.board.leaders == ("v/long",)
    found = result.at_equal_length["v/long", "v/short"]
    assert isinstance(found, LengthControlled)
    assert found.controlled.low > 0.5
    assert "No pair changes at equal length of answers." in published_of(result).html.read_text()
    assert "length: no pair changes at equal length" in assay_here("benchmark", "leaderboard", "judged").out
