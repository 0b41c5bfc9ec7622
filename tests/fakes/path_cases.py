"""Paths that differ from a good one in just one thing, for several validators to judge: ours and those of others.

Everything is valid from 2020 to 2120, as GnuTLS can be told no other time than now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stir.certificate_building import (
    AuthorityFields,
    NumberCertificateFields,
    authority_certificate,
    number_certificate,
    signature_hash,
)
from stir.telephone_number import NumberPrefix
from stir.tn_auth_list import OID as TN_AUTH_LIST
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod
from tests.fakes.small_pki import CALLER, STRANGER, Authority, key, reissued

BEGIN, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)
PAST, FUTURE = datetime(2021, 1, 1, tzinfo=UTC), datetime(2119, 1, 1, tzinfo=UTC)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH

Extensions = tuple[tuple[x509.ExtensionType, bool], ...]
Dropped = tuple[type[x509.ExtensionType], ...]


@dataclass(frozen=True)
class Case:
    """A chain, the number's certificate first and without the anchor, with the anchors that are believed."""

    name: str
    chain: tuple[x509.Certificate, ...]
    anchors: tuple[x509.Certificate, ...]


Chain = tuple[x509.Certificate, ...]
Maker = Callable[[], tuple[Chain, Chain]]
_MAKERS: list[tuple[str, Maker]] = []


def case(name: str) -> Callable[[Maker], None]:
    """Register a case under a name that says what is special about it."""

    def register(make: Maker) -> None:
        _MAKERS.append((name, make))

    return register


@cache
def cases() -> tuple[Case, ...]:
    """Return all cases, made once."""
    return tuple(Case(name, *make()) for name, make in _MAKERS)


def authority(name: str, number: int, issuer: Authority | None = None, path_length: int | None = None) -> Authority:
    """Return an authority that lives for a century."""
    own = key(number)
    fields = AuthorityFields(
        common_name=name,
        organization="Example",
        public_key=own.public_key(),
        serial=900 + number,
        not_before=BEGIN,
        not_after=END,
        path_length=path_length,
    )
    signer = own if issuer is None else issuer.key
    builder = authority_certificate(fields, None if issuer is None else issuer.certificate)
    made = builder.sign(signer, signature_hash(signer), ecdsa_deterministic=True)
    return Authority(made, own, () if issuer is None else issuer.chain)


def number(issuer: Authority, key_number: int = 3) -> x509.Certificate:
    """Return a number's certificate that lives for a century."""
    fields = NumberCertificateFields(
        number=CALLER,
        public_key=key(key_number).public_key(),
        serial=1001,
        not_before=BEGIN,
        not_after=END,
        validation=ValidationMethod.SMS_CODE,
        ca_issuers_url="https://ca.example/issuer/1.der",
        crl_url="https://ca.example/crl/1/0.crl",
    )
    builder = number_certificate(fields, issuer.certificate)
    return builder.sign(issuer.key, signature_hash(issuer.key), ecdsa_deterministic=True)


ROOT = authority("Root", 1)
ISSUING = authority("Issuing", 2, ROOT, 0)
LEAF = number(ISSUING)
ANCHOR = (ROOT.certificate,)


def leaf_with(*extra: tuple[x509.ExtensionType, bool], without: Dropped = (), **parts: object) -> x509.Certificate:
    """Return the number's certificate with something else in it, signed as it should be."""
    return reissued(LEAF, ISSUING.key, without=without, extra=extra, **parts)  # type: ignore[arg-type]


def issuing_with(*extra: tuple[x509.ExtensionType, bool], without: Dropped = (), **parts: object) -> x509.Certificate:
    """Return the issuing authority's certificate with something else in it, signed as it should be."""
    return reissued(ISSUING.certificate, ROOT.key, without=without, extra=extra, **parts)  # type: ignore[arg-type]


