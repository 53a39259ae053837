"""assay experiments: declare experiments, start and end them, and read what was found."""

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.telling import tell_soon
from evaluations.experiments import STATUSES, Status

if TYPE_CHECKING:
    from evaluations.experiments import Metric
    from tasks.store.decisions import EstimateLine
    from tasks.store.experiments import StoredExperiment

WATCH_EVERY_S = 2.0


@click.group()
def experiments() -> None:
    """Compare variants, offline on the cases of a suite or live on a share of the traffic.

    \b
    A file declares what is compared and what will decide, before anything is looked at:
      assay experiments create shipping.yaml    write it down as a draft
      assay experiments run shipping-v4         start it; what it declared is frozen from here on
      assay experiments watch shipping-v4       how far it is
      assay experiments winner shipping-v4      what was decided, and on which evidence

    Live, the split is published as an OpenFeature flag (flagd); the application writes `experiment` and
    `variant` on its requests. How: docs/experiments.md.
    """


_NAME = click.argument("name")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
_WHY = click.option("--why", required=True, metavar="TEXT", help="The reason; it stays on record.")


@experiments.command()
@_FILE
def create(file: Path) -> None:
    """Write the experiment of FILE down as a draft."""
    from tasks.experiments import create as create_draft
    from tasks.experiments import read_experiment

    name = read_experiment(file).spec.experiment
    create_draft(file)
    click.echo(f"{name} is a draft. Start it: assay experiments run {name}")


@experiments.command()
@_NAME
@_FILE
def update(name: str, file: Path) -> None:
    """Declare the draft NAME anew, from FILE. What has started is frozen."""
    from tasks.experiments import update as update_draft

    update_draft(name, file)
    click.echo(f"{name} is declared anew.")


@experiments.command()
@_NAME
def delete(name: str) -> None:
    """Delete the draft NAME. What was started can be cancelled, and stays on record."""
    from tasks.experiments import delete as delete_draft

    delete_draft(name)
    click.echo(f"{name} is deleted.")


@experiments.command("list")
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only these. Repeatable.")
@click.option("--feature", help="Only experiments on this feature.")
@click.option("--project", help="Only experiments of this project.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@_JSON
def list_(statuses: tuple[Status, ...], feature: str | None, project: str | None, limit: int, as_json: bool) -> None:
    """Experiments, the latest first."""
    from tasks.store.database import transaction
    from tasks.store.experiments import list_experiments

    with transaction() as connection:
        found = list_experiments(connection, statuses=statuses, feature=feature, project=project, limit=limit)
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found]))
        return
    if not found:
        click.echo("No such experiments." if statuses or feature or project else _NONE_YET)
        return
    click.echo(f"{'experiment':<28}{'feature':<18}{'design':<16}{'status':<11}{'outcome':<15}{'winner'}")
    for each in found:
        outcome = each.decision.outcome if each.decision else "-"
        winner = (each.decision.variant if each.decision else None) or "-"
        click.echo(
            f"{each.name[:26]:<28}{each.spec.feature[:16]:<18}{each.spec.design:<16}{each.status:<11}{outcome:<15}{winner}"
        )


_NONE_YET = "No experiments yet. Declare one: assay experiments create FILE (docs/experiments.md has examples)"


