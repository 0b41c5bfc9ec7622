from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID
from hypothesis import given

from stir.certificate import AuthorityCertificate, NumberCertificate, tn_auth_list_of
from stir.certificate_building import (
    AuthorityFields,
    NumberCertificateFields,
    authority_certificate,
    number_certificate,
    precertificate,
    signature_hash,
)
from stir.certificate_profile import LARGEST_CERTIFICATE
from stir.errors import CertificateProfileError
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod
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
    signed,
)

SCT_LIST_OID = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
SCT_LIST_DER = b"\x04" + bytes([len(SCT_LIST)]) + SCT_LIST
OPEN_ISSUING = signed(authority_certificate(replace(ISSUING_FIELDS, prefixes=()), ROOT), ROOT_KEY)
DELEGATING = signed(authority_certificate(replace(ISSUING_FIELDS, path_length=None), ROOT), ROOT_KEY)
P384_KEY = ROOT_KEY.public_key()


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


def test_an_authority_poisons_its_own_numbers_only() -> None:
    """What may not be issued may not be shown to a log either."""
    with pytest.raises(CertificateProfileError, match="is not one for"):
        precertificate(replace(NUMBER_FIELDS, number=OTHER_NUMBER), ISSUING)


@pytest.mark.parametrize("size", [0, LARGEST_CERTIFICATE + 1])
def test_an_sct_list_is_neither_empty_nor_huge(size: int) -> None:
    """A list that no log can have given is not embedded."""
    with pytest.raises(CertificateProfileError, match="an SCT list is neither empty"):
        number_certificate(NUMBER_FIELDS, ISSUING, bytes(size))


def test_the_same_fields_give_the_same_bytes() -> None:
    """A certificate that was lost before it was stored is signed again as it was (RFC 6979)."""
    again = signed(number_certificate(NUMBER_FIELDS, ISSUING), ISSUING_KEY)
    assert again.public_bytes(Encoding.DER) == LEAF.public_bytes(Encoding.DER)


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


def test_a_root_may_be_limited_too() -> None:
    """A root for +44 alone is read as one."""
    limited = replace(ROOT_FIELDS, prefixes=(NumberPrefix("44"),))
    read = AuthorityCertificate.read(signed(authority_certificate(limited, None), ROOT_KEY))
    assert read.numbers == TnAuthList.for_prefixes([NumberPrefix("44")])
    assert isinstance(limited, AuthorityFields)
    assert isinstance(NUMBER_FIELDS, NumberCertificateFields)


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
