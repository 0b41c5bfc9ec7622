from __future__ import annotations

import base64
import json
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import RevocationFacts, RevocationState
from policies.terms import Deny, KeyType, RevocationMode, Settings
from stir.certificate_chain import LONGEST_CHAIN
from stir.certificate_profile import OID_ARC
from stir.passport import MESSAGE, Passport, message_integrity, sign
from stir.telephone_number import NumberPrefix
from stir.validation_method import ValidationMethod
from tests.fakes import small_pki
from tests.fakes.small_pki import CALLED, CALLER, CRL_URL, NOW, STRANGER, Authority, Held, reissued
from trust_store import Call, Outcome, Purpose, Rule, TrustStore, Verdict
from trust_store.examining import REMEMBERED_CHAINS
from trust_store.fingerprints import _GROUP_ORDERS, _with_signature, key_sha256_of, sha256_of

OTHER_ROOT = small_pki.root("Another Root", key_number=50)


def summary(verdict: Verdict) -> tuple[Outcome, Rule]:
    """Return what a test mostly asks of a verdict."""
    return verdict.outcome, verdict.rule


class Lists:
    """Revocation lists that say the same of every certificate, and count how often they are asked."""

    def __init__(self, state: RevocationState = RevocationState.GOOD) -> None:
        """Say this of every certificate."""
        self.facts = RevocationFacts(state, f"told: {state}")
        self.asked: list[tuple[str, ...]] = []

    def status(
        self, certificate: x509.Certificate, issuer: x509.Certificate, urls: tuple[str, ...], at: datetime
    ) -> RevocationFacts:
        """Return the one answer."""
        certificate.verify_directly_issued_by(issuer)
        assert at.tzinfo is not None
        self.asked.append(urls)
        return self.facts


# The three outcomes.


def test_a_call_that_an_anchor_leads_to_is_verified(store: TrustStore, held: Held) -> None:
    """The verdict names the anchor, its operator and its line."""
    found = store.judge(held.call())
    assert summary(found) == (Outcome.VERIFIED, Rule.ANCHOR)
    assert (found.anchor, found.source) == ("example-ca", "trust.toml:5")
    assert found.reason == "the certificates lead to example-ca (Operator of example-ca)"


def test_an_empty_store_verifies_nobody_and_says_what_to_do(held: Held) -> None:
    """No error: the user has not chosen yet."""
    found = TrustStore(file=Path("somewhere") / "trust.toml").judge(held.call())
    assert summary(found) == (Outcome.UNVERIFIED, Rule.ANCHOR)
    assert "answerback trust add" in found.reason
    assert found.source == "trust.toml"


def test_an_unknown_authority_is_never_verified(held: Held) -> None:
    """Another anchor does not vouch for it."""
    found = TrustStore([OTHER_ROOT.anchor()]).judge(held.call())
    assert summary(found) == (Outcome.UNVERIFIED, Rule.ANCHOR)
    assert (found.anchor, found.source) == (None, "trust.toml")


def test_an_authority_of_an_anchors_name_is_not_the_anchor(store: TrustStore) -> None:
    """A name is not a key: whoever calls himself like the anchor is as unknown as anybody."""
    impostor = small_pki.root("Example Root", key_number=51).authority("Example Issuing", key_number=52).number()
    assert summary(store.judge(impostor.call())) == (Outcome.UNVERIFIED, Rule.ANCHOR)


def test_an_issuing_authority_can_be_the_anchor(root: Authority, issuing: Authority, held: Held) -> None:
    """The path ends there: what stands above does not matter."""
    store = TrustStore([issuing.anchor("issuing")])
    assert store.judge(held.call()).anchor == "issuing"
    without_root = Held(CALLER, held.key, held.chain[:2])
    assert store.judge(without_root.call()).anchor == "issuing"
    only_leaf = Held(CALLER, held.key, held.chain[:1])
    assert store.judge(only_leaf.call()).anchor == "issuing"
    assert TrustStore([root.anchor()]).judge(only_leaf.call()).outcome is Outcome.UNVERIFIED


