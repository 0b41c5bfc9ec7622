"""Our authority, as an operator runs it: `answerback ca serve --with-worker`, SQLite, every acknowledged write synced.

Its SMS go to the outbox of the development gateway, where the bench plays the phone. The caps on SMS are lifted, as
all clients come from one address; nothing else differs from what `answerback ca init` writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.json_util import encode_b64jose

from bench.acme_flow import FlowError, Json
from bench.processes import Server, free_port, running
from stir.certificate_request import number_request
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList

NAME = "answerback ca"

_CONFIG = """\
public_url = "http://127.0.0.1:{port}"

[authority]
name = "Bench CA"
operator = "Bench"

[server]
bind = "127.0.0.1:{port}"
workers = {workers}
threads = {threads}

[keys]
unencrypted = true

[[gateways]]
name = "outbox"
type = "outbox"
operator = "nobody"
sender = "BENCH"
options = {{ folder = "outbox" }}

[policy]
countries = ["US"]
new_orders = {{ burst = 1000000, refill_seconds = 1 }}

[policy.sms]
{caps}
"""
_LIFTED = "CAP = { burst = 1000000, refill_seconds = 1 }\n"
_TO_AND_CODE = re.compile(r"^To: (?P<to>\S+)$.*^@\S+ #(?P<code>\S+)$", re.MULTILINE | re.DOTALL)
_SMS_SECONDS = 30.0
_LOOK_AGAIN = 0.004
"""Seconds between two looks into the outbox; small beside the time that a certificate takes."""


class Phones:
    """Every phone at once: reads the outbox and finds the code that was sent to a number."""

    def __init__(self, outbox: Path) -> None:
        """Watch a folder that need not exist yet."""
        self._outbox = outbox
        self._seen: set[str] = set()
        self._codes: dict[str, str] = {}
        self._lock = threading.Lock()

    def code_for(self, number: TelephoneNumber) -> str:
        """Wait for the SMS to the number and take the code out of its last line."""
        deadline = time.monotonic() + _SMS_SECONDS
        while time.monotonic() < deadline:
            with self._lock:
                self._read_new()
                if number.e164 in self._codes:
                    return self._codes.pop(number.e164)
            time.sleep(_LOOK_AGAIN)
        message = f"no SMS to {number} within {_SMS_SECONDS:.0f} s"
        raise FlowError(message)

    def _read_new(self) -> None:
        names = {path.name for path in self._outbox.glob("*.txt")}
        for name in names - self._seen:
            found = _TO_AND_CODE.search((self._outbox / name).read_text())
            if found:
                self._codes[found["to"]] = found["code"]
        self._seen |= names


@dataclass(frozen=True)
class Number:
    """A telephone number that the authority certifies once its phone has answered."""

    number: TelephoneNumber
    phones: Phones
    challenge_type: str = "sms-code-00"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def identifier(self) -> Mapping[str, str]:
        """The identifier of RFC 9448 §3."""
        return {"type": "TNAuthList", "value": TnAuthList.for_number(self.number).identifier}

    def answers(self, challenge: Json, thumbprint: str) -> Iterator[Json]:
        """Ask for the SMS, then send the digest of what it brought."""
        yield {}
        code = self.phones.code_for(self.number)
        authorization = f"{code}{challenge['token']}.{thumbprint}"
        yield {"digest": encode_b64jose(hashlib.sha256(authorization.encode()).digest())}

    def request(self) -> bytes:
        """Ask for the number alone."""
        return number_request(self.number, self.key).public_bytes(serialization.Encoding.DER)


def subjects(folder: Path) -> Iterator[Number]:
    """Give one new number after the other; their phones look into the folder's outbox."""
    phones = Phones(folder / "ca" / "outbox")
    return (Number(TelephoneNumber.parse(f"+1202{2000000 + number}"), phones) for number in itertools.count())


@contextlib.contextmanager
def serving(folder: Path, workers: int, threads: int) -> Iterator[tuple[Server, str]]:
    """Make an authority in the folder and serve it; give the server and the URL of its index."""
    port = free_port()
    ca = (sys.executable, "-m", "answerback", "ca")
    subprocess.run(
        [
            *(*ca, "init", str(folder / "ca"), "--name", "Bench CA", "--operator", "Bench"),
            *("--public-url", f"http://127.0.0.1:{port}", "--country", "US"),
            *("--gateway", "outbox", "--unencrypted-keys"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    caps = "".join(
        _LIFTED.replace("CAP", cap) for cap in ("number", "account", "address", "prefix", "country", "everything")
    )
    config = folder / "ca" / "ca.toml"
    config.write_text(_CONFIG.format(port=port, workers=workers, threads=threads, caps=caps))
    command = [*ca, "serve", "--config", str(config), "--with-worker"]
    with running(command, port, folder, {}) as server:
        yield server, f"http://127.0.0.1:{port}/acme/index"
