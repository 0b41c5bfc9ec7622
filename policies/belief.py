"""What a user believes: rules over plain facts about a call, its token and the certificates behind it.

Nothing here reads a file, a clock or a certificate. `trust_store` gathers the facts and asks the rules in the order of
`Rule`; the first that does not pass decides. So a deny of the user's stands above every constraint, and a constraint
above the mere presence of an anchor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NoReturn

from policies.errors import PolicyError
from stir.passport import Passport
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import TnAuthList


class Outcome(StrEnum):
    """What is said of a call in the end."""

    VERIFIED = "verified"
    """An anchor of the user's leads to the caller's number, and no rule forbids."""
    UNVERIFIED = "unverified"
    """Nothing is wrong, but no anchor of the user's leads to it: nobody whom the user believes vouches for it."""
    REFUSED = "refused"
    """A rule forbids to believe it."""


class Purpose(StrEnum):
    """What the caller's number is used for."""

    CALL = "call"
    MESSAGE = "message"


class RevocationMode(StrEnum):
    """What to do where no usable revocation list is at hand."""

    REQUIRED = "required"
    """Refuse."""
    WHEN_AVAILABLE = "when-available"
    """Believe: certificates live for days only."""


class RevocationState(StrEnum):
    """What the revocation lists say of a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class Rule(StrEnum):
    """The rules by name, in the order in which they are asked."""

    DENIED_NUMBER = "denied-number"
    TOKEN = "token"  # noqa: S105  # the name of a rule
    KIND = "kind"
    CALLER = "caller"
    CALLED = "called"
    FRESHNESS = "freshness"
    MESSAGE_TEXT = "message-text"
    CHAIN = "chain"
    CERTIFIED_NUMBER = "certified-number"
    SIGNATURE = "signature"
    DENIED_CERTIFICATE = "denied-certificate"
    ANCHOR = "anchor"
    VALIDITY = "validity"
    PATH = "path"
    NUMBERS_COVERED = "numbers-covered"
    ANCHOR_NUMBERS = "anchor-numbers"
    LOG_TIMESTAMPS = "log-timestamps"
    LOGGED = "logged"
    ISSUED_NOT_AFTER = "issued-not-after"
    UNTIL = "until"
    INCLUDED = "included"
    REVOCATION = "revocation"
    DUPLICATE = "duplicate"


QUESTIONS: Mapping[Rule, str] = {
    Rule.DENIED_NUMBER: "Is the number free of your denies?",
    Rule.TOKEN: "Is there a well-formed signed token?",
    Rule.KIND: "Is the token of the kind for this use?",
    Rule.CALLER: "Does the token name the number that the call came from?",
    Rule.CALLED: "Does the token name the number that was called?",
    Rule.FRESHNESS: "Was the token signed just now?",
    Rule.MESSAGE_TEXT: "Is the message the one that was signed?",
    Rule.CHAIN: "Are there well-formed certificates, each issued by the next?",
    Rule.CERTIFIED_NUMBER: "Is the first certificate for the caller's number?",
    Rule.SIGNATURE: "Was the token signed with the key of that certificate?",
    Rule.DENIED_CERTIFICATE: "Are the certificates free of your denies?",
    Rule.ANCHOR: "Do the certificates lead to an anchor in your trust store?",
    Rule.VALIDITY: "Is every certificate within its dates?",
    Rule.PATH: "Does the path obey X.509, with the limits that its authorities set?",
    Rule.NUMBERS_COVERED: "May every authority on the path speak for the number?",
    Rule.ANCHOR_NUMBERS: "Do you believe this anchor for the number?",
    Rule.LOG_TIMESTAMPS: "Is everything true that the certificate carries of logs that you know?",
    Rule.LOGGED: "Did as many logs as you ask for take the certificate, where the number's owner finds it?",
    Rule.ISSUED_NOT_AFTER: "Was the certificate issued while you still believe the anchor's work?",
    Rule.UNTIL: "Do you still believe the anchor today?",
    Rule.INCLUDED: "Is it proved, as far as you ask for it, that the logs show what they took?",
    Rule.REVOCATION: "Is no certificate of the path revoked?",
    Rule.DUPLICATE: "Is it the first time that this message comes in?",
}
"""What each rule asks, in words for people; "yes" passes."""

PURPOSE_OF_KIND: Mapping[str | None, Purpose] = {None: Purpose.CALL, "msg": Purpose.MESSAGE}
"""The known values of `ppt`: a plain PASSporT is for a call, `msg` for a message (RFC 9475)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a call, by which rule, and where that stands.

    `reason` is a sentence for people that holds no whole number. `anchor` is the name of the user's anchor that leads
    to the call, None where none does. `source` is the line that decided, such as `trust.toml:12`; None where no line of
    the user's did.
    """

    outcome: Outcome
    rule: Rule
    reason: str
    anchor: str | None = None
    source: str | None = None

    def __bool__(self) -> NoReturn:
        """Refuse: `if verdict:` would take unverified for true."""
        msg = "a verdict is neither true nor false: compare its outcome"
        raise TypeError(msg)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found. `outcome` is what the rule makes of the whole, None where it passes.

    `anchor` is told by the rule that finds it; those after it are about the path to that anchor.
    """

    rule: Rule
    reason: str
    outcome: Outcome | None = None
    anchor: str | None = None
    source: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the next rule is to be asked."""
        return self.outcome is None


@dataclass(frozen=True, slots=True)
class Settings:
    """How strictly the user looks at time, revocation and logs. `sources` says where each value stands."""

    revocation: RevocationMode = RevocationMode.WHEN_AVAILABLE
    call_seconds: int = 60
    """How old a call's token may be (RFC 8224 §6.2.1 recommends sixty seconds)."""
    message_seconds: int = 24 * 60 * 60
    """How old a message's token may be. Within this time the same message is believed once."""
    skew_seconds: int = 10
    """How far the caller's clock, or a log's, may run ahead."""
    scts: int = 0
    """Of how many operators' logs a certificate must carry a timestamp, where the anchor's terms do not say."""
    proofs: int = 0
    """Of how many operators' logs a proof must come with a call that the log shows the certificate's entry."""
    witnesses: int = 0
    """How many operators' witnesses must have cosigned what such a proof leads to."""
    sources: Mapping[str, str] = field(default_factory=dict)

    def longest_age(self, purpose: Purpose) -> int:
        """Return how old a token may be, in seconds."""
        return self.call_seconds if purpose is Purpose.CALL else self.message_seconds


