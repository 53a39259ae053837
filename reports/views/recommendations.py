"""The page of recommendations: what to change, what that saves, how sure it is; and what earlier changes saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from evaluations.recommending.answers import (
    FeatureAnswer,
    Measurement,
    Standing,
    StoredRecommendation,
    left_out_text,
    saving_text,
    sureness_text,
)
from evaluations.recommending.recommendation import Advice, Compared, Impact, Recommendation
from reports import charts
from reports.charts import FULL, Dot, Spot
from reports.format import count, date_text, duration, moment, money, one_line, points, share, share_interval, span
from reports.page import SCHEMA_VERSION
from reports.views import production_words as words
from reports.views.parts import Cell, Column, Fact, Figure, Kpi, Page, Sign, Status, Table, Tone, Verdict, figure

TEMPLATE = "recommendations.html.j2"
NAME = 60
SENTENCE = 400
FIRST = 3
"""Recommendations on the first screen."""
SHOWN = 20
LISTED = 50
"""Decisions in the table; the twins have all."""
IMPACTS: dict[Impact, tuple[str, Tone, Sign]] = {
    "high": ("High impact", "good", "check"),
    "medium": ("Medium impact", "plain", "dash"),
    "low": ("Low impact", "plain", "dash"),
}
KEPT: dict[str, tuple[str, Tone, Sign]] = {
    "as projected": ("As projected", "good", "check"),
    "more": ("More", "good", "check"),
    "less": ("Less", "bad", "cross"),
    "not shown": ("Not shown", "warn", "wave"),
    "not measured": ("Not measured", "plain", "dash"),
}
METHOD = (
    "A model is recommended when answers to the same cases rule out a loss beyond the margin, it meets every limit, no "
    "other one is as good in everything and better in something, and it is surely cheaper or shown to be better. Else "
    "what is in use is kept, and the page says how many more cases would change that.",
    "A saving is what the replaced model, and no other, costs the feature at the measured volume, times the share that "
    "is saved of it. Its ends take the ends of that share and of the volume together. A month is 30.4375 days, prices "
    "are the day's.",
    "What a cache could have had is told from what it had: requests of one prompt version begin alike, so the others "
    "within an hour of the one before could have read as many tokens. Wastes are told when they are surely 1 % of the "
    "cost.",
    "The score adds 40 for the saving, 30 for quality and 30 for stability. Changes of one feature touch the same "
    "money: only the largest of each feature is in the sum above.",
    "What was accepted is measured again after 30 days: what was paid against what the same requests would have cost "
    "before, at today's prices. Fewer requests, another mix and other prices are no saving and stand apart.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceCard:
    """One thing to change, with everything that speaks for and against it."""

    id: str
    title: str
    about: str
    marks: tuple[Status, ...]
    facts: tuple[Fact, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureView:
    """The models of one feature."""

    id: str
    name: str
    sentence: str
    frontier: Figure | None
    table: Table | None
    untold: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationsView:
    """All that `recommendations.html.j2` places."""

    page: Page
    main: Figure | None
    cards: tuple[AdviceCard, ...]
    nothing: str
    features: tuple[FeatureView, ...]
    ledger: Table
    decided: Table
    method: tuple[str, ...]


def recommendations_view(found: Standing) -> RecommendationsView:
    """Decides every word of the page. Pure: the same rows give the same view."""
    as_of = max(each.on for each in found.answers)
    days = [(each.first, each.last) for each in found.answers if each.first is not None and each.last is not None]
    window = f" Production from {span(min(a for a, _ in days), max(b for _, b in days))}." if days else ""
    page = Page(
        kind="Production",
        subject="Recommendations",
        title="What to change, and what it saves",
        about=f"{count(len(found.answers), 'feature')} looked at with the prices of {date_text(as_of)}.{window}",
        marks=_marks(found),
        banners=(),
        verdict=_verdict(found),
        facts=_first(found),
        kpis=_kpis(found),
        contents=(
            ("verdict", "At a glance"),
            ("change", "What to change"),
            ("models", "Models"),
            ("ledger", "Saved"),
            ("decided", "Decisions"),
            ("method", "Method"),
        ),
        as_of=date_text(as_of),
        schema=str(SCHEMA_VERSION),
        files=("recommendations.json", "recommendations.csv"),
        links=words.links("recommendations.html"),
    )
    return RecommendationsView(
        page=page,
        main=_main(found.open),
        cards=tuple(_card(each) for each in found.open[:SHOWN]),
        nothing=_kept(found),
        features=tuple(_feature(each, number) for number, each in enumerate(found.answers, 1)),
        ledger=_ledger(found),
        decided=_decided(found),
        method=METHOD,
    )


# The first screen


def _marks(found: Standing) -> tuple[str, ...]:
    made_up = [each.sample_data for each in found.answers]
    if all(made_up):
        return ("Sample data",)
    return ("Partly sample data",) if any(made_up) else ()


def _verdict(found: Standing) -> Verdict:
    saving = [each for each in found.apart if each.recommendation.savings.low > 0]
    if not saving:
        better = found.open
        if better:
            return Verdict("good", _name(better[0].recommendation.title), f": {_saving(better[0].recommendation)}.")
        return Verdict("plain", "Keep what is in use", f": {_kept(found)}")
    low, high = _total(saving)
    changes = count(len(saving), "change")
    head = f"{changes.capitalize()} would save {money(low)} to {money(high)} a month"
    of_bill = found.of_bill
    of = f": {of_bill.text}" if of_bill is not None and of_bill.changes else ""
    first = max(saving, key=lambda each: each.recommendation.savings.low).recommendation
    which = f". It is: {_name(first.title)}" if len(saving) == 1 else f". The largest: {_name(first.title)}"
    return Verdict("good", head, f"{of}{which}.")


def _total(found: Sequence[StoredRecommendation]) -> tuple[Decimal, Decimal]:
    return (
        sum((each.recommendation.savings.low for each in found), Decimal(0)),
        sum((each.recommendation.savings.high for each in found), Decimal(0)),
    )


def _kept(found: Standing) -> str:
    """Why nothing should change, and what would change that."""
    nearest = [each for each in found.answers if each.advice is not None and each.advice.needed_n is not None]
    if nearest:
        each = min(nearest, key=lambda answer: (answer.advice.needed_n if answer.advice else 0) or 0)
        assert each.advice is not None
        assert each.advice.needed_n is not None
        return (
            f"no change is shown to be worth it. {count(each.advice.needed_n, 'case')} of {_name(each.feature)} would "
            f"change that, {count(each.advice.n)} were measured."
        )
    if any(each.advice is not None for each in found.answers):
        return "no change is shown to be worth it, and no number of cases would change that."
    return "no models answered the same cases yet, and no waste is surely 1 % of the cost."


def _first(found: Standing) -> tuple[Fact, ...]:
    facts = [
        Fact(
            label=_name(each.recommendation.feature),
            status=Status(*IMPACTS[each.recommendation.impact]),
            sentences=(
                f"{_name(each.recommendation.title)}.",
                f"{_saving(each.recommendation)}.",
                f"{sureness_text(each.recommendation).capitalize()}.",
            ),
            command=f'assay recommendations accept {each.id} --why "…"',
            link=("Its evidence", f"r{each.id}"),
        )
        for each in found.open[:FIRST]
    ]
    untold = [each for each in found.answers if each.advice is None]
    if untold:
        facts.append(
            Fact(
                label="Not compared",
                status=Status(f"{len(untold)} of {len(found.answers)}", "warn", "wave"),
                sentences=(
                    f"Models of {', '.join(_name(each.feature) for each in untold[:4])}.",
                    _sentence(untold[0].problem),
                ),
            )
        )
    if found.adoption is not None:
        facts.append(Fact(label="Adopted", status=None, sentences=(_sentence(found.adoption.text),)))
    return tuple(facts)


def _kpis(found: Standing) -> tuple[Kpi, ...]:
    low, high = _total(found.apart)
    of_bill = found.of_bill
    states = {each.status: 0 for each in found.recommendations}
    for each in found.recommendations:
        states[each.status] += 1
    accepted, dismissed = states.get("accepted", 0), states.get("dismissed", 0)
    realised = [each.realised for each in found.realised if each.realised is not None]
    return (
        Kpi(
            label="Saving a month",
            value=money(sum((each.recommendation.savings.point for each in found.apart), Decimal(0)))
            if found.apart
            else "none",
            note=f"{money(low)} to {money(high)}" if found.apart else "nothing is recommended",
        ),
        Kpi(
            label="Of today's cost",
            value="unknown" if of_bill is None else share(of_bill.share),
            note="nothing is priced"
            if of_bill is None
            else f"{share_interval(of_bill.share_low, of_bill.share_high)} of {money(of_bill.bill)}",
        ),
        Kpi(
            label="Open",
            value=count(len(found.open)),
            note=f"{count(accepted)} of {count(accepted + dismissed)} decided were accepted"
            if accepted + dismissed
            else "nothing is decided yet",
        ),
        Kpi(
            label="Saved, measured",
            value=money(sum(realised, Decimal(0))) if realised else "not measured",
            note=f"a month, by {count(len(realised), 'change')}" if realised else "30 days after a change is accepted",
        ),
    )


def _main(found: Sequence[StoredRecommendation]) -> Figure | None:
    if not found:
        return None
    rows = [
        Dot(
            label=_name(each.recommendation.title),
            value=each.recommendation.savings.share,
            low=each.recommendation.savings.share_low,
            high=each.recommendation.savings.share_high,
            value_text=share(each.recommendation.savings.share),
            interval_text=share_interval(each.recommendation.savings.share_low, each.recommendation.savings.share_high),
            n_text=count(each.recommendation.n),
            reading="good" if each.recommendation.savings.share_low > 0 else "open",
            reading_text="surely saves" if each.recommendation.savings.share_low > 0 else "may cost more",
        )
        for each in found[:SHOWN]
    ]
    return figure(
        "savings",
        "What each change saves, of what its feature costs now",
        "The dot is as measured, the line its 95 % interval",
        FULL,
        lambda width: charts.dot_plot(
            rows,
            width,
            label="Savings as shares of cost, with intervals",
            heads=("Change", "n", "Saved", "95 % interval"),
            tick=lambda value: share(value, trim=True),
            bounds=(min(0.0, *(row.low or 0.0 for row in rows)), 1.0),
        ),
        table=Table(
            caption="Savings of the open recommendations",
            columns=(
                Column("title", "Change"),
                Column("low", "From", right=True),
                Column("point", "Saving a month", right=True),
                Column("high", "To", right=True),
                Column("now", "Now", right=True),
                Column("share", "Share", right=True),
                Column("n", "n", right=True),
            ),
            rows=tuple(
                (
                    Cell(_name(each.recommendation.title)),
                    *(
                        Cell(money(amount), float(amount))
                        for amount in (
                            each.recommendation.savings.low,
                            each.recommendation.savings.point,
                            each.recommendation.savings.high,
                            each.recommendation.savings.now,
                        )
                    ),
                    Cell(share(each.recommendation.savings.share), each.recommendation.savings.share),
                    Cell(count(each.recommendation.n), each.recommendation.n),
                )
                for each in found[:SHOWN]
            ),
        ),
    )


# What to change


def _card(each: StoredRecommendation) -> AdviceCard:
    advice = each.recommendation
    said = [
        ("Saving", (f"{_saving(advice)}.", f"Worked out from {advice.savings.basis}.")),
        ("How sure", (f"{sureness_text(advice).capitalize()}.", *_others(advice))),
        ("Instead of", (f"{advice.current}; {_known(each)}.", f"Recommended: {advice.recommended}.")),
        ("Reasons", advice.reasons),
        ("Trade-offs", advice.tradeoffs or ("none was found",)),
        ("Assumed", advice.assumptions),
        ("Risks", advice.risks or ("none was found",)),
    ]
    return AdviceCard(
        id=f"r{each.id}",
        title=_name(advice.title),
        about=one_line(advice.description, SENTENCE),
        marks=(
            Status(f"Score {advice.score} of 100", "plain", "dash"),
            Status(*IMPACTS[advice.impact]),
            Status(f"{advice.effort.capitalize()} to do", "plain", "dash"),
            *((Status("Sample data", "warn", "bang"),) if each.sample_data else ()),
        ),
        facts=tuple(
            Fact(label=label, status=None, sentences=tuple(_sentence(line) for line in lines)) for label, lines in said
        ),
        commands=(
            f'assay recommendations accept {each.id} --why "…"',
            f'assay recommendations dismiss {each.id} --why "…"',
        ),
    )


def _others(advice: Recommendation) -> tuple[str, ...]:
    """What else the answer is when cases, prices and volume are moved."""
    if advice.stability is None or not advice.stability.others:
        return ()
    others = ", ".join(f"{_name(name)} in {share(part)}" for name, part in advice.stability.others[:3])
    return (f"Else it is {others}.",)


def _known(each: StoredRecommendation) -> str:
    if each.recommendation.kind not in ("model_substitution", "provider_switch"):
        return f"as of {date_text(each.as_of)}"
    said = {"live bundle": "it is live", "selection": "it was selected", "named": "as was said"}
    return said.get(each.incumbent_from, "most of the traffic goes to it")


def _saving(advice: Recommendation) -> str:
    said = saving_text(advice, share_interval)
    return f"{said[:1].upper()}{said[1:]}"


def _sentence(said: str) -> str:
    said = one_line(said, SENTENCE)
    return f"{said[:1].upper()}{said[1:]}{'' if said.endswith(('.', '?', '!')) else '.'}"


# Models


def _feature(answer: FeatureAnswer, number: int) -> FeatureView:
    advice = answer.advice
    known = (
        f"{_name(answer.incumbent)} is in use ({answer.source})" if answer.incumbent else "Nobody knows what is in use"
    )
    volume = "" if answer.requests is None else f", {count(round(answer.requests))} requests a month"
    cost = "" if answer.month is None else f" for {money(answer.month)}"
    said = _sentence(answer.problem) if advice is None else _advice_text(advice)
    return FeatureView(
        id=f"f{number}",
        name=_name(answer.feature),
        sentence=f"{known}{volume}{cost}. {said}",
        frontier=None if advice is None else _frontier(advice, number),
        table=None if advice is None else _compared(advice, answer),
        untold="" if not answer.looked_for else "Not told: " + one_line("; ".join(answer.looked_for), SENTENCE) + ".",
    )


def _advice_text(advice: Advice) -> str:
    if advice.best is not None:
        return f"{_sentence(advice.best.title)}"
    more = "" if advice.needed_n is None else f" {count(advice.needed_n, 'case')} would change that."
    return f"{_sentence(advice.keep)}{more}"


def _frontier(advice: Advice, number: int) -> Figure | None:
    """Models by cost and quality; coloured is what no other one beats in both, as measured."""
    shown = [each for each in advice.compared if each.level is not None and each.monthly_cost is not None]
    if len(shown) < 2:
        return None

    def best(each: Compared) -> bool:
        assert each.level is not None
        assert each.monthly_cost is not None
        return not any(
            (other.level or 0) >= each.level
            and (other.monthly_cost or 0) <= each.monthly_cost
            and (other.level, other.monthly_cost) != (each.level, each.monthly_cost)
            for other in shown
        )

    spots = [
        Spot(
            label=_name(each.model),
            x=float(each.monthly_cost or 0),
            y=each.level or 0.0,
            low=each.level or 0.0,
            high=each.level or 0.0,
            x_text=money(each.monthly_cost),
            y_text=share(each.level),
            best=best(each),
        )
        for each in shown
    ]
    return figure(
        f"frontier-{number}",
        f"{_name(advice.feature)}: cost and quality",
        "Coloured: no other model is both cheaper and better, as measured",
        FULL,
        lambda width: charts.scatter(
            spots,
            width,
            label=f"Models of {_name(advice.feature)} by monthly cost and share that passes",
            x_name="US dollars a month",
            y_name="Passes",
            x_tick=lambda value: money(Decimal(str(value))),
            y_tick=lambda value: share(value, trim=True),
        ),
    )


_ROLES: dict[str, tuple[str, Tone, Sign]] = {
    "in_use": ("In use", "plain", "dash"),
    "recommended": ("Qualifies", "good", "check"),
    "not_shown": ("Not shown", "warn", "wave"),
}


def _compared(advice: Advice, answer: FeatureAnswer) -> Table:
    whys = {each.model: each for each in advice.excluded}
    rows = []
    for each in advice.compared:
        why = whys.get(each.model)
        role = _ROLES.get(each.role, (each.role.replace("_", " ").capitalize(), "bad", "cross"))
        difference = "–" if each.effect is None else points(each.effect.value)
        note = "" if each.effect is None else f"{points(each.effect.low)} to {points(each.effect.high)}"
        rows.append(
            (
                Cell(_name(each.model)),
                Cell("", status=Status(*role)),
                Cell(share(each.level, unknown="–"), each.level),
                Cell(difference, None if each.effect is None else each.effect.value, note=note),
                Cell(money(each.cost_per_request), _number(each.cost_per_request)),
                Cell(money(each.monthly_cost), _number(each.monthly_cost)),
                Cell(duration(each.p95_latency_ms, unknown="–"), each.p95_latency_ms),
                Cell(share(each.error_rate, unknown="–"), each.error_rate),
                Cell("" if why is None else _why(why.why, why.would_do)),
            )
        )
    return Table(
        caption=f"Models of {_name(answer.feature)} on {count(advice.n, 'case')} of {_name(answer.suite)}",
        columns=(
            Column("model", "Model"),
            Column("role", "Stands"),
            Column("passes", "Passes", right=True),
            Column("difference", "Against the one in use", right=True),
            Column("request", "A request", right=True),
            Column("month", "A month", right=True),
            Column("p95", "p95", right=True),
            Column("errors", "Errors", right=True),
            Column("why", "Why not", wide=True),
        ),
        rows=tuple(rows),
        note=" ".join(
            (
                "A month is that of what the model in use serves." if advice.incumbent else "A month is all of it.",
                *((f"A loss within {points(answer.margin).lstrip('+')} does not matter.",) if answer.margin else ()),
            )
        ),
    )


def _why(why: str, would_do: str) -> str:
    return _sentence(why) + (f" What would do: {one_line(would_do, SENTENCE)}." if would_do else "")


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


# What became of them


def _ledger(found: Standing) -> Table:
    rows = []
    for line in found.ledger:
        stored = found.of(line.recommendation_id)
        saved = stored.recommendation.savings
        rows.append(
            (
                Cell(_name(stored.recommendation.title)),
                Cell(span(line.first, line.last)),
                Cell(money(saved.point), float(saved.point), note=f"{money(saved.low)} to {money(saved.high)}"),
                Cell(*_realised(line)),
                Cell("", status=Status(*KEPT[line.kept])),
                Cell(money(line.by_volume, unknown="–"), _number(line.by_volume)),
                Cell(money(line.by_mix, unknown="–"), _number(line.by_mix)),
                Cell(money(line.by_price, unknown="–"), _number(line.by_price)),
                Cell(count(line.requests), line.requests, note=one_line(left_out_text(line).lstrip("; "), SENTENCE)),
            )
        )
    return Table(
        caption="Projected and realised, US dollars a month",
        columns=(
            Column("change", "Change"),
            Column("days", "Measured on"),
            Column("projected", "Projected", right=True),
            Column("realised", "Realised", right=True),
            Column("kept", "Kept"),
            Column("by_volume", "By volume", right=True),
            Column("by_mix", "By mix", right=True),
            Column("by_price", "By price", right=True),
            Column("requests", "Requests", right=True),
        ),
        rows=tuple(rows),
        note="Volume, mix and price moved the bill too; they are in no saving." if rows else "",
        empty="Nothing was measured yet: a change is, 30 days after it was accepted.",
    )


def _realised(line: Measurement) -> tuple[str, float | None, None, str]:
    if line.realised is None:
        return "not measured", None, None, one_line(line.why, 160)
    return (
        money(line.realised),
        float(line.realised),
        None,
        f"{money(line.realised_low)} to {money(line.realised_high)}",
    )


_STATES: dict[str, tuple[str, Tone, Sign]] = {
    "accepted": ("Accepted", "good", "check"),
    "dismissed": ("Dismissed", "plain", "cross"),
    "expired": ("Expired", "plain", "dash"),
    "superseded": ("Superseded", "plain", "dash"),
}


def _decided(found: Standing) -> Table:
    closed = sorted(
        (each for each in found.recommendations if each.status != "open"), key=lambda each: each.moved_at, reverse=True
    )
    left = len(closed) - LISTED
    return Table(
        caption="Recommendations that are not open any more",
        columns=(
            Column("change", "Change"),
            Column("status", "Status"),
            Column("at", "When"),
            Column("by", "By"),
            Column("why", "Why", wide=True),
        ),
        rows=tuple(
            (
                Cell(_name(each.recommendation.title)),
                Cell("", status=Status(*_STATES[each.status])),
                Cell(moment(each.moved_at)),
                Cell(one_line(each.moved_by, 40)),
                Cell(one_line(each.moved_why, SENTENCE)),
            )
            for each in closed[:LISTED]
        ),
        note=f"{count(left)} more are in recommendations.csv." if left > 0 else "",
        empty="Nothing was accepted or dismissed yet.",
    )


def _name(text: str) -> str:
    return one_line(text, NAME * 2)
