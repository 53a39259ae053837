"""Customers: the window that is asked about, measured, and what the AI is worth by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from evaluations.customer import RECONTACT_DAYS, CustomerFacts
from evaluations.errors import AssayError
from evaluations.roi import (
    DAYS_A_MONTH,
    Assumptions,
    Roi,
    SeedRoi,
    Swing,
    Volume,
    assumptions,
    roi,
    seed_roi,
    sensitivity,
)
from evaluations.rollups import day_bounds
from evaluations.spend import window_before
from tasks.publishing import write_report
from tasks.settings import Settings, settings
from tasks.store import rollups
from tasks.store.customer import measuring
from tasks.store.database import transaction

DEFAULT_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerReport:
    """A window of customers and what it is worth."""

    facts: CustomerFacts
    roi: Roi | None
    """Scaled to a month; None when no deflection could be measured."""
    theirs: SeedRoi | None
    """The same month by the formula of the source documents."""
    sensitivity: tuple[Swing, ...]
    as_of: date
    """The day of the newest request."""


def customer_report(
    first: date | None = None,
    last: date | None = None,
    *,
    feature: str | None = None,
    category: str | None = None,
    given: Assumptions | None = None,
    recontact_days: int = RECONTACT_DAYS,
) -> CustomerReport:
    """Measure the customers of a window; without one, of the last thirty days that have outcomes.

    Raises AssayError when no request says anything of an outcome, nothing is known of the feature, or the window ends
    before it begins.
    """
    with transaction() as connection:
        timezone = rollups.timezone_of(connection)
        known = measuring.outcomes_between(connection, feature)
        newest = measuring.newest_request(connection)
        if known is None or newest is None:
            of = f" of {feature!r}" if feature else ""
            raise AssayError(
                f"no request{of} says how it ended: ingest rows with resolution, rating, sentiment or handled_by "
                "(docs/customer.md)."
            )
        newest_day = newest.astimezone(ZoneInfo(timezone)).date()
        begins, ends = (moment.astimezone(ZoneInfo(timezone)).date() for moment in known)
        last = last or max(ends, first or ends)
        first = first or last - timedelta(days=DEFAULT_DAYS - 1)
        if last < first:
            raise AssayError(f"{first} comes after {last}; give the earlier day first.")
        found = measuring.features_with_outcomes(
            connection, day_bounds(first, timezone)[0], day_bounds(last, timezone)[1]
        )
        window = measuring.Window(
            first=first,
            last=last,
            timezone=timezone,
            seen_to=newest,
            features=(feature,) if feature else found,
            category=category,
            recontact_days=recontact_days,
        )
        # A window that begins before the first outcome would be held against less than it is.
        whole = window_before(first, last)[0] >= begins
        facts = measuring.customer_facts(connection, window, held_against_before=whole)
    return concluded(facts, given or stated_assumptions(settings()), newest_day)


def concluded(facts: CustomerFacts, given: Assumptions, as_of: date) -> CustomerReport:
    """What the measured window is worth in a month like it."""
    volume = volume_of(facts)
    month = None if volume is None else roi(volume, given)
    return CustomerReport(
        facts=facts,
        roi=month,
        theirs=None if volume is None else seed_roi(volume, given),
        sensitivity=() if month is None else _sensitivity(facts, month),
        as_of=as_of,
    )


@dataclass(frozen=True, slots=True)
class PublishedCustomer:
    """Where the customer page is."""

    folder: Path

    @property
    def html(self) -> Path:
        return self.folder / "customer.html"

    @property
    def json(self) -> Path:
        return self.folder / "customer.json"

    @property
    def csv(self) -> Path:
        return self.folder / "customer.csv"


def publish_customer(
    first: date | None = None,
    last: date | None = None,
    *,
    feature: str | None = None,
    category: str | None = None,
    folder: Path | None = None,
) -> PublishedCustomer:
    """Write the customer page of a window with its JSON and CSV twins.

    They go into the folder of reports unless told otherwise. Without a window, the last thirty days that have
    outcomes. Raises AssayError when no request says how it ended,
    InfrastructureError when the disk is full or not writable.
    """
    from reports.customer_twins import customer_csv, customer_html, customer_json

    report = customer_report(first, last, feature=feature, category=category)
    published = PublishedCustomer(folder or settings().reports_folder)
    parts = (report.facts, report.roi, report.theirs, report.sensitivity)
    write_report(published.csv, customer_csv(report.facts))
    write_report(published.json, [customer_json(*parts)])
    write_report(published.html, [customer_html(*parts)])
    return published


def volume_of(facts: CustomerFacts) -> Volume | None:
    """A month of tickets like those of the window; None without a measured deflection.

    The AI's cost is spread over all its tickets; with requests of unknown cost it is unknown, not smaller.
    """
    deflection, came_back = facts.measured("deflection"), facts.measured("came_back")
    if deflection is None:
        return None
    tickets = facts.tickets.by_ai
    costs_known = facts.ai_cost is not None and not facts.unpriced
    return Volume(
        tickets=Decimal(tickets) / facts.days * DAYS_A_MONTH,
        deflection=Decimal(str(deflection.value)),
        came_back=None if came_back is None else Decimal(str(came_back.value)),
        ai_per_ticket=facts.ai_cost / tickets if costs_known and facts.ai_cost is not None else None,
    )


def _sensitivity(facts: CustomerFacts, month: Roi) -> tuple[Swing, ...]:
    deflection, came_back = facts.measured("deflection"), facts.measured("came_back")
    return sensitivity(
        month,
        deflection=None if deflection is None else (deflection.low, deflection.high),
        came_back=None if came_back is None else (came_back.low, came_back.high),
    )


def stated_assumptions(by: Settings) -> Assumptions:
    return assumptions(
        hourly=by.agent_hourly_usd,
        minutes=by.agent_minutes,
        infrastructure=by.ai_infrastructure_usd,
        investment=by.ai_investment_usd,
    )


def definition_named(name: str) -> Sequence[str]:
    """A definition as a person can run it: its head, the tickets it counts, and its own SQL."""
    from evaluations.customer import metric_named
    from tasks.store.customer.definitions import DEFINITIONS
    from tasks.store.customer.tickets import MATTERS, NEXT_CONTACT, TICKETS, TICKETS_VERSION

    metric = metric_named(name)
    head = [f"-- {metric.title} ({metric.id})", f"-- {metric.says}", f"-- Against the common one: {metric.differs}"]
    if metric.theirs:
        return [*head, "-- A formula of the source documents, kept to compare with.", DEFINITIONS[name] + ";"]
    tickets = [f"-- Tickets v{TICKETS_VERSION}", *(f"{sql.strip()};" for sql in (MATTERS, NEXT_CONTACT, TICKETS))]
    return [*head, *tickets, f"-- {metric.id}", DEFINITIONS[name] + ";"]
