"""Formats: what turns a record of some tool's log into one of ours.

A reader gives a record in the names of `FIELDS`, or None for what is no request (a span of another step). It raises
ValueError, in words, where a record is not of its format.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from evaluations.errors import AssayError, unknown_name
from tasks.ingest import langfuse, litellm_logs, otlp, usage_bodies
from tasks.ingest.reading import BadLine, Chunk, Record

ReadRecord = Callable[[Record], Record | None]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of log: how its records are read, and where they come from."""

    says: str
    read: ReadRecord | None
    """None where the records are ours already."""
    unfold: Callable[[Record], Iterator[Record]] | None = None
    """Gives the records that stand within one of the file, where they are nested; they are spans."""


FORMATS: Mapping[str, Format] = {
    "assay": Format("our own fields, as JSON lines, CSV or Parquet (docs/ingest.md)", None),
    "litellm": Format("spend logs of a LiteLLM proxy", litellm_logs.read),
    "otlp": Format("OpenTelemetry GenAI spans, as the collector exports them", otlp.read, otlp.unfold),
    "langfuse": Format("observations exported from Langfuse", langfuse.read),
    "openai": Format("usage bodies of OpenAI: replies of chat completions or responses", usage_bodies.read_openai),
    "anthropic": Format("usage bodies of Anthropic: replies of messages", usage_bodies.read_anthropic),
}


def format_named(name: str) -> Format:
    if name not in FORMATS:
        raise AssayError(unknown_name("format", name, list(FORMATS)))
    return FORMATS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """How the fields of a file become ours, beyond its format."""

    renamed: Mapping[str, str]
    """Ours -> theirs."""
    given: Mapping[str, str]
    """Ours -> the value of every row that has none."""
    ignored: frozenset[str] = frozenset()

    def adapt(self, record: Record) -> dict[str, Any]:
        theirs = {name: ours for ours, name in self.renamed.items()}
        made = {theirs.get(name, name): value for name, value in record.items() if name not in self.ignored}
        for name, value in self.given.items():
            if made.get(name) in (None, ""):
                made[name] = value
        return made


AS_IT_IS = Adaptation(renamed={}, given={})


def adaptation(fields: list[str], given: list[str], ignored: list[str]) -> Adaptation:
    """How fields of a file become ours, from texts like `at=TIMESTAMP`. Raises AssayError on any other."""
    return Adaptation(renamed=_pairs(fields), given=_pairs(given), ignored=frozenset(ignored))


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for ours, sign, value in pairs:
        if not (ours and sign and value):
            raise AssayError(f"{''.join((ours, sign, value))!r} has to look like field=value, such as feature=chat.")
    return {ours: value for ours, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Adapted:
    """A record of ours, or why there is none; both None for what is no request."""

    record: dict[str, Any] | None
    fault: str = ""


def unfolded(chunk: Chunk, of: Format) -> Chunk:
    """The chunk with the records that stand within its own; a record that holds none is a bad line."""
    if of.unfold is None:
        return chunk
    made = Chunk(bad=list(chunk.bad), broken_off=chunk.broken_off)
    for line, record in zip(chunk.lines, chunk.records, strict=True):
        try:
            within = list(of.unfold(record))
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            content = orjson.dumps(record, default=str, option=orjson.OPT_SORT_KEYS)
            made.bad.append(BadLine(line, f"the record is not of this format: {problem}", content))
            continue
        made.lines += [line] * len(within)
        made.records += within
    return made


def is_ours(of: Format, adaptation: Adaptation) -> bool:
    """Whether records of this format are ours as they stand."""
    return of.read is None and adaptation == AS_IT_IS


def adapted(records: list[Record], of: Format, adaptation: Adaptation) -> Iterator[Adapted]:
    """Each record as one of ours."""
    for record in records:
        try:
            read = record if of.read is None else of.read(record)
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            yield Adapted(None, f"the record is not of this format: {problem}")
            continue
        if read is None:
            yield Adapted(None)
        else:
            plain = adaptation is AS_IT_IS and isinstance(read, dict)
            yield Adapted(read if plain else adaptation.adapt(read))  # type: ignore[arg-type]  # plain: it is a dict
