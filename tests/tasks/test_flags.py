"""Flags, read as an application reads them: by the OpenFeature SDK from the published file."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext
from scipy.stats import chisquare

from evaluations.errors import InfrastructureError
from evaluations.experiment_specs import ExperimentSpec
from evaluations.experiments import Status
from tasks.flags import publish_flags
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.experiments import create_experiment, find_experiment, move
from tests.experiments import V3, V4, live


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path))
    settings.cache_clear()
    return tmp_path


def begun(spec: ExperimentSpec, *steps: Status) -> Path:
    with transaction() as connection:
        create_experiment(connection, spec, None, "ana")
        for step in ("running", *steps):
            move(connection, find_experiment(connection, spec.experiment), step, actor="ana")
    return publish_flags("production")


@contextmanager
def application(file: Path) -> Iterator[OpenFeatureClient]:
    api.set_provider_and_wait(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(file)))
    try:
        yield api.get_client()
    finally:
        api.shutdown()


def served(client: OpenFeatureClient, unit: str | None, **attributes: Any) -> Any:
    return client.get_object_value("chatbot", {"none": True}, EvaluationContext(unit, attributes))


def test_the_sdk_splits_units_as_declared_and_keeps_each_where_it_is() -> None:
    arms = [{"name": "v3", "control": True, "traffic": 70, "bundle": V3}, {"name": "v4", "traffic": 30, "bundle": V4}]
    units = [f"user-{n}" for n in range(6000)]
    with application(begun(live(variants=arms))) as client:
        first = [served(client, unit)["variant"] for unit in units]
        assert [served(client, unit)["variant"] for unit in units] == first
    counts = Counter(first)
    assert chisquare([counts["v3"], counts["v4"]], [4200, 1800]).pvalue > 0.001
    # Published again, by anybody, the split is the same.
    with application(publish_flags("production")) as client:
        assert [served(client, unit)["variant"] for unit in units[:500]] == first[:500]


def test_an_application_receives_the_bundle_and_the_names_to_write_on_its_requests() -> None:
    with application(begun(live())) as client:
        answers = {json.dumps(served(client, f"user-{n}"), sort_keys=True) for n in range(50)}
    assert answers == {
        json.dumps({**V3, "experiment": "shipping-v4", "variant": "v3"}, sort_keys=True),
        json.dumps({**V4, "experiment": "shipping-v4", "variant": "v4"}, sort_keys=True),
    }


def test_who_takes_no_part_gets_the_control_without_the_experiments_name() -> None:
    with application(begun(live(categories=["billing"]))) as client:
        assert served(client, "user-1", category="billing")["experiment"] == "shipping-v4"
        assert served(client, "user-1", category="legal") == V3
        assert served(client, "user-1") == V3
        assert served(client, None, category="billing") == V3


@pytest.mark.parametrize("step", ["paused", "completed", "cancelled"])
def test_an_experiment_that_does_not_run_leaves_everyone_with_the_control(step: Status) -> None:
    with application(begun(live(), step)) as client:
        assert {json.dumps(served(client, f"user-{n}")) for n in range(50)} == {json.dumps(V3)}


def test_two_experiments_split_the_same_units_independently() -> None:
    begun(live())
    file = begun(live("search-ranker", feature="search"))
    with application(file) as client:
        pairs = Counter(
            tuple(
                client.get_object_details(feature, {}, EvaluationContext(f"user-{n}")).variant
                for feature in ("chatbot", "search")
            )
            for n in range(2000)
        )
    assert len(pairs) == 4
    assert chisquare(list(pairs.values())).pvalue > 0.001


def test_the_same_database_gives_the_same_bytes(folder: Path) -> None:
    file = begun(live())
    before = file.read_bytes()
    file.unlink()
    assert publish_flags("production").read_bytes() == before


def test_a_file_that_cannot_be_written_is_said_and_the_old_one_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = begun(live()).read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InfrastructureError, match="Applications keep what they had"):
        publish_flags("production")
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("production.json", before)]
