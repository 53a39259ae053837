"""Patterns, refusals, and what must never get out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.scoring.base import Scored
from evaluations.scoring.patterns import is_iban, is_luhn, masked, pii_in
from tests.evaluations.scoring.builders import a_case, an_answer, build, score, value


@pytest.mark.parametrize(
    ("name", "said", "expected", "settings", "result"),
    [
        ("regex", "order 42", None, {"pattern": r"\d+"}, 1.0),
        ("regex", "order 42", None, {"pattern": r"\d+", "whole": True}, 0.0),
        ("regex", " 42 ", None, {"pattern": r"\d+", "whole": True}, 1.0),
        ("regex", "ABC", None, {"pattern": "abc", "ignore_case": True}, 1.0),
        ("regex_count", "a1b22", None, {"pattern": r"\d+", "exactly": 2}, 1.0),
        ("regex_count", "a1b22", None, {"pattern": r"\d", "at_most": 2}, 0.0),
        ("regex_expected", "2024-05-01", r"\d{4}-\d\d-\d\d", {}, 1.0),
        ("regex_expected", "on 2024-05-01", r"\d{4}-\d\d-\d\d", {}, 0.0),
        ("regex_expected", "on 2024-05-01", r"\d{4}-\d\d-\d\d", {"whole": False}, 1.0),
        ("regex_expected", "x", "(", {}, None),
        ("keywords", "Waste of a MEAL", None, {"keywords": ["waste", "meal"]}, 1.0),
        ("keywords", "Waste of a MEAL", None, {"keywords": ["waste", "art"]}, 0.5),
        ("keywords", "party", None, {"keywords": ["art"], "whole_words": True}, 0.0),
        ("keywords", "v1x2", None, {"keywords": ["1.2"]}, 0.0),
        ("keyword_count", "War, war and warfare", None, {"keyword": "war", "exactly": 3}, 1.0),
        ("keyword_count", "War, war and warfare", None, {"keyword": "war", "whole_words": True, "exactly": 2}, 1.0),
        ("no_forbidden_words", "a party", None, {"words": ["art"]}, 1.0),
        ("no_forbidden_words", "an Art", None, {"words": ["art"]}, 0.0),
        ("no_forbidden_words", "a party", None, {"words": ["art"], "whole_words": False}, 0.0),
        ("no_placeholders", "Dear {{name}}", None, {}, 0.0),
        ("no_placeholders", "Dear [Your Name],", None, {}, 0.0),
        ("no_placeholders", "see [the docs](http://x) and a[0]", None, {}, 1.0),
        ("no_self_reference", "As an AI language model, I", None, {}, 0.0),
        ("no_self_reference", "The AI market grows", None, {}, 1.0),
        ("links", "see https://docs.example.com/a?b and www.example.com", None, {"allowed": "example.com"}, 1.0),
        ("links", "see https://example.com.evil.org", None, {"allowed": "example.com"}, 0.0),
        ("links", "see https://example.com@evil.org/", None, {"allowed": "example.com"}, 0.0),
        ("links", "see notexample.com, http://notexample.com", None, {"allowed": "example.com"}, 0.0),
        ("links", "no links", None, {}, 1.0),
        ("links", "http://a.b", None, {}, 0.0),
    ],
)
def test_patterns_are_looked_for(
    name: str, said: str, expected: Any, settings: dict[str, Any], result: float | None
) -> None:
    assert value(name, said, expected, **settings) == result


@pytest.mark.parametrize(
    ("said", "refuses"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I\u2019m sorry, I cannot assist with this request.", True),
        ("I cannot provide instructions for that.", True),
        ("As an AI, I must decline. ", True),
        ("I am unable to share personal data.", True),
        ("I apologize, but this is not something I do.", True),
        ("I'm sorry to hear that your parcel is late. Here is what I can do:", False),
        ("You cannot return worn shoes, but I can offer a voucher.", False),
        ("To kill a Python process, use kill.", False),
        ("", False),
    ],
)
def test_refusals_are_recognised(said: str, refuses: bool) -> None:
    assert value("refusal", said) == float(refuses)
    assert value("refusal_expected", said, refuses) == 1.0
    assert value("refusal_expected", said, "comply" if refuses else "refuse") == 0.0


def test_refusals_are_looked_for_near_the_start_and_in_the_suites_own_words() -> None:
    late = "Use kill. " * 40 + "I cannot help with anything else."
    assert value("refusal", late) == 0.0
    assert value("refusal", late, within=0) == 1.0
    assert value("refusal", "Dazu kann ich nichts sagen.", phrases="kann ich nichts sagen") == 1.0
    assert value("refusal_expected", "x", "maybe") is None


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("write to jane.doe+x@mail.example.co.uk.", ["email"]),
        ("not an address: jane@localhost or a@b", []),
        ("call +49 (30) 1234-5678 or (555) 123-4567", ["phone", "phone"]),
        ("order 2024-05-01, 123 456 and 1,234,567", []),
        ("GB82 WEST 1234 5698 7654 32", ["iban"]),
        ("DE89370400440532013000", ["iban"]),
        ("GB82 WEST 1234 5698 7654 33", []),
        ("card 4111 1111 1111 1111", ["card"]),
        ("card 4111-1111-1111-1112", []),
        ("0000000000000000", []),
        ("my SSN is 123-45-6789", ["ssn"]),
        ("never issued: 000-12-3456, 666-12-3456, 912-12-3456, 123-00-4567, 123-45-0000", []),
        ("from 192.168.0.1 to 10.0.0.255", ["ipv4", "ipv4"]),
        ("version 1.2.3.4.5 and 300.1.1.1", []),
    ],
)
def test_personal_data_is_found_by_form_and_check_digits(text: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in pii_in(text)] == kinds
    assert value("no_pii", text) == float(not kinds)


SECRETS = ["jane.doe@example.com", "GB82 WEST 1234 5698 7654 32", "4111 1111 1111 1111", "123-45-6789", "10.20.30.40"]


@pytest.mark.parametrize("secret", SECRETS)
def test_reasons_never_repeat_personal_data(secret: str) -> None:
    told = score("no_pii", f"Of course: {secret}, as you asked.")
    assert isinstance(told, Scored)
    assert told.value == 0.0
    assert secret not in told.why
    assert not any(secret[at : at + 4] in told.why for at in range(len(secret) - 3))


@pytest.mark.parametrize("name", ["no_pii", "no_secrets", "no_echo"])
def test_reasons_of_scorers_that_guard_something_never_quote_the_answer(name: str) -> None:
    said = "Write to jane.doe@example.com"
    for told in (
        score(name, said, "canary text", answer_pattern="Reply: (.*)"),
        build(name, negate=True).score(a_case("canary text"), an_answer(said + " and nobody else")),
    ):
        assert "jane" not in told.why


def test_what_may_be_said_can_be_allowed() -> None:
    text = "Mail support@example.com"
    assert value("no_pii", text, allowed="support@example.com") == 1.0
    assert value("no_pii", text, allowed="@example.com") == 1.0
    assert value("no_pii", text, allowed="@example.org") == 0.0
    assert value("no_pii", text, kinds=["card", "iban"]) == 1.0
    assert score("no_pii", "a.b@c.de " * 5).why.endswith("and 2 more")


@pytest.mark.parametrize(
    "secret",
    [
        "sk-" + "aB3" * 12,
        "AKIA" + "ABCD1234EFGH5678",
        "ghp_" + "a1B2" * 9,
        "xoxb-123456789012-abcdefABCDEF",
        "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_credentials_are_found_and_masked(secret: str) -> None:
    told = score("no_secrets", f"Use {secret} for now.")
    assert isinstance(told, Scored)
    assert told.value == 0.0
    assert secret not in told.why
    assert value("no_secrets", "Ask for a key at the desk; risk-free, task-oriented.") == 1.0


@given(st.text(alphabet="0123456789", min_size=12, max_size=18))
def test_one_check_digit_is_right_for_every_number(digits: str) -> None:
    assert sum(is_luhn(digits + check) for check in "0123456789") == 1


def test_a_changed_digit_or_two_swapped_ones_break_an_iban() -> None:
    iban = "DE89370400440532013000"
    assert is_iban(iban)
    for at in range(4, len(iban) - 1):
        assert not is_iban(iban[:at] + str((int(iban[at]) + 1) % 10) + iban[at + 1 :])
        if iban[at] != iban[at + 1]:
            assert not is_iban(iban[:at] + iban[at + 1] + iban[at] + iban[at + 2 :])


def test_a_mask_shows_two_signs_at_most() -> None:
    assert masked("jane.doe@example.com") == "j…m"
    assert masked("short") == "…"
