"""OpenTelemetry GenAI spans as the collector's file exporter writes them: one ExportTraceServiceRequest a line.

A span of a model call (`gen_ai.request.model`) is a request. The attributes of messages and prompts are left out:
they hold what people wrote.

Source: OpenTelemetry, "Semantic conventions for generative client spans" and OTLP's JSON encoding.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluations.traces import first_chunk_ms
from tasks.ingest.reading import Record

_ERROR = 2
"""STATUS_CODE_ERROR."""
_CALLS = ("chat", "text_completion", "generate_content", "embeddings")
"""Operations that one model answers; an agent's span around them would count their tokens twice."""
_PROVIDERS: Mapping[str, str] = {
    "aws.bedrock": "bedrock",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure_ai",
    "gcp.vertex_ai": "vertex_ai",
    "gcp.gemini": "gemini",
    "mistral_ai": "mistral",
    "x_ai": "xai",
}
"""Where OpenTelemetry's name of a provider is not the one that prices have."""


def unfold(record: Record) -> Iterator[dict[str, Any]]:
    """The spans of an export, each with the attributes of its resource beside its own."""
    resources = record.get("resourceSpans")
    if not isinstance(resources, list):
        raise ValueError("it has no list `resourceSpans`")
    for resource in resources:
        about = attributes(resource.get("resource", {}).get("attributes", ()))
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                yield {**span, "resource": about}


def read(span: Record) -> dict[str, Any] | None:
    """The request of a span; None for one that is no model call."""
    own = attributes(span.get("attributes", ()))
    about = span.get("resource", {})
    model = own.get("gen_ai.request.model") or own.get("gen_ai.response.model")
    if model is None or own.get("gen_ai.operation.name", "chat") not in _CALLS:
        return None
    provider = own.get("gen_ai.provider.name") or own.get("gen_ai.system")
    start, end = int(span["startTimeUnixNano"]), int(span.get("endTimeUnixNano") or 0)
    failed = span.get("status", {}).get("code") in (_ERROR, "STATUS_CODE_ERROR") or "error.type" in own
    return {
        **_tokens(own),
        "external_id": f"{span['traceId']}:{span['spanId']}",
        "trace_id": span["traceId"],
        "span_id": span["spanId"],
        "at": start / 1e9,
        "feature": own.get("assay.feature") or about.get("service.name"),
        "environment": about.get("deployment.environment.name") or about.get("deployment.environment"),
        "region": about.get("cloud.region"),
        "provider": _PROVIDERS.get(str(provider), provider),
        "model": model,
        "model_returned": own.get("gen_ai.response.model"),
        "subject": own.get("user.id") or own.get("enduser.id"),
        "ticket": own.get("gen_ai.conversation.id"),
        "status": "error" if failed else "success",
        "error_type": own.get("error.type"),
        "error_message": span.get("status", {}).get("message") or None,
        "latency_ms": (end - start) / 1e6 if end >= start else None,
        "first_token_ms": first_chunk_ms(own),
    }


def _tokens(own: Mapping[str, Any]) -> dict[str, int]:
    """Disjoint classes. The conventions count cached and written tokens within the input ones."""
    if "gen_ai.usage.input_tokens" not in own and "gen_ai.usage.output_tokens" not in own:
        return {}
    whole = int(own.get("gen_ai.usage.input_tokens", 0))
    cached = int(own.get("gen_ai.usage.cache_read.input_tokens", 0))
    written = int(own.get("gen_ai.usage.cache_creation.input_tokens", 0))
    if cached + written > whole:
        raise ValueError(f"gen_ai.usage.input_tokens is {whole:,}, less than its cached ones, {cached + written:,}")
    return {
        "input_tokens": whole - cached - written,
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "output_tokens": int(own.get("gen_ai.usage.output_tokens", 0)),
    }


def attributes(given: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """OTLP's list of keys and typed values as a plain mapping."""
    return {each["key"]: _plain(each.get("value", {})) for each in given}


def _plain(value: Mapping[str, Any]) -> Any:
    for kind, held in value.items():
        if kind == "intValue":
            return int(held)  # 64-bit numbers are text in OTLP's JSON
        if kind == "arrayValue":
            return [_plain(each) for each in held.get("values", ())]
        if kind == "kvlistValue":
            return attributes(held.get("values", ()))
        return held
    return None
