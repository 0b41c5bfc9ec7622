"""Renewing what is due: a new order and a new key, and no message while the authority remembers the number's proof."""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from acme_client.addresses import AuthorityAddress
from acme_client.challenges import ChallengeKind
from acme_client.codes import CodeSource
from acme_client.enrol import Enrolment
from acme_client.keys import same_key
from acme_client.network import DIRECT, Connection
from acme_client.one_key import companions
from acme_client.polling import SYSTEM_CLOCK, Clock
from acme_client.progress import Watcher, unwatched
from acme_client.store import EnrolledCertificate, State, Store


def due(store: Store, now: datetime) -> list[EnrolledCertificate]:
    """Return the certificates that are in the last third of their life or past it; a revoked one is not renewed."""
    return [held for held in store.certificates() if held.state(now) in {State.DUE, State.EXPIRED}]


def renewal(
    held: EnrolledCertificate,
    store: Store,
    codes: CodeSource | None,
    connection: Connection = DIRECT,
    *,
    clock: Clock = SYSTEM_CLOCK,
    watch: Watcher = unwatched,
) -> Enrolment:
    """Return the enrolment that replaces a certificate by a new one, at the same authority.

    It is for a new key; but for the same one where other authorities have certified it too, and nobody revoked it, so
    that they stay together. Should the number have to be proved again, it is in the way in which it was. The old
    certificate counts until the new one is in.
    """
    by_program = ChallengeKind.SMS_REPLY.value in held.validation
    return Enrolment(
        ca=AuthorityAddress(held.ca),
        number=held.number,
        keys=store,
        codes=codes,
        challenge=ChallengeKind.SMS_REPLY if by_program else ChallengeKind.SMS_CODE,
        connection=connection,
        clock=clock,
        watch=watch,
        force=True,
        key=_key_to_keep(held, store, clock.now()),
    )


def _key_to_keep(held: EnrolledCertificate, store: Store, now: datetime) -> ec.EllipticCurvePrivateKey | None:
    key = held.key()
    alike = [one for one in store.certificates() if one.number == held.number and same_key(one.key(), key.public_key())]
    if any(one.revoked_at is not None for one in alike):
        return None
    return key if companions(store, held, now) else None
