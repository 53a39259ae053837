"""The page shell: a view and a template in, one self-contained HTML file out.

The file needs no network and no script. The same view gives the same bytes.
"""

import base64
import hashlib
import re
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from reports import theme
from reports.format import visible
from reports.views.parts import View

SCHEMA_VERSION = 1
"""Of the view models and their JSON twins; raised when a reader of either would notice."""


def render_page(template: str, view: View) -> str:
    """The whole page as text that can be written as UTF-8.

    `template` is a file in `templates/` that extends `base.html.j2`. Raises `jinja2.UndefinedError` when it asks for
    what the view does not have.
    """
    style = theme.stylesheet(f"{view.page.title}. Data as of {view.page.as_of}")
    script = theme.script()
    return _environment().get_template(template).render(
        view=view,
        page=view.page,
        # The only texts that are trusted as they are: both are files of this package.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=_policy(style, script),
        paint=theme.LIGHT,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(theme.ASSETS.parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["unbroken"] = unbroken
    environment.filters["words"] = words
    return environment


def _shown(value: object) -> object:
    """Every text on its way into the page: hidden characters are spelt out, whoever forgot to."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_ASIDE = re.compile(r"(\([^()]{1,60}\))|`(assay [^`]{1,200})`|([\d.,]+–[\d.,]+%?)")


def unbroken(sentence: str) -> Markup:
    """The sentence escaped: intervals kept on one line, what stands in brackets quieter, commands between backticks set
    as such."""
    parts: list[Markup] = []
    at = 0
    for found in _ASIDE.finditer(sentence := visible(sentence)):
        parts.append(escape(sentence[at : found.start()]))
        inner = found.group()
        if found.group(1):
            parts.append(Markup('<span class="quiet">({})</span>').format(unbroken(inner[1:-1])))
        elif found.group(2):
            parts.append(Markup("<code>{}</code>").format(found.group(2)))
        else:
            parts.append(Markup('<span class="nw">{}</span>').format(inner))
        at = found.end()
    parts.append(escape(sentence[at:]))
    return Markup("").join(parts)


_LONGEST_WHOLE = 24
"""Characters of a word that fits any column."""


def words(command: str) -> Markup:
    """The command escaped; a short word of it (`--why`) is not broken at its hyphens."""
    return Markup(" ").join(
        Markup('<span class="nw">{}</span>').format(each) if "-" in each and len(each) <= _LONGEST_WHOLE else each
        for each in visible(command).split(" ")
    )


def _policy(style: str, script: str) -> str:
    """Nothing may be loaded, sent or run but what the page was built with.

    Source: W3C, "Content Security Policy Level 3", section 2.3.1 (hash sources).
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "img-src data:",
            "font-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
