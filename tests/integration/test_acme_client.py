"""The client against our own authority: its web room, steps and database are real, only sockets and SMS are not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from acme_client import accounts
from acme_client.accounts import Applicant
from acme_client.challenges import ChallengeKind
from acme_client.codes import RESEND, CodePrompt, Notice
from acme_client.errors import (
    CodeNotGiven,
    ForeignCode,
    Misbehaved,
    NotProved,
    RateLimited,
    Refused,
    StoreBusy,
    TermsNotAgreed,
    Unreachable,
)
from acme_client.keys import key_to_pem, same_key
from acme_client.network import Connection
from acme_client.progress import Step
from acme_client.renew import due, renewal
from acme_client.revoke import HolderRevocation, Reason, revoke_held
from acme_client.store import State, Store
from policies.issuance import Cap, IssuancePolicy, SmsCaps
from stir.certificate import NumberCertificate
from stir.telephone_number import TelephoneNumber
from tests.fakes.enrolment_world import NUMBER, EnrolmentWorld, code_in, wrong

BuildWorld = Callable[..., EnrolmentWorld]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[BuildWorld]:
    """Return a function that builds a world; all of them share one folder."""
    worlds: list[EnrolmentWorld] = []

    def built(**changes: object) -> EnrolmentWorld:
        worlds.append(EnrolmentWorld(tmp_path, **changes))  # type: ignore[arg-type]  # the fields of a world
        return worlds[-1]

    yield built
    for world in worlds:
        world.close()


@pytest.fixture
def world(build: BuildWorld) -> EnrolmentWorld:
    """Return the usual world."""
    return build()


def test_a_number_is_enrolled(world: EnrolmentWorld) -> None:
    """From nothing to a certificate in the store: for the number, for a key that only we have, valid now."""
    held = world.enrolled()
    leaf = NumberCertificate.read(held.chain()[0])
    assert leaf.number == NUMBER
    assert same_key(held.key(), leaf.public_key)
    assert held.validation == ("sms-code",)
    assert held.state(world.hand.now()) is State.GOOD
    assert world.store.certificates() == [held]
    assert world.store.pending(world.address, NUMBER) is None


def test_the_account_key_is_not_the_certificates_key(world: EnrolmentWorld) -> None:
    """RFC 8555 §11.1: one key signs requests, another is certified."""
    held = world.enrolled()
    account_key = world.store.account_key(world.address)
    assert account_key is not None
    assert not same_key(held.key(), account_key.public_key())


def test_progress_is_told_as_it_is_made(world: EnrolmentWorld) -> None:
    """The watcher hears of each step when it begins, in words without the number or the code."""
    world.enrolled()
    assert [progress.step for progress in world.steps] == [
        Step.CONNECTING,
        Step.REGISTERING,
        Step.ORDERING,
        Step.ASKING,
        Step.ANSWERING,
        Step.FINALIZING,
        Step.DONE,
    ]
    told = " ".join(progress.text for progress in world.steps)
    assert NUMBER.digits not in told
    assert code_in(world.texts[0]) not in told


def test_a_prompt_tells_what_a_person_needs(world: EnrolmentWorld) -> None:
    """Sender, host, length, tries, and when another message can be sent are in the prompt."""
    world.enrolled()
    (prompt,) = world.prompts
    assert (prompt.senders, prompt.host, prompt.digits) == (("ExampleCA",), "ca.example", 8)
    assert (prompt.attempts_remaining, prompt.sends_remaining, prompt.notice) == (5, 4, Notice.FIRST)
    assert prompt.resend_at is not None
    assert timedelta(seconds=55) < prompt.resend_at - world.hand.now() <= timedelta(seconds=61)


def test_refused_nonces_are_survived(build: BuildWorld) -> None:
    """RFC 8555 §6.5: a server may refuse any nonce, and a client tries again with a fresh one."""
    world = build(reject_good_nonces=0.3)
    for _ in range(5):
        world.enrolled(force=True)
    assert world.count("certificates") == 5


def test_a_number_is_enrolled_by_a_program(world: EnrolmentWorld) -> None:
    """sms-reply: the program gives the whole message, whose last line carries 22 characters."""
    held = world.enrolled(challenge=ChallengeKind.SMS_REPLY)
    assert held.validation == ("sms-reply",)
    assert world.prompts[0].reply


def test_a_code_in_two_parts_is_put_together(build: BuildWorld) -> None:
    """Where a code travels by two routes, both messages make it, and the prompt names both senders."""
    world = build(policy=IssuancePolicy(countries=("US",), min_routes=2))
    held = world.enrolled()
    assert held.validation == ("sms-routes",)
    assert world.prompts[0].senders == ("ExampleCA", "+12025550199")


def test_a_wrong_code_is_asked_for_again_with_a_try_less(world: EnrolmentWorld) -> None:
    """After a wrong code the prompt says so and how many tries are left."""
    world.enrolled(codes=world.answering(lambda _: wrong(code_in(world.texts[0])), lambda _: code_in(world.texts[0])))
    second = world.prompts[1]
    assert (second.notice, second.attempts_remaining) == (Notice.WRONG, 4)
    assert second.detail


def test_what_can_be_no_code_costs_no_try(world: EnrolmentWorld) -> None:
    """A text of another length is not sent, and the prompt says why it was not."""
    world.enrolled(codes=world.answering("1234567", "12345678901", lambda _: code_in(world.texts[0])))
    assert [(prompt.notice, prompt.attempts_remaining) for prompt in world.prompts[1:]] == [(Notice.UNUSABLE, 5)] * 2
    assert "8 digits" in world.prompts[1].detail


def test_after_the_last_try_the_next_run_starts_again(world: EnrolmentWorld) -> None:
    """With no tries left the enrolment fails for good, and the order is forgotten."""
    with pytest.raises(NotProved, match="no longer takes a code"):
        world.enrolled(codes=world.answering(*[lambda _: wrong(code_in(world.texts[0]))] * 5))
    assert world.store.pending(world.address, NUMBER) is None
    world.hand.sleep(3600)
    assert world.enrolled().number == NUMBER
    assert world.count("orders") == 2


def test_another_message_is_sent_on_request(world: EnrolmentWorld) -> None:
    """RESEND waits until the authority allows it, and the tries stay as they were."""
    asked_at = world.hand.now()
    world.enrolled(
        codes=world.answering(lambda _: wrong(code_in(world.texts[0])), RESEND, lambda _: code_in(world.texts[1]))
    )
    assert world.prompts[2].notice is Notice.RESENT
    assert (world.prompts[2].attempts_remaining, world.prompts[2].sends_remaining) == (4, 3)
    assert world.hand.now() - asked_at >= timedelta(seconds=60)
    assert Step.WAITING_TO_RESEND in {progress.step for progress in world.steps}


def test_no_more_messages_than_the_authority_sends(build: BuildWorld) -> None:
    """When no sends are left a source is told so, and the code that came still works."""
    world = build(policy=IssuancePolicy(countries=("US",), sends=1))
    world.enrolled(codes=world.answering(RESEND, lambda _: code_in(world.texts[0])))
    assert world.prompts[1].notice is Notice.NOT_RESENT
    assert not world.prompts[1].may_resend


def test_an_expired_code_is_not_sent(world: EnrolmentWorld) -> None:
    """A code whose time is over costs no try: another message is asked for."""

    def late(_: CodePrompt) -> str:
        world.hand.sleep(11 * 60)
        return code_in(world.texts[0])

    world.enrolled(codes=world.answering(late, RESEND, lambda _: code_in(world.texts[1])))
    assert [prompt.notice for prompt in world.prompts] == [Notice.FIRST, Notice.EXPIRED, Notice.RESENT]
    assert world.prompts[2].attempts_remaining == 5


def test_a_lost_message_is_told(world: EnrolmentWorld) -> None:
    """A message that the network did not deliver shows in the prompt, and another one can be had."""
    world.network = "lost"

    def look(prompt: CodePrompt) -> object:
        assert prompt.when_sent(prompt).undelivered
        world.network = "up"
        return RESEND

    world.enrolled(codes=world.answering(look, lambda _: code_in(world.texts[0])))
    assert world.prompts[1].notice is Notice.RESENT


def test_a_queued_message_is_waited_for_as_the_authority_asks(world: EnrolmentWorld) -> None:
    """Looking whether the message has left obeys Retry-After, and gives up after a few seconds."""
    world.network = "queued"

    def look(prompt: CodePrompt) -> str:
        before = world.hand.now()
        assert prompt.when_sent(prompt).delivery == "queued"
        assert world.hand.now() - before <= timedelta(seconds=3)
        assert set(world.hand.slept[-2:]) == {1}
        world.network = "up"
        world.deliver()
        assert prompt.when_sent(prompt.refresh()).delivery == "delivered"
        return code_in(world.texts[0])

    world.enrolled(codes=world.answering(look))


def test_an_empty_answer_asks_how_things_stand(world: EnrolmentWorld) -> None:
    """An empty line at the prompt brings the news and costs nothing."""
    world.enrolled(codes=world.answering("", lambda _: code_in(world.texts[0])))
    assert (world.prompts[1].notice, world.prompts[1].delivery) == (Notice.AGAIN, "delivered")
    assert world.prompts[1].attempts_remaining == 5


def test_a_source_that_gives_nothing_usable_is_given_up(world: EnrolmentWorld) -> None:
    """A program that answers nonsense for ever does not keep the client for ever; the order is kept."""
    with pytest.raises(CodeNotGiven):
        world.enrolled(codes=world.answering(*["nonsense"] * 60))
    assert world.store.pending(world.address, NUMBER) is not None
    assert world.enrolled().number == NUMBER


def test_a_message_for_another_authority_is_not_passed_on(world: EnrolmentWorld) -> None:
    """A relaying authority gets no code that was sent for another: nothing is answered."""
    with pytest.raises(ForeignCode):
        world.enrolled(codes=world.answering("12345678 is your code\n\n@bank.example #12345678"))
    assert world.asked(path="/acme/challenge/") == 1


def test_an_authority_that_speaks_for_another_host_is_refused(build: BuildWorld) -> None:
    """Where the challenge names another host than the one we talk to, no message is asked for."""
    world = build(public_url="https://other.example")
    with pytest.raises(Misbehaved, match="bound to another host"):
        world.enrolled()
    assert world.texts == []


def test_a_second_process_goes_on_with_the_order(world: EnrolmentWorld) -> None:
    """After an interruption at the prompt the same order, message and code still count."""

    def interrupted(_: CodePrompt) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.enrolled(codes=world.answering(interrupted))
    world.enrolled()
    assert (world.count("orders"), len(world.texts)) == (1, 1)
    assert world.prompts[-1].notice is Notice.AGAIN


def test_a_resumed_order_whose_code_has_expired_asks_for_another_message(world: EnrolmentWorld) -> None:
    """The order still counts though its code does not."""
    with pytest.raises(CodeNotGiven):
        world.enrolled(codes=world.answering(*["nonsense"] * 60))
    world.hand.sleep(11 * 60)
    world.enrolled()
    assert (world.count("orders"), len(world.texts)) == (1, 2)


def test_an_order_that_has_expired_gives_way_to_a_new_one(world: EnrolmentWorld) -> None:
    """An order that the authority has given up is replaced without a word."""
    with pytest.raises(CodeNotGiven):
        world.enrolled(codes=world.answering(*["nonsense"] * 60))
    world.hand.sleep(25 * 3600)
    world.enrolled()
    assert world.count("orders") == 2


def test_a_certificate_that_was_never_fetched_and_has_expired_gives_way(
    world: EnrolmentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old order that did become a certificate is of no use once that has expired: a new one is ordered."""

    def no_network(request: requests.PreparedRequest) -> None:
        if "/acme/certificate/" in (request.url or ""):
            raise requests.ConnectionError

    monkeypatch.setattr(world.adapter, "before", no_network)
    with pytest.raises(Unreachable):
        world.enrolled()
    monkeypatch.undo()
    world.hand.sleep(8 * 24 * 3600)
    held = world.enrolled()
    assert held.state(world.hand.now()) is State.GOOD
    assert world.count("certificates") == 2


