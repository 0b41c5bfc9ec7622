"""Kill a directory with SIGKILL while owners publish, again and again, and hold it to everything that it ever said.

`ANSWERBACK_KILLS` says how often; `make kills` does it 200 times. (That what was written outlives a lost power supply
is what fsync is for; this kills processes, not machines.)
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from number_directory.access_list import ANYONE, AccessList, AppAccess, sign_access_list
from number_directory.lookup import LookupAnswer, OpenLookup
from number_directory.own_listing import OwnAnswer, OwnListing
from number_directory.receipt import Acceptance
from number_directory.record import Medium, Record, SignedRecord, sign_record
from stir.telephone_number import TelephoneNumber
from tests.fakes.postgresql import PostgresqlServer
from tests.fakes.running_directory import RunningDirectory
from tests.fakes.small_pki import Held
from tests.fakes.storages import DATABASES
from transparency.checkpoint import Checkpoint
from transparency.merkle import consistency_proof, verify_consistency
from transparency.tiles import TileReader

_KILLS = int(os.environ.get("ANSWERBACK_KILLS", "6"))
_OWNERS = 4
_APP = "chat.example"
_QUOTAS = "".join(f"\n[quotas.{payer}]\nburst = 1000000\nper_day = 1000000\n" for payer in ("address", "publisher"))
_EAGER = "pool_milliseconds = 10\nwait_milliseconds = 100"
_LONGEST_LOAD = 0.6


@dataclass
class Owner:
    """A number that publishes one record after another, and remembers what it was told."""

    directory: RunningDirectory
    held: Held
    sent: dict[int, SignedRecord] = field(default_factory=dict)
    accepted: int = 0
    proven: list[tuple[SignedRecord, Acceptance]] = field(default_factory=list)

    @property
    def number(self) -> TelephoneNumber:
        """Its number."""
        return self.held.number

    def publish_until(self, stop: threading.Event) -> None:
        """Publish and withdraw by turns, until told to stop or nobody answers."""
        while not stop.is_set():
            seq = len(self.sent) + 1
            now = int(time.time())
            places = () if seq % 5 == 0 else (f"https://chat.example/{seq}",)
            media = frozenset({Medium.MESSAGE}) if places else None
            record = Record(self.number, _APP, places, media, seq, now, now + 86_400)
            signed = SignedRecord.parse(sign_record(record, self.held.key, self.held.chain))
            self.sent[seq] = signed
            try:
                status, answer = self.directory.post("/records", signed.token)
            except OSError:
                return
            assert status == 200, answer
            self.accepted = seq
            self.proven.append((signed, Acceptance.parse(answer)))

    def let_everybody_see(self) -> None:
        """Sign an access list."""
        now = int(time.time())
        allowed = AccessList(self.number, 1, now, AppAccess(frozenset({ANYONE})))
        status, _ = self.directory.post("/access-lists", sign_access_list(allowed, self.held.key, self.held.chain))
        assert status == 200

    def own(self) -> OwnAnswer:
        """Ask what the directory has."""
        asked = OwnListing(self.directory.url, int(time.time()), os.urandom(16).hex(), self.number)
        status, answer = self.directory.post("/own", asked.sign(self.held.key, self.held.chain))
        assert status == 200, answer
        return OwnAnswer.parse(answer)

    def check(self) -> int:
        """Hold the directory to what it said; return the seq that it has."""
        kept = self.own().record(_APP)
        assert kept is not None
        assert kept.token == self.sent[kept.sequence].token
        assert kept.sequence >= self.accepted  # what was sent last may have been taken without an answer
        self.accepted = kept.sequence
        status, answer = self.directory._ask("POST", "/lookup", OpenLookup((self.number,)).to_json())
        assert status == 200, answer
        shown = LookupAnswer.parse(answer).records[self.number]
        assert shown == (() if kept.record.is_withdrawn else (kept.token,))
        return kept.sequence


@pytest.fixture(params=DATABASES)
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningDirectory]:
    """Return a directory on each database."""
    database = None
    if request.param != "sqlite":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        database = server.fresh_database()
    made = RunningDirectory.make(tmp_path / "directory", database=database, settings=_QUOTAS, record_log=_EAGER)
    yield made
    made.stop()
    if database is not None:
        server.drop(database)


def test_what_was_acknowledged_survives_and_nothing_comes_back(directory: RunningDirectory) -> None:
    """No acknowledged record is lost, none comes back, seq never goes back, and the log has one history."""
    numbers = [TelephoneNumber(f"1303555{index:04}") for index in range(_OWNERS)]
    owners = [Owner(directory, directory.held(number, serial=70 + index)) for index, number in enumerate(numbers)]
    sizes = [0]
    shown = [Checkpoint.parse(f"{directory.description.record_log.name}\n0\n{_EMPTY}\n")]
    directory.start()
    for owner in owners:
        owner.let_everybody_see()
    chance = random.Random(_KILLS)  # noqa: S311 - the same moments each time, as far as a machine can
    for _ in range(_KILLS):
        _load_and_kill(directory, owners, chance.uniform(0.0, _LONGEST_LOAD))
        directory.start()
        for owner in owners:
            if owner.accepted:
                owner.check()
        sizes.append(_grown(directory, shown))
    _prove_everything(directory, owners)
    assert sum(owner.accepted for owner in owners) >= _OWNERS
    assert sizes == sorted(sizes)
    print(f"{_KILLS} kills, {sum(len(owner.proven) for owner in owners)} records acknowledged")  # noqa: T201 - for -s


_EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def _load_and_kill(directory: RunningDirectory, owners: list[Owner], seconds: float) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def publish(owner: Owner) -> None:
        try:
            owner.publish_until(stop)
        except BaseException as error:  # noqa: BLE001 - the test fails by it, in its own thread
            failures.append(error)

    threads = [threading.Thread(target=publish, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    directory.kill()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, failures


def _grown(directory: RunningDirectory, shown: list[Checkpoint]) -> int:
    """Hold the newest checkpoint to the one before; return its size."""
    status, note = directory.get("/checkpoint")
    assert status == 200
    newest, before = Checkpoint.from_note(note, directory.description.record_log), shown[-1]
    assert newest.size >= before.size
    if before.size:
        reader = TileReader(lambda path: directory.get(f"/{path}")[1], newest.size, newest.root)
        proof = consistency_proof(reader, before.size, newest.size)
        verify_consistency(before.size, newest.size, proof, before.root, newest.root)
    shown.append(newest)
    return newest.size


def _prove_everything(directory: RunningDirectory, owners: list[Owner]) -> None:
    """Hold every receipt that was ever given to the directory's key."""
    receipts = [(signed, told.receipt) for owner in owners for signed, told in owner.proven if told.receipt is not None]
    assert receipts
    for signed, receipt in receipts:
        receipt.verify(signed, directory.description)
