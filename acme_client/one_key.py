"""One key, certified by several authorities: what a caller needs whose hearers ask for more than one opinion.

Certificates of one number and key belong together, wherever they were enrolled and whenever; nothing else is stored to
say so. Whoever signs with the key sends all their chains.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from acme_client.addresses import AuthorityAddress
from acme_client.keys import new_key
from acme_client.store import EnrolledCertificate, Store, key_hash
from stir.telephone_number import TelephoneNumber


def companions(store: Store, held: EnrolledCertificate, now: datetime) -> list[EnrolledCertificate]:
    """Return the other certificates that are valid now for the same number and key, the longest-lived first."""
    own = key_hash(held.key().public_key())
    others = [
        other
        for other in store.certificates()
        if other.number == held.number and other.ca != held.ca and other.is_valid(now)
    ]
    alike = (other for other in others if key_hash(other.key().public_key()) == own)
    return sorted(alike, key=lambda other: other.not_after, reverse=True)


def key_for_all(
    store: Store, number: TelephoneNumber, authorities: list[AuthorityAddress], now: datetime, *, afresh: bool = False
) -> ec.EllipticCurvePrivateKey:
    """Return the key to have certified by all of some authorities.

    It is that of an order that was begun there; else the one for which most certificates of the number are valid, of
    any authority; else, and `afresh`, a new one. A key is never taken again of which a certificate was revoked.
    """
    held = [one for one in store.certificates() if one.number == number]
    revoked = {key_hash(one.key().public_key()) for one in held if one.revoked_at is not None}
    begun = [order.key for place in authorities if (order := store.pending(place, number)) is not None]
    valid = [] if afresh else [one.key() for one in held if one.is_valid(now)]
    counts = Counter(key_hash(key.public_key()) for key in valid)
    valid.sort(key=lambda key: counts[key_hash(key.public_key())], reverse=True)
    usable = (key for key in (*begun, *valid) if key_hash(key.public_key()) not in revoked)
    return next(usable, None) or new_key()
