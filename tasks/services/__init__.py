"""The platform's services: PostgreSQL, the Prefect server, a worker, the deployments; up, down, and in what state."""

from tasks.services.pool import POOL
from tasks.services.state import ServiceState, states

__all__ = ["POOL", "ServiceState", "states"]