def test_a_root_may_certify_numbers_itself(root: Authority, store: TrustStore) -> None:
    """The smallest authority has one certificate."""
    assert store.judge(root.number(key_number=6).call()).outcome is Outcome.VERIFIED


def test_no_certificates_at_all_are_unverified(store: TrustStore) -> None:
    """Nobody vouches, and nothing is wrong."""
    assert summary(store.judge_chain([], NOW)) == (Outcome.UNVERIFIED, Rule.CHAIN)


# What an attacker tries.


def test_a_tampered_token_is_refused_by_whoever_it_is(store: TrustStore, held: Held) -> None:
    """A changed claim breaks the signature, with and without an anchor."""
    head, claims, signature = held.token().split(".")
    changed = json.loads(base64.urlsafe_b64decode(claims + "=="))
    changed["iat"] += 1
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"=").decode()
    call = Call(f"{head}.{forged}.{signature}", CALLER, CALLED, NOW)
    for one in (store, TrustStore(), TrustStore([OTHER_ROOT.anchor()])):
        assert summary(one.judge(call)) == (Outcome.REFUSED, Rule.SIGNATURE)


def test_a_token_under_somebody_elses_certificate_is_refused(store: TrustStore, held: Held, issuing: Authority) -> None:
    """To hold another key does not help."""
    mallory = issuing.number(STRANGER, key_number=7)
    head, claims, _ = held.token().split(".")
    stolen = f"{head}.{claims}.{mallory.token().rsplit('.', 1)[1]}"
    assert summary(store.judge(Call(stolen, CALLER, CALLED, NOW))) == (Outcome.REFUSED, Rule.SIGNATURE)


def test_a_certified_number_cannot_sign_for_another(store: TrustStore, issuing: Authority) -> None:
    """The token may say what it likes: the certificate is for one number."""
    mallory = issuing.number(STRANGER, key_number=7)
    call = Call(mallory.token(orig=CALLER), CALLER, CALLED, NOW)
    assert summary(store.judge(call)) == (Outcome.REFUSED, Rule.CERTIFIED_NUMBER)


def test_a_call_from_another_number_than_its_token_says_is_refused(store: TrustStore, held: Held) -> None:
    """The caller's number comes from the signalling."""
    call = replace(held.call(), orig=STRANGER)
    assert summary(store.judge(call)) == (Outcome.REFUSED, Rule.CALLER)


def test_a_token_to_somebody_else_is_refused(store: TrustStore, held: Held) -> None:
    """A token cannot be carried to another callee."""
    assert summary(store.judge(replace(held.call(), dest=STRANGER))) == (Outcome.REFUSED, Rule.CALLED)


def test_a_stale_token_is_refused(store: TrustStore, held: Held) -> None:
    """A token of a minute ago is one that somebody kept."""
    call = replace(held.call(), at=NOW + timedelta(seconds=61))
    assert summary(store.judge(call)) == (Outcome.REFUSED, Rule.FRESHNESS)


def test_what_is_no_token_is_refused(store: TrustStore) -> None:
    """It is a verdict, not an error."""
    assert summary(store.judge(Call("no token", CALLER, CALLED, NOW))) == (Outcome.REFUSED, Rule.TOKEN)


def test_a_tampered_certificate_is_refused_by_whoever_it_is(store: TrustStore, issuing: Authority, held: Held) -> None:
    """A certificate that was changed after it was signed is broken, with and without an anchor."""
    longer = reissued(held.chain[0], small_pki.key(60), not_after=NOW + timedelta(days=7))
    forged = held.with_leaf(longer)
    for one in (store, TrustStore(), TrustStore([issuing.anchor()])):
        assert summary(one.judge(forged.call())) == (Outcome.REFUSED, Rule.CHAIN)


