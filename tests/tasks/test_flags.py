"""Flags, read as an application reads them: by the OpenFeature SDK from the published file."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext
from scipy.stats import chisquare

from evaluations.errors import InfrastructureError
from evaluations.experiment_specs import ExperimentSpec
from evaluations.experiments import Status
from evaluations.flags import Arm, Canary, Live, Selection, Sources, Split, flag_document, flag_of
from tasks.flags import publish_flags
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.experiments import create_experiment, find_experiment, move
from tasks.whole_files import write_whole
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


# Canaries


def canary_file(folder: Path, percent: int) -> Path:
    """The flags of a canary at a share of the traffic, as a version of the same file."""
    began = datetime(2026, 5, 4, tzinfo=UTC)
    live = Live(deployment="0d9f6c1e", bundle=V3, since=began)
    canary = Canary(name="canary:6f1c2d3e", percent=percent, bundle=V4, since=began)
    flag = flag_of(Sources(feature="chatbot", live=live, canary=canary))
    assert flag is not None
    file = folder / f"{percent}.json"
    file.write_text(flag_document([flag], "production"))
    return file


def in_canary(file: Path, units: int) -> NDArray[np.bool_]:
    """For each of so many units, whether the SDK gives it the canary's bundle."""
    with application(file) as client:
        got = (client.get_object_details("chatbot", {}, EvaluationContext(f"user-{n}")).variant for n in range(units))
        return np.fromiter((each == "canary" for each in got), bool, units)


def check_canary(folder: Path, units: int) -> None:
    """The shares are those published, and whoever is in the canary stays in it from each share to the next."""
    before = np.zeros(units, bool)
    for percent in (10, 50, 100):
        now = in_canary(canary_file(folder, percent), units)
        assert not (before & ~now).any()
        planned = np.array([percent, 100 - percent]) * units / 100
        if percent < 100:
            assert chisquare([now.sum(), units - now.sum()], planned).pvalue > 0.001
        else:
            assert now.all()
        before = now


def test_a_larger_share_keeps_everyone_who_was_in_a_smaller_one(folder: Path) -> None:
    check_canary(folder, 5_000)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_larger_share_keeps_everyone_of_a_million(folder: Path) -> None:
    check_canary(folder, 1_000_000)


def test_canary_and_control_carry_their_names_and_who_has_no_id_takes_no_part(folder: Path) -> None:
    with application(canary_file(folder, 50)) as client:
        got = {json.dumps(served(client, f"user-{n}"), sort_keys=True) for n in range(50)}
        assert served(client, None) == V3
    assert got == {
        json.dumps({**V3, "experiment": "canary:6f1c2d3e", "variant": "control"}, sort_keys=True),
        json.dumps({**V4, "experiment": "canary:6f1c2d3e", "variant": "canary"}, sort_keys=True),
    }


BEGAN, LATER = datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC)
LIVE = Live(deployment="0d9f6c1e", bundle={"is": "live"}, since=BEGAN)
BACK = Live(deployment="0d9f6c1e", bundle={"is": "restored"}, since=LATER, rollback=True)
ON_TRIAL = Canary(name="canary:1", percent=10, bundle={"is": "canary"}, since=BEGAN)
CHOSEN = Selection(bundle={"is": "selected"}, policy="cheapest", since=BEGAN)
RUNNING = Split(experiment="e", arms=(Arm(name="a", percent=100, bundle={}),), since=BEGAN)


@pytest.mark.parametrize(
    ("given", "bundle", "rest"),
    [
        ({"live": LIVE, "control": {"is": "control"}}, "live", ()),
        ({"control": {"is": "control"}}, "control", ()),
        ({"live": LIVE, "selection": CHOSEN}, "selected", ()),
        ({"live": LIVE, "selection": CHOSEN, "split": RUNNING}, "selected", ("split",)),
        ({"live": LIVE, "selection": CHOSEN, "split": RUNNING, "canary": ON_TRIAL}, "live", ("canary",)),
        ({"live": BACK, "selection": CHOSEN, "split": RUNNING, "canary": ON_TRIAL}, "restored", ()),
        ({"live": BACK, "split": replace(RUNNING, since=LATER + timedelta(1))}, "restored", ("split",)),
        ({"live": BACK, "selection": replace(CHOSEN, since=LATER + timedelta(1))}, "selected", ()),
        ({"live": BACK, "canary": replace(ON_TRIAL, since=LATER + timedelta(1))}, "restored", ("canary",)),
        # All the traffic and only watched: an experiment that begins then has it.
        ({"live": LIVE, "split": RUNNING, "canary": replace(ON_TRIAL, percent=100)}, "live", ("split",)),
    ],
)
def test_a_rollback_goes_before_a_canary_an_experiment_a_selection_and_what_is_live(
    given: Any, bundle: str, rest: tuple[str, ...]
) -> None:
    flag = flag_of(Sources(feature="chatbot", **given))
    assert flag is not None
    assert flag.bundle == {"is": bundle}
    assert tuple(name for name in ("split", "canary") if getattr(flag, name) is not None) == rest


def test_nothing_said_is_no_flag() -> None:
    assert flag_of(Sources(feature="chatbot")) is None


def test_a_reader_during_the_write_sees_one_whole_document(folder: Path) -> None:
    """Two documents, written in turn; whatever a reader opens is one of the two."""
    file = folder / "production.json"
    texts = ["a" * 200_000, "b" * 200_000]
    write_whole(file, [texts[0]])
    stop, odd = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            seen = file.read_text()
            if seen not in texts:
                odd.append(len(seen))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(200):
        write_whole(file, [texts[number % 2]])
    stop.set()
    for reader in readers:
        reader.join()
    assert odd == []
