"""Flags over HTTP, on a real server: the very document of the file, signed, once, and again when it failed."""

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluations.errors import AssayError
from tasks import delivering
from tasks.delivering import SIGNATURE, TIMESTAMP, deliver
from tasks.flags import flag_file, publish_flags
from tasks.rolling_back import end_canary
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.deployments import StoredDeployment
from tasks.store.flag_deliveries import save_delivery
from tests.cli.commands import rows
from tests.deployments import NEW, OLD, approve, asked, deployed, taken
from tests.fakes.receiver import Receiver, receiving

SECRET = "correct-horse-battery"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as kept:
        yield kept


@pytest.fixture(autouse=True)
def set_up(tmp_path: Path, store: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path))
    monkeypatch.setenv("ASSAY_FLAGS_PUT", receiver.address("/flags/{environment}.json?token=hush-hush"))
    monkeypatch.setenv("ASSAY_FLAGS_WEBHOOK", receiver.address("/hook"))
    monkeypatch.setenv("ASSAY_FLAGS_SECRET_ENV", "FLAG_SECRET")
    monkeypatch.setenv("FLAG_SECRET", SECRET)
    settings.cache_clear()
    with transaction() as connection:
        deployed(connection, OLD)
    publish_flags("production")
    yield
    settings.cache_clear()


def test_both_get_the_very_document_and_can_tell_that_it_is_ours(receiver: Receiver) -> None:
    assert [(each.channel, each.delivered) for each in deliver("production")] == [("put", True), ("webhook", True)]
    put, hook = receiver.seen
    document = flag_file("production").read_bytes()
    assert (put[0], put[1], put[3]) == ("PUT", "/flags/production.json?token=hush-hush", document)
    assert put[2]["Authorization"] == f"Bearer {SECRET}"
    assert (hook[0], hook[1], hook[3]) == ("POST", "/hook", document)
    signed = hmac.new(SECRET.encode(), hook[2][TIMESTAMP].encode() + b"." + document, hashlib.sha256).hexdigest()
    assert hook[2][SIGNATURE] == f"sha256={signed}"
    assert "Authorization" not in hook[2]


def test_what_a_channel_has_is_not_sent_again_and_what_failed_is(receiver: Receiver) -> None:
    receiver.codes = [503, 200]
    assert [each.delivered for each in deliver("production")] == [False, True]
    assert [(each.channel, each.delivered) for each in deliver("production")] == [("put", True)]
    assert deliver("production") == []
    with transaction() as connection:
        deployed(connection, NEW)
    assert len(deliver("production")) == 2
    assert len(deliver("production", again=True)) == 2


def delivered_with_a_canary_to_come() -> StoredDeployment:
    """Every channel has the flags of before; the canary that changes them is committed, and not delivered."""
    deliver("production")
    with transaction() as connection:
        coming = asked(connection, NEW)
        approve(connection, coming)
        return taken(connection, coming, "pending", "deploying")


def test_a_channel_whose_last_delivery_failed_is_sent_to_again_though_the_document_is_one_it_had(
    receiver: Receiver,
) -> None:
    coming = delivered_with_a_canary_to_come()
    receiver.codes = [502, 502]  # as a gateway says when whoever is behind it took the document
    assert [each.delivered for each in deliver("production")] == [False, False]
    with transaction() as connection:
        end_canary(connection, coming, "errors", "ana")
    assert [(each.channel, each.delivered) for each in deliver("production")] == [("put", True), ("webhook", True)]
    assert receiver.seen[-1][3] == receiver.seen[0][3]
    assert deliver("production") == []


def test_a_delivery_that_was_killed_before_it_was_noted_is_made_again_though_the_document_is_one_it_had(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    coming = delivered_with_a_canary_to_come()

    def killed(*given: Any, **named: Any) -> None:
        if named["delivered"]:
            raise KeyboardInterrupt
        save_delivery(*given, **named)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(delivering, "save_delivery", killed)
        with pytest.raises(KeyboardInterrupt):
            deliver("production")
    assert len(receiver.seen) == 4
    with transaction() as connection:
        end_canary(connection, coming, "errors", "ana")
    assert [(each.channel, each.delivered) for each in deliver("production")] == [("put", True), ("webhook", True)]
    assert [receiver.seen[n][3] for n in (-1, -2)] == [receiver.seen[0][3]] * 2
    assert deliver("production") == []


@pytest.mark.parametrize("secret", [f"{SECRET}\n", f"{SECRET}\r\nand-more"])
def test_a_secret_that_no_header_carries_is_repeated_nowhere(
    store: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("FLAG_SECRET", secret)
    told = [str(each) for each in deliver("production")]
    kept = rows(store, "SELECT detail FROM flag_deliveries WHERE channel <> 'file'")
    assert SECRET not in str([told, kept])
    # A new line at its end is no part of it.
    assert ("HTTP 200" in told[0]) == (secret.strip() == SECRET)


def test_a_redirect_is_no_delivery(receiver: Receiver) -> None:
    receiver.codes = [302, 302]
    assert [(each.delivered, each.detail) for each in deliver("production")] == [(False, "HTTP 302")] * 2


def test_an_unreachable_receiver_is_noted_once_and_no_secret_with_it(
    store: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_FLAGS_PUT", f"http://ann:{SECRET}@127.0.0.1:9/{{environment}}?token=hush-hush")
    settings.cache_clear()
    first, again = deliver("production"), deliver("production")
    assert [each.delivered for each in first] == [False, True]
    assert [each.channel for each in again] == ["put"]
    kept = rows(store, "SELECT channel, delivered, detail FROM flag_deliveries WHERE NOT delivered")
    assert len(kept) == 1
    told = str([*first, *again, *kept])
    assert SECRET not in told
    assert "hush" not in told


def test_a_secret_that_is_not_there_and_an_address_that_is_none_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLAG_SECRET")
    with pytest.raises(AssayError, match="FLAG_SECRET"):
        deliver("production")
    monkeypatch.setenv("FLAG_SECRET", SECRET)
    for address in ("file:///etc/passwd", "http://[::1/hook", "https:///hook"):
        monkeypatch.setenv("ASSAY_FLAGS_WEBHOOK", address)
        settings.cache_clear()
        with pytest.raises(AssayError, match="ASSAY_FLAGS_WEBHOOK is an address"):
            deliver("production")
