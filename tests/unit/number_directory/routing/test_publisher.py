from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from number_directory.routing import building, publisher
from number_directory.routing.delta import Patch
from number_directory.routing.errors import BuildError
from number_directory.routing.publisher import MOST_DELTAS, MapPublisher, NewMap
from number_directory.routing.publisher_config import load_config
from number_directory.routing.replica import Way
from number_directory.routing.routing_map import RoutingMap
from number_directory.routing.trusted_mirror import chunk_path
from serving.errors import ConfigurationError, KeyStoreError
from serving.key_files import read_ed25519
from serving.settings import Keys
from stir.telephone_number import TelephoneNumber
from tests.fakes.routing_world import ENTRIES, RoutingWorld, make_world
from transparency.releases.errors import PublishingError
from transparency.releases.publishing import GRACE_SECONDS, key_pair, sign_file
from transparency.releases.repository import (
    Pending,
    SignedRepository,
    read_public_key,
    role_of,
    signers_of,
    with_signature,
)

NUMBER = "+12025550123"
KEYS = {name: Ed25519PrivateKey.generate() for name in ("alice", "bob", "carol")}


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RoutingWorld:
    """Return a publisher of whose three signers two must sign, and whose first root is signed."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    world = make_world(tmp_path, signers=KEYS, threshold=2)
    world.publisher.sign(KEYS["alice"])
    world.publisher.sign(KEYS["bob"])
    return world


def test_one_person_publishes_alone(world: RoutingWorld) -> None:
    """Without other signers, a build is signed and published at once, and the publisher's own map answers."""
    published = world.publisher.published()
    assert published is not None
    assert (published.version, world.publisher.pending()) == (1, ())
    number = TelephoneNumber.parse(NUMBER)
    assert RoutingMap.open(world.publisher.map_folder).resolve(number).service.name == "rs-b.example"
    assert published.expires == world.clock.now + 48 * 3600


def test_a_build_of_the_same_entries_is_no_new_version(world: RoutingWorld) -> None:
    """Nothing is signed anew where nothing has changed."""
    assert world.build() is None
    assert world.build(*reversed(ENTRIES)) is None
    assert world.change(f"{NUMBER},rs-b.example") is None


def test_changes_come_to_the_same_as_a_build(world: RoutingWorld, tmp_path: Path) -> None:
    """The chunks of a changed map are those of a map that is built of what then is there."""
    assert world.change(f"{NUMBER},-", "+442079460000,rs-a.example", "+12025550199,rs-a.example") == 2
    other = make_world(tmp_path / "other")
    other.build("+1*,rs-a.example", "+44*,rs-b.example", "+442079460000,rs-a.example", "+12025550199,rs-a.example")
    assert world.published_manifest().chunks == other.published_manifest().chunks


