"""Scorers that read numbers as people write them: 1,234.50, -3, $5, 12 %, 6.02e23."""

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Literal

from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.scoring.reading import FULL, Compared, OfText
from evaluations.scoring.settings import Scale, Size
from evaluations.scoring.words import listed, quoted

MAX_NUMBERS = 100_000
"""Numbers read from one answer; nobody means the ones after that."""
_LARGEST_EXPONENT = 1000
# Wide enough that a difference of everyday numbers is exact; nothing traps, so nothing raises.
_EXACT = Context(prec=60, Emax=10_000, Emin=-10_000, traps=[])

# A minus sign counts unless it joins two things, as in 3-4 or "page 2 - 5".
_NUMBER = re.compile(
    r"(?:(?<![\w.)\]])[-+\u2212])?"
    r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|(?<![\w.])\.[0-9]+)"
    r"(?:[eE][-+]?[0-9]{1,4}(?![\w]))?"
    r"(?P<percent>\s?%)?"
)

NumberTake = Literal["first", "last", "only"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeric(Compared):
    """How numbers are read and when two of them count as equal."""

    tolerance: Size = 0.0
    """Largest absolute difference that still counts as equal."""
    relative_tolerance: Size = 0.0
    """The same as a fraction of the expected number, e.g. 0.01; the wider of the two tolerances counts."""
    decimal_comma: bool = False
    """Read 1.234,5 as one thousand two hundred thirty-four and a half."""
    percent_as_fraction: bool = False
    """Read 12 % as 0.12, in the answer and in the expectation."""

    def read(self, text: str) -> list[Decimal]:
        return numbers_in(text, decimal_comma=self.decimal_comma, percent_as_fraction=self.percent_as_fraction)

    def equal(self, said: Decimal, wanted: Decimal) -> bool:
        allowed = max(
            Decimal(repr(self.tolerance)),
            _EXACT.multiply(wanted.copy_abs(), Decimal(repr(self.relative_tolerance))),
        )
        return _EXACT.subtract(said, wanted).copy_abs() <= allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Numeric):
    """The number in the answer (the last, unless told otherwise) is the expected one, within a tolerance."""

    take: NumberTake = "last"
    """Which number of the answer counts; with `only`, an answer with several different numbers is wrong."""

    def compare(self, said: str, wanted: str) -> Score:
        target = self.read(wanted)
        if not target:
            return Unscored(f"the expectation holds no number: {quoted(wanted)}")
        found = self.read(said)
        if not found:
            return self.absent("no number", said)
        if self.take == "only" and len(set(found)) > 1:
            several = listed([shown(number) for number in dict.fromkeys(found)])
            return Scored(0.0, f"wanted only {shown(target[0])}, said several numbers: {several}")
        number = found[-1] if self.take == "last" else found[0]
        if self.equal(number, target[0]):
            return FULL
        return Scored(0.0, f"wanted {shown(target[0])}{self._margin()}, said {shown(number)}")

    def _margin(self) -> str:
        if self.relative_tolerance:
            return f" ± {self.relative_tolerance:.4g} of it"
        return f" ± {self.tolerance:g}" if self.tolerance else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyNumber(Numeric):
    """The expected number stands anywhere in the answer, within a tolerance."""

    def compare(self, said: str, wanted: str) -> Score:
        target = self.read(wanted)
        if not target:
            return Unscored(f"the expectation holds no number: {quoted(wanted)}")
        found = self.read(said)
        if any(self.equal(number, target[0]) for number in found):
            return FULL
        return Scored(0.0, f"wanted {shown(target[0])}, said {listed([shown(n) for n in found]) or 'no number'}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberError(Numeric):
    """How near the number in the answer comes: 1 at no error, falling to 0 at an error of `scale`."""

    default_threshold = 0.8

    scale: Scale
    """The absolute error at which the score reaches 0."""
    take: Literal["first", "last"] = "last"
    """Which number of the answer counts."""

    def compare(self, said: str, wanted: str) -> Score:
        target = self.read(wanted)
        if not target:
            return Unscored(f"the expectation holds no number: {quoted(wanted)}")
        found = self.read(said)
        if not found:
            return self.absent("no number", said)
        number = found[-1] if self.take == "last" else found[0]
        if self.equal(number, target[0]):
            return FULL
        error = _EXACT.subtract(number, target[0]).copy_abs()
        value = 1 - float(min(Decimal(1), _EXACT.divide(error, Decimal(repr(self.scale)))))
        return Scored(value, f"wanted {shown(target[0])}, said {shown(number)}, off by {shown(error)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberBetween(OfText):
    """The number in the answer lies between two bounds, both included."""

    low: float | None = None
    """The smallest number that is right."""
    high: float | None = None
    """The largest number that is right."""
    take: Literal["first", "last"] = "last"
    """Which number of the answer counts."""
    decimal_comma: bool = False
    """Read 1.234,5 as one thousand two hundred thirty-four and a half."""

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise ValueError("say where the number may lie: low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"no number lies between {self.low:g} and {self.high:g}: swap low and high")

    def judge(self, text: str) -> Score:
        found = numbers_in(text, decimal_comma=self.decimal_comma)
        if not found:
            return self.absent("no number", text)
        number = found[-1] if self.take == "last" else found[0]
        if self.low is not None and number < Decimal(repr(self.low)):
            return Scored(0.0, f"said {shown(number)}, wanted {self.low:g} or more")
        if self.high is not None and number > Decimal(repr(self.high)):
            return Scored(0.0, f"said {shown(number)}, wanted {self.high:g} or less")
        return FULL


def numbers_in(text: str, *, decimal_comma: bool = False, percent_as_fraction: bool = False) -> list[Decimal]:
    """The numbers in a text, in order, exact as written.

    A sign counts unless it joins two things; grouping commas are read; numbers beyond 1e1000 are left out.

    >>> [str(number) for number in numbers_in("From -3 to $1,234.50, pages 2-5, and .5e3")]
    ['-3', '1234.50', '2', '5', '5E+2']
    """
    if decimal_comma:
        text = text.translate(_SWAPPED)
    numbers: list[Decimal] = []
    for match in _NUMBER.finditer(text):
        written, percent = match[0], match["percent"]
        if percent:
            written = written[: -len(percent)]
        if len(written) > 2 * _LARGEST_EXPONENT:
            continue
        number = Decimal(written.replace(",", "").replace("\u2212", "-"))
        if abs(number.adjusted()) > _LARGEST_EXPONENT:
            continue
        numbers.append(_EXACT.scaleb(number, Decimal(-2)) if percent and percent_as_fraction else number)
        if len(numbers) == MAX_NUMBERS:
            break
    return numbers


def shown(number: Decimal) -> str:
    """The number for a reason: plain where it is short, else rounded to 12 digits."""
    plain = format(number, "f") if -12 < number.adjusted() < 16 else ""
    return plain if plain and len(plain) <= 24 else f"{number:.12g}"


_SWAPPED = str.maketrans({".": ",", ",": "."})
