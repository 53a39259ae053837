"""Suites: found, read, refused with a place, and laid out as variants."""

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import validator_for

from evaluations.errors import AssayError
from tasks.documents import read_document
from tasks.suites import SCHEMA_FOLDER, as_file, find_suite, load_suite, root_of, schemas

SUITE = """\
suite: triage
prompts: prompts/p.yaml
models:
  - openai/small
  - {model: openai/large, fallbacks: [spare]}
other_models:
  - {name: spare, model: azure/spare}
  - {name: judge, model: azure/judge}
scorers:
  - exact
  - scorer: word_count
    severity: minor
    at_most: 100
"""

made_schemas = cache(schemas)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `datasets/triage` with a suite, and the working directory above it."""
    made = tmp_path / "datasets" / "triage"
    (made / "prompts").mkdir(parents=True)
    (made / "suite.yaml").write_text(SUITE)
    (made / "prompts" / "p.yaml").write_text('name: p\nversion: "1.0.0"\nuser: "{{ q }}"\n')
    (made / "prompts" / "r.yaml").write_text('name: r\nversion: "2.0.0"\nuser: "!{{ q }}"\n')
    monkeypatch.chdir(tmp_path)
    return made


def refused(folder: Path, text: str | bytes, **given: Any) -> str:
    path = folder / "suite.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AssayError) as error:
        load_suite(path, **given)
    return str(error.value)


def test_a_suite_is_found_by_path_by_folder_and_by_name(folder: Path) -> None:
    for name in ("triage", "datasets/triage", "datasets/triage/suite.yaml", folder / "suite.yaml"):
        assert find_suite(name) == folder / "suite.yaml"
    loaded = load_suite("triage")
    assert loaded.folder == loaded.dataset_folder == folder
    assert loaded.root == folder.parent
    assert [variant.label for variant in loaded.variants] == ["small", "large"]
    assert [prompt.label for prompt in loaded.prompts] == ["p@1.0.0"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("triag", "did you mean 'triage'"),
        ("datasets/triage/suit.yaml", "did you mean suite.yaml"),
        ("datasets/nowhere/suite.yaml", "folder does not exist"),
        ("datasets", "has no suite.yaml"),
        ("../triage", "neither a suite file nor"),
        ("", "neither a suite file nor"),
        ("a\x00b", "neither a suite file nor"),
        ("..", "no suite.yaml"),
    ],
)
def test_a_suite_that_is_not_there_is_answered_with_what_is(folder: Path, name: str, said: str) -> None:
    with pytest.raises(AssayError, match=said):
        load_suite(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("suite: s\nmodel: a/b\n", "suite.yaml:2:1: unknown key 'model'; did you mean 'models'"),
        (
            "suite: s\nmodels: [a/b]\ngates: {pas_rate: 1}\n",
            "suite.yaml:3:9: unknown key 'pas_rate'; did you mean 'pass_rate'",
        ),
        (
            "suite: s\nmodels:\n  - model: a/b\n    tmeout_s: 3\n",
            "suite.yaml:4:5: unknown key 'tmeout_s'; did you mean 'timeout_s'",
        ),
        (
            "suite: s\nmodels: [a/b]\ngates: {pass_rate: 90}\n",
            "suite.yaml:3:9: `gates.pass_rate` is a share between 0 and 1",
        ),
        ("suite: s\nmodels: [a/b]\npriority: hgih\n", "suite.yaml:3:1: `priority` is 'hgih', which is none of"),
        ("suite: s\nmodels: [a/b]\npriority: hgih\n", "did you mean 'high'"),
        ("suite: s\nmodels: [a/b]\nrepeats: many\n", "suite.yaml:3:1: `repeats`"),
        ("models: [a/b]\n", "suite.yaml:1:1: `suite` is missing"),
        (
            "suite: s\nmodels: [a/b]\nscorers: [exactt]\n",
            "suite.yaml:3:11: no scorer is named 'exactt'; did you mean 'exact'",
        ),
        (
            "suite: s\nmodels: [a/b]\nscorers:\n  - scorer: exact\n    ignore_cas: true\n",
            "suite.yaml:5:5: unknown key 'ignore_cas'; did you mean 'ignore_case'",
        ),
        (
            "suite: s\nmodels: [a/b]\nscorers:\n  - scorer: exact\n    treshold: 1\n",
            "suite.yaml:5:5: unknown key 'treshold'; did you mean 'threshold'",
        ),
        ("suite: s\nmodels:\n  - model: a/b\n    api_key: hunter2\n", "suite.yaml:3:5: `api_key` holds a secret"),
        ("suite: s\nsuite: t\nmodels: [a/b]\n", "suite.yaml:2:1: the key 'suite' stands here for the second time"),
        ("suite: s\n\tmodels: [a/b]\n", "suite.yaml:2:1: a tab"),
        ("suite: [s\n", "suite.yaml:2:1: not YAML"),
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n", "a suite is a mapping"),
        ("just text", "a suite is a mapping"),
        ("suite: s\n---\nsuite: t\n", "a second document"),
        ("suite: !!python/object/apply:os.system [ls]\n", "the tag"),
        ("suite: &a [*a]\n", "part of"),
        ("suite: *a\n", "no anchor before it"),
        ("suite: .inf\n", "not a number"),
        ('suite: "a\\0b"\n', "NUL"),
        ('suite: "\\ud800"\n', "suite.yaml:1:"),
        ("[a]: b\n", "a key is a plain word"),
        ("a: " + "[" * 5000 + "\n", "levels deep"),
        (b"suite: caf\xe9\n", "suite.yaml:1:11: byte 0xe9 is not UTF-8"),
        ("suite: s".encode("utf-16"), "UTF-16"),
        (b"suite: s\x00\n", "suite.yaml"),
        (b"#" * 1_000_001, "larger than 1 MB"),
    ],
)
def test_a_wrong_suite_is_answered_with_its_place(folder: Path, text: str | bytes, said: str) -> None:
    message = refused(folder, text)
    assert said in message
    assert "hunter2" not in message


def test_a_billion_laughs_are_refused_before_they_grow(folder: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "aliases followed" in refused(folder, "\n".join(lines))


def test_all_problems_are_listed_at_once(folder: Path) -> None:
    message = refused(folder, "suit: s\nmodels: [a/b]\nrepeats: 0\n")
    assert len(message.splitlines()) == 3
    assert "unknown key 'suit'" in message
    assert "repeats" in message


def test_yaml_is_read_as_its_version_1_2_means_it(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_bytes(
        b"\xef\xbb\xbfa: no\r\nb: 10:30\r\nc: 2024-01-01\r\nd: 007\r\ne: 1e3\r\nf: true\r\ng: ~\r\nh: -3\r\n"
        b"base: &b {x: 1, y: 2}\r\nmore: {<<: *b, y: 3}\r\nq: '1'\r\n"
    )
    assert read_document(path, "suite").value == {
        **{"a": "no", "b": "10:30", "c": "2024-01-01", "d": "007", "e": 1000.0, "f": True, "g": None, "h": -3},
        **{"base": {"x": 1, "y": 2}, "more": {"y": 3, "x": 1}, "q": "1"},
    }


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc", "../../datasets2"])
@pytest.mark.parametrize("key", ["dataset", "prompts"])
def test_a_suite_reads_nothing_outside_its_root(folder: Path, key: str, name: str) -> None:
    for made in ("elsewhere", "datasets2"):
        (folder.parents[1] / made).mkdir()
    message = refused(folder, f"suite: s\nmodels: [a/b]\n{key}: {name}\n")
    assert "leads out of" in message or "absolute path" in message
    assert "suite.yaml:3:" in message


def test_a_symlink_out_of_the_root_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.yaml"
    outside.write_text('name: p\nuser: "x"\n')
    (folder / "prompts" / "link.yaml").symlink_to(outside)
    assert "leads out of" in refused(folder, "suite: s\nmodels: [a/b]\nprompts: prompts/link.yaml\n")


def test_a_suite_may_use_the_dataset_next_door(folder: Path) -> None:
    (folder.parent / "other").mkdir()
    (folder / "suite.yaml").write_text("suite: s\nmodels: [a/b]\ndataset: ../other\n")
    assert load_suite("triage").dataset_folder == folder.parent / "other"
    assert "did you mean other" in refused(folder, "suite: s\nmodels: [a/b]\ndataset: ../othr\n")


def test_without_a_datasets_folder_the_root_is_the_suites_own(tmp_path: Path) -> None:
    assert root_of(tmp_path / "x" / "suite.yaml") == tmp_path / "x"


def test_models_can_be_chosen_by_label_by_id_and_from_outside(folder: Path) -> None:
    loaded = load_suite("triage", models=["large", "groq/new"])
    assert [variant.label for variant in loaded.variants] == ["large", "new"]
    assert [model.name for model in loaded.spec.other_models] == ["spare", "judge"]
    assert load_suite("triage", models=["openai/small"]).variants[0].label == "small"
    with pytest.raises(AssayError, match="did you mean 'small'"):
        load_suite("triage", models=["smal"])


def test_a_fallback_that_was_not_chosen_stays_within_reach(folder: Path) -> None:
    text = "suite: s\nmodels:\n  - {model: x/a, fallbacks: [b]}\n  - {model: x/b, fallbacks: [c]}\n  - x/c\n  - x/d\n"
    (folder / "suite.yaml").write_text(text)
    loaded = load_suite("triage", models=["a"])
    assert [variant.label for variant in loaded.variants] == ["a"]
    assert [model.name for model in loaded.spec.other_models] == ["b", "c"]


def test_prompts_can_be_chosen_and_brought(folder: Path) -> None:
    for name in ("p", "p@1.0.0", "prompts/p.yaml"):
        assert [prompt.label for prompt in load_suite("triage", prompts=[name]).prompts] == ["p@1.0.0"]
    loaded = load_suite("triage", prompts=["p", "datasets/triage/prompts/r.yaml"])
    assert [variant.label for variant in loaded.variants][:2] == ["small · p@1.0.0", "small · r@2.0.0"]
    with pytest.raises(AssayError, match="no prompt of this suite is named 'q'"):
        load_suite("triage", prompts=["q"])


def test_numbers_given_on_top_are_checked_like_those_of_the_file(folder: Path) -> None:
    loaded = load_suite("triage", repeats=3, max_cost=Decimal("0.5"), max_time="10m", concurrency=4)
    spec = loaded.spec
    assert (spec.repeats, spec.max_cost, spec.max_time, spec.concurrency) == (3, Decimal("0.5"), 600, 4)
    assert loaded.content_hash != load_suite("triage").content_hash
    assert load_suite("triage", concurrency=4).content_hash == load_suite("triage").content_hash
    with pytest.raises(AssayError, match="repeats"):
        load_suite("triage", repeats=0)


def test_a_wrong_prompt_is_named_by_its_own_file(folder: Path) -> None:
    (folder / "prompts" / "p.yaml").write_text("name: p\nusr: x\n")
    with pytest.raises(AssayError, match=r"^datasets/triage/prompts/p.yaml:2:1: unknown key"):
        load_suite("triage")
    (folder / "prompts" / "p.yaml").unlink()
    with pytest.raises(AssayError, match=r"^datasets/triage/suite.yaml:2:1: there is no prompt .*did you mean r.yaml"):
        load_suite("triage")


def test_the_committed_schemas_are_the_generated_ones() -> None:
    for name, schema in made_schemas().items():
        assert (SCHEMA_FOLDER / name).read_text() == as_file(schema), (
            f"write them again: python -m tasks.suites ({name})"
        )


@cache
def validator(name: str) -> Any:
    schema = json.loads(as_file(made_schemas()[name]))
    kind = validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def faults(name: str, value: Any) -> list[str]:
    return [error.message for error in validator(name).iter_errors(value)]


@pytest.mark.parametrize(
    "given",
    [
        {"models": "openai/small"},
        {"scorers": ["exact", {"scorer": "exact", "name": "b", "ignore_case": True}, {"scorer": "my:Own", "any": 1}]},
        {"max_time": "10m", "require": "2 of 3", "repeats": 3, "parameters": {"temperature": 0}, "tags": "a"},
        {"gates": {"pass_rate": 0.9, "confident": True}, "max_cost": 1.5},
        {"models": [{"model": "a/b", "timeout_s": "5s"}]},
    ],
)
def test_an_editor_accepts_what_a_suite_may_say(given: dict[str, Any]) -> None:
    assert faults("suite.schema.json", {"suite": "s", "models": ["a/b"], **given}) == []


@pytest.mark.parametrize(
    "given",
    [
        {"modles": []},
        {"scorers": [{"scorer": "exact", "ignore_cas": True}]},
        {"scorers": ["exactt"]},
        {"gates": {"pas_rate": 1}},
        {"require": 2},
        {"models": [{"name": "x"}]},
        {"priority": "hgih"},
    ],
)
def test_an_editor_underlines_what_it_may_not(given: dict[str, Any]) -> None:
    assert faults("suite.schema.json", {"suite": "s", "models": ["a/b"], **given}) != []


def test_editors_know_prompts_and_contracts() -> None:
    assert (
        faults("prompt.schema.json", {"name": "p", "user": "x", "variables": {"q": "text", "r": {"type": "list"}}})
        == []
    )
    assert faults("prompt.schema.json", {"name": "p", "user": "x", "variables": {"q": "txt"}}) != []
    assert faults("prompt.schema.json", {"name": "p", "usr": "x"}) != []
    expectation = {"type": "expect_column_values_to_not_be_null", "column": "c", "mostly": 0.9}
    assert faults("contract.schema.json", {"cases": "cases.jsonl", "expectations": [expectation]}) == []
    assert faults("contract.schema.json", {"case": "cases.jsonl"}) != []
    policy = {"name": "careful", "p95_ms": {"batch": None}, "candidates": {"chatbot": "a/b", "search": ["a/b", "a/c"]}}
    assert faults("selection.schema.json", {**policy, "automatic": True}) == []
    assert faults("selection.schema.json", {**policy, "p95": 1}) != []