def root_with(*extra: tuple[x509.ExtensionType, bool], without: Dropped = (), **parts: object) -> x509.Certificate:
    """Return the root with something else in it, signed by itself."""
    return reissued(ROOT.certificate, ROOT.key, without=without, extra=extra, **parts)  # type: ignore[arg-type]


def key_usage(*used: str) -> x509.KeyUsage:
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
    return x509.KeyUsage(**{bit: bit in used for bit in bits})


def names(*prefixes: str) -> list[x509.GeneralName]:
    """Return the ENUM domains of prefixes."""
    return [x509.DNSName(NumberPrefix.parse(prefix).enum_domain) for prefix in prefixes]


def simple(name: str, chain: Callable[[], Chain], anchors: Chain) -> None:
    """Register a case of a chain below some anchors."""
    _MAKERS.append((name, lambda: (chain(), anchors)))


def below_root(name: str, leaf: Callable[[], x509.Certificate]) -> None:
    """Register a case of another number's certificate."""
    simple(name, lambda: (leaf(), ISSUING.certificate), ANCHOR)


def through(name: str, issuing: Callable[[], x509.Certificate]) -> None:
    """Register a case of another issuing certificate for the same key."""
    simple(name, lambda: (LEAF, issuing()), ANCHOR)


def under(name: str, root: Callable[[], x509.Certificate]) -> None:
    """Register a case of another root for the same key."""
    _MAKERS.append((name, lambda: ((LEAF, ISSUING.certificate), (root(),))))


simple("a path with nothing wrong", lambda: (LEAF, ISSUING.certificate), ANCHOR)
below_root("the number's certificate has expired", lambda: leaf_with(not_after=PAST))
below_root("the number's certificate has not begun", lambda: leaf_with(not_before=FUTURE))
through("the issuing certificate has expired", lambda: issuing_with(not_after=PAST))
through("the issuing certificate has not begun", lambda: issuing_with(not_before=FUTURE))
under("the root has expired", lambda: root_with(not_after=PAST))
below_root("the number's certificate is signed by another key", lambda: reissued(LEAF, key(90)))
through("the issuing certificate is signed by another key", lambda: reissued(ISSUING.certificate, key(90)))
under("the root has the right name and another key", lambda: authority("Root", 91).certificate)


@case("the number's certificate names another issuer, and the issuer's key signed it")
def _another_issuer() -> tuple[Chain, Chain]:
    stranger = authority("Stranger", 92)
    renamed = reissued(LEAF, ISSUING.key, issuer=stranger.certificate)
    return (renamed, ISSUING.certificate), ANCHOR


simple("the issuing certificate is missing", lambda: (LEAF,), ANCHOR)
simple("the certificates come in the wrong order", lambda: (LEAF, ROOT.certificate, ISSUING.certificate), ANCHOR)
simple(
    "a certificate comes along that has nothing to do with it",
    lambda: (LEAF, ISSUING.certificate, authority("Stranger", 92).certificate),
    ANCHOR,
)
simple(
    "no anchor is believed that leads to it", lambda: (LEAF, ISSUING.certificate), (authority("Other", 93).certificate,)
)

# §4.2.1.9

through("the issuing certificate has no basicConstraints", lambda: issuing_with(without=(x509.BasicConstraints,)))
through(
    "the issuing certificate says that it is no authority's",
    lambda: issuing_with((x509.BasicConstraints(False, None), True), without=(x509.BasicConstraints,)),
)
through(
    "the issuing certificate's basicConstraints are not critical",
    lambda: issuing_with((x509.BasicConstraints(True, 0), False), without=(x509.BasicConstraints,)),
)
under(
    "the root allows no authority below it, and there is one",
    lambda: root_with((x509.BasicConstraints(True, 0), True), without=(x509.BasicConstraints,)),
)
under(
    "the root allows one authority below it, and there is one",
    lambda: root_with((x509.BasicConstraints(True, 1), True), without=(x509.BasicConstraints,)),
)


