"""How vendors report usage, read into disjoint token classes.

The same words mean different things: OpenAI's input contains the cached tokens and Anthropic's does not; OpenAI's
output contains the reasoning and Google's does not. A reader takes the usage object of a reply as it came and gives
counts that sum to what was billed. It raises ValueError, with the field, on a count that is no whole number from
zero up or on parts that are more than their whole: such a usage is unknown, and its cost with it.
"""

from collections.abc import Mapping
from typing import Any

from evaluations.pricing import FEES, PRICED_AS, TOKEN_CLASSES, TokenClass

Tokens = dict[TokenClass, int]
"""Disjoint counts of what was used; classes without any are left out."""


def disjoint(
    *,
    input_tokens: int,
    output_tokens: int,
    cached: int = 0,
    cache_write: int = 0,
    cache_write_1h: int = 0,
    input_audio: int = 0,
    cached_audio: int = 0,
    input_image: int = 0,
    cached_image: int = 0,
    input_video: int = 0,
    cached_video: int = 0,
    reasoning: int = 0,
    output_audio: int = 0,
    output_image: int = 0,
    output_video: int = 0,
    web_searches: int = 0,
) -> Tokens:
    """Counts where a whole contains its parts, taken apart.

    Input contains what was cached, written to the cache and of another kind than text; cached and each kind contain
    what is both; cache writes contain those for an hour. Output contains reasoning and what is no text.

    >>> disjoint(input_tokens=100, cached=60, output_tokens=20, reasoning=15)
    {'input': 40, 'cached': 60, 'output': 5, 'reasoning': 15}
    """
    both = cached_audio + cached_image + cached_video
    kinds = input_audio + input_image + input_video
    tokens: Tokens = {
        "input": input_tokens - cached - cache_write - kinds + both,
        "cached": cached - cached_audio - cached_image,
        "cache_write": cache_write - cache_write_1h,
        "cache_write_1h": cache_write_1h,
        "input_audio": input_audio - cached_audio,
        "cached_audio": cached_audio,
        "input_image": input_image - cached_image,
        "cached_image": cached_image,
        "input_video": input_video - cached_video,
        "output": output_tokens - reasoning - output_audio - output_image - output_video,
        "output_audio": output_audio,
        "output_image": output_image,
        "output_video": output_video,
        "reasoning": reasoning,
        "web_search": web_searches,
    }
    for token_class, count in tokens.items():
        if count < 0:
            raise ValueError(f"the usage counts more in parts than in all: {token_class} would be {count}")
    return {token_class: count for token_class, count in tokens.items() if count}


def narrowed(tokens: Tokens) -> Tokens:
    """The same tokens in the `TOKEN_CLASSES` that facts keep; to be priced before, for fees are left out.

    >>> narrowed({"input": 5, "input_image": 7, "web_search": 1})
    {'input': 12}
    """
    kept: Tokens = {}
    for token_class, count in tokens.items():
        wide = token_class
        while wide not in TOKEN_CLASSES and wide not in FEES:
            wide = PRICED_AS[wide]
        if wide not in FEES:
            kept[wide] = kept.get(wide, 0) + count
    return kept


def of_openai(usage: Mapping[str, Any]) -> Tokens:
    """Chat completions, responses and embeddings of OpenAI, and of the many who write as OpenAI does.

    Input contains cached tokens and output contains reasoning. Where reasoning stands beside the output instead, as
    with xAI, the total tells: it is then the sum of all three. Gateways that write other vendors' usage in this form
    name cache writes as Anthropic does, within the input.
    Source: https://platform.openai.com/docs/api-reference/chat/object (usage), https://docs.x.ai/docs/models.
    """
    chat = "prompt_tokens" in usage
    asked, said = ("prompt", "completion") if chat else ("input", "output")
    of_input, of_output = _part(usage, f"{asked}_tokens_details"), _part(usage, f"{said}_tokens_details")
    prompt, output = _count(usage, f"{asked}_tokens"), _count(usage, f"{said}_tokens")
    reasoning = _count(of_output, "reasoning_tokens")
    if "total_tokens" in usage and reasoning and _count(usage, "total_tokens") == prompt + output + reasoning:
        output += reasoning
    tools = _part(usage, "server_tool_use")
    return disjoint(
        input_tokens=prompt,
        output_tokens=output,
        cached=_first(of_input, "cached_tokens") or _first(usage, "prompt_cache_hit_tokens", "cached_tokens"),
        cache_write=_first(of_input, "cache_write_tokens", "cache_creation_tokens"),
        cache_write_1h=_count(_part(of_input, "cache_creation_token_details"), "ephemeral_1h_input_tokens"),
        input_audio=_count(of_input, "audio_tokens"),
        input_image=_count(of_input, "image_tokens"),
        input_video=_count(of_input, "video_tokens"),
        reasoning=reasoning,
        output_audio=_count(of_output, "audio_tokens"),
        output_image=_count(of_output, "image_tokens"),
        web_searches=_count(tools, "web_search_requests"),
    )


