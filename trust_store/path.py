"""From a number's certificate up to an anchor: `cryptography`'s verifier, one for each anchor.

A presented chain is ordered, each certificate signed by the next (RFC 7515 §4.1.6, RFC 8555 §9.1), and no authority's
name comes twice in it. So there is one way through it for each anchor, and a hostile chain cannot make the verifier
search. The verifier holds that way to RFC 5280: signatures, dates, basicConstraints, keyUsage, extKeyUsage,
nameConstraints on the ENUM names, path lengths, critical extensions. What it does not know (TNAuthLists, revocation,
the user's terms) is `policies.belief`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from policies.facts import CertificateFacts, PathFacts
from stir import tn_auth_list
from stir.certificate import AuthorityCertificate, NumberCertificate
from stir.certificate_chain import LONGEST_CHAIN
from stir.errors import CertificateProfileError
from stir.validation_method import ValidationMethod
from trust_store.anchors import Anchor, authority_facts, key_identifier_of, methods_left_by
from trust_store.fingerprints import all_fingerprints
from trust_store.logs import KnownLogs, Logging

LARGEST_CHAIN = 24 * 1024
"""How many bytes the certificates of a chain may have together: reading what a hostile one lists takes time."""
REMEMBERED_AUTHORITIES = 256
"""How many sequences of authorities, such as an issuing one and its root, a store remembers having read."""
_SECOND = timedelta(seconds=1)


class _TnAuthListExtension(x509.ExtensionType):
    """Tells the verifier that this extension is known, critical or not: the rules read it themselves."""

    oid = x509.ObjectIdentifier(tn_auth_list.OID)


_AUTHORITY_POLICY = ExtensionPolicy.webpki_defaults_ca().may_be_present(
    _TnAuthListExtension, Criticality.AGNOSTIC, None
)
_LEAF_POLICY = ExtensionPolicy.webpki_defaults_ee().may_be_present(_TnAuthListExtension, Criticality.AGNOSTIC, None)

_FAULTS: Mapping[str, str] = {
    "no permitted name constraints matched SAN": "an authority on the path may not certify this number: "
    "it is outside its nameConstraints (RFC 5280 §4.2.1.10)",
    "excluded name constraint matched SAN": "an authority on the path may not certify this number: "
    "its nameConstraints exclude it (RFC 5280 §4.2.1.10)",
    "unsupported name constraint": "an authority's nameConstraints are of a kind that cannot be checked, "
    "so nothing below it is believed (RFC 5280 §4.2.1.10)",
    "path length": "more authorities follow one another than one of them allows (RFC 5280 §4.2.1.9)",
}
"""What the verifier says, as far as it can still say it of certificates that obey the profile, in plain words."""


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """That the verifier has led from the first of some authorities to an anchor, for some number's certificate.

    Within the dates of all certificates above that one, from `begins` up to `ends`, without it, only what the next
    number's certificate is itself, and its signature by the first authority, are left to be held to RFC 5280: `store`
    is of that authority alone.
    """

    anchor: Anchor
    length: int
    store: Store
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Authorities:
    """The authorities of a chain, each certified by the next, with what the rules need to know of them."""

    certificates: tuple[AuthorityCertificate, ...]
    facts: tuple[CertificateFacts, ...]
    methods: tuple[frozenset[ValidationMethod], ...]
    """Which ways of proving a number each of them lets stand."""
    subjects: tuple[x509.Name, ...]
    issuers: tuple[x509.Name, ...]
    keys: tuple[bytes, ...]
    """The identifier of the key of each, and below of the key that each says it is signed with."""
    named: tuple[bytes | None, ...]
    size: int
    """How many bytes they have together, without their signatures."""
    accepted: list[Accepted] = field(default_factory=list, init=False, repr=False)
    """At most one for each anchor and length; belongs to one store, as its authorities do."""

    @classmethod
    def read(
        cls,
        certificates: tuple[x509.Certificate, ...],
        *,
        known: Mapping[x509.Certificate, AuthorityCertificate],
        fingerprints: bool,
    ) -> Self:
        """Read the certificates but those that are `known`.

        Raises CertificateProfileError where one is no authority's, or they are no chain. RFC 7515 §4.1.6: each
        certificate certifies the one before it.
        """
        size = sum(len(certificate.tbs_certificate_bytes) for certificate in certificates)
        _require_size(size)
        read = tuple(known.get(certificate) or AuthorityCertificate.read(certificate) for certificate in certificates)
        subjects = tuple(certificate.subject for certificate in certificates)
        issuers = tuple(certificate.issuer for certificate in certificates)
        if issuers[:-1] != subjects[1:]:
            msg = "the certificates are no chain: each is to be issued by the next"
            raise CertificateProfileError(msg)
        if len(set(subjects)) != len(subjects):
            msg = "the certificates go in a circle: one authority's name comes twice"
            raise CertificateProfileError(msg)
        keys = tuple(map(key_identifier_of, certificates))
        named = tuple(map(_named_key, certificates))
        for pair in zip(named, keys[1:], strict=False):
            _require_named(*pair)
        facts = tuple(authority_facts(authority, fingerprints=fingerprints) for authority in read)
        methods = tuple(methods_left_by(certificate) for certificate in certificates)
        return cls(read, facts, methods, subjects, issuers, keys, named, size)

    def lead_to(self, anchor: Anchor, length: int, leaf: x509.Certificate, at: datetime) -> bool:
        """Tell whether it is known by now that a path of so many certificates below an anchor obeys RFC 5280.

        Where not, nothing is said: the whole path is to be verified.
        """
        for one in self.accepted:
            if one.anchor is anchor and one.length == length and one.begins <= at < one.ends:
                try:
                    _verify(one.store, (leaf,), at)
                except VerificationError:
                    return False
                return True
        return False

    def accept(self, anchor: Anchor, anchor_facts: CertificateFacts, length: int) -> None:
        """Remember that the verifier has led to an anchor, where nothing above the first says which names may follow.

        nameConstraints of an authority hold for all certificates below it (RFC 5280 §4.2.1.10), so that with them each
        number's certificate has to be led up the whole path.
        """
        between = tuple(authority.certificate for authority in self.certificates[1 : length - 1])
        if length == 1 or any(one.anchor is anchor and one.length == length for one in self.accepted):
            return
        if any(_constrains_names(certificate) for certificate in (*between, anchor.certificate)):
            return
        facts = (*self.facts[: length - 1], anchor_facts)
        begins, ends = max(one.not_before for one in facts), min(one.not_after for one in facts)
        store = Store([self.certificates[0].certificate])
        self.accepted.append(Accepted(anchor, length, store, begins, end_of_second(ends)))


@dataclass(frozen=True, slots=True)
class PresentedChain:
    """The certificates that came with a token or a file: the number's own, and those of the authorities above it.

    Signatures are not verified by reading.
    """

    certificates: tuple[x509.Certificate, ...]
    leaf: NumberCertificate
    above: Authorities
    facts: tuple[CertificateFacts, ...]

    @property
    def is_signed_throughout(self) -> bool:
        """Whether each certificate names the next as its issuer and is signed by it."""
        return all(_is_signed_by(*pair) for pair in pairwise(self.certificates))

    @property
    def named(self) -> tuple[bytes | None, ...]:
        """The identifier of the key that each certificate says it is signed with."""
        return (self.leaf.issuer_key_identifier, *self.above.named)

    @property
    def issuers(self) -> tuple[x509.Name, ...]:
        """The names in which the certificates were issued, each once: the number's own first.

        Where an authority follows, its name stands for what the number's certificate says: if that is another name, no
        signature of the authority's makes up for it. A root at the end was issued in the name of the one before.
        """
        first = self.above.subjects[0] if self.above.subjects else _issuer_of(self.leaf.certificate)
        return tuple(dict.fromkeys((first, *self.above.issuers)))


@dataclass(frozen=True, slots=True)
class BuiltPath:
    """A way from the number's certificate to an anchor.

    `certificates` begins with the number's own and ends with the anchor's; `crl_urls` says for each but the anchor's
    where its issuer's revocation list is. The facts' `fault` tells what the verifier has against it. `logging` is what
    the number's certificate carries of logs; it is not looked at where there is a fault.
    """

    anchor: Anchor
    certificates: tuple[x509.Certificate, ...]
    crl_urls: tuple[tuple[str, ...], ...]
    facts: PathFacts
    logging: Logging


class PathBuilder:
    """Finds the paths from presented chains to the anchors of one trust store. Threads may share it."""

    def __init__(self, anchors: Iterable[Anchor], logs: KnownLogs, *, fingerprints: bool = False) -> None:
        """Take the anchors, in the order in which they are tried; `fingerprints` where certificates are denied."""
        self._logs = logs
        self._by_name: dict[x509.Name, list[tuple[Anchor, CertificateFacts]]] = {}
        self._fingerprints = fingerprints
        known: dict[x509.Certificate, AuthorityCertificate] = {}
        read = partial(Authorities.read, known=known, fingerprints=fingerprints)
        self._read_above = lru_cache(REMEMBERED_AUTHORITIES)(read)
        for anchor in anchors:
            known[anchor.certificate] = anchor.authority
            facts = authority_facts(anchor.authority, fingerprints=fingerprints)
            self._by_name.setdefault(anchor.certificate.subject, []).append((anchor, facts))

    def read(self, certificates: tuple[x509.Certificate, ...]) -> PresentedChain:
        """Read a chain, the number's own certificate first.

        Raises CertificateProfileError where one is outside the profile, or they are no chain.
        """
        if not 1 <= len(certificates) <= LONGEST_CHAIN:
            msg = f"a chain has 1 to {LONGEST_CHAIN} certificates"
            raise CertificateProfileError(msg)
        own_size = len(certificates[0].tbs_certificate_bytes)
        _require_size(own_size)
        leaf = NumberCertificate.read(certificates[0])
        above = self._read_above(certificates[1:])
        _require_size(own_size + above.size)
        if above.keys:
            _require_named(leaf.issuer_key_identifier, above.keys[0])
        return PresentedChain(certificates, leaf, above, (self._facts_of(leaf), *above.facts))

    def build(self, chain: PresentedChain, at: datetime) -> tuple[BuiltPath, ...]:
        """Return the paths that lead to an anchor by their signatures, with or without fault.

        Of anchors of one name, those that have the key identifier are tried which the certificate below names, so that
        many namesakes cost nothing. At most one for each anchor, those through fewer certificates first. Raises
        CertificateProfileError where the name of the issuer cannot be read.
        """
        found: list[BuiltPath] = []
        for length, issuer in enumerate(chain.issuers, start=1):
            named = self._by_name.get(issuer, ())
            key = _told(chain.named[length - 1]) if named else b""
            for anchor, anchor_facts in (one for one in named if one[0].key_identifier == key):
                path = self._verified(chain, length, anchor, anchor_facts, at)
                found.extend(() if path is None else (path,))
        return tuple(found)

    def _verified(
        self, chain: PresentedChain, length: int, anchor: Anchor, anchor_facts: CertificateFacts, at: datetime
    ) -> BuiltPath | None:
        """Hold one path to RFC 5280; None where it does not lead to the anchor, which only has the right name."""
        certificates = (*chain.certificates[:length], anchor.certificate)
        fault: str | None = None
        logging = Logging()
        try:
            if not chain.above.lead_to(anchor, length, certificates[0], at):
                _verify(anchor.store, certificates[:-1], at)
                chain.above.accept(anchor, anchor_facts, length)
        except VerificationError as error:
            if not all(_is_signed_by(*pair) for pair in pairwise(certificates)):
                return None
            fault = _in_plain_words(error)
        else:
            logging = self._logs.read(chain.leaf, certificates[1])
        urls = (chain.leaf.crl_urls, *(authority.crl_urls for authority in chain.above.certificates))
        left = chain.above.methods[: length - 1]
        methods = tuple(method for method in chain.leaf.validation if all(method in one for one in left))
        facts = PathFacts((*chain.facts[:length], anchor_facts), anchor.terms, methods, fault, logging.facts)
        return BuiltPath(anchor, certificates, urls[:length], facts, logging)

    def _facts_of(self, leaf: NumberCertificate) -> CertificateFacts:
        return CertificateFacts(
            title="the number's certificate",
            not_before=leaf.not_before,
            not_after=leaf.not_after,
            numbers=leaf.numbers,
            fingerprints=all_fingerprints(leaf.certificate) if self._fingerprints else frozenset(),
        )


def end_of_second(last: datetime) -> datetime:
    """Return the first moment after a notAfter, which belongs to a life as a whole second (RFC 5280 §4.1.2.5)."""
    return min(last, _LATEST) + _SECOND


_LATEST = datetime.max.replace(tzinfo=UTC) - _SECOND


def _verify(store: Store, certificates: tuple[x509.Certificate, ...], at: datetime) -> None:
    """Hold a path, the number's certificate first, up to an authority in the store to RFC 5280."""
    builder = PolicyBuilder().store(store).time(at.astimezone(UTC)).max_chain_depth(LONGEST_CHAIN)
    policies = builder.extension_policies(ca_policy=_AUTHORITY_POLICY, ee_policy=_LEAF_POLICY)
    policies.build_client_verifier().verify(certificates[0], list(certificates[1:]))


