"""Files of requests, and what the store has of them afterwards."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tasks.ingest.formats import AS_IT_IS, Adaptation
from tasks.ingest.ingesting import IngestRequest, ingest_file
from tasks.store.batches import Batch
from tasks.store.database import transaction
from tasks.store.quarantine import Quarantined, quarantined

PLACES = "0.000000000001"


def a_record(number: int = 1, **given: Any) -> dict[str, Any]:
    """A request that can land; None takes a field away."""
    record = {
        "external_id": f"r-{number}",
        "at": "2026-06-01T10:00:00Z",
        "feature": "chat",
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 1000,
        "output_tokens": 100,
        **given,
    }
    return {name: value for name, value in record.items() if value is not None}


def a_file(folder: Path, records: Iterable[Mapping[str, Any] | bytes], name: str = "requests.jsonl") -> Path:
    """JSON lines; bytes stand in the file as they are. Gzipped where the name says so."""
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    content = b"".join(line + b"\n" for line in lines)
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def ingested(path: Path, adaptation: Adaptation = AS_IT_IS, **given: Any) -> Batch:
    return ingest_file(IngestRequest(file=path, adaptation=adaptation, **given))


def facts(columns: str = "*", where: str = "true") -> list[Any]:
    """Requests in the store, by their ids."""
    with transaction() as connection:
        return list(connection.execute(text(f"SELECT {columns} FROM requests WHERE {where} ORDER BY id")))


def one(question: str) -> Any:
    with transaction() as connection:
        return connection.execute(text(question)).scalar_one()


def waiting() -> list[Quarantined]:
    with transaction() as connection:
        return quarantined(connection)
