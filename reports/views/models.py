"""The page about models and providers: which are in use, how they do, what they can do, and what to look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from evaluations.availability import ProviderHealth
from evaluations.claims import Outcome, claims_of
from evaluations.model_overview import (
    KnownModel,
    ModelsOverview,
    ProviderLine,
    accuracy_of,
    reliability_of,
    speed_of,
)
from evaluations.models import Availability, LifeCycle, Model, UseCaseScore, best_scores
from evaluations.performance import Performed
from evaluations.pricing import FEES, TokenClass
from reports.format import (
    count,
    date_text,
    duration,
    moment,
    money,
    money_column,
    one_line,
    share,
    share_interval,
    span,
)
from reports.page import SCHEMA_VERSION
from reports.views import production_words as words
from reports.views.parts import Banner, Cell, Column, Fact, Kpi, Page, Sign, Status, Table, Tone, Verdict

TEMPLATE = "models.html.j2"
LISTED = 300
"""Models of the catalogue in the table; the CSV twin has all."""
CHANGES = 20
STAGES: dict[LifeCycle, tuple[str, Tone, Sign]] = {
    "available": ("Available", "good", "check"),
    "beta": ("Beta", "warn", "wave"),
    "deprecated": ("Deprecated", "warn", "bang"),
    "retired": ("Retired", "bad", "cross"),
}
REACHED: dict[Availability, tuple[str, Tone, Sign]] = {
    "available": ("Answers", "good", "check"),
    "busy": ("Busy", "warn", "wave"),
    "unavailable": ("Does not answer", "bad", "cross"),
    "unknown": ("Not probed", "plain", "dash"),
}
PRICED: tuple[TokenClass, ...] = ("input", "cached", "output", "reasoning")
CLAIMED: dict[Outcome, tuple[str, Tone, Sign]] = {
    "holds": ("Holds", "good", "check"),
    "does not hold": ("Does not hold", "bad", "cross"),
    "open": ("Open", "warn", "wave"),
    "not measured": ("Not measured", "plain", "dash"),
}
METHOD = (
    "In use is a model that took requests in the window. What requests call a model is looked up in the registry as "
    "provider/model; what is not found there is told apart.",
    "A capability that a probe tested within its last round is told by that test, whatever the catalogue says. Each "
    "probe asks twice, and both answers have to hold.",
    "Uptime is the share of probes that a provider answered in the last 30 days, with its 95 % Wilson interval. A "
    "refused key or a full quota is no downtime. The circuit is told from the probes and model calls of the last hour.",
    "Speed is a word for the median latency (fastest below 2 s, moderate up to 4 s), reliability for the lower end of "
    "the 95 % interval of the share of successes. Fewer than 30 requests earn no word.",
    "Accuracy is a word for the lower end of the interval of a measured score: excellent from 92 %, good from 85 %, "
    "fair from 70 %. Scores are measured by benchmarks that name a use case, and go before any declared one.",
    "A claim holds when all of the measured interval is as good or better, does not when all of it is worse, and is "
    "open otherwise, and while fewer than 30 requests or cases were measured. Speed is the median.",
    "Deprecated is a version that ends within 180 days, retired one whose day has come or that no catalogue lists.",
)

MOST_REGIONS = 6
"""Regions of a model that are named; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One model in use."""

    id: str
    name: str
    marks: tuple[Status, ...]
    facts: tuple[Fact, ...]
    badges: tuple[Status, ...]
    """Capabilities that were tested."""
    untested: str
    """Those that are only documented."""
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsView:
    """All that `models.html.j2` places."""

    page: Page
    in_use: Table
    cards: tuple[ModelCard, ...]
    suits: Table
    claims: Table
    providers: Table
    catalogue: Table
    picks: tuple[tuple[str, int, tuple[str, ...]], ...]
    """Filters of the catalogue: label, column, and the words to choose from."""
    changes: Table
    unregistered: Table
    method: tuple[str, ...]


def models_view(found: ModelsOverview) -> ModelsView:
    """Decides every word of the page. Pure: the same facts give the same view."""
    window = f"Use from {span(*found.window)} ({found.timezone})." if found.window else "No use is known."
    page = Page(
        kind="Production",
        subject="Models and providers",
        title="Which models answer, and what is known of them",
        about=f"{window} {count(len(found.catalogue), 'model')} in the registry.",
        marks=words.marks(found.freshness) if found.freshness else (),
        banners=tuple(_banners(found)),
        verdict=_verdict(found),
        facts=tuple(_facts(found)),
        kpis=_kpis(found),
        contents=(
            ("verdict", "At a glance"),
            ("in-use", "In use"),
            ("suits", "Use cases and claims"),
            ("providers", "Providers"),
            ("catalogue", "Catalogue"),
            ("changes", "What changed"),
            ("method", "Method"),
        ),
        as_of=moment(found.at),
        schema=str(SCHEMA_VERSION),
        files=("models.json", "models.csv"),
        links=words.links("models.html"),
    )
    catalogue = _catalogue(found)
    return ModelsView(
        page=page,
        in_use=_in_use(found),
        cards=tuple(_card(found, each, number) for number, each in enumerate(found.in_use, 1)),
        suits=_suits(found),
        claims=_claims(found),
        providers=_providers(found),
        catalogue=catalogue,
        picks=tuple(
            (label, column, _words_of(catalogue, column)) for label, column in (("Kind", 1), ("Life cycle", 2))
        ),
        changes=_changes(found),
        unregistered=_unregistered(found),
        method=METHOD,
    )


# The first screen


def _verdict(found: ModelsOverview) -> Verdict:
    if not found.in_use and not found.unregistered:
        return Verdict("plain", "No model is in use", ": no requests of the last 30 days are rolled up.")
    retired = [each for each in found.ending if each.life_cycle(found.today) == "retired"]
    down = [each for each in found.providers if each.performed and each.health.availability == "unavailable"]
    total = _in_use_at_all(found)
    head = f"{count(total, 'model')} in use"
    if down:
        return Verdict("bad", f"{_titles(down)} does not answer", f": {head}.")
    if retired:
        return Verdict(
            "bad",
            f"Retired: {count(len(retired))} of {count(total, 'model')} in use",
            "; see what may take their place.",
        )
    if found.ending:
        first = found.ending[0].ends_on
        several = len(found.ending) > 1
        ends = f",{' the first' if several else ''} on {date_text(first)}" if first else ""
        said = f"{count(len(found.ending))} of {count(total, 'model')} in use {'end' if several else 'ends'} soon"
        return Verdict("warn", said, f"{ends}.")
    return Verdict("good", head, ", none of them near its end.")


def _in_use_at_all(found: ModelsOverview) -> int:
    """Models in use, those too that the registry does not know."""
    return len(found.in_use) + len({(use.provider, use.model) for use in found.unregistered})


def _titles(lines: list[ProviderLine]) -> str:
    return ", ".join(one_line(each.title, 40) for each in lines)


def _banners(found: ModelsOverview) -> Iterator[Banner]:
    for each in found.providers:
        if each.performed and each.health.circuit.state == "open":
            yield Banner(
                "bad", f"{one_line(each.title, 60)}:", f"its circuit is open; {one_line(each.health.circuit.why)}."
            )
    for selection in found.reconsidered:
        where = f"{one_line(selection.feature, 60)} in {one_line(selection.environment, 40)}:"
        now = (
            "no model meets its policy any more"
            if selection.now is None
            else f"its policy would now choose {one_line(selection.now, 70)}"
        )
        yield Banner(
            "warn",
            where,
            f"{now} (looked at {moment(selection.at)}); {one_line(selection.published, 70)} is published. "
            f"assay select {one_line(selection.feature, 60)} says why.",
        )


def _facts(found: ModelsOverview) -> Iterator[Fact]:
    ending = [f"{one_line(each.model.name, 60)} {_ending(each)}." for each in found.ending[:3]]
    good = Status("Nothing ends soon", "good", "check")
    yield Fact(
        label="Life cycle",
        status=Status(f"{len(found.ending)} near the end", "warn", "bang") if found.ending else good,
        sentences=tuple(ending) or ("No model in use ends within 180 days.",),
    )
    floating = [one_line(each.model.name, 60) for each in found.floating]
    pinned = Status("All pinned", "good", "check")
    yield Fact(
        label="Versions",
        status=Status(f"{len(floating)} not pinned", "warn", "wave") if floating else pinned,
        sentences=(f"Its provider chooses the version of {', '.join(floating[:3])}.",)
        if floating
        else ("Every name in use is that of one version.",),
    )
    tested = [each for each in found.in_use if any(one.tested for one in each.model.capabilities.values())]
    against = sum(one.contradicts for each in found.in_use for one in each.model.capabilities.values())
    yield Fact(
        label="Capabilities",
        status=Status(f"{count(against, 'claim')} failed", "bad", "cross")
        if against
        else Status(f"{len(tested)} of {len(found.in_use)} tested", "good" if tested else "plain", "dash"),
        sentences=("What is documented is not tested yet." if not tested else "Tests go before the catalogue.",),
        command="assay models probe",
    )
    probed = [each for each in found.providers if each.health.last_probe is not None]
    yield Fact(
        label="Providers",
        status=Status(f"{len(probed)} probed", "good" if probed else "plain", "check" if probed else "dash"),
        sentences=tuple(
            f"{one_line(each.title, 40)} {REACHED[each.health.availability][0].lower()}." for each in probed[:3]
        )
        or ("No provider was probed in the last 30 days: none has a key here, or the schedule is off.",),
    )


def _ending(known: KnownModel) -> str:
    """What ends when, after its name: a version, or an alias by the version it stands for."""
    own, version = known.model, known.stands_for
    last = version if version is not None and own.retires_on is None else own
    when = f" on {date_text(last.retires_on)}" if last.retires_on else ""
    successor = own.successor or (version.successor if version else None)
    instead = f"; successor {one_line(successor, 60)}" if successor else ""
    subject = "ends" if last is own else f"stands for {one_line(last.name, 60)}, which ends"
    return f"{subject}{when}{instead}"


def _kpis(found: ModelsOverview) -> tuple[Kpi, ...]:
    uses = [use.performed for each in found.in_use for use in each.uses]
    uses += [use.performed for use in found.unregistered]
    costs = [each.cost for each in uses if each.cost is not None]
    unpriced = sum(each.unpriced for each in uses)
    requests = sum(each.requests for each in uses)
    keys = sum(each.health.key is True for each in found.providers)
    alive = sum(model.life_cycle(found.today) != "retired" for model in found.catalogue)
    return (
        Kpi(
            label="Models in use",
            value=count(_in_use_at_all(found)),
            note=f"{count(_in_use_at_all(found) - len(found.in_use))} unknown to the registry",
        ),
        Kpi(label="Requests", value=count(requests), note="in the window"),
        Kpi(
            label="Cost",
            value=money(sum(costs, Decimal(0))) if costs else "unpriced",
            note=f"{count(unpriced, 'request')} unpriced" if unpriced else "every request is priced",
        ),
        Kpi(label="Catalogue", value=count(alive), note=f"models not retired; keys of {count(keys, 'provider')} here"),
    )


# In use


def _in_use(found: ModelsOverview) -> Table:
    performed = [each.performed for each in found.in_use]
    costs = money_column([each.cost if each else None for each in performed])
    each_success = money_column([each.cost_per_success if each else None for each in performed])
    rows = [
        (
            Cell(one_line(known.model.name, 70), link=f"model-{number}"),
            Cell("", status=Status(*STAGES[known.life_cycle(found.today)])),
            Cell(", ".join(one_line(name, 30) for name in known.assigned_to[:3])),
            *_did(did, cost, success),
        )
        for number, (known, did, cost, success) in enumerate(
            zip(found.in_use, performed, costs, each_success, strict=True), 1
        )
    ]
    return Table(
        caption="Models in use",
        columns=(
            Column("model", "Model"),
            Column("life_cycle", "Life cycle"),
            Column("features", "Serves", wide=True),
            Column("requests", "Requests", right=True),
            Column("error_share", "Errors", right=True),
            Column("latency_p50_ms", "Median", right=True),
            Column("latency_p95_ms", "95th pct", right=True),
            Column("cost_usd", "Cost", right=True),
            Column("cost_per_success_usd", "Per success", right=True),
        ),
        rows=tuple(rows),
        empty="No requests of the last 30 days name a model that the registry knows.",
    )


def _did(did: Performed | None, cost: str, success: str) -> tuple[Cell, ...]:
    if did is None:
        return tuple(Cell("–") for _ in range(6))
    errors, middle, slow = did.error_share, did.latency(0.5), did.latency(0.95)
    return (
        Cell(count(did.requests), did.requests),
        Cell(
            "–" if errors is None else share(errors.value),
            None if errors is None else errors.value,
            note="" if errors is None else share_interval(errors.low, errors.high),
        ),
        Cell("–" if middle is None else duration(middle.value), None if middle is None else middle.value),
        Cell("–" if slow is None else duration(slow.value), None if slow is None else slow.value),
        Cell(
            cost,
            None if did.cost is None else float(did.cost),
            note=f"{count(did.unpriced)} unpriced" if did.unpriced else "",
        ),
        Cell(success, None if did.cost_per_success is None else float(did.cost_per_success)),
    )


def _card(found: ModelsOverview, known: KnownModel, number: int) -> ModelCard:
    model = known.model
    health = known.health
    marks = [Status(*STAGES[known.life_cycle(found.today)])]
    if health is not None:
        marks.append(Status(*REACHED[health.availability]))
    marks.append(Status(f"Serves {count(len(known.assigned_to), 'feature')}", "plain", "dash"))
    return ModelCard(
        id=f"model-{number}",
        name=one_line(model.name, 80),
        marks=tuple(marks),
        facts=(_traffic(found, known), _price(known), _limits(model), _version(known)),
        badges=tuple(_badges(model)),
        untested=_untested(model),
        commands=(
            f"assay models validate {one_line(model.name, 80)}",
            f"assay models probe {one_line(model.name, 80)}",
        ),
    )


def _traffic(found: ModelsOverview, known: KnownModel) -> Fact:
    did = known.performed
    if did is None:
        return Fact(label="In traffic", status=None, sentences=("No requests in the window.",))
    speed, reliability = speed_of(did, found.bands), reliability_of(did, found.bands)
    said = [f"{count(did.requests, 'request')} for {', '.join(one_line(name, 30) for name in known.assigned_to[:3])}."]
    middle, errors = did.latency(0.5), did.error_share
    if middle is not None:
        said.append(f"Speed {speed or 'too few to say'}: median {duration(middle.value)}.")
    if errors is not None:
        good = f"{share(1 - errors.value)} succeed ({share_interval(1 - errors.high, 1 - errors.low)})"
        said.append(f"Reliability {(reliability or 'too few to say').replace('_', ' ')}: {good}.")
    return Fact(label="In traffic", status=None, sentences=tuple(said))


def _price(known: KnownModel) -> Fact:
    if known.prices is None:
        return Fact(
            label="Price",
            status=Status("Unpriced", "warn", "bang"),
            sentences=("No price is known; write one in prices.yaml.",),
        )
    said = []
    for name in PRICED:
        if tiers := known.prices.by_class.get(name):
            more = [f", above {count(start)} tokens {_a_million(price)}" for start, price in tiers if start >= 0]
            said.append(f"{name} {_a_million(tiers[0][1])}{''.join(more)}")
    fees = [
        f"{name.replace('_', ' ')} {money(tiers[0][1])}" for name in FEES if (tiers := known.prices.by_class.get(name))
    ]
    return Fact(
        label="Price, USD per million tokens",
        status=None,
        sentences=(f"{'; '.join(said)}.", *((f"Each: {', '.join(fees)}.",) if fees else ())),
    )


def _a_million(price: Decimal) -> str:
    """Exactly, with cents: $0.60, $0.075."""
    usd = (price * 1_000_000).normalize()
    return f"${max(usd, usd.quantize(Decimal('0.01')), key=lambda each: -int(each.as_tuple().exponent)):f}"


def _limits(model: Model) -> Fact:
    limits = model.limits
    said = [
        f"Context {_count(limits.context_tokens)}, answers {_count(limits.max_output_tokens)} tokens.",
        f"Reads {', '.join(model.inputs)}; writes {', '.join(model.outputs)}.",
    ]
    if model.regions:
        more = f" and {count(len(model.regions) - MOST_REGIONS)} more" if len(model.regions) > MOST_REGIONS else ""
        said.append(f"In {', '.join(model.regions[:MOST_REGIONS])}{more}.")
    if limits.max_images:
        said.append(f"{count(limits.max_images, 'image')} a call.")
    rates = [
        f"{count(number)} {unit} a minute"
        for number, unit in ((limits.requests_per_minute, "requests"), (limits.tokens_per_minute, "tokens"))
        if number
    ]
    said.append(f"{', '.join(rates)}." if rates else "Nobody says what your account may ask a minute.")
    return Fact(label="Limits", status=None, sentences=tuple(said))


def _count(number: int | None) -> str:
    return "unknown" if number is None else count(number)


def _version(known: KnownModel) -> Fact:
    model = known.model
    if known.ends_on is not None:
        told = _ending(known)
    elif model.alias:
        told = f"stands for {one_line(model.alias_of, 60)}" if model.alias_of else "its provider chooses the version"
    else:
        told = "one version, no end announced"
    said = [f"{told[0].upper()}{told[1:]}."]
    if known.health is not None:
        said.append(_uptime(known.health))
    return Fact(label="Version and provider", status=None, sentences=tuple(said))


def _uptime(health: ProviderHealth) -> str:
    if health.uptime is None:
        return "Its provider was not probed in the last 30 days."
    up = health.uptime
    return (
        f"Its provider answered {share(up.value)} of {count(up.n, 'probe')} ({share_interval(up.low, up.high)}); "
        f"circuit {health.circuit.state}."
    )


def _badges(model: Model) -> Iterator[Status]:
    for each in model.capabilities.values():
        if each.tested is not None:
            when = f"{each.tested.at:%Y-%m-%d}"
            if each.tested.passed:
                yield Status(f"{_words(each.name)}, tested {when}", "good", "check")
            else:
                yield Status(f"{_words(each.name)}, failed its test {when}", "bad", "cross")


def _untested(model: Model) -> str:
    names = [_words(each.name) for each in model.capabilities.values() if each.documented and each.tested is None]
    return f"Documented, not tested: {', '.join(names)}." if names else ""


def _words(capability: str) -> str:
    return capability.replace("_", " ").replace("json", "JSON")


# Providers, catalogue, changes


def _providers(found: ModelsOverview) -> Table:
    costs = money_column([each.performed.cost if each.performed else None for each in found.providers])
    return Table(
        caption="Providers",
        columns=(
            Column("provider", "Provider"),
            Column("availability", "Now"),
            Column("key", "Key"),
            Column("uptime", "Uptime", right=True),
            Column("response_ms", "Answers in", right=True),
            Column("circuit", "Circuit", wide=True),
            Column("requests", "Requests", right=True),
            Column("error_share", "Errors", right=True),
            Column("cost_usd", "Cost", right=True),
            Column("models", "Models", right=True),
        ),
        rows=tuple(_provider_row(each, cost) for each, cost in zip(found.providers, costs, strict=True)),
        note="Providers in use, with a key, or probed. Models are those of the registry that are not retired.",
        empty="No provider is in use, and none has a key here. Set one, e.g. OPENAI_API_KEY, then: assay models probe",
    )


def _provider_row(line: ProviderLine, cost: str) -> tuple[Cell, ...]:
    health, did = line.health, line.performed
    up = health.uptime
    errors = did.error_share if did else None
    alive = sum(number for stage, number in line.models.items() if stage != "retired")
    key = {True: "there", False: "none here", None: "not said"}[health.key]
    return (
        Cell(one_line(line.title, 50), note=one_line(health.provider, 40)),
        Cell("", status=Status(*REACHED[health.availability])),
        Cell(key),
        Cell(
            "–" if up is None else share(up.value),
            None if up is None else up.value,
            note="" if up is None else f"{share_interval(up.low, up.high)}, n = {count(up.n)}",
        ),
        Cell("–" if health.response_ms is None else duration(health.response_ms), health.response_ms),
        Cell(health.circuit.state, note=one_line(health.circuit.why)),
        Cell(count(did.requests) if did else "–", did.requests if did else None),
        Cell("–" if errors is None else share(errors.value), None if errors is None else errors.value),
        Cell(cost, None if did is None or did.cost is None else float(did.cost)),
        Cell(count(alive), alive),
    )


def _suits(found: ModelsOverview) -> Table:
    scores = [(model, each) for model in found.catalogue for each in best_scores(model.use_cases)]
    scores.sort(key=lambda pair: (pair[1].origin == "declared", pair[1].use_case, -pair[1].score, pair[0].name))
    return Table(
        caption="What models suit",
        columns=(
            Column("use_case", "Use case"),
            Column("model", "Model"),
            Column("score", "Of 100", right=True),
            Column("n", "Cases", right=True),
            Column("accuracy", "Accuracy"),
            Column("why", "By", wide=True),
        ),
        rows=tuple(_suits_row(model, each, found) for model, each in scores[:LISTED]),
        note=f"{count(len(scores) - LISTED)} more are in models.json." if len(scores) > LISTED else "",
        empty="Nothing is declared or measured. A benchmark with a `use_case` measures its models for it.",
    )


def _suits_row(model: Model, score: UseCaseScore, found: ModelsOverview) -> tuple[Cell, ...]:
    between = "" if score.low is None or score.high is None else f"{score.low:.1f}–{score.high:.1f}"
    word = accuracy_of(score, found.bands)
    return (
        Cell(one_line(score.use_case, 60)),
        Cell(one_line(model.name, 70)),
        Cell(f"{score.score:.1f}", score.score, note=between if score.origin == "measured" else "declared"),
        Cell("–" if score.n is None else count(score.n), score.n),
        Cell(word or "–"),
        Cell(one_line(score.source), note=one_line(score.reason)),
    )


def _claims(found: ModelsOverview) -> Table:
    claims = claims_of(found)
    return Table(
        caption="What is claimed, and what was measured",
        columns=(
            Column("model", "Model"),
            Column("about", "About"),
            Column("declared", "Declared"),
            Column("measured", "Measured", wide=True),
            Column("outcome", "Outcome"),
            Column("source", "By", wide=True),
        ),
        rows=tuple(
            (
                Cell(one_line(each.model, 70)),
                Cell(one_line(each.about, 60)),
                Cell(each.declared),
                Cell("–" if each.measured is None else each.found, note=one_line(each.measured_by)),
                Cell("", status=Status(*CLAIMED[each.outcome])),
                Cell(one_line(each.source)),
            )
            for each in claims[:LISTED]
        ),
        note=f"{count(len(claims) - LISTED)} more are in models.json." if len(claims) > LISTED else "",
        empty="Nothing is claimed. What is declared of models goes into models.yaml in ASSAY_HOME.",
    )


def _catalogue(found: ModelsOverview) -> Table:
    near = {line.health.provider for line in found.providers}
    chosen = [
        model
        for model in found.catalogue
        if model.provider in near
        and model.kind in ("language", "multimodal", "vision", "embedding")
        and model.life_cycle(found.today) != "retired"
    ]
    shown = chosen[:LISTED]
    left = len(chosen) - len(shown)
    return Table(
        caption="Models of these providers",
        columns=(
            Column("model", "Model"),
            Column("kind", "Kind"),
            Column("life_cycle", "Life cycle"),
            Column("ends_on", "Ends"),
            Column("context_tokens", "Context", right=True),
            Column("max_output_tokens", "Output", right=True),
            Column("capabilities", "Can", wide=True),
        ),
        rows=tuple(_catalogue_row(model, found) for model in shown),
        note=f"{count(left)} more, and all other providers, are in models.csv." if left > 0 else "",
        empty="Of no provider in use or with a key here. All models are in models.csv, or: assay models list --all",
    )


def _words_of(table: Table, column: int) -> tuple[str, ...]:
    cells = [row[column] for row in table.rows]
    return tuple(sorted({cell.status.word if cell.status else cell.text for cell in cells}))


def _catalogue_row(model: Model, found: ModelsOverview) -> tuple[Cell, ...]:
    limits = model.limits
    can = [_words(each.name) for each in model.capabilities.values() if each.holds]
    return (
        Cell(one_line(model.name, 70) + (" (alias)" if model.alias else "")),
        Cell(model.kind),
        Cell("", status=Status(*STAGES[model.life_cycle(found.today)])),
        Cell(str(model.retires_on) if model.retires_on else "–"),
        Cell(_count(limits.context_tokens), limits.context_tokens),
        Cell(_count(limits.max_output_tokens), limits.max_output_tokens),
        Cell(", ".join(name for name in can if name != "text generation") or "–"),
    )


def _changes(found: ModelsOverview) -> Table:
    return Table(
        caption="What changed in the registry",
        columns=(
            Column("at", "When"),
            Column("what", "What"),
            Column("subject", "Of"),
            Column("why", "Why", wide=True),
            Column("by", "By"),
        ),
        rows=tuple(
            (
                Cell(moment(each.at)),
                Cell(each.kind),
                Cell(one_line(each.subject, 60)),
                Cell(one_line(each.why)),
                Cell(one_line(each.actor, 40)),
            )
            for each in found.changes[:CHANGES]
        ),
        empty="Nothing changed since the registry was begun. `assay models sync` brings it up to the catalogues.",
    )


def _unregistered(found: ModelsOverview) -> Table:
    return Table(
        caption="In use, and unknown to the registry",
        columns=(
            Column("model", "Model"),
            Column("provider", "Provider"),
            Column("feature", "Serves"),
            Column("requests", "Requests", right=True),
            Column("unpriced", "Unpriced", right=True),
        ),
        rows=tuple(
            (
                Cell(words.named(use.model)),
                Cell(words.named(use.provider)),
                Cell(words.named(use.feature)),
                Cell(count(use.performed.requests), use.performed.requests),
                Cell(count(use.performed.unpriced), use.performed.unpriced),
            )
            for use in found.unregistered
        ),
        note="Declare them in models.yaml in ASSAY_HOME, then: assay models sync" if found.unregistered else "",
        empty="Every model in use is in the registry.",
    )
