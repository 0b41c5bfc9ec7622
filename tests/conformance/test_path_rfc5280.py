"""RFC 5280 §6: what a path to an anchor must obey. One MUST, one test; each path has just one thing wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from stir.telephone_number import NumberPrefix
from stir.tn_auth_list import OID as TN_AUTH_LIST
from tests.fakes import small_pki
from tests.fakes.small_pki import CALLER, NOW, Authority, Held, key, reissued
from trust_store import Outcome, Rule, TrustStore, Verdict

ROOT = small_pki.root()
ISSUING = ROOT.authority("Example Issuing")
HELD = ISSUING.number()
TN_AUTH_LIST_OID = x509.ObjectIdentifier(TN_AUTH_LIST)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")


def judged(*chain: x509.Certificate, anchor: Authority = ROOT) -> Verdict:
    """Judge a chain by a store that believes one anchor without limits."""
    return TrustStore([anchor.anchor()]).judge_chain(chain, NOW)


def refusal(*chain: x509.Certificate, anchor: Authority = ROOT) -> Rule:
    """Return the rule by which a chain is refused, and make sure that it is refused."""
    verdict = judged(*chain, anchor=anchor)
    assert verdict.outcome is Outcome.REFUSED, verdict
    return verdict.rule


def leaf_with(*extra: tuple[x509.ExtensionType, bool], without: tuple[type[x509.ExtensionType], ...] = ()) -> Held:
    """Return the number's certificate with other extensions, signed as it should be."""
    return HELD.with_leaf(reissued(HELD.chain[0], ISSUING.key, without=without, extra=extra))


def issuing_with(*extra: tuple[x509.ExtensionType, bool], without: tuple[type[x509.ExtensionType], ...] = ()) -> Held:
    """Return a number under an authority with other extensions, signed as it should be."""
    other = reissued(ISSUING.certificate, ROOT.key, without=without, extra=extra)
    return Held(CALLER, HELD.key, (HELD.chain[0], other, ROOT.certificate))


def key_usage(**used: bool) -> x509.KeyUsage:
    """Return a keyUsage with these bits alone."""
    bits = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{bit: used.get(bit, False) for bit in bits})


def test_a_path_with_nothing_wrong_is_verified() -> None:
    """The control of all tests below."""
    assert judged(*HELD.chain).outcome is Outcome.VERIFIED
    assert judged(*HELD.chain[:2]).outcome is Outcome.VERIFIED


# §4.1.2.5, §6.1.3 (a)(2): dates.


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize(
    ("not_before", "not_after"),
    [
        (NOW - timedelta(days=9), NOW - timedelta(seconds=1)),
        (NOW + timedelta(days=3), NOW + timedelta(days=9)),
    ],
)
def test_a_certificate_outside_its_dates_is_refused(position: int, not_before: object, not_after: object) -> None:
    """§6.1.3 (a)(2): the validity period of every certificate of the path includes the current time."""
    signer = (ISSUING, ROOT)[position].key
    chain = list(HELD.chain)
    chain[position] = reissued(chain[position], signer, not_before=not_before, not_after=not_after)  # type: ignore[arg-type]
    assert refusal(*chain) is Rule.VALIDITY


def test_an_anchor_outside_its_dates_is_refused() -> None:
    """RFC 5937 §3.2 leaves it to the relying party; here an anchor's dates count."""
    past = reissued(ROOT.certificate, ROOT.key, not_after=NOW - timedelta(days=1))
    assert refusal(*HELD.chain[:2], anchor=ROOT.with_certificate(past)) is Rule.VALIDITY


# §6.1.3 (a)(1): signatures.


@pytest.mark.parametrize("position", [0, 1])
def test_a_certificate_that_its_issuer_did_not_sign_is_refused(position: int) -> None:
    """§6.1.3 (a)(1): the signature is verified with the issuer's key."""
    chain = list(HELD.chain)
    chain[position] = reissued(chain[position], key(90))
    assert refusal(*chain) is Rule.CHAIN


