"""A new resolution service from nothing: keys, certificates, settings and one database, all of them or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import ca_server.initialise
import number_directory.server.initialise
import transparency.server.initialise
from answerback.rs.config import CONFIG_NAME
from answerback.rs.loading import load_settings
from ca_server.initialise import NewAuthority
from number_directory.server.initialise import ADMISSION, admit
from serving.initialising import filled, quoted, staged
from stir.certificate import AuthorityCertificate
from transparency.server.initialise import DESCRIPTION_NAME, halves_of_year_from, shard_settings

_PACKAGE = "answerback.rs"
_LOG_TEMPLATE = "log.toml"
SHARDS = "certificate_log.shards"
"""Where shards stand in the settings."""
_ANCHOR = "root.pem"


@dataclass(frozen=True)
class Initialised:
    """What was made: the settings, the authority's anchor, and what describes the directory and the log to others."""

    config: Path
    anchor_file: Path
    anchor: AuthorityCertificate
    directory_file: Path
    log_file: Path | None


def initialise(folder: Path, new: NewAuthority, clock: Callable[[], datetime], *, with_log: bool) -> Initialised:
    """Make a resolution service in `folder`, which must not exist or be empty.

    Its directory takes what its own authority's numbers sign. With a log, the authority shows it every certificate. An
    interruption leaves nothing half-made behind. Raises a ServingError that says what to do.
    """
    folder = folder.absolute()
    with staged(folder, last=CONFIG_NAME) as draft:
        made = ca_server.initialise.initialise(draft, new, clock)
        text = made.config.read_text(encoding="utf-8")
        made.config.unlink()
        admit(draft / ADMISSION, (draft / _ANCHOR,))
        logged = _with_log(text, new, clock()) if with_log else _without_log(text)
        (draft / CONFIG_NAME).write_text(logged, encoding="utf-8")
        settings = load_settings(draft / CONFIG_NAME)
        number_directory.server.initialise.furnish(settings.directory, new.passphrase)
        if settings.log is not None:
            transparency.server.initialise.furnish(settings.log, new.passphrase)
    directory_file = folder / number_directory.server.initialise.DESCRIPTION_NAME
    log_file = folder / DESCRIPTION_NAME if with_log else None
    return Initialised(folder / CONFIG_NAME, folder / _ANCHOR, made.anchor, directory_file, log_file)


def _without_log(authority: str) -> str:
    """Return the settings of a service that has no log, given its authority's."""
    return _with_directory(authority, {"and_a_log": "", "and_the_log_at": "", "and_of_log": ""})


def _with_log(authority: str, new: NewAuthority, now: datetime) -> str:
    """Return the settings of a service with a log, to which its authority shows what it issues."""
    own = f'[[logs]]\ndescription = "{DESCRIPTION_NAME}"\noperator = {quoted(new.operator)}\n'
    shards = "\n".join(shard_settings(shard, SHARDS) for shard in halves_of_year_from(now))
    words = {
        "and_a_log": ", and a log",
        "and_the_log_at": ", and the log with /log",
        "and_of_log": ", `answerback log`",
    }
    log = filled(_PACKAGE, _LOG_TEMPLATE, {"own": own, "shards": shards.rstrip("\n")})
    return _with_directory(authority.replace("#scts = 0", "scts = 1"), words) + log


def _with_directory(authority: str, words: dict[str, str]) -> str:
    """Put what an authority's settings begin with, and a directory's part, around an authority's settings."""
    _, _, settings = authority.partition("\n\n")
    return filled(_PACKAGE, CONFIG_NAME, {"authority": settings.rstrip("\n"), **words})
