"""Suites over recorded outputs of real models: a folder each, with cases, contract, suite and recordings.

Everything that decides a figure stands in the YAML; the code here only moves rows into files.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

from evaluations.benchmarks.ifeval import ASSERTIONS as IFEVAL
from tests.evaluations.scoring.test_real_data import DATA, rows

GSM8K_MODELS = ("175b_verification", "6b_finetuning")
ZEROEVAL_MODELS = (
    "gpt-4o-2024-05-13",
    "gpt-4o-mini-2024-07-18",
    "claude-3-haiku-20240307",
    "Meta-Llama-3.1-8B-Instruct",
    "gpt-3.5-turbo-0125",
    "gemma-2-2b-it",
)
WHOLLY_CHECKED = "wholly-checked"
"""Tag of IFEval prompts of which every instruction is checked."""


def gsm8k(folder: Path) -> Path:
    """Word problems and two models; the only one of these suites with a contract beyond the shape of its rows."""
    _copy("gsm8k", folder, "questions.jsonl.gz", *(f"outputs_{model}.jsonl.gz" for model in GSM8K_MODELS))
    _write(
        folder / "contract.yaml",
        """
        cases: questions.jsonl.gz
        licence: MIT
        fields: {inputs: [question], expected: answer}
        expectations:
          - {type: expect_table_row_count_to_equal, value: 1319}
          - {type: expect_column_values_to_be_unique, column: id}
          - {type: expect_column_value_lengths_to_be_between, column: question, min_value: 20, max_value: 2000}
          - {type: expect_column_values_to_match_regex, column: answer, regex: '#### -?[0-9,.]+$'}
        """,
    )
    return _write(
        folder / "suite.yaml",
        """
        suite: gsm8k
        models:
          - name: 175b_verification
            model: replay/outputs_175b_verification.jsonl.gz
            parameters: {id_field: id, text_field: output}
          - name: 6b_finetuning
            model: replay/outputs_6b_finetuning.jsonl.gz
            parameters: {id_field: id, text_field: output}
        scorers:
          - name: right
            scorer: exact
            answer_pattern: '(?m)^A: (.*)$'
            expected_pattern: '#### (.+)$'
            drop: ',$'
          # Counts the answers that end in no `A: `: it cannot tell what they are worth, and nothing rests on it.
          - name: final answer
            scorer: exact
            severity: minor
            weight: 0
            missing: unscored
            answer_pattern: '(?m)^A: (.*)$'
            expected_pattern: '#### (.+)$'
            drop: ',$'
        gates: {pass_rate: 0.5}
        """,
    )


def zeroeval(folder: Path) -> Path:
    """The same problems, six models of 2024 and answers in JSON."""
    _copy("zeroeval_gsm8k", folder, *(f"outputs_{model}.jsonl.gz" for model in ZEROEVAL_MODELS))
    questions = {row["id"]: row["question"] for row in rows("gsm8k/questions.jsonl.gz")}
    first = rows(f"zeroeval_gsm8k/outputs_{ZEROEVAL_MODELS[0]}.jsonl.gz")
    _write_rows(
        folder / "cases.jsonl",
        ({"id": row["id"], "inputs": {"question": questions[row["id"]]}, "expected": row["gold"]} for row in first),
    )
    return write_zeroeval_suite(folder, scorer="right")


def write_zeroeval_suite(folder: Path, *, scorer: str) -> Path:
    """`scorer` is its label, and no more: another label gives the same scores, that were not stored under it."""
    models = "\n".join(
        f"  - {{name: {model}, model: replay/outputs_{model}.jsonl.gz, "
        "parameters: {id_field: id, text_field: output}}"
        for model in ZEROEVAL_MODELS
    )
    field = "answer_field: answer, answer_field_salvage: true"
    return _write(
        folder / f"{scorer}.yaml",
        f"suite: zeroeval\nmodels:\n{models}\nscorers:\n"
        f"  - {{name: {scorer}, scorer: number, {field}, drop: '$,', take: first}}\n"
        # Counts the answers without the field. An answer in words is one too; it is only no number.
        f"  - {{name: final answer, scorer: exact, {field}, severity: minor, weight: 0, missing: unscored}}\n",
    )


def bbh(folder: Path, tasks: Iterable[str]) -> Path:
    """Twelve tasks in one dataset, told apart by tags; two prompting styles as variants over one recording."""
    cases: list[Mapping[str, Any]] = []
    recordings: list[Mapping[str, Any]] = []
    tasks = sorted(tasks)
    for task in tasks:
        for row in rows(f"bbh/{task}.jsonl.gz"):
            name = f"{task}/{row['id']}"
            cases.append({"id": name, "question": row["question"], "expected": row["target"], "tags": [task]})
            recordings.append({"case_id": name, "cot": row["cot"], "direct": row["direct"]})
    _write_rows(folder / "cases.jsonl", cases)
    _write_rows(folder / "code-davinci-002.jsonl", recordings)
    # A scorer of its own for every task, so that one run gives a rate for each. A chain of thought is read after its
    # last "the answer is"; direct answers have no such words, and are read whole.
    patterns = r"""['(?s)^.*the answer is (.*?)\.?\s*$', '(?s)^(.*)$']"""
    scorers = "\n".join(
        f"  - {{name: {task}, scorer: exact, where: {task}, answer_pattern: {patterns}}}" for task in tasks
    )
    models = "\n".join(
        f"  - {{name: {style}, model: replay/code-davinci-002.jsonl, parameters: {{text_field: {style}}}}}"
        for style in ("cot", "direct")
    )
    return _write(folder / "suite.yaml", f"suite: bbh\nmodels:\n{models}\nscorers:\n{scorers}\n")


def ifeval(folder: Path) -> Path:
    """Prompts whose instructions are assertions of each case, labelled by their kind."""
    _copy("ifeval", folder, "prompts_and_responses.jsonl.gz")
    _write_rows(folder / "cases.jsonl", map(_instructed, rows("ifeval/prompts_and_responses.jsonl.gz")))
    return _write(
        folder / "suite.yaml",
        """
        suite: ifeval
        models:
          - name: recorded
            model: replay/prompts_and_responses.jsonl.gz
            parameters: {id_field: key, text_field: response}
        """,
    )


def _instructed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    kinds: Sequence[str] = row["instruction_id_list"]
    return {
        "id": row["key"],
        "prompt": row["prompt"],
        "assertions": [
            {"name": kind, **IFEVAL[kind](settings)}
            for kind, settings in zip(kinds, row["kwargs"], strict=True)
            if kind in IFEVAL
        ],
        "tags": [WHOLLY_CHECKED] if all(kind in IFEVAL for kind in kinds) else [],
    }


def humaneval(folder: Path) -> Path:
    """Programming problems with twenty sampled programs each: one row of samples, twenty repeats."""
    _copy("humaneval", folder, "problems.jsonl.gz", "samples_codegen-16b-mono.jsonl.gz")
    _write(
        folder / "contract.yaml",
        """
        cases: problems.jsonl.gz
        licence: MIT
        fields: {id: task_id, inputs: {prompt: sampling_prompt}}
        """,
    )
    return _write(
        folder / "suite.yaml",
        """
        suite: humaneval
        models:
          - name: codegen-16b-mono
            model: replay/samples_codegen-16b-mono.jsonl.gz
            parameters: {id_field: task_id, samples_field: samples}
        repeats: 20
        scorers:
          - {scorer: code_passes, prefix_field: prompt, test_field: test, entry_point_field: entry_point}
        """,
    )


def _copy(dataset: str, folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (DATA / dataset / name).exists():
            next(rows(f"{dataset}/{name}"))  # skips the test, and says why
        shutil.copyfile(DATA / dataset / name, folder / name)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text).lstrip(), encoding="utf-8")
    return path


def _write_rows(path: Path, given: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in given)
