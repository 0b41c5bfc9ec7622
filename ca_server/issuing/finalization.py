"""Finalizing an order: the certificate is fixed, logged where policy says so, signed and kept (RFC 8555 §7.4).

What it will say is kept before it is signed. Whoever finds it unsigned after a crash signs the same bytes
(docs/decisions/0005-a-certificate-is-fixed-before-it-is-signed.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import NoReturn

from cryptography.hazmat.primitives.serialization import Encoding

from ca_server.audit import Decision, record
from ca_server.errors import KeyStoreError, LintError, Refusal, RefusalKind, StorageError
from ca_server.issuing.authority import (
    CertificateAuthority,
    Enter,
    key_hash_of,
    new_name,
    not_found,
    require_owner,
    thumbprint_of,
    unhindered,
)
from ca_server.issuing.timestamping import timestamped
from ca_server.orders import Account, Certificate, Issuance, Order, Problem, Status
from ca_server.storage import IssuedCertificate
from serving.turns import step_aside
from stir.certificate_request import NumberRequest
from stir.errors import CertificateProfileError

SIGNING_TIME = timedelta(seconds=30)
"""After this long a certificate that was fixed and not kept is taken to be left behind by a crash.

Where logs are asked, their deadline comes on top.
"""
SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(minutes=5)
"""How long an order that lacks timestamps waits for the next attempt; half its age, within these bounds."""

_SERIAL_BYTES = 16
_MOST_AT_ONCE = 100
_NOT_SIGNED = Problem(
    RefusalKind.SERVER_INTERNAL, "the certificate did not come out as it should, and was withheld; make a new order"
)
_TOO_LATE = Problem(
    RefusalKind.SERVER_INTERNAL, "the certificate would have ended before it could be issued; make a new order"
)


def finalize(
    ca: CertificateAuthority, account: Account, order_id: str, csr_der: bytes, *, enter: Enter = unhindered
) -> Order:
    """Issue the certificate of an order that is ready, for the key in the request.

    The order is returned as `processing` where the key store cannot sign now, or the logs take longer than a client
    is kept waiting: its certificate comes later, without the client.
    """
    request = _request(csr_der)
    key_hash = key_hash_of(request.public_key)
    # Logs are shown it before it is kept, so that must be on the disk. Otherwise it leaves this process only once it is
    # kept, and what was fixed for it is on the disk with it.
    with ca.storage.transaction(synced=ca.config.policy.scts > 0):
        enter()
        found = _ready(ca, account, ca.storage.orders.locked(order_id))
        _require_number(request, found)
        ca.storage.certificates.hold_key(key_hash)
        _require_fresh_key(ca, request, key_hash)
        issuance = _issuance(ca, found, csr_der)
        due_at = ca.clock() + _lease(ca)
        ca.storage.orders.reserve(order_id, issuance, key_hash, due_at)
    reserved = dataclasses.replace(found, issuance=issuance, due_at=due_at)
    if issuance.sct_list is not None:
        signed = _sign(ca, reserved, issuance, request)
        if signed.status(ca.clock()) is Status.PROCESSING:  # so the client is told: that must be on the disk now
            ca.storage.orders.postpone(order_id, due_at)
        return signed
    return _wait_a_moment(ca, reserved, lambda: _log_and_sign(ca, reserved, issuance, request))


def finish_reserved(ca: CertificateAuthority) -> int:
    """Sign the certificates that a crash left behind, or the logs kept waiting, and return how many.

    One that fails its lint does not keep the others waiting; LintError is raised after them.
    """
    finished = 0
    fault: LintError | None = None
    for result in _finishing(ca, ca.storage.orders.reserved(ca.clock(), _MOST_AT_ONCE)):
        try:
            finished += result().status(ca.clock()) is Status.VALID
        except LintError as error:
            fault = fault or error
    if fault is not None:
        raise fault
    return finished


def is_abandoned(order: Order, now: datetime) -> bool:
    """Tell whether the order has waited for its certificate longer than whoever is at it may take."""
    return order.status(now) is Status.PROCESSING and order.due_at is not None and now >= order.due_at


def complete(ca: CertificateAuthority, order: Order) -> Order:
    """Sign what was fixed for the order, and keep it: the same serial and the same bytes, however often.

    An order that waits for logs is brought to them once more, unless somebody else is at it.
    """
    work = _completion(ca, order)
    return work() if _reserved(order).sct_list is not None else _wait_a_moment(ca, order, work)


def _finishing(ca: CertificateAuthority, left: list[Order]) -> Iterator[Callable[[], Order]]:
    """Complete orders, those that wait for logs side by side; yield for each what returns the order or raises."""
    logging: list[Callable[[], Order]] = []
    for order in left:
        work = _completion(ca, order)
        if _reserved(order).sct_list is not None:
            yield work
        else:
            started = ca.logs.start(work, patient=True)
            logging.append(work if started is None else started.result)
    yield from logging


def _completion(ca: CertificateAuthority, order: Order) -> Callable[[], Order]:
    """Return what brings a reserved order to its certificate, or to its end where it comes too late."""
    issuance = _reserved(order)

    def work() -> Order:
        now = ca.clock()
        if now >= issuance.not_after:
            ca.storage.orders.fail(order.id, _TOO_LATE)
            return dataclasses.replace(order, error=_TOO_LATE)
        request = NumberRequest.read(issuance.csr)
        if issuance.sct_list is not None:
            return _sign(ca, order, issuance, request)
        if not ca.storage.orders.claim(order.id, now, now + _lease(ca)):
            return order
        return _log_and_sign(ca, order, issuance, request)

    return work


def _log_and_sign(ca: CertificateAuthority, order: Order, issuance: Issuance, request: NumberRequest) -> Order:
    """Bring the certificate to the logs, then sign it; where they do not give enough, leave it for later."""
    try:
        logged = timestamped(ca, order, issuance, request)
    except LintError:
        ca.storage.orders.fail(order.id, _NOT_SIGNED)
        raise
    except KeyStoreError:
        return order
    if logged is None:
        now = ca.clock()
        wait = min(max((now - issuance.reserved_at) / 2, SHORTEST_WAIT), LONGEST_WAIT)
        ca.storage.orders.postpone(order.id, now + wait)
        return order
    return _sign(ca, dataclasses.replace(order, issuance=logged), logged, request)


def _wait_a_moment(ca: CertificateAuthority, order: Order, work: Callable[[], Order]) -> Order:
    """Do the work in the background, and return what becomes of the order if that does not take long."""
    started: Future[Order] | None = ca.logs.start(work)
    if started is None:
        ca.storage.orders.postpone(order.id, ca.clock() + SHORTEST_WAIT)
        return order
    step_aside()
    try:
        return started.result(ca.logs.settings.wait_seconds)
    except TimeoutError:
        return order


def _lease(ca: CertificateAuthority) -> timedelta:
    """Return how long an order is left to whoever took it up."""
    if not ca.config.policy.scts:
        return SIGNING_TIME
    return SIGNING_TIME + timedelta(seconds=ca.config.logging.deadline_seconds)


def certificate_chain(ca: CertificateAuthority, account: Account, certificate_id: str) -> bytes:
    """Return a certificate and those between it and the anchor, in PEM, leaf first (RFC 8555 §7.4.2)."""
    found = ca.storage.certificates.chain(certificate_id)
    if found is None:
        not_found("certificate")
    owner_id, chain = found
    require_owner(account, owner_id)
    return chain


def _ready(ca: CertificateAuthority, account: Account, order: Order | None) -> Order:
    """Return the order if it may be finalized now (RFC 8555 §7.4: otherwise orderNotReady)."""
    if order is None:
        not_found("order")
    require_owner(account, order.account_id)
    status = order.status(ca.clock())
    if status is not Status.READY:
        advice = {
            Status.PENDING: "complete its authorization first",
            Status.PROCESSING: "its certificate is being signed; poll the order",
            Status.VALID: "its certificate was issued; download it",
        }.get(status, "make a new order")
        raise Refusal(RefusalKind.ORDER_NOT_READY, f"the order is {status}: {advice}")
    return order


def _request(csr_der: bytes) -> NumberRequest:
    """Read the request, which names one number and nothing else, in both directions."""
    try:
        return NumberRequest.read(csr_der)
    except CertificateProfileError as error:
        raise Refusal(RefusalKind.BAD_CSR, str(error)) from error


def _require_number(request: NumberRequest, order: Order) -> None:
    """Refuse a request for another number than the order's."""
    if request.number != order.numbers.single_number:
        raise Refusal(RefusalKind.BAD_CSR, "the request is for another number than the order")


