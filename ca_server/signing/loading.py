"""From the settings of an authority to the key store that they name, and to the issuer that signs with its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ca_server.config import Config
from ca_server.errors import ConfigurationError, KeyStoreError
from ca_server.signing.file_key_store import FileKeyStore
from ca_server.signing.issuer import Issuer
from ca_server.signing.key_store import KeyStore
from serving.key_files import passphrase_of
from serving.loading import import_named
from stir.certificate import AuthorityCertificate
from stir.certificate_chain import read_pem_chain
from stir.errors import CertificateProfileError

KeyStoreFactory = Callable[[Mapping[str, Any], Path], KeyStore]
"""What `module:attribute` names: called with the `[keys.options]` and the folder that relative paths start from."""


def open_issuer(config: Config) -> Issuer:
    """Return the issuer that the settings describe, its key unlocked. Call it after a fork.

    Raises ConfigurationError where the certificates form no chain, KeyStoreError where the key does not open.
    """
    certificate, *chain = read_authorities(config)
    key = open_key_store(config).open(config.authority.key)
    return Issuer(certificate, tuple(chain), key, config.public_url, config.authority.crl_shards)


def open_former(config: Config, now: datetime) -> tuple[Issuer, ...]:
    """Return the issuers of before whose certificates have not ended; raises as `open_issuer` does."""
    issuers = []
    for index, former in enumerate(config.authority.former):
        setting = f"authority.former[{index}]"
        certificate, *chain = _read_chain(config, f"{setting}.certificate", former.certificate)
        if certificate.not_valid_after_utc < now:
            continue
        try:
            key = open_key_store(config).open(former.key)
        except KeyStoreError as error:
            msg = f"{setting}: {error}"
            raise KeyStoreError(msg) from error
        authority = config.authority
        issuers.append(Issuer(certificate, tuple(chain), key, config.public_url, authority.crl_shards))
    return tuple(issuers)


def read_authorities(config: Config) -> tuple[x509.Certificate, ...]:
    """Return the issuing certificate and those above it, up to the anchor; raise ConfigurationError.

    Each must be in the profile and signed by the next, and the last by itself.
    """
    return _read_chain(config, "authority.certificate", config.authority.certificate)


def read_former(config: Config) -> tuple[x509.Certificate, ...]:
    """Return the issuing certificates of before, ended ones too; raise ConfigurationError as `read_authorities`."""
    return tuple(
        _read_chain(config, f"authority.former[{index}].certificate", former.certificate)[0]
        for index, former in enumerate(config.authority.former)
    )


def _read_chain(config: Config, setting: str, file: Path) -> tuple[x509.Certificate, ...]:
    paths = {setting: file}
    paths |= {f"authority.chain[{index}]": path for index, path in enumerate(config.authority.chain)}
    chain = tuple(_read_authority(key, path) for key, path in paths.items())
    for (key, path), certificate, issuer in zip(paths.items(), chain, (*chain[1:], chain[-1]), strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, TypeError, ValueError) as error:
            whom = "by the next in authority.chain" if certificate is not issuer else "by itself, as an anchor is"
            msg = f"{key}: the certificate in {path} is not signed {whom}"
            raise ConfigurationError(msg) from error
    return chain


def open_key_store(config: Config) -> KeyStore:
    """Return the key store of an authority, without opening a key yet. Call it after a fork.

    Raises ConfigurationError where there is no such store, KeyStoreError where its passphrase is missing.
    """
    keys = config.keys
    if keys.store == "file":
        return FileKeyStore(keys.directory, passphrase_of(keys))
    factory: KeyStoreFactory = import_named("keys.store", keys.store)
    return factory(keys.options, config.folder)


def _read_authority(key: str, path: Path) -> x509.Certificate:
    try:
        chain = read_pem_chain(path.read_bytes())
        if len(chain) != 1:
            msg = f"{key}: {path} must hold one certificate, and holds {len(chain)}"
            raise ConfigurationError(msg)
        AuthorityCertificate.read(chain[0])
    except OSError as error:
        msg = f"{key}: {path} cannot be read: {error.strerror}"
        raise ConfigurationError(msg) from error
    except CertificateProfileError as error:
        msg = f"{key}: {path} is no certificate of an authority: {error}"
        raise ConfigurationError(msg) from error
    return chain[0]
