"""`python -m tasks.store.migrations.check`: the migrations lead to the very schema that schema.py describes."""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import text

from tasks.store.database import engine_for
from tasks.store.embedded import embedded_url, stop
from tasks.store.migrations import HEAD, KNOWN
from tasks.store.migrations.run import config, upgrade


def main() -> int:
    """Migrate an empty embedded database and compare; 1 with the difference when there is one."""
    script = ScriptDirectory.from_config(config())
    revisions = tuple(revision.revision for revision in reversed(list(script.walk_revisions())))
    if script.get_heads() != [HEAD] or revisions != KNOWN:
        sys.stderr.write(f"tasks.store.migrations lists {KNOWN}, the files are {revisions}\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="assay-check-") as folder:
        home = Path(folder)
        try:
            engine = engine_for(embedded_url(home))
            upgrade(engine)
            with engine.connect() as connection:
                settings = config()
                settings.attributes["connection"] = connection
                connection.execute(text("SELECT 1"))
                command.check(settings)
            engine.dispose()
        except CommandError as problem:
            sys.stderr.write(f"schema.py and the migrations differ: {problem}\n")
            return 1
        finally:
            stop(home)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
