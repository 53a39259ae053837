"""Published cases of an experiment engine, and 39 real online experiments, against their recorded results."""

import json
from typing import Any

import numpy as np
import pytest

from evaluations.comparisons import Plan, Question
from evaluations.statistics import bayes, power
from evaluations.statistics.compare import compare
from evaluations.statistics.differences import FINE, Differences
from evaluations.statistics.multiplicity import adjusted_p
from evaluations.statistics.ratios import PairMoments
from evaluations.statistics.sample_ratio import SampleRatio, sample_ratio, sample_ratio_any_time
from evaluations.statistics.sequential import any_time
from evaluations.statistics.two_samples import Moments, welch_many
from tests.evaluations.statistics.references import csv_rows, expected, folder, json_lines


def near(reference: Any) -> Any:
    return pytest.approx(reference, rel=1e-9, abs=1e-12)


def cases() -> Any:
    return json.loads((folder("stats_reference") / "cases.json").read_text())


def arm(given: dict[str, float]) -> Moments:
    if "sum_squares" in given:
        return Moments.from_sums(given["n"], given["sum"], given["sum_squares"])
    return Moments.of_shares(given["sum"], given["n"])


def difference(case: dict[str, Any]) -> Differences:
    one_sided = case["method"] == "one_sided_greater_t"
    return welch_many(
        arm(case["b"]),
        arm(case["a"]),
        relative=case["difference"] == "relative",
        alternative="greater" if one_sided else "two-sided",
    )


def test_the_published_tests_of_means_and_shares_come_out() -> None:
    compared = 0
    for case in cases()["tests"]:
        found, reference = difference(case), case["reference_full_precision"]
        if case["method"] == "sequential_two_sided":
            found = any_time(found, planned_n=case["tuning"])
        assert float(found.value) == near(reference["diff"])
        assert float(found.standard_error) == near(reference["se"])
        low, high = reference["ci"]
        if case["method"] == "bayes_effect":
            chance, keep, take = bayes.chance_and_risk(found.value, found.standard_error)
            assert float(chance) == near(reference["chance_to_win"])
            assert (float(keep), float(take)) == near(reference["risk"])
            _, b = bayes.normal([0.0, float(found.value)], [1e-9, float(found.standard_error)], [1, 1])
            assert (b.low, b.high) == pytest.approx((low, high), rel=1e-6)
        else:
            assert float(found.p) == near(reference["p"])
            assert float(found.low) == near(low)
            assert float(found.high) == near(np.inf if high is None else high)
        compared += 1
    assert compared == 7


def test_the_published_power_tables_come_out() -> None:
    (table,) = cases()["power"]
    for metric in table["metrics"]:
        name, effect = metric["name"], metric["relative_effect"]
        mean = metric["rate"] if metric["type"] == "binomial" else metric["mean"]
        variance = mean * (1 - mean) if metric["type"] == "binomial" else metric["variance"]
        sizes = [table["users_per_week"] * week / table["variations"] for week in table["weeks"]]
        found = [power.power_of_relative(effect, mean, variance, n) for n in sizes]
        assert found == pytest.approx(table["published_power"][name], abs=6e-6)
        detectable = [
            power.detectable(lambda e, n=n, m=mean, v=variance: power.power_of_relative(e, m, v, n), highest=50.0)  # type: ignore[misc]
            for n in sizes
        ]
        assert detectable == pytest.approx(table["published_mde_at_power_0_8"][name], abs=6e-6)
        enough = [week for week, reached in zip(table["weeks"], found, strict=True) if reached >= 0.8]
        assert (enough[0] if enough else None) == table["published_weeks_needed"][name]


def test_the_published_sample_ratios_come_out() -> None:
    for case in cases()["sample_ratio"]:
        found = sample_ratio(case["counts"], case["weights"])
        assert isinstance(found, SampleRatio)
        if sum(case["counts"]) <= 1_000 and len(case["counts"]) == 2:
            continue
        assert found.p == pytest.approx(case["p"], rel=1e-9)


# The experiments of ASOS


