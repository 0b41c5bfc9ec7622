"""`answerback call`: sign a call or a message, or judge one that came in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from answerback.failure import Failure
from answerback.judging import (
    EXIT_CODES_HELP,
    Circumstances,
    circumstances_options,
    exit_with,
    judged,
    open_store,
    read_file,
    read_token,
    tell,
)
from answerback.output import emit, json_option
from policies.terms import Purpose


@click.group()
def call() -> None:
    """Sign a call or a message, or judge one that came in."""


@call.command()
@click.option("--from", "orig", metavar="NUMBER", required=True, help="Your number, which is certified.")
@click.option("--to", "dest", metavar="NUMBER", required=True, help="The number that you call.")
@click.option("--message", type=click.Path(path_type=Path), help="Sign for this message (its MIME body), not a call.")
@click.option("--identity-header", is_flag=True, help="Print the value of a SIP Identity header.")
@click.option(
    "--ca", metavar="URL", help="Use the certificate from this authority.  [default: the one that lasts longest]"
)
@json_option
def sign(orig: str, dest: str, message: Path | None, identity_header: bool, ca: str | None, as_json: bool) -> None:
    """Print a signed token for a call that begins now, or a message.

    It is signed with the certificate held for your number. Other authorities' certificates for the same key come with
    it, unless you name one authority.
    """
    from acme_client.addresses import AuthorityAddress
    from acme_client.signing import sign_passport
    from acme_client.store import Store
    from answerback.enrolling import authority_name, chosen, failing
    from stir.identity_header import IdentityHeader
    from stir.passport import MESSAGE, Passport, message_integrity
    from stir.telephone_number import TelephoneNumber

    body = None if message is None else read_file(message)
    now = datetime.now(UTC)
    with failing():
        passport = Passport(
            orig=TelephoneNumber.parse(orig),
            dest=(TelephoneNumber.parse(dest).digits,),
            issued_at=int(now.timestamp()),
            ppt=None if body is None else MESSAGE,
            message_integrity=None if body is None else message_integrity(body),
        )
        store = Store.open()
        if not any(held.is_valid(now) for held in chosen(store.certificates(), orig, ca)):
            msg = f"no certificate for {orig} is valid now: run answerback renew, or enrol the number again"
            raise Failure(msg)
        address = None if ca is None else AuthorityAddress.parse(ca, insecure_http=True)
        signed = sign_passport(passport, store, now, address)
        text = IdentityHeader.for_token(signed.text).format() if identity_header else signed.text
    data = {
        "identity_header" if identity_header else "token": text,
        "ca": signed.certificate.ca,
        "authorities": [one.ca for one in (signed.certificate, *signed.others)],
        "issued_at": now.replace(microsecond=0).isoformat(),
        "certificate_expires": signed.certificate.not_after.isoformat(),
    }
    if signed.left_out:
        left_out = ", ".join(authority_name(one.ca) for one in signed.left_out)
        click.echo(f"The token has no room for the certificates from {left_out}.", err=True)
    emit(as_json, data, lambda: click.echo(text))


@call.command(epilog=EXIT_CODES_HELP)
@click.argument("token")
@circumstances_options(required=True, purposes=(Purpose.CALL, Purpose.MESSAGE))
@json_option
def verify(token: str, as_json: bool, **options: object) -> None:
    """Judge a call or a message that came in with TOKEN.

    TOKEN is a PASSporT or a SIP Identity header; - reads standard input. Verified: an authority that you believe
    certified the caller's number. Unverified: nothing is wrong, but nobody whom you believe vouches for it. Refused: a
    rule forbids to believe it.
    """
    circumstances = Circumstances.given(options)
    store = open_store(offline=bool(options["offline"]))
    verdict = judged(store, read_token(token), circumstances)
    tell(store, verdict, as_json=as_json)
    exit_with(verdict)