def test_a_signature_by_an_algorithm_outside_the_profile_is_refused() -> None:
    """The profile knows ECDSA with SHA-256 and SHA-384."""
    signer = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateBuilder().subject_name(ROOT.certificate.subject).issuer_name(ROOT.certificate.subject)
    builder = builder.public_key(signer.public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=1))
    assert refusal(*HELD.chain[:2], builder.sign(signer, None)) is Rule.CHAIN


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()])
def test_a_number_has_a_key_on_p256(curve: ec.EllipticCurve) -> None:
    """RFC 8226 §4, RFC 8225 §4.2: ES256 is the one algorithm of a PASSporT."""
    other = ec.generate_private_key(curve).public_key()
    assert refusal(reissued(HELD.chain[0], ISSUING.key, public_key=other), *HELD.chain[1:]) is Rule.CHAIN


def test_an_issuing_authority_may_have_a_key_on_p384() -> None:
    """The profile allows it, with SHA-384."""
    strong = ec.derive_private_key(0xCAFE, ec.SECP384R1())
    middle = Authority(
        reissued(
            ISSUING.certificate,
            ROOT.key,
            public_key=strong.public_key(),
            without=(x509.SubjectKeyIdentifier,),
            extra=[(x509.SubjectKeyIdentifier.from_public_key(strong.public_key()), False)],
        ),
        strong,
        ROOT.chain,
    )
    leaf = middle.number().chain[0]
    assert isinstance(leaf.signature_hash_algorithm, hashes.SHA384)
    assert judged(leaf, *middle.chain).outcome is Outcome.VERIFIED


# §6.1.3 (a)(4): names.


def test_a_certificate_in_another_issuers_name_is_refused() -> None:
    """§6.1.3 (a)(4): the issuer's name is the subject of the certificate above."""
    stranger = small_pki.root("Stranger", key_number=91)
    assert refusal(reissued(HELD.chain[0], ISSUING.key, issuer=stranger.certificate), *HELD.chain[1:]) is Rule.CHAIN


def test_a_chain_without_its_middle_leads_nowhere() -> None:
    """§6.1: a path is unbroken."""
    assert refusal(HELD.chain[0], ROOT.certificate) is Rule.CHAIN
    assert judged(HELD.chain[0]).outcome is Outcome.UNVERIFIED


# §4.2.1.9: basicConstraints.


@pytest.mark.parametrize(
    "extra",
    [(), ((x509.BasicConstraints(ca=False, path_length=None), True),), ((x509.BasicConstraints(True, 0), False),)],
)
def test_an_issuer_that_is_no_authority_is_refused(extra: tuple[tuple[x509.ExtensionType, bool], ...]) -> None:
    """§4.2.1.9, §6.1.4 (k): basicConstraints is present, critical, and says CA."""
    held = issuing_with(*extra, without=(x509.BasicConstraints,))
    assert refusal(*held.chain) is Rule.CHAIN


def test_a_number_cannot_issue() -> None:
    """§6.1.4 (k): the holder of a number's certificate certifies nobody."""
    below = Held(CALLER, key(93), ())
    forged = reissued(HELD.chain[0], HELD.key, public_key=below.key.public_key())
    assert refusal(forged, *HELD.chain) is Rule.CHAIN


def test_a_numbers_certificate_that_says_it_is_an_authoritys_is_refused() -> None:
    """§4.2.1.9: the profile's basicConstraints say CA false."""
    held = leaf_with((x509.BasicConstraints(ca=True, path_length=0), True), without=(x509.BasicConstraints,))
    assert refusal(*held.chain) is Rule.CHAIN


@pytest.mark.parametrize(("root_length", "verified"), [(None, True), (1, True), (0, False)])
def test_a_path_is_no_longer_than_its_authorities_allow(root_length: int | None, verified: bool) -> None:
    """§6.1.4 (l), (m): pathLenConstraint counts the authorities that follow."""
    limited = reissued(
        ROOT.certificate,
        ROOT.key,
        without=(x509.BasicConstraints,),
        extra=[(x509.BasicConstraints(ca=True, path_length=root_length), True)],
    )
    verdict = judged(*HELD.chain[:2], anchor=ROOT.with_certificate(limited))
    assert (verdict.outcome is Outcome.VERIFIED) == verified
    assert verified or (verdict.rule is Rule.PATH and "authorities follow" in verdict.reason)


