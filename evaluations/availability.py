"""Whether providers can be reached: uptime from probes with its interval, and the state of their circuit in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from evaluations.answers import ErrorKind
from evaluations.estimates import Estimate
from evaluations.models import Availability
from evaluations.statistics.proportions import wilson

UNWELL: frozenset[ErrorKind] = frozenset({"server_error", "connection", "timeout"})
"""Failures that speak of a provider's health, the same ones that open the breaker of a run."""
BUSY: frozenset[ErrorKind] = frozenset({"rate_limited"})
WINDOW = timedelta(days=30)
"""Over which uptime is told."""
RECENT = timedelta(hours=1)
"""How old an outcome may be and still tell how a provider does now."""
FAILURES_TO_OPEN = 3
"""Failures in a row after which the circuit counts as open: probes are minutes apart, unlike the calls of a run."""

CircuitState = Literal["closed", "half open", "open", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one probe or one model call of a provider ended."""

    at: datetime
    error: str | None = None
    """The kind of its error; None when it went well."""
    latency_ms: float | None = None
    probe: bool = True
    """False for a call that a run made."""

    @property
    def unwell(self) -> bool:
        return self.error in UNWELL


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """Whether a provider would be called now, and the outcomes that say so."""

    state: CircuitState
    failures: int
    """Failures in a row, the newest first."""
    outcomes: int
    """Recent ones that were looked at."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderHealth:
    """How a provider does: now, and over a window of days."""

    provider: str
    key: bool | None
    """Whether a key is there; None where nobody says which variable holds it."""
    availability: Availability
    circuit: Circuit
    uptime: Estimate | None
    """Share of the window's probes that the provider answered; None without probes."""
    last_probe: Outcome | None
    response_ms: float | None
    """Median of the probes that went well."""
    window: timedelta = WINDOW


def uptime(probes: Iterable[Outcome], now: datetime, window: timedelta = WINDOW) -> Estimate | None:
    """Successful probes over probes of a window, with the Wilson interval; None without any.

    A refused key or a full quota is no downtime: the provider answered.
    """
    counted = [probe for probe in probes if probe.probe and timedelta(0) <= now - probe.at <= window]
    return wilson(sum(not probe.unwell for probe in counted), len(counted)) if counted else None


def circuit_of(outcomes: Sequence[Outcome], now: datetime) -> Circuit:
    """The circuit of a provider by its recent outcomes, probes and calls alike.

    closed: the newest went well, after fewer than `FAILURES_TO_OPEN` failures. open: so many failures in a row came
    last. half open: the newest went well, but so many failures came right before it: one success is a start.
    unknown: nothing was heard for an hour.
    """
    recent = sorted((each for each in outcomes if timedelta(0) <= now - each.at <= RECENT), key=lambda each: each.at)
    if not recent:
        return Circuit(state="unknown", failures=0, outcomes=0, why="nothing was heard of it in the last hour")
    newest_first = recent[::-1]
    failures = _leading_failures(newest_first)
    if failures >= FAILURES_TO_OPEN:
        why = f"its last {failures} outcomes failed, the newest with {newest_first[0].error}"
        return Circuit(state="open", failures=failures, outcomes=len(recent), why=why)
    if failures == 0 and (before := _leading_failures(newest_first[1:])) >= FAILURES_TO_OPEN:
        why = f"one success after {before} failures in a row"
        return Circuit(state="half open", failures=0, outcomes=len(recent), why=why)
    why = f"{len(recent) - sum(each.unwell for each in recent)} of {len(recent)} outcomes of the last hour went well"
    return Circuit(state="closed", failures=failures, outcomes=len(recent), why=why)


def _leading_failures(newest_first: Sequence[Outcome]) -> int:
    return next((n for n, each in enumerate(newest_first) if not each.unwell), len(newest_first))


def health_of(provider: str, key: bool | None, outcomes: Sequence[Outcome], now: datetime) -> ProviderHealth:
    """What probes and calls say of a provider; `outcomes` may be in any order and reach back as far as they like."""
    ordered = sorted(outcomes, key=lambda each: each.at)
    probes = [each for each in ordered if each.probe]
    circuit = circuit_of(ordered, now)
    good = sorted(
        each.latency_ms
        for each in probes
        if each.error is None and each.latency_ms is not None and now - each.at <= WINDOW
    )
    return ProviderHealth(
        provider=provider,
        key=key,
        availability=_availability(key, circuit, ordered, now),
        circuit=circuit,
        uptime=uptime(probes, now),
        last_probe=probes[-1] if probes else None,
        response_ms=_median(good) if good else None,
    )


def _availability(key: bool | None, circuit: Circuit, ordered: Sequence[Outcome], now: datetime) -> Availability:
    if key is False or circuit.state == "unknown":
        return "unknown"
    if circuit.state == "open":
        return "unavailable"
    newest = ordered[-1]
    if newest.error in BUSY:
        return "busy"
    return "available" if newest.error is None else "unavailable"


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
