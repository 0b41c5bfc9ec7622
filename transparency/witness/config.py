"""The frozen settings of one witness, as its TOML file says them."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from serving import settings
from serving.key_files import passphrase_in
from transparency.errors import LogDescriptionError, NoteError
from transparency.log_description import LogDescription
from transparency.signed_note import Ed25519Verifier, Verifier
from transparency.witness.errors import ConfigurationError

CONFIG_NAME = "witness.toml"
PASSPHRASE_VARIABLE = "ANSWERBACK_WITNESS_PASSPHRASE"  # noqa: S105  # the name of a variable


class Server(settings.Listener, frozen=True, forbid_unknown_fields=True):
    """Where the witness listens: without TLS on a loopback address only, behind a proxy that speaks TLS."""

    bind: str = "127.0.0.1:14200"

    @property
    def address(self) -> settings.Address:
        """`bind`, read. Raises ConfigurationError, also for an address that asks for TLS."""
        address = settings.Address.parse(self.bind)
        if self.tls is None and not address.is_loopback:
            msg = "server.bind: set server.tls to listen beyond this machine, or put a proxy that speaks TLS before it"
            raise ConfigurationError(msg)
        return address


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A log whose checkpoints are cosigned: by its `log.json`, or by an origin and its verifier keys."""

    description: Path | None = None
    origin: str | None = None
    keys: tuple[str, ...] = ()


class WitnessConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of one witness. Relative paths start from `folder`, which `load` makes that of the file.

    `name` is the witness's name in its cosignatures, such as `witness.example/w1`: it belongs to the keys, for good.
    With `ml_dsa_44_key` each checkpoint gets two cosignatures, the second of which holds against quantum computers too.
    Keys that are encrypted open by the first line of `passphrase_file`, else by the environment.
    """

    name: str
    database: Path = Path("witness.db")
    key: Path = Path("witness.key")
    ml_dsa_44_key: Path | None = None
    passphrase_file: Path | None = None
    server: Server = Server()
    logs: tuple[Log, ...] = ()
    folder: Path = Path()

    @classmethod
    def load(cls, path: Path) -> WitnessConfig:
        """Read a file; raise ConfigurationError with the name of the setting that is wrong."""
        try:
            config = msgspec.toml.decode(path.read_bytes(), type=cls, dec_hook=_read_path)
        except OSError as error:
            msg = f"{path} cannot be read: {error.strerror}; make one with `answerback log witness init`"
            raise ConfigurationError(msg) from error
        except (msgspec.DecodeError, ValueError) as error:
            msg = f"{path}: {error}"
            raise ConfigurationError(msg) from error
        tls = config.server.tls
        server = msgspec.structs.replace(config.server, tls=tls and tls.resolved(path.parent))
        return msgspec.structs.replace(config, server=server, folder=path.parent)

    @property
    def database_path(self) -> Path:
        """Where the memory is."""
        return self.folder / self.database

    @property
    def key_path(self) -> Path:
        """Where the key is."""
        return self.folder / self.key

    @property
    def ml_dsa_44_key_path(self) -> Path | None:
        """Where the second key is, if there is one."""
        return None if self.ml_dsa_44_key is None else self.folder / self.ml_dsa_44_key

    def passphrase(self) -> bytes | None:
        """Return what opens the keys, None where nothing says; raise KeyStoreError for a file of no use."""
        if self.passphrase_file is not None:
            return passphrase_in(self.folder / self.passphrase_file)
        return os.environb.get(os.fsencode(PASSPHRASE_VARIABLE)) or None

    def known_logs(self) -> dict[str, tuple[Verifier, ...]]:
        """Return the keys of the logs that are cosigned, by origin; raise ConfigurationError."""
        known: dict[str, tuple[Verifier, ...]] = {}
        for place, log in enumerate(self.logs, start=1):
            for origin, keys in _keys_of(log, self.folder, f"logs, entry {place}").items():
                known[origin] = (*known.get(origin, ()), *keys)
        return known


def _read_path(type_: type, value: object) -> object:
    if type_ is Path and isinstance(value, str):
        return Path(value)
    msg = f"Expected a path, got `{type(value).__name__}`"
    raise ValueError(msg)


def _keys_of(log: Log, folder: Path, where: str) -> dict[str, tuple[Verifier, ...]]:
    try:
        match log:
            case Log(description=Path() as path, origin=None, keys=()):
                shards = LogDescription.from_json((folder / path).read_bytes()).shards
                return {shard.origin: (shard.checkpoint_key,) for shard in shards}
            case Log(description=None, origin=str(origin), keys=(_, *_)):
                return {origin: tuple(Ed25519Verifier.parse(key) for key in log.keys)}
    except OSError as error:
        msg = f"{where}: {log.description} cannot be read: {error.strerror}"
        raise ConfigurationError(msg) from error
    except (LogDescriptionError, NoteError) as error:
        msg = f"{where}: {error}"
        raise ConfigurationError(msg) from error
    msg = f"{where}: give either description, or origin and keys"
    raise ConfigurationError(msg)
