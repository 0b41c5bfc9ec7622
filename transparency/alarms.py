"""What somebody who checks a log may find, in words, with the evidence that others can check too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class AlarmKind(StrEnum):
    """What is wrong. Each kind says to whom it is evidence, and what to do."""

    UNKNOWN_CERTIFICATE = "unknown-certificate"
    FORK = "fork"
    ROLLBACK = "rollback"
    STALL = "stall"
    DROPPED = "dropped"
    HIDDEN = "hidden"
    MISPLACED = "misplaced"
    FALSE_PROMISE = "false-promise"
    FALSE_FILE = "false-file"
    NOT_SIGNED = "not-signed"
    NOT_WITNESSED = "not-witnessed"
    NOT_AUDITED = "not-audited"
    UNWATCHED = "unwatched"

    @property
    def advice(self) -> str:
        """What to do, in one sentence."""
        return _ADVICE[self]


_SHOW = "Show the kept evidence to the log's operator and to whoever chooses logs; stop trusting the log if it holds."
_ADVICE: Mapping[AlarmKind, str] = {
    AlarmKind.UNKNOWN_CERTIFICATE: (
        "If nobody you asked got this certificate, revoke it at its issuer: prove the number there as its holder, and "
        "ask your carrier whether your SMS or your number were rerouted."
    ),
    AlarmKind.FORK: f"The log shows two histories, which is proven by its own signatures. {_SHOW}",
    AlarmKind.ROLLBACK: f"The log shows a smaller tree than before. {_SHOW}",
    AlarmKind.STALL: "Nothing new can be seen in this log: ask its operator, and rely on your other logs meanwhile.",
    AlarmKind.DROPPED: f"The log no longer shows what it showed or promised. {_SHOW}",
    AlarmKind.HIDDEN: f"The log's index leaves out what its tree holds. {_SHOW}",
    AlarmKind.MISPLACED: f"The log's index names entries that are not under their label. {_SHOW}",
    AlarmKind.FALSE_PROMISE: f"The log signed a promise that it does not keep. {_SHOW}",
    AlarmKind.FALSE_FILE: f"The log serves files that are not those it signed for. {_SHOW}",
    AlarmKind.NOT_SIGNED: "The log's key did not sign what its server shows: somebody else answers in its place.",
    AlarmKind.NOT_WITNESSED: "Too few witnesses cosigned what you are shown: others may be shown something else.",
    AlarmKind.UNWATCHED: (
        "Certificates in this log may be out of your sight: take its operator's newest log.json, with answerback trust "
        "log update, and ask that the log admit the authority that certified your number."
    ),
    AlarmKind.NOT_AUDITED: (
        "Nobody whom you asked to has confirmed that the log's index leaves nothing out: ask the auditor why, and look "
        "into the index yourself, with answerback log audit."
    ),
}


def one_line(text: str) -> str:
    """Return what others may have written as one line that a terminal shows and does not obey."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that is wrong with a log, or that its number's owner must know.

    `log` is the log's name, `origin` the shard's. `text` says what was found, in one sentence without a number; what a
    log or an authority wrote of it is made harmless to a terminal. `evidence` holds named documents: signed notes,
    proofs, files of the log. `key` tells this alarm from others of its kind, so that one that goes on is raised once.
    """

    kind: AlarmKind
    log: str
    origin: str
    text: str
    evidence: Mapping[str, bytes] = field(default_factory=dict)
    key: str = ""

    def __post_init__(self) -> None:
        """Make the text one line."""
        object.__setattr__(self, "text", one_line(self.text))

    @property
    def identity(self) -> str:
        """What two alarms about the same thing have in common."""
        return f"{self.kind.value} {self.origin} {self.key}"


class LogAtFault(Exception):
    """Raised where a log shows something that no honest log shows; `alarm` says what."""

    def __init__(self, alarm: Alarm) -> None:
        """Remember the alarm."""
        super().__init__(alarm.text)
        self.alarm = alarm
