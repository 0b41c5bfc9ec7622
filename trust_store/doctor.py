"""What is wrong, or soon will be, with a user's trust store, and what to do about it.

Nothing is changed and nobody is asked. Each check looks at one thing and yields what it finds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509

from policies.belief import denied_certificate
from policies.facts import CertificateFacts
from policies.terms import Deny, Terms
from policies.transitions import Transition
from stir.telephone_number import NumberPrefix
from stir.tn_auth_list import TnAuthList
from trust_store.anchors import Anchor, authority_facts
from trust_store.errors import TrustStoreError
from trust_store.home import TrustHome
from trust_store.revocation_lists import NoRevocationList, read_unverified
from trust_store.seen_messages import MessagesInMemory
from trust_store.store import NoRevocationLists, TrustStore
from trust_store.subscriptions.layer import ListHealth
from trust_store.trust_file import end_of

SOON = timedelta(days=30)
"""How early an end is told of."""
CLOCK_MAY_BE_OFF = timedelta(minutes=5)
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """Something does not work, or is not safe."""
    WARNING = "warning"
    """Something does not do what it seems to, or will soon stop to."""
    NOTE = "note"
    """Something to know."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was found: what, what to do, and where it stands."""

    severity: Severity
    finding: str
    advice: str
    source: str | None = None


def examine(home: TrustHome, now: datetime, defaults: Path | None = None) -> tuple[Diagnosis, ...]:
    """Examine a store, and return what was found, the worst first."""
    found = [*_permissions(home), *_clock(home, now)]
    try:
        store = TrustStore.of_home(home, NoRevocationLists(), MessagesInMemory(), defaults=defaults)
    except TrustStoreError as error:
        advice = "mend the file: until then nobody is judged, or by the last good one alone"
        return (Diagnosis(Severity.ERROR, str(error), advice), *found)
    for check in (_anchors, _limits, _quorums, _denies, _logs, _transitions, _subscriptions):
        found.extend(check(store, now))
    found.extend(_stale_lists(home, store, now))
    return tuple(sorted(found, key=lambda one: list(Severity).index(one.severity)))


def _anchors(store: TrustStore, now: datetime) -> Iterator[Diagnosis]:
    if not store.anchors:
        finding = "you believe nobody, so that every verdict is unverified"
        yield Diagnosis(Severity.ERROR, finding, "add an authority: answerback trust add URL", store.file.name)
    for anchor in store.anchors:
        name, source, ends = anchor.terms.name, anchor.terms.source, anchor.authority.not_after
        renew = f"ask {anchor.terms.operator} for its new certificate, and add that"
        if ends < now:
            yield Diagnosis(Severity.ERROR, f"{name} expired on {ends:%Y-%m-%d}", renew, source)
        elif ends < now + SOON:
            yield Diagnosis(Severity.WARNING, f"{name} expires on {ends:%Y-%m-%d}", renew, source)
        if anchor.terms.until is not None and end_of(anchor.terms.until) <= now:
            finding = f"you stopped believing {name} on {anchor.terms.until}"
            advice = f"take it out: answerback trust remove {name}"
            yield Diagnosis(Severity.WARNING, finding, advice, anchor.terms.source_of("until"))


def _limits(store: TrustStore, now: datetime) -> Iterator[Diagnosis]:
    """Find constraints that nothing can meet, and those that are easily evaded."""
    for anchor in store.anchors:
        terms = anchor.terms
        for key in ("prefixes", "purposes", "methods", "authority_keys", "logs", "log_operators"):
            if getattr(terms, key) == ():
                finding = f"what several sources say of {terms.name} leaves no {key}: it is believed for nothing"
                advice = "name the anchor in your own file, or leave one of the sources"
                yield Diagnosis(Severity.WARNING, finding, advice, terms.source_of(key))
        yield from _prefixes_outside(anchor)
        if terms.issued_not_after is not None and not _asked_scts(store, terms):
            finding = f"{terms.name} can evade issued_not_after by dating back, as no log is asked for"
            advice = f"ask for one: answerback trust constrain {terms.name} --scts 1"
            yield Diagnosis(Severity.WARNING, finding, advice, terms.source_of("issued_not_after"))
        yield from _too_many_logs(store, terms, now)


def _prefixes_outside(anchor: Anchor) -> Iterator[Diagnosis]:
    terms, numbers = anchor.terms, anchor.authority.numbers
    for prefix in terms.prefixes or ():
        if numbers is not None and not _overlap(prefix, numbers):
            finding = f"{terms.name} may certify no number that begins with {prefix.e164}, by its own certificate"
            yield Diagnosis(Severity.NOTE, finding, "take the prefix out", terms.source_of("prefixes"))


def _overlap(prefix: NumberPrefix, numbers: TnAuthList) -> bool:
    ranges = TnAuthList.for_prefixes([prefix]).intervals
    return any(
        one.length == other.length and int(one.start) <= other.last and int(other.start) <= one.last
        for one in ranges
        for other in numbers.intervals
    )


