"""Looks at experiments: what the declared method allows, what blocks a verdict, and what is decided."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from statsmodels.stats.proportion import confint_proportions_2indep

from evaluations.errors import AssayError
from evaluations.experiment_specs import ExperimentSpec
from tasks import experiments
from tasks.experiment_analysis import Looked, look_at, under_way
from tasks.experiment_pages import scores_of
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.decisions import decisions_of, estimates_of, looks_of
from tasks.store.experiments import create_experiment, find_experiment, set_planned_n
from tests.experiments import live
from tests.live_traffic import BEGAN, land_arm

NOW = BEGAN + timedelta(days=3)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    settings.cache_clear()


def begun(spec: ExperimentSpec, planned_n: int | None = None) -> None:
    with transaction() as connection:
        created = create_experiment(connection, spec, None, "ana")
        if planned_n is not None:
            set_planned_n(connection, created, planned_n)
    experiments.start_live(spec.experiment)
    with transaction() as connection:
        connection.execute(text("UPDATE experiments SET started_at = :began"), {"began": BEGAN})


def arms(*given: tuple[str, int, int], **more: Any) -> None:
    """(variant, units, units of quality 1); no unit is in two of them."""
    with transaction() as connection:
        first = 0
        for variant, units, passed in given:
            land_arm(connection, variant, units, passed, first_unit=first, **more)
            first += units


def looked(name: str = "shipping-v4", now: datetime = NOW) -> Looked:
    found = look_at(under_way(name), now)
    assert not found.failed, found.failed
    return found.looks[0]


def always(**given: Any) -> ExperimentSpec:
    primary = {"metric": "quality", "minimum_effect": 0.05, "margin": 0.03}
    return live(method="always_valid", **{"primary": primary, **given})


def test_a_clear_gain_wins_and_ends_the_experiment() -> None:
    begun(live(guardrails=[{"metric": "latency_ms", "margin": 50}]), planned_n=1000)
    arms(("v3", 1000, 700), ("v4", 1000, 790))
    found = looked()
    assert found.sentence.startswith("v4 wins: +9.0 pts quality (95% CI ")
    assert found.experiment.status == "completed"
    with transaction() as connection:
        [decision] = decisions_of(connection, found.experiment.id)
        [look] = looks_of(connection, found.experiment.id)
        lines = {line.metric: line for line in estimates_of(connection, look.id)}
    assert (decision.outcome, decision.variant, decision.automatic) == ("variant", "v4", True)
    assert "the planned number is reached" in decision.rule
    assert lines["latency_ms"].verdict == "holds"
    # Wald's interval, which Welch's test over yes and no comes to with so many units.
    low, high = confint_proportions_2indep(790, 1000, 700, 1000, method="wald", compare="diff")
    assert lines["quality"].low == pytest.approx(low, abs=5e-4)
    assert lines["quality"].high == pytest.approx(high, abs=5e-4)


def test_a_fixed_experiment_shows_no_effect_before_its_planned_number() -> None:
    begun(live(), planned_n=1000)
    arms(("v3", 300, 150), ("v4", 300, 290))
    found = looked()
    assert found.comparison is None
    assert found.sentence == ("Not enough data: 300 of 1,000 planned units in the smallest arm; it is looked at once.")
    with transaction() as connection:
        assert looks_of(connection, found.experiment.id) == []
    assert found.experiment.status == "running"


def test_a_split_that_is_off_blocks_the_verdict_at_any_time() -> None:
    begun(live(), planned_n=5000)
    arms(("v3", 1200, 600), ("v4", 800, 700))
    found = looked()
    assert found.sentence.startswith("No verdict: 60.0% of the units went to v3, 50.0% planned")
    assert found.comparison is not None
    assert {finding.verdict for finding in found.comparison.findings} == {"blocked"}
    assert found.experiment.status == "running"
    with transaction() as connection:
        assert decisions_of(connection, found.experiment.id) == []


def test_units_in_two_variants_block_the_verdict() -> None:
    begun(always())
    with transaction() as connection:
        land_arm(connection, "v3", 500, 250)
        land_arm(connection, "v4", 500, 450, first_unit=470)
    found = looked()
    assert "of the units were in more than one variant; the assignment is not sticky" in found.sentence
    assert found.live is not None
    assert found.live.crossed == 30


@pytest.mark.parametrize(
    ("given", "word", "said"),
    [
        ([("v3", 2000, 1600), ("v4", 2000, 1300)], "worse", "v3 stays: v4 loses 15.0 pts quality (95% CI "),
        ([("v3", 9000, 7200), ("v4", 9000, 7200)], "equivalent", "No meaningful difference: v4 is within ±3.0 pts"),
        ([("v3", 150, 100), ("v4", 150, 104)], "not_enough_data", "Not enough data: +2.7 pts quality (95% CI "),
        ([("v3", 300, 200)], "blocked", "No verdict: 100.0% of the units went to v3, 50.0% planned"),
        ([("v3", 200, 200), ("v4", 200, 200)], "not_enough_data", "Not enough data: "),
        ([], "not_enough_data", "Not enough data: one arm has no units."),
    ],
)  # fmt: skip
def test_every_verdict_has_its_sentence(given: Sequence[tuple[str, int, int]], word: str, said: str) -> None:
    begun(always())
    arms(*given)
    found = looked()
    assert found.look is not None
    assert found.look.verdict == word
    assert found.sentence.startswith(said)


def test_a_gain_that_harms_a_guardrail_does_not_win() -> None:
    begun(always(guardrails=[{"metric": "latency_ms", "margin": 50}]))
    with transaction() as connection:
        land_arm(connection, "v3", 2000, 1200)
        land_arm(connection, "v4", 2000, 1600, first_unit=2000, latency_ms=600.0)
    found = looked()
    assert found.sentence.startswith("v3 stays: v4 brings +20.0 pts quality")
    assert "+200 ms latency" in found.sentence
    assert "is beyond the margin of 50 ms" in found.sentence
    assert found.experiment.decision is not None
    assert found.experiment.decision.outcome == "inconclusive"


def test_planned_looks_are_taken_once_each_and_the_last_one_ends_it() -> None:
    begun(live(method="group_sequential", looks=2, primary={"metric": "quality", "margin": 0.01}), planned_n=1000)
    arms(("v3", 300, 200), ("v4", 300, 203))
    assert looked().occasion.kind == "wait"
    with transaction() as connection:
        land_arm(connection, "v3", 300, 200, first_unit=2000)
        land_arm(connection, "v4", 300, 203, first_unit=3000)
    assert looked().occasion.why == "look 1 of 2"
    assert looked().occasion.kind == "wait"
    with transaction() as connection:
        land_arm(connection, "v3", 400, 270, first_unit=4000)
        land_arm(connection, "v4", 400, 271, first_unit=5000)
    last = looked()
    assert (last.occasion.kind, last.experiment.status) == ("last", "completed")
    assert last.occasion.fractions == pytest.approx((0.6, 1.0))
    assert last.experiment.decision is not None
    assert last.experiment.decision.outcome == "inconclusive"


def test_an_experiment_whose_time_is_over_ends_inconclusive() -> None:
    begun(live(max_duration="48h"), planned_n=1000)
    arms(("v3", 200, 120), ("v4", 200, 124))
    found = looked()
    assert found.experiment.status == "completed"
    assert found.experiment.decision is not None
    assert found.experiment.decision.outcome == "inconclusive"
    assert "its time is over" in found.experiment.decision.rule


def test_the_same_data_are_looked_at_once_and_late_data_again_after_the_end() -> None:
    begun(always())
    arms(("v3", 1000, 700), ("v4", 1000, 800))
    first = looked()
    assert looked().look == first.look
    with transaction() as connection:
        land_arm(connection, "v4", 10, 0, first_unit=9000)
    late = looked()
    assert late.look is not None
    assert (late.look.look, late.look.post_hoc) == (2, "after the end")
    with transaction() as connection:
        assert len(decisions_of(connection, late.experiment.id)) == 1


def test_several_variants_are_each_compared_with_the_control_and_corrected() -> None:
    variants = [
        {"name": "a", "control": True, "traffic": 34},
        {"name": "b", "traffic": 33},
        {"name": "c", "traffic": 33},
    ]
    begun(always(variants=variants))
    arms(("a", 1020, 600), ("b", 990, 780), ("c", 990, 585))
    found = looked()
    assert found.sentence.startswith("b wins: +")
    assert found.comparison is not None
    assert found.comparison.primary("c").verdict == "not_enough_data"
    adjusted = found.comparison.primary("b").adjusted
    assert adjusted is not None
    assert adjusted.size == 2


def test_one_that_cannot_be_looked_at_keeps_none_of_the_others_from_their_turn() -> None:
    begun(always())
    begun(always(name="search-ranker", feature="search", test="no-such-test"))
    arms(("v3", 100, 50), ("v4", 100, 60))
    found = look_at(under_way(), NOW)
    assert [each.experiment.name for each in found.looks] == ["shipping-v4"]
    assert "no test is named 'no-such-test'" in found.failed["search-ranker"]
    assert "search-ranker could not be looked at" in str(found)


def test_the_planned_number_comes_from_the_noise_of_the_last_month() -> None:
    with transaction() as connection:
        land_arm(connection, "", 2000, 1400, experiment="none")
        spec = live(primary={"metric": "quality", "minimum_effect": 0.05})
        planned = experiments.planned_units(connection, spec, BEGAN + timedelta(days=10))
    # Two means with a standard deviation of sqrt(0.7 * 0.3), 80 % power at 5 points: textbook n of an arm.
    textbook = 2 * (1.959964 + 0.841621) ** 2 * 0.7 * 0.3 / 0.05**2
    assert planned == pytest.approx(textbook, rel=0.01)


@pytest.mark.parametrize(
    ("primary", "said"),
    [
        ({"metric": "quality"}, "say `planned_n`, or the `minimum_effect` of quality"),
        ({"metric": "latency_ms", "minimum_effect": 10}, "too few to plan with; say `planned_n`"),
    ],
)
def test_what_cannot_be_planned_does_not_start(primary: dict[str, Any], said: str) -> None:
    with transaction() as connection:
        create_experiment(connection, live(primary=primary), None, "ana")
    with pytest.raises(AssayError, match=said):
        experiments.start_live("shipping-v4")
    with transaction() as connection:
        assert find_experiment(connection, "shipping-v4").status == "draft"


def test_what_is_due_starts_and_what_is_taken_waits() -> None:
    with transaction() as connection:
        for name in ("first", "second"):
            create_experiment(connection, always(name=name, starts_at="2026-05-04T06:00:00Z"), None, "ana")
    experiments.schedule("first")
    experiments.schedule("second")
    assert experiments.start_due(BEGAN) == ""
    told = experiments.start_due(BEGAN + timedelta(hours=7))
    assert told.startswith("first started. second waits: experiment first is under way on chatbot in production")
    with transaction() as connection:
        assert find_experiment(connection, "second").status == "scheduled"


def test_an_offline_experiment_runs_its_variants_and_says_which_is_better(tmp_path: Path) -> None:
    """A pass rate over few differing cases: what nine of ten cases share may not hide what the tenth loses."""
    from tasks.concluding import conclude
    from tasks.working import work_on

    file = tmp_path / "small-or-large.yaml"
    file.write_text(
        "experiment: small-or-large\nfeature: support-triage\ndesign: paired_offline\nsuite: support-tickets\n"
        "variants: [{name: large, control: true}, {name: small}]\n"
        "primary: {metric: pass_rate, minimum_effect: 0.05, margin: 0.03}\n"
        "secondary: [score]\nguardrails: [{metric: latency_ms, margin: 200}]\n"
    )
    experiments.create(file)
    run_id = experiments.begin_run("small-or-large")
    early = looked("small-or-large")
    assert early.sentence.startswith("Not enough data: 0 of 510 answers are there.")
    asyncio.run(work_on(run_id))
    conclude(run_id)
    assert experiments.begin_run("small-or-large") == run_id
    found = looked("small-or-large")
    assert found.sentence.startswith("large stays: small loses 14.7 pts pass rate (95% CI ")
    assert found.experiment.status == "completed"
    assert found.experiment.decision is not None
    assert (found.experiment.decision.outcome, found.experiment.decision.variant) == ("variant", "large")
    assert [(each.variant, each.rank) for each in scores_of("small-or-large").scores] == [("large", 2), ("small", 1)]
