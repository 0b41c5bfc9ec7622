"""`answerback log init | serve | sequence | status | shards | erase | describe`: for whoever runs a log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from answerback.failure import Failure
from answerback.making import LOG, Given, answers, keeping_options, naming_options, tell_made
from answerback.output import emit, json_option
from answerback.serving import (
    announce,
    config_option,
    failing,
    listening,
    require_clean_end,
)

if TYPE_CHECKING:
    from transparency.log_description import LogDescription

CONFIG_VARIABLE = "ANSWERBACK_LOG_CONFIG"

_config = config_option("log.toml", CONFIG_VARIABLE, "The log's")


@click.command()
@naming_options(LOG)
@click.option(
    "--admit",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="ISSUER.PEM",
    help="Take the precertificates of this authority. May be repeated.",
)
@keeping_options(LOG)
@json_option
def init(folder: Path, admit: tuple[Path, ...], as_json: bool, **given: Unpack[Given]) -> None:
    """Make a new log in FOLDER.

    It gets keys, shards for the coming 12 months, settings, a database and log.json. At a terminal you are asked for
    what you leave out.
    """
    from transparency.server.initialise import NewLog, initialise

    with _failing():
        answered = answers(LOG, given)
        new = NewLog(
            name=answered.name,
            operator=answered.operator,
            url=answered.public_url,
            admit=admit,
            passphrase=answered.passphrase,
            passphrase_file=answered.passphrase_file,
            bind=answered.bind,
        )
        made = initialise(folder, new, datetime.now(UTC))
    data = {
        "config": str(made.config),
        "description": str(made.description_file),
        "shards": [shard.name for shard in made.description.shards],
    }

    said = f"{new.name} is made, in {made.config.parent}, with the shards {', '.join(data['shards'])}."
    steps = _next_steps(made.config, made.description_file, new.passphrase is None, bool(admit))
    emit(as_json, data, lambda: tell_made(said, steps))


@click.command(name="serve")
@_config
@click.option("--with-sequencer", is_flag=True, help="Sequence too: everything that a small log needs.")
@json_option
def serve_command(path: Path, with_sequencer: bool, as_json: bool) -> None:
    """Serve submissions, owners and readers until it is stopped."""
    from transparency.server import serve
    from transparency.server.loading import load_config

    with _failing():
        code = serve.serve(load_config(path), listening(as_json), with_sequencer=with_sequencer)
    require_clean_end(code)


@click.command()
@_config
@json_option
def sequence(path: Path, as_json: bool) -> None:
    """Sequence what front ends have queued, until it is stopped. A log has one sequencer."""
    from transparency.server import serve
    from transparency.server.loading import load_config

    with _failing():
        serve.sequence(load_config(path), lambda: announce(as_json, {"sequencing": True}, "sequencing"))


@click.command()
@_config
@json_option
def status(path: Path, as_json: bool) -> None:
    """Show each shard: its entries, what is published of them, and what waits."""
    from answerback.settings import load_log
    from transparency.server.app import open_storage

    with _failing():
        config = load_log(path)
        storage = open_storage(config)
        states = {state.name: state for state in storage.trees.all()}
        rows = []
        for shard in config.shards:
            state = states.get(shard.name)
            rows.append(
                {
                    "shard": shard.name,
                    "not_after_start": shard.not_after_start.isoformat(),
                    "not_after_limit": shard.not_after_limit.isoformat(),
                    "size": state.size if state else 0,
                    "published": state.published_size if state else 0,
                    "root": state.root.hex() if state else None,
                    "queued": storage.entries.queue_length(shard.name),
                }
            )
        storage.close()

    def tell() -> None:
        for row in rows:
            click.echo(f"{row['shard']}  {row['size']} entries, {row['published']} published, {row['queued']} waiting")

    emit(as_json, {"shards": rows}, tell)


def shards_group(
    config: Callable[[Callable[..., None]], Callable[..., None]], begin: Callable[[Path, str], LogDescription]
) -> click.Group:
    """Return the commands that `begin` shards of the log that the settings describe."""

    @click.group()
    def shards() -> None:
        """Begin new shards of the log."""

    @shards.command()
    @click.argument("name")
    @config
    @json_option
    def add(name: str, path: Path, as_json: bool) -> None:
        """Begin the shard NAME, a half-year such as 2028h1. The server must be started again to serve it."""
        from transparency.server.initialise import DESCRIPTION_NAME

        with _failing():
            description = begin(path, name)
        file = path.absolute().parent / DESCRIPTION_NAME
        data = {"shards": [shard.name for shard in description.shards], "description": str(file)}
        emit(as_json, data, lambda: click.echo(f"{name} is begun; restart the server, and hand out the new {file}"))

    return shards


def _begin(path: Path, name: str) -> LogDescription:
    from transparency.server.initialise import add_shard

    return add_shard(path, name)


shards = shards_group(_config, _begin)


@click.command()
@click.argument("shard")
@click.argument("index", type=click.IntRange(0))
@_config
@json_option
def erase(shard: str, index: int, path: Path, as_json: bool) -> None:
    """Erase the certificate and the opening of the entry INDEX of SHARD. Its leaf stays, and tells nothing."""
    from answerback.settings import load_log
    from transparency.server.app import open_storage

    with _failing():
        storage = open_storage(load_log(path))
        erased = storage.entries.erase_index(shard, index)
        storage.close()
    if not erased:
        msg = f"shard {shard} keeps nothing of an entry {index}: it is erased already, or there is none"
        raise Failure(msg)
    emit(as_json, {"shard": shard, "erased": [index]}, lambda: click.echo(f"erased entry {index} of {shard}"))


@click.command()
@_config
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it here.")
@json_option
def describe(path: Path, output: Path | None, as_json: bool) -> None:
    """Print log.json: what authorities, trust stores and monitors are given."""
    from answerback.settings import load_log
    from transparency.server import initialise

    with _failing():
        description = initialise.describe(load_log(path)).to_json()
    if output is not None:
        output.write_bytes(description)
    if as_json or output is None:
        click.echo(description.decode(), nl=False)


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Tell the server's errors as the command's."""
    from serving.errors import ServingError
    from transparency.errors import TransparencyError

    with failing(ServingError, TransparencyError):
        yield


def _next_steps(config: Path, description: Path, is_unencrypted: bool, admits: bool) -> Iterator[str]:
    if is_unencrypted:
        yield "The keys are NOT encrypted: let nobody else read this folder, nor its backups."
    else:
        yield "Keep the passphrase safe, and the folder `keys` too: without either, no shard can go on."
    if not admits:
        yield f"Name the authorities whose certificates you log, as `admit` in {config}: there are none yet."
    yield f"Serve: answerback log serve --with-sequencer --config {config}"
    yield f"Give {description} to authorities, and to everybody who shall believe or watch the log."
    yield "Ask others to witness and audit the log: what nobody watches proves nothing."
