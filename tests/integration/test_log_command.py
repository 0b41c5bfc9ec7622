"""`answerback log` as an operator runs it: from nothing to SCTs over HTTP, signals, crashes and rivals."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from cryptography import x509

from answerback.commands.log import log
from stir.certificate_building import NumberCertificateFields, precertificate, signature_hash
from stir.certificate_chain import write_pem_chain
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod
from tests.fakes.log_world import Authority, key
from transparency.log_description import LogDescription
from transparency.sct import SctExtensions, SignedCertificateTimestamp, issuer_key_hash, tbs_of

_PATIENCE = 30.0
_NUMBER = TelephoneNumber.parse("+12025550123")


def _run(*arguments: str | Path) -> dict[str, object]:
    """Run a command that must succeed, and return what it prints as JSON."""
    result = CliRunner().invoke(log, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    answer: dict[str, object] = json.loads(result.output)
    return answer


@pytest.fixture
def authority() -> Authority:
    """Return the authority that the log admits."""
    return Authority.make()


@pytest.fixture
def folder(tmp_path: Path, authority: Authority, unused_port: int) -> Path:
    """Return a new log's folder."""
    issuer = tmp_path / "issuer.pem"
    issuer.write_bytes(write_pem_chain((authority.issuing,)))
    url = f"http://127.0.0.1:{unused_port}"
    _run(
        "init",
        tmp_path / "log",
        "--name",
        "Example Log",
        "--operator",
        "Example",
        "--public-url",
        url,
        "--admit",
        issuer,
        "--unencrypted-keys",
    )
    return tmp_path / "log"


@pytest.fixture
def unused_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _serving(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the server until the block is left, and yield it once it listens."""
    command = [sys.executable, "-c", "from answerback.commands.log import log; log()"]
    with (folder / "stderr").open("ab") as errors:
        server = subprocess.Popen(
            [*command, "serve", "--config", str(folder / "log.toml"), *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=Path(__file__).parents[2],
        )
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), (folder / "stderr").read_text()
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(_PATIENCE)
        finally:
            server.kill()
            server.stdout.close()
            server.wait(_PATIENCE)


def _chain(authority: Authority, serial: int) -> tuple[x509.Certificate, list[str]]:
    """Return a precertificate that is valid now, and its chain as it is submitted."""
    now = datetime.now(UTC)
    fields = NumberCertificateFields(
        number=_NUMBER,
        public_key=key(90).public_key(),
        serial=serial,
        not_before=now - timedelta(hours=1),
        not_after=now + timedelta(days=7),
        validation=ValidationMethod.SMS_CODE,
        ca_issuers_url="https://ca.example/issuer.der",
        crl_url="https://ca.example/crl/0.crl",
    )
    signed = precertificate(fields, authority.issuing).sign(
        authority.issuing_key, signature_hash(authority.issuing_key)
    )
    return signed, [base64.b64encode(der).decode() for der in authority.chain(signed)]


def _submit(description: LogDescription, authority: Authority, serial: int) -> tuple[int, float]:
    """Submit a precertificate, check its SCT, and return the leaf's index and how long it took, in seconds."""
    certificate, chain = _chain(authority, serial)
    shard = description.shard_for(certificate.not_valid_after_utc)
    assert shard is not None
    began = time.monotonic()
    url = f"{description.submission_prefix(shard)}/ct/v1/add-pre-chain"
    answer = requests.post(url, json={"chain": chain}, timeout=_PATIENCE)
    took = time.monotonic() - began
    assert answer.status_code == 200, answer.text
    sct = SignedCertificateTimestamp.from_response(answer.json())
    shard.check_sct(sct, _NUMBER, issuer_key_hash(authority.issuing), tbs_of(certificate))
    return SctExtensions.decode(sct.extensions).leaf_index, took


@pytest.fixture
def description(folder: Path) -> LogDescription:
    """Return what the operator hands out."""
    return LogDescription.from_json((folder / "log.json").read_bytes())


@pytest.mark.slow
def test_a_small_log_serves_everything(folder: Path, description: LogDescription, authority: Authority) -> None:
    """One command sequences and serves: many submissions at once get their SCTs, and the tree is there to read."""
    with _serving(folder, "--with-sequencer") as server, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda serial: _submit(description, authority, serial), range(1, 65)))
        assert sorted(index for index, _ in answers) == list(range(64))
        checkpoint = requests.get(f"{description.monitoring_prefix(description.shards[0])}/checkpoint", timeout=5)
        assert checkpoint.text.splitlines()[0] == description.shards[0].origin
        server.send_signal(signal.SIGTERM)
        assert server.wait(_PATIENCE) == 0
    rows = _run("status", "--config", folder / "log.toml")["shards"]
    assert isinstance(rows, list)
    assert [(row["size"], row["published"], row["queued"]) for row in rows if row["size"]] == [(64, 64, 0)]


