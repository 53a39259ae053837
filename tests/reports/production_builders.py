"""Windows of production traffic to make pages of, spelling out only what matters."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from evaluations.facts import Facts
from evaluations.histograms import of_latencies
from evaluations.production import Freshness, HeavyUser, HourOfWeek, Overview, Spending, Users, Window
from evaluations.production import overview_of as overview
from evaluations.production import spending_of as spending
from evaluations.rollups import DayTotals, Mark, Restatement

LAST = date(2026, 5, 20)
WEEK = (1.1, 1.15, 1.1, 1.05, 1.0, 0.45, 0.4)
NAMES = ("chatbot", "ai-search", "summaries", "photo-tagging", "translation", "code-review", "triage")


def some_facts(random: np.random.Generator, day: date, size: float, *, priced: bool = True, slow: float = 1.0) -> Facts:
    requests = max(int(size * WEEK[day.weekday()] * random.lognormal(0, 0.04)), 1)
    errors = int(random.binomial(requests, 0.01))
    cost = Decimal(requests * 45 + int(random.integers(100))).scaleb(-4)
    return Facts(
        requests=requests,
        successes=requests - errors,
        errors=errors,
        priced=requests if priced else 0,
        unpriced=0 if priced else requests,
        cost=cost if priced else None,
        whole_cost=cost if priced else Decimal(0),
        whole_successes=requests - errors if priced else 0,
        prompt_tokens=requests * 1400,
        cached_tokens=requests * 350,
        reply_tokens=requests * 220,
        latencies=of_latencies(random.lognormal(6, 0.4, 40) * slow).encoded(),
        quality_n=requests // 3,
        quality_sum=Decimal(requests // 3) * Decimal(90 + int(random.integers(3))) / 100,
    )


def a_window(names: Sequence[str] = NAMES, *, days: int = 70, seed: int = 4, **given: Any) -> Window:
    """Every part there is: a feature that slowed, one without a price, a spike, restated days, days that wait."""
    random = np.random.default_rng(seed)
    since = LAST - timedelta(days=days - 1)
    facts = {}
    for index, name in enumerate(names):
        for day in (since + timedelta(days=n) for n in range(days)):
            slow = 1.9 if index == 2 and day > LAST - timedelta(days=7) else 1.0
            size = 400 / (index + 1) * (6 if index == 1 and day == LAST - timedelta(days=9) else 1)
            key = (name, f"model of {name}" if index else name, "openai" if index % 2 else "anthropic")
            facts[key, day] = some_facts(random, day, size, priced=index != 3, slow=slow)
    missing = LAST - timedelta(days=4)
    rolled = {day: True for _, day in facts if day > LAST - timedelta(days=30) and day != missing}
    made = Window(
        first=LAST - timedelta(days=29),
        last=LAST,
        timezone="Europe/Berlin",
        facts={key: value for key, value in facts.items() if key[1] != missing},
        months={date(2026, 4, 1): Decimal("250.11"), date(2026, 5, 1): Decimal("171.2")},
        restatements=(a_restatement(),),
        freshness=Freshness(
            known_from=since,
            known_to=LAST,
            rolled_at=datetime(2026, 5, 21, 2, 4, tzinfo=UTC),
            rolled=rolled,
            waiting=2,
            sample="all",
        ),
    )
    return replace(made, **given)


def a_restatement(**given: Any) -> Restatement:
    before = DayTotals(
        requests=700, successes=690, errors=10, unpriced=3, cost=Decimal("3.1"), input_tokens=9, output_tokens=9,
        fact_rows=4,
    )  # fmt: skip
    made = Restatement(
        day=LAST - timedelta(days=3),
        before=before,
        after=replace(before, requests=712, cost=Decimal("3.25")),
        rows=12,
        causes=(Mark(cause="ingest", batch_id=3, rows=12),),
        at=datetime(2026, 5, 20, 6, tzinfo=UTC),
    )
    return replace(made, **given)


def an_overview(window: Window | None = None) -> Overview:
    return overview(window or a_window())


def a_spending(window: Window | None = None) -> Spending:
    window = window or a_window()
    hours = tuple(
        HourOfWeek(weekday=day, hour=hour, requests=(hour % 12) * (7 - day) * 9, cost=Decimal(hour) / 7)
        for day in range(7)
        for hour in range(24)
    )
    names = sorted({names[0] or "" for names, _ in window.facts})
    users = Users(
        first=LAST - timedelta(days=6),
        last=LAST,
        heaviest=tuple(
            HeavyUser(
                pseudonym=f"{n:08x}",
                requests=90 - n,
                at_most=90 + n % 2,
                days=7 - n % 3,
                cost=Decimal(9 - n) / 100 if n else None,
            )
            for n in range(9)
        ),
        certain=False,
        known=812.5,
        unnamed=14,
        by_feature={name: 700 - 30 * index for index, name in enumerate(names)},
    )
    return spending(window, hours, users)


def nothing_known() -> Window:
    """One request on one day, without price, latency or judgement."""
    return a_window(
        facts={(("chatbot", None, None), LAST): Facts(requests=1, unpriced=1)},
        months={LAST.replace(day=1): None},
        restatements=(),
        freshness=Freshness(
            known_from=LAST, known_to=LAST, rolled_at=datetime(2026, 5, 20, 9, tzinfo=UTC), rolled={LAST: False},
            waiting=0, sample="none",
        ),
    )  # fmt: skip
