"""What a challenge type is to the authority: `ChallengeValidator`, which each of the files beside this implements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ca_server.orders import ChallengeType
from policies.issuance import IssuancePolicy
from stir.validation_method import ValidationMethod

RandomBytes = Callable[[int], bytes]
"""Returns that many random bytes, fit for secrets."""


class ChallengeValidator(Protocol):
    """A way to prove a number by what an SMS carries: part 1 of a two-part token (RFC 8823 §3.1)."""

    @property
    def type(self) -> ChallengeType:
        """The challenge type that clients see."""

    def new_code(self, policy: IssuancePolicy, random_bytes: RandomBytes) -> str:
        """Draw part 1 for one SMS: a token of 22 base64url characters, or a decimal code of 6 to 10 digits."""

    def method(self, routes: int) -> ValidationMethod:
        """Return what a right answer proves, when part 1 travelled by so many routes."""
