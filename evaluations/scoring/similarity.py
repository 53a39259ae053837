"""Scorers that say how alike two texts are, by the field's own libraries: characters, words, n-grams.

Alternatives of an expectation are references: BLEU, chrF and TER take them together as their authors meant,
the others take the best one. All values are fractions, so BLEU 27.3 is 0.273.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.scoring.reading import FULL, Compared, OfText, composed
from evaluations.scoring.words import quoted

MAX_CELLS = 10**10
"""Lengths of both texts multiplied: the work of an edit distance. RapidFuzz does 10^10 cells in a second."""
MAX_TER_CELLS = 10_000
"""Words of both texts multiplied. The search for shifts grows so fast that 200 words take seconds."""

MAX_CACHED_TEXTS = 1024

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike(Compared):
    """A comparison that gives the share of likeness of two texts."""

    default_threshold: ClassVar[float] = 0.8

    ignore_case: bool = True
    """Take upper and lower case as the same."""

    def compare(self, said: str, wanted: str) -> Score:
        if len(said) * len(wanted) > MAX_CELLS:
            return Unscored(f"too long to compare: {len(said):,} and {len(wanted):,} characters")
        said, wanted = composed(said), composed(wanted)
        if self.ignore_case:
            said, wanted = said.casefold(), wanted.casefold()
        return scored(self.likeness(said, wanted), said, wanted)

    def likeness(self, said: str, wanted: str) -> float:
        """In [0, 1]; 1 for equal texts."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio(Alike):
    """Likeness by characters: twice the longest common subsequence over both lengths (RapidFuzz ratio)."""

    def likeness(self, said: str, wanted: str) -> float:
        from rapidfuzz.fuzz import ratio

        return ratio(said, wanted) / 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialRatio(Alike):
    """Likeness of the expected text to the most similar stretch of the answer (RapidFuzz partial_ratio)."""

    def likeness(self, said: str, wanted: str) -> float:
        from rapidfuzz.fuzz import partial_ratio

        return partial_ratio(said, wanted) / 100 if said and wanted else float(said == wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSort(Alike):
    """Likeness by characters after sorting the words of both (RapidFuzz token_sort_ratio)."""

    def likeness(self, said: str, wanted: str) -> float:
        from rapidfuzz.fuzz import token_sort_ratio

        return token_sort_ratio(said, wanted) / 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet(Alike):
    """Likeness by distinct words, 1 when the words of one are all in the other (RapidFuzz
    token_set_ratio)."""

    def likeness(self, said: str, wanted: str) -> float:
        from rapidfuzz.fuzz import token_set_ratio

        return token_set_ratio(said, wanted) / 100 if said.split() and wanted.split() else float(said == wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class JaroWinkler(Alike):
    """Likeness for names and other short texts, where the beginning matters most (Jaro-Winkler)."""

    default_threshold: ClassVar[float] = 0.9

    def likeness(self, said: str, wanted: str) -> float:
        from rapidfuzz.distance import JaroWinkler as Distance

        return Distance.similarity(said, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Levenshtein(Alike):
    """One minus the edits (insert, delete, replace a character) as a share of the longer text."""

    def likeness(self, said: str, wanted: str) -> float:
        from rapidfuzz.distance import Levenshtein as Distance

        return Distance.normalized_similarity(said, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacterErrorRate(Alike):
    """One minus the character error rate: edits per character of the expected text, at worst 0."""

    def likeness(self, said: str, wanted: str) -> float:
        return _error_free(said, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordErrorRate(Alike):
    """One minus the word error rate: edits per word of the expected text, at worst 0."""

    def likeness(self, said: str, wanted: str) -> float:
        return _error_free(said.split(), wanted.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class SquadExact(Compared):
    """Exact match as in SQuAD: case, punctuation, articles and white space aside.

    Source: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine Comprehension of Text".
    """

    def compare(self, said: str, wanted: str) -> Score:
        if squad_words(said) == squad_words(wanted):
            return FULL
        return Scored(0.0, f"wanted {quoted(wanted)}, said {quoted(said)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SquadF1(Compared):
    """F1 of the words in common, as in SQuAD: case, punctuation and articles aside.

    Source: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine Comprehension of Text".
    """

    default_threshold: ClassVar[float] = 0.5

    def compare(self, said: str, wanted: str) -> Score:
        return scored(squad_f1(said, wanted), said, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByReferences(Compared):
    """A metric of sacreBLEU, which takes all references of a case at once."""

    lowercase: bool = False
    """Take upper and lower case as the same."""

    def score(self, case: Case, answer: Answer) -> Score:
        sides = self.sides(case, answer)
        if not isinstance(sides, tuple):
            return sides
        said, references = sides
        references = [reference for reference in references if reference.strip()]
        if not references:
            return Unscored("the expected text is blank")
        if too_long := self.too_long(said, references):
            return Unscored(too_long)
        metric = self.metric()
        value = metric.sentence_score(said, references).score / 100
        _forget(metric)
        return scored(self.likeness(value), said, references[0])

    def metric(self) -> Any:
        """The metric of sacreBLEU with these settings."""
        raise NotImplementedError

    def likeness(self, value: float) -> float:
        """The metric's value as a share of which 1 is best."""
        return value

    def too_long(self, said: str, references: list[str]) -> str:
        """Why the texts are too long for the metric; empty when they are not."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bleu(ByReferences):
    """Sentence BLEU (sacreBLEU, effective order): precision of n-grams up to 4, with a brevity penalty.

    Made for corpora; on single short answers read it as a rough sign. Source: Papineni et al. (2002), Post
    (2018).
    """

    default_threshold: ClassVar[float] = 0.3

    tokenize: Literal["13a", "intl", "char", "none", "zh"] = "13a"
    """How sacreBLEU splits words; 13a for European languages, zh or char for Chinese and Japanese."""

    def metric(self) -> Any:
        return _bleu(self.tokenize, self.lowercase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chrf(ByReferences):
    """chrF (sacreBLEU): F-score of character n-grams up to 6, recall weighted twice. Source: Popović (2015).

    With `word_order: 2` it is chrF++.
    """

    default_threshold: ClassVar[float] = 0.5

    word_order: Literal[0, 1, 2] = 0
    """Word n-grams up to this length count too: 0 for chrF, 2 for chrF++."""

    def metric(self) -> Any:
        return _chrf(self.word_order, self.lowercase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ter(ByReferences):
    """One minus the translation edit rate (sacreBLEU): edits and shifts per word of the reference, at worst
    0.

    Texts whose word counts multiplied exceed 10,000 are left unscored: the search for shifts would take
    minutes. Source: Snover et al. (2006).
    """

    default_threshold: ClassVar[float] = 0.5

    def metric(self) -> Any:
        return _ter(self.lowercase)

    def likeness(self, value: float) -> float:
        return max(0.0, 1 - value)

    def too_long(self, said: str, references: list[str]) -> str:
        words, longest = len(said.split()), max(len(reference.split()) for reference in references)
        return f"too long for TER: {words} and {longest} words" if words * longest > MAX_TER_CELLS else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rouge(Compared):
    """How ROUGE splits words, and which of its numbers counts. Source: Lin (2004)."""

    default_threshold: ClassVar[float] = 0.3

    measure: Literal["f1", "precision", "recall"] = "f1"
    """f1, or the share of the answer's (precision) or the expected text's (recall) n-grams in common."""
    stem: bool = False
    """Compare word stems (Porter, English)."""

    def compare(self, said: str, wanted: str) -> Score:
        reference, words = rouge_words(wanted, self.stem), rouge_words(said, self.stem)
        if not reference:
            # The published tokenizer knows a-z and 0-9 only. A zero here would be the tokenizer's, not the
            # answer's.
            return Unscored(f"ROUGE finds no words (a-z, 0-9) in the expectation {quoted(wanted)}; use chrf")
        if len(reference) * len(words) > MAX_CELLS:
            return Unscored(f"too long to compare: {len(words):,} and {len(reference):,} words")
        common, of_said, of_wanted = self.overlap(words, reference)
        precision = common / of_said if of_said else 0.0
        recall = common / of_wanted if of_wanted else 0.0
        values = {"precision": precision, "recall": recall, "f1": _f1(precision, recall)}
        return scored(values[self.measure], said, wanted)

    def overlap(self, said: list[str], wanted: list[str]) -> tuple[int, int, int]:
        """Units in common, units of the answer, units of the expected text."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rouge1(Rouge):
    """ROUGE-1: words in common with the expected text."""

    def overlap(self, said: list[str], wanted: list[str]) -> tuple[int, int, int]:
        return _common_runs(said, wanted, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rouge2(Rouge):
    """ROUGE-2: pairs of neighbouring words in common with the expected text."""

    def overlap(self, said: list[str], wanted: list[str]) -> tuple[int, int, int]:
        return _common_runs(said, wanted, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class RougeL(Rouge):
    """ROUGE-L: the longest common subsequence of words with the expected text."""

    def overlap(self, said: list[str], wanted: list[str]) -> tuple[int, int, int]:
        from rapidfuzz.distance import LCSseq

        # Same number as rouge_score's own table in Python, which needs seconds for a thousand words.
        return int(LCSseq.similarity(said, wanted)), len(said), len(wanted)


def scored(value: float, said: str, wanted: str) -> Score:
    """A likeness as a score, held to [0, 1] against rounding."""
    if value >= 1 - 1e-12:
        return FULL
    value = max(0.0, value)
    return Scored(value, f"{value:.2f} alike: wanted {quoted(wanted, 60)}, said {quoted(said, 60)}")


def squad_words(text: str) -> list[str]:
    """The words that SQuAD compares: lower case, without ASCII punctuation and without a, an, the.

    >>> squad_words("The  cat's hat!")
    ['cats', 'hat']
    """
    return _ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def squad_f1(said: str, wanted: str) -> float:
    """F1 of the bags of words; two texts without words are equal.

    >>> squad_f1("the tall cat", "cat")
    0.6666666666666666
    """
    left, right = squad_words(said), squad_words(wanted)
    if not left or not right:
        return float(left == right)
    common = sum((Counter(left) & Counter(right)).values())
    return _f1(common / len(left), common / len(right))


def rouge_words(text: str, stem: bool) -> list[str]:
    """The words that ROUGE compares, by the tokenizer of the rouge_score library."""
    from rouge_score.tokenize import tokenize

    words: list[str] = tokenize(text, _stemmer() if stem else None)
    return words


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _common_runs(said: list[str], wanted: list[str], n: int) -> tuple[int, int, int]:
    left, right = (Counter(zip(*(words[at:] for at in range(n)), strict=False)) for words in (said, wanted))
    return sum((left & right).values()), sum(left.values()), sum(right.values())


def _error_free(said: Sequence[str], wanted: Sequence[str]) -> float:
    from rapidfuzz.distance import Levenshtein as Distance

    if not wanted:
        return float(not said)
    return max(0.0, 1 - Distance.distance(said, wanted) / len(wanted))


def _forget(metric: Any) -> None:
    """Empties sacreBLEU's caches of tokenized texts now and then: left alone they keep 65,536 answers."""
    tokenizer = getattr(metric, "tokenizer", None)
    for cached in (tokenizer, getattr(tokenizer, "_post_tokenizer", None)):
        call: Any = type(cached).__dict__.get("__call__")
        if hasattr(call, "cache_info") and call.cache_info().currsize > MAX_CACHED_TEXTS:
            call.cache_clear()


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]  # ships no types

    return PorterStemmer()


@lru_cache(maxsize=16)
def _bleu(tokenize: str, lowercase: bool) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True, tokenize=tokenize, lowercase=lowercase)


@lru_cache(maxsize=8)
def _chrf(word_order: int, lowercase: bool) -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=word_order, lowercase=lowercase)


@lru_cache(maxsize=2)
def _ter(lowercase: bool) -> Any:
    from sacrebleu.metrics.ter import TER

    return TER(case_sensitive=not lowercase)


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestReference(OfText):
    """The answer shares more words with a right reference than with any wrong one: {"right": […], "wrong": […]}.

    A cheap stand-in for a judge: on 11,412 answers that people labelled (TruthfulQA) it agrees with them 77 times in
    100, kappa 0.52. Likeness is the share of distinct words (a-z, 0-9) in common.
    """

    def score(self, case: Case, answer: Answer) -> Score:
        if answer.text is None:
            return Unscored("there is no answer to score")
        references = case.expected if isinstance(case.expected, Mapping) else {}
        right, wrong = (references.get(side) for side in ("right", "wrong"))
        if not right or not wrong:
            return Unscored("the expectation has to hold lists of `right` and of `wrong` references")
        said = self.part(answer.text)
        if not isinstance(said, str):
            return said
        words = _distinct_words(said)
        nearest_right, nearest_wrong = (max(_in_common(words, str(each)) for each in side) for side in (right, wrong))
        if nearest_right > nearest_wrong:
            return FULL
        return Scored(0.0, f"nearest right reference {nearest_right:.2f}, nearest wrong one {nearest_wrong:.2f}")


_PLAIN_WORD = re.compile("[a-z0-9]+")


def _distinct_words(text: str) -> frozenset[str]:
    return frozenset(_PLAIN_WORD.findall(text.lower()))


def _in_common(words: frozenset[str], reference: str) -> float:
    others = _distinct_words(reference)
    together = words | others
    return len(words & others) / len(together) if together else 0.0
