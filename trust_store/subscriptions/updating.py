"""Follow a list: fetch its newest version from a mirror that nobody needs to trust, and keep what the user agrees to.

What is refused is refused as a whole: the version that was believed before, and what the user agreed to, stay as they
are until they are out of date.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from transparency.releases.errors import ReleaseError, RollbackRefused
from transparency.releases.mirror import Release, TrustedMirror
from transparency.transport import Question, Transport, Unreachable
from trust_store import editing
from trust_store.entries import SubscriptionEntry
from trust_store.errors import ListError
from trust_store.home import TrustHome
from trust_store.subscriptions.consent import Agreed, Change, agree, agree_by_itself, reckon
from trust_store.subscriptions.list_file import LARGEST_LIST, LIST_NAME, VERSION, CuratedList
from trust_store.subscriptions.state import FORMAT, ListFolder, ListState, Newest

MOST_ROOTS: Final = 256
"""So many of a publisher's roots are looked through for one that is known by its SHA-256."""

_LARGEST_ROOT = 512 * 1024


@dataclass(frozen=True)
class Update:
    """What an update came to: the version that is the newest now, the one before, and what is other in it.

    `changes` are held against what the user had agreed to before; those that wait for the user say so.
    """

    entry: SubscriptionEntry
    version: int
    before: int | None
    newest: CuratedList
    changes: tuple[Change, ...]

    @property
    def waiting(self) -> tuple[Change, ...]:
        """The changes that wait for the user."""
        return tuple(change for change in self.changes if change.waits)


def fetch_root(url: str, sha256: str, transport: Transport) -> bytes:
    """Fetch the root metadata of a list by its SHA-256. Raises ListError."""
    for version in range(1, MOST_ROOTS):
        place = f"{url.rstrip('/')}/metadata/{version}.root.json"
        try:
            answer = transport.ask(Question(place, largest=_LARGEST_ROOT))
        except Unreachable as error:
            raise ListError(str(error)) from error
        if not answer.is_ok:
            break
        if hashlib.sha256(answer.body).hexdigest() == sha256:
            return answer.body
    msg = f"no root with this SHA-256 stands at {url}: do not believe it; ask the curators for theirs in another way"
    raise ListError(msg)


def subscribe(
    home: TrustHome,
    entry: SubscriptionEntry,
    root: bytes,
    transport: Transport,
    now: datetime,
    *,
    by_its_own_name: bool = False,
) -> Update:
    """Follow a list from now on; nobody in it is believed until the user agrees. Raises ListError, and follows nothing.

    With `by_its_own_name` it is called what its curators call it. The user's own `trust.toml` names the list when all
    of it is there.
    """
    if hashlib.sha256(root).hexdigest() != entry.root:
        msg = "the root is not the one that was named by its SHA-256"
        raise ListError(msg)
    editing.require_new_subscription(home, entry)
    draft = ListFolder(home, f".{entry.name}.{secrets.token_hex(8)}")
    try:
        draft.write_root(root)
        done = _fetched(draft, entry, transport, now, keep=True)
        if by_its_own_name:
            done = replace(done, entry=msgspec.structs.replace(entry, name=done.newest.head.name))
            editing.require_new_subscription(home, done.entry)
        folder = ListFolder(home, done.entry.name)
        shutil.rmtree(folder.path, ignore_errors=True)  # of a list that is followed no more
        draft.path.rename(folder.path)
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)
    editing.add_subscription(home, done.entry)
    return done


def unsubscribe(home: TrustHome, name: str) -> None:
    """Follow a list no more: nobody is believed by it. Raises ListError, and TrustFileError where a quorum needs it."""
    editing.remove_subscription(home, name)
    shutil.rmtree(ListFolder(home, name).path, ignore_errors=True)


def update(
    home: TrustHome, entry: SubscriptionEntry, transport: Transport, now: datetime, *, check: bool = False
) -> Update:
    """Fetch the newest version, and let count of it what narrows; all of it where the user agreed beforehand.

    With `check`, it is only told what there is. Raises ListError; the last good version stays in use.
    """
    folder = ListFolder(home, entry.name)
    with folder.changing():
        return _fetched(folder, entry, transport, now, keep=not check)


