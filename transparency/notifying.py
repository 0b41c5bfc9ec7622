"""Telling somebody about an alarm who is not at the terminal: by a command of theirs, or by a webhook."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from transparency.transport import Question, Transport, Unreachable
from transparency.watch_store import StoredAlarm

PATIENCE: Final = 60.0
"""Seconds that a command may take."""


class NotTold(Exception):
    """Nobody could be told; the alarm is told again next time."""


class Notifier(Protocol):
    """Whoever tells somebody."""

    def tell(self, alarm: StoredAlarm) -> None:
        """Tell of one alarm; raise NotTold."""
        ...


@dataclass(frozen=True, slots=True)
class CommandNotifier:
    """Runs a command for each alarm, with the alarm in its environment, and as JSON on its standard input."""

    arguments: tuple[str, ...]

    def tell(self, alarm: StoredAlarm) -> None:
        """Run the command; raise NotTold where it fails."""
        environment = {f"ANSWERBACK_ALARM_{name.upper()}": str(value) for name, value in document(alarm).items()}
        try:
            subprocess.run(  # noqa: S603  # the command is the user's own
                self.arguments,
                input=json.dumps(document(alarm)).encode(),
                env={**os.environ, **environment},
                timeout=PATIENCE,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        except (OSError, subprocess.SubprocessError) as error:
            msg = f"the notify command failed ({type(error).__name__}): the alarm is told again at the next look"
            raise NotTold(msg) from error


@dataclass(frozen=True, slots=True)
class WebhookNotifier:
    """Posts each alarm as JSON to a URL, without where its evidence lies.

    That folder is named after a hash of the number and of what is posted with it: whoever has both tries all numbers.
    """

    url: str
    transport: Transport

    def tell(self, alarm: StoredAlarm) -> None:
        """Post; raise NotTold unless the answer's status is one of 200 to 299."""
        told = {name: value for name, value in document(alarm).items() if name != "evidence"}
        question = Question(self.url, json.dumps(told).encode(), "application/json", largest=64 * 1024)
        try:
            answer = self.transport.ask(question)
        except Unreachable as error:
            msg = f"the webhook failed: {error}; the alarm is told again at the next look"
            raise NotTold(msg) from error
        if answer.status // 100 != 2:  # noqa: PLR2004  # successful, RFC 9110 §15.3
            msg = f"the webhook answered with HTTP status {answer.status}: the alarm is told again at the next look"
            raise NotTold(msg)


def document(alarm: StoredAlarm) -> dict[str, str | int | None]:
    """Return what is told of an alarm. The number is masked."""
    return {
        "kind": alarm.kind.value,
        "number": alarm.number,
        "log": alarm.log,
        "origin": alarm.origin,
        "text": alarm.text,
        "advice": alarm.advice,
        "first_at": alarm.first_at,
        "evidence": alarm.folder,
    }


def tell_all(notifiers: Iterable[Notifier], alarms: Iterable[StoredAlarm]) -> tuple[list[StoredAlarm], list[str]]:
    """Tell every notifier of the alarms that nobody was told of; return those that all told, and what failed."""
    told, failed, all_ = [], [], tuple(notifiers)
    for alarm in alarms:
        if alarm.is_told:
            continue
        troubles = [trouble for trouble in (_trouble(one, alarm) for one in all_) if trouble]
        failed += troubles
        if not troubles:
            told.append(alarm)
    return told, failed


def _trouble(notifier: Notifier, alarm: StoredAlarm) -> str:
    try:
        notifier.tell(alarm)
    except NotTold as error:
        return str(error)
    return ""
