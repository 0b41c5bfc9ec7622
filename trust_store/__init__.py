"""Whom does this user believe? Anchors, limits, denies and logs in `trust.toml`, and the verdict on a call or message.

    TrustStore.load().judge(Call(token, orig=caller, dest=own_number, at=now))

Read `store` first; `path` builds and verifies the way from a number's certificate to an anchor, `policies.belief` holds
the rules, `logs` checks what a certificate carries of transparency logs, `trust_file` is the format of `trust.toml` and
`editing` changes it.
"""

from policies.terms import Purpose
from policies.verdicts import Finding, Outcome, Rule, Verdict
from trust_store.anchors import Anchor
from trust_store.errors import TrustStoreError
from trust_store.evidence import Call, DirectoryRecord, Evidence
from trust_store.home import TrustHome
from trust_store.list_keeper import ListKeeper
from trust_store.live import LiveTrustStore
from trust_store.logs import KnownLogs, TrustedAuditor, TrustedLog, TrustedWitness
from trust_store.store import Explanation, TrustStore

__all__ = [
    "Anchor",
    "Call",
    "DirectoryRecord",
    "Evidence",
    "Explanation",
    "Finding",
    "KnownLogs",
    "ListKeeper",
    "LiveTrustStore",
    "Outcome",
    "Purpose",
    "Rule",
    "TrustHome",
    "TrustStore",
    "TrustStoreError",
    "TrustedAuditor",
    "TrustedLog",
    "TrustedWitness",
    "Verdict",
]