@case("an authority of path length 0 certified another authority")
def _hidden() -> tuple[Chain, Chain]:
    unlimited = issuing_with((x509.BasicConstraints(True, None), True), without=(x509.BasicConstraints,))
    hidden = authority("Hidden", 94, ISSUING.with_certificate(unlimited))
    return (number(hidden), hidden.certificate, ISSUING.certificate), ANCHOR


@case("a number certified a number")
def _number_issues() -> tuple[Chain, Chain]:
    forged = reissued(LEAF, key(3), public_key=key(95).public_key())
    return (forged, LEAF, ISSUING.certificate), ANCHOR


below_root(
    "the number's certificate says that it is an authority's",
    lambda: leaf_with((x509.BasicConstraints(True, 0), True), without=(x509.BasicConstraints,)),
)
below_root("the number's certificate has no basicConstraints", lambda: leaf_with(without=(x509.BasicConstraints,)))

# §4.2.1.3, §4.2.1.12

through(
    "the issuing certificate's keyUsage lacks keyCertSign",
    lambda: issuing_with((key_usage("crl_sign"), True), without=(x509.KeyUsage,)),
)
through("the issuing certificate has no keyUsage", lambda: issuing_with(without=(x509.KeyUsage,)))
through(
    "the issuing certificate may sign anything",
    lambda: issuing_with((key_usage("key_cert_sign", "crl_sign", "digital_signature"), True), without=(x509.KeyUsage,)),
)
below_root(
    "the number's keyUsage is keyAgreement alone",
    lambda: leaf_with((key_usage("key_agreement"), True), without=(x509.KeyUsage,)),
)
below_root(
    "the number's keyUsage has keyCertSign",
    lambda: leaf_with((key_usage("digital_signature", "key_cert_sign"), True), without=(x509.KeyUsage,)),
)
below_root("the number's certificate has no keyUsage", lambda: leaf_with(without=(x509.KeyUsage,)))
below_root(
    "the number's extKeyUsage is serverAuth alone",
    lambda: leaf_with((x509.ExtendedKeyUsage([SERVER]), False), without=(x509.ExtendedKeyUsage,)),
)
below_root(
    "the number's extKeyUsage is any",
    lambda: leaf_with(
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False), without=(x509.ExtendedKeyUsage,)
    ),
)
below_root("the number's certificate has no extKeyUsage", lambda: leaf_with(without=(x509.ExtendedKeyUsage,)))
through(
    "the issuing certificate's extKeyUsage is serverAuth alone",
    lambda: issuing_with((x509.ExtendedKeyUsage([SERVER]), False)),
)
through(
    "the issuing certificate's extKeyUsage is clientAuth",
    lambda: issuing_with((x509.ExtendedKeyUsage([CLIENT]), False)),
)

# §4.2

below_root("the number's certificate has an unknown critical extension", lambda: leaf_with((UNKNOWN, True)))
below_root("the number's certificate has an unknown extension", lambda: leaf_with((UNKNOWN, False)))
through("the issuing certificate has an unknown critical extension", lambda: issuing_with((UNKNOWN, True)))
through("the issuing certificate has an unknown extension", lambda: issuing_with((UNKNOWN, False)))
under("the root has an unknown critical extension", lambda: root_with((UNKNOWN, True)))
through(
    "the issuing certificate asks for an explicit policy, and there is one",
    lambda: issuing_with((x509.PolicyConstraints(0, None), True)),
)
through(
    "the issuing certificate asks for an explicit policy, and lets none stand",
    lambda: issuing_with((x509.PolicyConstraints(0, None), True), without=(x509.CertificatePolicies,)),
)
through("the issuing certificate inhibits anyPolicy", lambda: issuing_with((x509.InhibitAnyPolicy(0), True)))

# §4.2.1.10


def constrained(permitted: list[x509.GeneralName] | None, excluded: list[x509.GeneralName] | None = None) -> Extensions:
    """Return critical nameConstraints."""
    return ((x509.NameConstraints(permitted, excluded), True),)


