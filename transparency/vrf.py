"""A verifiable random function: ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381 §5, ciphersuite 0x03 of §5.5).

The holder of a private key computes an output for any input, with a proof that everyone can check against the public
key; without the private key the outputs look random, so nobody can try numbers against them.

Checks are at least as strict as the RFC's: a public key and a proof's Gamma must be canonical encodings of points of
the prime-order subgroup other than the identity, and s must be below the group's order. So a proof has one form.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import sha512
from typing import Final, Self

import nacl.exceptions
from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_is_valid_point,
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_core_ed25519_sub,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_scalarmult_ed25519_noclamp,
)

from transparency.errors import VrfError

PROOF_SIZE: Final = 80
OUTPUT_SIZE: Final = 64
KEY_SIZE: Final = 32

_SUITE = b"\x03"
_ENCODE_TO_CURVE = b"\x01"
_CHALLENGE = b"\x02"
_PROOF_TO_HASH = b"\x03"
_BACK = b"\x00"
_POINT_SIZE = 32
_CHALLENGE_SIZE = 16
_FIELD_PRIME = 2**255 - 19
_GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
_IDENTITY = b"\x01" + bytes(31)
_DOUBLINGS = 3  # of the cofactor 8
_SIGN_BIT = 1 << 255
_LARGEST_COUNTER = 255


@dataclass(frozen=True, slots=True)
class VrfPublicKey:
    """A public key whose holder's proofs can be checked: 32 bytes. Raises VrfError for a key of no use (§5.4.5)."""

    data: bytes

    def __post_init__(self) -> None:
        """Refuse all but canonical points of the prime-order subgroup."""
        if len(self.data) != KEY_SIZE or not crypto_core_ed25519_is_valid_point(bytes(self.data)):
            msg = "a VRF's public key is 32 bytes: a point of the large subgroup of edwards25519 (RFC 9381 §5.4.5)"
            raise VrfError(msg)

    def verify(self, alpha: bytes, proof: bytes) -> bytes:
        """Return the 64-byte output for `alpha`; raise VrfError unless the 80-byte proof shows that it is (§5.3)."""
        gamma, challenge, scalar = _decode_proof(proof)
        point = _encode_to_curve(self.data, alpha)
        try:
            # libsodium refuses a Gamma that is not canonical or not in the subgroup, as the multiplication begins.
            u = crypto_core_ed25519_sub(
                crypto_scalarmult_ed25519_base_noclamp(scalar), crypto_scalarmult_ed25519_noclamp(challenge, self.data)
            )
            v = crypto_core_ed25519_sub(
                crypto_scalarmult_ed25519_noclamp(scalar, point), crypto_scalarmult_ed25519_noclamp(challenge, gamma)
            )
        except nacl.exceptions.RuntimeError as error:
            raise _false_proof() from error
        if _challenge(self.data, point, gamma, u, v) != challenge:
            raise _false_proof()
        return _output(gamma)


