"""What an operator looks at before serving: whether everything that the directory needs is there and fits together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from number_directory.description import DirectoryDescription
from number_directory.errors import DescriptionError
from number_directory.server.app import open_hidden, open_signer, open_storage, system_clock
from number_directory.server.config import DirectoryConfig
from number_directory.server.errors import ConfigurationError, ServingError
from number_directory.server.initialise import DESCRIPTION_NAME
from number_directory.server.number_events import JsonLinesFeed
from number_directory.server.revocation import missed
from number_directory.server.upkeep import sequencer_of
from number_directory.server.web.operations import metrics_door
from trust_store import TrustHome, TrustStore
from trust_store.revocation_lists import RevocationLists


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it will do, and what to say of it."""

    name: str
    is_ok: bool
    detail: str


def examine(config: DirectoryConfig) -> list[Finding]:
    """Look at everything, and return what was found; nothing is changed but the database brought to this version."""
    looks: list[tuple[str, Callable[[DirectoryConfig], str]]] = [
        ("key", _key),
        ("hidden numbers", _hidden),
        ("admission", _admission),
        ("database", _database),
        ("record log", _record_log),
        ("revocation lists", _revocation_lists),
        ("metrics", _metrics),
        ("number events", _number_events),
    ]
    return [_finding(name, look, config) for name, look in looks]


def _finding(name: str, look: Callable[[DirectoryConfig], str], config: DirectoryConfig) -> Finding:
    try:
        return Finding(name, is_ok=True, detail=look(config))
    except ServingError as error:
        return Finding(name, is_ok=False, detail=str(error))


def _key(config: DirectoryConfig) -> str:
    return f"opens, and signs for {open_signer(config).name}"


def _hidden(config: DirectoryConfig) -> str:
    hidden = open_hidden(config)
    if hidden is None:
        return "are not offered"
    file = config.folder / DESCRIPTION_NAME
    try:
        told = DirectoryDescription.from_json(file.read_bytes()).hidden_key
    except FileNotFoundError:
        return f"are evaluated; there is no {file} to compare the key with"
    except (OSError, DescriptionError) as error:
        msg = f"{file} cannot be read: {error}"
        raise ConfigurationError(msg) from error
    if told != hidden.public_key:
        msg = f"{file} names another key for hidden numbers than the one in use: hand out the newest /directory.json"
        raise ConfigurationError(msg)
    return "are evaluated with the key that directory.json names"


def _admission(config: DirectoryConfig) -> str:
    names = [anchor.terms.name for anchor in TrustStore.load(config.admission).anchors]
    return f"admits {', '.join(names)}" if names else "admits nobody yet: add authorities, else nothing is taken"


def _database(config: DirectoryConfig) -> str:
    storage = open_storage(config)
    try:
        storage.ping()
    finally:
        storage.close()
    return "answers, and has the tables of this version"


def _record_log(config: DirectoryConfig) -> str:
    storage = open_storage(config)
    try:
        size = sequencer_of(config, storage, open_signer(config)).examine()
    finally:
        storage.close()
    return f"has {size} entries, and its tiles lead to its root"


def _revocation_lists(config: DirectoryConfig) -> str:
    storage, now = open_storage(config), system_clock()
    try:
        authorities = storage.authorities.all()
    finally:
        storage.close()
    lists = RevocationLists(TrustHome.beside(config.admission).revocation_lists)
    places = {url: one.chain[0] for one in authorities for url in one.crl_urls}
    found = {url: missed(lists.newest(url, issuer, now), now) for url, issuer in places.items()}
    reasons = [f"{url}: {why}" for url, why in found.items() if why is not None]
    if reasons:
        more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        msg = f"{reasons[0]}{more}; what was revoked stays until the worker has it, so see whether it runs"
        raise ConfigurationError(msg)
    return f"{len(places)} are at hand and up to date"


def _metrics(config: DirectoryConfig) -> str:
    metrics_door(config.metrics.access, config.metrics.token_file)
    return f"shown to: {config.metrics.access}"


def _number_events(config: DirectoryConfig) -> str:
    count = sum(len(JsonLinesFeed(one.name, one.file).after("")[0]) for one in config.number_events)
    return f"{len(config.number_events)} feeds, {count} events in their beginnings"
