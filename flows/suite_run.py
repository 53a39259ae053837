"""suite_run: a suite of cases, asked of every variant, judged, concluded and published."""

from decimal import Decimal
from typing import Annotated

from prefect import flow
from pydantic import Field

from tasks.planning import RunRequest
from tasks.running import conclude_run, execute, open_run, publish_report


@flow(name="suite-run", description="Run a test suite and publish its verdict.")
async def suite_run(
    suite: Annotated[
        str,
        Field(
            title="Suite",
            description="Path of a suite file, or the name of a folder under datasets/.",
            examples=["support-tickets", "datasets/support-tickets/suite.yaml"],
        ),
    ],
    models: Annotated[
        list[str],
        Field(title="Models", description="Labels of the suite's models, or model ids. None: all of the suite's."),
    ] = [],  # noqa: B006 - Prefect shows the default in its form and copies it
    prompts: Annotated[list[str], Field(title="Prompts", description="Prompt files instead of the suite's.")] = [],  # noqa: B006
    repeats: Annotated[
        int | None, Field(title="Repeats", description="How often every case is answered.", ge=1)
    ] = None,
    where: Annotated[
        list[str],
        Field(title="Only cases", description="tag=…, priority=… or id=…", examples=[["tag=billing"]]),
    ] = [],  # noqa: B006
    max_cost: Annotated[
        float | None, Field(title="Cost limit, USD", description="Stop before spending more.", ge=0)
    ] = None,
    max_time: Annotated[
        float | None, Field(title="Time limit, seconds", description="Stop after this time.", gt=0)
    ] = None,
    concurrency: Annotated[int | None, Field(title="Calls at once", ge=1, le=1000)] = None,
    quarantine: Annotated[
        bool, Field(title="Quarantine", description="Run the good rows when some break the contract.")
    ] = False,
    use_cache: Annotated[
        bool, Field(title="Use the ledger", description="Take answers that are already there instead of paying again.")
    ] = True,
    allow_unpriced: Annotated[
        bool, Field(title="Allow unpriced", description="Run models without a known price despite a cost limit.")
    ] = False,
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
