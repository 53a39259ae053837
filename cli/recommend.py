"""assay recommend, assay recommendations: what should change and why; what became of it, and what it saved."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.run import Money

if TYPE_CHECKING:
    from evaluations.recommending.answers import FeatureAnswer, Status, StoredRecommendation
    from evaluations.recommending.evidence import Requirements
    from evaluations.recommending.recommendation import Advice, Mode, Recommendation
    from tasks.recommendation_lists import Measured

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, with every number behind the answer.")
_ENVIRONMENT = click.option(
    "--environment", default="production", show_default=True, help="Where the model in use is looked up."
)
_REQUESTS = click.option(
    "--requests", type=click.FloatRange(0, 1e12, min_open=True), help="A month, instead of the measured volume."
)
_ASKED = (
    click.argument("feature"),
    click.option("-m", "--model", "wanted", multiple=True, metavar="MODEL", help="Only this candidate. Repeatable."),
    click.option(
        "--incumbent", metavar="MODEL", help="The model in use; else the live bundle, selection or traffic says."
    ),
    click.option(
        "--margin",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.02,
        show_default=True,
        help="So much of the share that passes may be lost.",
    ),
    click.option("--need", "needs", multiple=True, help="A capability it cannot do without. Repeatable."),
    click.option("--context", type=click.IntRange(1), help="Tokens of context that it has to take."),
    click.option("--provider", "providers", multiple=True, help="Only models of this provider. Repeatable."),
    click.option("--region", help="It has to be served there, as its provider calls it."),
    click.option("--max-p95", type=click.FloatRange(0, min_open=True), help="Milliseconds that 95% of calls may take."),
    click.option("--max-errors", type=click.FloatRange(0, 1), help="Share of calls that may fail."),
    click.option("--max-request-cost", type=Money(), help="US dollars that a request may cost on average."),
    _REQUESTS,
    _ENVIRONMENT,
    _JSON,
)


def _asked(command: Any) -> Any:
    for option in reversed(_ASKED):
        command = option(command)
    return command


@click.group()
def recommend() -> None:
    """What to change, what that saves and how sure it is; or why nothing should, and what would change that.

    \b
    Which model, told from answers to the same cases, the traffic and today's prices:
      assay recommend alternatives chatbot             instead of the one in use, the cheapest first
      assay recommend use-case chatbot --need vision   the best measured one that meets every limit
      assay recommend budget chatbot --budget 200      the best that stays within 200 dollars a month
    More than one model, and other ways to save:
      assay recommend mix --budget 500                 one model for each feature
      assay recommend routing chatbot                  a cheap model first, the strong one where it pays
      assay recommend waste                            caches, retries, long prompts, prompts asked twice
    And all of it, written down for `assay recommendations`, as nightly does:
      assay recommend all

    A loss within the margin does not matter; one beyond it has to be ruled out. Nothing is changed by asking.
    How it is decided: docs/recommendations.md.
    """


@recommend.command(short_help="Another model for the one in use, the cheapest first.")
@_asked
def alternatives(as_json: bool, **given: Any) -> None:
    """What could do the work of FEATURE instead of the model in use, the cheapest first."""
    _tell(_ask("alternatives", **given), as_json)


@recommend.command("use-case", short_help="The best measured model that meets every limit.")
@_asked
def use_case(as_json: bool, **given: Any) -> None:
    """The best measured model for FEATURE that meets every limit, whatever is in use."""
    _tell(_ask("use_case", **given), as_json)


@recommend.command(short_help="The best measured model within a budget.")
@click.option("--budget", type=Money(), required=True, help="US dollars a month, held against the upper ends.")
@_asked
def budget(budget: Decimal, as_json: bool, **given: Any) -> None:
    """The best measured model for FEATURE that stays within a budget, at the upper ends of volume and cost."""
    _tell(_ask("budget", budget=budget, **given), as_json)


@recommend.command(short_help="One model for each feature.")
@click.argument("features", nargs=-1)
@click.option("--budget", type=Money(), help="US dollars a month of all features together, at the upper ends.")
@click.option("--goal", type=click.Choice(["quality", "cost"]), default="quality", show_default=True)
@click.option("--quality-floor", type=click.FloatRange(0, 1), help="Of the mean quality over features.")
@click.option("--feature-floor", type=click.FloatRange(0, 1), help="Of each feature's quality, at its lower bound.")
@click.option("--max-p95", type=click.FloatRange(0, min_open=True), help="Milliseconds that 95% of calls may take.")
@_REQUESTS
@_ENVIRONMENT
@_JSON
def mix(
    features: tuple[str, ...],
    budget: Decimal | None,
    goal: str,
    quality_floor: float | None,
    feature_floor: float | None,
    max_p95: float | None,
    requests: float | None,
    environment: str,
    as_json: bool,
) -> None:
    """One model for each of FEATURES, all unless given: the best quality within a budget, or the lowest cost.

    Prints the mixes that no other one beats, too.
    """
    from reports.files import jsonable
    from tasks.mixing import MixQuestion, advise_mix

    found = advise_mix(
        MixQuestion(
            features=features,
            budget=budget,
            goal="cost" if goal == "cost" else "quality",
            floor=quality_floor,
            feature_floor=feature_floor,
            p95_ms=max_p95,
            requests=requests,
            environment=environment,
        )
    )
    if as_json:
        click.echo(json.dumps(jsonable(found), allow_nan=False))
        return
    from evaluations.wording import money, percent

    click.echo(_marked("A mix of models:", found.sample_data))
    for feature, option in found.mix.chosen.items():
        changed = "  (changes)" if feature in found.mix.changes else ""
        click.echo(
            f"  {feature:<20}{option.model:<34}{percent(option.quality):>8}{money(option.monthly_cost):>12}{changed}"
        )
    saving = found.mix.saving
    click.echo(
        f"{money(found.mix.monthly_cost)} a month, at most {money(found.mix.monthly_cost_high)}; "
        f"mean quality {percent(found.mix.quality)}"
        + ("" if saving is None else f"; saves {money(saving)}" if saving >= 0 else f"; costs {money(-saving)} more")
    )
    click.echo("Mixes that no other one beats, the cheapest first:")
    for each in found.frontier:
        models = ", ".join(f"{feature}: {model}" for feature, model in each.models.items())
        click.echo(f"  {money(each.monthly_cost):>12}{percent(each.quality):>9}  {models}")
    for why in found.left_out:
        click.echo(f"Left out: {why}")


@recommend.command(short_help="A cheap model first, the strong one where it pays.")
@click.argument("feature")
@click.option(
    "--loss",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.02,
    show_default=True,
    help="So much may be lost against the strong model alone.",
)
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the rule as a policy that a suite's `route` takes; see docs/recommendations.md.",
)
@_REQUESTS
@_ENVIRONMENT
@_JSON
def routing(
    feature: str, loss: float, save: Path | None, requests: float | None, environment: str, as_json: bool
) -> None:
    """Whether a cheap model should answer FEATURE first, and the strong one only where it is worth its price.

    The rule is learned on half of the cases and judged on the others.
    """
    from evaluations.wording import percent, points
    from reports.files import jsonable
    from tasks.routing import advise_routing, save_policy

    found = advise_routing(feature, loss=loss, requests=requests, environment=environment)
    if save is not None:
        save_policy(found, save)
        click.echo(
            f"The policy is in {save}; a suite tries it beside {found.weak} and {found.strong}. Take cases it was not "
            "learned from: on those it does better than it will.",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(jsonable(found), allow_nan=False))
        return
    if found.recommendation is not None:
        for line in _lines(found.recommendation):
            click.echo(_marked(line, found.sample_data) if line == found.recommendation.title else line)
        return
    held_out = found.held_out
    above, saving, lost = held_out.above_line, held_out.saving, held_out.loss
    rule = f"a rule by {found.learner} that sends {percent(held_out.strong_share)} of the cases to {found.strong}"
    worth = f"is {points(above.value)} above a coin ({points(above.low)} to {points(above.high)})"
    saves = f"saves {percent(saving.value)} ({percent(saving.low)} to {percent(saving.high)}, n = {held_out.n})"
    shown = "nothing is shown" if held_out.loss_shown is None else f"{points(-held_out.loss_shown.high)} at worst"
    between = f"{points(-lost.high)} to {points(-lost.low)}; {shown}, by the one-sided 95% bound, and "
    between += f"{points(-loss) if loss else 'nothing'} may be lost"
    changes = f"changes quality by {points(-lost.value)} ({between})"
    click.echo(_marked(f"Keep one model: {rule} {worth}, {saves} and {changes}.", found.sample_data))


@recommend.command(short_help="Money that brings nothing.")
@click.argument("feature", required=False)
@_ENVIRONMENT
@_JSON
def waste(feature: str | None, environment: str, as_json: bool) -> None:
    """Money of FEATURE, or of every one, that brings nothing: in production and in test runs.

    Looked for are requests that failed and were billed, prompts and replies of three times the usual length, caches
    that could have been read, and in test runs retries, replies that were cut off, and prompts that were asked twice.
    """
    from reports.files import jsonable
    from tasks.recommending import advise_wastes

    found = advise_wastes(feature, environment)
    if as_json:
        click.echo(json.dumps(jsonable(found), allow_nan=False))
        return
    for answer in found:
        click.echo(_marked(answer.feature, answer.sample_data))
        for each in answer.wastes:
            click.echo("\n".join(f"  {line}" for line in _lines(each)))
        if not answer.wastes:
            click.echo("  No waste that is surely 1% of the cost or more.")
        for untold in answer.looked_for:
            click.echo(f"  Not told: {untold}")


@recommend.command("all", short_help="Ask everything, and write down what is new.")
@click.argument("feature", required=False)
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.02,
    show_default=True,
    help="So much of the share that passes may be lost.",
)
@click.option(
    "--after-days",
    type=click.IntRange(7, 366),
    default=30,
    show_default=True,
    help="When what was accepted is measured again.",
)
def everything(feature: str | None, margin: float, after_days: int) -> None:
    """Ask everything about FEATURE, or every one, and write down what is new, as nightly does."""
    import asyncio

    from cli.run import use_prefect
    from tasks.recommendation_lists import listed
    from tasks.recommending import check_feature

    check_feature(feature)
    use_prefect()
    from flows.recommendation import recommendation

    click.echo(asyncio.run(recommendation(feature=feature or "", margin=margin, after_days=after_days)))
    _, decided = listed(None, None, "open")
    if decided.of_bill is not None and decided.of_bill.changes:
        click.echo(decided.of_bill.sentence)
    click.echo("See them: assay recommendations list")


def _ask(
    mode: "Mode",
    *,
    feature: str,
    wanted: tuple[str, ...],
    incumbent: str | None,
    margin: float,
    requests: float | None,
    environment: str,
    budget: Decimal | None = None,
    **limits: Any,
) -> "FeatureAnswer":
    from tasks.recommending import Ask, advise

    return advise(
        feature,
        Ask(
            mode=mode,
            margin=margin,
            environment=environment,
            incumbent=incumbent,
            wanted=wanted,
            requirements=_requirements(**limits),
            budget=budget,
            requests=requests,
        ),
    )


def _requirements(
    *,
    needs: tuple[str, ...],
    context: int | None,
    providers: tuple[str, ...],
    region: str | None,
    max_p95: float | None,
    max_errors: float | None,
    max_request_cost: Decimal | None,
) -> "Requirements":
    from evaluations.models import capability_named
    from evaluations.recommending.evidence import Requirements

    return Requirements(
        capabilities=frozenset(capability_named(name) for name in needs),
        context_tokens=context,
        providers=frozenset(providers) or None,
        region=region,
        p95_latency_ms=max_p95,
        error_rate=max_errors,
        cost_per_request=max_request_cost,
    )


# In words


def _tell(answer: "FeatureAnswer", as_json: bool) -> None:
    from reports.files import jsonable

    if as_json:
        click.echo(json.dumps(jsonable(answer), allow_nan=False))
        return
    assert answer.advice is not None
    click.echo("\n".join(_answer_lines(answer, answer.advice)))


def _answer_lines(answer: "FeatureAnswer", advice: "Advice") -> Iterator[str]:
    from evaluations.wording import count

    best = advice.best
    yield _marked(best.title if best else advice.keep, answer.sample_data)
    if best is not None:
        yield from _lines(best)[1:]
        for other in advice.recommendations[1:]:
            yield f"Also: {other.title} (score {other.score})"
    in_use = f"{answer.incumbent} ({answer.source})" if answer.incumbent else "nobody knows"
    yield f"In use: {in_use}. Measured on {count(advice.n, 'case')} of {answer.suite}."
    yield ""
    yield from _table(advice)
    for each in advice.excluded:
        would = f" What would do: {each.would_do}." if each.would_do else ""
        yield f"Not {each.model}: {each.why}.{would}"


def _table(advice: "Advice") -> Iterator[str]:
    from evaluations.wording import duration, money, percent

    yield f"{'model':<34}{'passes':>8}{'a request':>12}{'a month':>11}{'p95':>9}  "
    for each in advice.compared:
        yield (
            f"{each.model[:33]:<34}"
            f"{'-' if each.level is None else percent(each.level):>8}"
            f"{'unpriced' if each.cost_per_request is None else money(each.cost_per_request):>12}"
            f"{'-' if each.monthly_cost is None else money(each.monthly_cost):>11}"
            f"{'-' if each.p95_latency_ms is None else duration(each.p95_latency_ms):>9}  {each.role.replace('_', ' ')}"
        )


def _lines(found: "Recommendation") -> list[str]:
    """What to change, what it saves, how sure it is, and everything that speaks for and against it."""
    from evaluations.recommending.answers import saving_text, sureness_text

    return [
        found.title,
        f"  {_upper(saving_text(found))}; {sureness_text(found)}; score {found.score} of 100.",
        f"  Impact {found.impact}, effort {found.effort}. {found.description}",
        *(f"  + {each}" for each in found.reasons),
        *(f"  - {each}" for each in found.tradeoffs),
        *(f"  if {each}" for each in found.assumptions),
        *(f"  risk: {each}" for each in found.risks),
    ]


def _upper(said: str) -> str:
    return said[:1].upper() + said[1:]


def _marked(said: str, sample_data: bool) -> str:
    return f"Sample data: {said}" if sample_data else said


# What became of it


@click.group()
def recommendations() -> None:
    """What was recommended: the list, the evidence behind one, your decision, and what it saved.

    \b
      assay recommendations list                       open ones, the highest score first
      assay recommendations show 3                     everything it rests on, and its history
      assay recommendations accept 3 --why "agreed"    it is measured again after 30 days
      assay recommendations dismiss 4 --why "no"       not told again, unless on other evidence
      assay recommendations savings                    projected beside realised
    """


@recommendations.command("list")
@click.option("--feature", help="Of one feature.")
@click.option("--kind", help="One kind: model-substitution, prompt-optimization, usage-reduction, provider-switch.")
@click.option("--status", type=click.Choice(["open", "accepted", "dismissed", "expired", "superseded"]), default="open",
              show_default=True)  # fmt: skip
@click.option("--all", "every", is_flag=True, help="Whatever became of them.")
@_JSON
def list_(feature: str | None, kind: str | None, status: "Status", every: bool, as_json: bool) -> None:
    """Recommendations, the highest score first."""
    from reports.files import jsonable
    from tasks.recommendation_lists import listed

    chosen = None if every else status
    if as_json:
        found, decided = listed(feature, kind, chosen)
        click.echo(json.dumps({"recommendations": jsonable(found), "decided": jsonable(decided)}, allow_nan=False))
        return
    click.echo(as_list(feature, kind, chosen))


def as_list(feature: str | None, kind: str | None, status: "Status | None") -> str:
    """A line for each recommendation, and how many were decided. Raises AssayError for a name that nobody knows."""
    from tasks.recommendation_lists import listed

    found, decided = listed(feature, kind, status)
    none = "None. `assay recommend all` looks for some; --all lists those that are not open."
    return "\n".join([*map(_row, found), *([] if found else [none]), str(decided)])


def _row(each: "StoredRecommendation") -> str:
    from evaluations.recommending.answers import saving_text

    saving = saving_text(each.recommendation)
    sample = "  (sample data)" if each.sample_data else ""
    return (
        f"{each.id:>4}  {each.status:<11}{each.recommendation.score:>3}  {each.recommendation.title}: {saving}{sample}"
    )


@recommendations.command(short_help="The evidence behind one, and its history.")
@click.argument("number", type=click.IntRange(1, 2**62))
@_JSON
def show(number: int, as_json: bool) -> None:
    """Everything that recommendation NUMBER rests on, and what became of it."""
    from reports.files import jsonable
    from tasks.recommendation_lists import shown

    found = shown(number)
    if as_json:
        click.echo(json.dumps(jsonable(found), allow_nan=False))
        return
    each = found.stored
    for line in _lines(each.recommendation):
        click.echo(_marked(line, each.sample_data) if line == each.recommendation.title else line)
    click.echo(f"  Instead of {each.recommendation.current} ({each.incumbent_from}); as of {each.as_of}.")
    click.echo("History:")
    for step in found.steps:
        click.echo(f"  {step.at:%Y-%m-%d %H:%M}  {step.to:<11}{step.actor}: {step.why}")
    for measured in found.measured:
        click.echo(_measured_line(measured))
    if each.status == "open":
        click.echo(f'Decide: assay recommendations accept {each.id} --why "…", or dismiss')


@recommendations.command(short_help="Accept one; it is measured after 30 days.")
@click.argument("number", type=click.IntRange(1, 2**62))
@click.option("--why", required=True, help="Written beside the decision.")
def accept(number: int, why: str) -> None:
    """Accept recommendation NUMBER: what it saves is measured after 30 days. Nothing is changed by it."""
    from evaluations.recommending.answers import next_step
    from tasks.recommendation_lists import decide

    found = decide(number, "accepted", why)
    click.echo(f"Accepted: {found.recommendation.title}. The days from tomorrow on are held against those before.")
    click.echo(f"Do it: {next_step(found)}")


@recommendations.command(short_help="Dismiss one; it is told again on other evidence.")
@click.argument("number", type=click.IntRange(1, 2**62))
@click.option("--why", required=True, help="Written beside the decision.")
def dismiss(number: int, why: str) -> None:
    """Dismiss recommendation NUMBER: it is not told again, unless on other evidence."""
    from tasks.recommendation_lists import decide

    found = decide(number, "dismissed", why)
    click.echo(f"Dismissed: {found.recommendation.title}. It is told again on other evidence alone.")


@recommendations.command(short_help="What was to be saved, and what was.")
@_JSON
def savings(as_json: bool) -> None:
    """The ledger of savings: what accepted recommendations were to save, and what they did."""
    from reports.files import jsonable
    from tasks.recommendation_lists import ledger

    found = ledger()
    if as_json:
        click.echo(json.dumps(jsonable(found), allow_nan=False))
        return
    if not found:
        click.echo("Nothing was measured yet: an accepted recommendation is, 30 days after.")
    for line in found:
        click.echo(_measured_line(line))


def _measured_line(line: "Measured") -> str:
    from evaluations.recommending.answers import measured_text

    return f"{line.of.id:>4}  {line.of.recommendation.title}, {measured_text(line.of.recommendation, line.measurement)}"
