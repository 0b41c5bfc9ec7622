"""Certificates that go to public logs before they are issued (RFC 6962 §3.1)."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ca_server import issuing
from ca_server.config import Logging
from ca_server.errors import KeyStoreError, LintError, Refusal, RefusalKind
from ca_server.issuing.finalization import LONGEST_WAIT, SHORTEST_WAIT, SIGNING_TIME
from ca_server.logs.known_log import LieKind
from ca_server.orders import Order, Status
from ca_server.signing.issuer import Issuer
from ca_server.storage import Storage
from policies.issuance import IssuancePolicy
from stir.certificate import NumberCertificate
from tests.fakes.authority import make_issuer
from tests.fakes.clock import HandClock
from tests.fakes.issuing_authority import NUMBER, OTHER_NUMBER, IssuingAuthority, csr, new_key
from tests.fakes.public_log import PATIENT, TIMEOUT, PublicLog, logs_of, says
from transparency.sct import SignedCertificateTimestamp, decode_sct_list, issuer_key_hash, signed_data, tbs_of

POLICY = IssuancePolicy(countries=("US",), scts=2)
HURRIED = Logging(deadline_seconds=0.2, wait_seconds=10)
"""For logs that never answer: giving up takes no longer than this."""


class LoggedAuthority(IssuingAuthority):
    """An authority that wants two timestamps, its logs, and a client with an order that is ready."""

    def __init__(self, storage: Storage, settings: Logging = PATIENT, *more: PublicLog) -> None:
        """Build it over a database, with two logs of distinct operators and perhaps more."""
        clock = HandClock()
        self.one = PublicLog("One", "Operator One", clock)
        self.two = PublicLog("Two", "Operator Two", clock)
        self.public_logs = (self.one, self.two, *more)
        super().__init__(storage, POLICY, clock=clock, logs=logs_of(*self.public_logs, settings=settings))
        for log in more:
            log.clock = clock
        self.own = self.client()

    def finalized(self, order: Order | None = None) -> Order:
        """Finalize an order for the first number."""
        return issuing.finalize(self.ca, self.own.account, (order or self.ready(self.own)).id, csr())

    def look(self, order: Order) -> Order:
        """Poll an order."""
        return issuing.order(self.ca, self.own.account, order.id)

    def status(self, order: Order) -> Status:
        """Return an order's status by the database alone."""
        found = self.storage.orders.get(order.id)
        assert found is not None
        return found.status(self.clock())

    def scts(self, order: Order) -> tuple[SignedCertificateTimestamp, ...]:
        """Return the timestamps in an order's certificate, each checked by what its log describes of itself."""
        leaf, issuer = self.download(self.own, order)[:2]
        read = NumberCertificate.read(leaf)
        assert read.sct_list is not None
        scts = decode_sct_list(read.sct_list)
        for sct in scts:
            shard = next(log.shard for log in self.public_logs if log.shard.log_id == sct.log_id)
            shard.check_sct(sct, read.number, issuer_key_hash(issuer), tbs_of(leaf))
        return scts

    def restart(self, *logs: PublicLog, **changes: object) -> None:
        """Go on with a process that remembers nothing but the database."""
        self.ca = dataclasses.replace(self.ca, logs=logs_of(*(logs or self.public_logs)), **changes)  # type: ignore[arg-type]


@pytest.fixture
def authority(storage: Storage) -> LoggedAuthority:
    """Return an authority with two good logs, on each database."""
    return LoggedAuthority(storage)


def log_ids(*logs: PublicLog) -> set[bytes]:
    """Return the identifiers of logs."""
    return {log.shard.log_id for log in logs}


def test_a_certificate_carries_the_timestamps_that_policy_asks_for(authority: LoggedAuthority) -> None:
    """With scts = 2 a certificate has one timestamp of each of two operators, and all three say the same of it."""
    order = authority.finalized()
    assert order.status(authority.clock()) is Status.VALID
    assert authority.look(order) == order
    assert {sct.log_id for sct in authority.scts(order)} == log_ids(authority.one, authority.two)


