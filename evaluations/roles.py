"""Roles: who may do what, where."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

Role = Literal["viewer", "runner", "approver", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most; each may do what those before it may.

viewer: read. runner: run, ingest, experiment, ask for a deployment, roll back. approver: say yes or no, and decide
against a rule. admin: environments, roles, channels, the platform itself.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role of somebody: everywhere, or in one environment, one project, or one project in one environment."""

    subject: str
    role: Role
    environment: str | None = None
    """None: in all of them."""
    project: str | None = None
    """None: in all of them."""
    why: str = ""
    actor: str = ""
    at: datetime | None = None

    @property
    def where(self) -> str:
        """
        >>> Grant(subject="ana", role="runner", environment="staging", project="apollo").where
        'project apollo in staging'
        >>> Grant(subject="ana", role="runner").where
        'everywhere'
        """
        if self.project is None:
            return self.environment or "everywhere"
        return f"project {self.project}" + (f" in {self.environment}" if self.environment else "")
