"""RFC 8555 §7.1.4, §7.1.5, §7.5 and docs/reference/challenges.md: authorizations and SMS challenges."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest

from ca_server.config import Server
from ca_server.storage import Storage
from policies.issuance import Cap, IssuancePolicy, SmsCaps
from stir.key_authorization import digest
from tests.fakes.acme_requests import AcmeRequests, Json, Signer, base64url, flattened, write_payload
from tests.fakes.issuing_authority import LEASE
from tests.fakes.problems import assert_problem
from tests.fakes.web_authority import (
    NUMBER,
    OTHER_NUMBER,
    SMS_CODE,
    SMS_REPLY,
    WebAuthority,
    answer,
    csr,
    identifier,
)

WRONG = {"digest": base64url(bytes(32))}


def time_of(text: str) -> datetime:
    """Return the time that JSON has."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    return datetime.fromisoformat(text)


# §7.1.4 authorization objects


def test_an_authorization_offers_both_sms_challenges(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.1.4: identifier, status, expires, and challenges with type, url, status and a token of 128 bits."""
    authorization = authority.ordered(client).authorization
    assert (authorization["status"], authorization["identifier"]) == ("pending", identifier(NUMBER))
    assert time_of(authorization["expires"]) > authority.clock()
    assert {challenge["type"] for challenge in authorization["challenges"]} == {SMS_CODE, SMS_REPLY}
    for challenge in authorization["challenges"]:
        assert challenge["status"] == "pending"
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}", challenge["token"])
        assert client.post(challenge["url"]).json == challenge


def test_tokens_differ(authority: WebAuthority, client: AcmeRequests) -> None:
    """§8: each challenge has a token of its own."""
    proofs = [authority.ordered(client, number) for number in (NUMBER, OTHER_NUMBER)]
    tokens = {proof.challenge(type_)["token"] for proof in proofs for type_ in (SMS_CODE, SMS_REPLY)}
    assert len(tokens) == 4


def test_a_valid_authorization_shows_what_proved_it(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.1.4: a valid authorization has the challenge that was validated, with the time."""
    proof = authority.ordered(client)
    authority.proved(client, proof, SMS_REPLY)
    authorization = client.post(proof.authorization_url).json
    assert authorization["status"] == "valid"
    (challenge,) = authorization["challenges"]
    assert (challenge["type"], challenge["status"]) == (SMS_REPLY, "valid")
    assert time_of(challenge["validated"]) == authority.clock()


def test_an_invalid_authorization_shows_what_failed(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.1.4: an invalid authorization has the challenge that was attempted and failed, with its error."""
    proof = authority.ordered(client)
    challenge = proof.challenge()
    authority.asked(client, challenge)
    for _ in range(5):
        client.post(challenge["url"], WRONG)
    authorization = client.post(proof.authorization_url).json
    assert authorization["status"] == "invalid"
    (failed,) = authorization["challenges"]
    assert failed["error"]["type"] == "urn:ietf:params:acme:error:incorrectResponse"
    assert client.post(proof.order_url).json["status"] == "invalid"


def test_an_authorization_that_nobody_completes_expires(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.1.6: a pending authorization becomes invalid, and a valid one expired, when its time is up."""
    pending, valid = authority.ordered(client), authority.made_ready(client, OTHER_NUMBER)
    authority.clock.advance(minutes=authority.ca.config.policy.pending_authorization_minutes)
    assert client.post(pending.authorization_url).json["status"] == "invalid"
    authority.clock.advance(hours=authority.ca.config.policy.valid_authorization_hours)
    assert client.post(valid.authorization_url).json["status"] == "expired"


# §7.5.1 responding to challenges


@pytest.mark.parametrize(("type_", "code"), [(SMS_CODE, r"[0-9]{8}"), (SMS_REPLY, r"[A-Za-z0-9_-]{22}")])
def test_a_right_digest_proves_the_number(authority: WebAuthority, client: AcmeRequests, type_: str, code: str) -> None:
    """§7.5.1: `{}` asks for the SMS, the digest of what it carries makes challenge, authorization and order good."""
    proof = authority.ordered(client)
    challenge = proof.challenge(type_)
    asked = client.post(challenge["url"], {})
    assert (asked.status_code, asked.json["status"]) == (200, "processing")
    received = authority.received()
    assert re.fullmatch(code, received)
    answered = client.post(challenge["url"], answer(client, challenge, received))
    assert (answered.status_code, answered.json["status"]) == (200, "valid")
    assert client.post(proof.authorization_url).json["status"] == "valid"
    assert client.post(proof.order_url).json["status"] == "ready"


def test_a_challenge_links_up_to_its_authorization(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.1: the "up" link relation of a challenge leads to its authorization."""
    proof = authority.ordered(client)
    payloads: tuple[Json | None, ...] = (None, {})
    for payload in payloads:
        result = client.post(proof.challenge()["url"], payload)
        assert f'<{proof.authorization_url}>;rel="up"' in result.headers["link"]


@pytest.mark.parametrize(
    "payload",
    [
        {"digest": 5},
        {"digest": None},
        {"digest": "short"},
        {"digest": base64url(bytes(33))},
        {"digest": base64url(bytes(32)) + "="},
        {"keyAuthorization": "x.y"},
        {"digest": base64url(bytes(32)), "more": 1},
        {"code": "12345678"},
        b"[]",
        b'""',
    ],
)
def test_any_other_payload_is_malformed(authority: WebAuthority, client: AcmeRequests, payload: object) -> None:
    """§7.5.1: a challenge takes `{}` and a digest; what is neither costs no attempt and sends no SMS."""
    challenge = authority.ordered(client).challenge()
    assert_problem(client.post(challenge["url"], payload), "malformed")
    now = client.post(challenge["url"]).json
    assert (now["status"], now["attemptsRemaining"], now["sendsRemaining"]) == ("pending", 5, 5)


def test_a_digest_before_the_sms_is_malformed(authority: WebAuthority, client: AcmeRequests) -> None:
    """An answer to what was never asked costs no attempt."""
    challenge = authority.ordered(client).challenge()
    assert_problem(client.post(challenge["url"], WRONG), "malformed")
    assert client.post(challenge["url"]).json["attemptsRemaining"] == 5


def test_a_wrong_digest_costs_an_attempt(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.5.1: a wrong digest leaves the challenge processing with an error, and with the last it is invalid."""
    challenge = authority.ordered(client).challenge()
    code = authority.asked(client, challenge)
    for left in (4, 3, 2, 1):
        result = client.post(challenge["url"], WRONG)
        assert result.status_code == 200
        assert (result.json["status"], result.json["attemptsRemaining"]) == ("processing", left)
        assert result.json["error"]["type"] == "urn:ietf:params:acme:error:incorrectResponse"
    last = client.post(challenge["url"], WRONG).json
    assert (last["status"], last["attemptsRemaining"]) == ("invalid", 0)
    late = client.post(challenge["url"], answer(client, challenge, code)).json
    assert late["status"] == "invalid"


def test_the_digest_binds_the_account_key(authority: WebAuthority, client: AcmeRequests) -> None:
    """§8.1: a digest over another account's thumbprint is wrong, though the code is right."""
    challenge = authority.ordered(client).challenge()
    code = authority.asked(client, challenge)
    foreign = {"digest": digest(code, challenge["token"], Signer().thumbprint())}
    assert client.post(challenge["url"], foreign).json["status"] == "processing"
    assert client.post(challenge["url"], answer(client, challenge, code)).json["status"] == "valid"


def test_a_code_serves_its_own_challenge_only(authority: WebAuthority, client: AcmeRequests) -> None:
    """§8.1: the token of another challenge makes another digest."""
    proof = authority.ordered(client)
    code = authority.asked(client, proof.challenge(SMS_REPLY))
    authority.asked(client, proof.challenge(SMS_CODE))
    wrong = answer(client, proof.challenge(SMS_REPLY), code)
    assert client.post(proof.challenge(SMS_CODE)["url"], wrong).json["status"] == "processing"


# What the object tells


def test_the_object_tells_what_a_person_needs(authority: WebAuthority, client: AcmeRequests) -> None:
    """Sender, host, code length, attempts, sends and their times stand in the challenge while it is under way."""
    challenge = authority.ordered(client).challenge()
    assert {
        name: challenge[name] for name in ("from", "host", "codeLength", "attemptsRemaining", "sendsRemaining")
    } == {
        "from": "ExampleCA",
        "host": "ca.example",
        "codeLength": 8,
        "attemptsRemaining": 5,
        "sendsRemaining": 5,
    }
    assert not {"nextSend", "expires", "delivery", "error", "validated"} & challenge.keys()
    asked = client.post(challenge["url"], {}).json
    assert time_of(asked["nextSend"]) == authority.clock() + timedelta(seconds=60)
    assert time_of(asked["expires"]) == authority.clock() + timedelta(minutes=10)
    assert (asked["delivery"], asked["sendsRemaining"]) == ("queued", 4)
    authority.received()
    assert client.post(challenge["url"]).json["delivery"] == "sent"


def test_a_reply_challenge_has_no_code_length(authority: WebAuthority, client: AcmeRequests) -> None:
    """What a program reads has one length."""
    assert "codeLength" not in authority.ordered(client).challenge(SMS_REPLY)


def test_two_routes_show_two_senders(storage: Storage) -> None:
    """With two routes both senders stand in `from`, in the order in which their halves are typed."""
    authority = WebAuthority(storage, policy=IssuancePolicy(countries=("US",), min_routes=2))
    client = authority.registered()
    proof = authority.ordered(client)
    assert proof.challenge()["from"] == "ExampleCA, +12025550199"
    assert authority.proved(client, proof).json["status"] == "valid"


def test_a_sender_that_stood_in_is_shown(authority: WebAuthority, client: AcmeRequests) -> None:
    """Where another gateway carried the message, its sender is what the phone shows."""
    challenge = authority.ordered(client).challenge()
    client.post(challenge["url"], {})
    claim = authority.storage.sms.claim(authority.clock(), LEASE)
    assert claim is not None
    authority.storage.sms.sent(claim, "two", "id", authority.clock())
    assert client.post(challenge["url"]).json["from"] == "+12025550199"


def test_an_sms_that_was_not_delivered_is_told(authority: WebAuthority, client: AcmeRequests) -> None:
    """A message that no gateway takes is `failed`, with an error of our own type; the challenge stays open."""
    challenge = authority.ordered(client).challenge()
    client.post(challenge["url"], {})
    claim = authority.storage.sms.claim(authority.clock(), LEASE)
    assert claim is not None
    authority.storage.sms.failed(claim, authority.clock())
    failed = client.post(challenge["url"])
    assert (failed.json["status"], failed.json["delivery"]) == ("processing", "failed")
    assert failed.json["error"]["type"] == "urn:uuid:16980791-0ad8-4e83-a8fc-e5cc693db089#smsNotDelivered"
    authority.clock.advance(seconds=60)
    again = client.post(challenge["url"], {}).json
    assert again["delivery"] == "queued"
    assert "error" not in again


def test_a_resend_waits_and_gives_no_attempt_back(authority: WebAuthority, client: AcmeRequests) -> None:
    """§6.6: an ask too early is rateLimited with 429 and Retry-After; a resend leaves the attempts alone."""
    challenge = authority.ordered(client).challenge()
    authority.asked(client, challenge)
    client.post(challenge["url"], WRONG)
    early = client.post(challenge["url"], {})
    assert_problem(early, "rateLimited", 429)
    assert early.headers["retry-after"] == "60"
    authority.clock.advance(seconds=59.5)
    assert client.post(challenge["url"], {}).headers["retry-after"] == "1"
    authority.clock.advance(seconds=0.5)
    again = client.post(challenge["url"], {}).json
    assert (again["attemptsRemaining"], again["sendsRemaining"]) == (4, 3)
    assert time_of(again["nextSend"]) == authority.clock() + timedelta(seconds=120)


def test_an_ask_at_next_send_is_never_too_early(authority: WebAuthority, client: AcmeRequests) -> None:
    """A client that waits until nextSend, which has whole seconds, is served."""
    authority.clock.advance(seconds=0.4)
    challenge = authority.ordered(client).challenge()
    next_send = time_of(client.post(challenge["url"], {}).json["nextSend"])
    authority.clock.now = next_send
    assert client.post(challenge["url"], {}).status_code == 200


def test_the_sends_of_a_challenge_end(authority: WebAuthority, client: AcmeRequests) -> None:
    """After five messages there is no sixth, and no nextSend that promises one."""
    challenge = authority.ordered(client).challenge()
    for wait in (60, 120, 300, 600, 600):
        last = client.post(challenge["url"], {})
        assert last.status_code == 200
        authority.clock.advance(seconds=wait)
    assert last.json["sendsRemaining"] == 0
    assert "nextSend" not in last.json
    assert_problem(client.post(challenge["url"], {}), "rateLimited", 429)


def test_a_client_is_counted_by_its_address(storage: Storage) -> None:
    """§6.6: one address may ask so often, whatever accounts it has; it is the proxy's word that counts."""
    caps = SmsCaps(number=Cap(burst=9, refill_seconds=60), address=Cap(burst=1, refill_seconds=60))
    proxies = Server(trusted_proxies=("127.0.0.1",))
    authority = WebAuthority(storage, policy=IssuancePolicy(countries=("US",), sms=caps), server=proxies)

    def ask(forwarded: str) -> int:
        client = authority.registered()
        url = authority.ordered(client).challenge()["url"]
        request = flattened(client.signer, client.header(url), write_payload({}))
        return client.send(url, request, headers={"X-Forwarded-For": forwarded}).status_code

    assert [ask("203.0.113.1"), ask("203.0.113.1"), ask("203.0.113.2"), ask("203.0.113.9, 203.0.113.2")] == [
        200,
        429,
        200,
        429,
    ]


def test_a_server_behind_a_proxy_serves_only_the_proxy(storage: Storage) -> None:
    """Plain HTTP is for the proxies that the operator named."""
    authority = WebAuthority(storage, server=Server(trusted_proxies=("10.0.0.1",)))
    result = authority.stranger().http.simulate_get("/acme/index")
    assert_problem(result, "unauthorized", 403)


# Polling


def wait_of(client: AcmeRequests, url: str) -> str | None:
    """Return the Retry-After of a resource."""
    wait: str | None = client.post(url).headers.get("retry-after")
    return wait


def test_what_will_change_by_itself_says_when_to_look(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.5.1: Retry-After stands where waiting helps, and short enough for a person who waits."""
    proof = authority.ordered(client)
    challenge = proof.challenge()
    assert wait_of(client, challenge["url"]) is None
    assert wait_of(client, proof.authorization_url) is None
    client.post(challenge["url"], {})
    assert (wait_of(client, challenge["url"]), wait_of(client, proof.authorization_url)) == ("1", "1")
    code = authority.received()
    assert (wait_of(client, challenge["url"]), wait_of(client, proof.authorization_url)) == ("3", "3")
    client.post(challenge["url"], answer(client, challenge, code))
    assert wait_of(client, challenge["url"]) is None
    assert wait_of(client, proof.authorization_url) is None
    assert wait_of(client, proof.order_url) is None


def test_a_program_looks_every_second(authority: WebAuthority, client: AcmeRequests) -> None:
    """A reply challenge is answered by a program."""
    challenge = authority.ordered(client).challenge(SMS_REPLY)
    authority.asked(client, challenge)
    assert wait_of(client, challenge["url"]) == "1"


# §7.5.2 deactivating an authorization


def test_an_authorization_is_given_up(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.5.2: a valid one too; it serves no order any more, and the answer is the authorization."""
    proof = authority.made_ready(client)
    result = client.post(proof.authorization_url, {"status": "deactivated"})
    assert (result.status_code, result.json["status"]) == (200, "deactivated")
    assert client.post(proof.order_url).json["status"] == "invalid"
    assert_problem(client.post(proof.order["finalize"], {"csr": csr()}), "orderNotReady", 403)
    assert authority.ordered(client).order["status"] == "pending"


@pytest.mark.parametrize("payload", [{}, {"status": "valid"}, {"status": 5}, {"state": "deactivated"}])
def test_another_change_of_an_authorization_is_malformed(
    authority: WebAuthority, client: AcmeRequests, payload: Json
) -> None:
    """§7.5.2: the one change a client can make is to deactivate it."""
    url = authority.ordered(client).authorization_url
    assert_problem(client.post(url, payload), "malformed")
    assert client.post(url).json["status"] == "pending"
