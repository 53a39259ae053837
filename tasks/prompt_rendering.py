"""Rendering a prompt to look at it: with values of a person's, of a file or of a case, or with made-up ones."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluations.errors import AssayError, unknown_name
from evaluations.pricing import estimate_tokens
from evaluations.prompt_changes import variables_of
from evaluations.specs import PromptSpec, VariableSpec
from tasks.datasets import CaseRow, iter_cases, open_dataset
from tasks.documents import read_document
from tasks.prompts import Message, template_of, used_variables
from tasks.suites import dataset_homes


@dataclass(frozen=True, slots=True)
class Rendered:
    """The messages that a model would get."""

    messages: tuple[Message, ...]
    made_up: tuple[str, ...]
    """Variables that nobody gave a value."""
    tokens: int
    """About."""


def rendered(
    prompt: PromptSpec,
    *,
    values: Sequence[str] = (),
    inputs: Path | None = None,
    dataset: str | None = None,
    case_id: str | None = None,
) -> Rendered:
    """Render with `NAME=VALUE` texts before the values of a file, and these before those of a case of a dataset.

    Raises AssayError for what cannot be read, and PromptError, naming the variable, for values that do not fit.
    """
    if case_id is not None and dataset is None:
        raise AssayError("--case names a case of a dataset; name the dataset too.")
    variables = variables_of(prompt, used_variables(prompt))
    given = {
        **({} if dataset is None else _case_inputs(dataset, case_id)),
        **({} if inputs is None else _file_inputs(inputs)),
        **dict(_value(each, variables) for each in values),
    }
    wanted = {**variables, **{turn.history: "history" for turn in prompt.turns if turn.history is not None}}
    missing = {name: each for name, each in wanted.items() if name not in given and not _has_default(each)}
    # A prompt that takes its inputs whole gets one when there is nothing else to show.
    nothing = not given and not missing and "inputs" in used_variables(prompt)
    made_up = {name: _made_up(name, each) for name, each in missing.items()} | (
        {"input": _made_up("input", "any type")} if nothing else {}
    )
    messages = tuple(template_of(prompt).render({**given, **made_up}))
    tokens = estimate_tokens("".join(str(message["content"]) for message in messages))
    return Rendered(messages, tuple(made_up), tokens)


def _has_default(variable: VariableSpec | str) -> bool:
    return not isinstance(variable, str) and (variable.default is not None or not variable.required)


def _made_up(name: str, variable: VariableSpec | str) -> Any:
    if variable == "history":
        return [{"role": "user", "content": f"({name})"}]
    kind = "text" if isinstance(variable, str) else variable.type
    samples: Mapping[str, Any] = {
        "text": f"({name})",
        "number": 1.5,
        "integer": 1,
        "boolean": True,
        "list": [f"({name} 1)", f"({name} 2)"],
        "object": {"key": f"({name})"},
    }
    return samples[kind]


def _value(given: str, variables: Mapping[str, VariableSpec | str]) -> tuple[str, Any]:
    name, sign, value = given.partition("=")
    if not sign or not name:
        raise AssayError(f"--set takes NAME=VALUE; got {given!r}.")
    variable = variables.get(name)
    if variable is None:
        if variables:
            raise AssayError(unknown_name("variable of this prompt", name, list(variables)))
        return name, value
    if isinstance(variable, str) or variable.type == "text":
        return name, value
    try:
        return name, json.loads(value)
    except ValueError:
        raise AssayError(f"{name} is {variable.type}, and {value!r} is no JSON of that kind.") from None


def _file_inputs(path: Path) -> dict[str, Any]:
    value = read_document(path, "file of values").value
    if not isinstance(value, dict):
        raise AssayError(f"{path}: values are a mapping from variable to value.")
    return value


def _case_inputs(name: str, case_id: str | None) -> Mapping[str, Any]:
    homes = [Path(name), *(home / name for home in dataset_homes())]
    folder = next((each for each in homes if each.is_dir()), None)
    if folder is None:
        known = sorted({each.name for home in dataset_homes() for each in home.iterdir() if each.is_dir()})
        raise AssayError(unknown_name("dataset", name, known))
    for row in iter_cases(open_dataset(folder)):
        if isinstance(row, CaseRow) and case_id in (None, row.case.id):
            return row.case.inputs
    raise AssayError(f"{name} has no case {case_id!r}." if case_id else f"{name} has no case.")
