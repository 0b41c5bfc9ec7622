"""`answerback ca`: an authority from its first key to its last revocation."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from answerback.failure import Failure
from answerback.output import emit, json_option
from answerback.serving import (
    announce,
    asked,
    config_option,
    default_bind,
    failing,
    key_options,
    listening,
    new_passphrase,
    require_clean_end,
)

if TYPE_CHECKING:
    from ca_server.checkup import AuthorityKey, LogsReport
    from ca_server.initialise import Initialised, NewAuthority
    from ca_server.issuing import CertificateAuthority
    from ca_server.orders import Account, Certificate, RevocationList
    from ca_server.signing.issuer import Issuer
    from ca_server.succession import NextIssuer
    from stir.certificate import AuthorityCertificate

CONFIG_VARIABLE = "ANSWERBACK_CA_CONFIG"
_REASONS = {
    "unspecified": 0,
    "key-compromise": 1,
    "affiliation-changed": 3,
    "superseded": 4,
    "cessation-of-operation": 5,
    "privilege-withdrawn": 9,
}

_config = config_option("ca.toml", CONFIG_VARIABLE, "The authority's")
_limit = click.option(
    "--limit", metavar="COUNT", type=click.IntRange(1), default=100, show_default=True, help="How many to show."
)
_after = click.option("--after", metavar="ID", help="Show those after this one.")


@click.group()
def ca() -> None:
    """Run an authority: keys, ACME server, SMS, revocation."""
    from ca_server.audit import configure_log

    configure_log("warning")


@ca.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="What people read in the SMS and in certificates.")
@click.option("--operator", help="Who runs the authority.")
@click.option("--public-url", metavar="URL", help="Where clients will reach the server, such as https://ca.example.")
@click.option(
    "--number-prefix", "prefixes", multiple=True, metavar="+1202", help="Certify these numbers only. May be repeated."
)
@click.option(
    "--country", "countries", multiple=True, metavar="US", help="Certify this country's numbers. May be repeated."
)
@key_options
@click.option(
    "--gateway",
    type=click.Choice(["smpp", "outbox"]),
    default="smpp",
    show_default=True,
    help="How SMS are sent; outbox sends none and writes files instead.",
)
@click.option("--sender", default="answerback", show_default=True, help="What the phone shows as the sender.")
@click.option(
    "--bind",
    metavar="ADDRESS:PORT",
    help="Where the server listens.  [default: the public URL's own address, or 127.0.0.1:14000]",
)
@json_option
def init(  # an argument for each option
    folder: Path,
    name: str | None,
    operator: str | None,
    public_url: str | None,
    prefixes: tuple[str, ...],
    countries: tuple[str, ...],
    passphrase_file: Path | None,
    unencrypted_keys: bool,
    gateway: Literal["smpp", "outbox"],
    sender: str,
    bind: str | None,
    as_json: bool,
) -> None:
    """Make a new authority in FOLDER.

    It gets keys, certificates, settings and a database. At a terminal you are asked for what you leave out.
    """
    from ca_server.config import PASSPHRASE_VARIABLE
    from ca_server.initialise import NewAuthority, initialise
    from stir.telephone_number import NumberPrefix

    with _failing():
        new = NewAuthority(
            name=asked(name, "--name", "Name of the authority, for people to read"),
            operator=asked(operator, "--operator", "Operator of the authority"),
            public_url=(url := asked(public_url, "--public-url", "Public URL, such as https://ca.example")),
            prefixes=tuple(NumberPrefix.parse(prefix) for prefix in prefixes),
            countries=countries,
            passphrase=new_passphrase(passphrase_file, unencrypted_keys, PASSPHRASE_VARIABLE),
            passphrase_file=passphrase_file,
            gateway=gateway,
            sender=sender,
            bind=bind or default_bind(url, "127.0.0.1:14000"),
        )
        made = initialise(folder, new, _now)
    data = {"config": str(made.config), "keys": str(made.keys), "anchor": _authority_data(made.anchor)}
    emit(as_json, data, lambda: _tell_next_steps(made, new))


@ca.command(name="serve")
@_config
@click.option("--with-worker", is_flag=True, help="Send SMS too: everything that a small authority needs.")
@json_option
def serve_command(path: Path, with_worker: bool, as_json: bool) -> None:
    """Serve ACME until it is stopped."""
    from ca_server.loading import load_config
    from ca_server.serve import serve

    with _failing():
        code = serve(load_config(path), listening(as_json), with_worker=with_worker)
    require_clean_end(code)


@ca.command()
@_config
@json_option
def worker(path: Path, as_json: bool) -> None:
    """Send SMS, sign CRLs anew and tidy up, until it is stopped."""
    from ca_server.loading import load_config
    from ca_server.serve import work

    with _failing():
        work(load_config(path), lambda: announce(as_json, {"working": True}, "sending SMS"))


@ca.command()
@_config
@json_option
def check(path: Path, as_json: bool) -> None:
    """Look whether everything that serving needs is there."""
    from answerback.settings import load_authority
    from ca_server import checkup

    findings = []
    for finding in checkup.check(path, _now(), load_authority):
        findings.append(finding)
        if not as_json:
            click.echo(f"{'ok    ' if finding.is_ok else 'FAILED'} {finding.name}{_after_colon(finding.detail)}")
            if finding.warning:
                click.echo(f"       warning: {finding.warning}")
    failed = [finding.name for finding in findings if not finding.is_ok]
    if as_json:
        rows = [{"name": one.name, "ok": one.is_ok, "detail": one.detail, "warning": one.warning} for one in findings]
        click.echo(json.dumps({"ok": not failed, "findings": rows}, ensure_ascii=False, indent=2))
        sys.exit(bool(failed))
    if failed:
        msg = f"{', '.join(failed)} must be mended; then run `answerback ca check` again"
        raise Failure(msg)


@ca.command()
@_config
@_limit
@_after
@json_option
def accounts(path: Path, limit: int, after: str | None, as_json: bool) -> None:
    """List the accounts, oldest first."""
    from answerback.settings import load_authority
    from ca_server.app import open_storage

    with _failing():
        found = open_storage(load_authority(path)).accounts.page(after, limit)
    emit(as_json, {"accounts": [_account_data(one) for one in found]}, lambda: _tell_accounts(found))


@ca.command()
@_config
@click.option("--number", metavar="NUMBER", help="Only those of this number, such as +12025550123.")
@click.option("--show-numbers", is_flag=True, help="Print whole numbers instead of masked ones.")
@_limit
@_after
@json_option
def certificates(
    path: Path, number: str | None, show_numbers: bool, limit: int, after: str | None, as_json: bool
) -> None:
    """List the certificates that were issued, oldest first."""
    from answerback.settings import load_authority
    from ca_server.app import open_storage
    from stir.telephone_number import TelephoneNumber

    with _failing():
        storage = open_storage(load_authority(path))
        if number is None:
            found = storage.certificates.page(after, limit)
        else:
            found = storage.certificates.of_number(TelephoneNumber.parse(number))
    now = _now()
    rows = [_certificate_data(one, now, show_number=show_numbers) for one in found]
    emit(as_json, {"certificates": rows}, lambda: _tell_certificates(rows))


@ca.command()
@click.argument("serial")
@click.option("--reason", type=click.Choice(list(_REASONS)), default="unspecified", show_default=True, help="Why.")
@_config
@json_option
def revoke(serial: str, reason: str, path: Path, as_json: bool) -> None:
    """Revoke the certificate of SERIAL, and sign its CRL at once."""
    from ca_server import issuing

    with _failing(), _authority(path) as authority:
        revoked = issuing.revoke_by_operator(authority, _serial(serial), _REASONS[reason])
        issuer = authority.issuer_named(authority.storage.certificates.issuer_of(revoked.id)) or authority.issuer
        url = issuer.crl_url(revoked.shard)
    data = {"serial": _hex(revoked.serial), "reason": reason, "crl": url}
    emit(as_json, data, lambda: click.echo(f"revoked {_hex(revoked.serial)}; it stands in {url}"))


@ca.command()
@_config
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
    with _failing(), _authority(path) as authority:
        if refresh:
            issuing.refresh_crls(authority)
        shards = range(authority.issuer.crl_shards) if shard is None else (shard,)
        issuers = authority.issuers if output is None else (authority.issuer,)
        found = [(issuer, issuing.crl(authority, one, issuer.id)) for issuer in issuers for one in shards]
        rows = [_list_data(one, issuer) for issuer, one in found]
    if output is not None:
        output.write_bytes(found[0][1].der)
    emit(as_json, {"crls": rows}, lambda: _tell_lists(rows))


@ca.group(invoke_without_command=True)
@_config
@json_option
@click.pass_context
def keys(context: click.Context, path: Path, as_json: bool) -> None:
    """Show the authority's certificates, and where their keys are."""
    from answerback.settings import load_authority
    from ca_server import checkup

    if context.invoked_subcommand is not None:
        return
    with _failing():
        found = checkup.authority_keys(load_authority(path))
    rows = [
        {
            "role": one.role,
            "key": one.key,
            "file": None if one.file is None else str(one.file),
            "here": one.is_here,
            **_authority_data(one.certificate),
        }
        for one in found
    ]
    emit(as_json, {"keys": rows}, lambda: _tell_keys(found))


