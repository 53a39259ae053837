"""Bad input: a clear sentence, exit 2, nothing run, nothing written; and what can be run is run."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import a_suite_file, assay, assay_here, cases_of, result_of, rows, runs_in, simulated

CONTRACT = """\
fields: {expected: label}
expectations:
  - {type: expect_column_values_to_be_in_set, column: label, value_set: [right, wrong]}
  - {type: expect_column_value_lengths_to_be_between, column: inputs.question, max_value: 60}
"""


def written(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def with_cases(folder: Path, data: str | bytes, name: str = "cases.jsonl") -> Path:
    suite = a_suite_file(folder)
    (folder / "cases.jsonl").unlink()
    written(folder, name, data)
    return suite


def one_case(**given: Any) -> str:
    return json.dumps({**cases_of(1)[0], **given}) + "\n"


def an_unknown_key(folder: Path) -> Path:
    a_suite_file(folder)
    return written(folder, "suite.yaml", "suite: tested\nmodels: [simulated/perfect]\nscorer: [exact]\n")


def a_yaml_bomb(folder: Path) -> Path:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    a_suite_file(folder)
    return written(folder, "suite.yaml", "\n".join(["suite: tested", 'l0: &l0 ["lol"]', *levels]) + "\n")


def a_gzip_bomb(folder: Path) -> Path:
    return with_cases(folder, gzip.compress(b"a" * 200_000_000, 9), "cases.jsonl.gz")


def real_models(folder: Path, **model: Any) -> Path:
    return a_suite_file(
        folder, models={"name": "m", "api_base": "http://127.0.0.1:9/v1", "transport": "direct", **model}
    )


BAD: dict[str, tuple[Callable[[Path], Path | str], list[str]]] = {
    "a missing file": (lambda folder: folder / "nowhere.yaml", ["nowhere.yaml"]),
    "a folder without a suite": (lambda folder: folder, ["has no suite.yaml"]),
    "an unknown dataset": (lambda _: "suport-tickets", ["did you mean 'support-tickets'?"]),
    "an empty name": (lambda _: "", ["neither a suite file nor"]),
    "an empty file of cases": (lambda folder: with_cases(folder, ""), ["cases.jsonl is empty"]),
    "cases of blank lines": (lambda folder: with_cases(folder, "\n\n"), ["has no cases"]),
    "no file of cases": (lambda folder: with_cases(folder, "", "other.txt"), ["has no cases; it needs one of"]),
    "an id twice": (lambda folder: a_suite_file(folder, cases=[*cases_of(2), *cases_of(1)]), ["line 3", "c-0"]),
    "another encoding": (
        lambda folder: with_cases(folder, one_case(expected="é").encode().replace(b"\\u00e9", b"\xe9")),
        ["line 1", "UTF-8"],
    ),
    "UTF-16": (lambda folder: with_cases(folder, one_case().encode("utf-16")), ["UTF-16"]),
    "no JSON": (lambda folder: with_cases(folder, one_case() + "{nope\n"), ["line 2", "JSON"]),
    "a 10 MB case": (lambda folder: with_cases(folder, one_case(expected="x" * 10_000_000)), ["line 1", "MB"]),
    "a NUL in a case": (lambda folder: with_cases(folder, one_case(expected="a\0b")), ["line 1", "NUL"]),
    "half a surrogate pair": (lambda folder: with_cases(folder, one_case(expected="\ud83d")), ["line 1", "surrogate"]),
    "an unknown scorer": (
        lambda folder: a_suite_file(folder, scorers=["exat"]),
        ["suite.yaml:", "did you mean 'exact'?"],
    ),
    "an unknown setting of a scorer": (
        lambda folder: a_suite_file(folder, scorers=[{"scorer": "word_count", "atleast": 1}]),
        ["suite.yaml:", "unknown key 'atleast'; did you mean 'at_least'?"],
    ),
    "an unknown key": (an_unknown_key, ["suite.yaml:3:1: unknown key 'scorer'; did you mean 'scorers'?"]),
    "an unknown profile": (
        lambda folder: a_suite_file(folder, models="simulated/perfct"),
        ["no simulated profile is named 'perfct'; did you mean 'perfect'?"],
    ),
    "an unknown model": (
        lambda folder: a_suite_file(folder, models="openai/gtp-4o-mini"),
        ["gtp-4o-mini", "did you mean", "gpt-4o-mini"],
    ),
    "a recording that is not there": (lambda folder: a_suite_file(folder, models="replay/a.jsonl"), ["a.jsonl"]),
    "a recording elsewhere": (
        lambda folder: a_suite_file(folder, models="replay/../../etc/passwd"),
        ["../../etc/passwd"],
    ),
    "a missing key": (
        lambda folder: real_models(folder, model="openai/gpt-4o-mini", api_key_env="NO_SUCH_KEY"),
        ["NO_SUCH_KEY"],
    ),
    "a key in the file": (
        lambda folder: real_models(folder, model="openai/gpt-4o-mini", api_key="sk-canary12345678"),
        ["a secret does not belong in a file"],
    ),
    "a dataset elsewhere": (lambda folder: a_suite_file(folder, dataset="../../etc"), ["leads out of"]),
    "a prompt elsewhere": (lambda folder: a_suite_file(folder, prompts="/etc/passwd"), ["is an absolute path"]),
    "a YAML bomb": (a_yaml_bomb, ["suite.yaml"]),
    "a gzip bomb": (a_gzip_bomb, ["cases.jsonl.gz", "unpack"]),
    "no gzip": (lambda folder: with_cases(folder, "plain", "cases.jsonl.gz"), ["no sound gzip file"]),
    "a NUL in the suite": (lambda folder: written(folder, "suite.yaml", "suite: a\0b\n"), ["suite.yaml"]),
    "a binary suite": (lambda folder: written(folder, "suite.yaml", bytes(range(256))), ["suite.yaml", "UTF-8"]),
    "a gate in percent": (
        lambda folder: a_suite_file(folder, gates={"pass_rate": 90}),
        ["suite.yaml:", "share between 0 and 1"],
    ),
    "two scorers of one name": (
        lambda folder: a_suite_file(folder, scorers=["exact", "exact"]),
        ["suite.yaml:", "give one of them a `name`"],
    ),
    "a prompt that no case fits": (
        lambda folder: a_suite_file(folder, prompts=written(folder, "p.yaml", "name: p\nuser: '{{ nothing }}'\n").name),
        ["fits none of the cases", "nothing"],
    ),
    "a wrong scorer in a case": (
        lambda folder: a_suite_file(folder, cases=cases_of(2, assertions=[{"scorer": "exat"}])),
        ["case c-0: ", "did you mean 'exact'?"],
    ),
}


@pytest.mark.parametrize("given", BAD)
def test_bad_input_is_named_and_nothing_is_run(store: str, tmp_path: Path, given: str) -> None:
    make, said = BAD[given]
    (tmp_path / "s").mkdir()
    refused = assay_here("run", make(tmp_path / "s"))
    assert refused.code == 2, refused
    assert refused.out == ""
    for words in said:
        assert words in refused.err, refused.err
    assert len(refused.err) < 3000, "the sentence drowns in what was given"
    assert "canary" not in refused.err
    assert runs_in(store) == 0
    assert not (tmp_path / "reports").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
@pytest.mark.parametrize("name", ["suite.yaml", "cases.jsonl"])
def test_a_file_that_may_not_be_read_is_named(store: str, tmp_path: Path, name: str) -> None:
    suite = a_suite_file(tmp_path / "s")
    (tmp_path / "s" / name).chmod(0)
    refused = assay_here("run", suite)
    assert refused.code in (2, 3)
    assert name in refused.err
    assert runs_in(store) == 0


@pytest.mark.usefixtures("prefect_server")
def test_a_broken_contract_names_its_lines_and_quarantine_runs_the_rest(store: str, tmp_path: Path) -> None:
    cases = [{**case, "label": case.pop("expected")} for case in cases_of(5)]
    cases[1]["label"] = "rihgt"
    cases[3]["inputs"]["question"] += " and on" * 20
    suite = a_suite_file(tmp_path / "s", cases=cases)
    written(tmp_path / "s", "contract.yaml", CONTRACT)
    refused = assay_here("run", suite)
    assert refused.code == 2, refused
    assert "breaks its contract; nothing was run" in refused.err
    assert "line 2 (c-1): " in refused.err
    assert "'rihgt'" in refused.err
    assert "line 4 (c-3): " in refused.err
    assert "run the other 3 with --quarantine" in refused.err
    assert rows(store, "SELECT count(*) FROM datasets") == [(0,)]

    run = assay("run", suite, "--quarantine")
    assert run.code == 0, run.err
    assert "2 rows in quarantine, listed in the report" in run.err
    result = result_of(run)
    assert [(row["line"], row["case_id"]) for row in result["quarantined"]] == [(2, "c-1"), (4, "c-3")]
    assert result["cases_total"] == 3
    assert {case["case_id"] for case in result["cases"]} == {"c-0", "c-2", "c-4"}


def test_a_quarantine_that_leaves_nothing_is_refused(store: str, tmp_path: Path) -> None:
    suite = with_cases(tmp_path / "s", "{nope\n")
    refused = assay_here("run", suite, "--quarantine")
    assert refused.code == 2
    assert "line 1: is not JSON" in refused.err
    assert "No good row is left to run." in refused.err
    assert rows(store, "SELECT count(*) FROM datasets") == [(0,)]


@pytest.mark.usefixtures("prefect_server")
def test_names_that_lead_elsewhere_or_are_markup_stay_names(store: str, tmp_path: Path) -> None:
    """A suite may call itself anything: its report stays in the reports folder, and nothing in it is markup."""
    name = "../../../tmp/<script>alert(1)</script>"
    suite = a_suite_file(tmp_path / "s", cases=cases_of(1), models=simulated() | {"name": "<b>\u202emodel"}, suite=name)
    run = assay("run", suite)
    assert run.code == 0, run.err
    [folder] = (tmp_path / "reports").iterdir()
    assert folder.name.startswith("tmp-script-alert-1-script-")
    page = (folder / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "<b>\u202e" not in page
