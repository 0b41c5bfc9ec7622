from __future__ import annotations

import dataclasses
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from stir import certificate as profile
from stir.certificate import (
    AuthorityCertificate,
    AuthorityFields,
    NumberCertificate,
    NumberCertificateFields,
    NumberRequest,
    ValidationMethod,
    authority_certificate,
    load_certificate,
    number_certificate,
    number_request,
    precertificate,
    read_pem_chain,
    signature_hash,
    tn_auth_list_of,
    write_pem_chain,
)
from stir.errors import CertificateProfileError
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import TnAuthList
from tests.unit.stir.strategies import numbers
from tests.vectors.make_stir_vectors import (
    ISSUING,
    ISSUING_FIELDS,
    ISSUING_KEY,
    LEAF,
    NUMBER,
    NUMBER_FIELDS,
    NUMBER_KEY,
    OTHER_NUMBER,
    ROOT,
    ROOT_FIELDS,
    ROOT_KEY,
    SCT_LIST,
    UNKNOWN,
    authority_with,
    leaf_with,
    signed,
)
from tests.vectors.make_stir_vectors import (
    numbers as with_numbers,
)

SCT_LIST_OID = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
SCT_LIST_DER = b"\x04" + bytes([len(SCT_LIST)]) + SCT_LIST
LEAF_DER = LEAF.public_bytes(Encoding.DER)
ISSUING_DER = ISSUING.public_bytes(Encoding.DER)
REQUEST_DER = number_request(NUMBER, NUMBER_KEY).public_bytes(Encoding.DER)
OPEN_ISSUING = signed(authority_certificate(replace(ISSUING_FIELDS, prefixes=()), ROOT), ROOT_KEY)
DELEGATING = signed(authority_certificate(replace(ISSUING_FIELDS, path_length=None), ROOT), ROOT_KEY)
P384_KEY = ROOT_KEY.public_key()


# What is written is read back


@given(numbers)
def test_a_certificate_names_its_number(number: TelephoneNumber) -> None:
    """For every number, the certificate that is built is one that is read, and of that number."""
    built = signed(number_certificate(replace(NUMBER_FIELDS, number=number), OPEN_ISSUING), ISSUING_KEY)
    assert NumberCertificate.read(built).number == number


def test_a_certificate_says_what_its_fields_said() -> None:
    """Each field is found again in the certificate that was read."""
    read = NumberCertificate.read(LEAF)
    assert (read.number, read.serial) == (NUMBER_FIELDS.number, NUMBER_FIELDS.serial)
    assert read.numbers == TnAuthList.for_number(NUMBER)
    assert read.public_key == NUMBER_KEY.public_key()
    assert (read.not_before, read.not_after) == (NUMBER_FIELDS.not_before, NUMBER_FIELDS.not_after)
    assert read.validation == (ValidationMethod.SMS_CODE,)
    assert read.crl_urls == (NUMBER_FIELDS.crl_url,)
    assert read.ca_issuers_urls == (NUMBER_FIELDS.ca_issuers_url,)
    assert read.fingerprint == LEAF.fingerprint(hashes.SHA256())
    assert read.certificate is LEAF


def test_an_authority_says_what_its_fields_said() -> None:
    """Each field is found again in the authority's certificate that was read."""
    read = AuthorityCertificate.read(ISSUING)
    assert (read.common_name, read.organization) == ("Example Issuing", "Example Ltd")
    assert read.numbers == TnAuthList.for_prefixes(ISSUING_FIELDS.prefixes)
    assert (read.path_length, read.serial) == (0, ISSUING_FIELDS.serial)
    assert read.public_key == ISSUING_KEY.public_key()
    assert (read.not_before, read.not_after) == (ISSUING_FIELDS.not_before, ISSUING_FIELDS.not_after)
    assert read.crl_urls == ("http://ca.example/root.crl",)
    assert read.ca_issuers_urls == ("http://ca.example/root.der",)
    assert read.fingerprint == ISSUING.fingerprint(hashes.SHA256())
    assert read.certificate is ISSUING


def test_a_root_issues_itself() -> None:
    """RFC 5280 §3.2: subject and issuer are one, and its own key verifies it."""
    read = AuthorityCertificate.read(ROOT)
    assert ROOT.subject == ROOT.issuer
    assert (read.numbers, read.path_length, read.crl_urls, read.ca_issuers_urls) == (None, None, (), ())
    ROOT.verify_directly_issued_by(ROOT)


