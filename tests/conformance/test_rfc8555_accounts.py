"""RFC 8555 §7.1.1 to §7.1.2 and §7.3: the index and accounts."""

from __future__ import annotations

from typing import Any

import pytest

from ca_server.storage import Storage
from tests.fakes.acme_requests import AcmeRequests, Signer, flattened, p256_key, rsa_key, write_payload
from tests.fakes.problems import assert_problem
from tests.fakes.web_authority import PUBLIC_URL, WebAuthority

NEW_ACCOUNT = f"{PUBLIC_URL}/acme/new-account"
NEW_ORDER = f"{PUBLIC_URL}/acme/new-order"
KEY_CHANGE = f"{PUBLIC_URL}/acme/key-change"
TERMS = "https://ca.example/terms-of-service"


# §7.1.1 directory


def test_the_index_names_what_is_served_and_nothing_else(client: AcmeRequests) -> None:
    """§7.1.1: the directory has the URLs of the resources; what is not implemented is not advertised."""
    assert client.index() == {
        "newNonce": f"{PUBLIC_URL}/acme/new-nonce",
        "newAccount": NEW_ACCOUNT,
        "newOrder": NEW_ORDER,
        "revokeCert": f"{PUBLIC_URL}/acme/revoke-cert",
        "keyChange": KEY_CHANGE,
        "meta": {},
    }


def test_the_index_has_the_metadata_that_the_operator_set(storage: Storage) -> None:
    """§7.1.1: meta holds the terms and the website where there are any."""
    client = WebAuthority(storage, terms_of_service=TERMS, website="https://ca.example/").stranger()
    assert client.index()["meta"] == {"termsOfService": TERMS, "website": "https://ca.example/"}


def test_terms_that_are_a_text_are_served(storage: Storage) -> None:
    """§7.1.1: termsOfService is a URL, also where the configuration holds the text itself."""
    client = WebAuthority(storage, terms_of_service="Be kind.\n").stranger()
    url = client.index()["meta"]["termsOfService"]
    result = client.http.simulate_get(client.path(url))
    assert (result.text, result.headers["content-type"]) == ("Be kind.\n", "text/plain; charset=utf-8")
    problem = assert_problem(client.register(), "userActionRequired", 403)
    assert "Be kind." not in problem["detail"]


def test_the_index_may_be_cached_for_a_while(client: AcmeRequests) -> None:
    """§7.1.1: the directory is the same for everybody."""
    assert client.http.simulate_get("/acme/index").headers["cache-control"] == "public, max-age=300"
    assert client.http.simulate_head("/acme/index").status_code == 200


# §7.3 account management


def test_a_new_account_has_a_url(authority: WebAuthority) -> None:
    """§7.3: the server returns the account object with 201 and its URL in Location."""
    client = authority.stranger()
    result = client.register(contact=["mailto:admin@example.org"])
    assert result.status_code == 201
    assert result.headers["location"].startswith(f"{PUBLIC_URL}/acme/account/")
    assert result.json == {
        "status": "valid",
        "contact": ["mailto:admin@example.org"],
        "orders": f"{client.account}/orders",
    }


def test_members_that_only_the_server_sets_are_ignored(authority: WebAuthority) -> None:
    """§7.3: the server MUST ignore `orders`, and other members it does not know, in newAccount."""
    client = authority.stranger()
    result = client.register(orders="https://evil.example/", status="deactivated", unknown=[1])
    assert (result.status_code, result.json["status"]) == (201, "valid")
    assert result.json["orders"] == f"{client.account}/orders"


@pytest.mark.parametrize("contact", ["tel:+12025550123", "https://example.org/", "xmpp:a@example.org"])
def test_another_scheme_is_an_unsupported_contact(authority: WebAuthority, contact: str) -> None:
    """§7.3: a contact URL of a scheme that is not supported MUST be unsupportedContact."""
    assert_problem(authority.stranger().register(contact=[contact]), "unsupportedContact")


@pytest.mark.parametrize(
    "contact",
    [
        "mailto:",
        "mailto:nobody",
        "mailto:a@example.org?subject=x",
        "mailto:a@example.org,b@example.org",
        "mailto:a@example.org\u0000",
        "mailto:\u00e9@example.org",
        "mailto:" + "a" * 300 + "@example.org",
    ],
)
def test_a_wrong_mail_address_is_an_invalid_contact(authority: WebAuthority, contact: str) -> None:
    """§7.3: a mailto URL with header fields or several addresses MUST be refused: it is an invalidContact."""
    assert_problem(authority.stranger().register(contact=[contact]), "invalidContact")


