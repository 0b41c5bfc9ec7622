"""Bringing a certificate to public logs before it is issued (RFC 6962 §3.1).

What a log gave is kept the moment it came, and what the certificate will carry is fixed once it is enough. So a crash
or a slow log costs no timestamp, and whoever goes on signs the same bytes
(docs/decisions/0030-a-certificate-waits-for-its-logs.md).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.serialization import Encoding

from ca_server.audit import Decision, record
from ca_server.issuing.authority import CertificateAuthority
from ca_server.logs.known_log import KnownLog, Lie, LieKind, Precertified, Timestamp
from ca_server.orders import Issuance, Order
from ca_server.signing.issuer import logged_digest
from ca_server.storage import Evidence, KeptTimestamp
from stir.certificate_request import NumberRequest
from transparency.sct import SignedCertificateTimestamp, encode_sct_list, tbs_of


def timestamped(ca: CertificateAuthority, order: Order, issuance: Issuance, request: NumberRequest) -> Issuance | None:
    """Return the issuance with the timestamps that the certificate will carry; None where the logs gave too few.

    To be called by whoever claimed the order, in the background: it takes as long as logs take, up to the deadline.
    Raises LintError and KeyStoreError as signing does.
    """
    attempt = _Attempt(ca, order, _precertified(ca, issuance, request))
    attempt.take_up()
    ca.logs.collect(attempt.asked, attempt, ca.clock)
    if attempt.fixed is None:
        record(Decision.LOGS_MISSING, order=order.id, serial=f"{issuance.serial:032x}", missing=attempt.missing())
        return None
    sct_list, digest = attempt.fixed
    return dataclasses.replace(issuance, sct_list=sct_list, logged_digest=digest)


def _precertified(ca: CertificateAuthority, issuance: Issuance, request: NumberRequest) -> Precertified:
    signed = ca.issuer.sign_precertificate(request.number, request.public_key, issuance)
    chain = (signed, ca.issuer.certificate, *ca.issuer.chain)
    tbs = tbs_of(signed)
    return Precertified(
        chain=tuple(certificate.public_bytes(Encoding.DER) for certificate in chain),
        number=request.number,
        issuer_key_hash=ca.issuer.key_hash,
        tbs=tbs,
        digest=logged_digest(ca.issuer.key_hash, tbs),
        not_after=issuance.not_after,
        fixed_at=issuance.reserved_at,
    )


@dataclass(slots=True)
class _Attempt:
    """One attempt to get timestamps for one order: what there is, and what is fixed once that is enough.

    `kept` holds one timestamp of each operator, by the operator's key.
    """

    ca: CertificateAuthority
    order: Order
    asked: Precertified
    kept: dict[str, Timestamp] = field(default_factory=dict)
    fixed: tuple[bytes, bytes] | None = None

    def take_up(self) -> None:
        """Start from what earlier attempts kept. What a log gave that is no longer ours to ask does not count."""
        for timestamp in self.ca.storage.timestamps.of(self.order.id, self.asked.digest):
            log = self.ca.logs.of(timestamp.log_id)
            if log is not None:
                self.kept.setdefault(log.operator_key, timestamp)
        if not self.missing():
            self._fix()

    def operators(self) -> frozenset[str]:
        """Return the operators that gave a timestamp."""
        return frozenset(self.kept)

    def missing(self) -> int:
        """Return how many timestamps policy still asks for."""
        return max(0, self.ca.config.policy.scts - len(self.kept))

    def keep(self, log: KnownLog, timestamp: Timestamp) -> bool:
        """Keep a timestamp, unless its leaf index is that of another precertificate; with the last, fix the list."""
        storage, now = self.ca.storage, self.ca.clock()
        with storage.transaction():
            other = storage.timestamps.keep(KeptTimestamp(self.order.id, self.asked.digest, timestamp), now)
            if other is None:
                self.kept.setdefault(log.operator_key, timestamp)
                if not self.missing():
                    self._fix()
        if other is None:
            return True
        detail = "the log promised one leaf index to two certificates"
        self.keep_lie(Lie(log.name, log.operator, LieKind.INDEX, detail, timestamp.sct, other))
        return False

    def keep_lie(self, lie: Lie) -> None:
        """Keep a false answer as evidence, and tell the operator."""
        self.ca.storage.evidence.add(Evidence(self.order.id, lie, self.asked.chain[0], self.ca.clock()))
        record(
            Decision.LOG_LIED, log=lie.log, operator=lie.operator, order=self.order.id, kind=lie.kind, why=lie.detail
        )

    def _fix(self) -> None:
        """Fix the list, in the order of the logs' identifiers; where another attempt was quicker, its list counts."""
        chosen = sorted(self.kept.values(), key=lambda timestamp: timestamp.log_id)[: self.ca.config.policy.scts]
        if not chosen:  # policy asks for none any more
            self.fixed = self.ca.storage.orders.fix_timestamps(self.order.id, b"", b"")
            return
        sct_list = encode_sct_list(SignedCertificateTimestamp.decode(timestamp.sct) for timestamp in chosen)
        self.fixed = self.ca.storage.orders.fix_timestamps(self.order.id, sct_list, self.asked.digest)
