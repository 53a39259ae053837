"""The gateway: every call ends in an answer or a typed error, within limits, at the right price."""

import asyncio
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from evaluations.answers import Answer, Usage
from evaluations.errors import AssayError
from evaluations.pricing import PriceBook
from tasks.providers.base import Call, Target
from tasks.providers.gateway import Gateway
from tasks.providers.limits import Breaker, Concurrency, Pace
from tests.fakes.openai_server import Behaviour, running_server
from tests.tasks.providers.builders import (
    Scripted,
    a_book,
    a_call,
    a_failure,
    a_gateway,
    a_reply,
    a_server,
    a_target,
    run,
)


async def answered(gateway: Gateway, call: Call) -> Answer:
    async with gateway.slot(call.model, 50) as queue_ms:
        return await gateway.answer(call, queue_ms=queue_ms)


def ask(script: list[Any], *, target: Target | None = None, **changes: Any) -> tuple[Answer, Scripted]:
    provider = Scripted(script)
    gateway = a_gateway(target or a_target(), providers={"m": provider}, **changes)
    return run(answered(gateway, a_call())), provider


# Answers and their price


def test_a_reply_becomes_a_priced_answer() -> None:
    answer, _ = ask([a_reply()])
    assert (answer.text, answer.error, answer.tries) == ("Paris", None, 1)
    assert answer.cost_usd == Decimal("0.000140")
    assert (answer.model_requested, answer.model_returned) == ("openai/gpt-4o-mini", "gpt-4o-mini")
    assert (answer.latency_ms, answer.fallback_model) == (12.0, None)


def test_an_unknown_price_or_usage_gives_an_unknown_cost() -> None:
    assert ask([a_reply()], prices=PriceBook([]))[0].cost_usd is None
    unknown, _ = ask([a_reply(usage=Usage(), usage_known=False)])
    assert (unknown.cost_usd, unknown.usage_known) == (None, False)


def test_another_service_tier_has_no_known_price() -> None:
    assert ask([a_reply()], target=a_target(parameters={"service_tier": "flex"}))[0].cost_usd is None
    assert ask([a_reply()], target=a_target(parameters={"service_tier": "auto"}))[0].cost_usd is not None


def test_a_router_is_priced_by_the_model_that_answered() -> None:
    target = a_target(model="openrouter/auto")
    book = a_book("openrouter/small")
    assert ask([a_reply(model_returned="small")], target=target, prices=book)[0].cost_usd == Decimal("0.00014")
    assert ask([a_reply(model_returned="large")], target=target, prices=book)[0].cost_usd is None


def test_a_failed_call_that_was_billed_keeps_its_cost() -> None:
    usage = Usage(input_tokens=100, output_tokens=10)
    answer, _ = ask([a_failure("bad_reply", retryable=False, usage=usage)])
    assert (answer.error, answer.text, answer.usage) == ("bad_reply", None, usage)
    assert answer.cost_usd == Decimal("0.00014")


def test_billed_attempts_before_an_answer_are_part_of_its_cost() -> None:
    usage = Usage(input_tokens=100, output_tokens=10)
    answer, _ = ask([a_failure("bad_reply", usage=usage), a_reply()])
    assert (answer.error, answer.tries, answer.cost_usd) == (None, 2, Decimal("0.00028"))


@pytest.mark.parametrize(
    ("kind", "cost_usd"),
    [("auth", Decimal(0)), ("rate_limited", Decimal(0)), ("timeout", None), ("server_error", None)],
)
def test_a_refused_call_cost_nothing_and_a_lost_one_an_unknown_sum(kind: str, cost_usd: Decimal | None) -> None:
    assert ask([a_failure(kind, retryable=False)])[0].cost_usd == cost_usd


def test_what_is_reserved_covers_what_is_spent() -> None:
    gateway = a_gateway(a_target(max_output_tokens=10), providers={"m": Scripted([a_reply()])})
    call = a_call(text="word " * 100)
    reserved, spent = gateway.possible_cost(call), run(answered(gateway, call)).cost_usd
    assert reserved is not None
    assert spent is not None
    assert reserved >= spent
    assert a_gateway(prices=PriceBook([])).possible_cost(call) is None
    assert a_gateway(a_target(model="replay/a.jsonl")).possible_cost(call) == 0


