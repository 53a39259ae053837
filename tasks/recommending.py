"""Recommending: asks the rule about a feature, and writes down what is new."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import Connection

from evaluations.comparisons import Question
from evaluations.errors import AssayError, NothingYet, unknown_name
from evaluations.recommending.answers import FeatureAnswer, StoredRecommendation, unchanged
from evaluations.recommending.candidates import Rule
from evaluations.recommending.evidence import NoIncumbentData, Requirements
from evaluations.recommending.modes import recommend
from evaluations.recommending.recommendation import Advice, Mode, Recommendation
from evaluations.wording import count
from tasks.recommendation_evidence import METRIC, Known, check_candidates, features_known, known_of
from tasks.settings import settings
from tasks.store import recommendations
from tasks.store.database import transaction
from tasks.wastes import wastes_of

MARGIN = 0.02
SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question about one feature, or about all of them."""

    mode: Mode = "alternatives"
    margin: float = MARGIN
    """Of the share of cases that pass: so much may be lost without mattering."""
    environment: str = "production"
    incumbent: str | None = None
    wanted: tuple[str, ...] = ()
    """The only candidates; empty: every model that was measured."""
    requirements: Requirements = field(default_factory=Requirements)
    budget: Decimal | None = None
    """US dollars a month."""
    requests: float | None = None
    """A month, stated; None: as measured."""

    def __post_init__(self) -> None:
        if not 0 < self.margin < 1:
            raise AssayError(f"the margin is {self.margin}; it lies between 0 and 1, such as 0.02 for two points.")
        if self.requests is not None and not self.requests > 0:
            raise AssayError(f"{self.requests} requests a month are none; state a number above 0.")


def advise(feature: str, ask: Ask) -> FeatureAnswer:
    """Answer one question about a feature; nothing is written.

    Raises AssayError for what nobody knows, and where the question cannot be answered, with what would do.
    """
    with transaction() as connection:
        known = known_of(
            connection, feature, today(), environment=ask.environment, incumbent=ask.incumbent
        )  # fmt: skip
        return _answered(connection, known, ask)


def advise_wastes(feature: str | None, environment: str = "production") -> list[FeatureAnswer]:
    """The wastes of a feature, or of all of them; nothing is written."""
    with transaction() as connection:
        names = [feature] if feature else every_feature(connection)
        found = []
        for name in names:
            known = known_of(connection, name, today(), environment=environment)
            wastes = wastes_of(connection, known)
            found.append(_answer(known, None, "", wastes.found, wastes.untold, MARGIN))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """What one round of recommending came to."""

    answers: tuple[FeatureAnswer, ...]
    new: int = 0
    superseded: int = 0
    expired: int = 0
    unchanged: int = 0

    def __str__(self) -> str:
        told = [
            f"{count(self.new, 'new recommendation')}",
            f"{count(self.unchanged)} as before",
            *([f"{count(self.superseded)} superseded by new evidence"] if self.superseded else []),
            *([f"{count(self.expired)} expired"] if self.expired else []),
        ]
        return f"{', '.join(told)}, of {count(len(self.answers), 'feature')}"


def recommend_all(ask: Ask | None = None, feature: str | None = None) -> Recommended:
    """Answer for every feature, and write down what is new. The same data give the same rows, once.

    An open recommendation stays while its evidence says the same (`unchanged`), is superseded by new evidence, and
    expires when nothing speaks for it any more. What was dismissed is raised again on other evidence alone.
    """
    ask = ask or Ask()
    with transaction() as connection:
        recommendations.hold(connection)
        names = [feature] if feature else every_feature(connection)
        counts = {"new": 0, "superseded": 0, "expired": 0, "unchanged": 0}
        answers = []
        for name in names:
            known = known_of(connection, name, today(), environment=ask.environment)
            answer = _for_the_record(connection, known, ask)
            recommendations.save_answer(connection, answer, settings().actor)
            _write_down(connection, answer, counts)
            answers.append(answer)
    return Recommended(answers=tuple(answers), **counts)


def check_feature(feature: str | None) -> None:
    """Raises AssayError that names the nearest for a feature that nobody knows; None is every feature."""
    with transaction() as connection:
        known = every_feature(connection)
    if feature is not None and feature not in known:
        raise AssayError(unknown_name("feature", feature, known))


def _actor() -> str:
    return settings().actor


def today() -> date:
    """Whose prices and life cycles count."""
    return datetime.now(UTC).date()


