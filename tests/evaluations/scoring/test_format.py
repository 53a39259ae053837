"""How an answer is laid out."""

from typing import Any

import pytest

from tests.evaluations.scoring.builders import score, value

TABLE = "Here:\n\n| Name | Age |\n|:-----|----:|\n| Jo | 3 |\n| Al | 4 |\n"
FENCED = "Run this:\n```python\nprint(1)\n```\n"


@pytest.mark.parametrize(
    ("name", "said", "settings", "count"),
    [
        ("bullet_count", "- a\n* b\n  - c\n** d\n1. e", {}, 3),
        ("bullet_count", "- a\n1. e\n2) f", {"numbered": True}, 3),
        ("paragraph_count", "a\n\nb\n \n\nc\n", {}, 3),
        ("paragraph_count", "a\n***\nb *** \n", {"separator": "***"}, 2),
        ("highlight_count", "*one* and **two** but not ** ** or * *", {}, 2),
        ("section_count", "SECTION 1 a SECTION2 b Section 3", {"splitter": "SECTION"}, 2),
        ("heading_count", "# a\n## b\n#c\ntext # d", {}, 2),
        ("placeholder_count", "[a] [b c] [d\ne]", {}, 2),
        ("letter_count", "Ananas", {"letter": "A"}, 3),
        ("letter_count", "wow!!!", {"letter": "!"}, 3),
        ("capital_word_count", "NASA and the UN, A B", {}, 4),
        ("emoji_count", "ok 👍🏽 👩‍👩‍👧 🇩🇪 ☀️", {}, 4),
        ("question_count", "Who? What?? Fine.", {}, 2),
    ],
)
def test_things_are_counted(name: str, said: str, settings: dict[str, Any], count: int) -> None:
    assert score(name, said, exactly=count, **settings).why == ""
    assert value(name, said, exactly=count + 1, **settings) == 0.0


@pytest.mark.parametrize(
    ("name", "said", "settings", "result"),
    [
        ("paragraph_first_word", 'One.\n\n"Two" it is', {"word": "two", "paragraph": 2}, 1.0),
        ("paragraph_first_word", "One.\n\nTwo", {"word": "two", "paragraph": 2, "paragraphs": 3}, 0.0),
        ("paragraph_first_word", "One.", {"word": "two", "paragraph": 2}, 0.0),
        ("title", "<<On time>>\ntext", {}, 1.0),
        ("title", "<< >>", {}, 0.0),
        ("title", "# On time\ntext", {}, 0.0),
        ("title", "# On time\ntext", {"style": "heading"}, 1.0),
        ("title", "text\n# On time", {"style": "heading"}, 0.0),
        ("title", "<<a>>", {"style": "either"}, 1.0),
        ("postscript", "Bye\nP.S. one more", {}, 1.0),
        ("postscript", "Bye\np. s. one more", {}, 1.0),
        ("postscript", "Bye\nP.S. one more", {"marker": "P.P.S"}, 0.0),
        ("in_quotes", ' "all of it" ', {}, 1.0),
        ("in_quotes", '"some" of it', {}, 0.0),
        ("in_quotes", '"', {}, 0.0),
        ("in_quotes", "„alles“", {}, 0.0),
        ("in_quotes", "„alles“", {"typographic": True}, 1.0),
        ("distinct_parts", "one ****** two", {}, 1.0),
        ("distinct_parts", "****** one ****** two ******", {}, 1.0),
        ("distinct_parts", "one ****** one", {}, 0.0),
        ("distinct_parts", "one ****** ****** two", {}, 0.0),
        ("distinct_parts", "one", {}, 0.0),
        ("distinct_parts", "", {}, 0.0),
        ("no_comma", "fine; really", {}, 1.0),
        ("no_comma", "fine, really", {}, 0.0),
        ("no_comma", " ", {}, 0.0),
        ("no_comma", "fine; really", {"signs": ";!"}, 0.0),
        ("all_capitals", "ALL 4 OF IT", {}, 1.0),
        ("all_capitals", "All of it", {}, 0.0),
        ("all_capitals", "123", {}, 0.0),
        ("all_lowercase", "all 4 of it", {}, 1.0),
        ("all_lowercase", "All of it", {}, 0.0),
        ("code_fence", FENCED, {}, 1.0),
        ("code_fence", FENCED, {"language": "Python"}, 1.0),
        ("code_fence", FENCED, {"language": "sql"}, 0.0),
        ("code_fence", "```python\nprint(1)", {}, 0.0),
        ("code_fence", "```\n\n```", {}, 0.0),
        ("markdown_table", TABLE, {"columns": ["name", "age"], "rows_at_least": 2}, 1.0),
        ("markdown_table", TABLE, {"columns": ["age", "name"]}, 0.0),
        ("markdown_table", TABLE, {"rows_at_least": 3}, 0.0),
        ("markdown_table", "a | b\nc | d", {}, 0.0),
        ("plain_text", "Dear Jo,\n\nall is well: 2 * 3 * 4 = 24. a_b_c\n\nYours", {}, 1.0),
        ("plain_text", "**Dear** Jo", {}, 0.0),
        ("plain_text", "- one", {}, 0.0),
        ("plain_text", "see [this](http://x)", {}, 0.0),
        ("plain_text", TABLE, {}, 0.0),
        ("no_preamble", "Sure, here you are: 4", {}, 0.0),
        ("no_preamble", "Here is the list", {}, 0.0),
        ("no_preamble", "Surely the list is long", {}, 1.0),
        ("no_preamble", "4", {}, 1.0),
        ("written_in", "Привет, мир", {"script": "cyrillic"}, 1.0),
        ("written_in", "Привет ab", {"script": "cyrillic"}, 0.75),
        ("written_in", "これは漢字です", {"script": "japanese"}, 1.0),
        ("written_in", "123", {"script": "latin"}, None),
        ("written_in", "x = 12345678", {"script": "latin", "at_least_letters": 0.5}, None),
    ],
)
def test_layout_is_judged(name: str, said: str, settings: dict[str, Any], result: float | None) -> None:
    assert value(name, said, **settings) == result


@pytest.mark.parametrize(
    ("name", "said", "settings", "why"),
    [
        ("bullet_count", "- a", {"at_least": 2}, "1 bullet, wanted at least 2"),
        ("capital_word_count", "NASA", {"at_most": 0}, "1 capital word, wanted at most 0"),
        ("no_comma", "a, b, c", {}, "',' occurs 2 times"),
        ("all_capitals", "ALL of IT", {}, "not in capitals: 'of'"),
        ("all_capitals", "123", {}, "there are no letters"),
        ("title", "text", {}, "no title in 'text'"),
        ("markdown_table", TABLE, {"columns": "x"}, "wanted the columns 'x', said 'Name', 'Age'"),
        ("written_in", "Привет ab", {"script": "cyrillic"}, "75% of the letters are cyrillic; 'a' is not"),
        ("no_preamble", "Sure! 4", {}, "opens with 'Sure! 4'"),
        ("paragraph_first_word", "One.", {"word": "two"}, "paragraph 1 begins with 'one', wanted 'two'"),
    ],
)
def test_reasons_say_what_was_found(name: str, said: str, settings: dict[str, Any], why: str) -> None:
    assert score(name, said, **settings).why == why