@dataclass(frozen=True, slots=True)
class Deny:
    """Something that the user never believes: exactly one of a number, a prefix or a certificate.

    `certificate` is the SHA-256, in hexadecimal, of a certificate or of its public key (SubjectPublicKeyInfo).
    """

    source: str
    number: TelephoneNumber | None = None
    prefix: NumberPrefix | None = None
    certificate: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a deny of nothing, and one of several things."""
        if [self.number, self.prefix, self.certificate].count(None) != 2:  # noqa: PLR2004  # all but one
            msg = "a deny names exactly one of a number, a prefix or a certificate"
            raise PolicyError(msg)

    def forbids_number(self, number: TelephoneNumber) -> bool:
        """Tell whether the number is one that the user never believes."""
        return number == self.number or (self.prefix is not None and self.prefix.covers(number))


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms the user believes an anchor.

    `prefixes` are the numbers it is believed for, empty for all. The dates are whole days in UTC, and the last one
    counts: `issued_not_after` is held against a certificate's notBefore and the logs' timestamps and never against the
    clock, `until` against the time of the call. `scts` is what it is in the settings, None to take that one. `logs`
    names the only logs whose timestamps and proofs count for this anchor, empty for all that the user knows. `sources`
    says where each constraint stands, `source` where the anchor does.
    """

    name: str
    operator: str
    source: str
    prefixes: tuple[NumberPrefix, ...] = ()
    issued_not_after: date | None = None
    until: date | None = None
    scts: int | None = None
    logs: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    def source_of(self, constraint: str) -> str:
        """Return the line at which a constraint stands."""
        return self.sources.get(constraint, self.source)

    def counts(self, log: str) -> bool:
        """Tell whether a log's word counts for this anchor."""
        return not self.logs or log in self.logs


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call apart from its token: the numbers come from the signalling.

    `body` is the MIME body of the message that came in, None where it is not at hand.
    """

    orig: TelephoneNumber
    dest: TelephoneNumber
    at: datetime
    purpose: Purpose
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate of a path. `numbers` is None where it may speak for all.

    `fingerprints` are all names that a deny may have for it; see `trust_store.fingerprints`.
    """

    title: str
    not_before: datetime
    not_after: datetime
    numbers: TnAuthList | None
    fingerprints: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TimestampFacts:
    """That a log, which the user knows by the name `log`, took the certificate `at` a time; all of it was checked."""

    log: str
    operator: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LieFacts:
    """What no honest log and no honest authority puts into a certificate, in a sentence.

    `source` is where the log stands that it is said to be of, None where that cannot be told.
    """

    reason: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class LoggingFacts:
    """What a certificate carries of the logs that the user knows, and how many timestamps of others.

    With a `lie`, the first that was found, it does not matter what else there is.
    """

    timestamps: tuple[TimestampFacts, ...] = ()
    lie: LieFacts | None = None
    strangers: int = 0


