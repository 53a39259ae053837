"""JSON as models write it, tool calls, CSV."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.scoring.base import Scored, Unscored
from evaluations.scoring.jsontext import NOTHING, at_path, difference, json_in, salvaged
from tests.evaluations.scoring.builders import score, value

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Sure!\n```json\n{"a": "}{"}\n```\nDone {x}.', {"a": "}{"}),
        ('first {x} then {"a": 1}', {"a": 1}),
        ('broken {"a": {"b": 1} "c"} and {"d": 2}', {"d": 2}),
        ('opened { and then {"a": 1}', {"a": 1}),
        ("a list: [1, 2]", [1, 2]),
        ('[1] then {"a": 1}', {"a": 1}),
        ("[1, 2]", [1, 2]),
        ('cut off {"a": 1', NOTHING),
        ("no json", NOTHING),
        ('{"a": NaN}', NOTHING),
        ("", NOTHING),
    ],
)
def test_the_first_balanced_object_is_taken_out_of_prose(text: str, found: Any) -> None:
    assert json_in(text) == found


@given(st.dictionaries(st.text(), JSON, max_size=4), st.sampled_from([None, 2]))
def test_every_object_is_found_in_prose_again(given_object: dict[str, Any], indent: int | None) -> None:
    prose = f"Here you are:\n\n```json\n{json.dumps(given_object, indent=indent)}\n```\nDoes this help?"
    assert json_in(prose) == given_object


@given(JSON)
def test_a_value_differs_from_itself_in_nothing(one: Any) -> None:
    assert difference(one, json.loads(json.dumps(one))) is None


@given(JSON, JSON)
def test_a_difference_is_told_from_both_sides_or_neither(one: Any, other: Any) -> None:
    assert (difference(one, other) is None) is (difference(other, one) is None)


def test_deep_nesting_is_no_crash() -> None:
    assert json_in("[" * 100_000 + "]" * 100_000) is NOTHING
    deep = '{"a":' * 600 + "1" + "}" * 600
    assert isinstance(score("json_equals", deep, json.loads(deep)), Scored | Unscored)
    assert isinstance(score("json_schema", deep, schema={"properties": {"a": {"$ref": "#"}}}), Scored | Unscored)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", {"b": [10, {"c": 5}], "d.e": 7}),
        ("a.b[0]", 10),
        ("a.b[-1].c", 5),
        ("a.b.1.c", 5),
        ("a.b[9]", NOTHING),
        ("a.x", NOTHING),
        ("a.b.c", NOTHING),
        ("x.y", 3),
        ("", {"a": {"b": [10, {"c": 5}], "d.e": 7}, "x.y": 3}),
    ],
)
def test_paths_lead_through_objects_and_lists(path: str, found: Any) -> None:
    assert at_path({"a": {"b": [10, {"c": 5}], "d.e": 7}, "x.y": 3}, path) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"r": "bad "quote", "answer": "14,000"\n}', "14,000"),
        ('{"answer" : 42}', "42"),
        ('{"answer": 42,\n "x": }', "42"),
        ('{"answer": "cut off', "cut off"),
        ('"answer": 1 ... "answer": 2', "2"),
        ('the "answer" field', NOTHING),
        ('answer": 5', NOTHING),
    ],
)
def test_a_field_is_salvaged_from_what_is_no_json(text: str, found: Any) -> None:
    got = salvaged(text, "answer")
    assert got is NOTHING if found is NOTHING else str(got).startswith(found)


PERSON = {"type": "object", "required": ["name"], "properties": {"age": {"type": "integer", "minimum": 0}}}


@pytest.mark.parametrize(
    ("name", "said", "expected", "settings", "result"),
    [
        ("json_valid", '```json\n{"a": 1}\n```', None, {}, 1.0),
        ("json_valid", 'x {"a": 1}', None, {}, 0.0),
        ("json_valid", 'x {"a": 1}', None, {"wrapping": "prose"}, 1.0),
        ("json_valid", '```json\n{"a": 1}\n```', None, {"wrapping": "none"}, 0.0),
        ("json_valid", "12", None, {}, 1.0),
        ("json_valid", "12", None, {"kind": "object"}, 0.0),
        ("json_valid", "[]", None, {"kind": "array"}, 1.0),
        ("json_schema", 'So: {"name": "Jo", "age": 3}', None, {"schema": PERSON}, 1.0),
        ("json_schema", '{"name": "Jo", "age": -3}', None, {"schema": PERSON}, 0.0),
        ("json_schema", "none", None, {"schema": PERSON}, 0.0),
        ("json_schema", "{}", None, {"schema": {"$ref": "https://example.com/other.json"}}, None),
        ("json_keys", '{"a": 1, "b": {"c": null}}', None, {"keys": ["a", "b.c", "d", "b"]}, 0.5),
        ("json_keys", '{"a": 1, "b": {"c": null}}', None, {"keys": ["a", "b.c"], "allow_null": True}, 1.0),
        ("json_equals", '{"b": [1, 2], "a": 1.0}', {"a": 1, "b": [1, 2]}, {}, 1.0),
        ("json_equals", '{"a": 1}', '{"a": 1}', {}, 1.0),
        ("json_equals", '{"a": true}', {"a": 1}, {}, 0.0),
        ("json_equals", '{"a": "X"}', {"a": "x"}, {"ignore_case": True}, 1.0),
        ("json_equals", '{"a": [2, 1]}', {"a": [1, 2]}, {"ignore_order": True}, 1.0),
        ("json_equals", '{"a": [2, 1]}', {"a": [1, 2]}, {}, 0.0),
        ("json_equals", '{"a": 1, "x": 2}', {"a": 1}, {}, 0.0),
        ("json_equals", '{"a": 1, "x": 2}', {"a": 1}, {"ignore_extra": True}, 1.0),
        ("json_equals", '{"a": 1.004}', {"a": 1}, {"tolerance": 0.01}, 1.0),
        ("json_equals", "no json", {"a": 1}, {}, 0.0),
        ("json_equals", "no json", {"a": 1}, {"missing": "unscored"}, None),
        ("json_field", '{"answer": {"n": [4]}}', [4], {"path": "answer.n"}, 1.0),
        ("json_field", '{"answer": 4}', 4, {"path": "answer"}, 1.0),
        ("json_field", '{"answer": 4}', "4", {"path": "answer"}, 1.0),
        ("json_field", '{"answer": "4"}', 4, {"path": "answer"}, 0.0),
        ("json_field", '{"answer": 4}', {"gold": 4}, {"path": "answer", "expected_field": "gold"}, 1.0),
        ("json_field", "{}", 4, {"path": "answer"}, 0.0),
        ("json_fields", '{"a": 1, "b": 9, "z": 0}', {"a": 1, "b": 2}, {}, 0.5),
        ("json_fields", '{"a": 1, "b": 9}', {"a": 1, "b": 2}, {"fields": "a"}, 1.0),
        ("json_fields", '{"a": 1}', {"a": 1}, {"fields": ["a", "q"]}, None),
        ("json_fields", '{"a": 1}', [1], {}, None),
        ("tool_call", '{"name": "f", "arguments": {"x": 1}}', {"name": "f", "arguments": {"x": 1}}, {}, 1.0),
        (
            "tool_call",
            '{"tool_calls": [{"function": {"name": "f", "arguments": "{\\"x\\": 1}"}}]}',
            {"name": "f", "arguments": {"x": 1}},
            {},
            1.0,
        ),
        ("tool_call", '{"name": "f", "input": {"x": 2, "y": 3}}', {"name": "f", "args": {"x": 1, "y": 3}}, {}, 0.75),
        ("tool_call", '{"name": "g", "input": {"x": 1}}', {"name": "f", "args": {"x": 1}}, {}, 0.0),
        ("tool_call", "I would call f", {"name": "f"}, {}, 0.0),
        ("tool_call", '{"name": "f"}', "no call", {}, None),
        ("csv_table", "a,b\n1,2\n3,4", None, {"columns": ["a", "b"], "rows": 2}, 1.0),
        ("csv_table", "```csv\na,b\n1,2\n```", None, {"columns": ["a", "b"]}, 1.0),
        ("csv_table", "a,b\n1,2,3", None, {}, 0.0),
        ("csv_table", "a;b\n1;2", None, {"delimiter": ";", "columns": ["a", "c"]}, 0.0),
    ],
)
def test_structured_answers_are_judged(
    name: str, said: str, expected: Any, settings: dict[str, Any], result: float | None
) -> None:
    assert value(name, said, expected, **settings) == result


@pytest.mark.parametrize(
    ("name", "said", "expected", "settings", "why"),
    [
        (
            "json_schema",
            '{"name": "Jo", "age": -3}',
            None,
            {"schema": PERSON},
            "age: '-3 is less than the minimum of 0'",
        ),
        ("json_equals", '{"a": {"b": 2}}', {"a": {"b": 1}}, {}, "a.b is 2 instead of 1"),
        ("json_equals", '{"a": [1]}', {"a": [1, 2]}, {}, "a has 1 items instead of 2"),
        ("json_equals", "{}", {"a": 1}, {}, "a is missing"),
        ("json_field", "{}", 4, {"path": "answer"}, "no JSON field 'answer' in '{}'"),
        ("json_fields", '{"a": 5}', {"a": 1, "b": 2}, {}, "a is 5 instead of 1; b is missing"),
        ("json_keys", "{}", None, {"keys": ["a"]}, "lacks 'a'"),
        ("csv_table", "a,b\n1", None, {}, "row 2 has 1 cell, the header 2"),
    ],
)
def test_reasons_name_the_place(name: str, said: str, expected: Any, settings: dict[str, Any], why: str) -> None:
    assert score(name, said, expected, **settings).why == why