@dataclass(frozen=True, slots=True)
class VrfPrivateKey:
    """A private key, made from a seed of 32 bytes (RFC 8032 §5.1.5). Its repr shows the public key only."""

    seed: bytes = field(repr=False)
    public_key: VrfPublicKey = field(init=False, compare=False)
    _scalar: bytes = field(init=False, repr=False, compare=False)
    _nonce_key: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the scalar, the nonce key and the public key."""
        if len(self.seed) != KEY_SIZE:
            msg = f"a VRF's private key has {KEY_SIZE} bytes"
            raise VrfError(msg)
        digest = sha512(self.seed).digest()
        clamped = bytearray(digest[:KEY_SIZE])
        clamped[0] &= 0xF8
        clamped[-1] = clamped[-1] & 0x7F | 0x40
        scalar = crypto_core_ed25519_scalar_reduce(bytes(clamped) + bytes(KEY_SIZE))
        object.__setattr__(self, "_scalar", scalar)
        object.__setattr__(self, "_nonce_key", digest[KEY_SIZE:])
        object.__setattr__(self, "public_key", VrfPublicKey(crypto_scalarmult_ed25519_base_noclamp(scalar)))

    @classmethod
    def generate(cls) -> Self:
        """Return a new random key."""
        return cls(os.urandom(KEY_SIZE))

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Return the key of a seed of 32 secret bytes."""
        return cls(seed)

    def prove(self, alpha: bytes) -> bytes:
        """Return the 80-byte proof for `alpha`; the same bytes each time (§5.1)."""
        public_key = self.public_key.data
        point = _encode_to_curve(public_key, alpha)
        gamma = crypto_scalarmult_ed25519_noclamp(self._scalar, point)
        nonce = crypto_core_ed25519_scalar_reduce(sha512(self._nonce_key + point).digest())  # §5.4.2.2
        u = crypto_scalarmult_ed25519_base_noclamp(nonce)
        v = crypto_scalarmult_ed25519_noclamp(nonce, point)
        challenge = _challenge(public_key, point, gamma, u, v)
        scalar = crypto_core_ed25519_scalar_add(nonce, crypto_core_ed25519_scalar_mul(challenge, self._scalar))
        return gamma + challenge[:_CHALLENGE_SIZE] + scalar

    def evaluate(self, alpha: bytes) -> bytes:
        """Return the 64-byte output for `alpha` without a proof, at half the work."""
        return _output(crypto_scalarmult_ed25519_noclamp(self._scalar, _encode_to_curve(self.public_key.data, alpha)))


def output_of(proof: bytes) -> bytes:
    """Return the 64-byte output that a proof carries, without checking the proof: for proofs of one's own (§5.2)."""
    gamma, _, _ = _decode_proof(proof)
    if not crypto_core_ed25519_is_valid_point(gamma):
        raise _false_proof()
    return _output(gamma)


def _output(gamma: bytes) -> bytes:
    return sha512(_SUITE + _PROOF_TO_HASH + _clear_cofactor(gamma) + _BACK).digest()


def _decode_proof(proof: bytes) -> tuple[bytes, bytes, bytes]:
    """Return Gamma, c as a 32-byte scalar, and s (§5.4.4)."""
    if len(proof) != PROOF_SIZE:
        msg = f"a VRF proof has {PROOF_SIZE} bytes"
        raise VrfError(msg)
    scalar = proof[_POINT_SIZE + _CHALLENGE_SIZE :]
    if int.from_bytes(scalar, "little") >= _GROUP_ORDER:
        raise _false_proof()
    challenge = proof[_POINT_SIZE : _POINT_SIZE + _CHALLENGE_SIZE]
    return proof[:_POINT_SIZE], challenge + bytes(_CHALLENGE_SIZE), scalar


def _challenge(*points: bytes) -> bytes:
    """Return the challenge over five points, as a 32-byte scalar (§5.4.3)."""
    digest = sha512(_SUITE + _CHALLENGE + b"".join(points) + _BACK).digest()
    return digest[:_CHALLENGE_SIZE] + bytes(_CHALLENGE_SIZE)


def _encode_to_curve(public_key: bytes, alpha: bytes) -> bytes:
    """Return a point that depends on `alpha` only by a hash, found by trying (§5.4.1.1).

    The number of tries shows in the time it takes. It depends on the public key and `alpha` alone, so nobody who could
    measure it learns of the private key.
    """
    salted = _SUITE + _ENCODE_TO_CURVE + public_key + alpha
    for counter in range(_LARGEST_COUNTER + 1):
        candidate = sha512(salted + bytes([counter]) + _BACK).digest()[:_POINT_SIZE]
        # libsodium would reduce a y that is not below the prime; RFC 8032 §5.1.3 has no such point.
        if int.from_bytes(candidate, "little") % _SIGN_BIT >= _FIELD_PRIME:
            continue
        try:
            point = _clear_cofactor(candidate)
        except nacl.exceptions.RuntimeError:
            continue
        if point != _IDENTITY:
            return point
    msg = "no point was found for this input, which happens to no input that anybody will ever see"
    raise VrfError(msg)


def _clear_cofactor(point: bytes) -> bytes:
    for _ in range(_DOUBLINGS):
        point = crypto_core_ed25519_add(point, point)
    return point


def _false_proof() -> VrfError:
    return VrfError("the VRF proof is false: the label is not this number's")