def test_logs_are_shown_a_precertificate_and_its_chain(authority: LoggedAuthority) -> None:
    """What leaves before the timestamps are there is poisoned, so that it is no certificate (RFC 6962 §3.1)."""
    authority.finalized()
    shown = x509.load_der_x509_certificate(authority.one.asked[0])
    assert shown.extensions.get_extension_for_class(x509.PrecertPoison).critical
    assert authority.one.asked == authority.two.asked


def test_without_logs_all_is_as_it_was(storage: Storage) -> None:
    """With scts = 0 no log is asked, though some are known, and the certificate has no list of timestamps."""
    log = PublicLog()
    authority = IssuingAuthority(storage, logs=logs_of(log))
    certificate = authority.issue(authority.client())
    read = NumberCertificate.read(x509.load_der_x509_certificate(certificate.der))
    assert read.sct_list is None
    assert log.asked == []


def test_while_a_log_is_down_the_order_is_processing(authority: LoggedAuthority) -> None:
    """Too few timestamps make no certificate; a poll after a wait makes it once the log is back."""
    authority.two.is_down = True
    order = authority.finalized()
    assert order.status(authority.clock()) is Status.PROCESSING
    assert authority.storage.certificates.page(None, 10) == []
    authority.two.is_down = False
    assert authority.look(order).status(authority.clock()) is Status.PROCESSING, "the next attempt has its time"
    authority.clock.now += SHORTEST_WAIT
    assert authority.look(order).status(authority.clock()) is Status.VALID
    assert len(authority.scts(authority.look(order))) == 2


def test_what_a_log_gave_is_not_asked_for_again(authority: LoggedAuthority) -> None:
    """A timestamp is kept though another is missing, and stays what the certificate carries, also after a restart."""
    authority.two.is_down = True
    order = authority.finalized()
    authority.restart()
    authority.two.is_down = False
    authority.clock.now += SHORTEST_WAIT
    assert issuing.finish_reserved(authority.ca) == 1
    assert len(authority.one.asked) == len(authority.two.asked) == 1
    assert len(authority.scts(authority.look(order))) == 2


def test_the_worker_finishes_what_no_client_polls_for(authority: LoggedAuthority) -> None:
    """Several orders that wait are all finished in one turn, and none twice."""
    authority.two.is_down = True
    orders = [authority.finalized(authority.ready(authority.own)) for _ in range(3)]
    authority.clock.now += SHORTEST_WAIT
    assert issuing.finish_reserved(authority.ca) == 0
    authority.two.is_down = False
    authority.clock.now += SHORTEST_WAIT
    assert issuing.finish_reserved(authority.ca) == 3
    assert issuing.finish_reserved(authority.ca) == 0
    assert {authority.status(order) for order in orders} == {Status.VALID}


def test_attempts_become_rarer(authority: LoggedAuthority) -> None:
    """The wait for the next attempt is half the order's age: 2 s at first, and never more than 5 minutes."""
    authority.two.is_down = True
    order = authority.finalized()
    waits = []
    for _ in range(30):
        found = authority.storage.orders.get(order.id)
        assert found is not None
        assert found.due_at is not None
        waits.append(found.due_at - authority.clock())
        authority.clock.now = found.due_at
        authority.look(order)
    assert waits[0] == SHORTEST_WAIT
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT
    assert len(authority.two.asked) == 0
    assert len(authority.one.asked) == 1


def test_another_log_stands_in(storage: Storage) -> None:
    """Where the first logs fail, others are asked at once, of operators that have not given a timestamp."""
    same, third = PublicLog("One again", "operator  ONE"), PublicLog("Three", "Operator Three")
    authority = LoggedAuthority(storage, PATIENT, same, third)
    authority.two.is_down = True
    order = authority.finalized()
    assert {sct.log_id for sct in authority.scts(order)} == log_ids(authority.one, third)
    assert same.asked == []


