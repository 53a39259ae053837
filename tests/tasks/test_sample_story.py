"""The story that `assay demo` ends with: a winner reaches an application, and a bad canary is taken back."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cli.commands import rows
from tests.flows.platform import ROOT

TELL = """
import json, sys
from dataclasses import replace
from datetime import date
from pathlib import Path

from evaluations.sample_traffic import sample_traffic
from tasks.ingest.ingesting import IngestRequest, ingest_file
from tasks.sample_story import sample_story

folder = Path(sys.argv[1])
traffic = sample_traffic(date(2026, 5, 1), scale=0.5)
mine = [each for each in traffic.requests if each["feature"] == traffic.experiment.feature and each.get("experiment")]
(folder / "own.jsonl").write_text("".join(json.dumps(each) + "\\n" for each in mine))
ingest_file(IngestRequest(file=folder / "own.jsonl", sample_data=True))
for _ in range(2):
    for line in sample_story(traffic.experiment, folder):
        print(line)
    print("-- again")
"""
"""In a process of its own: it has settings, an application and another person of its own. Half the traffic will do."""


def test_a_winner_reaches_an_application_by_the_sdk_and_a_bad_canary_comes_back_by_itself(
    store: str, tmp_path: Path
) -> None:
    env = {
        **os.environ,
        "ASSAY_DATABASE_URL": store,
        "ASSAY_FLAGS": str(tmp_path / "flags"),
        "ASSAY_REPORTS": str(tmp_path / "reports"),
        "ASSAY_ACTOR": "ana",
    }
    done = subprocess.run(
        [sys.executable, "-c", TELL, str(tmp_path)], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, again, _ = done.stdout.split("-- again\n")
    received = [line for line in first.splitlines() if line.startswith("The same application")]
    assert "chatbot@1.2.0-b" in received[0]
    assert "chatbot@1.1.0" in received[0]
    assert received[3].endswith("of 1,000 customers, 1,000 get chatbot@1.2.0-b on openai/gpt-4o.")
    assert "chatbot@1.3.0" in received[-2]
    assert received[-1].endswith("of 1,000 customers, 1,000 get chatbot@1.2.0-b on openai/gpt-4o.")
    assert "treatment wins" in first
    assert "rolled back by itself at 10%: quality" in first
    life = rows(
        store, "SELECT trigger, status, bundle ->> 'prompt', sample_data FROM deployments ORDER BY recorded_at, id"
    )
    assert sorted(life) == [
        ("baseline", "superseded", "chatbot@1.1.0", True),
        ("experiment", "deployed", "chatbot@1.2.0-b", True),
        ("manual", "rolled_back", "chatbot@1.3.0", True),
    ]
    assert rows(store, "SELECT DISTINCT actor FROM deployment_approvals") == [("sample-approver",)]
    # What was counted as the canary's is what the SDK gave to its units.
    [[canary]] = rows(
        store, "SELECT count(DISTINCT subject) FROM requests WHERE variant = 'canary' AND prompt_version = '1.3.0'"
    )
    [[looked]] = rows(
        store, "SELECT max((facts -> 'units' ->> 'canary')::int) FROM deployment_looks WHERE verdict = 'roll_back'"
    )
    assert 0 < looked <= canary
    published = json.loads((tmp_path / "flags" / "production.json").read_text())
    assert published["flags"]["chatbot"]["variants"]["default"]["prompt"] == "chatbot@1.2.0-b"
    assert "<title>Sample data: " in (tmp_path / "reports" / "deployments.html").read_text()
    assert "is there already" in again
    assert "deployed and live" in again
