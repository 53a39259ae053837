"""The sandbox against programs that behave, programs that fail, and programs that mean harm."""

import asyncio
import contextlib
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import Any

import psutil
import pytest

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.errors import InfrastructureError
from evaluations.scoring.code import CodePasses, ExecutionResult, Limits
from tasks import sandbox
from tasks.sandbox import run_python, run_python_async

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the walls are those of Linux")

CHECKOUT = Path(__file__).parents[2]
DATA = Path(os.environ.get("ASSAY_TEST_DATA", CHECKOUT / "../shared/data"))
SHORT = Limits(wall_seconds=1.5, cpu_seconds=1, memory_mb=512)


def run(source: str, limits: Limits = SHORT) -> ExecutionResult:
    return run_python(textwrap.dedent(source), limits=limits)


def needs(result: ExecutionResult, *walls: str) -> None:
    missing = [wall for wall in walls if not getattr(result.isolation, wall)]
    if missing:
        pytest.skip(f"this kernel does not allow: {', '.join(missing)}")


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """After every program: no process of it, and no file of it. Servers that other tests share stay."""
    before = _sandboxed()
    tmp_path.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    deadline = time.monotonic() + 5
    while (left := _sandboxed() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == set()
    assert list(tmp_path.glob("assay-sandbox-*")) == []


def _processes_of(folder: str) -> list[int]:
    """Processes that work in a sandbox's folder below this one."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if each.cwd().startswith(folder):
                found.append(each.pid)
    return found


def _sandboxed() -> set[tuple[int, str]]:
    """Our living descendants: number and command."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.status() != "zombie":
                found.add((child.pid, " ".join(child.cmdline())[:80]))
    return found


# Programs that behave


def test_a_program_that_ends_has_passed() -> None:
    result = run("print('hello'); import sys; print('aside', file=sys.stderr)")
    assert (result.ending, result.exit_code, result.passed) == ("finished", 0, True)
    assert (result.stdout, result.stderr) == ("hello\n", "aside\n")
    assert 0 < result.cpu_seconds < 1
    assert 0 < result.wall_seconds < 5
    assert 1 < result.memory_mb < 200


def test_it_is_main_in_an_empty_folder_with_no_environment_and_no_input() -> None:
    result = run(
        """
        import os, sys
        assert __name__ == "__main__" and sys.modules["__main__"].__dict__ is globals()
        assert os.listdir(".") == ["program.py"] and sys.argv == ["program.py"]
        assert dict(os.environ) == {}, os.environ
        assert sys.stdin.read() == ""
        """
    )
    assert result.ending == "finished", result.stderr


def test_the_standard_library_is_there_and_nothing_else() -> None:
    assert run("import json, ssl, sqlite3, ctypes, asyncio, decimal, zoneinfo").ending == "finished"
    assert "No module named 'numpy'" in run("import numpy").stderr
    assert "No module named 'evaluations'" in run("import evaluations").stderr


def test_threads_and_a_few_processes_are_allowed() -> None:
    result = run(
        """
        import subprocess, sys
        from concurrent.futures import ThreadPoolExecutor
        from multiprocessing import Pool
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(abs, [-1, 2])) == [1, 2]
        if __name__ == "__main__":
            with Pool(2) as pool:
                assert pool.map(abs, [-1, 2]) == [1, 2]
        said = subprocess.run([sys.executable, "-c", "print(3)"], capture_output=True, text=True)
        assert said.stdout == "3\\n", said
        """,
        Limits(wall_seconds=8),
    )
    assert result.ending == "finished", result.stderr


def test_the_same_program_has_the_same_set_order_every_time() -> None:
    source = "print(list({'a', 'b', 'c', 'd', 'e', 'f'}), hash('x'))"
    assert len({run(source).stdout for _ in range(3)}) == 1


def test_any_text_can_be_a_program_and_its_output() -> None:
    assert run("print('caf\u00e9 \u202e \U0001f600')").stdout == "caf\u00e9 \u202e \U0001f600\n"
    assert run("import sys; sys.stdout.buffer.write(b'\\xff\\xfe')").stdout == "\ufffd\ufffd"
    assert run("x = '\ud800'").ending == "failed"
    assert run("x = 'a\0b'").ending == "failed"
    assert run(f"x = {'a' * 3_000_000!r}").ending == "finished"
    assert run("").ending == "finished"


# Programs that fail


@pytest.mark.parametrize(
    ("source", "exit_code", "said"),
    [
        ("assert 1 == 2, 'no'", 1, "AssertionError: no"),
        ("def (:", 1, "SyntaxError"),
        ("def f(): f()\nf()", 1, "RecursionError"),
        ("import sys\nsys.exit(3)", 3, ""),
        ("import sys\nsys.exit('bad')", 1, "bad"),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
        ("import ctypes\nctypes.string_at(0)", -11, ""),
        ("raise SystemExit(0)", 0, ""),
        ("import os\nos._exit(0)", 0, ""),
        ("quit()", 1, "NameError"),
    ],
)
def test_an_error_a_crash_or_an_early_leave_is_no_pass(source: str, exit_code: int, said: str) -> None:
    result = run(source)
    assert (result.ending, result.exit_code) == ("failed", exit_code)
    assert said in result.stderr


def test_a_traceback_shows_the_programs_lines_and_none_of_ours() -> None:
    stderr = run("x = 1\nassert x == 2").stderr
    assert "assert x == 2" in stderr
    assert 'File "program.py", line 2' in stderr
    assert "sandbox_boot" not in stderr


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        ("import time\ntime.sleep(60)", "wall_time"),
        ("while True: pass", "cpu_time"),
        ("import atexit, time\natexit.register(time.sleep, 60)", "wall_time"),
        ("import threading as t, time\nt.Thread(target=time.sleep, args=(60,)).start()", "wall_time"),
        ("x = []\nwhile True: x.append(bytes(10**7))", "memory"),
        ("while True: print('x' * 10**5)", "output"),
        (
            "import signal\nfor s in set(signal.Signals) - {9, 19}: signal.signal(s, 1)\nwhile True: pass",
            "cpu_time",
        ),
    ],
)
def test_what_exceeds_a_limit_is_ended_and_named(source: str, ending: str) -> None:
    # On a busy machine a second of processor time may take many of the clock.
    wall = 1.0 if ending == "wall_time" else 30.0
    assert run(source, Limits(wall_seconds=wall, cpu_seconds=1, memory_mb=256)).ending == ending


