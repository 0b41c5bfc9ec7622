"""What the authority decided, as one JSON object a line: for the operator's log, and for whoever audits it later.

A line never holds a code, a token, a key or a whole telephone number; `record` masks the number that it is given.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Any, TextIO

import structlog

from serving.errors import ServingError
from stir.errors import StirError
from stir.telephone_number import TelephoneNumber

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_MOST_CAUSES = 8

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


def describe(error: BaseException) -> str:
    """Return an exception, its causes and their places in the code, for the log.

    Messages of foreign exceptions are left out: a database quotes the row that it refuses, with codes and numbers in
    it. Our own hold no secrets.
    """
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(parts) < _MOST_CAUSES:
        places = " < ".join(
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in reversed(traceback.extract_tb(cause.__traceback__))
        )
        message = f": {cause}" if isinstance(cause, (ServingError, StirError)) else ""
        parts.append(f"{type(cause).__module__}.{type(cause).__qualname__}{message} at {places}")
        cause = cause.__cause__ or cause.__context__
    return "; because of ".join(parts)


def configure_log(level: str = "info", stream: TextIO | None = None) -> None:
    """Send this process's log, the libraries' included, to `stream` (standard error) as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _describe_exception,
    ]
    target = stream or sys.stderr
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=target),
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(json_formatter(shared))
    logging.basicConfig(handlers=[handler], level=max(LEVELS[level], logging.WARNING), force=True)


def json_formatter(shared: list[structlog.typing.Processor]) -> logging.Formatter:
    """Return a formatter that writes the libraries' log records as lines of the same form."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )


def _describe_exception(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put an exception into words that are safe to keep."""
    given = event.pop("exc_info", None)
    if given:
        error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else sys.exception()
        event["error"] = "none" if error is None else describe(error)
    return event
