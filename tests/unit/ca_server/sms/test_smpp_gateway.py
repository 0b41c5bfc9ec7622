from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import smpp34
from structlog.testing import capture_logs

from ca_server.config import Gateway
from ca_server.errors import ConfigurationError, SmsRejected, SmsUnavailable, SmsUncertain
from ca_server.sms import smpp_pdu
from ca_server.sms.gateway import DeliveryReceipt
from ca_server.sms.smpp_gateway import SmppGateway
from tests.fakes.sms_queue import NOON, Clock, an_sms
from tests.fakes.smsc import eventually

BIND_RESPONSE = bytes.fromhex("00000011 80000009 00000000 00000001 00")
SYSTEM_ID = "answerback"


class ByHand:
    """A socket on which the test itself plays the SMSC, octet by octet."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.port = self.listener.getsockname()[1]
        self.connection: socket.socket | None = None
        self._connections: list[socket.socket] = []

    def accept(self) -> None:
        """Take a connection."""
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(20)
        self._connections.append(self.connection)

    def bind(self) -> None:
        """Take a connection, and let it bind."""
        self.accept()
        self.read(0x09)
        self.write(BIND_RESPONSE)

    def read(self, command: int) -> bytes:
        """Read one PDU, which must be of this command."""
        assert self.connection is not None
        head = self.connection.recv(4, socket.MSG_WAITALL)
        octets = head + self.connection.recv(int.from_bytes(head, "big") - 4, socket.MSG_WAITALL)
        assert int.from_bytes(octets[4:8], "big") == command
        return octets

    def write(self, octets: bytes) -> None:
        """Write octets as they are."""
        assert self.connection is not None
        self.connection.sendall(octets)

    def respond(self, request: bytes, body: bytes = b"", status: int = 0) -> None:
        """Answer a request."""
        command = int.from_bytes(request[4:8], "big") | 0x80000000
        self.write(
            (16 + len(body)).to_bytes(4, "big")
            + command.to_bytes(4, "big")
            + status.to_bytes(4, "big")
            + request[12:16]
            + body
        )

    def close(self) -> None:
        """Hang up."""
        for sock in (*self._connections, self.listener):
            sock.close()


@pytest.fixture
def smsc() -> Iterator[ByHand]:
    """Play the SMSC by hand."""
    by_hand = ByHand()
    yield by_hand
    by_hand.close()


def a_gateway(port: int, *, sender: str = "Example CA", **options: object) -> SmppGateway:
    """Return a gateway to the port, not started, with short timers."""
    every = {
        "host": "127.0.0.1",
        "port": port,
        "system_id": SYSTEM_ID,
        "password_variable": "SMPP_PASSWORD",
        "response_seconds": 5,
    }
    return SmppGateway(Gateway("main", "smpp", "One", sender, every | options), Path(), clock=Clock())


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the password of the SMPP account."""
    monkeypatch.setenv("SMPP_PASSWORD", "secret")


def ignore(_: DeliveryReceipt) -> None:
    """Take no notice of a receipt."""


