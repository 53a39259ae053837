"""What holds for every scorer: no text can crash it, its values are shares, its reasons can be printed and stored."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields, is_dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluations.answers import Usage
from evaluations.scoring import SCORERS
from evaluations.scoring.base import Scored, Scorer, Unscored
from evaluations.scoring.negation import Not
from tests.evaluations.scoring.builders import a_case, an_answer, build

NEEDED: Mapping[str, Mapping[str, Any]] = {
    "occurrences": {"text": "a", "at_most": 3},
    "number_between": {"low": -1, "high": 10},
    "number_error": {"scale": 5},
    "label": {"labels": ["yes", "no", "may be"], "several": "first"},
    "ordinal_label": {"labels": ["low", "mid", "high"]},
    "one_of": {"labels": ["yes", "no"]},
    "json_schema": {"schema": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}},
    "json_keys": {"keys": ["a", "b.c[0]"]},
    "json_field": {"path": "a"},
    "regex": {"pattern": r"(\w+)\s\1"},
    "regex_count": {"pattern": r"\d+", "at_least": 1},
    "keywords": {"keywords": ["a", "ß"]},
    "keyword_count": {"keyword": "a", "at_least": 1},
    "no_forbidden_words": {"words": ["a", "É"]},
    "links": {"allowed": ["example.com"]},
    "labels_f1": {"labels": ["red", "green"]},
    "latency": {"at_most_ms": 100},
    "cost": {"at_most_usd": 0.01},
    "tokens": {"at_most_output": 10},
    "paragraph_first_word": {"word": "a"},
    "letter_count": {"letter": "e", "at_least": 1},
    "written_in": {"script": "latin"},
    **{
        name: {"at_least": 1, "at_most": 5}
        for name in (
            "character_count",
            "word_count",
            "sentence_count",
            "line_count",
            "item_count",
            "bullet_count",
            "paragraph_count",
            "highlight_count",
            "section_count",
            "heading_count",
            "placeholder_count",
            "capital_word_count",
            "emoji_count",
            "question_count",
        )
    },
}
"""Settings of the scorers that cannot do without."""
READING: Mapping[str, Any] = {
    "answer_field": "a",
    "answer_field_salvage": True,
    "answer_pattern": [r"A: (.*)$", r"(\d+)|(x)"],
    "answer_take": "first",
}
NO_TEXT_NEEDED = {"latency", "cost", "tokens", "finished"}

ODD_TEXT = st.one_of(
    st.text(max_size=80),
    st.text(alphabet=st.characters(), max_size=60),  # surrogates, too
    st.text(alphabet='{}[]()":,.*-_#`|<>\\/@+0123456789eE \n\t\r\0\x1b\u2028\ud800aA', max_size=120),
    st.sampled_from(["", " ", "\0", "\ud800", "null", "NaN", "1e999", "-", "[[[[", '{"a": 1}', '{"a": {}}', "A: 4"]),
)
ODD_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ODD_TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


def every_scorer(name: str) -> list[Scorer]:
    """The scorer as it is, with all that can be read otherwise, and negated."""
    needed = dict(NEEDED.get(name, {}))
    known = {field.name for field in fields(SCORERS[name])}  # type: ignore[arg-type]
    reading = {key: value for key, value in READING.items() if key in known}
    return [build(name, needed), build(name, {**reading, **needed}), build(name, needed, negate=True)]


@pytest.mark.parametrize("name", SCORERS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=ODD_TEXT, expected=ODD_VALUES)
def test_no_text_and_no_expectation_can_crash_a_scorer(name: str, said: str, expected: Any) -> None:
    for scorer in every_scorer(name):
        score = scorer.score(a_case(expected), an_answer(said))
        assert isinstance(score, Scored | Unscored)
        if isinstance(score, Scored):
            assert 0.0 <= score.value <= 1.0
        if not isinstance(score, Scored) or score.value < 1.0:
            assert score.why, "whatever is not full marks says why"
        assert "\n" not in score.why
        assert "\0" not in score.why
        score.why.encode("utf-8")
        assert len(score.why) < 1000


@pytest.mark.parametrize("name", SCORERS)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=ODD_TEXT, expected=ODD_VALUES)
def test_negating_twice_changes_nothing(name: str, said: str, expected: Any) -> None:
    scorer = every_scorer(name)[0]
    once = Not(scorer).score(a_case(expected), an_answer(said))
    twice = Not(Not(scorer)).score(a_case(expected), an_answer(said))
    plain = scorer.score(a_case(expected), an_answer(said))
    if isinstance(plain, Unscored):
        assert once == twice == plain
    else:
        assert isinstance(once, Scored)
        assert isinstance(twice, Scored)
        assert once.value == 1 - plain.value
        assert twice.value == pytest.approx(plain.value, abs=1e-15)


LONG = {
    "words": "some words of an answer, and more. " * 3_000,
    "one letter": "a" * 100_000,
    "open brackets": "[{(<" * 25_000,
    "stars and dashes": "*-_#" * 25_000,
    "full stops": "." * 100_000 + "x",
    "quotation marks": '"\\' * 50_000,
    "digits": "+1234567890 " * 8_000,
    "spaces": " \n" * 50_000 + "x",
    "at signs": "a@" * 50_000,
    "angle brackets": "<" * 100_000,
    "back ticks": "`" * 100_000,
}


@pytest.mark.timeout(300)  # seconds are enough; what is quadratic would take an hour
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_hundred_thousand_signs_of_anything_are_judged_without_getting_stuck(text: str) -> None:
    for name in SCORERS:
        score = every_scorer(name)[0].score(a_case("some text to compare with"), an_answer(text))
        assert isinstance(score, Scored | Unscored)


def test_there_are_well_over_forty_scorers_each_with_a_line_of_its_own() -> None:
    from evaluations.scoring import catalogue

    lines = [line for _, _, line in catalogue()]
    assert len(SCORERS) >= 100
    assert len(set(lines)) == len(lines)
    assert all(20 <= len(line) <= 240 for line in lines), [line for line in lines if not 20 <= len(line) <= 240]


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_is_a_frozen_dataclass_with_version_and_threshold(name: str) -> None:
    kind = SCORERS[name]
    assert is_dataclass(kind)
    assert isinstance(kind.version, str)
    assert 0 < kind.default_threshold <= 1
    scorer = every_scorer(name)[0]
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        scorer.missing = "right"
    assert scorer == every_scorer(name)[0]


@pytest.mark.parametrize("name", [name for name in SCORERS if name not in NO_TEXT_NEEDED])
def test_a_call_without_answer_is_never_scored(name: str) -> None:
    for scorer in every_scorer(name):
        assert isinstance(scorer.score(a_case("x"), an_answer(None, error="timeout")), Unscored)


def test_scorers_of_the_call_work_without_a_text() -> None:
    answer = an_answer(
        None, latency_ms=90.0, cost_usd=Decimal("0.001"), usage=Usage(output_tokens=5), finish_reason="stop"
    )
    for name in NO_TEXT_NEEDED:
        assert build(name, NEEDED.get(name, {})).score(a_case(), answer) == Scored(1.0)
