from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.errors import AnswerError, DirectoryError, ReceiptError
from number_directory.receipt import LARGEST_ACCEPTANCE, Acceptance, PublishReceipt, log_leaf
from number_directory.statement import Succession
from tests.fakes.directory_statements import dumps, published, record
from tests.fakes.record_log import DIRECTORY, ORIGIN, FakeRecordLog
from transparency.merkle import leaf_hash
from transparency.proof import WitnessPolicy

RECORD = published()
LOG = FakeRecordLog()
for _statement in (published(record(sequence=5)), RECORD, published(record(sequence=7))):
    LOG.add(_statement)
RECEIPT = LOG.receipt(RECORD)


def test_a_receipt_proves_that_the_log_has_the_record() -> None:
    """C2SP tlog-proof: checked with the directory's key, without a network."""
    receipt = PublishReceipt.parse(RECEIPT.to_bytes())
    checkpoint = receipt.verify(RECORD, DIRECTORY)
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 3)
    assert log_leaf(RECORD) == leaf_hash(RECORD.hash)


def test_a_receipt_holds_also_for_the_record_without_its_media() -> None:
    """What is logged is what was signed, and not what is shown of it."""
    assert RECEIPT.verify(type(RECORD).parse(RECORD.without_media), DIRECTORY).size == 3


def test_a_receipt_is_of_one_record_and_one_directory() -> None:
    """Another record, another log's key or a missing witness: nothing is proved."""
    with pytest.raises(ReceiptError, match="does not prove"):
        RECEIPT.verify(published(record(sequence=2)), DIRECTORY)
    other = replace(DIRECTORY, record_log=FakeRecordLog("other.example/records").signer.verifier)
    with pytest.raises(ReceiptError, match="does not prove"):
        RECEIPT.verify(RECORD, other)
    with pytest.raises(ReceiptError, match="cosigned"):
        RECEIPT.verify(RECORD, DIRECTORY, WitnessPolicy({LOG.witness.verifier: "somebody"}, 1))


@given(st.binary())
def test_any_bytes_give_this_rooms_error(data: bytes) -> None:
    """No receipt makes the reader raise anything else."""
    with pytest.raises(ReceiptError):
        PublishReceipt.parse(data)


@pytest.mark.parametrize("receipt", [None, RECEIPT])
@pytest.mark.parametrize("succession", [Succession.NEWER, Succession.SAME])
def test_an_acceptance_survives_its_body(succession: Succession, receipt: PublishReceipt | None) -> None:
    """What is sent is read back."""
    acceptance = Acceptance(succession, receipt)
    assert Acceptance.parse(acceptance.to_json()) == acceptance


@pytest.mark.parametrize("succession", [Succession.OLDER, Succession.CONFLICT])
def test_what_is_not_taken_is_not_accepted(succession: Succession) -> None:
    """A directory refuses such a statement by its status."""
    with pytest.raises(AnswerError, match="newer"):
        Acceptance.parse(dumps({"result": succession.value}))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", dumps({"result": "new"}), dumps({"result": "same", "more": 1}), b"\xff"]
)
def test_an_acceptance_has_one_form(data: bytes) -> None:
    """Anything else cannot be read."""
    with pytest.raises(AnswerError):
        Acceptance.parse(data)


def test_an_acceptance_has_a_size_and_its_receipt_a_form() -> None:
    """Nothing endless is read, and no receipt that is none."""
    with pytest.raises(AnswerError, match="at most"):
        Acceptance.parse(b" " * (LARGEST_ACCEPTANCE + 1))
    for receipt in ("", "nothing", "\ud800"):
        with pytest.raises(DirectoryError):
            Acceptance.parse(dumps({"receipt": receipt, "result": "same"}))


@given(st.binary(max_size=50))
def test_any_acceptance_gives_this_rooms_error(data: bytes) -> None:
    """No answer makes the reader raise anything else."""
    with contextlib.suppress(AnswerError):
        Acceptance.parse(data)
