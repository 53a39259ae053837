"""Applying migrations: under an advisory lock, so that two processes that start at once do not collide."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

from tasks.store.rights import guard

_LOCK = 0x4153_5341  # any number that only Assay's migrations take


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    return made


def upgrade(engine: Engine, to: str = "head") -> None:
    """Bring the schema up to `to`; a no-op when it is there. A whole schema then asks for roles everywhere."""

    def go_up(made: Config) -> None:
        command.upgrade(made, to)
        if to == "head":
            guard(made.attributes["connection"])

    _locked(engine, go_up)


def downgrade(engine: Engine, to: str) -> None:
    """Take the schema down to `to` ("base" for none). Data of dropped tables are lost."""
    _locked(engine, lambda made: command.downgrade(made, to))


def _locked(engine: Engine, act: Callable[[Config], None]) -> None:
    made = config()
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()
        try:
            made.attributes["connection"] = connection
            act(made)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()
