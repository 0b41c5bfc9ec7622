"""What an operator looks at: whether everything that the authority needs is there, its keys, and a real test SMS."""

from __future__ import annotations

import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from ca_server.app import create_authority, open_storage
from ca_server.config import Config, Gateway
from ca_server.errors import ConfigurationError, SmsUnavailable
from ca_server.loading import load_config
from ca_server.logs.known_log import operator_key
from ca_server.logs.loading import read_descriptions
from ca_server.orders import Delivery
from ca_server.signing.file_key_store import FileKeyStore
from ca_server.signing.loading import open_former, open_issuer, read_authorities, read_former
from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms, SmsGateway
from ca_server.sms.loading import open_gateway
from ca_server.storage import Evidence
from serving.errors import ServingError
from stir.certificate import AuthorityCertificate
from stir.telephone_number import TelephoneNumber
from transparency.log_description import LogDescription

SOON = timedelta(days=90)
"""A certificate of the authority that ends within this is worth a warning: users must be given the next one."""
SOON_FOR_LOGS = timedelta(days=30)
"""Logs that will have no shard within this are worth a warning."""
_SQLITE = "sqlite:///"
_SMS_LIFE = timedelta(minutes=5)
_RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it will do, and what to say of it: the mistake, or a `warning` though it will do."""

    name: str
    is_ok: bool
    detail: str = ""
    warning: str = ""


@dataclass(frozen=True)
class AuthorityKey:
    """A certificate of the authority and where its key is: `file` is None in a store that has no files."""

    role: str
    key: str
    certificate: AuthorityCertificate
    file: Path | None
    is_here: bool


@dataclass(frozen=True)
class TestSms:
    """What became of a test SMS; `delivery` is as far as the gateway's receipts told in time."""

    gateway: str
    message_id: str
    delivery: Delivery


@dataclass(frozen=True)
class LogReport:
    """A log as this authority has met it. `shard` is the one for certificates issued now, None where there is none."""

    description: LogDescription
    operator: str
    shard: str | None
    timestamps: int
    last: datetime | None
    false_answers: int


@dataclass(frozen=True)
class LogsReport:
    """The logs, how many orders wait for timestamps and since when, and the false answers, newest first."""

    scts: int
    logs: tuple[LogReport, ...]
    waiting: int
    waiting_since: datetime | None
    evidence: tuple[Evidence, ...]


def check(path: Path, now: datetime, load: Callable[[Path], Config] = load_config) -> Iterator[Finding]:
    """Look at everything that serving needs, one finding after the other; change nothing but the database's version.

    `load` reads the settings at `path`.
    """
    try:
        config = load(path)
    except ServingError as error:
        yield Finding("configuration", is_ok=False, detail=str(error))
        return
    yield Finding("configuration", is_ok=True, warning=_warn_of_settings(config))
    yield _look("certificates", lambda: _look_at_certificates(config, now))
    yield _look("key", lambda: _look_at_key(config, now))
    yield _look("database", lambda: _look_at_database(config, now))
    if config.logs:
        yield _look("logs", lambda: _look_at_logs(config, now))
    for gateway in config.gateways:
        yield _look(f"gateway {gateway.name}", lambda gateway=gateway: _look_at_gateway(config, gateway))  # type: ignore[misc]


def _look(name: str, look: Callable[[], str]) -> Finding:
    """Return the finding of one look, which returns a warning or raises."""
    try:
        return Finding(name, is_ok=True, warning=look())
    except ServingError as error:
        return Finding(name, is_ok=False, detail=str(error))


def _warn_of_settings(config: Config) -> str:
    if not config.policy.countries:
        return "policy.countries is empty, so every number is refused; name the countries that you certify"
    return ""


def _look_at_certificates(config: Config, now: datetime) -> str:
    chain = read_authorities(config)
    first = min(chain, key=lambda certificate: certificate.not_valid_after_utc)
    end = first.not_valid_after_utc
    name = AuthorityCertificate.read(first).common_name
    if any(now < certificate.not_valid_before_utc for certificate in chain):
        msg = "a certificate of the authority is not valid yet; is the clock of this machine right?"
        raise ConfigurationError(msg)
    if now >= end:
        msg = f"the certificate of {name} ended on {end:%Y-%m-%d}; nothing can be issued under it"
        raise ConfigurationError(msg)
    if now < end - SOON:
        return ""
    return f"the certificate of {name} ends on {end:%Y-%m-%d}; prepare the next: answerback ca keys next"


