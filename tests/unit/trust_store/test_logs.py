from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from policies.terms import Settings
from tests.fakes import small_pki
from tests.fakes.sealed_log import (
    SHARD_LENGTH,
    TAKEN,
    SealedLog,
    known,
    logged,
    trusted_witness,
    with_sct_list,
    witness,
)
from tests.fakes.small_pki import CALLER, NOW, STRANGER, Authority, Held, reissued
from transparency.sct import SctExtensions, decode_sct_list, encode_sct_list, issuer_key_hash, tbs_of
from trust_store import Call, KnownLogs, Outcome, Rule, TrustedLog, TrustStore, Verdict
from trust_store.errors import LogError
from trust_store.logs import MOST_PROOFS

ONE, TWO = Settings(scts=1), Settings(scts=2)
PROVED = Settings(proofs=1)


@pytest.fixture
def log() -> SealedLog:
    """Return a log with nothing in it."""
    return SealedLog()


@pytest.fixture
def other() -> SealedLog:
    """Return a log of another operator."""
    return SealedLog("other-log")


def judged(root: Authority, held: Held, known_logs: KnownLogs, settings: Settings = ONE, **terms: object) -> Verdict:
    """Return the verdict on a call, with an anchor on these terms."""
    return TrustStore([root.anchor(**terms)], settings=settings, logs=known_logs).judge(held.call())


def scts_of(held: Held) -> bytes:
    """Return the SCT list that a certificate carries."""
    extension = held.chain[0].extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
    return asn1.decode_der(bytes, extension.value.public_bytes())


# What counts.


def test_a_certificate_that_a_known_log_took_is_verified(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """Signature, VRF proof and commitment are right; the finding names the operator."""
    store = TrustStore([root.anchor()], settings=ONE, logs=known(log))
    found = store.explain(logged(issuing, held, log).call())
    assert found.verdict.outcome is Outcome.VERIFIED
    reasons = {finding.rule: finding.reason for finding in found.findings}
    assert reasons[Rule.LOGGED] == "it was taken by the logs of Operator of example-log"
    assert reasons[Rule.LOG_TIMESTAMPS] == "everything is true that it carries of logs that you know"


def test_without_the_wish_for_logs_none_is_needed(root: Authority, held: Held, log: SealedLog) -> None:
    """The default asks for none, with and without known logs."""
    for logs in (KnownLogs(), known(log)):
        found = TrustStore([root.anchor()], logs=logs).explain(held.call())
        assert found.verdict.outcome is Outcome.VERIFIED
        assert "you ask for none" in next(one.reason for one in found.findings if one.rule is Rule.LOGGED)


def test_a_certificate_that_no_log_took_is_refused_where_one_is_asked_for(
    root: Authority, held: Held, log: SealedLog
) -> None:
    """The reason says how many were asked for and what is there."""
    found = judged(root, held, known(log), replace(ONE, sources={"scts": "trust.toml:2"}))
    assert (found.outcome, found.rule, found.source) == (Outcome.REFUSED, Rule.LOGGED, "trust.toml:2")
    assert found.reason == (
        "you ask for timestamps of the logs of one operator, and the certificate carries none that counts"
    )


def test_a_log_that_the_user_does_not_know_counts_as_nothing(
    root: Authority, issuing: Authority, held: Held, log: SealedLog, other: SealedLog
) -> None:
    """It does no harm either: its word is neither true nor false here."""
    strange = logged(issuing, held, other)
    found = judged(root, strange, known(log))
    assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.LOGGED)
    assert found.reason.endswith("; 1 of logs that you do not know")
    assert judged(root, strange, known(log), Settings()).outcome is Outcome.VERIFIED
    assert judged(root, logged(issuing, held, other, log), known(log)).outcome is Outcome.VERIFIED


