"""Where the recorded data with published figures lie."""

import csv
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

DATA = Path(os.environ.get("ASSAY_TEST_DATA", Path(__file__).parents[4] / "shared/data"))


def folder(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"no recorded data in {DATA / name}")
    return DATA / name


def expected(name: str) -> Any:
    return json.loads((folder(name) / "expected.json").read_text())


def json_lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def csv_rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))