@keys.command("next")
@_config
@click.option("--name", help="What key and certificate are called.  [default: issuing-<year>]")
@click.option(
    "--root-keys",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder with the root's key, where that is not with the others.",
)
@json_option
def next_(path: Path, name: str | None, root_keys: Path | None, as_json: bool) -> None:
    """Make the next issuing key and certificate. Nothing uses them until the settings say so."""
    from answerback.settings import load_authority
    from ca_server.succession import make_next

    with _failing():
        made = make_next(load_authority(path), name, root_keys, _now)
    data = {"key": made.key, "file": str(made.file), **_authority_data(made.certificate)}
    emit(as_json, data, lambda: _tell_next(made, path))


@ca.command()
@_config
@click.option("--evidence", type=click.Path(path_type=Path), help="Write the false answers into this new folder.")
@_limit
@json_option
def logs(path: Path, evidence: Path | None, limit: int, as_json: bool) -> None:
    """Show the logs, what waits for them, and their false answers."""
    from answerback.settings import load_authority
    from ca_server import checkup

    with _failing():
        found = checkup.look_at_logs(load_authority(path), _now(), limit)
        files = [] if evidence is None else checkup.write_evidence(found.evidence, evidence)
    data = {
        "scts": found.scts,
        "waiting": found.waiting,
        "waiting_since": _iso(found.waiting_since),
        "logs": [
            {
                "name": one.description.name,
                "operator": one.operator,
                "url": one.description.submission_url,
                "shard": one.shard,
                "timestamps": one.timestamps,
                "last": _iso(one.last),
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
                "at": _iso(one.noted_at),
                "order": one.order_id,
            }
            for one in found.evidence
        ],
        "files": [str(file) for file in files],
    }
    emit(as_json, data, lambda: _tell_logs(found, files))


