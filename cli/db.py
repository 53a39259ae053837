"""assay db: the store."""

from pathlib import Path

import click


@click.group()
def db() -> None:
    """The store: upgrade its schema or its embedded data, show where it is, stop the embedded server."""


@db.command()
def upgrade() -> None:
    """Bring the schema of the store up to this version; safe to repeat and to run from several places at once."""
    from tasks.store.database import database_url, described, engine_for, schema_version, told_plainly
    from tasks.store.migrations import HEAD, KNOWN
    from tasks.store.migrations.run import upgrade as upgrade_schema

    url = database_url()
    engine = engine_for(url)
    with told_plainly():
        before = schema_version(engine)
        if before is not None and before not in KNOWN:
            from evaluations.errors import AssayError

            raise AssayError(
                f"{described(url)} has schema {before!r}, newer than this version of Assay knows ({HEAD!r})."
            )
        if before != HEAD:
            upgrade_schema(engine)
    click.echo(f"{described(url)}: schema {HEAD}" + (" (was up to date)" if before == HEAD else ""))


@db.command()
def status() -> None:
    """Where the store is, and the version of its schema."""
    from tasks.settings import settings
    from tasks.store.database import database_url, described, engine_for, schema_version, told_plainly
    from tasks.store.migrations import HEAD

    url = database_url()
    with told_plainly():
        version = schema_version(engine_for(url))
    kind = "embedded" if settings().database_url is None else "server"
    click.echo(f"{kind} {described(url)}: schema {version or 'none'}, this version of Assay needs {HEAD}")


@db.command("upgrade-embedded")
@click.option(
    "--binaries",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with the programs of the old PostgreSQL; looked for where packages put them unless given.",
)
def upgrade_embedded(binaries: Path | None) -> None:
    """Move embedded data of an older PostgreSQL to the one that Assay brings; the old data are kept.

    Nothing changes unless all was copied and compared, and an interrupted upgrade can be repeated.
    """
    from tasks.settings import settings
    from tasks.store.embedded import BUNDLED_MAJOR, data_folder
    from tasks.store.embedded_upgrade import upgrade_embedded as upgrade_data

    home = settings().home
    done = upgrade_data(home, binaries, told=click.echo)
    if done is None:
        click.echo(f"nothing to do: {data_folder(home)} has no data of a PostgreSQL older than {BUNDLED_MAJOR}")
        return
    click.echo(
        f"PostgreSQL {done.before} -> {done.after}: {done.tables} tables, {done.rows:,} rows, "
        f"schema {done.schema or 'none'}, all the same before and after.\n"
        f"The old data are kept in {done.kept}; remove them when you have seen that all is well: rm -r {done.kept}"
    )


@db.command()
def stop() -> None:
    """Stop the embedded PostgreSQL and Assay's own Prefect server; the data stay, the next command starts them."""
    from tasks.prefect_server import prefect_home, stop_server
    from tasks.settings import settings
    from tasks.store.embedded import stop as stop_postgres

    given = settings()
    server = stop_server(prefect_home(given))
    postgres = given.database_url is None and stop_postgres(given.home)
    stopped = [name for name, was_up in (("Prefect server", server), ("PostgreSQL", postgres)) if was_up]
    click.echo(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
