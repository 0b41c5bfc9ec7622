"""Who may write into the log, and what: certificates and precertificates of the authorities that it admits.

What is taken obeys the profile of a number's certificate, has not expired, and leads by right signatures to an admitted
authority. Only then is the VRF evaluated for its number: to a stranger the log is no oracle. What is submitted may
become valid later, as RFC 6962 §3.1 allows: its owner shall see it the sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate import AuthorityCertificate, NumberCertificate, load_certificate
from stir.certificate_chain import LONGEST_CHAIN
from stir.errors import CertificateProfileError
from stir.telephone_number import TelephoneNumber
from transparency.errors import SctError
from transparency.sct import issuer_key_hash, tbs_of
from transparency.server.errors import Refusal, RefusalKind

_KNOWN_CHAINS = 256
_SEQUENCE = 0x30
_LONG_FORM = 0x80


@dataclass(frozen=True, slots=True)
class Admitted:
    """A certificate or precertificate that the log may take.

    `chain` is that of its issuers up to the admitted one, the nearest first. `id` names issuer and TBS, which are the
    same for a precertificate and its certificate.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    number: TelephoneNumber
    issuer_key_hash: bytes
    tbs: bytes
    not_after: datetime
    id: bytes


class Admission:
    """Tells which certificates lead to an admitted authority."""

    def __init__(self, admitted: Iterable[x509.Certificate]) -> None:
        """Admit these authorities, and those below them."""
        self.roots = tuple(admitted)
        self._chain = lru_cache(_KNOWN_CHAINS)(self._find_chain)  # signatures between authorities are checked once

    def precertificate(self, chain: Sequence[bytes], now: datetime) -> Admitted:
        """Return what a submitted chain in DER is, the precertificate first; raise Refusal (RFC 6962 §3.1, §4.2)."""
        certificate = _load(chain)
        if not _is_precertificate(certificate):
            _refuse(
                RefusalKind.OUTSIDE_PROFILE,
                "the first certificate is no precertificate: it lacks the critical poison extension (RFC 6962 §3.1)",
            )
        return self._admit(certificate, _without_poison(certificate), chain[1:], now, datetime.max.replace(tzinfo=UTC))

    def certificate(self, chain: Sequence[bytes], now: datetime) -> Admitted:
        """Return what the chain of a certificate is that its holder shows, valid now; raise Refusal."""
        certificate = _load(chain)
        return self._admit(certificate, certificate, chain[1:], now, now)

    def _admit(
        self,
        certificate: x509.Certificate,
        clean: x509.Certificate,
        above: Sequence[bytes],
        now: datetime,
        begun_by: datetime,
    ) -> Admitted:
        """Look at a certificate that must not have ended by now, nor begin later than `begun_by`."""
        try:
            number = NumberCertificate.read(clean)
            tbs = tbs_of(certificate)
        except (CertificateProfileError, SctError) as error:
            raise Refusal(RefusalKind.OUTSIDE_PROFILE, str(error)) from error
        _require_time("certificate", number, now, begun_by)
        issuers = self._chain(tuple(above), certificate.issuer, _issuer_key_id(clean))
        _require_path(number, issuers, now, begun_by)
        _require_signed(certificate, issuers[0])
        hash_ = issuer_key_hash(issuers[0])
        return Admitted(certificate, issuers, number.number, hash_, tbs, number.not_after, sha256(hash_ + tbs).digest())

    def _find_chain(self, above: tuple[bytes, ...], issuer: x509.Name, key_id: bytes) -> tuple[x509.Certificate, ...]:
        """Return the authorities from the one of this name and key up to an admitted one, each signed by the next.

        The admitted one need not be sent. Time and numbers are checked by `_require_path`, since they depend on more.
        """
        sent = [_load_authority(der) for der in above]
        chain: list[x509.Certificate] = []
        while len(chain) < LONGEST_CHAIN:
            name = chain[-1].issuer if chain else issuer
            key_id = _issuer_key_id(chain[-1]) if chain else key_id
            candidates = [one for one in (*self.roots, *sent[:1]) if one.subject == name and _key_id(one) == key_id]
            if not candidates or (chain and not _signs(candidates[0], chain[-1])):
                break
            chain.append(candidates[0])
            if candidates[0] in self.roots:
                return tuple(chain)
            sent = sent[1:]
        detail = (
            "the chain does not lead to an authority that this log admits; its operator decides which: see get-roots"
        )
        raise Refusal(RefusalKind.ISSUER_NOT_ADMITTED, detail)


