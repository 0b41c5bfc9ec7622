"""Signing calls and messages with what was enrolled, and with the chains of all authorities that certified the key."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from acme_client.addresses import AuthorityAddress
from acme_client.errors import NotHeld
from acme_client.one_key import companions
from acme_client.store import EnrolledCertificate, Store
from stir import passport
from stir.errors import PassportError
from stir.passport import Passport
from stir.telephone_number import TelephoneNumber


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A token, the certificate that signed it, and those of other authorities: whose chains it brings, and lacks."""

    text: str = field(repr=False)
    certificate: EnrolledCertificate
    others: tuple[EnrolledCertificate, ...] = ()
    left_out: tuple[EnrolledCertificate, ...] = ()


def signing_certificate(
    store: Store, number: TelephoneNumber, now: datetime, ca: AuthorityAddress | None = None
) -> EnrolledCertificate:
    """Return the certificate to sign for a number with: of those that are valid now, the one that lasts longest.

    With `ca`, that of one authority. Raises NotHeld where none is valid, StoreError.
    """
    held = (one for one in store.certificates() if one.number == number and (ca is None or one.ca == ca.index_url))
    valid = [one for one in held if one.is_valid(now)]
    if not valid:
        msg = f"no certificate for {number.masked} is valid now: renew it, or enrol the number again"
        raise NotHeld(msg)
    return max(valid, key=lambda one: one.not_after)


def sign_passport(stated: Passport, store: Store, now: datetime, ca: AuthorityAddress | None = None) -> SignedToken:
    """Sign a call or a message for the number that makes it, with as many authorities' chains as there is room for.

    With `ca`, that authority's alone. Raises NotHeld where no certificate is valid, StoreError, PassportError.
    """
    held = signing_certificate(store, stated.orig, now, ca)
    others = tuple(companions(store, held, now)) if ca is None else ()
    key, chain, more = held.key(), held.chain(), [other.chain() for other in others]
    while more:
        try:
            text = passport.sign(stated, key, chain=chain, more_chains=more)
        except PassportError:  # too many or too large: a call with fewer opinions is better than none
            more.pop()
        else:
            return SignedToken(text, held, others[: len(more)], others[len(more) :])
    return SignedToken(passport.sign(stated, key, chain=chain), held, left_out=others)
