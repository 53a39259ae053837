"""assay prompts: what the commands say and refuse, and a suite whose two registered versions are told apart by case."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.prompt_history import publish_prompt
from tasks.settings import settings
from tests.cli.commands import Outcome, a_suite_file, assay_alone, assay_here, rows
from tests.recorded_models import finished


def a_file(folder: Path, **given: Any) -> Path:
    spec = {
        "name": "reply",
        "version": "1.0.0",
        "user": "<q>\n{{ question }}\n</q>\nAnswer shortly.",
        "variables": {"question": "text"},
        **given,
    }
    path = folder / f"{spec['version']}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def told(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_a_version_goes_from_a_file_to_an_approval(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_ACTOR", "ana")
    settings.cache_clear()
    first = a_file(tmp_path)
    assert assay_here("prompts", "list").out.startswith("No prompt is registered yet")
    assert "reply@1.0.0 is registered, its first version" in assay_here("prompts", "add", first).out
    second = a_file(tmp_path, version="1.0.1", user="<q>\n{{ question }}\n</q>\nAnswer at length.")
    refused = assay_here("prompts", "add", second)
    assert (refused.code, refused.out) == (2, "")
    assert 'asks for a minor one: the user text changes its words. Give it `version: "1.1.0"`' in refused.err
    said = assay_here("prompts", "add", second, "--bump", "auto").out
    assert "reply@1.1.0 is registered, after 1.0.0" in said
    assert 'version: "1.1.0"' in said
    assert "+ Answer at length." in assay_here("prompts", "diff", "reply").out
    found = told(assay_here("prompts", "diff", "reply@1.0.0", "1.1.0", "--json"))
    assert (found["demanded"], found["behaviour"]) == ("minor", [])
    assert told(assay_here("prompts", "diff", "reply@1.0.0", second, "--json"))["changes"] == found["changes"]
    assert assay_here("prompts", "review", "reply@1.1.0").code == 0
    refused = assay_here("prompts", "approve", "reply@1.1.0")
    assert (refused.code, "by its own author" in refused.err) == (2, True)
    monkeypatch.setenv("ASSAY_ACTOR", "ben")
    settings.cache_clear()
    approved = told(assay_here("prompts", "approve", "reply@1.1.0", "--why", "fine", "--json"))
    assert approved["review_state"] == "approved"
    assay_here("prompts", "comment", "reply@1.1.0", "short enough?", "--at", "user, line 4")
    log = told(assay_here("prompts", "log", "reply", "--json"))["log"]
    assert [(each["version"], each["event"]) for each in log] == [
        ("1.0.0", "draft"),
        ("1.1.0", "draft"),
        ("1.1.0", "in_review"),
        ("1.1.0", "approved"),
        ("1.1.0", "comment"),
    ]
    [line] = told(assay_here("prompts", "list", "--state", "approved", "--json"))
    assert (line["version"], line["versions"], line["parent"]) == ("1.1.0", 2, "1.0.0")
    assert [each["version"] for each in told(assay_here("prompts", "search", "length", "--json"))] == ["1.1.0"]
    assert told(assay_here("prompts", "search", "length", "--to", "2020-01-01", "--json")) == []
    assert "Answer at length." in assay_here("prompts", "show", "reply@v1.1.0").out
    exported = assay_here("prompts", "export", "reply@1.1.0").out
    assert yaml.safe_load(exported)["version"] == "1.1.0"
    assert rows(store, "SELECT count(*) FROM prompt_versions WHERE registered_at IS NOT NULL") == [(2,)]


def test_lint_ends_with_1_where_there_is_an_error_and_never_repeats_a_secret(store: str, tmp_path: Path) -> None:
    assert assay_here("prompts", "lint", a_file(tmp_path)).code == 0
    bad = a_file(tmp_path, version="2.0.0", system="The key is sk-abcdefghijklmnop.")
    outcome = assay_here("prompts", "lint", bad, "--json")
    assert outcome.code == 1
    assert [each["rule"] for each in json.loads(outcome.out)["findings"]] == ["secret"]
    refused = assay_here("prompts", "add", bad)
    assert refused.code == 2
    assert "sk-abc" not in outcome.out + refused.err
    assert rows(store, "SELECT 1 FROM prompts") == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("show", "nobody"), "no prompt is registered yet: assay prompts add FILE"),
        (("add", "none.yaml"), "there is no prompt none.yaml"),
        (("lint", "none.yaml"), "there is no prompt none.yaml"),
        (("import", "x.toml"), "nobody knows prompts in files of that ending"),
        (("approve", "nobody@1.0.0"), "no prompt is registered yet"),
        (("list", "--state", "done"), "'done' is not one of"),
        (("new", "x", "--template", "clasify"), "did you mean 'classify'"),
        (("render", "none.yaml"), "there is no prompt none.yaml"),
        (("comment", "nobody", " "), "a comment says something"),
        (("search", "x", "--from", "yesterday"), "yesterday"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_the_reason(store: str, arguments: tuple[str, ...], why: str) -> None:
    outcome = assay_here("prompts", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert why in outcome.err


def test_a_new_file_from_a_template_overwrites_nothing(store: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    assert assay_here("prompts", "new", "mine", "--template", "classify", "--to", path).code == 0
    assert "nothing found" in assay_here("prompts", "lint", path).out
    refused = assay_here("prompts", "new", "mine", "--template", "judge", "--to", path)
    assert (refused.code, "is there already" in refused.err) == (2, True)
    shown = assay_here("prompts", "render", path, "--set", "text=Hello")
    assert "<text>\nHello\n</text>" in shown.out
    assert "classify" in assay_here("prompts", "new", "mine").out


def test_reading_imports_neither_prefect_nor_litellm(store: str, tmp_path: Path) -> None:
    assay_here("prompts", "add", a_file(tmp_path))
    probe = tmp_path / "sitecustomize.py"
    probe.write_text(
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('prefect', 'litellm', 'pandas', 'great_expectations'):\n"
        "            raise SystemExit(f'imported {name}')\n"
        "sys.meta_path.insert(0, Refuse())\n"
    )
    # One that reads the store, one that looks over a prompt, one that writes a step of a review.
    for arguments in (("show", "reply"), ("lint", "reply"), ("review", "reply@1.0.0")):
        outcome = assay_alone("prompts", *arguments, env={"PYTHONPATH": str(tmp_path)})
        assert (outcome.code, outcome.err) == (0, "")


def test_a_suite_of_two_versions_tells_which_cases_changed_and_their_page_says_it(store: str, tmp_path: Path) -> None:
    second = a_file(tmp_path, version="1.1.0", user="<q>\n{{ question }}\n</q>\nAnswer at length.")
    assert assay_here("prompts", "add", a_file(tmp_path), second).code == 0
    suite = a_suite_file(
        tmp_path / "suite", cases=30, models="simulated/small", prompts=["reply@1.0.0", "reply@1.1.0"], gates={}
    )
    asyncio.run(finished(suite))
    pairs = rows(
        store,
        """
        SELECT c.case_id, a.verdict, b.verdict FROM verdicts a JOIN verdicts b
            ON b.run_id = a.run_id AND b.position = a.position AND a.variant = 0 AND b.variant = 1
        JOIN runs r ON r.id = a.run_id JOIN cases c ON c.dataset_id = r.dataset_id AND c.position = a.position
        """,
    )
    assert len(pairs) == 30
    changed = {(case, before, after) for case, before, after in pairs if before != after}
    assert changed, "the made-up model answered both alike; choose another number of cases"
    [found] = told(assay_here("prompts", "diff", "reply", "--json"))["behaviour"]
    assert {(each["case"], each["before"], each["after"]) for each in found["changes"]} == changed
    assert (found["compared"], found["before_passed"]) == (30, sum(before == "pass" for _, before, _ in pairs))
    used = rows(
        store, "SELECT v.semver FROM prompt_versions v JOIN variants x ON x.prompt_version_id = v.id ORDER BY v.seq"
    )
    assert used == [("1.0.0",), ("1.1.0",)], "the run's variants are the registered versions themselves"
    twin = json.loads(publish_prompt("reply").with_name("report.json").read_text())
    assert {each["case_id"] for each in twin["versions"][0]["behaviour"][0]["changes"]} == {
        case for case, _, _ in changed
    }
    assert [run["judged"] for run in twin["runs"]] == [30, 30]
