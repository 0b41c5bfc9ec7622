from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.errors import KeyStoreError, LintError
from ca_server.orders import Revocation
from ca_server.signing.issuer import Issuer, logged_digest
from stir.certificate import NumberCertificate
from stir.certificate_chain import read_pem_chain
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod
from tests.fakes.authority import NOW, make_authority_certificate, make_issuance, make_issuer
from transparency.sct import tbs_of

NUMBER = TelephoneNumber("12025550123")


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """Return an authority without limits to its numbers."""
    return make_issuer()


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    """Return the key of a number."""
    return ec.generate_private_key(ec.SECP256R1())


def test_a_certificate_says_what_was_reserved(issuer: Issuer, key: ec.EllipticCurvePrivateKey) -> None:
    """Number, key, serial, times, method and URLs are those that were decided before signing."""
    issuance = make_issuance(shard=3)
    read = NumberCertificate.read(issuer.sign_certificate(NUMBER, key.public_key(), issuance))
    assert read.number == NUMBER
    assert read.public_key == key.public_key()
    assert read.serial == issuance.serial
    assert (read.not_before, read.not_after) == (issuance.not_before, issuance.not_after)
    assert read.validation == (ValidationMethod.SMS_CODE,)
    assert read.crl_urls == (issuer.crl_url(3),)
    assert read.ca_issuers_urls == (issuer.certificate_url,)


def test_signing_again_gives_the_same_bytes(issuer: Issuer, key: ec.EllipticCurvePrivateKey) -> None:
    """A certificate that was signed and lost in a crash comes out again bit by bit (RFC 6979)."""
    first = issuer.sign_certificate(NUMBER, key.public_key(), make_issuance())
    assert issuer.sign_certificate(NUMBER, key.public_key(), make_issuance()) == first


def test_a_number_outside_the_authoritys_own_is_not_signed(key: ec.EllipticCurvePrivateKey) -> None:
    """An authority for +1 202 signs nothing for +1 301, and tells beforehand that it would not."""
    issuer = make_issuer(prefixes=("+1202",))
    other = TelephoneNumber("13015550123")
    assert issuer.covers(NUMBER)
    assert not issuer.covers(other)
    issuer.sign_certificate(NUMBER, key.public_key(), make_issuance())
    with pytest.raises(LintError, match="may not speak for"):
        issuer.sign_certificate(other, key.public_key(), make_issuance())


def test_a_certificate_that_outlives_its_issuer_is_not_released(
    issuer: Issuer, key: ec.EllipticCurvePrivateKey
) -> None:
    """Validity stays inside the issuing certificate's."""
    with pytest.raises(LintError, match="validity is not inside"):
        issuer.sign_certificate(NUMBER, key.public_key(), make_issuance(lifetime=timedelta(days=366)))


