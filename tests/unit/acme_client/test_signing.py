from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from acme_client import Store, sign_passport, signing_certificate
from acme_client.addresses import AuthorityAddress
from acme_client.errors import NotHeld
from stir.passport import Passport, SignedPassport
from tests.fakes import small_pki
from tests.fakes.small_pki import CALLED, CALLER, STRANGER, Held

ISSUING = small_pki.root().authority("Example Issuing")
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CALL = Passport(orig=CALLER, dest=(CALLED.digits,), issued_at=int(NOW.timestamp()))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store that holds nothing."""
    return Store(tmp_path)


def install(store: Store, name: str, *, days: int = 6, begins: int = -1, key_number: int = 3) -> Held:
    """Hold a certificate of an authority for the caller, from so many days from now to so many."""
    start, end = NOW + timedelta(days=begins), NOW + timedelta(days=days)
    held = ISSUING.number(not_before=start, not_after=end, key_number=key_number)
    store.install(address(name), held.number, held.chain, held.key, validation=("sms-code",), now=NOW)
    return held


def address(name: str) -> AuthorityAddress:
    """Return an authority's address."""
    return AuthorityAddress.parse(f"https://{name}.example/acme/index")


def test_the_valid_certificate_that_lasts_longest_signs(store: Store) -> None:
    """One that has ended, or has not begun, signs nothing."""
    install(store, "ended", days=0)
    install(store, "later", days=9, begins=1)
    install(store, "short", days=2, key_number=11)
    long = install(store, "long", days=5, key_number=12)
    assert signing_certificate(store, CALLER, NOW).chain() == long.chain
    signed = sign_passport(CALL, store, NOW)
    assert signed.certificate.ca == address("long").index_url
    assert (signed.others, signed.left_out) == ((), ())
    read = SignedPassport.parse(signed.text)
    assert (read.passport, read.chain) == (CALL, long.chain)


def test_other_authorities_of_the_key_vouch_too_unless_one_is_named(store: Store) -> None:
    """All chains of the key are sent; with an authority's name, that one's alone."""
    install(store, "one", days=5)
    install(store, "two", days=4)
    signed = sign_passport(CALL, store, NOW)
    assert [held.ca for held in signed.others] == [address("two").index_url]
    assert len(SignedPassport.parse(signed.text).chains) == 2
    alone = sign_passport(CALL, store, NOW, address("two"))
    assert (alone.certificate.ca, alone.others, alone.left_out) == (address("two").index_url, (), ())
    assert len(SignedPassport.parse(alone.text).chains) == 1


def test_what_has_no_room_is_left_out_and_named(store: Store) -> None:
    """A token has its limits; of more opinions than it holds, those of the longest-lived certificates are sent."""
    for number in range(12):
        install(store, f"ca{number}", days=20 - number)
    signed = sign_passport(CALL, store, NOW)
    sent = [signed.certificate, *signed.others]
    assert len(SignedPassport.parse(signed.text).chains) == len(sent)
    assert [held.ca for held in (*sent, *signed.left_out)] == [address(f"ca{one}").index_url for one in range(12)]
    assert signed.left_out


@pytest.mark.parametrize("name", [None, "other"])
def test_nobody_signs_without_a_valid_certificate(store: Store, name: str | None) -> None:
    """The error says what to do, and hides the number."""
    install(store, "one", days=0)
    with pytest.raises(NotHeld, match="enrol the number again") as told:
        signing_certificate(store, CALLER, NOW, None if name is None else address(name))
    assert CALLER.digits not in str(told.value)
    with pytest.raises(NotHeld):
        signing_certificate(store, STRANGER, NOW)
