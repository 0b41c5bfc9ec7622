"""Make a witness: a key, a memory that is bound to it, and settings, all new."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serving.initialising import quoted
from transparency.cosignature import Ed25519Cosigner, MlDsa44Cosigner
from transparency.errors import NoteError
from transparency.signed_note import require_name
from transparency.witness.config import CONFIG_NAME, WitnessConfig
from transparency.witness.cosigning import memory_keys
from transparency.witness.errors import ConfigurationError
from transparency.witness.keys import create_key, create_ml_dsa_44_key
from transparency.witness.store import Store

_SECOND = Path("witness-ml-dsa-44.key")
_SETTINGS = """\
# A witness: it cosigns what a log shows, and never two histories of one log.
# Its name belongs to its keys, and they to the database, for good.
name = {name}
database = "witness.db"
key = "witness.key"
{second}{passphrase}
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
    """A witness that was made: its settings, and the verifier keys to hand out, the Ed25519 one first."""

    config: Path
    verifier_keys: tuple[str, ...]

    @property
    def verifier_key(self) -> str:
        """The Ed25519 one."""
        return self.verifier_keys[0]


def initialise(
    folder: Path,
    name: str,
    passphrase: bytes | None,
    *,
    passphrase_file: Path | None = None,
    ml_dsa_44: bool = False,
) -> NewWitness:
    """Make a witness in a folder that has none, with a second key if asked for; raise ServingError.

    Without a passphrase the keys stand open; `passphrase_file` is where the server will find it, without it in the
    environment.
    """
    path = folder / CONFIG_NAME
    if path.exists():
        msg = f"{path} exists: there is a witness already"
        raise ConfigurationError(msg)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} cannot be made: {error.strerror}"
        raise ConfigurationError(msg) from error
    config = WitnessConfig(name, ml_dsa_44_key=_SECOND if ml_dsa_44 else None, folder=folder)
    try:
        require_name(name)
    except NoteError as error:
        msg = f"{error}: choose a name such as witness.example/w1"
        raise ConfigurationError(msg) from error
    second_path = config.ml_dsa_44_key_path  # made first: where that fails, nothing is there yet
    second = None if second_path is None else MlDsa44Cosigner(name, create_ml_dsa_44_key(second_path, passphrase))
    cosigner = Ed25519Cosigner(name, create_key(config.key_path, passphrase))
    keys = memory_keys(cosigner, second)
    Store.create(config.database_path, keys).close()
    lines = {
        "name": quoted(name),
        "second": f'ml_dsa_44_key = "{_SECOND}"\n' if ml_dsa_44 else "",
        "passphrase": ""
        if passphrase_file is None
        else f"passphrase_file = {quoted(str(passphrase_file.absolute()))}\n",
    }
    path.write_text(_SETTINGS.format(**lines), encoding="utf-8")
    return NewWitness(path, tuple(keys.splitlines()))
