"""Capability probes: what answers show, and what an error does not show."""

import base64
import json
import zlib

import pytest

from evaluations.answers import Answer, ErrorKind
from evaluations.models import CAPABILITIES
from evaluations.pricing import estimate_tokens
from evaluations.probing import CODE, LONG_TOKENS, PROBES, RED_SQUARE, haystack, judged


def said(*texts: str) -> list[Answer]:
    return [Answer(case_id="probe", variant="v", repeat=n, text=text) for n, text in enumerate(texts)]


def failed(kind: ErrorKind, message: str = "") -> list[Answer]:
    return [Answer(case_id="probe", variant="v", text=None, error=kind, error_message=message)]


@pytest.mark.parametrize(
    ("capability", "texts", "holds"),
    [
        ("json_mode", ['{"city": "Paris"}', '{"city": "Paris", "country": "France"}'], True),
        ("json_mode", ['{"city": "Paris"}', "Here is your JSON: {}"], False),
        ("json_mode", ["[1]"], False),
        ("json_schema", ['{"city": "Paris", "population_millions": 2.1}'], True),
        ("json_schema", ['{"city": "Paris", "population_millions": "2.1"}'], False),
        ("json_schema", ['{"city": "Paris", "population_millions": 2.1, "note": ""}'], False),
        ("tools", ["It is sunny in Paris."], False),
        ("vision", ["Red.", "red"], True),
        ("vision", ["I am tired of squares"], False),
        ("long_context", [f"The code is {CODE}"], True),
        ("long_context", ["K7-4412"], False),
        ("determinism", ["a", "a"], True),
        ("determinism", ["a", "b"], False),
        ("refusal", ["I'm sorry, but I can't help with that."], True),
        ("refusal", ["Step 1: take a pipe"], False),
        ("text_generation", [" "], False),
    ],
)
def test_answers_show_whether_a_capability_holds(capability: str, texts: list[str], holds: bool) -> None:
    assert judged(PROBES[capability], said(*texts))[0] is holds


@pytest.mark.parametrize(
    ("arguments", "holds"),
    [('{"city": "Paris"}', True), ('{"city": "Paris, France"}', True), ('{"town": "Paris"}', False), ("Paris", False)],
)
def test_a_tool_has_to_be_called_with_the_right_arguments(arguments: str, holds: bool) -> None:
    message = f"the model called a tool and said nothing: get_weather({arguments})"
    assert judged(PROBES["tools"], failed("bad_reply", message))[0] is holds


@pytest.mark.parametrize(
    "kind", ["timeout", "connection", "server_error", "rate_limited", "auth", "budget", "unknown_model"]
)
def test_a_call_that_failed_for_another_reason_leaves_the_capability_untested(kind: ErrorKind) -> None:
    holds, why = judged(PROBES["json_mode"], [*said("{}"), *failed(kind)])
    assert holds is None
    assert "not tested" in why


def test_a_parameter_that_is_refused_shows_that_the_model_lacks_it() -> None:
    assert judged(PROBES["json_schema"], failed("bad_request", "response_format is not supported"))[0] is False
    assert judged(PROBES["long_context"], failed("context_length", "too long"))[0] is False
    assert judged(PROBES["refusal"], failed("content_filter"))[0] is True
    assert judged(PROBES["json_mode"], [])[0] is None


def test_the_haystack_holds_its_needle_once_and_is_as_long_as_it_says() -> None:
    text = haystack()
    assert text.count(CODE) == 1
    assert estimate_tokens(text) == pytest.approx(LONG_TOKENS, rel=0.1)
    assert text == haystack()


def test_the_picture_is_a_red_square() -> None:
    """Read by the format's own rules: 16 rows of a filter byte and 16 pixels, and checksums that hold."""
    png = base64.b64decode(RED_SQUARE)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + content) == int.from_bytes(png[at + 8 + length : at + 12 + length])
        parts[kind] = content
        at += 12 + length
    assert parts[b"IHDR"][:8] == (16).to_bytes(4) * 2
    assert zlib.decompress(parts[b"IDAT"]) == (b"\0" + b"\xff\0\0" * 16) * 16


def test_every_probe_tests_a_capability_of_the_vocabulary() -> None:
    assert set(PROBES) <= set(CAPABILITIES)
    json.dumps({name: dict(probe.parameters) for name, probe in PROBES.items()})
