"""A directory's record log in memory: hashes of statements, the tree over them, receipts, and its files."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from number_directory.description import DirectoryDescription
from number_directory.receipt import PublishReceipt
from number_directory.statement import SignedStatement
from tests.fakes.directory_statements import URL
from transparency.checkpoint import Checkpoint
from transparency.cosignature import Ed25519Cosigner
from transparency.merkle import EMPTY_ROOT, inclusion_proof, leaf_hash
from transparency.proof import TlogProof
from transparency.signed_note import Ed25519Signer, Note
from transparency.tiles import Frontier, TileReader

ORIGIN = "rs.example/records"


def _key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


@dataclass
class FakeRecordLog:
    """A record log that is always up to date."""

    origin: str = ORIGIN
    files: dict[str, bytes] = field(default_factory=dict)
    hashes: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the key, and show an empty tree."""
        self.signer = Ed25519Signer(self.origin, _key(f"record log {self.origin}"))
        self.witness = Ed25519Cosigner("witness.example/w1", _key("witness"))
        self._publish(EMPTY_ROOT)

    def add(self, statement: SignedStatement) -> None:
        """Take a statement, once, and show the new tree."""
        if statement.hash not in self.hashes:
            self.hashes.append(statement.hash)
            self.rebuild()

    def rebuild(self) -> None:
        """Show the tree of the hashes, whatever was shown before."""
        growth = Frontier().append([leaf_hash(one) for one in self.hashes])
        self.files.update({tile.path: data for tile, data in growth.tiles.items()})
        self._publish(growth.frontier.root)

    def receipt(self, statement: SignedStatement) -> PublishReceipt:
        """Return the proof of a statement in the tree as it is."""
        note = Note.parse(self.files["checkpoint"])
        checkpoint = Checkpoint.parse(note.text)
        index = self.hashes.index(statement.hash)
        reader = TileReader(self.files.__getitem__, checkpoint.size, checkpoint.root)
        return PublishReceipt(TlogProof(index, inclusion_proof(reader, index, checkpoint.size), note))

    def _publish(self, root: bytes) -> None:
        self.files["checkpoint"] = Checkpoint(self.origin, len(self.hashes), root).to_note([self.signer])


DIRECTORY = DirectoryDescription("Example Directory", "Directory Operator", URL, FakeRecordLog().signer.verifier)
