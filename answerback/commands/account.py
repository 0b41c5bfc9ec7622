"""`answerback account`: the account at an authority, shown, changed or closed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.output import emit, json_option

if TYPE_CHECKING:
    from acme_client.accounts import AccountDetails
    from acme_client.network import AcmeSession
    from acme_client.store import Store

_authority = click.option("--ca", metavar="URL", help="The authority, where there are accounts at several.")
_bundle = click.option(
    "--ca-bundle", type=click.Path(path_type=Path, exists=True), help="TLS roots to believe, in PEM."
)


@click.group()
def account() -> None:
    """Show, change or close the account at an authority."""


@account.command()
@_authority
@_bundle
@json_option
def show(ca: str | None, ca_bundle: Path | None, as_json: bool) -> None:
    """Show what the authority knows of the account."""
    from acme_client import accounts
    from answerback.enrolling import failing

    with failing(), _session(_store(), ca, ca_bundle) as session:
        _tell(accounts.show(session), session.address.index_url, as_json=as_json)


@account.command()
@_authority
@_bundle
@click.option("--email", help="The new address; without it, none.")
@json_option
def update(ca: str | None, ca_bundle: Path | None, email: str | None, as_json: bool) -> None:
    """Replace the email address that the authority may write to."""
    from acme_client import accounts
    from answerback.enrolling import failing

    with failing(), _session(_store(), ca, ca_bundle) as session:
        _tell(accounts.update_email(session, email), session.address.index_url, as_json=as_json)


@account.command()
@_authority
@_bundle
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def deactivate(ca: str | None, ca_bundle: Path | None, yes: bool, as_json: bool) -> None:
    """Close the account for good and delete its key. Its certificates stay valid until they expire."""
    from acme_client import accounts
    from answerback.enrolling import failing, require_yes

    store = _store()
    with failing(), _session(store, ca, ca_bundle) as session:
        name = session.address.name
        if not yes:
            require_yes(f"Close the account at {name} for good?", "the account stays open")
        accounts.deactivate(session, store)
    data = {"authority": session.address.index_url, "status": "deactivated"}
    emit(as_json, data, lambda: click.echo(f"The account at {name} is closed."))


def _store() -> Store:
    from acme_client import Store

    return Store.open()


def _session(store: Store, ca: str | None, ca_bundle: Path | None) -> AcmeSession:
    """Return a session under the account that is meant: at `ca`, or the only one there is."""
    from acme_client import AuthorityAddress, Connection, accounts
    from acme_client.polling import SYSTEM_CLOCK

    if ca is None:
        held = [AuthorityAddress(one.ca) for one in store.accounts()]
        if len(held) != 1:
            known = f"choose with --ca one of {', '.join(one.name for one in held)}" if held else "enrol a number first"
            msg = f"{'several accounts are' if held else 'no account is'} held here: {known}"
            raise Failure(msg)
        address = held[0]
    else:
        address = AuthorityAddress.parse(ca, insecure_http=True)
    connection = Connection(ca_bundle=ca_bundle)
    return accounts.sign_in_again(store, address, connection=connection, clock=SYSTEM_CLOCK)


def _tell(details: AccountDetails, ca: str, *, as_json: bool) -> None:
    data = {"authority": ca, "account": details.url, "status": details.status, "emails": list(details.emails)}

    def human() -> None:
        click.echo(f"Account  {details.url}")
        click.echo(f"Status   {details.status}")
        click.echo(f"Email    {', '.join(details.emails) or 'none'}")

    emit(as_json, data, human)
