"""What was measured of models and providers: probes, outcomes of calls, models in use, the traffic of a feature."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import dropwhile
from uuid import UUID

from sqlalchemy import Connection, text

from evaluations.availability import RECENT, WINDOW, Outcome
from evaluations.model_overview import Use
from evaluations.model_validation import Traffic
from evaluations.performance import Window
from evaluations.rollups import Dimension, day_bounds
from tasks.store.demand import demand_of
from tasks.store.facts import newest_whole_day
from tasks.store.model_use import daily_use
from tasks.store.performance import performed_on_days
from tasks.store.rollups import timezone_of

USE_DAYS = 30
"""A model is in use when it took requests in so many whole days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderProbe:
    """One look at whether a provider answers."""

    provider: str
    how: str
    at: datetime
    error: str | None
    why: str
    latency_ms: float | None
    model: str | None = None
    models_listed: int | None = None
    run_id: UUID | None = None


def record_probes(connection: Connection, probes: Iterable[ProviderProbe], actor: str) -> None:
    """Write probes down."""
    for probe in probes:
        connection.execute(
            text("""
                INSERT INTO provider_probes (provider, model, how, at, ok, error_kind, why, latency_ms, models_listed,
                                             run_id, actor)
                VALUES (:provider, :model, :how, :at, :ok, :error, :why, :latency, :listed, :run, :actor)
            """),
            {
                "provider": probe.provider,
                "model": probe.model,
                "how": probe.how,
                "at": probe.at,
                "ok": probe.error is None,
                "error": probe.error,
                "why": probe.why,
                "latency": probe.latency_ms,
                "listed": probe.models_listed,
                "run": probe.run_id,
                "actor": actor,
            },
        )


def outcomes(connection: Connection, now: datetime) -> dict[str, list[Outcome]]:
    """By provider: the probes of the window of uptime, and how the model calls of the last hour ended."""
    rows = connection.execute(
        text("""
            SELECT provider, at, error_kind AS error, latency_ms, true AS probe FROM provider_probes
            WHERE at > :since AND at <= :now
            UNION ALL
            SELECT split_part(m.model, '/', 1), a.recorded_at, a.error_type, a.latency_ms, false
            FROM answers a
            JOIN run_variants rv ON rv.run_id = a.run_id AND rv.position = a.variant
            JOIN variants v ON v.id = rv.variant_id JOIN model_configs m ON m.id = v.model_config_id
            JOIN runs r ON r.id = a.run_id
            WHERE r.recorded_at > :run_since AND a.recorded_at > :recent AND a.recorded_at <= :now
              AND NOT a.from_cache AND NOT a.simulated AND m.model LIKE '%/%'
        """),
        # A run of the last hour may have begun a day ago; older ones are not looked through.
        {"since": now - WINDOW, "recent": now - RECENT, "run_since": now - timedelta(days=2), "now": now},
    )
    found: dict[str, list[Outcome]] = {}
    for row in rows:
        outcome = Outcome(at=row.at, error=row.error, latency_ms=row.latency_ms, probe=row.probe)
        found.setdefault(row.provider, []).append(outcome)
    return found


def window_of_use(connection: Connection) -> tuple[date, date] | None:
    """The first and last of the days that tell what is in use; None when nothing is rolled up."""
    last = newest_whole_day(connection)
    return None if last is None else (last - timedelta(days=USE_DAYS - 1), last)


def uses(connection: Connection) -> list[Use]:
    """What every model did in the window of use, by feature and environment."""
    window = window_of_use(connection)
    if window is None:
        return []
    timezone = timezone_of(connection)
    begins, ends = day_bounds(window[0], timezone)[0], day_bounds(window[1], timezone)[1]
    by: tuple[Dimension, ...] = ("provider", "model", "feature", "environment")
    found = performed_on_days(connection, by, Window(begins, ends), timezone)
    return [
        Use(
            provider=provider,
            model=model,
            feature=feature or "",
            environment=environment,
            performed=performed,
        )
        for (provider, model, feature, environment), performed in found.items()
        if model is not None
    ]


def traffic_of(connection: Connection, feature: str) -> Traffic | None:
    """The traffic of a feature in the window of use, from its first day there on; None when it had none."""
    window = window_of_use(connection)
    if window is None:
        return None
    # A feature that is ten days old is told from ten days, not from thirty of which twenty are empty.
    days = tuple(dropwhile(lambda each: not each.requests, daily_use(connection, [feature], *window)))
    if not days:
        return None
    asked = demand_of(connection, feature, *window)
    return Traffic(
        feature=feature,
        days=days,
        peak_requests_per_minute=asked.peak_requests_per_minute,
        peak_tokens_per_minute=asked.peak_tokens_per_minute,
        longest_prompt_tokens=asked.longest_prompt,
    )
