"""How numbers are said: shares, intervals, money, times and counts, for sentences that a person reads.

Three significant figures at most, the real minus sign, thousands by comma. A number that is not known has no
form here: the caller says "unpriced", "not measured" or "unscored" instead.
"""

from decimal import ROUND_HALF_EVEN, Decimal

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"


def count(number: int, noun: str = "", plural: str = "") -> str:
    """A count with its noun in the right number.

    >>> count(1204), count(1, "case"), count(2, "case"), count(3, "reply", "replies")
    ('1,204', '1 case', '2 cases', '3 replies')
    """
    said = f"{number:,}".replace("-", MINUS)
    if not noun:
        return said
    return f"{said} {noun if abs(number) == 1 else plural or noun + 's'}"


def percent(share: float, *, trim: bool = False) -> str:
    """A share in [0, 1] as a percentage with one decimal; `trim` drops a ".0", as limits are said.

    What is not all is never rounded up to all, nor what is more than nothing down to nothing.

    >>> percent(0.9166), percent(1.0), percent(0.99996), percent(0.0001), percent(0.8, trim=True)
    ('91.7%', '100%', '>99.9%', '<0.1%', '80%')
    """
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    if 0.9995 <= share < 1:
        return ">99.9%"
    if 0 < share < 0.0005:
        return "<0.1%"
    said = f"{share * 100:,.1f}"
    if trim:
        said = said.removesuffix(".0")
    return said.replace("-", MINUS) + "%"


def percent_beside(share: float, limit: float) -> str:
    """A share that stands beside a limit: with as many decimals as it takes to tell the two apart (at most
    four).

    >>> percent_beside(0.79996, 0.8), percent_beside(0.75, 0.8), percent_beside(0.8, 0.8)
    ('79.996%', '75.0%', '80.0%')
    """
    if share == limit or abs(share - limit) >= 0.001:
        return percent(share)
    for decimals in range(1, 5):
        if f"{share * 100:.{decimals}f}" != f"{limit * 100:.{decimals}f}":
            return f"{share * 100:.{decimals}f}%".replace("-", MINUS)
    return percent(share)


def percent_interval(low: float, high: float) -> str:
    """The bounds of a share, joined by a dash, or by "to" where a dash would be read as a minus."""
    bounds = [
        f"{bound * 100:.1f}".removesuffix(".0") if bound in (0, 1) else f"{bound * 100:.1f}" for bound in (low, high)
    ]
    joined = " to ".join(bounds) if min(low, high) < 0 else DASH.join(bounds)
    return joined.replace("-", MINUS) + "%"


def points(change: float) -> str:
    """A change of a share, in points of a hundred, always with its sign: "+5.6 pts"."""
    # Adding zero turns the -0.0 that rounding can leave into 0.0.
    return f"{round(change * 100, 1) + 0.0:+.1f} pts".replace("-", MINUS)


def money(usd: Decimal, *, trim: bool = False) -> str:
    """Dollars to three significant figures; cents are kept below a thousand; `trim` drops ".00", as limits
    are said.

    >>> [money(Decimal(d)) for d in ("0.0042", "0.5", "4.2", "1204.4", "33400", "1270000", "0")]
    ['$0.0042', '$0.50', '$4.20', '$1,204', '$33.4k', '$1.27M', '$0']
    """
    sign, size = (MINUS, -usd) if usd < 0 else ("", usd)
    if size == 0:
        return "$0"
    # The bounds lie where rounding would reach the next form: $999.995 is said as $1,000.
    if size >= Decimal("999500"):
        said = _significant(size / 1_000_000) + "M"
    elif size >= Decimal("9999.5"):
        said = _significant(size / 1_000) + "k"
    elif size >= Decimal("999.995"):
        said = f"{size.quantize(Decimal(1), ROUND_HALF_EVEN):,}"
    elif size >= Decimal("0.9995"):
        said = f"{size.quantize(Decimal('0.01'), ROUND_HALF_EVEN):f}"
        said = said.removesuffix(".00") if trim else said
    else:
        said = _significant(size).rstrip("0")
        whole, _, cents = said.partition(".")
        said = f"{whole}.{cents:0<2}"
    return f"{sign}${said}"


def duration(milliseconds: float) -> str:
    """A time as a person says it.

    >>> duration(845), duration(1690), duration(125_000), duration(0.4), duration(7_500_000)
    ('845 ms', '1.69 s', '2 min 05 s', '<1 ms', '2 h 05 min')
    """
    if 0 < milliseconds < 0.5:
        return "<1 ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{_significant(Decimal(repr(seconds)))} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def _significant(number: Decimal) -> str:
    """Three significant figures, written out: never 1E+3."""
    exponent = number.adjusted() - 2
    rounded = number.quantize(Decimal(1).scaleb(exponent), ROUND_HALF_EVEN)
    if rounded.adjusted() - 2 != exponent:  # 9.999 became 10.00: one decimal less
        rounded = rounded.quantize(Decimal(1).scaleb(rounded.adjusted() - 2), ROUND_HALF_EVEN)
    return f"{rounded:,f}"
