"""What was recommended, for people: lists, one with all its evidence, decisions, the ledger. Single transactions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from evaluations.answers import ROUTED
from evaluations.errors import AssayError, NothingYet, unknown_name
from evaluations.pricing import same_model
from evaluations.recommending.answers import Adoption, Measurement, OfBill, Standing, Status, StoredRecommendation
from evaluations.recommending.recommendation import ALIASES, KINDS
from tasks import costing
from tasks.settings import settings
from tasks.store import audit, recommendation_evidence, recommendations
from tasks.store.database import transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """How often people follow: what was decided of all that was recommended."""

    accepted: int
    dismissed: int
    open: int
    adoption: Adoption | None = None
    of_bill: OfBill | None = None
    """Of all open ones; None where the list is a part of them, or nothing is known to cost anything."""

    def __str__(self) -> str:
        decided = self.accepted + self.dismissed
        share = f" ({self.accepted / decided:.0%} of those decided)" if decided else ""
        used = "" if self.adoption is None else f" {self.adoption.text}."
        saved = ""
        if self.of_bill is not None and self.of_bill.changes:
            saved = f" {self.of_bill.sentence}"
        return f"{self.accepted} accepted{share}, {self.dismissed} dismissed, {self.open} open.{saved}{used}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a recommendation."""

    at: datetime
    before: str | None
    to: str
    actor: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A line of the ledger, beside what it is about."""

    of: StoredRecommendation
    measurement: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A recommendation with its history and what it saved."""

    stored: StoredRecommendation
    steps: tuple[Step, ...]
    measured: tuple[Measured, ...]


def listed(
    feature: str | None, kind: str | None, status: Status | None
) -> tuple[list[StoredRecommendation], Decided]:  # fmt: skip
    """Recommendations, the highest score first. Raises AssayError for a feature or kind that nobody knows."""
    if kind is not None:
        kind = ALIASES.get(kind, kind.replace("-", "_"))
        if kind not in KINDS:
            raise AssayError(unknown_name("kind of recommendation", kind, [*KINDS, *ALIASES]))
    with transaction() as connection:
        if feature is not None and feature not in (known := recommendations.features_recommended(connection)):
            if not known:
                raise AssayError(f"nothing was recommended for {feature} yet; `assay recommend all` looks.")
            raise AssayError(unknown_name("feature", feature, known))
        every = recommendations.list_recommendations(connection, feature=feature, kind=kind)
        used = adoption(connection, every)
        whole = feature is None and kind is None
        answers = recommendations.latest_answers(connection) if whole else []
    of_bill = Standing(answers=tuple(answers), recommendations=tuple(every)).of_bill
    counts = Counter(each.status for each in every)
    decided = Decided(
        accepted=counts["accepted"],
        dismissed=counts["dismissed"],
        open=counts["open"],
        adoption=used,
        of_bill=of_bill,
    )
    return [each for each in every if status in (None, each.status)], decided


def adoption(connection: Connection, every: Sequence[StoredRecommendation]) -> Adoption | None:
    """How far the models that were accepted are used, the last one of each feature; None where nothing tells it.

    Of a route nothing does: requests name the model that it chose.
    """
    chosen = {
        each.recommendation.feature: each.recommendation.recommended
        for each in sorted(every, key=lambda each: each.moved_at)
        if each.status == "accepted" and each.recommendation.kind in ("model_substitution", "provider_switch")
    }
    try:
        first, last = costing.window(connection, None, None)
    except NothingYet:
        return None
    requests = served = 0
    for feature, model in chosen.items():
        if model.startswith(ROUTED):
            continue
        for each in recommendation_evidence.served(connection, feature, first, last):
            requests += each.requests
            served += each.requests if same_model(each.model, model) else 0
    return Adoption(requests=requests, served=served) if requests else None


def shown(number: int) -> Shown:
    """Raises AssayError when there is none of that number."""
    with transaction() as connection:
        stored = recommendations.find_recommendation(connection, number)
        steps = recommendations.steps_of(connection, number)
        measured = [each for each in recommendations.measurements(connection) if each.recommendation_id == number]
    return Shown(
        stored=stored,
        steps=tuple(Step(at=at, before=before, to=to, actor=actor, why=why) for at, before, to, actor, why in steps),
        measured=tuple(Measured(of=stored, measurement=each) for each in measured),
    )


def decide(number: int, to: Status, why: str) -> StoredRecommendation:
    """Accept or dismiss. Raises AssayError without a reason, or where there is no such step."""
    if not why.strip():
        raise AssayError('a decision has a reason: --why "…".')
    actor = settings().actor
    with transaction() as connection:
        found = recommendations.find_recommendation(connection, number, to_move=True)
        recommendations.move(connection, number, to, why, actor)
        audit.record(
            connection,
            action=f"recommendation {to}",
            target=f"recommendation:{number}",
            feature=found.recommendation.feature,
            why=why,
            facts={"kind": found.recommendation.kind, "score": found.recommendation.score},
            actor=actor,
        )
    return found


def ledger() -> list[Measured]:
    """What was measured of accepted recommendations, the latest first."""
    with transaction() as connection:
        stored = {each.id: each for each in recommendations.list_recommendations(connection)}
        return [
            Measured(of=stored[each.recommendation_id], measurement=each)
            for each in recommendations.measurements(connection)
        ]
