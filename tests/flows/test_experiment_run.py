"""Experiments on a real Prefect server: an offline one from its start to its page, live ones in one sweep."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scipy.stats import binomtest

from tasks import experiments
from tasks.experiment_pages import page_of
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.experiments import find_experiment
from tests.live_traffic import land_arm

if TYPE_CHECKING:
    from prefect import State

pytestmark = pytest.mark.usefixtures("store", "prefect_server")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    settings.cache_clear()
    yield
    settings.cache_clear()


def a_suite(folder: Path) -> Path:
    """Two recorded models over 120 cases: the second is right where the first is, and in half of the rest."""
    folder.mkdir()
    chance = random.Random(4)
    models = {"first": [], "second": []}  # type: dict[str, list[bool]]
    for _ in range(120):
        right = chance.random() < 0.6
        models["first"].append(right)
        models["second"].append(right or chance.random() < 0.5)
    with (folder / "cases.jsonl").open("w") as cases:
        for n in range(120):
            cases.write(json.dumps({"id": f"c-{n}", "question": f"colour {n}?", "expected": "red"}) + "\n")
    for name, answers in models.items():
        with (folder / f"{name}.jsonl").open("w") as file:
            for n, right in enumerate(answers):
                said = "red" if right else "blue"
                file.write(json.dumps({"case_id": f"c-{n}", "text": said, "latency_ms": 10 + n}) + "\n")
    (folder / "suite.yaml").write_text(
        "suite: two-painters\nmodels:\n  - {name: first, model: replay/first.jsonl}\n"
        "  - {name: second, model: replay/second.jsonl}\nscorers: [exact]\n"
    )
    (folder / "experiment.yaml").write_text(
        "experiment: painters\nfeature: colours\ndesign: paired_offline\nsuite: suite.yaml\n"
        "variants: [{name: old, variant: first, control: true}, {name: new, variant: second}]\n"
        "primary: {metric: pass_rate, minimum_effect: 0.1, margin: 0.02}\n"
    )
    gained = sum(b and not a for a, b in zip(models["first"], models["second"], strict=True))
    assert gained > 10
    assert binomtest(gained, gained, 0.5).pvalue < 0.001
    return folder / "experiment.yaml"


async def test_an_offline_experiment_goes_from_its_start_to_its_page(tmp_path: Path) -> None:
    from flows.experiment_run import experiment_run

    experiments.create(a_suite(tmp_path / "painters"))
    run_id = await experiment_run(experiment="painters")
    with transaction() as connection:
        found = find_experiment(connection, "painters")
    assert str(found.run_id) == run_id
    assert found.status == "completed"
    assert found.decision is not None
    assert (found.decision.outcome, found.decision.variant) == ("variant", "new")
    assert found.decision.sentence.startswith("new wins: +")
    html = page_of(found).read_text()
    assert "new wins" in html
    told = json.loads((page_of(found).parent / "report.json").read_text())
    assert told["comparison"]["findings"][0]["test"].startswith("mcnemar")


async def test_a_sweep_looks_at_what_runs_and_says_what_it_found() -> None:
    from flows.ab_analysis import ab_analysis
    from tests.tasks.test_experiment_analysis import always, begun

    assert await ab_analysis() == "No experiment is under way."
    begun(always())
    with transaction() as connection:
        land_arm(connection, "v3", 1000, 700)
        land_arm(connection, "v4", 1000, 800, first_unit=1000)
    told: Any = await ab_analysis()
    assert told.startswith("shipping-v4: v4 wins: +10.0 pts quality (95% CI ")
    with transaction() as connection:
        assert page_of(find_experiment(connection, "shipping-v4")).is_file()


async def test_calibration_says_what_held_and_fails_without_anything_to_calibrate_on() -> None:
    from flows.aa_calibration import aa_calibration

    state: State[Any] = await aa_calibration(days=7, return_state=True)
    assert state.is_failed()
    assert "nothing to calibrate on" in str(state.message)