def test_two_logs_of_one_operator_count_once(
    root: Authority, issuing: Authority, held: Held, log: SealedLog, other: SealedLog
) -> None:
    """Who runs both could lie in both."""
    both = logged(issuing, held, log, other)
    apart, together = known(log, other), known(log.trusted("Same"), other.trusted("Same", line=24))
    assert judged(root, both, apart, TWO).outcome is Outcome.VERIFIED
    found = judged(root, both, together, TWO)
    assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.LOGGED)
    assert "the logs of 2 operators, and the certificate carries only those of Same" in found.reason


def test_one_log_twice_counts_once(root: Authority, issuing: Authority, held: Held, log: SealedLog) -> None:
    """Two timestamps of one log are one opinion."""
    assert judged(root, logged(issuing, held, log, log), known(log), TWO).rule is Rule.LOGGED


def test_an_anchors_own_number_stands_in_place_of_the_general_one(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """More for an authority that is new to the user, none for the one in the family."""
    once = logged(issuing, held, log)
    found = judged(root, once, known(log), ONE, scts=2, sources={"scts": "trust.toml:9"})
    assert (found.rule, found.source) == (Rule.LOGGED, "trust.toml:9")
    assert judged(root, held, known(log), TWO, scts=0).outcome is Outcome.VERIFIED


def test_an_anchor_may_be_limited_to_some_logs(
    root: Authority, issuing: Authority, held: Held, log: SealedLog, other: SealedLog
) -> None:
    """The word of the others does not count for its certificates."""
    once, logs = logged(issuing, held, other), known(log, other)
    found = judged(root, once, logs, logs=("example-log",))
    assert found.rule is Rule.LOGGED
    assert found.reason.endswith("; that of other-log does not count for example-ca")
    assert judged(root, once, logs, logs=("example-log", "other-log")).outcome is Outcome.VERIFIED


def test_a_timestamp_of_the_future_does_not_count(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """RFC 6962 §5.2; a log's clock may run ahead as far as a caller's."""
    early = logged(issuing, held, partial(log.take, at=NOW + timedelta(minutes=1)))
    found = judged(root, early, known(log))
    assert found.rule is Rule.LOGGED
    assert "of the future" in found.reason
    assert judged(root, early, known(log), replace(ONE, skew_seconds=60)).outcome is Outcome.VERIFIED


def test_a_timestamp_of_the_far_future_is_a_verdict_and_no_error(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """A log may sign a time that no calendar has."""
    far = logged(issuing, held, partial(log.take, at=NOW, rounding_ms=2**62 - 2**62 % 60_000))
    assert judged(root, far, known(log)).rule is Rule.LOGGED


def test_a_certificate_right_below_the_anchor_is_held_to_the_anchors_key(root: Authority, log: SealedLog) -> None:
    """The issuer whose key an SCT names may be the anchor itself."""
    assert judged(root, logged(root, root.number(), log), known(log)).outcome is Outcome.VERIFIED


def test_what_a_log_said_is_worked_out_once(
    root: Authority, issuing: Authority, held: Held, log: SealedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain that was seen before costs no VRF again, on whichever path it leads to an anchor."""
    store = TrustStore([root.anchor(), issuing.anchor("issuing")], settings=ONE, logs=known(log))
    once = logged(issuing, held, log)
    calls = []
    check = type(log.description.shards[0]).check_sct
    monkeypatch.setattr(
        type(log.description.shards[0]), "check_sct", lambda *given: calls.append(given) or check(*given)
    )
    for second in range(3):
        assert store.judge(once.call(NOW + timedelta(seconds=second))).outcome is Outcome.VERIFIED
    assert len(calls) == 1


# Lies.


def refused_as_false(found: Verdict) -> bool:
    """Tell whether a verdict is that a certificate carries something false of the log on line 20."""
    return (found.outcome, found.rule, found.source) == (Outcome.REFUSED, Rule.LOG_TIMESTAMPS, "trust.toml:20")


def test_a_certificate_that_authority_and_log_file_under_another_number_is_refused(
    root: Authority, issuing: Authority, held: Held, log: SealedLog, other: SealedLog
) -> None:
    """The two collude: all is signed as it should be, but the owner would look under its own label and find nothing."""
    hidden = logged(issuing, held, log, number=STRANGER)
    for settings in (Settings(), ONE):
        found = judged(root, hidden, known(log), settings)
        assert refused_as_false(found)
        assert found.reason == (
            "what the certificate carries of the log example-log is false: "
            "the VRF proof is false: the label is not this number's"
        )
    honest_too = logged(issuing, held, other, partial(_filed_under_a_stranger, log))
    assert refused_as_false(judged(root, honest_too, known(log, other)))


def _filed_under_a_stranger(log: SealedLog, _number: object, issuer_hash: bytes, tbs: bytes) -> object:
    return log.take(STRANGER, issuer_hash, tbs)


def test_a_timestamp_of_another_certificate_is_refused(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """Of the same number, even: a rogue certificate cannot borrow the log's word for the true one."""
    borrowed = scts_of(logged(issuing, held, log))
    rogue = with_sct_list(issuing, issuing.number(key_number=8, serial=4711), borrowed)
    assert refused_as_false(judged(root, rogue, known(log)))


def test_a_timestamp_for_another_issuer_is_refused(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """The log named the key under which it admitted the certificate."""
    (tbs, issuer_hash) = tbs_of(held.chain[0]), issuer_key_hash(small_pki.root(key_number=9).certificate)
    sct = log.take(CALLER, issuer_hash, tbs)
    assert refused_as_false(judged(root, with_sct_list(issuing, held, encode_sct_list([sct])), known(log)))


@pytest.mark.parametrize("part", ["leaf_index", "vrf_proof", "opening"])
def test_a_tampered_extension_is_refused(
    root: Authority, issuing: Authority, held: Held, log: SealedLog, part: str
) -> None:
    """The log's signature covers index, VRF proof and opening."""
    (sct,) = decode_sct_list(scts_of(logged(issuing, held, log)))
    was = SctExtensions.decode(sct.extensions)
    changed = {"leaf_index": 1, "vrf_proof": was.vrf_proof[:-2] + bytes(2), "opening": bytes(16)}
    forged = replace(sct, extensions=replace(was, **{part: changed[part]}).encode())
    found = judged(root, with_sct_list(issuing, held, encode_sct_list([forged])), known(log))
    assert refused_as_false(found)
    assert "signature is wrong" in found.reason


def test_a_log_outside_its_shard_is_refused(root: Authority, issuing: Authority, held: Held) -> None:
    """A certificate is filed by when it expires; in another shard it is hidden."""
    log = SealedLog(shards=("2026h1", "2026h2"))
    found = judged(root, logged(issuing, held, partial(log.take, shard=1)), known(log))
    assert refused_as_false(found)
    assert "shard 2026h2 is not for certificates that expire on 2026-06-07" in found.reason


def test_an_expired_shard_is_refused(root: Authority, issuing: Authority, log: SealedLog) -> None:
    """Nobody watches a shard whose certificates have all expired."""
    at = NOW + SHARD_LENGTH
    late = issuing.number(not_before=at - timedelta(days=1), not_after=at + timedelta(days=6))
    held = logged(issuing, late, partial(log.take, at=at - timedelta(days=1)))
    store = TrustStore([root.anchor()], logs=known(log))
    assert refused_as_false(store.judge(held.call(at)))


def test_a_timestamp_that_no_sealed_log_gives_is_refused(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """Sealed entries have whole minutes: another one would tell more of the owner than it may."""
    assert refused_as_false(judged(root, logged(issuing, held, partial(log.take, rounding_ms=1)), known(log)))


def test_a_known_logs_malformed_timestamp_is_refused(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """The log did not sign bytes that are no SCT."""
    unsigned = b"\0" + log.description.shards[0].log_id + bytes(8) + b"\0\0" + bytes([4, 3, 0, 0])
    assert refused_as_false(judged(root, with_sct_list(issuing, held, _list_of(unsigned)), known(log)))


def test_a_timestamp_of_a_log_of_another_kind_is_a_strangers(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """A log that signs with RSA: others may read it (RFC 6962 §2.1.4)."""
    (sct,) = decode_sct_list(scts_of(logged(issuing, held, log)))
    rsa = b"\0" + bytes(32) + bytes(8) + b"\0\0" + bytes([4, 1, 0, 1, 0])
    mixed = with_sct_list(issuing, held, _list_of(rsa, sct.encode()))
    assert judged(root, mixed, known(log)).outcome is Outcome.VERIFIED
    assert judged(root, mixed, known(log), TWO).reason.endswith("; 1 of logs that you do not know")


def _list_of(*scts: bytes) -> bytes:
    items = b"".join(len(sct).to_bytes(2) + sct for sct in scts)
    return len(items).to_bytes(2) + items


@pytest.mark.parametrize("count", [0, 17])
def test_a_list_that_is_empty_or_too_long_is_refused_by_those_who_know_logs(
    root: Authority, issuing: Authority, held: Held, log: SealedLog, count: int
) -> None:
    """Who knows none does not look at it."""
    (sct,) = decode_sct_list(scts_of(logged(issuing, held, log)))
    broken = with_sct_list(issuing, held, _list_of(*[sct.encode()] * count))
    found = judged(root, broken, known(log), Settings())
    assert (found.outcome, found.rule, found.source) == (Outcome.REFUSED, Rule.LOG_TIMESTAMPS, None)
    assert "the certificate's list of timestamps is malformed" in found.reason
    assert judged(root, broken, KnownLogs(), Settings()).outcome is Outcome.VERIFIED


@given(at=st.integers(0, 10_000), value=st.integers(0, 255))
def test_no_list_of_timestamps_raises(root: Authority, issuing: Authority, held: Held, at: int, value: int) -> None:
    """A byte that was changed anywhere is refused, or makes the timestamp a stranger's."""
    log = SealedLog()
    good = scts_of(logged(issuing, held, log))
    at %= len(good)
    changed = good[:at] + bytes([value]) + good[at + 1 :]
    found = judged(root, with_sct_list(issuing, held, changed), known(log))
    if changed == good:
        assert found.outcome is Outcome.VERIFIED
    else:
        assert found.rule in {Rule.CHAIN, Rule.LOG_TIMESTAMPS, Rule.LOGGED}


# The last day of an authority.


def test_an_authority_that_dates_back_is_found_out_by_the_logs(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """It writes notBefore itself; when a log took the certificate, it cannot turn back."""
    last = date(2026, 5, 20)
    back = reissued(held.chain[0], issuing.key, not_before=datetime(2026, 5, 20, tzinfo=UTC))
    dated_back = logged(issuing, held.with_leaf(back), log)
    found = judged(
        root, dated_back, known(log), Settings(), issued_not_after=last, sources={"issued_not_after": "trust.toml:10"}
    )
    assert (found.outcome, found.rule, found.source) == (Outcome.REFUSED, Rule.ISSUED_NOT_AFTER, "trust.toml:10")
    assert found.reason == (
        f"the certificate was taken by the log example-log on {TAKEN:%Y-%m-%d}, "
        "and you believe example-ca only for what it issued up to 2026-05-20"
    )
    in_time = logged(issuing, held.with_leaf(back), partial(log.take, at=datetime(2026, 5, 20, 23, 59, tzinfo=UTC)))
    assert judged(root, in_time, known(log), issued_not_after=last).outcome is Outcome.VERIFIED


# Proofs that come beside the token.


def with_proofs(held: Held, *proofs: bytes) -> Call:
    """Return a call with proofs beside its token."""
    return replace(held.call(), proofs=proofs)


def test_a_proof_shows_offline_that_the_log_shows_the_entry(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """Among other entries, and asked for or not."""
    log.take(STRANGER, bytes(32), b"other")
    taken = logged(issuing, held, log)
    log.take(STRANGER, bytes(32), b"another")
    for settings in (Settings(), replace(PROVED, sources={"proofs": "trust.toml:3"})):
        found = TrustStore([root.anchor()], settings=settings, logs=known(log)).explain(
            with_proofs(taken, log.proof(1))
        )
        assert found.verdict.outcome is Outcome.VERIFIED
        (finding,) = (one for one in found.findings if one.rule is Rule.INCLUDED)
        assert finding.reason == "proved by the logs of Operator of example-log"
        assert finding.source == settings.sources.get("proofs")


def test_where_a_proof_is_asked_for_a_call_without_is_refused(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """A promise is not enough."""
    found = judged(root, logged(issuing, held, log), known(log), replace(PROVED, sources={"proofs": "trust.toml:3"}))
    assert (found.outcome, found.rule, found.source) == (Outcome.REFUSED, Rule.INCLUDED, "trust.toml:3")
    assert found.reason == "you ask for proofs of the logs of one operator, and with it came none that counts"


def test_a_proof_that_proves_nothing_counts_as_nothing(
    root: Authority, issuing: Authority, held: Held, log: SealedLog, other: SealedLog
) -> None:
    """Whoever carries it may have spoiled it, so it is no reason to refuse what needs none."""
    log.take(STRANGER, bytes(32), b"other")
    taken = logged(issuing, held, log)
    other.entries = [*log.entries]
    good = log.proof(1)
    spoiled = {
        b"nonsense": "a proof cannot be read: a proof is a head, an empty line and a checkpoint (C2SP tlog-proof)",
        log.proof(0): "a proof is for no entry that a timestamp of your logs promises",
        other.proof(1): "a proof is for no entry that a timestamp of your logs promises",
        good.replace(b"\n2\n", b"\n3\n"): "that of example-log proves nothing: the note's signature",
        _with_another_hash(good): "that of example-log proves nothing: the",
    }
    for proof, reason in spoiled.items():
        store = TrustStore([root.anchor()], logs=known(log))
        found = store.explain(with_proofs(taken, proof))
        assert found.verdict.outcome is Outcome.VERIFIED
        (finding,) = (one for one in found.findings if one.rule is Rule.INCLUDED)
        assert finding.reason.startswith(f"no proof counts, and you ask for none; {reason}")
        strict = TrustStore([root.anchor()], settings=PROVED, logs=known(log))
        assert strict.judge(with_proofs(taken, proof)).rule is Rule.INCLUDED
        assert strict.judge(with_proofs(taken, proof, good)).outcome is Outcome.VERIFIED


def _with_another_hash(proof: bytes) -> bytes:
    lines = proof.split(b"\n")
    lines[2] = (b"A" if lines[2][:1] != b"A" else b"B") + lines[2][1:]
    return b"\n".join(lines)


def test_a_proof_takes_as_many_witnesses_as_the_user_asks_for(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """Two witnesses of one operator count once; one that the user does not know, not at all."""
    taken = logged(issuing, held, log)
    first, second, stranger = witness("one.example"), witness("two.example"), witness("stranger.example")
    settings = Settings(proofs=1, witnesses=2)
    apart = known(log, witnesses=[trusted_witness(first, "One"), trusted_witness(second, "Two")])
    together = known(log, witnesses=[trusted_witness(first, "One"), trusted_witness(second, "One")])

    def outcome(logs: KnownLogs, proof: bytes) -> Verdict:
        return TrustStore([root.anchor()], settings=settings, logs=logs).judge(with_proofs(taken, proof))

    both = log.proof(0, first, second)
    assert outcome(apart, both).outcome is Outcome.VERIFIED
    for logs, proof in ((together, both), (apart, log.proof(0, first, stranger))):
        found = outcome(logs, proof)
        assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.INCLUDED)
        assert found.reason.endswith("; 1 of your witnesses' operators cosigned that of example-log, and you ask for 2")


def test_a_proof_of_a_log_that_does_not_count_for_the_anchor_counts_as_nothing(
    root: Authority, issuing: Authority, held: Held, log: SealedLog, other: SealedLog
) -> None:
    """What holds for timestamps holds for proofs."""
    taken = logged(issuing, held, log)
    store = TrustStore([root.anchor(logs=("other-log",))], settings=PROVED, logs=known(log, other))
    found = store.judge(with_proofs(taken, log.proof(0)))
    assert found.rule is Rule.INCLUDED
    assert found.reason.endswith("; that of example-log does not count for example-ca")


def test_no_more_than_eight_proofs_are_looked_at(
    root: Authority, issuing: Authority, held: Held, log: SealedLog
) -> None:
    """A caller cannot keep the called busy with heaps of them."""
    taken = logged(issuing, held, log)
    store = TrustStore([root.anchor()], settings=PROVED, logs=known(log))
    junk = [b"junk"] * MOST_PROOFS
    assert store.judge(with_proofs(taken, *junk[1:], log.proof(0))).outcome is Outcome.VERIFIED
    assert store.judge(with_proofs(taken, *junk, log.proof(0))).rule is Rule.INCLUDED


def test_a_chain_is_judged_with_proofs_too(root: Authority, issuing: Authority, held: Held, log: SealedLog) -> None:
    """A directory's record brings a chain and no call."""
    taken = logged(issuing, held, log)
    store = TrustStore([root.anchor()], settings=PROVED, logs=known(log))
    assert store.judge_chain(taken.chain, NOW, [log.proof(0)]).outcome is Outcome.VERIFIED
    assert store.judge_chain(taken.chain, NOW).rule is Rule.INCLUDED


# The logs themselves.


def test_a_log_is_known_by_the_hash_of_its_description(log: SealedLog) -> None:
    """Another file is another log."""
    trusted = log.trusted()
    trusted.require(trusted.sha256)
    with pytest.raises(LogError, match="which is not the one that was asked for"):
        trusted.require("00" * 32)


def test_what_is_no_description_is_told() -> None:
    """A typing error in a file must not be a log."""
    with pytest.raises(LogError, match="cannot be read"):
        TrustedLog("x", "X", "trust.toml:1", b"{}")


def test_one_log_under_two_names_is_refused(log: SealedLog) -> None:
    """Its operator would count as two."""
    renamed = replace(log.description, name="another name").to_json()
    with pytest.raises(LogError, match="shard 2026h1 of twice is one of example-log as well"):
        known(log, TrustedLog("twice", "Somebody", "trust.toml:9", renamed))


def test_a_later_description_keeps_the_shards_in_use(log: SealedLog) -> None:
    """New shards come and old ones go; one in use that changes is another log's."""
    grown, moved = SealedLog(shards=("2026h1", "2026h2")).trusted(), SealedLog(shards=("2026x1",)).trusted()
    log.trusted().require_successor(grown, NOW)
    grown.require_successor(SealedLog(shards=("2026h1", "2026h2", "2027h1")).trusted(), NOW)
    with pytest.raises(LogError, match="changes shard 2026h1 or leaves it out"):
        log.trusted().require_successor(moved, NOW)
    log.trusted().require_successor(moved, NOW + SHARD_LENGTH)


def test_a_store_tells_its_logs_and_witnesses(log: SealedLog) -> None:
    """Those who watch logs ask a store which."""
    cosigner = trusted_witness(witness())
    store = TrustStore(logs=known(log, witnesses=[cosigner]))
    assert [one.description for one in store.logs] == [log.description]
    assert store.witnesses == (cosigner,)
    assert isinstance(json.loads(store.logs[0].data), dict)
    assert isinstance(store.logs[0].description.shards[0].sct_key, ec.EllipticCurvePublicKey)