def test_a_certificate_of_a_constrained_authority_for_other_numbers_is_refused(root: Authority) -> None:
    """An authority for +1 303 that certifies +1 202 is not believed, though it signs as it should."""
    narrow = root.authority("Narrow", prefixes=["+1303"])
    found = TrustStore([root.anchor()]).judge(narrow.foreign_number().call())
    assert found.outcome is Outcome.REFUSED
    assert found.anchor == "example-ca"
    assert "nameConstraints" in found.reason


def test_certificates_in_a_circle_are_refused(store: TrustStore) -> None:
    """Two authorities that certify each other lead nowhere."""
    one, other = small_pki.root("One", key_number=21), small_pki.root("Other", key_number=22)
    by_other = reissued(one.certificate, other.key, issuer=other.certificate)
    by_one = reissued(other.certificate, one.key, issuer=one.certificate)
    leaf = one.number().chain[0]
    assert summary(store.judge_chain([leaf, by_other, by_one], NOW)) == (Outcome.UNVERIFIED, Rule.ANCHOR)
    for turns in (1, 2, 3):
        chain = [leaf, *[by_other, by_one] * turns, by_other]
        assert summary(store.judge_chain(chain, NOW)) == (Outcome.REFUSED, Rule.CHAIN)


def test_certificates_out_of_order_are_refused(store: TrustStore, held: Held) -> None:
    """RFC 7515 §4.1.6: each certifies the one before it; to sort them would be to search."""
    leaf, issuing, root = held.chain
    assert summary(store.judge_chain([leaf, root, issuing], NOW)) == (Outcome.REFUSED, Rule.CHAIN)


def test_a_malformed_name_of_an_issuer_is_refused(store: TrustStore, held: Held) -> None:
    """A name that is no UTF-8 is told, not raised."""
    der = held.chain[0].public_bytes(Encoding.DER)
    broken = x509.load_der_x509_certificate(der.replace(b"Example Issuing", b"\xffxample Issuing"))
    for chain in ([broken], [broken, *held.chain[1:]]):
        assert summary(store.judge_chain(chain, NOW)) == (Outcome.REFUSED, Rule.CHAIN)


@given(position=st.integers(0, 2), at=st.integers(0, 800), value=st.integers(0, 255))
def test_any_certificate_gets_a_verdict(position: int, at: int, value: int) -> None:
    """No byte of a certificate makes the store raise."""
    root = small_pki.root()
    chain = list(root.authority("Example Issuing").number().chain)
    der = bytearray(chain[position].public_bytes(Encoding.DER))
    der[at % len(der)] = value
    try:
        chain[position] = x509.load_der_x509_certificate(bytes(der))
    except (ValueError, x509.InvalidVersion, Warning):
        return
    TrustStore([root.anchor()]).judge_chain(chain, NOW)


@pytest.mark.parametrize("count", [LONGEST_CHAIN + 1, 51])
def test_a_chain_has_a_length_that_somebody_would_use(store: TrustStore, held: Held, count: int) -> None:
    """Fifty authorities are refused before anything is verified."""
    chain = [held.chain[0], *[held.chain[1]] * 50][:count]
    assert summary(store.judge_chain(chain, NOW)) == (Outcome.REFUSED, Rule.CHAIN)


def test_a_long_path_of_distinct_authorities_is_followed(store: TrustStore, root: Authority) -> None:
    """Depth alone is no fault while every authority allows it."""
    above = root
    for number in range(LONGEST_CHAIN - 2):
        above = above.authority(f"Authority {number}", path_length=None, key_number=70 + number)
    chain = above.number().chain
    assert len(chain) == LONGEST_CHAIN
    assert store.judge_chain(chain, NOW).outcome is Outcome.VERIFIED