def test_a_good_certificate_is_not_ordered_again(world: EnrolmentWorld) -> None:
    """Enrolling what is enrolled returns what is held, without a request."""
    held = world.enrolled()
    world.adapter.requests.clear()
    assert world.enrolled() == held
    assert world.adapter.requests == []


def test_a_renewal_needs_no_message(world: EnrolmentWorld) -> None:
    """While the authority remembers the proof, a renewal is a new certificate with a new key and no SMS."""
    former = world.enrolled()
    assert due(world.store, world.hand.now()) == []
    world.hand.sleep(5 * 24 * 3600)
    assert due(world.store, world.hand.now()) == [former]
    renewed = renewal(former, world.store, None, world.connection, clock=world.clock).run()
    assert renewed.not_after > former.not_after
    assert not same_key(former.key(), renewed.key().public_key())
    assert world.store.certificates() == [renewed]
    assert len(world.texts) == 1


def test_a_renewal_with_nobody_there_asks_for_no_message(build: BuildWorld) -> None:
    """Without a source of codes no SMS is sent for nothing, and the former certificate stays."""
    world = build(policy=IssuancePolicy(countries=("US",), valid_authorization_hours=1))
    former = world.enrolled()
    world.hand.sleep(5 * 24 * 3600)
    with pytest.raises(CodeNotGiven, match="nobody is here"):
        renewal(former, world.store, None, world.connection, clock=world.clock).run()
    assert len(world.texts) == 1
    assert world.store.certificates() == [former]


