from __future__ import annotations

import logging
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from number_directory.routing.errors import DamagedMapError, MapFormatError, NoMapError
from number_directory.routing.leading_digits import ROOTS, LeadingDigits
from number_directory.routing.manifest import ChunkEntry, Manifest
from number_directory.routing.map_folder import Current, MapFolder
from number_directory.routing.routing_map import LiveMap, RoutingMap
from stir.telephone_number import TelephoneNumber
from tests.fakes.routing_world import RoutingWorld
from tests.unit.number_directory.routing.strategies import SERVICES
from transparency.releases.files import write_whole

NUMBER = TelephoneNumber("12025550123")


@pytest.fixture
def folder(world: RoutingWorld) -> Path:
    """Return the folder of a replica that is up to date."""
    world.replica().update()
    return world.folder / "replica"


def test_a_number_that_nobody_has_resolves_like_one_that_somebody_has(world: RoutingWorld, folder: Path) -> None:
    """The answer has the same form whether a number is listed, covered by a prefix, or known to nobody."""
    opened = RoutingMap.open(folder, world.clock)
    answers = [opened.resolve(TelephoneNumber(digits)) for digits in ("12025550123", "12025550124", "99912345678")]
    assert [answer.service.name for answer in answers] == ["rs-b.example", "rs-a.example", "rs-c.example"]
    assert len({(answer.version, answer.age, answer.is_stale) for answer in answers}) == 1


def test_an_answer_says_how_old_the_map_is(world: RoutingWorld, folder: Path) -> None:
    """Age counts from when the publisher said that the version is the newest; a clock that is behind makes it 0."""
    resolution = RoutingMap.open(folder, world.clock).resolve(NUMBER)
    assert resolution.version == 1
    assert resolution.age == timedelta(0)
    world.clock.now += 3600
    assert resolution.age == timedelta(hours=1)
    world.clock.now -= 7200
    assert resolution.age == timedelta(0)


def test_a_map_that_is_open_stays_what_it_is(world: RoutingWorld, folder: Path) -> None:
    """An update does not pull the files away from under those who read."""
    opened = RoutingMap.open(folder)
    world.change("+12025550123,rs-c.example")
    world.replica().update()
    assert opened.resolve(NUMBER).service.name == "rs-b.example"
    assert RoutingMap.open(folder).resolve(NUMBER).service.name == "rs-c.example"


def _spoil(folder: Path, place: int) -> None:
    (file,) = folder.glob("*.map")
    data = bytearray(file.read_bytes())
    data[place] ^= 0xFF
    file.write_bytes(data)


def test_a_damaged_chunk_does_not_answer(folder: Path) -> None:
    """A chunk that is not what was signed is found before it answers; the others answer on."""
    _spoil(folder, 40)
    opened = RoutingMap.open(folder)
    with pytest.raises(DamagedMapError, match=r"begin with \+1 is damaged"):
        opened.resolve(NUMBER)
    with pytest.raises(DamagedMapError):
        opened.chunk_of(LeadingDigits("12"))
    assert [entry.lead.digits for entry in opened.damaged()] == ["1"]
    assert opened.resolve(TelephoneNumber("442079460000")).service.name == "rs-b.example"


@pytest.mark.parametrize("cut", [0, 5, 11, 200])
def test_a_file_that_was_cut_off_is_no_map(folder: Path, cut: int) -> None:
    """A version's file that is too short, or has no manifest at its end, is damaged."""
    (file,) = folder.glob("*.map")
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(DamagedMapError, match="answerback directory map update"):
        RoutingMap.open(folder)


@pytest.mark.parametrize("place", [-1, -12, -20])
def test_a_damaged_manifest_is_found(folder: Path, place: int) -> None:
    """The manifest is held to the hash that names the version."""
    _spoil(folder, place)
    with pytest.raises(DamagedMapError, match="is damaged"):
        RoutingMap.open(folder)


def test_a_file_of_another_version_is_found(folder: Path) -> None:
    """A file under a name that is not its manifest's hash is damaged."""
    (file,) = folder.glob("*.map")
    current = MapFolder(folder).current()
    file.rename(folder / f"{'0' * 64}.map")
    write_whole(folder / "current.json", b'{"manifest":"%s","as_of":1,"expires":2}' % (b"0" * 64))
    with pytest.raises(DamagedMapError, match="is damaged"):
        RoutingMap.open(folder)
    assert current.manifest != "0" * 64


def test_a_folder_without_a_map_says_what_to_do(tmp_path: Path) -> None:
    """Where there is no map, the error names the command that fetches one."""
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NoMapError, match="answerback directory map update"):
            RoutingMap.open(place)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"manifest":"../x","as_of":1,"expires":2}'])
