"""What tests of the command share: a place for reports, a vendor."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.vendor import Vendor


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home for reports of the test's own, and a key that is not a secret."""
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("FAKE_KEY", "not-a-secret")


@pytest.fixture
def vendor() -> Iterator[Callable[..., Vendor]]:
    """Makes vendors that behave as they are told, and closes them."""
    made: list[Vendor] = []

    def make(**behaviour: Any) -> Vendor:
        made.append(Vendor(**behaviour))
        return made[-1]

    yield make
    for each in made:
        each.close()
