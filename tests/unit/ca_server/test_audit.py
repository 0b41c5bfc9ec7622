from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from ca_server.audit import Decision, configure_log, record
from ca_server.errors import StorageError
from stir.telephone_number import TelephoneNumber
from tests.fakes.process_log import log_given_back

NUMBER = TelephoneNumber("12025550123")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Return what this process's log is written to, and give it back as it was."""
    with log_given_back():
        logging.getLogger().handlers.clear()
        stream = io.StringIO()
        configure_log("info", stream)
        yield stream


def lines(log: io.StringIO) -> list[dict[str, object]]:
    """Return the lines, each of which must be a JSON object."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_decision_is_one_line_with_its_facts(log: io.StringIO) -> None:
    """What was decided, of whom, when and how: facts that are None are left out."""
    record(Decision.CERTIFICATE_ISSUED, number=NUMBER, serial="0a", account="abc", reason=None)
    (line,) = lines(log)
    assert str(line.pop("at")).endswith("Z")
    assert line == {
        "event": "certificate_issued",
        "level": "info",
        "number": "+120******23",
        "serial": "0a",
        "account": "abc",
    }


@pytest.mark.parametrize("text", ["\n\x00\x1b[2J", "\x7f", "\x9b2J", "\u202e", "\u2028", "\x85", "\ud800", "é"])
def test_a_line_moves_nothing_on_a_terminal(log: io.StringIO, text: str) -> None:
    """Whatever a stranger wrote: a line is printable ASCII, also one of structlog's, and tells what it was."""
    configure_log("info", log)  # pytest's own handlers away: what they capture of a lone surrogate, nobody can send on
    record(Decision.REFUSED, detail=text)
    structlog.get_logger().warning("sms_rejected", detail=text)
    logging.getLogger("library").warning("%s", text)
    assert all(line.isascii() and line.isprintable() for line in log.getvalue().removesuffix("\n").split("\n"))
    assert [line.get("detail", line["event"]) for line in lines(log)] == [text] * 3


def test_a_refusal_is_a_warning(log: io.StringIO) -> None:
    """An operator who only keeps warnings still sees who is turned away."""
    record(Decision.REFUSED, kind="rateLimited", detail="too many")
    assert lines(log)[0]["level"] == "warning"


def test_a_quiet_log_keeps_warnings_only(log: io.StringIO) -> None:
    """The level of the configuration is obeyed."""
    configure_log("warning", log)
    record(Decision.SMS_ASKED, number=NUMBER)
    record(Decision.REFUSED, kind="malformed")
    assert [line["event"] for line in lines(log)] == ["refused"]


def test_the_libraries_speak_in_the_same_form(log: io.StringIO) -> None:
    """A warning of gunicorn's or anybody's is a JSON line with its logger's name; their chatter is left out."""
    logging.getLogger("gunicorn.error").error("it %s", "failed")
    logging.getLogger("gunicorn.error").info("chatter")
    (line,) = lines(log)
    assert (line["event"], line["logger"], line["level"]) == ("it failed", "gunicorn.error", "error")


def test_an_exception_is_told_without_a_foreign_message(log: io.StringIO) -> None:
    """A database quotes the row that it refuses: type and place are kept, the message is not."""
    try:
        _fail()
    except StorageError:
        structlog.get_logger().exception("broken")
        logging.getLogger("library").exception("broken too")
    for line in lines(log):
        assert "12025550123" not in json.dumps(line)
        assert "StorageError: the row was refused at " in str(line["error"])
        assert "because of builtins.ValueError at " in str(line["error"])


def test_an_exception_that_is_given_is_told(log: io.StringIO) -> None:
    """An exception may be passed as a value, and one that is not there is none."""
    structlog.get_logger().error("given", exc_info=ValueError("secret"))
    structlog.get_logger().error("none", exc_info=True)
    assert [line["error"] for line in lines(log)] == ["builtins.ValueError at ", "none"]


def test_without_a_log_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that uses the authority's parts without a log gets none on its standard output."""
    structlog.reset_defaults()
    record(Decision.ACCOUNT_CREATED, account="abc")
    assert capsys.readouterr() == ("", "")


def _fail() -> None:
    try:
        _refuse_row()
    except ValueError as error:
        msg = "the row was refused"
        raise StorageError(msg) from error


def _refuse_row() -> None:
    msg = "Key (number)=(12025550123) already exists"
    raise ValueError(msg)
