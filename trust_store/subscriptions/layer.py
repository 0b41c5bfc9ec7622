"""A list's word as the trust store takes it: what the user agreed to, narrowed by the newest version."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509

from policies.errors import PolicyError
from policies.precedence import Layer, LayerKind, Offer, widened
from policies.terms import Standing
from transparency.errors import NoteError
from trust_store.entries import SubscriptionEntry
from trust_store.errors import ListError
from trust_store.home import TrustHome
from trust_store.logs import TrustedLog, TrustedWitness
from trust_store.subscriptions.consent import Change, ChangeKind, reckon
from trust_store.subscriptions.list_file import CuratedList, ListAnchorEntry, certificate_of, log_of
from trust_store.subscriptions.state import Kept, ListFolder
from trust_store.trust_file import deny_of, terms_of, witness_of


class ListHealth(StrEnum):
    """How a list is."""

    NEVER_FETCHED = "never-fetched"
    FRESH = "fresh"
    STALE = "stale"
    """Its curators have not said for too long that it is the newest; its anchors still count."""
    ENDED = "ended"
    """It was stale for longer than the user allows: its anchors count no more."""


@dataclass(frozen=True, slots=True)
class SubscribedList:
    """A list that the user follows, as it is on this device. What is None was never fetched.

    `believed` are the names of the authorities that it brings, and `waiting` what waits for the user's word.
    """

    entry: SubscriptionEntry
    source: str
    curator: str | None = None
    title: str | None = None
    version: int | None = None
    as_of: datetime | None = None
    fresh_until: datetime | None = None
    ends: datetime | None = None
    believed: tuple[str, ...] = ()
    waiting: tuple[Change, ...] = ()

    def health(self, at: datetime) -> ListHealth:
        """Tell how the list is at a time."""
        if self.fresh_until is None or self.ends is None:
            return ListHealth.NEVER_FETCHED
        if at > self.ends:
            return ListHealth.ENDED
        return ListHealth.STALE if at > self.fresh_until else ListHealth.FRESH

    @property
    def lack(self) -> str | None:
        """Say in words what the list does not bring though it could, None where it lacks nothing."""
        name = self.entry.name
        if self.version is None:
            return f"the list {name} was never fetched"
        new = sum(change.kind is ChangeKind.NEW and change.what == "anchor" for change in self.waiting)
        if new:
            anchors = "1 anchor" if new == 1 else f"{new} anchors"
            return f"{anchors} of the list {name} must be agreed to by you"
        return None if self.believed else f"the list {name} brings no anchor any more"


@dataclass(frozen=True, slots=True)
class ListLayer:
    """A list's word, with the certificates and descriptions in it, and the files that were read."""

    subscribed: SubscribedList
    layer: Layer
    certificates: dict[str, x509.Certificate] = field(default_factory=dict)
    logs: tuple[TrustedLog, ...] = ()
    witnesses: tuple[TrustedWitness, ...] = ()
    files: tuple[Path, ...] = ()


def list_layer(home: TrustHome, entry: SubscriptionEntry, source: str) -> ListLayer:
    """Read what is kept of a list that the user subscribed to at a place. Raises ListError."""
    folder = ListFolder(home, entry.name)
    kept = folder.read(entry.root)
    files = folder.files(kept)
    if kept is None:
        return ListLayer(SubscribedList(entry, source), Layer(LayerKind.LIST, entry.name), files=files)
    try:
        return replace(layer_of(entry, source, kept), files=files)
    except (PolicyError, NoteError) as error:
        msg = f"{folder.state_file} says what no list can: {error}"
        raise ListError(msg) from error


def layer_of(entry: SubscriptionEntry, source: str, kept: Kept) -> ListLayer:
    """Return a list's word."""
    agreed, newest = kept.state.agreed, kept.newest
    standing = _standing(entry, source, kept)
    by_sha256 = {offer.sha256: offer for offer in newest.layer.offers}
    offers: list[Offer] = []
    limits: list[Offer] = []
    for one in agreed.anchor:
        agreed_to = terms_of(one, one.name, one.operator, f"{source} (as you agreed)")
        offer = by_sha256.get(one.sha256)
        if offer is None:
            offers.append(Offer(one.sha256, replace(agreed_to, standing=_held(standing, one))))
            continue
        terms = replace(offer.terms, name=one.name, operator=one.operator, standing=standing)
        offers.append(Offer(one.sha256, terms))
        if widened(offer.terms, agreed_to):
            limits.append(Offer(one.sha256, agreed_to))
    added = [deny_of(deny, f"{source} (as you agreed)") for deny in agreed.deny if deny not in newest.content.deny]
    layer = Layer(
        LayerKind.LIST,
        entry.name,
        offers=tuple(offers),
        limits=tuple(limits),
        denies=(*newest.layer.denies, *added),
    )
    return ListLayer(
        subscribed=_subscribed(entry, source, kept, standing),
        layer=layer,
        certificates={one.sha256: certificate_of(one, terms_of(one, "", "", ""), one.name) for one in agreed.anchor},
        logs=tuple(log_of(log, _place_of(newest, log.name, source), log.name) for log in agreed.log),
        witnesses=tuple(witness_of(one, source) for one in agreed.witness),
    )


def _standing(entry: SubscriptionEntry, source: str, kept: Kept) -> Standing:
    fresh_until = _moment(kept.state.newest.expires)
    return Standing(entry.name, fresh_until, fresh_until + timedelta(days=entry.grace_days), source)


def _held(standing: Standing, entry: ListAnchorEntry) -> Standing:
    note = f"the list {standing.name} names {entry.name} no more, which waits for you: run `answerback trust update`"
    return replace(standing, note=note)


def _subscribed(entry: SubscriptionEntry, source: str, kept: Kept, standing: Standing) -> SubscribedList:
    newest = kept.state.newest
    as_of = _moment(newest.as_of)
    return SubscribedList(
        entry=entry,
        source=source,
        curator=kept.newest.head.curator,
        title=kept.newest.head.name,
        version=newest.version,
        as_of=as_of,
        fresh_until=standing.fresh_until,
        ends=standing.ends,
        believed=tuple(one.name for one in kept.state.agreed.anchor),
        waiting=reckon(kept.state.agreed, kept.newest, as_of).waiting,
    )


def _place_of(newest: CuratedList, log: str, otherwise: str) -> str:
    return next((one.source for one in newest.logs if one.name == log), otherwise)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
