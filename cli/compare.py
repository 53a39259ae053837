"""assay compare: models side by side, on the cases that all of them answered."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    from evaluations.estimates import Estimate
    from evaluations.leaderboards import Pairing
    from evaluations.model_comparison import ModelComparison, Side


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--feature", help="Only suites of this feature; months are of its traffic.")
@click.option("--use-case", help="Adds how well each suits it, as the registry has it.")
@click.option("--catalogue", is_flag=True, help="Where they share no cases: what is documented, priced and used.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with intervals, instead of writing the page.")
def compare(models: tuple[str, ...], feature: str | None, use_case: str | None, catalogue: bool, as_json: bool) -> None:
    """Models side by side, and where each stands between cost and quality.

    A model is named by its id or by what runs call it. Compared are cases that all of them answered in
    completed runs, by the same prompt and scorers: no model is called. Writes the page with its twins.

    \b
      assay compare large small
      assay compare openai/gpt-4o openai/gpt-4o-mini --feature chatbot
    """
    from reports.files import jsonable
    from tasks.comparing import Asked, compare_models, publish_comparison

    found = compare_models(Asked(models=models, feature=feature, use_case=use_case, catalogue=catalogue))
    if as_json:
        click.echo(json.dumps(jsonable(found), allow_nan=False))
        return
    click.echo(_as_table(found))
    click.echo(f"Page: {publish_comparison(found)}")


def _as_table(found: "ModelComparison") -> str:
    from evaluations.wording import count, duration, percent
    from reports.views.comparison import verdict_of

    verdict, sat = verdict_of(found), found.sitting
    if sat is None:
        return "\n".join([f"{verdict.head}{verdict.rest}", *_catalogue(found)])
    marks = "Sample data: " if sat.sample_data else ""
    told = [
        f"{marks}{verdict.head}{verdict.rest}",
        f"{count(sat.cases, 'case')} of {sat.suite} that all of them answered",
        f"{'model':<30}{'accuracy':>10}{'(95 %)':>14}{'median':>10}{'answered':>10}{'$/1,000':>11}{'month':>10}"
        "  stands",
    ]
    standings = {each.point.name: each.standing for each in found.standings}
    for side in found.sides:
        cost = None if side.answer_cost is None else _money(side.answer_cost.value * 1000)
        told.append(
            f"{side.name[:29]:<30}{_said(side.accuracy, percent):>10}{_between(side.accuracy):>14}"
            f"{_said(side.speed, duration):>10}{_said(side.reliability, percent):>10}{cost or '-':>11}"
            f"{_month(side):>10}  {standings[side.name]}"
        )
        told += [f"  a month: {note}" for note in (side.month.notes if side.month else ())]
    for pairing in found.boards["pass_rate"].pairings[:12] if "pass_rate" in found.boards else ():
        p = "" if pairing.adjusted_p is None else f" (p = {pairing.adjusted_p:.3g} by Holm, n = {pairing.n})"
        if pairing.ahead is None:
            told.append(
                f"  {pairing.first} and {pairing.second}: {pairing.why or 'no clear difference'}{p}{_gap(pairing)}"
            )
        else:
            other = pairing.second if pairing.ahead == pairing.first else pairing.first
            told.append(f"  {pairing.ahead} is better than {other}{p}{_gap(pairing)}")
    return "\n".join(told)


def _catalogue(found: "ModelComparison") -> "Iterator[str]":
    """What is known of models that share no cases; a dash is what nobody says."""
    from evaluations.models import Limits

    titles = ("1K tokens in", "out", "context", "answer", "a minute", "month")
    yield f"{'model':<36}{_columns(titles)}  life cycle"
    for side in found.sides:
        limits = side.registry.limits if side.registry else Limits()
        life = side.registry.life_cycle(found.on) if side.registry else "not in the registry"
        tokens = (limits.context_tokens, limits.max_output_tokens, limits.requests_per_minute)
        prices = side.per_thousand_tokens() or (None, None)
        yield f"{side.name[:35]:<36}{_columns((*map(_dollars, prices), *map(_number, tokens), _month(side)))}  {life}"
        yield from (f"  {line}" for line in _known_of(side))
        yield from (f"  a month: {note}" for note in (side.month.notes if side.month else ()))


def _columns(cells: "Sequence[str]") -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, (14, 10, 11, 9, 10, 10), strict=True))


def _known_of(side: "Side") -> "Iterator[str]":
    from evaluations.wording import duration, percent

    known = side.registry.capabilities.values() if side.registry else ()
    for word, holds in (("can", True), ("cannot", False)):
        names = sorted(f"{each.name}{' (tested)' if each.tested else ''}" for each in known if each.holds is holds)
        if names:
            yield f"{word} {', '.join(names)}"
    if side.suits is not None:
        yield f"suits {side.suits.use_case}: {side.suits.score:.0f} of 100, {side.suits.origin}"
    if side.production is not None:
        yield f"in production: errors {percent(side.production.value)}, p95 {_said(side.production_p95, duration)}"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _dollars(usd: "Decimal | None") -> str:
    from evaluations.wording import money

    return "-" if usd is None else money(usd)


def _gap(pairing: "Pairing") -> str:
    """The paired difference, first minus second, with its interval."""
    from evaluations.wording import points

    gap = pairing.difference
    if gap is None:
        return ""
    return f": {pairing.first} {points(gap.value)} ({points(gap.low)} to {points(gap.high)})"


def _money(usd: float) -> str:
    """US dollars, for a terminal."""
    from decimal import Decimal

    return _dollars(Decimal(str(usd)))


def _said(found: "Estimate | None", words: "Callable[[float], str]") -> str:
    return "-" if found is None else words(found.value)


def _between(found: "Estimate | None") -> str:
    from evaluations.wording import percent_interval

    return "-" if found is None else percent_interval(found.low, found.high)


def _month(side: "Side") -> str:
    from evaluations.wording import money

    if side.month is None:
        return "-"
    return "unpriced" if side.month.month is None else money(side.month.month)
