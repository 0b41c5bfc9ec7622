"""`answerback ca init | serve | worker | check`: for whoever runs an authority."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from answerback.failure import Failure
from answerback.operating import (
    authority_data,
    config,
    failing,
    now,
)
from answerback.output import emit, json_option
from answerback.serving import announce, asked, default_bind, key_options, listening, new_passphrase, require_clean_end

if TYPE_CHECKING:
    from ca_server.initialise import Initialised, NewAuthority


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="What people read in the SMS and in certificates.")
@click.option("--operator", help="Who runs the authority.")
@click.option("--public-url", metavar="URL", help="Where clients will reach the server, such as https://ca.example.")
@click.option(
    "--number-prefix", "prefixes", multiple=True, metavar="+1202", help="Certify these numbers only. May be repeated."
)
@click.option(
    "--country", "countries", multiple=True, metavar="US", help="Certify this country's numbers. May be repeated."
)
@key_options
@click.option(
    "--gateway",
    type=click.Choice(["smpp", "outbox"]),
    default="smpp",
    show_default=True,
    help="How SMS are sent; outbox sends none and writes files instead.",
)
@click.option("--sender", default="answerback", show_default=True, help="What the phone shows as the sender.")
@click.option(
    "--bind",
    metavar="ADDRESS:PORT",
    help="Where the server listens.  [default: the public URL's own address, or 127.0.0.1:14000]",
)
@json_option
def init(  # an argument for each option
    folder: Path,
    name: str | None,
    operator: str | None,
    public_url: str | None,
    prefixes: tuple[str, ...],
    countries: tuple[str, ...],
    passphrase_file: Path | None,
    unencrypted_keys: bool,
    gateway: Literal["smpp", "outbox"],
    sender: str,
    bind: str | None,
    as_json: bool,
) -> None:
    """Make a new authority in FOLDER.

    It gets keys, certificates, settings and a database. At a terminal you are asked for what you leave out.
    """
    from ca_server.config import PASSPHRASE_VARIABLE
    from ca_server.initialise import NewAuthority, initialise
    from stir.telephone_number import NumberPrefix

    with failing():
        new = NewAuthority(
            name=asked(name, "--name", "Name of the authority, for people to read"),
            operator=asked(operator, "--operator", "Operator of the authority"),
            public_url=(url := asked(public_url, "--public-url", "Public URL, such as https://ca.example")),
            prefixes=tuple(NumberPrefix.parse(prefix) for prefix in prefixes),
            countries=countries,
            passphrase=new_passphrase(passphrase_file, unencrypted_keys, PASSPHRASE_VARIABLE),
            passphrase_file=passphrase_file,
            gateway=gateway,
            sender=sender,
            bind=bind or default_bind(url, "127.0.0.1:14000"),
        )
        made = initialise(folder, new, now)
    data = {"config": str(made.config), "keys": str(made.keys), "anchor": authority_data(made.anchor)}
    emit(as_json, data, lambda: _tell_next_steps(made, new))


@click.command(name="serve")
@config
@click.option("--with-worker", is_flag=True, help="Send SMS too: everything that a small authority needs.")
@json_option
def serve_command(path: Path, with_worker: bool, as_json: bool) -> None:
    """Serve ACME until it is stopped."""
    from ca_server.loading import load_config
    from ca_server.serve import serve

    with failing():
        code = serve(load_config(path), listening(as_json), with_worker=with_worker)
    require_clean_end(code)


@click.command()
@config
@json_option
def worker(path: Path, as_json: bool) -> None:
    """Send SMS, sign CRLs anew and tidy up, until it is stopped."""
    from ca_server.loading import load_config
    from ca_server.serve import work

    with failing():
        work(load_config(path), lambda: announce(as_json, {"working": True}, "sending SMS"))


@click.command()
@config
@json_option
def check(path: Path, as_json: bool) -> None:
    """Look whether everything that serving needs is there."""
    from answerback.settings import load_authority
    from ca_server import checkup

    findings = []
    for finding in checkup.check(path, now(), load_authority):
        findings.append(finding)
        if not as_json:
            click.echo(f"{'ok    ' if finding.is_ok else 'FAILED'} {finding.name}{_after_colon(finding.detail)}")
            if finding.warning:
                click.echo(f"       warning: {finding.warning}")
    failed = [finding.name for finding in findings if not finding.is_ok]
    if as_json:
        rows = [{"name": one.name, "ok": one.is_ok, "detail": one.detail, "warning": one.warning} for one in findings]
        click.echo(json.dumps({"ok": not failed, "findings": rows}, ensure_ascii=False, indent=2))
        sys.exit(bool(failed))
    if failed:
        msg = f"{', '.join(failed)} must be mended; then run `answerback ca check` again"
        raise Failure(msg)


def _after_colon(text: str) -> str:
    return f": {text}" if text else ""


def _tell_next_steps(made: Initialised, new: NewAuthority) -> None:
    click.echo(f"{new.name} is made, in {made.config.parent}.")
    click.echo(f"Its anchor, for users to believe, has the SHA-256 fingerprint\n  {made.anchor.fingerprint.hex()}")
    click.echo("Next:")
    for number, step in enumerate(_next_steps(made, new), start=1):
        click.echo(f"  {number}. {step}")


def _next_steps(made: Initialised, new: NewAuthority) -> Iterator[str]:
    from ca_server.config import PASSPHRASE_VARIABLE

    config = made.config
    if new.passphrase is None:
        yield "The keys are NOT encrypted: let nobody else read this folder, nor its backups."
    elif new.passphrase_file is None:
        yield f"Keep the passphrase safe; the server reads it from the environment variable {PASSPHRASE_VARIABLE}."
    yield f"Move {made.keys / 'root.key'} to a place that is never online; only the next issuing certificate needs it."
    if new.gateway == "outbox":
        yield "NO SMS IS SENT: `outbox` writes files, for development. Name a real gateway before you certify anybody."
    else:
        yield f"Fill in your SMS provider under [[gateways]] in {config}."
    if not new.countries:
        yield f"Name the countries whose numbers you certify, under [policy] in {config}: there are none yet."
    yield f"Look whether all is well: answerback ca check --config {config}"
    yield f"Serve: answerback ca serve --with-worker --config {config}"
    yield f"Give users the anchor: answerback ca export-anchor --config {config}"
