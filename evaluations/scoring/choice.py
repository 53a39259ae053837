"""Scorers that read which of a few options an answer settles on: a letter, a label, yes or no."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.scoring.reading import FULL, Compared, OfText, composed
from evaluations.scoring.regexes import Take, picked
from evaluations.scoring.settings import Count, Text
from evaluations.scoring.words import listed, quoted

Several = Literal["wrong", "first", "last", "unscored"]
YES = frozenset({"yes", "true", "correct", "right", "y"})
NO = frozenset({"no", "false", "incorrect", "wrong", "n"})
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Compared):
    """The letter that the answer settles on is the expected one.

    Looked for in this order: a letter alone; after "answer is" or "answer:"; in brackets or before one;
    standing alone, where A and I before a word are words ("A dog", "I think").
    """

    letters: Text = "ABCDEFGHIJ"
    """The letters of the options."""
    take: Take = "last"
    """Which one counts where several are found in the same way."""
    index_from: Count | None = None
    """The expectation is the option's number, counted from this (0 or 1), instead of its letter."""

    def compare(self, said: str, wanted: str) -> Score:
        target = self._target(wanted)
        if target is None:
            return Unscored(f"the expectation is none of the options {self.letters}: {quoted(wanted)}")
        letter = letter_in(said, self.letters.upper(), self.take)
        if letter is None:
            return self.absent(f"none of the letters {self.letters}", said)
        return FULL if letter == target else Scored(0.0, f"wanted {target}, said {letter}")

    def _target(self, wanted: str) -> str | None:
        letters = self.letters.upper()
        if self.index_from is not None:
            if not wanted.isdecimal() or len(wanted) > 3:
                return None
            at = int(wanted) - self.index_from
            return letters[at] if 0 <= at < len(letters) else None
        bare = wanted.strip("()[]. :\t\n").upper()
        return bare if len(bare) == 1 and bare in letters else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Compared):
    """The label that the answer names is the expected one; case and punctuation at the ends do not matter."""

    labels: tuple[Text, ...] = ()
    """All labels there are, to find the one that is named within a sentence. Without them the whole answer
    has to be the label."""
    several: Several = "wrong"
    """What naming several different labels means: wrong, unscored, or that the first or last one counts."""

    def compare(self, said: str, wanted: str) -> Score:
        if not self.labels:
            if bare_label(said) == bare_label(wanted):
                return FULL
            return Scored(0.0, f"wanted {quoted(wanted)}, said {quoted(said)}")
        target = bare_label(wanted)
        if target not in map(bare_label, self.labels):
            return Unscored(f"the expectation {quoted(wanted)} is none of the labels: {listed(self.labels)}")
        named = self.named(said)
        if isinstance(named, str):
            return self.judged(named, target)
        return named

    def named(self, said: str) -> str | Score:
        """The label that the answer names, or what naming none or several means."""
        found = labels_in(said, self.labels)
        if not found:
            return self.absent(f"none of the labels {listed(self.labels)}", said)
        if len(set(found)) > 1 and self.several in ("wrong", "unscored"):
            why = f"several labels are named: {listed(list(dict.fromkeys(found)))}"
            return Unscored(why) if self.several == "unscored" else Scored(0.0, why)
        return found[-1] if self.several == "last" else found[0]

    def judged(self, named: str, target: str) -> Score:
        return FULL if named == target else Scored(0.0, f"wanted {quoted(target)}, said {quoted(named)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinalLabel(Label):
    """How near the named label is to the expected one on an ordered scale: 1 when equal, 0 at the other end.

    `labels` is the scale, in order.
    """

    def __post_init__(self) -> None:
        if len(set(map(bare_label, self.labels))) < 2 or len(self.labels) != len(set(map(bare_label, self.labels))):
            raise ValueError("labels wants the scale in order: two or more different labels")

    def judged(self, named: str, target: str) -> Score:
        scale = [bare_label(label) for label in self.labels]
        steps = abs(scale.index(named) - scale.index(target))
        if not steps:
            return FULL
        return Scored(1 - steps / (len(scale) - 1), f"wanted {quoted(target)}, said {quoted(named)}, {steps} off")


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf(OfText):
    """The answer is one of the allowed labels and nothing else, whichever it is."""

    labels: tuple[Text, ...]
    """What is allowed."""
    ignore_case: bool = True
    """Take upper and lower case as the same."""

    def judge(self, text: str) -> Score:
        said = composed(text.strip())
        for label in self.labels:
            allowed = composed(label.strip())
            if said == allowed or (self.ignore_case and said.casefold() == allowed.casefold()):
                return FULL
        return Scored(0.0, f"wanted one of {listed(self.labels)}, said {quoted(text)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class YesNo(Compared):
    """The answer says yes (or true) where yes is expected, and no (or false) where no is."""

    take: Literal["first", "last"] = "first"
    """Which yes or no of the answer counts."""

    def compare(self, said: str, wanted: str) -> Score:
        target = yes_or_no(wanted, "first")
        if target is None:
            return Unscored(f"the expectation is neither yes nor no: {quoted(wanted)}")
        answer = yes_or_no(said, self.take)
        if answer is None:
            return self.absent("neither yes nor no", said)
        if answer == target:
            return FULL
        return Scored(0.0, f"wanted {_spoken(target)}, said {_spoken(answer)}: {quoted(said)}")


def letter_in(text: str, letters: str, take: Take = "last") -> str | None:
    """The option letter that a text settles on, in the order that `Choice` describes.

    >>> letter_in("Options (A) and (B) are close, but the answer is B.", "ABCD")
    'B'
    >>> letter_in("A dog barks.", "ABCD") is None
    True
    """
    alone, *patterns = _letter_patterns(letters)
    if whole := alone.match(text):
        return str(whole[1]).upper()
    for pattern in patterns:
        found = picked(pattern.finditer(text), take)
        if found is not None:
            return str(next(group for group in found.groups() if group)).upper()
    return None


def labels_in(text: str, labels: tuple[str, ...]) -> list[str]:
    """The labels that a text names, bare, in order; a label within a longer one that is named does not count.

    >>> labels_in("Billing, or perhaps a billing dispute.", ("billing", "billing dispute"))
    ['billing', 'billing dispute']
    """
    return [bare_label(match[0]) for match in _label_pattern(labels).finditer(composed(text).casefold())]


def bare_label(label: str) -> str:
    """A label as it is compared: folded case, no punctuation or markup at its ends, `_` and `-` as spaces."""
    flat = composed(label).casefold().replace("_", " ").replace("-", " ")
    return " ".join(flat.split()).strip(" .,;:!?\"'`*()[]<>")


def yes_or_no(text: str, take: Literal["first", "last"]) -> bool | None:
    """Whether a text says yes or no; None when it says neither."""
    found: bool | None = None
    for word in _WORD.findall(text.casefold()):
        if word in YES or word in NO:
            found = word in YES
            if take == "first":
                return found
    return found


def _spoken(yes: bool) -> str:
    return "yes" if yes else "no"


@lru_cache(maxsize=64)
def _letter_patterns(letters: str) -> list[re.Pattern[str]]:
    some = f"[{re.escape(letters)}]"
    either = f"[{re.escape(letters + letters.lower())}]"
    return [
        re.compile(rf"\A[\s(\[*\"'`]*({either})[\s)\].:*\"'`]*\Z"),
        re.compile(rf"(?:answer|option|choice)(?:\s+is)?\s*:?\s*[*(\[\"'`]*({some})(?!\w)", re.ASCII),
        re.compile(rf"[(\[]({some})[)\]]|(?:^|\s)\**({some})\)", re.MULTILINE),
        # A and I are words, too: "A dog", "I think".
        re.compile(rf"(?<!\w)(?![AI]\s+[a-z])({some})(?!\w|'|\u2019)"),
    ]


@lru_cache(maxsize=64)
def _label_pattern(labels: tuple[str, ...]) -> re.Pattern[str]:
    # Longest first, so that a label is not found inside a longer one; spaces, _ and - are the same between
    # words.
    names = sorted({bare_label(label) for label in labels}, key=len, reverse=True)
    spelled = [r"[\s_-]+".join(re.escape(word) for word in name.split()) for name in names if name]
    return re.compile(rf"(?<!\w)(?:{'|'.join(spelled) or '(?!)'})(?!\w)")
