"""What differs between a laptop and production: one class, read from ASSAY_* variables."""

import getpass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a passwd entry
        return "unknown"


class Settings(BaseSettings):
    """Every setting has a default that works on a laptop without any configuration."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore", frozen=True)

    home: Path = Field(default_factory=lambda: Path.home() / ".assay")
    """Where the embedded database, Prefect's state and the reports live."""
    database_url: SecretStr | None = None
    """A PostgreSQL server (15 to 18) instead of the embedded one: postgresql://user:password@host/name."""
    prefect_api_url: str | None = None
    """A Prefect server that is already running, e.g. http://127.0.0.1:4200/api."""
    reports: Path | None = None
    """Where reports are written; `home`/reports unless set."""
    flags: Path | None = None
    """Where flag definitions are written for applications to read; `home`/flags unless set."""
    flags_put: str | None = None
    """An address to which flag definitions are PUT as well; `{environment}` in it is filled in."""
    flags_webhook: str | None = None
    """An address to which they are POSTed, signed."""
    flags_secret_env: str | None = None
    """The name of the environment variable whose value signs the webhook and authorises the PUT."""
    prices: Path | None = None
    """A YAML file with prices of one's own; `home`/prices.yaml, where there is one, unless set."""
    models: Path | None = None
    """A YAML file with providers and models of one's own; `home`/models.yaml, where there is one, unless set."""
    actor: str = Field(default_factory=_person)
    """Who is written beside every change."""
    lease_seconds: float = Field(default=15.0, gt=0.5)
    """How long a shard stays claimed after the last sign of life of its owner."""
    cache_days: int = Field(default=7, ge=0)
    """How long a recorded answer may be served again instead of a paid call; 0 switches the cache off."""
    keep_requests_days: int | None = Field(default=None, ge=1)
    """Days after which production requests go, by whole months; their rollups stay. None keeps them all."""
    keep_spans_days: int | None = Field(default=None, ge=1)
    """Days after which their steps go, by whole weeks. None keeps them all."""
    drain_seconds: float = Field(default=10.0, ge=0)
    """How long open calls get to finish after the first Ctrl-C."""
    agent_hourly_usd: Decimal = Field(default=Decimal(20), ge=0)
    """What an hour of a person who takes tickets costs: what an AI that takes one is held against."""
    agent_minutes: Decimal = Field(default=Decimal(5), ge=0)
    """How long a person works on one ticket."""
    ai_infrastructure_usd: Decimal | None = Field(default=None, ge=0)
    """What the AI's infrastructure costs a month; not counted until it is stated."""
    ai_investment_usd: Decimal | None = Field(default=None, ge=0)
    """What building it cost, once; without it no payback is told."""

    @property
    def reports_folder(self) -> Path:
        return self.reports or self.home / "reports"

    @property
    def flags_folder(self) -> Path:
        return self.flags or self.home / "flags"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
