"""How an authority made sure of a number, as its certificates say."""

from __future__ import annotations

from enum import Enum

from cryptography import x509

from stir.certificate_profile import OID_ARC


class ValidationMethod(Enum):
    """How an authority made sure of a number, told by a certificate policy under our arc. The value is the label."""

    SMS_REPLY = "sms-reply"
    SMS_CODE = "sms-code"
    AUTHORITY_TOKEN = "authority-token"  # noqa: S105 - the name of a method
    SMS_ROUTES = "sms-routes"

    @property
    def label(self) -> str:
        """The method's name in policies and on screens, such as `sms-code`."""
        return self.value

    @property
    def oid(self) -> x509.ObjectIdentifier:
        """The certificate policy that stands for the method: A.1.1 to A.1.4."""
        return _POLICY_OF_METHOD[self]


_POLICY_OF_METHOD = {
    method: x509.ObjectIdentifier(f"{OID_ARC}.1.{number}") for number, method in enumerate(ValidationMethod, start=1)
}
METHOD_OF_POLICY = {oid: method for method, oid in _POLICY_OF_METHOD.items()}
