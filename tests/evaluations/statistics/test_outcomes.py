"""Outcomes of tests say how far they can be trusted."""

import doctest
import subprocess
import sys
from math import inf, nan

import numpy as np
import pytest

from evaluations.statistics import outcomes
from evaluations.statistics.outcomes import Determined, Undetermined, unfit


def test_the_examples_hold() -> None:
    assert doctest.testmod(outcomes).failed == 0


def test_a_result_is_reliable_until_something_speaks_against_it() -> None:
    sound = Determined(method="paired t", p=0.04)
    doubtful = Determined(method="paired t", p=0.04, doubts=("20 skewed cases", "few clusters"))
    assert (sound.reliable, sound.reason) == (True, "")
    assert (doubtful.reliable, doubtful.reason) == (False, "20 skewed cases; few clusters")


@pytest.mark.parametrize(
    ("values", "reason"),
    [([], "empty"), ([1.0], "too few"), ([1.0, nan, 2.0], "not finite"), ([inf], "not finite"), ([1.0, 1.0], None)],
)
def test_what_is_wrong_with_a_sample_is_named(values: list[float], reason: str | None) -> None:
    found = unfit(np.array(values))
    assert (found.reason if isinstance(found, Undetermined) else None) == reason


def test_naming_the_methods_loads_no_numerical_library() -> None:
    modules = "agreement change_points clusters correlation equivalence outcomes paired ranks resampling variance"
    names = ", ".join(f"evaluations.statistics.{name}" for name in modules.split())
    code = f"import sys, {names}; print([name for name in ('numpy', 'scipy', 'pandas') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