def _require_fresh_key(ca: CertificateAuthority, request: NumberRequest, key_hash: bytes) -> None:
    """Refuse the key of an account (RFC 8555 §11.1), and one that was revoked because it leaked."""
    if ca.storage.accounts.with_key(thumbprint_of(request.public_key)) is not None:
        _refuse_key("the key in the request is an account's; make another for the certificate")
    if ca.storage.certificates.is_compromised(key_hash):
        _refuse_key("a certificate of this key was revoked because the key leaked; make a new key")


def _refuse_key(detail: str) -> NoReturn:
    raise Refusal(RefusalKind.BAD_CSR, detail)


def _issuance(ca: CertificateAuthority, order: Order, csr_der: bytes) -> Issuance:
    """Fix what the certificate will say. Times are whole seconds, as X.509 has no parts of them.

    A beginning that was allowed when it was ordered may lie too far back by now; it is then as far back as it may.
    """
    policy, now = ca.config.policy, ca.clock().replace(microsecond=0)
    earliest = now - timedelta(minutes=policy.backdate_minutes)
    not_before = max(order.not_before or earliest, earliest)
    not_after = order.not_after or max(not_before, now) + timedelta(hours=policy.certificate_hours)
    not_after = min(not_after.replace(microsecond=0), ca.issuer.not_after)
    if not_after <= max(not_before, now):
        raise Refusal(RefusalKind.ORDER_NOT_READY, "the certificate would have ended before now; make a new order")
    proof = order.authorization.validated_by
    if proof is None or proof.validation is None:  # a valid authorization has one
        msg = "a valid authorization has no validated challenge"
        raise StorageError(msg)
    serial = _new_serial(ca)
    return Issuance(
        serial=serial,
        csr=csr_der,
        not_before=not_before.replace(microsecond=0),
        not_after=not_after,
        shard=serial % ca.config.authority.crl_shards,
        validation=proof.validation,
        reserved_at=ca.clock(),
        sct_list=None if policy.scts else b"",
    )


