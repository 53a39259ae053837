"""The sandbox: running untrusted Python within limits, with as many walls as the kernel allows without
asking.

Each program gets an interpreter of its own without site packages, an empty environment, a session and a
process group of its own, limits on time, memory, processes, files and output, and, where the kernel allows:
no network, no view of our files or processes, no privileges, no unusual system calls. What stood is in the
result.
The walls themselves are built in `sandbox_boot.py`, inside of the new interpreter.
"""

import asyncio
import marshal
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from types import CodeType
from typing import IO, cast

from evaluations.errors import InfrastructureError
from evaluations.scoring.code import Ending, ExecutionResult, Isolation, Limits

GRACE_SECONDS = 2.0
"""How much longer than the wall time we wait for the keeper inside before ending everything from outside."""
SYSTEM_PATHS = ("/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/etc/ld.so.cache")
"""Where an interpreter's shared libraries lie."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")

LOADER = (
    "import sys, marshal; code, config = marshal.load(sys.stdin.buffer); space = {'__name__': 'boot'}; "
    "exec(code, space); space['main'](config)"
)


def run_python(source: str, *, limits: Limits | None = None) -> ExecutionResult:
    """Run `source` as a program and say how it ended; blocks for `limits.wall_seconds` at most, and a little.

    No input, no environment, a working directory of its own that is gone afterwards. String hashes are
    seeded, so that the order of a set is the same in every run.
    Raises InfrastructureError when the sandbox itself cannot start; never for anything the program does.
    """
    return _run(source, limits or Limits(), stop=None)


async def run_python_async(source: str, *, limits: Limits | None = None) -> ExecutionResult:
    """`run_python` in a thread; when the caller is cancelled, the program is ended before this returns."""
    stop_read, stop_write = os.pipe()
    running = asyncio.ensure_future(asyncio.to_thread(_run, source, limits or Limits(), stop_read))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        os.write(stop_write, b"x")
        while not running.done():  # a second cancellation does not hasten it: it is ending already
            with suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        raise
    finally:
        os.close(stop_write)
        os.close(stop_read)


def _run(source: str, limits: Limits, stop: int | None) -> ExecutionResult:
    started = time.monotonic()
    work = tempfile.mkdtemp(prefix="assay-sandbox-")
    control_read, control_write = os.pipe()
    try:
        try:
            process = subprocess.Popen(  # noqa: S603 (the command is ours; the program arrives through the pipe)
                # Not -I, which would ignore the hash seed; -P and -s are the rest of it.
                [sys.executable, "-P", "-s", "-S", "-B", "-X", "utf8", "-c", LOADER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=work,
                env={"PYTHONHASHSEED": "0"},
                pass_fds=(control_write,),
                start_new_session=True,
            )
        except OSError as error:
            raise InfrastructureError(f"the sandbox could not start an interpreter: {error.strerror}") from error
        finally:
            os.close(control_write)
        with process:
            config = {
                **asdict(limits),
                "control": control_write,
                "source": source,
                "work": work,
                "visible": _visible_paths(),
            }
            watched = _Watched(process, control_read, limits, stop, started)
            try:
                _hand_over(process, config)
                watched.follow()
            finally:
                _end_group(process)
        return watched.result()
    finally:
        os.close(control_read)
        _remove(work)


class _Watched:
    """One running program, seen from outside: collects its output and the keeper's two lines."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: int, limits: Limits, stop: int | None, started: float
    ) -> None:
        self.process = process
        self.control = control
        self.limits = limits
        self.stop = stop
        self.started = started
        self.lines = b""
        self.head = _Head(limits.output_kb * 1024)
        self.tail = _Tail(limits.output_kb * 1024)
        self.ended_by_us: Ending | None = None
        self.seconds = 0.0

    def follow(self) -> None:
        """Read until the keeper has said its last word, or has had its time."""
        outputs = {_pipe(self.process.stdout): self.head, _pipe(self.process.stderr): self.tail}
        last_word = self.started + self.limits.wall_seconds + GRACE_SECONDS
        with selectors.DefaultSelector() as selector:
            for descriptor in (*outputs, self.control, *([] if self.stop is None else [self.stop])):
                selector.register(descriptor, selectors.EVENT_READ)
            while (left := last_word - time.monotonic()) > 0:
                ready = {key.fd for key, _ in selector.select(left)}
                for descriptor in ready & outputs.keys():
                    if not outputs[descriptor].take(descriptor):
                        selector.unregister(descriptor)
                if self.stop in ready:
                    self._end("stopped")
                    selector.unregister(self.stop)
                if self.head.seen + self.tail.seen > self.limits.flood_mb * 1024 * 1024:
                    self._end("output")
                if self.control in ready:
                    chunk = os.read(self.control, 4096)
                    self.lines += chunk
                    if not chunk or b"\nend " in self.lines:
                        break
            else:
                self.ended_by_us = self.ended_by_us or "wall_time"
        self.seconds = time.monotonic() - self.started
        for descriptor, kept in outputs.items():  # what still lies in the pipes; a writer may be alive
            os.set_blocking(descriptor, False)
            while kept.take(descriptor) and kept.seen <= self.limits.flood_mb * 1024 * 1024:
                pass

    def _end(self, ending: Ending) -> None:
        """Ask the keeper to end the program; it answers with its last line."""
        if self.ended_by_us is None:
            self.ended_by_us = ending
            self.process.send_signal(signal.SIGTERM)

    def result(self) -> ExecutionResult:
        said = {line.split(" ", 1)[0]: line.split(" ")[1:] for line in self.lines.decode().splitlines()}
        stderr = self.tail.text()
        if "walls" not in said and self.ended_by_us is None:
            last = stderr.strip().splitlines()[-1:] or ["no word from it"]
            raise InfrastructureError(f"the sandbox could not start: {last[0][:300]}")
        walls = set(said.get("walls", ()))
        isolation = Isolation(**{each.name: each.name in walls for each in fields(Isolation)})
        if "end" not in said:  # the keeper was ended, by us or by the program
            said["end"] = ["failed", str(-signal.SIGKILL), "0", "0"]
        ending, code, cpu, peak = said["end"]
        ending = self.ended_by_us or ending
        exit_code = int(code) if ending in ("finished", "failed", "cpu_time") else None
        if ending == "failed" and _ran_out_of_memory(stderr):
            ending = "memory"
        return ExecutionResult(
            ending=cast(Ending, ending),
            exit_code=exit_code,
            stdout=self.head.text(),
            stderr=stderr,
            wall_seconds=self.seconds,
            cpu_seconds=float(cpu),
            memory_mb=int(peak) / 1024,
            isolation=isolation,
        )


