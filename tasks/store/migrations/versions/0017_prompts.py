"""Prompts: versions that nobody can change, the trail of their reviews, comments, and words to find them by."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_STEPS = """
    ('-', 'draft'),
    ('draft', 'in_review'), ('draft', 'archived'),
    ('in_review', 'approved'), ('in_review', 'rejected'), ('in_review', 'draft'), ('in_review', 'archived'),
    ('approved', 'rejected'), ('approved', 'archived'),
    ('rejected', 'in_review'), ('rejected', 'archived'),
    ('archived', 'draft')"""
_ABOUT = "ARRAY['name', 'version', 'description', 'changelog', 'categories', 'tags']"
"""What of a specification reaches no model, and is settled when a version is registered."""


def _now(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _trail(table: str, *columns: sa.Column[Any]) -> None:
    """A table of what happened to versions, in its order, whose rows are never changed."""
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        *columns,
        sa.Column("actor", sa.Text(), nullable=False),
        _now("recorded_at"),
        sa.ForeignKeyConstraint(["version_id"], ["prompt_versions.id"], name=op.f(f"fk_{table}_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index(f"ix_{table}_version_id", table, ["version_id"])
    op.execute(f"""
        CREATE TRIGGER {table}_history BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION experiments_history()
    """)


def upgrade() -> None:
    for column in (
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("registered_by", sa.Text(), nullable=True),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("prompt_versions", column)
    op.create_foreign_key(
        op.f("fk_prompt_versions_parent_id"), "prompt_versions", "prompt_versions", ["parent_id"], ["id"]
    )
    op.create_check_constraint(
        op.f("ck_prompt_versions_registered"), "prompt_versions", "(registered_by IS NULL) = (registered_at IS NULL)"
    )
    op.create_index("ix_variants_prompt_version_id", "variants", ["prompt_version_id"])
    _trail(
        "prompt_reviews",
        sa.Column("from_state", sa.String(collation="C"), nullable=True),
        sa.Column("to_state", sa.String(collation="C"), nullable=False),
        sa.Column("content_hash", sa.String(collation="C"), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
    )
    _trail(
        "prompt_comments",
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
    )
    _keep_versions()
    _keep_reviews()
    _find_by_words()


def _keep_versions() -> None:
    """What a run brought keeps its content; what was registered keeps everything."""
    op.execute(f"""
        CREATE FUNCTION prompt_versions_keep() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND OLD.registered_at IS NULL
                AND (NEW.id, NEW.prompt_id, NEW.seq, NEW.content_hash, NEW.actor, NEW.recorded_at)
                    IS NOT DISTINCT FROM
                    (OLD.id, OLD.prompt_id, OLD.seq, OLD.content_hash, OLD.actor, OLD.recorded_at)
                AND NEW.spec - {_ABOUT} = OLD.spec - {_ABOUT}
            THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'prompt version % never changes: register another one', OLD.semver
                USING ERRCODE = 'check_violation';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER prompt_versions_keep BEFORE UPDATE OR DELETE ON prompt_versions
        FOR EACH ROW EXECUTE FUNCTION prompt_versions_keep()
    """)


def _keep_reviews() -> None:
    op.execute("""
        CREATE FUNCTION prompt_review_state(version uuid) RETURNS text LANGUAGE sql STABLE AS $$
            SELECT to_state FROM prompt_reviews WHERE version_id = version ORDER BY id DESC LIMIT 1
        $$
    """)
    op.execute(f"""
        CREATE FUNCTION prompt_reviews_keep() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            reviewed record;
            before text;
        BEGIN
            -- Two steps at once: the second one waits, and sees the first.
            SELECT semver, content_hash, registered_by INTO reviewed FROM prompt_versions
                WHERE id = NEW.version_id FOR NO KEY UPDATE;
            before := prompt_review_state(NEW.version_id);
            IF reviewed.registered_by IS NULL THEN
                RAISE EXCEPTION 'prompt version % is not registered', reviewed.semver
                    USING ERRCODE = 'check_violation';
            END IF;
            IF before IS DISTINCT FROM NEW.from_state THEN
                RAISE EXCEPTION 'prompt version % is %, not %', reviewed.semver, before, NEW.from_state
                    USING ERRCODE = 'check_violation';
            END IF;
            IF (coalesce(NEW.from_state, '-'), NEW.to_state) NOT IN ({_STEPS}) THEN
                RAISE EXCEPTION 'prompt version % cannot go from % to %', reviewed.semver, before, NEW.to_state
                    USING ERRCODE = 'check_violation';
            END IF;
            IF NEW.content_hash <> reviewed.content_hash THEN
                RAISE EXCEPTION 'prompt version % has another content than what was looked at', reviewed.semver
                    USING ERRCODE = 'check_violation';
            END IF;
            IF NEW.to_state IN ('approved', 'rejected') AND NEW.actor = reviewed.registered_by THEN
                RAISE EXCEPTION 'prompt version % cannot be % by its author', reviewed.semver, NEW.to_state
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER prompt_reviews_keep BEFORE INSERT ON prompt_reviews
        FOR EACH ROW EXECUTE FUNCTION prompt_reviews_keep()
    """)


def _find_by_words() -> None:
    # Texts are cut: a tsvector takes a megabyte, and nobody looks for what stands behind 200,000 letters.
    op.execute("""
        CREATE FUNCTION prompt_words(spec jsonb) RETURNS tsvector LANGUAGE sql IMMUTABLE AS $$
            SELECT setweight(to_tsvector('english', coalesce(spec ->> 'name', '')), 'A')
                || setweight(jsonb_to_tsvector('english', coalesce(spec -> 'tags', '[]'), '["string"]'), 'A')
                || setweight(jsonb_to_tsvector('english', coalesce(spec -> 'categories', '[]'), '["string"]'), 'A')
                || setweight(to_tsvector('english', left(coalesce(spec ->> 'description', '') || ' '
                    || coalesce(spec ->> 'changelog', ''), 200000)), 'B')
                || to_tsvector('english', left(coalesce(spec ->> 'system', '') || ' '
                    || coalesce(spec ->> 'user', ''), 200000))
                || to_tsvector('english', left(coalesce((SELECT string_agg(turn ->> 'content', ' ')
                    FROM jsonb_array_elements(coalesce(spec -> 'messages', '[]')) AS turn), ''), 200000))
        $$
    """)
    op.execute("CREATE INDEX ix_prompt_versions_words ON prompt_versions USING gin (prompt_words(spec))")


def downgrade() -> None:
    op.drop_index("ix_prompt_versions_words", "prompt_versions")
    op.execute("DROP FUNCTION prompt_words(jsonb)")
    op.drop_table("prompt_comments")
    op.drop_table("prompt_reviews")
    op.execute("DROP FUNCTION prompt_reviews_keep()")
    op.execute("DROP FUNCTION prompt_review_state(uuid)")
    op.execute("DROP TRIGGER prompt_versions_keep ON prompt_versions")
    op.execute("DROP FUNCTION prompt_versions_keep()")
    op.drop_index("ix_variants_prompt_version_id", "variants")
    op.drop_constraint(op.f("ck_prompt_versions_registered"), "prompt_versions")
    op.drop_constraint(op.f("fk_prompt_versions_parent_id"), "prompt_versions")
    for column in ("registered_at", "registered_by", "source", "parent_id"):
        op.drop_column("prompt_versions", column)
