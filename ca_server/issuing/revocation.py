"""Revocation, and the CRLs that tell of it (RFC 8555 §7.6, RFC 5280 §5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWK, JWKEC

from ca_server.audit import Decision, record
from ca_server.errors import Refusal, RefusalKind
from ca_server.issuing.authority import CertificateAuthority, not_found
from ca_server.orders import Account, Certificate, Problem, RevocationList
from ca_server.signing.issuer import Issuer
from ca_server.storage import NewList
from stir.certificate import NumberCertificate, load_certificate
from stir.certificate_chain import read_pem_chain
from stir.certificate_request import NumberRequest
from stir.errors import CertificateProfileError
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList
from transparency.errors import SctError
from transparency.sct import tbs_of

UNSPECIFIED = 0
SUBSCRIBER_REASONS = frozenset({UNSPECIFIED, 1, 3, 4, 5})
"""CRLReasons a client may give: unspecified, key compromise, affiliation changed, superseded, end of operation."""
OPERATOR_REASONS = SUBSCRIBER_REASONS | {9}
"""Those and privilege withdrawn: the number is somebody else's now, or should not have been certified."""
_WITHHELD = Problem(
    RefusalKind.UNAUTHORIZED, "the certificate was revoked before it was issued, by somebody who may; it will not come"
)
CRL_REFRESH = timedelta(hours=1)
CRL_LIFE = timedelta(hours=25)
"""A day and a refresh: whoever fetches daily always holds a list that is in force."""


def revoke(ca: CertificateAuthority, certificate_der: bytes, reason: int | None, requester: Account | JWK) -> None:
    """Revoke a certificate and sign its CRL at once (RFC 8555 §7.6).

    The requester is the account that it was issued to, another that holds a valid authorization for its number, or
    whoever signs with the certificate's own key. A precertificate will do in the certificate's place: it is what the
    number's owner finds in a log. If its certificate is still on its way, it is never issued.
    """
    given = _load(certificate_der)
    if _withheld(ca, given, reason, requester):
        return
    found = ca.storage.certificates.with_serial(given.serial_number)
    if found is None or not (found.der == certificate_der or _is_precertificate_of(ca, given, found)):
        not_found("certificate: this authority did not issue it, or not in this form")
    _require_right(ca, _Subject(found.account_id, found.number, lambda: _key(found)), requester)
    _require_reason(reason, SUBSCRIBER_REASONS)
    _revoke(ca, found, reason)


def revoke_by_operator(ca: CertificateAuthority, serial: int, reason: int | None) -> Certificate:
    """Revoke a certificate on the operator's word, and sign its CRL at once."""
    found = ca.storage.certificates.with_serial(serial)
    if found is None:
        not_found("certificate")
    _require_reason(reason, OPERATOR_REASONS)
    _revoke(ca, found, reason)
    return found


def crl(ca: CertificateAuthority, shard: int, issuer_id: str | None = None) -> RevocationList:
    """Return the CRL of a shard, signed anew where it is older than an hour or a revocation is not in it yet.

    `issuer_id` names the issuing certificate, the present one if none is named.
    """
    issuer = ca.issuer if issuer_id is None else ca.issuer_named(issuer_id)
    if issuer is None or not 0 <= shard < issuer.crl_shards:
        not_found("CRL")
    return _in_force(ca, issuer, shard) or _sign_anew(ca, issuer, shard)


def refresh_crls(ca: CertificateAuthority) -> int:
    """Sign the CRLs that are older than an hour, those of former issuers too, and return how many.

    One that ended has no certificates left that a list could tell of.
    """
    signed = 0
    for issuer in ca.issuers:
        if issuer is not ca.issuer and ca.clock() > issuer.not_after:
            continue
        for shard in range(issuer.crl_shards):
            if _in_force(ca, issuer, shard) is None:
                _sign_anew(ca, issuer, shard)
                signed += 1
    return signed


def _load(certificate_der: bytes) -> x509.Certificate:
    try:
        return load_certificate(certificate_der)
    except CertificateProfileError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error


@dataclass(frozen=True, slots=True)
class _Subject:
    """Who got a certificate, or is about to: the account, the number, and the key, which is read when asked for."""

    account_id: str
    number: TelephoneNumber
    key: Callable[[], ec.EllipticCurvePublicKey]


def _key(found: Certificate) -> ec.EllipticCurvePublicKey:
    return NumberCertificate.read(load_certificate(found.der)).public_key


def _withheld(ca: CertificateAuthority, given: x509.Certificate, reason: int | None, requester: Account | JWK) -> bool:
    """End the order of a precertificate whose certificate is not issued yet; False where there is none to withhold."""
    order = ca.storage.orders.with_serial(given.serial_number)
    if order is None or order.issuance is None or order.certificate_id is not None:
        return False
    request = NumberRequest.read(order.issuance.csr)
    if not _announces(given, request):
        return False
    _require_right(ca, _Subject(order.account_id, request.number, lambda: request.public_key), requester)
    _require_reason(reason, SUBSCRIBER_REASONS)
    if order.error is not None:
        raise Refusal(RefusalKind.ALREADY_REVOKED, "the certificate was never issued, and will not be")
    with ca.storage.transaction():
        locked = ca.storage.orders.locked(order.id)
        is_open = locked is not None and locked.certificate_id is None
        if is_open:
            ca.storage.orders.fail(order.id, _WITHHELD)
    if is_open:
        record(Decision.CERTIFICATE_REVOKED, number=request.number, serial=f"{given.serial_number:032x}", reason=reason)
    return is_open


