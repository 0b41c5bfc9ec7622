"""Kills a worker between every two statements that it runs, and writes what the client and the SMSC saw each time.

Run as `python -m tests.fakes.killed_worker DATABASE_URL FOLDER`; each line of FOLDER/outcomes is one JSON object. This
is a process of its own because it forks, which a process with threads must not.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import FrameType

from ca_server import sms, storage
from ca_server.config import Gateway
from ca_server.orders import Challenge
from ca_server.sms.gateway import OutgoingSms
from ca_server.sms.outbox_gateway import DevelopmentOutbox
from ca_server.sms.routing import Routes
from ca_server.sms.worker import LEASE, Worker
from ca_server.storage import Storage
from policies.issuance import IssuancePolicy, SmsCaps
from serving import database
from stir.telephone_number import TelephoneNumber
from tests.fakes.issuing_authority import IssuingAuthority

GATEWAY = Gateway("ledger", "outbox", "Example Telecom", "ExampleCA")
WATCHED = (*(str(Path(package.__file__).parent) for package in (sms, storage)), str(database.__file__))
SETTLED_WITHIN = 20.0
NO_CAPS = SmsCaps(account=None, address=None, prefix=None, country=None, everything=None)


@dataclass(frozen=True)
class Outcome:
    """What came of one ask whose worker was killed before its line number `line`, at `place`."""

    line: int
    place: str
    delivery: str
    seen: int
    sends_used: int
    transmissions: int


class LedgerOutbox(DevelopmentOutbox):
    """An outbox that writes down each message it is handed, in one system call: what an SMSC would have seen."""

    def __init__(self, folder: Path) -> None:
        """Use a folder."""
        super().__init__(GATEWAY, folder)
        self._ledger = folder / "ledger"

    def send(self, message: OutgoingSms) -> str:
        """Write it down, then do as an outbox does."""
        descriptor = os.open(self._ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, f"{message.id}\n".encode())
        os.close(descriptor)
        return super().send(message)


def main() -> None:
    """Ask, kill, restart and look, one statement further each time, until a worker gets through alive."""
    url, folder = sys.argv[1], Path(sys.argv[2])
    opened = Storage.open(url)
    authority = IssuingAuthority(opened, IssuancePolicy(countries=("US",), sms=NO_CAPS), gateways=(GATEWAY,))
    client = authority.client()
    place = folder / "place"
    with (folder / "outcomes").open("w") as outcomes:
        for line in itertools.count(1):
            order = authority.order(client, TelephoneNumber(f"1202456{line:04}"))
            authority.ask(client, authority.challenge(client, order))
            opened.close()
            was_killed = in_child(partial(step_until, url, folder, authority.clock(), line, place))
            authority.clock.advance(seconds=(LEASE + timedelta(seconds=1)).total_seconds())
            in_child(partial(work, url, folder, authority.clock()))
            outcome = look(authority.challenge(client, order), folder, line, place)
            outcomes.write(json.dumps(asdict(outcome)) + "\n")
            if not was_killed:
                return


def look(challenge: Challenge, folder: Path, line: int, place: Path) -> Outcome:
    """Return what the client's challenge says, and what the ledger does."""
    (message,) = challenge.messages
    seen = (folder / "ledger").read_text().split().count(message.id)
    killed_at = place.read_text() if place.exists() else "nowhere"
    place.unlink(missing_ok=True)
    return Outcome(line, killed_at, str(challenge.delivery), seen, challenge.sends_used, message.transmissions)


def in_child(work: Callable[[], None]) -> bool:
    """Run `work` in a child process, and tell whether it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in {0, -signal.SIGKILL}:
        sys.exit(f"the worker failed with status {status}")
    return status == -signal.SIGKILL


def step_until(url: str, folder: Path, now: datetime, line: int, place: Path) -> None:
    """Let a worker send one message, and kill it before the line number `line` that it runs in our packages."""
    worker = a_worker(url, folder, now)
    lines = itertools.count(1)

    def watch(frame: FrameType, event: str, _: object) -> Callable[..., object] | None:
        if not frame.f_code.co_filename.startswith(WATCHED):
            return None
        if event == "line" and next(lines) == line:
            place.write_text(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
            os.kill(os.getpid(), signal.SIGKILL)
        return watch

    sys.settrace(watch)
    worker.step()
    sys.settrace(None)


def work(url: str, folder: Path, now: datetime) -> None:
    """Let another worker send all that waits, once the database has noticed that the first one died."""
    worker = a_worker(url, folder, now)
    database = Storage.open(url)._database
    deadline = time.monotonic() + SETTLED_WITHIN
    while database.rows("SELECT 1 FROM messages WHERE due_at IS NOT NULL LIMIT 1"):
        if time.monotonic() > deadline:
            sys.exit("a message is still waiting")
        if not worker.step():
            time.sleep(0.005)


def a_worker(url: str, folder: Path, now: datetime) -> Worker:
    """Return a worker that was started, with a clock that stands."""
    worker = Worker(Storage.open(url).sms, Routes.from_config([GATEWAY]), [LedgerOutbox(folder)], clock=lambda: now)
    worker.start()
    return worker


if __name__ == "__main__":
    main()
