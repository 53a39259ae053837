"""Benchmark files: from a definition and published files to a suite that the runner can run.

What a benchmark asks is written as cases, and what was published as answers as recordings, into a folder of its own
below ASSAY_HOME that is named by the content of all files: the same benchmark of the same files is the same folder.
"""

import hashlib
import json
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evaluations.benchmark_specs import BenchmarkModelSpec, BenchmarkSpec
from evaluations.benchmarks.formats import Format, format_named
from evaluations.benchmarks.rows import BadRow, Place, Placed, Question, Recorded
from evaluations.errors import AssayError, InfrastructureError, unknown_name
from evaluations.specs import ContractSpec, FieldsSpec, ScorerSpec, content_hash
from tasks.case_sources import cluster_column
from tasks.datasets import ENDINGS, Dataset, iter_cases, within
from tasks.datasets import BadRow as Unusable
from tasks.documents import parse_document, read_document, shown
from tasks.settings import settings
from tasks.suites import dataset_homes, with_policies

K = TypeVar("K", bound=Hashable)
BENCHMARK_FILE = "benchmark.yaml"
READER = 2
"""Raised whenever the same files would be read as other cases or recordings, or asked otherwise."""
_WHOLE_ROWS = ContractSpec(
    fields=FieldsSpec(
        id=None, expected=None, tags=None, priority=None, automation=None, assertions=None, description=None
    ),
    max_case_bytes=16_000_000,
)
"""Takes a row as it is: which column is what, the format says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBenchmark:
    """A definition that was read."""

    spec: BenchmarkSpec
    path: Path

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def format(self) -> Format:
        return format_named(self.spec.format)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A benchmark as a suite, ready to be planned and run."""

    suite: Path
    sources: Mapping[str, str]
    """SHA-256 of every file it was made of, by its path below the definition's folder."""
    questions: int
    """In the files; fewer are asked where a sample was drawn."""
    asked: int
    unasked: Mapping[str, int]
    """By model: recorded answers to questions that are not asked."""
    unanswered: Mapping[str, int]
    """By model: questions without a recorded answer, which will be errors and not wrong answers."""


def find_benchmark(name: str) -> Path:
    """The benchmark file meant by a path, a folder that holds one, or the name of a folder under `datasets/`."""
    given = Path(name)
    if "\x00" in name or not name:
        raise AssayError(f"{name!r} is neither a benchmark file nor the name of one")
    if given.is_dir() and (given / BENCHMARK_FILE).is_file():
        return (given / BENCHMARK_FILE).resolve()
    if given.is_file():
        return given.resolve()
    known = {each.parent.name: each for home in reversed(dataset_homes()) for each in home.glob(f"*/{BENCHMARK_FILE}")}
    if name in known:
        return known[name].resolve()
    if given.suffix in (".yaml", ".yml", ".json"):
        read_document(given, "benchmark")  # says that it is not there, and what is
    raise AssayError(unknown_name("benchmark", name, list(known)))


def load_benchmark(name: str) -> LoadedBenchmark:
    """Read a definition. Raises AssayError with file, line and column of what cannot be used."""
    path = find_benchmark(name)
    document = read_document(path, "benchmark")
    spec = parse_document(document, BenchmarkSpec, "benchmark")
    spec = spec.model_copy(update={"models": with_policies(spec.models, path.parent, document)})
    try:
        form = format_named(spec.format)
    except AssayError as problem:
        raise AssayError(f"{document.place(('format',))}: {problem}") from None
    if not (spec.scorers or form.scorers or spec.format == "ifeval" or spec.workload):
        raise AssayError(f"{document.place(('format',))}: {spec.format} is judged; say by whom in `scorers`.")
    return LoadedBenchmark(spec=spec, path=path)


