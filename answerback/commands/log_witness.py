"""`answerback log witness`: cosign what logs show, and never two histories of one log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from answerback.failure import Failure
from answerback.output import emit, json_option
from answerback.serving import asked, config_option, key_options, listening, passphrase_for, require_clean_end

CONFIG_VARIABLE = "ANSWERBACK_WITNESS_CONFIG"
PASSPHRASE_VARIABLE = "ANSWERBACK_WITNESS_PASSPHRASE"  # noqa: S105  # the name of a variable

_config = config_option("witness.toml", CONFIG_VARIABLE, "The witness's")


@click.group()
def witness() -> None:
    """Cosign what logs show, and never two histories of one log (C2SP tlog-witness)."""


@witness.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="Its name in cosignatures, for good, such as witness.example/w1.")
@click.option("--ml-dsa-44", is_flag=True, help="Cosign with a second key too, which quantum computers do not break.")
@key_options(PASSPHRASE_VARIABLE)
@json_option
def init(
    folder: Path,
    name: str | None,
    ml_dsa_44: bool,
    passphrase_file: Path | None,
    unencrypted_keys: bool,
    as_json: bool,
) -> None:
    """Make a new witness in FOLDER.

    It gets a key, a memory that belongs to the key, and settings. At a terminal you are asked for what you leave out.
    """
    from transparency.witness.initialise import initialise

    with _failing():
        name = asked(name, "--name", "Name of the witness, such as witness.example/w1")
        passphrase = passphrase_for(passphrase_file, unencrypted_keys, PASSPHRASE_VARIABLE, are_new=True)
        made = initialise(folder, name, passphrase, passphrase_file=passphrase_file, ml_dsa_44=ml_dsa_44)
    data = {"config": str(made.config), "key": made.verifier_key, "keys": list(made.verifier_keys)}

    def tell() -> None:
        click.echo(f"The witness {name} is made, in {folder}. Hand out its verifier key{'s' if ml_dsa_44 else ''}:")
        for key in made.verifier_keys:
            click.echo(f"  {key}")
        click.echo("Next:")
        for number, step in enumerate(_next_steps(made.config, passphrase, passphrase_file), start=1):
            click.echo(f"  {number}. {step}")
        click.echo("Never restore an older copy of its database: a witness that forgets can be led to cosign a fork.")

    emit(as_json, data, tell)


@witness.command(name="serve")
@_config
@json_option
def serve_command(path: Path, as_json: bool) -> None:
    """Serve until it is stopped."""
    from transparency.witness.config import WitnessConfig
    from transparency.witness.serve import serve

    with _failing():
        config = WitnessConfig.load(path)
        code = serve(config, config.passphrase(), listening(as_json))
    require_clean_end(code)


@witness.command()
@_config
@json_option
def status(path: Path, as_json: bool) -> None:
    """Show the verifier key, and what was cosigned last.

    For each log, it also says how much speaks against it.
    """
    from transparency.witness.config import WitnessConfig
    from transparency.witness.cosigning import open_witness

    with _failing():
        config = WitnessConfig.load(path)
        opened = open_witness(config, config.passphrase())
        cosigned, evidence = opened.latest(), opened.store.evidence()
        opened.close()
    rows = [
        {
            "origin": origin,
            "size": cosigned[origin].checkpoint.size if origin in cosigned else None,
            "cosigned_at": _when(cosigned[origin].at) if origin in cosigned else None,
            "evidence": len([one for one in evidence if one.origin == origin]),
        }
        for origin in sorted({*opened.logs, *cosigned})
    ]
    keys = opened.verifier_keys

    def tell() -> None:
        for key in keys:
            click.echo(key)
        for row in rows:
            seen = "nothing cosigned yet" if row["size"] is None else f"{row['size']} entries at {row['cosigned_at']}"
            against = f", {row['evidence']} pieces of evidence against it" if row["evidence"] else ""
            click.echo(f"{row['origin']}  {seen}{against}")

    emit(as_json, {"key": keys[0], "keys": list(keys), "logs": rows}, tell)


@witness.command()
@_config
@json_option
def evidence(path: Path, as_json: bool) -> None:
    """Show where a log signed what does not go on from before."""
    from transparency.witness.config import WitnessConfig
    from transparency.witness.cosigning import open_witness

    with _failing():
        config = WitnessConfig.load(path)
        opened = open_witness(config, config.passphrase())
        kept = opened.store.evidence()
        opened.close()
    rows = [
        {
            "origin": one.origin,
            "at": _when(one.at),
            "reason": one.reason,
            "request": one.request.decode(),
            "cosigned": None if one.cosigned is None else one.cosigned.decode(),
        }
        for one in kept
    ]

    def tell() -> None:
        for row in rows:
            click.echo(f"{row['origin']}  {row['at']}  {row['reason']}\n\nwas asked to cosign:\n\n{row['request']}")
            click.echo(f"after it had cosigned:\n\n{row['cosigned']}")
        if not rows:
            click.echo("Nothing speaks against any log.")

    emit(as_json, {"evidence": rows}, tell)


@witness.command()
@click.argument("name")
@click.argument("url")
@click.option(
    "--log",
    "sources",
    multiple=True,
    metavar="FILE|URL",
    help="A log's log.json, in place of those you trust. May be repeated.",
)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="The folder for cosigned checkpoints.")
@click.option("--ca-bundle", type=click.Path(path_type=Path, exists=True), help="TLS roots to believe, in PEM.")
@json_option
def feed(
    name: str, url: str, sources: tuple[str, ...], output: Path | None, ca_bundle: Path | None, as_json: bool
) -> None:
    """Have the witness NAME at URL cosign what logs show now. Anybody may; NAME may be its verifier key."""
    from answerback import log_watching
    from transparency.proving import cosigned_checkpoint

    way = log_watching.transport(ca_bundle)
    rows = []
    with log_watching.failing():
        (asked,) = log_watching.witnesses([(name, url)], way)
        for log in log_watching.logs(sources, way):
            for shard in log.description.shards:
                note, checkpoint = cosigned_checkpoint(log.shard(shard), [asked])
                row = {"origin": shard.origin, "size": checkpoint.size, "checkpoint": note.to_bytes().decode()}
                if output is not None:
                    row["file"] = str(_write(output, shard.origin, note.to_bytes()))
                rows.append(row)

    def tell() -> None:
        for row in rows:
            click.echo(f"{row['origin']}  {row['size']} entries, cosigned by {asked.key.name}")

    emit(as_json, {"checkpoints": rows}, tell)


def _write(folder: Path, origin: str, data: bytes) -> Path:
    path = folder / f"{''.join(one if one.isalnum() or one in '.-' else '-' for one in origin)}.checkpoint"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise Failure(msg) from error
    return path


def _when(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    from serving.errors import ServingError
    from transparency.errors import TransparencyError

    try:
        yield
    except (TransparencyError, ServingError) as error:
        raise Failure(str(error)) from error


def _next_steps(config: Path, passphrase: bytes | None, file: Path | None) -> Iterator[str]:
    if passphrase is None:
        yield "The key is NOT encrypted: let nobody else read this folder, nor its backups."
    elif file is None:
        yield f"Keep the passphrase safe; the server reads it from the environment variable {PASSPHRASE_VARIABLE}."
    yield f"Name the logs that it cosigns, as [[logs]] in {config}."
    yield f"Serve: answerback log witness serve --config {config}"
