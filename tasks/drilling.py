"""The rollback drill: the real way back, with everything but a user: transaction, file, audit, timed.

It has an environment and a feature of its own, so that no application reads what it does.
"""

import json
import time

from evaluations.deployments import Bundle, Policy
from evaluations.errors import InfrastructureError
from tasks.flags import flag_file, publish_flags
from tasks.rolling_back import roll_back
from tasks.settings import settings
from tasks.store import audit
from tasks.store import deployments as stored
from tasks.store.database import transaction
from tasks.store.deployments import NewDeployment

FEATURE = ENVIRONMENT = "rollback-drill"
"""Of the drill alone; no environment of the registry has this name."""
FIRST, SECOND = (
    Bundle(prompt=f"drill@{number}.0.0", model="simulated/perfect", parameters={"drill": number}) for number in (1, 2)
)


def drill() -> str:
    """Deploy one bundle after the other, roll back, and read the flag. Gives what was done and how long it took.

    Raises InfrastructureError when the flag does not say afterwards what it said before.
    """
    who = settings().actor
    for bundle in (FIRST, SECOND):
        _deploy(bundle, who)
    publish_flags(ENVIRONMENT)
    began = time.perf_counter()
    done = roll_back(FEATURE, ENVIRONMENT, why="drill", actor=who)
    took = time.perf_counter() - began
    served = json.loads(flag_file(ENVIRONMENT).read_text(encoding="utf-8"))["flags"][FEATURE]["variants"]["default"]
    worked = done.how == "restored" and served == FIRST.document
    with transaction() as connection:
        audit.record(
            connection,
            action="rollback drill",
            target=f"feature:{FEATURE}",
            environment=ENVIRONMENT,
            why="worked" if worked else f"the flag says {served}",
            facts={"seconds": round(took, 3), "worked": worked},
            actor=who,
        )
    if not worked:
        raise InfrastructureError(f"the rollback drill failed: the flag says {served}, not {FIRST.document}.")
    return f"The way back works: transaction and published file took {took:.2f} s."


def _deploy(bundle: Bundle, who: str) -> None:
    with transaction() as connection:
        found = stored.under_way(connection, FEATURE, ENVIRONMENT)
        if found is not None:  # a drill that was killed half-way
            stored.move(connection, found, "failed", actor=who, why="a drill was interrupted")
        new = stored.ask_for(
            connection,
            NewDeployment(
                feature=FEATURE,
                environment=ENVIRONMENT,
                trigger="manual",
                bundle=bundle,
                policy=Policy(steps=(100,)),
                approvals_required=0,
                why="drill",
                sample_data=True,
            ),
            who,
        )
        new = stored.move(connection, new, "deploying", actor=who, why="drill", percent=100)
        stored.move(connection, new, "deployed", actor=who, why="drill", percent=100)
