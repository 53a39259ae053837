"""Latency statistics against published figures of real requests and against queues whose waiting is known."""

import ast
import json

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluations.latency import Latency, Spread, Timing, latency, open_loop, poisson_schedule, spread
from evaluations.statistics.outcomes import Determined
from evaluations.statistics.two_samples import welch
from tests.evaluations.statistics.references import expected, folder, json_lines

MEASURES = ("ttft_s", "inter_token_latency_s", "end_to_end_latency_s", "request_output_throughput_token_per_s")


def measured(provider: str) -> Latency:
    rows = json_lines(folder("llmperf") / f"requests/{provider}.jsonl.gz")
    return latency(
        [
            Timing(
                total_ms=row["end_to_end_latency_s"] * 1000,
                first_token_ms=row["ttft_s"] * 1000,
                between_tokens_ms=row["inter_token_latency_s"] * 1000,
                output_tokens=row["number_output_tokens"],
                tokens_per_second=row["request_output_throughput_token_per_s"],
                error=None if row["error_code"] is None else str(row["error_code"]),
            )
            for row in rows
        ]
    )


def figures(of: Spread, unit: float) -> dict[str, float]:
    """In the words of the published summaries."""
    assert of.mean is not None
    assert of.sd is not None
    assert of.least is not None
    assert of.most is not None
    quantiles = {f"p{each.q * 100:.0f}": each.value / unit for each in of.quantiles}
    others = {"mean": of.mean.value, "sd": of.sd, "min": of.least, "max": of.most}
    return {"n": of.n, **quantiles, **{name: value / unit for name, value in others.items()}}


def test_real_requests_give_every_published_latency_throughput_and_error_rate() -> None:
    providers = expected("llmperf")["providers"]
    assert len(providers) == 9
    for provider, wanted in providers.items():
        found = measured(provider)
        spreads = (found.first_token, found.between_tokens, found.total, found.tokens_per_second)
        published = json.loads((folder("llmperf") / f"published/{provider}.json").read_text())
        for name, of, unit in zip(MEASURES, spreads, (1000, 1000, 1000, 1), strict=True):
            told = figures(of, unit)
            assert told == pytest.approx(wanted[name], abs=1e-6), (provider, name)
            for short, long in {"mean": "mean", "sd": "stddev", "min": "min", "max": "max"}.items():
                assert told[short] == pytest.approx(float(published[f"results_{name}_{long}"]), rel=3e-5)
            for q in ("p25", "p50", "p75", "p90", "p95", "p99"):
                assert told[q] == pytest.approx(published[f"results_{name}_quantiles_{q}"], rel=3e-5)
        assert found.failed is not None
        assert found.failed.value == pytest.approx(published["results_error_rate"])
        assert (found.failed.low, found.failed.high) == pytest.approx(wanted["errors"]["wilson95"], abs=1e-6)
        assert found.errors == wanted["error_codes"]
        codes = ast.literal_eval(published["results_error_code_frequency"]) if found.errors else {}
        assert found.errors == {f"{code:.0f}": count for code, count in codes.items()}
        assert (found.requests, found.output_tokens) == (wanted["requests"], wanted["output_tokens"])
        for of in spreads:
            for each in of.quantiles:
                assert each.low is None or each.high is None or each.low <= each.value <= each.high


def test_real_providers_differ_in_latency_as_the_published_tests_say() -> None:
    tests = expected("llmperf")["welch_end_to_end_latency"]

    def seconds(provider: str) -> list[float]:
        rows = json_lines(folder("llmperf") / f"requests/{provider}.jsonl.gz")
        return [row["end_to_end_latency_s"] for row in rows if row["error_code"] is None]

    for names, wanted in tests.items():
        first, second = (seconds(name) for name in names.split("|"))
        found = welch(second, first)
        assert isinstance(found, Determined)
        assert found.effect is not None
        assert (found.statistic, found.df) == pytest.approx((wanted["t"], wanted["df"]), rel=1e-5)
        assert (found.effect.value, found.effect.low, found.effect.high) == pytest.approx(
            (wanted["diff"], *wanted["ci95"]), abs=2e-6
        )


def test_failed_requests_are_counted_and_have_no_latency() -> None:
    found = latency([Timing(total_ms=100.0), Timing(total_ms=0.0, error="429"), Timing(total_ms=0.0, error="429")])
    assert (found.total.n, found.total.least, found.errors) == (1, 100.0, {"429": 2})
    assert found.total.mean is None
    assert found.failed is not None
    assert found.failed.value == pytest.approx(2 / 3)
    nothing = latency([])
    assert (nothing.failed, nothing.total.at(0.5), nothing.requests_per_second) == (None, None, None)


def test_the_gap_between_tokens_leaves_out_the_first_token_and_answers_of_one() -> None:
    found = latency(
        [
            Timing(total_ms=1100.0, first_token_ms=100.0, output_tokens=11, queue_ms=5.0),
            Timing(total_ms=50.0, first_token_ms=50.0, output_tokens=1),
        ],
        seconds=2,
    )
    assert (found.between_tokens.n, found.between_tokens.missing, found.between_tokens.least) == (1, 1, 100.0)
    assert (found.queue.n, found.queue.missing) == (1, 1)
    assert (found.throughput, found.requests_per_second) == (6.0, 1.0)


def test_times_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        spread([1.0, -1.0])
    with pytest.raises(ValueError, match="finite"):
        spread([1.0, np.inf])
    with pytest.raises(ValueError, match="some time"):
        latency([], seconds=0)
    with pytest.raises(ValueError, match="before it is due"):
        open_loop([10], [5], [1])
    with pytest.raises(ValueError, match="kept at"):
        spread([1.0]).at(0.42)


def served(due: NDArray[np.float64], work: NDArray[np.float64]) -> NDArray[np.float64]:
    """When each request is sent by a client that has one request under way at most."""
    sent, free = np.empty(due.size), 0.0
    for at in range(due.size):
        sent[at] = max(due[at], free)
        free = sent[at] + work[at]
    return sent


def test_waiting_in_an_open_loop_is_that_of_queueing_theory() -> None:
    rng = np.random.default_rng(3)
    n, arrivals, served_per_second = 60_000, 7.0, 10.0
    due, work = poisson_schedule(arrivals, n, rng), rng.exponential(1000 / served_per_second, n)
    found = open_loop(due, served(due, work), work)
    assert found.waited.mean is not None
    assert found.waited.mean.value == pytest.approx(1000 / (served_per_second - arrivals), rel=0.06)  # M/M/1
    assert found.offered_per_second == pytest.approx(arrivals, rel=0.02)
    assert found.completed_per_second == pytest.approx(arrivals, rel=0.02)
    assert found.gap_variation == pytest.approx(1.0, abs=0.03)
    assert found.at_once == pytest.approx(arrivals / served_per_second, rel=0.03)
    assert found.most_at_once == 1
    # Who measures from sending believes that nobody ever waited.
    closed = spread(work)
    assert closed.mean is not None
    assert found.waited.mean.value > 3 * closed.mean.value


def test_one_request_and_none_have_no_rates() -> None:
    one = open_loop([0], [0], [100])
    assert (one.offered_per_second, one.gap_variation, one.completed_per_second) == (None, None, 10.0)
    none = open_loop([], [], [])
    assert (none.requests, none.waited.n, none.at_once, none.most_at_once) == (0, 0, None, 0)
