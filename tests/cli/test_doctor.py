"""assay doctor: a line for each check, the command below it, and an exit code for scripts."""

import json
from pathlib import Path

import pytest

from tasks import doctor
from tests.cli.commands import assay_alone, assay_here


def test_a_fresh_machine_is_told_what_to_type_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASSAY_DATABASE_URL", "ASSAY_PREFECT_API_URL", "ASSAY_REPORTS", "PREFECT_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    told = assay_alone("doctor", env={"ASSAY_HOME": str(home)})
    assert told.code == 3, told
    lines = told.out.splitlines()
    [number] = [n for n, line in enumerate(lines) if line.startswith("problem  PostgreSQL")]
    assert lines[number + 1].split() == ["->", "assay", "up"]
    assert lines[-1].endswith("no warnings")
    assert not home.exists(), "looking made something"


def test_warnings_alone_exit_with_0(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECKS", [each for each in doctor.CHECKS if each.name in ("disk", "schema")])
    monkeypatch.setattr(doctor, "DISK_WARNING", 2**60)
    told = assay_here("doctor")
    assert told.code == 0, told
    assert told.out.splitlines()[0].startswith("warning  disk    ")
    assert told.out.splitlines()[-1].startswith("no problems, ")


def test_json_says_the_same_for_programs(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = doctor.CHECKS
    monkeypatch.setattr(doctor, "CHECKS", [each for each in checks if each.name in ("home", "schema")])
    fine = assay_here("doctor", "--json")
    assert fine.code == 0
    assert json.loads(fine.out)["problems"] == 0
    monkeypatch.setattr(doctor, "CHECKS", [each for each in checks if each.name == "disk"])
    monkeypatch.setattr(doctor, "DISK_PROBLEM", 2**60)
    bad = assay_here("doctor", "--json")
    assert bad.code == 3
    found = json.loads(bad.out)
    assert found["problems"] == len(found["findings"])
    assert {each["mark"] for each in found["findings"]} == {"problem"}
    assert all(each["mend"] for each in found["findings"])
