"""Specs: what may be written, what it means, and what changes a hash."""

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from evaluations.specs import (
    PLAIN_PROMPT,
    ContractSpec,
    ModelSpec,
    PromptSpec,
    ScorerSpec,
    SuiteSpec,
    VariantSpec,
    canonical_json,
    content_hash,
    seconds,
    suite_hash,
    variants_of,
)


def a_suite(**given: Any) -> SuiteSpec:
    return SuiteSpec.model_validate({"suite": "s", "models": ["openai/small"], **given})


def a_prompt(**given: Any) -> PromptSpec:
    return PromptSpec.model_validate({"name": "p", "version": "1.0.0", "user": "{{ q }}", **given})


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("replay/answers/large.jsonl", "large"),
        ("replay/large.jsonl.gz", "large"),
        ("simulated/careful", "careful"),
        ("gpt-4", "gpt-4"),
    ],
)
def test_a_bare_model_id_is_labelled_by_its_last_part(model: str, label: str) -> None:
    assert ModelSpec.model_validate(model).name == label


@pytest.mark.parametrize(
    "given",
    [
        {"api_key": "hunter2hunter2"},
        {"parameters": {"extra_headers": {"Authorization": "hunter2hunter2"}}},
        {"parameters": {"extra": ["sk-hunter2hunter2"]}},
        {"api_base": "https://user:hunter2hunter2@example.test/v1"},
        {"api_base": "https://example.test/v1?api_key=hunter2hunter2"},
        {"api_key_env": "sk-hunter2hunter2"},
        {"api_key_env": "hunter2 hunter2"},
    ],
)
def test_a_secret_in_a_model_is_refused_and_never_repeated(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        ModelSpec.model_validate({"model": "openai/small", **given})
    assert "api_key_env" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_the_name_of_a_variable_that_holds_the_key_is_welcome() -> None:
    assert ModelSpec.model_validate({"model": "a/b", "api_key_env": "A_KEY"}).api_key_env == "A_KEY"


@pytest.mark.parametrize("text", ["10m", "600s", "0h10m", "9m60s"])
def test_ten_minutes_can_be_written_in_several_ways(text: str) -> None:
    assert seconds(text) == 600


@pytest.mark.parametrize("text", ["", "ten minutes", "10x", "m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        seconds(text)


def test_money_written_as_a_float_is_the_decimal_that_was_written() -> None:
    assert a_suite(max_cost=0.1).max_cost == Decimal("0.1")


@pytest.mark.parametrize(
    ("require", "repeats", "share"), [("all", 5, 1.0), ("2 of 3", 3, 2 / 3), (0.8, 5, 0.8), (1, 1, 1.0)]
)
def test_what_a_case_has_to_reach_is_a_share(require: Any, repeats: int, share: float) -> None:
    assert a_suite(require=require, repeats=repeats).required_share == pytest.approx(share)


@pytest.mark.parametrize("require", ["4 of 3", "most", 0, 1.5, True, None, "0 of 3"])
def test_an_impossible_requirement_is_refused(require: Any) -> None:
    with pytest.raises(ValidationError):
        a_suite(require=require, repeats=3)


def test_a_requirement_has_to_speak_of_the_repeats_there_are() -> None:
    with pytest.raises(ValidationError, match="speaks of 3 repeats and `repeats` is 5"):
        a_suite(require="2 of 3", repeats=5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"models": []}, "at least 1"),
        ({"models": ["openai/small", "azure/small"]}, "two of one model: small"),
        ({"scorers": ["exact", {"scorer": "exact", "ignore_case": True}]}, "two of one scorer: exact"),
        ({"parameters": [{"t": 1}, {"t": 1.0}]}, "two of one parameter set"),
        ({"models": [{"model": "a/b", "fallbacks": ["c"]}]}, "falls back to 'c'"),
        ({"models": [{"model": "a/b", "fallbacks": ["b"]}]}, "its own fallback"),
        ({"parameters": {"api_key": "hunter2hunter2"}}, "api_key_env"),
        ({"repeats": True}, "integer"),
        ({"repeats": 0}, "greater than or equal to 1"),
        ({"gates": {"pass_rate": 90}}, "less than or equal to 1"),
        ({"gates": {"pass_rate": True}}, "a number is wanted"),
        ({"scorers": [{"scorer": "exact", "severity": "fatal"}]}, "'blocker', 'major' or 'minor'"),
        ({"scorers": [{"scorer": "no such/name"}]}, "pattern"),
        ({"models": [{"model": "replay/a.jsonl", "transport": "direct"}]}, "not called over HTTP"),
        ({"max_cost": float("nan")}, "finite"),
    ],
)
def test_what_a_suite_may_not_say(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        a_suite(**given)


def test_unlisted_keys_of_a_scorer_are_its_settings() -> None:
    scorer = ScorerSpec.model_validate({"scorer": "word_count", "at_least": 3, "where": "long", "weight": 2})
    assert (scorer.name, scorer.settings, scorer.where, scorer.weight) == ("word_count", {"at_least": 3}, ("long",), 2)
    assert ScorerSpec.model_validate("my.module:Polite").name == "Polite"


def test_specs_survive_being_stored_as_json() -> None:
    suite = a_suite(
        models=["openai/small", {"model": "a/b", "timeout_s": "1m"}],
        scorers=["exact", {"scorer": "word_count", "at_least": 3}],
        parameters=[{"temperature": 0}, {"temperature": 0.7}],
        repeats=3,
        require="2 of 3",
        max_cost=0.1,
        gates={"cost_usd": 2.5},
    )
    again = SuiteSpec.model_validate(json.loads(suite.model_dump_json()))
    assert again == suite
    prompt = a_prompt(variables={"q": {"type": "list", "default": None}, "r": "text"}, few_shot=[])
    variants = variants_of(suite, [prompt])
    stored = [VariantSpec.model_validate(json.loads(variant.model_dump_json())) for variant in variants]
    assert [each.content_hash for each in stored] == [each.content_hash for each in variants]
    assert suite_hash(again, stored) == suite_hash(suite, variants)


def test_a_single_prompt_and_parameter_set_leave_the_variant_its_models_name() -> None:
    assert [v.label for v in variants_of(a_suite(models=["x/a", "x/b"]), [a_prompt()])] == ["a", "b"]


def test_variants_are_models_by_prompts_by_parameter_sets_named_by_what_differs() -> None:
    suite = a_suite(models=["x/a", "x/b"], parameters=[{"top_p": 1, "temperature": 0}, {"top_p": 1}])
    variants = variants_of(suite, [a_prompt(), a_prompt(version="1.1.0", user="!{{ q }}")])
    assert [variant.label for variant in variants] == [
        "a · p@1.0.0 · temperature=0",
        "a · p@1.0.0 · defaults",
        "a · p@1.1.0 · temperature=0",
        "a · p@1.1.0 · defaults",
        "b · p@1.0.0 · temperature=0",
        "b · p@1.0.0 · defaults",
        "b · p@1.1.0 · temperature=0",
        "b · p@1.1.0 · defaults",
    ]
    assert len({variant.content_hash for variant in variants}) == len(variants)


def test_two_prompts_of_one_name_and_number_are_refused() -> None:
    with pytest.raises(ValueError, match="raise the `version`"):
        variants_of(a_suite(), [a_prompt(), a_prompt(user="other {{ q }}")])


def test_parameters_of_the_set_go_before_the_models_and_those_before_the_prompts() -> None:
    suite = a_suite(models=[{"model": "x/a", "parameters": {"a": 2, "b": 2}}], parameters={"a": 3})
    [variant] = variants_of(suite, [a_prompt(parameters={"a": 1, "b": 1, "c": 1})])
    assert variant.parameters == {"a": 3, "b": 2, "c": 1}


def test_a_candidate_does_not_gate() -> None:
    suite = a_suite(models=["x/a", {"model": "x/b", "candidate": True}])
    assert [variant.gating for variant in variants_of(suite, [])] == [True, False]


def test_without_prompts_the_inputs_are_sent_as_they_are() -> None:
    assert variants_of(a_suite(), [])[0].prompt == PLAIN_PROMPT


@pytest.mark.parametrize(
    "change",
    [{"name": "other"}, {"version": "2.0.0"}, {"description": "d"}, {"changelog": "c"}],
)
def test_what_does_not_reach_the_model_leaves_the_prompts_hash(change: dict[str, Any]) -> None:
    assert a_prompt(**change).content_hash == a_prompt().content_hash


@pytest.mark.parametrize(
    "change",
    [
        {"user": "{{ q }} "},
        {"system": "s"},
        {"few_shot": [{"user": "a", "assistant": "b"}]},
        {"variables": {"q": "text"}},
        {"output_schema": {"type": "object"}},
        {"parameters": {"temperature": 0}},
    ],
)
def test_what_reaches_the_model_changes_the_prompts_hash(change: dict[str, Any]) -> None:
    assert a_prompt(**change).content_hash != a_prompt().content_hash


def test_a_user_message_is_the_same_prompt_however_it_is_written() -> None:
    written_out = PromptSpec.model_validate({"name": "p", "messages": [{"role": "user", "content": "{{ q }}"}]})
    assert written_out.content_hash == a_prompt().content_hash


@pytest.mark.parametrize(
    "model",
    [
        {"model": "openai/small", "name": "other"},
        {"model": "openai/small", "timeout_s": 5, "requests_per_minute": 10, "api_key_env": "K"},
    ],
)
def test_labels_and_limits_leave_a_variants_hash(model: dict[str, Any]) -> None:
    [before], [after] = variants_of(a_suite(), []), variants_of(a_suite(models=[model]), [])
    assert after.content_hash == before.content_hash


@pytest.mark.parametrize(
    "model",
    [
        {"model": "openai/smaller"},
        {"model": "openai/small", "api_base": "https://example.test"},
        {"model": "openai/small", "parameters": {"temperature": 0}},
        {"model": "openai/small", "max_output_tokens": 5},
    ],
)
def test_what_can_change_an_answer_changes_a_variants_hash(model: dict[str, Any]) -> None:
    [before], [after] = variants_of(a_suite(), []), variants_of(a_suite(models=[model]), [])
    assert after.content_hash != before.content_hash


def test_the_suite_hash_follows_the_judgement_and_not_the_pace() -> None:
    def hashed(**given: Any) -> str:
        suite = a_suite(**given)
        return suite_hash(suite, variants_of(suite, []))

    assert hashed(concurrency=3, max_cost=1, description="d", tags="t", author="a") == hashed()
    for change in ({"scorers": ["exact"]}, {"gates": {"blockers": 1}}, {"repeats": 2}, {"seed": 1}, {"require": "all"}):
        assert hashed(**change) != hashed()


@pytest.mark.parametrize(
    "given",
    [
        {"user": None},
        {"messages": [{"role": "user", "content": "x"}]},
        {"version": "1.0"},
        {"few_shot": [{"assistant": "b"}]},
        {"few_shot": [{"user": "a", "inputs": {}, "assistant": "b"}]},
        {"user": None, "messages": [{"role": "user"}]},
        {"user": None, "messages": [{"history": "h", "role": "user", "content": "x"}]},
        {"variables": {"not a name": "text"}},
        {"variables": {"q": "texts"}},
        {"usr": "x"},
    ],
)
def test_what_a_prompt_may_not_say(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        a_prompt(**given)


def test_canonical_json_knows_no_order_and_no_trailing_zero() -> None:
    assert canonical_json({"b": 1.0, "a": Decimal("2.50")}) == '{"a":"2.5","b":1}'
    assert content_hash({"a": 0, "b": 1}) == content_hash({"b": 1.0, "a": 0.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("inf"))


def test_a_contract_takes_one_file_and_any_argument_of_an_expectation() -> None:
    contract = ContractSpec.model_validate(
        {
            "cases": "a.csv",
            "expectations": [{"type": "expect_column_values_to_be_in_set", "column": "c", "value_set": [1]}],
        }
    )
    assert contract.cases == ("a.csv",)
    assert contract.expectations[0].arguments == {"column": "c", "value_set": [1]}
    with pytest.raises(ValidationError, match="names columns"):
        ContractSpec.model_validate({"fields": {"inputs": [1]}})
