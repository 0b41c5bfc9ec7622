"""A log in a test: an authority that it admits, precertificates, numbers' owners, and the log itself, wired in memory.

Keys are made from small numbers: fixtures need many, and none of them is secret.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from policies.facts import RevocationFacts, RevocationState
from stir.certificate_building import (
    AuthorityFields,
    NumberCertificateFields,
    authority_certificate,
    number_certificate,
    precertificate,
    signature_hash,
)
from stir.certificate_chain import write_pem_chain
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.validation_method import ValidationMethod
from transparency.checkpoint import Checkpoint
from transparency.owner_request import Action, OwnerRequest
from transparency.sct import issuer_key_hash
from transparency.server.app import create_log
from transparency.server.config import Keys, LogConfig, Publishing, Sequencing, Shard
from transparency.server.keys import KeyStore
from transparency.server.log import Log, LogShard
from transparency.server.publishing import FilePublisher, Publisher
from transparency.server.revocation import RevocationSource
from transparency.server.sequencer import Sequencer
from transparency.server.storage import Storage, Submission

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
NUMBER = TelephoneNumber.parse("+12025550123")
OTHER_NUMBER = TelephoneNumber.parse("+442079460018")
URL = "http://127.0.0.1:14100"
SHARD = Shard("2026h2", datetime(2026, 7, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
NEXT_SHARD = Shard("2027h1", datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 7, 1, tzinfo=UTC))


@cache
def key(number: int) -> ec.EllipticCurvePrivateKey:
    """Return the same P-256 key for the same number."""
    return ec.derive_private_key(0x106 + number, ec.SECP256R1())


@dataclass(frozen=True)
class Authority:
    """A root and an issuing authority below it, which may be held to some numbers."""

    root: x509.Certificate
    issuing: x509.Certificate
    issuing_key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, first_key: int = 1, prefixes: tuple[str, ...] = ()) -> Authority:
        """Make an authority from two keys."""
        root_key, issuing_key = key(first_key), key(first_key + 1)
        root = authority_certificate(_authority_fields("Example Root", root_key, ()), None)
        signed_root = root.sign(root_key, signature_hash(root_key), ecdsa_deterministic=True)
        fields = _authority_fields("Example Issuing", issuing_key, prefixes, path_length=0)
        issuing = authority_certificate(fields, signed_root)
        return cls(signed_root, issuing.sign(root_key, signature_hash(root_key), ecdsa_deterministic=True), issuing_key)

    def fields(
        self, serial: int, number: TelephoneNumber = NUMBER, life: timedelta = timedelta(days=7), holder: int = 90
    ) -> NumberCertificateFields:
        """Return what a number's certificate says, from an hour ago on."""
        start = NOW - timedelta(hours=1)
        return NumberCertificateFields(
            number=number,
            public_key=key(holder).public_key(),
            serial=serial,
            not_before=start,
            not_after=start + life,
            validation=ValidationMethod.SMS_CODE,
            ca_issuers_url="https://ca.example/issuer.der",
            crl_url="https://ca.example/crl/0.crl",
        )

    def precertificate(self, fields: NumberCertificateFields) -> x509.Certificate:
        """Sign a precertificate."""
        return precertificate(fields, self.issuing).sign(
            self.issuing_key, signature_hash(self.issuing_key), ecdsa_deterministic=True
        )

    def certificate(self, fields: NumberCertificateFields, sct_list: bytes | None = None) -> x509.Certificate:
        """Sign a certificate."""
        return number_certificate(fields, self.issuing, sct_list).sign(
            self.issuing_key, signature_hash(self.issuing_key), ecdsa_deterministic=True
        )

    def submission(
        self, serial: int, number: TelephoneNumber = NUMBER, life: timedelta = timedelta(days=7)
    ) -> list[bytes]:
        """Return a precertificate chain in DER, as it is submitted."""
        return self.chain(self.precertificate(self.fields(serial, number, life)))

    def chain(self, certificate: x509.Certificate) -> list[bytes]:
        """Return a certificate's chain in DER."""
        return [one.public_bytes(Encoding.DER) for one in (certificate, self.issuing, self.root)]

    def owner_request(
        self,
        certificate: x509.Certificate,
        *,
        audience: str = f"{URL}/{SHARD.name}",
        at: datetime = NOW,
        request_id: str = "a-request-of-the-owner",
        action: Action = Action.LIST,
        holder: int = 90,
    ) -> str:
        """Return a request at the owner's door, signed by the key of the number's certificate."""
        request = OwnerRequest(audience, int(at.timestamp()), request_id, action)
        return request.sign(key(holder), (certificate, self.issuing, self.root))


def _authority_fields(
    name: str, own_key: ec.EllipticCurvePrivateKey, prefixes: tuple[str, ...], path_length: int | None = None
) -> AuthorityFields:
    return AuthorityFields(
        common_name=name,
        organization="Example Operator",
        public_key=own_key.public_key(),
        serial=own_key.private_numbers().private_value,
        not_before=NOW - timedelta(days=30),
        not_after=NOW + timedelta(days=3000),
        prefixes=tuple(map(NumberPrefix.parse, prefixes)),
        path_length=path_length,
    )