def test_a_certificate_is_revoked(world: EnrolmentWorld) -> None:
    """The authority has it revoked, the store says so, and enrolling again gets a new one."""
    revoked = revoke_held(
        world.enrolled(), world.store, Reason.SUPERSEDED, connection=world.connection, clock=world.clock
    )
    assert revoked.state(world.hand.now()) is State.REVOKED
    assert revoke_held(revoked, world.store, connection=world.connection, clock=world.clock).revoked_at
    assert world.enrolled().state(world.hand.now()) is State.GOOD


def test_a_certificate_that_another_got_is_revoked_by_the_numbers_holder(world: EnrolmentWorld, tmp_path: Path) -> None:
    """RFC 8555 §7.6: whoever proves the number to the authority may revoke, and a second time is done already."""
    stolen = world.enrolled()
    revocation = HolderRevocation(
        certificate=stolen.chain()[0],
        ca=world.address,
        keys=Store(tmp_path / "holder"),
        codes=world.answering(world.read),
        reason=Reason.KEY_COMPROMISE,
        applicant=Applicant(agree=lambda _: True),
        connection=world.connection,
        clock=world.clock,
    )
    revocation.run()
    listed = world.ca.storage.certificates.with_serial(stolen.chain()[0].serial_number)
    assert listed is not None
    assert listed.revocation_reason == Reason.KEY_COMPROMISE
    messages = len(world.texts)
    revocation.run()
    assert len(world.texts) == messages


