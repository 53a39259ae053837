"""The words of a leaderboard's page: who is best, who is tied with whom, and how sure that is."""

from collections.abc import Sequence

from evaluations.board_results import BoardResult, BoardUnit
from evaluations.estimates import Estimate
from evaluations.leaderboards import Standing
from evaluations.statistics.length_bias import LengthControlled
from reports.charts import Reading
from reports.format import count, decimal, duration, interval, moment, money, one_line, points, share, share_interval
from reports.views.parts import Banner, Fact, Kpi, Status, Verdict

NAMED = 3
"""More models than these are counted in a sentence, not named."""


def name(model: str) -> str:
    return one_line(model, 60)


def names(models: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b and 4 more`."""
    shown = [name(model) for model in models]
    if len(shown) > NAMED:
        shown = [*shown[: NAMED - 1], f"{len(shown) - NAMED + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def score(value: float | None, unit: BoardUnit) -> str:
    """A score in its unit: `94.1%`, `8.76`, `845 ms`, `$0.0042`, `51.7/s`."""
    if value is None:
        return "not scored"
    if unit == "share":
        return share(value)
    if unit == "ms":
        return duration(value)
    if unit == "usd":
        return money(value)
    return decimal(value, 2 if abs(value) < 100 else 1) + ("/s" if unit == "per_second" else "")


def score_interval(found: Estimate | None, unit: BoardUnit) -> str:
    if found is None:
        return "unknown"
    if unit == "share":
        return share_interval(found.low, found.high)
    if unit in ("ms", "usd"):
        return f"{score(found.low, unit)} to {score(found.high, unit)}"
    return interval(found.low, found.high, 2 if abs(found.value) < 100 else 1)


def gap(value: float, unit: BoardUnit) -> str:
    """A difference in its unit, with its sign."""
    if unit == "share":
        return points(value)
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return f"{sign}{score(abs(value), unit)}"


def gap_interval(found: Estimate, unit: BoardUnit) -> str:
    if unit == "share":
        return interval(100 * found.low, 100 * found.high) + " pts"
    return f"{gap(found.low, unit)} to {gap(found.high, unit)}"


def tick(value: float, unit: BoardUnit) -> str:
    return share(round(value, 6), trim=True) if unit == "share" else score(round(value, 9), unit)


def rank(standing: Standing) -> str:
    """`1`, `1–3`."""
    if standing.best_rank == standing.worst_rank:
        return str(standing.best_rank)
    return f"{standing.best_rank}–{standing.worst_rank}"


def reading(result: BoardResult, standing: Standing) -> tuple[Reading, str]:
    """How a row reads: its ranks, and whether it may be the best."""
    if standing.value is None:
        return "open", "Not scored"
    words = f"Rank {rank(standing)}"
    leaders = result.board.leaders
    if leaders == (standing.model,):
        return ("good", f"{words}, best") if len(result.board.standings) > 1 else ("plain", "Alone")
    return ("plain", f"{words}, may lead") if standing.model in leaders else ("open", words)


def scored(result: BoardResult) -> list[Standing]:
    return [each for each in result.board.standings if each.value is not None]


def cases(result: BoardResult) -> str:
    """`1,319 cases`, `400 cases of 40 sources`."""
    board = result.board
    sources = "" if board.clusters is None else f" of {count(board.clusters, 'source')}"
    return f"{count(board.cases, 'case')}{sources}"


# The first screen


def about(result: BoardResult) -> str:
    run = f" Run {one_line(result.run_id, 40)}." if result.run_id else ""
    better = {"higher": "more is better", "lower": "less is better"}[result.board.better]
    models = count(len(result.board.standings), "model")
    return f"{models} on {cases(result)}, {one_line(result.metric, 60)}: {better}. {moment(result.as_of)}.{run}"


def marks(result: BoardResult) -> tuple[str, ...]:
    return (*(("SIMULATED",) if result.simulated else ()), *(("Sample data",) if result.sample_data else ()))


def banners(result: BoardResult) -> tuple[Banner, ...]:
    made = []
    if not result.complete:
        why = f": {one_line(result.stop_reason, 120)}" if result.stop_reason else ""
        made.append(Banner("warn", "Incomplete.", f"Cases are missing{why}. Ranks are of what was scored."))
    if result.simulated:
        made.append(Banner("warn", "Simulated.", "The answers come from a simulated model, not from a provider."))
    return tuple(made)


def verdict(result: BoardResult) -> Verdict:
    """Who is best, and how sure, in one sentence."""
    models, leaders = scored(result), result.board.leaders
    if not models:
        return Verdict("warn", "No verdict", ": nothing was scored")
    best = models[0]
    level = (1 - result.board.alpha) * 100
    told = f"{score(best.value, result.unit)} ({level:g}% CI {score_interval(best.interval, result.unit)})"
    if len(models) == 1:
        return Verdict("plain", f"{name(best.model)} scored {told}", ": there is no other model to compare it with")
    first = result.board.standing(leaders[0])
    if len(leaders) == 1:
        others = len(models) - 1
        beaten = "better than the other" if others == 1 else f"better than each of the {others} others"
        if first.worst_rank > 1:
            beaten = f"and no model is better; it is not shown to be better than {count(first.worst_rank - 1, 'other')}"
        return Verdict("good", f"{name(first.model)} is best", f": {told} on {cases(result)}, {beaten}")
    if len(leaders) == len(models):
        which = "both" if len(models) == 2 else f"all {len(models)}"
        return Verdict("warn", "No model stands out", f": {which} may be the best; {name(best.model)} scored {told}")
    behind = len(models) - len(leaders)
    return Verdict(
        "plain",
        f"{names(leaders)} share the lead",
        f": {told} for the first on {cases(result)}, any may be the best; {count(behind, 'other')} "
        f"{'is' if behind == 1 else 'are'} behind",
    )


def facts(result: BoardResult) -> tuple[Fact, ...]:
    made = [_sure(result), _ties(result)]
    if (claim := _claim(result)) is not None:
        made.append(claim)
    if (unscored := _unscored(result)) is not None:
        made.append(unscored)
    if (length := _length(result)) is not None:
        made.append(length)
    if result.rerun:
        made.append(Fact(label="Again", status=None, sentences=("The same cases, models and scorers:",),
                         command=result.rerun))  # fmt: skip
    return tuple(made)


def _sure(result: BoardResult) -> Fact:
    board = result.board
    apart = sum(each.ahead is not None for each in board.pairings)
    if not board.pairings:
        return Fact(label="How sure", status=None, sentences=("One model has no rank to be sure of.",))
    status = (
        Status("All told apart", "good", "check") if apart == len(board.pairings)
        else Status("Some are tied", "warn", "wave") if apart
        else Status("None told apart", "warn", "wave")
    )  # fmt: skip
    pairs = f"{count(apart)} of {count(len(board.pairings), 'pair')} told apart."
    chance = f"The chance that any of them is wrong is at most {board.alpha * 100:g}%."
    early = "" if board.planned is None else f" It may have stopped before its {count(board.planned, 'case')}."
    return Fact(label="How sure", status=status, sentences=(pairs, chance + early))


def _ties(result: BoardResult) -> Fact:
    groups = result.board.tied
    if not groups:
        return Fact(label="Ties", status=None, sentences=("No two models are tied.",))
    told = [f"{names(group)}." for group in groups[:2]]
    if len(groups) > 2:
        told.append(f"{count(len(groups) - 2, 'more group')}.")
    return Fact(label="Ties", status=None, sentences=tuple(told), link=("All ties", "ties"))


def _claim(result: BoardResult) -> Fact | None:
    claim = result.board.claim
    if claim is None:
        return None
    found = claim.shrunken
    return Fact(
        label="On new cases",
        status=None,
        sentences=(
            f"The best of several is partly lucky: expect about {score(found.value, result.unit)} "
            f"({score_interval(found, result.unit)}) of {name(claim.model)}.",
        ),
    )


def _unscored(result: BoardResult) -> Fact | None:
    missing = {each.model: each.unscored for each in result.board.standings if each.unscored}
    if not missing:
        return None
    total, failed = sum(missing.values()), sum(result.failed.values())
    sentences = [f"{count(total, 'answer')} of {count(len(missing), 'model')} without a score: counted, never a zero."]
    if failed:
        sentences.append(f"{count(failed)} of them because the call failed.")
    return Fact(label="Unscored", status=Status(count(total), "warn", "bang"), sentences=tuple(sentences),
                link=("By model", "standings"))  # fmt: skip


def _length(result: BoardResult) -> Fact | None:
    if not result.judged:
        return None
    turned = [pair for pair, found in result.at_equal_length.items() if turns(found)]
    if not result.at_equal_length:
        status, told = Status("Not checked", "warn", "bang"), "A judge scored; lengths of answers are not known."
        return Fact(label="Length", status=status, sentences=(told,))
    if turned:
        status = Status("Look again", "warn", "wave")
        told = f"{count(len(turned), 'pair')} would lose the lead at equal length of answers."
    else:
        status, told = Status("No lead is due to it", "good", "check"), "No pair changes at equal length of answers."
    return Fact(label="Length", status=status, sentences=(told,), link=("Rates", "length"))


def turns(found: object) -> bool:
    """Does a lead vanish, or turn around, at equal length?"""
    if not isinstance(found, LengthControlled) or not found.reliable or found.raw.low <= 0.5 <= found.raw.high:
        return False
    leads = found.raw.value > 0.5
    return not (found.controlled.low > 0.5 if leads else found.controlled.high < 0.5)


def kpis(result: BoardResult) -> tuple[Kpi, ...]:
    models, board = scored(result), result.board
    if not models:
        return ()
    best, apart = models[0], sum(each.ahead is not None for each in board.pairings)
    made = [
        Kpi(
            label="Best score",
            value=score(best.value, result.unit),
            note=f"{name(best.model)}, n = {count(best.n)}",
        ),
        Kpi(
            label="May be the best",
            value=count(len(board.leaders)),
            note=f"of {count(len(models), 'model')}",
        ),
        Kpi(
            label="Pairs told apart",
            value=count(apart),
            note=f"of {count(len(board.pairings))}",
        ),
        Kpi(label="Cases", value=count(board.cases), note=_case_note(result)),
    ]
    return tuple(made)


def _case_note(result: BoardResult) -> str:
    board = result.board
    if board.planned is not None:
        return f"of {count(board.planned)} planned"
    return "each stands alone" if board.clusters is None else f"of {count(board.clusters, 'source')}"


def finding(result: BoardResult) -> str:
    """The title of the main figure."""
    models, leaders = scored(result), result.board.leaders
    if not models:
        return "Nothing was scored"
    if len(models) == 1:
        return f"{name(models[0].model)} alone"
    if len(leaders) == 1:
        return f"{name(leaders[0])} is ahead"
    return f"{count(len(leaders))} of {count(len(models), 'model')} may be the best"


def method(result: BoardResult) -> tuple[str, ...]:
    board = result.board
    tests = sorted({each.test for each in board.pairings if each.test})
    how = f" Tests used: {'; '.join(tests)}." if tests else ""
    correction = (
        "Pairs are told apart by bets that hold at every look, with Bonferroni's correction over all pairs, because "
        "asking may have stopped early."
        if board.planned is not None
        else "Every pair of models is tested on the cases that both were scored on, with Holm's correction over all "
        "pairs."
    )
    made = [
        f"{correction}{how} A model's best rank is one more than the number of models significantly better, its worst "
        "rank the number of models less those significantly worse. With a chance of at least "
        f"{(1 - board.alpha) * 100:g}% all ranges together hold the true ranks.",
        "Tied models are those that no test tells apart: it does not mean that they are equal. A model can be tied "
        "with both of its neighbours while those differ.",
        f"Intervals of scores are at {(1 - board.alpha) * 100:g}%, each for itself, and may overlap although a paired "
        "test tells the models apart: both answered the same cases."
        + (" Cases of one source count as one unit." if board.clusters is not None else ""),
    ]
    if board.claim is not None:
        made.append(
            "What to expect on new cases is the best score drawn towards the mean of the models, by as much as "
            "chance explains their differences (hierarchical normal model)."
        )
    if result.judged and result.at_equal_length:
        made.append(
            "Win rates at equal length come from a logistic regression of the preference on the difference in length "
            "(length-controlled win rate)."
        )
    return tuple(made)
