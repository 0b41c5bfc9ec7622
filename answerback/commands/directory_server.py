"""`answerback directory init | serve | worker | import | check`: for whoever runs a directory."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from answerback.failure import Failure
from answerback.making import DIRECTORY, Given, answers, keeping_options, naming_options, tell_made
from answerback.output import emit, json_option
from answerback.serving import (
    announce,
    config_option,
    failing,
    listening,
    require_clean_end,
)

if TYPE_CHECKING:
    from number_directory.server.importing import Progress

CONFIG_VARIABLE = "ANSWERBACK_DIRECTORY_CONFIG"

_config = config_option("directory.toml", CONFIG_VARIABLE, "The directory's")


@click.command()
@naming_options(DIRECTORY)
@click.option(
    "--admit",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CA.PEM",
    help="Take what this authority's numbers sign. May be repeated.",
)
@keeping_options(DIRECTORY)
@json_option
def init(folder: Path, admit: tuple[Path, ...], as_json: bool, **given: Unpack[Given]) -> None:
    """Make a new directory in FOLDER.

    It gets a key, an admission list, settings, a database and directory.json. At a terminal you are asked for what you
    leave out.
    """
    from number_directory.server.initialise import NewDirectory, initialise

    with _failing():
        answered = answers(DIRECTORY, given)
        new = NewDirectory(
            name=answered.name,
            operator=answered.operator,
            url=answered.public_url,
            admit=admit,
            passphrase=answered.passphrase,
            passphrase_file=answered.passphrase_file,
            bind=answered.bind,
        )
        made = initialise(folder, new)
    data = {"config": str(made.config), "description": str(made.description_file), "admitted": len(admit)}

    steps = _next_steps(made.config, made.description_file, new.passphrase is None, bool(admit))
    said = f"{new.name} is made, in {made.config.parent}."
    emit(as_json, data, lambda: tell_made(said, steps))


@click.command()
@_config
@click.option("--with-worker", is_flag=True, help="Work too: everything that a small directory needs.")
@json_option
def serve(path: Path, with_worker: bool, as_json: bool) -> None:
    """Serve owners and callers until it is stopped."""
    from number_directory.server import serve as program
    from number_directory.server.loading import load_config

    with _failing():
        code = program.serve(load_config(path), listening(as_json), with_worker=with_worker)
    require_clean_end(code)


@click.command()
@_config
@json_option
def worker(path: Path, as_json: bool) -> None:
    """Keep the record log, end what was revoked or ported, and forget what has served, until it is stopped.

    One worker is at work on a database at a time; another one stands by.
    """
    from number_directory.server import serve as program
    from number_directory.server.loading import load_config

    with _failing():
        program.work(load_config(path), lambda: announce(as_json, {"working": True}, "working"))


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_config
@click.option(
    "--processes",
    metavar="COUNT",
    type=click.IntRange(1, 256),
    help="How many verify.  [default: one for each processor]",
)
@click.option("--from-start", is_flag=True, help="Begin anew, also where an import of this file was stopped.")
@json_option
def import_(file: Path, path: Path, processes: int | None, from_start: bool, as_json: bool) -> None:
    """Take the signed records and access lists in FILE, one a line. Each is verified as if its owner had sent it.

    An import that was stopped goes on where it was when the same file is imported again. What counts already stays.
    """
    from answerback.settings import load_directory
    from number_directory.server.importing import import_file

    with _failing():
        config = load_directory(path)
        done = import_file(config, file, processes or os.cpu_count() or 1, _ImportTeller(), from_start=from_start)

    def tell() -> None:
        click.echo(f"{done.taken} taken, {done.known} known before, {done.refused} refused")
        for reason, count in done.reasons.items():
            click.echo(f"  {count} times: {reason}")

    data = {"taken": done.taken, "known": done.known, "refused": done.refused, "skipped": done.skipped}
    emit(as_json, {**data, "reasons": dict(done.reasons)}, tell)


class _ImportTeller:
    """Tells on standard error how an import goes: in place at a terminal, else in a line now and then."""

    def __init__(self) -> None:
        self._begun = self._told = time.monotonic()
        self._in_place = sys.stderr.isatty()

    def __call__(self, progress: Progress) -> None:
        """Tell, unless that was just done."""
        now, done = time.monotonic(), progress.done
        if done.statements == 0:
            if done.skipped:
                click.echo(
                    f"an earlier import was stopped after {done.skipped} statements: going on behind them", err=True
                )
            return
        is_over = progress.position >= progress.size
        if not is_over and now - self._told < (_TOLD_IN_PLACE if self._in_place else _TOLD_IN_LINES):
            return
        self._told = now
        said = import_progress(progress, now - self._begun)
        click.echo(f"\r{said:<76}" if self._in_place else said, err=True, nl=is_over or not self._in_place)


_TOLD_IN_PLACE, _TOLD_IN_LINES = 0.5, 30.0


def import_progress(progress: Progress, seconds: float) -> str:
    """Return how far an import has come after `seconds`, how fast it goes and how long it will take, in words."""
    read = progress.position - progress.done.skipped_bytes
    left = (progress.size - progress.position) * seconds / max(read, 1)
    rate = progress.done.statements / max(seconds, 0.001)
    hours, minutes = divmod(round(left / 60), 60)
    time_left = f"{hours} h {minutes} min left" if hours else f"{minutes} min left" if minutes else f"{left:.0f} s left"
    share = 100 * progress.position // max(progress.size, 1)
    count = progress.done.skipped + progress.done.statements
    return f"importing: {count:,} statements, {share} %, {rate:,.0f} a second, {time_left}"


@click.command()
@_config
@json_option
def check(path: Path, as_json: bool) -> None:
    """Look whether everything that serving needs is there."""
    from answerback.settings import load_directory
    from number_directory.server.checkup import examine

    with _failing():
        config = load_directory(path)
    findings = examine(config)
    failed = [finding.name for finding in findings if not finding.is_ok]
    if as_json:
        rows = [{"name": one.name, "ok": one.is_ok, "detail": one.detail} for one in findings]
        click.echo(json.dumps({"ok": not failed, "findings": rows}, ensure_ascii=False, indent=2))
        sys.exit(bool(failed))
    for finding in findings:
        click.echo(f"{'ok    ' if finding.is_ok else 'FAILED'} {finding.name}: {finding.detail}")
    if failed:
        msg = f"{', '.join(failed)} must be mended; then run `answerback directory check` again"
        raise Failure(msg)


@click.command(name="hidden-key")
@_config
@json_option
def hidden_key(path: Path, as_json: bool) -> None:
    """Make a new key for hidden lookups, and a new directory.json that names it.

    Whoever had a number evaluated by the old key can no longer follow what is open of it. The worker makes all labels
    anew, during which hidden lookups wait; callers accept the new key once they have the new directory.json.
    """
    from number_directory.server.initialise import DESCRIPTION_NAME, renew_hidden_key
    from number_directory.server.loading import load_config

    with _failing():
        config = load_config(path)
        renew_hidden_key(config)
    description = config.folder / DESCRIPTION_NAME

    def tell() -> None:
        click.echo(f"There is a new key, which {description} names. Next: start the directory again,")
        click.echo(
            "and give the new directory.json to whoever makes the map of numbers, and to those who keep the old."
        )

    emit(as_json, {"description": str(description)}, tell)


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Tell the server's errors as the command's."""
    from serving.errors import ServingError

    with failing(ServingError):
        yield


def _next_steps(config: Path, description: Path, is_unencrypted: bool, admits: bool) -> Iterator[str]:
    if is_unencrypted:
        yield "The key is NOT encrypted: let nobody else read this folder, nor its backups."
    else:
        yield "Keep the passphrase safe, and the folder `keys` too: without either, the record log cannot go on."
    if not admits:
        home = config.parent / "admission"
        yield f"Admit authorities: ANSWERBACK_HOME={home} answerback trust add CA.PEM. There are none yet."
    yield f"Check: answerback directory check --config {config}"
    yield f"Serve: answerback directory serve --with-worker --config {config}"
    yield f"Give {description} to owners and callers, and to whoever makes the map of numbers."
