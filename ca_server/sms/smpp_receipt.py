"""SMPP delivery receipts (SMPP 3.4 §4.6, Appendix B), as SMSCs really send them.

Appendix B leaves the text to the vendor. What differs in practice: the id in another base than in the response, with
leading zeros or in other case; dates of 10, 12 or 14 digits; fields missing, or in another order; the id and the state
in optional parameters, in the text, or in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ca_server.orders import Delivery
from ca_server.sms.smpp_pdu import Pdu

_UCS2 = 8
_LONGEST_ID = 64
_ID = re.compile(r"(?:^|\s)id:\s{0,4}(\S{1,64})", re.IGNORECASE)
_STATE = re.compile(r"(?:^|\s)stat(?:us)?:\s{0,4}([a-z]{4,16})", re.IGNORECASE)
_ORIGINAL_TEXT = re.compile(r"(?:^|\s)text:", re.IGNORECASE)
_HEX_OR_UUID = re.compile(r"[0-9a-f-]+", re.IGNORECASE | re.ASCII)

_STATES = {
    2: Delivery.DELIVERED,
    3: Delivery.FAILED,  # expired
    4: Delivery.FAILED,  # deleted
    5: Delivery.FAILED,  # undeliverable
    8: Delivery.FAILED,  # rejected
}
_STATE_WORDS = {
    "deliv": Delivery.DELIVERED,
    "expir": Delivery.FAILED,
    "delet": Delivery.FAILED,
    "undel": Delivery.FAILED,
    "rejec": Delivery.FAILED,
    "faile": Delivery.FAILED,
}
"""Five letters tell the words of Appendix B (`DELIVRD`, `UNDELIV`), and those written out, from all others."""


class IdForm(StrEnum):
    """How an SMSC writes message ids in one place."""

    TEXT = "text"
    DECIMAL = "decimal"
    HEX = "hex"


@dataclass(frozen=True, slots=True)
class MessageIds:
    """How one SMSC writes its message ids: in the responses to a submission, and in the text of receipts.

    No program can guess this: 2623 may be that number, or hexadecimal for 9763, and both may be messages.
    """

    responses: IdForm = IdForm.TEXT
    receipts: IdForm = IdForm.TEXT

    def of_response(self, message_id: str) -> str:
        """Return the canonical form of an id in a response, or in a receipt's `receipted_message_id`."""
        return normalise(message_id, self.responses)

    def of_receipt(self, message_id: str) -> str:
        """Return the canonical form of an id in a receipt's text."""
        return normalise(message_id, self.receipts)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says: which message, in canonical form, and what became of it; None while that is open."""

    message_id: str
    delivery: Delivery | None


def normalise(message_id: str, form: IdForm) -> str:
    """Return one form for all the ways to write an id: decimal for numbers, else without leading zeros and case.

    An id that is not of the form that was promised is taken as text.
    """
    stripped = message_id.strip("\0 \t\r\n")
    try:
        if form is not IdForm.TEXT and stripped.isascii() and stripped.isalnum():
            return str(int(stripped[:_LONGEST_ID], 10 if form is IdForm.DECIMAL else 16))
    except ValueError:
        pass
    if _HEX_OR_UUID.fullmatch(stripped):
        return stripped.lower().lstrip("0") or "0"
    return stripped


def read_receipt(pdu: Pdu, ids: MessageIds) -> Receipt | None:
    """Read a receipt, or return None for one that names no message.

    The optional parameters win over the text: they have one meaning only. An intermediate state, and one that the
    specification does not know, leave the delivery open.
    """
    text = _decode(pdu)
    original = _ORIGINAL_TEXT.search(text)
    fields = text[: original.start()] if original else text
    message_id = _message_id(pdu, fields, ids)
    return Receipt(message_id, _delivery(pdu, fields)) if message_id else None


def _message_id(pdu: Pdu, fields: str, ids: MessageIds) -> str | None:
    if pdu.receipted_message_id:
        return ids.of_response(pdu.receipted_message_id)
    found = _ID.search(fields)
    return ids.of_receipt(found[1]) if found else None


def _delivery(pdu: Pdu, fields: str) -> Delivery | None:
    if pdu.message_state is not None:
        return _STATES.get(pdu.message_state)
    found = _STATE.search(fields)
    return _STATE_WORDS.get(found[1].lower()[:5]) if found else None


def _decode(pdu: Pdu) -> str:
    return pdu.text.decode("utf-16-be", "replace") if pdu.data_coding == _UCS2 else pdu.text.decode("latin-1")