through(
    "nameConstraints of the issuing certificate permit the number", lambda: issuing_with(*constrained(names("+1202")))
)
through(
    "nameConstraints of the issuing certificate permit another prefix",
    lambda: issuing_with(*constrained(names("+1303"))),
)
through(
    "nameConstraints of the issuing certificate exclude the number",
    lambda: issuing_with(*constrained(None, names("+1202"))),
)
through(
    "nameConstraints of the issuing certificate exclude another prefix",
    lambda: issuing_with(*constrained(None, names("+1303"))),
)
through(
    "nameConstraints permit a prefix and exclude the number within",
    lambda: issuing_with(*constrained(names("+1"), names("+12025550123"))),
)
under("nameConstraints of the root permit another prefix", lambda: root_with(*constrained(names("+1303"))))
through(
    "nameConstraints permit another prefix, and are not critical",
    lambda: issuing_with((x509.NameConstraints(names("+1303"), None), False)),
)
through(
    "nameConstraints permit the number, and are not critical",
    lambda: issuing_with((x509.NameConstraints(names("+1202"), None), False)),
)
through(
    "nameConstraints permit URIs of one host",
    lambda: issuing_with(*constrained([x509.UniformResourceIdentifier("example.com")])),
)
through(
    "nameConstraints permit addresses of one network",
    lambda: issuing_with(*constrained([x509.RFC822Name("example.com")])),
)


@case("nameConstraints add up along a path to nothing")
def _adding_up() -> tuple[Chain, Chain]:
    return (LEAF, issuing_with(*constrained(names("+1202")))), (root_with(*constrained(names("+1303"))),)


# RFC 8226, RFC 9060: what only a validator of telephone numbers knows


def numbers(*prefixes: str) -> Extensions:
    """Return a TNAuthList of prefixes."""
    listed = TnAuthList.for_prefixes(NumberPrefix.parse(prefix) for prefix in prefixes)
    return ((x509.UnrecognizedExtension(x509.ObjectIdentifier(TN_AUTH_LIST), listed.to_der()), False),)


through("the issuing certificate's TNAuthList has the number", lambda: issuing_with(*numbers("+1202")))
through("the issuing certificate's TNAuthList lacks the number", lambda: issuing_with(*numbers("+1303")))
under("the root's TNAuthList lacks the number", lambda: root_with(*numbers("+44")))
below_root(
    "the number's TNAuthList is of another number",
    lambda: reissued(
        LEAF,
        ISSUING.key,
        without=(x509.ObjectIdentifier(TN_AUTH_LIST),),
        extra=(
            (
                x509.UnrecognizedExtension(
                    x509.ObjectIdentifier(TN_AUTH_LIST), TnAuthList.for_number(STRANGER).to_der()
                ),
                False,
            ),
        ),
    ),
)
below_root(
    "the number's TNAuthList is critical",
    lambda: reissued(
        LEAF,
        ISSUING.key,
        without=(x509.ObjectIdentifier(TN_AUTH_LIST),),
        extra=(
            (
                x509.UnrecognizedExtension(x509.ObjectIdentifier(TN_AUTH_LIST), TnAuthList.for_number(CALLER).to_der()),
                True,
            ),
        ),
    ),
)

# §4.2.1.6, §4.1.2.4, §7.1: names

URI, DNS = x509.UniformResourceIdentifier, x509.DNSName


def named(*found: x509.GeneralName, critical: bool = True) -> Callable[[], x509.Certificate]:
    """Return how to make a number's certificate with other names."""
    return lambda: leaf_with((x509.SubjectAlternativeName(found), critical), without=(x509.SubjectAlternativeName,))


