"""Is a certificate that opens the owner's door revoked? The authorities' own lists say so (RFC 5280 §6.3).

A URL is asked only where an authority that this log admits has signed it, and the request was the certificate holder's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

from cryptography import x509

from policies.facts import RevocationFacts, RevocationState
from serving.settings import is_loopback
from stir.certificate import AuthorityCertificate, NumberCertificate
from transparency.server.admission import Admitted
from transparency.server.config import LogConfig
from transparency.server.errors import Refusal, RefusalKind
from trust_store.errors import FetchError
from trust_store.fetching import fetch
from trust_store.revocation_lists import RevocationLists

FOLDER = "revocation-lists"
"""Where, in the log's folder, the lists are kept that were fetched: a cache."""

_AFTER_SILENCE = timedelta(minutes=5)


class RevocationSource(Protocol):
    """Who knows whether a certificate was revoked."""

    def status(
        self, certificate: x509.Certificate, issuer: x509.Certificate, urls: tuple[str, ...], at: datetime
    ) -> RevocationFacts:
        """Return what is known of a certificate whose issuer publishes its list at each of the URLs."""
        ...


def revocation_lists(config: LogConfig) -> RevocationSource:
    """Return the lists that a log fetches when it needs them, and keeps in its folder."""
    is_local = is_loopback(urlsplit(config.url).hostname or "")

    def fetch_from_outside(url: str) -> bytes:
        """Leave this machine's own servers alone, whatever a certificate names: they are not for authorities to ask."""
        if is_loopback(urlsplit(url).hostname or ""):
            msg = "its revocation list is said to be on this machine"
            raise FetchError(msg)
        return fetch(url)

    return RevocationLists(config.folder / FOLDER, fetch if is_local else fetch_from_outside)


def require_not_revoked(lists: RevocationSource, owner: Admitted, now: datetime, *, required: bool) -> None:
    """Refuse a certificate that was revoked, or whose authority was; where `required`, also one of which none knows."""
    for certificate, issuer, urls in _below_the_admitted(owner):
        facts = lists.status(certificate, issuer, urls, now)
        if facts.state is RevocationState.REVOKED:
            detail = "the certificate, or that of an authority above it, was revoked; use another of the number"
            raise Refusal(RefusalKind.UNAUTHORIZED, detail)
        if facts.state is RevocationState.UNKNOWN and required:
            detail = f"whether the certificate was revoked cannot be learned now ({facts.reason}); ask again later"
            raise Refusal(RefusalKind.LOG_BUSY, detail, retry_after=_AFTER_SILENCE)


def _below_the_admitted(owner: Admitted) -> Iterator[tuple[x509.Certificate, x509.Certificate, tuple[str, ...]]]:
    """Yield each certificate below the admitted authority's with its issuer and its lists; all numbers' name one."""
    number = NumberCertificate.read(owner.certificate)
    yield owner.certificate, owner.chain[0], number.crl_urls
    for certificate, issuer in zip(owner.chain, owner.chain[1:], strict=False):
        urls = AuthorityCertificate.read(certificate).crl_urls
        if urls:
            yield certificate, issuer, urls
