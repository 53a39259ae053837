"""suite_run: a suite of cases, asked of every variant, judged, concluded and published."""

from decimal import Decimal

from prefect import flow

from tasks.forms import Dollars, Name, Names, Seconds, Times, parameter
from tasks.planning import RunRequest
from tasks.running import conclude_run, execute, open_run, publish_report


@flow(name="suite-run", description="Run a test suite and publish its verdict.")
async def suite_run(
    suite: Name = parameter(
        "Suite",
        "Path of a suite file, or the name of a folder under datasets/.",
        examples=["support-tickets", "datasets/support-tickets/suite.yaml"],
    ),
    models: Names = parameter(
        "Models", "Labels of the suite's models, or model ids. None: all of the suite's.", [], examples=[["large"]]
    ),
    prompts: Names = parameter(
        "Prompts",
        "Names, files or registered versions of prompts. None: all of the suite's.",
        [],
        examples=[["triage"], ["triage@1.2.0"]],
    ),
    repeats: Times | None = parameter(
        "Repeats", "How often every case is answered. Empty: as the suite says.", None, examples=[3]
    ),
    where: Names = parameter(
        "Only cases", "Conditions: tag=…, priority=… or id=…", [], examples=[["tag=billing", "priority=high"]]
    ),
    max_cost: Dollars | None = parameter(
        "Cost limit, USD", "Stop before more than this is spent.", None, examples=[2.5]
    ),
    max_time: Seconds | None = parameter("Time limit, seconds", "Stop after this time.", None, examples=[600]),
    concurrency: Times | None = parameter(
        "Calls at once", "Calls in flight at once. Empty: as the suite says.", None, examples=[16]
    ),
    quarantine: bool = parameter("Quarantine bad rows", "Run the good rows when some break the contract.", False),
    use_cache: bool = parameter("Use the ledger", "Take answers that are there already instead of paying again.", True),
    allow_unpriced: bool = parameter(
        "Allow unpriced models", "Run models without a known price despite a cost limit.", False
    ),
) -> str:
    """Run a suite: check, call, judge, conclude, publish. Gives the run's id."""
    run_id = await open_run(
        RunRequest(
            suite=suite,
            models=tuple(models),
            prompts=tuple(prompts),
            repeats=repeats,
            where=tuple(where),
            max_cost=None if max_cost is None else Decimal(str(max_cost)),
            max_time=max_time,
            concurrency=concurrency,
            quarantine=quarantine,
            use_cache=use_cache,
            allow_unpriced=allow_unpriced,
        )
    )
    await execute(run_id)
    await publish_report(await conclude_run(run_id))
    return str(run_id)
