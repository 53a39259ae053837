"""Scorers for answers that are lists: the same items, the same order, the best ones first."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.scoring.jsontext import NOTHING, json_in, parsed, unfenced
from evaluations.scoring.reading import (
    FULL,
    Compared,
    Counted,
    OfText,
    composed,
    nothing_expected,
    text_of,
    too_slow,
)
from evaluations.scoring.settings import Positive, Text
from evaluations.scoring.words import listed, plural, quoted

Split = Literal["auto", "json", "lines", "commas", "spaces"]
MAX_ITEMS = 100_000
_BULLET = re.compile(r"^\s*(?:[-*+\u2022]|[0-9]{1,4}[.)]|\(?[a-zA-Z][.)])\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReading(Compared):
    """How a list is read from the answer; the expectation is a list, or text that is read the same way."""

    split: Split = "auto"
    """How items are told apart. auto: a JSON array where there is one, else bullets or lines, else commas."""
    ignore_case: bool = True
    """Take upper and lower case as the same."""

    def score(self, case: Case, answer: Answer) -> Score:
        if answer.text is None:
            return Unscored("there is no answer to score")
        value = self.expectation(case)
        if value is NOTHING or value is None:
            return nothing_expected(self.expected_field)
        if isinstance(value, Mapping):
            return Unscored("the expectation is an object: name the list with expected_field")
        wanted = [text_of(item) for item in value] if _is_items(value) else items_in(text_of(value), self.split)
        try:
            said = self.part(answer.text)
        except TimeoutError:
            return too_slow(answer.text)
        if not isinstance(said, str):
            return said
        return self.compare_lists(
            [self.item(text) for text in items_in(said, self.split)], [self.item(text) for text in wanted]
        )

    def item(self, text: str) -> str:
        """An item as it is compared."""
        text = composed(self.tidy(text))
        return text.casefold() if self.ignore_case else text

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        """The score of the items that were said."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEquals(ListReading):
    """The answer lists the expected items in the expected order; the share of places that are right."""

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        if said == wanted:
            return FULL
        right = sum(a == b for a, b in zip(said, wanted, strict=False))
        at = next((at for at, (a, b) in enumerate(zip(said, wanted, strict=False)) if a != b), None)
        if at is None:
            why = f"{plural(len(said), 'item')}, wanted {len(wanted)}"
        else:
            why = f"item {at + 1}: wanted {quoted(wanted[at], 40)}, said {quoted(said[at], 40)}"
        return Scored(right / max(len(said), len(wanted)), why)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetEquals(ListReading):
    """The answer lists exactly the expected items, in any order, each however often."""

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        return FULL if set(said) == set(wanted) else Scored(0.0, _set_difference(said, wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRecall(ListReading):
    """The share of the expected items that the answer lists."""

    default_threshold: ClassVar[float] = 0.8

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        if not wanted:
            return Unscored("the expected list is empty, so nothing could be missed")
        share = len(set(said) & set(wanted)) / len(set(wanted))
        return FULL if share == 1 else Scored(share, _set_difference(said, wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPrecision(ListReading):
    """The share of the listed items that are expected; an answer that lists nothing is wrong."""

    default_threshold: ClassVar[float] = 0.8

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        if not said:
            return self.absent("no items", "") if wanted else FULL
        share = len(set(said) & set(wanted)) / len(set(said))
        return FULL if share == 1 else Scored(share, _set_difference(said, wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetF1(ListReading):
    """Harmonic mean of the precision and recall of the listed items, in any order."""

    default_threshold: ClassVar[float] = 0.8

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        if set(said) == set(wanted):
            return FULL
        # 2PR/(P+R) with the division by zero cancelled.
        both = len(set(said) & set(wanted))
        return Scored(2 * both / (len(set(said)) + len(set(wanted))), _set_difference(said, wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class Jaccard(ListReading):
    """Listed and expected items in common, as a share of all of them."""

    default_threshold: ClassVar[float] = 0.7

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        union = set(said) | set(wanted)
        if set(said) == set(wanted):
            return FULL
        return Scored(len(set(said) & set(wanted)) / len(union), _set_difference(said, wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsF1(Compared):
    """F1 of the labels that an answer names, wherever in it, against the expected ones (several may be
    right)."""

    default_threshold: ClassVar[float] = 0.8

    labels: tuple[Text, ...]
    """All labels there are."""

    def score(self, case: Case, answer: Answer) -> Score:
        from evaluations.scoring.choice import bare_label, labels_in

        if answer.text is None:
            return Unscored("there is no answer to score")
        value = self.expectation(case)
        if value is NOTHING or value is None:
            return nothing_expected(self.expected_field)
        wanted = {bare_label(text_of(item)) for item in (value if _is_items(value) else [value])}
        if strange := sorted(wanted - set(map(bare_label, self.labels))):
            return Unscored(f"the expectation names what is no label: {listed(strange)}")
        try:
            said = self.part(answer.text)
        except TimeoutError:
            return too_slow(answer.text)
        if not isinstance(said, str):
            return said
        named = set(labels_in(said, self.labels))
        if named == wanted:
            return FULL
        both = len(named & wanted)
        return Scored(2 * both / (len(named) + len(wanted)), _set_difference(sorted(named), sorted(wanted)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering(ListReading):
    """The expected items in the expected order: the share of pairs that stand the right way round.

    Kendall's tau moved to [0, 1]: 1 for the expected order, 0 for its reverse. Pairs with a missing item
    are wrong.
    """

    default_threshold: ClassVar[float] = 0.8

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        order = list(dict.fromkeys(wanted))
        if len(order) < 2:
            return Unscored("the expectation has fewer than two items, so there is no order")
        if len(order) > 2000:
            return Unscored(f"{len(order)} items are too many to compare pair by pair; the limit is 2,000")
        place = {item: at for at, item in reversed(list(enumerate(said)))}
        pairs = right = 0
        wrong = ""
        for at, first in enumerate(order):
            for second in order[at + 1 :]:
                pairs += 1
                if first in place and second in place and place[first] < place[second]:
                    right += 1
                elif not wrong:
                    wrong = _misplaced(first, second, place)
        return FULL if right == pairs else Scored(right / pairs, wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class HitAt(ListReading):
    """One of the expected items is among the first `k` that the answer lists."""

    k: Positive = 1
    """How many places count."""

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        if set(said[: self.k]) & set(wanted):
            return FULL
        return Scored(0.0, f"wanted {listed(wanted, 3)} in the first {self.k}, said {listed(said[: self.k], 3)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReciprocalRank(ListReading):
    """One divided by the place of the first expected item in the answer's list; 0 where none is listed."""

    default_threshold: ClassVar[float] = 0.5

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        targets = set(wanted)
        place = next((at for at, item in enumerate(said, start=1) if item in targets), None)
        if place == 1:
            return FULL
        if place is None:
            return Scored(0.0, f"none of {listed(wanted, 3)} in {listed(said, 3) or 'an empty list'}")
        return Scored(1 / place, f"the first expected item is number {place}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ndcg(ListReading):
    """Normalised discounted cumulative gain: expected items early in the list, the most wanted ones first.

    The first of n expected items has gain n, the last gain 1, unless `graded` is off. Discount 1/log2(place
    + 1). Source: Järvelin and Kekäläinen (2002), "Cumulated gain-based evaluation of IR techniques", ACM
    TOIS 20(4).
    """

    default_threshold: ClassVar[float] = 0.7

    k: Positive | None = None
    """How many places count; all of them when not given."""
    graded: bool = True
    """The order of the expectation says what is wanted most; else every expected item is worth the same."""

    def compare_lists(self, said: list[str], wanted: list[str]) -> Score:
        order = list(dict.fromkeys(wanted))
        if not order:
            return Unscored("the expected list is empty")
        gains = {item: float(len(order) - at if self.graded else 1) for at, item in enumerate(order)}
        ranked = list(dict.fromkeys(said))[: self.k]
        gained = sum(gains.get(item, 0.0) / math.log2(at + 2) for at, item in enumerate(ranked))
        ideal = sum(gains[item] / math.log2(at + 2) for at, item in enumerate(order[: self.k]))
        value = min(1.0, gained / ideal)
        return FULL if value > 1 - 1e-12 else Scored(value, f"wanted {listed(order, 3)}, said {listed(ranked, 3)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCount(Counted):
    """How many items the answer lists."""

    noun = "item"

    split: Split = "auto"
    """How items are told apart. auto: a JSON array where there is one, else bullets or lines, else commas."""

    def count(self, text: str) -> int:
        return len(items_in(text, self.split))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDuplicates(OfText):
    """No item of the answer's list occurs twice, upper and lower case aside."""

    default_threshold: ClassVar[float] = 1.0

    split: Split = "auto"
    """How items are told apart. auto: a JSON array where there is one, else bullets or lines, else commas."""

    def judge(self, text: str) -> Score:
        items = [composed(item).casefold() for item in items_in(text, self.split)]
        twice = [item for item, times in Counter(items).items() if times > 1]
        if not twice:
            return FULL
        return Scored(len(set(items)) / len(items), f"more than once: {listed(twice)}")


def items_in(text: str, split: Split = "auto") -> list[str]:
    """The items that a text lists, trimmed, blank ones left out, bullets and numbering removed.

    >>> items_in("1. apples\\n2. pears"), items_in('["a", 2]'), items_in("red, green and blue")
    (['apples', 'pears'], ['a', '2'], ['red', 'green', 'blue'])
    """
    if split in ("auto", "json"):
        array = json_in(text) if split == "json" else parsed(unfenced(text))
        if isinstance(array, list):
            return [text_of(item) for item in array[:MAX_ITEMS]]
        if split == "json":
            return []
    lines = [line for line in unfenced(text).splitlines() if line.strip()]
    if split == "auto":
        bullets = [line for line in lines if _BULLET.match(line)]
        if bullets:
            lines, split = bullets, "lines"
        else:
            split = "lines" if len(lines) > 1 else "commas"
    if split == "lines":
        items = [_BULLET.sub("", line, count=1) for line in lines]
    elif split == "commas":
        # "red, green and blue" has three items; "rock and roll" alone stays one.
        parts = re.split(r"[,;\n]", text)
        if len(parts) > 1:
            parts[-1:] = re.split(r"\b(?:and|or)\s", parts[-1], maxsplit=1)
        items = parts
    else:
        items = text.split()
    return [item.strip() for item in items if item.strip()][:MAX_ITEMS]


def _is_items(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset)


def _set_difference(said: list[str], wanted: list[str]) -> str:
    here, asked = set(said), set(wanted)
    lacking = [item for item in dict.fromkeys(wanted) if item not in here]
    extra = [item for item in dict.fromkeys(said) if item not in asked]
    parts = []
    if lacking:
        parts.append(f"lacks {listed(lacking, 3)}")
    if extra:
        parts.append(f"has {listed(extra, 3)} too many")
    return "; ".join(parts)


def _misplaced(first: str, second: str, place: dict[str, int]) -> str:
    for item in (first, second):
        if item not in place:
            return f"{quoted(item, 40)} is missing"
    return f"wanted {quoted(first, 40)} before {quoted(second, 40)}"
