"""The twins of an experiment's page: HTML, JSON and the estimates as CSV, all from one result."""

import json
from collections.abc import Iterator

from evaluations.experiment_results import ExperimentResult
from evaluations.statistics.outcomes import Determined
from reports.files import csv_line, csv_text, jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views.experiment import TEMPLATE, experiment_view

CSV_COLUMNS = (
    "metric", "role", "variant", "verdict", "guardrail", "difference", "low", "high", "confidence", "n", "p",
    "p_adjusted", "test", "method", "reliable", "why",
)  # fmt: skip


def as_html(result: ExperimentResult) -> str:
    """The page: one self-contained file, the same bytes for the same result."""
    return render_page(TEMPLATE, experiment_view(result))


def as_json(result: ExperimentResult) -> str:
    """Everything the result knows; what could not be determined is null, with its reason."""
    document = {"schema": f"assay.experiment/{SCHEMA_VERSION}", **jsonable(result)}
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def as_csv(result: ExperimentResult) -> Iterator[str]:
    """One line for each effect against the control, in the metric's unit."""
    yield csv_line(CSV_COLUMNS)
    for finding in result.comparison.findings if result.comparison else ():
        effect, outcome = finding.effect, finding.outcome
        determined = outcome if isinstance(outcome, Determined) else None
        yield csv_line(
            (
                csv_text(finding.metric),
                finding.role,
                csv_text(finding.variant),
                finding.verdict,
                finding.guard or "",
                *(
                    ("", "", "", "", "")
                    if effect is None
                    else (effect.value, effect.low, effect.high, effect.confidence, effect.n)
                ),
                "" if determined is None or determined.p is None else determined.p,
                "" if finding.adjusted is None or finding.adjusted.p is None else finding.adjusted.p,
                csv_text(finding.test),
                csv_text(determined.method if determined else ""),
                "" if determined is None else determined.reliable,
                csv_text(finding.why),
            )
        )
