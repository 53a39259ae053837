"""What runs in the sandbox's interpreter before the untrusted program: it builds the walls, forks, and
watches.

Two processes: the *keeper* (this one) holds the clock, counts memory, and ends whatever is left at the end;
the *program* is its child, inside of all walls. Every wall is tried on its own, and what the kernel refuses
is reported, not fatal. This file is compiled once by `tasks.sandbox` and handed over: it may import the
standard library alone, and as little of it as it can, because each import is paid for by every program.

Lines to the caller, over the control descriptor: `walls <names>`, then `end <ending> <wait status> <cpu
seconds> <peak KiB>`. Nothing is written there by the program: its process does not hold the descriptor.
"""

# Importing pathlib costs every program 10 ms:
# ruff: noqa: PTH101, PTH103, PTH110, PTH112, PTH114, PTH115, PTH116, PTH120, PTH123, PTH208, PTH211
from __future__ import annotations

# Cheap modules only: `signal` brings enum along and costs 5 ms, typing 8; `_signal` is what is underneath.
import _signal as signal  # type: ignore[import-not-found]
import os
import resource
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_SECCOMP = 1, 22
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
EPERM, ENOSYS, AF_UNIX = 1, 38, 1

# Per machine: the audit architecture; the numbers of socket, clone, clone3 and tgkill; the calls refused
# always; and those refused where the program could otherwise reach processes of ours.
SYSTEM_CALLS: dict[str, tuple[int, int, int, int, int, tuple[int, ...], tuple[int, ...]]] = {
    # ptrace, mount, umount2, pivot_root, chroot, unshare, setns, bpf, perf_event_open, userfaultfd, add_key,
    # request_key, keyctl, process_vm_readv and writev, open_by_handle_at, io_uring_setup, the new mount calls
    "x86_64": (
        0xC000003E, 41, 56, 435, 234,
        (101, 165, 166, 155, 161, 272, 308, 321, 298, 323, 248, 249, 250, 310, 311, 304, 425, 428, 429, 430,
         442),
        (62, 200, 129, 297, 424),  # kill, tkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal
    ),
    "aarch64": (
        0xC00000B7, 198, 220, 435, 131,
        (117, 40, 39, 41, 51, 97, 268, 280, 241, 282, 217, 218, 219, 270, 271, 265, 425, 428, 429, 430, 442),
        (129, 130, 138, 240, 424),
    ),
}  # fmt: skip


def main(config: dict[str, Any]) -> None:
    """Run `config["source"]` within its limits; returns in the program's process alone, once it is done."""
    control: int = config["control"]
    libc = _libc()
    if libc:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans of the program come to us, to be ended
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    sys.executable = os.path.realpath(sys.executable)  # the virtual environment's will not be there
    was_root = os.geteuid() == 0
    spaces = _unshare(libc, was_root) if libc else 0
    keeper = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    walls_read, walls_write = os.pipe()
    done_read, done_write = os.pipe()
    child = os.fork()
    if child == 0:
        for descriptor in (control, walls_read, done_read):
            os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, signal.SIGTERM})
        walls = _build_walls(libc, config, spaces, was_root, keeper)
        os.write(walls_write, (" ".join(walls) + "\n").encode())
        os.close(walls_write)
        _run(config["source"], done_write)
    os.close(walls_write)
    os.close(done_write)
    with os.fdopen(walls_read, "rb") as built:  # ends with the line, or with a child that could not build them
        walls_line = built.readline()
    os.write(control, b"walls " + walls_line if walls_line else b"broken\n")
    ending, status, cpu, peak = _watch(child, config)
    _end_descendants()
    os.set_blocking(done_read, False)
    try:
        finished = os.read(done_read, 1) == b"."
    except BlockingIOError:  # a writer is still alive somewhere: not the program
        finished = False
    if not ending:
        ending = "finished" if finished and status == 0 else "failed"
    os.write(control, f"end {ending} {status} {cpu:.6f} {peak}\n".encode())
    os._exit(0)


# The keeper


def _watch(child: int, config: dict[str, Any]) -> tuple[str, int, float, int]:
    """Wait for the child and end it at a limit: how it was ended ("" if it ended by itself), status, CPU,
    peak."""
    deadline = time.monotonic() + config["wall_seconds"]
    most = config["memory_mb"] * 1024
    ending = ""
    while True:
        reaped, status, usage = os.wait4(child, os.WNOHANG)
        if reaped:
            break
        left = deadline - time.monotonic()
        if not ending:
            if left <= 0:
                ending = "wall_time"
            elif _pause(min(left, 0.1)) == signal.SIGTERM:
                ending = "stopped"
            elif _resident_kb_of_family(child) > most:
                ending = "memory"
            if ending:
                os.kill(child, signal.SIGKILL)
        else:
            _pause(0.1)
    cpu = usage.ru_utime + usage.ru_stime
    code = os.waitstatus_to_exitcode(status)
    # The kernel enforces by ticks what it sums up by the clock: on a busy machine the sum stays short of the limit.
    ended_by_limit = code == -signal.SIGXCPU or (code == -signal.SIGKILL and cpu > config["cpu_seconds"] / 2)
    if not ending and ended_by_limit:
        ending = "cpu_time"
    return ending, code, cpu, usage.ru_maxrss


