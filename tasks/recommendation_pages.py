"""The page of recommendations: its facts, read from the store, and its files."""

from datetime import date
from pathlib import Path

from evaluations.errors import NothingYet
from evaluations.recommending.answers import Standing
from tasks.publishing import write_report
from tasks.recommendation_lists import adoption
from tasks.settings import settings
from tasks.store import recommendations
from tasks.store.database import transaction


def publish_recommendations(first: date | None = None, last: date | None = None) -> Path:
    """What to change, with all evidence, and what earlier changes saved. It has no window of days.

    Raises NothingYet before anything was looked for.
    """
    from reports.recommendation_files import recommendation_files

    found = standing()
    if not found.answers:
        raise NothingYet("no recommendation was looked for yet; `assay recommend all`.")
    folder = settings().reports_folder
    for name, parts in recommendation_files(found):
        write_report(folder / name, parts, about="What it is made of", again="assay report recommendations")
    return folder / "recommendations.html"


def standing() -> Standing:
    """Everything that the page is made of."""
    with transaction() as connection:
        every = tuple(recommendations.list_recommendations(connection))
        return Standing(
            answers=tuple(recommendations.latest_answers(connection)),
            recommendations=every,
            ledger=tuple(recommendations.measurements(connection)),
            adoption=adoption(connection, every),
        )
