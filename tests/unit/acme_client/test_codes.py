from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_client.codes import (
    RESEND,
    CallbackCodes,
    CodePrompt,
    CommandCodes,
    FileCodes,
    Notice,
    code_from_sms,
    read_code,
)
from acme_client.errors import CodeNotGiven, EnrolmentError, ForeignCode, SmsNotDelivered, UnusableCode
from acme_client.polling import Clock
from stir.telephone_number import TelephoneNumber
from tests.fakes.patient_clock import PatientClock

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
SMS = "12345678 is your Example CA code to certify this number. Do not share it.\n\n@ca.example #12345678"


def prompt(**changes: object) -> CodePrompt:
    """Return a prompt for an 8-digit code; what it says does not change."""
    first = CodePrompt(
        number=TelephoneNumber.parse("+12025550123"),
        authority="ca.example:8443",
        host="ca.example",
        senders=("12345", "ExampleCA"),
        digits=8,
        reply=False,
        attempts_remaining=5,
        sends_remaining=4,
        resend_at=None,
        expires_at=NOW + timedelta(minutes=10),
        delivery="sent",
        notice=Notice.FIRST,
        detail="",
        refresh=lambda: first,
        when_sent=lambda same: same,
    )
    return dataclasses.replace(first, **changes)  # type: ignore[arg-type]  # the field names are the tests' own


def test_a_message_gives_its_code_to_its_own_host() -> None:
    """The code is what the last line binds to the authority's host, whatever its case."""
    assert code_from_sms(SMS, "CA.example") == "12345678"


def test_a_code_for_another_authority_is_refused() -> None:
    """A message that another authority sent for the same number is not passed on: that is how phishing works."""
    with pytest.raises(ForeignCode, match="give it to nobody"):
        code_from_sms(SMS, "evil.example")


def test_a_message_that_names_two_hosts_is_refused() -> None:
    """One line for the right host does not excuse another for a foreign one."""
    with pytest.raises(ForeignCode):
        code_from_sms("@evil.example #11111111\n" + SMS, "ca.example")


@pytest.mark.parametrize("text", ["12345678", "", "@ca.example", "@ca.example 12345678", "see @ca.example #12345678"])
def test_a_text_without_a_bound_line_is_no_message(text: str) -> None:
    """A code must stand in a line of its own that begins with the host."""
    with pytest.raises(UnusableCode, match="no line"):
        code_from_sms(text, "ca.example")


def test_lines_around_the_bound_one_do_not_matter() -> None:
    """An Android app hash after the line, an embedding host in it, and other line ends are all allowed."""
    text = "1234 is your code\r\n\r\n@ca.example #12345678 %app.example\r\nFA+9qCX9VSu\r\n"
    assert code_from_sms(text, "ca.example") == "12345678"


def test_parts_are_joined_by_their_places() -> None:
    """The messages of a code that came by several routes may be given in any order."""
    text = "part 2\n@ca.example #5678 2/2\n\npart 1\n@ca.example #1234 1/2"
    assert code_from_sms(text, "ca.example") == "12345678"


@pytest.mark.parametrize(
    "text",
    [
        "@ca.example #1234 1/2",
        "@ca.example #5678 2/2",
        "@ca.example #1234 1/2\n@ca.example #1234 1/2",
        "@ca.example #1234 1/2\n@ca.example #5678 2/3",
        "@ca.example #12345678\n@ca.example #87654321",
    ],
)
def test_parts_that_make_no_whole_are_refused(text: str) -> None:
    """A missing part, one that came twice, and two whole codes are no code."""
    with pytest.raises(UnusableCode):
        code_from_sms(text, "ca.example")


@pytest.mark.parametrize("text", ["12345678", " 1234 5678\n", "1234-5678", SMS])
def test_a_code_is_read_as_people_write_it(text: str) -> None:
    """Spaces and hyphens between the digits do not count, and the whole message will do."""
    assert read_code(text, prompt()) == "12345678"


@pytest.mark.parametrize(
    "text",
    ["1234567", "123456789", "1234567a", "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18", "#12345678", "x" * 5000],
)
def test_what_can_be_no_code_is_refused_before_it_costs_a_try(text: str) -> None:
    """A text of another length or alphabet is an UnusableCode: it need not be sent to know that."""
    with pytest.raises(UnusableCode):
        read_code(text, prompt())


def test_without_a_known_length_any_that_the_protocol_allows_is_read() -> None:
    """6 to 10 digits are a code where the authority does not say how many it sends."""
    assert read_code("123456", prompt(digits=None)) == "123456"
    with pytest.raises(UnusableCode, match="6 to 10 digits"):
        read_code("12345", prompt(digits=None))


def test_a_reply_code_keeps_its_hyphens() -> None:
    """The 22 characters of sms-reply are base64url, where - and _ count."""
    code = "Ab-_" * 5 + "zz"
    assert read_code(f" {code} ", prompt(reply=True, digits=None)) == code
    with pytest.raises(UnusableCode, match="22"):
        read_code("12345678", prompt(reply=True, digits=None))


@given(st.text(max_size=200))
def test_any_text_is_a_code_or_one_of_our_errors(text: str) -> None:
    """No text from a phone raises anything but the room's errors, and a code that is read has its form."""
    try:
        code = read_code(text, prompt())
    except EnrolmentError:
        return
    assert len(code) == 8
    assert code.isascii()
    assert code.isdigit()


