"""Suites: from a YAML file to everything that a run needs to know, checked before anything is called.

    # yaml-language-server: $schema=../../schemas/suite.schema.json
    suite: support-triage
    dataset: .
    prompts: [prompts/triage.yaml]
    models: [openai/gpt-4o-mini]
    scorers: [exact]

The header line lets an editor complete keys and underline mistakes; `python -m tasks.suites` writes the schemas.

A suite reads nothing outside its root, be it by `..`, an absolute path or a symlink: it may come from somebody
else. The root is the nearest folder above the suite file that is called `datasets`, so that datasets may share
prompts and cases; without one it is the suite file's own folder.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from evaluations.benchmark_specs import BenchmarkSpec
from evaluations.benchmarks.formats import FORMATS
from evaluations.errors import AssayError, unknown_name
from evaluations.experiment_specs import ExperimentSpec
from evaluations.selection_specs import PolicySpec
from evaluations.specs import (
    SCORER_KEYS,
    ContractSpec,
    ModelSpec,
    PromptSpec,
    RoutingPolicySpec,
    ScorerSpec,
    SuiteSpec,
    VariantSpec,
    suite_hash,
    variants_of,
)
from tasks.datasets import within
from tasks.documents import Document, parse_document, read_document, sentence, shown
from tasks.prompts import load_prompt

SUITE_FILE = "suite.yaml"
Called = TypeVar("Called", bound=ModelSpec)
RULES = ("StrongWhenSpec", "EscalateWhenSpec")
SCHEMA_FOLDER = Path(__file__).parents[1] / "schemas"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSuite:
    """A suite with its prompts read and its variants laid out."""

    spec: SuiteSpec
    """With what was asked for on top of the file; `models` are those that answer."""
    path: Path
    folder: Path
    """Where the suite file lies; recordings and scorers of its own are looked for from here."""
    root: Path
    """What the suite may read."""
    dataset_folder: Path
    prompts: tuple[PromptSpec, ...]
    variants: tuple[VariantSpec, ...]
    content_hash: str


def load_suite(
    name: str | Path,
    *,
    models: Sequence[str] = (),
    prompts: Sequence[str] = (),
    repeats: int | None = None,
    max_cost: Decimal | None = None,
    max_time: float | str | None = None,
    concurrency: int | None = None,
    variants: Sequence[str] = (),
) -> LoadedSuite:
    """The suite in a file, or in the folder of that name under `datasets/`, with what was asked for on top.

    `models` keeps only these: labels of the suite, or model ids that it does not know yet. `prompts` keeps only
    these: names, labels (name@version) or files of the suite, files named from the working directory, or registered
    versions. `variants`
    keeps only these of what the models, prompts and parameter sets make together, by their labels.
    Raises AssayError that lists every problem with file, line and column.
    """
    path = find_suite(name)
    document = read_document(path, "suite")
    spec = parse_document(document, SuiteSpec, "suite")
    root = root_of(path)
    spec = spec.model_copy(update={"models": with_policies(spec.models, root, document)})
    asked = _asked(spec, models, repeats, max_cost, max_time, concurrency)
    _check_scorers(spec, document)
    dataset = _placed(document, ("dataset",), lambda: _folder(root, path.parent, spec.dataset))
    known = [
        (
            file,
            _placed(
                document,
                ("prompts", number),
                lambda file=file: _prompt(root, path.parent, file),
            ),
        )
        for number, file in enumerate(spec.prompts)
    ]
    chosen = _chosen_prompts(known, prompts) if prompts else tuple(prompt for _, prompt in known)
    try:
        laid_out = variants_of(asked, chosen)
    except ValueError as problem:
        raise AssayError(f"{document.place(('prompts',))}: {problem}") from None
    kept = _kept(laid_out, variants)
    return LoadedSuite(
        spec=asked,
        path=path,
        folder=path.parent,
        root=root,
        dataset_folder=dataset,
        prompts=chosen,
        variants=kept,
        content_hash=suite_hash(asked, kept),
    )


def with_policies(models: Sequence[Called], root: Path, document: Document) -> tuple[Called, ...]:
    """The models of a file, the routing policies that it names by file read in. Raises AssayError with the place."""

    def read(number: int, model: Called) -> Called:
        route = model.route
        if route is None or not isinstance(route.policy, str):
            return model
        file = route.policy
        policy = _placed(
            document,
            ("models", number, "route", "policy"),
            lambda: parse_document(
                read_document(within(root, document.path.parent, file, kind="routing policy"), "routing policy"),
                RoutingPolicySpec,
                "routing policy",
            ),
        )
        return model.model_copy(update={"route": route.model_copy(update={"policy": policy})})

    return tuple(read(number, model) for number, model in enumerate(models))


def _prompt(root: Path, folder: Path, named: str) -> PromptSpec:
    """The prompt of a file, or the registered version that NAME@VERSION names where there is no such file."""
    if _is_version(named) and not (folder / named).exists():
        return _registered(named)
    return load_prompt(within(root, folder, named, kind="prompt"))


def _is_version(named: str) -> bool:
    return re.fullmatch(r"[^/\\]{1,120}@[vV]?\d+\.\d+\.\d+[0-9A-Za-z.+-]{0,80}", named) is not None


def _registered(label: str) -> PromptSpec:
    """A registered version. The store is asked only for this: a suite of files needs none."""
    from tasks.prompt_registry import registered_version

    return registered_version(label).spec


def find_suite(name: str | Path) -> Path:
    """The suite file meant by a path, by a folder that holds a suite.yaml, or by the name of a dataset."""
    given = Path(name)
    if "\x00" in str(name) or not str(name):
        raise AssayError(f"{str(name)!r} is neither a suite file nor the name of a dataset")
    if given.is_dir() and (given / SUITE_FILE).exists():
        return (given / SUITE_FILE).resolve()
    if given.suffix in (".yaml", ".yml", ".json") or given.exists():
        if not given.exists():
            read_document(given, "suite")  # says that it is not there, and what is
        if given.is_dir():
            raise AssayError(f"the folder {shown(given)} has no {SUITE_FILE}{_suites_in(given)}")
        return given.resolve()
    if len(given.parts) == 1 and given.name not in (".", ".."):
        for home in dataset_homes():
            if (found := home / given.name / SUITE_FILE).is_file():
                return found.resolve()
    known = sorted({each.parent.name for home in dataset_homes() for each in home.glob(f"*/{SUITE_FILE}")})
    near = get_close_matches(str(name), known, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else "."
    names = f" Known: {', '.join(known)}." if known else ""
    raise AssayError(f"{str(name)!r} is neither a suite file nor a dataset with a {SUITE_FILE}{guess}{names}")


def _suites_in(folder: Path) -> str:
    names = sorted(each.name for each in (*folder.glob("*.yaml"), *folder.glob("*.yml")))
    return f"; name one of its files: {', '.join(names)}" if names else ""


def dataset_homes() -> list[Path]:
    """Folders of datasets: the working directory's, this checkout's, and those that came with the package."""
    here = Path(__file__).parents[1]
    homes = (Path.cwd() / "datasets", here / "datasets", here / "assay_datasets")
    return [home for home in dict.fromkeys(homes) if home.is_dir()]


def root_of(path: Path) -> Path:
    """What a suite may read: the nearest `datasets` folder above its file, or else its own folder."""
    names = ("datasets", "assay_datasets")
    return next((parent for parent in path.parents if parent.name in names), path.parent)


def _folder(root: Path, folder: Path, name: str) -> Path:
    found = within(root, folder, name, kind="dataset")
    if not found.is_dir():
        siblings = [each.name for each in found.parent.iterdir() if each.is_dir()] if found.parent.is_dir() else []
        near = get_close_matches(found.name, siblings, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise AssayError(f"there is no dataset folder {name}{guess}")
    return found


def _placed(document: Document, location: tuple[str | int, ...], read: Any) -> Any:
    """What `read` gives; an error of it that names no place gets the one in this document."""
    try:
        return read()
    except AssayError as problem:
        if re.match(r"\S+:\d+:\d+: ", str(problem)):
            raise
        raise type(problem)(f"{document.place(location)}: {problem}") from None


# What was asked for on top of the file


def _asked(
    spec: SuiteSpec,
    models: Sequence[str],
    repeats: int | None,
    max_cost: Decimal | None,
    max_time: float | str | None,
    concurrency: int | None,
) -> SuiteSpec:
    given = {"repeats": repeats, "max_cost": max_cost, "max_time": max_time, "concurrency": concurrency}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if models:
        chosen = tuple(_model(spec, name) for name in dict.fromkeys(models))
        changes |= {"models": chosen, "other_models": _still_needed(spec, chosen)}
    if not changes:
        return spec
    as_given = {name: getattr(spec, name) for name in SuiteSpec.model_fields}
    try:
        return SuiteSpec.model_validate(as_given | changes)
    except ValidationError as problem:
        lines = dict.fromkeys(sentence(dict(each), SuiteSpec) for each in problem.errors(include_url=False))
        raise AssayError("; ".join(lines)) from None


def _model(spec: SuiteSpec, name: str) -> ModelSpec:
    declared = {model.name: model for model in (*spec.models, *spec.other_models)}
    by_id = {model.model: model for model in reversed((*spec.models, *spec.other_models))}
    if found := declared.get(name) or by_id.get(name):
        return found
    if "/" not in name:
        raise AssayError(
            f"{unknown_name('model of this suite', name, list(declared))} "
            f"A model that it does not know is given by its id, like openai/gpt-4o-mini."
        )
    try:
        return ModelSpec.model_validate(name)
    except ValidationError as problem:
        said = sentence(dict(problem.errors(include_url=False)[0]), ModelSpec)
        raise AssayError(f"the model given cannot be used: {said}") from None


def _still_needed(spec: SuiteSpec, chosen: Sequence[ModelSpec]) -> tuple[ModelSpec, ...]:
    """Models that answer no case but are called all the same: those named so, fallbacks and judges of the suite."""
    labels = {model.name for model in chosen}
    left = [model for model in (*spec.other_models, *spec.models) if model.name not in labels]
    kept = {model.name for model in spec.other_models}
    kept |= {str(value) for scorer in spec.scorers for value in scorer.settings.values() if isinstance(value, str)}
    kept |= {label for model in chosen for label in model.fallbacks}
    kept |= {label for model in chosen if model.route for label in (model.route.weak, model.route.strong)}
    while more := {label for model in left if model.name in kept for label in model.fallbacks} - kept:
        kept |= more
    return tuple(model for model in left if model.name in kept)


def _chosen_prompts(known: Sequence[tuple[str, PromptSpec]], wanted: Sequence[str]) -> tuple[PromptSpec, ...]:
    chosen: dict[str, PromptSpec] = {}
    for name in wanted:
        found = [prompt for file, prompt in known if name in (file, prompt.name, prompt.label, Path(file).stem)]
        if not found and Path(name).is_file():
            found = [load_prompt(Path(name))]
        if not found and _is_version(name):
            found = [_registered(name)]
        if not found:
            names = [prompt.label for _, prompt in known]
            raise AssayError(
                f"{unknown_name('prompt of this suite', name, names)} There is no file of that name either."
            )
        chosen |= {prompt.label: prompt for prompt in found}
    return tuple(chosen.values())


# Scorers


def _kept(laid_out: tuple[VariantSpec, ...], labels: Sequence[str]) -> tuple[VariantSpec, ...]:
    """The variants of these labels, in the order of the suite; all of them where none is named."""
    known = [variant.label for variant in laid_out]
    for label in labels:
        if label not in known:
            raise AssayError(unknown_name("variant of this suite", label, known))
    return tuple(variant for variant in laid_out if not labels or variant.label in labels)


def _check_scorers(spec: SuiteSpec, document: Document) -> None:
    """Names and setting names, so that a slip is answered with its line; values are the scorer's to check."""
    from evaluations.scoring import ASKING, SCORERS, settings_schema

    problems = []
    for number, scorer in enumerate(spec.scorers):
        place = ("scorers", number)
        if ":" in scorer.scorer:
            continue
        if scorer.scorer not in SCORERS and scorer.scorer not in ASKING:
            names = [*SCORERS, *ASKING]
            where = document.place((*place, "scorer"))
            problems.append(f"{where}: {unknown_name('scorer', scorer.scorer, names)} `assay scorers` explains them.")
            continue
        known = list(settings_schema(scorer.scorer)["properties"])
        for key in scorer.settings:
            if key not in known:
                near = get_close_matches(key, [*known, *SCORER_KEYS], n=1)
                guess = f"did you mean {near[0]!r}?" if near else f"{scorer.scorer} has {', '.join(known) or 'none'}"
                problems.append(f"{document.place((*place, key))}: unknown key {key!r}; {guess}")
    if problems:
        raise AssayError("\n".join(problems))


