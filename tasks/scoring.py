"""Scoring a shard: every answer is judged by every scorer of the panel, every case gets its verdict.

Scores that are there already are kept; what is missing is judged, so that a run that was killed, a run that goes
on and a rescore all take the same way. Judges ask models through the ledger; a rescore has none, and asks nobody.
"""

import asyncio
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Unscored
from evaluations.scoring.code import CodePasses
from evaluations.scoring.embedding import EmbeddingSimilarity
from evaluations.scoring.judges import Judge, JudgeCall
from evaluations.verdicts import SEVERITIES, CaseVerdict, Judged, Outcome, outcome_of, parse_require, verdict_of_case
from tasks.panel import Panel, Seat, asks_a_model
from tasks.store.answers import (
    ScoreRecord,
    StoredAnswer,
    StoredReply,
    VerdictRecord,
    answers_between,
    judgements_of,
    scores_of,
    write_scores,
    write_verdicts,
)
from tasks.store.database import transaction
from tasks.store.datasets import StoredCase, cases_of
from tasks.store.runs import StoredRun

SANDBOXES = max(1, os.cpu_count() or 1)
NO_CALL = "no stored reply; a rescore makes no model call"


class Asker(Protocol):
    """Whoever can put a judge's question to a model. Gives the reply, or None and the reason."""

    async def ask(self, stored: StoredAnswer, seat: Seat, order: int, model: str, call: JudgeCall) -> StoredReply: ...

    async def embed(self, stored: StoredAnswer, seat: Seat, model: str, texts: Sequence[str]) -> StoredReply: ...


@dataclass(frozen=True, slots=True)
class Bench:
    """The answers of a shard, with their cases and the seats that judge them."""

    cases: Mapping[int, Case]
    seats: Mapping[int, Sequence[Seat]]
    answers: Sequence[StoredAnswer]
    scores: dict[tuple[int, str], Score]
    """By answer and label."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A judgement that has yet to be made."""

    stored: StoredAnswer
    case: Case
    seat: Seat


async def score_shard(
    run: StoredRun, panel: Panel, first: int, last: int, asker: Asker | None, *, anew: bool = False
) -> None:
    """Judge all answers to the cases between two positions and write their verdicts.

    `anew` judges also what was judged before: the scores that are stored stay, the verdicts are of the fresh ones.
    """
    bench = await asyncio.to_thread(_load, run, panel, first, last)
    if anew:
        bench.scores.clear()
    missing = [
        _Open(stored, bench.cases[stored.key.position], seat)
        for stored in bench.answers
        if stored.answer.text is not None
        for seat in bench.seats[stored.key.position]
        if (stored.id, seat.label) not in bench.scores
    ]
    fresh = await asyncio.to_thread(_score_plainly, [each for each in missing if _is_plain(each.seat)])
    fresh += await _score_code([each for each in missing if isinstance(each.seat.scorer, CodePasses)])
    fresh += await _score_by_models(panel, [each for each in missing if _asks(each.seat)], asker)
    for record in fresh:
        bench.scores[record.answer_id, record.scorer] = record.score
    verdicts = await asyncio.to_thread(lambda: list(_verdicts(run, bench)))

    def write() -> None:
        with transaction() as connection:
            write_scores(connection, fresh)
            write_verdicts(connection, run.id, verdicts)

    await asyncio.to_thread(write)


def _load(run: StoredRun, panel: Panel, first: int, last: int) -> Bench:
    with transaction() as connection:
        stored_cases: list[StoredCase] = cases_of(connection, run.dataset_id, run.chosen, first, last)
        answers = answers_between(connection, run.answers_of, first, last)
        seats = {stored.position: panel.seats_for(stored.case) for stored in stored_cases}
        versions = {(seat.label, seat.version) for some in seats.values() for seat in some}
        kept = scores_of(connection, [stored.id for stored in answers], versions)
    return Bench(
        {stored.position: stored.case for stored in stored_cases},
        seats,
        [stored for stored in answers if stored.key.position in seats and stored.key.variant < len(run.variants)],
        kept,
    )


