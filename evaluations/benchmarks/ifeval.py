"""Instructions of IFEval that a program can check, as assertions of a case.

Source: Zhou et al. (2023), "Instruction-Following Evaluation for Large Language Models", arXiv:2311.07911.
"""

from collections.abc import Callable, Mapping
from typing import Any

Assertion = Mapping[str, Any]


def _bound(relation: str, count: int) -> dict[str, int]:
    return {"at least": {"at_least": count}, "less than": {"less_than": count}}[relation]


ASSERTIONS: Mapping[str, Callable[[Mapping[str, Any]], Assertion]] = {
    "combination:repeat_prompt": lambda k: {
        "scorer": "starts_with",
        "expected": k["prompt_to_repeat"],
        "ignore_case": True,
    },
    "combination:two_responses": lambda k: {"scorer": "distinct_parts", "parts": 2, "separator": "******"},
    "detectable_content:number_placeholders": lambda k: {
        "scorer": "placeholder_count",
        "at_least": k["num_placeholders"],
    },
    "detectable_content:postscript": lambda k: {"scorer": "postscript", "marker": k["postscript_marker"]},
    "detectable_format:constrained_response": lambda k: {
        "scorer": "contains_some",
        "expected": ["My answer is yes.", "My answer is no.", "My answer is maybe."],
    },
    "detectable_format:json_format": lambda k: {"scorer": "json_valid", "wrapping": "fence"},
    "detectable_format:multiple_sections": lambda k: {
        "scorer": "section_count",
        "splitter": k["section_spliter"],
        "at_least": k["num_sections"],
    },
    "detectable_format:number_bullet_lists": lambda k: {"scorer": "bullet_count", "exactly": k["num_bullets"]},
    "detectable_format:number_highlighted_sections": lambda k: {
        "scorer": "highlight_count",
        "at_least": k["num_highlights"],
    },
    "detectable_format:title": lambda k: {"scorer": "title"},
    "keywords:existence": lambda k: {"scorer": "keywords", "keywords": k["keywords"]},
    "keywords:forbidden_words": lambda k: {"scorer": "no_forbidden_words", "words": k["forbidden_words"]},
    "keywords:frequency": lambda k: {
        "scorer": "keyword_count",
        "keyword": k["keyword"],
        **_bound(k["relation"], k["frequency"]),
    },
    "keywords:letter_frequency": lambda k: {
        "scorer": "letter_count",
        "letter": k["letter"],
        **_bound(k["let_relation"], k["let_frequency"]),
    },
    "length_constraints:nth_paragraph_first_word": lambda k: {
        "scorer": "paragraph_first_word",
        "word": k["first_word"],
        "paragraph": k["nth_paragraph"],
        "paragraphs": k["num_paragraphs"],
    },
    "length_constraints:number_paragraphs": lambda k: {
        "scorer": "paragraph_count",
        "separator": "***",
        "exactly": k["num_paragraphs"],
    },
    "length_constraints:number_words": lambda k: {
        "scorer": "word_count",
        **_bound(k["relation"], k["num_words"]),
    },
    "punctuation:no_comma": lambda k: {"scorer": "no_comma"},
    "startend:end_checker": lambda k: {"scorer": "ends_with", "expected": k["end_phrase"], "ignore_case": True},
    "startend:quotation": lambda k: {"scorer": "in_quotes"},
}
"""By kind of instruction; takes its `kwargs`. Kinds that are not here are left unchecked, and told of."""
