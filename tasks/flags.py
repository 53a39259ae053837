"""Flags: what the applications read, written from the database whole, one document an environment.

The file is made from the database alone, so it can be lost, and whoever publishes last publishes the truth. An
application reads it with any OpenFeature SDK (flagd provider, file mode) and keeps working while Assay is down.
"""

from pathlib import Path

from sqlalchemy import Connection

from evaluations.errors import InfrastructureError
from evaluations.flags import Arm, Flag, Split, flag_document
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.experiments import StoredExperiment, hold_flags, latest_live
from tasks.whole_files import write_whole


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
        document = flag_document(flags_of(connection, environment), environment)
        try:
            write_whole(path, [document], durable=True)
        except OSError as problem:
            raise InfrastructureError(
                f"the flags of {environment} could not be written to {path}: {problem.strerror}. Applications keep "
                "what they had; make room or set ASSAY_FLAGS, then `assay flags publish`."
            ) from problem
    return path


def flags_of(connection: Connection, environment: str) -> list[Flag]:
    """What each feature's flag has to say."""
    return [_flag(experiment) for experiment in latest_live(connection, environment)]


def _flag(experiment: StoredExperiment) -> Flag:
    spec = experiment.spec
    split = None
    if experiment.status == "running":
        split = Split(
            experiment=spec.experiment,
            arms=tuple(Arm(name=v.name, percent=v.traffic or 0, bundle=v.bundle) for v in spec.variants),
            categories=spec.categories,
        )
    # Paused or over: everyone gets the control, as before the experiment, until a deployment says otherwise.
    return Flag(feature=spec.feature, bundle=spec.control.bundle, split=split)
