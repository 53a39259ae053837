"""Everything that is known of a prompt, gathered: versions, differences, behaviour, reviews, places; and its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection

from evaluations.changes import FAILING, CaseKey, Seen, case_changes
from evaluations.prompt_changes import prompt_lines, said_variable, variables_of
from evaluations.prompts import Behaviour, PromptDiff, PromptHistory, VersionFacts
from evaluations.specs import canonical_json
from tasks.prompt_registry import diff_of, look_over, own_tokens
from tasks.prompts import used_variables
from tasks.publishing import named_folder, write_report
from tasks.settings import settings
from tasks.store import prompt_facts, prompts
from tasks.store.database import transaction
from tasks.store.prompt_facts import AnsweringRun
from tasks.store.prompts import StoredPrompt

MOST_VERSIONS = 40
"""On a page, the newest ones; the store keeps all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two stored versions with all that differs between them."""

    before: StoredPrompt
    after: StoredPrompt
    diff: PromptDiff
    behaviour: tuple[Behaviour, ...]


def compare_versions(before: str, after: str) -> Compared:
    """What differs between two versions, and on which cases of stored runs their verdicts do."""
    with transaction() as connection:
        old, new = prompts.find_version(connection, before), prompts.find_version(connection, after)
        runs = prompt_facts.answering_runs(connection, old.prompt_id)
        if new.prompt_id != old.prompt_id:
            runs += prompt_facts.answering_runs(connection, new.prompt_id)
        behaviour = behaviour_between(connection, old, new, runs)
    return Compared(before=old, after=new, diff=diff_of(old.spec, new.spec), behaviour=behaviour)


def behaviour_between(
    connection: Connection, before: StoredPrompt, after: StoredPrompt, runs: Sequence[AnsweringRun]
) -> tuple[Behaviour, ...]:
    """For each suite, model and set of parameters that both versions answered: the cases whose verdict changed.

    The latest run of each version counts, and a run in which both answered before all. A case that was edited in
    between is left out: what changed with it may come from the edit.
    """
    pairs: dict[str, tuple[AnsweringRun, AnsweringRun]] = {}
    for new in (each for each in runs if each.version_id == after.id):
        candidates = [each for each in runs if each.version_id == before.id and each.under == new.under]
        if not candidates:
            continue
        together = next((each for each in candidates if each.run_id == new.run_id), None)
        if new.under not in pairs or (
            together is not None and pairs[new.under][0].run_id != pairs[new.under][1].run_id
        ):
            pairs[new.under] = (together or candidates[0], new)
    return tuple(_behaviour(connection, *pair) for pair in pairs.values())


def _behaviour(connection: Connection, before: AnsweringRun, after: AnsweringRun) -> Behaviour:
    label = after.measured.variant
    old = prompt_facts.verdicts_of_variant(connection, before.run_id, before.position, label)
    new = prompt_facts.verdicts_of_variant(connection, after.run_id, after.position, label)
    shared = [key for key in new if key in old and old[key].content == new[key].content]
    was, now = {key: old[key] for key in shared}, {key: new[key] for key in shared}
    changes = [each for each in case_changes(was, now) if each.before != each.now]
    return Behaviour(
        suite=after.measured.suite,
        variant=label,
        before_run=str(before.run_id),
        after_run=str(after.run_id),
        compared=sum(_is_judged(was[key]) and _is_judged(now[key]) for key in shared),
        before_passed=_passed(was),
        after_passed=_passed(now),
        changes=tuple(changes),
    )


def _is_judged(seen: Seen) -> bool:
    return seen.verdict == "pass" or seen.verdict in FAILING


def _passed(seen: dict[CaseKey, Seen]) -> int:
    return sum(each.verdict == "pass" for each in seen.values())


# The page


def history_of(name: str) -> PromptHistory:
    """Everything that is known of a prompt. Raises AssayError for one that there is not."""
    with transaction() as connection:
        versions = prompts.versions_of(connection, prompts.find_version(connection, name).name)
        prompt_id = versions[0].prompt_id
        runs = prompt_facts.answering_runs(connection, prompt_id)
        newest = prompt_facts.newest_fact(connection, prompt_id)
        return PromptHistory(
            id=str(prompt_id),
            name=versions[0].name,
            description=versions[0].spec.description,
            versions=tuple(_facts(connection, each, versions, runs) for each in versions[:MOST_VERSIONS]),
            places=tuple(prompt_facts.places_of(connection, prompt_id, versions[0].name)),
            reviews=tuple(prompts.reviews_of(connection, prompt_id)),
            comments=tuple(prompts.comments_of(connection, prompt_id)),
            runs=tuple(each.measured for each in runs),
            traffic=tuple(prompt_facts.traffic_of(connection, versions[0].name)),
            # What is shown changes by these alone, so the same facts give the same page.
            as_of=max([newest or datetime.min.replace(tzinfo=UTC), *(each.measured.at for each in runs)]),
        )


def _facts(
    connection: Connection, of: StoredPrompt, versions: Sequence[StoredPrompt], runs: Sequence[AnsweringRun]
) -> VersionFacts:
    parent = next((each for each in versions if of.parent is not None and each.semver == of.parent), None)
    schema = {} if of.spec.output_schema is None else {"output_schema": of.spec.output_schema}
    return VersionFacts(
        version=of.semver,
        seq=of.seq,
        content_hash=of.content_hash,
        registered=of.registered_at is not None,
        state=of.state,
        parent=of.parent,
        changelog=of.spec.changelog,
        author=of.author or of.actor,
        at=of.registered_at or of.recorded_at,
        categories=of.spec.categories,
        tags=of.spec.tags,
        text=tuple(prompt_lines(of.spec)),
        variables=tuple(
            (name, said_variable(each), "" if isinstance(each, str) else each.description)
            for name, each in variables_of(of.spec, used_variables(of.spec)).items()
        ),
        settings=tuple((name, canonical_json(value)) for name, value in {**of.spec.parameters, **schema}.items()),
        tokens=own_tokens(of.spec),
        findings=look_over(of.spec),
        diff=None if parent is None else diff_of(parent.spec, of.spec),
        behaviour=() if parent is None else behaviour_between(connection, parent, of, runs),
    )


def page_of(prompt_id: UUID | str, name: str) -> Path:
    """Where the page of a prompt is; the id keeps names that look alike apart."""
    return settings().reports_folder / f"prompt-{named_folder(name, str(prompt_id), 'prompt')}" / "report.html"


def publish_prompt(name: str) -> Path:
    """Write the page of a prompt with its JSON twin. Gives the page. Raises AssayError for one that there is not."""
    from reports.prompt_twins import as_html, as_json

    history = history_of(name)
    page = page_of(history.id, history.name)
    again = f"assay report prompt {history.name}"
    for file, text in (("report.json", as_json(history)), ("report.html", as_html(history))):
        write_report(page.parent / file, [text], about="The prompt", again=again)
    return page
