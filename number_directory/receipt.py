"""How an owner holds a directory to account: each statement that it takes goes to its record log.

The log's entries are hashes: `SignedStatement.hash`, which nobody can guess who has not seen the statement. A receipt
is a C2SP tlog-proof that the log has the entry, and needs no network to be checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

import msgspec

from number_directory.description import DirectoryDescription
from number_directory.errors import AnswerError, ReceiptError
from number_directory.statement import SignedStatement, Succession, decode_answer
from transparency.checkpoint import Checkpoint
from transparency.errors import TransparencyError
from transparency.merkle import leaf_hash
from transparency.proof import LARGEST_PROOF, TlogProof, WitnessPolicy

NO_WITNESSES: Final = WitnessPolicy({}, 0)
"""Believes the record log's own signature."""


def log_leaf(statement: SignedStatement) -> bytes:
    """Return the hash of the leaf under which a record log has a statement: its entry is the statement's hash."""
    return leaf_hash(statement.hash)


@dataclass(frozen=True, slots=True)
class PublishReceipt:
    """The proof that a directory's record log has a statement; nothing of it is checked before `verify`."""

    proof: TlogProof

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a receipt; raise ReceiptError where it is none."""
        try:
            return cls(TlogProof.parse(data))
        except TransparencyError as error:
            msg = f"the receipt cannot be read: {error}"
            raise ReceiptError(msg) from error

    def to_bytes(self) -> bytes:
        """Return the receipt as it is sent and kept."""
        return self.proof.to_bytes()

    def verify(
        self,
        statement: SignedStatement,
        directory: DirectoryDescription,
        witnesses: WitnessPolicy = NO_WITNESSES,
    ) -> Checkpoint:
        """Return the checkpoint of the directory whose tree has the statement; raise ReceiptError where none has."""
        try:
            return self.proof.verify(log_leaf(statement), directory.record_log, witnesses)
        except TransparencyError as error:
            msg = f"the receipt does not prove that {directory.name} took this: {error}"
            raise ReceiptError(msg) from error


class _Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The answer to a statement that was taken, as it stands in JSON."""

    result: Succession
    receipt: str | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a directory answers when it has taken a statement: whether it is new, and the receipt.

    Without a receipt the record log has not come so far: an owner's question shows it later. Raises AnswerError.
    """

    succession: Succession
    receipt: PublishReceipt | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse to have taken what was not taken."""
        if self.succession not in {Succession.NEWER, Succession.SAME}:
            msg = "a statement that was taken is newer than the one before, or the same"
            raise AnswerError(msg)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an answer; raise AnswerError where it is none, ReceiptError where its receipt is none."""
        read = decode_answer(data, _Accepted, LARGEST_ACCEPTANCE, "to a statement")
        return cls(read.result, read_receipt(read.receipt))

    def to_json(self) -> bytes:
        """Return the answer as it is sent."""
        return msgspec.json.encode(_Accepted(self.succession, written_receipt(self.receipt)))


LARGEST_ACCEPTANCE: Final = 2 * LARGEST_PROOF
"""Bytes of an answer to a statement that was taken."""


def read_receipt(text: str | None) -> PublishReceipt | None:
    """Return the receipt that stands in JSON."""
    return None if text is None else PublishReceipt.parse(text.encode("utf-8", "surrogatepass"))


def written_receipt(receipt: PublishReceipt | None) -> str | None:
    """Return a receipt as it stands in JSON."""
    return None if receipt is None else receipt.to_bytes().decode("utf-8")
