"""The verdict on a call, a message or a certificate, from one user's trust store.

A `TrustStore` is a snapshot: it reads its files once and never changes, so that threads may share it. Load it again to
see what the user has changed since.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self, TypeAlias

from cryptography import x509

from policies import belief, verdicts
from policies.facts import CallFacts, RevocationFacts, RevocationState, Use
from policies.terms import Deny, Purpose, Settings
from policies.verdicts import Finding, Outcome, Rule, Verdict
from stir.certificate import NumberCertificate
from stir.errors import CertificateProfileError, PassportError
from stir.passport import SignedPassport
from stir.telephone_number import TelephoneNumber
from trust_store import trust_file
from trust_store.anchors import Anchor
from trust_store.home import TrustHome
from trust_store.logs import MOST_PROOFS, KnownLogs, TrustedAuditor, TrustedLog, TrustedWitness
from trust_store.path import BuiltPath, PathBuilder, PresentedChain
from trust_store.revocation_lists import Fetch, RevocationLists
from trust_store.seen_messages import MessagesInFile, MessagesInMemory, SeenMessages, message_key

REMEMBERED_CHAINS = 512
"""How many chains a store remembers having verified."""


class RevocationSource(Protocol):
    """Who knows whether a certificate was revoked; see `RevocationLists`."""

    def status(
        self, certificate: x509.Certificate, issuer: x509.Certificate, urls: tuple[str, ...], at: datetime
    ) -> RevocationFacts:
        """Return what is known of a certificate whose issuer publishes its list at each of the URLs."""
        ...


_NOT_AT_HAND = RevocationFacts(RevocationState.UNKNOWN, "its revocation list is not at hand")


class NoRevocationLists:
    """Knows nothing, and says so."""

    def status(
        self,
        certificate: x509.Certificate,  # noqa: ARG002  # the Protocol's
        issuer: x509.Certificate,  # noqa: ARG002
        urls: tuple[str, ...],  # noqa: ARG002
        at: datetime,  # noqa: ARG002
    ) -> RevocationFacts:
        """Return that nothing is known."""
        return _NOT_AT_HAND


@dataclass(frozen=True, slots=True)
class Call:
    """A call or message that came in, as the signalling tells it, with its token.

    `orig` and `dest` are who called whom by the signalling, never by the token. `at` is the time of the call, aware of
    its zone. `body` is the message's MIME body. `chain` is for a token that brings no certificates of its own, the
    number's certificate first; otherwise it is not looked at. `proofs` came beside the token, each a C2SP tlog-proof
    that a log shows the certificate's entry; at most the first eight are looked at.
    """

    token: str = field(repr=False)
    orig: TelephoneNumber
    dest: TelephoneNumber
    at: datetime
    purpose: Purpose = Purpose.CALL
    body: bytes | None = field(default=None, repr=False)
    chain: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    proofs: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse a time without a zone, which would be another moment on another machine."""
        _require_zone(self.at)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict, with what each rule found that was asked, in order. The rules after the deciding one were not."""

    verdict: Verdict
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Examined:
    """A chain that is whole in itself, and the ways from it to anchors."""

    chain: PresentedChain
    paths: tuple[BuiltPath, ...]


_IsFirst: TypeAlias = Callable[[bytes, float], bool]


class TrustStore:
    """Whom one user believes: anchors on the user's terms, denies, settings, logs and witnesses.

    `judge` asks nobody over the network: it uses the revocation lists that are at hand, unless it was loaded with a
    way to fetch them. No token and no chain makes it raise.
    """

    def __init__(
        self,
        anchors: Iterable[Anchor] = (),
        denies: Iterable[Deny] = (),
        settings: Settings | None = None,
        *,
        logs: KnownLogs | None = None,
        file: Path = Path("trust.toml"),
        revocation: RevocationSource | None = None,
        seen: SeenMessages | None = None,
    ) -> None:
        """Take the parts of a store; `load` reads them from the user's files."""
        self.anchors = tuple(anchors)
        self.denies = tuple(denies)
        self.settings = settings or Settings()
        self._known_logs = logs or KnownLogs()
        self.file = file
        self._revocation = revocation or NoRevocationLists()
        self._seen = seen or MessagesInMemory()
        denies_certificates = any(deny.certificate is not None for deny in self.denies)
        self._paths = PathBuilder(self.anchors, self._known_logs, fingerprints=denies_certificates)
        self._remembered: OrderedDict[tuple[x509.Certificate, ...], _Examined] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path | None = None, *, fetch: Fetch | None = None) -> Self:
        """Read the user's store, or the one of the `trust.toml` at `path`; one that is missing is empty.

        With `fetch`, such as `trust_store.fetching.fetch`, `judge` asks for revocation lists once a path is otherwise
        believed. Raises TrustFileError.
        """
        home = TrustHome.of_user() if path is None else TrustHome.beside(path)
        parts = trust_file.load(home)
        return cls(
            parts.anchors,
            parts.denies,
            parts.settings,
            logs=parts.logs,
            file=home.trust_file,
            revocation=RevocationLists(home.revocation_lists, fetch),
            seen=MessagesInFile(home.seen_messages),
        )

    @property
    def logs(self) -> tuple[TrustedLog, ...]:
        """The logs whose word counts, each with its description."""
        return self._known_logs.logs

    @property
    def witnesses(self) -> tuple[TrustedWitness, ...]:
        """The witnesses whose cosignatures count."""
        return self._known_logs.witnesses

    @property
    def auditors(self) -> tuple[TrustedAuditor, ...]:
        """The auditors who confirm that logs' indices leave nothing out."""
        return self._known_logs.auditors

    def judge(self, call: Call) -> Verdict:
        """Return the verdict on a call or message; one that is verified is remembered, and is a copy the next time.

        Raises MemoryFileError where a message cannot be remembered.
        """

        def is_first(key: bytes, expires: float) -> bool:
            return self._seen.is_first(key, expires, call.at)

        return self._explain(self._about_call(call, is_first)).verdict

    def explain(self, call: Call) -> Explanation:
        """Return the verdict on a call or message with what each rule found. Nothing is remembered by that."""
        return self._explain(self._about_call(call, lambda key, _: not self._seen.is_known(key)))

    def judge_chain(
        self,
        chain: Sequence[x509.Certificate],
        at: datetime,
        proofs: Sequence[bytes] = (),
        purpose: Purpose | None = None,
    ) -> Verdict:
        """Return the verdict on a number's certificate, given first, with those of the authorities above it."""
        return self.explain_chain(chain, at, proofs, purpose).verdict

    def explain_chain(
        self,
        chain: Sequence[x509.Certificate],
        at: datetime,
        proofs: Sequence[bytes] = (),
        purpose: Purpose | None = None,
    ) -> Explanation:
        """Return the verdict on a number's certificate with what each rule found.

        `proofs` are as in a `Call`. Without a `purpose`, no limit to some uses is asked about.
        """
        _require_zone(at)
        return self._explain(self._about_chain(tuple(chain), at, proofs, purpose))

    @staticmethod
    def _explain(findings: Iterable[Finding]) -> Explanation:
        found = tuple(verdicts.in_order(findings))
        return Explanation(verdicts.verdict(found), found)

    # What each rule finds, in the order of `Rule`. Each of these is left at its first finding that does not pass: what
    # comes after a finding may rely on it.

    def _about_call(self, call: Call, is_first: _IsFirst) -> Iterator[Finding]:
        yield belief.denied_number(call.orig, self.denies)
        try:
            signed = SignedPassport.parse(call.token)
        except PassportError as error:
            yield _refused(Rule.TOKEN, str(error))
        else:
            yield _WELL_FORMED
            yield from self._about_token(call, signed, is_first)

    def _about_token(self, call: Call, signed: SignedPassport, is_first: _IsFirst) -> Iterator[Finding]:
        facts = CallFacts(call.orig, call.dest, call.at, call.purpose, call.body)
        yield from belief.on_statement(signed.passport, facts, self.settings)
        examined = self._examined(signed.chain or call.chain, call.at)
        if isinstance(examined, Finding):
            yield examined
        else:
            yield _IS_CHAIN
            leaf = examined.chain.leaf
            yield belief.certified_number(leaf.number, facts)
            yield _signature(signed, leaf)
            yield from self._about_paths(examined, Use(leaf.number, call.at, call.purpose), call.proofs)
            if call.purpose is Purpose.MESSAGE:
                expires = signed.passport.issued_at + self.settings.message_seconds + self.settings.skew_seconds
                yield belief.duplicate(first=is_first(message_key(signed.passport, call.dest), expires))

    def _about_chain(
        self,
        chain: tuple[x509.Certificate, ...],
        at: datetime,
        proofs: Sequence[bytes],
        purpose: Purpose | None,
    ) -> Iterator[Finding]:
        examined = self._examined(chain, at)
        if isinstance(examined, Finding):
            yield examined
        else:
            number = examined.chain.leaf.number
            yield belief.denied_number(number, self.denies)
            yield _IS_CHAIN
            yield from self._about_paths(examined, Use(number, at, purpose), proofs)

    def _about_paths(self, examined: _Examined, use: Use, proofs: Sequence[bytes]) -> Iterator[Finding]:
        """Yield what is found on the first path that passes or, where none does, on the first of all."""
        denied = belief.denied_certificate(examined.chain.facts, self.denies)
        if not examined.paths or not denied.passed:
            yield denied
            yield self._no_anchor()
        else:
            tried = []
            for path in examined.paths:
                found = tuple(verdicts.in_order(self._about_path(path, use, proofs)))
                tried.append((path, found))
                if found[-1].passed:
                    break
            yield from found if found[-1].passed else _together(tried)

    def _about_path(self, path: BuiltPath, use: Use, proofs: Sequence[bytes]) -> Iterator[Finding]:
        yield belief.denied_certificate(path.facts.certificates, self.denies)
        yield from belief.on_path(path.facts, use, self.settings)
        checked = (self._known_logs.check(proof, path.logging) for proof in proofs[:MOST_PROOFS])
        yield belief.included(checked, path.facts.terms, self.settings)
        yield belief.revocation(self._revocations(path, use.at), self.settings)

    def _revocations(self, path: BuiltPath, at: datetime) -> Iterator[RevocationFacts]:
        """Ask for each certificate below the anchor; an authority's that names no list cannot be asked for."""
        for index, urls in enumerate(path.crl_urls):
            if urls or index == 0:
                certificate, issuer = path.certificates[index : index + 2]
                yield self._revocation.status(certificate, issuer, urls, at)

    def _no_anchor(self) -> Finding:
        if not self.anchors:
            reason = "your trust store is empty, so nobody is believed yet: add an anchor with `answerback trust add`"
        else:
            reason = "no anchor in your trust store leads to these certificates"
        return Finding(Rule.ANCHOR, reason, Outcome.UNVERIFIED, source=self.file.name)

    # Chains that were verified before.

    def _examined(self, chain: tuple[x509.Certificate, ...], at: datetime) -> _Examined | Finding:
        """Return the paths from a chain, or what is wrong with it in itself."""
        with self._lock:
            remembered = self._remembered.get(chain)
        if remembered is not None and all(path.is_in_time(at) for path in remembered.paths):
            return remembered
        return self._newly_examined(chain, at) if chain else _nobody_vouches()

    def _newly_examined(self, chain: tuple[x509.Certificate, ...], at: datetime) -> _Examined | Finding:
        try:
            presented = self._paths.read(chain)
            paths = self._paths.build(presented, at)
        except CertificateProfileError as error:
            return _refused(Rule.CHAIN, str(error))
        if not paths and not presented.is_signed_throughout:
            return _refused(Rule.CHAIN, "a certificate was not signed by the next one, or was changed since")
        examined = _Examined(presented, paths)
        # What the verifier found depends on the time only by the dates, so a path without fault stays one within them.
        if paths and all(path.facts.fault is None for path in paths):
            self._remember(chain, examined)
        return examined

    def _remember(self, chain: tuple[x509.Certificate, ...], examined: _Examined) -> None:
        with self._lock:
            self._remembered[chain] = examined
            if len(self._remembered) > REMEMBERED_CHAINS:
                self._remembered.popitem(last=False)


