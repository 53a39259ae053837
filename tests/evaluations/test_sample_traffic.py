"""Sample traffic: the same from the same seed, and what its truth says is really in it."""

import statistics
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from evaluations.requests import FIELDS
from evaluations.sample_traffic import BAD_VERSION, SAMPLE_LABEL, SampleTraffic, Trouble, sample_traffic

FIRST = date(2026, 5, 1)
Request = Mapping[str, Any]


@pytest.fixture(scope="module")
def traffic() -> SampleTraffic:
    return sample_traffic(FIRST, scale=2)


def trouble(traffic: SampleTraffic, kind: str) -> Trouble:
    [found] = [each for each in traffic.troubles if each.kind == kind]
    return found


def requests_of(traffic: SampleTraffic, feature: str) -> list[Request]:
    return [each for each in traffic.requests if each["feature"] == feature]


def during(each: Request, begins: datetime, ends: datetime) -> bool:
    return begins <= datetime.fromisoformat(each["at"]) < ends


def split(traffic: SampleTraffic, kind: str) -> tuple[list[Request], list[Request]]:
    """The requests of a trouble's feature, during it and outside it."""
    found = trouble(traffic, kind)
    mine = requests_of(traffic, found.feature)
    inside = [each for each in mine if during(each, found.begins, found.ends)]
    return inside, [each for each in mine if not during(each, found.begins, found.ends)]


def share(requests: list[Request], field: str, value: str) -> float:
    return sum(bool(each[field] == value) for each in requests) / len(requests)


def test_the_same_seed_gives_the_same_requests_and_another_one_does_not() -> None:
    first, again, other = (sample_traffic(FIRST, days=14, seed=seed, scale=0.2).requests for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_field_is_one_that_an_ingest_reads_and_every_id_is_labelled_and_its_own(traffic: SampleTraffic) -> None:
    known = {field.name for field in FIELDS}
    assert all(set(each) <= known for each in traffic.requests)
    ids = [each["external_id"] for each in traffic.requests]
    assert len(set(ids)) == len(ids)
    assert all(each.startswith(SAMPLE_LABEL) for each in ids)


def test_requests_lie_in_the_days_asked_for_in_order(traffic: SampleTraffic) -> None:
    at = [datetime.fromisoformat(each["at"]) for each in traffic.requests]
    assert at == sorted(at)
    assert (at[0].date(), at[-1].date()) == (FIRST, FIRST + timedelta(days=29))


def test_nights_and_weekends_are_quiet(traffic: SampleTraffic) -> None:
    at = [datetime.fromisoformat(each["at"]) for each in requests_of(traffic, "ai-search")]
    per_weekday = [sum(each.weekday() == day for each in at) for day in range(7)]
    assert max(per_weekday[5:]) < 0.7 * min(per_weekday[:5])
    assert sum(each.hour < 5 for each in at) < 0.1 * sum(9 <= each.hour < 17 for each in at)


def test_the_cost_spike_is_as_large_as_its_truth(traffic: SampleTraffic) -> None:
    inside, outside = split(traffic, "cost spike")
    times = statistics.mean(each["input_tokens"] for each in inside) / statistics.mean(
        each["input_tokens"] for each in outside
    )
    assert times == pytest.approx(trouble(traffic, "cost spike").effect["input_tokens_times"], rel=0.1)


def test_the_latency_drifts_as_fast_as_its_truth(traffic: SampleTraffic) -> None:
    found = trouble(traffic, "latency drift")
    inside, outside = split(traffic, "latency drift")
    days = (found.ends - found.begins).days
    last = [each["latency_ms"] for each in inside if during(each, found.ends - timedelta(days=1), found.ends)]
    times = statistics.median(last) / statistics.median(each["latency_ms"] for each in outside)
    assert times == pytest.approx((1 + found.effect["latency_growth_per_day"]) ** (days - 0.5), rel=0.1)


def test_the_quality_drops_as_far_as_its_truth(traffic: SampleTraffic) -> None:
    inside, outside = (
        statistics.mean(each["quality"] for each in part if each["quality"] is not None)
        for part in split(traffic, "quality drop")
    )
    assert inside - outside == pytest.approx(trouble(traffic, "quality drop").effect["quality_added"], abs=0.01)


def test_the_bad_deploy_fails_as_often_as_its_truth_and_is_rolled_back(traffic: SampleTraffic) -> None:
    found = trouble(traffic, "bad deploy")
    inside, outside = split(traffic, "bad deploy")
    bad = [each for each in inside if each["prompt_version"] == BAD_VERSION]
    assert share(bad, "status", "error") == pytest.approx(found.effect["error_rate"], abs=0.06)
    assert share(outside, "status", "error") < 0.02
    assert not any(each["prompt_version"] == BAD_VERSION for each in outside)


def test_the_lift_of_the_experiment_is_its_truth_and_subjects_stay_in_their_arm() -> None:
    """Many requests, so that chance hides little: the standard error of the difference is 0.006."""
    traffic = sample_traffic(FIRST, scale=5)
    live = [each for each in requests_of(traffic, "chatbot") if each.get("experiment") and each["status"] == "success"]
    arms = {name: [each for each in live if each["variant"] == name] for name in ("treatment", "control")}
    lift = share(arms["treatment"], "resolution", "resolved") - share(arms["control"], "resolution", "resolved")
    assert lift == pytest.approx(traffic.experiment.lift, abs=0.02)
    assert {each["subject"] for each in arms["treatment"]} & {each["subject"] for each in arms["control"]} == set()
    assert len(arms["treatment"]) / len(live) == pytest.approx(traffic.experiment.treated_share, abs=0.05)


def test_the_truth_counts_the_requests_and_says_that_it_is_sample_data(traffic: SampleTraffic) -> None:
    truth = traffic.truth()
    assert sum(truth["requests"].values()) == len(traffic.requests)
    assert truth["label"].startswith("sample data")
    assert [each["kind"] for each in truth["troubles"]] == [each.kind for each in traffic.troubles]


def test_a_time_too_short_for_its_troubles_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 14 days, not 13"):
        sample_traffic(FIRST, days=13)
