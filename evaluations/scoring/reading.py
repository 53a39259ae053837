"""Which text a scorer reads: the part of the answer that counts, and the expectation it is compared with.

Scorers that look at the answer alone extend `OfText` and write `judge(text)`. Scorers that compare extend
`Compared` and write `compare(said, wanted)`. Scorers that count something and know bounds extend `Counted`
and write `count(text)`. The settings declared here are therefore the same for all of them.
"""

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.scoring.jsontext import NOTHING, at_path, json_in, salvaged
from evaluations.scoring.regexes import Take, matches, picked
from evaluations.scoring.settings import Count, Pattern, Text
from evaluations.scoring.words import listed, plural, quoted, tail

FULL = Scored(1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfText:
    """A scorer that looks at the answer alone, or at the part of it that the `answer_…` settings name.

    The settings narrow in this order: `answer_field`, `answer_after`, `answer_pattern`.
    """

    default_threshold: ClassVar[float] = 1.0
    version: ClassVar[str] = "1"
    quotes: ClassVar[bool] = True
    """Whether reasons may quote the answer; False where it may hold what must not be repeated."""

    answer_field: str | None = None
    """Read the answer as JSON (the first object in it) and take what stands at this path, e.g.
    `customer.id`."""
    answer_field_salvage: bool = False
    """Where the answer is broken or cut-off JSON, take what follows the last `"field":` in it."""
    answer_after: Text | None = None
    """Read what follows this text (its last occurrence, unless `answer_take` is first), without one closing
    full stop."""
    answer_pattern: tuple[Pattern, ...] = ()
    """Regular expression for the part that counts: its first group, or the whole match. Of several, the first
    that matches anywhere decides."""
    answer_take: Take = "last"
    """Which occurrence counts where several match."""
    missing: Literal["wrong", "unscored"] = "wrong"
    """What an answer without that part is: wrong (0, with the reason), or left unscored and counted apart."""

    def score(self, case: Case, answer: Answer) -> Score:
        if answer.text is None:
            return Unscored("there is no answer to score")
        try:
            said = self.part(answer.text)
            return self.judge(said) if isinstance(said, str) else said
        except TimeoutError:
            return too_slow(answer.text)

    def judge(self, text: str) -> Score:
        """The score of the part of the answer that counts."""
        raise NotImplementedError

    def part(self, text: str) -> str | Score:
        """The part of the answer that counts, or what its absence means. May raise TimeoutError."""
        if self.answer_field is not None:
            value = at_path(json_in(text), self.answer_field)
            if value is NOTHING and self.answer_field_salvage and json_in(text) is NOTHING:
                value = salvaged(text, self.answer_field.rsplit(".", 1)[-1])
            if value is NOTHING or value is None:
                return self.absent(f"no final answer found: no JSON field {self.answer_field!r}", text)
            text = text_of(value)
        if self.answer_after is not None:
            at = text.rfind(self.answer_after) if self.answer_take == "last" else text.find(self.answer_after)
            if at < 0:
                how = f"no final answer found: nothing follows {quoted(self.answer_after, 40)}"
                return self.absent(how, text)
            text = text[at + len(self.answer_after) :].strip().removesuffix(".").rstrip()
        if self.answer_pattern:
            caught = taken(self.answer_pattern, text, self.answer_take)
            if caught is None:
                how = f"no final answer found: nothing matches {listed(self.answer_pattern, 3)}"
                return self.absent(how, text)
            text = caught
        return text

    def absent(self, how: str, text: str) -> Score:
        """What an answer without the part that counts is worth."""
        where = "in the answer" if not self.quotes else f"in {tail(text)}" if text.strip() else "in a blank answer"
        why = f"{how} {where}"
        return Unscored(why) if self.missing == "unscored" else Scored(0.0, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(OfText):
    """A scorer that compares (part of) the answer with what the case expects.

    An expectation that is a list holds alternatives: the answer gets the best score over them.
    """

    expected: Any = None
    """Compare with this instead of the case's own expectation; a list holds alternatives."""
    expected_field: str | None = None
    """Path within the expectation, e.g. `category`; `inputs.…` and `metadata.…` read there."""
    expected_pattern: tuple[Pattern, ...] = ()
    """Regular expression for the part of the expectation that counts: its first group, or the whole match."""
    expected_take: Take = "last"
    """Which match counts where `expected_pattern` matches several times."""
    drop: str = ""
    """Characters that are removed from both sides before comparing, e.g. `,$`."""
    strip: bool = True
    """Leave white space at both ends out of the comparison."""

    def score(self, case: Case, answer: Answer) -> Score:
        sides = self.sides(case, answer)
        return best_of(self.compare, *sides) if isinstance(sides, tuple) else sides

    def sides(self, case: Case, answer: Answer) -> tuple[str, list[str]] | Score:
        """What was said and the texts it is compared with, tidied; or the score where one is missing."""
        if answer.text is None:
            return Unscored("there is no answer to score")
        try:
            wanted = self.alternatives(case)
            if isinstance(wanted, Unscored):
                return wanted
            said = self.part(answer.text)
        except TimeoutError:
            return too_slow(answer.text)
        return (self.tidy(said), wanted) if isinstance(said, str) else said

    def compare(self, said: str, wanted: str) -> Score:
        """The score of an answer against one alternative."""
        raise NotImplementedError

    def expectation(self, case: Case) -> Any:
        """The value to compare with, or NOTHING where the case has none."""
        whole = case.expected if self.expected is None else self.expected
        return whole if self.expected_field is None else field_of(case, whole, self.expected_field)

    def alternatives(self, case: Case) -> list[str] | Unscored:
        """The texts to compare with, tidied; Unscored where the case expects none. May raise TimeoutError."""
        value = self.expectation(case)
        if value is NOTHING or value is None:
            return nothing_expected(self.expected_field)
        items = value if isinstance(value, list | tuple) else (value,)
        texts = [text_of(item) for item in items if item is not None and not isinstance(item, dict | list)]
        if not texts:
            shape = "an object" if isinstance(value, dict) else "a list without text"
            return Unscored(f"the expectation is {shape}: name the part that counts with expected_field")
        if self.expected_pattern:
            found = [taken(self.expected_pattern, text, self.expected_take) for text in texts]
            caught = [text for text in found if text is not None]
            if not caught:
                patterns = listed(self.expected_pattern, 3)
                return Unscored(f"nothing in the expectation matches {patterns}: {quoted(texts[0])}")
            texts = caught
        return [self.tidy(text) for text in texts]

    def tidy(self, text: str) -> str:
        if self.drop:
            text = text.translate(_dropping(self.drop))
        return text.strip() if self.strip else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(OfText):
    """A scorer that counts something in the answer and knows how many there should be."""

    noun: ClassVar[str] = "thing"
    """What is counted, for the reason."""

    exactly: Count | None = None
    """As many as this, no more and no less."""
    at_least: Count | None = None
    """This many or more."""
    at_most: Count | None = None
    """This many or fewer."""
    less_than: Count | None = None
    """Fewer than this."""

    def __post_init__(self) -> None:
        if (self.exactly, self.at_least, self.at_most, self.less_than) == (None, None, None, None):
            raise ValueError("say how many: exactly, at_least, at_most or less_than")
        highest = self.at_most if self.less_than is None else self.less_than - 1
        if self.at_least is not None and highest is not None and self.at_least > highest:
            raise ValueError(f"no count is at least {self.at_least} and at most {highest}")

    def judge(self, text: str) -> Score:
        count = self.count(text)
        if (
            (self.exactly is None or count == self.exactly)
            and (self.at_least is None or count >= self.at_least)
            and (self.at_most is None or count <= self.at_most)
            and (self.less_than is None or count < self.less_than)
        ):
            return FULL
        return Scored(0.0, f"{plural(count, self.noun)}, wanted {self.wanted()}")

    def count(self, text: str) -> int:
        """How many there are."""
        raise NotImplementedError

    def wanted(self) -> str:
        """The bounds in words.

        >>> Counted(at_least=2, less_than=5).wanted()
        'at least 2 and less than 5'
        """
        bounds = {
            "exactly": self.exactly,
            "at least": self.at_least,
            "at most": self.at_most,
            "less than": self.less_than,
        }
        return " and ".join(f"{word} {bound:,}" for word, bound in bounds.items() if bound is not None)


def best_of(compare: Callable[[str, str], Score], said: str, alternatives: list[str]) -> Score:
    """The best score of an answer over the alternatives; Unscored only where none could be compared."""
    best: Score | None = None
    for wanted in alternatives:
        score = compare(said, wanted)
        if isinstance(score, Unscored):
            best = best or score
        elif score.value >= 1.0:
            return score
        elif not isinstance(best, Scored) or score.value > best.value:
            best = score
    if isinstance(best, Scored) and len(alternatives) > 1:
        return Scored(best.value, f"{best.why} (nearest of {len(alternatives)} alternatives)")
    return best or Unscored("nothing is expected of this case")


def taken(patterns: tuple[str, ...], text: str, take: Take) -> str | None:
    """What the first pattern that matches anywhere caught, first or last. May raise TimeoutError."""
    for pattern in patterns:
        caught = picked(matches(pattern, text), take)
        if caught is not None:
            return caught
    return None


def field_of(case: Case, expected: Any, path: str) -> Any:
    """What stands at a path of the expectation, or of the inputs or metadata where the path begins so."""
    value = at_path(expected, path)
    if value is not NOTHING:
        return value
    root, _, rest = path.partition(".")
    for name, holder in (("inputs", case.inputs), ("metadata", case.metadata), ("expected", expected)):
        if root == name:
            return at_path(holder, rest)
    return NOTHING


def text_of(value: Any) -> str:
    """A JSON value as text: text as it is, numbers as people write them (18.0 is 18), the rest as JSON.

    >>> text_of("a"), text_of(18.0), text_of(True), text_of([1])
    ('a', '18', 'true', '[1]')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except (ValueError, TypeError, RecursionError):
        return str(type(value).__name__)


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC), so that two ways to write é are equal."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def nothing_expected(field: str | None) -> Unscored:
    """Why a scorer that compares cannot judge a case without expectation."""
    if field is None:
        return Unscored("nothing is expected of this case, so there is nothing to compare with")
    return Unscored(f"the case has no field {field!r} to compare with")


def too_slow(text: str) -> Unscored:
    """A search was given up: the pattern needs exponential time on this answer."""
    return Unscored(f"a pattern took too long on this answer ({len(text):,} characters); simplify the pattern")


@lru_cache(maxsize=64)
def _dropping(characters: str) -> dict[int, None]:
    return dict.fromkeys(map(ord, characters))
