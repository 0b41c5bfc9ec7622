"""The errors of this room: a malformed input raises one of these and nothing else."""


class StirError(ValueError):
    """A value that its published format does not allow.

    StirError
    ├── TelephoneNumberError        not an E.164 number or range (RFC 3966, ITU-T E.164)
    ├── TnAuthListError             not a TNAuthorizationList (RFC 8226 §9)
    ├── CertificateProfileError     a certificate or request outside the profile (RFC 5280, RFC 8226)
    ├── KeyAuthorizationError       not a token, code or digest of the SMS challenges (RFC 8555 §8.1)
    ├── JwsError                    not the base64url or the JSON of a JWS (RFC 7515)
    └── PassportError               not a PASSporT (RFC 8225)
        └── IdentityHeaderError     not a SIP Identity header (RFC 8224 §4)
    """


class TelephoneNumberError(StirError):
    """A string that is not an E.164 number, or numbers that form no range."""


class TnAuthListError(StirError):
    """Bytes or entries that form no TNAuthorizationList."""


class CertificateProfileError(StirError):
    """A certificate or signing request that the profile does not allow."""


class KeyAuthorizationError(StirError):
    """A token, code or digest of an SMS challenge in the wrong form."""


class JwsError(StirError):
    """Text that no JWS holds: base64url that is padded or not canonical, or an entry of a chain that is none."""


class PassportError(StirError):
    """A PASSporT that is malformed, or that its key did not sign."""


class IdentityHeaderError(PassportError):
    """A SIP Identity header field that is malformed or contradicts its token."""
