from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from stir.certificate_profile import LARGEST_CERTIFICATE
from stir.certificate_request import NumberRequest, number_request
from stir.errors import CertificateProfileError
from stir.telephone_number import TelephoneNumber
from tests.unit.stir.strategies import damaged, numbers
from tests.vectors.make_stir_vectors import (
    NUMBER,
    NUMBER_KEY,
    ROOT_KEY,
)

REQUEST_DER = number_request(NUMBER, NUMBER_KEY).public_bytes(Encoding.DER)


@given(numbers)
def test_a_request_asks_for_its_number(number: TelephoneNumber) -> None:
    """RFC 8555 §7.4: what the request says is what was asked."""
    read = NumberRequest.read(number_request(number, NUMBER_KEY).public_bytes(Encoding.DER))
    assert read == NumberRequest(number, NUMBER_KEY.public_key())


def test_the_same_number_and_key_give_the_same_bytes() -> None:
    """A request that is made again is the one that was made before (RFC 6979)."""
    assert number_request(NUMBER, NUMBER_KEY).public_bytes(Encoding.DER) == REQUEST_DER


def test_a_request_is_for_a_key_on_p256() -> None:
    """RFC 8226 §4: numbers have keys on P-256."""
    with pytest.raises(CertificateProfileError, match="P-256"):
        number_request(NUMBER, ROOT_KEY)


def test_a_request_larger_than_any_use_is_refused() -> None:
    """Nobody's memory is for sale."""
    with pytest.raises(CertificateProfileError, match="16384 bytes"):
        NumberRequest.read(bytes(LARGEST_CERTIFICATE + 1))


@given(st.data())
def test_a_damaged_request_is_refused(data: st.DataObject) -> None:
    """RFC 2986 §4.2: the signature covers everything but itself and its own framing."""
    der = data.draw(damaged(REQUEST_DER))
    try:
        read = NumberRequest.read(der)
    except CertificateProfileError:
        return
    assert der == REQUEST_DER
    assert read.number == NUMBER
