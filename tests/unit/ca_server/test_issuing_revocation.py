from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.jwk import JWKEC

from ca_server import issuing
from ca_server.config import Authority
from ca_server.errors import KeyStoreError, Refusal, RefusalKind
from ca_server.issuing.revocation import CRL_LIFE
from ca_server.orders import Certificate, RevocationList
from ca_server.signing.issuer import Issuer
from ca_server.storage import Storage
from policies.issuance import IssuancePolicy
from stir.certificate_building import NumberCertificateFields, precertificate
from stir.validation_method import ValidationMethod
from tests.fakes.authority import make_issuer
from tests.fakes.issuing_authority import NUMBER, OTHER_NUMBER, Client, IssuingAuthority, new_key

TIMEOUT = 60


@pytest.fixture
def authority(storage: Storage) -> IssuingAuthority:
    """Return an authority on each database."""
    return IssuingAuthority(storage)


@pytest.fixture
def client(authority: IssuingAuthority) -> Client:
    """Return an account."""
    return authority.client()


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    """Return the certificate's key."""
    return new_key()


@pytest.fixture
def certificate(authority: IssuingAuthority, client: Client, key: ec.EllipticCurvePrivateKey) -> Certificate:
    """Return a certificate of the account."""
    return authority.issue(client, key=key)


@pytest.fixture
def crl_fails() -> Iterator[Callable[[], None]]:
    """Let no CRL be signed, until what is returned is called."""
    patch = pytest.MonkeyPatch()

    def fail(*_: object) -> None:
        msg = "the token is away"
        raise KeyStoreError(msg)

    patch.setattr(Issuer, "sign_crl", fail)
    yield patch.undo
    patch.undo()


def read(crl: RevocationList) -> x509.CertificateRevocationList:
    """Return a CRL, read."""
    return x509.load_der_x509_crl(crl.der)


def listed(authority: IssuingAuthority, certificate: Certificate) -> int | None:
    """Return the reason in the CRL of a certificate's shard as it is served; None where it is not listed."""
    entry = read(issuing.crl(authority.ca, certificate.shard)).get_revoked_certificate_by_serial_number(
        certificate.serial
    )
    if entry is None:
        return None
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return 0
    return {
        x509.ReasonFlags.key_compromise: 1,
        x509.ReasonFlags.affiliation_changed: 3,
        x509.ReasonFlags.superseded: 4,
        x509.ReasonFlags.cessation_of_operation: 5,
        x509.ReasonFlags.privilege_withdrawn: 9,
    }[reason]


@pytest.mark.parametrize("reason", [None, 0, 1, 3, 4, 5])
def test_the_account_that_ordered_revokes_and_the_crl_tells_at_once(
    authority: IssuingAuthority, client: Client, certificate: Certificate, reason: int | None
) -> None:
    """RevokeCert by the account's key lists the certificate with its reason (RFC 8555 §7.6)."""
    before = issuing.crl(authority.ca, certificate.shard)
    issuing.revoke(authority.ca, certificate.der, reason, client.account)
    assert listed(authority, certificate) == (reason or 0)
    assert issuing.crl(authority.ca, certificate.shard).number > before.number


