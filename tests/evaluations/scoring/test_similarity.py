"""Likeness, checked against the libraries themselves, brute force, and published examples."""

import random
import re
import string
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from evaluations.scoring.base import Scored, Unscored
from evaluations.scoring.similarity import MAX_CACHED_TEXTS, squad_f1
from tests.evaluations.scoring.builders import score, value

WORDS = st.lists(st.sampled_from(["the", "a", "cat", "cat's", "sat", "on", "mat", "Mat!", "--"]), max_size=9).map(
    " ".join
)
NAMES = st.text(alphabet="abcde ", max_size=12)


def f1_by_pairing_off(said: str, wanted: str) -> float:
    """SQuAD's F1 with neither Counter nor regular expressions: words are paired off one by one."""

    def words(text: str) -> list[str]:
        kept = "".join(sign for sign in text.lower() if sign not in set(string.punctuation))
        return [word for word in kept.split() if word not in ("a", "an", "the")]

    left, right = words(said), words(wanted)
    if not left or not right:
        return float(left == right)
    pool, common = list(right), 0
    for word in left:
        if word in pool:
            pool.remove(word)
            common += 1
    return 2 * common / (len(left) + len(right))


@given(WORDS, WORDS)
def test_squad_f1_is_that_of_words_paired_off_one_by_one(said: str, wanted: str) -> None:
    assert squad_f1(said, wanted) == pytest.approx(f1_by_pairing_off(said, wanted))
    assert value("squad_f1", said, wanted) == pytest.approx(f1_by_pairing_off(said, wanted))


def test_squad_scores_take_the_best_alternative() -> None:
    assert value("squad_exact", "The Eiffel tower.", ["Paris", "eiffel Tower"]) == 1.0
    assert value("squad_exact", "Eiffel", ["Paris", "eiffel Tower"]) == 0.0
    assert value("squad_f1", "Eiffel", ["Paris", "eiffel Tower"]) == pytest.approx(2 / 3)


REFERENCES = ["The dog bit the man.", "The dog had bit the man."]
ANSWERS = ["The dog bit the man.", "It was not unexpected that a dog bit him.", "The man had the dog.", "x", ""]


@pytest.mark.parametrize("said", ANSWERS)
def test_sacrebleu_metrics_are_those_of_the_library_with_all_references(said: str) -> None:
    bleu = BLEU(effective_order=True).sentence_score(said, REFERENCES).score
    chrf = CHRF().sentence_score(said, REFERENCES).score
    chrf_words = CHRF(word_order=2).sentence_score(said, REFERENCES).score
    ter = TER(case_sensitive=True).sentence_score(said, REFERENCES).score
    assert value("bleu", said, REFERENCES) == pytest.approx(bleu / 100)
    assert value("chrf", said, REFERENCES) == pytest.approx(chrf / 100)
    assert value("chrf", said, REFERENCES, word_order=2) == pytest.approx(chrf_words / 100)
    assert value("ter", said, REFERENCES) == pytest.approx(max(0.0, 1 - ter / 100))


def test_bleu_of_a_sentence_counted_by_hand() -> None:
    # 5 words against 6: precisions 5/5, 4/4, 3/3, 2/2, brevity penalty exp(1 - 6/5).
    assert value("bleu", "the cat sat on the", "the cat sat on the mat") == pytest.approx(2.718281828459045**-0.2)


def test_ter_of_a_sentence_counted_by_hand() -> None:
    assert value("ter", "the cat sat on a mat", "the cat sat on the mat") == pytest.approx(5 / 6)
    assert value("ter", "a b c d e f g h", "x") == 0.0, "worse than nothing is 0, not negative"


def test_texts_too_long_for_ter_are_left_unscored() -> None:
    told = score("ter", "word " * 101, "word " * 100)
    assert told == Unscored("too long for TER: 101 and 100 words")
    assert isinstance(score("ter", "word " * 100, "word " * 100), Scored)


SENTENCES = st.lists(st.sampled_from(["police", "kill", "killed", "the", "gunman", "Gunman,", "42"]), max_size=14)


