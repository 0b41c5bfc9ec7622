"""`answerback trust witness` and `answerback trust auditor`: choose who watches the logs for you."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from answerback.judging import failing, open_store, place
from answerback.output import emit, json_option
from answerback.pinning import short_name
from trust_store.home import TrustHome

if TYPE_CHECKING:
    from trust_store import TrustedAuditor, TrustedWitness

_name_option = click.option("--name", help="What to call it here.  [default: from its key]")
_operator_option = click.option(
    "--operator", required=True, help="Who runs it: of one operator, however many count once."
)


@click.group()
def witness() -> None:
    """Choose whose cosignatures of logs' checkpoints count."""


@witness.command("add")
@click.argument("key")
@_name_option
@_operator_option
@json_option
def add_witness(key: str, name: str | None, operator: str, as_json: bool) -> None:
    """Count the cosignatures of a witness.

    KEY is its verifier key, such as witness.example/w1+0a1b2c3d+BAZq…. How many must have cosigned is said by whoever
    asks: `witnesses` in trust.toml, and --quorum of the log commands.
    """
    from trust_store import editing
    from trust_store.entries import WitnessEntry

    home = TrustHome.of_user()
    with failing():
        editing.add_witness(home, WitnessEntry(name or _called(key, "witness"), operator, key))
    added = next(one for one in open_store(offline=True).witnesses if one.key.format() == key)
    said = f"{added.name} counts from now on: see {home.trust_file}"
    emit(as_json, {"added": _witness(added), "file": str(home.trust_file)}, lambda: click.echo(said))


@witness.command("list")
@json_option
def list_witnesses(as_json: bool) -> None:
    """Show the witnesses whose cosignatures count."""
    store = open_store(offline=True)

    def say() -> None:
        if not store.witnesses:
            click.echo(f"You know no witnesses yet ({store.file}). Add one: answerback trust witness add KEY")
        for one in store.witnesses:
            rows: dict[str, str | None] = {"key": one.key.format(), "stands at": place(store, one.source)}
            _say(one.name, one.operator, rows)

    emit(as_json, {"file": str(store.file), "witnesses": [_witness(one) for one in store.witnesses]}, say)


@witness.command("remove")
@click.argument("name")
@json_option
def remove_witness(name: str, as_json: bool) -> None:
    """Count a witness's cosignatures no longer."""
    from trust_store import editing

    home = TrustHome.of_user()
    with failing():
        editing.remove_witness(home, name)
    said = f"{name} does not count any more."
    emit(as_json, {"removed": name, "file": str(home.trust_file)}, lambda: click.echo(said))


@click.group()
def auditor() -> None:
    """Choose who must confirm that logs' indices leave nothing out."""


@auditor.command("add")
@click.argument("key")
@click.argument("url")
@_name_option
@_operator_option
@click.option("--log", "logs", multiple=True, metavar="NAME", help="It audits this log of yours only. May be repeated.")
@json_option
def add_auditor(key: str, url: str, name: str | None, operator: str, logs: tuple[str, ...], as_json: bool) -> None:
    """Hold logs to what an auditor publishes.

    KEY is its verifier key, and URL where it publishes. It is asked whenever a number is watched.
    """
    from trust_store import editing
    from trust_store.entries import AuditorEntry

    home = TrustHome.of_user()
    with failing():
        entry = AuditorEntry(name or _called(key, "auditor"), operator, key, url, logs or None)
        editing.add_auditor(home, entry)
    added = next(one for one in open_store(offline=True).auditors if one.key.format() == key)
    said = f"{added.name} is held to from now on: see {home.trust_file}"
    emit(as_json, {"added": _auditor(added), "file": str(home.trust_file)}, lambda: click.echo(said))


@auditor.command("list")
@json_option
def list_auditors(as_json: bool) -> None:
    """Show the auditors that logs are held to."""
    store = open_store(offline=True)

    def say() -> None:
        if not store.auditors:
            click.echo(f"You know no auditors yet ({store.file}). Add one: answerback trust auditor add KEY URL")
        for one in store.auditors:
            rows: dict[str, str | None] = {
                "publishes at": one.url,
                "key": one.key.format(),
                "audits": "all logs" if one.logs is None else ", ".join(one.logs),
                "stands at": place(store, one.source),
            }
            _say(one.name, one.operator, rows)

    emit(as_json, {"file": str(store.file), "auditors": [_auditor(one) for one in store.auditors]}, say)


@auditor.command("remove")
@click.argument("name")
@json_option
def remove_auditor(name: str, as_json: bool) -> None:
    """Hold logs to an auditor no longer."""
    from trust_store import editing

    home = TrustHome.of_user()
    with failing():
        editing.remove_auditor(home, name)
    said = f"{name} is not asked any more."
    emit(as_json, {"removed": name, "file": str(home.trust_file)}, lambda: click.echo(said))


def _called(key: str, otherwise: str) -> str:
    """Return a short name made of the name in a verifier key."""
    return short_name(key.partition("+")[0], otherwise)


def _say(name: str, operator: str, rows: dict[str, str | None]) -> None:
    click.echo(f"{click.style(name, bold=True)}  {operator}")
    for key, value in rows.items():
        click.echo(f"  {key:13} {value}")


def _witness(one: TrustedWitness) -> dict[str, object]:
    return {"name": one.name, "operator": one.operator, "key": one.key.format(), "source": one.source}


def _auditor(one: TrustedAuditor) -> dict[str, object]:
    logs = None if one.logs is None else list(one.logs)
    return {
        "name": one.name,
        "operator": one.operator,
        "key": one.key.format(),
        "url": one.url,
        "logs": logs,
        "source": one.source,
    }
