"""What a user believes: the rules, over plain facts about a call, its token and the certificates behind it.

Nothing here reads a file, a clock or a certificate. `trust_store` gathers the facts and asks the rules in the order of
`Rule`; the first that does not pass decides. So a deny of the user's stands above every constraint, and a constraint
above the mere presence of an anchor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from number_directory.record import Record
from policies.facts import (
    CallFacts,
    CertificateFacts,
    LoggingFacts,
    PathFacts,
    ProofFacts,
    RevocationFacts,
    RevocationState,
    TimestampFacts,
    Use,
)
from policies.terms import Deny, Purpose, RevocationMode, Settings, Standing, Terms
from policies.transitions import Transitions
from policies.verdicts import Finding, Outcome, Rule, refused
from stir.passport import Passport
from stir.telephone_number import TelephoneNumber

PURPOSE_OF_KIND: Mapping[str | None, Purpose] = {None: Purpose.CALL, "msg": Purpose.MESSAGE}
"""The known values of `ppt`: a plain PASSporT is for a call, `msg` for a message (RFC 9475)."""

CLOCK_IS_DOUBTED_WITHIN = timedelta(days=2)
"""A certificate that begins sooner than this tells of a wrong clock; one that begins later was made for later."""


_NO_TRANSITIONS = Transitions()


def denied_number(number: TelephoneNumber, denies: Iterable[Deny]) -> Finding:
    """Refuse a number that the user denies, whoever vouches for it."""
    for deny in denies:
        if deny.forbids_number(number):
            what = "this number" if deny.prefix is None else f"numbers that begin with {deny.prefix.e164}"
            return refused(Rule.DENIED_NUMBER, f"you deny {what}{_noted(deny)}", deny.source)
    return _NUMBER_NOT_DENIED


def denied_certificate(certificates: Iterable[CertificateFacts], denies: Iterable[Deny]) -> Finding:
    """Refuse certificates among which is one that the user denies."""
    by_fingerprint = {deny.certificate: deny for deny in denies if deny.certificate is not None}
    for certificate in certificates if by_fingerprint else ():
        for fingerprint in sorted(certificate.fingerprints & by_fingerprint.keys()):
            deny = by_fingerprint[fingerprint]
            return refused(Rule.DENIED_CERTIFICATE, f"you deny {certificate.title}{_noted(deny)}", deny.source)
    return _CERTIFICATES_NOT_DENIED


def on_statement(statement: Passport, call: CallFacts, settings: Settings) -> Iterator[Finding]:
    """Hold what the token says against the call that came in (RFC 8224 §6.2, RFC 9475 §3)."""
    yield _kind(statement, call)
    yield _caller(statement, call)
    yield _called(statement, call)
    yield _freshness(statement, call, settings)
    if call.purpose is Purpose.MESSAGE:
        yield _message_text(statement, call)


def on_record(record: Record, number: TelephoneNumber, app: str, at: datetime, settings: Settings) -> Iterator[Finding]:
    """Hold what a record says against what was asked for, and when."""
    if (record.number, record.app) != (number, app):
        reason = f"the record is of {record.number.masked} in {record.app}, and not of {number.masked} in {app}"
        yield refused(Rule.RECORD, reason)
    yield _ASKED_FOR
    yield _in_force(record, at, settings)


def certified_number(certified: TelephoneNumber, use: Use) -> Finding:
    """Refuse a certificate that is for another number than the call came from, or the record is of."""
    if certified != use.number:
        about = "the record is of" if use.purpose is Purpose.RECORD else f"the {use.purpose} came from"
        reason = f"the certificate is for {certified.masked}, but {about} {use.number.masked}"
        return refused(Rule.CERTIFIED_NUMBER, reason)
    return _NUMBER_IS_CERTIFIED


def on_path(
    path: PathFacts, use: Use, settings: Settings, transitions: Transitions = _NO_TRANSITIONS
) -> Iterator[Finding]:
    """Hold a path that leads to an anchor against the dates, X.509, the numbers, the logs and the user's terms."""
    terms = path.terms
    yield _leads_to(terms.name, terms.operator, terms.source)
    yield _list(terms.standing, use.at)
    yield _clock(path.certificates[0], use.at)
    yield _validity(path, use.at)
    yield _WITHIN_X509 if path.fault is None else refused(Rule.PATH, path.fault)
    yield _numbers_covered(path, use.number)
    yield _anchor_numbers(terms, use.number)
    yield _purpose(terms, use.purpose)
    yield _method(terms, path)
    yield _lifetime(terms, path.certificates[0])
    yield _authority_keys(terms, path)
    yield _log_timestamps(path.logging)
    yield _logged(path.logging, terms, use.at, settings)
    yield _issued_not_after(terms, path.certificates[0], path.logging)
    yield transitions.judge(use.number, path.certificates[0], path.logging)
    yield _until(terms, use.at)


