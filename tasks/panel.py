"""The panel: a suite's scorers, and a case's own, made ready to judge.

A scorer comes from the registry by name or, as `module:name`, from the suite's own code: a frozen dataclass like
ours, or a function (case, answer) -> bool, number, Scored or Unscored. Such code runs with the user's rights.
"""

import hashlib
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import ValidationError

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.errors import AssayError
from evaluations.scoring import SCORERS, build
from evaluations.scoring.base import Score, Scored, Scorer, Unscored
from evaluations.scoring.code import CodePasses
from evaluations.scoring.embedding import EmbeddingSimilarity
from evaluations.scoring.judges import JUDGES, Judge
from evaluations.specs import ScorerSpec, SuiteSpec, canonical_json
from evaluations.verdicts import Severity

AnyScorer = Scorer | Judge | CodePasses | EmbeddingSimilarity


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One scorer with its part in the verdict."""

    number: int
    """Its place: the suite's scorers first, then the case's own."""
    label: str
    scorer: AnyScorer
    version: str
    """The scorer's version with a hash of its settings: tells whether a stored score is still this scorer's."""
    threshold: float
    severity: Severity
    weight: float
    negate: bool
    where: tuple[str, ...]

    def concerns(self, case: Case) -> bool:
        return not self.where or any(tag in self.where for tag in case.tags)

    def turned(self, score: Score) -> Score:
        """The score, turned round where the suite says `negate`."""
        if self.negate and isinstance(score, Scored):
            return Scored(1 - score.value, score.why or "what should not be the case is")
        return score


class Panel:
    """Everyone who judges the answers of a run."""

    def __init__(self, suite: SuiteSpec, folder: Path) -> None:
        self._folder = folder
        self.seats = [_seat(number, spec, folder) for number, spec in enumerate(suite.scorers)]
        models = [model.name for model in (*suite.other_models, *suite.models)]
        self._own_judge = suite.other_models[0].name if suite.other_models else None
        for seat in self.seats:
            self._check_model(seat, models)

    def seats_for(self, case: Case) -> Sequence[Seat]:
        """The seats that judge a case. Raises AssayError when one of the case's own assertions is wrong."""
        shared = [seat for seat in self.seats if seat.concerns(case)]
        if not case.assertions:
            return shared
        own = _own_seats(canonical_json(list(case.assertions)), case.id, len(self.seats), self._folder)
        return [*shared, *own]

    def model_of(self, scorer: Judge | EmbeddingSimilarity) -> str:
        """The label of the model that a judge or an embedding asks."""
        named = scorer.model if isinstance(scorer, EmbeddingSimilarity) else scorer.judge
        if not named and self._own_judge is None:
            raise AssayError(
                f"the scorer {type(scorer).__name__} needs a model to ask: list one under `other_models`, "
                "or name one of the suite's models in the scorer's settings."
            )
        return named or str(self._own_judge)

    def _check_model(self, seat: Seat, models: Sequence[str]) -> None:
        if asks_a_model(seat.scorer):
            named = self.model_of(seat.scorer)
            if named not in models:
                raise AssayError(
                    f"the scorer {seat.label!r} asks a model {named!r} that the suite does not list; "
                    f"known: {', '.join(models)}."
                )


def asks_a_model(scorer: AnyScorer) -> TypeGuard[Judge | EmbeddingSimilarity]:
    return isinstance(scorer, (EmbeddingSimilarity, *JUDGES.values()))


def _seat(number: int, spec: ScorerSpec, folder: Path) -> Seat:
    scorer = _scorer(spec, folder)
    settings = hashlib.sha256(canonical_json([spec.scorer, spec.settings, spec.negate]).encode()).hexdigest()
    version = getattr(scorer, "version", "1")
    return Seat(
        number=number,
        label=spec.name,
        scorer=scorer,
        version=f"{version}-{settings[:16]}",
        threshold=spec.threshold if spec.threshold is not None else scorer.default_threshold,
        severity=spec.severity,
        weight=spec.weight,
        # The registry's own scorers turn themselves round, because they know how to say why.
        negate=spec.negate and spec.scorer not in SCORERS,
        where=spec.where,
    )


