"""Where the codes come from: a person, a program, a file or a function. Implement `CodeSource` for another place.

Every source may give the code alone or the whole text of the message. The whole text is better: its last line says for
which authority the code is, and a code for another one is refused here, before anybody can pass it on.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess  # the point of `CommandCodes`
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from pathlib import Path
from typing import Protocol

from acme_client.errors import CodeNotGiven, ForeignCode, SmsNotDelivered, UnusableCode
from acme_client.polling import SYSTEM_CLOCK, Clock
from stir.key_authorization import LONGEST_CODE, SHORTEST_CODE
from stir.telephone_number import TelephoneNumber

REPLY_CHARACTERS = 22
"""How long the code of an `sms-reply` message is: 128 bits in base64url."""
LARGEST_MESSAGE = 4096
"""Characters that a source may give; an SMS of ten parts has 1530."""

_BOUND_LINE = re.compile(r"@(?P<host>\S+) #(?P<code>\S+)(?: (?P<place>[1-9])/(?P<places>[1-9]))?(?: %\S+)?", re.ASCII)
"""The last line of a message, which phones read: `@host #code`, perhaps with an embedding host (WICG).

A code that travels in parts has its part's place after it: `@host #1234 1/2` (docs/reference/challenges.md).
"""
_REPLY = re.compile(rf"[A-Za-z0-9_-]{{{REPLY_CHARACTERS}}}", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_LOOK_EVERY = timedelta(seconds=5)
_WITHOUT_EXPIRY = timedelta(minutes=10)


class Resend(Enum):
    """What a source answers instead of a code to have another message sent."""

    RESEND = "resend"


RESEND = Resend.RESEND


class Notice(StrEnum):
    """Why a code is asked for."""

    FIRST = "first"
    AGAIN = "again"
    WRONG = "wrong"
    UNUSABLE = "unusable"
    EXPIRED = "expired"
    RESENT = "resent"
    NOT_RESENT = "not-resent"


@dataclass(frozen=True, slots=True)
class CodePrompt:
    """What a source of codes needs to know. Times are aware, in this machine's clock; None is what nobody said.

    `host` is the name that the message's last line must bear, `senders` the addresses that the phone will show,
    `digits` the length of the code and None for the 22 characters of an `sms-reply`. A resend is possible from
    `resend_at` on. `notice` is why the code is asked for, `detail` the same in words. `refresh` asks the authority how
    things stand now; `when_sent` does so until the message has left its queue, for a few seconds at most.
    """

    number: TelephoneNumber
    authority: str
    host: str
    senders: tuple[str, ...]
    digits: int | None
    reply: bool
    attempts_remaining: int | None
    sends_remaining: int | None
    resend_at: datetime | None
    expires_at: datetime | None
    delivery: str | None
    notice: Notice
    detail: str
    refresh: Callable[[], CodePrompt]
    when_sent: Callable[[CodePrompt], CodePrompt]

    @property
    def undelivered(self) -> bool:
        """The authority knows that the message did not reach the phone."""
        return self.delivery == "failed"

    @property
    def may_resend(self) -> bool:
        """Whether the authority sends another message at all, now or from `resend_at` on."""
        return self.sends_remaining is None or self.sends_remaining > 0


class CodeSource(Protocol):
    """Where the codes come from."""

    def code(self, prompt: CodePrompt) -> str | Resend:
        """Return the code or the whole message, or RESEND for another message; wait for it as long as is sensible.

        An empty text asks again with the news of the day. Raises CodeNotGiven to give up for now: the order is kept.
        """


@dataclass(frozen=True, slots=True)
class CallbackCodes:
    """Codes from a function of the program."""

    callback: Callable[[CodePrompt], str | Resend]

    def code(self, prompt: CodePrompt) -> str | Resend:
        """Ask the function."""
        return self.callback(prompt)


@dataclass(frozen=True, slots=True)
class CommandCodes:
    """Codes from the standard output of a command, run anew for each; the word `resend` asks for another message.

    The command finds what it needs in its environment, not in its arguments, which every user of the machine can read:
    ANSWERBACK_NUMBER, _AUTHORITY, _HOST, _FROM, _DIGITS, _ATTEMPTS, _NOTICE and _DELIVERY. It is stopped when the code
    expires.
    """

    arguments: Sequence[str]
    clock: Clock = SYSTEM_CLOCK

    def code(self, prompt: CodePrompt) -> str | Resend:
        """Run the command."""
        _require_delivered(prompt)
        try:
            running = subprocess.Popen(  # noqa: S603  # the user named the command
                list(self.arguments),
                env=os.environ | _environment(prompt),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            msg = f"cannot run the command for the code: {error.strerror}"
            raise CodeNotGiven(msg) from error
        with running:
            try:
                output = self._output(running, prompt)
            finally:
                if running.poll() is None:  # what the command started must not outlive it
                    os.killpg(running.pid, signal.SIGKILL)
        if running.returncode != 0:
            _give_up(f"the command for the code failed with exit status {running.returncode}")
        text = output[:LARGEST_MESSAGE].decode("utf-8", errors="replace").strip()
        if not text:
            _give_up("the command for the code printed nothing")
        return RESEND if text == RESEND.value else text

    def _output(self, running: subprocess.Popen[bytes], prompt: CodePrompt) -> bytes:
        """Wait for the command to end, and look now and then whether the message can still come."""
        end = _end(prompt, self.clock)
        while True:
            try:
                return running.communicate(timeout=_LOOK_EVERY.total_seconds())[0]
            except subprocess.TimeoutExpired:
                _require_delivered(prompt.refresh())
            if self.clock.now() >= end:
                _give_up("the command for the code did not end before the code expired")


@dataclass(frozen=True, slots=True)
class FileCodes:
    """Codes from a file that another program writes. It is waited for, and removed once read: a code is used once.

    A file that holds no whole code yet is left until it does.
    """

    path: Path
    clock: Clock = SYSTEM_CLOCK

    def code(self, prompt: CodePrompt) -> str:
        """Wait for the file."""
        end, pause, look_at = _end(prompt, self.clock), _FIRST_PAUSE, self.clock.now() + _LOOK_EVERY
        _require_delivered(prompt)
        while (text := self._text(prompt)) is None:
            now = self.clock.now()
            if now >= end:
                _give_up(f"no usable code came in {self.path} before it expired")
            if now >= look_at:
                _require_delivered(prompt.refresh())
                look_at = now + _LOOK_EVERY
            self.clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        self.path.unlink(missing_ok=True)
        return text

    def _text(self, prompt: CodePrompt) -> str | None:
        """Return what the file holds, where that is a code."""
        if not self.path.exists():
            return None
        if not self.path.is_file():
            _give_up(f"{self.path} is no ordinary file")
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(LARGEST_MESSAGE)
            read_code(text, prompt)
        except FileNotFoundError:
            return None
        except UnusableCode:
            return None
        except OSError as error:
            msg = f"cannot read {self.path}: {error.strerror}"
            raise CodeNotGiven(msg) from error
        return text


def read_code(text: str, prompt: CodePrompt) -> str:
    """Return the code in what a source gave: the code itself or the whole message.

    Raises UnusableCode where it can be none, ForeignCode where it is for another authority.
    """
    if len(text) > LARGEST_MESSAGE:
        msg = "that is too long to be a message"
        raise UnusableCode(msg)
    given = code_from_sms(text, prompt.host) if _bound_lines(text) else "".join(text.split())
    if prompt.reply:
        if _REPLY.fullmatch(given):
            return given
        msg = f"the code has {REPLY_CHARACTERS} letters, digits, - and _; give it whole, or the message it came in"
        raise UnusableCode(msg)
    digits = given.replace("-", "")
    shortest, longest = (SHORTEST_CODE, LONGEST_CODE) if prompt.digits is None else (prompt.digits, prompt.digits)
    if _DIGITS.fullmatch(digits) and shortest <= len(digits) <= longest:
        return digits
    expected = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    msg = f"a code has {expected} digits; this cost no try"
    raise UnusableCode(msg)


def code_from_sms(text: str, host: str) -> str:
    """Return the code that a message binds to `host` in its last line, `@host #code`.

    Where an authority sends the code in parts, the text holds all messages, in any order. Raises ForeignCode where any
    of them is bound to another host, UnusableCode where there is no such line or a part is missing.
    """
    lines = _bound_lines(text)
    if not lines:
        msg = f"the message has no line that begins with @{host} #"
        raise UnusableCode(msg)
    if not all(same_host(line.host, host) for line in lines):
        msg = (
            f"the message holds a code for another host than {host}: give it to nobody. "
            "Somebody may be using this enrolment to get a certificate for the number elsewhere"
        )
        raise ForeignCode(msg)
    expected = [(place, lines[0].places) for place in range(1, lines[0].places + 1)]
    parts = sorted(lines, key=lambda line: line.place)
    if [(line.place, line.places) for line in parts] == expected:
        return "".join(line.code for line in parts)
    msg = "the code comes in several messages: give them all, each once"
    if len(expected) == 1:
        msg = "the text holds several codes: give the last message only"
    raise UnusableCode(msg)


def same_host(one: str, other: str) -> bool:
    """Tell whether two spellings name one host; an IPv6 address may stand in brackets."""
    return one.strip("[]").lower() == other.strip("[]").lower()


@dataclass(frozen=True, slots=True)
class _BoundCode:
    """A code, or the part of one at `place` of `places`, and the host that it is for."""

    host: str
    code: str
    place: int
    places: int


def _bound_lines(text: str) -> list[_BoundCode]:
    matches = (_BOUND_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return [
        _BoundCode(match["host"], match["code"], int(match["place"] or 1), int(match["places"] or 1))
        for match in matches
        if match is not None
    ]


def _end(prompt: CodePrompt, clock: Clock) -> datetime:
    return prompt.expires_at or clock.now() + _WITHOUT_EXPIRY


def _require_delivered(prompt: CodePrompt) -> None:
    if prompt.undelivered:
        msg = f"{prompt.authority} says that its message to {prompt.number.masked} was not delivered; try again later"
        raise SmsNotDelivered(msg)


def _give_up(reason: str) -> None:
    msg = f"{reason}; run the command again to go on from here"
    raise CodeNotGiven(msg)


def _environment(prompt: CodePrompt) -> dict[str, str]:
    values = {
        "NUMBER": prompt.number.e164,
        "AUTHORITY": prompt.authority,
        "HOST": prompt.host,
        "FROM": ",".join(prompt.senders),
        "DIGITS": "" if prompt.digits is None else str(prompt.digits),
        "ATTEMPTS": "" if prompt.attempts_remaining is None else str(prompt.attempts_remaining),
        "NOTICE": prompt.notice.value,
        "DELIVERY": prompt.delivery or "",
    }
    return {f"ANSWERBACK_{name}": value for name, value in values.items()}
