"""Fields of requests: documented one and all, and each one a column of the store."""

from pathlib import Path

import pytest

from evaluations.pricing import TOKEN_CLASSES
from evaluations.requests import BY_NAME, FIELDS, SERVICE_TIERS, limits, unknown_field
from tasks.store.schema import Base

DOCUMENT = Path(__file__).parents[2] / "docs" / "ingest.md"


def test_every_field_stands_in_the_documentation_as_it_is() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(("| `", "| **`"))]
    documented = rows[-len(FIELDS) :]
    marks = {True: "**", False: ""}
    assert documented == [
        f"| {marks[each.required]}`{each.name}`{marks[each.required]} | {each.says} | {limits(each)} |"
        for each in FIELDS
    ]


def test_every_field_is_a_column_of_requests() -> None:
    columns = set(Base.metadata.tables["requests"].columns.keys())
    assert set(BY_NAME) - columns == {"currency"}, "one currency alone is taken, so none is stored"
    assert {f"{each}_tokens" for each in TOKEN_CLASSES} == {each for each in columns if each.endswith("_tokens")}


def test_service_tiers_are_those_that_have_prices() -> None:
    from evaluations.pricing import SERVICES

    assert SERVICE_TIERS == SERVICES


@pytest.mark.parametrize(("name", "guess"), [("latency", "latency_ms"), ("input_token", "input_tokens"), ("zzz", "")])
def test_an_unknown_field_is_answered_with_the_nearest_one(name: str, guess: str) -> None:
    said = unknown_field(name)
    assert f"no field is called {name!r}" in said
    assert (f"did you mean {guess}?" in said) is bool(guess)
