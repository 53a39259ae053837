"""The pages about deployments as files: HTML, with their JSON and CSV twins."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from evaluations.deployment_health import DeploymentHealth
from evaluations.deployment_overview import (
    BundleChange,
    Deployed,
    DeploymentPage,
    DeploymentsOverview,
    DeployPreview,
    WatchWindow,
)
from evaluations.deployments import PROGRESS
from reports.files import csv_line, csv_text, jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views import deployment, deployments

CSV_COLUMNS = (
    "id", "feature", "environment", "status", "progress", "live", "percent", "prompt", "model", "experiment", "variant",
    "trigger", "asked_by", "approved_by", "asked_at", "began_at", "deployed_at", "ended_at", "why", "moved_why",
    "sample_data",
)  # fmt: skip
LOOK_COLUMNS = (
    "window", "percent", "look", "at", "verdict", "metric", "canary", "control", "units", "control_units", "harm",
    "at_least", "tolerated", "harmful",
)  # fmt: skip


def deployments_files(found: DeploymentsOverview) -> Iterable[tuple[str, Iterable[str]]]:
    """deployments.csv (every deployment), deployments.json, deployments.html."""
    yield "deployments.csv", _deployments_csv(found)
    yield "deployments.json", [_document("deployments", _overview(found))]
    yield "deployments.html", [render_page(deployments.TEMPLATE, deployments.deployments_view(found))]


def deployment_files(found: DeploymentPage, name: str) -> Iterable[tuple[str, Iterable[str]]]:
    """The looks at one deployment as CSV, all of it as JSON, its page."""
    yield f"{name}.csv", _looks_csv(found.windows)
    yield f"{name}.json", [_document("deployment", _page(found))]
    yield f"{name}.html", [render_page(deployment.TEMPLATE, deployment.deployment_view(found, name))]


def preview_files(found: DeployPreview, name: str) -> Iterable[tuple[str, Iterable[str]]]:
    """A preview as JSON and its page."""
    yield f"{name}.json", [_document("deploy-preview", _preview(found))]
    yield f"{name}.html", [render_page(deployment.TEMPLATE, deployment.preview_view(found, name))]


def health_json(found: DeploymentHealth) -> dict[str, Any]:
    """The health of what is live, as JSON values."""
    return {
        "feature": found.feature,
        "environment": found.environment,
        "deployment": found.deployment,
        "health": found.health,
        "sentence": found.sentence,
        "live_since": jsonable(found.since),
        "looked_from": jsonable(found.looked_from),
        "until": jsonable(found.until),
        "requests": found.requests,
        "uptime": jsonable(found.uptime),
        "last_request": jsonable(found.last_request),
        "checks": [
            {
                "check": check.name,
                "health": check.health,
                "says": check.says,
                "now": jsonable(check.now),
                "before": jsonable(check.before),
                "change": jsonable(check.change),
            }
            for check in found.checks
        ],
        "sample_data": found.sample_data,
    }


def _document(kind: str, told: dict[str, Any]) -> str:
    document = {"schema": f"assay.{kind}/{SCHEMA_VERSION}", **told}
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _overview(found: DeploymentsOverview) -> dict[str, Any]:
    return {
        "as_of": jsonable(found.as_of),
        "sample_data": found.sample_data,
        "environments": list(found.environments),
        "deployments": [_deployed(each) for each in found.deployments],
        "windows": {id: _windows(windows) for id, windows in found.windows.items()},
        "health": [health_json(each) for each in found.healths],
        "flags": jsonable(found.flags),
        "left_out": found.left_out,
    }


def _page(found: DeploymentPage) -> dict[str, Any]:
    return {
        "as_of": jsonable(found.as_of),
        "deployment": _deployed(found.deployment),
        "life": jsonable(found.life),
        "approvals": jsonable(found.words),
        "windows": _windows(found.windows),
        "impact": [each.as_json() for each in found.impact],
        "change": _change(found.change),
        "health": None if found.health is None else health_json(found.health),
        "flags": jsonable(found.flags),
    }


def _preview(found: DeployPreview) -> dict[str, Any]:
    return {
        "as_of": jsonable(found.as_of),
        "sample_data": found.sample_data,
        "feature": found.feature,
        "environment": found.environment,
        "experiment": found.experiment,
        "variant": found.variant,
        "live": found.live,
        "approvals_required": found.approvals_required,
        "command": found.command,
        "policy": jsonable(found.policy.document),
        "change": _change(found.change),
    }


def _deployed(each: Deployed) -> dict[str, Any]:
    return {
        **{name: value for name, value in jsonable(each).items() if name not in ("bundle", "policy")},
        "progress": PROGRESS[each.status],
        "bundle": jsonable(each.bundle.document),
        "policy": jsonable(each.policy.document),
    }


def _change(changed: BundleChange) -> dict[str, Any]:
    told = jsonable(changed)
    return {
        **told,
        "before": None if changed.before is None else jsonable(changed.before.document),
        "after": jsonable(changed.after.document),
    }


def _windows(windows: tuple[WatchWindow, ...]) -> list[dict[str, Any]]:
    return [
        {
            **{name: value for name, value in jsonable(window).items() if name != "looks"},
            "looks": [
                {
                    "verdict": look.verdict,
                    "sentence": look.sentence,
                    "at": jsonable(look.at),
                    "readings": [
                        {**jsonable(reading), "guard": jsonable(reading.guard.document)} for reading in look.readings
                    ],
                }
                for look in window.looks
            ],
        }
        for window in windows
    ]


def _deployments_csv(found: DeploymentsOverview) -> Iterator[str]:
    yield csv_line(CSV_COLUMNS)
    for each in found.deployments:
        yield csv_line(
            [
                each.id,
                csv_text(each.feature),
                csv_text(each.environment),
                each.status,
                PROGRESS[each.status],
                "yes" if each.live else "no",
                each.percent,
                csv_text(each.bundle.prompt),
                csv_text(each.bundle.model),
                csv_text(each.experiment or ""),
                csv_text(each.variant or ""),
                each.trigger,
                csv_text(each.actor),
                csv_text(", ".join(each.approved_by)),
                *(
                    "" if at is None else jsonable(at)
                    for at in (each.asked_at, each.began_at, each.deployed_at, each.ended_at)
                ),
                csv_text(each.why),
                csv_text(each.moved_why),
                "yes" if each.sample_data else "no",
            ]
        )


def _looks_csv(windows: tuple[WatchWindow, ...]) -> Iterator[str]:
    yield csv_line(LOOK_COLUMNS)
    for window in windows:
        for number, look in enumerate(window.looks, 1):
            for reading in look.readings:
                measured = (
                    reading.canary,
                    reading.control,
                    reading.units,
                    reading.control_units,
                    reading.difference,
                    reading.at_least,
                    reading.guard.tolerated,
                )
                yield csv_line(
                    [
                        window.step,
                        window.percent,
                        number,
                        jsonable(look.at),
                        look.verdict,
                        reading.guard.metric,
                        *("" if value is None else value for value in measured),
                        "yes" if reading.harmful else "no",
                    ]
                )
