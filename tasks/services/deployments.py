"""Prefect's deployments: every flow as prefect.yaml names it, deployed again when something about it changed."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from evaluations.errors import InfrastructureError
from tasks.prefect_api import PrefectApi
from tasks.prefect_server import Server, end_of, environment_for, prefect_home
from tasks.services.pool import POOL, ensure_pool
from tasks.settings import Settings

DEPLOY_SECONDS = 180.0
PAGE = 200


@dataclass(frozen=True, slots=True)
class Deployed:
    """What the server lists, against what it should list."""

    wanted: tuple[str, ...]
    schedules: int
    """Schedules that are switched on."""
    missing: tuple[str, ...]
    changed: bool
    """True when they were deployed from something else than what is here now."""

    @property
    def current(self) -> bool:
        return not self.missing and not self.changed


def look(given: Settings, api: PrefectApi) -> Deployed:
    """What is deployed on a server that answers."""
    wanted = tuple(each["name"] for each in _manifest()["deployments"])
    listed = _listed(api)
    record = _recorded(given)
    missing = tuple(name for name in wanted if name not in listed)
    known = {name: each["id"] for name, each in listed.items() if name in wanted}
    return Deployed(
        wanted=wanted,
        schedules=sum(each["active"] for name in wanted if name in listed for each in listed[name]["schedules"]),
        missing=missing,
        # Other ids for the same names: the server has another database than the one that was deployed to.
        changed=record.get("fingerprint") != _fingerprint() or (not missing and record.get("ids") != known),
    )


def was_moved(given: Settings) -> bool:
    """True when flow runs would start in another folder if the flows were deployed from here now."""
    return bool(_recorded(given).get("folder") != str(working_folder()))


def prepare_pool(api: PrefectApi) -> None:
    """The work pool with the queues that prefect.yaml names."""
    pools = [each.get("work_pool") or {} for each in _manifest()["deployments"]]
    ensure_pool(api, [pool["work_queue_name"] for pool in pools if "work_queue_name" in pool])


def deploy(given: Settings, server: Server) -> None:
    """Deploy every flow, and take away what an earlier prefect.yaml named and this one does not."""
    home = prefect_home(given)
    log = home / "deploy.log"
    command = [sys.executable, "-P", "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(_file())]
    try:
        with log.open("wb") as output:
            ended = subprocess.run(  # noqa: S603 - our own interpreter with arguments of our own
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=working_folder(),
                env=environment_for(home, server.api_url),
                timeout=DEPLOY_SECONDS,
                check=False,
            ).returncode
    except subprocess.TimeoutExpired:
        ended = -1
    api = PrefectApi(server.api_url)
    listed = _listed(api)
    wanted = [each["name"] for each in _manifest()["deployments"]]
    if ended != 0 or not set(wanted) <= listed.keys():
        raise InfrastructureError(f"the flows could not be deployed; {log} ends with: {end_of(log)}")
    for name in _recorded(given).get("ids", {}):
        if name not in wanted and name in listed:
            api.delete(f"/deployments/{listed[name]['id']}")
    ids = {name: listed[name]["id"] for name in wanted}
    _record(given).write_text(json.dumps({"fingerprint": _fingerprint(), "folder": str(working_folder()), "ids": ids}))


def working_folder() -> Path:
    """Where flow runs start, so that paths mean to them what they mean on the command line.

    The checkout; for an installed package, the folder where the platform was brought up when nothing was running.
    """
    return _root() if _is_checkout() else Path.cwd()


def _is_checkout() -> bool:
    return (_root() / "prefect.yaml").is_file()


def _root() -> Path:
    return Path(__file__).resolve().parents[2]


def _file() -> Path:
    """prefect.yaml: beside the packages in a checkout, inside `flows` in an installed package."""
    places = (_root() / "prefect.yaml", _root() / "flows" / "prefect.yaml")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InfrastructureError(f"there is no prefect.yaml in {_root()}. Install Assay again, or restore the file.")
    return found


@lru_cache(maxsize=1)
def _manifest() -> Mapping[str, Any]:
    """What prefect.yaml says; read once, because all of a command is to speak of the same."""
    read: Mapping[str, Any] = yaml.safe_load(_file().read_text())
    return read


def _fingerprint() -> str:
    """Changes with whatever a deployment is made from: its file, the flows' forms, where and with what they run."""
    whole = sha256()
    for part in (_file(), *sorted((_root() / "flows").glob("*.py")), _root() / "tasks" / "forms.py"):
        whole.update(part.read_bytes())
    # An installed package may be looked at from any folder.
    where = working_folder() if _is_checkout() else ""
    whole.update(f"{version('assay')} {where} {sys.executable}".encode())
    return whole.hexdigest()


def _listed(api: PrefectApi) -> dict[str, dict[str, Any]]:
    """The deployments in our pool, by name."""
    found: list[dict[str, Any]] = []
    while True:
        page = api.post(
            "/deployments/filter",
            {"work_pools": {"name": {"any_": [POOL]}}, "limit": PAGE, "offset": len(found), "sort": "NAME_ASC"},
        )
        found += page
        if len(page) < PAGE:
            return {each["name"]: each for each in found}


def _record(given: Settings) -> Path:
    return prefect_home(given) / "deployments.json"


def _recorded(given: Settings) -> dict[str, Any]:
    try:
        record = json.loads(_record(given).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