def test_each_certificate_is_issued_by_the_one_above() -> None:
    """RFC 5280 §6.1: names and signatures chain."""
    LEAF.verify_directly_issued_by(ISSUING)
    ISSUING.verify_directly_issued_by(ROOT)


def test_parts_of_a_second_are_dropped() -> None:
    """RFC 5280 §4.1.2.5: times have whole seconds, and the number's owner may sign from the first on."""
    start = datetime(2026, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)
    fields = replace(NUMBER_FIELDS, not_before=start, not_after=start + timedelta(days=1))
    read = NumberCertificate.read(signed(number_certificate(fields, ISSUING), ISSUING_KEY))
    assert read.not_before == datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_times_of_any_zone_are_written_in_utc() -> None:
    """RFC 5280 §4.1.2.5: Greenwich time."""
    start = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=-5)))
    fields = replace(NUMBER_FIELDS, not_before=start, not_after=start + timedelta(days=1))
    read = NumberCertificate.read(signed(number_certificate(fields, ISSUING), ISSUING_KEY))
    assert read.not_before == datetime(2026, 1, 1, 17, tzinfo=UTC)


def test_a_certificate_carries_the_sct_list_that_logs_gave() -> None:
    """The list is embedded as it is, not critical, and read as it was (RFC 6962 §3.3)."""
    certificate = signed(number_certificate(NUMBER_FIELDS, ISSUING, SCT_LIST), ISSUING_KEY)
    extension = certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
    assert not extension.critical
    assert [sct.log_id for sct in extension.value] == [bytes(range(32))]
    assert NumberCertificate.read(certificate).sct_list == SCT_LIST


def test_a_certificate_that_no_log_saw_has_no_sct_list() -> None:
    """Without a list, the certificate is what it was before there were logs."""
    assert NumberCertificate.read(LEAF).sct_list is None


def test_a_precertificate_and_its_certificate_differ_by_poison_and_sct_list_only() -> None:
    """What a log signs for is what the certificate says (RFC 6962 §3.2)."""
    poisoned = signed(precertificate(NUMBER_FIELDS, ISSUING), ISSUING_KEY)
    final = signed(number_certificate(NUMBER_FIELDS, ISSUING, SCT_LIST), ISSUING_KEY)
    assert final.tbs_precertificate_bytes == LEAF.tbs_certificate_bytes
    *extensions, poison = poisoned.extensions
    assert extensions == list(LEAF.extensions)
    assert (poison.value, poison.critical) == (x509.PrecertPoison(), True)


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
            ((x509.PrecertPoison(), True), (x509.UnrecognizedExtension(SCT_LIST_OID, SCT_LIST_DER), False)),
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


def test_an_authority_poisons_its_own_numbers_only() -> None:
    """What may not be issued may not be shown to a log either."""
    with pytest.raises(CertificateProfileError, match="is not one for"):
        precertificate(replace(NUMBER_FIELDS, number=OTHER_NUMBER), ISSUING)


@pytest.mark.parametrize("size", [0, profile.LARGEST_CERTIFICATE + 1])
def test_an_sct_list_is_neither_empty_nor_huge(size: int) -> None:
    """A list that no log can have given is not embedded."""
    with pytest.raises(CertificateProfileError, match="an SCT list is neither empty"):
        number_certificate(NUMBER_FIELDS, ISSUING, bytes(size))


def test_the_same_fields_give_the_same_bytes() -> None:
    """A certificate that was lost before it was stored is signed again as it was (RFC 6979)."""
    again = signed(number_certificate(NUMBER_FIELDS, ISSUING), ISSUING_KEY)
    assert again.public_bytes(Encoding.DER) == LEAF_DER
    assert number_request(NUMBER, NUMBER_KEY).public_bytes(Encoding.DER) == REQUEST_DER


def test_a_limited_authority_says_so_twice() -> None:
    """RFC 8226 §9 and RFC 5280 §4.2.1.10: a TNAuthList for STIR, critical nameConstraints for everybody."""
    prefixes = (NumberPrefix("44"), NumberPrefix("1202"), NumberPrefix("44"))
    built = signed(authority_certificate(replace(ISSUING_FIELDS, prefixes=prefixes), ROOT), ROOT_KEY)
    constraints = built.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert [str(name.value) for name in constraints.value.permitted_subtrees or ()] == [
        "2.0.2.1.e164.arpa",
        "4.4.e164.arpa",
    ]
    assert constraints.value.excluded_subtrees is None
    assert tn_auth_list_of(built) == TnAuthList.for_prefixes(prefixes)


