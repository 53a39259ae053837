"""What notifications say, and when they are tried again."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from evaluations.errors import AssayError
from evaluations.notifications import (
    EVENTS,
    MOST_ATTEMPTS,
    Event,
    as_json,
    check_event,
    message,
    plain,
    secret_reference,
    wait_after,
)

KEY = UUID("8d6f6d0e-0000-4000-8000-000000000001")


def an_event(**given: object) -> Event:
    made: dict[str, object] = {
        "key": KEY,
        "name": "deployment.asked",
        "target": "deployment:6f1c2d3e",
        "feature": "chatbot",
        "environment": "production",
        "why": "shorter answers",
        "facts": {"prompt": "reply@2.0.0", "model": "openai/gpt-4o", "to": "pending_approval", "percent": 0},
        "sample_data": False,
        "actor": "ana",
        "at": datetime(2026, 5, 4, 12, 30, tzinfo=UTC),
    }
    return Event(**{**made, **given})  # type: ignore[arg-type]


def test_a_message_says_what_where_which_bundle_who_and_why() -> None:
    said = message(an_event())
    assert said.title == "chatbot in production is to get another bundle, and waits for approval"
    assert said.body.splitlines() == [
        "Bundle: reply@2.0.0 on openai/gpt-4o",
        "About: deployment:6f1c2d3e",
        "By: ana",
        "Why: shorter answers",
        f"2026-05-04 12:30 UTC, event {KEY}",
    ]


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ({"name": "feature.rolled_back", "facts": {}}, "chatbot in production is back on an earlier bundle"),
        ({"name": "deployment.promoted", "facts": {}}, "chatbot in production has another bundle, live for all"),
        (
            {"name": "experiment.decided", "target": "experiment:tone", "facts": {}},
            "tone of chatbot in production was decided",
        ),
        (
            {"name": "role.granted", "target": "actor:ben", "feature": None, "environment": None, "facts": {}},
            "ben has a role more",
        ),
        ({"name": "deployment.failed", "facts": {}, "sample_data": True}, "[sample data] chatbot in production does"),
    ],
)
def test_titles_can_be_read_alone(given: dict[str, object], title: str) -> None:
    assert message(an_event(**given)).title.startswith(title)


@pytest.mark.parametrize("name", EVENTS)
def test_the_same_event_is_the_same_bytes_in_every_attempt(name: str) -> None:
    assert as_json(an_event(name=name)) == as_json(an_event(name=name))
    assert json.loads(as_json(an_event(name=name)))["id"] == str(KEY)


def test_long_text_is_cut_and_a_version_keeps_its_at() -> None:
    assert len(plain("x" * 10_000)) == 400
    assert plain("reply@2.0.0") == "reply@2.0.0"
    assert "@here" not in plain("@here")


def test_waits_grow_and_a_delivery_is_given_up_after_one_to_two_hours() -> None:
    shortest, longest = (sum(wait_after(n, luck) for n in range(1, MOST_ATTEMPTS)) for luck in (0.0, 0.999))
    assert 3600 <= shortest <= longest <= 7400
    assert [wait_after(n, 0.3) for n in range(1, 20)] == sorted(wait_after(n, 0.3) for n in range(1, 20))


@pytest.mark.parametrize("pattern", ["*", "deployment.*", "role.*", "experiment.decided"])
def test_a_rule_names_an_event_all_of_a_kind_or_all(pattern: str) -> None:
    assert check_event(pattern) == pattern


@pytest.mark.parametrize("pattern", ["", "deployment", "deploy.*", "deployment.promotd", "**"])
def test_what_never_happens_is_refused(pattern: str) -> None:
    with pytest.raises(AssayError, match="no event is named"):
        check_event(pattern)


@pytest.mark.parametrize(
    ("variable", "file"),
    [
        (None, None),
        ("A", "/b"),
        ("slack://tokenA", None),
        ("A B", None),
        ("1A", None),
        (None, "relative"),
        (None, "/a\nb"),
    ],
)
def test_a_secret_is_named_and_what_is_none_is_not_repeated(variable: str | None, file: str | None) -> None:
    with pytest.raises(AssayError) as refused:
        secret_reference(variable, file, "the address")
    assert "tokenA" not in str(refused.value)
