"""What a number's owner holds, and what it makes of a log's entries. Nothing here asks anybody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stir.certificate import NumberCertificate
from stir.errors import CertificateProfileError, StirError
from stir.telephone_number import TelephoneNumber
from transparency import entry
from transparency.entry import SealedEntry, vrf_input
from transparency.errors import SctError, TransparencyError
from transparency.log_description import LogDescription, ShardDescription
from transparency.sct import SctExtensions, SignedCertificateTimestamp, decode_sct_list, issuer_key_hash, tbs_of


@dataclass(frozen=True, slots=True)
class LoggedCertificate:
    """A certificate with its issuer's, and the SCT of it by one shard of a log."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    number: TelephoneNumber
    sct: SignedCertificateTimestamp

    def promised(self, shard: ShardDescription) -> tuple[int, SealedEntry]:
        """Return the index and the entry that the SCT promises; raise SctError or VrfError if it is false."""
        return shard.check_sct(self.sct, self.number, issuer_key_hash(self.issuer), tbs_of(self.certificate))

    @property
    def evidence(self) -> dict[str, bytes]:
        """The documents that prove what the log promised."""
        return {
            "certificate.der": self.certificate.public_bytes(Encoding.DER),
            "issuer.der": self.issuer.public_bytes(Encoding.DER),
            "sct": self.sct.encode(),
        }


def logged_certificates(
    chain: Sequence[x509.Certificate], log: LogDescription
) -> tuple[tuple[ShardDescription, LoggedCertificate], ...]:
    """Return the SCTs of a chain's first certificate that are by shards of a log, none where it has none.

    Raises TransparencyError for a certificate that is none of a number, comes without its issuer, or carries a list of
    SCTs that cannot be read.
    """
    try:
        leaf = NumberCertificate.read(chain[0])
    except (CertificateProfileError, IndexError) as error:
        msg = f"this is no certificate of a number: {error}"
        raise SctError(msg) from error
    if leaf.sct_list is None:
        return ()
    if len(chain) == 1:
        msg = "the certificate comes without its issuer's: give the whole chain"
        raise SctError(msg)
    scts = ((log.shard_of(sct.log_id), sct) for sct in decode_sct_list(leaf.sct_list))
    return tuple(
        (shard, LoggedCertificate(chain[0], chain[1], leaf.number, sct)) for shard, sct in scts if shard is not None
    )


@dataclass(frozen=True, slots=True)
class OwnLabel:
    """The owner's label in one shard, with the VRF proof that it is the number's. Raises VrfError where it is not."""

    shard: ShardDescription
    number: TelephoneNumber
    proof: bytes
    label: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Check the proof."""
        beta = self.shard.vrf_key.verify(vrf_input(self.shard.origin, self.number), self.proof)
        object.__setattr__(self, "label", entry.label(beta))

    @classmethod
    def from_sct(cls, shard: ShardDescription, logged: LoggedCertificate) -> Self:
        """Return the label that a certificate's SCT tells."""
        return cls(shard, logged.number, SctExtensions.decode(logged.sct.extensions).vrf_proof)


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """What a log's owner's door shows for one entry: the certificate or precertificate with its issuers, in DER."""

    index: int
    opening: bytes
    chain: tuple[bytes, ...]

    def opens(self, sealed: SealedEntry) -> x509.Certificate:
        """Return the certificate that the entry is of; raise TransparencyError where it is of another."""
        try:
            leaf, issuer = (x509.load_der_x509_certificate(der) for der in self.chain[:2])
            commitment = entry.commitment(self.opening, sealed.label, tbs_of(leaf))
            issuer_hash = issuer_key_hash(issuer)
        except (ValueError, IndexError, StirError) as error:
            msg = "the log's owner's door shows something that is no certificate with its issuer's"
            raise TransparencyError(msg) from error
        if (commitment, issuer_hash) != (sealed.commitment, sealed.issuer_key_hash):
            msg = "the log's owner's door shows another certificate than the one that was logged"
            raise TransparencyError(msg)
        return leaf


@dataclass(frozen=True, slots=True)
class Owner:
    """A number's owner: the certificates that it holds or held, and the SHA-256 of the keys that are its own."""

    number: TelephoneNumber
    chains: tuple[tuple[x509.Certificate, ...], ...]
    keys: frozenset[bytes] = frozenset()

    def holds_key_of(self, certificate: x509.Certificate) -> bool:
        """Tell whether a certificate is for a key of the owner's: then nobody else can use it."""
        return key_hash(certificate.public_key()) in self.keys

    def logged_by(self, log: LogDescription) -> tuple[tuple[ShardDescription, LoggedCertificate], ...]:
        """Return what one log promised about the owner's certificates."""
        return tuple(found for chain in self.chains for found in logged_certificates(chain, log))


def key_hash(key: object) -> bytes:
    """Return the SHA-256 of a public key's SubjectPublicKeyInfo."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return b""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def owner_of(
    number: TelephoneNumber, chains: Iterable[Sequence[x509.Certificate]], more_keys: Iterable[bytes] = ()
) -> Owner:
    """Return the owner of these chains and, beyond their keys, of those with the hashes `more_keys`.

    These are the keys of earlier certificates, and of orders under way.
    """
    own = tuple(tuple(chain) for chain in chains)
    keys = {key_hash(chain[0].public_key()) for chain in own}.union(more_keys)
    return Owner(number, own, frozenset(keys) - {b""})