def test_a_second_log_of_an_operator_stands_in_for_the_first(storage: Storage) -> None:
    """An operator counts once, by whichever of its logs answers."""
    same = PublicLog("One again", "Operator One")
    authority = LoggedAuthority(storage, PATIENT, same)
    authority.one.is_down = True
    assert {sct.log_id for sct in authority.scts(authority.finalized())} == log_ids(same, authority.two)


def test_a_log_that_failed_is_asked_last(storage: Storage) -> None:
    """A dead log costs one certificate a moment, and the next ones none."""
    third = PublicLog("Three", "Operator Three")
    authority = LoggedAuthority(storage, PATIENT, third)
    authority.one.is_down = True
    authority.finalized()
    authority.one.is_down = False
    authority.finalized()
    assert authority.one.asked == []
    assert len(third.asked) == len(authority.two.asked) == 2


def test_a_log_that_hangs_holds_nobody_up(storage: Storage) -> None:
    """A log that does not answer is left behind for another within the deadline."""
    third = PublicLog("Three", "Operator Three")
    authority = LoggedAuthority(storage, Logging(deadline_seconds=2, wait_seconds=10), third)
    authority.one.gate.clear()
    order = authority.finalized()
    assert {sct.log_id for sct in authority.scts(order)} == log_ids(authority.two, third)
    authority.one.gate.set()


def test_the_deadline_ends_an_attempt(storage: Storage) -> None:
    """Where nobody else can be asked, a log that hangs ends the attempt, and what the others gave is kept."""
    authority = LoggedAuthority(storage, HURRIED)
    authority.two.gate.clear()
    order = authority.finalized()
    assert order.status(authority.clock()) is Status.PROCESSING
    assert len(authority.storage.timestamps.counts()) == 1
    authority.two.gate.set()
    authority.restart()
    authority.clock.now += SHORTEST_WAIT
    assert authority.look(order).status(authority.clock()) is Status.VALID


def test_finalize_does_not_wait_for_slow_logs(storage: Storage) -> None:
    """The client gets its order as processing, and the certificate comes while it is away."""
    authority = LoggedAuthority(storage, Logging(deadline_seconds=60, wait_seconds=0))
    authority.two.gate.clear()
    order = authority.finalized()
    assert order.status(authority.clock()) is Status.PROCESSING
    assert authority.look(order).status(authority.clock()) is Status.PROCESSING, "somebody is at it"
    authority.two.gate.set()
    done = threading.Event()
    for _ in range(600):
        if authority.status(order) is Status.VALID:
            break
        done.wait(0.1)
    assert authority.status(order) is Status.VALID
    assert len(authority.two.asked) == 1


def test_with_too_much_under_way_an_order_waits(storage: Storage) -> None:
    """Beyond at_once certificates, orders are left for the worker instead of piling up."""
    authority = LoggedAuthority(storage, Logging(deadline_seconds=60, wait_seconds=0, at_once=1))
    authority.two.gate.clear()
    first, second = authority.finalized(), authority.finalized()
    assert authority.status(second) is Status.PROCESSING
    found = authority.storage.orders.get(second.id)
    assert found is not None
    assert found.due_at == authority.clock() + SHORTEST_WAIT
    authority.two.gate.set()
    authority.clock.now += SHORTEST_WAIT
    assert issuing.finish_reserved(authority.ca) == 1
    assert {authority.status(order) for order in (first, second)} == {Status.VALID}


LIES: dict[LieKind, Callable[[LoggedAuthority], None]] = {
    LieKind.SIGNATURE: lambda authority: setattr(
        authority.two, "garble", lambda sct: dataclasses.replace(sct, timestamp_ms=sct.timestamp_ms + 60_000)
    ),
    LieKind.LOG_ID: lambda authority: setattr(
        authority.two, "garble", lambda sct: dataclasses.replace(sct, log_id=authority.one.shard.log_id)
    ),
    LieKind.TIME: lambda authority: setattr(authority.two, "lie", says(timestamp_ms=0)),
    LieKind.LABEL: lambda authority: setattr(authority.two, "lie", says(number=OTHER_NUMBER)),
    LieKind.MALFORMED: lambda authority: setattr(authority.two, "_sign", lambda *args: bare(authority.two, *args)),
}