def included(proofs: Iterable[ProofFacts], terms: Terms, settings: Settings) -> Finding:
    """Refuse a call without as many proofs as the user asks for that logs show the certificate's entry.

    A proof that fails counts as nothing: it comes beside the token, so anybody on the way may have spoiled it.
    """
    judged = [(proof.operator, _against_proof(proof, terms, settings)) for proof in proofs]
    if not judged and not settings.proofs:
        return _NO_PROOF
    operators = frozenset(operator for operator, against in judged if against is None)
    failures = "".join(f"; {against}" for _, against in judged if against is not None)
    source = settings.sources.get("proofs")
    if len(operators) < settings.proofs:
        asked = f"you ask for proofs of {_logs_of(settings.proofs)}, and with it came {_those_of(operators)}"
        return refused(Rule.INCLUDED, asked + failures, source)
    if not operators:
        return Finding(Rule.INCLUDED, f"no proof counts, and you ask for none{failures}")
    return Finding(Rule.INCLUDED, f"proved by the logs of {_listed(operators)}{failures}", source=source)


def revocation(facts: Iterable[RevocationFacts], settings: Settings) -> Finding:
    """Refuse a path on which a certificate is revoked or, where the user requires it, may be without our knowing."""
    unknown: RevocationFacts | None = None
    oldest: datetime | None = None
    for fact in facts:
        if fact.state is RevocationState.REVOKED:
            return refused(Rule.REVOCATION, fact.reason)
        if fact.state is RevocationState.UNKNOWN:
            unknown = unknown or fact
        if fact.as_of is not None:
            oldest = fact.as_of if oldest is None else min(oldest, fact.as_of)
    if unknown is None:
        return _not_revoked(oldest)
    source = settings.sources.get("revocation")
    if settings.revocation is RevocationMode.REQUIRED:
        return refused(Rule.REVOCATION, unknown.reason, source)
    return _not_checked(unknown.reason, source)


def duplicate(*, first: bool) -> Finding:
    """Refuse a message that was believed before."""
    return _FIRST_TIME if first else refused(Rule.DUPLICATE, "this very message came in before: it is a copy")


_NUMBER_NOT_DENIED = Finding(Rule.DENIED_NUMBER, "you do not deny this number")
_OF_ITS_KIND = Finding(Rule.KIND, "the token is of the kind for this use")
_CALLER_IS_NAMED = Finding(Rule.CALLER, "the token names the number that this came from")
_CALLED_IS_NAMED = Finding(Rule.CALLED, "the token names the number that this went to")
_TEXT_NOT_GIVEN = Finding(Rule.MESSAGE_TEXT, "not compared: only the sender is judged, as the message was not given")
_TEXT_AS_SIGNED = Finding(Rule.MESSAGE_TEXT, "the message is the one that was signed")
_NUMBER_IS_CERTIFIED = Finding(Rule.CERTIFIED_NUMBER, "the certificate is for this number")
_ASKED_FOR = Finding(Rule.RECORD, "the record is of the number and the app that were asked about")
_CERTIFICATES_NOT_DENIED = Finding(Rule.DENIED_CERTIFICATE, "you deny none of the certificates")
_WITHIN_DATES = Finding(Rule.VALIDITY, "every certificate is within its dates")
_WITHIN_X509 = Finding(Rule.PATH, "the path obeys X.509 and the limits set in it")
_NUMBER_COVERED = Finding(Rule.NUMBERS_COVERED, "every authority on the path may speak for the number")
_OF_NO_LIST = Finding(Rule.LIST, "the anchor is there without any list")
_FOR_ALL_NUMBERS = Finding(Rule.ANCHOR_NUMBERS, "you believe the anchor for all numbers")
_CLOCK_AGREES = Finding(Rule.CLOCK, "nothing says that this clock is wrong")
_FOR_EVERY_USE = Finding(Rule.PURPOSE, "you believe the anchor for every use")
_NO_USE = Finding(Rule.PURPOSE, "not asked: only the certificates are judged")
_BY_ANY_METHOD = Finding(Rule.METHOD, "you accept every method")
_OF_ANY_LIFE = Finding(Rule.LIFETIME, "you set no limit to its life")
_OF_ANY_KEY = Finding(Rule.AUTHORITY_KEYS, "you accept every kind of key")
_NOTHING_FALSE = Finding(Rule.LOG_TIMESTAMPS, "everything is true that it carries of logs that you know")
_NOTHING_CARRIED = Finding(Rule.LOG_TIMESTAMPS, "it carries nothing of logs that you know")
_NO_LOG_ASKED_FOR = Finding(Rule.LOGGED, "it carries no timestamp that counts, and you ask for none")
_NO_PROOF = Finding(Rule.INCLUDED, "no proof came with it, and you ask for none")
_NO_LAST_ISSUE = Finding(Rule.ISSUED_NOT_AFTER, "you set no such date")
_NO_LAST_DAY = Finding(Rule.UNTIL, "you set no such date")
_FIRST_TIME = Finding(Rule.DUPLICATE, "this message did not come in before")


