from __future__ import annotations

import pytest

from number_directory.routing.errors import MapFormatError
from number_directory.routing.services import ResolutionService

GOOD = {"name": "rs.example", "operator": "Example Ltd", "url": "https://rs.example/directory", "description": "0" * 64}


@pytest.mark.parametrize(
    "url",
    ["https://rs.example", "https://rs.example:8443/a", "http://127.0.0.1:1", "http://localhost", "http://[::1]:80"],
)
def test_services_are_reached_safely(url: str) -> None:
    """A service's URL is https, or http on this machine."""
    assert ResolutionService(**{**GOOD, "url": url}).url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://rs.example",
        "http://10.0.0.1",
        "ftp://rs.example",
        "rs.example",
        "",
        "https://",
        "https://rs.example:0",
        "https://rs.example:x",
        "https://[::1",
        "https://a@rs.example",
        "https://rs.example?q",
        "https://rs.example#f",
        "https://rs.example/ a",
        "https://rs.example/ä",
        "https://rs.example/" + "a" * 200,
    ],
)
def test_places_that_are_unsafe_or_unclear_are_refused(url: str) -> None:
    """Plain http elsewhere, queries, passwords and odd characters make no service."""
    with pytest.raises(MapFormatError, match="its URL is https"):
        ResolutionService(**{**GOOD, "url": url})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "RS"),
        ("name", "-rs"),
        ("name", "rs "),
        ("name", "a" * 201),
        ("operator", ""),
        ("operator", " "),
        ("operator", "a\nb"),
        ("operator", "a" * 201),
        ("description", "0" * 63),
        ("description", "G" * 64),
    ],
)
def test_a_service_has_a_name_an_operator_and_perhaps_a_hash(field: str, value: str) -> None:
    """What cannot be shown or compared is refused."""
    with pytest.raises(MapFormatError):
        ResolutionService(**{**GOOD, field: value})
