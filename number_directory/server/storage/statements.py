"""Statements as they are kept: each as its owner signed it, without what many have in common.

Most of a statement's text is certificates, in base64 inside base64url. Those above the number's are the same in all
that are signed under one authority, as is all else in the header. So a header without the number's certificate, its
frame, is kept once, and of a statement what is left, as bytes: less than half of the text. It is put together again
whenever it is read, and was compared when it was taken apart: what would not give the very text is kept whole.
"""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Final, Self

from cryptography.hazmat.primitives.serialization import Encoding

from number_directory.access_list import SignedAccessList
from number_directory.move import SignedMove
from number_directory.record import SignedRecord
from number_directory.server.errors import StorageError
from serving.database import Database
from stir.jws import ALGORITHM, Chain, canonical_json, decode_base64url

_KINDS: Final = (SignedRecord.KIND, SignedAccessList.KIND, SignedMove.KIND)
_BEFORE_CERTIFICATE = b'"x5c":["'
_BESIDE: Final = ("", "~")
"""What may stand behind the JWS. Its place here is the first byte of a statement that was taken apart; no text begins
with that byte."""
_ID_SIZE = 16
_BODY = 1 + _ID_SIZE + 2
_SIGNATURE_SIZE = 64
_REMEMBERED = 256
_ENSURE = "INSERT INTO directory_frames (id, header) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
_TO_BASE64URL = bytes.maketrans(b"+/", b"-_")


@dataclass(frozen=True)
class Frame:
    """The header of a statement without the number's certificate. `header` is its JSON, with an empty text instead."""

    header: bytes

    @cached_property
    def id(self) -> bytes:
        """What names it: the first half of its SHA-256."""
        return sha256(self.header).digest()[:_ID_SIZE]

    @cached_property
    def _parts(self) -> tuple[bytes, bytes]:
        before, mark, behind = self.header.partition(_BEFORE_CERTIFICATE)
        return before + mark, behind

    def around(self, certificate: bytes) -> bytes:
        """Return the header with a certificate, given in DER."""
        before, behind = self._parts
        return before + b2a_base64(certificate, newline=False) + behind


@dataclass(frozen=True, slots=True, repr=False)
class KeptStatement:
    """A statement as it is kept: `data`, and the frame where it was taken apart. It holds a number: it prints none."""

    data: bytes
    frame: Frame | None = None

    @classmethod
    def whole(cls, text: str) -> Self:
        """Keep a text as it is."""
        return cls(text.encode("ascii"))

    @classmethod
    def of(cls, text: str, authorities: Chain) -> Self:
        """Keep a well-formed statement, certified by `authorities`, without what others have too, if that can be.

        Its header has one chain, which leads from the number's certificate to some or all of them and no further, and
        is written as we write it. So there are few frames, whatever a number's holder makes up.
        """
        made = cls._apart(text, authorities)
        return made if made is not None and made.text == text else cls.whole(text)

    @classmethod
    def _apart(cls, text: str, authorities: Chain) -> Self | None:
        jws, beside, _ = text.partition("~")
        header, payload, signature = jws.split(".")
        frame, der = _taken_out(header, authorities)
        if frame is None:
            return None
        start = bytes((_BESIDE.index(beside),)) + frame.id + len(der).to_bytes(2, "big")
        return cls(start + der + decode_base64url(signature) + decode_base64url(payload), frame)

    @property
    def text(self) -> str:
        """The statement as it was signed."""
        data, frame = self.data, self.frame
        if frame is None:
            return data.decode("ascii")
        signature = _BODY + int.from_bytes(data[_BODY - 2 : _BODY], "big")
        payload = signature + _SIGNATURE_SIZE
        header = b2a_base64(frame.around(data[_BODY:signature]), newline=False)
        claims = b2a_base64(data[payload:], newline=False)
        signed = b2a_base64(data[signature:payload], newline=False)
        jws = b"%b.%b.%b" % (header, claims, signed)
        return jws.translate(_TO_BASE64URL, b"=").decode("ascii") + _BESIDE[data[0]]


@lru_cache(_REMEMBERED)
def _taken_out(header: str, authorities: Chain) -> tuple[Frame | None, bytes]:
    """Return the frame of a header, None where it has none, and the number's certificate that was in it."""
    before, mark, rest = decode_base64url(header).partition(_BEFORE_CERTIFICATE)
    certificate, _, behind = rest.partition(b'"')
    frame = _frames(authorities).get(before + mark + b'"' + behind)
    return frame, a2b_base64(certificate) if frame is not None else b""


@lru_cache(_REMEMBERED)
def _frames(authorities: Chain) -> dict[bytes, Frame]:
    """Return the frames of statements that bring none, some or all of these authorities, by their headers."""
    made = [_frame(kind.typ, authorities[:count]) for kind in _KINDS for count in range(len(authorities) + 1)]
    return {frame.header: frame for frame in made}


def _frame(typ: str, authorities: Chain) -> Frame:
    above = [b64encode(one.public_bytes(Encoding.DER)).decode("ascii") for one in authorities]
    return Frame(canonical_json({"alg": ALGORITHM, "typ": typ, "x5c": ["", *above]}))


@dataclass(frozen=True, slots=True)
class Frames:
    """All frames. None is ever changed or forgotten."""

    database: Database
    _known: dict[bytes, Frame] = field(default_factory=dict, init=False)

    def ensure(self, statements: Iterable[KeptStatement]) -> None:
        """Keep what these statements were taken out of, in the transaction that keeps them."""
        for frame in {one.frame for one in statements if one.frame is not None}:
            self.database.run(_ENSURE, frame.id, frame.header)

    def read(self, column: str | bytes) -> KeptStatement:
        """Return the statement in a column; a text is one that was kept before there were frames."""
        if isinstance(column, str):
            return KeptStatement.whole(column)
        data = bytes(column)
        if data[0] >= len(_BESIDE):
            return KeptStatement(data)
        return KeptStatement(data, self._frame(data[1 : 1 + _ID_SIZE]))

    def _frame(self, id_: bytes) -> Frame:
        known = self._known.get(id_)
        if known is None:
            row = self.database.row("SELECT header FROM directory_frames WHERE id = ?", id_)
            if row is None:
                msg = "the database lacks the frame of a statement that it keeps: restore a backup that is whole"
                raise StorageError(msg)
            known = self._known[id_] = Frame(bytes(row[0]))
        return known
