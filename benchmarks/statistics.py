"""How many experiments a process analyses in a second, from sums, beside engines that take them one by one.

`python -m benchmarks.statistics --gbstats /path/to/python` measures GrowthBook's engine on the same inputs in the same
run, in an interpreter that has it (`pip install gbstats` in an environment of its own; it pins old numpy and pandas).
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.suite_runs import say
from evaluations.comparisons import Plan, Question
from evaluations.statistics.compare import compare
from evaluations.statistics.multiplicity import adjusted_p
from evaluations.statistics.ratios import PairMoments
from evaluations.statistics.sample_ratio import sample_ratio_p
from evaluations.statistics.sequential import any_time
from evaluations.statistics.two_proportions import proportion_differences
from evaluations.statistics.two_samples import Moments, welch_many

EXPERIMENTS, METRICS = 10_000, 5
Sums = dict[str, NDArray[np.float64]]

GBSTATS = """
import json, sys, time
import numpy as np
from gbstats.frequentist.tests import FrequentistConfig, TwoSidedTTest
from gbstats.models.statistics import SampleMeanStatistic

sums = np.load(sys.argv[1])
config = FrequentistConfig(difference_type="absolute")
columns = [sums[name].ravel()[: int(sys.argv[2])].tolist() for name in ("n_a", "x_a", "xx_a", "n_b", "x_b", "xx_b")]
p = []
began = time.perf_counter()
for n_a, x_a, xx_a, n_b, x_b, xx_b in zip(*columns):
    a = SampleMeanStatistic(n=int(n_a), sum=x_a, sum_squares=xx_a)
    b = SampleMeanStatistic(n=int(n_b), sum=x_b, sum_squares=xx_b)
    p.append(TwoSidedTTest(a, b, config).compute_result().p_value)
print(json.dumps({"seconds": time.perf_counter() - began, "p": p}))
"""


def sums_of(experiments: int, metrics: int) -> Sums:
    """Counts, sums and sums of squares of both arms, shape (experiments, metrics): invented, and seeded."""
    generator = np.random.default_rng(1)
    shape = experiments, metrics
    sums: Sums = {}
    for arm in "ab":
        n = np.repeat(generator.integers(200, 20_000, (experiments, 1)), metrics, axis=1).astype(np.float64)
        mean, sd = generator.normal(10, 0.05, shape), generator.uniform(1, 4, shape)
        sums |= {f"n_{arm}": n, f"x_{arm}": n * mean, f"xx_{arm}": (n - 1) * sd**2 + n * mean**2}
    return sums


def whole_analysis(sums: Sums) -> None:
    """What a flow asks for every experiment: the split, Welch, shares, looks, Holm over the metrics."""
    sample_ratio_p(np.stack([sums["n_a"][:, 0], sums["n_b"][:, 0]], axis=-1), [50, 50])
    control, treatment = (Moments.from_sums(sums[f"n_{arm}"], sums[f"x_{arm}"], sums[f"xx_{arm}"]) for arm in "ab")
    found = welch_many(treatment, control)
    any_time(found)
    proportion_differences(sums["n_b"] // 3, sums["n_b"], sums["n_a"] // 3, sums["n_a"])
    adjusted_p(found.p, "holm")


def best(job: Callable[[], object], times: int = 5) -> float:
    """Seconds of the fastest run: what the code takes where nothing else gets in its way."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def one_by_one(sums: Sums, count: int) -> None:
    """The same test by scipy, an experiment at a time."""
    from scipy.stats import ttest_ind_from_stats

    rows = zip(
        *(sums[name].ravel()[:count].tolist() for name in ("n_a", "x_a", "xx_a", "n_b", "x_b", "xx_b")), strict=True
    )
    for n_a, x_a, xx_a, n_b, x_b, xx_b in rows:
        spread = ((xx_b - x_b**2 / n_b) / (n_b - 1)) ** 0.5, ((xx_a - x_a**2 / n_a) / (n_a - 1)) ** 0.5
        ttest_ind_from_stats(x_b / n_b, spread[0], n_b, x_a / n_a, spread[1], n_a, equal_var=False)


def compared(sums: Sums, experiments: int) -> None:
    """`compare` as the flow calls it, one experiment after the other, with all its words."""
    names = [f"metric {number}" for number in range(METRICS)]
    plan = Plan(design="live_split", control="A", variants=("B",), traffic={"A": 50, "B": 50})
    questions = [
        Question(metric=name, kind="bounded", role="primary" if name == names[0] else "secondary") for name in names
    ]
    generator = np.random.default_rng(1)
    for i in range(experiments):
        measured = {}
        for j, name in enumerate(names):
            measured[name] = {
                label: PairMoments.from_sums(
                    n, sums[f"x_{arm}"][i, j], n, sums[f"xx_{arm}"][i, j], n, sums[f"x_{arm}"][i, j]
                )
                for label, arm, n in (("A", "a", sums["n_a"][i, j]), ("B", "b", sums["n_b"][i, j]))
            }
        compare(plan, questions, measured, generator=generator, units={"A": 5_000, "B": 5_010})


def gbstats(python: str, sums: Sums, count: int) -> tuple[float, list[float]]:
    """Seconds, and the p-values, of GrowthBook's engine in its own interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "sums.npz"
        np.savez(packed, **{name: values.ravel() for name, values in sums.items()})  # type: ignore[arg-type]
        done = subprocess.run(  # noqa: S603 - an interpreter the caller named, with a script of our own
            [python, "-c", GBSTATS, str(packed), str(count)], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise SystemExit(f"gbstats failed:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return told["seconds"], told["p"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gbstats", help="a Python that has gbstats")
    python = parser.parse_args().gbstats
    sums = sums_of(EXPERIMENTS, METRICS)
    tests = EXPERIMENTS * METRICS

    def welch() -> NDArray[np.float64]:
        arms = [Moments.from_sums(sums[f"n_{arm}"], sums[f"x_{arm}"], sums[f"xx_{arm}"]) for arm in "ab"]
        return welch_many(arms[1], arms[0]).p

    whole, ours = best(lambda: whole_analysis(sums), 3), best(welch) / tests
    say(f"\n{EXPERIMENTS:,} experiments x {METRICS} metrics from sums, one process")
    say(f"  split, Welch, shares, looks, Holm {whole:>8.2f} s   (bar: below 1 s)")
    say(f"  Welch alone                       {1e6 * ours:>8.2f} µs a test")
    count = 2_000
    scipy = best(lambda: one_by_one(sums, count), 2) / count
    say(f"  scipy, one by one                 {1e6 * scipy:>8.2f} µs a test: {scipy / ours:,.0f} x ours")
    if python:
        seconds, p = gbstats(python, sums, count)
        gap = float(np.abs(np.array(p) - welch().ravel()[:count]).max())
        theirs = seconds / count
        told = f"{1e6 * theirs:>8.2f} µs a test: {theirs / ours:,.0f} x ours"
        say(f"  gbstats                           {told}   (bar: 50 x)")
        say(f"  largest gap of the p-values       {gap:>8.1e}")
    many = 300
    words = best(lambda: compared(sums, many), 3) / many
    say(f"  compare(), all its words          {1e3 * words:>8.2f} ms an experiment")


if __name__ == "__main__":
    main()
