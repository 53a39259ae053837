"""Writing sample traffic: a file that `assay ingest` reads, and its truth beside it."""

import gzip
import json
from datetime import date
from pathlib import Path

from evaluations.sample_traffic import SAMPLE_LABEL, SampleTraffic, sample_traffic

REQUESTS = f"{SAMPLE_LABEL}.jsonl.gz"
TRUTH = f"{SAMPLE_LABEL}-truth.json"


def write_sample_traffic(
    folder: Path, first_day: date, *, days: int = 30, seed: int = 7, scale: float = 1.0
) -> tuple[Path, SampleTraffic]:
    """Write requests and truth into a folder, over what was there; the same arguments give the same bytes.

    Gives the file to ingest, and what is in it. Raises ValueError for fewer than 14 days.
    """
    traffic = sample_traffic(first_day, days=days, seed=seed, scale=scale)
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(request) + "\n" for request in traffic.requests)
    # Without a time in its head, so that the bytes depend on the traffic alone.
    (folder / REQUESTS).write_bytes(gzip.compress(lines.encode(), mtime=0))
    (folder / TRUTH).write_text(json.dumps(traffic.truth(), indent=1) + "\n", encoding="utf-8")
    return folder / REQUESTS, traffic
