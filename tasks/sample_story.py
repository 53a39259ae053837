"""A sample story: an experiment of the sample traffic is concluded, its winner deployed, and a bad canary taken back.

Database, published file, checks, watch and the application's reads are the real ones. Made up are the traffic, which
says so, the approver, and the clock: a window of half a day is over as soon as the watch is told that it is.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from evaluations.deployments import Policy
from evaluations.errors import AssayError
from evaluations.sample_canary import Behaviour, Served, requests_of
from evaluations.sample_traffic import LiveExperiment
from evaluations.wording import count
from tasks.sample_application import Application, can_run, running
from tasks.settings import settings

if TYPE_CHECKING:
    from tasks.deploying import Wish

FILES = Path(__file__).parent / "sample_files"
EXPERIMENT, FEATURE = "shorter-replies", "chatbot"
APPROVER = "sample-approver"
"""Nobody: whoever approves has to be another person than whoever asks."""
WINNER, BAD = "chatbot@1.2.0-b", "chatbot@1.3.0"
Whom = Literal["some", "all", "none"]
BEHAVIOURS: Mapping[str, Behaviour] = {
    "chatbot@1.1.0": Behaviour(quality=0.86, error_rate=0.01, latency_ms=900),
    WINNER: Behaviour(quality=0.88, error_rate=0.01, latency_ms=880),
    BAD: Behaviour(quality=0.64, error_rate=0.04, latency_ms=870),
}
"""The truth about the bundles, which nothing but the made-up traffic knows."""
WINDOW = timedelta(hours=12)
POLICY = Policy(window_s=WINDOW.total_seconds())
LOOKS = 3
"""Looks at each window; as many files of requests."""
UNITS = 2_000
"""Customers of a window, one request each."""
ASKED = [f"sample-customer-{n:04d}" for n in range(1000)]
"""Whom the application is asked about when it tells what it receives."""


def sample_story(experiment: LiveExperiment, folder: Path) -> Iterator[str]:
    """Do it step by step, and tell each in a line; commands begin with "$".

    A store in which it was begun before is left as it is.
    """
    from tasks.flags import flag_file
    from tasks.pages import publish_page

    if not can_run():
        yield (
            "Left out: the sample application reads its flags by the OpenFeature SDK, which is not installed here: "
            "pip install openfeature-sdk openfeature-provider-flagd"
        )
        return
    if (known := _told_before()) is not None:
        yield f"Experiment {EXPERIMENT} is there already. Where its feature stands:"
        yield known
    else:
        yield from _register()
        yield from _split_traffic(experiment)
        with running(FEATURE, flag_file("production")) as application:
            yield from _conclude(experiment, application)
            yield from _deploy(experiment, application, folder)
            yield from _take_back(experiment, application, folder)
    yield "$ assay report deployments"
    yield f"deployments: {publish_page('deployments', '', None, None)}"


def _told_before() -> str | None:
    from tasks.deployment_status import status_of
    from tasks.store.database import transaction
    from tasks.store.experiments import find_experiment

    with transaction() as connection:
        try:
            find_experiment(connection, EXPERIMENT)
        except AssayError:
            return None
    try:
        return str(status_of(FEATURE))
    except AssayError as nothing:
        return str(nothing)


# The experiment


def _register() -> Iterator[str]:
    from tasks.prompt_registry import add, step
    from tasks.prompts import load_prompt

    files = sorted(FILES.glob("*.yaml"))
    prompts = [each for each in files if each.stem.startswith(FEATURE)]
    yield f"$ assay prompts add {' '.join(each.name for each in prompts)}"
    labels = [add(load_prompt(each), source=each.name).prompt.label for each in prompts]
    yield f"{', '.join(labels)} are registered."
    from tasks.model_syncing import sync_models

    yield "$ assay models sync"
    sync_models(write=True)
    yield f"$ assay prompts review {WINNER} && ASSAY_ACTOR={APPROVER} assay prompts approve {WINNER}"
    step(WINNER, "in_review", why="to become what an experiment tries")
    with _acting_as(APPROVER):
        yield f"{WINNER} is {step(WINNER, 'approved', why='read it (sample approval)').state} by {APPROVER}."


def _split_traffic(experiment: LiveExperiment) -> Iterator[str]:
    from tasks.experiments import create, start_live

    yield f"$ assay experiments create {EXPERIMENT}.yaml && assay experiments run {EXPERIMENT}"
    create(FILES / f"{EXPERIMENT}.yaml")
    started = start_live(EXPERIMENT, "the split that is in the sample traffic", began=experiment.begins)
    shares = ", ".join(f"{each.name} {each.traffic}%" for each in started.spec.variants)
    yield f"{EXPERIMENT} runs since {_said(experiment.begins)}: {shares} of {FEATURE} in production."


def _conclude(experiment: LiveExperiment, application: Application) -> Iterator[str]:
    from tasks.experiment_analysis import look_at, under_way

    yield f"An application starts and reads the published file by the OpenFeature SDK: {_receives(application)}"
    yield f"$ assay experiments analyse {EXPERIMENT}"
    looked = look_at(under_way(EXPERIMENT), experiment.ends)
    yield from (f"{why}." for why in looked.failed.values())
    yield from (each.sentence for each in looked.looks)


# The winner


def _deploy(experiment: LiveExperiment, application: Application, folder: Path) -> Iterator[str]:
    from tasks.deploying import Wish

    why = "no key and no model here, so no suite was run (sample data)"
    yield f'$ assay deploy override {EXPERIMENT} --window 12h --why "{why}"'
    deployment, told = _asked_for(Wish(experiment=EXPERIMENT, policy=POLICY), "shorter replies resolve more", why)
    yield from told
    yield from _approve(deployment, experiment.ends, "read the preview (sample approval)")
    yield f"The same application, not restarted: {_once(application, WINNER, 'some')}"
    now = experiment.ends
    for place, share in enumerate(POLICY.steps):
        yield from _window(application, deployment, now, folder, f"winner-{share}")
        now += WINDOW
        more = POLICY.steps[place + 1 :]
        yield f"The same application: {_once(application, WINNER, 'some' if more[:1] and more[0] < 100 else 'all')}"


def _take_back(experiment: LiveExperiment, application: Application, folder: Path) -> Iterator[str]:
    from tasks.deploying import Wish, read_bundle
    from tasks.store.database import transaction
    from tasks.store.deployments import deployment_of

    begins = experiment.ends + len(POLICY.steps) * WINDOW
    why = "to see a bad bundle being taken back (sample data)"
    yield f'$ assay deploy override --feature {FEATURE} --bundle one-sentence.json --window 12h --why "{why}"'
    bundle = read_bundle(FILES / "one-sentence.json")
    deployment, told = _asked_for(Wish(feature=FEATURE, bundle=bundle, policy=POLICY), "one sentence is enough", why)
    yield from told
    yield from _approve(deployment, begins, "to see it fail (sample approval)")
    yield f"The same application: {_once(application, BAD, 'some')}"
    yield from _window(application, deployment, begins, folder, "bad")
    with transaction() as connection:
        ended = deployment_of(connection, deployment)
    if ended.status != "rolled_back":
        raise AssayError(f"the bad canary of the sample story is {ended.status}: {ended.moved_why}")
    yield f"The same application: {_once(application, BAD, 'none')}"


def _asked_for(wish: "Wish", why: str, waive: str) -> tuple[UUID, list[str]]:
    """Ask for it although checks refuse, by name and reason. Gives the deployment's id, and what there is to say."""
    from tasks.deploying import propose, start

    proposal = propose(wish)
    asked = start(proposal, why=why, waive=waive)
    waived = [f"  waived: {each.says}" for each in proposal.refused]
    return asked.id, [f"{proposal.before} -> {proposal.bundle}", *waived]


