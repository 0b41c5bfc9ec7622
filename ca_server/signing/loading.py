"""From the `[keys]` of a configuration to the key store that it names."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ca_server.config import Config, Keys
from ca_server.errors import ConfigurationError, KeyStoreError
from ca_server.signing.file_key_store import FileKeyStore
from ca_server.signing.key_store import KeyStore

KeyStoreFactory = Callable[[Mapping[str, Any], Path], KeyStore]
"""What `module:attribute` names: called with the `[keys.options]` and the folder that relative paths start from."""


def open_key_store(config: Config) -> KeyStore:
    """Return the key store of an authority, without opening a key yet. Call it after a fork.

    Raises ConfigurationError where there is no such store, KeyStoreError where its passphrase is missing.
    """
    keys = config.keys
    if keys.store == "file":
        return FileKeyStore(keys.directory, None if keys.unencrypted else read_passphrase(keys))
    return _foreign_store(keys)(keys.options, config.folder)


def read_passphrase(keys: Keys) -> bytes:
    """Return the passphrase of the file store, without the end of its line; raise KeyStoreError where there is none."""
    if keys.passphrase_file is not None:
        return passphrase_in(keys.passphrase_file)
    passphrase = os.environb.get(os.fsencode(keys.passphrase_variable), b"")
    if not passphrase:
        msg = (
            f"the keys' passphrase is missing: set the environment variable {keys.passphrase_variable}, "
            "or keys.passphrase_file"
        )
        raise KeyStoreError(msg)
    return passphrase


def passphrase_in(path: Path) -> bytes:
    """Return the first line of a file; raise KeyStoreError where it is empty or cannot be read."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        msg = f"the passphrase file {path} cannot be read: {error.strerror}"
        raise KeyStoreError(msg) from error
    if not lines or not lines[0]:
        msg = f"the passphrase file {path} is empty; write the passphrase on its first line"
        raise KeyStoreError(msg)
    return lines[0]


def _foreign_store(keys: Keys) -> KeyStoreFactory:
    module, _, attribute = keys.store.partition(":")
    try:
        factory: KeyStoreFactory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        msg = (
            f"keys.store: {keys.store!r} cannot be imported ({error}); write module:attribute, "
            "and install the module where answerback is installed"
        )
        raise ConfigurationError(msg) from error
    return factory
