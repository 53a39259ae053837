"""What vendors report becomes disjoint counts, whatever they mean by input and output."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.pricing import FEES, TOKEN_CLASSES
from evaluations.usage import Tokens, disjoint, narrowed, of_cohere, of_openai, tokens_of
from tests.evaluations.scoring.test_real_data import rows

COMMON = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cached",
    "cache_write_tokens": "cache_write",
    "cache_write_1h_tokens": "cache_write_1h",
    "input_audio_tokens": "input_audio",
    "cache_audio_read_tokens": "cached_audio",
    "input_image_tokens": "input_image",
    "cache_image_read_tokens": "cached_image",
    "input_video_tokens": "input_video",
    "cache_video_read_tokens": "cached_video",
    "output_reasoning_tokens": "reasoning",
    "output_audio_tokens": "output_audio",
    "output_image_tokens": "output_image",
    "web_searches": "web_searches",
}
"""The publisher's names, which count inclusively, and ours."""


def of_publisher(usage: Mapping[str, int]) -> Tokens:
    counts = {"input_tokens": 0, "output_tokens": 0}
    return disjoint(**counts | {COMMON[name]: count for name, count in usage.items() if name in COMMON})


def bodies() -> Iterator[Any]:
    return (body for body in rows("usage_pricing/bodies.jsonl.gz"))


def test_787_recorded_bodies_of_ten_vendors_are_read_as_their_publisher_read_them() -> None:
    read = without = 0
    for record in bodies():
        usage = record["body"].get("usage") or record["body"].get("usageMetadata")
        if usage is None:
            without += 1
            continue
        theirs = [of_publisher(each["usage"]) for each in record["extracted"]]
        assert tokens_of(usage) in theirs, record["body"]
        read += 1
    # Two bodies of an embedding service carry their billed units outside of any usage object.
    assert (read, without) == (787, 2)


def test_no_recorded_body_loses_a_token() -> None:
    whole, unexplained = 0, []
    for record in bodies():
        usage = record["body"].get("usage") or record["body"].get("usageMetadata") or {}
        totals = [usage[name] for name in ("total_tokens", "totalTokenCount", "totalTokens") if name in usage]
        if totals:
            counted = sum(count for name, count in tokens_of(usage).items() if name not in FEES)
            whole += counted == totals[0]
            unexplained += [record["body"]["model"]] if counted != totals[0] else []
    assert whole == 667
    # Its total counts thoughts that its parts do not name.
    assert unexplained == ["gemini-2.5-pro-preview-05-06"]


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        pytest.param(
            {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 60}},
            {"input": 40, "cached": 60, "output": 20},
            id="OpenAI's input contains the cache",
        ),
        pytest.param(
            {"input_tokens": 40, "output_tokens": 20, "cache_read_input_tokens": 60},
            {"input": 40, "cached": 60, "output": 20},
            id="Anthropic's input does not",
        ),
        pytest.param(
            {"inputTokens": 40, "outputTokens": 20, "cacheReadInputTokens": 60, "totalTokens": 120},
            {"input": 40, "cached": 60, "output": 20},
            id="nor does that of Bedrock",
        ),
        pytest.param(
            {"promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 20},
            {"input": 40, "cached": 60, "output": 20},
            id="Google's prompt does",
        ),
        pytest.param(
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7},
            {"input": 10, "output": 5, "reasoning": 7},
            id="Google's thoughts come on top of the answer",
        ),
        pytest.param(
            {
                "completion_tokens": 12,
                "prompt_tokens": 10,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            {"input": 10, "output": 5, "reasoning": 7},
            id="OpenAI's reasoning is in the output",
        ),
        pytest.param(
            {
                "completion_tokens": 5,
                "prompt_tokens": 10,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            {"input": 10, "output": 5, "reasoning": 7},
            id="that of xAI is not, as its total tells",
        ),
        pytest.param(
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6},
            {"input": 6, "cached": 4, "output": 5},
            id="DeepSeek's hits",
        ),
        pytest.param(
            {
                "input_tokens": 5,
                "output_tokens": 3,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            },
            {"input": 5, "cache_write": 10, "cache_write_1h": 20, "output": 3},
            id="both lives of Anthropic's cache writes",
        ),
        pytest.param(
            {"promptTokenCount": 9, "promptTokensDetails": [{"modality": "DOCUMENT", "tokenCount": 4}]},
            {"input": 5, "input_image": 4},
            id="documents are images of pages",
        ),
    ],
)
def test_each_vendor_means_its_own(usage: Mapping[str, Any], tokens: Mapping[str, int]) -> None:
    assert tokens_of(usage) == tokens


def test_cohere_is_paid_for_billed_units_and_not_for_its_templates() -> None:
    usage = {"billed_units": {"input_tokens": 4, "output_tokens": 2}, "tokens": {"input_tokens": 70}}
    assert of_cohere(usage) == {"input": 4, "output": 2}


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        ({"prompt_tokens": 5, "completion_tokens": -1}, "completion_tokens is -1"),
        ({"prompt_tokens": 5.5}, "prompt_tokens is 5.5"),
        ({"prompt_tokens": True}, "prompt_tokens is True"),
        ({"prompt_tokens": "5"}, "prompt_tokens is '5'"),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}, "input would be -1"),
        ({"prompt_tokens": 5, "prompt_tokens_details": 6}, "prompt_tokens_details is no object"),
        ({"tokens": 5}, "with the fields tokens"),
        ({}, r"\(none\)"),
    ],
)
def test_a_usage_that_cannot_be_is_refused_with_its_field(usage: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tokens_of(usage)


def test_counts_that_are_null_are_none() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": None, "prompt_tokens_details": None}
    assert of_openai(usage) == {"input": 5}


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_parts_sum_to_the_whole_that_was_reported(
    plain: int, cached: int, written: int, said: int, thought: int
) -> None:
    tokens = disjoint(
        input_tokens=plain + cached + written,
        output_tokens=said + thought,
        cached=cached,
        cache_write=written,
        reasoning=thought,
    )
    assert sum(tokens.values()) == plain + cached + written + said + thought
    assert all(count > 0 for count in tokens.values())


def test_narrowed_counts_keep_every_token_and_drop_the_fees() -> None:
    wide = disjoint(
        input_tokens=100, output_tokens=50, cached=30, cached_image=10, input_image=20, output_video=5, web_searches=2
    )
    kept = narrowed(wide)
    assert set(kept) <= set(TOKEN_CLASSES)
    assert kept == {"input": 70, "cached": 30, "output": 50}
