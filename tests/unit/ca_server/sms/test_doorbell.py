from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ca_server.orders import Delivery
from ca_server.sms import worker as workers
from ca_server.sms.doorbell import Doorbell
from ca_server.sms.routing import Routes
from ca_server.sms.worker import Worker
from tests.fakes.scripted_gateway import ScriptedGateway
from tests.fakes.sms_queue import NOON, Clock, MemorySmsQueue, an_sms
from tests.fakes.smsc import eventually

LONG = 60.0


def bell(folder: Path) -> Doorbell:
    """Return the bell of the database in a folder, as each process has one of its own."""
    made = Doorbell.beside(folder / "ca.db")
    assert made is not None
    return made


def test_a_ring_wakes_whoever_waits(tmp_path: Path) -> None:
    """A wait ends when another process rings, and at once where it rang before."""
    here, there = bell(tmp_path), bell(tmp_path)
    here.wait(0)
    there.ring()
    here.wait(LONG)
    woken = threading.Event()

    def wait() -> None:
        here.wait(LONG)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    there.ring()
    thread.join(LONG)
    assert woken.is_set()
    here.close()
    there.close()


def test_a_wait_ends_without_a_ring(tmp_path: Path) -> None:
    """Rings that were heard ring no more."""
    waits = bell(tmp_path)
    for _ in range(3):
        waits.ring()
    waits.wait(0)
    for _ in range(3):
        waits.ring()
    waits.wait(LONG)
    begun = time.monotonic()
    waits.wait(0.01)
    assert time.monotonic() - begun >= 0.01
    waits.close()


def test_nobody_minds_a_ring_that_nobody_hears(tmp_path: Path) -> None:
    """Before a worker ever ran, after it ended, and where it is busy for long, ringing is no error."""
    rings, waits = bell(tmp_path), bell(tmp_path)
    rings.ring()
    waits.wait(0)
    rings.ring()
    waits.close()
    rings.ring()
    rings.ring()
    waits.wait(0)
    for _ in range(70_000):
        rings.ring()
    waits.wait(LONG)
    rings.close()
    waits.close()


def test_threads_that_ring_at_once_share_one_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is opened twice and lost, and none is written to once it is closed: its number may be another file's."""
    waits, rings = bell(tmp_path), bell(tmp_path)
    waits.wait(0)
    at_work: list[str] = []
    together: list[tuple[str, ...]] = []

    def slowly(name: str, do: Callable[..., int]) -> Callable[..., int]:
        def slow(*given: object) -> int:
            at_work.append(name)
            time.sleep(0.01)
            together.append(tuple(at_work))
            at_work.remove(name)
            return do(*given)

        return slow

    monkeypatch.setattr(os, "open", slowly("open", os.open))
    monkeypatch.setattr(os, "write", slowly("write", os.write))
    threads = [threading.Thread(target=rings.ring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert together == [("open",), *[("write",)] * 4]
    monkeypatch.undo()
    rings.close()
    waits.close()


def test_only_the_databases_owner_rings(tmp_path: Path) -> None:
    """The pipe is its owner's, beside the database."""
    waits = bell(tmp_path)
    waits.wait(0)
    mode = (tmp_path / "ca.db.bell").stat().st_mode
    assert (stat.S_ISFIFO(mode), stat.S_IMODE(mode)) == (True, 0o600)
    waits.close()


def test_a_database_on_a_server_has_no_bell() -> None:
    """Those who share it may be on other hosts."""
    assert Doorbell.beside(None) is None


def test_a_file_in_the_pipes_place_is_left_alone(tmp_path: Path) -> None:
    """It can be read without end, so that a worker would never wait; ringing does not write to it."""
    (tmp_path / "ca.db.bell").write_text("mine")
    with pytest.raises(OSError, match="exists"):
        bell(tmp_path).wait(LONG)
    bell(tmp_path).ring()
    assert (tmp_path / "ca.db.bell").read_text() == "mine"


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_worker_sends_when_it_rings_and_without_a_bell_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_broken: bool
) -> None:
    """What is queued while the worker waits leaves at once; a bell that cannot be used is told, and done without."""
    monkeypatch.setattr(workers, "_WAIT_AT_BELL", LONG)
    if is_broken:
        (tmp_path / "ca.db.bell").mkdir()
    gateway, queue, rings = ScriptedGateway("a"), MemorySmsQueue(), bell(tmp_path)
    routes = Routes.from_config([gateway.settings])
    stop = threading.Event()
    worker = Worker(queue, routes, [gateway], clock=Clock(), doorbell=bell(tmp_path))
    thread = threading.Thread(target=worker.run, args=(stop,))
    with capture_logs() as logs:
        thread.start()
        eventually((tmp_path / "ca.db.bell").exists, "the worker waits")
        message = queue.put(an_sms(), NOON)

        def is_sent() -> bool:
            rings.ring()  # a worker that is about to open the pipe does not hear it
            return message.delivery is Delivery.SENT

        eventually(is_sent, "the message is sent")
        stop.set()
        rings.ring()
        thread.join(LONG)
    assert ("sms_doorbell_failed" in [line["event"] for line in logs]) == is_broken
    rings.close()
