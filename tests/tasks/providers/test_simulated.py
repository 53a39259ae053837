"""Simulated answers: declared shares come out, the same each time, and marked for what they are."""

import math
from decimal import Decimal
from statistics import quantiles
from typing import Any

import pytest

from evaluations.errors import AssayError
from tasks.providers.base import CallError, Reply, Workspace
from tasks.providers.simulated import PROFILES, WRONG, SimulatedProvider, rendered
from tests.tasks.providers.builders import a_call, a_gateway, a_target, run

N = 2000


def simulated(profile: str = "small", *, seed: int = 0, **parameters: Any) -> SimulatedProvider:
    return SimulatedProvider(a_target(model=f"simulated/{profile}", parameters=parameters), Workspace(seed=seed))


def replies(provider: SimulatedProvider, n: int = N, **changes: Any) -> list[Reply | CallError]:
    async def work() -> list[Reply | CallError]:
        found: list[Reply | CallError] = []
        for i in range(n):
            try:
                found.append(await provider.complete(a_call(f"c{i}", expected="Paris", **changes)))
            except CallError as error:
                found.append(error)
        return found

    return run(work())


def texts(provider: SimulatedProvider, **changes: Any) -> list[str]:
    return [reply.text for reply in replies(provider, **changes) if isinstance(reply, Reply)]


def test_every_reply_is_marked_and_its_name_is_no_real_model() -> None:
    (reply,) = replies(simulated("perfect"), 1)
    assert isinstance(reply, Reply)
    assert (reply.simulated, reply.text, reply.model_returned) == (True, "Paris", "simulated/perfect")


@pytest.mark.parametrize("accuracy", [0.0, 0.3, 0.84, 1.0])
def test_the_declared_accuracy_comes_out(accuracy: float) -> None:
    share = texts(simulated(accuracy=accuracy)).count("Paris") / N
    # Four standard errors of a share over N cases.
    assert share == pytest.approx(accuracy, abs=4 * math.sqrt(accuracy * (1 - accuracy) / N) + 1e-12)


def test_wrong_answers_are_visibly_wrong() -> None:
    assert set(texts(simulated())) == {"Paris", WRONG}


def test_the_declared_errors_come_out() -> None:
    failed = [reply for reply in replies(simulated(error_rate=0.2)) if isinstance(reply, CallError)]
    assert len(failed) / N == pytest.approx(0.2, abs=0.04)
    assert {(error.kind, error.retryable) for error in failed} == {("simulated", False)}


def test_the_declared_latencies_come_out() -> None:
    latencies = [reply.latency_ms or 0 for reply in replies(simulated()) if isinstance(reply, Reply)]
    cuts = quantiles(latencies, n=20)
    assert cuts[9] == pytest.approx(PROFILES["small"].p50_ms, rel=0.08)
    assert cuts[18] == pytest.approx(PROFILES["small"].p95_ms, rel=0.15)


def test_the_same_seed_says_the_same_and_another_does_not() -> None:
    assert texts(simulated(seed=1)) == texts(simulated(seed=1))
    assert texts(simulated(seed=1)) != texts(simulated(seed=2))
    assert texts(simulated(seed=1), variant="a") != texts(simulated(seed=1), variant="b")


def test_only_flaky_cases_differ_between_repeats() -> None:
    steady, flaky = simulated(flakiness=0.0), simulated(flakiness=1.0)
    assert texts(steady, repeat=0) == texts(steady, repeat=1)
    assert texts(flaky, repeat=0) != texts(flaky, repeat=1)


def test_the_declared_price_is_exact() -> None:
    call = a_call(expected="Paris")
    provider = simulated("perfect", usd_per_million_input="3", usd_per_million_output=15, reasoning_tokens=10)
    reply = run(provider.complete(call))
    usage = reply.usage
    assert usage.reasoning_tokens == 10
    assert reply.cost_usd == (usage.input_tokens * 3 + (usage.output_tokens + 10) * 15) / Decimal(1_000_000)
    answer = run(a_gateway(a_target(model="simulated/perfect")).answer(call))
    assert answer.simulated
    assert answer.cost_usd is not None


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("Paris", "Paris"),
        (4, "4"),
        (True, "true"),
        ({"a": ["é"]}, '{"a": ["é"]}'),
        (["x", "y"], '["x", "y"]'),
    ],
)
def test_a_right_answer_is_the_expectation_as_text(expected: Any, text: str) -> None:
    assert rendered(expected) == text


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"acuracy": 0.5}, "did you mean 'accuracy'"),
        ({"accuracy": 1.5}, "share between 0 and 1"),
        ({"accuracy": "high"}, "has to be a number"),
        ({"p50_ms": 900, "p95_ms": 100}, "p50_ms <= p95_ms"),
        ({"usd_per_million_input": "-1"}, "negative"),
    ],
)
def test_an_impossible_profile_is_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(AssayError, match=said):
        simulated(**parameters)


def test_sampling_parameters_are_no_part_of_a_profile() -> None:
    assert texts(simulated(temperature=0.7)) == texts(simulated())
