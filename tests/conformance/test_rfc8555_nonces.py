"""RFC 8555 §6.5 and §7.2: every request is signed for once."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import falcon.testing
import pytest

from ca_server.errors import LintError
from ca_server.signing.issuer import Issuer
from ca_server.storage import Storage
from ca_server.web import build_web
from ca_server.web.nonces import LIFETIME
from policies.issuance import Cap, IssuancePolicy
from tests.fakes.acme_requests import JOSE, AcmeRequests, Json, base64url, flattened, write_payload
from tests.fakes.problems import assert_problem
from tests.fakes.web_authority import NUMBER, PUBLIC_URL, SMS_CODE, WebAuthority, answer, csr, identifier

NEW_ORDER = f"{PUBLIC_URL}/acme/new-order"


def good_request(client: AcmeRequests) -> dict[str, str]:
    """Return a request that reads the client's account."""
    return flattened(client.signer, client.header(client.account), b"")


# §6.5 replay protection


def test_a_used_nonce_is_bad(client: AcmeRequests) -> None:
    """§6.5: a request whose nonce was used before MUST get badNonce, with 400 and a fresh nonce."""
    request = good_request(client)
    assert client.send(client.account, request).status_code == 200
    problem = client.send(client.account, request)
    assert_problem(problem, "badNonce")
    again = client.header(client.account, nonce=problem.headers["replay-nonce"])
    assert client.send(client.account, flattened(client.signer, again, b"")).status_code == 200


def test_a_nonce_is_used_by_one_of_many_at_once(client: AcmeRequests) -> None:
    """§6.5: the server MUST accept a nonce once, though the same request comes many times at the same moment."""
    request, answers = good_request(client), list[int]()
    barrier = threading.Barrier(4)

    def send() -> None:
        barrier.wait(timeout=30)
        answers.append(client.send(client.account, request).status_code)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(answers) == [200, 400, 400, 400]


def test_a_nonce_is_used_once_in_all_front_ends(client: AcmeRequests, storage_url: str) -> None:
    """§6.5: a nonce of one front end is good in another, and then in none."""
    elsewhere = Storage.open(storage_url)
    another = falcon.testing.TestClient(build_web(WebAuthority(elsewhere).ca))
    request = flattened(client.signer, client.header(client.account, nonce=nonce_of(another)), b"")
    assert client.send(client.account, request).status_code == 200
    assert_problem(client.send(client.account, request), "badNonce")
    client.http = another
    assert_problem(client.send(client.account, request), "badNonce")
    elsewhere.close()


def nonce_of(http: falcon.testing.TestClient) -> str:
    """Return a nonce of a front end."""
    return str(http.simulate_head("/acme/new-nonce").headers["replay-nonce"])


def test_a_request_without_a_nonce_is_a_bad_one(client: AcmeRequests) -> None:
    """§6.5: a nonce that is unacceptable, or not present, is badNonce."""
    assert_problem(client.post(NEW_ORDER, {}, nonce=None), "badNonce")


def test_a_made_up_nonce_is_bad(client: AcmeRequests) -> None:
    """§6.5: a nonce that the server never gave is badNonce."""
    assert_problem(client.post(NEW_ORDER, {}, nonce=base64url(bytes(32))), "badNonce")
    assert_problem(client.post(NEW_ORDER, {}, nonce=""), "badNonce")


def test_an_old_nonce_is_bad(authority: WebAuthority, client: AcmeRequests) -> None:
    """§6.5: a nonce that is older than its life is badNonce."""
    request = good_request(client)
    authority.clock.advance(seconds=LIFETIME.total_seconds())
    assert_problem(client.send(client.account, request), "badNonce")


@pytest.mark.parametrize("nonce", ["no base64url!", "abc=", "\u00e9", 5, ["x"], {}])
def test_a_nonce_that_is_not_base64url_is_malformed(client: AcmeRequests, nonce: object) -> None:
    """§6.5.2: a nonce that is not base64url MUST be rejected as malformed."""
    assert_problem(client.post(NEW_ORDER, {}, nonce=nonce), "malformed")


def test_every_answer_to_a_post_has_a_fresh_nonce(client: AcmeRequests) -> None:
    """§6.5: Replay-Nonce MUST be in every successful answer to a POST, and SHOULD be in errors; never the same."""
    answers = [
        client.post(client.account),
        client.post(NEW_ORDER, {}),
        client.post(NEW_ORDER, b"nonsense"),
        client.send(NEW_ORDER, b""),
        client.http.simulate_post("/nothing"),
        client.http.simulate_get("/acme/new-order"),
    ]
    nonces = [answer.headers["replay-nonce"] for answer in answers]
    assert len(set(nonces)) == len(nonces)


def test_a_nonce_is_base64url(client: AcmeRequests) -> None:
    """§6.5.1: the value of Replay-Nonce MUST be base64url characters only."""
    assert re.fullmatch(r"[A-Za-z0-9_-]+", client.nonce())


def test_a_request_refused_before_its_signature_keeps_its_nonce(client: AcmeRequests, other: AcmeRequests) -> None:
    """§6.5: who cannot sign for an account uses up none of its nonces."""
    nonce = client.nonce()
    assert_problem(other.post(NEW_ORDER, {}, kid=client.kid, nonce=nonce), "malformed")
    assert client.post(client.account, None, nonce=nonce).status_code == 200


def test_a_refused_request_has_used_its_nonce(client: AcmeRequests) -> None:
    """§6.5: a signed request that is refused for what it asks cannot be sent again."""
    nonce = client.nonce()
    assert_problem(client.post(NEW_ORDER, {}, nonce=nonce), "malformed")
    assert_problem(client.post(client.account, None, nonce=nonce), "badNonce")