@lru_cache(maxsize=512)
def _leads_to(name: str, operator: str, source: str) -> Finding:
    return Finding(Rule.ANCHOR, f"the certificates lead to {name} ({operator})", anchor=name, source=source)


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
        return refused(Rule.KIND, f"{kind} says nothing about a {call.purpose}")
    return _OF_ITS_KIND


def _caller(statement: Passport, call: CallFacts) -> Finding:
    if statement.orig != call.orig:
        reason = f"the {call.purpose} came from {call.orig.masked}, but the token is signed for {statement.orig.masked}"
        return refused(Rule.CALLER, reason)
    return _CALLER_IS_NAMED


def _called(statement: Passport, call: CallFacts) -> Finding:
    if call.dest.digits not in statement.dest:
        reason = f"the token was signed for a {call.purpose} to somebody else than {call.dest.masked}"
        return refused(Rule.CALLED, reason)
    return _CALLED_IS_NAMED


def _freshness(statement: Passport, call: CallFacts, settings: Settings) -> Finding:
    age = call.at.timestamp() - statement.issued_at
    longest = settings.longest_age(call.purpose)
    if age > longest:
        source = settings.sources.get(f"{call.purpose}_seconds")
        reason = (
            f"the token is {_span(age)} old; a {call.purpose}'s may be {_span(longest)} old: "
            "it comes late, is a copy, or one of the two clocks is wrong"
        )
        return refused(Rule.FRESHNESS, reason, source)
    if age < -settings.skew_seconds:
        source = settings.sources.get("skew_seconds")
        reason = f"the token is dated {_span(-age)} ahead of this clock; one of the two clocks is wrong"
        return refused(Rule.FRESHNESS, reason, source)
    return _fresh(math.ceil(max(age, 0)))


@lru_cache(maxsize=128)
def _fresh(seconds: int) -> Finding:
    return Finding(Rule.FRESHNESS, f"the token is {_span(seconds)} old")


def _message_text(statement: Passport, call: CallFacts) -> Finding:
    if call.body is None:
        return _TEXT_NOT_GIVEN
    if not statement.is_about(call.body):
        return refused(Rule.MESSAGE_TEXT, "the message is not the one that was signed")
    return _TEXT_AS_SIGNED


def _in_force(record: Record, at: datetime, settings: Settings) -> Finding:
    now = at.timestamp()
    if record.issued_at > now + settings.skew_seconds:
        ahead = _span(record.issued_at - now)
        source = settings.sources.get("skew_seconds")
        reason = f"the record is dated {ahead} ahead of this clock; one of the two clocks is wrong"
        return refused(Rule.IN_FORCE, reason, source)
    if record.expires_at < now:
        return refused(Rule.IN_FORCE, f"the record expired {_span(now - record.expires_at)} ago")
    return Finding(Rule.IN_FORCE, "the record is in force")


def _list(standing: Standing | None, at: datetime) -> Finding:
    """Believe nobody by a list that may be held back for long: what was revoked in the meantime is not in it."""
    if standing is None:
        return _OF_NO_LIST
    since = f"{standing.fresh_until:%Y-%m-%d %H:%M} UTC"
    if at > standing.ends:
        reason = f"the list {standing.name} is out of date since {since}, so its anchors count no more: {_RENEW}"
        return Finding(Rule.LIST, reason, Outcome.UNVERIFIED, source=standing.source)
    if at > standing.fresh_until:
        reason = (
            f"the list {standing.name} is out of date since {since}; its anchors count until {standing.ends:%Y-%m-%d}"
            f": {_RENEW}"
        )
    else:
        reason = f"the list {standing.name} is good until {since}"
    told = "; ".join(filter(None, (reason if at > standing.fresh_until else "", standing.note)))
    return Finding(Rule.LIST, reason, source=standing.source, warning=told or None)