@experiments.command()
@_NAME
@_JSON
def show(name: str, as_json: bool) -> None:
    """What NAME declared, where it is in its life, and what was decided."""
    from tasks.store.database import transaction
    from tasks.store.experiments import events_of, find_experiment

    with transaction() as connection:
        found = find_experiment(connection, name)
        events = events_of(connection, found.id)
    if as_json:
        life = [{"to": e.after, "why": e.why, "actor": e.actor, "at": e.at.isoformat()} for e in events]
        click.echo(json.dumps({**_as_json(found), "declared": json.loads(found.spec.model_dump_json()), "life": life}))
        return
    spec = found.spec
    click.echo(f"{found.name}: {found.status}, {spec.design} on {spec.feature}")
    if spec.description:
        click.echo(f"  {spec.description}")
    for variant in spec.variants:
        share = f" {variant.traffic}%" if variant.traffic is not None else ""
        click.echo(f"  {variant.name}{share}{' (control)' if variant.control else ''}")
    for role, metric in spec.metrics:
        margin = f", margin {metric.margin:g}" if metric.margin is not None else ""
        effect = f", smallest effect of interest {metric.minimum_effect:g}" if metric.minimum_effect else ""
        click.echo(f"  {role}: {metric.metric}{effect}{margin}")
    looks = f", {spec.looks} looks" if spec.looks > 1 else ""
    click.echo(
        f"  rule: {spec.method}{looks}, alpha {spec.alpha:g}, power {spec.power:g}, correction {spec.correction}"
    )
    if found.config_hash:
        click.echo(f"  frozen as {found.config_hash[:12]}")
    for event in events:
        why = f" ({event.why})" if event.why else ""
        click.echo(f"  {event.at:%Y-%m-%d %H:%M} UTC  {event.after} by {event.actor}{why}")
    if found.decision is not None:
        click.echo(f"  decided: {found.decision.sentence}")


@experiments.command()
@_NAME
@click.option("--dry-run", is_flag=True, help="Offline: print calls, tokens, cost and time; start nothing.")
@click.option("--allow-unpriced", is_flag=True, help="Offline: run models whose price is unknown despite a cost limit.")
@click.option("--at-its-time", is_flag=True, help="Live: let it start by itself at its `starts_at`.")
@_JSON
def run(name: str, dry_run: bool, allow_unpriced: bool, at_its_time: bool, as_json: bool) -> None:
    """Start NAME. What it declared is frozen from here on.

    Offline every variant answers every case of the suite, interleaved, and the verdict follows; Ctrl-C stops in
    order, and the same command goes on. Live the split is published for the applications to read.
    """
    from tasks.store.database import transaction
    from tasks.store.experiments import find_experiment

    with transaction() as connection:
        found = find_experiment(connection, name)
    if found.spec.design == "live_split":
        _start_live(found, dry_run=dry_run, at_its_time=at_its_time)
        return
    if at_its_time:
        raise click.UsageError("--at-its-time is for live experiments; a schedule of Prefect starts offline ones.")
    _run_offline(found.name, dry_run=dry_run, allow_unpriced=allow_unpriced, as_json=as_json)


def _start_live(found: "StoredExperiment", *, dry_run: bool, at_its_time: bool) -> None:
    from tasks.experiments import schedule, start_live
    from tasks.flags import flag_file

    if dry_run:
        raise click.UsageError("--dry-run is for offline experiments: a live one calls no model.")
    if at_its_time:
        starts_at = schedule(found.name).starts_at
        click.echo(f"{found.name} starts at {starts_at:%Y-%m-%d %H:%M} UTC.")
        return
    started = start_live(found.name)
    shares = ", ".join(f"{variant.name} {variant.traffic}%" for variant in started.spec.variants)
    click.echo(f"{started.name} runs: {shares} of {started.spec.feature} in {started.spec.environment}.")
    if started.planned_n:
        click.echo(f"It needs {started.planned_n:,} units in its smallest arm.")
    click.echo(f"Flags: {flag_file(started.spec.environment)}")


def _run_offline(name: str, *, dry_run: bool, allow_unpriced: bool, as_json: bool) -> None:
    from cli.driving import drive, looker, show_for
    from cli.plans import tell_plan
    from cli.run import use_prefect
    from tasks.experiments import plan

    if dry_run:
        tell_plan(plan(name), brief=False)
        return
    use_prefect()
    from flows.experiment_run import experiment_run

    drive(lambda: experiment_run(experiment=name, allow_unpriced=allow_unpriced), show_for(as_json=as_json), looker())
    _tell_decision(name)


