from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.jwk import JWKEC

from ca_server import issuing
from ca_server.errors import KeyStoreError, LintError, Refusal, RefusalKind, StorageError
from ca_server.issuing.finalization import SIGNING_TIME
from ca_server.orders import ChallengeType, Order, Status
from ca_server.signing.issuer import Issuer
from ca_server.storage import Storage
from policies.issuance import IssuancePolicy
from stir.certificate import NumberCertificate
from stir.validation_method import ValidationMethod
from tests.fakes.authority import NOW, make_issuer
from tests.fakes.issuing_authority import (
    ADDRESS,
    NUMBER,
    OTHER_NUMBER,
    Client,
    IssuingAuthority,
    csr,
    identifier,
    new_key,
)

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
def ready(authority: IssuingAuthority, client: Client) -> Order:
    """Return an order that is ready."""
    return authority.ready(client)


def finalize(authority: IssuingAuthority, client: Client, order: Order, request: bytes | None = None) -> Order:
    """Finalize an order."""
    return issuing.finalize(authority.ca, client.account, order.id, request or csr())


def look(authority: IssuingAuthority, client: Client, order: Order) -> Order:
    """Return an order as it is now."""
    return issuing.order(authority.ca, client.account, order.id)


@pytest.fixture
def failing() -> Iterator[Callable[[BaseException], Callable[[], None]]]:
    """Return what lets nothing be signed, until what that returns is called."""
    patch = pytest.MonkeyPatch()

    def start(error: BaseException) -> Callable[[], None]:
        def fail(*_: object) -> None:
            raise error

        patch.setattr(Issuer, "sign_certificate", fail)
        return patch.undo

    yield start
    patch.undo()


Failing = Callable[[BaseException], Callable[[], None]]


def test_an_order_that_is_ready_becomes_a_certificate(
    authority: IssuingAuthority, client: Client, ready: Order
) -> None:
    """Finalize issues for the request's key, and the order is valid with its certificate (RFC 8555 §7.4)."""
    key = new_key()
    order = finalize(authority, client, ready, csr(key=key))
    assert order.status(authority.clock()) is Status.VALID
    assert look(authority, client, order) == order
    chain = authority.download(client, order)
    leaf = NumberCertificate.read(chain[0])
    assert leaf.number == NUMBER
    assert leaf.public_key == key.public_key()
    assert leaf.validation == (ValidationMethod.SMS_CODE,)
    assert (leaf.not_before, leaf.not_after) == (NOW - timedelta(hours=1), NOW + timedelta(days=7))
    assert chain[1] == authority.ca.issuer.certificate
    assert leaf.crl_urls == (authority.ca.issuer.crl_url(leaf.serial % 4),)
    assert leaf.serial.bit_length() <= 128


def test_the_method_in_the_certificate_is_the_challenges(authority: IssuingAuthority, client: Client) -> None:
    """A number proved by a program's reply says so in its certificate (protocol §3)."""
    order = authority.order(client)
    authority.prove(client, order, ChallengeType.SMS_REPLY)
    chain = authority.download(client, finalize(authority, client, order))
    assert NumberCertificate.read(chain[0]).validation == (ValidationMethod.SMS_REPLY,)


def test_times_of_the_order_are_the_certificates(authority: IssuingAuthority, client: Client, ready: Order) -> None:
    """The notBefore and notAfter that were ordered are certified, in whole seconds."""
    not_before, not_after = NOW + timedelta(hours=2, microseconds=5), NOW + timedelta(hours=50, microseconds=7)
    order = issuing.create_order(authority.ca, client.account, [identifier(NUMBER)], not_before, not_after)
    leaf = NumberCertificate.read(authority.download(client, finalize(authority, client, order))[0])
    assert (leaf.not_before, leaf.not_after) == (NOW + timedelta(hours=2), NOW + timedelta(hours=50))
    assert ready.authorization.id == order.authorization.id


def test_no_certificate_outlives_its_issuer(storage: Storage) -> None:
    """The usual life is cut at the end of the issuing certificate."""
    authority = IssuingAuthority(storage)
    client = authority.client()
    authority.clock.now = authority.ca.issuer.not_after - timedelta(days=2)
    certificate = authority.issue(client)
    assert certificate.not_after == authority.ca.issuer.not_after


def test_an_order_whose_end_has_come_is_not_issued(authority: IssuingAuthority, client: Client, ready: Order) -> None:
    """A certificate that would be over before it began is refused with what to do."""
    end = NOW + timedelta(hours=1)
    order = issuing.create_order(authority.ca, client.account, [identifier(NUMBER)], None, end)
    authority.clock.advance(hours=1)
    with pytest.raises(Refusal, match="make a new order") as caught:
        finalize(authority, client, order)
    assert caught.value.kind is RefusalKind.ORDER_NOT_READY
    assert look(authority, client, ready).status(authority.clock()) is Status.READY


