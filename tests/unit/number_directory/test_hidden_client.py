"""A caller that looks numbers up without showing them, at directories that are honest or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

import pytest

from number_directory.access_list import ANYONE, AccessList, AppAccess, Grant, sign_access_list
from number_directory.client import DirectoryClient, DirectoryRefused, Signer
from number_directory.errors import AnswerError
from number_directory.hidden import HiddenKey
from number_directory.hidden_lookup import HiddenRecords, OpenHiddenRequest, SignedHiddenRequest, read_hidden_request
from number_directory.move import Move
from number_directory.record import SignedRecord
from number_directory.resolver import OnePlace, Place, Resolver
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_simulator import Directories, DirectorySimulator, problem
from tests.fakes.directory_statements import ASKER, CHAT, ISSUED_AT, OTHER_URL, OWNER, URL, VIDEO, published, record
from tests.fakes.small_pki import CALLED, CALLER, NOW, STRANGER
from tests.unit.number_directory.test_resolver import RootJudge, with_record
from transparency.transport import Answer

SIGNER = Signer(ASKER.number, ASKER.key, ASKER.chain)


@pytest.fixture
def directory() -> DirectorySimulator:
    """Return a directory that shows the owner's chat to anyone, also to those who do not show the number."""
    made = with_record(DirectorySimulator(), record())
    made.offer_hidden()
    made.questions.clear()
    return made


def client(directory: DirectorySimulator) -> DirectoryClient:
    """Return a client of the directory."""
    return DirectoryClient(directory.url, directory, lambda: ISSUED_AT)


def resolver(*directories: DirectorySimulator, signer: Signer | None = None) -> Resolver:
    """Return a resolver that shows no numbers."""
    every = Directories(directories)
    return Resolver(
        lambda place: DirectoryClient(place.url, every, lambda: ISSUED_AT),
        RootJudge(),
        signer,
        clock=lambda: NOW,
        hidden=True,
    )


@pytest.mark.parametrize("signer", [None, SIGNER])
def test_what_is_open_to_anyone_is_found(directory: DirectorySimulator, signer: Signer | None) -> None:
    """The same records as an open lookup shows, and nothing of a number that has none."""
    shown = client(directory).look_up_hidden([CALLED, STRANGER, CALLED], signer)
    assert shown.records == client(directory).look_up([CALLED, STRANGER]).records
    assert [SignedRecord.parse(text).app for text in shown.records[CALLED]] == [CHAT]
    assert (shown.moves, shown.omitted) == ({}, {})
    assert directory.callers == ([] if signer is None else [CALLER])


def test_no_number_is_in_any_question(directory: DirectorySimulator) -> None:
    """What goes to the directory is its description's address, blinded elements, and the name of a bucket."""
    client(directory).look_up_hidden([CALLED], SIGNER)
    paths = [path for path, _ in directory.questions]
    assert paths == ["directory.json", "hidden/buckets", "hidden/evaluate", "hidden/buckets/0-0"]
    asked = read_hidden_request(dict(directory.questions)["hidden/evaluate"])
    assert isinstance(asked, SignedHiddenRequest)
    assert CALLED.digits.encode() not in b"".join(body for _, body in directory.questions)
    assert CALLED.digits.encode() not in asked.content


def test_two_questions_for_one_number_have_nothing_in_common(directory: DirectorySimulator) -> None:
    """A directory cannot tell that a caller asks for the same number again."""
    for _ in range(2):
        client(directory).look_up_hidden([CALLED])
    questions = [read_hidden_request(body) for path, body in directory.questions if path == "hidden/evaluate"]
    one, other = (asked.blinded for asked in questions if isinstance(asked, OpenHiddenRequest))
    assert set(one).isdisjoint(other)


def test_many_numbers_are_asked_for_in_several_questions(directory: DirectorySimulator) -> None:
    """A hundred at a time; each bucket is fetched once, and in the order of their names."""
    directory.depth = 3
    numbers = [CALLED, *(TelephoneNumber(f"1303555{last:04}") for last in range(120))]
    shown = client(directory).look_up_hidden(numbers)
    assert [number for number, texts in shown.records.items() if texts] == [CALLED]
    paths = [path for path, _ in directory.questions]
    assert paths.count("hidden/evaluate") == 2
    buckets = [path for path in paths if path.startswith("hidden/buckets/")]
    assert buckets == [f"hidden/buckets/3-{index}" for index in range(8)]


def test_another_depth_meanwhile_is_asked_for_again(directory: DirectorySimulator) -> None:
    """Buckets that were laid out anew are no reason to pay again."""
    told = iter([b'{"depth":1}', b'{"depth":0}'])
    directory.rewrites = lambda path, answer: Answer(200, next(told)) if path == "hidden/buckets" else answer
    assert client(directory).look_up_hidden([CALLED]).records[CALLED]
    assert [path for path, _ in directory.questions].count("hidden/evaluate") == 1


def test_a_bucket_that_is_never_there_is_an_error(directory: DirectorySimulator) -> None:
    """The same depth told twice, and no bucket of it."""
    directory.rewrites = lambda path, answer: Answer(200, b'{"depth":1}') if path == "hidden/buckets" else answer
    with pytest.raises(AnswerError, match="no bucket"):
        client(directory).look_up_hidden([CALLED])


