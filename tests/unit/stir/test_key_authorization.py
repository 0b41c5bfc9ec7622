from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stir.errors import KeyAuthorizationError
from stir.key_authorization import digest, digest_matches, key_authorization, token_from_bytes

THUMBPRINT = hashlib.sha256(b"account key").digest()
tokens = st.binary(min_size=16, max_size=16).map(token_from_bytes)
parts = tokens | st.from_regex(r"\A[0-9]{6,10}\Z")


@given(parts, tokens)
def test_a_key_authorization_is_both_parts_and_the_thumbprint(part1: str, part2: str) -> None:
    """RFC 8823 §3.1 and RFC 8555 §8.1: part 1, part 2, a dot, the thumbprint in base64url."""
    assert key_authorization(part1, part2, b"\x00" * 32) == f"{part1}{part2}.{'A' * 43}"


@given(parts, tokens)
def test_both_ends_come_to_the_same_digest(part1: str, part2: str) -> None:
    """A digest matches itself, and has 43 characters."""
    given_ = digest(part1, part2, THUMBPRINT)
    assert len(given_) == 43
    assert digest_matches(digest(part1, part2, THUMBPRINT), given_)


@given(parts, parts, tokens)
def test_another_code_has_another_digest(part1: str, guess: str, part2: str) -> None:
    """A wrong code does not match."""
    matches = digest_matches(digest(part1, part2, THUMBPRINT), digest(guess, part2, THUMBPRINT))
    assert matches == (part1 == guess)


def test_another_account_has_another_digest() -> None:
    """RFC 8555 §8.1: the account's key is part of what is proved."""
    part2 = token_from_bytes(bytes(16))
    other = hashlib.sha256(b"another key").digest()
    assert not digest_matches(digest("123456", part2, THUMBPRINT), digest("123456", part2, other))


@pytest.mark.parametrize(
    "part1", ["", "12345", "12345678901", "12a456", "A" * 21, "A" * 23, "A" * 21 + "=", "123456\n", "١٢٣٤٥٦"]
)
def test_a_part_that_no_sms_carries_is_refused(part1: str) -> None:
    """Part 1 is a token or a code of 6 to 10 digits."""
    with pytest.raises(KeyAuthorizationError):
        key_authorization(part1, "A" * 22, THUMBPRINT)


@pytest.mark.parametrize("part2", ["", "123456", "A" * 21, "A" * 23, "A" * 21 + "+"])
def test_a_token_of_another_form_is_refused(part2: str) -> None:
    """RFC 8555 §11.3: part 2 is 128 bits in base64url."""
    with pytest.raises(KeyAuthorizationError):
        key_authorization("123456", part2, THUMBPRINT)


@pytest.mark.parametrize("thumbprint", [b"", b"\x00" * 20, b"\x00" * 33])
def test_a_thumbprint_of_another_hash_is_refused(thumbprint: bytes) -> None:
    """RFC 7638: SHA-256."""
    with pytest.raises(KeyAuthorizationError):
        key_authorization("123456", "A" * 22, thumbprint)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_token_is_made_of_16_bytes(size: int) -> None:
    """Fewer bits could be guessed."""
    with pytest.raises(KeyAuthorizationError):
        token_from_bytes(bytes(size))


@pytest.mark.parametrize("given_", ["", "A" * 42, "A" * 44, "A" * 43 + "=", "A" * 42 + "é", "A" * 42 + "\n"])
def test_a_digest_of_another_form_is_refused(given_: str) -> None:
    """A digest is 43 characters of base64url; anything else is a mistake, not a wrong answer."""
    with pytest.raises(KeyAuthorizationError):
        digest_matches("A" * 43, given_)


@given(st.text(), st.text(), st.binary(max_size=40))
def test_any_input_gives_a_key_authorization_or_this_rooms_error(part1: str, part2: str, thumbprint: bytes) -> None:
    """No input makes the arithmetic raise anything else."""
    for call in (lambda: digest(part1, part2, thumbprint), lambda: digest_matches("A" * 43, part1)):
        with contextlib.suppress(KeyAuthorizationError):
            call()
