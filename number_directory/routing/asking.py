"""Ask a map server, instead of holding a map."""

from __future__ import annotations

import time
from typing import Final, TypeVar

import msgspec

from number_directory.routing.answers import LARGEST_ANSWER, NumberAnswer, PrefixAnswer
from number_directory.routing.errors import MapFormatError, MapServerError
from number_directory.routing.routing_map import Clock, Resolution
from stir.telephone_number import NumberPrefix, TelephoneNumber
from transparency.transport import HttpTransport, Question, Transport, Unreachable

HIDDEN_DIGITS: Final = 4
"""So many digits a map server does not see, unless told otherwise: the number is one of ten thousand."""

T = TypeVar("T")


class MapServer:
    """A map server: it is believed as much as the directory it leads to, which is not at all."""

    def __init__(self, url: str, transport: Transport | None = None, clock: Clock = time.time) -> None:
        """Ask nobody yet."""
        self._url = url.rstrip("/")
        self._transport = transport or HttpTransport()
        self._clock = clock

    def resolve(self, number: TelephoneNumber) -> Resolution:
        """Tell the server a number, and return its service; raise MapServerError or MapFormatError."""
        return self._ask(f"resolve/{number.e164}", NumberAnswer).resolution(self._clock)

    def resolve_hidden(self, number: TelephoneNumber, hidden: int = HIDDEN_DIGITS) -> Resolution:
        """Tell the server all but the last `hidden` digits; raise MapServerError or MapFormatError."""
        prefix = NumberPrefix(number.digits[: max(1, len(number.digits) - hidden)])
        return self._ask(f"prefixes/{prefix.e164}", PrefixAnswer).resolution(prefix, number, self._clock)

    def _ask(self, path: str, kind: type[T]) -> T:
        try:
            answer = self._transport.ask(Question(f"{self._url}/{path}", largest=LARGEST_ANSWER))
        except Unreachable as error:
            raise MapServerError(str(error)) from error
        if not answer.is_ok:
            msg = f"the map server answered {answer.status}: {_detail(answer.body)}"
            raise MapServerError(msg)
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            msg = f"the map server's answer cannot be read: {error}"
            raise MapFormatError(msg) from error


class _Problem(msgspec.Struct, frozen=True):
    detail: str = "it does not say why"


def _detail(body: bytes) -> str:
    """Return what a problem document says, in one line."""
    try:
        said = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        said = _Problem()
    return "".join(sign if sign.isprintable() else " " for sign in said.detail)[:300]
