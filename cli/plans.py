"""A plan in words: what a run will call, cost and take."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from evaluations.wording import count, duration, money

if TYPE_CHECKING:
    from tasks.estimates import Range
    from tasks.planning import Plan


def tell_plan(plan: "Plan", *, brief: bool) -> None:
    """Print a plan: in brief on stderr, before a run; in full on stdout, when it is all that was asked for."""

    def tell(line: str) -> None:
        click.echo(line, err=brief)

    spec, estimate = plan.spec, plan.estimate
    cells = (
        f"{count(plan.cases, 'case')} x {count(len(plan.loaded.variants), 'variant')} x {count(spec.repeats, 'repeat')}"
    )
    tell(f"{spec.suite}: {cells} = {count(plan.cells, 'answer')}; {cost_in_words(plan)}")
    for sentence in plan.since:
        tell(f"  since the last run: {sentence}")
    if plan.quarantined:
        tell(f"  {count(len(plan.quarantined), 'row')} in quarantine, listed in the report")
    if brief:
        return
    for each in estimate.variants:
        basis = "from earlier answers" if each.from_history else "length of answers assumed"
        cost = "unpriced" if each.cost is None else _range(each.cost)
        tell(
            f"  {each.label}: {count(each.calls, 'call')}, about {count(each.input_tokens)} tokens in and "
            f"{count(each.output_tokens)} out, {cost} ({basis})"
        )
    if not estimate.recorded:
        low, high = (duration(seconds * 1000) for seconds in (estimate.seconds.low, estimate.seconds.high))
        tell(f"  time: {low} to {high} with {count(spec.concurrency, 'call')} at once")
    if spec.max_cost is not None:
        tell(f"  stops before more than {money(spec.max_cost)} is spent")
    if spec.max_time is not None:
        tell(f"  stops after {duration(spec.max_time * 1000)}")
    tell("  nothing was called")


def plan_event(plan: "Plan") -> dict[str, Any]:
    """A plan as the fields of a JSON event."""
    return {
        "suite": plan.spec.suite,
        "dataset": plan.dataset.name,
        "dataset_hash": plan.dataset.content_hash,
        "cases": plan.cases,
        "variants": [variant.label for variant in plan.loaded.variants],
        "repeats": plan.spec.repeats,
        "answers": plan.cells,
        "estimate": plan.estimate.as_json(),
        "since": list(plan.since),
        "quarantined": len(plan.quarantined),
    }


def cost_in_words(plan: "Plan") -> str:
    """What a plan would cost, or why nobody knows."""
    estimate = plan.estimate
    if estimate.recorded:
        return "recorded or simulated, nothing is paid"
    if estimate.cost is None:
        return "cost unknown: no price for " + ", ".join(estimate.unpriced)
    unpriced = f", {', '.join(estimate.unpriced)} unpriced" if estimate.unpriced else ""
    return f"estimated {_range(estimate.cost)}{unpriced}"


def _range(cost: "Range") -> str:
    low, middle, high = (money(Decimal(str(usd))) for usd in (cost.low, cost.middle, cost.high))
    return f"{middle} ({low} to {high})"
