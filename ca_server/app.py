"""The only wiring: from settings to an authority, to its web application, and to its SMS worker.

Nothing here is global: two authorities with two databases live in one process without touching.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime

from ca_server.config import Config
from ca_server.errors import ConfigurationError
from ca_server.issuing import CertificateAuthority
from ca_server.issuing.limits import BUCKET_SECRET
from ca_server.logs.loading import open_logs
from ca_server.logs.logs import Logs
from ca_server.signing.issuer import Issuer
from ca_server.signing.loading import open_former, open_issuer
from ca_server.sms.doorbell import Doorbell
from ca_server.sms.loading import open_gateways
from ca_server.sms.routing import Routes
from ca_server.sms.worker import Worker
from ca_server.storage import Storage
from ca_server.web import build_web
from ca_server.web.application import WebApp

Clock = Callable[[], datetime]
RandomBytes = Callable[[int], bytes]


def system_clock() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def create_app(
    config: Config,
    *,
    clock: Clock = system_clock,
    random_bytes: RandomBytes = os.urandom,
    storage: Storage | None = None,
    issuer: Issuer | None = None,
) -> WebApp:
    """Return the web application of the authority that the settings describe. Call it after a fork.

    Raises a ServingError that says what to mend.
    """
    return build_web(create_authority(config, clock=clock, random_bytes=random_bytes, storage=storage, issuer=issuer))


def create_authority(
    config: Config,
    *,
    clock: Clock = system_clock,
    random_bytes: RandomBytes = os.urandom,
    storage: Storage | None = None,
    issuer: Issuer | None = None,
    logs: Logs | None = None,
) -> CertificateAuthority:
    """Return the authority that the settings describe, its database up to date and its key unlocked.

    `storage`, `issuer` and `logs` take the place of what the settings name. Raises a ServingError that says what to
    mend. Call it after a fork.
    """
    own_logs = logs or open_logs(config)
    routes = Routes.from_config(config.gateways, config.policy.min_routes)
    own_issuer = issuer or open_issuer(config)
    own_storage = storage or open_storage(config)
    own_storage.secret(BUCKET_SECRET)
    former = () if issuer else open_former(config, clock())
    for one in (own_issuer, *former):
        _refuse_fewer_shards(own_storage, one)
    return CertificateAuthority(
        config=config,
        storage=own_storage,
        issuer=own_issuer,
        routes=routes,
        clock=clock,
        random_bytes=random_bytes,
        logs=own_logs,
        doorbell=Doorbell.beside(own_storage.file),
        former=former,
    )


def open_storage(config: Config) -> Storage:
    """Return the database that the settings name, brought to this version; raise StorageError."""
    storage = Storage.open(config.database)
    storage.migrate()
    return storage


def create_worker(ca: CertificateAuthority) -> Worker:
    """Return the worker that sends the authority's SMS; raise ConfigurationError for a gateway that cannot be."""
    gateways = open_gateways(ca.config.gateways, ca.config.folder)
    return Worker(ca.storage.sms, ca.routes, gateways, clock=ca.clock, doorbell=ca.doorbell)


def _refuse_fewer_shards(storage: Storage, issuer: Issuer) -> None:
    """Keep the CRLs that certificates in the field name."""
    used = max(storage.revocation_lists.shards(issuer.id), default=-1) + 1
    if used > issuer.crl_shards:
        msg = f"authority.crl_shards: {used} shards are in use and cannot shrink; write {used} or more"
        raise ConfigurationError(msg)
