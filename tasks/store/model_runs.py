"""Which runs asked which models the same cases: where models can be compared without a single new call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from evaluations.pricing import candidate_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One model in one completed run, with the prompt it was asked by."""

    suite: str
    feature: str | None
    dataset_id: UUID
    cases: str
    """Hash of the dataset's content: the same cases at the same places."""
    prompt: str
    """Id of the prompt version."""
    prompt_name: str
    scorers: str
    """Hash of what judged the answers: only what the same scorers judged is compared."""
    model: str
    label: str
    """What the run calls the model."""
    run_id: UUID
    answers_of: UUID
    variant: int
    at: datetime
    sample_data: bool

    @property
    def name(self) -> str:
        """What the model is compared, selected, recommended and priced as."""
        return candidate_name(self.model, self.label)


def seats(connection: Connection, names: Sequence[str] = (), feature: str | None = None) -> list[Seat]:
    """Every model in every completed run, or those of some names (model ids or labels), the newest run first."""
    rows = connection.execute(
        text("""
            SELECT s.name AS suite, s.feature, r.dataset_id, d.content_hash AS cases,
                   CAST(v.prompt_version_id AS text) AS prompt,
                   p.name AS prompt_name, md5(CAST(s.spec -> 'scorers' AS text)) AS scorers,
                   m.model, m.name AS label, r.id AS run_id, coalesce(r.rescored_from, r.id) AS answers_of,
                   n.position AS variant, r.completed_at AS at, d.sample_data
            FROM runs r JOIN suites s ON s.id = r.suite_id JOIN datasets d ON d.id = r.dataset_id
            JOIN run_variants n ON n.run_id = r.id JOIN variants v ON v.id = n.variant_id
            JOIN model_configs m ON m.id = v.model_config_id
            JOIN prompt_versions pv ON pv.id = v.prompt_version_id JOIN prompts p ON p.id = pv.prompt_id
            WHERE r.status = 'completed' AND (:all OR m.model = ANY(:names) OR m.name = ANY(:names))
              AND (CAST(:feature AS text) IS NULL OR s.feature = :feature)
            ORDER BY r.completed_at DESC, r.id, n.position
        """),
        {"all": not names, "names": list(names), "feature": feature},
    )
    return [Seat(**row._mapping) for row in rows]


def features_tested(connection: Connection) -> list[str]:
    """The features that a suite was ever run for."""
    return list(
        connection.execute(text("SELECT DISTINCT feature FROM suites WHERE feature IS NOT NULL ORDER BY 1")).scalars()
    )


def prompt_tokens_p95(connection: Connection, answers_of: Iterable[UUID]) -> int | None:
    """How long 95% of the prompts of these runs were at most, as providers counted; None where none did."""
    found = connection.execute(
        text("""
            SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY input_tokens + cached_tokens + cache_write_tokens)
            FROM answers WHERE run_id = ANY(:runs) AND usage_known AND NOT superseded
        """),
        {"runs": list(answers_of)},
    ).scalar_one()
    return None if found is None else int(found)


Shared = Mapping[str, Seat]
"""Model, as it was asked for -> where it sat."""


def tables_of_models(found: Iterable[Seat]) -> list[Shared]:
    """Who was asked the same cases by the same prompt and judged alike, by what each is priced as."""
    return tables_of((seat.name, seat) for seat in found)


def tables_of(named: Iterable[tuple[str, Seat]]) -> list[Shared]:
    """Who was asked the same cases by the same prompt and judged alike, by these names; of each name the first seat."""
    tables: dict[tuple[str, str, str, str], dict[str, Seat]] = {}
    for name, seat in named:
        tables.setdefault((seat.suite, seat.cases, seat.prompt, seat.scorers), {}).setdefault(name, seat)
    return list(tables.values())


def shared_cases(found: Iterable[Seat], names: Sequence[str]) -> list[Shared]:
    """Where all of these were asked the same cases by the same prompt and judged alike, the latest first.

    Of each the newest run counts. A name may be a model id or what a run calls it.
    """
    tables = tables_of((name, seat) for seat in found for name in names if name in (seat.model, seat.label))
    whole = [table for table in tables if len(table) == len(set(names))]
    return sorted(whole, key=lambda table: min(seat.at for seat in table.values()), reverse=True)