def _tell_decision(name: str) -> None:
    from tasks.store.database import transaction
    from tasks.store.decisions import latest_look
    from tasks.store.experiments import find_experiment

    with transaction() as connection:
        found = find_experiment(connection, name)
        look = latest_look(connection, found.id)
    if look is None:
        click.echo(
            f"{found.name} is {found.status}; nothing was concluded yet. Go on: assay experiments run {found.name}"
        )
        return
    click.echo(look.sentence)


@experiments.command()
@_NAME
@_WHY
def pause(name: str, why: str) -> None:
    """Give all traffic of NAME back to the control for a while."""
    _step(name, "paused", why)


@experiments.command()
@_NAME
def resume(name: str) -> None:
    """Go on with NAME after a pause; every unit gets the variant it had."""
    _step(name, "running", "resumed")


@experiments.command()
@_NAME
@_WHY
def cancel(name: str, why: str) -> None:
    """End NAME without a verdict. What was measured stays; it proves nothing, because stopping may depend on it."""
    _step(name, "cancelled", why)


def _step(name: str, to: Status, why: str) -> None:
    from tasks.experiments import step

    after = step(name, to, why)
    click.echo(f"{after.name} is {after.status}.")


@experiments.command()
@_NAME
@click.option("--once", is_flag=True, help="Print one line and leave.")
@_JSON
def watch(name: str, once: bool, as_json: bool) -> None:
    """How far NAME is, every two seconds until it ends. Effects are not shown: looking at them is a look."""
    from tasks.experiment_progress import progress

    before = ""
    while True:
        seen = progress(name)
        line = json.dumps(seen.as_json()) if as_json else str(seen)
        if line != before:
            click.echo(line)
            before = line
        if once or seen.over:
            return
        time.sleep(WATCH_EVERY_S)


@experiments.command()
@_NAME
@_JSON
def analyse(name: str, as_json: bool) -> None:
    """Look at NAME now, as far as its method allows, and write its page.

    A fixed experiment is looked at once, at its planned number; before that its effects stay unseen. The flow
    ab-analysis does the same for all that run, by schedule.
    """
    import asyncio

    from cli.run import use_prefect
    from tasks.experiment_analysis import under_way

    under_way(name)
    use_prefect()
    from flows.ab_analysis import ab_analysis

    asyncio.run(ab_analysis(experiment=name))
    _tell_look(name, as_json=as_json)


@experiments.command()
@_NAME
@_JSON
def comparison(name: str, as_json: bool) -> None:
    """What the last look at NAME found, metric by metric, side by side."""
    _tell_look(name, as_json=as_json)


def _tell_look(name: str, *, as_json: bool) -> None:
    from tasks.store.database import transaction
    from tasks.store.decisions import estimates_of, latest_look
    from tasks.store.experiments import find_experiment

    with transaction() as connection:
        found = find_experiment(connection, name)
        look = latest_look(connection, found.id)
        lines = [] if look is None else estimates_of(connection, look.id)
    if look is None:
        _say(as_json, {"experiment": found.name, "look": None}, f"{found.name} is {found.status}; no look was due yet.")
        return
    if as_json:
        estimates = [{key: getattr(line, key) for key in line.__dataclass_fields__} for line in lines]
        told = {"experiment": found.name, "look": look.look, "verdict": look.verdict, "sentence": look.sentence}
        click.echo(json.dumps({**told, "at": look.at.isoformat(), "estimates": estimates, "facts": dict(look.facts)}))
        return
    click.echo(look.sentence)
    metrics = {given.metric: found.spec.metric(given) for _, given in found.spec.metrics}
    for line in lines:
        click.echo(f"  {line.role:<10}{line.metric:<20}{line.variant:<20}{_effect(line, metrics[line.metric])}")
    click.echo(f"Look {look.look} at {look.at:%Y-%m-%d %H:%M} UTC. Page: assay report experiment {found.name}")


