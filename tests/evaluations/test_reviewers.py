"""Reviewers: agreement against plain counting, small numbers drawn to the group, nobody blamed for chance."""

import random
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from scipy import stats

from evaluations.reviewers import review_facts
from evaluations.reviews import Review, edit_distance
from evaluations.statistics.agreement import Agreement
from evaluations.statistics.outcomes import Undetermined
from evaluations.statistics.shrinkage import shrink_shares

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def a_review(item: int | str, reviewer: str, label: str | None = None, **given: Any) -> Review:
    values: dict[str, Any] = {
        "source": "assay", "at": NOW, "aspect": "overall", "accepted": None, "distance": None, "seconds": None,
        "category": None, "rating": None, "sentiment": None, **given,
    }  # fmt: skip
    return Review(item=str(item), reviewer=reviewer, label=label, **values)


def test_a_reviewer_is_held_against_most_of_the_others_and_not_against_itself() -> None:
    facts = review_facts(
        [
            *(a_review(1, name, label) for name, label in (("ann", "good"), ("bob", "good"), ("cyd", "bad"))),
            *(a_review(2, name, label) for name, label in (("ann", "bad"), ("bob", "good"))),
            a_review(3, "ann", "good"),
        ]
    )
    # Of 1: ann's others are of two minds, as are bob's; cyd's both said good. Of 2 each is the other's only other.
    agrees = {each.name: each.agrees and each.agrees.n for each in facts.reviewers}
    assert agrees == {"ann": 1, "bob": 1, "cyd": 1}
    assert (facts.reviews, facts.items, facts.judged_twice) == (6, 3, 2)


def test_pairs_and_aspects_have_the_coefficients_that_counting_gives() -> None:
    labels = [("pass", "pass")] * 45 + [("pass", "fail")] * 15 + [("fail", "pass")] * 25 + [("fail", "fail")] * 15
    reviews = [
        a_review(item, name, label) for item, both in enumerate(labels) for name, label in zip("ab", both, strict=True)
    ]
    random.Random(3).shuffle(reviews)
    [pair] = review_facts(reviews).pairs
    assert isinstance(pair.kappa, Agreement)
    by_chance = 0.6 * 0.7 + 0.4 * 0.3
    assert pair.kappa.coefficient.value == pytest.approx((0.6 - by_chance) / (1 - by_chance))
    assert (pair.first, pair.second, pair.both, pair.aspect) == ("a", "b", 100, "overall")
    [aspect] = review_facts(reviews).aspects
    assert (aspect.scale, aspect.items) == ("nominal", 100)


def test_labels_that_are_all_numbers_are_taken_in_their_order() -> None:
    reviews = [
        a_review(item, name, str(1 + (item + shift) % 5)) for item in range(20) for name, shift in (("a", 0), ("b", 1))
    ]
    facts = review_facts(reviews)
    assert facts.aspects[0].scale == "ordinal"
    mixed = review_facts([*reviews, a_review(99, "a", "n/a")])
    assert mixed.aspects[0].scale == "nominal"


def test_without_anything_judged_twice_nothing_is_known_of_agreement() -> None:
    facts = review_facts([a_review(1, "ann", "good"), a_review(2, "bob", "good")])
    assert facts.judged_twice == 0
    assert isinstance(facts.aspects[0].alpha, Undetermined)
    assert [each.agrees for each in facts.reviewers] == [None, None]
    assert isinstance(facts.sentiment, Undetermined)
    assert review_facts([]).reviewers == ()


def test_who_accepts_changes_and_pleases_is_counted_apart() -> None:
    facts = review_facts(
        [
            a_review(1, "ann", accepted=True, distance=0.0, seconds=10.0, rating=1),  # nobody edited it
            a_review(2, "ann", accepted=False, distance=0.4, seconds=30.0, rating=5),
            a_review(3, "ann", accepted=False, distance=0.2, seconds=20.0),
        ]
    )
    [ann] = facts.reviewers
    assert ann.accepted is not None
    assert (ann.accepted.value, ann.accepted.n) == pytest.approx(((1 + 1) / (3 + 2), 3))  # one of three, uniform prior
    assert ann.changed is not None
    assert (ann.changed.value, ann.changed.n) == pytest.approx((0.2, 3))
    assert ann.liked is not None
    assert ann.liked.n == 1
    assert ann.seconds == 20.0


def test_whoever_is_worse_than_the_others_beyond_chance_is_named_with_the_category() -> None:
    draw = random.Random(5)
    reviews = []
    for item in range(120):
        category = ("billing", "shipping")[item % 2]
        for name in ("ann", "bob", "cyd", "dan"):
            wrong = draw.random() < (0.6 if (name, category) == ("dan", "billing") else 0.05)
            reviews.append(a_review(item, name, "bad" if wrong else "good", category=category))
    facts = review_facts(reviews)
    assert [(each.reviewer, each.category) for each in facts.training] == [("dan", "billing")]
    [hint] = facts.training
    assert hint.agrees.high < hint.group.low
    assert facts.reviewers[-1].name == "dan"


