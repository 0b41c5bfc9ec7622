"""Bounded HTTP: no answer is larger, later or from elsewhere than the caller allows.

Nothing here decides. `requests` is imported with the first question, for most programs that read proofs ask none.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from queue import Empty, Full, LifoQueue
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import requests

PATIENCE: Final = 10.0
"""Seconds for the whole of a question and its answer."""
LARGEST_ANSWER: Final = 4 * 1024 * 1024
"""Bytes."""

_CHUNK = 16 * 1024
_IDLE_SESSIONS = 8
_now = time.monotonic


class Unreachable(Exception):
    """Nobody answered, or not in time, or not within the bounds. A later try may succeed."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a GET, or a POST where there is a `body`, of which `media_type` is the type.

    `largest` is the most bytes of an answer, `patience` the seconds until it must be there. With `part`, that part of
    the file is asked for: from which byte on, and how many (RFC 9110 §14); an answer with the whole of it is none.
    """

    url: str
    body: bytes | None = field(default=None, repr=False)
    media_type: str = "application/octet-stream"
    largest: int = LARGEST_ANSWER
    patience: float = PATIENCE
    part: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, a body, and header fields under names in lower case."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """Whether the status is 200, or 206 for a part."""
        return self.status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}

    @property
    def media_type(self) -> str:
        """The type of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Transport(Protocol):
    """Whoever carries questions to servers."""

    def ask(self, question: Question) -> Answer:
        """Return the answer, whatever its status; raise Unreachable where there is none."""
        ...


class HttpTransport:
    """Asks over https, or over plain http on this machine's loopback. Threads may share it.

    Redirects are not followed: they could lead to a place that nobody chose. Nor does the environment choose one: its
    proxies, its TLS roots and the passwords in ~/.netrc are left aside. `ca_bundle` is a file of TLS roots to believe
    instead of the usual ones. `via` is the way that questions take, where somebody else's view is wanted: the URL of an
    HTTP proxy, or an address of this machine.
    """

    def __init__(self, ca_bundle: Path | None = None, via: str | None = None) -> None:
        """Ask nobody yet."""
        self._verify: str | bool = True if ca_bundle is None else str(ca_bundle)
        self._via = via
        self._idle: LifoQueue[requests.Session] = LifoQueue(_IDLE_SESSIONS)

    def ask(self, question: Question) -> Answer:
        """Return the answer, whatever its status; raise Unreachable where there is none."""
        host = _require_safe(question.url)
        answers: list[Answer | Unreachable] = []
        # A server that sends a byte now and then defeats a socket's timeout; so a thread asks, and is left behind.
        asking = threading.Thread(
            target=lambda: answers.append(self._try(question, host)), name="answerback-log-client", daemon=True
        )
        asking.start()
        asking.join(question.patience)
        answer = answers[0] if answers else _too_slow(host, question.patience)
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    def _try(self, question: Question, host: str) -> Answer | Unreachable:
        import requests  # noqa: PLC0415  # slow to import, and not always needed

        session = self._session()
        try:
            answer = self._answer(session, question)
        except (requests.RequestException, OSError, ValueError) as error:
            session.close()
            return Unreachable(f"{host} could not be asked: {type(error).__name__}")
        except Unreachable as error:
            session.close()
            return error
        try:
            self._idle.put_nowait(session)
        except Full:
            session.close()
        return answer

    def _answer(self, session: requests.Session, question: Question) -> Answer:
        ends = _now() + question.patience
        headers = {"Content-Type": question.media_type} if question.body is not None else {}
        if question.part is not None:
            start, length = question.part
            headers |= {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
        with session.request(
            "GET" if question.body is None else "POST",
            question.url,
            data=question.body,
            headers=headers,
            timeout=question.patience,
            stream=True,
            allow_redirects=False,
        ) as response:
            if question.part is not None and response.status_code == HTTPStatus.OK:
                msg = f"{_host(question.url)} does not answer requests for a part of a file (Range, RFC 9110 §14)"
                raise Unreachable(msg)
            content = bytearray()
            for chunk in response.iter_content(_CHUNK):
                content += chunk
                if len(content) > question.largest:
                    msg = f"{_host(question.url)} sent more than {question.largest // 1024} KiB"
                    raise Unreachable(msg)
                if _now() > ends:
                    raise _too_slow(_host(question.url), question.patience)
            fields = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, bytes(content), fields)

    def _session(self) -> requests.Session:
        import requests  # noqa: PLC0415  # as above

        try:
            return self._idle.get_nowait()
        except Empty:
            session = requests.Session()
            session.trust_env = False
            # Else `requests` reads a redirect's body to its end, without a bound, though nobody follows it.
            session.get_redirect_target = lambda _: None  # type: ignore[method-assign,assignment]
            session.verify = self._verify
            if self._via is not None:
                _lead(session, self._via)
            return session


def _lead(session: requests.Session, via: str) -> None:
    """Have a session's questions take another way."""
    if "://" in via:
        session.proxies = {"http": via, "https": via}
        return
    from requests.adapters import HTTPAdapter  # noqa: PLC0415  # as above

    class FromAddress(HTTPAdapter):
        """Connects from one address of this machine."""

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # theirs
            """Bind each connection."""
            super().init_poolmanager(*args, **kwargs, source_address=(via, 0))

    for scheme in ("https://", "http://"):
        session.mount(scheme, FromAddress())


def _require_safe(url: str) -> str:
    """Return the URL's host; raise Unreachable unless it is asked over https, or is this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        msg = "this is no URL"
        raise Unreachable(msg) from error
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)):
        return host
    msg = f"{host or 'the URL'} is not asked over {parts.scheme or 'no scheme'}: use https"
    raise Unreachable(msg)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the server"


def _too_slow(host: str, patience: float) -> Unreachable:
    return Unreachable(f"{host} did not answer within {patience:g} seconds")
