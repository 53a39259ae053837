"""Length, time, cost, tokens, and whether an answer was cut off."""

from decimal import Decimal
from typing import Any

import pytest

from evaluations.answers import Usage
from evaluations.scoring.base import Scored, Unscored
from evaluations.scoring.limits import count_sentences
from tests.evaluations.scoring.builders import a_case, an_answer, build, score, value


@pytest.mark.parametrize(
    ("name", "said", "count"),
    [
        ("character_count", "é a\n", 4),
        ("word_count", "it's 3 o_clock", 4),
        ("word_count", "", 0),
        ("sentence_count", "One. Two! Three?", 3),
        ("line_count", "a\n\n b \n", 2),
    ],
)
def test_lengths_are_counted(name: str, said: str, count: int) -> None:
    assert value(name, said, exactly=count) == 1.0
    assert value(name, said, less_than=count + 1, at_least=count) == 1.0
    assert value(name, said, less_than=count) == 0.0
    assert value(name, said, at_least=count + 1) == 0.0


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Who came, e.g. today. Did he? Yes", 3),
        ("Wait... what?! No.", 3),
        ('He said "Go." Then he left.', 2),
        ("Version 1.5 costs 3.50 euros.", 1),
        ("今日は。元気?", 2),
        ("J. R. R. Tolkien wrote it.", 1),
        ("This is it etc.", 1),
        ("...", 0),
        ("", 0),
    ],
)
def test_sentences_are_counted_by_their_ends(text: str, sentences: int) -> None:
    assert count_sentences(text) == sentences


def test_reasons_say_count_and_bounds() -> None:
    assert score("word_count", "one two", at_least=3, at_most=5).why == "2 words, wanted at least 3 and at most 5"
    assert score("word_count", "one", less_than=1).why == "1 word, wanted less than 1"
    assert score("line_count", "a\nb", exactly=1).why == "2 lines, wanted exactly 1"


def test_a_part_of_the_answer_may_be_counted() -> None:
    text = "Thinking a lot about it. Reply: Yes, we can."
    assert value("word_count", text, exactly=3, answer_after="Reply:") == 1.0
    assert value("word_count", "no reply", exactly=3, answer_after="Reply:") == 0.0


def test_length_is_compared_with_the_expected_text() -> None:
    assert value("length_ratio", "a b c", "a b", at_most=1.5) == 1.0
    told = score("length_ratio", "a b c d", "a b", at_most=1.5)
    assert told == Scored(0.0, "4 words, 2.00 times the 2 expected; wanted 0.5 to 1.5 times")
    assert value("length_ratio", "a", "...") is None


def test_readability_tells_plain_from_bureaucratic_english() -> None:
    plain = "We got your mail. We will send the new part to you on Monday. You do not have to pay for it. " * 3
    stiff = "Notwithstanding aforementioned administrative considerations, organisational responsibilities necessitate "
    assert value("readability", plain, at_least=80) == 1.0
    assert value("readability", stiff * 5, at_least=30) == 0.0
    assert value("readability", "Too short.") is None
    # 6 one-syllable words a sentence: 206.835 - 1.015 * 6 - 84.6 = 116.1.
    assert value("readability", "The cat sat on the mat. " * 6, at_least=116.1) == 1.0
    assert value("readability", "The cat sat on the mat. " * 6, at_least=116.2) == 0.0


@pytest.mark.parametrize(
    ("name", "settings", "fields", "result"),
    [
        ("latency", {"at_most_ms": 100}, {"latency_ms": 100.0}, 1.0),
        ("latency", {"at_most_ms": 100}, {"latency_ms": 100.1}, 0.0),
        ("latency", {"at_most_ms": 100}, {"latency_ms": None}, None),
        ("latency", {"at_most_ms": 100}, {"latency_ms": 5.0, "from_cache": True}, None),
        ("cost", {"at_most_usd": 0.1}, {"cost_usd": Decimal("0.1")}, 1.0),
        ("cost", {"at_most_usd": "0.1"}, {"cost_usd": Decimal("0.100000000001")}, 0.0),
        ("cost", {"at_most_usd": 0.1}, {"cost_usd": None}, None),
        ("tokens", {"at_most_output": 10}, {"usage": Usage(output_tokens=7, reasoning_tokens=3)}, 1.0),
        ("tokens", {"at_most_output": 10}, {"usage": Usage(output_tokens=7, reasoning_tokens=4)}, 0.0),
        ("tokens", {"at_most_input": 10}, {"usage": Usage(input_tokens=4, cached_tokens=7)}, 0.0),
        ("tokens", {"at_most_total": 10}, {"usage": Usage(input_tokens=4, output_tokens=6)}, 1.0),
        ("tokens", {"at_most_total": 10}, {"usage_known": False}, None),
        ("finished", {}, {"finish_reason": "stop"}, 1.0),
        ("finished", {}, {"finish_reason": "length"}, 0.0),
        ("finished", {}, {"finish_reason": "max_tokens"}, 0.0),
        ("finished", {}, {"finish_reason": None}, None),
    ],
)
def test_the_call_is_held_to_its_limits_and_the_unknown_is_never_a_pass(
    name: str, settings: dict[str, Any], fields: dict[str, Any], result: float | None
) -> None:
    told = build(name, settings).score(a_case(), an_answer("text", **fields))
    assert (told.value if isinstance(told, Scored) else None) == result


def test_reasons_of_limits_name_the_figures() -> None:
    slow = build("latency", {"at_most_ms": 800}).score(a_case(), an_answer("", latency_ms=1234.4))
    assert slow.why == "took 1,234 ms, wanted 800 or less"
    dear = build("cost", {"at_most_usd": 0.002}).score(a_case(), an_answer("", cost_usd=Decimal("0.0035")))
    assert dear.why == "cost $0.0035, wanted $0.002 or less"
    long = build("tokens", {"at_most_output": 5}).score(a_case(), an_answer("", usage=Usage(output_tokens=1200)))
    assert long.why == "1,200 output tokens, wanted 5 or fewer"
    cut = build("finished").score(a_case(), an_answer("and then we", finish_reason="length"))
    assert cut.why == "cut off at the token limit, ending 'and then we'"
    assert isinstance(build("cost", {"at_most_usd": 1}).score(a_case(), an_answer("")), Unscored)
