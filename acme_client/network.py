"""Signed requests to one authority, on `acme`'s network layer, with every foreign error turned into one of ours.

What `acme` leaves out is added here: a refused nonce is retried more than once, redirects are not followed (a signed
request is for one URL, RFC 8555 §6.4), nothing is sent in the clear to where the authority points, no answer is larger
or later than an honest one may be, Retry-After reaches the caller, and `acme`'s debug log, which quotes tokens, digests
and numbers, is silent during our calls.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import requests
from acme import errors as acme_errors
from acme import messages
from acme.client import ClientNetwork, ClientV2
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JoseError
from josepy.interfaces import JSONDeSerializable
from josepy.json_util import JSONObjectWithFields
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests.adapters import BaseAdapter, HTTPAdapter

from acme_client.addresses import AuthorityAddress
from acme_client.errors import AcmeClientError, Misbehaved, RateLimited, Refused, Unreachable
from acme_client.polling import Clock, http_date, retry_after

USER_AGENT = "answerback"
NONCE_TRIES = 5
"""How often `acme`, which itself tries a request twice, is asked to: any nonce may be refused (RFC 8555 §6.5)."""

LARGEST_ANSWER = 1024 * 1024
"""In bytes, unpacked. A certificate with its chain takes a few thousand."""

_CHUNK = 16 * 1024
_LONGEST_DETAIL = 400
_SKEW_WORTH_COUNTING = timedelta(seconds=5)
_ERROR_PREFIX = "urn:ietf:params:acme:error:"
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\u2027\u2030-\u2065\u2070-\ud7ff]+")
"""What a terminal might obey instead of showing, line separators and writing-direction overrides among it."""
_FOREIGN = (AttributeError, KeyError, RecursionError, TypeError, ValueError, JoseError)
"""What `acme` and `josepy` raise over an answer of an unexpected shape."""

# RFC 8555 §7.1.6 has this state; `acme` does not know it and would refuse the whole authorization.
messages.Status("expired")

_monotonic = time.monotonic
_calling: ContextVar[bool] = ContextVar("_calling", default=False)
_J = TypeVar("_J", bound=JSONObjectWithFields)


class _Discreet(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG or not _calling.get()


logging.getLogger("acme.client").addFilter(_Discreet())


@dataclass(frozen=True, slots=True)
class Connection:
    """How authorities are reached.

    `ca_bundle` is a PEM file of TLS roots to believe instead of the usual ones, `timeout` the seconds within
    which an authority must have answered whole, `adapter` a `requests` adapter to send by instead of sockets.
    """

    ca_bundle: Path | None = None
    insecure_http: bool = False
    timeout: int = 30
    adapter: BaseAdapter | None = None


DIRECT = Connection()
"""The usual way: https, over sockets, to authorities whose TLS certificates the machine believes."""


class _Bounded(BaseAdapter):
    """Sends by another adapter, and takes no answer that is too large or comes too late.

    A redirect's body is bounded here too, which `requests` would read to its end before it is asked what to do.
    """

    def __init__(self, inner: BaseAdapter, name: str, patience: float) -> None:
        """Take the adapter, the authority's name for messages, and the seconds for the whole of an answer."""
        super().__init__()
        self._inner = inner
        self._name = name
        self._patience = patience

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401  # requests' own signature
        """Return an answer whose body was read."""
        came: list[requests.Response | BaseException] = []
        ends = _monotonic() + self._patience

        def ask() -> None:
            try:
                came.append(self._read(self._inner.send(*args, **kwargs), ends))
            except BaseException as error:  # noqa: BLE001  # it is the asking thread's to raise
                came.append(error)

        # A server that sends a byte now and then defeats a socket's timeout; so a thread asks, and is left behind.
        asking = threading.Thread(target=copy_context().run, args=(ask,), name="answerback-acme", daemon=True)
        asking.start()
        asking.join(self._patience)
        if not came:
            raise self._too_slow()
        if isinstance(came[0], BaseException):
            raise came[0]
        return came[0]

    def close(self) -> None:
        """Close the other adapter's connections."""
        self._inner.close()

    def _read(self, response: requests.Response, ends: float) -> requests.Response:
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > LARGEST_ANSWER:
                response.close()
                msg = f"{self._name} sent more than {LARGEST_ANSWER // 1024} KiB: is the address right?"
                raise Misbehaved(msg)
            if _monotonic() > ends:
                response.close()
                raise self._too_slow()
        response._content = bytes(content)  # noqa: SLF001  # as `Response.content` keeps what it read, without a bound
        return response

    def _too_slow(self) -> Unreachable:
        return Unreachable(f"{self._name} did not answer within {self._patience:g} seconds: try again later")


