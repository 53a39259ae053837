"""Model configurations from files, and as what is checked before they are put to work."""

from pathlib import Path

from evaluations.errors import AssayError
from evaluations.model_validation import Configuration
from evaluations.specs import ModelSpec
from tasks.documents import parse_document, read_document


def read_model_config(path: Path) -> ModelSpec:
    """The model configuration in a YAML file: what a suite writes under `models`.

    Raises AssayError that lists every problem with file, line and column.
    """
    return parse_document(read_document(path, "model configuration"), ModelSpec, "model configuration")


def configuration_of(spec: ModelSpec, *, needs: tuple[str, ...] = ()) -> Configuration:
    """A model with its parameters as `check_model` takes it; `needs` are the capabilities its prompt asks for.

    Raises AssayError for a route, which is two models: each of them is checked for itself.
    """
    if spec.route is not None:
        raise AssayError(
            f"{spec.name} is a route between {spec.route.weak} and {spec.route.strong}, and no model; validate each of "
            "these two."
        )
    return Configuration(
        model=spec.model,
        parameters=spec.parameters,
        max_output_tokens=spec.max_output_tokens,
        requests_per_minute=spec.requests_per_minute,
        tokens_per_minute=spec.tokens_per_minute,
        max_cost_a_call=spec.max_cost_a_call,
        fallbacks=tuple(name for name in spec.fallbacks if "/" in name),
        needs=needs,
        own_address=spec.api_base is not None,
    )
