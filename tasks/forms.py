"""Forms: how a flow's parameters look on the page where a person fills them in.

Prefect titles a parameter with its Python name and takes descriptions from docstrings; what is said here goes before
both.
"""

from difflib import get_close_matches
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # no such zone, a folder of zones, no name at all
        near = get_close_matches(name, available_timezones(), n=1)
        guess = f"did you mean {near[0]}?" if near else "write it like Europe/Berlin."
        raise ValueError(f"no time zone is named {name!r}; {guess}") from None
    return name


Name = Annotated[str, Field(min_length=1, max_length=4096)]
Names = Annotated[list[Name], Field(max_length=100)]
Dollars = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Times = Annotated[int, Field(ge=1, le=1000)]
Days = Annotated[int, Field(ge=1, le=3660)]
Shuffles = Annotated[int, Field(ge=100, le=1_000_000)]
Margin = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=2_147_483_647)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]

SOME_RUN = "0d9f6c1e-5b7a-4c38-9d52-3f6f0a4d8b17"
"""What the id of a run looks like."""


def parameter(title: str, description: str, default: Any = ..., *, examples: list[Any] | None = None) -> Any:
    """A flow parameter's default with its title, description and examples; without a default it is required."""
    extra: dict[str, Any] = {"title": title}
    if examples:
        extra["examples"] = examples
    return Field(default=default, description=description, json_schema_extra=extra)
