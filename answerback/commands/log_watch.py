"""`answerback log monitor`, `prove` and `audit`: for everybody who would rather check a log than believe it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from answerback.failure import Failure
from answerback.output import emit, json_option

if TYPE_CHECKING:
    from transparency.auditor import Audit
    from transparency.client import LogClient
    from transparency.log_description import ShardDescription
    from transparency.proving import Proven
    from transparency.signed_note import Ed25519Signer
    from transparency.watch_store import StoredAlarm, WatchStore
    from transparency.watching import NumberWatch, ShardLook

_F = TypeVar("_F", bound=Callable[..., Any])

_logs = click.option(
    "--log",
    "sources",
    multiple=True,
    metavar="FILE|URL",
    help="A log's log.json, in place of the logs you trust. May be repeated.",
)
_bundle = click.option(
    "--ca-bundle", type=click.Path(path_type=Path, exists=True), help="TLS roots to believe, in PEM."
)
_witness = click.option(
    "--witness",
    "named",
    nargs=2,
    multiple=True,
    metavar="NAME|KEY URL",
    help="A witness to ask: its name in the trust store or its verifier key, and its URL. May be repeated.",
)
_quorum = click.option(
    "--quorum",
    metavar="COUNT",
    type=click.IntRange(0),
    default=0,
    help="How many operators of trusted witnesses must have cosigned.",
)
_HOUR = 3600

_every = click.option("--every", type=click.IntRange(1), metavar="MINUTES", help="Go on, and look this often.")


def _notified(command: _F) -> _F:
    webhook = click.option(
        "--webhook",
        metavar="URL",
        envvar="ANSWERBACK_WEBHOOK",  # beside which other users of this machine do not read what is secret in it
        show_envvar=True,
        help="Post each new alarm there, as JSON.",
    )
    notify = click.option("--notify", "notify_command", metavar="COMMAND", help="Run this for each new alarm.")
    return notify(webhook(command))


@click.command()
@click.argument("number")
@_logs
@_every
@_notified
@_witness
@_quorum
@click.option(
    "--accept",
    nargs=2,
    type=(str, click.IntRange(0)),
    multiple=True,
    metavar="ORIGIN INDEX",
    help="This entry is yours: raise no alarm for it any longer. May be repeated.",
)
@click.option(
    "--auditor",
    "auditors",
    nargs=2,
    multiple=True,
    metavar="KEY URL",
    help="An auditor beside those of your trust store: its verifier key, and where it publishes. May be repeated.",
)
@click.option(
    "--quiet-after",
    type=click.IntRange(1),
    default=72,
    show_default=True,
    metavar="HOURS",
    help="How long a log may show nothing new.",
)
@click.option(
    "--stall-after",
    type=click.IntRange(1),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="How long a log may be out of reach, its index behind, or an auditor silent.",
)
@_bundle
@json_option
@click.pass_context
def monitor(
    context: click.Context,
    number: str,
    sources: tuple[str, ...],
    every: int | None,
    notify_command: str | None,
    webhook: str | None,
    named: tuple[tuple[str, str], ...],
    quorum: int,
    accept: tuple[tuple[str, int], ...],
    auditors: tuple[tuple[str, str], ...],
    quiet_after: int,
    stall_after: int,
    ca_bundle: Path | None,
    as_json: bool,
) -> None:
    """Show every certificate that exists for your NUMBER, and raise an alarm for those that you do not know.

    No SMS is needed. Each log that you trust is held to what it signed and showed before; an alarm's evidence is kept.
    The exit code is 1 where the last look found an alarm.
    """
    from answerback import log_watching
    from stir.telephone_number import TelephoneNumber
    from transparency.monitor import Policy
    from transparency.watch_store import WatchStore
    from transparency.watching import NumberWatch

    way, store = log_watching.transport(ca_bundle), WatchStore.open()
    with log_watching.failing():
        wanted = TelephoneNumber.parse(number)
        logs = log_watching.logs(sources, way)
        policy = Policy(log_watching.quorum(quorum), _HOUR * stall_after, _HOUR * quiet_after)
        asked = log_watching.witnesses(named, way)
        held_to = log_watching.auditors(auditors, way)
        told = log_watching.notifiers(notify_command, webhook, way)

    def watch() -> NumberWatch:
        """Read anew what is held: a renewal in between is the owner's own."""
        owner, door_key = log_watching.owner_and_key(wanted)
        return NumberWatch(logs, owner, door_key, store, policy, _seconds, asked, held_to)

    def look() -> list[StoredAlarm]:
        looks = watch().look()
        emit(as_json, _described(wanted.e164, looks), lambda: _say(looks))
        return [alarm for one in looks for alarm in one.alarms]

    with log_watching.failing():
        for origin, index in accept:
            if not watch().acknowledge(origin, [index]):
                msg = f"entry {index} of {origin} is not under your label, as far as was seen"
                raise Failure(msg)
    if log_watching.watch(look, store, told, every):
        context.exit(1)