@pytest.mark.parametrize(
    "payload",
    [
        {"contact": "mailto:a@example.org"},
        {"contact": [5]},
        {"termsOfServiceAgreed": "yes"},
        {"onlyReturnExisting": 1},
    ],
)
def test_a_member_of_another_type_is_malformed(authority: WebAuthority, payload: dict[str, Any]) -> None:
    """§7.3: the members of newAccount have the types of the RFC."""
    assert_problem(authority.stranger().register(**payload), "malformed")


def test_the_terms_must_be_agreed_to(storage: Storage) -> None:
    """§7.3: without agreement to the terms there is no account; §7.3.3: the answer links to them."""
    client = WebAuthority(storage, terms_of_service=TERMS).stranger()
    for payload in ({}, {"termsOfServiceAgreed": False}):
        result = client.register(**payload)
        problem = assert_problem(result, "userActionRequired", 403)
        assert problem["instance"] == TERMS
        assert f'<{TERMS}>;rel="terms-of-service"' in result.headers["link"]
    agreed = client.register(termsOfServiceAgreed=True)
    assert (agreed.status_code, agreed.json["termsOfServiceAgreed"]) == (201, True)


# §7.3.1 finding an account URL


def test_the_account_of_a_key_is_found(client: AcmeRequests) -> None:
    """§7.3.1: a newAccount with a key that has an account gets 200, its URL in Location, and changes nothing."""
    result = client.post(NEW_ACCOUNT, {"contact": ["mailto:new@example.org"]}, by_key=True)
    assert (result.status_code, result.headers["location"]) == (200, client.account)
    assert "contact" not in result.json
    only = client.post(NEW_ACCOUNT, {"onlyReturnExisting": True}, by_key=True)
    assert (only.status_code, only.headers["location"]) == (200, client.account)


def test_no_account_is_made_where_only_an_existing_one_is_asked_for(authority: WebAuthority) -> None:
    """§7.3.1: with onlyReturnExisting and no account the server MUST return 400 and accountDoesNotExist."""
    client = authority.stranger()
    assert_problem(client.register(onlyReturnExisting=True), "accountDoesNotExist")
    assert_problem(client.register(onlyReturnExisting=True), "accountDoesNotExist")


# §7.3.2 account update


def test_contacts_are_replaced(client: AcmeRequests) -> None:
    """§7.3.2: the client replaces its contacts, or removes them; other members are ignored."""
    result = client.post(
        client.account, {"contact": ["mailto:a@example.org"], "orders": "x", "termsOfServiceAgreed": 5}
    )
    assert (result.status_code, result.json["contact"]) == (200, ["mailto:a@example.org"])
    assert client.post(client.account).json["contact"] == ["mailto:a@example.org"]
    assert client.post(client.account, {}).json["contact"] == ["mailto:a@example.org"]
    assert "contact" not in client.post(client.account, {"contact": []}).json
    assert_problem(client.post(client.account, {"contact": ["tel:+1"]}), "unsupportedContact")


def test_a_status_that_a_client_cannot_set_is_ignored(client: AcmeRequests) -> None:
    """§7.3.2: the server MUST ignore a status other than "deactivated"."""
    assert client.post(client.account, {"status": "revoked"}).json["status"] == "valid"


# §7.3.5 account key rollover


def key_change(client: AcmeRequests, new: Signer, **changes: Any) -> tuple[Any, Any]:  # noqa: ANN401 - any member
    """Return an inner header and payload that ask for another key, with changes to the payload."""
    header = {"alg": new.algorithm, "jwk": new.jwk, "url": KEY_CHANGE}
    return header, {"account": client.kid, "oldKey": client.signer.jwk} | changes


def test_an_account_gets_another_key(client: AcmeRequests) -> None:
    """§7.3.5: the new key takes the old one's place: it signs, and the old one does no more."""
    old, new = client.signer, Signer(rsa_key())
    header, payload = key_change(client, new)
    result = client.post(KEY_CHANGE, flattened(new, header, write_payload(payload)))
    assert (result.status_code, result.json["status"]) == (200, "valid")
    assert_problem(client.post(client.account), "badSignatureAlgorithm")
    client.signer = new
    assert client.post(client.account).status_code == 200
    client.signer = old
    assert_problem(client.post(NEW_ACCOUNT, {"onlyReturnExisting": True}, by_key=True), "accountDoesNotExist")


def test_a_key_that_has_an_account_is_a_conflict(client: AcmeRequests, other: AcmeRequests) -> None:
    """§7.3.5: if a key has an account, the server MUST answer 409 with that account's URL in Location."""
    for new in (other.signer, client.signer):
        header, payload = key_change(client, new)
        result = client.post(KEY_CHANGE, flattened(new, header, write_payload(payload)))
        assert_problem(result, "malformed", 409)
        assert result.headers["location"] == (other.kid if new is other.signer else client.kid)


