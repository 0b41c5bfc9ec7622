from __future__ import annotations

from datetime import timedelta

import pytest

from ca_server import issuing
from ca_server.errors import KeyStoreError, Refusal, RefusalKind
from ca_server.orders import Delivery, Status
from ca_server.signing.issuer import Issuer
from ca_server.sms.gateway import DeliveryReceipt
from ca_server.storage import Storage, ended
from tests.fakes.issuing_authority import NUMBER, OTHER_NUMBER, IssuingAuthority, csr

KEPT_DAYS = 30
TABLES = ("orders", "authorizations", "challenges", "codes", "messages", "handovers")


@pytest.fixture
def authority(storage: Storage) -> IssuingAuthority:
    """Return an authority on each database, which keeps what ended for a month."""
    return IssuingAuthority(storage, keep_ended_days=KEPT_DAYS)


def counts(authority: IssuingAuthority) -> dict[str, int]:
    """Return how many rows each table has of what may be erased."""
    return {
        table: authority.storage._database.rows(f"SELECT COUNT(*) FROM {table}")[0][0]  # noqa: S608 - our own names
        for table in TABLES
    }


def test_what_ended_long_ago_is_erased(authority: IssuingAuthority) -> None:
    """Orders go with authorizations, challenges and messages, whether they came to a certificate or to nothing."""
    client = authority.client()
    authority.issue(client)
    challenge, _ = authority.ask(client, authority.challenge(client, authority.order(client, OTHER_NUMBER)))
    authority.clock.advance(days=KEPT_DAYS)
    issuing.forget_ended(authority.ca)
    assert counts(authority)["orders"] == 2
    authority.clock.advance(days=KEPT_DAYS + 7)
    authority.storage.sms.receipt(DeliveryReceipt("one", "late", Delivery.DELIVERED, authority.clock()))
    issuing.forget_ended(authority.ca)
    assert counts(authority) == dict.fromkeys(TABLES, 0) | {"handovers": 1}
    with pytest.raises(Refusal) as caught:
        issuing.challenge(authority.ca, client.account, challenge.id)
    assert caught.value.kind is RefusalKind.NOT_FOUND


def test_certificates_and_revocations_outlive_their_orders(authority: IssuingAuthority) -> None:
    """A certificate whose order was erased can be downloaded and found, and is listed once it is revoked."""
    client = authority.client()
    order = issuing.finalize(authority.ca, client.account, authority.ready(client).id, csr())
    before = authority.download(client, order)
    authority.storage.authorizations.extend(order.authorization.id, authority.clock())
    authority.storage._database.run("UPDATE orders SET expires_at = 0")
    authority.storage._database.run("UPDATE authorizations SET expires_at = 0")
    issuing.forget_ended(authority.ca)
    assert counts(authority)["orders"] == 0
    assert authority.download(client, order) == before
    (kept,) = authority.storage.certificates.of_number(NUMBER)
    issuing.revoke(authority.ca, kept.der, 1, client.account)
    assert authority.storage.certificates.get(kept.id) != kept
    issuing.forget_ended(authority.ca)
    assert issuing.crl(authority.ca, kept.shard).number == 1


def test_what_has_not_ended_stays(authority: IssuingAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that still waits for its certificate stays however old it is, and so does a young one."""

    def away(*_: object) -> None:
        msg = "the token is away"
        raise KeyStoreError(msg)

    client = authority.client()
    with monkeypatch.context() as patch:
        patch.setattr(Issuer, "sign_certificate", away)
        waits = issuing.finalize(authority.ca, client.account, authority.ready(client).id, csr())
    authority.clock.advance(days=KEPT_DAYS + 8)
    young = authority.order(client, OTHER_NUMBER)
    issuing.forget_ended(authority.ca)
    assert counts(authority)["orders"] == counts(authority)["authorizations"] == 2
    assert authority.storage.orders.get(waits.id) is not None
    assert issuing.order(authority.ca, client.account, young.id).status(authority.clock()) is Status.PENDING


def test_an_authorization_stays_as_long_as_an_order_needs_it(authority: IssuingAuthority) -> None:
    """Of two orders with one authorization, the younger keeps it."""
    client = authority.client()
    first = authority.ready(client)
    issuing.finalize(authority.ca, client.account, first.id, csr())
    authority.clock.advance(hours=12)
    second = authority.order(client)
    assert second.authorization.id == first.authorization.id
    authority.storage._database.run("UPDATE authorizations SET expires_at = 0")
    authority.storage._database.run("UPDATE orders SET expires_at = 0 WHERE id = ?", first.id)
    issuing.forget_ended(authority.ca)
    assert counts(authority)["orders"] == counts(authority)["authorizations"] == 1


def test_many_are_erased_a_few_at_a_time(authority: IssuingAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction takes only so many, and one call only so long; the next goes on."""
    monkeypatch.setattr(ended, "AT_ONCE", 2)
    monkeypatch.setattr("ca_server.issuing.housekeeping._MOST_TURNS", 2)
    client = authority.client()
    for index in range(5):
        authority.order(client, type(NUMBER)(f"1202555{index:04}"))
    authority.clock.advance(days=KEPT_DAYS + 8)
    assert not authority.storage.ended.forget(authority.clock() - timedelta(days=400))
    issuing.forget_ended(authority.ca)
    assert counts(authority)["orders"] == 1
    issuing.forget_ended(authority.ca)
    assert counts(authority) == dict.fromkeys(TABLES, 0)
