"""What commands share that make releases and have them signed, for whatever is released: maps, lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from answerback.failure import Failure
from answerback.output import emit, json_option
from answerback.serving import key_options, passphrase_for

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from transparency.releases.repository import Pending

PASSPHRASE_VARIABLE = "ANSWERBACK_PASSPHRASE"  # noqa: S105  # the name of a variable
folder_argument = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
signers_option = click.option(
    "--signer",
    "signers",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PUBLIC-KEY",
    help="Somebody who signs, by a file that the command `key` made. May be repeated.",
)
first_threshold_option = click.option(
    "--threshold",
    metavar="COUNT",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many of them must sign.",
)
signing_key_options = key_options(PASSPHRASE_VARIABLE)


class Publisher(Protocol):
    """Whoever publishes releases from a folder."""

    def sign(self, key: Ed25519PrivateKey) -> Sequence[Pending]:
        """Sign all that waits, and return what still waits."""
        ...

    def merge(self, copies: Iterable[bytes]) -> Sequence[Pending]:
        """Take over the signatures of copies of what waits, and return what still waits."""
        ...

    def rotate(
        self, people: Sequence[Ed25519PublicKey] = (), threshold: int | None = None, *, new_online_key: bool = False
    ) -> Sequence[Pending]:
        """Have other people sign from now on, or a new online key, and return what still waits."""
        ...

    def renew(self) -> Sequence[Pending]:
        """Have the people sign what is published once more, and return what still waits."""
        ...


class Expiring(Protocol):
    """What is published, with until when each signature on it holds, in seconds since 1970."""

    @property
    def expires(self) -> int:
        """The timestamp's end."""
        ...

    @property
    def targets_expires(self) -> int:
        """The end of the people's signatures on what is published."""
        ...

    @property
    def root_expires(self) -> int:
        """The end of those on who signs."""
        ...


@dataclass(frozen=True)
class Kind:
    """One kind of what is released: its commands' group, its publisher in a folder, and how its errors are told."""

    command: str
    publisher: Callable[[Path], Publisher]
    failing: Callable[[], AbstractContextManager[None]]


def signing_commands(kind: Kind) -> tuple[click.Command, ...]:
    """Return the commands by which releases of a kind are signed: `key`, `sign`, `merge`, `rotate` and `renew`."""
    return _key_command(kind), _sign_command(kind), _merge_command(kind), _rotate_command(kind), _renew_command(kind)


def _key_command(kind: Kind) -> click.Command:
    """Return the command that makes a signer's key."""

    @click.command()
    @click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
    @signing_key_options
    @json_option
    def key(file: Path, passphrase_file: Path | None, unencrypted_keys: bool, as_json: bool) -> None:
        """Make a signer's key in FILE, such as alice.key.

        The public key, to hand to the publisher, is put beside it.
        """
        from transparency.releases.publishing import key_pair

        with kind.failing():
            public = key_pair(file, signing_passphrase(passphrase_file, unencrypted_keys, are_new=True))
        data = {"key": str(file), "public_key": str(public)}
        emit(as_json, data, lambda: click.echo(f"hand {public} to the publisher, and keep {file}"))

    return key


