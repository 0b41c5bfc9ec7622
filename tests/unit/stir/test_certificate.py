from __future__ import annotations

import dataclasses
import warnings
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from stir.certificate import AuthorityCertificate, NumberCertificate, load_certificate, tn_auth_list_of
from stir.certificate_building import number_certificate, precertificate
from stir.certificate_chain import read_pem_chain
from stir.certificate_extensions import write_sct_list
from stir.certificate_profile import LARGEST_CERTIFICATE
from stir.certificate_request import NumberRequest
from stir.errors import CertificateProfileError
from stir.tn_auth_list import TnAuthList
from tests.unit.stir.strategies import damaged
from tests.vectors.make_stir_vectors import (
    ISSUING,
    ISSUING_KEY,
    LEAF,
    NUMBER,
    NUMBER_FIELDS,
    OTHER_NUMBER,
    ROOT,
    SCT_LIST,
    UNKNOWN,
    authority_with,
    leaf_with,
    signed,
)
from tests.vectors.make_stir_vectors import (
    numbers as with_numbers,
)

LEAF_DER = LEAF.public_bytes(Encoding.DER)
ISSUING_DER = ISSUING.public_bytes(Encoding.DER)


def test_a_precertificate_is_no_certificate() -> None:
    """Its poison is critical, and no verifier understands it (RFC 6962 §3.1)."""
    with pytest.raises(CertificateProfileError, match=r"critical extension 1\.3\.6\.1\.4\.1\.11129\.2\.4\.3"):
        NumberCertificate.read(signed(precertificate(NUMBER_FIELDS, ISSUING), ISSUING_KEY))


def test_a_log_reads_what_a_precertificate_announces() -> None:
    """A precertificate is read for what it is, and says what its certificate will say (RFC 6962 §3.1)."""
    read = NumberCertificate.read_precertificate(signed(precertificate(NUMBER_FIELDS, ISSUING), ISSUING_KEY))
    assert (read.number, read.is_precertificate, read.sct_list) == (NUMBER, True, None)
    assert read.validation == NumberCertificate.read(LEAF).validation


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        ((), "no critical PrecertPoison"),
        (((x509.PrecertPoison(), False),), "no critical PrecertPoison"),
        (
            ((x509.PrecertPoison(), True), (write_sct_list(SCT_LIST), False)),
            "no SCT list",
        ),
        (((x509.PrecertPoison(), True), (UNKNOWN, True)), "that this profile lacks"),
    ],
    ids=["a certificate", "a poison that is not critical", "an SCT list beside it", "an unknown critical extension"],
)
def test_a_log_reads_precertificates_only(extensions: tuple[tuple[x509.ExtensionType, bool], ...], reason: str) -> None:
    """What anybody else might take for a certificate is no precertificate (RFC 6962 §3.1)."""
    builder = number_certificate(NUMBER_FIELDS, ISSUING)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    with pytest.raises(CertificateProfileError, match=reason):
        NumberCertificate.read_precertificate(signed(builder, ISSUING_KEY))


@pytest.mark.parametrize("serial", [b"\x02\x01\x80", b"\x02\x01\x00"])
def test_a_serial_number_that_is_not_positive_is_refused(serial: bytes) -> None:
    """RFC 5280 §4.1.2.2: positive; whether `cryptography` warns of it, raises or says nothing."""
    der = signed(number_certificate(replace(NUMBER_FIELDS, serial=1), ISSUING), ISSUING_KEY).public_bytes(Encoding.DER)
    broken = der.replace(b"\xa0\x03\x02\x01\x02\x02\x01\x01", b"\xa0\x03\x02\x01\x02" + serial, 1)
    assert broken != der
    with pytest.raises(CertificateProfileError):
        NumberCertificate.read(load_certificate(broken))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(CertificateProfileError, match="positive"):
            NumberCertificate.read(load_certificate(broken))


def test_a_serial_number_of_21_octets_is_refused() -> None:
    """RFC 5280 §4.1.2.2: at most 20 octets."""
    builder = number_certificate(NUMBER_FIELDS, ISSUING)
    builder._serial_number = 2**160
    with pytest.raises(CertificateProfileError, match="20 octets"):
        NumberCertificate.read(signed(builder, ISSUING_KEY))


def test_a_certificate_larger_than_any_use_is_refused() -> None:
    """Nobody's memory is for sale."""
    with pytest.raises(CertificateProfileError, match="16384 bytes"):
        load_certificate(bytes(LARGEST_CERTIFICATE + 1))


def test_a_value_that_was_read_cannot_contradict_its_certificate() -> None:
    """Everything but the certificate, and what it is read as, follows from it, and nothing can be set."""
    read = NumberCertificate.read(LEAF)
    assert [field.name for field in dataclasses.fields(read) if field.init] == ["certificate", "is_precertificate"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        read.number = OTHER_NUMBER  # type: ignore[misc]
    with pytest.raises(CertificateProfileError):
        NumberCertificate(ISSUING)
    with pytest.raises(CertificateProfileError):
        NumberCertificate(LEAF, is_precertificate=True)
    with pytest.raises(CertificateProfileError):
        AuthorityCertificate(LEAF)


def test_values_of_one_certificate_are_equal() -> None:
    """Two readings of one certificate are one value, and its repr hides the number."""
    assert NumberCertificate.read(load_certificate(LEAF_DER)) == NumberCertificate.read(LEAF)
    assert NUMBER.digits not in repr(NumberCertificate.read(LEAF))
    assert NUMBER.digits not in repr(NUMBER_FIELDS)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_certificate_or_this_rooms_error(der: bytes) -> None:
    """No bytes make a reader raise anything else."""
    for read in (load_certificate, NumberRequest.read, read_pem_chain):
        with pytest.raises(CertificateProfileError):
            read(der)


@pytest.mark.parametrize("genuine", [LEAF_DER, ISSUING_DER], ids=["number", "authority"])
@given(data=st.data())
def test_a_damaged_certificate_gives_a_certificate_or_this_rooms_error(genuine: bytes, data: st.DataObject) -> None:
    """Changed bytes are read as what they now say, or refused; nothing else is raised."""
    der = data.draw(damaged(genuine))
    for read in (NumberCertificate.read, AuthorityCertificate.read, tn_auth_list_of):
        try:
            read(load_certificate(der))
        except CertificateProfileError as error:
            told = str(error).replace("such as +12025550123", "")  # the example in the message is the tests' number
            assert NUMBER.digits not in told


def test_the_numbers_of_any_certificate_are_told() -> None:
    """RFC 8226 §9: a TNAuthList is read whatever else the certificate says; without one there is none."""
    assert tn_auth_list_of(LEAF) == TnAuthList.for_number(NUMBER)
    assert tn_auth_list_of(ROOT) is None
    assert (
        tn_auth_list_of(authority_with(with_numbers(TnAuthList.for_number(NUMBER).to_der(), critical=True))) is not None
    )
    with pytest.raises(CertificateProfileError, match="TNAuthorizationList"):
        tn_auth_list_of(leaf_with(with_numbers(b"\x30\x01")))