def _effect(line: "EstimateLine", metric: "Metric") -> str:
    from evaluations.estimates import Estimate
    from evaluations.experiment_words import interval, signed

    if line.value is None:
        return f"not determined ({line.verdict.replace('_', ' ')})"
    low = -math.inf if line.low is None else line.low
    high = math.inf if line.high is None else line.high
    bounds = (
        ""
        if math.isinf(low) or math.isinf(high)
        else interval(Estimate(value=line.value, low=low, high=high, n=line.n, confidence=line.confidence), metric)
    )
    return f"{signed(line.value, metric):<14}{bounds:<34}{line.verdict.replace('_', ' ')}"


@experiments.command()
@_NAME
@_JSON
def winner(name: str, as_json: bool) -> None:
    """What was decided about NAME, by whom, by which rule and on which evidence. There may be no winner."""
    from tasks.store.database import transaction
    from tasks.store.decisions import decisions_of
    from tasks.store.experiments import find_experiment

    with transaction() as connection:
        found = find_experiment(connection, name)
        decided = decisions_of(connection, found.id)
    if as_json:
        told = [
            {
                "outcome": each.outcome,
                "winner": each.variant,
                "rule": each.rule,
                "sentence": each.sentence,
                "automatic": each.automatic,
                "actor": each.actor,
                "why": each.why,
                "at": each.at.isoformat(),
            }
            for each in decided
        ]
        click.echo(json.dumps({"experiment": found.name, "status": found.status, "decisions": told}))
        return
    if not decided:
        click.echo(f"{found.name} is {found.status}; nothing is decided.")
        return
    for each in decided:
        click.echo(f"{each.at:%Y-%m-%d %H:%M} UTC  {each.sentence}")
        click.echo(f"  {'by rule' if each.automatic else f'by {each.actor}'}: {each.rule}")


@experiments.command()
@_NAME
@click.option("--profile", help="Another scoring profile; after the start that is a look after the fact.")
@_JSON
def scoring(name: str, profile: str | None, as_json: bool) -> None:
    """How the variants of NAME rank by the composite score, and how the ranking moves with the weights.

    It ranks; it does not decide.
    """
    from tasks.experiment_pages import scores_of

    found = scores_of(name, profile)
    if as_json:
        click.echo(json.dumps(found.as_json()))
        return
    click.echo(found.profile)
    for score in found.scores:
        total = "incomplete" if score.total is None else f"{score.total:.1f}"
        missing = f" (missing: {', '.join(score.missing)})" if score.missing else ""
        click.echo(f"  {score.rank or '-':<4}{score.variant:<24}{total}{missing}")
    for change in (each for each in found.sensitivity if not each.same_leader):
        click.echo(f"  with {change.change}: {change.ranking[0]} leads")


def _say(as_json: bool, told: dict[str, Any], sentence: str) -> None:
    click.echo(json.dumps(told) if as_json else sentence)


@experiments.command()
@_NAME
@click.option("--none", is_flag=True, help="No variant: the control stays.")
@click.option("--winner", metavar="VARIANT", help="The variant that is to win.")
@_WHY
def override(name: str, none: bool, winner: str | None, why: str) -> None:
    """Put a person's decision in place of the rule's. Both stay on record and are shown together."""
    from tasks.experiments import override as decide_otherwise

    if none == (winner is not None):
        raise click.UsageError("say --winner VARIANT, or --none.")
    click.echo(decide_otherwise(name, winner, why).sentence)
    tell_soon()


def _as_json(found: "StoredExperiment") -> dict[str, Any]:
    decision = found.decision
    return {
        "id": str(found.id),
        "experiment": found.name,
        "feature": found.spec.feature,
        "project": found.spec.project,
        "environment": found.spec.environment if found.spec.design == "live_split" else None,
        "design": found.spec.design,
        "type": found.spec.type,
        "status": found.status,
        "config_hash": found.config_hash,
        "planned_n": found.planned_n,
        "run": None if found.run_id is None else str(found.run_id),
        "started_at": None if found.started_at is None else found.started_at.isoformat(),
        "ended_at": None if found.ended_at is None else found.ended_at.isoformat(),
        "outcome": None if decision is None else decision.outcome,
        "winner": None if decision is None else decision.variant,
        "sentence": None if decision is None else decision.sentence,
    }