_RENEW = "run `answerback trust update`"


def _clock(leaf: CertificateFacts, at: datetime) -> Finding:
    """Tell a clock that is behind from a certificate that is made for later."""
    if leaf.not_before <= at:
        return _CLOCK_AGREES
    ahead = leaf.not_before - at.replace(microsecond=0)
    if ahead > CLOCK_IS_DOUBTED_WITHIN:
        return _CLOCK_AGREES
    reason = (
        f"{leaf.title} begins {_span(ahead.total_seconds())} ahead of this clock: the clock is probably behind, "
        "so set it; nothing says that the caller is false"
    )
    return refused(Rule.CLOCK, reason)


def _validity(path: PathFacts, at: datetime) -> Finding:
    """RFC 5280 §4.1.2.5: from notBefore through notAfter, in whole seconds."""
    for certificate in path.certificates:
        if at < certificate.not_before:
            begins = f"{certificate.not_before:%Y-%m-%d %H:%M:%S} UTC"
            return refused(Rule.VALIDITY, f"{certificate.title} is not valid before {begins}")
        if at > certificate.not_after and at.replace(microsecond=0) > certificate.not_after:
            ended = f"{certificate.not_after:%Y-%m-%d %H:%M:%S} UTC"
            return refused(Rule.VALIDITY, f"{certificate.title} expired at {ended}")
    return _WITHIN_DATES


def _numbers_covered(path: PathFacts, number: TelephoneNumber) -> Finding:
    """RFC 9060 §4.1: an authority's numbers encompass those of what it issues; the number is among all of them."""
    below = path.certificates[0].numbers
    if below is None:
        return refused(Rule.NUMBERS_COVERED, f"{path.certificates[0].title} lists no number (RFC 8226 §9)")
    for certificate in path.certificates:
        own = certificate.numbers
        if own is None:
            continue
        if not own.covers_number(number):
            reason = f"{certificate.title} may not speak for {number.masked}: its TNAuthList does not list the number"
            return refused(Rule.NUMBERS_COVERED, reason)
        if not own.covers(below):
            reason = f"{certificate.title} certified numbers below it that are not its own (RFC 9060 §4.1)"
            return refused(Rule.NUMBERS_COVERED, reason)
        below = own
    return _NUMBER_COVERED


def _anchor_numbers(terms: Terms, number: TelephoneNumber) -> Finding:
    if terms.prefixes is None:
        return _FOR_ALL_NUMBERS
    source = terms.source_of("prefixes")
    allowed = _these(prefix.e164 for prefix in terms.prefixes)
    if not any(prefix.covers(number) for prefix in terms.prefixes):
        reason = f"you believe {terms.name} only for numbers that begin with {allowed}"
        return refused(Rule.ANCHOR_NUMBERS, reason, source)
    return Finding(Rule.ANCHOR_NUMBERS, f"you believe {terms.name} for {allowed}", source=source)


def _purpose(terms: Terms, purpose: Purpose | None) -> Finding:
    if terms.purposes is None:
        return _FOR_EVERY_USE
    if purpose is None and terms.purposes:
        return _NO_USE
    source = terms.source_of("purposes")
    allowed = _these(f"{one}s" for one in terms.purposes)
    if purpose not in terms.purposes:
        this = "certificates are judged for no use" if purpose is None else f"this is a {purpose}"
        reason = f"you believe {terms.name} only for {allowed}, and {this}"
        return refused(Rule.PURPOSE, reason, source)
    return Finding(Rule.PURPOSE, f"you believe {terms.name} for {allowed}", source=source)


def _method(terms: Terms, path: PathFacts) -> Finding:
    """RFC 5280 §4.2.1.4: a policy says how the number was validated. A certificate may name several."""
    if terms.methods is None:
        return _BY_ANY_METHOD
    source = terms.source_of("methods")
    named = [method.label for method in path.methods]
    if not set(terms.methods) & set(path.methods):
        how = f"by {_these(named)}" if named else "in a way that is not known here"
        accepted = _these(method.label for method in terms.methods)
        reason = f"the number was proved {how}, and you believe {terms.name} only for {accepted}"
        return refused(Rule.METHOD, reason, source)
    return Finding(Rule.METHOD, f"the number was proved by {_these(named)}", source=source)


