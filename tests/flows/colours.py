"""A small suite of recorded answers in a folder of its own: what it says can be changed between runs."""

import json
from collections.abc import Mapping
from pathlib import Path

FOLDER = "colours"


def write_suite(
    folder: Path, answers: Mapping[str, str | None], *, models: int = 1, expected: str = "red", suite: str = "colours"
) -> Path:
    """A suite of cases that expect one colour; `answers` is what was said to each, None for a call that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cases.jsonl").open("w") as cases:
        for case_id in answers:
            cases.write(json.dumps({"id": case_id, "question": f"colour of {case_id}?", "expected": expected}) + "\n")
    with (folder / "answers.jsonl").open("w") as recorded:
        for case_id, said in answers.items():
            if said is not None:
                recorded.write(json.dumps({"case_id": case_id, "text": said, "latency_ms": 20}) + "\n")
    listed = ", ".join(f"{{name: painter-{n}, model: replay/answers.jsonl}}" for n in range(1, models + 1))
    (folder / "suite.yaml").write_text(
        f"suite: {suite}\nmodels: [{listed}]\nscorers: [exact]\ngates: {{pass_rate: 0.5, error_share: 1}}\n"
    )
    return folder / "suite.yaml"
