from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_server.orders import Delivery
from ca_server.sms.smpp_pdu import Pdu
from ca_server.sms.smpp_receipt import IdForm, MessageIds, Receipt, normalise, read_receipt

AS_TEXT = MessageIds()


def a_receipt(text: str, *, data_coding: int = 0, options: dict[int, bytes] | None = None) -> Pdu:
    """Return a deliver_sm that the SMSC marked as a receipt."""
    octets = text.encode("utf-16-be" if data_coding == 8 else "latin-1")
    return Pdu("deliver_sm", 0, 1, esm_class=4, data_coding=data_coding, short_message=octets, options=options or {})


@pytest.mark.parametrize(
    "text",
    [
        "id:2623 sub:001 dlvrd:001 submit date:2611221200 done date:2611221201 stat:DELIVRD err:000 text:12345678 is",
        "id:2623 sub:001 dlvrd:001 submit date:261122120000 done date:261122120105 stat:DELIVRD err:000 text:",
        "id:2623 sub:001 dlvrd:001 submit date:20261122120000 done date:20261122120105 stat:DELIVRD err:000 Text:x",
        "id:0000002623 stat:DELIVRD",
        "stat:DELIVERED id:2623",
        "ID: 2623 STAT: DELIVRD",
        "id:2623 status:delivered err:0",
        "id:2623\nstat:DELIVRD\ntext:id:9 stat:UNDELIV",
    ],
)
def test_receipts_are_read_as_vendors_write_them(text: str) -> None:
    """SMPP 3.4 Appendix B leaves the text to the vendor: dates, order, zeros and case vary, and mean the same."""
    assert read_receipt(a_receipt(text), AS_TEXT) == Receipt("2623", Delivery.DELIVERED)


def test_a_receipt_in_ucs2_is_read() -> None:
    """The text's data coding counts for receipts too."""
    assert read_receipt(a_receipt("id:7 stat:DELIVRD", data_coding=8), AS_TEXT) == Receipt("7", Delivery.DELIVERED)


@pytest.mark.parametrize(
    ("word", "delivery"),
    [
        ("DELIVRD", Delivery.DELIVERED),
        ("EXPIRED", Delivery.FAILED),
        ("DELETED", Delivery.FAILED),
        ("UNDELIV", Delivery.FAILED),
        ("UNDELIVERABLE", Delivery.FAILED),
        ("REJECTD", Delivery.FAILED),
        ("REJECTED", Delivery.FAILED),
        ("FAILED", Delivery.FAILED),
        ("ACCEPTD", None),
        ("ENROUTE", None),
        ("UNKNOWN", None),
        ("BUFFERED", None),
    ],
)
def test_each_state_of_appendix_b_has_its_meaning(word: str, delivery: Delivery | None) -> None:
    """SMPP 3.4 Appendix B: final states end the delivery, intermediate and unknown ones leave it open."""
    assert read_receipt(a_receipt(f"id:1 stat:{word} err:000"), AS_TEXT) == Receipt("1", delivery)


@pytest.mark.parametrize(("state", "delivery"), [(1, None), (2, Delivery.DELIVERED), (5, Delivery.FAILED), (6, None)])
def test_the_state_in_an_option_wins_over_the_text(state: int, delivery: Delivery | None) -> None:
    """SMPP 3.4 §5.2.28: message_state has one meaning only, whatever the text says."""
    pdu = a_receipt("id:9 stat:DELIVRD", options={0x0427: bytes((state,)), 0x001E: b"0A3F\0"})
    assert read_receipt(pdu, AS_TEXT) == Receipt("a3f", delivery)


@pytest.mark.parametrize("text", ["", "hello", "stat:DELIVRD", "text: id:1", "paid:1"])
def test_what_names_no_message_is_no_receipt(text: str) -> None:
    """Without an id there is nothing to report on."""
    assert read_receipt(a_receipt(text), AS_TEXT) is None


@given(st.text(alphabet=st.characters(max_codepoint=255)), st.sampled_from(list(IdForm)))
def test_any_text_is_read_or_no_receipt(text: str, form: IdForm) -> None:
    """Whatever an SMSC writes raises nothing."""
    receipt = read_receipt(a_receipt(text), MessageIds(form, form))
    assert receipt is None or receipt.message_id


@given(st.binary(max_size=200), st.sampled_from([0, 8]))
def test_any_octets_are_read_or_no_receipt(octets: bytes, coding: int) -> None:
    """Whatever octets an SMSC sends raise nothing."""
    read_receipt(Pdu("deliver_sm", 0, 1, esm_class=4, data_coding=coding, short_message=octets), AS_TEXT)


def test_a_long_text_is_read_in_no_time() -> None:
    """A text made to be slow to search is not."""
    read_receipt(a_receipt("id:" * 20_000 + " " * 20_000 + "stat:" * 2_000), AS_TEXT)


@given(st.integers(min_value=0, max_value=2**64), st.integers(0, 8))
def test_an_id_in_hexadecimal_and_in_decimal_is_one(number: int, zeros: int) -> None:
    """Where the settings say how each place writes ids, both forms of one number are equal, with any zeros and case."""
    ids = MessageIds(responses=IdForm.HEX, receipts=IdForm.DECIMAL)
    assert ids.of_response(f"{'0' * zeros}{number:x}") == ids.of_receipt(str(number))
    assert ids.of_response(f"{number:X}") == ids.of_receipt(f"{'0' * zeros}{number}")


@given(st.integers(min_value=0), st.integers(min_value=0), st.sampled_from([IdForm.DECIMAL, IdForm.TEXT]))
def test_distinct_numbers_stay_distinct(one: int, other: int, form: IdForm) -> None:
    """No two messages get one id."""
    one, other = one % 10**40, other % 10**40
    assert (normalise(str(one), form) == normalise(str(other), form)) == (one == other)


@pytest.mark.parametrize(
    ("written", "form", "canonical"),
    [
        ("0", IdForm.TEXT, "0"),
        ("000", IdForm.TEXT, "0"),
        ("00AF", IdForm.TEXT, "af"),
        ("7E0C1F2A-0000-4000-8000-00000000000A\0", IdForm.TEXT, "7e0c1f2a-0000-4000-8000-00000000000a"),
        ("Kx9_z", IdForm.TEXT, "Kx9_z"),
        ("Kx9_z", IdForm.HEX, "Kx9_z"),
        ("queue7", IdForm.HEX, "queue7"),
        ("12 ", IdForm.DECIMAL, "12"),
        ("1_2", IdForm.DECIMAL, "1_2"),
        ("٣", IdForm.DECIMAL, "٣"),
    ],
)
def test_an_id_that_is_no_number_is_kept_as_text(written: str, form: IdForm, canonical: str) -> None:
    """Hexadecimal and UUIDs lose their case and zeros, which SMSCs vary; anything else keeps its letters."""
    assert normalise(written, form) == canonical
