"""A whole log in memory, made of the pure half: honest unless one of its switches says which lie to tell.

It answers a `Transport`'s questions, and is a `ShardFiles` itself. Nothing is shown before `publish`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate import NumberCertificate, load_certificate
from stir.certificate_building import NumberCertificateFields, number_certificate, precertificate, signature_hash
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod
from tests.fakes.index_files import built
from tests.fakes.small_pki import CRL_URL, NOW, Authority, Held, key
from transparency import entry
from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry, rounded_timestamp, vrf_input
from transparency.errors import TileMissingError
from transparency.label_index import MAP_CHECKPOINT_PATH
from transparency.log_description import LogDescription, ShardDescription
from transparency.merkle import leaf_hash
from transparency.owner_request import SignedOwnerRequest
from transparency.sct import (
    SctExtensions,
    SignedCertificateTimestamp,
    encode_sct_list,
    issuer_key_hash,
    sign_sct,
    tbs_of,
)
from transparency.signed_note import Ed25519Signer, Note, NoteSignature
from transparency.tiles import ENTRIES, Frontier, encode_bundle, tiles_of_growth
from transparency.transport import Answer, Question, Unreachable
from transparency.vrf import VrfPrivateKey, output_of

ORIGIN = "log.example/2026h1"
URL = "https://log.example"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seconds(moment: datetime) -> int:
    """Return a moment in seconds since 1970."""
    return int((moment - _EPOCH).total_seconds())


def random_label(seed: object) -> bytes:
    """Return a label that belongs to nobody, the same for the same seed."""
    return sha256(f"label of {seed}".encode()).digest()


@dataclass
class LogSimulator:
    """One log with one shard. `clock` is the time, in seconds since 1970, at which entries come in."""

    name: str = "Example Log"
    operator: str = "Log Operator"
    clock: int = field(default_factory=lambda: seconds(NOW))
    files: dict[str, bytes] = field(default_factory=dict)
    entries: list[SealedEntry] = field(default_factory=list)
    certificates: dict[int, list[bytes]] = field(default_factory=dict)
    openings: dict[int, bytes] = field(default_factory=dict)
    indexed_under: dict[int, bytes] = field(default_factory=dict)
    """A lie of the index: the label under which it files an entry, in place of the entry's own."""
    prove_for: TelephoneNumber | None = None
    """A lie of an SCT: the number under whose label the next certificates are filed."""
    index_behind: int = 0
    """How many entries the index is behind the tree."""
    unreachable: bool = False
    cosignatures: list[NoteSignature] = field(default_factory=list)
    """What witnesses and others put under the checkpoint, as far as it is about its text."""
    questions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the keys, and show an empty tree."""
        self.sct_key = key(700)
        self.vrf = VrfPrivateKey.from_seed(sha256(b"the log's VRF key").digest())
        self.signer = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(sha256(b"the log's key").digest()))
        self.shard = ShardDescription(
            name="2026h1",
            origin=ORIGIN,
            not_after_start=datetime(2026, 1, 1, tzinfo=UTC),
            not_after_limit=datetime(2026, 7, 1, tzinfo=UTC),
            sct_key=self.sct_key.public_key(),
            vrf_key=self.vrf.public_key,
            checkpoint_key=self.signer.verifier,
        )
        self.description = LogDescription(self.name, self.operator, URL, URL, (self.shard,))
        self.publish()

    # What comes in

    def submit(self, chain: Sequence[bytes]) -> SignedCertificateTimestamp:
        """Take a precertificate chain in DER, and promise to show its entry."""
        leaf, issuer = (load_certificate(der) for der in chain[:2])
        number = NumberCertificate.read_precertificate(leaf).number
        proof = self.vrf.prove(vrf_input(ORIGIN, self.prove_for or number))
        label, index = entry.label(output_of(proof)), len(self.entries)
        opening = sha256(b"opening" + index.to_bytes(4, "big")).digest()[:16]
        issuer_hash, tbs = issuer_key_hash(issuer), tbs_of(leaf)
        timestamp_ms = rounded_timestamp(self.clock * 1000)
        self.entries.append(SealedEntry(timestamp_ms, label, issuer_hash, entry.commitment(opening, label, tbs)))
        self.certificates[index], self.openings[index] = list(chain), opening
        return sign_sct(self.sct_key, issuer_hash, tbs, timestamp_ms, SctExtensions(index, proof, opening))

    def certify(
        self, authority: Authority, number: TelephoneNumber, *, key_number: int = 3, serial: int = 1001
    ) -> Held:
        """Have an authority issue a certificate that this log has taken."""
        fields = NumberCertificateFields(
            number=number,
            public_key=key(key_number).public_key(),
            serial=serial,
            not_before=NOW - timedelta(days=1),
            not_after=NOW + timedelta(days=6),
            validation=ValidationMethod.SMS_CODE,
            ca_issuers_url="https://ca.example/issuer/1.der",
            crl_url=CRL_URL,
        )
        issuer, hash_ = authority.certificate, signature_hash(authority.key)
        pre = precertificate(fields, issuer).sign(authority.key, hash_, ecdsa_deterministic=True)
        chain = [pre.public_bytes(Encoding.DER), *(one.public_bytes(Encoding.DER) for one in authority.chain)]
        scts = encode_sct_list([self.submit(chain)])
        made = number_certificate(fields, issuer, scts).sign(authority.key, hash_, ecdsa_deterministic=True)
        return Held(number, key(key_number), (made, *authority.chain))

    def fill(self, count: int) -> None:
        """Take entries of numbers that nobody here has."""
        for place in range(len(self.entries), len(self.entries) + count):
            issuer, commitment = sha256(b"issuer").digest(), sha256(b"%d" % place).digest()
            timestamp_ms = rounded_timestamp(self.clock * 1000)
            self.entries.append(SealedEntry(timestamp_ms, random_label(place), issuer, commitment))

    # What is shown

    def publish(self) -> None:
        """Show all entries, and an index of all but the last `index_behind`."""
        self._publish_tree(self.entries)
        self.publish_index()

    def publish_index(self) -> None:
        """Show an index of all entries but the last `index_behind`."""
        covered = self.entries[: max(len(self.entries) - self.index_behind, 0)]
        labels = [self.indexed_under.get(index, one.label) for index, one in enumerate(covered)]
        index, segments = built(labels)
        self.files.update(segments)
        map_ = index.checkpoint(Checkpoint(ORIGIN, len(covered), _root(covered)))
        self.files[MAP_CHECKPOINT_PATH] = map_.to_note([self.signer])

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint that is shown."""
        return Checkpoint.from_note(self.files["checkpoint"], self.signer.verifier)

    def label(self, number: TelephoneNumber) -> bytes:
        """Return a number's label."""
        return entry.label(output_of(self.vrf.prove(vrf_input(ORIGIN, number))))

    def _publish_tree(self, entries: Sequence[SealedEntry]) -> None:
        encoded = [one.to_bytes() for one in entries]
        growth = Frontier().append([leaf_hash(one) for one in encoded])
        self.files.update((tile.path, hashes) for tile, hashes in growth.tiles.items())
        for tile in tiles_of_growth(0, len(encoded)):
            if tile.level == ENTRIES:
                start = tile.index * 256
                self.files[tile.path] = encode_bundle(encoded[start : start + tile.width])
        self.show(Checkpoint(ORIGIN, len(entries), growth.frontier.root))

    def show(self, checkpoint: Checkpoint) -> None:
        """Show a checkpoint, signed, with the cosignatures that were collected for its text."""
        note = Note.parse(checkpoint.to_note([self.signer]))
        self.files["checkpoint"] = note.with_signatures(self.cosignatures).to_bytes()

    # Lies

    def fork(self, index: int = 0) -> None:
        """Show a tree that has another entry at an index than was shown before."""
        old = self.entries[index]
        self.entries[index] = SealedEntry(old.timestamp_ms, random_label("fork"), old.issuer_key_hash, old.commitment)
        self.publish()

    def roll_back(self, size: int) -> None:
        """Show the tree as it was, without its newer entries."""
        del self.entries[size:]
        self.publish()

    def hide(self, index: int) -> None:
        """File an entry in the index under a label that is nobody's."""
        self.indexed_under[index] = random_label(f"hidden {index}")
        self.publish_index()

    def tamper(self, path: str, *, at: int = 40) -> None:
        """Change one byte of a file."""
        data = bytearray(self.files[path])
        data[at % len(data)] ^= 1
        self.files[path] = bytes(data)

    # How it is asked

    def fetch(self, path: str) -> bytes:
        """Return a file of the shard."""
        self.questions.append(path)
        if self.unreachable:
            msg = "log.example could not be asked"
            raise Unreachable(msg)
        try:
            return self.files[path]
        except KeyError:
            msg = f"the log has no {path}"
            raise TileMissingError(msg) from None

    def fetch_part(self, path: str, start: int, length: int) -> bytes:
        """Return a part of a file of the shard."""
        return self.fetch(path)[start : start + length]

    def ask(self, question: Question) -> Answer:
        """Answer as the log's HTTP server does."""
        if self.unreachable:
            msg = "log.example could not be asked"
            raise Unreachable(msg)
        path = question.url.removeprefix(f"{URL}/2026h1/")
        if path == "ct/v1/add-pre-chain" and question.body is not None:
            chain = [base64.b64decode(der) for der in json.loads(question.body)["chain"]]
            body = json.dumps(self.submit(chain).to_response()).encode()
            return Answer(200, body, {"content-type": "application/json"})
        if path == "owner" and question.body is not None:
            return Answer(200, json.dumps(self._open_door(question.body.decode())).encode())
        try:
            return Answer(200, self.fetch(path)) if question.part is None else self._answer_part(path, question.part)
        except TileMissingError:
            return Answer(404)

    def _answer_part(self, path: str, part: tuple[int, int]) -> Answer:
        found = self.fetch_part(path, *part)
        return Answer(206, found) if found else Answer(416)

    def _open_door(self, token: str) -> dict[str, object]:
        """Tell the owner of the number that a request is signed for what stands under its label."""
        asked = SignedOwnerRequest.parse(token)
        owner = load_certificate(asked.chain[0])
        public_key = owner.public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        asked.verify(public_key)
        number = NumberCertificate.read(owner).number
        entries = [
            {
                "leaf_index": index,
                "opening": base64.b64encode(self.openings[index]).decode(),
                "certificate": base64.b64encode(chain[0]).decode(),
                "chain": [base64.b64encode(der).decode() for der in chain[1:]],
            }
            for index, chain in self.certificates.items()
            if self.entries[index].label == self.label(number)
        ]
        proof = self.vrf.prove(vrf_input(ORIGIN, number))
        label = base64.b64encode(self.label(number)).decode()
        return {"label": label, "vrf_proof": base64.b64encode(proof).decode(), "entries": entries, "complete": True}


def _root(entries: Sequence[SealedEntry]) -> bytes:
    return Frontier().append([leaf_hash(one.to_bytes()) for one in entries]).frontier.root
