"""Colours and typefaces: the tokens that the page and its drawings share, and the one style sheet made from them."""

import base64
from functools import cache
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"

FONT = "'Assay Sans','Inter','Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
"""A private family name: an Inter installed on the reader's machine has other metrics."""
WEIGHTS = (400, 500, 600)

LIGHT = {
    "bg": "#fbfbfc", "surface": "#ffffff", "sunken": "#f4f5f7",
    "ink": "#14181f", "ink2": "#475163", "ink3": "#5f6b7c",
    "axis": "#828c9c", "line": "#e3e6eb", "grid": "#e9ecf0", "accent": "#2f55c4",
    "good": "#0b6b4f", "goodbg": "#e7f5ef", "bad": "#b3261e", "badbg": "#fdecea",
    "warn": "#8a5200", "warnbg": "#fdf3e1",
    "c1": "#335cd2", "c2": "#00836d", "c3": "#bc7e10", "c4": "#96114a", "c5": "#2a9cc6", "c6": "#4b1a80",
    "n1": "#a9b4c6", "n2": "#bdc6d4", "n3": "#d0d7e1", "n4": "#e1e6ed",
    "q0": "#f1f4fb", "q1": "#dfe7f8", "q2": "#c6d4f2", "q3": "#a6bceb", "q4": "#7f9de2",
    "q5": "#587dd8", "q6": "#335cd2", "q7": "#2144a3", "q8": "#152c6e",
}  # fmt: skip
DARK = {
    "bg": "#0e1014", "surface": "#14171c", "sunken": "#1a1e25",
    "ink": "#e9ecf1", "ink2": "#b4bcc8", "ink3": "#929cab",
    "axis": "#667080", "line": "#282d36", "grid": "#232831", "accent": "#8fb0ff",
    "good": "#4fd1a5", "goodbg": "#12291f", "bad": "#ff8f85", "badbg": "#331a19",
    "warn": "#f0b45a", "warnbg": "#2e2312",
    "c1": "#6498f2", "c2": "#78e3c5", "c3": "#eba949", "c4": "#df6a8a", "c5": "#007597", "c6": "#d3bafd",
    "n1": "#566275", "n2": "#475264", "n3": "#394353", "n4": "#2c3543",
    "q0": "#1a1f2a", "q1": "#1d2740", "q2": "#203157", "q3": "#264077", "q4": "#2f559f",
    "q5": "#4272c4", "q6": "#6498f2", "q7": "#98bbf8", "q8": "#d3e2fd",
}  # fmt: skip


def stylesheet(printed_footer: str) -> str:
    """The page's whole style, fonts embedded; `printed_footer` stands at the foot of every printed page."""
    return _shared_style().replace("@@PRINTED@@", _css_text(printed_footer))


@cache
def script() -> str:
    """The page's one script."""
    return (ASSETS / "page.js").read_text(encoding="utf-8")


@cache
def _shared_style() -> str:
    faces = "".join(
        f'@font-face{{font-family:"Assay Sans";font-weight:{weight};font-style:normal;'
        f'src:url(data:font/woff2;base64,{_base64(ASSETS / f"inter-{weight}.woff2")}) format("woff2")}}'
        for weight in WEIGHTS
    )
    paints = "".join(f".f-{name}{{fill:var(--{name})}}.s-{name}{{stroke:var(--{name})}}" for name in LIGHT)
    style = (ASSETS / "style.css").read_text(encoding="utf-8")
    for mark, text in (
        ("@@FACES@@", faces),
        ("@@FONT@@", FONT),
        ("@@LIGHT@@", _properties(LIGHT)),
        ("@@DARK@@", _properties(DARK)),
        ("@@PAINT@@", paints),
    ):
        style = style.replace(mark, text)
    return style


def _properties(tokens: dict[str, str]) -> str:
    return ";".join(f"--{name}:{colour}" for name, colour in tokens.items())


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode("ascii")


def _css_text(text: str) -> str:
    """Text inside a quoted CSS string: whatever is not a plain letter or digit is written by number."""
    return "".join(char if char.isascii() and char.isalnum() else f"\\{ord(char):06x}" for char in text)