@pytest.mark.parametrize(("limit", "made"), [("0.000001", False), ("1", True)])
def test_a_call_that_may_cost_more_than_its_model_allows_is_not_made(limit: str, made: bool) -> None:
    target = a_target(max_output_tokens=10, max_cost_a_call=Decimal(limit))
    answer, provider = ask([a_reply()], target=target)
    assert len(provider.calls) == made
    reserved = a_gateway(target).possible_cost(a_call())
    assert reserved is not None
    assert (reserved > 0) == made, "what is not called reserves nothing"
    if not made:
        assert (answer.error, answer.text, answer.tries, answer.cost_usd) == ("budget", None, 0, Decimal(0))
        assert "more than the $0.000001 of max_cost_a_call" in answer.error_message


def test_a_cheaper_fallback_answers_what_is_too_dear_for_the_first() -> None:
    targets = (a_target(max_cost_a_call=Decimal("0.000001"), fallbacks=("spare",)), a_target(label="spare"))
    providers = {"m": Scripted([a_reply()]), "spare": Scripted([a_reply("spared")])}
    answer = run(answered(a_gateway(*targets, providers=providers, comparing=False), a_call()))
    assert (answer.text, answer.fallback_model, len(providers["m"].calls)) == ("spared", "spare", 0)


# Trying again


@pytest.mark.parametrize("retries", [0, 2])
def test_a_model_is_tried_again_as_often_as_it_says(retries: int) -> None:
    answer, provider = ask([a_failure()], target=a_target(retries=retries))
    assert (answer.tries, len(provider.calls)) == (retries + 1, retries + 1)


def test_what_is_worth_it_is_tried_again() -> None:
    answer, provider = ask([a_failure(), a_failure("timeout"), a_reply()])
    assert (answer.error, answer.tries, len(provider.calls)) == (None, 3, 3)
    assert answer.latency_ms == 12.0
    assert answer.queue_ms > 0


@pytest.mark.parametrize("kind", ["auth", "unknown_model", "bad_request", "context_length", "no_recording"])
def test_what_will_not_get_better_is_not_tried_again(kind: str) -> None:
    answer, provider = ask([a_failure(kind, retryable=False)])
    assert (answer.error, answer.error_message, len(provider.calls)) == (kind, f"a {kind}", 1)


def test_after_the_last_try_the_answer_says_how_it_failed() -> None:
    answer, provider = ask([a_failure()], max_tries=4)
    assert (answer.error, answer.tries, len(provider.calls)) == ("server_error", 4, 4)
    assert "after 4 tries" in answer.error_message


def test_retry_after_is_waited_for() -> None:
    answer, _ = ask([a_failure("rate_limited", retry_after_s=0.2, overloaded=True), a_reply()])
    assert answer.error is None
    assert answer.queue_ms >= 190


def test_a_retry_after_beyond_reason_ends_the_call_and_is_told() -> None:
    answer, provider = ask([a_failure("rate_limited", retry_after_s=3600.0)])
    assert (answer.error, len(provider.calls)) == ("rate_limited", 1)
    assert "3600 s" in answer.error_message


def test_a_surprise_in_a_provider_is_one_error_and_not_the_end() -> None:
    answer, _ = ask([KeyError("oops")])
    assert answer.error == "bad_reply"
    assert "KeyError" in answer.error_message


def test_cancelling_is_let_through() -> None:
    async def work() -> None:
        gateway = a_gateway(providers={"m": Scripted([a_reply()], delay_s=60)})
        task = asyncio.create_task(answered(gateway, a_call()))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run(work())


def test_stopping_ends_a_back_off_at_once() -> None:
    async def work() -> Answer:
        stop = asyncio.Event()
        provider = Scripted([a_failure("rate_limited", retry_after_s=100.0)])
        gateway = a_gateway(providers={"m": provider}, stop=stop)
        task = asyncio.create_task(answered(gateway, a_call()))
        await asyncio.sleep(0.05)
        stop.set()
        return await asyncio.wait_for(task, 5)

    assert run(work()).error == "interrupted"


