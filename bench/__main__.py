"""Run every measurement and print the table. Targets stand beside what was measured; nothing is asserted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click

from bench import authority, integration, issuance, peer, start_up, verdict
from bench.table import Row, heading, line

CLIENTS = (1, 8)


def issuance_rows(environment: Path, certificates: int) -> Iterator[Row]:
    """Ask our authority and the peer for as many certificates each, turn by turn."""
    serving_ours = partial(authority.serving, workers=issuance.WORKERS, threads=issuance.THREADS)
    serving_peer = partial(peer.serving, environment=environment, workers=issuance.WORKERS, threads=issuance.THREADS)
    for clients in CLIENTS:
        ours = issuance.measure(serving_ours, authority.subjects, clients, certificates)
        theirs = issuance.measure(serving_peer, peer.subjects, clients, certificates)
        what = f"server CPU per certificate, {clients} client{'s' if clients > 1 else ''}"
        yield Row(what, "ms", ours.cpu_ms, issuance.TARGET_CPU_MS, peer.NAME, theirs.cpu_ms)


def start_up_rows() -> Iterator[Row]:
    """Compare our --help with each command beside it."""
    ours, *others = start_up.measure()
    for other in others:
        yield Row(ours.name, "ms", ours.milliseconds, start_up.TARGET_MS, other.name, other.milliseconds)


@click.command()
@click.option("--peer", "environment", type=click.Path(exists=True, resolve_path=True, path_type=Path), required=True)
@click.option("--certificates", type=click.IntRange(min=8), default=200, show_default=True)
def main(environment: Path, certificates: int) -> None:
    """Measure and print. The peer's virtual environment is made by `make bench`."""
    parts: tuple[Callable[[], Iterator[Row]], ...] = (
        start_up_rows,
        verdict.measure,
        integration.measure,
        partial(issuance_rows, environment, certificates),
    )
    click.echo(heading())
    for part in parts:
        for row in part():
            click.echo(line(row))
    click.echo("\nA ratio above 1: ours takes less. The absolute numbers are this machine's, at this moment.")


if __name__ == "__main__":
    main()