class Sending(threading.Thread):
    """A message on its way, in a thread, while the test plays the SMSC."""

    def __init__(self, gateway: SmppGateway, text: str = "12345678 is your code.") -> None:
        """Send at once."""
        super().__init__()
        self._gateway = gateway
        self._text = text
        self.message_id = ""
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Send the message."""
        try:
            self.message_id = self._gateway.send(an_sms(text=self._text))
        except (SmsRejected, SmsUnavailable, SmsUncertain) as error:
            self.error = error


def a_delivery_that_lies_about_its_length(sequence: int) -> bytes:
    """Return a deliver_sm whose sm_length says more than there is."""
    octets = smpp34.DeliverSm("1", "2", b"hello", sequence_number=sequence).encode()
    return octets[:-6] + b"\xfe" + octets[-5:]


def submitted(smsc: ByHand, gateway: SmppGateway, text: str) -> smpp34.SubmitSm:
    """Return the submit_sm that a text becomes."""
    gateway.start(ignore)
    smsc.bind()
    sending = Sending(gateway, text)
    request = smsc.read(0x04)
    smsc.respond(request, b"1\0")
    sending.join()
    stop(smsc, gateway)
    read = smpp34.decode(request)
    assert isinstance(read, smpp34.SubmitSm)
    return read


def stop(smsc: ByHand, gateway: SmppGateway) -> None:
    """Close the gateway, answering its unbind."""
    closing = threading.Thread(target=gateway.close)
    closing.start()
    smsc.respond(smsc.read(0x06))
    closing.join()


@pytest.mark.parametrize(
    ("sender", "address", "ton", "npi"),
    [
        ("Example CA", "Example CA", 5, 0),
        ("+12025550100", "12025550100", 1, 1),
        ("12025550100", "12025550100", 1, 1),
        ("28849", "28849", 3, 0),
        ("+28849", "28849", 1, 1),
    ],
)
def test_the_sender_has_its_type_of_number(smsc: ByHand, sender: str, address: str, ton: int, npi: int) -> None:
    """SMPP 3.4 §5.2.5: letters, short codes and international numbers are told apart, and no + is sent."""
    read = submitted(smsc, a_gateway(smsc.port, sender=sender), "hello")
    assert (read.source_addr, read.source_addr_ton, read.source_addr_npi) == (address, ton, npi)


def test_the_type_of_number_can_be_set(smsc: ByHand) -> None:
    """A provider that wants other numbers gets them."""
    read = submitted(smsc, a_gateway(smsc.port, source_ton=0, source_npi=9), "hello")
    assert (read.source_addr_ton, read.source_addr_npi) == (0, 9)


@pytest.mark.parametrize("sender", ["", "Twelve chars", "Zürich", "+", "tab\there"])
def test_a_sender_that_no_phone_shows_is_refused(sender: str) -> None:
    """TS 23.040 §9.1.2.5: a sender of letters has at most 11 of them."""
    with pytest.raises(ConfigurationError, match="a sender is"):
        a_gateway(2775, sender=sender)


@pytest.mark.parametrize(
    ("options", "text", "coding", "octets"),
    [
        ({}, "@ca #1", 0, b"\x00ca #1"),
        ({}, "код", 8, "код".encode("utf-16-be")),
        ({"alphabet": "ascii"}, "@ca #1", 1, b"@ca #1"),
        ({"alphabet": "ascii"}, "é", 8, b"\x00\xe9"),
        ({"alphabet": "latin-1"}, "@é", 3, b"@\xe9"),
        ({"alphabet": "latin-1"}, "Δ", 8, b"\x03\x94"),
        ({"alphabet": "ascii", "data_coding": 0}, "@ca #1", 0, b"@ca #1"),
        ({"data_coding": 0xF1}, "код", 8, "код".encode("utf-16-be")),
    ],
)
def test_the_text_is_written_in_the_smscs_alphabet(
    smsc: ByHand, options: dict[str, object], text: str, coding: int, octets: bytes
) -> None:
    """SMPP 3.4 §5.2.19: the default alphabet, ASCII or Latin 1 as the provider has it, else UCS-2."""
    read = submitted(smsc, a_gateway(smsc.port, **options), text)
    assert (read.data_coding, read.short_message) == (coding, octets)


def test_the_smsc_drops_the_message_when_the_code_dies(smsc: ByHand) -> None:
    """SMPP 3.4 §4.4.1: validity_period is what is left of the code's life."""
    assert submitted(smsc, a_gateway(smsc.port), "hello").validity_period == "000000001000000R"


def test_validity_and_receipts_can_be_left_out(smsc: ByHand) -> None:
    """A provider that refuses a validity period, or bills receipts, gets neither."""
    read = submitted(smsc, a_gateway(smsc.port, validity_period=False, receipts=False, service_type="OTP"), "hello")
    assert (read.validity_period, read.registered_delivery, read.service_type) == ("", 0, "OTP")


@pytest.mark.parametrize(
    ("options", "text"), [({}, "a" * 161), ({}, "д" * 71), ({"alphabet": "ascii"}, "é" + "a" * 70)]
)
def test_a_text_that_would_be_cut_in_two_is_refused(options: dict[str, object], text: str) -> None:
    """A code that arrives in parts arrives late or wrong; nothing longer than one SMS is sent, nor shown."""
    with pytest.raises(SmsRejected, match="longer than one SMS") as raised:
        a_gateway(2775, **options).send(an_sms(text=text))
    assert text not in str(raised.value)


