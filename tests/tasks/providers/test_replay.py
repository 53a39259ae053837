"""Recorded answers: found by case, variant and repeat, from any layout, without holding them in memory."""

import gzip
import json
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evaluations.answers import Usage
from evaluations.errors import AssayError
from tasks.providers.base import CallError, Reply, Workspace
from tasks.providers.replay import ReplayProvider
from tests.tasks.providers.builders import a_book, a_call, a_gateway, a_target, run


def recording(folder: Path, *rows: Any, name: str = "answers.jsonl") -> Path:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def replay(folder: Path, name: str = "answers.jsonl", **parameters: Any) -> ReplayProvider:
    return ReplayProvider(a_target(model=f"replay/{name}", parameters=parameters), Workspace(folder=folder))


def said(provider: ReplayProvider, case_id: str = "c1", **changes: Any) -> Reply:
    return run(provider.complete(a_call(case_id, **changes)))


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.jsonl.gz"])
def test_a_recorded_answer_comes_back_with_all_that_was_recorded(tmp_path: Path, name: str) -> None:
    row = {
        "case_id": "c1",
        "text": "Zürich\u2028“ok”",
        "model": "openai/gpt-4o-mini",
        "usage": {"input_tokens": 40, "cached_tokens": 2, "output_tokens": 3},
        "latency_ms": 212,
        "cost_usd": "0.0000078",
        "finish_reason": "stop",
    }
    recording(tmp_path, {"case_id": "c0", "text": "no"}, row, name=name)
    assert said(replay(tmp_path, name)) == Reply(
        text="Zürich\u2028“ok”",
        usage=Usage(input_tokens=40, cached_tokens=2, output_tokens=3),
        model_returned="openai/gpt-4o-mini",
        finish_reason="stop",
        latency_ms=212.0,
        cost_usd=Decimal("0.0000078"),
    )


def test_what_was_not_recorded_is_unknown(tmp_path: Path) -> None:
    recording(tmp_path, {"case_id": "c1", "text": ""})
    reply = said(replay(tmp_path))
    assert (reply.text, reply.usage_known, reply.latency_ms, reply.cost_usd) == ("", False, None, None)


def test_rows_are_found_by_variant_and_repeat(tmp_path: Path) -> None:
    recording(
        tmp_path,
        {"case_id": "c1", "variant": "large", "text": "large 0"},
        {"case_id": "c1", "variant": "large", "repeat": 1, "text": "large 1"},
        {"case_id": "c1", "text": "any 0"},
    )
    provider = replay(tmp_path)
    assert said(provider, variant="large").text == "large 0"
    assert said(provider, variant="large", repeat=1).text == "large 1"
    assert said(provider, variant="small").text == "any 0"


@pytest.mark.parametrize(("case_id", "repeat"), [("c2", 0), ("c1", 1)])
def test_what_is_missing_is_an_error_and_never_another_answer(tmp_path: Path, case_id: str, repeat: int) -> None:
    recording(tmp_path, {"case_id": "c1", "text": "only this"})
    with pytest.raises(CallError) as caught:
        said(replay(tmp_path), case_id, repeat=repeat)
    assert (caught.value.kind, caught.value.retryable) == ("no_recording", False)


@pytest.mark.parametrize(("error", "kind"), [("timeout", "timeout"), ("it broke", "server_error")])
def test_recorded_errors_are_errors_again(tmp_path: Path, error: str, kind: str) -> None:
    recording(tmp_path, {"case_id": "c1", "error": error, "error_message": "no reply within 60 s"})
    with pytest.raises(CallError, match="no reply within 60 s") as caught:
        said(replay(tmp_path))
    assert caught.value.kind == kind


def test_files_of_other_programs_are_read_by_their_field_names(tmp_path: Path) -> None:
    recording(
        tmp_path,
        {"doc": {"id": 7}, "resp": "first", "usage": {"prompt_tokens": 9, "completion_tokens": 4}},
        {"doc": {"id": 7}, "resp": "second"},
    )
    provider = replay(tmp_path, id_field="doc.id", text_field="resp", rows_are_repeats=True)
    first = said(provider, "7")
    assert (first.text, first.usage) == ("first", Usage(input_tokens=9, output_tokens=4))
    assert said(provider, "7", repeat=1).text == "second"