def bare(log: PublicLog, _number: object, tbs: bytes, key_hash: bytes) -> SignedCertificateTimestamp:
    """Return a timestamp as any log of the WebPKI gives it: without proof and opening."""
    timestamp_ms = int(log.clock().timestamp()) * 1000
    signature = log.sct_key.sign(signed_data(key_hash, tbs, timestamp_ms, b""), ec.ECDSA(hashes.SHA256()))
    return SignedCertificateTimestamp(log.shard.log_id, timestamp_ms, b"", signature)


@pytest.mark.parametrize("kind", LIES)
def test_a_lie_is_refused_and_kept(storage: Storage, kind: LieKind) -> None:
    """A false timestamp goes into no certificate; it is kept with what it answers, and another log is asked."""
    third = PublicLog("Three", "Operator Three")
    authority = LoggedAuthority(storage, PATIENT, third)
    LIES[kind](authority)
    order = authority.finalized()
    assert {sct.log_id for sct in authority.scts(order)} == log_ids(authority.one, third)
    (evidence,) = storage.evidence.newest(10)
    assert (evidence.lie.log, evidence.lie.operator, evidence.lie.kind) == ("Two", "Operator Two", kind)
    assert evidence.precertificate == authority.one.asked[0]
    assert SignedCertificateTimestamp.decode(evidence.lie.sct)
    assert evidence.order_id == order.id
    assert storage.evidence.counts() == {"Two": 1}


@pytest.mark.parametrize("minutes", [-7, 6])
def test_a_timestamp_is_of_its_time(authority: LoggedAuthority, minutes: int) -> None:
    """A timestamp from before the decision to issue, or from the future, is false; clocks may differ by 5 minutes."""
    authority.two.clock = lambda: authority.clock() + timedelta(minutes=minutes)
    authority.finalized()
    assert [one.lie.kind for one in authority.storage.evidence.newest(9)] == [LieKind.TIME]


@pytest.mark.parametrize("minutes", [-5, 5])
def test_clocks_may_differ_a_little(authority: LoggedAuthority, minutes: int) -> None:
    """A log whose clock is 5 minutes off is believed."""
    authority.two.clock = lambda: authority.clock() + timedelta(minutes=minutes)
    assert len(authority.scts(authority.finalized())) == 2


def test_a_time_that_is_no_whole_minute_is_false(authority: LoggedAuthority) -> None:
    """No sealed entry has such a time, so the log promises what it cannot hold."""
    whole = int(authority.clock().timestamp()) * 1000
    authority.two.lie = says(timestamp_ms=whole + 1)
    authority.finalized()
    assert [one.lie.kind for one in authority.storage.evidence.newest(9)] == [LieKind.TIME]


def test_one_leaf_index_is_not_promised_twice(authority: LoggedAuthority) -> None:
    """A log that promises a second certificate the leaf of the first is caught, with both promises kept."""
    first = authority.finalized()
    authority.two.lie = says(leaf_index=0)
    second = authority.finalized()
    assert second.status(authority.clock()) is Status.PROCESSING
    (evidence,) = authority.storage.evidence.newest(10)
    assert evidence.lie.kind is LieKind.INDEX
    promised = SignedCertificateTimestamp.decode(evidence.lie.other)
    assert promised in authority.scts(first)
    assert SignedCertificateTimestamp.decode(evidence.lie.sct) != promised


def test_a_liar_fills_no_disk(authority: LoggedAuthority) -> None:
    """Of a log that lies about one order again and again, one answer of each kind is kept."""
    authority.two.garble = lambda sct: dataclasses.replace(sct, signature=sct.signature + b"\0")
    order = authority.finalized()
    for _ in range(5):
        authority.clock.now += LONGEST_WAIT
        authority.look(order)
    assert len(authority.storage.evidence.newest(10)) == 1
    assert authority.status(order) is Status.PROCESSING


