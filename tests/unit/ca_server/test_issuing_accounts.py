from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from josepy.jwk import JWKEC, JWKRSA

from ca_server import issuing
from ca_server.errors import KeyStoreError, Refusal, RefusalKind
from ca_server.issuing.accounts import MOST_CONTACTS
from ca_server.orders import Account, Problem, Status
from ca_server.signing.issuer import Issuer
from ca_server.storage import Storage
from policies.issuance import Cap, IssuancePolicy
from stir.telephone_number import TelephoneNumber
from tests.fakes.issuing_authority import ADDRESS, IssuingAuthority, csr, new_key

CONTACTS = ("mailto:a@example.com", "MAILTO:b+c@sub.example.org")


@pytest.fixture
def authority(storage: Storage) -> IssuingAuthority:
    """Return an authority on each database."""
    return IssuingAuthority(storage)


def jwk() -> JWKEC:
    """Return a new account key."""
    return JWKEC(key=new_key().public_key())


def create(authority: IssuingAuthority, key: JWKEC, *contacts: str) -> Account:
    """Make an account."""
    return issuing.create_account(
        authority.ca, key, contacts, terms_agreed=True, only_return_existing=False, client_address=ADDRESS
    )[0]


def refusal(caught: pytest.ExceptionInfo[Refusal]) -> RefusalKind:
    """Return why it was refused."""
    return caught.value.kind


def test_an_account_is_made_with_its_key_and_contacts(authority: IssuingAuthority) -> None:
    """A newAccount keeps the public key in canonical form, and the contacts (RFC 8555 §7.3)."""
    key = jwk()
    made = create(authority, key, *CONTACTS)
    found = issuing.account(authority.ca, made.id)
    assert found == made
    assert found.contacts == CONTACTS
    assert found.thumbprint == key.thumbprint()
    assert found.jwk.startswith('{"crv":"P-256","kty":"EC","x":"')


def test_a_private_key_never_enters_the_database(authority: IssuingAuthority) -> None:
    """Of a key pair only the public half is kept."""
    made = create(authority, JWKEC(key=new_key()))
    assert '"d"' not in made.jwk


def test_an_rsa_key_is_kept_too(authority: IssuingAuthority) -> None:
    """Account keys may be RSA."""
    key = JWKRSA(key=rsa.generate_private_key(65537, 2048).public_key())
    made, created = issuing.create_account(
        authority.ca, key, (), terms_agreed=False, only_return_existing=False, client_address=ADDRESS
    )
    assert created
    assert made.jwk.startswith('{"e":"AQAB","kty":"RSA"')


def test_a_key_that_has_an_account_gets_that_one(authority: IssuingAuthority) -> None:
    """A newAccount with a known key returns its account unchanged (RFC 8555 §7.3.1)."""
    key = jwk()
    made = create(authority, key, *CONTACTS)
    again, created = issuing.create_account(
        authority.ca, key, (), terms_agreed=False, only_return_existing=False, client_address=ADDRESS
    )
    assert (again, created) == (made, False)
    again, created = issuing.create_account(
        authority.ca, key, (), terms_agreed=False, only_return_existing=True, client_address=ADDRESS
    )
    assert (again, created) == (made, False)


def test_an_unknown_key_is_told_so_when_it_asks_for_its_account(authority: IssuingAuthority) -> None:
    """With onlyReturnExisting it makes no account: accountDoesNotExist (RFC 8555 §7.3.1)."""
    with pytest.raises(Refusal) as caught:
        issuing.create_account(
            authority.ca, jwk(), (), terms_agreed=True, only_return_existing=True, client_address=ADDRESS
        )
    assert refusal(caught) is RefusalKind.ACCOUNT_DOES_NOT_EXIST


def test_one_key_at_many_front_ends_gets_one_account(authority: IssuingAuthority) -> None:
    """Of requests at one moment with one key, one makes the account and all get it."""
    key = jwk()

    def make(_: int) -> tuple[Account, bool]:
        return issuing.create_account(
            authority.ca, key, (), terms_agreed=True, only_return_existing=False, client_address=ADDRESS
        )

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8), timeout=60))
    assert len({account.id for account, _ in made}) == 1
    assert sum(created for _, created in made) == 1


