"""RFC 8555 §6.2 and §10.2: every object belongs to one account, and no other may read or touch it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.acme_requests import AcmeRequests, Json, base64url
from tests.fakes.problems import assert_problem
from tests.fakes.web_authority import NUMBER, OTHER_NUMBER, SMS_CODE, SMS_REPLY, Proof, WebAuthority, answer, csr

Touch = Callable[[AcmeRequests, Proof], Any]

TOUCHES: dict[str, Touch] = {
    "read the order": lambda other, proof: other.post(proof.order_url),
    "finalize the order": lambda other, proof: other.post(proof.order["finalize"], {"csr": csr()}),
    "read the authorization": lambda other, proof: other.post(proof.authorization_url),
    "give up the authorization": lambda other, proof: other.post(proof.authorization_url, {"status": "deactivated"}),
    "read a challenge": lambda other, proof: other.post(proof.challenge(SMS_CODE)["url"]),
    "ask for an SMS": lambda other, proof: other.post(proof.challenge(SMS_REPLY)["url"], {}),
    "answer a challenge": lambda other, proof: other.post(
        proof.challenge(SMS_CODE)["url"], {"digest": base64url(bytes(32))}
    ),
}


@pytest.mark.parametrize("touch", TOUCHES)
@pytest.mark.parametrize("proved", [False, True])
def test_another_account_cannot(
    authority: WebAuthority, client: AcmeRequests, other: AcmeRequests, touch: str, proved: bool
) -> None:
    """§6.2: what another account asks of an object is unauthorized, before and after the number is proved."""
    proof = authority.made_ready(client) if proved else authority.ordered(client)
    before = client.post(proof.order_url).json, client.post(proof.authorization_url).json
    assert_problem(TOUCHES[touch](other, proof), "unauthorized", 403)
    assert (client.post(proof.order_url).json, client.post(proof.authorization_url).json) == before


def test_another_account_cannot_with_the_right_code(
    authority: WebAuthority, client: AcmeRequests, other: AcmeRequests
) -> None:
    """§8.1: who learns the code but is another account proves nothing with it."""
    challenge = authority.ordered(client).challenge()
    code = authority.asked(client, challenge)
    for who in (client, other):
        assert_problem(other.post(challenge["url"], answer(who, challenge, code)), "unauthorized", 403)
    assert client.post(challenge["url"], answer(client, challenge, code)).json["status"] == "valid"


def test_another_account_cannot_download_the_certificate(
    authority: WebAuthority, client: AcmeRequests, other: AcmeRequests
) -> None:
    """§7.4.2: a certificate is given to the account that ordered it."""
    order = authority.issued(client)
    assert_problem(other.post(order["certificate"]), "unauthorized", 403)
    assert client.post(order["certificate"]).status_code == 200


def test_another_account_cannot_use_the_accounts_resources(client: AcmeRequests, other: AcmeRequests) -> None:
    """§7.3: an account reads, changes and deactivates itself only, and lists its own orders only."""
    payloads: tuple[Json | None, ...] = (None, {"contact": []}, {"status": "deactivated"})
    for payload in payloads:
        assert_problem(other.post(client.account, payload), "unauthorized", 403)
    assert_problem(other.post(f"{client.account}/orders"), "unauthorized", 403)
    assert client.post(client.account).json["status"] == "valid"


def test_a_proof_serves_the_account_that_gave_it(
    authority: WebAuthority, client: AcmeRequests, other: AcmeRequests
) -> None:
    """§7.4: another account that orders the same number must prove it too."""
    mine = authority.made_ready(client)
    theirs = authority.ordered(other)
    assert theirs.order["status"] == "pending"
    assert theirs.authorization_url != mine.authorization_url


def test_the_list_of_orders_holds_the_accounts_own(
    authority: WebAuthority, client: AcmeRequests, other: AcmeRequests
) -> None:
    """§7.1.2.1: the list holds the account's orders and no others, from any cursor."""
    mine, theirs = authority.ordered(client, NUMBER), authority.ordered(other, OTHER_NUMBER)
    assert client.post(f"{client.account}/orders").json == {"orders": [mine.order_url]}
    cursor = theirs.order_url.rpartition("/")[2]
    assert theirs.order_url not in client.post(f"{client.account}/orders?cursor={cursor}").json["orders"]
