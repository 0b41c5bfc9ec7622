"""What a number's owner does at a directory: publish, withdraw, grant, move, and hold the directory to account.

The directory tells its owner what it keeps, and is believed only as far as the owner's own signatures go: nothing is
signed anew that the owner did not sign before.

An access list opens what its own key has signed. Each renewal brings a new key, so that whoever publishes, or says who
may see what, has what the owner's former keys signed there signed by the present one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from number_directory.access_list import (
    AccessList,
    Grant,
    Showing,
    SignedAccessList,
    grants_of,
    sign_access_list,
)
from number_directory.client import DirectoryClient, DirectoryRefused, Signer
from number_directory.description import DirectoryDescription
from number_directory.errors import AccessListError, ReceiptError, RecordError, StatementError
from number_directory.move import Move, SignedMove
from number_directory.own_listing import OwnAnswer, OwnRecord
from number_directory.receipt import Acceptance
from number_directory.record import Medium, Record, SignedRecord, latest_expiry, sign_record
from stir.certificate import NumberCertificate
from stir.errors import CertificateProfileError
from stir.jws import Chain
from stir.telephone_number import TelephoneNumber

RECEIPT_SECONDS: Final = 300
"""How old a record may be whose receipt is not there yet."""

_HIGHEST_FOREIGN = 2**52
_FOREIGN_LIST = (
    "the directory has an access list that no key of yours has signed, perhaps a former holder's, or one whose "
    "certificate you revoked: nobody sees what you publish before you say, from scratch, who may"
)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that an owner looked at: what it is, whether it is as it should be, and what was found, in words."""

    what: str
    is_good: bool
    told: str


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody as whom an owner looks itself up: in words, by which client, signing or not, or without being shown."""

    name: str
    client: DirectoryClient
    signer: Signer | None = None
    hidden: bool = False

    @property
    def grants(self) -> frozenset[Grant]:
        """What admits whoever asks so: by a hidden lookup, what admits anyone."""
        return grants_of(None if self.hidden or self.signer is None else self.signer.number)

    def look_up(self, number: TelephoneNumber) -> tuple[str, ...]:
        """Return what is shown of a number."""
        if self.hidden:
            return self.client.look_up_hidden([number], self.signer).records[number]
        return self.client.look_up([number], self.signer).records[number]


@dataclass(frozen=True, slots=True)
class NewRecord:
    """What an owner wants to publish; the rest of a record follows. `expires_at` None is with the certificate."""

    app: str
    uris: tuple[str, ...] = field(repr=False)
    media: frozenset[Medium] = frozenset()
    section: bytes | None = field(default=None, repr=False)
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """A number's owner at one directory.

    `is_own_key` tells whether a key is or was the owner's, `is_lost_key` whether somebody else may have it: what that
    signed is not signed anew. Sequence numbers are times, or one more than the last, so that they grow also for an
    owner who remembers nothing. `tell` hears in words of what else was signed or found on the way. Each method raises
    what the client raises.
    """

    client: DirectoryClient
    signer: Signer
    is_own_key: Callable[[ec.EllipticCurvePublicKey], bool]
    tell: Callable[[str], object] = lambda _: None
    is_lost_key: Callable[[ec.EllipticCurvePublicKey], bool] = lambda _: False

    def listing(self) -> OwnAnswer:
        """Return what the directory keeps, unchecked."""
        return self.client.own_records(self.signer)

    def publish(self, new: NewRecord) -> tuple[SignedRecord, Acceptance]:
        """Publish a record for an app, or replace it."""
        kept = self.listing()
        published = self._publish(new, new.media, kept.record(new.app))
        self._bring_along(kept, but=new.app)
        return published

    def withdraw(self, app: str) -> tuple[SignedRecord, Acceptance]:
        """Say that the number is not on an app any more."""
        return self._publish(NewRecord(app, ()), None, self.listing().record(app))

    def _publish(
        self, new: NewRecord, media: frozenset[Medium] | None, old: SignedRecord | None
    ) -> tuple[SignedRecord, Acceptance]:
        now, signer = self.client.clock(), self.signer

        def signed(more: tuple[Chain, ...]) -> str:
            last = latest_expiry([signer.chain, *more])
            ends = last if new.expires_at is None else min(new.expires_at, last)
            record = Record(signer.number, new.app, new.uris, media, self._after(old), now, ends, new.section)
            return sign_record(record, signer.key, signer.chain, more)

        token = signer.fitted(signed)
        return SignedRecord.parse(token), self.client.publish(token)

    # What former keys of the owner's have signed

    def _bring_along(self, kept: OwnAnswer, but: str | None = None) -> None:
        """Sign what former keys have signed with the present one, the access list last; a next time mends a half."""
        listed = kept.access_list
        if listed is not None and not self._is_meant(listed):
            self.tell(_FOREIGN_LIST)
        elif listed is not None and listed.chain[0].public_key() != self.signer.key.public_key():
            brought = self._bring_records(kept, but)
            self._set_list(listed.access_list, self._after(listed))
            self._tell_brought([*brought, "the access list"])

    def _bring_records(self, kept: OwnAnswer, but: str | None = None) -> list[str]:
        """Sign with the present key what the list of a former one opens, and return the apps.

        Nothing else: what ended with a revoked certificate stays ended, as the list did.
        """
        listed = kept.access_list
        if listed is None or not self._is_meant(listed):
            return []
        brought = []
        for old in (own.record for own in kept.records):
            is_opened = old.is_whole and _is_alive(old, self.client.clock()) and listed.shares_key_with(old)
            if old.app != but and is_opened and self._is_of_former_key(old):
                self._sign_anew(old, old)
                brought.append(old.app)
        return brought

    def _sign_anew(self, record: SignedRecord, old: SignedRecord) -> None:
        """Publish what a record states, in the place of another, until the record would have ended at the latest."""
        stated = record.record
        same = NewRecord(stated.app, stated.uris, section=stated.section, expires_at=stated.expires_at)
        self._publish(same, stated.media, old)

    def _tell_brought(self, brought: Sequence[str]) -> None:
        if brought:
            self.tell(f"signed with your present key, too: {', '.join(brought)}")

    def _is_meant(self, list_: SignedAccessList) -> bool:
        """Tell whether an access list is what the owner wants: signed by a key that nobody else has."""
        key = list_.chain[0].public_key()
        is_kept = isinstance(key, ec.EllipticCurvePublicKey) and not self.is_lost_key(key)
        return is_kept and self.is_own(list_)

    def _is_of_former_key(self, statement: SignedRecord) -> bool:
        return statement.chain[0].public_key() != self.signer.key.public_key() and self.is_own(statement)

    # Who may see what

    def access_list(self) -> AccessList:
        """Return the access list that counts, an empty one where there is none.

        Raises AccessListError where the directory shows one that the owner did not sign.
        """
        return self._own_list(self.listing().access_list)

    def _empty_list(self) -> AccessList:
        return AccessList(self.signer.number, 1, 0)

    def _own_list(self, kept: SignedAccessList | None) -> AccessList:
        if kept is None:
            return self._empty_list()
        if not self._is_meant(kept):
            msg = "the directory shows an access list that no key of yours has signed: start one from scratch"
            raise AccessListError(msg)
        return kept.access_list

    def grant(
        self, change: Callable[[AccessList], AccessList], *, from_scratch: bool = False
    ) -> tuple[SignedAccessList, Acceptance]:
        """Set the access list that `change` makes of the one that counts, or of an empty one."""
        try:
            return self._grant(change, from_scratch=from_scratch)
        except DirectoryRefused as refused:
            return self._grant(change, from_scratch=from_scratch, least=_above(refused))

    def _grant(
        self, change: Callable[[AccessList], AccessList], *, from_scratch: bool, least: int = 1
    ) -> tuple[SignedAccessList, Acceptance]:
        kept = self.listing()
        changed = change(self._empty_list() if from_scratch else self._own_list(kept.access_list))
        self._tell_brought(self._bring_records(kept))
        return self._set_list(changed, max(least, self._after(kept.access_list)))

    def _set_list(self, list_: AccessList, sequence: int) -> tuple[SignedAccessList, Acceptance]:
        stated = replace(list_, sequence=sequence, issued_at=self.client.clock())
        signer = self.signer
        token = signer.fitted(lambda more: sign_access_list(stated, signer.key, signer.chain, more))
        return SignedAccessList.parse(token), self.client.set_access_list(token)

    def move_to(self, destination: DirectoryClient) -> tuple[SignedMove, tuple[str, ...]]:
        """Move the number to another directory, with its records and its access list; return the apps that went along.

        The new directory has all before the old one sends anybody on. What it had before, and ended there when the
        number moved away, is signed anew.
        """
        before = self.listing()
        if before.move is None:  # where it has moved away already, nothing is taken
            self._bring_along(before)
        kept, now = self.listing(), self.client.clock()
        there = replace(self, client=destination)
        theirs = there.listing()
        after = max(self._after(kept.move), self._after(theirs.move))
        move = there._tell_of(Move(self.signer.number, self.client.url, destination.url, after, now))  # noqa: SLF001  # this class's
        alive = [own.record for own in kept.records if self.is_own(own.record) and _is_alive(own.record, now)]
        for record in alive:
            there._take_along(record, theirs.record(record.app))  # noqa: SLF001  # as above
        if kept.access_list is not None and self.is_own(kept.access_list):
            there._take_list_along(kept.access_list)  # noqa: SLF001  # as above
        told = self._tell_of(move.move)
        if told != move:
            destination.move(told.token)
        return told, tuple(record.app for record in alive)

    def _tell_of(self, move: Move) -> SignedMove:
        """Tell the directory of a move, by a higher number where it remembers a move that ended."""
        try:
            return self._send(move)
        except DirectoryRefused as refused:
            return self._send(replace(move, sequence=_above(refused)))

    def _send(self, move: Move) -> SignedMove:
        signer = self.signer
        token = signer.fitted(lambda more: move.sign(signer.key, signer.chain, more))
        self.client.move(token)
        return SignedMove.parse(token)

    def _take_along(self, record: SignedRecord, had: SignedRecord | None) -> None:
        """Publish a record that another directory has; sign it anew where this one had it before."""
        if had is None or had.sequence < record.sequence:
            self.client.publish(record.token)
        else:
            self._sign_anew(record, had)

    def _take_list_along(self, list_: SignedAccessList) -> None:
        try:
            self.client.set_access_list(list_.token)
        except DirectoryRefused as refused:
            self._set_list(list_.access_list, _above(refused))

    def is_own(self, statement: SignedRecord | SignedAccessList | SignedMove) -> bool:
        """Tell whether a statement is of this number, and signed by a key that is or was the owner's."""
        try:
            leaf = NumberCertificate.read(statement.chain[0])
            statement.verify(leaf.public_key)
        except (CertificateProfileError, StatementError):
            return False
        return {leaf.number, statement.number} == {self.signer.number} and self.is_own_key(leaf.public_key)

    def _after(self, old: SignedRecord | SignedAccessList | SignedMove | None) -> int:
        """Return the next sequence number. One that the owner did not sign may not use all numbers up."""
        if old is None or (old.sequence >= _HIGHEST_FOREIGN and not self.is_own(old)):
            return self.client.clock()
        return max(old.sequence + 1, self.client.clock())

    # Holding the directory to account

    def examine(self, viewers: Sequence[Viewer]) -> tuple[OwnAnswer, tuple[Check, ...]]:
        """Return what the directory keeps, with what was found of it and of what it shows to each of `viewers`."""
        kept = self.listing()
        return kept, (*self._examine_records(kept), *self._examine_list(kept), *self._examine_views(kept, viewers))

    def _examine_records(self, kept: OwnAnswer) -> Iterator[Check]:
        if not kept.records:
            return
        directory = self.client.description()
        for own in kept.records:
            try:
                is_good, told = self._examined(own, directory)
            except ReceiptError as error:
                is_good, told = False, str(error)
            yield Check(own.record.app, is_good, told)

    def _examined(self, own: OwnRecord, directory: DirectoryDescription) -> tuple[bool, str]:
        """Tell whether a record is the owner's and in the record log; raise ReceiptError for a wrong receipt."""
        if not self.is_own(own.record):
            return False, "no key of yours has signed this record"
        if own.receipt is None:
            is_young = self.client.clock() - own.record.issued_at < RECEIPT_SECONDS
            return is_young, "the record log does not have it yet"
        size = self.client.check(own.record, own.receipt, directory).size
        return True, f"proved to be in the record log, which has {size} entries now"

    def _examine_list(self, kept: OwnAnswer) -> Iterator[Check]:
        if kept.access_list is not None:
            is_own = self.is_own(kept.access_list)
            yield Check("access list", is_own, "signed by you" if is_own else "no key of yours has signed it")

    def _examine_views(self, kept: OwnAnswer, viewers: Iterable[Viewer]) -> Iterator[Check]:
        """Compare what others are shown with what the access list says; a number that has moved shows nothing."""
        now, number, listed = self.client.clock(), self.signer.number, kept.access_list
        own = {one.record.app: one.record for one in kept.records if kept.move is None and _is_alive(one.record, now)}
        for viewer in viewers:
            due = {app: _due(listed, record, viewer.grants) for app, record in own.items()}
            faults = tuple(_faults(own, due, viewer.look_up(number)))
            if faults and viewer.hidden and now - _newest(kept) < RECEIPT_SECONDS:
                yield Check(viewer.name, is_good=True, told="not yet as you published it lately: look again in a while")
                continue
            seen = ", ".join(sorted(app for app, how in due.items() if how is not Showing.NOTHING)) or "nothing"
            yield Check(viewer.name, not faults, "; ".join(faults) or f"sees what you allow: {seen}")


