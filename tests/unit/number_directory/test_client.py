from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.access_list import ANYONE, AccessList, AppAccess, Grant, sign_access_list
from number_directory.client import LONGEST_REFUSAL, DirectoryClient, DirectoryRefused, Signer
from number_directory.errors import AnswerError, DescriptionError, DirectoryError, ReceiptError, StatementError
from number_directory.lookup import LookupAnswer
from number_directory.move import Move
from number_directory.own_listing import Notice
from number_directory.record import SignedRecord
from number_directory.statement import Succession
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_simulator import DirectorySimulator, problem
from tests.fakes.directory_statements import (
    ASKER,
    CHAT,
    ISSUED_AT,
    OTHER_URL,
    OWNER,
    VIDEO,
    published,
    record,
    withdrawn,
)
from tests.fakes.record_log import FakeRecordLog
from tests.fakes.small_pki import CALLED, CALLER, STRANGER
from transparency.transport import Answer, Unreachable

OWNER_SIGNER = Signer(OWNER.number, OWNER.key, OWNER.chain)
ASKER_SIGNER = Signer(ASKER.number, ASKER.key, ASKER.chain)
TOKEN = "a-bearer-token-of-the-owner"


@pytest.fixture
def directory() -> DirectorySimulator:
    """Return an empty directory."""
    return DirectorySimulator()


@pytest.fixture
def client(directory: DirectorySimulator) -> DirectoryClient:
    """Return its client."""
    return DirectoryClient(directory.url, directory, lambda: ISSUED_AT)


def granting(*grants: Grant, media: tuple[Grant, ...] | None = None, sequence: int = 1) -> str:
    """Return the owner's access list for all apps."""
    access = AppAccess(frozenset(grants), None if media is None else frozenset(media))
    return sign_access_list(AccessList(CALLED, sequence, ISSUED_AT, access), OWNER.key, OWNER.chain)


def test_an_owner_publishes_replaces_and_withdraws(client: DirectoryClient) -> None:
    """Each statement is acknowledged, with a receipt."""
    acceptance = client.publish(published().token)
    assert acceptance.succession is Succession.NEWER
    assert acceptance.receipt is not None
    acceptance.receipt.verify(published(), client.description())
    assert client.publish(published().token).succession is Succession.SAME
    assert client.publish(published(withdrawn()).token).succession is Succession.NEWER
    with pytest.raises(DirectoryRefused, match="another one counts") as caught:
        client.publish(published().token)
    assert (caught.value.kind, caught.value.sequence, caught.value.is_busy) == ("outdated", 2, False)


def test_an_owner_sees_all_that_is_kept(directory: DirectorySimulator, client: DirectoryClient) -> None:
    """Records, withdrawn ones among them, with receipts; the access list, the move, and notices."""
    directory.notices.append(Notice(ISSUED_AT, "something happened"))
    client.publish(published().token)
    client.publish(published(withdrawn(VIDEO)).token)
    client.set_access_list(granting(ANYONE))
    client.move(Move(CALLED, directory.url, OTHER_URL, 1, ISSUED_AT).sign(OWNER.key, OWNER.chain))
    own = client.own_records(OWNER_SIGNER)
    assert own.record(CHAT) == published()
    assert own.record(VIDEO) == published(withdrawn(VIDEO))
    assert all(one.receipt is not None for one in own.records)
    assert own.access_list is not None
    assert own.move is not None
    assert own.notices == (Notice(ISSUED_AT, "something happened"),)


def test_a_caller_sees_what_the_owner_shows_it(client: DirectoryClient) -> None:
    """One caller only; a stranger gets what one gets who asks for nobody."""
    client.publish(published().token)
    client.set_access_list(granting(Grant.to_number(CALLER)))
    assert client.look_up([CALLED], ASKER_SIGNER).records == {CALLED: (published().token,)}
    assert client.look_up([CALLED]).records == {CALLED: ()}
    assert client.look_up([STRANGER], ASKER_SIGNER).records == {STRANGER: ()}


