"""S1-61 on real answers: what is recommended on one half of the cases holds on the other half."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluations.comparisons import Question
from evaluations.pricing import estimate_tokens
from evaluations.recommending.candidates import Rule
from evaluations.recommending.evidence import Bench, Evidence, Workload
from evaluations.recommending.modes import recommend
from tests.evaluations.scoring.builders import build
from tests.evaluations.scoring.test_real_data import rows, told
from tests.flows.benchmark_data import ZEROEVAL_MODELS

MONTH = Workload(feature="maths", requests=100_000, requests_low=90_000, requests_high=110_000)
PER_MILLION_OUT = {
    "gpt-4o-2024-05-13": "15",
    "gpt-4o-mini-2024-07-18": "0.6",
    "claude-3-haiku-20240307": "1.25",
    "Meta-Llama-3.1-8B-Instruct": "0.1",
    "gpt-3.5-turbo-0125": "1.5",
    "gemma-2-2b-it": "0.05",
}
"""US dollars a million tokens of the reply, in the day of the answers; all models read the same prompts."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """What came of many halves."""

    recommended: int
    """Halves on which something was recommended."""
    held: int
    """Of these, where on the other half the interval of the difference does not lie wholly beyond the margin."""
    cheaper: int
    """Of these, where the other half cost no more than the upper end that was told."""


@pytest.fixture(scope="module")
def answers() -> list[Evidence]:
    return judged()


def judged() -> list[Evidence]:
    """Six models on 1,319 questions, by the publisher's rule."""
    number = build("number", {"answer_field": "answer", "answer_field_salvage": True, "drop": "$,", "take": "first"})
    found = []
    for model in ZEROEVAL_MODELS:
        passed, costs = [], []
        for row in rows(f"zeroeval_gsm8k/outputs_{model}.jsonl.gz"):
            score = told(number, row["output"], row["gold"])
            passed.append(score.value)
            costs.append(Decimal(estimate_tokens(row["output"])) * Decimal(PER_MILLION_OUT[model]) / 1_000_000)
        found.append(Evidence(model=model, values={"accuracy": np.array(passed)}, costs=costs, calls=len(passed)))
    return found


def backtest(answers: list[Evidence], margin: float, splits: int) -> Backtest:
    """Each model in use in turn, over random halves."""
    rule = Rule(question=Question(metric="accuracy", kind="binary", margin=margin))
    generator = np.random.default_rng(61)
    recommended = held = cheaper = 0
    for _ in range(splits):
        order = generator.permutation(len(answers[0].costs))
        half = order.size // 2
        one, other = (_bench(answers, places) for places in (order[:half], order[half:]))
        for each in answers:
            advice = recommend(one, MONTH, rule, generator=generator, incumbent=each.model, resamplings=0)
            if advice.best is None:
                continue
            recommended += 1
            then, now = other.of(advice.best.recommended), other.of(each.model)
            difference = then.values["accuracy"] - now.values["accuracy"]
            error = float(difference.std(ddof=1)) / difference.size**0.5
            held += bool(difference.mean() + 1.645 * error > -margin)
            assert then.cost_per_request is not None
            assert now.cost_per_request is not None
            told_high = 1 - advice.best.savings.share_low
            cheaper += float(then.cost_per_request / now.cost_per_request) <= told_high * 1.02
    return Backtest(recommended, held, cheaper)


def _bench(answers: list[Evidence], places: NDArray[np.intp]) -> Bench:
    return Bench(
        evidence=tuple(
            Evidence(
                model=each.model,
                values={"accuracy": each.values["accuracy"][places]},
                costs=[each.costs[at] for at in places.tolist()],
                calls=int(places.size),
            )
            for each in answers
        )
    )


def test_a_recommendation_made_on_half_of_the_cases_holds_on_the_other_half(answers: list[Evidence]) -> None:
    found = backtest(answers, margin=0.03, splits=10)
    assert found.recommended >= 30, "the back-test is about something"
    assert found.held / found.recommended >= 0.95
    assert found.cheaper / found.recommended >= 0.9


def test_the_dear_model_is_kept_where_the_cheap_one_is_not_shown_to_be_within_a_narrow_margin(
    answers: list[Evidence],
) -> None:
    """The published difference is 1.1 points (p = 0.058): half a point is not ruled out by 1,319 cases."""
    rule = Rule(question=Question(metric="accuracy", kind="binary", margin=0.005))
    best, cheap = ZEROEVAL_MODELS[:2]
    advice = recommend(
        Bench(evidence=tuple(answers)),
        MONTH,
        rule,
        generator=np.random.default_rng(1),
        incumbent=best,
        wanted=[cheap],
        resamplings=0,
    )
    assert advice.best is None
    assert [each.reason for each in advice.excluded] == ["not_shown"]
    assert advice.keep.startswith(f"Keep {best}")