def test_once_stopped_no_call_is_made() -> None:
    async def work() -> tuple[Answer, int]:
        stop = asyncio.Event()
        stop.set()
        provider = Scripted([a_reply()])
        answer = await answered(a_gateway(providers={"m": provider}, stop=stop), a_call())
        return answer, len(provider.calls)

    answer, calls = run(work())
    assert (answer.error, answer.tries, calls) == ("interrupted", 0, 0)


# Fallbacks


def fallback_answer(*, comparing: bool, second: Any) -> Answer:
    targets = (a_target(fallbacks=("spare",)), a_target(label="spare", model="openai/spare"))
    providers = {"m": Scripted([a_failure(retryable=False)]), "spare": Scripted([second])}
    gateway = a_gateway(*targets, providers=providers, comparing=comparing, prices=a_book("openai/spare"))
    return run(answered(gateway, a_call()))


def test_a_fallback_answers_and_is_named() -> None:
    answer = fallback_answer(comparing=False, second=a_reply("from the spare"))
    assert (answer.text, answer.fallback_model, answer.tries) == ("from the spare", "spare", 2)
    assert answer.model_requested == "openai/gpt-4o-mini"
    assert answer.cost_usd == Decimal("0.00014")


def test_while_comparing_nobody_answers_for_another() -> None:
    answer = fallback_answer(comparing=True, second=a_reply())
    assert (answer.error, answer.fallback_model) == ("server_error", None)


def test_when_the_fallback_fails_too_the_first_error_stands() -> None:
    answer = fallback_answer(comparing=False, second=a_failure("auth", retryable=False))
    assert (answer.error, answer.fallback_model) == ("server_error", None)


def test_two_targets_at_their_limit_may_fall_back_on_each_other() -> None:
    async def work() -> list[Answer]:
        first = a_target(fallbacks=("b",), max_concurrency=1)
        second = a_target(label="b", fallbacks=("m",), max_concurrency=1)
        failing = Scripted([a_failure(retryable=False)], delay_s=0.01)
        gateway = a_gateway(first, second, providers={"m": failing, "b": failing}, comparing=False)
        calls = [a_call(str(i), model=label) for i in range(5) for label in ("m", "b")]
        return await asyncio.wait_for(asyncio.gather(*(answered(gateway, call) for call in calls)), 10)

    assert {answer.error for answer in run(work())} == {"server_error"}


def test_names_that_nobody_knows_are_refused_with_the_nearest() -> None:
    with pytest.raises(AssayError, match="did you mean 'spare'"):
        a_gateway(a_target(fallbacks=("spar",)), a_target(label="spare"))
    with pytest.raises(AssayError, match="no model is named"):
        a_gateway().slot("x")


# Limits


def test_no_more_calls_are_open_than_allowed() -> None:
    async def work() -> tuple[int, int]:
        provider = Scripted([a_reply()], delay_s=0.002)
        gateway = a_gateway(a_target(max_concurrency=3), providers={"m": provider})
        await asyncio.gather(*(answered(gateway, a_call(str(i))) for i in range(30)))
        return provider.most_open, len(provider.calls)

    assert run(work()) == (3, 30)


def test_concurrency_halves_once_for_one_wave_of_refusals_and_grows_back_slowly() -> None:
    places = Concurrency(most=64)
    for _ in range(10):
        places.refused(started=0.0, now=1.0)
    assert places.limit == 32
    places.refused(started=1.5, now=2.0)
    assert places.limit == 16
    for _ in range(18):
        places.succeeded()
    assert 19.9 < places.limit < 20.3, "a round of successes is worth a sixteenth of the most"
    for _ in range(10_000):
        places.succeeded()
    assert places.limit == 64


def test_concurrency_never_falls_below_one() -> None:
    places = Concurrency(most=2)
    for moment in range(10):
        places.refused(started=float(moment), now=moment + 0.5)
    assert places.limit == 1
    assert places.try_enter()


