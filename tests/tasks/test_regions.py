"""Regions: where a model can be had, what it costs there, and places that take only what is served in some of them."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evaluations.errors import AssayError
from evaluations.recommending.evidence import Requirements
from tasks.model_catalogue import catalogue
from tasks.recommending import Ask, advise
from tasks.selecting import SelectionRequest, select_for
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.models import all_models, environment_named
from tests.cli.commands import assay_here
from tests.recorded_models import finished, write_models
from tests.tasks.model_lists import ENTRIES, use_map

GPT, EU_ONLY = "azure/gpt-4o-2024-11-20", "azure/eu/gpt-4o-2024-11-20"


def priced(into: float, **given: Any) -> dict[str, Any]:
    own = {"input_cost_per_token": into, "output_cost_per_token": 4 * into, "max_input_tokens": 128_000}
    return {"litellm_provider": "azure", "mode": "chat", "max_output_tokens": 16_384, **own, **given}


OF_REGIONS = {
    **ENTRIES,
    GPT: priced(2.5e-06),
    EU_ONLY: priced(2.75e-06),
    "azure/us/gpt-4o-2024-11-20": priced(2.75e-06),
    "azure/o3": priced(2e-06),
    "vertex_ai/gemini-pro": priced(1e-06, litellm_provider="vertex_ai-language-models", supported_regions=["global"]),
}


@pytest.fixture(autouse=True)
def lists(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    own = tmp_path / "models.yaml"
    monkeypatch.setenv("ASSAY_MODELS", str(own))
    monkeypatch.setenv("AZURE_API_KEY", "k-0123456789")
    settings.cache_clear()
    own.write_text(
        "providers:\n  house: {title: Our own, needs_key: false, regions: [our-cellar]}\n"
        "models:\n  - {model: house/llama, source: us}\n  - {model: house/moved, source: us, regions: [eu]}\n"
    )
    use_map(tmp_path, monkeypatch, OF_REGIONS)
    return tmp_path


def told(*arguments: str) -> Any:
    outcome = assay_here(*arguments)
    assert outcome.code in (0, 1), outcome.err
    return json.loads(outcome.out)


def test_regions_come_from_names_and_lists_and_files_and_are_unknown_elsewhere() -> None:
    regions = {name: model.regions for name, model in catalogue().models.items()}
    assert regions[GPT] == ("eu", "us")
    assert regions[EU_ONLY] == ("eu",)
    assert regions["vertex_ai/gemini-pro"] == ("global",)
    assert regions["house/llama"] == ("our-cellar",)
    assert regions["house/moved"] == ("eu",)
    assert regions["azure/o3"] is regions["openai/gpt-4o-2024-11-20"] is None


def test_showing_a_model_tells_its_regions_and_what_it_costs_in_each() -> None:
    shown = told("models", "show", GPT, "--json")
    assert shown["regions"] == ["eu", "us"]
    prices = shown["regional_prices"]
    assert {region: Decimal(each["input"]) for region, each in prices.items()} == {
        "eu": Decimal("0.00000275"),
        "us": Decimal("0.00000275"),
    }
    said = assay_here("models", "show", GPT).out
    assert "regions: eu, us" in said
    assert "in eu: input 2.75" in said
    assert "regions: nobody says" in assay_here("models", "show", "azure/o3").out


def test_what_the_files_say_of_regions_anew_is_a_change_with_its_activity(lists: Path) -> None:
    with transaction() as connection:
        from tasks.models import seed

        seed(connection)
        assert all_models(connection)["house/moved"].regions == ("eu",)
    (lists / "models.yaml").write_text("models:\n  - {model: house/moved, source: us, regions: [us]}\n")
    assert assay_here("models", "sync", "--offline").code == 0
    with transaction() as connection:
        assert all_models(connection)["house/moved"].regions == ("us",)
    assert "changed by" in assay_here("models", "show", "house/moved").out


def test_an_environment_takes_only_what_can_be_had_in_its_regions() -> None:
    made = assay_here("environments", "set", "production", "--region", "eu", "--why", "our customers' data stay here")
    assert made.code == 0, made.err
    with transaction() as connection:
        assert environment_named(connection, "production").allowed_regions == ("eu",)

    def region_check(model: str) -> tuple[str, bool]:
        [found] = told("models", "validate", model, "--environment", "production", "--json")
        [check] = [each for each in found["checks"] if each["name"] == "region"]
        return check["outcome"], "region" in found["in_the_way"]

    assert region_check(GPT) == ("passed", False)
    assert region_check("azure/us/gpt-4o-2024-11-20") == ("failed", True)
    assert region_check("vertex_ai/gemini-pro") == ("failed", True)
    # Production takes validated models alone: what nobody says stands in the way, too.
    assert region_check("azure/o3") == ("unknown", True)
    assert "production" in assay_here("environments", "list").out
    assert told("environments", "show", "production", "--json")["allowed_regions"] == ["eu"]
    assert assay_here("environments", "set", "production", "--all-regions", "--why", "moved").code == 0
    [found] = told("models", "validate", GPT, "--environment", "production", "--json")
    assert "region" not in [each["name"] for each in found["checks"]]


def test_a_region_that_no_model_has_is_named_with_the_nearest() -> None:
    wrong = assay_here("environments", "set", "production", "--region", "our-celar", "--why", "?")
    assert (wrong.code, "did you mean" in wrong.err) == (2, True)
    both = assay_here("environments", "set", "production", "--region", "eu", "--all-regions", "--why", "?")
    assert both.code == 2


async def test_selecting_and_recommending_take_only_what_is_served_in_the_region_asked_for(lists: Path) -> None:
    suite = write_models(lists / "s", {"large": 0.97, "middle": 0.97, "small": 0.96}, cases=200)
    names = {"large": GPT, "middle": "azure/o3", "small": "azure/us/gpt-4o-2024-11-20"}
    written = suite.read_text()
    for name, model in names.items():
        written = written.replace(f"name: {name},", f"name: {model},")
    suite.write_text(written)
    await finished(suite)
    asked = {"accuracy": "basic", "cost_sensitivity": "high"}

    def chosen(**given: Any) -> str | None:
        found = select_for(SelectionRequest(feature="colouring", environment="development", given=asked | given))
        return None if found.selected.chosen is None else found.selected.chosen.model

    assert chosen() == "azure/us/gpt-4o-2024-11-20"
    assert chosen(region="eu") == GPT
    assert chosen(region="us") == "azure/us/gpt-4o-2024-11-20"
    assert chosen(region="sa-east-1") is None
    advice = advise(
        "colouring", Ask(incumbent=GPT, requests=1000, margin=0.1, requirements=Requirements(region="eu"))
    ).advice
    assert advice is not None
    assert {each.model: each.why for each in advice.excluded}.keys() == {"azure/o3", "azure/us/gpt-4o-2024-11-20"}
    assert "nobody said where" in " ".join(each.why for each in advice.excluded)
    # An environment's regions hold unasked, and one that it does not take cannot be asked for.
    assert assay_here("environments", "set", "development", "--region", "eu", "--why", "?").code == 0
    assert chosen() == GPT
    with pytest.raises(AssayError, match="region of development"):
        chosen(region="us")


def test_models_are_listed_by_region() -> None:
    names = [each["model"] for each in told("models", "list", "--region", "eu", "--json")]
    assert {EU_ONLY, "house/moved"} <= set(names)
    assert not {"azure/us/gpt-4o-2024-11-20", "azure/o3", "house/llama"} & set(names)
    wrong = assay_here("models", "list", "--region", "euu")
    assert (wrong.code, "did you mean 'eu'?" in wrong.err) == (2, True)