# Schemas for editors


def schemas() -> Mapping[str, dict[str, Any]]:
    """The JSON Schemas of the kinds of file, by file name; bare names are allowed where the specs take them."""
    suite = _closed(SuiteSpec.model_json_schema())
    suite["$defs"] |= _scorer_schemas()
    text = {"type": "string"}
    for key, bare in (("models", text), ("other_models", text), ("scorers", {"$ref": "#/$defs/ScorerName"})):
        items = suite["properties"][key]
        items["items"] = {"anyOf": [bare, items["items"]]}
    suite["properties"]["require"] = {
        "description": suite["properties"]["require"]["description"],
        "default": 0.8,
        "anyOf": [
            {"const": "all"},
            {"type": "string", "pattern": r"^\s*\d+\s+of\s+\d+\s*$"},
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        ],
    }
    _allow(suite, "max_time", {"type": "string"})
    _allow(suite["$defs"]["ModelSpec"], "timeout_s", {"type": "string"})
    for owner in (suite, *(suite["$defs"][name] for name in ("ModelSpec", *RULES))):
        _allow_single(owner)
    suite["$defs"]["ModelSpec"]["required"] = ["model"]
    prompt = _closed(PromptSpec.model_json_schema())
    variables = prompt["properties"]["variables"]
    typed = variables.pop("patternProperties", None) or {}
    kinds = {"enum": prompt["$defs"]["VariableSpec"]["properties"]["type"]["enum"]}
    variables["patternProperties"] = {key: {"anyOf": [kinds, value]} for key, value in typed.items()}
    contract = _closed(ContractSpec.model_json_schema())
    _allow_single(contract)
    experiment = _closed(ExperimentSpec.model_json_schema())
    for name in ("secondary", "guardrails"):
        items = experiment["properties"][name]
        items["items"] = {"anyOf": [text, items["items"]]}
    _allow(experiment, "primary", text)
    _allow(experiment, "max_duration", text)
    _allow_single(experiment)
    benchmark = _closed(BenchmarkSpec.model_json_schema())
    benchmark["$defs"] |= _scorer_schemas()
    for key, bare in (("models", text), ("other_models", text), ("scorers", {"$ref": "#/$defs/ScorerName"})):
        items = benchmark["properties"][key]
        items["items"] = {"anyOf": [bare, items["items"]]}
    benchmark["properties"]["format"]["enum"] = list(FORMATS)
    _allow(benchmark, "max_time", text)
    for kind in ("ModelSpec", "BenchmarkModelSpec"):
        _allow(benchmark["$defs"][kind], "timeout_s", text)
    for kind in ("ModelSpec", "BenchmarkModelSpec", *RULES):
        _allow_single(benchmark["$defs"][kind])
    _allow_single(benchmark)
    benchmark["$defs"]["ModelSpec"]["required"] = ["model"]
    benchmark["$defs"]["BenchmarkModelSpec"]["required"] = []
    selection = _closed(PolicySpec.model_json_schema())
    candidates = selection["properties"]["candidates"]
    candidates["additionalProperties"] = {"anyOf": [text, candidates["additionalProperties"]]}
    return {
        "benchmark.schema.json": _titled(benchmark, "A benchmark of Assay"),
        "suite.schema.json": _titled(suite, "A suite of Assay"),
        "prompt.schema.json": _titled(prompt, "A prompt of Assay"),
        "contract.schema.json": _titled(contract, "A dataset contract of Assay"),
        "experiment.schema.json": _titled(experiment, "An experiment of Assay"),
        "selection.schema.json": _titled(selection, "A selection policy of Assay"),
    }


