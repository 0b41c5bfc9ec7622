"""Signed requests: from the bytes of a POST to who asks, and for what (RFC 8555 §6.2 to §6.5).

The checks stand in the order of what they cost and of what they give away:

1. size and media type, before the body is read;
2. the form of the JWS, its header, `url`, and whether the nonce is one of ours: arithmetic only;
3. the key: from the request, or by one look into the database;
4. the signature;
5. the nonce is spent: the first write.

So nobody makes the authority write without having signed something that it asked for, and nobody uses up another
client's nonce. A replay is refused at step 5, which a database decides for all front ends at once; nothing of the
request has had an effect before that. The nonce of a request for a change is spent in the transaction of the change, or
by itself where there is none (docs/decisions/0099-a-nonce-is-spent-with-the-change-it-asks-for.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn, TypeVar

import falcon
from josepy.jwk import JWK

from ca_server import issuing
from ca_server.errors import Refusal, RefusalKind
from ca_server.issuing import CertificateAuthority
from ca_server.orders import Account
from ca_server.web.jwk import read_jwk_text
from ca_server.web.jws import FlattenedJws
from ca_server.web.nonces import Nonce, Nonces
from ca_server.web.urls import Urls
from serving.strict_json import read_as, read_object
from serving.web.bodies import read_body

MAX_BODY_BYTES = 64 * 1024
CONTENT_TYPE = "application/jose+json"

_CACHED_KEYS = 2048

_Shape = TypeVar("_Shape")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request whose signature was checked, and whose nonce can never be used again."""

    body: bytes = field(repr=False)

    def read(self, shape: type[_Shape]) -> _Shape:
        """Return the payload as a `shape`; refuse an empty one, and one of another form, as malformed."""
        if not self.body:
            raise Refusal(RefusalKind.MALFORMED, "this request needs a payload, and its payload is empty")
        return read_as(read_object(self.body, "the payload"), shape, "the payload")

    @property
    def is_get(self) -> bool:
        """Whether this is a POST-as-GET: its payload is the empty octet string (RFC 8555 §6.3)."""
        return not self.body

    def expect_get(self) -> None:
        """Refuse anything but a POST-as-GET as malformed."""
        if not self.is_get:
            raise Refusal(RefusalKind.MALFORMED, "this resource is read by POST-as-GET, with an empty payload")


@dataclass(frozen=True, slots=True)
class AccountRequest(SignedRequest):
    """A request that an account's key signed."""

    account: Account


@dataclass(frozen=True, slots=True)
class ChangeRequest(AccountRequest):
    """A request for a change, whose nonce is spent by `enter`, in the transaction of the change."""

    enter: Callable[[], None]


@dataclass(frozen=True, slots=True)
class KeyRequest(SignedRequest):
    """A request that the key in its own header signed; the key may be anybody's."""

    jwk: JWK