def test_memory_counts_for_all_processes_together() -> None:
    result = run(
        """
        import os, time
        for _ in range(6):
            if os.fork() == 0:
                block = bytearray(10**8)
                block[::4096] = b"1" * len(block[::4096])
                time.sleep(60)
        time.sleep(60)
        """,
        Limits(wall_seconds=8, memory_mb=256),
    )
    assert result.ending == "memory"


def test_output_is_kept_up_to_its_limit_the_beginning_of_stdout_and_the_end_of_stderr() -> None:
    result = run("import sys\nfor i in range(10**5):\n    print(i)\n    print(i, file=sys.stderr)", Limits(output_kb=1))
    assert result.ending == "finished"
    assert result.stdout.startswith("0\n1\n2\n")
    assert len(result.stdout) == 1024
    assert result.stderr.endswith("99998\n99999\n")
    assert len(result.stderr) == 1024


# Programs that mean harm


def test_a_fork_bomb_is_held_and_cleared_away() -> None:
    assert run("import os\nwhile True: os.fork()").ending == "failed"
    swallowing = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert run(swallowing).ending in ("wall_time", "cpu_time")


def test_no_process_outlives_its_program() -> None:
    result = run(
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(60)
            os._exit(0)
        """
    )
    assert result.ending == "finished"
    assert result.wall_seconds < 30


def test_nobody_outside_can_be_signalled() -> None:
    result = run(
        f"""
        import os
        for pid in (os.getppid(), {os.getpid()}, {os.getppid()}, -1):
            try:
                if pid: os.kill(pid, 9)
            except OSError as refused:
                print("refused")
        os.killpg(0, 0)
        """
    )
    assert result.ending == "finished"
    assert result.stdout.count("refused") >= 2


def test_ending_its_own_group_ends_nobody_else() -> None:
    assert run("import os, signal\nos.killpg(0, signal.SIGTERM)\n").ending in ("finished", "failed")


def test_there_is_no_network() -> None:
    result = run("import socket\nsocket.create_connection(('127.0.0.1', 1), timeout=1)")
    needs(result, "network")
    assert "PermissionError" in result.stderr or "unreachable" in result.stderr
    assert run("import socket\na, b = socket.socketpair()\na.send(b'x')\nassert b.recv(1) == b'x'").ending == "finished"


def test_our_files_are_out_of_sight_and_the_interpreters_read_only() -> None:
    result = run(
        f"""
        import os
        for path in ("/etc/passwd", "/proc/1/environ", {str(CHECKOUT)!r}, {str(Path.home() / ".ssh")!r}):
            assert not os.path.exists(path), path
        for path in (os.__file__, "/usr/planted"):
            try:
                open(path, "a")
            except OSError:
                continue
            raise AssertionError(path)
        """
    )
    needs(result, "filesystem")
    assert result.ending == "finished", result.stderr


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("for i in range(1000): open(f'{i}', 'wb').write(b'x' * 10**6)", "No space left"),
        ("f = open('a', 'wb')\nwhile True: f.write(b'x' * 10**6)", "File too large"),
        ("files = [open(f'{i}', 'w') for i in range(200)]", "Too many open files"),
    ],
)
def test_the_disk_is_small(source: str, error: str) -> None:
    result = run(source)
    if "space" in error:
        needs(result, "filesystem")
    assert result.ending == "failed"
    assert error in result.stderr


def test_unusual_system_calls_are_refused_and_no_right_can_be_had_back() -> None:
    result = run(
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        for call in (
            lambda: libc.unshare(0x10000000), lambda: libc.chroot(b"/"), lambda: libc.ptrace(0, 0, 0, 0),
            lambda: libc.mount(b"none", b"/", None, 0, None), lambda: libc.setns(0, 0),
        ):
            assert call() == -1 and ctypes.get_errno() == 1, ctypes.get_errno()
        assert os.getuid() != 0
        try:
            os.setuid(0)
        except PermissionError:
            print("still nobody")
        """
    )
    needs(result, "system_calls", "privileges")
    assert result.stdout == "still nobody\n", result.stderr


