"""What the demo's stranger does: with everything that a log shows to everybody, tries number after number."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from pathlib import Path

from stir.telephone_number import TelephoneNumber
from transparency.entry import vrf_input
from transparency.log_description import LogDescription

LABEL_BYTES = 32


def everything_shown(folder: Path) -> bytes:
    """Return all that a log shows to everybody: its tiles, entries, checkpoints and label index, end to end."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def numbers_in(shown: bytes, log: LogDescription, candidates: Iterable[TelephoneNumber]) -> list[TelephoneNumber]:
    """Return the candidates of which a trace can be found in what a log shows.

    A trace is the number itself, or a label made of it with anything that is public. Labels are made with the log's
    secret key (RFC 9381), so there should be none.
    """
    return [number for number in candidates if any(trace in shown for trace in _traces(number, log))]


def _traces(number: TelephoneNumber, log: LogDescription) -> Iterator[bytes]:
    yield number.digits.encode("ascii")
    for shard in log.shards:
        for text in (number.digits.encode("ascii"), number.e164.encode("ascii"), vrf_input(shard.origin, number)):
            yield hashlib.sha256(text).digest()
            yield hashlib.sha512(text).digest()[:LABEL_BYTES]
            for public in (shard.vrf_key.data, shard.log_id, shard.origin.encode("ascii")):
                yield hmac.digest(public, text, hashlib.sha256)
                yield hmac.digest(public, text, hashlib.sha512)[:LABEL_BYTES]
