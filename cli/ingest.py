"""assay ingest and assay quarantine: logs of production requests, and their rows that could not land."""

import asyncio
import json
from pathlib import Path

import click


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--format", "format_", default="assay", show_default=True, help="What wrote the files; `assay` is our own."
)
@click.option("--source", default="", help="Whose ids the files have, if not simply the format's.")
@click.option("--field", "fields", multiple=True, metavar="OURS=THEIRS", help="A field that is named otherwise there.")
@click.option("--set", "given", multiple=True, metavar="OURS=VALUE", help="A field of all rows that lack it.")
@click.option("--ignore", "ignored", multiple=True, metavar="THEIRS", help="A field of theirs to leave out.")
@click.option("--sample-data", is_flag=True, help="The traffic is made up; reports say so.")
def ingest(
    files: tuple[str, ...],
    format_: str,
    source: str,
    fields: tuple[str, ...],
    given: tuple[str, ...],
    ignored: tuple[str, ...],
    sample_data: bool,
) -> None:
    """Take in logs of production requests: JSON lines, CSV or Parquet, gzipped or not.

    \b
      assay ingest requests.jsonl                        our own fields; `at` and `feature` are required
      assay ingest spend.csv.gz --format litellm         spend logs of a LiteLLM proxy
      assay ingest spans.jsonl --format otlp             OpenTelemetry GenAI spans
      assay ingest trace.csv --field at=TIMESTAMP --set feature=chat --set model=gpt-4o
      assay ingest sample-traffic.jsonl.gz --sample-data   made up (assay sample-traffic)

    \b
    Formats: assay, litellm, otlp, langfuse, openai, anthropic. Fields: docs/ingest.md.

    Rows that cannot land wait in quarantine with line and reason (assay quarantine list); the others
    land. The same file twice lands once. Personal data are taken out before anything is written. What
    has no known price is counted as unpriced, never as free. Then: assay rollup, assay spend.
    """
    from cli.run import use_prefect
    from tasks.ingest.formats import adaptation, format_named
    from tasks.ingest.ingesting import check_names, requests_of
    from tasks.ingest.reading import read

    how = adaptation(list(fields), list(given), list(ignored))
    format_named(format_)
    check_names([*how.renamed, *how.given])
    for each in requests_of(list(files), format_, source, how, sample_data=sample_data):
        read(each.file)  # whether it is there; nothing is read yet
    use_prefect()
    from flows.ingest import ingest as ingest_flow

    for line in asyncio.run(
        ingest_flow(
            files=list(files),
            format=format_,
            source=source,
            fields=list(fields),
            given=list(given),
            ignored=list(ignored),
            sample_data=sample_data,
        )
    ):
        click.echo(line)


@click.group()
def quarantine() -> None:
    """Rows that could not land: list them, mend them, try again.

    \b
      assay quarantine list                       what waits, with file, line and reason
      assay quarantine fix 17 --set rating=4      correct a field; it is checked at once
      assay quarantine fix --file corrected.csv   correct many: a column id, and fields
      assay quarantine retry 17                   land it, once
      assay quarantine dismiss 18                 let it go
    """


@quarantine.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with what was kept of each row.")
def list_(limit: int, as_json: bool) -> None:
    """The rows that wait, oldest first, after a count of their reasons."""
    from tasks.store.database import transaction
    from tasks.store.quarantine import count_waiting, quarantined, reasons

    with transaction() as connection:
        rows, kinds, waiting = quarantined(connection, limit=limit), reasons(connection), count_waiting(connection)
    if as_json:
        click.echo(
            json.dumps(
                [
                    {
                        "id": row.id,
                        "file": row.file,
                        "line": row.line,
                        "source": row.source,
                        "external_id": row.external_id,
                        "reason": row.reason,
                        "record": row.record,
                        "seen": row.seen,
                        "at": row.recorded_at.isoformat(),
                    }
                    for row in rows
                ]
            )
        )
        return
    if not rows:
        click.echo("Nothing waits in quarantine.")
        return
    for kind, n in kinds:
        click.echo(f"{n:>8,}  {kind}")
    click.echo("")
    for row in rows:
        click.echo(f"{row.id:>8}  {row.place}: {row.reason}" + ("" if row.record else " (no content was kept)"))
    if waiting > len(rows):
        click.echo(f"and {waiting - len(rows):,} more; --limit shows more of them.")


@quarantine.command()
@click.argument("ids", nargs=-1, type=int)
@click.option("--set", "given", multiple=True, metavar="FIELD=VALUE", help="The right value of a field.")
@click.option("--remove", "removed", multiple=True, metavar="FIELD", help="A field to take away.")
@click.option(
    "--file", "path", type=click.Path(path_type=Path), help="Corrections of many rows: a column id, and fields."
)
def fix(ids: tuple[int, ...], given: tuple[str, ...], removed: tuple[str, ...], path: Path | None) -> None:
    """Correct fields of the rows IDS, or of those that a file (JSON lines or CSV) names.

    The contract looks at them at once and says what is still wrong; `assay quarantine retry` then
    lands them. In a file an empty text leaves a field as it is, and null takes it away. A row of
    which no content was kept needs all its fields.
    """
    from tasks.ingest.fixing import corrections_in
    from tasks.ingest.fixing import fix as fix_rows
    from tasks.ingest.formats import adaptation

    if (path is None) == (not ids) or (path is not None and (given or removed)) or (ids and not (given or removed)):
        raise click.UsageError("name rows with --set or --remove, or give a --file of corrections.")
    one = {**adaptation([], list(given), []).given, **dict.fromkeys(removed)}
    fixed = fix_rows(dict.fromkeys(ids, one) if path is None else corrections_in(path))
    for each, fault in fixed.faulty.items():
        click.echo(f"{each:>8}  still: {fault}")
    if fixed.ready:
        named = " ".join(map(str, fixed.ready[:20])) if len(fixed.ready) <= 20 else "--all"
        click.echo(f"{len(fixed.ready):,} ready. To land them: assay quarantine retry {named}")


@quarantine.command()
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="Every row that waits.")
@click.option("--set", "given", multiple=True, metavar="FIELD=VALUE", help="Mend a field of these rows first.")
def retry(ids: tuple[int, ...], everything: bool, given: tuple[str, ...]) -> None:
    """Try the rows IDS again, or all of them; --set mends a field of each before."""
    from tasks.ingest.formats import adaptation
    from tasks.ingest.retrying import retry as retry_rows

    if bool(ids) == everything:
        raise click.UsageError("name the rows to try again, or give --all.")
    click.echo(str(retry_rows(ids, given=adaptation([], list(given), []).given)))


@quarantine.command()
@click.argument("ids", nargs=-1, type=int, required=True)
def dismiss(ids: tuple[int, ...]) -> None:
    """Let the rows IDS go: they stay on record, and wait no more."""
    from tasks.store.database import transaction
    from tasks.store.quarantine import quarantined, resolve

    with transaction() as connection:
        quarantined(connection, ids=ids)
        resolve(connection, ids, "dismissed")
    click.echo(f"{len(ids):,} dismissed.")
