"""The command as a person uses it: a process of its own with its exit code, and suites to give it."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml

from tests.cli.forked import forked

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


class Command:
    """A command under way in a forked process; what it printed so far can be read."""

    def __init__(self, arguments: Sequence[str | Path], env: Mapping[str, str], cwd: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="assay-command-"))
        self._out, self._err = self._folder / "out", self._folder / "err"
        self._process = forked(list(map(str, arguments)), {**os.environ, **env}, cwd, self._out, self._err)

    def send(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def until(self, happened: Callable[[Outcome], bool], what: str) -> None:
        """Wait until its output shows something; fails when it ends without."""
        deadline = time.monotonic() + PATIENCE_S
        while not happened(self._so_far()):
            assert self._process.is_alive(), f"ended without {what}: {self._so_far()}"
            assert time.monotonic() < deadline, f"waited in vain for {what}: {self._so_far()}"
            time.sleep(0.02)

    def ended(self) -> Outcome:
        """Wait for its end. Nothing that a person reads may be a traceback."""
        self._process.join(PATIENCE_S)
        assert not self._process.is_alive(), f"did not end: {self._so_far()}"
        outcome = self._so_far()
        shutil.rmtree(self._folder)
        assert "Traceback" not in outcome.err, outcome.err
        return outcome

    def _so_far(self) -> Outcome:
        out, err = (path.read_text() if path.exists() else "" for path in (self._out, self._err))
        code = self._process.exitcode
        return Outcome(-1 if code is None else code, out, err)


def started(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Command:
    """A command, begun."""
    return Command(arguments, env or {}, cwd)


def assay(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Outcome:
    """A command in a process of its own, to its end."""
    return started(*arguments, env=env, cwd=cwd).ended()


def assay_alone(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Outcome:
    """A command in a new interpreter that imports everything itself, to its end."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


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
        return connection.execute(query, values or None).fetchall()


def runs_in(url: str) -> int:
    return int(rows(url, "SELECT count(*) FROM runs")[0][0])


def result_of(outcome: Outcome) -> dict[str, Any]:
    """The JSON twin of the report that a command named."""
    [line] = [line for line in outcome.out.splitlines() if line.startswith("Report: ")]
    found: dict[str, Any] = json.loads((Path(line.removeprefix("Report: ")).parent / "report.json").read_text())
    return found
