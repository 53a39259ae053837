"""A sample application: it reads its bundle by the OpenFeature SDK from the published file, as any application would.

It knows the file and the SDK, and nothing of Assay: no database, no command, no restart. flagd's provider in file mode
looks at the file again and again; whatever was published reaches the next request.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluations.errors import AssayError
from evaluations.sample_canary import Served

if TYPE_CHECKING:
    from openfeature.client import OpenFeatureClient

LOOKS_AGAIN_MS = 50
"""How often the provider looks whether the file is another one."""
PATIENCE_S = 30.0
"""How long a published file may take to reach the application, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Application:
    """One that runs, and answers for a feature."""

    feature: str
    client: "OpenFeatureClient"

    def bundle_for(self, unit: str) -> Mapping[str, Any]:
        """What it would answer this unit with, now."""
        from openfeature.evaluation_context import EvaluationContext

        found = self.client.get_object_value(self.feature, {}, EvaluationContext(targeting_key=unit))
        return found if isinstance(found, Mapping) else {}

    def serves(self, units: Sequence[str]) -> list[Served]:
        """The bundle that each unit gets, now."""
        return [Served(unit, self.bundle_for(unit)) for unit in units]

    def waits_for(self, units: Sequence[str], arrived: Callable[[Sequence[Served]], bool]) -> list[Served]:
        """What the units get, as soon as what was published has reached it. Raises AssayError when it never does."""
        until = time.monotonic() + PATIENCE_S
        while not arrived(self.serves(units)):
            if time.monotonic() > until:
                raise AssayError(f"what was published of {self.feature} did not reach the sample application.")
            time.sleep(LOOKS_AGAIN_MS / 2000)
        # Asked again: the file may have been exchanged between two of those units.
        return self.serves(units)


def can_run() -> bool:
    """Is the OpenFeature SDK with flagd's provider installed? Applications need it; Assay itself does not."""
    try:
        return find_spec("openfeature.contrib.provider.flagd") is not None
    except ModuleNotFoundError:
        return False


@contextmanager
def running(feature: str, file: Path) -> Iterator[Application]:
    """The application, from its start to its end."""
    from openfeature import api
    from openfeature.contrib.provider.flagd import FlagdProvider
    from openfeature.contrib.provider.flagd.config import ResolverType

    provider = FlagdProvider(
        resolver_type=ResolverType.FILE, offline_flag_source_path=str(file), deadline_ms=LOOKS_AGAIN_MS
    )
    api.set_provider_and_wait(provider)
    try:
        yield Application(feature, api.get_client())
    finally:
        api.shutdown()
