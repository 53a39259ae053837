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
from evaluations.rollups import PROMPT_TOKENS, TOKENS, Dimension, day_bounds
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
    """The traffic of a feature in the window of use, from its first day there on; None when it had none.

    Minutes and prompts are read from the requests themselves, days from their facts.
    """
    window = window_of_use(connection)
    if window is None:
        return None
    # A feature that is ten days old is told from ten days, not from thirty of which twenty are empty.
    days = tuple(dropwhile(lambda each: not each.requests, daily_use(connection, [feature], *window)))
    if not days:
        return None
    return Traffic(feature=feature, days=days, **_peaks(connection, feature, *window))


def _peaks(connection: Connection, feature: str, first: date, last: date) -> dict[str, int | None]:
    """The busiest minute and the longest prompt; None once the requests themselves are gone."""
    timezone = timezone_of(connection)
    prompt, every = " + ".join(PROMPT_TOKENS), " + ".join(TOKENS)
    row = connection.execute(
        text(f"""
            SELECT max(requests) AS requests, max(tokens) AS tokens, max(longest) AS longest FROM (
                SELECT count(*) AS requests, max({prompt}) AS longest,
                       sum({every}) AS tokens
                FROM requests WHERE at >= :begins AND at < :ends AND feature = :feature
                GROUP BY date_trunc('minute', at)
            ) AS minutes
        """),
        {
            "feature": feature,
            "begins": day_bounds(first, timezone)[0],
            "ends": day_bounds(last, timezone)[1],
        },
    ).one()
    return {
        "peak_requests_per_minute": row.requests,
        "peak_tokens_per_minute": None if row.tokens is None else int(row.tokens),
        "longest_prompt_tokens": row.longest,
    }
