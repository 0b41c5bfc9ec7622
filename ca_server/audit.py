"""What the authority decided, as one JSON object a line: for the operator's log, and for whoever audits it later.

A line never holds a code, a token, a key or a whole telephone number; `record` masks the number that it is given.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import MutableMapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

import msgspec
import structlog

from serving import log
from serving.log import LEVELS, describe
from stir.telephone_number import TelephoneNumber


class Decision(StrEnum):
    """What can be decided; the value is the `event` of the line."""

    ACCOUNT_CREATED = "account_created"
    ACCOUNT_CHANGED = "account_changed"
    ACCOUNT_DEACTIVATED = "account_deactivated"
    ORDER_CREATED = "order_created"
    SMS_ASKED = "sms_asked"
    ANSWER_WRONG = "answer_wrong"
    NUMBER_VALIDATED = "number_validated"
    AUTHORIZATION_DEACTIVATED = "authorization_deactivated"
    LOG_FAILED = "log_failed"
    LOG_LIED = "log_lied"
    LOGS_MISSING = "logs_missing"
    CERTIFICATE_ISSUED = "certificate_issued"
    CERTIFICATE_REVOKED = "certificate_revoked"
    CRL_SIGNED = "crl_signed"
    REFUSED = "refused"


_WARNINGS = frozenset({Decision.REFUSED, Decision.LOG_FAILED, Decision.LOG_LIED, Decision.LOGS_MISSING})


def record(decision: Decision, *, number: TelephoneNumber | None = None, **facts: str | int | None) -> None:
    """Write one line, if this process has a log (`configure_log`).

    `facts` are identifiers and reasons, such as account, order, serial, method, kind, detail.
    """
    level = "warning" if decision in _WARNINGS else "info"
    if not structlog.is_configured() or LEVELS[level] < _journal.threshold:
        return
    line = {name: value for name, value in facts.items() if value is not None}
    if number is not None:
        line["number"] = number.masked
    line |= {"event": decision.value, "level": level, "at": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
    _journal.write(_json(line) + "\n")


class _Journal:
    """Where decisions are written: as structlog writes its lines, at a quarter of the cost. Every request makes one."""

    def __init__(self) -> None:
        self.threshold = LEVELS["info"]
        self.stream: TextIO = sys.stderr
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Write a line whole, whatever other threads write."""
        with self._lock:
            self.stream.write(line)
            self.stream.flush()


_journal = _Journal()
_DELETE = b"\x7f"


def configure_log(level: str = "info", stream: TextIO | None = None) -> None:
    """Send this process's log, the libraries' included, to `stream` (standard error) as JSON lines."""
    target = stream or sys.stderr
    _journal.stream, _journal.threshold = target, LEVELS[level]
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _describe_exception,
            structlog.processors.JSONRenderer(_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=target),
    )
    log.configure_log(level, stream=target)


def _json(event: MutableMapping[str, Any], **_: object) -> str:
    """Return JSON in printable ASCII. What is not ASCII takes longer: a terminal would obey some of it."""
    with contextlib.suppress(UnicodeEncodeError):
        line = msgspec.json.encode(event, enc_hook=repr)
        if line.isascii() and _DELETE not in line:
            return line.decode("ascii")
    return log.in_ascii(event)


def _describe_exception(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put an exception into words that are safe to keep."""
    given = event.pop("exc_info", None)
    if given:
        error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else sys.exception()
        event["error"] = "none" if error is None else describe(error)
    return event
