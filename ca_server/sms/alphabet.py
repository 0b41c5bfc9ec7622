r"""The alphabets of short messages (3GPP TS 23.038) and what fits into one segment (3GPP TS 23.040 §9.2.3.16).

The GSM 7-bit default alphabet is kept unpacked, one septet to an octet, as SMPP carries it. Its codes are not ASCII's:
`@` is 0, and `{ } [ ] \ ^ | ~ €` take an escape and count twice. A text with any other letter travels in UCS-2.
"""

from __future__ import annotations

SEPTETS_OF_ONE_SEGMENT = 160
OCTETS_OF_UCS2 = 140
"""Two for each UTF-16 code unit: a letter outside the basic plane takes four."""

_ESCAPE = 0x1B
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\N{ESCAPE}ÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
_OCTETS = {letter: bytes((code,)) for code, letter in enumerate(_BASIC) if code != _ESCAPE} | {
    letter: bytes((_ESCAPE, code)) for code, letter in _EXTENSION.items()
}


def encode_gsm7(text: str) -> bytes | None:
    """Return the text in the GSM 7-bit default alphabet, or None where a letter is not in it (TS 23.038 §6.2.1)."""
    try:
        return b"".join(map(_OCTETS.__getitem__, text))
    except KeyError:
        return None


def decode_gsm7(octets: bytes) -> str:
    """Read octets of the GSM 7-bit default alphabet as a phone does.

    An escape before a code that is in no table is shown as that code's basic letter, a lone one as a space, and a set
    eighth bit as U+FFFD.
    """
    letters: list[str] = []
    escaped = False
    for code in octets:
        if code == _ESCAPE and not escaped:
            escaped = True
            continue
        letters.append(_letter(code, escaped=escaped))
        escaped = False
    return "".join(letters) + (" " if escaped else "")


def fits_one_segment(text: str) -> bool:
    """Tell whether the network carries the text as one SMS."""
    septets = encode_gsm7(text)
    if septets is not None:
        return len(septets) <= SEPTETS_OF_ONE_SEGMENT
    return len(text.encode("utf-16-be")) <= OCTETS_OF_UCS2


def _letter(code: int, *, escaped: bool) -> str:
    if code >= len(_BASIC):
        return "\N{REPLACEMENT CHARACTER}"
    if escaped and code in _EXTENSION:
        return _EXTENSION[code]
    return " " if code == _ESCAPE else _BASIC[code]
