"""assay requests as a person uses it."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import assay_here
from tests.tasks.ingest.builders import a_file, a_record, ingested
from tests.tasks.test_inspecting import TRACE, traced


def test_show_prints_the_first_screen_the_waterfall_and_the_cost(store: str, tmp_path: Path) -> None:
    external = traced(tmp_path)
    told = assay_here("requests", "show", external)
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0] == "A request of support: 450 ms, 93.3% of it in the model"
    assert "Where the time went: Model 420 ms (93.3%), own work 30 ms (6.7%)." in told.out
    drawn = {line.split()[0]: line for line in lines if "#" in line}
    assert list(drawn) == ["request", "prompt_construction", "model_call", "validation", "post_processing"]
    assert drawn["model_call"].startswith("  model_call")
    assert drawn["model_call"].endswith("420 ms")
    assert drawn["model_call"].count("#") == 30, "420 of 450 ms on 32 characters"
    assert any(line.startswith("Output ") and "200" in line for line in lines)


def test_show_in_json_is_the_twin_of_the_page(store: str, tmp_path: Path) -> None:
    traced(tmp_path)
    known = json.loads(assay_here("requests", "show", TRACE, "--json").out)
    assert known["request"]["feature"] == "support"
    assert len(known["trace"]["steps"]) == 5


def test_list_prints_ids_that_show_takes(store: str, tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, latency_ms=100), a_record(2, latency_ms=900, model="nobody-knows")]))
    told = assay_here("requests", "list", "--slow")
    assert told.code == 0
    head, columns, slowest, other = told.out.splitlines()
    assert head == "Requests from 2026-05-03 to 2026-06-01 (UTC)"
    assert columns.split() == ["id", "when", "(UTC)", "feature", "model", "status", "took", "tokens", "cost"]
    assert slowest.split()[3:] == ["chat", "nobody-knows", "-", "900", "ms", "1,100", "unpriced"]
    assert other.split()[3:] == ["chat", "gpt-4o", "-", "100", "ms", "1,100", "$0.0035"]
    shown = assay_here("requests", "show", slowest.split()[0])
    assert shown.out.startswith("A request of chat: 900 ms; what it was spent on was not recorded")
    listed = json.loads(assay_here("requests", "list", "--json", "--model", "gpt-4o").out)
    assert [(each["external_id"], each["cost_usd"]) for each in listed["requests"]] == [("r-1", "0.003500000000")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["list"], "there are no requests yet"),
        (["list", "--from", "yesterday"], "yesterday"),
        (["list", "--status", "broken"], "broken"),
        (["show", "r-1"], "no request has the id 'r-1'. `assay requests list` shows them."),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(store: str, arguments: list[str], told: str) -> None:
    outcome = assay_here("requests", *arguments)
    assert outcome.code == 2
    assert told in outcome.err


def test_names_of_steps_cannot_steer_the_terminal(store: str, tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, feature="\x1b[31mred\u202e")]))
    for told in (assay_here("requests", "list"), assay_here("requests", "show", "r-1")):
        assert "\x1b" not in told.out
        assert "U+001B" in told.out