def test_a_few_slips_are_no_reason_for_training() -> None:
    reviews = [a_review(item, name, "good", category="billing") for item in range(3) for name in ("ann", "bob", "cyd")]
    reviews += [a_review(9, name, label, category="billing") for name, label in
                (("ann", "good"), ("bob", "good"), ("cyd", "bad"))]  # fmt: skip
    assert review_facts(reviews).training == ()


def test_sentiment_scores_are_held_against_what_people_said() -> None:
    told = [
        (0.1, "negative"),
        (0.5, "neutral"),
        (0.9, "positive"),
        (0.9, "neutral"),
        (0.2, "negative"),
        (None, "positive"),
    ]
    reviews = [
        a_review(item, "ann", label, aspect="sentiment", sentiment=score)
        for item, (score, label) in enumerate(told * 5)
    ]
    agreement = review_facts(reviews).sentiment
    assert isinstance(agreement, Agreement)
    assert agreement.coefficient.n == 25
    assert agreement.observed is not None
    # One of five is one step off; over two steps, squared, that is a quarter.
    assert agreement.observed == pytest.approx(1 - 0.25 / 5)


@pytest.mark.parametrize(
    ("draft", "edited", "distance"),
    [
        ("", "", 0.0),
        ("", "new", 1.0),
        ("kitten", "sitting", 3 / 7),
        ("Dear all,  hi\n", "Dear all, hi", 0.0),
        ("abc", "xyz", 1.0),
    ],
)
def test_the_distance_of_two_texts_is_the_share_that_changed(draft: str, edited: str, distance: float) -> None:
    assert edit_distance(draft, edited) == pytest.approx(distance)


# Shrinkage


def test_small_numbers_are_drawn_to_the_group_and_large_ones_stay() -> None:
    shares = shrink_shares([1, 80, 70, 75, 72], [1, 100, 100, 100, 100])
    assert shares is not None
    lone, first, *_ = shares.members
    assert lone is not None
    assert first is not None
    assert 0.7 < lone.value < 0.8, "one of one is no perfection"
    assert 0.74 < first.value < 0.8
    assert lone.high - lone.low > 1.2 * (first.high - first.low)


RATS = (
    "0/20 0/20 0/20 0/20 0/20 0/20 0/20 0/19 0/19 0/19 0/19 0/18 0/18 0/17 1/20 1/20 1/20 1/20 1/19 1/19 1/18 1/18 "
    "2/25 2/24 2/23 2/20 2/20 2/20 2/20 2/20 2/20 1/10 5/49 2/19 5/46 3/27 2/17 7/49 7/47 3/20 3/20 2/13 9/48 10/50 "
    "4/20 4/20 4/20 4/20 4/20 4/20 4/20 10/48 4/19 4/19 4/19 5/22 11/46 12/49 5/20 5/20 6/23 5/19 6/22 6/20 6/20 6/20 "
    "16/52 15/47 15/46 9/24 4/14"
)
"""Tumours of rats in 71 groups: Tarone (1982), as in Gelman et al. (2013), table 5.1."""


def test_the_rats_of_the_textbook_come_out_as_there() -> None:
    """Section 5.3: the beta distribution has the posterior means 2.4 and 14.3, and shrinks 4 of 14 to about a fifth."""
    counts = [tuple(map(int, each.split("/"))) for each in RATS.split()]
    assert len(counts) == 71
    shares = shrink_shares([k for k, _ in counts], [n for _, n in counts])
    assert shares is not None
    assert shares.mean == pytest.approx(2.4 / (2.4 + 14.3), abs=0.004)
    last, first = shares.members[-1], shares.members[0]
    assert last is not None
    assert first is not None
    assert last.value == pytest.approx((2.4 + 4) / (2.4 + 14.3 + 14), abs=0.01)
    assert first.value == pytest.approx(2.4 / (2.4 + 14.3 + 20), abs=0.01)


def test_intervals_of_shrunken_shares_cover_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(17)
    hits = total = 0
    for _ in range(12):
        truth = generator.beta(8, 4, 15)
        n = generator.integers(3, 40, 15)
        shares = shrink_shares(generator.binomial(n, truth).tolist(), n.tolist())
        assert shares is not None
        for member, value in zip(shares.members, truth, strict=True):
            assert member is not None
            assert 0 <= member.low <= member.value <= member.high <= 1
            hits += int(member.low <= value <= member.high)
            total += 1
    assert stats.binomtest(hits, total, 0.95).pvalue > 0.001


def test_members_and_groups_without_observations_are_not_measured() -> None:
    assert shrink_shares([], []) is None
    assert shrink_shares([0, 0], [0, 0]) is None
    shares = shrink_shares([0, 3], [0, 4])
    assert shares is not None
    assert shares.members[0] is None
    all_alike = shrink_shares([5, 9, 4, 7], [5, 9, 4, 7])
    assert all_alike is not None
    assert all(member is not None and 0.5 < member.low < 1 for member in all_alike.members)
    with pytest.raises(ValueError, match="0 <= successes <= n"):
        shrink_shares([2], [1])