def test_a_stranger_revokes_nothing(world: EnrolmentWorld, tmp_path: Path) -> None:
    """Without the code that goes to the number, the certificate stays as it is."""
    held = world.enrolled()
    revocation = HolderRevocation(
        certificate=held.chain()[0],
        ca=world.address,
        keys=Store(tmp_path / "stranger"),
        codes=world.answering(*[lambda _: "00000000"] * 5),
        applicant=Applicant(agree=lambda _: True),
        connection=world.connection,
        clock=world.clock,
    )
    with pytest.raises(NotProved):
        revocation.run()
    listed = world.ca.storage.certificates.with_serial(held.chain()[0].serial_number)
    assert listed is not None
    assert listed.revoked_at is None


def test_a_certificate_can_be_revoked_without_the_account(world: EnrolmentWorld) -> None:
    """RFC 8555 §7.6: the certificate's own key signs where the account is gone."""
    held = world.enrolled()
    world.store.forget_account(world.address)
    assert revoke_held(held, world.store, connection=world.connection, clock=world.clock).revoked_at


def test_terms_must_be_agreed_to(build: BuildWorld) -> None:
    """Without agreement no account is made; the error says where the terms are."""
    world = build(terms_of_service="https://ca.example/terms.html")
    with pytest.raises(TermsNotAgreed, match=r"https://ca\.example/terms\.html"):
        world.enrolled(applicant=Applicant())
    assert world.count("accounts") == 0
    asked: list[str] = []
    world.enrolled(applicant=Applicant(agree=lambda url: not asked.append(url)))
    assert asked == ["https://ca.example/terms.html"]