def test_an_order_that_is_not_ready_is_not_finalized(authority: IssuingAuthority, client: Client) -> None:
    """Pending, valid and invalid orders are orderNotReady, each with what to do (RFC 8555 §7.4)."""
    pending = authority.order(client, OTHER_NUMBER)
    valid = authority.storage.orders.get(authority.issue(client).order_id)
    assert valid is not None
    for order, words in ((pending, "complete its authorization"), (valid, "download it")):
        with pytest.raises(Refusal, match=words) as caught:
            finalize(authority, client, order)
        assert caught.value.kind is RefusalKind.ORDER_NOT_READY
    issuing.deactivate_authorization(authority.ca, client.account, pending.authorization.id)
    with pytest.raises(Refusal, match="is invalid: make a new order"):
        finalize(authority, client, pending)


def test_an_authorization_given_up_meanwhile_stops_the_certificate(
    authority: IssuingAuthority, client: Client, ready: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens between reading the request and fixing the certificate is seen (no time-of-check gap)."""
    locked = authority.storage.orders.locked

    def deactivated_first(order_id: str) -> Order | None:
        authority.storage.authorizations.deactivate(ready.authorization.id, authority.clock())
        return locked(order_id)

    monkeypatch.setattr(type(authority.storage.orders), "locked", lambda _, order_id: deactivated_first(order_id))
    with pytest.raises(Refusal) as caught:
        finalize(authority, client, ready)
    assert caught.value.kind is RefusalKind.ORDER_NOT_READY
    assert authority.storage.certificates.page(None, 10) == []


@pytest.mark.parametrize("request_", [b"", b"junk", csr(OTHER_NUMBER), b"\x30\x82\xff\xff"])
def test_a_request_that_does_not_match_the_order_is_bad(
    authority: IssuingAuthority, client: Client, ready: Order, request_: bytes
) -> None:
    """What is no request, or one for another number, is badCSR, and the order stays ready (RFC 8555 §7.4)."""
    with pytest.raises(Refusal) as caught:
        issuing.finalize(authority.ca, client.account, ready.id, request_)
    assert caught.value.kind is RefusalKind.BAD_CSR
    assert look(authority, client, ready).status(authority.clock()) is Status.READY


def test_a_request_that_asks_for_more_than_the_order_is_bad(
    authority: IssuingAuthority, client: Client, ready: Order
) -> None:
    """CSR and order match in both directions: an extra DNS name is not silently dropped (RFC 8555 §7.4)."""
    key = new_key()
    good = x509.load_der_x509_csr(csr(key=key))
    builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
    for extension in good.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            value = x509.SubjectAlternativeName([*value, x509.DNSName("example.com")])
        builder = builder.add_extension(value, extension.critical)
    more = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    with pytest.raises(Refusal) as caught:
        finalize(authority, client, ready, more)
    assert caught.value.kind is RefusalKind.BAD_CSR


def test_the_key_of_an_account_is_no_certificates_key(
    authority: IssuingAuthority, client: Client, ready: Order
) -> None:
    """A request with the key of this account, or of any other, is refused (RFC 8555 §11.1)."""
    own, others = new_key(), new_key()
    for key in (own, others):
        jwk = JWKEC(key=key.public_key())
        issuing.create_account(
            authority.ca, jwk, (), terms_agreed=True, only_return_existing=False, client_address=ADDRESS
        )
        with pytest.raises(Refusal, match="make another") as caught:
            finalize(authority, client, ready, csr(key=key))
        assert caught.value.kind is RefusalKind.BAD_CSR


def test_a_key_that_leaked_is_not_certified_again(authority: IssuingAuthority, client: Client) -> None:
    """After a revocation for key compromise, no certificate is issued for that key; other reasons do not matter."""
    leaked, renewed = new_key(), new_key()
    for key, reason in ((leaked, 1), (renewed, 4)):
        certificate = authority.issue(client, key=key)
        issuing.revoke(authority.ca, certificate.der, reason, client.account)
    with pytest.raises(Refusal, match="leaked") as caught:
        authority.issue(client, key=leaked)
    assert caught.value.kind is RefusalKind.BAD_CSR
    assert authority.issue(client, key=renewed)


def test_one_certificate_comes_of_many_finalizations(authority: IssuingAuthority, client: Client, ready: Order) -> None:
    """Of requests at one moment one is answered with the certificate, the others with orderNotReady."""

    def try_it(_: int) -> RefusalKind | None:
        try:
            finalize(authority, client, ready)
        except Refusal as refusal:
            return refusal.kind
        return None

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(try_it, range(8), timeout=TIMEOUT))
    assert outcomes.count(None) == 1
    assert outcomes.count(RefusalKind.ORDER_NOT_READY) == 7
    assert len(authority.storage.certificates.page(None, 10)) == 1


def test_while_the_key_store_is_away_the_order_is_processing(
    authority: IssuingAuthority, client: Client, ready: Order, failing: Failing
) -> None:
    """A key store that cannot sign now delays the certificate; polling the order brings it once it can."""
    come_back = failing(KeyStoreError("the token is away"))
    order = finalize(authority, client, ready)
    assert order.status(authority.clock()) is Status.PROCESSING
    with pytest.raises(Refusal, match="poll the order"):
        finalize(authority, client, ready)
    authority.clock.advance(seconds=31)
    assert look(authority, client, ready).status(authority.clock()) is Status.PROCESSING
    assert issuing.finish_reserved(authority.ca) == 0
    come_back()
    assert look(authority, client, ready).status(authority.clock()) is Status.VALID


def test_what_is_told_to_be_processing_is_on_the_disk(
    authority: IssuingAuthority, client: Client, ready: Order, failing: Failing
) -> None:
    """A client that was told so does not find the order ready again when the power was lost after that."""
    failing(KeyStoreError("the token is away"))
    assert finalize(authority, client, ready).status(authority.clock()) is Status.PROCESSING
    if authority.storage.file is not None:
        assert authority.storage._database.rows("PRAGMA synchronous") == [(2,)], "the last commit was synced"


def test_a_crash_after_the_certificate_was_fixed_is_made_good(
    authority: IssuingAuthority, client: Client, ready: Order, failing: Failing
) -> None:
    """What was fixed before a crash is signed later: the same serial, times and key, and the client downloads it."""
    come_back = failing(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        finalize(authority, client, ready)
    come_back()
    left = authority.storage.orders.get(ready.id)
    assert left is not None
    assert left.status(authority.clock()) is Status.PROCESSING
    assert left.issuance is not None
    assert issuing.finish_reserved(authority.ca) == 0, "it may still be under way"
    authority.clock.now += SIGNING_TIME
    assert issuing.finish_reserved(authority.ca) == 1
    assert issuing.finish_reserved(authority.ca) == 0
    leaf = NumberCertificate.read(authority.download(client, look(authority, client, ready))[0])
    assert leaf.serial == left.issuance.serial
    assert (leaf.not_before, leaf.not_after) == (left.issuance.not_before, left.issuance.not_after)


def test_who_signs_again_signs_the_same_bytes(authority: IssuingAuthority, client: Client, ready: Order) -> None:
    """Two that finish one order at once give it one certificate (RFC 6979)."""
    order = finalize(authority, client, ready)
    assert order.issuance is not None
    again = issuing.finalization.complete(authority.ca, dataclasses.replace(order, certificate_id=None))
    assert again.certificate_id == order.certificate_id
    assert len(authority.storage.certificates.page(None, 10)) == 1


def test_an_order_expires_not_once_its_certificate_is_fixed(
    authority: IssuingAuthority, client: Client, ready: Order, failing: Failing
) -> None:
    """However long signing takes, an order that was accepted comes to its certificate."""
    come_back = failing(KeyStoreError("away"))
    finalize(authority, client, ready)
    come_back()
    authority.clock.advance(hours=25)
    assert issuing.finish_reserved(authority.ca) == 1


def test_a_certificate_that_fails_its_lint_ends_the_order(
    authority: IssuingAuthority, client: Client, ready: Order, failing: Failing
) -> None:
    """What is not what was meant is not released, and the order says why; nobody tries for ever."""
    come_back = failing(LintError("wrong"))
    with pytest.raises(LintError):
        finalize(authority, client, ready)
    come_back()
    order = look(authority, client, ready)
    assert order.status(authority.clock()) is Status.INVALID
    assert order.error is not None
    assert order.error.kind is RefusalKind.SERVER_INTERNAL
    authority.clock.advance(minutes=1)
    assert issuing.finish_reserved(authority.ca) == 0


def test_one_that_fails_its_lint_keeps_no_other_waiting(
    authority: IssuingAuthority, client: Client, ready: Order, failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The house is kept to its end, and the fault is raised then."""
    second = authority.ready(client, OTHER_NUMBER)
    come_back = failing(KeyStoreError("away"))
    finalize(authority, client, ready)
    finalize(authority, client, second, csr(OTHER_NUMBER))
    come_back()
    authority.clock.advance(minutes=1)
    sign = Issuer.sign_certificate

    def sign_others(issuer: Issuer, number: object, key: object, issuance: object) -> object:
        if number == NUMBER:
            msg = "wrong"
            raise LintError(msg)
        return sign(issuer, number, key, issuance)  # type: ignore[arg-type]

    monkeypatch.setattr(Issuer, "sign_certificate", sign_others)
    with pytest.raises(LintError):
        issuing.keep_house(authority.ca)
    assert look(authority, client, second).status(authority.clock()) is Status.VALID
    assert all(authority.storage.revocation_lists.get(authority.ca.issuer.id, shard) for shard in range(4))


def test_a_serial_is_never_zero(storage: Storage) -> None:
    """A draw of zero is drawn again (RFC 5280 §4.1.2.2)."""
    authority = IssuingAuthority(storage)
    client = authority.client()
    order = authority.ready(client)
    draws = iter([bytes(16), bytes(15) + b"\x01"])
    authority.ca = dataclasses.replace(authority.ca, random_bytes=lambda size: next(draws, b"n" * size))
    assert authority.storage.certificates.get(str(finalize(authority, client, order).certificate_id)) is not None
    assert authority.storage.certificates.with_serial(1) is not None


def test_a_chain_stays_what_was_issued(storage: Storage) -> None:
    """After the authority got another issuing certificate, earlier chains are still whole."""
    before = IssuingAuthority(storage)
    client = before.client()
    certificate = before.issue(client)
    after = IssuingAuthority(storage, issuer=make_issuer(crl_shards=4))
    chain = issuing.certificate_chain(after.ca, client.account, certificate.id)
    assert before.ca.issuer.certificate.public_bytes(Encoding.PEM) in chain


def test_certificates_are_found_for_the_operator(authority: IssuingAuthority, client: Client) -> None:
    """All certificates come in pages, and those of a number together."""
    made = []
    for number in (NUMBER, OTHER_NUMBER, NUMBER):
        made.append(authority.issue(client, number))
        authority.clock.advance(seconds=1)
    certificates = authority.storage.certificates
    first = certificates.page(None, 2)
    assert [*first, *certificates.page(first[-1].id, 2)] == made
    assert certificates.of_number(NUMBER) == [made[0], made[2]]
    assert certificates.with_serial(made[0].serial) == made[0]
    assert certificates.with_serial(-1) is None
    assert certificates.with_serial(2**200) is None


def test_a_short_lived_policy_is_obeyed(storage: Storage) -> None:
    """The policy says how long certificates live and how far they are backdated."""
    policy = IssuancePolicy(countries=("US",), certificate_hours=24, backdate_minutes=5)
    authority = IssuingAuthority(storage, policy)
    certificate = authority.issue(authority.client())
    assert certificate.not_before == NOW - timedelta(minutes=5)
    assert certificate.not_after == NOW + timedelta(hours=24)


def test_a_late_finalization_backdates_no_further(authority: IssuingAuthority, client: Client) -> None:
    """A notBefore that was within policy when ordered is moved up to what policy allows at issuance."""
    authority.ready(client)
    begin = NOW - timedelta(minutes=30)
    prompt, late = (
        issuing.create_order(authority.ca, client.account, [identifier(NUMBER)], begin, None) for _ in range(2)
    )
    for order, hours, expected in ((prompt, 0, begin), (late, 20, NOW + timedelta(hours=19))):
        authority.clock.advance(hours=hours)
        leaf = NumberCertificate.read(authority.download(client, finalize(authority, client, order))[0])
        assert leaf.not_before == expected


def test_a_curve_that_is_not_the_profiles_is_bad(authority: IssuingAuthority, client: Client, ready: Order) -> None:
    """A request for a key on P-384 is badCSR."""
    builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
    request = builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()).public_bytes(Encoding.DER)
    with pytest.raises(Refusal) as caught:
        finalize(authority, client, ready, request)
    assert caught.value.kind is RefusalKind.BAD_CSR


def test_a_database_that_contradicts_itself_issues_nothing(
    authority: IssuingAuthority, client: Client, ready: Order
) -> None:
    """A proof without its method, or a completion of what was never fixed, is a fault and no certificate."""
    authority.storage._database.run("UPDATE challenges SET validation = NULL")
    with pytest.raises(StorageError):
        finalize(authority, client, ready)
    with pytest.raises(StorageError):
        issuing.finalization.complete(authority.ca, ready)
    assert authority.storage.certificates.page(None, 10) == []
