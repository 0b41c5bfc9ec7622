"""What an impatient, greedy or hostile client, a full disk and a crash cannot do to a log."""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import falcon.testing
import msgspec
import pytest

from tests.fakes.log_world import (
    NEXT_SHARD,
    NOW,
    SHARD,
    Authority,
    SequencerThread,
    fill,
    make_config,
    make_log,
    published,
    shard_of,
)
from transparency.server.config import LogConfig, Sequencing, Server
from transparency.server.errors import StorageError
from transparency.server.log import Log
from transparency.server.sequencer import Sequencer
from transparency.server.storage import Storage
from transparency.server.web import build_web

ADD = f"/{SHARD.name}/ct/v1/add-pre-chain"
NEXT = f"/{NEXT_SHARD.name}/ct/v1/add-pre-chain"


def body_of(chain: list[bytes]) -> str:
    """Return a submission's body."""
    return json.dumps({"chain": [base64.b64encode(one).decode() for one in chain]})


def kind_of(result: falcon.testing.Result) -> tuple[int, str]:
    """Return the status and the name of a refusal."""
    return result.status_code, result.json["type"].partition("#")[2]


@pytest.fixture
def front_ends(tmp_path: Path, authority: Authority, database_url: str) -> Iterator[list[Log]]:
    """Return two front ends of one log, on each database."""
    config = make_config(tmp_path / "log", authority, database=database_url)
    logs = [make_log(config) for _ in range(2)]
    yield logs
    for log in logs:
        log.storage.close()


def test_one_precertificate_at_two_front_ends_at_once_is_one_entry(
    front_ends: list[Log], authority: Authority, storage: Storage
) -> None:
    """Whoever comes first decides the opening; all get the one SCT, and the tree has one leaf."""
    body = body_of(authority.submission(1))
    clients = [falcon.testing.TestClient(build_web(log)) for log in front_ends]
    together = threading.Barrier(8)

    def submit(number: int) -> str:
        together.wait(20)
        answer = clients[number % 2].simulate_post(ADD, body=body)
        assert answer.status_code == 200, answer.text
        return answer.text

    with SequencerThread(front_ends[0]), ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(submit, range(8)))
    assert len(answers) == 1
    assert published(front_ends[0]).size == 1
    assert storage.entries.queue_length(SHARD.name) == 0


def test_a_flood_fills_the_queue_and_no_more(config: LogConfig, authority: Authority) -> None:
    """Whoever comes on top is told when to come again; nothing of it is kept, and what was queued is not lost."""
    waits = Sequencing(pool_milliseconds=20, wait_seconds=1, longest_queue=50)
    log = make_log(msgspec.structs.replace(config, sequencing=waits))
    fill(log, 50)
    client = falcon.testing.TestClient(build_web(log))
    for serial in range(100, 110):
        answer = client.simulate_post(ADD, body=body_of(authority.submission(serial)))
        assert kind_of(answer) == (503, "logBusy")
        assert int(answer.headers["retry-after"]) > 0
    assert log.storage.entries.queue_length(SHARD.name) == 50
    assert Sequencer(log, shard_of(log)).step() == 50
    log.storage.close()


def test_those_who_wait_leave_a_thread_to_those_who_read(config: LogConfig, authority: Authority) -> None:
    """While nothing is sequenced, submissions beyond a server's threads are told at once to come again."""
    waits = Sequencing(pool_milliseconds=20, wait_seconds=20)
    log = make_log(msgspec.structs.replace(config, sequencing=waits, server=Server(threads=3)))
    client = falcon.testing.TestClient(build_web(log))
    bodies = [body_of(authority.submission(serial)) for serial in range(1, 4)]
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.simulate_post, ADD, body=body) for body in bodies[:2]]
        while log.storage.entries.queue_length(SHARD.name) < 2:
            assert not any(one.done() for one in waiting)
        answer = client.simulate_post(ADD, body=bodies[2])
        assert kind_of(answer) == (503, "logBusy")
        assert client.simulate_get("/health").status_code == 200
        with SequencerThread(log):
            assert [one.result(20).status_code for one in waiting] == [200, 200]
            assert client.simulate_post(ADD, body=bodies[2]).status_code == 200
    assert published(log).size == 3
    log.storage.close()