def test_an_authority_of_path_length_0_has_none_below_it() -> None:
    """§4.2.1.9: zero means that only numbers follow."""
    hidden = ISSUING.with_certificate(
        reissued(
            ISSUING.certificate,
            ROOT.key,
            without=(x509.BasicConstraints,),
            extra=[(x509.BasicConstraints(ca=True, path_length=None), True)],
        )
    ).authority("Hidden", key_number=94)
    chain = (*hidden.number().chain[:2], ISSUING.certificate, ROOT.certificate)
    assert refusal(*chain) is Rule.PATH


# §4.2.1.3: keyUsage.


@pytest.mark.parametrize(
    "usage",
    [
        key_usage(digital_signature=True),
        key_usage(crl_sign=True),
        key_usage(key_cert_sign=True, crl_sign=True, digital_signature=True),
    ],
)
def test_an_authority_has_the_key_usage_of_an_authority(usage: x509.KeyUsage) -> None:
    """§6.1.4 (n): keyCertSign is set; the profile wants cRLSign beside it, and nothing else."""
    assert refusal(*issuing_with((usage, True), without=(x509.KeyUsage,)).chain) is Rule.CHAIN


def test_an_authority_says_what_its_key_is_for() -> None:
    """§4.2.1.3: a conforming authority includes keyUsage."""
    assert refusal(*issuing_with(without=(x509.KeyUsage,)).chain) is Rule.CHAIN


@pytest.mark.parametrize(
    "usage", [key_usage(key_agreement=True), key_usage(digital_signature=True, key_cert_sign=True)]
)
def test_a_number_has_the_key_usage_of_a_number(usage: x509.KeyUsage) -> None:
    """§4.2.1.3: digitalSignature alone."""
    assert refusal(*leaf_with((usage, True), without=(x509.KeyUsage,)).chain) is Rule.CHAIN


# §4.2.1.12: extKeyUsage.


@pytest.mark.parametrize(
    "purposes",
    [
        None,
        [ExtendedKeyUsageOID.SERVER_AUTH],
        [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.CODE_SIGNING],
        [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE],
    ],
)
def test_a_number_has_the_extended_key_usage_of_a_number(purposes: list[x509.ObjectIdentifier] | None) -> None:
    """§4.2.1.12: a certificate is used for the purposes that it names; the profile's is clientAuth alone."""
    extra = () if purposes is None else ((x509.ExtendedKeyUsage(purposes), False),)
    assert refusal(*leaf_with(*extra, without=(x509.ExtendedKeyUsage,)).chain) is Rule.CHAIN


def test_an_authority_for_another_purpose_is_refused() -> None:
    """§4.2.1.12: an authority that is for servers alone issues no certificate of a number."""
    held = issuing_with((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False))
    assert refusal(*held.chain) is Rule.PATH


# §4.2: critical extensions.


@pytest.mark.parametrize("make", [leaf_with, issuing_with])
def test_a_critical_extension_that_is_not_understood_is_refused(make: object) -> None:
    """§4.2, §6.1.4 (o), §6.1.5 (f): a certificate with an unrecognized critical extension is rejected."""
    assert refusal(*make((UNKNOWN, True)).chain) is Rule.CHAIN  # type: ignore[operator]


@pytest.mark.parametrize("make", [leaf_with, issuing_with])
def test_another_extension_that_is_not_understood_is_passed_over(make: object) -> None:
    """§4.2: a non-critical one may be ignored."""
    assert judged(*make((UNKNOWN, False)).chain).outcome is Outcome.VERIFIED  # type: ignore[operator]


def test_an_anchor_with_a_critical_extension_that_is_not_understood_is_no_anchor() -> None:
    """§4.2: what limits the anchor and cannot be read must not be skipped."""
    from trust_store.errors import AnchorError  # noqa: PLC0415  # used once

    odd = ROOT.with_certificate(reissued(ROOT.certificate, ROOT.key, extra=[(UNKNOWN, True)]))
    with pytest.raises(AnchorError, match="critical extension"):
        odd.anchor()


