"""What the commands of an authority's operator have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.serving import config_option
from answerback.serving import failing as failing_with

if TYPE_CHECKING:
    from ca_server.issuing import CertificateAuthority
    from stir.certificate import AuthorityCertificate

CONFIG_VARIABLE = "ANSWERBACK_CA_CONFIG"
config = config_option("ca.toml", CONFIG_VARIABLE, "The authority's")
limit_option = click.option(
    "--limit", metavar="COUNT", type=click.IntRange(1), default=100, show_default=True, help="How many to show."
)
after_option = click.option("--after", metavar="ID", help="Show those after this one.")


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Tell the rooms' errors as the command's."""
    from ca_server.errors import Refusal, RefusalKind
    from serving.errors import ServingError
    from stir.errors import StirError

    with failing_with(ServingError, StirError):
        try:
            yield
        except Refusal as refusal:
            detail = refusal.detail.partition(";")[0] if refusal.kind == RefusalKind.NOT_FOUND else refusal.detail
            raise Failure(detail) from refusal


@contextlib.contextmanager
def opened_authority(path: Path) -> Iterator[CertificateAuthority]:
    """Open the authority that the settings describe, for as long as the command runs."""
    from answerback.settings import load_authority
    from ca_server.app import create_authority

    authority = create_authority(load_authority(path))
    try:
        yield authority
    finally:
        authority.storage.close()


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def serial_hex(serial: int) -> str:
    """Return a serial number as it is printed: 32 hexadecimal digits."""
    return f"{serial:032x}"


def authority_data(authority: AuthorityCertificate) -> dict[str, object]:
    """Return what an authority's certificate says, as data."""
    return {
        "name": authority.common_name,
        "operator": authority.organization,
        "sha256": authority.fingerprint.hex(),
        "not_after": authority.not_after.isoformat(),
    }


def iso(time: datetime | None) -> str | None:
    """Return a time as data."""
    return None if time is None else time.isoformat()


def counted(count: int, thing: str) -> str:
    """Return how many there are of a thing, in words."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
