"""The log's witnesses: asked beside the sequencer, waited for only where the operator says so (C2SP tlog-witness)."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import falcon.testing
import msgspec
import pytest

from tests.fakes.log_world import NOW, SHARD, Authority, fill, make_config, published, shard_of
from tests.fakes.witness_world import MemoryWitness, WitnessNetwork
from transparency.checkpoint import Checkpoint
from transparency.client import LogRefused
from transparency.cosignature import parse_cosignature_key
from transparency.server.app import create_log
from transparency.server.config import Witness, Witnessing
from transparency.server.errors import HistoryError, PublishingError
from transparency.server.log import Log
from transparency.server.sequencer import Sequencer
from transparency.server.sequencing import run_sequencer
from transparency.server.web import build_web
from transparency.server.witnessing import Witnessing as Gathering
from transparency.signed_note import Note
from transparency.transport import Answer

PATH, COSIGNED = f"{SHARD.name}/checkpoint", f"{SHARD.name}/cosigned/checkpoint"
ORIGIN = f"127.0.0.1:14100/{SHARD.name}"


@dataclass
class World:
    """A log with two witnesses of two operators."""

    log: Log
    one: MemoryWitness
    two: MemoryWitness

    def __post_init__(self) -> None:
        """Begin with an empty tree."""
        self.sequencer = Sequencer(self.log, shard_of(self.log))
        self.gathering = Gathering(self.log, shard_of(self.log))

    def grow(self, count: int, first: int) -> None:
        """Sequence entries."""
        fill(self.log, count, first)
        assert self.sequencer.step() == count

    def signers(self, path: str = PATH) -> list[str]:
        """Return who signed a published checkpoint: the log, then witnesses by name."""
        data = self.log.publisher.read(path)
        names = [] if data is None else [one.name for one in Note.parse(data).signatures]
        return [*names[:1], *sorted(set(names[1:]))]

    def size(self, path: str = PATH) -> int:
        """Return how large the tree of a published checkpoint is."""
        data = self.log.publisher.read(path)
        assert data is not None
        return Checkpoint.from_note(data, shard_of(self.log).keys.checkpoint.verifier).size


def make(folder: Path, authority: Authority, **witnessing: int) -> World:
    """Return a world with settings of its own."""
    config = make_config(folder / "log", authority)
    keys = {config.origin(SHARD): [shard_of(create_log(config)).keys.checkpoint.verifier]}
    one, two = (MemoryWitness(folder, keys, f"{name}.example/w1", name == "two") for name in ("one", "two"))
    config = msgspec.structs.replace(
        config,
        witnesses=tuple(Witness(one.name, one.url, one.witness.verifier_keys) for one in (one, two)),
        witnessing=Witnessing(**({"every_seconds": 1, "deadline_seconds": 20} | witnessing)),
    )
    return World(create_log(config, clock=lambda: NOW, transport=WitnessNetwork((one, two))), one, two)


@pytest.fixture
def world(tmp_path: Path, authority: Authority) -> Iterator[World]:
    """Return a log whose witnesses nobody waits for."""
    made = make(tmp_path, authority)
    yield made
    for witness in (made.one, made.two):
        witness.gate.set()
        witness.witness.close()
    made.log.storage.close()


def test_what_is_published_gets_all_cosignatures(world: World) -> None:
    """The checkpoint carries both witnesses' lines, each right, from the empty tree on and after it grew."""
    world.sequencer.recover()
    for count, first in ((0, 0), (5, 1), (300, 10)):
        if count:
            world.grow(count, first)
        world.gathering.step()
        assert world.signers() == [ORIGIN, "one.example/w1", "two.example/w1"]
        note = Note.parse(world.log.publisher.read(PATH) or b"")
        keys = (*world.one.witness.verifier_keys, *world.two.witness.verifier_keys)
        assert len(note.verified_by(map(parse_cosignature_key, keys))) == 3
    assert (world.size(), world.size(COSIGNED)) == (305, 305)


def test_a_checkpoint_that_is_complete_is_left_alone(world: World) -> None:
    """Nobody is asked again while nothing has changed."""
    world.grow(5, 1)
    world.gathering.step()
    asked = world.one.asked
    world.gathering.step()
    assert world.one.asked == asked


def test_a_witness_that_is_away_is_named_once_and_asked_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The others' lines are published meanwhile; when it is back, so is its line."""
    caplog.set_level(logging.INFO)
    world.two.is_away = True
    world.grow(5, 1)
    for _ in range(3):
        world.gathering.step()
    assert world.signers() == [ORIGIN, "one.example/w1"]
    (told,) = [one for one in caplog.records if "two.example/w1" in one.getMessage()]
    assert "could not be asked" in told.getMessage()
    world.two.is_away = False
    world.gathering.step()
    assert world.signers() == [ORIGIN, "one.example/w1", "two.example/w1"]
    assert "cosigns" in caplog.records[-1].getMessage()


def test_nobody_waits_for_a_witness_that_dawdles(tmp_path: Path, authority: Authority) -> None:
    """Entries get their places and are published while a witness does not answer, and it is not asked twice at once."""
    world = make(tmp_path, authority, deadline_seconds=1)
    world.two.gate.clear()
    world.grow(5, 1)
    world.gathering.step()
    world.grow(5, 10)
    world.gathering.step()
    assert (world.size(), world.signers()) == (10, [ORIGIN, "one.example/w1"])
    assert world.two.asked == 1
    world.two.gate.set()
    world.log.storage.close()


