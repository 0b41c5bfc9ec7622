"""Revoking a certificate that is held, or one that somebody else got for our number (RFC 8555 §7.6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from cryptography import x509

from acme_client import orders
from acme_client.accounts import NOBODY, Applicant, sign_in, sign_in_again
from acme_client.addresses import AuthorityAddress
from acme_client.challenges import ChallengeKind
from acme_client.codes import CodeSource
from acme_client.errors import NotHeld, Refused
from acme_client.network import DIRECT, AcmeSession, Connection
from acme_client.polling import SYSTEM_CLOCK, Clock
from acme_client.progress import Watcher, unwatched
from acme_client.proof import Proof
from acme_client.store import EnrolledCertificate, Store
from stir.certificate import NumberCertificate
from stir.errors import CertificateProfileError
from stir.telephone_number import TelephoneNumber


class Reason(IntEnum):
    """Why a certificate is revoked, of the reasons that a holder may give (RFC 5280 §5.3.1)."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5


def revoke_held(
    held: EnrolledCertificate,
    store: Store,
    reason: Reason = Reason.UNSPECIFIED,
    *,
    connection: Connection = DIRECT,
    clock: Clock = SYSTEM_CLOCK,
) -> EnrolledCertificate:
    """Revoke a certificate, and remember that it is.

    The account signs the request; where there is none any more, the certificate's own key does. A certificate that the
    authority has revoked before counts as done.
    """
    address = AuthorityAddress(held.ca)
    with store.enrolment_lock(address, held.number):
        with _session(held, store, connection, clock) as session:
            _revoke(session, held.chain()[0], reason)
        return store.mark_revoked(held, clock.now())


@dataclass(frozen=True, kw_only=True)
class HolderRevocation:
    """The revocation of a certificate that another got for a number, by whoever holds the number now.

    `certificate` is that one, or the precertificate that a log's owner's door showed for it. `ca` is the address of the
    authority that issued it. It revokes for any account that has proved the
    number to it, so the number is proved there first, with a code from `codes`. The account is made where there is
    none.
    """

    certificate: x509.Certificate
    ca: str | AuthorityAddress
    keys: Store
    codes: CodeSource
    reason: Reason = Reason.UNSPECIFIED
    applicant: Applicant = NOBODY
    connection: Connection = DIRECT
    clock: Clock = SYSTEM_CLOCK
    watch: Watcher = unwatched
    patience: timedelta = timedelta(seconds=90)

    def run(self) -> None:
        """Prove the number and revoke; a certificate that was revoked before counts as done.

        Raises CertificateProfileError where it is no number's certificate, otherwise AcmeClientError. Running again
        goes on: a proof that the authority has is not asked for anew.
        """
        number, address = self.number, self._address
        with (
            self.keys.enrolment_lock(address, number),
            sign_in(
                self.keys,
                address,
                applicant=self.applicant,
                connection=self.connection,
                clock=self.clock,
                watch=self.watch,
            ) as session,
        ):
            proof = Proof(session, number, ChallengeKind.SMS_CODE, self.codes, self.watch, self.patience)
            for url in orders.place(session, number).body.authorizations:
                proof.give(url)
            _revoke(session, self.certificate, self.reason)

    @property
    def number(self) -> TelephoneNumber:
        """The number that the certificate, or the precertificate that a log showed, is for."""
        try:
            return NumberCertificate.read_precertificate(self.certificate).number
        except CertificateProfileError:
            return NumberCertificate.read(self.certificate).number

    @property
    def _address(self) -> AuthorityAddress:
        if isinstance(self.ca, AuthorityAddress):
            return self.ca
        return AuthorityAddress.parse(self.ca, insecure_http=self.connection.insecure_http)


def _revoke(session: AcmeSession, certificate: x509.Certificate, reason: Reason) -> None:
    try:
        with session.calling():
            session.client.revoke(certificate, int(reason))
    except Refused as refused:
        if refused.kind != "alreadyRevoked":
            raise


def _session(held: EnrolledCertificate, store: Store, connection: Connection, clock: Clock) -> AcmeSession:
    address = AuthorityAddress(held.ca)
    try:
        return sign_in_again(store, address, connection=connection, clock=clock)
    except NotHeld:
        return AcmeSession(address, held.key(), connection, clock)
