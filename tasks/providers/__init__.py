"""Calling models: the providers, and the one place that lists them.

To add a provider, write a class with `complete()` and `close()` that is made from a Target and a Workspace,
and name it
here: under the prefix of its models, or under its transport.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from evaluations.errors import AssayError
from tasks.providers.base import Provider, Target, Workspace
from tasks.providers.direct import DirectProvider
from tasks.providers.gateway import Gateway
from tasks.providers.litellm_provider import LiteLLMProvider, check_litellm_model
from tasks.providers.replay import ReplayProvider
from tasks.providers.simulated import SimulatedProvider

PROVIDERS: Mapping[str, Callable[[Target, Workspace], Provider]] = {
    "replay": ReplayProvider,  # replay/<file>: recorded answers
    "simulated": SimulatedProvider,  # simulated/<profile>: made-up answers
    "direct": DirectProvider,  # transport: direct
    "litellm": LiteLLMProvider,  # everything else
}


def provider_of(target: Target, workspace: Workspace) -> Provider:
    """The provider for a target. Raises AssayError when it cannot be made: no file, no such profile, no
    key."""
    kind = target.provider if target.provider in ("replay", "simulated") else target.transport
    return PROVIDERS[kind](target, workspace)


def check_model(target: Target, *, folder: Path | None = None, allow_outside: bool = False) -> None:
    """Find out before a run whether a target can be called. Raises AssayError that says what would do.

    Reads recordings' names, profiles and environment variables, and LiteLLM's lists only for what LiteLLM is
    to call: importing it takes seconds. No request is made.
    """
    match target.provider, target.transport:
        case "replay", _:
            ReplayProvider.check(target, Workspace(folder=folder, allow_outside=allow_outside))
        case "simulated", _:
            SimulatedProvider(target)
        case _, "direct":
            DirectProvider(target)
        case _, "litellm":
            check_litellm_model(target)
        case _, other:
            raise AssayError(f"{target.label}: no transport is named {other!r}; use litellm or direct.")


__all__ = ["PROVIDERS", "Gateway", "Provider", "Target", "check_model", "provider_of"]
