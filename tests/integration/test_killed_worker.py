from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ca_server.orders import Delivery
from ca_server.sms.worker import LEASE
from ca_server.storage import Storage
from tests.fakes.clock import HandClock
from tests.fakes.issuing_authority import IssuingAuthority
from tests.fakes.smpp34_smsc import Smpp34Smsc
from tests.fakes.smsc import Manners, eventually
from tests.fakes.storages import storage_url
from tests.fakes.worker_process import smsc_gateway

__all__ = ["storage_url"]

ROOT = Path(__file__).parents[2]
LONG = 240.0


def killed_at_every_statement(url: str, folder: Path) -> list[dict[str, Any]]:
    """Return what came of each ask whose worker was killed, one statement later each time."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.killed_worker", url, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (folder / "outcomes").read_text().splitlines()]


@pytest.mark.slow
def test_a_worker_killed_between_any_two_statements_loses_no_sms_and_hides_none(
    storage_url: str, tmp_path: Path
) -> None:
    """Wherever the worker dies, the SMS arrives, and the client's counters show every one that may have been sent."""
    *killed, alive = killed_at_every_statement(storage_url, tmp_path)
    for outcome in [*killed, alive]:
        assert outcome["delivery"] == "delivered", outcome
        assert 1 <= outcome["seen"] <= outcome["transmissions"] == outcome["sends_used"] <= 2, outcome
    assert alive["place"] == "nowhere"
    assert (alive["seen"], alive["sends_used"]) == (1, 1)
    assert len(killed) > 50
    places = {outcome["place"].partition(":")[0] for outcome in killed}
    assert {"worker.py", "outbox_gateway.py", "messages.py", "database.py"} <= places
    assert {(outcome["seen"], outcome["sends_used"]) for outcome in killed} == {(1, 1), (1, 2), (2, 2)}


@contextmanager
def worker_process(url: str, port: int, late: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker whose clock is `late` seconds ahead; stop it at the end unless it was killed."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.worker_process", url, str(port), str(late)],
        cwd=ROOT,
        env=os.environ | {"SMPP_PASSWORD": "secret"},
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def test_a_worker_killed_while_the_smsc_holds_its_answer_is_counted(tmp_path: Path) -> None:
    """An SMSC took the message and the worker died before it heard so: the next one sends it again, and says so."""
    url = f"sqlite:///{tmp_path / 'ca.db'}"
    storage = Storage.open(url)
    storage.migrate()
    with Smpp34Smsc(Manners(silences=1)) as smsc:
        authority = IssuingAuthority(storage, gateways=(smsc_gateway(smsc.port),), clock=HandClock(datetime.now(UTC)))
        client = authority.client()
        order = authority.order(client)
        authority.ask(client, authority.challenge(client, order))
        with worker_process(url, smsc.port) as first:
            eventually(lambda: len(smsc.taken) == 1, "the SMSC takes the message")
            first.kill()
        assert authority.challenge(client, order).delivery is Delivery.QUEUED
        with worker_process(url, smsc.port, late=int(LEASE.total_seconds()) + 1):
            eventually(
                lambda: authority.challenge(client, order).delivery is Delivery.DELIVERED, "the message is delivered"
            )
    challenge = authority.challenge(client, order)
    assert len(smsc.taken) == challenge.sends_used == 2
    assert [message.transmissions for message in challenge.messages] == [2]
    storage.close()