def _constrains_names(certificate: x509.Certificate) -> bool:
    return any(extension.oid == ExtensionOID.NAME_CONSTRAINTS for extension in certificate.extensions)


def _require_size(size: int) -> None:
    if size > LARGEST_CHAIN:
        msg = f"the certificates of a chain have at most {LARGEST_CHAIN // 1024} KiB together"
        raise CertificateProfileError(msg)


def _issuer_of(certificate: x509.Certificate) -> x509.Name:
    """Return who issued a number's certificate; the profile leaves that name to path building."""
    try:
        return certificate.issuer
    except (ValueError, Warning) as error:
        msg = "the name of the certificate's issuer is malformed"
        raise CertificateProfileError(msg) from error


def _require_named(named: bytes | None, key: bytes) -> None:
    """Refuse a certificate that names another key identifier than its issuer has (RFC 5280 §4.2.1.2).

    `cryptography` does not look at that, and all others that were compared do.
    """
    if _told(named) != key:
        msg = "a certificate's authorityKeyIdentifier is not that of the key of the next certificate"
        raise CertificateProfileError(msg)


def _told(named: bytes | None) -> bytes:
    """Return the identifier of the key that a certificate below a root has to name (RFC 5280 §4.2.1.1)."""
    if named is None:
        msg = "a certificate's authorityKeyIdentifier names no key"
        raise CertificateProfileError(msg)
    return named


def _named_key(certificate: x509.Certificate) -> bytes | None:
    """Return the identifier of the key that a certificate says it is signed with."""
    try:
        return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return None


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _in_plain_words(error: VerificationError) -> str:
    told = str(error)
    known = (words for sign, words in _FAULTS.items() if sign in told)
    return next(known, f"the path does not obey X.509: {told.removeprefix('validation failed: ')}")