@lru_cache(maxsize=4096)
def _own_seats(assertions: str, case_id: str, first: int, folder: Path) -> tuple[Seat, ...]:
    import json

    seats: list[Seat] = []
    for given in json.loads(assertions):
        try:
            spec = ScorerSpec.model_validate(given)
        except ValidationError as problem:
            raise AssayError(f"case {case_id}: an assertion is wrong: {problem.errors()[0]['msg']}") from None
        seats.append(_seat(first + len(seats), spec, folder))
    return tuple(_told_apart(seats))


def _told_apart(seats: Sequence[Seat]) -> list[Seat]:
    """Two assertions of a case may use one scorer; the label of the second one then gets a number."""
    from dataclasses import replace

    labels = [seat.label for seat in seats]
    return [
        replace(seat, label=f"{seat.label} #{earlier + 1}") if (earlier := labels[:n].count(seat.label)) else seat
        for n, seat in enumerate(seats)
    ]


def _scorer(spec: ScorerSpec, folder: Path) -> AnyScorer:
    if ":" in spec.scorer:
        return _custom(spec.scorer, spec.settings, folder)
    return build(spec.scorer, spec.settings, negate=spec.negate)


# Scorers of the suite's own code


@dataclass(frozen=True, slots=True)
class CustomFunction:
    """A user's function as a scorer. What it raises is Unscored: its fault is not the answer's."""

    function: Callable[..., Any]
    settings: Mapping[str, Any]
    version: str
    default_threshold: float = 1.0

    def score(self, case: Case, answer: Answer) -> Score:
        try:
            return _as_score(self.function(case, answer, **self.settings))
        except Exception as problem:  # noqa: BLE001 - anything may come out of code that is not ours
            return Unscored(f"the scorer raised {type(problem).__name__}: {problem}"[:300])


def _custom(name: str, settings: Mapping[str, Any], folder: Path) -> Scorer:
    module_name, _, attribute = name.partition(":")
    if str(folder) not in sys.path:
        # Last, so that a file beside a suite cannot take the place of a library.
        sys.path.append(str(folder))
    try:
        module = importlib.import_module(module_name)
    except ImportError as problem:
        raise AssayError(
            f"the scorer {name!r} cannot be imported: {problem}. Its module has to be installed or stand beside "
            f"the suite in {folder}."
        ) from problem
    found = getattr(module, attribute, None)
    if not callable(found):
        raise AssayError(f"the module {module_name!r} has no function or class {attribute!r} to score with.")
    if isinstance(found, type):
        try:
            made: Scorer = found(**settings)
        except TypeError as problem:
            raise AssayError(f"the scorer {name!r} does not take these settings: {problem}.") from problem
        for wanted in ("version", "default_threshold", "score"):
            if not hasattr(made, wanted):
                raise AssayError(f"the scorer {name!r} has no `{wanted}`; see evaluations/scoring/base.py.")
        return made
    return CustomFunction(found, settings, version=_source_hash(module))


def _source_hash(module: Any) -> str:
    """Editing the function makes it another version; what it imports is the author's affair."""
    source = Path(module.__file__).read_bytes() if getattr(module, "__file__", None) else b""
    return hashlib.sha256(source).hexdigest()[:8]


def _as_score(value: Any) -> Score:
    match value:
        case Scored() | Unscored():
            return value
        case bool():
            return Scored(float(value), "" if value else "the scorer says no")
        case int() | float() if 0 <= value <= 1:
            return Scored(float(value))
        case _:
            return Unscored(f"the scorer gave {value!r:.80}; it should give a bool, a number from 0 to 1 or a Score")
