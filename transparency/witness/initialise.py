"""Make a witness: a key, a memory that is bound to it, and settings, all new."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from transparency.cosignature import Ed25519Cosigner
from transparency.errors import NoteError
from transparency.witness.config import CONFIG_NAME, WitnessConfig
from transparency.witness.errors import ConfigurationError
from transparency.witness.keys import create_key
from transparency.witness.store import Store

_SETTINGS = """\
# A witness: it cosigns what a log shows, and never two histories of one log.
# Its name belongs to its key, for good.
name = {name}
database = "witness.db"
key = "witness.key"

[server]
# Without TLS on this machine only: put a proxy that speaks TLS before it, or set tls.
bind = "127.0.0.1:14200"
# tls = {{ certificate = "tls.pem", key = "tls.key" }}

# One entry for each log whose checkpoints are cosigned.
# [[logs]]
# description = "log.json"
#
# [[logs]]
# origin = "log.example/2027h1"
# keys = ["log.example/2027h1+0a1b2c3d+AZqd..."]
"""


@dataclass(frozen=True, slots=True)
class NewWitness:
    """A witness that was made: its settings, and the verifier key to hand out."""

    config: Path
    verifier_key: str


def initialise(folder: Path, name: str, passphrase: bytes | None) -> NewWitness:
    """Make a witness in a folder that has none; raise ServingError."""
    path = folder / CONFIG_NAME
    if path.exists():
        msg = f"{path} exists: there is a witness already"
        raise ConfigurationError(msg)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} cannot be made: {error.strerror}"
        raise ConfigurationError(msg) from error
    config = WitnessConfig(name, folder=folder)
    try:
        cosigner = Ed25519Cosigner(name, create_key(config.key_path, passphrase))
        verifier_key = cosigner.verifier.format()
    except NoteError as error:
        config.key_path.unlink()
        msg = f"{error}: choose a name such as witness.example/w1"
        raise ConfigurationError(msg) from error
    Store.create(config.database_path, verifier_key).close()
    path.write_text(_SETTINGS.format(name=msgspec.json.encode(name).decode()), encoding="utf-8")
    return NewWitness(path, verifier_key)
