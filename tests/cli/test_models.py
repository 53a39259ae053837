"""assay models and assay environments, as a person types them: what they print, and how wrong input ends."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.rollups import roll_up_days
from tasks.settings import settings
from tasks.store.database import transaction
from tests.cli.commands import assay_here
from tests.landed import a_request, land
from tests.tasks.model_lists import use_map

GPT = "openai/gpt-4o-2024-11-20"


@pytest.fixture(autouse=True)
def small_map(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    use_map(tmp_path, monkeypatch)


def test_models_are_listed_by_any_filter() -> None:
    told = assay_here("models", "list", "--provider", "openai", "--can", "image_analysis", "--json")
    assert told.code == 0, told.err
    assert [each["model"] for each in json.loads(told.out)] == [GPT]
    retired = assay_here("models", "list", "--life-cycle", "retired", "--json")
    assert {"openai/gpt-4o-2024-05-13", "gemini/gemini-1.5-pro"} <= {each["model"] for each in json.loads(retired.out)}
    google = assay_here("models", "list", "--provider", "google")
    assert (google.code, google.out.startswith("No such models. A model of gemini that no list has")) == (0, True)
    alias = assay_here("models", "list", "--search", "gpt-4o", "--versions")
    assert "openai/gpt-4o *" not in alias.out
    assert GPT in alias.out


def test_without_a_filter_models_are_of_providers_with_a_key_or_in_use(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = assay_here("models", "list")
    assert nobody.out.startswith("No provider has a key here, and none is in use.")
    assert "--provider NAME lists those of one, --all those of every one" in nobody.out
    assert GPT not in nobody.out
    assert GPT in assay_here("models", "list", "--all").out
    assert GPT in {each["model"] for each in json.loads(assay_here("models", "list", "--json").out)}
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-not-a-key")
    keyed = assay_here("models", "list")
    assert "anthropic/claude-haiku-4-5" in keyed.out
    assert GPT not in keyed.out
    with transaction() as connection:
        land(connection, [a_request(provider="openai", model="gpt-4o-2024-11-20")])
    roll_up_days(None)
    used = assay_here("models", "list")
    assert GPT in used.out
    assert "anthropic/claude-haiku-4-5" in used.out


def test_one_model_is_shown_on_one_screen() -> None:
    told = assay_here("models", "show", GPT)
    assert told.code == 0, told.err
    for said in (
        "context 128,000, output 16,384",
        "input 2.5, output 10",
        "no key in the environment",
        "vision",
        "circuit unknown",
    ):
        assert said in told.out
    assert len(told.out.splitlines()) < 40
    as_json = json.loads(assay_here("models", "show", GPT, "--json").out)
    assert as_json["prices_usd_per_token"]["output"] == [{"above_tokens": None, "usd": "0.000010000000"}]


def test_models_that_share_no_cases_are_compared_by_what_the_catalogue_knows() -> None:
    told = assay_here("compare", GPT, "anthropic/claude-haiku-4-5", "--catalogue")
    assert told.code == 0, told.err
    openai, can, anthropic = told.out.splitlines()[2:5]
    assert openai.split() == [GPT, "$0.0025", "$0.01", "128,000", "16,384", "-", "-", "available"]
    assert can.strip().startswith("can ")
    assert "json_schema, " in can
    assert "vision" in can
    assert anthropic.split()[1:5] == ["$0.001", "$0.005", "200,000", "64,000"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("models", "show", "openai/gpt-4oo"), "did you mean 'openai/gpt-4o"),
        (("models", "show", "gemini-1.5-prro"), "no model is named"),
        (("models", "list", "--can", "visoin"), "did you mean 'vision'"),
        (("models", "list", "--life-cycle", "retried"), "did you mean 'retired'"),
        (("models", "list", "--provider", "opnai"), "did you mean 'openai'"),
        (("models", "list", "--mode", "chatt"), "did you mean 'chat'"),
        (("models", "validate", GPT, "--environment", "productoin"), "did you mean 'production'"),
        (("models", "validate", GPT, "--feature", "nobody"), "has no traffic"),
        (("models", "validate", GPT, "--needs", "visoin"), "did you mean 'vision'"),
        (("models", "validate", GPT, "--parameter", "temperature"), "NAME=VALUE"),
        (("models", "validate", GPT, "--max-cost-a-call", "cheap"), "a number of US dollars"),
        (("models", "validate", "nowhere.yaml"), "nowhere.yaml"),
        (("models", "validate", "--needs", "vision"), "name a model"),
        (("models", "probe", "openai/gpt-4oo"), "did you mean 'openai/gpt-4o"),
        (("models", "probe", GPT), "set OPENAI_API_KEY"),
        (("models", "probe"), "nobody to ask: set OPENAI_API_KEY, ANTHROPIC_API_KEY"),
        (("models", "probe", "gemini/gemini-1.5-pro"), "set GEMINI_API_KEY"),
        (("models", "probe", GPT, "--max-cost", "-1"), "a number of US dollars"),
        (("environments", "show", "productoin"), "did you mean 'production'"),
        (("environments", "set", "production", "--provider", "opnai", "--why", "x"), "did you mean 'openai'"),
        (("environments", "set", "production", "--monthly-limit", "lots", "--why", "x"), "takes US dollars"),
        (("environments", "set", "no/where", "--why", "x"), "is a word like production"),
        (("environments", "set", "production", "--all-providers"), "--why"),
    ],
)
def test_wrong_input_ends_with_2_and_says_what_would_do(arguments: Sequence[str], said: str) -> None:
    told = assay_here(*arguments)
    assert told.code == 2, told.out + told.err
    assert said in told.err
    assert "Traceback" not in told.err


def test_a_retired_model_may_not_be_put_to_work_and_its_successor_is_named() -> None:
    told = assay_here("models", "validate", "gemini/gemini-1.5-pro")
    assert told.code == 1
    assert "its successor is gemini/gemini-2.5-pro" in told.out


def test_a_configuration_file_is_checked_with_its_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSE_KEY", "k-0123456789")
    file = tmp_path / "config.yaml"
    file.write_text(
        f"model: {GPT}\napi_key_env: HOUSE_KEY\nmax_output_tokens: 20000\nparameters: {{temperature: 3, tempo: 1}}\n"
    )
    told = json.loads(assay_here("models", "validate", str(file), "--json").out)
    failed = {each["name"] for each in told[0]["checks"] if each["outcome"] == "failed"}
    assert failed == {"output", "parameters", "range of temperature"}
    file.write_text("model: openai/x\nparametres: {}\n")
    wrong = assay_here("models", "validate", str(file))
    assert (wrong.code, "config.yaml:2:1" in wrong.err) == (2, True)


def test_an_environment_is_set_and_shown_with_who_and_why() -> None:
    done = assay_here(
        "environments", "set", "production", "--provider", "google", "--monthly-limit", "250", "--why", "Q3"
    )
    assert done.code == 0, done.err
    shown = json.loads(assay_here("environments", "show", "production", "--json").out)
    assert (shown["allowed_providers"], shown["monthly_cost_limit_usd"], shown["validated_only"]) == (
        ["gemini"],
        "250",
        True,
    )
    assert shown["changes"][0]["why"] == "Q3"
    again = assay_here("environments", "set", "production", "--provider", "gemini", "--why", "again")
    assert again.out == "production is as it was.\n"
    assert assay_here("environments", "list").out.count("validated only") == 2


def test_a_sync_without_a_key_asks_nobody_and_finds_nothing_new() -> None:
    assert assay_here("models", "list").code == 0
    told = assay_here("models", "sync", "--dry-run")
    assert (told.code, told.out) == (0, "The registry has what the catalogues say.\n")


def test_listing_models_imports_neither_litellm_nor_prefect() -> None:
    import subprocess

    script = "import sys\nfrom cli.models import models\nfrom tasks.models import registry\n" \
        "print(sorted({'litellm', 'prefect', 'pandas', 'scipy'} & set(sys.modules)))"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
