"""`answerback call`: sign a call or a message, or judge one that came in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from acme_client.store import EnrolledCertificate
    from stir.passport import Passport
    from stir.telephone_number import TelephoneNumber


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
    from acme_client.one_key import companions
    from acme_client.store import Store
    from answerback.enrolling import authority_name, failing
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
        held = _held(passport.orig, ca, now)
        others = [] if ca is not None else companions(Store.open(), held, now)
        token, vouching = _signed(passport, held, others)
        text = IdentityHeader.for_token(token).format() if identity_header else token
    data = {
        "identity_header" if identity_header else "token": text,
        "ca": held.ca,
        "authorities": [one.ca for one in vouching],
        "issued_at": now.replace(microsecond=0).isoformat(),
        "certificate_expires": held.not_after.isoformat(),
    }
    if len(vouching) < 1 + len(others):
        left_out = ", ".join(authority_name(one.ca) for one in others[len(vouching) - 1 :])
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


def _signed(
    passport: Passport, held: EnrolledCertificate, others: list[EnrolledCertificate]
) -> tuple[str, list[EnrolledCertificate]]:
    """Return the token with as many chains as it has room for, and the certificates that are in it."""
    from stir.errors import PassportError
    from stir.passport import sign

    key, chains = held.key(), [other.chain() for other in others]
    while chains:
        try:
            return sign(passport, key, chain=held.chain(), more_chains=chains), [held, *others[: len(chains)]]
        except PassportError:  # too many or too large: the token is not sent without room to spare for the first
            chains.pop()
    return sign(passport, key, chain=held.chain()), [held]


def _held(number: TelephoneNumber, ca: str | None, now: datetime) -> EnrolledCertificate:
    """Return the certificate for a number that can be used for longest."""
    from acme_client.store import State, Store
    from answerback.enrolling import chosen

    found = chosen(Store.open().certificates(), number.e164, ca)
    usable = [held for held in found if held.state(now) in {State.GOOD, State.DUE} and held.not_before <= now]
    if not usable:
        msg = f"no certificate for {number.e164} is valid now: run answerback renew, or enrol the number again"
        raise Failure(msg)
    return max(usable, key=lambda held: held.not_after)
