"""`answerback certificates`, `renew` and `revoke`: what becomes of the certificates that are held."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.commands.enrol import report, run_all
from answerback.failure import Failure
from answerback.output import emit, json_option

if TYPE_CHECKING:
    from acme_client.revoke import HolderRevocation
    from acme_client.store import EnrolledCertificate

_REASONS = ("unspecified", "key-compromise", "superseded", "cessation-of-operation")
_COLOURS = {"good": "green", "due": "yellow", "expired": "red", "revoked": "red"}


@click.command()
@json_option
def certificates(as_json: bool) -> None:
    """Show the certificates held here, one for each number and authority."""
    from acme_client import Store
    from answerback.enrolling import described, failing

    with failing():
        held = Store.open().certificates()
    emit(as_json, {"certificates": [described(one) for one in held]}, lambda: _show(held))


@click.command()
@click.argument("number", required=False)
@click.option("--ca", metavar="URL", help="Only the certificates from this authority.")
@click.option("--force", is_flag=True, help="Renew what is not due yet, too.")
@click.option("--code-command", metavar="COMMAND", help="Run this for a code, should one be needed.")
@click.option(
    "--code-file", type=click.Path(path_type=Path), help="Wait for this file for a code, should one be needed."
)
@click.option("--ca-bundle", type=click.Path(path_type=Path, exists=True), help="TLS roots to believe, in PEM.")
@json_option
def renew(
    number: str | None,
    ca: str | None,
    force: bool,
    code_command: str | None,
    code_file: Path | None,
    ca_bundle: Path | None,
    as_json: bool,
) -> None:
    """Renew the certificates that are in the last third of their life: all of them, or those of NUMBER.

    Run it daily. No SMS is needed while the authority remembers the proof of the number; where one is, and nobody is
    at the terminal to type its code, none is sent and the command fails.
    """
    from acme_client import Connection, Store
    from acme_client.renew import due, renewal
    from answerback.enrolling import Steps, chosen, code_source, failing

    steps, store = Steps(silent=as_json), Store.open()
    with failing():
        wanted = chosen(store.certificates(), number, ca)
        if not force:
            ripe = due(store, datetime.now(UTC))
            wanted = [held for held in wanted if held in ripe]
        attended = code_command or code_file or sys.stdin.isatty()
        codes = code_source(code_command, code_file, steps) if attended else None
        enrolments = [renewal(held, store, codes, Connection(ca_bundle=ca_bundle), watch=steps) for held in wanted]
    if not enrolments and not as_json:
        click.echo("Nothing is due.")
        return
    try:
        done, failed = run_all(enrolments)
    except click.Abort:
        msg = "stopped; the certificates that were not renewed still count"
        raise Failure(msg) from None
    finally:
        steps.close()
    report(done, failed, as_json=as_json)


@click.command()
@click.argument("number", required=False)
@click.option("--ca", metavar="URL", help="The authority, where several have certified the number.")
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A certificate for your number that somebody else got, in PEM: prove the number, and revoke it.",
)
@click.option("--code-command", metavar="COMMAND", help="With --certificate: run this for the code, instead of asking.")
@click.option(
    "--code-file", type=click.Path(path_type=Path), help="With --certificate: wait for this file for the code."
)
@click.option("--agree-terms", is_flag=True, help="With --certificate: agree to the authority's terms of service.")
@click.option("--ca-bundle", type=click.Path(path_type=Path, exists=True), help="TLS roots to believe, in PEM.")
@click.option("--reason", type=click.Choice(_REASONS), default=_REASONS[0], show_default=True, help="Why.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def revoke(
    number: str | None,
    ca: str | None,
    certificate: Path | None,
    code_command: str | None,
    code_file: Path | None,
    agree_terms: bool,
    ca_bundle: Path | None,
    reason: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Revoke the certificate for NUMBER that is held here, or another one for your number. This cannot be undone.

    A certificate that somebody else got, as `answerback log monitor` shows it, is revoked at the authority that issued
    it: answerback revoke --certificate FILE --ca URL. The authority sends a code to the number first.
    """
    if certificate is None:
        if number is None:
            msg = "say which number's certificate to revoke, such as +12025550123, or name a file with --certificate"
            raise Failure(msg)
        _revoke_own(number, ca, reason, yes=yes, as_json=as_json)
        return
    if number is not None or ca is None:
        msg = "with --certificate, name the authority that issued it with --ca, and no number"
        raise Failure(msg)
    from acme_client import Applicant, Connection, Store
    from acme_client.revoke import HolderRevocation, Reason
    from answerback.enrolling import AskTerms, Steps, code_source, failing
    from stir.certificate_chain import read_pem_chain

    steps = Steps(silent=as_json)
    try:
        with failing():
            revocation = HolderRevocation(
                certificate=read_pem_chain(certificate.read_bytes())[0],
                ca=ca,
                keys=Store.open(),
                codes=code_source(code_command, code_file, steps),
                reason=Reason[reason.replace("-", "_").upper()],
                applicant=Applicant(agree=AskTerms(steps, agree_terms)),
                connection=Connection(ca_bundle=ca_bundle),
                watch=steps,
            )
            _revoke_foreign(revocation, ca, yes=yes, as_json=as_json)
    finally:
        steps.close()


