"""The table of benchmarks: what a run of the kind `benchmark` was to find out, and from which files."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store.columns import Base, actor, document, name_text, recorded_at


class BenchmarkRow(Base):
    """The definition behind a run, as it was then: with the files' digests it says how to measure the same again."""

    __tablename__ = "benchmarks"
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[name_text]
    category: Mapped[name_text]
    format: Mapped[name_text]
    spec: Mapped[document]
    sources: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """SHA-256 of each file of questions and recorded answers; for a workload, how it was drawn."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
