"""`answerback trust log`: choose which transparency logs' word counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.judging import failing, open_store, place
from answerback.output import emit, json_option
from answerback.pinning import document, fingerprint, grouped, require_agreement, short_name
from trust_store.home import TrustHome

if TYPE_CHECKING:
    from trust_store import TrustedLog

_LARGEST_DESCRIPTION = 256 * 1024

_sha256_option = click.option(
    "--sha256", metavar="HEX", help="The file's fingerprint, known from elsewhere; asks no question."
)


@click.group()
def log() -> None:
    """Choose which transparency logs count.

    A log is known by the log.json that its operator hands out.
    """


@log.command()
@click.argument("source")
@_sha256_option
@click.option("--name", help="What to call the log here.  [default: from its description]")
@click.option("--operator", help="Who runs it: logs of one operator count once.  [default: from its description]")
@json_option
def add(source: str, sha256: str | None, name: str | None, operator: str | None, as_json: bool) -> None:
    """Count the word of a log.

    SOURCE is its log.json: a file, or an https URL. A certificate with anything false of this log is refused from then
    on. How many logs must have taken a certificate is said with `scts`: see answerback trust constrain --scts.
    """
    from trust_store import TrustedLog
    from trust_store.editing import add_log

    home = TrustHome.of_user()
    with failing():
        found = TrustedLog("new", "", "", _pinned(source, sha256))
        described = found.description
        added = TrustedLog(name or short_name(described.name, "log"), operator or described.operator, "", found.data)
        if sha256 is None:
            _require_agreement(added, source, as_json=as_json)
        add_log(home, added)
    said = f"{added.name} counts from now on: see {home.trust_file}"
    emit(as_json, {"added": _described(added), "file": str(home.trust_file)}, lambda: click.echo(said))


@log.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Show the logs and witnesses that count."""
    store = open_store(offline=True)
    data = {
        "file": str(store.file),
        "logs": [_described(one) for one in store.logs],
        "witnesses": [
            {"name": one.name, "operator": one.operator, "key": one.key.format(), "source": one.source}
            for one in store.witnesses
        ],
    }

    def say() -> None:
        if not store.logs:
            click.echo(f"You know no logs yet ({store.file}). Add one: answerback trust log add URL")
        for one in store.logs:
            _say(one, place(store, one.source))
        for witness in store.witnesses:
            click.echo(f"{click.style(witness.name, bold=True)}  {witness.operator}, a witness")
            click.echo(f"  {'stands at':13} {place(store, witness.source)}")

    emit(as_json, data, say)


@log.command()
@click.argument("name")
@click.argument("source")
@_sha256_option
@json_option
def update(name: str, source: str, sha256: str | None, as_json: bool) -> None:
    """Take a log's later log.json, with new shards. One that changes a shard in use is refused."""
    from trust_store import TrustedLog
    from trust_store.editing import update_log

    home = TrustHome.of_user()
    with failing():
        data = _pinned(source, sha256)
        if sha256 is None:
            _require_agreement(TrustedLog(name, "", "", data), source, as_json=as_json)
        updated = update_log(home, name, data, datetime.now(UTC))
    said = f"{name} is up to date: see {home.trust_file}"
    emit(as_json, {"updated": _described(updated), "file": str(home.trust_file)}, lambda: click.echo(said))


@log.command()
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Count the word of a log no longer."""
    from trust_store.editing import remove_log

    home = TrustHome.of_user()
    with failing():
        remove_log(home, name)
    said = f"{name} does not count any more."
    emit(as_json, {"removed": name, "file": str(home.trust_file)}, lambda: click.echo(said))


def _pinned(source: str, sha256: str | None) -> bytes:
    """Return the file that stands at `source`; refuse another than the one of the fingerprint."""
    from hashlib import sha256 as digest_of

    expected = None if sha256 is None else fingerprint(sha256)
    data = document(source, largest=_LARGEST_DESCRIPTION, any_http=expected is not None)
    found = digest_of(data).hexdigest()
    if expected is not None and found != expected:
        msg = f"what stands there has the SHA-256 {found}, which is not the one you gave: do not believe it"
        raise Failure(msg)
    return data


def _require_agreement(found: TrustedLog, source: str, *, as_json: bool) -> None:
    def show() -> None:
        click.echo(f"At {source} stands the description of a log:", err=True)
        _say(found, None, err=True)

    require_agreement(show, "Shall its word count?", as_json=as_json)


def _say(one: TrustedLog, where: str | None, *, err: bool = False) -> None:
    described = one.description
    shards = (f"{shard.name} (to {shard.not_after_limit:%Y-%m-%d})" for shard in described.shards)
    rows = {
        "operator": one.operator,
        "describes": f"{described.name} ({described.operator}), {described.monitoring_url}",
        "SHA-256": grouped(one.sha256),
        "shards": ", ".join(shards),
        "stands at": where,
    }
    click.echo(click.style(one.name, bold=True), err=err)
    for key, value in rows.items():
        if value:
            click.echo(f"  {key:13} {value}", err=err)


def _described(one: TrustedLog) -> dict[str, object]:
    described = one.description
    return {
        "name": one.name,
        "operator": one.operator,
        "sha256": one.sha256,
        "described_as": {"name": described.name, "operator": described.operator},
        "monitoring_url": described.monitoring_url,
        "shards": [
            {
                "name": shard.name,
                "origin": shard.origin,
                "not_after_start": shard.not_after_start.isoformat(),
                "not_after_limit": shard.not_after_limit.isoformat(),
                "log_id": shard.log_id.hex(),
            }
            for shard in described.shards
        ],
        "source": one.source,
    }