@pytest.mark.parametrize(
    "spoil",
    [
        {"account": f"{PUBLIC_URL}/acme/account/other"},
        {"account": None},
        {"oldKey": Signer().jwk},
        {"oldKey": None},
        {"oldKey": "key"},
    ],
)
def test_the_inner_payload_must_fit(client: AcmeRequests, spoil: dict[str, Any]) -> None:
    """§7.3.5: the inner payload MUST name the account and its old key."""
    new = Signer()
    header, payload = key_change(client, new, **spoil)
    assert_problem(client.post(KEY_CHANGE, flattened(new, header, write_payload(payload))), "malformed")


@pytest.mark.parametrize(
    "spoil",
    [
        {"url": NEW_ORDER},
        {"nonce": "x"},
        {"jwk": None, "kid": "x"},
        {"jwk": 5},
        {"jwk": Signer().jwk},
        {"crit": []},
    ],
)
def test_the_inner_header_must_fit(client: AcmeRequests, spoil: dict[str, Any]) -> None:
    """§7.3.5: the inner JWS MUST have a jwk that signed it, the outer url, and no nonce."""
    new = Signer()
    header, payload = key_change(client, new)
    header = {name: value for name, value in (header | spoil).items() if value is not None}
    assert_problem(client.post(KEY_CHANGE, flattened(new, header, write_payload(payload))), "malformed")


def test_the_inner_jws_is_as_strict_as_the_outer(client: AcmeRequests) -> None:
    """§7.3.5: the inner JWS is signed by the new key, in the one form that requests have."""
    new = Signer()
    header, payload = key_change(client, new)
    good = flattened(new, header, write_payload(payload))
    assert_problem(client.post(KEY_CHANGE, good | {"signature": flattened(new, header, b"")["signature"]}), "malformed")
    assert_problem(client.post(KEY_CHANGE, good | {"header": {}}), "malformed")
    assert_problem(client.post(KEY_CHANGE, flattened(new, header | {"alg": "none"}, b"")), "badSignatureAlgorithm")
    assert client.post(client.account).status_code == 200


# §7.3.6 account deactivation


def test_a_deactivated_account_can_do_nothing_more(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.3.6: its requests MUST get 401 and unauthorized; it cannot come back, and its orders die."""
    proof = authority.ordered(client)
    result = client.post(client.account, {"status": "deactivated"})
    assert (result.status_code, result.json["status"]) == (200, "deactivated")
    for url in (client.account, proof.order_url, NEW_ORDER, proof.challenge()["url"]):
        assert_problem(client.post(url), "unauthorized", 401)
    assert_problem(client.post(client.account, {"status": "valid"}), "unauthorized", 401)
    assert_problem(client.post(NEW_ACCOUNT, {}, by_key=True), "unauthorized", 401)


# §7.1.2.1 orders list


def test_the_orders_of_an_account_are_listed_in_pages(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.1.2.1: the list is complete over its pages, each of which links to the next."""
    made = [authority.ordered(client).order_url for _ in range(53)]
    url: str | None = client.post(client.account).json["orders"]
    pages = []
    while url is not None:
        result = client.post(url)
        assert result.status_code == 200
        pages.append(result.json["orders"])
        links = [part for part in result.headers["link"].split(", ") if part.endswith('rel="next"')]
        url = links[0].partition(">")[0].removeprefix("<") if links else None
    assert [len(page) for page in pages] == [50, 3]
    assert sorted(made) == sorted(order for page in pages for order in page)


def test_an_account_without_orders_has_an_empty_list(client: AcmeRequests) -> None:
    """§7.1.2.1: a list without orders is an empty one."""
    assert client.post(f"{client.account}/orders").json == {"orders": []}


@pytest.mark.parametrize("cursor", ["%00", "x'; --", "nobody", "x" * 65, ""])
def test_a_made_up_cursor_finds_nothing_of_others(client: AcmeRequests, cursor: str) -> None:
    """§7.1.2.1: a cursor that this server did not give lists nothing, or is malformed."""
    result = client.post(f"{client.account}/orders?cursor={cursor}")
    assert result.status_code in {200, 400}
    assert not result.json.get("orders")


def test_two_accounts_cannot_have_one_key(authority: WebAuthority) -> None:
    """§7.3: the key is what an account is known by."""
    key = p256_key()
    first, second = authority.registered(key), authority.registered(key)
    assert first.account == second.account
