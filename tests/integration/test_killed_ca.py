"""The authority is killed (SIGKILL) after each of its SQL statements in turn, and nothing that it promised is lost."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from ca_server import issuing
from ca_server.orders import Challenge, Delivery, Issuance, Order, Status
from ca_server.signing.issuer import Issuer
from ca_server.sms.gateway import OutgoingSms, ReceiptHandler
from ca_server.sms.worker import LEASE, Worker
from ca_server.storage import Storage
from policies.issuance import IssuancePolicy, SmsCaps
from serving.database import Database
from stir.certificate import NumberCertificate
from stir.telephone_number import TelephoneNumber
from tests.fakes.authority import make_issuer
from tests.fakes.issuing_authority import GATEWAYS, IssuingAuthority, csr
from tests.fakes.storages import storage, storage_url

__all__ = ["storage", "storage_url"]

pytestmark = pytest.mark.slow

NO_CAPS = SmsCaps(account=None, address=None, prefix=None, country=None, everything=None)
POLICY = IssuancePolicy(countries=("US",), sms=NO_CAPS)
FEWEST_STATEMENTS = 4
TIMEOUT = 60

Tell = Callable[[bytes], object]
"""What a child calls when something can no longer be taken back: an SMS left, a client got its answer."""


@dataclass
class Network:
    """The mobile network: it knows of every SMS that left, also from a process that died right after."""

    tell: Tell
    name: str
    operator: str
    sender: str = "ExampleCA"
    ids: Iterator[int] = field(default_factory=itertools.count)

    def start(self, on_receipt: ReceiptHandler) -> None:
        """Nothing to open."""

    def send(self, sms: OutgoingSms) -> str:
        """Let the SMS go."""
        self.tell(sms.id.encode())
        return f"{sms.id}-{next(self.ids)}"

    def close(self) -> None:
        """Nothing to close."""


class KilledAuthority:
    """An authority whose processes die: each after one more SQL statement than the one before."""

    def __init__(self, storage: Storage) -> None:
        """Use an empty database."""
        self.authority = IssuingAuthority(storage, POLICY, issuer=make_issuer())
        self.storage = storage
        self.clock = self.authority.clock
        self.client = self.authority.client()
        self._numbers = (TelephoneNumber(f"1202555{index:04}") for index in itertools.count(100))

    def order(self) -> Order:
        """Order a certificate for the next number."""
        return self.authority.order(self.client, next(self._numbers))

    def worker(self, tell: Tell) -> Worker:
        """Return a worker that has not started."""
        gateways = [Network(tell, gateway.name, gateway.operator) for gateway in GATEWAYS]
        return Worker(self.storage.sms, self.authority.ca.routes, gateways, clock=self.clock)

    def send_all(self) -> list[bytes]:
        """Send what waits, as a worker does that nobody kills; return the ids of what left."""
        left: list[bytes] = []
        worker = self.worker(left.append)
        while worker.step():
            pass
        return left

    def after_kill(self, statement: int, work: Callable[[Tell], object]) -> tuple[list[bytes], bool]:
        """Do the work in a process that dies after that many statements; return what it told, and whether it died."""
        self.storage.close()
        read_end, write_end = os.pipe()
        process = multiprocessing.get_context("fork").Process(target=self._run, args=(statement, work, write_end))
        process.start()
        os.close(write_end)
        process.join(TIMEOUT)
        with os.fdopen(read_end, "rb") as pipe:
            told = pipe.read().split(b"\n")[:-1]
        assert process.exitcode in {0, -signal.SIGKILL}
        return told, process.exitcode != 0

    def _run(self, statement: int, work: Callable[[Tell], object], write_end: int) -> None:
        counter, execute = itertools.count(1), Database._execute

        def then_kill(*args: Any) -> Any:  # noqa: ANN401 - a statement, and its cursor
            cursor = execute(*args)
            if next(counter) == statement:
                os.kill(os.getpid(), signal.SIGKILL)
            return cursor

        setattr(Database, "_execute", then_kill)  # noqa: B010 - in this process only, which ends after the work
        work(lambda fact: os.write(write_end, fact + b"\n"))

    def challenge(self, order: Order) -> Challenge:
        """Return an order's challenge as the database has it."""
        return self.authority.challenge(self.client, order)

    def look(self, order: Order) -> Order:
        """Return an order as the database has it."""
        found = self.storage.orders.get(order.id)
        assert found is not None
        return found


