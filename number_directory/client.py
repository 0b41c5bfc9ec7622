"""Asking one directory: publishing, looking up, one's own records, and the record log that holds it to account.

What comes back is not believed here but for its form, and where a method says that it checks. `resolver` finds the
directory that has a number, and has its records judged.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from number_directory import description
from number_directory.description import LARGEST_DESCRIPTION, DirectoryDescription
from number_directory.errors import AnswerError, DescriptionError, ReceiptError, StatementError
from number_directory.hidden import LARGEST_BUCKET, Bucket, HiddenNumber, HiddenQuestion, find_in_bucket
from number_directory.hidden_lookup import (
    BUCKETS_PATH,
    EVALUATE_PATH,
    LARGEST_LAYOUT,
    HiddenAnswer,
    HiddenLayout,
    HiddenRecords,
    HiddenRequest,
    OpenHiddenRequest,
)
from number_directory.hidden_lookup import LARGEST_ANSWER as LARGEST_HIDDEN_ANSWER
from number_directory.lookup import LARGEST_ANSWER, MOST_NUMBERS, LookupAnswer, LookupRequest, OpenLookup
from number_directory.own_listing import LARGEST_LISTING, OwnAnswer, OwnListing
from number_directory.receipt import LARGEST_ACCEPTANCE, Acceptance, PublishReceipt
from number_directory.statement import MEDIA_TYPE, SignedStatement, statement_body
from stir.jws import Chain, encode_base64url
from stir.telephone_number import TelephoneNumber
from transparency.checkpoint import Checkpoint
from transparency.errors import NoteError, ProofError, TileError, TileMissingError
from transparency.merkle import consistency_proof, verify_consistency
from transparency.proof import LARGEST_PROOF
from transparency.signed_note import LARGEST_NOTE
from transparency.tiles import TILE_SIZE, TileReader
from transparency.transport import PATIENCE, Answer, Question, Transport

LONGEST_REFUSAL: Final = 1000
"""Characters of a directory's own words that are repeated."""

_REQUEST_ID_BYTES = 16
_NOT_FOUND = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_LARGEST_PROBLEM = 64 * 1024


class DirectoryRefused(Exception):
    """A directory said no. `status` is HTTP's, `kind` the last part of the problem's type, such as `outdated`.

    `sequence` is the number of the statement that counts, where that was the reason; `retry_after` the seconds to wait,
    None where the directory told none.
    """

    def __init__(self, who: str, answer: Answer) -> None:
        """Read a problem document (RFC 9457), as lines that a terminal shows and does not obey."""
        problem = _problem(answer)
        said = _line(problem.get("detail")) or _line(problem.get("title"))
        super().__init__(f"{who} refused (HTTP status {answer.status}): {said or 'it gave no reason'}")
        self.status = answer.status
        self.kind = _line(problem.get("type")).rpartition("/")[2].rpartition(":")[2].rpartition("#")[2]
        sequence = problem.get("seq")
        self.sequence = sequence if type(sequence) is int else None
        wait = answer.headers.get("retry-after", "")
        self.retry_after = int(wait) if wait.isascii() and wait.isdecimal() else None

    @property
    def is_busy(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True, slots=True)
class Signer:
    """A number that signs: its key, and the chains of its certificates, the first for readers that know one only."""

    number: TelephoneNumber
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: Chain = field(repr=False)
    more_chains: tuple[Chain, ...] = field(default=(), repr=False)

    def fitted(self, sign: Callable[[tuple[Chain, ...]], str]) -> str:
        """Return what `sign` makes of as many of the further chains as the statement has room for, the first ones.

        Raises what it raises without any.
        """
        more = self.more_chains
        while more:
            try:
                return sign(more)
            except StatementError:  # too many or too large
                more = more[:-1]
        return sign(())


@dataclass(frozen=True, slots=True)
class Shown:
    """What a directory shows of numbers, by number: the texts of their records, and of the moves of those that moved.

    `omitted` tells of how many records a hidden lookup found that there was no room for them. Nobody has checked any
    of it.
    """

    records: Mapping[TelephoneNumber, tuple[str, ...]]
    moves: Mapping[TelephoneNumber, str]
    omitted: Mapping[TelephoneNumber, int] = field(default_factory=dict)


def _seconds() -> int:
    return int(time.time())


