"""The owner's door: whoever holds a number's certificate learns what stands under that number's label, and no more.

A certificate that opens the door is in the log like any other, or is put there first: so nobody looks at a number's
entries without leaving an entry under its label. One that was revoked opens nothing: whoever got it by a rerouted SMS
has lost it with that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec

from transparency.owner_request import FRESH_SECONDS, Action, OwnerRequestError, SignedOwnerRequest
from transparency.server.admission import Admitted
from transparency.server.errors import Refusal, RefusalKind
from transparency.server.log import Log, LogShard
from transparency.server.releases import Releases
from transparency.server.revocation import require_not_revoked
from transparency.server.storage import LoggedEntry
from transparency.server.submitting import label_of, place

MOST_ENTRIES = 500
"""How many entries an answer holds, the newest first."""


@dataclass(frozen=True, slots=True, repr=False)
class OwnEntry:
    """One entry of the owner's, with the chain of its certificate's issuers in DER."""

    entry: LoggedEntry
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, repr=False)
class OwnerAnswer:
    """What the owner is told: the number's label in the shard, the proof of it, and what is kept under it.

    `erased` is how many certificates and openings this request has erased.
    """

    label: bytes
    vrf_proof: bytes
    entries: tuple[OwnEntry, ...]
    is_complete: bool
    erased: int


def answer_owner(log: Log, releases: Releases, shard: LogShard, token: str) -> OwnerAnswer:
    """Answer an owner's request, once; raise Refusal."""
    now = log.clock()
    request = _read(token)
    _require_for(log, shard, request, now)
    owner = log.admission.certificate(request.chain, now)
    _require_signed(request, owner)
    _require_first_time(log, request, owner, now)
    require_not_revoked(log.revocation, owner, now, required=log.config.owner.revocation == "required")
    place(log, releases, log.shard_for(owner.not_after), owner)
    label, proof = label_of(shard, owner)
    erased = 0
    if request.request.action is Action.ERASE:
        # What is still valid is evidence, also against whoever holds a certificate that it should not have.
        erased = log.storage.entries.erase_label(shard.name, label, now)
    found = log.storage.entries.under_label(shard.name, label, MOST_ENTRIES + 1)
    published = log.storage.trees.published_sizes().get(shard.name, 0)
    shown = [one for one in found[:MOST_ENTRIES] if one.leaf_index is not None and one.leaf_index < published]
    issuers = _issuers(log, shown)
    return OwnerAnswer(
        label=label,
        vrf_proof=proof,
        entries=tuple(OwnEntry(one, tuple(issuers[id_] for id_ in one.chain_ids)) for one in shown),
        is_complete=len(found) <= MOST_ENTRIES,
        erased=erased,
    )


def _read(token: str) -> SignedOwnerRequest:
    try:
        return SignedOwnerRequest.parse(token)
    except OwnerRequestError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error


def _require_for(log: Log, shard: LogShard, request: SignedOwnerRequest, now: datetime) -> None:
    audience = f"{log.config.url}/{shard.name}"
    if request.request.audience != audience:
        raise Refusal(RefusalKind.UNAUTHORIZED, f"the request is not for this shard: its aud must be {audience}")
    if abs(now.timestamp() - request.request.issued_at) > FRESH_SECONDS:
        detail = f"the request is not fresh: its iat must be within {FRESH_SECONDS} s of {int(now.timestamp())}"
        raise Refusal(RefusalKind.UNAUTHORIZED, detail)


def _require_signed(request: SignedOwnerRequest, owner: Admitted) -> None:
    key = owner.certificate.public_key()
    try:
        if not isinstance(key, ec.EllipticCurvePublicKey):
            detail = "the certificate's key is not on P-256"
            raise Refusal(RefusalKind.OUTSIDE_PROFILE, detail)
        request.verify(key)
    except OwnerRequestError as error:
        raise Refusal(RefusalKind.UNAUTHORIZED, str(error)) from error


def _require_first_time(log: Log, request: SignedOwnerRequest, owner: Admitted, now: datetime) -> None:
    id_ = sha256(owner.id + request.request.request_id.encode("ascii")).digest()
    if not log.storage.spend_request(id_, now + timedelta(seconds=2 * FRESH_SECONDS), now):
        raise Refusal(RefusalKind.UNAUTHORIZED, "the request was answered before; make a new one, with another jti")


def _issuers(log: Log, entries: list[LoggedEntry]) -> dict[bytes, bytes]:
    ids = {id_ for one in entries for id_ in one.chain_ids}
    return {id_: log.storage.entries.issuer(id_) or b"" for id_ in ids}
