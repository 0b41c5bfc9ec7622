"""Renewing what is due: a new order and a new key, and no message while the authority remembers the number's proof."""

from __future__ import annotations

from datetime import datetime

from acme_client.accounts import stored_connection
from acme_client.addresses import AuthorityAddress
from acme_client.codes import CodeSource
from acme_client.enrol import Enrolment
from acme_client.network import DIRECT, Connection
from acme_client.store import EnrolledCertificate, State, Store


def due(store: Store, now: datetime) -> list[EnrolledCertificate]:
    """Return the certificates that are in the last third of their life or past it; a revoked one is not renewed."""
    return [held for held in store.certificates() if held.state(now) in {State.DUE, State.EXPIRED}]


def renewal(held: EnrolledCertificate, store: Store, codes: CodeSource, connection: Connection = DIRECT) -> Enrolment:
    """Return the enrolment that replaces a certificate, at its authority and reached as it was then."""
    address = AuthorityAddress(held.ca)
    return Enrolment(
        ca=address,
        number=held.number,
        keys=store,
        codes=codes,
        connection=stored_connection(store, address, connection),
        force=True,
    )


def renew(
    held: EnrolledCertificate, store: Store, codes: CodeSource, connection: Connection = DIRECT
) -> EnrolledCertificate:
    """Replace a certificate by a new one with a new key; the old one counts until the new one is in."""
    return renewal(held, store, codes, connection).run()