class SignedRequests:
    """The door that every POST comes through. Keys are read from their JSON once and kept, the youngest ones."""

    def __init__(self, ca: CertificateAuthority, nonces: Nonces, urls: Urls) -> None:
        """Remember whose requests they are."""
        self._ca = ca
        self._nonces = nonces
        self._urls = urls
        self._key = lru_cache(maxsize=_CACHED_KEYS)(read_jwk_text)

    def by_account(self, req: falcon.Request) -> AccountRequest:
        """Return a request signed by an account, which its `kid` names (RFC 8555 §6.2)."""
        return self._by_account(self._of_account(req))

    @contextmanager
    def for_change(self, req: falcon.Request) -> Iterator[ChangeRequest]:
        """Yield a request of an account; its nonce is spent when the block ends, if not by its `enter` before.

        A request that is refused in the block has used its nonce too. One whose nonce was used before is refused for
        that, whatever else is wrong with it.
        """
        jws = self._of_account(req)
        nonce, account = self._verified(jws)
        entered = False

        def enter() -> None:
            nonlocal entered
            entered = True
            self._nonces.spend(nonce)

        try:
            yield ChangeRequest(jws.payload, account, enter)
        except Exception:
            with suppress(Refusal) if entered else nullcontext():  # it may have been undone with the change, or not
                self._nonces.spend(nonce)
            raise
        if not entered:
            self._nonces.spend(nonce)

    def by_key(self, req: falcon.Request) -> KeyRequest:
        """Return a request signed by the key in its `jwk` (RFC 8555 §6.2)."""
        jws = self._open(req)
        if jws.key_member != "jwk":
            _refuse("this resource takes requests of a key: put it into jwk, and leave kid out")
        return self._by_key(jws)

    def by_account_or_key(self, req: falcon.Request) -> AccountRequest | KeyRequest:
        """Return a request signed either way, as revokeCert takes it (RFC 8555 §7.6)."""
        jws = self._open(req)
        return self._by_account(jws) if jws.key_member == "kid" else self._by_key(jws)

    def _open(self, req: falcon.Request) -> FlattenedJws:
        """Check all that can be checked without the key."""
        jws = FlattenedJws.parse(read_object(_read_body(req), "the request"))
        if jws.url != self._urls.at(req.path, req.query_string):
            detail = "the protected header's url is not the URL that the request was sent to (RFC 8555 §6.4)"
            raise Refusal(RefusalKind.UNAUTHORIZED, detail)
        return jws

    def _of_account(self, req: falcon.Request) -> FlattenedJws:
        jws = self._open(req)
        if jws.key_member != "kid":
            _refuse("this resource takes requests of an account: name it by kid, and leave jwk out")
        return jws

    def _verified(self, jws: FlattenedJws) -> tuple[Nonce, Account]:
        """Check the signature of an account's request; return its nonce, which is yet to be spent, and the account."""
        nonce = self._nonces.recognise(_nonce_of(jws))
        account = self._account(jws.kid)
        jws.verify(self._key(account.jwk))
        return nonce, account

    def _by_account(self, jws: FlattenedJws) -> AccountRequest:
        nonce, account = self._verified(jws)
        self._nonces.spend(nonce)
        return AccountRequest(jws.payload, account)

    def _by_key(self, jws: FlattenedJws) -> KeyRequest:
        nonce = self._nonces.recognise(_nonce_of(jws))
        key = jws.jwk
        jws.verify(key)
        self._nonces.spend(nonce)
        return KeyRequest(jws.payload, key)

    def _account(self, kid: str) -> Account:
        """Return the account that `kid` names; an unknown or deactivated one is refused (RFC 8555 §6.2, §7.3.6)."""
        account_id = self._urls.account_id(kid)
        if account_id is None:
            detail = "the protected header's kid is not the URL of an account here; use the Location of newAccount"
            raise Refusal(RefusalKind.ACCOUNT_DOES_NOT_EXIST, detail)
        return issuing.account(self._ca, account_id)


def _read_body(req: falcon.Request) -> bytes:
    """Return the body, at most MAX_BODY_BYTES of it read, with or without a Content-Length."""
    if (req.content_type or "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise Refusal(RefusalKind.UNSUPPORTED_MEDIA_TYPE, f"a request has the Content-Type {CONTENT_TYPE}")
    return read_body(req, MAX_BODY_BYTES, chunked=True)


def _nonce_of(jws: FlattenedJws) -> str:
    """Return the header's nonce; a request without one is refused like one with a bad one (RFC 8555 §6.5)."""
    nonce = jws.header.get("nonce")
    if nonce is None:
        raise Refusal(RefusalKind.BAD_NONCE, "the protected header has no nonce; try again with that of this response")
    if not isinstance(nonce, str):
        _refuse("the protected header's nonce is not a string")
    return nonce


def _refuse(detail: str) -> NoReturn:
    raise Refusal(RefusalKind.MALFORMED, detail)
