"""Builders for the pages about deployments: spell out only what matters."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from evaluations.deployment_checks import Check
from evaluations.deployment_health import (
    Delivered,
    DeploymentHealth,
    FlagsState,
    HealthCheck,
    Uptime,
    flags_check,
)
from evaluations.deployment_overview import (
    BundleChange,
    CaseChange,
    Deployed,
    DeploymentPage,
    DeploymentsOverview,
    DeployPreview,
    LifeStep,
    WatchLook,
    WatchWindow,
    Word,
)
from evaluations.deployments import Bundle, Policy, differences
from evaluations.estimates import Estimate
from evaluations.experiments import METRICS
from evaluations.impacts import WindowImpact
from evaluations.watching import GUARDS, Guard, Reading

NOW = datetime(2026, 6, 28, 12, tzinfo=UTC)
OLD = Bundle(prompt="shipping@3.0.0", model="openai/gpt-4o", parameters={"temperature": 0.4})
NEW = Bundle(prompt="shipping@4.0.0", model="openai/gpt-4o-mini", parameters={"temperature": 0})
CURRENT = FlagsState(
    environment="production",
    file="production.json",
    there=True,
    current=True,
    deliveries=(Delivered("file", True, "production.json", True, NOW),),
)


def a_deployment(**given: Any) -> Deployed:
    """A winner that is live for all."""
    made: dict[str, Any] = {
        "id": "6f1c2d3e-0000-4000-8000-000000000001",
        "feature": "chatbot",
        "environment": "production",
        "status": "deployed",
        "trigger": "experiment",
        "live": True,
        "bundle": NEW,
        "content_hash": NEW.content_hash,
        "experiment": "shipping-v4",
        "variant": "v4",
        "percent": 100,
        "approvals_required": 1,
        "policy": Policy(),
        "waived": "",
        "why": "better answers",
        "moved_why": "100% of the units get it",
        "actor": "ana",
        "asked_at": NOW - timedelta(days=4),
        "began_at": NOW - timedelta(days=4),
        "deployed_at": NOW - timedelta(days=2),
        "ended_at": None,
        "restores": None,
        "approved_by": ("ben",),
        "sample_data": False,
    }
    return Deployed(**{**made, **given})


def the_one_before(**given: Any) -> Deployed:
    """What was live until then."""
    made = {
        "id": "11111111-0000-4000-8000-000000000002",
        "status": "superseded",
        "trigger": "baseline",
        "live": False,
        "bundle": OLD,
        "variant": "v3",
        "percent": 0,
        "approved_by": (),
        "asked_at": NOW - timedelta(days=5),
        "deployed_at": NOW - timedelta(days=5),
        "ended_at": NOW - timedelta(days=2),
    }
    return a_deployment(**{**made, **given})


def a_reading(guard: Guard = GUARDS[1], **given: Any) -> Reading:
    made: dict[str, Any] = {
        "guard": guard,
        "canary": 0.877,
        "control": 0.859,
        "units": 157,
        "control_units": 1340,
        "difference": -0.018,
        "at_least": -0.071,
        "own_at_least": None,
        "harmful": False,
    }
    return Reading(**{**made, **given})


def a_look(verdict: Any = "fine", *readings: Reading, at: datetime = NOW) -> WatchLook:
    told = readings or (a_reading(),)
    return WatchLook(verdict=verdict, sentence=f"No harm is proven: {told[0]}.", readings=told, at=at)


def a_window(*looks: WatchLook, **given: Any) -> WatchWindow:
    made: dict[str, Any] = {
        "step": 1,
        "percent": 10,
        "began_at": NOW - timedelta(days=4),
        "ended_at": NOW - timedelta(days=3),
        "outcome": "passed",
        "why": "",
        "looks": looks
        or (
            a_look("too_few", a_reading(units=40, difference=0.02, at_least=None)),
            a_look("fine", a_reading(units=100, difference=0.004, at_least=-0.2)),
            a_look(),
        ),
    }
    return WatchWindow(**{**made, **given})


def a_change(**given: Any) -> BundleChange:
    made: dict[str, Any] = {
        "before": OLD,
        "after": NEW,
        "differences": differences(OLD, NEW),
        "prompt_diff": ("@@ -1,2 +1,2 @@", " You answer.", "-Explain.", "+Be short."),
        "monthly_cost": Decimal("31.20"),
        "monthly_cost_before": Decimal("62.40"),
        "suite": "support",
        "cases": 40,
        "changed": (CaseChange("c-7", "pass", "fail"), CaseChange("c-9", "fail", "pass")),
        "checks": (
            Check(name="experiment", level="fine", says="v4 wins: +5.6 pts quality"),
            Check(name="key", level="warn", says="OPENAI_API_KEY is not set here"),
        ),
    }
    return BundleChange(**{**made, **given})


def a_health(**given: Any) -> DeploymentHealth:
    known = Estimate(value=0.012, low=0.006, high=0.024, n=812)
    made: dict[str, Any] = {
        "feature": "chatbot",
        "environment": "production",
        "deployment": "6f1c2d3e",
        "since": NOW - timedelta(days=2),
        "looked_from": NOW - timedelta(days=1),
        "until": NOW,
        "requests": 830,
        "uptime": Uptime(287, 288),
        "checks": (
            HealthCheck(
                name="error rate",
                health="healthy",
                says="error rate 1.2% (95% CI 0.6–2.4, n = 812)",
                metric=METRICS["error_rate"],
                now=known,
                before=known,
                change=Estimate(value=0.0, low=-0.01, high=0.01, n=1624),
            ),
            flags_check(CURRENT),
        ),
        "last_request": NOW,
        "sample_data": False,
    }
    return DeploymentHealth(**{**made, **given})


def a_page(**given: Any) -> DeploymentPage:
    effect = Estimate(value=0.017, low=0.011, high=0.024, n=2965)
    made: dict[str, Any] = {
        "deployment": a_deployment(),
        "life": (
            LifeStep("pending_approval", 0, "better answers", "ana", NOW - timedelta(days=4)),
            LifeStep("deployed", 100, "100% of the units get it", "assay", NOW - timedelta(days=2)),
        ),
        "words": (Word("approved", "ben", "read the preview", NOW - timedelta(days=4), NOW + timedelta(days=3)),),
        "windows": (a_window(), a_window(step=2, percent=50), a_window(step=3, percent=100, ended_at=None)),
        "impact": (WindowImpact(metric=METRICS["quality"], effect=effect),),
        "change": a_change(),
        "health": a_health(),
        "flags": CURRENT,
        "as_of": NOW,
    }
    return DeploymentPage(**{**made, **given})


def a_preview(**given: Any) -> DeployPreview:
    made: dict[str, Any] = {
        "feature": "chatbot",
        "environment": "production",
        "experiment": "shipping-v4",
        "variant": "v4",
        "live": "11111111",
        "change": a_change(),
        "policy": Policy(),
        "approvals_required": 1,
        "command": "assay deploy start shipping-v4",
        "sample_data": False,
        "as_of": NOW,
    }
    return DeployPreview(**{**made, **given})


def a_canary(**given: Any) -> Deployed:
    """One on its way, with a tenth of the units."""
    made = {
        "id": "22222222-0000-4000-8000-000000000003",
        "status": "deploying",
        "live": False,
        "percent": 10,
        "asked_at": NOW - timedelta(hours=6),
        "began_at": NOW - timedelta(hours=5),
        "deployed_at": None,
    }
    return a_deployment(**{**made, **given})


def an_overview(*deployments: Deployed, **given: Any) -> DeploymentsOverview:
    told = deployments or (a_deployment(), the_one_before())
    windows = {
        each.id: (a_window(ended_at=None, outcome=None),) for each in told if each.status in ("deploying", "pending")
    }
    made: dict[str, Any] = {
        "environments": ("production", "staging", "development"),
        "deployments": told,
        "windows": windows,
        "healths": tuple(
            replace(a_health(), feature=each.feature, environment=each.environment) for each in told if each.live
        ),
        "flags": (CURRENT,),
        "left_out": 0,
        "as_of": NOW,
    }
    return DeploymentsOverview(**{**made, **given})
