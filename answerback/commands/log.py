"""`answerback log`: a transparency log, from its first key on, and everybody who checks one.

Its commands stand in modules of their own, which are imported when asked for: see `DOORS`.
"""

from __future__ import annotations

import click

from answerback.doors import Door, DoorGroup

_SERVER = "answerback.commands.log_server"
_WATCH = "answerback.commands.log_watch"

DOORS = {
    "audit": Door(_WATCH, "audit", "Read all entries, and hold the log's index to them."),
    "describe": Door(_SERVER, "describe", "Print log.json: what authorities, trust stores and monitors are given."),
    "erase": Door(_SERVER, "erase", "Erase the certificate and the opening of the entry INDEX of SHARD."),
    "init": Door(_SERVER, "init", "Make a new log in FOLDER."),
    "monitor": Door(_WATCH, "monitor", "Show every certificate that exists for your number."),
    "prove": Door(_WATCH, "prove", "Prove that a certificate is in its logs, or check a proof."),
    "sequence": Door(_SERVER, "sequence", "Sequence what front ends have queued, until it is stopped."),
    "serve": Door(_SERVER, "serve_command", "Serve submissions, owners and readers until it is stopped."),
    "shards": Door(_SERVER, "shards", "Begin new shards of the log."),
    "status": Door(_SERVER, "status", "Show each shard: its entries, what is published of them, and what waits."),
    "witness": Door("answerback.commands.log_witness", "witness", "Cosign what logs show, never two histories of one."),
}


@click.group(cls=DoorGroup, doors=DOORS)
def log() -> None:
    """Run a log of certificates; watch, audit or witness one."""