def _pause(seconds: float) -> int | None:
    """Sleep until a child ends or we are told to stop; the number of the signal."""
    if hasattr(signal, "sigtimedwait"):
        told = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, seconds)
        return told.si_signo if told else None
    time.sleep(min(seconds, 0.01))  # pragma: no cover (no such call on macOS)
    return None


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as listed:
                found += map(int, listed.read().split())
    except OSError:  # it has just ended, or there is no /proc
        pass
    return found


def _family_of(pid: int) -> Iterator[int]:
    for child in _children_of(pid):
        yield child
        yield from _family_of(child)


def _resident_kb_of_family(child: int) -> int:
    """Resident memory of the program and its descendants; 0 for a program alone, which its own limit
    holds."""
    family = list(_family_of(child))
    if not family:
        return 0
    pages = 0
    for pid in (child, *family):
        try:
            with open(f"/proc/{pid}/statm") as counted:
                pages += int(counted.read().split()[1])
        except (OSError, IndexError):
            continue
    return pages * (os.sysconf("SC_PAGE_SIZE") // 1024)


def _end_descendants() -> None:
    """End what the program left behind; orphans come to us, generation by generation."""
    while True:
        for pid in _children_of(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.001)
        except ChildProcessError:
            return


# The walls


def _libc() -> Any:
    """The C library, or None where it cannot be called: then the limits are all there is."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes
    except ImportError:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
    return libc


def _unshare(libc: Any, was_root: bool) -> int:
    """Leave as many of the machine's name spaces as the kernel lets us; which ones."""
    wanted = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    user, group = os.geteuid(), os.getegid()
    if was_root:
        return wanted if libc.unshare(wanted) == 0 else 0
    if libc.unshare(wanted | CLONE_NEWUSER):
        return 0
    try:
        for name, line in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as mapped:
                mapped.write(line)
    except OSError:  # some systems give an empty user space without the right to fill it
        pass
    return wanted | CLONE_NEWUSER


def _build_walls(libc: Any, config: dict[str, Any], spaces: int, was_root: bool, keeper: int) -> list[str]:
    """All walls around this process, from the outside in; the names of those that stand."""
    walls = []
    _open_null_input()
    if libc:
        os.setsid()  # a group of its own, so that ending "its" group does not end the keeper
    try:
        with open("/proc/self/oom_score_adj", "w") as adjusted:
            adjusted.write("1000")  # if memory does run out, this is what has to go
    except OSError:
        pass
    work = config["work"]
    user = _user_for(keeper) if was_root else os.geteuid()
    if spaces & CLONE_NEWNS and _own_filesystem(libc, config, user):
        walls.append("filesystem")
        work = "/work"
    elif was_root:
        os.chown(work, user, user)
        os.chmod(work, 0o700)
    os.chdir(work)
    if spaces & CLONE_NEWPID:
        walls.append("processes")
    _set_limits(config)
    if was_root and not _become(user):
        sys.exit(
            "a program is not run as root, and no other user can read the interpreter's files here: "
            "run Assay as an ordinary user, or with an interpreter that everyone may read"
        )
    if libc:
        _drop_capabilities(libc)
        unprivileged = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # changing the user has cleared it
        if unprivileged:
            walls.append("privileges")
        if unprivileged and _refuse_system_calls(libc, alone=bool(spaces & CLONE_NEWPID)):
            walls += ["system_calls", "network"]
    if spaces & CLONE_NEWNET and "network" not in walls:
        walls.append("network")
    return walls


def _open_null_input() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _user_for(keeper: int) -> int:
    """A user of its own for each program, beyond the ranges that anyone hands out: no two can touch each
    other."""
    return 0x70000000 + keeper


def _own_filesystem(libc: Any, config: dict[str, Any], user: int) -> bool:
    """Make a small disk in memory the root, with the interpreter's files bound into it, read only."""
    root: str = config["work"]

    def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> bool:
        encoded = [os.fsencode(text) if text is not None else None for text in (source, target, kind, options)]
        return bool(libc.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]) == 0)

    size = f"size={config['disk_mb']}m,nr_inodes=20000,mode=755"
    if not mount("none", "/", None, MS_REC | MS_PRIVATE) or not mount(
        "tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, size
    ):
        return False
    for path in config["visible"]:
        inside = root + path
        if os.path.islink(path):  # /lib is often a link to usr/lib
            os.makedirs(os.path.dirname(inside), exist_ok=True)
            os.symlink(os.readlink(path), inside)
            continue
        if os.path.isdir(path):
            os.makedirs(inside, exist_ok=True)
        elif os.path.exists(path):
            os.makedirs(os.path.dirname(inside), exist_ok=True)
            os.close(os.open(inside, os.O_CREAT | os.O_WRONLY, 0o644))
        else:
            continue
        if not mount(path, inside, None, MS_BIND):
            return False
        if not path.startswith("/dev/"):
            # Flags that the mount already has are locked in a user space: they have to be named again.
            held = os.statvfs(inside).f_flag & (MS_NOSUID | MS_NODEV | 8)
            mount("none", inside, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | held)
    for name in ("work", "tmp", "dev/shm"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
        os.chmod(f"{root}/{name}", 0o1777)  # noqa: S103 (as /tmp is)
    os.chown(f"{root}/work", user, user if os.geteuid() == 0 else -1)
    os.chmod(f"{root}/work", 0o700)
    os.chroot(root)
    os.chdir("/")
    return True


def _set_limits(config: dict[str, Any]) -> None:
    megabyte = 1024 * 1024
    limits = {
        # No milder signal first: the first process of a process space would not be ended by one.
        "RLIMIT_CPU": config["cpu_seconds"],
        "RLIMIT_AS": config["memory_mb"] * megabyte,
        "RLIMIT_FSIZE": config["file_mb"] * megabyte,
        "RLIMIT_NPROC": config["processes"],
        "RLIMIT_NOFILE": config["open_files"],
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
    }
    for name, wanted in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        most = resource.getrlimit(kind)[1]
        limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        try:
            resource.setrlimit(kind, (limit, limit))
        except (OSError, ValueError):  # macOS refuses an address space limit
            continue


def _become(user: int) -> bool:
    """Stop being root; False where the interpreter's files could then not be read any more."""
    for candidate in (user, 65534):
        try:
            os.setgroups([])
            os.setresgid(candidate, candidate, candidate)
            os.setresuid(candidate, candidate, 0)
            break
        except OSError:  # the number is not mapped in this container
            continue
    else:
        return False
    try:
        os.stat(os.__file__)
        os.stat(".")
    except OSError:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        return False
    os.setresuid(candidate, candidate, candidate)
    return True


def _drop_capabilities(libc: Any) -> None:
    """Give up every capability, also those that a user space of our own has granted."""
    import struct

    header, none = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0] * 6)
    libc.capset(header, none)


