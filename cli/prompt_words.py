"""What `assay prompts` says of prompts, their differences and findings: to people, and as JSON."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evaluations.prompts import Finding, PromptDiff, said_state

if TYPE_CHECKING:
    from evaluations.specs import PromptSpec
    from tasks.prompt_history import Compared
    from tasks.prompt_registry import Added
    from tasks.store.prompts import StoredPrompt

MOST_CASES = 20
"""Cases whose verdict changed that `diff` lists."""


def tell_added(added: "Added", prompt: "PromptSpec", file: Path) -> None:
    label = added.prompt.label
    if not added.new:
        click.echo(f"{label} is registered already, with this very content.")
        return
    against = f", after {added.prompt.parent}" if added.prompt.parent else ", its first version"
    click.echo(f"{label} is registered{against}, as a draft ({added.prompt.content_hash[:12]}).")
    for change in added.diff.changes if added.diff else ():
        click.echo(f"  {change.bump:<6}{change.says}")
    if added.prompt.semver != prompt.version:
        click.echo(f'  Write it into {file}: version: "{added.prompt.semver}"')
    tell_findings(added.findings)
    click.echo(f"Ask for a review: assay prompts review {label}")


def tell_about(found: "StoredPrompt") -> None:
    spec = found.spec
    for said in (spec.description, spec.changelog and f"changes: {spec.changelog}"):
        if said:
            click.echo(f"  {first_line(said, 200)}")
    if found.author is None:
        click.echo(f"  brought by a run of {found.actor} on {day_of(found.recorded_at)}; not registered")
    else:
        after = f", after {found.parent}" if found.parent else ""
        source = f", from {found.source}" if found.source else ""
        click.echo(
            f"  registered by {found.author} on {day_of(found.registered_at)}{after}{source}; number {found.seq}"
        )
    for name, values in (("categories", spec.categories), ("tags", spec.tags)):
        if values:
            click.echo(f"  {name}: {', '.join(values)}")


def tell_diff(found: PromptDiff) -> None:
    if found.demanded is None or found.asked is None:
        click.echo(f"{found.before} and {found.after} say the same to a model.")
        return
    early = " (below 1.0.0 nothing is promised)" if found.asked != found.demanded else ""
    click.echo(f"{found.before} -> {found.after}: what differs asks for a {found.asked} step{early}")
    for change in found.changes:
        click.echo(f"  {change.bump:<6}{change.says}")
    for title, rows in (("variables", found.variables), ("settings", found.settings)):
        if rows:
            click.echo(f"\n{title}")
        for name, was, now in rows:
            click.echo(f"  {name}: {was} -> {now}")
    if found.lines:
        click.echo()
    signs = {"same": " ", "gone": "-", "new": "+", "gap": " "}
    colours = {"gone": "red", "new": "green"}
    for line in found.lines:
        click.secho(f"{signs[line.kind]} {line.text}", fg=colours.get(line.kind))


def tell_behaviour(compared: "Compared") -> None:
    if not compared.behaviour:
        click.echo("\nNo stored runs answered the same cases with both; run a suite that names both versions.")
        return
    for each in compared.behaviour:
        click.echo(
            f"\n{each.suite}, {each.variant}: {each.before_passed} -> {each.after_passed} of {each.compared} cases pass"
            f" (runs {each.before_run[:8]}, {each.after_run[:8]})"
        )
        for change in each.changes[:MOST_CASES]:
            click.echo(f"  {change.kind:<16}{change.case_id}: {change.before} -> {change.now}")
        if not each.changes:
            click.echo("  no verdict changed")
        if len(each.changes) > MOST_CASES:
            click.echo(f"  and {len(each.changes) - MOST_CASES} more; --json lists them")


def tell_findings(findings: Sequence[Finding]) -> None:
    for each in findings:
        click.echo(f"  {each.severity:<8}{each.place}: {each.says} ({each.rule})")
        click.echo(f"          {each.remedy}")


def state_of(found: "StoredPrompt") -> str:
    return "unregistered" if found.state is None else said_state(found.state)


def day_of(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d}"


def first_line(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def prompt_as_json(found: "StoredPrompt") -> dict[str, Any]:
    return {
        "id": str(found.id),
        "prompt": found.name,
        "version": found.semver,
        "seq": found.seq,
        "content_hash": found.content_hash,
        "registered": found.registered_at is not None,
        "review_state": found.state,
        "parent": found.parent,
        "author": found.author,
        "source": found.source,
        "description": found.spec.description,
        "changelog": found.spec.changelog,
        "categories": list(found.spec.categories),
        "tags": list(found.spec.tags),
        "at": (found.registered_at or found.recorded_at).isoformat(),
    }


def added_as_json(added: "Added") -> dict[str, Any]:
    return {
        **prompt_as_json(added.prompt),
        "new": added.new,
        "diff": None if added.diff is None else diff_as_json(added.diff),
        "findings": findings_as_json(added.findings),
    }


def findings_as_json(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [
        {"rule": each.rule, "severity": each.severity, "place": each.place, "says": each.says, "remedy": each.remedy}
        for each in findings
    ]


def diff_as_json(found: PromptDiff) -> dict[str, Any]:
    return {
        "before": found.before,
        "after": found.after,
        "demanded": found.demanded,
        "asked": found.asked,
        "changes": [{"part": each.part, "bump": each.bump, "says": each.says} for each in found.changes],
        "variables": [list(each) for each in found.variables],
        "settings": [list(each) for each in found.settings],
        "lines": [{"kind": line.kind, "text": line.text} for line in found.lines],
    }


def behaviour_as_json(compared: "Compared") -> list[dict[str, Any]]:
    return [
        {
            "suite": each.suite,
            "variant": each.variant,
            "before_run": each.before_run,
            "after_run": each.after_run,
            "compared": each.compared,
            "before_passed": each.before_passed,
            "after_passed": each.after_passed,
            "changes": [
                {"case": change.case_id, "kind": change.kind, "before": change.before, "after": change.now}
                for change in each.changes
            ],
        }
        for each in compared.behaviour
    ]
