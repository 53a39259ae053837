"""From what a suite says to a scorer: what is refused, in which words, and what an editor is told."""

from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from evaluations.errors import AssayError
from evaluations.scoring import ASKING, SCORERS, build, catalogue, settings_schema
from evaluations.scoring.limits import Cost
from evaluations.scoring.negation import Not
from evaluations.scoring.numbers import Number
from evaluations.scoring.patterns import Keywords
from evaluations.specs import SCORER_KEYS
from tests.evaluations.scoring.test_every_scorer import NEEDED


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("exactt", {}, ["no scorer is named 'exactt'", "did you mean 'exact'?", "`assay scorers`"]),
        ("number", {"tolerence": 1}, ["'number'", "did you mean 'tolerance'?", "relative_tolerance"]),
        ("number", {"tolerance": -1}, ["'tolerance'", "0 or more", "-1"]),
        ("number", {"tolerance": "wide"}, ["'tolerance'", "wants a number", "'wide'"]),
        ("number", {"tolerance": float("nan")}, ["'tolerance'", "wants a number"]),
        ("number", {"take": "frist"}, ["did you mean 'first'?", "first, last, only"]),
        ("exact", {"ignore_case": "yes"}, ["'ignore_case'", "true or false", "'yes'"]),
        ("exact", {"ignore_case": 1}, ["'ignore_case'", "true or false"]),
        ("exact", {"answer_pattern": "(unclosed"}, ["'answer_pattern'", "regular expression", "(unclosed"]),
        ("exact", {"answer_pattern": ["fine", "*"]}, ["'answer_pattern'", "regular expression"]),
        ("exact", {"drop": 5}, ["'drop'", "wants text", "quotes"]),
        ("regex", {}, ["needs the setting 'pattern'", "regular expression"]),
        ("word_count", {}, ["exactly, at_least, at_most or less_than"]),
        ("word_count", {"at_least": 2.5}, ["'at_least'", "whole number", "2.5"]),
        ("word_count", {"at_least": 5, "at_most": 3}, ["at least 5 and at most 3"]),
        ("word_count", {"at_least": 5, "less_than": 5}, ["at least 5 and at most 4"]),
        ("word_count", {"at_least": True}, ["'at_least'", "whole number", "True"]),
        ("number_between", {"low": 5, "high": 3}, ["swap"]),
        ("json_schema", {"schema": {"type": "objekt"}}, ["no JSON Schema", "objekt", "$.type"]),
        ("json_schema", {"schema": "object"}, ["'schema'", "keys and values"]),
        ("letter_count", {"letter": "ab", "at_least": 1}, ["one sign", "'ab'"]),
        ("ordinal_label", {"labels": ["low"]}, ["two or more different labels"]),
        ("keywords", {"keywords": [""]}, ["'keywords'", "not empty"]),
        ("cost", {"at_most_usd": "free"}, ["'at_most_usd'", "0.002", "'free'"]),
        ("csv_table", {"delimiter": "::"}, ["delimiter", "one sign"]),
        ("no_pii", {"kinds": ["emial"]}, ["did you mean 'email'?"]),
        ("rubric", {}, ["needs the setting 'rubric'"]),
        ("code_passes", {"wall_second": 3}, ["did you mean 'wall_seconds'?"]),
    ],
)
def test_wrong_settings_are_named_with_what_would_do(name: str, settings: dict[str, Any], says: list[str]) -> None:
    with pytest.raises(AssayError) as refused:
        build(name, settings)
    for part in says:
        assert part in str(refused.value)


def test_settings_arrive_as_their_fields_want_them() -> None:
    assert build("number", {"tolerance": 1}) == Number(tolerance=1.0)
    assert build("cost", {"at_most_usd": 0.1}) == Cost(at_most_usd=Decimal("0.1"))
    assert build("keywords", {"keywords": "refund"}) == Keywords(keywords=("refund",))
    assert build("keywords", {"keywords": ["a", "b"]}) == Keywords(keywords=("a", "b"))


def test_a_scorer_is_its_own_record_of_how_it_scored() -> None:
    assert "tolerance=0.5" in repr(build("number", {"tolerance": 0.5}))


def test_negation_wraps_what_judges_by_itself_and_leaves_the_others_to_their_caller() -> None:
    assert isinstance(build("exact", {}, negate=True), Not)
    assert not isinstance(build("code_passes", {}, negate=True), Not)


@pytest.mark.parametrize("name", [*SCORERS, *ASKING])
def test_the_schema_of_settings_is_valid_and_describes_every_one(name: str) -> None:
    schema = settings_schema(name)
    Draft202012Validator.check_schema(schema)
    assert len(schema["description"]) > 15
    described = {key: entry["description"] for key, entry in schema["properties"].items()}
    if name in SCORERS:  # judges and code are described by their own authors
        assert all(text != key and len(text) > 5 for key, text in described.items()), described
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("name", SCORERS)
def test_what_the_schema_allows_can_be_built(name: str) -> None:
    schema = settings_schema(name)
    assert Draft202012Validator(schema).is_valid(dict(NEEDED.get(name, {})))
    assert ("required" in schema) <= (name in NEEDED)
    assert not Draft202012Validator(schema).is_valid({**NEEDED.get(name, {}), "no_such_setting": 1})


@pytest.mark.parametrize("name", [*SCORERS, *ASKING])
def test_no_setting_is_named_like_a_key_of_every_scorer_entry(name: str) -> None:
    assert not SCORER_KEYS & set(settings_schema(name)["properties"])


def test_the_schema_carries_defaults_limits_and_choices() -> None:
    settings = settings_schema("number")["properties"]
    assert settings["tolerance"] == {
        "type": "number",
        "minimum": 0,
        "default": 0.0,
        "description": "Largest absolute difference that still counts as equal.",
    }
    assert settings["take"]["enum"] == ["first", "last", "only"]
    assert settings_schema("regex")["required"] == ["pattern"]


def test_the_catalogue_names_family_and_purpose_of_each_scorer() -> None:
    entries = {name: (family, line) for name, family, line in catalogue()}
    assert set(entries) == {*SCORERS, *ASKING}
    assert entries["exact"] == ("text", "The answer is the expected text, white space at the ends aside.")
    assert entries["rubric"][0] == "judges"


def test_the_halves_of_asking_scorers_are_those_of_their_own_registry() -> None:
    from evaluations.scoring.judges import JUDGES

    assert {name: ASKING[name] for name in JUDGES} == dict(JUDGES)


def test_listing_scorers_imports_no_family() -> None:
    import subprocess
    import sys

    program = (
        "import sys, evaluations.scoring as s; assert 'exact' in s.SCORERS and len(list(s.SCORERS)) > 40;"
        "print([m for m in sys.modules if m.startswith('evaluations.scoring.') or m in"
        " ('numpy', 'sacrebleu', 'rapidfuzz', 'jsonschema', 'regex', 'nltk')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(eval(done.stdout))
    assert not loaded & {"numpy", "sacrebleu", "rapidfuzz", "jsonschema", "regex", "nltk"}
    assert not loaded & {f"evaluations.scoring.{SCORERS.family(name)}" for name in SCORERS}