def _approve(deployment_id: UUID, now: datetime, why: str) -> Iterator[str]:
    """Another person's word, made up; the canary then begins at the story's own time."""
    from tasks.advancing import advance
    from tasks.deploying import approve

    name = str(deployment_id)[:8]
    yield f"{advance(deployment_id, now)}."
    yield f'$ ASSAY_ACTOR={APPROVER} assay deploy approve {name} --why "{why}"'
    with _acting_as(APPROVER):
        approve(name, why)
    yield advance(deployment_id, now)


@contextmanager
def _acting_as(actor: str) -> Iterator[None]:
    before = os.environ.get("ASSAY_ACTOR")
    os.environ["ASSAY_ACTOR"] = actor
    settings.cache_clear()
    try:
        yield
    finally:
        os.environ.pop("ASSAY_ACTOR")
        if before is not None:
            os.environ["ASSAY_ACTOR"] = before
        settings.cache_clear()


# A window


def _window(application: Application, deployment_id: UUID, begins: datetime, folder: Path, name: str) -> Iterator[str]:
    """One watch window: requests as the application serves them now, and a look after each part of them."""
    from tasks.advancing import advance
    from tasks.store.database import transaction
    from tasks.store.deployments import deployment_of

    served = application.serves([f"sample-visitor-{n:05d}" for n in range(UNITS)])
    part = UNITS // LOOKS
    for look in range(LOOKS):
        since, until = begins + WINDOW * look / LOOKS, begins + WINDOW * (look + 1) / LOOKS
        _land(_Part(served[look * part : (look + 1) * part], since, until, f"{name}-{look}"), folder)
        yield f"$ assay deploy advance    # told that it is {_said(until)}"
        yield advance(deployment_id, until)
        with transaction() as connection:
            if deployment_of(connection, deployment_id).status == "rolled_back":
                return


@dataclass(frozen=True, slots=True)
class _Part:
    """What the application did between two looks."""

    served: Sequence[Served]
    begins: datetime
    ends: datetime
    name: str


def _land(part: _Part, folder: Path) -> None:
    """Write the requests of a part as an application logs them, and take them in."""
    from tasks.ingest.ingesting import IngestRequest, ingest_file

    seed = sum(map(ord, part.name))
    made = requests_of(
        part.served, BEHAVIOURS, feature=FEATURE, begins=part.begins, ends=part.ends, name=part.name, seed=seed
    )
    path = folder / f"canary-{part.name}.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in made), encoding="utf-8")
    ingest_file(IngestRequest(file=path, format="assay", source="", sample_data=True))


# What the application receives


def _once(application: Application, prompt: str, whom: Whom) -> str:
    """What it receives as soon as the publication reached it: the prompt for some, all or none of its customers."""

    def arrived(served: Sequence[Served]) -> bool:
        having = sum(bool(each.bundle.get("prompt") == prompt) for each in served)
        match whom:
            case "some":
                return 0 < having < len(served)
            case "all":
                return having == len(served)
            case _:
                return not having

    return _told(application.waits_for(ASKED, arrived))


def _receives(application: Application) -> str:
    return _told(application.serves(ASKED))


def _told(served: Sequence[Served]) -> str:
    got = Counter(f"{each.bundle.get('prompt')} on {each.bundle.get('model')}" for each in served)
    said = ", ".join(f"{count(n)} get {bundle}" for bundle, n in got.most_common())
    return f"of {count(len(served), 'customer')}, {said}."


def _said(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
