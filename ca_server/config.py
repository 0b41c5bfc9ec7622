"""The frozen settings of one authority, as its TOML file says them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from policies.issuance import IssuancePolicy
from serving import settings
from serving.settings import Log, Server

PASSPHRASE_VARIABLE = "ANSWERBACK_PASSPHRASE"  # noqa: S105  # the name of a variable

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Attribute = Annotated[str, msgspec.Meta(min_length=1)]


class Keys(settings.Keys, frozen=True, forbid_unknown_fields=True):
    """Where the signing keys live: `file`, or an outsider's store as `module:attribute` with its own `options`."""

    passphrase_variable: str = PASSPHRASE_VARIABLE
    store: str = "file"
    options: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One SMS gateway: `smpp`, `outbox`, or an outsider's as `module:attribute`, with its own `options`.

    `sender` is the address that the phone shows, `operator` who runs the gateway.
    """

    name: Text
    type: Attribute
    operator: Text
    sender: Text
    options: dict[str, Any] = {}


class FormerIssuer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An issuing certificate that the authority had before, and the name of its key, which still signs its CRLs."""

    certificate: Path
    key: Text


class Authority(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who the authority is, and the certificate and key that it issues with."""

    name: Text
    operator: Text
    certificate: Path = Path("issuing.pem")
    chain: tuple[Path, ...] = (Path("root.pem"),)
    """The certificates above the issuing one, in order, up to the anchor that users are given."""
    key: str = "issuing"
    """The name of the issuing key in the key store."""
    former: tuple[FormerIssuer, ...] = ()
    """Those it issued with before, under the same `chain`: their CRLs are signed until they end."""
    crl_shards: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 16


class CertificateLog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One public log that certificates are shown to before they are issued.

    `description` is the `log.json` that its operator hands out. `operator` says who runs it, in the words of this
    authority: a certificate's timestamps are of logs with distinct operators.
    """

    description: Path
    operator: Text


class Logging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How patiently logs are asked.

    One attempt to log a certificate ends after `deadline_seconds`. A client's finalize waits `wait_seconds` of them
    for its certificate, and polls for it after that. One process logs `at_once` certificates at a time.
    """

    deadline_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1.5
    at_once: Annotated[int, msgspec.Meta(ge=1, le=256)] = 32


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of one authority.

    Relative paths, also those in options and in `database`, start from `folder`; `ca_server.loading.load_config` makes
    that the folder of the file.
    """

    public_url: Annotated[str, msgspec.Meta(pattern="^https?://[^/?#]+$", examples=["https://ca.example"])]
    """The URL under which clients reach the server, without a path."""
    authority: Authority
    gateways: tuple[Gateway, ...]
    policy: IssuancePolicy
    server: Server = Server()
    keys: Keys = Keys()
    database: str = "sqlite:///answerback.db"
    log: Log = Log()
    logs: tuple[CertificateLog, ...] = ()
    logging: Logging = Logging()
    keep_ended_days: Annotated[int, msgspec.Meta(ge=1, le=36500)] = 90
    """How long orders, authorizations and challenges are kept after they expired. Certificates are kept for good."""
    terms_of_service: str | None = None
    """The URL of the terms that a client agrees to, or the terms themselves, which are then served at /terms."""
    website: str | None = None
    folder: Path = Path()

    @property
    def host(self) -> str:
        """The host of `public_url` without its port, as it stands in the SMS for phones to bind the code to."""
        host = urlsplit(self.public_url).hostname or ""
        return f"[{host}]" if ":" in host else host