def test_the_certificates_own_key_revokes(
    authority: IssuingAuthority, certificate: Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    """Whoever holds the certificate's key may revoke it (RFC 8555 §7.6); another key may not."""
    with pytest.raises(Refusal) as caught:
        issuing.revoke(authority.ca, certificate.der, 1, JWKEC(key=new_key().public_key()))
    assert caught.value.kind is RefusalKind.UNAUTHORIZED
    issuing.revoke(authority.ca, certificate.der, 1, JWKEC(key=key.public_key()))
    assert listed(authority, certificate) == 1


def test_another_account_that_proved_the_number_revokes(authority: IssuingAuthority, certificate: Certificate) -> None:
    """An account with a valid authorization for the number may revoke (RFC 8555 §7.6), and none without."""
    other = authority.client()
    pending = authority.order(other)
    authority.ready(other, OTHER_NUMBER)
    with pytest.raises(Refusal) as caught:
        issuing.revoke(authority.ca, certificate.der, None, other.account)
    assert caught.value.kind is RefusalKind.UNAUTHORIZED
    assert listed(authority, certificate) is None
    authority.prove(other, pending)
    issuing.revoke(authority.ca, certificate.der, None, other.account)
    assert listed(authority, certificate) == 0


def test_a_precertificate_names_the_certificate_to_revoke(
    authority: IssuingAuthority, client: Client, certificate: Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    """RFC 6962 §3.1: the owner finds the precertificate in a log; one that we did not sign names nothing."""
    fields = NumberCertificateFields(
        number=NUMBER,
        public_key=key.public_key(),
        serial=certificate.serial,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        validation=ValidationMethod.SMS_CODE,
        ca_issuers_url=authority.ca.issuer.certificate_url,
        crl_url=authority.ca.issuer.crl_url(certificate.shard),
    )
    builder = precertificate(fields, authority.ca.issuer.certificate)
    for signer in (new_key(), authority.ca.issuer.key):
        der = builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)
        if signer is authority.ca.issuer.key:
            issuing.revoke(authority.ca, der, 4, client.account)
        else:
            with pytest.raises(Refusal) as caught:
                issuing.revoke(authority.ca, der, 4, client.account)
            assert caught.value.kind is RefusalKind.NOT_FOUND
    assert listed(authority, certificate) == 4


@pytest.mark.parametrize("ended", ["expired", "deactivated"])
def test_an_authorization_that_ended_revokes_nothing(storage: Storage, ended: str) -> None:
    """Only an authorization that is valid now counts (RFC 8555 §7.6)."""
    authority = IssuingAuthority(storage, IssuancePolicy(countries=("US",), valid_authorization_hours=2))
    certificate = authority.issue(authority.client())
    other = authority.client()
    order = authority.ready(other)
    if ended == "expired":
        authority.clock.advance(hours=2)
    else:
        issuing.deactivate_authorization(authority.ca, other.account, order.authorization.id)
    with pytest.raises(Refusal) as caught:
        issuing.revoke(authority.ca, certificate.der, None, other.account)
    assert caught.value.kind is RefusalKind.UNAUTHORIZED


def test_what_is_revoked_is_revoked_once(authority: IssuingAuthority, client: Client, certificate: Certificate) -> None:
    """A second revocation is alreadyRevoked, and the first reason stays (RFC 8555 §7.6)."""
    issuing.revoke(authority.ca, certificate.der, 4, client.account)
    with pytest.raises(Refusal) as caught:
        issuing.revoke(authority.ca, certificate.der, 1, client.account)
    assert caught.value.kind is RefusalKind.ALREADY_REVOKED
    assert listed(authority, certificate) == 4


@pytest.mark.parametrize("reason", [-1, 2, 6, 7, 8, 9, 10, 11, 10**20])
def test_a_reason_that_clients_may_not_give_is_refused(
    authority: IssuingAuthority, client: Client, certificate: Certificate, reason: int
) -> None:
    """Reasons of authorities, holds and unknown numbers are badRevocationReason (RFC 8555 §7.6)."""
    with pytest.raises(Refusal) as caught:
        issuing.revoke(authority.ca, certificate.der, reason, client.account)
    assert caught.value.kind is RefusalKind.BAD_REVOCATION_REASON
    assert listed(authority, certificate) is None


def test_what_is_no_certificate_is_malformed(authority: IssuingAuthority, client: Client) -> None:
    """Bytes that are no certificate are malformed."""
    for junk in (b"", b"junk", b"\x30\x03\x02\x01\x01"):
        with pytest.raises(Refusal) as caught:
            issuing.revoke(authority.ca, junk, None, client.account)
        assert caught.value.kind is RefusalKind.MALFORMED


def test_a_certificate_of_another_authority_is_not_found(
    authority: IssuingAuthority, client: Client, certificate: Certificate, storage: Storage
) -> None:
    """A certificate that this authority did not issue is not revoked, not even under a serial of ours."""
    foreign = make_issuer()
    read_certificate = x509.load_der_x509_certificate(certificate.der)
    builder = x509.CertificateBuilder(
        issuer_name=foreign.certificate.subject,
        subject_name=read_certificate.subject,
        public_key=new_key().public_key(),
        serial_number=certificate.serial,
        not_valid_before=read_certificate.not_valid_before_utc,
        not_valid_after=read_certificate.not_valid_after_utc,
    )
    forged = builder.sign(foreign.key, hashes.SHA256()).public_bytes(Encoding.DER)
    for der in (forged, foreign.certificate_der):
        with pytest.raises(Refusal) as caught:
            issuing.revoke(authority.ca, der, None, client.account)
        assert caught.value.kind is RefusalKind.NOT_FOUND
    assert storage.certificates.get(certificate.id) == certificate


def test_an_expired_certificate_is_not_revoked(
    authority: IssuingAuthority, client: Client, certificate: Certificate
) -> None:
    """What has expired needs no revocation, and says so."""
    authority.clock.now = certificate.not_after + timedelta(seconds=1)
    with pytest.raises(Refusal, match="expired") as caught:
        issuing.revoke(authority.ca, certificate.der, None, client.account)
    assert caught.value.kind is RefusalKind.MALFORMED


def test_the_operator_revokes_by_serial(authority: IssuingAuthority, certificate: Certificate) -> None:
    """The operator may give the reason that a number is somebody else's now, and finds unknown serials refused."""
    with pytest.raises(Refusal) as caught:
        issuing.revoke_by_operator(authority.ca, certificate.serial + 1, 9)
    assert caught.value.kind is RefusalKind.NOT_FOUND
    with pytest.raises(Refusal) as caught:
        issuing.revoke_by_operator(authority.ca, certificate.serial, 6)
    assert caught.value.kind is RefusalKind.BAD_REVOCATION_REASON
    assert issuing.revoke_by_operator(authority.ca, certificate.serial, 9).number == NUMBER
    assert listed(authority, certificate) == 9


def test_a_crl_is_signed_when_first_asked_for_and_then_kept_for_an_hour(authority: IssuingAuthority) -> None:
    """The CRL of a shard is the same for an hour, then signed anew with a higher number (protocol §3)."""
    first = issuing.crl(authority.ca, 0)
    authority.clock.advance(minutes=59)
    assert issuing.crl(authority.ca, 0) == first
    authority.clock.advance(minutes=1)
    second = issuing.crl(authority.ca, 0)
    assert second.number == first.number + 1
    assert second.this_update == first.this_update + timedelta(hours=1)
    assert second.next_update == second.this_update + CRL_LIFE


@pytest.mark.parametrize("shard", [-1, 4, 10**9])
def test_a_shard_that_does_not_exist_is_not_found(authority: IssuingAuthority, shard: int) -> None:
    """There are as many CRLs as shards."""
    with pytest.raises(Refusal) as caught:
        issuing.crl(authority.ca, shard)
    assert caught.value.kind is RefusalKind.NOT_FOUND


def test_the_hourly_work_signs_what_is_due(authority: IssuingAuthority) -> None:
    """Refreshing signs every shard once, and again after an hour, but not in between."""
    assert issuing.refresh_crls(authority.ca) == 4
    assert issuing.refresh_crls(authority.ca) == 0
    authority.clock.advance(minutes=60)
    issuing.crl(authority.ca, 2)
    assert issuing.refresh_crls(authority.ca) == 3


def test_a_revoked_certificate_stays_listed_once_more_after_it_expired(
    authority: IssuingAuthority, client: Client, certificate: Certificate
) -> None:
    """An entry goes only after a list that was signed when the certificate had expired (RFC 5280 §3.3)."""
    issuing.revoke(authority.ca, certificate.der, 1, client.account)
    authority.clock.now = certificate.not_after - timedelta(minutes=1)
    assert listed(authority, certificate) == 1
    authority.clock.advance(hours=1)
    assert listed(authority, certificate) == 1
    authority.clock.advance(hours=1)
    assert listed(authority, certificate) is None


def test_a_revocation_whose_crl_was_not_signed_is_in_the_next_one_served(
    authority: IssuingAuthority, client: Client, certificate: Certificate, crl_fails: Callable[[], None]
) -> None:
    """A crash between the revocation and its CRL leaves no old list in force: the next request signs."""
    with pytest.raises(KeyStoreError):
        issuing.revoke(authority.ca, certificate.der, 1, client.account)
    assert authority.storage.revocation_lists.get(authority.ca.issuer.id, certificate.shard) is None
    crl_fails()
    assert listed(authority, certificate) == 1
    with pytest.raises(Refusal) as caught:
        issuing.revoke(authority.ca, certificate.der, 1, client.account)
    assert caught.value.kind is RefusalKind.ALREADY_REVOKED


def test_a_list_is_never_replaced_by_an_older_one(authority: IssuingAuthority) -> None:
    """Whoever signed a lower number comes too late to publish it."""
    newer = issuing.crl(authority.ca, 0)
    older = RevocationList(0, newer.number - 1, b"older", newer.this_update, newer.next_update)
    authority.storage.revocation_lists.publish(authority.ca.issuer.id, older)
    assert issuing.crl(authority.ca, 0) == newer


def test_front_ends_that_revoke_and_refresh_at_once_lose_no_revocation(storage: Storage) -> None:
    """However revocations and refreshes mix, numbers only grow and the last list holds every revocation."""
    one_shard = Authority(name="Example CA", operator="Example Ltd", crl_shards=1)
    authority = IssuingAuthority(storage, authority=one_shard)
    client = authority.client()
    certificates = [authority.issue(client) for _ in range(8)]

    def revoke(certificate: Certificate) -> None:
        issuing.revoke(authority.ca, certificate.der, 4, client.account)

    def refresh(_: int) -> int:
        return issuing.crl(authority.ca, 0).number

    with ThreadPoolExecutor(8) as pool:
        revoked = [pool.submit(revoke, certificate) for certificate in certificates]
        refreshed = [pool.submit(refresh, index) for index in range(8)]
        numbers = [one.result(TIMEOUT) for one in refreshed]
        for one in revoked:
            one.result(TIMEOUT)
    last = issuing.crl(authority.ca, 0)
    assert max(numbers) <= last.number
    assert 8 <= last.number <= 16
    assert {entry.serial_number for entry in read(last)} == {certificate.serial for certificate in certificates}


def test_while_an_hourly_list_is_signed_the_last_one_is_served(
    authority: IssuingAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody finds a list's number taken before the list is there, for whoever does would sign one more."""
    first = issuing.crl(authority.ca, 0)
    authority.clock.advance(minutes=60)
    seen: list[RevocationList | None] = []
    sign = Issuer.sign_crl

    def look_and_sign(issuer: Issuer, *values: Any) -> bytes:  # noqa: ANN401 - passed on as they are
        with ThreadPoolExecutor(1) as other:
            seen.append(other.submit(authority.storage.revocation_lists.get, issuer.id, 0).result(TIMEOUT))
        return sign(issuer, *values)

    monkeypatch.setattr(Issuer, "sign_crl", look_and_sign)
    assert issuing.crl(authority.ca, 0).number == first.number + 1
    assert seen == [first]


def test_a_new_issuing_certificate_starts_lists_of_its_own(
    authority: IssuingAuthority, client: Client, certificate: Certificate
) -> None:
    """What another issuing certificate signed is not in the lists of this one, but can still be revoked."""
    after = IssuingAuthority(authority.storage, issuer=make_issuer(crl_shards=4))
    issuing.revoke(after.ca, certificate.der, 1, client.account)
    assert listed(after, certificate) is None
    assert listed(authority, certificate) == 1
    assert after.storage.revocation_lists.shards(after.ca.issuer.id) == [certificate.shard]