def test_a_race_that_is_lost_ends_in_the_winners_account(
    authority: IssuingAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key whose account was made between the look and the insert gets that account."""
    key = jwk()
    accounts = authority.storage.accounts
    looked = accounts.with_key(key.thumbprint())
    winner = create(authority, key)
    answers = iter([looked, winner])
    monkeypatch.setattr(type(accounts), "with_key", lambda *_: next(answers))
    assert create(authority, key) == winner


def test_terms_are_agreed_to_where_there_are_some(storage: Storage) -> None:
    """An authority with terms makes no account without agreement to them (RFC 8555 §7.3.3)."""
    authority = IssuingAuthority(storage, terms_of_service="https://ca.example/terms")
    with pytest.raises(Refusal, match="terms of service") as caught:
        issuing.create_account(
            authority.ca, jwk(), (), terms_agreed=False, only_return_existing=False, client_address=ADDRESS
        )
    assert refusal(caught) is RefusalKind.USER_ACTION_REQUIRED
    assert create(authority, jwk()).terms_agreed


@pytest.mark.parametrize(
    ("contact", "kind"),
    [
        ("tel:+12025550123", RefusalKind.UNSUPPORTED_CONTACT),
        ("a@example.com", RefusalKind.UNSUPPORTED_CONTACT),
        ("", RefusalKind.UNSUPPORTED_CONTACT),
        ("mailto:", RefusalKind.INVALID_CONTACT),
        ("mailto:nobody", RefusalKind.INVALID_CONTACT),
        ("mailto:a@example.com,b@example.com", RefusalKind.INVALID_CONTACT),
        ("mailto:a@example.com?subject=x", RefusalKind.INVALID_CONTACT),
        ("mailto:a@example.com\n", RefusalKind.INVALID_CONTACT),
        (f"mailto:a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.{'f' * 60}", RefusalKind.INVALID_CONTACT),
    ],
)
def test_a_contact_that_is_no_mail_address_is_refused(
    authority: IssuingAuthority, contact: str, kind: RefusalKind
) -> None:
    """Other schemes are unsupportedContact, and mailto with more or less than an address invalidContact (§7.3)."""
    with pytest.raises(Refusal) as caught:
        create(authority, jwk(), contact)
    assert refusal(caught) is kind
    account = create(authority, jwk(), *CONTACTS)
    with pytest.raises(Refusal):
        issuing.update_account(authority.ca, account, (contact,))
    assert issuing.account(authority.ca, account.id).contacts == CONTACTS


def test_too_many_contacts_are_refused(authority: IssuingAuthority) -> None:
    """An account is no mailing list."""
    with pytest.raises(Refusal) as caught:
        create(authority, jwk(), *["mailto:a@example.com"] * (MOST_CONTACTS + 1))
    assert refusal(caught) is RefusalKind.INVALID_CONTACT


def test_contacts_are_replaced_or_left(authority: IssuingAuthority) -> None:
    """An update replaces the contacts it names, and no contacts leaves them (RFC 8555 §7.3.2)."""
    account = create(authority, jwk(), *CONTACTS)
    assert issuing.update_account(authority.ca, account, None) == account
    changed = issuing.update_account(authority.ca, account, ())
    assert issuing.account(authority.ca, account.id) == changed
    assert changed.contacts == ()


def test_an_unknown_account_does_not_exist(authority: IssuingAuthority) -> None:
    """A key id that names no account is accountDoesNotExist (RFC 8555 §6.2)."""
    with pytest.raises(Refusal) as caught:
        issuing.account(authority.ca, "nobody")
    assert refusal(caught) is RefusalKind.ACCOUNT_DOES_NOT_EXIST


def test_a_deactivated_account_may_do_nothing(authority: IssuingAuthority) -> None:
    """After deactivation neither the account nor its key is served (RFC 8555 §7.3.6)."""
    key = jwk()
    account = create(authority, key)
    assert issuing.deactivate_account(authority.ca, account).status is Status.DEACTIVATED
    with pytest.raises(Refusal) as caught:
        issuing.account(authority.ca, account.id)
    assert refusal(caught) is RefusalKind.ACCOUNT_DEACTIVATED
    with pytest.raises(Refusal) as caught:
        create(authority, key)
    assert refusal(caught) is RefusalKind.ACCOUNT_DEACTIVATED


def test_deactivation_gives_up_what_was_under_way(authority: IssuingAuthority) -> None:
    """Pending and valid authorizations of a deactivated account are deactivated, and no SMS of theirs is sent."""
    client = authority.client()
    order = authority.order(client)
    authority.ask(client, authority.challenge(client, order))
    issuing.deactivate_account(authority.ca, client.account)
    found = authority.storage.authorizations.get(order.authorization.id)
    assert found is not None
    assert found.status(authority.clock()) is Status.DEACTIVATED
    assert authority.received() == ""
    assert authority.storage._database.rows("SELECT * FROM codes") == []


def test_a_key_is_changed(authority: IssuingAuthority) -> None:
    """A keyChange puts the new key in the old one's place (RFC 8555 §7.3.5)."""
    old, new = jwk(), jwk()
    account = create(authority, old)
    changed = issuing.change_key(authority.ca, account, new)
    assert issuing.account(authority.ca, account.id) == changed
    assert changed.thumbprint == new.thumbprint()
    assert create(authority, new).id == account.id
    assert create(authority, old).id != account.id


def test_a_key_that_has_an_account_is_a_conflict(authority: IssuingAuthority) -> None:
    """A keyChange to a known key is refused with that account's id (RFC 8555 §7.3.5: 409 and Location)."""
    first, second = jwk(), jwk()
    account, other = create(authority, first), create(authority, second)
    for key, holder in ((second, other), (first, account)):
        with pytest.raises(Refusal) as caught:
            issuing.change_key(authority.ca, account, key)
        assert refusal(caught) is RefusalKind.CONFLICT
        assert caught.value.location == holder.id


def test_the_key_of_a_certificate_is_no_accounts_key(authority: IssuingAuthority) -> None:
    """Neither newAccount nor keyChange takes a key that was certified: badPublicKey (RFC 8555 §11.1)."""
    key, client = new_key(), authority.client()
    authority.issue(client, key=key)
    for use in (partial(create, authority), partial(issuing.change_key, authority.ca, client.account)):
        with pytest.raises(Refusal, match="make another") as caught:
            use(JWKEC(key=key.public_key()))
        assert refusal(caught) is RefusalKind.BAD_PUBLIC_KEY
    assert authority.storage.accounts.get(client.account.id) == client.account


def test_the_key_of_a_certificate_that_is_on_its_way_is_no_accounts_key(
    authority: IssuingAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while a key store or logs keep the certificate waiting, its key is taken; once that came to nothing, not."""

    def away(*_: object) -> None:
        msg = "the token is away"
        raise KeyStoreError(msg)

    key, client = new_key(), authority.client()
    monkeypatch.setattr(Issuer, "sign_certificate", away)
    order = issuing.finalize(authority.ca, client.account, authority.ready(client).id, csr(key=key))
    for use in (partial(create, authority), partial(issuing.change_key, authority.ca, client.account)):
        with pytest.raises(Refusal, match="make another") as caught:
            use(JWKEC(key=key.public_key()))
        assert refusal(caught) is RefusalKind.BAD_PUBLIC_KEY
    authority.storage.orders.fail(order.id, Problem(RefusalKind.SERVER_INTERNAL, "it came to nothing"))
    assert create(authority, JWKEC(key=key.public_key())).status is Status.VALID


def test_a_key_becomes_an_accounts_or_a_certificates(authority: IssuingAuthority) -> None:
    """Of a newAccount and a finalize with one key at one moment, one is refused."""
    client = authority.client()
    numbers = [TelephoneNumber(f"1202555{index:04}") for index in range(100, 108)]
    for number in numbers:
        order, key, start = authority.ready(client, number), new_key(), threading.Barrier(2)

        certify = partial(issuing.finalize, authority.ca, client.account, order.id, csr(number, key))
        register = partial(create, authority, JWKEC(key=key.public_key()))
        with ThreadPoolExecutor(2) as pool:
            done = [pool.submit(succeeds, step, start) for step in (certify, register)]
            assert sorted(one.result(60) for one in done) == [False, True]


def succeeds(step: Callable[[], object], start: threading.Barrier) -> bool:
    """Tell whether a step is not refused."""
    start.wait(60)
    try:
        step()
    except Refusal:
        return False
    return True


def test_a_key_taken_at_the_same_moment_is_a_conflict(
    authority: IssuingAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another account takes the key between the look and the change, the change is a conflict too."""
    key = jwk()
    account, other = create(authority, jwk()), create(authority, key)
    answers = iter([None, other])
    monkeypatch.setattr(type(authority.storage.accounts), "with_key", lambda *_: next(answers))
    with pytest.raises(Refusal) as caught:
        issuing.change_key(authority.ca, account, key)
    assert caught.value.location == other.id


def test_a_key_that_was_replaced_changes_nothing_more(authority: IssuingAuthority) -> None:
    """Of two changes that the old key signed, the one that comes second is refused.

    Neither does a change that was under way bring another key to an account that was deactivated meanwhile.
    """
    account = create(authority, jwk())
    changed = issuing.change_key(authority.ca, account, jwk())
    with pytest.raises(Refusal, match="another key meanwhile") as caught:
        issuing.change_key(authority.ca, account, jwk())
    assert refusal(caught) is RefusalKind.UNAUTHORIZED
    assert issuing.account(authority.ca, account.id) == changed
    issuing.deactivate_account(authority.ca, changed)
    with pytest.raises(Refusal) as caught:
        issuing.change_key(authority.ca, changed, jwk())
    assert refusal(caught) is RefusalKind.ACCOUNT_DEACTIVATED
    kept = authority.storage.accounts.get(account.id)
    assert kept is not None
    assert kept.thumbprint == changed.thumbprint


def test_an_address_makes_only_so_many_accounts(storage: Storage) -> None:
    """A flood of new accounts from one address is refused with the wait; others, and existing accounts, go on."""
    policy = IssuancePolicy(countries=("US",), new_accounts=Cap(burst=2, refill_seconds=60))
    authority = IssuingAuthority(storage, policy)
    first = jwk()
    create(authority, first)
    create(authority, jwk())
    with pytest.raises(Refusal) as caught:
        create(authority, jwk())
    assert refusal(caught) is RefusalKind.RATE_LIMITED
    assert caught.value.retry_after == timedelta(seconds=60)
    create(authority, first)
    issuing.create_account(
        authority.ca, jwk(), (), terms_agreed=True, only_return_existing=False, client_address="192.0.2.77"
    )
    authority.clock.advance(seconds=60)
    assert create(authority, jwk()).status is Status.VALID