@given(st.text(max_size=300))
def test_any_token_gets_a_verdict(token: str) -> None:
    """Nothing that comes in makes the store raise, and nothing made up is verified."""
    assert TrustStore([OTHER_ROOT.anchor()]).judge(Call(token, CALLER, CALLED, NOW)).outcome is Outcome.REFUSED


@given(position=st.integers(0, 3000), letter=st.sampled_from("AQgw_-.0"))
def test_a_token_with_another_letter_is_never_verified(position: int, letter: str) -> None:
    """Each letter of a token counts."""
    held = small_pki.root().authority("Example Issuing").number()
    token = held.token()
    changed = token[: position % len(token)] + letter + token[position % len(token) + 1 :]
    found = TrustStore([small_pki.root().anchor()]).judge(Call(changed, CALLER, CALLED, NOW))
    assert (found.outcome is Outcome.VERIFIED) == (changed == token)


# Denies and constraints.


def test_a_denied_number_is_refused_whatever_its_token(held: Held, root: Authority) -> None:
    """The user's deny comes first, even where there is no token to speak of."""
    store = TrustStore([root.anchor()], [Deny("trust.toml:9", number=CALLER)])
    assert summary(store.judge(held.call())) == (Outcome.REFUSED, Rule.DENIED_NUMBER)
    assert summary(store.judge(Call("", CALLER, CALLED, NOW))) == (Outcome.REFUSED, Rule.DENIED_NUMBER)
    assert summary(store.judge_chain(held.chain, NOW)) == (Outcome.REFUSED, Rule.DENIED_NUMBER)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("name", [sha256_of, key_sha256_of])
def test_a_denied_certificate_is_refused_wherever_it_stands(
    held: Held, root: Authority, issuing: Authority, position: int, name: object
) -> None:
    """The number's own, the issuing authority's or the anchor's; presented, or known from the store alone."""
    denied = Deny("trust.toml:9", certificate=name(held.chain[position]))  # type: ignore[operator]
    store = TrustStore([root.anchor()], [denied])
    for chain in (held.chain, held.chain[:2]):
        found = store.judge(Held(CALLER, held.key, chain).call())
        assert (*summary(found), found.source) == (Outcome.REFUSED, Rule.DENIED_CERTIFICATE, "trust.toml:9")
    unknown = TrustStore([OTHER_ROOT.anchor()], [denied]).judge(held.call())
    assert summary(unknown) == (Outcome.REFUSED, Rule.DENIED_CERTIFICATE)
    by_issuing = TrustStore([issuing.anchor()], [denied]).judge(Held(CALLER, held.key, held.chain[:2]).call())
    assert (by_issuing.outcome is Outcome.REFUSED) == (position < 2)


def test_a_deny_is_not_escaped_by_the_other_form_of_a_signature(held: Held, root: Authority) -> None:
    """Anybody can turn an ECDSA signature over; the certificate stays denied."""
    r, s = decode_dss_signature(held.chain[0].signature)
    turned = x509.load_der_x509_certificate(
        _with_signature(held.chain[0], encode_dss_signature(r, _GROUP_ORDERS[0] - s))
    )
    store = TrustStore([root.anchor()], [Deny("trust.toml:9", certificate=sha256_of(held.chain[0]))])
    assert TrustStore([root.anchor()]).judge(held.with_leaf(turned).call()).outcome is Outcome.VERIFIED
    assert summary(store.judge(held.with_leaf(turned).call())) == (Outcome.REFUSED, Rule.DENIED_CERTIFICATE)


def test_each_anchor_has_its_own_terms(held: Held, root: Authority, issuing: Authority) -> None:
    """One anchor that leads to a call and believes it is enough."""
    narrow = issuing.anchor("narrow", prefixes=(NumberPrefix.parse("+44"),))
    wide = root.anchor("wide", line=20)
    for anchors in ([narrow, wide], [wide, narrow]):
        assert TrustStore(anchors).judge(held.call()).anchor == "wide"


