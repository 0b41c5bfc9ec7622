"""A directory with an authority that it admits, a clock that stands still, and clients without a socket."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import falcon.testing
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from number_directory.access_list import ANYONE, AccessList, AppAccess, Grant, sign_access_list
from number_directory.client import DirectoryClient, Signer
from number_directory.hidden import HiddenQuestion
from number_directory.hidden_lookup import HiddenRequest
from number_directory.lookup import LookupAnswer, LookupRequest, OpenLookup
from number_directory.move import Move
from number_directory.own_listing import OwnAnswer, OwnListing
from number_directory.owning import Owner
from number_directory.receipt import Acceptance
from number_directory.record import Medium, Record, sign_record
from number_directory.server.app import HIDDEN_KEY_NAME, KEY_NAME, create_directory, key_files
from number_directory.server.config import DirectoryConfig, Hidden, Keys, RecordLog
from number_directory.server.directory import Directory
from number_directory.server.hidden_upkeep import HiddenKeeper
from number_directory.server.record_log import WITNESS_NAME, Sequencer
from number_directory.server.web import build_web
from number_directory.statement import statement_body
from policies.terms import Terms
from stir.telephone_number import TelephoneNumber
from tests.fakes.small_pki import NOW, Authority, Held, root
from transparency.transport import Answer, Question
from trust_store import Anchor, TrustHome
from trust_store.editing import add_anchor

URL = "https://directory.example"
OWNER = TelephoneNumber.parse("+12025550123")
CALLER = TelephoneNumber.parse("+442079460018")
STRANGER = TelephoneNumber.parse("+13035550142")
CHAT = "chat.example"
VIDEO = "com.example.video"
EVERYBODY = AppAccess(frozenset({ANYONE}))


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: datetime = NOW) -> None:
        """Begin at a time."""
        self.now = now

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Go on."""
        self.now += by


def make_config(folder: Path, authority: Authority, database: str | None = None, **settings: object) -> DirectoryConfig:
    """Return the settings of a directory that admits an authority, its folder and keys made."""
    folder.mkdir(parents=True, exist_ok=True)
    admission = folder / "admission" / "trust.toml"
    admission.parent.mkdir(exist_ok=True)
    if not admission.exists():
        terms = Terms(name="example-ca", operator="Example", source="trust.toml:1")
        add_anchor(TrustHome.beside(admission), Anchor(terms, authority.certificate))
    parts: dict[str, object] = {
        "name": "Example Directory",
        "operator": "Example",
        "url": URL,
        "admission": admission,
        "keys": Keys(directory=folder / "keys", unencrypted=True),
        "record_log": RecordLog(wait_milliseconds=0),
        "hidden": Hidden(offered=True, smallest_bucket=8),
        "database": database or f"sqlite:///{folder / 'directory.db'}",
        "folder": folder,
    }
    config = DirectoryConfig(**{**parts, **settings})  # type: ignore[arg-type]
    files = key_files(config)
    for name in (KEY_NAME, HIDDEN_KEY_NAME):
        if not files.path(name).exists():
            files.write(name, Ed25519PrivateKey.generate())
    return config


