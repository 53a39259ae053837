"""`make bench`: how fast suite runs are and how much memory they take, beside bare loops measured in the same run.

Every job runs in a process of its own against a local server that answers after 50 ms; jobs that are compared take
turns, so that a busy moment of the machine hits all of them. Nothing here is a test: read the ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BARE_AIOHTTP, BARE_LITELLM, OURS_LITELLM, OURS_DIRECT = "aiohttp", "litellm", "run-litellm", "run-direct"
Measured = dict[str, float]


def job(name: str, count: int, url: str) -> Measured:
    done = subprocess.run(  # noqa: S603 - our own interpreter with arguments of our own
        [sys.executable, "-m", "benchmarks.worker", name, str(count), url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    measured: Measured = json.loads(done.stdout.splitlines()[-1])
    return measured


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def middle(runs: list[Measured], what: str) -> float:
    return statistics.median(run[what] for run in runs)


def compare(count: int, url: str, rounds: int) -> None:
    names = (BARE_AIOHTTP, OURS_DIRECT, BARE_LITELLM, OURS_LITELLM)
    runs: dict[str, list[Measured]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            runs[name].append(job(name, count, url))
    say(f"\n{count:,} cases, 100 at once, server latency 50 ms; median of {rounds}")
    say(f"  {'':<14}{'start-up':>10}{'calls':>10}{'conclude':>10}{'wall/case':>12}{'CPU/case':>11}{'memory':>9}")
    for name in names:
        wall, cpu = middle(runs[name], "wall_s"), middle(runs[name], "cpu_s")
        say(
            f"  {name:<14}{middle(runs[name], 'start_up_s'):>8.2f} s{wall:>8.2f} s"
            f"{middle(runs[name], 'conclude_s'):>8.2f} s"
            f"{1000 * wall / count:>9.3f} ms{1000 * cpu / count:>8.3f} ms{middle(runs[name], 'rss_mb'):>6.0f} MB"
        )
    for ours, bare in ((OURS_LITELLM, BARE_LITELLM), (OURS_DIRECT, BARE_AIOHTTP)):
        ratio = middle(runs[ours], "wall_s") / middle(runs[bare], "wall_s")
        cpu = middle(runs[ours], "cpu_s") / middle(runs[bare], "cpu_s")
        say(f"  {ours} takes {ratio:.2f} x the time and {cpu:.2f} x the CPU of bare {bare}")


def command(suite: Path, *options: str) -> float:
    """Seconds of a whole `assay run`, interpreter and report included."""
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own interpreter with arguments of our own
        [sys.executable, "-m", "cli", "run", str(suite), "--no-cache", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"assay run failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - began


def single_cases(url: str, rounds: int) -> None:
    from benchmarks.worker import called_model, recorded_run, suite_folder

    recorded = recorded_run(1)
    called = suite_folder(1, [called_model(url, "litellm")])
    command(recorded)  # starts the servers
    for name, suite in (("recorded", recorded), ("LiteLLM", called)):
        times = [command(suite) for _ in range(rounds)]
        say(f"  assay run of one {name} case, all included: {statistics.median(times):.2f} s (median of {rounds})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--replay", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-bench-home-") as home:
        os.environ["ASSAY_HOME"] = home
        os.environ.pop("ASSAY_DATABASE_URL", None)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.openai_server", "--port", "0", "--latency-ms", "50", "--text", "right"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            for count in given.counts:
                compare(count, url, given.rounds)
            if given.replay:
                one = job("replay", given.replay, url)
                say(f"\n{given.replay:,} recorded cases: {one['wall_s']:.1f} s, {one['rss_mb']:.0f} MB at most")
            say("\nwith a Prefect server up")
            single_cases(url, given.rounds)
        finally:
            server.kill()
            subprocess.run([sys.executable, "-m", "cli", "db", "stop"], cwd=ROOT, capture_output=True, check=False)


if __name__ == "__main__":
    main()