def every_feature(connection: Connection) -> list[str]:
    """Raises NothingYet where nothing is known of any."""
    found = features_known(connection)
    if not found:
        raise NothingYet("nothing is known of any feature yet; `assay run SUITE`, or `assay ingest FILE`.")
    return found


# One feature


def _answered(connection: Connection, known: Known, ask: Ask) -> FeatureAnswer:
    """Raises AssayError where the question cannot be answered."""
    wanted = check_candidates(connection, known, ask.wanted)
    return _answer(known, _advice(known, ask, wanted), "", (), (), ask.margin, ask.requests)


def _for_the_record(connection: Connection, known: Known, ask: Ask) -> FeatureAnswer:
    """As above with the wastes; what cannot be answered is said in the answer."""
    advice, problem = None, ""
    try:
        advice = _advice(known, ask, ())
    except AssayError as unanswerable:
        problem = str(unanswerable)
    wastes = wastes_of(connection, known)
    return _answer(known, advice, problem, wastes.found, wastes.untold, ask.margin)


def _advice(known: Known, ask: Ask, wanted: Sequence[str]) -> Advice:
    import numpy as np

    if known.measured is None:
        raise NoIncumbentData(
            f"no models answered the same cases of {known.feature} yet. Ask them: `assay run SUITE -m "
            f"{known.incumbent or 'MODEL'} -m MODEL`, in a suite of the feature {known.feature}."
        )
    if ask.mode != "use_case" and known.incumbent is None:
        raise NoIncumbentData(
            f"nobody knows which model {known.feature} has in use: nothing is deployed or selected for it, and no "
            "requests are rolled up. Name it by --incumbent MODEL."
        )
    incumbent = None if ask.mode == "use_case" and known.source != "named" else known.incumbent
    return recommend(
        known.measured.bench,
        known.month_of(incumbent, ask.requests),
        Rule(
            question=Question(metric=METRIC, kind="binary" if known.measured.binary else "bounded", margin=ask.margin),
            requirements=ask.requirements,
        ),
        generator=np.random.default_rng(SEED),
        mode=ask.mode,
        incumbent=incumbent,
        wanted=wanted or None,
        budget=ask.budget,
    )


def _answer(
    known: Known,
    advice: Advice | None,
    problem: str,
    wastes: tuple[Recommendation, ...],
    untold: tuple[str, ...],
    margin: float,
    stated: float | None = None,
) -> FeatureAnswer:
    production = known.production
    month = None if production is None and stated is None else known.workload(stated)
    return FeatureAnswer(
        feature=known.feature,
        on=known.on,
        incumbent=known.incumbent,
        source=known.source,
        advice=advice,
        problem=problem,
        wastes=wastes,
        looked_for=untold,
        suite=known.measured.seat.suite if known.measured is not None else "",
        metric=METRIC,
        margin=margin,
        requests=None if month is None else month.requests,
        month=None if production is None or stated is not None else production.bill,
        first=None if production is None else production.first,
        last=None if production is None else production.last,
        sample_data=known.sample_data,
    )


def _write_down(connection: Connection, answer: FeatureAnswer, counts: dict[str, int]) -> None:
    before = recommendations.list_recommendations(connection, feature=answer.feature)
    before += recommendations.list_recommendations(connection, feature=f"tests of {answer.feature}")
    wanted = {each.subject: each for each in answer.best}
    for each in before:
        if each.status == "open" and each.recommendation.subject not in wanted:
            recommendations.move(connection, each.id, "expired", "nothing speaks for it any more", _actor())
            counts["expired"] += 1
    for subject, found in wanted.items():
        last = max(
            (each for each in before if each.recommendation.subject == subject), key=lambda each: each.id, default=None
        )
        if last is not None and _stands(last, found):
            counts["unchanged"] += 1
            continue
        if last is not None and last.status == "open":
            recommendations.move(connection, last.id, "superseded", "other evidence", _actor())
            counts["superseded"] += 1
        recommendations.add_recommendation(
            connection,
            found,
            source=answer.source,
            sample_data=answer.sample_data,
            as_of=answer.on,
            why="first told" if last is None else f"other evidence than that of {last.id}",
            actor=_actor(),
        )
        counts["new"] += 1


def _stands(last: StoredRecommendation, found: Recommendation) -> bool:
    """Whether what is on record covers it: an open or dismissed one while the evidence says the same.

    An accepted one is followed by its measurement, not raised again. An expired one that speaks again is told again.
    """
    if last.status == "accepted":
        return True
    return last.status in ("open", "dismissed") and unchanged(last.recommendation, found)