@dataclass(eq=False)
class DirectoryWorld:
    """A directory, its authority, and numbers that use it."""

    config: DirectoryConfig
    authority: Authority
    clock: Clock
    directory: Directory
    client: falcon.testing.TestClient
    _held: dict[TelephoneNumber, Held] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _more: list[Directory] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, database: str | None = None, **settings: object) -> DirectoryWorld:
        """Return a world whose files are in a folder."""
        authority, clock = root(), Clock()
        config = make_config(folder, authority, database, **settings)
        directory = create_directory(config, clock=clock)
        return cls(config, authority, clock, directory, falcon.testing.TestClient(build_web(directory)))

    def front_end(self) -> falcon.testing.TestClient:
        """Return another front end on the same database."""
        other = create_directory(self.config, clock=self.clock)
        self._more.append(other)
        return falcon.testing.TestClient(build_web(other))

    def held(self, number: TelephoneNumber = OWNER) -> Held:
        """Return a number with its certificate, the same each time."""
        if number not in self._held:
            self._held[number] = self.authority.number(number, serial=1000 + len(self._held))
        return self._held[number]

    def hold(self, number: TelephoneNumber, held: Held) -> None:
        """Have a number use another certificate from now on."""
        self._held[number] = held

    def ask(self, question: Question) -> Answer:
        """Answer what a client asks: the world is a `Transport`, too."""
        path, headers = question.url.removeprefix(self.config.url), {"Content-Type": question.media_type}
        method = "GET" if question.body is None else "POST"
        result = self.client.simulate_request(method, path, body=question.body, headers=headers)
        return Answer(result.status_code, result.content, {name.lower(): text for name, text in result.headers.items()})

    def owner(self, number: TelephoneNumber = OWNER) -> Owner:
        """Return a number's owner, as its program sees it."""
        held = self.held(number)
        client = DirectoryClient(self.config.url, self, lambda: int(self.clock().timestamp()))
        return Owner(client, Signer(number, held.key, held.chain), held.key.public_key().__eq__)

    # What owners sign

    def record_token(
        self,
        number: TelephoneNumber = OWNER,
        app: str = CHAT,
        *,
        seq: int = 1,
        uris: Iterable[str] = ("https://chat.example/u/1",),
        life: timedelta = timedelta(days=1),
        media: frozenset[Medium] = frozenset({Medium.MESSAGE}),
    ) -> str:
        """Return a signed record; without `uris`, a withdrawal."""
        now, places, held = int(self.clock().timestamp()), tuple(uris), self.held(number)
        expires = now + int(life.total_seconds())
        record = Record(number, app, places, media if places else None, seq, now, expires)
        return sign_record(record, held.key, held.chain, salt=bytes(16))

    def access_list_token(
        self,
        number: TelephoneNumber = OWNER,
        *,
        seq: int = 1,
        default: AppAccess | None = None,
        apps: dict[str, AppAccess] | None = None,
    ) -> str:
        """Return a signed access list."""
        held = self.held(number)
        now = int(self.clock().timestamp())
        list_ = AccessList(number, seq, now, default or AppAccess(), apps or {})
        return sign_access_list(list_, held.key, held.chain)

    def move_token(self, destination: str, number: TelephoneNumber = OWNER, *, seq: int = 1, origin: str = URL) -> str:
        """Return a signed move."""
        held = self.held(number)
        return Move(number, origin, destination, seq, int(self.clock().timestamp())).sign(held.key, held.chain)

    def lookup_token(
        self,
        numbers: Sequence[TelephoneNumber],
        caller: TelephoneNumber = CALLER,
        *,
        audience: str = URL,
        request_id: str | None = None,
        tokens: Sequence[str] = (),
    ) -> str:
        """Return a signed lookup."""
        held = self.held(caller)
        now = int(self.clock().timestamp())
        request = LookupRequest(audience, now, request_id or self.request_id(), tuple(numbers), tuple(tokens))
        return request.sign(held.key, held.chain)

    def hidden_token(
        self, blinded: Sequence[bytes] | None = None, caller: TelephoneNumber = CALLER, audience: str = URL
    ) -> str:
        """Return a signed question for hidden numbers; without any, for the owner's."""
        held, now = self.held(caller), int(self.clock().timestamp())
        elements = HiddenQuestion([OWNER]).blinded if blinded is None else tuple(blinded)
        return HiddenRequest(audience, now, self.request_id(), elements).sign(held.key, held.chain)

    def request_id(self) -> str:
        """Return a request id that was not used before."""
        return f"request-{next(self._ids):016}"

    # What they and callers send

    def post(self, path: str, token: str, client: falcon.testing.TestClient | None = None) -> falcon.testing.Result:
        """Send a statement."""
        return self.send(path, statement_body(token), client)

    def send(
        self, path: str, body: bytes, client: falcon.testing.TestClient | None = None, **more: str
    ) -> falcon.testing.Result:
        """Send a body of JSON; make sure that openapi.json announces a refusal."""
        headers = {"Content-Type": "application/json", **more}
        result = (client or self.client).simulate_post(path, body=body, headers=headers)
        if 400 <= result.status_code < 500 and path in self._described:
            kind = msgspec.json.decode(result.content)["type"].partition("#")[2]
            assert f"#{kind}`" in self._described[path]["post"]["responses"][str(result.status_code)]["description"]
        return result

    @cached_property
    def _described(self) -> dict[str, Any]:
        """Return what openapi.json says of each path."""
        paths: dict[str, Any] = self.client.simulate_get("/openapi.json").json["paths"]
        return paths

    def publish(self, number: TelephoneNumber = OWNER, app: str = CHAT, *, seq: int = 1) -> Acceptance:
        """Publish a record."""
        return accepted(self.post("/records", self.record_token(number, app, seq=seq)))

    def allow(self, *grants: Grant, number: TelephoneNumber = OWNER, seq: int = 1) -> Acceptance:
        """Let some see everything of a number."""
        token = self.access_list_token(number, seq=seq, default=AppAccess(frozenset(grants)))
        return accepted(self.post("/access-lists", token))

    def look_up(
        self, *numbers: TelephoneNumber, caller: TelephoneNumber | None = CALLER, tokens: Sequence[str] = ()
    ) -> LookupAnswer:
        """Look numbers up, signed by the caller, or unsigned where that is None."""
        if caller is None:
            result = self.send("/lookup", OpenLookup(numbers, tuple(tokens)).to_json())
        else:
            result = self.post("/lookup", self.lookup_token(numbers, caller, tokens=tokens))
        assert result.status_code == 200, result.text
        return LookupAnswer.parse(result.content)

    def own(self, number: TelephoneNumber = OWNER) -> OwnAnswer:
        """Ask as an owner."""
        result = self.post("/own", self.own_token(number))
        assert result.status_code == 200, result.text
        return OwnAnswer.parse(result.content)

    def own_token(self, number: TelephoneNumber = OWNER) -> str:
        """Return an owner's question."""
        held = self.held(number)
        question = OwnListing(URL, int(self.clock().timestamp()), self.request_id(), number)
        return question.sign(held.key, held.chain)

    def keeper(self) -> HiddenKeeper:
        """Return the worker's keeper of hidden numbers."""
        assert self.directory.hidden is not None
        return HiddenKeeper(self.directory, self.directory.hidden)

    def sequencer(self) -> Sequencer:
        """Return a sequencer of the record log."""
        return Sequencer(
            self.directory.storage, self.directory.signer, self.config.folder / WITNESS_NAME, largest_pool=1000
        )

    def close(self) -> None:
        """Close the database."""
        for directory in (self.directory, *self._more):
            directory.close()


def accepted(result: falcon.testing.Result) -> Acceptance:
    """Return what was accepted."""
    assert result.status_code == 200, result.text
    return Acceptance.parse(result.content)


def refusal(result: falcon.testing.Result) -> tuple[int, str]:
    """Return status and name of a problem, having looked at its form."""
    assert result.headers["content-type"] == "application/problem+json", result.text
    problem = msgspec.json.decode(result.content)
    assert problem["status"] == result.status_code
    assert problem["detail"]
    return result.status_code, problem["type"].partition("#")[2]
