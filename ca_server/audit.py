"""What the authority decided, as one JSON object a line: for the operator's log, and for whoever audits it later.

A line never holds a code, a token, a key or a whole telephone number; `record` masks the number that it is given.
"""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import TextIO

import structlog

from stir.telephone_number import TelephoneNumber

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

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
    CERTIFICATE_ISSUED = "certificate_issued"
    CERTIFICATE_REVOKED = "certificate_revoked"
    CRL_SIGNED = "crl_signed"
    REFUSED = "refused"


def record(decision: Decision, *, number: TelephoneNumber | None = None, **facts: str | int | None) -> None:
    """Write one line. `facts` are identifiers and reasons, such as account, order, serial, method, kind, detail."""
    said = {name: value for name, value in facts.items() if value is not None}
    if number is not None:
        said["number"] = number.masked
    if decision is Decision.REFUSED:
        _log.warning(decision.value, **said)
    else:
        _log.info(decision.value, **said)


def configure_log(level: str = "info", stream: TextIO | None = None) -> None:
    """Send this process's log, the libraries' included, to `stream` (standard error) as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
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