def test_cosignatures_of_what_has_grown_meanwhile_stand_apart(world: World) -> None:
    """A log that grows faster than its witnesses answer never goes back, and shows what was cosigned last."""
    world.grow(5, 1)

    def grown(answer: Answer) -> Answer:
        if answer.is_ok:
            world.grow(1, 100 + world.size())
        return answer

    world.one.changed = grown
    for _ in range(2):
        world.gathering.step()
    assert world.size() == 7
    assert world.signers() == [ORIGIN]
    assert world.size(COSIGNED) == 6
    assert world.signers(COSIGNED) == [ORIGIN, "one.example/w1", "two.example/w1"]
    client = falcon.testing.TestClient(build_web(world.log))
    answer = client.simulate_get(f"/{COSIGNED}")
    assert answer.content == world.log.publisher.read(COSIGNED)
    assert answer.headers["cache-control"] == "public, max-age=1"


@pytest.mark.parametrize("body", [b"", b"\xff", "— one.example/w1 AAAA\n".encode(), b"nonsense\n"])
def test_a_witness_that_answers_nonsense_adds_nothing(world: World, body: bytes) -> None:
    """Only a right cosignature by a key that the operator named is published."""
    world.one.changed = lambda _: Answer(200, body)
    world.grow(5, 1)
    world.gathering.step()
    assert world.signers() == [ORIGIN, "two.example/w1"]


def test_a_witness_with_two_keys_is_asked_until_it_used_both(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The operator reads that one line is missing, and what came is published meanwhile."""
    world.two.changed = lambda answer: dataclasses.replace(answer, body=answer.body.splitlines(keepends=True)[0])
    world.grow(5, 1)
    world.gathering.step()
    assert world.signers() == [ORIGIN, "one.example/w1", "two.example/w1"]
    assert "some only of the keys" in caplog.text
    world.two.changed = lambda answer: answer
    world.gathering.step()
    note = Note.parse(world.log.publisher.read(PATH) or b"")
    for key in world.two.witness.verifier_keys:
        assert note.verified_by([parse_cosignature_key(key)])


def test_what_nobody_foresaw_stops_neither_the_log_nor_the_others(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault in asking one witness is in the operator's log, and the other's line is published."""

    def broken(_: Answer) -> Answer:
        raise RuntimeError("a fault of ours")

    world.two.changed = broken
    world.grow(5, 1)
    world.gathering.step()
    assert world.signers() == [ORIGIN, "one.example/w1"]
    assert "the witness two.example/w1 could not be asked" in caplog.text


@pytest.mark.parametrize("path", [PATH, COSIGNED])
def test_a_damaged_checkpoint_is_told_and_not_cosigned(world: World, path: str) -> None:
    """What the log's own key did not sign is sent to no witness, and put under nothing."""
    world.grow(5, 1)
    world.log.publisher.write({path: b"nonsense"})
    with pytest.raises(HistoryError, match="checkpoint is damaged"):
        world.gathering.step()
    assert (world.one.asked, world.two.asked) == (0, 0)


def test_a_witness_that_saw_another_history_says_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A log that was set back is refused by its witnesses, and its operator reads why."""
    world.grow(5, 1)
    world.gathering.step()
    keys = shard_of(world.log).keys.checkpoint
    forked = Note.parse(Checkpoint(ORIGIN, 5, bytes(32)).to_note([keys]))
    found = world.log.witnesses.cosigned(
        forked,
        Checkpoint(ORIGIN, 5, bytes(32)),
        shard_of(world.log).files.fetching(world.log.publisher),
        all_of_them=True,
    )
    assert found == forked
    assert "two histories" in caplog.text or LogRefused.__name__ in caplog.text


def test_with_a_quorum_no_checkpoint_is_published_before(tmp_path: Path, authority: Authority) -> None:
    """Where the operator wants it, SCTs wait for the witnesses, and nothing is lost or forked meanwhile."""
    world = make(tmp_path, authority, quorum=2)
    world.two.is_away = True
    with pytest.raises(PublishingError, match="waits for 2 witnesses"):
        world.sequencer.recover()
    assert world.log.publisher.read(PATH) is None
    world.two.is_away = False
    world.grow(5, 1)
    assert world.signers() == [ORIGIN, "one.example/w1", "two.example/w1"]
    world.two.is_away = True
    fill(world.log, 1, 50)
    for _ in range(2):
        with pytest.raises(PublishingError, match="the checkpoint of 6 entries waits"):
            world.sequencer.step()
    assert world.log.storage.trees.published_sizes()[SHARD.name] == 5
    assert world.size() == 5
    world.two.is_away = False
    assert world.sequencer.step() == 0
    assert published(world.log).size == 6
    assert world.log.storage.trees.published_sizes()[SHARD.name] == 6
    world.log.storage.close()


def test_the_sequencers_process_gathers_beside_it(world: World) -> None:
    """In the running sequencer cosignatures come by themselves."""
    fill(world.log, 5)
    stop = threading.Event()
    running = threading.Thread(target=run_sequencer, args=(world.log, stop))
    running.start()
    try:
        for _ in range(400):
            if world.signers() == [ORIGIN, "one.example/w1", "two.example/w1"] and world.size() == 5:
                break
            stop.wait(0.05)
    finally:
        stop.set()
        running.join(30)
    assert not running.is_alive()
    assert world.signers() == [ORIGIN, "one.example/w1", "two.example/w1"]
