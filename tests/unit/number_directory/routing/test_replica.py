from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from number_directory.routing import replica as module
from number_directory.routing.errors import NoMapError
from number_directory.routing.map_folder import MapFolder
from number_directory.routing.replica import MapReplica, Update, Way, default_folder
from number_directory.routing.trusted_mirror import MapMirror, chunk_path
from stir.telephone_number import TelephoneNumber
from tests.fakes.routing_world import URL, FolderMirror, RoutingWorld, make_world
from transparency.releases.errors import (
    BusyError,
    FrozenRefused,
    MirrorError,
    MismatchRefused,
    RollbackRefused,
    UnsignedRefused,
)
from transparency.releases.repository import SignedRepository, with_signature
from transparency.transport import Answer, Question

NUMBER = "+12025550123"


def test_the_first_update_fetches_every_chunk_once(world: RoutingWorld) -> None:
    """A new replica has the newest version, and every number resolves: listed, by its prefix, and by default."""
    mirror = world.mirror()
    done = world.replica(mirror).update()
    assert (done.version, done.before, done.way) == (1, None, Way.CHUNKS)
    assert len([path for path in mirror.asked if path.startswith("chunks/")]) == len(world.opened().manifest.chunks)
    names = [world.service(number) for number in (NUMBER, "+12025550124", "+442079460000", "+33100000000")]
    assert names == ["rs-b.example", "rs-a.example", "rs-b.example", "rs-c.example"]


def test_progress_is_told(world: RoutingWorld) -> None:
    """Whoever waits is told how many chunks are there, from none to all."""
    told: list[tuple[int, int]] = []
    world.replica().update(lambda have, of: told.append((have, of)))
    assert told[0] == (0, 9)
    assert told[-1] == (9, 9)


def test_an_update_without_news_moves_a_timestamp_only(world: RoutingWorld) -> None:
    """Where nothing has changed, the replica asks for a root, a timestamp, and no more."""
    mirror = world.mirror()
    replica = world.replica(mirror)
    replica.update()
    mirror.asked.clear()
    done = replica.update()
    assert (done.way, done.version) == (Way.UNCHANGED, 1)
    assert mirror.asked == ["metadata/2.root.json", "metadata/timestamp.json"]
    assert done.moved < 1000


def test_changes_come_as_deltas(world: RoutingWorld) -> None:
    """A replica some versions behind fetches the deltas that lead to the newest, and no chunk."""
    world.build(*_many())
    mirror = world.mirror()
    replica = world.replica(mirror)
    replica.update()
    world.change(f"{NUMBER},rs-a.example")
    world.change(f"{NUMBER},rs-c.example", "+442079460000,rs-c.example")
    mirror.asked.clear()
    done = replica.update()
    assert (done.version, done.before, done.way) == (4, 2, Way.DELTAS)
    assert not any(path.startswith(("chunks/", "targets/manifest")) for path in mirror.asked)
    assert [world.service(number) for number in (NUMBER, "+442079460000")] == ["rs-c.example"] * 2
    assert world.opened().manifest == world.published_manifest()


def test_a_replica_far_behind_fetches_the_chunks_that_differ(world: RoutingWorld) -> None:
    """Where no delta leads to the newest version, the manifest is fetched, and those chunks that are not here."""
    mirror = world.mirror()
    replica = world.replica(mirror)
    replica.update()
    world.build("+1*,rs-b.example", "+44*,rs-b.example")
    world.build("+1*,rs-c.example", "+44*,rs-b.example")
    mirror.asked.clear()
    assert replica.update().way is Way.CHUNKS
    assert len([path for path in mirror.asked if path.startswith("chunks/")]) == 1
    assert world.service(NUMBER) == "rs-c.example"


