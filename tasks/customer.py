"""Customers: the window that is asked about, measured, and what the AI is worth by it."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from evaluations.customer import RECONTACT_DAYS
from evaluations.errors import AssayError, NothingYet
from evaluations.impact import Impact, impact_of
from evaluations.roi import Assumptions, assumptions
from evaluations.spend import window_before
from evaluations.wording import count
from tasks.publishing import write_report
from tasks.settings import Settings, settings
from tasks.store import rollups
from tasks.store.customer import measuring
from tasks.store.customer import window as window_of
from tasks.store.database import transaction

DEFAULT_DAYS = 30


def customer_impact(
    first: date | None = None,
    last: date | None = None,
    *,
    feature: str | None = None,
    category: str | None = None,
    given: Assumptions | None = None,
    recontact_days: int = RECONTACT_DAYS,
) -> Impact:
    """Measure the customers of a window; without one, of the last thirty days that have outcomes.

    Raises NothingYet when no request, or none of the feature, says anything of an outcome, AssayError when the window
    ends before it begins.
    """
    with transaction() as connection:
        timezone = rollups.timezone_of(connection)
        known = window_of.days_with_outcomes(connection, feature)
        newest = window_of.seen_to(connection, timezone)
        waiting = window_of.days_waiting(connection)
        if known is None or newest is None:
            raise _nothing(feature, waiting)
        begins, ends = known
        last = last or max(ends, first or ends)
        first = first or last - timedelta(days=DEFAULT_DAYS - 1)
        if last < first:
            raise AssayError(f"{first} comes after {last}; give the earlier day first.")
        found = window_of.features_with_outcomes(connection, first, last)
        window = window_of.Window(
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
        facts = measuring.customer_facts(connection, window, held_against_before=whole, waiting=waiting)
    return impact_of(facts, given or stated_assumptions(settings()))


def _nothing(feature: str | None, waiting: int) -> NothingYet:
    of = f" of {feature!r}" if feature else ""
    if waiting:
        return NothingYet(
            f"no request{of} that is rolled up says how it ended; {count(waiting, 'day')} changed and wait for: "
            "assay rollup"
        )
    return NothingYet(
        f"no request{of} says how it ended: ingest rows with resolution, rating, sentiment or handled_by "
        "(docs/customer.md)."
    )


def publish_customer(
    first: date | None = None, last: date | None = None, *, feature: str | None = None, category: str | None = None
) -> Path:
    """Write the customer page of a window with its JSON and CSV twins into the reports folder. Gives the page.

    Without a window, the last thirty days that have outcomes. Raises NothingYet when no request says how it ended,
    InfrastructureError when the disk is full or not writable.
    """
    from reports.customer_files import customer_files

    impact = customer_impact(first, last, feature=feature, category=category)
    folder = settings().reports_folder
    for name, parts in customer_files(impact):
        write_report(folder / name, parts, about="What it is made of", again="assay report customer")
    return folder / "customer.html"


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
    from tasks.store.customer.days import COUNT_OUTCOMES, COUNT_REQUESTS, COUNT_SUMS
    from tasks.store.customer.definitions import DEFINITIONS
    from tasks.store.customer.tickets import OF_TICKETS, TICKETS_VERSION
    from tasks.store.customer.window import CONTACTS, OF_A_WINDOW

    metric = metric_named(name)
    head = [f"-- {metric.title} ({metric.id})", f"-- {metric.says}", f"-- Against the common one: {metric.differs}"]
    if metric.theirs:
        kept = "-- A formula of the source documents, kept to compare with."
        made = ["-- What requests of each day say", COUNT_REQUESTS, "-- of a window", CONTACTS]
        return [*head, kept, *_statements(made), DEFINITIONS[name] + ";"]
    made = [f"-- Tickets v{TICKETS_VERSION} of each day", *OF_TICKETS, COUNT_OUTCOMES, COUNT_SUMS]
    made += ["-- Days of a window", *OF_A_WINDOW, f"-- {metric.id}"]
    return [*head, *_statements(made), DEFINITIONS[name] + ";"]


def _statements(parts: Sequence[str]) -> list[str]:
    return [part if part.startswith("--") else f"{part.strip()};" for part in parts]
