"""How often things may be asked for: token buckets in the database, which every worker and host shares."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from ca_server.errors import Refusal, RefusalKind
from ca_server.issuing.authority import CertificateAuthority
from policies.issuance import Bucket

BUCKET_SECRET = "buckets"  # noqa: S105 - the name of a secret
"""Names buckets in the database. It is asked for in transactions; to be known, it must be asked for outside one."""
_NAME_BYTES = 16


def take_tokens(ca: CertificateAuthority, buckets: Sequence[Bucket], happened: str, now: datetime) -> None:
    """Take a token from every bucket, or from none and refuse for the longest wait.

    Call it in the transaction of what the tokens are for: if that fails, they were not taken. `happened` says what
    there was too much of, such as `SMS were asked for`.
    """
    if not buckets:
        return
    keys = {_hidden(ca, bucket.key): bucket for bucket in buckets}
    held = ca.storage.buckets.held(tuple(keys))
    wait, bucket = max(((keys[key].cap.wait(held[key], now), keys[key]) for key in keys), key=lambda pair: pair[0])
    if wait:
        refuse_for(f"too many {happened} ({bucket.rule}); try again later", wait)
    ca.storage.buckets.fill({key: bucket.cap.taken(held[key], now) for key, bucket in keys.items()})


def refuse_for(detail: str, wait: timedelta) -> NoReturn:
    """Refuse with the time after which the same request may succeed."""
    raise Refusal(RefusalKind.RATE_LIMITED, detail, retry_after=wait)


def _hidden(ca: CertificateAuthority, key: str) -> str:
    """Return a bucket's name in the database, which tells nobody the number or the address in it."""
    secret = ca.storage.secret(BUCKET_SECRET)
    return hashlib.blake2b(key.encode("utf-8"), key=secret, digest_size=_NAME_BYTES).hexdigest()
