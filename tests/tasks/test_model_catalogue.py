"""The catalogues: LiteLLM's map as it is installed, our file, and a file of one's own with its mistakes."""

import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from evaluations.errors import AssayError
from evaluations.models import CAPABILITIES, Model
from evaluations.pricing import PriceBook
from tasks.model_catalogue import Catalogue, catalogue, models_of_map, provider_named, today
from tasks.prices import map_file, rows_of_map
from tasks.settings import settings

NAMED = ("openai", "anthropic", "gemini", "vertex_ai", "groq", "clarifai", "ollama", "custom")
"""The providers that the sources name."""
TEXT = ("language", "multimodal", "vision")


@pytest.fixture(scope="module")
def whole() -> Catalogue:
    settings.cache_clear()
    return catalogue()


def test_the_registry_knows_what_the_map_says(whole: Catalogue) -> None:
    """The fields are read here once more, from the file itself."""
    entries = json.loads(map_file().read_text())
    entry = entries["claude-haiku-4-5"]
    model = whole.models["anthropic/claude-haiku-4-5"]
    assert model.limits.context_tokens == entry["max_input_tokens"]
    assert model.limits.max_output_tokens == entry["max_output_tokens"]
    assert model.can("vision") is entry["supports_vision"]
    assert model.can("tools") is entry["supports_function_calling"]
    assert model.kind == "multimodal"
    assert {each.mode for each in whole.models.values()} <= {each.get("mode") for each in entries.values()}
    chats = {key for key, each in entries.items() if each.get("mode") == "chat" and not key.startswith("sample")}
    assert sum(model.mode == "chat" for model in whole.models.values()) >= 0.95 * len(chats)


def test_every_version_of_the_named_providers_that_is_not_retired_has_its_limits_and_price(whole: Catalogue) -> None:
    """All but those that the map itself leaves out, of which there are few."""
    book = PriceBook(rows_of_map())
    alive = [
        model
        for model in whole.models.values()
        if model.provider in NAMED[:5] and model.kind in TEXT and model.life_cycle(today()) == "available"
        and model.mode == "chat" and not model.alias and "ft:" not in model.name
    ]  # fmt: skip
    whole_ones = [
        model
        for model in alive
        if model.limits.context_tokens
        and model.limits.max_output_tokens
        and book.prices_of(model.name, today()) is not None
    ]
    assert len(alive) > 100
    assert len(whole_ones) >= 0.8 * len(alive), sorted({m.name for m in alive} - {m.name for m in whole_ones})


CURATED = (
    *("openai/gpt-4o-2024-11-20", "openai/gpt-4o-mini-2024-07-18", "openai/gpt-4.1-2025-04-14"),
    *("anthropic/claude-haiku-4-5-20251001", "anthropic/claude-sonnet-4-6", "anthropic/claude-opus-4-6-20260205"),
    *("gemini/gemini-2.5-flash", "gemini/gemini-2.5-pro", "groq/openai/gpt-oss-120b", "mistral/mistral-large-2512"),
)


@pytest.mark.parametrize("name", CURATED)
def test_a_well_known_version_resolves_with_price_limits_and_capabilities(whole: Catalogue, name: str) -> None:
    model = whole.models[name]
    assert not model.alias
    assert model.limits.context_tokens
    assert model.limits.max_output_tokens
    assert model.can("tools") is True
    assert PriceBook(rows_of_map()).prices_of(name, today()) is not None


def test_the_models_of_the_first_catalogue_are_retired_and_have_a_successor(whole: Catalogue) -> None:
    """Their prices are no prices of record, and output limits are no longer taken for contexts."""
    for name in ("gemini/gemini-2.0-flash", "gemini/gemini-1.5-pro", "anthropic/claude-3-sonnet-20240229"):
        model = whole.models[name]
        assert model.life_cycle(date(2026, 11, 28)) == "retired"
        assert whole.models[model.successor or ""].life_cycle(date(2026, 11, 28)) != "retired"
    flash = whole.models["gemini/gemini-2.0-flash"]
    assert (flash.limits.context_tokens, flash.limits.max_output_tokens) == (1_048_576, 8_192)
    score = flash.use_case("batch_processing")
    assert score is not None
    assert (score.score, score.origin, score.n) == (95, "declared", None)


def test_every_provider_that_the_sources_name_is_described_and_answers_to_its_other_names(whole: Catalogue) -> None:
    assert set(NAMED) <= set(whole.providers)
    assert provider_named("google", whole.providers) == "gemini"
    assert provider_named("local", whole.providers) == "ollama"
    with pytest.raises(AssayError, match="did you mean 'anthropic'"):
        provider_named("antropic", whole.providers)


