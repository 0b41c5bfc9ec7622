"""What comes in to be judged: a call or message with its token, or a record of a number directory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from policies.terms import Purpose
from stir.jws import Chain
from stir.telephone_number import TelephoneNumber


@dataclass(frozen=True, slots=True)
class Call:
    """A call or message that came in, as the signalling tells it, with its token.

    `orig` and `dest` are who called whom by the signalling, never by the token. `at` is the time of the call, aware of
    its zone. `body` is the message's MIME body. `chain` and `more_chains` are for a token that brings no certificates
    of its own, the number's certificate first in each; otherwise they are not looked at. `proofs` came beside the
    token, each a C2SP tlog-proof that a log shows the certificate's entry; at most the first eight are looked at. `app`
    is the app in which it came in, None for none: it matters to quorums that are for some apps.
    """

    token: str = field(repr=False)
    orig: TelephoneNumber
    dest: TelephoneNumber
    at: datetime
    purpose: Purpose = Purpose.CALL
    body: bytes | None = field(default=None, repr=False)
    chain: Chain = field(default=(), repr=False)
    proofs: tuple[bytes, ...] = field(default=(), repr=False)
    more_chains: tuple[Chain, ...] = field(default=(), repr=False)
    app: str | None = None

    def __post_init__(self) -> None:
        """Refuse a time without a zone, and a purpose that no call has."""
        require_zone(self.at)
        if self.purpose is Purpose.RECORD:
            msg = "a record is judged as a DirectoryRecord"
            raise ValueError(msg)

    @property
    def chains(self) -> tuple[Chain, ...]:
        """The chains that were given beside the token."""
        return ((self.chain,) if self.chain else ()) + self.more_chains


@dataclass(frozen=True, slots=True)
class DirectoryRecord:
    """A record that a directory gave out, with the number and the app that were asked about.

    `at` is when it is judged, aware of its zone. `proofs` are as in a `Call`.
    """

    token: str = field(repr=False)
    number: TelephoneNumber
    app: str
    at: datetime
    proofs: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse a time without a zone, which would be another moment on another machine."""
        require_zone(self.at)


Evidence: TypeAlias = Call | DirectoryRecord


def require_zone(at: datetime) -> None:
    """Refuse a time without a zone."""
    if at.utcoffset() is None:
        msg = "the time of a call is aware of its zone, such as datetime.now(UTC)"
        raise ValueError(msg)
