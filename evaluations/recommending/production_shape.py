"""What cases would cost if their prompts and replies were as long as those of production.

A case may be a line and a request a book: where one model is dear for prompts and another one for replies, the ratio
of their costs is another one on the cases than in production. So the cost of a case is worked out from the tokens that
production sends and gets; from the cases comes how much more or less of each another model takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from evaluations.cost_scenarios import Workload, unit_parts
from evaluations.pricing import PROMPT_CLASSES, Prices, TokenClass

Tokens = Mapping[TokenClass, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionShape:
    """Requests of the model in use, beside what it took for the cases."""

    work: Workload
    """As they were measured."""
    requests: int
    """With known tokens."""
    prompt: Decimal
    """Mean prompt tokens of a case by the model in use; above 0."""
    reply: Decimal

    def scale(self, prices: Prices | None) -> "Scale | None":
        """What tokens of a case stand for at a model's prices; None where one is missing."""
        parts = unit_parts(self.work, prices)
        if parts is None:
            return None
        return Scale(
            per_prompt_token=parts.prompt / self.prompt, per_reply_token=parts.reply / self.reply, fee=parts.fee
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """US dollars of production that a token of a case stands for, under one model.

    >>> scale = Scale(per_prompt_token=Decimal("0.01"), per_reply_token=Decimal("0.02"), fee=Decimal("0.001"))
    >>> str(scale.cost({"input": 10, "output": 3}))
    '0.161'
    """

    per_prompt_token: Decimal
    per_reply_token: Decimal
    fee: Decimal
    """Of each request."""

    def cost(self, tokens: Tokens) -> Decimal:
        """What a call of these tokens would cost, were it a request of production."""
        prompt, reply = split(tokens)
        return prompt * self.per_prompt_token + reply * self.per_reply_token + self.fee


def split(tokens: Tokens) -> tuple[int, int]:
    """Tokens of the prompt and of the reply."""
    prompt = sum(count for name, count in tokens.items() if name in PROMPT_CLASSES)
    return prompt, sum(tokens.values()) - prompt
