"""The prompt registry: looking a prompt over, registering a version of it, and taking its review further.

A version is compared with its parent, the highest release below it. How large the step between their numbers has to
be is read off the difference (`evaluations/prompt_changes.py`), and a smaller one is refused.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from evaluations.errors import AssayError
from evaluations.pricing import estimate_tokens
from evaluations.prompt_changes import diff_prompts
from evaluations.prompt_lint import Window, holds_secret, lint, parts_of
from evaluations.prompts import BUMPS, Bump, Finding, PromptDiff, ReviewState, Version, said_state
from evaluations.specs import PromptSpec
from tasks.prices import map_file
from tasks.prompts import load_prompt, template_of, used_variables
from tasks.secrets import secret_values
from tasks.settings import settings
from tasks.store import prompt_facts, prompts
from tasks.store.database import transaction
from tasks.store.models import models_named
from tasks.store.prompts import StoredPrompt

Wanted = Literal["auto", "patch", "minor", "major"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A version that is registered now."""

    prompt: StoredPrompt
    new: bool
    """False: it was registered already, with this very content."""
    diff: PromptDiff | None
    """Against its parent; None for a first version."""
    findings: tuple[Finding, ...]


# Looking over


def prompt_meant(given: str) -> PromptSpec:
    """The prompt of a file, or of NAME or NAME@VERSION of the registry.

    Raises AssayError when it is neither.
    """
    path = Path(given)
    if path.suffix in (".yaml", ".yml", ".json") or path.is_file():
        return load_prompt(path)
    with transaction() as connection:
        return prompts.find_version(connection, given).spec


def own_tokens(prompt: PromptSpec) -> int:
    """About how many tokens a prompt's own text is, its tags counted as they stand."""
    return sum(estimate_tokens(part.text) for part in parts_of(prompt))


def look_over(prompt: PromptSpec, model: str | None = None) -> tuple[Finding, ...]:
    """What lint finds in a prompt, held against the context of a model where one is named (provider/model)."""
    window = None if model is None else context_of(model)
    return lint(prompt, used_variables(prompt), tokens=own_tokens(prompt), window=window, secrets=secret_values())


def context_of(model: str) -> Window:
    """The context of a model by the registry, or by LiteLLM's bundled map. Raises AssayError where nobody says."""
    with transaction() as connection:
        known = models_named(connection, [model]).get(model)
    tokens = _listed_context(model) if known is None else known.limits.context_tokens
    if tokens is None:
        raise AssayError(f"nobody says how long the context of {model} is; leave --model out, or name another one.")
    return Window(model, tokens)


def _listed_context(model: str) -> int | None:
    listed = json.loads(map_file().read_text(encoding="utf-8"))
    for name in (model, model.partition("/")[2]):
        if name in listed:
            tokens = listed[name].get("max_input_tokens")
            return tokens if isinstance(tokens, int) else None
    return None


def diff_of(before: PromptSpec, after: PromptSpec) -> PromptDiff:
    """What differs between two prompts, and how large a step that asks for."""
    return diff_prompts(before, after, (used_variables(before), used_variables(after)))


# Registering


def add(prompt: PromptSpec, *, bump: Wanted | None = None, parent: str = "", source: str = "") -> Added:
    """Register a prompt as a version, in review state draft.

    `bump` goes before the number in the prompt: auto is the step that the difference asks for. `parent` is the version
    to compare with, unless it is the highest release below. Raises AssayError, and writes nothing, for a prompt with
    errors, for a number that is taken or too small a step, and for a content that has a number already.
    """
    template_of(prompt)
    findings = look_over(prompt)
    refuse_errors(prompt, findings)
    with transaction() as connection:
        prompt_id = prompts.hold_prompt(connection, prompt, settings().actor)
        known = prompts.known_versions(connection, prompt_id)
        same = next((each for each in known if each.content_hash == prompt.content_hash), None)
        if same is not None and same.registered_at is not None:
            if bump is None and same.semver != prompt.version:
                raise AssayError(_same(prompt, same))
            return Added(prompt=same, new=False, diff=None, findings=findings)
        registered = [each for each in known if each.registered_at is not None]
        base = _parent(registered, prompt, parent, numbered=bump is None)
        diff = None if base is None else diff_of(base.spec, prompt)
        numbered = prompt if bump is None else _bumped(prompt, bump, base, diff, registered)
        _check_number(numbered, base, diff, registered)
        taken = next((each for each in known if each.semver == numbered.version and each is not same), None)
        stored = prompts.register(
            connection,
            prompt_id,
            numbered,
            brought=same,
            in_the_way=taken,
            parent=base,
            source=source,
            actor=settings().actor,
        )
        told = None if diff is None else replace(diff, after=stored.semver)
        return Added(prompt=stored, new=True, diff=told, findings=findings)


def refuse_errors(prompt: PromptSpec, findings: Sequence[Finding]) -> None:
    """Raises AssayError for what lint calls an error: nothing of it is stored, and no secret is repeated."""
    wrong = [f"{each.place}: {each.says}; {each.remedy}" for each in findings if each.severity == "error"]
    if wrong:
        raise AssayError("\n".join([f"{prompt.label} cannot be registered.", *(f"  {each}." for each in wrong)]))


def _same(prompt: PromptSpec, same: StoredPrompt) -> str:
    return (
        f"what {prompt.label} says to a model is what {same.label} says already, and one content has one number. A "
        "description, a changelog and tags alone make no version. To bring an older text back, deploy that version."
    )


