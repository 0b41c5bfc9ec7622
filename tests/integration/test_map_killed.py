"""Kill a replica and a publisher at every step that reaches the disk, and look at what the next one finds.

Each runs in a child that is killed with SIGKILL. What it has written is what is there afterwards.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from number_directory.routing.errors import NoMapError
from number_directory.routing.replica import MapReplica
from number_directory.routing.routing_map import RoutingMap
from stir.telephone_number import TelephoneNumber
from tests.fakes.routing_world import RoutingWorld, make_world
from transparency.releases.errors import UnsignedRefused
from transparency.releases.files import DRAFT

NUMBER = "+12025550123"
MANY = ["+1*,rs-a.example", "+44*,rs-b.example", *(f"+1202555{place:04},rs-b.example" for place in range(3000))]
MOST_STEPS = 400


def _killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that dies before its step of this number; tell whether it died there."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _arm(step)
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - nothing may run on in a copy of the test
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _arm(step: int) -> None:
    """Have this process die before its file operation of this number."""
    count = 0

    def dying(function: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return called

    for name in ("fsync", "replace"):
        setattr(os, name, dying(getattr(os, name)))
    for name in ("replace", "unlink", "mkdir", "write_bytes"):
        setattr(pathlib.Path, name, dying(getattr(pathlib.Path, name)))


@pytest.fixture
def world(tmp_path: Path) -> RoutingWorld:
    """Return a publisher with a map of some thousand exceptions."""
    world = make_world(tmp_path)
    world.build(*MANY)
    return world


def _version(folder: Path) -> int:
    """Return the version of a map, every chunk of which is what was signed, and which answers as that version does."""
    opened = RoutingMap.open(folder)
    assert not opened.damaged()
    expected = {1: "rs-b.example", 2: "rs-c.example"}[opened.manifest.version]
    assert opened.resolve(TelephoneNumber.parse(NUMBER)).service.name == expected
    return opened.manifest.version


@pytest.mark.parametrize("way", ["deltas", "chunks", "first"])
def test_a_replica_that_is_killed_has_the_old_version_or_the_new(world: RoutingWorld, way: str) -> None:
    """At whatever step it dies, what is there is whole, and the next update brings the newest version."""
    world.replica(name="old").update()
    if way == "chunks":
        world.build(*MANY[:2], f"{NUMBER},rs-c.example")
    else:
        world.change(f"{NUMBER},rs-c.example")
    found: set[int] = set()
    for step in range(1, MOST_STEPS):
        folder = world.folder / "replica"
        shutil.rmtree(folder, ignore_errors=True)
        if way == "first":
            world.replica()
        else:
            shutil.copytree(world.folder / "old", folder)
        died = _killed_at(step, lambda folder=folder: MapReplica.open(folder, world.mirror()).update())  # type: ignore[misc]
        try:
            found.add(_version(folder))
        except NoMapError:
            assert way == "first"
        MapReplica.open(folder, world.mirror()).update()
        assert _version(folder) == 2
        assert not [path for path in folder.iterdir() if path.name.startswith(DRAFT)]
        if not died:
            break
    assert step > 8
    assert found == ({2} if way == "first" else {1, 2})


@pytest.mark.parametrize("way", ["build", "change"])
def test_a_publisher_that_is_killed_has_published_the_old_version_or_the_new(world: RoutingWorld, way: str) -> None:
    """At whatever step it dies, replicas get a whole version, and the next build publishes."""
    shutil.copytree(world.folder / "publisher", world.folder / "kept")
    lines = (*MANY[:2], f"{NUMBER},rs-c.example")

    def work() -> object:
        return world.build(*lines) if way == "build" else world.change(f"{NUMBER},rs-c.example")

    found: set[int] = set()
    for step in range(1, MOST_STEPS):
        shutil.rmtree(world.folder / "publisher")
        shutil.copytree(world.folder / "kept", world.folder / "publisher")
        world.again()
        died = _killed_at(step, work)
        shutil.rmtree(world.folder / "replica", ignore_errors=True)
        world.replica().update()
        found.add(_version(world.folder / "replica"))
        world.again()
        work()
        world.publisher.refresh()
        world.replica().update()
        assert _version(world.folder / "replica") == 2
        assert _version(world.publisher.map_folder) == 2
        if not died:
            break
    assert step > 12
    assert found == {1, 2}


def _is_refused(world: RoutingWorld) -> bool:
    """Tell whether a replica that knows the first signers only refuses what is published."""
    try:
        MapReplica.open(world.folder / "replica", world.mirror()).update()
    except UnsignedRefused:
        assert _version(world.folder / "replica") == 1
        return True
    return False


def test_a_publisher_that_is_killed_while_keys_change_goes_on(world: RoutingWorld) -> None:
    """Replicas follow, but for the moment between root and timestamp: then they keep what they have for a while."""
    refused = 0
    world.replica(name="old").update()
    shutil.copytree(world.folder / "publisher", world.folder / "kept")
    for step in range(1, MOST_STEPS):
        for name, source in (("publisher", "kept"), ("replica", "old")):
            shutil.rmtree(world.folder / name, ignore_errors=True)
            shutil.copytree(world.folder / source, world.folder / name)
        world.again()
        died = _killed_at(step, lambda: world.publisher.rotate(new_online_key=True))
        refused += _is_refused(world)
        world.again().refresh()
        assert not _is_refused(world)
        world.publisher.rotate(new_online_key=True)
        assert world.publisher.pending() == ()
        world.change(f"{NUMBER},rs-c.example")
        MapReplica.open(world.folder / "replica", world.mirror()).update()
        assert _version(world.folder / "replica") == 2
        if not died:
            break
    assert step > 12
    assert refused <= 6  # the operations from the root's name on to the timestamp's
