"""`make bench`, the ingest part: rows a second of an ingest, beside a raw COPY of the same rows in the same run.

Both write the same made-up requests into the same partitioned, indexed table of an empty store. An ingest reads a file,
checks every row by the contract, takes personal data out, prices it, keys it and marks its day; the COPY is handed rows
that are ready. They take turns, so that a busy moment of the machine hits both. Nothing here is a test: read the share.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FIRST_DAY = date(2026, 5, 1)
BAR = 0.15
"""What an ingest is to reach of the rows a second of a raw COPY."""
COMMENTS = (
    "Worked at once, thank you.",
    "It did not understand that I had moved house; a person had to explain it to me again on the telephone.",
    "Please call me back on +1 415 555 0100 or write to jane.doe@example.com",
    "ok",
)
COMMENTED = 10
"""Every so many requests have a comment, as people leave them."""


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def requests(rows: int) -> Iterator[dict[str, Any]]:
    """Made-up requests over thirty days, some with comments."""
    from evaluations.sample_traffic import sample_traffic

    for number, request in enumerate(sample_traffic(FIRST_DAY, scale=rows / 27_000).requests[:rows]):
        comment = COMMENTS[number // COMMENTED % len(COMMENTS)] if number % COMMENTED == 0 else None
        yield {**request, "comment": comment}


def write(folder: Path, rows: int) -> list[Path]:
    """The same requests as JSON lines, CSV and Parquet."""
    import pandas as pd

    records = list(requests(rows))
    lines = folder / "requests.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    frame = pd.DataFrame(records)
    frame.to_csv(folder / "requests.csv", index=False)
    frame.to_parquet(folder / "requests.parquet")
    return [lines, folder / "requests.csv", folder / "requests.parquet"]


def empty() -> None:
    from sqlalchemy import text

    from tasks.store.database import transaction

    with transaction() as connection:
        connection.execute(text("TRUNCATE requests, request_keys, rollup_dirty, quarantine, ingest_batches CASCADE"))


def ingested(path: Path) -> tuple[float, int]:
    """Seconds, and rows that landed."""
    from tasks.ingest.ingesting import IngestRequest, ingest_file

    empty()
    began = time.perf_counter()
    batch = ingest_file(IngestRequest(file=path))
    return time.perf_counter() - began, batch.counts.landed


def ready_rows(path: Path) -> int:
    """The rows as they stand in the table, as CSV; gives how many."""
    from tasks.store.database import engine

    with engine().connect() as connection, path.open("wb") as file:
        driver: Any = connection.connection.driver_connection
        with (
            driver.cursor() as cursor,
            cursor.copy("COPY (SELECT * FROM requests ORDER BY id) TO STDOUT (FORMAT csv)") as stream,
        ):
            for piece in stream:
                file.write(piece)
            return int(cursor.rowcount)


def copied(path: Path) -> float:
    from tasks.store.database import transaction
    from tasks.store.requests import copy

    empty()
    began = time.perf_counter()
    with transaction() as connection, path.open("rb") as file:
        copy(connection, "COPY requests FROM STDIN (FORMAT csv)", iter(lambda: file.read(1_000_000), b""))
    return time.perf_counter() - began


def compare(rows: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="assay-bench-rows-") as folder:
        paths = write(Path(folder), rows)
        _, landed = ingested(paths[0])  # imports, partitions, prices
        ready = Path(folder) / "ready.csv"
        assert ready_rows(ready) == landed
        say(f"\n{landed:,} requests of {paths[0].stat().st_size / landed:,.0f} bytes as JSON; median of {rounds}")
        seconds: dict[str, list[float]] = {}
        for _ in range(rounds):
            seconds.setdefault("COPY", []).append(copied(ready))
            for path in paths:
                seconds.setdefault(path.suffix, []).append(ingested(path)[0])
    bare = landed / statistics.median(seconds["COPY"])
    say(f"  {'raw COPY, rows ready':<24}{bare:>10,.0f} rows/s")
    for path in paths:
        speed = landed / statistics.median(seconds[path.suffix])
        share = speed / bare
        told = "" if share >= BAR else f"  BELOW THE BAR of {BAR:.0%}"
        say(f"  {'ingest of ' + path.suffix:<24}{speed:>10,.0f} rows/s {share:>7.1%} of the COPY{told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-bench-home-") as home:
        os.environ["ASSAY_HOME"] = home
        os.environ.pop("ASSAY_DATABASE_URL", None)
        try:
            subprocess.run([sys.executable, "-m", "cli", "db", "upgrade"], cwd=ROOT, capture_output=True, check=True)
            compare(given.rows, given.rounds)
        finally:
            subprocess.run([sys.executable, "-m", "cli", "db", "stop"], cwd=ROOT, capture_output=True, check=False)


if __name__ == "__main__":
    main()
