from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog

from ca_server import checkup, issuing, upkeep
from ca_server.app import create_authority, system_clock
from ca_server.checkup import Finding, check, send_test_sms
from ca_server.config import Config
from ca_server.errors import ConfigurationError, SmsRejected, SmsUnavailable, StorageError
from ca_server.initialise import NewAuthority, initialise
from ca_server.loading import load_config
from ca_server.logs.known_log import Lie, LieKind, Timestamp
from ca_server.orders import Delivery
from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms
from ca_server.storage import Evidence, KeptTimestamp
from stir.telephone_number import TelephoneNumber
from tests.fakes.public_log import PublicLog
from tests.fakes.scripted_gateway import ScriptedGateway

NOW = system_clock()
NUMBER = TelephoneNumber("12025550123")
SHORT = timedelta(milliseconds=50)
LOG_NOW = PublicLog().shard.not_after_limit - timedelta(days=365)
"""A public log of these tests takes certificates that end within a year of this."""
NEW = NewAuthority("Example CA", "Example Ltd", "http://127.0.0.1:14000", None, countries=("US",), gateway="outbox")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the settings of an authority that was made just now."""
    return initialise(tmp_path / "ca", NEW, lambda: NOW).config


@pytest.fixture
def config(path: Path) -> Config:
    """Return those settings, read."""
    return load_config(path)


def finding(path: Path, name: str, now: datetime = NOW) -> Finding:
    """Return one of the findings of a check."""
    return next(found for found in check(path, now) if found.name == name)


def test_a_new_authority_is_well(path: Path) -> None:
    """All is found, and what is for trying out is warned of."""
    found = list(check(path, NOW))
    assert all(one.is_ok for one in found)
    assert [one.warning for one in found if one.warning] == [
        "the keys are not encrypted",
        "outbox is no real SMS: no phone gets anything",
    ]


def test_a_database_that_others_can_read_is_warned_of(path: Path) -> None:
    """A database in a file holds codes and numbers: one that is open to other users is worth a warning."""
    assert finding(path, "database").warning == ""
    file = path.parent / "answerback.db"
    file.chmod(0o644)
    found = finding(path, "database")
    assert found.is_ok
    assert found.warning.endswith(f"run `chmod 600 {file}`")


@pytest.mark.parametrize(
    ("mode", "is_ok", "told"),
    [
        (0o700, True, ""),
        (0o750, True, ""),
        (0o755, True, "is open to every user of this machine"),
        (0o770, True, "lets its group replace the keys"),
        (0o703, False, "lets every user of this machine replace the keys"),
    ],
)
def test_a_keys_folder_that_others_can_use_is_told(path: Path, mode: int, is_ok: bool, told: str) -> None:
    """Whoever may write into it may put another key there: a failure for every user, a warning for the group."""
    folder = path.parent / "keys"
    folder.chmod(mode)
    found = finding(path, "key")
    said = found.detail + found.warning
    assert found.is_ok is is_ok
    assert told in said
    assert said.endswith(f"run `chmod 700 {folder}`") is bool(told)


def test_settings_that_do_not_load_end_the_check(tmp_path: Path) -> None:
    """Without settings there is nothing more to look at."""
    (found,) = check(tmp_path / "no.toml", NOW)
    assert (found.name, found.is_ok) == ("configuration", False)


def test_an_empty_list_of_countries_is_warned_of(path: Path) -> None:
    """An authority that refuses every number should know."""
    path.write_text(path.read_text(encoding="utf-8").replace('countries = ["US"]', "countries = []"), encoding="utf-8")
    assert "every number is refused" in finding(path, "configuration").warning


@pytest.mark.parametrize(
    ("after", "is_ok", "told"),
    [
        (timedelta(days=-2), False, "is not valid yet; is the clock of this machine right?"),
        (timedelta(days=1000), True, ""),
        (timedelta(days=1096 - 89), True, "prepare the next"),
        (timedelta(days=1097), False, "nothing can be issued under it"),
    ],
)
def test_the_authoritys_own_certificates_are_watched(path: Path, after: timedelta, is_ok: bool, told: str) -> None:
    """Their end is warned of 90 days ahead, and is a failure afterwards."""
    found = finding(path, "certificates", NOW + after)
    assert found.is_ok is is_ok
    assert told in found.detail + found.warning


def test_a_chain_that_does_not_fit_is_told(path: Path, tmp_path: Path) -> None:
    """Each certificate is signed by the next; the message names the setting."""
    other = initialise(tmp_path / "other", NEW, lambda: NOW)
    (path.parent / "root.pem").write_bytes((other.config.parent / "root.pem").read_bytes())
    assert finding(path, "certificates").detail.startswith("authority.certificate: the certificate in ")
    (path.parent / "root.pem").write_bytes((path.parent / "issuing.pem").read_bytes())
    (path.parent / "issuing.pem").write_bytes((other.config.parent / "issuing.pem").read_bytes())
    assert not finding(path, "certificates").is_ok


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no certificate of an authority"),
        (None, "cannot be read"),
        (b"twice", "must hold one certificate, and"),
    ],
)
def test_a_file_that_is_no_authoritys_is_told(path: Path, content: bytes | None, told: str) -> None:
    """Junk, nothing, and two certificates in one file are told with the setting that names the file."""
    file = path.parent / "root.pem"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() * 2 if content == b"twice" else content)
    found = finding(path, "certificates")
    assert found.detail.startswith("authority.chain[0]: ")
    assert told in found.detail


class ReportingGateway(ScriptedGateway):
    """Reports at once that each message came to this."""

    delivery = Delivery.DELIVERED

    def send(self, sms: OutgoingSms) -> str:
        """Take the message, and report on it."""
        message_id = super().send(sms)
        if self.on_receipt is not None:
            self.on_receipt(DeliveryReceipt(self.name, message_id, self.delivery, NOW))
        return message_id


class FailingGateway(ReportingGateway):
    """Reports at once that no message was delivered."""

    delivery = Delivery.FAILED


def send(
    config: Config, monkeypatch: pytest.MonkeyPatch, gateway: ScriptedGateway, patience: timedelta = SHORT
) -> Delivery:
    """Send a test SMS over the gateway, and return what became of it."""
    monkeypatch.setattr(checkup, "open_gateway", lambda _settings, _folder: gateway)
    result = send_test_sms(config, NUMBER, NOW, patience=patience)
    assert gateway.closed
    assert gateway.taken[0].text == "This is a test message of Example CA. It carries no code."
    return result.delivery


def test_a_test_sms_tells_what_became_of_it(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivered, not delivered, or taken without a receipt in time."""
    assert send(config, monkeypatch, ReportingGateway("g")) is Delivery.DELIVERED
    assert send(config, monkeypatch, FailingGateway("g")) is Delivery.FAILED
    assert send(config, monkeypatch, ScriptedGateway("g")) is Delivery.SENT


