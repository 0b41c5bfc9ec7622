"""What the authority does, one function for each step of ACME. Each takes the authority first.

A step that is refused raises `Refusal` and changes nothing. What a step has returned survives a killed process.
"""

from __future__ import annotations

from ca_server.issuing.accounts import account, change_key, create_account, deactivate_account, update_account
from ca_server.issuing.authority import CertificateAuthority
from ca_server.issuing.challenges import answer, ask, challenge
from ca_server.issuing.finalization import certificate_chain, finalize, finish_reserved
from ca_server.issuing.housekeeping import forget_ended, keep_house
from ca_server.issuing.ordering import authorization, create_order, deactivate_authorization, order, orders
from ca_server.issuing.revocation import crl, refresh_crls, revoke, revoke_by_operator

__all__ = [
    "CertificateAuthority",
    "account",
    "answer",
    "ask",
    "authorization",
    "certificate_chain",
    "challenge",
    "change_key",
    "create_account",
    "create_order",
    "crl",
    "deactivate_account",
    "deactivate_authorization",
    "finalize",
    "finish_reserved",
    "forget_ended",
    "keep_house",
    "order",
    "orders",
    "refresh_crls",
    "revoke",
    "revoke_by_operator",
    "update_account",
]