def _parent(
    registered: Sequence[StoredPrompt], prompt: PromptSpec, named: str, *, numbered: bool
) -> StoredPrompt | None:
    """The version to compare with: the one named, or the highest release below the new number."""
    if named:
        wanted = str(Version.read(named.rpartition("@")[2]))
        found = next((each for each in registered if each.semver == wanted), None)
        if found is None:
            known = ", ".join(each.semver for each in registered) or "none"
            raise AssayError(f"{prompt.name} has no registered version {wanted} to compare with. Registered: {known}.")
        return found
    below = [each for each in registered if not numbered or each.version < Version.read(prompt.version)]
    return next((each for each in below if not each.version.pre), None)


def _bumped(
    prompt: PromptSpec,
    bump: Wanted,
    base: StoredPrompt | None,
    diff: PromptDiff | None,
    registered: Sequence[StoredPrompt],
) -> PromptSpec:
    """The prompt under the number that a bump gives it; a first version keeps the one in its file."""
    if base is None or diff is None:
        return prompt
    step = (diff.asked or "patch") if bump == "auto" else bump
    return prompt.model_copy(update={"version": str(next_free(base.version, step, registered))})


def next_free(after: Version, step: Bump, registered: Sequence[StoredPrompt]) -> Version:
    """The first number that is that step after a version and that nobody has."""
    taken = {each.semver for each in registered}
    number = after.bumped(step)
    while str(number) in taken:
        number = number.bumped(step)
    return number


def _check_number(
    prompt: PromptSpec, base: StoredPrompt | None, diff: PromptDiff | None, registered: Sequence[StoredPrompt]
) -> None:
    number = Version.read(prompt.version)
    taken = next((each for each in registered if each.semver == prompt.version), None)
    if taken is not None:
        free = next_free(taken.version, diff_of(taken.spec, prompt).asked or "patch", registered)
        raise AssayError(
            f"{prompt.label} is registered with another content, and a version never changes. Give this one another "
            f'number: `version: "{free}"`, or say --bump auto.'
        )
    if base is None or diff is None:
        if registered and all(number < each.version for each in registered):
            raise AssayError(
                f"{prompt.label} would come before every registered version; the newest is {registered[0].semver}. "
                "Raise `version` in the file, or say --bump auto."
            )
        return
    if number < base.version:
        raise AssayError(f"{prompt.label} comes before {base.label}, which it is to be compared with.")
    asked = diff.asked or "patch"
    if BUMPS.index(base.version.step_to(number)) < BUMPS.index(asked):
        reasons = "; ".join(each.says for each in diff.changes if each.bump == diff.demanded)
        raise AssayError(
            f"from {base.label} to {number} is a {base.version.step_to(number)} step, and what differs asks for a "
            f'{asked} one: {reasons}. Give it `version: "{next_free(base.version, asked, registered)}"`, or say '
            "--bump auto."
        )


# Reviews


def step(label: str, to: ReviewState, *, why: str = "") -> StoredPrompt:
    """Take the review of NAME@VERSION a step further.

    Raises AssayError without a version, for a step that there is not, for its author where another person is wanted,
    and for archiving what is in use.
    """
    refuse_secret(why)
    with transaction() as connection:
        found = one_version(connection, label)
        if to == "archived":
            _refuse_in_use(connection, found)
        return prompts.review(connection, found, to, why=why, actor=settings().actor)


def comment(label: str, said: str, place: str = "") -> StoredPrompt:
    """Write a comment on NAME@VERSION, or on the newest version of NAME."""
    if not said.strip():
        raise AssayError("a comment says something; this one is empty.")
    refuse_secret(said)
    with transaction() as connection:
        found = prompts.find_version(connection, label)
        prompts.write_comment(connection, found, said, place, settings().actor)
        return found


def refuse_secret(said: str) -> None:
    """Raises AssayError for words that hold a secret: they would stay on record."""
    if holds_secret(said, secret_values()):
        raise AssayError("these words hold a secret, and would stay on record; say it without.")


def one_version(connection: Connection, label: str) -> StoredPrompt:
    """The version of NAME@VERSION. What is decided about a version names it: the newest one may be another by now."""
    found = prompts.find_version(connection, label)
    if label == found.name:
        raise AssayError(f"say which version is meant: {found.label} is the newest.")
    return found


def registered_version(label: str) -> StoredPrompt:
    """The registered version NAME@VERSION, for a suite or a bundle that names it.

    Raises AssayError when there is none, or only one that a run brought.
    """
    with transaction() as connection:
        found = one_version(connection, label)
    if found.registered_at is None:
        raise AssayError(
            f"{found.label} came with a run and is not registered; register its file: assay prompts add FILE"
        )
    if found.state == "archived":
        raise AssayError(f"{found.label} is archived; take it back: assay prompts review {found.label} --withdraw")
    return found


def approved_version(label: str) -> StoredPrompt:
    """The registered version NAME@VERSION whose review ended in an approval: what production may be given.

    Raises AssayError, saying where its review stands.
    """
    found = registered_version(label)
    if not found.approved:
        raise AssayError(
            f"{found.label} is {said_state(found.state or 'draft')}, not approved. Somebody else than {found.author} "
            f"has to approve it: assay prompts approve {found.label}"
        )
    return found


def _refuse_in_use(connection: Connection, found: StoredPrompt) -> None:
    places = [
        f"{each.kind} {each.name}"
        for each in prompt_facts.places_of(connection, found.prompt_id, found.name)
        if each.version == found.semver
    ]
    if places:
        raise AssayError(f"{found.label} is in use: {', '.join(places)}. Archive it when that has ended.")
