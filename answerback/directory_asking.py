"""Asking directories at a terminal: where a number is, who signs, and whose judgement counts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acme_client.errors import AcmeClientError
from acme_client.store import State, Store, key_hash
from answerback.enrolling import chosen, explain
from answerback.failure import Failure
from answerback.pinning import fingerprint
from number_directory.client import DirectoryClient, DirectoryRefused, Signer
from number_directory.errors import DirectoryError
from number_directory.owning import Owner
from number_directory.record import SignedRecord
from number_directory.record_memory import RecordMemoryError
from number_directory.resolver import Belief, Judgement, OnePlace, Place, Routing, RoutingFailed
from policies.terms import Purpose
from policies.verdicts import Verdict
from stir.errors import StirError
from stir.jws import Chain
from stir.telephone_number import TelephoneNumber
from stir.web_url import is_base_url
from transparency.transport import HttpTransport, Unreachable
from trust_store import DirectoryRecord, TrustStore

if TYPE_CHECKING:
    from number_directory.routing.routing_map import Resolution, RoutingMap


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Turn the errors of the rooms below into one line that says what to do."""
    try:
        yield
    except DirectoryRefused as error:
        raise Failure(_with_advice(error)) from error
    except (AcmeClientError, StirError) as error:
        raise Failure(explain(error)) from error
    except RecordMemoryError as error:
        msg = f"{error}, or do without: --no-memory"
        raise Failure(msg) from error
    except (DirectoryError, RoutingFailed, Unreachable) as error:
        raise Failure(str(error)) from error


def _with_advice(error: DirectoryRefused) -> str:
    if error.retry_after is not None:
        return f"{error}; try again in {error.retry_after} seconds"
    return f"{error}; try again later" if error.is_busy else str(error)


# Where a number is


@dataclass(frozen=True, slots=True)
class Asked:
    """How directories are found and reached: what the options of a command say."""

    directories: tuple[str, ...] = ()
    map_folder: Path | None = None
    map_server: str | None = None
    ca_bundle: Path | None = None

    def connect(self, place: Place, via: str | None = None) -> DirectoryClient:
        """Return the client of a directory."""
        return DirectoryClient(place.url, HttpTransport(self.ca_bundle, via), sha256_hex=place.sha256_hex)

    def places(self) -> tuple[Place, ...]:
        """Return the directories that were named; raise Failure for what is no URL of one."""
        return tuple(map(place_at, self.directories))

    def routing(self) -> Routing:
        """Return who tells where a number is: the directory that was named, the map, or a map server."""
        if len(self.directories) == 1:
            return OnePlace(place_at(self.directories[0]))
        if self.map_server is not None:
            return MapServerRouting(self.map_server, self.ca_bundle)
        return MapRouting(self.map_folder)

    def client(self, number: TelephoneNumber) -> DirectoryClient:
        """Return the client of the directory of an owner's number."""
        place = self.routing().place_of(number)
        if place is None:
            msg = "no directory is known for the number: name one with --directory URL"
            raise Failure(msg)
        return self.connect(place)


def place_at(text: str) -> Place:
    """Return the directory at a URL, which may have a slash at its end, and `#sha256=` with its description's hash."""
    url, marked, pin = text.partition(_PINNED)
    url = url.rstrip("/")
    if not is_base_url(url):
        msg = f"{url} is no directory's URL: write it as https://rs.example, or with {_PINNED}… of its directory.json"
        raise Failure(msg)
    return Place(url, fingerprint(pin) if marked else None)


_PINNED = "#sha256="
_STALE = "Warning: the map is {} days old, and numbers may have moved since: run answerback directory map update"
_STALE_THERE = "Warning: the map at {} is {} days old, and numbers may have moved since: ask another server"


