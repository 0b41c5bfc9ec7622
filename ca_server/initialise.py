"""A new authority from nothing: keys, certificates, settings and database, all of them or none."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
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
from stir.certificate import (
    AuthorityCertificate,
    AuthorityFields,
    authority_certificate,
    signature_hash,
    write_pem_chain,
)
from stir.errors import CertificateProfileError
from stir.telephone_number import NumberPrefix

ROOT_LIFE = timedelta(days=7305)
ISSUING_LIFE = timedelta(days=1096)
BACKDATE = timedelta(days=1)
"""Far enough that a certificate which is itself backdated still begins after its issuer's."""

CONFIG_NAME = "ca.toml"
_ROOT_KEY, _ISSUING_KEY = "root", "issuing"
_HARMLESS = frozenset({"lost+found"})
"""What a new file system holds."""
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
    with _staged(folder) as draft:
        root, issuing = _write_authorities(draft, new, clock())
        (draft / CONFIG_NAME).write_text(settings(new), encoding="utf-8")
        _prepare(draft / CONFIG_NAME)
    return Initialised(folder / CONFIG_NAME, folder / "keys", root, issuing)


def settings(new: NewAuthority) -> str:
    """Return the commented settings of a new authority, in TOML."""
    parts = {
        "public_url": _quote(new.public_url),
        "name": _quote(new.name),
        "operator": _quote(new.operator),
        "passphrase": _passphrase_settings(new),
        "bind": _quote(new.bind),
        "trusted_proxies": f'{"" if new.public_url.startswith("https:") else "#"}trusted_proxies = ["127.0.0.1"]',
        "countries": f"[{', '.join(map(_quote, new.countries))}]",
        "gateway": Template(_OUTBOX if new.gateway == "outbox" else _SMPP).substitute(sender=_quote(new.sender)),
    }
    template = importlib.resources.files("ca_server").joinpath(CONFIG_NAME).read_text(encoding="utf-8")
    return Template(template).substitute(parts)


def _passphrase_settings(new: NewAuthority) -> str:
    file = '#passphrase_file = "passphrase"'
    unencrypted = "# Keys in open files, which whoever reads them can issue with.\n#unencrypted = false"
    if new.passphrase is None:
        unencrypted = (
            "# THE KEYS ARE NOT ENCRYPTED: whoever reads their files can issue certificates.\nunencrypted = true"
        )
    elif new.passphrase_file is not None:
        file = f"passphrase_file = {_quote(str(new.passphrase_file.absolute()))}"
    return (
        "# The passphrase of the keys: the first line of a file, else the value of an environment variable.\n"
        f'{file}\n#passphrase_variable = "{PASSPHRASE_VARIABLE}"\n\n{unencrypted}'
    )


def _quote(text: str) -> str:
    """Return the text as a TOML string; raise ConfigurationError for one with control characters."""
    if not text.isprintable():
        msg = f"{text!r} has characters that cannot be printed; leave them out"
        raise ConfigurationError(msg)
    return json.dumps(text, ensure_ascii=False)


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


@contextlib.contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """Give a folder to work in, and put what was made there in its place at the end, or throw it away."""
    exists = _require_empty(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".init-", dir=folder if exists else folder.parent))
    except OSError as error:
        msg = f"{folder} cannot be made: {error.strerror}"
        raise ConfigurationError(msg) from error
    try:
        yield draft
        if exists:
            _move_into(draft, folder)
        else:
            draft.rename(folder)
    except OSError as error:
        msg = f"{folder} cannot be written: {error.strerror}"
        raise ConfigurationError(msg) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _require_empty(folder: Path) -> bool:
    """Tell whether the folder exists; raise ConfigurationError where there is something in it."""
    try:
        found = sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        msg = f"{folder} is no folder to make an authority in: {error.strerror}"
        raise ConfigurationError(msg) from error
    in_the_way = [name for name in found if name not in _HARMLESS and not name.startswith(".init-")]
    if in_the_way:
        msg = f"{folder} is not empty ({in_the_way[0]}), and nothing is overwritten; choose a new folder"
        raise ConfigurationError(msg)
    return True


def _move_into(draft: Path, folder: Path) -> None:
    """Move everything into a folder that was there before, such as a mounted volume: the settings last."""
    for entry in sorted(draft.iterdir(), key=lambda entry: entry.name == CONFIG_NAME):
        entry.rename(folder / entry.name)
