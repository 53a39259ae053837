"""Prompts that tests register, change and look at."""

from typing import Any

from evaluations.specs import PromptSpec


def a_prompt(**given: Any) -> PromptSpec:
    """A small prompt of two messages; what is given goes before what it says."""
    return PromptSpec.model_validate(
        {
            "name": "support-reply",
            "version": "1.0.0",
            "system": "You answer customers of a shop. Use the facts alone, and never promise a date.",
            "user": "<facts>\n{{ facts }}\n</facts>\n<message>\n{{ message }}\n</message>",
            "variables": {"message": "text", "facts": {"type": "text", "default": ""}},
            **given,
        }
    )
