"""Claims: what is declared of a model's speed, accuracy, reliability and use cases, held against what was measured."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from evaluations.estimates import Estimate
from evaluations.model_overview import LEAST_REQUESTS, ModelsOverview
from evaluations.models import Bands, Claim, Model, UseCaseScore, best_scores
from evaluations.performance import Performed
from evaluations.wording import count, duration, percent, percent_interval

Outcome = Literal["holds", "does not hold", "open", "not measured"]
OUTCOMES: tuple[Outcome, ...] = ("does not hold", "open", "holds", "not measured")
"""What a reader should see first comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedClaim:
    """One claim beside the measurement that speaks of it."""

    model: str
    about: str
    """speed, accuracy, reliability; or the use case that it is said to suit."""
    word: str | None
    low: float
    high: float
    """What is claimed, in seconds for speed and in shares for all others; `high` may be infinite."""
    source: str
    measured: Estimate | None
    """In the unit of the claim; for speed the median."""
    measured_by: str
    """Requests, or the use case and the benchmark run; "" where nothing was measured."""
    outcome: Outcome

    @property
    def declared(self) -> str:
        """What is claimed, in words: "fastest, 500 ms to 1.50 s"."""
        return ", ".join([*([self.word.replace("_", " ")] if self.word else []), self._range()])

    def _range(self) -> str:
        if self.about == "speed":
            if math.isinf(self.high):
                return f"more than {duration(1000 * self.low)}"
            below = f"up to {duration(1000 * self.high)}"
            return below if self.low == 0 else f"{duration(1000 * self.low)} to {duration(1000 * self.high)}"
        if self.high == 1.0:
            return f"{percent(self.low)} or more"
        return f"{percent(self.low)} to {percent(self.high)}"

    @property
    def found(self) -> str:
        """What was measured, in words: "2.10 s (1.90 s to 2.30 s, n = 312)"."""
        if self.measured is None:
            return "not measured"
        each = self.measured
        if self.about == "speed":
            high = "no upper end" if math.isinf(each.high) else duration(1000 * each.high)
            return f"{duration(1000 * each.value)} ({duration(1000 * each.low)} to {high}, n = {count(each.n)})"
        return f"{percent(each.value)} ({percent_interval(each.low, each.high)}, n = {count(each.n)})"

    @property
    def sentence(self) -> str:
        """Both in one line."""
        if self.measured is None:
            return f"{self.about}: declared {self.declared}; not measured"
        by = f" by {self.measured_by}" if self.measured_by else ""
        return f"{self.about}: declared {self.declared}; measured {self.found}{by}: {self.outcome}"


def check_claims(model: Model, performed: Performed | None, bands: Bands | None = None) -> tuple[CheckedClaim, ...]:
    """Every claim about a model; `performed` is what it did in production.

    A claim holds when the worse end of the interval is within it, and does not when the better end is beyond its worse
    end; what lies between is open, as is what rests on fewer than `LEAST_REQUESTS`. To be better than claimed is to
    keep it. A claim of accuracy is held against every use case that was measured.
    """
    found = [*_of_words(model, performed, bands or Bands()), *_of_use_cases(model)]
    return tuple(sorted(found, key=lambda each: OUTCOMES.index(each.outcome)))


def claims_of(found: ModelsOverview) -> tuple[CheckedClaim, ...]:
    """The claims about every model of the registry, what does not hold first."""
    performed = {each.model.name: each.performed for each in found.in_use}
    checked = [
        each
        for model in with_claims(found.catalogue)
        for each in check_claims(model, performed.get(model.name), found.bands)
    ]
    return tuple(sorted(checked, key=lambda each: OUTCOMES.index(each.outcome)))


def _of_words(model: Model, performed: Performed | None, bands: Bands) -> Iterator[CheckedClaim]:
    for claim in model.claims:
        if claim.about == "accuracy":
            scores = [each for each in best_scores(model.use_cases) if each.origin == "measured"]
            for score in scores:
                yield _checked(model, claim, bands, _share(score), f"{score.use_case}, {score.source}")
            if not scores:
                yield _checked(model, claim, bands, None, "")
        else:
            measured = _speed(performed) if claim.about == "speed" else _reliability(performed)
            yield _checked(model, claim, bands, measured, "requests" if measured else "")


def _of_use_cases(model: Model) -> Iterator[CheckedClaim]:
    """What is declared of a use case claims that the model does at least so well."""
    measured = {each.use_case: each for each in best_scores(model.use_cases) if each.origin == "measured"}
    for declared in best_scores(each for each in model.use_cases if each.origin == "declared"):
        score = measured.get(declared.use_case)
        estimate = None if score is None else _share(score)
        yield CheckedClaim(
            model=model.name,
            about=declared.use_case,
            word=None,
            low=declared.score / 100,
            high=1.0,
            source=declared.source,
            measured=estimate,
            measured_by="" if score is None else score.source,
            outcome=_outcome(estimate, at_least=declared.score / 100),
        )


def _checked(model: Model, claim: Claim, bands: Bands, measured: Estimate | None, by: str) -> CheckedClaim:
    low, high = (0.0, 0.0) if claim.word is None else bands.reach(claim.about, claim.word)
    low, high = low if claim.low is None else claim.low, high if claim.high is None else claim.high
    return CheckedClaim(
        model=model.name,
        about=claim.about,
        word=claim.word,
        low=low,
        high=high,
        source=claim.source,
        measured=measured,
        measured_by=by,
        outcome=_outcome(measured, at_most=high) if claim.about == "speed" else _outcome(measured, at_least=low),
    )


def _outcome(found: Estimate | None, *, at_least: float = -math.inf, at_most: float = math.inf) -> Outcome:
    if found is None:
        return "not measured"
    if found.n < LEAST_REQUESTS:
        return "open"
    if at_least <= found.low and found.high <= at_most:
        return "holds"
    return "does not hold" if found.high < at_least or found.low > at_most else "open"


def _share(score: UseCaseScore) -> Estimate:
    """A measured score as a share. One without an interval leaves every claim open."""
    return Estimate(
        value=score.score / 100,
        low=0.0 if score.low is None else score.low / 100,
        high=1.0 if score.high is None else score.high / 100,
        n=score.n or 0,
    )


def _speed(performed: Performed | None) -> Estimate | None:
    middle = performed.latency(0.5) if performed else None
    if middle is None:
        return None
    return Estimate(value=middle.value / 1000, low=middle.low / 1000, high=middle.high / 1000, n=middle.n)


def _reliability(performed: Performed | None) -> Estimate | None:
    errors = performed.error_share if performed else None
    return None if errors is None else Estimate(
        value=1 - errors.value, low=1 - errors.high, high=1 - errors.low, n=errors.n
    )  # fmt: skip


def with_claims(models: Iterable[Model]) -> list[Model]:
    """Those of which anything is claimed."""
    return [each for each in models if each.claims or any(score.origin == "declared" for score in each.use_cases)]
