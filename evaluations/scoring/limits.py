"""Scorers that hold an answer to a limit: its length, its time, its cost, its tokens."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.scoring.reading import FULL, Compared, Counted, OfText
from evaluations.scoring.settings import Count, Money, Scale, Size
from evaluations.scoring.words import count_words, plural, tail

# An end of sentence: closing punctuation, perhaps a quote or bracket, then space or the end.
# Possessive and anchored to the start of a run, so that a megabyte of full stops takes linear time.
_SENTENCE_END = re.compile(
    r"(?<![.!?\u2026\u3002\uff01\uff1f])"
    r"(?:[.!?\u2026]++[\"'\u201d\u2019)\]]*+(?=\s|\Z)|[\u3002\uff01\uff1f][.!?\u2026\u3002\uff01\uff1f]*+)"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|vs|etc|e\.g|i\.e|cf|No|Inc|Ltd|Co|approx)|(?<![\w.])[A-Z])\.\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacterCount(Counted):
    """How many characters the answer has, white space included."""

    noun = "character"

    def count(self, text: str) -> int:
        return len(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordCount(Counted):
    """How many words the answer has: runs of letters, digits and underscores."""

    noun = "word"

    def count(self, text: str) -> int:
        return count_words(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceCount(Counted):
    """How many sentences the answer has, by closing punctuation; common English abbreviations are known."""

    noun = "sentence"

    def count(self, text: str) -> int:
        return count_sentences(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCount(Counted):
    """How many lines that are not blank the answer has."""

    noun = "line"

    def count(self, text: str) -> int:
        return sum(1 for line in text.splitlines() if line.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthRatio(Compared):
    """The answer is about as long as the expected text, counted in words: 1 within the bounds, else 0."""

    at_least: Size = 0.5
    """Smallest ratio of the answer's words to the expected text's."""
    at_most: Size = 2.0
    """Largest ratio."""

    def __post_init__(self) -> None:
        if self.at_least > self.at_most:
            raise ValueError(f"no ratio is at least {self.at_least:g} and at most {self.at_most:g}")

    def compare(self, said: str, wanted: str) -> Score:
        words, target = count_words(said), count_words(wanted)
        if not target:
            return Unscored("the expected text has no words")
        if self.at_least <= words / target <= self.at_most:
            return FULL
        return Scored(
            0.0,
            f"{plural(words, 'word')}, {words / target:.2f} times the {target} expected;"
            f" wanted {self.at_least:g} to {self.at_most:g} times",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Readability(OfText):
    """The answer is easy enough to read: Flesch reading ease (English), about 100 very easy, 0 very hard.

    Syllables are counted by vowel groups, which is right for most English words. Answers of fewer than
    `at_least_words` are left unscored. Source: Flesch (1948), "A new readability yardstick", J. Appl.
    Psychol. 32(3).
    """

    at_least: float = 50.0
    """The lowest reading ease that passes; 60 to 70 is plain English."""
    at_least_words: Count = 30
    """Shorter answers say too little to judge."""

    def judge(self, text: str) -> Score:
        words = re.findall(r"[A-Za-z]+(?:['\u2019][a-z]+)?", text)
        if len(words) < max(1, self.at_least_words):
            return Unscored(f"{plural(len(words), 'English word')} are too few to judge readability")
        syllables = sum(map(_syllables, words))
        ease = 206.835 - 1.015 * len(words) / max(1, count_sentences(text)) - 84.6 * syllables / len(words)
        if ease >= self.at_least:
            return FULL
        return Scored(0.0, f"reading ease {ease:.0f}, wanted {self.at_least:g} or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The model answered within a time; answers from the cache and unmeasured ones are left unscored."""

    version: ClassVar[str] = "1"
    default_threshold: ClassVar[float] = 1.0

    at_most_ms: Scale
    """Longest time of the call in milliseconds, without waiting in our own queue."""

    def score(self, case: Case, answer: Answer) -> Score:
        if answer.from_cache:
            return Unscored("the answer came from the cache, so no latency was measured")
        if answer.latency_ms is None or answer.latency_ms != answer.latency_ms:
            return Unscored("no latency was measured")
        if answer.latency_ms <= self.at_most_ms:
            return FULL
        return Scored(0.0, f"took {answer.latency_ms:,.0f} ms, wanted {self.at_most_ms:,.0f} or less")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The answer cost no more than a limit; an unknown price or usage leaves it unscored, never free."""

    version: ClassVar[str] = "1"
    default_threshold: ClassVar[float] = 1.0

    at_most_usd: Money
    """Highest cost of one answer in US dollars."""

    def score(self, case: Case, answer: Answer) -> Score:
        if answer.cost_usd is None:
            return Unscored("the cost is unknown")
        if answer.cost_usd <= self.at_most_usd:
            return FULL
        return Scored(0.0, f"cost ${_plain(answer.cost_usd)}, wanted ${_plain(self.at_most_usd)} or less")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The call used no more tokens than a limit; unknown usage leaves it unscored."""

    version: ClassVar[str] = "1"
    default_threshold: ClassVar[float] = 1.0

    at_most_output: Count | None = None
    """Most tokens of the answer, hidden reasoning included."""
    at_most_input: Count | None = None
    """Most tokens of the prompt, cached ones included."""
    at_most_total: Count | None = None
    """Most tokens in all."""

    def __post_init__(self) -> None:
        if (self.at_most_output, self.at_most_input, self.at_most_total) == (None, None, None):
            raise ValueError("say which limit: at_most_output, at_most_input or at_most_total")

    def score(self, case: Case, answer: Answer) -> Score:
        if not answer.usage_known:
            return Unscored("the provider reported no usage")
        usage = answer.usage
        for what, used, limit in (
            ("output", usage.output_tokens + usage.reasoning_tokens, self.at_most_output),
            (
                "input",
                usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens,
                self.at_most_input,
            ),
            ("", usage.total, self.at_most_total),
        ):
            if limit is not None and used > limit:
                return Scored(0.0, f"{plural(used, f'{what} token'.strip())}, wanted {limit:,} or fewer")
        return FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The model ended its answer itself: it was not cut off by the token limit or a content filter."""

    version: ClassVar[str] = "1"
    default_threshold: ClassVar[float] = 1.0

    def score(self, case: Case, answer: Answer) -> Score:
        reason = (answer.finish_reason or "").casefold()
        if not reason:
            return Unscored("the provider gave no finish reason")
        if reason in _CUT_OFF:
            ending = f", ending {tail(answer.text)}" if answer.text else ""
            return Scored(0.0, f"{_CUT_OFF[reason]}{ending}")
        return FULL


def count_sentences(text: str) -> int:
    """Sentences by closing punctuation; text after the last one counts as a sentence.

    >>> count_sentences("Dr. Who came, e.g. today. Did he? Yes")
    3
    """
    count, start = 0, 0
    for end in _SENTENCE_END.finditer(text):
        if _ABBREVIATION.search(text, max(start, end.end() - 12), end.end()) and end.end() < len(text):
            continue
        if any(sign.isalnum() for sign in text[start : end.end()]):
            count += 1
        start = end.end()
    return count + any(sign.isalnum() for sign in text[start:])


_CUT_OFF: Mapping[str, str] = {
    "length": "cut off at the token limit",
    "max_tokens": "cut off at the token limit",
    "content_filter": "cut off by a content filter",
}


def _syllables(word: str) -> int:
    groups = len(re.findall(r"[aeiouy]+", word.casefold()))
    silent = word.casefold().endswith("e") and not word.casefold().endswith("le")
    return max(1, groups - silent)


def _plain(amount: Decimal) -> str:
    return format(amount.normalize(), "f") if amount else "0"
