"""What the tests of the providers share: targets, calls, servers, and providers that follow a script."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, TypeVar

from evaluations.answers import Usage
from evaluations.pricing import PriceBook, PriceRow, per_token
from tasks.providers.base import Call, CallError, Reply, Target
from tasks.providers.gateway import Gateway
from tests.fakes.openai_server import Behaviour, FakeOpenAI

T = TypeVar("T")
TODAY = date(2025, 11, 6)
MODEL = "openai/gpt-4o-mini"


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def a_target(**changes: Any) -> Target:
    return Target(**({"label": "m", "model": MODEL} | changes))


def a_call(case_id: str = "c1", text: str = "What is the capital?", **changes: Any) -> Call:
    messages = [{"role": "user", "content": f"{text} [cell:{case_id}]"}]
    return Call(**({"model": "m", "messages": messages, "case_id": case_id, "variant": "v"} | changes))


def a_book(model: str = MODEL, usd_in: str = "0.000001", usd_out: str = "0.000004") -> PriceBook:
    def row(token_class: Any, price: str) -> PriceRow:
        return PriceRow(
            model=model,
            token_class=token_class,
            per_token=per_token(price),
            effective_from=date(2025, 1, 1),
            source="test",
        )

    return PriceBook([row("input", usd_in), row("output", usd_out)])


def a_reply(text: str = "Paris", **changes: Any) -> Reply:
    settings: dict[str, Any] = {"usage": Usage(input_tokens=100, output_tokens=10), "latency_ms": 12.0}
    return Reply(text=text, **(settings | {"model_returned": "gpt-4o-mini"} | changes))


class Scripted:
    """A provider that does what its script says, call by call, and then the last thing again and again."""

    def __init__(self, script: Iterable[Reply | BaseException], delay_s: float = 0.0) -> None:
        self.script = list(script)
        self.calls: list[Call] = []
        self.open = self.most_open = 0
        self.delay_s = delay_s
        self.closed = False

    async def complete(self, call: Call) -> Reply:
        step = self.script[min(len(self.calls), len(self.script) - 1)]
        self.calls.append(call)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.open -= 1
        if isinstance(step, BaseException):
            raise step
        return step

    async def close(self) -> None:
        self.closed = True


def a_failure(kind: Any = "server_error", *, retryable: bool = True, **more: Any) -> CallError:
    return CallError(kind, f"a {kind}", retryable=retryable, **more)


def a_gateway(*targets: Target, providers: dict[str, Any] | None = None, **changes: Any) -> Gateway:
    settings: dict[str, Any] = {"prices": a_book(), "comparing": True, "seed": 1, "backoff_s": 0.001}
    settings |= {"today": lambda: TODAY, "providers": providers} | changes
    return Gateway({target.label: target for target in targets or (a_target(),)}, **settings)


@asynccontextmanager
async def a_server(**behaviour: Any) -> AsyncIterator[FakeOpenAI]:
    server = FakeOpenAI(Behaviour(**behaviour))
    await server.start()
    try:
        yield server
    finally:
        await server.close()