below_root("the number is named by its tel URI alone", named(URI(CALLER.tel_uri)))
below_root(
    "the certificate names two numbers",
    named(URI(CALLER.tel_uri), DNS(CALLER.enum_domain), DNS(STRANGER.enum_domain)),
)
below_root(
    "the subject is empty and subjectAltName is not critical",
    named(URI(CALLER.tel_uri), DNS(CALLER.enum_domain), critical=False),
)
below_root("the number's certificate has no name at all", lambda: leaf_with(without=(x509.SubjectAlternativeName,)))
below_root(
    "the number's certificate has a subject beside its names",
    lambda: leaf_with(subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example")])),
)


@case("the issuer's name is the same text in another encoding")
def _other_encoding() -> tuple[Chain, Chain]:
    printable = x509.Name(
        x509.NameAttribute(attribute.oid, attribute.value, _ASN1Type.PrintableString)
        for attribute in ISSUING.certificate.subject
    )
    return (LEAF, issuing_with(subject=printable)), ANCHOR


# Keys and signatures


def over(public: ec.EllipticCurvePublicKey) -> Callable[[], x509.Certificate]:
    """Return how to make a number's certificate for another key."""
    return lambda: leaf_with(
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        without=(x509.SubjectKeyIdentifier,),
        public_key=public,
    )


below_root("the number's key is on P-384", over(ec.derive_private_key(0xBEEF, ec.SECP384R1()).public_key()))
below_root("the number's key is on P-521", over(ec.derive_private_key(0xBEEF, ec.SECP521R1()).public_key()))


def _signed_by(strong: ec.EllipticCurvePrivateKey, hash_: hashes.HashAlgorithm) -> tuple[x509.Certificate, ...]:
    public = strong.public_key()
    issuing = issuing_with(
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        without=(x509.SubjectKeyIdentifier,),
        public_key=public,
    )
    leaf = LEAF
    builder = x509.CertificateBuilder().serial_number(leaf.serial_number).issuer_name(leaf.issuer)
    builder = builder.subject_name(leaf.subject).public_key(key(3).public_key())
    builder = builder.not_valid_before(BEGIN).not_valid_after(END)
    for extension in leaf.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    made = builder.add_extension(identifier, critical=False).sign(strong, hash_)
    return made, issuing


_MAKERS.append(
    (
        "the issuing authority's key is on P-384",
        lambda: (_signed_by(ec.derive_private_key(0xCAFE, ec.SECP384R1()), hashes.SHA384()), ANCHOR),
    )
)
_MAKERS.append(
    (
        "the issuing authority's key is on P-521",
        lambda: (_signed_by(ec.derive_private_key(0xCAFE, ec.SECP521R1()), hashes.SHA512()), ANCHOR),
    )
)
_MAKERS.append(
    ("the number's certificate is signed with SHA-512", lambda: (_signed_by(key(2), hashes.SHA512()), ANCHOR))
)


@case("the root's key is Ed25519")
def _ed25519() -> tuple[Chain, Chain]:
    signer = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
    identifier = x509.SubjectKeyIdentifier.from_public_key(signer.public_key())
    below = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)

    def made(source: x509.Certificate, *extra: x509.ExtensionType) -> x509.Certificate:
        public = signer.public_key() if source is ROOT.certificate else source.public_key()
        builder = x509.CertificateBuilder().serial_number(source.serial_number).issuer_name(ROOT.certificate.subject)
        builder = builder.subject_name(source.subject).public_key(public)
        builder = builder.not_valid_before(BEGIN).not_valid_after(END)
        for one in source.extensions:
            if not isinstance(one.value, x509.AuthorityKeyIdentifier | x509.SubjectKeyIdentifier):
                builder = builder.add_extension(one.value, one.critical)
        for value in extra:
            builder = builder.add_extension(value, critical=False)
        return builder.sign(signer, None)

    own = x509.SubjectKeyIdentifier.from_public_key(key(2).public_key())
    return (LEAF, made(ISSUING.certificate, below, own)), (made(ROOT.certificate, identifier),)


# §4.2.1.1, §4.2.1.2

