"""From the `[[logs]]` of an authority's settings to logs that can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ca_server.config import Config
from ca_server.errors import ConfigurationError
from ca_server.logs.known_log import KnownLog, SubmissionError
from ca_server.logs.logs import Logs
from transparency.client import LogClient, LogRefused
from transparency.errors import LogDescriptionError
from transparency.log_description import LogDescription
from transparency.sct import SignedCertificateTimestamp
from transparency.transport import Transport, Unreachable


@dataclass(frozen=True, slots=True)
class HttpLog:
    """A log over HTTP, with the errors of this room."""

    client: LogClient

    def add_pre_chain(self, chain: Sequence[bytes], timeout: float) -> SignedCertificateTimestamp:
        """Return the log's timestamp of a precertificate, unchecked; raise SubmissionError where there is none."""
        try:
            return self.client.add_pre_chain(chain, timeout)
        except (LogDescriptionError, LogRefused, Unreachable) as error:
            raise SubmissionError(str(error)) from error


def open_logs(config: Config, transport: Transport | None = None) -> Logs:
    """Return the logs that the settings name; raise ConfigurationError for a description that cannot be used.

    Nobody is asked yet. Call it after a fork.
    """
    known = [
        KnownLog(description, log.operator, HttpLog(LogClient.of(description, transport)))
        for log, description in zip(config.logs, read_descriptions(config), strict=True)
    ]
    return Logs(known, config.logging)


def read_descriptions(config: Config) -> tuple[LogDescription, ...]:
    """Return what the operators of the logs hand out; raise ConfigurationError where that cannot be used."""
    read = tuple(_read(f"logs[{index}].description", log.description) for index, log in enumerate(config.logs))
    names: set[str] = set()
    log_ids: set[bytes] = set()
    for index, description in enumerate(read):
        ids = {shard.log_id for shard in description.shards}
        if description.name in names or ids & log_ids:
            msg = f"logs[{index}].description: the log {description.name} is named twice; keep one of the two tables"
            raise ConfigurationError(msg)
        names.add(description.name)
        log_ids |= ids
    return read


def _read(key: str, path: Path) -> LogDescription:
    try:
        return LogDescription.from_json(path.read_bytes())
    except OSError as error:
        msg = (
            f"{key}: {path} cannot be read: {error.strerror}; put the log.json there that the log's operator hands out"
        )
        raise ConfigurationError(msg) from error
    except LogDescriptionError as error:
        msg = f"{key}: {path} cannot be used: {error}"
        raise ConfigurationError(msg) from error
