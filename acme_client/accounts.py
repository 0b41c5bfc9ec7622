"""The account at one authority: found or made when it is first needed, shown, changed and closed (RFC 8555 §7.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from acme import errors as acme_errors
from acme import messages
from cryptography.hazmat.primitives.asymmetric import ec

from acme_client.addresses import AuthorityAddress
from acme_client.errors import AddressError, Misbehaved, NotHeld, Refused, TermsNotAgreed
from acme_client.network import AcmeSession, Connection, plain
from acme_client.polling import Clock
from acme_client.progress import Progress, Step, Watcher, unwatched
from acme_client.store import Store, StoredAccount

TermsDecision = Callable[[str], bool]
"""Is asked with the URL of an authority's terms of service, and answers whether they are agreed to."""


def refuse_terms(_: str) -> bool:
    """Agree to nothing."""
    return False


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who asks for an account where there is none yet: an email for the authority to write to, and a say on terms."""

    email: str | None = None
    agree: TermsDecision = refuse_terms

    def __post_init__(self) -> None:
        """Refuse what is no email."""
        if self.email is not None:
            email_contact(self.email)


NOBODY = Applicant()
"""An applicant without an email, who agrees to nothing."""


@dataclass(frozen=True, slots=True)
class AccountDetails:
    """What the authority says of the account."""

    url: str
    status: str
    emails: tuple[str, ...]


def email_contact(email: str) -> str:
    """Return the contact URL of an email; raise AddressError for what is none (RFC 8555 §7.3, RFC 6068)."""
    name, at, host = email.rpartition("@")
    if not (name and at and host) or not email.isascii() or any(mark in email for mark in ' ,?%\\"<>'):
        msg = "the email is not one: write it as name@example.org, one address without a name"
        raise AddressError(msg)
    return f"mailto:{email}"


def sign_in(
    store: Store,
    address: AuthorityAddress,
    *,
    applicant: Applicant,
    connection: Connection,
    clock: Clock,
    watch: Watcher = unwatched,
) -> AcmeSession:
    """Return a session under the account at an authority; make the account where there is none.

    The key is kept before the authority hears of it and the account's URL after, so that a killed process finds its
    account again by its key (RFC 8555 §7.3.1). Raises TermsNotAgreed where the applicant does not agree.
    """
    known, key = store.account(address), store.account_key(address)
    if known is None or known.url is None or key is None:
        with store.account_lock(address):
            key = store.make_account_key(address)
        connection = _filled_up(connection, known)
        session = AcmeSession(address, key, connection, clock)
        try:
            register(session, store, applicant, connection, watch)
        except BaseException:
            session.close()
            raise
        return session
    if connection.ca_bundle is not None:
        _remember_bundle(store, address, connection.ca_bundle)
    return _session_of(known, key, address, connection, clock)


def register(
    session: AcmeSession, store: Store, applicant: Applicant, connection: Connection, watch: Watcher = unwatched
) -> None:
    """Make the account of this session's key at the authority, or find it there, and remember it."""
    address = session.address
    watch(Progress(Step.REGISTERING, address.name, f"opening an account at {address.name}"))
    with store.account_lock(address):
        agreed = _agreed_terms(session, store.account(address), applicant)
        bundle = None if connection.ca_bundle is None else str(connection.ca_bundle.absolute())
        account = StoredAccount(ca=address.index_url, terms_agreed=agreed, ca_bundle=bundle)
        store.keep_account(address, account)
        session.account_url = _registered(session, applicant, agreed=agreed is not None)
        store.keep_account(address, msgspec.structs.replace(account, url=session.account_url))


def sign_in_again(store: Store, address: AuthorityAddress, *, connection: Connection, clock: Clock) -> AcmeSession:
    """Return a session under the account that is held; raise NotHeld where there is none."""
    known, key = store.account(address), store.account_key(address)
    if known is None or known.url is None or key is None:
        msg = f"there is no account at {address.name}: enrol a number there first"
        raise NotHeld(msg)
    return _session_of(known, key, address, connection, clock)


