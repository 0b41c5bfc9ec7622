from __future__ import annotations

import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ca_server.config import Gateway
from ca_server.errors import SmsUnavailable
from ca_server.orders import Delivery
from ca_server.sms.gateway import DeliveryReceipt
from ca_server.sms.outbox_gateway import DevelopmentOutbox
from tests.fakes.sms_queue import NOON, Clock, an_sms

TABLE = Gateway("files", "outbox", "Nobody", "Example CA", {"folder": "sms"})


def ignore(_: DeliveryReceipt) -> None:
    """Take no notice of a receipt."""


@pytest.fixture
def outbox(tmp_path: Path) -> DevelopmentOutbox:
    """Return an outbox that was started."""
    gateway = DevelopmentOutbox(TABLE, tmp_path, clock=Clock())
    gateway.start(ignore)
    return gateway


def test_it_says_at_start_up_that_it_sends_no_sms(tmp_path: Path) -> None:
    """Nobody runs an authority on an outbox without having been warned."""
    with capture_logs() as logs:
        DevelopmentOutbox(TABLE, tmp_path).start(ignore)
    (line,) = logs
    assert line["log_level"] == "warning"
    assert line["event"] == "sms_outbox_is_no_real_sms"
    assert "no phone gets them" in line["meaning"]


def test_it_says_so_in_its_name() -> None:
    """Its class and its usual folder are named for development."""
    assert "Development" in DevelopmentOutbox.__name__
    assert DevelopmentOutbox(Gateway("a", "outbox", "b", "c"), Path("x")).folder == Path("x/outbox-development")


def test_a_message_becomes_a_file_that_only_its_owner_reads(outbox: DevelopmentOutbox) -> None:
    """The file is named after the message, and holds sender, number, date and text."""
    assert outbox.send(an_sms(text="12345678 is your code.\n\n@ca.example #12345678")) == "sms-1"
    (file,) = outbox.folder.iterdir()
    assert file.name == "sms-1.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(outbox.folder.stat().st_mode) == 0o700
    assert file.read_text(encoding="utf-8") == (
        "From: Example CA\nTo: +12025550123\nDate: 2026-11-22T12:00:00+00:00\n\n"
        "12345678 is your code.\n\n@ca.example #12345678\n"
    )


def test_a_message_that_is_sent_again_leaves_one_file(outbox: DevelopmentOutbox) -> None:
    """A repeat after a killed worker replaces the file, and what the killed one left half written."""
    (outbox.folder / "sms-1.draft").write_text("half a mess")
    for _ in range(2):
        outbox.send(an_sms())
    assert [file.name for file in outbox.folder.iterdir()] == ["sms-1.txt"]


def test_a_written_message_is_reported_as_delivered(tmp_path: Path) -> None:
    """The receipt comes before `send` returns, as real ones may."""
    receipts: list[DeliveryReceipt] = []
    gateway = DevelopmentOutbox(TABLE, tmp_path, clock=Clock())
    gateway.start(receipts.append)
    gateway.send(an_sms())
    gateway.close()
    assert receipts == [DeliveryReceipt("files", "sms-1", Delivery.DELIVERED, NOON)]


def test_a_folder_that_cannot_be_written_is_tried_later(outbox: DevelopmentOutbox) -> None:
    """A full or missing disk is no reason to give the message up, and the error holds no number."""
    outbox.folder.rmdir()
    with pytest.raises(SmsUnavailable, match="cannot write to") as raised:
        outbox.send(an_sms())
    assert "2025550123" not in str(raised.value)
