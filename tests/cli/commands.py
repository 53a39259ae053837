"""The command as a person uses it: a process of its own with its exit code, and suites to give it."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-c", "from cli.main import main; main()")
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every line of stdout; fails when one of them is not a JSON object with an event."""
        found = [json.loads(line) for line in self.out.splitlines()]
        assert all("event" in each for each in found), self.out
        return found

    def event(self, name: str) -> dict[str, Any]:
        [found] = [each for each in self.events if each["event"] == name]
        return found


def started(*arguments: str | Path, env: Mapping[str, str] | None = None, **given: Any) -> subprocess.Popen[str]:
    """A command under way."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        cwd=given.pop("cwd", ROOT),
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=given.pop("stderr", subprocess.PIPE),
        text=True,
        **given,
    )


def ended(process: subprocess.Popen[str]) -> Outcome:
    out, err = process.communicate(timeout=PATIENCE_S)
    return Outcome(process.returncode, out, err or "")


def assay(*arguments: str | Path, env: Mapping[str, str] | None = None, **given: Any) -> Outcome:
    """A command in a process of its own, to its end."""
    outcome = ended(started(*arguments, env=env, **given))
    assert "Traceback" not in outcome.err, outcome.err
    return outcome


def assay_here(*arguments: str | Path) -> Outcome:
    """A command in this process: for what ends before a flow begins, without the cost of a new process."""
    from unittest import mock

    import cli.main

    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", ["assay", *map(str, arguments)]),
        mock.patch.object(cli.main, "leave", sys.exit),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main.main()
        except SystemExit as end:
            code = int(end.code or 0)
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return Outcome(code, out.getvalue(), err.getvalue())


def cases_of(count: int, **more: Any) -> list[dict[str, Any]]:
    """Cases that the fake vendor can count and answer rightly."""
    return [
        {
            "id": f"c-{n}",
            "inputs": {"question": f"[cell:c-{n}] [answer:right]"},
            "expected": "right",
            "tags": ["even" if n % 2 == 0 else "odd"],
            **more,
        }
        for n in range(count)
    ]


def a_suite_file(
    folder: Path, *, cases: Sequence[Mapping[str, Any]] | int = 4, models: Any = "simulated/perfect", **given: Any
) -> Path:
    """A folder with a suite and its cases; gives the suite file."""
    folder.mkdir(parents=True, exist_ok=True)
    made = cases_of(cases) if isinstance(cases, int) else cases
    (folder / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in made))
    spec = {"suite": "tested", "models": models, "scorers": ["exact"], "gates": {"pass_rate": 0.5}, **given}
    (folder / "suite.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return folder / "suite.yaml"


def simulated(profile: str = "perfect", **parameters: Any) -> dict[str, Any]:
    return {"name": "made-up", "model": f"simulated/{profile}", "parameters": parameters}


def from_vendor(url: str, **given: Any) -> dict[str, Any]:
    """A model that the fake vendor serves, at the price of a well-known one."""
    return {
        "name": "vendor",
        "model": "openai/gpt-4o-mini",
        "api_base": url,
        "api_key_env": "FAKE_KEY",
        "transport": "direct",
        "parameters": {"max_tokens": 50},
        **given,
    }


def rows(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What the store has, read past the code under test."""
    with psycopg.connect(url) as connection:
        return connection.execute(query, values or None).fetchall()  # type: ignore[arg-type]


def runs_in(url: str) -> int:
    return int(rows(url, "SELECT count(*) FROM runs")[0][0])


def result_of(outcome: Outcome) -> dict[str, Any]:
    """The JSON twin of the report that a command named."""
    [line] = [line for line in outcome.out.splitlines() if line.startswith("Report: ")]
    found: dict[str, Any] = json.loads((Path(line.removeprefix("Report: ")).parent / "report.json").read_text())
    return found


def without(program: str) -> str:
    """The reason to skip a test when a program is not there, else an empty text."""
    return "" if shutil.which(program) else f"{program} is not installed"