def _revoke_foreign(revocation: HolderRevocation, ca: str, *, yes: bool, as_json: bool) -> None:
    """Revoke a certificate for the user's number that somebody else got."""
    from answerback.enrolling import require_yes

    number = revocation.number.e164
    if not yes:
        require_yes(f"Revoke this certificate for {number} at {ca}?", "nothing was revoked")
    revocation.run()
    serial = f"{revocation.certificate.serial_number:032x}"
    data = {"number": number, "authority": ca, "serial": serial, "state": "revoked"}
    emit(as_json, {"revoked": data}, lambda: click.echo(f"The certificate {serial} for {number} is revoked."))


def _revoke_own(number: str, ca: str | None, reason: str, *, yes: bool, as_json: bool) -> None:
    """Revoke a certificate that is held here."""
    from acme_client import Store
    from acme_client.revoke import Reason, revoke_held
    from answerback.enrolling import authority_name, chosen, described, failing, require_yes

    store = Store.open()
    with failing():
        found = chosen(store.certificates(), number, ca)
        if len(found) > 1:
            names = ", ".join(authority_name(held.ca) for held in found)
            msg = f"several authorities have certified this number: choose one of {names} with --ca"
            raise Failure(msg)
        held = found[0]
        name = authority_name(held.ca)
        if not yes:
            require_yes(f"Revoke the certificate for {held.number.e164} from {name}?", "nothing was revoked")
        revoked = revoke_held(held, store, Reason[reason.replace("-", "_").upper()])
    said = f"The certificate for {revoked.number.e164} from {name} is revoked."
    emit(as_json, {"revoked": described(revoked)}, lambda: click.echo(said))


def _show(held: list[EnrolledCertificate]) -> None:
    """Print a table."""
    from answerback.enrolling import authority_name

    if not held:
        click.echo("No certificates are held here. Get one: answerback enrol +12025550123 --ca URL")
        return
    now = datetime.now(UTC)
    rows = [(one.number.e164, authority_name(one.ca), f"{one.not_after:%Y-%m-%d %H:%M} UTC") for one in held]
    titles = ("Number", "Authority", "Until")
    widths = [max(len(title), *(len(row[column]) for row in rows)) for column, title in enumerate(titles)]
    click.echo("  ".join(title.ljust(width) for title, width in zip(titles, widths, strict=True)) + "  State")
    for one, row in zip(held, rows, strict=True):
        state = one.state(now).value
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(f"{cells}  {click.style(state, fg=_COLOURS[state])}")