def test_before_its_start_and_after_its_end_it_is_unavailable(smsc: ByHand) -> None:
    """Nothing was written, so the message can be tried elsewhere."""
    gateway = a_gateway(smsc.port)
    with pytest.raises(SmsUnavailable, match="not connected"):
        gateway.send(an_sms())
    gateway.start(ignore)
    smsc.bind()
    stop(smsc, gateway)
    with pytest.raises(SmsUnavailable, match="not connected"):
        gateway.send(an_sms())
    gateway.close()


def test_an_smsc_that_nobody_runs_is_unavailable(smsc: ByHand) -> None:
    """A refused connection is told on the log, and the gateway can be closed while it waits to try again."""
    smsc.listener.close()
    gateway = a_gateway(smsc.port)
    with capture_logs() as logs:
        gateway.start(ignore)
        with pytest.raises(SmsUnavailable):
            gateway.send(an_sms())
        gateway.close()
    assert logs[0]["event"] == "sms_gateway_down"
    assert "cannot connect" in logs[0]["reason"]


def test_whatever_goes_wrong_the_gateway_tries_again() -> None:
    """A host name that no resolver takes, or a fault of our own, is told each time and ends no thread."""
    gateway = a_gateway(2775, host=f"{'a' * 70}.example")
    with capture_logs() as logs:
        gateway.start(ignore)
        eventually(lambda: len(logs) > 1, "the gateway tries again")
        gateway.close()
    assert [line["reason"] for line in logs[:2]] == ["UnicodeError", "UnicodeError"]


def test_a_refused_bind_says_why_and_holds_no_password(smsc: ByHand) -> None:
    """SMPP 3.4 §5.1.3: ESME_RINVPASWD is told to the operator in words."""
    gateway = a_gateway(smsc.port)
    with capture_logs() as logs:
        gateway.start(ignore)
        smsc.accept()
        smsc.respond(smsc.read(0x09), status=0x0E)
        with pytest.raises(SmsUnavailable):
            gateway.send(an_sms())
        gateway.close()
    assert "refused to bind" in logs[0]["reason"]
    assert "0x0000000e" in logs[0]["reason"]
    assert "secret" not in str(logs)


def test_an_smsc_that_does_not_answer_the_bind_is_left(smsc: ByHand) -> None:
    """A connection on which nothing comes is given up after the response time."""
    gateway = a_gateway(smsc.port, response_seconds=0.1)
    with capture_logs() as logs:
        gateway.start(ignore)
        smsc.accept()
        with pytest.raises(SmsUnavailable):
            gateway.send(an_sms())
        gateway.close()
    assert logs[0]["reason"] == "the SMSC does not answer"


def test_a_peer_that_speaks_no_smpp_is_left(smsc: ByHand) -> None:
    """A web server behind the port is noticed at its first words."""
    gateway = a_gateway(smsc.port)
    with capture_logs() as logs:
        gateway.start(ignore)
        smsc.accept()
        smsc.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(SmsUnavailable):
            gateway.send(an_sms())
        gateway.close()
    assert "no SMPP" in logs[0]["reason"]


def test_a_response_without_an_id_still_names_the_message(smsc: ByHand) -> None:
    """An SMSC that gives no id took the message; no receipt will be found for it, and no other's."""
    gateway = a_gateway(smsc.port)
    gateway.start(ignore)
    smsc.bind()
    sending = Sending(gateway)
    smsc.respond(smsc.read(0x04))
    sending.join()
    assert sending.message_id == "none-sms-1"
    stop(smsc, gateway)


def test_a_generic_nack_rejects_the_message_it_answers(smsc: ByHand) -> None:
    """SMPP 3.4 §4.3.1: generic_nack answers a PDU that the SMSC could not read."""
    gateway = a_gateway(smsc.port)
    gateway.start(ignore)
    smsc.bind()
    sending = Sending(gateway)
    request = smsc.read(0x04)
    smsc.write(bytes.fromhex("00000010 80000000 00000002") + request[12:16])
    sending.join()
    assert isinstance(sending.error, SmsRejected)
    stop(smsc, gateway)


def test_a_message_on_its_way_when_the_smsc_unbinds_is_uncertain(smsc: ByHand) -> None:
    """SMPP 3.4 §4.2.1: the SMSC may end the session, and what it had not answered may be out."""
    gateway = a_gateway(smsc.port)
    gateway.start(ignore)
    smsc.bind()
    sending = Sending(gateway)
    smsc.read(0x04)
    smsc.write(smpp_pdu.unbind(1))
    smsc.read(0x80000006)
    sending.join()
    assert isinstance(sending.error, SmsUncertain)
    smsc.bind()
    stop(smsc, gateway)


