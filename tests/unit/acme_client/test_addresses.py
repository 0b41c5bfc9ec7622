from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_client.addresses import AuthorityAddress
from acme_client.errors import AddressError


@pytest.mark.parametrize(
    ("text", "index_url"),
    [
        ("ca.example", "https://ca.example/acme/index"),
        ("CA.Example:8443", "https://ca.example:8443/acme/index"),
        ("https://ca.example", "https://ca.example/acme/index"),
        ("https://ca.example/", "https://ca.example/acme/index"),
        ("https://ca.example:443/directory", "https://ca.example/directory"),
        ("ca.example/acme/other?x=1", "https://ca.example/acme/other?x=1"),
        ("http://127.0.0.1:14000", "http://127.0.0.1:14000/acme/index"),
        ("http://[::1]:14000/acme/index", "http://[::1]:14000/acme/index"),
        ("http://localhost:80/i", "http://localhost/i"),
    ],
)
def test_an_address_is_read_into_one_spelling(text: str, index_url: str) -> None:
    """A host, a base URL and a whole index URL name an index, over https unless it is on this machine."""
    assert AuthorityAddress.parse(text).index_url == index_url


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ca.example",
        "ca.example\n",
        "ftp://ca.example",
        "https://",
        "https:///acme",
        "https://ca.example:0",
        "https://ca.example:99999",
        "https://user:secret@ca.example",
        "https://[::1",
        "https://cä.example",
        "https://ca_.example/%0a\x00",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """A text that names no host over https is an AddressError."""
    with pytest.raises(AddressError):
        AuthorityAddress.parse(text)


def test_plain_http_is_for_this_machine_only() -> None:
    """An http address elsewhere is refused unless the caller takes the risk."""
    with pytest.raises(AddressError, match="insecure-http"):
        AuthorityAddress.parse("http://ca.example")
    assert AuthorityAddress.parse("http://ca.example", insecure_http=True).index_url == "http://ca.example/acme/index"


def test_an_authority_on_https_cannot_lead_its_client_to_http() -> None:
    """URLs that an authority gives are followed over https only, unless its own index was on http."""
    secure, local = AuthorityAddress.parse("ca.example"), AuthorityAddress.parse("http://127.0.0.1:1")
    assert secure.may_follow("https://elsewhere.example/x")
    assert not secure.may_follow("http://127.0.0.1/x")
    assert not secure.may_follow("file:///etc/passwd")
    assert local.may_follow("http://127.0.0.1:1/x")


def test_no_two_authorities_share_a_folder() -> None:
    """Port and path tell authorities on one host apart, and no slug holds a character that a path treats specially."""
    texts = [
        "ca.example",
        "ca.example:8443",
        "ca.example/other",
        "http://127.0.0.1",
        "http://[::1]:2",
        "http://[::1]:1",
    ]
    slugs = {AuthorityAddress.parse(text).slug for text in texts}
    assert len(slugs) == len(texts)
    assert all(not set(slug) & set("/:?&%[]") for slug in slugs)


def test_the_host_and_the_name_are_what_people_know() -> None:
    """The host is what a message's last line names; the name adds a port that is not the usual one."""
    address = AuthorityAddress.parse("https://CA.example:8443/acme/index")
    assert (address.host, address.name) == ("ca.example", "ca.example:8443")


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    """No text raises anything but AddressError, and a parsed address parses to itself."""
    try:
        address = AuthorityAddress.parse(text)
    except AddressError:
        return
    assert AuthorityAddress.parse(address.index_url) == address