@ca.group()
def sms() -> None:
    """Try the SMS gateways."""


@sms.command(name="test")
@click.argument("number")
@_config
@click.option("--gateway", metavar="NAME", help="The gateway to try.  [default: the first]")
@click.option(
    "--patience",
    metavar="SECONDS",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Seconds to wait for delivery.",
)
@json_option
def sms_test(number: str, path: Path, gateway: str | None, patience: int, as_json: bool) -> None:
    """Send a real SMS, without a code, to NUMBER."""
    from answerback.settings import load_authority
    from ca_server import checkup
    from ca_server.orders import Delivery
    from policies.numbering_plan import parse_strictly

    with _failing():
        result = checkup.send_test_sms(
            load_authority(path),
            parse_strictly(number),
            _now(),
            gateway_name=gateway,
            patience=timedelta(seconds=patience),
        )
    if result.delivery is Delivery.FAILED:
        msg = f"gateway {result.gateway} took the message, and reports that it was not delivered"
        raise Failure(msg)
    data = {"gateway": result.gateway, "message_id": result.message_id, "delivery": result.delivery}
    told = "delivered" if result.delivery is Delivery.DELIVERED else f"taken, and no receipt came in {patience} s"
    emit(as_json, data, lambda: click.echo(f"gateway {result.gateway}: {told} (id {result.message_id})"))


