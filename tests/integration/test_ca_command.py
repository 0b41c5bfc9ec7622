from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fakes.running_authority import (
    ANSWERBACK,
    PATIENCE,
    RunningAuthority,
    await_that,
    free_port,
    make_authority,
    processes_of,
    run,
    serving,
)

NUMBER = "+12025550123"


@pytest.fixture
def url() -> str:
    """Return the URL of an authority that nobody serves yet."""
    return f"http://127.0.0.1:{free_port()}"


def enrol(authority: RunningAuthority, home: Path) -> str:
    """Enrol the number at the authority, its code read from the outbox; return the serial number."""
    code, before = home / "code", len(authority.sms())
    client = subprocess.Popen(
        [*ANSWERBACK, "enrol", NUMBER, "--ca", authority.index_url, "--code-file", str(code), "--json"],
        env=os.environ | {"ANSWERBACK_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    await_that(lambda: len(authority.sms()) > before or client.poll() is not None, "an SMS is in the outbox")
    sms = authority.sms()[-1]
    draft = home / "draft"
    draft.write_text(sms.rpartition("#")[2], encoding="ascii")
    draft.rename(code)
    output, errors = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, errors
    return f"{int(json.loads(output)['certificates'][0]['serial'], 16):032x}"


def listed(authority: RunningAuthority, *arguments: str) -> list[dict[str, object]]:
    """Return what `ca certificates` lists."""
    shown = run("ca", "certificates", "--config", authority.config, "--json", *arguments)
    certificates: list[dict[str, object]] = json.loads(shown.stdout)["certificates"]
    return certificates


def test_an_operator_stands_up_an_authority_and_runs_it(tmp_path: Path, url: str) -> None:
    """Init, serve with worker, enrol, list, revoke, look at the CRL: each by the command that says so."""
    folder = tmp_path / "ca"
    make_authority(folder, url)
    with serving(folder, url, "--with-worker") as authority:
        assert authority.output == [f"listening on {url}"]
        serial = enrol(authority, tmp_path)
        (shown,) = listed(authority)
        assert (shown["serial"], shown["status"], shown["number"]) == (serial, "valid", "+120******23")
        assert listed(authority, "--show-numbers", "--number", NUMBER)[0]["number"] == NUMBER
        (account,) = json.loads(run("ca", "accounts", "--config", authority.config, "--json").stdout)["accounts"]
        assert (account["id"], account["status"]) == (shown["account"], "valid")
        config = ("--config", authority.config)
        revoked = json.loads(run("ca", "revoke", serial, "--reason", "superseded", *config, "--json").stdout)
        crl = x509.load_der_x509_crl(requests.get(revoked["crl"], timeout=PATIENCE).content)
        assert [f"{entry.serial_number:032x}" for entry in crl] == [serial]
        assert listed(authority)[0]["status"] == "revoked"
        again = run("ca", "revoke", serial, *config, "--json", code=1)
        assert json.loads(again.stdout) == {"error": "the certificate is revoked already"}


def test_the_log_tells_each_decision_and_no_secret(tmp_path: Path, url: str) -> None:
    """From account to revocation each step is one JSON line, without the number, the code or a key."""
    folder = tmp_path / "ca"
    make_authority(folder, url)
    with serving(folder, url, "--with-worker") as authority:
        serial = enrol(authority, tmp_path)
        code = authority.sms()[-1].rpartition("#")[2].strip()
    log = "\n".join(authority.log)
    assert NUMBER.removeprefix("+1") not in log
    assert code not in log
    told = [event["event"] for event in authority.events()]
    steps = ["account_created", "order_created", "sms_asked", "sms_sent", "number_validated", "certificate_issued"]
    assert [event for event in told if event in steps] == steps
    issued = next(event for event in authority.events() if event["event"] == "certificate_issued")
    assert (issued["serial"], issued["number"], issued["method"]) == (serial, "+120******23", "sms-code")
    assert all({"event", "level", "at"} <= event.keys() for event in authority.events())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything(tmp_path: Path, url: str, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C stop web and worker, with exit code 0, and leave no process behind."""
    folder = tmp_path / "ca"
    make_authority(folder, url)
    with serving(folder, url, "--with-worker") as authority:
        await_that(lambda: len(processes_of(authority.process.pid)) >= 5, "web and worker run")
        authority.process.send_signal(number)
        assert authority.process.wait(PATIENCE) == 0
        assert processes_of(authority.process.pid) == []


def test_a_killed_worker_is_started_again(tmp_path: Path, url: str) -> None:
    """`serve --with-worker` looks after its worker: one that dies is replaced, and SMS go out."""
    folder = tmp_path / "ca"
    make_authority(folder, url)
    with serving(folder, url, "--with-worker") as authority:
        worker = await_worker(authority)
        os.kill(worker, signal.SIGKILL)
        await_that(lambda: any(event["event"] == "helper_ended" for event in authority.events()), "the end is noticed")
        enrol(authority, tmp_path)


def test_a_killed_parent_takes_its_children_along(tmp_path: Path, url: str) -> None:
    """When the supervising process is killed outright, web and worker end too."""
    folder = tmp_path / "ca"
    make_authority(folder, url)
    with serving(folder, url, "--with-worker") as authority:
        await_worker(authority)
        os.kill(authority.process.pid, signal.SIGKILL)
        authority.process.wait(PATIENCE)
        await_that(lambda: processes_of(authority.process.pid) == [], "no process is left")


def await_worker(authority: RunningAuthority) -> int:
    """Return the process that sends SMS: the child of the supervisor that has no children of its own."""
    await_that(
        lambda: any(event["event"] == "sms_outbox_is_no_real_sms" for event in authority.events()), "the worker runs"
    )
    children = [
        process for process in processes_of(authority.process.pid) if parent_of(process) == authority.process.pid
    ]
    parents = {parent_of(process) for process in processes_of(authority.process.pid)}
    (worker,) = (process for process in children if process not in parents)
    return worker


def parent_of(process: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def test_a_worker_runs_by_itself(tmp_path: Path, url: str) -> None:
    """`ca worker` sends what `ca serve` queued, on another host if need be, and stops when told."""
    folder = tmp_path / "ca"
    make_authority(folder, url)
    worker = subprocess.Popen(
        [*ANSWERBACK, "ca", "worker", "--config", str(folder / "ca.toml"), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert worker.stdout is not None
        assert json.loads(worker.stdout.readline()) == {"working": True}
        with serving(folder, url) as authority:
            enrol(authority, tmp_path)
    finally:
        worker.terminate()
        assert worker.wait(PATIENCE) == 0
        worker.stdout.close()


def test_a_port_in_use_is_one_line(tmp_path: Path, url: str) -> None:
    """The operator reads which setting names the port and what to do, and no traceback."""
    config = make_authority(tmp_path / "ca", url)
    with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
        failed = run("ca", "serve", "--config", config, code=1)
    assert failed.stderr.startswith("Error: server.bind: 127.0.0.1:")
    assert "is in use by another program" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


def test_a_wrong_passphrase_is_one_line(tmp_path: Path, url: str) -> None:
    """The key is tried before anything is served."""
    (tmp_path / "right").write_text("correct horse\n", encoding="utf-8")
    names = ("--name", "Example CA", "--operator", "Example Ltd", "--public-url", url, "--gateway", "outbox")
    run("ca", "init", tmp_path / "ca", *names, "--passphrase-file", tmp_path / "right")
    (tmp_path / "right").write_text("incorrect horse\n", encoding="utf-8")
    failed = run("ca", "serve", "--config", tmp_path / "ca" / "ca.toml", code=1)
    assert re.fullmatch(r"Error: .*issuing\.key does not open: the passphrase is wrong, or .*\n", failed.stderr)


def test_an_authority_serves_tls_and_takes_a_renewed_certificate(tmp_path: Path) -> None:
    """With `[server.tls]` the server speaks TLS, and uses new files for the next connection without a restart."""
    port = free_port()
    config = make_authority(tmp_path / "ca", f"https://localhost:{port}")
    text = config.read_text(encoding="utf-8").replace('trusted_proxies = ["127.0.0.1"]', "")
    tls = '[server.tls]\ncertificate = "tls.pem"\nkey = "tls.key"\n\n[log]'
    config.write_text(text.replace("127.0.0.1:14000", f"127.0.0.1:{port}").replace("[log]", tls), encoding="utf-8")
    write_tls(tmp_path / "ca")
    with serving(tmp_path / "ca", f"https://127.0.0.1:{port}") as authority:
        assert authority.output == [f"listening on https://127.0.0.1:{port}"]
        assert served_certificate(port) == (tmp_path / "ca" / "tls.pem").read_text(encoding="ascii")
        write_tls(tmp_path / "ca")
        assert served_certificate(port) == (tmp_path / "ca" / "tls.pem").read_text(encoding="ascii")


def served_certificate(port: int) -> str:
    """Return the certificate that the server shows, in PEM."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=PATIENCE)


def write_tls(folder: Path) -> None:
    """Write a new self-signed TLS certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "tls.pem").write_bytes(certificate.public_bytes(encoding))
    (folder / "tls.key").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))


def test_behind_a_proxy_only_the_proxy_is_served(tmp_path: Path) -> None:
    """With plain HTTP and a named proxy, a request from elsewhere is refused with a word on where to go."""
    port = free_port()
    config = make_authority(tmp_path / "ca", "https://ca.example", "--bind", f"127.0.0.1:{port}")
    text = config.read_text(encoding="utf-8")
    config.write_text(
        text.replace('trusted_proxies = ["127.0.0.1"]', 'trusted_proxies = ["10.9.8.7"]'), encoding="utf-8"
    )
    with serving(tmp_path / "ca", f"http://127.0.0.1:{port}") as authority:
        refused = requests.get(authority.index_url, timeout=PATIENCE)
    assert refused.status_code == HTTPStatus.FORBIDDEN
    assert "use its public URL" in refused.text


def test_check_looks_at_everything(tmp_path: Path, url: str) -> None:
    """Each thing that serving needs has its line, and what is not for the public is warned of."""
    config = make_authority(tmp_path / "ca", url)
    shown = run("ca", "check", "--config", config).stdout
    assert [line for line in shown.splitlines() if line.startswith("ok")] == [
        "ok     configuration",
        "ok     certificates",
        "ok     key",
        "ok     database",
        "ok     gateway outbox",
    ]
    assert "warning: the keys are not encrypted" in shown
    assert "warning: outbox is no real SMS" in shown


def test_check_fails_where_something_is_missing(tmp_path: Path, url: str) -> None:
    """A missing key is told by its name, in words and as data, with exit code 1."""
    config = make_authority(tmp_path / "ca", url)
    (tmp_path / "ca" / "keys" / "issuing.key").unlink()
    in_words = run("ca", "check", "--config", config, code=1)
    assert "FAILED key: " in in_words.stdout
    assert "Error: key, database must be mended" in in_words.stderr
    as_data = json.loads(run("ca", "check", "--config", config, "--json", code=1).stdout)
    assert not as_data["ok"]
    assert [finding["name"] for finding in as_data["findings"] if not finding["ok"]] == ["key", "database"]


def test_a_mistake_in_the_settings_is_one_line(tmp_path: Path, url: str) -> None:
    """Whatever the command, a wrong key names file, key and what is allowed."""
    config = make_authority(tmp_path / "ca", url)
    config.write_text(config.read_text(encoding="utf-8").replace("[policy]", "[policy]\nattemps = 3"), encoding="utf-8")
    for command in (["serve"], ["worker"], ["accounts"], ["crl"], ["keys"], ["export-anchor"], ["sms", "test", NUMBER]):
        failed = run("ca", *command, "--config", config, code=1)
        assert failed.stderr.startswith(f"Error: {config}: policy.attemps: there is no such key; the keys here are ")


def test_the_anchor_is_exported_with_its_fingerprint(tmp_path: Path, url: str) -> None:
    """The PEM goes to standard output, the fingerprint beside it; `init` printed the same."""
    config = make_authority(tmp_path / "ca", url)
    shown = run("ca", "export-anchor", "--config", config)
    certificate = x509.load_pem_x509_certificate(shown.stdout.encode())
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    assert shown.stderr == f"SHA-256: {fingerprint}\n"
    assert json.loads(run("ca", "export-anchor", "--config", config, "--json").stdout)["sha256"] == fingerprint
    run("ca", "export-anchor", "--config", config, "--output", tmp_path / "anchor.pem")
    assert (tmp_path / "anchor.pem").read_text(encoding="ascii") == shown.stdout


def test_a_test_sms_goes_through_the_gateway(tmp_path: Path, url: str) -> None:
    """`ca sms test` sends a message without a code, and tells what became of it."""
    config = make_authority(tmp_path / "ca", url)
    sent = json.loads(run("ca", "sms", "test", NUMBER, "--config", config, "--json").stdout)
    assert (sent["gateway"], sent["delivery"]) == ("outbox", "delivered")
    (file,) = (tmp_path / "ca" / "outbox-development").glob("*.txt")
    assert "This is a test message of Example CA. It carries no code." in file.read_text(encoding="utf-8")
    failed = run("ca", "sms", "test", NUMBER, "--gateway", "other", "--config", config, code=1)
    assert "there is no gateway 'other'; the gateways are: outbox" in failed.stderr
    failed = run("ca", "sms", "test", "+1202", "--config", config, code=1)
    assert failed.stderr.startswith("Error: a telephone number is +")


def test_crls_are_shown_and_written(tmp_path: Path, url: str) -> None:
    """Every shard has its CRL; one can be written to a file for a web server or another program."""
    config = make_authority(tmp_path / "ca", url)
    shown = json.loads(run("ca", "crl", "--refresh", "--config", config, "--json").stdout)["crls"]
    assert [crl["shard"] for crl in shown] == list(range(16))
    run("ca", "crl", "--shard", "3", "--output", tmp_path / "3.crl", "--config", config)
    assert x509.load_der_x509_crl((tmp_path / "3.crl").read_bytes()).next_update_utc is not None
    assert "say which CRL" in run("ca", "crl", "--output", tmp_path / "x", "--config", config, code=1).stderr
    assert "there is no such CRL" in run("ca", "crl", "--shard", "16", "--config", config, code=1).stderr


def test_fewer_crl_shards_are_refused(tmp_path: Path, url: str) -> None:
    """Certificates in the field name their shard, so shards in use cannot go away."""
    config = make_authority(tmp_path / "ca", url)
    run("ca", "crl", "--refresh", "--config", config)
    config.write_text(
        config.read_text(encoding="utf-8").replace("#crl_shards = 16", "crl_shards = 8"), encoding="utf-8"
    )
    failed = run("ca", "serve", "--config", config, code=1)
    assert "authority.crl_shards: 16 shards are in use and cannot shrink; write 16 or more" in failed.stderr


def test_keys_are_shown_with_where_they_are(tmp_path: Path, url: str) -> None:
    """A root key that was moved away is told as not here, which is as it should be."""
    config = make_authority(tmp_path / "ca", url)
    (tmp_path / "ca" / "keys" / "root.key").unlink()
    issuing, anchor = json.loads(run("ca", "keys", "--config", config, "--json").stdout)["keys"]
    assert (issuing["role"], issuing["here"], anchor["role"], anchor["here"]) == ("issuing", True, "anchor", False)
    assert "not on this machine" in run("ca", "keys", "--config", config).stdout


def test_the_next_issuing_certificate_is_made_and_told(tmp_path: Path, url: str) -> None:
    """`ca keys next` writes key and certificate, and says what to put into the settings; with that, all is well."""
    config = make_authority(tmp_path / "ca", url)
    told = run("ca", "keys", "next", "--name", "second", "--config", config).stdout
    made = [line.strip() for line in told.splitlines() if " = " in line]
    assert made == [
        'certificate = "second.pem"',
        'key = "second"',
        'former = [{ certificate = "issuing.pem", key = "issuing" }]',
    ]
    text = config.read_text(encoding="utf-8")
    for line in made:
        text = re.sub(rf"^#?{line.partition(' ')[0]} = .*$", line, text, count=1, flags=re.MULTILINE)
    config.write_text(text, encoding="utf-8")
    run("ca", "check", "--config", config)
    shown = json.loads(run("ca", "keys", "--config", config, "--json").stdout)["keys"]
    assert [(one["role"], one["key"]) for one in shown] == [
        ("issuing", "second"),
        ("anchor", "root"),
        ("former", "issuing"),
    ]
    lists = json.loads(run("ca", "crl", "--refresh", "--config", config, "--json").stdout)["crls"]
    assert len({one["url"] for one in lists}) == 2 * 16
    again = run("ca", "keys", "next", "--name", "second", "--config", config, "--json", code=1)
    assert "choose another --name" in json.loads(again.stdout)["error"]


def test_init_says_what_to_do_next(tmp_path: Path, url: str) -> None:
    """The operator reads the fingerprint of the anchor, the steps that remain, and every warning."""
    names = ("--name", "Example CA", "--operator", "Example Ltd", "--public-url", url)
    shown = run("ca", "init", tmp_path / "ca", *names, "--gateway", "outbox", "--unencrypted-keys").stdout
    fingerprint = x509.load_pem_x509_certificate((tmp_path / "ca" / "root.pem").read_bytes()).fingerprint(
        hashes.SHA256()
    )
    assert fingerprint.hex() in shown
    assert "NOT encrypted" in shown
    assert "NO SMS IS SENT" in shown
    assert f"answerback ca serve --with-worker --config {tmp_path}/ca/ca.toml" in shown


def test_init_without_a_terminal_names_what_it_needs(tmp_path: Path, url: str) -> None:
    """A script that forgets an option is told which, and nothing is made."""
    assert "give --name" in run("ca", "init", tmp_path / "ca", code=1).stderr
    names = ("--name", "A", "--operator", "B", "--public-url", url)
    assert (
        "give --passphrase-file, or set ANSWERBACK_PASSPHRASE"
        in run("ca", "init", tmp_path / "ca", *names, code=1).stderr
    )
    both = run("ca", "init", tmp_path / "ca", *names, "--unencrypted-keys", "--passphrase-file", "x", code=1)
    assert "not both" in both.stderr
    assert not (tmp_path / "ca").exists()


def test_init_takes_its_passphrase_from_the_environment(tmp_path: Path, url: str) -> None:
    """With ANSWERBACK_PASSPHRASE set, nothing is asked, and the server finds it in the same place."""
    environment = os.environ | {"ANSWERBACK_PASSPHRASE": "correct horse"}
    names = ("--name", "A", "--operator", "B", "--public-url", url, "--gateway", "outbox")
    made = json.loads(run("ca", "init", tmp_path / "ca", *names, "--json", env=environment).stdout)
    assert "passphrase_file" not in tomllib.loads(Path(made["config"]).read_text(encoding="utf-8"))["keys"]
    run("ca", "check", "--config", made["config"], env=environment)
    assert (
        "set the environment variable ANSWERBACK_PASSPHRASE"
        in run("ca", "check", "--config", made["config"], code=1).stdout
    )
