"""The health of what is live, read from its requests and from what was published."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from evaluations.deployment_health import (
    SPAN,
    Delivered,
    DeploymentHealth,
    FlagsState,
    flags_check,
    measured_checks,
)
from evaluations.deployments import canary_name
from evaluations.errors import AssayError, unknown_name
from tasks.flags import document_of, flag_file
from tasks.store import canaries
from tasks.store import deployment_health as facts
from tasks.store import deployments as stored
from tasks.store.database import transaction
from tasks.store.deployments import StoredDeployment
from tasks.store.experiment_data import feature_sums


def healths(
    feature: str | None = None, environment: str | None = None, now: datetime | None = None
) -> list[DeploymentHealth]:
    """How everything that is live does, or one feature, or one environment.

    Raises AssayError when nothing of what was named is live.
    """
    now = now or datetime.now(UTC)
    with transaction() as connection:
        live = [
            each
            for place in stored.environments_in_use(connection)
            if environment in (None, place)
            for each in stored.live_deployments(connection, place).values()
            if feature in (None, each.feature)
        ]
        if not live:
            known = stored.deployed_features(connection)
            if feature is not None and known and feature not in known:
                raise AssayError(unknown_name("feature", feature, known))
            where = f" in {environment}" if environment else ""
            raise AssayError(f"nothing is live{where} yet. See what would change: assay deploy preview EXPERIMENT")
        states = {place: flags_state(connection, place) for place in {each.environment for each in live}}
        return [health_of(connection, each, states[each.environment], now) for each in live]


def flags_state(connection: Connection, environment: str) -> FlagsState:
    """What was published of an environment, beside what the database says now."""
    published, path = document_of(connection, environment), flag_file(environment)
    try:
        content = path.read_bytes()
    except OSError:
        content = None
    return FlagsState(
        environment=environment,
        file=path.name,
        there=content is not None,
        current=content == published.document.encode(),
        deliveries=tuple(
            Delivered(
                channel=each.channel,
                delivered=each.delivered,
                detail=each.detail,
                current=each.delivered and each.document_hash == published.hash,
                at=each.at,
            )
            for each in facts.last_deliveries(connection, environment)
        ),
    )


def health_of(connection: Connection, live: StoredDeployment, flags: FlagsState, now: datetime) -> DeploymentHealth:
    """Of the last day at most, beside as long a time before it had any traffic."""
    since_then = None if live.sample_data else now - SPAN
    last = facts.last_request(connection, live.feature, live.environment, since_then)
    # The clock of made-up traffic is its own.
    until = last + timedelta(milliseconds=1) if live.sample_data and last is not None else now
    steps = canaries.steps_of(connection, live.id)
    whole = next((step.began_at for step in steps if step.percent == 100), live.deployed_at) or live.recorded_at
    since = max(whole, until - SPAN)
    first = min([step.began_at for step in steps] + [whole])
    span = max(until - since, timedelta(0))
    metrics = [guard.metric for guard in live.policy.guards]
    own = canary_name(str(live.id))
    now_sums, before = (
        feature_sums(connection, live.feature, live.environment, metrics, begins, ends, without_canaries_but=own)
        for begins, ends in ((since, until), (first - span, first))
    )
    uptime, requests = facts.uptime_of(connection, live.feature, live.environment, since, until)
    return DeploymentHealth(
        feature=live.feature,
        environment=live.environment,
        deployment=live.name,
        since=whole,
        looked_from=since,
        until=until,
        requests=requests,
        uptime=uptime,
        checks=(*measured_checks(live.policy.guards, now_sums, before), flags_check(flags)),
        last_request=last,
        sample_data=live.sample_data,
    )
