"""Changes: what came out differently since the last run of the same suite, and what that may come from.

Facts only. Whether a change is more than chance is the business of comparisons, which need an interval and a margin.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from evaluations.verdicts import Verdict
from evaluations.wording import count

ChangeKind = Literal["newly failing", "fixed", "still failing", "not comparable", "new case", "case gone"]
CHANGE_KINDS: tuple[ChangeKind, ...] = (
    "newly failing",
    "fixed",
    "still failing",
    "not comparable",
    "new case",
    "case gone",
)
"""In the order of interest. What passed before and now is no change."""
FAILING: frozenset[Verdict] = frozenset(("fail", "flaky"))
"""A flaky case did not pass; an error or a skipped case says nothing about quality, before or now."""
MAX_CHANGES_KEPT = 1000


@dataclass(frozen=True, slots=True)
class CaseKey:
    """A case under a variant, named so that two runs can be laid side by side."""

    case_id: str
    variant: str


@dataclass(frozen=True, slots=True)
class Seen:
    """How a case ended in one run, and a hash of what the case was."""

    verdict: Verdict
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """One case under one variant, before and now."""

    case_id: str
    variant: str
    kind: ChangeKind
    before: Verdict | None
    """None for a new case."""
    now: Verdict | None
    """None for a case that is gone."""
    edited: bool = False
    """The case itself was edited in between, under the same id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one run measured of one variant."""

    passed: int
    judged: int
    """Cases that passed, failed or are flaky; the pass count's denominator."""
    answers: int
    cost_usd: Decimal
    """Sum over priced answers; what the cache served cost nothing."""
    unpriced: int
    cached: int
    p50_ms: float | None
    """None where no latency was measured."""
    p95_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantChange:
    """One variant that both runs had."""

    variant: str
    before: Measured
    now: Measured
    kinds: dict[ChangeKind, int]
    """Cases by kind of change; kinds without a case are left out."""
    differs: tuple[str, ...]
    """What is not the same as before: prompt, model, parameters, "model that answered"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChanges:
    """What changed from one run to the next of the same suite."""

    baseline_id: str
    baseline_at: datetime
    """When the earlier run was begun."""
    differs: tuple[str, ...]
    """What is not the same for all variants: dataset, scorers, repeats, required share."""
    variants: tuple[VariantChange, ...]
    variants_new: tuple[str, ...] = ()
    variants_gone: tuple[str, ...] = ()
    cases: tuple[CaseChange, ...] = field(default=())
    """At most MAX_CHANGES_KEPT, the most interesting first."""
    cases_left_out: int = 0

    def total(self, kind: ChangeKind) -> int:
        """Cases, counted once for each variant."""
        return sum(variant.kinds.get(kind, 0) for variant in self.variants)


def case_changes(before: Mapping[CaseKey, Seen], now: Mapping[CaseKey, Seen]) -> list[CaseChange]:
    """Every case that changed or still fails, most interesting kinds first, otherwise by name.

    Compares the variants that both runs had: cases of a new variant are not new cases.

    >>> key = CaseKey("c-1", "small")
    >>> [(change.kind, change.now) for change in case_changes({key: Seen("pass")}, {key: Seen("flaky")})]
    [('newly failing', 'flaky')]
    """
    common = {key.variant for key in before} & {key.variant for key in now}
    changes = []
    for key in {**before, **now}:
        if key.variant not in common:
            continue
        was, has = before.get(key), now.get(key)
        kind = _kind(was.verdict if was else None, has.verdict if has else None)
        if kind is not None:
            changes.append(
                CaseChange(
                    case_id=key.case_id,
                    variant=key.variant,
                    kind=kind,
                    before=was.verdict if was else None,
                    now=has.verdict if has else None,
                    edited=was is not None and has is not None and was.content != has.content,
                )
            )
    return sorted(changes, key=lambda each: (CHANGE_KINDS.index(each.kind), each.case_id, each.variant))


def _kind(before: Verdict | None, now: Verdict | None) -> ChangeKind | None:
    """None where there is nothing to say: passed before and now, or no verdict on quality either time."""
    if before is None:
        return "new case"
    if now is None:
        return "case gone"
    if now in FAILING:
        return "newly failing" if before == "pass" else "still failing" if before in FAILING else "not comparable"
    if now == "pass":
        return "fixed" if before in FAILING else None if before == "pass" else "not comparable"
    return "not comparable" if before in FAILING or before == "pass" else None


def counted(changes: Iterable[CaseChange]) -> dict[str, dict[ChangeKind, int]]:
    """Variant -> kind -> cases."""
    found: dict[str, Counter[ChangeKind]] = {}
    for change in changes:
        found.setdefault(change.variant, Counter())[change.kind] += 1
    return {variant: dict(kinds) for variant, kinds in found.items()}


def differing(before: Mapping[str, object], now: Mapping[str, object]) -> tuple[str, ...]:
    """The names under which two runs hold something else, in the order of the second."""
    return tuple(name for name in now if name not in before or before[name] != now[name])


def sentence_of(changes: RunChanges) -> str:
    """What changed, in one sentence of counts; with several variants a case counts once for each.

    >>> nothing = RunChanges(baseline_id="1f", baseline_at=datetime(2026, 6, 1), differs=(), variants=())
    >>> sentence_of(nothing)
    'Since the last run: no case changed.'
    """
    told = [
        f"{count(number)} {word}"
        for kind, word in _WORDS.items()
        if (number := changes.total(kind)) and kind != "still failing"
    ]
    still = changes.total("still failing")
    said = ", ".join(told) if told else "no case changed"
    if still:
        said += f"; {count(still)} still {'fails' if still == 1 else 'fail'}"
    return f"Since the last run: {said}."


_WORDS: dict[ChangeKind, str] = {
    "newly failing": "newly failing",
    "fixed": "fixed",
    "still failing": "still failing",
    "not comparable": "without a verdict before or now",
    "new case": "new",
    "case gone": "gone",
}


def causes_of(changes: RunChanges) -> str:
    """What is not the same as in the last run, so that a reader knows what a change may come from."""
    by_cause: dict[str, list[str]] = {}
    for variant in changes.variants:
        for cause in variant.differs:
            by_cause.setdefault(cause, []).append(variant.variant)
    everywhere = len(changes.variants)
    told = [f"the {cause}" for cause in changes.differs]
    told += [
        f"the {cause}" + ("" if len(labels) == everywhere else f" of {_names(labels)}")
        for cause, labels in by_cause.items()
    ]
    said = f"Not the same as then: {', '.join(told)}." if told else "Dataset, prompts, models and scorers are the same."
    if changes.variants_new:
        said += f" New: {_names(changes.variants_new)}."
    if changes.variants_gone:
        said += f" No longer there: {_names(changes.variants_gone)}."
    return said


def _names(labels: Iterable[str], most: int = 4) -> str:
    named = list(labels)
    more = f" and {count(len(named) - most)} more" if len(named) > most else ""
    return ", ".join(named[:most]) + more
