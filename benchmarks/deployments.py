"""`make bench`, the part of deployments: how long the way back takes, with many features in the flag document.

Measured are the transaction with the published file (flushed to disk), and the whole command as a person types it.
Nothing here is a test: read the numbers.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

MOST_SECONDS = 1.0
"""The bar for transaction and file."""


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def deploy_twice(features: int) -> None:
    """Two bundles after each other for every feature, in an environment without approvals."""
    from evaluations.deployments import Bundle, Policy
    from tasks.store.database import transaction
    from tasks.store.deployments import NewDeployment, ask_for, move

    for number in range(features):
        for version in ("1.0.0", "2.0.0"):
            with transaction() as connection:
                new = NewDeployment(
                    feature=f"feature-{number}",
                    environment="staging",
                    trigger="manual",
                    bundle=Bundle(prompt=f"prompt-{number}@{version}", model="simulated/perfect"),
                    policy=Policy(steps=(100,)),
                    approvals_required=0,
                    why="benchmark",
                )
                found = ask_for(connection, new, "benchmark")
                found = move(connection, found, "deploying", actor="benchmark", why="", percent=100)
                move(connection, found, "deployed", actor="benchmark", why="", percent=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=200)
    parser.add_argument("--rollbacks", type=int, default=50)
    parser.add_argument("--commands", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-bench-home-") as home:
        os.environ["ASSAY_HOME"] = home
        os.environ.pop("ASSAY_DATABASE_URL", None)
        from pathlib import Path

        from tasks.rolling_back import roll_back
        from tasks.store.embedded import stop

        try:
            deploy_twice(given.features)
            taken = []
            for number in range(given.rollbacks):
                began = time.perf_counter()
                roll_back(f"feature-{number}", "staging", why="benchmark")
                taken.append(time.perf_counter() - began)
            taken.sort()
            middle, worst = statistics.median(taken), taken[-1]
            say(
                f"rollback, transaction and file, {given.features} features: median {middle:.3f} s, worst {worst:.3f} s"
            )
            say(f"  bar: under {MOST_SECONDS:g} s: {'met' if worst < MOST_SECONDS else 'MISSED'}")
            whole = []
            for number in range(given.rollbacks, given.rollbacks + given.commands):
                began = time.perf_counter()
                command = [sys.executable, "-m", "cli", "rollback", f"feature-{number}", "--environment", "staging"]
                subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own interpreter and command
                whole.append(time.perf_counter() - began)
            say(
                f"  the whole command, a new process: median {statistics.median(whole):.2f} s, worst {max(whole):.2f} s"
            )
        finally:
            stop(Path(home))


if __name__ == "__main__":
    main()