def _announces(given: x509.Certificate, request: NumberRequest) -> bool:
    """Tell whether this is a precertificate for what an order asked for, whose serial it has.

    Which of this authority's issuing certificates it was signed below does not matter: a log may show one from before
    the authority changed its own. Whoever asks must have the right to stop the order in any case.
    """
    try:
        announced = NumberCertificate.read_precertificate(given)
    except CertificateProfileError:
        return False
    return announced.number == request.number and announced.public_key == request.public_key


def _is_precertificate_of(ca: CertificateAuthority, given: x509.Certificate, found: Certificate) -> bool:
    """Tell whether this is a certificate's precertificate: of one TBS, and signed by one issuer (RFC 6962 §3.1).

    The issuing certificate is the one that was sent along, which need not be the one that this authority has now.
    """
    kept = ca.storage.certificates.chain(found.id)
    if kept is None:
        return False
    try:
        NumberCertificate.read_precertificate(given)
        leaf, issuing, *_ = read_pem_chain(kept[1])
        given.verify_directly_issued_by(issuing)
        return tbs_of(given) == tbs_of(leaf)
    except (CertificateProfileError, SctError, InvalidSignature, TypeError, ValueError):
        return False


def _require_right(ca: CertificateAuthority, subject: _Subject, requester: Account | JWK) -> None:
    if isinstance(requester, Account):
        numbers = TnAuthList.for_number(subject.number)
        if subject.account_id == requester.id or ca.storage.authorizations.proves(requester.id, numbers, ca.clock()):
            return
        detail = "the account neither ordered this certificate nor holds a valid authorization for its number"
        raise Refusal(RefusalKind.UNAUTHORIZED, detail)
    if requester.public_key() != JWKEC(key=subject.key()):
        raise Refusal(
            RefusalKind.UNAUTHORIZED, "the request is signed neither by an account nor by the certificate's key"
        )


def _require_reason(reason: int | None, allowed: frozenset[int]) -> None:
    if reason is not None and reason not in allowed:
        listed = ", ".join(str(one) for one in sorted(allowed))
        raise Refusal(RefusalKind.BAD_REVOCATION_REASON, f"a reason is one of {listed} (RFC 5280 §5.3.1)")


def _revoke(ca: CertificateAuthority, found: Certificate, reason: int | None) -> None:
    """Note the revocation and take a CRL's number for it in one transaction; then sign that CRL."""
    now = ca.clock()
    if now > found.not_after:
        raise Refusal(RefusalKind.MALFORMED, "the certificate has expired; there is nothing left to revoke")
    with ca.storage.transaction():
        if not ca.storage.certificates.revoke(found.id, now, UNSPECIFIED if reason is None else reason):
            raise Refusal(RefusalKind.ALREADY_REVOKED, "the certificate is revoked already")
        issuer = ca.issuer_named(ca.storage.certificates.issuer_of(found.id))
        new = None if issuer is None else ca.storage.revocation_lists.begin(issuer.id, found.shard, now)
    record(Decision.CERTIFICATE_REVOKED, number=found.number, serial=f"{found.serial:032x}", reason=reason)
    if issuer is not None and new is not None:
        _publish(ca, issuer, found.shard, new)


def _in_force(ca: CertificateAuthority, issuer: Issuer, shard: int) -> RevocationList | None:
    """Return the newest list, unless it is older than an hour or a revocation is not in it yet."""
    newest = ca.storage.revocation_lists.get(issuer.id, shard)
    return newest if newest is not None and ca.clock() < newest.this_update + CRL_REFRESH else None


def _sign_anew(ca: CertificateAuthority, issuer: Issuer, shard: int) -> RevocationList:
    """Sign a list in the transaction that takes its number, unless somebody else has done so by now.

    Whoever sees a number that is taken and no list of it signs one more. Were that seen while an hourly list is signed,
    those who fetch the list at that moment would make it so for the next, and a crowd would go on without an end.
    """
    with ca.storage.transaction():
        found = _in_force(ca, issuer, shard)
        if found is not None:
            return found
        return _publish(ca, issuer, shard, ca.storage.revocation_lists.begin(issuer.id, shard, ca.clock()))


def _publish(ca: CertificateAuthority, issuer: Issuer, shard: int, new: NewList) -> RevocationList:
    """Sign a list, and keep it unless one of a higher number was kept meanwhile."""
    this_update = ca.clock().replace(microsecond=0)
    next_update = this_update + CRL_LIFE
    der = issuer.sign_crl(shard, new.number, this_update, next_update, new.revocations)
    signed = RevocationList(shard, new.number, der, this_update, next_update)
    ca.storage.revocation_lists.publish(issuer.id, signed)
    record(Decision.CRL_SIGNED, shard=shard, crl_number=new.number, entries=len(new.revocations))
    return signed
