"""The vendor of the tests behaves as it was told, the same each time."""

from typing import Any

import aiohttp

from tests.fakes.openai_server import Behaviour, running_server
from tests.tasks.providers.builders import a_server, run


def a_request(cell: str, answer: str = "Paris", model: str = "m") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": f"[cell:{cell}] [answer:{answer}]"}]}


async def statuses(url: str, cells: int = 200) -> list[int]:
    found = []
    async with aiohttp.ClientSession() as session:
        for cell in range(cells):
            async with session.post(f"{url}/chat/completions", json=a_request(str(cell))) as response:
                found.append(response.status)
    return found


def test_faults_come_in_the_declared_share_and_the_same_in_another_process() -> None:
    behaviour: dict[str, Any] = {"rate_limited": 0.1, "server_error": 0.1, "seed": 4}

    async def here() -> list[int]:
        async with a_server(**behaviour) as server:
            return await statuses(server.url)

    mine = run(here())
    with running_server(Behaviour(**behaviour)) as url:
        assert run(statuses(url)) == mine
    assert 8 <= mine.count(429) <= 34
    assert 8 <= mine.count(500) <= 34


def test_the_log_tells_received_from_answered() -> None:
    async def work() -> dict[str, Any]:
        async with a_server(server_error=1.0) as server:
            await statuses(server.url, 2)
            server.behaviour = Behaviour()
            server._quiet = True
            await statuses(server.url, 1)
            async with (
                aiohttp.ClientSession() as session,
                session.get(server.url.replace("/v1", "/log")) as reply,
            ):
                log: dict[str, Any] = await reply.json()
                return log

    log = run(work())
    assert log["calls"] == {"m": {"0": [2, 1], "1": [1, 0]}}
    assert (log["received"], log["answered"], log["faults"]) == (3, 1, {"server_error": 2})


def test_embeddings_are_a_function_of_their_text() -> None:
    async def work() -> list[list[float]]:
        async with a_server(embedding_size=4) as server, aiohttp.ClientSession() as session:
            asked = {"model": "e", "input": ["a", "b", "a"]}
            async with session.post(f"{server.url}/embeddings", json=asked) as response:
                return [row["embedding"] for row in (await response.json())["data"]]

    first, second, third = run(work())
    assert first == third != second
    assert len(first) == 4