def _load(chain: Sequence[bytes]) -> x509.Certificate:
    if not 0 < len(chain) <= LONGEST_CHAIN:
        _refuse(RefusalKind.MALFORMED, f"a chain has 1 to {LONGEST_CHAIN} certificates, the number's first")
    try:
        return load_certificate(chain[0])
    except CertificateProfileError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error


def _load_authority(der: bytes) -> x509.Certificate:
    try:
        certificate = load_certificate(der)
        AuthorityCertificate.read(certificate)
    except CertificateProfileError as error:
        raise Refusal(RefusalKind.OUTSIDE_PROFILE, f"the chain: {error}") from error
    return certificate


def _is_precertificate(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.PrecertPoison).critical
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def _without_poison(certificate: x509.Certificate) -> x509.Certificate:
    """Return what a precertificate announces, to be held to the profile; its signature is the precertificate's."""
    der, poisoned = certificate.public_bytes(Encoding.DER), certificate.tbs_certificate_bytes
    behind = der[der.index(poisoned) + len(poisoned) :]
    try:
        return load_certificate(_sequence(tbs_of(certificate) + behind))
    except (CertificateProfileError, SctError) as error:
        raise Refusal(RefusalKind.OUTSIDE_PROFILE, "the precertificate has extensions that cannot be read") from error


def _sequence(content: bytes) -> bytes:
    """Return the content as a DER SEQUENCE that is longer than 127 bytes (X.690 §8.1.3.5)."""
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([_SEQUENCE, _LONG_FORM | len(length)]) + length + content


def _require_signed(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    if not _signs(issuer, certificate):
        _refuse(RefusalKind.ISSUER_NOT_ADMITTED, "the certificate was not signed by the authority that it names")


def _signs(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def _key_id(authority: x509.Certificate) -> bytes:
    return authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def _issuer_key_id(certificate: x509.Certificate) -> bytes:
    """Return the key identifier of the authority that signed; the profile asks for it, except of a root."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return b""
    return extension.value.key_identifier or b""


def _require_time(what: str, one: NumberCertificate | AuthorityCertificate, now: datetime, begun_by: datetime) -> None:
    if now > one.not_after:
        _refuse(RefusalKind.CERTIFICATE_EXPIRED, f"the {what} has expired")
    if begun_by < one.not_before:
        _refuse(RefusalKind.CERTIFICATE_EXPIRED, f"the {what} is not valid yet")


def _require_path(
    number: NumberCertificate, issuers: Sequence[x509.Certificate], now: datetime, begun_by: datetime
) -> None:
    """Hold every authority to its time, its numbers and its path length (RFC 5280 §6.1, RFC 8226 §7)."""
    for below, certificate in enumerate(issuers):
        authority = AuthorityCertificate.read(certificate)
        _require_time(f"authority {authority.common_name}", authority, now, begun_by)
        if authority.numbers is not None and not authority.numbers.covers_number(number.number):
            _refuse(RefusalKind.OUTSIDE_PROFILE, f"the authority {authority.common_name} is not one for this number")
        if authority.path_length is not None and authority.path_length < below:
            _refuse(RefusalKind.OUTSIDE_PROFILE, f"the path below {authority.common_name} is longer than it allows")


def _refuse(kind: RefusalKind, detail: str) -> NoReturn:
    raise Refusal(kind, detail)
