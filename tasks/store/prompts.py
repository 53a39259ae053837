"""Prompts in the store: registered, reviewed, commented, found by words. A version that is registered never changes.

Versions come from two sides. A run writes down every prompt that it used; those have a content and no author. What is
registered has a number that holds, a parent, an author and a review. Registering what a run brought already keeps its
row, so that everything measured of that content is measured of the version.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

import orjson
from sqlalchemy import Connection, Row, text

from evaluations.errors import AssayError, unknown_name
from evaluations.prompts import Comment, Review, ReviewState, Version, check_review, said_state, split_label
from evaluations.specs import PromptSpec

_ABOUT = ("name", "version", "description", "changelog", "categories", "tags")
"""What of a specification reaches no model; what a run brought takes it over when it is registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrompt:
    """A version of a prompt as it stands."""

    id: UUID
    prompt_id: UUID
    name: str
    seq: int
    semver: str
    spec: PromptSpec
    """With the number under which it is stored."""
    content_hash: str
    parent: str | None
    """The version that it was compared with; None for a first one."""
    source: str
    author: str | None
    """Who registered it; None for what only a run brought."""
    registered_at: datetime | None
    state: ReviewState | None
    """None where it is not registered."""
    actor: str
    recorded_at: datetime

    @property
    def label(self) -> str:
        return f"{self.name}@{self.semver}"

    @property
    def version(self) -> Version:
        return Version.read(self.semver)

    @property
    def approved(self) -> bool:
        return self.state == "approved"


@dataclass(frozen=True, slots=True)
class Found:
    """A version in which words were found."""

    prompt: StoredPrompt
    excerpt: str
    """Text around the words, which stand between guillemets."""


_COLUMNS = """v.id, v.prompt_id, p.name, v.seq, v.semver, v.spec, v.content_hash, w.semver AS parent, v.source,
    v.registered_by, v.registered_at, prompt_review_state(v.id) AS state, v.actor, v.recorded_at"""
_FROM = """prompt_versions v JOIN prompts p ON p.id = v.prompt_id LEFT JOIN prompt_versions w ON w.id = v.parent_id"""


def _stored(row: Row[Any]) -> StoredPrompt:
    return StoredPrompt(
        id=row.id,
        prompt_id=row.prompt_id,
        name=row.name,
        seq=row.seq,
        semver=row.semver,
        spec=PromptSpec.model_validate_json(orjson.dumps({**row.spec, "name": row.name, "version": row.semver})),
        content_hash=row.content_hash,
        parent=row.parent,
        source=row.source or "",
        author=row.registered_by,
        registered_at=row.registered_at,
        state=cast(ReviewState | None, row.state),
        actor=row.actor,
        recorded_at=row.recorded_at,
    )


# Finding versions


