"""A whole log, and a whole witness, made and served by the commands that an operator types, each in its process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate_building import NumberCertificateFields, number_certificate, precertificate, signature_hash
from stir.certificate_chain import write_pem_chain
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod
from tests.fakes.index_files import built
from tests.fakes.small_pki import Authority, key
from transparency.client import LogClient
from transparency.label_index import MAP_CHECKPOINT_PATH, MapCheckpoint
from transparency.log_description import LogDescription, ShardDescription
from transparency.sct import encode_sct_list
from transparency.server.keys import KeyStore
from transparency.transport import HttpTransport

PATIENCE = 60.0
"""Seconds that anything here may take on a machine that is busy with other tests."""
_COMMAND = (sys.executable, "-c", "from answerback.commands.log import log; log()")
_ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """Run `answerback log` with these arguments and --json, and return what it prints."""
    command = [*_COMMAND, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT, timeout=PATIENCE)
    assert done.returncode == code, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def serving(folder: Path, *arguments: str | Path) -> Iterator[str]:
    """Serve until the block is left, and yield the URL."""
    with (folder / "stderr").open("ab") as errors:
        command = [*_COMMAND, *map(str, arguments), "--json"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=_ROOT)
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        assert line, (folder / "stderr").read_text()
        answer = json.loads(line)
        assert "listening" in answer, answer
        yield answer["listening"]
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(PATIENCE)
        finally:
            server.kill()
            server.stdout.close()
            server.wait(PATIENCE)


def unused_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class RunningLog:
    """A log that listens, whose files and keys lie in `folder`."""

    folder: Path
    description: LogDescription

    @property
    def log_json(self) -> Path:
        """What everybody is given."""
        return self.folder / "log.json"

    @property
    def client(self) -> LogClient:
        """Ask it over sockets."""
        return LogClient.of(self.description, HttpTransport())

    @property
    def shard(self) -> ShardDescription:
        """The shard for certificates that are issued now."""
        found = self.description.shard_for(_not_after())
        assert found is not None
        return found

    def certify(
        self, authority: Authority, number: TelephoneNumber, *, key_number: int, serial: int
    ) -> tuple[x509.Certificate, ...]:
        """Have an authority issue a certificate that this log has taken, and return its chain."""
        fields = NumberCertificateFields(
            number=number,
            public_key=key(key_number).public_key(),
            serial=serial,
            not_before=datetime.now(UTC) - timedelta(hours=1),
            not_after=_not_after(),
            validation=ValidationMethod.SMS_CODE,
            ca_issuers_url="https://ca.example/issuer/1.der",
            crl_url="https://ca.example/crl/1/0.crl",
        )
        issuer, hash_ = authority.certificate, signature_hash(authority.key)
        pre = precertificate(fields, issuer).sign(authority.key, hash_, ecdsa_deterministic=True)
        chain = [one.public_bytes(Encoding.DER) for one in (pre, *authority.chain)]
        sct = self.client.add_pre_chain(chain, PATIENCE)
        made = number_certificate(fields, issuer, encode_sct_list([sct]))
        return made.sign(authority.key, hash_, ecdsa_deterministic=True), *authority.chain

    def file(self, path: str) -> Path:
        """Return where a file of the shard lies that the log serves."""
        return self.folder / "public" / self.shard.name / path

    def map_checkpoint(self) -> MapCheckpoint:
        """Return the map checkpoint that the log shows."""
        return MapCheckpoint.from_note(self.file(MAP_CHECKPOINT_PATH).read_bytes(), self.shard.checkpoint_key)

    def wait_for_index(self, size: int) -> None:
        """Wait until the index covers so many entries."""
        deadline = time.monotonic() + PATIENCE
        while not self.file(MAP_CHECKPOINT_PATH).exists() or self.map_checkpoint().log.size < size:
            assert time.monotonic() < deadline, "the index was not brought up to the tree"
            time.sleep(0.05)

    def show_index_of(self, labels: list[bytes]) -> None:
        """Show, under the log's own signature, an index of other labels than its entries have."""
        keys = KeyStore(self.folder / "keys", None).open(self.shard.name, self.shard.origin)
        index, segments = built(labels)
        for path, data in segments.items():
            self.file(path).parent.mkdir(parents=True, exist_ok=True)
            self.file(path).write_bytes(data)
        map_ = index.checkpoint(self.map_checkpoint().log)
        self.file(MAP_CHECKPOINT_PATH).write_bytes(map_.to_note([keys.checkpoint]))


@contextmanager
def running_log(folder: Path, authority: Authority) -> Iterator[RunningLog]:
    """Make and serve a log that admits an authority, until the block is left."""
    home = _made(folder, authority)
    with serving(folder, "serve", "--with-sequencer", "--config", home / "log.toml"):
        yield RunningLog(home, LogDescription.from_json((home / "log.json").read_bytes()))


@contextmanager
def witnessed_log(folder: Path, authority: Authority) -> Iterator[tuple[RunningLog, RunningWitness]]:
    """Make and serve a log and a witness with two keys, which the log asks by itself."""
    home = _made(folder, authority)
    with running_witness(folder / "witness", home / "log.json", options=("--ml-dsa-44",)) as witness:
        settings = home / "log.toml"
        table = f"operator = 'Town Library'\nurl = '{witness.url}'\nkeys = {json.dumps(witness.keys)}\n"
        text = settings.read_text().replace("#every_seconds = 5", "every_seconds = 1")
        settings.write_text(f"{text}\n[[witnesses]]\n{table}")
        with serving(folder, "serve", "--with-sequencer", "--config", settings):
            yield RunningLog(home, LogDescription.from_json((home / "log.json").read_bytes())), witness


def _made(folder: Path, authority: Authority) -> Path:
    """Make a log that admits an authority, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    issuer = folder / "admitted.pem"
    issuer.write_bytes(write_pem_chain((authority.certificate,)))
    home = folder / "log"
    url = f"http://127.0.0.1:{unused_port()}"
    names = ("--name", "Example Log", "--operator", "Log Operator", "--public-url", url)
    run("init", home, *names, "--admit", issuer, "--unencrypted-keys")
    settings = home / "log.toml"
    text = settings.read_text().replace("#index_seconds = 10", "index_seconds = 1")
    text = text.replace('#revocation = "required"', 'revocation = "when-available"')  # the authority serves no list
    settings.write_text(text)
    return home


@dataclass
class RunningWitness:
    """A witness that listens at `url`."""

    folder: Path
    url: str
    keys: list[str]

    @property
    def key(self) -> str:
        """Its Ed25519 verifier key."""
        return self.keys[0]


@contextmanager
def running_witness(
    folder: Path, description: Path, name: str = "witness.example/w1", options: tuple[str, ...] = ()
) -> Iterator[RunningWitness]:
    """Make and serve a witness of a log, until the block is left."""
    made = run("witness", "init", folder, "--name", name, "--unencrypted-keys", *options)
    settings = folder / "witness.toml"
    text = settings.read_text().replace("14200", str(unused_port()))
    settings.write_text(f"{text}\n[[logs]]\ndescription = {json.dumps(str(description))}\n")
    with serving(folder, "witness", "serve", "--config", settings) as url:
        yield RunningWitness(folder, url, list(made["keys"]))


def _not_after() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=6)