def test_a_directory_that_offers_none_is_not_shown_the_number_instead(directory: DirectorySimulator) -> None:
    """Nothing is asked but its description; a resolver tells it, and does not fall back to an open lookup."""
    directory.description = replace(directory.description, hidden_key=None)
    with pytest.raises(AnswerError, match="not shown to it"):
        client(directory).look_up_hidden([CALLED])
    (found,) = resolver(directory).resolve(OnePlace(Place(URL)), [CALLED])
    assert not found.is_answered
    assert "not shown to it" in found.told[0]
    assert {path for path, _ in directory.questions} == {"directory.json"}


LIES: dict[str, tuple[Callable[[DirectorySimulator], object], str]] = {
    "another key": (lambda one: setattr(one, "evaluates_by", HiddenKey(bytes(32), URL)), "key that its description"),
    "too deep": (lambda one: setattr(one, "depth", 21), "tell too much"),
    "no records": (lambda one: _rewrite(one, "hidden/buckets/0-0", b"x"), "ends within"),
    "no answer": (lambda one: _rewrite(one, "hidden/evaluate", b"{}"), "cannot be read"),
    "no layout": (lambda one: _rewrite(one, "hidden/buckets", b"[]"), "cannot be read"),
}


def _rewrite(directory: DirectorySimulator, path: str, body: bytes) -> None:
    directory.rewrites = lambda asked, answer: Answer(200, body) if asked == path else answer


@pytest.mark.parametrize("lie", LIES)
def test_a_directory_that_lies_is_found_out(directory: DirectorySimulator, lie: str) -> None:
    """No bucket is asked for after an answer by another key, which could mark the caller, nor one too deep."""
    tell, found_out = LIES[lie]
    tell(directory)
    with pytest.raises(AnswerError, match=found_out):
        client(directory).look_up_hidden([CALLED])
    if lie in {"another key", "too deep"}:
        assert not [path for path, _ in directory.questions if path.startswith("hidden/buckets/")]


def test_a_description_with_another_key_is_not_the_one_that_was_told(directory: DirectorySimulator) -> None:
    """Where the map names the description by its hash, a key for this caller alone is found out before any question."""
    asking = replace(client(directory), sha256_hex="0" * 64)
    with pytest.raises(ValueError, match="SHA-256"):
        asking.look_up_hidden([CALLED])
    assert [path for path, _ in directory.questions] == ["directory.json"]


def test_a_refusal_is_told(directory: DirectorySimulator) -> None:
    """Quotas are told as in an open lookup."""
    refused = problem(HTTPStatus.TOO_MANY_REQUESTS, "quotaExceeded", "too many numbers")
    directory.rewrites = lambda path, answer: refused if path == "hidden/evaluate" else answer
    with pytest.raises(DirectoryRefused, match="too many numbers"):
        client(directory).look_up_hidden([CALLED])


def test_records_are_judged_as_ever(directory: DirectorySimulator) -> None:
    """A resolver believes its own judge: a record that the directory put there itself is refused."""
    (found,) = resolver(directory, signer=SIGNER).resolve(OnePlace(Place(URL)), [CALLED])
    assert list(found.verified) == [CHAT]
    stranger = published(record(number=STRANGER), by=replace(OWNER))
    directory.seals_instead = HiddenRecords((stranger.token,))
    (found,) = resolver(directory).resolve(OnePlace(Place(URL)), [CALLED])
    assert [one.judgement.rule for one in found.listings] == ["certified-number"]


def test_what_found_no_room_is_told(directory: DirectorySimulator) -> None:
    """The caller may look it up openly, if it likes."""
    directory.seals_instead = HiddenRecords((published().token,), None, 3)
    (found,) = resolver(directory).resolve(OnePlace(Place(URL)), [CALLED])
    assert found.told == (f"{URL} has 3 more records, which a lookup that shows the number would find",)
    (found,) = resolver(directory).side_by_side([Place(URL)], [CALLED])
    assert "3 more records" in found.told[0]


def test_a_move_is_followed_without_showing_the_number(directory: DirectorySimulator) -> None:
    """The next directory is asked in the same way; it is shown no number either."""
    there = with_record(DirectorySimulator(OTHER_URL), record(VIDEO))
    there.offer_hidden()
    move = Move(CALLED, URL, OTHER_URL, 1, ISSUED_AT).sign(OWNER.key, OWNER.chain)
    client(directory).move(move)
    there.questions.clear()
    directory.questions.clear()
    (found,) = resolver(directory, there).resolve(OnePlace(Place(URL)), [CALLED])
    assert list(found.verified) == [VIDEO]
    assert found.asked == (URL, OTHER_URL)
    for one in (directory, there):
        assert CALLED.digits.encode() not in b"".join(body for _, body in one.questions)


def test_what_is_not_open_to_anyone_is_not_found(directory: DirectorySimulator) -> None:
    """Not by the caller to whom it is open either: it looks that up openly."""
    access = AccessList(CALLED, 2, ISSUED_AT, AppAccess(frozenset({Grant.to_number(CALLER)})))
    client(directory).set_access_list(sign_access_list(access, OWNER.key, OWNER.chain))
    assert client(directory).look_up_hidden([CALLED], SIGNER).records == {CALLED: ()}


def test_media_are_found_where_anyone_may_see_them(directory: DirectorySimulator) -> None:
    """A record in a bucket may come without its media."""
    access = AppAccess(frozenset({ANYONE}), frozenset())
    token = sign_access_list(AccessList(CALLED, 2, ISSUED_AT, access), OWNER.key, OWNER.chain)
    client(directory).set_access_list(token)
    (text,) = client(directory).look_up_hidden([CALLED]).records[CALLED]
    assert SignedRecord.parse(text).record.media is None
