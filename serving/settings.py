"""The settings that every program which serves has: where it listens, its TLS, its processes, its log.

A program's own tables derive from these, to give a key another default, narrower bounds or company. Paths are as the
file says them until `resolved` makes them absolute.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec

from serving.errors import ConfigurationError

SQLITE = "sqlite:///"
DATABASES = (SQLITE, "postgresql://", "postgres://")
"""What the URL of a database begins with."""

_HIGHEST_PORT = 65535


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files of the server's own TLS certificate."""

    certificate: Path
    key: Path

    def resolved(self, base: Path) -> Tls:
        """Return them with absolute paths, given the folder that relative ones start from."""
        return Tls(base / self.certificate, base / self.key)


class Address(msgspec.Struct, frozen=True):
    """Where a server listens: an IP address or `localhost`, without brackets, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `127.0.0.1:14000`, `[::1]:14000` or `localhost:14000`; raise ConfigurationError for anything else."""
        host, _, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        name = host[1:-1] if bracketed else host
        if not (port.isascii() and port.isdigit() and int(port) <= _HIGHEST_PORT) or not _is_host(name, bracketed):
            msg = (
                f"{text!r} is not an address and a port; "
                'write "127.0.0.1:14000", "[::1]:14000" or, for every address, "0.0.0.0:443"'
            )
            raise ConfigurationError(msg)
        return cls(name, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine reach it."""
        return is_loopback(self.host)


class Listener(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a program listens with one process of several threads.

    A stop waits `graceful_seconds` for requests that are under way.
    """

    bind: str = "127.0.0.1:14000"
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    graceful_seconds: Annotated[int, msgspec.Meta(ge=1, le=600)] = 30
    tls: Tls | None = None

    def resolved(self, base: Path) -> Self:
        """Return it with absolute paths, given the folder that relative ones start from."""
        return msgspec.structs.replace(self, tls=self.tls and self.tls.resolved(base))

    @property
    def address(self) -> Address:
        """`bind`, read. Raises ConfigurationError."""
        return Address.parse(self.bind)

    @property
    def processes(self) -> int:
        """How many processes answer requests."""
        return 1


class Server(Listener, frozen=True, forbid_unknown_fields=True):
    """Where and how a program listens.

    Plain HTTP is served on a loopback address, or to the proxies named in `trusted_proxies` only: addresses or networks
    whose X-Forwarded-For is believed.
    """

    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 2
    trusted_proxies: tuple[str, ...] = ()

    @property
    def processes(self) -> int:
        """How many processes answer requests."""
        return self.workers


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the program's own keys live: files in `directory`, under a passphrase unless `unencrypted` opts out.

    The passphrase is the first line of `passphrase_file`, else the environment variable `passphrase_variable`.
    """

    directory: Path = Path("keys")
    passphrase_file: Path | None = None
    passphrase_variable: str = "ANSWERBACK_PASSPHRASE"  # noqa: S105  # the name of a variable
    unencrypted: bool = False

    def resolved(self, base: Path) -> Self:
        """Return it with absolute paths, given the folder that relative ones start from."""
        file = self.passphrase_file
        return msgspec.structs.replace(self, directory=base / self.directory, passphrase_file=file and base / file)


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is told on standard error, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"


def is_loopback(host: str) -> bool:
    """Tell whether a host, without brackets, is this machine as it sees itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def resolved_database(url: str, base: Path) -> str:
    """Return `sqlite:///answerback.db` with its path absolute: `sqlite:////var/lib/ca/answerback.db`."""
    return f"{SQLITE}{base / url.removeprefix(SQLITE)}" if url.startswith(SQLITE) else url


def _is_host(name: str, bracketed: bool) -> bool:
    """Tell whether a server can listen here: an address, in brackets exactly where it is IPv6, or `localhost`."""
    try:
        return (ip_address(name).version == 6) == bracketed  # noqa: PLR2004  # the version of IP
    except ValueError:
        return name == "localhost" and not bracketed