@pytest.mark.parametrize(
    ("before", "path", "status"),
    [
        (timedelta(seconds=1), ADD, 200),
        (timedelta(seconds=1), NEXT, 400),
        (timedelta(), NEXT, 200),
        (timedelta(), ADD, 400),
    ],
)
def test_the_last_second_of_a_shard_is_its_own(
    config: LogConfig, authority: Authority, before: timedelta, path: str, status: int
) -> None:
    """C2SP static-ct-api: a shard's span begins with its start and ends before its limit, to the second."""
    log = make_log(config)
    start = authority.fields(1).not_before
    life = SHARD.not_after_limit - before - start
    client = falcon.testing.TestClient(build_web(log))
    with SequencerThread(log), SequencerThread(log, NEXT_SHARD):
        answer = client.simulate_post(path, body=body_of(authority.submission(1, life=life)))
    assert answer.status_code == status
    log.storage.close()


def test_what_ends_before_the_first_shard_or_behind_the_last_is_refused(
    config: LogConfig, authority: Authority
) -> None:
    """There is no shard for it, and the answer says so without its number."""
    log = make_log(config)
    client = falcon.testing.TestClient(build_web(log))
    for life in (NEXT_SHARD.not_after_limit - NOW + timedelta(hours=1), timedelta(days=3000)):
        for path in (ADD, NEXT):
            answer = client.simulate_post(path, body=body_of(authority.submission(1, life=life)))
            assert kind_of(answer) == (400, "outsideShard")
    log.storage.close()


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"chain": ["AAAA"] * 11}),
        json.dumps({"chain": ["A" * 40_000]}),
        json.dumps({"chain": ["AAAA", *(["A" * 4] * 100_000)]}),
        '{"chain":' + "[" * 100_000,
        '{"chain": [' + ", ".join(['"AAAA"'] * 3) + '], "chain": 5}',
    ],
    ids=["too many", "too long", "very many", "nested", "twice"],
)
def test_a_chain_that_no_authority_sends_costs_little(config: LogConfig, body: str) -> None:
    """It is refused as malformed or too large, and never an error of ours."""
    log = make_log(config)
    client = falcon.testing.TestClient(build_web(log))
    answer = client.simulate_post(ADD, body=body)
    assert kind_of(answer) in {(400, "malformed"), (413, "requestTooLarge")}
    log.storage.close()


def test_a_body_that_is_too_large_is_not_read(config: LogConfig) -> None:
    """Its Content-Length is enough to refuse it."""
    log = make_log(config)
    client = falcon.testing.TestClient(build_web(log))
    answer = client.simulate_post(ADD, body=b"{}", headers={"Content-Length": str(10**9)})
    assert kind_of(answer) == (413, "requestTooLarge")
    log.storage.close()


def test_a_database_without_room_is_told_and_survived(config: LogConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full as the tree is to move, it does not; once there is room, it goes on with one tree."""
    log = make_log(config)
    sequencer = Sequencer(log, shard_of(log))
    fill(log, 5)
    assert sequencer.step() == 5
    fill(log, 5, 10)
    with monkeypatch.context() as full:

        def place(*_: object) -> None:
            raise StorageError(str(sqlite3.OperationalError("database or disk is full")))

        full.setattr(type(log.storage.entries), "place", place)
        for _ in range(2):
            with pytest.raises(StorageError, match="disk is full"):
                sequencer.step()
    state = log.storage.trees.state(SHARD.name)
    assert state is not None
    assert (state.size, published(log).size) == (5, 5)
    assert sequencer.step() == 5
    assert published(log).size == 10
    assert list(config.publishing.staging.iterdir()) == []
    log.storage.close()


def test_a_request_at_the_owners_door_is_answered_once_however_many_bring_it(
    front_ends: list[Log], authority: Authority
) -> None:
    """Of many who play one request back at once, at all front ends, one gets an answer."""
    token = authority.owner_request(authority.certificate(authority.fields(1)))
    clients = [falcon.testing.TestClient(build_web(log)) for log in front_ends]
    together = threading.Barrier(6)

    def knock(number: int) -> int:
        together.wait(20)
        return clients[number % 2].simulate_post(f"/{SHARD.name}/owner", body=token).status_code

    with SequencerThread(front_ends[0]), ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(knock, range(6))) == [200, 401, 401, 401, 401, 401]


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_request_is_remembered_as_long_as_it_is_fresh(config: LogConfig, authority: Authority, seconds: int) -> None:
    """Also one whose time is ahead of the log's: there is no moment in which it counts again."""
    now = NOW
    log = make_log(config, clock=lambda: now)
    client = falcon.testing.TestClient(build_web(log))
    token = authority.owner_request(authority.certificate(authority.fields(1)), at=NOW + timedelta(seconds=seconds))
    with SequencerThread(log):
        assert client.simulate_post(f"/{SHARD.name}/owner", body=token).status_code == 200
        for later in range(0, 200, 5):
            now = NOW + timedelta(seconds=later)
            assert client.simulate_post(f"/{SHARD.name}/owner", body=token).status_code == 401
    log.storage.close()
