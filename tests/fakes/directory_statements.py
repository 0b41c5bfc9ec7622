"""What owners and callers sign for directories, well formed or not, in the names of numbers set aside for fiction."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.serialization import Encoding

from number_directory.record import Medium, Record, SignedRecord, sign_record
from stir.jws import JwsKind, sign
from stir.telephone_number import TelephoneNumber
from tests.fakes.small_pki import CALLED, CALLER, NOW, Held, root

ISSUED_AT = int(NOW.timestamp())
EXPIRES_AT = ISSUED_AT + 86400
OWNER: Held = root().number(CALLED, key_number=21)
"""A number that publishes."""
ASKER: Held = root().number(CALLER, key_number=22)
"""A number that asks."""
SECOND: Held = root("Second Root", key_number=31).number(CALLED, key_number=21)
"""The owner's key under another authority."""
OTHER_KEY: Held = root().number(CALLED, key_number=23)
"""The owner's number under another key."""
URL = "https://rs.example"
OTHER_URL = "https://other-rs.example"
CHAT = "chat.example"
VIDEO = "com.example.video"
SALT = bytes(range(16))
REQUEST_ID = "request-0000000000001"


def record(  # an argument for each claim
    app: str = CHAT,
    *,
    number: TelephoneNumber = CALLED,
    uris: tuple[str, ...] = ("https://chat.example/u/1",),
    media: frozenset[Medium] | None = frozenset({Medium.MESSAGE}),
    sequence: int = 1,
    issued_at: int = ISSUED_AT,
    expires_at: int = EXPIRES_AT,
    section: bytes | None = None,
) -> Record:
    """Return a record of the owner's."""
    return Record(number, app, uris, media, sequence, issued_at, expires_at, section)


def withdrawn(app: str = CHAT, *, sequence: int = 2) -> Record:
    """Return the withdrawal of a record."""
    return record(app, uris=(), media=None, sequence=sequence)


def published(stated: Record | None = None, by: Held = OWNER) -> SignedRecord:
    """Return a record, signed."""
    return SignedRecord.parse(sign_record(stated or record(), by.key, by.chain, salt=SALT))


def forged(
    typ: str, claims: Mapping[str, object] | bytes, by: Held = OWNER, header: Mapping[str, object] | None = None
) -> str:
    """Return any claims signed all the same, as a careless or hostile owner would; `header` takes the place of x5c."""
    x5c = [base64.b64encode(one.public_bytes(Encoding.DER)).decode("ascii") for one in by.chain]
    payload = claims if isinstance(claims, bytes) else dumps(claims)
    kind = JwsKind("a forgery", typ, 1 << 20, ValueError)
    return sign(kind, {"x5c": x5c} if header is None else header, payload, by.key)


def dumps(value: object) -> bytes:
    """Return JSON in the form that statements have."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