def test_an_answer_that_is_no_timestamp_is_kept_as_such(authority: LoggedAuthority) -> None:
    """What cannot even be read is noted with the reason."""

    def no_timestamp(sct: SignedCertificateTimestamp) -> SignedCertificateTimestamp:
        return SignedCertificateTimestamp.decode(sct.encode()[:-1])

    authority.two.garble = no_timestamp
    authority.finalized()
    (evidence,) = authority.storage.evidence.newest(10)
    assert (evidence.lie.kind, evidence.lie.sct) == (LieKind.MALFORMED, b"")


def test_an_order_that_comes_too_late_is_invalid(authority: LoggedAuthority) -> None:
    """Once its certificate would have ended, an order says so instead of waiting for ever."""
    authority.two.is_down = True
    order = authority.finalized()
    authority.clock.advance(days=7)
    found = authority.look(order)
    assert found.status(authority.clock()) is Status.INVALID
    assert found.error is not None
    assert found.error.kind is RefusalKind.SERVER_INTERNAL
    assert authority.look(order) == dataclasses.replace(found)
    assert issuing.finish_reserved(authority.ca) == 0
    assert authority.storage.orders.waiting_for_logs() == (0, None)


def test_the_operator_sees_how_many_wait(authority: LoggedAuthority) -> None:
    """The number of orders that wait for logs, and since when."""
    authority.two.is_down = True
    since = authority.clock()
    authority.finalized()
    authority.clock.advance(minutes=1)
    authority.finalized()
    assert authority.storage.orders.waiting_for_logs() == (2, since)


def test_a_change_of_policy_lets_waiting_orders_go(authority: LoggedAuthority) -> None:
    """An operator who lowers scts frees the orders that wait: with the timestamps there are, or with none."""
    authority.two.is_down = True
    first, second = authority.finalized(), authority.finalized()
    for scts, order in ((1, first), (0, second)):
        policy = IssuancePolicy(countries=("US",), scts=scts)
        config = msgspec.structs.replace(authority.ca.config, policy=policy)
        authority.restart(config=config)
        authority.clock.now += LONGEST_WAIT
        done = authority.look(order)
        assert done.status(authority.clock()) is Status.VALID
        leaf = NumberCertificate.read(authority.download(authority.own, done)[0])
        assert (leaf.sct_list is None) == (scts == 0)


def test_a_log_that_is_no_longer_named_does_not_count(authority: LoggedAuthority) -> None:
    """Timestamps of a log that the operator struck out are not embedded."""
    authority.two.is_down = True
    order = authority.finalized()
    third = PublicLog("Three", "Operator Three", authority.clock)
    authority.public_logs = (authority.two, third)
    authority.two.is_down = False
    authority.restart()
    authority.clock.now += SHORTEST_WAIT
    assert {sct.log_id for sct in authority.scts(authority.look(order))} == log_ids(authority.two, third)


def test_after_a_change_of_the_issuing_certificate_the_logs_are_asked_anew(authority: LoggedAuthority) -> None:
    """Timestamps of the precertificate by the old issuer are worth nothing for a certificate by the new one."""
    authority.two.is_down = True
    order = authority.finalized()
    authority.two.is_down = False
    authority.restart(issuer=make_issuer(crl_shards=4))
    authority.clock.now += SHORTEST_WAIT
    done = authority.look(order)
    assert len(authority.scts(done)) == 2
    assert len(authority.one.asked) == 2


def test_no_log_for_the_certificates_end(authority: LoggedAuthority) -> None:
    """Where no shard takes certificates with this end, the order waits for the operator to name one that does."""
    authority.clock.now += timedelta(days=364)
    ca = dataclasses.replace(authority.ca, issuer=make_issuer(crl_shards=4, lifetime=timedelta(days=800)))
    authority.ca = ca
    order = authority.finalized()
    assert order.status(authority.clock()) is Status.PROCESSING
    assert authority.one.asked == []


