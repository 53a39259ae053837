"""The page of a prompt and its JSON twin, from one history."""

import json

from evaluations.prompts import PromptHistory
from reports.files import jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views.prompt import TEMPLATE, prompt_view


def as_html(history: PromptHistory) -> str:
    """The page: one self-contained file, the same bytes for the same history."""
    return render_page(TEMPLATE, prompt_view(history))


def as_json(history: PromptHistory) -> str:
    """Everything the history knows: money as exact text, unknown as null."""
    document = {"schema": f"assay.prompt/{SCHEMA_VERSION}", **jsonable(history)}
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