def requests_for_a_change(authority: WebAuthority, client: AcmeRequests) -> Iterator[tuple[str, Json]]:
    """Yield the signed requests that bring an order to its certificate, each once the one before it has its effect."""

    def signed(url: str, payload: object) -> tuple[str, Json]:
        return url, flattened(client.signer, client.header(url), write_payload(payload))

    yield signed(NEW_ORDER, {"identifiers": [identifier(NUMBER)]})
    (order_url,) = client.post(f"{client.account}/orders").json["orders"]
    order = client.post(order_url).json
    offered = client.post(order["authorizations"][0]).json["challenges"]
    challenge = next(one for one in offered if one["type"] == SMS_CODE)
    yield signed(challenge["url"], {})
    yield signed(challenge["url"], answer(client, challenge, authority.received()))
    yield signed(order["finalize"], {"csr": csr()})


def sent_at_once(
    front_ends: Sequence[falcon.testing.TestClient], path: str, request: Json
) -> list[falcon.testing.Result]:
    """Send one request to every front end at the same moment."""
    barrier = threading.Barrier(len(front_ends))

    def send(front_end: falcon.testing.TestClient) -> falcon.testing.Result:
        barrier.wait(timeout=30)
        return front_end.simulate_post(path, body=json.dumps(request), headers={"Content-Type": JOSE})

    with ThreadPoolExecutor(len(front_ends)) as threads:
        return list(threads.map(send, front_ends, timeout=60))


def test_a_change_happens_once_though_it_is_asked_for_in_all_front_ends_at_once(
    authority: WebAuthority, client: AcmeRequests, storage_url: str
) -> None:
    """§6.5: of many copies of one request for a change, at one moment and in several front ends, one is accepted."""
    elsewhere = Storage.open(storage_url)
    front_ends = [client.http, falcon.testing.TestClient(build_web(WebAuthority(elsewhere).ca))] * 2
    for url, request in requests_for_a_change(authority, client):
        accepted, *refused = sorted(
            sent_at_once(front_ends, client.path(url), request), key=lambda one: one.status_code
        )
        assert accepted.status_code in {200, 201}, url
        for one in refused:
            assert_problem(one, "badNonce")
    assert accepted.json["status"] == "valid"
    elsewhere.close()


def test_a_change_that_was_undone_has_used_its_nonce(storage: Storage) -> None:
    """§6.5: a request that was refused in the midst of its change is not accepted later, when it might be granted."""
    policy = IssuancePolicy(countries=("US",), new_orders=Cap(burst=1, refill_seconds=60))
    authority = WebAuthority(storage, policy=policy)
    client = authority.registered()
    authority.ordered(client)
    refused = flattened(client.signer, client.header(NEW_ORDER), write_payload({"identifiers": [identifier(NUMBER)]}))
    assert_problem(client.send(NEW_ORDER, refused), "rateLimited", 429)
    authority.clock.advance(seconds=60)
    assert_problem(client.send(NEW_ORDER, refused), "badNonce")
    assert client.post(NEW_ORDER, {"identifiers": [identifier(NUMBER)]}).status_code == 201


def test_what_fails_after_its_change_was_kept_is_told_as_it_is(
    authority: WebAuthority, client: AcmeRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """§6.5: whoever hears of a fault of the server is not told that a nonce was bad, and the nonce is used."""

    def fail(*_: object) -> None:
        msg = "not what was meant"
        raise LintError(msg)

    url = authority.made_ready(client).order["finalize"]
    monkeypatch.setattr(Issuer, "sign_certificate", fail)
    request = flattened(client.signer, client.header(url), write_payload({"csr": csr()}))
    assert_problem(client.send(url, request), "serverInternal", 500)
    assert_problem(client.send(url, request), "badNonce")


# §7.2 getting a nonce


def test_a_nonce_by_head_comes_with_200(client: AcmeRequests) -> None:
    """§7.2: HEAD is answered with 200 and a Replay-Nonce, not to be stored."""
    result = client.http.simulate_head("/acme/new-nonce")
    assert (result.status_code, result.headers["cache-control"]) == (200, "no-store")
    assert result.headers["replay-nonce"]


def test_a_nonce_by_get_comes_with_204(client: AcmeRequests) -> None:
    """§7.2: GET is answered with 204, an empty body and a Replay-Nonce; Cache-Control MUST be no-store."""
    result = client.http.simulate_get("/acme/new-nonce")
    assert (result.status_code, result.headers["cache-control"], result.content) == (204, "no-store", b"")
    assert result.headers["replay-nonce"]


def test_a_test_server_refuses_good_nonces_now_and_then(storage: Storage) -> None:
    """A share of good nonces is refused as badNonce on request, so that clients learn to try again."""
    strict = WebAuthority(storage, reject_good_nonces=1)
    client = strict.stranger()
    assert_problem(client.post(client.at("/acme/new-account"), {}), "badNonce")


def test_spent_nonces_are_forgotten_when_they_would_have_expired(authority: WebAuthority, client: AcmeRequests) -> None:
    """§6.5: a nonce need not be remembered longer than it lives, and is refused all the same."""
    request = good_request(client)
    assert client.send(client.account, request).status_code == 200
    authority.clock.advance(seconds=(LIFETIME + timedelta(days=2)).total_seconds())
    authority.storage.forget(authority.clock())
    assert_problem(client.send(client.account, request), "badNonce")
