"""assay prices: what models cost, what the lists say otherwise, and rows that are only ever added."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import assay_alone, assay_here, rows

ENTRY = """
prices:
  - model: openai/of-our-own
    from: 2025-07-01
    source: our contract
    usd_per_million: {input: 0.1, output: 0.40}
    above: {200000: {input: 0.2}}
    usd_each: {request: 0.002}
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str) -> Path:
    """A price file of the test's own."""
    from tasks.settings import settings

    path = tmp_path / "own.yaml"
    path.write_text(ENTRY)
    monkeypatch.setenv("ASSAY_PRICES", str(path))
    settings.cache_clear()
    return path


def test_a_sync_is_seen_first_then_applied_and_then_there_is_nothing_left(store: str) -> None:
    seen = assay_here("prices", "sync")
    assert (seen.code, "Nothing was written" in seen.out) == (0, True)
    assert rows(store, "SELECT count(*) FROM model_prices") == [(0,)]
    assert assay_here("prices", "diff").code == 1
    applied = json.loads(assay_here("prices", "sync", "--apply", "--json").out)
    assert applied["added"] == applied["rows"] > 10_000
    assert rows(store, "SELECT count(*) FROM model_prices") == [(applied["added"],)]
    after = assay_here("prices", "diff")
    assert (after.code, after.out) == (0, "The store has what the lists say.\n")


def test_what_a_model_costs_is_shown_exactly_with_its_history(store: str) -> None:
    assay_here("prices", "sync", "--apply")
    shown = assay_here("prices", "show", "openai/of-our-own", "--at", "2025-08-01")
    assert shown.code == 0
    assert "input           0.1, 0.2 above 200,000" in shown.out
    assert "request         0.002" in shown.out
    assert shown.out.count("our contract") == 4
    before = assay_here("prices", "show", "openai/of-our-own", "--at", "2025-06-30")
    assert "openai/of-our-own on 2025-06-30: unpriced" in before.out
    [row] = [
        each
        for each in json.loads(assay_here("prices", "show", "openai/of-our-own", "--json").out)["rows"]
        if each["above_tokens"] == 200_000
    ]
    assert (row["usd"], row["from"], row["to"]) == ("0.000000200000", "2025-07-01", None)
    night = assay_here("prices", "show", "deepseek/deepseek-chat", "--at", "2025-08-01T20:00")
    noon = assay_here("prices", "show", "deepseek/deepseek-chat", "--at", "2025-08-01T12:00")
    assert night.out.partition("\nfrom")[0] != noon.out.partition("\nfrom")[0]


def test_a_price_that_comes_late_says_how_to_see_what_it_would_change(store: str, own: Path) -> None:
    first = assay_here("prices", "sync", "--apply")
    assert "assay reprice" not in first.out or "--dry-run" in first.out
    own.write_text(ENTRY + ENTRY.replace("prices:\n", "").replace("2025-07-01", "2025-09-01").replace("0.1,", "0.3,"))
    late = assay_here("prices", "sync", "--apply").out
    assert "hold since before today, and requests keep the price they had" in late
    assert "assay reprice --from 2025-09-01 --to " in late


def test_an_unknown_model_is_refused_with_the_nearest_and_an_empty_store_says_how_to_fill_it(store: str) -> None:
    empty = assay_here("prices", "show", "openai/of-our-own")
    assert (empty.code, "assay prices sync --apply" in empty.err) == (2, True)
    assay_here("prices", "sync", "--apply")
    unknown = assay_here("prices", "show", "openai/of-our-ow")
    assert (unknown.code, "did you mean 'openai/of-our-own'" in unknown.err) == (2, True)


def test_an_edited_entry_is_shown_and_refused(store: str, own: Path) -> None:
    assay_here("prices", "sync", "--apply")
    own.write_text(ENTRY.replace("input: 0.1,", "input: 0.3,"))
    seen = assay_here("prices", "diff")
    assert seen.code == 1
    assert "openai/of-our-own input: 0.1 -> 0.3 from 2025-07-01 (our contract)" in seen.out
    refused = assay_here("prices", "sync", "--apply")
    assert (refused.code, "write a new entry" in refused.err) == (2, True)


def test_the_command_works_in_a_process_of_its_own(store: str, own: Path) -> None:
    own.write_text("prices: [{model: a/b}]")
    refused = assay_alone("prices", "sync")
    assert (refused.code, "own.yaml: prices.0.source: Field required" in refused.err) == (2, True)