@ca.command()
@_config
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the PEM here.")
@json_option
def export_anchor(path: Path, output: Path | None, as_json: bool) -> None:
    """Print the certificate that users are to believe, in PEM.

    Its fingerprint goes to standard error.
    """
    from answerback.settings import load_authority
    from ca_server import checkup
    from stir.certificate_chain import write_pem_chain

    with _failing():
        found = checkup.anchor(load_authority(path))
    pem = write_pem_chain((found.certificate,)).decode("ascii")
    if output is not None:
        output.write_text(pem, encoding="ascii")

    def tell() -> None:
        click.echo(f"SHA-256: {found.fingerprint.hex()}", err=True)
        if output is None:
            click.echo(pem, nl=False)

    emit(as_json, {**_authority_data(found), "pem": pem}, tell)


# What the commands share


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Tell the rooms' errors as the command's."""
    from ca_server.errors import Refusal, RefusalKind
    from serving.errors import ServingError
    from stir.errors import StirError

    with failing(ServingError, StirError):
        try:
            yield
        except Refusal as refusal:
            detail = refusal.detail.partition(";")[0] if refusal.kind == RefusalKind.NOT_FOUND else refusal.detail
            raise Failure(detail) from refusal


@contextlib.contextmanager
def _authority(path: Path) -> Iterator[CertificateAuthority]:
    from answerback.settings import load_authority
    from ca_server.app import create_authority

    authority = create_authority(load_authority(path))
    try:
        yield authority
    finally:
        authority.storage.close()


def _now() -> datetime:
    return datetime.now(UTC)


def _serial(text: str) -> int:
    try:
        return int(text.replace(":", ""), 16)
    except ValueError as error:
        msg = "a serial number is in hexadecimal, as `answerback ca certificates` prints it"
        raise Failure(msg) from error


def _hex(serial: int) -> str:
    return f"{serial:032x}"


def _after_colon(text: str) -> str:
    return f": {text}" if text else ""


def _authority_data(authority: AuthorityCertificate) -> dict[str, object]:
    return {
        "name": authority.common_name,
        "operator": authority.organization,
        "sha256": authority.fingerprint.hex(),
        "not_after": authority.not_after.isoformat(),
    }


def _account_data(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "status": account.status,
        "contacts": list(account.contacts),
        "created_at": account.created_at.isoformat(),
    }


def _certificate_data(certificate: Certificate, now: datetime, *, show_number: bool) -> dict[str, object]:
    revoked = certificate.revoked_at
    status = "revoked" if revoked else "expired" if now > certificate.not_after else "valid"
    return {
        "id": certificate.id,
        "serial": _hex(certificate.serial),
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


# What people read


def _tell_next_steps(made: Initialised, new: NewAuthority) -> None:
    click.echo(f"{new.name} is made, in {made.config.parent}.")
    click.echo(f"Its anchor, for users to believe, has the SHA-256 fingerprint\n  {made.anchor.fingerprint.hex()}")
    click.echo("Next:")
    for number, step in enumerate(_next_steps(made, new), start=1):
        click.echo(f"  {number}. {step}")


def _next_steps(made: Initialised, new: NewAuthority) -> Iterator[str]:
    from ca_server.config import PASSPHRASE_VARIABLE

    config = made.config
    if new.passphrase is None:
        yield "The keys are NOT encrypted: let nobody else read this folder, nor its backups."
    elif new.passphrase_file is None:
        yield f"Keep the passphrase safe; the server reads it from the environment variable {PASSPHRASE_VARIABLE}."
    yield f"Move {made.keys / 'root.key'} to a place that is never online; only the next issuing certificate needs it."
    if new.gateway == "outbox":
        yield "NO SMS IS SENT: `outbox` writes files, for development. Name a real gateway before you certify anybody."
    else:
        yield f"Fill in your SMS provider under [[gateways]] in {config}."
    if not new.countries:
        yield f"Name the countries whose numbers you certify, under [policy] in {config}: there are none yet."
    yield f"Look whether all is well: answerback ca check --config {config}"
    yield f"Serve: answerback ca serve --with-worker --config {config}"
    yield f"Give users the anchor: answerback ca export-anchor --config {config}"


def _tell_accounts(found: list[Account]) -> None:
    for one in found:
        click.echo(f"{one.id}  {one.status:<11}  {one.created_at:%Y-%m-%d %H:%M}  {' '.join(one.contacts)}")
    click.echo(_counted(len(found), "account"), err=True)


def _tell_certificates(rows: list[dict[str, object]]) -> None:
    for row in rows:
        click.echo(f"{row['serial']}  {row['number']}  {row['status']:<7}  until {row['not_after']}")
    click.echo(_counted(len(rows), "certificate"), err=True)


def _tell_lists(rows: list[dict[str, object]]) -> None:
    for row in rows:
        click.echo(f"{row['url']}  number {row['number']}, {row['entries']} entries, good until {row['next_update']}")


def _tell_keys(found: tuple[AuthorityKey, ...]) -> None:
    for one in found:
        where = "in a store of your own" if one.file is None else one.file if one.is_here else "not on this machine"
        click.echo(f"{one.role}: {one.certificate.common_name}, until {one.certificate.not_after:%Y-%m-%d}")
        click.echo(f"  SHA-256 {one.certificate.fingerprint.hex()}")
        click.echo(f"  key {one.key!r}: {where}")


def _tell_next(made: NextIssuer, config: Path) -> None:
    click.echo(f"{made.certificate.common_name} is made, until {made.certificate.not_after:%Y-%m-%d}: {made.file}")
    click.echo(f"To issue with it, write this into [authority] of {config}, and restart serve and worker:")
    click.echo(f'  certificate = "{made.file.name}"')
    click.echo(f'  key = "{made.key}"')
    click.echo(f'  former = [{{ certificate = "{made.former_file.name}", key = "{made.former_key}" }}]')
    click.echo("An entry that stands in `former` already stays there until its certificate has ended.")
    click.echo("Take the root's key away again.")


def _tell_logs(found: LogsReport, files: list[Path]) -> None:
    asked = f"{found.scts} timestamps a certificate" if found.scts else "certificates are not logged (policy.scts = 0)"
    click.echo(f"{asked}; {_counted(found.waiting, 'order')} waiting", nl=found.waiting_since is None)
    if found.waiting_since is not None:
        click.echo(f" since {found.waiting_since:%Y-%m-%d %H:%M}")
    for one in found.logs:
        last = f", the last {one.last:%Y-%m-%d %H:%M}" if one.last else ""
        shard = f"shard {one.shard}" if one.shard else "NO SHARD for certificates that are issued now"
        click.echo(f"{one.description.name} ({one.operator}), {shard}: {_counted(one.timestamps, 'timestamp')}{last}")
    for kept in found.evidence:
        lie = kept.lie
        click.echo(f"FALSE {kept.noted_at:%Y-%m-%d %H:%M}  {lie.log} ({lie.operator})  {lie.kind}: {lie.detail}")
    if files:
        click.echo(f"wrote {_counted(len(files), 'file')} into {files[0].parent}", err=True)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
