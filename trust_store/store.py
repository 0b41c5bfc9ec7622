"""The verdict on a call, a message, a record or a certificate, from one user's trust store.

A `TrustStore` is a snapshot: it reads its files once and never changes, so that threads may share it. `LiveTrustStore`
reads them again when they have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol, Self, TypeAlias

from cryptography import x509

from number_directory.errors import DirectoryError
from number_directory.record import SignedRecord
from policies import belief, verdicts
from policies.facts import CallFacts, RevocationFacts, RevocationState, Use
from policies.quorum import Opinion, Quorums
from policies.terms import Deny, Purpose, Settings
from policies.transitions import Transitions
from policies.verdicts import Finding, Outcome, Rule, Verdict, refused
from stir.certificate import NumberCertificate
from stir.errors import PassportError
from stir.jws import MOST_CHAINS, Chain
from stir.passport import SignedPassport
from trust_store import loading
from trust_store.anchors import Anchor
from trust_store.evidence import Call, DirectoryRecord, Evidence, require_zone
from trust_store.examining import Examined, Examiner
from trust_store.fingerprints import key_sha256_of
from trust_store.home import TrustHome
from trust_store.logs import MOST_PROOFS, KnownLogs, TrustedAuditor, TrustedLog, TrustedWitness
from trust_store.path import REMEMBERED_AUTHORITIES, BuiltPath, PresentedChain
from trust_store.revocation_lists import Fetch, RevocationLists
from trust_store.seen_messages import MessagesInFile, MessagesInMemory, SeenMessages, message_key
from trust_store.subscriptions.layer import SubscribedList

MOST_CERTIFICATES = 32
"""How many certificates are looked at, in all chains together."""


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
class Explanation:
    """A verdict, with what each rule found that was asked, in order. The rules after the deciding one were not."""

    verdict: Verdict
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Certified:
    """A number's certificate that is believed, and the chain in which it was presented.

    `authorities` are those above it up to the anchor. Whoever presents a chain may put anything behind what leads to an
    anchor: that is left out.
    """

    leaf: NumberCertificate
    authorities: Chain
    presented: Chain


@dataclass(frozen=True, slots=True)
class _Weighed:
    """What was found of one chain, from its form on, and the paths from it that are believed."""

    findings: tuple[Finding, ...]
    believed: tuple[BuiltPath, ...] = ()
    chain: PresentedChain | None = None


_IsFirst: TypeAlias = Callable[[bytes, float], bool]
_AboutLeaf: TypeAlias = Callable[[NumberCertificate], Iterable[Finding]]


class TrustStore:
    """Whom one user believes: anchors on the user's terms, denies, quorums, settings, logs and witnesses.

    `judge` asks nobody over the network: it uses the revocation lists that are at hand, unless it was loaded with a
    way to fetch them. No token and no chain makes it raise.
    """

    def __init__(  # noqa: PLR0913  # the parts of a store, each with its own emptiness
        self,
        anchors: Iterable[Anchor] = (),
        denies: Iterable[Deny] = (),
        settings: Settings | None = None,
        *,
        quorums: Quorums | None = None,
        transitions: Transitions | None = None,
        logs: KnownLogs | None = None,
        lists: tuple[SubscribedList, ...] = (),
        file: Path = Path("trust.toml"),
        files: tuple[Path, ...] = (),
        revocation: RevocationSource | None = None,
        seen: SeenMessages | None = None,
    ) -> None:
        """Take the parts of a store; `load` reads them from the user's files, which are then told as `files`."""
        self.anchors = tuple(anchors)
        self.denies = tuple(denies)
        self.settings = settings or Settings()
        self.quorums = quorums or Quorums()
        self.transitions = transitions or Transitions()
        self._known_logs = logs or KnownLogs()
        self.lists = lists
        self.file = file
        self.files = files
        self._revocation = revocation or NoRevocationLists()
        self._seen = seen or MessagesInMemory()
        denies_certificates = any(deny.certificate is not None for deny in self.denies)
        self._examiner = Examiner(self.anchors, self._known_logs, fingerprints=denies_certificates)

    @classmethod
    def load(cls, path: Path | None = None, *, fetch: Fetch | None = None, defaults: Path | None = None) -> Self:
        """Read the user's store, or the one of the `trust.toml` at `path`; one that is missing is empty.

        `defaults` is the `trust.toml` that an app ships, which the user overrides. With `fetch`, such as
        `trust_store.fetching.fetch`, `judge` asks for revocation lists once a path is otherwise believed. Raises
        TrustFileError.
        """
        home = TrustHome.of_user() if path is None else TrustHome.beside(path)
        lists = RevocationLists(home.revocation_lists, fetch)
        return cls.of_home(home, lists, MessagesInFile(home.seen_messages), defaults=defaults)

    @classmethod
    def of_home(
        cls, home: TrustHome, revocation: RevocationSource, seen: SeenMessages, *, defaults: Path | None = None
    ) -> Self:
        """Read a store's files; who knows of revocations and of earlier messages is given. Raises TrustFileError."""
        parts = loading.load(home, defaults)
        return cls(
            parts.anchors,
            parts.denies,
            parts.settings,
            quorums=parts.quorums,
            transitions=parts.transitions,
            logs=parts.logs,
            lists=parts.lists,
            file=home.trust_file,
            files=parts.files,
            revocation=revocation,
            seen=seen,
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

    def judge(self, evidence: Evidence) -> Verdict:
        """Return the verdict on a call, a message or a record; a verified message is a copy the next time.

        Raises MemoryFileError where a message cannot be remembered.
        """

        def is_first(key: bytes, expires: float) -> bool:
            return self._seen.is_first(key, expires, evidence.at)

        return verdicts.verdict(self._about(evidence, is_first))

    def explain(self, evidence: Evidence) -> Explanation:
        """Return the verdict on a call, a message or a record with what each rule found. Nothing is remembered."""
        return self._explain(self._about(evidence, lambda key, _: not self._seen.is_known(key)))

    def judge_chain(
        self,
        chain: Sequence[x509.Certificate],
        at: datetime,
        proofs: Sequence[bytes] = (),
        purpose: Purpose | None = None,
        more_chains: Sequence[Sequence[x509.Certificate]] = (),
        app: str | None = None,
    ) -> Verdict:
        """Return the verdict on a number's certificate, given first, with those of the authorities above it."""
        return self.explain_chain(chain, at, proofs, purpose, more_chains, app).verdict

    def explain_chain(
        self,
        chain: Sequence[x509.Certificate],
        at: datetime,
        proofs: Sequence[bytes] = (),
        purpose: Purpose | None = None,
        more_chains: Sequence[Sequence[x509.Certificate]] = (),
        app: str | None = None,
    ) -> Explanation:
        """Return the verdict on a number's certificate with what each rule found.

        `proofs` are as in a `Call`. Without a `purpose`, no limit to some uses is asked about. `more_chains` are those
        of other authorities for the same key, which a quorum counts; `app` is the one that it may be for.
        """
        require_zone(at)
        chains = tuple(tuple(one) for one in (chain, *more_chains) if one)
        return self._explain(self._about_certificates(chains, at, proofs, purpose, app))

    def judge_together(
        self, chains: Sequence[Chain], at: datetime, purpose: Purpose, app: str | None = None
    ) -> tuple[Verdict, Certified | None]:
        """Return the verdict on certificates of one number and key, and what is believed first; None if nothing is."""
        require_zone(at)
        weighed: list[_Weighed] = []
        found = verdicts.verdict(self._about_certificates(tuple(chains), at, (), purpose, app, weighed))
        return found, _first_believed(weighed) if found.outcome is Outcome.VERIFIED else None

    @staticmethod
    def _explain(findings: Iterable[Finding]) -> Explanation:
        found = verdicts.in_order(findings)
        return Explanation(verdicts.verdict(found), found)

    # What each rule finds, in the order of `Rule`. Each of these is left at its first finding that does not pass: what
    # comes after a finding may rely on it.

    def _about(self, evidence: Evidence, is_first: _IsFirst) -> Iterator[Finding]:
        if isinstance(evidence, DirectoryRecord):
            return self._about_record(evidence)
        return self._about_call(evidence, is_first)

    def _about_call(self, call: Call, is_first: _IsFirst) -> Iterator[Finding]:
        yield belief.denied_number(call.orig, self.denies)
        try:
            signed = SignedPassport.parse(call.token)
        except PassportError as error:
            yield refused(Rule.TOKEN, str(error))
        else:
            yield _WELL_FORMED
            facts = CallFacts(call.orig, call.dest, call.at, call.purpose, call.body)
            yield from belief.on_statement(signed.passport, facts, self.settings)
            use = Use(call.orig, call.at, call.purpose, call.app)
            yield from self._about_chains(signed.chains or call.chains, use, call.proofs, _signed_by(signed, use))
            if call.purpose is Purpose.MESSAGE:
                expires = signed.passport.issued_at + self.settings.message_seconds + self.settings.skew_seconds
                yield belief.duplicate(first=is_first(message_key(signed.passport, call.dest), expires))

    def _about_record(self, asked: DirectoryRecord) -> Iterator[Finding]:
        yield belief.denied_number(asked.number, self.denies)
        try:
            signed = SignedRecord.parse(asked.token)
        except DirectoryError as error:
            yield refused(Rule.TOKEN, str(error))
        else:
            yield _WELL_FORMED
            yield from belief.on_record(signed.record, asked.number, asked.app, asked.at, self.settings)
            use = Use(asked.number, asked.at, Purpose.RECORD, asked.app)
            yield from self._about_chains(signed.chains, use, asked.proofs, _signed_by(signed, use))

    def _about_certificates(
        self,
        chains: tuple[Chain, ...],
        at: datetime,
        proofs: Sequence[bytes],
        purpose: Purpose | None,
        app: str | None,
        weighed: list[_Weighed] | None = None,
    ) -> Iterator[Finding]:
        """Judge certificates alone; those of the first chain say of which number and key all are to be."""
        first = self._examiner.examine(chains[0], at) if chains else _NOBODY_VOUCHES
        if isinstance(first, Finding):
            yield first
        else:
            leaf = first.chain.leaf
            yield belief.denied_number(leaf.number, self.denies)
            use = Use(leaf.number, at, purpose, app)
            yield from self._about_chains(chains, use, proofs, lambda one: _alike(one, leaf), weighed)

    def _about_chains(
        self,
        chains: tuple[Chain, ...],
        use: Use,
        proofs: Sequence[bytes],
        about_leaf: _AboutLeaf,
        weighed: list[_Weighed] | None = None,
    ) -> Iterator[Finding]:
        """Yield what is found on the first chain that is believed and, where a quorum is asked for, on all together.

        What was weighed is put into `weighed`.
        """
        every = bool(self.quorums.asked(use))
        weighed = [] if weighed is None else weighed
        counted = self.quorums.judge(use, ())
        for chain in _few(chains):
            weighed.append(self._weigh(chain, use, proofs, about_leaf, every=every))
            counted = self._counted(use, weighed) if every else counted
            if weighed[-1].believed and counted.passed:
                break
        yield from _most_telling(weighed)
        yield counted

    def _counted(self, use: Use, weighed: list[_Weighed]) -> Finding:
        opinions = (_opinion(one.believed) for one in weighed if one.believed)
        against = (one.findings[-1].reason for one in weighed if not one.believed)
        return self.quorums.judge(use, opinions, against)

    def _weigh(
        self, chain: Chain, use: Use, proofs: Sequence[bytes], about_leaf: _AboutLeaf, *, every: bool
    ) -> _Weighed:
        examined = self._examiner.examine(chain, use.at)
        if isinstance(examined, Finding):
            return _Weighed((examined,))
        begun = verdicts.in_order(about_leaf(examined.chain.leaf))
        if not begun[-1].passed:
            return _Weighed(begun)
        return self._weigh_paths(begun, examined, use, proofs, every=every)

    def _weigh_paths(
        self, begun: tuple[Finding, ...], examined: Examined, use: Use, proofs: Sequence[bytes], *, every: bool
    ) -> _Weighed:
        """Return what is found on the first path that passes or, where none does, on the first of all."""
        denied = belief.denied_certificate(examined.chain.facts, self.denies)
        if not denied.passed:
            return _Weighed((*begun, denied))
        if not examined.paths:
            return _Weighed((*begun, denied, self._no_anchor()))
        tried: list[tuple[BuiltPath, tuple[Finding, ...]]] = []
        for path in examined.paths:
            tried.append((path, verdicts.in_order(self._about_path(path, use, proofs))))
            if tried[-1][1][-1].passed and not every:
                break
        passed = [(path, found) for path, found in tried if found[-1].passed]
        told = passed[0][1] if passed else _together(tried)
        return _Weighed((*begun, *told), tuple(path for path, _ in passed), examined.chain)

    def _about_path(self, path: BuiltPath, use: Use, proofs: Sequence[bytes]) -> Iterator[Finding]:
        yield belief.denied_certificate(path.facts.certificates, self.denies)
        yield from belief.on_path(path.facts, use, self.settings, self.transitions)
        checked = [self._known_logs.check(proof, path.logging) for proof in proofs[:MOST_PROOFS]]
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
        lacks = [f"{one.lack}: run `answerback trust update`" for one in self.lists if one.lack is not None]
        reason = "; ".join((reason, *lacks))
        return Finding(Rule.ANCHOR, reason, Outcome.UNVERIFIED, source=self.file.name)


_WELL_FORMED = Finding(Rule.TOKEN, "the token is well formed")
_IS_CHAIN = Finding(Rule.CHAIN, "the certificates are well formed, and each names the next as its issuer")
_IS_SIGNED = Finding(Rule.SIGNATURE, "the token was signed with the certificate's key")
_NOBODY_VOUCHES = Finding(Rule.CHAIN, "no certificates came with it, so nobody vouches for it", Outcome.UNVERIFIED)


def _few(chains: tuple[Chain, ...]) -> Iterator[Chain]:
    """Yield the chains that are looked at: the first, and as many certificates as an honest caller has."""
    certificates = 0
    for index, chain in enumerate(chains[:MOST_CHAINS]):
        certificates += len(chain)
        if index == 0 or certificates <= MOST_CERTIFICATES:
            yield chain


def _signed_by(signed: SignedPassport | SignedRecord, use: Use) -> _AboutLeaf:
    """Return what is asked of the first certificate of each chain beside a token; each key is tried once."""
    tried: list[tuple[object, Finding]] = []

    def about_leaf(leaf: NumberCertificate) -> Iterator[Finding]:
        yield _IS_CHAIN
        yield belief.certified_number(leaf.number, use)
        known = next((found for key, found in tried if key == leaf.public_key), None)
        if known is None:
            known = _signature(signed, leaf)
            tried.append((leaf.public_key, known))
        yield known

    return about_leaf


def _signature(signed: SignedPassport | SignedRecord, leaf: NumberCertificate) -> Finding:
    try:
        signed.verify(leaf.public_key)
    except (PassportError, DirectoryError) as error:
        return refused(Rule.SIGNATURE, str(error))
    return _IS_SIGNED


def _alike(leaf: NumberCertificate, first: NumberCertificate) -> Iterator[Finding]:
    """Refuse a further certificate that is not of the first one's number and key."""
    yield _IS_CHAIN
    if (leaf.number, leaf.public_key) != (first.number, first.public_key):
        yield refused(Rule.SIGNATURE, "the certificate is for another number or key than the first one")


_authority_key = lru_cache(REMEMBERED_AUTHORITIES)(key_sha256_of)


def _opinion(paths: tuple[BuiltPath, ...]) -> Opinion:
    """Return whose opinion the paths from one chain are: the authority's that signed the number's certificate."""
    return Opinion(_authority_key(paths[0].certificates[1]), tuple(path.facts.terms.name for path in paths))


def _first_believed(weighed: Iterable[_Weighed]) -> Certified | None:
    """Return what the verdict stands on: the first path that is believed of the first chain that is."""
    return next(
        (
            Certified(one.chain.leaf, one.believed[0].certificates[1:], one.chain.certificates)
            for one in weighed
            if one.chain is not None and one.believed
        ),
        None,
    )


def _most_telling(weighed: list[_Weighed]) -> tuple[Finding, ...]:
    """Return the findings on the first chain that is believed, or on one that is refused and on why no other is."""
    if not weighed:
        return (_NOBODY_VOUCHES,)
    believed = next((one.findings for one in weighed if one.believed), None)
    if believed is not None or len(weighed) == 1:
        return believed or weighed[0].findings
    told = max(weighed, key=lambda one: (one.findings[-1].outcome is Outcome.REFUSED, len(one.findings)))
    *passed, decisive = told.findings
    others = (f"; nor by another chain: {one.findings[-1].reason}" for one in weighed if one is not told)
    return (*passed, replace(decisive, reason="".join((decisive.reason, *others))))


def _together(tried: list[tuple[BuiltPath, tuple[Finding, ...]]]) -> tuple[Finding, ...]:
    """Return the findings on the first path, whose last says what stands against the others as well."""
    *passed, decisive = tried[0][1]
    others = (f"; nor by {path.facts.terms.name}: {found[-1].reason}" for path, found in tried[1:])
    return (*passed, replace(decisive, reason="".join((decisive.reason, *others))))
