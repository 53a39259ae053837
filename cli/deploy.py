"""assay deploy: bring the winner of an experiment, or a bundle, to a feature's traffic."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.telling import tell_soon
from evaluations.deployments import STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from evaluations.deployments import Policy
    from evaluations.watching import Guard
    from tasks.deploying import Proposal, Wish
    from tasks.store.deployments import StoredDeployment


@click.group()
def deploy() -> None:
    """Bring a winner into production, and know at every moment where it stands.

    \b
      assay deploy preview shipping-v4      what would change, what it costs, what speaks against it
      assay deploy start shipping-v4        ask for it; another person approves
      assay deploy approve 6f1c2d3e         that other person's yes, to exactly this bundle
      assay deploy health                   how what is live does: healthy, warning, critical
      assay deploy status chatbot           where it stands: 10 % -> 50 % -> 100 %, each watched
      assay rollback chatbot                back to the bundle of before, at once

    A deployment is a bundle: prompt version, model and parameters. It advances by looks, every five minutes by the
    flow deploy-watch, or at once by `assay deploy advance`. docs/deployments.md says how and why.
    """


_ID = click.argument("deployment")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_WHY = click.option("--why", required=True, metavar="TEXT", help="The reason; it stays on record.")
_USUAL = {"environment": "production", "steps": "10,50,100", "window": "24h", "alpha": 0.05}
"""Of the arguments of a wish; they are not said again."""
_MAYBE_WHY = click.option("--why", default="", metavar="TEXT", help="The reason; it stays on record.")


def _wish(command: "Callable[..., Any]") -> "Callable[..., Any]":
    """The arguments that say what is to be deployed, where and how."""
    for option in (
        click.option("--no-auto-rollback", is_flag=True, help="What harms waits for a person instead of going back."),
        click.option(
            "--guard",
            "guards",
            multiple=True,
            metavar="METRIC=TOLERATED",
            help="Watch for this harm, e.g. quality=0.02 or latency_ms=20%. Repeatable; replaces the defaults.",
        ),
        click.option(
            "--alpha", type=float, default=_USUAL["alpha"], show_default=True, help="Rate of false rollbacks, in all."
        ),
        click.option(
            "--window", default=_USUAL["window"], show_default=True, help="How long each share is watched: 90s, 2h."
        ),
        click.option(
            "--steps", default=_USUAL["steps"], show_default=True, help="Percent of the units, rising to 100."
        ),
        click.option("--environment", default=_USUAL["environment"], show_default=True, help="Where."),
        click.option(
            "--bundle",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Instead of an experiment: a JSON or YAML file with prompt, model, parameters.",
        ),
        click.option("--feature", help="The feature of that bundle."),
        click.argument("experiment", required=False),
    ):
        command = option(command)
    return command


@deploy.command()
@_wish
@click.option("--html", is_flag=True, help="Write a page about it, to be read before saying yes.")
@_JSON
def preview(html: bool, as_json: bool, **given: Any) -> None:
    """What would change for the feature of EXPERIMENT, what it would cost, what speaks against it. Writes nothing."""
    from tasks.deploying import propose

    proposal = propose(_read(**given))
    if as_json:
        click.echo(json.dumps(_preview_json(proposal), default=str))
        return
    _tell_preview(proposal)
    if html:
        from tasks.deployment_pages import publish_preview

        click.echo(f"Page: {publish_preview(proposal, _asking(bool(proposal.refused), given))}")


def _asking(override: bool, given: dict[str, Any]) -> str:
    """The command that asks for what was previewed."""
    words = ["assay", "deploy", "override" if override else "start"]
    if given["experiment"] is not None:
        words.append(given["experiment"])
    for name in ("feature", "bundle", "environment", "steps", "window", "alpha"):
        if given[name] is not None and given[name] != _USUAL.get(name):
            words += [f"--{name}", str(given[name])]
    words += [part for guard in given["guards"] for part in ("--guard", guard)]
    if given["no_auto_rollback"]:
        words.append("--no-auto-rollback")
    return f"{shlex.join(words)}{' --why …' if override else ''}"


@deploy.command()
@_wish
@_MAYBE_WHY
@_JSON
def start(why: str, as_json: bool, **given: Any) -> None:
    """Ask for the winner of EXPERIMENT, or a --bundle of a --feature, to go live. The same wish twice is one.

    What speaks against it is said, and nothing is written then. In production it waits for another person; elsewhere
    it begins at once where no approval is needed.
    """
    _start(why, "", as_json, given)


@deploy.command()
@_wish
@_WHY
@_JSON
def override(why: str, as_json: bool, **given: Any) -> None:
    """Ask for it although its gate or its checks refuse. What was waived stays on record, and the approver reads it.

    Not waived are a broken split, an experiment without a winner, a provider that is not allowed, a retired model.
    """
    _start(why, why, as_json, given)


def _start(why: str, waive: str, as_json: bool, given: dict[str, Any]) -> None:
    from tasks.advancing import advance
    from tasks.deploying import propose
    from tasks.deploying import start as ask_for

    proposal = propose(_read(**given))
    asked = ask_for(proposal, why=why or "asked for by command", waive=waive)
    stands = advance(asked.id)
    tell_soon()
    if as_json:
        click.echo(json.dumps({**_as_json(asked), "stands": stands}, default=str))
        return
    _tell_preview(proposal)
    click.echo(f"Deployment {asked.name}: {stands}")


@deploy.command()
@_ID
@_MAYBE_WHY
def approve(deployment: str, why: str) -> None:
    """Say yes to DEPLOYMENT, to exactly the bundle that was asked for. Not for whoever asked; ends after a time."""
    from tasks.advancing import advance
    from tasks.deploying import approve as say_yes

    click.echo(advance(say_yes(deployment, why).id))
    tell_soon()


@deploy.command()
@_ID
@_WHY
def reject(deployment: str, why: str) -> None:
    """Say no to DEPLOYMENT: it ends."""
    from tasks.advancing import advance
    from tasks.deploying import reject as say_no

    click.echo(advance(say_no(deployment, why).id))
    tell_soon()


@deploy.command()
@_ID
@_WHY
def promote(deployment: str, why: str) -> None:
    """Let DEPLOYMENT go on to its next share before its window is over."""
    from tasks.advancing import promote as go_on

    click.echo(go_on(deployment, why))
    tell_soon()


@deploy.command()
@_ID
@_WHY
def cancel(deployment: str, why: str) -> None:
    """Take DEPLOYMENT out of the queue, or its canary out of the traffic. What is live: assay rollback."""
    from tasks.deploying import cancel as end

    found = end(deployment, why)
    click.echo(f"{found.feature} in {found.environment}: deployment {found.name} is cancelled.")
    tell_soon()


@deploy.command()
def advance() -> None:
    """Take every step that is due now, of every deployment; the flow deploy-watch does it every five minutes.

    Ends with 3 where one of them could not be looked at; the others had their turn.
    """
    from tasks.advancing import advance_all, mend_flags

    advanced = advance_all()
    click.echo(str(advanced))
    click.echo(mend_flags())
    tell_soon()
    if advanced.failed:
        raise SystemExit(3)


@deploy.command()
@click.option("--environment", default="production", show_default=True, help="Whose flags.")
def publish(environment: str) -> None:
    """Write the flags again as the database says, and hand them over to whatever reads over HTTP.

    Ends with 3 where something did not take them; the next look tries it again.
    """
    from tasks.delivering import deliver
    from tasks.flags import publish_flags
    from tasks.store.database import transaction
    from tasks.store.deployments import environments_in_use
    from tasks.store.models import environment_named

    with transaction() as connection:
        if environment not in environments_in_use(connection):
            environment_named(connection, environment)  # raises for one that there is not
    click.echo(f"Flags: {publish_flags(environment)}")
    done = deliver(environment, again=True)
    for delivery in done:
        click.echo(str(delivery), err=not delivery.delivered)
    if not all(each.delivered for each in done):
        raise SystemExit(3)


@deploy.command("list")
@click.option("--feature", help="Only deployments of this feature.")
@click.option("--environment", help="Only deployments there.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only these. Repeatable.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@_JSON
def list_(feature: str | None, environment: str | None, statuses: tuple[Any, ...], limit: int, as_json: bool) -> None:
    """Deployments, the latest first."""
    from tasks.store.database import transaction
    from tasks.store.deployments import list_deployments

    with transaction() as connection:
        found = list_deployments(connection, feature=feature, environment=environment, statuses=statuses, limit=limit)
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found], default=str))
        return
    if not found:
        click.echo("No such deployments." if feature or environment or statuses else _NONE_YET)
        return
    click.echo(f"{'id':<10}{'feature':<18}{'environment':<13}{'status':<18}{'share':>6}  {'asked for':<22}bundle")
    for each in found:
        mark = "live" if each.live else f"{each.rollout_percent}%"
        asked = f"{each.recorded_at:%Y-%m-%d} {each.actor[:11]}"
        sample = " [sample data]" if each.sample_data else ""
        click.echo(
            f"{each.name:<10}{each.feature[:16]:<18}{each.environment:<13}{each.status.replace('_', ' '):<18}"
            f"{mark:>6}  {asked:<22}{each.bundle}{sample}"
        )


_NONE_YET = "No deployments yet. See what one would change: assay deploy preview EXPERIMENT"


@deploy.command()
@click.argument("what")
@click.option("--environment", default="production", show_default=True, help="Of a feature: where.")
@_JSON
def status(what: str, environment: str, as_json: bool) -> None:
    """Where WHAT stands: a feature, or a deployment by its id. Its life, its windows, its last looks."""
    from tasks.deployment_status import status_of

    seen = status_of(what, environment)
    click.echo(json.dumps(seen.as_json(), default=str) if as_json else str(seen))


@deploy.command()
@click.argument("feature", required=False)
@click.option("--environment", help="Only what is live there.")
@_JSON
def health(feature: str | None, environment: str | None, as_json: bool) -> None:
    """How everything that is live does, or FEATURE: its requests beside their limits and before, and its flags.

    Ends with 1 where something is critical.
    """
    from tasks.deployment_health import healths

    found = healths(feature, environment)
    if as_json:
        from reports.deployment_files import health_json

        click.echo(json.dumps([health_json(each) for each in found]))
    else:
        for each in found:
            click.echo(str(each))
    if any(each.health == "critical" for each in found):
        raise SystemExit(1)


# Reading and telling


def _read(
    experiment: str | None,
    feature: str | None,
    bundle: Path | None,
    environment: str,
    steps: str,
    window: str,
    alpha: float,
    guards: tuple[str, ...],
    no_auto_rollback: bool,
) -> "Wish":
    from tasks.deploying import Wish, read_bundle

    if (experiment is None) == (bundle is None) or (bundle is None) != (feature is None):
        raise click.UsageError("name an EXPERIMENT, or --feature FEATURE with --bundle FILE.")
    return Wish(
        experiment=experiment,
        feature=feature,
        bundle=None if bundle is None else read_bundle(bundle),
        environment=environment,
        policy=_policy(steps, window, alpha, guards, auto_rollback=not no_auto_rollback),
    )


def _policy(steps: str, window: str, alpha: float, guards: tuple[str, ...], *, auto_rollback: bool) -> "Policy":
    from evaluations.deployments import Policy
    from evaluations.specs import seconds
    from evaluations.watching import GUARDS

    try:
        shares = tuple(int(each.strip().rstrip("%")) for each in steps.split(","))
    except ValueError:
        raise click.UsageError(f"--steps {steps}: percents such as 10,50,100.") from None
    try:
        window_s = float(seconds(window))
    except ValueError as problem:
        raise click.UsageError(f"--window {window}: {problem}") from None
    watched = tuple(_guard(each) for each in guards) or GUARDS
    return Policy(steps=shares, window_s=window_s, alpha=alpha, guards=watched, auto_rollback=auto_rollback)


def _guard(given: str) -> "Guard":
    from evaluations.watching import GUARDS, Guard

    metric, _, tolerated = given.partition("=")
    relative = tolerated.endswith("%")
    try:
        value = float(tolerated.rstrip("%")) / (100 if relative else 1)
    except ValueError:
        raise click.UsageError(f"--guard {given}: METRIC=TOLERATED, e.g. quality=0.02 or latency_ms=20%.") from None
    known = next((each for each in GUARDS if each.metric == metric.strip()), None)
    limit = None if known is None else known.limit
    return Guard(metric=metric.strip(), tolerated=value, relative=relative, limit=limit)


def _tell_preview(proposal: "Proposal") -> None:
    from evaluations.wording import money

    where = f"{proposal.feature} in {proposal.environment.name}"
    click.echo(f"{where}{' [sample data]' if proposal.sample_data else ''}")
    click.echo(f"  now:  {proposal.before or 'nothing deployed'}")
    click.echo(f"  then: {proposal.bundle}")
    for each in proposal.differences:
        before = "-" if each.before is None else each.before
        click.echo(f"    {each.what}: {before} -> {'-' if each.after is None else each.after}")
    for line in proposal.prompt_diff:
        click.echo(f"    {line}")
    now = "unknown" if proposal.monthly_cost_now is None else money(proposal.monthly_cost_now)
    then = "unknown" if proposal.monthly_cost is None else money(proposal.monthly_cost)
    click.echo(f"  cost a month: {now} -> {then}")
    if proposal.cases is not None:
        cases = proposal.cases
        click.echo(
            f"  cases of {cases.suite}: {len(cases.changed)} of {cases.cases} change their verdict, {cases.mended} "
            f"pass that did not, {cases.broken} passed and do not"
        )
        for changed in cases.changed[:10]:
            click.echo(f"    {changed.case_id}: {changed.before} -> {changed.after}")
    elif proposal.replay:
        click.echo(f"  cases: {proposal.replay}")
    for check in proposal.checks:
        click.echo(f"  {check.level:<7}{check.name}: {check.says}")
    hours = f"{proposal.policy.window_s / 3600:g} h"
    if proposal.before is None:
        click.echo(f"  goes live for all at once, as there is nothing to compare it with; watched for {hours}")
        return
    shares = " -> ".join(f"{share}%" for share in proposal.policy.steps)
    click.echo(f"  goes live by {shares}, each watched for {hours}")


def _preview_json(proposal: "Proposal") -> dict[str, Any]:
    return {
        "feature": proposal.feature,
        "environment": proposal.environment.name,
        "now": None if proposal.before is None else proposal.before.document,
        "then": proposal.bundle.document,
        "content_hash": proposal.bundle.content_hash,
        "differences": [
            {"what": each.what, "change": each.change, "before": each.before, "after": each.after}
            for each in proposal.differences
        ],
        "prompt_diff": list(proposal.prompt_diff),
        "monthly_cost_usd": {"now": proposal.monthly_cost_now, "then": proposal.monthly_cost},
        "cases": None
        if proposal.cases is None
        else {
            "suite": proposal.cases.suite,
            "cases": proposal.cases.cases,
            "changed": [[each.case_id, each.before, each.after] for each in proposal.cases.changed],
        },
        "replay": proposal.replay or None,
        "checks": [each.document for each in proposal.checks],
        "policy": proposal.policy.document,
        "sample_data": proposal.sample_data,
    }


def _as_json(found: "StoredDeployment") -> dict[str, Any]:
    told = ("feature", "environment", "status", "trigger", "content_hash", "experiment", "variant", "rollout_percent")
    times = ("recorded_at", "began_at", "deployed_at", "ended_at")
    return {
        "id": str(found.id),
        **{name: getattr(found, name) for name in told},
        "bundle": found.bundle.document,
        "live": found.live,
        "monthly_cost_usd": found.monthly_cost,
        "why": found.why,
        "actor": found.actor,
        "sample_data": found.sample_data,
        **{name: None if getattr(found, name) is None else getattr(found, name).isoformat() for name in times},
    }
