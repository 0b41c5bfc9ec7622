"""A routing map's publisher, with a clock that is set by hand, and mirrors of it, honest ones and others."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from number_directory.routing.manifest import Manifest
from number_directory.routing.publisher import MapPublisher, NewMap
from number_directory.routing.replica import MapReplica
from number_directory.routing.routing_map import RoutingMap
from serving.settings import Keys
from stir.telephone_number import TelephoneNumber
from tests.fakes.clock import SetClock
from transparency.transport import Answer, Question, Unreachable

URL = "https://map.example"
NAMES = ("rs-a.example", "rs-b.example", "rs-c.example")

ENTRIES = ("+1*,rs-a.example", "+44*,rs-b.example", "+12025550123,rs-b.example", "+12025550199,rs-c.example")

_SERVICE = """
[[services]]
name = "{name}"
operator = "Operator of {name}"
url = "https://{name}"
"""


@dataclass
class FolderMirror:
    """Hands out the files of a folder as a web server would, changed where told.

    `instead` has what is handed out instead, by path; None: nothing. `asked` are the paths that were asked for.
    """

    folder: Path
    instead: dict[str, bytes | None] = field(default_factory=dict)
    is_down: bool = False
    asked: list[str] = field(default_factory=list)

    def ask(self, question: Question) -> Answer:
        """Answer with a file, or 404."""
        path = question.url.removeprefix(f"{URL}/")
        self.asked.append(path)
        if self.is_down:
            msg = "map.example could not be asked"
            raise Unreachable(msg)
        file = self.folder / path
        data = self.instead[path] if path in self.instead else file.read_bytes() if file.is_file() else None
        if data is None:
            return Answer(404, b"{}")
        if len(data) > question.largest:
            msg = "map.example sent too much"
            raise Unreachable(msg)
        return Answer(200, data, {"content-length": str(len(data))})


@dataclass
class RoutingWorld:
    """A publisher, in `folder`."""

    folder: Path
    clock: SetClock
    publisher: MapPublisher

    @property
    def public(self) -> Path:
        """What mirrors hand out."""
        return self.folder / "publisher" / "public"

    def build(self, *lines: str) -> int | None:
        """Build a map of these lines, or the usual ones, and return its version."""
        built = self.publisher.build([self._file(lines or ENTRIES)])
        return None if built is None else built.version

    def change(self, *lines: str) -> int | None:
        """Change the map by these lines, and return its new version."""
        built = self.publisher.change([self._file(lines)])
        return None if built is None else built.version

    def published_manifest(self) -> Manifest:
        """Return the manifest that is published."""
        published = self.publisher.published()
        assert published is not None
        return Manifest.decode((self.public / "targets" / f"{published.manifest}.manifest").read_bytes())

    def mirror(self) -> FolderMirror:
        """Return a mirror that has whatever is published."""
        return FolderMirror(self.public)

    def copy(self, name: str) -> FolderMirror:
        """Return a mirror that has what is published now, and never anything newer."""
        return FolderMirror(Path(shutil.copytree(self.public, self.folder / name)))

    def replica(self, mirror: FolderMirror | None = None, name: str = "replica") -> MapReplica:
        """Return a replica that nothing is fetched for yet."""
        return MapReplica.create(self.folder / name, URL, self.publisher.root, mirror or self.mirror())

    def opened(self, name: str = "replica") -> RoutingMap:
        """Open the map of a replica."""
        return RoutingMap.open(self.folder / name, self.clock)

    def service(self, number: str, name: str = "replica") -> str:
        """Return the name of the service that a replica says has a number."""
        return self.opened(name).resolve(TelephoneNumber.parse(number)).service.name

    def again(self) -> MapPublisher:
        """Open the publisher anew, as another process would."""
        self.publisher = MapPublisher(self.folder / "publisher", self.clock)
        return self.publisher

    def _file(self, lines: tuple[str, ...]) -> Path:
        path = self.folder / "entries.csv"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path


def make_world(
    folder: Path, *, signers: Mapping[str, Ed25519PrivateKey] | None = None, threshold: int = 1
) -> RoutingWorld:
    """Make a publisher of a map with three services; without signers it signs alone."""
    clock = SetClock()
    people = tuple(key.public_key() for key in (signers or {}).values())
    new = NewMap("Example Map", people, threshold, Keys(unencrypted=True))
    publisher = MapPublisher.create(folder / "publisher", new, clock)
    settings = folder / "publisher" / "map.toml"
    text = settings.read_text().replace("defaults = []", 'defaults = ["rs-c.example"]')
    settings.write_text(text + "".join(_SERVICE.format(name=name) for name in NAMES))
    world = RoutingWorld(folder, clock, publisher)
    world.again()
    return world