def test_a_cancelled_waiter_gives_its_place_to_the_next() -> None:
    async def work() -> int:
        places = Concurrency(most=1)
        assert places.try_enter()
        waiting = [asyncio.create_task(places.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        places.leave()  # the first waiter is given the place,
        waiting[0].cancel()  # and is cancelled before it could take it
        await asyncio.wait_for(waiting[1], 5)
        places.leave()
        await asyncio.wait_for(waiting[2], 5)
        return places.open

    assert run(work()) == 1


@pytest.mark.parametrize(("per_minute", "amounts"), [(600, [1.0] * 200), (60_000, [500.0] * 200)])
def test_a_pace_lets_through_its_rate_and_a_short_burst(per_minute: float, amounts: list[float]) -> None:
    pace = Pace(per_minute)
    rng = random.Random(7)
    now, gone = 0.0, []
    for amount in amounts:
        now += rng.random() * 0.05
        gone.append((now + pace.reserve(now, amount), amount))
    for start, _ in gone:
        in_ten_seconds = sum(amount for moment, amount in gone if start <= moment < start + 10)
        assert in_ten_seconds <= per_minute / 60 * (10 + 2) + max(amounts)
    last = max(moment for moment, _ in gone)
    assert last == pytest.approx(sum(amounts) / (per_minute / 60) - 2, abs=1.0)


def test_rates_hold_back_calls_and_the_wait_is_no_latency() -> None:
    async def work() -> list[Answer]:
        # A burst of two seconds' worth goes through: 20 calls; five more wait for a tenth of a second each.
        gateway = a_gateway(a_target(requests_per_minute=600), providers={"m": Scripted([a_reply()])})
        return await asyncio.gather(*(answered(gateway, a_call(str(i))) for i in range(25)))

    answers = run(work())
    assert sum(answer.queue_ms > 50 for answer in answers) == 4
    assert {answer.latency_ms for answer in answers} == {12.0}


def test_the_breaker_opens_after_failures_in_a_row_and_closes_after_a_good_probe() -> None:
    breaker = Breaker(failures_to_open=3, pause_s=2.0)
    for moment in (1.0, 2.0, 3.0):
        assert breaker.try_pass(moment)
        breaker.failed(moment, "HTTP 500")
    assert breaker.state == "open"
    assert not breaker.try_pass(4.9)
    assert breaker.try_pass(5.0)
    assert not breaker.try_pass(5.0), "one probe at a time"
    breaker.failed(5.5, "HTTP 500")
    assert not breaker.try_pass(9.0), "the pause doubles"
    assert breaker.try_pass(9.5)
    breaker.succeeded()
    assert breaker.try_pass(9.6), "closed again"
    assert breaker.try_pass(9.6)
    assert (breaker.openings, breaker.openings_in_row, breaker.failures) == (2, 0, 0)


def test_ten_percent_of_random_faults_never_open_the_breaker() -> None:
    breaker, rng = Breaker(), random.Random(3)
    for _ in range(100_000):
        if rng.random() < 0.1:
            breaker.failed(0.0, "HTTP 500")
        else:
            breaker.succeeded()
    assert breaker.openings == 0


def test_calls_to_a_dead_provider_end_and_say_why() -> None:
    async def work() -> tuple[list[Answer], Gateway, int]:
        provider = Scripted([a_failure("connection")])
        gateway = a_gateway(providers={"m": provider})
        breaker = gateway._lanes["m"].breaker
        breaker.pause_s = breaker.longest_pause_s = 0.01
        answers = await asyncio.gather(*(answered(gateway, a_call(str(i))) for i in range(300)))
        return answers, gateway, len(provider.calls)

    answers, gateway, calls = run(work())
    assert Counter(answer.error for answer in answers).keys() <= {"connection", "circuit_open"}
    assert calls < 300 * 6
    (stats,) = gateway.stats()
    assert stats.breaker_openings >= 1
    assert "was down" in (gateway.alternatives("m") or "")


def test_a_provider_that_comes_back_is_called_again() -> None:
    async def work() -> list[Answer]:
        provider = Scripted([a_failure("connection")] * 52 + [a_reply()])
        gateway = a_gateway(providers={"m": provider}, max_tries=20)
        gateway._lanes["m"].breaker.pause_s = 0.01
        return await asyncio.gather(*(answered(gateway, a_call(str(i))) for i in range(50)))

    assert all(answer.error is None for answer in run(work()))


def test_the_report_is_told_about_limits_and_what_would_do() -> None:
    refused = a_failure("rate_limited", overloaded=True)
    targets = (a_target(), a_target(label="other", model="openai/other"))
    providers = {"m": Scripted([refused, refused, a_reply()]), "other": Scripted([a_reply()])}
    gateway = a_gateway(*targets, providers=providers)

    async def work() -> None:
        await answered(gateway, a_call())
        await answered(gateway, a_call(model="other"))
        await gateway.close()

    run(work())
    stats = {lane.label: lane for lane in gateway.stats()}
    assert (stats["m"].attempts, stats["m"].retries, stats["m"].rate_limited) == (3, 2, 2)
    assert stats["m"].concurrency < stats["m"].max_concurrency
    assert stats["m"].backoff_wait_ms > 0
    said = gateway.alternatives("m")
    assert said is not None
    assert "refused 2 of 3 calls" in said
    assert "openai/other met no limit" in said
    assert gateway.alternatives("other") is None
    assert all(provider.closed for provider in providers.values())


# Over real HTTP


CASES = 1000
ONE_IN_THREE_RIGHT: dict[str, Any] = {"right": 0.34, "seed": 11}


def run_of_cases(behaviour: Behaviour, transport: str = "litellm") -> list[Answer]:
    async def work(url: str) -> list[Answer]:
        target = a_target(api_base=url, timeout_s=1.5, transport=transport, max_concurrency=48)
        gateway = a_gateway(target, backoff_s=0.01, max_tries=8)
        await gateway.warm_up()
        calls = [a_call(f"case-{i}", text=f"[answer:Paris {i}]") for i in range(CASES)]
        try:
            return await asyncio.gather(*(answered(gateway, call) for call in calls))
        finally:
            await gateway.close()

    with running_server(behaviour) as url:
        return run(work(url))


def right_cases(answers: list[Answer]) -> set[str]:
    return {a.case_id for a in answers if a.text is not None and a.text == f"Paris {a.case_id.removeprefix('case-')}"}


@pytest.mark.parametrize("transport", ["litellm", "direct"])
def test_a_thousand_calls_to_a_bad_server_all_end_and_change_no_mean(transport: str) -> None:
    calm = run_of_cases(Behaviour(latency_ms=2, **ONE_IN_THREE_RIGHT), "direct")
    storm = run_of_cases(
        Behaviour(
            latency_ms=2,
            rate_limited=0.05,
            server_error=0.05,
            hang=0.01,
            malformed=0.02,
            truncated=0.02,
            wrong_model=0.02,
            retry_after="0.05",
            **ONE_IN_THREE_RIGHT,
        ),
        transport,
    )
    assert [answer.case_id for answer in storm] == [f"case-{i}" for i in range(CASES)]
    assert all((answer.text is None) == (answer.error is not None) for answer in storm)
    assert all(answer.cost_usd is not None for answer in storm if answer.error is None)
    reached = {answer.case_id for answer in storm if answer.error is None}
    assert len(reached) >= 0.99 * CASES
    assert right_cases(storm) == right_cases(calm) & reached
    assert 0.3 < len(right_cases(calm)) / CASES < 0.4
    assert max(answer.tries for answer in storm) > 1
    assert any(answer.model_returned == "gpt-4o-mini-other" for answer in storm)


def test_the_server_sees_each_answered_call_once() -> None:
    async def work() -> dict[str, list[int]]:
        async with a_server(rate_limited=0.2, server_error=0.1, seed=5) as server:
            gateway = a_gateway(a_target(api_base=server.url, transport="direct"), max_tries=10)
            await asyncio.gather(*(answered(gateway, a_call(f"c{i}")) for i in range(100)))
            await gateway.close()
            calls: dict[str, list[int]] = server.log()["calls"]["gpt-4o-mini"]
            return calls

    calls = run(work())
    assert len(calls) == 100
    assert all(good == 1 for _, good in calls.values())
    assert sum(received for received, _ in calls.values()) > 100