def prepare(loaded: LoadedBenchmark, drawn: Sequence[Question] = ()) -> Prepared:
    """Write the cases, recordings and suite of a benchmark; what is there already is used again.

    `drawn` are the questions of a workload, which stand in no file.

    Raises AssayError that names file and line of a row that cannot be read, and a model without any recorded answer.
    """
    spec = loaded.spec
    questions = resolved(loaded.folder, spec.questions)
    answers = {model.name: resolved(loaded.folder, model.answers) for model in spec.models if model.answers}
    files = dict.fromkeys([*questions, *(file for some in answers.values() for file in some)])
    prompt = (within(loaded.folder, loaded.folder, spec.prompt, kind="prompt"),) if spec.prompt else ()
    sources = {_below(loaded.folder, file): _digest(file) for file in (*files, *prompt)}
    if drawn:
        sources["requests, by their lengths"] = content_hash([_case_row(each) for each in drawn])
    mark = content_hash({"reader": READER, "spec": spec.model_dump(mode="json"), "sources": sources})[:16]
    folder = settings().home / "benchmarks" / mark / _slug(spec.benchmark)
    if not (folder / "made.json").is_file():
        _write_whole_folder(folder, lambda to: _make(to, loaded, spec, questions, answers, drawn))
    made = json.loads((folder / "made.json").read_text())
    return Prepared(suite=folder / "suite.yaml", sources=sources, **made)


# Reading


