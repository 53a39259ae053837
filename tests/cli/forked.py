"""A command, or anything else, in a process that was forked from one which has imported everything already.

Two thirds of a short run are imports. The exit codes, signals and output of such a process are those of any other;
what depends on the order of imports is tested with processes of their own.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

PRELOADED = (
    "pytest",
    "cli.run",
    "cli.rescore",
    "cli.driving",
    "cli.plans",
    "fastapi.encoders",
    "flows.suite_run",
    "flows.resume_run",
    "flows.rescore",
    "reports.twins",
    "tests.fakes.worker",
)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(PRELOADED))


def forked(arguments: list[str], env: Mapping[str, str], cwd: Path, out: Path, err: Path) -> ForkServerProcess:
    """The process, started; its output goes to two files."""
    return process_of(_command, arguments, dict(env), str(cwd), out, err)


def process_of(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """A process that calls a function, started. Its environment is that of the first such process, and its to set."""
    assert "PREFECT_API_URL" in os.environ, "the first of these processes imports Prefect for all: use the fixture home"
    process = _context.Process(target=target, args=arguments)
    process.start()
    return process


def _command(arguments: list[str], env: dict[str, str], cwd: str, out: Path, err: Path) -> None:
    from cli.main import main

    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = ["assay", *arguments]
    main()