class Streams:
    """All snapshots as arrays, and where each stream's last usable one is."""

    def __init__(self) -> None:
        rows = csv_rows(folder("asos_experiments") / "experiments.csv.gz")
        self.keys = [(row["experiment_id"], row["variant_id"], row["metric_id"]) for row in rows]

        def column(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
            return np.array([float(row[name] or "nan") for row in rows])

        self.time = column("time_since_start")
        self.control = Moments(n=column("count_c"), mean=column("mean_c"), variance=column("variance_c"))
        self.treatment = Moments(n=column("count_t"), mean=column("mean_t"), variance=column("variance_t"))
        self.found = welch_many(self.treatment, self.control)
        self.last: dict[tuple[str, str, str], int] = {}
        for place, key in enumerate(self.keys):
            usable = self.found.trouble[place] == FINE
            if usable and (key not in self.last or self.time[place] > self.time[self.last[key]]):
                self.last[key] = place


@pytest.fixture(scope="module")
def streams() -> Streams:
    return Streams()


def test_every_final_snapshot_agrees_with_the_recorded_results(streams: Streams) -> None:
    wanted = expected("asos_experiments")
    assert len(streams.keys) == wanted["rows"] == 11_508
    assert len(streams.last) == wanted["streams"] == 200
    places = np.array([streams.last[f["experiment_id"], f["variant_id"], f["metric_id"]] for f in wanted["final"]])
    found = streams.found
    for ours, theirs in (("value", "diff"), ("standard_error", "se"), ("p", "p")):
        reference = [final[theirs] for final in wanted["final"]]
        # The recorded p come from a tail taken as 1 - cdf: they are good to 2e-7, as their description says.
        np.testing.assert_allclose(getattr(found, ours)[places], reference, rtol=1e-9, atol=2e-7 if ours == "p" else 0)
    bounds = np.array([final["ci95"] for final in wanted["final"]])
    np.testing.assert_allclose(found.low[places], bounds[:, 0], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.high[places], bounds[:, 1], rtol=1e-6, atol=1e-12)
    for correction, theirs in (("bh", "p_bh"), ("holm", "p_holm")):
        adjusted = adjusted_p(found.p[places], correction)  # type: ignore[arg-type]
        np.testing.assert_allclose(adjusted, [final[theirs] for final in wanted["final"]], atol=2e-5)
    assert int((found.p[places] < 0.05).sum()) == wanted["significant_at_0.05"] == 42
    assert int((adjusted_p(found.p[places], "bh") < 0.05).sum()) == 20
    assert int((adjusted_p(found.p[places], "holm") < 0.05).sum()) == 15


def test_every_final_snapshot_agrees_with_the_engine_it_was_analysed_by(streams: Streams) -> None:
    lines = json_lines(folder("asos_experiments") / "reference_gbstats.jsonl.gz")
    places = np.array([streams.last[line["experiment_id"], line["variant_id"], line["metric_id"]] for line in lines])
    treatment, control = (
        Moments(n=arm.n[places], mean=arm.mean[places], variance=arm.variance[places])
        for arm in (streams.treatment, streams.control)
    )
    absolute = welch_many(treatment, control)
    relative = welch_many(treatment, control, relative=True)
    looked = any_time(relative)

    def theirs(*path: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        values = []
        for line in lines:
            value: Any = line
            for step in path:
                value = value[step]
            values.append(value)
        return np.array(values, dtype=np.float64)

    for ours, name in ((absolute, "absolute"), (relative, "relative"), (looked, "sequential_relative_tuning_5000")):
        bounds = theirs(name, "ci")
        np.testing.assert_allclose(np.column_stack([ours.low, ours.high]), bounds, rtol=1e-9)
        np.testing.assert_allclose(ours.p, theirs(name, "p"), rtol=1e-9, atol=1e-12)
    chance, keep, take = bayes.chance_and_risk(relative.value, relative.standard_error)
    np.testing.assert_allclose(chance, theirs("bayes_relative_flat_prior", "chance_to_win"), rtol=1e-9)
    risks = theirs("bayes_relative_flat_prior", "risk")
    np.testing.assert_allclose(np.column_stack([keep, take]), risks, rtol=1e-9, atol=1e-15)


def test_the_sample_ratio_alarms_are_the_recorded_ones(streams: Streams) -> None:
    last: dict[str, int] = {}
    for (experiment, variant, _), place in streams.last.items():
        name = f"{experiment}|{variant}"
        if name not in last or streams.time[place] > streams.time[last[name]]:
            last[name] = place
    alarms: list[str] = []
    any_look: list[str] = []
    for name, place in sorted(last.items()):
        counts = [int(streams.control.n[place]), int(streams.treatment.n[place])]
        for check, alarmed in ((sample_ratio, alarms), (sample_ratio_any_time, any_look)):
            found = check(counts, [50, 50])
            assert isinstance(found, SampleRatio)
            alarmed += [name] if found.mismatch else []
    assert alarms == expected("asos_experiments")["equal_split_sample_ratio_p_below_0.001"]
    assert set(any_look) <= set(alarms)


def test_looking_at_every_snapshot_misleads_and_a_confidence_sequence_does_not(streams: Streams) -> None:
    """Naively 112 of 200 streams are significant at some look, 70 of which are not at the last one.

    The confidence sequence calls 34, of which 24 are significant at the last look by the test of a single look too.
    The other ten had an effect that later looks diluted: it was there for the visitors of the first days.
    """
    looked = any_time(streams.found, planned_n=1_000_000)
    fine = streams.found.trouble == FINE

    def ever(p: np.ndarray[Any, np.dtype[np.float64]]) -> set[tuple[str, str, str]]:
        return {streams.keys[place] for place in np.flatnonzero(fine & (p < 0.05))}

    naive, held = ever(streams.found.p), ever(looked.p)
    final = {key for key, place in streams.last.items() if streams.found.p[place] < 0.05}
    assert len(naive) == expected("asos_experiments")["streams_significant_at_any_snapshot"] == 112
    assert len(naive - final) == 70
    assert held < naive
    assert (len(held), len(held & final)) == (34, 24)


def test_compare_blocks_the_eight_broken_splits_and_finds_the_rest_as_recorded(streams: Streams) -> None:
    """Every metric of every variant at its last snapshot, each tested alone as the record has it."""
    wanted = expected("asos_experiments")
    significant = {
        (final["experiment_id"], final["variant_id"], final["metric_id"])
        for final in wanted["final"]
        if final["p"] < 0.05
    }
    broken = {tuple(name.split("|")) for name in wanted["equal_split_sample_ratio_p_below_0.001"]}
    called, blocked = set(), set()
    for experiment, variant in sorted({key[:2] for key in streams.last}):
        metrics = sorted(key[2] for key in streams.last if key[:2] == (experiment, variant))
        plan = Plan(design="live_split", control="A", variants=("B",), traffic={"A": 50, "B": 50}, correction="none")
        questions = [
            Question(metric=metric, kind="bounded", role="primary" if metric == metrics[0] else "secondary")
            for metric in metrics
        ]
        places = {metric: streams.last[experiment, variant, metric] for metric in metrics}
        measured = {
            metric: {
                "A": unit_sums(streams.control, place),
                "B": unit_sums(streams.treatment, place),
            }
            for metric, place in places.items()
        }
        latest = max(places.values(), key=lambda place: streams.time[place])
        units = {"A": int(streams.control.n[latest]), "B": int(streams.treatment.n[latest])}
        found = compare(plan, questions, measured, generator=np.random.default_rng(1), units=units)
        if found.blocked:
            blocked.add((experiment, variant))
            assert {each.verdict for each in found.findings} == {"blocked"}
        for finding in found.findings:
            assert finding.test == "welch"
            called |= {(experiment, variant, finding.metric)} if finding.verdict in ("better", "worse") else set()
    assert blocked == broken
    assert called == {key for key in significant if key[:2] not in broken}


def unit_sums(arm: Moments, place: int) -> PairMoments:
    """One value a unit: the denominator is 1 for everyone."""
    one = np.ones(())
    return PairMoments(
        n=one * arm.n[place],
        mean=one * arm.mean[place],
        other_mean=one,
        variance=one * arm.variance[place],
        other_variance=0 * one,
        covariance=0 * one,
    )
