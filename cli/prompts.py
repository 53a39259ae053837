"""assay prompts: the registry of prompts. Versions that never change, their differences, reviews and places."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from cli.prompt_words import (
    added_as_json,
    behaviour_as_json,
    day_of,
    diff_as_json,
    findings_as_json,
    first_line,
    prompt_as_json,
    state_of,
    tell_about,
    tell_added,
    tell_behaviour,
    tell_diff,
    tell_findings,
)
from cli.rollup import DAY
from evaluations.prompts import BUMPS, REVIEW_STATES, ReviewState, said_state

if TYPE_CHECKING:
    pass


@click.group()
def prompts() -> None:
    """Named prompts in versions that never change: register, compare, review, find.

    \b
    A prompt is a YAML file in your repository; a version of it is registered once, with a number that has to
    fit what changed (major: the application breaks, minor: answers may change, patch: they should not):
      assay prompts new support-reply --template support-reply   a file to start from
      assay prompts lint support-reply.yaml                      what is wrong with it
      assay prompts add support-reply.yaml --bump auto           register it as the next version
      assay prompts diff support-reply@1.0.0 support-reply@1.1.0 text, variables, parameters, cases
      assay prompts review support-reply@1.1.0                   ask for a review; somebody else approves:
      assay prompts approve support-reply@1.1.0 --why "reads well, 40 cases pass"

    NAME@VERSION names a version, NAME alone its newest. A suite may name a version where it names a file:
    `prompts: [support-reply@1.1.0]`. The rule behind the numbers, and the rest: docs/prompts.md.
    """


_LABEL = click.argument("label", metavar="NAME[@VERSION]")
_MEANT = click.argument("given", metavar="FILE|NAME[@VERSION]")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_STATE = click.option("--state", type=click.Choice(REVIEW_STATES), help="Only versions in this review state.")
_TAG = click.option("--tag", help="Only versions with this tag.")
_CATEGORY = click.option("--category", help="Only versions of this category.")


@prompts.command()
@click.argument("name")
@click.option("--template", help="The shipped prompt to start from. Without it the templates are listed.")
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="The file; NAME.yaml unless given.")
def new(name: str, template: str | None, to: Path | None) -> None:
    """Write a prompt file for NAME that starts from a shipped template. Nothing is registered yet."""
    from evaluations.errors import AssayError
    from tasks.prompt_files import from_template, templates

    if template is None:
        click.echo("Templates to start from, by --template:")
        for each, prompt in templates().items():
            click.echo(f"  {each:<22}{prompt.description}")
        return
    text = from_template(template, name)
    file = to or Path(f"{name}.yaml")
    try:
        with file.open("x", encoding="utf-8") as made:
            made.write(text)
    except FileExistsError:
        raise AssayError(f"{file} is there already, and stays as it is; give another file with --to.") from None
    except OSError as problem:
        raise AssayError(f"{file} cannot be written: {problem.strerror}.") from None
    click.echo(f"{file} is written. Next: assay prompts lint {file}")


@prompts.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--bump", type=click.Choice(("auto", *BUMPS)), help="Number it by this step; auto: by what differs.")
@click.option("--parent", default="", metavar="VERSION", help="Compare with this version, not the highest below.")
@_JSON
def add(
    files: tuple[Path, ...], bump: Literal["auto", "patch", "minor", "major"] | None, parent: str, as_json: bool
) -> None:
    """Register the prompt of each FILE as a version, as a draft. What is registered already is left alone.

    The number is that of the file, unless --bump says otherwise. It is refused when it is taken by another content,
    or when its step is smaller than what differs from the version below asks for; --bump auto takes that step.
    """
    from tasks.prompt_registry import add as register
    from tasks.prompts import load_prompt

    read = [(file, load_prompt(file)) for file in files]
    told = []
    for file, prompt in read:
        added = register(prompt, bump=bump, parent=parent, source=str(file))
        told.append(added_as_json(added))
        if not as_json:
            tell_added(added, prompt, file)
    if as_json:
        click.echo(json.dumps(told))


@prompts.command("list")
@_STATE
@_TAG
@_CATEGORY
@click.option("--all", "everything", is_flag=True, help="Also prompts that only runs brought, unregistered.")
@_JSON
def list_(state: ReviewState | None, tag: str | None, category: str | None, everything: bool, as_json: bool) -> None:
    """The newest registered version of each prompt, by name."""
    from tasks.store.database import transaction
    from tasks.store.prompts import count_versions, newest_versions

    with transaction() as connection:
        found = newest_versions(connection, state=state, category=category, tag=tag, everything=everything)
        counts = count_versions(connection)
    if as_json:
        click.echo(json.dumps([{**prompt_as_json(each), "versions": counts[each.name]} for each in found]))
        return
    if not found:
        more = "" if everything else " Those that runs brought: --all."
        click.echo(f"No such prompts.{more}" if state or tag or category else f"{_NONE_YET}{more}")
        return
    click.echo(
        f"{'prompt':<28}{'version':<12}{'review':<14}{'versions':>9}  {'author':<16}{'registered':<12}description"
    )
    for each in found:
        click.echo(
            f"{each.name[:26]:<28}{each.semver[:11]:<12}{state_of(each):<14}{counts[each.name]:>9}  "
            f"{(each.author or '-')[:15]:<16}{day_of(each.registered_at):<12}{first_line(each.spec.description, 60)}"
        )


_NONE_YET = "No prompt is registered yet: assay prompts add FILE."


@prompts.command()
@_LABEL
@_JSON
def show(label: str, as_json: bool) -> None:
    """A version: its texts, variables and parameters, where its review stands, and where it is in use."""
    from evaluations.prompt_changes import prompt_lines, said_variable, variables_of
    from tasks.prompts import used_variables
    from tasks.store.database import transaction
    from tasks.store.prompt_facts import places_of
    from tasks.store.prompts import find_version

    with transaction() as connection:
        found = find_version(connection, label)
        places = [each for each in places_of(connection, found.prompt_id, found.name) if each.version == found.semver]
    variables = variables_of(found.spec, used_variables(found.spec))
    if as_json:
        in_use = [
            {
                "kind": each.kind,
                "name": each.name,
                "environment": each.environment,
                "status": each.status,
                "traffic": each.traffic,
            }
            for each in places
        ]
        spec = json.loads(found.spec.model_dump_json())
        click.echo(json.dumps({**prompt_as_json(found), "prompt": spec, "in_use": in_use}))
        return
    click.echo(f"{found.label}: {state_of(found)}, {found.content_hash[:12]}")
    tell_about(found)
    for each in places:
        share = "" if each.traffic is None else f", {each.traffic}% of the traffic"
        where = f" in {each.environment}" if each.environment else ""
        click.echo(f"  in use: {each.kind} {each.name}{where}, {each.status}{share}")
    for name, variable in variables.items():
        click.echo(f"  {name}: {said_variable(variable)}")
    for name, value in found.spec.parameters.items():
        click.echo(f"  {name} = {json.dumps(value, ensure_ascii=False)}")
    if found.spec.output_schema is not None:
        click.echo(f"  output schema: {json.dumps(found.spec.output_schema, ensure_ascii=False)}")
    click.echo()
    for line in prompt_lines(found.spec):
        click.echo(line)


@prompts.command()
@click.argument("before", metavar="NAME@VERSION")
@click.argument("after", metavar="[NAME@]VERSION|FILE", required=False)
@_JSON
def diff(before: str, after: str | None, as_json: bool) -> None:
    """What differs between two versions: texts, variables, parameters, and the cases whose verdict changed.

    With one version given it is compared with its parent. With a FILE as the second, the file is held against the
    version, as `add` will do it.
    """
    from tasks.prompt_history import compare_versions
    from tasks.prompt_registry import diff_of, prompt_meant

    if after is not None and (Path(after).suffix in (".yaml", ".yml", ".json") or Path(after).is_file()):
        found = diff_of(prompt_meant(before), prompt_meant(after))
        click.echo(json.dumps(diff_as_json(found))) if as_json else tell_diff(found)
        return
    compared = compare_versions(*_both(before, after))
    if as_json:
        click.echo(json.dumps({**diff_as_json(compared.diff), "behaviour": behaviour_as_json(compared)}))
        return
    tell_diff(compared.diff)
    tell_behaviour(compared)


def _both(before: str, after: str | None) -> tuple[str, str]:
    """The labels of the older and the newer one."""
    from evaluations.errors import AssayError
    from evaluations.prompts import split_label
    from tasks.store.database import transaction
    from tasks.store.prompts import find_version

    if after is not None:
        name = split_label(before)[0]
        return before, after if "@" in after or not after[:1].isdigit() else f"{name}@{after}"
    with transaction() as connection:
        found = find_version(connection, before)
    if found.parent is None:
        raise AssayError(f"{found.label} has no parent to compare with; name two versions.")
    return f"{found.name}@{found.parent}", found.label


@prompts.command()
@_MEANT
@click.option("--model", help="Hold its length against the context of this model (provider/model).")
@_JSON
def lint(given: str, model: str | None, as_json: bool) -> int:
    """What is wrong with a prompt: variables, length, secrets, and texts from outside that could give orders.

    Each finding has its place, how grave it is and what to do. Ends with 1 when there is an error, for CI; a prompt
    with errors cannot be registered.
    """
    from tasks.prompt_registry import look_over, own_tokens, prompt_meant

    prompt = prompt_meant(given)
    findings = look_over(prompt, model)
    if as_json:
        told = {"prompt": prompt.label, "tokens": own_tokens(prompt), "findings": findings_as_json(findings)}
        click.echo(json.dumps(told))
    else:
        click.echo(f"{prompt.label}: about {own_tokens(prompt):,} tokens before any variable")
        tell_findings(findings)
        if not findings:
            click.echo("  nothing found")
    return 1 if any(each.severity == "error" for each in findings) else 0


@prompts.command()
@_MEANT
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="A variable's value. Repeatable.")
@click.option("--inputs", type=click.Path(dir_okay=False, path_type=Path), help="A JSON or YAML file with the values.")
@click.option("--dataset", help="Take the values from a case of this dataset: its first one, or --case.")
@click.option("--case", "case_id", help="The id of that case.")
@_JSON
def render(
    given: str, values: tuple[str, ...], inputs: Path | None, dataset: str | None, case_id: str | None, as_json: bool
) -> None:
    """The messages that a model would get. Without values, each variable is filled with made-up text.

    --set goes before --inputs, and that before --dataset. A VALUE that is JSON is taken as such where the variable is
    no text.
    """
    from tasks.prompt_registry import prompt_meant
    from tasks.prompt_rendering import rendered

    prompt = prompt_meant(given)
    shown = rendered(prompt, values=values, inputs=inputs, dataset=dataset, case_id=case_id)
    if as_json:
        told = {"prompt": prompt.label, "messages": list(shown.messages), "made_up": list(shown.made_up)}
        click.echo(json.dumps({**told, "tokens": shown.tokens}))
        return
    for message in shown.messages:
        click.secho(f"[{message['role']}]", bold=True)
        click.echo(message["content"])
    made_up = f"; made up: {', '.join(shown.made_up)}" if shown.made_up else ""
    click.echo(f"\nAbout {shown.tokens:,} tokens{made_up}.", err=True)


@prompts.command()
@_LABEL
@click.option("--withdraw", is_flag=True, help="Take it back to a draft, out of review or out of the archive.")
@click.option("--why", default="", metavar="TEXT", help="What the reviewer should look at; it stays on record.")
@_JSON
def review(label: str, withdraw: bool, why: str, as_json: bool) -> None:
    """Ask for a review of a version, after it was registered or rejected."""
    _step(label, "draft" if withdraw else "in_review", why, as_json)


@prompts.command()
@_LABEL
@click.option("--why", default="", metavar="TEXT", help="On what grounds; it stays on record.")
@_JSON
def approve(label: str, why: str, as_json: bool) -> None:
    """Approve a version that is in review. Its author cannot; the approval is bound to its content."""
    _step(label, "approved", why, as_json)


@prompts.command()
@_LABEL
@click.option("--why", required=True, metavar="TEXT", help="What is wrong; it stays on record.")
@_JSON
def reject(label: str, why: str, as_json: bool) -> None:
    """Reject a version that is in review, or take its approval back. Its author cannot."""
    _step(label, "rejected", why, as_json)


@prompts.command()
@_LABEL
@click.option("--why", required=True, metavar="TEXT", help="The reason; it stays on record.")
@_JSON
def archive(label: str, why: str, as_json: bool) -> None:
    """Put a version away: no suite may name it any more. What is in use cannot be archived."""
    _step(label, "archived", why, as_json)


def _step(label: str, to: ReviewState, why: str, as_json: bool) -> None:
    from tasks.prompt_registry import step

    after = step(label, to, why=why)
    if as_json:
        click.echo(json.dumps(prompt_as_json(after)))
        return
    click.echo(f"{after.label} is {state_of(after)} ({after.content_hash[:12]}).")
    if to == "in_review":
        click.echo(f"Somebody else than {after.author} decides: assay prompts approve {after.label} --why …")


@prompts.command()
@_LABEL
@click.argument("text")
@click.option("--at", "place", default="", metavar="PLACE", help='What is meant, e.g. "system, line 3".')
def comment(label: str, text: str, place: str) -> None:
    """Write a comment on a version. Comments are added, never changed."""
    from tasks.prompt_registry import comment as write

    found = write(label, text, place)
    click.echo(f"Noted on {found.label}. All comments: assay prompts log {found.name}")


@prompts.command()
@click.argument("name")
@_JSON
def log(name: str, as_json: bool) -> None:
    """Everything that happened to the versions of NAME: registered, reviewed, commented."""
    from tasks.store.database import transaction
    from tasks.store.prompts import comments_of, find_version, reviews_of

    with transaction() as connection:
        found = find_version(connection, name)
        steps, comments = reviews_of(connection, found.prompt_id), comments_of(connection, found.prompt_id)
    told: list[dict[str, Any]] = [
        {
            "at": each.at.isoformat(),
            "version": each.version,
            "event": each.after,
            "before": each.before,
            "text": each.why,
            "place": "",
            "actor": each.actor,
            "content_hash": each.content_hash,
        }
        for each in steps
    ]
    told += [
        {
            "at": each.at.isoformat(),
            "version": each.version,
            "event": "comment",
            "before": None,
            "text": each.text,
            "place": each.place,
            "actor": each.actor,
            "content_hash": None,
        }
        for each in comments
    ]
    told.sort(key=lambda each: each["at"])
    if as_json:
        click.echo(json.dumps({"prompt": found.name, "log": told}))
        return
    if not told:
        click.echo(f"{found.name} came with runs; nothing of it is registered.")
    for each in told:
        at = datetime.fromisoformat(each["at"])
        event = "registered" if each["before"] is None and each["event"] == "draft" else said_state(each["event"])
        place = f" ({each['place']})" if each["place"] else ""
        said = f": {each['text']}" if each["text"] and each["text"] != event else ""
        click.echo(f"{at:%Y-%m-%d %H:%M} UTC  {each['version']:<12}{event} by {each['actor']}{place}{said}")


@prompts.command()
@click.argument("words")
@_STATE
@_TAG
@_CATEGORY
@click.option("--from", "first", type=DAY, help="Registered on this day or later.")
@click.option("--to", "last", type=DAY, help="Registered on this day or earlier.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@_JSON
def search(
    words: str,
    state: ReviewState | None,
    tag: str | None,
    category: str | None,
    first: datetime | None,
    last: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Versions that hold WORDS, the best first: several words, "exact phrases", -without, one or another.

    Names, tags and categories count for more than descriptions and changelogs, and these for more than the texts.
    """
    from tasks.store.database import transaction
    from tasks.store.prompts import search_versions

    days = [each.date() if each else None for each in (first, last)]
    with transaction() as connection:
        found = search_versions(
            connection, words, state=state, category=category, tag=tag, first=days[0], last=days[1], limit=limit
        )
    if as_json:
        click.echo(json.dumps([{**prompt_as_json(each.prompt), "excerpt": each.excerpt} for each in found]))
        return
    if not found:
        click.echo("Nothing holds these words.")
    for each in found:
        click.echo(f"{each.prompt.label:<32}{state_of(each.prompt):<14}{first_line(each.excerpt, 120)}")