def _lifetime(terms: Terms, leaf: CertificateFacts) -> Finding:
    if terms.longest_life is None:
        return _OF_ANY_LIFE
    source = terms.source_of("longest_life")
    life, longest = _length(leaf.not_after - leaf.not_before), _length(terms.longest_life)
    if leaf.not_after - leaf.not_before > terms.longest_life:
        reason = f"the certificate lives for {life}, and you believe {terms.name} only for lives up to {longest}"
        return refused(Rule.LIFETIME, reason, source)
    return Finding(Rule.LIFETIME, f"the certificate lives for {life}, no longer than {longest}", source=source)


def _authority_keys(terms: Terms, path: PathFacts) -> Finding:
    """Hold the keys that sign certificates to the kinds that are accepted; a number's is P-256 always (RFC 8225)."""
    if terms.authority_keys is None:
        return _OF_ANY_KEY
    source = terms.source_of("authority_keys")
    allowed = _these(key.value for key in terms.authority_keys)
    for certificate in path.certificates[1:]:
        if certificate.key not in terms.authority_keys:
            reason = f"{certificate.title} has a key of the kind {certificate.key}, and you accept only {allowed}"
            return refused(Rule.AUTHORITY_KEYS, reason, source)
    return Finding(Rule.AUTHORITY_KEYS, f"every authority's key is of the kind {allowed}", source=source)


def _log_timestamps(logging: LoggingFacts) -> Finding:
    """Refuse a certificate with a false timestamp: its authority put it there, so that one or the log lies."""
    if logging.lie is not None:
        return refused(Rule.LOG_TIMESTAMPS, logging.lie.reason, logging.lie.source)
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
        return refused(Rule.LOGGED, f"{reason}{strangers}{failures}", source)
    return _taken_by(operators, source) if operators else _NO_LOG_ASKED_FOR


def _against_timestamp(timestamp: TimestampFacts, terms: Terms, at: datetime, settings: Settings) -> str | None:
    """Say why a timestamp does not count; RFC 6962 §5.2: one of the future does not."""
    if not terms.counts(timestamp.log, timestamp.operator):
        return f"that of {timestamp.log} does not count for {terms.name}"
    if timestamp.at > at + timedelta(seconds=settings.skew_seconds):
        return f"that of {timestamp.log} is of the future: this clock or the log's is wrong"
    return None


def _against_proof(proof: ProofFacts, terms: Terms, settings: Settings) -> str | None:
    """Say why a proof does not count."""
    if proof.fault is not None:
        return proof.fault
    if not terms.counts(proof.log, proof.operator):
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
        return refused(Rule.ISSUED_NOT_AFTER, reason, source)
    return Finding(Rule.ISSUED_NOT_AFTER, f"it was issued no later than {last}", source=source)


def _until(terms: Terms, at: datetime) -> Finding:
    last = terms.until
    if last is None:
        return _NO_LAST_DAY
    source = terms.source_of("until")
    if at >= _end_of(last):
        return refused(Rule.UNTIL, f"you believed {terms.name} until {last}", source)
    return Finding(Rule.UNTIL, f"you believe {terms.name} until {last}", source=source)


def _logs_of(count: int) -> str:
    return "the logs of one operator" if count == 1 else f"the logs of {count} operators"


def _those_of(operators: frozenset[str]) -> str:
    return f"only those of {_listed(operators)}" if operators else "none that counts"


def _these(words: Iterable[str]) -> str:
    """List what a constraint allows, in the user's order; an empty one allows nothing."""
    return ", ".join(words) or "none"


def _listed(operators: frozenset[str]) -> str:
    return " and ".join(sorted(operators))


def _noted(deny: Deny) -> str:
    return f" ({deny.note})" if deny.note else ""


def _end_of(day: date) -> datetime:
    """Return the first moment after a day in UTC; the end of time for the last day that there is."""
    if day == date.max:
        return datetime.max.replace(tzinfo=UTC)
    return datetime.combine(day + timedelta(days=1), time.min, UTC)


def _length(life: timedelta) -> str:
    """Say how long a certificate lives, to the hour: a week and an hour are more than a week."""
    hours = math.ceil(life / timedelta(hours=1))
    days, rest = divmod(hours, 24)
    return f"{days} day{'' if days == 1 else 's'}" if days and not rest else f"{hours} hour{'' if hours == 1 else 's'}"


def _span(seconds: float) -> str:
    """Say a length of time in one unit."""
    whole = math.ceil(seconds)
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit}s"
    return f"{whole} second{'' if whole == 1 else 's'}"