# Scorers that only read


def _is_plain(seat: Seat) -> bool:
    return not isinstance(seat.scorer, CodePasses) and not _asks(seat)


def _asks(seat: Seat) -> bool:
    return asks_a_model(seat.scorer)


def _score_plainly(open_ones: Sequence[_Open]) -> list[ScoreRecord]:
    return [_record(each, each.seat.scorer.score(each.case, each.stored.answer)) for each in open_ones]  # type: ignore[union-attr]


def _record(judged: _Open, score: Score) -> ScoreRecord:
    return ScoreRecord(
        answer_id=judged.stored.id,
        scorer=judged.seat.label,
        scorer_version=judged.seat.version,
        score=judged.seat.turned(score),
    )


# Programs


async def _score_code(open_ones: Sequence[_Open]) -> list[ScoreRecord]:
    if not open_ones:
        return []
    from tasks.sandbox import run_python_async

    slots = asyncio.Semaphore(SANDBOXES)

    async def run(each: _Open) -> ScoreRecord:
        scorer = each.seat.scorer
        assert isinstance(scorer, CodePasses)
        program = scorer.program(each.case, each.stored.answer)
        if isinstance(program, Unscored):
            return _record(each, program)
        async with slots:
            return _record(each, scorer.read(await run_python_async(program, limits=scorer.limits)))

    return list(await asyncio.gather(*(run(each) for each in open_ones)))


# Judges and embeddings


