"""Benchmarks over recorded outputs of real models: definitions as a person writes them, beside the published files."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.evaluations.scoring.test_real_data import DATA, rows

ZEROEVAL_MODELS = (
    "gpt-4o-2024-05-13",
    "gpt-4o-mini-2024-07-18",
    "claude-3-haiku-20240307",
    "Meta-Llama-3.1-8B-Instruct",
    "gpt-3.5-turbo-0125",
    "gemma-2-2b-it",
)


def _recorded(name: str, *answers: str, field: str = "") -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "answers": list(answers)}
    return entry | ({"answers_field": field} if field else {})


DEFINITIONS: Mapping[str, Mapping[str, Any]] = {
    "gsm8k": {
        "format": "gsm8k",
        "questions": "questions.jsonl.gz",
        "models": [_recorded(name, f"outputs_{name}.jsonl.gz") for name in ("175b_verification", "6b_finetuning")],
    },
    "zeroeval_gsm8k": {
        "format": "zeroeval_gsm8k",
        "questions": f"outputs_{ZEROEVAL_MODELS[0]}.jsonl.gz",
        "models": [_recorded(name, f"outputs_{name}.jsonl.gz") for name in ZEROEVAL_MODELS],
    },
    "bbh": {
        "format": "bbh",
        "questions": "*.jsonl.gz",
        "models": [_recorded(style, "*.jsonl.gz", field=style) for style in ("cot", "direct")],
    },
    "mmlu_pro": {
        "format": "mmlu_pro",
        "questions": "questions.jsonl.gz",
        "models": [_recorded("gemini-1.5-pro-002", "outputs_gemini-1.5-pro-002.jsonl.gz")],
    },
    "truthfulqa": {
        "format": "truthfulqa_labels",
        "questions": ["questions.jsonl.gz", "labelled_answers.jsonl.gz"],
        "models": [_recorded("several", "labelled_answers.jsonl.gz")],
    },
    "xstest": {
        "format": "xstest_labels",
        "questions": ["completions_gpt4.csv.gz", "completions_llama2orig.csv.gz"],
        "models": [_recorded(name, f"completions_{name}.csv.gz") for name in ("gpt4", "llama2orig")],
    },
    "ifeval": {
        "format": "ifeval",
        "questions": "prompts_and_responses.jsonl.gz",
        "models": [_recorded("recorded", "prompts_and_responses.jsonl.gz")],
    },
    "humaneval": {
        "format": "humaneval",
        "questions": "problems.jsonl.gz",
        "models": [_recorded("codegen-16b-mono", "samples_codegen-16b-mono.jsonl.gz")],
        "repeats": 20,
    },
    "refchecker": {
        "format": "refchecker",
        "questions": "*/*.jsonl.gz",
        "models": [_recorded(name, f"*/{name}.jsonl.gz") for name in ("alpaca_7B", "chatgpt", "davinci001", "gpt4")],
    },
    "halueval": {
        "format": "halueval",
        "questions": "general_a.jsonl.gz",
        "models": [_recorded("chatgpt", "general_a.jsonl.gz")],
    },
    "bbq": {
        "format": "bbq",
        "questions": ["Disability_status.jsonl.gz", "Physical_appearance.jsonl.gz"],
        "models": [
            _recorded(style, "Disability_status.jsonl.gz", "Physical_appearance.jsonl.gz", field=f"pred_{style}")
            for style in ("race", "qonly", "arc")
        ],
    },
}
"""By the name of the folder with the data."""


def define(name: str, folder: Path, **more: Any) -> Path:
    """A folder with the published files of a set and its definition. Gives the definition's file."""
    if not (DATA / name).is_dir():
        next(rows(f"{name}/expected.json"))  # skips the test, and says why
    shutil.copytree(DATA / name, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    path = folder / "benchmark.yaml"
    for below in folder.rglob("*"):
        below.chmod(0o755 if below.is_dir() else 0o644)
    path.write_text(json.dumps({"benchmark": name, **DEFINITIONS[name], **more}), encoding="utf-8")
    return path