def test_policies_survive_the_path() -> None:
    """RFC 5280 §6.1.3: an authority below the root carries anyPolicy; the root is no part of the path."""
    policies = ISSUING.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert [policy.policy_identifier.dotted_string for policy in policies] == ["2.5.29.32.0"]
    with pytest.raises(x509.ExtensionNotFound):
        ROOT.extensions.get_extension_for_class(x509.CertificatePolicies)


def test_key_identifiers_chain() -> None:
    """RFC 5280 §4.2.1.1: the authority key identifier is the issuer's subject key identifier."""
    for certificate, issuer in ((LEAF, ISSUING), (ISSUING, ROOT), (ROOT, ROOT)):
        named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        assert named == issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_only_these_extensions_are_critical() -> None:
    """RFC 5280 §4.2: a critical extension stops whoever does not know it, so there are few."""
    assert {extension.oid for extension in LEAF.extensions if extension.critical} == {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
    assert {extension.oid for extension in ISSUING.extensions if extension.critical} == {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
    }


def test_every_method_has_its_own_policy_that_every_reader_holds() -> None:
    """RFC 5280 Appendix B: parts below 2^28, at most 20 of them, at most 100 characters."""
    found = [method.oid.dotted_string for method in ValidationMethod]
    assert found == [f"{profile.OID_ARC}.1.{number}" for number in (1, 2, 3, 4)]
    for oid in found:
        assert len(oid) <= 100
        assert len(oid.split(".")) <= 20
        assert all(int(part) < 2**28 for part in oid.split("."))


def test_the_arc_is_the_projects_uuid_in_parts() -> None:
    """The parts, in hexadecimal, are the UUID's: four digits five times, six digits twice."""
    *words, high, low = (int(part) for part in profile.OID_ARC.split(".")[7:])
    assert int("".join(f"{word:04x}" for word in words) + f"{high:06x}{low:06x}", 16) == (
        30032398498072581981978517698707828873
    )


def test_a_method_is_known_by_its_label() -> None:
    """Policies and databases name methods by their label."""
    assert [method.label for method in ValidationMethod] == ["sms-reply", "sms-code", "authority-token", "sms-routes"]
    assert ValidationMethod("sms-code") is ValidationMethod.SMS_CODE


def test_larger_keys_sign_with_a_larger_hash() -> None:
    """RFC 5480 §4: the hash is as strong as the key."""
    assert isinstance(signature_hash(NUMBER_KEY), hashes.SHA256)
    assert isinstance(signature_hash(ROOT_KEY.public_key()), hashes.SHA384)


# What cannot be built


def refused_fields() -> list[object]:
    """Return each change of a number's fields that the profile has no place for."""
    start = NUMBER_FIELDS.not_before
    return [
        pytest.param({"public_key": P384_KEY}, "P-256", id="a key on P-384"),
        pytest.param({"public_key": rsa.generate_private_key(65537, 2048).public_key()}, "P-256", id="an RSA key"),
        pytest.param({"serial": 0}, "serial", id="serial 0"),
        pytest.param({"serial": -1}, "serial", id="a negative serial"),
        pytest.param({"serial": 2**159}, "20 octets", id="a serial of 21 octets"),
        pytest.param({"not_after": start}, "ends after", id="no life"),
        pytest.param({"not_before": start.replace(tzinfo=None)}, "aware", id="a naive start"),
        pytest.param({"not_after": NUMBER_FIELDS.not_after.replace(tzinfo=None)}, "aware", id="a naive end"),
        pytest.param({"crl_url": "ldap://ca.example/"}, "http", id="an ldap URL"),
        pytest.param({"crl_url": "http://ca.example/a b"}, "http", id="a URL with a space"),
        pytest.param({"ca_issuers_url": "http://câ.example/"}, "http", id="a URL that is not ASCII"),
        pytest.param({"ca_issuers_url": "http://" + "x" * 2001}, "http", id="an endless URL"),
    ]


@pytest.mark.parametrize(("change", "reason"), refused_fields())
def test_fields_outside_the_profile_cannot_exist(change: dict[str, object], reason: str) -> None:
    """A number's fields are checked before anything is signed."""
    with pytest.raises(CertificateProfileError, match=reason):
        replace(NUMBER_FIELDS, **change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"public_key": ec.generate_private_key(ec.SECP521R1()).public_key()}, "P-256 or P-384"),
        ({"serial": 0}, "serial"),
        ({"not_after": ISSUING_FIELDS.not_before}, "ends after"),
        ({"path_length": -1}, "path length"),
        ({"crl_url": "file:///crl"}, "http"),
        ({"ca_issuers_url": ""}, "http"),
        ({"common_name": ""}, "name"),
        ({"common_name": "x" * 65}, "name"),
        ({"organization": ""}, "name"),
        ({"organization": "\ud800"}, "name"),
        ({"organization": "Example\nLtd"}, "name"),
        ({"organization": " Example Ltd"}, "name"),
        ({"organization": "é" * 33}, "name"),
    ],
)
def test_an_authoritys_fields_outside_the_profile_cannot_exist(change: dict[str, object], reason: str) -> None:
    """An authority's fields are checked before anything is signed."""
    with pytest.raises(CertificateProfileError, match=reason):
        replace(ISSUING_FIELDS, **change)