def test_what_may_not_be_signed_never_meets_the_key(
    issuer: Issuer, key: ec.EllipticCurvePrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside the issuer's numbers or life, neither a certificate nor a precertificate is signed even to be dropped."""
    limited = dataclasses.replace(issuer, certificate=make_limited(issuer))

    def used(*_: object, **__: object) -> None:
        pytest.fail("the key was used")

    monkeypatch.setattr(x509.CertificateBuilder, "sign", used)
    long = make_issuance(lifetime=timedelta(days=366))
    for sign in (limited.sign_certificate, limited.sign_precertificate):
        with pytest.raises(LintError, match="may not speak for"):
            sign(NUMBER, key.public_key(), make_issuance())
    for sign in (issuer.sign_certificate, issuer.sign_precertificate):
        with pytest.raises(LintError, match="validity is not inside"):
            sign(NUMBER, key.public_key(), long)


def make_limited(issuer: Issuer) -> x509.Certificate:
    """Return a certificate of the issuer's key that speaks for other numbers than ours."""
    root_key = ec.generate_private_key(ec.SECP384R1())
    root = make_authority_certificate("Root", root_key)
    return make_authority_certificate("Limited", issuer.key, (root, root_key), prefixes=("+1301",))


def test_a_precertificate_is_the_certificate_with_poison(issuer: Issuer, key: ec.EllipticCurvePrivateKey) -> None:
    """But for poison and SCT list the two say the same, and both come out again bit by bit (RFC 6962 §3.1)."""
    waiting = dataclasses.replace(make_issuance(), sct_list=None)
    shown = issuer.sign_precertificate(NUMBER, key.public_key(), waiting)
    assert shown == issuer.sign_precertificate(NUMBER, key.public_key(), waiting)
    assert shown.extensions.get_extension_for_class(x509.PrecertPoison).critical
    digest = logged_digest(issuer.key_hash, tbs_of(shown))
    fixed = dataclasses.replace(waiting, sct_list=b"\x00\x00", logged_digest=digest)
    certificate = issuer.sign_certificate(NUMBER, key.public_key(), fixed)
    assert tbs_of(certificate) == tbs_of(shown)
    assert NumberCertificate.read(certificate).sct_list == b"\x00\x00"
    assert certificate == issuer.sign_certificate(NUMBER, key.public_key(), fixed)


def test_a_certificate_waits_for_its_logs(issuer: Issuer, key: ec.EllipticCurvePrivateKey) -> None:
    """While the logs have not given enough, no certificate is signed."""
    with pytest.raises(LintError, match="awaits its logs"):
        issuer.sign_certificate(NUMBER, key.public_key(), dataclasses.replace(make_issuance(), sct_list=None))


def test_timestamps_of_another_certificate_are_not_embedded(issuer: Issuer, key: ec.EllipticCurvePrivateKey) -> None:
    """A certificate that is not the one the logs were shown is withheld: its settings changed on the way."""
    fixed = dataclasses.replace(make_issuance(), sct_list=b"\x00\x00", logged_digest=bytes(32))
    with pytest.raises(LintError, match="logs were shown"):
        issuer.sign_certificate(NUMBER, key.public_key(), fixed)


def test_a_key_outside_the_profile_is_not_signed(issuer: Issuer) -> None:
    """A key on another curve than P-256 gives the lint's error."""
    with pytest.raises(LintError, match="outside the profile"):
        issuer.sign_certificate(NUMBER, ec.generate_private_key(ec.SECP384R1()).public_key(), make_issuance())


def test_a_key_that_is_not_the_certificates_is_refused(issuer: Issuer) -> None:
    """A key store that holds another key is noticed before anything is signed."""
    with pytest.raises(KeyStoreError, match="does not belong"):
        Issuer(issuer.certificate, issuer.chain, ec.generate_private_key(ec.SECP256R1()), "https://ca.example", 1)


def test_the_chain_leaves_out_the_anchor(issuer: Issuer, key: ec.EllipticCurvePrivateKey) -> None:
    """The client gets leaf and issuing certificate; the anchor it must have from elsewhere (RFC 8555 §9.1)."""
    leaf = issuer.sign_certificate(NUMBER, key.public_key(), make_issuance())
    assert read_pem_chain(issuer.chain_pem(leaf)) == (leaf, issuer.certificate)


def test_the_chain_holds_what_stands_between_leaf_and_anchor(key: ec.EllipticCurvePrivateKey) -> None:
    """With an authority in the middle the chain has three certificates."""
    root_key, middle_key, own_key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(3))
    root = make_authority_certificate("Root", root_key)
    middle = make_authority_certificate("Middle", middle_key, (root, root_key), path_length=1)
    own = make_authority_certificate("Own", own_key, (middle, middle_key))
    issuer = Issuer(own, (middle, root), own_key, "https://ca.example", 1)
    leaf = issuer.sign_certificate(NUMBER, key.public_key(), make_issuance())
    assert read_pem_chain(issuer.chain_pem(leaf)) == (leaf, own, middle)


def test_an_anchor_that_issues_is_sent(key: ec.EllipticCurvePrivateKey) -> None:
    """Where the anchor itself issues, the chain holds it, for clients that want two certificates."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = make_authority_certificate("Root", root_key)
    issuer = Issuer(root, (), root_key, "https://ca.example", 1)
    leaf = issuer.sign_certificate(NUMBER, key.public_key(), make_issuance())
    assert read_pem_chain(issuer.chain_pem(leaf)) == (leaf, root)


def test_an_issuer_knows_its_own(issuer: Issuer, key: ec.EllipticCurvePrivateKey) -> None:
    """A certificate by another authority, even of the same name, is told apart by its signature."""
    assert issuer.issued(issuer.sign_certificate(NUMBER, key.public_key(), make_issuance()))
    assert not issuer.issued(make_issuer().sign_certificate(NUMBER, key.public_key(), make_issuance()))
    assert not issuer.issued(issuer.chain[0])


def test_the_issuing_certificate_is_served_as_it_is(issuer: Issuer) -> None:
    """What stands behind the URL in AIA is the DER of the issuing certificate (RFC 5280 §4.2.2.1)."""
    assert x509.load_der_x509_certificate(issuer.certificate_der) == issuer.certificate


def test_nothing_outlives_the_shortest_certificate_of_the_chain(issuer: Issuer) -> None:
    """The end of the chain's validity is known for limiting what is issued."""
    assert issuer.not_after == NOW + timedelta(days=365)


