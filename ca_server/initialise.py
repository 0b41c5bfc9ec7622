"""A new authority from nothing: keys, certificates, settings and database, all of them or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from string import Template
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.config import PASSPHRASE_VARIABLE
from ca_server.errors import ConfigurationError
from ca_server.loading import load_config
from ca_server.signing.file_key_store import FileKeyStore
from ca_server.storage import Storage
from policies.issuance import Country
from serving.initialising import filled, passphrase_settings, proxy_setting, quoted, staged
from stir.certificate import AuthorityCertificate
from stir.certificate_building import AuthorityFields, authority_certificate, signature_hash
from stir.certificate_chain import write_pem_chain
from stir.errors import CertificateProfileError
from stir.telephone_number import NumberPrefix

ROOT_LIFE = timedelta(days=7305)
ISSUING_LIFE = timedelta(days=1096)
BACKDATE = timedelta(days=1)
"""Far enough that a certificate which is itself backdated still begins after its issuer's."""

CONFIG_NAME = "ca.toml"
_ROOT_KEY, _ISSUING_KEY = "root", "issuing"
_OUTBOX = """\
# NO REAL SMS: `outbox` writes each message to a file in the folder `outbox-development` and no phone gets it. It is for
# trying things out. Whoever reads the folder can prove any number: replace it before you certify anybody.
[[gateways]]
name = "outbox"
type = "outbox"
operator = "nobody: this is no real SMS"
sender = $sender

[gateways.options]
folder = "outbox-development"
"""
_SMPP = """\
[[gateways]]
name = "smpp"
type = "smpp"
operator = "the SMS provider's name"
sender = $sender

# Fill in what your SMS provider gave you.
[gateways.options]
host = "smsc.provider.example"
port = 2775
tls = false
system_id = "your-system-id"
password_variable = "ANSWERBACK_SMPP_PASSWORD"
"""


@dataclass(frozen=True)
class NewAuthority:
    """What the operator decides. Without a passphrase the keys stand open, which the operator must have asked for.

    `passphrase_file` is where the server will find the passphrase; without it, in the environment.
    """

    name: str
    operator: str
    public_url: str
    passphrase: bytes | None
    passphrase_file: Path | None = None
    prefixes: tuple[NumberPrefix, ...] = ()
    countries: tuple[Country, ...] = ()
    gateway: Literal["outbox", "smpp"] = "smpp"
    sender: str = "answerback"
    bind: str = "127.0.0.1:14000"


@dataclass(frozen=True)
class Initialised:
    """What was made: the file of settings, the folder of keys, and the anchor to give to users."""

    config: Path
    keys: Path
    anchor: AuthorityCertificate
    issuing: AuthorityCertificate


def initialise(folder: Path, new: NewAuthority, clock: Callable[[], datetime]) -> Initialised:
    """Make an authority in `folder`, which must not exist or be empty.

    An interruption leaves no half-made authority behind. Raises a ServingError that says what to do.
    """
    folder = folder.absolute()
    with staged(folder, last=CONFIG_NAME) as draft:
        root, issuing = _write_authorities(draft, new, clock())
        (draft / CONFIG_NAME).write_text(settings(new), encoding="utf-8")
        _prepare(draft / CONFIG_NAME)
    return Initialised(folder / CONFIG_NAME, folder / "keys", root, issuing)


def settings(new: NewAuthority) -> str:
    """Return the commented settings of a new authority, in TOML."""
    parts = {
        "public_url": quoted(new.public_url),
        "name": quoted(new.name),
        "operator": quoted(new.operator),
        "passphrase": passphrase_settings(
            new.passphrase,
            new.passphrase_file,
            variable=PASSPHRASE_VARIABLE,
            warning="can issue certificates",
        ),
        "bind": quoted(new.bind),
        "trusted_proxies": proxy_setting(new.public_url),
        "countries": f"[{', '.join(map(quoted, new.countries))}]",
        "gateway": Template(_OUTBOX if new.gateway == "outbox" else _SMPP).substitute(sender=quoted(new.sender)),
    }
    return filled("ca_server", CONFIG_NAME, parts)


def _write_authorities(
    draft: Path, new: NewAuthority, now: datetime
) -> tuple[AuthorityCertificate, AuthorityCertificate]:
    """Make the root and the issuing key, and their certificates."""
    store = FileKeyStore(draft / "keys", new.passphrase)
    root_key = store.create(_ROOT_KEY, ec.SECP384R1())
    issuing_key = store.create(_ISSUING_KEY, ec.SECP256R1())
    start = now - BACKDATE
    try:
        root_fields = AuthorityFields(
            common_name=f"{new.name} Root",
            organization=new.operator,
            public_key=root_key.public_key(),
            serial=x509.random_serial_number(),
            not_before=start,
            not_after=now + ROOT_LIFE,
        )
        root = _sign(root_fields, None, root_key)
        issuing_fields = AuthorityFields(
            common_name=f"{new.name} Issuing {now.year}",
            organization=new.operator,
            public_key=issuing_key.public_key(),
            serial=x509.random_serial_number(),
            not_before=start,
            not_after=now + ISSUING_LIFE,
            prefixes=new.prefixes,
            path_length=0,
        )
        issuing = _sign(issuing_fields, root, root_key)
    except CertificateProfileError as error:
        msg = f"the name or the operator cannot stand in a certificate: {error}"
        raise ConfigurationError(msg) from error
    (draft / "root.pem").write_bytes(write_pem_chain((root,)))
    (draft / "issuing.pem").write_bytes(write_pem_chain((issuing,)))
    return AuthorityCertificate.read(root), AuthorityCertificate.read(issuing)


def _sign(
    fields: AuthorityFields, issuer: x509.Certificate | None, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    return authority_certificate(fields, issuer).sign(key, signature_hash(key), ecdsa_deterministic=True)


def _prepare(path: Path) -> None:
    """Check the settings that were written, and make the database that they name."""
    try:
        config = load_config(path)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).removeprefix(f"{path}: ")) from error
    storage = Storage.open(config.database)
    storage.migrate()
    storage.close()
