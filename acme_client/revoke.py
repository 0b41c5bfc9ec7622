"""Revoking a certificate that is held (RFC 8555 §7.6)."""

from __future__ import annotations

from enum import IntEnum

from acme_client.accounts import sign_in_again
from acme_client.addresses import AuthorityAddress
from acme_client.errors import NotHeld, Refused
from acme_client.network import DIRECT, AcmeSession, Connection
from acme_client.polling import SYSTEM_CLOCK, Clock
from acme_client.store import EnrolledCertificate, Store


class Reason(IntEnum):
    """Why a certificate is revoked, of the reasons that a holder may give (RFC 5280 §5.3.1)."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5


def revoke_held(
    held: EnrolledCertificate,
    store: Store,
    reason: Reason = Reason.UNSPECIFIED,
    *,
    connection: Connection = DIRECT,
    clock: Clock = SYSTEM_CLOCK,
) -> EnrolledCertificate:
    """Revoke a certificate, and remember that it is.

    The account signs the request; where there is none any more, the certificate's own key does. A certificate that the
    authority has revoked before counts as done.
    """
    address = AuthorityAddress(held.ca)
    with store.enrolment_lock(address, held.number):
        with _session(held, store, connection, clock) as session:
            try:
                with session.calling():
                    session.client.revoke(held.chain()[0], int(reason))
            except Refused as refused:
                if refused.kind != "alreadyRevoked":
                    raise
        return store.mark_revoked(held, clock.now())


def _session(held: EnrolledCertificate, store: Store, connection: Connection, clock: Clock) -> AcmeSession:
    address = AuthorityAddress(held.ca)
    try:
        return sign_in_again(store, address, connection=connection, clock=clock)
    except NotHeld:
        return AcmeSession(address, held.key(), connection, clock)
