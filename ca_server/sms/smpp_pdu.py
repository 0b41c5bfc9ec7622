"""The SMPP 3.4 protocol data units that an ESME writes and reads: the typed border to `smpplib`.

Only `smpplib`'s codec is used. Its client logs whole messages, reads with blocking calls, knows no IPv6 and no TLS host
name; and its reader of optional parameters fails on one that is known but not expected, which would lose a response.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from smpplib import command, command_codes, consts, exceptions, smpp  # type: ignore[import-untyped]

from ca_server.errors import SmsUnavailable

HEADER_OCTETS = 16
LONGEST_PDU = 64 * 1024
"""No PDU that an ESME is sent comes near this; a longer one means that the stream is out of step."""

OK: int = consts.SMPP_ESME_ROK
TEMPORARY_APPLICATION_ERROR: int = consts.SMPP_ESME_RX_T_APPN
INVALID_COMMAND_ID: int = consts.SMPP_ESME_RINVCMDID
INVALID_COMMAND_LENGTH: int = consts.SMPP_ESME_RINVCMDLEN

LONGEST_PASSWORD = 8
LONGEST_SYSTEM_ID = 15
LONGEST_SYSTEM_TYPE = 12
LONGEST_SERVICE_TYPE = 5

_RESPONSE_BIT = 0x80000000
_MESSAGE_PAYLOAD = 0x0424
_MESSAGE_STATE = 0x0427
_RECEIPTED_MESSAGE_ID = 0x001E
_MESSAGE_TYPE_BITS = 0x3C
_MESSAGE_TYPE_RECEIPT = 0x04
_DAY = timedelta(days=1)


class PduError(SmsUnavailable):
    """Octets that are no PDU. `sequence` and `command` are the header's, so that the sender can be told."""

    def __init__(self, message: str, *, command_name: str = "", sequence: int = 0) -> None:
        """Remember what the header said."""
        super().__init__(message)
        self.command = command_name
        self.sequence = sequence


