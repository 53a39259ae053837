"""Reviewers in words: what `assay reviewers` prints."""

from evaluations.estimates import Estimate
from evaluations.reviewers import ReviewFacts
from evaluations.statistics.agreement import Agreement
from evaluations.statistics.outcomes import Undetermined
from reports.format import count, decimal, duration, interval, one_line, share, share_interval

NAME = 24


def headline(facts: ReviewFacts) -> str:
    """How many reviews there are, and whether they can tell anything of agreement."""
    people = count(len(facts.reviewers), "person", "people")
    told = f"{count(facts.reviews, 'review')} of {count(facts.items, 'thing')} by {people}"
    if not facts.judged_twice:
        return f"{told}. Nobody judged the same thing as somebody else: nothing is known of agreement."
    return f"{told}; {count(facts.judged_twice)} were judged by two or more."


def reviewer_lines(facts: ReviewFacts) -> list[str]:
    """A line for each person, whoever agrees most with the others first."""
    lines = [
        f"{'':<{NAME}}{'reviews':>9}  {'agrees with others':<28}{'drafts accepted':<28}{'changed':>9}  "
        f"{'edits rated 4 or 5':<28}{'median':>10}"
    ]
    for each in facts.reviewers:
        changed = "-" if each.changed is None else share(each.changed.value)
        seconds = "-" if each.seconds is None else duration(each.seconds * 1000)
        lines.append(
            f"{one_line(each.name, NAME - 2):<{NAME}}{count(each.reviews):>9}  {_shown(each.agrees):<28}"
            f"{_shown(each.accepted):<28}{changed:>9}  {_shown(each.liked):<28}{seconds:>10}"
        )
    lines.append("Shares are drawn towards the group's, the more so the fewer reviews there are.")
    return lines


def _shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not measured"
    return f"{share(estimate.value)} ({share_interval(estimate.low, estimate.high)}, n={count(estimate.n)})"


def agreement_lines(facts: ReviewFacts, most: int) -> list[str]:
    """Agreement beyond chance, per aspect and per pair, and of the sentiment scores with people."""
    lines = ["Agreement beyond chance (1 perfect, 0 chance):"]
    for aspect in facts.aspects:
        lines.append(
            f"  {one_line(aspect.name, 40)}: Krippendorff's alpha, {aspect.scale}, {agreement_text(aspect.alpha)}"
        )
    told = sorted(facts.pairs, key=lambda pair: (-pair.both, pair.aspect, pair.first, pair.second))
    for pair in told[:most]:
        who = f"{one_line(pair.first, 20)} and {one_line(pair.second, 20)}"
        lines.append(f"  {one_line(pair.aspect, 40)}, {who}: Cohen's kappa {agreement_text(pair.kappa)}")
    if len(told) > most:
        lines.append(f"  and {count(len(told) - most, 'more pair')}: --json lists them")
    lines.append(f"  sentiment scores with people: Cohen's kappa {agreement_text(facts.sentiment)}")
    return lines


def agreement_text(found: Agreement | Undetermined) -> str:
    """`0.61 (95% CI 0.48–0.72), n = 80`, with its doubts; or why nothing can be said."""
    if isinstance(found, Undetermined):
        return f"not measured: {found.why}"
    it = found.coefficient
    doubts = "" if found.reliable else f"; not reliable: {found.reason}"
    return f"{decimal(it.value, 2)} (95% CI {interval(it.low, it.high, 2)}), n = {count(it.n)}{doubts}"


def training_lines(facts: ReviewFacts, most: int) -> list[str]:
    """Who to train on what; only what is beyond chance."""
    if not facts.training:
        return ["Nobody agrees less with the others on a category than chance would explain."]
    lines = ["Who to train on what:"]
    lines += [
        f"  {one_line(each.reviewer, 24)} on {one_line(each.category, 40)}: agrees {_shown(each.agrees)}, the others "
        f"{_shown(each.group)}"
        for each in facts.training[:most]
    ]
    return lines
