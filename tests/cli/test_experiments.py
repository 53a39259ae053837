"""assay experiments as a person uses it: declare, start, pause, end."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import assay_here

LIVE = """
experiment: shipping-v4
feature: chatbot
design: live_split
variants:
  - {name: v3, control: true, traffic: 50, bundle: {prompt: shipping@3.0.0}}
  - {name: v4, traffic: 50, bundle: {prompt: shipping@4.0.0}}
primary: {metric: quality, minimum_effect: 0.03, margin: 0.01}
guardrails: [{metric: latency_ms, margin: 50}]
planned_n: 1000
"""


@pytest.fixture(autouse=True)
def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    return tmp_path / "flags" / "production.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shipping.yaml"
    path.write_text(LIVE)
    return path


def test_a_live_experiment_from_its_file_to_its_end(store: str, file: Path, flags: Path) -> None:
    assert assay_here("experiments", "create", file).out.startswith("shipping-v4 is a draft.")
    told = assay_here("experiments", "run", "shipping-v4").out
    assert "shipping-v4 runs: v3 50%, v4 50% of chatbot in production." in told
    assert str(flags) in told
    assert "fractional" in json.loads(flags.read_text())["flags"]["chatbot"]["targeting"]["if"][1]
    assert "shipping-v4 is paused." in assay_here("experiments", "pause", "shipping-v4", "--why", "a doubt").out
    assert "targeting" not in json.loads(flags.read_text())["flags"]["chatbot"]
    assert "shipping-v4 is running." in assay_here("experiments", "resume", "shipping-v4").out
    assert "targeting" in json.loads(flags.read_text())["flags"]["chatbot"]
    watched = json.loads(assay_here("experiments", "watch", "shipping-v4", "--once", "--json").out)
    assert (watched["status"], watched["units"]) == ("running", {"v3": 0, "v4": 0})
    assert "is cancelled" in assay_here("experiments", "cancel", "shipping-v4", "--why", "wrong prompt").out
    shown = json.loads(assay_here("experiments", "show", "shipping-v4", "--json").out)
    assert [step["to"] for step in shown["life"]] == ["draft", "running", "paused", "running", "cancelled"]
    assert [step["why"] for step in shown["life"]][2::2] == ["a doubt", "wrong prompt"]
    assert shown["declared"]["primary"]["metric"] == "quality"
    line = assay_here("experiments", "list").out.splitlines()[1]
    assert line.split() == ["shipping-v4", "chatbot", "live_split", "cancelled", "-", "-"]


def test_a_draft_is_changed_and_deleted_and_nothing_else_is(store: str, file: Path) -> None:
    assay_here("experiments", "create", file)
    file.write_text(LIVE.replace("0.03", "0.05"))
    assert assay_here("experiments", "update", "shipping-v4", file).out == "shipping-v4 is declared anew.\n"
    assert "smallest effect of interest 0.05" in assay_here("experiments", "show", "shipping-v4").out
    assay_here("experiments", "run", "shipping-v4")
    for refused in (["update", "shipping-v4", file], ["delete", "shipping-v4"]):
        outcome = assay_here("experiments", *refused)
        assert outcome.code == 2
        assert "is running" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "shipping"], "there are no experiments yet. Declare one: assay experiments create FILE"),
        (["create", "nowhere.yaml"], "nowhere.yaml"),
        (["cancel", "shipping-v4"], "Missing option '--why'"),
        (["override", "shipping-v4", "--why", "x"], "say --winner VARIANT, or --none"),
        (["list", "--status", "runing"], "'runing' is not one of"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(store: str, arguments: list[str], told: str) -> None:
    outcome = assay_here("experiments", *arguments)
    assert outcome.code == 2
    assert told in outcome.err


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("traffic: 50, bundle: {prompt: shipping@4.0.0}", "traffic: 40", "`traffic` adds up to 90; it has to be 100"),
        ("metric: quality", "metric: qualty", "did you mean 'quality'?"),
        ("design: live_split", "design: live_splt", "shipping.yaml:4"),
        ("guardrails: [{metric: latency_ms, margin: 50}]", "guardrail: []", "did you mean"),
    ],
)
def test_a_wrong_file_is_named_with_its_place(store: str, file: Path, before: str, after: str, told: str) -> None:
    file.write_text(LIVE.replace(before, after))
    outcome = assay_here("experiments", "create", file)
    assert outcome.code == 2
    assert "shipping.yaml" in outcome.err
    assert told in outcome.err


def test_an_override_needs_an_experiment_that_ran_and_is_shown_beside_the_life(store: str, file: Path) -> None:
    assay_here("experiments", "create", file)
    early = assay_here("experiments", "override", "shipping-v4", "--winner", "v4", "--why", "the boss likes it")
    assert (early.code, "there is nothing to override yet" in early.err) == (2, True)
    assay_here("experiments", "run", "shipping-v4")
    wrong = assay_here("experiments", "override", "shipping-v4", "--winner", "v5", "--why", "typo")
    assert (wrong.code, "it has: v3, v4" in wrong.err) == (2, True)
    told = assay_here("experiments", "override", "shipping-v4", "--winner", "v4", "--why", "a legal deadline").out
    assert told.startswith("v4 was chosen by ")
    assert "a legal deadline" in assay_here("experiments", "show", "shipping-v4").out
    assert json.loads(assay_here("experiments", "show", "shipping-v4", "--json").out)["winner"] == "v4"
