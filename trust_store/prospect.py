"""What would be said of a number that an anchor certified today, as well as it can: answers before anybody calls.

A prospect is a path that does not exist: a certificate that is made today, proved and logged as the user asks for it,
right below the anchor. Whatever refuses it refuses every certificate. What only a real one can show, such as a
revocation, is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509

from policies import belief, verdicts
from policies.facts import CertificateFacts, LoggingFacts, PathFacts, TimestampFacts, Use
from policies.quorum import Opinion, Quorum
from policies.verdicts import Finding, Outcome, Rule
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod
from trust_store.anchors import Anchor, authority_facts
from trust_store.store import Explanation, TrustStore

_HOUR = timedelta(hours=1)
_LIFE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class AnchorProspect:
    """What each rule would find of a path to an anchor; the last finding decides."""

    anchor: Anchor
    findings: tuple[Finding, ...]

    @property
    def is_believed(self) -> bool:
        """Whether a certificate below the anchor can be believed."""
        return self.findings[-1].passed


@dataclass(frozen=True, slots=True)
class NumberProspect:
    """What the store says of a number before anybody calls."""

    denied: Finding
    anchors: tuple[AnchorProspect, ...]
    quorums: tuple[Quorum, ...]


def prospects(store: TrustStore, use: Use) -> NumberProspect:
    """Return what would be said of a number by each anchor, and which quorums would be asked for."""
    anchors = tuple(AnchorProspect(anchor, _findings(store, anchor, use)) for anchor in store.anchors)
    return NumberProspect(belief.denied_number(use.number, store.denies), anchors, store.quorums.asked(use))


def prospect_by(store: TrustStore, use: Use, names: Sequence[str]) -> Explanation:
    """Return what would be said of a number that the anchors of these names certified for one key."""
    found = verdicts.in_order(_by(store, use, names))
    return Explanation(verdicts.verdict(found), found)


def _by(store: TrustStore, use: Use, names: Sequence[str]) -> Iterator[Finding]:
    yield belief.denied_number(use.number, store.denies)
    by_name = {anchor.terms.name: anchor for anchor in store.anchors}
    tried = [AnchorProspect(anchor, _findings(store, anchor, use)) for anchor in map(by_name.get, names) if anchor]
    if not tried:
        yield Finding(Rule.ANCHOR, "it is certified by nobody whom you believe", Outcome.UNVERIFIED)
    else:
        believed = [one for one in tried if one.is_believed]
        yield from (believed or tried)[0].findings
        opinions = [Opinion(one.anchor.sha256, (one.anchor.terms.name,)) for one in believed]
        against = (one.findings[-1].reason for one in tried if not one.is_believed)
        yield store.quorums.judge(use, opinions, against)


def _findings(store: TrustStore, anchor: Anchor, use: Use) -> tuple[Finding, ...]:
    return verdicts.in_order(_on_anchor(store, anchor, use))


def _on_anchor(store: TrustStore, anchor: Anchor, use: Use) -> Iterator[Finding]:
    facts = authority_facts(anchor.authority, fingerprints=True)
    yield belief.denied_certificate([facts], store.denies)
    path = PathFacts(
        certificates=(_leaf(anchor, use), facts),
        terms=anchor.terms,
        methods=tuple(ValidationMethod),
        fault=name_constraints_fault(anchor.certificate, use.number),
        logging=LoggingFacts(tuple(_timestamps(store, use))),
    )
    yield from belief.on_path(path, use, store.settings, store.transitions)


def _leaf(anchor: Anchor, use: Use) -> CertificateFacts:
    life = _LIFE if anchor.terms.longest_life is None else min(_LIFE, anchor.terms.longest_life)
    begins = use.at - min(_HOUR, life)
    return CertificateFacts("the certificate", begins, begins + life, TnAuthList.for_number(use.number))


def _timestamps(store: TrustStore, use: Use) -> Iterable[TimestampFacts]:
    return (TimestampFacts(log.name, log.operator, use.at) for log in store.logs)


def name_constraints_fault(certificate: x509.Certificate, number: TelephoneNumber) -> str | None:
    """Return why an authority's nameConstraints keep it from certifying a number; None where they do not."""
    try:
        limits = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None
    permitted, excluded = (list(_domains(names)) for names in (limits.permitted_subtrees, limits.excluded_subtrees))
    if any(_is_within(number, domain) for domain in excluded):
        return "the authority's nameConstraints exclude the number (RFC 5280 §4.2.1.10)"
    if permitted and not any(_is_within(number, domain) for domain in permitted):
        return "the number is outside the authority's nameConstraints (RFC 5280 §4.2.1.10)"
    return None


def _domains(names: Iterable[x509.GeneralName] | None) -> Iterator[str]:
    return (name.value for name in names or () if isinstance(name, x509.DNSName))


def _is_within(number: TelephoneNumber, domain: str) -> bool:
    return number.enum_domain == domain or number.enum_domain.endswith(f".{domain}")
