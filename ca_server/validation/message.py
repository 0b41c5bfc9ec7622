"""The text of the SMS that carries a code, or a part of one (docs/reference/challenges.md).

The last line is for phones and programs: the origin-bound form of the WICG's one-time codes. Where a code travels in
two parts, each part's line ends in its place, such as `1/2`: a phone then offers no half code to fill in, and a program
knows in which order the parts belong.
"""

from __future__ import annotations

from collections.abc import Iterator

from ca_server.errors import ConfigurationError
from ca_server.sms.alphabet import SEPTETS_OF_ONE_SEGMENT, encode_gsm7

LONGEST_CODE = 22
"""Characters of part 1 in `sms-reply-00`, the longest that an SMS carries."""


def message_texts(code: str, routes: int, authority: str, host: str) -> tuple[str, ...]:
    """Return the SMS of one ask, one for each route, each of which fits one segment.

    `authority` is the name that people know, left out where the segment or its alphabet has no place for it. `host`
    binds the code to the authority's site. Raises ConfigurationError where the host is too long for any SMS.
    """
    parts = _cut(code, routes)
    return tuple(_text(part, index, routes, authority, host) for index, part in enumerate(parts, start=1))


def check_message(authority: str, host: str, routes: int) -> None:
    """Raise ConfigurationError where the longest code does not fit an SMS of this authority."""
    message_texts("0" * LONGEST_CODE, routes, authority, host)


def _cut(code: str, routes: int) -> tuple[str, ...]:
    """Cut the code into equal parts, the first the longer where it must be."""
    size = -(-len(code) // routes)
    return tuple(code[start : start + size] for start in range(0, len(code), size))


def _text(part: str, index: int, routes: int, authority: str, host: str) -> str:
    for text in _wordings(part, index, routes, authority, host):
        septets = encode_gsm7(text)
        if septets is not None and len(septets) <= SEPTETS_OF_ONE_SEGMENT:
            return text
    msg = "public_url: its host is too long for an SMS to carry it with a code; use a shorter one"
    raise ConfigurationError(msg)


def _wordings(part: str, index: int, routes: int, authority: str, host: str) -> Iterator[str]:
    """Yield what the SMS may say, the most telling first."""
    whole = routes == 1
    line = f"@{host} #{part}" if whole else f"@{host} #{part} {index}/{routes}"
    place = "is" if whole else f"is part {index} of {routes} of"
    yield f"{part} {place} your {authority} code to certify this number. Do not share it.\n\n{line}"
    yield f"{part} {place} your code to certify this number. Do not share it.\n\n{line}"
    yield f"{part} {place} your code. Do not share it.\n\n{line}"
