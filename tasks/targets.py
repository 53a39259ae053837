"""From a suite's models to the gateway's targets."""

from collections.abc import Mapping

from evaluations.specs import ModelSpec, SuiteSpec
from tasks.providers.base import Target


def targets_of(suite: SuiteSpec) -> Mapping[str, Target]:
    """Every model that a suite may call, by label: those that answer, judges and fallbacks. A route calls others."""
    models = (model for model in (*suite.models, *suite.other_models) if model.route is None)
    return {model.name: _target(model, suite.concurrency) for model in models}


def _target(model: ModelSpec, concurrency: int) -> Target:
    return Target(
        label=model.name,
        model=model.model,
        api_base=model.api_base,
        api_key_env=model.api_key_env,
        transport=model.transport,
        parameters=model.parameters,
        timeout_s=model.timeout_s,
        max_output_tokens=model.max_output_tokens,
        requests_per_minute=model.requests_per_minute,
        tokens_per_minute=model.tokens_per_minute,
        max_concurrency=model.max_concurrency or concurrency,
        max_cost_a_call=model.max_cost_a_call,
        retries=model.retries,
        stream=bool(model.stream),
        fallbacks=model.fallbacks,
    )
