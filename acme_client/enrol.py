"""Enrolling a number with an authority: the whole story, from an account to a certificate in the store.

    account → order → message → code → signing request → certificate → store

What must survive is written down before the authority hears of it: the account key, and the key of the certificate.
A process that is killed at any step goes on from there when it is run again, and asks for no second message as long
as the first one's code is good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias, TypeVar

import msgspec
from acme import messages
from cryptography.hazmat.primitives.asymmetric import ec

from acme_client import accounts, orders
from acme_client.accounts import NOBODY, Applicant
from acme_client.addresses import AuthorityAddress
from acme_client.chain import read_ordered_chain
from acme_client.challenges import ChallengeKind
from acme_client.codes import CodeSource
from acme_client.errors import NotAsOrdered, NotProved, Refused
from acme_client.keys import key_to_pem, new_key, same_key
from acme_client.network import DIRECT, AcmeSession, Connection
from acme_client.polling import SYSTEM_CLOCK, Clock, Patience
from acme_client.progress import Progress, Step, Watcher, unwatched
from acme_client.proof import Proof
from acme_client.store import EnrolledCertificate, PendingOrder, State, Store
from stir.telephone_number import TelephoneNumber

_T = TypeVar("_T")
_Order: TypeAlias = tuple[messages.OrderResource, ec.EllipticCurvePrivateKey]


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """One number to be enrolled with one authority.

    `ca` is the authority's address, `keys` the store in which keys, the order under way and the certificate are kept,
    `codes` where the code comes from, None where no message shall be sent. `applicant` counts where there is no account
    yet. `patience` is how long the authority may take over an answer or a certificate; a person may take as long as the
    code lives. With `force` a certificate is ordered though a good one is held. `key` is what to have certified, None
    for a new key: see `one_key.key_for_all`.
    """

    ca: str | AuthorityAddress
    number: TelephoneNumber
    keys: Store
    codes: CodeSource | None
    challenge: ChallengeKind = ChallengeKind.SMS_CODE
    applicant: Applicant = NOBODY
    connection: Connection = DIRECT
    clock: Clock = SYSTEM_CLOCK
    watch: Watcher = unwatched
    patience: timedelta = timedelta(seconds=90)
    force: bool = False
    key: ec.EllipticCurvePrivateKey | None = field(default=None, repr=False)

    def run(self) -> EnrolledCertificate:
        """Return a certificate that is held and good: the one there is, or a new one.

        Raises AcmeClientError; unless it says otherwise, running again goes on from where this run came to.
        """
        with self.keys.enrolment_lock(self.address, self.number):
            held = self._good_one()
            if held is not None:
                return held
            self._report(Step.CONNECTING, f"connecting to {self.address.name}")
            with accounts.sign_in(
                self.keys,
                self.address,
                applicant=self.applicant,
                connection=self.connection,
                clock=self.clock,
                watch=self.watch,
            ) as session:
                return self._enrolled(session)

    @property
    def address(self) -> AuthorityAddress:
        """The authority's address, read."""
        if isinstance(self.ca, AuthorityAddress):
            return self.ca
        return AuthorityAddress.parse(self.ca, insecure_http=self.connection.insecure_http)

    def _good_one(self) -> EnrolledCertificate | None:
        """Return the certificate that is held, where it will do."""
        held = self.keys.certificate(self.address, self.number)
        if self.force or held is None or held.state(self.clock.now()) is not State.GOOD:
            return None
        if not self._is_wanted(held.key()):
            return None
        pending = self.keys.pending(self.address, self.number)
        if pending is not None and same_key(pending.key, held.key().public_key()):
            self.keys.drop_pending(self.address, self.number)  # the former run was killed after its last step but one
        self._report(Step.DONE, f"a good certificate is held until {held.not_after:%Y-%m-%d %H:%M} UTC")
        return held

    def _is_wanted(self, key: ec.EllipticCurvePrivateKey) -> bool:
        return self.key is None or same_key(self.key, key.public_key())

    def _enrolled(self, session: AcmeSession) -> EnrolledCertificate:
        kept = self._with_account(session, lambda: self._resumed(session))
        if kept is not None:
            try:
                return self._completed(session, *kept)
            except NotAsOrdered:  # an order from long ago, whose certificate has expired since: it has no more use
                self._report(Step.ORDERING, "the order that was kept is of no use any more")
        return self._completed(session, *self._with_account(session, lambda: self._ordered(session)))

    def _with_account(self, session: AcmeSession, step: Callable[[], _T]) -> _T:
        """Take a step; where the authority has forgotten the account, open one anew and take it again."""
        try:
            return step()
        except Refused as refused:
            if refused.kind != "accountDoesNotExist":
                raise
        accounts.register(session, self.keys, self.applicant, self.connection, self.watch)
        return step()

    def _resumed(self, session: AcmeSession) -> _Order | None:
        """Return the order that an earlier run left, where it can still become a certificate."""
        pending = self.keys.pending(self.address, self.number)
        if pending is None:
            return None
        if not self._is_wanted(pending.key):
            self.keys.drop_pending(self.address, self.number)
            return None
        self._report(Step.RESUMING, f"looking for the order that was begun at {self.address.name}")
        if pending.url is None:
            order = orders.find(session, self.number)
        else:
            order = orders.fetch(session, self.number, pending.url)
        if order is None:
            self.keys.drop_pending(self.address, self.number)
            return None
        self._keep(msgspec.structs.replace(pending, url=order.uri))
        return order, pending.key

    def _ordered(self, session: AcmeSession) -> _Order:
        self._report(Step.ORDERING, f"ordering a certificate for {self.number.masked} from {self.address.name}")
        key = self.key or new_key()
        pending = PendingOrder(created_at=self.clock.now(), key_pem=key_to_pem(key))
        self._keep(pending)
        order = orders.place(session, self.number)
        self._keep(msgspec.structs.replace(pending, url=order.uri))
        return order, key

    def _completed(
        self, session: AcmeSession, order: messages.OrderResource, key: ec.EllipticCurvePrivateKey
    ) -> EnrolledCertificate:
        try:
            if orders.status(order) == "pending":
                self._prove(session, order)
                order = orders.look(session, order)
            self._report(Step.FINALIZING, f"waiting for the certificate from {self.address.name}")
            pem = orders.complete(session, self.number, order, key, self._new_patience())
            return self._stored(pem, key)
        except (NotProved, NotAsOrdered):  # nothing more can come of this order
            self.keys.drop_pending(self.address, self.number)
            raise

    def _prove(self, session: AcmeSession, order: messages.OrderResource) -> None:
        proof = Proof(session, self.number, self.challenge, self.codes, self.watch, self.patience)
        for url in order.body.authorizations:
            proof.give(url)

    def _stored(self, pem: bytes, key: ec.EllipticCurvePrivateKey) -> EnrolledCertificate:
        """Check the certificate, make it the one that counts, and forget the order."""
        now = self.clock.now()
        leaf, chain = read_ordered_chain(pem, self.number, key, now)
        methods = [method.label for method in leaf.validation]
        held = self.keys.install(self.address, self.number, chain, key, validation=methods, now=now)
        self.keys.drop_pending(self.address, self.number)
        self._report(Step.DONE, f"certified by {self.address.name} until {held.not_after:%Y-%m-%d %H:%M} UTC")
        return held

    def _keep(self, pending: PendingOrder) -> None:
        self.keys.keep_pending(self.address, self.number, pending)

    def _new_patience(self) -> Patience:
        return Patience(self.clock, self.clock.now() + self.patience)

    def _report(self, step: Step, text: str) -> None:
        self.watch(Progress(step, self.address.name, text))
