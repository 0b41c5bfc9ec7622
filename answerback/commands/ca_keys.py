"""`answerback ca keys | export-anchor`: an authority's own certificates, and the next ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.operating import (
    authority_data,
    config,
    failing,
    now,
)
from answerback.output import emit, json_option

if TYPE_CHECKING:
    from ca_server.checkup import AuthorityKey
    from ca_server.succession import NextIssuer


@click.group(invoke_without_command=True)
@config
@json_option
@click.pass_context
def keys(context: click.Context, path: Path, as_json: bool) -> None:
    """Show the authority's certificates, and where their keys are."""
    from answerback.settings import load_authority
    from ca_server import checkup

    if context.invoked_subcommand is not None:
        return
    with failing():
        found = checkup.authority_keys(load_authority(path))
    rows = [
        {
            "role": one.role,
            "key": one.key,
            "file": None if one.file is None else str(one.file),
            "here": one.is_here,
            **authority_data(one.certificate),
        }
        for one in found
    ]
    emit(as_json, {"keys": rows}, lambda: _tell_keys(found))


@keys.command("next")
@config
@click.option("--name", help="What key and certificate are called.  [default: issuing-<year>]")
@click.option(
    "--root-keys",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder with the root's key, where that is not with the others.",
)
@json_option
def next_(path: Path, name: str | None, root_keys: Path | None, as_json: bool) -> None:
    """Make the next issuing key and certificate. Nothing uses them until the settings say so."""
    from answerback.settings import load_authority
    from ca_server.succession import make_next

    with failing():
        made = make_next(load_authority(path), name, root_keys, now)
    data = {"key": made.key, "file": str(made.file), **authority_data(made.certificate)}
    emit(as_json, data, lambda: _tell_next(made, path))


@click.command()
@config
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the PEM here.")
@json_option
def export_anchor(path: Path, output: Path | None, as_json: bool) -> None:
    """Print the certificate that users are to believe, in PEM.

    Its fingerprint goes to standard error.
    """
    from answerback.settings import load_authority
    from ca_server import checkup
    from stir.certificate_chain import write_pem_chain

    with failing():
        found = checkup.anchor(load_authority(path))
    pem = write_pem_chain((found.certificate,)).decode("ascii")
    if output is not None:
        output.write_text(pem, encoding="ascii")

    def tell() -> None:
        click.echo(f"SHA-256: {found.fingerprint.hex()}", err=True)
        if output is None:
            click.echo(pem, nl=False)

    emit(as_json, {**authority_data(found), "pem": pem}, tell)


def _tell_keys(found: tuple[AuthorityKey, ...]) -> None:
    for one in found:
        where = "in a store of your own" if one.file is None else one.file if one.is_here else "not on this machine"
        click.echo(f"{one.role}: {one.certificate.common_name}, until {one.certificate.not_after:%Y-%m-%d}")
        click.echo(f"  SHA-256 {one.certificate.fingerprint.hex()}")
        click.echo(f"  key {one.key!r}: {where}")


def _tell_next(made: NextIssuer, config: Path) -> None:
    click.echo(f"{made.certificate.common_name} is made, until {made.certificate.not_after:%Y-%m-%d}: {made.file}")
    click.echo(f"To issue with it, write this into [authority] of {config}, and restart serve and worker:")
    click.echo(f'  certificate = "{made.file.name}"')
    click.echo(f'  key = "{made.key}"')
    click.echo(f'  former = [{{ certificate = "{made.former_file.name}", key = "{made.former_key}" }}]')
    click.echo("An entry that stands in `former` already stays there until its certificate has ended.")
    click.echo("Take the root's key away again.")
