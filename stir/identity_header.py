"""The SIP Identity header field, which carries a PASSporT through signalling (RFC 8224 §4).

    <token>;info=<https://ca.example/chain.pem>;alg=ES256;ppt=msg

The grammar demands `info`, a URI of the signer's credential. Where the token names its certificate by `x5u`, `info` is
that same URI (§4.1). Where the token brings its chain (`x5c`), nothing needs to be fetched, and `info` is written as a
named information URI with the SHA-256 of the signer's certificate, `ni:///sha-256;…` (RFC 6920 §3): it tells which
credential signed, which is the parameter's other purpose (§7.3), and stays short. See
docs/decisions/0013-info-of-a-token-with-its-chain.md.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives import hashes

from stir.errors import IdentityHeaderError
from stir.passport import ALGORITHM, LARGEST_TOKEN, SignedPassport

LARGEST_HEADER = LARGEST_TOKEN + 4096
"""How many characters the field's value may have."""

_FOLD = re.compile(r"\r?\n(?=[ \t])")  # RFC 3261 §7.3.1: a line that begins with white space continues the one before
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21\x23-\x3b\x3d\x3f-\x7e]+", re.ASCII)  # without " < >
_TOKEN = re.compile(r"[ \t]*([A-Za-z0-9_.-]+)[ \t]*", re.ASCII)
_NAMES = frozenset({"identity", "y"})  # the second is the compact form of the name
_PARAMETER = re.compile(
    r""";[ \t]*(?P<name>[A-Za-z0-9.!%*_+`'~-]+)
        (?:[ \t]*=[ \t]*(?:
            <(?P<uri>[^<>"\s]+)>
            |"(?P<quoted>[^"\\\x00-\x1f\x7f]*)"
            |(?P<bare>[A-Za-z0-9.!%*_+`'~:\[\]-]+)
        ))?[ \t]*""",
    re.ASCII | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class IdentityHeader:
    """One Identity header field, whose parameters agree with its token. `signed` is the token, read.

    `info` is an absolute URI. Raises IdentityHeaderError where the parameters contradict the token, PassportError where
    the token is none.
    """

    token: str = field(repr=False)
    info: str
    algorithm: str = ALGORITHM
    ppt: str | None = None
    signed: SignedPassport = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Hold the parameters to the token (RFC 8224 §4.1)."""
        signed = SignedPassport.parse(self.token)
        if not _URI.fullmatch(self.info):
            msg = "the info parameter of an Identity header is an absolute URI (RFC 8224 §4)"
            raise IdentityHeaderError(msg)
        if self.algorithm != ALGORITHM:
            msg = f"the alg parameter of an Identity header is that of its PASSporT, {ALGORITHM} (RFC 8224 §4.1)"
            raise IdentityHeaderError(msg)
        if self.ppt != signed.passport.ppt:
            msg = "the ppt parameter of the Identity header is not that of its PASSporT (RFC 8224 §4.1)"
            raise IdentityHeaderError(msg)
        _require_same_credential(self.info, signed)
        object.__setattr__(self, "signed", signed)

    @classmethod
    def for_token(cls, token: str) -> Self:
        """Return the header that carries a token, with the parameters that follow from it."""
        signed = SignedPassport.parse(token)
        return cls(token, signed.certificate_url or _information_uri(signed), ppt=signed.passport.ppt)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the field's value, without its name; raise PassportError, of which IdentityHeaderError is one kind.

        Lines may be folded, `ppt` may be quoted or not, and parameters of other specifications are passed over.
        """
        if len(text) > LARGEST_HEADER:
            msg = f"an Identity header has at most {LARGEST_HEADER} characters"
            raise IdentityHeaderError(msg)
        token, parameters = _split(_FOLD.sub("", text.strip(" \t\r\n")))
        if not parameters.get("info", "").startswith("<"):
            msg = "an Identity header has an info parameter, a URI in angle brackets: ;info=<https://…> (RFC 8224 §4)"
            raise IdentityHeaderError(msg)
        info = parameters["info"][1:-1]
        return cls(token, info, parameters.get("alg", ALGORITHM), parameters.get("ppt"))

    def format(self) -> str:
        """Return the field's value. `ppt` is not quoted: the grammar says token."""
        ppt = "" if self.ppt is None else f";ppt={self.ppt}"
        return f"{self.token};info=<{self.info}>;alg={self.algorithm}{ppt}"


def token_of(text: str) -> str:
    """Return the token of an Identity header, with or without the header's name; or of a text that is a token alone.

    Raises as `IdentityHeader.parse`. A text that is no header is returned as it is: reading it as a token tells.
    """
    name, colon, value = text.strip().partition(":")
    header = value if colon and name.strip().lower() in _NAMES else text.strip()
    return IdentityHeader.parse(header).token if ";" in header else header.strip()


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Return the token and the parameters, their names in lower case; a URI keeps its angle brackets."""
    start = _TOKEN.match(text)
    if start is None:
        msg = "an Identity header begins with a PASSporT"
        raise IdentityHeaderError(msg)
    parameters: dict[str, str] = {}
    at = start.end()
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            msg = "the parameters of an Identity header are ;name=value, one after the other (RFC 8224 §4)"
            raise IdentityHeaderError(msg)
        name, uri = match["name"].lower(), match["uri"]
        if name in parameters:
            msg = "a parameter stands twice in the Identity header"
            raise IdentityHeaderError(msg)
        parameters[name] = f"<{uri}>" if uri is not None else match["quoted"] or match["bare"] or ""
        at = match.end()
    return start[1], parameters


def _require_same_credential(info: str, signed: SignedPassport) -> None:
    """Refuse an `info` that is another URI than the `x5u`, or names another certificate than the chain's first."""
    if signed.certificate_url is not None and info != signed.certificate_url:
        msg = "the info parameter of the Identity header is not the x5u of its PASSporT (RFC 8224 §4.1)"
        raise IdentityHeaderError(msg)
    if info.lower().startswith("ni:") and info != _information_uri(signed):
        msg = "the info parameter of the Identity header names another certificate than its PASSporT brings"
        raise IdentityHeaderError(msg)


def _information_uri(signed: SignedPassport) -> str:
    """Return the name of the signer's certificate by its SHA-256 (RFC 6920 §3)."""
    fingerprint = signed.chain[0].fingerprint(hashes.SHA256())
    return f"ni:///sha-256;{base64.urlsafe_b64encode(fingerprint).rstrip(b'=').decode('ascii')}"
