"""Recorded answers of several models to the same cases, run to their end: what comparing and selecting stand on."""

import json
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import numpy as np

from tasks import planning
from tasks.concluding import conclude
from tasks.planning import RunRequest
from tasks.publishing import publish
from tasks.working import work_on

COSTS: Mapping[str, str] = {"large": "0.010", "middle": "0.004", "small": "0.001"}
"""US dollars of an answer."""


def write_models(
    folder: Path,
    right: Mapping[str, float],
    *,
    cases: int = 60,
    feature: str = "colouring",
    suite: str = "colours",
    said: str = "blue",
    latency_ms: Mapping[str, float] | None = None,
    a_source: int | None = None,
    called: Mapping[str, str] | None = None,
) -> Path:
    """A suite of cases that expect "red" and are answered rightly by a share of each model's answers.

    The better a model, the more cases it has right; those it has wrong get the text `said`. So many neighbouring cases
    have the same `source`; None: the cases have no such field. `called` gives labels other than the names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(1).permutation(cases)
    with (folder / "cases.jsonl").open("w") as file:
        for n in range(cases):
            source = {} if a_source is None else {"source": f"s-{n // a_source}"}
            case = {"id": f"c-{n}", "question": f"colour of {n}?", "expected": "red", **source}
            file.write(json.dumps(case) + "\n")
    for name, share in right.items():
        with (folder / f"{name}.jsonl").open("w") as file:
            for place, n in enumerate(order.tolist()):
                row = {
                    "case_id": f"c-{n}",
                    "text": "red" if place < share * cases else said,
                    "latency_ms": (latency_ms or {}).get(name, 100) + n,
                    "usage": {"input_tokens": 40, "output_tokens": 5},
                }
                if name in COSTS:
                    row["cost_usd"] = COSTS[name]
                file.write(json.dumps(row) + "\n")
    models = ", ".join(f"{{name: {(called or {}).get(name, name)}, model: replay/{name}.jsonl}}" for name in right)
    (folder / "suite.yaml").write_text(
        f"suite: {suite}\nfeature: {feature}\nmodels: [{models}]\nscorers: [exact]\n"
        "gates: {pass_rate: 0, error_share: 1}\n"
    )
    return folder / "suite.yaml"


async def finished(suite: Path) -> UUID:
    """A run of a suite, worked on to its end and published as a flow would."""
    run_id = planning.open_run(planning.take_plan(RunRequest(suite=str(suite))))
    await work_on(run_id)
    publish(conclude(run_id))
    return run_id