def test_the_largest_serial_is_written() -> None:
    """RFC 5280 §4.1.2.2: 20 octets, the sign bit among them."""
    fields = replace(NUMBER_FIELDS, serial=2**159 - 1)
    assert NumberCertificate.read(signed(number_certificate(fields, ISSUING), ISSUING_KEY)).serial == 2**159 - 1


def test_an_authority_issues_its_own_numbers_only() -> None:
    """RFC 8226 §9: a TNAuthList in an authority limits the numbers below it."""
    with pytest.raises(CertificateProfileError, match=r"not one for \+130"):
        number_certificate(replace(NUMBER_FIELDS, number=OTHER_NUMBER), ISSUING)


def test_a_number_issues_nothing() -> None:
    """RFC 5280 §4.2.1.9: an issuer is an authority."""
    with pytest.raises(CertificateProfileError, match="not an authority's"):
        number_certificate(NUMBER_FIELDS, LEAF)
    with pytest.raises(CertificateProfileError, match="not an authority's"):
        authority_certificate(ISSUING_FIELDS, LEAF)


def test_an_authority_of_path_length_0_issues_no_authority() -> None:
    """RFC 5280 §4.2.1.9: path length 0 means numbers only."""
    with pytest.raises(CertificateProfileError, match="path length is 0"):
        authority_certificate(ISSUING_FIELDS, ISSUING)


@pytest.mark.parametrize("prefixes", [(), ("1",), ("1303",), ("1202", "44")])
def test_an_authority_delegates_no_more_than_it_has(prefixes: tuple[str, ...]) -> None:
    """RFC 9060 §4.1: the numbers of a certificate are among those of its issuer."""
    wider = replace(ISSUING_FIELDS, prefixes=tuple(NumberPrefix(prefix) for prefix in prefixes))
    with pytest.raises(CertificateProfileError, match="among those"):
        authority_certificate(wider, DELEGATING)


@pytest.mark.parametrize("prefix", ["1202", "1202555"])
def test_an_authority_delegates_what_it_has(prefix: str) -> None:
    """RFC 9060 §4.1: all of its numbers, or some."""
    narrower = replace(ISSUING_FIELDS, prefixes=(NumberPrefix(prefix),), common_name="Below")
    read = AuthorityCertificate.read(signed(authority_certificate(narrower, DELEGATING), ISSUING_KEY))
    assert read.numbers == TnAuthList.for_prefixes([NumberPrefix(prefix)])


def test_a_request_is_for_a_key_on_p256() -> None:
    """RFC 8226 §4: numbers have keys on P-256."""
    with pytest.raises(CertificateProfileError, match="P-256"):
        number_request(NUMBER, ROOT_KEY)