def test_it_can_destroy_its_own_folder() -> None:
    run("import os, shutil\nshutil.rmtree(os.getcwd())")
    run("import os\nos.mkdir('a')\nopen('a/b', 'w')\nos.chmod('a', 0)\nos.chmod('.', 0)")
    run("import os\nos.symlink('/', 'root')\nos.closerange(0, 100)")  # the fixture finds no leftovers
    assert run("print('next')").stdout == "next\n"


def test_two_programs_at_once_do_not_share_their_processes() -> None:
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    calm = """
        import threading, time
        for _ in range(20):
            threading.Thread(target=time.sleep, args=(0.05,)).start()
        """
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(run, [bomb, calm, calm], [SHORT, Limits(), Limits()]))
    assert [each.ending for each in results[1:]] == ["finished", "finished"], results[1].stderr


# From the caller's side


async def test_a_cancelled_caller_ends_its_program() -> None:
    started = time.monotonic()
    running = asyncio.create_task(run_python_async("import time\ntime.sleep(60)", limits=Limits(wall_seconds=50)))
    await asyncio.sleep(0.3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - started < 30


async def test_several_programs_run_at_once_without_holding_the_loop() -> None:
    results = await asyncio.gather(*(run_python_async(f"print({i})", limits=SHORT) for i in range(4)))
    assert [result.stdout for result in results] == ["0\n", "1\n", "2\n", "3\n"]


def test_no_descriptor_is_lost() -> None:
    run("pass")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        run("import sys\nsys.exit(1)")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_program_dies_with_its_caller(tmp_path: Path) -> None:
    code = "from tasks.sandbox import run_python; run_python('import time; time.sleep(600.25)')"
    caller = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, env={**os.environ, "TMPDIR": str(tmp_path)})
    family: list[psutil.Process] = []
    deadline = time.monotonic() + 20
    while len(family) < 2 and time.monotonic() < deadline:
        family = psutil.Process(caller.pid).children(recursive=True)
        time.sleep(0.05)
    assert len(family) == 2
    caller.kill()
    caller.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    for folder in tmp_path.glob("assay-sandbox-*"):
        folder.rmdir()


def test_an_interpreter_that_cannot_start_is_our_failure_and_not_the_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(InfrastructureError, match="could not start an interpreter: No such file"):
        run_python("pass")
    monkeypatch.undo()
    monkeypatch.setattr(sandbox, "LOADER", "raise OSError('broken installation')")
    with pytest.raises(InfrastructureError, match="broken installation"):
        run_python("pass")


# Where the kernel allows nothing: a filter refuses unshare and mount, as containers do

DEGRADED = """
import json, sys
import tasks.sandbox_boot as boot
from dataclasses import asdict
from evaluations.errors import InfrastructureError
from evaluations.scoring.code import Limits
from tasks.sandbox import run_python
libc = boot._libc()
assert libc.prctl(boot.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and boot._refuse_system_calls(libc, alone=True)
try:
    limits = Limits(wall_seconds=2)
    results = [asdict(run_python(source, limits=limits)) for source in json.loads(sys.argv[1])]
except InfrastructureError as error:
    results = str(error)
print(json.dumps(results))
"""
SYSTEM_PYTHON = shutil.which("python3", path="/usr/local/bin:/usr/bin") or sys.executable


