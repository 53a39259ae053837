"""A small map of models for tests: seeding the whole of LiteLLM's takes a second, and nobody would see through it."""

import json
from pathlib import Path
from typing import Any

import pytest

ENTRIES: dict[str, dict[str, Any]] = {
    "gpt-4o-2024-11-20": {
        "litellm_provider": "openai",
        "mode": "chat",
        "max_input_tokens": 128_000,
        "max_output_tokens": 16_384,
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "supports_vision": True,
        "supports_function_calling": True,
        "supports_response_schema": True,
    },
    "gpt-4o-2024-05-13": {
        "litellm_provider": "openai",
        "mode": "chat",
        "max_input_tokens": 128_000,
        "max_output_tokens": 4_096,
        "input_cost_per_token": 5e-06,
        "output_cost_per_token": 1.5e-05,
        "deprecation_date": "2024-12-31",
        "supports_vision": True,
    },
    "gpt-4o": {
        "litellm_provider": "openai",
        "mode": "chat",
        "max_input_tokens": 128_000,
        "max_output_tokens": 16_384,
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
    },
    "claude-haiku-4-5": {
        "litellm_provider": "anthropic",
        "mode": "chat",
        "max_input_tokens": 200_000,
        "max_output_tokens": 64_000,
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 5e-06,
        "supports_sampling_params": False,
    },
    "text-embedding-3-small": {
        "litellm_provider": "openai",
        "mode": "embedding",
        "max_input_tokens": 8_191,
        "input_cost_per_token": 2e-08,
    },
}


def use_map(folder: Path, monkeypatch: pytest.MonkeyPatch, entries: dict[str, dict[str, Any]] | None = None) -> None:
    """Let the lists be these entries from here on; ours by default."""
    path = folder / "map.json"
    path.write_text(json.dumps(ENTRIES if entries is None else entries))
    for module in ("tasks.prices", "tasks.model_catalogue"):
        monkeypatch.setattr(f"{module}.map_file", lambda: path)
    monkeypatch.setattr("tasks.curated_prices.rows_of_curated", lambda wanted: ())