def test_a_printed_issuer_hides_its_key(issuer: Issuer) -> None:
    """The private key does not appear in a traceback or a log line."""
    assert "PrivateKey" not in repr(issuer)


def test_a_crl_lists_what_was_revoked(issuer: Issuer) -> None:
    """Serials, dates and reasons come through, the reason "unspecified" by being absent (RFC 5280 §5.3.1)."""
    revocations = [Revocation(7, NOW, 0), Revocation(8, NOW - timedelta(hours=1), 1)]
    crl = x509.load_der_x509_crl(issuer.sign_crl(2, 5, NOW, NOW + timedelta(hours=4), revocations))
    assert crl.is_signature_valid(issuer.key.public_key())
    assert [entry.serial_number for entry in crl] == [7, 8]
    assert len(crl[0].extensions) == 0
    assert crl[1].extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.key_compromise
    assert crl[1].revocation_date_utc == NOW - timedelta(hours=1)


def test_a_crl_has_a_number_and_its_issuers_key_identifier(issuer: Issuer) -> None:
    """Both extensions are there, and not critical (RFC 5280 §5.2.1, §5.2.3)."""
    crl = x509.load_der_x509_crl(issuer.sign_crl(2, 5, NOW, NOW + timedelta(hours=4), ()))
    number = crl.extensions.get_extension_for_class(x509.CRLNumber)
    key_id = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    own = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert (number.value.crl_number, number.critical) == (5, False)
    assert (key_id.value.key_identifier, key_id.critical) == (own.value.digest, False)


def test_a_crl_names_its_shard_as_its_certificates_do(issuer: Issuer, key: ec.EllipticCurvePrivateKey) -> None:
    """The critical issuing distribution point repeats the URL in the certificate (RFC 5280 §5.2.5)."""
    crl = x509.load_der_x509_crl(issuer.sign_crl(2, 5, NOW, NOW + timedelta(hours=4), ()))
    scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    leaf = NumberCertificate.read(issuer.sign_certificate(NUMBER, key.public_key(), make_issuance(shard=2)))
    assert scope.critical
    assert scope.value.full_name == [x509.UniformResourceIdentifier(leaf.crl_urls[0])]


@pytest.mark.parametrize("shard", [-1, 4])
def test_a_shard_that_is_not_there_has_no_crl(issuer: Issuer, shard: int) -> None:
    """Only the shards that certificates are spread over are signed."""
    with pytest.raises(LintError, match="there is no CRL shard"):
        issuer.sign_crl(shard, 1, NOW, NOW + timedelta(hours=1), ())


def test_a_crl_that_cannot_be_is_not_signed(issuer: Issuer) -> None:
    """A reason that RFC 5280 does not assign, or an end before the beginning, gives the lint's error."""
    with pytest.raises(LintError, match="reason 7"):
        issuer.sign_crl(0, 1, NOW, NOW + timedelta(hours=1), [Revocation(7, NOW, 7)])
    with pytest.raises(LintError, match="next update"):
        issuer.sign_crl(0, 1, NOW, NOW - timedelta(hours=1), ())


def test_a_p384_issuer_signs_with_sha384(key: ec.EllipticCurvePrivateKey) -> None:
    """The hash goes with the key's size, in certificates and CRLs (RFC 5480 §4)."""
    root_key = ec.generate_private_key(ec.SECP384R1())
    issuer = Issuer(make_authority_certificate("Root", root_key), (), root_key, "https://ca.example", 1)
    leaf = issuer.sign_certificate(NUMBER, key.public_key(), make_issuance())
    crl = x509.load_der_x509_crl(issuer.sign_crl(0, 1, NOW, NOW + timedelta(hours=1), ()))
    assert leaf.signature_hash_algorithm is not None
    assert leaf.signature_hash_algorithm.name == "sha384"
    assert crl.signature_hash_algorithm is not None
    assert crl.signature_hash_algorithm.name == "sha384"