def write_schemas(folder: Path = SCHEMA_FOLDER) -> list[Path]:
    """The schema files, written where suites refer to them."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in schemas().items():
        path = folder / name
        path.write_text(as_file(schema), encoding="utf-8")
        written.append(path)
    return written


def as_file(schema: Mapping[str, Any]) -> str:
    """A schema as it is committed."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _titled(schema: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": "http://json-schema.org/draft-07/schema#"} | schema | {"title": title}


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Without pydantic's titles, which repeat the keys, and its docstrings, which speak to programmers."""
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("description", None)
        for item in part.get("properties", {}).values():
            item.pop("title", None)
    return schema


def _allow(owner: dict[str, Any], name: str, more: Mapping[str, Any]) -> None:
    item = owner["properties"][name]
    words = {key: item.pop(key) for key in ("description", "default") if key in item}
    choices = item.pop("anyOf", None) or [dict(item)]
    owner["properties"][name] = {**words, "anyOf": [*choices, dict(more)]}


def _allow_single(owner: dict[str, Any]) -> None:
    """One item where a list is meant, as the specs take it."""
    for name, item in owner["properties"].items():
        if item.get("type") == "array" and "items" in item:
            _allow(owner, name, item["items"])


def _scorer_schemas() -> dict[str, Any]:
    """Keys of every scorer, and under the condition of its name the settings of each one.

    A setting that several scorers have in the same words stands once, apart: most read an answer in the same ways.
    """
    from evaluations.scoring import catalogue, settings_schema

    lines = catalogue()
    settings = {name: settings_schema(name) for name, _, _ in lines}
    shared = _shared([own["properties"] for own in settings.values()])
    conditions = []
    for name, own in settings.items():
        properties = {
            key: {"$ref": f"#/$defs/{shared[_key(key, value)]}"} if _key(key, value) in shared else value
            for key, value in own["properties"].items()
        }
        then: dict[str, Any] = {"properties": properties, "propertyNames": {"enum": [*SCORER_KEY_LIST, *properties]}}
        if own.get("required"):
            then["anyOf"] = [{"required": own["required"]}, {"required": ["settings"]}]
        conditions.append({"if": {"properties": {"scorer": {"const": name}}, "required": ["scorer"]}, "then": then})
    common = _closed(ScorerSpec.model_json_schema())["properties"]
    common["where"] = {
        "description": common["where"]["description"],
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }
    common["scorer"] = {"$ref": "#/$defs/ScorerName"}
    name_schema = {
        "description": "A scorer's name, or `module:name` for your own.",
        "anyOf": [
            *({"const": name, "description": line} for name, _, line in lines),
            {"type": "string", "pattern": r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"},
        ],
    }
    scorer = {"type": "object", "properties": common, "required": ["scorer"], "allOf": conditions}
    return {"ScorerName": name_schema, "ScorerSpec": scorer} | {
        name: json.loads(key[1]) for key, name in shared.items()
    }


SCORER_KEY_LIST = sorted(SCORER_KEYS)


def _key(name: str, value: Mapping[str, Any]) -> tuple[str, str]:
    return name, json.dumps(value)


def _shared(groups: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Settings that occur more than once, with the name that each gets among the definitions."""
    counted = Counter(_key(name, value) for group in groups for name, value in group.items())
    numbers: Counter[str] = Counter()
    named: dict[tuple[str, str], str] = {}
    for key, count in counted.items():
        if count > 1:
            numbers[key[0]] += 1
            named[key] = f"setting_{key[0]}" + (f"_{numbers[key[0]]}" if numbers[key[0]] > 1 else "")
    return named


if __name__ == "__main__":
    for made in write_schemas():
        sys.stdout.write(f"{made.name}\n")
