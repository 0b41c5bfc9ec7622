"""The authority as its use cases see it, and what they share: names, key hashes, and who may see what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca_server.config import Config
from ca_server.errors import Refusal, RefusalKind
from ca_server.logs.logs import Logs
from ca_server.orders import Account
from ca_server.signing.issuer import Issuer
from ca_server.sms.doorbell import Doorbell
from ca_server.sms.routing import Routes
from ca_server.storage import Storage
from serving.strict_json import write_base64url

_NAME_BYTES = 16
_P256_BYTES = 32

Enter = Callable[[], None]
"""What a step calls first in the transaction of its changes: it raises Refusal for a request that was let in before."""


@dataclass(frozen=True)
class CertificateAuthority:
    """One authority: its settings and what it works with. `ca_server.app` puts it together.

    `clock` returns the aware time in UTC, `random_bytes` so many random bytes that nobody can guess. The `doorbell`,
    where there is one, wakes the worker when an SMS was queued. The `former` issuers sign nothing but their CRLs.
    """

    config: Config
    storage: Storage
    issuer: Issuer
    routes: Routes
    clock: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]
    logs: Logs = field(default_factory=Logs)
    doorbell: Doorbell | None = None
    former: tuple[Issuer, ...] = ()

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """Whoever signs CRLs: the issuer, and those before it whose certificates are still about."""
        return (self.issuer, *self.former)

    def issuer_named(self, issuer_id: str | None) -> Issuer | None:
        """Return the issuer of this name."""
        return next((issuer for issuer in self.issuers if issuer.id == issuer_id), None)


def unhindered() -> None:
    """Let a step in that no request asks for."""


def new_name(ca: CertificateAuthority) -> str:
    """Return a name that nobody guesses, for a URL: 128 random bits in 22 base64url characters."""
    return write_base64url(ca.random_bytes(_NAME_BYTES))


def key_hash_of(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the SHA-256 of a SubjectPublicKeyInfo, by which certificates are found by their key."""
    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def thumbprint_of(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the SHA-256 thumbprint of a P-256 key, by which accounts are found (RFC 7638 §3.2)."""
    point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    x, y = (write_base64url(point[start : start + _P256_BYTES]) for start in (1, 1 + _P256_BYTES))
    return hashlib.sha256(f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'.encode("ascii")).digest()


def require_owner(account: Account, owner_id: str) -> None:
    """Refuse an account that asks for another's object (RFC 8555 §6.2)."""
    if account.id != owner_id:
        raise Refusal(RefusalKind.UNAUTHORIZED, "this belongs to another account; sign with that account's key")


def not_found(what: str) -> NoReturn:
    """Refuse a request for something that does not exist."""
    raise Refusal(RefusalKind.NOT_FOUND, f"there is no such {what} here; check the URL")