@dataclass(frozen=True, slots=True)
class ProofFacts:
    """What is known of a proof that came with a call, that a log shows the certificate's entry.

    `log` and `operator` say whose it is, and `witnesses` the operators of the user's witnesses that cosigned. `fault`
    is why it proves nothing.
    """

    log: str = ""
    operator: str = ""
    witnesses: frozenset[str] = frozenset()
    fault: str | None = None


_NOTHING_OF_LOGS = LoggingFacts()


@dataclass(frozen=True, slots=True)
class PathFacts:
    """A path from a number's certificate up to an anchor: that one first, the anchor last.

    `fault` is what the X.509 verifier has against the path, None where it accepts it. `logging` is about the number's
    certificate.
    """

    certificates: tuple[CertificateFacts, ...]
    terms: Terms
    fault: str | None = None
    logging: LoggingFacts = _NOTHING_OF_LOGS


@dataclass(frozen=True, slots=True)
class RevocationFacts:
    """What the revocation lists say of one certificate of a path, in a word and in a sentence.

    `as_of` is when the list was signed that does not name a good one.
    """

    state: RevocationState
    reason: str
    as_of: datetime | None = None


def denied_number(number: TelephoneNumber, denies: Iterable[Deny]) -> Finding:
    """Refuse a number that the user denies, whoever vouches for it."""
    for deny in denies:
        if deny.forbids_number(number):
            what = "this number" if deny.prefix is None else f"numbers that begin with {deny.prefix.e164}"
            return _refused(Rule.DENIED_NUMBER, f"you deny {what}{_noted(deny)}", deny.source)
    return _NUMBER_NOT_DENIED


def denied_certificate(certificates: Iterable[CertificateFacts], denies: Iterable[Deny]) -> Finding:
    """Refuse certificates among which is one that the user denies."""
    by_fingerprint = {deny.certificate: deny for deny in denies if deny.certificate is not None}
    for certificate in certificates if by_fingerprint else ():
        for fingerprint in sorted(certificate.fingerprints & by_fingerprint.keys()):
            deny = by_fingerprint[fingerprint]
            return _refused(Rule.DENIED_CERTIFICATE, f"you deny {certificate.title}{_noted(deny)}", deny.source)
    return _CERTIFICATES_NOT_DENIED


def on_statement(statement: Passport, call: CallFacts, settings: Settings) -> Iterator[Finding]:
    """Hold what the token says against the call that came in (RFC 8224 §6.2, RFC 9475 §3)."""
    yield _kind(statement, call)
    yield _caller(statement, call)
    yield _called(statement, call)
    yield _freshness(statement, call, settings)
    if call.purpose is Purpose.MESSAGE:
        yield _message_text(statement, call)


