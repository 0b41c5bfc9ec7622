from __future__ import annotations

import struct
from datetime import timedelta

import pytest
import smpp34
from hypothesis import given
from hypothesis import strategies as st

from ca_server.sms import smpp_pdu
from ca_server.sms.smpp_pdu import Address, PduError, Submission

DELIVER_SM = 0x00000005
SUBMIT_SM_RESP = 0x80000004

A_SUBMISSION = Submission(
    source=Address("Example CA", 5, 0),
    destination=Address("12025550123", 1, 1),
    data_coding=0,
    short_message=b"12345678 is your code",
    validity_period="000000001000000R",
    registered_delivery=True,
)


def a_pdu(command: int, body: bytes, *, status: int = 0, sequence: int = 7) -> bytes:
    """Return a PDU with its header."""
    return struct.pack(">LLLL", 16 + len(body), command, status, sequence) + body


def a_delivery(short_message: bytes = b"id:1 stat:DELIVRD", *, esm_class: int = 4, tlvs: object = ()) -> bytes:
    """Return a deliver_sm as another program writes it."""
    return smpp34.DeliverSm(
        "12025550123", "12025550100", short_message, esm_class=esm_class, tlvs=list(tlvs), sequence_number=9
    ).encode()


def sequence_read_or_refused(octets: bytes) -> int:
    """Read a PDU, and return the sequence that it or the error about it names."""
    try:
        return smpp_pdu.read(octets).sequence
    except PduError as error:
        return error.sequence


def test_a_submission_is_read_by_another_program_as_it_was_meant() -> None:
    """SMPP 3.4 §4.4.1: each field of submit_sm stands where another implementation looks for it."""
    read = smpp34.decode(smpp_pdu.submit_sm(7, A_SUBMISSION))
    assert isinstance(read, smpp34.SubmitSm)
    assert (read.source_addr, read.source_addr_ton, read.source_addr_npi) == ("Example CA", 5, 0)
    assert (read.destination_addr, read.dest_addr_ton, read.dest_addr_npi) == ("12025550123", 1, 1)
    assert (read.data_coding, read.short_message, read.registered_delivery) == (0, b"12345678 is your code", 1)
    assert (read.validity_period, read.sequence_number, read.schedule_delivery_time) == ("000000001000000R", 7, "")


@pytest.mark.parametrize(
    ("octets", "command"),
    [
        (smpp_pdu.bind_transceiver(3, system_id="answerback", password="secret"), 0x09),
        (smpp_pdu.enquire_link(3), 0x15),
        (smpp_pdu.unbind(3), 0x06),
        (smpp_pdu.response("deliver_sm", 3, 0x64), 0x80000005),
        (smpp_pdu.response("enquire_link", 3), 0x80000015),
        (smpp_pdu.response("unbind", 3), 0x80000006),
        (smpp_pdu.response("data_sm", 3, 0x03), 0x80000000),
    ],
)
def test_each_request_and_response_has_its_command_and_sequence(octets: bytes, command: int) -> None:
    """SMPP 3.4 §5.1.2: what we send is known to another implementation, and answers what it answers."""
    read = smpp34.decode(octets)
    assert isinstance(read, smpp34.RawPdu)
    assert (read.command_id, read.sequence_number) == (command, 3)


def test_a_response_is_read() -> None:
    """SMPP 3.4 §4.4.2: submit_sm_resp carries the SMSC's id."""
    pdu = smpp_pdu.read(a_pdu(SUBMIT_SM_RESP, b"0A3F\0"))
    assert (pdu.command, pdu.sequence, pdu.status, pdu.message_id, pdu.is_response) == (
        "submit_sm_resp",
        7,
        0,
        "0A3F",
        True,
    )


def test_a_response_with_an_unexpected_option_keeps_its_id() -> None:
    """SMPP 3.4 §3.2.4.1: optional parameters that the PDU does not define are ignored, not a reason to fail."""
    pdu = smpp_pdu.read(a_pdu(SUBMIT_SM_RESP, b"0A3F\0" + struct.pack(">HH3s", 0x001D, 3, b"ok\0")))
    assert pdu.message_id == "0A3F"


@pytest.mark.parametrize(("body", "message_id"), [(b"0A3F", "0A3F"), (b"\0", ""), (b"x", "x")])
def test_a_response_whose_string_has_no_end_keeps_its_id(body: bytes, message_id: str) -> None:
    """An SMSC that forgets the zero after the id does not lose a letter of it, nor its receipts."""
    assert smpp_pdu.read(a_pdu(SUBMIT_SM_RESP, body)).message_id == message_id


def test_a_message_that_lies_about_its_length_is_refused() -> None:
    """SMPP 3.4 §4.6.1: sm_length is the length of short_message."""
    octets = a_delivery(b"hello")
    with pytest.raises(PduError) as raised:
        smpp_pdu.read(octets[:-6] + b"\xfe" + octets[-5:])
    assert (raised.value.command, raised.value.sequence) == ("deliver_sm", 9)


def test_an_error_response_without_a_body_is_read() -> None:
    """SMPP 3.4 §4.4.2: an error response has no body."""
    pdu = smpp_pdu.read(a_pdu(SUBMIT_SM_RESP, b"", status=0x58))
    assert (pdu.status, pdu.message_id) == (0x58, "")


