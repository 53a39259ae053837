"""What changed between two runs: each kind of change, the counts, the sentences."""

import doctest
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from evaluations import changes
from evaluations.changes import (
    CaseKey,
    ChangeKind,
    Measured,
    RunChanges,
    Seen,
    VariantChange,
    case_changes,
    causes_of,
    counted,
    differing,
    sentence_of,
)
from evaluations.verdicts import Verdict

KEY = CaseKey("c-1", "small")
MEASURED = Measured(
    passed=1, judged=2, answers=2, cost_usd=Decimal("0.5"), unpriced=0, cached=0, p50_ms=None, p95_ms=None
)


def a_variant_change(
    variant: str = "small", kinds: dict[ChangeKind, int] | None = None, differs: tuple[str, ...] = ()
) -> VariantChange:
    return VariantChange(variant=variant, before=MEASURED, now=MEASURED, kinds=kinds or {}, differs=differs)


NOTHING = RunChanges(
    baseline_id="7f3a", baseline_at=datetime(2026, 6, 27, tzinfo=UTC), differs=(), variants=(a_variant_change(),)
)


def test_the_examples_in_the_module_hold() -> None:
    assert doctest.testmod(changes) == (0, 4)


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        ("pass", "pass", None),
        ("pass", "fail", "newly failing"),
        ("pass", "flaky", "newly failing"),
        ("fail", "pass", "fixed"),
        ("flaky", "pass", "fixed"),
        ("fail", "flaky", "still failing"),
        ("flaky", "fail", "still failing"),
        ("fail", "fail", "still failing"),
        ("pass", "error", "not comparable"),
        ("fail", "error", "not comparable"),
        ("error", "fail", "not comparable"),
        ("skipped", "pass", "not comparable"),
        ("error", "error", None),
        ("skipped", "error", None),
    ],
)
def test_an_error_is_neither_a_new_failure_nor_a_repair(before: Verdict, now: Verdict, kind: ChangeKind | None) -> None:
    found = case_changes({KEY: Seen(before)}, {KEY: Seen(now)})
    assert [(each.kind, each.before, each.now) for each in found] == ([(kind, before, now)] if kind else [])


def test_cases_that_came_and_went_are_told_and_those_of_a_new_variant_are_not() -> None:
    before = {KEY: Seen("pass"), CaseKey("old", "small"): Seen("fail"), CaseKey("c-1", "dropped"): Seen("fail")}
    now = {KEY: Seen("pass"), CaseKey("new", "small"): Seen("fail"), CaseKey("c-1", "added"): Seen("fail")}
    found = case_changes(before, now)
    assert [(each.case_id, each.kind, each.before, each.now) for each in found] == [
        ("new", "new case", None, "fail"),
        ("old", "case gone", "fail", None),
    ]


def test_changes_come_in_the_order_of_interest_and_each_variant_is_counted_apart() -> None:
    cases: dict[str, tuple[Verdict, Verdict]] = {
        "c-1": ("fail", "fail"), "c-2": ("fail", "pass"), "c-3": ("pass", "fail"), "a-4": ("pass", "fail")
    }  # fmt: skip
    before = {CaseKey(case, variant): Seen(was) for case, (was, _) in cases.items() for variant in ("small", "large")}
    now = {key: Seen(cases[key.case_id][1]) for key in before}
    now[CaseKey("c-3", "large")] = Seen("pass")
    found = case_changes(before, now)
    assert [each.case_id for each in found if each.variant == "small"] == ["a-4", "c-3", "c-2", "c-1"]
    assert counted(found) == {
        "small": {"newly failing": 2, "fixed": 1, "still failing": 1},
        "large": {"newly failing": 1, "fixed": 1, "still failing": 1},
    }


def test_a_case_that_was_edited_under_its_id_is_marked() -> None:
    [change] = case_changes({KEY: Seen("pass", b"1")}, {KEY: Seen("fail", b"2")})
    assert change.edited
    [change] = case_changes({KEY: Seen("pass", b"1")}, {KEY: Seen("fail", b"1")})
    assert not change.edited


def test_what_differs_is_named() -> None:
    before = {"prompt": "a", "model": ("m", None), "gone": 1}
    assert differing(before, {"prompt": "b", "model": ("m", None), "parameters": {}}) == ("prompt", "parameters")


def test_the_sentence_counts_over_all_variants() -> None:
    some = replace(
        NOTHING,
        variants=(
            a_variant_change("small", {"newly failing": 2, "still failing": 1}),
            a_variant_change("large", {"newly failing": 1, "fixed": 1204, "case gone": 1}),
        ),
    )
    assert sentence_of(some) == "Since the last run: 3 newly failing, 1,204 fixed, 1 gone; 1 still fails."
    assert sentence_of(NOTHING) == "Since the last run: no case changed."


def test_the_causes_say_what_is_not_the_same_and_on_which_variants() -> None:
    assert causes_of(NOTHING) == "Dataset, prompts, models and scorers are the same."
    some = replace(
        NOTHING,
        differs=("dataset",),
        variants=(
            a_variant_change("small", differs=("prompt", "model that answered")),
            a_variant_change("large", differs=("prompt",)),
        ),
        variants_new=("mini",),
        variants_gone=("a", "b", "c", "d", "e"),
    )
    assert causes_of(some) == (
        "Not the same as then: the dataset, the prompt, the model that answered of small. New: mini. "
        "No longer there: a, b, c, d and 1 more."
    )