def test_a_chunk_that_grows_too_large_is_cut(world: RoutingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that make a chunk too large cut it, as often as it takes, and replicas follow by the delta."""
    replica = world.replica()
    world.build("+1*,rs-a.example", "+44*,rs-b.example", *(f"+4420{place:08},rs-c.example" for place in range(300)))
    replica.update()
    monkeypatch.setattr(publisher, "LARGEST_CHUNK", 1500)
    monkeypatch.setattr(building, "LARGEST_CHUNK", 1500)
    world.change(*(f"+120255{place:05},rs-c.example" for place in range(0, 9000, 9)))
    sizes = {entry.lead.digits: entry.size for entry in world.published_manifest().chunks}
    assert max(sizes.values()) <= 1500
    assert any(len(digits) > 6 for digits in sizes)
    assert replica.update().way is Way.DELTAS
    assert world.service("+12025500009") == "rs-c.example"
    world.change("+12025500009,rs-b.example")
    replica.update()
    assert world.service("+12025500009") == "rs-b.example"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("+1202*,rs-a.example",), r"prefix \+1202 cannot be among changes"),
        ((f"{NUMBER},rs-a.example", f"{NUMBER},rs-c.example"), r"\+120\*\*\*\*\*\*23 is given to two services"),
        ((f"{NUMBER},rs-d.example",), "'rs-d.example' is no service"),
    ],
)
def test_changes_that_are_unclear_are_refused(world: RoutingWorld, lines: tuple[str, ...], words: str) -> None:
    """Changes are of single numbers, once each, to services that there are."""
    with pytest.raises(BuildError, match=words):
        world.change(*lines)


def test_a_change_needs_a_map(tmp_path: Path) -> None:
    """What is not there cannot change."""
    world = make_world(tmp_path)
    with pytest.raises(BuildError, match="build one of all entries first"):
        world.change(f"{NUMBER},rs-a.example")
    for again in (world.publisher.refresh, world.publisher.renew):
        with pytest.raises(PublishingError, match="nothing is published yet"):
            again()


def test_services_keep_their_numbers(world: RoutingWorld) -> None:
    """A service that goes leaves its number to none of the others; one whose address changes is the same one."""
    settings = world.folder / "publisher" / "map.toml"
    text = settings.read_text().replace("https://rs-b.example", "https://b.example")
    first, _, rest = text.partition('\n[[services]]\nname = "rs-a.example"')
    rest = rest.partition("\n[[services]]")[2]
    settings.write_text(
        f'{first}\n[[services]]{rest}\n[[services]]\nname = "new.example"\noperator = "N"\nurl = "https://n.example"\n'
    )
    before = world.published_manifest().services
    world.again()
    replica = world.replica()
    replica.update()
    world.build("+1*,rs-b.example", "+44*,new.example")
    after = world.published_manifest().services
    assert {number: service.name for number, service in after.items()} == {
        1: "rs-b.example",
        2: "rs-c.example",
        3: "new.example",
    }
    assert before[1].url != after[1].url == "https://b.example"
    replica.update()
    assert world.opened().resolve(TelephoneNumber.parse(NUMBER)).service.url == "https://b.example"


def test_a_map_has_room_for_so_many_services(world: RoutingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all numbers of services are taken, the error says how many there can be."""
    monkeypatch.setattr(publisher, "MOST_SERVICES", 2)
    with pytest.raises(BuildError, match="up to 2 of them"):
        make_world(world.folder / "other").build()


def test_old_deltas_stay_as_long_as_they_are_worth_it(world: RoutingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica finds the deltas of the latest versions: so many, and not more than half of the map."""
    world.build("+1*,rs-a.example", "+44*,rs-b.example", *(f"+1202555{place:04},rs-b.example" for place in range(9999)))
    monkeypatch.setattr(publisher, "MOST_DELTAS", 3)
    for place in range(5):
        world.change(f"+1202555000{place},rs-c.example")
    found = world.publisher.published()
    assert found is not None
    assert sorted(found.deltas) == [4, 5, 6]
    monkeypatch.setattr(publisher, "WORTH", 10**6)
    world.change(f"{NUMBER},rs-c.example")
    found = world.publisher.published()
    assert found is not None
    assert sorted(found.deltas) == [7]
    assert MOST_DELTAS > 3


def test_a_delta_that_would_be_more_than_the_chunks_is_left_out(world: RoutingWorld) -> None:
    """Where the chunks are less to fetch, there is no delta, and the chain of them begins anew."""
    many = ["+1*,rs-a.example", "+44*,rs-b.example", *(f"+1202555{place:04},rs-b.example" for place in range(999))]
    world.build(*many)
    world.change(f"{NUMBER},rs-c.example")
    found = world.publisher.published()
    assert found is not None
    assert 2 in found.deltas
    world.change("+442079460000,rs-c.example")
    found = world.publisher.published()
    assert found is not None
    assert (found.version, dict(found.deltas)) == (4, {})


def test_every_delta_is_tried_before_it_is_published(world: RoutingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delta that would not lead to the new version stops the build, instead of every replica."""
    world.build("+1*,rs-a.example", *(f"+1202555{place:04},rs-b.example" for place in range(999)))
    made = Patch.manifest.fget
    assert made is not None
    monkeypatch.setattr(Patch, "manifest", property(lambda self: (made(self), None)[1]))
    with pytest.raises(PublishingError, match="this is a bug"):
        world.build("+1*,rs-a.example", *(f"+1202555{place:04},rs-b.example" for place in range(998)))


def test_what_is_published_no_longer_is_deleted_after_a_day(world: RoutingWorld) -> None:
    """Old chunks, deltas and metadata stay for replicas that are on the way, and are gone later."""
    old = world.published_manifest()
    world.build("+1*,rs-b.example", "+44*,rs-b.example")
    assert all((world.public / chunk_path(entry.hash)).exists() for entry in old.chunks)
    files = sum(path.is_file() for path in world.public.rglob("*"))
    world.clock.now += GRACE_SECONDS + 3600
    world.build("+1*,rs-c.example", "+44*,rs-b.example")
    gone = [entry for entry in old.chunks if not (world.public / chunk_path(entry.hash)).exists()]
    assert [entry.lead.digits for entry in gone] == ["1"]
    assert sum(path.is_file() for path in world.public.rglob("*")) < files
    assert sorted(path.name for path in (world.public / "metadata").iterdir()) == [
        "1.root.json",
        "3.snapshot.json",
        "3.targets.json",
        "timestamp.json",
    ]


def test_the_timestamp_is_signed_anew_without_any_person(world: RoutingWorld) -> None:
    """The online key alone says that what is published still is the newest."""
    world.replica().update()
    world.clock.now += 3600
    again = world.again().refresh()
    assert again.as_of == world.clock.now
    world.replica().update()
    assert world.opened().freshness.as_of == again.as_of


def test_the_map_is_renewed_before_signatures_expire(world: RoutingWorld) -> None:
    """The same version is signed once more, with a new life."""
    before = world.publisher.published()
    world.clock.now += 3600
    assert world.publisher.renew() == ()
    after = world.publisher.published()
    assert before is not None
    assert after is not None
    assert after.targets_expires - before.targets_expires == 3600
    assert after.manifest == before.manifest


def test_as_many_sign_as_must(several: RoutingWorld) -> None:
    """A build waits until two of three have signed it; the same person counts once."""
    assert several.publisher.published() is None
    assert several.build() == 1
    assert several.publisher.pending() == (Pending("targets", 1, 0, 2),)
    for _ in range(2):
        assert several.publisher.sign(KEYS["carol"]) == (Pending("targets", 1, 1, 2),)
    assert several.publisher.published() is None
    assert several.publisher.sign(KEYS["alice"]) == ()
    assert several.publisher.published() is not None


def test_a_strangers_signature_counts_for_nothing(several: RoutingWorld) -> None:
    """Whoever is no signer is told, and signs nothing."""
    several.build()
    with pytest.raises(PublishingError, match="no signer's"):
        several.publisher.sign(Ed25519PrivateKey.generate())
    assert several.publisher.pending() == (Pending("targets", 1, 0, 2),)


def test_people_sign_copies_elsewhere(several: RoutingWorld, tmp_path: Path) -> None:
    """A file of what waits goes to the signers, and their copies are merged; a copy of something else is refused."""
    several.build()
    waiting = several.folder / "publisher" / "pending" / "targets.json"
    copies = []
    for name in ("alice", "bob"):
        copy = tmp_path / f"{name}.json"
        copy.write_bytes(waiting.read_bytes())
        sign_file(copy, KEYS[name])
        copies.append(copy.read_bytes())
    assert role_of(copies[0]) == "targets"
    assert several.publisher.merge(copies[:1]) == (Pending("targets", 1, 1, 2),)
    several.clock.now += 60
    several.build("+1*,rs-b.example")
    with pytest.raises(PublishingError, match="made anew in the meantime"):
        several.publisher.merge(copies)
    assert several.publisher.merge([]) == (Pending("targets", 1, 0, 2),)
    with pytest.raises(PublishingError, match="no metadata"):
        several.publisher.merge([b"{}"])
    with pytest.raises(PublishingError, match="cannot be read"):
        sign_file(tmp_path / "missing.json", KEYS["alice"])


def test_a_lost_key_is_replaced_by_the_others(several: RoutingWorld) -> None:
    """The threshold of the old signers and that of the new ones sign the change; the map is signed anew."""
    several.build()
    for name in ("alice", "bob"):
        several.publisher.sign(KEYS[name])
    dave = Ed25519PrivateKey.generate()
    people = [KEYS["alice"].public_key(), KEYS["bob"].public_key(), dave.public_key()]
    assert [state.role for state in several.publisher.rotate(people)] == ["root", "targets"]
    assert several.publisher.sign(dave)[0] == Pending("root", 2, 0, 2)
    assert several.publisher.sign(KEYS["alice"])[0] == Pending("root", 2, 1, 2)
    assert several.publisher.sign(KEYS["bob"]) == ()
    assert signers_of(several.publisher.root).people[-1] != KEYS["carol"].public_key()
    several.publisher.renew()
    with pytest.raises(PublishingError, match="no signer's"):
        several.publisher.sign(KEYS["carol"])


def test_a_new_online_key_takes_over(world: RoutingWorld) -> None:
    """A machine that was broken into loses its say with the next root."""
    old = signers_of(world.publisher.root).online
    assert world.publisher.rotate(new_online_key=True) == ()
    assert signers_of(world.publisher.root).online != old
    world.publisher.refresh()
    assert world.replica().update().version == 1
    for file in (world.folder / "publisher" / "keys").glob("online-*.key"):
        file.unlink()
    with pytest.raises(PublishingError, match="is not here"):
        world.publisher.refresh()
    world.publisher.renew()
    assert world.publisher.pending() == (Pending("targets", 3, 1, 1),)


def test_a_root_that_waits_too_long_is_made_anew(world: RoutingWorld) -> None:
    """A root that another one has overtaken can be signed no longer, and says so."""
    place = world.folder / "publisher" / "pending" / "root.json"
    first = world.publisher.root
    world.publisher.rotate()
    place.write_bytes(first)
    with pytest.raises(PublishingError, match="does not follow root 2"):
        world.publisher.pending()


def test_targets_that_something_has_overtaken_are_not_published(world: RoutingWorld) -> None:
    """What was made before something that is published already is refused."""
    waiting = world.folder / "publisher" / "pending" / "targets.json"
    old = (world.public / "metadata" / "1.targets.json").read_bytes()
    world.change(f"{NUMBER},rs-c.example")
    waiting.write_bytes(old)
    with pytest.raises(PublishingError, match="make them anew"):
        world.publisher.merge([])


@pytest.mark.parametrize(
    ("people", "threshold", "words"),
    [
        ((), 2, "name the signers"),
        (("alice", "bob"), 3, "at most all of them"),
        (("alice", "alice"), 2, "at most all of them"),
    ],
)
def test_a_threshold_can_be_reached(tmp_path: Path, people: tuple[str, ...], threshold: int, words: str) -> None:
    """A publisher whose signers could never sign is not made, and nothing of it stays."""
    keys = tuple(KEYS[name].public_key() for name in people)
    new = NewMap("Example", keys, threshold, Keys(unencrypted=True))
    with pytest.raises(PublishingError, match=words):
        MapPublisher.create(tmp_path / "publisher", new)
    assert not (tmp_path / "publisher").exists()


def test_the_online_key_is_nobodys(world: RoutingWorld) -> None:
    """A key that a machine holds all day does not sign maps."""
    with pytest.raises(PublishingError, match="online key is no signer's"):
        world.publisher.rotate([signers_of(world.publisher.root).online], 1)


def test_a_publisher_is_made_once(world: RoutingWorld) -> None:
    """A folder that has something in it is left alone."""
    with pytest.raises(ConfigurationError):
        MapPublisher.create(world.folder / "publisher", NewMap("Other", keys=Keys(unencrypted=True)))


def test_keys_are_encrypted_unless_somebody_opts_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase comes from a file or the environment; without it nothing is signed."""
    monkeypatch.delenv("ANSWERBACK_PASSPHRASE", raising=False)
    file = tmp_path / "passphrase"
    file.write_text("correct horse\n")
    MapPublisher.create(tmp_path / "one", NewMap("One", keys=Keys(passphrase_file=file), passphrase=b"correct horse"))
    assert b"ENCRYPTED" in (tmp_path / "one" / "keys" / "online.key").read_bytes()
    assert MapPublisher(tmp_path / "one").keys.names() == ("online", "signer")
    with pytest.raises(KeyStoreError, match="passphrase is missing"):
        MapPublisher.create(tmp_path / "two", NewMap("Two"))


def test_a_signers_key_is_made_with_its_public_half(tmp_path: Path) -> None:
    """The public key goes to the publisher, the other one stays."""
    public = key_pair(tmp_path / "alice.key", b"secret")
    private = read_ed25519(tmp_path / "alice.key", b"secret", lost="")
    assert read_public_key(public) == private.public_key()
    other = tmp_path / "other.pub"
    p256 = ec.generate_private_key(ec.SECP256R1()).public_key()
    other.write_bytes(p256.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(PublishingError, match="no Ed25519 key"):
        read_public_key(other)
    other.write_bytes(b"nothing")
    with pytest.raises(PublishingError, match="no public key in PEM"):
        read_public_key(other)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "Example Map"', "", "name"),
        ("timestamp_hours = 48", "timestamp_hours = 0", "timestamp_hours"),
        ("[valid]", "[valid", "map.toml"),
        ("unencrypted = true", "unencrypted = true\ndirectory = 5", "directory"),
        ('["rs-c.example"]', '["rs-d.example"]', "name each resolution service"),
        ('"https://rs-a.example"', '"http://rs-a.example"', "its URL is https"),
        ('name = "rs-a.example"', 'name = "rs-b.example"', "is there twice"),
    ],
)
def test_settings_that_cannot_be_used_are_named(world: RoutingWorld, old: str, new: str, words: str) -> None:
    """What is wrong in map.toml is told with its place."""
    settings = world.folder / "publisher" / "map.toml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new))
    with pytest.raises(PublishingError, match=words):
        world.again().build([])


def test_a_folder_without_a_publisher_says_what_to_do(tmp_path: Path) -> None:
    """Where there are no settings, the error names the command that makes them."""
    with pytest.raises(PublishingError, match="map init"):
        load_config(tmp_path)


def test_the_servers_tls_is_found_from_the_publishers_folder(world: RoutingWorld) -> None:
    """Paths in map.toml begin at its folder."""
    settings = world.folder / "publisher" / "map.toml"
    text = settings.read_text()
    settings.write_text(text.replace("# tls = ", "tls = "))
    tls = world.again().listener.tls
    assert tls is not None
    assert tls.certificate == world.folder / "publisher" / "tls.pem"


@pytest.mark.parametrize("damage", ["chunk", "chunk gone", "manifest", "timestamp", "root"])
def test_damage_at_the_publisher_is_told(world: RoutingWorld, damage: str) -> None:
    """A publisher whose files are damaged builds nothing on them, and says which file it is."""
    entry = world.published_manifest().chunks[0]
    published = world.publisher.published()
    assert published is not None
    chunk = world.public / chunk_path(entry.hash)
    match damage:
        case "chunk":
            chunk.write_bytes(b"damaged")
        case "chunk gone":
            chunk.unlink()
        case "manifest":
            (world.public / "targets" / f"{published.manifest}.manifest").write_bytes(b"damaged")
        case "timestamp":
            (world.public / "metadata" / "timestamp.json").write_bytes(b"damaged")
        case _:
            (world.public / "metadata" / "timestamp.json").write_bytes(world.publisher.root)
    with pytest.raises(PublishingError):
        world.change(f"{NUMBER},rs-c.example")


def test_a_key_that_is_nobodys_is_left_aside(world: RoutingWorld) -> None:
    """A key among the publisher's that the root does not name signs nothing."""
    world.publisher.keys.write("stranger", Ed25519PrivateKey.generate())
    assert world.change(f"{NUMBER},rs-c.example") == 2
    signatures = json.loads((world.public / "metadata" / "2.targets.json").read_bytes())["signatures"]
    assert len(signatures) == 1


def test_the_repository_publishes_only_what_is_complete(several: RoutingWorld) -> None:
    """Whoever would publish too early, or by another online key, is told."""
    several.build()
    repository, lives = SignedRepository(several.public), several.publisher.config.valid.lives
    waiting = (several.folder / "publisher" / "pending" / "targets.json").read_bytes()
    online = several.publisher.keys.ed25519("online")
    with pytest.raises(PublishingError, match="0 of 2 signatures"):
        repository.release(None, waiting, online, lives, several.clock.now)
    for name in ("alice", "bob"):
        waiting = with_signature(waiting, KEYS[name])
    with pytest.raises(PublishingError, match="not the one that the root names"):
        repository.release(None, waiting, KEYS["carol"], lives, several.clock.now)
    with pytest.raises(PublishingError, match="restore it from your backup"):
        repository.file("manifest", "0" * 64)


def test_what_is_published_tells_no_more_than_it_must(world: RoutingWorld) -> None:
    """Metadata has the signers' public keys, hashes and times; the number of bytes of an update stays small."""
    sizes = {path.name: path.stat().st_size for path in (world.public / "metadata").iterdir()}
    assert sum(sizes.values()) < 4000
    assert json.loads((world.public / "metadata" / "timestamp.json").read_bytes())["signed"]["x-answerback-as-of"]
