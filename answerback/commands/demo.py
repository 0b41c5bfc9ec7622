"""`answerback demo`: plays the whole story and shows what came of it."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.output import emit, json_option

if TYPE_CHECKING:
    from answerback.demo.steps import Step


@click.command()
@json_option
def demo(as_json: bool) -> None:
    """Play the whole story on this machine.

    Two authorities, two logs and two directories of six operators, a map of where numbers are, a mobile network that
    speaks SMPP, two people and an attacker.
    Servers listen on the loopback address only; nothing is left running or on the disk. Exits 0 only if every step came
    out as told.
    """
    from answerback.demo.errors import DemoError
    from answerback.demo.interruption import Interruption
    from answerback.demo.story import Story, stage

    begun = time.monotonic()
    tell = _keep_quiet if as_json else _tell
    try:
        with Interruption() as interruption, stage(tell, interruption) as set_up:
            story = Story(set_up, tell)
            story.play()
    except DemoError as error:
        raise Failure(str(error)) from error
    steps = story.steps
    seconds = round(time.monotonic() - begun, 1)
    ok = all(step.ok for step in steps)
    data = {"ok": ok, "seconds": seconds, "steps": [{**dataclasses.asdict(step), "ok": step.ok} for step in steps]}
    emit(as_json, data, lambda: _show(steps, seconds))
    if not ok:
        msg = f"{sum(not step.ok for step in steps)} of {len(steps)} steps did not come out as told"
        raise Failure(msg)


def _keep_quiet(_text: str) -> None:
    """Tell nothing: the reader is a program."""


def _tell(text: str) -> None:
    click.echo(f"  {text}")


def _show(steps: list[Step], seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What was told, and what came out", title_justify="left")
    for heading in ("step", "told", "came out", "deciding rule", "as told"):
        table.add_column(heading, overflow="fold")
    for step in steps:
        table.add_row(step.title, step.told, step.came_out, step.rule, "yes" if step.ok else "NO")
    console = Console()
    console.print()
    console.print(table)
    console.print(f"{sum(step.ok for step in steps)} of {len(steps)} steps came out as told, in {seconds} seconds.")
