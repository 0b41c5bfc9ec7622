"""A curated list with its curators, a clock that is set by hand, and mirrors of it on loopback, also bad ones."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from answerback.list_curating import ListCurator, NewList
from serving.settings import Keys
from tests.fakes.clock import SetClock
from tests.fakes.small_pki import Authority
from transparency.transport import HttpTransport
from trust_store import TrustHome
from trust_store.entries import SubscriptionEntry
from trust_store.subscriptions import updating
from trust_store.subscriptions.updating import Update

NAME = "street-list"


@dataclass
class Mirror:
    """Hands out a folder over HTTP, changed where told.

    `instead` has what is handed out instead, by path; None: nothing. `asked` are the paths that were asked for.
    """

    folder: Path
    url: str = ""
    instead: dict[str, bytes | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> bytes | None:
        """Return what the mirror has at a path."""
        self.asked.append(path)
        if path in self.instead:
            return self.instead[path]
        file = self.folder / path
        return file.read_bytes() if file.is_file() else None


@contextmanager
def serving(folder: Path) -> Iterator[Mirror]:
    """Hand out a folder on loopback."""
    mirror = Mirror(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with a file, or 404."""
            data = mirror.answer(self.path.removeprefix("/list/"))
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    mirror.url = f"http://127.0.0.1:{cast('int', server.server_address[1])}/list"
    try:
        yield mirror
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@dataclass
class ListWorld:
    """A list's curator in a folder, and a mirror of what it publishes."""

    folder: Path
    curator: ListCurator
    clock: SetClock
    mirror: Mirror

    @property
    def entry(self) -> SubscriptionEntry:
        """What a user's `trust.toml` says who subscribes now."""
        return SubscriptionEntry(name=NAME, url=self.mirror.url, root=self.curator.pin)

    def publish(self, **anchors: Authority) -> None:
        """Name these authorities too, by these names with `-` for `_`, and publish."""
        for name, authority in anchors.items():
            self.curator.add(authority.anchor(name.replace("_", "-")))
        self.curator.release()

    def write(self, old: str, new: str) -> None:
        """Change the list by hand, and publish it."""
        file = self.curator.folder / "list.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        self.curator.release()

    def copy(self, name: str) -> Path:
        """Keep what is published now, in another folder."""
        return Path(shutil.copytree(self.curator.public, self.folder / name))

    def subscribe(self, home: TrustHome, entry: SubscriptionEntry | None = None, *, accept: bool = True) -> Update:
        """Follow the list, and agree to it."""
        done = updating.subscribe(home, entry or self.entry, self.curator.root, HttpTransport(), datetime.now(UTC))
        if accept:
            updating.accept(home, done)
        return done

    def update(self, home: TrustHome, entry: SubscriptionEntry | None = None, *, check: bool = False) -> Update:
        """Fetch the newest version."""
        return updating.update(home, entry or self.entry, HttpTransport(), datetime.now(UTC), check=check)


@contextmanager
def list_world(
    folder: Path, *, signers: Mapping[str, Ed25519PrivateKey] | None = None, threshold: int = 1
) -> Iterator[ListWorld]:
    """Make a curator of an empty list, which is not published yet; without signers it signs alone."""
    clock = SetClock()
    people = tuple(key.public_key() for key in (signers or {}).values())
    new = NewList("street-list", "Street Council", people, threshold, Keys(unencrypted=True))
    curator = ListCurator.create(folder / "curator", new, clock)
    with serving(curator.public) as mirror:
        yield ListWorld(folder, curator, clock, mirror)


def fingerprint(data: bytes) -> str:
    """Return the SHA-256 of data, in hexadecimal."""
    return sha256(data).hexdigest()
