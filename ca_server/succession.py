"""The next issuing certificate: made while the present one still has time, under the same anchor."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.config import Config
from ca_server.errors import ConfigurationError, KeyStoreError
from ca_server.initialise import BACKDATE, ISSUING_LIFE
from ca_server.signing.file_key_store import FileKeyStore
from ca_server.signing.key_store import KeyStore
from ca_server.signing.loading import open_key_store, read_authorities
from serving.key_files import passphrase_of
from stir.certificate import AuthorityCertificate
from stir.certificate_building import AuthorityFields, authority_certificate, signature_hash
from stir.certificate_chain import write_pem_chain
from stir.errors import CertificateProfileError
from stir.telephone_number import NumberPrefix

_ENUM = ".e164.arpa"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class NextIssuer:
    """What was made: the key's name, the certificate and its file, and what the present ones are called."""

    key: str
    file: Path
    certificate: AuthorityCertificate
    former_key: str
    former_file: Path


def make_next(config: Config, name: str | None, root_keys: Path | None, clock: Callable[[], datetime]) -> NextIssuer:
    """Make a new issuing key, and a certificate for it under the one above the present issuing certificate.

    Its numbers are those of the present one. `name` is that of key and file, `issuing-<year>` if none is given;
    `root_keys` the folder where the key above was put for the occasion. Nothing is replaced, and the settings stay as
    they are. Raises a ServingError that says what to do.
    """
    now = clock()
    present, *above = read_authorities(config)
    if not above:
        msg = "the issuing certificate is itself the anchor, and has nobody above it to sign the next"
        raise ConfigurationError(msg)
    name = name or f"issuing-{now.year}"
    if not _NAME.fullmatch(name):
        msg = f"--name {name!r}: write letters, digits, dots and hyphens only"
        raise ConfigurationError(msg)
    file = config.authority.certificate.with_name(f"{name}.pem")
    if file.exists():
        msg = f"{file} exists already; choose another --name"
        raise ConfigurationError(msg)
    root_key = _key_above(config, above[0], root_keys)
    # A store takes no key back: what stands against the certificate is found out with one that is thrown away.
    _certificate(config, present, above[0], ec.generate_private_key(ec.SECP256R1()).public_key(), now)
    key = open_key_store(config).create(name, ec.SECP256R1())
    made = _certificate(config, present, above[0], key.public_key(), now).sign(
        root_key, signature_hash(root_key), ecdsa_deterministic=True
    )
    try:
        with file.open("xb") as output:
            output.write(write_pem_chain((made,)))
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror}"
        raise ConfigurationError(msg) from error
    return NextIssuer(name, file, AuthorityCertificate.read(made), config.authority.key, config.authority.certificate)


def _key_above(config: Config, certificate: x509.Certificate, folder: Path | None) -> ec.EllipticCurvePrivateKey:
    """Open the key that signed the issuing certificate; it is named after its certificate's file."""
    store: KeyStore
    store = open_key_store(config) if folder is None else FileKeyStore(folder, passphrase_of(config.keys))
    name = config.authority.chain[0].stem
    try:
        key = store.open(name)
    except KeyStoreError as error:
        msg = f"{error}. It signs the next issuing certificate; where it is elsewhere, name its folder with --root-keys"
        raise KeyStoreError(msg) from error
    if key.public_key() != certificate.public_key():
        msg = f"the key {name!r} is not that of {config.authority.chain[0]}"
        raise KeyStoreError(msg)
    return key


def _certificate(
    config: Config, present: x509.Certificate, above: x509.Certificate, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    said = AuthorityCertificate.read(present)
    named = f"{config.authority.name} Issuing {now.year}"
    try:
        fields = AuthorityFields(
            common_name=named if named != said.common_name else f"{config.authority.name} Issuing {now:%Y-%m-%d}",
            organization=config.authority.operator,
            public_key=key,
            serial=x509.random_serial_number(),
            not_before=max(now - BACKDATE, above.not_valid_before_utc),
            not_after=min(now + ISSUING_LIFE, above.not_valid_after_utc),
            prefixes=_prefixes(present),
            path_length=0,
        )
        return authority_certificate(fields, above)
    except CertificateProfileError as error:
        msg = f"the next issuing certificate cannot be made: {error}"
        raise ConfigurationError(msg) from error


def _prefixes(present: x509.Certificate) -> tuple[NumberPrefix, ...]:
    """Return the prefixes that a certificate is limited to, from the ENUM names that it permits (RFC 6116 §3.2)."""
    try:
        constraints = present.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return ()
    domains = (name.value for name in constraints.permitted_subtrees or () if isinstance(name, x509.DNSName))
    return tuple(NumberPrefix("".join(reversed(domain.removesuffix(_ENUM).split(".")))) for domain in domains)
