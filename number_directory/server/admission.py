"""Whose statements are taken: the numbers that an authority on the operator's admission list certifies.

That keeps spam out, and vouches for nothing: readers judge each record by their own trust store.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from number_directory.errors import StatementError
from number_directory.record import SignedRecord
from number_directory.server.errors import ConfigurationError, Refusal, RefusalKind
from number_directory.statement import SignedStatement
from serving.log import facts
from stir.jws import Chain
from stir.telephone_number import TelephoneNumber
from trust_store import Outcome, Purpose, Rule, TrustStore
from trust_store.errors import TrustStoreError

_log = logging.getLogger(__name__)

_REMEMBERED_CHAINS = 4096
_JUDGED_AGAIN_AFTER = timedelta(seconds=30)
_LIST_LOOKED_AT_AFTER = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A number's certificate that leads to an admitted authority.

    `authorities` are the certificates above it, as far as that one's: what else its holder put into the chain is not
    among them.
    """

    authorities: Chain
    number: TelephoneNumber
    public_key: ec.EllipticCurvePublicKey
    not_before: datetime
    not_after: datetime
    serial: bytes
    crl_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What was found of a chain, until when that holds, and by which state of the list."""

    found: Admitted | Refusal
    until: datetime
    by: TrustStore


_Asked: TypeAlias = tuple[tuple[Chain, ...], str | None]
"""The chains that are judged, of which the first is to be believed, and the app that they are for."""


class Admission:
    """Tells which statements may be taken. Threads may share it.

    The list is a trust store of its own: statements are judged as records are, all chains of one together where it asks
    for a quorum. It is read again when one of its files has changed; one that has become unreadable leaves the last
    good one in force.
    """

    def __init__(self, load: Callable[[], TrustStore], stamp: Callable[[], object], now: datetime) -> None:
        """Load the list; `stamp` returns something else once that must be done again. Raises ConfigurationError."""
        self._load, self._stamp = load, stamp
        self._loaded = stamp()
        try:
            self._list = load()
        except TrustStoreError as error:
            msg = f"admission: {error}"
            raise ConfigurationError(msg) from error
        self._looked_at = now
        self._judged: OrderedDict[_Asked, _Judged] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of_file(cls, path: Path, now: datetime) -> Admission:
        """Return the admission by a `trust.toml`, with the revocation lists that are at hand beside it."""
        files: tuple[Path, ...] = (path,)

        def load() -> TrustStore:
            nonlocal files
            found = TrustStore.load(path)
            files = found.files
            return found

        return cls(load, lambda: tuple(map(_stamp, files)), now)

    def admit(self, statement: SignedStatement, number: TelephoneNumber | None, at: datetime) -> Admitted:
        """Return the certificate of a statement that `number`, None for any, has signed; raise Refusal.

        Any of the chains that it brings will do, unless the list asks for a quorum.
        """
        refusal: Refusal | None = None
        for chain in statement.chains:
            found = self.admit_by(chain, statement, number, at)
            if isinstance(found, Admitted):
                return found
            refusal = refusal or found
        assert refusal is not None  # noqa: S101 - a statement has at least one chain
        raise refusal

    def admit_by(
        self, chain: Chain, statement: SignedStatement, number: TelephoneNumber | None, at: datetime
    ) -> Admitted | Refusal:
        """Return the certificate of a statement by one of its chains, or why it is not taken by that.

        The others count only where the list asks for a quorum.
        """
        found = self._judge(chain, statement, at)
        if isinstance(found, Refusal):
            return found
        if number is not None and found.number != number:
            return Refusal(RefusalKind.NOT_ADMITTED, _ANOTHER_NUMBER)
        try:
            statement.verify(found.public_key)
        except StatementError as error:
            return Refusal(RefusalKind.WRONG_SIGNATURE, str(error))
        return found

    def admits(self, anchor: x509.Certificate, at: datetime) -> bool:
        """Tell whether an authority is on the list, on whatever terms."""
        self._look_at_list(at)
        return any(one.certificate == anchor for one in self._list.anchors)

    @property
    def version(self) -> object:
        """What is another object once the list has been read again."""
        return self._list

    def _judge(self, chain: Chain, statement: SignedStatement, at: datetime) -> Admitted | Refusal:
        """Return what was found of a chain lately, or is found of it now."""
        self._look_at_list(at)
        list_ = self._list
        asked = _asked_of(list_, chain, statement)
        with self._lock:
            judged = self._judged.get(asked)
        if judged is None or judged.by is not list_ or not at < judged.until <= at + _JUDGED_AGAIN_AFTER:
            new = _judge(list_, asked, at)
            until = at + _JUDGED_AGAIN_AFTER
            judged = _Judged(new, min(until, new.not_after) if isinstance(new, Admitted) else until, list_)
            with self._lock:
                self._judged[asked] = judged
                if len(self._judged) > _REMEMBERED_CHAINS:
                    self._judged.popitem(last=False)
        found = judged.found
        # A new one each time: an exception that is raised again and again keeps the frames of all times.
        return Refusal(found.kind, found.detail) if isinstance(found, Refusal) else found

    def _look_at_list(self, at: datetime) -> None:
        if abs(at - self._looked_at) < _LIST_LOOKED_AT_AFTER:
            return
        self._looked_at = at
        stamp = self._stamp()
        if stamp == self._loaded:
            return
        try:
            self._list = self._load()
        except TrustStoreError as error:
            _log.error("admission_unreadable", extra=facts(reason=str(error)))
            return
        self._loaded = stamp
        with self._lock:
            self._judged.clear()


_ANOTHER_NUMBER = "the certificate is another number's; sign with the key of this number's certificate"
_ENDED = {Rule.VALIDITY, Rule.REVOCATION}


def _asked_of(list_: TrustStore, chain: Chain, statement: SignedStatement) -> _Asked:
    """Return what a verdict on a chain depends on: the other chains, and the app, count for quorums alone."""
    if not list_.quorums.quorums:
        return (chain,), None
    others = (one for one in statement.chains if one is not chain)
    return (chain, *others), statement.app if isinstance(statement, SignedRecord) else None


def _judge(list_: TrustStore, asked: _Asked, at: datetime) -> Admitted | Refusal:
    """Judge chains as of a record, since all that is done at a directory is done for records."""
    chains, app = asked
    verdict, certified = list_.judge_together(chains, at, Purpose.RECORD, app)
    if certified is not None and certified.presented == chains[0]:
        leaf = certified.leaf
        length = (leaf.serial.bit_length() + 7) // 8
        return Admitted(
            authorities=certified.authorities,
            number=leaf.number,
            public_key=leaf.public_key,
            not_before=leaf.not_before,
            not_after=leaf.not_after,
            serial=leaf.serial.to_bytes(length, "big"),
            crl_urls=leaf.crl_urls,
        )
    if certified is not None:  # by another of the chains, and not by this one
        verdict = list_.judge_chain(chains[0], at, purpose=Purpose.RECORD)
    if verdict.outcome is Outcome.UNVERIFIED and verdict.rule is Rule.ANCHOR:
        return Refusal(RefusalKind.NOT_ADMITTED, _NO_ANCHOR)
    kind = RefusalKind.CERTIFICATE_ENDED if verdict.rule in _ENDED else RefusalKind.NOT_ADMITTED
    return Refusal(kind, verdict.reason)


_NO_ANCHOR = (
    "the certificate leads to no authority that this directory admits; its operator decides which: enrol with one of "
    "those, or ask the operator"
)


def _stamp(path: Path) -> Sequence[int]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size
