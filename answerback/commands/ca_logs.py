"""`answerback ca logs`: the logs that an authority shows its certificates to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.operating import (
    config,
    counted,
    failing,
    iso,
    limit_option,
    now,
)
from answerback.output import emit, json_option

if TYPE_CHECKING:
    from ca_server.checkup import LogsReport


@click.command()
@config
@click.option("--evidence", type=click.Path(path_type=Path), help="Write the false answers into this new folder.")
@limit_option
@json_option
def logs(path: Path, evidence: Path | None, limit: int, as_json: bool) -> None:
    """Show the logs, what waits for them, and their false answers."""
    from answerback.settings import load_authority
    from ca_server import checkup

    with failing():
        found = checkup.look_at_logs(load_authority(path), now(), limit)
        files = [] if evidence is None else checkup.write_evidence(found.evidence, evidence)
    data = {
        "scts": found.scts,
        "waiting": found.waiting,
        "waiting_since": iso(found.waiting_since),
        "logs": [
            {
                "name": one.description.name,
                "operator": one.operator,
                "url": one.description.submission_url,
                "shard": one.shard,
                "timestamps": one.timestamps,
                "last": iso(one.last),
                "false_answers": one.false_answers,
            }
            for one in found.logs
        ],
        "evidence": [
            {
                "log": one.lie.log,
                "operator": one.lie.operator,
                "kind": one.lie.kind,
                "detail": one.lie.detail,
                "at": iso(one.noted_at),
                "order": one.order_id,
            }
            for one in found.evidence
        ],
        "files": [str(file) for file in files],
    }
    emit(as_json, data, lambda: _tell_logs(found, files))


def _tell_logs(found: LogsReport, files: list[Path]) -> None:
    asked = f"{found.scts} timestamps a certificate" if found.scts else "certificates are not logged (policy.scts = 0)"
    click.echo(f"{asked}; {counted(found.waiting, 'order')} waiting", nl=found.waiting_since is None)
    if found.waiting_since is not None:
        click.echo(f" since {found.waiting_since:%Y-%m-%d %H:%M}")
    for one in found.logs:
        last = f", the last {one.last:%Y-%m-%d %H:%M}" if one.last else ""
        shard = f"shard {one.shard}" if one.shard else "NO SHARD for certificates that are issued now"
        click.echo(f"{one.description.name} ({one.operator}), {shard}: {counted(one.timestamps, 'timestamp')}{last}")
    for kept in found.evidence:
        lie = kept.lie
        click.echo(f"FALSE {kept.noted_at:%Y-%m-%d %H:%M}  {lie.log} ({lie.operator})  {lie.kind}: {lie.detail}")
    if files:
        click.echo(f"wrote {counted(len(files), 'file')} into {files[0].parent}", err=True)