_WELL_FORMED = Finding(Rule.TOKEN, "the token is well formed")
_IS_CHAIN = Finding(Rule.CHAIN, "the certificates are well formed, and each names the next as its issuer")
_IS_SIGNED = Finding(Rule.SIGNATURE, "the token was signed with the certificate's key")


def _signature(signed: SignedPassport, leaf: NumberCertificate) -> Finding:
    try:
        signed.verify(leaf.public_key)
    except PassportError as error:
        return _refused(Rule.SIGNATURE, str(error))
    return _IS_SIGNED


def _together(tried: list[tuple[BuiltPath, tuple[Finding, ...]]]) -> tuple[Finding, ...]:
    """Return the findings on the first path, whose last says what stands against the others as well."""
    *passed, decisive = tried[0][1]
    others = (f"; nor by {path.facts.terms.name}: {found[-1].reason}" for path, found in tried[1:])
    return (*passed, replace(decisive, reason="".join((decisive.reason, *others))))


def _nobody_vouches() -> Finding:
    reason = "no certificates came with it, so nobody vouches for it"
    return Finding(Rule.CHAIN, reason, Outcome.UNVERIFIED)


def _refused(rule: Rule, reason: str) -> Finding:
    return Finding(rule, reason, Outcome.REFUSED)


def _require_zone(at: datetime) -> None:
    if at.tzinfo is None:
        msg = "the time of a call is aware of its zone, such as datetime.now(UTC)"
        raise ValueError(msg)
