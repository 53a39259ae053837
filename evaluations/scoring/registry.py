"""A registry that reads like a dict and imports a family of scorers only when one of them is asked for.

A hundred frozen dataclasses take a quarter of a second to make, and most suites use five.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Names to classes; built from names to places, written `family.Class`."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = dict(places)
        self._kinds: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        kind = self._kinds.get(name)
        if kind is None:
            family, _, class_name = self.places[name].partition(".")
            kind = self._kinds[name] = getattr(import_module(f"evaluations.scoring.{family}"), class_name)
        return kind

    def __contains__(self, name: object) -> bool:
        # Mapping would look the value up, and so import the family.
        return name in self.places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def family(self, name: str) -> str:
        """The family (and file) that a name belongs to."""
        return self.places[name].partition(".")[0]