def test_a_damaged_note_is_told(folder: Path, content: bytes) -> None:
    """The note of the version in use is read strictly: it names a file by a hash, and nothing else."""
    (folder / "current.json").write_bytes(content)
    with pytest.raises(DamagedMapError, match=r"current\.json cannot be read"):
        RoutingMap.open(folder)


def test_an_update_between_two_looks_is_no_damage(
    world: RoutingWorld, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads the note just before an update opens the new version."""
    old = MapFolder(folder).current()
    world.change("+12025550123,rs-c.example")
    world.replica().update()
    new = MapFolder(folder).current()
    looks = iter([old, new])
    monkeypatch.setattr(MapFolder, "current", lambda _: next(looks))
    assert RoutingMap.open(folder).resolve(NUMBER).service.name == "rs-c.example"


def _signed_badly(folder: Path, data: bytes) -> RoutingMap:
    """Return a map whose chunk of +1 has bytes that no builder makes, though its hash is right."""
    old = RoutingMap.open(folder)
    chunks = {entry: old.chunk_of(entry.lead) or b"" for entry in old.manifest.chunks}
    entries = [ChunkEntry.of(ROOTS[0], data), *list(chunks)[1:]]
    manifest = replace(old.manifest, chunks=tuple(entries))
    files = MapFolder(folder)
    made = files.write(zip(entries, [data, *list(chunks.values())[1:]], strict=True), lambda: manifest)
    files.use(Current(made.hash, 1, 2))
    return RoutingMap.open(folder)


@pytest.mark.parametrize("other", [None, LeadingDigits("2")])
def test_a_chunk_that_was_signed_but_is_none_is_told(folder: Path, other: LeadingDigits | None) -> None:
    """A publisher's mistake is an error, and not a wrong answer: no chunk, or one of other numbers."""
    data = b"no chunk" if other is None else RoutingMap.open(folder).chunk_of(other)
    assert data is not None
    opened = _signed_badly(folder, data)
    with pytest.raises(DamagedMapError):
        opened.resolve(NUMBER)


def test_a_service_that_the_manifest_does_not_name_is_told(folder: Path) -> None:
    """A chunk that names a service which there is not is damaged."""
    old = RoutingMap.open(folder)
    files, manifest = MapFolder(folder), Manifest(9, 1, {77: SERVICES[0]}, old.manifest.chunks)
    files.write(((entry, old.chunk_of(entry.lead) or b"") for entry in manifest.chunks), lambda: manifest)
    files.use(Current(manifest.hash, 1, 2))
    with pytest.raises(DamagedMapError):
        RoutingMap.open(folder).resolve(NUMBER)


def test_a_version_with_another_hash_is_not_written(folder: Path) -> None:
    """Where something else came out than was signed, no file stays."""
    old = RoutingMap.open(folder)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(MapFormatError, match="not the one that was signed"):
        MapFolder(folder).write([], lambda: old.manifest, expected="0" * 64)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_what_covers_a_prefix_is_one_chunk_or_none(folder: Path) -> None:
    """A prefix within a chunk has one; one that several chunks share has none."""
    opened = RoutingMap.open(folder)
    assert opened.chunk_of(LeadingDigits("1")) == opened.chunk_of(LeadingDigits("12025"))
    small = RoutingMap.open(folder)
    small._slices = [
        (replace(entry, lead=LeadingDigits(f"{entry.lead.digits}0")), data) for entry, data in small._slices
    ]
    assert small.chunk_of(LeadingDigits("1")) is None


def test_a_live_map_follows_its_folder(world: RoutingWorld, folder: Path) -> None:
    """A new version is there within a second of being in use."""
    live = LiveMap(folder, world.clock)
    first = live.newest()
    world.change("+12025550123,rs-c.example")
    world.replica().update()
    assert live.newest() is first
    world.clock.now += 2
    assert live.newest().resolve(NUMBER).service.name == "rs-c.example"
    again = live.newest()
    world.clock.now += 2
    assert live.newest() is again


def test_a_live_map_goes_on_where_the_folder_is_damaged(
    world: RoutingWorld, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be opened does not take the place of what answers."""
    live = LiveMap(folder, world.clock)
    (folder / "current.json").unlink()
    world.clock.now += 2
    with caplog.at_level(logging.WARNING):
        assert live.newest().resolve(NUMBER).service.name == "rs-b.example"
    assert "not read anew" in caplog.text


def test_a_live_map_whose_clock_is_set_back_looks_again(world: RoutingWorld, folder: Path) -> None:
    """A clock that jumps back does not keep new versions away until it has caught up."""
    live = LiveMap(folder, world.clock)
    world.change("+12025550123,rs-c.example")
    world.replica().update()
    world.clock.now -= 10_000
    assert live.newest().resolve(NUMBER).service.name == "rs-c.example"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be written to its end leaves the old one, and no draft."""
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("file", b"old")]