def _refuse_system_calls(libc: Any, *, alone: bool) -> bool:
    """A filter in the kernel: no sockets but local ones, no new name spaces, no tracing, mounting or
    io_uring.

    Where the program is not `alone` in a process space of its own, it may also signal nobody but itself.
    """
    import ctypes
    import struct

    numbers = SYSTEM_CALLS.get(os.uname().machine)
    if numbers is None or sys.maxsize < 2**32:
        return False
    architecture, socket, clone, clone3, tgkill, refused, signals = numbers
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, error = 0x7FFF0000, 0x80000000, 0x00050000

    def step(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("HBBI", code, yes, no, k)

    first_argument = 16
    steps = [
        step(load, 4),
        step(equal, architecture, 1, 0),
        step(give, kill),
        step(load, 0),
        step(at_least, 0x40000000, 0, 1),  # x86-64's second table of calls
        step(give, error | ENOSYS),
        step(equal, clone3, 0, 1),  # its flags lie in memory, out of a filter's sight; libraries fall back to clone
        step(give, error | ENOSYS),
    ]
    for number in refused + (() if alone else signals):
        steps += [step(equal, number, 0, 1), step(give, error | EPERM)]
    steps += [
        step(equal, socket, 0, 4),
        step(load, first_argument),
        step(equal, AF_UNIX, 0, 1),
        step(give, allow),
        step(give, error | EPERM),
        step(equal, clone, 0, 4),
        step(load, first_argument),
        step(any_bit, CLONE_NEWUSER, 1, 0),  # a new user space would give capabilities back
        step(give, allow),
        step(give, error | EPERM),
    ]
    if not alone:
        steps += [
            step(equal, tgkill, 0, 4),  # how a process raises a signal in itself
            step(load, first_argument),
            step(equal, os.getpid(), 0, 1),
            step(give, allow),
            step(give, error | EPERM),
        ]
    steps.append(step(give, allow))
    code = ctypes.create_string_buffer(b"".join(steps))
    filtered = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    return bool(libc.prctl(PR_SET_SECCOMP, 2, ctypes.addressof(filtered), 0, 0) == 0)


# The program


def _run(source: str, done: int) -> None:
    """Run the source as `__main__`, and write one byte when its last line is behind it."""
    name = "program.py"
    with open(name, "w", encoding="utf-8", errors="surrogatepass") as written:
        written.write(source)  # tracebacks quote from it
    os.environ.clear()
    sys.argv = [name]
    program = type(sys)("__main__")
    program.__dict__.update(__file__=name, __builtins__=__builtins__)
    sys.modules["__main__"] = program
    ended: Callable[[], int] = lambda: os.write(done, b".")  # noqa: E731 (bound early: the program may change os)
    try:
        exec(compile(source, name, "exec", dont_inherit=True), program.__dict__)  # noqa: S102 (what it is for)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 (whatever the program raises)
        error = error.with_traceback(error.__traceback__.tb_next if error.__traceback__ else None)
        sys.excepthook(type(error), error, error.__traceback__)  # without our own frame
        sys.exit(1)
    ended()
    sys.exit(0)