def test_terms_are_asked_about_once(build: BuildWorld) -> None:
    """A process that was killed while its account was made does not ask a second time."""
    world = build(terms_of_service="https://ca.example/terms.html")

    def killed(request: requests.PreparedRequest) -> None:
        if "new-account" in (request.url or ""):
            raise KeyboardInterrupt

    world.adapter.before = killed
    with pytest.raises(KeyboardInterrupt):
        world.enrolled()
    world.adapter.before = lambda _: None
    world.enrolled(applicant=Applicant())
    assert world.count("accounts") == 1


def test_the_account_is_shown_changed_and_closed(world: EnrolmentWorld) -> None:
    """Contacts are replaced, and closing the account deletes its key but no certificate."""
    held = world.enrolled(applicant=Applicant("one@example.org", lambda _: True))

    def session() -> accounts.AcmeSession:
        return accounts.sign_in_again(world.store, world.address, connection=world.connection, clock=world.clock)

    with session() as open_session:
        assert accounts.show(open_session).emails == ("one@example.org",)
        assert accounts.update_email(open_session, "two@example.org").emails == ("two@example.org",)
        assert accounts.update_email(open_session, None).emails == ()
        assert accounts.show(open_session).status == "valid"
    with session() as open_session:
        accounts.deactivate(open_session, world.store)
    assert world.store.account_key(world.address) is None
    assert world.store.certificates() == [held]
    world.enrolled(force=True)
    assert world.count("accounts") == 2


def test_an_account_that_the_authority_forgot_is_opened_anew(world: EnrolmentWorld) -> None:
    """Where the authority does not know the account any more, the same key gets a new one."""
    world.enrolled()
    account = world.store.account(world.address)
    assert account is not None
    unknown = "https://ca.example/acme/account/" + "A" * 22
    world.store.keep_account(world.address, type(account)(ca=account.ca, url=unknown))
    assert world.enrolled(force=True).number == NUMBER
    restored = world.store.account(world.address)
    assert restored is not None
    assert restored.url == account.url


def test_a_number_that_policy_refuses_says_so(world: EnrolmentWorld) -> None:
    """The authority's reason is in the error."""
    with pytest.raises(Refused) as refused:
        world.enrolled(number=TelephoneNumber.parse("+442079460123"))
    assert refused.value.kind == "rejectedIdentifier"
    assert "2079460123" not in str(refused.value)


def test_a_limit_says_when_to_come_back(build: BuildWorld) -> None:
    """A refusal for now carries the time after which it may succeed."""
    caps = SmsCaps(number=Cap(burst=1, refill_seconds=7200))
    world = build(policy=IssuancePolicy(countries=("US",), sms=caps, attempts=1))
    with pytest.raises(NotProved):
        world.enrolled(codes=world.answering(lambda _: wrong(code_in(world.texts[0]))))
    with pytest.raises(RateLimited) as limited:
        world.enrolled()
    assert limited.value.retry_at is not None
    assert timedelta(hours=1) < limited.value.retry_at - world.hand.now() <= timedelta(hours=2)


def test_a_limited_resend_does_not_end_the_enrolment(build: BuildWorld) -> None:
    """The first code may still come, so the prompt stays and says when another can be had."""
    caps = SmsCaps(number=Cap(burst=1, refill_seconds=7200))
    world = build(policy=IssuancePolicy(countries=("US",), sms=caps))
    world.enrolled(codes=world.answering(RESEND, lambda _: code_in(world.texts[0])))
    assert world.prompts[1].notice is Notice.NOT_RESENT