@click.command()
@click.argument("certificate", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_logs
@click.option(
    "--check", "proof", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Check this proof."
)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="The folder to write proofs to.")
@_witness
@_quorum
@_bundle
@json_option
def prove(
    certificate: Path,
    sources: tuple[str, ...],
    proof: Path | None,
    output: Path | None,
    named: tuple[tuple[str, str], ...],
    quorum: int,
    ca_bundle: Path | None,
    as_json: bool,
) -> None:
    """Make proofs that CERTIFICATE, a chain in PEM, is in its logs; or check one, without asking anybody.

    A proof is a C2SP tlog-proof: a text that stands for itself, with the signatures of the log and of witnesses.
    """
    from answerback import log_watching
    from transparency import proving

    way = log_watching.transport(ca_bundle)
    with log_watching.failing():
        chain = log_watching.chain_in(certificate)
        logs = log_watching.logs(sources, way)
        policy = log_watching.quorum(quorum)
        if proof is not None:
            data = proof.read_bytes()
            found = [_checked_by_any(logs, lambda log: proving.check(data, log.description, chain, policy))]
            written = {found[0].shard.origin: proof}
        else:
            asked = log_watching.witnesses(named, way)
            found = [one for log in logs for one in proving.prove(log, chain, asked)]
            for one in found:
                policy.check(one.proof.note)
            written = {one.shard.origin: _write_proof(one, output or certificate.parent, certificate) for one in found}
    if not found:
        msg = "the certificate has no timestamp (SCT) of the logs that are known here"
        raise Failure(msg)
    emit(as_json, {"proofs": [_described_proof(one, written) for one in found]}, lambda: _say_proofs(found, written))


@click.command()
@_logs
@_every
@_notified
@click.option("--name", help="Sign right indices as this auditor, such as auditor.example.")
@click.option(
    "--key", "key_path", type=click.Path(path_type=Path, dir_okay=False), help="The auditor's key, made if new."
)
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="The folder for signed map checkpoints."
)
@_bundle
@json_option
@click.pass_context
def audit(
    context: click.Context,
    sources: tuple[str, ...],
    every: int | None,
    notify_command: str | None,
    webhook: str | None,
    name: str | None,
    key_path: Path | None,
    output: Path | None,
    ca_bundle: Path | None,
    as_json: bool,
) -> None:
    """Read all entries of the logs, make their label index anew, and compare it with what they show.

    With --name and --key the auditor signs each index that is right. The exit code is 1 where the last audit found an
    alarm.
    """
    from answerback import log_watching
    from transparency.auditor import confirmed_path
    from transparency.watch_store import WatchStore

    if (name is None) != (key_path is None):
        msg = "to sign, give both --name and --key"
        raise Failure(msg)
    way, store = log_watching.transport(ca_bundle), WatchStore.open()
    with log_watching.failing():
        logs = log_watching.logs(sources, way)
        told = log_watching.notifiers(notify_command, webhook, way)
        signer = None if name is None or key_path is None else _auditor(name, key_path)

    def look() -> list[StoredAlarm]:
        rows, alarms = [], []
        for log in logs:
            for shard in log.description.shards:
                found = _audit(log, shard, store, signer)
                kept = [store.keep_alarm(alarm, None, _seconds()) for alarm in found.alarms]
                if found.note is not None and output is not None:
                    _write(output, confirmed_path(shard.origin), found.note.to_bytes())
                rows.append(_described_audit(log, shard, found, kept))
                alarms += kept
        data: dict[str, object] = {"shards": rows}
        if signer is not None:
            data["key"] = signer.verifier.format()
        emit(as_json, data, lambda: _say_audits(rows))
        return alarms

    if log_watching.watch(look, store, told, every):
        context.exit(1)


# Monitor


def _described(number: str, looks: Sequence[ShardLook]) -> dict[str, object]:
    from transparency.notifying import document

    return {
        "number": number,
        "shards": [
            {
                "log": one.log,
                "operator": one.operator,
                "origin": one.origin,
                "size": one.size,
                "indexed": one.indexed,
                "certificates": [
                    {"index": index, "standing": known.standing.value, "timestamp_ms": known.entry.timestamp_ms}
                    for index, known in sorted(one.known.items())
                ],
                "alarms": [document(alarm) for alarm in one.alarms],
                "troubles": list(one.troubles),
            }
            for one in looks
        ],
    }


