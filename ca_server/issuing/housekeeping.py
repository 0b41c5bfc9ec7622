"""What the authority does by itself, every minute or so: finish what a crash left, refresh, forget."""

from __future__ import annotations

from contextlib import ExitStack

from ca_server.issuing.authority import CertificateAuthority
from ca_server.issuing.finalization import finish_reserved
from ca_server.issuing.revocation import refresh_crls


def keep_house(ca: CertificateAuthority) -> None:
    """Sign what is left unsigned and CRLs older than an hour, and erase codes and messages that have served.

    To be called every minute or so, by any number of processes. Each is done though another fails; then the failure is
    raised.
    """
    with ExitStack() as jobs:
        jobs.callback(finish_reserved, ca)
        jobs.callback(refresh_crls, ca)
        jobs.callback(ca.storage.forget, ca.clock())
