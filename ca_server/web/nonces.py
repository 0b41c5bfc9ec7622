"""Nonces: made by any front end without a word to another, and spent once in all of them (RFC 8555 §6.5).

    nonce = base64url(issued_at || random || BLAKE2b(key, issued_at || random))      8, 8 and 16 bytes, RFC 7693

A nonce is believed for its own sake, and only those that came back in a signed request are written down. So asking for
nonces costs the authority neither a disk write nor memory, however many are asked for.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ca_server.errors import Refusal, RefusalKind
from serving.strict_json import read_base64url, write_base64url

LIFETIME = timedelta(hours=1)
"""How long a nonce may be used; a spent one is remembered for as long."""
CLOCK_SKEW = timedelta(minutes=5)
"""How far the clocks of two front ends may be apart."""

_TIME_BYTES = 8
_RANDOM_BYTES = 8
_MAC_BYTES = 16
_BODY_BYTES = _TIME_BYTES + _RANDOM_BYTES
_CERTAIN = 256


class NonceStore(Protocol):
    """What remembers spent nonces, shared by all front ends."""

    def spend(self, nonce_id: str, expires_at: datetime) -> bool:
        """Remember the nonce until it expires; True the first time, False ever after."""


@dataclass(frozen=True, slots=True)
class Nonce:
    """A nonce that this authority made and that is not too old; it may have been spent."""

    id: str
    expires_at: datetime


class Nonces:
    """Makes, recognises and spends nonces. `key` is shared by all front ends.

    `reject_good` is the share of good nonces to refuse all the same, so that a client under test learns to try again.
    """

    def __init__(
        self,
        key: bytes,
        store: NonceStore,
        *,
        clock: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
        reject_good: float = 0.0,
    ) -> None:
        """Keep what nonces are made of."""
        self._key = key
        self._store = store
        self._clock = clock
        self._random_bytes = random_bytes
        self._rejected = round(reject_good * _CERTAIN)

    def issue(self) -> str:
        """Return a fresh nonce: 43 base64url characters."""
        issued_at = int(self._clock().timestamp())
        body = issued_at.to_bytes(_TIME_BYTES, "big") + self._random_bytes(_RANDOM_BYTES)
        return write_base64url(body + self._mac(body))

    def recognise(self, text: str) -> Nonce:
        """Return the nonce that `text` is; refuse one that is not ours or too old as badNonce. Asks no database.

        A text that is not base64url is malformed (RFC 8555 §6.5.2). It is taken in one spelling only: a second one
        would be a nonce that can be used twice.
        """
        data = read_base64url(text, "the nonce")
        body, mac = data[:_BODY_BYTES], data[_BODY_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            _refuse("the nonce was not made by this server")
        issued_at = datetime.fromtimestamp(int.from_bytes(body[:_TIME_BYTES], "big"), UTC)
        if not -CLOCK_SKEW <= self._clock() - issued_at < LIFETIME:
            _refuse("the nonce is too old")
        if self._rejected and self._random_bytes(1)[0] < self._rejected:
            _refuse("the nonce is good, and is refused so that the client learns to try again")
        return Nonce(write_base64url(body), issued_at + LIFETIME)

    def spend(self, nonce: Nonce) -> None:
        """Use the nonce up; refuse one that has been used as badNonce."""
        if not self._store.spend(nonce.id, nonce.expires_at):
            _refuse("the nonce has been used")

    def _mac(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, key=self._key, digest_size=_MAC_BYTES).digest()


def _refuse(reason: str) -> None:
    raise Refusal(RefusalKind.BAD_NONCE, f"{reason}; try again with the nonce of this response")
