"""The commands of whoever runs a directory, and a directory at work: several processes, one database."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from number_directory.access_list import ANYONE, AccessList, AppAccess, sign_access_list
from number_directory.client import DirectoryClient, DirectoryRefused
from number_directory.lookup import LookupAnswer, LookupRequest
from number_directory.own_listing import OwnAnswer, OwnListing
from number_directory.receipt import Acceptance
from number_directory.record import Medium, Record, SignedRecord, sign_record
from stir.telephone_number import TelephoneNumber
from tests.fakes.postgresql import PostgresqlServer
from tests.fakes.running_directory import PATIENCE, RunningDirectory, run
from tests.fakes.small_pki import Held
from tests.fakes.storages import DATABASES
from transparency.transport import HttpTransport

_CALLER = TelephoneNumber("442079460018")


@pytest.fixture(params=DATABASES)
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningDirectory]:
    """Return a directory on each database, which does not run yet."""
    database = None
    if request.param != "sqlite":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        database = server.fresh_database()
    made = RunningDirectory.make(tmp_path / "directory", database=database)
    yield made
    made.stop()
    if database is not None:
        server.drop(database)


def record_of(held: Held) -> str:
    """Return a record of a number."""
    now = int(time.time())
    record = Record(
        held.number, "chat.example", ("https://chat.example/u",), frozenset({Medium.TEXT}), 1, now, now + 60
    )
    return sign_record(record, held.key, held.chain)


def test_a_directory_from_nothing_to_its_first_receipt(directory: RunningDirectory) -> None:
    """Made, checked, filled from a file, served: what was imported is found, and what is published has its receipt."""
    holders = [directory.held(TelephoneNumber(f"1303555{index:04}"), serial=100 + index) for index in range(20)]
    now = int(time.time())
    allowed = [AccessList(held.number, 1, now, AppAccess(frozenset({ANYONE}))) for held in holders]
    access = [sign_access_list(one, held.key, held.chain) for one, held in zip(allowed, holders, strict=True)]
    file = directory.folder.with_suffix(".statements")
    file.write_text("\n".join([*map(record_of, holders[1:]), *access]))
    assert run("check", "--config", directory.config)["ok"]
    assert run("import", file, "--config", directory.config)["taken"] == 39
    caller = directory.held(_CALLER, serial=99)
    with directory.running():
        signed = SignedRecord.parse(record_of(holders[0]))
        status, answer = directory.post("/records", signed.token)
        assert status == 200
        receipt = Acceptance.parse(answer).receipt
        assert receipt is not None
        assert receipt.verify(signed, directory.description).size >= 1
        numbers = tuple(held.number for held in holders)
        request = LookupRequest(directory.url, int(time.time()), os.urandom(16).hex(), numbers)
        status, answer = directory.post("/lookup", request.sign(caller.key, caller.chain))
        assert status == 200
        assert all(LookupAnswer.parse(answer).records.values())


def test_what_was_imported_is_found_without_being_shown_and_so_after_a_new_key(directory: RunningDirectory) -> None:
    """The worker makes the labels, and makes them anew for a new key, which the client takes with its description."""
    owner = directory.held(TelephoneNumber("13035550100"), serial=100)
    access = AccessList(owner.number, 1, int(time.time()), AppAccess(frozenset({ANYONE})))
    file = directory.folder.with_suffix(".statements")
    file.write_text("\n".join([record_of(owner), sign_access_list(access, owner.key, owner.chain)]))
    run("import", file, "--config", directory.config)
    keys = []
    for is_new in (False, True):
        if is_new:
            run("hidden-key", "--config", directory.config)
        assert _faults(directory) == {"revocation lists"}  # nobody answers for the authority
        keys.append(directory.description.hidden_key)
        with directory.running():
            assert _found_hidden(directory, owner.number)
    assert _faults(directory) == {"revocation lists"}
    assert len(set(keys)) == 2


def _faults(directory: RunningDirectory) -> set[str]:
    """Return what a check that fails finds amiss."""
    told = run("check", "--config", directory.config, code=1)
    assert not told["ok"]
    return {finding["name"] for finding in told["findings"] if not finding["ok"]}


def _found_hidden(directory: RunningDirectory, number: TelephoneNumber) -> bool:
    """Look a number up without showing it, until the worker has made its label."""
    told = sha256((directory.folder / "directory.json").read_bytes()).hexdigest()
    client = DirectoryClient(directory.url, HttpTransport(), sha256_hex=told)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(DirectoryRefused):  # busy, at first
            if client.look_up_hidden([number]).records[number]:
                return True
        time.sleep(0.1)
    return False


def test_workers_share_what_was_answered(directory: RunningDirectory) -> None:
    """Of eight copies of a signed lookup that come at once, over two processes, one is answered."""
    caller = directory.held(_CALLER, serial=99)
    with directory.running(), ThreadPoolExecutor(8) as senders:
        for _ in range(5):
            request = LookupRequest(directory.url, int(time.time()), os.urandom(16).hex(), (_CALLER,))
            token = request.sign(caller.key, caller.chain)
            answers = senders.map(lambda _, token=token: directory.post("/lookup", token)[0], range(8))
            assert Counter(answers) == {200: 1, 403: 7}


def test_who_waits_for_a_receipt_keeps_nobody_waiting(directory: RunningDirectory) -> None:
    """While no worker runs, one of two threads waits; the other answers the owner, who has the receipt in the end."""
    settings = directory.config.read_text().replace("#workers = 2", "workers = 1\nthreads = 2")
    directory.config.write_text(settings.replace("[record_log]\n", "[record_log]\nwait_milliseconds = 30000\n"))
    owner = directory.held(_CALLER, serial=99)
    with directory.running(with_worker=False), ThreadPoolExecutor(1) as publisher:
        published = publisher.submit(directory.post, "/records", record_of(owner))
        for _ in range(10_000):
            asked = OwnListing(directory.url, int(time.time()), os.urandom(16).hex(), owner.number)
            status, answer = directory.post("/own", asked.sign(owner.key, owner.chain))
            assert status == 200
            if OwnAnswer.parse(answer).records:
                break
        assert not published.done()
        with directory.working():
            status, answer = published.result(PATIENCE)
        assert status == 200
        assert Acceptance.parse(answer).receipt is not None


def test_a_check_that_fails_says_what_to_mend(tmp_path: Path) -> None:
    """The exit code tells, and the findings tell what."""
    directory = RunningDirectory.make(tmp_path / "directory")
    (directory.folder / "keys" / "record-log.key").unlink()
    assert _faults(directory) == {"key", "record log"}
