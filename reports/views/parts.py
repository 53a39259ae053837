"""The parts every report page is made of. Views fill them with words; templates place them; neither formats a number.

Any text may come from a model, a prompt or a user: the page escapes and makes visible whatever is not `Markup`, and
only drawings are `Markup`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from markupsafe import Markup

Tone = Literal["plain", "good", "bad", "warn"]
Sign = Literal["check", "cross", "wave", "bang", "dash"]
"""A tone never stands alone: each status has its sign and its word."""


@dataclass(frozen=True, slots=True)
class Status:
    word: str
    tone: Tone
    sign: Sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Text from outside. `rest` is what does not fit at first sight, `left_out` says what is not on the page."""

    label: str
    text: str
    rest: str = ""
    left_out: str = ""
    empty: str = ""
    """Words for when there is no text, e.g. "nothing was expected"."""
    short: bool = False
    """Fits on a line beside its label."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table; `sort` is the value behind the text, for cells that hold a number."""

    text: str
    sort: float | None = None
    status: Status | None = None
    note: str = ""
    link: str = ""
    """The id of a place on this page."""


@dataclass(frozen=True, slots=True)
class Column:
    key: str
    """Its name in a downloaded file."""
    head: str
    right: bool = False
    wide: bool = False
    """Holds sentences: may wrap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    empty: str = ""
    """Words for when there are no rows: why, and what would fill it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A finding, drawn. `drawings` pair a width class with its SVG."""

    id: str
    title: str
    subtitle: str
    drawings: tuple[tuple[str, Markup], ...]
    half: bool
    table: Table | None
    note: str = ""
    problem: str = ""
    """Why it could not be drawn; the rest of the page stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpi:
    label: str
    value: str
    note: str
    status: Status | None = None
    spark: Markup | None = None
    """How it went, without an axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    label: str
    status: Status | None
    sentences: tuple[str, ...]
    command: str = ""
    link: tuple[str, str] | None = None
    """Words and the id of a place on this page."""


@dataclass(frozen=True, slots=True)
class Banner:
    tone: Tone
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The largest sentence of the page; `head` carries the tone."""

    tone: Tone
    head: str
    rest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the shell needs of any report."""

    kind: str
    """"Run report"."""
    subject: str
    title: str
    about: str
    """One line under the title: when, how many, from where."""
    marks: tuple[str, ...]
    """Words that stand before the verdict and in the window's title: SIMULATED, Sample data."""
    banners: tuple[Banner, ...]
    verdict: Verdict
    facts: tuple[Fact, ...]
    kpis: tuple[Kpi, ...]
    contents: tuple[tuple[str, str], ...]
    """Id and title of each section."""
    as_of: str
    schema: str
    files: tuple[str, ...]
    """The twins that stand beside the page."""
    links: tuple[tuple[str, str], ...] = ()
    """Words and file names of other pages in the same folder."""

    @property
    def headline(self) -> str:
        """The verdict in one line, with its marks."""
        return ": ".join((*self.marks, f"{self.verdict.head}{self.verdict.rest}"))


class View(Protocol):
    """What `render_page` takes: a page for the shell, and whatever else its own template asks for."""

    @property
    def page(self) -> Page: ...


def figure(
    id: str,
    title: str,
    subtitle: str,
    sizes: tuple[tuple[str, int], ...],
    draw: Callable[[int], Markup],
    *,
    table: Table | None = None,
    note: str = "",
) -> Figure:
    """Draws a chart at each of its widths. A chart that fails leaves a box with the reason, never a lost page."""
    drawings: tuple[tuple[str, Markup], ...] = ()
    problem = ""
    try:
        drawings = tuple((size, draw(width)) for size, width in sizes)
    except Exception as failure:  # noqa: BLE001 - whatever it trips over, the verdict must reach its reader
        problem = f"{type(failure).__name__}: {failure}"
    return Figure(
        id=id,
        title=title,
        subtitle=subtitle,
        drawings=drawings,
        half=len(sizes) == 2,
        table=table,
        note=note,
        problem=problem,
    )
