"""`answerback trust list-publish`: make a curated list, have it signed by several people, and hand it out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.constraints import KEYS, as_terms, constraint_options, given, require_some
from answerback.failure import Failure
from answerback.judging import read_chain
from answerback.output import emit, json_option
from answerback.pinning import document, fingerprint, grouped, short_name
from answerback.releasing import (
    Kind,
    described,
    first_threshold_option,
    folder_argument,
    show_refreshed,
    signers_option,
    signing_commands,
    signing_key_options,
    signing_passphrase,
    tell_expiries,
    tell_waiting,
)

if TYPE_CHECKING:
    from answerback.list_curating import ListCurator
    from trust_store.toml_text import Value

_COMMAND = "answerback trust list-publish"
_LARGEST_CERTIFICATE = 256 * 1024


@click.group("list-publish")
def list_publish() -> None:
    """Curate a list of authorities that others follow."""


@list_publish.command()
@folder_argument
@click.option("--name", required=True, help="What the list is called, such as street-list.")
@click.option("--curator", required=True, help="Who answers for it, for people to read.")
@signers_option
@first_threshold_option
@signing_key_options
@json_option
def init(
    folder: Path,
    name: str,
    curator: str,
    signers: tuple[Path, ...],
    threshold: int,
    passphrase_file: Path | None,
    unencrypted_keys: bool,
    as_json: bool,
) -> None:
    """Make an empty list in FOLDER, with a root that says who signs."""
    from answerback.list_curating import ListCurator, NewList
    from serving.settings import Keys
    from transparency.releases.repository import read_public_key

    with _failing():
        passphrase = signing_passphrase(passphrase_file, unencrypted_keys, are_new=True)
        keys = Keys(passphrase_file=passphrase_file, unencrypted=unencrypted_keys)
        people = tuple(map(read_public_key, signers))
        made = ListCurator.create(folder, NewList(name, curator, people, threshold, keys, passphrase))
        waiting = made.pending()
    data = {"folder": str(folder), "waiting": [described(pending) for pending in waiting]}

    def tell() -> None:
        click.echo(f"{name} is made, in {folder}.")
        tell_waiting(waiting, folder, _COMMAND)
        click.echo(f"Next: {_COMMAND} add {folder} CERTIFICATE, for each authority; then {_COMMAND} release {folder}")

    emit(as_json, data, tell)


# What the list says


@list_publish.command()
@folder_argument
@click.argument("source")
@click.option("--sha256", metavar="HEX", help="The certificate's fingerprint; another one there is refused.")
@click.option("--name", help="What to call the authority.  [default: from its certificate]")
@click.option("--operator", help="Who runs it: subscribers' quorums count operators.  [default: from its certificate]")
@constraint_options
@json_option
def add(
    folder: Path,
    source: str,
    sha256: str | None,
    name: str | None,
    operator: str | None,
    as_json: bool,
    **options: object,
) -> None:
    """Name an authority.

    Its certificate stands at SOURCE: a file, or an https URL.
    """
    from stir.certificate import AuthorityCertificate
    from trust_store.anchors import Anchor

    with _failing():
        found = read_chain(document(source, largest=_LARGEST_CERTIFICATE, any_http=sha256 is not None), source)
        if len(found) != 1:
            msg = f"{source} holds {len(found)} certificates: give the one of the authority alone"
            raise Failure(msg)
        read = AuthorityCertificate.read(found[0])
        terms = as_terms(
            given(options), name=name or short_name(read.common_name, "anchor"), operator=operator or read.organization
        )
        anchor = Anchor(terms, found[0])
        if sha256 is not None:
            anchor.require(fingerprint(sha256))
        _curator(folder).add(anchor)
    _tell_changed(folder, f"{terms.name} ({terms.operator}) is in the list: {grouped(anchor.sha256)}", as_json)


@list_publish.command()
@folder_argument
@click.argument("name")
@constraint_options
@click.option("--clear", multiple=True, type=click.Choice(list(KEYS)), help="Take a constraint away. May be repeated.")
@json_option
def constrain(folder: Path, name: str, clear: tuple[str, ...], as_json: bool, **options: object) -> None:
    """Limit how far subscribers believe an authority. Constraints that are not given stay as they are."""
    values: dict[str, Value | None] = {KEYS[one]: None for one in clear}
    values.update({one: value for one, value in given(options).items() if value is not None})
    require_some(values)
    with _failing():
        _curator(folder).constrain(name, values)
    _tell_changed(folder, f"{name} is limited", as_json)


@list_publish.command()
@folder_argument
@click.argument("name")
@json_option
def remove(folder: Path, name: str, as_json: bool) -> None:
    """Name an authority no more. Subscribers who have it of their own keep it; to have nobody believe it, revoke it."""
    with _failing():
        _curator(folder).remove(name)
    _tell_changed(folder, f"{name} is out of the list", as_json)


@list_publish.command()
@folder_argument
@click.argument("name")
@click.option("--note", default="", help="Why; subscribers are shown it.")
@json_option
def revoke(folder: Path, name: str, note: str, as_json: bool) -> None:
    """Have no subscriber believe an authority's key again.

    Wherever they have it from, and without a word of theirs.
    """
    with _failing():
        _curator(folder).revoke(name, note)
    _tell_changed(folder, f"{name} is revoked", as_json)


@list_publish.command()
@folder_argument
@click.argument("source")
@click.option("--name", required=True, help="What to call the log; a log of this name takes its later description.")
@click.option("--operator", help="Who runs it.  [default: from its description]")
@json_option
def log(folder: Path, source: str, name: str, operator: str | None, as_json: bool) -> None:
    """Name a transparency log.

    Its log.json stands at SOURCE: a file, or an https URL.
    """
    from transparency.log_description import LARGEST_DESCRIPTION
    from trust_store.logs import TrustedLog

    with _failing():
        data = document(source, largest=LARGEST_DESCRIPTION, any_http=False)
        made = TrustedLog(name, operator or TrustedLog(name, "", "", data).description.operator, "", data)
        _curator(folder).add_log(made)
    _tell_changed(folder, f"{name} ({made.operator}) is in the list", as_json)


# Having it signed


@list_publish.command()
@folder_argument
@json_option
def release(folder: Path, as_json: bool) -> None:
    """Have the list signed as it is now.

    The keys that are here sign it at once. It is published when enough people have.
    """
    with _failing():
        curator = _curator(folder)
        version = curator.release()
        waiting = curator.pending()
    data = {"version": version, "waiting": [described(pending) for pending in waiting]}

    def tell() -> None:
        if version is None:
            click.echo("nothing has changed: what is published stays")
        else:
            click.echo(f"version {version} {'is made' if waiting else 'is published'}")
        tell_waiting(waiting, folder, _COMMAND)

    emit(as_json, data, tell)


@list_publish.command()
@folder_argument
@json_option
def timestamp(folder: Path, as_json: bool) -> None:
    """Say anew that what is published is the newest. Run it every day.

    A list of which that is not said goes out of date for those who follow it.
    """
    with _failing():
        curator = _curator(folder)
        published = curator.refresh()
        version = curator.version()
    show_refreshed(version, published.expires, as_json)


@list_publish.command()
@folder_argument
@json_option
def status(folder: Path, as_json: bool) -> None:
    """Show what is published, until when it is good, and what waits.

    The pin is what people need to follow the list.
    """
    with _failing():
        curator = _curator(folder)
        read, published, waiting = curator.read(), curator.published(), curator.pending()
        version, changed = curator.version(), curator.is_changed()
        pin = None if published is None else curator.pin
    data: dict[str, object] = {
        "name": read.head.name,
        "anchors": [entry.name for entry in read.content.anchor],
        "published": None,
        "pin": pin,
        "changed": changed,
        "waiting": [described(pending) for pending in waiting],
    }
    if published is not None:
        data["published"] = {
            "version": version,
            "timestamp_expires": published.expires,
            "list_expires": published.targets_expires,
            "root_expires": published.root_expires,
        }

    def tell() -> None:
        click.echo(f"{read.head.name}, by {read.head.curator}: {len(read.content.anchor)} authorities")
        if published is None:
            click.echo("nothing is published yet")
        else:
            click.echo(f"version {version} is published; subscribers' pin: {pin}")
            tell_expiries(published, _COMMAND)
        if changed:
            click.echo(f"list.toml is another one than is published: {_COMMAND} release {folder}")
        tell_waiting(waiting, folder, _COMMAND)

    emit(as_json, data, tell)


def _curator(folder: Path) -> ListCurator:
    from answerback.list_curating import ListCurator

    return ListCurator(folder)


def _tell_changed(folder: Path, said: str, as_json: bool) -> None:
    def tell() -> None:
        click.echo(f"{said}. To publish: {_COMMAND} release {folder}")

    emit(as_json, {"folder": str(folder), "changed": True}, tell)


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Turn the errors of the rooms below into one line that says what to do."""
    from serving.errors import ServingError
    from stir.errors import StirError
    from transparency.releases.errors import ReleaseError
    from trust_store.errors import TrustStoreError

    try:
        yield
    except (ReleaseError, ServingError, StirError, TrustStoreError) as error:
        raise Failure(str(error)) from error


_LISTS = Kind(_COMMAND, _curator, _failing)
for _command in signing_commands(_LISTS):
    list_publish.add_command(_command)