def _look_at_key(config: Config, now: datetime) -> str:
    open_issuer(config)
    open_former(config, now)
    told = ["the keys are not encrypted"] if config.keys.unencrypted else []
    if config.keys.store == "file":
        told += _look_at_folder(config.keys.directory)
    return "; ".join(told)


def _look_at_folder(folder: Path) -> list[str]:
    """Raise where any user may put another key in a key's place; warn of what gives others less than that."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & stat.S_IWOTH:
        msg = f"{folder} lets every user of this machine replace the keys; run `chmod 700 {folder}`"
        raise ConfigurationError(msg)
    if mode & stat.S_IWGRP:
        return [f"{folder} lets its group replace the keys; run `chmod 700 {folder}`"]
    if mode & stat.S_IRWXO:
        return [f"{folder} holds the keys, and is open to every user of this machine; run `chmod 700 {folder}`"]
    return []


def _look_at_database(config: Config, now: datetime) -> str:
    storage = open_storage(config)
    try:
        ca = create_authority(config, storage=storage, clock=lambda: now)
        unknown = [name for name in storage.revocation_lists.issuers() if ca.issuer_named(name) is None]
        forgotten = [name for name in unknown if storage.certificates.has_living(name, now)]
    finally:
        storage.close()
    told = (_warn_of_issuers(forgotten), _warn_of_readers(config.database))
    return "; ".join(warning for warning in told if warning)


def _warn_of_issuers(forgotten: list[str]) -> str:
    """Warn of certificates that can be revoked, and of which no CRL would tell."""
    if not forgotten:
        return ""
    return (
        f"there are valid certificates below one that is not in the settings ({', '.join(forgotten)}), and no "
        "revocation list would tell of them; name it in authority.former"
    )


def _warn_of_readers(database: str) -> str:
    """Warn of a SQLite file that others may open, as one that was put back from a copy; it holds codes and numbers."""
    file = Path(database.removeprefix(_SQLITE))
    if database.startswith(_SQLITE) and stat.S_IMODE(file.stat().st_mode) & stat.S_IRWXO:
        return f"{file} holds codes and numbers, and is open to every user of this machine; run `chmod 600 {file}`"
    return ""


def _look_at_logs(config: Config, now: datetime) -> str:
    """Look whether enough logs take certificates that are issued now, and will take those of the next weeks."""
    described = list(zip(config.logs, read_descriptions(config), strict=True))
    policy = config.policy
    if not policy.scts:
        return "policy.scts is 0: certificates are not logged, though logs are named"
    for ahead, is_failure in ((timedelta(), True), (SOON_FOR_LOGS, False)):
        ends = now + ahead + timedelta(hours=policy.certificate_hours)
        closed = [log.name for _, log in described if log.shard_for(ends) is None]
        open_ = {operator_key(log.operator) for log, described_ in described if described_.name not in closed}
        if len(open_) < policy.scts:
            told = (
                f"too few logs take certificates that end on {ends:%Y-%m-%d}; get the newest log.json of "
                f"{', '.join(closed)}, or name other logs"
            )
            if is_failure:
                raise ConfigurationError(told)
            return told
    return ""


def _look_at_gateway(config: Config, gateway: Gateway) -> str:
    open_gateway(gateway, config.folder)
    return "outbox is no real SMS: no phone gets anything" if gateway.type == "outbox" else ""


def authority_keys(config: Config) -> tuple[AuthorityKey, ...]:
    """Return the authority's certificates, and whether each one's key is here; nothing is unlocked."""
    issuing, *above = read_authorities(config)
    anchor = above[-1] if above else issuing
    found = [("anchor" if issuing is anchor else "issuing", config.authority.key, issuing)]
    for path, certificate in zip(config.authority.chain, above, strict=True):
        found.append(("anchor" if certificate is anchor else "intermediate", path.stem, certificate))
    for former, certificate in zip(config.authority.former, read_former(config), strict=True):
        found.append(("former", former.key, certificate))
    return tuple(_authority_key(config, *one) for one in found)


def _authority_key(config: Config, role: str, name: str, certificate: x509.Certificate) -> AuthorityKey:
    file = FileKeyStore(config.keys.directory, None).path(name) if config.keys.store == "file" else None
    return AuthorityKey(role, name, AuthorityCertificate.read(certificate), file, file is None or file.is_file())


def anchor(config: Config) -> AuthorityCertificate:
    """Return the certificate that users are given."""
    return AuthorityCertificate.read(read_authorities(config)[-1])


def look_at_logs(config: Config, now: datetime, limit: int) -> LogsReport:
    """Return what an operator should know of the authority's logs, with up to `limit` false answers, newest first."""
    storage = open_storage(config)
    try:
        counts, lies = storage.timestamps.counts(), storage.evidence.counts()
        waiting, since = storage.orders.waiting_for_logs()
        evidence = tuple(storage.evidence.newest(limit))
    finally:
        storage.close()
    ends = now + timedelta(hours=config.policy.certificate_hours)
    known = tuple(
        _log_report(log.operator, described, ends, counts, lies)
        for log, described in zip(config.logs, read_descriptions(config), strict=True)
    )
    return LogsReport(config.policy.scts, known, waiting, since, evidence)


