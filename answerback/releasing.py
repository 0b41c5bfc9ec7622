"""What commands share that sign releases: the options for signers and keys, and how what waits is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.output import emit

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from transparency.releases.repository import Pending

PASSPHRASE_VARIABLE = "ANSWERBACK_PASSPHRASE"  # noqa: S105  # the name of a variable

signers_option = click.option(
    "--signer",
    "signers",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PUBLIC-KEY",
    help="Somebody who signs, by a file that the command `key` made. May be repeated.",
)
passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The file whose first line encrypts the keys.  [default: ${PASSPHRASE_VARIABLE}, or you are asked]",
)
unencrypted_option = click.option(
    "--unencrypted-keys", is_flag=True, help="Leave keys open to whoever reads their files."
)

key_option = click.option("--key", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Your key.")
threshold_option = click.option(
    "--threshold",
    metavar="COUNT",
    type=click.IntRange(1),
    help="How many must sign from now on.  [default: as many as now]",
)
new_online_key_option = click.option(
    "--new-online-key", is_flag=True, help="Make a new online key, because the old one may be in other hands."
)


def passphrase_for(file: Path | None, unencrypted: bool, *, confirm: bool) -> bytes | None:
    """Return the passphrase from the file, the environment or the person; None where keys stay unencrypted."""
    from serving.key_files import passphrase_in

    if unencrypted and file is not None:
        msg = "give --passphrase-file or --unencrypted-keys, not both"
        raise Failure(msg)
    if unencrypted:
        return None
    if file is not None:
        return passphrase_in(file)
    found = os.environb.get(PASSPHRASE_VARIABLE.encode(), b"")
    if not found and sys.stdin.isatty():
        found = str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm)).encode()
    if not found:
        msg = f"give a passphrase: set {PASSPHRASE_VARIABLE}, or --passphrase-file, or --unencrypted-keys"
        raise Failure(msg)
    return found


def described(pending: Pending) -> dict[str, object]:
    """Return what waits for signatures as data."""
    return {"role": pending.role, "version": pending.version, "signatures": pending.have, "needed": pending.need}


def tell_waiting(waiting: Sequence[Pending], folder: Path, command: str) -> None:
    """Say what waits for signatures, and by which `command` and its `sign` it gets them."""
    for pending in waiting:
        click.echo(f"{pending.role} {pending.version} waits for signatures: it has {pending.have} of {pending.need}")
    if waiting:
        click.echo(f"Have them signed: {command} sign {folder} --key KEY, or copies of {folder}/pending")


def sign_with(
    path: Path, key: Path, passphrase: bytes | None, in_folder: Callable[[Path, Ed25519PrivateKey], Sequence[Pending]]
) -> Sequence[Pending]:
    """Sign a copy of what waits or, by `in_folder`, all that waits in a publisher's folder; return what still waits."""
    from serving.key_files import read_ed25519
    from transparency.releases.publishing import sign_file

    opened = read_ed25519(key, passphrase, lost="restore it from your backup")
    if path.is_dir():
        return in_folder(path, opened)
    sign_file(path, opened)
    return ()


def show_signed(path: Path, waiting: Sequence[Pending], command: str, as_json: bool) -> None:
    """Print what was signed, and what still waits."""

    def tell() -> None:
        click.echo(f"signed {path}")
        tell_waiting(waiting, path, command)

    emit(as_json, {"signed": str(path), "waiting": [described(pending) for pending in waiting]}, tell)


def show_waiting(waiting: Sequence[Pending], folder: Path, command: str, as_json: bool) -> None:
    """Print what waits for signatures; nothing: then it is published."""

    def tell() -> None:
        if not waiting:
            click.echo("published")
        tell_waiting(waiting, folder, command)

    emit(as_json, {"waiting": [described(pending) for pending in waiting]}, tell)


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
