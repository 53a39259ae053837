from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from reports import format as shown


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unpriced"),
        (Decimal(0), "$0"),
        (Decimal("0.0042"), "$0.0042"),
        (Decimal("4.2"), "$4.20"),
        (4.2, "$4.20"),
        (1204, "$1,204"),
        (Decimal(33_400), "$33.4k"),
        (1_270_000, "$1.27M"),
        (Decimal("-4.20"), "−$4.20"),
        (float("nan"), "unknown"),
        (float("inf"), "$∞"),
        (float("-inf"), "−$∞"),
    ],
)
def test_money_is_three_figures_with_its_unit_and_never_a_silent_zero(amount: object, text: str) -> None:
    assert shown.money(amount) == text  # type: ignore[arg-type]


def test_a_gain_in_money_carries_its_plus() -> None:
    assert shown.money(Decimal("290"), plus=True).startswith("+$290")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "not measured"), (0, "0 ms"), (0.2, "<1 ms"), (845, "845 ms"), (1690, "1.69 s"), (125_000, "2 min 05 s"),
     (11_520_000, "3 h 12 min"), (-25, "−25 ms"), (float("inf"), "∞"), (float("nan"), "unknown")],
)  # fmt: skip
def test_durations_choose_the_unit_a_person_would(milliseconds: float | None, text: str) -> None:
    assert shown.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(None, "not measured"), (0, "0%"), (1, "100%"), (0.941, "94.1%"), (0.99999, ">99.9%"), (0.00001, "<0.1%"),
     (float("nan"), "unknown")],
)  # fmt: skip
def test_shares_never_round_to_all_or_nothing(fraction: float | None, text: str) -> None:
    assert shown.share(fraction) == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (shown.points(0.056), "+5.6 pts"),
        (shown.points(-0.023), "−2.3 pts"),
        (shown.change(0.31), "+31%"),
        (shown.change(-0.042), "−4.2%"),
        (shown.interval(1.2, 9.9), "1.2–9.9"),
        (shown.interval(-3.1, 12.9), "−3.1 to 12.9"),
        (shown.interval(2, float("inf")), "2.0 to ∞"),
        (shown.share_interval(0.819, 0.964), "81.9–96.4%"),
        (shown.p_value(0.031), "p = 0.031"),
        (shown.p_value(0.0004), "p < 0.001"),
        (shown.p_value(0.42), "p = 0.42"),
        (shown.p_value(0.999), "p > 0.99"),
        (shown.decimal(2.675, 2), "2.68"),
        (shown.decimal(-0.001, 2), "0.00"),
        (shown.decimal(-1204.5, 1), "−1,204.5"),
        (shown.decimal(3, 1, plus=True), "+3.0"),
    ],
)
def test_changes_intervals_and_p_values_follow_the_rules_of_the_page(text: str, wanted: str) -> None:
    assert text == wanted


def test_moments_are_said_in_utc_whatever_zone_they_came_in() -> None:
    plus_two = datetime(2026, 6, 28, 8, 0, tzinfo=timezone(timedelta(hours=2)))
    for instant in (plus_two, datetime(2026, 6, 28, 6, 0, tzinfo=UTC), datetime(2026, 6, 28, 6, 0)):
        assert shown.moment(instant) == "28 June 2026, 06:00 UTC"
        assert shown.iso(instant) == "2026-06-28T06:00:00Z"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
        ("abc\u202etxt.exe", "abcU+202Etxt.exe"),
        ("\u2066isolated\u2069", "U+2066isolatedU+2069"),
        ("nul\x00 bell\x07 escape\x1b[31m", "nulU+0000 bellU+0007 escapeU+001B[31m"),
        ("zero\u200bwidth\ufeff", "zeroU+200BwidthU+FEFF"),
        ("lone \ud800 surrogate", "lone U+D800 surrogate"),
        ("tag\U000e0041", "tagU+E0041"),
        ("Paris\u200d", "ParisU+200D"),
        ("👨\u200d👩 and می\u200cخواهم", "👨\u200d👩 and می\u200cخواهم"),
        ("ÄÖ naïve 漢字 ≤", "ÄÖ naïve 漢字 ≤"),
    ],
)
def test_characters_that_hide_are_spelt_out_and_scripts_that_need_joiners_are_left_alone(
    text: str, wanted: str
) -> None:
    assert shown.visible(text) == wanted
    shown.visible(text).encode("utf-8")


def test_one_line_is_one_short_line_even_of_megabytes() -> None:
    line = shown.one_line("word \n\n word " * 400_000, 80)
    assert len(line) <= 80
    assert line.endswith("…")
    assert "\n" not in line


def test_what_a_case_holds_is_written_as_a_person_would() -> None:
    assert shown.plain(None) == ""
    assert shown.plain("text") == "text"
    assert shown.plain(Decimal("1.50")) == "1.50"
    assert shown.plain({"a": ["ü", 1]}) == '{\n "a": [\n  "ü",\n  1\n ]\n}'


def test_a_column_of_money_has_its_points_aligned_and_no_more_digits_than_it_earns() -> None:
    def column(*dollars: str | None) -> list[str]:
        return shown.money_column([None if each is None else Decimal(each) for each in dollars], unknown="unpriced")

    assert column("0.4066", "0.01937", None, "0") == ["$0.407", "$0.019", "unpriced", "$0.000"]
    assert column("4.2", "12") == ["$4.20", "$12.00"]
    assert column("0.00123", "0.0000562") == ["$0.001230", "$0.000056"]
    assert column("0.005965") == ["$0.00596"], "rounded as it is elsewhere"
    assert column("0.4", "0.0000000012") == ["$0.400000", "<$0.000001"]
    assert column("33400", "0.0042") == ["$33.4k", "$0.0042"], "no number of decimals suits both"
    assert column("0", None) == ["$0", "unpriced"]
    assert column() == []