def _say(looks: Sequence[ShardLook]) -> None:
    for one in looks:
        seen = "not seen" if one.size is None else f"{one.size} entries"
        count = len(one.known)
        certificates = "no certificate" if not count else f"{count} certificate{'s' if count > 1 else ''}"
        click.echo(f"{click.style(one.log, bold=True)}  {one.origin}  {seen}, {certificates} of yours")
        for trouble in one.troubles:
            click.echo(f"  {click.style('note', fg='yellow')}  {trouble}")
        _say_alarms([_plain(alarm) for alarm in one.alarms])


def _plain(alarm: StoredAlarm) -> dict[str, object]:
    from transparency.notifying import document

    return dict(document(alarm))


def _say_alarms(alarms: Sequence[dict[str, object]]) -> None:
    for alarm in alarms:
        click.echo(f"  {click.style('ALARM', fg='red', bold=True)}  {alarm['kind']}: {alarm['text']}")
        click.echo(f"         {alarm['advice']}")
        click.echo(f"         Evidence: {alarm['evidence']}")


# Prove


def _checked_by_any(logs: Sequence[LogClient], check: Callable[[LogClient], Proven]) -> Proven:
    """Return what the first log that the proof is of makes of it."""
    from transparency.errors import TransparencyError

    trouble: TransparencyError | None = None
    for log in logs:
        try:
            return check(log)
        except TransparencyError as error:
            trouble = trouble or error
    raise trouble or TransparencyError("no log is known here")  # there is one: `logs` saw to it


def _write_proof(one: Proven, folder: Path, certificate: Path) -> Path:
    return _write(folder, f"{certificate.stem}-{_slug(one.shard.origin)}.tlog-proof", one.proof.to_bytes())


def _described_proof(one: Proven, written: dict[str, Path]) -> dict[str, object]:
    return {
        "log": one.log.name,
        "origin": one.shard.origin,
        "index": one.proof.index,
        "size": one.checkpoint.size,
        "signatures": [signature.name for signature in one.proof.note.signatures],
        "file": str(written[one.shard.origin]),
    }


def _say_proofs(found: Sequence[Proven], written: dict[str, Path]) -> None:
    from transparency.alarms import one_line

    for one in found:
        signers = one_line(", ".join(signature.name for signature in one.proof.note.signatures))
        click.echo(f"{one.log.name}: entry {one.proof.index} of {one.checkpoint.size}, signed by {signers}")
        click.echo(f"  {written[one.shard.origin]}")


# Audit


def _auditor(name: str, path: Path) -> Ed25519Signer:
    """Return the auditor's signer, whose key is made where there is none."""
    from serving.errors import ServingError
    from transparency.signed_note import Ed25519Signer
    from transparency.witness.keys import create_key, open_key

    try:
        return Ed25519Signer(name, open_key(path, None) if path.exists() else create_key(path, None))
    except ServingError as error:
        raise Failure(str(error)) from error


def _audit(log: LogClient, shard: ShardDescription, store: WatchStore, signer: Ed25519Signer | None) -> Audit:
    from transparency.auditor import OwnIndexDamaged
    from transparency.auditor import audit as audit_once

    with store.lock(f"audit {shard.origin}"):
        state, files = store.audited(shard.origin), store.index_files(shard.origin)
        try:
            found = audit_once(log.shard(shard), state, files, signer, _seconds())
        except OwnIndexDamaged as error:
            msg = (
                f"what the last audit left in {files.folder} is damaged ({error}): delete it, and audit from the start"
            )
            raise Failure(msg) from error
        store.keep_audited(shard.origin, found.state)
    return found


def _described_audit(
    log: LogClient, shard: ShardDescription, found: Audit, alarms: Sequence[StoredAlarm]
) -> dict[str, object]:
    return {
        "log": log.description.name,
        "origin": shard.origin,
        "entries": found.state.frontier.size,
        "is_right": found.note is not None,
        "alarms": [_plain(alarm) for alarm in alarms],
        "troubles": found.troubles,
    }


def _say_audits(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        right = "the index is right" if row["is_right"] else "the index was not confirmed"
        click.echo(f"{click.style(row['log'], bold=True)}  {row['origin']}  {row['entries']} entries read, {right}")
        for trouble in row["troubles"]:
            click.echo(f"  {click.style('note', fg='yellow')}  {trouble}")
        _say_alarms(row["alarms"])


# Files


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(data)
        beside.replace(path)  # a web server may be reading the old one
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise Failure(msg) from error
    return path


def _slug(origin: str) -> str:
    return "".join(one if one.isalnum() or one in ".-" else "-" for one in origin)


def _seconds() -> int:
    return int(time.time())
