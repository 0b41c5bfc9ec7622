"""A whole trust store in one file: to another device, or to other software that knows certificates alone.

An export holds `trust.toml` as it stands, with every certificate, description, feed and curated list that it names, so
that no constraint is lost; the lists are followed on from where it stands next. PEM holds certificates alone: whoever
reads it believes the authorities without limits, so it is made only by those who say that they know.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from policies.terms import Settings
from stir.certificate_chain import write_pem_chain
from trust_store import loading, trust_file
from trust_store.editing import written_constraints
from trust_store.entries import Name, TrustFileContent
from trust_store.errors import MovingError
from trust_store.feeds import LARGEST_FEED
from trust_store.files import locked, write_file
from trust_store.home import TrustHome
from trust_store.loading import StoreParts
from trust_store.store import TrustStore
from trust_store.subscriptions.state import ListFolder, ListState, encoded

FORMAT = "answerback-trust-1"
LARGEST_EXPORT = 2 * LARGEST_FEED
"""In bytes."""

_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,100}$")]


class _ListExport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A curated list as it was at hand: its root, its newest version, and what the user agreed to."""

    root: str
    text: str
    state: ListState


class _Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    format: str
    trust_toml: str
    anchors: dict[_Sha256, str]
    logs: dict[_Sha256, str]
    feeds: dict[_FileName, str]
    lists: dict[Name, _ListExport] = {}


def exported(home: TrustHome) -> bytes:
    """Return the user's store as one JSON file. Raises TrustStoreError."""
    text = trust_file.read_text(home.trust_file) or ""
    content = trust_file.parse_content(text, home.trust_file)
    loading.load(home)
    feeds = {str(entry.file): home.trust_file.parent / entry.file for entry in content.feed}
    for name, path in feeds.items():
        if path.parent != home.trust_file.parent:
            msg = f"the feed {name} does not stand beside {home.trust_file}: put it there first"
            raise MovingError(msg)
    whole = _Export(
        format=FORMAT,
        trust_toml=text,
        anchors={entry.sha256: (home.anchors / f"{entry.sha256}.pem").read_text() for entry in content.anchor},
        logs={entry.sha256: (home.logs / f"{entry.sha256}.json").read_text() for entry in content.log},
        feeds={name: path.read_text() for name, path in feeds.items()},
        lists=dict(_lists(home, content)),
    )
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def import_export(home: TrustHome, data: bytes, *, replace: bool) -> Path | None:
    """Make an export the user's store. Raises MovingError where it is none, or one stands there and is to stay.

    With `replace` the former `trust.toml` is kept beside it; its path is returned.
    """
    whole = _read(data)
    parts_of(data)
    with locked(home.trust_file):
        former = trust_file.read_text(home.trust_file)
        if former is not None and not replace:
            msg = f"{home.trust_file} is there already: with --replace it is kept as {_kept(home).name}"
            raise MovingError(msg)
        if former is not None:
            write_file(_kept(home), former.encode())
        for path, content in _files(home, whole):
            write_file(path, content)
    return None if former is None else _kept(home)


def parts_of(data: bytes) -> StoreParts:
    """Return what an export would make believe, and write nothing that stays. Raises TrustStoreError."""
    whole = _read(data)
    with tempfile.TemporaryDirectory() as folder:
        home = TrustHome.beside(Path(folder) / "trust.toml")
        for path, content in _files(home, whole):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return loading.load(home)


def pem(store: TrustStore, *, lossy: bool) -> bytes:
    """Return the certificates of all anchors in PEM.

    Raises MovingError where the user's word would be lost by that, unless it may be.
    """
    losses = list(lost_in_pem(store))
    if losses and not lossy:
        msg = f"PEM holds certificates alone, and would lose: {'; '.join(losses)}. To lose that, give --lossy"
        raise MovingError(msg)
    return write_pem_chain(anchor.certificate for anchor in store.anchors)


def lost_in_pem(store: TrustStore) -> Iterator[str]:
    """Say what of the user's word certificates alone do not hold."""
    for anchor in store.anchors:
        constraints = [key for key, value in written_constraints(anchor.terms).items() if value is not None]
        if constraints:
            yield f"{', '.join(constraints)} of {anchor.terms.name}"
    for count, what in (
        (len(store.denies), "denies"),
        (len(store.quorums.quorums), "quorums"),
        (len(store.transitions.last), "number transitions"),
        (len(store.logs), "logs"),
    ):
        if count:
            yield f"{count} {what}"
    for one in store.lists:
        yield f"that the list {one.entry.name} may revoke or limit"
    if store.settings != Settings(sources=store.settings.sources):
        yield "your settings"


def _read(data: bytes) -> _Export:
    if len(data) > LARGEST_EXPORT:
        msg = f"an export has at most {LARGEST_EXPORT // 1024 // 1024} MiB"
        raise MovingError(msg)
    try:
        whole = msgspec.json.decode(data, type=_Export)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"this is no export of a trust store: {error}"
        raise MovingError(msg) from error
    if whole.format != FORMAT:
        msg = f"this is an export of the format {whole.format!r}; known here is {FORMAT!r}"
        raise MovingError(msg)
    return whole


def _files(home: TrustHome, whole: _Export) -> Iterator[tuple[Path, bytes]]:
    """Yield the files of an export; `trust.toml` comes last, for it names all others."""
    yield from ((home.anchors / f"{sha256}.pem", text.encode()) for sha256, text in whole.anchors.items())
    yield from ((home.logs / f"{sha256}.json", text.encode()) for sha256, text in whole.logs.items())
    yield from ((home.trust_file.parent / name, text.encode()) for name, text in whole.feeds.items())
    for name, one in whole.lists.items():
        folder = ListFolder(home, name)
        yield folder.root_file, one.root.encode()
        yield folder.text_file(one.state.newest), one.text.encode()
        yield folder.state_file, encoded(one.state)
    yield home.trust_file, whole.trust_toml.encode()


def _lists(home: TrustHome, content: TrustFileContent) -> Iterator[tuple[str, _ListExport]]:
    """Yield the lists that were fetched: with what the user agreed to, so that no constraint is lost."""
    for entry in content.subscription:
        folder = ListFolder(home, entry.name)
        state = folder.state(entry.root)
        if state is not None:
            text = folder.text(state.newest).decode()
            yield entry.name, _ListExport(folder.root(entry.root).decode(), text, state)


def _kept(home: TrustHome) -> Path:
    return home.trust_file.with_name(f"{home.trust_file.name}.before")
