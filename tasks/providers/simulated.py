"""Made-up answers: `simulated/<profile>`, with declared accuracy, latency, faults, tokens and price.

For demonstrations and for trying out a suite without paying. Every reply is marked as simulated. What comes
out is a function of the seed, the case, the variant, the profile and the repeat alone: the same in any
process on any day.
"""

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from hashlib import blake2b
from statistics import NormalDist
from typing import Any

from evaluations.answers import Usage
from evaluations.errors import AssayError, unknown_name
from evaluations.pricing import estimate_tokens
from tasks.providers.base import Call, CallError, Reply, Target, Workspace
from tasks.providers.replay import SAMPLING

Z_95 = NormalDist().inv_cdf(0.95)
WRONG = "[simulated: a wrong answer]"
NOTHING_EXPECTED = "[simulated: an answer to a case without an expectation]"
MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a made-up model behaves. Shares are fractions in [0, 1]."""

    accuracy: float
    """Share of answers that are right."""
    flakiness: float = 0.1
    """Share of cases that are drawn anew in each repeat; the others come out the same in all."""
    error_rate: float = 0.0
    p50_ms: float = 400.0
    p95_ms: float = 1200.0
    """Latency is log-normal through these two."""
    reasoning_tokens: int = 0
    usd_per_million_input: str = "0.15"
    usd_per_million_output: str = "0.60"
    """Declared prices; no money is spent."""
    time_scale: float = 0.0
    """Real seconds slept for each simulated one; 0 sleeps not at all, 1 runs in real time."""


PROFILES: Mapping[str, Profile] = {
    "perfect": Profile(accuracy=1.0, flakiness=0.0),
    "large": Profile(
        accuracy=0.93,
        flakiness=0.05,
        p50_ms=1400,
        p95_ms=3800,
        usd_per_million_input="2.50",
        usd_per_million_output="10",
    ),
    "small": Profile(accuracy=0.84, flakiness=0.1),
    "thinking": Profile(
        accuracy=0.96,
        flakiness=0.03,
        p50_ms=6000,
        p95_ms=18000,
        reasoning_tokens=600,
        usd_per_million_input="1.10",
        usd_per_million_output="4.40",
    ),
    "flaky": Profile(accuracy=0.75, flakiness=0.8),
    "faulty": Profile(accuracy=0.9, error_rate=0.15),
}


class SimulatedProvider:
    """Answers that follow a profile; any of its numbers can be set in the model's parameters."""

    def __init__(self, target: Target, workspace: Workspace | None = None) -> None:
        """Raises AssayError for an unknown profile or a number out of range."""
        name = target.model_name
        if name not in PROFILES:
            raise AssayError(f"{target.label}: {unknown_name('simulated profile', name, list(PROFILES))}")
        self._name = name
        self._profile = _adjusted(target, PROFILES[name])
        self._seed = (workspace or Workspace()).seed
        # Log-normal: the logarithm of p50 is the mean, and p95 lies Z_95 deviations above it.
        self._mu = math.log(self._profile.p50_ms)
        self._sigma = math.log(self._profile.p95_ms / self._profile.p50_ms) / Z_95
        self._input_price = Decimal(self._profile.usd_per_million_input) / MILLION
        self._output_price = Decimal(self._profile.usd_per_million_output) / MILLION

    async def complete(self, call: Call) -> Reply:
        profile = self._profile
        latency_ms = math.exp(self._mu + self._sigma * NormalDist().inv_cdf(self._draw(call, "latency", call.repeat)))
        if profile.time_scale:
            await asyncio.sleep(latency_ms / 1000 * profile.time_scale)
        if self._draw(call, "error", call.repeat) < profile.error_rate:
            raise CallError("simulated", f"a simulated failure of the profile {self._name}")
        is_flaky = self._draw(call, "flaky") < profile.flakiness
        drawn = self._draw(call, "right", call.repeat) if is_flaky else self._draw(call, "right")
        text = rendered(call.expected) if drawn < profile.accuracy else WRONG
        usage = Usage(
            input_tokens=sum(estimate_tokens(str(message.get("content", ""))) + 4 for message in call.messages),
            output_tokens=max(1, estimate_tokens(text)),
            reasoning_tokens=profile.reasoning_tokens,
        )
        said_tokens = usage.output_tokens + usage.reasoning_tokens
        return Reply(
            text=text,
            usage=usage,
            model_returned=f"simulated/{self._name}",
            finish_reason="stop",
            latency_ms=latency_ms,
            simulated=True,
            cost_usd=usage.input_tokens * self._input_price + said_tokens * self._output_price,
        )

    async def close(self) -> None:
        return None

    def _draw(self, call: Call, *what: str | int) -> float:
        """A number in (0, 1) that depends on its arguments alone."""
        place = json.dumps([self._seed, self._name, call.case_id, call.variant, *what])
        number = int.from_bytes(blake2b(place.encode(), digest_size=8).digest(), "big")
        return (number + 0.5) / 2**64


def rendered(expected: Any) -> str:
    """An expectation as the text of a right answer."""
    if expected is None:
        return NOTHING_EXPECTED
    return expected if isinstance(expected, str) else json.dumps(expected, ensure_ascii=False)


def _adjusted(target: Target, profile: Profile) -> Profile:
    known = {setting.name: setting.type for setting in fields(Profile)}
    changes: dict[str, Any] = {}
    for name, value in target.parameters.items():
        if name in SAMPLING:
            continue
        if name not in known:
            raise AssayError(f"{target.label}: {unknown_name('parameter of simulated', name, list(known))}")
        try:
            changes[name] = str(Decimal(str(value))) if known[name] is str else known[name](value)  # type: ignore[operator]
        except (ArithmeticError, TypeError, ValueError):
            raise AssayError(f"{target.label}: {name} has to be a number, not {value!r}.") from None
    adjusted = replace(profile, **changes)
    shares = ("accuracy", "flakiness", "error_rate")
    if wrong := [name for name in shares if not 0 <= getattr(adjusted, name) <= 1]:
        raise AssayError(f"{target.label}: {wrong[0]} is a share between 0 and 1.")
    if not 0 < adjusted.p50_ms <= adjusted.p95_ms < math.inf or not 0 <= adjusted.time_scale < math.inf:
        raise AssayError(f"{target.label}: latencies need 0 < p50_ms <= p95_ms, and time_scale at least 0.")
    if adjusted.reasoning_tokens < 0 or Decimal(adjusted.usd_per_million_input) < 0:
        raise AssayError(f"{target.label}: tokens and prices cannot be negative.")
    return adjusted
