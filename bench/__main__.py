"""Run every measurement and print the table. Targets stand beside what was measured; nothing is asserted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click

from bench import (
    authority,
    choice,
    directory,
    integration,
    issuance,
    million,
    peer,
    plot,
    routing_map,
    sealed,
    start_up,
    verdict,
    waiting,
)
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


def long_rows(plotted: Path | None) -> Iterator[Row]:
    """Measure what takes minutes: proofs in trees of three sizes, a log of a million entries."""
    costs = [sealed.proof_cost(leaves) for leaves in sealed.MORE_LEAVES]
    for cost in costs:
        yield from sealed.proof_rows(cost)
    if plotted is not None:
        plotted.write_text(plot.proof_costs(costs))
    yield from million.measure()


@click.command()
@click.option("--peer", "environment", type=click.Path(exists=True, resolve_path=True, path_type=Path))
@click.option("--certificates", type=click.IntRange(min=8), default=200, show_default=True)
@click.option("--long", "is_long", is_flag=True, help="Measure what takes minutes instead: large logs.")
@click.option("--plot", "plotted", type=click.Path(dir_okay=False, path_type=Path), help="With --long: write an SVG.")
def main(environment: Path | None, certificates: int, is_long: bool, plotted: Path | None) -> None:
    """Measure and print. The peer's virtual environment is made by `make bench`; large logs need no peer."""
    if not is_long and environment is None:
        msg = "give --peer with the peer's virtual environment, as `make bench` does, or --long"
        raise click.UsageError(msg)
    parts: tuple[Callable[[], Iterator[Row]], ...] = (
        start_up_rows,
        verdict.measure,
        choice.measure,
        sealed.measure,
        integration.measure,
        waiting.measure,
        routing_map.measure,
        directory.measure,
    )
    if environment is not None:
        parts = (*parts, partial(issuance_rows, environment, certificates))
    click.echo(heading())
    for part in (partial(long_rows, plotted),) if is_long else parts:
        for row in part():
            click.echo(line(row))
    click.echo("\nA ratio above 1: ours takes less. The absolute numbers are this machine's, at this moment.")


if __name__ == "__main__":
    main()