# What cannot be read: the vectors hold the rest


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
        load_certificate(bytes(profile.LARGEST_CERTIFICATE + 1))
    with pytest.raises(CertificateProfileError, match="16384 bytes"):
        NumberRequest.read(bytes(profile.LARGEST_CERTIFICATE + 1))


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
    damaged = damage(genuine, data)
    for read in (NumberCertificate.read, AuthorityCertificate.read, tn_auth_list_of):
        try:
            read(load_certificate(damaged))
        except CertificateProfileError as error:
            told = str(error).replace("such as +12025550123", "")  # the example in the message is the tests' number
            assert NUMBER.digits not in told


@given(st.data())
def test_a_damaged_request_is_refused(data: st.DataObject) -> None:
    """RFC 2986 §4.2: the signature covers everything but itself and its own framing."""
    damaged = damage(REQUEST_DER, data)
    try:
        read = NumberRequest.read(damaged)
    except CertificateProfileError:
        return
    assert damaged == REQUEST_DER
    assert read.number == NUMBER


def damage(der: bytes, data: st.DataObject) -> bytes:
    """Return the bytes with one to three of them changed, or cut off."""
    changed = bytearray(der)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed[: data.draw(st.integers(len(der) - 3, len(der)))])


# Requests


@given(numbers)
def test_a_request_asks_for_its_number(number: TelephoneNumber) -> None:
    """RFC 8555 §7.4: what the request says is what was asked."""
    read = NumberRequest.read(number_request(number, NUMBER_KEY).public_bytes(Encoding.DER))
    assert read == NumberRequest(number, NUMBER_KEY.public_key())


# Chains


def test_a_chain_survives_its_text() -> None:
    """RFC 8555 §9.1: PEM, leaf first."""
    assert read_pem_chain(write_pem_chain([LEAF, ISSUING, ROOT])) == (LEAF, ISSUING, ROOT)


def test_a_chain_may_have_crlf_and_blank_lines() -> None:
    """RFC 7468 §2: lines end as the platform ends them."""
    text = write_pem_chain([LEAF, ISSUING])
    assert read_pem_chain(text.replace(b"\n", b"\r\n")) == (LEAF, ISSUING)
    assert read_pem_chain(text.replace(b"-----BEGIN", b"\n-----BEGIN").lstrip()) == (LEAF, ISSUING)
    assert read_pem_chain(text.rstrip()) == (LEAF, ISSUING)


PEM = write_pem_chain([LEAF])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"subject=\n" + PEM,
        PEM + b"trailing",
        PEM.replace(b"CERTIFICATE", b"PRIVATE KEY"),
        PEM + PEM.replace(b"CERTIFICATE", b"X509 CRL"),
        PEM.replace(b"-----END CERTIFICATE-----\n", b""),
        PEM.replace(b"\nMII", b"\nMIJ"),
        PEM.rstrip() + PEM,
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n=\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_chain_is_certificates_only(text: bytes) -> None:
    """RFC 8555 §9.1: no key, no comment, nothing between and nothing after."""
    with pytest.raises(CertificateProfileError):
        read_pem_chain(text)


def test_a_chain_is_short() -> None:
    """A chain has at most 10 certificates."""
    assert len(read_pem_chain(PEM * 10)) == 10
    with pytest.raises(CertificateProfileError, match="at most 10"):
        read_pem_chain(PEM * 11)
    with pytest.raises(CertificateProfileError, match="too large"):
        read_pem_chain(PEM * 300)


# The numbers of any certificate


def test_the_numbers_of_any_certificate_are_told() -> None:
    """RFC 8226 §9: a TNAuthList is read whatever else the certificate says; without one there is none."""
    assert tn_auth_list_of(LEAF) == TnAuthList.for_number(NUMBER)
    assert tn_auth_list_of(ROOT) is None
    assert (
        tn_auth_list_of(authority_with(with_numbers(TnAuthList.for_number(NUMBER).to_der(), critical=True))) is not None
    )
    with pytest.raises(CertificateProfileError, match="TNAuthorizationList"):
        tn_auth_list_of(leaf_with(with_numbers(b"\x30\x01")))


def test_a_root_may_be_limited_too() -> None:
    """A root for +44 alone is read as one."""
    limited = replace(ROOT_FIELDS, prefixes=(NumberPrefix("44"),))
    read = AuthorityCertificate.read(signed(authority_certificate(limited, None), ROOT_KEY))
    assert read.numbers == TnAuthList.for_prefixes([NumberPrefix("44")])
    assert isinstance(limited, AuthorityFields)
    assert isinstance(NUMBER_FIELDS, NumberCertificateFields)
