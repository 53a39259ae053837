"""What is claimed of a model, held against what was measured: the worse end of the interval decides."""

from datetime import date
from typing import Any

import pytest

from evaluations.claims import check_claims
from evaluations.histograms import of_latencies
from evaluations.models import Claim, Model, UseCaseScore
from evaluations.performance import Performed
from tests.evaluations.test_models import a_model


def performed(latency_ms: float, requests: int = 400, errors: int = 0) -> Performed:
    return Performed(
        requests=requests,
        successes=requests - errors,
        errors=errors,
        latencies=of_latencies([latency_ms * (0.9 + 0.2 * n / requests) for n in range(requests)]),
    )


def score(value: float, low: float, high: float, n: int | None = 500, **given: Any) -> UseCaseScore:
    made: dict[str, Any] = {"use_case": "support", "origin": "measured", "as_of": date(2026, 6, 1), "source": "run 1"}
    return UseCaseScore(**{**made, "score": value, "low": low, "high": high, "n": n, **given})


def claimed(*claims: Claim, scores: tuple[UseCaseScore, ...] = ()) -> Model:
    return a_model(claims=claims, use_cases=scores)


FASTEST = Claim(about="speed", word="fastest", low=0.5, high=1.5, source="vendor")


@pytest.mark.parametrize(
    ("latency_ms", "requests", "outcome"),
    [(1000, 400, "holds"), (300, 400, "holds"), (2100, 400, "does not hold"), (1500, 400, "open"), (2100, 29, "open")],
)
def test_a_claim_of_speed_is_held_against_the_median_of_requests(
    latency_ms: float, requests: int, outcome: str
) -> None:
    (found,) = check_claims(claimed(FASTEST), performed(latency_ms, requests))
    assert found.outcome == outcome
    assert found.declared == "fastest, 500 ms to 1.50 s"
    assert found.measured is not None
    assert found.measured.n == requests
    assert found.measured.value == pytest.approx(latency_ms / 1000, rel=0.05)


def test_what_is_slower_than_declared_is_said_in_one_sentence() -> None:
    (found,) = check_claims(claimed(FASTEST), performed(2100))
    assert found.sentence.startswith("speed: declared fastest, 500 ms to 1.50 s; measured 2.09 s (")
    assert "n = 400) by requests: does not hold" in found.sentence


@pytest.mark.parametrize(
    ("errors", "outcome"),
    # Of 400 requests with no error the Wilson interval begins at 99.05 %: very_high (99.9 %) is not shown.
    [(0, "open"), (1, "open"), (40, "does not hold")],
)
def test_reliability_is_not_shown_by_few_requests(errors: int, outcome: str) -> None:
    (found,) = check_claims(claimed(Claim(about="reliability", word="very_high")), performed(500, errors=errors))
    assert (found.outcome, found.low, found.declared) == (outcome, 0.999, "very high, 99.9% or more")


def test_a_claim_of_accuracy_is_held_against_every_use_case_that_was_measured() -> None:
    scores = (score(94, 93, 95), score(80, 78, 82, use_case="triage"), score(99, 0, 0, origin="declared", n=None))
    found = check_claims(claimed(Claim(about="accuracy", word="excellent", source="vendor"), scores=scores), None)
    assert [(each.about, each.measured_by, each.outcome) for each in found] == [
        ("accuracy", "triage, run 1", "does not hold"),
        ("support", "run 1", "does not hold"),
        ("accuracy", "support, run 1", "holds"),
    ]


def test_what_nobody_measured_is_said_to_be_not_measured() -> None:
    model = claimed(FASTEST, Claim(about="accuracy", word="good"), scores=(score(90, 0, 0, origin="declared", n=None),))
    found = check_claims(model, None)
    assert {each.outcome for each in found} == {"not measured"}
    assert len(found) == 3