def test_options_are_read_beside_the_message() -> None:
    """SMPP 3.4 §4.6.1: a receipt may name its message and state in optional parameters, among others of any kind."""
    pdu = smpp_pdu.read(
        a_delivery(
            b"",
            tlvs=[
                smpp34.Tlv(smpp34.TLV_RECEIPTED_MESSAGE_ID, b"0A3F\0"),
                smpp34.Tlv(0x1403, b"a vendor's own"),
                smpp34.Tlv(smpp34.TLV_MESSAGE_STATE, b"\x02"),
                smpp34.Tlv(smpp34.TLV_MESSAGE_PAYLOAD, b"id:2623"),
            ],
        )
    )
    assert (pdu.receipted_message_id, pdu.message_state, pdu.text) == ("0A3F", 2, b"id:2623")


@pytest.mark.parametrize(
    ("esm_class", "is_receipt"),
    [(0x04, True), (0x44, True), (0x00, False), (0x08, False), (0x10, False), (0x20, False)],
)
def test_only_what_the_smsc_reports_is_a_receipt(esm_class: int, *, is_receipt: bool) -> None:
    """SMPP 3.4 §5.2.12: bits 5 to 2 of esm_class tell a receipt from what a phone sends."""
    assert smpp_pdu.read(a_delivery(esm_class=esm_class)).is_receipt is is_receipt


def test_an_unknown_command_has_no_name() -> None:
    """SMPP 3.4 §5.1.2.1: a command that the specification reserves is read as far as its header."""
    pdu = smpp_pdu.read(a_pdu(0x00010203, b"whatever"))
    assert (pdu.command, pdu.sequence, pdu.is_response) == ("", 7, False)


@pytest.mark.parametrize("command", [DELIVER_SM, SUBMIT_SM_RESP, 0x80000009, 0x15, 0x06, 0x0B, 0x102, 0x7FFFFFFF])
@given(body=st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused(command: int, body: bytes) -> None:
    """Octets that are no PDU give a PduError that names their sequence, and no other exception."""
    assert sequence_read_or_refused(a_pdu(command, body)) == 7


@given(cut=st.integers(min_value=0, max_value=200), garbage=st.binary(max_size=40))
def test_a_receipt_cut_short_is_read_or_refused(cut: int, garbage: bytes) -> None:
    """A deliver_sm that ends early, or goes on with something else, hurts nobody."""
    whole = a_delivery(tlvs=[smpp34.Tlv(smpp34.TLV_RECEIPTED_MESSAGE_ID, b"0A3F\0")])
    body = whole[16 : max(17, len(whole) - cut)] + garbage
    assert sequence_read_or_refused(a_pdu(DELIVER_SM, body)) == 7


@given(st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=40)))
def test_optional_parameters_are_read_as_they_were_written(options: dict[int, bytes]) -> None:
    """SMPP 3.4 §3.2.4: a tag, a length and as many octets, one after the other."""
    octets = b"".join(struct.pack(">HH", tag, len(value)) + value for tag, value in options.items())
    assert smpp_pdu.read_options(octets) == options


@given(st.binary(max_size=100))
def test_optional_parameters_that_are_cut_short_end_there(octets: bytes) -> None:
    """Any octets are read as some optional parameters."""
    assert sum(len(value) for value in smpp_pdu.read_options(octets).values()) <= len(octets)


@pytest.mark.parametrize(
    ("octets", "length"), [(b"", None), (b"\0\0\0", None), (b"\0\0\0\x10", 16), (b"\0\0\0\x20x", 32)]
)
def test_the_length_of_a_pdu_is_known_from_its_first_octets(octets: bytes, length: int | None) -> None:
    """SMPP 3.4 §3.2: command_length comes first and counts itself."""
    assert smpp_pdu.pdu_length(octets) == length


@pytest.mark.parametrize("octets", [b"\0\0\0\x0f", b"\0\0\0\0", b"HTTP/1.1 400 Bad Request", b"\xff\xff\xff\xff"])
def test_a_length_that_no_pdu_has_ends_the_stream(octets: bytes) -> None:
    """A peer that speaks something else is noticed at once, and never waited for."""
    with pytest.raises(PduError, match="no SMPP"):
        smpp_pdu.pdu_length(octets)


@pytest.mark.parametrize(
    ("period", "written"),
    [
        (timedelta(minutes=10), "000000001000000R"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "000001020304000R"),
        (timedelta(seconds=-5), "000000000001000R"),
        (timedelta(days=400), "000030000000000R"),
    ],
)
def test_a_validity_period_is_relative(period: timedelta, written: str) -> None:
    """SMPP 3.4 §7.1.1: a relative time is YYMMDDhhmmss, 000 and R; it needs no clock in common."""
    assert smpp_pdu.relative_time(period) == written


def test_neither_number_nor_text_is_printed() -> None:
    """What a log or a traceback shows of a PDU or a submission holds no code and no number."""
    shown = f"{A_SUBMISSION!r} {smpp_pdu.read(a_delivery(b'12345678'))!r}"
    assert "12345678" not in shown
    assert "2025550123" not in shown