@pytest.fixture
def killed(storage: Storage) -> KilledAuthority:
    """Return an authority that can be killed, on each database."""
    return KilledAuthority(storage)


def each_statement(run: Callable[[int], bool]) -> None:
    """Kill after the first statement, the second and so on, until the work comes to its end alive."""
    for statement in itertools.count(1):
        if not run(statement):
            assert statement > FEWEST_STATEMENTS
            return


def test_an_sms_that_was_asked_for_is_sent_or_was_never_asked_for(killed: KilledAuthority) -> None:
    """An ask is there with code, message and counts, or not at all; acknowledged it is there, and its SMS leaves."""

    def run(statement: int) -> bool:
        order = killed.order()
        challenge = killed.challenge(order)

        def ask(tell: Tell) -> None:
            killed.authority.ask(killed.client, challenge)
            tell(b"asked")

        told, died = killed.after_kill(statement, ask)
        found = killed.challenge(order)
        codes = killed.storage.authorizations.codes(challenge.id, killed.clock())
        if found.asks:
            assert (found.asks, found.sends_used, found.status) == (1, 1, Status.PROCESSING)
            assert len(found.messages) == len(codes) == 1
        else:
            assert not told
            assert (found, codes) == (challenge, [])
        assert len(killed.send_all()) == found.asks
        if not found.asks:
            killed.authority.ask(killed.client, challenge)
            assert len(killed.send_all()) == 1
        assert killed.challenge(order).delivery is Delivery.SENT
        return died

    each_statement(run)


def test_no_sms_is_lost_and_none_is_sent_uncounted(killed: KilledAuthority) -> None:
    """Wherever the worker dies, the SMS leaves, and the challenge counts at least as many sends as left."""

    def run(statement: int) -> bool:
        order = killed.order()
        killed.authority.ask(killed.client, killed.challenge(order))
        told, died = killed.after_kill(statement, lambda tell: killed.worker(tell).step())
        killed.clock.now += LEASE + timedelta(seconds=1)
        left = told + killed.send_all()
        found = killed.challenge(order)
        assert 1 <= len(left) <= found.sends_used
        assert len(left) <= found.messages[0].transmissions == found.sends_used
        assert found.delivery is Delivery.SENT
        assert killed.authority.answer(killed.client, found, killed_code(killed, found))[0].status is Status.VALID
        return died

    each_statement(run)


def test_a_worker_that_dies_twice_still_counts(killed: KilledAuthority) -> None:
    """Two deaths in a row lose nothing, and every transmission that may have happened is told."""

    def run(statement: int) -> bool:
        order = killed.order()
        killed.authority.ask(killed.client, killed.challenge(order))
        told: list[bytes] = []
        died = False
        for _ in range(2):
            more, died = killed.after_kill(statement, lambda tell: killed.worker(tell).step())
            told += more
            killed.clock.now += LEASE + timedelta(seconds=1)
        left = told + killed.send_all()
        found = killed.challenge(order)
        assert 1 <= len(left) <= found.sends_used
        return died

    each_statement(run)


def test_an_answer_counts_once_it_was_acknowledged(killed: KilledAuthority) -> None:
    """A right answer is kept whole, with no code left behind, or not at all; acknowledged it is kept."""

    def run(statement: int) -> bool:
        order = killed.order()
        challenge, _ = killed.authority.ask(killed.client, killed.challenge(order))
        code = killed_code(killed, challenge)

        def answer(tell: Tell) -> None:
            killed.authority.answer(killed.client, challenge, code)
            tell(b"answered")

        told, died = killed.after_kill(statement, answer)
        found = killed.challenge(order)
        codes = killed.storage.authorizations.codes(challenge.id, killed.clock())
        assert (found.status is Status.VALID) == (codes == [])
        assert found.status is Status.VALID or not told
        assert killed.authority.answer(killed.client, challenge, code)[0].status is Status.VALID
        return died

    each_statement(run)