def test_while_the_key_store_is_away_the_order_waits(
    authority: LoggedAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key store that cannot sign the precertificate, or the certificate, delays the order."""
    for method in ("sign_precertificate", "sign_certificate"):
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                msg = "away"
                raise KeyStoreError(msg)

            patch.setattr(Issuer, method, fail)
            order = authority.finalized()
            assert order.status(authority.clock()) is Status.PROCESSING
        authority.clock.now += SIGNING_TIME + timedelta(seconds=PATIENT.deadline_seconds)
        assert authority.look(order).status(authority.clock()) is Status.VALID


def test_a_precertificate_that_fails_its_lint_is_shown_to_nobody(
    authority: LoggedAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not what was meant leaves as little as a certificate does, and ends the order."""
    ready = authority.ready(authority.own)
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            msg = "wrong"
            raise LintError(msg)

        patch.setattr("ca_server.signing.issuer.lint_precertificate", fail)
        with pytest.raises(LintError):
            authority.finalized(ready)
    assert authority.one.asked == []
    assert authority.status(ready) is Status.INVALID


def test_of_many_who_finish_one_order_one_asks(authority: LoggedAuthority) -> None:
    """Polls and workers at one moment bring one certificate, and each log is asked once."""
    authority.one.is_down = authority.two.is_down = True
    order = authority.finalized()
    authority.one.is_down = authority.two.is_down = False
    authority.clock.now += SHORTEST_WAIT
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: issuing.finish_reserved(authority.ca), range(8), timeout=TIMEOUT))
    assert authority.status(order) is Status.VALID
    assert (len(authority.one.asked), len(authority.two.asked)) == (1, 1)
    assert len(authority.storage.certificates.page(None, 10)) == 1


def test_two_that_gather_for_one_order_fix_one_list(authority: LoggedAuthority, storage: Storage) -> None:
    """Where a lease ran out and two processes gather timestamps, both sign what the first has fixed."""
    third, fourth = PublicLog("Three", "Operator Three"), PublicLog("Four", "Operator Four")
    ready = authority.ready(authority.own)
    authority.two.is_down = True
    authority.finalized(ready)
    found = storage.orders.get(ready.id)
    assert found is not None
    authority.two.is_down = False
    outcomes = []
    for logs in ((authority.one, authority.two), (third, fourth)):
        authority.restart(*logs)
        authority.clock.now += SHORTEST_WAIT
        stale = dataclasses.replace(found, due_at=authority.clock())
        storage._database.run("UPDATE orders SET certificate_id = NULL, due_at = 0")
        outcomes.append(issuing.finalization.complete(authority.ca, stale))
    assert outcomes[0].certificate_id == outcomes[1].certificate_id
    assert {sct.log_id for sct in authority.scts(authority.look(ready))} == log_ids(authority.one, authority.two)
    assert len(storage.certificates.page(None, 10)) == 1


def test_two_numbers_have_their_own_timestamps(authority: LoggedAuthority) -> None:
    """Each certificate's timestamps are of its own number."""
    for number in (NUMBER, OTHER_NUMBER):
        order = issuing.finalize(
            authority.ca, authority.own.account, authority.ready(authority.own, number).id, csr(number)
        )
        assert len(authority.scts(order)) == 2


def test_a_logs_answer_shows_no_number(authority: LoggedAuthority) -> None:
    """What is printed of a submission, a timestamp or a lie names no number and no secret."""
    authority.two.lie = says(number=OTHER_NUMBER)
    authority.finalized()
    (evidence,) = authority.storage.evidence.newest(10)
    assert NUMBER.digits not in repr(evidence)
    assert NUMBER.digits not in repr(authority.ca.logs.known)


def shown_to(log: PublicLog) -> bytes:
    """Return the precertificate that a log saw last: what a number's owner finds there."""
    return log.asked[-1]