def certified_number(certified: TelephoneNumber, call: CallFacts) -> Finding:
    """Refuse a certificate that is for another number than the call came from."""
    if certified != call.orig:
        reason = f"the certificate is for {certified.masked}, but the {call.purpose} came from {call.orig.masked}"
        return _refused(Rule.CERTIFIED_NUMBER, reason)
    return _CALLER_IS_CERTIFIED


def on_path(path: PathFacts, number: TelephoneNumber, at: datetime, settings: Settings) -> Iterator[Finding]:
    """Hold a path that leads to an anchor against the dates, X.509, the numbers, the logs and the user's terms."""
    terms = path.terms
    reason = f"the certificates lead to {terms.name} ({terms.operator})"
    yield Finding(Rule.ANCHOR, reason, anchor=terms.name, source=terms.source)
    yield _validity(path, at)
    yield _WITHIN_X509 if path.fault is None else _refused(Rule.PATH, path.fault)
    yield _numbers_covered(path, number)
    yield _anchor_numbers(terms, number)
    yield _log_timestamps(path.logging)
    yield _logged(path.logging, terms, at, settings)
    yield _issued_not_after(terms, path.certificates[0], path.logging)
    yield _until(terms, at)


def included(proofs: Iterable[ProofFacts], terms: Terms, settings: Settings) -> Finding:
    """Refuse a call without as many proofs as the user asks for that logs show the certificate's entry.

    A proof that fails counts as nothing: it comes beside the token, so anybody on the way may have spoiled it.
    """
    judged = [(proof.operator, _against_proof(proof, terms, settings)) for proof in proofs]
    operators = frozenset(operator for operator, against in judged if against is None)
    failures = "".join(f"; {against}" for _, against in judged if against is not None)
    source = settings.sources.get("proofs")
    if len(operators) < settings.proofs:
        asked = f"you ask for proofs of {_logs_of(settings.proofs)}, and with it came {_those_of(operators)}"
        return _refused(Rule.INCLUDED, asked + failures, source)
    if not operators:
        return Finding(Rule.INCLUDED, f"no proof counts, and you ask for none{failures}") if judged else _NO_PROOF
    return Finding(Rule.INCLUDED, f"proved by the logs of {_listed(operators)}{failures}", source=source)


def revocation(facts: Iterable[RevocationFacts], settings: Settings) -> Finding:
    """Refuse a path on which a certificate is revoked or, where the user requires it, may be without our knowing."""
    unknown: RevocationFacts | None = None
    oldest: datetime | None = None
    for fact in facts:
        if fact.state is RevocationState.REVOKED:
            return _refused(Rule.REVOCATION, fact.reason)
        if fact.state is RevocationState.UNKNOWN:
            unknown = unknown or fact
        if fact.as_of is not None:
            oldest = fact.as_of if oldest is None else min(oldest, fact.as_of)
    if unknown is None:
        return _not_revoked(oldest)
    source = settings.sources.get("revocation")
    if settings.revocation is RevocationMode.REQUIRED:
        return _refused(Rule.REVOCATION, unknown.reason, source)
    return _not_checked(unknown.reason, source)


def duplicate(*, first: bool) -> Finding:
    """Refuse a message that was believed before."""
    return _FIRST_TIME if first else _refused(Rule.DUPLICATE, "this very message came in before: it is a copy")