class _Network(ClientNetwork):
    """`acme`'s network layer with more patience for nonces, less trust, and a memory of the last answer."""

    def __init__(self, address: AuthorityAddress, key: ec.EllipticCurvePrivateKey, connection: Connection) -> None:
        verify: Any = True if connection.ca_bundle is None else str(connection.ca_bundle)
        super().__init__(
            key=JWKEC(key=key),
            alg=ES256,
            verify_ssl=verify,
            user_agent=USER_AGENT,
            timeout=connection.timeout,
        )
        self.address = address
        self.last: requests.Response | None = None
        self.session.max_redirects = 0
        self.session.hooks["response"].append(self._remember)
        adapter = _Bounded(connection.adapter or HTTPAdapter(), address.name, connection.timeout)
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, adapter)

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401  # acme's own signature
        """Send a signed request; a refused nonce costs another try."""
        for _ in range(NONCE_TRIES - 1):
            try:
                return self._guarded_post(*args, **kwargs)
            except messages.Error as problem:
                if problem.code != "badNonce":
                    raise
        return self._guarded_post(*args, **kwargs)

    def get(self, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401  # acme's own signature
        """Fetch what needs no signature."""
        self._guard(url)
        return super().get(url, *args, **kwargs)

    def head(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401  # acme's own signature
        """Fetch a nonce."""
        self._guard(args[0])
        return super().head(*args, **kwargs)

    def _guarded_post(self, url: object, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401  # as above
        self._guard(url)
        return super().post(url, *args, **kwargs)

    def _guard(self, url: object) -> None:
        if not isinstance(url, str) or not self.address.may_follow(url):
            msg = f"{self.address.name} points to a URL that is missing or not https: it cannot be used"
            raise Misbehaved(msg)

    def _remember(self, response: requests.Response, **_: object) -> None:
        self.last = response


class AcmeSession:
    """A conversation with one authority under one account key. Use it as a context manager.

    `account_url` is the account that signs, None until it is known. Every method raises AcmeClientError.
    """

    def __init__(
        self, address: AuthorityAddress, key: ec.EllipticCurvePrivateKey, connection: Connection, clock: Clock
    ) -> None:
        """Fetch the authority's index (RFC 8555 §7.1.1)."""
        self.address = address
        self.clock = clock
        self.key = key
        self._network = _Network(address, key, connection)
        try:
            with self.calling():
                index = messages.Directory.from_json(self._network.get(address.index_url).json())
                self.client = ClientV2(index, self._network)
                self.terms_url = _text_or_none(index["meta"].terms_of_service)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._network.session.close()

    @property
    def account_url(self) -> str | None:
        """The account's URL, which signed requests name as their `kid` (RFC 8555 §6.2)."""
        account = self._network.account
        return None if account is None else account.uri

    @account_url.setter
    def account_url(self, url: str | None) -> None:
        account = None if url is None else messages.RegistrationResource(uri=url, body=messages.Registration())
        self._network.account = account

    @property
    def thumbprint(self) -> bytes:
        """The SHA-256 thumbprint of the account key, 32 bytes (RFC 7638)."""
        return JWKEC(key=self.key.public_key()).thumbprint()

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the last answer."""
        return {} if self._network.last is None else self._network.last.headers

    def url(self, resource: str) -> str:
        """Return a URL of the index, such as that of `newOrder`."""
        with self.calling():
            return str(self.client.directory[resource])

    def post(self, url: str, body: JSONDeSerializable | None = None) -> requests.Response:
        """Send a signed request; without a body it is a POST-as-GET (RFC 8555 §6.3)."""
        with self.calling():
            return self._network.post(url, body, new_nonce_url=self.client.directory["newNonce"])

    def decode(self, type_: type[_J], response: requests.Response) -> _J:
        """Read an answer's JSON object."""
        with self.calling():
            decoded: _J = type_.from_json(response.json())
            return decoded

    def local_time(self, theirs: datetime) -> datetime:
        """Return when this machine's clock will show the moment that the authority's clock calls `theirs`.

        The clocks are compared by the Date of the last answer; a difference that transport explains does not count.
        """
        date = http_date(self.headers.get("Date", ""))
        skew = timedelta(0) if date is None else date - self.clock.now()
        return theirs if abs(skew) < _SKEW_WORTH_COUNTING else theirs - skew

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Turn what `acme`, `josepy` and `requests` raise into our errors, and keep `acme`'s debug log silent."""
        token = _calling.set(True)
        try:
            yield
        except AcmeClientError:
            raise
        except messages.Error as problem:
            raise self._refusal(problem) from problem
        except (requests.RequestException, acme_errors.Error) as error:
            raise self._failure(error) from error
        except _FOREIGN as error:
            msg = f"{self.address.name} answered with something that is not ACME: is the address right?"
            raise Misbehaved(msg) from error
        finally:
            _calling.reset(token)

    def _refusal(self, problem: messages.Error) -> Refused:
        # Tracebacks show the problem too, and an identifier is the telephone number in another spelling.
        problem.identifier = problem.subproblems = None
        last = self._network.last
        status = None if last is None else last.status_code
        kind = plain(problem.typ).removeprefix(_ERROR_PREFIX)
        said = plain(problem.detail or problem.title or "") or "it gave no reason"
        message = f"{self.address.name} refused: {said} ({kind})"
        if kind != "rateLimited":
            return Refused(message, kind=kind, status=status)
        now = self.clock.now()
        wait = retry_after(self.headers, now)
        return RateLimited(message, kind=kind, status=status, retry_at=None if wait is None else now + wait)

    def _failure(self, error: Exception) -> AcmeClientError:
        name = self.address.name
        match error:
            case requests.exceptions.SSLError():
                return Unreachable(
                    f"the TLS certificate of {name} is not believed: check the address, "
                    "or name its root with --ca-bundle"
                )
            case requests.TooManyRedirects():
                return Misbehaved(f"{name} sends its clients elsewhere: use the address that it redirects to")
            case requests.RequestException():
                return Unreachable(f"{name} cannot be reached: check the address and the network, then try again")
            case acme_errors.ConflictError():
                return Refused(f"{name} refused: there is such an object already (conflict)", kind="conflict")
        status = None if self._network.last is None else self._network.last.status_code
        if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unreachable(f"{name} answered with HTTP status {status}: try again later")
        return Misbehaved(f"{name} answered with something that is not ACME (HTTP status {status})")


def plain(text: object) -> str:
    """Return what an authority wrote as one line that a terminal shows and does not obey."""
    return " ".join(_UNPRINTABLE.sub(" ", str(text)).split())[:_LONGEST_DETAIL]


def _text_or_none(value: object) -> str | None:
    return plain(value) if isinstance(value, str) and value else None