def test_two_enrolments_of_one_number_do_not_run_at_once(world: EnrolmentWorld) -> None:
    """The second is told that the first is under way, and sends nothing."""

    def second(_: CodePrompt) -> str:
        with pytest.raises(StoreBusy):
            world.enrolled()
        return code_in(world.texts[0])

    world.enrolled(codes=world.answering(second))
    assert world.count("orders") == 1


def test_a_wrong_clock_at_the_app_does_not_expire_the_code(world: EnrolmentWorld) -> None:
    """Times in the prompt are in this machine's clock, though it goes wrong by half an hour."""

    def dated(response: requests.Response) -> None:
        response.headers["Date"] = f"{world.hand.now():%a, %d %b %Y %H:%M:%S} GMT"
        world.deliver()

    world.adapter.after = dated
    behind = timedelta(minutes=30)
    clock = type(world.clock)(now=lambda: world.hand.now() + behind, sleep=world.hand.sleep)
    world.enrolled(clock=clock)
    expires = world.prompts[0].expires_at
    assert expires is not None
    assert timedelta(minutes=9) < expires - clock.now() <= timedelta(minutes=10, seconds=1)


def test_no_secret_reaches_a_log(world: EnrolmentWorld, caplog: pytest.LogCaptureFixture) -> None:
    """At the most talkative level no log line holds the code, its digest, a token or the number."""
    caplog.set_level(logging.DEBUG)
    world.enrolled()
    ours = ("acme", "josepy", "requests", "urllib3")
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(ours))
    assert code_in(world.texts[0]) not in logged
    assert "digest" not in logged
    assert NUMBER.digits not in logged
    assert "MA-iDRYLMTIwMjU1NTAxMjM" not in logged


def test_an_authority_that_is_not_there_is_unreachable(world: EnrolmentWorld) -> None:
    """A dead network is told as such, and a later run starts where this one stopped."""

    def dead(_: requests.PreparedRequest) -> None:
        raise requests.ConnectionError

    world.adapter.before = dead
    with pytest.raises(Unreachable, match="cannot be reached"):
        world.enrolled()
    world.adapter.before = lambda _: None
    assert world.enrolled().number == NUMBER


def test_the_way_to_an_authority_is_remembered(world: EnrolmentWorld, tmp_path: Path) -> None:
    """A later run believes the TLS roots that an earlier one was told to, unless it is told others."""
    first, second = tmp_path / "roots.pem", tmp_path / "other.pem"
    believed = []
    world.adapter.verifying = believed.append
    for bundle, expected in ((first, first), (None, first), (second, second), (None, second)):
        believed.clear()
        world.enrolled(connection=Connection(ca_bundle=bundle, adapter=world.adapter), force=True)
        assert set(believed) == {str(expected)}


def test_a_proof_by_a_program_stays_one(build: BuildWorld) -> None:
    """A renewal that has to prove the number again does so in the way in which it was proved."""
    world = build(policy=IssuancePolicy(countries=("US",), valid_authorization_hours=1))
    held = world.enrolled(challenge=ChallengeKind.SMS_REPLY)
    world.hand.sleep(5 * 24 * 3600)
    codes = world.answering(lambda _: world.texts[-1])
    assert renewal(held, world.store, codes, world.connection, clock=world.clock).run().validation == ("sms-reply",)


def test_an_account_that_was_closed_elsewhere_can_be_forgotten(world: EnrolmentWorld) -> None:
    """Closing an account that the authority has closed already deletes its key, so that a new one can be opened."""
    world.enrolled()
    account, key = world.store.account(world.address), world.store.account_key(world.address)
    assert account is not None
    assert key is not None

    def close() -> None:
        with accounts.sign_in_again(
            world.store, world.address, connection=world.connection, clock=world.clock
        ) as open_:
            accounts.deactivate(open_, world.store)

    close()
    key_path = world.store._folder(world.address) / "account-key.pem"
    key_path.write_bytes(key_to_pem(key))
    world.store.keep_account(world.address, account)
    with pytest.raises(Refused):
        world.enrolled(force=True)
    close()
    assert world.enrolled(force=True).number == NUMBER
