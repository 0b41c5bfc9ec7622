"""A private key under a passphrase: PKCS#8's EncryptedPrivateKeyInfo with scrypt (RFC 5958 §3, RFC 7914 §7).

`cryptography` and OpenSSL both read this form. `cryptography` itself writes only one with 2048 rounds of PBKDF2, at
which a stolen file lets one graphics card try millions of passphrases a second. Here one try costs 0.1 s and 16 MiB.
"""

from __future__ import annotations

import base64
import os
import textwrap

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ObjectIdentifier

_PBES2 = ObjectIdentifier("1.2.840.113549.1.5.13")
_SCRYPT = ObjectIdentifier("1.3.6.1.4.1.11591.4.11")
_AES_256_CBC = ObjectIdentifier("2.16.840.1.101.3.4.1.42")
_COST, _BLOCK_SIZE, _PARALLEL = 2**14, 8, 5  # as much as OpenSSL's default limit of 32 MiB reads
_KEY_BYTES = 32
_SALT_BYTES = 16
_IV_BYTES = 16
_PEM_LINE = 64


@asn1.sequence
class _ScryptParameters:
    salt: bytes
    cost: int
    block_size: int
    parallel: int


@asn1.sequence
class _Scrypt:
    algorithm: ObjectIdentifier
    parameters: _ScryptParameters


@asn1.sequence
class _Aes:
    algorithm: ObjectIdentifier
    iv: bytes


@asn1.sequence
class _Pbes2Parameters:
    key_derivation: _Scrypt
    encryption: _Aes


@asn1.sequence
class _Pbes2:
    algorithm: ObjectIdentifier
    parameters: _Pbes2Parameters


@asn1.sequence
class _EncryptedPrivateKeyInfo:
    encryption: _Pbes2
    data: bytes


def encrypted_pem(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey, passphrase: bytes
) -> bytes:
    """Return the key in PEM, to be read with `load_pem_private_key` or `openssl pkey`."""
    salt, iv = os.urandom(_SALT_BYTES), os.urandom(_IV_BYTES)
    derivation = Scrypt(salt, _KEY_BYTES, _COST, _BLOCK_SIZE, _PARALLEL)
    encryptor = Cipher(algorithms.AES256(derivation.derive(passphrase)), modes.CBC(iv)).encryptor()
    padder = padding.PKCS7(algorithms.AES256.block_size).padder()
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    data = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    scrypt = _Scrypt(
        algorithm=_SCRYPT,
        parameters=_ScryptParameters(salt=salt, cost=_COST, block_size=_BLOCK_SIZE, parallel=_PARALLEL),
    )
    parameters = _Pbes2Parameters(key_derivation=scrypt, encryption=_Aes(algorithm=_AES_256_CBC, iv=iv))
    return _pem(
        asn1.encode_der(_EncryptedPrivateKeyInfo(encryption=_Pbes2(algorithm=_PBES2, parameters=parameters), data=data))
    )


def _pem(der: bytes) -> bytes:
    body = textwrap.fill(base64.b64encode(der).decode("ascii"), _PEM_LINE)
    return f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}\n-----END ENCRYPTED PRIVATE KEY-----\n".encode("ascii")