def test_a_caller_may_see_a_record_without_its_media(client: DirectoryClient) -> None:
    """Media may be for fewer; a token may stand for a number."""
    client.publish(published().token)
    client.set_access_list(granting(ANYONE, media=(Grant.to_token(TOKEN),)))
    assert client.look_up([CALLED]).records[CALLED] == (published().without_media,)
    assert client.look_up([CALLED], tokens=[TOKEN]).records[CALLED] == (published().token,)


def test_many_numbers_take_several_questions(directory: DirectorySimulator, client: DirectoryClient) -> None:
    """What one answer has no room for is asked again, each number once."""
    directory.omits_after = 60
    numbers = [TelephoneNumber(f"{12025550000 + number}") for number in range(150)]
    assert list(client.look_up([*numbers, *numbers], ASKER_SIGNER).records) == numbers
    assert [path for path, _ in directory.questions] == ["lookup"] * 3


@pytest.mark.parametrize(
    "answer", [LookupAnswer({CALLER: ()}), LookupAnswer({}, {}, (CALLED,)), LookupAnswer({CALLED: (), CALLER: ()})]
)
def test_an_answer_about_others_is_none(
    directory: DirectorySimulator, client: DirectoryClient, answer: LookupAnswer
) -> None:
    """Nor is one that omits everybody: the question would never end."""
    directory.rewrites = lambda _, __: Answer(HTTPStatus.OK, answer.to_json())
    with pytest.raises(AnswerError, match="other numbers"):
        client.look_up([CALLED])


def test_a_description_is_held_to_its_hash_and_url(directory: DirectorySimulator, client: DirectoryClient) -> None:
    """The map of directories tells the hash; the URL is what statements are signed for."""
    pinned = replace(client, sha256_hex=sha256(directory.description.to_json()).hexdigest())
    assert pinned.description() == client.description() == directory.description
    with pytest.raises(DescriptionError, match="SHA-256"):
        replace(client, sha256_hex="0" * 64).description()
    directory.description = replace(directory.description, url=OTHER_URL)
    with pytest.raises(DescriptionError, match="another URL"):
        client.description()


# The record log


def test_a_receipt_is_held_to_what_the_log_shows_now(client: DirectoryClient) -> None:
    """The tree of the receipt is the beginning of the tree that everybody is shown."""
    receipt = client.publish(published().token).receipt
    assert receipt is not None
    assert client.check(published(), receipt, client.description()).size == 1
    for sequence in range(2, 300):
        client.transport.record_log.hashes.append(sha256(b"%d" % sequence).digest())  # type: ignore[attr-defined]
    client.publish(published(record(sequence=300)).token)
    assert client.check(published(), receipt, client.description()).size == 300
    with pytest.raises(ReceiptError, match="does not prove"):
        client.check(published(record(sequence=9)), receipt, client.description())


def test_a_log_that_forgets_is_found_out(directory: DirectorySimulator, client: DirectoryClient) -> None:
    """An older tree, another history, or none: each is told."""
    client.publish(published().token)
    receipt = client.publish(published(record(sequence=2)).token).receipt
    assert receipt is not None
    statement, described = published(record(sequence=2)), client.description()
    honest = list(directory.record_log.hashes)
    directory.record_log.hashes[:] = honest[:1]
    directory.record_log.rebuild()
    with pytest.raises(ReceiptError, match="fewer entries"):
        client.check(statement, receipt, described)
    directory.record_log.hashes[:] = [honest[1], honest[0], sha256(b"more").digest()]
    directory.record_log.rebuild()
    with pytest.raises(ReceiptError, match="not a continuation"):
        client.check(statement, receipt, described)
    directory.record_log.hashes[:] = [*honest, sha256(b"more").digest()]
    directory.record_log.rebuild()
    assert client.check(statement, receipt, described).size == 3
    directory.record_log.files.pop("tile/0/000.p/3")
    with pytest.raises(ReceiptError, match="not a continuation"):
        client.check(statement, receipt, described)
    directory.record_log.files["checkpoint"] = FakeRecordLog("other.example/records").files["checkpoint"]
    with pytest.raises(ReceiptError, match="no checkpoint"):
        client.check(statement, receipt, described)