def test_closing_waits_for_the_response_that_is_due(smsc: ByHand) -> None:
    """A worker that is stopped does not make a message uncertain that the SMSC is about to answer."""
    gateway = a_gateway(smsc.port)
    gateway.start(ignore)
    smsc.bind()
    sending = Sending(gateway)
    request = smsc.read(0x04)
    closing = threading.Thread(target=gateway.close)
    closing.start()
    smsc.respond(request, b"77\0")
    sending.join()
    smsc.respond(smsc.read(0x06))
    closing.join()
    assert sending.message_id == "77"


def test_an_idle_link_is_asked_whether_it_lives(smsc: ByHand) -> None:
    """SMPP 3.4 §4.11: enquire_link goes out after silence; no answer ends the link, and another is opened."""
    gateway = a_gateway(smsc.port, enquire_link_seconds=0.5, response_seconds=0.3)
    gateway.start(ignore)
    smsc.bind()
    smsc.respond(smsc.read(0x15))
    smsc.read(0x15)
    smsc.bind()
    stop(smsc, gateway)


def test_what_the_smsc_asks_is_answered(smsc: ByHand) -> None:
    """SMPP 3.4 §2.4: enquire_link is answered, and so is, in its way, what is unknown or malformed."""
    gateway = a_gateway(smsc.port)
    gateway.start(ignore)
    smsc.bind()
    smsc.write(smpp_pdu.enquire_link(41))
    assert smsc.read(0x80000015)[12:16] == (41).to_bytes(4, "big")
    smsc.write(bytes.fromhex("00000010 00000103 00000000 0000002a"))
    assert smsc.read(0x80000000)[8:16] == bytes.fromhex("00000003 0000002a")
    smsc.write(a_delivery_that_lies_about_its_length(0x2B))
    assert smsc.read(0x80000000)[8:16] == bytes.fromhex("00000002 0000002b")
    smsc.write(bytes.fromhex("00000010 00000102 00000000 0000002c"))
    stop(smsc, gateway)


def test_a_receipt_in_pieces_is_put_together(smsc: ByHand) -> None:
    """TCP cuts where it likes, also in the middle of two receipts."""
    receipts: list[DeliveryReceipt] = []
    gateway = a_gateway(smsc.port)
    gateway.start(receipts.append)
    smsc.bind()
    octets = b"".join(
        smpp34.DeliverSm("1", "2", f"id:{number} stat:DELIVRD".encode(), esm_class=4, sequence_number=number).encode()
        for number in (1, 2)
    )
    for start in range(0, len(octets), 7):
        smsc.write(octets[start : start + 7])
    for number in (1, 2):
        assert smsc.read(0x80000005)[8:16] == number.to_bytes(8, "big")
    assert [receipt.message_id for receipt in receipts] == ["1", "2"]
    assert {receipt.at for receipt in receipts} == {NOON}
    stop(smsc, gateway)


def test_a_full_window_makes_others_wait_elsewhere(smsc: ByHand) -> None:
    """No more messages are under way than the window allows; the next is told to come later."""
    gateway = a_gateway(smsc.port, window=1, connect_seconds=0.05)
    gateway.start(ignore)
    smsc.bind()
    sending = Sending(gateway)
    request = smsc.read(0x04)
    with pytest.raises(SmsUnavailable, match="1 messages under way"):
        gateway.send(an_sms("sms-2"))
    smsc.respond(request, b"1\0")
    sending.join()
    stop(smsc, gateway)


def test_neither_codes_nor_numbers_reach_a_log(smsc: ByHand, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the level, no log line of ours or of the library holds what was sent or to whom."""
    caplog.set_level(0)
    with capture_logs() as logs:
        submitted(smsc, a_gateway(smsc.port), "12345678 is your code")
    said = caplog.text + str(logs)
    assert "12345678" not in said
    assert "2025550123" not in said
    assert b"12345678".hex() not in said


def test_a_message_past_its_time_is_valid_for_a_moment(smsc: ByHand) -> None:
    """A period is never negative."""
    gateway = a_gateway(smsc.port)
    gateway._clock.advance(timedelta(hours=1).total_seconds())  # type: ignore[attr-defined]
    assert submitted(smsc, gateway, "late").validity_period == "000000000001000R"