@settings(deadline=None)
@given(SENTENCES.map(" ".join), SENTENCES.filter(bool).map(" ".join), st.booleans())
def test_rouge_is_that_of_the_library(said: str, wanted: str, stem: bool) -> None:
    library = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=stem).score(wanted, said)
    for name, key in {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}.items():
        for measure in ("precision", "recall", "f1"):
            published = getattr(library[key], "fmeasure" if measure == "f1" else measure)
            ours = value(name, said, wanted, stem=stem, measure=measure)
            assert ours == pytest.approx(published), (name, measure)


def test_rouge_of_lins_example() -> None:
    # Lin (2004), section 3: the reference S1 and two candidates with the same bigrams but another order.
    reference = "police killed the gunman"
    assert value("rouge_2", "police kill the gunman", reference) == pytest.approx(1 / 3)
    assert value("rouge_2", "the gunman kill police", reference) == pytest.approx(1 / 3)
    assert value("rouge_l", "police kill the gunman", reference) == pytest.approx(3 / 4)
    assert value("rouge_l", "the gunman kill police", reference) == pytest.approx(2 / 4)


def test_rouge_says_when_its_tokenizer_cannot_read_the_reference() -> None:
    assert isinstance(score("rouge_1", "привет", "привет"), Unscored)
    assert value("rouge_1", "привет", "hello") == 0.0


def edits(one: str, other: str) -> int:
    """Levenshtein's distance by the textbook's table."""
    row = list(range(len(other) + 1))
    for at, left in enumerate(one, start=1):
        previous, row[0] = row[0], at
        for column, right in enumerate(other, start=1):
            previous, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, previous + (left != right))
    return row[-1]


@given(NAMES.map(str.strip), NAMES.map(str.strip))
def test_edit_distances_are_those_of_the_textbook(said: str, wanted: str) -> None:
    distance, longest = edits(said, wanted), max(len(said), len(wanted))
    assert value("levenshtein", said, wanted) == pytest.approx(1 - distance / longest if longest else 1.0)
    if wanted:
        rate = distance / len(wanted)
        assert value("character_error_rate", said, wanted) == pytest.approx(max(0.0, 1 - rate))


def test_likeness_of_known_pairs() -> None:
    # Winkler (1990), table of string comparator values: MARTHA/MARHTA 0.961, DIXON/DICKSONX 0.813.
    assert value("jaro_winkler", "MARTHA", "MARHTA") == pytest.approx(0.961, abs=5e-4)
    assert value("jaro_winkler", "DIXON", "DICKSONX") == pytest.approx(0.813, abs=5e-4)
    assert value("levenshtein", "kitten", "sitting") == pytest.approx(1 - 3 / 7)
    assert value("word_error_rate", "the cat sat", "the cat sat down") == pytest.approx(3 / 4)
    assert value("ratio", "this is a test", "this is a test!") == pytest.approx(2 * 14 / 29)
    assert value("token_sort_ratio", "new york mets", "mets new york") == 1.0
    assert value("token_set_ratio", "mets mets new york", "new york mets") == 1.0
    assert value("partial_ratio", "the answer is Paris, of course", "Paris") == 1.0
    assert value("ratio", "PARIS", "paris") == 1.0
    assert value("ratio", "PARIS", "paris", ignore_case=False) == 0.0


@pytest.mark.parametrize("name", ["ratio", "levenshtein", "token_set_ratio", "partial_ratio", "jaro_winkler"])
def test_nothing_is_like_nothing_and_unlike_something(name: str) -> None:
    assert value(name, "", "") == 1.0
    assert value(name, "", "x") == 0.0


def test_reasons_show_likeness_and_both_texts() -> None:
    assert score("levenshtein", "kitten", "sitting").why == "0.57 alike: wanted 'sitting', said 'kitten'"


def test_sacrebleus_caches_do_not_keep_every_answer() -> None:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    rng = random.Random(3)
    for _ in range(MAX_CACHED_TEXTS + 100):
        value("bleu", f"the cat {rng.random()}", "the cat")
    cached = Tokenizer13a.__call__
    assert hasattr(cached, "cache_info")
    assert cached.cache_info().currsize <= MAX_CACHED_TEXTS + 2


def test_the_words_of_squad_are_counted_with_their_number() -> None:
    said, wanted = "cat cat dog", "cat dog dog"
    common = sum((Counter(re.findall(r"\w+", said)) & Counter(re.findall(r"\w+", wanted))).values())
    assert squad_f1(said, wanted) == pytest.approx(2 * common / 6)
