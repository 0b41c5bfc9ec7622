"""`answerback trust subscribe`, `update`, `diff` and `unsubscribe`: follow curated lists, and keep the last word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.judging import failing, read_file
from answerback.list_following import described_update, update_in_words
from answerback.output import emit, json_option
from answerback.pinning import fingerprint
from trust_store.home import TrustHome

if TYPE_CHECKING:
    from trust_store.entries import SubscriptionEntry
    from trust_store.subscriptions.updating import Update

EVERYTHING = "all"

_accept_option = click.option(
    "--accept",
    "accepted",
    multiple=True,
    metavar="NAME|all",
    help="Agree to what goes by this name, or to all, and ask nothing. May be repeated.",
)


@click.command()
@click.argument("url")
@click.option(
    "--pin", required=True, metavar="SHA256|FILE", help="The list's root.json, or its SHA-256, known from elsewhere."
)
@click.option("--name", help="What to call the list here. [what its curators call it]")
@click.option("--auto-accept", is_flag=True, help="Agree beforehand to whatever the list adds or widens.")
@click.option(
    "--grace-days",
    metavar="DAYS",
    type=click.IntRange(0, 366),
    default=14,
    show_default=True,
    help="How long its anchors count when it is out of date.",
)
@_accept_option
@json_option
def subscribe(
    url: str, pin: str, name: str | None, auto_accept: bool, grace_days: int, accepted: tuple[str, ...], as_json: bool
) -> None:
    """Follow a curated list of authorities.

    It stands at URL. You are shown what is in it, and believe the authorities that you agree to, for as long as the
    list names them.
    """
    import hashlib

    from transparency.transport import HttpTransport
    from trust_store.entries import SubscriptionEntry
    from trust_store.subscriptions import updating

    home, transport = TrustHome.of_user(), HttpTransport()
    with failing():
        is_file = Path(pin).is_file()
        root = read_file(Path(pin)) if is_file else updating.fetch_root(url, fingerprint(pin), transport)
        entry = SubscriptionEntry(
            name=name or "list",
            url=url.rstrip("/"),
            root=hashlib.sha256(root).hexdigest(),
            auto_accept=auto_accept,
            grace_days=grace_days,
        )
        _require_readable(entry)
        done = updating.subscribe(home, entry, root, transport, datetime.now(UTC), by_its_own_name=name is None)
    _settle(home, [done], accepted, as_json=as_json)


@click.command()
@click.argument("name", required=False)
@click.option("--check", is_flag=True, help="Only say what there is; change nothing.")
@_accept_option
@json_option
def update(name: str | None, check: bool, accepted: tuple[str, ...], as_json: bool) -> None:
    """Fetch the newest version of the lists that you follow.

    With NAME, of that one. What revokes, drops, limits or denies counts at once. What adds or widens waits until you
    agree to it.
    """
    from transparency.transport import HttpTransport
    from trust_store.errors import ListError
    from trust_store.subscriptions import updating

    home, transport = TrustHome.of_user(), HttpTransport()
    done: list[Update] = []
    failed: list[str] = []
    for entry in _followed(home, name):
        try:
            done.append(updating.update(home, entry, transport, datetime.now(UTC), check=check))
        except ListError as error:  # the other lists are to be fetched all the same
            failed.append(str(error))
    _settle(home, done, accepted, failed, as_json=as_json, is_settled=check)


@click.command()
@click.argument("name", required=False)
@_accept_option
@json_option
def diff(name: str | None, accepted: tuple[str, ...], as_json: bool) -> None:
    """Show what of your lists waits for you to agree.

    Nobody is asked for a newer version: `update` does that.
    """
    from trust_store.subscriptions import updating

    home = TrustHome.of_user()
    with failing():
        done = [updating.at_hand(home, entry, datetime.now(UTC)) for entry in _followed(home, name)]
    _settle(home, done, accepted, as_json=as_json, is_settled=not accepted)


@click.command()
@click.argument("name")
@json_option
def unsubscribe(name: str, as_json: bool) -> None:
    """Follow a list no more: its authorities are not believed."""
    from trust_store.subscriptions import updating

    home = TrustHome.of_user()
    with failing():
        updating.unsubscribe(home, name)
    said = f"{name} is followed no more; its anchors are not believed."
    emit(as_json, {"unsubscribed": name, "file": str(home.trust_file)}, lambda: click.echo(said))


def _require_readable(entry: SubscriptionEntry) -> None:
    """Refuse a name or URL that `trust.toml` could not hold."""
    import msgspec

    from trust_store.entries import SubscriptionEntry

    try:
        msgspec.convert(msgspec.structs.asdict(entry), SubscriptionEntry)
    except msgspec.ValidationError as error:
        msg = f"this cannot be subscribed to: {error}; a name is like street-list, a URL like https://council.example/list"
        raise Failure(msg) from error


def _followed(home: TrustHome, name: str | None) -> list[SubscriptionEntry]:
    from trust_store import trust_file

    with failing():
        followed = [entry for entry, _ in trust_file.read(home.trust_file).subscriptions]
    found = [entry for entry in followed if name in {None, entry.name}]
    if not found:
        which = "no list" if name is None else f"no list {name!r}"
        msg = f"you follow {which}: answerback trust subscribe URL --pin SHA256 begins"
        raise Failure(msg)
    return found


def _settle(
    home: TrustHome,
    done: list[Update],
    accepted: tuple[str, ...],
    failed: list[str] | None = None,
    *,
    as_json: bool,
    is_settled: bool = False,
) -> None:
    """Show what lists came to, have the user agree to what waits, and fail where a list did."""
    if not as_json:
        for one in done:
            for line in update_in_words(one):
                click.echo(line)
    agreed = [] if is_settled else list(_agreed(home, done, accepted, as_json=as_json))
    data = {"lists": [described_update(one) for one in done], "agreed": agreed, "failed": failed or []}
    emit(as_json, data, lambda: _say_agreed(agreed))
    if failed and as_json:
        click.get_current_context().exit(1)
    if failed:
        raise Failure("; ".join(failed))


def _agreed(home: TrustHome, done: list[Update], accepted: tuple[str, ...], *, as_json: bool) -> Iterator[str]:
    """Yield the names of what the user agrees to; names that are given are asked about no more."""
    from trust_store.subscriptions import updating

    waiting = {change.name for one in done for change in one.waiting}
    unknown = set(accepted) - waiting - {EVERYTHING}
    if unknown:
        msg = f"nothing of the name {', '.join(sorted(unknown))} waits for you"
        raise Failure(msg)
    for one in done:
        names = {change.name for change in one.waiting}
        if not names or not (accepted or _says_yes(len(one.waiting), as_json=as_json)):
            continue
        chosen = None if not accepted or EVERYTHING in accepted else names & set(accepted)
        with failing():
            updating.accept(home, one, chosen)
        yield from sorted(names if chosen is None else chosen)


def _says_yes(count: int, *, as_json: bool) -> bool:
    if as_json:
        return False
    try:
        return click.confirm(f"Agree to {'it' if count == 1 else f'all {count}'} (marked ?)", err=True)
    except click.Abort:
        click.echo(err=True)
        return False


def _say_agreed(agreed: list[str]) -> None:
    if agreed:
        click.echo(f"agreed: {', '.join(agreed)}")