@dataclass(frozen=True, slots=True, repr=False)
class Pdu:
    """A PDU that the SMSC sent: `command` is its name in the specification, empty where that knows none.

    Its fields are those of `submit_sm_resp` and `deliver_sm`, empty elsewhere.
    """

    command: str
    status: int
    sequence: int
    is_response: bool = False
    message_id: str = ""
    esm_class: int = 0
    data_coding: int = 0
    short_message: bytes = b""
    options: Mapping[int, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Leave out what the message says."""
        return f"Pdu(command={self.command!r}, status={self.status:#x}, sequence={self.sequence})"

    @property
    def is_receipt(self) -> bool:
        """Whether the SMSC itself reports on a message; a phone cannot set this (SMPP 3.4 §5.2.12)."""
        return self.command == "deliver_sm" and self.esm_class & _MESSAGE_TYPE_BITS == _MESSAGE_TYPE_RECEIPT

    @property
    def text(self) -> bytes:
        """The message, from the optional `message_payload` where it stands there (SMPP 3.4 §5.3.2.32)."""
        return self.short_message or self.options.get(_MESSAGE_PAYLOAD, b"")

    @property
    def receipted_message_id(self) -> str | None:
        """The message that a receipt is about, where it says so outside its text (SMPP 3.4 §5.3.2.12)."""
        value = self.options.get(_RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0")
        return value.decode("latin-1") or None

    @property
    def message_state(self) -> int | None:
        """What became of the message, where a receipt says so outside its text (SMPP 3.4 §5.2.28)."""
        value = self.options.get(_MESSAGE_STATE, b"")
        return value[0] if value else None


@dataclass(frozen=True, slots=True)
class Address:
    """Who sends or gets a message, with its type of number and numbering plan (SMPP 3.4 §5.2.5, §5.2.6)."""

    digits: str
    ton: int
    npi: int


@dataclass(frozen=True, slots=True, repr=False)
class Submission:
    """The variable parts of a `submit_sm` (SMPP 3.4 §4.4.1)."""

    source: Address
    destination: Address
    data_coding: int
    short_message: bytes
    validity_period: str
    registered_delivery: bool
    service_type: str = ""

    def __repr__(self) -> str:
        """Leave out the number and what the message says."""
        return f"Submission({len(self.short_message)} octets)"


class _Sequence:
    """Gives `smpplib` the number it asks for."""

    def __init__(self, number: int) -> None:
        self._number = number

    def next_sequence(self) -> int:
        return self._number


def bind_transceiver(sequence: int, *, system_id: str, password: str, system_type: str = "") -> bytes:
    """Return the request to send and receive over this connection (SMPP 3.4 §4.1.5)."""
    return _write("bind_transceiver", sequence, system_id=system_id, password=password, system_type=system_type)


def submit_sm(sequence: int, submission: Submission) -> bytes:
    """Return the request to take a message (SMPP 3.4 §4.4.1)."""
    return _write(
        "submit_sm",
        sequence,
        service_type=submission.service_type,
        source_addr_ton=submission.source.ton,
        source_addr_npi=submission.source.npi,
        source_addr=submission.source.digits,
        dest_addr_ton=submission.destination.ton,
        dest_addr_npi=submission.destination.npi,
        destination_addr=submission.destination.digits,
        validity_period=submission.validity_period,
        registered_delivery=int(submission.registered_delivery),
        data_coding=submission.data_coding,
        short_message=submission.short_message,
    )


def enquire_link(sequence: int) -> bytes:
    """Return the question whether the peer still listens (SMPP 3.4 §4.11.1)."""
    return _write("enquire_link", sequence)


def unbind(sequence: int) -> bytes:
    """Return the request to end the session (SMPP 3.4 §4.2.1)."""
    return _write("unbind", sequence)


def response(pdu_command: str, sequence: int, status: int = OK) -> bytes:
    """Return the answer to a request of the SMSC: a `generic_nack` where the request is none that has another."""
    known = {"deliver_sm": "deliver_sm_resp", "enquire_link": "enquire_link_resp", "unbind": "unbind_resp"}
    return _write(known.get(pdu_command, "generic_nack"), sequence, status=status)


def relative_time(period: timedelta) -> str:
    """Return a period as SMPP writes it, `YYMMDDhhmmss000R`: at least a second, at most 30 days (SMPP 3.4 §7.1.1)."""
    seconds = max(1, int(min(period, 30 * _DAY).total_seconds()))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"0000{days:02}{hours:02}{minutes:02}{seconds:02}000R"


def pdu_length(octets: bytes | bytearray) -> int | None:
    """Return the length of the PDU that begins here, or None until its first four octets are there.

    Raises PduError for a length that no PDU has: there is no telling where the next one begins.
    """
    if len(octets) < struct.calcsize(">L"):
        return None
    (length,) = struct.unpack_from(">L", octets)
    if not HEADER_OCTETS <= length <= LONGEST_PDU:
        msg = "the SMSC sent something that is no SMPP"
        raise PduError(msg)
    return int(length)


def read(octets: bytes) -> Pdu:
    """Read one whole PDU. Raises PduError for one whose fields do not fill it."""
    code, status, sequence = struct.unpack_from(">LLL", octets, 4)
    name = _command_name(code)
    is_response = bool(code & _RESPONSE_BIT)
    reader = _READERS.get(name)
    if reader is None or len(octets) == HEADER_OCTETS:
        return Pdu(name, status, sequence, is_response)
    fields = reader(name, client=_Sequence(sequence))
    try:
        # Without the zero at the end of its last string, the codec would cut a letter off a response's id.
        fields.parse(octets if b"\0" in octets[HEADER_OCTETS:] else octets + b"\0")
        short_message = _short_message(fields)
        return Pdu(
            name,
            status,
            sequence,
            is_response,
            message_id=_text(fields, "message_id"),
            esm_class=getattr(fields, "esm_class", None) or 0,
            data_coding=getattr(fields, "data_coding", None) or 0,
            short_message=short_message,
            options=getattr(fields, "options", {}),
        )
    except (struct.error, TypeError, ValueError) as error:
        msg = f"the SMSC sent a {name} that is malformed"
        raise PduError(msg, command_name=name, sequence=sequence) from error


def describe(status: int) -> str:
    """Return the specification's words for a command status (SMPP 3.4 §5.1.3)."""
    words = consts.DESCRIPTIONS.get(status, "status of the provider's own")
    return f"{words} ({status:#010x})"


def read_options(octets: bytes) -> dict[int, bytes]:
    """Read optional parameters, tag to value (SMPP 3.4 §3.2.4); what a cut-off end leaves is ignored."""
    options: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(octets):
        tag, length = struct.unpack_from(">HH", octets, position)
        position += 4
        options[tag] = octets[position : position + length]
        position += length
    return options


class _ReadsAnyOption:
    """Keeps every optional parameter, in the place of a reader that fails on those it does not expect."""

    def parse_optional_params(self, data: bytes) -> None:
        self.options = read_options(data)


class _DeliverSm(_ReadsAnyOption, command.DeliverSM):  # type: ignore[misc]  # smpplib is untyped
    """A `deliver_sm` (SMPP 3.4 §4.6.1)."""


class _SubmitSmResp(_ReadsAnyOption, command.SubmitSMResp):  # type: ignore[misc]  # smpplib is untyped
    """A `submit_sm_resp` (SMPP 3.4 §4.4.2)."""


_READERS: Mapping[str, Any] = {"deliver_sm": _DeliverSm, "submit_sm_resp": _SubmitSmResp}


def _write(name: str, sequence: int, **fields: Any) -> bytes:  # noqa: ANN401  # smpplib's fields are of any type
    octets: bytes = smpp.make_pdu(name, client=_Sequence(sequence), sequence=sequence, **fields).generate()
    return octets


def _command_name(code: int) -> str:
    try:
        return str(command_codes.get_command_name(code))
    except exceptions.UnknownCommandError:
        return ""


def _short_message(fields: object) -> bytes:
    """Return the message. Raises ValueError where it is not as long as it says."""
    message = getattr(fields, "short_message", None) or b""
    if len(message) != (getattr(fields, "sm_length", None) or 0):
        msg = "sm_length is not the length of the message"
        raise ValueError(msg)
    return bytes(message)


def _text(fields: object, name: str) -> str:
    value = getattr(fields, name, None) or b""
    return value.decode("latin-1") if isinstance(value, bytes) else ""