def test_where_every_anchor_refuses_each_reason_is_told(held: Held, root: Authority, issuing: Authority) -> None:
    """The user sees what stands against each of them."""
    narrow = issuing.anchor("narrow", prefixes=(NumberPrefix.parse("+44"),))
    past = root.anchor("past", until=date(2026, 1, 1))
    found = TrustStore([past, narrow]).judge(held.call())
    assert (found.outcome, found.rule, found.anchor) == (Outcome.REFUSED, Rule.ANCHOR_NUMBERS, "narrow")
    assert found.reason.endswith("begin with +44; nor by past: you believed past until 2026-01-01")


# Constraints on what the certificates say.


def test_an_authority_between_may_forbid_a_method(root: Authority) -> None:
    """RFC 5280 §6.1.3 (d): a policy counts only where each authority below the anchor lets it stand."""
    code, reply = ValidationMethod.SMS_CODE, ValidationMethod.SMS_REPLY
    plain = root.authority("Example Issuing")
    cases: list[tuple[tuple[x509.ObjectIdentifier, ...], bool]] = [
        ((), False),
        ((reply.oid,), False),
        ((reply.oid, code.oid), True),
        ((x509.ObjectIdentifier("2.5.29.32.0"),), True),
    ]
    for oids, verified in cases:
        policies = x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in oids])
        certificate = reissued(
            plain.certificate, root.key, without=[x509.CertificatePolicies], extra=[(policies, False)] if oids else ()
        )
        held = plain.with_certificate(certificate).number()
        found = TrustStore([root.anchor(methods=(code,))]).judge(held.call())
        assert (found.outcome is Outcome.VERIFIED) == verified
        assert verified or found.rule is Rule.METHOD
        assert TrustStore([root.anchor()]).judge(held.call()).outcome is Outcome.VERIFIED
        own = TrustStore([plain.with_certificate(certificate).anchor(methods=(code,))])
        assert own.judge(held.call()).outcome is Outcome.VERIFIED


def test_an_anchor_is_believed_for_some_uses_only(root: Authority, held: Held) -> None:
    """A call is no message; a certificate alone is judged for whichever use is asked about."""
    store = TrustStore([root.anchor(purposes=(Purpose.MESSAGE,))])
    assert summary(store.judge(held.call())) == (Outcome.REFUSED, Rule.PURPOSE)
    assert store.judge(held.message()).outcome is Outcome.VERIFIED
    assert store.judge_chain(held.chain, NOW).outcome is Outcome.VERIFIED
    assert summary(store.judge_chain(held.chain, NOW, purpose=Purpose.CALL)) == (Outcome.REFUSED, Rule.PURPOSE)


def test_the_authorities_keys_may_be_asked_to_be_strong(root: Authority, held: Held) -> None:
    """The number's own key is on P-256 always."""
    store = TrustStore([root.anchor(authority_keys=(KeyType.P384,))])
    assert summary(store.judge(held.call())) == (Outcome.REFUSED, Rule.AUTHORITY_KEYS)


# Messages.


