"""A mix and a best model on few cases: that all of them passed leaves room for cases that nobody asked."""

from pathlib import Path

import pytest

from evaluations.recommending.evidence import NothingFeasible
from evaluations.statistics.proportions import wilson
from evaluations.wording import percent
from tasks.mixing import MixQuestion, advise_mix
from tasks.recommending import Ask, advise
from tests.recorded_models import finished, write_models

STATED = 1_000.0
ALL_PASS = {"large": 1.0, "small": 1.0}


async def test_a_floor_is_not_kept_by_few_cases_that_all_passed(tmp_path: Path, store: str) -> None:
    await finished(write_models(tmp_path / "colours", ALL_PASS, cases=5))
    least = percent(wilson(5, 5).low)
    with pytest.raises(NothingFeasible, match=f"a floor of {least}"):
        advise_mix(MixQuestion(requests=STATED, feature_floor=0.9))
    assert advise_mix(MixQuestion(requests=STATED, feature_floor=0.5)).mix.quality == 1.0


async def test_one_case_is_answered_without_an_interval(tmp_path: Path, store: str) -> None:
    await finished(write_models(tmp_path / "colours", ALL_PASS, cases=1))
    assert advise_mix(MixQuestion(requests=STATED)).mix.quality == 1.0
    answer = advise("colouring", Ask(mode="use_case", requests=STATED))
    assert answer.advice is not None
    assert answer.advice.best is not None
    assert answer.advice.best.details["level_confirmed"] is None
