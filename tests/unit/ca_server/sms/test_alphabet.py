from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_server.sms.alphabet import decode_gsm7, encode_gsm7, fits_one_segment

BASIC = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡§¿abcÄÖÑÜäöñüà"
EXTENSION = "^{}\\[~]|€\f"


@pytest.mark.parametrize(
    ("letter", "octets"), [("@", b"\x00"), ("$", b"\x02"), ("_", b"\x11"), ("§", b"\x5f"), ("¿", b"\x60"), ("a", b"a")]
)
def test_letters_have_the_codes_of_the_default_alphabet(letter: str, octets: bytes) -> None:
    """TS 23.038 §6.2.1: the codes of the GSM 7-bit default alphabet are not those of ASCII."""
    assert encode_gsm7(letter) == octets


@pytest.mark.parametrize(("letter", "code"), [("€", 0x65), ("{", 0x28), ("[", 0x3C), ("\\", 0x2F), ("|", 0x40)])
def test_letters_of_the_extension_take_an_escape(letter: str, code: int) -> None:
    """TS 23.038 §6.2.1.1: a letter of the extension table is an escape and its code."""
    assert encode_gsm7(letter) == bytes((0x1B, code))


@given(st.text(alphabet=BASIC + EXTENSION))
def test_what_is_written_is_read_again(text: str) -> None:
    """Every text of the alphabet and its extension survives the way to the phone."""
    octets = encode_gsm7(text)
    assert octets is not None
    assert decode_gsm7(octets) == text


@given(st.text())
def test_only_a_text_of_the_alphabet_is_written(text: str) -> None:
    """A letter that the alphabet lacks is never replaced by another, as ` and § are by some encoders."""
    octets = encode_gsm7(text)
    assert (octets is None) == any(letter not in BASIC + EXTENSION + ascii_letters_and_digits() for letter in text)
    if octets is not None:
        assert decode_gsm7(octets) == text


@given(st.binary())
def test_any_octets_are_read_as_something(octets: bytes) -> None:
    """A phone shows something for whatever comes, never more letters than octets."""
    assert len(decode_gsm7(octets)) <= len(octets)


@pytest.mark.parametrize(
    ("octets", "text"), [(b"a\x1b", "a "), (b"\x1b\x1b", " "), (b"\x1ba", "a"), (b"\xff", "\ufffd")]
)
def test_what_no_table_has_is_shown_as_a_phone_would(octets: bytes, text: str) -> None:
    """TS 23.038 §6.2.1.1: an escape before a code of no table is ignored, and one before nothing is a space."""
    assert decode_gsm7(octets) == text


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a" * 160, True),
        ("a" * 161, False),
        ("€" * 80, True),
        ("€" * 81, False),
        ("д" * 70, True),
        ("д" * 71, False),
        ("😀" * 35, True),
        ("😀" * 36, False),
        ("ê" * 70, True),
        ("ê" * 71, False),
    ],
)
def test_a_segment_holds_160_septets_or_70_units(text: str, *, fits: bool) -> None:
    """TS 23.040: one SMS carries 140 octets: 160 septets, or 70 units of UCS-2 where one letter needs it."""
    assert fits_one_segment(text) is fits


def ascii_letters_and_digits() -> str:
    """Return the letters that both ASCII and the alphabet have, and no table above names."""
    return "".join(chr(code) for code in range(128) if chr(code).isalnum())
