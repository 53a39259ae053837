"""Models as values: words for measured numbers, life cycles, aliases, and what goes before what."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from evaluations.errors import AssayError
from evaluations.models import (
    CAPABILITIES,
    OTHER_WORDS,
    Bands,
    Capability,
    Finding,
    Limits,
    Model,
    UnknownCapability,
    UnknownModel,
    UseCaseScore,
    aliases,
    best_scores,
    capability_named,
    family_of,
    kind_of,
    model_named,
)

TODAY = date(2026, 11, 28)


def a_model(name: str = "openai/gpt-4o-2024-11-20", **given: Any) -> Model:
    made: dict[str, Any] = {
        "provider": name.partition("/")[0],
        "mode": "chat",
        "limits": Limits(context_tokens=128_000),
    }
    return Model(name=name, **{**made, **given})


@pytest.mark.parametrize(("seconds", "word"), [(0.5, "fastest"), (1.5, "fastest"), (2, "moderate"), (4, "moderate")])
def test_what_the_sources_call_fast_and_moderate_is_called_so(seconds: float, word: str) -> None:
    assert Bands().speed(seconds) == word


@pytest.mark.parametrize(("share", "word"), [(0.85, "good"), (0.9, "good"), (0.92, "excellent"), (0.97, "excellent")])
def test_what_the_sources_call_good_and_excellent_is_called_so(share: float, word: str) -> None:
    assert Bands().accuracy(share) == word


def test_bands_leave_no_gap_and_never_turn_back() -> None:
    """The sources have no word for 1.5 to 2 s, nor for 90 to 92 %."""
    bands = Bands()
    for of, values, order in (
        (bands.speed, np.linspace(0, 10, 2001), ("fastest", "moderate", "slow")),
        (bands.accuracy, np.linspace(0, 1, 2001), ("poor", "fair", "good", "excellent")),
        (bands.reliability, np.linspace(0, 1, 2001), ("low", "moderate", "high", "very_high")),
    ):
        said = [order.index(of(float(value))) for value in values]
        assert said == sorted(said)
        assert set(said) == set(range(len(order)))


def test_bands_that_overlap_are_refused() -> None:
    with pytest.raises(AssayError, match="have to rise; got 0, 5, 4"):
        Bands(fastest_below_s=5, moderate_up_to_s=4)
    assert Bands(fastest_below_s=1, moderate_up_to_s=2).speed(1.5) == "moderate"


@pytest.mark.parametrize(
    ("given", "on", "stage"),
    [
        ({}, TODAY, "available"),
        ({"stage": "beta"}, TODAY, "beta"),
        ({"retires_on": TODAY + timedelta(days=181)}, TODAY, "available"),
        ({"retires_on": TODAY + timedelta(days=180)}, TODAY, "deprecated"),
        ({"stage": "beta", "retires_on": TODAY + timedelta(days=1)}, TODAY, "deprecated"),
        ({"retires_on": TODAY}, TODAY, "retired"),
        ({"retires_on": TODAY}, TODAY - timedelta(days=1), "deprecated"),
        ({"stage": "retired"}, TODAY, "retired"),
        ({"withdrawn_at": datetime(2026, 1, 1, tzinfo=UTC)}, TODAY, "retired"),
    ],
)
def test_a_life_cycle_is_that_of_a_day(given: dict[str, Any], on: date, stage: str) -> None:
    assert a_model(**given).life_cycle(on) == stage


def test_the_old_labels_come_of_mode_and_modalities() -> None:
    assert kind_of("chat", ("text",), ("text",)) == "language"
    assert kind_of("chat", ("text", "image"), ("text",)) == "multimodal"
    assert kind_of("chat", ("image",), ("text",)) == "vision"
    assert kind_of("embedding", ("text",), ("vector",)) == "embedding"
    assert kind_of("image_generation", ("text",), ("image",)) == "other"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("openai/gpt-4o-2024-11-20", "openai/gpt-4o"),
        ("anthropic/claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
        ("vertex_ai/claude-3-5-sonnet@20241022", "vertex_ai/claude-3-5-sonnet"),
        ("vertex_ai/gemini-1.5-pro-002", "vertex_ai/gemini-1.5-pro"),
        ("mistral/mistral-large-2512", "mistral/mistral-large"),
        ("openai/gpt-4o", None),
        ("openai/o1", None),
        ("anthropic/claude-sonnet-4-5", None),
        ("groq/llama-3.3-70b-versatile", None),
    ],
)
def test_a_version_is_told_from_a_name_without_one(name: str, family: str | None) -> None:
    assert family_of(name) == family


def test_an_alias_stands_for_a_version_only_where_there_is_just_one() -> None:
    names = ["o/a", "o/a-2024-05-13", "o/a-2024-11-20", "o/b", "o/b-2025-01-31", "o/c", "m/d-latest", "p/a-2024-05-13"]
    assert aliases(names) == {"o/a": None, "o/b": "o/b-2025-01-31", "m/d-latest": None}


def test_a_dated_test_overrides_the_catalogue_both_ways() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    failed = Capability(name="json_schema", documented=True, tested=Finding(passed=False, at=at, why="broke it"))
    passed = Capability(name="tools", documented=False, tested=Finding(passed=True, at=at, why="called it"))
    model = a_model(
        capabilities={"json_schema": failed, "tools": passed, "vision": Capability(name="vision", documented=True)}
    )
    assert (model.can("json_schema"), model.can("tools"), model.can("vision"), model.can("audio_input")) == (
        False, True, True, None,
    )  # fmt: skip
    assert failed.contradicts
    assert passed.contradicts
    assert not model.capability("vision").contradicts
    assert model.can("image_analysis") is True


def test_every_word_of_the_sources_is_in_the_vocabulary() -> None:
    for word in ("image_analysis", "text_generation", "structured_output", "fast_processing", "complex_reasoning"):
        assert capability_named(word) in CAPABILITIES
    assert capability_named("large_context") == "long_context"
    assert set(OTHER_WORDS.values()) <= set(CAPABILITIES)
    with pytest.raises(UnknownCapability, match="did you mean 'vision'"):
        capability_named("visoin")


def test_a_measured_score_outranks_any_declared_one() -> None:
    declared = UseCaseScore(use_case="triage", score=98, origin="declared", as_of=date(2026, 11, 1))
    measured = UseCaseScore(use_case="triage", score=71, origin="measured", n=412, as_of=date(2025, 1, 1))
    newer = UseCaseScore(use_case="triage", score=74, origin="measured", n=400, as_of=date(2025, 6, 1))
    assert best_scores([declared, measured]) == (measured,)
    assert best_scores([newer, declared, measured]) == (newer,)
    assert a_model(use_cases=(declared, measured)).use_case("triage") == measured


def test_a_bare_name_is_found_where_one_provider_has_it() -> None:
    known = {each: a_model(each) for each in ("openai/gpt-4o", "azure/gpt-4o", "groq/llama")}
    assert model_named("llama", known).name == "groq/llama"
    with pytest.raises(UnknownModel, match="several providers: azure/gpt-4o, openai/gpt-4o"):
        model_named("gpt-4o", known)
    with pytest.raises(UnknownModel, match="did you mean 'openai/gpt-4o'"):
        model_named("openai/gpt-4p", known)