def _sign_command(kind: Kind) -> click.Command:
    """Return the command by which somebody signs what waits, in the publisher's folder or elsewhere."""

    @click.command()
    @click.argument("path", type=click.Path(path_type=Path, exists=True))
    @click.option("--key", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Your key.")
    @signing_key_options
    @json_option
    def sign(path: Path, key: Path, passphrase_file: Path | None, unencrypted_keys: bool, as_json: bool) -> None:
        """Sign what waits.

        PATH is a publisher's folder, or a copy of one of the files in its folder `pending`.
        """
        from serving.key_files import read_ed25519
        from transparency.releases.publishing import sign_file

        waiting: Sequence[Pending] = ()
        with kind.failing():
            passphrase = signing_passphrase(passphrase_file, unencrypted_keys, are_new=False)
            opened = read_ed25519(key, passphrase, lost="restore it from your backup")
            if path.is_dir():
                waiting = kind.publisher(path).sign(opened)
            else:
                sign_file(path, opened)

        def tell() -> None:
            click.echo(f"signed {path}")
            tell_waiting(waiting, path, kind.command)

        emit(as_json, {"signed": str(path), "waiting": [described(pending) for pending in waiting]}, tell)

    return sign


def _merge_command(kind: Kind) -> click.Command:
    """Return the command by which a publisher takes over signatures."""

    @click.command()
    @folder_argument
    @click.argument("copies", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
    @json_option
    def merge(folder: Path, copies: tuple[Path, ...], as_json: bool) -> None:
        """Take over signatures that were made elsewhere.

        COPIES are the signed files. What is then complete is published.
        """
        with kind.failing():
            waiting = kind.publisher(folder).merge([content(copy) for copy in copies])
        _show_waiting(waiting, folder, kind, as_json)

    return merge


def _rotate_command(kind: Kind) -> click.Command:
    """Return the command by which others come to sign."""

    @click.command()
    @folder_argument
    @signers_option
    @click.option(
        "--threshold",
        metavar="COUNT",
        type=click.IntRange(1),
        help="How many must sign from now on.  [default: as many as now]",
    )
    @click.option(
        "--new-online-key", is_flag=True, help="Make a new online key, because the old one may be in other hands."
    )
    @json_option
    def rotate(
        folder: Path, signers: tuple[Path, ...], threshold: int | None, new_online_key: bool, as_json: bool
    ) -> None:
        """Have other people sign from now on. Old and new signers sign that; what is not given stays as it is."""
        from transparency.releases.repository import read_public_key

        with kind.failing():
            people = [read_public_key(signer) for signer in signers]
            waiting = kind.publisher(folder).rotate(people, threshold, new_online_key=new_online_key)
        _show_waiting(waiting, folder, kind, as_json)

    return rotate


def _renew_command(kind: Kind) -> click.Command:
    """Return the command by which people sign what is published once more."""

    @click.command()
    @folder_argument
    @json_option
    def renew(folder: Path, as_json: bool) -> None:
        """Have what is published signed once more.

        Do so before the people's signatures expire.
        """
        with kind.failing():
            waiting = kind.publisher(folder).renew()
        _show_waiting(waiting, folder, kind, as_json)

    return renew


def _show_waiting(waiting: Sequence[Pending], folder: Path, kind: Kind, as_json: bool) -> None:
    """Print what waits for signatures; nothing: then it is published."""

    def tell() -> None:
        if not waiting:
            click.echo("published")
        tell_waiting(waiting, folder, kind.command)

    emit(as_json, {"waiting": [described(pending) for pending in waiting]}, tell)


def show_refreshed(version: int | None, expires: int, as_json: bool) -> None:
    """Print that what is published is the newest, and for how long that holds."""
    emit(
        as_json,
        {"version": version, "expires": expires},
        lambda: click.echo(f"version {version} is the newest, good until {when(expires)}"),
    )


def described(pending: Pending) -> dict[str, object]:
    """Return what waits for signatures as data."""
    return {"role": pending.role, "version": pending.version, "signatures": pending.have, "needed": pending.need}


def tell_waiting(waiting: Sequence[Pending], folder: Path, command: str) -> None:
    """Say what waits for signatures, and by which `command` and its `sign` it gets them."""
    for pending in waiting:
        click.echo(f"{pending.role} {pending.version} waits for signatures: it has {pending.have} of {pending.need}")
    if waiting:
        click.echo(f"Have them signed: {command} sign {folder} --key KEY, or copies of {folder}/pending")


def tell_expiries(published: Expiring, command: str) -> None:
    """Say until when each signature holds, and which command of the group `command` makes it anew."""
    click.echo(f"  timestamp good until {when(published.expires)}: {command} timestamp")
    click.echo(f"  signatures good until {when(published.targets_expires)}: {command} renew")
    click.echo(f"  root good until {when(published.root_expires)}: {command} rotate")


def signing_passphrase(file: Path | None, unencrypted: bool, *, are_new: bool) -> bytes | None:
    """Return the passphrase of a publisher's or a signer's keys; see `passphrase_for`."""
    return passphrase_for(file, unencrypted, PASSPHRASE_VARIABLE, are_new=are_new)


def when(seconds: int) -> str:
    """Return a time, in seconds since 1970, as people read it."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def content(path: Path) -> bytes:
    """Return what a file holds."""
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise Failure(msg) from error