def test_a_message_is_verified_once(store: TrustStore, held: Held) -> None:
    """A copy of it is refused, whichever way its token is written."""
    message = held.message(b"hello")
    assert store.judge(message).outcome is Outcome.VERIFIED
    assert summary(store.judge(message)) == (Outcome.REFUSED, Rule.DUPLICATE)
    head, claims, signature = message.token.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    turned = raw[:32] + (_GROUP_ORDERS[0] - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    copy = f"{head}.{claims}.{base64.urlsafe_b64encode(turned).rstrip(b'=').decode()}"
    assert summary(store.judge(replace(message, token=copy))) == (Outcome.REFUSED, Rule.DUPLICATE)


def test_a_message_to_two_numbers_of_one_user_comes_in_at_each(store: TrustStore, held: Held) -> None:
    """The same statement, received by another number, is no copy."""
    both = Passport(
        orig=CALLER,
        dest=(CALLED.digits, STRANGER.digits),
        issued_at=int(NOW.timestamp()),
        ppt=MESSAGE,
        message_integrity=message_integrity(b"hello"),
    )
    token = sign(both, held.key, chain=held.chain)
    for outcome in (Outcome.VERIFIED, Outcome.REFUSED):
        for dest in (CALLED, STRANGER):
            call = Call(token, CALLER, dest, NOW, Purpose.MESSAGE, b"hello")
            assert store.judge(call).outcome is outcome


def test_a_message_that_is_not_believed_is_not_remembered(store: TrustStore, held: Held) -> None:
    """Whoever sends a copy with another text first does not keep the real one out."""
    wrong = held.message(b"hello", received=b"send money")
    assert summary(store.judge(wrong)) == (Outcome.REFUSED, Rule.MESSAGE_TEXT)
    assert store.judge(held.message(b"hello")).outcome is Outcome.VERIFIED


def test_to_explain_a_message_does_not_remember_it(store: TrustStore, held: Held) -> None:
    """A question changes nothing; but it tells of a copy."""
    message = held.message(b"hello")
    for _ in range(2):
        assert store.explain(message).verdict.outcome is Outcome.VERIFIED
    store.judge(message)
    assert store.explain(message).verdict.rule is Rule.DUPLICATE


def test_a_call_may_be_judged_again(store: TrustStore, held: Held) -> None:
    """A call forks to several phones, and is asked about by each of them."""
    for _ in range(2):
        assert store.judge(held.call()).outcome is Outcome.VERIFIED


def test_a_call_is_no_message(store: TrustStore, held: Held) -> None:
    """Each purpose has its own kind of token."""
    assert summary(store.judge(replace(held.message(), purpose=Purpose.CALL))) == (Outcome.REFUSED, Rule.KIND)


# Tokens that bring no certificates.


def test_a_token_that_only_names_its_certificate_is_unverified(store: TrustStore, held: Held) -> None:
    """A stranger's URL is not asked."""
    token = held.token(chain=(), certificate_url="https://ca.example/chain.pem")
    found = store.judge(Call(token, CALLER, CALLED, NOW))
    assert summary(found) == (Outcome.UNVERIFIED, Rule.CHAIN)


def test_certificates_may_be_given_beside_a_token(store: TrustStore, held: Held) -> None:
    """The app has them from elsewhere; they are judged as if the token had brought them."""
    token = held.token(chain=(), certificate_url="https://ca.example/chain.pem")
    call = Call(token, CALLER, CALLED, NOW, chain=held.chain)
    assert store.judge(call).outcome is Outcome.VERIFIED


def test_certificates_that_a_token_brings_come_first(store: TrustStore, held: Held) -> None:
    """What the token brings is what was signed with."""
    other = OTHER_ROOT.number(STRANGER, key_number=8)
    assert store.judge(replace(held.call(), chain=other.chain)).outcome is Outcome.VERIFIED


# Revocation.


def test_revocation_is_asked_only_of_what_is_otherwise_believed(root: Authority, held: Held) -> None:
    """A stranger's token makes nobody fetch anything."""
    lists = Lists()
    narrow = root.anchor(prefixes=(NumberPrefix.parse("+44"),))
    for anchors in ([], [OTHER_ROOT.anchor()], [narrow]):
        TrustStore(anchors, revocation=lists).judge(held.call())
    assert lists.asked == []
    assert TrustStore([root.anchor()], revocation=lists).judge(held.call()).outcome is Outcome.VERIFIED
    assert lists.asked == [(CRL_URL,)]


def test_an_authority_that_names_a_list_is_looked_up_as_well(root: Authority) -> None:
    """Every certificate below the anchor can be taken back."""
    url = "https://root.example/authorities.crl"
    held = root.authority("With List", crl_url=url).number()
    lists = Lists()
    TrustStore([root.anchor()], revocation=lists).judge(held.call())
    assert lists.asked == [(CRL_URL,), (url,)]


@pytest.mark.parametrize(
    ("state", "mode", "outcome"),
    [
        (RevocationState.GOOD, RevocationMode.REQUIRED, Outcome.VERIFIED),
        (RevocationState.UNKNOWN, RevocationMode.WHEN_AVAILABLE, Outcome.VERIFIED),
        (RevocationState.UNKNOWN, RevocationMode.REQUIRED, Outcome.REFUSED),
        (RevocationState.REVOKED, RevocationMode.WHEN_AVAILABLE, Outcome.REFUSED),
    ],
)
def test_a_revoked_certificate_is_refused(
    root: Authority, held: Held, state: RevocationState, mode: RevocationMode, outcome: Outcome
) -> None:
    """And one whose state is not known, where the user requires to know it."""
    store = TrustStore([root.anchor()], settings=Settings(revocation=mode), revocation=Lists(state))
    found = store.judge(held.call())
    assert found.outcome is outcome
    assert outcome is Outcome.VERIFIED or found.rule is Rule.REVOCATION


def test_without_lists_revocation_is_unknown(root: Authority, held: Held) -> None:
    """A store that was given no lists says so."""
    store = TrustStore([root.anchor()], settings=Settings(revocation=RevocationMode.REQUIRED))
    assert summary(store.judge(held.call())) == (Outcome.REFUSED, Rule.REVOCATION)


# What is remembered of a chain.


def test_a_chain_that_was_verified_is_still_held_against_the_time(store: TrustStore, issuing: Authority) -> None:
    """Memory saves arithmetic, never a date."""
    held = issuing.number(not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(hours=1))
    for at, rule in (
        (NOW, Rule.ANCHOR),
        (NOW + timedelta(hours=2), Rule.VALIDITY),
        (NOW - timedelta(hours=2), Rule.CLOCK),
        (NOW - timedelta(days=3), Rule.VALIDITY),
        (NOW, Rule.ANCHOR),
    ):
        found = store.judge(held.call(at))
        assert (found.outcome is Outcome.VERIFIED, found.rule) == (at == NOW, rule)


def test_a_chain_may_last_to_the_end_of_the_calendar() -> None:
    """RFC 5280 §4.1.2.5: 99991231235959Z says that a certificate has no end."""
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    plain = small_pki.root()
    forever = plain.with_certificate(reissued(plain.certificate, plain.key, not_after=end))
    held = forever.number(key_number=6, not_after=end)
    store = TrustStore([forever.anchor()])
    for _ in range(2):
        assert store.judge(held.call()).outcome is Outcome.VERIFIED


def test_memory_is_bounded(root: Authority, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of callers does not fill the memory."""
    assert REMEMBERED_CHAINS < 10_000
    monkeypatch.setattr("trust_store.examining.REMEMBERED_CHAINS", 3)
    store = TrustStore([root.anchor()])
    for serial in range(1, 6):
        assert store.judge_chain(root.number(serial=serial, key_number=6).chain, NOW).outcome is Outcome.VERIFIED
    assert len(store._examiner._remembered) == 3
    store.judge(Held(CALLER, held.key, held.chain[:1]).call())
    assert len(store._examiner._remembered) == 3


def test_threads_may_share_a_store(store: TrustStore, held: Held) -> None:
    """One snapshot serves all threads of an app, and one message is believed in one of them."""
    outcomes: list[Outcome] = []
    message = held.message()

    def judge() -> None:
        for _ in range(20):
            assert store.judge(held.call()).outcome is Outcome.VERIFIED
        outcomes.append(store.judge(message).outcome)

    threads = [threading.Thread(target=judge) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == [Outcome.REFUSED] * 7 + [Outcome.VERIFIED]


# Explanations, and what a store refuses to be asked.


def test_an_explanation_ends_with_the_rule_that_decided(store: TrustStore, held: Held) -> None:
    """The rules are told in their order, and the verdict is the last one's."""
    explanation = store.explain(replace(held.call(), at=NOW + timedelta(hours=1)))
    rules = [finding.rule for finding in explanation.findings]
    assert rules == [Rule.DENIED_NUMBER, Rule.TOKEN, Rule.KIND, Rule.CALLER, Rule.CALLED, Rule.FRESHNESS]
    assert explanation.verdict.rule is Rule.FRESHNESS


@pytest.mark.parametrize("body", [None, b"hello"])
def test_an_explanation_of_what_is_verified_asks_every_rule(store: TrustStore, held: Held, body: bytes | None) -> None:
    """None is left out, and none is asked twice."""
    call = held.call() if body is None else held.message(body)
    for_messages, for_records = {Rule.MESSAGE_TEXT, Rule.DUPLICATE}, {Rule.RECORD, Rule.IN_FORCE}
    left_out = for_records if body is not None else for_records | for_messages
    expected = [rule for rule in Rule if rule not in left_out]
    assert [finding.rule for finding in store.explain(call).findings] == expected


def test_an_explanation_and_a_judgement_never_differ(store: TrustStore, held: Held) -> None:
    """They are one and the same walk through the rules."""
    for call in (held.call(), replace(held.call(), dest=STRANGER), Call("", CALLER, CALLED, NOW)):
        assert store.explain(call).verdict == store.judge(call)


def test_a_chain_is_explained_without_a_token(store: TrustStore, held: Held) -> None:
    """A certificate can be asked about before anybody calls."""
    explanation = store.explain_chain(held.chain, NOW)
    assert explanation.verdict.outcome is Outcome.VERIFIED
    assert [finding.rule for finding in explanation.findings][:3] == [
        Rule.DENIED_NUMBER,
        Rule.CHAIN,
        Rule.DENIED_CERTIFICATE,
    ]


def test_a_time_without_a_zone_is_no_time(store: TrustStore, held: Held) -> None:
    """It would be another moment on another machine."""
    with pytest.raises(ValueError, match="zone"):
        Call(held.token(), CALLER, CALLED, NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="zone"):
        store.judge_chain(held.chain, datetime(2026, 6, 1))  # noqa: DTZ001  # what is refused


def test_the_zone_of_a_time_does_not_matter(store: TrustStore, held: Held) -> None:
    """A moment is a moment."""
    assert store.judge(held.call(NOW.astimezone(timezone(timedelta(hours=9))))).outcome is Outcome.VERIFIED


def test_a_call_shows_no_token_and_no_number(held: Held) -> None:
    """It may stand in a traceback."""
    shown = repr(replace(held.message(b"secret text"), chain=held.chain))
    assert CALLER.digits not in shown
    assert held.message().token not in shown
    assert "secret" not in shown


def test_an_unknown_critical_extension_names_itself(store: TrustStore, held: Held, issuing: Authority) -> None:
    """The reason tells which one it is."""
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{OID_ARC}.99"), b"\x05\x00")
    leaf = reissued(held.chain[0], issuing.key, extra=[(strange, True)])
    found = store.judge(held.with_leaf(leaf).call())
    assert summary(found) == (Outcome.REFUSED, Rule.CHAIN)
    assert f"{OID_ARC}.99" in found.reason


class _Nowhere(tzinfo):
    """A zone that does not say how far it is from UTC."""

    def utcoffset(self, _: datetime | None) -> timedelta | None:
        """Return nothing."""
        return None


def test_a_zone_that_tells_no_offset_is_no_zone(held: Held) -> None:
    """Such a time cannot be compared with a certificate's."""
    with pytest.raises(ValueError, match="aware of its zone"):
        replace(held.call(), at=datetime(2026, 6, 1, tzinfo=_Nowhere()))