# §4.2.1.6: names of the number.


@pytest.mark.parametrize(
    "names",
    [
        [x509.UniformResourceIdentifier(CALLER.tel_uri)],
        [x509.DNSName(CALLER.enum_domain)],
        [x509.UniformResourceIdentifier(CALLER.tel_uri), x509.DNSName(small_pki.STRANGER.enum_domain)],
        [
            x509.UniformResourceIdentifier(CALLER.tel_uri),
            x509.DNSName(CALLER.enum_domain),
            x509.DNSName(small_pki.STRANGER.enum_domain),
        ],
    ],
)
def test_a_number_is_named_by_its_uri_and_its_enum_name_and_by_nothing_else(names: list[x509.GeneralName]) -> None:
    """Without the ENUM name, nameConstraints would not hold an authority to its numbers."""
    held = leaf_with((x509.SubjectAlternativeName(names), True), without=(x509.SubjectAlternativeName,))
    assert refusal(*held.chain) is Rule.CHAIN


# §4.2.1.10: nameConstraints.


def name_constraints(*, permitted: tuple[str, ...] = (), excluded: tuple[str, ...] = ()) -> x509.NameConstraints:
    """Return constraints to the ENUM names below prefixes."""

    def subtrees(prefixes: tuple[str, ...]) -> list[x509.GeneralName] | None:
        return [x509.DNSName(NumberPrefix.parse(prefix).enum_domain) for prefix in prefixes] or None

    return x509.NameConstraints(subtrees(permitted), subtrees(excluded))


CONSTRAINTS = [
    (name_constraints(permitted=("+1202",)), True),
    (name_constraints(permitted=("+1303", "+1202")), True),
    (name_constraints(permitted=("+12025550123",)), True),
    (name_constraints(excluded=("+1303",)), True),
    (name_constraints(permitted=("+1303",)), False),
    (name_constraints(permitted=("+12025550124",)), False),
    (name_constraints(excluded=("+1202",)), False),
    (name_constraints(permitted=("+1",), excluded=("+1202",)), False),
]


@pytest.mark.parametrize(("constraints", "verified"), CONSTRAINTS)
def test_an_authority_is_held_to_its_name_constraints(constraints: x509.NameConstraints, verified: bool) -> None:
    """§6.1.3 (b), (c): names are within the permitted subtrees and outside the excluded ones; no TNAuthList helps."""
    verdict = judged(*issuing_with((constraints, True)).chain)
    assert (verdict.outcome is Outcome.VERIFIED) == verified
    assert verified or (verdict.rule is Rule.PATH and "nameConstraints" in verdict.reason)


@pytest.mark.parametrize(("constraints", "verified"), CONSTRAINTS)
def test_an_anchor_is_held_to_its_name_constraints(constraints: x509.NameConstraints, verified: bool) -> None:
    """RFC 5937 §3.2: constraints in an anchor's own certificate count."""
    limited = reissued(ROOT.certificate, ROOT.key, extra=[(constraints, True)])
    verdict = judged(*HELD.chain[:2], anchor=ROOT.with_certificate(limited))
    assert (verdict.outcome is Outcome.VERIFIED) == verified


def test_name_constraints_add_up_along_a_path() -> None:
    """§6.1.4 (g): an authority cannot permit what the one above it did not."""
    limited = reissued(ROOT.certificate, ROOT.key, extra=[(name_constraints(permitted=("+1303",)), True)])
    held = issuing_with((name_constraints(permitted=("+1202",)), True))
    assert refusal(*held.chain[:2], anchor=ROOT.with_certificate(limited)) is Rule.PATH


def test_name_constraints_of_a_kind_that_cannot_be_checked_refuse_everything() -> None:
    """§4.2.1.10: a constraint on a name form that is present and not processed makes the certificate unacceptable."""
    odd = x509.NameConstraints([x509.UniformResourceIdentifier("example.com")], None)
    verdict = judged(*issuing_with((odd, True)).chain)
    assert (verdict.outcome, verdict.rule) == (Outcome.REFUSED, Rule.PATH)
    assert "cannot be checked" in verdict.reason