class _Head:
    """The first `size` bytes of a stream."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen = 0
        self.kept: deque[bytes] = deque()
        self.length = 0

    def take(self, descriptor: int) -> bool:
        """Read what is there; False at the end, or when there is nothing now."""
        try:
            chunk = os.read(descriptor, 65536)
        except BlockingIOError:
            return False
        self.seen += len(chunk)
        self.keep(chunk)
        return bool(chunk)

    def keep(self, chunk: bytes) -> None:
        chunk = chunk[: self.size - self.length]
        self.length += len(chunk)
        self.kept.append(chunk)

    def text(self) -> str:
        return b"".join(self.kept).decode("utf-8", "replace")


class _Tail(_Head):
    """The last `size` bytes of a stream."""

    def keep(self, chunk: bytes) -> None:
        self.kept.append(chunk)
        self.length += len(chunk)
        while self.length - len(self.kept[0]) >= self.size:
            self.length -= len(self.kept.popleft())

    def text(self) -> str:
        return b"".join(self.kept)[-self.size :].decode("utf-8", "replace")


@cache
def _boot() -> CodeType:
    path = Path(__file__).with_name("sandbox_boot.py")
    return compile(path.read_text(encoding="utf-8"), "sandbox_boot.py", "exec", dont_inherit=True)


@cache
def _visible_paths() -> list[str]:
    """What a program may see of our files: the interpreter, its libraries and a few devices."""
    interpreter = [os.path.realpath(sys.base_prefix), os.path.realpath(sys.base_exec_prefix)]
    library = os.path.realpath(Path(os.__file__).parent)
    own = [sys.base_prefix, *interpreter, library]
    known = list(SYSTEM_PATHS)
    for path in own:
        if not any(path == each or path.startswith(each.rstrip("/") + "/") for each in known):
            known.append(path)
    return [path for path in (*known, *DEVICES) if os.path.lexists(path) and path != "/"]


def _hand_over(process: subprocess.Popen[bytes], config: dict[str, object]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died at once: its last words are in stderr
        process.stdin.write(marshal.dumps((_boot(), config)))
        process.stdin.close()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group; before the keeper is reaped, so that its number cannot be somebody
    else's."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    process.wait()


def _remove(work: str) -> None:
    """Remove the working directory, also where the program took its own rights on parts of it away."""

    def allow_and_retry(_function: object, path: str, _error: object) -> None:
        left = Path(path)
        with suppress(OSError):  # a leftover in the temporary folder is not worth a failed run
            left.parent.chmod(0o700)
            if left.is_symlink() or not left.is_dir():
                left.unlink()
            else:
                left.chmod(0o700)
                shutil.rmtree(left, ignore_errors=True)

    shutil.rmtree(work, onerror=allow_and_retry)


def _ran_out_of_memory(stderr: str) -> bool:
    lines = stderr.rstrip().splitlines()
    return bool(lines) and lines[-1].split(":")[0] == "MemoryError"


def _pipe(pipe: IO[bytes] | None) -> int:
    assert pipe is not None
    return pipe.fileno()
