"""The arithmetic of the SMS challenges: two-part tokens and their digests.

RFC 8823 §3.1 splits a challenge token over two channels. Here part 1 travels by SMS and part 2 over ACME:

    keyAuthorization = part1 || part2 || "." || base64url(SHA-256 thumbprint of the account key)
    digest           = base64url(SHA-256(keyAuthorization))

All is ASCII text and nothing is padded. Randomness is the caller's: this module draws none.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from stir.errors import KeyAuthorizationError

TOKEN_BYTES = 16
"""A token carries 128 bits (RFC 8555 §11.3)."""
SHORTEST_CODE = 6
LONGEST_CODE = 10

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
_CODE = re.compile(rf"[0-9]{{{SHORTEST_CODE},{LONGEST_CODE}}}", re.ASCII)
_SHA256_TEXT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def token_from_bytes(random_bytes: bytes) -> str:
    """Return the 22 base64url characters of a token's 16 random bytes."""
    if len(random_bytes) != TOKEN_BYTES:
        msg = f"a token is made of {TOKEN_BYTES} random bytes"
        raise KeyAuthorizationError(msg)
    return _base64url(random_bytes)


def key_authorization(part1: str, part2: str, thumbprint: bytes) -> str:
    """Return the key authorization of an SMS challenge.

    `part1` is a token or a decimal code of 6 to 10 digits, `part2` a token, `thumbprint` the SHA-256 thumbprint of the
    account key (32 bytes, RFC 7638).
    """
    if not (_TOKEN.fullmatch(part1) or _CODE.fullmatch(part1)):
        msg = "the part sent by SMS is 22 base64url characters or a code of 6 to 10 digits"
        raise KeyAuthorizationError(msg)
    if not _TOKEN.fullmatch(part2):
        msg = "the challenge's token is 22 base64url characters"
        raise KeyAuthorizationError(msg)
    if len(thumbprint) != hashlib.sha256().digest_size:
        msg = "the account key's thumbprint is 32 bytes of SHA-256"
        raise KeyAuthorizationError(msg)
    return f"{part1}{part2}.{_base64url(thumbprint)}"


def digest(part1: str, part2: str, thumbprint: bytes) -> str:
    """Return the `digest` with which a client answers an SMS challenge: 43 base64url characters."""
    return _base64url(hashlib.sha256(key_authorization(part1, part2, thumbprint).encode("ascii")).digest())


def digest_matches(expected: str, given: str) -> bool:
    """Compare two digests in constant time; raise KeyAuthorizationError where `given` is no digest."""
    if not _SHA256_TEXT.fullmatch(given):
        msg = "the digest is 43 base64url characters: SHA-256 of the key authorization, without padding"
        raise KeyAuthorizationError(msg)
    return hmac.compare_digest(expected, given)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