@dataclass(frozen=True, slots=True)
class DirectoryClient:
    """One directory, asked over HTTP. Threads may share it.

    `url` is the directory's, without a slash at the end. `sha256_hex` is the SHA-256 that its description must have,
    None where nobody told. Each method raises Unreachable, DirectoryRefused, or DirectoryError for an answer that is
    none.
    """

    url: str
    transport: Transport
    clock: Callable[[], int] = _seconds
    sha256_hex: str | None = None
    patience: float = PATIENCE

    def description(self) -> DirectoryDescription:
        """Return what the directory says of itself, held to its hash and to the URL at which it was asked."""
        answer = self._get(description.PATH, LARGEST_DESCRIPTION)
        if self.sha256_hex is not None and sha256(answer.body).hexdigest() != self.sha256_hex:
            msg = f"the description of {self.url} is not the one with the SHA-256 that was told"
            raise DescriptionError(msg)
        read = DirectoryDescription.from_json(answer.body)
        if read.url != self.url:
            msg = f"{self.url} describes a directory at another URL"
            raise DescriptionError(msg)
        return read

    # What an owner does

    def publish(self, token: str) -> Acceptance:
        """Publish a signed record, or its withdrawal; its receipt is not checked: see `check`."""
        return self._state("records", token)

    def set_access_list(self, token: str) -> Acceptance:
        """Set a signed access list."""
        return self._state("access-lists", token)

    def move(self, token: str) -> Acceptance:
        """Tell of a signed move from this directory, or to it."""
        return self._state("moves", token)

    def own_records(self, signer: Signer) -> OwnAnswer:
        """Return what the directory keeps of the signer's number."""
        question = OwnListing(self.url, self.clock(), _request_id(), signer.number)
        token = signer.fitted(lambda more: question.sign(signer.key, signer.chain, more))
        return OwnAnswer.parse(self._post("own", statement_body(token), LARGEST_LISTING).body)

    # What a caller does

    def look_up(
        self, numbers: Sequence[TelephoneNumber], signer: Signer | None = None, tokens: Sequence[str] = ()
    ) -> Shown:
        """Return the records of numbers, signed for by `signer` or by nobody, with bearer tokens.

        As many questions are asked as it takes. An answer about other numbers than were asked for is none.
        """
        records: dict[TelephoneNumber, tuple[str, ...]] = {}
        moves: dict[TelephoneNumber, str] = {}
        waiting = list(dict.fromkeys(numbers))
        while waiting:
            answer = self._ask(tuple(waiting[:MOST_NUMBERS]), signer, tuple(tokens))
            records |= answer.records
            moves |= answer.moves
            waiting = [*answer.omitted, *waiting[MOST_NUMBERS:]]
        return Shown(records, moves)

    def _ask(
        self, numbers: tuple[TelephoneNumber, ...], signer: Signer | None, tokens: tuple[str, ...]
    ) -> LookupAnswer:
        if signer is None:
            body = OpenLookup(numbers, tokens).to_json()
        else:
            request = LookupRequest(self.url, self.clock(), _request_id(), numbers, tokens)
            body = statement_body(signer.fitted(lambda more: request.sign(signer.key, signer.chain, more)))
        answer = LookupAnswer.parse(self._post("lookup", body, LARGEST_ANSWER).body)
        if {*answer.records, *answer.omitted} != set(numbers) or not answer.records:
            msg = f"{self.url} answered about other numbers than were asked for"
            raise AnswerError(msg)
        return answer

    # What a caller does that shows no number

    def look_up_hidden(self, numbers: Sequence[TelephoneNumber], signer: Signer | None = None) -> Shown:
        """Return what anyone may see of numbers, without showing the numbers.

        The directory evaluates them blinded, for `signer` or for nobody, and hands out the buckets that they are in,
        for nobody. It is held to the key that its description names. Raises AnswerError where it offers none.
        """
        described = self.description()
        if described.hidden_key is None:
            msg = f"{self.url} does not look up numbers that are not shown to it"
            raise AnswerError(msg)
        layout, wanted = self._layout(), list(dict.fromkeys(numbers))
        hidden: dict[TelephoneNumber, HiddenNumber] = {}
        for start in range(0, len(wanted), MOST_NUMBERS):
            some = wanted[start : start + MOST_NUMBERS]
            hidden |= zip(some, self._evaluated(some, described.hidden_key, signer), strict=True)
        return _shown(hidden, self._in_buckets(hidden.values(), layout))

    def _evaluated(
        self, numbers: Sequence[TelephoneNumber], key: bytes, signer: Signer | None
    ) -> tuple[HiddenNumber, ...]:
        question = HiddenQuestion(numbers)
        if signer is None:
            body = OpenHiddenRequest(question.blinded).to_json()
        else:
            request = HiddenRequest(self.url, self.clock(), _request_id(), question.blinded)
            body = statement_body(signer.fitted(lambda more: request.sign(signer.key, signer.chain, more)))
        answer = HiddenAnswer.parse(self._post(EVALUATE_PATH, body, LARGEST_HIDDEN_ANSWER).body)
        return question.finish(answer.evaluated, key)

    def _layout(self) -> HiddenLayout:
        return HiddenLayout.parse(self._get(BUCKETS_PATH, LARGEST_LAYOUT).body)

    def _in_buckets(self, hidden: Iterable[HiddenNumber], layout: HiddenLayout) -> dict[bytes, bytes]:
        """Return what stands under labels in their buckets; where their depth has just changed, ask for it again."""
        for_each = list(hidden)
        found = self._found(for_each, layout)
        if found is None:
            found = self._found(for_each, self._layout())
        if found is None:
            msg = f"{self.url} has no bucket where it says that there is one"
            raise AnswerError(msg)
        return found

    def _found(self, hidden: Sequence[HiddenNumber], layout: HiddenLayout) -> dict[bytes, bytes] | None:
        """Return what stands under labels, None where a bucket is missing. Each is asked for once, in their order."""
        buckets: dict[Bucket, list[HiddenNumber]] = {}
        for one in hidden:
            buckets.setdefault(layout.bucket(one.label), []).append(one)
        found: dict[bytes, bytes] = {}
        for bucket in sorted(buckets):
            answer = self.transport.ask(self._question(f"{BUCKETS_PATH}/{bucket.name}", LARGEST_BUCKET))
            if answer.status in _NOT_FOUND:
                return None
            found |= find_in_bucket(self._accepted(answer).body, buckets[bucket])
        return found

    # The record log

    def receipt(self, statement: SignedStatement) -> PublishReceipt | None:
        """Return the receipt of a statement that the directory took; None while its record log has not come so far."""
        answer = self.transport.ask(self._question(f"receipts/{encode_base64url(statement.hash)}", LARGEST_PROOF))
        if answer.status in _NOT_FOUND:
            return None
        return PublishReceipt.parse(self._accepted(answer).body)

    def checkpoint(self, directory: DirectoryDescription) -> Checkpoint:
        """Return what the record log shows now, signed by its key; raise ReceiptError where it is not."""
        answer = self._get("checkpoint", LARGEST_NOTE)
        try:
            return Checkpoint.from_note(answer.body, directory.record_log)
        except NoteError as error:
            msg = f"{directory.name} shows no checkpoint of its record log: {error}"
            raise ReceiptError(msg) from error

    def check(self, statement: SignedStatement, receipt: PublishReceipt, directory: DirectoryDescription) -> Checkpoint:
        """Return the record log's checkpoint, whose tree still has the statement; raise ReceiptError where it has not.

        The receipt is held to the statement, and what the log shows to everybody now to what it signed in the receipt.
        """
        then = receipt.verify(statement, directory)
        now = self.checkpoint(directory)
        if now.size < then.size:
            msg = f"the record log of {directory.name} shows fewer entries than when it gave the receipt"
            raise ReceiptError(msg)
        try:
            proof = consistency_proof(TileReader(self._file, now.size, now.root), then.size, now.size)
            verify_consistency(then.size, now.size, proof, then.root, now.root)
        except (ProofError, TileError) as error:
            msg = f"the record log of {directory.name} is not a continuation of what it was at the receipt: {error}"
            raise ReceiptError(msg) from error
        return now

    def _file(self, path: str) -> bytes:
        answer = self.transport.ask(self._question(path, TILE_SIZE))
        if answer.status in _NOT_FOUND:
            msg = f"the record log has no {path}"
            raise TileMissingError(msg)
        return self._accepted(answer).body

    # How it is asked

    def _state(self, path: str, token: str) -> Acceptance:
        return Acceptance.parse(self._post(path, statement_body(token), LARGEST_ACCEPTANCE).body)

    def _get(self, path: str, largest: int) -> Answer:
        return self._accepted(self.transport.ask(self._question(path, largest)))

    def _post(self, path: str, body: bytes, largest: int) -> Answer:
        return self._accepted(self.transport.ask(self._question(path, largest, body)))

    def _question(self, path: str, largest: int, body: bytes | None = None) -> Question:
        largest = max(largest, _LARGEST_PROBLEM)
        return Question(f"{self.url}/{path}", body, MEDIA_TYPE, largest, self.patience)

    def _accepted(self, answer: Answer) -> Answer:
        if not answer.is_ok:
            raise DirectoryRefused(self.url, answer)
        return answer


def _shown(hidden: Mapping[TelephoneNumber, HiddenNumber], plain: Mapping[bytes, bytes]) -> Shown:
    """Return what buckets held of numbers; raise AnswerError where that is nothing of the kind."""
    nothing = HiddenRecords(())
    found = {
        number: HiddenRecords.parse(plain[one.label]) if one.label in plain else nothing
        for number, one in hidden.items()
    }
    return Shown(
        {number: one.records for number, one in found.items()},
        {number: one.move for number, one in found.items() if one.move is not None},
        {number: one.omitted for number, one in found.items() if one.omitted},
    )


def _request_id() -> str:
    return secrets.token_urlsafe(_REQUEST_ID_BYTES)


def _problem(answer: Answer) -> Mapping[str, Any]:
    try:
        document = json.loads(answer.body[:_LARGEST_PROBLEM].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _line(value: object) -> str:
    """Return a text as one line that a terminal shows and does not obey."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(one if one.isprintable() else " " for one in value).split())[:LONGEST_REFUSAL]
