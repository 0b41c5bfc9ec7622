from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from serving.errors import StorageError
from serving.log import configure_log, describe, facts
from tests.fakes.process_log import log_given_back


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Return what this process's log is written to, and give it back as it was."""
    with log_given_back():
        logging.getLogger().handlers.clear()
        stream = io.StringIO()
        configure_log("info", own=("a_program",), stream=stream)
        yield stream
    logging.getLogger("a_program").setLevel(logging.NOTSET)


def test_an_event_is_one_line_with_its_facts(stream: io.StringIO) -> None:
    """What happened, where and when, and what is known of it, as one JSON object."""
    logging.getLogger("a_program.part").info("helper %s", "ended", extra=facts(exit_code=7, reason="é"))
    line = json.loads(stream.getvalue())
    assert str(line.pop("at")).endswith("Z")
    assert line == {
        "event": "helper ended",
        "logger": "a_program.part",
        "level": "info",
        "exit_code": 7,
        "reason": "é",
    }
    assert stream.getvalue().count("\n") == 1


def test_libraries_only_warn(stream: io.StringIO) -> None:
    """The level is the program's own; of libraries, chatter is left out at every level."""
    configure_log("debug", own=("a_program",), stream=stream)
    logging.getLogger("a_library").info("chatter")
    logging.getLogger("a_library").warning("trouble")
    logging.getLogger("a_program").debug("detail")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["trouble", "detail"]


def test_an_exception_is_told_without_a_foreign_message(stream: io.StringIO) -> None:
    """Type and place are kept; the words only of errors that are ours, and hold no secrets."""
    try:
        _fail()
    except StorageError:
        logging.getLogger("a_program").exception("broken")
    line = json.loads(stream.getvalue())
    assert "secret" not in stream.getvalue()
    assert "StorageError: the row was refused at " in line["error"]
    assert "because of builtins.ValueError at " in line["error"]


def test_a_chain_of_causes_ends() -> None:
    """However many exceptions hang on each other, the line has an end."""
    error: BaseException = ValueError()
    for _ in range(50):
        outer = ValueError()
        outer.__cause__ = error
        error = outer
    assert describe(error).count("ValueError") == 8


def _fail() -> None:
    try:
        int("secret")
    except ValueError as error:
        msg = "the row was refused"
        raise StorageError(msg) from error
