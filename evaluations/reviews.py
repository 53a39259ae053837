"""Reviews: what a person made of a draft of the AI, and what a row of a file has to be to count as one.

The texts are read to see how much was changed, and not kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from evaluations.requests import LONGEST_TEXT, Field

OVERALL = "overall"
SENTIMENT = "sentiment"
"""The aspect under which people say how a customer felt: negative, neutral or positive."""
FIELDS: tuple[Field, ...] = (
    Field(name="item", says="what was reviewed: the external_id of the request, or any id of one thing", required=True),
    Field(name="reviewer", says="who reviewed it, by a name that is no e-mail address", required=True),
    Field(name="at", kind="moment", says="when: ISO 8601 (without an offset it is UTC) or seconds since 1970",
          required=True),
    Field(name="aspect", says="what was judged: tone, accuracy, sentiment; empty is overall"),
    Field(name="label", says="the judgement: pass, 4, negative"),
    Field(name="draft", says="what the AI wrote; only how much was changed is kept", longest=LONGEST_TEXT, prose=True),
    Field(name="edited", says="what the reviewer made of it; only how much was changed is kept", longest=LONGEST_TEXT,
          prose=True),
    Field(name="accepted", kind="flag", says="whether the draft went out as it was; if empty, draft and edited tell"),
    Field(name="category", says="what it was about; that of the request where it is empty"),
    Field(name="seconds", kind="number", says="how long the review took", low=0, high=1e6),
)  # fmt: skip
BY_NAME: Mapping[str, Field] = {field.name: field for field in FIELDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One person's judgement of one aspect of one thing."""

    source: str
    item: str
    reviewer: str
    at: datetime
    aspect: str
    label: str | None
    accepted: bool | None
    """Whether the draft went out as it was; None where nobody said and no two texts tell."""
    distance: float | None
    """How much of the draft was changed, 0 nothing to 1 everything; None without both texts."""
    seconds: float | None
    category: str | None
    rating: int | None
    """What the customer gave in the end, 1 to 5."""
    sentiment: float | None
    """The score of the request, 0 to 1."""

    @property
    def unit(self) -> tuple[str, str]:
        """What reviewers are compared on."""
        return self.source, self.item


def edit_distance(draft: str, edited: str) -> float:
    """The share of the draft that was changed, 0 to 1: insertions, deletions and replacements of characters.

    Divided by the longer text's length; white space at the ends and in runs is no change.
    Source: Levenshtein (1966), "Binary codes capable of correcting deletions, insertions, and reversals".

    >>> edit_distance("We will refund you.", "We will  refund you. "), edit_distance("abcd", "abxd")
    (0.0, 0.25)
    """
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.normalized_distance(" ".join(draft.split()), " ".join(edited.split()))
