"""Fetch a small document: an anchor's certificate that the user asked for, or a revocation list.

Nothing here decides. A URL from a certificate is asked only once the certificate is believed but for its revocation, so
that a stranger's token cannot make this device ask a server of the stranger's choice. What is asked carries no password
of the user's (~/.netrc) and takes no way that the environment names, for whoever sees it learns whose calls come in.
"""

from __future__ import annotations

import ipaddress
import re
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from trust_store.errors import FetchError

if TYPE_CHECKING:
    import requests

PATIENCE = 5.0
"""In seconds, for the whole of a document."""
LARGEST_DOCUMENT = 4 * 1024 * 1024
"""In bytes."""

_CHUNK = 16 * 1024
_LONGEST_SHOWN = 400
_NOT_IN_A_URL = re.compile(r"[^\x21-\x7e]+")
"""A terminal might obey it instead of showing it (RFC 3986 §2)."""
_now = time.monotonic


def fetch(url: str, *, largest: int = LARGEST_DOCUMENT, patience: float = PATIENCE, any_http: bool = False) -> bytes:
    """Return the document at a URL, or raise FetchError.

    Plain HTTP is used on loopback only, or with `any_http` where the caller knows the document by its hash. Redirects
    are not followed: they could lead to a place that was not checked.
    """
    _require_safe(url, any_http=any_http)
    answers: list[bytes | FetchError] = []
    # A server that sends a byte now and then defeats a socket's timeout; so a thread asks, and is left behind.
    asking = threading.Thread(
        target=lambda: answers.append(_answer(url, largest, patience)), name="answerback-fetch", daemon=True
    )
    asking.start()
    asking.join(patience)
    answer = answers[0] if answers else FetchError(_too_slow(url, patience))
    if isinstance(answer, FetchError):
        raise answer
    return answer


def _answer(url: str, largest: int, patience: float) -> bytes | FetchError:
    import requests  # noqa: PLC0415  # slow to import, and rarely needed

    ends = _now() + patience
    try:
        with requests.Session() as session, _asked(session, url, patience) as response:
            if response.status_code != requests.codes.ok:
                return FetchError(_refusal(url, response.status_code, response.headers.get("Location")))
            content = bytearray()
            for chunk in response.iter_content(_CHUNK):
                content += chunk
                if len(content) > largest:
                    return FetchError(f"{_host(url)} sent more than {largest // 1024} KiB")
                if _now() > ends:
                    break
            else:
                return bytes(content)
    except (requests.RequestException, OSError, ValueError) as error:
        return FetchError(f"{_host(url)} could not be asked: {type(error).__name__}")
    return FetchError(_too_slow(url, patience))


def _asked(session: requests.Session, url: str, patience: float) -> requests.Response:
    session.trust_env = False
    # Else `requests` reads a redirect's body to its end, without a bound, though nobody follows it.
    session.get_redirect_target = lambda _: None  # type: ignore[method-assign,assignment]
    return session.get(url, timeout=patience, stream=True, allow_redirects=False, verify=True)


def _too_slow(url: str, patience: float) -> str:
    return f"{_host(url)} did not answer within {patience:g} seconds"


def _refusal(url: str, status: int, location: str | None) -> str:
    if location is not None:
        return f"{_host(url)} points elsewhere: {_plain(location)}; if you trust that, give that URL"
    return f"{_host(url)} answered with status {status}"


def _require_safe(url: str, *, any_http: bool) -> None:
    parts = _split(url)
    if parts.scheme == "https" or (parts.scheme == "http" and (any_http or is_loopback(parts.hostname or ""))):
        return
    msg = f"{_host(url)} is not asked over {parts.scheme or 'no scheme'}: use https"
    raise FetchError(msg)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        msg = "this is no URL"
        raise FetchError(msg) from error


def _host(url: str) -> str:
    return _plain(urlsplit(url).hostname or "") or "the URL's host"


def _plain(url: str) -> str:
    """Return what a server or a certificate calls a URL as one line that a terminal shows and does not obey."""
    return _NOT_IN_A_URL.sub(" ", url).strip()[:_LONGEST_SHOWN]


def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address is this machine's own (RFC 6761 §6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
