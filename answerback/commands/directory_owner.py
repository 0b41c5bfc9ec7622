"""`answerback directory publish | withdraw | acl | records | move`: for owners of numbers."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from answerback.commands.directory_options import asked_of, ca_option, place_options
from answerback.commands.directory_records import described_record, iso, media_in_words
from answerback.failure import Failure
from answerback.output import emit, json_option

if TYPE_CHECKING:
    from answerback.directory_asking import Asked
    from number_directory.access_list import AccessList, AppAccess, Grant
    from number_directory.client import Signer
    from number_directory.own_listing import OwnAnswer
    from number_directory.owning import Check, Owner, Viewer
    from number_directory.receipt import Acceptance
    from number_directory.record import SignedRecord

_MEDIA = ("audio", "video", "text", "message")
_TOKEN_BYTES = 24
_DAY = 24 * 60 * 60
_FOREIGN = "no key of yours has signed this access list, which opens nothing of yours"

_from = click.option("--from", "number", metavar="NUMBER", required=True, help="Your number, which is certified.")
_app = click.option("--app", required=True, help="The app, by a domain name such as chat.example.")
_directory = click.option(
    "--directory", "url", metavar="URL", help="The directory that has your number.  [default: the map tells]"
)


@click.command()
@_from
@_directory
@_app
@click.option(
    "--uri",
    "uris",
    multiple=True,
    required=True,
    help="Where you are reached; the first is preferred. May be repeated.",
)
@click.option(
    "--medium", "media", multiple=True, type=click.Choice(_MEDIA), help="What you take there. May be repeated."
)
@click.option(
    "--section", type=click.Path(path_type=Path, dir_okay=False), help="A file for the app's own use, ≤ 1 KiB."
)
@click.option(
    "--for-days",
    metavar="DAYS",
    type=click.IntRange(1),
    help="How long it holds.  [default: as long as the certificate]",
)
@ca_option
@place_options
@json_option
def publish(
    number: str,
    url: str | None,
    app: str,
    uris: tuple[str, ...],
    media: tuple[str, ...],
    section: Path | None,
    for_days: int | None,
    ca: str | None,
    as_json: bool,
    **place: Any,  # noqa: ANN401  # click passes the options of `place_options`
) -> None:
    """Publish where your number is reached on an app, or replace what was published.

    Nobody sees it before you say who: answerback directory acl.
    """
    from answerback.directory_asking import failing
    from answerback.judging import read_file
    from number_directory.owning import NewRecord
    from number_directory.record import Medium

    content = None if section is None else read_file(section)
    ends = None if for_days is None else int(datetime.now(UTC).timestamp()) + for_days * _DAY
    with failing():
        owner = _owner(number, url, ca, place)
        new = NewRecord(app, uris, frozenset(map(Medium, media)), content, ends)
        record, acceptance = owner.publish(new)
        proved = _proved(owner, record, acceptance)
    _tell_published(owner, record, proved, f"{app} is published", as_json)


@click.command()
@_from
@_directory
@_app
@ca_option
@place_options
@json_option
def withdraw(
    number: str,
    url: str | None,
    app: str,
    ca: str | None,
    as_json: bool,
    **place: Any,  # noqa: ANN401  # as above
) -> None:
    """Say that your number is not on an app any more."""
    from answerback.directory_asking import failing

    with failing():
        owner = _owner(number, url, ca, place)
        record, acceptance = owner.withdraw(app)
        proved = _proved(owner, record, acceptance)
    _tell_published(owner, record, proved, f"{app} is withdrawn", as_json)


@click.command()
@_from
@_directory
@click.option("--app", help="The app that it is about.  [default: all that have no list of their own]")
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="WHO",
    help="A number, a prefix such as +1202*, token:TOKEN, or anyone. May be repeated.",
)
@click.option(
    "--media-for",
    "media_for",
    multiple=True,
    metavar="WHO",
    help="Show the media to these alone, or nobody. May be repeated.",
)
@click.option("--nobody", is_flag=True, help="Show it to nobody.")
@click.option("--new-token", is_flag=True, help="Make a token; whoever has it may see the record.")
@click.option("--from-scratch", is_flag=True, help="Forget what was allowed before, for all apps.")
@ca_option
@place_options
@json_option
def acl(
    number: str,
    url: str | None,
    app: str | None,
    allowed: tuple[str, ...],
    media_for: tuple[str, ...],
    nobody: bool,
    new_token: bool,
    from_scratch: bool,
    ca: str | None,
    as_json: bool,
    **place: Any,  # noqa: ANN401  # as above
) -> None:
    """Show who may see your records, or say who may see one.

    What you give takes the place of what was allowed for that app, or for all apps without a list of their own.
    """
    from answerback.directory_asking import failing

    token = secrets.token_urlsafe(_TOKEN_BYTES) if new_token else None
    everybody = (*allowed, *((f"token:{token}",) if token is not None else ()))
    if nobody and (everybody or media_for):
        msg = "give --nobody, or say whom you allow, not both"
        raise Failure(msg)
    with failing():
        owner = _owner(number, url, ca, place)
        if everybody or nobody or from_scratch:
            access = _access(everybody, media_for)
            signed, _ = owner.grant(lambda old: _changed(old, app, access), from_scratch=from_scratch)
            list_ = signed.access_list
        elif media_for:
            msg = "say also who may see the record: --allow WHO"
            raise Failure(msg)
        else:
            list_ = owner.access_list()
    data = _described_list(list_) | {"directory": owner.client.url} | ({} if token is None else {"token": token})

    def tell() -> None:
        for line in _list_in_words(list_):
            click.echo(line)
        if token is not None:
            click.echo(f"token: {token}")
            click.echo("The directory knows its hash alone: keep it now, and hand it to whom you allow.")

    emit(as_json, data, tell)


@click.command()
@_from
@_directory
@click.option("--verify", is_flag=True, help="Check what it keeps, its record log, and what it shows to others.")
@click.option(
    "--as",
    "askers",
    multiple=True,
    metavar="NUMBER",
    help="Look yourself up as this number of yours, too. May be repeated.",
)
@click.option("--via", metavar="PROXY|ADDRESS", help="Look yourself up by a proxy, or from an address of this machine.")
@ca_option
@place_options
@json_option
def records(
    number: str,
    url: str | None,
    verify: bool,
    askers: tuple[str, ...],
    via: str | None,
    ca: str | None,
    as_json: bool,
    **place: Any,  # noqa: ANN401  # as above
) -> None:
    """Show what a directory keeps of your number: records, who may see them, and what you should know.

    With --verify, what it keeps is held to your keys and to its record log, and what it shows to anyone (and --as
    another number of yours, and --via another address) to what you allow.
    """
    from answerback.directory_asking import failing

    if (askers or via) and not verify:
        msg = "--as and --via say how to check: add --verify"
        raise Failure(msg)
    with failing():
        owner = _owner(number, url, ca, place)
        if verify:
            kept, checks = owner.examine(list(_viewers(owner, askers, via, asked_of(url, place))))
        else:
            kept, checks = owner.listing(), ()
    is_own_list = kept.access_list is None or owner.is_own(kept.access_list)
    data = _described_own(kept, checks) | {"directory": owner.client.url, "access_list_is_yours": is_own_list}
    emit(as_json, data, lambda: _tell_own(kept, checks, is_own_list=is_own_list))
    if not all(check.is_good for check in checks):
        msg = "the directory does not keep or show what you published: see what is marked FAIL"
        raise Failure(msg)


@click.command()
@_from
@_directory
@click.option("--to", "destination", metavar="URL", required=True, help="The directory that is to have your number.")
@ca_option
@place_options
@json_option
def move(
    number: str,
    url: str | None,
    destination: str,
    ca: str | None,
    as_json: bool,
    **place: Any,  # noqa: ANN401  # as above
) -> None:
    """Move your number to another directory, with its records and who may see them.

    The old directory sends callers on for a while; the map learns of the move from the directories.
    """
    from answerback.directory_asking import failing, place_at

    with failing():
        owner = _owner(number, url, ca, place)
        signed, apps = owner.move_to(asked_of(url, place).connect(place_at(destination)))
    data = {"from": signed.move.origin, "to": signed.move.destination, "apps": list(apps)}
    emit(
        as_json, data, lambda: click.echo(f"moved to {signed.move.destination}, with {', '.join(apps) or 'no records'}")
    )


# What the commands have in common


def _owner(number: str, url: str | None, ca: str | None, place: Mapping[str, Any]) -> Owner:
    from answerback.directory_asking import owner_at, signer_of

    signer = signer_of(number, ca)
    return replace(owner_at(asked_of(url, place).client(signer.number), signer), tell=_note)


def _note(words: str) -> None:
    click.echo(f"{click.style('note', fg='yellow')}  {words}", err=True)


def _proved(owner: Owner, record: SignedRecord, acceptance: Acceptance) -> int | None:
    """Return the size of the record log that has the record, by a receipt that was checked; None without one yet."""
    if acceptance.receipt is None:
        return None
    return acceptance.receipt.verify(record, owner.client.description()).size


def _viewers(owner: Owner, askers: Iterable[str], via: str | None, asked: Asked) -> Iterator[Viewer]:
    """Yield as whom an owner looks itself up: as anyone, as its other numbers, and all of them also by another way."""
    from answerback.directory_asking import signer_of
    from number_directory.owning import Viewer
    from number_directory.resolver import Place

    people: list[tuple[str, Signer | None]] = [("anyone", None)]
    people += [(f"your {asker}", signer_of(asker)) for asker in askers]
    for name, signer in people:
        yield Viewer(name, owner.client, signer)
    if owner.client.description().hidden_key is not None:
        yield Viewer("anyone, by a hidden lookup", owner.client, hidden=True)
    if via is not None:
        elsewhere = asked.connect(Place(owner.client.url), via)
        for name, signer in people:
            yield Viewer(f"{name}, via {via}", elsewhere, signer)


def _tell_published(owner: Owner, record: SignedRecord, proved: int | None, words: str, as_json: bool) -> None:
    ends = datetime.fromtimestamp(record.record.expires_at, UTC)
    data = {
        "directory": owner.client.url,
        "app": record.app,
        "sequence": record.sequence,
        "expires": ends.isoformat(),
        "record_log_size": proved,
    }

    def tell() -> None:
        click.echo(f"{words} at {owner.client.url}, until {ends:%Y-%m-%d %H:%M} UTC")
        if proved is None:
            click.echo("its receipt is not there yet: see answerback directory records --verify in a minute")
        else:
            click.echo(f"its receipt is right: entry of a record log of {proved}")

    emit(as_json, data, tell)


# Access lists


def _access(allowed: Sequence[str], media_for: Sequence[str]) -> AppAccess:
    from number_directory.access_list import AppAccess

    if list(media_for) == ["nobody"]:
        media: frozenset[Grant] | None = frozenset()
    else:
        media = frozenset(map(_grant, media_for)) if media_for else None
    return AppAccess(frozenset(map(_grant, allowed)), media)


def _grant(who: str) -> Grant:
    from number_directory.access_list import ANYONE, Grant
    from stir.telephone_number import NumberPrefix, TelephoneNumber

    if who == "anyone":
        return ANYONE
    if who.startswith("token:"):
        return Grant.to_token(who.removeprefix("token:"))
    if who.endswith("*"):
        return Grant.to_prefix(NumberPrefix.parse(who[:-1]))
    return Grant.to_number(TelephoneNumber.parse(who))


def _changed(list_: AccessList, app: str | None, access: AppAccess) -> AccessList:
    if app is None:
        return replace(list_, default=access)
    return replace(list_, apps={**list_.apps, app: access})


def _described_list(list_: AccessList) -> dict[str, object]:
    return {
        "default": _described_access(list_.default),
        "apps": {app: _described_access(access) for app, access in sorted(list_.apps.items())},
    }


def _described_access(access: AppAccess) -> dict[str, object]:
    media = None if access.media is None else sorted(map(_grant_in_words, access.media))
    return {"allow": sorted(map(_grant_in_words, access.allow)), "media": media}


def _grant_in_words(grant: Grant) -> str:
    from number_directory.access_list import GrantKind

    match grant.kind:
        case GrantKind.ANYONE:
            return "anyone"
        case GrantKind.PREFIX:
            return f"{grant.value}*"
        case GrantKind.TOKEN:
            return f"the token with the SHA-256 {grant.value}"
        case _:
            return grant.value


def _list_in_words(list_: AccessList) -> Iterator[str]:
    for app, access in (*sorted(list_.apps.items()), ("all others" if list_.apps else "all apps", list_.default)):
        who = ", ".join(sorted(map(_grant_in_words, access.allow))) or "nobody"
        media = "" if access.media is None else f"; media: {', '.join(map(_grant_in_words, access.media)) or 'nobody'}"
        yield f"{app}: {who}{media}"


# What a directory keeps


def _described_own(kept: OwnAnswer, checks: Sequence[Check]) -> dict[str, object]:
    return {
        "records": [
            described_record(own.record) | {"withdrawn": own.record.record.is_withdrawn, "receipt": bool(own.receipt)}
            for own in kept.records
        ],
        "access_list": None if kept.access_list is None else _described_list(kept.access_list.access_list),
        "moved_to": None if kept.move is None else kept.move.move.destination,
        "notices": [{"at": iso(one.at), "app": one.app, "text": one.text} for one in kept.notices],
        "checks": [{"what": one.what, "good": one.is_good, "told": one.told} for one in checks],
    }


def _tell_own(kept: OwnAnswer, checks: Sequence[Check], *, is_own_list: bool) -> None:
    for own in kept.records:
        stated = own.record.record
        what = "withdrawn" if stated.is_withdrawn else f"{media_in_words(own.record)}  {', '.join(stated.uris)}"
        click.echo(f"{stated.app}  {what}  until {iso(stated.expires_at)}")
    if not kept.records:
        click.echo("it keeps no records of your number")
    if kept.access_list is not None:
        click.echo("may be seen by" if is_own_list else _FOREIGN)
        for line in _list_in_words(kept.access_list.access_list):
            click.echo(f"  {line}")
    if kept.move is not None:
        click.echo(f"moved to {kept.move.move.destination}")
    for notice in kept.notices:
        click.echo(f"{click.style('note', fg='yellow')}  {iso(notice.at)}  {notice.app or ''}  {notice.text}")
    for check in checks:
        mark = click.style("ok  ", fg="green") if check.is_good else click.style("FAIL", fg="red")
        click.echo(f"{mark}  {check.what}: {check.told}")
