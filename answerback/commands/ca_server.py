"""`answerback ca init | serve | worker | check`: for whoever runs an authority."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from answerback.failure import Failure
from answerback.making import (
    AUTHORITY,
    GivenAuthority,
    authority_options,
    authority_steps,
    keeping_options,
    naming_options,
    new_authority,
    tell_authority_made,
)
from answerback.operating import (
    authority_data,
    config,
    failing,
    now,
)
from answerback.output import emit, json_option
from answerback.serving import announce, listening, require_clean_end

if TYPE_CHECKING:
    from ca_server.initialise import Initialised, NewAuthority


@click.command()
@naming_options(AUTHORITY)
@authority_options
@keeping_options(AUTHORITY)
@json_option
def init(folder: Path, as_json: bool, **given: Unpack[GivenAuthority]) -> None:
    """Make a new authority in FOLDER.

    It gets keys, certificates, settings and a database. At a terminal you are asked for what you leave out.
    """
    from ca_server.initialise import initialise

    with failing():
        new = new_authority(AUTHORITY, given)
        made = initialise(folder, new, now)
    data = {"config": str(made.config), "keys": str(made.keys), "anchor": authority_data(made.anchor)}
    emit(as_json, data, lambda: tell_authority_made(new, made.config, made.anchor, _next_steps(made, new)))


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


def _next_steps(made: Initialised, new: NewAuthority) -> Iterator[str]:
    config = made.config
    yield from authority_steps(new, config)
    yield f"Look whether all is well: answerback ca check --config {config}"
    yield f"Serve: answerback ca serve --with-worker --config {config}"
    yield f"Give users the anchor: answerback ca export-anchor --config {config}"
