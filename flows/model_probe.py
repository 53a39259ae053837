"""model_probe: do providers answer, and can their models do what is said of them?"""

from decimal import Decimal

from prefect import State, flow

from tasks.forms import Dollars, Names, parameter
from tasks.model_probing import ProbeRequest
from tasks.scheduling import Ended
from tasks.sweeping import probe_models, shown


@flow(name="model-probe", description="See which providers answer; test the capabilities of models.")
async def model_probe(
    models: Names = parameter(
        "Models",
        "provider/model of those to test. None: those in use whose tests are missing or older than 29 days.",
        [],
        examples=[["openai/gpt-4o-2024-11-20"]],
    ),
    providers: Names = parameter(
        "Providers", "Whose listings to look at. None: every provider with a key here.", [], examples=[["openai"]]
    ),
    capabilities: Names = parameter(
        "Capabilities", "What to test. None: whatever the model may be able to do.", [], examples=[["json_schema"]]
    ),
    max_cost: Dollars = parameter(
        "Cost limit, USD", "Stop before the calls of this round cost more.", 1.0, examples=[1]
    ),
    listings: bool = parameter("Look at listings", "Ask providers which models they serve; that is free.", True),
    tests: bool = parameter("Test capabilities", "Test models in use whose tests are due.", True),
) -> State[str]:
    """Look at listings and test capabilities; every call is in the ledger. Gives a sentence about what was found."""
    asked = ProbeRequest(
        models=tuple(models),
        providers=tuple(providers),
        capabilities=tuple(capabilities),
        max_cost=Decimal(str(max_cost)),
        listings=listings,
        tests=tests,
    )
    return shown([Ended(await probe_models(asked))])
