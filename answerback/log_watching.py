"""What the commands that check logs have in common: whose logs, whose number, whom to tell, and when to look again."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click
from cryptography import x509

from acme_client import Store
from acme_client.errors import AcmeClientError
from answerback.failure import Failure
from stir.certificate_chain import read_pem_chain
from stir.errors import StirError
from stir.telephone_number import TelephoneNumber
from transparency.alarms import LogAtFault, one_line
from transparency.client import AuditorClient, LogClient, LogRefused, WitnessClient, fetch_description
from transparency.cosignature import CosignatureVerifier, parse_cosignature_key
from transparency.errors import TransparencyError
from transparency.log_description import LogDescription
from transparency.notifying import CommandNotifier, Notifier, WebhookNotifier, tell_all
from transparency.owner import Owner, owner_of
from transparency.proof import WitnessPolicy
from transparency.signed_note import Ed25519Verifier
from transparency.transport import HttpTransport, Unreachable
from transparency.watch_store import StoredAlarm, WatchStore, WatchStoreError
from transparency.watching import DoorKey
from trust_store import TrustStore
from trust_store.errors import TrustStoreError

Look = Callable[[], Sequence[StoredAlarm]]
"""Looks once, says what it saw, and returns the alarms."""


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Turn the errors of the rooms below into one line that says what to do."""
    try:
        yield
    except LogAtFault as fault:
        msg = f"{fault.alarm.text}. {fault.alarm.kind.advice}"
        raise Failure(msg) from fault
    except (
        AcmeClientError,
        LogRefused,
        StirError,
        TransparencyError,
        TrustStoreError,
        Unreachable,
        WatchStoreError,
    ) as error:
        raise Failure(one_line(str(error))) from error


def transport(ca_bundle: Path | None) -> HttpTransport:
    """Return the way to logs and witnesses."""
    return HttpTransport(ca_bundle)


def logs(sources: Sequence[str], way: HttpTransport) -> tuple[LogClient, ...]:
    """Return the logs of `log.json` files or URLs; without any, those of the user's trust store."""
    if sources:
        found = [_description(source, way) for source in sources]
    else:
        found = [log.description for log in TrustStore.load().logs]
    if not found:
        msg = "no log is known here: name its log.json with --log, or trust it first: answerback trust log add"
        raise Failure(msg)
    return tuple(LogClient.of(description, way) for description in found)


def _description(source: str, way: HttpTransport) -> LogDescription:
    if source.startswith(("https://", "http://")):
        return fetch_description(source, transport=way)[0]
    try:
        return LogDescription.from_json(Path(source).read_bytes())
    except OSError as error:
        msg = f"{source} cannot be read: {error.strerror}"
        raise Failure(msg) from error


def quorum(count: int) -> WitnessPolicy:
    """Return the policy that asks for so many operators of the trust store's witnesses."""
    witnesses = {witness.key: witness.operator for witness in TrustStore.load().witnesses} if count else {}
    return WitnessPolicy(witnesses, count)


def witnesses(named: Sequence[tuple[str, str]], way: HttpTransport) -> tuple[WitnessClient, ...]:
    """Return the witnesses of pairs of a name in the trust store, or a verifier key, and a URL."""
    return tuple(WitnessClient(url.rstrip("/"), _witness_key(name), way) for name, url in named)


def _witness_key(name: str) -> CosignatureVerifier:
    if "+" in name:
        return parse_cosignature_key(name)
    for witness in TrustStore.load().witnesses:
        if name in {witness.name, witness.key.name}:
            return witness.key
    msg = f"no witness is called {name} in the trust store: give its verifier key in place of the name"
    raise Failure(msg)


def auditors(named: Sequence[tuple[str, str]], way: HttpTransport) -> tuple[AuditorClient, ...]:
    """Return the auditors of the trust store, and those of pairs of a verifier key and a URL."""
    store = TrustStore.load()
    descriptions = {log.name: log.description for log in store.logs}
    trusted = (
        AuditorClient(
            one.url, one.key, way, None if one.logs is None else tuple(descriptions[name] for name in one.logs)
        )
        for one in store.auditors
    )
    given = (AuditorClient(url.rstrip("/"), Ed25519Verifier.parse(key), way) for key, url in named)
    return (*trusted, *given)


# The owner


def owner_and_key(number: TelephoneNumber) -> tuple[Owner, DoorKey | None]:
    """Return what the user holds for a number, and what opens the logs' doors, where a certificate is valid."""
    store = Store.open()
    held = [one for one in store.certificates() if one.number == number]
    if not held:
        msg = f"no certificate for {number.e164} is held here: enrol the number first, with answerback enrol"
        raise Failure(msg)
    chains = [chain for one in held for chain in (one.chain(), *one.former_chains())]
    now = datetime.now(UTC)
    valid = [one for one in held if one.is_valid(now)]
    door_key = DoorKey(valid[0].chain(), valid[0].key()) if valid else None
    return owner_of(number, chains, store.own_keys(number)), door_key


def chain_in(path: Path) -> tuple[x509.Certificate, ...]:
    """Return the chain in a PEM file; raise StirError where it is none."""
    return read_pem_chain(path.read_bytes())


# Whom to tell, and when to look


def notifiers(command: str | None, webhook: str | None, way: HttpTransport) -> tuple[Notifier, ...]:
    """Return whom to tell of alarms."""
    found: list[Notifier] = []
    if command is not None:
        arguments = tuple(shlex.split(command))
        if not arguments:
            msg = "--notify names no command"
            raise Failure(msg)
        found.append(CommandNotifier(arguments))
    if webhook is not None:
        found.append(WebhookNotifier(webhook, way))
    return tuple(found)


def watch(look: Look, store: WatchStore, told: Sequence[Notifier], every: int | None) -> bool:
    """Look once, or every so many minutes until SIGTERM or SIGINT; tell whether the last look found an alarm."""
    if every is None:
        return _look(look, store, told)
    with _stopped_by_signals() as is_stopped_within:
        while True:
            try:
                has_alarm = _look(look, store, told)
            except Failure as failure:
                failure.show()  # a daemon goes on, and looks again
                has_alarm = False
            if is_stopped_within(60 * every):
                return has_alarm


def _look(look: Look, store: WatchStore, told: Sequence[Notifier]) -> bool:
    with failing():
        alarms = look()
        _tell(alarms, store, told)
    return bool(alarms)


def _tell(alarms: Sequence[StoredAlarm], store: WatchStore, told: Sequence[Notifier]) -> None:
    if not told:
        return
    done, troubles = tell_all(told, alarms)
    for alarm in done:
        store.mark_told(alarm)
    for trouble in troubles:
        click.echo(f"Warning: {trouble}", err=True)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[Callable[[float], bool]]:
    """Yield what tells whether SIGTERM or SIGINT came, as soon as one does, at the latest after so many seconds.

    The handlers only write to a pipe. They run between any two steps of this thread, and would wait for ever for a lock
    that it holds. The signals are not blocked instead: commands that are run meanwhile would never see them.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def handle(_signal: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):  # enough of them came
            os.write(writer, b"\0")

    former = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda seconds: bool(select.select([reader], [], [], seconds)[0])
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
