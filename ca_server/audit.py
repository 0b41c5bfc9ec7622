"""What the authority decided, as one JSON object a line: for the operator's log, and for whoever audits it later.

A line never holds a code, a token, a key or a whole telephone number; `record` masks the number that it is given.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Any, TextIO

import msgspec
import structlog

from serving import log
from serving.log import LEVELS, describe
from stir.telephone_number import TelephoneNumber

_log = structlog.stdlib.get_logger(__name__)


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
    if not structlog.is_configured():
        return
    said = {name: value for name, value in facts.items() if value is not None}
    if number is not None:
        said["number"] = number.masked
    if decision in _WARNINGS:
        _log.warning(decision.value, **said)
    else:
        _log.info(decision.value, **said)


def configure_log(level: str = "info", stream: TextIO | None = None) -> None:
    """Send this process's log, the libraries' included, to `stream` (standard error) as JSON lines."""
    target = stream or sys.stderr
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
    return msgspec.json.encode(event, enc_hook=repr).decode()


def _describe_exception(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put an exception into words that are safe to keep."""
    given = event.pop("exc_info", None)
    if given:
        error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else sys.exception()
        event["error"] = "none" if error is None else describe(error)
    return event
