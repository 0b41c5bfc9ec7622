"""How long an authority waits for an SCT: `answerback log serve --with-sequencer` as an operator runs it, over HTTP.

The log pools submissions for 200 ms. Several clients submit precertificates, each its next one when it has its SCT; how
long each waited is measured, and its SCT is checked afterwards. Beside stands the pooling alone: whoever submits again
as soon as an SCT came has just missed a pool, and waits for all of the next.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from bench.processes import free_port, running
from bench.table import Row
from stir.certificate_building import (
    AuthorityFields,
    NumberCertificateFields,
    authority_certificate,
    precertificate,
    signature_hash,
)
from stir.certificate_chain import write_pem_chain
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod
from transparency.client import LogClient
from transparency.log_description import LogDescription
from transparency.sct import issuer_key_hash, tbs_of

TARGET_MS = 400.0
POOLING_MS = 200
CLIENTS = 8
SUBMISSIONS = 200
_PROGRAM = (sys.executable, "-m", "answerback")
_ROOT = Path(__file__).parents[1]


def measure(submissions: int = SUBMISSIONS) -> Iterator[Row]:
    """Measure how long submissions wait: the half that waits less, and the 99 of 100."""
    with tempfile.TemporaryDirectory() as name:
        waits = _waits(Path(name), submissions)
    what, slowest = f"SCT over HTTP, {CLIENTS} clients", quantiles(waits, n=100)[-1]
    yield Row(f"{what}, median", "ms", median(waits), TARGET_MS, "the pooling alone", POOLING_MS)
    yield Row(f"{what}, 99 of 100", "ms", slowest, None, "the pooling alone", POOLING_MS)


def _waits(folder: Path, submissions: int) -> list[float]:
    authority, port = _Authority(), free_port()
    (folder / "issuer.pem").write_bytes(write_pem_chain((authority.issuing,)))
    url = f"http://127.0.0.1:{port}"
    named = ("--name", "Bench", "--operator", "Bench", "--public-url", url, "--admit", str(folder / "issuer.pem"))
    new = [*_PROGRAM, "log", "init", str(folder / "log"), *named, "--unencrypted-keys"]
    subprocess.run(new, check=True, stdout=subprocess.DEVNULL, timeout=60, cwd=_ROOT)
    description = LogDescription.from_json((folder / "log" / "log.json").read_bytes())
    chains = [authority.precertificate(serial) for serial in range(1, submissions + 1)]
    serve = [*_PROGRAM, "log", "serve", "--with-sequencer", "--config", str(folder / "log" / "log.toml")]
    with running(serve, port, folder, {"PYTHONPATH": str(_ROOT)}), ThreadPoolExecutor(CLIENTS) as pool:
        client = LogClient.of(description)
        _wait(client, chains[0])  # the first finds everything cold
        return list(pool.map(lambda chain: _wait(client, chain), chains[1:]))


def _wait(client: LogClient, chain: Sequence[x509.Certificate]) -> float:
    """Submit a chain, check the SCT, and return the milliseconds until it came."""
    der = [one.public_bytes(Encoding.DER) for one in chain]
    begun = time.perf_counter()
    sct = client.add_pre_chain(der)
    milliseconds = (time.perf_counter() - begun) * 1000
    shard = client.description.shard_for(chain[0].not_valid_after_utc)
    if shard is None:
        msg = "the bench's log has no shard for its certificates"
        raise RuntimeError(msg)
    shard.check_sct(sct, _NUMBER, issuer_key_hash(chain[1]), tbs_of(chain[0]))
    return milliseconds


_NUMBER = TelephoneNumber.parse("+12025550123")


class _Authority:
    """A root and an issuing authority below it."""

    def __init__(self) -> None:
        root_key, self._key, self._number_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self._now = datetime.now(UTC)
        root = authority_certificate(self._fields(root_key, None), None)
        self.root = root.sign(root_key, signature_hash(root_key))
        issuing = authority_certificate(self._fields(self._key, 0), self.root)
        self.issuing = issuing.sign(root_key, signature_hash(root_key))

    def _fields(self, key: ec.EllipticCurvePrivateKey, path_length: int | None) -> AuthorityFields:
        return AuthorityFields(
            common_name="Bench" if path_length is None else "Bench Issuing",
            organization="Bench",
            public_key=key.public_key(),
            serial=1,
            not_before=self._now - timedelta(days=1),
            not_after=self._now + timedelta(days=365),
            path_length=path_length,
        )

    def precertificate(self, serial: int) -> tuple[x509.Certificate, ...]:
        """Return a precertificate with its chain."""
        fields = NumberCertificateFields(
            number=_NUMBER,
            public_key=self._number_key.public_key(),
            serial=serial,
            not_before=self._now - timedelta(hours=1),
            not_after=self._now + timedelta(days=7),
            validation=ValidationMethod.SMS_CODE,
            ca_issuers_url="https://ca.example/issuer.der",
            crl_url="https://ca.example/0.crl",
        )
        signed = precertificate(fields, self.issuing).sign(self._key, signature_hash(self._key))
        return signed, self.issuing, self.root
