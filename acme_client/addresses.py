"""Where an authority answers: the URL of its ACME index, and the names that follow from it."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit, urlunsplit

from acme_client.errors import AddressError

INDEX_PATH = "/acme/index"
"""Where an authority of this project keeps its index; used where the address names no path."""

_DEFAULT_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[a-z0-9._:-]{1,253}", re.ASCII)
_VISIBLE = re.compile(r"[\x21-\x7e]+", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class AuthorityAddress:
    """The URL of an authority's ACME index (RFC 8555 §7.1.1), in one spelling for each place.

    Plain HTTP is allowed on a loopback address, or where the caller says that it is.
    """

    index_url: str

    @classmethod
    def parse(cls, text: str, *, insecure_http: bool = False) -> Self:
        """Read `ca.example`, `ca.example:8443`, `https://ca.example` or the whole URL of an index.

        A missing scheme is https, a missing path is `/acme/index`. Raises AddressError.
        """
        if not _VISIBLE.fullmatch(text):
            msg = "an authority's address is a host name or a URL, such as https://ca.example/acme/index"
            raise AddressError(msg)
        parts = _split(text if "://" in text else f"https://{text}")
        if parts.scheme == "http" and not (insecure_http or _is_loopback(parts.hostname or "")):
            msg = (
                f"http://{parts.netloc} would send the request in the clear: use https, "
                "or --insecure-http on a network that you trust"
            )
            raise AddressError(msg)
        path = parts.path if parts.path.strip("/") else INDEX_PATH
        return cls(urlunsplit((parts.scheme, _authority(parts), path, parts.query, "")))

    @property
    def host(self) -> str:
        """The host name alone: what the last line of the authority's messages begins with."""
        return urlsplit(self.index_url).hostname or ""

    @property
    def name(self) -> str:
        """The host and, where it is not the scheme's own, the port: what a person is shown."""
        return urlsplit(self.index_url).netloc

    @property
    def slug(self) -> str:
        """A file name that no other authority's address has: the host, and a hash over the whole URL."""
        readable = self.host.replace(":", "_")
        return f"{readable[:80]}-{hashlib.sha256(self.index_url.encode('ascii')).hexdigest()[:16]}"

    def may_follow(self, url: str) -> bool:
        """Tell whether a URL that the authority gave may be asked: never in the clear, unless its index was."""
        scheme = url.partition("://")[0].lower()
        return scheme == "https" or (scheme == "http" and self.index_url.startswith("http:"))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        msg = "the authority's address is no URL: check its host and port"
        raise AddressError(msg) from error
    if parts.scheme not in _DEFAULT_PORTS:
        msg = f"an authority is reached over https, not over {parts.scheme!r}"
        raise AddressError(msg)
    if not _HOST.fullmatch(parts.hostname or "") or port == 0 or "@" in parts.netloc:
        msg = "the authority's address has no usable host name: write it as ca.example or https://ca.example"
        raise AddressError(msg)
    return parts


def _authority(parts: SplitResult) -> str:
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return shown if parts.port in {None, _DEFAULT_PORTS[parts.scheme]} else f"{shown}:{parts.port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
