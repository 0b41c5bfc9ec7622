"""What the commands that make and serve programs have in common: how they ask, how they begin, and how they end."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from answerback.failure import Failure

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(default: str, variable: str, whose: str) -> Callable[[Command], Command]:
    """Return the option `--config`, which a command takes as `path`."""
    return click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path),
        default=Path(default),
        show_default=True,
        envvar=variable,
        show_envvar=True,
        help=f"{whose} settings.",
    )


def key_options(variable: str) -> Callable[[Command], Command]:
    """Return the options `--passphrase-file` and `--unencrypted-keys` of a command that makes or uses keys."""
    file = click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"The file whose first line encrypts the keys.  [default: ${variable}, or you are asked]",
    )
    unencrypted = click.option(
        "--unencrypted-keys", is_flag=True, help="Leave the keys open to whoever reads their files."
    )
    return lambda command: file(unencrypted(command))


def passphrase_for(file: Path | None, unencrypted: bool, variable: str, *, are_new: bool) -> bytes | None:
    """Return the passphrase of keys from the file, the environment, or the person, who is asked twice for new ones.

    None where the person opted out. Raises Failure, and KeyStoreError for a file of no use.
    """
    from serving.key_files import passphrase_in

    if unencrypted and file is not None:
        msg = "give --passphrase-file or --unencrypted-keys, not both"
        raise Failure(msg)
    if unencrypted or file is not None:
        return None if file is None else passphrase_in(file)
    if found := os.environb.get(os.fsencode(variable)):
        return found
    if not at_terminal():
        msg = (
            f"give --passphrase-file, or set {variable}; "
            "--unencrypted-keys goes without, and leaves the keys open to whoever reads their files"
        )
        raise Failure(msg)
    answer: str = click.prompt("Passphrase for the keys", hide_input=True, confirmation_prompt=are_new, err=True)
    return answer.encode()


def asked(value: str | None, option: str, question: str) -> str:
    """Return what an option said, or else the person; raise Failure where there is nobody to ask."""
    if value is not None:
        return value
    if not at_terminal():
        msg = f"give {option}, or run this at a terminal to be asked"
        raise Failure(msg)
    answer: str = click.prompt(question, err=True)
    return answer


def at_terminal() -> bool:
    """Tell whether somebody is there to be asked."""
    return sys.stdin.isatty()


def default_bind(url: str, behind_a_proxy: str) -> str:
    """Return where a server of a local URL listens: there; else where a proxy on this machine finds it."""
    scheme, _, rest = url.partition("://")
    place = rest.partition("/")[0]
    if scheme != "http":
        return behind_a_proxy
    return place if place.rpartition(":")[2].isdigit() and not place.endswith("]") else f"{place}:80"


@contextlib.contextmanager
def failing(*errors: type[Exception]) -> Iterator[None]:
    """Tell these errors as the command's."""
    try:
        yield
    except errors as error:
        raise Failure(str(error)) from error


def announce(as_json: bool, data: Mapping[str, object], words: str) -> None:
    """Print one line at once, for a person or a program that waits for it."""
    click.echo(json.dumps(data) if as_json else words)


def listening(as_json: bool) -> Callable[[str], None]:
    """Return what is told the URL at which a server listens, once it does."""
    return lambda url: announce(as_json, {"listening": url}, f"listening on {url}")


def require_clean_end(code: int) -> None:
    """Fail where a server ended with an exit code that tells of an error."""
    if code:
        msg = "the server ended with an error; its log says which"
        raise Failure(msg)
