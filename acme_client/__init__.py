"""The program that enrols telephone numbers with authorities, and the library in it.

    from acme_client import CallbackCodes, Enrolment, Store

    certificate = Enrolment(ca="ca.example", number=number, keys=Store.open(), codes=CallbackCodes(ask)).run()

Read `enrol` first: it is the whole story. `sign_passport` signs calls and messages with what is held. The names below
are imported when they are first used, for `acme` and `requests` take longer to import than most programs that only read
the store may spend.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acme_client.accounts import Applicant as Applicant
    from acme_client.addresses import AuthorityAddress as AuthorityAddress
    from acme_client.challenges import ChallengeKind as ChallengeKind
    from acme_client.codes import RESEND as RESEND
    from acme_client.codes import CallbackCodes as CallbackCodes
    from acme_client.codes import CodePrompt as CodePrompt
    from acme_client.codes import CodeSource as CodeSource
    from acme_client.codes import CommandCodes as CommandCodes
    from acme_client.codes import FileCodes as FileCodes
    from acme_client.codes import code_from_sms as code_from_sms
    from acme_client.enrol import Enrolment as Enrolment
    from acme_client.errors import AcmeClientError as AcmeClientError
    from acme_client.network import Connection as Connection
    from acme_client.progress import Progress as Progress
    from acme_client.progress import Step as Step
    from acme_client.renew import renewal as renewal
    from acme_client.revoke import revoke_held as revoke_held
    from acme_client.signing import SignedToken as SignedToken
    from acme_client.signing import sign_passport as sign_passport
    from acme_client.signing import signing_certificate as signing_certificate
    from acme_client.store import EnrolledCertificate as EnrolledCertificate
    from acme_client.store import Store as Store

_HOMES = {
    "RESEND": "codes",
    "AcmeClientError": "errors",
    "Applicant": "accounts",
    "AuthorityAddress": "addresses",
    "CallbackCodes": "codes",
    "ChallengeKind": "challenges",
    "CodePrompt": "codes",
    "CodeSource": "codes",
    "CommandCodes": "codes",
    "Connection": "network",
    "EnrolledCertificate": "store",
    "Enrolment": "enrol",
    "FileCodes": "codes",
    "Progress": "progress",
    "SignedToken": "signing",
    "Step": "progress",
    "Store": "store",
    "code_from_sms": "codes",
    "renewal": "renew",
    "revoke_held": "revoke",
    "sign_passport": "signing",
    "signing_certificate": "signing",
}


def __getattr__(name: str) -> object:
    """Import one of the names above (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    """List the names that can be imported from here."""
    return sorted({*globals(), *_HOMES})
