"""What tests of the command share: a place for reports, a vendor."""

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import ROOT


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home for reports of the test's own, and a key that is not a secret."""
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("FAKE_KEY", "not-a-secret")


class Vendor:
    """The fake vendor in a process of its own."""

    def __init__(self, **behaviour: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.openai_server", "--behaviour", json.dumps(behaviour)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url: str = json.loads(self._process.stdout.readline())["url"]

    def received(self) -> Counter[str]:
        """How often each cell was asked for."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/log") as reply:
            log: dict[str, Any] = json.load(reply)
        return Counter({cell: times[0] for cells in log["calls"].values() for cell, times in cells.items()})

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


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
