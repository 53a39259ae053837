"""Scorers for how an answer is laid out: bullets, paragraphs, titles, case, fences, tables.

Many follow IFEval's verifiable instructions (Zhou et al., 2023, "Instruction-Following Evaluation for Large
Language Models"), whose rules are kept to the letter where it matters; others are what product teams ask for.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.scoring.jsontext import unfenced
from evaluations.scoring.reading import FULL, Counted, OfText
from evaluations.scoring.settings import Count, Positive, Share, Text
from evaluations.scoring.words import listed, plural, quoted, tail

_HIGHLIGHT = re.compile(r"\*[^\n*]*\*")
_BOLD = re.compile(r"\*\*[^\n*]*\*\*")
_ANGLE_TITLE = re.compile(r"<<([^<>\n]+)>>")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+\S", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]*\]")
_NUMBERED = re.compile(r"[0-9]{1,4}[.)]\s")
_FENCE_LINE = re.compile(r"^ {0,3}(```+|~~~+)[ \t]*([^\s`]*)", re.MULTILINE)
_TABLE_RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?")
_MARKUP = re.compile(
    r"^ {0,3}#{1,6}[ \t]|^ {0,3}(?:```|~~~)|^ {0,3}[-*+][ \t]+\S|^ {0,3}>[ \t]|\*\*[^\s*][^*\n]*\*\*"
    r"|`[^`\n]+`|\[[^\[\]\n]+\]\([^()\s]+\)|^\|.*\|[ \t]*$",
    re.MULTILINE,
)
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}|[\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23f3]"
    "[\ufe0f\U0001f3fb-\U0001f3ff]*(?:\u200d[\U0001f300-\U0001faff\u2600-\u27bf]\ufe0f?)*"
)

Script = Literal[
    "latin", "cyrillic", "greek", "arabic", "hebrew", "devanagari", "bengali", "tamil", "telugu", "kannada",
    "gujarati", "gurmukhi", "malayalam", "thai", "han", "japanese", "hangul", "armenian", "georgian",
]  # fmt: skip
# How the names of a script's letters begin in the Unicode database.
_SCRIPT_NAMES: dict[str, tuple[str, ...]] = {
    "han": ("CJK",),
    "japanese": ("HIRAGANA", "KATAKANA", "CJK", "HALFWIDTH KATAKANA"),
    "latin": ("LATIN", "FULLWIDTH LATIN", "FEMININE", "MASCULINE"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulletCount(Counted):
    """How many bullet points the answer has: lines that begin with `-` or with one `*`."""

    noun = "bullet"

    numbered: bool = False
    """Count lines that begin with a number and a full stop or bracket too."""

    def count(self, text: str) -> int:
        return sum(1 for line in text.splitlines() if _is_bullet(line.lstrip(), self.numbered))


@dataclass(frozen=True, slots=True, kw_only=True)
class ParagraphCount(Counted):
    """How many paragraphs the answer has."""

    noun = "paragraph"

    separator: Text | None = None
    """What stands between paragraphs, e.g. `***`; blank lines when not given."""

    def count(self, text: str) -> int:
        return len(paragraphs_in(text, self.separator))


@dataclass(frozen=True, slots=True, kw_only=True)
class ParagraphFirstWord(OfText):
    """A certain paragraph (they are parted by blank lines) begins with a certain word, case aside."""

    word: Text
    """The word wanted."""
    paragraph: Positive = 1
    """Which paragraph, counted from 1."""
    paragraphs: Count | None = None
    """How many paragraphs the answer has to have, if that matters."""

    def judge(self, text: str) -> Score:
        parts = [part.strip() for part in text.split("\n\n") if part.strip()]
        if self.paragraphs is not None and len(parts) != self.paragraphs:
            return Scored(0.0, f"{plural(len(parts), 'paragraph')}, wanted {self.paragraphs}")
        if len(parts) < self.paragraph:
            return Scored(0.0, f"{plural(len(parts), 'paragraph')}, so there is no number {self.paragraph}")
        first = parts[self.paragraph - 1].split()[0].strip("\"'\u201c\u201d\u2018\u2019.,;:!?()[]*_").casefold()
        if first == self.word.strip().casefold():
            return FULL
        return Scored(
            0.0, f"paragraph {self.paragraph} begins with {quoted(first, 40)}, wanted {quoted(self.word, 40)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HighlightCount(Counted):
    """How many highlighted stretches the answer has: `*so*` or `**so**`."""

    noun = "highlight"

    def count(self, text: str) -> int:
        # A bold stretch is found by its own pattern: between its doubled stars the first one finds only
        # blanks.
        return sum(1 for pattern in (_HIGHLIGHT, _BOLD) for match in pattern.findall(text) if match.strip("*").strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionCount(Counted):
    """How many sections the answer has, each opened by a word and a number, e.g. `SECTION 1`."""

    noun = "section"

    splitter: Text = "Section"
    """The word, in the case in which it has to be written."""

    def count(self, text: str) -> int:
        return len(re.findall(rf"{re.escape(self.splitter)}\s?[0-9]+", text))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadingCount(Counted):
    """How many Markdown headings (`# …` to `###### …`) the answer has."""

    noun = "heading"

    def count(self, text: str) -> int:
        return len(_HEADING.findall(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceholderCount(Counted):
    """How many placeholders in square brackets, such as [address], the answer has."""

    noun = "placeholder"

    def count(self, text: str) -> int:
        return len(_PLACEHOLDER.findall(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterCount(Counted):
    """How often a letter (or another sign) occurs, upper and lower case aside."""

    noun = "occurrence"

    letter: Text
    """One letter or sign."""

    def __post_init__(self) -> None:
        if len(self.letter) != 1:
            raise ValueError(f"letter wants one sign, got {self.letter!r}")
        Counted.__post_init__(self)

    def count(self, text: str) -> int:
        return text.lower().count(self.letter.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class CapitalWordCount(Counted):
    """How many words the answer has in capitals throughout."""

    noun = "capital word"

    def count(self, text: str) -> int:
        return sum(1 for word in re.findall(r"\w+", text) if word.isupper())


@dataclass(frozen=True, slots=True, kw_only=True)
class EmojiCount(Counted):
    """How many emoji the answer has."""

    noun = "emoji"

    def count(self, text: str) -> int:
        return sum(1 for _ in _EMOJI.finditer(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionCount(Counted):
    """How many questions the answer asks, by question marks."""

    noun = "question"

    def count(self, text: str) -> int:
        return len(re.findall(r"[?\uff1f\u061f]+", text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Title(OfText):
    """The answer has a title: `<<title>>`, or a Markdown heading on its first line."""

    style: Literal["angle", "heading", "either"] = "angle"
    """angle: <<title>> anywhere. heading: a Markdown heading on the first line. either: one of both."""

    def judge(self, text: str) -> Score:
        angle = any(title.strip() for title in _ANGLE_TITLE.findall(text))
        heading = _HEADING.match(text.lstrip("\n")) is not None
        if (angle and self.style != "heading") or (heading and self.style != "angle"):
            return FULL
        return Scored(0.0, f"no title in {quoted(text)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Postscript(OfText):
    """The answer has a postscript that begins with a marker such as `P.S.`, upper and lower case aside."""

    marker: Text = "P.S."
    """The marker; a space may follow each full stop in it."""

    def judge(self, text: str) -> Score:
        pattern = "".join(r"\.\s?" if sign == "." else re.escape(sign) for sign in self.marker.strip())
        if re.search(pattern, text, re.IGNORECASE):
            return FULL
        return Scored(0.0, f"no postscript {quoted(self.marker, 20)} in {tail(text)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InQuotes(OfText):
    """The whole answer is wrapped in double quotation marks."""

    typographic: bool = False
    """Accept typographic quotation marks too."""

    def judge(self, text: str) -> Score:
        text = text.strip()
        opening, closing = ('"\u201c\u201e\u00ab', '"\u201d\u201c\u00bb') if self.typographic else ('"', '"')
        if len(text) > 1 and text[0] in opening and text[-1] in closing:
            return FULL
        return Scored(0.0, f"not wrapped in quotation marks: {quoted(text)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistinctParts(OfText):
    """The answer consists of several different parts with a separator between them, e.g. two replies."""

    parts: Positive = 2
    """How many parts."""
    separator: Text = "******"
    """What stands between them."""

    def judge(self, text: str) -> Score:
        parts = [part.strip() for part in text.split(self.separator)]
        # A separator before the first or after the last part is forgiven, an empty part between two is not.
        if parts and not parts[0]:
            parts = parts[1:]
        if parts and not parts[-1]:
            parts = parts[:-1]
        if len(parts) != self.parts or not all(parts):
            return Scored(0.0, f"{plural(len([p for p in parts if p]), 'part')}, wanted {self.parts}")
        return FULL if len(set(parts)) == len(parts) else Scored(0.0, "two parts are the same")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoComma(OfText):
    """The answer has no comma (or none of other given signs)."""

    signs: Text = ","
    """The signs that must not occur."""

    def judge(self, text: str) -> Score:
        if not text.strip():
            return Scored(0.0, "the answer is blank")
        used = {sign: text.count(sign) for sign in self.signs if sign in text}
        if not used:
            return FULL
        return Scored(0.0, ", ".join(f"{sign!r} occurs {plural(times, 'time')}" for sign, times in used.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class AllCapitals(OfText):
    """Every letter of the answer is a capital."""

    def judge(self, text: str) -> Score:
        if text.isupper():
            return FULL
        lower = next((word for word in text.split() if word != word.upper()), "")
        return Scored(0.0, f"not in capitals: {quoted(lower)}" if lower else "there are no letters")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllLowercase(OfText):
    """No letter of the answer is a capital."""

    def judge(self, text: str) -> Score:
        if text.islower():
            return FULL
        upper = next((word for word in text.split() if word != word.lower()), "")
        return Scored(0.0, f"not in lower case: {quoted(upper)}" if upper else "there are no letters")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFence(OfText):
    """The answer has a closed code fence that holds something."""

    language: Text | None = None
    """The language that a fence has to name, e.g. python."""

    def judge(self, text: str) -> Score:
        fences = list(_FENCE_LINE.finditer(text))
        languages = []
        for opening, closing in zip(fences[::2], fences[1::2], strict=False):
            if text[opening.end() : closing.start()].strip():
                languages.append(opening[2].casefold())
        if not languages:
            return Scored(0.0, f"no closed code fence in {quoted(text)}")
        if self.language is not None and self.language.casefold() not in languages:
            return Scored(0.0, f"wanted a fence of {quoted(self.language)}, said {listed(languages, 3)}")
        return FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkdownTable(OfText):
    """The answer has a Markdown table."""

    columns: tuple[Text, ...] = ()
    """Its header, in order, upper and lower case aside; without it any header will do."""
    rows_at_least: Count = 1
    """How many rows it has to have below the header."""

    def judge(self, text: str) -> Score:
        tables = tables_in(text)
        if not tables:
            return Scored(0.0, f"no Markdown table in {quoted(text)}")
        why = ""
        for header, rows in tables:
            if self.columns and [cell.casefold() for cell in header] != [name.casefold() for name in self.columns]:
                why = why or f"wanted the columns {listed(self.columns)}, said {listed(header)}"
            elif rows < self.rows_at_least:
                why = why or f"{plural(rows, 'row')}, wanted {self.rows_at_least} or more"
            else:
                return FULL
        return Scored(0.0, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainText(OfText):
    """The answer is free of Markdown: no headings, bullets, bold, code, links or tables."""

    def judge(self, text: str) -> Score:
        mark = _MARKUP.search(text)
        return Scored(0.0, f"Markdown: {quoted(mark[0], 60)}") if mark else FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPreamble(OfText):
    """The answer comes to the point: it does not open with "Sure", "Certainly", "Here is" and the like."""

    def judge(self, text: str) -> Score:
        opening = _PREAMBLE.match(text)
        return Scored(0.0, f"opens with {quoted(opening[0], 40)}") if opening else FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenIn(OfText):
    """The share of the answer's letters that belong to a script, so that it is at least not in another
    alphabet.

    A script is no language: Spanish and English are both latin. The first 20,000 letters are looked at.
    """

    default_threshold = 0.9

    script: Script
    """The script wanted; `japanese` is kana and Chinese characters."""
    at_least_letters: Share = 0.0
    """Leave answers unscored whose letters are a smaller share of their characters (code, numbers)."""

    def judge(self, text: str) -> Score:
        letters = [sign for sign in text[:200_000] if sign.isalpha()][:20_000]
        if not letters or len(letters) < self.at_least_letters * min(len(text), 200_000):
            return Unscored(f"{plural(len(letters), 'letter')} are too few to tell the script")
        names = _SCRIPT_NAMES.get(self.script, (self.script.upper(),))
        known = {sign: unicodedata.name(sign, "").startswith(names) for sign in set(letters)}
        share = sum(known[sign] for sign in letters) / len(letters)
        if share == 1:
            return FULL
        other = next(sign for sign in letters if not known[sign])
        return Scored(share, f"{share:.0%} of the letters are {self.script}; {other!r} is not")


def paragraphs_in(text: str, separator: str | None = None) -> list[str]:
    """The paragraphs that are not blank, parted by blank lines or by a separator.

    >>> paragraphs_in("one\\n \\n\\ntwo"), paragraphs_in("one *** two ***", "***")
    (['one', 'two'], ['one', 'two'])
    """
    if separator is not None:
        return [part.strip() for part in text.split(separator) if part.strip()]
    paragraphs: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.strip():
            paragraphs[-1].append(line)
        elif paragraphs[-1]:
            paragraphs.append([])
    return ["\n".join(lines) for lines in paragraphs if lines]


def tables_in(text: str) -> list[tuple[list[str], int]]:
    """The Markdown tables of a text: header cells, and how many rows stand below.

    >>> tables_in("| a | b |\\n|---|---|\\n| 1 | 2 |")
    [(['a', 'b'], 1)]
    """
    lines = unfenced(text).splitlines()
    tables = []
    for at in range(1, len(lines)):
        rule, above = lines[at].strip(), lines[at - 1].strip()
        if "|" not in above or "-" not in rule or len(rule) > 2000 or not _TABLE_RULE.fullmatch(rule):
            continue
        header, columns = _cells(above), len(_cells(rule))
        if len(header) != columns:
            continue
        rows = 0
        while at + 1 + rows < len(lines) and "|" in lines[at + 1 + rows]:
            rows += 1
        tables.append((header, rows))
    return tables


_PREAMBLE = re.compile(
    r"\s*(?:sure|certainly|of course|absolutely|definitely|great question|good question|okay|ok|"
    r"got it|no problem|i(?:'|\u2019)?d be happy to|happy to help|here(?:'|\u2019)?s|here (?:is|are)|"
    r"as requested|let me)\b[^\n]{0,40}",
    re.IGNORECASE,
)


def _is_bullet(line: str, numbered: bool) -> bool:
    if line.startswith("*"):
        return len(line) > 1 and line[1] != "*"
    return line.startswith("-") or (numbered and _NUMBERED.match(line) is not None)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
