"""Builders for tests of deployments: spell out only what matters."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from evaluations.deployments import Bundle, Policy, Status
from tasks.store.canaries import begin_step
from tasks.store.deployments import NewDeployment, StoredDeployment, ask_for, deployment_of, move, say

OLD = Bundle(prompt="shipping@3.0.0", model="openai/gpt-4o-mini", parameters={"temperature": 0.2})
NEW = Bundle(prompt="shipping@4.0.0", model="openai/gpt-4o-mini", parameters={"temperature": 0})
NEWER = Bundle(prompt="shipping@5.0.0", model="openai/gpt-4o", parameters={"temperature": 0})


def asked(connection: Connection, bundle: Bundle = NEW, *, actor: str = "ana", **given: Any) -> StoredDeployment:
    """A deployment to production that waits for its approval."""
    new: dict[str, Any] = {
        "feature": "chatbot",
        "environment": "production",
        "trigger": "manual",
        "bundle": bundle,
        "policy": Policy(),
        "approvals_required": 1,
        "why": "asked for",
    }
    return ask_for(connection, NewDeployment(**{**new, **given}), actor)


def approve(connection: Connection, found: StoredDeployment, *, actor: str = "ben", **given: Any) -> None:
    """Another person's yes to exactly this bundle, for a day."""
    said: dict[str, Any] = {
        "content_hash": found.content_hash,
        "expires_at": datetime.now(UTC) + timedelta(days=1),
        "why": "looked at it",
    }
    say(connection, found, "approved", **{**said, **given}, actor=actor)


def taken(connection: Connection, found: StoredDeployment, *steps: Status) -> StoredDeployment:
    """A deployment after further steps of its life; on `deploying` it has a tenth of the traffic."""
    for step in steps:
        percent = {"deploying": 10, "deployed": 100}.get(step)
        found = move(connection, found, step, actor="ana", why=f"to {step}", percent=percent)
        if step == "deploying":
            begin_step(connection, found.id, 10, datetime.now(UTC), "ana")
    return deployment_of(connection, found.id)


def deployed(connection: Connection, bundle: Bundle = OLD, **given: Any) -> StoredDeployment:
    """A bundle that is live for all, its windows over."""
    from tasks.store.canaries import end_open_step

    found = asked(connection, bundle, **given)
    approve(connection, found)
    found = taken(connection, found, "pending", "deploying")
    end_open_step(connection, found.id, "passed", "", "ana")
    return taken(connection, found, "deployed")
