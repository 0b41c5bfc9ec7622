"""What a program tells its operator: one JSON object a line, on standard error.

A line never holds what people entrusted to the program: of a foreign exception, type and place are told, not its words.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from serving.errors import ServingError
from stir.errors import StirError

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_MOST_CAUSES = 8


def configure_log(level: str = "info", *, own: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Send this process's log to `stream` (standard error) as JSON lines.

    `own` are the packages whose loggers follow the level; of all other libraries only warnings and worse are told.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=max(LEVELS[level], logging.WARNING), force=True)
    for name in own:
        logging.getLogger(name).setLevel(LEVELS[level])


def facts(**known: str | int | None) -> dict[str, Any]:
    """Return the `extra` of a record, whose facts then stand in its line beside the event."""
    return {"facts": known}


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, object] = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "at": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }
        line |= getattr(record, "facts", {})
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line["error"] = describe(error)
        return in_ascii(line)


def in_ascii(line: Mapping[str, object]) -> str:
    """Return JSON in printable ASCII: what a stranger wrote must move nothing on the terminal of whoever reads it."""
    return json.dumps(line, default=repr).replace("\x7f", "\\u007f")


def describe(error: BaseException) -> str:
    """Return an exception, its causes and their places in the code, for the log.

    Messages of foreign exceptions are left out: a database quotes the row that it refuses. Our own hold no secrets.
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