below_root(
    "the number's certificate has no authorityKeyIdentifier", lambda: leaf_with(without=(x509.AuthorityKeyIdentifier,))
)
below_root(
    "the number's authorityKeyIdentifier is another key's",
    lambda: leaf_with(
        (x509.AuthorityKeyIdentifier(b"\x07" * 20, None, None), False), without=(x509.AuthorityKeyIdentifier,)
    ),
)
below_root(
    "the number's certificate has no subjectKeyIdentifier", lambda: leaf_with(without=(x509.SubjectKeyIdentifier,))
)
through(
    "the issuing certificate has no subjectKeyIdentifier", lambda: issuing_with(without=(x509.SubjectKeyIdentifier,))
)

# Revocation: where the list is

below_root(
    "the number's certificate names no revocation list", lambda: leaf_with(without=(x509.CRLDistributionPoints,))
)

# Cross-signs, loops, lengths


@case("a cross-sign leads from the issuing authority to another root")
def _crossed() -> tuple[Chain, Chain]:
    other = authority("Other", 93)
    crossed = reissued(ISSUING.certificate, other.key, issuer=other.certificate)
    return (LEAF, crossed), (other.certificate,)


@case("two cross-signs come along, and only the second leads to the anchor")
def _both_crossed() -> tuple[Chain, Chain]:
    other = authority("Other", 93)
    crossed = reissued(ISSUING.certificate, other.key, issuer=other.certificate)
    return (LEAF, ISSUING.certificate, crossed), (other.certificate,)


@case("two authorities certify each other, and no anchor leads to them")
def _loop() -> tuple[Chain, Chain]:
    one, other = authority("One", 21), authority("Two", 22)
    by_other = reissued(one.certificate, other.key, issuer=other.certificate)
    by_one = reissued(other.certificate, one.key, issuer=one.certificate)
    return (number(one), by_other, by_one), ANCHOR


@case("two authorities certify each other, and an anchor leads to one")
def _loop_below() -> tuple[Chain, Chain]:
    one, other = authority("One", 21), authority("Two", 22)
    by_other = reissued(one.certificate, other.key, issuer=other.certificate)
    by_one = reissued(other.certificate, one.key, issuer=one.certificate)
    return (number(one), by_other, by_one), (other.certificate,)


@case("an authority certified its own new key, and an anchor leads to the old one")
def _self_issued() -> tuple[Chain, Chain]:
    old = authority("Issuing", 2, ROOT)
    new = reissued(authority("Issuing", 96, ROOT).certificate, old.key, issuer=old.certificate)
    return (number(Authority(new, key(96))), new, old.certificate), ANCHOR


def chained(count: int) -> Authority:
    """Return the last of some authorities, each certified by the one before."""
    above = ROOT
    for place in range(count):
        above = authority(f"Authority {place}", 300 + place, above)
    return above


@case("8 authorities follow one another below the root")
def _eight() -> tuple[Chain, Chain]:
    last = chained(8)
    return (number(last), *last.chain[:-1]), ANCHOR


@case("50 authorities follow one another below the root")
def _fifty() -> tuple[Chain, Chain]:
    last = chained(50)
    return (number(last), *last.chain[:-1]), ANCHOR


@case("200 anchors are believed, and the last one leads to it")
def _many_anchors() -> tuple[Chain, Chain]:
    return (LEAF, ISSUING.certificate), (*_strangers(199), ROOT.certificate)


@case("200 anchors of one name are believed, and the last one leads to it")
def _namesakes() -> tuple[Chain, Chain]:
    namesakes = tuple(authority("Root", 1000 + place).certificate for place in range(199))
    return (LEAF, ISSUING.certificate), (*namesakes, ROOT.certificate)


@cache
def _strangers(count: int) -> tuple[x509.Certificate, ...]:
    return tuple(_stranger(place) for place in range(count))


def _stranger(place: int) -> x509.Certificate:
    return authority(f"Stranger {place}", 500 + place).certificate
