"""The last look before release: what was signed is read again, strictly, and compared with what was meant.

A certificate that says anything else than intended cannot be taken back, so a doubt raises LintError and the bytes are
dropped.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.errors import LintError
from ca_server.signing.revocation_list import REASONS, RevocationListFields, distribution_point
from stir.certificate import NumberCertificate
from stir.certificate_building import NumberCertificateFields
from stir.errors import CertificateProfileError


def lint_number_certificate(
    certificate: x509.Certificate,
    meant: NumberCertificateFields,
    issuer: x509.Certificate,
    sct_list: bytes | None = None,
) -> None:
    """Raise LintError unless `certificate` says exactly what was meant, and verifies under `issuer`."""
    found = _compare_with_meant(certificate, meant, sct_list)
    require_within(found.not_before, found.not_after, issuer)
    _signed_by(certificate, issuer)


def lint_precertificate(signed: x509.Certificate, meant: NumberCertificateFields, issuer: x509.Certificate) -> None:
    """Raise LintError unless what is shown to logs is, but for its poison, the certificate that was meant."""
    found = _compare_with_meant(signed, meant, None, is_precertificate=True)
    require_within(found.not_before, found.not_after, issuer)
    _signed_by(signed, issuer)


def _compare_with_meant(
    certificate: x509.Certificate,
    meant: NumberCertificateFields,
    sct_list: bytes | None,
    *,
    is_precertificate: bool = False,
) -> NumberCertificate:
    read = NumberCertificate.read_precertificate if is_precertificate else NumberCertificate.read
    try:
        found = read(certificate)
    except CertificateProfileError as error:
        msg = f"the signed certificate is outside the profile: {error}"
        raise LintError(msg) from error
    said = {
        "number": (found.number, meant.number),
        "public key": (found.public_key, meant.public_key),
        "serial number": (found.serial, meant.serial),
        "start of validity": (found.not_before, _whole_seconds(meant.not_before)),
        "end of validity": (found.not_after, _whole_seconds(meant.not_after)),
        "validation method": (found.validation, (meant.validation,)),
        "issuer's URL": (found.ca_issuers_urls, (meant.ca_issuers_url,)),
        "CRL's URL": (found.crl_urls, (meant.crl_url,)),
        "list of timestamps": (found.sct_list, sct_list),
    }
    _compare("certificate", said)
    return found


def lint_revocation_list(
    signed: x509.CertificateRevocationList, meant: RevocationListFields, issuer: x509.Certificate
) -> None:
    """Raise LintError unless the CRL says exactly what was meant, and verifies under `issuer`."""
    said = {
        "issuer": (signed.issuer, issuer.subject),
        "number": (signed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number, meant.number),
        "scope": (
            signed.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value,
            distribution_point(meant.url),
        ),
        "time": (signed.last_update_utc, _whole_seconds(meant.this_update)),
        "next time": (signed.next_update_utc, _whole_seconds(meant.next_update)),
        "entries": (
            sorted((entry.serial_number, entry.revocation_date_utc, _reason(entry)) for entry in signed),
            sorted(
                (one.serial, _whole_seconds(one.revoked_at), REASONS[one.reason].value) for one in meant.revocations
            ),
        ),
    }
    _compare("CRL", said)
    public_key = issuer.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not signed.is_signature_valid(public_key):
        msg = "the signed CRL does not verify under the issuing certificate"
        raise LintError(msg)


def _reason(entry: x509.RevokedCertificate) -> str:
    """Return the reason that a CRL's entry gives; "unspecified" is said by none (RFC 5280 §5.3.1)."""
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except x509.ExtensionNotFound:
        return x509.ReasonFlags.unspecified.value


def _compare(what: str, said: dict[str, tuple[object, object]]) -> None:
    """Name what differs, without its values: they may hold a telephone number."""
    wrong = [name for name, (found, meant) in said.items() if found != meant]
    if wrong:
        msg = f"the signed {what} does not say what was meant: {', '.join(wrong)}"
        raise LintError(msg)


def require_within(not_before: datetime, not_after: datetime, issuer: x509.Certificate) -> None:
    """Raise LintError for a life that is not inside the issuing certificate's."""
    if not issuer.not_valid_before_utc <= not_before < not_after <= issuer.not_valid_after_utc:
        msg = "the certificate's validity is not inside the issuing certificate's"
        raise LintError(msg)


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError) as error:
        msg = "the signed certificate does not verify under the issuing certificate"
        raise LintError(msg) from error


def _whole_seconds(moment: datetime) -> datetime:
    """Return the moment as a certificate holds it."""
    return moment.astimezone(UTC).replace(microsecond=0)