def _log_report(
    operator: str,
    described: LogDescription,
    ends: datetime,
    counts: dict[bytes, tuple[int, datetime]],
    lies: dict[str, int],
) -> LogReport:
    shard = described.shard_for(ends)
    own = [counts[shard.log_id] for shard in described.shards if shard.log_id in counts]
    return LogReport(
        description=described,
        operator=operator,
        shard=shard.name if shard else None,
        timestamps=sum(count for count, _ in own),
        last=max((last for _, last in own), default=None),
        false_answers=lies.get(described.name, 0),
    )


def write_evidence(evidence: Iterable[Evidence], folder: Path) -> list[Path]:
    """Write false answers into a new folder, and return the files.

    There are the precertificate that each answers, the timestamp, and the one that contradicts it where there is one;
    none of them in a form that only this program reads. Raises ConfigurationError where the folder cannot be made.
    """
    files: dict[str, bytes] = {}
    for index, one in enumerate(evidence, start=1):
        name = f"{index:03}-{one.lie.kind}"
        files |= {f"{name}.precertificate.der": one.precertificate, f"{name}.sct": one.lie.sct}
        files |= {f"{name}.txt": f"{one.lie.log} ({one.lie.operator}), {one.noted_at}: {one.lie.detail}\n".encode()}
        files |= {f"{name}.other.sct": one.lie.other}
    try:
        folder.mkdir(mode=0o700)
        written = [folder / name for name, content in files.items() if content]
        for path in written:
            path.write_bytes(files[path.name])
    except OSError as error:
        msg = f"{folder} cannot be written: {error.strerror}; name a folder that does not exist yet"
        raise ConfigurationError(msg) from error
    return written


def send_test_sms(
    config: Config, number: TelephoneNumber, now: datetime, *, gateway_name: str | None = None, patience: timedelta
) -> TestSms:
    """Send an SMS without a code over one gateway, and wait up to `patience` for it to be taken and delivered.

    Raises SmsError where the gateway does not take it, ConfigurationError where there is no such gateway.
    """
    gateway = open_gateway(_settings_of(config, gateway_name), config.folder)
    text = f"This is a test message of {config.authority.name}. It carries no code."
    sms = OutgoingSms(secrets.token_hex(8), number, text, now + _SMS_LIFE)
    receipts: dict[str, Delivery] = {}
    came = threading.Condition()

    def keep(receipt: DeliveryReceipt) -> None:
        with came:
            receipts[receipt.message_id] = receipt.delivery
            came.notify_all()

    deadline = time.monotonic() + patience.total_seconds()
    gateway.start(keep)
    try:
        message_id = _send_patiently(gateway, sms, deadline)
        with came:
            came.wait_for(
                lambda: receipts.get(message_id) in (Delivery.DELIVERED, Delivery.FAILED),
                timeout=max(0.0, deadline - time.monotonic()),
            )
    finally:
        gateway.close()
    return TestSms(gateway.name, message_id, receipts.get(message_id, Delivery.SENT))


def _settings_of(config: Config, name: str | None) -> Gateway:
    for gateway in config.gateways:
        if name in (None, gateway.name):
            return gateway
    names = ", ".join(gateway.name for gateway in config.gateways)
    msg = f"there is no gateway {name!r}; the gateways are: {names}"
    raise ConfigurationError(msg)


def _send_patiently(gateway: SmsGateway, sms: OutgoingSms, deadline: float) -> str:
    """Try again while the gateway is not ready, as it is at first, until the deadline."""
    while True:
        try:
            return gateway.send(sms)
        except SmsUnavailable as error:
            pause = error.retry_after.total_seconds() if error.retry_after else _RETRY_SECONDS
            if time.monotonic() + pause >= deadline:
                raise
            time.sleep(pause)
