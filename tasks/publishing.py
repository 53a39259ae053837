"""Publishing: the report and its twins, written whole or not at all."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from evaluations.errors import InfrastructureError
from evaluations.results import RunResult
from tasks.concluding import case_results
from tasks.inspecting import inspect_request
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.runs import set_verdict
from tasks.whole_files import write_whole


@dataclass(frozen=True, slots=True)
class PublishedPage:
    """Where a page in a folder of its own is, with its twin in JSON."""

    folder: Path

    @property
    def html(self) -> Path:
        return self.folder / "report.html"

    @property
    def json(self) -> Path:
        return self.folder / "report.json"


@dataclass(frozen=True, slots=True)
class Published(PublishedPage):
    """Where the report of a run is."""

    @property
    def csv(self) -> Path:
        return self.folder / "cases.csv"

    @property
    def junit(self) -> Path:
        return self.folder / "junit.xml"

    @property
    def markdown(self) -> Path:
        return self.folder / "comment.md"


@dataclass(frozen=True, slots=True)
class PublishedRequest(PublishedPage):
    """Where the page of a request is."""

    @property
    def csv(self) -> Path:
        return self.folder / "steps.csv"


def publish(result: RunResult) -> Published:
    """Write the report of a run with its JSON, CSV, JUnit and Markdown twins.

    Raises InfrastructureError when the disk is full or not writable; the run itself is safe in the store.
    """
    from reports.twins import as_csv, as_html, as_json, as_junit, as_markdown

    published = Published(settings().reports_folder / folder_name(result))
    write_report(published.csv, as_csv(case_results(UUID(result.run_id))))
    write_report(published.json, [as_json(result)])
    write_report(published.junit, [as_junit(result)])
    write_report(published.markdown, [as_markdown(result)])
    write_report(published.html, [as_html(result)])
    with transaction() as connection:
        set_verdict(connection, UUID(result.run_id), result.verdict, result.sentence, str(published.html))
    return published


def publish_request(said: str) -> PublishedRequest:
    """Write the page of a request, named by any of its ids, with its JSON and CSV twins.

    Raises AssayError for an id that names none or several, InfrastructureError when it cannot be written.
    """
    from reports.request_twins import as_csv, as_html, as_json

    inspection = inspect_request(said)
    published = PublishedRequest(settings().reports_folder / f"request-{inspection.request.id}")
    again = f"assay report request {inspection.request.id}"
    for path, parts in (
        (published.csv, as_csv(inspection)),
        (published.json, [as_json(inspection)]),
        (published.html, [as_html(inspection)]),
    ):
        write_report(path, parts, about="The request", again=again)
    return published


def folder_name(result: RunResult) -> str:
    """The suite's name as a file name, and the beginning of the run's id."""
    return named_folder(result.suite, result.run_id, "suite")


def named_folder(name: str, id: str, otherwise: str) -> str:
    """A name as a file name, `otherwise` where nothing of it is left, and the beginning of an id.

    What people call things is text: nothing of it may lead out of the reports folder.
    """
    safe = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:60] or otherwise
    return f"{safe}-{id[:8]}"


def write_report(
    path: Path, parts: Iterable[str], *, about: str = "The run", again: str = "assay runs report RUN"
) -> None:
    """Write a file of a report, whole or not at all; `again` is the command that writes it once there is room."""
    try:
        write_whole(path, parts)
    except OSError as problem:
        raise InfrastructureError(
            f"the report could not be written to {path}: {problem.strerror}. {about} is safe in the store; make room "
            f"or set ASSAY_REPORTS to another folder, then `{again}`."
        ) from problem
