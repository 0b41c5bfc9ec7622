"""A program from nothing: a folder with settings, keys and database, all of them or none."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from string import Template

from serving.errors import ConfigurationError

_HARMLESS = frozenset({"lost+found"})
"""What a new file system holds."""
_DRAFT = ".init-"


@contextlib.contextmanager
def staged(folder: Path, *, last: str) -> Iterator[Path]:
    """Give a folder to work in, and put what was made there in its place at the end, or throw it away.

    The place must not exist or be empty. Where it exists, such as a mounted volume, the file `last` comes last: it is
    the one that says that all is there. Raises ConfigurationError.
    """
    exists = _require_empty(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder if exists else folder.parent))
    except OSError as error:
        msg = f"{folder} cannot be made: {error.strerror}"
        raise ConfigurationError(msg) from error
    try:
        yield draft
        if exists:
            for entry in sorted(draft.iterdir(), key=lambda entry: entry.name == last):
                entry.rename(folder / entry.name)
        else:
            draft.rename(folder)
    except OSError as error:
        msg = f"{folder} cannot be written: {error.strerror}"
        raise ConfigurationError(msg) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def filled(package: str, name: str, parts: dict[str, str]) -> str:
    """Return a package's commented settings with its `$parts` filled in."""
    template = importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return Template(template).substitute(parts)


def quoted(text: str) -> str:
    """Return the text as a TOML string; raise ConfigurationError for one with control characters."""
    if not text.isprintable():
        msg = f"{text!r} has characters that cannot be printed; leave them out"
        raise ConfigurationError(msg)
    return json.dumps(text, ensure_ascii=False)


def passphrase_settings(passphrase: bytes | None, file: Path | None, *, variable: str, warning: str) -> str:
    """Return the part of `[keys]` about a passphrase; without one, `warning` says what a reader of the keys can do."""
    named = '#passphrase_file = "passphrase"' if file is None else f"passphrase_file = {quoted(str(file.absolute()))}"
    if passphrase is None:
        named = '#passphrase_file = "passphrase"'
        unencrypted = f"# THE KEYS ARE NOT ENCRYPTED: whoever reads their files {warning}.\nunencrypted = true"
    else:
        unencrypted = f"# Keys in open files: whoever reads them {warning}.\n#unencrypted = false"
    return (
        "# The passphrase of the keys: the first line of a file, else the value of an environment variable.\n"
        f'{named}\n#passphrase_variable = "{variable}"\n\n{unencrypted}'
    )


def proxy_setting(url: str) -> str:
    """Return `trusted_proxies` for a server that is reached at a URL; a comment, unless a proxy must stand there."""
    return f'{"" if url.startswith("https:") else "#"}trusted_proxies = ["127.0.0.1"]'


def write_synced(path: Path, data: bytes) -> None:
    """Write a file whole, over what was there."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def _require_empty(folder: Path) -> bool:
    """Tell whether the folder exists; raise ConfigurationError where there is something in it."""
    try:
        found = sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        msg = f"{folder} is no folder to make this in: {error.strerror}"
        raise ConfigurationError(msg) from error
    in_the_way = [name for name in found if name not in _HARMLESS and not name.startswith(_DRAFT)]
    if in_the_way:
        msg = f"{folder} is not empty ({in_the_way[0]}), and nothing is overwritten; choose a new folder"
        raise ConfigurationError(msg)
    return True