def test_a_delta_that_leads_elsewhere_is_made_up_for_by_chunks(
    world: RoutingWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a delta makes must have the manifest's hash that was signed; else the chunks are fetched."""
    world.build(*_many())
    replica = world.replica()
    replica.update()
    world.change(f"{NUMBER},rs-a.example")
    decode = module.Delta.decode

    def other(data: bytes) -> object:
        found = decode(data)
        return module.Delta(found.base, found.base_version, found.version, found.built)

    monkeypatch.setattr(module.Delta, "decode", staticmethod(other))
    with caplog.at_level(logging.WARNING):
        done = replica.update()
    assert (done.way, done.version) == (Way.CHUNKS, 3)
    assert "lead elsewhere" in caplog.text
    assert world.service(NUMBER) == "rs-a.example"


def test_an_older_version_is_refused(world: RoutingWorld) -> None:
    """Rollback: a mirror that shows what was the newest before is refused, and the last good version stays."""
    old = world.copy("old")
    replica = world.replica()
    world.change(f"{NUMBER},rs-c.example")
    replica.update()
    with pytest.raises(RollbackRefused, match="older than was seen before"):
        MapReplica.open(world.folder / "replica", old).update()
    assert (world.opened().manifest.version, world.service(NUMBER)) == (2, "rs-c.example")


def test_a_mirror_that_is_frozen_is_found_out_when_the_timestamp_expires(world: RoutingWorld) -> None:
    """Freeze: while a timestamp is good, holding back goes unseen; afterwards it is said, and the map answers on."""
    world.clock.now -= 49 * 3600
    world.publisher.refresh()
    with pytest.raises(FrozenRefused, match="nothing that is still valid"):
        world.replica().update()
    world.clock.now += 49 * 3600
    world.publisher.refresh()
    replica = world.replica()
    replica.update()
    resolution = world.opened().resolve(TelephoneNumber.parse(NUMBER))
    assert not resolution.is_stale
    world.clock.now += 48 * 3600
    assert resolution.is_stale
    assert resolution.age.total_seconds() == 48 * 3600
    assert resolution.service.name == "rs-b.example"


def test_parts_of_two_versions_are_refused(world: RoutingWorld) -> None:
    """Mix and match: the timestamp of one version with the snapshot of another does not pass."""
    old = world.copy("old")
    replica = world.replica()
    replica.update()
    world.change(f"{NUMBER},rs-c.example")
    mirror = world.mirror()
    mirror.instead["metadata/2.snapshot.json"] = (old.folder / "metadata" / "1.snapshot.json").read_bytes()
    with pytest.raises(MismatchRefused, match="do not belong together"):
        MapReplica.open(world.folder / "replica", mirror).update()
    assert world.service(NUMBER) == "rs-b.example"


def test_another_publishers_map_is_refused(world: RoutingWorld, tmp_path: Path) -> None:
    """A mirror that hands out what strangers signed is refused."""
    world.replica().update()
    stranger = make_world(tmp_path / "stranger")
    stranger.build()
    with pytest.raises(UnsignedRefused, match="too few of the known keys"):
        MapReplica.open(world.folder / "replica", stranger.mirror()).update()
    assert world.service(NUMBER) == "rs-b.example"


@pytest.mark.parametrize("given", [b"", b"{}", b'{"signed": 5}', b"[" * 1000])
def test_malformed_metadata_is_refused(world: RoutingWorld, given: bytes) -> None:
    """What is no metadata is refused with the room's own error."""
    mirror = world.mirror()
    mirror.instead["metadata/timestamp.json"] = given
    with pytest.raises(MismatchRefused, match="malformed"):
        world.replica(mirror).update()


def test_metadata_that_is_too_large_is_refused(world: RoutingWorld) -> None:
    """A mirror that sends more than was announced is refused."""
    mirror = world.mirror()
    mirror.instead["metadata/1.snapshot.json"] = bytes(100_000)
    with pytest.raises(MismatchRefused, match="do not belong together"):
        world.replica(mirror).update()


def test_a_root_that_the_old_signers_did_not_sign_is_refused(world: RoutingWorld, tmp_path: Path) -> None:
    """A mirror cannot put signers of its own in place of those that are known."""
    stranger = make_world(tmp_path / "stranger")
    stranger.publisher.rotate(threshold=1)
    mirror = world.mirror()
    mirror.instead["metadata/2.root.json"] = stranger.publisher.root
    with pytest.raises(UnsignedRefused):
        world.replica(mirror).update()


def test_a_chunk_that_is_not_what_was_signed_is_refused(world: RoutingWorld) -> None:
    """A mirror that hands out another chunk is asked once more, then refused; the last good version stays."""
    world.replica().update()
    world.build("+1*,rs-b.example", "+44*,rs-b.example")
    world.build("+1*,rs-c.example", "+44*,rs-b.example")
    mirror = world.mirror()
    entry = next(entry for entry in world.published_manifest().chunks if entry.lead.digits == "1")
    mirror.instead[chunk_path(entry.hash)] = bytes(entry.size)
    with pytest.raises(MismatchRefused, match=r"begin with \+1 is not what was signed"):
        MapReplica.open(world.folder / "replica", mirror).update()
    assert mirror.asked.count(chunk_path(entry.hash)) == 2
    assert (world.opened().manifest.version, world.service(NUMBER)) == (1, "rs-b.example")
    mirror.instead.clear()
    assert MapReplica.open(world.folder / "replica", mirror).update().version == 3


def test_a_mirror_without_a_chunk_is_told_from_one_that_lies(world: RoutingWorld) -> None:
    """A chunk that is missing is a mirror's lack: trying again may help."""
    mirror = world.mirror()
    mirror.instead[chunk_path(world.published_manifest().chunks[0].hash)] = None
    with pytest.raises(MirrorError, match="it answered 404"):
        world.replica(mirror).update()


def test_an_update_that_was_cut_off_goes_on_where_it_was(world: RoutingWorld) -> None:
    """Chunks that were fetched before the mirror went away are not fetched again, unless they were damaged since."""
    mirror = world.mirror()
    replica = world.replica(mirror)
    chunks = world.published_manifest().chunks
    mirror.instead[chunk_path(chunks[5].hash)] = None
    with pytest.raises(MirrorError):
        replica.update()
    (world.folder / "replica" / "incoming" / chunks[0].hash).write_bytes(b"damaged")
    mirror.instead.clear()
    mirror.asked.clear()
    replica.update()
    fetched = [path for path in mirror.asked if path.startswith("chunks/")]
    assert fetched == [chunk_path(entry.hash) for entry in (chunks[0], *chunks[5:])]
    assert not (world.folder / "replica" / "incoming").exists()


@pytest.mark.parametrize("version", [1, 2])
def test_a_chunk_that_was_damaged_here_is_fetched_again(
    world: RoutingWorld, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An update holds what is here to its hashes, and mends it, whether or not there is a newer version."""
    mirror = world.mirror()
    replica = world.replica(mirror)
    replica.update()
    _damage(world.folder / "replica")
    if version > 1:
        world.change(f"{NUMBER},rs-c.example")
    mirror.asked.clear()
    done = replica.update()
    assert (done.way, done.version) == (Way.CHUNKS, version)
    assert len([path for path in mirror.asked if path.startswith("chunks/")]) == 1
    assert "+1 is damaged; it is fetched again" in caplog.text
    assert not world.opened().damaged()


@pytest.mark.parametrize("name", ["current.json", "*.map"])
def test_a_version_that_cannot_be_opened_is_fetched_anew(world: RoutingWorld, name: str) -> None:
    """Where the note of the version in use, or its file, is damaged, all is fetched again."""
    replica = world.replica()
    replica.update()
    (file,) = (world.folder / "replica").glob(name)
    file.write_bytes(b"damaged")
    done = replica.update()
    assert (done.way, done.before) == (Way.CHUNKS, None)
    assert world.service(NUMBER) == "rs-b.example"


def test_a_mirror_that_is_down_changes_nothing(world: RoutingWorld) -> None:
    """Without an answer, the error says so, and the last good version answers on."""
    mirror = world.mirror()
    replica = world.replica(mirror)
    replica.update()
    mirror.is_down = True
    with pytest.raises(MirrorError, match="could not be asked"):
        replica.update()
    assert world.service(NUMBER) == "rs-b.example"


def test_a_mirror_that_goes_down_between_metadata_and_chunks_changes_nothing(
    world: RoutingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metadata of a version whose chunks cannot be had is no version: the old one stays."""
    mirror = world.mirror()
    replica = world.replica(mirror)
    ask = type(mirror).ask

    def dying(self: FolderMirror, question: Question) -> Answer:
        self.is_down = "chunks/" in question.url
        return ask(self, question)

    monkeypatch.setattr(type(mirror), "ask", dying)
    with pytest.raises(MirrorError):
        replica.update()
    with pytest.raises(NoMapError):
        world.opened()


def test_two_updates_at_once_are_one_too_many(world: RoutingWorld) -> None:
    """Whoever finds another process at work on the folder is told."""
    replica = world.replica()
    with MapFolder(world.folder / "replica").changing(), pytest.raises(BusyError, match="another process"):
        replica.update()


def test_a_replica_remembers_where_it_comes_from(world: RoutingWorld) -> None:
    """The mirror's address and the root are given once."""
    world.replica().update()
    assert MapReplica.open(world.folder / "replica", world.mirror()).update().way is Way.UNCHANGED
    assert json.loads((world.folder / "replica" / "source.json").read_bytes()) == {"url": URL}


def test_a_folder_without_a_replica_says_what_to_do(tmp_path: Path) -> None:
    """Where nothing says where the map comes from, the error names the options."""
    with pytest.raises(NoMapError, match="--mirror and --root"):
        MapReplica.open(tmp_path)


def test_what_is_no_root_is_refused_at_once(tmp_path: Path) -> None:
    """A file that is no root metadata makes no replica."""
    with pytest.raises(MismatchRefused, match="malformed"):
        MapReplica.create(tmp_path / "replica", URL, b"{}")
    assert not (tmp_path / "replica").exists()


def test_another_root_makes_an_old_memory_worthless(world: RoutingWorld, tmp_path: Path) -> None:
    """A person who gives another root, because all signers' keys were lost, begins anew with that publisher."""
    world.change(f"{NUMBER},rs-c.example")
    world.replica().update()
    other = make_world(tmp_path / "other")
    other.build()
    replica = MapReplica.create(world.folder / "replica", URL, other.publisher.root, other.mirror())
    assert replica.update() == Update(1, 2, Way.CHUNKS, replica._transport.moved)


def test_what_is_signed_must_be_a_map(world: RoutingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata of another kind of repository, or a manifest that is none, is refused in words."""
    monkeypatch.setattr(module.Manifest, "decode", _malformed)
    with pytest.raises(MismatchRefused, match="the manifest that is signed cannot be used"):
        world.replica().update()


def test_what_is_signed_must_be_a_map_and_not_something_else(world: RoutingWorld) -> None:
    """A repository of The Update Framework that publishes something else is no map."""
    online = world.publisher.keys.ed25519("online")
    waiting = json.loads((world.public / "metadata" / "1.targets.json").read_bytes())
    waiting["signed"]["version"] = 2
    waiting["signed"]["targets"] = {"program": waiting["signed"]["targets"]["manifest"]}
    waiting["signatures"] = []
    signed = with_signature(json.dumps(waiting).encode(), world.publisher.keys.ed25519("signer"))
    repository = SignedRepository(world.public)
    repository.release(None, signed, online, world.publisher.config.valid.lives, world.clock.now)
    with pytest.raises(MismatchRefused, match="no routing map"):
        world.replica().update()


def test_a_target_that_is_not_signed_is_not_fetched(world: RoutingWorld) -> None:
    """What the signers do not name is asked of no mirror."""
    mirror = world.mirror()
    trusted = MapMirror(world.folder / "trusted", URL, world.publisher.root, mirror)
    trusted.refresh()
    mirror.asked.clear()
    with pytest.raises(MismatchRefused, match="not among what is signed"):
        trusted.delta(1)
    assert not mirror.asked


def test_deltas_that_are_more_than_half_of_the_map_are_not_worth_it(
    world: RoutingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica fetches chunks where deltas would be more."""
    world.build(*_many())
    replica = world.replica()
    replica.update()
    world.change(f"{NUMBER},rs-a.example")
    monkeypatch.setattr(module, "WORTH", 10**6)
    assert replica.update().way is Way.CHUNKS


def test_the_users_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The map stands below $ANSWERBACK_HOME where that is set, else among the user's data."""
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "map"
    monkeypatch.delenv("ANSWERBACK_HOME")
    assert default_folder().parts[-2:] == ("answerback", "map")


def test_a_replica_follows_rotated_keys(tmp_path: Path) -> None:
    """Keys may change as often as they like: each new root is signed by the old signers, and the map goes on."""
    keys = {name: Ed25519PrivateKey.generate() for name in ("alice", "bob", "carol")}
    world = make_world(tmp_path, signers=keys, threshold=2)
    for name in ("alice", "bob"):
        world.publisher.sign(keys[name])
    world.build()
    for name in ("alice", "carol"):
        world.publisher.sign(keys[name])
    replica = world.replica()
    assert replica.update().version == 1
    dave = Ed25519PrivateKey.generate()
    left = [keys["alice"].public_key(), keys["bob"].public_key(), dave.public_key()]
    world.publisher.rotate(left, 2, new_online_key=True)  # carol's key is lost
    assert world.publisher.sign(keys["alice"])
    assert not world.publisher.sign(keys["bob"])
    assert replica.update().way is Way.UNCHANGED
    world.change(f"{NUMBER},rs-c.example")
    world.publisher.sign(dave)
    world.publisher.sign(keys["bob"])
    assert replica.update().version == 2
    assert world.service(NUMBER) == "rs-c.example"
    shutil.rmtree(world.folder / "replica")
    assert world.replica().update().version == 2


def _many() -> list[str]:
    """Return entries enough that deltas are less to fetch than the map."""
    return ["+1*,rs-a.example", "+44*,rs-b.example", *(f"+1202555{place:04},rs-b.example" for place in range(3000))]


def _damage(folder: Path) -> None:
    """Change a byte of the first chunk, that of +1."""
    (file,) = folder.glob("*.map")
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)


def _malformed(_: bytes) -> object:
    msg = "it is malformed"
    raise module.MapFormatError(msg)