@pytest.mark.slow
def test_a_killed_sequencer_is_started_again(folder: Path, description: LogDescription, authority: Authority) -> None:
    """The front ends go on while the sequencer is dead, and what was queued meanwhile gets its place."""
    with _serving(folder, "--with-sequencer") as server:
        assert _submit(description, authority, 1)[0] == 0
        os.kill(_sequencer_of(server.pid, folder), signal.SIGKILL)
        assert _submit(description, authority, 2)[0] == 1


@pytest.mark.slow
def test_a_second_sequencer_is_refused(folder: Path) -> None:
    """Whoever starts a second sequencer is told at once."""
    with _serving(folder, "--with-sequencer"):
        deadline = time.monotonic() + _PATIENCE
        while not (folder / "log.db.sequencer").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        command = [sys.executable, "-c", "from answerback.commands.log import log; log()"]
        second = subprocess.run(
            [*command, "sequence", "--config", str(folder / "log.toml")],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        assert second.returncode == 1
        assert "another sequencer is at work" in second.stderr


@pytest.mark.slow
def test_an_old_database_is_refused_loudly(folder: Path, description: LogDescription, authority: Authority) -> None:
    """With an old copy of the database the sequencer ends with the reason, and no submission gets an SCT."""
    old = (folder / "log.db").read_bytes()
    with _serving(folder, "--with-sequencer"):
        _submit(description, authority, 1)
    for path in folder.glob("log.db*"):
        path.unlink()
    (folder / "log.db").write_bytes(old)
    text = (folder / "log.toml").read_text().replace("#wait_seconds = 10", "wait_seconds = 1")
    (folder / "log.toml").write_text(text)
    with _serving(folder, "--with-sequencer"):
        certificate, chain = _chain(authority, 2)
        shard = description.shard_for(certificate.not_valid_after_utc)
        assert shard is not None
        url = f"{description.submission_prefix(shard)}/ct/v1/add-pre-chain"
        assert requests.post(url, json={"chain": chain}, timeout=_PATIENCE).status_code == 503
    assert "the database is an old copy" in (folder / "stderr").read_text()


def test_mistakes_are_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    """A wrong command line, a missing file and a shard that is there already are refused with what to do."""
    runner = CliRunner()
    given = ["--name", "x", "--operator", "x", "--public-url", "http://127.0.0.1:1"]
    without = runner.invoke(log, ["init", str(tmp_path / "new"), *given], env={"ANSWERBACK_LOG_PASSPHRASE": None})
    assert without.exit_code == 1
    assert "--passphrase-file" in without.output
    both = ["--unencrypted-keys", "--passphrase-file", "x"]
    assert "not both" in runner.invoke(log, ["init", str(tmp_path / "new"), *given, *both]).output
    missing = runner.invoke(log, ["status", "--config", str(tmp_path / "missing.toml"), "--json"])
    assert missing.exit_code == 1
    assert "cannot be read" in json.loads(missing.output)["error"]
    again = runner.invoke(log, ["erase", "2026h2", "5", "--config", str(folder / "log.toml")])
    assert again.exit_code == 1
    assert "keeps nothing" in again.output


def test_a_shard_is_added_and_described(folder: Path) -> None:
    """`shards add` and `describe` agree on what is handed out."""
    last = LogDescription.from_json((folder / "log.json").read_bytes()).shards[-1].name
    year, half = int(last[:4]), last[-1]
    name = f"{year + 1}h1" if half == "2" else f"{year}h2"
    answer = _run("shards", "add", name, "--config", folder / "log.toml")
    assert answer["shards"][-1] == name  # type: ignore[index]
    described = CliRunner().invoke(log, ["describe", "--config", str(folder / "log.toml")])
    assert described.output.encode() == (folder / "log.json").read_bytes()


def test_help_names_every_command() -> None:
    """The group lists what it has, with a line for each."""
    text = CliRunner().invoke(log, ["--help"]).output
    assert all(name in text for name in ("init", "serve", "sequence", "status", "shards", "erase", "describe"))


def _sequencer_of(server: int, folder: Path) -> int:
    """Return the process that holds the sequencer's lock, among the server's children."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for child in Path(f"/proc/{server}/task/{server}/children").read_text().split():
            links = [str(link.readlink()) for link in Path(f"/proc/{child}/fd").iterdir() if link.is_symlink()]
            if str(folder / "log.db.sequencer") in links:
                return int(child)
        time.sleep(0.02)
    msg = "no child of the server sequences"
    raise AssertionError(msg)