def _asked_scts(store: TrustStore, terms: Terms) -> int:
    return store.settings.scts if terms.scts is None else terms.scts


def _too_many_logs(store: TrustStore, terms: Terms, now: datetime) -> Iterator[Diagnosis]:
    usable = {
        log.operator
        for log in store.logs
        if terms.counts(log.name, log.operator) and any(shard.not_after_limit > now for shard in log.description.shards)
    }
    asked = _asked_scts(store, terms)
    if asked > len(usable):
        finding = f"{terms.name} needs the logs of {asked} operators, and you know {len(usable)} that count for it"
        source = store.settings.sources.get("scts") if terms.scts is None else terms.source_of("scts")
        yield Diagnosis(Severity.ERROR, finding, "add logs: answerback trust log add URL", source or terms.source)


def _quorums(store: TrustStore, now: datetime) -> Iterator[Diagnosis]:
    usable = [anchor.terms.name for anchor in store.anchors if _is_usable(store, anchor, now)]
    for quorum in store.quorums.quorums:
        if not store.quorums.can_be_met(quorum, usable):
            finding = f"nobody can meet the quorum of {store.quorums.in_words(quorum.group)}"
            advice = "too many of its anchors are missing, denied or expired: add some, or ask for fewer"
            yield Diagnosis(Severity.ERROR, finding, advice, quorum.source)


def _is_usable(store: TrustStore, anchor: Anchor, now: datetime) -> bool:
    until, standing = anchor.terms.until, anchor.terms.standing
    is_denied = not denied_certificate([_facts(anchor)], store.denies).passed
    is_in_time = (until is None or now < end_of(until)) and (standing is None or now <= standing.ends)
    return now <= anchor.authority.not_after and is_in_time and not is_denied


def _facts(anchor: Anchor) -> CertificateFacts:
    return authority_facts(anchor.authority, fingerprints=True)


def _denies(store: TrustStore, _: datetime) -> Iterator[Diagnosis]:
    """Find denies that take an anchor's whole use away, and those that another makes superfluous."""
    for anchor in store.anchors:
        found = denied_certificate([_facts(anchor)], store.denies)
        if not found.passed:
            finding = f"your deny of its certificate or key shadows the anchor {anchor.terms.name}"
            yield Diagnosis(Severity.WARNING, finding, "remove one of the two", found.source)
        yield from _shadowed_prefixes(anchor, store.denies)
    for deny in store.denies:
        other = next((one for one in store.denies if one is not deny and _is_within(deny, one)), None)
        if other is not None:
            finding = f"this deny adds nothing to the one at {other.source}"
            yield Diagnosis(Severity.NOTE, finding, "remove it, if you like", deny.source)


def _shadowed_prefixes(anchor: Anchor, denies: Iterable[Deny]) -> Iterator[Diagnosis]:
    prefixes = anchor.terms.prefixes
    for deny in denies:
        denied = deny.prefix
        if denied is not None and prefixes and all(one.digits.startswith(denied.digits) for one in prefixes):
            finding = f"your deny of {denied.e164} shadows all that you believe {anchor.terms.name} for"
            yield Diagnosis(Severity.WARNING, finding, "remove one of the two", deny.source)


def _is_within(deny: Deny, other: Deny) -> bool:
    digits = deny.number.digits if deny.number is not None else deny.prefix.digits if deny.prefix is not None else None
    return digits is not None and other.prefix is not None and digits.startswith(other.prefix.digits)


def _logs(store: TrustStore, now: datetime) -> Iterator[Diagnosis]:
    for log in store.logs:
        if all(shard.not_after_limit <= now for shard in log.description.shards):
            finding = f"all shards of the log {log.name} are over: nothing new is in it"
            advice = f"take its new description: answerback trust log update {log.name} URL"
            yield Diagnosis(Severity.WARNING, finding, advice, log.source)
    for key, known in (("proofs", store.logs), ("witnesses", store.witnesses)):
        asked, operators = getattr(store.settings, key), {one.operator for one in known}
        if asked > len(operators):
            finding = f"you ask for {key} of {asked} operators, and know {len(operators)}: every call is refused"
            yield Diagnosis(Severity.ERROR, finding, f"know more of them, or ask for fewer {key}", _place(store, key))


def _place(store: TrustStore, key: str) -> str | None:
    return store.settings.sources.get(key)


def _transitions(store: TrustStore, now: datetime) -> Iterator[Diagnosis]:
    ahead: list[Transition] = [one for one in store.transitions.last.values() if one.until > now + timedelta(days=1)]
    for one in ahead:
        finding = f"a number changes hands on {one.until:%Y-%m-%d}, which is to come: it cannot be verified until then"
        yield Diagnosis(Severity.NOTE, finding, "check the date", one.source)


