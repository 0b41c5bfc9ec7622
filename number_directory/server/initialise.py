"""A new directory from nothing: key, admission list, settings, database and description, all of them or none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from number_directory.description import DirectoryDescription
from number_directory.server.app import HIDDEN_KEY_NAME, KEY_NAME, hidden_in, key_files
from number_directory.server.config import CONFIG_NAME, PASSPHRASE_VARIABLE, DirectoryConfig
from number_directory.server.describing import describe
from number_directory.server.errors import ConfigurationError
from number_directory.server.loading import load_config
from number_directory.server.storage import Storage
from policies.terms import Terms
from serving.initialising import filled, passphrase_settings, proxy_setting, quoted, staged, write_synced
from serving.key_files import KeyFiles
from stir.certificate import AuthorityCertificate
from stir.certificate_chain import read_pem_chain
from stir.errors import CertificateProfileError
from transparency.signed_note import Ed25519Signer
from trust_store import Anchor, TrustHome, TrustStoreError
from trust_store.editing import add_anchor

DESCRIPTION_NAME = "directory.json"
ADMISSION = "admission/trust.toml"


@dataclass(frozen=True)
class NewDirectory:
    """What the operator decides. Without a passphrase the key stands open, which the operator must have asked for.

    `admit` are files with one authority's certificate each; `passphrase_file` is where the server will find the
    passphrase, without it in the environment.
    """

    name: str
    operator: str
    url: str
    admit: tuple[Path, ...]
    passphrase: bytes | None
    passphrase_file: Path | None = None
    bind: str = "127.0.0.1:15000"


@dataclass(frozen=True)
class Initialised:
    """What was made: the file of settings, and the file that describes the directory to everybody else."""

    config: Path
    description_file: Path
    description: DirectoryDescription


def initialise(folder: Path, new: NewDirectory) -> Initialised:
    """Make a directory in `folder`, which must not exist or be empty.

    An interruption leaves nothing half-made behind. Raises a ServingError that says what to do.
    """
    folder = folder.absolute()
    with staged(folder, last=CONFIG_NAME) as draft:
        admit(draft / ADMISSION, new.admit)
        (draft / CONFIG_NAME).write_text(settings(new), encoding="utf-8")
        description = furnish(load_config(draft / CONFIG_NAME), new.passphrase)
    return Initialised(folder / CONFIG_NAME, folder / DESCRIPTION_NAME, description)


def furnish(config: DirectoryConfig, passphrase: bytes | None) -> DirectoryDescription:
    """Make what settings and an admission list lack: key, description and tables. Raises a ServingError."""
    keys = KeyFiles(config.keys.directory, passphrase)
    keys.write(KEY_NAME, Ed25519PrivateKey.generate())
    if config.hidden.offered:
        keys.write(HIDDEN_KEY_NAME, Ed25519PrivateKey.generate())
    description = describe(config, Ed25519Signer(config.origin, keys.ed25519(KEY_NAME)), hidden_in(config, keys))
    write_synced(config.folder / DESCRIPTION_NAME, description.to_json())
    storage = Storage.open(config.database)
    storage.migrate()
    storage.close()
    return description


def renew_hidden_key(config: DirectoryConfig) -> DirectoryDescription:
    """Make a new key of hidden numbers and a new description; the old key is kept beside it. Raises a ServingError."""
    if not config.hidden.offered:
        msg = "hidden.offered: set it to true first"
        raise ConfigurationError(msg)
    keys = key_files(config)
    signer = Ed25519Signer(config.origin, keys.ed25519(KEY_NAME))
    path = keys.path(HIDDEN_KEY_NAME)
    if path.exists():
        path.rename(path.with_suffix(f".until-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"))
    keys.write(HIDDEN_KEY_NAME, Ed25519PrivateKey.generate())
    description = describe(config, signer, hidden_in(config, keys))
    write_synced(config.folder / DESCRIPTION_NAME, description.to_json())
    return description


def settings(new: NewDirectory) -> str:
    """Return the commented settings of a new directory, in TOML."""
    parts = {
        "name": quoted(new.name),
        "operator": quoted(new.operator),
        "url": quoted(new.url),
        "bind": quoted(new.bind),
        "trusted_proxies": proxy_setting(new.url),
        "passphrase": passphrase_settings(
            new.passphrase,
            new.passphrase_file,
            variable=PASSPHRASE_VARIABLE,
            warning="can speak for the record log",
        ),
    }
    return filled("number_directory.server", CONFIG_NAME, parts)


def admit(trust_file: Path, files: tuple[Path, ...]) -> None:
    """Make an admission list, with these authorities on it; raise ConfigurationError for a file of no use."""
    trust_file.parent.mkdir(parents=True)
    trust_file.touch()
    for file in files:
        certificate, authority = _read_authority(file)
        name = f"ca-{authority.fingerprint.hex()[:16]}"
        operator = authority.organization or authority.common_name
        try:
            add_anchor(TrustHome.beside(trust_file), Anchor(Terms(name, operator, str(trust_file)), certificate))
        except TrustStoreError as error:
            msg = f"{file} cannot be admitted: {error}"
            raise ConfigurationError(msg) from error


def _read_authority(file: Path) -> tuple[x509.Certificate, AuthorityCertificate]:
    try:
        (certificate,) = read_pem_chain(file.read_bytes())
        return certificate, AuthorityCertificate.read(certificate)
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}"
        raise ConfigurationError(msg) from error
    except (CertificateProfileError, ValueError) as error:
        msg = f"{file} does not hold just the certificate of one authority, in PEM: {error}"
        raise ConfigurationError(msg) from error
