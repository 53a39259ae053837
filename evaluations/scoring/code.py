"""Code that has to pass its tests: the program is written and its end is judged here, and run elsewhere.

`CodePasses` is split like a judge: `program` writes the program, a sandbox runs it within `limits`, `read`
turns what happened into a score. An answer that sets out to deceive its own test can do so, because both
run in one interpreter; one that merely leaves early (`sys.exit(0)`, `os._exit(0)`) has not passed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Scored, Unscored

Ending = Literal[
    "finished",  # ran to its last line without an error
    "failed",  # an exception, an exit code, a crash, or it left before its last line
    "wall_time",
    "cpu_time",
    "memory",
    "output",  # wrote more than anyone would read
    "stopped",  # we stopped it: the run was cancelled
]
"""How a program ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may use; beyond it, it ends."""

    wall_seconds: float = 8.0
    cpu_seconds: int = 6
    """Processor time of each process."""
    memory_mb: int = 2048
    """Address space of each process, and resident memory of all together."""
    processes: int = 32
    """Processes and threads together."""
    file_mb: int = 16
    """Size of one file."""
    disk_mb: int = 64
    """All files together, where the file system is its own."""
    open_files: int = 64
    output_kb: int = 64
    """Kept of each of stdout and stderr; what exceeds it is counted and dropped."""
    flood_mb: int = 64
    """Written to stdout and stderr together before the program is ended as a flood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """Which walls stood around a program; what the kernel did not allow is False."""

    network: bool = False
    """No way to any network."""
    filesystem: bool = False
    """It sees the interpreter's files, read only, and a small disk of its own that is gone afterwards."""
    processes: bool = False
    """It sees no process but its own, and none outlives it."""
    privileges: bool = False
    """It runs as a user that owns nothing else and has no rights."""
    system_calls: bool = False
    """Calls that programs under test have no use for are refused (tracing, mounting, io_uring, ...)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """What happened when a program ran."""

    ending: Ending
    exit_code: int | None
    """Negative: the signal that ended it. None when we ended it from outside."""
    stdout: str
    """Its first `output_kb`, undecodable bytes replaced."""
    stderr: str
    """Its last `output_kb`: that is where the error stands."""
    wall_seconds: float
    """From start to end, starting the interpreter included."""
    cpu_seconds: float
    """User and system time of the program and the children it waited for."""
    memory_mb: float
    """Most resident memory of its largest process."""
    isolation: Isolation = field(default_factory=Isolation)

    @property
    def passed(self) -> bool:
        return self.ending == "finished"


@dataclass(frozen=True, slots=True)
class CodePasses:
    """1 when prefix + answer + tests run to their end without an error.

    HumanEval's rule is `prefix_field: prompt`, `test_field: test`, `entry_point_field: entry_point`.
    Fields are looked up in the case's inputs, then in its metadata.
    """

    prefix_field: str = ""
    """Code that stands before the answer, such as a signature that the answer completes."""
    test_field: str = "test"
    """Code that stands after the answer and raises when it is wrong."""
    entry_point_field: str = ""
    """Holds the name of the function under test: `check(name)` is called at the end."""
    extract_fence: bool = True
    """Take the code out of a Markdown fence where the answer has one: all fenced Python blocks, else the
    first."""
    wall_seconds: float = 8.0
    cpu_seconds: int = 6
    memory_mb: int = 2048

    version: ClassVar[str] = "1"
    default_threshold: ClassVar[float] = 1.0

    @property
    def limits(self) -> Limits:
        return Limits(wall_seconds=self.wall_seconds, cpu_seconds=self.cpu_seconds, memory_mb=self.memory_mb)

    def program(self, case: Case, answer: Answer) -> str | Unscored:
        """The whole program; Unscored when the case lacks a field that it takes."""
        parts = {name: "" for name in (self.prefix_field, self.test_field, self.entry_point_field) if name}
        for name in parts:
            value = _field(case, name)
            if not isinstance(value, str):
                return Unscored(f"the case has no text in {name!r}, so there is no program to run")
            parts[name] = value
        code = (answer.text or "").replace("\r\n", "\n")
        if self.extract_fence:
            code = code_in(code)
        program = f"{parts.get(self.prefix_field, '')}{code}\n{parts.get(self.test_field, '')}"
        if self.entry_point_field:
            entry_point = parts[self.entry_point_field].strip()
            if not all(part.isidentifier() for part in entry_point.split(".")):
                return Unscored(f"{self.entry_point_field!r} is not the name of a function: {entry_point[:80]!r}")
            program += f"\ncheck({entry_point})\n"
        return program

    def read(self, result: ExecutionResult) -> Score:
        match result.ending:
            case "finished":
                return Scored(1.0)
            case "failed":
                return Scored(0.0, why=_why_it_failed(result))
            case "wall_time":
                busy = f"{result.cpu_seconds:.1f} s of them busy"
                return Scored(0.0, why=f"did not end within {self.wall_seconds:g} s ({busy})")
            case "cpu_time":
                return Scored(0.0, why=f"used more than {self.cpu_seconds} s of processor time")
            case "memory":
                return Scored(0.0, why=f"used more than {self.memory_mb} MiB of memory")
            case "output":
                return Scored(0.0, why=f"wrote more than {self.limits.flood_mb} MiB of output")
            case "stopped":
                return Unscored("the program was stopped before it ended")


FENCE = re.compile(
    r"^[ ]{0,3}(`{3,}|~{3,})[ \t]*([^\n`]*)\n(.*?)(?:^[ ]{0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)


def code_in(text: str) -> str:
    """The code in a Markdown reply: its Python blocks one after the other, else its first block, else all
    of it.

    >>> code_in("Sure:\\n```python\\nx = 1\\n```\\nHope it helps.")
    'x = 1\\n'
    """
    blocks = [(match[2].strip().lower(), match[3]) for match in FENCE.finditer(text)]
    python = [code for language, code in blocks if language.split(" ")[0] in ("python", "python3", "py")]
    if python:
        return "\n".join(python)
    return blocks[0][1] if blocks else text


def _field(case: Case, name: str) -> Any:
    sources: tuple[Mapping[str, Any], ...] = (case.inputs, case.metadata)
    return next((source[name] for source in sources if name in source), None)


def _why_it_failed(result: ExecutionResult) -> str:
    """The last line of its stderr, which names the exception, or how it left."""
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    if result.exit_code == 0:
        return "left with exit code 0 before its tests were done"
    if result.exit_code is not None and result.exit_code < 0:
        return f"ended by signal {-result.exit_code}"
    said = lines[-1] if lines else f"exit code {result.exit_code}"
    return said if len(said) <= 300 else said[:299] + "…"
