"""Where the recorded data with published figures lie."""

import csv
import gzip
import json
import os
import re
from itertools import combinations
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


def right_on_gsm8k(output: str, gold: str) -> bool:
    """The published rule: the `answer` of the first JSON object, else what follows `"answer":`; its first number."""
    start, answer = output.find("{"), ""
    try:
        answer = str(json.JSONDecoder().raw_decode(output[max(0, start) :])[0]["answer"])
    except (ValueError, KeyError, TypeError):
        if found_after := re.search(r'"answer"\s*:\s*(.*)', output):
            answer = found_after[1]
    number = re.search(r"-?\d+(?:\.\d+)?", answer.replace("$", "").replace(",", ""))
    return number is not None and float(number[0]) == float(gold.replace(",", ""))


def recorded_passes(data: str) -> dict[str, tuple[dict[str, list[bool]], dict[str, Any]]]:
    """For each comparison its variants with their passes in case order, and the published counts and p."""
    figures, here = expected(data), folder(data)
    if data == "gsm8k":
        models = ("175b_verification", "6b_finetuning")
        passes = {
            model: [row["publisher_is_correct"] for row in json_lines(here / f"outputs_{model}.jsonl.gz")]
            for model in models
        }
        return {"|".join(models): (passes, figures["paired:" + "|".join(models)]["mcnemar"])}
    if data == "zeroeval_gsm8k":
        passes = {
            model: [
                right_on_gsm8k(row["output"], row["gold"]) for row in json_lines(here / f"outputs_{model}.jsonl.gz")
            ]
            for model in figures["models"]
        }
        pairs = combinations(sorted(passes), 2)
        return {f"{a}|{b}": ({a: passes[a], b: passes[b]}, figures["paired"][f"{a}|{b}"]) for a, b in pairs}
    found_by_task = {}
    for task, wanted in figures["tasks"].items():
        rows = json_lines(here / f"{task}.jsonl.gz")
        direct = [row["direct"].strip() == row["target"] for row in rows]
        cot = [row["cot"].rsplit("the answer is ", 1)[-1].removesuffix(".") == row["target"] for row in rows]
        found_by_task[task] = ({"direct": direct, "cot": cot}, wanted["mcnemar_direct_then_cot"])
    return found_by_task
