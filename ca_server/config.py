"""The frozen settings of one authority, as its TOML file says them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from policies.issuance import IssuancePolicy


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files of the server's own TLS certificate."""

    certificate: Path
    key: Path


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and how the ACME server listens.

    Plain HTTP is served on a loopback address, or to the proxies named in `trusted_proxies` only: addresses whose
    X-Forwarded-For is believed.
    """

    bind: str = "127.0.0.1:14000"
    workers: Annotated[int, msgspec.Meta(ge=1)] = 2
    threads: Annotated[int, msgspec.Meta(ge=1)] = 8
    tls: Tls | None = None
    trusted_proxies: tuple[str, ...] = ()


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the signing keys live: `file`, or an outsider's store as `module:attribute` with its own `options`.

    The file store reads its passphrase from `passphrase_file`, else from the environment variable `passphrase_variable`.
    """

    store: str = "file"
    directory: Path = Path("keys")
    passphrase_file: Path | None = None
    passphrase_variable: str = "ANSWERBACK_PASSPHRASE"
    unencrypted: bool = False
    options: dict[str, Any] = {}


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One SMS gateway: `smpp`, `outbox`, or an outsider's as `module:attribute`, with its own `options`.

    `sender` is the address that the phone shows, `operator` who runs the gateway.
    """

    name: str
    type: str
    operator: str
    sender: str
    options: dict[str, Any] = {}


class Authority(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who the authority is, and the certificate and key that it issues with."""

    name: str
    operator: str
    certificate: Path = Path("issuing.pem")
    chain: tuple[Path, ...] = (Path("root.pem"),)
    """The certificates above the issuing one, in order, up to the anchor that users are given."""
    key: str = "issuing"
    crl_shards: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 16


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of one authority. Relative paths are relative to the file they stand in."""

    public_url: Annotated[str, msgspec.Meta(pattern="^https?://[^/?#]+$")]
    """The URL under which clients reach the server, without a trailing slash."""
    authority: Authority
    gateways: tuple[Gateway, ...]
    policy: IssuancePolicy
    server: Server = Server()
    keys: Keys = Keys()
    database: str = "sqlite:///answerback.db"
    terms_of_service: str | None = None
    website: str | None = None

    @property
    def host(self) -> str:
        """The host of `public_url`, as it stands in the SMS for phones to bind the code to."""
        return self.public_url.partition("://")[2].rpartition(":")[0] or self.public_url.partition("://")[2]