def test_a_list_of_samples_is_a_list_of_repeats(tmp_path: Path) -> None:
    recording(tmp_path, {"id": "c1", "outputs": ["a", "b"]})
    provider = replay(tmp_path, id_field="id", samples_field="outputs")
    assert [said(provider, repeat=repeat).text for repeat in (0, 1)] == ["a", "b"]
    with pytest.raises(CallError):
        said(provider, repeat=2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (['{"case_id": "c1", "text": "a"}', "{oops"], "line 2: not JSON"),
        (['{"case_id": "c1", "text": "a"}', "", "[1]"], "line 3: a JSON object"),
        ([{"id": "c1", "text": "a"}], "line 1: no 'case_id'; it has id, text"),
        ([{"case_id": "c1"}], "line 1: 'text' has to be a text"),
        ([{"case_id": "c1", "text": 3}], "not int"),
        ([{"case_id": "c1", "text": "a", "repeat": -1}], "'repeat' has to be"),
        (
            [{"case_id": "c1", "text": "a"}, {"case_id": "c1", "text": "b"}],
            "line 2: a second answer to case 'c1'",
        ),
        ([""], "no recorded answer"),
    ],
)
def test_a_bad_row_is_named_by_line_and_reason(tmp_path: Path, rows: list[Any], message: str) -> None:
    recording(tmp_path, *rows)
    with pytest.raises(AssayError, match=message):
        replay(tmp_path)


def test_a_wrong_encoding_and_a_torn_gzip_are_told(tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes('{"case_id": "c1", "text": "Zürich"}'.encode("latin-1"))
    with pytest.raises(AssayError, match="line 1"):
        replay(tmp_path, "latin.jsonl")
    whole = gzip.compress(b'{"case_id": "c1", "text": "a"}\n' * 50)
    (tmp_path / "torn.jsonl.gz").write_bytes(whole[:-12])
    with pytest.raises(AssayError, match="not a complete gzip file"):
        replay(tmp_path, "torn.jsonl.gz")


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.providers.replay.LARGEST_FILE", 1_000_000)
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(b" " * 3_000_000))
    with pytest.raises(AssayError, match="unpacks to more"):
        replay(tmp_path, "bomb.jsonl.gz")


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    (tmp_path / "bom.jsonl").write_bytes(b'\xef\xbb\xbf{"case_id": "c1", "text": "a"}\n{"case_id": "c2", "text": "b"}')
    provider = replay(tmp_path, "bom.jsonl")
    assert [said(provider, case_id).text for case_id in ("c1", "c2")] == ["a", "b"]


@pytest.mark.parametrize("name", ["../secret.jsonl", "a/../../secret.jsonl", "{absolute}"])
def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    secret = recording(tmp_path, {"case_id": "c1", "text": "secret"}, name="secret.jsonl")
    target = a_target(model=f"replay/{name.format(absolute=secret)}")
    with pytest.raises(AssayError, match="outside the suite's folder"):
        ReplayProvider(target, Workspace(folder=suite))
    assert said(ReplayProvider(target, Workspace(folder=suite, allow_outside=True))).text == "secret"


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "link.jsonl").symlink_to(recording(tmp_path, {"case_id": "c1", "text": "secret"}))
    with pytest.raises(AssayError, match="outside"):
        replay(suite, "link.jsonl")


def test_a_missing_file_is_told_with_the_nearest(tmp_path: Path) -> None:
    recording(tmp_path, {"case_id": "c1", "text": "a"})
    with pytest.raises(AssayError, match=r"did you mean 'answers.jsonl'"):
        replay(tmp_path, "answer.jsonl")


@pytest.mark.parametrize("parameters", [{"id_fields": "id"}, {"id_field": 3}, {"rows_are_repeats": "yes"}])
def test_an_unknown_setting_is_refused(tmp_path: Path, parameters: dict[str, Any]) -> None:
    recording(tmp_path, {"case_id": "c1", "text": "a"})
    with pytest.raises(AssayError):
        replay(tmp_path, **parameters)


def test_the_texts_stay_on_disk(tmp_path: Path) -> None:
    rows, size = 20_000, 500
    with (tmp_path / "answers.jsonl").open("w") as out:
        for i in range(rows):
            out.write(json.dumps({"case_id": f"case-{i}", "text": f"{i} " + "x" * size}) + "\n")
    tracemalloc.start()
    provider = replay(tmp_path)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < rows * 200, "an index entry is two numbers, not a text"
    for i in (0, 9_999, rows - 1):
        assert said(provider, f"case-{i}").text.startswith(f"{i} ")


def test_a_recording_without_a_cost_is_priced_by_the_model_it_names(tmp_path: Path) -> None:
    usage = {"input_tokens": 100, "output_tokens": 10}
    recording(tmp_path, {"case_id": "c1", "text": "a", "model": "openai/small", "usage": usage})
    gateway = a_gateway(a_target(model="replay/answers.jsonl"), folder=tmp_path, prices=a_book("openai/small"))
    answer = run(gateway.answer(a_call()))
    assert answer.cost_usd == Decimal("0.00014")
    assert answer.model_requested == "replay/answers.jsonl"
