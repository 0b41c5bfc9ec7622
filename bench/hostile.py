"""What an attacker can send at most: chains as deep, wide and large as the readers let in, and beyond.

Each is as right as it can be, so that nothing refuses it early; each store is new, so that nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bench.verdict import DAY, NOW, Callers, authority, number_at
from policies.quorum import Quorum, Quorums
from policies.terms import Terms
from stir.certificate_building import signature_hash
from stir.certificate_chain import LONGEST_CHAIN
from stir.jws import MOST_CHAINS, Chain
from stir.tn_auth_list import OID, RangeEntry, TnAuthList
from trust_store import Anchor, TrustStore, Verdict
from trust_store.path import LARGEST_CHAIN

MANY_ANCHORS = 200

_RANGES = 100
"""So many ranges of numbers in each certificate fill a chain."""
_SUBTREES = 130
"""So many nameConstraints in each certificate fill a chain."""
_SPARE = 2000
"""So many spare bytes in each certificate fill a chain."""
_KEY = ec.derive_private_key(0xBE7C4, ec.SECP256R1())


@dataclass(frozen=True)
class Hostile:
    """Some chains, the first of which is the one that is meant, and how to make the store that they are sent to."""

    chains: tuple[Chain, ...]
    store: Callable[[], TrustStore]

    def judge(self, store: TrustStore) -> Verdict:
        """Judge the chains."""
        first, *others = self.chains
        return store.judge_chain(first, NOW, more_chains=others)


@cache
def hostile_chains() -> Mapping[str, Hostile]:
    """Return the worst that can be sent, by what is bad about it."""
    deep = _chain(LONGEST_CHAIN - 1)
    wide = _chain(LONGEST_CHAIN - 1, _ranges())
    narrow = _chain(LONGEST_CHAIN - 1, _subtrees())
    huge = _chain(LONGEST_CHAIN - 1, _padding())
    too_large = _chain(LONGEST_CHAIN - 1, _padding(LARGEST_CHAIN // 2))
    several = tuple(_chain(LONGEST_CHAIN - 1, title=f"chain {place}") for place in range(MOST_CHAINS))
    callers = Callers("anchor")
    usual = callers.chain(0)
    in_circles = (usual[0], *[usual[1], usual[2]] * 4)
    namesakes = [_anchor(_namesake(usual[2]), f"n{place}") for place in range(MANY_ANCHORS)]
    others = strangers(MANY_ANCHORS)
    return {
        "50 authorities": Hostile((_chain(50),), lambda: TrustStore([callers.anchor])),
        "as deep as is read": Hostile((deep,), lambda: TrustStore([_anchor(deep[-1])])),
        "as deep, and leading nowhere": Hostile((deep,), lambda: TrustStore(others)),
        "as deep, and signed by another at the end": Hostile((_broken(deep),), lambda: TrustStore([_anchor(deep[-1])])),
        "cyclic": Hostile((in_circles,), lambda: TrustStore([callers.anchor])),
        "as many ranges of numbers as fit": Hostile((wide,), lambda: TrustStore([_anchor(wide[-1])])),
        "as many nameConstraints as fit": Hostile((narrow,), lambda: TrustStore([_anchor(narrow[-1])])),
        "certificates as large as is read": Hostile((huge,), lambda: TrustStore([_anchor(huge[-1])])),
        "200 namesakes of the anchor": Hostile((usual,), lambda: TrustStore([*namesakes, callers.anchor])),
        "larger than is read": Hostile((too_large,), lambda: TrustStore([_anchor(deep[-1])])),
        "as many chains as are looked at": Hostile(several, lambda: _asking_for_more([one[-1] for one in several])),
    }


def strangers(count: int) -> list[Anchor]:
    """Return anchors that lead nowhere."""
    return [_anchor(authority(f"stranger {place}", _KEY, None, _KEY), f"s{place}") for place in range(count)]


def _asking_for_more(roots: Sequence[x509.Certificate]) -> TrustStore:
    """Return a store that wants another authority besides, so that all chains are looked at."""
    other = Callers("other").anchor
    anchors = [*(_anchor(root, f"a{place}") for place, root in enumerate(roots)), other]
    quorums = Quorums((), (Quorum(other.terms.name, "x"),), {one.terms.name: one.terms.operator for one in anchors})
    return TrustStore(anchors, quorums=quorums)


def _anchor(certificate: x509.Certificate, name: str = "a") -> Anchor:
    return Anchor(Terms(name, name, "trust.toml:1"), certificate)


def _chain(depth: int, *extra: tuple[x509.ExtensionType, bool], title: str = "deep") -> Chain:
    """Return a number's certificate below so many authorities, each with the same extensions more."""
    plain: list[x509.Certificate] = []
    for place in range(depth):
        plain.append(authority(f"{title} {place}", _KEY, plain[-1] if plain else None, _KEY, None))
    made = [_rebuilt(one, *extra) for one in plain] if extra else plain
    leaf = _rebuilt(Callers("leaf", _KEY).chain(0)[0], issuer=made[-1].subject)
    return leaf, *reversed(made)


def _broken(chain: Chain) -> Chain:
    """Return a chain of which the last link is signed by somebody else; what the names say is right."""
    *below, last, root = chain
    return *below, _rebuilt(last, signer=ec.generate_private_key(ec.SECP256R1())), root


def _namesake(root: x509.Certificate) -> x509.Certificate:
    """Return an anchor of the same name with another key, whose identifier differs."""
    key = ec.generate_private_key(ec.SECP256R1())
    return authority(_name(root), key, None, key)


def _name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def _ranges() -> tuple[x509.ExtensionType, bool]:
    number = number_at(0)
    own = RangeEntry(f"{number.digits[:-4]}0000", 5000)
    others = (RangeEntry(f"1303{place:04}0000"[:11], 5) for place in range(_RANGES))
    listed = TnAuthList((own, *others)).to_der()
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(OID), listed), False


def _subtrees() -> tuple[x509.ExtensionType, bool]:
    permitted: list[x509.GeneralName] = [x509.DNSName(f"{place}.example") for place in range(_SUBTREES)]
    return x509.NameConstraints([*permitted, x509.DNSName("e164.arpa")], None), True


def _padding(size: int = _SPARE) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.2"), bytes(size)), False


def _rebuilt(
    certificate: x509.Certificate,
    *extra: tuple[x509.ExtensionType, bool],
    issuer: x509.Name | None = None,
    signer: ec.EllipticCurvePrivateKey = _KEY,
) -> x509.Certificate:
    """Return a certificate with something else in it, signed by the key that all authorities here have."""
    own = certificate.public_key()
    if not isinstance(own, ec.EllipticCurvePublicKey):
        msg = "certificates here have keys on elliptic curves"
        raise TypeError(msg)
    builder = (
        x509.CertificateBuilder()
        .serial_number(certificate.serial_number)
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer if issuer is None else issuer)
        .public_key(own)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + timedelta(days=6))
    )
    kept = (one for one in certificate.extensions if not isinstance(one.value, x509.AuthorityKeyIdentifier))
    for one in kept:
        builder = builder.add_extension(one.value, one.critical)
    named = x509.AuthorityKeyIdentifier.from_issuer_public_key(_KEY.public_key())
    builder = builder.add_extension(named, critical=False)
    for value, critical in extra:
        builder = builder.add_extension(value, critical)
    return builder.sign(signer, signature_hash(signer))
