"""`sms-reply-00`: the SMS carries 128 random bits that a program reads."""

from __future__ import annotations

from dataclasses import dataclass

from ca_server.orders import ChallengeType
from ca_server.validation.validator import RandomBytes
from policies.issuance import IssuancePolicy
from stir import key_authorization
from stir.validation_method import ValidationMethod


@dataclass(frozen=True, slots=True)
class SmsReply:
    """Proves that a program receives the number's SMS. Nobody guesses the code."""

    type: ChallengeType = ChallengeType.SMS_REPLY

    def new_code(self, policy: IssuancePolicy, random_bytes: RandomBytes) -> str:  # noqa: ARG002 - the Protocol's
        """Draw 128 random bits, as 22 base64url characters."""
        return key_authorization.token_from_bytes(random_bytes(key_authorization.TOKEN_BYTES))

    def method(self, routes: int) -> ValidationMethod:
        """Return what a right answer proves."""
        return ValidationMethod.SMS_REPLY if routes == 1 else ValidationMethod.SMS_ROUTES