def resolved(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """The files that names and patterns mean, within the benchmark's folder."""
    found: list[Path] = []
    for pattern in patterns:
        if "*" in pattern and not pattern.startswith("/") and ".." not in Path(pattern).parts:
            some = sorted(each for each in folder.glob(pattern) if each.is_file())
        else:
            some = [within(folder, folder, pattern, kind="benchmark file")]
        if not some or not all(each.is_file() for each in some):
            raise AssayError(f"there is no file {pattern!r} in {shown(folder)}, which the benchmark names.")
        for each in some:
            if not each.name.endswith(ENDINGS):
                raise AssayError(f"{each.name} is of no kind that is read; a file ends in {', '.join(ENDINGS)}.")
        found += some
    return found


def _rows(folder: Path, files: Iterable[Path]) -> Iterator[Placed]:
    """The rows of some files in order. Raises AssayError with file and line for one that cannot be read."""
    for file in files:
        name = _below(folder, file)
        for row in iter_cases(Dataset(folder=file.parent, spec=_WHOLE_ROWS, files=(file,))):
            if isinstance(row, Unusable):
                raise AssayError(f"{name}, line {row.line}: {row.reason}; mend the file or leave the row out.")
            yield Place(name, row.line), row.record


def read_questions(folder: Path, form: Format, files: Iterable[Path]) -> list[Question]:
    """The questions in some files. Raises AssayError with file and line, also for an id that comes twice."""
    try:
        questions = list(form.questions(_rows(folder, files)))
    except BadRow as problem:
        raise AssayError(str(problem)) from None
    return questions


def read_answers(folder: Path, form: Format, files: Iterable[Path], field: str = "") -> list[Recorded]:
    """The recorded answers in some files. Raises AssayError with file and line."""
    try:
        return list(form.answers(_rows(folder, files), field))
    except BadRow as problem:
        raise AssayError(str(problem)) from None


# Making the suite


def _make(
    to: Path,
    loaded: LoadedBenchmark,
    spec: BenchmarkSpec,
    questions: Sequence[Path],
    answers: Mapping[str, Sequence[Path]],
    drawn: Sequence[Question],
) -> None:
    form = loaded.format
    every = list(drawn) or read_questions(loaded.folder, form, questions)
    if not every:
        raise AssayError(f"the benchmark {spec.benchmark} has no question in {', '.join(spec.questions)}.")
    chosen = _sampled(every, spec)
    _write_rows(to / "cases.jsonl", map(_case_row, chosen))
    ids = {question.id for question in chosen}
    unasked, unanswered = {}, {}
    for number, model in enumerate(spec.models):
        if model.name in answers:
            rows = read_answers(loaded.folder, form, answers[model.name], model.answers_field)
            kept = [row for row in rows if row.id in ids]
            there = {(row.id, row.repeat) for row in kept}
            if not kept:
                raise AssayError(
                    f"no recorded answer of {model.name} is to a question of {spec.benchmark}: "
                    f"{len(rows)} answers, the first to {rows[0].id!r}; the first question is {chosen[0].id!r}."
                    if rows
                    else f"the files of {model.name} hold no recorded answer."
                )
            if len(there) < len(kept):
                twin = _first_twin(kept)
                raise AssayError(f"{model.name} has two recorded answers to {twin.id!r} in repeat {twin.repeat}.")
            unasked[model.name] = len(rows) - len(kept)
            unanswered[model.name] = len(ids) - len({id for id, _ in there})
            _write_rows(to / _recording(number), map(_recorded_row, kept))
    _write_json(to / "contract.yaml", _contract(spec))
    _write_json(to / "prompt.yaml", _prompt(loaded, spec, chosen))
    _write_json(to / "suite.yaml", suite_of(spec, form))
    # The last one: a folder without it is not whole.
    made = {"questions": len(every), "asked": len(chosen), "unasked": unasked, "unanswered": unanswered}
    _write_json(to / "made.json", made)


def suite_of(spec: BenchmarkSpec, form: Format) -> dict[str, Any]:
    """The suite that a benchmark amounts to: its models are the variants."""
    suite: dict[str, Any] = {
        "suite": spec.benchmark,
        "description": spec.description or form.about,
        "tags": ["benchmark"],
        "prompts": ["prompt.yaml"],
        "models": [_model_entry(number, model, spec) for number, model in enumerate(spec.models)],
        "other_models": [model.model_dump(mode="json", exclude_unset=True) for model in spec.other_models],
        "scorers": [_scorer_entry(spec, form, scorer) for scorer in spec.scorers or _own_scorers(spec, form)],
        "repeats": spec.repeats,
        "seed": spec.seed,
        "concurrency": spec.concurrency,
        # A benchmark finds out; what is good enough, a suite says.
        "gates": {"error_share": 1.0},
    }
    if spec.arrivals is not None:
        suite["arrivals"] = spec.arrivals.model_dump()
    if spec.max_cost is not None:
        suite["max_cost"] = str(spec.max_cost)
    if spec.max_time is not None:
        suite["max_time"] = spec.max_time
    return suite


def _own_scorers(spec: BenchmarkSpec, form: Format) -> Sequence[ScorerSpec]:
    if spec.workload is not None:
        return [ScorerSpec.model_validate("not_blank")]  # nothing more can be asked of an answer to made-up text
    return [ScorerSpec.model_validate(each) for each in form.scorers]


def _scorer_entry(spec: BenchmarkSpec, form: Format, scorer: ScorerSpec) -> dict[str, Any]:
    entry = scorer.model_dump(mode="json", exclude_defaults=True)
    rule = spec.unreadable or form.unreadable
    if rule is not None and not spec.scorers:
        entry["settings"] = {**entry.get("settings", {}), "missing": rule}
    settings_of: dict[str, Any] = entry.pop("settings", {})
    return entry | settings_of


def _model_entry(number: int, model: BenchmarkModelSpec, spec: BenchmarkSpec) -> dict[str, Any]:
    entry = model.model_dump(mode="json", exclude_unset=True, exclude={"answers", "answers_field"})
    if spec.category == "latency" and model.stream is None and model.route is None:
        entry["stream"] = True
    if model.answers:
        # Sampling parameters of a recording say how it was made; replaying needs none.
        entry = {"name": model.name, "model": f"replay/{_recording(number)}"}
    return entry


def _recording(number: int) -> str:
    return f"answers/{number}.jsonl"


def _contract(spec: BenchmarkSpec) -> dict[str, Any]:
    return {
        "cases": "cases.jsonl",
        "description": spec.description or f"The questions of {spec.benchmark}.",
        "licence": spec.licence,
        "source": spec.source,
        "sample_data": spec.sample_data,
    }


def _prompt(loaded: LoadedBenchmark, spec: BenchmarkSpec, questions: Sequence[Question]) -> Any:
    if spec.prompt:
        return read_document(within(loaded.folder, loaded.folder, spec.prompt, kind="prompt"), "prompt").value
    user = loaded.format.user
    if not all("question" in question.inputs for question in questions):
        user = "{{ inputs | sole }}"
    return {"name": spec.benchmark, "version": "1.0.0", "user": user}


def _case_row(question: Question) -> dict[str, Any]:
    return {
        "id": question.id,
        "inputs": question.inputs,
        "expected": question.expected,
        "assertions": list(question.assertions),
        "tags": list(question.tags),
        "metadata": question.metadata,
    }


def _recorded_row(row: Recorded) -> dict[str, Any]:
    said = {} if row.text is None else {"text": row.text}
    return {"case_id": row.id, "repeat": row.repeat, **said, **row.extra}


def _first_twin(rows: Sequence[Recorded]) -> Recorded:
    seen: set[tuple[str, int]] = set()
    for row in rows:
        if (row.id, row.repeat) in seen:
            return row
        seen.add((row.id, row.repeat))
    raise ValueError("all are distinct")


# Samples


def _sampled(questions: Sequence[Question], spec: BenchmarkSpec) -> list[Question]:
    """The questions that are asked: all in their order, or those drawn; shuffled where a run may stop early.

    What is looked at before the end has to be a random part of the whole: of its sources, where questions share them.
    """
    draw = random.Random(spec.seed)
    chosen = list(questions)
    if spec.sample is not None and spec.sample.cases < len(chosen):
        by = spec.sample.by
        strata: dict[str, list[int]] = defaultdict(list)
        for place, question in enumerate(questions):
            strata[_stratum(question, by)].append(place)
        places = {place for some in apportioned(strata, spec.sample.cases, draw) for place in some}
        chosen = [question for place, question in enumerate(questions) if place in places]
    if spec.stop_early:
        column = cluster_column(spec)
        groups: dict[object, list[Question]] = defaultdict(list)
        for place, question in enumerate(chosen):
            groups[_value(question, column) if column else place].append(question)
        shuffled = list(groups.values())
        draw.shuffle(shuffled)
        chosen = [question for some in shuffled for question in some]
    return chosen


def _stratum(question: Question, by: str) -> str:
    if by in ("", "tags"):
        return "/".join(question.tags) if by else ""
    if by not in question.metadata and by not in question.inputs:
        known = [*question.metadata, *question.inputs, "tags"]
        raise AssayError(unknown_name("column to sample by", by, known))
    return _value(question, by)


def _value(question: Question, column: str) -> str:
    value = question.metadata.get(column)
    value = question.inputs.get(column) if value is None else value
    return "" if value is None else str(value)


def apportioned(strata: Mapping[str, Sequence[int]], wanted: int, draw: random.Random) -> list[list[int]]:
    """`wanted` places drawn from the strata in proportion to their sizes."""
    quotas = quotas_of({name: len(places) for name, places in strata.items()}, wanted)
    return [draw.sample(list(strata[name]), quotas[name]) for name in sorted(strata)]


def quotas_of(sizes: Mapping[K, int], wanted: int) -> dict[K, int]:
    """How many of `wanted` go to each stratum of these sizes, by the largest remainders; all where there are fewer.

    >>> quotas_of({"a": 60, "b": 30, "c": 10}, 5)
    {'a': 3, 'b': 2, 'c': 0}
    """
    total = sum(sizes.values())
    wanted = min(wanted, total)
    shares = {name: wanted * size / total for name, size in sizes.items()}
    counts = {name: int(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: (counts[name] - shares[name], str(name)))
    for name in by_remainder[: wanted - sum(counts.values())]:
        counts[name] += 1
    return counts


# Files


def _below(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _slug(name: str) -> str:
    return (
        "".join(each if each.isalnum() or each in "-_" else "-" for each in name).strip("-").lower()[:60] or "benchmark"
    )


def _write_whole_folder(folder: Path, write: Any) -> None:
    """Write a folder beside its place and put it there: another process sees the whole of it or nothing."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=folder.parent))
        try:
            (draft / "answers").mkdir()
            write(draft)
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as problem:
        if not (folder / "made.json").is_file():  # else another process was first, with the same content
            raise InfrastructureError(
                f"the benchmark could not be written to {folder}: {problem.strerror}. Make room, or set ASSAY_HOME "
                "to another folder."
            ) from problem


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