def accept(home: TrustHome, shown: Update, names: Collection[str] | None = None) -> None:
    """Agree to the version that was shown, or to what goes by these names in it. Raises ListError where it has gone."""
    folder = ListFolder(home, shown.entry.name)
    with folder.changing():
        kept = folder.read(shown.entry.root)
        if kept is None or kept.newest.content != shown.newest.content:
            msg = f"the list {shown.entry.name} has become another one in the meantime: look at it again"
            raise ListError(msg)
        content = kept.newest.content
        agreed = Agreed.to_all_of(content) if names is None else agree(kept.state.agreed, kept.newest, names)
        state = msgspec.structs.replace(kept.state, agreed=agreed)
        folder.write(state, folder.text(kept.state.newest))


def at_hand(home: TrustHome, entry: SubscriptionEntry, now: datetime) -> Update:
    """Return what the newest version at hand has that the user did not agree to; ask nobody. Raises ListError."""
    kept = ListFolder(home, entry.name).read(entry.root)
    if kept is None:
        msg = f"the list {entry.name} was never fetched: run `answerback trust update`"
        raise ListError(msg)
    version = kept.state.newest.version
    return Update(entry, version, version, kept.newest, reckon(kept.state.agreed, kept.newest, now).changes)


def _fetched(
    folder: ListFolder, entry: SubscriptionEntry, transport: Transport, now: datetime, *, keep: bool
) -> Update:
    state, root = folder.state(entry.root), folder.root(entry.root)
    with _explained(entry, state):
        mirror = TrustedMirror(folder.metadata, entry.url, root, transport, largest=LARGEST_LIST)
        release = mirror.refresh()
        _require_no_rollback(release, state)
        newest = _newest(release)
        data = _text_at_hand(folder, state, newest) or mirror.file(LIST_NAME)
        read = folder.parse(data, newest.version)
    before = Agreed() if state is None else state.agreed
    agreed = agree_by_itself(before, read, now) if entry.auto_accept else reckon(before, read, now).agreed
    if keep:
        folder.write(ListState(FORMAT, entry.root, newest, agreed), data)
    waiting = set(reckon(agreed, read, now).waiting)
    changes = tuple(replace(change, waits=change in waiting) for change in reckon(before, read, now).changes)
    return Update(entry, newest.version, None if state is None else state.newest.version, read, changes)


def _text_at_hand(folder: ListFolder, state: ListState | None, newest: Newest) -> bytes | None:
    """Return the bytes of the newest version where they are here; what was damaged here is fetched again."""
    if state is None or state.newest.sha256 != newest.sha256:
        return None
    with contextlib.suppress(ListError):
        return folder.text(state.newest)
    return None


def _require_no_rollback(release: Release, state: ListState | None) -> None:
    """Refuse what is older than what is kept, though what the mirror was last believed about were lost.

    With another root the count may begin anew: that is how signers undo what a stolen key counted up.
    """
    if state is not None and release.root == state.newest.root and release.number < state.newest.number:
        msg = (
            f"the mirror hands out something older than was seen before ({release.number} after {state.newest.number})"
        )
        raise RollbackRefused(msg)


def _newest(release: Release) -> Newest:
    """Return which version of the list a release has; raise ListError where it has none."""
    file = release.files.get(LIST_NAME)
    version = None if file is None else file.custom.get(VERSION)
    if file is None or not file.sha256 or not isinstance(version, int) or version < 1 or release.as_of is None:
        msg = "what is signed there is no curated list: ask the curators for the right root and address"
        raise ListError(msg)
    expires = min(release.expires, release.signed_until)
    return Newest(version, file.sha256, release.number, release.root, release.as_of, expires)


@contextlib.contextmanager
def _explained(entry: SubscriptionEntry, state: ListState | None) -> Iterator[None]:
    """Say of which list something is refused, and what of it stays in use."""
    try:
        yield
    except (ListError, ReleaseError) as error:
        kept = "nothing of it is believed"
        if state is not None:
            since = datetime.fromtimestamp(state.newest.as_of, UTC)
            kept = f"here that is version {state.newest.version}, as of {since:%Y-%m-%d %H:%M} UTC"
        msg = f"the list {entry.name}: {error}; {kept}"
        raise ListError(msg) from error
