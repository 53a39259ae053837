"""Every definition of a customer metric against tickets whose answer was worked out by hand, and by brute force."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from scipy import stats

from evaluations.customer import BY_NAME, METRICS, CustomerFacts
from evaluations.estimates import Estimate
from tasks.store.customer.days import OF_A_DAY
from tasks.store.customer.definitions import DEFINITIONS
from tasks.store.customer.silent import COUNT, READ
from tasks.store.customer.tickets import TICKETS_VERSION
from tasks.store.customer.window import CONTACTS, OF_A_WINDOW
from tests.tasks.store.tickets import MONDAY, a_contact, at, measured, who

pytestmark = pytest.mark.usefixtures("store")
OURS = [metric.name for metric in METRICS if not metric.theirs]


def a_week() -> list[dict[str, Any]]:
    """Fourteen tickets in fifteen requests; the comment of each says what it is for."""
    return [
        a_contact(),  # 1 resolved, and that was it
        a_contact(subject=who("b")),  # 2 resolved, but b comes back on the third day
        a_contact(subject=who("b"), at=at(3)),  # 3 resolved, and now it was it
        a_contact(resolution="escalated_human", escalation_reason="asked for a human", resolution_s=900.0),  # 4
        a_contact(ticket="K5", subject=who("e"), resolution="escalated_human", resolution_s=None),  # 5 passed on
        a_contact(ticket="K5", subject=who("e"), at=at(hours=2), handled_by="human", model=None, cost=None,
                  input_tokens=0, output_tokens=0, resolution_s=7200.0),  # 5 and then resolved
        a_contact(resolution="abandoned", resolution_s=None),  # 6
        a_contact(resolution="unresolved", resolution_s=None),  # 7
        a_contact(resolution="pending", resolution_s=None),  # 8 open
        a_contact(resolution=None, resolution_s=None),  # 9 nobody said
        a_contact(subject=None),  # 10 resolved; who asked is not known
        a_contact(reopened=True),  # 11 resolved, and reopened
        a_contact(handled_by="human", model=None, cost=None, input_tokens=0, output_tokens=0),  # 12 people alone
        a_contact(handled_by="human", model=None, resolution="escalated_specialist"),  # 13 people alone
        a_contact(model=None, cost=None, input_tokens=0, output_tokens=0),  # 14 nobody knows who took it
    ]  # fmt: skip


def k_of_n(estimate: Estimate | None) -> tuple[int, int]:
    assert estimate is not None
    return round(estimate.value * estimate.n), estimate.n


def missing(facts: CustomerFacts, name: str) -> dict[str, int]:
    return {why: number for why, number in facts.measures[name].left_out.items() if number}


OF_THE_WEEK: dict[str, tuple[int, int, dict[str, int]]] = {
    # 1 and 3 of the closed tickets 1-7, 10 and 11 whose subject is known.
    "fcr": (2, 8, {"outcome unknown": 1, "still open": 1, "no way to tell who came back": 1}),
    "resolution": (6, 9, {"outcome unknown": 1, "still open": 1}),  # all but 4, 6 and 7
    "durable_resolution": (3, 5, {"no way to tell who came back": 1}),  # 1, 3, 5 of 1, 2, 3, 5, 11
    "came_back": (2, 4, {"no way to tell who came back": 1}),  # 2 and 11 of 1, 2, 3, 11
    "deflection": (5, 9, {"outcome unknown": 1, "still open": 1}),  # 1, 2, 3, 10, 11
    "escalation": (2, 9, {"outcome unknown": 1, "still open": 1}),  # 4 and 5
    "csat_response": (0, 10, {"still open": 1}),
    # The sources count requests, the open, the unknown and the abandoned among them.
    "seed_fcr": (6, 12, {}),
    "seed_deflection": (10, 12, {}),
    "seed_escalation": (2, 12, {}),
}


def test_a_week_worked_out_by_hand() -> None:
    facts = measured(a_week())
    found = {name: (*k_of_n(facts.measured(name)), missing(facts, name)) for name in OF_THE_WEEK}
    assert found == OF_THE_WEEK
    for name, (k, n, _) in OF_THE_WEEK.items():
        estimate = facts.measured(name)
        assert estimate is not None
        ci = stats.binomtest(k, n).proportion_ci(method="wilson")
        bounds = (k / n, k / n) if BY_NAME[name].theirs else (ci.low, ci.high)
        assert (estimate.low, estimate.high) == pytest.approx(bounds)


def test_a_week_has_its_baseline_its_funnel_and_its_unknowns() -> None:
    facts = measured(a_week())
    tickets = facts.tickets
    assert (tickets.total, tickets.by_ai, tickets.by_humans, tickets.taker_unknown, tickets.sample_data) == (
        *(14, 11, 2, 1), 0,
    )  # fmt: skip
    assert {name: k_of_n(facts.measures[name].baseline) for name in ("fcr", "resolution", "escalation")} == {
        "fcr": (1, 2), "resolution": (1, 2), "escalation": (1, 2),
    }  # fmt: skip
    assert facts.measures["deflection"].baseline is None, "people deflect nothing from people"
    assert [number for _, number in facts.funnel] == [11, 10, 9, 6, 5, 4, 2]
    assert facts.outcomes == {
        "resolved": 6, "abandoned": 1, "escalated_human": 1, "pending": 1, "unknown": 1, "unresolved": 1,
    }  # fmt: skip
    assert facts.reasons == (("asked for a person", 1), ("not said", 1))


def test_without_any_ticket_nothing_is_measured_and_nothing_is_divided_by_zero() -> None:
    facts = measured([])
    assert {name for name, measure in facts.measures.items() if measure.estimate is not None} == set()
    assert facts.csat.bounds is None
    assert facts.tickets.total == 0
    assert facts.ai_cost is None


def test_tickets_of_which_nothing_is_known_are_counted_and_are_in_no_share() -> None:
    facts = measured([a_contact(resolution=None, resolution_s=None, subject=None, rating=None) for _ in range(5)])
    for name in ("fcr", "resolution", "deflection", "escalation"):
        assert facts.measured(name) is None
        assert facts.measures[name].left_out["outcome unknown"] == 5
    assert facts.measured("seed_deflection") == Estimate(value=1.0, low=1.0, high=1.0, n=5, method="no interval"), (
        "by their formula silence is a success"
    )


def test_an_escalation_without_an_outcome_is_one_whatever_a_flag_says() -> None:
    facts = measured(
        [
            a_contact(resolution=None, handled_by="ai", escalated_at=at(hours=1)),
            a_contact(resolution="resolved", handled_by="ai", escalation_reason="policy"),
            a_contact(),
        ]
    )
    assert k_of_n(facts.measured("escalation")) == (2, 3)
    assert k_of_n(facts.measured("deflection")) == (1, 3)


@pytest.mark.parametrize(
    ("second", "came_back"),
    [
        ({"at": at(6.9)}, True),
        ({"at": at(7.1)}, False),  # the window was over
        ({"at": at(1), "category": "billing"}, True),  # of the first nobody said what it was about
        ({"at": at(1), "feature": "search"}, False),
        ({"at": at(1), "resolution": "pending"}, True),  # that it came back does not depend on how that ends
        ({"at": at(1), "resolution": None, "resolution_s": None}, True),  # nor on anybody saying
        ({"at": at(1), "resolution": None, "resolution_s": None, "feature": "search"}, False),
        ({"at": at(1), "resolution": None, "ticket": "K"}, True),
    ],
)
def test_whoever_asks_again_within_the_window_came_back(second: dict[str, Any], came_back: bool) -> None:
    facts = measured([a_contact(subject=who("a")), a_contact(subject=who("a"), **second)], last=date(2026, 5, 4))
    assert k_of_n(facts.measured("came_back")) == (int(came_back), 1)
    assert k_of_n(facts.measured("fcr")) == (int(not came_back), 1)


def test_another_matter_of_the_same_customer_is_no_return() -> None:
    contacts = [
        a_contact(subject=who("a"), category="billing"),
        a_contact(subject=who("a"), category="shipping", at=at(1)),
    ]
    assert k_of_n(measured(contacts).measured("came_back")) == (0, 2)


@pytest.mark.parametrize(("hours", "came_back"), [(0.5, False), (2, True), (24 * 8, False)])
def test_a_ticket_that_goes_on_after_its_resolution_came_back_but_not_by_a_thank_you(
    hours: float, came_back: bool
) -> None:
    contacts = [
        a_contact(ticket="K", subject=None),
        a_contact(ticket="K", subject=None, at=at(hours=hours), resolution=None, resolution_s=None, rating=5),
    ]
    facts = measured(contacts, last=date(2026, 5, 4))
    assert facts.tickets.total == 1
    assert k_of_n(facts.measured("came_back")) == (int(came_back), 1)


def test_what_is_too_recent_is_neither_a_success_nor_a_failure() -> None:
    contacts = [a_contact(), a_contact(at=at(5)), a_contact(at=at(5), resolution="escalated_human")]
    facts = measured(contacts, seen_to=at(8))
    assert k_of_n(facts.measured("fcr")) == (1, 1)
    assert missing(facts, "fcr") == {"recontact window not over": 2}
    assert k_of_n(facts.measured("deflection")) == (2, 3), "for this one nobody has to wait"


def test_a_ticket_belongs_to_the_day_it_began_in_the_platforms_zone() -> None:
    contacts = [a_contact(at=datetime.fromisoformat("2026-05-10T22:30:00+00:00"))]
    assert measured(contacts).tickets.total == 1
    assert measured([], timezone="Europe/Berlin").tickets.total == 0, "in Berlin that is the eleventh"
    late = [a_contact(ticket="K9", at=at(2), resolution=None), a_contact(ticket="K9", at=at(12))]
    assert k_of_n(measured(late, last=date(2026, 5, 9)).measured("resolution")) == (1, 1), "what was said later counts"
    assert measured([], first=date(2026, 5, 12), last=date(2026, 5, 18)).tickets.total == 0, "but not twice"


def test_csat_says_who_answered_and_what_it_could_be_of_everyone() -> None:
    contacts = [a_contact(rating=rating) for rating in (5, 5, 4, 1, None, None)]
    contacts += [a_contact(resolution="pending"), a_contact(resolution=None, rating=3)]
    facts = measured(contacts)
    csat, mean = facts.csat, facts.measured("csat")
    assert (csat.counts, csat.asked) == ((1, 0, 1, 1, 2), 7)
    given = [5, 5, 4, 1, 3]
    low, high = stats.t.interval(0.95, 4, np.mean(given), stats.sem(given))
    assert mean is not None
    assert (mean.value, mean.low, mean.high, mean.n) == pytest.approx((3.6, low, min(high, 5), 5))
    assert csat.bounds == pytest.approx(((18 + 2) / 7, (18 + 10) / 7))
    assert k_of_n(facts.measured("csat_response")) == (5, 7)
    assert k_of_n(facts.measured("csat_satisfied")) == (3, 5)
    assert facts.measured("seed_csat") == Estimate(value=3.6, low=3.6, high=3.6, n=5, method="no interval")


def test_open_tickets_make_the_median_longer_where_the_common_one_forgets_them() -> None:
    contacts = [a_contact(resolution_s=float(seconds)) for seconds in (10, 20, 30, 40)]
    contacts += [a_contact(resolution="pending", resolution_s=None) for _ in range(3)]
    facts = measured(contacts)
    alone, theirs = facts.measured("resolution_time_ai"), facts.measured("seed_resolution_time")
    assert alone is not None
    assert theirs is not None
    assert (alone.value, alone.n) == (40.0, 7)  # four of seven had ended by then, three of seven by 30 seconds
    assert theirs.value == 25.0
    assert facts.measured("resolution_time_escalated") is None
    slow = [a_contact(resolution="escalated_human", resolution_s=float(seconds)) for seconds in (600, 900, 1200)]
    passed_on = measured(slow).measured("resolution_time_escalated")
    assert passed_on is not None
    assert passed_on.value == 900.0


def test_sentiment_has_its_label_from_its_score() -> None:
    scores = [0.0, 0.39, 0.4, 0.59, 0.6, 1.0, None]
    facts = measured([a_contact(sentiment=score) for score in scores])
    assert facts.sentiments == {"negative": 2, "neutral": 2, "positive": 2}
    mean = facts.measured("sentiment")
    assert mean is not None
    assert (mean.value, mean.n) == pytest.approx((2.98 / 6, 6))
    assert missing(facts, "sentiment") == {"no sentiment": 1}


def test_a_resolution_costs_what_the_failures_cost_too() -> None:
    contacts = [
        *(a_contact(cost=Decimal("0.10")) for _ in range(2)),
        a_contact(cost=Decimal("0.20"), resolution="escalated_human"),
        a_contact(cost=Decimal("0.40"), resolution="abandoned", status="error"),
        a_contact(cost=None),  # unknown, so neither its cost nor its resolution counts
        a_contact(cost=Decimal("9"), resolution="pending", status=None),
    ]
    facts = measured(contacts)
    per_resolution, per_success = facts.measured("cost_per_resolution"), facts.measured("cost_per_success")
    assert per_resolution is not None
    assert per_success is not None
    assert (per_resolution.value, per_resolution.n) == pytest.approx((0.80 / 2, 4))
    assert missing(facts, "cost_per_resolution") == {"still open": 1, "cost unknown": 1}
    assert (per_success.value, per_success.n) == pytest.approx((0.80 / 3, 4))
    assert missing(facts, "cost_per_success") == {"cost unknown": 1, "status unknown": 1}
    assert (facts.ai_cost, facts.unpriced) == (Decimal("9.80"), 1)


def test_follow_ups_count_where_one_was_required() -> None:
    contacts = [
        a_contact(follow_up_required=True, follow_up_completed=True),
        a_contact(follow_up_required=True),
        a_contact(follow_up_required=False),
        a_contact(),
    ]
    facts = measured(contacts)
    assert k_of_n(facts.measured("follow_up")) == (1, 2)
    assert missing(facts, "follow_up") == {"not said whether one was required": 1}


def test_the_window_before_and_the_category_are_asked_for() -> None:
    contacts = [
        *(a_contact(at=at(-7), resolution="unresolved") for _ in range(3)),
        *(a_contact(category="billing") for _ in range(2)),
        a_contact(category="shipping", resolution="unresolved"),
    ]
    facts = measured(contacts, before=True)
    assert k_of_n(facts.measures["resolution"].before) == (0, 3)
    assert k_of_n(facts.measured("resolution")) == (2, 3)
    assert k_of_n(measured([], category="billing").measured("resolution")) == (2, 2)


def random_contacts(random: np.random.Generator, count: int) -> list[dict[str, Any]]:
    def one_of(*values: Any) -> Any:
        return values[int(random.integers(len(values)))]

    return [
        a_contact(
            at=MONDAY + timedelta(minutes=int(random.integers(14 * 1440))),
            subject=one_of(None, *(who(f"s{n}") for n in range(25))),
            ticket=one_of(None, None, None, *(f"K{n}" for n in range(12))),
            category=one_of("billing", "shipping", None),
            resolution=one_of(
                *("resolved", "resolved", "escalated_human", "escalated_specialist"),
                *("unresolved", "abandoned", "pending", None),
            ),
            resolution_s=one_of(None, float(random.integers(1, 200_000))),
            handled_by=one_of(None, None, "ai", "human"),
            model=one_of("gpt-4o", None),
            escalation_reason=one_of(None, None, None, "error"),
            reopened=one_of(None, None, None, False, True),
            rating=one_of(None, int(random.integers(1, 6))),
            quality=one_of(None, float(random.integers(0, 11)) / 10),
        )
        for _ in range(count)
    ]


def brute_force(
    requests: Sequence[Mapping[str, Any]], first: datetime, ends: datetime, seen_to: datetime
) -> dict[str, Any]:
    """The definitions once more, ticket by ticket, in plain Python."""
    grouped: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for each in sorted(requests, key=lambda each: (each["at"], each["id"])):
        grouped[each["ticket"] or ("alone", each["external_id"])].append(each)
    tickets = []
    for key, parts in grouped.items():

        def said(name: str, parts: list[Mapping[str, Any]] = parts) -> list[Any]:
            return [part[name] for part in parts if part[name] is not None]

        closing = [p for p in parts if p["resolution"] not in (None, "pending")]
        solved = [p for p in parts if p["resolution"] == "resolved"]
        escalated = any((p["resolution"] or "").startswith("escalated") or p["escalation_reason"] for p in parts)
        takers = [p["handled_by"] or ("ai" if p["model"] else None) for p in parts]
        takers = [taker for taker in takers if taker]
        taken_by = takers[0] if takers else None
        human_later = taken_by == "ai" and "human" in takers
        outcome = said("resolution")[-1] if said("resolution") else "escalated_human" if escalated else None
        done = (solved or closing or parts)[0]["at"]
        if closing and closing[0]["resolution_s"] is not None:
            done = max(done, parts[0]["at"] + timedelta(seconds=closing[0]["resolution_s"]))
        tickets.append({
            "key": key, "parts": parts, "opened": parts[0]["at"], "outcome": outcome, "taken_by": taken_by,
            "passed_on": escalated or human_later, "done": done, "subject": next(iter(said("subject")), None),
            "category": next(iter(said("category")), None), "named": parts[0]["ticket"] is not None,
            "reopened": True in said("reopened"), "reopened_said": bool(said("reopened")),
            "rating": said("rating")[-1] if said("rating") else None,
            "quality": said("quality")[-1] if said("quality") else None,
        })  # fmt: skip
    week = timedelta(days=7)
    for ticket in tickets:
        until = ticket["done"] + week
        others = any(
            other["parts"][0]["subject"] == ticket["subject"] and ticket["done"] < other["opened"] <= until
            and (None in (other["parts"][0]["category"], ticket["category"])
                 or other["parts"][0]["category"] == ticket["category"])
            for other in tickets if ticket["subject"] is not None
        )  # fmt: skip
        later = ticket["named"] and any(
            ticket["done"] + timedelta(hours=1) < part["at"] <= until for part in ticket["parts"]
        )
        ticket["back"] = ticket["reopened"] or others or later
        ticket["traceable"] = ticket["subject"] is not None or ticket["named"] or ticket["reopened_said"]
        ticket["due"] = (ticket["done"] + week).date() < seen_to.date()
    ours = [t for t in tickets if t["taken_by"] == "ai" and first <= t["opened"] < ends]
    closed = [t for t in ours if t["outcome"] not in (None, "pending")]
    solved = [t for t in closed if t["outcome"] == "resolved"]
    judged = [t for t in closed if t["traceable"] and t["due"]]
    both = [(t["quality"], t["rating"]) for t in ours if t["quality"] is not None and t["rating"] is not None]
    return {
        "fcr": (sum(t in solved and not t["passed_on"] and not t["back"] for t in judged), len(judged)),
        "resolution": (len(solved), len(closed)),
        "durable_resolution": (sum(not t["back"] for t in judged if t in solved), sum(t in solved for t in judged)),
        "deflection": (sum(not t["passed_on"] for t in solved), len(closed)),
        "escalation": (sum(t["passed_on"] for t in closed), len(closed)),
        "rho": stats.spearmanr([quality for quality, _ in both], [rating for _, rating in both]).statistic,
    }


@pytest.mark.parametrize("category", [None, "billing"])
def test_requests_that_say_nothing_count_as_if_each_were_looked_at(category: str | None) -> None:
    random = np.random.default_rng(4)

    def one_of(*values: Any) -> Any:
        return values[int(random.integers(len(values)))]

    silent = [
        {
            "at": MONDAY + timedelta(minutes=int(random.integers(-1440, 8 * 1440))),
            "category": one_of("billing", "shipping", None),
            "model": one_of("gpt-4o", None),
            "status": one_of("success", "error", None),
            "cost": one_of(None, Decimal(int(random.integers(1, 9999))) / 10_000),
            "usage_known": one_of(True, False),
            "input_tokens": one_of(0, 10),
            "quality": one_of(None, 0.5),
            "latency_ms": one_of(None, 9.0),
            "resolution": None,
            "resolution_s": None,
        }
        for _ in range(400)
    ]
    told = [a_contact(), a_contact(ticket="K", rating=4), a_contact(handled_by="human"), a_contact(reopened=True)]
    many = [*told, *(a_contact(**each) for each in silent)]
    # The same once more; a name of a ticket of its own makes each one that is looked at by itself.
    singly = [
        {**each, "feature": "search", "external_id": f"singly {number}", "id": number,
         "ticket": each["ticket"] or f"own {number}"}
        for number, each in enumerate(many, 10**9)
    ]  # fmt: skip
    by_kind = measured(many, category=category)
    one_by_one = measured(singly, category=category, features=("search",))
    assert by_kind.outcomes["unknown"] > 30
    for of in ("tickets", "funnel", "outcomes", "reasons", "csat", "sentiments", "ai_cost", "unpriced"):
        assert getattr(by_kind, of) == getattr(one_by_one, of), of
    for name, measure in by_kind.measures.items():
        other = one_by_one.measures[name]
        assert (measure.estimate, measure.baseline, measure.left_out) == (
            other.estimate, other.baseline, other.left_out
        ), name  # fmt: skip
    tracked, later = ({name: share and share.value for name, share in facts.tracked.items()}
                      for facts in (by_kind, one_by_one))  # fmt: skip
    assert tracked == later, "of all requests, so of twice as many by now"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_tickets_give_what_brute_force_gives(seed: int) -> None:
    contacts = random_contacts(np.random.default_rng(seed), 300)
    facts = measured(contacts)
    wanted = brute_force(
        contacts, MONDAY.replace(hour=0), MONDAY.replace(hour=0) + timedelta(days=7), MONDAY + timedelta(days=40)
    )
    rho = facts.measured("quality_and_rating")
    assert rho is not None
    assert rho.value == pytest.approx(wanted.pop("rho"))
    assert {name: k_of_n(facts.measured(name)) for name in wanted} == wanted
    for measure in facts.measures.values():
        if measure.estimate is not None and measure.metric.unit == "share":
            assert 0 <= measure.estimate.low <= measure.estimate.value <= measure.estimate.high <= 1
    for name in ("fcr", "deflection", "escalation"):
        estimate = facts.measured(name)
        assert estimate is not None
        assert estimate.n + sum(facts.measures[name].left_out.values()) == facts.tickets.by_ai


def test_every_metric_has_its_definition_and_a_changed_definition_needs_a_new_version() -> None:
    assert set(DEFINITIONS) == set(BY_NAME)
    found = {BY_NAME[name].id: fingerprint(sql) for name, sql in DEFINITIONS.items()}
    found[f"tickets v{TICKETS_VERSION}"] = fingerprint("".join((READ, COUNT, *OF_A_DAY, *OF_A_WINDOW, CONTACTS)))
    assert found == FINGERPRINTS, "raise the version of what gives other numbers now, and write its fingerprint here"


def fingerprint(sql: str) -> str:
    return hashlib.sha256(" ".join(sql.split()).encode()).hexdigest()[:12]


FINGERPRINTS = {
    "tickets v2": "a7b76cccd9eb",
    "fcr v2": "25facfb22c1e",
    "resolution v1": "573aa0344443",
    "durable_resolution v2": "d5e87873be25",
    "came_back v2": "9f71d0ffe64a",
    "deflection v1": "f4770593f63a",
    "escalation v1": "f3339703ff3d",
    "csat v1": "69a1d91f2b6f",
    "csat_satisfied v1": "35fdc90eb6f0",
    "csat_response v1": "ec66b3b3d645",
    "resolution_time_ai v1": "2d557ebf3388",
    "resolution_time_escalated v1": "dcaab87e5143",
    "sentiment v1": "cf15eadf7b62",
    "cost_per_resolution v1": "d0e5430b37de",
    "cost_per_success v1": "3f2d0b190c57",
    "follow_up v1": "3a05087385d0",
    "quality_and_rating v1": "01534eaab764",
    "seed_fcr v1": "be7a160f506a",
    "seed_deflection v1": "e6611dcdb699",
    "seed_escalation v1": "c9cb8681e65d",
    "seed_csat v1": "92dcb80305fa",
    "seed_resolution_time v1": "e4f52ea665cb",
}