def show(session: AcmeSession) -> AccountDetails:
    """Return what the authority says of the account (RFC 8555 §7.3.1)."""
    with session.calling():
        found = session.client.query_registration(_resource(session))
    return _details(found)


def update_email(session: AcmeSession, email: str | None) -> AccountDetails:
    """Replace the account's contacts by one email, or by none (RFC 8555 §7.3.2)."""
    contacts = () if email is None else (email_contact(email),)
    response = session.post(_url(session), messages.UpdateRegistration(contact=contacts))
    body = session.decode(messages.Registration, response)
    return _details(messages.RegistrationResource(uri=_url(session), body=body))


def deactivate(session: AcmeSession, store: Store) -> None:
    """Close the account for good, and delete its key (RFC 8555 §7.3.6). Certificates stay valid and are kept.

    An account that the authority does not know, or has closed, is deleted here all the same.
    """
    with store.account_lock(session.address):
        try:
            with session.calling():
                session.client.deactivate_registration(_resource(session))
        except Refused as refused:
            if refused.kind not in {"accountDoesNotExist", "unauthorized"}:
                raise
        store.forget_account(session.address)


def _session_of(
    account: StoredAccount,
    key: ec.EllipticCurvePrivateKey,
    address: AuthorityAddress,
    connection: Connection,
    clock: Clock,
) -> AcmeSession:
    session = AcmeSession(address, key, _filled_up(connection, account), clock)
    session.account_url = account.url
    return session


def _filled_up(given: Connection, known: StoredAccount | None) -> Connection:
    """Return how to reach an authority: as `given`, otherwise as it was reached before."""
    if given.ca_bundle is not None or known is None or known.ca_bundle is None:
        return given
    return dataclasses.replace(given, ca_bundle=Path(known.ca_bundle))


def _remember_bundle(store: Store, address: AuthorityAddress, bundle: Path) -> None:
    """Reach the authority with these TLS roots from now on, also by night."""
    with store.account_lock(address):
        known = store.account(address)
        if known is not None and known.ca_bundle != str(bundle.absolute()):
            store.keep_account(address, msgspec.structs.replace(known, ca_bundle=str(bundle.absolute())))


def _agreed_terms(session: AcmeSession, known: StoredAccount | None, applicant: Applicant) -> str | None:
    """Return the URL of the terms that are agreed to, None where there are none; raise TermsNotAgreed."""
    terms = session.terms_url
    if terms is None or (known is not None and known.terms_agreed == terms):
        return terms
    if not applicant.agree(terms):
        raise TermsNotAgreed(terms)
    return terms


def _registered(session: AcmeSession, applicant: Applicant, *, agreed: bool) -> str:
    contact = {} if applicant.email is None else {"contact": (email_contact(applicant.email),)}
    terms = {"terms_of_service_agreed": True} if agreed else {}
    session.account_url = None
    with session.calling():
        try:
            made = session.client.new_account(messages.NewRegistration(**contact, **terms))
        except acme_errors.ConflictError as known:  # acme's word for: this key has an account already
            return str(known.location)
    if not made.uri:
        msg = f"{session.address.name} made an account but does not say where"
        raise Misbehaved(msg)
    return str(made.uri)


def _url(session: AcmeSession) -> str:
    if session.account_url is None:
        msg = f"there is no account at {session.address.name}: enrol a number there first"
        raise NotHeld(msg)
    return session.account_url


def _resource(session: AcmeSession) -> messages.RegistrationResource:
    return messages.RegistrationResource(uri=_url(session), body=messages.Registration())


def _details(found: messages.RegistrationResource) -> AccountDetails:
    emails = tuple(plain(email) for email in found.body.emails)
    # acme leaves the status of an account as the text that came, unlike that of an order
    return AccountDetails(url=plain(found.uri), status=plain(found.body.status or "unknown"), emails=emails)