def _new_serial(ca: CertificateAuthority) -> int:
    """Draw a serial of 128 random bits, which is never 0 (RFC 5280 §4.1.2.2)."""
    while not (serial := int.from_bytes(ca.random_bytes(_SERIAL_BYTES), "big")):
        pass
    return serial


def _sign(ca: CertificateAuthority, order: Order, issuance: Issuance, request: NumberRequest) -> Order:
    """Sign and keep what was fixed. Whoever signs second finds the first one's certificate kept."""
    try:
        certificate = ca.issuer.sign_certificate(request.number, request.public_key, issuance)
    except LintError:
        ca.storage.orders.fail(order.id, _NOT_SIGNED)
        raise
    except KeyStoreError:
        return order
    name = new_name(ca)
    issued = IssuedCertificate(
        certificate=Certificate(
            id=name,
            serial=issuance.serial,
            account_id=order.account_id,
            order_id=order.id,
            number=request.number,
            der=certificate.public_bytes(Encoding.DER),
            not_before=issuance.not_before,
            not_after=issuance.not_after,
            shard=issuance.shard,
        ),
        issuer=ca.issuer.id,
        chain=ca.issuer.chain_pem(certificate),
        key_hash=key_hash_of(request.public_key),
        issued_at=ca.clock(),
    )
    with ca.storage.transaction():
        kept = ca.storage.certificates.add(issued)
    if kept is None:
        return ca.storage.orders.get(order.id) or order
    record(
        Decision.CERTIFICATE_ISSUED,
        number=request.number,
        account=order.account_id,
        order=order.id,
        serial=f"{issuance.serial:032x}",
        method=issuance.validation.label,
        not_after=issuance.not_after.isoformat(),
    )
    return dataclasses.replace(order, certificate_id=kept)


def _reserved(order: Order) -> Issuance:
    if order.issuance is None:
        msg = f"nothing was fixed for order {order.id}"
        raise StorageError(msg)
    return order.issuance