def make_config(folder: Path, authority: Authority, **changes: object) -> LogConfig:
    """Return the settings of a log in a folder, with its keys made and its authority's certificate written."""
    folder.mkdir(parents=True, exist_ok=True)
    admitted = folder / "admitted.pem"
    admitted.write_bytes(write_pem_chain((authority.issuing,)))
    config = LogConfig(
        name="Example Log",
        operator="Example Operator",
        url=URL,
        admit=(admitted,),
        shards=(SHARD, NEXT_SHARD),
        keys=Keys(directory=folder / "keys", unencrypted=True),
        publishing=Publishing(directory=folder / "public", staging=folder / "staging"),
        sequencing=Sequencing(pool_milliseconds=20, index_seconds=1, wait_seconds=10),
        database=f"sqlite:///{folder / 'log.db'}",
        folder=folder,
    )
    config = msgspec.structs.replace(config, **changes)
    if not (folder / "keys").exists():
        for shard in config.shards:
            KeyStore(folder / "keys", None).create(shard.name, config.origin(shard))
    return config


def make_log(
    config: LogConfig,
    *,
    storage: Storage | None = None,
    publisher: Publisher | None = None,
    clock: Callable[[], datetime] = lambda: NOW,
    revocation: RevocationSource | None = None,
) -> Log:
    """Return the log of these settings, to which nothing is revoked unless a test says so."""
    return create_log(
        config, clock=clock, storage=storage, publisher=publisher, revocation=revocation or NothingRevoked()
    )


class NothingRevoked:
    """Knows every certificate to be good."""

    def status(
        self,
        certificate: x509.Certificate,  # noqa: ARG002  # the Protocol's
        issuer: x509.Certificate,  # noqa: ARG002
        urls: tuple[str, ...],  # noqa: ARG002
        at: datetime,
    ) -> RevocationFacts:
        """Return that it is."""
        return RevocationFacts(RevocationState.GOOD, "the certificate is not on its authority's revocation list", at)


def sealed(log: Log, serial: int, shard: Shard = SHARD) -> Submission:
    """Return a submission as a front end would queue it, without the work of signing a precertificate."""
    id_ = serial.to_bytes(32, "big")
    return Submission(
        id=id_,
        shard=shard.name,
        label=bytes(31) + bytes([serial % 251]),
        issuer_key_hash=issuer_key_hash(log.admission.roots[0]),
        commitment=id_,
        opening=bytes(16),
        vrf_proof=bytes(80),
        certificate=b"certificate",
        chain=(b"issuer",),
        not_after=NOW + timedelta(days=7),
    )


def fill(log: Log, count: int, first: int = 1, shard: Shard = SHARD) -> None:
    """Queue submissions."""
    for serial in range(first, first + count):
        assert log.storage.entries.add(sealed(log, serial, shard), NOW)


def shard_of(log: Log, shard: Shard = SHARD) -> LogShard:
    """Return a shard of the log."""
    return log.shards[shard.name]


def published(log: Log, shard: Shard = SHARD) -> Checkpoint:
    """Return the published checkpoint, its signature checked."""
    of_log = shard_of(log, shard)
    note = log.publisher.read(of_log.files.checkpoint)
    assert note is not None
    return Checkpoint.from_note(note, of_log.keys.checkpoint.verifier)


@dataclass
class SequencerThread:
    """Sequences one shard in a thread while it is entered, as its own process would."""

    log: Log
    shard: Shard = SHARD
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, and wait for it."""
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        sequencer = Sequencer(self.log, shard_of(self.log, self.shard))
        while not self._stop.wait(0.01):
            sequencer.step()


class FailingPublisher:
    """A publisher that fails when `failure` says so: called with each method's name before it begins."""

    def __init__(self, inner: FilePublisher, failure: Callable[[str], None]) -> None:
        """Wrap a publisher."""
        self.inner = inner
        self.failure = failure

    def read(self, path: str) -> bytes | None:
        """See Publisher."""
        self.failure("read")
        return self.inner.read(path)

    def write(self, files: Mapping[str, bytes]) -> None:
        """See Publisher."""
        self.failure("write checkpoint" if any(path.endswith("checkpoint") for path in files) else "write")
        self.inner.write(files)

    def delete(self, paths: Iterable[str]) -> None:
        """See Publisher."""
        self.failure("delete")
        self.inner.delete(paths)

    def read_parts(self, path: str, parts: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """See Publisher."""
        self.failure("read")
        return self.inner.read_parts(path, parts)

    def size(self, path: str) -> int | None:
        """See Publisher."""
        return self.inner.size(path)

    def sizes(self, folder: str) -> dict[str, int]:
        """See Publisher."""
        return self.inner.sizes(folder)

    def stage(self, name: str, data: bytes) -> None:
        """See Publisher."""
        self.failure("stage")
        self.inner.stage(name, data)

    def staged(self, name: str) -> bytes | None:
        """See Publisher."""
        return self.inner.staged(name)

    def staged_names(self, prefix: str) -> tuple[str, ...]:
        """See Publisher."""
        return self.inner.staged_names(prefix)

    def unstage(self, names: Iterable[str]) -> None:
        """See Publisher."""
        self.failure("unstage")
        self.inner.unstage(names)
