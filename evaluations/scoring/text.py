"""Scorers that compare text with text: equal, contained, at the start, at the end."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.scoring.reading import FULL, Compared, Counted, OfText, composed
from evaluations.scoring.settings import Positive
from evaluations.scoring.words import listed, quoted, tail

MAX_LOOP_CHARACTERS = 500_000
"""How far into an answer loops are looked for: a loop that matters has begun by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loosely(Compared):
    """What may be overlooked when two texts are compared."""

    ignore_case: bool = False
    """Take upper and lower case as the same."""
    ignore_punctuation: bool = False
    """Leave punctuation out of the comparison."""
    ignore_spaces: bool = False
    """Take any run of white space as one space."""

    def alike(self, text: str) -> str:
        """The text without what may be overlooked."""
        text = composed(text)
        if self.ignore_case:
            text = text.casefold()
        if self.ignore_punctuation:
            text = without_punctuation(text)
        if self.ignore_spaces or self.ignore_punctuation:
            text = " ".join(text.split())
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact(Loosely):
    """The answer is the expected text, white space at the ends aside."""

    def compare(self, said: str, wanted: str) -> Score:
        if said == wanted or self.alike(said) == self.alike(wanted):
            return FULL
        return Scored(0.0, f"wanted {quoted(wanted)}, said {quoted(said)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contains(Loosely):
    """The expected text, or one of several, stands somewhere in the answer."""

    whole_words: bool = False
    """Do not find `art` in `party`."""

    def compare(self, said: str, wanted: str) -> Score:
        if not wanted:
            return Unscored("the expected text is empty, and every answer contains that")
        if self.holds(said, wanted):
            return FULL
        return Scored(0.0, f"{quoted(wanted)} does not occur in {quoted(said)}")

    def holds(self, said: str, wanted: str) -> bool:
        text, part = self.alike(said), self.alike(wanted)
        return occurs_as_words(part, text) if self.whole_words else part in text


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainsAll(Contains):
    """The share of the expected texts that stand somewhere in the answer; all of them are needed to pass."""

    def score(self, case: Case, answer: Answer) -> Score:
        found = self.found(case, answer)
        if not isinstance(found, dict):
            return found
        lacking = [text for text, here in found.items() if not here]
        if not lacking:
            return FULL
        return Scored(1 - len(lacking) / len(found), f"lacks {listed(lacking)} of {len(found)} wanted texts")

    def found(self, case: Case, answer: Answer) -> dict[str, bool] | Score:
        """Which of the expected texts occur, or why that cannot be said."""
        sides = self.sides(case, answer)
        if not isinstance(sides, tuple):
            return sides
        said, wanted = sides
        here = {text: self.holds(said, text) for text in wanted if text}
        return here or Unscored("the expected texts are empty, and every answer contains that")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainsSome(ContainsAll):
    """At least so many of the expected texts stand somewhere in the answer."""

    at_least: Positive = 1
    """How many of them are enough."""

    def score(self, case: Case, answer: Answer) -> Score:
        found = self.found(case, answer)
        if not isinstance(found, dict):
            return found
        here = [text for text, is_here in found.items() if is_here]
        if len(here) >= self.at_least:
            return FULL
        return Scored(0.0, f"{len(here)} of the wanted texts, wanted {self.at_least}: {listed(list(found))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InOrder(Loosely):
    """The expected texts stand in the answer one after the other: the share of them before the first that
    does not."""

    def score(self, case: Case, answer: Answer) -> Score:
        sides = self.sides(case, answer)
        if not isinstance(sides, tuple):
            return sides
        said, wanted = sides
        text, at = self.alike(said), 0
        for done, part in enumerate(wanted):
            alike = self.alike(part)
            at = text.find(alike, at)
            if at < 0:
                after = f" after {quoted(wanted[done - 1], 40)}" if done else ""
                return Scored(done / len(wanted), f"{quoted(part, 40)} does not occur{after} in {quoted(said)}")
            at += len(alike)
        return FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class StartsWith(Loosely):
    """The answer begins with the expected text."""

    def compare(self, said: str, wanted: str) -> Score:
        if not wanted:
            return Unscored("the expected text is empty, and every answer begins with that")
        if self.alike(said).startswith(self.alike(wanted)):
            return FULL
        return Scored(0.0, f"wanted {quoted(wanted)} at the start, said {quoted(said[:120])}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndsWith(Loosely):
    """The answer ends with the expected text."""

    def compare(self, said: str, wanted: str) -> Score:
        if not wanted:
            return Unscored("the expected text is empty, and every answer ends with that")
        if self.alike(said).endswith(self.alike(wanted)):
            return FULL
        return Scored(0.0, f"wanted {quoted(wanted)} at the end, said {tail(said)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedFrom(Loosely):
    """The answer stands word for word in the expected text: nothing was added to the source."""

    def compare(self, said: str, wanted: str) -> Score:
        if not said:
            return Scored(0.0, "the answer is blank")
        if self.alike(said) in self.alike(wanted):
            return FULL
        return Scored(0.0, f"{quoted(said)} does not occur in {quoted(wanted)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotBlank(OfText):
    """The answer says something: there is more than white space."""

    def judge(self, text: str) -> Score:
        return FULL if text.strip() else Scored(0.0, "the answer is blank")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLoop(OfText):
    """The answer does not get stuck: the share of it that repeats no earlier run of words."""

    default_threshold = 0.7

    run: Positive = 6
    """How many words in a row count as a repetition when they occur again."""
    at_least_words: Positive = 20
    """Shorter answers are taken as free of loops."""

    def judge(self, text: str) -> Score:
        words = re.findall(r"\w+", text[:MAX_LOOP_CHARACTERS].casefold())
        if len(words) < max(self.at_least_words, self.run):
            return FULL
        runs = Counter(tuple(words[at : at + self.run]) for at in range(len(words) - self.run + 1))
        repeated = sum(runs.values()) - len(runs)
        if not repeated:
            return FULL
        worst, times = runs.most_common(1)[0]
        return Scored(len(runs) / sum(runs.values()), f"{quoted(' '.join(worst))} occurs {times} times")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoEcho(Compared):
    """The share of a protected text (system prompt, canary) that the answer does not hand back.

    The text is `expected`, or a field such as `expected_field: metadata.system_prompt`. It is compared in
    runs of words, so that a long quotation is found and a shared phrase is not.
    """

    quotes: ClassVar[bool] = False

    run: Positive = 8
    """Words in a row that count as quoted; a shorter text is looked for as a whole."""

    def compare(self, said: str, wanted: str) -> Score:
        secret, text = re.findall(r"\w+", wanted.casefold()), re.findall(r"\w+", said.casefold())
        if not secret:
            return Unscored("the text that must not be repeated is empty")
        run = min(self.run, len(secret))
        runs = {tuple(secret[at : at + run]) for at in range(len(secret) - run + 1)}
        leaked = runs & {tuple(text[at : at + run]) for at in range(len(text) - run + 1)}
        if not leaked:
            return FULL
        # The reason does not repeat what must not be repeated.
        return Scored(1 - len(leaked) / len(runs), f"repeats {len(leaked) / len(runs):.0%} of the protected text")

    def score(self, case: Case, answer: Answer) -> Score:
        """Every text of a list is protected, so the worst one decides."""
        sides = self.sides(case, answer)
        if not isinstance(sides, tuple):
            return sides
        said, texts = sides
        scores = [self.compare(said, text) for text in texts]
        told = [score for score in scores if isinstance(score, Scored)]
        return min(told, key=lambda score: score.value) if told else scores[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsInCommon(Loosely):
    """The share of the expected text's distinct words that occur in the answer, in any order."""

    default_threshold = 0.5

    def compare(self, said: str, wanted: str) -> Score:
        needed = set(re.findall(r"\w+", composed(wanted).casefold()))
        if not needed:
            return Unscored("the expected text has no words")
        lacking = needed - set(re.findall(r"\w+", composed(said).casefold()))
        if not lacking:
            return FULL
        return Scored(1 - len(lacking) / len(needed), f"lacks {listed(sorted(lacking))} of {len(needed)} words")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrences(Counted):
    """How often a text occurs in the answer."""

    noun = "occurrence"

    text: str
    """What is counted."""
    ignore_case: bool = True
    """Take upper and lower case as the same."""

    def count(self, text: str) -> int:
        wanted = composed(self.text)
        text = composed(text)
        if self.ignore_case:
            wanted, text = wanted.casefold(), text.casefold()
        return text.count(wanted) if wanted else 0


def without_punctuation(text: str) -> str:
    """The text with punctuation (Unicode category P) removed; symbols such as + and $ stay."""
    return "".join(sign for sign in text if not unicodedata.category(sign).startswith("P"))


def occurs_as_words(part: str, text: str) -> bool:
    """Whether `part` stands in `text` with no letter or digit touching it."""
    at = text.find(part)
    while at >= 0:
        end = at + len(part)
        if not (_touches(text, at - 1, part[:1]) or _touches(text, end, part[-1:])):
            return True
        at = text.find(part, at + 1)
    return False


def _touches(text: str, neighbour: int, edge: str) -> bool:
    """Whether a word runs on from the edge of a part into its neighbour."""
    if not 0 <= neighbour < len(text):
        return False
    return (text[neighbour].isalnum() or text[neighbour] == "_") and (edge.isalnum() or edge == "_")
