"""The work pool: where scheduled flow runs wait, in queues, for the worker."""

import shlex
from collections.abc import Iterable
from typing import Any

from tasks.prefect_api import PrefectApi, Refused

POOL = "assay"
PRIORITIES = ("urgent", "default", "nightly")
"""Queues in the order in which they are served; any other comes after them."""

PYTHON, LOG = "ASSAY_PYTHON", "ASSAY_FLOW_RUN_LOG"
"""Variables of the worker: the interpreter of its flow runs, and the file that takes what they print."""


def ensure_pool(api: PrefectApi, queues: Iterable[str]) -> None:
    """Make the pool with its queues where they are missing."""
    template = _job_template()
    try:
        pool = api.get(f"/work_pools/{POOL}")
    except Refused as refusal:
        if refusal.status != 404:
            raise
        pool = api.post("/work_pools/", {"name": POOL, "type": "process", "base_job_template": template})
    if pool["base_job_template"] != template:
        api.patch(f"/work_pools/{POOL}", {"base_job_template": template})
    known = {queue["name"]: queue for queue in api.post(f"/work_pools/{POOL}/queues/filter", {})}
    for priority, name in enumerate(_in_order(queues), start=1):
        if name not in known:
            api.post(f"/work_pools/{POOL}/queues", {"name": name, "priority": priority})
        elif known[name]["priority"] != priority:
            api.patch(f"/work_pools/{POOL}/queues/{name}", {"priority": priority})


def is_paused(api: PrefectApi) -> bool:
    """True when a person has paused the pool: its flow runs wait."""
    try:
        return bool(api.get(f"/work_pools/{POOL}")["is_paused"])
    except Refused as refusal:
        if refusal.status == 404:
            return False
        raise


def _in_order(queues: Iterable[str]) -> list[str]:
    wanted = {*queues, *PRIORITIES}
    return [*PRIORITIES, *sorted(wanted - set(PRIORITIES))]


def _job_template() -> dict[str, Any]:
    """How a flow run becomes a process, the same on every machine: what differs, the worker's environment says.

    The command is named because Prefect's own way starts two interpreters for each flow run, which takes three seconds
    longer; -P, because a folder of the user's called `tasks` or `flows` must not hide ours. Its output goes to a file:
    a pipe to the worker would break with the worker, and Prefect ends a flow run that cannot print.
    """
    command = f'exec "${PYTHON}" -P -m prefect.engine >> "${LOG}" 2>&1'
    text = {"type": "string"}
    properties = {
        "command": {**text, "title": "Command", "default": f"sh -c {shlex.quote(command)}"},
        "stream_output": {"type": "boolean", "title": "Output to the worker", "default": False},
        # The deployment names the folder where its flow runs go from here.
        "working_dir": {**text, "title": "Working directory", "default": "/"},
        "env": {
            "title": "Environment variables",
            "type": "object",
            "additionalProperties": {"anyOf": [text, {"type": "null"}]},
            "default": {},
        },
    }
    return {
        "job_configuration": {name: f"{{{{ {name} }}}}" for name in properties},
        "variables": {"type": "object", "properties": properties},
    }