def versions_of(connection: Connection, name: str) -> list[StoredPrompt]:
    """Every version of a prompt, the newest number first. Raises AssayError for a prompt that there is not."""
    rows = connection.execute(text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE p.name = :name"), {"name": name})
    found = sorted(map(_stored, rows), key=lambda each: (each.version, each.seq), reverse=True)
    if not found:
        names = list(connection.execute(text("SELECT name FROM prompts")).scalars())
        if not names:
            raise AssayError("no prompt is registered yet: assay prompts add FILE")
        raise AssayError(unknown_name("prompt", name, names))
    return found


def find_version(connection: Connection, label: str) -> StoredPrompt:
    """The version meant by NAME@VERSION, or by NAME alone: its newest registered one, or else its newest.

    A number after # is its place in the order of arrival: NAME@#3. Raises AssayError for one that there is not.
    """
    name, wanted = split_label(label)
    if wanted.startswith("#") and wanted[1:].isdecimal():
        by_seq = [each for each in versions_of(connection, name) if each.seq == int(wanted[1:])]
        return by_seq[0] if by_seq else _no_version(connection, name, wanted)
    try:
        version = str(Version.read(wanted))
    except AssayError:
        versions = versions_of(connection, label)
        return next((each for each in versions if each.registered_at is not None), versions[0])
    exact = [each for each in versions_of(connection, name) if each.semver == version]
    return exact[0] if exact else _no_version(connection, name, version)


def _no_version(connection: Connection, name: str, wanted: str) -> StoredPrompt:
    known = [each.semver for each in versions_of(connection, name)]
    raise AssayError(unknown_name(f"version of {name}", wanted, known))


def newest_versions(
    connection: Connection,
    *,
    state: ReviewState | None = None,
    category: str | None = None,
    tag: str | None = None,
    everything: bool = False,
) -> list[StoredPrompt]:
    """The newest version of each prompt that fits, by name; with `everything` those that only runs brought as well."""
    rows = connection.execute(
        text("""
            SELECT v.id, p.name, v.semver, v.seq FROM prompt_versions v JOIN prompts p ON p.id = v.prompt_id
            WHERE (:everything OR v.registered_at IS NOT NULL)
              AND (CAST(:category AS text) IS NULL OR v.spec -> 'categories' ? :category)
              AND (CAST(:tag AS text) IS NULL OR v.spec -> 'tags' ? :tag)
              AND (CAST(:state AS text) IS NULL OR prompt_review_state(v.id) = :state)
        """),
        {"everything": everything, "category": category, "tag": tag, "state": state},
    )
    newest: dict[str, tuple[Version, int, UUID]] = {}
    for row in rows:
        found = (Version.read(row.semver), row.seq, row.id)
        newest[row.name] = max(newest.get(row.name, found), found)
    chosen = connection.execute(
        text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE v.id = ANY(:ids)"), {"ids": [each[2] for each in newest.values()]}
    )
    return sorted(map(_stored, chosen), key=lambda each: each.name)


def count_versions(connection: Connection) -> dict[str, int]:
    """How many versions each prompt has, those that only runs brought among them."""
    rows = connection.execute(
        text("""
            SELECT p.name, count(*) AS versions FROM prompt_versions v JOIN prompts p ON p.id = v.prompt_id
            GROUP BY p.name
        """)
    )
    return {row.name: row.versions for row in rows}


def search_versions(
    connection: Connection,
    words: str,
    *,
    state: ReviewState | None = None,
    category: str | None = None,
    tag: str | None = None,
    first: date | None = None,
    last: date | None = None,
    limit: int = 20,
) -> list[Found]:
    """Versions that hold the words, in any form of theirs, the best first: "exact phrases", -without, a or b.

    Name, tags and categories count for more than description and changelog, and these for more than the text.
    `first` and `last` are days (UTC) on which it was registered, or brought by a run.
    """
    rows = connection.execute(
        text(f"""
            WITH hits AS MATERIALIZED (
                SELECT v.id, q, ts_rank(v.words, q) AS rank
                FROM prompt_versions v JOIN prompts p ON p.id = v.prompt_id,
                     websearch_to_tsquery('english', :words) AS q
                WHERE v.words @@ q
                  AND (CAST(:category AS text) IS NULL OR v.spec -> 'categories' ? :category)
                  AND (CAST(:tag AS text) IS NULL OR v.spec -> 'tags' ? :tag)
                  AND (CAST(:state AS text) IS NULL OR prompt_review_state(v.id) = :state)
                  AND (CAST(:first AS date) IS NULL
                       OR coalesce(v.registered_at, v.recorded_at) >= CAST(:first AS date))
                  AND (CAST(:last AS date) IS NULL
                       OR coalesce(v.registered_at, v.recorded_at) < CAST(:last AS date) + 1)
                ORDER BY rank DESC, p.name, v.seq DESC LIMIT :limit)
            SELECT {_COLUMNS},
                   ts_headline('english', concat_ws(' ', v.spec ->> 'description', v.spec ->> 'changelog',
                        v.spec ->> 'system', v.spec ->> 'user', (SELECT string_agg(turn ->> 'content', ' ')
                        FROM jsonb_array_elements(coalesce(v.spec -> 'messages', '[]')) AS turn)), hits.q,
                        'StartSel=«, StopSel=», MaxWords=18, MinWords=6, MaxFragments=1') AS excerpt
            FROM {_FROM} JOIN hits ON hits.id = v.id
            ORDER BY hits.rank DESC, p.name, v.seq DESC
        """),
        {
            "words": words,
            "category": category,
            "tag": tag,
            "state": state,
            "first": first,
            "last": last,
            "limit": limit,
        },
    )
    return [Found(_stored(row), row.excerpt) for row in rows]


# Registering


def hold_prompt(connection: Connection, prompt: PromptSpec, actor: str) -> UUID:
    """The prompt of that name, made if there is none; nobody else numbers its versions until the transaction ends."""
    made: UUID = connection.execute(
        text("""
            INSERT INTO prompts (name, description, actor) VALUES (:name, :description, :actor)
            ON CONFLICT (name) DO UPDATE SET description = excluded.description RETURNING id
        """),
        {"name": prompt.name, "description": prompt.description, "actor": actor},
    ).scalar_one()
    return made


def known_versions(connection: Connection, prompt_id: UUID) -> list[StoredPrompt]:
    """Every version of a prompt that is held, the newest number first; nothing when it is new."""
    rows = connection.execute(text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE p.id = :id"), {"id": prompt_id})
    return sorted(map(_stored, rows), key=lambda each: (each.version, each.seq), reverse=True)


def register(
    connection: Connection,
    prompt_id: UUID,
    prompt: PromptSpec,
    *,
    brought: StoredPrompt | None,
    in_the_way: StoredPrompt | None,
    parent: StoredPrompt | None,
    source: str,
    actor: str,
) -> StoredPrompt:
    """Write a version as registered, in review state draft.

    `brought`: the version of that content that a run wrote down already. `in_the_way`: another content that a run
    wrote down under this number; it gets its hash as build metadata.
    """
    if in_the_way is not None:
        connection.execute(
            text("UPDATE prompt_versions SET semver = :semver WHERE id = :id"),
            {"id": in_the_way.id, "semver": semver_with_hash(in_the_way.semver, in_the_way.content_hash)},
        )
    values = {
        "semver": prompt.version,
        "parent": None if parent is None else parent.id,
        "source": source,
        "actor": actor,
    }
    if brought is not None:
        about = prompt.model_dump(mode="json", include=set(_ABOUT))
        connection.execute(
            text("""
                UPDATE prompt_versions SET semver = :semver, spec = spec || CAST(:about AS jsonb), parent_id = :parent,
                    source = :source, registered_by = :actor, registered_at = now()
                WHERE id = :id
            """),
            {**values, "id": brought.id, "about": orjson.dumps(about).decode()},
        )
        version_id = brought.id
    else:
        version_id = connection.execute(
            text("""
                INSERT INTO prompt_versions (prompt_id, seq, semver, content_hash, spec, parent_id, source,
                    registered_by, registered_at, actor)
                SELECT :prompt, coalesce(max(seq), 0) + 1, :semver, :hash, CAST(:spec AS jsonb), :parent, :source,
                    :actor, now(), :actor
                FROM prompt_versions WHERE prompt_id = :prompt RETURNING id
            """),
            {**values, "prompt": prompt_id, "hash": prompt.content_hash, "spec": prompt.model_dump_json()},
        ).scalar_one()
    stored = _by_id(connection, version_id)
    _write_review(connection, stored, None, "draft", "registered", actor)
    return _by_id(connection, version_id)


def semver_with_hash(semver: str, content_hash: str) -> str:
    """The version with the content's hash as build metadata, which semver sets no store by."""
    return f"{semver}{'.' if '+' in semver else '+'}{content_hash[:8]}"


def _by_id(connection: Connection, version_id: UUID) -> StoredPrompt:
    return _stored(
        connection.execute(text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE v.id = :id"), {"id": version_id}).one()
    )


# Reviews and comments


def review(connection: Connection, found: StoredPrompt, to: ReviewState, *, why: str, actor: str) -> StoredPrompt:
    """Take the review of a version a step on; it is bound to the content that `found` holds.

    Raises IllegalReview for a step that there is not, or that is not its author's to take.
    """
    connection.execute(text("SELECT FROM prompt_versions WHERE id = :id FOR NO KEY UPDATE"), {"id": found.id})
    now = _by_id(connection, found.id)
    if now.state is None or now.author is None:
        raise AssayError(
            f"{found.label} came with a run and is not registered; register its file: assay prompts add FILE"
        )
    check_review(now.label, now.state, to, author=now.author, actor=actor)
    if now.state != found.state:
        raise AssayError(f"{found.label} is {said_state(now.state)} since a moment ago; look at it and try again.")
    _write_review(connection, found, now.state, to, why, actor)
    return _by_id(connection, found.id)


def _write_review(
    connection: Connection, found: StoredPrompt, before: ReviewState | None, to: ReviewState, why: str, actor: str
) -> None:
    connection.execute(
        text("""
            INSERT INTO prompt_reviews (version_id, from_state, to_state, content_hash, why, actor)
            VALUES (:version, :before, :to, :hash, :why, :actor)
        """),
        {"version": found.id, "before": before, "to": to, "hash": found.content_hash, "why": why, "actor": actor},
    )


def reviews_of(connection: Connection, prompt_id: UUID) -> list[Review]:
    """Every step of every review of a prompt's versions, the first one first."""
    rows = connection.execute(
        text("""
            SELECT v.semver, r.from_state, r.to_state, r.content_hash, r.why, r.actor, r.recorded_at
            FROM prompt_reviews r JOIN prompt_versions v ON v.id = r.version_id
            WHERE v.prompt_id = :prompt ORDER BY r.id
        """),
        {"prompt": prompt_id},
    )
    return [
        Review(version=semver, before=before, after=after, content_hash=digest, why=why, actor=actor, at=at)
        for semver, before, after, digest, why, actor, at in rows
    ]


def write_comment(connection: Connection, found: StoredPrompt, said: str, place: str, actor: str) -> None:
    connection.execute(
        text("INSERT INTO prompt_comments (version_id, text, place, actor) VALUES (:version, :text, :place, :actor)"),
        {"version": found.id, "text": said, "place": place, "actor": actor},
    )


def comments_of(connection: Connection, prompt_id: UUID) -> list[Comment]:
    """What was written about a prompt's versions, the first one first."""
    rows = connection.execute(
        text("""
            SELECT v.semver, c.text, c.place, c.actor, c.recorded_at
            FROM prompt_comments c JOIN prompt_versions v ON v.id = c.version_id
            WHERE v.prompt_id = :prompt ORDER BY c.id
        """),
        {"prompt": prompt_id},
    )
    return [
        Comment(version=semver, text=said, place=place, actor=actor, at=at) for semver, said, place, actor, at in rows
    ]
