"""assay select: the model that a policy chooses for a feature, with every reason; published if asked to."""

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.customer import AMOUNT

if TYPE_CHECKING:
    from evaluations.selection import Selected
    from tasks.selecting import Selection

QUALITY = 1
"""Exit code when no model qualifies."""


@click.command()
@click.argument("feature")
@click.option("--environment", default="production", show_default=True, help="Whose limits hold, whose flag it is.")
@click.option("--complexity", type=click.Choice(["low", "medium", "high"]), help="As its prompts are, unless given.")
@click.option("--volume", type=click.Choice(["light", "moderate", "heavy"]), help="As its traffic is, unless given.")
@click.option("--urgency", type=click.Choice(["real-time", "near-real-time", "batch"]), help="Real-time unless given.")
@click.option("--accuracy", type=click.Choice(["basic", "standard", "high", "critical"]), help="Default: standard.")
@click.option("--cost-sensitivity", type=click.Choice(["low", "medium", "high"]), help="Default: medium.")
@click.option("--need", "needs", multiple=True, help="A capability it cannot do without, e.g. vision; may be repeated.")
@click.option("--use-case", help="A use case that benchmarks have to have measured it to suit; docs/models.md.")
@click.option("--region", help="Where it has to be served, as its provider calls it, e.g. eu-west-1.")
@click.option("--max-month", type=AMOUNT, help="The most that a month may cost, in US dollars.")
@click.option("--policy", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A policy file.")
@click.option("--publish", is_flag=True, help="Let applications have it: the choice joins the feature's flag.")
@click.option("--withdraw", is_flag=True, help="Take the published choice back instead: the live bundle holds again.")
@click.option("--why", default="", help="Written beside the choice.")
@click.option("--history", is_flag=True, help="List what was selected for the feature instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: constraints, every candidate, every check.")
def select(
    feature: str,
    environment: str,
    complexity: str | None,
    volume: str | None,
    urgency: str | None,
    accuracy: str | None,
    cost_sensitivity: str | None,
    needs: tuple[str, ...],
    use_case: str | None,
    region: str | None,
    max_month: Decimal | None,
    policy: Path | None,
    publish: bool,
    withdraw: bool,
    why: str,
    history: bool,
    as_json: bool,
) -> None:
    """The model that a policy chooses for a feature, and why each of the others is not it.

    Candidates are the models that its suites and its traffic measured. Each has to meet every constraint: what
    is not known meets none. Of those that do the cheapest is taken, as near to the best as the sensitivity to
    cost asks. The choice is written down. Exit code 1: none qualifies.

    \b
      assay select chatbot --accuracy high
      assay select chatbot --urgency batch --cost-sensitivity high --publish --why "cheaper by night"
      assay select chatbot --withdraw
    """
    from evaluations.models import capability_named
    from tasks import selecting

    if withdraw:
        click.echo(f"Withdrawn. Flags: {selecting.withdraw(feature, environment, why)}")
        return
    if history:
        click.echo(_history(feature))
        return
    given = {
        "complexity": complexity,
        "volume": volume,
        "urgency": urgency.replace("-", "_") if urgency else None,
        "accuracy": accuracy,
        "cost_sensitivity": cost_sensitivity,
        "needs": tuple(capability_named(name) for name in needs) or None,
        "use_case": use_case,
        "region": region,
    }
    found = selecting.select_for(
        selecting.SelectionRequest(
            feature=feature,
            environment=environment,
            given={name: value for name, value in given.items() if value is not None},
            month_at_most=max_month,
            policy=policy,
        ),
        publish=publish,
        why=why,
    )
    click.echo(_as_json(found) if as_json else _as_text(found))
    if found.selected.chosen is None:
        raise SystemExit(QUALITY)


def _as_text(found: "Selection") -> str:
    selected = found.selected
    told = [selected.sentence, *_asked(selected), ""]
    for each in selected.considered:
        mark = "->" if each.chosen else "  "
        told.append(f"{mark} {each.candidate.model}: {each.why}")
        told += [f"     {'ok' if check.holds else 'no'}  {check.name}: {check.said}" for check in each.checks]
    told.append("")
    told.append(f"Selection {found.stored.id}, policy {selected.policy} {selected.policy_version}.")
    if found.flags is not None:
        told.append(f"Published: {found.flags}")
    elif selected.chosen is not None:
        told.append("Not published: --publish lets applications have it.")
    return "\n".join(told)


def _asked(selected: "Selected") -> list[str]:
    return [f"  {line}" for line in selected.because]


def _history(feature: str) -> str:
    from tasks.store.database import transaction
    from tasks.store.selections import list_selections

    with transaction() as connection:
        found = list_selections(connection, feature)
    if not found:
        return f"Nothing was selected for {feature} yet."
    return "\n".join(
        f"{each.id:>5}  {each.at:%Y-%m-%d %H:%M}  {each.environment:<12}"
        f"{'withdrawn' if each.withdrawn else 'published' if each.published else 'noted':<11}"
        f"{each.model or '-':<34}{each.policy} {each.policy_version}  {each.actor}: {each.why}"
        for each in found
    )


def _as_json(found: "Selection") -> str:
    from reports.files import jsonable

    chosen = found.selected.chosen
    return json.dumps(
        {
            "selection": found.stored.id,
            "model": None if chosen is None else chosen.model,
            "published": found.stored.published,
            "flags": None if found.flags is None else str(found.flags),
            **jsonable(found.selected),
        },
        allow_nan=False,
    )