class MapRouting:
    """The map of directories on this machine."""

    def __init__(self, folder: Path | None) -> None:
        """Open the map when it is first asked; say then that it is stale, if it is."""
        self._folder = folder
        self._map: RoutingMap | None = None

    def place_of(self, number: TelephoneNumber) -> Place:
        """Return the directory of a number."""
        from number_directory.routing.errors import RoutingError
        from number_directory.routing.replica import default_folder
        from number_directory.routing.routing_map import RoutingMap

        try:
            if self._map is None:
                self._map = RoutingMap.open(self._folder or default_folder())
                if self._map.freshness.is_stale:
                    click.echo(_STALE.format(self._map.freshness.age.days), err=True)
            return _place(self._map.resolve(number))
        except RoutingError as error:
            msg = f"{error}; or name a directory with --directory URL"
            raise RoutingFailed(msg) from error


class MapServerRouting:
    """A server that answers from the map, and is not shown the last digits."""

    def __init__(self, url: str, ca_bundle: Path | None = None) -> None:
        """Ask nobody yet; say once that the server's map is stale, if it is."""
        self._url = url
        self._transport = HttpTransport(ca_bundle)
        self._has_warned = False

    def place_of(self, number: TelephoneNumber) -> Place:
        """Return the directory of a number."""
        from number_directory.routing.asking import MapServer
        from number_directory.routing.errors import RoutingError

        try:
            resolution = MapServer(self._url, self._transport).resolve_hidden(number)
        except RoutingError as error:
            raise RoutingFailed(str(error)) from error
        if resolution.is_stale and not self._has_warned:
            self._has_warned = True
            click.echo(_STALE_THERE.format(self._url, resolution.age.days), err=True)
        return _place(resolution)


def _place(resolution: Resolution) -> Place:
    return Place(resolution.service.url.rstrip("/"), resolution.service.description)


# Who signs


def signer_of(text: str, ca: str | None = None) -> Signer:
    """Return a number that is enrolled here, with the certificate that lasts longest and all others of its key."""
    now = datetime.now(UTC)
    with failing():
        found = chosen(Store.open().certificates(), TelephoneNumber.parse(text).e164, ca)
        usable = [held for held in found if held.state(now) in {State.GOOD, State.DUE} and held.not_before <= now]
        if not usable:
            msg = f"no certificate for {text} is valid now: run answerback renew, or enrol the number again"
            raise Failure(msg)
        first, *others = sorted(usable, key=lambda held: held.not_after, reverse=True)
        key, chain = first.key(), first.chain()
        more = tuple(one for one in (held.chain() for held in others) if one[0].public_key() == key.public_key())
        return Signer(first.number, key, chain, more)


def owner_at(client: DirectoryClient, signer: Signer) -> Owner:
    """Return the owner of a number at a directory, who knows all keys that the number had here, and which it lost."""
    store = Store.open()
    own = store.own_keys(signer.number)
    lost = store.revoked_keys(signer.number) - {key_hash(signer.key.public_key())}
    return Owner(
        client,
        signer,
        is_own_key=lambda key: key_hash(key) in own,
        is_lost_key=lambda key: key_hash(key) in lost,
    )


# Whose judgement counts


@dataclass(frozen=True, slots=True)
class StoreJudge:
    """The user's trust store, as a resolver asks it."""

    store: TrustStore

    def judge_record(self, signed: SignedRecord, number: TelephoneNumber, at: datetime) -> Judgement:
        """Return the verdict on a record that was shown for a number."""
        return _judgement(self.store.judge(DirectoryRecord(signed.token, number, signed.app, at)))

    def judge_chains(self, chains: Sequence[Chain], at: datetime) -> Judgement:
        """Return the verdict on the certificates of one number and key."""
        first, *others = chains
        return _judgement(self.store.judge_chain(first, at, purpose=Purpose.RECORD, more_chains=others))


def _judgement(verdict: Verdict) -> Judgement:
    belief = Belief(verdict.outcome.value)
    return Judgement(belief, verdict.rule.value, verdict.reason, verdict.anchor, verdict.source)
