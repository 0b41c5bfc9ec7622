"""`answerback enrol`: a number gets certificates from one or more authorities."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.output import emit, json_option

if TYPE_CHECKING:
    from acme_client.enrol import Enrolment
    from acme_client.store import EnrolledCertificate


@click.command()
@click.argument("number")
@click.option("--ca", "authorities", multiple=True, required=True, metavar="URL", help="An authority. May be repeated.")
@click.option(
    "--challenge",
    type=click.Choice(["sms-code", "sms-reply"]),
    default="sms-code",
    show_default=True,
    help="A short code for a person, or a long one for a program that reads the SMS.",
)
@click.option("--code-command", metavar="COMMAND", help="Run this for the code, instead of asking.")
@click.option("--code-file", type=click.Path(path_type=Path), help="Wait for this file for the code.")
@click.option("--email", help="Where the authority may write to, for a new account.")
@click.option("--agree-terms", is_flag=True, help="Agree to the authorities' terms of service.")
@click.option("--ca-bundle", type=click.Path(path_type=Path, exists=True), help="TLS roots to believe, in PEM.")
@click.option("--insecure-http", is_flag=True, help="Allow an authority without TLS that is not on this machine.")
@click.option("--force", is_flag=True, help="Order a new certificate though a good one is held.")
@click.option(
    "--same-key",
    is_flag=True,
    help="Have one key certified by all, for those who believe a number only if several authorities do.",
)
@json_option
def enrol(  # one argument for each option
    number: str,
    authorities: tuple[str, ...],
    challenge: str,
    code_command: str | None,
    code_file: Path | None,
    email: str | None,
    agree_terms: bool,
    ca_bundle: Path | None,
    insecure_http: bool,
    force: bool,
    same_key: bool,
    as_json: bool,
) -> None:
    """Get certificates for NUMBER, such as +12025550123, by SMS.

    An authority is named by its host, ca.example, or by the whole URL of its ACME index. A command that was
    interrupted goes on from where it was when it is run again.
    """
    from acme_client import Applicant, ChallengeKind, Connection, Enrolment, Store
    from acme_client.addresses import AuthorityAddress
    from acme_client.one_key import key_for_all
    from answerback.enrolling import AskTerms, Steps, code_source, failing
    from stir.telephone_number import TelephoneNumber

    steps = Steps(silent=as_json)
    with failing():
        wanted = TelephoneNumber.parse(number)
        store = Store.open()
        places = dict.fromkeys(AuthorityAddress.parse(text, insecure_http=insecure_http) for text in authorities)
        now = datetime.now(UTC)
        key = key_for_all(store, wanted, list(places), now, afresh=force) if same_key else None
        enrolments = [
            Enrolment(
                ca=place,
                number=wanted,
                keys=store,
                codes=code_source(code_command, code_file, steps),
                challenge=ChallengeKind(challenge),
                applicant=Applicant(email, AskTerms(steps, agreed=agree_terms)),
                connection=Connection(ca_bundle=ca_bundle, insecure_http=insecure_http),
                watch=steps,
                force=force,
                key=key,
            )
            for place in places
        ]
    try:
        done, failed = run_all(enrolments)
    except click.Abort:
        msg = "stopped; run the same command again to go on from here"
        raise Failure(msg) from None
    finally:
        steps.close()
    report(done, failed, as_json=as_json)


def run_all(enrolments: list[Enrolment]) -> tuple[list[EnrolledCertificate], list[tuple[str, str]]]:
    """Run each enrolment, whatever became of the others; return the certificates, and the failures by authority."""
    from acme_client.errors import AcmeClientError
    from answerback.enrolling import explain

    done: list[EnrolledCertificate] = []
    failed: list[tuple[str, str]] = []
    for enrolment in enrolments:
        try:
            done.append(enrolment.run())
        except AcmeClientError as error:
            failed.append((enrolment.address.name, explain(error)))
    return done, failed


def report(done: list[EnrolledCertificate], failed: list[tuple[str, str]], *, as_json: bool) -> None:
    """Say what came of some enrolments; fail where any of them did, with a line for each."""
    from answerback.enrolling import authority_name, described

    if failed and not done and len(failed) == 1:
        raise Failure(failed[0][1])
    data: dict[str, object] = {"certificates": [described(held) for held in done]}
    if failed:
        data["error"] = f"{len(failed)} of {len(done) + len(failed)} authorities gave no certificate"
        data["failures"] = [{"authority": name, "error": line} for name, line in failed]

    def human() -> None:
        for held in done:
            until = f"{held.not_after:%Y-%m-%d %H:%M} UTC"
            click.echo(f"{held.number.e164} is certified by {authority_name(held.ca)} until {until}: {held.chain_path}")
        for name, line in failed:
            click.echo(f"Error: {name}: {line}", err=True)

    emit(as_json, data, human)
    if failed:
        click.get_current_context().exit(Failure.exit_code)