@pytest.mark.parametrize("user", ["as we are", "ordinary"])
@pytest.mark.parametrize("interpreter", [sys.executable, SYSTEM_PYTHON], ids=["ours", "system"])
def test_without_name_spaces_the_other_walls_still_hold(interpreter: str, user: str, tmp_path: Path) -> None:
    version = subprocess.run([interpreter, "-V"], capture_output=True, text=True).stdout.split()[1]
    if tuple(map(int, version.split(".")[:2])) < (3, 11):
        pytest.skip(f"{interpreter} is Python {version}")
    root = os.getuid() == 0
    if user == "ordinary" and not root:
        pytest.skip("only root can become somebody else")
    temporary = Path(tempfile.mkdtemp(prefix="assay-degraded-", dir="/tmp"))
    temporary.chmod(0o777)
    sources = [
        "import os\nfor pid in (os.getppid(), " + str(os.getpid()) + ", -1):\n"
        "    try: os.kill(pid, 9)\n    except OSError: print('refused')",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\nprint('left one behind')",
        "import socket\nsocket.socket()",
        "import signal\nsignal.raise_signal(signal.SIGTERM)",
        "import os\nos.mkdir('a')\nos.chmod('a', 0)\nprint(os.getuid())",
    ]
    become: dict[str, Any] = {"user": 54321, "group": 54321, "extra_groups": []} if user == "ordinary" else {}
    environment = {"TMPDIR": str(temporary), "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        readable = subprocess.run([interpreter, "-c", "import tasks.sandbox"], cwd="/", env=environment, **become)
        if readable.returncode:
            raise PermissionError
    except PermissionError:
        shutil.rmtree(temporary)
        pytest.skip(f"nobody else can read {interpreter} or the checkout here")
    ran = subprocess.run(
        [interpreter, "-c", DEGRADED, json.dumps(sources)],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        **become,
    )
    try:
        results = json.loads(ran.stdout)
        if isinstance(results, str):
            assert root
            assert "a program is not run as root" in results
            return
        signals, orphan, network, itself, user_id = results
        if signals["isolation"]["processes"]:
            pytest.skip("this kernel has no filters for system calls")
        assert signals["isolation"] == {
            "network": True, "filesystem": False, "processes": False,
            "privileges": True, "system_calls": True,
        }  # fmt: skip
        assert signals["stdout"] == "refused\n" * 3
        assert (orphan["ending"], orphan["stdout"]) in [
            ("finished", "left one behind\n"),
            ("failed", ""),  # this user has as many processes as it may, or more
        ]
        assert _processes_of(str(temporary)) == []
        assert "Operation not permitted" in network["stderr"]
        assert (itself["ending"], itself["exit_code"]) == ("failed", -15)
        assert user_id["ending"] == "finished"
        assert int(user_id["stdout"]) != 0
        assert list(temporary.iterdir()) == []
    finally:
        shutil.rmtree(temporary)


# Recorded executions of real programs

HUMANEVAL = CodePasses(
    prefix_field="sampling_prompt",
    test_field="test",
    entry_point_field="entry_point",
    wall_seconds=8,
    cpu_seconds=6,
)


def _reproduce(wanted: range) -> None:
    folder = DATA / "humaneval"
    if not folder.is_dir():
        pytest.skip(f"no recorded programs in {folder}")
    with gzip.open(folder / "problems.jsonl.gz", "rt", encoding="utf-8") as lines:
        problems = {row["task_id"]: row for row in map(json.loads, lines)}
    with gzip.open(folder / "samples_codegen-16b-mono.jsonl.gz", "rt", encoding="utf-8") as lines:
        samples = {row["task_id"]: row["samples"] for row in map(json.loads, lines)}
    expected: dict[str, str] = json.loads((folder / "executed.json").read_text(encoding="utf-8"))
    chosen = [list(problems)[i] for i in wanted]

    def mark(job: tuple[str, str]) -> str:
        task, text = job
        case = Case(id=task, inputs=problems[task])
        program = HUMANEVAL.program(case, Answer(case_id=task, variant="codegen", text=text))
        assert isinstance(program, str)
        return str(int(run_python(program, limits=HUMANEVAL.limits).passed))

    with ThreadPoolExecutor(2) as pool:
        marks = pool.map(mark, [(task, text) for task in chosen for text in samples[task]])
        executed = {task: "".join(next(marks) for _ in samples[task]) for task in chosen}
    assert executed == {task: expected[task] for task in chosen}


def test_twenty_problems_reproduce_their_recorded_executions() -> None:
    _reproduce(range(3, 23))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_recorded_executions_are_reproduced() -> None:
    _reproduce(range(82))


def test_the_walls_of_this_machine_are_reported() -> None:
    walls = astuple(run("pass").isolation)
    assert len(walls) == 5
    assert all(isinstance(wall, bool) for wall in walls)
    assert walls == astuple(run("raise ValueError").isolation)
