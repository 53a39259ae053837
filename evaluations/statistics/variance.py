"""Where the noise of a score comes from: the cases, the repeats of a case, or the judge; and which to buy down.

A score is taken as mean + case + repeat + judgement, each nested in the one before: a case is answered by several
repeats, an answer is judged several times by judges that are alike. The error of a mean then is

    case / cases + repeat / (cases * repeats) + judgement / (cases * repeats * judgements)

so more cases lower all three terms, more judgements the last alone. What a judge is stricter by than another is no
noise of this kind: no number of cases averages it away (`agreement.icc`, forms 2 and 3, show it).
For two variants give the differences of their scores; the variance of the difference then is what is taken apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import floor, sqrt
from typing import TYPE_CHECKING, Literal

from evaluations.statistics.outcomes import Hedged, Undetermined

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Source = Literal["cases", "repeats", "judgements"]
SOURCES: tuple[Source, ...] = ("cases", "repeats", "judgements")

LEAST_CASES = 20
"""Below so many cases a variance between cases is known to no better than a factor of 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Components(Hedged):
    """Variances in the square of the score's unit. None: the design cannot tell it from the one above it."""

    case: float
    """Between the true scores of cases."""
    repeat: float | None
    """Between the answers to one case; None with one repeat a case, and then part of `case`."""
    judgement: float | None
    """Between judgements of one answer; None with one judgement an answer, and then part of `repeat`."""
    cases: int
    repeats: float
    """Per case, on average."""
    judgements: float
    """Per answer, on average."""
    notes: tuple[str, ...] = ()

    @property
    def standard_error(self) -> float:
        """Of the mean score in the design that was measured."""
        return self.error_of(Design(cases=self.cases, repeats=self.repeats, judgements=self.judgements))

    def error_of(self, design: "Design") -> float:
        """The standard error of the mean score in another design. Raises ValueError if it varies what was not measured.

        >>> parts = Components(case=0.02, repeat=0.1, judgement=0.0, cases=50, repeats=2, judgements=1)
        >>> more_cases, more_repeats = Design(cases=100, repeats=2), Design(cases=50, repeats=5)
        >>> f"{parts.error_of(more_cases):.4f} {parts.error_of(more_repeats):.4f}"
        '0.0265 0.0283'
        """
        if self.repeat is None and design.repeats != self.repeats:
            raise ValueError("what a repeat adds was not measured: a case was answered once")
        if self.judgement is None and design.judgements != self.judgements:
            raise ValueError("what a judgement adds was not measured: an answer was judged once")
        answers = design.cases * design.repeats
        variance = self.case / design.cases + (self.repeat or 0.0) / answers
        return sqrt(variance + (self.judgement or 0.0) / (answers * design.judgements))


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How often is measured."""

    cases: float
    repeats: float = 1.0
    """Answers per case."""
    judgements: float = 1.0
    """Judgements per answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCosts:
    """What one more of each costs, in one currency."""

    case: Decimal
    """Finding, writing and labelling a case; 0 where cases are there for the taking."""
    answer: Decimal
    judgement: Decimal

    def of(self, design: Design) -> Decimal:
        cases, answers = Decimal(str(design.cases)), Decimal(str(design.cases * design.repeats))
        return cases * self.case + answers * (self.answer + Decimal(str(design.judgements)) * self.judgement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What a budget buys when it is spent on one source of noise."""

    source: Source
    more: int
    """So many more cases, or repeats per case, or judgements per answer, as the budget pays whole."""
    cost: Decimal
    design: Design
    error: float
    """The standard error afterwards, in the unit of the score."""


def variance_components(scores: "ArrayLike") -> Components | Undetermined:
    """Take the variance of scores, shape (cases, repeats, judgements), apart; NaN where one is missing.

    The numbers of repeats and judgements may vary. Estimated by equating mean squares to their expectations, which
    needs no distribution; an estimate below 0 is given as 0 and noted.
    Raises ValueError unless the table has three dimensions.
    Source: Searle, Casella & McCulloch (1992), "Variance Components", section 5.2 and appendix F (the unbalanced
    nested classification).

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(0, 1, (400, 1, 1)) + rng.normal(0, 2, (400, 4, 1))
    >>> parts = variance_components(truth + rng.normal(0, 0.5, (400, 4, 3)))
    >>> [round(part, 2) for part in (parts.case, parts.repeat, parts.judgement)]
    [1.0, 3.98, 0.25]
    """
    import numpy as np

    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 3:
        raise ValueError(f"scores stand in a table of cases, repeats and judgements; got shape {table.shape}")
    held = ~np.isnan(table)
    if np.isinf(table).any():
        return Undetermined(reason="not finite", why="a score is infinite", n=table.shape[0])
    judged = held.sum(axis=2).astype(np.float64)  # per answer
    answers, values = (judged > 0).sum(axis=1).astype(np.float64), judged.sum(axis=1)  # per case
    judged, answers, values, table = judged[values > 0], answers[values > 0], values[values > 0], table[values > 0]
    cases, all_answers, total = answers.size, float(answers.sum()), float(values.sum())
    if cases < 2:
        return Undetermined(
            reason="too few" if cases else "empty", why=f"{cases} cases with a score; 2 or more are needed", n=cases
        )
    centred = np.where(np.isnan(table), 0.0, table - np.nansum(table) / total)
    answer_sum, case_sum = centred.sum(axis=2), centred.sum(axis=(1, 2))
    raw = float((centred**2).sum())
    if raw <= 1e-20 * float(np.nansum(table**2)):
        return Undetermined(reason="no spread", why=f"all scores of {cases} cases are equal", n=cases)
    by_answer = float((answer_sum**2 / np.maximum(judged, 1)).sum())
    by_case = float((case_sum**2 / values).sum())
    # Sums of squares within answers, of answers within cases, of cases; their expectations in the three variances.
    square_of_answers = float((judged**2).sum())
    inside_case = float(((judged**2).sum(axis=1) / values).sum())
    notes: list[str] = []
    judgement = _part("judgement", (raw - by_answer), total - all_answers, notes)
    noise = judgement or 0.0
    rest = by_answer - by_case - (all_answers - cases) * noise
    repeat = _part("repeat", rest, total - inside_case, notes) if all_answers > cases else None
    shift = (inside_case - square_of_answers / total) * (repeat or 0.0) + (cases - 1) * noise
    case = _part("case", by_case - shift, total - float((values**2).sum()) / total, notes)
    assert case is not None  # two cases or more have a weight
    doubts = () if cases >= LEAST_CASES else (f"{cases} cases, and a variance between cases needs {LEAST_CASES}",)
    return Components(
        case=case,
        repeat=repeat,
        judgement=judgement,
        cases=cases,
        repeats=all_answers / cases,
        judgements=total / all_answers,
        notes=tuple(notes),
        doubts=doubts,
    )


def _part(name: str, squares: float, weight: float, notes: list[str]) -> float | None:
    """A variance from what is left of its sum of squares; None where nothing was repeated."""
    if weight <= 1e-9:
        return None
    if squares < -1e-9 * weight:
        notes.append(f"the {name} variance was estimated below 0 ({squares / weight:.3g}) and is taken as 0")
    return max(0.0, squares / weight)


def next_purchase(parts: Components, costs: UnitCosts, budget: Decimal) -> Sequence[Purchase]:
    """What `budget` buys spent on each source of noise alone, the smallest error first.

    "3 more repeats beat 50 more cases" when cases are dear and their answers vary. A source whose variance was not
    measured, or of which the budget pays none whole, is left out; so the answer may be empty.
    Raises ValueError unless the budget is positive and each cost that matters is.

    >>> parts = Components(case=0.01, repeat=0.16, judgement=0.0, cases=100, repeats=2, judgements=1)
    >>> costs = UnitCosts(case=Decimal("5"), answer=Decimal("0.8"), judgement=Decimal("0.03"))
    >>> for option in next_purchase(parts, costs, Decimal("332")):
    ...     print(f"{option.more} more {option.source}: {option.error:.4f}")
    4 more repeats: 0.0191
    49 more cases: 0.0246
    """
    if budget <= 0:
        raise ValueError(f"a budget is positive; got {budget}")
    now = Design(cases=parts.cases, repeats=parts.repeats, judgements=parts.judgements)
    answers = Decimal(str(now.cases * now.repeats))
    judged = costs.answer + Decimal(str(now.judgements)) * costs.judgement
    prices: dict[Source, Decimal] = {
        "cases": costs.case + Decimal(str(now.repeats)) * judged,
        "repeats": Decimal(parts.cases) * judged,
        "judgements": answers * costs.judgement,
    }
    unknown = {"repeats": parts.repeat is None, "judgements": not parts.judgement}
    options = []
    for source in SOURCES:
        if unknown.get(source, False):
            continue
        if prices[source] <= 0:
            raise ValueError(f"one more of the {source} costs nothing, so no budget ends them; got {costs}")
        if (more := floor(budget / prices[source])) >= 1:
            sizes = {kind: getattr(now, kind) + (more if kind == source else 0) for kind in SOURCES}
            design = Design(**sizes)
            options.append(
                Purchase(
                    source=source,
                    more=more,
                    cost=more * prices[source],
                    design=design,
                    error=parts.error_of(design),
                )
            )
    return sorted(options, key=lambda option: (option.error, option.cost))


def best_repeats(parts: Components, costs: UnitCosts) -> float | None:
    """The number of repeats per case that buys the smallest error for any budget, 1 or more and not whole.

    None where the variance of repeats was not measured. Infinite where cases do not differ.
    Source: Cochran (1977), "Sampling Techniques", section 10.6.

    >>> parts = Components(case=0.01, repeat=0.16, judgement=0.0, cases=100, repeats=2, judgements=1)
    >>> best_repeats(parts, UnitCosts(case=Decimal("9"), answer=Decimal("1"), judgement=Decimal("0")))
    12.0
    """
    if parts.repeat is None:
        return None
    inside = parts.repeat + (parts.judgement or 0.0) / parts.judgements
    each = costs.answer + Decimal(str(parts.judgements)) * costs.judgement
    if parts.case == 0:
        return float("inf")
    return max(1.0, sqrt(inside / parts.case * float(costs.case / each))) if each > 0 else float("inf")
