"""Curated lists in words and as data: how one is, and what is other in a newer version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from answerback.constraints import described, in_words
from answerback.pinning import grouped

if TYPE_CHECKING:
    from policies.terms import Terms
    from trust_store.subscriptions.consent import Change
    from trust_store.subscriptions.layer import SubscribedList
    from trust_store.subscriptions.updating import Update

_MEANING: Mapping[tuple[str, bool], str] = {
    ("new", True): "new",
    ("new", False): "new, and counts now",
    ("wider", True): "limited less: {detail}",
    ("wider", False): "limited less from now on: {detail}",
    ("narrower", False): "limited more from now on: {detail}",
    ("revoked", False): "REVOKED: never believed again",
    ("gone", True): "gone, with most of the list: it stays until you agree",
    ("gone", False): "gone from now on",
    ("lifted", True): "denied no more",
    ("lifted", False): "denied no more from now on",
    ("denied", False): "denied from now on",
}
"""What each kind of change means, where it waits for the user and where it does not."""


def described_list(one: SubscribedList, at: datetime) -> dict[str, object]:
    """Return how a list is, as data."""
    return {
        "name": one.entry.name,
        "url": one.entry.url,
        "root": one.entry.root,
        "curator": one.curator,
        "health": one.health(at).value,
        "version": one.version,
        "as_of": _written(one.as_of),
        "fresh_until": _written(one.fresh_until),
        "ends": _written(one.ends),
        "auto_accept": one.entry.auto_accept,
        "anchors": list(one.believed),
        "waiting": [described_change(change) for change in one.waiting],
        "source": one.source,
    }


def list_in_words(one: SubscribedList, at: datetime) -> str:
    """Say how a list is."""
    if one.version is None or one.fresh_until is None or one.ends is None:
        return "never fetched: run answerback trust update"
    until = {
        "fresh": f"good until {one.fresh_until:%Y-%m-%d %H:%M} UTC",
        "stale": f"OUT OF DATE since {one.fresh_until:%Y-%m-%d %H:%M} UTC; its anchors count until {one.ends:%Y-%m-%d}",
        "ended": f"OUT OF DATE since {one.fresh_until:%Y-%m-%d %H:%M} UTC; its anchors count no more",
    }[one.health(at).value]
    waits = f"; {len(one.waiting)} changes wait for you: answerback trust diff" if one.waiting else ""
    return f"version {one.version} by {one.curator}, {len(one.believed)} anchors, {until}{waits}"


def described_update(done: Update) -> dict[str, object]:
    """Return what an update came to, as data."""
    return {
        "name": done.entry.name,
        "curator": done.newest.head.curator,
        "version": done.version,
        "before": done.before,
        "changes": [described_change(change, _terms(done, change)) for change in done.changes],
        "waiting": len(done.waiting),
    }


def described_change(change: Change, terms: tuple[str, Terms] | None = None) -> dict[str, object]:
    """Return a change as data, with the fingerprint and the terms of an anchor that is new."""
    data: dict[str, object] = {
        "kind": change.kind.value,
        "what": change.what,
        "name": change.name,
        "detail": change.detail,
        "waits": change.waits,
    }
    if terms is not None:
        data |= {"sha256": terms[0], "operator": terms[1].operator, **described(terms[1])}
    return data


def update_in_words(done: Update) -> Iterator[str]:
    """Say what an update came to, line by line."""
    head = done.newest.head
    yield f"{done.entry.name}: version {done.version} by {head.curator}" + (f" ({head.about})" if head.about else "")
    if not done.changes:
        yield "  nothing is other than you agreed to"
    for change in done.changes:
        meaning = _MEANING[change.kind.value, change.waits].format(detail=change.detail)
        note = f" ({change.detail})" if change.detail and change.detail not in meaning else ""
        yield f"  {'?' if change.waits else '!'} {change.what} {change.name}: {meaning}{note}"
        terms = _terms(done, change)
        if terms is not None:
            yield f"      believed for {in_words(terms[1])}"
            yield f"      SHA-256 {grouped(terms[0])}"


def _terms(done: Update, change: Change) -> tuple[str, Terms] | None:
    """Return the fingerprint and the terms of an anchor that is new or limited less."""
    if change.what != "anchor" or change.kind.value not in {"new", "wider"}:
        return None
    found = ((offer.sha256, offer.terms) for offer in done.newest.layer.offers if offer.terms.name == change.name)
    return next(found, None)


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
