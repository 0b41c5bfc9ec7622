from __future__ import annotations

import pytest

from stir.web_url import is_base_url, is_web_url


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ("https://ca.example/ca.der?a=b#c", True),
        ("http://127.0.0.1:8080/", True),
        ("HTTPS://ca.example", False),
        ("ftp://ca.example", False),
        ("https://", False),
        ("https://ca example", False),
        ("https://ca.example\n", False),
        ("https://c\u00e4.example", False),
        (f"https://{'a' * 2000}", True),
        (f"https://{'a' * 2001}", False),
        (b"https://ca.example", False),
        (None, False),
    ],
)
def test_a_url_is_http_in_ascii(value: object, is_one: bool) -> None:
    """RFC 3986 §2: its characters, no others, and no more of them than anybody needs."""
    assert is_web_url(value) is is_one


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("https://rs.example", True),
        ("http://127.0.0.1:8080/rs", True),
        ("https://rs.example/", False),
        ("https://rs.example?a", False),
        ("https://rs.example#a", False),
        ("rs.example", False),
        ("https://rs example", False),
    ],
)
def test_paths_are_put_behind_a_base_url(url: str, is_one: bool) -> None:
    """One place has one name."""
    assert is_base_url(url) is is_one