def _subscriptions(store: TrustStore, now: datetime) -> Iterator[Diagnosis]:
    """Find lists that are out of date, and those that bring less than they could."""
    update = "run `answerback trust update`, every day by a timer; if that is refused, try another mirror"
    for one in store.lists:
        name, health = one.entry.name, one.health(now)
        if health in {ListHealth.STALE, ListHealth.ENDED}:
            is_ended = health is ListHealth.ENDED
            finding = f"the list {name} is out of date since {one.fresh_until:%Y-%m-%d %H:%M} UTC"
            counts = "count no more" if is_ended else f"count until {one.ends:%Y-%m-%d}"
            severity = Severity.ERROR if is_ended else Severity.WARNING
            yield Diagnosis(severity, f"{finding}: its anchors {counts}", update, one.source)
        if one.lack is not None:
            yield Diagnosis(Severity.WARNING, one.lack, "look: answerback trust update", one.source)
        elif one.waiting:
            finding = f"{len(one.waiting)} changes of the list {name} wait for you"
            yield Diagnosis(Severity.NOTE, finding, "look: answerback trust diff", one.source)


def _stale_lists(home: TrustHome, store: TrustStore, now: datetime) -> Iterator[Diagnosis]:
    by_name = {anchor.certificate.subject: anchor for anchor in store.anchors}
    for crl in _lists(home):
        anchor = by_name.get(crl.issuer)
        ended = crl.next_update_utc
        if anchor is not None and ended is not None and ended < now:
            finding = f"the revocation list of {anchor.terms.name} is out of date since {ended:%Y-%m-%d %H:%M} UTC"
            advice = "it is fetched with the next call from there; if it stays so, ask the authority"
            yield Diagnosis(Severity.NOTE, finding, advice, anchor.terms.source)


def _lists(home: TrustHome) -> Iterator[x509.CertificateRevocationList]:
    return (crl for _, crl in _files_of_lists(home))


def _files_of_lists(home: TrustHome) -> Iterator[tuple[Path, x509.CertificateRevocationList]]:
    for path in sorted(home.revocation_lists.glob("*.crl")):
        try:
            yield path, read_unverified(path.read_bytes())
        except (OSError, NoRevocationList):
            continue  # a cache may hold anything


def _clock(home: TrustHome, now: datetime) -> Iterator[Diagnosis]:
    """Hold the clock to what others dated and to what was written here before: none of it is of the future."""
    dated = [(crl.last_update_utc, "a revocation list") for crl in _lists(home)]
    dated.extend((_written(path), path.name) for path in (home.trust_file, home.seen_messages) if path.exists())
    latest, what = max(dated, default=(now, ""))
    if latest > now + CLOCK_MAY_BE_OFF:
        finding = (
            f"this device's clock is behind: it says {now:%Y-%m-%d %H:%M}, and {what} is of {latest:%Y-%m-%d %H:%M}"
        )
        yield Diagnosis(Severity.ERROR, finding, "set the clock: honest calls are refused by a wrong one")
    else:
        yield from _clock_ahead(home, now)


def _clock_ahead(home: TrustHome, now: datetime) -> Iterator[Diagnosis]:
    """Find that every revocation list was out of date when it came: of one authority's it says little, of two much."""
    late: dict[x509.Name, timedelta] = {}
    for path, crl in _files_of_lists(home):
        came, ended = _written(path), crl.next_update_utc
        if ended is None or came <= ended + CLOCK_MAY_BE_OFF or came > now + CLOCK_MAY_BE_OFF:
            return
        late[crl.issuer] = min(came - ended, late.get(crl.issuer, came - ended))
    if not late:
        return
    finding = (
        f"every revocation list at hand was out of date when it came, by {min(late.values())} at least: "
        "this device's clock is ahead, or "
    )
    if len(late) == 1:
        finding += "the authority publishes none any more; one authority's lists do not tell which"
        yield Diagnosis(Severity.WARNING, finding, _COMPARE_CLOCKS)
    else:
        finding += f"{len(late)} authorities publish none any more"
        yield Diagnosis(Severity.ERROR, finding, _COMPARE_CLOCKS)


_COMPARE_CLOCKS = "compare the clock with another device's: to one that is ahead, what is valid has expired"


def _written(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _permissions(home: TrustHome) -> Iterator[Diagnosis]:
    for path in (home.trust_file, home.trust_file.parent, home.anchors, home.logs, home.lists):
        try:
            state = path.stat()
        except OSError:
            continue
        if state.st_mode & _OTHERS_MAY_WRITE:
            finding = f"{path} can be changed by other users of this machine, who could then choose whom you believe"
            yield Diagnosis(Severity.ERROR, finding, f"chmod go-w {path}")
        if state.st_uid not in _own_users():
            yield Diagnosis(Severity.ERROR, f"{path} belongs to another user", f"take it over: chown $USER {path}")


def _own_users() -> frozenset[int]:
    """Return who may own the files: the user, and whoever runs the machine."""
    return frozenset((os.getuid(), 0))