def test_an_owner_stops_a_certificate_that_is_on_its_way(authority: LoggedAuthority) -> None:
    """Who holds the number revokes by the precertificate from a log; the certificate then never comes."""
    authority.two.is_down = True
    order = authority.finalized()
    owner = authority.client()
    with pytest.raises(Refusal) as caught:
        issuing.revoke(authority.ca, shown_to(authority.one), None, owner.account)
    assert caught.value.kind is RefusalKind.UNAUTHORIZED
    authority.ready(owner)
    issuing.revoke(authority.ca, shown_to(authority.one), None, owner.account)
    authority.two.is_down = False
    authority.clock.now += LONGEST_WAIT
    found = authority.look(order)
    assert found.status(authority.clock()) is Status.INVALID
    assert found.error is not None
    assert found.error.kind is RefusalKind.UNAUTHORIZED
    assert issuing.finish_reserved(authority.ca) == 0
    with pytest.raises(Refusal, match="never issued") as caught:
        issuing.revoke(authority.ca, shown_to(authority.one), None, owner.account)
    assert caught.value.kind is RefusalKind.ALREADY_REVOKED


def test_a_certificate_that_was_stopped_while_it_was_signed_is_not_kept(
    authority: LoggedAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last timestamp and the database there is no moment in which a revocation gets lost."""
    sign = Issuer.sign_certificate

    def revoked_meanwhile(issuer: Issuer, *values: Any) -> x509.Certificate:  # noqa: ANN401 - passed on
        signed = sign(issuer, *values)
        issuing.revoke(authority.ca, shown_to(authority.one), 1, authority.own.account)
        return signed

    monkeypatch.setattr(Issuer, "sign_certificate", revoked_meanwhile)
    order = authority.finalized()
    assert order.status(authority.clock()) is Status.INVALID
    assert authority.storage.certificates.page(None, 10) == []


def test_a_precertificate_that_came_to_its_certificate_is_revoked_with_it(authority: LoggedAuthority) -> None:
    """By the precertificate the certificate is revoked, and its CRL says so."""
    order = authority.finalized()
    issuing.revoke(authority.ca, shown_to(authority.one), 4, authority.own.account)
    certificate = authority.storage.certificates.get(str(order.certificate_id))
    assert certificate is not None
    assert certificate.revoked_at == authority.clock()
    crl = x509.load_der_x509_crl(issuing.crl(authority.ca, certificate.shard).der)
    assert [entry.serial_number for entry in crl] == [certificate.serial]


def test_a_precertificate_from_before_a_change_of_the_issuing_certificate_revokes(authority: LoggedAuthority) -> None:
    """What the owner finds in a log names its certificate, whichever issuing certificate the authority has by now."""
    order = authority.finalized()
    authority.two.is_down = True
    waiting = authority.finalized()
    shown, still_waiting = authority.two.asked[-1], shown_to(authority.one)
    authority.restart(issuer=make_issuer())
    issuing.revoke(authority.ca, shown, 4, authority.own.account)
    certificate = authority.storage.certificates.get(str(order.certificate_id))
    assert certificate is not None
    assert certificate.revoked_at == authority.clock()
    issuing.revoke(authority.ca, still_waiting, None, authority.own.account)
    assert authority.status(waiting) is Status.INVALID


def test_nobody_stops_an_order_with_a_precertificate_of_their_own(authority: LoggedAuthority) -> None:
    """A precertificate with an order's serial and another key names nothing."""
    authority.two.is_down = True
    order = authority.finalized()
    assert order.issuance is not None
    forged = make_issuer().sign_precertificate(NUMBER, new_key().public_key(), order.issuance)
    with pytest.raises(Refusal) as caught:
        issuing.revoke(authority.ca, forged.public_bytes(Encoding.DER), None, authority.own.account)
    assert caught.value.kind is RefusalKind.NOT_FOUND
    assert authority.status(order) is Status.PROCESSING
