"""Cases: one input each, with what is expected of the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Priority = Literal["low", "medium", "high", "critical"]
Automation = Literal["automated", "semi-automated", "manual"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input with what is expected of the answer."""

    id: str
    inputs: Mapping[str, Any]
    """The template variables of the prompt, and whatever a scorer may want to read."""
    expected: Any = None
    """Text, number, list or object; None when nothing is expected (a judge or a limit decides then)."""
    assertions: tuple[Mapping[str, Any], ...] = ()
    """Scorers of this case alone, in the form that a suite uses: {"scorer": "word_count", "at_least": 300}."""
    tags: tuple[str, ...] = ()
    priority: Priority = "medium"
    automation: Automation = "automated"
    """A manual case gets an answer and waits for a person: its verdict is `skipped` until then."""
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Columns of the source row that are neither inputs nor expectation."""
