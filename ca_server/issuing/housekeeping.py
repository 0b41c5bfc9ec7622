"""What the authority does by itself, every minute or so: finish what a crash left, refresh, forget."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

from ca_server.issuing.authority import CertificateAuthority
from ca_server.issuing.finalization import finish_reserved
from ca_server.issuing.revocation import refresh_crls

_MOST_TURNS = 100


def forget_ended(ca: CertificateAuthority) -> None:
    """Erase orders and authorizations that expired longer ago than the operator keeps them. Certificates stay.

    To be called now and then, by any number of processes. What it does not come to in one call is left to the next.
    """
    before = ca.clock() - timedelta(days=ca.config.keep_ended_days)
    for _ in range(_MOST_TURNS):
        if not ca.storage.ended.forget(before):
            return


def keep_house(ca: CertificateAuthority) -> None:
    """Sign what is left unsigned and CRLs older than an hour, and erase codes and messages that have served.

    To be called every minute or so, by any number of processes. Each is done though another fails; then the failure is
    raised.
    """
    with ExitStack() as jobs:
        jobs.callback(finish_reserved, ca)
        jobs.callback(refresh_crls, ca)
        jobs.callback(ca.storage.forget, ca.clock())
