"""Flags: what the applications read, written from the database whole, one document an environment.

The file is made from the database alone, so it can be lost, and whoever publishes last publishes the truth. An
application reads it with any OpenFeature SDK (flagd provider, file mode) and keeps working while Assay is down. What
reads over HTTP is given the same document afterwards (tasks/delivering.py).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from evaluations.deployments import canary_name
from evaluations.errors import InfrastructureError
from evaluations.flags import Arm, Canary, Flag, Live, Selection, Sources, Split, flag_document, flag_of
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.deployments import StoredDeployment, canaries_of, live_deployments
from tasks.store.experiments import StoredExperiment, hold_flags, latest_live, running_since
from tasks.store.flag_deliveries import save_delivery, was_delivered
from tasks.store.selections import published_selections
from tasks.whole_files import write_whole


@dataclass(frozen=True, slots=True)
class Published:
    """The document of an environment, as the database has it."""

    environment: str
    document: str

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.document.encode()).hexdigest()


def flag_file(environment: str) -> Path:
    """Where the flags of an environment are."""
    return settings().flags_folder / f"{environment}.json"


def publish_flags(environment: str) -> Path:
    """Write the flags of an environment as the database has them now. Two at once end with the later state.

    Raises InfrastructureError when the file cannot be written; applications then keep what they had.
    """
    path = flag_file(environment)
    with transaction() as connection:
        hold_flags(connection, environment)
        published = document_of(connection, environment)
        try:
            write_whole(path, [published.document], durable=True)
        except OSError as problem:
            raise InfrastructureError(
                f"the flags of {environment} could not be written to {path}: {problem.strerror}. Applications keep "
                "what they had; make room or set ASSAY_FLAGS, then `assay deploy publish`. The next sweep tries too."
            ) from problem
        save_delivery(
            connection,
            environment,
            "file",
            published.hash,
            delivered=True,
            detail=path.name,
            actor=settings().actor,
        )
    return path


def is_current(environment: str) -> bool:
    """Is the file what the database says, byte for byte?"""
    with transaction() as connection:
        wanted = document_of(connection, environment).document
    try:
        return flag_file(environment).read_bytes() == wanted.encode()
    except OSError:
        return False


FileState = Literal["current", "missing", "stale", "edited", "unreadable"]
FILE_STATES: Mapping[FileState, str] = {
    "current": "is what the database says",
    "missing": "is not there: applications that start now find no flags",
    "stale": "was published before, and the database says something else since then",
    "edited": "is not what was published: somebody edited it",
    "unreadable": "cannot be read",
}


def file_state(connection: Connection, environment: str, folder: Path) -> FileState:
    """How the published file of an environment stands to the database."""
    try:
        found = (folder / f"{environment}.json").read_bytes()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"
    if found == document_of(connection, environment).document.encode():
        return "current"
    known = was_delivered(connection, environment, "file", hashlib.sha256(found).hexdigest())
    return "stale" if known else "edited"


def document_of(connection: Connection, environment: str) -> Published:
    """What the database says now."""
    return Published(environment, flag_document(flags_of(connection, environment), environment))


def flags_of(connection: Connection, environment: str) -> list[Flag]:
    """What each feature's flag has to say, by precedence."""
    live = live_deployments(connection, environment)
    canaries = canaries_of(connection, environment)
    experiments = {each.spec.feature: each for each in latest_live(connection, environment)}
    running = running_since(connection, [each.id for each in experiments.values() if each.status == "running"])
    selections = _selections(connection, environment, live)
    found = (
        flag_of(
            Sources(
                feature=feature,
                live=_live(live.get(feature)),
                canary=_canary(canaries.get(feature)),
                split=_split(each, running.get(each.id)) if (each := experiments.get(feature)) else None,
                selection=selections.get(feature),
                control=experiments[feature].spec.control.bundle if feature in experiments else None,
            )
        )
        for feature in sorted({*live, *canaries, *experiments, *selections})
    )
    return [flag for flag in found if flag is not None]


def _live(deployment: StoredDeployment | None) -> Live | None:
    if deployment is None or deployment.deployed_at is None:
        return None
    return Live(
        deployment=str(deployment.id),
        bundle=deployment.bundle.document,
        since=deployment.deployed_at,
        rollback=deployment.trigger == "rollback",
    )


def _canary(deployment: StoredDeployment | None) -> Canary | None:
    if deployment is None or deployment.began_at is None:
        return None
    return Canary(
        name=canary_name(str(deployment.id)),
        percent=deployment.rollout_percent,
        bundle=deployment.bundle.document,
        since=deployment.began_at,
    )


def _split(experiment: StoredExperiment, since: datetime | None) -> Split | None:
    # Paused or over: everyone gets what is live, or the control where nothing was deployed yet.
    if experiment.status != "running":
        return None
    spec = experiment.spec
    return Split(
        experiment=spec.experiment,
        arms=tuple(Arm(name=v.name, percent=v.traffic or 0, bundle=v.bundle) for v in spec.variants),
        categories=spec.categories,
        since=since or experiment.started_at,
    )


def _selections(
    connection: Connection, environment: str, live: Mapping[str, StoredDeployment]
) -> Mapping[str, Selection]:
    """What policies chose, by feature. A deployment that came later was made of another bundle: it ends a selection."""
    return {
        feature: Selection(bundle=each.bundle, policy=each.policy, since=each.at)
        for feature, each in published_selections(connection, environment).items()
        if each.bundle is not None and not _deployed_after(live.get(feature), each.at)
    }


def _deployed_after(deployment: StoredDeployment | None, moment: datetime) -> bool:
    return deployment is not None and deployment.deployed_at is not None and deployment.deployed_at > moment