@prompts.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", default="", help="What to call it; the file's own name for it unless given.")
@click.option("--braces", type=click.Choice(("double", "single")), help="How the file marks variables: {{x}} or {x}.")
@click.option("--dry-run", is_flag=True, help="Only say what would be registered.")
@_JSON
def import_(file: Path, name: str, braces: Literal["double", "single"] | None, dry_run: bool, as_json: bool) -> None:
    """Register the prompts in FILE: our YAML, a promptfoo configuration, plain text, a chat as JSON, or lines of
    JSON with `prompt_template`.

    A prompt of that name that says something else gets its next version. Plain texts with {x} need --braces single.
    """
    from tasks.prompt_files import read_prompts
    from tasks.prompt_registry import add as register
    from tasks.prompt_registry import look_over

    read = read_prompts(file, name=name, braces=braces)
    if dry_run:
        for prompt in read:
            click.echo(f"{prompt.label}: {len(prompt.turns)} messages, {len(look_over(prompt))} findings")
        return
    added = [register(prompt, bump="auto", source=str(file)) for prompt in read]
    if as_json:
        click.echo(json.dumps([added_as_json(each) for each in added]))
        return
    for each in added:
        click.echo(f"{each.prompt.label} {'is registered, as a draft' if each.new else 'was registered already'}")


@prompts.command()
@_MEANT
@click.option(
    "--as", "form", type=click.Choice(("yaml", "chat", "text", "promptfoo")), default="yaml", show_default=True
)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Write a file instead of printing.")
def export(given: str, form: Literal["yaml", "chat", "text", "promptfoo"], to: Path | None) -> None:
    """A version as a file: our YAML, a chat as JSON, plain text or a promptfoo configuration."""
    from evaluations.errors import AssayError
    from tasks.prompt_files import written
    from tasks.prompt_registry import prompt_meant

    text = written(prompt_meant(given), form)
    if to is None:
        click.echo(text, nl=False)
        return
    try:
        to.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise AssayError(f"{to} cannot be written: {problem.strerror}.") from None
    click.echo(f"{to} is written.")