def in_order(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings up to and with the first that does not pass; later rules are not asked."""
    for finding in findings:
        yield finding
        if not finding.passed:
            return


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict of the rules that were asked: that of the first that did not pass.

    Where all passed, the anchor decides; where none was found, nobody vouches, and nothing is verified.
    """
    anchor: Finding | None = None
    for finding in findings:
        if finding.outcome is not None:
            name = None if anchor is None else anchor.anchor
            return Verdict(finding.outcome, finding.rule, finding.reason, name, finding.source)
        if finding.rule is Rule.ANCHOR:
            anchor = finding
    if anchor is None:
        return Verdict(Outcome.UNVERIFIED, Rule.ANCHOR, "no anchor was found that vouches for this")
    return Verdict(Outcome.VERIFIED, Rule.ANCHOR, anchor.reason, anchor.anchor, anchor.source)


_NUMBER_NOT_DENIED = Finding(Rule.DENIED_NUMBER, "you do not deny this number")
_OF_ITS_KIND = Finding(Rule.KIND, "the token is of the kind for this use")
_CALLER_IS_NAMED = Finding(Rule.CALLER, "the token names the number that this came from")
_CALLED_IS_NAMED = Finding(Rule.CALLED, "the token names the number that this went to")
_TEXT_NOT_GIVEN = Finding(Rule.MESSAGE_TEXT, "not compared: only the sender is judged, as the message was not given")
_TEXT_AS_SIGNED = Finding(Rule.MESSAGE_TEXT, "the message is the one that was signed")
_CALLER_IS_CERTIFIED = Finding(Rule.CERTIFIED_NUMBER, "the certificate is for the number that this came from")
_CERTIFICATES_NOT_DENIED = Finding(Rule.DENIED_CERTIFICATE, "you deny none of the certificates")
_WITHIN_DATES = Finding(Rule.VALIDITY, "every certificate is within its dates")
_WITHIN_X509 = Finding(Rule.PATH, "the path obeys X.509 and the limits set in it")
_NUMBER_COVERED = Finding(Rule.NUMBERS_COVERED, "every authority on the path may speak for the number")
_FOR_ALL_NUMBERS = Finding(Rule.ANCHOR_NUMBERS, "you believe the anchor for all numbers")
_NOTHING_FALSE = Finding(Rule.LOG_TIMESTAMPS, "everything is true that it carries of logs that you know")
_NOTHING_CARRIED = Finding(Rule.LOG_TIMESTAMPS, "it carries nothing of logs that you know")
_NO_LOG_ASKED_FOR = Finding(Rule.LOGGED, "it carries no timestamp that counts, and you ask for none")
_NO_PROOF = Finding(Rule.INCLUDED, "no proof came with it, and you ask for none")
_NO_LAST_ISSUE = Finding(Rule.ISSUED_NOT_AFTER, "you set no such date")
_NO_LAST_DAY = Finding(Rule.UNTIL, "you set no such date")
_FIRST_TIME = Finding(Rule.DUPLICATE, "this message did not come in before")


@lru_cache(maxsize=128)
def _not_revoked(as_of: datetime | None) -> Finding:
    told = "" if as_of is None else f", as of {as_of:%Y-%m-%d %H:%M} UTC"
    return Finding(Rule.REVOCATION, f"no certificate of the path is revoked{told}")


@lru_cache(maxsize=128)
def _not_checked(reason: str, source: str | None) -> Finding:
    return Finding(Rule.REVOCATION, f"not checked: {reason}", source=source)


def _kind(statement: Passport, call: CallFacts) -> Finding:
    if PURPOSE_OF_KIND.get(statement.ppt) is not call.purpose:
        kind = "a plain token" if statement.ppt is None else f"a {statement.ppt!r} token"
        return _refused(Rule.KIND, f"{kind} says nothing about a {call.purpose}")
    return _OF_ITS_KIND


def _caller(statement: Passport, call: CallFacts) -> Finding:
    if statement.orig != call.orig:
        reason = f"the {call.purpose} came from {call.orig.masked}, but the token is signed for {statement.orig.masked}"
        return _refused(Rule.CALLER, reason)
    return _CALLER_IS_NAMED


def _called(statement: Passport, call: CallFacts) -> Finding:
    if call.dest.digits not in statement.dest:
        reason = f"the token was signed for a {call.purpose} to somebody else than {call.dest.masked}"
        return _refused(Rule.CALLED, reason)
    return _CALLED_IS_NAMED


def _freshness(statement: Passport, call: CallFacts, settings: Settings) -> Finding:
    age = call.at.timestamp() - statement.issued_at
    longest = settings.longest_age(call.purpose)
    if age > longest:
        source = settings.sources.get(f"{call.purpose}_seconds")
        reason = f"the token is {_span(age)} old; a {call.purpose}'s may be {_span(longest)} old"
        return _refused(Rule.FRESHNESS, reason, source)
    if age < -settings.skew_seconds:
        source = settings.sources.get("skew_seconds")
        reason = f"the token is dated {_span(-age)} ahead of this clock; one of the two clocks is wrong"
        return _refused(Rule.FRESHNESS, reason, source)
    return _fresh(math.ceil(max(age, 0)))


@lru_cache(maxsize=128)
def _fresh(seconds: int) -> Finding:
    return Finding(Rule.FRESHNESS, f"the token is {_span(seconds)} old")


def _message_text(statement: Passport, call: CallFacts) -> Finding:
    if call.body is None:
        return _TEXT_NOT_GIVEN
    if not statement.is_about(call.body):
        return _refused(Rule.MESSAGE_TEXT, "the message is not the one that was signed")
    return _TEXT_AS_SIGNED


def _validity(path: PathFacts, at: datetime) -> Finding:
    """RFC 5280 §4.1.2.5: from notBefore through notAfter, in whole seconds."""
    moment = at.replace(microsecond=0)
    for certificate in path.certificates:
        if moment < certificate.not_before:
            begins = f"{certificate.not_before:%Y-%m-%d %H:%M:%S} UTC"
            return _refused(Rule.VALIDITY, f"{certificate.title} is not valid before {begins}")
        if moment > certificate.not_after:
            ended = f"{certificate.not_after:%Y-%m-%d %H:%M:%S} UTC"
            return _refused(Rule.VALIDITY, f"{certificate.title} expired at {ended}")
    return _WITHIN_DATES


def _numbers_covered(path: PathFacts, number: TelephoneNumber) -> Finding:
    """RFC 9060 §4.1: an authority's numbers encompass those of what it issues; the number is among all of them."""
    below = path.certificates[0].numbers
    if below is None:
        return _refused(Rule.NUMBERS_COVERED, f"{path.certificates[0].title} lists no number (RFC 8226 §9)")
    for certificate in path.certificates:
        own = certificate.numbers
        if own is None:
            continue
        if not own.covers_number(number):
            reason = f"{certificate.title} may not speak for {number.masked}: its TNAuthList does not list the number"
            return _refused(Rule.NUMBERS_COVERED, reason)
        if not own.covers(below):
            reason = f"{certificate.title} certified numbers below it that are not its own (RFC 9060 §4.1)"
            return _refused(Rule.NUMBERS_COVERED, reason)
        below = own
    return _NUMBER_COVERED


def _anchor_numbers(terms: Terms, number: TelephoneNumber) -> Finding:
    if not terms.prefixes:
        return _FOR_ALL_NUMBERS
    source = terms.source_of("prefixes")
    allowed = ", ".join(prefix.e164 for prefix in terms.prefixes)
    if not any(prefix.covers(number) for prefix in terms.prefixes):
        reason = f"you believe {terms.name} only for numbers that begin with {allowed}"
        return _refused(Rule.ANCHOR_NUMBERS, reason, source)
    return Finding(Rule.ANCHOR_NUMBERS, f"you believe {terms.name} for {allowed}", source=source)


def _log_timestamps(logging: LoggingFacts) -> Finding:
    """Refuse a certificate with a false timestamp: its authority put it there, so that one or the log lies."""
    if logging.lie is not None:
        return _refused(Rule.LOG_TIMESTAMPS, logging.lie.reason, logging.lie.source)
    return _NOTHING_FALSE if logging.timestamps else _NOTHING_CARRIED


def _logged(logging: LoggingFacts, terms: Terms, at: datetime, settings: Settings) -> Finding:
    """Refuse a certificate that too few operators' logs took."""
    asked = settings.scts if terms.scts is None else terms.scts
    source = settings.sources.get("scts") if terms.scts is None else terms.source_of("scts")
    if not asked and not logging.timestamps:
        return _NO_LOG_ASKED_FOR
    judged = [(one.operator, _against_timestamp(one, terms, at, settings)) for one in logging.timestamps]
    operators = frozenset(operator for operator, against in judged if against is None)
    if len(operators) < asked:
        strangers = f"; {logging.strangers} of logs that you do not know" if logging.strangers else ""
        failures = "".join(f"; {against}" for _, against in judged if against is not None)
        reason = f"you ask for timestamps of {_logs_of(asked)}, and the certificate carries {_those_of(operators)}"
        return _refused(Rule.LOGGED, f"{reason}{strangers}{failures}", source)
    return _taken_by(operators, source) if operators else _NO_LOG_ASKED_FOR


def _against_timestamp(timestamp: TimestampFacts, terms: Terms, at: datetime, settings: Settings) -> str | None:
    """Say why a timestamp does not count; RFC 6962 §5.2: one of the future does not."""
    if not terms.counts(timestamp.log):
        return f"that of {timestamp.log} does not count for {terms.name}"
    if timestamp.at > at + timedelta(seconds=settings.skew_seconds):
        return f"that of {timestamp.log} is of the future: this clock or the log's is wrong"
    return None


def _against_proof(proof: ProofFacts, terms: Terms, settings: Settings) -> str | None:
    """Say why a proof does not count."""
    if proof.fault is not None:
        return proof.fault
    if not terms.counts(proof.log):
        return f"that of {proof.log} does not count for {terms.name}"
    if len(proof.witnesses) < settings.witnesses:
        few = f"{len(proof.witnesses)} of your witnesses' operators cosigned"
        return f"{few} that of {proof.log}, and you ask for {settings.witnesses}"
    return None


@lru_cache(maxsize=128)
def _taken_by(operators: frozenset[str], source: str | None) -> Finding:
    return Finding(Rule.LOGGED, f"it was taken by the logs of {_listed(operators)}", source=source)


def _issued_not_after(terms: Terms, leaf: CertificateFacts, logging: LoggingFacts) -> Finding:
    """Hold notBefore, which the authority writes, and the timestamps, which only the logs can, to the last day."""
    last = terms.issued_not_after
    if last is None:
        return _NO_LAST_ISSUE
    source = terms.source_of("issued_not_after")
    end = _end_of(last)
    dates = [f"issued on {leaf.not_before:%Y-%m-%d}"] if leaf.not_before >= end else []
    dates.extend(f"taken by the log {one.log} on {one.at:%Y-%m-%d}" for one in logging.timestamps if one.at >= end)
    if dates:
        reason = f"the certificate was {dates[0]}, and you believe {terms.name} only for what it issued up to {last}"
        return _refused(Rule.ISSUED_NOT_AFTER, reason, source)
    return Finding(Rule.ISSUED_NOT_AFTER, f"it was issued no later than {last}", source=source)


def _until(terms: Terms, at: datetime) -> Finding:
    last = terms.until
    if last is None:
        return _NO_LAST_DAY
    source = terms.source_of("until")
    if at >= _end_of(last):
        return _refused(Rule.UNTIL, f"you believed {terms.name} until {last}", source)
    return Finding(Rule.UNTIL, f"you believe {terms.name} until {last}", source=source)


def _refused(rule: Rule, reason: str, source: str | None = None) -> Finding:
    return Finding(rule, reason, Outcome.REFUSED, source=source)


def _logs_of(count: int) -> str:
    return "the logs of one operator" if count == 1 else f"the logs of {count} operators"


def _those_of(operators: frozenset[str]) -> str:
    return f"only those of {_listed(operators)}" if operators else "none that counts"


def _listed(operators: frozenset[str]) -> str:
    return " and ".join(sorted(operators))


def _noted(deny: Deny) -> str:
    return f" ({deny.note})" if deny.note else ""


def _end_of(day: date) -> datetime:
    """Return the first moment after a day in UTC; the end of time for the last day that there is."""
    if day == date.max:
        return datetime.max.replace(tzinfo=UTC)
    return datetime.combine(day + timedelta(days=1), time.min, UTC)


def _span(seconds: float) -> str:
    """Say a length of time in one unit."""
    whole = math.ceil(seconds)
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit}s"
    return f"{whole} second{'' if whole == 1 else 's'}"
