"""Accounts: made, found, changed, given up (RFC 8555 §7.3)."""

from __future__ import annotations

import dataclasses
import re
from typing import NoReturn

from josepy.jwk import JWK, JWKEC

from ca_server.audit import Decision, record
from ca_server.errors import Refusal, RefusalKind
from ca_server.issuing.authority import CertificateAuthority, key_hash_of, new_name
from ca_server.issuing.limits import take_tokens
from ca_server.orders import Account, Status
from policies.issuance import account_buckets

MOST_CONTACTS = 10

_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$&'*+/=^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+", re.ASCII)
_LONGEST_ADDRESS = 254


def create_account(
    ca: CertificateAuthority,
    jwk: JWK,
    contacts: tuple[str, ...],
    terms_agreed: bool,
    only_return_existing: bool,
    client_address: str,
) -> tuple[Account, bool]:
    """Return the account of a key, and whether it was made just now (RFC 8555 §7.3, §7.3.1).

    An account that exists is returned as it is, whatever else the request says. `client_address` is the IP address
    that asks: from each, only so many new accounts are taken.
    """
    thumbprint = jwk.thumbprint()
    existing = ca.storage.accounts.with_key(thumbprint)
    if existing is not None:
        return _require_valid(existing), False
    if only_return_existing:
        raise Refusal(
            RefusalKind.ACCOUNT_DOES_NOT_EXIST, "no account has this key; make one without onlyReturnExisting"
        )
    _require_terms(ca, agreed=terms_agreed)
    account = Account(
        id=new_name(ca),
        jwk=_canonical(jwk),
        thumbprint=thumbprint,
        contacts=_checked(contacts),
        terms_agreed=terms_agreed,
        created_at=ca.clock(),
    )
    with ca.storage.transaction():
        _require_no_certificate(ca, jwk)
        take_tokens(ca, account_buckets(ca.config.policy, client_address), "accounts were made", account.created_at)
        added = ca.storage.accounts.add(account)
    if added:
        record(Decision.ACCOUNT_CREATED, account=account.id)
        return account, True
    return create_account(ca, jwk, contacts, terms_agreed, only_return_existing=True, client_address=client_address)


def account(ca: CertificateAuthority, account_id: str) -> Account:
    """Return an account that may act; refuse an unknown or deactivated one."""
    found = ca.storage.accounts.get(account_id)
    if found is None:
        raise Refusal(RefusalKind.ACCOUNT_DOES_NOT_EXIST, "there is no such account here; make one with newAccount")
    return _require_valid(found)


def update_account(ca: CertificateAuthority, account: Account, contacts: tuple[str, ...] | None) -> Account:
    """Replace the contacts, unless they are None (RFC 8555 §7.3.2)."""
    if contacts is None:
        return account
    ca.storage.accounts.set_contacts(account.id, _checked(contacts))
    record(Decision.ACCOUNT_CHANGED, account=account.id, what="contacts")
    return dataclasses.replace(account, contacts=contacts)


def deactivate_account(ca: CertificateAuthority, account: Account) -> Account:
    """Give the account up for good, with all that it had under way (RFC 8555 §7.3.6). Its certificates stay valid."""
    now = ca.clock()
    with ca.storage.transaction():
        ca.storage.accounts.deactivate(account.id, now)
        ca.storage.authorizations.deactivate_of_account(account.id, now)
    record(Decision.ACCOUNT_DEACTIVATED, account=account.id)
    return dataclasses.replace(account, deactivated_at=now)


def change_key(ca: CertificateAuthority, account: Account, new_jwk: JWK) -> Account:
    """Put another key in the place of the account's (RFC 8555 §7.3.5).

    Refuses a key that an account has already as a conflict, whose `location` is that account's id. Of two changes at
    one moment, both signed with the key that was, one is refused.
    """
    thumbprint, jwk = new_jwk.thumbprint(), _canonical(new_jwk)
    _require_no_account(ca, thumbprint)
    with ca.storage.transaction():
        _require_no_certificate(ca, new_jwk)
        is_set = ca.storage.accounts.set_key(account, jwk, thumbprint)
    if not is_set:
        _refuse_overtaken(ca, account.id, thumbprint)
    record(Decision.ACCOUNT_CHANGED, account=account.id, what="key")
    return dataclasses.replace(account, jwk=jwk, thumbprint=thumbprint)


def _require_no_account(ca: CertificateAuthority, thumbprint: bytes) -> None:
    holder = ca.storage.accounts.with_key(thumbprint)
    if holder is not None:
        detail = "this key is that of an account already; choose a new key"
        raise Refusal(RefusalKind.CONFLICT, detail, location=holder.id)


def _require_no_certificate(ca: CertificateAuthority, jwk: JWK) -> None:
    """Refuse the key of a certificate: whoever has a telephone's key must not get its account too (RFC 8555 §11.1).

    To be called in the transaction that gives the key to an account: no certificate can be fixed for it meanwhile.
    """
    if not isinstance(jwk, JWKEC):
        return
    key_hash = key_hash_of(jwk.public_key().key.public_numbers().public_key())
    ca.storage.certificates.hold_key(key_hash)
    if ca.storage.certificates.is_certified(key_hash):
        detail = "this key is that of a certificate; make another for the account"
        raise Refusal(RefusalKind.BAD_PUBLIC_KEY, detail)


def _refuse_overtaken(ca: CertificateAuthority, account_id: str, new_thumbprint: bytes) -> NoReturn:
    """Refuse a change of a key, for what happened since the request was let in."""
    _require_no_account(ca, new_thumbprint)
    account(ca, account_id)
    detail = "the account got another key meanwhile; sign with the key that it has now"
    raise Refusal(RefusalKind.UNAUTHORIZED, detail)


def _require_valid(account: Account) -> Account:
    if account.status is not Status.VALID:
        detail = "this account was deactivated; make a new one with another key"
        raise Refusal(RefusalKind.ACCOUNT_DEACTIVATED, detail)
    return account


def _require_terms(ca: CertificateAuthority, *, agreed: bool) -> None:
    if ca.config.terms_of_service is not None and not agreed:
        detail = "read the terms of service, whose URL is in the index, and agree by setting termsOfServiceAgreed"
        raise Refusal(RefusalKind.USER_ACTION_REQUIRED, detail)


def _checked(contacts: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse contacts that are no mailto URL of one address without header fields (RFC 8555 §7.3)."""
    if len(contacts) > MOST_CONTACTS:
        raise Refusal(RefusalKind.INVALID_CONTACT, f"an account has at most {MOST_CONTACTS} contacts")
    for contact in contacts:
        scheme, colon, address = contact.partition(":")
        if not colon or scheme.lower() != "mailto":
            raise Refusal(
                RefusalKind.UNSUPPORTED_CONTACT, "a contact is a mailto: URL; other schemes are not used here"
            )
        if len(address) > _LONGEST_ADDRESS or not _MAIL_ADDRESS.fullmatch(address):
            raise Refusal(RefusalKind.INVALID_CONTACT, "a contact is mailto: and one plain address, without more")
    return contacts


def _canonical(jwk: JWK) -> str:
    """Return the public key's JSON, members sorted and without white space, as RFC 7638 hashes it."""
    return jwk.public_key().json_dumps(sort_keys=True, separators=(",", ":"))