def test_a_receipt_may_come_later(directory: DirectorySimulator, client: DirectoryClient) -> None:
    """The record log takes a moment; the receipt is fetched by the statement's hash."""
    directory.logs = False
    assert client.publish(published().token).receipt is None
    assert client.receipt(published()) is None
    assert client.own_records(OWNER_SIGNER).records[0].receipt is None
    directory.record_log.add(published())
    receipt = client.receipt(published())
    assert receipt is not None
    receipt.verify(published(), directory.description)


# Refusals


def test_a_refusal_tells_what_to_do() -> None:
    """RFC 9457: the type's name, the detail and the wait are read; control characters are not shown."""
    answer = problem(HTTPStatus.TOO_MANY_REQUESTS, "quota-exceeded", "ask\x1b[2J\nlater" + "a" * 2000, seq=True)
    refused = DirectoryRefused("https://rs.example", replace(answer, headers={"retry-after": "60"}))
    assert (refused.kind, refused.retry_after, refused.is_busy) == ("quota-exceeded", 60, True)
    assert refused.sequence is None
    assert str(refused).isprintable()
    assert len(str(refused)) < LONGEST_REFUSAL + 100


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b"[" * 60_000, b'{"detail":1,"type":{}}'])
def test_a_refusal_without_a_reason_says_so(body: bytes) -> None:
    """A proxy's page is no reason, and does no harm."""
    refused = DirectoryRefused("https://rs.example", Answer(HTTPStatus.BAD_GATEWAY, body, {"retry-after": "soon"}))
    assert "gave no reason" in str(refused)
    assert (refused.kind, refused.sequence, refused.retry_after, refused.is_busy) == ("", None, None, True)


def test_nobody_there_is_told(directory: DirectorySimulator, client: DirectoryClient) -> None:
    """The transport's own error passes through."""
    directory.is_down = True
    with pytest.raises(Unreachable):
        client.look_up([CALLED])


@given(st.binary(max_size=40), st.sampled_from([200, 400, 500]))
def test_whatever_is_answered_gives_one_of_three_errors(body: bytes, status: int) -> None:
    """No answer makes the client raise anything else."""
    directory = DirectorySimulator(rewrites=lambda _, __: Answer(status, body))
    client = DirectoryClient(directory.url, directory, lambda: ISSUED_AT)
    asked = (
        lambda: client.look_up([CALLED]),
        lambda: client.publish(published().token),
        lambda: client.own_records(OWNER_SIGNER),
        client.description,
        lambda: client.receipt(published()),
        lambda: client.checkpoint(directory.description),
    )
    for ask in asked:
        with pytest.raises((DirectoryError, DirectoryRefused)):
            ask()


def test_the_clock_is_the_systems_unless_given(directory: DirectorySimulator) -> None:
    """Questions are signed with the time of now."""
    client = DirectoryClient(directory.url, directory)
    assert client.clock() > ISSUED_AT - 10**9
    assert client.look_up([CALLED], ASKER_SIGNER).records == {CALLED: ()}
    assert ASKER_SIGNER.number.digits not in repr(ASKER_SIGNER)
    assert SignedRecord.parse(published().token).number == CALLED


def test_a_statement_carries_as_many_further_chains_as_it_has_room_for() -> None:
    """The last chains are left out until the statement can be signed; the refusal without any is the caller's."""
    signer = Signer(ASKER.number, ASKER.key, ASKER.chain, (ASKER.chain, OWNER.chain))

    def with_room_for(most: int) -> Callable[[tuple[object, ...]], str]:
        def sign(more: tuple[object, ...]) -> str:
            if len(more) > most:
                raise StatementError("too large")
            return f"{len(more)} further chains"

        return sign

    assert signer.fitted(with_room_for(2)) == "2 further chains"
    assert signer.fitted(with_room_for(1)) == "1 further chains"
    with pytest.raises(StatementError, match="too large"):
        signer.fitted(with_room_for(-1))