def request_hash(model: str, question: object) -> bytes:
    """The same question to the same model is not paid for twice."""
    return hashlib.blake2b(orjson.dumps([model, question], option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


async def _score_by_models(panel: Panel, open_ones: Sequence[_Open], asker: Asker | None) -> list[ScoreRecord]:
    if not open_ones:
        return []

    def stored() -> dict[tuple[int, str, int, bytes], StoredReply]:
        with transaction() as connection:
            return judgements_of(connection, [each.stored.id for each in open_ones])

    known = await asyncio.to_thread(stored)

    async def one(each: _Open) -> ScoreRecord | None:
        replies = await _replies(panel, each, asker, known)
        if any(reply.error_type == "interrupted" for reply in replies):
            return None
        return _record(each, _read(each, replies))

    records = await asyncio.gather(*(one(each) for each in open_ones))
    return [record for record in records if record is not None]


async def _replies(
    panel: Panel, each: _Open, asker: Asker | None, known: Mapping[tuple[int, str, int, bytes], StoredReply]
) -> list[StoredReply]:
    """One reply for each question of a scorer: a stored one where there is one, else by asking."""
    scorer, label = each.seat.scorer, each.seat.label
    model = panel.model_of(scorer)  # type: ignore[arg-type]
    questions = _questions(scorer, each)
    replies = []
    for order, question in enumerate(questions):
        asked = list(question) if isinstance(question, tuple) else [question.messages, question.parameters]
        stored = known.get((each.stored.id, label, order, request_hash(model, asked)))
        if stored is not None and stored.error_type is None:
            replies.append(stored)
        elif asker is None:
            replies.append(StoredReply(None, "not asked", NO_CALL, None))
        elif isinstance(question, tuple):
            replies.append(await asker.embed(each.stored, each.seat, model, question))
        else:
            replies.append(await asker.ask(each.stored, each.seat, order, model, question))
    return replies


def _questions(scorer: object, each: _Open) -> Sequence[JudgeCall | tuple[str, ...]]:
    if isinstance(scorer, EmbeddingSimilarity):
        texts = scorer.ask(each.case, each.stored.answer)
        return [texts] if texts else []
    judge: Judge = scorer  # type: ignore[assignment]
    return judge.ask(each.case, each.stored.answer)


def _read(each: _Open, replies: Sequence[StoredReply]) -> Score:
    scorer = each.seat.scorer
    failed = next((reply for reply in replies if reply.error_type is not None), None)
    if failed is not None and (isinstance(scorer, EmbeddingSimilarity) or failed.error_type == "not asked"):
        return Unscored(failed.error_message)
    if isinstance(scorer, EmbeddingSimilarity):
        return scorer.read(orjson.loads(replies[0].text or "[]") if replies else [])
    judge: Judge = scorer  # type: ignore[assignment]
    return judge.read([reply.text for reply in replies])


# Verdicts


def _verdicts(run: StoredRun, bench: Bench) -> Iterable[VerdictRecord]:
    """The verdict of every case and variant whose repeats are all there."""
    cells: dict[tuple[int, int], list[StoredAnswer]] = defaultdict(list)
    for stored in bench.answers:
        if stored.key.repeat < run.repeats:
            cells[stored.key.position, stored.key.variant].append(stored)
    threshold = parse_require(run.suite.require)
    for (position, variant), answers in cells.items():
        if len(answers) == run.repeats:
            yield _verdict(bench, bench.cases[position], position, variant, answers, threshold)


def _verdict(
    bench: Bench, case: Case, position: int, variant: int, answers: Sequence[StoredAnswer], threshold: float
) -> VerdictRecord:
    outcomes: list[Outcome] = []
    whys: list[tuple[int, str]] = []
    errors = []
    tallies: dict[str, dict[str, Any]] = {}
    for stored in answers:
        if stored.answer.text is None:
            errors.append(stored.answer)
            continue
        judged = judged_answer(stored, bench.seats[position], bench.scores)
        outcomes.append(outcome_of([each for _, each in judged]))
        for label, each in judged:
            _tally(tallies, label, each)
        whys += [
            (SEVERITIES.index(each.severity), f"{label}: {each.score.why}")
            for label, each in judged
            if not (passed := each.passed) and (passed is False or each.severity != "minor")
        ]
    why = min(whys)[1] if whys else _first_error(errors)
    if bench.seats[position]:
        verdict, reason, rate = verdict_of_case(
            [outcome.passed for outcome in outcomes],
            len(errors),
            threshold,
            manual=case.automation == "manual",
            why=why,
        )
    else:
        verdict, reason, rate = CaseVerdict("skipped", "no scorer of the suite or of its own judges this case", None)
    failed = {outcome.failed_severity for outcome in outcomes}
    scores = [outcome.score for outcome in outcomes if outcome.score is not None]
    return VerdictRecord(
        variant=variant,
        position=position,
        verdict=verdict,
        reason=reason,
        judged=rate.n if rate else 0,
        passed=sum(outcome.passed is True for outcome in outcomes),
        errors=len(errors),
        score=sum(scores) / len(scores) if scores else None,
        failed_severity=next((severity for severity in SEVERITIES if severity in failed), None),
        scorers=tallies,
    )


def _tally(tallies: dict[str, dict[str, Any]], label: str, judged: Judged) -> None:
    """Count one judgement under its scorer, so that a report need not read every score again."""
    tally = tallies.setdefault(
        label,
        {
            "passed": 0,
            "failed": 0,
            "unscored": 0,
            "sum": 0.0,
            "severity": judged.severity,
            "weight": judged.weight,
            "threshold": judged.threshold,
        },
    )
    passed = judged.passed
    tally["unscored" if passed is None else "passed" if passed else "failed"] += 1
    tally["sum"] += judged.value or 0.0


def judged_answer(
    stored: StoredAnswer, seats: Sequence[Seat], scores: Mapping[tuple[int, str], Score]
) -> list[tuple[str, Judged]]:
    """What every seat says of one answer, by label."""
    return [
        (
            seat.label,
            Judged(
                score=scores.get((stored.id, seat.label), Unscored("not judged yet")),
                threshold=seat.threshold,
                severity=seat.severity,
                weight=seat.weight,
            ),
        )
        for seat in seats
    ]


def _first_error(errors: Sequence[Answer]) -> str:
    return f"{errors[0].error}: {errors[0].error_message}" if errors else ""


def check_assertions(panel: Panel, cases: Iterable[Case]) -> None:
    """Build every case's own scorers once, so that a wrong one is named before anything is paid for."""
    for case in cases:
        panel.seats_for(case)
