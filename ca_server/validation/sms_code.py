"""`sms-code-00`: the SMS carries a short decimal code that a person types."""

from __future__ import annotations

from dataclasses import dataclass

from ca_server.orders import ChallengeType
from ca_server.validation.validator import RandomBytes
from policies.issuance import IssuancePolicy
from stir.validation_method import ValidationMethod

_DRAW_BYTES = 8


@dataclass(frozen=True, slots=True)
class SmsCode:
    """Proves that a person reads the number's SMS. The code is short: attempts are few, and counted."""

    type: ChallengeType = ChallengeType.SMS_CODE

    def new_code(self, policy: IssuancePolicy, random_bytes: RandomBytes) -> str:
        """Draw a code of the policy's length, every code as likely as any other."""
        return decimal_code(policy.code_digits, random_bytes)

    def method(self, routes: int) -> ValidationMethod:
        """Return what a right answer proves."""
        return ValidationMethod.SMS_CODE if routes == 1 else ValidationMethod.SMS_ROUTES


def decimal_code(digits: int, random_bytes: RandomBytes) -> str:
    """Draw a decimal code, every one as likely as any other: a draw from the uneven end of the range is drawn again."""
    codes = 10**digits
    draws = 1 << (8 * _DRAW_BYTES)
    even = draws - draws % codes
    while (drawn := int.from_bytes(random_bytes(_DRAW_BYTES), "big")) >= even:
        pass
    return str(drawn % codes).zfill(digits)
