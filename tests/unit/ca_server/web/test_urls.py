from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_server.web.urls import IdConverter, Urls, is_id

URLS = Urls("https://ca.example")


@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_an_account_is_known_by_its_url(account_id: str) -> None:
    """The id in an account's URL is the id."""
    assert URLS.account_id(URLS.account(account_id)) == account_id


@pytest.mark.parametrize(
    "kid",
    [
        "",
        "abc",
        "https://ca.example/acme/account/",
        "https://ca.example/acme/account/a/orders",
        "https://ca.example/acme/account/a?b",
        "https://ca.example/acme/account/a\n",
        "https://ca.example/acme/order/a",
        "https://other.example/acme/account/a",
        "https://ca.example.evil.example/acme/account/a",
        "https://ca.example/acme/account/https://ca.example/acme/account/a",
        "HTTPS://ca.example/acme/account/a",
    ],
)
def test_another_url_is_no_account(kid: str) -> None:
    """A kid that is not exactly the URL of an account here names none."""
    assert URLS.account_id(kid) is None


@given(st.text(max_size=8))
def test_the_router_lets_only_ids_through(text: str) -> None:
    """What reaches a database as an id has letters, digits, `_` and `-` only."""
    assert (IdConverter().convert(text) is not None) == is_id(text)
    assert not is_id(text) or text.isascii()


def test_a_cursor_is_quoted() -> None:
    """The URL of a later page carries its cursor."""
    assert URLS.orders("a", "x_1-") == "https://ca.example/acme/account/a/orders?cursor=x_1-"
