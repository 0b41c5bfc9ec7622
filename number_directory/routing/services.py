"""The resolution services that a map names, and how an operator writes them down."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from number_directory.routing.errors import MapFormatError

LONGEST_TEXT: Final = 200
"""Characters of a name, an operator or a URL."""

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ResolutionService:
    """A service that answers for numbers: a directory, and who runs it.

    `description` is the SHA-256 of its directory.json in hexadecimal, None where the map does not say; whoever fetches
    that file can tell whether it is the one that the map's publisher saw.
    """

    name: str
    operator: str
    url: str
    description: str | None = None

    def __post_init__(self) -> None:
        """Refuse names and places that nobody could use."""
        if not _NAME.fullmatch(self.name) or len(self.name) > LONGEST_TEXT:
            msg = f"{self.name[:LONGEST_TEXT]!r} is no service's name: lower-case letters, digits, dots and hyphens"
            raise MapFormatError(msg)
        if not (self.operator.isprintable() and self.operator.strip()) or len(self.operator) > LONGEST_TEXT:
            msg = f"{self.name}: say in up to {LONGEST_TEXT} characters who operates the service"
            raise MapFormatError(msg)
        if not _is_place(self.url):
            msg = f"{self.name}: its URL is https://, a host, and perhaps a path; http:// on this machine only"
            raise MapFormatError(msg)
        if self.description is not None and not _SHA256.fullmatch(self.description):
            msg = f"{self.name}: its description is a SHA-256 of 64 hexadecimal digits"
            raise MapFormatError(msg)


def _is_place(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_plain = parts.port != 0 and not (parts.query or parts.fragment or parts.username is not None)
    except ValueError:
        return False
    if not (is_plain and host and url.isascii() and url.isprintable() and " " not in url and len(url) <= LONGEST_TEXT):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