def test_name_constraints_are_critical() -> None:
    """§4.2.1.10: conforming authorities mark them so; one that does not may have been meant otherwise."""
    assert refusal(*issuing_with((name_constraints(permitted=("+1202",)), False)).chain) is Rule.CHAIN


# §4.2.1.1, §4.2.1.2: key identifiers.


@pytest.mark.parametrize("identifier", [b"\x07" * 20, None])
@pytest.mark.parametrize("position", [0, 1])
def test_a_certificate_names_the_key_that_signed_it(position: int, identifier: bytes | None) -> None:
    """§4.2.1.2: authorityKeyIdentifier is the subjectKeyIdentifier of the issuer."""
    names = None if identifier else [x509.DirectoryName(ROOT.certificate.subject)]
    other = x509.AuthorityKeyIdentifier(identifier, names, None if identifier else 1)
    signer = (ISSUING, ROOT)[position].key
    chain = list(HELD.chain)
    chain[position] = reissued(chain[position], signer, without=[x509.AuthorityKeyIdentifier], extra=[(other, False)])
    assert refusal(*chain) is Rule.CHAIN
    alone = judged(*chain[: position + 1])
    assert alone.outcome is not Outcome.VERIFIED


# §6.1: paths that are not straight.


def test_a_cross_sign_leads_to_another_root() -> None:
    """§3.2: an authority may be certified by several; the chain that comes says which way is meant."""
    other = small_pki.root("Other Root", key_number=41)
    crossed = reissued(ISSUING.certificate, other.key, issuer=other.certificate)
    assert judged(HELD.chain[0], crossed, anchor=other).outcome is Outcome.VERIFIED
    assert judged(HELD.chain[0], crossed).outcome is Outcome.UNVERIFIED
    assert judged(HELD.chain[0], ISSUING.certificate, anchor=other).outcome is Outcome.UNVERIFIED


@pytest.mark.parametrize("turns", [1, 2, 4])
def test_authorities_that_certify_each_other_lead_nowhere(turns: int) -> None:
    """§6.1: a path is a sequence of distinct certificates."""
    one, other = small_pki.root("One", key_number=21), small_pki.root("Two", key_number=22)
    by_other = reissued(one.certificate, other.key, issuer=other.certificate)
    by_one = reissued(other.certificate, one.key, issuer=one.certificate)
    leaf = one.number().chain[0]
    assert judged(leaf, by_other, by_one).outcome is Outcome.UNVERIFIED
    assert judged(leaf, by_other, by_one, anchor=other).outcome is Outcome.VERIFIED
    assert refusal(leaf, *[by_other, by_one] * turns, by_other) is Rule.CHAIN


def test_fifty_authorities_are_more_than_anybody_needs() -> None:
    """A path of the profile has at most ten certificates."""
    above = ROOT
    for number in range(50):
        above = above.authority(f"Authority {number}", path_length=None, key_number=300 + number)
    chain = above.number().chain
    assert refusal(*chain) is Rule.CHAIN
    assert judged(*chain[:9], anchor=Authority(chain[9], key(0))).outcome is Outcome.VERIFIED


@pytest.mark.parametrize("name", ["Example Root", "Root {}"])
def test_one_anchor_among_two_hundred_is_found(name: str) -> None:
    """§6.1.1 (d): whether the others are its namesakes or not."""
    others = [small_pki.root(name.format(number), key_number=500 + number) for number in range(199)]
    anchors = [one.anchor(f"a{number}") for number, one in enumerate((*others, ROOT))]
    found = TrustStore(anchors).judge_chain(HELD.chain, NOW)
    assert (found.outcome, found.anchor) == (Outcome.VERIFIED, "a199")
    assert TrustStore(anchors[:-1]).judge_chain(HELD.chain, NOW).outcome is Outcome.UNVERIFIED
