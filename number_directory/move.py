"""A number's move from one directory to another, signed with the number's certificate.

The directory that the number leaves forwards those who may see its records, for a time, by handing them the move. They
verify it as they would a record: a directory alone cannot send them anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from number_directory.errors import MoveError
from number_directory.statement import (
    LARGEST_STATEMENT,
    Claims,
    SignedStatement,
    read_claims,
    read_number,
    refuse,
    require_sequence,
    require_service_url,
    require_time,
    sign_statement,
)
from stir.jws import JwsKind
from stir.telephone_number import TelephoneNumber

TYPE: Final = "tn-move+jwt"
"""The `typ` of a move."""

_KIND = JwsKind("a move", TYPE, LARGEST_STATEMENT, MoveError)


@dataclass(frozen=True, slots=True)
class Move:
    """What a number's owner says: from the directory at the URL `origin` to the one at `destination`.

    `sequence` counts the moves of the number, wherever to; `issued_at` is in seconds since 1970. Raises MoveError.
    """

    number: TelephoneNumber
    origin: str
    destination: str
    sequence: int
    issued_at: int

    def __post_init__(self) -> None:
        """Refuse what the format does not allow."""
        require_service_url(_KIND, "from", self.origin)
        require_service_url(_KIND, "to", self.destination)
        if self.origin == self.destination:
            refuse(_KIND, "it leads from one directory to another")
        require_sequence(_KIND, self.sequence)
        require_time(_KIND, "iat", self.issued_at)

    def sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        chain: Sequence[x509.Certificate],
        more_chains: Sequence[Sequence[x509.Certificate]] = (),
    ) -> str:
        """Return the signed move; `chain` and each of `more_chains` begin with a certificate of `key`."""
        claims = _Claims(self.number.e164, self.origin, self.destination, self.sequence, self.issued_at)
        return sign_statement(_KIND, claims, key, chain, more_chains)


class _Claims(Claims, frozen=True):
    """A move's claims."""

    tn: str
    origin: str = msgspec.field(name="from")
    to: str
    seq: int
    iat: int


@dataclass(frozen=True, slots=True)
class SignedMove(SignedStatement):
    """A well-formed move. Raises MoveError."""

    KIND: ClassVar[JwsKind] = _KIND

    move: Move = field(init=False, compare=False)

    def _take(self, payload: bytes) -> None:
        claims = read_claims(_KIND, payload, _Claims)
        number = read_number(_KIND, "tn", claims.tn)
        object.__setattr__(self, "move", Move(number, claims.origin, claims.to, claims.seq, claims.iat))

    @property
    def number(self) -> TelephoneNumber:
        """The number that moves."""
        return self.move.number

    @property
    def sequence(self) -> int:
        """Its number among the moves of this number."""
        return self.move.sequence

    @property
    def issued_at(self) -> int:
        """When it was signed, by its own word, in seconds since 1970."""
        return self.move.issued_at
