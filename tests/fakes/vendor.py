"""The fake vendor in a process of its own, which outlives the workers that call it."""

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Vendor:
    """A server on loopback that behaves as it is told (`tests.fakes.openai_server.Behaviour`)."""

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
        return self._counted(0)

    def answered(self) -> Counter[str]:
        """How often each cell was answered."""
        return self._counted(1)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _counted(self, which: int) -> Counter[str]:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/log") as reply:
            log: dict[str, Any] = json.load(reply)
        return Counter({cell: times[which] for cells in log["calls"].values() for cell, times in cells.items()})
