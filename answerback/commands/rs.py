"""`answerback rs`: an authority, a directory and perhaps a log as one server, for the smallest deployment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from answerback.commands.log_server import shards_group
from answerback.failure import Failure
from answerback.making import (
    SERVICE,
    GivenAuthority,
    authority_options,
    authority_steps,
    keeping_options,
    naming_options,
    new_authority,
    tell_authority_made,
)
from answerback.output import emit, json_option
from answerback.serving import (
    config_option,
    failing,
    listening,
    require_clean_end,
)

if TYPE_CHECKING:
    from answerback.rs.initialise import Initialised
    from ca_server.initialise import NewAuthority
    from transparency.log_description import LogDescription

CONFIG_VARIABLE = "ANSWERBACK_RS_CONFIG"

_config = config_option("rs.toml", CONFIG_VARIABLE, "The service's")


@click.group()
def rs() -> None:
    """Run an authority and a directory as one small server.

    Such a resolution service has one file of settings and one database, and perhaps a log.
    """


@rs.command()
@naming_options(SERVICE)
@authority_options
@click.option("--with-log", is_flag=True, help="Run a log of certificates too, and show it each that is issued.")
@keeping_options(SERVICE)
@json_option
def init(folder: Path, with_log: bool, as_json: bool, **given: Unpack[GivenAuthority]) -> None:
    """Make a new service in FOLDER.

    It gets keys, certificates, settings, one database, and what describes it to others. At a terminal you are asked for
    what you leave out.
    """
    from answerback.rs.initialise import initialise

    with _failing():
        new = new_authority(SERVICE, given)
        made = initialise(folder, new, _now, with_log=with_log)
    data = {
        "config": str(made.config),
        "anchor": {"file": str(made.anchor_file), "sha256": made.anchor.fingerprint.hex()},
        "directory": str(made.directory_file),
        "log": None if made.log_file is None else str(made.log_file),
    }
    emit(as_json, data, lambda: tell_authority_made(new, made.config, made.anchor, _next_steps(made, new)))


@rs.command()
@click.option("--one-process", is_flag=True, help="Do it all in one process, for the smallest machines.")
@_config
@json_option
def serve(one_process: bool, path: Path, as_json: bool) -> None:
    """Serve all of it until it is stopped.

    That is ACME, SMS, directory, record log, revocation lists, and the log if any. Each part that ends is started
    again. With --one-process nothing watches over the one that there is: have a supervisor start it again.
    """
    from answerback.rs.loading import load_settings
    from answerback.rs.serve import serve as run

    with _failing():
        code = run(load_settings(path), listening(as_json), alone=one_process)
    require_clean_end(code)


@rs.command()
@_config
@json_option
def check(path: Path, as_json: bool) -> None:
    """Look whether everything that serving needs is there."""
    from answerback.rs.loading import load_settings
    from answerback.settings import load_authority
    from ca_server import checkup as authority
    from number_directory.server import checkup as directory
    from transparency.server import checkup as log

    with _failing():
        settings = load_settings(path)
    findings = [
        *(
            ("authority", one.name, one.is_ok, one.detail or one.warning)
            for one in authority.check(path, _now(), load_authority)
        ),
        *(("directory", one.name, one.is_ok, one.detail) for one in directory.examine(settings.directory)),
    ]
    if settings.log is not None:
        findings += [("log", one.name, one.is_ok, one.detail) for one in log.examine(settings.log, _now())]
    rows = [{"of": of, "name": name, "ok": is_ok, "detail": detail} for of, name, is_ok, detail in findings]

    def tell() -> None:
        for of, name, is_ok, detail in findings:
            click.echo(f"{'ok    ' if is_ok else 'FAILED'} {of}: {name}{f': {detail}' if detail else ''}")

    is_good = all(is_ok for _, _, is_ok, _ in findings)
    emit(as_json, {"ok": is_good, "findings": rows}, tell)
    if not is_good:
        msg = "the service cannot be served as it is; mend what failed"
        raise Failure(msg)


def _begin_shard(path: Path, name: str) -> LogDescription:
    from answerback.rs.initialise import SHARDS
    from answerback.settings import load_log
    from transparency.server.initialise import add_shard

    return add_shard(path, name, load_log, SHARDS)


rs.add_command(shards_group(_config, _begin_shard))


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Tell the rooms' errors as the command's."""
    from serving.errors import ServingError
    from stir.errors import StirError

    with failing(ServingError, StirError):
        yield


def _now() -> datetime:
    return datetime.now(UTC)


def _next_steps(made: Initialised, new: NewAuthority) -> Iterator[str]:
    from answerback.rs.config import DIRECTORY_PATH

    config, url = made.config, new.public_url
    yield from authority_steps(new, config)
    yield f"Look whether all is well: answerback rs check --config {config}"
    yield f"Serve: answerback rs serve --config {config}"
    yield f"Give users the anchor, which they add: answerback trust add {made.anchor_file}"
    yield f"They get certificates: answerback enrol NUMBER --ca {url}"
    publish = "answerback directory publish --from NUMBER --app APP --uri URI"
    yield f"And are found: {publish} --directory {url}{DIRECTORY_PATH}"
    yield f"Give {made.directory_file} to whoever makes the map of numbers."
    if made.log_file is not None:
        yield f"Give {made.log_file} to whoever shall believe or watch the log."