def of_anthropic(usage: Mapping[str, Any]) -> Tokens:
    """Messages of Anthropic: input is what was neither read from the cache nor written to it; thinking is output.

    Cache writes whose life is not told live five minutes, which is the default.
    Source: https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching (tracking cache performance).
    """
    cached, kept = _count(usage, "cache_read_input_tokens"), _part(usage, "cache_creation")
    hour = _count(kept, "ephemeral_1h_input_tokens")
    written = max(_count(usage, "cache_creation_input_tokens"), hour + _count(kept, "ephemeral_5m_input_tokens"))
    return disjoint(
        input_tokens=_count(usage, "input_tokens") + cached + written,
        output_tokens=_count(usage, "output_tokens"),
        cached=cached,
        cache_write=written,
        cache_write_1h=hour,
        reasoning=_count(_part(usage, "output_tokens_details"), "thinking_tokens"),
        web_searches=_count(_part(usage, "server_tool_use"), "web_search_requests"),
    )


def of_google(usage: Mapping[str, Any]) -> Tokens:
    """`usageMetadata` of Gemini: the prompt contains what was cached; tools and thoughts come on top.

    Source: https://ai.google.dev/api/generate-content (UsageMetadata).
    """
    thoughts = _count(usage, "thoughtsTokenCount")
    asked = _kinds(usage, "promptTokensDetails", "promptTokenDetails")
    tools = _kinds(usage, "toolUsePromptTokensDetails")
    cached = _kinds(usage, "cacheTokensDetails")
    said = _kinds(usage, "candidatesTokensDetails")
    return disjoint(
        input_tokens=_count(usage, "promptTokenCount") + _count(usage, "toolUsePromptTokenCount"),
        output_tokens=_count(usage, "candidatesTokenCount") + thoughts,
        cached=_count(usage, "cachedContentTokenCount"),
        input_audio=asked.get("AUDIO", 0) + tools.get("AUDIO", 0),
        cached_audio=cached.get("AUDIO", 0),
        input_image=asked.get("IMAGE", 0) + tools.get("IMAGE", 0),
        cached_image=cached.get("IMAGE", 0),
        input_video=asked.get("VIDEO", 0) + tools.get("VIDEO", 0),
        cached_video=cached.get("VIDEO", 0),
        reasoning=thoughts,
        output_audio=said.get("AUDIO", 0),
        output_image=said.get("IMAGE", 0),
        output_video=said.get("VIDEO", 0),
    )


def of_bedrock(usage: Mapping[str, Any]) -> Tokens:
    """Converse of Amazon Bedrock: input is without the cache, as with Anthropic.

    Source: https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html.
    """
    cached = _first(usage, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = _first(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    details = usage.get("cacheDetails") or ()
    return disjoint(
        input_tokens=_count(usage, "inputTokens") + cached + written,
        output_tokens=_count(usage, "outputTokens"),
        cached=cached,
        cache_write=written,
        cache_write_1h=sum(_count(each, "inputTokens") for each in details if each.get("ttl") == "1h"),
    )


def of_cohere(usage: Mapping[str, Any]) -> Tokens:
    """Cohere: `billed_units` is what is paid for; `tokens` counts templates too."""
    billed = _part(usage, "billed_units")
    return disjoint(input_tokens=_count(billed, "input_tokens"), output_tokens=_count(billed, "output_tokens"))


def tokens_of(usage: Mapping[str, Any]) -> Tokens:
    """A usage object of any of these vendors, told apart by its fields. Raises ValueError when none of them fits.

    Anthropic's and OpenAI's newer objects both count `input_tokens`; only OpenAI's has their sum or their details.
    """
    match usage:
        case {"promptTokenCount": _} | {"candidatesTokenCount": _}:
            return of_google(usage)
        case {"inputTokens": _}:
            return of_bedrock(usage)
        case {"billed_units": _}:
            return of_cohere(usage)
        case {"prompt_tokens": _} | {"input_tokens": _, "total_tokens": _} | {"input_tokens_details": _}:
            return of_openai(usage)
        case {"input_tokens": _, "output_tokens": _}:
            return of_anthropic(usage)
    raise ValueError(f"no vendor known to us reports usage with the fields {', '.join(sorted(usage)) or '(none)'}")


def _part(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = usage.get(name)
    if part is None:
        return {}
    if not isinstance(part, Mapping):
        raise ValueError(f"{name} is no object of counts")
    return part


def _count(usage: Mapping[str, Any], name: str) -> int:
    """A count; 0 where it is not there. A float is taken when it is whole, as some gateways write them."""
    value = usage.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        raise ValueError(f"{name} is {value!r}, not a count")
    return int(value)


def _first(usage: Mapping[str, Any], *names: str) -> int:
    """The first of these counts that is there and not 0."""
    return next((count for name in names if (count := _count(usage, name))), 0)


def _kinds(usage: Mapping[str, Any], *names: str) -> dict[str, int]:
    """Counts by kind: TEXT, IMAGE, AUDIO, VIDEO. Documents are read, and billed, as images of their pages."""
    kinds: dict[str, int] = {}
    for name in names:
        for entry in usage.get(name) or ():
            kind = str(entry.get("modality", "")).replace("DOCUMENT", "IMAGE")
            kinds[kind] = kinds.get(kind, 0) + _count(entry, "tokenCount")
    return kinds