def _above(refused: DirectoryRefused) -> int:
    """Return the number after that of a statement that ended: it is remembered, and not shown any more.

    Raises the refusal where it has another reason, or would use all numbers up.
    """
    if refused.kind != "outdated" or refused.sequence is None or not 0 < refused.sequence < _HIGHEST_FOREIGN:
        raise refused
    return refused.sequence + 1


def _newest(kept: OwnAnswer) -> int:
    """Return when the owner last changed something, by its own word."""
    lists = () if kept.access_list is None else (kept.access_list.issued_at,)
    return max((*lists, *(one.record.issued_at for one in kept.records)), default=0)


def _due(listed: SignedAccessList | None, record: SignedRecord, grants: frozenset[Grant]) -> Showing:
    """Return what an access list shows of a record: of another key's, nothing."""
    if listed is None or not listed.shares_key_with(record):
        return Showing.NOTHING
    return listed.access_list.shows(record.app, grants)


def _is_alive(record: SignedRecord, now: int) -> bool:
    return not record.record.is_withdrawn and record.record.expires_at > now


def _faults(own: Mapping[str, SignedRecord], due: Mapping[str, Showing], texts: Iterable[str]) -> Iterator[str]:
    """Yield in what somebody is shown something else than is due."""
    seen = set()
    for text in texts:
        try:
            shown = SignedRecord.parse(text)
        except RecordError:
            yield "is shown something that is no record"
            continue
        seen.add(shown.app)
        if shown.app not in own or shown.content != own[shown.app].content:
            yield f"is shown another record for {shown.app} than yours"
        elif due[shown.app] is Showing.NOTHING:
            yield f"sees {shown.app}, which you do not allow"
        elif shown.is_whole != (due[shown.app] is Showing.WITH_MEDIA):
            yield f"{'sees' if shown.is_whole else 'does not see'} the media of {shown.app}, against what you allow"
    for app in sorted(app for app, how in due.items() if how is not Showing.NOTHING and app not in seen):
        yield f"does not see {app}, which you allow"
