"""Several front ends at once, on each database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from number_directory.access_list import ANYONE
from number_directory.server.quotas import Kept
from number_directory.server.storage import Storage
from tests.fakes.directory_world import CHAT, OWNER, DirectoryWorld, refusal

_FRONT_ENDS = 4
_ROUNDS = 8


def test_of_statements_that_come_at_once_one_counts(world: DirectoryWorld) -> None:
    """Four front ends are sent four records of one seq at the same time: one is taken, and three are conflicts."""
    world.allow(ANYONE)
    front_ends = [world.client, *(world.front_end() for _ in range(_FRONT_ENDS - 1))]
    for seq in range(1, _ROUNDS + 1):
        tokens = [world.record_token(seq=seq, uris=(f"https://chat.example/{index}",)) for index in range(_FRONT_ENDS)]
        statuses = [0] * _FRONT_ENDS
        ready = threading.Barrier(_FRONT_ENDS)

        def publish(index: int, tokens: list[str] = tokens, ready: threading.Barrier = ready) -> None:
            ready.wait()
            statuses[index] = world.post("/records", tokens[index], front_ends[index]).status_code  # noqa: B023

        threads = [threading.Thread(target=publish, args=(index,)) for index in range(_FRONT_ENDS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, 409, 409, 409]
        assert world.look_up(OWNER, caller=None).records[OWNER] == (tokens[statuses.index(200)],)
    notices = [notice for notice in world.own().notices if notice.app == CHAT]
    assert len(notices) == _ROUNDS * (_FRONT_ENDS - 1)


def test_of_requests_that_come_at_once_one_is_answered(world: DirectoryWorld) -> None:
    """A lookup that is sent to four front ends at the same time is answered by one."""
    front_ends = [world.client, *(world.front_end() for _ in range(_FRONT_ENDS - 1))]
    token = world.lookup_token([OWNER])
    statuses: list[int] = []
    ready = threading.Barrier(_FRONT_ENDS)

    def ask(index: int) -> None:
        ready.wait()
        result = world.post("/lookup", token, front_ends[index])
        statuses.append(result.status_code)
        assert result.status_code == 200 or refusal(result) == (403, "replayed")

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(_FRONT_ENDS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 403, 403, 403]


def test_front_ends_that_hear_of_a_caller_at_once_count_together(database_url: str) -> None:
    """What four front ends take from the bucket of a caller whom none of them knew is all taken in the end."""
    front_ends = [Storage.open(database_url) for _ in range(_FRONT_ENDS)]
    front_ends[0].migrate()
    begun, second = datetime(2026, 6, 1, tzinfo=UTC), timedelta(seconds=1)
    ready = threading.Barrier(_FRONT_ENDS)

    def take(kept: Kept) -> Kept:
        return Kept(bytes(2048), (kept.full_at or begun) + second)

    def ask(front_end: Storage, key: bytes) -> None:
        ready.wait()
        front_end.quotas.change(key, take)

    with ThreadPoolExecutor(_FRONT_ENDS) as asking:
        for caller in range(_ROUNDS):
            list(asking.map(ask, front_ends, [bytes([caller])] * _FRONT_ENDS))
    seen: list[Kept] = []

    def look(kept: Kept) -> Kept:
        seen.append(kept)
        return kept

    for caller in range(_ROUNDS):
        front_ends[0].quotas.change(bytes([caller]), look)
    assert [kept.full_at for kept in seen] == [begun + _FRONT_ENDS * second] * _ROUNDS
    for front_end in front_ends:
        front_end.close()
