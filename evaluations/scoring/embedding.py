"""Embedding similarity: how close in meaning an answer is to what was expected, by the angle of two
vectors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Scored, Unscored


@dataclass(frozen=True, slots=True)
class EmbeddingSimilarity:
    """Cosine of the embeddings of the answer and of what was expected, mapped from [-1, 1] to [0, 1].

    A cosine of 0.8 is 0.9 here. With several references the closest one counts. The embedding itself is a
    call to `model` that is made elsewhere, between `ask` and `read`.
    """

    model: str = ""
    """The label of the embedding model; empty for the suite's own."""
    expected_field: str = "expected"
    """"expected", or the name of an input or a metadata column that holds the reference text or texts."""

    version: ClassVar[str] = "1"
    default_threshold: ClassVar[float] = 0.9

    def ask(self, case: Case, answer: Answer) -> tuple[str, ...]:
        """The texts to embed: the answer's, then one or more references; none when there is nothing to
        compare."""
        if self.expected_field == "expected":
            expected = case.expected
        else:
            expected = case.inputs.get(self.expected_field, case.metadata.get(self.expected_field))
        references = expected if isinstance(expected, list | tuple) else [expected]
        texts = [str(each) for each in references if each is not None and str(each).strip()]
        if not texts or not (answer.text or "").strip():
            return ()
        return (answer.text or "", *texts)

    def read(self, vectors: Sequence[Sequence[float]]) -> Score:
        """The score from one vector for each text of `ask`, in its order; none when `ask` gave none."""
        if not vectors:
            return Unscored("there is no text to embed: the answer or the reference is empty")
        answer, *references = vectors
        if not references:
            return Unscored("got the embedding of the answer alone, and nothing to compare it with")
        cosines: list[float] = []
        for reference in references:
            cosine = _cosine(answer, reference)
            if isinstance(cosine, Unscored):
                return cosine
            cosines.append(cosine)
        best = max(cosines)
        return Scored((1 + best) / 2, why=f"cosine {best:.3f}")


def _cosine(one: Sequence[float], other: Sequence[float]) -> float | Unscored:
    if len(one) != len(other):
        return Unscored(f"embeddings of {len(one)} and {len(other)} dimensions cannot be compared")
    if not all(map(math.isfinite, one)) or not all(map(math.isfinite, other)):
        return Unscored("an embedding holds a value that is not a number")
    lengths = math.hypot(*one), math.hypot(*other)
    if not all(lengths) or not all(map(math.isfinite, lengths)):
        return Unscored("an embedding without direction (all zeros) or beyond range has no angle")
    # Each is scaled to length one first, so that the products cannot overflow.
    dot = math.fsum((a / lengths[0]) * (b / lengths[1]) for a, b in zip(one, other, strict=True))
    return max(-1.0, min(1.0, dot))
