"""Questions like those of production, where no text of production is kept: as long as the requests were.

Requests are stored with their tokens and without what was said in them. So a workload has the lengths of real requests,
in the proportions of their kinds, and made-up text of those lengths: it tells what such traffic costs and how long it
takes, and nothing about how well it is answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluations.benchmarks.rows import Question

WORDS = ("the", "order", "of", "a", "desk", "and", "its", "lamp", "was", "sent", "with", "two", "more", "parts", "to")
"""Short English words, of about one token each."""
WORDS_A_TOKEN = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """A request that was drawn: its kind and its lengths, nothing else of it."""

    id: int
    feature: str
    category: str
    input_tokens: int
    output_tokens: int


def questions_like(requests: Sequence[Sampled]) -> list[Question]:
    """A question for each request that was drawn, as long as it was, asking for an answer as long as it got."""
    return [
        Question(
            id=f"request-{number}",
            inputs={"question": filler(each.input_tokens, each.output_tokens)},
            tags=(each.feature, *((each.category,) if each.category else ())),
            metadata={"feature": each.feature, "input_tokens": each.input_tokens, "output_tokens": each.output_tokens},
        )
        for number, each in enumerate(requests, 1)
    ]


def filler(input_tokens: int, output_tokens: int) -> str:
    """Made-up text of about so many tokens, that asks for an answer of about so many."""
    words = max(1, round(output_tokens * WORDS_A_TOKEN))
    asks = f"Write about {words} words on any of this."
    left = max(0, round(input_tokens * WORDS_A_TOKEN) - len(asks.split()))
    text = " ".join(WORDS[at % len(WORDS)] for at in range(left))
    return f"{text}\n\n{asks}".strip()