def test_every_capability_of_the_catalogue_is_of_the_vocabulary(whole: Catalogue) -> None:
    assert {name for model in whole.models.values() for name in model.capabilities} <= set(CAPABILITIES)


def test_an_alias_of_several_versions_stands_for_none_of_them(whole: Catalogue) -> None:
    assert (whole.models["openai/gpt-4o"].alias, whole.models["openai/gpt-4o"].alias_of) == (True, None)
    assert whole.models["anthropic/claude-haiku-4-5"].alias_of == "anthropic/claude-haiku-4-5-20251001"
    assert not whole.models["openai/gpt-4o-2024-11-20"].alias


@pytest.mark.slow  # it imports LiteLLM
def test_what_we_say_a_provider_takes_is_no_less_than_litellm_takes(whole: Catalogue) -> None:
    """LiteLLM's own switches (retries) are the gateway's affair."""
    from tasks.providers.litellm_provider import litellm_module

    litellm = litellm_module()
    for provider, model in {
        "openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash", "clarifai": "x",
        "groq": "llama-3.3-70b-versatile",
    }.items():  # fmt: skip
        theirs = set(litellm.get_supported_openai_params(model, custom_llm_provider=provider)) - {"max_retries"}
        ours = whole.providers[provider].parameters
        assert ours is not None
        assert theirs <= set(ours), provider


def test_the_map_is_read_without_importing_litellm_or_prefect() -> None:
    script = "import sys; from tasks.model_catalogue import models_of_map; assert next(models_of_map()).name; " \
        "print(sorted({'litellm', 'prefect', 'pandas'} & set(sys.modules)))"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def own_file(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "models.yaml").write_text(text)
    monkeypatch.setenv("ASSAY_MODELS", str(folder / "models.yaml"))
    settings.cache_clear()


OWN = """\
providers:
  house: {title: Our house, needs_key: false, address_variable: HOUSE_BASE, listing: openai, requests_per_minute: 90}
models:
  - model: house/llama
    source: platform team
    inputs: [text, image]
    context_tokens: 32768
    max_output_tokens: 4096
    capabilities: {structured_output: true, tools: false}
    use_cases: {triage: {score: 80, reason: trained on our tickets}}
  - model: openai/gpt-4o-2024-11-20
    source: our contract
    requests_per_minute: 300
"""


def test_a_file_of_ones_own_adds_models_and_puts_others_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_file(tmp_path, OWN, monkeypatch)
    found = catalogue()
    house: Model = found.models["house/llama"]
    assert (house.kind, house.can("json_schema"), house.can("tools")) == ("multimodal", True, False)
    assert house.limits.requests_per_minute == 90
    theirs = found.models["openai/gpt-4o-2024-11-20"]
    assert (theirs.limits.requests_per_minute, theirs.limits.context_tokens) == (300, 128_000)
    settings.cache_clear()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN.replace("structured_output", "strutured_output"), r"models.yaml:9:\d+.*did you mean"),
        (OWN.replace("inputs: [text, image]", "inputs: [text, smell]"), r"models.yaml:6:\d+"),
        (OWN.replace("context_tokens: 32768", "context_tokens: many"), r"models.yaml:7:\d+"),
        (OWN.replace("score: 80", "score: 180"), r"models.yaml:10:\d+"),
        (OWN.replace("house/llama", "llama"), r"models.yaml:4:\d+"),
        (OWN.replace("max_output_tokens", "max_ouput_tokens"), r"models.yaml:8:\d+.*max_output_tokens"),
        ("providers: [", r"models.yaml:\d"),
        ("", "is empty"),
    ],
)
def test_a_mistake_in_it_is_named_with_its_line(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_file(tmp_path, text, monkeypatch)
    with pytest.raises(AssayError) as caught:
        catalogue()
    assert re.search(said, str(caught.value)), str(caught.value)
    settings.cache_clear()


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_MODELS", "/nowhere/models.yaml")
    settings.cache_clear()
    with pytest.raises(AssayError, match=r"ASSAY_MODELS names models\.yaml"):
        catalogue()
    settings.cache_clear()


def test_odd_entries_of_a_map_are_left_out(tmp_path: Path) -> None:
    odd = {
        "sample_spec": {"mode": "one of: chat, embedding", "litellm_provider": "x"},
        "bracket": {"litellm_provider": "fireworks_ai"},
        "text": "no entry",
        "searcher": {"mode": "search", "litellm_provider": "x"},
        "good": {"mode": "chat", "litellm_provider": "x", "max_input_tokens": "see docs", "deprecation_date": "soon"},
    }
    (tmp_path / "map.json").write_text(json.dumps(odd))
    [found] = models_of_map(tmp_path / "map.json", source="test")
    assert (found.name, found.limits.context_tokens, found.retires_on) == ("x/good", None, None)
