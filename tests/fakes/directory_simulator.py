"""A directory in memory, made of the formats alone: honest unless one of its switches says which lie to tell.

It answers a `Transport`'s questions as a server does. Whom it admits is not looked into: signatures are.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from number_directory.access_list import Grant, Showing, SignedAccessList
from number_directory.description import DirectoryDescription
from number_directory.errors import StatementError
from number_directory.hidden import Bucket, HiddenKey, write_bucket
from number_directory.hidden_lookup import HiddenAnswer, HiddenRecords, SignedHiddenRequest, read_hidden_request
from number_directory.lookup import LookupAnswer, OpenLookup, SignedLookup, read_lookup
from number_directory.move import SignedMove
from number_directory.own_listing import Notice, OwnAnswer, OwnRecord, SignedOwnListing
from number_directory.receipt import Acceptance
from number_directory.record import SignedRecord
from number_directory.statement import SignedStatement, Succession, read_statement_body, supersedes
from stir.certificate import NumberCertificate
from stir.jws import encode_base64url
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_statements import URL
from tests.fakes.record_log import FakeRecordLog
from transparency.transport import Answer, Question, Unreachable

_PROBLEM = {"content-type": "application/problem+json"}


class _Refusal(Exception):
    """What the directory says no with."""

    def __init__(self, status: HTTPStatus, kind: str, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.answer = problem(status, kind, detail, **members)


def problem(status: HTTPStatus, kind: str, detail: str, **members: object) -> Answer:
    """Return a problem document (RFC 9457)."""
    document = {"type": f"urn:uuid:16980791-0ad8-4e83-a8fc-e5cc693db089#{kind}", "detail": detail, **members}
    return Answer(status, json.dumps(document).encode(), _PROBLEM)


@dataclass
class DirectorySimulator:
    """One directory with its record log."""

    url: str = URL
    records: dict[tuple[TelephoneNumber, str], SignedRecord] = field(default_factory=dict)
    access: dict[TelephoneNumber, SignedAccessList] = field(default_factory=dict)
    moves: dict[TelephoneNumber, SignedMove] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    remembers: dict[type[SignedStatement], int] = field(default_factory=dict)
    """By their kind, the highest `seq` of statements that ended: they are shown no more, and do not come back."""
    shows_instead: dict[TelephoneNumber, tuple[str, ...]] = field(default_factory=dict)
    """A lie: the texts that callers are shown for a number, whatever its owner published."""
    moves_instead: dict[TelephoneNumber, str] = field(default_factory=dict)
    """Another: the moves that callers are shown."""
    hidden: HiddenKey | None = None
    evaluates_by: HiddenKey | None = None
    """Another: the key by which it evaluates hidden numbers in place of its own."""
    seals_instead: HiddenRecords | None = None
    depth: int = 0
    callers: list[TelephoneNumber] = field(default_factory=list)
    """Who signed questions for hidden numbers."""
    omits_after: int = 100
    """How many numbers it answers about at once."""
    logs: bool = True
    """Whether accepted statements go to the record log at once."""
    access_is_shut: bool = False
    """Whether it takes no access lists at the moment."""
    is_down: bool = False
    hangs: threading.Event | None = None
    """Where it is there, each question waits for it."""
    rewrites: Callable[[str, Answer], Answer] = field(default=lambda _, answer: answer)
    """The last word on each answer, by the path."""
    questions: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the record log, named after the URL."""
        self.record_log = FakeRecordLog(f"{self.url.partition('://')[2]}/records")
        self.description = DirectoryDescription(
            "Example Directory", "Directory Operator", self.url, self.record_log.signer.verifier
        )

    def ask(self, question: Question) -> Answer:
        """Answer a question; raise Unreachable where it is for another host, or the directory is down."""
        if self.hangs is not None:
            self.hangs.wait(10)
        if self.is_down or not question.url.startswith(f"{self.url}/"):
            msg = "nobody answers"
            raise Unreachable(msg)
        path = question.url.removeprefix(f"{self.url}/")
        self.questions.append((path, question.body or b""))
        try:
            return self.rewrites(path, self._answer(path, question.body))
        except _Refusal as refusal:
            return self.rewrites(path, refusal.answer)
        except StatementError as error:
            return self.rewrites(path, problem(HTTPStatus.BAD_REQUEST, "malformed", str(error)))

    def _answer(self, path: str, body: bytes | None) -> Answer:
        if body is None:
            return self._file(path)
        if path == "hidden/evaluate":
            return Answer(HTTPStatus.OK, self._evaluate(body).to_json())
        posts = {"records": self._publish, "access-lists": self._grant, "moves": self._move, "own": self._own}
        if path == "lookup":
            return Answer(HTTPStatus.OK, self._look_up(body).to_json())
        return Answer(HTTPStatus.OK, posts[path](read_statement_body(body, 64 * 1024)).to_json())

    def _file(self, path: str) -> Answer:
        if path == "directory.json":
            return Answer(HTTPStatus.OK, self.description.to_json())
        if path == "hidden/buckets":
            return Answer(HTTPStatus.OK, b'{"depth":%d}' % self.depth)
        if path.startswith("hidden/buckets/"):
            return self._bucket(path.rpartition("/")[2])
        if path.startswith("receipts/"):
            known = {encode_base64url(one.hash): one for one in (*self.records.values(), *self.access.values())}
            statement = known.get(path.removeprefix("receipts/"))
            if statement is None or statement.hash not in self.record_log.hashes:
                return problem(HTTPStatus.NOT_FOUND, "not-found", "the record log has no such statement")
            return Answer(HTTPStatus.OK, self.record_log.receipt(statement).to_bytes())
        data = self.record_log.files.get(path)
        return problem(HTTPStatus.NOT_FOUND, "not-found", "there is none") if data is None else Answer(200, data)

    # What owners send

    def _publish(self, token: str) -> Acceptance:
        signed = SignedRecord.parse(token)
        key = (signed.number, signed.app)
        return self._accepted(signed, self.records.get(key), lambda: self.records.__setitem__(key, signed))

    def _grant(self, token: str) -> Acceptance:
        signed = SignedAccessList.parse(token)
        if self.access_is_shut:
            raise _Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "directoryBusy", "come again later")
        return self._accepted(
            signed, self.access.get(signed.number), lambda: self.access.__setitem__(signed.number, signed)
        )

    def _move(self, token: str) -> Acceptance:
        signed = SignedMove.parse(token)
        return self._accepted(
            signed, self.moves.get(signed.number), lambda: self.moves.__setitem__(signed.number, signed)
        )

    def _accepted(
        self,
        signed: SignedRecord | SignedAccessList | SignedMove,
        old: SignedRecord | SignedAccessList | SignedMove | None,
        store: Callable[[], None],
    ) -> Acceptance:
        _signer(signed)
        if signed.sequence <= self.remembers.get(type(signed), 0):
            raise _Refusal(HTTPStatus.CONFLICT, "outdated", "a newer one ended", seq=self.remembers[type(signed)])
        succession = supersedes(old, signed)
        if old is not None and succession in {Succession.OLDER, Succession.CONFLICT}:
            kind = "outdated" if succession is Succession.OLDER else "conflict"
            raise _Refusal(HTTPStatus.CONFLICT, kind, "another one counts", seq=old.sequence)
        store()
        if self.logs:
            self.record_log.add(signed)
        return Acceptance(succession, self.record_log.receipt(signed) if self.logs else None)

    def _own(self, token: str) -> OwnAnswer:
        signed = SignedOwnListing.parse(token)
        if signed.question.audience != self.url or _signer(signed) != signed.number:
            raise _Refusal(HTTPStatus.FORBIDDEN, "not-admitted", "this is not for you")
        own = [record for record in self.records.values() if record.number == signed.number]
        logged = self.record_log.hashes
        return OwnAnswer(
            tuple(OwnRecord(one, self.record_log.receipt(one) if one.hash in logged else None) for one in own),
            self.access.get(signed.number),
            self.moves.get(signed.number),
            tuple(self.notices),
        )

    # What callers ask

    def _look_up(self, body: bytes) -> LookupAnswer:
        asked = read_lookup(body)
        if isinstance(asked, SignedLookup):
            if asked.request.audience != self.url:
                raise _Refusal(HTTPStatus.FORBIDDEN, "wrong-audience", "aud is another directory")
            grants = asked.grants(_signer(asked))
        else:
            grants = asked.grants()
        shown, moved = {}, {}
        for number in asked.numbers[: self.omits_after]:
            apps = [app for owner, app in sorted(self.records, key=str) if owner == number]
            seen = {app: self._shows(number, app, grants) for app in apps}
            shown[number] = self.shows_instead.get(number) or tuple(
                self._text(number, app, how) for app, how in seen.items() if how is not Showing.NOTHING
            )
            if number in self.moves and any(how is not Showing.NOTHING for how in seen.values()):
                shown[number], moved[number] = (), self.moves[number].token
            if number in self.moves_instead:
                moved[number] = self.moves_instead[number]
        return LookupAnswer(shown, moved, asked.numbers[self.omits_after :])

    def _shows(self, number: TelephoneNumber, app: str, grants: frozenset[Grant]) -> Showing:
        listed = self.access.get(number)
        if listed is None or not listed.shares_key_with(self.records[number, app]):
            return Showing.NOTHING
        return listed.access_list.shows(app, grants)

    # What is asked without showing a number

    def offer_hidden(self) -> None:
        """Begin to answer for hidden numbers, and say so in the description."""
        self.hidden = HiddenKey(bytes(range(32)), self.url)
        self.description = replace(self.description, hidden_key=self.hidden.public_key)

    def _evaluate(self, body: bytes) -> HiddenAnswer:
        asked = read_hidden_request(body)
        if isinstance(asked, SignedHiddenRequest):
            if asked.request.audience != self.url:
                raise _Refusal(HTTPStatus.FORBIDDEN, "wrong-audience", "aud is another directory")
            self.callers.append(_signer(asked))
        assert self.hidden is not None
        return HiddenAnswer((self.evaluates_by or self.hidden).evaluate(asked.blinded))

    def _bucket(self, name: str) -> Answer:
        bucket = Bucket.parse(name)
        if bucket.depth != self.depth or self.hidden is None:
            return problem(HTTPStatus.NOT_FOUND, "not-found", "there is no such bucket now")
        entries = {}
        for number in {owner for owner, _ in self.records}:
            shown = self._look_up(OpenLookup((number,)).to_json())
            found = HiddenRecords.fitting(shown.records[number], shown.moves.get(number))
            hidden = self.hidden.hidden(number)
            if (found.records or found.move) and Bucket.of(hidden.label, self.depth) == bucket:
                entries[hidden.label] = hidden.seal((self.seals_instead or found).to_json())
        return Answer(HTTPStatus.OK, write_bucket(entries))

    def _text(self, number: TelephoneNumber, app: str, how: Showing) -> str:
        record = self.records[number, app]
        return record.token if how is Showing.WITH_MEDIA else record.without_media


def _signer(signed: SignedStatement) -> TelephoneNumber:
    """Return the number of the certificate that signed."""
    leaf = NumberCertificate.read(signed.chain[0])
    signed.verify(leaf.public_key)
    return leaf.number


@dataclass
class Directories:
    """A transport to several directories, by their URLs."""

    every: tuple[DirectorySimulator, ...]

    def ask(self, question: Question) -> Answer:
        """Have the directory answer that the question is for."""
        for one in self.every:
            if question.url.startswith(f"{one.url}/"):
                return one.ask(question)
        msg = "nobody answers there"
        raise Unreachable(msg)