def test_a_test_sms_waits_for_a_gateway_that_connects(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that is not ready at first is tried again, within the patience."""
    soon = SmsUnavailable("not yet", retry_after=timedelta(milliseconds=1))
    gateway = ReportingGateway("g", answers=[soon, soon])
    assert send(config, monkeypatch, gateway, timedelta(seconds=60)) is Delivery.DELIVERED


@pytest.mark.parametrize("error", [SmsRejected("no such number"), SmsUnavailable("no connection")])
def test_a_test_sms_that_is_not_taken_says_why(
    config: Config, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """What the gateway says is told, and the gateway is closed."""
    gateway = ScriptedGateway("g", answers=[error])
    monkeypatch.setattr(checkup, "open_gateway", lambda _settings, _folder: gateway)
    with pytest.raises(type(error), match=str(error)):
        send_test_sms(config, NUMBER, NOW, patience=SHORT)
    assert gateway.closed


def test_a_gateway_that_is_not_there_is_told(config: Config) -> None:
    """The names of those that are there stand in the message."""
    with pytest.raises(ConfigurationError, match=r"there is no gateway 'x'; the gateways are: outbox$"):
        send_test_sms(config, NUMBER, NOW, gateway_name="x", patience=SHORT)


def run_worker_until(config: Config, holds: Callable[[], bool]) -> None:
    """Run the worker in a thread until a condition holds."""
    stop = threading.Event()
    worker = threading.Thread(target=upkeep.run_worker, args=(config, stop), kwargs={"period": SHORT})
    worker.start()
    try:
        deadline = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < deadline
            assert worker.is_alive()
            time.sleep(0.01)
    finally:
        stop.set()
        worker.join(60)
    assert not worker.is_alive()


def test_the_worker_signs_every_crl(config: Config) -> None:
    """Without being asked, each shard has a CRL that is in force."""
    ca = create_authority(config)
    lists = ca.storage.revocation_lists
    run_worker_until(config, lambda: lists.shards(ca.issuer.id) == list(range(16)))
    ca.storage.close()


@pytest.mark.parametrize("error", [StorageError("away"), ZeroDivisionError("a bug")])
def test_a_failure_in_the_house_is_logged_and_tried_again(
    config: Config, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever fails in one round, the next one comes, and the worker goes on sending."""
    rounds: list[int] = []

    def fail(_ca: object) -> None:
        rounds.append(1)
        raise error

    monkeypatch.setattr(issuing, "keep_house", fail)
    with structlog.testing.capture_logs() as log:
        run_worker_until(config, lambda: len(rounds) > 2)
    assert [line["event"] for line in log].count("upkeep_failed") >= 2


def with_logs(path: Path, scts: int, *logs: PublicLog) -> Path:
    """Name public logs in the settings."""
    text = path.read_text(encoding="utf-8").replace("#scts = 0", f"scts = {scts}")
    for index, log in enumerate(logs):
        (path.parent / f"log-{index}.json").write_bytes(log.description.to_json())
        text += f'\n[[logs]]\ndescription = "log-{index}.json"\noperator = "{log.operator}"\n'
    path.write_text(text, encoding="utf-8")
    return path


def test_logs_that_take_our_certificates_are_well(path: Path) -> None:
    """Enough logs have a shard for what is issued now and in the next weeks."""
    found = finding(with_logs(path, 1, PublicLog()), "logs", LOG_NOW)
    assert (found.is_ok, found.warning) == (True, "")


@pytest.mark.parametrize(
    ("scts", "days", "is_ok", "told"),
    [
        (0, 0, True, "certificates are not logged"),
        (1, 330, True, "too few logs take certificates that end on"),
        (1, 370, False, "get the newest log.json of Example Log"),
    ],
)
def test_logs_that_close_are_told_of(path: Path, scts: int, days: int, is_ok: bool, told: str) -> None:
    """A month ahead it is a warning, and when nothing can be logged any more a failure."""
    found = finding(with_logs(path, scts, PublicLog()), "logs", LOG_NOW + timedelta(days=days))
    assert found.is_ok is is_ok
    assert told in found.warning + found.detail


def test_a_missing_description_is_a_finding(path: Path) -> None:
    """The check says which file to put where."""
    with_logs(path, 1, PublicLog())
    (path.parent / "log-0.json").unlink()
    assert "hands out" in finding(path, "logs").detail


def test_the_report_of_logs_tells_what_they_gave_and_what_was_false(path: Path, tmp_path: Path) -> None:
    """Each log's timestamps and false answers are counted; the false ones are written where the operator says."""
    log = PublicLog()
    config = load_config(with_logs(path, 1, log))
    authority = create_authority(config, clock=lambda: LOG_NOW)
    kept = KeptTimestamp("order", bytes(32), Timestamp(log.name, log.shard.log_id, 0, b"sct"))
    assert authority.storage.timestamps.keep(kept, LOG_NOW) is None
    lie = Lie(log.name, log.operator, LieKind.INDEX, "why", b"sct", b"other")
    authority.storage.evidence.add(Evidence("order", lie, b"precertificate", LOG_NOW))
    report = checkup.look_at_logs(config, LOG_NOW, 10)
    (one,) = report.logs
    assert (one.shard, one.timestamps, one.last, one.false_answers) == ("all", 1, LOG_NOW, 1)
    assert (report.scts, report.waiting, report.waiting_since) == (1, 0, None)
    files = checkup.write_evidence(report.evidence, tmp_path / "evidence")
    assert {file.name: file.read_bytes() for file in files} == {
        "001-index.precertificate.der": b"precertificate",
        "001-index.sct": b"sct",
        "001-index.other.sct": b"other",
        "001-index.txt": f"Example Log (Log Operator One), {LOG_NOW}: why\n".encode(),
    }
    with pytest.raises(ConfigurationError, match="does not exist yet"):
        checkup.write_evidence(report.evidence, tmp_path / "evidence")