@given(st.from_regex(r"[0-9]{8}", fullmatch=True), st.text(max_size=80))
def test_a_code_survives_any_words_before_it(code: str, words: str) -> None:
    """The words of a message never change the code that its last line binds, unless they bind another."""
    text = f"{words}\n@ca.example #{code}"
    try:
        assert code_from_sms(text, "ca.example") == code
    except (ForeignCode, UnusableCode):
        assert "#" in words


def test_a_function_may_give_the_codes() -> None:
    """CallbackCodes asks the program's own function."""
    assert CallbackCodes(lambda asked: asked.host).code(prompt()) == "ca.example"


def command(code: str) -> list[str]:
    """Return the command that runs some Python."""
    return [sys.executable, "-c", code]


def test_a_command_learns_what_it_needs_from_its_environment() -> None:
    """The number and the rest are in the command's environment, and its output is the code."""
    names = ("NUMBER", "AUTHORITY", "HOST", "FROM", "DIGITS", "ATTEMPTS", "NOTICE", "DELIVERY")
    code = f"import os; print('|'.join(os.environ['ANSWERBACK_' + name] for name in {names}))"
    expected = "+12025550123|ca.example:8443|ca.example|12345,ExampleCA|8|5|first|sent"
    assert CommandCodes(command(code), Clock(now=lambda: NOW)).code(prompt()) == expected


def test_a_command_may_ask_for_another_message() -> None:
    """The word `resend` instead of a code has another message sent."""
    assert CommandCodes(command("print('resend')"), Clock(now=lambda: NOW)).code(prompt()) is RESEND


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (command("raise SystemExit(3)"), "exit status 3"),
        (command("pass"), "printed nothing"),
        (["/nowhere/at/all"], "cannot run"),
    ],
)
def test_a_command_that_fails_keeps_the_order(arguments: list[str], reason: str) -> None:
    """A command without a code raises CodeNotGiven, which says why."""
    with pytest.raises(CodeNotGiven, match=reason):
        CommandCodes(arguments, Clock(now=lambda: NOW)).code(prompt())


def test_a_command_is_stopped_when_the_code_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that never ends does not hold up the program for ever."""
    monkeypatch.setattr("acme_client.codes._LOOK_EVERY", timedelta(seconds=0.01))
    with pytest.raises(CodeNotGiven, match="did not end"):
        CommandCodes(command("input() if False else __import__('time').sleep(60)"), Clock(now=lambda: NOW)).code(
            prompt(expires_at=NOW)
        )


def undelivered() -> CodePrompt:
    """Return a prompt for a message that did not arrive."""
    return prompt(delivery="failed")


@pytest.mark.parametrize(
    "source",
    [lambda _: CommandCodes(["true"]), lambda folder: FileCodes(folder / "code")],
)
def test_no_program_waits_for_a_message_that_was_not_delivered(
    source: Callable[[Path], CommandCodes | FileCodes], tmp_path: Path
) -> None:
    """Where the authority knows that no message came, a program's source says so at once."""
    with pytest.raises(SmsNotDelivered, match="not delivered"):
        source(tmp_path).code(undelivered())


def test_a_file_is_waited_for_and_removed(tmp_path: Path) -> None:
    """FileCodes waits until the file holds a whole code, and removes it: a code is used once."""
    path, hand = tmp_path / "code", PatientClock(NOW)
    texts = iter(["", "1234", "1234567\n", "12345678\n"])
    hand.on_sleep = lambda: path.write_text(next(texts))
    assert FileCodes(path, hand.clock).code(prompt()) == "12345678\n"
    assert not path.exists()
    assert max(hand.slept) < 1


def test_a_file_that_never_comes_ends_with_the_code(tmp_path: Path) -> None:
    """FileCodes gives up when the code expires, and keeps the order."""
    hand = PatientClock(NOW)
    with pytest.raises(CodeNotGiven, match="no usable code"):
        FileCodes(tmp_path / "code", hand.clock).code(prompt())
    assert NOW + timedelta(minutes=10) <= hand.time < NOW + timedelta(minutes=11)


def test_a_file_is_not_waited_for_once_the_message_is_known_to_be_lost(tmp_path: Path) -> None:
    """While it waits, FileCodes looks now and then whether the message can still come."""
    hand = PatientClock(NOW)
    with pytest.raises(SmsNotDelivered):
        FileCodes(tmp_path / "code", hand.clock).code(prompt(refresh=undelivered))
    assert hand.time < NOW + timedelta(seconds=10)


def test_a_file_with_a_code_for_another_authority_is_refused(tmp_path: Path) -> None:
    """A foreign message in the file is an error, not something to wait beyond."""
    path = tmp_path / "code"
    path.write_text("@evil.example #12345678")
    with pytest.raises(ForeignCode):
        FileCodes(path, PatientClock(NOW).clock).code(prompt())


def test_a_folder_is_no_code_file(tmp_path: Path) -> None:
    """Anything but an ordinary file is refused instead of waited for."""
    with pytest.raises(CodeNotGiven, match="no ordinary file"):
        FileCodes(tmp_path, PatientClock(NOW).clock).code(prompt())


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreadable file is an error that names it."""
    path = tmp_path / "code"
    path.write_text("12345678")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CodeNotGiven, match="Permission denied"):
        FileCodes(path, PatientClock(NOW).clock).code(prompt())
