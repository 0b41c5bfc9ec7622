"""`answerback ca accounts | certificates | revoke | crl`: what an authority has issued, and taken back."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.operating import (
    after_option,
    config,
    counted,
    failing,
    limit_option,
    now,
    opened_authority,
    serial_hex,
)
from answerback.output import emit, json_option

if TYPE_CHECKING:
    from ca_server.orders import Account, Certificate, RevocationList
    from ca_server.signing.issuer import Issuer

_REASONS = {
    "unspecified": 0,
    "key-compromise": 1,
    "affiliation-changed": 3,
    "superseded": 4,
    "cessation-of-operation": 5,
    "privilege-withdrawn": 9,
}


@click.command()
@config
@limit_option
@after_option
@json_option
def accounts(path: Path, limit: int, after: str | None, as_json: bool) -> None:
    """List the accounts, oldest first."""
    from answerback.settings import load_authority
    from ca_server.app import open_storage

    with failing():
        found = open_storage(load_authority(path)).accounts.page(after, limit)
    emit(as_json, {"accounts": [_account_data(one) for one in found]}, lambda: _tell_accounts(found))


@click.command()
@config
@click.option("--number", metavar="NUMBER", help="Only those of this number, such as +12025550123.")
@click.option("--show-numbers", is_flag=True, help="Print whole numbers instead of masked ones.")
@limit_option
@after_option
@json_option
def certificates(
    path: Path, number: str | None, show_numbers: bool, limit: int, after: str | None, as_json: bool
) -> None:
    """List the certificates that were issued, oldest first."""
    from answerback.settings import load_authority
    from ca_server.app import open_storage
    from stir.telephone_number import TelephoneNumber

    with failing():
        storage = open_storage(load_authority(path))
        if number is None:
            found = storage.certificates.page(after, limit)
        else:
            found = storage.certificates.of_number(TelephoneNumber.parse(number))
    at = now()
    rows = [_certificate_data(one, at, show_number=show_numbers) for one in found]
    emit(as_json, {"certificates": rows}, lambda: _tell_certificates(rows))


@click.command()
@click.argument("serial")
@click.option("--reason", type=click.Choice(list(_REASONS)), default="unspecified", show_default=True, help="Why.")
@config
@json_option
def revoke(serial: str, reason: str, path: Path, as_json: bool) -> None:
    """Revoke the certificate of SERIAL, and sign its CRL at once."""
    from ca_server import issuing

    with failing(), opened_authority(path) as authority:
        revoked = issuing.revoke_by_operator(authority, _serial(serial), _REASONS[reason])
        issuer = authority.issuer_named(authority.storage.certificates.issuer_of(revoked.id)) or authority.issuer
        url = issuer.crl_url(revoked.shard)
    data = {"serial": serial_hex(revoked.serial), "reason": reason, "crl": url}
    emit(as_json, data, lambda: click.echo(f"revoked {serial_hex(revoked.serial)}; it stands in {url}"))


@click.command()
@config
@click.option("--refresh", is_flag=True, help="First sign those that are older than an hour.")
@click.option("--shard", metavar="NUMBER", type=click.IntRange(0), help="Only this one.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the shard's CRL here, in DER.")
@json_option
def crl(path: Path, refresh: bool, shard: int | None, output: Path | None, as_json: bool) -> None:
    """Show the CRLs, and sign them anew where asked."""
    from ca_server import issuing

    if output is not None and shard is None:
        msg = "say which CRL to write with --shard"
        raise Failure(msg)
    with failing(), opened_authority(path) as authority:
        if refresh:
            issuing.refresh_crls(authority)
        shards = range(authority.issuer.crl_shards) if shard is None else (shard,)
        issuers = authority.issuers if output is None else (authority.issuer,)
        found = [(issuer, issuing.crl(authority, one, issuer.id)) for issuer in issuers for one in shards]
        rows = [_list_data(one, issuer) for issuer, one in found]
    if output is not None:
        output.write_bytes(found[0][1].der)
    emit(as_json, {"crls": rows}, lambda: _tell_lists(rows))


def _serial(text: str) -> int:
    try:
        return int(text.replace(":", ""), 16)
    except ValueError as error:
        msg = "a serial number is in hexadecimal, as `answerback ca certificates` prints it"
        raise Failure(msg) from error


def _account_data(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "status": account.status,
        "contacts": list(account.contacts),
        "created_at": account.created_at.isoformat(),
    }


def _certificate_data(certificate: Certificate, at: datetime, *, show_number: bool) -> dict[str, object]:
    revoked = certificate.revoked_at
    status = "revoked" if revoked else "expired" if at > certificate.not_after else "valid"
    return {
        "id": certificate.id,
        "serial": serial_hex(certificate.serial),
        "number": certificate.number.e164 if show_number else certificate.number.masked,
        "status": status,
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "account": certificate.account_id,
        "shard": certificate.shard,
        "revoked_at": revoked.isoformat() if revoked else None,
        "reason": certificate.revocation_reason,
    }


def _list_data(one: RevocationList, issuer: Issuer) -> dict[str, object]:
    from cryptography import x509

    return {
        "shard": one.shard,
        "url": issuer.crl_url(one.shard),
        "number": one.number,
        "entries": len(x509.load_der_x509_crl(one.der)),
        "this_update": one.this_update.isoformat(),
        "next_update": one.next_update.isoformat(),
    }


def _tell_accounts(found: list[Account]) -> None:
    for one in found:
        click.echo(f"{one.id}  {one.status:<11}  {one.created_at:%Y-%m-%d %H:%M}  {' '.join(one.contacts)}")
    click.echo(counted(len(found), "account"), err=True)


def _tell_certificates(rows: list[dict[str, object]]) -> None:
    for row in rows:
        click.echo(f"{row['serial']}  {row['number']}  {row['status']:<7}  until {row['not_after']}")
    click.echo(counted(len(rows), "certificate"), err=True)


def _tell_lists(rows: list[dict[str, object]]) -> None:
    for row in rows:
        click.echo(f"{row['url']}  number {row['number']}, {row['entries']} entries, good until {row['next_update']}")
