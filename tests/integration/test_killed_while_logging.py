"""The authority is killed after each of its SQL statements in turn while it brings a certificate to public logs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

import msgspec
import pytest

from ca_server import issuing
from ca_server.logs.logs import Logs
from ca_server.orders import Order, Status
from ca_server.storage import Storage
from policies.issuance import IssuancePolicy
from stir.certificate import NumberCertificate
from tests.fakes.issuing_authority import csr
from tests.fakes.public_log import PATIENT, PublicLog
from tests.fakes.storages import storage, storage_url
from tests.integration.test_killed_ca import NO_CAPS, KilledAuthority, Tell, each_statement
from transparency.sct import SignedCertificateTimestamp, decode_sct_list, issuer_key_hash, tbs_of

__all__ = ["storage", "storage_url"]

pytestmark = pytest.mark.slow

AFTER_A_LEASE = timedelta(minutes=2)


class LastingLog(PublicLog):
    """A log that outlives the processes that ask it: its answer follows from the precertificate alone.

    `tell` is told of each submission.
    """

    tell: Tell = staticmethod(lambda _: None)

    def add_pre_chain(self, chain: Sequence[bytes], timeout: float) -> SignedCertificateTimestamp:
        """Tell, and answer."""
        self.tell(f"asked {self.name} {sha256(chain[0]).hexdigest()}".encode())
        return super().add_pre_chain(chain, timeout)

    def _sign(self, number: object, tbs: bytes, key_hash: bytes) -> SignedCertificateTimestamp:
        index = int.from_bytes(sha256(tbs).digest()[:4], "big")
        self.lie = lambda said: dataclasses.replace(said, leaf_index=index)
        return super()._sign(number, tbs, key_hash)  # type: ignore[arg-type]


class LoggingAuthority:
    """An authority with two logs, whose processes die."""

    def __init__(self, storage: Storage) -> None:
        """Use an empty database."""
        self.killed = KilledAuthority(storage)
        policy = IssuancePolicy(countries=("US",), sms=NO_CAPS, scts=2)
        ca = self.killed.authority.ca
        config = msgspec.structs.replace(ca.config, policy=policy)
        self.killed.authority.ca = dataclasses.replace(ca, config=config)
        clock = self.killed.clock
        self.logs = LastingLog("One", "Operator One", clock), LastingLog("Two", "Operator Two", clock)

    def with_process(self, tell: Tell) -> issuing.CertificateAuthority:
        """Return the authority as a new process has it: with threads of its own."""
        for log in self.logs:
            log.tell = tell
        return dataclasses.replace(self.killed.authority.ca, logs=Logs([log.known for log in self.logs], PATIENT))

    def ready(self) -> Order:
        """Return an order that is ready, for the next number."""
        order = self.killed.order()
        self.killed.authority.prove(self.killed.client, order)
        return order

    def check(self, order: Order) -> str:
        """Check that the order has one certificate with a true timestamp of each log; return its id."""
        found = self.killed.look(order)
        assert found.status(self.killed.clock()) is Status.VALID
        leaf, issuer = self.killed.authority.download(self.killed.client, found)[:2]
        read = NumberCertificate.read(leaf)
        assert read.sct_list is not None
        scts = {sct.log_id: sct for sct in decode_sct_list(read.sct_list)}
        assert len(scts) == len(self.logs)
        for log in self.logs:
            log.shard.check_sct(scts[log.shard.log_id], read.number, issuer_key_hash(issuer), tbs_of(leaf))
        return str(found.certificate_id)


def test_wherever_it_dies_the_certificate_comes_with_its_timestamps(storage: Storage) -> None:
    """Every submission is of the same bytes, what was kept is not asked for again, and what was given stays."""
    authority = LoggingAuthority(storage)
    killed = authority.killed

    def run(statement: int) -> bool:
        order = authority.ready()
        request = csr(order.numbers.single_number or pytest.fail("one number"))

        def finalize(tell: Tell) -> None:
            ca = authority.with_process(tell)
            done = issuing.finalize(ca, killed.client.account, order.id, request)
            tell(f"given {done.certificate_id}".encode())

        told, died = killed.after_kill(statement, finalize)
        found = killed.look(order)
        kept = kept_of(storage, found)
        again: list[bytes] = []
        ca = authority.with_process(again.append)
        if found.status(killed.clock()) is Status.READY:
            assert told == []
            issuing.finalize(ca, killed.client.account, order.id, request)
        elif found.status(killed.clock()) is Status.PROCESSING:
            assert not any(fact.startswith(b"given") for fact in told)
            killed.clock.now += AFTER_A_LEASE
            assert issuing.finish_reserved(ca) == 1
        certificate = authority.check(order)
        assert all(fact == f"given {certificate}".encode() for fact in told if fact.startswith(b"given"))
        asked = [fact.decode().split() for fact in (*told, *again) if fact.startswith(b"asked")]
        assert len({precertificate for _, _, precertificate in asked}) == 1
        assert {log for _, log, _ in (fact.decode().split() for fact in again)}.isdisjoint(kept)
        return died

    each_statement(run)
    assert storage.evidence.newest(10) == []


def test_one_that_waited_dies_again_and_again(storage: Storage) -> None:
    """An order that waited for a log, whose worker dies at each statement, comes to one certificate in the end."""
    authority = LoggingAuthority(storage)
    killed = authority.killed
    one, two = authority.logs
    for statement in itertools.count(1):
        order = authority.ready()
        two.is_down = True
        request = csr(order.numbers.single_number or pytest.fail("one number"))
        issuing.finalize(authority.with_process(lambda _: None), killed.client.account, order.id, request)
        two.is_down = False
        killed.clock.now += AFTER_A_LEASE
        before = len(one.asked)
        _, died = killed.after_kill(statement, lambda tell: issuing.finish_reserved(authority.with_process(tell)))
        killed.clock.now += AFTER_A_LEASE
        issuing.finish_reserved(authority.with_process(lambda _: None))
        authority.check(order)
        assert len(one.asked) == before, "its timestamp was kept"
        if not died:
            break


def kept_of(storage: Storage, order: Order) -> set[str]:
    """Return the names of the logs whose timestamps of the order are in the database."""
    rows = storage._database.rows("SELECT log FROM timestamps WHERE order_id = ?", order.id)
    return {name for (name,) in rows}