def test_a_wrong_answer_that_was_acknowledged_stays_counted(killed: KilledAuthority) -> None:
    """Killing the authority gives a guesser no attempt back."""

    def run(statement: int) -> bool:
        order = killed.order()
        challenge, _ = killed.authority.ask(killed.client, killed.challenge(order))
        code = killed_code(killed, challenge)

        def guess(tell: Tell) -> None:
            killed.authority.answer(killed.client, challenge, f"{(int(code) + 1) % 10**8:08}")
            tell(b"guessed")

        told, died = killed.after_kill(statement, guess)
        assert len(told) <= killed.challenge(order).attempts_used <= 1
        return died

    each_statement(run)


def test_a_certificate_that_was_signed_is_kept_or_signed_again_alike(
    killed: KilledAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every serial that was ever signed is the order's, and what a client was given is what it can fetch again."""
    sign = Issuer.sign_certificate

    def run(statement: int) -> bool:
        order = killed.order()
        killed.authority.prove(killed.client, order)
        request = csr(order.numbers.single_number or pytest.fail("one number"))

        def finalize(tell: Tell) -> None:
            def told_first(issuer: Issuer, number: Any, key: Any, issuance: Issuance) -> Any:  # noqa: ANN401
                signed = sign(issuer, number, key, issuance)
                tell(f"signed {issuance.serial}".encode())
                return signed

            monkeypatch.setattr(Issuer, "sign_certificate", told_first)
            done = issuing.finalize(killed.authority.ca, killed.client.account, order.id, request)
            tell(f"given {done.certificate_id}".encode())

        told, died = killed.after_kill(statement, finalize)
        facts = dict(fact.decode().split() for fact in told)
        left = killed.look(order).status(killed.clock())
        if left is Status.READY:
            assert facts == {}
            issuing.finalize(killed.authority.ca, killed.client.account, order.id, request)
        elif left is Status.PROCESSING:
            assert "given" not in facts
            killed.clock.advance(minutes=1)
            assert issuing.finish_reserved(killed.authority.ca) == 1
        found = killed.look(order)
        assert found.status(killed.clock()) is Status.VALID
        assert found.issuance is not None
        leaf = NumberCertificate.read(killed.authority.download(killed.client, found)[0])
        assert leaf.serial == found.issuance.serial
        assert facts.get("signed", str(leaf.serial)) == str(leaf.serial)
        assert facts.get("given", found.certificate_id) == found.certificate_id
        return died

    each_statement(run)
    assert len(killed.storage.certificates.page(None, 1000)) == len(
        issuing.orders(killed.authority.ca, killed.client.account, None, 1000)[0]
    )


def test_a_revocation_that_was_acknowledged_is_listed(killed: KilledAuthority) -> None:
    """A revocation is in the CRL that is served, whenever the authority died after it was kept."""

    def run(statement: int) -> bool:
        order = killed.order()
        killed.authority.prove(killed.client, order)
        request = csr(order.numbers.single_number or pytest.fail("one number"))
        done = issuing.finalize(killed.authority.ca, killed.client.account, order.id, request)
        certificate = killed.storage.certificates.get(str(done.certificate_id))
        assert certificate is not None
        before = issuing.crl(killed.authority.ca, certificate.shard).number

        def revoke(tell: Tell) -> None:
            issuing.revoke(killed.authority.ca, certificate.der, 1, killed.client.account)
            tell(b"revoked")

        told, died = killed.after_kill(statement, revoke)
        kept = killed.storage.certificates.get(certificate.id)
        assert kept is not None
        assert kept.revoked_at is not None or not told
        served = issuing.crl(killed.authority.ca, certificate.shard)
        assert served.number >= before
        assert (certificate.serial in serials(served.der)) == (kept.revoked_at is not None)
        return died

    each_statement(run)


def killed_code(killed: KilledAuthority, challenge: Challenge) -> str:
    """Return the code that answers a challenge, from the database."""
    return killed.storage.authorizations.codes(challenge.id, killed.clock())[0].part1


def serials(crl: bytes) -> set[int]:
    """Return the serials that a CRL lists."""
    return {entry.serial_number for entry in x509.load_der_x509_crl(crl)}
