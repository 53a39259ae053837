"""Forms: how a flow's parameters look on the page where a person fills them in.

Prefect titles a parameter with its Python name and takes descriptions from docstrings; what is said here goes before
both.
"""

from typing import Any

from pydantic import Field


def parameter(title: str, description: str, default: Any = ..., *, examples: list[Any] | None = None) -> Any:
    """A flow parameter's default with its title, description and examples; without a default it is required."""
    extra: dict[str, Any] = {"title": title}
    if examples:
        extra["examples"] = examples
    return Field(default=default, description=description, json_schema_extra=extra)
