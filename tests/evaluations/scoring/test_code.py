"""Code that has to pass its tests, without running any: the program written, the score read."""

import pytest

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Scored, Unscored
from evaluations.scoring.code import CodePasses, Ending, ExecutionResult, Limits, code_in

HUMANEVAL = CodePasses(prefix_field="prompt", test_field="test", entry_point_field="entry_point")
CASE = Case(
    id="add",
    inputs={"prompt": "def add(a, b):\n", "entry_point": "add"},
    metadata={"test": "def check(f):\n    assert f(1, 2) == 3\n"},
)


def program(text: str | None, scorer: CodePasses = HUMANEVAL, case: Case = CASE) -> str | Unscored:
    return scorer.program(case, Answer(case_id=case.id, variant="v", text=text))


def result(ending: Ending, exit_code: int | None = None, stderr: str = "") -> ExecutionResult:
    return ExecutionResult(
        ending=ending,
        exit_code=exit_code,
        stdout="",
        stderr=stderr,
        wall_seconds=1,
        cpu_seconds=0.5,
        memory_mb=9,
    )


def test_a_program_is_prefix_answer_newline_tests_and_the_call_of_check() -> None:
    assert program("    return a + b") == (
        "def add(a, b):\n    return a + b\ndef check(f):\n    assert f(1, 2) == 3\n\ncheck(add)\n"
    )


def test_without_an_entry_point_nothing_is_called() -> None:
    assert program("x = 1", CodePasses(test_field="test")) == "x = 1\ndef check(f):\n    assert f(1, 2) == 3\n"


def test_an_empty_answer_is_a_program_too() -> None:
    said = program(None)
    assert isinstance(said, str)
    assert said.startswith("def add(a, b):\n\ndef check")


@pytest.mark.parametrize("missing", ["prompt", "entry_point"])
def test_a_case_without_a_field_has_no_program(missing: str) -> None:
    inputs = {name: value for name, value in CASE.inputs.items() if name != missing}
    said = program("pass", case=Case(id="c", inputs=inputs, metadata=CASE.metadata))
    assert said == Unscored(f"the case has no text in {missing!r}, so there is no program to run")


def test_an_entry_point_has_to_be_a_name() -> None:
    case = Case(id="c", inputs={**CASE.inputs, "entry_point": "add); import os; (add"}, metadata=CASE.metadata)
    assert isinstance(program("pass", case=case), Unscored)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("    return 1", "    return 1"),
        ("Sure:\n```python\nx = 1\n```\nBye.", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("~~~py\nx = 1\n~~~", "x = 1\n"),
        ("```bash\npip install x\n```\n```python\nx = 1\n```", "x = 1\n"),
        ("```python\nx = 1\n```\nand\n```Python\ny = 2\n```", "x = 1\n\ny = 2\n"),
        ("```python\nx = 1", "x = 1"),
        ("````python\ns = '```'\n````", "s = '```'\n"),
        ("```python\nif x:\n    pass\n```", "if x:\n    pass\n"),
        ("use `x = 1` here", "use `x = 1` here"),
        ("", ""),
    ],
)
def test_code_is_taken_out_of_its_fence(text: str, code: str) -> None:
    assert code_in(text) == code


def test_fences_stay_when_they_are_not_to_be_taken_off() -> None:
    said = program("```\nx\n```", CodePasses(test_field="test", extract_fence=False))
    assert isinstance(said, str)
    assert said.startswith("```\nx\n```\n")


@pytest.mark.timeout(10)
def test_a_text_full_of_half_fences_is_read_in_no_time() -> None:
    assert isinstance(code_in("```\n~~~x\n" * 2_000), str)
    assert isinstance(code_in("`" * 100_000), str)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (result("failed", 1, "Traceback\n  File\nAssertionError: no\n\n"), "AssertionError: no"),
        (result("failed", 1), "exit code 1"),
        (result("failed", 0, "a warning"), "left with exit code 0 before its tests were done"),
        (result("failed", -11), "ended by signal 11"),
        (result("wall_time"), "did not end within 8 s (0.5 s of them busy)"),
        (result("cpu_time", -9), "used more than 6 s of processor time"),
        (result("memory", 1), "used more than 2048 MiB of memory"),
        (result("output"), "wrote more than 64 MiB of output"),
    ],
)
def test_a_program_that_does_not_reach_its_end_scores_nothing_and_says_why(given: ExecutionResult, why: str) -> None:
    assert HUMANEVAL.read(given) == Scored(0.0, why=why)


def test_a_program_that_ends_passes_and_one_that_we_stopped_is_unscored() -> None:
    assert HUMANEVAL.read(result("finished", 0)) == Scored(1.0)
    assert isinstance(HUMANEVAL.read(result("stopped")), Unscored)


def test_a_long_last_line_is_cut() -> None:
    score = HUMANEVAL.read(result("failed", 1, "E" * 10_000))
    assert len(score.why) == 300


def test_the_settings_of_the_scorer_are_the_limits_of_the_sandbox() -> None:
    assert CodePasses(wall_seconds=2, cpu_seconds=1, memory_mb=256).limits == Limits(
        wall_seconds=2, cpu_seconds=1, memory_mb=256
    )
